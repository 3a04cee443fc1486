/* Taking one snapshot: see snapshot_taker.h. Nothing is kept that a restart would need: what is to
 * be done is found out before every try, from the group's picture and the folder. Logs. */
#include "database/agent/snapshot_taker.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "database/agent/hands.h"
#include "database/agent/snapshots.h"
#include "database/postgres/postgres.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TAKE_S 604800    /* of a large database, on a slow disk */
#define ASK_S 5          /* the writer, how far its log goes */
#define STALE_S 20       /* a reader is taken as it is when no writer was to be asked for so long */
#define BEGIN_S 1800     /* then nothing could be begun */
#define FAILURES_MOST 5U /* in a row */
#define PAUSE_MS 250
#define PAUSE_MOST_MS 8000
#define ROOM_MORE ((int64_t)64 << 20)

struct snapshot_taker {
    struct database_agent *agent;
    void (*ended)(void *context);
    void *context;
    pthread_t thread;
    int interrupt; /* eventfd: what is under way is to end */
    atomic_bool stopping;
    struct arena arena; /* of what follows, as long as the taker */
    struct model_database_snapshot snapshot;
    struct postgres backup;
    /* The thread's own. */
    struct mono began;
    struct mono asked; /* the writer, or nobody could be asked since the start */
    model_lsn position;
    unsigned failures;
    /* Shared. */
    _Atomic int64_t bytes;
    _Atomic int64_t total;
    pthread_mutex_t mutex;
    char source[MODEL_DATABASE_ID]; /* member that is being read; "": none */
    bool is_over;
    struct model_database_snapshot_seen seen;
    char message[SNAPSHOT_MESSAGE];
};

/* What one try came to. */
enum outcome {
    OUTCOME_TAKEN,
    OUTCOME_WAITS,  /* nothing could be begun */
    OUTCOME_AGAIN,  /* it was begun and broken off, or failed for now */
    OUTCOME_FAILED, /* for good */
};

static void say(struct snapshot_taker *taker, const char *message)
{
    thread_lock(&taker->mutex);
    (void)snprintf(taker->message, sizeof taker->message, "%s", message); /* cut is fine */
    text_mend(taker->message);
    thread_unlock(&taker->mutex);
}

static enum outcome wait_for(struct snapshot_taker *taker, const char *message)
{
    say(taker, message);
    return OUTCOME_WAITS;
}

static void set_source(struct snapshot_taker *taker, const char *member)
{
    thread_lock(&taker->mutex);
    IGNORE_RESULT(text_copy(taker->source, sizeof taker->source, member)); /* an id */
    thread_unlock(&taker->mutex);
}

/* ---- of whom ---- */

/* A new writer is not to wait until a backup is over. */
static bool is_in_the_way(const struct view_group *group, const char *source)
{
    switch (group->group.phase) {
    case MODEL_DATABASE_NEW:
    case MODEL_DATABASE_STEADY:
    case MODEL_DATABASE_STOPPED:
        return false;
    case MODEL_DATABASE_ELECTING:
        return true;
    case MODEL_DATABASE_PREPARING:
    case MODEL_DATABASE_FENCING:
    case MODEL_DATABASE_PROMOTING:
        break;
    }
    return text_equal(group->group.writer, source) || text_equal(group->group.target, source);
}

static bool is_at_rest(const struct view_member *member)
{
    return (member->member.stopped || member->member.deleted) &&
           member->seen.condition == MODEL_DATABASE_DOWN;
}

/* How fit it is; 0: not at all. */
static int rank(const struct snapshot_taker *taker, const struct view_group *group,
                const struct view_member *member)
{
    bool named = text_equal(member->member.id, taker->snapshot.member);
    bool local = text_equal(member->member.region, taker->snapshot.region);
    if (!local || member->seen_record.revision == 0 || !text_empty(member->member.attached) ||
        is_in_the_way(group, member->member.id)) {
        return 0;
    }
    if (member->seen.condition == MODEL_DATABASE_STREAMING) {
        return named ? 6 : 5;
    }
    if (member->seen.condition == MODEL_DATABASE_WRITER) {
        return named ? 4 : 3;
    }
    bool stale = mono_since(mono_now(), taker->asked) >= STALE_S * TIME_S;
    if (member->seen.condition == MODEL_DATABASE_READER && stale) {
        return 2;
    }
    return named && is_at_rest(member) ? 1 : 0;
}

