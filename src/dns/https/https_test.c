/* Tests of HTTP for DNS without a socket: a client's bytes in, what comes out compared. HTTP/2 is
 * spoken by a client of nghttp2's; hostile frames are written by hand. */
#include "dns/https/https.h"

#include "dns/https/response.h"

#include <nghttp2/nghttp2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define QUERY "AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB" /* of RFC 8484 section 4.1.1 */
#define QUERY_SIZE 33U
#define GET_LINE "GET /dns-query?dns=" QUERY " HTTP/1.1\r\n"
#define HOST "Host: example.com\r\n"

static uint8_t output[HTTPS_OUTPUT_LEAST];
static uint8_t scratch[HTTPS_MESSAGE_MOST];

struct answers {
    unsigned count;
    size_t size;  /* of the last query */
    size_t extra; /* zeroes behind the response */
    bool none;
    uint8_t query[HTTPS_QUERY_MOST];
};

/* The query as its own response, with one record of TTL 77 where it has room for one. */
static size_t answer(void *context, const uint8_t *query, size_t size, uint8_t *out)
{
    static const uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 77, 0, 4, 192, 0, 2, 1};
    struct answers *answers = context;
    answers->count++;
    answers->size = size;
    assert_true(size <= sizeof answers->query);
    (void)memcpy(answers->query, query, size);
    if (answers->none || size < 12) {
        return 0;
    }
    (void)memset(out, 0, size + sizeof record + answers->extra);
    (void)memcpy(out, query, size);
    (void)memcpy(out + size, record, sizeof record);
    out[2] |= 0x80U;
    out[7] = 1;
    return size + sizeof record + answers->extra;
}

static struct https_service service_of(struct answers *answers)
{
    return (struct https_service){.answer = answer,
                                  .context = answers,
                                  .date = "Sat, 21 Nov 2026 16:00:00 GMT",
                                  .scratch = scratch};
}

/* ---- HTTP/1.1 ---- */

/* What comes back for the text, in pieces of a size; the connection is freed. */
static const char *talk(const char *text, size_t size, size_t piece, struct answers *answers,
                        bool *ret_over)
{
    static char all[1U << 20U];
    struct https_service service = service_of(answers);
    struct https *https = https_new(false);
    assert_non_null(https);
    size_t used = 0;
    for (size_t at = 0; at < size && !https_is_over(https); at += piece) {
        size_t now = piece < size - at ? piece : size - at;
        assert_true(https_receive(https, (const uint8_t *)text + at, now));
        bool more = true;
        while (more) {
            size_t got = https_produce(https, &service, output, sizeof output, &more);
            assert_true(used + got < sizeof all);
            (void)memcpy(all + used, output, got);
            used += got;
        }
    }
    all[used] = '\0';
    *ret_over = https_is_over(https);
    https_free(https);
    return all;
}

static const char *ask(const char *text, struct answers *answers, bool *ret_over)
{
    return talk(text, strlen(text), HTTPS_INPUT_MOST, answers, ret_over);
}

static unsigned count_of(const char *text, const char *wanted)
{
    unsigned count = 0;
    for (const char *at = strstr(text, wanted); at != NULL; at = strstr(at + 1, wanted)) {
        count++;
    }
    return count;
}

static void http1_get_is_answered_with_its_freshness(void **state)
{
    (void)state;
    struct answers answers = {0};
    bool over = true;
    const char *got = ask(GET_LINE HOST "\r\n", &answers, &over);
    assert_false(over);
    assert_int_equal(answers.size, QUERY_SIZE);
    static const char head[] = "HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 16:00:00 GMT\r\n"
                               "content-type: application/dns-message\r\ncontent-length: 49\r\n"
                               "cache-control: max-age=77\r\n\r\n";
    assert_memory_equal(got, head, sizeof head - 1);
    assert_memory_equal(answers.query + 12, "\3www\7example\3com", 17);
}

