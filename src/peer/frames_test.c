/* What a member may send, and what those can do who have a member's certificate: frames that are
 * none, repeated ones, floods, silence, two machines with one identity, one that never reads. Real
 * sockets and TLS on loopback; site "b" is played by hand, "d" is an honest peer beside it. */
#include "base/log.h"
#include "base/macro.h"
#include "base/memory.h"
#include "peer/test_support.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ssl.h>

static struct test_ca *ca;
static struct test_identity a;
static struct test_identity b;
static struct test_identity d;
static struct test_peer peer;
static int listener;
static int port;
static uint8_t frame[TEST_FRAME_LIMIT];

/* "b": what it says, and the frame of the peer that it echoes. */
static struct test_line speaking;
static struct test_line hearing;
static struct frame_header header;

static int port_of(const struct test_peer *of)
{
    struct sockaddr_in address;
    (void)memcpy(&address, &of->address, sizeof address);
    return ntohs(address.sin_port);
}

/* Both connections between the peer and "b", and a frame of the peer to be echoed. */
static int set_up(void **state)
{
    listener = test_listen(&port);
    test_peer_start(&peer, ca, "a", &a, test_hurry_of(state));
    const struct peer_member members[] = {test_member("b", &b, port)};
    peer_set_members(peer.peer, members, 1);
    test_cast(&peer, 3);
    hearing = test_answer(listener, &b);
    assert_non_null(hearing.session);
    struct frame_header theirs = test_next_frame(&hearing);
    speaking = test_call(&peer, &b, NULL);
    assert_true(test_is_welcome(&speaking));
    header = (struct frame_header){.session = 77,
                                   .sequence = 1000,
                                   .echo_session = theirs.session,
                                   .echo_sequence = theirs.sequence};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_peer_stop(&peer);
    test_hang_up(&speaking);
    test_hang_up(&hearing);
    (void)close(listener);
    return 0;
}

static uint64_t refused(void)
{
    return test_counters(&peer).connections_refused;
}

static size_t next_frame(size_t entries)
{
    header.sequence++;
    return test_frame(&header, entries, frame);
}

/* Another connection of "b", on which a table counts. */
static void still_hears(void)
{
    unsigned before = test_heard(&peer);
    test_hang_up(&speaking);
    speaking = test_call(&peer, &b, NULL);
    assert_true(test_is_welcome(&speaking));
    assert_true(test_say(&speaking, frame, next_frame(2)));
    TEST_WAIT(test_heard(&peer) == before + 1);
    assert_int_equal(peer.entries, 2);
}

/* ---- what is no frame ---- */

static void put(size_t at, uint32_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        frame[at + i] = (uint8_t)(value >> 8U * (size - 1 - i));
    }
}

#define ENTRY(n) (FRAME_HEADER + 4U + FRAME_ENTRY * (n))

static void what_is_no_frame_ends_the_connection_and_does_not_count(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        size_t at;
        uint32_t value;
        size_t size;
    } rows[] = {
        {"magic", 0, 0x4C575055, 4},
        {"version 0", 4, 0, 1},
        {"header too short", 6, FRAME_HEADER - 1, 2},
        {"no header", 6, 0, 2},
        {"header too long", 6, FRAME_HEADER_LIMIT + 1, 2},
        {"header of 65,535", 6, 65535, 2},
        {"body too short", 8, 3, 4},
        {"body too long", 8, FRAME_BODY_LIMIT + 1, 4},
        {"body of 4 GiB", 8, UINT32_MAX, 4},
        {"more entries than there are bytes", FRAME_HEADER, 4, 4},
        {"more entries than there may be", FRAME_HEADER, MODEL_BALLOTS_LIMIT + 1, 4},
        {"2^32 - 1 entries", FRAME_HEADER, UINT32_MAX, 4},
        {"entries that overflow 32 bits", FRAME_HEADER, 0x0C30C30DU, 4},
        {"a vote out of range", ENTRY(1) + 16, 3, 1},
        {"a vote of 255", ENTRY(0) + 16, 255, 1},
        {"ids that are not in order", ENTRY(1), 0xFFFF0000U, 4},
        {"an id twice", ENTRY(1), 0, 4},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t before = refused();
        unsigned heard = test_heard(&peer);
        size_t size = next_frame(3);
        put(rows[i].at, rows[i].value, rows[i].size);
        assert_true(test_say(&speaking, frame, size));
        if (!test_is_ended(&speaking) || refused() != before + 1 || test_heard(&peer) != heard) {
            fail_msg("%s was not refused", rows[i].what);
        }
        still_hears();
    }
}

