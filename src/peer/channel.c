/* TLS between sites: see channel.h. Called by outgoing.c and incoming.c on the peer thread, and by
 * joining.c on its own. Invariant: OpenSSL's queue of errors is empty before each call into it. */
#include "peer/channel.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static const unsigned char alpn_peer[] = {12,  'l', 'e', 'e', 'w', 'a', 'r',
                                          'd', '-', 'p', 'e', 'e', 'r'};
static const unsigned char alpn_join[] = {12,  'l', 'e', 'e', 'w', 'a', 'r',
                                          'd', '-', 'j', 'o', 'i', 'n'};

static int choose_alpn(SSL *session, const unsigned char **out, unsigned char *out_size,
                       const unsigned char *offered, unsigned offered_size, void *context)
{
    (void)session;
    (void)context;
    unsigned char *chosen = NULL;
    bool peer = SSL_select_next_proto(&chosen, out_size, alpn_peer, sizeof alpn_peer, offered,
                                      offered_size) == OPENSSL_NPN_NEGOTIATED;
    if (!peer && SSL_select_next_proto(&chosen, out_size, alpn_join, sizeof alpn_join, offered,
                                       offered_size) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* Who has no certificate may still ask to join. */
static void configure(SSL_CTX *context)
{
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_select_cb(context, choose_alpn, NULL);
    (void)SSL_CTX_set_mode(context,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* A read ends after a message that is no data: who sends only such ones holds up nobody. */
    (void)SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_NO_CHECK_TIME);
}

static X509 *read_certificate(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    (void)BIO_free(bio); /* NULL is fine */
    return certificate;
}

/* The CA's certificate is sent along: who joins compares it with what its token says. */
static bool use_texts(SSL_CTX *context, const char *certificate_pem, const char *key_pem,
                      const char *ca_pem)
{
    X509 *own = read_certificate(certificate_pem);
    X509 *ca = read_certificate(ca_pem);
    BIO *bio = BIO_new_mem_buf(key_pem, -1);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    bool good =
        own != NULL && ca != NULL && key != NULL && SSL_CTX_use_certificate(context, own) == 1 &&
        SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1 &&
        SSL_CTX_add1_chain_cert(context, ca) == 1 &&
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca) == 1;
    EVP_PKEY_free(key); /* the context has references; NULL is fine */
    (void)BIO_free(bio);
    X509_free(ca);
    X509_free(own);
    return good;
}

int channel_context_new(const char *certificate_pem, const char *key_pem, const char *ca_pem,
                        struct ssl_ctx_st **ret_context, struct err *err)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_num_tickets(context, 0) != 1) {
        SSL_CTX_free(context); /* NULL is fine */
        return err_set(err, ERR_MEMORY, "TLS between sites");
    }
    configure(context);
    if (!use_texts(context, certificate_pem, key_pem, ca_pem)) {
        SSL_CTX_free(context);
        ERR_clear_error();
        return err_set(err, ERR_INVALID,
                       "the site's certificate, its key and the CA do not go together");
    }
    *ret_context = context;
    return 0;
}

void channel_context_free(struct ssl_ctx_st *take_context)
{
    SSL_CTX_free(take_context); /* NULL is fine */
}

struct ssl_st *channel_session_new(struct ssl_ctx_st *context, int fd, bool dial)
{
    ERR_clear_error();
    SSL *session = SSL_new(context);
    if (session == NULL) {
        return NULL;
    }
    if (SSL_set_fd(session, fd) != 1 ||
        (dial && SSL_set_alpn_protos(session, alpn_peer, sizeof alpn_peer) != 0)) {
        SSL_free(session);
        return NULL;
    }
    if (dial) {
        SSL_set_connect_state(session);
    } else {
        SSL_set_accept_state(session);
    }
    return session;
}

void channel_session_free(struct ssl_st *take_session)
{
    if (take_session != NULL && SSL_is_init_finished(take_session)) {
        ERR_clear_error();
        (void)SSL_shutdown(take_session); /* a goodbye where it does not block */
    }
    SSL_free(take_session); /* NULL is fine */
}

/* What went wrong, as far as OpenSSL says. */
static int complain(const struct ssl_st *session, int code, enum err_kind kind, struct err *err)
{
    long verified = SSL_get_verify_result(session);
    unsigned long queued = ERR_peek_error();
    const char *reason = queued != 0 ? ERR_reason_error_string(queued) : NULL;
    int number = errno;
    if (verified != X509_V_OK) {
        return err_set(err, ERR_DENIED, "its certificate is not the cluster's: %s",
                       X509_verify_cert_error_string(verified));
    }
    if (reason != NULL) {
        return err_set(err, kind, "TLS: %s", reason);
    }
    if (code == SSL_ERROR_SYSCALL && number != 0) {
        return err_set_errno(err, number, "connection");
    }
    return err_set(err, kind, "the other side closed the connection");
}

static bool wants(int code, uint32_t *ret_events)
{
    if (code != SSL_ERROR_WANT_READ && code != SSL_ERROR_WANT_WRITE) {
        return false;
    }
    *ret_events = code == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT;
    return true;
}

int channel_handshake(struct ssl_st *session, uint32_t *ret_events, struct err *err)
{
    ERR_clear_error();
    errno = 0;
    int rc = SSL_do_handshake(session);
    if (rc == 1) {
        return 0;
    }
    int code = SSL_get_error(session, rc);
    return wants(code, ret_events) ? -EAGAIN : complain(session, code, ERR_DENIED, err);
}

enum channel_purpose channel_purpose_of(const struct ssl_st *session)
{
    const unsigned char *chosen = NULL;
    unsigned size = 0;
    SSL_get0_alpn_selected(session, &chosen, &size);
    bool join = size == alpn_join[0] && memcmp(chosen, alpn_join + 1, size) == 0;
    return join ? CHANNEL_JOIN : CHANNEL_PEER;
}

bool channel_is_member(const struct ssl_st *session, const char *name,
                       const uint8_t fingerprint[CHANNEL_FINGERPRINT])
{
    X509 *certificate = SSL_get0_peer_certificate(session);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    return certificate != NULL && SSL_get_verify_result(session) == X509_V_OK &&
           X509_check_host(certificate, name, 0,
                           X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
                           NULL) == 1 &&
           X509_digest(certificate, EVP_sha256(), digest, &size) == 1 &&
           size == CHANNEL_FINGERPRINT && memcmp(digest, fingerprint, CHANNEL_FINGERPRINT) == 0;
}

ssize_t channel_read(struct ssl_st *session, void *data, size_t size, uint32_t *ret_events,
                     struct err *err)
{
    ERR_clear_error();
    errno = 0;
    int got = SSL_read(session, data, (int)(size < INT_MAX ? size : INT_MAX));
    if (got > 0) {
        return got;
    }
    int code = SSL_get_error(session, got);
    if (wants(code, ret_events)) {
        return -EAGAIN;
    }
    if (code == SSL_ERROR_ZERO_RETURN) {
        return 0;
    }
    (void)complain(session, code, ERR_IO, err);
    return -EIO;
}

ssize_t channel_write(struct ssl_st *session, const void *data, size_t size, uint32_t *ret_events,
                      struct err *err)
{
    ERR_clear_error();
    errno = 0;
    int sent = SSL_write(session, data, (int)(size < INT_MAX ? size : INT_MAX));
    if (sent > 0) {
        return sent;
    }
    int code = SSL_get_error(session, sent);
    if (wants(code, ret_events)) {
        return -EAGAIN;
    }
    (void)complain(session, code, ERR_IO, err);
    return -EIO;
}
