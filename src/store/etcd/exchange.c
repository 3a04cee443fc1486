/* One request and its answer over curl: see gateway.h. Called by gateway_call and by watches, on
 * their threads; an exchange owns its curl handle and with it the connections it keeps. Invariant:
 * curl sends the request of an exchange that is marked `once` at most one time: it would otherwise
 * repeat one whose connection ends without an answer. */
#include "base/macro.h"
#include "base/memory.h"
#include "base/text.h"
#include "store/etcd/gateway.h"

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWER_LIMIT ((size_t)32 << 20U) /* more than any transaction's answer has */
#define CONNECT_MS 1000L
#define IDLE_LIMIT 32U /* connections kept for later */
#define URL_TEXT 512U
/* A connection whose other side is gone is noticed after about this long: idle + count * interval.
 */
#define KEEPALIVE_IDLE_S 4
#define KEEPALIVE_INTERVAL_S 2
#define KEEPALIVE_COUNT 3

static size_t on_answer(char *data, size_t one, size_t size, void *context)
{
    (void)one; /* always 1 */
    struct gateway_exchange *exchange = context;
    if (exchange->splitter == NULL) {
        buf_put(&exchange->answer, data, size);
        return buf_failed(&exchange->answer) ? 0 : size;
    }
    long status = 0;
    (void)curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status); /* known option */
    if (status != 200) { /* a refusal is small and has no array */
        buf_put(&exchange->answer, data, size);
        return buf_failed(&exchange->answer) ? 0 : size;
    }
    if (exchange->full != NULL && exchange->full(exchange->full_context)) {
        return CURL_WRITEFUNC_PAUSE;
    }
    exchange->splitter_failure = splitter_feed(exchange->splitter, data, size);
    return exchange->splitter_failure == 0 ? size : 0;
}

/* Before the request goes out, also when curl would send it again. curl decides the types. */
/* NOLINTNEXTLINE(readability-non-const-parameter): CURLOPT_PREREQFUNCTION's signature */
static int on_send(void *context, char *remote, char *local, int remote_port, int local_port)
{
    (void)remote;
    (void)local;
    (void)remote_port;
    (void)local_port;
    struct gateway_exchange *exchange = context;
    if (exchange->once && exchange->sends != 0) {
        return CURL_PREREQFUNC_ABORT;
    }
    exchange->sends++;
    return CURL_PREREQFUNC_OK;
}

static int on_socket(void *context, curl_socket_t socket, curlsocktype purpose)
{
    (void)context;
    (void)purpose;
    const struct {
        int level;
        int option;
        int value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT},
    };
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        /* Without them a dead connection is only noticed later. */
        (void)setsockopt(socket, options[i].level, options[i].option, &options[i].value,
                         sizeof options[i].value);
    }
    return CURL_SOCKOPT_OK;
}

/* What is the same for every request of this handle. */
static CURLcode set_fixed(struct gateway_exchange *exchange)
{
    const struct gateway *gateway = exchange->gateway;
    CURL *easy = exchange->easy;
    const CURLcode codes[] = {
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https"),
        curl_easy_setopt(easy, CURLOPT_NOPROXY, "*"),
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1),
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L),
        curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L),
        curl_easy_setopt(easy, CURLOPT_POST, 1L),
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, MIN(CONNECT_MS, gateway->timeout_ms)),
        curl_easy_setopt(easy, CURLOPT_USERAGENT, "leeward/" LEEWARD_VERSION),
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer),
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange),
        curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_send),
        curl_easy_setopt(easy, CURLOPT_PREREQDATA, exchange),
        curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket),
        curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->detail),
        gateway->ca_file != NULL ? curl_easy_setopt(easy, CURLOPT_CAINFO, gateway->ca_file)
                                 : CURLE_OK,
        gateway->certificate_file != NULL
            ? curl_easy_setopt(easy, CURLOPT_SSLCERT, gateway->certificate_file)
            : CURLE_OK,
        gateway->key_file != NULL ? curl_easy_setopt(easy, CURLOPT_SSLKEY, gateway->key_file)
                                  : CURLE_OK,
    };
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        if (codes[i] != CURLE_OK) {
            return codes[i];
        }
    }
    return CURLE_OK;
}

