/* Calls to etcd with failover: see gateway.h. Called by the etcd store's functions and by watches,
 * on any thread. Owns the endpoints' state, idle connections and the token. Invariant: a request
 * that is not repeatable is given to a second endpoint only when it surely had no effect at the
 * first. */
#include "store/etcd/gateway.h"

#include "base/macro.h"
#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DOWN_FIRST_NS TIME_S /* an endpoint that failed is left alone for so long, */
#define DOWN_DOUBLINGS 5U    /* and twice as long each time it fails again */
#define PAUSE_MS 20          /* before etcd is asked again what it refused */
#define TRY_MIN_MS 300       /* of a repeatable request's time, what each endpoint gets */
#define TOKEN_TRIES 2U
#define URL_LIMIT 400U
#define BODY_LIMIT 4096U

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready = CURLE_FAILED_INIT;

static void curl_begin(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- the endpoints ---- */

size_t gateway_choose(const struct gateway *gateway, unsigned tried)
{
    int64_t now = mono_now().ns;
    size_t best = SIZE_MAX;
    int64_t best_until = INT64_MAX;
    for (size_t i = 0; i < gateway->endpoint_count; i++) {
        if ((tried >> i & 1U) != 0) {
            continue;
        }
        int64_t until =
            atomic_load_explicit(&gateway->endpoints[i].down_until_ns, memory_order_relaxed);
        if (until <= now) {
            return i;
        }
        if (until < best_until) {
            best = i;
            best_until = until;
        }
    }
    return best;
}

void gateway_endpoint_failed(struct gateway *gateway, size_t endpoint)
{
    struct gateway_endpoint *self = &gateway->endpoints[endpoint];
    unsigned failures = atomic_fetch_add_explicit(&self->failures, 1, memory_order_relaxed);
    int64_t wait = (int64_t)DOWN_FIRST_NS << MIN(failures, DOWN_DOUBLINGS);
    atomic_store_explicit(&self->down_until_ns, mono_now().ns + wait, memory_order_relaxed);
}

void gateway_endpoint_works(struct gateway *gateway, size_t endpoint)
{
    struct gateway_endpoint *self = &gateway->endpoints[endpoint];
    if (atomic_load_explicit(&self->failures, memory_order_relaxed) != 0) {
        atomic_store_explicit(&self->failures, 0, memory_order_relaxed);
        atomic_store_explicit(&self->down_until_ns, 0, memory_order_relaxed);
    }
}

/* A number of 64 bits, of which text_to_i64 takes 63. */
static void see_cluster(struct gateway *gateway, const char *text)
{
    char *end = NULL;
    errno = 0;
    unsigned long long id = text != NULL ? strtoull(text, &end, 10) : 0;
    if (id != 0 && errno == 0 && *end == '\0') {
        atomic_store_explicit(&gateway->seen_cluster, id, memory_order_relaxed);
    }
}

int64_t gateway_see(struct gateway *gateway, const json_t *answer)
{
    const json_t *header = json_object_get(answer, "header");
    const char *text = json_string_value(json_object_get(header, "revision"));
    int64_t revision = 0;
    see_cluster(gateway, json_string_value(json_object_get(header, "cluster_id")));
    if (text == NULL || text_to_i64(text, 1, INT64_MAX, &revision) != 0) {
        return 0;
    }
    int64_t seen = atomic_load_explicit(&gateway->seen_revision, memory_order_relaxed);
    while (seen < revision &&
           !atomic_compare_exchange_weak_explicit(&gateway->seen_revision, &seen, revision,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
    return revision;
}

/* ---- calls ---- */

static void pause_ms(int64_t milliseconds)
{
    struct timespec wait = {.tv_sec = (time_t)(milliseconds / 1000),
                            .tv_nsec = (long)(milliseconds % 1000 * TIME_MS)};
    (void)nanosleep(&wait, NULL); /* a shorter pause does no harm */
}

/* One request to one endpoint. */
static enum gateway_outcome ask(struct gateway *gateway, const struct gateway_request *request,
                                size_t endpoint, int64_t timeout_ms, unsigned *token_number,
                                json_t **ret_answer, struct err *err)
{
    struct gateway_exchange *exchange = gateway_exchange_take(gateway);
    exchange->once = request->once;
    exchange->splitter = request->splitter;
    if (request->splitter != NULL) {
        splitter_reset(request->splitter);
    }
    int rc = gateway_exchange_prepare(exchange, endpoint, request->path, request->body,
                                      MAX(timeout_ms, 1), err);
    if (rc != 0) {
        gateway_exchange_free(exchange);
        return GATEWAY_ANSWERED; /* no use in trying again */
    }
    CURLcode code = curl_easy_perform(exchange->easy);
    enum gateway_outcome outcome = gateway_exchange_result(exchange, code, ret_answer, err);
    *token_number = exchange->token_number;
    exchange->splitter = NULL;
    gateway_exchange_give(exchange);
    return outcome;
}

static bool is_login(const struct gateway_request *request)
{
    return text_equal(request->path, GATEWAY_LOGIN);
}

struct attempts {
    struct mono end;
    unsigned tried; /* endpoints of this round */
    unsigned tokens;
    struct err reason; /* what the last endpoint said that failed before the time was over */
};

/* How long one endpoint gets: all that is left when the request cannot be given to another. */
static int64_t share_ms(const struct gateway *gateway, const struct gateway_request *request,
                        const struct attempts *attempts, int64_t timeout_ms)
{
    int64_t left = mono_since(attempts->end, mono_now()) / TIME_MS;
    if (request->once || gateway->endpoint_count == 1) {
        return left;
    }
    int64_t share = MAX(timeout_ms / (int64_t)gateway->endpoint_count, TRY_MIN_MS);
    return MIN(left, share);
}

/* After a failure: whether to ask on; *err says why not. */
static bool go_on(struct gateway *gateway, const struct gateway_request *request,
                  enum gateway_outcome outcome, size_t endpoint, unsigned token_number,
                  struct attempts *attempts, struct err *err)
{
    int64_t left_ms = mono_since(attempts->end, mono_now()) / TIME_MS;
    switch (outcome) {
    case GATEWAY_NEW_TOKEN:
        return left_ms > 0 && attempts->tokens++ < TOKEN_TRIES && gateway->user != NULL &&
               !is_login(request) && gateway_renew_token(gateway, token_number, left_ms, err) == 0;
    case GATEWAY_UNKNOWN:
        gateway_endpoint_failed(gateway, endpoint);
        if (request->once) {
            return false;
        }
        break;
    case GATEWAY_NOT_SENT:
        gateway_endpoint_failed(gateway, endpoint);
        break;
    case GATEWAY_TRY_AGAIN:
        break;
    case GATEWAY_ANSWERED:
    default:
        return false;
    }
    attempts->tried |= 1U << endpoint;
    if (err->kind != ERR_TIMEOUT) {
        attempts->reason = *err;
    }
    if (left_ms <= 0) { /* an attempt that was cut short tells less than one before it */
        *err = attempts->reason.code != 0 ? attempts->reason : *err;
        return false;
    }
    if (gateway_choose(gateway, attempts->tried) == SIZE_MAX) { /* all of them */
        if (outcome == GATEWAY_NOT_SENT) {
            return false; /* nobody is there: say so now */
        }
        attempts->tried = 0;
        pause_ms(MIN(PAUSE_MS, left_ms));
    }
    return true;
}

int gateway_call(struct gateway *gateway, const struct gateway_request *request,
                 json_t **ret_answer, struct err *err)
{
    int64_t timeout_ms = request->timeout_ms != 0 ? request->timeout_ms : gateway->timeout_ms;
    struct attempts attempts = {.end = {mono_now().ns + timeout_ms * TIME_MS}};
    if (gateway->user != NULL && !is_login(request)) {
        int rc = gateway_renew_token(gateway, 0, timeout_ms, err);
        if (rc != 0) {
            return rc;
        }
    }
    for (;;) {
        size_t endpoint = gateway_choose(gateway, attempts.tried);
        unsigned token_number = 0;
        json_t *answer = NULL;
        err_clear(err);
        enum gateway_outcome outcome =
            ask(gateway, request, endpoint, share_ms(gateway, request, &attempts, timeout_ms),
                &token_number, &answer, err);
        if (outcome == GATEWAY_ANSWERED) {
            gateway_endpoint_works(gateway, endpoint);
            if (err->code == 0) {
                (void)gateway_see(gateway, answer); /* an answer without one has none to note */
                *ret_answer = answer;
            }
            return err->code;
        }
        if (!go_on(gateway, request, outcome, endpoint, token_number, &attempts, err)) {
            return err->code;
        }
    }
}

/* ---- the token ---- */

static int fetch_token(struct gateway *gateway, int64_t timeout_ms, char **ret_token,
                       struct err *err)
{
    struct buf body CLEANUP(buf_done) = {0};
    buf_init(&body, BODY_LIMIT);
    buf_keep_secret(&body);
    json_t *name = json_string(gateway->user);
    json_t *password = json_string(gateway->password.data);
    json_t *question = json_pack("{s:o?, s:o?}", "name", name, "password", password);
    char *text = question != NULL ? json_dumps(question, JSON_COMPACT) : NULL;
    json_decref(question);
    if (text == NULL) {
        return err_set(err, ERR_INVALID, "the etcd user or its password is not UTF-8 text");
    }
    buf_puts(&body, text);
    secret_wipe_memory(text, strlen(text));
    free(text);
    struct gateway_request request = {
        .path = GATEWAY_LOGIN, .body = &body, .timeout_ms = timeout_ms};
    json_t *answer = NULL;
    int rc = gateway_call(gateway, &request, &answer, err);
    if (rc != 0) {
        return strstr(err->message, "authentication is not enabled") != NULL
                   ? 0 /* a user for later: no token is needed now */
                   : err_wrap(err, "logging in to etcd as %.60s", gateway->user);
    }
    const char *token = json_string_value(json_object_get(answer, "token"));
    bool good = token != NULL && strpbrk(token, "\r\n") == NULL;
    if (good) {
        *ret_token = memory_strdup(token);
    } else {
        rc = err_set(err, ERR_UNAVAILABLE, "etcd gave no token for the user %.60s", gateway->user);
    }
    json_decref(answer);
    return rc;
}

int gateway_renew_token(struct gateway *gateway, unsigned number, int64_t timeout_ms,
                        struct err *err)
{
    (void)pthread_mutex_lock(&gateway->token_lock);
    bool renewed = gateway->token_number != number;
    (void)pthread_mutex_unlock(&gateway->token_lock);
    if (renewed) {
        return 0;
    }
    char *token = NULL;
    int rc = fetch_token(gateway, timeout_ms, &token, err);
    if (rc != 0) {
        return rc;
    }
    err_clear(err);
    (void)pthread_mutex_lock(&gateway->token_lock);
    free(gateway->token);
    gateway->token = token;
    gateway->token_number++;
    (void)pthread_mutex_unlock(&gateway->token_lock);
    return 0;
}

/* ---- life ---- */

static int check_endpoint(const char *url, struct err *err)
{
    const char *host = text_starts(url, "http://")    ? url + strlen("http://")
                       : text_starts(url, "https://") ? url + strlen("https://")
                                                      : NULL;
    if (host == NULL || strlen(url) > URL_LIMIT || host[0] == '\0' ||
        strpbrk(host, "@?# \t") != NULL || strchr(host, ':') == NULL) {
        return err_set(err, ERR_INVALID,
                       "'%.120s' is no etcd endpoint: write it as http://HOST:PORT or "
                       "https://HOST:PORT",
                       url);
    }
    const char *slash = strchr(host, '/');
    if (slash != NULL && slash[1] != '\0') {
        return err_set(err, ERR_INVALID, "the etcd endpoint %.120s has a path", url);
    }
    return 0;
}

static char *copy_or_null(const char *text)
{
    return text_empty(text) ? NULL : memory_strdup(text);
}

static int check_config(const struct store_etcd_config *config, struct err *err)
{
    if (config->endpoint_count == 0 || config->endpoint_count > STORE_ETCD_ENDPOINTS) {
        return err_set(err, ERR_INVALID, "etcd needs 1 to %u endpoints, not %zu",
                       STORE_ETCD_ENDPOINTS, config->endpoint_count);
    }
    for (size_t i = 0; i < config->endpoint_count; i++) {
        int rc = check_endpoint(config->endpoints[i], err);
        if (rc != 0) {
            return rc;
        }
    }
    if (text_empty(config->certificate_file) != text_empty(config->key_file)) {
        return err_set(err, ERR_INVALID, "etcd's client certificate and its key go together");
    }
    if (text_empty(config->user) && !text_empty(config->password)) {
        return err_set(err, ERR_INVALID, "there is a password for etcd, but no user");
    }
    return 0;
}

int gateway_init(struct gateway *gateway, const struct store_etcd_config *config, struct err *err)
{
    (void)pthread_once(&curl_once, curl_begin); /* fails on misuse only */
    if (curl_ready != CURLE_OK) {
        return err_set(err, ERR_INTERNAL, "curl: %s", curl_easy_strerror(curl_ready));
    }
    int rc = check_config(config, err);
    if (rc != 0) {
        return rc;
    }
    *gateway = (struct gateway){0};
    if (!text_empty(config->password) &&
        secret_set(&gateway->password, config->password, strlen(config->password)) != 0) {
        return err_set(err, ERR_LIMIT, "etcd's password is longer than %u bytes", SECRET_LIMIT);
    }
    gateway->endpoint_count = config->endpoint_count;
    for (size_t i = 0; i < config->endpoint_count; i++) {
        char *url = memory_strdup(config->endpoints[i]);
        size_t length = strlen(url);
        url[length - 1] = url[length - 1] == '/' ? '\0' : url[length - 1];
        gateway->endpoints[i].url = url;
    }
    gateway->ca_file = copy_or_null(config->ca_file);
    gateway->certificate_file = copy_or_null(config->certificate_file);
    gateway->key_file = copy_or_null(config->key_file);
    gateway->user = copy_or_null(config->user);
    gateway->timeout_ms = config->timeout_ms > 0 ? config->timeout_ms : STORE_ETCD_TIMEOUT_MS;
    (void)pthread_mutex_init(&gateway->idle_lock, NULL);  /* cannot fail */
    (void)pthread_mutex_init(&gateway->token_lock, NULL); /* cannot fail */
    return 0;
}

void gateway_done(struct gateway *gateway)
{
    while (gateway->idle != NULL) {
        struct gateway_exchange *exchange = gateway->idle;
        gateway->idle = exchange->next;
        gateway_exchange_free(exchange);
    }
    for (size_t i = 0; i < gateway->endpoint_count; i++) {
        free(gateway->endpoints[i].url);
    }
    free(gateway->ca_file);
    free(gateway->certificate_file);
    free(gateway->key_file);
    free(gateway->user);
    free(gateway->token);
    secret_wipe(&gateway->password);
    (void)pthread_mutex_destroy(&gateway->idle_lock);
    (void)pthread_mutex_destroy(&gateway->token_lock);
}