static const struct view_member *choose(const struct snapshot_taker *taker,
                                        const struct view_group *group)
{
    const struct view_member *found = NULL;
    int best = 0;
    for (size_t i = 0; i < group->member_count; i++) {
        int fit = rank(taker, group, &group->members[i]);
        found = fit > best ? &group->members[i] : found;
        best = MAX(best, fit);
    }
    return found;
}

static struct postgres_limit limit_of(const struct snapshot_taker *taker, int64_t seconds)
{
    return (struct postgres_limit){.until = mono_from_now(seconds * TIME_S),
                                   .interrupt = taker->interrupt};
}

/* ---- a reader has what was acknowledged before ---- */

/* The writer is asked once; while it cannot be, its readers are not known to have everything. */
static bool knows_position(struct snapshot_taker *taker, const struct view_group *group,
                           const struct secret *password)
{
    struct err err = ERR_INIT;
    const struct view_member *writer = view_member_find(group, group->group.writer);
    if (taker->position != 0) {
        return true;
    }
    if (writer == NULL || !text_empty(writer->member.attached)) {
        return false;
    }
    const struct postgres_upstream upstream = {
        .address = writer->member.address, .port = writer->member.port, .password = password};
    const struct postgres_limit limit = limit_of(taker, ASK_S);
    return postgres_position(&taker->backup, &upstream, &limit, &taker->position, &err) == 0;
}

static bool has_caught_up(struct snapshot_taker *taker, const struct view_group *group,
                          const struct view_member *source, const struct secret *password)
{
    bool known = knows_position(taker, group, password);
    bool stale = mono_since(mono_now(), taker->asked) >= STALE_S * TIME_S;
    if (!known) {
        return stale;
    }
    return source->seen.replayed >= taker->position;
}

/* ---- one try ---- */

static int judge_room(struct snapshot_taker *taker, const struct postgres *source, struct err *err)
{
    int64_t size = 0;
    int64_t room = 0;
    int rc = postgres_size(source, &size, err);
    rc = rc != 0 ? rc : postgres_room(source, &room, err);
    if (rc == 0 && room < size + ROOM_MORE) {
        rc = err_set(err, ERR_LIMIT, "there is no room for %lld MB: %lld MB are free",
                     (long long)(size >> 20), (long long)(room >> 20));
    }
    atomic_store(&taker->total, size);
    atomic_store(&taker->bytes, 0);
    return rc;
}

static int back_up(struct snapshot_taker *taker, const struct view_member *member,
                   const struct secret *password, struct err *err)
{
    const struct postgres_limit limit = limit_of(taker, TAKE_S);
    char *folder CLEANUP(memory_cleanup) =
        memory_printf("%s/%s", taker->agent->config.directory, member->member.id);
    const struct postgres source = {.directory = folder,
                                    .binaries = taker->agent->binaries,
                                    .name = member->member.id,
                                    .address = member->member.address,
                                    .port = member->member.port};
    const struct postgres_upstream upstream = {
        .address = source.address, .port = source.port, .password = password};
    int rc = judge_room(taker, &source, err);
    if (rc != 0) {
        return rc;
    }
    return is_at_rest(member)
               ? postgres_back_up_files(&taker->backup, &source, &limit, &taker->bytes, err)
               : postgres_back_up(&taker->backup, &upstream, &limit, &taker->bytes, err);
}

static void silence(int event)
{
    uint64_t count = 0;
    IGNORE_RESULT(read(event, &count, sizeof count)); /* nothing rang */
}

/* Who rings after the source is set, rings for this try. */
static enum outcome take_of(struct snapshot_taker *taker, const struct view_member *source,
                            const struct secret *password, struct err *err)
{
    set_source(taker, source->member.id);
    silence(taker->interrupt);
    struct view_group *now CLEANUP(view_group_cleanup) =
        view_group_find(taker->agent->view, taker->snapshot.group);
    enum outcome outcome = OUTCOME_AGAIN;
    if (now == NULL || is_in_the_way(now, source->member.id) || atomic_load(&taker->stopping)) {
        (void)err_set(err, ERR_CANCELLED, "the writer is moving");
    } else {
        say(taker, "");
        log_info("database.snapshot_begun", F("snapshot", taker->snapshot.name),
                 F("member", source->member.id));
        outcome = back_up(taker, source, password, err) == 0 ? OUTCOME_TAKEN : OUTCOME_AGAIN;
    }
    set_source(taker, "");
    return outcome;
}

