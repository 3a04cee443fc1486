/* Threads: see thread.h. No state of its own. Invariant: no thread but the main one ever gets a
 * signal. */
#include "base/thread.h"

#include "base/memory.h"
#include "base/text.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define NAME 16 /* the kernel's limit, NUL included */

struct beginning {
    void *(*run)(void *argument);
    void *argument;
    char name[NAME];
};

/* The thread names itself: for another it would take a file of /proc. */
static void *begin(void *take_beginning)
{
    struct beginning beginning = *(struct beginning *)take_beginning;
    free(take_beginning);
    (void)pthread_setname_np(pthread_self(), beginning.name); /* nothing depends on it */
    return beginning.run(beginning.argument);
}

int thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *argument),
                 void *argument, struct err *err)
{
    struct beginning *beginning = memory_new(sizeof *beginning);
    sigset_t all;
    sigset_t before;
    beginning->run = run;
    beginning->argument = argument;
    IGNORE_RESULT(text_copy(beginning->name, sizeof beginning->name, name)); /* else without */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited */
    int rc = pthread_create(ret_thread, NULL, begin, beginning);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        free(beginning);
        return err_set_errno(err, rc, "cannot start the thread %s", name);
    }
    return 0;
}

void thread_join(pthread_t thread)
{
    (void)pthread_join(thread, NULL);
}

void thread_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

bool thread_wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, struct mono deadline)
{
    struct timespec when = {.tv_sec = deadline.ns / TIME_S, .tv_nsec = deadline.ns % TIME_S};
    return pthread_cond_timedwait(condition, mutex, &when) == 0;
}

void thread_sync_init(pthread_mutex_t *mutex, pthread_cond_t *condition)
{
    (void)pthread_mutex_init(mutex, NULL);
    thread_condition_init(condition);
}

void thread_sync_done(pthread_mutex_t *mutex, pthread_cond_t *condition)
{
    (void)pthread_cond_destroy(condition);
    (void)pthread_mutex_destroy(mutex);
}
