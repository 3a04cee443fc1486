/* HTTP/2: see http2.h. Called by https.c. The session calls back within receive and produce; a
 * stream belongs to it from its header to its close. Invariant: a stream is in the queue from the
 * end of its request until it is answered or closed, and `held` and `untaken` are the sums over all
 * streams. */
#include "dns/https/http2.h"

#include "dns/https/request.h"
#include "dns/https/response.h"

#include <assert.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 16384U /* of a stream: more than any query */
#define ACKS_MOST 64U
#define NUMBER_TEXT 24U

struct stream {
    struct request request;
    struct stream *next;  /* in the queue */
    struct stream *later; /* in the list of all */
    struct stream **link; /* what points at this one there */
    int32_t id;
    bool waiting; /* in the queue */
    uint8_t *response;
    size_t response_size;
    size_t response_at;
};

struct http2 {
    nghttp2_session *session;
    struct stream *all;
    struct stream *first; /* whole requests, in the order they came */
    struct stream *last;
    size_t held;          /* bytes of queries */
    size_t untaken;       /* bytes of responses */
    unsigned frames;      /* without an answer between them */
    const uint8_t *chunk; /* of the session: what did not fit into out */
    size_t chunk_size;
    bool broken;
};

/* ---- streams ---- */

static void enqueue(struct http2 *http2, struct stream *stream)
{
    stream->waiting = true;
    stream->next = NULL;
    if (http2->last != NULL) {
        http2->last->next = stream;
    } else {
        http2->first = stream;
    }
    http2->last = stream;
}

static void dequeue(struct http2 *http2, struct stream *stream)
{
    struct stream *before = NULL;
    for (struct stream *other = http2->first; other != stream; other = other->next) {
        before = other;
    }
    *(before != NULL ? &before->next : &http2->first) = stream->next;
    http2->last = http2->last == stream ? before : http2->last;
    stream->waiting = false;
}

static void drop_query(struct http2 *http2, struct stream *stream)
{
    http2->held -= stream->request.query_capacity;
    request_done(&stream->request);
}

static void drop_response(struct http2 *http2, struct stream *stream)
{
    http2->untaken -= stream->response_size;
    free(stream->response);
    stream->response = NULL;
    stream->response_size = 0;
}

static void stream_free(struct http2 *http2, struct stream *stream)
{
    if (stream->waiting) {
        dequeue(http2, stream);
    }
    drop_query(http2, stream);
    drop_response(http2, stream);
    *stream->link = stream->later;
    if (stream->later != NULL) {
        stream->later->link = stream->link;
    }
    free(stream);
}

