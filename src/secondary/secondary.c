/* When each zone is pulled, and by whom: see secondary.h. A list of zones under one mutex; the
 * threads take the one that is due longest, without the mutex while they work on it.
 *
 * Invariant: a zone that somebody works on (`busy`) stays in the list until it is given back, even
 * when it is configured away meanwhile (`gone`). */
#include "secondary/secondary.h"

#include "base/address.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "base/thread.h"
#include "dns/wire/name.h"
#include "dns/wire/rdata.h"
#include "model/path.h"
#include "model/zone.h"
#include "secondary/pull.h"
#include "secondary/write.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Bounds of what a SOA may ask for, seconds. */
#define REFRESH_LEAST 1
#define REFRESH_MOST 86400
#define RETRY_LEAST 1
#define RETRY_MOST 3600
#define EXPIRE_LEAST 60
/* Before the first transfer: twice as long after each failure. */
#define FIRST_RETRY 5
#define FIRST_RETRY_MOST 300
#define FIRST_DOUBLINGS 6U
/* NOTIFYs and overtaken writes: a zone is looked at once a second at most. */
#define GAP_NS TIME_S
/* That a zone is current is stored when this part of its expire time has passed since. */
#define CHECKED_PART 8

struct zone {
    struct zone *next;
    char *zone_id;
    uint8_t apex[NAME_WIRE_LIMIT]; /* from the first look at the zone on; empty before */
    size_t apex_length;
    struct model_transfer_target *primaries;
    size_t primary_count;
    int64_t due_ns;   /* monotonic */
    int64_t begun_ns; /* the last look, monotonic */
    bool busy;
    bool gone;
    bool again; /* a NOTIFY or a key came while it was busy */
    bool kept;  /* while zones are configured */
    unsigned failures;
    /* What is shown; all from the job that was done last. */
    bool held;
    uint32_t serial;
    int64_t expire_s; /* 0: not known */
    struct wall checked;
    struct wall changed;
    char error[256];
};

struct secondary {
    struct secondary_config config;
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    atomic_bool stop;
    struct zone *zones;
    struct tsig_keys *keys;
    pthread_t *threads;
    unsigned started;
};

/* ---- the list; with the mutex held ---- */

static void free_zone(struct zone *zone)
{
    free(zone->zone_id);
    free(zone->primaries);
    free(zone);
}

static void drop_gone(struct secondary *secondary)
{
    struct zone **link = &secondary->zones;
    while (*link != NULL) {
        struct zone *zone = *link;
        if (zone->gone && !zone->busy) {
            *link = zone->next;
            free_zone(zone);
        } else {
            link = &zone->next;
        }
    }
}

static bool same_primaries(const struct zone *zone, const struct secondary_zone *wanted)
{
    bool same = zone->primary_count == wanted->primary_count;
    for (size_t i = 0; same && i < wanted->primary_count; i++) {
        const struct model_transfer_target *a = &zone->primaries[i];
        const struct model_transfer_target *b = &wanted->primaries[i];
        same = memcmp(&a->address, &b->address, sizeof a->address) == 0 &&
               a->has_key == b->has_key && (!a->has_key || name_equal(a->key, b->key));
    }
    return same;
}

static void add_zone(struct secondary *secondary, const struct secondary_zone *wanted)
{
    struct zone *zone = memory_new(sizeof *zone);
    zone->zone_id = memory_strdup(wanted->zone_id);
    zone->primary_count = wanted->primary_count;
    zone->primaries = memory_array(wanted->primary_count, sizeof *zone->primaries);
    (void)memcpy(zone->primaries, wanted->primaries,
                 wanted->primary_count * sizeof *zone->primaries);
    zone->due_ns = mono_now().ns;
    zone->next = secondary->zones;
    secondary->zones = zone;
}

/* The one that is due longest, or the next to be due; NULL when all are busy. */
static struct zone *next_zone(const struct secondary *secondary)
{
    struct zone *first = NULL;
    for (struct zone *zone = secondary->zones; zone != NULL; zone = zone->next) {
        if (!zone->busy && !zone->gone && (first == NULL || zone->due_ns < first->due_ns)) {
            first = zone;
        }
    }
    return first;
}

/* ---- one pull, without the mutex ---- */

/* Of the stored SOA, in seconds and within bounds; 0: not known. */
struct timers {
    int64_t refresh_s;
    int64_t retry_s;
    int64_t expire_s;
};

