/* Sealing: what opens and what does not, key text, and the key file. */
#include "seal/seal.h"

#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

struct fixture {
    struct arena arena;
    struct err err;
    struct seal *seal;
    char folder[64];
    char *file;
};

/* NOLINTBEGIN(concurrency-mt-unsafe): these are called before a test starts threads */
static void set_environment(const char *text)
{
    assert_int_equal(setenv(SEAL_ENVIRONMENT, text, 1), 0);
}
/* NOLINTEND(concurrency-mt-unsafe) */

static struct seal *parse(const char *text)
{
    struct err err = ERR_INIT;
    struct seal *seal = NULL;
    assert_int_equal(seal_parse(text, "test", &seal, &err), 0);
    return seal;
}

static int set_up(void **state)
{
    struct fixture *fixture = memory_new(sizeof *fixture);
    arena_init(&fixture->arena, 0);
    fixture->seal = parse("one " KEY_A "\n");
    (void)snprintf(fixture->folder, sizeof fixture->folder, "/tmp/leeward-seal-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    fixture->file = memory_printf("%s/seal.key", fixture->folder);
    set_environment("");
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    (void)unlink(fixture->file);                 /* most tests make none */
    assert_int_equal(rmdir(fixture->folder), 0); /* nothing else was left there */
    free(fixture->file);
    seal_free(fixture->seal);
    arena_done(&fixture->arena);
    free(fixture);
    return 0;
}

static char *wrap(struct fixture *fixture, const char *name, const char *data)
{
    char *text = NULL;
    assert_int_equal(
        seal_wrap(fixture->seal, name, data, strlen(data), &fixture->arena, &text, &fixture->err),
        0);
    return text;
}

static int unwrap(struct fixture *fixture, const struct seal *seal, const char *name,
                  const char *text)
{
    struct seal_data data;
    err_clear(&fixture->err);
    return seal_unwrap(seal, name, text, &fixture->arena, &data, &fixture->err);
}

static void what_was_sealed_opens(void **state)
{
    struct fixture *fixture = *state;
    static const size_t sizes[] = {0, 1, 15, 16, 17, 40, 4096, SEAL_DATA_LIMIT};
    char *data = memory_new(SEAL_DATA_LIMIT);
    (void)memset(data, 'x', SEAL_DATA_LIMIT);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct seal_data opened;
        char *text = NULL;
        assert_int_equal(seal_wrap(fixture->seal, "auth/key/A", data, sizes[i], &fixture->arena,
                                   &text, &fixture->err),
                         0);
        assert_true(text_starts(text, "v1:one:"));
        assert_true(strlen(text) <= SEAL_TEXT_LIMIT);
        assert_int_equal(
            seal_unwrap(fixture->seal, "auth/key/A", text, &fixture->arena, &opened, &fixture->err),
            0);
        assert_int_equal(opened.size, sizes[i]);
        assert_memory_equal(opened.data, data, sizes[i]);
        assert_int_equal(opened.data[opened.size], 0);
    }
    free(data);
}

static void what_is_too_large_is_not_sealed(void **state)
{
    struct fixture *fixture = *state;
    char *text = NULL;
    char *data = memory_new(SEAL_DATA_LIMIT + 1);
    assert_int_equal(seal_wrap(fixture->seal, "n", data, SEAL_DATA_LIMIT + 1, &fixture->arena,
                               &text, &fixture->err),
                     -E2BIG);
    free(data);
}

static void the_same_secret_is_never_sealed_alike(void **state)
{
    struct fixture *fixture = *state;
    char *first = wrap(fixture, "n", "secret");
    assert_string_not_equal(first, wrap(fixture, "n", "secret"));
    assert_null(strstr(first, "secret"));
}

static void a_value_that_was_moved_does_not_open(void **state)
{
    struct fixture *fixture = *state;
    char *text = wrap(fixture, "auth/key/VIEWER", "secret");
    assert_int_equal(unwrap(fixture, fixture->seal, "auth/key/ADMIN", text), -EBADMSG);
    assert_non_null(strstr(fixture->err.message, "auth/key/ADMIN"));
    assert_int_equal(unwrap(fixture, fixture->seal, "", text), -EBADMSG);
}

