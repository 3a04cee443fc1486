/* A query from text, and a response shown as text, well-formed and not. */
#include "daemon/response.h"

#include "base/macro.h"
#include "dns/wire/message.h"
#include "dns/wire/rdata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void a_query_carries_the_client_subnet(void **state)
{
    (void)state;
    uint8_t query[RESPONSE_QUERY_LIMIT];
    size_t size = 0;
    struct err err = ERR_INIT;
    struct message_query parsed;
    assert_int_equal(
        response_make_query("WWW.example.com", RR_A, "192.0.2.77", 24, query, &size, &err), 0);
    assert_true(message_parse(&parsed, query, size));
    assert_int_equal(parsed.rcode, RCODE_NOERROR);
    assert_true(parsed.has_subnet);
    assert_int_equal(parsed.subnet.prefix, 24);
    assert_memory_equal(parsed.subnet.address, "\xc0\x00\x02\x00", 4);
    assert_int_equal(
        response_make_query("a.example", RR_AAAA, "2001:db8::1", 33, query, &size, &err), 0);
    assert_true(message_parse(&parsed, query, size));
    assert_int_equal(parsed.rcode, RCODE_NOERROR);
    assert_int_equal(parsed.subnet.family, 2);
}

static void bad_names_and_subnets_are_refused(void **state)
{
    (void)state;
    uint8_t query[RESPONSE_QUERY_LIMIT];
    size_t size = 0;
    struct err err = ERR_INIT;
    assert_true(response_make_query("a..b", RR_A, "", 0, query, &size, &err) != 0);
    assert_true(response_make_query("a.b", RR_A, "192.0.2.300", 24, query, &size, &err) != 0);
    assert_true(response_make_query("a.b", RR_A, "192.0.2.1", 33, query, &size, &err) != 0);
    assert_int_equal(err.kind, ERR_INVALID);
}

/* Header with one question for a.b, and one answer. */
#define START                                                                                      \
    "\x00\x00\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00"                                             \
    "\x01"                                                                                         \
    "a\x01"                                                                                        \
    "b\x00\x00\x01\x00\x01"

static void compressed_names_in_the_answer_are_expanded(void **state)
{
    (void)state;
    static const char mx[] =
        START "\xc0\x0c\x00\x0f\x00\x01\x00\x00\x00\x3c\x00\x04\x00\x0a\xc0\x0c";
    struct err err = ERR_INIT;
    json_t *json = NULL;
    assert_int_equal(
        response_to_json("a.b", RR_MX, (const uint8_t *)mx, sizeof mx - 1, &json, &err), 0);
    json_t *data = json_object_get(json, "RecordData");
    assert_string_equal(json_string_value(json_array_get(data, 0)), "10 a.b.");
    assert_string_equal(json_string_value(json_object_get(json, "ResponseCode")), "NOERROR");
    json_decref(json);
}

static void a_malformed_response_is_an_error_not_a_crash(void **state)
{
    (void)state;
    static const char loop[] =
        START "\xc0\x14\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x01\x02\x03\x04";
    static const char good[] =
        START "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x01\x02\x03\x04";
    struct err err = ERR_INIT;
    json_t *json = NULL;
    assert_true(
        response_to_json("a.b", RR_A, (const uint8_t *)loop, sizeof loop - 1, &json, &err) != 0);
    for (size_t size = 0; size < sizeof good - 1; size++) {
        assert_true(response_to_json("a.b", RR_A, (const uint8_t *)good, size, &json, &err) != 0);
    }
    assert_null(json);
    assert_int_equal(
        response_to_json("a.b", RR_A, (const uint8_t *)good, sizeof good - 1, &json, &err), 0);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_carries_the_client_subnet),
        cmocka_unit_test(bad_names_and_subnets_are_refused),
        cmocka_unit_test(compressed_names_in_the_answer_are_expanded),
        cmocka_unit_test(a_malformed_response_is_an_error_not_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
