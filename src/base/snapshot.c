/* Snapshots on liburcu's QSBR flavour: see snapshot.h. Retired objects wait in call_rcu's queue,
 * which a thread of liburcu's empties. The thread sanitizer does not see liburcu's grace periods,
 * so the happens-before edges they give are spelled out to it here, and nowhere else. */
#include "base/snapshot.h"

#include "base/memory.h"

#include <stdlib.h>

#include <urcu-qsbr.h>

#ifdef __SANITIZE_THREAD__
#define SNAPSHOT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SNAPSHOT_TSAN 1
#endif
#endif

#ifdef SNAPSHOT_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
static char grace;

/* What liburcu allocates in one of its threads and frees in another is its own affair: the
 * sanitizer, which sees the malloc and the free but not the atomics between them, is told to look
 * away there. Memory of ours is still watched, in dispose functions too. */
EXPORTED const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:liburcu-qsbr\n";
}

#define READERS_DONE() __tsan_release(&grace)
#define GRACE_OVER() __tsan_acquire(&grace)
#else
#define READERS_DONE() ((void)0)
#define GRACE_OVER() ((void)0)
#endif

struct retired {
    struct rcu_head head;
    void (*dispose)(void *object);
    void *object;
};

void snapshot_thread_begin(void)
{
    rcu_register_thread();
}

void snapshot_thread_end(void)
{
    READERS_DONE();
    rcu_unregister_thread();
}

void snapshot_quiescent(void)
{
    READERS_DONE();
    rcu_quiescent_state();
}

void snapshot_offline(void)
{
    READERS_DONE();
    rcu_thread_offline();
}

void snapshot_online(void)
{
    rcu_thread_online();
}

static void dispose_retired(struct rcu_head *head)
{
    GRACE_OVER();
    struct retired *retired = CONTAINER_OF(head, struct retired, head);
    retired->dispose(retired->object);
    READERS_DONE(); /* hands what dispose wrote to whoever drains */
    free(retired);
}

void snapshot_retire(void *take_object, void (*dispose)(void *object))
{
    struct retired *retired = memory_new(sizeof *retired);
    retired->dispose = dispose;
    retired->object = take_object;
    READERS_DONE(); /* hands what the retirer wrote to the thread that disposes */
    call_rcu(&retired->head, dispose_retired);
}

void snapshot_drain(void)
{
    rcu_barrier();
    GRACE_OVER();
}
