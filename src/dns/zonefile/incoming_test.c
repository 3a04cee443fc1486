/* Tests of incoming.c: transfers put together with ldns, a message for each list of records. */
#include "dns/zonefile/incoming.h"

#include "base/text.h"
#include "dns/wire/rdata.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <ldns/ldns.h>

#define ID 4711U
#define SOA(serial) "example.com. 60 IN SOA ns1.example.com. h.example.com. " serial " 2 3 4 5"
#define NS "example.com. 60 IN NS ns1.example.com."

static struct arena arena;
static struct incoming *incoming;
static struct err err;
static bool done;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    err = (struct err)ERR_INIT;
    done = false;
    incoming = NULL;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    incoming_free(incoming);
    arena_done(&arena);
    return 0;
}

static void ask(const uint32_t *serial)
{
    assert_int_equal(incoming_new("Example.com", serial, serial != NULL, &arena, &incoming, &err),
                     0);
}

/* One message with these records; lines end at NULL. */
static int take(ldns_pkt_rcode rcode, const char *const *lines)
{
    uint8_t *wire = NULL;
    size_t size = 0;
    ldns_pkt *packet = ldns_pkt_new();
    ldns_pkt_set_qr(packet, true);
    ldns_pkt_set_id(packet, ID);
    ldns_pkt_set_rcode(packet, rcode);
    for (size_t i = 0; lines[i] != NULL; i++) {
        ldns_rr *rr = NULL;
        assert_int_equal(ldns_rr_new_frm_str(&rr, lines[i], 0, NULL, NULL), LDNS_STATUS_OK);
        assert_true(ldns_pkt_push_rr(packet, LDNS_SECTION_ANSWER, rr));
    }
    assert_int_equal(ldns_pkt2wire(&wire, packet, &size), LDNS_STATUS_OK);
    int rc = incoming_take(incoming, wire, size, ID, &done, &err);
    free(wire);
    ldns_pkt_free(packet);
    return rc;
}

#define TAKE(...) take(LDNS_RCODE_NOERROR, (const char *const[]){__VA_ARGS__, NULL})

static struct incoming_result result_of(enum incoming_kind kind)
{
    struct incoming_result result;
    assert_true(done);
    incoming_result(incoming, &result);
    assert_int_equal(result.kind, kind);
    return result;
}

static void a_whole_zone_comes_in_messages(void **state)
{
    (void)state;
    ask(NULL);
    assert_int_equal(TAKE(SOA("9"), NS), 0);
    assert_false(done);
    assert_int_equal(
        TAKE("WWW.example.com. 30 IN A 192.0.2.1", "www.example.com. 30 IN A 192.0.2.2"), 0);
    assert_int_equal(TAKE(SOA("9")), 0);
    struct incoming_result result = result_of(INCOMING_WHOLE);
    assert_int_equal(result.serial, 9);
    assert_int_equal(result.zone.set_count, 3);
    assert_int_equal(result.zone.record_count, 4);
}

static void a_zone_without_name_servers_is_none(void **state)
{
    (void)state;
    ask(NULL);
    assert_int_not_equal(TAKE(SOA("9"), SOA("9")), 0);
    incoming_free(incoming);
    ask(NULL);
    assert_int_not_equal(TAKE(SOA("9"), "a.example.com. 60 IN NS ns1.example.com.", SOA("9")), 0);
}

static void steps_come_in_order(void **state)
{
    (void)state;
    uint32_t have = 7;
    ask(&have);
    assert_int_equal(TAKE(SOA("9"), SOA("7"), "a.example.com. 5 IN A 192.0.2.1", SOA("8"),
                          "a.example.com. 5 IN A 192.0.2.2"),
                     0);
    assert_false(done);
    assert_int_equal(TAKE(SOA("8"), SOA("9"), "b.example.com. 5 IN TXT \"x\"", SOA("9")), 0);
    struct incoming_result result = result_of(INCOMING_STEPS);
    assert_int_equal(result.serial, 9);
    assert_int_equal(result.step_count, 7);
    assert_false(result.steps[1].added);
    assert_string_equal(result.steps[1].value, "192.0.2.1");
    assert_true(result.steps[3].added);
    assert_string_equal(result.steps[6].name, "b.example.com.");
}