static void http1_posts_are_taken_in_pieces_of_any_size(void **state)
{
    (void)state;
    char text[512];
    int head = snprintf(text, sizeof text,
                        "POST /dns-query HTTP/1.1\r\n" HOST
                        "Content-Type: Application/DNS-Message; x=y\r\nContent-Length: 40\r\n\r\n");
    for (int i = 0; i < 40; i++) {
        text[head + i] = (char)(i == 13 ? '\r' : i);
    }
    size_t size = (size_t)head + 40;
    (void)memcpy(text + size, text, size); /* and once more behind it */
    size *= 2;
    for (size_t piece = 1; piece <= size; piece++) {
        struct answers answers = {0};
        bool over = true;
        const char *got = talk(text, size, piece, &answers, &over);
        assert_int_equal(count_of(got, "HTTP/1.1 200"), 1); /* a message's zeroes end the text */
        assert_int_equal(answers.count, 2);
        assert_int_equal(answers.size, 40);
        assert_memory_equal(answers.query, text + head, 40);
        assert_false(over);
    }
}

struct refusal {
    const char *request;
    unsigned status;
    bool over;
};

static void http1_refusals_say_why(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"GET /dns-query HTTP/1.1\r\n" HOST "\r\n", 400, false},
        {"GET /dns-query?dns= HTTP/1.1\r\n" HOST "\r\n", 400, false},
        {"GET /dns-query?dns=AAAA= HTTP/1.1\r\n" HOST "\r\n", 400, false},
        {"GET /dns-query?dns=AAAAA HTTP/1.1\r\n" HOST "\r\n", 400, false},
        {"GET /dns-query?dns=AAAB+A HTTP/1.1\r\n" HOST "\r\n", 400, false},
        {"GET /dns-query?dns=AB HTTP/1.1\r\n" HOST "\r\n", 400, false},
        {"GET /dns-query?dns=AAAA&dns=AAAA HTTP/1.1\r\n" HOST "\r\n", 400, false},
        {"GET /dns-query?dns=AAAA HTTP/1.1\r\n" HOST "\r\n", 400, false}, /* no answer to that */
        {"GET / HTTP/1.1\r\n" HOST "\r\n", 404, false},
        {"GET /dns-queryx?dns=AAAA HTTP/1.1\r\n" HOST "\r\n", 404, false},
        {"PUT /dns-query HTTP/1.1\r\n" HOST "\r\n", 405, false},
        {"HEAD /dns-query?dns=" QUERY " HTTP/1.1\r\n" HOST "\r\n", 405, false},
        {"POST /dns-query HTTP/1.1\r\n" HOST
         "content-type: text/plain\r\ncontent-length: 1\r\n\r\nx",
         415, false},
        {"POST /dns-query HTTP/1.1\r\n" HOST "content-length: 1\r\n\r\nx", 415, false},
        {"POST /dns-query HTTP/1.1\r\n" HOST "content-type: application/dns-message\r\n\r\n", 400,
         false},
        {"POST /dns-query HTTP/1.1\r\n" HOST "content-length: 4097\r\n\r\n", 413, true},
        {"POST /dns-query HTTP/1.1\r\n" HOST "content-length: 99999999999999999999\r\n\r\n", 400,
         true},
        {"POST /dns-query HTTP/1.1\r\n" HOST "content-length: -1\r\n\r\n", 400, true},
        {"POST /dns-query HTTP/1.1\r\n" HOST "content-length: 1\r\ncontent-length: 2\r\n\r\n", 400,
         true},
        {"POST /dns-query HTTP/1.1\r\n" HOST
         "content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
         411, true},
        {"GET /dns-query HTTP/1.1\r\n\r\n", 400, true},
        {"GET /dns-query HTTP/1.1\r\n" HOST HOST "\r\n", 400, true},
        {"GET /dns-query HTTP/1.1\r\n" HOST "a : b\r\n\r\n", 400, true},
        {"GET /dns-query HTTP/1.1\r\n" HOST " folded\r\n\r\n", 400, true},
        {"GET /dns-query HTTP/1.1\r\n" HOST "x\r\n\r\n", 400, true},
        {"GET /dns-query HTTP/1.1\nhost: x\r\n\r\n", 400, true},
        {"GET /dns-query HTTP/2.0\r\n" HOST "\r\n", 505, true},
        {"GET  /dns-query HTTP/1.1\r\n" HOST "\r\n", 400, true},
        {"GET /dns-query\r\n" HOST "\r\n", 400, true},
        {"\x16\x03\x01\x02\r\n\r\n", 400, true},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct answers answers = {0};
        bool over = false;
        char wanted[32];
        (void)snprintf(wanted, sizeof wanted, "HTTP/1.1 %u ", refusals[i].status);
        const char *got = ask(refusals[i].request, &answers, &over);
        if (strstr(got, wanted) != got || over != refusals[i].over) {
            fail_msg("%s: %s", refusals[i].request, got);
        }
        assert_int_equal(strstr(got, "allow: GET, POST\r\n") != NULL, refusals[i].status == 405);
        assert_int_equal(strstr(got, "connection: close\r\n") != NULL, over);
    }
}

