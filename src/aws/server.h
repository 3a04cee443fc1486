/* The API server: one port for all services, on libmicrohttpd's threads. */
#ifndef AWS_SERVER_H
#define AWS_SERVER_H

#include "aws/service.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/secret.h"

#include <netinet/in.h>

struct aws_server;

struct aws_credential {
    struct secret secret;
    enum aws_role role;
};

struct aws_server_config {
    struct sockaddr_storage address; /* port 0 asks the kernel */
    int descriptor;       /* listens there already (aws_server_listen), taken over; 0: none */
    unsigned threads;     /* 1 to 64 */
    unsigned connections; /* at once, in all */
    unsigned idle_ms;     /* a connection without progress is closed */
    unsigned request_ms;  /* a request must have arrived, an answer left; 0: twice idle_ms */
    const char *certificate_pem; /* TLS when not NULL; contents, not path */
    const char *key_pem;
    const char *account_id;
    const char *const *regions; /* that it answers for: at least one, borrowed */
    size_t region_count;
    const struct aws_service *const *services;
    size_t service_count;
    void *context; /* aws_call.context */
    /* Looks a key up: 0, ERR_NOT_FOUND, or another error (the store is gone: 503). changes: the
     * call wants more than a viewer may. Any server thread. */
    int (*credential)(void *context, const char *access_key_id, bool changes,
                      struct aws_credential *ret_credential, struct err *err);
    /* One line per finished call, for the access log. May be NULL. Any server thread. err NULL on
     * success. */
    void (*finished)(void *context, const struct aws_call *call, int http_status,
                     int64_t duration_ns, const struct err *err);
};

/* Binds and listens, before privileges are given up. The caller owns the descriptor. */
int aws_server_listen(const struct sockaddr_storage *address, int *ret_descriptor, struct err *err)
    MUST_CHECK;
/* Checks that every listed operation has a handler, binds, starts. ret_server is set before the
 * first call is served, as handlers may look at it; after an error it is NULL. */
int aws_server_start(const struct aws_server_config *config, struct aws_server **ret_server,
                     struct err *err) MUST_CHECK;
const struct sockaddr_storage *aws_server_address(const struct aws_server *server);
/* Finishes the calls under way, then stops. NULL is fine. */
void aws_server_stop(struct aws_server *take_server);

#endif