/* What a pull works with: the zone itself may be looked at only with the mutex held. */
struct job {
    struct secondary *secondary;
    struct arena arena;
    struct err err;
    const char *zone_id;
    const char *name;
    const struct model_transfer_target *primaries;
    size_t primary_count;
    struct tsig_keys *keys;
    struct write_base base; /* what was stored, then what is */
    bool looked;            /* base is known */
    struct wall checked;    /* when a primary answered; 0: none did */
    struct timers timers;   /* at the end */
};

static int64_t within(int64_t value, int64_t least, int64_t most)
{
    return MIN(MAX(value, least), most);
}

/* False when there is none. */
static bool read_timers(struct job *job, struct timers *ret_timers)
{
    struct store_entry entry;
    struct model_record_set record;
    struct err ignored = ERR_INIT;
    uint8_t rdata[2 * NAME_WIRE_LIMIT + 20];
    if (store_get(job->secondary->config.store,
                  path_record(&job->arena, job->zone_id, job->name, "SOA", ""), &job->arena, &entry,
                  &ignored) != 0 ||
        model_record_set_decode(entry.value, entry.size, job->zone_id, &job->arena, &record,
                                &ignored) != 0 ||
        record.value_count != 1) {
        return false;
    }
    int length = rdata_from_text(RR_SOA, record.values[0], rdata, sizeof rdata, &ignored);
    if (length < 20) {
        return false;
    }
    const uint8_t *numbers = rdata + length - 20; /* serial, refresh, retry, expire, minimum */
    struct bytes_reader in = bytes_reader(numbers, 20);
    (void)bytes_get_u32(&in);
    ret_timers->refresh_s = within(bytes_get_u32(&in), REFRESH_LEAST, REFRESH_MOST);
    ret_timers->retry_s = within(bytes_get_u32(&in), RETRY_LEAST, RETRY_MOST);
    ret_timers->expire_s = within(bytes_get_u32(&in), EXPIRE_LEAST, UINT32_MAX);
    return true;
}

/* The primary has nothing newer: stored now and then, so that a restart knows when the records were
 * confirmed. */
static int note_current(struct job *job)
{
    struct timers timers;
    struct wall now = wall_now();
    int64_t since = (now.ns - job->base.checked.ns) / TIME_S;
    if (!read_timers(job, &timers) || (since >= 0 && since < timers.expire_s / CHECKED_PART)) {
        return 0;
    }
    return write_checked(job->secondary->config.store, job->zone_id, now, &job->base, &job->arena,
                         &job->err);
}

static int apply(struct job *job, struct incoming *incoming)
{
    struct incoming_result result;
    size_t changes = 0;
    incoming_result(incoming, &result);
    if (result.kind == INCOMING_CURRENT) {
        return note_current(job);
    }
    struct wall now = wall_now();
    int rc = write_zone(job->secondary->config.store, job->zone_id, now, &job->base, &result,
                        &job->arena, &changes, &job->err);
    if (rc == 0) {
        job->base.has_serial = true;
        job->base.serial = result.serial;
        job->base.transferred = now;
        log_info("secondary.transferred", F("zone", job->zone_id), F("name", job->name),
                 F("serial", result.serial),
                 F("kind", result.kind == INCOMING_STEPS ? "ixfr" : "axfr"),
                 F("record_sets_changed", changes), F("left_out", result.zone.left_count));
    }
    return rc;
}

/* IXFR where there is something to start from, AXFR otherwise or when IXFR is not known there. */
static int pull_from(struct job *job, const struct model_transfer_target *primary)
{
    struct secondary *secondary = job->secondary;
    int rc = write_begin(secondary->config.store, job->zone_id, &job->arena, &job->base, &job->err);
    if (rc != 0) {
        return rc;
    }
    job->looked = true;
    struct pull pull = {.primary = &primary->address,
                        .zone = job->name,
                        .serial = job->base.has_serial ? &job->base.serial : NULL,
                        .incremental = job->base.has_serial,
                        .timeout_ms = secondary->config.timeout_ms,
                        .stop = &secondary->stop};
    if (primary->has_key) {
        pull.key = tsig_keys_find(job->keys, primary->key);
        if (pull.key == NULL) {
            char name[NAME_TEXT_LIMIT];
            name_to_text(primary->key, false, name);
            return err_set(&job->err, ERR_NOT_FOUND, "there is no TSIG key %s", name);
        }
    }
    struct incoming *incoming = NULL;
    rc = pull_zone(&pull, &job->arena, &incoming, &job->err);
    if (rc != 0 && job->err.kind == ERR_UNSUPPORTED && pull.incremental) {
        err_clear(&job->err);
        pull.incremental = false;
        rc = pull_zone(&pull, &job->arena, &incoming, &job->err);
    }
    if (rc == 0) {
        job->checked = wall_now();
        rc = apply(job, incoming);
    }
    incoming_free(incoming);
    return rc;
}

