/* Who may connect to a site, and what those can do who may not: handshakes, certificates, floods of
 * connections, descriptors that run out. Real sockets and TLS on loopback. */
#include "base/log.h"
#include "base/macro.h"
#include "peer/test_support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ssl.h>

static struct test_ca *ca;
static struct test_ca *other_ca;
static struct test_identity a;
static struct test_identity b;
static struct test_identity c;
static struct test_peer peer;
static int listener;
static int port;

/* And that it is itself a member, as the list says. */
static void knows_b(void)
{
    const struct peer_member members[] = {test_member("a", &a, 1), test_member("b", &b, port)};
    peer_set_members(peer.peer, members, ARRAY_SIZE(members));
    TEST_WAIT(test_seen(&peer, "b").name[0] != '\0');
}

static int set_up(void **state)
{
    listener = test_listen(&port);
    test_peer_start(&peer, ca, "a", &a, test_hurry_of(state));
    knows_b();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_peer_stop(&peer);
    (void)close(listener);
    return 0;
}

static uint64_t refused(void)
{
    return test_counters(&peer).connections_refused;
}

static bool is_welcome(const struct test_identity *identity)
{
    struct test_line line = test_call(&peer, identity, NULL);
    bool welcome = test_is_welcome(&line);
    test_hang_up(&line);
    return welcome;
}

/* The peer still talks with an honest site. */
static void serves(void)
{
    assert_true(is_welcome(&b));
}

/* ---- handshakes ---- */

static void who_says_nothing_is_given_up(void **state)
{
    (void)state;
    const struct test_manner plain = {.plain = true};
    struct test_line line = test_call(&peer, NULL, &plain);
    assert_true(test_is_ended(&line));
    assert_int_equal(refused(), 1);
    test_hang_up(&line);
    serves();
}

static void half_a_handshake_is_given_up(void **state)
{
    (void)state;
    /* A record that is to have 512 bytes, and the start of a ClientHello. */
    static const uint8_t start[] = {22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3};
    const struct test_manner plain = {.plain = true};
    struct test_line line = test_call(&peer, NULL, &plain);
    struct mono since = mono_now();
    for (size_t i = 0; i < sizeof start; i++) {
        if (!test_say(&line, start + i, 1)) {
            break; /* it has ended already, on a machine that is slow */
        }
        const struct timespec pause = {.tv_nsec = 40 * TIME_MS};
        (void)nanosleep(&pause, NULL);
    }
    assert_true(test_is_ended(&line));
    assert_true(mono_since(mono_now(), since) < 20 * TIME_S);
    test_hang_up(&line);
    serves();
}

static void what_is_no_tls_is_refused_at_once(void **state)
{
    (void)state;
    const struct test_manner plain = {.plain = true};
    struct test_line line = test_call(&peer, NULL, &plain);
    assert_true(test_say(&line, "GET / HTTP/1.1\r\n\r\n", 18));
    assert_true(test_is_ended(&line));
    assert_int_equal(refused(), 1);
    test_hang_up(&line);
    serves();
}

static void a_client_that_ends_its_half_is_let_go(void **state)
{
    (void)state;
    const struct test_manner plain = {.plain = true};
    struct test_line early = test_call(&peer, NULL, &plain);
    assert_int_equal(shutdown(early.fd, SHUT_WR), 0);
    assert_true(test_is_ended(&early));
    test_hang_up(&early);
    struct test_line late = test_call(&peer, &b, NULL);
    assert_true(test_is_welcome(&late));
    assert_int_equal(shutdown(late.fd, SHUT_WR), 0); /* without the goodbye of TLS */
    assert_true(test_is_ended(&late));
    test_hang_up(&late);
    TEST_WAIT(test_counters(&peer).connections_lost == 1);
    serves();
}

static void tls_older_than_1_3_is_refused(void **state)
{
    (void)state;
    const struct test_manner old = {.newest_tls = TLS1_2_VERSION};
    struct test_line line = test_call(&peer, &b, &old);
    assert_null(line.session);
    test_hang_up(&line);
    TEST_WAIT(refused() == 1);
    serves();
}

static void protocols_that_nobody_knows_are_refused(void **state)
{
    (void)state;
    static const char *const odd[] = {"\002h2", "\014leeward-peeR", "\013leeward-pee",
                                      "\001\001\001\002"};
    for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
        const struct test_manner manner = {.alpn = odd[i]};
        struct test_line line = test_call(&peer, &b, &manner);
        assert_null(line.session);
        test_hang_up(&line);
    }
    TEST_WAIT(refused() == ARRAY_SIZE(odd));
    serves();
}

