/* The keys a daemon starts with: shown before they are kept, or taken from the environment. */
#include "daemon/credentials.h"

#include "base/arena.h"
#include "base/text.h"
#include "model/path.h"
#include "store/fickle_store.h"
#include "store/memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t count_keys(struct store *store)
{
    struct err err = ERR_INIT;
    size_t count = 0;
    assert_int_equal(store_count(store, PATH_ACCESS_KEYS, &count, &err), 0);
    return count;
}

/* NOLINTBEGIN(concurrency-mt-unsafe): these tests have one thread */
static void set_environment(const char *id, const char *secret)
{
    assert_int_equal(setenv("LEEWARD_ACCESS_KEY_ID", id, 1), 0);
    assert_int_equal(setenv("LEEWARD_SECRET_ACCESS_KEY", secret, 1), 0);
}
/* NOLINTEND(concurrency-mt-unsafe) */

static struct seal *seal;

static int set_up(void **state)
{
    struct err err = ERR_INIT;
    assert_int_equal(
        seal_parse("test AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "test", &seal, &err), 0);
    set_environment("", "");
    *state = store_memory_open();
    return 0;
}

static int tear_down(void **state)
{
    store_close(*state);
    seal_free(seal);
    return 0;
}

static void the_first_key_is_shown_once(void **state)
{
    struct err err = ERR_INIT;
    char shown[256] = "";
    FILE *out = fmemopen(shown, sizeof shown, "w");
    assert_non_null(out);
    assert_int_equal(credentials_prepare(*state, *state, seal, out, &err), 0);
    assert_true(text_starts(shown, "admin key (shown only now): "));
    long end = ftell(out);
    assert_int_equal(credentials_prepare(*state, *state, seal, out, &err), 0);
    assert_int_equal(ftell(out), end);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(count_keys(*state), 1);
}

static void a_key_that_cannot_be_shown_is_not_kept(void **state)
{
    struct err err = ERR_INIT;
    FILE *out = fopen("/dev/full", "we");
    assert_non_null(out);
    assert_true(credentials_prepare(*state, *state, seal, out, &err) < 0);
    assert_true(text_starts(err.message, "the admin key of the first start cannot be written"));
    (void)fclose(out); /* cannot write what is left either */
    assert_int_equal(count_keys(*state), 0);
}

static void a_key_in_the_environment_that_nobody_could_use_is_refused(void **state)
{
    static const char *const pairs[][2] = {
        {"AKIAAAAAAAAAAAAAAAAA", ""},
        {"", "secret"},
        {"short", "secret"},
        {"AKIAAAAAAAAAAAAAAAAA", "line\n"},
        {"AKIAAAAAAAAAAAAAAAAA", "\xff\xfe"},
        {"AKIAAAAAAAAAAAA-AAAA", "secret"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        struct err err = ERR_INIT;
        set_environment(pairs[i][0], pairs[i][1]);
        assert_int_equal(credentials_prepare(*state, *state, seal, stdout, &err), -EINVAL);
        assert_non_null(strstr(err.message, "LEEWARD_SECRET_ACCESS_KEY"));
    }
    assert_int_equal(count_keys(*state), 0);
}

static void the_key_of_the_environment_becomes_an_admin_key(void **state)
{
    struct err err = ERR_INIT;
    struct aws_credential credential;
    set_environment("AKIAAAAAAAAAAAAAAAAA", "secret+/=");
    assert_int_equal(credentials_prepare(*state, *state, seal, stdout, &err), 0);
    assert_int_equal(credentials_lookup(*state, seal, "AKIAAAAAAAAAAAAAAAAA", &credential, &err),
                     0);
    assert_int_equal(credential.role, AWS_ROLE_ADMIN);
    assert_string_equal(credential.secret.data, "secret+/=");
    assert_int_equal(count_keys(*state), 1);
}

/* A replica that still has a key that was deleted in the truth, and not yet one that was made. */
static void a_deleted_key_changes_nothing_while_the_truth_is_there(void **state)
{
    static const char *const deleted = "AKIADELETEDDELETEDDE";
    static const char *const fresh = "AKIAFRESHFRESHFRESHF";
    struct err err = ERR_INIT;
    struct store *truth = fickle_new(*state);
    struct store *replica = store_memory_open();
    struct credentials_place place = {.replica = replica, .truth = truth, .seal = seal};
    struct aws_credential found;
    set_environment(deleted, "secret");
    assert_int_equal(credentials_prepare(replica, replica, seal, stdout, &err), 0);
    set_environment(fresh, "secret");
    assert_int_equal(credentials_prepare(truth, truth, seal, stdout, &err), 0);
    assert_int_equal(credentials_find(&place, deleted, false, &found, &err), 0);
    assert_int_equal(credentials_find(&place, deleted, true, &found, &err), -ENOENT);
    err_clear(&err);
    assert_int_equal(credentials_find(&place, fresh, false, &found, &err), 0);
    assert_int_equal(credentials_find(&place, fresh, true, &found, &err), 0);
    place.in_step = true; /* it says that it is not behind: no call to the truth for known keys */
    fickle_fail(truth, true);
    assert_int_equal(credentials_find(&place, deleted, true, &found, &err), 0);
    place = (struct credentials_place){replica, truth, seal, false, true};
    assert_int_equal(credentials_find(&place, deleted, true, &found, &err), 0);
    assert_true(credentials_find(&place, fresh, true, &found, &err) != 0);
    assert_int_equal(err.kind, ERR_UNAVAILABLE);
    err_clear(&err);
    place.away = false; /* it went away since the replica looked */
    assert_int_equal(credentials_find(&place, deleted, true, &found, &err), 0);
    store_close(replica);
    store_close(truth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_key_is_shown_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_that_cannot_be_shown_is_not_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_in_the_environment_that_nobody_could_use_is_refused,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_key_of_the_environment_becomes_an_admin_key, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_deleted_key_changes_nothing_while_the_truth_is_there,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
