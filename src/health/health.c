/* The health room's life and its messages: starts the loop thread, the watcher and the
 * verdict writer, and carries what they say to the loop. See health.h.
 *
 * Threads: the loop thread owns the check table and the probes; everybody else puts messages into
 * the inbox and wakes the loop. Ownership: a message owns its record and id until the loop takes
 * them. Invariant: the loop never waits for the store, the watcher or a caller. */
#include "health/health.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "health/check_table.h"
#include "health/control_watch.h"
#include "health/counters.h"
#include "health/settings.h"
#include "health/verdict_store.h"
#include "health/watch.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <uv.h>

#define LAG_PERIOD_MS 10
#define LOOP_NICE (-10)

enum message_kind {
    MESSAGE_CONTROLS,
    MESSAGE_CHANGED,
    MESSAGE_REMOVED,
    MESSAGE_RESET_LATCH,
    MESSAGE_SITES,
    MESSAGE_STOP
};

struct site_names {
    size_t count;
    char names[MODEL_SITES_LIMIT][MODEL_SITE_NAME];
};

/* The newest table of a site, until the loop takes it. */
struct heard {
    char site[MODEL_SITE_NAME];
    struct model_ballots *ballots; /* NULL: none */
};

struct message {
    struct message *next;
    enum message_kind kind;
    struct check_record *record;   /* MESSAGE_CHANGED */
    char *check_id;                /* MESSAGE_REMOVED, MESSAGE_RESET_LATCH */
    struct control_list *controls; /* MESSAGE_CONTROLS */
    struct site_names *sites;      /* MESSAGE_SITES */
};

struct health {
    struct health_config config;
    struct counters counters;
    struct watch *watch;
    struct control_watch *control_watch;
    struct verdict_writer *verdicts;
    struct arena stored_arena;
    struct verdict_list stored; /* kept from before the start, until the first list is applied */

    uv_loop_t loop;
    struct probe_engine *engine;
    struct check_table *table;
    pthread_t thread;
    sem_t first_published;

    uv_async_t wake;
    pthread_mutex_t inbox_mutex;
    struct message *inbox_head;
    struct message *inbox_tail;
    struct heard heard[MODEL_SITES_LIMIT];

    uv_timer_t lag_timer;
    struct mono lag_due;
    _Atomic int64_t lag_ns; /* worst since it was asked for */
};

/* ---- the inbox ---- */

static void post(struct health *health, struct message message)
{
    struct message *copy = memory_dup(&message, sizeof message);
    copy->next = NULL;
    thread_lock(&health->inbox_mutex);
    if (health->inbox_tail != NULL) {
        health->inbox_tail->next = copy;
    } else {
        health->inbox_head = copy;
    }
    health->inbox_tail = copy;
    thread_unlock(&health->inbox_mutex);
    (void)uv_async_send(&health->wake); /* fails only on a handle of another kind */
}

static void on_changed(void *context, struct check_record *take_record)
{
    post(context, (struct message){.kind = MESSAGE_CHANGED, .record = take_record});
}

static void on_removed(void *context, const char *check_id)
{
    post(context, (struct message){.kind = MESSAGE_REMOVED, .check_id = memory_strdup(check_id)});
}

static void on_controls(void *context, struct control_list *take_list)
{
    post(context, (struct message){.kind = MESSAGE_CONTROLS, .controls = take_list});
}

static struct message *take_inbox(struct health *health)
{
    thread_lock(&health->inbox_mutex);
    struct message *list = health->inbox_head;
    health->inbox_head = NULL;
    health->inbox_tail = NULL;
    thread_unlock(&health->inbox_mutex);
    return list;
}

static void stop_loop(struct health *health);

static void set_sites(struct check_table *table, const struct site_names *sites)
{
    const char *names[MODEL_SITES_LIMIT];
    for (size_t i = 0; i < sites->count; i++) {
        names[i] = sites->names[i];
    }
    check_table_set_sites(table, names, sites->count);
}