static void what_a_later_version_adds_is_skipped(void **state)
{
    (void)state;
    static uint8_t longer[TEST_FRAME_LIMIT];
    size_t size = next_frame(3);
    frame[4] = 2;                        /* version */
    put(6, FRAME_HEADER + 100, 2);       /* a longer header */
    put(8, 4 + 3 * FRAME_ENTRY + 50, 4); /* and body */
    (void)memcpy(longer, frame, FRAME_HEADER);
    (void)memcpy(longer + FRAME_HEADER + 100, frame + FRAME_HEADER, size - FRAME_HEADER);
    assert_true(test_say(&speaking, longer, size + 150));
    TEST_WAIT(test_heard(&peer) == 1);
    assert_int_equal(peer.entries, 3);
    assert_true(test_say(&speaking, frame, next_frame(1))); /* in step */
    TEST_WAIT(test_heard(&peer) == 2);
    assert_int_equal(peer.entries, 1);
}

static void extreme_numbers_are_only_numbers(void **state)
{
    (void)state;
    header.wall_ns = INT64_MIN;
    header.table_age_ms = UINT32_MAX;
    for (size_t i = 0; i < MODEL_SITES_LIMIT; i++) {
        header.heard[i] = (struct frame_heard){.site = UINT64_MAX, .age_ms = UINT32_MAX};
    }
    assert_true(test_say(&speaking, frame, next_frame(1)));
    TEST_WAIT(test_heard(&peer) == 1);
    assert_true(mono_since(mono_now(), peer.made) > (int64_t)UINT32_MAX * TIME_MS);
    header.wall_ns = INT64_MAX;
    header.table_age_ms = 0;
    header.sequence = UINT64_MAX - 1;
    assert_true(test_say(&speaking, frame, next_frame(1)));
    TEST_WAIT(test_heard(&peer) == 2);
    header.sequence = 0; /* after the last one there is none */
    assert_true(test_say(&speaking, frame, next_frame(1)));
    assert_true(test_is_ended(&speaking));
    assert_int_equal(test_heard(&peer), 2);
}

/* ---- pieces and silence ---- */

static void a_frame_in_single_bytes_counts(void **state)
{
    (void)state;
    size_t size = next_frame(3);
    for (size_t i = 0; i < size; i++) {
        assert_true(test_say(&speaking, frame + i, 1));
    }
    TEST_WAIT(test_heard(&peer) == 1);
}

static void a_frame_that_stops_in_the_middle_is_given_up(void **state)
{
    (void)state;
    static const size_t cuts[] = {1, FRAME_START, FRAME_START + 1, FRAME_HEADER + 5};
    for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
        (void)next_frame(3);
        assert_true(test_say(&speaking, frame, cuts[i]));
        assert_true(test_is_ended(&speaking));
        still_hears();
    }
    assert_int_equal(test_counters(&peer).connections_lost, ARRAY_SIZE(cuts));
}

static void a_frame_that_never_ends_is_given_up(void **state)
{
    (void)state;
    size_t size = next_frame(3);
    struct mono since = mono_now();
    for (size_t at = 0; at < size && test_say(&speaking, frame + at, 1); at++) {
        for (int i = 0; i < 10; i++) {
            test_nap(); /* 20 ms a byte: 8 s for all of it */
        }
    }
    assert_true(mono_since(mono_now(), since) < 60 * TIME_S);
    still_hears();
}

/* ---- what comes again ---- */

static void a_sequence_that_goes_back_ends_the_connection(void **state)
{
    (void)state;
    static const uint64_t back[] = {0, 1, 1000};
    for (size_t i = 0; i < ARRAY_SIZE(back); i++) {
        assert_true(test_say(&speaking, frame, next_frame(2)));
        unsigned heard = i == 0 ? 1 : test_heard(&peer) + 1;
        TEST_WAIT(test_heard(&peer) == heard);
        struct frame_header old = header;
        old.sequence -= back[i];
        assert_true(test_say(&speaking, frame, test_frame(&old, 2, frame)));
        assert_true(test_is_ended(&speaking));
        assert_int_equal(test_heard(&peer), heard);
        still_hears();
    }
    assert_int_equal(refused(), ARRAY_SIZE(back));
}

