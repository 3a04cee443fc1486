/* Tests with real PostgreSQL servers: two of them live through what a group goes through. Skipped
 * where PostgreSQL is not installed. Run by root, the servers run as nobody. */
#include "base/text.h"
#include "database/fence/lease_file.h"
#include "database/postgres/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534U

static struct arena arena;
static struct err err; /* of the call before */
static char folder[64];
static const char *binaries;
static const char *module = "";
static struct secret password;

struct test_server {
    struct postgres server;
    char directory[96];
    struct postgres_process process;
    struct postgres_link *link;
    struct fence_lease *lease;
};

static struct test_server east = {.process = {.fd = -1}};
static struct test_server west = {.process = {.fd = -1}};

static struct postgres_limit limit_of(int64_t seconds)
{
    return (struct postgres_limit){.until = mono_from_now(seconds * TIME_S), .interrupt = -1};
}

#define ASSERT_FINE(call)                                                                          \
    do {                                                                                           \
        err_clear(&err);                                                                           \
        if ((call) != 0) {                                                                         \
            fail_msg("%s: %s", #call, err.message);                                                \
        }                                                                                          \
    } while (0)

static uint16_t free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    assert_int_equal(bind(fd, (struct sockaddr *)(void *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)(void *)&address, &size), 0);
    assert_int_equal(close(fd), 0);
    return ntohs(address.sin_port);
}

static void describe(struct test_server *test, const char *name)
{
    (void)snprintf(test->directory, sizeof(test->directory), "%s/%s", folder, name);
    test->server = (struct postgres){.directory = test->directory,
                                     .binaries = binaries,
                                     .module = module,
                                     .name = name,
                                     .address = "127.0.0.1",
                                     .port = free_port(),
                                     .user = geteuid() == 0 ? NOBODY : 0,
                                     .group = geteuid() == 0 ? NOBODY : 0};
}

static struct postgres_upstream upstream_of(const struct test_server *other, const char *slot)
{
    return (struct postgres_upstream){
        .address = "127.0.0.1", .port = other->server.port, .password = &password, .slot = slot};
}

static void configure(struct test_server *test, const struct test_server *upstream, bool standby)
{
    char slot[POSTGRES_NAME];
    postgres_slot_name(test->server.name, slot);
    const struct model_database_setting settings[] = {
        {.name = "shared_buffers", .value = "16MB"},
        {.name = "rds.unknown", .value = "1"},
        {.name = "fsync", .value = "off"}, /* Leeward's own: stays on */
    };
    const struct postgres_config config = {
        .standby = standby,
        .upstream = upstream != NULL ? upstream_of(upstream, slot)
                                     : (struct postgres_upstream){.address = ""},
        .settings = settings,
        .setting_count = ARRAY_SIZE(settings)};
    bool changed = false;
    ASSERT_FINE(postgres_configure(&test->server, &config, &changed, &err));
    changed = true;
    ASSERT_FINE(postgres_configure(&test->server, &config, &changed, &err));
    assert_false(changed);
}

/* Holds for an hour. */
static void take_lease(struct test_server *test, int64_t epoch)
{
    char path[PATH_SIZE];
    ASSERT_FINE(file_path(&test->server, "run/lease", path, &err));
    if (test->lease == NULL) {
        assert_int_equal(fence_lease_open(path, true, &test->lease), 0);
        assert_int_equal(chown(path, test->server.user, test->server.group), 0);
    }
    if (epoch > 0) {
        int64_t until = fence_lease_now() + 3600 * TIME_S;
        assert_int_equal(fence_lease_extend(test->lease, epoch, until), 0);
    }
}

static void start(struct test_server *test, enum postgres_ready wanted)
{
    const struct postgres_limit limit = limit_of(20);
    enum postgres_ready ready = POSTGRES_STARTING;
    ASSERT_FINE(postgres_start(&test->server, &test->process, &err));
    ASSERT_FINE(postgres_wait_ready(&test->server, &test->process, &limit, &ready, &err));
    assert_int_equal(ready, wanted);
    if (test->link == NULL) {
        test->link = postgres_link_new(&test->server);
    }
}

static void stop(struct test_server *test, enum postgres_stop how)
{
    const struct postgres_limit limit = limit_of(20);
    ASSERT_FINE(postgres_stop(&test->server, &test->process, how, &limit, &err));
    postgres_process_done(&test->process);
}

