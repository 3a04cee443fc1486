/* The failure of a call: aws_error and aws_error_with of service.h. Called by handlers and by the
 * codec, on the thread of the request. The code and the members live in the call's arena, so that a
 * handler may build them from anything. Invariant: error_code is set exactly when err was filled
 * here. */
#include "aws/service.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

static void members_release(void *members)
{
    json_decref(members);
}

static void set_members(struct aws_call *call, json_t *take_members)
{
    call->error_members = take_members;
    if (take_members != NULL) {
        arena_defer(call->arena, members_release, take_members);
    }
}

static int fail(struct aws_call *call, struct err *err, const char *code, const char *format,
                va_list args, int *ret_length) PRINTF(4, 0);

/* *ret_length: that of the whole message; err holds the beginning when it is longer. */
static int fail(struct aws_call *call, struct err *err, const char *code, const char *format,
                va_list args, int *ret_length)
{
    char message[sizeof err->message];
    *ret_length = vsnprintf(message, sizeof message, format, args);
    call->error_code = arena_strdup(call->arena, code);
    return err_set(err, ERR_INVALID, "%s", message);
}

static json_t *whole_message(struct aws_call *call, size_t length, const char *format, va_list args)
    PRINTF(3, 0);

/* {"message": all of it}: NULL when there is no memory, and the beginning is sent. */
static json_t *whole_message(struct aws_call *call, size_t length, const char *format, va_list args)
{
    char *text = arena_try_alloc(call->arena, length + 1);
    if (text == NULL) {
        return NULL;
    }
    (void)vsnprintf(text, length + 1, format, args); /* measured before */
    text_mend(text);                                 /* a "%.9s" in it may have cut a character */
    return json_pack("{s:s}", "message", text);
}

int aws_error_list(struct aws_call *call, struct err *err, const char *code, const char *format,
                   va_list args)
{
    va_list again;
    int length = 0;
    json_t *members = NULL;
    va_copy(again, args);
    int status = fail(call, err, code, format, args, &length);
    if (length >= (int)sizeof err->message) {
        members = whole_message(call, (size_t)length, format, again);
    }
    va_end(again);
    set_members(call, members);
    return status;
}

int aws_error(struct aws_call *call, struct err *err, const char *code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int status = aws_error_list(call, err, code, format, args);
    va_end(args);
    return status;
}

int aws_error_with(struct aws_call *call, struct err *err, const char *code, json_t *take_members,
                   const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = 0;
    int status = fail(call, err, code, format, args, &length);
    va_end(args);
    set_members(call, take_members);
    return status;
}
