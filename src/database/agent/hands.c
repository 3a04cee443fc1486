/* Actions on a server of Leeward's own, and what is the same for all servers: see hands.h. The
 * worker's thread. Does not log. Invariant: a primary is started or promoted only by who holds the
 * lease; this file trusts its caller in that, the fence module trusts nobody. */
#include "database/agent/hands.h"

#include "base/arena.h"
#include "base/memory.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"
#include "database/agent/attach.h"
#include "database/fence/lease_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CREATE_S 300
#define COPY_S 604800 /* of a large database, over a thin line */
#define START_S 86400 /* crash recovery takes what it takes; the order may change meanwhile */
#define STOP_S 300    /* core becomes impatient earlier */
#define COMPARE_S 30
#define ASIDE_S 86400
#define HISTORY_LIMIT 65536U
#define CALL_S 10
#define PROMOTE_S 300
#define CHECKPOINT_S 600

static struct postgres_limit limit_of(const struct hands *hands, int64_t seconds)
{
    return (struct postgres_limit){.until = mono_from_now(seconds * TIME_S),
                                   .interrupt = hands->interrupt};
}

int hands_password(const struct seal *seal, const struct view_group *group,
                   struct secret *ret_password, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    struct seal_data data;
    arena_init(&arena, 0);
    arena_keep_secret(&arena);
    const char *key = model_database_group_key(&arena, group->group.id);
    int rc = seal_unwrap(seal, key, group->group.replication, &arena, &data, err);
    if (rc == 0 && secret_set(ret_password, data.data, data.size) != 0) {
        rc = err_set(err, ERR_LIMIT, "the replication role's password is too long");
    }
    return rc != 0 ? err_wrap(err, "the password of the replication role") : 0;
}

int hands_upstream_open(const struct hands *hands, const struct view_group *group,
                        const struct model_database_member *member,
                        struct hands_upstream *ret_upstream, struct err *err)
{
    *ret_upstream = (struct hands_upstream){
        .from = {.address = "", .password = &ret_upstream->password, .slot = ret_upstream->slot}};
    if (member == NULL) {
        return 0;
    }
    ret_upstream->from.address = member->address;
    ret_upstream->from.port = member->port;
    postgres_slot_name(hands->server.name, ret_upstream->slot);
    return hands_password(hands->seal, group, &ret_upstream->password, err);
}

void hands_upstream_done(struct hands_upstream *upstream)
{
    secret_wipe(&upstream->password);
}

int hands_look(struct hands *hands, bool *ret_running, struct err *err)
{
    bool running = hands->process.pid != 0 && !postgres_process_ended(&hands->process);
    if (!running) {
        postgres_process_done(&hands->process);
        int rc = postgres_adopt(&hands->server, &hands->process, err);
        if (rc != 0 && err->kind != ERR_NOT_FOUND) {
            return rc;
        }
        running = rc == 0;
        err_clear(err);
    }
    *ret_running = running;
    return 0;
}

static int make_folder(const char *path, struct err *err)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : err_set_errno(err, errno, "%s", path);
}

int hands_open_lease(struct hands *hands, struct err *err)
{
    if (hands->file != NULL) {
        return 0;
    }
    char *run CLEANUP(memory_cleanup) = memory_printf("%s/run", hands->server.directory);
    char *path CLEANUP(memory_cleanup) = hands->attachment != NULL
                                             ? memory_strdup(hands->attachment->lease_file)
                                             : memory_printf("%s/lease", run);
    int rc = make_folder(hands->server.directory, err);
    rc = rc != 0 ? rc : make_folder(run, err);
    if (rc != 0) {
        return rc;
    }
    rc = fence_lease_open(path, true, &hands->file);
    return rc != 0 ? err_set_errno(err, -rc, "the lease file %s", path) : 0;
}

static int managed_create(struct hands *hands, const struct view_group *group, struct err *err)
{
    struct secret password CLEANUP(secret_wipe);
    struct postgres_limit limit = limit_of(hands, CREATE_S);
    password.length = 0;
    int rc = hands_password(hands->seal, group, &password, err);
    if (rc != 0) {
        return rc;
    }
    const struct postgres_birth birth = {.icu = "",
                                         .master = group->group.master,
                                         .verifier = group->group.verifier,
                                         .database = group->group.database,
                                         .replication = &password};
    return postgres_create(&hands->server, &birth, &limit, err);
}

int hands_restore(struct hands *hands, const struct view_group *group, const char *backup,
                  struct err *err)
{
    struct secret password CLEANUP(secret_wipe);
    struct postgres_limit limit = limit_of(hands, COPY_S);
    const struct postgres from = {.directory = backup, .binaries = hands->server.binaries};
    const struct postgres_birth birth = {.replication = &password};
    password.length = 0;
    int rc = hands_password(hands->seal, group, &password, err);
    return rc != 0 ? rc : postgres_restore(&hands->server, &from, &birth, &limit, err);
}

