/* For tests of this room: certificates of a CA made on the spot, a peer that is tested (site "a"),
 * and the other end of its connections by hand, blocking, with time limits: what an honest site
 * does, and anything else. Thread: the test's; what the peer has heard is behind a mutex. */
#ifndef PEER_TEST_SUPPORT_H
#define PEER_TEST_SUPPORT_H

#include "peer/channel.h"
#include "peer/frame.h"
#include "peer/internal.h"
#include "peer/peer.h"

#include <stddef.h>

#define TEST_HURRY 10 /* 10 s of silence are one */

/* Tests of a program with set_up and tear_down of its own: with a peer in a hurry, or with one that
 * is patient, where what is open stays open during the test, however busy the machine is. */
#define TEST_HURRIED(test) TEST_WITH(test, TEST_HURRY)
#define TEST_PATIENT(test) TEST_WITH(test, 1)
#define TEST_WITH(test, hurry)                                                                     \
    cmocka_unit_test_prestate_setup_teardown(test, set_up, tear_down, &(int64_t){hurry})
/* For set_up: which of them it is. */
int64_t test_hurry_of(void *const *state);

/* Ends the program where it does not hold. */
#define TEST_REQUIRE(condition) test_require((condition), #condition, __FILE__, __LINE__)
void test_require(bool holds, const char *what, const char *file, int line);

struct test_ca;

struct test_identity {
    char *certificate; /* PEM */
    char *key;
    uint8_t fingerprint[PEER_FINGERPRINT];
};

struct test_ca *test_ca_new(void);
void test_ca_free(struct test_ca *take_ca);
const char *test_ca_pem(const struct test_ca *ca);
struct test_identity test_identity_new(struct test_ca *ca, const char *name);
void test_identity_free(struct test_identity *identity);

/* ---- the peer that is tested ---- */

struct test_peer {
    struct peer *peer;
    struct sockaddr_storage address;
    pthread_mutex_t mutex;
    unsigned heard; /* tables that counted */
    char site[MODEL_SITE_NAME];
    size_t entries; /* of the newest one */
    struct mono made;
    unsigned asked; /* requests to join */
    char request[256];
    size_t answer_size; /* of the answers to them */
    bool shut;          /* none is answered for now */
};

void test_peer_start(struct test_peer *peer, struct test_ca *ca, const char *site,
                     const struct test_identity *identity, int64_t hurry);
void test_peer_stop(struct test_peer *peer);
struct peer_counters test_counters(struct test_peer *peer);
unsigned test_heard(struct test_peer *peer);
unsigned test_asked(struct test_peer *peer);
void test_shut(struct test_peer *peer, bool shut);
/* Knows these members; the addresses are those of listeners. */
void test_peer_knows(struct test_peer *peer, const struct peer_member *members, size_t count);
struct peer_member test_member(const char *name, const struct test_identity *identity, int port);
/* A table of so many checks. */
void test_cast(struct test_peer *peer, size_t count);
struct peer_seen test_seen(struct test_peer *peer, const char *name);

/* Until `condition` holds; fails the test after ten seconds. */
#define TEST_WAIT(condition)                                                                       \
    do {                                                                                           \
        struct mono test_since = mono_now();                                                       \
        while (!(condition)) {                                                                     \
            TEST_REQUIRE(mono_since(mono_now(), test_since) < 120 * TIME_S);                       \
            test_nap();                                                                            \
        }                                                                                          \
    } while (0)
void test_nap(void);

/* ---- the other end, by hand ---- */

struct test_line {
    int fd;
    struct ssl_ctx_st *context;
    struct ssl_st *session;
};

/* How to speak; zeroes are an honest site. */
struct test_manner {
    const char *alpn; /* in wire form, "" for none; NULL: that of peers */
    const char *from; /* address to come from; NULL: any */
    int receive_room; /* SO_RCVBUF; 0: as it is */
    long newest_tls;  /* 0: 1.3 */
    bool plain;       /* TCP alone */
};

/* A listener for an honest site that is called by the peer. */
int test_listen(int *ret_port);
/* The peer's call: handshake and welcome. */
struct test_line test_answer(int listener, const struct test_identity *identity);
/* Calls the peer; session is NULL where the handshake failed. identity: NULL: no certificate. */
struct test_line test_call(const struct test_peer *peer, const struct test_identity *identity,
                           const struct test_manner *manner);
void test_hang_up(struct test_line *line);
/* Whether all of it went out. */
bool test_say(struct test_line *line, const void *data, size_t size);
/* How many bytes came before the end, or the time was over. */
size_t test_listen_to(struct test_line *line, void *data, size_t size);
/* Whether the other side ended it, within five seconds; what comes before is dropped. */
bool test_is_ended(struct test_line *line);
/* The welcome has come. */
bool test_is_welcome(struct test_line *line);
/* The next frame's header. */
struct frame_header test_next_frame(struct test_line *line);

#define TEST_FRAME_LIMIT 65536U
/* A frame of so many entries; its size. */
size_t test_frame(const struct frame_header *header, size_t entries,
                  uint8_t frame[TEST_FRAME_LIMIT]);

size_t test_descriptors(void);

#endif
