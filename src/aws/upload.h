/* What the API server lets in: whether a request's head is sound, and its body as it arrives,
 * within a limit of its own and a budget of all bodies together. Knows no sockets. Private to this
 * room. A struct upload belongs to one request; the budget is shared by all threads. */
#ifndef AWS_UPLOAD_H
#define AWS_UPLOAD_H

#include "aws/http.h"
#include "aws/wire_error.h"
#include "base/buf.h"
#include "base/macro.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct upload_budget {
    _Atomic size_t left; /* bytes */
};

struct upload {
    struct upload_budget *budget;
    struct buf body;
    size_t reserved;  /* of the budget */
    size_t discarded; /* bytes that were not kept */
    bool too_large;
    bool no_memory;
};

struct upload_refusal {
    enum wire_error error;
    const char *message;
    int status; /* where HTTP has one of its own; 0: the error's */
};

void upload_budget_init(struct upload_budget *budget, size_t bytes);

/* Splits a target as received into path and query, in place; "http://host/path" loses its front. */
void upload_split_target(char *target, const char **ret_path, const char **ret_query);
/* May the body of this request come? complete: every header was taken. Refuses what two readers
 * could understand differently (RFC 9112 sections 6.3 and 11.2), and what is larger than the
 * limits of http.h. */
bool upload_allowed(const struct http_request *request, bool complete,
                    struct upload_refusal *ret_refusal) MUST_CHECK;

void upload_init(struct upload *upload, struct upload_budget *budget);
void upload_done(struct upload *upload);
/* Takes the next bytes. What is too much is counted and thrown away; false when even that has
 * gone on for too long, and the connection should end. */
bool upload_put(struct upload *upload, const void *data, size_t size) MUST_CHECK;
/* The body has arrived: puts it into the request, or says why it was not kept. */
bool upload_complete(struct upload *upload, struct http_request *request,
                     struct upload_refusal *ret_refusal) MUST_CHECK;

#endif
