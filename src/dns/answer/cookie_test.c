/* Tests of cookies: the vectors of RFC 9018 appendix A, the rules of time, rotation, and what the
 * answer path does with them. */
#include "dns/answer/cookie.h"

#include "base/snapshot.h"
#include "dns/answer/answer.h"
#include "dns/answer/test_packet.h"
#include "dns/wire/rdata.h"
#include "dns/zone/database.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1559731985U
#define SECRET_A1 "e5e973e5a6b2a43f48e7dc849e37bfcf"

static size_t unhex(const char *text, uint8_t *out)
{
    size_t size = strlen(text) / 2;
    for (size_t i = 0; i < size; i++) {
        char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};
        out[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return size;
}

static union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} source;

static const struct sockaddr *from(const char *text)
{
    (void)memset(&source, 0, sizeof source);
    if (inet_pton(AF_INET, text, &source.v4.sin_addr) == 1) {
        source.v4.sin_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &source.v6.sin6_addr), 1);
        source.v6.sin6_family = AF_INET6;
    }
    return &source.any;
}

static struct cookie_secrets secrets_of(const char *text)
{
    struct cookie_secrets secrets = {0};
    struct err err = ERR_INIT;
    assert_int_equal(cookie_secrets_parse(text, &secrets, &err), 0);
    return secrets;
}

static struct message_cookie cookie_of(const char *client, const char *server)
{
    struct message_cookie cookie = {0};
    (void)unhex(client, cookie.client);
    cookie.server_size = (uint8_t)unhex(server, cookie.server);
    return cookie;
}