static struct postgres_view view_of(struct test_server *test)
{
    const struct postgres_limit limit = limit_of(10);
    struct postgres_view view;
    ASSERT_FINE(postgres_observe(test->link, &limit, &view, &err));
    return view;
}

/* Statements as the administrator; the text of the last one's first value. */
static const char *run(struct test_server *test, const char *statement)
{
    const struct postgres_limit limit = limit_of(10);
    struct pg_result *result = NULL;
    ASSERT_FINE(link_run(test->link, statement, NULL, 0, &limit, &result, &err));
    const char *text = sql_rows(result) > 0 ? arena_strdup(&arena, sql_text(result, 0, 0)) : "";
    sql_result_free(result);
    return text;
}

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    const char *version = NULL;
    if (postgres_find("", &arena, &binaries, &version, &err) < 0) {
        print_message("%s\n", err.message);
        return 0;
    }
    assert_true(version[0] == '1');
    if (postgres_find_module("", &arena, &module, &err) < 0) {
        module = ""; /* a build without it */
    }
    (void)snprintf(folder, sizeof(folder), "/tmp/leeward-pg-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(secret_set(&password, "pass:wo\\rd", 10), 0);
    describe(&east, "db-east");
    describe(&west, "db-west");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    struct test_server *const all[] = {&east, &west};
    struct err ignored = ERR_INIT;
    for (size_t i = 0; i < ARRAY_SIZE(all) && binaries != NULL; i++) {
        const struct postgres_limit limit = limit_of(10);
        struct postgres_process process = POSTGRES_PROCESS_NONE;
        if (postgres_adopt(&all[i]->server, &process, &ignored) == 0) {
            IGNORE_RESULT(
                postgres_stop(&all[i]->server, &process, POSTGRES_KILL, &limit, &ignored));
            postgres_process_done(&process);
        }
        postgres_process_done(&all[i]->process);
        postgres_link_free(all[i]->link);
        fence_lease_close(all[i]->lease);
    }
    if (folder[0] != '\0') {
        IGNORE_RESULT(file_remove_tree(folder, &ignored));
    }
    arena_done(&arena);
    return 0;
}

static void need_postgres(void)
{
    if (binaries == NULL) {
        skip();
    }
}

static void a_server_is_made_once(void **state)
{
    (void)state;
    need_postgres();
    const struct postgres_limit limit = limit_of(300);
    const struct postgres_birth birth = {.icu = "",
                                         .master = "mas\"ter",
                                         .verifier = "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA",
                                         .database = "app",
                                         .replication = &password};
    enum postgres_data data = POSTGRES_DATA;
    ASSERT_FINE(postgres_data(&east.server, &data, &err));
    assert_int_equal(data, POSTGRES_NO_DATA);
    const struct postgres_limit none = {.until = mono_from_now(300 * TIME_MS), .interrupt = -1};
    assert_int_equal(postgres_create(&east.server, &birth, &none, &err), -ETIMEDOUT);
    ASSERT_FINE(postgres_data(&east.server, &data, &err));
    assert_int_not_equal(data, POSTGRES_DATA);
    ASSERT_FINE(postgres_create(&east.server, &birth, &limit, &err));
    ASSERT_FINE(postgres_data(&east.server, &data, &err));
    assert_int_equal(data, POSTGRES_DATA);
    assert_int_equal(postgres_create(&east.server, &birth, &limit, &err), -EEXIST);
}

static void it_starts_and_tells_about_itself(void **state)
{
    (void)state;
    need_postgres();
    const struct postgres_limit limit = limit_of(10);
    configure(&east, NULL, false);
    take_lease(&east, 1);
    ASSERT_FINE(postgres_check(&east.server, &limit, &err));
    start(&east, POSTGRES_READY);
    struct postgres_view view = view_of(&east);
    assert_false(view.recovery);
    assert_int_equal(view.timeline, 1);
    assert_true(view.flushed != 0);
    struct postgres_control control;
    ASSERT_FINE(postgres_control(&east.server, &control, &err));
    assert_true(control.system_id == view.system_id);
    assert_true(control.running && control.checksums && !control.clean);
    assert_string_equal(run(&east, "show fsync"), "on");
    assert_string_equal(run(&east, "show shared_buffers"), "16MB");
    assert_string_equal(run(&east, "select string_agg(datname, ',' order by datname) from "
                                   "pg_database where not datistemplate"),
                        "app,postgres,rdsadmin");
    struct postgres_process other = POSTGRES_PROCESS_NONE;
    ASSERT_FINE(postgres_adopt(&east.server, &other, &err));
    assert_int_equal(other.pid, east.process.pid);
    postgres_process_done(&other);
    assert_int_equal(postgres_start(&east.server, &other, &err), -EEXIST);
    assert_int_equal(postgres_remove(&east.server, true, &err), -EAGAIN);
}

