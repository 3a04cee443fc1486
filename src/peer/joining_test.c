/* Requests to join, by those who have no certificate: pieces, silence, sizes, floods, and a peer
 * that ends meanwhile. What the request says is the room site's affair. Real sockets and TLS on
 * loopback. */
#include "base/bytes.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/memory.h"
#include "peer/test_support.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct test_ca *ca;
static struct test_identity a;
static struct test_identity foreign;
static struct test_peer peer;

static const struct test_manner asks = {.alpn = "\014leeward-join"};

static int set_up(void **state)
{
    test_peer_start(&peer, ca, "a", &a, test_hurry_of(state));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_peer_stop(&peer);
    return 0;
}

static bool say_length(struct test_line *line, uint32_t length)
{
    uint8_t bytes[sizeof length];
    struct bytes_writer writer = bytes_writer(bytes, sizeof bytes);
    bytes_put_u32(&writer, length);
    return test_say(line, bytes, sizeof bytes);
}

static struct test_line ask(const char *request)
{
    struct test_line line = test_call(&peer, NULL, &asks);
    assert_non_null(line.session);
    assert_true(say_length(&line, (uint32_t)strlen(request)));
    assert_true(test_say(&line, request, strlen(request)));
    return line;
}

/* The size of the answer; 0: none came. */
static uint32_t answer_to(struct test_line *line)
{
    uint8_t length[sizeof(uint32_t)];
    if (test_listen_to(line, length, sizeof length) != sizeof length) {
        return 0;
    }
    struct bytes_reader reader = bytes_reader(length, sizeof length);
    uint32_t size = bytes_get_u32(&reader);
    char *text = memory_new(size);
    assert_int_equal(test_listen_to(line, text, size), size);
    free(text);
    return size;
}

static void still_answers(void)
{
    struct test_line line = ask("{}");
    assert_int_equal(answer_to(&line), peer.answer_size);
    assert_string_equal(peer.request, "{}");
    test_hang_up(&line);
}

static void a_request_in_single_bytes_is_answered(void **state)
{
    (void)state;
    static const char text[] = "{\"Id\":\"0123456789\"}";
    struct test_line line = test_call(&peer, NULL, &asks);
    assert_true(say_length(&line, sizeof text - 1));
    for (size_t i = 0; i < sizeof text - 1; i++) {
        assert_true(test_say(&line, text + i, 1));
    }
    assert_int_equal(answer_to(&line), 2);
    assert_string_equal(peer.request, text);
    test_hang_up(&line);
}

static void what_stands_behind_a_request_is_not_looked_at(void **state)
{
    (void)state;
    struct test_line line = ask("{}");
    IGNORE_RESULT(test_say(&line, "more", 4)); /* it may be gone already */
    TEST_WAIT(test_asked(&peer) == 1);
    test_hang_up(&line);
    still_answers();
}

static void requests_of_impossible_sizes_are_refused_at_once(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, PEER_JOIN_LIMIT + 1, 1U << 31U, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct test_line line = test_call(&peer, NULL, &asks);
        assert_true(say_length(&line, sizes[i]));
        assert_int_equal(answer_to(&line), 0);
        test_hang_up(&line);
        TEST_WAIT(test_counters(&peer).connections_refused == i + 1);
    }
    assert_int_equal(test_asked(&peer), 0);
    still_answers();
}

static void the_longest_request_and_the_longest_answer_pass(void **state)
{
    (void)state;
    char *request = memory_new(PEER_JOIN_LIMIT + 1);
    (void)memset(request, ' ', PEER_JOIN_LIMIT);
    peer.answer_size = PEER_JOIN_LIMIT - 1;
    struct test_line line = ask(request);
    assert_int_equal(answer_to(&line), PEER_JOIN_LIMIT - 1);
    test_hang_up(&line);
    free(request);
}

static void an_empty_answer_ends_the_connection(void **state)
{
    (void)state;
    peer.answer_size = 0;
    struct test_line line = ask("{}");
    assert_true(test_is_ended(&line));
    test_hang_up(&line);
}

static void a_request_that_takes_too_long_is_given_up(void **state)
{
    (void)state;
    struct test_line line = test_call(&peer, NULL, &asks);
    struct mono since = mono_now();
    assert_true(say_length(&line, 1000));
    for (size_t at = 0; at < 1000 && test_say(&line, "x", 1); at++) {
        for (int i = 0; i < 10; i++) {
            test_nap();
        }
    }
    assert_true(mono_since(mono_now(), since) < 18 * TIME_S /* all of it would take 20 */);
    assert_int_equal(test_asked(&peer), 0);
    test_hang_up(&line);
    still_answers();
}

