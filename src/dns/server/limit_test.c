/* Tests of the rate limit: the table and its arithmetic, with a clock of their own. */
#include "dns/server/limit.h"

#include "dns/wire/message.h"
#include "dns/zone/zone_set.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static union socket_address from(const char *text)
{
    union socket_address address = {0};
    if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
        address.v4.sin_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &address.v6.sin6_addr), 1);
        address.v6.sin6_family = AF_INET6;
    }
    return address;
}

static const struct zone zone_a;
static const struct zone zone_b;

/* Headers of responses: an answer, NXDOMAIN, a referral, REFUSED. */
static const uint8_t positive[512] = {0, 0, 0x84, 0, 0, 1, 0, 1};
static const uint8_t negative[512] = {0, 0, 0x84, 3, 0, 1, 0, 0, 0, 1};
static const uint8_t referral[512] = {0, 0, 0x80, 0, 0, 1, 0, 0, 0, 1};
static const uint8_t refused[512] = {0, 0, 0x80, 5, 0, 1};

static struct answer_outcome outcome(const uint8_t *response, const struct zone *zone)
{
    return (struct answer_outcome){.zone = zone, .rcode = response[3]};
}

struct tally {
    unsigned sent;
    unsigned slipped;
    unsigned dropped;
};

static struct tally draw(struct limit *limit, const char *source, const uint8_t *response,
                         const struct zone *zone, unsigned count, int64_t now)
{
    struct tally tally = {0};
    union socket_address address = from(source);
    struct answer_outcome what = outcome(response, zone);
    for (unsigned i = 0; i < count; i++) {
        enum limit_verdict verdict =
            limit_judge(limit, &address, &what, response, (struct mono){now});
        tally.sent += verdict == LIMIT_SEND;
        tally.slipped += verdict == LIMIT_SLIP;
        tally.dropped += verdict == LIMIT_DROP;
    }
    return tally;
}

static void a_network_draws_a_seconds_worth_and_then_at_the_rate(void **state)
{
    (void)state;
    struct limit limit;
    limit_init(&limit, 100, 2, NULL, 0);
    int64_t now = 5 * TIME_S;
    struct tally tally = draw(&limit, "192.0.2.1", positive, &zone_a, 300, now);
    assert_int_equal(tally.sent, 100);
    assert_int_equal(tally.slipped, 100);
    assert_int_equal(tally.dropped, 100);
    /* The whole /24 shares it, its neighbour has its own. */
    assert_int_equal(draw(&limit, "192.0.2.255", positive, &zone_a, 10, now).sent, 0);
    assert_int_equal(draw(&limit, "192.0.3.1", positive, &zone_a, 10, now).sent, 10);
    assert_int_equal(draw(&limit, "192.0.2.1", positive, &zone_a, 100, now + TIME_S / 4).sent, 25);
    assert_int_equal(draw(&limit, "192.0.2.1", positive, &zone_a, 300, now + 9 * TIME_S).sent, 100);
    limit_done(&limit);
}

static void an_ipv6_network_is_a_56(void **state)
{
    (void)state;
    struct limit limit;
    limit_init(&limit, 10, 0, NULL, 0);
    assert_int_equal(draw(&limit, "2001:db8:0:100::1", positive, &zone_a, 20, TIME_S).sent, 10);
    struct tally tally = draw(&limit, "2001:db8:0:1ff:ffff::9", positive, &zone_a, 20, TIME_S);
    assert_int_equal(tally.sent, 0);
    assert_int_equal(tally.dropped, 20); /* no slip */
    assert_int_equal(draw(&limit, "2001:db8:0:200::1", positive, &zone_a, 20, TIME_S).sent, 10);
    limit_done(&limit);
}

static void classes_and_the_negative_answers_of_zones_are_counted_apart(void **state)
{
    (void)state;
    struct limit limit;
    limit_init(&limit, 10, 1, NULL, 0);
    assert_int_equal(draw(&limit, "192.0.2.1", positive, &zone_a, 20, TIME_S).sent, 10);
    assert_int_equal(draw(&limit, "192.0.2.1", positive, &zone_b, 20, TIME_S).sent, 0);
    assert_int_equal(draw(&limit, "192.0.2.1", negative, &zone_a, 20, TIME_S).sent, 10);
    assert_int_equal(draw(&limit, "192.0.2.1", negative, &zone_b, 20, TIME_S).sent, 10);
    assert_int_equal(draw(&limit, "192.0.2.1", referral, &zone_a, 20, TIME_S).sent, 10);
    assert_int_equal(draw(&limit, "192.0.2.1", refused, NULL, 20, TIME_S).sent, 10);
    limit_done(&limit);
}

