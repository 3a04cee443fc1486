/* The resolver threads: see lookup.h. The queue and the list of answers are guarded by the pool's
 * mutex; a lookup's `cancelled` too. The pool is counted: one reference of the loop side, one of
 * each thread, so that a thread stuck in the resolver never holds up the daemon's end. */
#include "health/probe/lookup.h"

#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* glibc's resolver wants more than the smallest stack. */
#define STACK_BYTES (256U << 10U)
/* An idle thread ends after this. */
#define IDLE_SECONDS 30

struct lookup {
    struct lookup_pool *pool;
    struct lookup *previous;
    struct lookup *next;
    lookup_done done;
    void *context;
    bool queued; /* no thread has taken it */
    bool cancelled;
    struct lookup_answer answer;
    char name[LOOKUP_NAME];
};

struct lookup_list {
    struct lookup *head;
    struct lookup *tail;
};

struct lookup_pool {
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    unsigned references;
    unsigned threads;
    unsigned idle;
    size_t waiting;
    bool closed;
    struct lookup_list queue;
    struct lookup_list answers;
    uv_async_t *async; /* NULL once closed */
};

static void lock(struct lookup_pool *pool)
{
    thread_lock(&pool->mutex);
}

static void unlock(struct lookup_pool *pool)
{
    thread_unlock(&pool->mutex);
}

static void list_push(struct lookup_list *list, struct lookup *lookup)
{
    lookup->next = NULL;
    lookup->previous = list->tail;
    if (list->tail != NULL) {
        list->tail->next = lookup;
    } else {
        list->head = lookup;
    }
    list->tail = lookup;
}

static void list_remove(struct lookup_list *list, struct lookup *lookup)
{
    if (lookup->previous != NULL) {
        lookup->previous->next = lookup->next;
    } else {
        list->head = lookup->next;
    }
    if (lookup->next != NULL) {
        lookup->next->previous = lookup->previous;
    } else {
        list->tail = lookup->previous;
    }
}

static struct lookup *list_pop(struct lookup_list *list)
{
    struct lookup *lookup = list->head;
    if (lookup != NULL) {
        list_remove(list, lookup);
    }
    return lookup;
}

static void list_free(struct lookup_list *list)
{
    struct lookup *lookup = list->head;
    while (lookup != NULL) {
        struct lookup *next = lookup->next;
        free(lookup);
        lookup = next;
    }
}

/* With the mutex held; releases it. */
static void drop_reference(struct lookup_pool *pool)
{
    bool last = --pool->references == 0;
    unlock(pool);
    if (last) {
        list_free(&pool->queue);
        list_free(&pool->answers);
        thread_sync_done(&pool->mutex, &pool->wanted);
        free(pool);
    }
}

static bool is_shortage(int errno_value)
{
    return errno_value == EMFILE || errno_value == ENFILE || errno_value == ENOBUFS ||
           errno_value == ENOMEM;
}

static struct lookup_answer resolve(const char *name)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    struct lookup_answer answer = {.reason = "no A record"};
    errno = 0;
    int rc = getaddrinfo(name, NULL, &hints, &list);
    int errno_value = errno;
    if (rc != 0) {
        /* The resolver gives up on a name, or says that there is none, when it has no socket. */
        answer.host_fault = rc == EAI_SYSTEM || rc == EAI_MEMORY || is_shortage(errno_value);
        bool named = rc == EAI_SYSTEM && errno_value != 0;
        answer.reason = named ? strerrordesc_np(errno_value) : gai_strerror(rc);
        return answer;
    }
    if (list != NULL && list->ai_addrlen >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in address;
        (void)memcpy(&address, list->ai_addr, sizeof address);
        answer.address = address.sin_addr;
        answer.found = true;
    }
    freeaddrinfo(list);
    return answer;
}

/* With the mutex held: the next lookup, or NULL when the thread shall end. */
static struct lookup *wait_for_work(struct lookup_pool *pool)
{
    struct mono until = mono_from_now(IDLE_SECONDS * TIME_S);
    pool->idle++;
    while (!pool->closed && pool->queue.head == NULL &&
           thread_wait_until(&pool->wanted, &pool->mutex, until)) {
        /* another thread took it */
    }
    pool->idle--;
    if (pool->closed) {
        return NULL;
    }
    struct lookup *lookup = list_pop(&pool->queue);
    if (lookup != NULL) {
        lookup->queued = false;
        pool->waiting--;
    }
    return lookup;
}