/* However many dawdle: who says all it has to say is answered. */
static void who_dawdles_keeps_nobody_from_joining(void **state)
{
    (void)state;
    struct test_line lines[20];
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        lines[i] = test_call(&peer, NULL, &asks);
        assert_true(say_length(&lines[i], PEER_JOIN_LIMIT));
    }
    struct mono since = mono_now();
    still_answers();
    assert_true(mono_since(mono_now(), since) < 40 * TIME_S); /* one after the other: 100 */
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        test_hang_up(&lines[i]);
    }
}

static void of_those_who_wait_few_come_from_one_address(void **state)
{
    (void)state;
    const struct test_manner other = {.alpn = asks.alpn, .from = "127.0.0.88"};
    struct test_line lines[10];
    test_shut(&peer, true);
    size_t before = test_descriptors();
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        lines[i] = ask("{}");
        TEST_WAIT(i != 0 || test_asked(&peer) == 1);
    }
    /* One is being answered, two wait. */
    TEST_WAIT(test_counters(&peer).connections_refused == ARRAY_SIZE(lines) - 3);
    struct test_line line = test_call(&peer, NULL, &other);
    assert_true(say_length(&line, 2));
    assert_true(test_say(&line, "{}", 2));
    test_shut(&peer, false);
    assert_int_equal(answer_to(&line), 2); /* the fourth */
    assert_int_equal(test_asked(&peer), 4);
    test_hang_up(&line);
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        test_hang_up(&lines[i]);
    }
    TEST_WAIT(test_descriptors() <= before + 1);
}

static void who_shows_a_foreign_certificate_may_not_even_ask(void **state)
{
    (void)state;
    struct test_line line = test_call(&peer, &foreign, &asks);
    if (line.session != NULL) {
        IGNORE_RESULT(say_length(&line, 2));
        assert_true(test_is_ended(&line));
    }
    test_hang_up(&line);
    assert_int_equal(test_asked(&peer), 0);
}

static void who_does_not_take_its_answer_is_left(void **state)
{
    (void)state;
    const struct test_manner narrow = {.alpn = asks.alpn, .receive_room = 1};
    peer.answer_size = PEER_JOIN_LIMIT - 1;
    for (size_t i = 0; i < 3; i++) {
        struct test_line line = test_call(&peer, NULL, &narrow);
        assert_true(say_length(&line, 2));
        assert_true(test_say(&line, "{}", 2));
        TEST_WAIT(test_asked(&peer) == 1 + 2 * i);
        struct mono since = mono_now();
        still_answers();
        assert_true(mono_since(mono_now(), since) < 60 * TIME_S);
        test_hang_up(&line);
    }
}

static void a_peer_that_ends_waits_for_nobody(void **state)
{
    (void)state;
    const struct test_manner narrow = {.alpn = asks.alpn, .receive_room = 1};
    struct test_line silent = test_call(&peer, NULL, &asks);
    assert_true(say_length(&silent, 100));
    struct test_line deaf = test_call(&peer, NULL, &narrow);
    peer.answer_size = PEER_JOIN_LIMIT - 1;
    assert_true(say_length(&deaf, 2));
    assert_true(test_say(&deaf, "{}", 2));
    TEST_WAIT(test_asked(&peer) == 1);
    struct test_line waiting = ask("{}");
    struct mono since = mono_now();
    test_peer_stop(&peer);
    assert_true(mono_since(mono_now(), since) < (REQUEST_MS - 200) * TIME_MS);
    test_peer_start(&peer, ca, "a", &a, 1); /* for tear_down */
    test_hang_up(&silent);
    test_hang_up(&deaf);
    test_hang_up(&waiting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_PATIENT(a_request_in_single_bytes_is_answered),
        TEST_PATIENT(what_stands_behind_a_request_is_not_looked_at),
        TEST_PATIENT(requests_of_impossible_sizes_are_refused_at_once),
        TEST_PATIENT(the_longest_request_and_the_longest_answer_pass),
        TEST_PATIENT(an_empty_answer_ends_the_connection),
        TEST_HURRIED(a_request_that_takes_too_long_is_given_up),
        TEST_PATIENT(who_dawdles_keeps_nobody_from_joining),
        TEST_PATIENT(of_those_who_wait_few_come_from_one_address),
        TEST_PATIENT(who_shows_a_foreign_certificate_may_not_even_ask),
        TEST_HURRIED(who_does_not_take_its_answer_is_left),
        TEST_PATIENT(a_peer_that_ends_waits_for_nobody),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_ERROR);
    ca = test_ca_new();
    struct test_ca *other = test_ca_new();
    a = test_identity_new(ca, "a");
    foreign = test_identity_new(other, "b");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_identity_free(&a);
    test_identity_free(&foreign);
    test_ca_free(other);
    test_ca_free(ca);
    return failed;
}