static void handle_message(struct health *health, const struct message *message)
{
    switch (message->kind) {
    case MESSAGE_CONTROLS:
        check_table_set_controls(health->table, message->controls);
        break;
    case MESSAGE_CHANGED:
        check_table_put(health->table, message->record,
                        verdict_find(&health->stored, message->record->check.id));
        break;
    case MESSAGE_REMOVED:
        check_table_remove(health->table, message->check_id);
        break;
    case MESSAGE_RESET_LATCH:
        check_table_reset_latch(health->table, message->check_id);
        break;
    case MESSAGE_SITES:
        set_sites(health->table, message->sites);
        break;
    case MESSAGE_STOP:
        stop_loop(health);
        break;
    }
}

static void take_message(struct health *health, struct message *take_message)
{
    if (health->table != NULL) {
        handle_message(health, take_message);
    } else {
        check_record_free(take_message->record); /* it was stopped */
    }
    free(take_message->check_id);
    free(take_message->controls);
    free(take_message->sites);
    free(take_message);
}

static void take_messages(struct health *health, struct message *take_list)
{
    struct message *message = take_list;
    while (message != NULL) {
        struct message *next = message->next;
        take_message(health, message);
        message = next;
    }
}

static void take_heard(struct health *health)
{
    struct heard heard[MODEL_SITES_LIMIT];
    thread_lock(&health->inbox_mutex);
    (void)memcpy(heard, health->heard, sizeof heard);
    for (size_t i = 0; i < MODEL_SITES_LIMIT; i++) {
        health->heard[i].ballots = NULL;
    }
    thread_unlock(&health->inbox_mutex);
    for (size_t i = 0; i < MODEL_SITES_LIMIT; i++) {
        if (heard[i].ballots != NULL && health->table != NULL) {
            check_table_hear(health->table, heard[i].site, heard[i].ballots);
        }
        free(heard[i].ballots);
    }
}

static void handle_inbox(struct health *health)
{
    take_messages(health, take_inbox(health));
    take_heard(health);
}

static void on_wake(uv_async_t *wake)
{
    handle_inbox(wake->data);
}

/* ---- the loop thread ---- */

