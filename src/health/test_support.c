/* Helpers of this room's tests: see test_support.h. Servers run on threads of their own; everything
 * they share with the test is guarded by their mutex. */
#include "health/test_support.h"

#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "base/thread.h"
#include "model/path.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_MS 120000
#define CLIENTS 64
#define REQUEST_SIZE 2048U

struct client {
    int fd; /* -1: free */
    size_t sent;
    bool asked;
    size_t read_bytes;
    char request[REQUEST_SIZE];
};

struct test_server {
    pthread_t thread;
    pthread_mutex_t mutex;
    int listener;
    int wake;
    uint16_t port;
    bool stopping;
    enum server_script script;
    const char *answer;
    size_t size;
    size_t slow_from;
    unsigned connections;
    char request[REQUEST_SIZE];
    struct client clients[CLIENTS];
};

static void fail(const char *what)
{
    perror(what);
    abort();
}

static int listen_on(uint16_t port, uint16_t *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&address, size) != 0 || listen(fd, 128) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        fail("listen");
    }
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void drop_client(struct client *client, bool reset)
{
    struct linger linger = {.l_onoff = reset ? 1 : 0, .l_linger = 0};
    (void)setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    (void)close(client->fd);
    client->fd = -1;
}

static void read_request(struct test_server *server, struct client *client)
{
    ssize_t got = read(client->fd, client->request + client->read_bytes,
                       REQUEST_SIZE - 1 - client->read_bytes);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        drop_client(client, false);
        return;
    }
    client->read_bytes += got > 0 ? (size_t)got : 0;
    client->request[client->read_bytes] = '\0';
    bool handshake = client->request[0] == 0x16; /* a TLS client: it gets the answer as it is */
    if (handshake || strstr(client->request, "\r\n\r\n") != NULL) {
        client->asked = true;
        (void)memcpy(server->request, client->request, client->read_bytes + 1);
    }
}

/* Sends what is due. */
static void answer(struct test_server *server, struct client *client)
{
    bool slow = server->script == SERVER_ANSWER_SLOW && client->sent >= server->slow_from;
    size_t left = server->size - client->sent;
    if (server->script == SERVER_ANSWER_SLOW && client->sent < server->slow_from) {
        left = server->slow_from - client->sent;
    }
    size_t want = slow ? MIN(left, 1U) : left;
    ssize_t sent = send(client->fd, server->answer + client->sent, want, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        drop_client(client, false);
        return;
    }
    client->sent += sent > 0 ? (size_t)sent : 0;
    if (client->sent == server->size) {
        drop_client(client, false);
    }
}

static void serve_client(struct test_server *server, struct client *client, bool readable)
{
    if (readable && !client->asked) {
        read_request(server, client);
    }
    if (client->fd < 0 || !client->asked) {
        return;
    }
    switch (server->script) {
    case SERVER_ANSWER:
    case SERVER_ANSWER_SLOW:
        answer(server, client);
        break;
    case SERVER_SILENT:
        break;
    case SERVER_RESET:
        drop_client(client, true);
        break;
    case SERVER_CLOSE:
        drop_client(client, false);
        break;
    }
}

static void accept_clients(struct test_server *server)
{
    for (;;) {
        int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        server->connections++;
        size_t i = 0;
        while (i < CLIENTS && server->clients[i].fd >= 0) {
            i++;
        }
        if (i == CLIENTS) {
            (void)close(fd);
            return;
        }
        server->clients[i] = (struct client){.fd = fd};
    }
}

