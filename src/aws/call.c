/* The failure of a call: aws_error and aws_error_with of service.h. Called by handlers and by the
 * codec, on the thread of the request. The code and the members live in the call's arena, so that a
 * handler may build them from anything. Invariant: error_code is set exactly when err was filled
 * here. */
#include "aws/service.h"

#include <stdarg.h>
#include <stdio.h>

static void members_release(void *members)
{
    json_decref(members);
}

static int fail(struct aws_call *call, struct err *err, const char *code, const char *format,
                va_list args) PRINTF(4, 0);

static int fail(struct aws_call *call, struct err *err, const char *code, const char *format,
                va_list args)
{
    char message[sizeof err->message];
    (void)vsnprintf(message, sizeof message, format, args); /* cut when too long, as err_set */
    call->error_code = arena_strdup(call->arena, code);
    return err_set(err, ERR_INVALID, "%s", message);
}

int aws_error(struct aws_call *call, struct err *err, const char *code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int status = fail(call, err, code, format, args);
    va_end(args);
    call->error_members = NULL;
    return status;
}

int aws_error_with(struct aws_call *call, struct err *err, const char *code, json_t *take_members,
                   const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int status = fail(call, err, code, format, args);
    va_end(args);
    call->error_members = take_members;
    if (take_members != NULL) {
        arena_defer(call->arena, members_release, take_members);
    }
    return status;
}
