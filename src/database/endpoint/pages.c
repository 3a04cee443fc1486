/* Pages for load balancers: /writer, /reader and /health of a database server; see internal.h and
 * docs/databases.md. libmicrohttpd's one thread serves; it looks at the records under their lock.
 * Invariant: what a client can make us hold is bounded, and no page says yes to what the records do
 * not say. */
#include "base/address.h"
#include "base/memory.h"
#include "base/text.h"
#include "database/endpoint/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>
#include <microhttpd.h>

#define CONNECTIONS 256U
#define CONNECTIONS_PER_SOURCE 64U
#define IDLE_S 30U
#define CONNECTION_MEMORY ((size_t)8 << 10U)
#define PATH_LIMIT 512U
#define BODY_LIMIT 4096U

struct pages {
    struct database_endpoints *endpoints;
    struct sockaddr_storage address;
    int listener; /* -1: libmicrohttpd has it */
    struct MHD_Daemon *daemon;
};

/* ---- what is asked for ---- */

struct asked {
    enum check_page page;
    const char *region; /* NULL: any */
    const char *name;   /* of the instance; NULL: the one at the local address */
};

static bool read_page(const char *text, enum check_page *ret_page)
{
    static const char *const names[] = {
        [CHECK_WRITER] = "writer", [CHECK_READER] = "reader", [CHECK_HEALTH] = "health"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (text_equal(text, names[i])) {
            *ret_page = (enum check_page)i;
            return true;
        }
    }
    return false;
}

/* Takes the path apart, which it changes. */
static bool read_path(char *path, struct asked *ret_asked)
{
    const char *parts[3] = {NULL};
    size_t count = 0;
    if (path[0] != '/') {
        return false;
    }
    char *rest = path + 1;
    for (char *part = strsep(&rest, "/"); part != NULL; part = strsep(&rest, "/")) {
        if (count == ARRAY_SIZE(parts) || part[0] == '\0') {
            return false;
        }
        parts[count++] = part;
    }
    *ret_asked = (struct asked){.name = count >= 2 ? parts[count - 2] : NULL,
                                .region = count == 3 ? parts[0] : NULL};
    return count != 0 && read_page(parts[count - 1], &ret_asked->page);
}

static bool is_meant(const struct asked *asked, const char *local,
                     const struct model_database_member *member)
{
    if (asked->region != NULL && !text_equal(asked->region, member->region)) {
        return false;
    }
    return asked->name != NULL
               ? text_equal(asked->name, member->instance) || text_equal(asked->name, member->id)
               : text_equal(local, member->address);
}

/* ---- the answer ---- */

struct found {
    struct picture picture;
    struct sight sight;
    size_t count;
};

static void find(const struct records *records, const struct asked *asked, const char *local,
                 struct arena *arena, struct found *ret_found)
{
    size_t count = 0;
    size_t first = records_find(records, PATH_DATABASE_GROUPS, &count);
    *ret_found = (struct found){.count = 0};
    for (size_t i = first; i < first + count; i++) {
        struct err err = ERR_INIT; /* a damaged group has no pages */
        struct picture picture;
        if (records_picture(records, &records->items[i], arena, &picture, &err) != 0) {
            continue;
        }
        for (size_t j = 0; j < picture.member_count; j++) {
            if (!picture.members[j].member.deleted &&
                is_meant(asked, local, &picture.members[j].member)) {
                ret_found->picture = picture;
                ret_found->sight = picture.members[j];
                ret_found->count++;
            }
        }
    }
}

static void put_health(const struct found *found, bool yes, const char *why, struct buf *body)
{
    const struct model_database_member *member = &found->sight.member;
    const struct model_database_seen *seen = &found->sight.seen;
    json_t *tree = json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:s}", "instance", member->instance, "cluster",
        member->cluster, "region", member->region, "member", member->id, "healthy", yes ? 1 : 0,
        "reason", why, "phase", model_database_phase_name(found->picture.group.phase), "condition",
        found->sight.is_seen ? model_database_condition_name(seen->condition) : "UNKNOWN");
    if (found->sight.is_seen) {
        /* memory: the answer lacks them */
        (void)json_object_set_new(tree, "timeline", json_integer((json_int_t)seen->timeline));
        (void)json_object_set_new(tree, "lag_bytes", json_integer((json_int_t)seen->lag_bytes));
        (void)json_object_set_new(tree, "lag_ms", json_integer((json_int_t)seen->lag_ms));
    }
    char *text = tree != NULL ? json_dumps(tree, JSON_COMPACT) : NULL;
    buf_puts(body, text != NULL ? text : "{}");
    buf_putc(body, '\n');
    free(text);
    json_decref(tree);
}

