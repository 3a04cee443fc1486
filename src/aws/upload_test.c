/* Tests of what the server lets in: heads that two readers could understand differently, and bodies
 * within their limits. One thread. */
#include "aws/upload.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int status_of(const char *method, const char *path, const struct http_header *headers,
                     size_t count)
{
    struct http_request request = {
        .method = method, .path = path, .query = "", .headers = headers, .header_count = count};
    struct upload_refusal refusal = {0};
    return upload_allowed(&request, true, &refusal) ? 200 : refusal.status;
}

static void a_sound_head_is_let_in(void **state)
{
    (void)state;
    const struct http_header headers[] = {{"Host", "x"}, {"Content-Length", "4194304"}};
    assert_int_equal(status_of("POST", "/", headers, 2), 200);
    assert_int_equal(status_of("OPTIONS", "*", headers, 1), 200);
}

static void an_announced_body_over_the_limit_is_refused(void **state)
{
    (void)state;
    static const char *const sizes[] = {"4194305", "104857600", "9223372036854775807"};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        const struct http_header headers[] = {{"content-length", sizes[i]}};
        assert_int_equal(status_of("POST", "/", headers, 1), 413);
    }
}

static void a_length_that_is_no_number_is_refused(void **state)
{
    (void)state;
    static const char *const sizes[] = {"",  "-1", "+1", "0x10", "1, 1", "9223372036854775808",
                                        "1 "};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        const struct http_header headers[] = {{"Content-Length", sizes[i]}};
        assert_int_equal(status_of("POST", "/", headers, 1), 400);
    }
}

static void a_body_framed_in_two_ways_is_refused(void **state)
{
    (void)state;
    const struct http_header twice[] = {{"Content-Length", "1"}, {"content-length", "1"}};
    const struct http_header both[] = {{"Content-Length", "1"}, {"Transfer-Encoding", "chunked"}};
    const struct http_header other[] = {{"Transfer-Encoding", "gzip, chunked"}};
    const struct http_header hosts[] = {{"Host", "a"}, {"Host", "b"}};
    assert_int_equal(status_of("POST", "/", twice, 2), 400);
    assert_int_equal(status_of("POST", "/", both, 2), 400);
    assert_int_equal(status_of("POST", "/", other, 1), 400);
    assert_int_equal(status_of("POST", "/", hosts, 2), 400);
}

static void a_header_name_that_is_no_token_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"", "X-Amz-A;b", "X Y", "Content-Length ", "X\x01"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const struct http_header headers[] = {{names[i], "1"}};
        assert_int_equal(status_of("GET", "/", headers, 1), 400);
    }
}

static void a_target_that_is_no_path_is_refused(void **state)
{
    (void)state;
    static const char *const paths[] = {"", "*", "x", "/\x01", "/\x7f", "http://host"};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        assert_int_equal(status_of("GET", paths[i], NULL, 0), 400);
    }
}

static void a_long_target_is_refused(void **state)
{
    (void)state;
    char *path = memory_new(HTTP_TARGET_LIMIT + 2);
    (void)memset(path, '/', HTTP_TARGET_LIMIT);
    assert_int_equal(status_of("GET", path, NULL, 0), 200);
    path[HTTP_TARGET_LIMIT] = '/';
    assert_int_equal(status_of("GET", path, NULL, 0), 414);
    free(path);
}

static void a_target_splits_into_path_and_query(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        const char *path;
        const char *query;
    } cases[] = {{"/", "/", ""},
                 {"/a?b=c", "/a", "b=c"},
                 {"/a?", "/a", ""},
                 {"/a?b?c", "/a", "b?c"},
                 {"http://host:1/a?b", "/a", "b"},
                 {"https://host", "https://host", ""}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char target[64];
        const char *path = NULL;
        const char *query = NULL;
        (void)snprintf(target, sizeof target, "%s", cases[i].target);
        upload_split_target(target, &path, &query);
        assert_string_equal(path, cases[i].path);
        assert_string_equal(query, cases[i].query);
    }
}

static void a_body_arrives_in_pieces(void **state)
{
    (void)state;
    struct upload_budget budget;
    struct upload upload;
    struct http_request request = {0};
    struct upload_refusal refusal = {0};
    upload_budget_init(&budget, 10);
    upload_init(&upload, &budget);
    assert_true(upload_put(&upload, "ab", 2));
    assert_true(upload_put(&upload, "cd", 2));
    assert_true(upload_complete(&upload, &request, &refusal));
    assert_int_equal(request.body_size, 4);
    assert_memory_equal(request.body, "abcd", 4);
    assert_int_equal(budget.left, 6);
    upload_done(&upload);
    assert_int_equal(budget.left, 10);
}

static void a_body_that_grows_too_large_is_thrown_away_and_then_cut(void **state)
{
    (void)state;
    struct upload_budget budget;
    struct upload upload;
    struct http_request request = {0};
    struct upload_refusal refusal = {0};
    char *chunk = memory_new(HTTP_BODY_LIMIT);
    upload_budget_init(&budget, (size_t)HTTP_BODY_LIMIT * 2);
    upload_init(&upload, &budget);
    assert_true(upload_put(&upload, chunk, HTTP_BODY_LIMIT));
    assert_true(upload_put(&upload, chunk, 1));
    assert_false(upload_complete(&upload, &request, &refusal));
    assert_int_equal(refusal.status, 413);
    int more = 0;
    while (upload_put(&upload, chunk, HTTP_BODY_LIMIT)) {
        more++;
    }
    assert_int_equal(more, 15);
    assert_true(upload.body.length <= HTTP_BODY_LIMIT);
    upload_done(&upload);
    free(chunk);
}

static void all_bodies_together_have_a_budget(void **state)
{
    (void)state;
    struct upload_budget budget;
    struct upload first;
    struct upload second;
    struct http_request request = {0};
    struct upload_refusal refusal = {0};
    upload_budget_init(&budget, 5);
    upload_init(&first, &budget);
    upload_init(&second, &budget);
    assert_true(upload_put(&first, "abcd", 4));
    assert_true(upload_put(&second, "ab", 2));
    assert_false(upload_complete(&second, &request, &refusal));
    assert_int_equal(refusal.error, WIRE_UNAVAILABLE);
    assert_true(upload_complete(&first, &request, &refusal));
    upload_done(&first);
    upload_done(&second);
    assert_int_equal(budget.left, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_head_is_let_in),
        cmocka_unit_test(an_announced_body_over_the_limit_is_refused),
        cmocka_unit_test(a_length_that_is_no_number_is_refused),
        cmocka_unit_test(a_body_framed_in_two_ways_is_refused),
        cmocka_unit_test(a_header_name_that_is_no_token_is_refused),
        cmocka_unit_test(a_target_that_is_no_path_is_refused),
        cmocka_unit_test(a_long_target_is_refused),
        cmocka_unit_test(a_target_splits_into_path_and_query),
        cmocka_unit_test(a_body_arrives_in_pieces),
        cmocka_unit_test(a_body_that_grows_too_large_is_thrown_away_and_then_cut),
        cmocka_unit_test(all_bodies_together_have_a_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
