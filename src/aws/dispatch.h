/* From an HTTP request to its answer: pages, routing, authentication, the role check, decoding, the
 * handler, encoding. Knows no sockets; the server feeds it whole requests. Private to this room.
 * Any thread, many at once: a struct dispatch is immutable. */
#ifndef AWS_DISPATCH_H
#define AWS_DISPATCH_H

#include "aws/http.h"
#include "aws/server.h"
#include "aws/wire_error.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"

struct dispatch;

/* Finds a handler for every listed operation: ERR_INVALID names what has none, and handlers of
 * operations that are not listed. config is copied; its strings and services are borrowed. */
int dispatch_new(const struct aws_server_config *config, struct dispatch **ret_dispatch,
                 struct err *err) MUST_CHECK;
void dispatch_free(struct dispatch *dispatch);

/* Always answers. The answer lives in the arena. */
void dispatch_request(const struct dispatch *dispatch, const struct http_request *request,
                      struct arena *arena, struct http_response *ret_response);
/* The answer to a request that is refused before its body was read, in the shape of the service
 * that it seems to be for. */
void dispatch_refuse(const struct dispatch *dispatch, const struct http_request *request,
                     enum wire_error error, const char *message, struct arena *arena,
                     struct http_response *ret_response);

#endif
