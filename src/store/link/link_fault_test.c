/* What may go wrong on a link: servers that restart, hang or lie, clients that are hostile, slow or
 * not allowed, answers that are lost. The main thread is the client; servers that lie are threads
 * of this program. Nothing sleeps for a fixed time. */
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "store/link.h"
#include "store/link/stream.h"
#include "store/memory.h"
#include "store/sqlite.h"
#include "store/sqlite/folder.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 120000
#define NOBODY 65534

struct ends {
    char folder[FOLDER_TEXT];
    char path[FOLDER_TEXT + 8];
    struct store *lent;
    struct store_link_server *server;
    struct store *store; /* the client */
    struct arena arena;
    struct err err;
};

static void ok(struct ends *ends, int rc)
{
    if (rc != 0) {
        fail_msg("%s: %s", err_kind_name(ends->err.kind), ends->err.message);
    }
}

static void failed(struct ends *ends, int rc, enum err_kind kind)
{
    assert_int_not_equal(rc, 0);
    if (ends->err.kind != kind) {
        fail_msg("%s instead of %s: %s", err_kind_name(ends->err.kind), err_kind_name(kind),
                 ends->err.message);
    }
    assert_int_equal(rc, ends->err.code);
    err_clear(&ends->err);
}

static void serve(struct ends *ends, const struct store_link_config *settings)
{
    struct store_link_config config = settings != NULL ? *settings : (struct store_link_config){0};
    config.path = ends->path;
    ok(ends, store_link_listen(&config, &ends->server, &ends->err));
    ok(ends, store_link_serve(ends->server, ends->lent, &ends->err));
}

static void stop(struct ends *ends)
{
    store_link_stop(ends->server);
    ends->server = NULL;
}

static int set_up(void **state)
{
    struct ends *ends = memory_new(sizeof *ends);
    folder_make(ends->folder);
    (void)snprintf(ends->path, sizeof ends->path, "%s/link", ends->folder); /* fits */
    arena_init(&ends->arena, 0);
    *state = ends;
    return store_link_open(ends->path, 0, &ends->store, &ends->err);
}

static int tear_down(void **state)
{
    struct ends *ends = *state;
    store_close(ends->store);
    stop(ends);
    store_close(ends->lent);
    arena_done(&ends->arena);
    folder_remove(ends->folder);
    free(ends);
    return 0;
}

static int put(struct store *store, const char *key, const char *text, int64_t *ret_revision,
               struct err *err)
{
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    store_txn_put(txn, key, text, strlen(text));
    return store_commit(store, txn, ret_revision, err);
}

static int64_t must_put(struct ends *ends, const char *key, const char *text)
{
    int64_t revision = 0;
    ok(ends, put(ends->store, key, text, &revision, &ends->err));
    return revision;
}

static struct store_watch *watch(struct ends *ends, const char *prefix, int64_t after)
{
    struct store_watch *one = NULL;
    ok(ends, store_watch_open(ends->store, prefix, after, &one, &ends->err));
    return one;
}

/* The next batch with changes. */
static struct store_batch next(struct ends *ends, struct store_watch *one)
{
    struct store_batch batch = {0};
    while (batch.count == 0) {
        ok(ends, store_watch_next(one, WAIT_MS, &batch, &ends->err));
    }
    return batch;
}

