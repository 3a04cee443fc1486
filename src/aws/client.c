/* The API client: see client.h. Called by the command line, one call at a time; what it returns
 * lives in the caller's arena. Invariant: nothing is sent that is not signed, and the secret never
 * leaves this process. */
#include "aws/client.h"

#include "aws/http.h"
#include "aws/sigv4.h"
#include "base/buf.h"
#include "base/text.h"
#include "base/time.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#define RESPONSE_LIMIT ((size_t)64 << 20U) /* bytes of an answer */
#define CONNECT_MS 5000L

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready = CURLE_FAILED_INIT;

static void curl_begin(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void handle_cleanup(CURL **handle)
{
    curl_easy_cleanup(*handle); /* takes NULL */
}

static void list_cleanup(struct curl_slist **list)
{
    curl_slist_free_all(*list); /* takes NULL */
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct buf *body = context;
    buf_put(body, data, size * count);
    return buf_failed(body) ? 0 : size * count; /* 0 ends the transfer */
}

struct received_headers {
    struct arena *arena;
    const char *error_type;
};

static size_t on_header(char *data, size_t size, size_t count, void *context)
{
    static const char name[] = "x-amzn-errortype:";
    struct received_headers *received = context;
    size_t length = size * count;
    char line[256];
    size_t kept = MIN(length, sizeof line - 1);
    (void)memcpy(line, data, kept);
    line[kept] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    char *value = line + (sizeof name - 1);
    if (kept >= sizeof name - 1) {
        char saved = *value;
        *value = '\0';
        bool wanted = text_equal_nocase(line, name);
        *value = saved;
        if (wanted) {
            value += strspn(value, " \t");
            received->error_type = arena_strdup(received->arena, value);
        }
    }
    return length;
}

/* "http://host:port" into the value of the Host header, as libcurl sends it: without the port that
 * the scheme implies, and without a path. */
static const char *host_of(const char *endpoint, struct arena *arena, struct err *err)
{
    bool tls = text_starts(endpoint, "https://");
    if (!tls && !text_starts(endpoint, "http://")) {
        (void)err_set(err, ERR_INVALID, "the endpoint '%s' does not start with http:// or https://",
                      endpoint);
        return NULL;
    }
    const char *host = strstr(endpoint, "//") + 2;
    size_t length = strcspn(host, "/");
    if (length == 0 || host[length] != '\0' || memchr(host, '@', length) != NULL) {
        (void)err_set(err, ERR_INVALID,
                      "the endpoint '%s' is not a host and a port: try http://127.0.0.1:4566",
                      endpoint);
        return NULL;
    }
    char *text = arena_strdup(arena, host);
    const char *implied = tls ? ":443" : ":80";
    if (text_ends(text, implied)) {
        text[length - strlen(implied)] = '\0';
    }
    return text;
}

/* In ERR_UNAVAILABLE the operator reads which endpoint it was and what to look at. */
static int failure(CURLcode code, const char *detail, const struct aws_client_config *config,
                   struct err *err)
{
    const char *reason = detail[0] != '\0' ? detail : curl_easy_strerror(code);
    switch ((int)code) {
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(err, ERR_TIMEOUT,
                       "no answer from %s within %ld ms: is leewardd overloaded, or a firewall in "
                       "between?",
                       config->endpoint, config->timeout_ms);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CONNECT_ERROR:
        return err_set(err, ERR_DENIED, "no trusted TLS connection to %s: %s", config->endpoint,
                       reason);
    case CURLE_WRITE_ERROR:
        return err_set(err, ERR_LIMIT, "the answer of %s is larger than %zu MiB", config->endpoint,
                       RESPONSE_LIMIT >> 20U);
    default:
        return err_set(err, ERR_UNAVAILABLE,
                       "cannot reach %s: %s (is leewardd running, and is this its --api address?)",
                       config->endpoint, reason);
    }
}

static struct curl_slist *add_header(struct curl_slist *list, struct arena *arena, const char *name,
                                     const char *value, bool *failed)
{
    struct curl_slist *longer = curl_slist_append(list, arena_printf(arena, "%s: %s", name, value));
    *failed = *failed || longer == NULL;
    return longer != NULL ? longer : list;
}

static struct curl_slist *all_headers(const struct http_request *request,
                                      const struct sigv4_signature *signature, struct arena *arena,
                                      bool *failed)
{
    struct curl_slist *list = NULL;
    for (size_t i = 0; i < request->header_count; i++) {
        list = add_header(list, arena, request->headers[i].name, request->headers[i].value, failed);
    }
    list = add_header(list, arena, "X-Amz-Date", signature->date, failed);
    list = add_header(list, arena, "X-Amz-Content-Sha256", signature->content_sha256, failed);
    list = add_header(list, arena, "Authorization", signature->authorization, failed);
    if (request->body_size == 0) {
        list = add_header(list, arena, "Content-Length", "0", failed);
    }
    /* The server answers 100 at once, but waiting for it gains nothing. "Name:" removes a header.
     */
    struct curl_slist *longer = curl_slist_append(list, "Expect:");
    *failed = *failed || longer == NULL;
    return longer != NULL ? longer : list;
}

static CURLcode set_options(CURL *handle, const struct aws_client_config *config,
                            const struct http_request *request, const char *url,
                            const struct curl_slist *headers)
{
    CURLcode all[] = {
        curl_easy_setopt(handle, CURLOPT_URL, url),
        curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L), /* what was signed is what is sent */
        curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https"),
        curl_easy_setopt(handle, CURLOPT_NOPROXY, "*"),
        curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1),
        curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L),
        curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, MIN(CONNECT_MS, config->timeout_ms)),
        curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, config->timeout_ms),
        curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers),
        curl_easy_setopt(handle, CURLOPT_USERAGENT, "leeward/" LEEWARD_VERSION),
        curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request->method),
        text_equal(request->method, "HEAD") ? curl_easy_setopt(handle, CURLOPT_NOBODY, 1L)
                                            : CURLE_OK,
        config->ca_file != NULL ? curl_easy_setopt(handle, CURLOPT_CAINFO, config->ca_file)
                                : CURLE_OK,
        request->body_size != 0
            ? curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size)
            : CURLE_OK,
        request->body_size != 0 ? curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request->body)
                                : CURLE_OK,
        curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body),
        curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header),
    };
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        if (all[i] != CURLE_OK) {
            return all[i];
        }
    }
    return CURLE_OK;
}

