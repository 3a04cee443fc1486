/* The verdict writer: see verdict_store.h. Jobs are queued under the mutex; the thread takes them
 * all, keeps the newest of each check, and writes them in bounded transactions. Puts and deletes
 * are idempotent, so a transaction of unknown outcome is simply repeated. After a round it pauses,
 * so that checks that flap do not keep the store busy; the first change after a quiet time is
 * written at once. */
#include "health/verdict_store.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "model/path.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define PAGE 1000U
#define BATCH 500U
#define PAUSE_MS 50
#define RETRY_FIRST_MS 50
#define RETRY_LAST_MS 2000
/* A queue this long is thinned out to one job a check; then when it has doubled. */
#define THIN_FROM 1024U

struct verdict_job {
    char *check_id;
    bool present; /* false: the record is deleted */
    struct verdict verdict;
    uint64_t sequence;
};

struct job_list {
    struct verdict_job *jobs;
    size_t count;
    size_t capacity;
};

struct verdict_writer {
    struct store *store;
    char *node;
    struct counters *counters;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    bool stopping;
    uint64_t sequence;
    struct job_list queue; /* guarded by mutex */
    size_t thin_at;        /* length of the queue */
    struct job_list own;   /* the thread's: sorted, one per check */
};

/* ---- keys and values ---- */

static char *verdict_prefix(struct arena *arena, const char *node)
{
    return arena_printf(arena, "%s/verdict/", path_join(arena, PATH_NODES, node));
}

static const char *encode(struct arena *arena, const struct verdict *verdict)
{
    char vote_since[TIME_TEXT];
    char since[TIME_TEXT];
    wall_format_ms(verdict->vote_since, vote_since);
    wall_format_ms(verdict->since, since);
    return arena_printf(
        arena,
        "{\"v\":1,\"Vote\":%s,\"VoteSince\":\"%s\",\"Verdict\":%s,\"Healthy\":%s,"
        "\"Since\":\"%s\",\"Latched\":%s}",
        verdict->kept.vote ? "true" : "false", vote_since, verdict->kept.verdict ? "true" : "false",
        verdict->kept.healthy ? "true" : "false", since, verdict->kept.latched ? "true" : "false");
}

static bool decode(const void *value, size_t size, struct verdict *ret_verdict)
{
    struct verdict verdict = {.since = {0}};
    const char *vote_since = NULL;
    const char *since = NULL;
    int version = 0;
    int vote = 0;
    int healthy = 0;
    int latched = 0;
    int all = -1; /* records of version 0.1 have none: there was one site */
    json_t *root = json_loadb(value, size, 0, NULL);
    bool readable = root != NULL &&
                    json_unpack(root, "{s:i, s:b, s:s, s:b, s:s, s:b, s?b}", "v", &version, "Vote",
                                &vote, "VoteSince", &vote_since, "Healthy", &healthy, "Since",
                                &since, "Latched", &latched, "Verdict", &all) == 0 &&
                    version == 1 && wall_parse(vote_since, &verdict.vote_since) == 0 &&
                    wall_parse(since, &verdict.since) == 0;
    json_decref(root);
    verdict.kept = (struct count_kept){.vote = vote != 0,
                                       .verdict = all < 0 ? vote != 0 : all != 0,
                                       .healthy = healthy != 0,
                                       .latched = latched != 0};
    if (readable) {
        *ret_verdict = verdict;
    }
    return readable;
}

static void take_page(struct verdict_list *list, size_t limit, const struct store_list *page,
                      const char *prefix, struct arena *arena)
{
    for (size_t i = 0; i < page->count && list->count < limit; i++) {
        const struct store_entry *stored = &page->entries[i];
        const char *id = path_tail(arena, stored->key, prefix);
        if (id != NULL) {
            struct verdict_entry *entry = &list->entries[list->count++];
            *entry = (struct verdict_entry){.check_id = id};
            entry->readable = decode(stored->value, stored->size, &entry->verdict);
        }
    }
}