static void a_frame_that_echoes_nothing_of_ours_does_not_count(void **state)
{
    (void)state;
    struct frame_header honest = header;
    const struct frame_header rows[] = {
        {.echo_session = 0, .echo_sequence = 0},
        {.echo_session = honest.echo_session + 1, .echo_sequence = honest.echo_sequence},
        {.echo_session = honest.echo_session, .echo_sequence = honest.echo_sequence + 1000},
        {.echo_session = honest.echo_session, .echo_sequence = honest.echo_sequence - SENT_KEPT},
        {.echo_session = honest.echo_session, .echo_sequence = 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        header.echo_session = rows[i].echo_session;
        header.echo_sequence = rows[i].echo_sequence;
        assert_true(test_say(&speaking, frame, next_frame(2)));
        TEST_WAIT(test_counters(&peer).tables_unproven == i + 1);
    }
    assert_int_equal(test_heard(&peer), 0);
    assert_int_equal(test_seen(&peer, "b").heard_ms, -1);
}

/* A frame of before a restart, sent once more. */
static void an_old_frame_of_a_former_session_is_refused(void **state)
{
    (void)state;
    assert_true(test_say(&speaking, frame, next_frame(2)));
    TEST_WAIT(test_heard(&peer) == 1);
    struct frame_header former = header;
    header.session = 78;
    header.sequence = 1;
    assert_true(test_say(&speaking, frame, next_frame(2)));
    TEST_WAIT(test_heard(&peer) == 2);
    former.sequence++;
    assert_true(test_say(&speaking, frame, test_frame(&former, 2, frame)));
    assert_true(test_is_ended(&speaking));
    assert_int_equal(test_heard(&peer), 2);
    still_hears();
}

/* A copied machine: the process that was heard first later is heard, and the other one does not
 * even end its connection. When it has been silent for long the other one counts. */
static void of_two_that_call_themselves_the_same_one_is_heard(void **state)
{
    (void)state;
    assert_true(test_say(&speaking, frame, next_frame(2)));
    TEST_WAIT(test_heard(&peer) == 1);
    struct frame_header first = header;
    struct test_line second = test_call(&peer, &b, NULL);
    assert_true(test_is_welcome(&second));
    header.session = 99;
    assert_true(test_say(&second, frame, next_frame(2)));
    TEST_WAIT(test_heard(&peer) == 2);
    assert_true(test_is_ended(&speaking));
    for (unsigned i = 0; i < 3; i++) {
        test_hang_up(&speaking);
        speaking = test_call(&peer, &b, NULL);
        assert_true(test_is_welcome(&speaking));
        first.sequence++;
        assert_true(test_say(&speaking, frame, test_frame(&first, 2, frame)));
        assert_true(test_is_ended(&speaking));
        assert_true(test_say(&second, frame, next_frame(2)));
        TEST_WAIT(test_heard(&peer) == 3 + i);
    }
    assert_true(test_is_ended(&second)); /* silent */
    test_hang_up(&second);
    header = first;
    still_hears();
}

/* ---- too much ---- */

/* "d" beside "b": it and the peer have reached each other. */
static void start_honest(struct test_peer *honest, int64_t hurry)
{
    test_peer_start(honest, ca, "d", &d, hurry);
    const struct peer_member members[] = {test_member("b", &b, port),
                                          test_member("d", &d, port_of(honest))};
    const struct peer_member back[] = {test_member("a", &a, port_of(&peer))};
    peer_set_members(peer.peer, members, 2);
    peer_set_members(honest->peer, back, 1);
    TEST_WAIT(test_seen(&peer, "d").reached && test_seen(honest, "a").reached);
}

static void a_flood_of_frames_holds_up_nobody(void **state)
{
    (void)state;
    struct test_peer honest;
    start_honest(&honest, 1);
    unsigned sent = 0;
    unsigned before = test_heard(&honest);
    unsigned casts = 0;
    struct mono since = mono_now();
    while (casts < 10 || test_heard(&honest) < before + 5) {
        for (unsigned i = 0; i < 20; i++, sent++) {
            assert_true(test_say(&speaking, frame, next_frame(3000)));
        }
        test_cast(&peer, casts++ % 5);
        test_cast(&honest, 1);
        assert_true(mono_since(mono_now(), since) < 120 * TIME_S);
    }
    TEST_WAIT(test_counters(&peer).tables_heard >= sent);
    test_peer_stop(&honest);
}

/* "hearing" takes nothing. */
static void cast_until_given_up(struct test_peer *honest)
{
    struct mono since = mono_now();
    while (test_seen(&peer, "b").reached) {
        test_cast(&peer, 20000);
        test_cast(honest, 1);
        test_nap();
        assert_true(mono_since(mono_now(), since) < 120 * TIME_S);
    }
}

/* Its receive buffer stays full: what waits for it is one table, and others get theirs. */
static void who_never_reads_costs_one_table_and_holds_up_nobody(void **state)
{
    (void)state;
    struct test_peer honest;
    start_honest(&honest, TEST_HURRY);
    unsigned before = test_heard(&honest);
    for (unsigned rounds = 0;; rounds++) {
        cast_until_given_up(&honest);
        if (test_counters(&peer).tables_replaced > 0) {
            break;
        }
        assert_true(rounds < 100); /* on a busy machine it was given up before it was full */
        test_hang_up(&hearing);
        hearing = test_answer(listener, &b);
        assert_non_null(hearing.session);
        for (unsigned naps = 0; naps < 100 && !test_seen(&peer, "b").reached; naps++) {
            test_nap();
        }
    }
    while (test_heard(&honest) <= before) { /* it may be given up for a moment, too */
        test_cast(&peer, 1);
        test_nap();
    }
    TEST_WAIT(test_seen(&peer, "d").reached);
    test_hang_up(&hearing); /* and when it is back, the newest table goes to it */
    hearing = test_answer(listener, &b);
    assert_non_null(hearing.session);
    (void)test_next_frame(&hearing);
    test_peer_stop(&honest);
}

static void a_table_for_a_peer_that_says_what_it_must_not_is_kept_for_others(void **state)
{
    (void)state;
    assert_true(test_say(&hearing, "hello", 5)); /* nothing is said on this connection */
    TEST_WAIT(test_counters(&peer).connections_lost == 1);
    test_hang_up(&hearing);
    hearing = test_answer(listener, &b);
    assert_non_null(hearing.session);
    (void)test_next_frame(&hearing);
}

static int64_t processor_ns(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * TIME_S +
           ((int64_t)usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * TIME_US;
}

/* Changes of keys are the one thing that a TLS 1.3 client may ask for at any time, and that has to
 * be answered. */
static void changes_of_keys_are_answered(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(SSL_key_update(speaking.session, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_true(test_say(&speaking, frame, next_frame(2)));
    }
    TEST_WAIT(test_heard(&peer) == 50);
}

static void answers_to_changes_of_keys_that_nobody_reads_do_not_make_it_spin(void **state)
{
    (void)state;
    const struct test_manner narrow = {.receive_room = 1};
    test_hang_up(&speaking);
    speaking = test_call(&peer, &b, &narrow);
    assert_true(test_is_welcome(&speaking));
    const struct timeval limit = {.tv_usec = 200000};
    const int little = 4096;
    assert_int_equal(setsockopt(speaking.fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof little), 0);
    assert_int_equal(setsockopt(speaking.fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
    unsigned changes = 0;
    while (SSL_key_update(speaking.session, SSL_KEY_UPDATE_REQUESTED) == 1 &&
           SSL_do_handshake(speaking.session) == 1) {
        changes++; /* until it does not read on, as its answers have no room */
        assert_true(changes < 100000);
    }
    int64_t used = processor_ns();
    const struct timespec pause = {.tv_nsec = 400 * TIME_MS};
    (void)nanosleep(&pause, NULL);
    used = processor_ns() - used;
    assert_true(used < 200 * TIME_MS);
    struct test_line other = test_call(&peer, &b, NULL);
    assert_true(test_is_welcome(&other));
    test_hang_up(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_PATIENT(what_is_no_frame_ends_the_connection_and_does_not_count),
        TEST_PATIENT(what_a_later_version_adds_is_skipped),
        TEST_PATIENT(extreme_numbers_are_only_numbers),
        TEST_HURRIED(a_frame_in_single_bytes_counts),
        TEST_HURRIED(a_frame_that_stops_in_the_middle_is_given_up),
        TEST_HURRIED(a_frame_that_never_ends_is_given_up),
        TEST_PATIENT(a_sequence_that_goes_back_ends_the_connection),
        TEST_PATIENT(a_frame_that_echoes_nothing_of_ours_does_not_count),
        TEST_PATIENT(an_old_frame_of_a_former_session_is_refused),
        TEST_HURRIED(of_two_that_call_themselves_the_same_one_is_heard),
        TEST_PATIENT(a_flood_of_frames_holds_up_nobody),
        TEST_HURRIED(who_never_reads_costs_one_table_and_holds_up_nobody),
        TEST_PATIENT(a_table_for_a_peer_that_says_what_it_must_not_is_kept_for_others),
        TEST_PATIENT(changes_of_keys_are_answered),
        TEST_PATIENT(answers_to_changes_of_keys_that_nobody_reads_do_not_make_it_spin),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_ERROR);
    ca = test_ca_new();
    a = test_identity_new(ca, "a");
    b = test_identity_new(ca, "b");
    d = test_identity_new(ca, "d");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_identity_free(&a);
    test_identity_free(&b);
    test_identity_free(&d);
    test_ca_free(ca);
    return failed;
}
