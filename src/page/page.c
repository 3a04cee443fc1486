/* Pages over HTTP: see page.h. Called by database/endpoint and daemon; libmicrohttpd's one thread
 * serves, and calls in here for each request. Invariant: what a client can make us hold is bounded:
 * few connections, small requests, a short time, one page each. */
#include "page/page.h"

#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

struct page_server {
    const struct page_settings *settings;
    void *context;
    struct sockaddr_storage address;
    int listener; /* -1: libmicrohttpd has it */
    struct MHD_Daemon *daemon;
};

/* ---- a request ---- */

/* list: "GET, HEAD" */
static bool is_listed(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; *at != '\0'; at += strspn(at, ", ")) {
        size_t size = strcspn(at, ",");
        if (size == length && memcmp(at, word, size) == 0) {
            return true;
        }
        at += size;
    }
    return false;
}

static void local_address(struct MHD_Connection *connection, char out[ADDRESS_TEXT])
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    out[0] = '\0';
    if (info != NULL && getsockname(info->connect_fd, (struct sockaddr *)&address, &size) == 0) {
        address_text((const struct sockaddr *)&address, out);
    }
}

static enum MHD_Result send_page(struct MHD_Connection *connection,
                                 const struct page_settings *settings, struct page *page)
{
    size_t length = 0;
    char *text = buf_take(&page->text, &length);
    if (text == NULL) {
        page->status = PAGE_UNAVAILABLE;
        text = memory_strdup("the page is too large\n");
        length = strlen(text);
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(text);
        return MHD_NO;
    }
    enum MHD_Result result = MHD_add_response_header(response, "Content-Type", page->type);
    if (page->status == PAGE_NOT_ALLOWED && result == MHD_YES) {
        result = MHD_add_response_header(response, "Allow", settings->methods);
    }
    result = result == MHD_YES ? MHD_queue_response(connection, page->status, response) : MHD_NO;
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_data_size, void **context)
{
    static char seen;
    const struct page_server *server = cls;
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
    struct page page = {.status = PAGE_OK, .type = "text/plain; charset=utf-8"};
    buf_init(&page.text, server->settings->limit);
    if (is_listed(server->settings->methods, method)) {
        struct page_request request = {.path = url};
        local_address(connection, request.local);
        server->settings->answer(server->context, &request, &page);
    } else {
        page.status = PAGE_NOT_ALLOWED;
        buf_printf(&page.text, "the methods are %s\n", server->settings->methods);
    }
    enum MHD_Result result = send_page(connection, server->settings, &page);
    buf_done(&page.text);
    return result;
}

/* ---- life ---- */

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

int page_open(const struct sockaddr_storage *address, const struct page_settings *settings,
              struct page_server **ret_server, struct err *err)
{
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -errno : bind_to(fd, address);
    struct page_server *server = memory_new(sizeof *server);
    socklen_t size = sizeof server->address;
    server->settings = settings;
    server->listener = fd;
    if (rc == 0 && getsockname(fd, (struct sockaddr *)&server->address, &size) != 0) {
        rc = -errno;
    }
    if (rc != 0) {
        page_stop(server);
        return err_set_errno(err, -rc, "listening for %s", settings->name);
    }
    *ret_server = server;
    return 0;
}

const struct sockaddr_storage *page_address(const struct page_server *server)
{
    return &server->address;
}

int page_run(struct page_server *server, void *context, struct err *err)
{
    const struct page_settings *settings = server->settings;
    server->context = context;
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, on_request, server,
        MHD_OPTION_LISTEN_SOCKET, server->listener, MHD_OPTION_CONNECTION_LIMIT,
        settings->connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT, settings->connections_per_source,
        MHD_OPTION_CONNECTION_TIMEOUT, settings->idle_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        settings->memory, MHD_OPTION_END);
    if (server->daemon == NULL) {
        return err_set(err, ERR_UNAVAILABLE, "serving %s", settings->name);
    }
    server->listener = -1;
    return 0;
}

void page_stop(struct page_server *take_server)
{
    if (take_server == NULL) {
        return;
    }
    if (take_server->daemon != NULL) {
        MHD_stop_daemon(take_server->daemon);
    }
    if (take_server->listener >= 0) {
        (void)close(take_server->listener); /* nothing was sent */
    }
    free(take_server);
}
