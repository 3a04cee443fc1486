/* Judging responses from their bytes, without a network. */
#include "health/probe/response.h"

#include "base/macro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void put(struct response *response, const char *line)
{
    response_header(response, line, strlen(line));
}

struct status_row {
    const char *line;
    enum response_verdict verdict; /* after the empty line */
    int status;
    const char *reason;
};

static void the_status_line_decides(void **state)
{
    (void)state;
    const struct status_row rows[] = {
        {"HTTP/1.1 200 OK\r\n", RESPONSE_PASSED, 200, "OK"},
        {"HTTP/1.0 204\r\n", RESPONSE_PASSED, 204, ""},
        {"HTTP/1.1 301 Moved Permanently\r\n", RESPONSE_PASSED, 301, "Moved Permanently"},
        {"HTTP/1.1 399 \x01odd\x7F\xC3\r\n", RESPONSE_PASSED, 399, "odd"},
        {"HTTP/1.1 400 Bad Request\r\n", RESPONSE_BAD_STATUS, 400, "Bad Request"},
        {"HTTP/1.1 503 Service Unavailable\n", RESPONSE_BAD_STATUS, 503, "Service Unavailable"},
        {"HTTP/1.1 099 Low\r\n", RESPONSE_BAD_STATUS, 99, "Low"},
        {"HTTP/1.1 2000 OK\r\n", RESPONSE_MALFORMED, 0, ""},
        {"HTTP/1.1 20\r\n", RESPONSE_MALFORMED, 0, ""},
        {"HTTP/1.1\r\n", RESPONSE_MALFORMED, 0, ""},
        {"SSH-2.0-x\r\n", RESPONSE_MALFORMED, 0, ""},
        {"\r\n", RESPONSE_MALFORMED, 0, ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct response response;
        response_begin(&response, NULL);
        put(&response, rows[i].line);
        put(&response, "Server: x\r\n");
        put(&response, "\r\n");
        assert_int_equal(response.verdict, rows[i].verdict);
        assert_int_equal(response.status, rows[i].status);
        assert_string_equal(response.reason, rows[i].reason);
    }
}

static void interim_responses_are_skipped(void **state)
{
    (void)state;
    struct response response;
    response_begin(&response, NULL);
    put(&response, "HTTP/1.1 103 Early Hints\r\n");
    put(&response, "\r\n");
    assert_int_equal(response.verdict, RESPONSE_PENDING);
    put(&response, "HTTP/1.1 200 OK\r\n");
    put(&response, "\r\n");
    assert_int_equal(response.verdict, RESPONSE_PASSED);
}

static void a_header_block_of_16384_bytes_passes_and_one_more_fails(void **state)
{
    (void)state;
    static char filler[RESPONSE_HEADER_LIMIT];
    (void)memset(filler, 'a', sizeof filler);
    for (size_t over = 0; over < 2; over++) {
        struct response response;
        response_begin(&response, NULL);
        put(&response, "HTTP/1.1 200 OK\r\n");
        response_header(&response, filler, RESPONSE_HEADER_LIMIT - 17 - 2 + over);
        put(&response, "\r\n");
        assert_int_equal(response.verdict, over == 0 ? RESPONSE_PASSED : RESPONSE_HEADERS_TOO_LONG);
    }
}

static void begin_match(struct response *response, const char *search)
{
    response_begin(response, search);
    put(response, "HTTP/1.1 200 OK\r\n");
    put(response, "\r\n");
}

static void the_search_string_is_found_wherever_the_body_is_cut(void **state)
{
    (void)state;
    static const char body[] = "some text before, needLe and neeneedle after";
    for (size_t cut = 0; cut < sizeof body; cut++) {
        struct response response;
        begin_match(&response, "needle");
        response_body(&response, body, cut);
        response_body(&response, body + cut, sizeof body - 1 - cut);
        assert_int_equal(response.verdict, RESPONSE_PASSED);
    }
    struct response response;
    begin_match(&response, "Needle");
    response_body(&response, body, sizeof body - 1);
    response_end(&response);
    assert_int_equal(response.verdict, RESPONSE_NOT_FOUND);
}

/* The text without its NUL. */
static void place(char *out, const char *text)
{
    while (*text != '\0') {
        *out++ = *text++;
    }
}

static void only_the_first_5120_bytes_count(void **state)
{
    (void)state;
    static char body[RESPONSE_BODY_LIMIT + 100];
    for (size_t shift = 0; shift < 2; shift++) {
        for (size_t step = 1; step < 6000; step = step * 3 + 1) {
            struct response response;
            (void)memset(body, '.', sizeof body);
            place(body + RESPONSE_BODY_LIMIT - 6 + shift, "needle");
            begin_match(&response, "needle");
            for (size_t at = 0; at < sizeof body; at += step) {
                response_body(&response, body + at, MIN(step, sizeof body - at));
            }
            assert_int_equal(response.verdict, shift == 0 ? RESPONSE_PASSED : RESPONSE_NOT_FOUND);
        }
    }
}

static void an_end_before_the_headers_are_complete_is_malformed(void **state)
{
    (void)state;
    struct response response;
    response_begin(&response, NULL);
    put(&response, "HTTP/1.1 200 OK\r\n");
    response_end(&response);
    assert_int_equal(response.verdict, RESPONSE_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_status_line_decides),
        cmocka_unit_test(interim_responses_are_skipped),
        cmocka_unit_test(a_header_block_of_16384_bytes_passes_and_one_more_fails),
        cmocka_unit_test(the_search_string_is_found_wherever_the_body_is_cut),
        cmocka_unit_test(only_the_first_5120_bytes_count),
        cmocka_unit_test(an_end_before_the_headers_are_complete_is_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