static void http1_requests_follow_each_other_in_order(void **state)
{
    (void)state;
    struct answers answers = {0};
    bool over = true;
    const char *got = ask("\r\nGET /a HTTP/1.1\r\n" HOST "\r\nPUT /dns-query HTTP/1.1\r\n" HOST
                          "\r\nGET /b HTTP/1.1\r\n" HOST "Connection: x, Close\r\n\r\n" GET_LINE,
                          &answers, &over);
    assert_true(over);
    assert_int_equal(count_of(got, "HTTP/1.1 "), 3);
    assert_true(strstr(got, "404") < strstr(got, "405"));
    assert_int_equal(answers.count, 0);
}

static void http1_old_absolute_and_expecting_clients_are_served(void **state)
{
    (void)state;
    struct answers answers = {0};
    bool over = false;
    assert_non_null(
        strstr(ask("GET https://x.example/dns-query?a=b&dns=" QUERY " HTTP/1.1\r\n" HOST "\r\n",
                   &answers, &over),
               " 200 "));
    assert_false(over);
    assert_non_null(
        strstr(ask("GET /dns-query?dns=" QUERY " HTTP/1.0\r\n\r\n", &answers, &over), " 200 "));
    assert_true(over);
    assert_string_equal(ask("POST /dns-query HTTP/1.1\r\n" HOST
                            "content-type: application/dns-message\r\nexpect: 100-continue\r\n"
                            "content-length: 33\r\n\r\n",
                            &answers, &over),
                        "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(answers.count, 2);
}

static void http1_headers_are_bounded(void **state)
{
    (void)state;
    static char text[3 * HTTPS_HEADERS_MOST];
    struct answers answers = {0};
    bool over = false;
    int length = snprintf(text, sizeof text, GET_LINE HOST "x: ");
    (void)memset(text + length, 'x', sizeof text - (size_t)length);
    const char *got = talk(text, sizeof text, 1000, &answers, &over);
    assert_true(over && strstr(got, "HTTP/1.1 431 ") == got);
    size_t size = 0;
    while (size < HTTPS_HEADERS_MOST - 100) { /* many small ones: each has its overhead */
        size +=
            (size_t)snprintf(text + size, sizeof text - size, size == 0 ? GET_LINE HOST : "a:\r\n");
    }
    size += (size_t)snprintf(text + size, sizeof text - size, "\r\n");
    got = talk(text, size, HTTPS_INPUT_MOST, &answers, &over);
    assert_true(over && strstr(got, "HTTP/1.1 431 ") == got);
    assert_int_equal(answers.count, 0);
}

/* ---- HTTP/2 ---- */

struct client {
    nghttp2_session *session;
    struct https *https;
    struct https_service service;
    unsigned statuses[600];
    size_t bytes;     /* of bodies */
    unsigned closed;  /* streams */
    unsigned refused; /* of them, with REFUSED_STREAM */
    uint32_t goaway;  /* its code, 1 more */
    char cache[64];
};

static int client_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                         size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                         void *argument)
{
    (void)session;
    (void)frame;
    (void)flags;
    struct client *client = argument;
    if (name_size == 7 && memcmp(name, ":status", 7) == 0) {
        client->statuses[(value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0')]++;
    } else if (name_size == 13 && memcmp(name, "cache-control", 13) == 0) {
        (void)snprintf(client->cache, sizeof client->cache, "%.*s", (int)value_size, value);
    }
    return 0;
}

static int client_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                       size_t size, void *argument)
{
    (void)session;
    (void)flags;
    (void)id;
    (void)data;
    ((struct client *)argument)->bytes += size;
    return 0;
}

static int client_close(nghttp2_session *session, int32_t id, uint32_t error, void *argument)
{
    (void)session;
    (void)id;
    struct client *client = argument;
    client->closed++;
    client->refused += error == NGHTTP2_REFUSED_STREAM;
    return 0;
}

static int client_frame(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        ((struct client *)argument)->goaway = frame->goaway.error_code + 1;
    }
    return 0;
}