static void one_soa_that_is_not_newer_means_nothing_new(void **state)
{
    (void)state;
    uint32_t have = 9;
    ask(&have);
    assert_int_equal(TAKE(SOA("9")), 0);
    assert_int_equal(result_of(INCOMING_CURRENT).serial, 9);
    incoming_free(incoming);
    ask(&have); /* also where all of it is sent in spite */
    assert_int_equal(TAKE(SOA("9"), NS), 0);
    assert_int_equal(result_of(INCOMING_CURRENT).serial, 9);
    incoming_free(incoming);
    assert_int_equal(incoming_new("example.com", &have, false, &arena, &incoming, &err), 0);
    assert_int_equal(TAKE(SOA("9"), NS), 0); /* and in a whole transfer */
    assert_int_equal(result_of(INCOMING_CURRENT).serial, 9);
}

static void a_serial_that_goes_back_is_refused(void **state)
{
    (void)state;
    uint32_t have = 9;
    ask(&have);
    assert_int_not_equal(TAKE(SOA("8")), 0);
    assert_non_null(strstr(err.message, "serial 8 is older than 9"));
    incoming_free(incoming);
    assert_int_equal(incoming_new("example.com", &have, false, &arena, &incoming, &err), 0);
    assert_int_not_equal(TAKE(SOA("8"), NS, SOA("8")), 0);
    incoming_free(incoming);
    have = 0xfffffff0U;
    ask(&have); /* RFC 1982: newer, not older */
    assert_int_equal(TAKE(SOA("5"), NS, SOA("5")), 0);
}

static void an_incremental_question_may_get_the_whole_zone(void **state)
{
    (void)state;
    uint32_t have = 7;
    ask(&have);
    assert_int_equal(TAKE(SOA("9")), 0);
    assert_false(done);
    assert_int_equal(TAKE("a.example.com. 5 IN A 192.0.2.1", NS, SOA("9")), 0);
    assert_int_equal(result_of(INCOMING_WHOLE).zone.set_count, 3);
}

static void signatures_and_strange_types_are_counted(void **state)
{
    (void)state;
    ask(NULL);
    assert_int_equal(TAKE(SOA("9"), NS, "a.example.com. 5 IN HINFO \"x\" \"y\"",
                          "a.example.com. 5 IN NSEC b.example.com. A NSEC", SOA("9")),
                     0);
    struct incoming_result result = result_of(INCOMING_WHOLE);
    assert_int_equal(result.zone.dnssec_count, 1);
    assert_int_equal(result.zone.left_count, 1);
}

static void disorder_is_refused(void **state)
{
    (void)state;
    ask(NULL);
    assert_int_not_equal(TAKE("a.example.com. 5 IN A 192.0.2.1"), 0);
    incoming_free(incoming);
    ask(NULL);
    assert_int_not_equal(TAKE(SOA("9"), SOA("7")), 0);
    incoming_free(incoming);
    ask(NULL);
    assert_int_not_equal(TAKE(SOA("9"), NS, SOA("8")), 0);
    incoming_free(incoming);
    ask(NULL);
    assert_int_not_equal(TAKE(SOA("9"), NS, "a.example.net. 5 IN A 192.0.2.1", SOA("9")), 0);
    incoming_free(incoming);
    ask(NULL);
    assert_int_not_equal(TAKE(SOA("9"), NS, SOA("9"), "a.example.com. 5 IN A 192.0.2.1"), 0);
    incoming_free(incoming);
    ask(NULL); /* the same serial, but another SOA */
    assert_int_not_equal(
        TAKE(SOA("9"), NS, "example.com. 60 IN SOA ns2.example.com. h.example.com. 9 2 3 4 5"), 0);
}