static enum outcome try_to_take(struct snapshot_taker *taker, struct err *err)
{
    struct secret password CLEANUP(secret_wipe);
    enum postgres_data data = POSTGRES_NO_DATA;
    password.length = 0;
    if (postgres_data(&taker->backup, &data, err) == 0 && data == POSTGRES_DATA) {
        return OUTCOME_TAKEN; /* by an agent that did not live to say so */
    }
    struct view_group *group CLEANUP(view_group_cleanup) =
        view_group_find(taker->agent->view, taker->snapshot.group);
    if (!view_complete(taker->agent->view)) {
        return wait_for(taker, "It waits for the store.");
    }
    if (group == NULL || group->group_record.revision == 0) {
        (void)err_set(err, ERR_NOT_FOUND, "the database is gone");
        return OUTCOME_FAILED;
    }
    const struct view_member *source = choose(taker, group);
    if (source == NULL) {
        return wait_for(taker, "It waits for a server that it can be taken of.");
    }
    if (hands_password(taker->agent->config.seal, group, &password, err) != 0) {
        return OUTCOME_AGAIN;
    }
    if (source->seen.condition == MODEL_DATABASE_STREAMING &&
        !has_caught_up(taker, group, source, &password)) {
        return wait_for(taker, "It waits until its server has everything that was acknowledged.");
    }
    return take_of(taker, source, &password, err);
}

/* ---- the thread ---- */

static void rest(struct snapshot_taker *taker, int64_t ms)
{
    struct pollfd waited = {.fd = taker->interrupt, .events = POLLIN};
    IGNORE_RESULT(poll(&waited, 1, (int)ms)); /* early is fine */
    silence(taker->interrupt);
}

/* Whether that is the end of it. */
static bool judge(struct snapshot_taker *taker, enum outcome *outcome, struct err *err)
{
    bool late = mono_since(mono_now(), taker->began) >= BEGIN_S * TIME_S;
    if (*outcome == OUTCOME_WAITS && late) {
        (void)err_set(err, ERR_TIMEOUT, "no server of the region could be used for half an hour");
        *outcome = OUTCOME_FAILED;
    }
    if (*outcome != OUTCOME_AGAIN) {
        return *outcome != OUTCOME_WAITS;
    }
    bool broken_off = err->kind == ERR_CANCELLED || err->kind == ERR_CONFLICT;
    taker->failures += broken_off ? 0 : 1;
    taker->began = mono_now();
    log_warn("database.snapshot_not_taken", F("snapshot", taker->snapshot.name), F("reason", err),
             F("failures", taker->failures), F("next", "begun anew, unless that is hopeless"));
    if (err->kind == ERR_LIMIT || taker->failures >= FAILURES_MOST) {
        *outcome = OUTCOME_FAILED;
    }
    return *outcome == OUTCOME_FAILED;
}

static void finish(struct snapshot_taker *taker, enum outcome outcome, const struct err *why)
{
    struct err err = ERR_INIT;
    struct postgres_backup found = {.bytes = 0};
    bool taken =
        outcome == OUTCOME_TAKEN && postgres_backup_look(&taker->backup, &found, &err) == 0;
    if (!taken && !atomic_load(&taker->stopping)) {
        err_clear(&err);
        if (postgres_remove(&taker->backup, true, &err) != 0) {
            log_warn("database.snapshot_not_removed", F("snapshot", taker->snapshot.name),
                     F("reason", &err), F("next", "removed with the snapshot"));
        }
        say(taker, why->message);
    }
    thread_lock(&taker->mutex);
    taker->seen.state = taken ? MODEL_DATABASE_SNAPSHOT_AVAILABLE : MODEL_DATABASE_SNAPSHOT_FAILED;
    taker->seen.bytes = found.bytes;
    taker->seen.end = found.end;
    taker->is_over = true;
    thread_unlock(&taker->mutex);
}

static void *run(void *argument)
{
    struct snapshot_taker *taker = argument;
    enum outcome outcome = OUTCOME_WAITS;
    struct err err = ERR_INIT;
    while (!atomic_load(&taker->stopping)) {
        err_clear(&err);
        outcome = try_to_take(taker, &err);
        if (judge(taker, &outcome, &err)) {
            break;
        }
        int64_t pause = PAUSE_MS;
        for (unsigned i = 0; i < taker->failures && pause < PAUSE_MOST_MS; i++) {
            pause *= 2;
        }
        rest(taker, pause);
    }
    finish(taker, outcome, &err);
    taker->ended(taker->context);
    return NULL;
}

