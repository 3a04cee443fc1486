/* The API server: see server.h. libmicrohttpd's threads call in here for every connection and
 * request; each reads a request into an exchange of its own and hands it to dispatch.c. An exchange
 * belongs to its request and is freed when libmicrohttpd is done with it. Invariant: what a client
 * can make us hold is bounded, per connection and in all. */
#include "aws/server.h"

#include "aws/acceptor.h"
#include "aws/connections.h"
#include "aws/dispatch.h"
#include "aws/listener.h"
#include "aws/upload.h"
#include "base/arena.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

#define CONNECTION_MEMORY ((size_t)48 << 10U) /* headers and buffers of one connection */
#define REQUEST_MEMORY ((size_t)64 << 20U)    /* arena of one request: 16 times its body */
#define BODIES_MEMORY ((size_t)256 << 20U)    /* bodies being received, all together */
#define STOP_PATIENCE_S 10                    /* for answers on their way when stopping */
#define STUCK_PATIENCE_NS (2 * TIME_S)        /* for one of which the client takes nothing then */

/* A thread of libmicrohttpd. */
struct worker {
    struct aws_server *server;
    size_t number;
};

struct aws_server {
    struct dispatch *dispatch;
    struct connections *connections;
    struct acceptor *acceptor;
    struct MHD_Daemon *daemons[ACCEPTOR_WORKERS]; /* one a worker */
    struct worker workers[ACCEPTOR_WORKERS];
    size_t worker_count; /* that were started */
    struct sockaddr_storage address;
    struct upload_budget budget;
    bool tls;
    _Atomic bool stopping;
    pthread_mutex_t lock;
    pthread_cond_t idle; /* busy became 0 */
    size_t busy;         /* requests between dispatch and the end of their answer */
};

struct exchange {
    struct aws_server *server;
    struct arena arena;
    char *target;
    bool begun; /* its headers were looked at */
    bool busy;
    struct http_header headers[HTTP_HEADERS_LIMIT];
    struct http_request request;
    struct upload upload;
};

static struct connection *connection_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    const struct worker *worker = cls;
    struct aws_server *server = worker->server;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        assert(info != NULL);
        *socket_context = connection_opened(server->connections, info->connect_fd);
    } else if (*socket_context != NULL) {
        connection_closed(server->connections, *socket_context);
        *socket_context = NULL;
        acceptor_closed(server->acceptor, worker->number);
    }
}

/* The first sign of a request: its target, still encoded. The result is the exchange. */
static void *on_target(void *cls, const char *uri, struct MHD_Connection *connection)
{
    struct aws_server *server = cls;
    (void)connection;
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (exchange == NULL) {
        return NULL;
    }
    exchange->server = server;
    arena_init(&exchange->arena, REQUEST_MEMORY);
    arena_keep_secret(&exchange->arena); /* keys are looked up, and made, in it */
    upload_init(&exchange->upload, &server->budget);
    exchange->target = arena_try_memdup(&exchange->arena, uri, strlen(uri));
    return exchange;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct aws_server *server = cls;
    struct exchange *exchange = *context;
    (void)code;
    struct connection *watched = connection_of(connection);
    if (watched != NULL) {
        connection_phase(watched, CONNECTION_RECEIVES);
    }
    if (exchange == NULL) {
        return;
    }
    if (exchange->busy) {
        thread_lock(&server->lock);
        server->busy--;
        if (server->busy == 0) {
            (void)pthread_cond_signal(&server->idle);
        }
        thread_unlock(&server->lock);
    }
    upload_done(&exchange->upload);
    arena_done(&exchange->arena);
    free(exchange);
    *context = NULL;
}

/* A header that could not be taken: too many of them, or with a NUL inside. */
static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *key,
                                 size_t key_size, const char *value, size_t value_size)
{
    struct exchange *exchange = cls;
    struct http_request *request = &exchange->request;
    (void)kind;
    value = value != NULL ? value : "";
    if (request->header_count == HTTP_HEADERS_LIMIT || strlen(key) != key_size ||
        strlen(value) != value_size) {
        return MHD_NO;
    }
    exchange->headers[request->header_count++] = (struct http_header){key, value};
    return MHD_YES;
}

/* Builds the request, but for the body. True when every header was taken. */
static bool read_headers(struct exchange *exchange, struct MHD_Connection *connection,
                         const char *method)
{
    struct http_request *request = &exchange->request;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    *request = (struct http_request){
        .method = method,
        .headers = exchange->headers,
        .body = "",
        .source = listener_address_text(info != NULL ? info->client_addr : NULL, &exchange->arena),
        .tls = exchange->server->tls};
    upload_split_target(exchange->target, &request->path, &request->query);
    int wanted = MHD_get_connection_values_n(connection, MHD_HEADER_KIND, NULL, NULL);
    int taken = MHD_get_connection_values_n(connection, MHD_HEADER_KIND, on_header, exchange);
    return wanted == taken && request->header_count == (size_t)wanted;
}