static void who_offers_to_join_or_to_talk_is_a_peer(void **state)
{
    (void)state;
    static const char *const both[] = {"", "\014leeward-join\014leeward-peer",
                                       "\002h2\014leeward-peer"};
    for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
        const struct test_manner manner = {.alpn = both[i]};
        struct test_line line = test_call(&peer, &b, &manner);
        assert_true(test_is_welcome(&line));
        test_hang_up(&line);
    }
    assert_int_equal(refused(), 0);
}

/* ---- certificates ---- */

static void refuses(const struct test_identity *identity)
{
    uint64_t before = refused();
    struct test_line line = test_call(&peer, identity, NULL);
    assert_true(test_is_ended(&line));
    test_hang_up(&line);
    TEST_WAIT(refused() == before + 1);
}

static void a_certificate_of_another_ca_is_refused(void **state)
{
    (void)state;
    struct test_identity foreign = test_identity_new(other_ca, "b");
    refuses(&foreign);
    test_identity_free(&foreign);
    serves();
}

static void who_shows_no_certificate_is_refused(void **state)
{
    (void)state;
    refuses(NULL);
    serves();
}

static void a_certificate_of_a_site_that_is_no_member_is_refused(void **state)
{
    (void)state;
    refuses(&c);
    serves();
}

static void another_certificate_for_a_members_name_is_refused(void **state)
{
    (void)state;
    struct test_identity second = test_identity_new(ca, "b");
    refuses(&second);
    test_identity_free(&second);
    serves();
}

static void a_listed_certificate_for_another_name_is_refused(void **state)
{
    (void)state;
    /* The list says that c's certificate is b's. */
    const struct peer_member members[] = {test_member("b", &c, port)};
    peer_set_members(peer.peer, members, 1);
    TEST_WAIT(!is_welcome(&b)); /* known by now */
    assert_false(is_welcome(&c));
}

static void who_calls_itself_as_this_site_is_refused(void **state)
{
    (void)state;
    struct test_identity twin = test_identity_new(ca, "a");
    refuses(&twin);
    refuses(&a); /* its very own certificate */
    test_identity_free(&twin);
    serves();
}

static void a_member_that_is_removed_loses_its_connection(void **state)
{
    (void)state;
    struct test_line line = test_call(&peer, &b, NULL);
    assert_true(test_is_welcome(&line));
    test_peer_knows(&peer, NULL, 0);
    assert_true(test_is_ended(&line));
    test_hang_up(&line);
    refuses(&b);
}

/* The peer calls the member's address, and somebody else answers. */
static void who_answers_in_a_members_place_hears_no_table(void **state)
{
    (void)state;
    struct test_identity foreign = test_identity_new(other_ca, "b");
    struct test_identity second = test_identity_new(ca, "b");
    const struct test_identity *const others[] = {&c, &foreign, &second};
    test_cast(&peer, 1);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        char byte;
        struct test_line line = test_answer(listener, others[i]);
        assert_int_equal(line.session != NULL ? test_listen_to(&line, &byte, 1) : 0, 0);
        test_hang_up(&line);
    }
    assert_int_equal(test_counters(&peer).tables_sent, 0);
    assert_false(test_seen(&peer, "b").reached);
    struct test_line line = test_answer(listener, &b);
    assert_int_equal(test_next_frame(&line).echo_session, 0);
    test_hang_up(&line);
    test_identity_free(&foreign);
    test_identity_free(&second);
}

/* ---- floods ---- */

#define FLOOD 200

static void a_flood_of_connections_takes_few_descriptors_and_keeps_nobody_out(void **state)
{
    (void)state;
    const struct test_manner plain = {.plain = true, .from = "127.0.0.66"};
    static struct test_line lines[FLOOD];
    size_t before = test_descriptors();
    struct test_line honest = test_call(&peer, &b, NULL);
    assert_true(test_is_welcome(&honest));
    for (size_t i = 0; i < FLOOD; i++) {
        lines[i] = test_call(&peer, NULL, &plain);
        if (i % 50 == 0) {
            serves();
        }
    }
    TEST_WAIT(refused() >= FLOOD - STRANGERS_LIMIT);
    assert_true(test_descriptors() <= before + FLOOD + STRANGERS_LIMIT + 4);
    for (size_t i = 0; i < FLOOD; i++) {
        test_hang_up(&lines[i]);
    }
    test_hang_up(&honest);
    TEST_WAIT(test_descriptors() <= before + 2);
}

/* The oldest goes of the network that has the most: one that begins its handshake, and takes its
 * time, is not pushed out by a hundred of somebody else. */