static int load_name(struct job *job)
{
    struct store_entry entry;
    struct model_zone zone;
    int rc =
        store_get(job->secondary->config.store, path_join(&job->arena, PATH_ZONES, job->zone_id),
                  &job->arena, &entry, &job->err);
    if (rc == -ENOENT) {
        return err_set(&job->err, ERR_NOT_FOUND, "there is no hosted zone %s", job->zone_id);
    }
    rc = rc != 0 ? rc : model_zone_decode(entry.value, entry.size, &job->arena, &zone, &job->err);
    if (rc == 0) {
        job->name = zone.name;
    }
    return rc;
}

static int pull_from_any(struct job *job)
{
    int rc = load_name(job);
    if (rc != 0) {
        return rc;
    }
    rc = -EHOSTUNREACH;
    for (size_t i = 0; rc != 0 && i < job->primary_count; i++) {
        if (atomic_load(&job->secondary->stop) || job->err.kind == ERR_CONFLICT) {
            break;
        }
        err_clear(&job->err);
        rc = pull_from(job, &job->primaries[i]);
        if (rc != 0) {
            char address[ADDRESS_TEXT];
            address_text((const struct sockaddr *)&job->primaries[i].address, address);
            rc = err_wrap(&job->err, "primary %s", address);
        }
    }
    return rc;
}

/* Until the zone's next turn, with some spread so that zones do not march in step. */
static int64_t pause_ns(const struct job *job, int rc, unsigned failures)
{
    int64_t first = (int64_t)FIRST_RETRY << MIN(failures, FIRST_DOUBLINGS);
    int64_t pause = MIN(first, (int64_t)FIRST_RETRY_MOST) * TIME_S;
    uint32_t noise = 0;
    random_bytes(&noise, sizeof noise);
    if (job->err.kind == ERR_CONFLICT) {
        pause = GAP_NS; /* somebody else wrote the zone: from there */
    } else if (job->base.has_serial && job->timers.refresh_s != 0) {
        int64_t refresh_s = job->timers.refresh_s;
        pause = (rc == 0 ? refresh_s : MIN(refresh_s, job->timers.retry_s)) * TIME_S;
    }
    return pause - pause / 10 * (int64_t)(noise % 1000) / 1000;
}

/* ---- the threads ---- */

static struct job begin_job(struct secondary *secondary, struct zone *zone)
{
    struct job job = {.secondary = secondary, .err = ERR_INIT};
    arena_init(&job.arena, 0);
    job.zone_id = arena_strdup(&job.arena, zone->zone_id);
    job.name = "";
    job.primaries =
        arena_memdup(&job.arena, zone->primaries, zone->primary_count * sizeof *zone->primaries);
    job.primary_count = zone->primary_count;
    job.keys = tsig_keys_ref(secondary->keys);
    zone->busy = true;
    zone->again = false;
    zone->begun_ns = mono_now().ns;
    return job;
}

static void show(struct zone *zone, const struct job *job, int rc)
{
    if (job->looked) {
        zone->held = job->base.has_serial;
        zone->serial = job->base.serial;
        zone->changed = job->base.transferred;
        zone->checked.ns = MAX(zone->checked.ns, MAX(job->checked.ns, job->base.checked.ns));
        zone->expire_s = zone->held ? job->timers.expire_s : 0;
    }
    if (rc == 0) {
        zone->error[0] = '\0';
    } else if (job->err.kind != ERR_CONFLICT) {
        /* Both buffers have one size. */
        IGNORE_RESULT(text_copy(zone->error, sizeof zone->error, job->err.message));
    }
}

/* With the mutex held. */
static void end_job(struct secondary *secondary, struct zone *zone, const struct job *job, int rc,
                    int64_t pause)
{
    int length = job->name[0] != '\0' ? name_from_text(job->name, true, zone->apex) : 0;
    zone->apex_length = length > 0 ? (size_t)length : 0;
    zone->busy = false;
    zone->failures = rc == 0 ? 0 : zone->failures + 1;
    zone->due_ns = zone->again ? zone->begun_ns + GAP_NS : mono_now().ns + pause;
    show(zone, job, rc);
    drop_gone(secondary);
}

static void wait_until(struct secondary *secondary, const struct zone *zone)
{
    if (zone == NULL) {
        (void)pthread_cond_wait(&secondary->wanted, &secondary->mutex); /* cannot fail: held */
        return;
    }
    /* Over or woken: looked at anew either way. */
    (void)thread_wait_until(&secondary->wanted, &secondary->mutex, (struct mono){zone->due_ns});
}