static void negative_answers_of_many_zones_are_bounded_together(void **state)
{
    (void)state;
    static const struct zone zones[50];
    struct limit limit;
    limit_init(&limit, 10, 2, NULL, 0);
    unsigned sent = 0;
    for (size_t i = 0; i < ARRAY_SIZE(zones); i++) {
        sent += draw(&limit, "192.0.2.1", negative, &zones[i], 10, TIME_S).sent;
    }
    assert_int_equal(sent, 40);
    assert_int_equal(draw(&limit, "192.0.3.1", negative, &zones[0], 10, TIME_S).sent, 10);
    assert_int_equal(draw(&limit, "192.0.2.1", positive, &zones[0], 10, TIME_S).sent, 10);
    limit_done(&limit);
}

static void a_good_cookie_and_an_exempt_network_have_no_limit(void **state)
{
    (void)state;
    static const struct dns_prefix exempt[] = {
        {AF_INET, 25, {192, 0, 2, 128}}, {AF_INET6, 32, {0x20, 1, 0x0d, 0xb8}}, {AF_INET, 0, {0}}};
    struct limit limit;
    limit_init(&limit, 1, 1, exempt, 2);
    assert_int_equal(draw(&limit, "192.0.2.127", positive, &zone_a, 50, TIME_S).sent, 1);
    assert_int_equal(draw(&limit, "192.0.2.128", positive, &zone_a, 50, TIME_S).sent, 50);
    assert_int_equal(draw(&limit, "2001:db8:ffff::1", positive, &zone_a, 50, TIME_S).sent, 50);
    assert_int_equal(draw(&limit, "2001:db9::1", positive, &zone_a, 50, TIME_S).sent, 1);
    struct answer_outcome known = outcome(positive, &zone_a);
    known.cookie = COOKIE_GOOD;
    union socket_address address = from("192.0.2.1");
    assert_int_equal(limit_judge(&limit, &address, &known, positive, (struct mono){TIME_S}),
                     LIMIT_SEND);
    assert_true(limit_prefix_contains(&exempt[2], &address));
    limit_done(&limit);
}

static void a_million_forged_sources_do_not_free_the_one_that_floods(void **state)
{
    (void)state;
    struct limit limit;
    limit_init(&limit, 100, 0, NULL, 0);
    assert_int_equal(draw(&limit, "203.0.113.1", positive, &zone_a, 200, TIME_S).sent, 100);
    struct answer_outcome what = outcome(positive, &zone_a);
    for (uint32_t i = 0; i < 1000000; i++) {
        union socket_address address = from("192.0.2.1");
        address.v4.sin_addr.s_addr = htonl(i << 8U);
        (void)limit_judge(&limit, &address, &what, positive, (struct mono){TIME_S});
    }
    assert_int_equal(draw(&limit, "203.0.113.1", positive, &zone_a, 200, TIME_S).sent, 0);
    limit_done(&limit);
}

static void a_truncated_response_is_header_question_and_opt(void **state)
{
    (void)state;
    uint8_t response[512] = {0x12, 0x34, 0x84, 0x03, 0, 1, 0, 2, 0, 3, 0, 4, 1, 'a', 0, 0, 1, 0, 1};
    struct answer_outcome plain = {.question_size = 7};
    assert_int_equal(limit_truncate(&plain, response), 19);
    static const uint8_t wanted[19] = {0x12, 0x34, 0x86, 0x03, 0, 1, 0, 0, 0, 0,
                                       0,    0,    1,    'a',  0, 0, 1, 0, 1};
    assert_memory_equal(response, wanted, sizeof wanted);
    struct answer_outcome edns = {
        .question_size = 7, .has_edns = true, .dnssec_ok = true, .rcode = RCODE_BADVERS};
    assert_int_equal(limit_truncate(&edns, response), 30);
    static const uint8_t opt[11] = {0, 0, 41, 0x04, 0xd0, 1, 0, 0x80, 0, 0, 0};
    assert_memory_equal(response + 19, opt, sizeof opt);
    assert_int_equal(response[11], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_draws_a_seconds_worth_and_then_at_the_rate),
        cmocka_unit_test(an_ipv6_network_is_a_56),
        cmocka_unit_test(classes_and_the_negative_answers_of_zones_are_counted_apart),
        cmocka_unit_test(negative_answers_of_many_zones_are_bounded_together),
        cmocka_unit_test(a_good_cookie_and_an_exempt_network_have_no_limit),
        cmocka_unit_test(a_million_forged_sources_do_not_free_the_one_that_floods),
        cmocka_unit_test(a_truncated_response_is_header_question_and_opt),
    };
    return cmocka_run_group_tests_name("dns server limit", tests, NULL, NULL);
}