static void on_lag_timer(uv_timer_t *timer)
{
    struct health *health = timer->data;
    struct mono now = mono_now();
    int64_t lag = mono_since(now, health->lag_due);
    int64_t worst = atomic_load_explicit(&health->lag_ns, memory_order_relaxed);
    while (lag > worst &&
           !atomic_compare_exchange_weak_explicit(&health->lag_ns, &worst, lag,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
    health->lag_due = (struct mono){now.ns + LAG_PERIOD_MS * TIME_MS};
    uv_update_time(&health->loop);
    (void)uv_timer_start(timer, on_lag_timer, LAG_PERIOD_MS, 0); /* has a callback */
}

/* The loop ends once all of these are closed. */
static void stop_loop(struct health *health)
{
    /* Runners before the engine: they cancel their probes. */
    check_table_close(health->table);
    health->table = NULL;
    probe_engine_close(health->engine);
    health->engine = NULL;
    uv_close((uv_handle_t *)&health->wake, NULL);
    uv_close((uv_handle_t *)&health->lag_timer, NULL);
}

/* Calculated checks come after what they are calculated from, so that each begins with the verdict
 * that it had. A record of a check that is gone is deleted. */
static void apply_first_list(struct health *health)
{
    struct message *calculated = NULL;
    struct message *message = take_inbox(health);
    while (message != NULL) {
        struct message *next = message->next;
        if (message->kind == MESSAGE_CHANGED &&
            message->record->check.type == MODEL_CHECK_CALCULATED) {
            message->next = calculated;
            calculated = message;
        } else {
            take_message(health, message);
        }
        message = next;
    }
    take_messages(health, calculated);
    for (size_t i = 0; i < health->stored.count; i++) {
        const char *id = health->stored.entries[i].check_id;
        if (!check_table_knows(health->table, id)) {
            verdict_write(health->verdicts, id, NULL);
        }
    }
    health->stored = (struct verdict_list){.entries = NULL};
    arena_done(&health->stored_arena);
}

/* Where the host is short of processor time, probes and verdicts come before what can wait. Needs
 * CAP_SYS_NICE or RLIMIT_NICE (LimitNICE= of systemd); without either all threads are alike. */
static void ask_for_priority(void)
{
    id_t self = (id_t)gettid();
    errno = 0;
    int present = getpriority(PRIO_PROCESS, self);
    if (errno == 0 && present > LOOP_NICE && setpriority(PRIO_PROCESS, self, LOOP_NICE) != 0) {
        log_debug("health.ordinary_priority", F("reason", strerrorname_np(errno)));
    }
}

static void *run_loop(void *argument)
{
    struct health *health = argument;
    ask_for_priority();
    if (health->config.site_count != 0) {
        check_table_set_sites(health->table, health->config.sites, health->config.site_count);
    }
    apply_first_list(health);
    check_table_publish(health->table);
    (void)sem_post(&health->first_published); /* far from its limit */
    health->lag_due = mono_now();
    on_lag_timer(&health->lag_timer);
    (void)uv_run(&health->loop, UV_RUN_DEFAULT); /* 0: every handle is closed */
    return NULL;
}

/* ---- life ---- */

static void free_health(struct health *health)
{
    handle_inbox(health); /* what nobody took */
    arena_done(&health->stored_arena);
    (void)pthread_mutex_destroy(&health->inbox_mutex); /* nobody is left */
    (void)sem_destroy(&health->first_published);       /* nobody is left */
    free(health);
}

/* The loop and what lives on it, before the thread has it. */
static int open_loop(struct health *health, const struct probe_settings *probes, struct err *err)
{
    const struct health_config *config = &health->config;
    int rc = uv_loop_init(&health->loop);
    if (rc != 0) {
        return err_set_errno(err, -rc, "cannot make the health loop");
    }
    rc = uv_async_init(&health->loop, &health->wake, on_wake);
    if (rc != 0) {
        (void)uv_loop_close(&health->loop); /* nothing is open */
        return err_set_errno(err, -rc, "cannot make the health loop's wake-up handle");
    }
    health->wake.data = health;
    (void)uv_timer_init(&health->loop, &health->lag_timer); /* always 0 */
    health->lag_timer.data = health;
    rc = probe_engine_new(&health->loop, probes, &health->engine, err);
    if (rc != 0) {
        stop_loop(health);
        (void)uv_run(&health->loop, UV_RUN_DEFAULT); /* closes the handles */
        (void)uv_loop_close(&health->loop);          /* nothing is open any more */
        return rc;
    }
    struct hash_key plain = {.k0 = 0, .k1 = 0};
    struct check_table_config table = {
        .loop = &health->loop,
        .engine = health->engine,
        .counters = &health->counters,
        .spread = {.k0 = hash_bytes(&plain, config->node, strlen(config->node)), .k1 = 0},
        .region = config->region,
        .verdicts = health->verdicts,
        .published = config->published,
        .cast = config->cast,
        .context = config->context,
        .site = config->site != NULL ? config->site : "",
    };
    health->table = check_table_new(&table);
    return 0;
}

static void close_loop(struct health *health)
{
    (void)uv_run(&health->loop, UV_RUN_DEFAULT); /* closes the handles, on this thread */
    (void)uv_loop_close(&health->loop);          /* nothing is open any more */
}

/* Steps in order; each undoes what came before when it fails. */
static int start_threads(struct health *health, const struct probe_settings *probes,
                         struct err *err)
{
    struct watch_config watch = {
        .store = health->config.store,
        .counters = &health->counters,
        .changed = on_changed,
        .removed = on_removed,
        .context = health,
    };
    struct control_watch_config controls = {
        .store = health->config.store,
        .counters = &health->counters,
        .changed = on_controls,
        .context = health,
    };
    int rc = verdict_writer_start(health->config.local, health->config.node, &health->counters,
                                  &health->verdicts, err);
    if (rc != 0) {
        return rc;
    }
    rc = open_loop(health, probes, err);
    if (rc != 0) {
        verdict_writer_stop(health->verdicts);
        return rc;
    }
    /* The controls first: the checks that follow them begin with their states. */
    rc = control_watch_new(&controls, &health->control_watch, err);
    if (rc == 0) {
        rc = watch_new(&watch, &health->watch, err);
    }
    if (rc == 0) {
        rc = thread_start(&health->thread, "health", run_loop, health, err);
    }
    if (rc != 0) {
        watch_free(health->watch);
        control_watch_free(health->control_watch);
        stop_loop(health);
        close_loop(health);
        verdict_writer_stop(health->verdicts);
        return rc;
    }
    while (sem_wait(&health->first_published) != 0) {
        /* interrupted by a signal */
    }
    return 0;
}

int health_start_with(const struct health_config *config, const struct probe_settings *probes,
                      struct health **ret_health, struct err *err)
{
    struct health *health = memory_new(sizeof *health);
    health->config = *config;
    arena_init(&health->stored_arena, 0);
    (void)pthread_mutex_init(&health->inbox_mutex, NULL); /* cannot fail on Linux */
    (void)sem_init(&health->first_published, 0, 0);       /* cannot fail with these */
    int rc = verdict_load(config->local, config->node, &health->stored_arena, &health->stored, err);
    if (rc == 0) {
        rc = start_threads(health, probes, err);
    }
    if (rc != 0) {
        free_health(health);
        return err_wrap(err, "starting health checks");
    }
    rc = watch_start(health->watch, err);
    rc = rc == 0 ? control_watch_start(health->control_watch, err) : rc;
    if (rc != 0) {
        health_stop(health);
        return err_wrap(err, "starting health checks");
    }
    *ret_health = health;
    return 0;
}

int health_start(const struct health_config *config, struct health **ret_health, struct err *err)
{
    struct probe_settings probes = {.limits = probe_route53_limits};
    return health_start_with(config, &probes, ret_health, err);
}

void health_stop(struct health *take_health)
{
    if (take_health == NULL) {
        return;
    }
    watch_free(take_health->watch);
    control_watch_free(take_health->control_watch);
    post(take_health, (struct message){.kind = MESSAGE_STOP});
    thread_join(take_health->thread);
    (void)uv_loop_close(&take_health->loop); /* nothing is open any more */
    verdict_writer_stop(take_health->verdicts);
    free_health(take_health);
}

/* ---- questions ---- */

int health_describe(struct health *health, const char *check_id, struct arena *arena,
                    struct health_view *ret_view, struct err *err)
{
    return check_table_describe(health->table, check_id, arena, ret_view, err);
}

int health_reset_latch(struct health *health, const char *check_id, struct err *err)
{
    if (!check_table_knows(health->table, check_id)) {
        return err_set(err, ERR_NOT_FOUND, "no health check with id %s", check_id);
    }
    post(health,
         (struct message){.kind = MESSAGE_RESET_LATCH, .check_id = memory_strdup(check_id)});
    return 0;
}

void health_set_sites(struct health *health, const char *const *sites, size_t count)
{
    struct site_names *copy = memory_new(sizeof *copy);
    for (size_t i = 0; i < count && copy->count < MODEL_SITES_LIMIT; i++) {
        if (text_copy(copy->names[copy->count], MODEL_SITE_NAME, sites[i]) == 0) {
            copy->count++;
        }
    }
    post(health, (struct message){.kind = MESSAGE_SITES, .sites = copy});
}

void health_hear(struct health *health, const char *site, struct model_ballots *take_ballots)
{
    struct model_ballots *old = take_ballots; /* dropped where there is no place */
    thread_lock(&health->inbox_mutex);
    struct heard *place = NULL;
    for (size_t i = 0; i < MODEL_SITES_LIMIT; i++) {
        struct heard *heard = &health->heard[i];
        if (text_equal(heard->site, site)) {
            place = heard;
            break;
        }
        if (heard->ballots == NULL) {
            place = heard;
        }
    }
    if (place != NULL && text_copy(place->site, sizeof place->site, site) == 0) {
        old = place->ballots;
        place->ballots = take_ballots;
    }
    thread_unlock(&health->inbox_mutex);
    free(old);
    (void)uv_async_send(&health->wake); /* as in post */
}

void health_votes(struct health *health, struct health_votes *ret_votes)
{
    check_table_votes(health->table, ret_votes);
}

void health_count(struct health *health, struct health_counters *ret_counters)
{
#define X(name, help)                                                                              \
    ret_counters->name = atomic_load_explicit(&health->counters.name, memory_order_relaxed);
    HEALTH_COUNTERS(X)
#undef X
}

int64_t health_loop_lag_us(struct health *health)
{
    return atomic_exchange_explicit(&health->lag_ns, 0, memory_order_relaxed) / TIME_US;
}