/* These threads inherit the priority of the loop's, but not its haste. The main thread's is the
 * ordinary one; giving up a priority is always allowed. */
static void take_ordinary_priority(void)
{
    int ordinary = getpriority(PRIO_PROCESS, (id_t)getpid());
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), ordinary);
}

static void *run_thread(void *argument)
{
    struct lookup_pool *pool = argument;
    take_ordinary_priority();
    lock(pool);
    struct lookup *lookup = wait_for_work(pool);
    while (lookup != NULL) {
        unlock(pool);
        lookup->answer = resolve(lookup->name);
        lock(pool);
        list_push(&pool->answers, lookup);
        if (pool->async != NULL) {
            (void)uv_async_send(pool->async); /* fails only on a handle of another kind */
        }
        lookup = wait_for_work(pool);
    }
    pool->threads--;
    drop_reference(pool);
    return NULL;
}

/* With the mutex held: a further thread when the waiting are more than the idle. */
static void start_thread(struct lookup_pool *pool)
{
    if (pool->waiting <= pool->idle || pool->threads >= LOOKUP_THREADS) {
        return;
    }
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes) != 0) {
        return;
    }
    if (pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
        pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0 &&
        pthread_create(&thread, &attributes, run_thread, pool) == 0) {
        pool->threads++;
        pool->references++;
    }
    /* Without a thread the lookup waits for one that is running, or for its probe's limit. */
    (void)pthread_attr_destroy(&attributes); /* frees nothing on Linux */
}

static void deliver(uv_async_t *async)
{
    struct lookup_pool *pool = async->data;
    lock(pool);
    struct lookup *lookup = list_pop(&pool->answers);
    while (lookup != NULL) {
        bool cancelled = lookup->cancelled;
        unlock(pool);
        if (!cancelled) {
            lookup->done(lookup->context, &lookup->answer);
        }
        free(lookup);
        lock(pool);
        lookup = list_pop(&pool->answers);
    }
    unlock(pool);
}

int lookup_pool_new(uv_loop_t *loop, struct lookup_pool **ret_pool, struct err *err)
{
    struct lookup_pool *pool = memory_new(sizeof *pool);
    pool->references = 1;
    pool->async = memory_new(sizeof *pool->async);
    pool->async->data = pool;
    int rc = uv_async_init(loop, pool->async, deliver);
    if (rc != 0) {
        free(pool->async);
        free(pool);
        return err_set_errno(err, -rc, "cannot make the wake-up handle of the name lookups");
    }
    thread_sync_init(&pool->mutex, &pool->wanted);
    *ret_pool = pool;
    return 0;
}

static void free_async(uv_handle_t *handle)
{
    free(handle);
}

void lookup_pool_close(struct lookup_pool *take_pool)
{
    if (take_pool == NULL) {
        return;
    }
    lock(take_pool);
    take_pool->closed = true;
    uv_close((uv_handle_t *)take_pool->async, free_async);
    take_pool->async = NULL;
    (void)pthread_cond_broadcast(&take_pool->wanted); /* cannot fail on Linux */
    drop_reference(take_pool);
}

struct lookup *lookup_start(struct lookup_pool *pool, const char *name, lookup_done done,
                            void *context)
{
    struct lookup *lookup = memory_new(sizeof *lookup);
    lookup->pool = pool;
    lookup->done = done;
    lookup->context = context;
    if (text_copy(lookup->name, sizeof lookup->name, name) != 0) {
        lookup->name[0] = '\0'; /* no name is that long: the resolver says so */
    }
    lock(pool);
    list_push(&pool->queue, lookup);
    lookup->queued = true;
    pool->waiting++;
    start_thread(pool);
    (void)pthread_cond_signal(&pool->wanted); /* cannot fail on Linux */
    unlock(pool);
    return lookup;
}

bool lookup_waits(const struct lookup *lookup)
{
    lock(lookup->pool);
    bool waits = lookup->queued;
    unlock(lookup->pool);
    return waits;
}

void lookup_cancel(struct lookup *take_lookup)
{
    if (take_lookup == NULL) {
        return;
    }
    struct lookup_pool *pool = take_lookup->pool;
    lock(pool);
    if (take_lookup->queued) {
        list_remove(&pool->queue, take_lookup);
        pool->waiting--;
        free(take_lookup);
    } else {
        take_lookup->cancelled = true;
    }
    unlock(pool);
}