static void client_open(struct client *client, struct answers *answers, uint32_t window)
{
    *client = (struct client){.https = https_new(true), .service = service_of(answers)};
    assert_non_null(client->https);
    nghttp2_session_callbacks *callbacks = NULL;
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, client_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, client_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, client_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, client_frame);
    assert_int_equal(nghttp2_session_client_new(&client->session, callbacks, client), 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_settings_entry settings = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};
    assert_int_equal(nghttp2_submit_settings(client->session, 0, &settings, 1), 0);
}

static void client_done(struct client *client)
{
    nghttp2_session_del(client->session);
    https_free(client->https);
}

/* Bytes both ways until neither has more; false when the server hung up. */
static bool exchange(struct client *client)
{
    bool moved = true;
    while (moved) {
        moved = false;
        const uint8_t *data = NULL;
        ssize_t size = nghttp2_session_mem_send(client->session, &data);
        assert_true(size >= 0);
        for (ssize_t at = 0; at < size; at += HTTPS_INPUT_MOST) {
            size_t piece =
                (size_t)(size - at) < HTTPS_INPUT_MOST ? (size_t)(size - at) : HTTPS_INPUT_MOST;
            if (!https_receive(client->https, data + at, piece)) {
                return false;
            }
            moved = true;
        }
        bool more = true;
        while (more) {
            size_t got =
                https_produce(client->https, &client->service, output, sizeof output, &more);
            assert_true(got <= sizeof output);
            assert_int_equal(nghttp2_session_mem_recv(client->session, output, got), got);
            moved = moved || got != 0;
        }
    }
    return !https_is_over(client->https);
}

static nghttp2_nv pair(const char *name, const char *value)
{
    const union {
        const char *text;
        uint8_t *bytes;
    } names = {name}, values = {value};
    return (nghttp2_nv){names.bytes, values.bytes, strlen(name), strlen(value),
                        NGHTTP2_NV_FLAG_NONE};
}

