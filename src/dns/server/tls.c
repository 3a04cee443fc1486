/* TLS: see tls.h. Called by tcp.c on a worker's thread, and by server.c for the context. Invariant:
 * OpenSSL's queue of errors is empty before each call into it, since what is left there would be
 * taken for this call's. */
#include "dns/server/tls.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

/* Forward secrecy and AEAD: RFC 9325 section 4.2, and what HTTP/2 asks for (RFC 9113
 * section 9.2.2).
 */
#define TLS_1_2_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

static const unsigned char alpn_dot[] = {3, 'd', 'o', 't'};
static const unsigned char alpn_http2[] = {2, 'h', '2'};
static const unsigned char alpn_http1[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

/* Where wanted stands among the offered protocols; NULL when it does not. */
static const unsigned char *find_alpn(const unsigned char *offered, unsigned offered_size,
                                      const unsigned char *wanted)
{
    for (unsigned at = 0; at < offered_size; at += 1U + offered[at]) {
        unsigned size = 1U + offered[at];
        if (size <= offered_size - at && size == 1U + wanted[0] &&
            memcmp(offered + at, wanted, size) == 0) {
            return offered + at;
        }
    }
    return NULL;
}

static int choose_alpn(SSL *session, const unsigned char **out, unsigned char *out_size,
                       const unsigned char *offered, unsigned offered_size, void *context)
{
    (void)context;
    bool web = SSL_get_app_data(session) != NULL;
    const unsigned char *found = find_alpn(offered, offered_size, web ? alpn_http2 : alpn_dot);
    if (found == NULL && web) {
        found = find_alpn(offered, offered_size, alpn_http1);
    }
    if (found == NULL) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = found + 1;
    *out_size = found[0];
    return SSL_TLSEXT_ERR_OK;
}

static bool use_chain(SSL_CTX *context, BIO *pem)
{
    X509 *own = PEM_read_bio_X509_AUX(pem, NULL, NULL, NULL);
    bool good = own != NULL && SSL_CTX_use_certificate(context, own) == 1;
    X509_free(own); /* the context has a reference; NULL is fine */
    while (good) {
        X509 *next = PEM_read_bio_X509(pem, NULL, NULL, NULL);
        if (next == NULL) {
            break; /* the end, or what is no certificate */
        }
        good = SSL_CTX_add0_chain_cert(context, next) == 1;
        if (!good) {
            X509_free(next);
        }
    }
    return good;
}

static bool use_key(SSL_CTX *context, BIO *pem)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, NULL, NULL);
    bool good = key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1 &&
                SSL_CTX_check_private_key(context) == 1;
    EVP_PKEY_free(key); /* as above */
    return good;
}

static bool configure(SSL_CTX *context)
{
    /* Whoever records early data can send it again. */
    if (SSL_CTX_set_max_early_data(context, 0) != 1 ||
        SSL_CTX_set_cipher_list(context, TLS_1_2_CIPHERS) != 1) {
        return false;
    }
    (void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                           SSL_OP_CIPHER_SERVER_PREFERENCE |
                                           SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* Buffers of silent connections are given back; what was not taken may move. */
    (void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* Tickets carry the sessions: nothing is kept here, and nothing is locked. */
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(context, choose_alpn, NULL);
    return true;
}

int tls_context_new(const char *certificate_pem, const char *key_pem,
                    struct ssl_ctx_st **ret_context, struct err *err)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    BIO *certificate = BIO_new_mem_buf(certificate_pem, -1);
    BIO *key = BIO_new_mem_buf(key_pem, -1);
    bool made = context != NULL && certificate != NULL && key != NULL &&
                SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 && configure(context);
    bool chain = made && use_chain(context, certificate);
    bool good = chain && use_key(context, key);
    (void)BIO_free(certificate); /* NULL is fine */
    (void)BIO_free(key);         /* as above */
    ERR_clear_error();
    if (!good) {
        SSL_CTX_free(context);
        return !made    ? err_set(err, ERR_MEMORY, "TLS")
               : !chain ? err_set(err, ERR_INVALID, "no certificate in PEM form")
                        : err_set(err, ERR_INVALID,
                                  "no private key in PEM form, or not the key "
                                  "of this certificate");
    }
    *ret_context = context;
    return 0;
}

void tls_context_free(void *take_context)
{
    SSL_CTX_free(take_context); /* NULL is fine */
}

struct ssl_st *tls_session_new(struct ssl_ctx_st *context, int fd, bool web)
{
    static char is_web; /* its address says it */
    ERR_clear_error();
    SSL *session = SSL_new(context);
    if (session != NULL &&
        (SSL_set_fd(session, fd) != 1 || SSL_set_app_data(session, web ? &is_web : NULL) != 1)) {
        SSL_free(session);
        session = NULL;
    }
    if (session != NULL) {
        SSL_set_accept_state(session);
    }
    return session;
}

void tls_session_end(struct ssl_st *session)
{
    if (SSL_is_init_finished(session) && (SSL_get_shutdown(session) & SSL_SENT_SHUTDOWN) == 0) {
        ERR_clear_error();
        (void)SSL_shutdown(session); /* the connection is closed in any case */
    }
}

void tls_session_free(struct ssl_st *take_session)
{
    if (take_session != NULL) {
        tls_session_end(take_session);
    }
    SSL_free(take_session); /* NULL is fine */
}

ssize_t tls_receive(struct ssl_st *session, void *data, size_t size, uint32_t *ret_events)
{
    ERR_clear_error();
    int got = SSL_read(session, data, (int)(size < INT_MAX ? size : INT_MAX));
    if (got > 0) {
        return got;
    }
    switch (SSL_get_error(session, got)) {
    case SSL_ERROR_WANT_READ:
        *ret_events = EPOLLIN;
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        *ret_events = EPOLLOUT;
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        return -EIO;
    }
}

ssize_t tls_send(struct ssl_st *session, const void *data, size_t size)
{
    ERR_clear_error();
    int sent = SSL_write(session, data, (int)(size < INT_MAX ? size : INT_MAX));
    if (sent > 0) {
        return sent;
    }
    /* It never waits for input: there is no renegotiation. */
    return SSL_get_error(session, sent) == SSL_ERROR_WANT_WRITE ? -EAGAIN : -EIO;
}

bool tls_has_more(const struct ssl_st *session)
{
    return SSL_pending(session) > 0;
}

bool tls_is_established(const struct ssl_st *session)
{
    return SSL_is_init_finished(session) == 1;
}

bool tls_is_resumed(const struct ssl_st *session)
{
    return SSL_session_reused(session) == 1;
}

bool tls_is_http2(const struct ssl_st *session)
{
    const unsigned char *chosen = NULL;
    unsigned size = 0;
    SSL_get0_alpn_selected(session, &chosen, &size);
    return size == alpn_http2[0] && memcmp(chosen, alpn_http2 + 1, size) == 0;
}