static struct stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* ---- what the session tells ---- */

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *header, void *argument)
{
    (void)session;
    (void)header;
    struct http2 *http2 = argument;
    http2->frames++;
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
    struct http2 *http2 = argument;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    stream->id = frame->hd.stream_id;
    if (nghttp2_session_set_stream_user_data(session, stream->id, stream) != 0) {
        free(stream); /* no such stream: it cannot be */
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    stream->later = http2->all;
    stream->link = &http2->all;
    if (stream->later != NULL) {
        stream->later->link = &stream->later;
    }
    http2->all = stream;
    return 0;
}

/* Counts the bytes that the request took since its query had `before`. */
static int hold(struct http2 *http2, nghttp2_session *session, struct stream *stream, size_t before)
{
    http2->held += stream->request.query_capacity - before;
    if (http2->held <= HTTPS_HELD_MOST) {
        return 0;
    }
    drop_query(http2, stream);
    return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream->id,
                                     NGHTTP2_REFUSED_STREAM) == 0
               ? 0
               : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static bool is_name(const uint8_t *name, size_t size, const char *wanted)
{
    return size == strlen(wanted) && memcmp(name, wanted, size) == 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *argument)
{
    (void)flags;
    struct http2 *http2 = argument;
    struct stream *stream = stream_of(session, frame->hd.stream_id);
    if (stream == NULL || frame->headers.cat != NGHTTP2_HCAT_REQUEST ||
        !request_header(&stream->request, name_size, value_size)) {
        return 0;
    }
    struct request *request = &stream->request;
    const char *text = (const char *)value;
    size_t before = request->query_capacity;
    if (is_name(name, name_size, ":method")) {
        request_method(request, text, value_size);
    } else if (is_name(name, name_size, ":path")) {
        request_target(request, text, value_size);
    } else if (is_name(name, name_size, "content-type")) {
        request_content_type(request, text, value_size);
    }
    return hold(http2, session, stream, before);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t size, void *argument)
{
    (void)flags;
    struct http2 *http2 = argument;
    struct stream *stream = stream_of(session, id);
    if (stream == NULL || stream->waiting) {
        return 0;
    }
    size_t before = stream->request.query_capacity;
    request_body(&stream->request, data, size);
    return hold(http2, session, stream, before);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
    bool request = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (!request || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        return 0;
    }
    struct stream *stream = stream_of(session, frame->hd.stream_id);
    if (stream != NULL && !stream->waiting) {
        enqueue(argument, stream);
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *argument)
{
    (void)error;
    struct stream *stream = stream_of(session, id);
    if (stream != NULL) {
        (void)nghttp2_session_set_stream_user_data(session, id, NULL); /* it is there */
        stream_free(argument, stream);
    }
    return 0;
}

static ssize_t read_response(nghttp2_session *session, int32_t id, uint8_t *out, size_t size,
                             uint32_t *flags, nghttp2_data_source *source, void *argument)
{
    (void)session;
    (void)id;
    struct stream *stream = source->ptr;
    size_t left = stream->response_size - stream->response_at;
    size_t taken = left < size ? left : size;
    (void)memcpy(out, stream->response + stream->response_at, taken);
    stream->response_at += taken;
    if (taken == left) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        drop_response(argument, stream);
    }
    return (ssize_t)taken;
}

/* ---- making it ---- */

static int make_session(struct http2 *http2)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    int result = nghttp2_session_callbacks_new(&callbacks);
    result = result != 0 ? result : nghttp2_option_new(&option);
    if (result == 0) {
        nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
        nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
        nghttp2_option_set_max_outbound_ack(option, ACKS_MOST);
        nghttp2_option_set_no_closed_streams(option, 1);
        result = nghttp2_session_server_new2(&http2->session, callbacks, http2, option);
    }
    nghttp2_option_del(option);               /* NULL is fine */
    nghttp2_session_callbacks_del(callbacks); /* as above */
    return result;
}

struct http2 *http2_new(void)
{
    struct http2 *http2 = calloc(1, sizeof *http2);
    if (http2 == NULL) {
        return NULL;
    }
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTPS_STREAMS_MOST},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTPS_HEADERS_MOST},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    if (make_session(http2) != 0 ||
        nghttp2_submit_settings(http2->session, NGHTTP2_FLAG_NONE, settings,
                                sizeof settings / sizeof settings[0]) != 0) {
        http2_free(http2);
        return NULL;
    }
    return http2;
}

void http2_free(struct http2 *take_http2)
{
    if (take_http2 == NULL) {
        return;
    }
    nghttp2_session_del(take_http2->session); /* says nothing about its streams */
    struct stream *next = take_http2->all;
    while (next != NULL) {
        struct stream *stream = next;
        next = stream->later;
        stream_free(take_http2, stream);
    }
    free(take_http2);
}

/* ---- bytes ---- */

static bool has_ended(const struct http2 *http2)
{
    return http2->broken || (nghttp2_session_want_read(http2->session) == 0 &&
                             nghttp2_session_want_write(http2->session) == 0);
}

bool http2_is_over(const struct http2 *http2)
{
    return http2->chunk_size == 0 && has_ended(http2);
}

bool http2_receive(struct http2 *http2, const uint8_t *data, size_t size)
{
    if (nghttp2_session_mem_recv(http2->session, data, size) < 0) {
        return false;
    }
    if (http2->frames > HTTPS_FRAMES_MOST) {
        http2->frames = 0; /* said once */
        return nghttp2_session_terminate_session(http2->session, NGHTTP2_ENHANCE_YOUR_CALM) == 0;
    }
    return true;
}