static void serve_once(struct test_server *server)
{
    struct pollfd polls[CLIENTS + 2];
    thread_lock(&server->mutex);
    for (size_t i = 0; i < CLIENTS; i++) {
        const struct client *client = &server->clients[i];
        polls[i] = (struct pollfd){.fd = client->asked ? -1 : client->fd, .events = POLLIN};
    }
    polls[CLIENTS] = (struct pollfd){.fd = server->listener, .events = POLLIN};
    polls[CLIENTS + 1] = (struct pollfd){.fd = server->wake, .events = POLLIN};
    thread_unlock(&server->mutex);
    (void)poll(polls, CLIENTS + 2, 20);
    thread_lock(&server->mutex);
    uint64_t value = 0;
    (void)!read(server->wake, &value, sizeof value); /* empties it */
    for (size_t i = 0; i < CLIENTS; i++) {
        if (server->clients[i].fd >= 0) {
            serve_client(server, &server->clients[i], polls[i].revents != 0);
        }
    }
    if (server->listener >= 0) {
        accept_clients(server);
    }
    thread_unlock(&server->mutex);
}

static void *run_server(void *argument)
{
    struct test_server *server = argument;
    bool stopping = false;
    while (!stopping) {
        serve_once(server);
        thread_lock(&server->mutex);
        stopping = server->stopping;
        thread_unlock(&server->mutex);
    }
    return NULL;
}

static void wake(struct test_server *server)
{
    uint64_t one = 1;
    (void)!write(server->wake, &one, sizeof one); /* a full counter is awake as well */
}

struct test_server *test_server_new(enum server_script script, const char *answer_text, size_t size)
{
    struct test_server *server = memory_new(sizeof *server);
    for (size_t i = 0; i < CLIENTS; i++) {
        server->clients[i].fd = -1;
    }
    server->listener = listen_on(0, &server->port);
    server->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    server->script = script;
    server->answer = answer_text;
    server->size = size;
    (void)pthread_mutex_init(&server->mutex, NULL);
    if (pthread_create(&server->thread, NULL, run_server, server) != 0) {
        fail("pthread_create");
    }
    return server;
}

void test_server_set(struct test_server *server, enum server_script script, const char *answer_text,
                     size_t size)
{
    thread_lock(&server->mutex);
    server->script = script;
    server->answer = answer_text;
    server->size = size;
    thread_unlock(&server->mutex);
}

void test_server_slow_from(struct test_server *server, size_t at)
{
    thread_lock(&server->mutex);
    server->slow_from = at;
    thread_unlock(&server->mutex);
}

uint16_t test_server_port(const struct test_server *server)
{
    return server->port;
}

unsigned test_server_connections(struct test_server *server)
{
    thread_lock(&server->mutex);
    unsigned connections = server->connections;
    thread_unlock(&server->mutex);
    return connections;
}

void test_server_request(struct test_server *server, char *out, size_t size)
{
    thread_lock(&server->mutex);
    (void)snprintf(out, size, "%s", server->request);
    thread_unlock(&server->mutex);
}

void test_server_down(struct test_server *server)
{
    thread_lock(&server->mutex);
    /* Closing alone would leave it listening while the server's thread polls it. */
    (void)shutdown(server->listener, SHUT_RDWR);
    (void)close(server->listener);
    server->listener = -1;
    for (size_t i = 0; i < CLIENTS; i++) {
        if (server->clients[i].fd >= 0) {
            drop_client(&server->clients[i], true);
        }
    }
    thread_unlock(&server->mutex);
    wake(server);
}

void test_server_up(struct test_server *server)
{
    uint16_t port = 0;
    int listener = listen_on(server->port, &port);
    thread_lock(&server->mutex);
    server->listener = listener;
    thread_unlock(&server->mutex);
    wake(server);
}

void test_server_free(struct test_server *take_server)
{
    thread_lock(&take_server->mutex);
    take_server->stopping = true;
    thread_unlock(&take_server->mutex);
    wake(take_server);
    (void)pthread_join(take_server->thread, NULL);
    for (size_t i = 0; i < CLIENTS; i++) {
        if (take_server->clients[i].fd >= 0) {
            drop_client(&take_server->clients[i], false);
        }
    }
    if (take_server->listener >= 0) {
        (void)close(take_server->listener);
    }
    (void)close(take_server->wake);
    (void)pthread_mutex_destroy(&take_server->mutex);
    free(take_server);
}