/* ---- for snapshots.c ---- */

static void ring(const struct snapshot_taker *taker)
{
    const uint64_t one = 1;
    IGNORE_RESULT(write(taker->interrupt, &one, sizeof one)); /* full: it rings already */
}

void snapshot_taker_stop(struct snapshot_taker *taker)
{
    atomic_store(&taker->stopping, true);
    ring(taker);
}

void snapshot_taker_look(struct snapshot_taker *taker)
{
    char source[MODEL_DATABASE_ID];
    thread_lock(&taker->mutex);
    IGNORE_RESULT(text_copy(source, sizeof source, taker->source)); /* an id */
    thread_unlock(&taker->mutex);
    struct view_group *group CLEANUP(view_group_cleanup) =
        source[0] != '\0' ? view_group_find(taker->agent->view, taker->snapshot.group) : NULL;
    if (group != NULL && is_in_the_way(group, source)) {
        ring(taker);
    }
}

const char *snapshot_taker_id(const struct snapshot_taker *taker)
{
    return taker->snapshot.id;
}

void snapshot_taker_progress(struct snapshot_taker *taker, struct snapshot_progress *ret_progress)
{
    int64_t total = MAX(atomic_load(&taker->total), 1);
    int64_t bytes = MIN(atomic_load(&taker->bytes), total);
    thread_lock(&taker->mutex);
    *ret_progress = (struct snapshot_progress){
        .ended = taker->is_over, .stopped = atomic_load(&taker->stopping), .seen = taker->seen};
    IGNORE_RESULT(text_copy(ret_progress->message, sizeof ret_progress->message, taker->message));
    thread_unlock(&taker->mutex);
    ret_progress->seen.message = ret_progress->message;
    if (!ret_progress->ended) {
        ret_progress->seen.percent = bytes / 1024 * 99 / (total / 1024 + 1);
        ret_progress->seen.bytes = bytes;
    } else if (ret_progress->seen.state == MODEL_DATABASE_SNAPSHOT_AVAILABLE) {
        ret_progress->seen.percent = 100;
    }
}

static void free_taker(struct snapshot_taker *taker)
{
    if (taker->interrupt >= 0) {
        (void)close(taker->interrupt); /* nothing is lost */
    }
    (void)pthread_mutex_destroy(&taker->mutex); /* nobody has it */
    arena_done(&taker->arena);
    free(taker);
}

int snapshot_taker_start(struct database_agent *agent,
                         const struct model_database_snapshot *snapshot,
                         void (*ended)(void *context), void *context,
                         struct snapshot_taker **ret_taker, struct err *err)
{
    struct snapshot_taker *taker = memory_new(sizeof *taker);
    struct arena *arena = &taker->arena;
    taker->agent = agent;
    taker->ended = ended;
    taker->context = context;
    taker->began = mono_now();
    taker->asked = taker->began;
    arena_init(arena, 0);
    (void)pthread_mutex_init(&taker->mutex, NULL); /* cannot fail for a plain one */
    taker->snapshot = (struct model_database_snapshot){
        .id = arena_strdup(arena, snapshot->id),
        .name = arena_strdup(arena, text_empty(snapshot->name) ? snapshot->id : snapshot->name),
        .group = arena_strdup(arena, snapshot->group),
        .region = arena_strdup(arena, snapshot->region),
        .member = arena_strdup(arena, snapshot->member)};
    taker->backup = (struct postgres){.directory = snapshots_folder(agent, arena, snapshot->id),
                                      .binaries = agent->binaries,
                                      .name = taker->snapshot.id,
                                      .address = ""};
    taker->interrupt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = taker->interrupt < 0 ? err_set_errno(err, errno, "taking a snapshot") : 0;
    rc = rc != 0 ? rc : thread_start(&taker->thread, "db-snapshot", run, taker, err);
    if (rc != 0) {
        free_taker(taker);
        return rc;
    }
    *ret_taker = taker;
    return 0;
}

void snapshot_taker_join(struct snapshot_taker *take_taker)
{
    thread_join(take_taker->thread);
    free_taker(take_taker);
}