void http2_end(struct http2 *http2)
{
    http2->broken =
        http2->broken || nghttp2_session_terminate_session(http2->session, NGHTTP2_NO_ERROR) != 0;
}

static nghttp2_nv field(const char *name, const char *value)
{
    /* It only reads them, but has no const. */
    const union {
        const char *text;
        uint8_t *bytes;
    } names = {name}, values = {value};
    return (nghttp2_nv){.name = names.bytes,
                        .value = values.bytes,
                        .namelen = strlen(name),
                        .valuelen = strlen(value)};
}

static bool submit_error(struct http2 *http2, const struct stream *stream, unsigned status,
                         const char *date)
{
    char text[NUMBER_TEXT];
    (void)snprintf(text, sizeof text, "%u", status); /* fits */
    nghttp2_nv fields[4] = {field(":status", text), field("content-length", "0")};
    size_t count = 2;
    if (date[0] != '\0') {
        fields[count++] = field("date", date);
    }
    if (status == 405) {
        fields[count++] = field("allow", "GET, POST");
    }
    return nghttp2_submit_response(http2->session, stream->id, fields, count, NULL) == 0;
}

static bool submit_message(struct http2 *http2, struct stream *stream, const uint8_t *message,
                           size_t size, const char *date)
{
    assert(size != 0);
    stream->response = malloc(size);
    if (stream->response == NULL) {
        return submit_error(http2, stream, 503, date);
    }
    (void)memcpy(stream->response, message, size);
    stream->response_size = size;
    http2->untaken += size;
    char length[NUMBER_TEXT];
    char fresh[NUMBER_TEXT];
    (void)snprintf(length, sizeof length, "%zu", size); /* fits, as does the next */
    (void)snprintf(fresh, sizeof fresh, "max-age=%u", (unsigned)response_freshness(message, size));
    nghttp2_nv fields[5] = {field(":status", "200"),
                            field("content-type", "application/dns-message"),
                            field("content-length", length), field("cache-control", fresh)};
    size_t count = 4;
    if (date[0] != '\0') {
        fields[count++] = field("date", date);
    }
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = read_response};
    return nghttp2_submit_response(http2->session, stream->id, fields, count, &provider) == 0;
}

static bool answer(struct http2 *http2, struct stream *stream, struct https_service *service)
{
    dequeue(http2, stream);
    unsigned status = request_judge(&stream->request);
    size_t size = 0;
    if (status == 0) {
        size = service->answer(service->context, stream->request.query, stream->request.query_size,
                               service->scratch);
        status = size != 0 ? 200 : 400;
    }
    drop_query(http2, stream);
    if (status != 200) {
        service->refused++;
        return submit_error(http2, stream, status, service->date);
    }
    service->answered++;
    http2->frames -= http2->frames < HTTPS_FRAMES_FORGIVEN ? http2->frames : HTTPS_FRAMES_FORGIVEN;
    return submit_message(http2, stream, service->scratch, size, service->date);
}

size_t http2_produce(struct http2 *http2, struct https_service *service, uint8_t *out, size_t size,
                     bool *ret_more)
{
    size_t used = 0;
    *ret_more = false;
    for (;;) {
        size_t fits = http2->chunk_size < size - used ? http2->chunk_size : size - used;
        if (fits != 0) {
            (void)memcpy(out + used, http2->chunk, fits);
            http2->chunk += fits;
            http2->chunk_size -= fits;
            used += fits;
        }
        if (http2->chunk_size != 0) {
            *ret_more = true;
            return used;
        }
        while (http2->first != NULL && http2->untaken < HTTPS_RESPONSES_MOST && !http2->broken) {
            http2->broken = !answer(http2, http2->first, service);
        }
        ssize_t got = http2->broken ? 0 : nghttp2_session_mem_send(http2->session, &http2->chunk);
        http2->broken = http2->broken || got < 0;
        if (got <= 0) {
            return used;
        }
        http2->chunk_size = (size_t)got;
    }
}