static int managed_copy(struct hands *hands, const struct view_group *group,
                        const struct model_database_member *upstream, _Atomic int64_t *ret_bytes,
                        struct err *err)
{
    struct hands_upstream source CLEANUP(hands_upstream_done);
    struct postgres_limit limit = limit_of(hands, COPY_S);
    int rc = hands_upstream_open(hands, group, upstream, &source, err);
    return rc != 0 ? rc : postgres_copy(&hands->server, &source.from, &limit, ret_bytes, err);
}

static int managed_configure(struct hands *hands, const struct view_group *group,
                             const struct model_database_member *member,
                             const struct hands_settings *settings, struct err *err)
{
    struct hands_upstream source CLEANUP(hands_upstream_done);
    bool changed = false;
    int rc = hands_upstream_open(hands, group, settings->upstream, &source, err);
    if (rc != 0) {
        return rc;
    }
    const struct postgres_config config = {.standby = settings->standby,
                                           .upstream = source.from,
                                           .plain = settings->plain,
                                           .synchronous = settings->synchronous,
                                           .strict = settings->strict,
                                           .settings = member->settings,
                                           .setting_count = member->setting_count};
    rc = postgres_configure(&hands->server, &config, &changed, err);
    if (rc != 0 || changed || settings->reload) {
        hands->told = 0;
    }
    if (rc == 0 && hands->process.pid != 0 && hands->told != hands->process.pid &&
        !postgres_process_ended(&hands->process)) {
        struct postgres_limit limit = limit_of(hands, CALL_S);
        rc = postgres_apply(hands->link, &hands->process, &limit, err);
        hands->told = rc == 0 ? hands->process.pid : 0;
    }
    return rc;
}

static int managed_start(struct hands *hands, struct err *err)
{
    enum postgres_ready ready = POSTGRES_STARTING;
    struct postgres_limit limit = limit_of(hands, START_S);
    int rc = hands_open_lease(hands, err);
    if (rc == 0 && (hands->process.pid == 0 || postgres_process_ended(&hands->process))) {
        postgres_process_done(&hands->process);
        rc = postgres_start(&hands->server, &hands->process, err);
        hands->told = rc == 0 ? hands->process.pid : 0;
    }
    rc = rc != 0 ? rc : postgres_wait_ready(&hands->server, &hands->process, &limit, &ready, err);
    return rc;
}

static int managed_stop(struct hands *hands, enum postgres_stop how, struct err *err)
{
    const struct postgres_limit limit = limit_of(hands, STOP_S);
    postgres_link_drop(hands->link);
    if (hands->process.pid == 0) {
        return 0;
    }
    int rc = postgres_stop(&hands->server, &hands->process, how, &limit, err);
    if (rc == 0) {
        postgres_process_done(&hands->process);
    }
    return rc;
}

static int managed_close(struct hands *hands, struct postgres_control *ret_control, struct err *err)
{
    const struct postgres_limit limit = limit_of(hands, STOP_S);
    postgres_link_drop(hands->link);
    return postgres_stop_writing(&hands->server, &hands->process, &limit, ret_control, err);
}

static int managed_cut(struct hands *hands, const struct view_group *group,
                       const struct model_database_member *member, model_lsn *ret_received,
                       struct err *err)
{
    struct postgres_limit limit = limit_of(hands, CALL_S);
    bool changed = false;
    struct postgres_config config = {.standby = true,
                                     .upstream = {.address = ""},
                                     .synchronous = "",
                                     .settings = member->settings,
                                     .setting_count = member->setting_count};
    (void)group;
    hands->told = 0;
    int rc = postgres_configure(&hands->server, &config, &changed, err);
    rc = rc != 0 ? rc : postgres_cut(hands->link, &hands->process, &limit, ret_received, err);
    hands->told = rc == 0 ? hands->process.pid : 0;
    return rc;
}

static int managed_promote(struct hands *hands, uint32_t from, uint32_t timeline, struct err *err)
{
    struct postgres_limit limit = limit_of(hands, PROMOTE_S);
    int rc = from != 0 ? hands_reserve_timelines(hands, from, timeline, err) : 0;
    return rc != 0 ? rc : postgres_promote(&hands->server, &hands->process, &limit, err);
}

int hands_checkpoint(struct hands *hands, struct err *err)
{
    struct postgres_limit limit = limit_of(hands, CHECKPOINT_S);
    return postgres_checkpoint(hands->link, &limit, err);
}