static void a_changed_value_does_not_open(void **state)
{
    struct fixture *fixture = *state;
    const char *text = wrap(fixture, "n", "secret");
    size_t start = strlen("v1:one:");
    for (size_t i = start; text[i] != '\0' && text[i] != '='; i++) {
        char *changed = arena_strdup(&fixture->arena, text);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        /* Bits behind the last byte are not part of it; text_unbase64 refuses them or not. */
        int rc = unwrap(fixture, fixture->seal, "n", changed);
        assert_true(rc == -EBADMSG || text[i + 1] == '=');
    }
    for (size_t length = start; length < strlen(text); length++) {
        char *cut = arena_memdup(&fixture->arena, text, length);
        assert_int_equal(unwrap(fixture, fixture->seal, "n", cut), -EBADMSG);
    }
}

static void what_is_not_sealed_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const texts[] = {"",
                                        "secret",
                                        "v1",
                                        "v1:",
                                        "v1::AAAA",
                                        "v2:one:AAAA",
                                        "v1:a-name-that-is-longer-than-32-bytes:AAAA"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        assert_false(seal_is_sealed(texts[i]));
        assert_int_equal(unwrap(fixture, fixture->seal, "n", texts[i]), -EINVAL);
    }
}

static void another_key_does_not_open(void **state)
{
    struct fixture *fixture = *state;
    const char *text = wrap(fixture, "n", "secret");
    struct seal *unknown CLEANUP(seal_cleanup) = parse("two " KEY_B);
    struct seal *namesake CLEANUP(seal_cleanup) = parse("one " KEY_B);
    assert_int_equal(unwrap(fixture, unknown, "n", text), -EACCES);
    assert_non_null(strstr(fixture->err.message, "the key one"));
    assert_int_equal(unwrap(fixture, namesake, "n", text), -EBADMSG);
}

static void an_old_key_opens_and_the_first_one_seals(void **state)
{
    struct fixture *fixture = *state;
    const char *old = wrap(fixture, "n", "secret");
    struct seal *rotated CLEANUP(seal_cleanup) = parse("# new\ntwo " KEY_B "\n\none " KEY_A "\r\n");
    char *fresh = NULL;
    assert_string_equal(seal_id(rotated), "two");
    assert_int_equal(unwrap(fixture, rotated, "n", old), 0);
    assert_false(seal_is_current(rotated, old));
    assert_int_equal(seal_wrap(rotated, "n", "secret", 6, &fixture->arena, &fresh, &fixture->err),
                     0);
    assert_true(seal_is_current(rotated, fresh));
    assert_int_equal(unwrap(fixture, fixture->seal, "n", fresh), -EACCES);
}

static void key_text_that_is_wrong_is_refused_with_its_line(void **state)
{
    static const char *const texts[][2] = {
        {"", "test: it holds no key"},
        {"\n# nothing\n", "test: it holds no key"},
        {"AAAA", "test: line 1: a key is the base64 of 32 bytes"},
        {"one " KEY_A "\nAAAA", "test: line 2: a key is the base64 of 32 bytes"},
        {"one " KEY_A " more", "test: line 1: a key is the base64 of 32 bytes"},
        {"one:two " KEY_A, "test: line 1: the name of a key is 1 to 32 of"},
        {"a-name-that-is-longer-than-32-bytes " KEY_A,
         "test: line 1: the name of a key is 1 to 32"},
        {"one " KEY_A "\none " KEY_B, "test: line 2: two keys have one name"},
        {KEY_A "\n" KEY_A, "test: line 2: two keys have one name"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct err err = ERR_INIT;
        struct seal *seal = NULL;
        assert_int_equal(seal_parse(texts[i][0], "test", &seal, &err), -EINVAL);
        assert_true(text_starts(err.message, texts[i][1]));
    }
}

static void more_keys_than_the_limit_are_refused(void **state)
{
    struct buf text CLEANUP(buf_done);
    struct err err = ERR_INIT;
    struct seal *seal = NULL;
    (void)state;
    buf_init(&text, 0);
    for (unsigned i = 0; i < SEAL_KEYS_LIMIT; i++) {
        buf_printf(&text, "key%u " KEY_A "\n", i);
    }
    seal_free(parse(buf_text(&text)));
    buf_puts(&text, "last " KEY_A);
    assert_int_equal(seal_parse(buf_text(&text), "test", &seal, &err), -EINVAL);
}

static void a_key_without_a_name_has_the_same_one_everywhere(void **state)
{
    struct seal *first CLEANUP(seal_cleanup) = parse(KEY_A);
    struct seal *second CLEANUP(seal_cleanup) = parse("  " KEY_A "  \n");
    struct seal *other CLEANUP(seal_cleanup) = parse(KEY_B);
    (void)state;
    assert_int_equal(strlen(seal_id(first)), 8);
    assert_string_equal(seal_id(first), seal_id(second));
    assert_string_not_equal(seal_id(first), seal_id(other));
}

static void the_environment_wins_over_the_file(void **state)
{
    struct fixture *fixture = *state;
    struct seal *seal CLEANUP(seal_cleanup) = NULL;
    assert_false(seal_from_environment());
    set_environment("env " KEY_A);
    assert_true(seal_from_environment());
    assert_int_equal(seal_open("/nonexistent/seal.key", &seal, &fixture->err), 0);
    assert_string_equal(seal_id(seal), "env");
    set_environment("nothing");
    struct seal *none = NULL;
    assert_int_equal(seal_open(fixture->file, &none, &fixture->err), -EINVAL);
    assert_true(text_starts(fixture->err.message, "LEEWARD_SEAL_KEY: line 1: "));
}

static void a_missing_file_is_made_for_its_owner_alone(void **state)
{
    struct fixture *fixture = *state;
    struct seal *made CLEANUP(seal_cleanup) = NULL;
    struct seal *read CLEANUP(seal_cleanup) = NULL;
    struct stat status;
    assert_int_equal(seal_open(fixture->file, &made, &fixture->err), 0);
    assert_int_equal(stat(fixture->file, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(status.st_nlink, 1);
    assert_int_equal(seal_open(fixture->file, &read, &fixture->err), 0);
    assert_string_equal(seal_id(made), seal_id(read));
    char *text = NULL;
    assert_int_equal(seal_wrap(made, "n", "s", 1, &fixture->arena, &text, &fixture->err), 0);
    assert_int_equal(unwrap(fixture, read, "n", text), 0);
}

static void *open_file(void *argument)
{
    struct err err = ERR_INIT;
    struct seal *seal = NULL;
    return seal_open(argument, &seal, &err) == 0 ? seal : NULL;
}

static void makers_at_once_end_with_one_key(void **state)
{
    struct fixture *fixture = *state;
    pthread_t threads[8];
    struct seal *seals[ARRAY_SIZE(threads)] = {NULL};
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, open_file, fixture->file), 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        void *seal = NULL;
        assert_int_equal(pthread_join(threads[i], &seal), 0);
        assert_non_null(seal);
        seals[i] = seal;
        assert_string_equal(seal_id(seals[i]), seal_id(seals[0]));
    }
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        seal_free(seals[i]);
    }
}

