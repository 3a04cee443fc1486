/* Turns: see turns.h. Called on API threads. The mutex guards the list, which has all turns from
 * enter to leave, the first that came in front. Invariant: a turn without patience lost is at work
 * only while none before it in the list has a name of its own. */
#include "service/common/turns.h"

#include "base/memory.h"
#include "base/text.h"
#include "base/time.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

struct turns {
    int64_t patience_ns;
    pthread_mutex_t mutex;
    pthread_cond_t left; /* somebody did */
    struct turn *first;
};

struct turns *turns_new(int64_t patience_ns)
{
    struct turns *turns = memory_new(sizeof *turns);
    turns->patience_ns = patience_ns;
    pthread_condattr_t monotonic;
    /* None of these can fail on Linux. */
    (void)pthread_mutex_init(&turns->mutex, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&turns->left, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    return turns;
}

void turns_free(struct turns *take_turns)
{
    if (take_turns != NULL) {
        (void)pthread_cond_destroy(&take_turns->left); /* nobody waits */
        (void)pthread_mutex_destroy(&take_turns->mutex);
        free(take_turns);
    }
}

static bool share_a_name(const struct turn *a, const struct turn *b)
{
    for (size_t i = 0; i < a->count; i++) {
        for (size_t j = 0; j < b->count; j++) {
            if (text_equal(a->names[i], b->names[j])) {
                return true;
            }
        }
    }
    return false;
}

static bool is_due(const struct turns *turns, const struct turn *turn)
{
    for (const struct turn *before = turns->first; before != turn; before = before->next) {
        if (share_a_name(before, turn)) {
            return false;
        }
    }
    return true;
}

int64_t turns_enter(struct turns *turns, struct turn *turn, const char *const *names, size_t count)
{
    *turn = (struct turn){.names = names, .count = count};
    if (turns == NULL) {
        return 0;
    }
    struct mono since = mono_now();
    int64_t end = since.ns + turns->patience_ns;
    const struct timespec until = {.tv_sec = end / TIME_S, .tv_nsec = end % TIME_S};
    (void)pthread_mutex_lock(&turns->mutex); /* fails on misuse only */
    struct turn **last = &turns->first;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = turn;
    bool waited = false;
    int rc = 0;
    while (rc != ETIMEDOUT && !is_due(turns, turn)) {
        waited = true;
        rc = pthread_cond_timedwait(&turns->left, &turns->mutex, &until);
    }
    (void)pthread_mutex_unlock(&turns->mutex);
    return waited ? mono_since(mono_now(), since) : 0;
}

void turns_leave(struct turns *turns, struct turn *turn)
{
    if (turns == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&turns->mutex); /* fails on misuse only */
    struct turn **link = &turns->first;
    while (*link != turn) {
        link = &(*link)->next;
    }
    *link = turn->next;
    (void)pthread_cond_broadcast(&turns->left);
    (void)pthread_mutex_unlock(&turns->mutex);
}

size_t turns_count(struct turns *turns)
{
    size_t count = 0;
    (void)pthread_mutex_lock(&turns->mutex); /* fails on misuse only */
    for (const struct turn *turn = turns->first; turn != NULL; turn = turn->next) {
        count++;
    }
    (void)pthread_mutex_unlock(&turns->mutex);
    return count;
}