static int raw_connect(const struct ends *ends)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_int_equal(text_copy(address.sun_path, sizeof address.sun_path, ends->path), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* ---- restarts ---- */

static void a_watch_goes_on_where_it_was_when_the_server_is_back(void **state)
{
    struct ends *ends = *state;
    ok(ends, store_sqlite_open(ends->folder, &ends->lent, &ends->err));
    serve(ends, NULL);
    int64_t start = must_put(ends, "w/a", "0");
    struct store_watch *one = watch(ends, "w/", start);
    for (int round = 0; round < 3; round++) {
        char text[8];
        (void)snprintf(text, sizeof text, "%d", round); /* fits */
        int64_t before = must_put(ends, "w/a", text);
        struct store_batch batch = next(ends, one);
        assert_int_equal(batch.count, 1);
        assert_int_equal(batch.changes[0].entry.changed_revision, before);
        stop(ends);
        store_close(ends->lent);
        int64_t revision = 0;
        failed(ends, store_revision(ends->store, &revision, &ends->err), ERR_UNAVAILABLE);
        failed(ends, store_watch_next(one, 20, &batch, &ends->err), ERR_TIMEOUT);
        ok(ends, store_sqlite_open(ends->folder, &ends->lent, &ends->err));
        int64_t missed = 0; /* while the link is down */
        ok(ends, put(ends->lent, "w/b", text, &missed, &ends->err));
        serve(ends, NULL);
        batch = next(ends, one);
        assert_int_equal(batch.count, 1);
        assert_string_equal(batch.changes[0].entry.key, "w/b");
        assert_int_equal(batch.changes[0].entry.changed_revision, missed);
    }
    store_watch_close(one);
}

static void a_store_that_went_back_has_another_history(void **state)
{
    struct ends *ends = *state;
    ends->lent = store_memory_open();
    serve(ends, NULL);
    struct store_batch batch;
    struct store_watch *one = watch(ends, "w/", 0);
    (void)must_put(ends, "w/a", "1");
    (void)must_put(ends, "w/a", "2");
    (void)next(ends, one);
    stop(ends);
    store_close(ends->lent);
    ends->lent = store_memory_open();
    serve(ends, NULL);
    failed(ends, store_watch_next(one, WAIT_MS, &batch, &ends->err), ERR_COMPACTED);
    failed(ends, store_watch_next(one, 0, &batch, &ends->err), ERR_COMPACTED);
    store_watch_close(one);
}

static void *interrupt(void *one)
{
    store_watch_interrupt(one);
    return NULL;
}

static void a_watch_without_a_server_can_be_interrupted(void **state)
{
    struct ends *ends = *state;
    pthread_t thread;
    struct store_batch batch;
    ends->lent = store_memory_open();
    serve(ends, NULL);
    struct store_watch *one = watch(ends, "", 0);
    stop(ends);
    ok(ends, thread_start(&thread, "interrupt", interrupt, one, &ends->err));
    failed(ends, store_watch_next(one, -1, &batch, &ends->err), ERR_CANCELLED);
    thread_join(thread);
    store_watch_close(one);
}

static void leases_outlive_the_link(void **state)
{
    struct ends *ends = *state;
    int64_t lease = 0;
    ends->lent = store_memory_open();
    serve(ends, NULL);
    ok(ends, store_lease_grant(ends->store, 60000, &lease, &ends->err));
    stop(ends);
    failed(ends, store_lease_keepalive(ends->store, lease, &ends->err), ERR_UNAVAILABLE);
    serve(ends, NULL);
    ok(ends, store_lease_keepalive(ends->store, lease, &ends->err));
}

/* ---- slow clients ---- */

static void a_watcher_that_does_not_look_holds_nobody_up(void **state)
{
    struct ends *ends = *state;
    char *value = memory_array(STORE_VALUE_LIMIT + 1, 1);
    (void)memset(value, 'v', STORE_VALUE_LIMIT);
    ends->lent = store_memory_open();
    serve(ends, NULL);
    struct store_watch *lazy = watch(ends, "w/", 0);
    /* Another one asks for more than a socket holds, and does not read it. */
    int fd = raw_connect(ends);
    struct buf out;
    buf_init(&out, 0);
    link_put_request(&out, &(struct link_request){.type = LINK_WATCH, .key = "w/"});
    link_put_request(&out, &(struct link_request){.type = LINK_NEXT, .number = -1});
    assert_int_equal(send(fd, out.data, out.length, MSG_NOSIGNAL), out.length);
    buf_done(&out);
    for (int i = 0; i < 20; i++) {
        (void)must_put(ends, "w/a", value);
    }
    struct store_watch *other = watch(ends, "w/", 0);
    size_t seen = 0;
    while (seen < 20) {
        seen += next(ends, other).count;
    }
    assert_int_equal(seen, 20);
    store_watch_close(other);
    for (seen = 0; seen < 20;) {
        seen += next(ends, lazy).count;
    }
    assert_int_equal(seen, 20);
    store_watch_close(lazy);
    (void)close(fd);
    free(value);
}

static void a_watch_ends_with_its_client(void **state)
{
    struct ends *ends = *state;
    ends->lent = store_memory_open();
    serve(ends, &(struct store_link_config){.connections = 2});
    for (int i = 0; i < 20; i++) { /* more than may be open: each must give its place back */
        struct mono end = mono_from_now(WAIT_MS * TIME_MS);
        struct store_watch *one = NULL;
        int rc = -1;
        while (rc != 0 && mono_since(mono_now(), end) < 0) {
            rc = store_watch_open(ends->store, "w/", 0, &one, &ends->err);
            assert_true(rc == 0 || ends->err.kind == ERR_UNAVAILABLE);
        }
        struct store_batch batch;
        assert_int_equal(rc, 0);
        failed(ends, store_watch_next(one, 1, &batch, &ends->err), ERR_TIMEOUT);
        store_watch_close(one);
    }
}

static void connections_have_a_limit(void **state)
{
    struct ends *ends = *state;
    ends->lent = store_memory_open();
    serve(ends, &(struct store_link_config){.connections = 2});
    struct store_watch *one = watch(ends, "", 0);
    struct store_watch *two = watch(ends, "", 0);
    int64_t revision = 0;
    failed(ends, store_revision(ends->store, &revision, &ends->err), ERR_UNAVAILABLE);
    store_watch_close(one);
    struct mono end = mono_from_now(WAIT_MS * TIME_MS);
    while (store_revision(ends->store, &revision, &ends->err) != 0) {
        assert_true(mono_since(mono_now(), end) < 0);
    }
    store_watch_close(two);
}

/* ---- who may what ---- */

static int one_op(struct store *store, const char *compare, const char *write, const char *prefix,
                  struct err *err)
{
    int64_t revision = 0;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    if (compare != NULL) {
        store_txn_require_absent(txn, compare);
    }
    if (write != NULL) {
        store_txn_put(txn, write, "", 0);
    }
    if (prefix != NULL) {
        store_txn_delete_prefix(txn, prefix);
    }
    return store_commit(store, txn, &revision, err);
}

static void clients_are_kept_to_what_they_are_granted(void **state)
{
    struct ends *ends = *state;
    const struct store_link_grant grants[] = {{.prefix = "db/", .write = true},
                                              {.prefix = "r53/", .write = false}};
    struct store_list lists[2];
    struct store_entry entry;
    struct store_watch *one = NULL;
    size_t count = 0;
    ends->lent = store_memory_open();
    int64_t revision = 0;
    ok(ends, put(ends->lent, "iam/key", "secret", &revision, &ends->err));
    serve(ends, &(struct store_link_config){.grants = grants, .grant_count = 2});
    struct store *store = ends->store;
    struct err *err = &ends->err;
    ok(ends, one_op(store, "r53/zone", "db/a", "db/b/", err));
    ok(ends, store_range(store, "r53/", NULL, 0, &ends->arena, lists, err));
    ok(ends,
       store_ranges(store, (const char *const[]){"db/", "r53/z"}, 2, &ends->arena, lists, err));
    assert_int_equal(lists[0].count, 1);
    failed(ends, store_get(store, "iam/key", &ends->arena, &entry, err), ERR_DENIED);
    failed(ends, store_get(store, "db", &ends->arena, &entry, err), ERR_DENIED);
    failed(ends, store_range(store, "", NULL, 0, &ends->arena, lists, err), ERR_DENIED);
    failed(ends, store_range_values(store, "iam/", NULL, 0, &ends->arena, lists, err), ERR_DENIED);
    failed(ends, store_ranges(store, (const char *const[]){"db/", ""}, 2, &ends->arena, lists, err),
           ERR_DENIED);
    failed(ends, store_count(store, "d", &count, err), ERR_DENIED);
    failed(ends, store_watch_open(store, "", 0, &one, err), ERR_DENIED);
    failed(ends, store_watch_open(store, "iam/", 0, &one, err), ERR_DENIED);
    failed(ends, one_op(store, "iam/key", NULL, NULL, err), ERR_DENIED);
    failed(ends, one_op(store, NULL, "r53/zone", NULL, err), ERR_DENIED);
    failed(ends, one_op(store, NULL, NULL, "d", err), ERR_DENIED);
    failed(ends, one_op(store, NULL, NULL, "", err), ERR_DENIED);
    failed(ends, store_compact(store, 1, err), ERR_DENIED);
    ok(ends, store_get(ends->lent, "iam/key", &ends->arena, &entry, err));
}

/* The type of what comes first from the server, as the user. */
static int greeting_for(const struct ends *ends, uid_t user)
{
    pid_t child = fork();
    if (child == 0) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        uint8_t start[LINK_HEADER] = {0};
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        (void)memcpy(address.sun_path, ends->path, strlen(ends->path));
        bool read_it = setuid(user) == 0 &&
                       connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
                       recv(fd, start, sizeof start, MSG_WAITALL) == (ssize_t)sizeof start;
        _exit(read_it ? start[4] : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WEXITSTATUS(status);
}

static void the_kernel_says_who_connects(void **state)
{
    struct ends *ends = *state;
    if (geteuid() != 0) {
        skip(); /* only root can be somebody else */
    }
    struct stat status;
    const uid_t users[] = {NOBODY};
    ends->lent = store_memory_open();
    assert_int_equal(chmod(ends->folder, 0755), 0);
    serve(ends, NULL);
    assert_int_equal(lstat(ends->path, &status), 0);
    assert_int_equal(status.st_mode & 0777U, 0600);
    assert_int_equal(greeting_for(ends, NOBODY), 0);
    assert_int_equal(chmod(ends->path, 0666), 0);
    assert_int_equal(greeting_for(ends, NOBODY), LINK_FAILED);
    assert_int_equal(greeting_for(ends, 0), LINK_HELLO);
    stop(ends);
    serve(ends, &(struct store_link_config){.users = users, .user_count = 1});
    assert_int_equal(lstat(ends->path, &status), 0);
    assert_int_equal(status.st_mode & 0777U, 0666);
    assert_int_equal(greeting_for(ends, NOBODY), LINK_HELLO);
    assert_int_equal(greeting_for(ends, NOBODY - 1), LINK_FAILED);
}

static void a_socket_has_one_server(void **state)
{
    struct ends *ends = *state;
    const struct store_link_config config = {.path = ends->path};
    struct store_link_server *second = NULL;
    ends->lent = store_memory_open();
    serve(ends, NULL);
    failed(ends, store_link_listen(&config, &second, &ends->err), ERR_EXISTS);
    stop(ends);
    assert_int_equal(access(ends->path, F_OK), -1);
    /* What a killed server leaves goes. */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(text_copy(address.sun_path, sizeof address.sun_path, ends->path), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    (void)close(fd);
    serve(ends, NULL);
    (void)must_put(ends, "a", "1");
}

/* ---- hostile clients ---- */

/* Sends the bytes and reads until the server closes. */
static void send_and_drain(const struct ends *ends, const void *data, size_t size)
{
    char room[4096];
    int fd = raw_connect(ends);
    (void)send(fd, data, size, MSG_NOSIGNAL); /* it may have closed */
    (void)shutdown(fd, SHUT_WR);
    while (recv(fd, room, sizeof room, 0) > 0) {
        /* it answers what it can */
    }
    (void)close(fd);
}

static void garbage_ends_its_connection_only(void **state)
{
    struct ends *ends = *state;
    ends->lent = store_memory_open();
    serve(ends, NULL);
    struct store_watch *one = watch(ends, "", 0);
    const char *const fixed[] = {
        "",
        "GET / HTTP/1.1\r\n\r\n",
        "\xff\xff\xff\xff\x01",
        "\x00\x00",
    };
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
        send_and_drain(ends, fixed[i], strlen(fixed[i]));
    }
    const unsigned char odd[][24] = {
        {0, 0, 0, 0, 0},                                    /* no type */
        {0, 0, 0, 0, LINK_GET},                             /* no key */
        {0, 0, 0, 7, LINK_GET, 0, 0, 0, 2, 'a', 0, 0},      /* a NUL in a key */
        {0, 0, 0, 6, LINK_GET, 0, 0, 0, 1, 'a', 'b'},       /* no NUL behind it */
        {0, 0, 0, 6, LINK_GET, 255, 255, 255, 255, 'a', 0}, /* longer than the frame */
        {0, 0, 0, 8, LINK_COMMIT, 255, 255, 255, 255, 255, 255, 255, 255},
        {0, 0, 0, 8, LINK_NEXT, 0, 0, 0, 0, 0, 0, 0, 1},
        {0, 0, 0, 4, LINK_RANGES, 255, 255, 255, 255},
        {0, 0, 0, 0, LINK_DONE},
        {0, 0, 0, 0, LINK_REVISION, 0, 0, 0, 0, 99},
    };
    for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
        send_and_drain(ends, odd[i], sizeof odd[i]);
    }
    int64_t before = must_put(ends, "a", "1");
    assert_int_equal(next(ends, one).revision, before);
    store_watch_close(one);
}

static void requests_that_are_damaged_anywhere_do_no_harm(void **state)
{
    struct ends *ends = *state;
    struct store_txn *txn = store_txn_new();
    struct buf whole;
    ends->lent = store_memory_open();
    serve(ends, NULL);
    store_txn_require_present(txn, "never/there");
    store_txn_put(txn, "x/a", "value", 5);
    store_txn_delete(txn, "x/b");
    store_txn_delete_prefix(txn, "x/c/");
    buf_init(&whole, 0);
    link_put_request(&whole, &(struct link_request){.type = LINK_COMMIT, .txn = txn});
    link_put_request(&whole, &(struct link_request){.type = LINK_RANGE, .key = "x/", .limit = 3});
    link_put_request(&whole, &(struct link_request){.type = LINK_WATCH, .key = "x/"});
    link_put_request(&whole, &(struct link_request){.type = LINK_NEXT, .number = 0});
    store_txn_free(txn);
    for (size_t i = 0; i < whole.length; i++) {
        char *copy = memory_dup(whole.data, whole.length);
        copy[i] = (char)(copy[i] ^ (1 << i % 8));
        send_and_drain(ends, copy, whole.length);
        send_and_drain(ends, whole.data, i);
        free(copy);
    }
    buf_done(&whole);
    (void)must_put(ends, "a", "1");
}

/* ---- hostile servers ---- */

/* Accepts once after the other: says `hello`, reads a request, says `answer`, reads, says `second`
 * if there is one, and closes (or, with `hang`, waits for the client to do so). */
struct liar {
    int listening;
    const struct buf *hello;
    const struct buf *answer;
    const struct buf *second;
    bool hang;
    pthread_t thread;
};

static void *lie(void *argument)
{
    struct liar *liar = argument;
    for (;;) {
        char room[4096];
        int fd = accept(liar->listening, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        (void)send(fd, buf_text(liar->hello), liar->hello->length, MSG_NOSIGNAL);
        if (recv(fd, room, sizeof room, 0) > 0) {
            (void)send(fd, buf_text(liar->answer), liar->answer->length, MSG_NOSIGNAL);
        }
        if (liar->second != NULL && recv(fd, room, sizeof room, 0) > 0) {
            (void)send(fd, buf_text(liar->second), liar->second->length, MSG_NOSIGNAL);
        }
        while (liar->hang && recv(fd, room, sizeof room, 0) > 0) {
            /* nothing is said any more */
        }
        (void)close(fd);
    }
}

static void start_liar(struct ends *ends, struct liar *liar)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)unlink(ends->path); /* there may be none */
    liar->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(text_copy(address.sun_path, sizeof address.sun_path, ends->path), 0);
    assert_int_equal(bind(liar->listening, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(liar->listening, 8), 0);
    ok(ends, thread_start(&liar->thread, "liar", lie, liar, &ends->err));
}

static void stop_liar(struct ends *ends, struct liar *liar)
{
    (void)shutdown(liar->listening, SHUT_RDWR); /* accept returns */
    thread_join(liar->thread);
    (void)close(liar->listening);
    (void)unlink(ends->path);
}

/* What a client makes of the answer. */
static void try_answer(struct ends *ends, const struct buf *hello, const struct buf *answer,
                       enum err_kind read_kind, enum err_kind commit_kind)
{
    struct liar liar = {.hello = hello, .answer = answer};
    struct store_list list;
    int64_t revision = 0;
    start_liar(ends, &liar);
    failed(ends, store_range(ends->store, "w/", NULL, 0, &ends->arena, &list, &ends->err),
           read_kind);
    failed(ends, put(ends->store, "w/a", "1", &revision, &ends->err), commit_kind);
    stop_liar(ends, &liar);
}

static void put_entries(struct buf *out, const char *key, int64_t revision, size_t count)
{
    const struct store_entry entry = {.key = key, .value = "", .changed_revision = revision};
    struct store_entry entries[2] = {entry, entry};
    size_t begun = link_begin(out, LINK_DONE);
    link_put_number(out, 0);
    link_put_list(out, &(struct store_list){.entries = entries, .count = count, .revision = 9});
    link_end(out, begun);
}

static void what_a_server_says_is_judged(void **state)
{
    struct ends *ends = *state;
    struct buf hello;
    struct buf answer;
    struct buf none;
    buf_init(&hello, 0);
    buf_init(&answer, 0);
    buf_init(&none, 0);
    link_put_hello(&hello, 0);
    /* Nothing after the request: a commit has an unknown end. */
    try_answer(ends, &hello, &none, ERR_UNAVAILABLE, ERR_UNAVAILABLE);
    buf_puts(&answer, "HTTP/1.1 400 Bad Request\r\n");
    try_answer(ends, &hello, &answer, ERR_CORRUPT, ERR_UNAVAILABLE);
    try_answer(ends, &answer, &none, ERR_CORRUPT, ERR_UNAVAILABLE);
    buf_reset(&answer);
    put_entries(&answer, "other/key", 1, 1);
    try_answer(ends, &hello, &answer, ERR_CORRUPT, ERR_UNAVAILABLE);
    buf_reset(&answer);
    put_entries(&answer, "w/twice", 1, 2);
    try_answer(ends, &hello, &answer, ERR_CORRUPT, ERR_UNAVAILABLE);
    buf_reset(&answer);
    put_entries(&answer, "w/key", 1, 1);
    answer.data[answer.length - 1] = 'x';
    answer.data[3]++; /* one byte more than there is */
    try_answer(ends, &hello, &answer, ERR_UNAVAILABLE, ERR_UNAVAILABLE);
    hello.data[5]++;
    try_answer(ends, &hello, &none, ERR_CORRUPT, ERR_UNAVAILABLE);
    hello.data[5]--;
    hello.data[9]++;
    try_answer(ends, &hello, &none, ERR_UNSUPPORTED, ERR_UNSUPPORTED);
    buf_done(&hello);
    buf_done(&answer);
    buf_done(&none);
}

static void a_server_that_hangs_is_waited_for_so_long(void **state)
{
    struct ends *ends = *state;
    struct buf hello;
    struct buf none;
    struct store_entry entry;
    int64_t revision = 0;
    struct store *store = NULL;
    buf_init(&hello, 0);
    buf_init(&none, 0);
    link_put_hello(&hello, 0);
    struct liar liar = {.hello = &hello, .answer = &none, .hang = true};
    start_liar(ends, &liar);
    ok(ends, store_link_open(ends->path, 50, &store, &ends->err));
    struct mono start = mono_now();
    failed(ends, store_get(store, "a", &ends->arena, &entry, &ends->err), ERR_TIMEOUT);
    failed(ends, put(store, "a", "1", &revision, &ends->err), ERR_TIMEOUT);
    struct store_watch *one = NULL;
    failed(ends, store_watch_open(store, "", 0, &one, &ends->err), ERR_TIMEOUT);
    assert_true(mono_since(mono_now(), start) >=
                147 * TIME_MS /* three times 50, less what rounding takes */);
    assert_true(mono_since(mono_now(), start) < 60 * TIME_S);
    store_close(store);
    stop_liar(ends, &liar);
    buf_done(&hello);
    buf_done(&none);
}

/* Batches that break the promises of a watch never reach who watches. */
static void a_watch_takes_no_batch_that_cannot_be(void **state)
{
    struct ends *ends = *state;
    const struct {
        const char *key;
        int64_t changed;
        int64_t revision;
    } cases[] = {
        {"v/a", 8, 9},  /* not under the prefix */
        {"w/a", 5, 9},  /* was delivered before */
        {"w/a", 10, 9}, /* not yet */
        {"w/a", 4, 4},  /* all of it */
        {"w/a", 8, 9},  /* would be fine, but nobody has asked */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        bool early = i + 1 == ARRAY_SIZE(cases);
        struct buf hello;
        struct buf answer;
        struct buf second;
        const struct store_change change = {
            .type = STORE_PUT,
            .entry = {.key = cases[i].key, .value = "", .changed_revision = cases[i].changed}};
        const struct store_batch batch = {
            .revision = cases[i].revision, .changes = &change, .count = 1};
        buf_init(&hello, 0);
        buf_init(&answer, 0);
        buf_init(&second, 0);
        link_put_hello(&hello, 0);
        size_t begun = link_begin(&answer, LINK_DONE);
        link_put_number(&answer, 0);
        link_end(&answer, begun);
        begun = link_begin(&second, LINK_BATCH);
        link_put_number(&second, 0);
        link_put_batch(&second, &batch);
        link_end(&second, begun);
        if (early) {
            buf_put(&answer, second.data, second.length);
        }
        struct liar liar = {
            .hello = &hello, .answer = &answer, .second = early ? NULL : &second, .hang = true};
        start_liar(ends, &liar);
        struct store_watch *one = watch(ends, "w/", 5);
        struct store_batch taken;
        failed(ends, store_watch_next(one, WAIT_MS, &taken, &ends->err), ERR_CORRUPT);
        store_watch_close(one);
        stop_liar(ends, &liar);
        buf_done(&hello);
        buf_done(&answer);
        buf_done(&second);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_watch_goes_on_where_it_was_when_the_server_is_back),
        TEST(a_store_that_went_back_has_another_history),
        TEST(a_watch_without_a_server_can_be_interrupted),
        TEST(leases_outlive_the_link),
        TEST(a_watcher_that_does_not_look_holds_nobody_up),
        TEST(a_watch_ends_with_its_client),
        TEST(connections_have_a_limit),
        TEST(clients_are_kept_to_what_they_are_granted),
        TEST(the_kernel_says_who_connects),
        TEST(a_socket_has_one_server),
        TEST(garbage_ends_its_connection_only),
        TEST(requests_that_are_damaged_anywhere_do_no_harm),
        TEST(what_a_server_says_is_judged),
        TEST(a_server_that_hangs_is_waited_for_so_long),
        TEST(a_watch_takes_no_batch_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
