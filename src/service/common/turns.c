/* Turns: see turns.h. Called on API threads. The mutex guards the list, which has all turns from
 * enter to leave, the first that came in front. Invariant: a turn without patience lost is at work
 * only while none before it in the list has a name of its own. */
#include "service/common/turns.h"

#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"

#include <stdbool.h>
#include <stdlib.h>

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
    thread_sync_init(&turns->mutex, &turns->left);
    return turns;
}

void turns_free(struct turns *take_turns)
{
    if (take_turns != NULL) {
        thread_sync_done(&take_turns->mutex, &take_turns->left);
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
    const struct mono until = {.ns = since.ns + turns->patience_ns};
    thread_lock(&turns->mutex);
    struct turn **last = &turns->first;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = turn;
    bool waited = false;
    bool late = false;
    while (!late && !is_due(turns, turn)) {
        waited = true;
        late = !thread_wait_until(&turns->left, &turns->mutex, until);
    }
    thread_unlock(&turns->mutex);
    return waited ? mono_since(mono_now(), since) : 0;
}

void turns_leave(struct turns *turns, struct turn *turn)
{
    if (turns == NULL) {
        return;
    }
    thread_lock(&turns->mutex);
    struct turn **link = &turns->first;
    while (*link != turn) {
        link = &(*link)->next;
    }
    *link = turn->next;
    (void)pthread_cond_broadcast(&turns->left);
    thread_unlock(&turns->mutex);
}

size_t turns_count(struct turns *turns)
{
    size_t count = 0;
    thread_lock(&turns->mutex);
    for (const struct turn *turn = turns->first; turn != NULL; turn = turn->next) {
        count++;
    }
    thread_unlock(&turns->mutex);
    return count;
}