static void log_unreadable(const struct verdict_list *list)
{
    const char *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (!list->entries[i].readable) {
            first = first == NULL ? list->entries[i].check_id : first;
            count++;
        }
    }
    if (count > 0) {
        log_warn("health.verdict_unreadable", F("check", first), F("records", count),
                 F("next", "these checks begin as new ones"));
    }
}

int verdict_load(struct store *store, const char *node, struct arena *arena,
                 struct verdict_list *ret_list, struct err *err)
{
    const char *prefix = verdict_prefix(arena, node);
    struct verdict_list list = {.entries = NULL};
    size_t count = 0;
    int rc = store_count(store, prefix, &count, err);
    if (rc != 0) {
        return rc;
    }
    list.entries = arena_array(arena, count + 1, sizeof *list.entries);
    const char *after = NULL;
    bool more = count > 0;
    while (more && list.count < count) {
        struct store_list page;
        rc = store_range(store, prefix, after, PAGE, arena, &page, err);
        if (rc != 0) {
            return rc;
        }
        take_page(&list, count, &page, prefix, arena);
        more = page.more && page.count > 0;
        after = page.count > 0 ? page.entries[page.count - 1].key : after;
    }
    log_unreadable(&list);
    *ret_list = list; /* keys come in order, and check ids are never escaped */
    return 0;
}

static int compare_entry(const void *key, const void *element)
{
    const struct verdict_entry *entry = element;
    return strcmp(key, entry->check_id);
}

const struct verdict_entry *verdict_find(const struct verdict_list *list, const char *check_id)
{
    if (list->count == 0) {
        return NULL;
    }
    return bsearch(check_id, list->entries, list->count, sizeof *list->entries, compare_entry);
}

/* ---- jobs ---- */

static void job_push(struct job_list *list, struct verdict_job job)
{
    if (list->count == list->capacity) {
        list->capacity = MAX(list->capacity * 2, (size_t)16);
        list->jobs = memory_resize(list->jobs, list->capacity, sizeof *list->jobs);
    }
    list->jobs[list->count++] = job;
}

static void job_list_done(struct job_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->jobs[i].check_id);
    }
    free(list->jobs);
    *list = (struct job_list){.jobs = NULL};
}

/* By check, the newest first. */
static int compare_job(const void *left, const void *right)
{
    const struct verdict_job *a = left;
    const struct verdict_job *b = right;
    int order = strcmp(a->check_id, b->check_id);
    if (order != 0) {
        return order;
    }
    return a->sequence > b->sequence ? -1 : 1;
}

static void keep_newest(struct job_list *list)
{
    if (list->count == 0) {
        return;
    }
    qsort(list->jobs, list->count, sizeof *list->jobs, compare_job);
    size_t kept = 1;
    for (size_t i = 1; i < list->count; i++) {
        if (text_equal(list->jobs[i].check_id, list->jobs[kept - 1].check_id)) {
            free(list->jobs[i].check_id);
        } else {
            list->jobs[kept++] = list->jobs[i];
        }
    }
    list->count = kept;
}

static int write_batch(struct verdict_writer *writer, size_t count, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    const char *prefix = verdict_prefix(&arena, writer->node);
    for (size_t i = 0; i < count; i++) {
        const struct verdict_job *job = &writer->own.jobs[i];
        const char *key = path_join(&arena, prefix, job->check_id);
        if (job->present) {
            const char *value = encode(&arena, &job->verdict);
            store_txn_put(txn, key, value, strlen(value));
        } else {
            store_txn_delete(txn, key);
        }
    }
    int64_t revision = 0;
    return store_commit(writer->store, txn, &revision, err);
}

/* Writes what the thread holds; on an error the rest stays. */
static int write_own(struct verdict_writer *writer, struct err *err)
{
    while (writer->own.count > 0) {
        size_t count = MIN(writer->own.count, BATCH);
        int rc = write_batch(writer, count, err);
        if (rc != 0) {
            return rc;
        }
        for (size_t i = 0; i < count; i++) {
            free(writer->own.jobs[i].check_id);
        }
        writer->own.count -= count;
        (void)memmove(writer->own.jobs, writer->own.jobs + count,
                      writer->own.count * sizeof *writer->own.jobs);
    }
    return 0;
}

/* ---- the thread ---- */

