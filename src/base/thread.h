/* Threads: how they begin, locking, and waiting on the monotonic clock, which no change of the date
 * touches. The calls of pthreads behind these cannot fail as they are used here (plain mutexes,
 * valid attributes), but for a thread's start. Thread: any. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"

#include <pthread.h>
#include <stdbool.h>

/* Starts a thread with a name (at most 15 characters, for who looks at threads) and all signals
 * blocked: they are the main thread's, and a write to a closed connection is an error to handle. */
int thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *argument),
                 void *argument, struct err *err) MUST_CHECK;
/* Waits for its end. Once for each that was started. */
void thread_join(pthread_t thread);

static inline void thread_lock(pthread_mutex_t *mutex)
{
    (void)pthread_mutex_lock(mutex);
}

static inline void thread_unlock(pthread_mutex_t *mutex)
{
    (void)pthread_mutex_unlock(mutex);
}

/* A condition for thread_wait_until. */
void thread_condition_init(pthread_cond_t *condition);
/* Waits, with the mutex held, until somebody signals or the deadline is over (false). As with
 * pthread_cond_wait, it may return for nothing: ask again what was waited for. */
bool thread_wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, struct mono deadline);

/* A mutex with such a condition. */
void thread_sync_init(pthread_mutex_t *mutex, pthread_cond_t *condition);
void thread_sync_done(pthread_mutex_t *mutex, pthread_cond_t *condition);

#endif