static void put_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

static void a_file_that_others_can_read_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const mode_t modes[] = {0640, 0604, 0620, 0777};
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        struct seal *seal = NULL;
        put_file(fixture->file, KEY_A, modes[i]);
        assert_int_equal(seal_open(fixture->file, &seal, &fixture->err), -EACCES);
        assert_non_null(strstr(fixture->err.message, "chmod 600"));
    }
    struct seal *seal CLEANUP(seal_cleanup) = NULL;
    put_file(fixture->file, KEY_A, 0400);
    assert_int_equal(seal_open(fixture->file, &seal, &fixture->err), 0);
}

static void files_that_hold_no_keys_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct seal *seal = NULL;
    put_file(fixture->file, "", 0600);
    assert_int_equal(seal_open(fixture->file, &seal, &fixture->err), -EINVAL);
    assert_non_null(strstr(fixture->err.message, "holds no key"));
    char *large = memory_new(20000);
    (void)memset(large, '#', 19999);
    put_file(fixture->file, large, 0600);
    free(large);
    assert_int_equal(seal_open(fixture->file, &seal, &fixture->err), -EINVAL);
    assert_int_equal(seal_open(fixture->folder, &seal, &fixture->err), -EINVAL);
    assert_int_equal(seal_open("/nonexistent/seal.key", &seal, &fixture->err), -ENOENT);
    assert_non_null(strstr(fixture->err.message, "making the seal key file"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_sealed_opens),
        TEST(what_is_too_large_is_not_sealed),
        TEST(the_same_secret_is_never_sealed_alike),
        TEST(a_value_that_was_moved_does_not_open),
        TEST(a_changed_value_does_not_open),
        TEST(what_is_not_sealed_is_refused),
        TEST(another_key_does_not_open),
        TEST(an_old_key_opens_and_the_first_one_seals),
        TEST(key_text_that_is_wrong_is_refused_with_its_line),
        TEST(more_keys_than_the_limit_are_refused),
        TEST(a_key_without_a_name_has_the_same_one_everywhere),
        TEST(the_environment_wins_over_the_file),
        TEST(a_missing_file_is_made_for_its_owner_alone),
        TEST(makers_at_once_end_with_one_key),
        TEST(a_file_that_others_can_read_is_refused),
        TEST(files_that_hold_no_keys_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
