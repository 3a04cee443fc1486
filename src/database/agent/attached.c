/* Actions on a server that somebody else runs: by statements where there are some, else by its
 * owner's commands (attach.h). See hands.h. The worker's thread. Does not log. Invariants: a
 * server is "down" only when its owner's status command says so; its data are never replaced when
 * they are of another database. */
#include "base/memory.h"
#include "base/text.h"
#include "base/time.h"
#include "database/agent/attach.h"
#include "database/agent/hands.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define CALL_S 10
#define CHECK_MS 20 /* between two looks at a server that starts */
#define COMPARE_S 30
#define STATUS_KEPT_MS 1000
#define OUTPUT_LIMIT 65536U
#define HISTORY_LIMIT 65536U
#define STATUS_RUNS 1      /* exit status: it is not down */
#define STATUS_NO_REWIND 2 /* of rewind: these data cannot be rewound */
#define SETTINGS 10U

static struct postgres_limit limit_of(const struct hands *hands, int64_t seconds)
{
    return (struct postgres_limit){.until = mono_from_now(seconds * TIME_S),
                                   .interrupt = hands->interrupt};
}

static int judge_known(const struct hands *hands, struct err *err)
{
    return hands->attachment != NULL
               ? 0
               : err_set(err, ERR_NOT_FOUND, "its attachment is not known to this agent");
}

/* What was known of it may be otherwise now. */
static void touched(struct hands *hands)
{
    hands->attached.asked.ns = 0;
    hands->attached.started.ns = 0;
    hands->attached.known = false;
    hands->attached.down = false;
}

static const char *epoch_setting(const struct hands *hands, struct arena *arena)
{
    return arena_printf(arena, "LEEWARD_EPOCH=%lld", (long long)hands->attached.epoch);
}

static int call(struct hands *hands, enum attach_verb verb, const char *const *settings,
                int *ret_status, struct err *err)
{
    int rc = judge_known(hands, err);
    rc = rc != 0 ? rc
                 : attach_run(hands->attachment, verb, &hands->server, settings, hands->interrupt,
                              NULL, ret_status, err);
    touched(hands);
    return rc;
}

/* ---- how it is ---- */

void attached_ask(struct hands *hands)
{
    struct hands_attached *attached = &hands->attached;
    struct arena arena CLEANUP(arena_done);
    struct buf output CLEANUP(buf_done);
    struct err err = ERR_INIT;
    int status = 0;
    arena_init(&arena, 0);
    buf_init(&output, OUTPUT_LIMIT);
    if (attached->asked.ns != 0 &&
        mono_since(mono_now(), attached->asked) < STATUS_KEPT_MS * TIME_MS) {
        return;
    }
    const char *const settings[] = {epoch_setting(hands, &arena), NULL};
    attached->known = false;
    attached->down = false;
    int rc = attach_run(hands->attachment, ATTACH_STATUS, &hands->server, settings,
                        hands->interrupt, &output, &status, &err);
    attached->asked = mono_now();
    if (rc != 0 || (status != 0 && status != STATUS_RUNS)) {
        (void)snprintf(attached->trouble, sizeof attached->trouble,
                       "it does not answer, and whether it runs is not known: status %s",
                       rc != 0 ? err.message : "ended with an error"); /* cut is fine */
        return;
    }
    attached->known = true;
    attached->down = status == 0;
    attached->has_data = false;
    const char *text = buf_text(&output);
    if (!attached->down || text[strspn(text, " \t\r\n")] == '\0') {
        return;
    }
    if (postgres_control_parse(text, &attached->control, &err) != 0) {
        attached->known = false;
        attached->down = false;
        (void)snprintf(attached->trouble, sizeof attached->trouble, "its status command: %s",
                       err.message);
        return;
    }
    attached->has_data = true;
}

/* ---- commands ---- */