static int send_request(const struct aws_client_config *config, const struct http_request *request,
                        const char *target, const struct sigv4_signature *signature,
                        struct arena *arena, struct aws_client_response *ret_response,
                        struct err *err)
{
    char detail[CURL_ERROR_SIZE] = "";
    struct received_headers received = {.arena = arena, .error_type = ""};
    struct buf body CLEANUP(buf_done);
    struct curl_slist *headers CLEANUP(list_cleanup) = NULL;
    CURL *handle CLEANUP(handle_cleanup) = curl_easy_init();
    bool failed = handle == NULL;
    buf_init(&body, RESPONSE_LIMIT);
    headers = all_headers(request, signature, arena, &failed);
    if (failed) {
        return err_set(err, ERR_MEMORY, "no memory for a request to %s", config->endpoint);
    }
    const char *url = arena_printf(arena, "%s%s", config->endpoint, target);
    CURLcode code = set_options(handle, config, request, url, headers);
    if (code == CURLE_OK) {
        code = curl_easy_setopt(handle, CURLOPT_WRITEDATA, &body);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(handle, CURLOPT_HEADERDATA, &received);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, detail);
    }
    if (code == CURLE_OK) {
        code = curl_easy_perform(handle);
    }
    if (code != CURLE_OK) {
        return failure(code, detail, config, err);
    }
    long status = 0;
    (void)curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status); /* known option: succeeds */
    const char *text = arena_try_memdup(arena, buf_text(&body), body.length);
    if (text == NULL) {
        return err_set(err, ERR_LIMIT, "no memory for the answer of %s", config->endpoint);
    }
    *ret_response = (struct aws_client_response){.status = (int)status,
                                                 .body = text,
                                                 .size = body.length,
                                                 .error_type = received.error_type};
    return 0;
}

int aws_client_call(const struct aws_client_config *config, const char *service, const char *method,
                    const char *target, const char *content_type, const void *body, size_t size,
                    struct arena *arena, struct aws_client_response *ret_response, struct err *err)
{
    (void)pthread_once(&curl_once, curl_begin); /* fails on misuse only */
    if (curl_ready != CURLE_OK) {
        return err_set(err, ERR_INTERNAL, "libcurl cannot start: %s",
                       curl_easy_strerror(curl_ready));
    }
    const char *host = host_of(config->endpoint, arena, err);
    if (host == NULL) {
        return err->code;
    }
    const char *question = strchr(target, '?');
    size_t path_length = question != NULL ? (size_t)(question - target) : strlen(target);
    struct http_header headers[2] = {{"Host", host}, {"Content-Type", content_type}};
    struct http_request request = {.method = method,
                                   .path = arena_memdup(arena, target, path_length),
                                   .query = question != NULL ? question + 1 : "",
                                   .headers = headers,
                                   .header_count = content_type != NULL ? 2 : 1,
                                   .body = body,
                                   .body_size = body != NULL ? size : 0};
    struct sigv4_signature signature = {0};
    int code = sigv4_sign(&request, config->access_key_id, &config->secret, config->region, service,
                          wall_now(), arena, &signature, err);
    return code != 0 ? code
                     : send_request(config, &request, target, &signature, arena, ret_response, err);
}