/* With the mutex held: waits for the time given, then for jobs; after a failure (own is not empty)
 * the time alone. */
static void wait_for_jobs(struct verdict_writer *writer, int64_t pause_ms)
{
    struct mono until = mono_from_now(pause_ms * TIME_MS);
    while (!writer->stopping && pause_ms > 0 &&
           thread_wait_until(&writer->wanted, &writer->mutex, until)) {
        /* woken for nothing */
    }
    while (!writer->stopping && writer->queue.count == 0 && writer->own.count == 0) {
        (void)pthread_cond_wait(&writer->wanted, &writer->mutex); /* cannot fail: held */
    }
}

static void take_queue(struct verdict_writer *writer)
{
    for (size_t i = 0; i < writer->queue.count; i++) {
        job_push(&writer->own, writer->queue.jobs[i]);
    }
    writer->queue.count = 0;
    writer->thin_at = THIN_FROM;
}

static void *run_writer(void *argument)
{
    struct verdict_writer *writer = argument;
    static struct log_limit limit;
    int64_t retry_ms = 0;
    int64_t pause_ms = 0;
    thread_lock(&writer->mutex);
    for (;;) {
        wait_for_jobs(writer, pause_ms);
        take_queue(writer);
        bool last = writer->stopping;
        thread_unlock(&writer->mutex);
        struct err err = ERR_INIT;
        keep_newest(&writer->own);
        int rc = write_own(writer, &err);
        if (rc == 0) {
            retry_ms = 0;
            pause_ms = PAUSE_MS;
        } else {
            retry_ms = retry_ms == 0 ? RETRY_FIRST_MS : MIN(retry_ms * 2, RETRY_LAST_MS);
            pause_ms = retry_ms;
            COUNTERS_ADD(writer->counters, store_errors);
            if (log_limit_allows(&limit, 1)) {
                log_warn("health.verdict_not_stored", F("error", &err),
                         F("checks", writer->own.count),
                         F("next", last ? "given up: the daemon stops" : "tries again"));
            }
        }
        if (last) {
            return NULL;
        }
        thread_lock(&writer->mutex);
    }
}

int verdict_writer_start(struct store *store, const char *node, struct counters *counters,
                         struct verdict_writer **ret_writer, struct err *err)
{
    struct verdict_writer *writer = memory_new(sizeof *writer);
    writer->store = store;
    writer->node = memory_strdup(node);
    writer->counters = counters;
    writer->thin_at = THIN_FROM;
    thread_sync_init(&writer->mutex, &writer->wanted);
    int rc = thread_start(&writer->thread, "health-verdict", run_writer, writer, err);
    if (rc != 0) {
        thread_sync_done(&writer->mutex, &writer->wanted);
        free(writer->node);
        free(writer);
        return rc;
    }
    *ret_writer = writer;
    return 0;
}

void verdict_write(struct verdict_writer *writer, const char *check_id,
                   const struct verdict *verdict)
{
    struct verdict_job job = {.check_id = memory_strdup(check_id), .present = verdict != NULL};
    if (verdict != NULL) {
        job.verdict = *verdict;
    }
    thread_lock(&writer->mutex);
    job.sequence = ++writer->sequence;
    job_push(&writer->queue, job);
    if (writer->queue.count >= writer->thin_at) {
        keep_newest(&writer->queue);
        writer->thin_at = MAX(writer->queue.count * 2, (size_t)THIN_FROM);
    }
    (void)pthread_cond_signal(&writer->wanted); /* cannot fail on Linux */
    thread_unlock(&writer->mutex);
}

void verdict_writer_stop(struct verdict_writer *take_writer)
{
    if (take_writer == NULL) {
        return;
    }
    thread_lock(&take_writer->mutex);
    take_writer->stopping = true;
    (void)pthread_cond_signal(&take_writer->wanted); /* cannot fail on Linux */
    thread_unlock(&take_writer->mutex);
    thread_join(take_writer->thread);
    job_list_done(&take_writer->queue);
    job_list_done(&take_writer->own);
    thread_sync_done(&take_writer->mutex, &take_writer->wanted);
    free(take_writer->node);
    free(take_writer);
}
