/* What happens to secrets in the store at start: sealed, sealed again, refused. */
#include "daemon/sealing.h"

#include "base/arena.h"
#include "base/memory.h"
#include "base/text.h"
#include "model/path.h"
#include "service/common/access_key.h"
#include "store/memory.h"
#include "store/sqlite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define KEY_A "one AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
#define KEY_B "two HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
#define ID "LWAKAAAAAAAAAAAAAAAA"
#define SECRET "a-secret-that-is-found-nowhere"

struct fixture {
    struct store *store;
    struct err err;
    char folder[64];
    char *file;
};

static int set_up(void **state)
{
    struct fixture *fixture = memory_new(sizeof *fixture);
    fixture->store = store_memory_open();
    (void)snprintf(fixture->folder, sizeof fixture->folder, "/tmp/leeward-sealing-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    fixture->file = memory_printf("%s/seal.key", fixture->folder);
    (void)unsetenv(SEAL_ENVIRONMENT); /* NOLINT(concurrency-mt-unsafe): there is one thread */
    *state = fixture;
    return 0;
}

static void each_file(const char *folder, void (*visit)(const char *path))
{
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of this thread's own */
    for (struct dirent *at = readdir(directory); at != NULL; at = readdir(directory)) {
        if (at->d_name[0] != '.') {
            char *path CLEANUP(memory_cleanup) = memory_printf("%s/%s", folder, at->d_name);
            visit(path);
        }
    }
    assert_int_equal(closedir(directory), 0);
}

static void remove_file(const char *path)
{
    assert_int_equal(unlink(path), 0);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    each_file(fixture->folder, remove_file);
    assert_int_equal(rmdir(fixture->folder), 0);
    free(fixture->file);
    free(fixture);
    return 0;
}

static void put_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static void put(struct store *store, const char *key, const char *value)
{
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    struct err err = ERR_INIT;
    int64_t revision = 0;
    store_txn_put(txn, key, value, strlen(value));
    assert_int_equal(store_commit(store, txn, &revision, &err), 0);
}

static void put_plain(struct store *store)
{
    put(store, PATH_ACCESS_KEYS ID,
        "{\"v\":1,\"Id\":\"" ID "\",\"Secret\":\"" SECRET
        "\",\"Role\":\"admin\",\"Comment\":\"old\",\"Created\":1,\"New\":7}");
}

/* Starts with these keys; the code of it. */
static int start(struct fixture *fixture, const char *keys, bool *ret_rewrite)
{
    struct seal *seal CLEANUP(seal_cleanup) = NULL;
    if (keys != NULL) {
        put_file(fixture->file, keys);
    }
    err_clear(&fixture->err);
    return sealing_open(fixture->store, fixture->store, fixture->file, &seal, ret_rewrite,
                        &fixture->err);
}

static char *value_of(struct store *store, const char *key, struct arena *arena)
{
    struct err err = ERR_INIT;
    struct store_entry entry;
    assert_int_equal(store_get(store, key, arena, &entry, &err), 0);
    return arena_memdup(arena, entry.value, entry.size);
}

static void a_plain_secret_is_sealed_and_still_opens(void **state)
{
    struct fixture *fixture = *state;
    struct arena arena CLEANUP(arena_done);
    struct seal *seal CLEANUP(seal_cleanup) = NULL;
    struct model_access_key key;
    bool rewrite = false;
    arena_init(&arena, 0);
    put_plain(fixture->store);
    assert_int_equal(start(fixture, KEY_A, &rewrite), 0);
    assert_true(rewrite);
    const char *value = value_of(fixture->store, PATH_ACCESS_KEYS ID, &arena);
    assert_null(strstr(value, SECRET));
    assert_non_null(strstr(value, "\"New\":7")); /* what is not known survives */
    assert_int_equal(seal_parse(KEY_A, "a", &seal, &fixture->err), 0);
    assert_int_equal(service_access_key_get(fixture->store, seal, ID, &arena, &key, &fixture->err),
                     0);
    assert_string_equal(key.secret.data, SECRET);
    assert_int_equal(key.role, MODEL_ROLE_ADMIN);
    assert_int_equal(start(fixture, KEY_A, &rewrite), 0);
    assert_true(rewrite); /* until the files were rewritten */
    assert_int_equal(sealing_forget(fixture->store, &fixture->err), 0);
    assert_int_equal(start(fixture, KEY_A, &rewrite), 0);
    assert_false(rewrite);
}

static void secrets_go_over_to_a_new_key(void **state)
{
    struct fixture *fixture = *state;
    struct arena arena CLEANUP(arena_done);
    bool rewrite = false;
    arena_init(&arena, 0);
    put_plain(fixture->store);
    assert_int_equal(start(fixture, KEY_A, &rewrite), 0);
    assert_int_equal(start(fixture, KEY_B KEY_A, &rewrite), 0);
    assert_non_null(strstr(value_of(fixture->store, PATH_ACCESS_KEYS ID, &arena), "\"v1:two:"));
    assert_int_equal(start(fixture, KEY_B, &rewrite), 0); /* the old one can go */
    assert_int_equal(start(fixture, KEY_A, &rewrite), -EACCES);
}

/* TSIG keys have their sealed secret in another member. */
static void transfer_keys_go_over_too(void **state)
{
    struct fixture *fixture = *state;
    struct arena arena CLEANUP(arena_done);
    struct seal *seal CLEANUP(seal_cleanup) = NULL;
    char *sealed = NULL;
    bool rewrite = false;
    arena_init(&arena, 0);
    assert_int_equal(seal_parse(KEY_A, "a", &seal, &fixture->err), 0);
    assert_int_equal(seal_wrap(seal, PATH_TSIG "k.", "xyz", 3, &arena, &sealed, &fixture->err), 0);
    put(fixture->store, PATH_TSIG "k.",
        arena_printf(&arena, "{\"v\":1,\"Name\":\"k.\",\"Secret\":\"%s\"}", sealed));
    assert_int_equal(start(fixture, KEY_B KEY_A, &rewrite), 0);
    assert_false(rewrite);
    assert_non_null(
        strstr(value_of(fixture->store, PATH_TSIG "k.", &arena), "\"Secret\":\"v1:two:"));
    assert_int_equal(start(fixture, KEY_A, &rewrite), -EACCES);
}

static void the_wrong_key_is_refused_with_what_to_do(void **state)
{
    struct fixture *fixture = *state;
    bool rewrite = false;
    put_plain(fixture->store);
    assert_int_equal(start(fixture, KEY_A, &rewrite), 0);
    assert_int_equal(start(fixture, KEY_B, &rewrite), -EACCES);
    assert_non_null(strstr(fixture->err.message, "sealed with the key one, which"));
    assert_non_null(strstr(fixture->err.message, "put the seal key file that holds it back"));
    /* Another key of the same name. */
    assert_int_equal(start(fixture, "one HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", &rewrite),
                     -EACCES);
    assert_non_null(strstr(fixture->err.message, "none of the secrets in the store opens"));
}

static void a_lost_key_file_is_not_made_anew_over_sealed_secrets(void **state)
{
    struct fixture *fixture = *state;
    bool rewrite = false;
    put_plain(fixture->store);
    assert_int_equal(start(fixture, KEY_A, &rewrite), 0);
    assert_int_equal(unlink(fixture->file), 0);
    assert_int_equal(start(fixture, NULL, &rewrite), -EACCES);
    assert_non_null(strstr(fixture->err.message, "seal.key is missing, and the store holds 1 "));
    assert_int_equal(access(fixture->file, F_OK), -1);
}

static void an_empty_store_gets_a_key_file(void **state)
{
    struct fixture *fixture = *state;
    bool rewrite = true;
    assert_int_equal(start(fixture, NULL, &rewrite), 0);
    assert_false(rewrite);
    assert_int_equal(access(fixture->file, F_OK), 0);
}

static void one_damaged_secret_does_not_keep_the_daemon_down(void **state)
{
    struct fixture *fixture = *state;
    struct arena arena CLEANUP(arena_done);
    bool rewrite = false;
    arena_init(&arena, 0);
    put_plain(fixture->store);
    put(fixture->store, PATH_ACCESS_KEYS "LWAKNOTHING", "not JSON");
    assert_int_equal(start(fixture, KEY_A, &rewrite), 0);
    put(fixture->store, PATH_ACCESS_KEYS "LWAKMOVED",
        value_of(fixture->store, PATH_ACCESS_KEYS ID, &arena));
    assert_int_equal(start(fixture, KEY_A, &rewrite), 0);
}

static void no_plain_secret(const char *path)
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    static char data[4U << 20U];
    size_t size = fread(data, 1, sizeof data, file);
    assert_true(size < sizeof data);
    assert_int_equal(fclose(file), 0);
    assert_null(memmem(data, size, SECRET, strlen(SECRET)));
}

