/* Tests of dnssec.h. */
#include "model/dnssec.h"

#include "base/arena.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_status_survives_encode_and_decode(void **state)
{
    (void)state;
    for (int signing = 0; signing < 2; signing++) {
        struct err err = ERR_INIT;
        struct model_dnssec again;
        struct model_dnssec dnssec = {.signing = signing != 0, .modified_s = 1700000000};
        json_t *tree = model_dnssec_encode(&dnssec);
        char *text = json_dumps(tree, JSON_COMPACT);
        assert_int_equal(model_dnssec_decode(text, strlen(text), &again, &err), 0);
        assert_int_equal(again.signing, dnssec.signing);
        assert_int_equal(again.modified_s, 1700000000);
        free(text);
        json_decref(tree);
    }
}

static void a_key_survives_encode_and_decode(void **state)
{
    struct arena arena CLEANUP(arena_done);
    struct err err = ERR_INIT;
    struct model_signing_key again;
    struct model_signing_key key = {.name = "main",
                                    .flags = MODEL_FLAGS_SIGNING_KEY,
                                    .tag = 65535,
                                    .public_key = "AAAA",
                                    .digest = "0A",
                                    .sealed = "v1:k:AAAA",
                                    .arn = "arn:aws:kms:us-east-1:123456789012:key/1",
                                    .status = MODEL_KEY_RETIRED,
                                    .caller_reference = "r",
                                    .created_s = 1,
                                    .modified_s = 2};
    (void)state;
    arena_init(&arena, 0);
    json_t *tree = model_signing_key_encode(&key);
    char *text = json_dumps(tree, JSON_COMPACT);
    assert_int_equal(model_signing_key_decode(text, strlen(text), &arena, &again, &err), 0);
    assert_string_equal(again.name, key.name);
    assert_int_equal(again.flags, key.flags);
    assert_int_equal(again.tag, key.tag);
    assert_string_equal(again.public_key, key.public_key);
    assert_string_equal(again.digest, key.digest);
    assert_string_equal(again.sealed, key.sealed);
    assert_string_equal(again.arn, key.arn);
    assert_int_equal(again.status, MODEL_KEY_RETIRED);
    assert_string_equal(again.caller_reference, key.caller_reference);
    assert_int_equal(again.created_s, 1);
    assert_int_equal(again.modified_s, 2);
    free(text);
    json_decref(tree);
}

static void damaged_records_are_refused(void **state)
{
    static const char *const values[] = {
        "",
        "{}",
        "{\"v\":1}",
        "{\"v\":1,\"Status\":\"DELETING\"}",
        "{\"v\":1,\"Status\":\"ACTIVE\",\"Flags\":257,\"Sealed\":\"v1:k:A\"}",
        "{\"v\":1,\"Status\":\"ACTIVE\",\"Flags\":258,\"Sealed\":\"v1:k:A\",\"Name\":\"n\"}",
        "{\"v\":1,\"Status\":\"ACTIVE\",\"Flags\":256}",
        "{\"v\":1,\"Status\":\"ACTIVE\",\"Flags\":256,\"Sealed\":7}",
        "{\"v\":1,\"Status\":\"\",\"Flags\":256,\"Sealed\":\"v1:k:A\"}",
        "{\"v\":1,\"Status\":\"ACTIVE\",\"Flags\":256,\"Sealed\":\"v1:k:A\",\"KeyTag\":65536}",
    };
    struct arena arena CLEANUP(arena_done);
    (void)state;
    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        struct err err = ERR_INIT;
        struct model_dnssec dnssec;
        struct model_signing_key key;
        size_t size = strlen(values[i]);
        assert_int_equal(model_signing_key_decode(values[i], size, &arena, &key, &err), -EBADMSG);
        assert_int_equal(model_dnssec_decode(values[i], size, &dnssec, &err), -EBADMSG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_status_survives_encode_and_decode),
        cmocka_unit_test(a_key_survives_encode_and_decode),
        cmocka_unit_test(damaged_records_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
