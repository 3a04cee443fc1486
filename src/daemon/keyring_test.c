/* Keys that are at hand are those in the store, whatever happens to them there. */
#include "daemon/keyring.h"

#include "base/arena.h"
#include "base/text.h"
#include "model/path.h"
#include "service/common/access_key.h"
#include "store/memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MANY 40U

struct fixture {
    struct store *store;
    struct seal *seal;
    struct keyring *keyring;
};

static struct fixture f;

static int set_up(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    f.store = store_memory_open();
    assert_int_equal(
        seal_parse("test AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "test", &f.seal, &err), 0);
    f.keyring = keyring_new(f.store, f.seal);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    keyring_free(f.keyring);
    store_close(f.store);
    seal_free(f.seal);
    return 0;
}

static void put(const char *id, const char *secret, enum model_role role)
{
    struct err err = ERR_INIT;
    struct model_access_key key = {.id = id, .role = role, .sealed = "", .comment = ""};
    assert_int_equal(secret_set(&key.secret, secret, strlen(secret)), 0);
    assert_int_equal(service_access_key_put(f.store, f.seal, &key, false, &err), 0);
}

static void drop(const char *id)
{
    struct arena arena CLEANUP(arena_done);
    struct err err = ERR_INIT;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t revision = 0;
    arena_init(&arena, 0);
    store_txn_delete(txn, path_join(&arena, PATH_ACCESS_KEYS, id));
    assert_int_equal(store_commit(f.store, txn, &revision, &err), 0);
}

static int look_up(const char *id, struct aws_credential *credential)
{
    struct err err = ERR_INIT;
    return keyring_lookup(f.keyring, id, credential, &err);
}

static void assert_secret(const char *id, const char *secret)
{
    struct aws_credential credential;
    assert_int_equal(look_up(id, &credential), 0);
    assert_string_equal(credential.secret.data, secret);
}

static void a_key_is_found_again_and_again(void **state)
{
    (void)state;
    put("AKIAONEONEONEONE", "first", MODEL_ROLE_OPERATOR);
    for (int i = 0; i < 3; i++) {
        struct aws_credential credential;
        assert_int_equal(look_up("AKIAONEONEONEONE", &credential), 0);
        assert_string_equal(credential.secret.data, "first");
        assert_int_equal(credential.role, AWS_ROLE_OPERATOR);
    }
}

static void a_key_that_changed_is_read_anew(void **state)
{
    (void)state;
    put("AKIAONEONEONEONE", "first", MODEL_ROLE_ADMIN);
    assert_secret("AKIAONEONEONEONE", "first");
    put("AKIAONEONEONEONE", "second", MODEL_ROLE_ADMIN);
    assert_secret("AKIAONEONEONEONE", "second");
}

static void a_key_that_was_deleted_is_gone(void **state)
{
    (void)state;
    struct aws_credential credential;
    put("AKIAONEONEONEONE", "first", MODEL_ROLE_ADMIN);
    put("AKIATWOTWOTWOTWO", "other", MODEL_ROLE_ADMIN);
    assert_secret("AKIAONEONEONEONE", "first");
    drop("AKIAONEONEONEONE");
    assert_int_equal(look_up("AKIAONEONEONEONE", &credential), -ENOENT);
    assert_secret("AKIATWOTWOTWOTWO", "other");
}

static void what_is_no_key_is_never_found(void **state)
{
    (void)state;
    struct aws_credential credential;
    assert_int_equal(look_up("", &credential), -ENOENT);
    assert_int_equal(look_up("AKIANOBODYNOBODY", &credential), -ENOENT);
    put("AKIANOBODYNOBODY", "now", MODEL_ROLE_ADMIN);
    assert_secret("AKIANOBODYNOBODY", "now");
}

static void more_keys_than_are_held_are_found_all_the_same(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            char id[32];
            char secret[32];
            (void)snprintf(id, sizeof id, "AKIAMANYMANYMANY%u", i);
            (void)snprintf(secret, sizeof secret, "secret %u", i);
            if (round == 0) {
                put(id, secret, MODEL_ROLE_VIEWER);
            }
            assert_secret(id, secret);
        }
    }
}

static void a_history_that_is_gone_costs_no_key(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    int64_t revision = 0;
    put("AKIAONEONEONEONE", "first", MODEL_ROLE_ADMIN);
    assert_secret("AKIAONEONEONEONE", "first");
    put("AKIAONEONEONEONE", "second", MODEL_ROLE_ADMIN);
    put("AKIATWOTWOTWOTWO", "other", MODEL_ROLE_ADMIN);
    assert_int_equal(store_revision(f.store, &revision, &err), 0);
    assert_int_equal(store_compact(f.store, revision, &err), 0);
    assert_secret("AKIAONEONEONEONE", "second");
    put("AKIAONEONEONEONE", "third", MODEL_ROLE_ADMIN);
    assert_secret("AKIAONEONEONEONE", "third");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_is_found_again_and_again),
        TEST(a_key_that_changed_is_read_anew),
        TEST(a_key_that_was_deleted_is_gone),
        TEST(what_is_no_key_is_never_found),
        TEST(more_keys_than_are_held_are_found_all_the_same),
        TEST(a_history_that_is_gone_costs_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