struct gateway_exchange *gateway_exchange_take(struct gateway *gateway)
{
    (void)pthread_mutex_lock(&gateway->idle_lock);
    struct gateway_exchange *exchange = gateway->idle;
    if (exchange != NULL) {
        gateway->idle = exchange->next;
        gateway->idle_count--;
    }
    (void)pthread_mutex_unlock(&gateway->idle_lock);
    if (exchange != NULL) {
        return exchange;
    }
    exchange = memory_new(sizeof *exchange);
    exchange->gateway = gateway;
    buf_init(&exchange->answer, ANSWER_LIMIT);
    buf_keep_secret(&exchange->answer); /* some values hold keys */
    return exchange;
}

void gateway_exchange_free(struct gateway_exchange *take_exchange)
{
    if (take_exchange == NULL) {
        return;
    }
    curl_easy_cleanup(take_exchange->easy); /* takes NULL */
    curl_slist_free_all(take_exchange->headers);
    buf_done(&take_exchange->answer);
    free(take_exchange);
}

void gateway_exchange_give(struct gateway_exchange *take_exchange)
{
    if (take_exchange == NULL) {
        return;
    }
    struct gateway *gateway = take_exchange->gateway;
    take_exchange->splitter = NULL;
    take_exchange->full = NULL;
    if (take_exchange->answer.capacity > ((size_t)64 << 10U)) {
        buf_done(&take_exchange->answer);
        buf_init(&take_exchange->answer, ANSWER_LIMIT);
        buf_keep_secret(&take_exchange->answer);
    }
    (void)pthread_mutex_lock(&gateway->idle_lock);
    bool keep = gateway->idle_count < IDLE_LIMIT;
    if (keep) {
        take_exchange->next = gateway->idle;
        gateway->idle = take_exchange;
        gateway->idle_count++;
    }
    (void)pthread_mutex_unlock(&gateway->idle_lock);
    if (!keep) {
        gateway_exchange_free(take_exchange);
    }
}

static bool add_header(struct curl_slist **headers, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*headers, line);
    if (longer != NULL) {
        *headers = longer;
    }
    return longer != NULL;
}

/* A member that has lost its leader says so at once, instead of waiting for one (hasleader). etcd
 * looks at a login's token, too: an old one must not go along. */
static bool make_headers(struct gateway_exchange *exchange, bool login)
{
    struct gateway *gateway = exchange->gateway;
    (void)pthread_mutex_lock(&gateway->token_lock);
    unsigned number = login ? UINT_MAX : gateway->token_number;
    char *token CLEANUP(memory_cleanup) = NULL;
    if (!login && gateway->token != NULL &&
        (exchange->headers == NULL || exchange->token_number != number)) {
        token = memory_printf("Authorization: %s", gateway->token);
    }
    (void)pthread_mutex_unlock(&gateway->token_lock);
    if (exchange->headers != NULL && exchange->token_number == number) {
        return true;
    }
    curl_slist_free_all(exchange->headers);
    exchange->headers = NULL;
    exchange->token_number = number;
    return add_header(&exchange->headers, "Content-Type: application/json") &&
           add_header(&exchange->headers, "Expect:") &&
           add_header(&exchange->headers, "Grpc-Metadata-Hasleader: true") &&
           (token == NULL || add_header(&exchange->headers, token));
}