/* Whom it is to follow, for a command. */
static void put_primary(const struct hands *hands, const struct postgres_upstream *upstream,
                        struct arena *arena, const char *settings[SETTINGS])
{
    struct buf text CLEANUP(buf_done);
    size_t count = 0;
    buf_init(&text, 0);
    buf_keep_secret(&text);
    postgres_upstream_string(&hands->server, upstream, &text);
    settings[count++] = epoch_setting(hands, arena);
    settings[count++] = arena_printf(arena, "LEEWARD_PRIMARY_HOST=%s", upstream->address);
    settings[count++] = arena_printf(arena, "LEEWARD_PRIMARY_PORT=%u", (unsigned)upstream->port);
    settings[count++] = "LEEWARD_PRIMARY_USER=" POSTGRES_REPLICATION;
    settings[count++] =
        arena_printf(arena, "LEEWARD_PRIMARY_PASSWORD=%s", upstream->password->data);
    settings[count++] = arena_printf(arena, "LEEWARD_PRIMARY_CONNINFO=%s", buf_text(&text));
    settings[count++] = arena_printf(arena, "LEEWARD_PRIMARY_SLOT=%s", upstream->slot);
    settings[count] = NULL;
}

static int call_for_primary(struct hands *hands, enum attach_verb verb,
                            const struct view_group *group,
                            const struct model_database_member *upstream, int *ret_status,
                            struct err *err)
{
    struct hands_upstream source CLEANUP(hands_upstream_done);
    struct arena arena CLEANUP(arena_done);
    const char *settings[SETTINGS];
    arena_init(&arena, 0);
    arena_keep_secret(&arena);
    int rc = hands_upstream_open(hands, group, upstream, &source, err);
    if (rc != 0) {
        return rc;
    }
    put_primary(hands, &source.from, &arena, settings);
    return call(hands, verb, settings, ret_status, err);
}

/* ---- data ---- */

static int attached_create(struct hands *hands, const struct view_group *group, struct err *err)
{
    (void)hands;
    (void)group;
    return err_set(err, ERR_UNSUPPORTED, "an attached server does not begin a database");
}

static int attached_copy(struct hands *hands, const struct view_group *group,
                         const struct model_database_member *upstream, _Atomic int64_t *ret_bytes,
                         struct err *err)
{
    (void)ret_bytes; /* the command does not say */
    int rc = call_for_primary(hands, ATTACH_REBUILD, group, upstream, NULL, err);
    if (rc == 0) {
        hands->attached.discarded = false;
        hands->attached.end = 0;
    }
    return rc;
}

static int attached_rewind(struct hands *hands, const struct view_group *group,
                           const struct model_database_member *upstream, struct err *err)
{
    int status = 0;
    int rc = call_for_primary(hands, ATTACH_REWIND, group, upstream, &status, err);
    if (rc == 0 && status != 0) {
        rc =
            status == STATUS_NO_REWIND
                ? err_set(err, ERR_UNSUPPORTED, "its rewind command says that it cannot be rewound")
                : err_set(err, ERR_UNAVAILABLE, "its rewind command ended with status %d", status);
    }
    if (rc == 0) {
        hands->attached.end = 0;
    }
    return rc;
}

static int attached_discard(struct hands *hands, struct err *err)
{
    int rc = judge_known(hands, err);
    if (rc == 0 && hands->attachment->commands[ATTACH_REBUILD].words == NULL) {
        rc = err_set(err, ERR_UNSUPPORTED,
                     "it must be made anew from the writer, and has no rebuild command: do it by "
                     "hand, and leave it stopped");
    }
    hands->attached.discarded = rc == 0;
    touched(hands);
    return rc;
}

/* It stays its owner's, with its data. */
static int attached_remove(struct hands *hands, struct err *err)
{
    return postgres_remove(&hands->server, true, err);
}

/* ---- settings ---- */

/* runs: for longer than a moment, so that it is known whether it has the module. */
static int set_synchronous(struct hands *hands, bool runs, bool *changed,
                           const struct postgres_limit *limit, struct err *err)
{
    const struct hands_attached *attached = &hands->attached;
    int rc = postgres_alter(hands->link, "synchronous_standby_names", attached->synchronous, limit,
                            changed, err);
    return rc == 0 && attached->module && runs
               ? postgres_alter(hands->link, "leeward.strict", attached->strict ? "on" : "off",
                                limit, changed, err)
               : rc;
}

