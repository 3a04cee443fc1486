/* The threads that write transfers: see transfer.h. Workers put jobs in a queue of bounded length;
 * each thread takes the oldest job whose source does not have its share running already.
 *
 * The threads read the zone set, so they are snapshot readers, online for the look-up of a zone
 * alone. Invariant: every loan that was taken is given back exactly once. */
#include "base/memory.h"
#include "base/snapshot.h"
#include "base/thread.h"
#include "dns/transfer/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- sources ---- */

static void source_of(const struct sockaddr_storage *address, uint8_t source[TRANSFER_SOURCE_SIZE])
{
    (void)memset(source, 0, TRANSFER_SOURCE_SIZE);
    source[0] = (uint8_t)address->ss_family;
    if (address->ss_family == AF_INET) {
        struct sockaddr_in v4;
        (void)memcpy(&v4, address, sizeof v4);
        (void)memcpy(source + 1, &v4.sin_addr, sizeof v4.sin_addr);
    } else {
        struct sockaddr_in6 v6;
        (void)memcpy(&v6, address, sizeof v6);
        bool mapped = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
        (void)memcpy(source + 1, &v6.sin6_addr, mapped ? 16 : 8);
    }
}

static bool same_source(const struct transfer_job *a, const struct transfer_job *b)
{
    return memcmp(a->source, b->source, sizeof a->source) == 0;
}

/* Transfers of one source that may run at once: others find a thread, too. */
static unsigned share(const struct transfer *transfer)
{
    return MAX(1U, transfer->threads / 2);
}

static unsigned running_of(const struct transfer *transfer, const struct transfer_job *job)
{
    unsigned count = 0;
    for (unsigned i = 0; i < transfer->threads; i++) {
        count += transfer->running[i] != NULL && same_source(transfer->running[i], job) ? 1U : 0U;
    }
    return count;
}

/* ---- the queue; the mutex is held ---- */

static struct transfer_job *next_job(struct transfer *transfer)
{
    for (struct transfer_job **link = &transfer->waiting; *link != NULL; link = &(*link)->next) {
        struct transfer_job *job = *link;
        if (running_of(transfer, job) < share(transfer)) {
            *link = job->next;
            if (*link == NULL) {
                transfer->waiting_last = link;
            }
            transfer->waiting_count--;
            return job;
        }
    }
    return NULL;
}

static bool has_room(const struct transfer *transfer, const struct transfer_job *job)
{
    size_t limit = (size_t)transfer->threads * TRANSFER_QUEUE_A_THREAD;
    if (transfer->stopping || transfer->waiting_count >= limit) {
        return false;
    }
    size_t waiting = 0;
    for (const struct transfer_job *other = transfer->waiting; other != NULL; other = other->next) {
        waiting += same_source(other, job) ? 1U : 0U;
    }
    return waiting < MAX(limit / 2, (size_t)1);
}

bool transfer_submit(struct transfer *transfer, struct transfer_loan *loan, const uint8_t *query,
                     size_t length)
{
    struct transfer_job *job = memory_new(sizeof *job + length);
    job->loan = loan;
    job->length = length;
    (void)memcpy(job->query, query, length);
    source_of(&loan->source, job->source);
    (void)pthread_mutex_lock(&transfer->mutex);
    bool taken = has_room(transfer, job);
    if (taken) {
        *transfer->waiting_last = job;
        transfer->waiting_last = &job->next;
        transfer->waiting_count++;
        (void)pthread_cond_signal(&transfer->wake);
    }
    (void)pthread_mutex_unlock(&transfer->mutex);
    if (!taken) {
        transfer_count(&transfer->counters.busy, 1);
        free(job);
    }
    return taken;
}

/* ---- the threads ---- */

static void run_job(struct transfer *transfer, unsigned slot, struct transfer_job *take_job)
{
    transfer->running[slot] = take_job;
    (void)pthread_mutex_unlock(&transfer->mutex);
    bool keep = stream_run(transfer, take_job);
    (void)pthread_mutex_lock(&transfer->mutex);
    transfer->running[slot] = NULL; /* before the loan ends: the descriptor may be closed then */
    keep = keep && !transfer->stopping;
    (void)pthread_cond_broadcast(&transfer->wake); /* its source has room again */
    (void)pthread_mutex_unlock(&transfer->mutex);
    take_job->loan->done(take_job->loan, keep);
    free(take_job);
    (void)pthread_mutex_lock(&transfer->mutex);
}

