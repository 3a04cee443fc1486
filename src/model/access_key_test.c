/* Tests of access_key.h. */
#include "model/access_key.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void roles_have_names_and_back(void **state)
{
    (void)state;
    static const enum model_role roles[] = {MODEL_ROLE_VIEWER, MODEL_ROLE_OPERATOR,
                                            MODEL_ROLE_ADMIN};
    for (size_t i = 0; i < 3; i++) {
        enum model_role role = MODEL_ROLE_VIEWER;
        assert_int_equal(model_role_parse(model_role_name(roles[i]), &role), 0);
        assert_int_equal(role, roles[i]);
    }
    enum model_role role = MODEL_ROLE_VIEWER;
    assert_int_equal(model_role_parse("root", &role), -EINVAL);
    assert_int_equal(model_role_parse("", &role), -EINVAL);
}

static void a_generated_key_survives_encode_and_decode(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct model_access_key key;
    struct model_access_key again;
    struct err err = ERR_INIT;
    model_access_key_generate(&arena, MODEL_ROLE_OPERATOR, "for \"ops\"",
                              (struct wall){1700000000 * TIME_S}, &key);
    assert_int_equal(strlen(key.id), 20);
    assert_int_equal(key.secret.length, 40);
    json_t *json = model_access_key_encode(&key);
    char *text = json_dumps(json, JSON_COMPACT);
    assert_int_equal(model_access_key_decode(text, strlen(text), &arena, &again, &err), 0);
    assert_string_equal(again.id, key.id);
    assert_string_equal(again.comment, "for \"ops\"");
    assert_int_equal(again.role, MODEL_ROLE_OPERATOR);
    assert_int_equal(again.secret.length, 40);
    assert_string_equal(again.secret.data, key.secret.data);
    assert_int_equal(again.created.ns, 1700000000 * TIME_S);
    free(text);
    json_decref(json);
    arena_done(&arena);
}

static void a_sealed_key_shows_no_secret(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct model_access_key key;
    struct model_access_key again;
    struct err err = ERR_INIT;
    model_access_key_generate(&arena, MODEL_ROLE_VIEWER, "", (struct wall){0}, &key);
    key.sealed = "v1:k:AAAA";
    json_t *json = model_access_key_encode(&key);
    char *text = json_dumps(json, JSON_COMPACT);
    assert_null(strstr(text, key.secret.data));
    assert_int_equal(model_access_key_decode(text, strlen(text), &arena, &again, &err), 0);
    assert_string_equal(again.sealed, "v1:k:AAAA");
    assert_int_equal(again.secret.length, 0);
    free(text);
    json_decref(json);
    arena_done(&arena);
}

static void damaged_keys_are_refused(void **state)
{
    (void)state;
    static const char both[] = "{\"v\":1,\"Id\":\"LWAKAAAAAAAAAAAA\",\"Secret\":\"x\","
                               "\"Sealed\":\"v1:k:A\",\"Role\":\"admin\"}";
    static const char *const values[] = {
        "",
        "[]",
        "{}",
        "{\"v\":0}",
        "{\"v\":1}",
        "{\"v\":1,\"Id\":\"short\",\"Secret\":\"x\",\"Role\":\"admin\"}",
        "{\"v\":1,\"Id\":\"LWAKAAAAAAAAAAAA/AAA\",\"Secret\":\"x\",\"Role\":\"admin\"}",
        "{\"v\":1,\"Id\":\"LWAKAAAAAAAAAAAAAAAA\",\"Secret\":\"\",\"Role\":\"admin\"}",
        "{\"v\":1,\"Id\":\"LWAKAAAAAAAAAAAAAAAA\",\"Secret\":\"x\",\"Role\":\"root\"}",
        "{\"v\":1,\"Id\":\"LWAKAAAAAAAAAAAAAAAA\",\"Secret\":7,\"Role\":\"admin\"}",
        "{\"v\":1,\"Id\":\"LWAKAAAAAAAAAAAA\",\"Secret\":\"x\",\"Role\":\"admin\",\"Created\":-1}",
        both,
        "{\"v\":1,\"Id\":\"LWAKAAAAAAAAAAAA\",\"Sealed\":7,\"Role\":\"admin\"}",
    };
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct model_access_key key;
        struct err err = ERR_INIT;
        assert_int_equal(model_access_key_decode(values[i], strlen(values[i]), &arena, &key, &err),
                         -EBADMSG);
        assert_int_equal(err.kind, ERR_CORRUPT);
    }
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles_have_names_and_back),
        cmocka_unit_test(a_generated_key_survives_encode_and_decode),
        cmocka_unit_test(a_sealed_key_shows_no_secret),
        cmocka_unit_test(damaged_keys_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
