/* Damage of a replica's files, of every kind: what it shows is what the truth had, or nothing, and
 * it says what was wrong. LEEWARD_SEED=n repeats a run of the random ones. */
#include "base/log.h"
#include "base/macro.h"
#include "base/random.h"
#include "store/replica_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

/* ---- one by one ---- */

static void change_file(struct fixture *fixture, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(fixture->file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Started without the truth after damage: shows nothing, says what was wrong; then is whole again.
 */
static void assert_set_aside(struct fixture *fixture)
{
    char aside[FOLDER_TEXT + 32];
    (void)snprintf(aside, sizeof aside, "%s.damaged", fixture->file); /* fits */
    fickle_fail(fixture->truth, true);
    follower_start(fixture);
    assert_int_equal(follower_count(fixture), 0);
    struct replica_status status = follower_status(fixture);
    assert_false(status.complete);
    assert_int_equal(status.counters.damages, 1);
    assert_non_null(strstr(status.damage, "replica.db"));
    assert_int_equal(access(aside, F_OK), 0);
    fickle_fail(fixture->truth, false);
    follower_wait_equal(fixture);
    follower_stop(fixture);
    follower_start(fixture); /* and what was made anew is good */
    assert_int_equal(follower_status(fixture).counters.damages, 0);
    follower_wait_equal(fixture);
    follower_stop(fixture);
    (void)unlink(aside);
}

static void make_good(struct fixture *fixture)
{
    follower_fill(fixture->inner, 300);
    follower_start(fixture);
    follower_wait_equal(fixture);
    follower_stop(fixture);
}

static void damage_by_hand_is_found(void **state)
{
    struct fixture *fixture = *state;
    static const char *const changes[] = {
        "UPDATE entry SET value = x'00' WHERE key = CAST('r53/many/00007' AS BLOB)",
        "UPDATE entry SET version = 2 WHERE key = CAST('r53/many/00007' AS BLOB)",
        "UPDATE entry SET created = created - 1 WHERE key = CAST('r53/many/00007' AS BLOB)",
        "UPDATE entry SET key = x'7a' WHERE key = CAST('r53/many/00007' AS BLOB)",
        "DELETE FROM entry WHERE key = CAST('r53/many/00007' AS BLOB)",
        "DELETE FROM entry",
        "UPDATE meta SET revision = revision + 1",
        "UPDATE meta SET revision = 1",
        "UPDATE copy SET complete = 0",
        "UPDATE copy SET checksum = checksum + 1",
        "UPDATE copy SET hash_key = randomblob(16)",
        "UPDATE copy SET hash_key = x'00'",
        "DELETE FROM copy",
        "DELETE FROM meta",
        "DROP TABLE entry",
        "PRAGMA user_version = 99",
        "PRAGMA application_id = 7",
    };
    make_good(fixture);
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        change_file(fixture, changes[i]);
        assert_set_aside(fixture);
    }
}

static void a_file_without_a_byte_is_damaged(void **state)
{
    struct fixture *fixture = *state;
    make_good(fixture);
    assert_int_equal(truncate(fixture->file, 0), 0);
    assert_set_aside(fixture);
}

static long file_size(struct fixture *fixture)
{
    FILE *file = fopen(fixture->file, "re");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_int_equal(fclose(file), 0);
    return size;
}

static void flip(struct fixture *fixture, long at, unsigned char bits)
{
    FILE *file = fopen(fixture->file, "r+e");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_not_equal(fputc(byte ^ bits, file), EOF);
    assert_int_equal(fclose(file), 0);
}

/* Wherever a bit flips: either the file is set aside, or what it shows is what was there. */
static void a_flipped_bit_is_found_or_does_no_harm(void **state)
{
    struct fixture *fixture = *state;
    make_good(fixture);
    long size = file_size(fixture);
    size_t found = 0;
    fickle_fail(fixture->truth, true);
    for (long at = 5; at < size; at += size / 150) {
        flip(fixture, at, 0x10);
        follower_start(fixture);
        struct replica_status status = follower_status(fixture);
        if (status.counters.damages != 0) {
            found++;
            assert_int_equal(follower_count(fixture), 0);
        } else {
            assert_true(follower_is_equal(fixture));
        }
        follower_stop(fixture);
        char aside[FOLDER_TEXT + 32];
        (void)snprintf(aside, sizeof aside, "%s.damaged", fixture->file); /* fits */
        if (access(aside, F_OK) == 0) {
            assert_int_equal(rename(aside, fixture->file), 0);
        }
        flip(fixture, at, 0x10);
    }
    assert_true(found > 50);
}

static void a_truncated_file_is_found(void **state)
{
    struct fixture *fixture = *state;
    make_good(fixture);
    static const long parts[] = {2, 4, 10};
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        assert_int_equal(truncate(fixture->file, file_size(fixture) / parts[i]), 0);
        assert_set_aside(fixture);
    }
    assert_int_equal(truncate(fixture->file, 100), 0);
    assert_set_aside(fixture);
    flip(fixture, 1, 0xff);
    assert_set_aside(fixture);
}

