/* The metrics endpoint: see metrics.h. Called by daemon/; libmicrohttpd's one thread serves, and
 * calls in here for each request. Invariant: what a client can make us hold is bounded: few
 * connections, small requests, a short time, one page each. */
#include "metrics/metrics.h"

#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#define CONNECTIONS 16U
#define CONNECTIONS_PER_SOURCE 8U
#define IDLE_S 10U
#define CONNECTION_MEMORY ((size_t)16 << 10U)
#define PAGE_LIMIT ((size_t)16 << 20U)

struct metrics {
    struct sockaddr_storage address;
    int listener; /* -1: libmicrohttpd has it */
    struct MHD_Daemon *daemon;
    void (*render)(void *context, struct buf *text);
    void *context;
};

static int bind_to(int fd, const struct sockaddr_storage *address)
{
    socklen_t size =
        address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    const int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)address, size) != 0 || listen(fd, SOMAXCONN) != 0) {
        return -errno;
    }
    return 0;
}

int metrics_open(const struct sockaddr_storage *address, struct metrics **ret_metrics,
                 struct err *err)
{
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -errno : bind_to(fd, address);
    struct metrics *metrics = memory_new(sizeof *metrics);
    socklen_t size = sizeof metrics->address;
    if (rc == 0 && getsockname(fd, (struct sockaddr *)&metrics->address, &size) != 0) {
        rc = -errno;
    }
    metrics->listener = fd;
    if (rc != 0) {
        metrics_stop(metrics);
        return err_set_errno(err, -rc, "listening for metrics");
    }
    *ret_metrics = metrics;
    return 0;
}

const struct sockaddr_storage *metrics_address(const struct metrics *metrics)
{
    return &metrics->address;
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
                              char *take_text, size_t length)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, take_text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(take_text);
        return MHD_NO;
    }
    enum MHD_Result result = MHD_add_response_header(response, "Content-Type", type);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED && result == MHD_YES) {
        result = MHD_add_response_header(response, "Allow", "GET, HEAD");
    }
    result = result == MHD_YES ? MHD_queue_response(connection, status, response) : MHD_NO;
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *text)
{
    return answer(connection, status, "text/plain; charset=utf-8", memory_strdup(text),
                  strlen(text));
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_data_size, void **context)
{
    static char seen;
    struct metrics *metrics = cls;
    (void)version;
    (void)upload_data; /* no method that is served has a body */
    if (*context == NULL) {
        *context = &seen;
        return MHD_YES;
    }
    if (*upload_data_size != 0) {
        *upload_data_size = 0;
        return MHD_YES;
    }
    if (strcmp(url, "/metrics") != 0) {
        return refuse(connection, MHD_HTTP_NOT_FOUND, "the page is /metrics\n");
    }
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only\n");
    }
    struct buf text CLEANUP(buf_done);
    buf_init(&text, PAGE_LIMIT);
    metrics->render(metrics->context, &text);
    size_t length = 0;
    char *taken = buf_take(&text, &length);
    if (taken == NULL) {
        return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "the page is too large\n");
    }
    return answer(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", taken,
                  length);
}

int metrics_run(struct metrics *metrics, void (*render)(void *context, struct buf *text),
                void *context, struct err *err)
{
    metrics->render = render;
    metrics->context = context;
    metrics->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, on_request, metrics,
        MHD_OPTION_LISTEN_SOCKET, metrics->listener, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, CONNECTIONS_PER_SOURCE, MHD_OPTION_CONNECTION_TIMEOUT,
        IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_END);
    if (metrics->daemon == NULL) {
        return err_set(err, ERR_UNAVAILABLE, "starting the metrics endpoint");
    }
    metrics->listener = -1;
    return 0;
}

void metrics_stop(struct metrics *take_metrics)
{
    if (take_metrics == NULL) {
        return;
    }
    if (take_metrics->daemon != NULL) {
        MHD_stop_daemon(take_metrics->daemon);
    }
    if (take_metrics->listener >= 0) {
        (void)close(take_metrics->listener); /* nothing was sent */
    }
    free(take_metrics);
}