static void another_one_copies_and_follows_it(void **state)
{
    (void)state;
    need_postgres();
    const struct postgres_limit limit = limit_of(120);
    char slot[POSTGRES_NAME];
    postgres_slot_name(west.server.name, slot);
    const struct postgres_upstream upstream = upstream_of(&east, slot);
    _Atomic int64_t bytes = 0;
    run(&east, "create table public.t (n int primary key, v text)");
    ASSERT_FINE(postgres_copy(&west.server, &upstream, &limit, &bytes, &err));
    assert_true(bytes > 1000000);
    configure(&west, &east, true);
    take_lease(&west, 0);
    start(&west, POSTGRES_STANDBY);
    run(&east, "insert into public.t select i, 'x' from generate_series(1, 100) i");
    model_lsn end = view_of(&east).flushed;
    ASSERT_FINE(postgres_wait_received(west.link, end, &limit, &err));
    struct postgres_view view = view_of(&west);
    assert_true(view.recovery && view.receiving);
    assert_string_equal(view.upstream, "127.0.0.1");
    assert_true(view.received >= end);
    struct postgres_view writer = view_of(&east);
    assert_int_equal(writer.replica_count, 1);
    assert_string_equal(writer.replicas[0].name, "db-west");
    assert_true(writer.replicas[0].streaming);
}

static void a_switchover_loses_nothing(void **state)
{
    (void)state;
    need_postgres();
    const struct postgres_limit limit = limit_of(120);
    run(&east, "insert into public.t select i, 'y' from generate_series(101, 200) i");
    ASSERT_FINE(postgres_checkpoint(east.link, &limit, &err));
    struct mono began = mono_now();
    struct postgres_control control;
    ASSERT_FINE(postgres_stop_writing(&east.server, &east.process, &limit, &control, &err));
    assert_true(control.clean);
    int64_t ended = mono_since(mono_now(), began);
    ASSERT_FINE(postgres_wait_received(west.link, control.end, &limit, &err));
    int64_t received = mono_since(mono_now(), began);
    take_lease(&west, 2);
    ASSERT_FINE(postgres_promote(&west.server, &west.process, &limit, &err));
    print_message("the log ended after %d us, was received after %d us, promoted after %d us\n",
                  (int)(ended / TIME_US), (int)(received / TIME_US),
                  (int)(mono_since(mono_now(), began) / TIME_US));
    stop(&east, POSTGRES_FAST);
    model_lsn end = control.end;
    ASSERT_FINE(postgres_control(&east.server, &control, &err));
    assert_true(control.clean && control.end == end);
    assert_string_equal(run(&west, "insert into public.t values (201, 'z') returning n"), "201");
    assert_string_equal(run(&west, "select count(*) from public.t"), "201");
    assert_int_equal(view_of(&west).timeline, 2);
    ASSERT_FINE(postgres_control(&west.server, &control, &err));
    assert_int_equal(control.timeline, 2); /* whether its first checkpoint is done or not */
    ASSERT_FINE(postgres_end_of_log(&west.server, &limit, &end, &err));
    assert_true(end >= control.minimum && end > control.checkpoint);
    ASSERT_FINE(postgres_promote(&west.server, &west.process, &limit, &err));
}

static void the_old_one_returns_without_a_rewind(void **state)
{
    (void)state;
    need_postgres();
    const struct postgres_limit limit = limit_of(120);
    const char *const members[] = {"db-east"};
    ASSERT_FINE(postgres_slots(west.link, members, 1, &limit, &err));
    configure(&east, &west, true);
    start(&east, POSTGRES_STANDBY);
    model_lsn end = view_of(&west).flushed;
    ASSERT_FINE(postgres_wait_received(east.link, end, &limit, &err));
    while (view_of(&east).replayed < end) {
        (void)usleep(1000);
    }
    assert_string_equal(run(&east, "select count(*) from public.t"), "201");
    assert_int_equal(view_of(&east).timeline, 2);
}