static void copy_file(const char *from, const char *to)
{
    char block[4096];
    FILE *in = fopen(from, "re");
    FILE *out = fopen(to, "we");
    assert_non_null(in);
    assert_non_null(out);
    for (size_t size = 0; (size = fread(block, 1, sizeof block, in)) > 0;) {
        assert_int_equal(fwrite(block, 1, size, out), size);
    }
    assert_int_equal(fclose(in), 0);
    assert_int_equal(fclose(out), 0);
}

static void an_older_file_catches_up(void **state)
{
    struct fixture *fixture = *state;
    char saved[FOLDER_TEXT + 32];
    (void)snprintf(saved, sizeof saved, "%s.saved", fixture->file); /* fits */
    make_good(fixture);
    copy_file(fixture->file, saved);
    follower_start(fixture);
    follower_put(fixture, "r53/a", "1");
    follower_delete(fixture, "r53/many/001");
    follower_wait_equal(fixture);
    follower_stop(fixture);
    assert_int_equal(rename(saved, fixture->file), 0);
    fickle_fail(fixture->truth, true);
    follower_start(fixture);
    assert_int_equal(follower_count(fixture), 300); /* whole, but of another time */
    fickle_fail(fixture->truth, false);
    follower_wait_equal(fixture);
}

/* What a crash leaves, without its log: an older state, or found to be damaged. */
static void a_missing_log_costs_time_and_no_truth(void **state)
{
    struct fixture *fixture = *state;
    char saved[FOLDER_TEXT + 32];
    (void)snprintf(saved, sizeof saved, "%s.saved", fixture->file); /* fits */
    make_good(fixture);
    follower_start(fixture);
    for (int i = 0; i < 50; i++) {
        follower_put(fixture, "r53/a", "1");
    }
    follower_wait_equal(fixture);
    copy_file(fixture->file, saved); /* the log stays behind */
    follower_stop(fixture);
    assert_int_equal(rename(saved, fixture->file), 0);
    fickle_fail(fixture->truth, true);
    follower_start(fixture);
    size_t count = follower_count(fixture);
    assert_true(count == 0 || count == 300 || count == 301);
    assert_true(count != 0 || follower_status(fixture).counters.damages == 1);
    fickle_fail(fixture->truth, false);
    follower_wait_equal(fixture);
}

