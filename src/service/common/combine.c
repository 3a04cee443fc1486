/* Combining: see combine.h. Called on API threads. The mutex guards the list, which has all calls
 * that wait for their turn or lead, the first that came in front; one that is taken along leaves
 * the list, as its leader stands for all that it wants. Invariant: a call that leads, and had the
 * patience to, leads only while none before it in the list has a name of its own. */
#include "service/common/combine.h"

#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"

#include <stdbool.h>
#include <stdlib.h>

struct combiner {
    int64_t patience_ns;
    size_t weight;
    pthread_mutex_t mutex;
    pthread_cond_t done; /* some work is */
    struct combine_call *first;
};

struct combiner *combiner_new(int64_t patience_ns, size_t weight)
{
    struct combiner *combiner = memory_new(sizeof *combiner);
    combiner->patience_ns = patience_ns;
    combiner->weight = weight;
    thread_sync_init(&combiner->mutex, &combiner->done);
    return combiner;
}

void combiner_free(struct combiner *take_combiner)
{
    if (take_combiner != NULL) {
        thread_sync_done(&take_combiner->mutex, &take_combiner->done);
        free(take_combiner);
    }
}

static bool has_name(const struct combine_call *call, const char *name)
{
    for (size_t i = 0; i < call->count; i++) {
        if (text_equal(call->names[i], name)) {
            return true;
        }
    }
    return false;
}

static bool share_a_name(const struct combine_call *a, const struct combine_call *b)
{
    for (size_t i = 0; i < a->count; i++) {
        if (has_name(b, a->names[i])) {
            return true;
        }
    }
    return false;
}

static bool has_all_names(const struct combine_call *call, const struct combine_call *of)
{
    for (size_t i = 0; i < of->count; i++) {
        if (!has_name(call, of->names[i])) {
            return false;
        }
    }
    return true;
}

/* Whether none of the list from `from` up to the call wants what it wants. */
static bool is_first(const struct combine_call *from, const struct combine_call *call)
{
    for (const struct combine_call *before = from; before != call; before = before->next) {
        if (share_a_name(before, call)) {
            return false;
        }
    }
    return true;
}

/* Takes those along who can be, out of the list. With the mutex. */
static void lead(const struct combiner *combiner, struct combine_call *leader, struct mono now)
{
    size_t weight = leader->weight;
    struct combine_call **last = &leader->with;
    struct combine_call **link = &leader->next;
    leader->state = COMBINE_LEADS;
    leader->waited_ns = now.ns - leader->since_ns;
    while (*link != NULL) {
        struct combine_call *call = *link;
        if (call->state == COMBINE_WAITS && weight + call->weight <= combiner->weight &&
            has_all_names(leader, call) && is_first(leader->next, call)) {
            weight += call->weight;
            call->state = COMBINE_TAKEN;
            call->waited_ns = now.ns - call->since_ns;
            *link = call->next;
            *last = call;
            last = &call->with;
        } else {
            link = &call->next;
        }
    }
}

static void leave(struct combiner *combiner, struct combine_call *leader)
{
    struct combine_call **link = &combiner->first;
    thread_lock(&combiner->mutex);
    while (*link != leader) {
        link = &(*link)->next;
    }
    *link = leader->next;
    bool alone = combiner->first == NULL && leader->with == NULL;
    /* A call that is done goes with its caller's stack: what comes next is read before. */
    for (struct combine_call *call = leader; call != NULL;) {
        struct combine_call *with = call->with;
        call->state = COMBINE_DONE;
        call = with;
    }
    if (!alone) {
        (void)pthread_cond_broadcast(&combiner->done);
    }
    thread_unlock(&combiner->mutex);
}

/* Until it is to lead, or its work was done. Whether it waited at all. */
static bool wait_for_turn(struct combiner *combiner, struct combine_call *call)
{
    const struct mono until = {.ns = call->since_ns + combiner->patience_ns};
    bool waited = false;
    bool late = false;
    while (call->state == COMBINE_WAITS && !late && !is_first(combiner->first, call)) {
        waited = true;
        late = !thread_wait_until(&combiner->done, &combiner->mutex, until);
    }
    while (call->state == COMBINE_TAKEN) {
        (void)pthread_cond_wait(&combiner->done, &combiner->mutex); /* cannot fail */
    }
    return waited;
}

void combine(struct combiner *combiner, struct combine_call *call, combine_work work)
{
    struct mono since = mono_now();
    call->waited_ns = 0;
    call->with = NULL;
    call->since_ns = since.ns;
    call->next = NULL;
    call->state = COMBINE_WAITS;
    if (combiner == NULL) {
        work(call);
        return;
    }
    thread_lock(&combiner->mutex);
    struct combine_call **last = &combiner->first;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = call;
    bool waited = wait_for_turn(combiner, call);
    bool leads = call->state == COMBINE_WAITS;
    if (leads) {
        lead(combiner, call, waited ? mono_now() : since);
    }
    thread_unlock(&combiner->mutex);
    if (leads) {
        work(call);
        leave(combiner, call);
    }
}

size_t combiner_count(struct combiner *combiner)
{
    size_t count = 0;
    thread_lock(&combiner->mutex);
    for (const struct combine_call *call = combiner->first; call != NULL; call = call->next) {
        count++;
    }
    thread_unlock(&combiner->mutex);
    return count;
}