struct body {
    size_t left;
    bool stuck; /* there is more, but not now */
};

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *argument)
{
    (void)session;
    (void)id;
    (void)argument;
    struct body *body = source->ptr;
    if (body->left == 0 && body->stuck) {
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t taken = body->left < size ? body->left : size;
    (void)memset(out, 0, taken);
    body->left -= taken;
    *flags |= body->left == 0 && !body->stuck ? NGHTTP2_DATA_FLAG_EOF : 0U;
    return (ssize_t)taken;
}

static int32_t request(struct client *client, const char *method, const char *path,
                       const char *type, struct body *body)
{
    nghttp2_nv fields[5] = {pair(":method", method), pair(":scheme", "https"),
                            pair(":authority", "x"), pair(":path", path)};
    size_t count = 4;
    if (type != NULL) {
        fields[count++] = pair("content-type", type);
    }
    nghttp2_data_provider provider = {.source.ptr = body, .read_callback = read_body};
    int32_t id = nghttp2_submit_request(client->session, NULL, fields, count,
                                        body != NULL ? &provider : NULL, NULL);
    assert_true(id > 0);
    return id;
}

#define PATH HTTPS_PATH "?dns=" QUERY
#define TYPE "application/dns-message"

static void http2_gets_and_posts_are_answered(void **state)
{
    (void)state;
    struct answers answers = {0};
    struct client client;
    client_open(&client, &answers, 65535);
    struct body body = {.left = 40};
    (void)request(&client, "POST", HTTPS_PATH, TYPE, &body);
    assert_true(exchange(&client));
    (void)request(&client, "GET", PATH, NULL, NULL);
    assert_true(exchange(&client));
    assert_int_equal(client.statuses[200], 2);
    assert_int_equal(client.closed, 2);
    assert_int_equal(client.bytes, 49 + 56);
    assert_string_equal(client.cache, "max-age=77");
    assert_int_equal(client.service.answered, 2);
    client_done(&client);
}

static void http2_refusals_say_why(void **state)
{
    (void)state;
    struct answers answers = {0};
    struct client client;
    client_open(&client, &answers, 65535);
    struct body bodies[] = {
        {.left = 40}, {.left = HTTPS_QUERY_MOST + 1}, {.left = 40}, {.left = 3}};
    (void)request(&client, "GET", "/", NULL, NULL);
    (void)request(&client, "DELETE", PATH, NULL, NULL);
    (void)request(&client, "GET", HTTPS_PATH "?dns=A", NULL, NULL);
    (void)request(&client, "POST", HTTPS_PATH, "text/html", &bodies[0]);
    (void)request(&client, "POST", HTTPS_PATH, TYPE, &bodies[1]);
    (void)request(&client, "POST", PATH, TYPE, &bodies[2]);       /* the body counts */
    (void)request(&client, "POST", HTTPS_PATH, TYPE, &bodies[3]); /* no answer to that */
    static char path[HTTPS_HEADERS_MOST];
    int length = snprintf(path, sizeof path, HTTPS_PATH "?dns=");
    (void)memset(path + length, 'A', 5600);
    (void)request(&client, "GET", path, NULL, NULL);
    (void)memset(path + length, 'A', sizeof path - 1 - (size_t)length);
    (void)request(&client, "GET", path, NULL, NULL);
    assert_true(exchange(&client));
    assert_int_equal(client.statuses[404], 1);
    assert_int_equal(client.statuses[405], 1);
    assert_int_equal(client.statuses[400], 2);
    assert_int_equal(client.statuses[415], 1);
    assert_int_equal(client.statuses[413], 1);
    assert_int_equal(client.statuses[414], 1);
    assert_int_equal(client.statuses[431], 1);
    assert_int_equal(client.statuses[200], 1);
    assert_int_equal(answers.count, 2);
    assert_int_equal(client.service.refused, 8);
    client_done(&client);
}

static void http2_responses_that_are_not_taken_make_queries_wait(void **state)
{
    (void)state;
    struct answers answers = {.extra = 20000};
    struct client client;
    client_open(&client, &answers, 0);
    for (int i = 0; i < 90; i++) {
        (void)request(&client, "GET", PATH, NULL, NULL);
    }
    assert_true(exchange(&client));
    assert_true(answers.count <= HTTPS_RESPONSES_MOST / 20000 + 1);
    assert_int_equal(client.bytes, 0);
    nghttp2_settings_entry settings = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 65535};
    assert_int_equal(nghttp2_submit_settings(client.session, 0, &settings, 1), 0);
    assert_true(exchange(&client));
    assert_int_equal(answers.count, 90);
    assert_int_equal(client.bytes, 90 * (20000 + 49));
    client_done(&client);
}