static void vectors_of_rfc_9018_appendix_a(void **state)
{
    (void)state;
    static const struct {
        const char *secrets;
        const char *source;
        const char *client;
        const char *server;
        uint32_t now;
        enum cookie_state state;
        const char *answer;
    } rows[] = {
        {SECRET_A1, "198.51.100.100", "2464c4abcf10c957", "", 1559731985, COOKIE_CLIENT,
         "010000005cf79f111f8130c3eee29480"},
        {SECRET_A1, "198.51.100.100", "2464c4abcf10c957", "010000005cf79f111f8130c3eee29480",
         1559734385, COOKIE_GOOD, "010000005cf7a871d4a564a1442aca77"},
        /* Reserved bytes count in the hash, and are zero in what we make. */
        {SECRET_A1, "203.0.113.203", "fc93fc62807ddb86", "01abcdef5cf78f71a314227b6679ebf5",
         1559727985 + 3600, COOKIE_GOOD, "010000005cf79d81a0e5086f8498559b"},
        /* An hour and 52 minutes old: section 4.3 has the last word. */
        {SECRET_A1, "203.0.113.203", "fc93fc62807ddb86", "01abcdef5cf78f71a314227b6679ebf5",
         1559734700, COOKIE_BAD, "010000005cf7a9acf73a7810aca2381e"},
        {"445536bcd2513298075a5d379663c962\ndd3bdf9344b678b185a6f5cb60fca715\n",
         "2001:db8:220:1:59de:d0f4:8769:82b8", "22681ab97d52c298",
         "010000005cf7c57926556bd0934c72f8", 1559741961, COOKIE_GOOD,
         "010000005cf7c609a6bb79d16625507a"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct cookie_secrets secrets = secrets_of(rows[i].secrets);
        struct message_cookie cookie = cookie_of(rows[i].client, rows[i].server);
        uint8_t wanted[COOKIE_SERVER_SIZE];
        uint8_t got[COOKIE_SERVER_SIZE];
        (void)unhex(rows[i].answer, wanted);
        assert_int_equal(cookie_check(&secrets, &cookie, from(rows[i].source), rows[i].now, got),
                         rows[i].state);
        assert_memory_equal(got, wanted, sizeof got);
    }
}

static void a_cookie_is_good_for_an_hour_and_renewed_after_half_of_it(void **state)
{
    (void)state;
    static const struct {
        int32_t age;
        enum cookie_state state;
        bool kept;
    } rows[] = {
        {0, COOKIE_GOOD, true},     {1800, COOKIE_GOOD, true},  {1801, COOKIE_GOOD, false},
        {3600, COOKIE_GOOD, false}, {3601, COOKIE_BAD, false},  {-300, COOKIE_GOOD, true},
        {-301, COOKIE_BAD, false},  {86400, COOKIE_BAD, false},
    };
    struct cookie_secrets secrets = secrets_of(SECRET_A1);
    static const uint32_t times[] = {NOW, 100, UINT32_MAX - 50}; /* 2106 is no boundary */
    for (size_t i = 0; i < ARRAY_SIZE(rows) * ARRAY_SIZE(times); i++) {
        uint32_t now = times[i / ARRAY_SIZE(rows)];
        size_t row = i % ARRAY_SIZE(rows);
        struct message_cookie cookie = cookie_of("2464c4abcf10c957", "");
        (void)cookie_check(&secrets, &cookie, from("192.0.2.1"), now - (uint32_t)rows[row].age,
                           cookie.server);
        cookie.server_size = COOKIE_SERVER_SIZE;
        uint8_t got[COOKIE_SERVER_SIZE];
        assert_int_equal(cookie_check(&secrets, &cookie, from("192.0.2.1"), now, got),
                         rows[row].state);
        assert_int_equal(memcmp(got, cookie.server, sizeof got) == 0, rows[row].kept);
    }
}

static void a_cookie_is_bad_when_any_part_of_it_differs(void **state)
{
    (void)state;
    struct cookie_secrets secrets = secrets_of(SECRET_A1);
    struct message_cookie good = cookie_of("2464c4abcf10c957", "010000005cf79f111f8130c3eee29480");
    uint8_t got[COOKIE_SERVER_SIZE];
    assert_int_equal(cookie_check(&secrets, &good, from("198.51.100.100"), NOW, got), COOKIE_GOOD);
    assert_int_equal(cookie_check(&secrets, &good, from("198.51.100.101"), NOW, got), COOKIE_BAD);
    for (size_t bit = 0; bit < (size_t)8 * (COOKIE_CLIENT_SIZE + COOKIE_SERVER_SIZE); bit++) {
        struct message_cookie other = good;
        uint8_t *part = bit < 64 ? other.client + bit / 8 : other.server + bit / 8 - 8;
        *part = (uint8_t)(*part ^ 1U << bit % 8);
        assert_int_equal(cookie_check(&secrets, &other, from("198.51.100.100"), NOW, got),
                         COOKIE_BAD);
    }
    struct message_cookie other = good;
    other.server_size = 8;
    assert_int_equal(cookie_check(&secrets, &other, from("198.51.100.100"), NOW, got), COOKIE_BAD);
    other.server_size = 32;
    assert_int_equal(cookie_check(&secrets, &other, from("198.51.100.100"), NOW, got), COOKIE_BAD);
}

static void all_secrets_accept_and_the_first_makes(void **state)
{
    (void)state;
    struct cookie_secrets old = secrets_of("00112233445566778899aabbccddeeff");
    struct cookie_secrets both =
        secrets_of(SECRET_A1 "  # the new one\n\n# before:\n00112233445566778899AABBCCDDEEFF\r\n");
    assert_int_equal(both.count, 2);
    struct cookie_secrets fresh = secrets_of(SECRET_A1);
    struct message_cookie cookie = cookie_of("2464c4abcf10c957", "");
    (void)cookie_check(&old, &cookie, from("192.0.2.1"), NOW, cookie.server);
    cookie.server_size = COOKIE_SERVER_SIZE;
    uint8_t renewed[COOKIE_SERVER_SIZE];
    assert_int_equal(cookie_check(&both, &cookie, from("192.0.2.1"), NOW, renewed), COOKIE_GOOD);
    assert_int_equal(cookie_check(&fresh, &cookie, from("192.0.2.1"), NOW, renewed), COOKIE_BAD);
    (void)memcpy(cookie.server, renewed, sizeof renewed);
    assert_int_equal(cookie_check(&fresh, &cookie, from("192.0.2.1"), NOW, renewed), COOKIE_GOOD);
}

static void a_file_of_secrets_is_refused_when_a_line_is_none(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_kind kind;
        const char *says;
    } rows[] = {
        {"", ERR_INVALID, "no secret"},
        {"# nothing\n\n", ERR_INVALID, "no secret"},
        {SECRET_A1 "\n0011\n", ERR_INVALID, "line 2"},
        {SECRET_A1 " x\n", ERR_INVALID, "line 1"},
        {"g5e973e5a6b2a43f48e7dc849e37bfcf", ERR_INVALID, "line 1"},
        {SECRET_A1 "\n" SECRET_A1 "\n" SECRET_A1 "\n" SECRET_A1 "\n" SECRET_A1 "\n" SECRET_A1
                   "\n" SECRET_A1 "\n" SECRET_A1 "\n" SECRET_A1,
         ERR_LIMIT, "line 9"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct cookie_secrets secrets = {.count = 77};
        struct err err = ERR_INIT;
        assert_true(cookie_secrets_parse(rows[i].text, &secrets, &err) < 0);
        assert_int_equal(err.kind, rows[i].kind);
        assert_non_null(strstr(err.message, rows[i].says));
        assert_null(strstr(err.message, "e5e973"));
        assert_int_equal(secrets.count, 77);
    }
}

/* ---- the answer path ---- */

static struct zone_database *database;
static struct cookie_jar jar;

/* example.com. with one address at www. */
static struct answer_context context_with_cookies(void)
{
    database = zone_database_new();
    struct model_zone zone = {.id = "Z1", .name = "example.com.", .created_revision = 1};
    zone_database_put_zone(database, &zone);
    const char *soa = "ns1.example.com. host.example.com. 1 7200 900 1209600 300";
    const char *address = "192.0.2.1";
    struct model_record_set records[] = {
        {.zone_id = "Z1", .name = "example.com.", .type = RR_SOA, .values = &soa},
        {.zone_id = "Z1", .name = "www.example.com.", .type = RR_A, .values = &address},
    };
    for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
        struct err err = ERR_INIT;
        records[i].set_identifier = "";
        records[i].health_check_id = "";
        records[i].region = "";
        records[i].ttl_s = 60;
        records[i].value_count = 1;
        assert_int_equal(zone_database_put_record(database, &records[i], &err), 0);
    }
    zone_database_publish(database);
    struct cookie_secrets secrets = secrets_of(SECRET_A1);
    cookie_jar_put(&jar, &secrets);
    atomic_store(&jar.required, false);
    struct answer_context context = {
        .zones = zone_database_readers(database), .udp_limit = 1232, .now = NOW, .cookies = &jar};
    random_init(&context.random, 1);
    return context;
}

