/* Combining: of calls that want to change the same things, one is at work, and those that come
 * meanwhile wait. When it is done, the first of them works for as many others as it may take along:
 * one transaction for all, instead of one each. Who comes alone does not wait for company.
 *
 * Calls work in the order in which they came, and are given to the one that works for them in it. A
 * call is taken along when the first wants to change all that it wants to, and nobody who stays
 * behind came before it and wants some of that; so none is passed over for ever.
 *
 * This is a courtesy, not a lock: what must not happen twice is prevented by compares in the store,
 * which calls at other sites meet as well. It saves calls at one site from judging by what another
 * one is about to change, from losing to it time and again, and from a round trip each.
 *
 * Bounds: each waiting call is an API thread, of which there are few, and waits for its turn as
 * long as there is patience; then it goes on without it. One that was taken along waits for as long
 * as the work for all takes. Thread: any. Memory: a call is its caller's. */
#ifndef SERVICE_COMMON_COMBINE_H
#define SERVICE_COMMON_COMBINE_H

#include "base/macro.h"

#include <stddef.h>
#include <stdint.h>

struct combiner;

enum combine_state { COMBINE_WAITS, COMBINE_LEADS, COMBINE_TAKEN, COMBINE_DONE };

struct combine_call {
    const char *const *names; /* of what is to be changed */
    size_t count;
    size_t weight; /* of those that work is done for together; see combiner_new */
    void *work;    /* the caller's */
    /* Set by combine: */
    int64_t waited_ns;         /* until the work began; 0 when it was at once */
    struct combine_call *with; /* the next that this work is done for; NULL: the last */
    /* The combiner's: */
    int64_t since_ns;
    struct combine_call *next;
    enum combine_state state;
};

/* Does the work of `first` and of those `with` it, on the thread of the first; the others' threads
 * wait, and find what it left in their work. */
typedef void (*combine_work)(struct combine_call *first);

/* weight: of all calls that one takes along, together with its own, at most. */
struct combiner *combiner_new(int64_t patience_ns, size_t weight) MUST_CHECK;
/* Nobody is in it. NULL is fine. */
void combiner_free(struct combiner *take_combiner);
/* Returns when the call's work was done, here or by another one. combiner NULL: done alone, at
 * once. The members before waited_ns of *call are the caller's to fill. */
void combine(struct combiner *combiner, struct combine_call *call, combine_work work);
/* Those at work and those who wait for their turn. */
size_t combiner_count(struct combiner *combiner);

#endif