static enum MHD_Result send_response(struct exchange *exchange, struct MHD_Connection *connection,
                                     const struct http_response *answer)
{
    /* The body stays in the arena, which outlives the response; libmicrohttpd does not write. */
    union {
        const void *read;
        void *taken;
    } body = {.read = answer->body_size != 0 ? answer->body : ""};
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer->body_size, body.taken, MHD_RESPMEM_PERSISTENT);
    if (response == NULL) {
        return MHD_NO;
    }
    bool good = true;
    if (answer->content_type != NULL) {
        good = MHD_add_response_header(response, "Content-Type", answer->content_type) == MHD_YES;
    }
    for (size_t i = 0; i < answer->header_count && good; i++) {
        good = MHD_add_response_header(response, answer->headers[i].name,
                                       answer->headers[i].value) == MHD_YES;
    }
    if (atomic_load(&exchange->server->stopping)) {
        good = good && MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    }
    enum MHD_Result result =
        good ? MHD_queue_response(connection, (unsigned)answer->status, response) : MHD_NO;
    MHD_destroy_response(response);
    return result;
}

static void begin_work(struct exchange *exchange, struct MHD_Connection *connection)
{
    struct aws_server *server = exchange->server;
    thread_lock(&server->lock);
    server->busy++;
    thread_unlock(&server->lock);
    exchange->busy = true;
    connection_phase(connection_of(connection), CONNECTION_WORKS);
}

static enum MHD_Result refuse(struct exchange *exchange, struct MHD_Connection *connection,
                              const struct upload_refusal *refusal)
{
    struct http_response answer;
    begin_work(exchange, connection);
    dispatch_refuse(exchange->server->dispatch, &exchange->request, refusal->error,
                    refusal->message, &exchange->arena, &answer);
    if (refusal->status != 0) {
        answer.status = refusal->status;
    }
    connection_phase(connection_of(connection), CONNECTION_SENDS);
    return send_response(exchange, connection, &answer);
}

/* Headers are there: may the body come? */
static enum MHD_Result begin(struct exchange *exchange, struct MHD_Connection *connection,
                             const char *method)
{
    struct upload_refusal refusal = {0};
    exchange->begun = true;
    if (exchange->target == NULL) {
        return MHD_NO;
    }
    bool complete = read_headers(exchange, connection, method);
    if (upload_allowed(&exchange->request, complete, &refusal)) {
        return MHD_YES;
    }
    /* What the client still sends is read and thrown away, so that it sees the answer. */
    connection_linger(connection_of(connection));
    return refuse(exchange, connection, &refusal);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_data_size, void **context)
{
    struct exchange *exchange = *context;
    (void)cls;
    (void)url; /* libmicrohttpd decoded it: the signature covers what was sent */
    (void)version;
    if (exchange == NULL) {
        return MHD_NO; /* no memory: the connection is closed */
    }
    if (!exchange->begun) {
        return begin(exchange, connection, method);
    }
    if (*upload_data_size != 0) {
        bool goes_on = upload_put(&exchange->upload, upload_data, *upload_data_size);
        *upload_data_size = 0;
        return goes_on ? MHD_YES : MHD_NO;
    }
    struct upload_refusal refusal = {0};
    if (!upload_complete(&exchange->upload, &exchange->request, &refusal)) {
        return refuse(exchange, connection, &refusal);
    }
    struct http_response answer;
    begin_work(exchange, connection);
    dispatch_request(exchange->server->dispatch, &exchange->request, &exchange->arena, &answer);
    connection_phase(connection_of(connection), CONNECTION_SENDS);
    return send_response(exchange, connection, &answer);
}

