/* Small helpers of the room's threads: locking, waiting on the monotonic clock, and what each of
 * them does first. The calls below cannot fail as used here (plain mutexes, valid attributes), so
 * their results are not looked at. */
#ifndef HEALTH_THREAD_H
#define HEALTH_THREAD_H

#include "base/macro.h"
#include "base/time.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static inline void thread_lock(pthread_mutex_t *mutex)
{
    (void)pthread_mutex_lock(mutex);
}

static inline void thread_unlock(pthread_mutex_t *mutex)
{
    (void)pthread_mutex_unlock(mutex);
}

/* The condition counts on CLOCK_MONOTONIC. */
static inline void thread_sync_init(pthread_mutex_t *mutex, pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    (void)pthread_mutex_init(mutex, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

static inline void thread_sync_done(pthread_mutex_t *mutex, pthread_cond_t *condition)
{
    (void)pthread_cond_destroy(condition);
    (void)pthread_mutex_destroy(mutex);
}

/* For pthread_cond_timedwait. */
static inline struct timespec thread_deadline(int64_t after_ms)
{
    int64_t when = mono_now().ns + after_ms * TIME_MS;
    return (struct timespec){.tv_sec = when / TIME_S, .tv_nsec = when % TIME_S};
}

/* Names the thread (at most 15 characters) and blocks all signals: they are the main thread's, and
 * a write to a closed connection is an error to handle, not SIGPIPE. */
static inline void thread_begin(const char *name)
{
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
    (void)pthread_setname_np(pthread_self(), name);
}

/* For threads that the loop's thread starts: they inherit its priority, but not its haste. The main
 * thread's is the ordinary one; giving up a priority is always allowed. */
static inline void thread_ordinary_priority(void)
{
    int ordinary = getpriority(PRIO_PROCESS, (id_t)getpid());
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), ordinary);
}

#endif
