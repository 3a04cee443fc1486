/* Attachments: what their files may say, who may write them, and how their commands end. */
#include "database/agent/attach.h"

#include "base/text.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define WHOLE                                                                                      \
    "region = east\naddress = 192.0.2.1\nport = 6432\nconnection = host=/run user=x\n"             \
    "status = /bin/true one  two\nstart = /bin/true\nstop = shell echo 'a b'; exit 3\n"            \
    "follow=/bin/sh\nstop-limit = 7\n"

static struct arena arena;
static struct err err;
static struct attachment attachment;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    err_clear(&err);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static int parse(const char *text)
{
    err_clear(&err);
    return attach_parse("site", arena_strdup(&arena, text), "/leases", &arena, &attachment, &err);
}

static void a_file_says_where_a_server_is_and_what_is_called(void **state)
{
    (void)state;
    assert_int_equal(parse("# it is ours\n\n" WHOLE), 0);
    assert_string_equal(attachment.name, "site");
    assert_string_equal(attachment.region, "east");
    assert_string_equal(attachment.address, "192.0.2.1");
    assert_int_equal(attachment.port, 6432);
    assert_string_equal(attachment.connection, "host=/run user=x");
    assert_string_equal(attachment.lease_file, "/leases/site.lease");
    const char **words = attachment.commands[ATTACH_STATUS].words;
    assert_string_equal(words[0], "/bin/true");
    assert_string_equal(words[1], "one");
    assert_string_equal(words[2], "two");
    assert_null(words[3]);
    words = attachment.commands[ATTACH_STOP].words;
    assert_string_equal(words[0], "/bin/sh");
    assert_string_equal(words[2], "echo 'a b'; exit 3");
    assert_int_equal(attachment.commands[ATTACH_STOP].limit_s, 7);
    assert_int_equal(attachment.commands[ATTACH_REBUILD].limit_s, 86400);
    assert_null(attachment.commands[ATTACH_FENCE].words);
}

static void a_file_that_only_fences_needs_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(parse("region = east\nfence = /sbin/off\n"), 0);
    assert_string_equal(attachment.connection, "");
    assert_int_not_equal(parse("region = east\n"), 0);
}

