/* What is done to a running server through its connection: see postgres.h. Thread: as there. */
#include "base/text.h"
#include "database/postgres/internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define SLOT_PREFIX "leeward_"

/* Between two looks at something that PostgreSQL tells no event for. */
#define LOOK_MS 1

static int run_command(struct postgres_link *link, const char *statement,
                       const struct postgres_limit *limit, struct err *err)
{
    struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
    return link_run(link, statement, NULL, 0, limit, &result, err);
}

int postgres_checkpoint(struct postgres_link *link, const struct postgres_limit *limit,
                        struct err *err)
{
    return run_command(link, "checkpoint", limit, err);
}

static int pause_a_moment(const struct postgres_limit *limit, const char *what, struct err *err)
{
    int r = limit_poll(limit, NULL, 0, LOOK_MS, what, err);
    return r < 0 ? r : limit_check(limit, what, err);
}

int postgres_wait_received(struct postgres_link *link, model_lsn lsn,
                           const struct postgres_limit *limit, struct err *err)
{
    char text[MODEL_LSN_TEXT];
    model_lsn_format(lsn, text);
    const char *const parameters[] = {text};
    for (;;) {
        struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
        int r = link_run(link,
                         "select case when pg_is_in_recovery() then greatest("
                         "pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) "
                         "else pg_current_wal_flush_lsn() end >= $1::pg_lsn",
                         parameters, 1, limit, &result, err);
        if (r < 0 || sql_bool(result, 0, 0)) {
            return r;
        }
        r = pause_a_moment(limit, "receiving the rest of the log", err);
        if (r < 0) {
            return r;
        }
    }
}

int postgres_cut(struct postgres_link *link, const struct postgres_process *process,
                 const struct postgres_limit *limit, model_lsn *ret_received, struct err *err)
{
    int r = postgres_apply(link, process, limit, err);
    while (r == 0) {
        struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
        /* A receiver that just ends has written everything that it tells; what lies in files from
         * before the server's start was read when the replay waits for more. */
        r = link_run(link,
                     "select not exists (select from pg_stat_get_wal_receiver() w where w.pid is "
                     "not null) and (pg_last_wal_receive_lsn() is not null or exists (select from "
                     "pg_stat_get_activity(null) a where a.backend_type = 'startup' and "
                     "a.wait_event in ('RecoveryWalStream', 'RecoveryRetrieveRetryInterval'))),"
                     " greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())"
                     " where current_setting('primary_conninfo') = ''",
                     NULL, 0, limit, &result, err);
        if (r == 0 && sql_rows(result) == 1 && sql_bool(result, 0, 0)) {
            *ret_received = sql_lsn(result, 0, 1);
            return 0;
        }
        if (r == 0) {
            r = pause_a_moment(limit, "cutting the receiver", err);
        }
    }
    return r;
}

static int load_time(struct postgres_link *link, const struct postgres_limit *limit, char out[64],
                     struct err *err)
{
    struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
    int r = link_run(link, "select extract(epoch from pg_conf_load_time())::text", NULL, 0, limit,
                     &result, err);
    if (r == 0) {
        (void)snprintf(out, 64, "%s", sql_text(result, 0, 0));
    }
    return r;
}

int postgres_apply(struct postgres_link *link, const struct postgres_process *process,
                   const struct postgres_limit *limit, struct err *err)
{
    char before[64];
    char now[64];
    int r = load_time(link, limit, before, err);
    if (r == 0) {
        r = process != NULL ? postgres_reload(process, err)
                            : run_command(link, "select pg_reload_conf()", limit, err);
    }
    while (r == 0) { /* our own backend reads the files between two statements, like all */
        r = load_time(link, limit, now, err);
        if (r == 0 && !text_equal(before, now)) {
            return 0;
        }
        if (r == 0) {
            r = pause_a_moment(limit, "reading the settings again", err);
        }
    }
    return r;
}

void postgres_slot_name(const char *member, char out[POSTGRES_NAME])
{
    (void)snprintf(out, POSTGRES_NAME, SLOT_PREFIX "%s", member);
    for (char *at = out; *at != '\0'; at++) {
        *at = text_lower(*at);
        if ((*at < 'a' || *at > 'z') && (*at < '0' || *at > '9')) {
            *at = '_';
        }
    }
}

