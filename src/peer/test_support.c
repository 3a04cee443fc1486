/* See test_support.h. */
#include "peer/test_support.h"

#include "base/memory.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

void test_require(bool holds, const char *what, const char *file, int line)
{
    if (!holds) {
        (void)fprintf(stderr, "%s:%d: not so: %s\n", file, line, what); /* for who looks */
        abort();
    }
}

int64_t test_hurry_of(void *const *state)
{
    return *(const int64_t *)*state;
}

/* ---- certificates ---- */

struct test_ca {
    EVP_PKEY *key;
    X509 *certificate;
    char *pem;
};

static char *text_of(BIO *bio)
{
    char *data = NULL;
    long size = BIO_get_mem_data(bio, &data);
    char *text = memory_new((size_t)size + 1);
    (void)memcpy(text, data, (size_t)size);
    (void)BIO_free(bio);
    return text;
}

static char *certificate_text(X509 *certificate)
{
    BIO *bio = BIO_new(BIO_s_mem());
    TEST_REQUIRE(PEM_write_bio_X509(bio, certificate) == 1);
    return text_of(bio);
}

static void extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    TEST_REQUIRE(X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static X509 *new_certificate(EVP_PKEY *key, const char *name)
{
    static long serial = 1;
    const unsigned char *text = (const unsigned char *)name;
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_get_subject_name(certificate);
    TEST_REQUIRE(X509_set_version(certificate, X509_VERSION_3) == 1);
    TEST_REQUIRE(ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++) == 1);
    TEST_REQUIRE(X509_gmtime_adj(X509_getm_notBefore(certificate), -60) != NULL);
    TEST_REQUIRE(X509_gmtime_adj(X509_getm_notAfter(certificate), 3600) != NULL);
    TEST_REQUIRE(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, text, -1, -1, 0) == 1);
    TEST_REQUIRE(X509_set_pubkey(certificate, key) == 1);
    return certificate;
}

struct test_ca *test_ca_new(void)
{
    struct test_ca *ca = memory_new(sizeof *ca);
    ca->key = EVP_EC_gen("prime256v1");
    ca->certificate = new_certificate(ca->key, "CA of a test");
    TEST_REQUIRE(X509_set_issuer_name(ca->certificate, X509_get_subject_name(ca->certificate)) ==
                 1);
    extend(ca->certificate, ca->certificate, NID_basic_constraints, "critical,CA:TRUE");
    TEST_REQUIRE(X509_sign(ca->certificate, ca->key, EVP_sha256()) != 0);
    ca->pem = certificate_text(ca->certificate);
    return ca;
}

void test_ca_free(struct test_ca *take_ca)
{
    EVP_PKEY_free(take_ca->key);
    X509_free(take_ca->certificate);
    free(take_ca->pem);
    free(take_ca);
}

const char *test_ca_pem(const struct test_ca *ca)
{
    return ca->pem;
}

