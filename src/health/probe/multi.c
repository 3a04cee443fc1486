/* libcurl's multi handle on a libuv loop: libcurl says which sockets and which time it waits for,
 * libuv watches them, and each event goes back by curl_multi_socket_action.
 *
 * Called by http.c on the health loop. Ownership: one watch per socket, made when libcurl first
 * names it and closed when libcurl lets go of it. libcurl 7.88 says so only after it has closed the
 * descriptor where that is not connected yet, and libuv would then take the descriptor's number out
 * of epoll, which may be another thread's by now: such watches are closed before libcurl hears of
 * the end. Invariant: no transfer is removed while libcurl is on the stack: ended ones are
 * collected after each event. A turn of the loop serves sockets for ENGINE_SERVING at most: an
 * event that is passed over comes again in the next, as epoll reports levels, in fair order. */
#include "base/memory.h"
#include "health/probe/engine.h"

#include <uv.h>

struct multi {
    CURLM *curl;
    uv_timer_t *timer;
    uv_idle_t *awake;          /* active while something is put off: the loop does not block */
    bool uncollected;          /* transfers have ended that were not reported yet */
    struct mono serving_since; /* in this turn; 0: not yet */
    struct socket_watch *first_put_off;
    struct socket_watch *last_put_off;
};

struct socket_watch {
    uv_poll_t poll;
    struct multi *multi;
    struct probe *probe; /* the one whose connection it is */
    curl_socket_t socket;
    int wanted; /* libuv's events */
    bool put_off;
    int flags; /* libcurl's, of the event that is put off */
    struct socket_watch *previous;
    struct socket_watch *next;
};

static void free_handle(uv_handle_t *handle)
{
    free(handle->data);
}

/* Whether this turn has served sockets for long enough. */
static bool is_over(struct multi *multi)
{
    struct mono now = mono_now();
    if (multi->serving_since.ns == 0) {
        multi->serving_since = now;
    }
    return mono_since(now, multi->serving_since) > ENGINE_SERVING;
}

static void stay_awake(uv_idle_t *idle)
{
    (void)idle; /* that it is there is enough */
}

/* Reports ended transfers, until the turn is over unless all is true. */
static void collect(struct multi *multi, bool all)
{
    int left = 0;
    CURLMsg *message = NULL;
    do {
        message = curl_multi_info_read(multi->curl, &left);
        if (message != NULL && message->msg == CURLMSG_DONE) {
            struct probe *probe = NULL;
            CURLcode code = message->data.result;
            if (curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &probe) == CURLE_OK &&
                probe != NULL) {
                http_ended(probe, code);
            }
        }
    } while (message != NULL && (all || !is_over(multi)));
    multi->uncollected = left > 0;
    if (multi->uncollected) {
        (void)uv_idle_start(multi->awake, stay_awake); /* has a callback */
    }
}

static void act(struct multi *multi, curl_socket_t socket, int events)
{
    int running = 0;
    /* Errors concern single transfers, and those end with a message. */
    (void)curl_multi_socket_action(multi->curl, socket, events, &running);
    collect(multi, false);
}

static void socket_event(uv_poll_t *poll, int status, int events);

static void take_back(struct socket_watch *watch)
{
    struct multi *multi = watch->multi;
    if (watch->previous != NULL) {
        watch->previous->next = watch->next;
    } else {
        multi->first_put_off = watch->next;
    }
    if (watch->next != NULL) {
        watch->next->previous = watch->previous;
    } else {
        multi->last_put_off = watch->previous;
    }
    watch->put_off = false;
    watch->probe->event_waits = false;
}

/* The descriptor is open; libcurl no longer finds the watch. */
static void let_go(struct socket_watch *watch)
{
    struct multi *multi = watch->multi;
    if (watch->put_off) {
        take_back(watch);
    }
    if (watch->probe->watch == watch) {
        watch->probe->watch = NULL;
    }
    (void)curl_multi_assign(multi->curl, watch->socket, NULL); /* it knows the socket */
    uv_close((uv_handle_t *)&watch->poll, free_handle);
}

/* A connection that failed: libcurl may close the descriptor. */
static void act_on_failure(struct socket_watch *watch, int flags)
{
    struct multi *multi = watch->multi;
    curl_socket_t socket = watch->socket;
    let_go(watch);
    act(multi, socket, flags);
}

static void put_off(struct socket_watch *watch, int flags)
{
    struct multi *multi = watch->multi;
    (void)uv_poll_stop(&watch->poll); /* always 0 */
    watch->flags = flags;
    watch->put_off = true;
    watch->probe->event_waits = true;
    watch->next = NULL;
    watch->previous = multi->last_put_off;
    if (multi->last_put_off != NULL) {
        multi->last_put_off->next = watch;
    } else {
        multi->first_put_off = watch;
        (void)uv_idle_start(multi->awake, stay_awake); /* has a callback */
    }
    multi->last_put_off = watch;
}

bool multi_is_behind(const struct multi *multi)
{
    return multi->uncollected;
}

void multi_report(struct multi *multi)
{
    collect(multi, true);
}

