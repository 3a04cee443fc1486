/* Readers that are started without the store: a program in the place of PostgreSQL's says that it
 * was started. Only what a whole note and the files themselves call a reader is. */
#include "database/agent/notes.h"

#include "base/memory.h"
#include "base/text.h"
#include "database/agent/test_records.h"
#include "database/fence/lease_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MEMBER "db-a"

struct fixture {
    char folder[TEST_FOLDER];
    struct arena arena;
    struct err err;
    struct database_agent agent;
    struct worker worker;
    struct view_group group;
};

static char *path_of(struct fixture *fixture, const char *name)
{
    return arena_printf(&fixture->arena, "%s/%s", fixture->folder, name);
}

static void make_folder(struct fixture *fixture, const char *name)
{
    assert_int_equal(mkdir(path_of(fixture, name), 0700), 0);
}

static void make_file(struct fixture *fixture, const char *name, const char *text, mode_t mode)
{
    const char *path = path_of(fixture, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(dprintf(fd, "%s", text), (int)strlen(text));
    assert_int_equal(close(fd), 0);
}

/* A reader's data, and a program that makes "started" in the server's folder. */
static int set_up(void **state)
{
    struct fixture *fixture = memory_new(sizeof *fixture);
    struct worker *worker = &fixture->worker;
    arena_init(&fixture->arena, 0);
    test_folder_make(fixture->folder);
    make_folder(fixture, "bin");
    make_file(fixture, "bin/postgres", "#!/bin/sh\n: >\"$HOME/started\"\n", 0700);
    make_folder(fixture, "servers");
    make_folder(fixture, "servers/" MEMBER);
    make_folder(fixture, "servers/" MEMBER "/log");
    make_folder(fixture, "servers/" MEMBER "/data");
    make_folder(fixture, "servers/" MEMBER "/data/global");
    make_file(fixture, "servers/" MEMBER "/data/global/pg_control", "", 0600);
    make_file(fixture, "servers/" MEMBER "/data/standby.signal", "", 0600);
    fixture->agent.config.directory = path_of(fixture, "servers");
    fixture->agent.binaries = path_of(fixture, "bin");
    fixture->agent.module = "";
    assert_int_equal(text_copy(worker->member, sizeof worker->member, MEMBER), 0);
    worker->hands.server = (struct postgres){.directory = path_of(fixture, "servers/" MEMBER),
                                             .name = MEMBER,
                                             .address = "127.0.0.1",
                                             .port = 5432};
    assert_int_equal(hands_open_lease(&worker->hands, &fixture->err), 0);
    worker->sight.facts.data = DATABASE_DATA;
    worker->sight.facts.standby = true;
    fixture->group.member_count = 1;
    fixture->group.members[0].member = (struct model_database_member){.id = MEMBER, .attached = ""};
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    fence_lease_close(fixture->worker.hands.file);
    test_folder_remove(fixture->folder);
    arena_done(&fixture->arena);
    free(fixture);
    return 0;
}

static void keep(struct fixture *fixture)
{
    notes_keep(&fixture->worker, &fixture->group);
}

static bool has_started(void *context)
{
    struct fixture *fixture = context;
    return access(path_of(fixture, "servers/" MEMBER "/started"), F_OK) == 0;
}

static void a_reader_is_started_from_its_note(void **state)
{
    struct fixture *fixture = *state;
    keep(fixture);
    assert_int_equal(fixture->worker.notes.kept, WORKER_NOTE_READER);
    assert_int_equal(notes_start_readers(&fixture->agent), 1);
    assert_true(test_becomes(has_started, fixture));
}

static void without_a_note_nothing_is_started(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(notes_start_readers(&fixture->agent), 0);
    fixture->agent.config.directory = "/nonexistent";
    assert_int_equal(notes_start_readers(&fixture->agent), 0);
}

static void what_became_a_writer_is_not_started(void **state)
{
    struct fixture *fixture = *state;
    keep(fixture);
    fixture->worker.sight.facts.standby = false;
    keep(fixture);
    assert_int_equal(fixture->worker.notes.kept, WORKER_NOTE_OTHER);
    assert_int_equal(notes_start_readers(&fixture->agent), 0);
}

static void data_that_are_no_readers_are_not_started_whatever_the_note_says(void **state)
{
    struct fixture *fixture = *state;
    keep(fixture);
    assert_int_equal(unlink(path_of(fixture, "servers/" MEMBER "/data/standby.signal")), 0);
    assert_int_equal(notes_start_readers(&fixture->agent), 0);
}

static void members_that_are_not_to_run_are_not_started(void **state)
{
    struct fixture *fixture = *state;
    struct model_database_member *member = &fixture->group.members[0].member;
    keep(fixture);
    member->stopped = true;
    keep(fixture);
    assert_int_equal(notes_start_readers(&fixture->agent), 0);
    *member = (struct model_database_member){.id = MEMBER, .attached = "", .deleted = true};
    keep(fixture);
    assert_int_equal(notes_start_readers(&fixture->agent), 0);
    *member = (struct model_database_member){.id = MEMBER, .attached = "host=elsewhere"};
    keep(fixture);
    assert_int_equal(notes_start_readers(&fixture->agent), 0);
}

static void a_damaged_note_counts_as_none(void **state)
{
    static const char *const damaged[] = {
        "", "sum 0000000000000000\n",
        "leeward-notes 1\nmember " MEMBER "\naddress 127.0.0.1\nport 5432\nreader yes\n",
        "leeward-notes 1\nmember " MEMBER
        "\naddress 127.0.0.1\nport 5432\nreader yes\nsum 0123456789abcdef\n"};
    struct fixture *fixture = *state;
    keep(fixture);
    for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
        make_file(fixture, "servers/" MEMBER "/run/notes", damaged[i], 0600);
        assert_int_equal(notes_start_readers(&fixture->agent), 0);
    }
}

/* Whole, and of another member, as after a copy of the folder; or without what is needed. */
static void a_note_that_does_not_fit_starts_nothing(void **state)
{
    static const char *const notes[] = {
        "",
        "leeward-notes 1\n",
        "notes of somebody\n",
        "leeward-notes 1\nmember db-b\naddress 127.0.0.1\nport 5432\nreader yes\n",
        "leeward-notes 1\nmember " MEMBER "\naddress 127.0.0.1\nport 70000\nreader yes\n",
        "leeward-notes 1\nmember " MEMBER "\nport 5432\nreader yes\n"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < ARRAY_SIZE(notes); i++) {
        assert_int_equal(postgres_keep_note(&fixture->worker.hands.server, notes[i], &fixture->err),
                         0);
        assert_int_equal(notes_start_readers(&fixture->agent), 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reader_is_started_from_its_note),
        TEST(without_a_note_nothing_is_started),
        TEST(what_became_a_writer_is_not_started),
        TEST(data_that_are_no_readers_are_not_started_whatever_the_note_says),
        TEST(members_that_are_not_to_run_are_not_started),
        TEST(a_damaged_note_counts_as_none),
        TEST(a_note_that_does_not_fit_starts_nothing),
    };
    return cmocka_run_group_tests_name("database/agent notes", tests, NULL, NULL);
}