static int set_upstream(struct hands *hands, const struct view_group *group,
                        const struct model_database_member *upstream, bool *changed,
                        const struct postgres_limit *limit, struct err *err)
{
    struct hands_upstream source CLEANUP(hands_upstream_done);
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 0);
    buf_keep_secret(&text);
    int rc = hands_upstream_open(hands, group, upstream, &source, err);
    if (rc != 0) {
        return rc;
    }
    postgres_upstream_string(&hands->server, &source.from, &text);
    rc = postgres_alter(hands->link, "primary_slot_name", source.slot, limit, changed, err);
    return rc == 0 ? postgres_alter(hands->link, "primary_conninfo", buf_text(&text), limit,
                                    changed, err)
                   : rc;
}

static int attached_configure(struct hands *hands, const struct view_group *group,
                              const struct model_database_member *member,
                              const struct hands_settings *settings, struct err *err)
{
    bool changed = false;
    struct hands_attached *attached = &hands->attached;
    const struct postgres_limit limit = limit_of(hands, CALL_S);
    (void)member; /* parameter groups are not for it */
    attached->standby = settings->standby;
    attached->strict = settings->strict;
    IGNORE_RESULT(text_copy(attached->synchronous, sizeof attached->synchronous,
                            settings->synchronous != NULL ? settings->synchronous : "")); /* fits */
    if (!attached->running) { /* a writer's are set once it runs */
        return settings->standby
                   ? call_for_primary(hands, ATTACH_FOLLOW, group, settings->upstream, NULL, err)
                   : 0;
    }
    int rc = set_synchronous(hands, true, &changed, &limit, err);
    if (rc == 0 && settings->standby) {
        rc = set_upstream(hands, group, settings->upstream, &changed, &limit, err);
    }
    return rc == 0 && (changed || settings->reload) ? postgres_apply(hands->link, NULL, &limit, err)
                                                    : rc;
}

static int attached_cut(struct hands *hands, const struct view_group *group,
                        const struct model_database_member *member, model_lsn *ret_received,
                        struct err *err)
{
    bool changed = false;
    const struct postgres_limit limit = limit_of(hands, CALL_S);
    (void)member; /* as above */
    int rc = set_upstream(hands, group, NULL, &changed, &limit, err);
    return rc == 0 ? postgres_cut(hands->link, NULL, &limit, ret_received, err) : rc;
}

/* ---- the process ---- */

/* Until it answers; early when it is down again. Recovery takes what it takes. */
static int wait_running(struct hands *hands, struct err *err)
{
    for (;;) {
        const struct postgres_limit limit = limit_of(hands, 1);
        struct pollfd interrupt = {.fd = hands->interrupt, .events = POLLIN};
        int rc = postgres_link_ready(hands->link, &limit, err);
        if (rc == 0 || err->kind == ERR_CANCELLED) {
            return rc;
        }
        attached_ask(hands);
        if (hands->attached.down) {
            return err_wrap(err, "it was started, and is down again");
        }
        err_clear(err);
        if (poll(&interrupt, 1, CHECK_MS) == 1) {
            return err_set(err, ERR_CANCELLED, "waiting for it to answer");
        }
    }
}

static int attached_start(struct hands *hands, struct err *err)
{
    bool changed = false;
    struct arena arena CLEANUP(arena_done);
    const struct hands_attached *attached = &hands->attached;
    arena_init(&arena, 0);
    int rc = hands_open_lease(hands, err);
    const char *const settings[] = {
        epoch_setting(hands, &arena),
        attached->standby ? "LEEWARD_ROLE=reader" : "LEEWARD_ROLE=writer",
        arena_printf(&arena, "LEEWARD_SYNCHRONOUS=%s", attached->synchronous), NULL};
    rc = rc != 0 ? rc : call(hands, ATTACH_START, settings, NULL, err);
    rc = rc != 0 ? rc : wait_running(hands, err);
    touched(hands);
    if (rc != 0 || attached->standby) {
        return rc;
    }
    const struct postgres_limit limit = limit_of(hands, CALL_S);
    rc = set_synchronous(hands, false, &changed, &limit, err);
    return rc == 0 && changed ? postgres_apply(hands->link, NULL, &limit, err) : rc;
}