static void steps_that_do_not_meet_are_refused(void **state)
{
    (void)state;
    uint32_t have = 7;
    ask(&have); /* from a serial that nobody has */
    assert_int_not_equal(TAKE(SOA("9"), SOA("6"), SOA("9"), SOA("9")), 0);
    incoming_free(incoming);
    ask(&have); /* a gap */
    assert_int_not_equal(TAKE(SOA("9"), SOA("7"), SOA("8"), SOA("10"), SOA("9"), SOA("9")), 0);
    incoming_free(incoming);
    ask(&have); /* not as far as the first SOA says */
    assert_int_not_equal(TAKE(SOA("9"), SOA("7"), SOA("8"), SOA("9")), 0);
}

static void errors_of_the_primary_are_told_apart(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    ask(NULL);
    assert_int_not_equal(take(LDNS_RCODE_REFUSED, none), 0);
    assert_int_equal(err.kind, ERR_DENIED);
    assert_int_not_equal(take(LDNS_RCODE_NOTIMPL, none), 0);
    assert_int_equal(err.kind, ERR_UNSUPPORTED);
    assert_int_not_equal(take(LDNS_RCODE_SERVFAIL, none), 0);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_int_not_equal(incoming_take(incoming, "short", 5, ID, &done, &err), 0);
    assert_int_not_equal(take(LDNS_RCODE_NOERROR, none), 0);
}

static void a_record_set_has_a_limit(void **state)
{
    (void)state;
    ask(NULL);
    assert_int_equal(TAKE(SOA("9"), NS), 0);
    for (unsigned i = 0; i <= ZONEFILE_VALUES_LIMIT; i++) {
        const char *line =
            arena_printf(&arena, "a.example.com. 5 IN A 10.0.%u.%u", i / 256, i % 256);
        assert_int_equal(TAKE(line), 0);
    }
    assert_int_not_equal(TAKE(SOA("9")), 0);
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_non_null(strstr(err.message, "a.example.com. has 1001 records of type A"));
}

/* One message of a little less than 65,535 bytes, again and again: a type that is left out. */
static void a_transfer_has_a_limit(void **state)
{
    (void)state;
    enum { RDATA = 60000, NAME = 13, HEAD = 12 };
    static const uint8_t head[] = "\x12\x67\x84\0\0\0\0\1\0\0\0\0"
                                  "\7example\3com\0"
                                  "\xff\x78\0\1\0\0\0\5\xea\x60"; /* TYPE65400, 60,000 bytes */
    size_t size = HEAD + NAME + 10 + RDATA;
    uint8_t *wire = arena_alloc(&arena, size);
    size_t bytes = 0;
    int rc = 0;
    (void)memset(wire, 0, size);
    (void)memcpy(wire, head, HEAD + NAME + 10);
    ask(NULL);
    assert_int_equal(TAKE(SOA("9"), NS), 0);
    for (; rc == 0 && bytes < 2 * INCOMING_BYTES_LIMIT; bytes += size) {
        rc = incoming_take(incoming, wire, size, ID, &done, &err);
    }
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_true(bytes >= INCOMING_BYTES_LIMIT);
}

static void serials_wrap_around(void **state)
{
    (void)state;
    assert_true(incoming_newer(2, 1));
    assert_false(incoming_newer(1, 1));
    assert_true(incoming_newer(5, 0xfffffff0U));
    assert_false(incoming_newer(0xfffffff0U, 5));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_whole_zone_comes_in_messages),
        TEST(a_zone_without_name_servers_is_none),
        TEST(steps_come_in_order),
        TEST(one_soa_that_is_not_newer_means_nothing_new),
        TEST(a_serial_that_goes_back_is_refused),
        TEST(an_incremental_question_may_get_the_whole_zone),
        TEST(signatures_and_strange_types_are_counted),
        TEST(disorder_is_refused),
        TEST(steps_that_do_not_meet_are_refused),
        TEST(errors_of_the_primary_are_told_apart),
        TEST(a_record_set_has_a_limit),
        TEST(a_transfer_has_a_limit),
        TEST(serials_wrap_around),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
