/* Tests of taking JSON apart while it arrives, in pieces of every size. */
#include "store/etcd/splitter.h"

#include "base/macro.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct seen {
    struct buf text; /* "i" and "m" before each item and message */
};

static int on_item(void *context, const char *text, size_t size)
{
    struct seen *seen = context;
    buf_putc(&seen->text, 'i');
    buf_put(&seen->text, text, size);
    return 0;
}

static int on_message(void *context, const char *text, size_t size)
{
    struct seen *seen = context;
    buf_putc(&seen->text, 'm');
    buf_put(&seen->text, text, size);
    return 0;
}

static int feed(const char *input, size_t piece, struct seen *seen)
{
    const struct splitter_calls calls = {.item = on_item, .message = on_message, .context = seen};
    struct splitter splitter CLEANUP(splitter_done) = {0};
    splitter_init(&splitter, "\"kvs\"", 1, 64, &calls);
    int rc = 0;
    size_t size = strlen(input);
    for (size_t at = 0; at < size && rc == 0; at += piece) {
        rc = splitter_feed(&splitter, input + at, MIN(piece, size - at));
    }
    return rc != 0 ? rc : splitter_between(&splitter) ? 0 : -EAGAIN;
}

static void elements_and_the_rest_are_told_apart_in_pieces_of_any_size(void **state)
{
    (void)state;
    static const struct {
        const char *input;
        const char *seen;
        int rc;
    } cases[] = {
        {"{\"a\":1,\"kvs\":[{\"k\":\"x,]}\"},{\"k\":\"\\\"[\"} ],\"more\":true}\n{\"b\":{}}",
         "i{\"k\":\"x,]}\"}i{\"k\":\"\\\"[\"}m{\"a\":1,\"kvs\":[],\"more\":true}m{\"b\":{}}", 0},
        {"{\"kvs\":[]}", "m{\"kvs\":[]}", 0},
        {"{\"n\":{\"kvs\":[{}]}}", "m{\"n\":{\"kvs\":[{}]}}", 0}, /* another array of that name */
        {"{\"kvs\":[{\"c\":[{\"kvs\":[1]}]}]}", "i{\"c\":[{\"kvs\":[1]}]}m{\"kvs\":[]}", 0},
        {"{\"kvs\":[{\"k\":\"", "", -EAGAIN},
        {"[1]", "", -EBADMSG},
        {"hello", "", -EBADMSG},
        {"}", "", -EBADMSG},
        {"{\"kvs\":[{\"k\":\"0123456789012345678901234567890123456789012345678901234567890123\"}]}",
         "", -E2BIG},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (size_t piece = 1; piece < 40; piece++) {
            struct seen seen;
            buf_init(&seen.text, 0);
            assert_int_equal(feed(cases[i].input, piece, &seen), cases[i].rc);
            assert_string_equal(buf_text(&seen.text), cases[i].seen);
            buf_done(&seen.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_and_the_rest_are_told_apart_in_pieces_of_any_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