static void a_flood_from_one_address_pushes_out_itself(void **state)
{
    (void)state;
    const struct test_manner slow = {.plain = true, .from = "127.0.0.77"};
    const struct test_manner flood = {.plain = true, .from = "127.0.0.66"};
    static struct test_line lines[FLOOD];
    struct test_line honest = test_call(&peer, NULL, &slow);
    for (size_t i = 0; i < FLOOD; i++) {
        lines[i] = test_call(&peer, NULL, &flood);
    }
    TEST_WAIT(refused() >= FLOOD - STRANGERS_LIMIT);
    char byte;
    assert_int_equal(recv(honest.fd, &byte, 1, MSG_DONTWAIT), -1); /* it stands */
    for (size_t i = 0; i < FLOOD; i++) {
        test_hang_up(&lines[i]);
    }
    test_hang_up(&honest);
}

static void a_flood_from_many_addresses_does_not_push_out_a_members(void **state)
{
    (void)state;
    const struct test_manner member = {.plain = true, .from = "127.0.0.1"};
    static struct test_line lines[FLOOD];
    struct test_line honest = test_call(&peer, NULL, &member);
    for (size_t i = 0; i < FLOOD; i++) {
        char from[32];
        (void)snprintf(from, sizeof from, "127.0.1.%zu", i + 1);
        const struct test_manner flood = {.plain = true, .from = from};
        lines[i] = test_call(&peer, NULL, &flood);
    }
    TEST_WAIT(refused() >= FLOOD - STRANGERS_LIMIT);
    char byte;
    assert_int_equal(recv(honest.fd, &byte, 1, MSG_DONTWAIT), -1);
    for (size_t i = 0; i < FLOOD; i++) {
        test_hang_up(&lines[i]);
    }
    test_hang_up(&honest);
}

static int64_t processor_ns(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * TIME_S +
           ((int64_t)usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * TIME_US;
}

static void without_descriptors_it_waits_and_does_not_spin(void **state)
{
    (void)state;
    struct rlimit before;
    const struct test_manner plain = {.plain = true};
    struct test_line lines[3];
    test_peer_knows(&peer, NULL, 0); /* it calls nobody */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int fd = dup(0); /* the first of five: two pairs, and one to call with that nobody takes */
    struct rlimit few = {.rlim_cur = (rlim_t)fd + 5, .rlim_max = before.rlim_max};
    (void)close(fd);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (int i = 0; i < 2; i++) {
        lines[i] = test_call(&peer, NULL, &plain);
        TEST_WAIT(fcntl(fd + 2 * i + 1, F_GETFD) >= 0);
    }
    lines[2] = test_call(&peer, NULL, &plain);
    int64_t used = processor_ns();
    const struct timespec pause = {.tv_nsec = 400 * TIME_MS};
    (void)nanosleep(&pause, NULL);
    used = processor_ns() - used;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(used < 200 * TIME_MS);
    knows_b();
    serves();
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        test_hang_up(&lines[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_HURRIED(who_says_nothing_is_given_up),
        TEST_HURRIED(half_a_handshake_is_given_up),
        TEST_HURRIED(what_is_no_tls_is_refused_at_once),
        TEST_HURRIED(a_client_that_ends_its_half_is_let_go),
        TEST_HURRIED(tls_older_than_1_3_is_refused),
        TEST_HURRIED(protocols_that_nobody_knows_are_refused),
        TEST_HURRIED(who_offers_to_join_or_to_talk_is_a_peer),
        TEST_HURRIED(a_certificate_of_another_ca_is_refused),
        TEST_HURRIED(who_shows_no_certificate_is_refused),
        TEST_HURRIED(a_certificate_of_a_site_that_is_no_member_is_refused),
        TEST_HURRIED(another_certificate_for_a_members_name_is_refused),
        TEST_HURRIED(a_listed_certificate_for_another_name_is_refused),
        TEST_HURRIED(who_calls_itself_as_this_site_is_refused),
        TEST_HURRIED(a_member_that_is_removed_loses_its_connection),
        TEST_HURRIED(who_answers_in_a_members_place_hears_no_table),
        TEST_PATIENT(a_flood_of_connections_takes_few_descriptors_and_keeps_nobody_out),
        TEST_PATIENT(a_flood_from_one_address_pushes_out_itself),
        TEST_PATIENT(a_flood_from_many_addresses_does_not_push_out_a_members),
        TEST_PATIENT(without_descriptors_it_waits_and_does_not_spin),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_ERROR);
    ca = test_ca_new();
    other_ca = test_ca_new();
    a = test_identity_new(ca, "a");
    b = test_identity_new(ca, "b");
    c = test_identity_new(ca, "c");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_identity_free(&a);
    test_identity_free(&b);
    test_identity_free(&c);
    test_ca_free(ca);
    test_ca_free(other_ca);
    return failed;
}