/* options: of TLS, or none. */
static struct MHD_Daemon *start_worker(struct aws_server *server,
                                       const struct aws_server_config *config,
                                       struct worker *worker, const struct MHD_OptionItem *options)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET;
    /* Each takes as many as there are in all: the acceptor counts. */
    return MHD_start_daemon(
        server->tls ? flags | MHD_USE_TLS : flags, 0, NULL, NULL, on_request, server,
        MHD_OPTION_CONNECTION_LIMIT, config->connections, MHD_OPTION_CONNECTION_TIMEOUT,
        (config->idle_ms + 999) / 1000, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_CONNECTION, on_connection, worker,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        server, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

static int start_workers(struct aws_server *server, const struct aws_server_config *config,
                         struct err *err)
{
    /* Options that may be absent stand last: the list ends at the first MHD_OPTION_END. */
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, NULL},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, NULL},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
    char *certificate = NULL;
    char *key = NULL;
    if (server->tls) {
        certificate = memory_strdup(config->certificate_pem);
        key = memory_strdup(config->key_pem);
        tls[0].ptr_value = certificate;
        tls[1].ptr_value = key;
        tls[2].ptr_value = priorities;
    } else {
        tls[0].option = MHD_OPTION_END;
    }
    bool good = true;
    while (good && server->worker_count < config->threads) {
        size_t number = server->worker_count;
        server->workers[number] = (struct worker){.server = server, .number = number};
        server->daemons[number] = start_worker(server, config, &server->workers[number], tls);
        good = server->daemons[number] != NULL;
        server->worker_count += good ? 1 : 0;
    }
    if (key != NULL) { /* libmicrohttpd has parsed them */
        secret_wipe_memory(key, strlen(key));
    }
    free(key);
    free(certificate);
    return good
               ? 0
               : err_set(err, ERR_INVALID, "cannot start the API server%s",
                         server->tls ? ": is the certificate for this key, both in PEM form?" : "");
}

int aws_server_listen(const struct sockaddr_storage *address, int *ret_descriptor, struct err *err)
{
    struct sockaddr_storage bound;
    return listener_open(address, &bound, ret_descriptor, err);
}

/* The listening socket: the one that was given, or a new one. */
static int take_listener(struct aws_server *server, const struct aws_server_config *config,
                         int *ret_listener, struct err *err)
{
    if (config->descriptor <= 0) {
        return listener_open(&config->address, &server->address, ret_listener, err);
    }
    socklen_t size = sizeof server->address;
    if (getsockname(config->descriptor, (struct sockaddr *)&server->address, &size) != 0) {
        int reason = errno;
        (void)close(config->descriptor); /* nothing was sent */
        return err_set_errno(err, reason, "the API's listening socket");
    }
    *ret_listener = config->descriptor;
    return 0;
}

int aws_server_start(const struct aws_server_config *config, struct aws_server **ret_server,
                     struct err *err)
{
    int listener = -1;
    *ret_server = NULL;
    if (config->threads < 1 || config->threads > 64 || config->connections < config->threads ||
        config->idle_ms == 0 || config->region_count == 0 ||
        (config->certificate_pem != NULL && config->key_pem == NULL)) {
        return err_set(err, ERR_INVALID,
                       "the API server wants 1 to 64 threads, a connection for each, an idle time, "
                       "a region, and a key with its certificate");
    }
    struct aws_server *server = memory_new(sizeof *server);
    thread_sync_init(&server->lock, &server->idle);
    server->tls = config->certificate_pem != NULL;
    upload_budget_init(&server->budget, BODIES_MEMORY);
    unsigned request_ms = config->request_ms != 0 ? config->request_ms : 2 * config->idle_ms;
    int code = dispatch_new(config, &server->dispatch, err);
    if (code == 0) {
        code =
            connections_new(config->connections, request_ms * TIME_MS, &server->connections, err);
    }
    if (code == 0) {
        code = take_listener(server, config, &listener, err);
    }
    if (code == 0) {
        *ret_server = server; /* before the threads: the first call may ask for the address */
        code = start_workers(server, config, err);
        if (code != 0) {
            (void)close(listener); /* nothing was sent */
        } else {
            code = acceptor_new(listener, server->daemons, server->worker_count,
                                config->connections, &server->acceptor, err);
        }
    }
    if (code != 0) {
        *ret_server = NULL;
        aws_server_stop(server);
    }
    return code;
}

const struct sockaddr_storage *aws_server_address(const struct aws_server *server)
{
    return &server->address;
}

/* Waits until every answer under way has left, or a client shows no interest in its own. */
static void wait_for_answers(struct aws_server *server)
{
    struct mono until = mono_from_now(STOP_PATIENCE_S * TIME_S);
    thread_lock(&server->lock);
    while (server->busy != 0 && thread_wait_until(&server->idle, &server->lock, until)) {
        /* some are still under way */
    }
    thread_unlock(&server->lock);
}

void aws_server_stop(struct aws_server *take_server)
{
    struct aws_server *server = take_server;
    if (server == NULL) {
        return;
    }
    if (server->acceptor != NULL) {
        atomic_store(&server->stopping, true);
        acceptor_stop(server->acceptor);
        connections_hurry(server->connections, STUCK_PATIENCE_NS);
        wait_for_answers(server);
    }
    for (size_t i = 0; i < server->worker_count; i++) {
        MHD_stop_daemon(server->daemons[i]);
    }
    acceptor_free(server->acceptor);
    connections_free(server->connections);
    dispatch_free(server->dispatch);
    thread_sync_done(&server->lock, &server->idle);
    free(server);
}
