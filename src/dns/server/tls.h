/* TLS for the connections of tcp.c (RFC 7858), by OpenSSL; private to this room.
 *
 * A context holds the certificate; it is immutable, and replaced whole at a reload: sessions keep
 * the one they began with. A session belongs to its connection's worker. Nothing blocks: what
 * cannot go on says which events to wait for. Thread: contexts any, a session its worker's. */
#ifndef DNS_SERVER_TLS_H
#define DNS_SERVER_TLS_H

#include "base/err.h"
#include "base/macro.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ssl_ctx_st;
struct ssl_st;

/* From PEM texts: the chain, the server's own certificate first, and its key. TLS 1.2 and later,
 * tickets, no early data, no renegotiation. */
int tls_context_new(const char *certificate_pem, const char *key_pem,
                    struct ssl_ctx_st **ret_context, struct err *err) MUST_CHECK;
/* For snapshot_retire; a struct ssl_ctx_st. */
void tls_context_free(void *take_context);

/* A session on a connected socket, which the caller keeps. It holds the context for itself. Of what
 * a client offers by ALPN (RFC 7301) it takes "dot", or, where it is for the web, "h2", else
 * "http/1.1"; a client that offers only others is refused. NULL: no memory. */
struct ssl_st *tls_session_new(struct ssl_ctx_st *context, int fd, bool web) MUST_CHECK;
/* Says goodbye where that does not block. */
void tls_session_end(struct ssl_st *session);
/* The same, and frees it. NULL is fine. */
void tls_session_free(struct ssl_st *take_session);

/* As recv and send, but errors are negative errnos. -EAGAIN: ret_events says what epoll has to wait
 * for. Receiving makes the handshake. */
ssize_t tls_receive(struct ssl_st *session, void *data, size_t size, uint32_t *ret_events);
ssize_t tls_send(struct ssl_st *session, const void *data, size_t size);
/* Bytes are decrypted that no event will announce. */
bool tls_has_more(const struct ssl_st *session);
bool tls_is_established(const struct ssl_st *session);
bool tls_is_resumed(const struct ssl_st *session);
bool tls_is_http2(const struct ssl_st *session);

#endif
