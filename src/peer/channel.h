/* TLS between sites, by OpenSSL; private to this room. TLS 1.3 alone; both sides show a certificate
 * that the cluster's CA signed, and each looks for the other's name in it.
 *
 * What a certificate's validity in time says is not looked at: a site's clock may be wrong, and a
 * date must not end the talk between sites. What ends a certificate is the list of members, which
 * has the fingerprint of each. Nothing blocks. Thread: a context any, a session its owner's. */
#ifndef PEER_CHANNEL_H
#define PEER_CHANNEL_H

#include "base/err.h"
#include "base/macro.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHANNEL_FINGERPRINT 32U

struct ssl_ctx_st;
struct ssl_st;

/* What a connection is for: said by ALPN (RFC 7301). */
enum channel_purpose {
    CHANNEL_PEER, /* tables of ballots, by a member */
    CHANNEL_JOIN, /* a request of one who has no certificate yet */
};

/* From PEM texts: this site's certificate, its key, the CA's certificate. */
int channel_context_new(const char *certificate_pem, const char *key_pem, const char *ca_pem,
                        struct ssl_ctx_st **ret_context, struct err *err) MUST_CHECK;
/* NULL is fine. */
void channel_context_free(struct ssl_ctx_st *take_context);

/* On a connected socket, which the caller keeps. NULL: no memory. */
struct ssl_st *channel_session_new(struct ssl_ctx_st *context, int fd, bool dial) MUST_CHECK;
/* NULL is fine. */
void channel_session_free(struct ssl_st *take_session);

/* 0 when done; -EAGAIN, with what epoll has to wait for; else ERR_DENIED or ERR_IO. */
int channel_handshake(struct ssl_st *session, uint32_t *ret_events, struct err *err) MUST_CHECK;
/* After the handshake. */
enum channel_purpose channel_purpose_of(const struct ssl_st *session);
/* Whether the other side has shown the certificate of this member. */
bool channel_is_member(const struct ssl_st *session, const char *name,
                       const uint8_t fingerprint[CHANNEL_FINGERPRINT]);

/* Bytes; 0 at the end; -EAGAIN as above; -EIO with the reason in err. */
ssize_t channel_read(struct ssl_st *session, void *data, size_t size, uint32_t *ret_events,
                     struct err *err);
ssize_t channel_write(struct ssl_st *session, const void *data, size_t size, uint32_t *ret_events,
                      struct err *err);

#endif