static void done(void)
{
    zone_database_free(database);
    cookie_jar_put(&jar, NULL);
    snapshot_drain();
}

/* www.example.com. A, with the cookie as its only option; questions 0 or 1. */
static size_t query_write(const char *cookie, bool question, uint8_t out[512])
{
    struct test_query query = {
        .name = "www.example.com.", .type = RR_A, .class = 1, .edns = true, .udp_size = 1232};
    size_t size = test_query_write(&query, out);
    uint8_t option[64] = {0, 10};
    size_t length = unhex(cookie, option + 4);
    option[3] = (uint8_t)length;
    out[size - 1] = (uint8_t)(length + 4);
    (void)memcpy(out + size, option, length + 4);
    size += length + 4;
    if (!question) {
        out[5] = 0;
        (void)memmove(out + 12, out + 12 + 21, size - 33);
        size -= 21;
    }
    return size;
}

static size_t ask(struct answer_context *context, const char *cookie, bool question, bool tcp,
                  uint8_t out[65535])
{
    uint8_t query[512];
    size_t size = query_write(cookie, question, query);
    return answer_query(context, query, size, from("198.51.100.100"), tcp, out, 65535);
}

#define CLIENT "2464c4abcf10c957"
#define GOOD CLIENT "010000005cf79f111f8130c3eee29480"
#define BAD CLIENT "010000005cf79f111f8130c3eee29481"