uint16_t test_free_port(void)
{
    uint16_t port = 0;
    int fd = listen_on(0, &port);
    (void)close(fd);
    return port;
}

/* ---- checks ---- */

static void put_tags(struct store_txn *txn, const char *id, const char *tags)
{
    struct arena arena CLEANUP(arena_done);
    struct buf json CLEANUP(buf_done);
    arena_init(&arena, 0);
    buf_init(&json, 0);
    buf_puts(&json, "{\"v\":1,\"Tags\":[");
    const char *separator = "";
    const char *rest = tags;
    while (*rest != '\0') {
        int length = (int)strcspn(rest, " ");
        int key = (int)strcspn(rest, "=");
        buf_printf(&json, "%s{\"Key\":\"%.*s\",\"Value\":\"%.*s\"}", separator, key, rest,
                   length - key - 1, rest + key + 1);
        separator = ",";
        rest += length;
        rest += *rest == ' ' ? 1 : 0;
    }
    buf_puts(&json, "]}");
    store_txn_put(txn, path_join(&arena, PATH_CHECK_TAGS, id), buf_text(&json), json.length);
}

static void commit(struct store *store, const struct store_txn *txn)
{
    int64_t revision = 0;
    struct err err = ERR_INIT;
    if (store_commit(store, txn, &revision, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.message);
        abort();
    }
}

void test_put_check(struct store *store, const char *id, const char *config, const char *tags)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    const char *value = arena_printf(&arena,
                                     "{\"v\":1,\"Id\":\"%s\",\"CallerReference\":\"c-%s\","
                                     "\"HealthCheckVersion\":1,\"HealthCheckConfig\":{%s}}",
                                     id, id, config);
    store_txn_put(txn, path_join(&arena, PATH_CHECKS, id), value, strlen(value));
    if (tags != NULL) {
        put_tags(txn, id, tags);
    }
    commit(store, txn);
}

void test_delete_check(struct store *store, const char *id)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    store_txn_delete(txn, path_join(&arena, PATH_CHECKS, id));
    store_txn_delete(txn, path_join(&arena, PATH_CHECK_TAGS, id));
    commit(store, txn);
}

/* ---- the board ---- */

struct board_entry {
    char *id;
    bool healthy;
    bool present;
    unsigned changes;
};

struct test_board {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct board_entry *entries;
    size_t count;
    uint64_t publications;
    uint64_t generation;
    bool in_order;
    struct mono decided;
};

struct test_board *test_board_new(void)
{
    struct test_board *board = memory_new(sizeof *board);
    thread_sync_init(&board->mutex, &board->changed);
    board->in_order = true;
    return board;
}

void test_board_free(struct test_board *take_board)
{
    for (size_t i = 0; i < take_board->count; i++) {
        free(take_board->entries[i].id);
    }
    free(take_board->entries);
    thread_sync_done(&take_board->mutex, &take_board->changed);
    free(take_board);
}

static struct board_entry *board_find(struct test_board *board, const char *id)
{
    for (size_t i = 0; i < board->count; i++) {
        if (text_equal(board->entries[i].id, id)) {
            return &board->entries[i];
        }
    }
    return NULL;
}

void test_board_published(void *context, const struct model_status *status)
{
    struct test_board *board = context;
    thread_lock(&board->mutex);
    board->publications++;
    board->in_order = board->in_order && status->generation == board->generation + 1;
    board->generation = status->generation;
    board->decided = status->decided;
    for (size_t i = 0; i < board->count; i++) {
        board->entries[i].present = false;
    }
    for (size_t i = 0; i < status->count; i++) {
        struct board_entry *entry = board_find(board, status->entries[i].check_id);
        if (entry == NULL) {
            board->entries =
                memory_resize(board->entries, board->count + 1, sizeof *board->entries);
            entry = &board->entries[board->count++];
            *entry = (struct board_entry){.id = memory_strdup(status->entries[i].check_id),
                                          .healthy = status->entries[i].healthy};
        }
        entry->changes += entry->healthy != status->entries[i].healthy ? 1 : 0;
        entry->healthy = status->entries[i].healthy;
        entry->present = true;
    }
    (void)pthread_cond_broadcast(&board->changed);
    thread_unlock(&board->mutex);
}