int hands_roles(struct hands *hands, const struct view_group *group, const char *self, bool writer,
                struct err *err)
{
    const char *others[MODEL_DATABASE_MEMBERS];
    size_t count = 0;
    struct postgres_limit limit = limit_of(hands, CALL_S);
    for (size_t i = 0; i < group->member_count; i++) {
        const struct model_database_member *member = &group->members[i].member;
        if (!text_equal(member->id, self) && !member->deleted) {
            others[count++] = member->id;
        }
    }
    int rc = postgres_slots(hands->link, others, count, &limit, err);
    if (rc == 0 && writer) {
        rc = postgres_set_passwords(hands->link, group->group.master, group->group.verifier, NULL,
                                    &limit, err);
    }
    return rc;
}

static int managed_fork(struct hands *hands, const struct view_group *group,
                        const struct model_database_member *upstream, model_lsn *ret_fork,
                        struct err *err)
{
    struct hands_upstream source CLEANUP(hands_upstream_done);
    struct postgres_limit limit = limit_of(hands, COMPARE_S);
    int rc = hands_upstream_open(hands, group, upstream, &source, err);
    return rc != 0 ? rc : postgres_fork(&hands->server, &source.from, &limit, ret_fork, err);
}

static int managed_put_aside(struct hands *hands, const struct view_group *group,
                             const struct model_database_member *upstream, const char *name,
                             struct arena *arena, struct postgres_lost *ret_lost, struct err *err)
{
    struct hands_upstream source CLEANUP(hands_upstream_done);
    struct postgres_limit limit = limit_of(hands, ASIDE_S);
    model_lsn fork = 0;
    int rc = hands_upstream_open(hands, group, upstream, &source, err);
    rc = rc != 0 ? rc : postgres_fork(&hands->server, &source.from, &limit, &fork, err);
    rc = rc != 0 ? rc
                 : postgres_lost_writes(&hands->server, fork, &source.from, &limit, arena, ret_lost,
                                        err);
    return rc != 0 ? rc
                   : postgres_put_aside(&hands->server, name, fork, ret_lost, false, &limit, err);
}

static int managed_rewind(struct hands *hands, const struct view_group *group,
                          const struct model_database_member *upstream, struct err *err)
{
    struct hands_upstream source CLEANUP(hands_upstream_done);
    struct postgres_limit limit = limit_of(hands, COPY_S);
    int rc = hands_upstream_open(hands, group, upstream, &source, err);
    return rc != 0 ? rc : postgres_rewind(&hands->server, &source.from, &limit, err);
}

/* A line is "parent<tab>16/B374D848<tab>reason"; the last one is the timeline's own. */
void hands_parse_history(char *text, uint32_t *ret_parent, model_lsn *ret_fork)
{
    *ret_parent = 0;
    *ret_fork = 0;
    for (char *line = text; line != NULL;) { /* PostgreSQL leaves lines empty */
        char *next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        char *tab = strchr(line, '\t');
        char *end = tab != NULL ? tab + 1 + strcspn(tab + 1, "\t") : NULL;
        int64_t parent = 0;
        model_lsn fork = 0;
        if (tab != NULL && end != NULL) {
            *tab = '\0';
            *end = '\0';
            if (text_to_i64(line, 1, UINT32_MAX, &parent) == 0 &&
                model_lsn_parse(tab + 1, &fork) == 0) {
                *ret_parent = (uint32_t)parent;
                *ret_fork = fork;
            }
        }
        line = next;
    }
}

static void managed_parent(const struct hands *hands, uint32_t timeline, uint32_t *ret_parent,
                           model_lsn *ret_fork)
{
    char text[HISTORY_LIMIT + 1];
    char *path CLEANUP(memory_cleanup) =
        memory_printf("%s/data/pg_wal/%08X.history", hands->server.directory, timeline);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = file >= 0 ? read(file, text, HISTORY_LIMIT) : 0;
    if (file >= 0) {
        (void)close(file); /* only read */
    }
    text[MAX(size, 0)] = '\0';
    hands_parse_history(text, ret_parent, ret_fork);
}

static int managed_discard(struct hands *hands, struct err *err)
{
    return postgres_remove(&hands->server, false, err);
}

static int managed_remove(struct hands *hands, struct err *err)
{
    return postgres_remove(&hands->server, true, err);
}

const struct hands_kind hands_managed = {.create = managed_create,
                                         .copy = managed_copy,
                                         .configure = managed_configure,
                                         .start = managed_start,
                                         .stop = managed_stop,
                                         .close = managed_close,
                                         .cut = managed_cut,
                                         .promote = managed_promote,
                                         .fork = managed_fork,
                                         .put_aside = managed_put_aside,
                                         .rewind = managed_rewind,
                                         .discard = managed_discard,
                                         .remove = managed_remove,
                                         .parent = managed_parent};
