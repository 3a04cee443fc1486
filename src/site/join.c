/* Joining a cluster: see site_join in site.h. Called by the command line, on the new machine,
 * before its daemon runs. Blocks, with time limits. The member is believed because the CA whose
 * fingerprint the token has signed its certificate; our own key never leaves this machine. */
#include "base/bytes.h"
#include "base/descriptor.h"
#include "base/memory.h"
#include "base/secret.h"
#include "base/text.h"
#include "site/certificate.h"
#include "site/internal.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define TIMEOUT_S 10
#define ANSWER_LIMIT 65536U

static void free_context(SSL_CTX **context)
{
    SSL_CTX_free(*context); /* NULL is fine, as below */
}

static void free_session(SSL **session)
{
    SSL_free(*session);
}

static void free_store(X509_STORE **store)
{
    X509_STORE_free(*store);
}

static void free_check(X509_STORE_CTX **check)
{
    X509_STORE_CTX_free(*check);
}

/* ---- the connection ---- */

/* "192.0.2.1:7000", "[2001:db8::1]:7000", "host:7000". */
static int split(const char *address, char *host, size_t size, const char **ret_port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address) {
        return -EINVAL;
    }
    bool bracket = address[0] == '[' && colon[-1] == ']';
    const char *start = address + (bracket ? 1 : 0);
    *ret_port = colon + 1;
    return text_copy_n(host, size, start, (size_t)(colon - start) - (bracket ? 1 : 0));
}

static int dial(const char *address, int *ret_fd, struct err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    const struct timeval timeout = {.tv_sec = TIMEOUT_S};
    struct addrinfo *list = NULL;
    char host[256];
    const char *port = "";
    int fd = -1;
    int number = EINVAL;
    int rc = split(address, host, sizeof host, &port);
    if (rc == 0 && getaddrinfo(host, port, &hints, &list) != 0) {
        rc = -EHOSTUNREACH;
    }
    for (const struct addrinfo *at = list; at != NULL && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0 ||
                        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0 ||
                        connect(fd, at->ai_addr, at->ai_addrlen) != 0)) {
            number = errno;
            (void)close(fd); /* nothing was said */
            fd = -1;
        }
    }
    if (list != NULL) {
        freeaddrinfo(list);
    }
    if (fd < 0) {
        return err_set_errno(err, rc != 0 ? -rc : number, "the member at %s", address);
    }
    *ret_fd = fd;
    return 0;
}

/* The certificate of the chain that has this fingerprint. */
static X509 *find_pinned(STACK_OF(X509) * chain, const char *fingerprint)
{
    for (int i = 0; i < sk_X509_num(chain); i++) {
        unsigned char digest[EVP_MAX_MD_SIZE];
        char text[SITE_FINGERPRINT];
        unsigned size = 0;
        X509 *certificate = sk_X509_value(chain, i);
        if (X509_digest(certificate, EVP_sha256(), digest, &size) == 1 &&
            size == SITE_FINGERPRINT / 2) {
            text_hex(digest, size, text);
            if (text_equal(text, fingerprint)) {
                return certificate;
            }
        }
    }
    return NULL;
}

/* Whether the CA of the token signed what the other side showed. */
static bool is_believed(const SSL *session, const char *fingerprint)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(session);
    X509 *leaf = SSL_get0_peer_certificate(session);
    X509 *ca = chain != NULL ? find_pinned(chain, fingerprint) : NULL;
    X509_STORE *store CLEANUP(free_store) = X509_STORE_new();
    X509_STORE_CTX *check CLEANUP(free_check) = X509_STORE_CTX_new();
    if (ca == NULL || ca == leaf || leaf == NULL || store == NULL || check == NULL ||
        X509_STORE_add_cert(store, ca) != 1 || X509_STORE_CTX_init(check, store, leaf, NULL) != 1) {
        return false;
    }
    X509_STORE_CTX_set_flags(check, X509_V_FLAG_NO_CHECK_TIME);
    return X509_STORE_CTX_set_purpose(check, X509_PURPOSE_SSL_SERVER) == 1 &&
           X509_verify_cert(check) == 1;
}

static bool transfer(SSL *session, void *data, size_t size, bool reading)
{
    size_t at = 0;
    while (at < size) {
        int done = reading ? SSL_read(session, (char *)data + at, (int)(size - at))
                           : SSL_write(session, (char *)data + at, (int)(size - at));
        if (done <= 0) {
            return false; /* the end, or the time is over */
        }
        at += (size_t)done;
    }
    return true;
}

/* A length, then as many bytes, both ways. */
static int ask(SSL *session, char *request, struct arena *arena, const char **ret_answer,
               struct err *err)
{
    uint8_t length[sizeof(uint32_t)];
    struct bytes_writer writer = bytes_writer(length, sizeof length);
    bytes_put_u32(&writer, (uint32_t)strlen(request));
    if (!transfer(session, length, sizeof length, false) ||
        !transfer(session, request, strlen(request), false) ||
        !transfer(session, length, sizeof length, true)) {
        return err_set(err, ERR_UNAVAILABLE, "the member did not answer");
    }
    struct bytes_reader reader = bytes_reader(length, sizeof length);
    size_t size = bytes_get_u32(&reader);
    if (size == 0 || size > ANSWER_LIMIT) {
        return err_set(err, ERR_CORRUPT, "the member's answer has %zu bytes", size);
    }
    char *answer = arena_alloc(arena, size + 1);
    if (!transfer(session, answer, size, true)) {
        return err_set(err, ERR_UNAVAILABLE, "the member's answer ends early");
    }
    *ret_answer = answer;
    return 0;
}