static void work_on(struct secondary *secondary, struct zone *zone)
{
    static struct log_limit limit;
    struct job job = begin_job(secondary, zone);
    unsigned failures = zone->failures;
    thread_unlock(&secondary->mutex);
    int rc = pull_from_any(&job);
    if (!job.looked || !job.base.has_serial || !read_timers(&job, &job.timers)) {
        job.timers = (struct timers){.refresh_s = 0};
    }
    int64_t pause = pause_ns(&job, rc, failures);
    bool news = rc != 0 && job.err.kind != ERR_CONFLICT && !atomic_load(&secondary->stop);
    if (news && log_limit_allows(&limit, 2)) {
        log_warn("secondary.not_transferred", F("zone", job.zone_id), F("name", job.name),
                 F("error", &job.err), F("retry_s", pause / TIME_S),
                 F("next", "the zone is served as it was meanwhile"));
    }
    thread_lock(&secondary->mutex);
    end_job(secondary, zone, &job, rc, pause);
    tsig_keys_unref(job.keys);
    arena_done(&job.arena);
}

static void *run_thread(void *argument)
{
    struct secondary *secondary = argument;
    thread_lock(&secondary->mutex);
    while (!atomic_load(&secondary->stop)) {
        struct zone *zone = next_zone(secondary);
        if (zone != NULL && zone->due_ns <= mono_now().ns) {
            work_on(secondary, zone);
        } else {
            wait_until(secondary, zone);
        }
    }
    thread_unlock(&secondary->mutex);
    return NULL;
}

/* ---- life and questions ---- */

int secondary_start(const struct secondary_config *config, struct secondary **ret_secondary,
                    struct err *err)
{
    struct secondary *secondary = memory_new(sizeof *secondary);
    secondary->config = *config;
    secondary->threads = memory_array(config->threads, sizeof *secondary->threads);
    thread_sync_init(&secondary->mutex, &secondary->wanted);
    while (secondary->started < config->threads) {
        int rc = thread_start(&secondary->threads[secondary->started], "secondary", run_thread,
                              secondary, err);
        if (rc != 0) {
            secondary_stop(secondary);
            return rc;
        }
        secondary->started++;
    }
    *ret_secondary = secondary;
    return 0;
}

void secondary_stop(struct secondary *take_secondary)
{
    struct secondary *secondary = take_secondary;
    if (secondary == NULL) {
        return;
    }
    thread_lock(&secondary->mutex);
    atomic_store(&secondary->stop, true);
    (void)pthread_cond_broadcast(&secondary->wanted);
    thread_unlock(&secondary->mutex);
    for (unsigned i = 0; i < secondary->started; i++) {
        thread_join(secondary->threads[i]);
    }
    while (secondary->zones != NULL) {
        struct zone *zone = secondary->zones;
        secondary->zones = zone->next;
        free_zone(zone);
    }
    tsig_keys_unref(secondary->keys);
    thread_sync_done(&secondary->mutex, &secondary->wanted);
    free(secondary->threads);
    free(secondary);
}

static int compare_zones(const void *a, const void *b)
{
    const struct zone *left = *(struct zone *const *)a;
    const struct zone *right = *(struct zone *const *)b;
    return strcmp(left->zone_id, right->zone_id);
}

static int compare_id(const void *id, const void *zone)
{
    return strcmp(id, (*(struct zone *const *)zone)->zone_id);
}

/* Those that are not gone, by id; the caller's to free. */
static struct zone **sort_zones(const struct secondary *secondary, size_t *ret_count)
{
    size_t count = 0;
    for (const struct zone *zone = secondary->zones; zone != NULL; zone = zone->next) {
        count += zone->gone ? 0U : 1U;
    }
    struct zone **zones = memory_array(MAX(count, 1U), sizeof(struct zone *));
    size_t at = 0;
    for (struct zone *zone = secondary->zones; zone != NULL; zone = zone->next) {
        if (!zone->gone) {
            zone->kept = false;
            zones[at++] = zone;
        }
    }
    qsort(zones, count, sizeof(struct zone *), compare_zones);
    *ret_count = count;
    return zones;
}

static void replace_zones(struct secondary *secondary, const struct secondary_zone *zones,
                          size_t count, bool new_keys)
{
    size_t known_count = 0;
    struct zone **known = sort_zones(secondary, &known_count);
    for (size_t i = 0; i < count; i++) {
        struct zone **found =
            bsearch(zones[i].zone_id, known, known_count, sizeof(struct zone *), compare_id);
        if (found != NULL && same_primaries(*found, &zones[i])) {
            (*found)->kept = true;
        } else if (zones[i].primary_count != 0) {
            add_zone(secondary, &zones[i]);
        }
    }
    for (size_t i = 0; i < known_count; i++) {
        known[i]->gone = !known[i]->kept;
        if (new_keys && known[i]->error[0] != '\0') {
            known[i]->again = known[i]->busy; /* the key it misses may have come */
            known[i]->due_ns = mono_now().ns;
        }
    }
    free(known);
    drop_gone(secondary);
}

