/* What the codec gives a handler, and what a service gives the codec.
 *
 * A request arrives as HTTP, is authenticated (SigV4), found in the generated tables, decoded and
 * validated into a JSON tree whose members have the model's names; the handler answers with such a
 * tree, or with an error. Handlers know no protocol.
 *
 * Trees: structures are objects, lists arrays, maps objects; strings, enums and timestamps (ISO
 * 8601) strings; blobs base64 strings; integers, booleans, numbers their JSON kinds. Absent members
 * are absent, never null. In a request every member was validated against the model: required,
 * type, enum, pattern, bounds. */
#ifndef AWS_SERVICE_H
#define AWS_SERVICE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

/* What clients of a global service sign for, whatever region they are set to. Source: "Global
 * services" in "AWS Regions and Endpoints". */
#define AWS_GLOBAL_REGION "us-east-1"

enum aws_role { AWS_ROLE_VIEWER, AWS_ROLE_OPERATOR, AWS_ROLE_ADMIN };

/* One call. Lives for the request; borrowed by the handler. */
struct aws_call {
    struct arena *arena; /* freed after the response */
    void *context;       /* what the daemon gave aws_server_start */
    const char *service; /* the model's name: "route53" */
    const char *operation;
    const char *region;     /* from the credential scope */
    const char *account_id; /* twelve digits */
    const char *access_key_id;
    enum aws_role role;
    const char *request_id; /* UUID */
    const char *source;     /* client's address */
    const char *path;       /* of the URL, as it came */
    struct wall now;
    /* Set by aws_error() only. */
    const char *error_code;
    json_t *error_members; /* extra members of the error shape, or NULL */
};

/* Fills err, and the call with the modelled exception (its code decides HTTP status and shape from
 * the tables; one that the model does not know is sent as a 400 with that code). A message that err
 * cannot hold is cut there and sent whole. Returns err's code, so handlers write
 * `return aws_error(...)`. */
int aws_error(struct aws_call *call, struct err *err, const char *code, const char *format, ...)
    PRINTF(4, 5) COLD;
int aws_error_list(struct aws_call *call, struct err *err, const char *code, const char *format,
                   va_list args) PRINTF(4, 0) COLD;
/* The same with members besides the message, such as {"messages":[..]} of InvalidChangeBatch. */
int aws_error_with(struct aws_call *call, struct err *err, const char *code, json_t *take_members,
                   const char *format, ...) PRINTF(5, 6) COLD;

/* in: borrowed. *ret_out: a new reference the codec releases; may stay NULL for an operation
 * without output. 0, or a negative errno with err filled: without aws_error the kind decides
 * (ERR_UNAVAILABLE, ERR_IO: 503 ServiceUnavailable, ERR_CONFLICT: 409/Throttling-like retryable,
 * else 500 InternalFailure, or what the model has for it; details are logged, not sent). */
typedef int (*aws_handler)(struct aws_call *call, const json_t *in, json_t **ret_out,
                           struct err *err);

struct aws_binding {
    const char *operation;
    aws_handler handler;
};

/* A service: the model's name and its handlers; the order is free. Every operation of
 * src/aws/operations.list must have one (aws_server_start checks). */
struct aws_service {
    const char *name;
    const struct aws_binding *bindings;
    size_t count;
    bool global;      /* one for all regions: AWS_GLOBAL_REGION is served wherever the daemon is */
    const char *home; /* another region that is served wherever the daemon is, or NULL */
};

#endif