static void a_cut_receiver_stays_cut(void **state)
{
    (void)state;
    need_postgres();
    const struct postgres_limit limit = limit_of(120);
    model_lsn received = 0;
    configure(&east, NULL, true);
    ASSERT_FINE(postgres_cut(east.link, &east.process, &limit, &received, &err));
    run(&west, "insert into public.t values (202, 'only there')");
    assert_true(received != 0 && received < view_of(&west).flushed);
    assert_false(view_of(&east).receiving);
    configure(&east, &west, true);
    ASSERT_FINE(postgres_apply(east.link, &east.process, &limit, &err));
    ASSERT_FINE(postgres_wait_received(east.link, view_of(&west).flushed, &limit, &err));
}

static void what_takes_too_long_is_broken_off(void **state)
{
    (void)state;
    need_postgres();
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const struct postgres_limit now = {.until = mono_from_now(50 * TIME_MS), .interrupt = ends[0]};
    assert_int_equal(postgres_wait_received(east.link, UINT64_MAX / 2, &now, &err), -ETIMEDOUT);
    assert_true(east.process.pid > 1);
    assert_int_equal(kill(east.process.pid, SIGSTOP), 0);
    postgres_link_drop(east.link);
    const struct postgres_limit later = {.until = mono_from_now(200 * TIME_MS), .interrupt = -1};
    struct postgres_view view;
    assert_int_equal(postgres_observe(east.link, &later, &view, &err), -ETIMEDOUT);
    assert_int_equal(write(ends[1], "x", 1), 1);
    const struct postgres_limit broken = {.until = mono_from_now(TIME_S), .interrupt = ends[0]};
    assert_int_equal(postgres_observe(east.link, &broken, &view, &err), -ECANCELED);
    assert_int_equal(kill(east.process.pid, SIGCONT), 0);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
    assert_true(view_of(&east).recovery);
}

static void a_killed_server_is_started_again(void **state)
{
    (void)state;
    need_postgres();
    assert_true(west.process.pid > 1);
    model_lsn before = view_of(&west).flushed;
    assert_int_equal(kill(west.process.pid, SIGKILL), 0);
    struct pollfd fd = {.fd = west.process.fd, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 5000), 1);
    assert_true(postgres_process_ended(&west.process));
    postgres_process_done(&west.process);
    struct postgres_process none = POSTGRES_PROCESS_NONE;
    assert_int_equal(postgres_adopt(&west.server, &none, &err), -ENOENT);
    const struct postgres_limit limit = limit_of(20);
    model_lsn end = 0;
    ASSERT_FINE(postgres_end_of_log(&west.server, &limit, &end, &err));
    assert_true(end >= before);
    start(&west, POSTGRES_READY);
    assert_true(view_of(&west).flushed >= end);
    assert_string_equal(run(&west, "select count(*) from public.t"), "202");
}

/* The failover: east is promoted while west, which wrote on alone, is away. */
/* As the server makes them for what is to come: full of zeros. pg_waldump trips over one that it
 * finds first. */
static void make_files_ahead(const struct test_server *test)
{
    struct postgres_control control = {.timeline = 0};
    ASSERT_FINE(postgres_control(&test->server, &control, &err));
    for (unsigned number = 0; number < 32; number++) {
        char below[64];
        char path[PATH_SIZE];
        (void)snprintf(below, sizeof(below), "data/pg_wal/%08X00000001%08X", control.timeline,
                       number);
        ASSERT_FINE(file_path(&test->server, below, path, &err));
        int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_true(file >= 0);
        assert_return_code(ftruncate(file, control.segment), errno);
        (void)close(file); /* nothing was written */
    }
}