static void a_rewritten_store_has_no_trace_of_a_plain_secret(void **state)
{
    struct fixture *fixture = *state;
    bool rewrite = false;
    store_close(fixture->store);
    assert_int_equal(store_sqlite_open(fixture->folder, &fixture->store, &fixture->err), 0);
    put_plain(fixture->store);
    assert_int_equal(start(fixture, KEY_A, &rewrite), 0);
    assert_true(rewrite);
    assert_int_equal(store_sqlite_rewrite(fixture->store, &fixture->err), 0);
    assert_int_equal(sealing_forget(fixture->store, &fixture->err), 0);
    each_file(fixture->folder, no_plain_secret);
    assert_int_equal(start(fixture, KEY_A, &rewrite), 0);
    assert_false(rewrite);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_plain_secret_is_sealed_and_still_opens),
        TEST(secrets_go_over_to_a_new_key),
        TEST(transfer_keys_go_over_too),
        TEST(the_wrong_key_is_refused_with_what_to_do),
        TEST(a_lost_key_file_is_not_made_anew_over_sealed_secrets),
        TEST(an_empty_store_gets_a_key_file),
        TEST(one_damaged_secret_does_not_keep_the_daemon_down),
        TEST(a_rewritten_store_has_no_trace_of_a_plain_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