int gateway_exchange_prepare(struct gateway_exchange *exchange, size_t endpoint, const char *path,
                             const struct buf *body, int64_t timeout_ms, struct err *err)
{
    char url[URL_TEXT];
    (void)snprintf(url, sizeof url, "%s%s", exchange->gateway->endpoints[endpoint].url,
                   path); /* gateway_init made sure that it fits */
    exchange->endpoint = endpoint;
    exchange->sends = 0;
    exchange->splitter_failure = 0;
    exchange->detail[0] = '\0';
    buf_reset(&exchange->answer);
    bool fresh = exchange->easy == NULL;
    if (fresh) {
        exchange->easy = curl_easy_init();
    }
    if (exchange->easy == NULL || !make_headers(exchange, text_equal(path, GATEWAY_LOGIN)) ||
        (fresh && set_fixed(exchange) != CURLE_OK) ||
        curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, exchange->headers) != CURLE_OK ||
        curl_easy_setopt(exchange->easy, CURLOPT_URL, url) != CURLE_OK ||
        curl_easy_setopt(exchange->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms) != CURLE_OK ||
        curl_easy_setopt(exchange->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->length) !=
            CURLE_OK ||
        curl_easy_setopt(exchange->easy, CURLOPT_POSTFIELDS, buf_text(body)) != CURLE_OK) {
        curl_easy_cleanup(exchange->easy);
        exchange->easy = NULL;
        return err_set(err, ERR_MEMORY, "curl cannot prepare a request to %s", url);
    }
    return 0;
}

/* curl could not carry it through. */
static enum gateway_outcome transport_failure(const struct gateway_exchange *exchange,
                                              CURLcode code, struct err *err)
{
    const char *url = exchange->gateway->endpoints[exchange->endpoint].url;
    const char *reason = exchange->detail[0] != '\0' ? exchange->detail : curl_easy_strerror(code);
    if (exchange->splitter_failure != 0 || code == CURLE_WRITE_ERROR) {
        (void)err_set(err, ERR_UNAVAILABLE, "the answer of %s is not what etcd's gateway answers",
                      url); /* the outcome says it */
    } else if (code == CURLE_OPERATION_TIMEDOUT) {
        (void)err_set(err, ERR_TIMEOUT, "no answer from etcd at %s in time: %s", url,
                      reason); /* the outcome says it */
    } else if (code == CURLE_ABORTED_BY_CALLBACK) {
        (void)err_set(err, ERR_UNAVAILABLE, "the connection to etcd at %s ended before it answered",
                      url);
    } else {
        (void)err_set(err, ERR_UNAVAILABLE, "etcd at %s: %s", url, reason); /* as above */
    }
    return exchange->sends == 0 ? GATEWAY_NOT_SENT : GATEWAY_UNKNOWN;
}

enum gateway_outcome gateway_exchange_result(struct gateway_exchange *exchange, CURLcode code,
                                             json_t **ret_answer, struct err *err)
{
    const char *url = exchange->gateway->endpoints[exchange->endpoint].url;
    *ret_answer = NULL;
    if (code != CURLE_OK) {
        return transport_failure(exchange, code, err);
    }
    long status = 0;
    (void)curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status); /* known option */
    if (status == 200 && exchange->splitter != NULL) {
        if (splitter_between(exchange->splitter)) {
            return GATEWAY_ANSWERED;
        }
        (void)err_set(err, ERR_UNAVAILABLE, "the answer of etcd at %s was cut off", url);
        return GATEWAY_UNKNOWN;
    }
    json_t *answer = json_loadb(buf_text(&exchange->answer), exchange->answer.length,
                                JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, NULL);
    if (status == 200 && json_is_object(answer) && json_object_get(answer, "error") == NULL) {
        *ret_answer = answer;
        return GATEWAY_ANSWERED;
    }
    if (answer == NULL && strstr(buf_text(&exchange->answer), "CommonName of client") != NULL) {
        (void)err_set(
            err, ERR_DENIED,
            "etcd's gateway takes no client certificate with a common name while it wants "
            "passwords: make one without"); /* the outcome says it */
        return GATEWAY_ANSWERED;
    }
    enum gateway_outcome outcome = gateway_reply_failure(answer, status, url, err);
    json_decref(answer);
    return outcome;
}