static int attached_stop(struct hands *hands, enum postgres_stop how, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    const char *const settings[] = {
        epoch_setting(hands, &arena),
        how == POSTGRES_FAST ? "LEEWARD_STOP=fast" : "LEEWARD_STOP=immediate", NULL};
    postgres_link_drop(hands->link);
    if (hands->attached.known && hands->attached.down && !hands->attached.running) {
        return 0;
    }
    int rc = call(hands, ATTACH_STOP, settings, NULL, err);
    hands->attached.running = false;
    return rc;
}

static int attached_promote(struct hands *hands, uint32_t from, uint32_t timeline, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    int rc = judge_known(hands, err);
    if (rc != 0) {
        return rc;
    }
    const struct attach_command *command = &hands->attachment->commands[ATTACH_PROMOTE];
    const struct postgres_limit limit = limit_of(hands, command->limit_s);
    const char *const settings[] = {epoch_setting(hands, &arena),
                                    arena_printf(&arena, "LEEWARD_TIMELINE=%u", (unsigned)timeline),
                                    NULL};
    rc = from != 0 ? postgres_reserve(hands->link, from, timeline, &limit, err) : 0;
    if (rc == 0 && command->words == NULL) {
        return postgres_promote_by_statement(hands->link, &limit, err);
    }
    rc = rc != 0 ? rc : call(hands, ATTACH_PROMOTE, settings, NULL, err);
    return rc != 0 ? rc : postgres_wait_promoted(hands->link, &limit, err);
}

/* ---- histories ---- */

static int attached_fork(struct hands *hands, const struct view_group *group,
                         const struct model_database_member *upstream, model_lsn *ret_fork,
                         struct err *err)
{
    struct hands_upstream source CLEANUP(hands_upstream_done);
    struct postgres_limit limit = limit_of(hands, COMPARE_S);
    const struct hands_attached *attached = &hands->attached;
    const struct postgres_control control = {.system_id = attached->system_id,
                                             .timeline = attached->timeline};
    int rc = hands_upstream_open(hands, group, upstream, &source, err);
    return rc != 0 ? rc
                   : postgres_fork_at(&hands->server, &control, attached->end, &source.from, &limit,
                                      ret_fork, err);
}

/* The log is out of reach: its owner's rewind command puts aside what it destroys. */
static int attached_put_aside(struct hands *hands, const struct view_group *group,
                              const struct model_database_member *upstream, const char *name,
                              struct arena *arena, struct postgres_lost *ret_lost, struct err *err)
{
    (void)hands;
    (void)group;
    (void)upstream;
    (void)name;
    (void)arena;
    (void)err;
    *ret_lost = (struct postgres_lost){.total = -1};
    return 0;
}

static void attached_parent(const struct hands *hands, uint32_t timeline, uint32_t *ret_parent,
                            model_lsn *ret_fork)
{
    struct buf text CLEANUP(buf_done);
    struct err err = ERR_INIT;
    const struct postgres_limit limit = limit_of(hands, CALL_S);
    *ret_parent = 0;
    *ret_fork = 0;
    buf_init(&text, HISTORY_LIMIT);
    if (hands->attached.running &&
        postgres_history(hands->link, timeline, &limit, &text, &err) == 0 && text.length != 0 &&
        !buf_failed(&text)) {
        hands_parse_history(text.data, ret_parent, ret_fork);
    }
}

const struct hands_kind hands_attached = {.create = attached_create,
                                          .copy = attached_copy,
                                          .configure = attached_configure,
                                          .start = attached_start,
                                          .stop = attached_stop,
                                          .cut = attached_cut,
                                          .promote = attached_promote,
                                          .fork = attached_fork,
                                          .put_aside = attached_put_aside,
                                          .rewind = attached_rewind,
                                          .discard = attached_discard,
                                          .remove = attached_remove,
                                          .parent = attached_parent};