void multi_turn_ended(struct multi *multi)
{
    if (multi->uncollected && !is_over(multi)) {
        collect(multi, false);
    }
    while (multi->first_put_off != NULL && !is_over(multi)) {
        struct socket_watch *watch = multi->first_put_off;
        take_back(watch);
        if ((watch->flags & CURL_CSELECT_ERR) != 0) {
            act_on_failure(watch, watch->flags);
            continue;
        }
        (void)uv_poll_start(&watch->poll, watch->wanted, socket_event); /* it was watched before */
        act(multi, watch->socket, watch->flags);
    }
    if (multi->first_put_off == NULL && !multi->uncollected) {
        (void)uv_idle_stop(multi->awake); /* always 0 */
    }
    multi->serving_since.ns = 0;
}

static void socket_event(uv_poll_t *poll, int status, int events)
{
    struct socket_watch *watch = poll->data;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    flags |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    flags |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    if (watch->multi->first_put_off != NULL || is_over(watch->multi)) {
        put_off(watch, flags);
    } else if (status < 0) {
        act_on_failure(watch, flags);
    } else {
        act(watch->multi, watch->socket, flags);
    }
}

static void timer_event(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static void watch_socket(struct multi *multi, CURL *easy, curl_socket_t socket,
                         struct socket_watch *watch, int events)
{
    if (watch == NULL) {
        struct probe *probe = NULL;
        if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, &probe) != CURLE_OK || probe == NULL) {
            return; /* as below */
        }
        watch = memory_new(sizeof *watch);
        watch->multi = multi;
        watch->probe = probe;
        watch->socket = socket;
        watch->poll.data = watch;
        if (uv_poll_init_socket(multi->timer->loop, &watch->poll, socket) != 0) {
            free(watch); /* the transfer runs into its limit */
            return;
        }
        (void)curl_multi_assign(multi->curl, socket, watch); /* the socket is known to it */
        probe->watch = watch;
    }
    watch->wanted = events;
    if (!watch->put_off) {
        /* Fails only on a descriptor that cannot be watched, which init has refused. */
        (void)uv_poll_start(&watch->poll, events, socket_event);
    }
}

static int socket_wanted(CURL *easy, curl_socket_t socket, int what, void *context, void *assigned)
{
    struct multi *multi = context;
    struct socket_watch *watch = assigned;
    int events = 0;
    events |= what == CURL_POLL_IN || what == CURL_POLL_INOUT ? UV_READABLE : 0;
    events |= what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? UV_WRITABLE : 0;
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL) {
            let_go(watch);
        }
    } else if (events != 0) {
        watch_socket(multi, easy, socket, watch, events);
    }
    return 0;
}

static int time_wanted(CURLM *curl, long timeout_ms, void *context)
{
    (void)curl; /* there is one */
    struct multi *multi = context;
    if (timeout_ms < 0) {
        (void)uv_timer_stop(multi->timer); /* always 0 */
    } else {
        /* Fails only without a callback. 0 runs it in the loop's next turn, not from here. */
        (void)uv_timer_start(multi->timer, timer_event, (uint64_t)timeout_ms, 0);
    }
    return 0;
}

int multi_new(uv_loop_t *loop, struct multi **ret_multi, struct err *err)
{
    struct multi *multi = memory_new(sizeof *multi);
    multi->curl = curl_multi_init();
    if (multi->curl == NULL) {
        free(multi);
        return err_set(err, ERR_MEMORY, "cannot make libcurl's multi handle");
    }
    multi->timer = memory_new(sizeof *multi->timer);
    (void)uv_timer_init(loop, multi->timer); /* always 0 */
    multi->timer->data = multi;
    multi->awake = memory_new(sizeof *multi->awake);
    (void)uv_idle_init(loop, multi->awake); /* always 0 */
    multi->awake->data = multi;
    CURLM *curl = multi->curl;
    if (curl_multi_setopt(curl, CURLMOPT_SOCKETFUNCTION, socket_wanted) != CURLM_OK ||
        curl_multi_setopt(curl, CURLMOPT_SOCKETDATA, multi) != CURLM_OK ||
        curl_multi_setopt(curl, CURLMOPT_TIMERFUNCTION, time_wanted) != CURLM_OK ||
        curl_multi_setopt(curl, CURLMOPT_TIMERDATA, multi) != CURLM_OK ||
        curl_multi_setopt(curl, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) != CURLM_OK) {
        multi_close(multi);
        return err_set(err, ERR_INTERNAL, "libcurl refused an option of the multi handle");
    }
    *ret_multi = multi;
    return 0;
}

static void free_own(uv_handle_t *handle)
{
    free(handle);
}

void multi_close(struct multi *take_multi)
{
    if (take_multi == NULL) {
        return;
    }
    (void)curl_multi_cleanup(take_multi->curl); /* nothing is in it */
    uv_close((uv_handle_t *)take_multi->timer, free_own);
    uv_close((uv_handle_t *)take_multi->awake, free_own);
    free(take_multi);
}

int multi_add(struct multi *multi, CURL *easy)
{
    return curl_multi_add_handle(multi->curl, easy) == CURLM_OK ? 0 : -ENOMEM;
}

void multi_remove(struct multi *multi, struct probe *probe)
{
    if (probe->watch != NULL) {
        let_go(probe->watch);
    }
    (void)curl_multi_remove_handle(multi->curl, probe->easy); /* it was added */
}
