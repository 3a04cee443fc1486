/* What a running server says about itself: see postgres_observe. Thread: as postgres.h. */
#include "base/text.h"
#include "database/postgres/internal.h"

#include <stdio.h>
#include <string.h>

/* One row. A standby is asked for what a primary does not have, and the other way round: CASE
 * keeps PostgreSQL from calling what would be an error. */
#define VIEW                                                                                       \
    "select r, (select system_identifier from pg_control_system()),"                               \
    " case when r then greatest(coalesce(w.received_tli, 0), c.timeline_id,"                       \
    "   coalesce(m.min_recovery_end_timeline, 0))"                                                 \
    "  else ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int end,"     \
    " case when not r then pg_current_wal_insert_lsn() end,"                                       \
    " case when not r then pg_current_wal_flush_lsn() end,"                                        \
    " case when r then greatest(pg_last_wal_receive_lsn(), p) end,"                                \
    " case when r then p end,"                                                                     \
    " coalesce((select a.wait_event not in ('RecoveryWalStream', 'RecoveryRetrieveRetryInterval')" \
    "  or a.wait_event is null from pg_stat_get_activity(null) a where a.backend_type = "          \
    "'startup'),"                                                                                  \
    "  false),"                                                                                    \
    " coalesce(w.status = 'streaming', false), w.sender_host,"                                     \
    " greatest(0, pg_wal_lsn_diff(w.latest_end_lsn, p))::bigint,"                                  \
    " case when p >= w.latest_end_lsn and w.status = 'streaming' then 0 else (extract(epoch from"  \
    "  clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::bigint end,"                  \
    " (extract(epoch from clock_timestamp() - w.last_msg_receipt_time) * 1000)::bigint,"           \
    " case when r then pg_is_wal_replay_paused() else false end,"                                  \
    " current_setting('leeward.lease_file', true) = $1,"                                           \
    " current_setting('leeward.strict', true) = 'on',"                                             \
    " coalesce(current_setting('leeward.waiting', true) = 'on',"                                   \
    "  current_setting('synchronous_standby_names') <> ''),"                                       \
    " current_setting('synchronous_standby_names'),"                                               \
    " (extract(epoch from pg_conf_load_time()) * 1000000)::bigint,"                                \
    " (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint,"                         \
    " (select count(*) from pg_stat_get_activity(null) a"                                          \
    "  where a.backend_type = 'client backend' and a.pid <> pg_backend_pid())"                     \
    " from (select pg_is_in_recovery() as r, pg_last_wal_replay_lsn() as p) s,"                    \
    " pg_control_checkpoint() c, pg_control_recovery() m, pg_stat_get_wal_receiver() w"

#define REPLICAS                                                                                   \
    "select application_name, state = 'streaming', sent_lsn, flush_lsn, replay_lsn, sync_state,"   \
    " (extract(epoch from flush_lag) * 1000)::bigint,"                                             \
    " (extract(epoch from clock_timestamp() - reply_time) * 1000)::bigint, sent_lsn = flush_lsn"   \
    " from pg_stat_replication where application_name not like 'pg\\_%' order by 1"

static int64_t lag_of(const struct pg_result *result, int row, int column)
{
    int64_t value = sql_i64(result, row, column, -1);
    return value < 0 && !sql_is_null(result, row, column) ? 0 : value; /* clocks that differ */
}

static void copy_name(char *out, size_t size, const char *name)
{
    (void)snprintf(out, size, "%s", name); /* ours all fit; others' are cut */
}