static void what_the_old_writer_had_alone_is_listed_and_put_aside(void **state)
{
    (void)state;
    need_postgres();
    const struct postgres_limit limit = limit_of(300);
    model_lsn received = 0;
    model_lsn fork = 0;
    ASSERT_FINE(postgres_wait_received(east.link, view_of(&west).flushed, &limit, &err));
    configure(&east, NULL, true);
    ASSERT_FINE(postgres_cut(east.link, &east.process, &limit, &received, &err));
    run(&west, "begin; insert into public.t values (300, 'a'), (301, 'b'); savepoint s;"
               "update public.t set v = 'c' where n <= 10; release s; commit");
    run(&west, "delete from public.t where n = 11");
    run(&west, "begin; insert into public.t values (302, 'taken back'); rollback");
    run(&west, "create table public.later (n int); insert into public.later values (1)");
    stop(&west, POSTGRES_KILL);
    take_lease(&east, 3);
    ASSERT_FINE(postgres_promote(&east.server, &east.process, &limit, &err));
    assert_string_equal(run(&east, "insert into public.t values (400, 'new') returning n"), "400");

    struct postgres_upstream upstream = upstream_of(&east, "leeward_db_west");
    ASSERT_FINE(postgres_fork(&west.server, &upstream, &limit, &fork, &err));
    assert_true(fork <= received && received - fork < 8192); /* a piece of a record came too */
    struct postgres_lost lost;
    make_files_ahead(&west);
    ASSERT_FINE(postgres_lost_writes(&west.server, fork, &upstream, &limit, &arena, &lost, &err));
    assert_true(lost.end > fork);
    assert_int_equal(lost.total, 3);
    assert_int_equal(lost.transaction_count, 3);
    const struct postgres_lost_transaction *first = &lost.transactions[0];
    assert_int_equal(first->table_count, 1);
    assert_string_equal(first->tables[0].database, "rdsadmin");
    assert_string_equal(first->tables[0].table, "public.t");
    assert_int_equal(first->tables[0].inserted, 2);
    assert_int_equal(first->tables[0].updated, 10);
    int64_t age = wall_now().ns - first->committed.ns;
    assert_true(age > 0 && age < 60 * TIME_S);
    assert_int_equal(lost.transactions[1].tables[0].deleted, 1);
    assert_true(text_starts(lost.transactions[2].tables[0].table, "relation "));

    ASSERT_FINE(postgres_put_aside(&west.server, "3", fork, &lost, false, &limit, &err));
    ASSERT_FINE(postgres_put_aside(&west.server, "3", fork, &lost, false, &limit, &err));
    ASSERT_FINE(postgres_put_aside(&west.server, "3-whole", fork, &lost, true, &limit, &err));
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 0);
    char path[PATH_SIZE];
    ASSERT_FINE(file_path(&west.server, "aside/3/lost-writes.json", path, &err));
    ASSERT_FINE(file_read(path, 65536, &text, &err));
    assert_non_null(strstr(buf_text(&text), "\"Table\": \"public.t\", \"Inserted\": 2"));
    ASSERT_FINE(file_path(&west.server, "aside/3-whole/data/PG_VERSION", path, &err));
    assert_true(file_exists(path));
}

static void it_is_rewound_and_follows_the_new_writer(void **state)
{
    (void)state;
    need_postgres();
    const struct postgres_limit limit = limit_of(300);
    struct postgres_upstream nobody = upstream_of(&east, "leeward_db_west");
    enum postgres_data data = POSTGRES_NO_DATA;
    nobody.port = 1;
    assert_int_equal(postgres_rewind(&west.server, &nobody, &limit, &err), -EHOSTUNREACH);
    struct postgres_upstream upstream = upstream_of(&east, "leeward_db_west");
    ASSERT_FINE(postgres_rewind(&west.server, &upstream, &limit, &err));
    ASSERT_FINE(postgres_data(&west.server, &data, &err));
    assert_int_equal(data, POSTGRES_DATA);
    configure(&west, &east, true);
    start(&west, POSTGRES_STANDBY);
    ASSERT_FINE(postgres_wait_received(west.link, view_of(&east).flushed, &limit, &err));
    model_lsn end = view_of(&east).flushed;
    while (view_of(&west).replayed < end) {
        (void)usleep(1000);
    }
    assert_string_equal(run(&west, "select string_agg(n::text, ',' order by n) from public.t "
                                   "where n > 200"),
                        "201,202,400");
    assert_string_equal(run(&west, "select count(*) from public.t where v = 'c'"), "0");
    assert_int_equal(view_of(&west).timeline, 3);
}