static int make_slot(struct postgres_link *link, const char *slot,
                     const struct postgres_limit *limit, struct err *err)
{
    struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
    const char *const parameters[] = {slot};
    /* One whose log is gone is of no use: its reader is made anew, or goes on without. */
    int r = link_run(link,
                     "select pg_drop_replication_slot(slot_name) from pg_replication_slots "
                     "where slot_name = $1 and not active and wal_status = 'lost'",
                     parameters, 1, limit, &result, err);
    if (r < 0) {
        return r;
    }
    sql_result_free(result);
    result = NULL;
    return link_run(link,
                    "select pg_create_physical_replication_slot($1::name, true) where not exists "
                    "(select from pg_replication_slots where slot_name = $1)",
                    parameters, 1, limit, &result, err);
}

int postgres_slots(struct postgres_link *link, const char *const *members, size_t count,
                   const struct postgres_limit *limit, struct err *err)
{
    struct buf list CLEANUP(buf_done);
    buf_init(&list, 8192);
    buf_puts(&list, "{");
    for (size_t i = 0; i < count; i++) {
        char slot[POSTGRES_NAME];
        postgres_slot_name(members[i], slot);
        int r = make_slot(link, slot, limit, err);
        if (r < 0) {
            return err_wrap(err, "making the slot %s", slot);
        }
        buf_printf(&list, "%s%s", i > 0 ? "," : "", slot);
    }
    buf_puts(&list, "}");
    if (buf_failed(&list)) {
        return err_set(err, ERR_LIMIT, "there are too many members for slots");
    }
    const char *const parameters[] = {buf_text(&list)};
    struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
    return link_run(link,
                    "select pg_drop_replication_slot(slot_name) from pg_replication_slots where "
                    "slot_name like 'leeward\\_%' and not active and slot_type = 'physical' and "
                    "slot_name <> all ($1::name[])",
                    parameters, 1, limit, &result, err);
}

int postgres_end_sessions(struct postgres_link *link, const struct postgres_limit *limit,
                          int64_t *ret_count, struct err *err)
{
    struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
    int r = link_run(link,
                     "select count(pg_terminate_backend(a.pid)) from pg_stat_get_activity(null) a "
                     "where a.backend_type in ('client backend', 'autovacuum worker') and "
                     "a.pid <> pg_backend_pid()",
                     NULL, 0, limit, &result, err);
    if (r == 0 && ret_count != NULL) {
        *ret_count = sql_i64(result, 0, 0, 0);
    }
    return r;
}

static int set_password(struct postgres_link *link, const char *role, const char *verifier,
                        const struct postgres_limit *limit, struct err *err)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 4096);
    buf_keep_secret(&text);
    buf_puts(&text, "alter role ");
    quote_name(&text, role);
    buf_puts(&text, " password ");
    quote_text(&text, verifier);
    if (buf_failed(&text)) {
        return err_set(err, ERR_LIMIT, "the password's verifier is too long");
    }
    return run_command(link, buf_text(&text), limit, err);
}

int postgres_set_passwords(struct postgres_link *link, const char *master, const char *verifier,
                           const struct secret *replication, const struct postgres_limit *limit,
                           struct err *err)
{
    int r = text_empty(verifier) ? 0 : set_password(link, master, verifier, limit, err);
    if (r < 0 || replication == NULL) {
        return r;
    }
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 1024);
    buf_keep_secret(&text);
    r = pass_verifier(replication, &text, err);
    return r < 0 ? r : set_password(link, POSTGRES_REPLICATION, buf_text(&text), limit, err);
}

int postgres_setting_errors(struct postgres_link *link, const struct postgres_limit *limit,
                            struct arena *arena, const char **ret_errors, struct err *err)
{
    struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
    int r = link_run(link,
                     "select left(string_agg(distinct coalesce(name || ': ', '') || error, '; '), "
                     "1000) from pg_file_settings where error is not null and error <> "
                     "'setting could not be applied'",
                     NULL, 0, limit, &result, err);
    if (r == 0) {
        *ret_errors = arena_strdup(arena, sql_text(result, 0, 0));
    }
    return r;
}