void secondary_configure(struct secondary *secondary, const struct secondary_zone *zones,
                         size_t count, struct tsig_keys *keys)
{
    thread_lock(&secondary->mutex);
    struct tsig_keys *old = secondary->keys;
    secondary->keys = tsig_keys_ref(keys);
    replace_zones(secondary, zones, count, old != keys);
    (void)pthread_cond_broadcast(&secondary->wanted);
    thread_unlock(&secondary->mutex);
    tsig_keys_unref(old);
}

static bool same_address(const struct sockaddr_storage *primary, const struct sockaddr *source)
{
    struct sockaddr_in v4[2];
    struct sockaddr_in6 v6[2];
    if (primary->ss_family == AF_INET && source->sa_family == AF_INET) {
        (void)memcpy(&v4[0], primary, sizeof v4[0]);
        (void)memcpy(&v4[1], source, sizeof v4[1]);
        return v4[0].sin_addr.s_addr == v4[1].sin_addr.s_addr;
    }
    if (source->sa_family != AF_INET6) {
        return false;
    }
    (void)memcpy(&v6[1], source, sizeof v6[1]);
    if (primary->ss_family == AF_INET) {
        (void)memcpy(&v4[0], primary, sizeof v4[0]);
        return IN6_IS_ADDR_V4MAPPED(&v6[1].sin6_addr) &&
               memcmp(v6[1].sin6_addr.s6_addr + 12, &v4[0].sin_addr, 4) == 0;
    }
    (void)memcpy(&v6[0], primary, sizeof v6[0]);
    return memcmp(&v6[0].sin6_addr, &v6[1].sin6_addr, sizeof v6[0].sin6_addr) == 0;
}

bool secondary_notify(struct secondary *secondary, const uint8_t *apex,
                      const struct sockaddr *source)
{
    bool known = false;
    int64_t now_ns = mono_now().ns;
    thread_lock(&secondary->mutex);
    for (struct zone *zone = secondary->zones; zone != NULL; zone = zone->next) {
        if (zone->gone || zone->apex_length == 0 || !name_equal(zone->apex, apex)) {
            continue; /* one that nobody has looked at yet is due as it is */
        }
        for (size_t i = 0; i < zone->primary_count; i++) {
            if (same_address(&zone->primaries[i].address, source)) {
                known = true;
                zone->again = zone->busy;
                zone->due_ns = MIN(zone->due_ns, MAX(now_ns, zone->begun_ns + GAP_NS));
            }
        }
    }
    if (known) {
        (void)pthread_cond_signal(&secondary->wanted);
    }
    thread_unlock(&secondary->mutex);
    return known;
}

static struct secondary_view view_of(const struct zone *zone, struct arena *arena)
{
    char name[NAME_TEXT_LIMIT] = "";
    struct wall now = wall_now();
    int64_t wait_ns = zone->busy ? 0 : zone->due_ns - mono_now().ns;
    if (zone->apex_length != 0) {
        name_to_text(zone->apex, true, name);
    }
    return (struct secondary_view){.zone_id = arena_strdup(arena, zone->zone_id),
                                   .name = arena_strdup(arena, name),
                                   .held = zone->held,
                                   .expired = zone->expire_s != 0 && zone->checked.ns != 0 &&
                                              (now.ns - zone->checked.ns) / TIME_S > zone->expire_s,
                                   .serial = zone->serial,
                                   .checked = zone->checked,
                                   .changed = zone->changed,
                                   .next = {.ns = now.ns + MAX(wait_ns, (int64_t)0)},
                                   .error = arena_strdup(arena, zone->error)};
}

void secondary_list(struct secondary *secondary, size_t limit, struct arena *arena,
                    struct secondary_view **ret_views, size_t *ret_count)
{
    thread_lock(&secondary->mutex);
    size_t total = 0;
    struct zone **zones = sort_zones(secondary, &total);
    size_t count = MIN(total, limit);
    struct secondary_view *views = arena_array(arena, MAX(count, 1U), sizeof *views);
    for (size_t i = 0; i < count; i++) {
        views[i] = view_of(zones[i], arena);
    }
    thread_unlock(&secondary->mutex);
    free(zones);
    *ret_views = views;
    *ret_count = count;
}