static void damage_while_it_is_in_use_is_mended(void **state)
{
    struct fixture *fixture = *state;
    char large[2048]; /* more in all than connections keep in memory */
    (void)memset(large, 'v', sizeof large);
    large[sizeof large - 1] = '\0';
    follower_fill(fixture->inner, 3000);
    for (int i = 0; i < 2000; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "r53/many/%05d", i); /* fits */
        follower_put(fixture, key, large);
    }
    follower_start(fixture);
    follower_wait_equal(fixture);
    follower_stop(fixture);
    follower_start(fixture);
    follower_wait_equal(fixture);
    for (long at = 8192; at < file_size(fixture); at += 4096) {
        flip(fixture, at, 0xff); /* the type of each page */
    }
    /* Reads fail, or show the truth: never anything else. */
    struct err err = ERR_INIT;
    struct store_list list;
    IGNORE_RESULT(
        store_range(replica_store(fixture->replica), "", NULL, 0, &fixture->arena, &list, &err));
    follower_put(fixture, "r53/many/01500", "changed");
    struct mono until = {.ns = mono_now().ns + PATIENCE_S * TIME_S};
    while (follower_status(fixture).counters.damages == 0 || !follower_status(fixture).in_step) {
        assert_true(mono_since(mono_now(), until) < 0);
        follower_sleep(5);
    }
    follower_wait_equal(fixture);
}

/* ---- at random, from a seed that is printed ---- */

static struct random dice;

static uint32_t below(uint32_t bound)
{
    return random_below(&dice, bound);
}

static void scramble(const char *path, long at, size_t size)
{
    FILE *file = fopen(path, "r+e");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    for (size_t i = 0; i < size; i++) {
        assert_int_not_equal(fputc((int)below(256), file), EOF);
    }
    assert_int_equal(fclose(file), 0);
}

/* The replica, started without the truth, shows nothing and says so, or one state that the truth
 * had: with so many entries as there were at its revision, and the value of then. */
static void assert_right_or_nothing(struct fixture *fixture)
{
    struct store_entry entry;
    follower_start(fixture);
    struct replica_status status = follower_status(fixture);
    size_t count = follower_count(fixture);
    if (!status.complete) {
        assert_int_equal(count, 0);
    } else {
        char wanted[32];
        (void)snprintf(wanted, sizeof wanted, "%lld", (long long)status.revision); /* fits */
        assert_int_equal(count, status.revision > 300 ? 301 : 300);
        if (status.revision > 300) {
            assert_int_equal(store_get(replica_store(fixture->replica), "r53/a", &fixture->arena,
                                       &entry, &fixture->err),
                             0);
            assert_int_equal(entry.size, strlen(wanted));
            assert_memory_equal(entry.value, wanted, entry.size);
        }
    }
    follower_stop(fixture);
}

struct saved {
    char file[FOLDER_TEXT + 32];
    char log[FOLDER_TEXT + 32];
    char file_log[FOLDER_TEXT + 32];
};

/* A replica as a crash leaves it: the file, and 50 changes in the log. */
static void make_crashed(struct fixture *fixture, struct saved *saved)
{
    (void)snprintf(saved->file, sizeof saved->file, "%s.saved", fixture->file); /* fits, as below */
    (void)snprintf(saved->log, sizeof saved->log, "%s.saved-wal", fixture->file);
    (void)snprintf(saved->file_log, sizeof saved->file_log, "%s-wal", fixture->file);
    make_good(fixture);
    follower_start(fixture);
    for (int i = 301; i <= 350; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "%d", i); /* the revision it gets */
        follower_put(fixture, "r53/a", text);
    }
    follower_wait_equal(fixture);
    copy_file(fixture->file, saved->file);
    copy_file(saved->file_log, saved->log);
    follower_stop(fixture);
    fickle_fail(fixture->truth, true);
}

static void put_back(struct fixture *fixture, const struct saved *saved)
{
    char shared[FOLDER_TEXT + 32];
    (void)snprintf(shared, sizeof shared, "%s-shm", fixture->file); /* fits */
    (void)unlink(shared);                                           /* mostly gone */
    copy_file(saved->file, fixture->file);
    copy_file(saved->log, saved->file_log);
}

static void remove_saved(const struct saved *saved)
{
    assert_int_equal(unlink(saved->file), 0);
    assert_int_equal(unlink(saved->log), 0);
}