static uint8_t response[65535];

static void has_good_cookie(size_t size)
{
    uint8_t wanted[24];
    (void)unhex(GOOD, wanted);
    assert_true(size > sizeof wanted);
    assert_memory_equal(response + size - sizeof wanted, wanted, sizeof wanted);
}

static void answers_carry_a_cookie_and_bad_ones_do_no_harm(void **state)
{
    (void)state;
    struct answer_context context = context_with_cookies();
    static const struct {
        const char *cookie;
        enum cookie_state state;
    } rows[] = {{CLIENT, COOKIE_CLIENT}, {GOOD, COOKIE_GOOD}, {BAD, COOKIE_BAD}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t size = ask(&context, rows[i].cookie, true, false, response);
        has_good_cookie(size);
        assert_int_equal(context.outcome.cookie, rows[i].state);
        assert_int_equal(context.outcome.rcode, RCODE_NOERROR);
        assert_int_equal(response[7], 1); /* an answer */
    }
    done();
}

static void a_query_without_a_question_is_answered_with_a_cookie(void **state)
{
    (void)state;
    struct answer_context context = context_with_cookies();
    has_good_cookie(ask(&context, CLIENT, false, false, response));
    assert_int_equal(context.outcome.rcode, RCODE_NOERROR);
    assert_int_equal(response[5], 0);
    has_good_cookie(ask(&context, GOOD, false, false, response));
    assert_int_equal(context.outcome.rcode, RCODE_NOERROR);
    has_good_cookie(ask(&context, BAD, false, false, response));
    assert_int_equal(context.outcome.rcode, RCODE_BADCOOKIE);
    done();
}

static void where_cookies_are_required_others_get_no_answer_over_udp(void **state)
{
    (void)state;
    struct answer_context context = context_with_cookies();
    atomic_store(&jar.required, true);
    has_good_cookie(ask(&context, GOOD, true, false, response));
    assert_int_equal(response[7], 1);
    has_good_cookie(ask(&context, CLIENT, true, false, response));
    assert_int_equal(context.outcome.rcode, RCODE_BADCOOKIE);
    assert_int_equal(response[7], 0);
    has_good_cookie(ask(&context, BAD, true, true, response)); /* a connection is proof enough */
    assert_int_equal(context.outcome.rcode, RCODE_NOERROR);
    struct test_query plain = {.name = "www.example.com.", .type = RR_A, .class = 1};
    uint8_t query[512];
    size_t length = test_query_write(&plain, query);
    size_t size = answer_query(&context, query, length, from("198.51.100.100"), false, response,
                               sizeof response);
    assert_int_equal(size, length);
    assert_int_equal(response[2] & 0x02, 0x02);
    assert_int_equal(response[7], 0);
    done();
}

static void without_a_jar_cookies_are_ignored(void **state)
{
    (void)state;
    struct answer_context context = context_with_cookies();
    context.cookies = NULL;
    size_t size = ask(&context, BAD, true, false, response);
    assert_int_equal(response[7], 1);
    assert_int_equal(response[size - 1], 0); /* an OPT record without options */
    done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_rfc_9018_appendix_a),
        cmocka_unit_test(a_cookie_is_good_for_an_hour_and_renewed_after_half_of_it),
        cmocka_unit_test(a_cookie_is_bad_when_any_part_of_it_differs),
        cmocka_unit_test(all_secrets_accept_and_the_first_makes),
        cmocka_unit_test(a_file_of_secrets_is_refused_when_a_line_is_none),
        cmocka_unit_test(answers_carry_a_cookie_and_bad_ones_do_no_harm),
        cmocka_unit_test(a_query_without_a_question_is_answered_with_a_cookie),
        cmocka_unit_test(where_cookies_are_required_others_get_no_answer_over_udp),
        cmocka_unit_test(without_a_jar_cookies_are_ignored),
    };
    return cmocka_run_group_tests_name("dns answer cookie", tests, NULL, NULL);
}