static void *pool_main(void *argument)
{
    struct transfer *transfer = argument;
    snapshot_thread_begin();
    snapshot_offline();
    (void)pthread_mutex_lock(&transfer->mutex);
    unsigned slot = transfer->started++;
    while (!transfer->stopping) {
        struct transfer_job *job = next_job(transfer);
        if (job != NULL) {
            run_job(transfer, slot, job);
        } else {
            (void)pthread_cond_wait(&transfer->wake, &transfer->mutex);
        }
    }
    (void)pthread_mutex_unlock(&transfer->mutex);
    snapshot_thread_end();
    return NULL;
}

/* *ret_count: how many there are, on failure too. */
static int start_threads(struct transfer *transfer, unsigned *ret_count, struct err *err)
{
    int rc = 0;
    *ret_count = 0;
    while (rc == 0 && *ret_count < transfer->threads) {
        rc = thread_start(&transfer->pool[*ret_count], "transfer", pool_main, transfer, err);
        *ret_count += rc == 0 ? 1U : 0U;
    }
    return rc;
}

int transfer_start(const struct transfer_config *config, struct transfer **ret_transfer,
                   struct err *err)
{
    assert(config->threads >= 1 && config->threads <= TRANSFER_THREADS_LIMIT);
    struct transfer *transfer = memory_new(sizeof *transfer);
    (void)pthread_mutex_init(&transfer->mutex, NULL); /* these cannot fail on Linux */
    (void)pthread_cond_init(&transfer->wake, NULL);
    transfer->zones = config->zones;
    transfer->timeout_ms = config->timeout_ms;
    transfer->threads = config->threads;
    transfer->waiting_last = &transfer->waiting;
    transfer->running = memory_array(config->threads, sizeof(struct transfer_job *));
    transfer->pool = memory_array(config->threads, sizeof transfer->pool[0]);
    int rc = notifier_start(transfer, config, &transfer->notifier, err);
    unsigned count = 0;
    rc = rc != 0 ? rc : start_threads(transfer, &count, err);
    if (rc != 0) {
        transfer->threads = count;
        transfer_stop(transfer);
        transfer_free(transfer);
        return rc;
    }
    *ret_transfer = transfer;
    return 0;
}

void transfer_stop(struct transfer *transfer)
{
    if (transfer == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&transfer->mutex);
    bool again = transfer->stopping;
    transfer->stopping = true;
    for (unsigned i = 0; i < transfer->threads; i++) {
        if (transfer->running[i] != NULL) {
            /* Wakes the thread that waits for it; a connection that is gone already is fine. */
            (void)shutdown(transfer->running[i]->loan->fd, SHUT_RDWR);
        }
    }
    struct transfer_job *waiting = transfer->waiting;
    transfer->waiting = NULL;
    transfer->waiting_last = &transfer->waiting;
    transfer->waiting_count = 0;
    (void)pthread_cond_broadcast(&transfer->wake);
    (void)pthread_mutex_unlock(&transfer->mutex);
    while (waiting != NULL) {
        struct transfer_job *job = waiting;
        waiting = job->next;
        job->loan->done(job->loan, false);
        free(job);
    }
    for (unsigned i = 0; !again && i < transfer->threads; i++) {
        thread_join(transfer->pool[i]);
    }
    notifier_stop(transfer->notifier);
}

void transfer_free(struct transfer *take_transfer)
{
    if (take_transfer == NULL) {
        return;
    }
    settings_unref(take_transfer->settings);
    notifier_free(take_transfer->notifier);
    (void)pthread_cond_destroy(&take_transfer->wake);
    (void)pthread_mutex_destroy(&take_transfer->mutex);
    free(take_transfer->running);
    free(take_transfer->pool);
    free(take_transfer);
}