static int talk(const struct site_token *token, char *request, struct arena *arena,
                const char **ret_answer, struct err *err)
{
    static const unsigned char join[] = {12,  'l', 'e', 'e', 'w', 'a', 'r',
                                         'd', '-', 'j', 'o', 'i', 'n'};
    int fd CLEANUP(descriptor_close) = -1;
    int rc = dial(token->address, &fd, err);
    if (rc != 0) {
        return rc;
    }
    ERR_clear_error();
    SSL_CTX *context CLEANUP(free_context) = SSL_CTX_new(TLS_client_method());
    if (context != NULL) {
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL); /* is_believed looks, before a word */
    }
    SSL *session CLEANUP(free_session) = context != NULL ? SSL_new(context) : NULL;
    if (session == NULL || SSL_set_min_proto_version(session, TLS1_3_VERSION) != 1 ||
        SSL_set_alpn_protos(session, join, sizeof join) != 0 || SSL_set_fd(session, fd) != 1) {
        return err_set(err, ERR_MEMORY, "TLS");
    }
    if (SSL_connect(session) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_UNAVAILABLE, "at %s nobody speaks TLS as a member does",
                       token->address);
    }
    if (!is_believed(session, token->fingerprint)) {
        return err_set(err, ERR_DENIED,
                       "who answers at %s is no member of the cluster that made this token",
                       token->address);
    }
    rc = ask(session, request, arena, ret_answer, err);
    (void)SSL_shutdown(session); /* a goodbye */
    return rc;
}

/* ---- what comes back ---- */

static int take_answer(const char *answer, const char *key, const char *folder,
                       const char *seal_file, struct arena *arena, struct err *err)
{
    json_t *tree CLEANUP(site_release) = json_loads(answer, 0, NULL);
    const char *refusal = site_text(tree, "Error");
    if (refusal[0] != '\0') {
        return err_set(err, ERR_DENIED, "the member refuses: %s", refusal);
    }
    const char *members = site_dump(json_object_get(tree, "Members"), arena);
    if (site_text(tree, "Certificate")[0] == '\0' || site_text(tree, "Ca")[0] == '\0' ||
        members == NULL) {
        return err_set(err, ERR_CORRUPT, "the member's answer cannot be read");
    }
    const struct site_file files[] = {{"ca.crt", site_text(tree, "Ca")},
                                      {"site.crt", site_text(tree, "Certificate")},
                                      {"site.key", key},
                                      {"members.json", members},
                                      {NULL, NULL}};
    int rc = site_folder_write(folder, files, err);
    rc = rc != 0 ? rc : seal_install(seal_file, site_text(tree, "SealKeys"), err);
    rc = rc != 0 ? rc : site_folder_commit(folder, err);
    return rc != 0 ? rc : site_folder_give(folder, err);
}

/* The seal keys' file belongs to who runs the daemon, as its folder does. */
static int give_seal(const char *folder, const char *seal_file, struct err *err)
{
    struct stat status;
    if (geteuid() == 0 &&
        (stat(folder, &status) != 0 || lchown(seal_file, status.st_uid, status.st_gid) != 0)) {
        return err_set_errno(err, errno, "giving %s to the owner of %s", seal_file, folder);
    }
    return 0;
}

int site_join(const char *folder, const char *seal_file, const char *token_text, const char *name,
              const char *peer_address, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    struct site_token token;
    const char *key = NULL;
    const char *request = NULL;
    const char *answer = NULL;
    arena_init(&arena, 0);
    arena_keep_secret(&arena);
    int rc = site_token_read(token_text, &token, err);
    if (rc == 0 && !site_name_is_valid(name)) {
        rc = err_set(err, ERR_INVALID,
                     "'%.80s' is no name of a site (a-z, 0-9 and '-', at most 63)", name);
    }
    if (rc == 0 && site_folder_exists(folder, "site")) {
        rc = err_set(err, ERR_EXISTS, "%s/site is there: this data belongs to a cluster already",
                     folder);
    }
    rc = rc != 0 ? rc : certificate_make_key(&arena, &key, err);
    rc = rc != 0 ? rc : certificate_make_request(key, &arena, &request, err);
    if (rc != 0) {
        return rc;
    }
    json_t *tree CLEANUP(site_release) =
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:s}", "v", 1, "Id", token.id, "Secret", token.secret,
                  "Name", name, "Peer", peer_address, "Request", request);
    char *text = tree != NULL ? json_dumps(tree, JSON_COMPACT) : NULL;
    secret_wipe_memory(token.secret, sizeof token.secret);
    rc = text == NULL ? err_set(err, ERR_MEMORY, "asking to join")
                      : talk(&token, text, &arena, &answer, err);
    if (text != NULL) {
        secret_wipe_memory(text, strlen(text));
    }
    free(text);
    rc = rc != 0 ? rc : take_answer(answer, key, folder, seal_file, &arena, err);
    return rc != 0 ? rc : give_seal(folder, seal_file, err);
}