unsigned pages_say(struct database_endpoints *endpoints, const char *path, const char *local,
                   struct mono now, struct buf *body)
{
    char copy[PATH_LIMIT];
    struct asked asked;
    if (text_copy(copy, sizeof copy, path) != 0 || !read_path(copy, &asked)) {
        buf_puts(body, "the pages are /writer, /reader and /health, of the server at this address; "
                       "or /INSTANCE/writer, /REGION/INSTANCE/writer, ..\n");
        return MHD_HTTP_NOT_FOUND;
    }
    struct arena arena CLEANUP(arena_done) = {0};
    struct found found;
    const char *why = "";
    arena_init(&arena, 0);
    thread_lock(&endpoints->lock);
    find(&endpoints->records, &asked, local, &arena, &found);
    bool known = endpoints->known;
    bool yes =
        found.count == 1 && check_member(&found.picture, &found.sight, asked.page, now, &why);
    thread_unlock(&endpoints->lock);
    if (!known) {
        buf_puts(body, "the store was not reached yet\n");
    } else if (found.count == 0) {
        buf_printf(body, "there is no such database server here\n");
        return MHD_HTTP_NOT_FOUND;
    } else if (found.count > 1) {
        buf_puts(body, "there are several such servers: ask for /REGION/INSTANCE\n");
    } else if (asked.page == CHECK_HEALTH) {
        put_health(&found, yes, why, body);
    } else {
        buf_printf(body, "%s\n", why);
    }
    return yes ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

/* ---- HTTP ---- */

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

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_data_size, void **context)
{
    static char seen;
    static char none[] = "";
    struct pages *pages = cls;
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
    char local[ADDRESS_TEXT];
    struct buf body CLEANUP(buf_done);
    unsigned status = MHD_HTTP_METHOD_NOT_ALLOWED;
    buf_init(&body, BODY_LIMIT);
    local_address(connection, local);
    /* HAProxy asks with OPTIONS where it is not told otherwise. */
    if (text_equal(method, "GET") || text_equal(method, "HEAD") || text_equal(method, "OPTIONS")) {
        status = pages_say(pages->endpoints, url, local, records_now(), &body);
    }
    bool object = body.length != 0 && body.data[0] == '{';
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body.length, body.length != 0 ? body.data : none, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    enum MHD_Result result = MHD_add_response_header(
        response, "Content-Type", object ? "application/json" : "text/plain; charset=utf-8");
    result = result == MHD_YES ? MHD_queue_response(connection, status, response) : MHD_NO;
    MHD_destroy_response(response);
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

int pages_open(const struct sockaddr_storage *address, struct database_endpoints *endpoints,
               struct pages **ret_pages, struct err *err)
{
    struct pages *pages = memory_new(sizeof *pages);
    socklen_t size = sizeof pages->address;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -errno : bind_to(fd, address);
    pages->endpoints = endpoints;
    pages->listener = fd;
    if (rc == 0 && getsockname(fd, (struct sockaddr *)&pages->address, &size) != 0) {
        rc = -errno;
    }
    if (rc != 0) {
        pages_stop(pages);
        return err_set_errno(err, -rc, "listening for checks of databases");
    }
    *ret_pages = pages;
    return 0;
}

const struct sockaddr_storage *pages_address(const struct pages *pages)
{
    return &pages->address;
}

int pages_run(struct pages *pages, struct err *err)
{
    pages->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, on_request, pages,
        MHD_OPTION_LISTEN_SOCKET, pages->listener, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, CONNECTIONS_PER_SOURCE, MHD_OPTION_CONNECTION_TIMEOUT,
        IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_END);
    if (pages->daemon == NULL) {
        return err_set(err, ERR_UNAVAILABLE, "starting the checks of databases");
    }
    pages->listener = -1;
    return 0;
}

void pages_stop(struct pages *take_pages)
{
    if (take_pages == NULL) {
        return;
    }
    if (take_pages->daemon != NULL) {
        MHD_stop_daemon(take_pages->daemon);
    }
    if (take_pages->listener >= 0) {
        (void)close(take_pages->listener); /* nothing was sent */
    }
    free(take_pages);
}