static void log_that_was_thrown_away_is_missed_and_its_slot_made_anew(void **state)
{
    (void)state;
    need_postgres();
    const struct postgres_limit limit = limit_of(60);
    struct postgres_upstream upstream = upstream_of(&east, "leeward_db_west");
    bool has = false;
    model_lsn end = view_of(&west).received;
    stop(&west, POSTGRES_FAST);
    ASSERT_FINE(
        postgres_has_log(&west.server, &upstream, 3, view_of(&east).flushed, &limit, &has, &err));
    assert_true(has); /* nothing is behind it yet */
    ASSERT_FINE(postgres_has_log(&west.server, &upstream, 3, end, &limit, &has, &err));
    assert_true(has);
    static const char status[] = "select wal_status from pg_replication_slots "
                                 "where slot_name = 'leeward_db_west'";
    run(&east, "alter system set max_slot_wal_keep_size = '4MB'");
    run(&east, "alter system set wal_keep_size = 0");
    run(&east, "select pg_reload_conf()"); /* each process reads it in its own time */
    for (int i = 0; i < 100 && !text_equal(run(&east, status), "lost"); i++) {
        run(&east, "insert into public.t select max(n) + 1, 'kept' from public.t");
        run(&east, "select pg_switch_wal()");
        run(&east, "checkpoint");
    }
    assert_string_equal(run(&east, status), "lost");
    ASSERT_FINE(postgres_has_log(&west.server, &upstream, 3, end, &limit, &has, &err));
    assert_false(has);
    assert_int_equal(postgres_has_log(&west.server, &upstream, 77, end, &limit, &has, &err),
                     -EHOSTUNREACH); /* not its timeline: no answer */
    ASSERT_FINE(postgres_remove(&west.server, false, &err));
    ASSERT_FINE(postgres_copy(&west.server, &upstream, &limit, NULL, &err));
    assert_string_not_equal(run(&east, status), "lost");
    configure(&west, &east, true);
    start(&west, POSTGRES_STANDBY);
    ASSERT_FINE(postgres_wait_received(west.link, view_of(&east).flushed, &limit, &err));
}

static void a_wrong_setting_is_found_before_the_start(void **state)
{
    (void)state;
    need_postgres();
    stop(&west, POSTGRES_FAST);
    stop(&east, POSTGRES_IMMEDIATE);
    const struct postgres_limit limit = limit_of(10);
    const struct model_database_setting setting = {.name = "work_mem", .value = "much"};
    const struct postgres_config config = {
        .upstream = {.address = ""}, .settings = &setting, .setting_count = 1};
    bool changed = false;
    ASSERT_FINE(postgres_configure(&west.server, &config, &changed, &err));
    assert_true(changed);
    assert_int_equal(postgres_check(&west.server, &limit, &err), -EINVAL);
    assert_non_null(strstr(err.message, "work_mem"));
    struct postgres_process process = POSTGRES_PROCESS_NONE;
    enum postgres_ready ready = POSTGRES_STARTING;
    ASSERT_FINE(postgres_start(&west.server, &process, &err));
    assert_int_equal(postgres_wait_ready(&west.server, &process, &limit, &ready, &err),
                     -EHOSTUNREACH);
    assert_non_null(strstr(err.message, "FATAL"));
    postgres_process_done(&process);
    ASSERT_FINE(postgres_remove(&west.server, false, &err));
    enum postgres_data data = POSTGRES_DATA;
    ASSERT_FINE(postgres_data(&west.server, &data, &err));
    assert_int_equal(data, POSTGRES_NO_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_is_made_once),
        cmocka_unit_test(it_starts_and_tells_about_itself),
        cmocka_unit_test(another_one_copies_and_follows_it),
        cmocka_unit_test(a_switchover_loses_nothing),
        cmocka_unit_test(the_old_one_returns_without_a_rewind),
        cmocka_unit_test(a_cut_receiver_stays_cut),
        cmocka_unit_test(what_takes_too_long_is_broken_off),
        cmocka_unit_test(a_killed_server_is_started_again),
        cmocka_unit_test(what_the_old_writer_had_alone_is_listed_and_put_aside),
        cmocka_unit_test(it_is_rewound_and_follows_the_new_writer),
        cmocka_unit_test(log_that_was_thrown_away_is_missed_and_its_slot_made_anew),
        cmocka_unit_test(a_wrong_setting_is_found_before_the_start),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