static void http2_queries_that_never_end_are_bounded(void **state)
{
    (void)state;
    struct answers answers = {0};
    struct client client;
    client_open(&client, &answers, 65535);
    static struct body bodies[60];
    for (size_t i = 0; i < 60; i++) {
        bodies[i] = (struct body){.left = HTTPS_QUERY_MOST, .stuck = true};
        (void)request(&client, "POST", HTTPS_PATH, TYPE, &bodies[i]);
    }
    assert_true(exchange(&client));
    assert_int_equal(client.refused, 60 - HTTPS_HELD_MOST / HTTPS_QUERY_MOST);
    (void)request(&client, "GET", "/", NULL, NULL);
    assert_true(exchange(&client));
    assert_int_equal(client.statuses[404], 1);
    client_done(&client);
}

static void http2_streams_that_are_reset_over_and_over_end_the_connection(void **state)
{
    (void)state;
    struct answers answers = {0};
    struct client client;
    client_open(&client, &answers, 65535);
    bool alive = true;
    unsigned resets = 0;
    for (; resets < 2 * HTTPS_FRAMES_MOST && alive && client.goaway == 0; resets++) {
        struct body body = {.stuck = true};
        int32_t id = request(&client, "POST", HTTPS_PATH, TYPE, &body);
        const uint8_t *data = NULL;
        ssize_t size = 0;
        while (alive && (size = nghttp2_session_mem_send(client.session, &data)) > 0) {
            alive = https_receive(client.https, data, (size_t)size);
        }
        assert_int_equal(nghttp2_submit_rst_stream(client.session, 0, id, NGHTTP2_CANCEL), 0);
        alive = alive && exchange(&client);
    }
    assert_false(alive);
    assert_true(resets <= HTTPS_FRAMES_MOST);
    assert_int_equal(client.goaway, NGHTTP2_ENHANCE_YOUR_CALM + 1);
    assert_int_equal(answers.count, 0);
    client_done(&client);
}

/* Sends raw frames until the server hangs up; how many it took. */
static unsigned flood(const uint8_t *frame, size_t size, unsigned most)
{
    static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    struct answers answers = {0};
    struct https_service service = service_of(&answers);
    struct https *https = https_new(true);
    assert_true(https_receive(https, preface, sizeof preface));
    unsigned sent = 0;
    bool alive = true;
    for (; alive && sent < most; sent++) {
        alive = https_receive(https, frame, size);
        bool more = alive;
        while (more) {
            (void)https_produce(https, &service, output, sizeof output, &more);
        }
        alive = alive && !https_is_over(https);
    }
    https_free(https);
    return sent;
}