static bool board_is(struct test_board *board, const char *id, bool present, bool healthy)
{
    const struct board_entry *entry = board_find(board, id);
    if (!present) {
        return entry == NULL || !entry->present;
    }
    return entry != NULL && entry->present && entry->healthy == healthy;
}

static bool board_wait(struct test_board *board, const char *id, bool present, bool healthy,
                       struct mono *ret_decided)
{
    struct mono until = mono_from_now(DEADLINE_MS * TIME_MS);
    thread_lock(&board->mutex);
    while (!board_is(board, id, present, healthy) &&
           thread_wait_until(&board->changed, &board->mutex, until)) {
        /* something else changed */
    }
    bool reached = board_is(board, id, present, healthy);
    if (reached && ret_decided != NULL) {
        *ret_decided = board->decided;
    }
    thread_unlock(&board->mutex);
    return reached;
}

bool test_board_wait(struct test_board *board, const char *id, bool healthy,
                     struct mono *ret_decided)
{
    return board_wait(board, id, true, healthy, ret_decided);
}

bool test_board_wait_gone(struct test_board *board, const char *id)
{
    return board_wait(board, id, false, false, NULL);
}

bool test_board_healthy(struct test_board *board, const char *id)
{
    thread_lock(&board->mutex);
    bool healthy = board_is(board, id, true, true);
    thread_unlock(&board->mutex);
    return healthy;
}

uint64_t test_board_publications(struct test_board *board, bool *ret_in_order)
{
    thread_lock(&board->mutex);
    uint64_t publications = board->publications;
    *ret_in_order = board->in_order;
    thread_unlock(&board->mutex);
    return publications;
}

unsigned test_board_changes(struct test_board *board, const char *id)
{
    thread_lock(&board->mutex);
    const struct board_entry *entry = board_find(board, id);
    unsigned changes = entry != NULL ? entry->changes : 0;
    thread_unlock(&board->mutex);
    return changes;
}

/* ---- odds and ends ---- */

size_t test_open_files(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) {
        fail("/proc/self/fd");
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a directory stream of our own */
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    return count;
}

bool test_wait(bool (*reached)(void *context), void *context)
{
    struct mono start = mono_now();
    while (!reached(context)) {
        if (mono_since(mono_now(), start) > DEADLINE_MS * TIME_MS) {
            return false;
        }
        (void)poll(NULL, 0, 2);
    }
    return true;
}

/* ---- health ---- */

struct health *test_health_start(struct store *store, struct test_board *board)
{
    struct health *health = NULL;
    struct err err = ERR_INIT;
    struct health_config config = {
        .store = store,
        .local = store,
        .node = "node-1",
        .region = "us-east-1",
        .published = test_board_published,
        .context = board,
    };
    if (health_start(&config, &health, &err) != 0) {
        fail(err.message);
    }
    return health;
}

/* ---- seeds ---- */

void test_seeds(unsigned count, void (*run)(uint64_t seed))
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    const char *wanted = getenv("LEEWARD_SEED");
    int64_t seed = 0;
    uint64_t first = 0;
    if (wanted != NULL && text_to_i64(wanted, 1, INT64_MAX, &seed) == 0) {
        run((uint64_t)seed);
        return;
    }
    random_bytes(&first, sizeof first);
    first = (first >> 2U) + 1;
    (void)printf("# seeds from %llu on; LEEWARD_SEED=n runs one again\n",
                 (unsigned long long)first);
    for (unsigned i = 0; i < count; i++) {
        run(first + i);
    }
}
