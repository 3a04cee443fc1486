/* The latch writer: see latch.h. Jobs are queued under the mutex; the thread takes them all, keeps
 * the newest of each check, and writes them in bounded transactions. Puts and deletes are
 * idempotent, so a transaction of unknown outcome is simply repeated. */
#include "health/latch.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "health/thread.h"
#include "model/path.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define PAGE 1000U
#define BATCH 500U
#define RETRY_FIRST_MS 50
#define RETRY_LAST_MS 2000

struct latch_job {
    char *check_id;
    bool latched;
    struct wall since;
    uint64_t sequence;
};

struct job_list {
    struct latch_job *jobs;
    size_t count;
    size_t capacity;
};

struct latch_writer {
    struct store *store;
    char *node;
    struct counters *counters;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    bool stopping;
    uint64_t sequence;
    struct job_list queue; /* guarded by mutex */
    struct job_list own;   /* the thread's: sorted, one per check */
};

/* ---- keys and values ---- */

static char *latch_prefix(struct arena *arena, const char *node)
{
    return arena_printf(arena, "%s/latch/", path_join(arena, PATH_NODES, node));
}

static struct wall decode_since(const void *value, size_t size)
{
    struct wall since = wall_now(); /* for a value without a time */
    json_t *root = json_loadb(value, size, 0, NULL);
    const char *text = json_string_value(json_object_get(root, "Since"));
    if (text != NULL && wall_parse(text, &since) != 0) {
        since = wall_now();
    }
    json_decref(root);
    return since;
}

int latch_load(struct store *store, const char *node, struct arena *arena,
               struct latch_list *ret_list, struct err *err)
{
    const char *prefix = latch_prefix(arena, node);
    struct latch_list list = {.entries = NULL};
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
        for (size_t i = 0; i < page.count && list.count < count; i++) {
            const struct store_entry *entry = &page.entries[i];
            const char *id = path_tail(arena, entry->key, prefix);
            if (id != NULL) {
                list.entries[list.count++] = (struct latch_entry){
                    .check_id = id, .since = decode_since(entry->value, entry->size)};
            }
            after = entry->key;
        }
        more = page.more && page.count > 0;
    }
    *ret_list = list; /* keys come in order, and check ids are never escaped */
    return 0;
}

static int compare_entry(const void *key, const void *element)
{
    const struct latch_entry *entry = element;
    return strcmp(key, entry->check_id);
}

const struct latch_entry *latch_find(const struct latch_list *list, const char *check_id)
{
    if (list->count == 0) {
        return NULL;
    }
    return bsearch(check_id, list->entries, list->count, sizeof *list->entries, compare_entry);
}

/* ---- jobs ---- */

static void job_push(struct job_list *list, struct latch_job job)
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
    const struct latch_job *a = left;
    const struct latch_job *b = right;
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

static int write_batch(struct latch_writer *writer, size_t count, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    const char *prefix = latch_prefix(&arena, writer->node);
    for (size_t i = 0; i < count; i++) {
        const struct latch_job *job = &writer->own.jobs[i];
        const char *key = path_join(&arena, prefix, job->check_id);
        if (job->latched) {
            char since[TIME_TEXT];
            wall_format_ms(job->since, since);
            const char *value = arena_printf(&arena, "{\"v\":1,\"Since\":\"%s\"}", since);
            store_txn_put(txn, key, value, strlen(value));
        } else {
            store_txn_delete(txn, key);
        }
    }
    int64_t revision = 0;
    return store_commit(writer->store, txn, &revision, err);
}

/* Writes what the thread holds; on an error the rest stays. */
static int write_own(struct latch_writer *writer, struct err *err)
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

/* With the mutex held: waits for jobs, or for the time of the next attempt. */
static void wait_for_jobs(struct latch_writer *writer, int64_t retry_ms)
{
    if (retry_ms == 0) {
        while (!writer->stopping && writer->queue.count == 0) {
            (void)pthread_cond_wait(&writer->wanted, &writer->mutex); /* cannot fail: held */
        }
        return;
    }
    struct timespec until = thread_deadline(retry_ms);
    int rc = 0;
    while (!writer->stopping && rc == 0) {
        rc = pthread_cond_timedwait(&writer->wanted, &writer->mutex, &until);
    }
}

static void *run_writer(void *argument)
{
    struct latch_writer *writer = argument;
    static struct log_limit limit;
    int64_t retry_ms = 0;
    thread_begin("health-latch");
    thread_lock(&writer->mutex);
    for (;;) {
        wait_for_jobs(writer, retry_ms);
        for (size_t i = 0; i < writer->queue.count; i++) {
            job_push(&writer->own, writer->queue.jobs[i]);
        }
        writer->queue.count = 0;
        bool last = writer->stopping;
        thread_unlock(&writer->mutex);
        struct err err = ERR_INIT;
        keep_newest(&writer->own);
        int rc = write_own(writer, &err);
        if (rc == 0) {
            retry_ms = 0;
        } else {
            retry_ms = retry_ms == 0 ? RETRY_FIRST_MS : MIN(retry_ms * 2, RETRY_LAST_MS);
            COUNTERS_ADD(writer->counters, store_errors);
            if (log_limit_allows(&limit, 1)) {
                log_warn("health.latch_not_stored", F("error", &err),
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

int latch_writer_start(struct store *store, const char *node, struct counters *counters,
                       struct latch_writer **ret_writer, struct err *err)
{
    struct latch_writer *writer = memory_new(sizeof *writer);
    writer->store = store;
    writer->node = memory_strdup(node);
    writer->counters = counters;
    thread_sync_init(&writer->mutex, &writer->wanted);
    int rc = pthread_create(&writer->thread, NULL, run_writer, writer);
    if (rc != 0) {
        thread_sync_done(&writer->mutex, &writer->wanted);
        free(writer->node);
        free(writer);
        return err_set_errno(err, rc, "cannot start the thread that stores latches");
    }
    *ret_writer = writer;
    return 0;
}

void latch_write(struct latch_writer *writer, const char *check_id, bool latched, struct wall since)
{
    struct latch_job job = {
        .check_id = memory_strdup(check_id), .latched = latched, .since = since};
    thread_lock(&writer->mutex);
    job.sequence = ++writer->sequence;
    job_push(&writer->queue, job);
    (void)pthread_cond_signal(&writer->wanted); /* cannot fail on Linux */
    thread_unlock(&writer->mutex);
}

void latch_writer_stop(struct latch_writer *take_writer)
{
    if (take_writer == NULL) {
        return;
    }
    thread_lock(&take_writer->mutex);
    take_writer->stopping = true;
    (void)pthread_cond_signal(&take_writer->wanted); /* cannot fail on Linux */
    thread_unlock(&take_writer->mutex);
    (void)pthread_join(take_writer->thread, NULL); /* ours, joined once */
    job_list_done(&take_writer->queue);
    job_list_done(&take_writer->own);
    thread_sync_done(&take_writer->mutex, &take_writer->wanted);
    free(take_writer->node);
    free(take_writer);
}
