/* Tests of sts.h: the handler is called as the codec calls it. */
#include "service/sts/sts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void the_caller_is_a_user_named_after_its_key(void **state)
{
    (void)state;
    struct arena arena;
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    struct aws_call call = {
        .arena = &arena, .account_id = "123456789012", .access_key_id = "LWAKEXAMPLE"};
    json_t *in = json_object();
    json_t *out = NULL;
    assert_string_equal(service_sts.name, "sts");
    assert_int_equal(service_sts.count, 1);
    assert_string_equal(service_sts.bindings[0].operation, "GetCallerIdentity");
    assert_int_equal(service_sts.bindings[0].handler(&call, in, &out, &err), 0);
    assert_string_equal(json_string_value(json_object_get(out, "Arn")),
                        "arn:aws:iam::123456789012:user/LWAKEXAMPLE");
    assert_string_equal(json_string_value(json_object_get(out, "UserId")), "LWAKEXAMPLE");
    assert_string_equal(json_string_value(json_object_get(out, "Account")), "123456789012");
    json_decref(in);
    json_decref(out);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_caller_is_a_user_named_after_its_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