static void what_is_wrong_is_said_with_its_line(void **state)
{
    static const struct {
        const char *text;
        const char *says;
    } wrong[] = {
        {"region\n", "line 1"},
        {"region = east\ncolour = red\n", "line 2: colour: there is no such setting"},
        {"port = 0\n", "line 1: port"},
        {"address = db.example.com\n", "line 1: address"},
        {"start = reboot\n", "whole path"},
        {"start =\n", "whole path"},
        {"start-limit = 0\n", "line 1: start-limit"},
        {"lease-file = here\n", "lease-file"},
        {"address = 192.0.2.1\n", "region is missing"},
        {"region = east\nconnection = x\n", "address is missing"},
        {"region = east\nconnection = x\naddress = ::1\n", "status is missing"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_int_not_equal(parse(wrong[i].text), 0);
        if (strstr(err.message, wrong[i].says) == NULL) {
            fail_msg("'%s' is refused with '%s'", wrong[i].text, err.message);
        }
    }
}

static void write_file(const char *folder, const char *name, const char *text, mode_t mode)
{
    const char *path = arena_printf(&arena, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void a_file_that_others_may_write_to_is_left_out(void **state)
{
    struct attachments attachments;
    char folder[] = "/tmp/attach-test-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(folder));
    write_file(folder, "good.conf", WHOLE, 0644);
    write_file(folder, "open.conf", WHOLE, 0664);
    write_file(folder, "broken.conf", "region\n", 0644);
    write_file(folder, "notes.txt", "", 0644);
    assert_int_equal(attach_load(folder, "/leases", &arena, &attachments, &err), 0);
    assert_int_equal(attachments.count, 1);
    assert_non_null(attach_find(&attachments, "good"));
    assert_null(attach_find(&attachments, "open"));
    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_not_equal(attach_load(folder, "/leases", &arena, &attachments, &err), 0);
    static const char *const names[] = {"good.conf", "open.conf", "broken.conf", "notes.txt"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(unlink(arena_printf(&arena, "%s/%s", folder, names[i])), 0);
    }
    assert_int_equal(rmdir(folder), 0);
    err_clear(&err);
    assert_int_equal(attach_load("", "/leases", &arena, &attachments, &err), 0);
    assert_int_equal(attachments.count, 0);
}

static void a_command_ends_with_what_it_said(void **state)
{
    const struct postgres server = {.directory = "/tmp", .binaries = "/usr/bin", .name = "site"};
    const char *const more[] = {"LEEWARD_STOP=fast", NULL};
    struct buf output;
    int status = 0;
    (void)state;
    buf_init(&output, 4096);
    assert_int_equal(
        parse(WHOLE "fence = shell echo $LEEWARD_VERB $LEEWARD_PORT $LEEWARD_STOP; exit 3\n"), 0);
    assert_int_equal(attach_run(&attachment, ATTACH_STATUS, &server, NULL, -1, NULL, NULL, &err),
                     0);
    assert_int_equal(
        attach_run(&attachment, ATTACH_FENCE, &server, more, -1, &output, &status, &err), 0);
    assert_int_equal(status, 3);
    assert_string_equal(buf_text(&output), "fence 6432 fast\n");
    buf_done(&output);
    assert_int_not_equal(attach_run(&attachment, ATTACH_FENCE, &server, more, -1, NULL, NULL, &err),
                         0);
    assert_int_equal(err.kind, ERR_UNAVAILABLE);
    assert_string_equal(err.message, "fence of site ended with status 3: fence 6432 fast");
    err_clear(&err);
    assert_int_not_equal(
        attach_run(&attachment, ATTACH_REWIND, &server, NULL, -1, NULL, NULL, &err), 0);
    assert_int_equal(err.kind, ERR_UNSUPPORTED);
}

/* As pg_ctl leaves a server: its output stays open, and nobody waits for that. */
static void what_a_command_leaves_running_goes_on(void **state)
{
    const struct postgres server = {.directory = "/tmp", .binaries = "/usr/bin", .name = "site"};
    struct buf output;
    (void)state;
    buf_init(&output, 4096);
    assert_int_equal(parse(WHOLE "fence = shell sleep 600 & echo $!\n"), 0);
    assert_int_equal(attach_run(&attachment, ATTACH_FENCE, &server, NULL, -1, &output, NULL, &err),
                     0);
    char *text = arena_strdup(&arena, buf_text(&output));
    text[strcspn(text, "\n")] = '\0';
    int64_t pid = 0;
    assert_int_equal(text_to_i64(text, 2, INT32_MAX, &pid), 0);
    assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
    buf_done(&output);
}

#define CONTROL                                                                                    \
    "pg_control version number:            1300\n"                                                 \
    "Database system identifier:           7000000000000000001\n"                                  \
    "Latest checkpoint location:           0/3000028\n"                                            \
    "Latest checkpoint's TimeLineID:       2\n"                                                    \
    "Minimum recovery ending location:     0/2FFFFFF\n"                                            \
    "Min recovery ending loc's timeline:   3\n"                                                    \
    "Bytes per WAL segment:                16777216\n"                                             \
    "Data page checksum version:           1\n"

static void a_server_that_is_down_is_known_by_its_control_file(void **state)
{
    struct postgres_control control;
    (void)state;
    assert_int_equal(
        postgres_control_parse(CONTROL "Database cluster state: shut down\n", &control, &err), 0);
    assert_true(control.primary && control.clean && !control.running);
    assert_true(control.system_id == UINT64_C(7000000000000000001));
    assert_int_equal(control.timeline, 2);
    assert_int_equal(control.end, 0x30000A0); /* the record has 114 bytes, and places are by 8 */
    assert_int_equal(
        postgres_control_parse(CONTROL "Database cluster state: in production\n", &control, &err),
        0);
    assert_true(control.primary && !control.clean && control.running);
    assert_int_equal(control.end, 0);
    assert_int_equal(postgres_control_parse(CONTROL "Database cluster state: in archive recovery\n",
                                            &control, &err),
                     0);
    assert_false(control.primary);
    assert_int_equal(control.timeline, 3);
    assert_int_equal(control.minimum, 0x2FFFFFF);
    assert_int_equal(postgres_control_parse(
                         CONTROL "Database cluster state: in production\nstandby.signal: present\n",
                         &control, &err),
                     0);
    assert_false(control.primary);
    assert_int_not_equal(postgres_control_parse(CONTROL, &control, &err), 0);
    assert_int_not_equal(postgres_control_parse("it is down\n", &control, &err), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_file_says_where_a_server_is_and_what_is_called),
        TEST(a_file_that_only_fences_needs_nothing_else),
        TEST(what_is_wrong_is_said_with_its_line),
        TEST(a_file_that_others_may_write_to_is_left_out),
        TEST(a_command_ends_with_what_it_said),
        TEST(what_a_command_leaves_running_goes_on),
        TEST(a_server_that_is_down_is_known_by_its_control_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