static void read_view(const struct pg_result *result, struct postgres_view *view)
{
    int at = 0;
    view->recovery = sql_bool(result, 0, at++);
    view->system_id = (uint64_t)sql_i64(result, 0, at++, 0); /* a bigint that means unsigned */
    view->timeline = (uint32_t)sql_i64(result, 0, at++, 0);
    view->inserted = sql_lsn(result, 0, at++);
    view->flushed = sql_lsn(result, 0, at++);
    view->received = sql_lsn(result, 0, at++);
    view->replayed = sql_lsn(result, 0, at++);
    view->replaying = sql_bool(result, 0, at++);
    view->receiving = sql_bool(result, 0, at++);
    copy_name(view->upstream, sizeof(view->upstream), sql_text(result, 0, at++));
    view->lag_bytes = lag_of(result, 0, at++);
    view->lag_ms = lag_of(result, 0, at++);
    view->silence_ms = lag_of(result, 0, at++);
    view->paused = sql_bool(result, 0, at++);
    view->fenced_by_module = sql_bool(result, 0, at++);
    view->strict = sql_bool(result, 0, at++);
    view->waiting = sql_bool(result, 0, at++);
    copy_name(view->synchronous, sizeof(view->synchronous), sql_text(result, 0, at++));
    view->loaded = sql_wall_us(result, 0, at++);
    view->started = sql_wall_us(result, 0, at++);
    view->sessions = sql_i64(result, 0, at++, 0);
}

static enum postgres_sync sync_of(const char *text)
{
    if (text_equal(text, "sync")) {
        return POSTGRES_SYNC;
    }
    if (text_equal(text, "quorum")) {
        return POSTGRES_SYNC_QUORUM;
    }
    return text_equal(text, "potential") ? POSTGRES_SYNC_POTENTIAL : POSTGRES_SYNC_NONE;
}

static void read_replicas(const struct pg_result *result, struct postgres_view *view)
{
    int rows = sql_rows(result);
    for (int row = 0; row < rows && view->replica_count < POSTGRES_REPLICAS; row++) {
        struct postgres_replica *replica = &view->replicas[view->replica_count++];
        int at = 0;
        copy_name(replica->name, sizeof(replica->name), sql_text(result, row, at++));
        replica->streaming = sql_bool(result, row, at++);
        replica->sent = sql_lsn(result, row, at++);
        replica->flushed = sql_lsn(result, row, at++);
        replica->replayed = sql_lsn(result, row, at++);
        replica->sync = sync_of(sql_text(result, row, at++));
        replica->lag_ms = lag_of(result, row, at++);
        replica->silence_ms = lag_of(result, row, at++);
        if (replica->lag_ms < 0 && sql_bool(result, row, at)) {
            replica->lag_ms = 0; /* PostgreSQL forgets it when nothing is written */
        }
    }
}

/* Looking through all settings costs more than all the rest, and they change only when the server
 * reads its files. */
static int read_pending(struct postgres_link *link, const struct postgres_limit *limit,
                        struct postgres_view *view, struct err *err)
{
    struct link_pending *known = link_pending(link);
    struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
    if (known->loaded.ns != view->loaded.ns || known->started.ns != view->started.ns) {
        int r = link_run(link, "select exists (select from pg_settings where pending_restart)",
                         NULL, 0, limit, &result, err);
        if (r < 0) {
            return r;
        }
        *known = (struct link_pending){
            .waits = sql_bool(result, 0, 0), .loaded = view->loaded, .started = view->started};
    }
    view->pending_restart = known->waits;
    return 0;
}

int postgres_observe(struct postgres_link *link, const struct postgres_limit *limit,
                     struct postgres_view *ret_view, struct err *err)
{
    struct postgres_view view = {.replica_count = 0};
    struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
    struct pg_result *replicas CLEANUP(sql_result_cleanup) = NULL;
    const char *const parameters[] = {link_lease(link)};
    int r = link_run_often(link, LINK_VIEW, VIEW, parameters, 1, limit, &result, err);
    if (r == 0 && sql_rows(result) != 1) {
        r = err_set(err, ERR_INTERNAL, "PostgreSQL told %d rows about itself", sql_rows(result));
    }
    if (r == 0) {
        read_view(result, &view);
        r = read_pending(link, limit, &view, err);
    }
    if (r == 0 && !view.recovery) { /* readers send to nobody */
        r = link_run_often(link, LINK_REPLICAS, REPLICAS, NULL, 0, limit, &replicas, err);
    }
    if (r < 0) {
        return r;
    }
    if (replicas != NULL) {
        read_replicas(replicas, &view);
    }
    *ret_view = view;
    return 0;
}