struct test_identity test_identity_new(struct test_ca *ca, const char *name)
{
    struct test_identity identity = {.key = NULL};
    char alternative[128];
    unsigned size = 0;
    EVP_PKEY *key = EVP_EC_gen("prime256v1");
    X509 *certificate = new_certificate(key, name);
    (void)snprintf(alternative, sizeof alternative, "DNS:%s", name);
    TEST_REQUIRE(X509_set_issuer_name(certificate, X509_get_subject_name(ca->certificate)) == 1);
    extend(certificate, ca->certificate, NID_basic_constraints, "critical,CA:FALSE");
    extend(certificate, ca->certificate, NID_ext_key_usage, "serverAuth,clientAuth");
    extend(certificate, ca->certificate, NID_subject_alt_name, alternative);
    TEST_REQUIRE(X509_sign(certificate, ca->key, EVP_sha256()) != 0);
    BIO *bio = BIO_new(BIO_s_mem());
    TEST_REQUIRE(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    identity.key = text_of(bio);
    identity.certificate = certificate_text(certificate);
    TEST_REQUIRE(X509_digest(certificate, EVP_sha256(), identity.fingerprint, &size) == 1);
    EVP_PKEY_free(key);
    X509_free(certificate);
    return identity;
}

void test_identity_free(struct test_identity *identity)
{
    free(identity->certificate);
    free(identity->key);
}

/* ---- the peer that is tested ---- */

static void heard(void *context, const char *site, struct model_ballots *take_ballots)
{
    struct test_peer *peer = context;
    (void)pthread_mutex_lock(&peer->mutex);
    peer->heard++;
    peer->entries = take_ballots->count;
    peer->made = take_ballots->made;
    IGNORE_RESULT(text_copy(peer->site, sizeof peer->site, site)); /* it fits */
    (void)pthread_mutex_unlock(&peer->mutex);
    free(take_ballots);
}

static bool is_shut(struct test_peer *peer)
{
    (void)pthread_mutex_lock(&peer->mutex);
    bool shut = peer->shut;
    (void)pthread_mutex_unlock(&peer->mutex);
    return shut;
}

void test_shut(struct test_peer *peer, bool shut)
{
    (void)pthread_mutex_lock(&peer->mutex);
    peer->shut = shut;
    (void)pthread_mutex_unlock(&peer->mutex);
}

static void join(void *context, const char *request, struct buf *answer)
{
    struct test_peer *peer = context;
    (void)pthread_mutex_lock(&peer->mutex);
    size_t size = peer->answer_size;
    peer->asked++;
    (void)snprintf(peer->request, sizeof peer->request, "%s", request);
    (void)pthread_mutex_unlock(&peer->mutex);
    while (is_shut(peer)) {
        test_nap();
    }
    for (size_t i = 0; i < size; i++) {
        buf_puts(answer, "x");
    }
}

void test_peer_start(struct test_peer *peer, struct test_ca *ca, const char *site,
                     const struct test_identity *identity, int64_t hurry)
{
    struct err err = ERR_INIT;
    struct sockaddr_storage address = {0};
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *peer = (struct test_peer){.answer_size = 2};
    (void)memcpy(&address, &any, sizeof any);
    (void)pthread_mutex_init(&peer->mutex, NULL);
    struct peer_config config = {.site = site,
                                 .certificate_pem = identity->certificate,
                                 .key_pem = identity->key,
                                 .ca_pem = ca->pem,
                                 .heard = heard,
                                 .join = join,
                                 .context = peer,
                                 .hurry = hurry};
    TEST_REQUIRE(peer_listen(&address, &config.listener, &peer->address, &err) == 0);
    const int narrow = 4096; /* what it accepts has that, too: soon full */
    TEST_REQUIRE(setsockopt(config.listener, SOL_SOCKET, SO_SNDBUF, &narrow, sizeof narrow) == 0);
    TEST_REQUIRE(setsockopt(config.listener, SOL_SOCKET, SO_RCVBUF, &narrow, sizeof narrow) == 0);
    TEST_REQUIRE(peer_start(&config, &peer->peer, &err) == 0);
}

void test_peer_stop(struct test_peer *peer)
{
    peer_stop(peer->peer);
    (void)pthread_mutex_destroy(&peer->mutex);
}

struct peer_counters test_counters(struct test_peer *peer)
{
    struct peer_counters counters;
    peer_count(peer->peer, &counters);
    return counters;
}

unsigned test_heard(struct test_peer *peer)
{
    (void)pthread_mutex_lock(&peer->mutex);
    unsigned count = peer->heard;
    (void)pthread_mutex_unlock(&peer->mutex);
    return count;
}

unsigned test_asked(struct test_peer *peer)
{
    (void)pthread_mutex_lock(&peer->mutex);
    unsigned count = peer->asked;
    (void)pthread_mutex_unlock(&peer->mutex);
    return count;
}

void test_peer_knows(struct test_peer *peer, const struct peer_member *members, size_t count)
{
    struct peer_seen seen[MODEL_SITES_LIMIT];
    peer_set_members(peer->peer, members, count);
    TEST_WAIT(peer_look(peer->peer, seen) == count);
}

struct peer_member test_member(const char *name, const struct test_identity *identity, int port)
{
    struct peer_member member = {.name = ""};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    (void)memcpy(&member.address, &address, sizeof address);
    (void)memcpy(member.fingerprint, identity->fingerprint, sizeof member.fingerprint);
    TEST_REQUIRE(text_copy(member.name, sizeof member.name, name) == 0);
    return member;
}

void test_cast(struct test_peer *peer, size_t count)
{
    struct model_ballots *ballots =
        memory_new(sizeof *ballots + count * sizeof ballots->entries[0]);
    ballots->made = mono_now();
    ballots->count = count;
    for (size_t i = 0; i < count; i++) {
        uint32_t number = htonl((uint32_t)i);
        (void)memcpy(ballots->entries[i].id, &number, sizeof number);
        ballots->entries[i].vote = MODEL_VOTE_HEALTHY;
    }
    peer_cast(peer->peer, ballots);
}

struct peer_seen test_seen(struct test_peer *peer, const char *name)
{
    struct peer_seen seen[MODEL_SITES_LIMIT];
    size_t count = peer_look(peer->peer, seen);
    for (size_t i = 0; i < count; i++) {
        if (text_equal(seen[i].name, name)) {
            return seen[i];
        }
    }
    return (struct peer_seen){.heard_ms = -1};
}

void test_nap(void)
{
    const struct timespec nap = {.tv_nsec = 2 * TIME_MS};
    (void)nanosleep(&nap, NULL);
}

/* ---- the other end ---- */

static const char peers_alpn[] = "\014leeward-peer";

static void set_limits(int fd)
{
    const struct timeval limit = {.tv_sec = 60};
    TEST_REQUIRE(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    TEST_REQUIRE(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0);
}

int test_listen(int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    TEST_REQUIRE(bind(fd, (struct sockaddr *)&address, size) == 0);
    TEST_REQUIRE(listen(fd, 64) == 0);
    TEST_REQUIRE(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    set_limits(fd);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void use_identity(SSL_CTX *context, const struct test_identity *identity)
{
    BIO *bio = BIO_new_mem_buf(identity->certificate, -1);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    (void)BIO_free(bio);
    bio = BIO_new_mem_buf(identity->key, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    (void)BIO_free(bio);
    TEST_REQUIRE(SSL_CTX_use_certificate(context, certificate) == 1);
    TEST_REQUIRE(SSL_CTX_use_PrivateKey(context, key) == 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static struct test_line new_line(int fd, const struct test_identity *identity)
{
    struct test_line line = {.fd = fd, .context = SSL_CTX_new(TLS_method())};
    if (identity != NULL) {
        use_identity(line.context, identity);
    }
    line.session = SSL_new(line.context);
    TEST_REQUIRE(SSL_set_fd(line.session, fd) == 1);
    return line;
}

/* The handshake failed: the connection stays, to be looked at. */
static void forget_session(struct test_line *line)
{
    SSL_free(line->session);
    line->session = NULL;
}

struct test_line test_answer(int listener, const struct test_identity *identity)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    TEST_REQUIRE(fd >= 0);
    set_limits(fd);
    struct test_line line = new_line(fd, identity);
    const uint8_t welcome = WELCOME;
    if (SSL_accept(line.session) != 1) {
        forget_session(&line);
    } else {
        IGNORE_RESULT(SSL_write(line.session, &welcome, 1)); /* it may be gone again */
    }
    return line;
}

struct test_line test_call(const struct test_peer *peer, const struct test_identity *identity,
                           const struct test_manner *manner)
{
    const struct test_manner honest = {.alpn = NULL};
    manner = manner != NULL ? manner : &honest;
    const char *alpn = manner->alpn != NULL ? manner->alpn : peers_alpn;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    TEST_REQUIRE(fd >= 0);
    set_limits(fd);
    if (manner->receive_room != 0) {
        TEST_REQUIRE(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &manner->receive_room, sizeof(int)) ==
                     0);
    }
    if (manner->from != NULL) {
        struct sockaddr_in from = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = inet_addr(manner->from)};
        TEST_REQUIRE(bind(fd, (struct sockaddr *)&from, sizeof from) == 0);
    }
    TEST_REQUIRE(
        (connect(fd, (const struct sockaddr *)&peer->address, sizeof(struct sockaddr_in))) == (0));
    if (manner->plain) {
        return (struct test_line){.fd = fd};
    }
    struct test_line line = new_line(fd, identity);
    if (manner->newest_tls != 0) {
        TEST_REQUIRE(SSL_set_max_proto_version(line.session, manner->newest_tls) == 1);
    }
    if (alpn[0] != '\0') {
        TEST_REQUIRE(SSL_set_alpn_protos(line.session, (const unsigned char *)alpn,
                                         (unsigned)strlen(alpn)) == 0);
    }
    if (SSL_connect(line.session) != 1) {
        forget_session(&line);
    }
    return line;
}

void test_hang_up(struct test_line *line)
{
    SSL_free(line->session);
    SSL_CTX_free(line->context);
    (void)close(line->fd);
}

bool test_say(struct test_line *line, const void *data, size_t size)
{
    size_t at = 0;
    while (at < size) {
        ssize_t sent = line->session != NULL
                           ? SSL_write(line->session, (const char *)data + at, (int)(size - at))
                           : send(line->fd, (const char *)data + at, size - at, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        at += (size_t)sent;
    }
    return true;
}

size_t test_listen_to(struct test_line *line, void *data, size_t size)
{
    size_t at = 0;
    while (at < size) {
        ssize_t got = line->session != NULL
                          ? SSL_read(line->session, (char *)data + at, (int)(size - at))
                          : recv(line->fd, (char *)data + at, size - at, 0);
        if (got <= 0) {
            return at;
        }
        at += (size_t)got;
    }
    return at;
}

bool test_is_ended(struct test_line *line)
{
    char byte;
    struct mono since = mono_now();
    if (line->session != NULL) {
        (void)test_listen_to(line, &byte, 1); /* a welcome, or nothing */
    }
    while (recv(line->fd, &byte, 1, 0) > 0) {
    }
    return mono_since(mono_now(), since) < 59 * TIME_S;
}

bool test_is_welcome(struct test_line *line)
{
    uint8_t byte = 0;
    return line->session != NULL && test_listen_to(line, &byte, 1) == 1 && byte == WELCOME;
}

struct frame_header test_next_frame(struct test_line *line)
{
    uint8_t frame[FRAME_HEADER];
    size_t header_size = 0;
    size_t body_size = 0;
    struct frame_header header = {0};
    struct err err = ERR_INIT;
    TEST_REQUIRE(test_listen_to(line, frame, sizeof frame) == sizeof frame);
    TEST_REQUIRE(frame_measure(frame, &header_size, &body_size, &err) == 0);
    TEST_REQUIRE(header_size == FRAME_HEADER);
    TEST_REQUIRE(frame_read_header(frame, header_size, &header, &err) == 0);
    uint8_t *body = memory_new(body_size);
    TEST_REQUIRE(test_listen_to(line, body, body_size) == body_size);
    free(body);
    return header;
}

size_t test_frame(const struct frame_header *header, size_t entries,
                  uint8_t frame[TEST_FRAME_LIMIT])
{
    struct model_ballots *ballots =
        memory_new(sizeof *ballots + entries * sizeof ballots->entries[0]);
    ballots->count = entries;
    for (size_t i = 0; i < entries; i++) {
        ballots->entries[i].id[0] = (uint8_t)(i >> 8U);
        ballots->entries[i].id[1] = (uint8_t)i;
        ballots->entries[i].vote = MODEL_VOTE_HEALTHY;
    }
    size_t size = frame_body_size(ballots);
    TEST_REQUIRE(FRAME_HEADER + size <= TEST_FRAME_LIMIT);
    frame_write_header(header, size, frame);
    frame_write_body(ballots, frame + FRAME_HEADER);
    free(ballots);
    return FRAME_HEADER + size;
}

size_t test_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t count = 0;
    TEST_REQUIRE(folder != NULL);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the folder is this thread's */
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    return count;
}