static long size_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return (long)status.st_size;
}

/* The file and the log in turns, as they were each time. */
static void spoil_times(struct fixture *fixture, const struct saved *saved, unsigned times,
                        void (*spoil)(unsigned i, const char *path, long size))
{
    for (unsigned i = 0; i < times; i++) {
        put_back(fixture, saved);
        const char *path = i % 2 == 0 ? fixture->file : saved->file_log;
        spoil(i, path, size_of(path));
        assert_right_or_nothing(fixture);
    }
}

static void overwrite(unsigned i, const char *path, long size)
{
    long at = (long)below((uint32_t)size);
    scramble(path, at, MIN(1U + below(i % 3 == 0 ? 4096 : 16), (size_t)(size - at)));
}

static void ranges_overwritten_at_random_never_show_what_was_not(void **state)
{
    struct fixture *fixture = *state;
    struct saved saved;
    make_crashed(fixture, &saved);
    spoil_times(fixture, &saved, 60, overwrite);
    remove_saved(&saved);
}

static void cut(unsigned i, const char *path, long size)
{
    assert_int_equal(truncate(path, i < 2 ? 0 : (long)below((uint32_t)size)), 0);
}

static void files_cut_at_random_never_show_what_was_not(void **state)
{
    struct fixture *fixture = *state;
    struct saved saved;
    make_crashed(fixture, &saved);
    spoil_times(fixture, &saved, 40, cut);
    for (unsigned i = 0; i < 2; i++) { /* one of the two is missing */
        put_back(fixture, &saved);
        assert_int_equal(unlink(i == 0 ? fixture->file : saved.file_log), 0);
        assert_right_or_nothing(fixture);
    }
    remove_saved(&saved);
    fickle_fail(fixture->truth, false);
    follower_start(fixture);
    follower_wait_equal(fixture);
}

/* A log of another time beside the file, as copying them one after the other leaves it. */
static void a_log_of_another_file_never_shows_what_was_not(void **state)
{
    struct fixture *fixture = *state;
    struct saved saved;
    make_crashed(fixture, &saved);
    char newer[FOLDER_TEXT + 32];
    (void)snprintf(newer, sizeof newer, "%s.newer", fixture->file); /* fits */
    fickle_fail(fixture->truth, false);
    put_back(fixture, &saved);
    follower_start(fixture);
    follower_put(fixture, "r53/a", "351");
    follower_wait_equal(fixture);
    follower_stop(fixture); /* the log is in the file now */
    copy_file(fixture->file, newer);
    fickle_fail(fixture->truth, true);
    put_back(fixture, &saved);
    copy_file(newer, fixture->file);
    assert_right_or_nothing(fixture);
    assert_int_equal(unlink(newer), 0);
    remove_saved(&saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_FOLLOWER(damage_by_hand_is_found),
        TEST_FOLLOWER(a_file_without_a_byte_is_damaged),
        TEST_FOLLOWER(a_flipped_bit_is_found_or_does_no_harm),
        TEST_FOLLOWER(a_truncated_file_is_found),
        TEST_FOLLOWER(an_older_file_catches_up),
        TEST_FOLLOWER(a_missing_log_costs_time_and_no_truth),
        TEST_FOLLOWER(damage_while_it_is_in_use_is_mended),
        TEST_FOLLOWER(ranges_overwritten_at_random_never_show_what_was_not),
        TEST_FOLLOWER(files_cut_at_random_never_show_what_was_not),
        TEST_FOLLOWER(a_log_of_another_file_never_shows_what_was_not),
    };
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs yet */
    const char *text = getenv("LEEWARD_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 0;
    while (seed == 0) {
        random_bytes(&seed, sizeof seed);
    }
    (void)printf("# LEEWARD_SEED=%llu\n", (unsigned long long)seed); /* for whom it fails */
    random_init(&dice, seed);
    log_set_level(LOG_ERROR);
    fault_vfs_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