static void http2_floods_of_small_frames_end_the_connection(void **state)
{
    (void)state;
    static const uint8_t ping[] = {0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
    static const uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    static const uint8_t window[] = {0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    static const uint8_t priority[] = {0, 0, 5, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    assert_true(flood(ping, sizeof ping, 5000) <= HTTPS_FRAMES_MOST + 1);
    assert_true(flood(settings, sizeof settings, 5000) <= HTTPS_FRAMES_MOST + 1);
    assert_true(flood(window, sizeof window, 5000) <= HTTPS_FRAMES_MOST + 1);
    assert_true(flood(priority, sizeof priority, 5000) <= HTTPS_FRAMES_MOST + 1);
}

static void http2_headers_are_bounded(void **state)
{
    (void)state;
    /* HEADERS without END_HEADERS, then CONTINUATION without an end. */
    static uint8_t frames[64 * 1024];
    static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    static const uint8_t headers[] = {0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82};
    static const uint8_t more[] = {0, 0, 0, 9, 0, 0, 0, 0, 1};
    struct answers answers = {0};
    struct https_service service = service_of(&answers);
    struct https *https = https_new(true);
    assert_true(https_receive(https, preface, sizeof preface));
    assert_true(https_receive(https, headers, sizeof headers));
    size_t count = 1000;
    for (size_t i = 0; i < count; i++) {
        (void)memcpy(frames + i * sizeof more, more, sizeof more);
    }
    bool alive = https_receive(https, frames, count * sizeof more);
    bool again = alive;
    while (again) {
        (void)https_produce(https, &service, output, sizeof output, &again);
    }
    assert_true(!alive || https_is_over(https));
    https_free(https);
}

/* ---- freshness ---- */

#define HEADER(flags, rcode, answers, authorities)                                                 \
    0, 0, 0x80 | (flags), rcode, 0, 1, 0, answers, 0, authorities, 0, 0, 1, 'a', 0, 0, 1, 0, 1
#define RECORD_A(ttl) 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, ttl, 0, 4, 192, 0, 2, 1
#define RECORD_NS(ttl) 0, 0, 2, 0, 1, 0, 0, 0, ttl, 0, 1, 0
#define RECORD_SOA(ttl, minimum)                                                                   \
    0, 0, 6, 0, 1, 0, 0, 0, ttl, 0, 22, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0,   \
        0, 0, minimum

static void freshness_is_the_smallest_ttl_or_that_of_the_denial(void **state)
{
    (void)state;
    static const uint8_t answers[] = {HEADER(0, 0, 2, 1), RECORD_A(60), RECORD_A(30), RECORD_NS(5)};
    static const uint8_t denial[] = {HEADER(0, 3, 0, 1), RECORD_SOA(90, 40)};
    static const uint8_t nodata[] = {HEADER(0, 0, 0, 1), RECORD_SOA(20, 40)};
    static const uint8_t referral[] = {HEADER(0, 0, 0, 1), RECORD_NS(5)};
    static const uint8_t refused[] = {HEADER(0, 5, 1, 0), RECORD_A(60)};
    static const uint8_t truncated[] = {HEADER(2, 0, 1, 0), RECORD_A(60)};
    assert_int_equal(response_freshness(answers, sizeof answers), 30);
    assert_int_equal(response_freshness(denial, sizeof denial), 40);
    assert_int_equal(response_freshness(nodata, sizeof nodata), 20);
    assert_int_equal(response_freshness(referral, sizeof referral), 0);
    assert_int_equal(response_freshness(refused, sizeof refused), 0);
    assert_int_equal(response_freshness(truncated, sizeof truncated), 0);
    for (size_t size = 0; size < sizeof denial; size++) {
        assert_int_equal(response_freshness(denial, size), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(http1_get_is_answered_with_its_freshness),
        cmocka_unit_test(http1_posts_are_taken_in_pieces_of_any_size),
        cmocka_unit_test(http1_refusals_say_why),
        cmocka_unit_test(http1_requests_follow_each_other_in_order),
        cmocka_unit_test(http1_old_absolute_and_expecting_clients_are_served),
        cmocka_unit_test(http1_headers_are_bounded),
        cmocka_unit_test(http2_gets_and_posts_are_answered),
        cmocka_unit_test(http2_refusals_say_why),
        cmocka_unit_test(http2_responses_that_are_not_taken_make_queries_wait),
        cmocka_unit_test(http2_queries_that_never_end_are_bounded),
        cmocka_unit_test(http2_streams_that_are_reset_over_and_over_end_the_connection),
        cmocka_unit_test(http2_floods_of_small_frames_end_the_connection),
        cmocka_unit_test(http2_headers_are_bounded),
        cmocka_unit_test(freshness_is_the_smallest_ttl_or_that_of_the_denial),
    };
    return cmocka_run_group_tests_name("dns https", tests, NULL, NULL);
}
