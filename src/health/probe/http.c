/* HTTP and HTTPS checks through libcurl: one request, no redirects, no reuse, no proxies, no
 * validation of the certificate unless the check wants it.
 *
 * Called by engine.c on the health loop, and by multi.c when a transfer has ended. Ownership: the
 * easy handle stays with the probe over its lives; headers and connect_to are of one life.
 * Invariant: libcurl's callbacks only decide or enter a phase; the transfer is removed outside of
 * them. */
#include "base/buf.h"
#include "base/memory.h"
#include "base/text.h"
#include "health/probe/engine.h"
#include "health/probe/sentence.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define HOST_LIMIT 256U
#define URL_LIMIT 320U
#define PATH_LIMIT 1024U
/* What libcurl reads at once: the most that is thrown away behind the 5,120 bytes that count. */
#define READ_BYTES 8192L

static bool is_https(const struct model_check *check)
{
    return check->type == MODEL_CHECK_HTTPS || check->type == MODEL_CHECK_HTTPS_STR_MATCH;
}

static bool is_match(const struct model_check *check)
{
    return check->type == MODEL_CHECK_HTTP_STR_MATCH || check->type == MODEL_CHECK_HTTPS_STR_MATCH;
}

/* ---- libcurl's callbacks ---- */

/* Connected, TLS included: the request goes out next. */
/* NOLINTNEXTLINE(readability-non-const-parameter): libcurl's type */
static int before_request(void *context, char *remote, char *local, int remote_port, int local_port)
{
    struct probe *probe = context;
    (void)remote; /* known */
    (void)remote_port;
    (void)local_port;
    if (text_copy(probe->result.source, sizeof probe->result.source, local) != 0) {
        probe->result.source[0] = '\0';
    }
    engine_enter(probe, PHASE_STATUS);
    return CURL_PREREQFUNC_OK;
}

/* Returning another size than was given ends the transfer: the verdict has been reached. */
static size_t take_header(char *data, size_t unit, size_t count, void *context)
{
    struct probe *probe = context;
    struct response *response = &probe->response;
    size_t size = unit * count;
    response_header(response, data, size);
    if (probe->phase == PHASE_STATUS && response->status >= 200) {
        engine_enter(probe, PHASE_BODY);
    }
    return response->verdict == RESPONSE_PENDING ? size : 0;
}

static size_t take_body(char *data, size_t unit, size_t count, void *context)
{
    struct probe *probe = context;
    size_t size = unit * count;
    response_body(&probe->response, data, size);
    return probe->response.verdict == RESPONSE_PENDING ? size : 0;
}

/* As libcurl does by itself, but with the reason of a failure. */
static curl_socket_t make_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct probe *probe = context;
    (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    probe->socket_error = fd < 0 ? errno : 0;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* Closing by a reset keeps no connection in TIME_WAIT, neither here nor there. */
static int socket_made(void *context, curl_socket_t socket, curlsocktype purpose)
{
    (void)context;
    (void)purpose;
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    /* Without it the close is merely an ordinary one. */
    (void)setsockopt(socket, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    return CURL_SOCKOPT_OK;
}

/* ---- the request ---- */

/* Only what can be in a host name reaches the URL. */
static bool copy_host(const char *name, char out[HOST_LIMIT])
{
    size_t length = strlen(name);
    if (length > 0 && name[length - 1] == '.') {
        length--;
    }
    if (length == 0 || length >= HOST_LIMIT) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        char c = text_lower(name[i]);
        bool fits = (c >= 'a' && c <= 'z') || text_is_digit(c) || c == '-' || c == '_' || c == '.';
        if (!fits) {
            return false;
        }
    }
    return text_copy_n(out, HOST_LIMIT, name, length) == 0;
}

/* The path as it stands, but for bytes that would end the request line. */
static void escape_path(const char *path, struct buf *out)
{
    if (path[0] != '/') {
        buf_putc(out, '/');
    }
    for (const char *p = path; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c <= ' ' || c >= 0x7F) {
            buf_printf(out, "%%%02X", c);
        } else {
            buf_putc(out, *p);
        }
    }
}

struct request {
    char url[URL_LIMIT];
    char connect_to[URL_LIMIT]; /* "" when the URL's host is the address */
    char host[HOST_LIMIT + 16]; /* of the Host header; "" for the URL's own */
};

/* With a name and SNI the URL carries the name and the connection goes to the address; without SNI
 * the URL carries the address (no server_name is sent for one) and the Host header the name. The
 * port is in the Host header unless it is the scheme's own (FullyQualifiedDomainName in the API
 * reference). A certificate that is verified is verified for the name, so leeward:verify-tls sends
 * it whatever EnableSNI says. */
static bool make_request(const struct probe *probe, struct request *ret_request)
{
    const struct model_check *check = probe->check;
    const char *scheme = is_https(check) ? "https" : "http";
    unsigned port = check->port;
    bool own_port = port == (is_https(check) ? 443U : 80U);
    bool v6 = probe->address.ss_family == AF_INET6;
    const char *left = v6 ? "[" : "";
    const char *right = v6 ? "]" : "";
    char host[HOST_LIMIT] = "";
    bool named = !text_empty(check->host_name);
    *ret_request = (struct request){.url = ""};
    if (named && !copy_host(check->host_name, host)) {
        return false;
    }
    /* The buffers hold the longest of each. */
    if (named && (!is_https(check) || check->enable_sni || check->options.verify_tls)) {
        (void)snprintf(ret_request->url, sizeof ret_request->url, "%s://%s:%u/", scheme, host,
                       port);
        (void)snprintf(ret_request->connect_to, sizeof ret_request->connect_to, "::%s%s%s:%u", left,
                       probe->address_text, right, port);
        return true;
    }
    (void)snprintf(ret_request->url, sizeof ret_request->url, "%s://%s%s%s:%u/", scheme, left,
                   probe->address_text, right, port);
    if (named) {
        (void)snprintf(ret_request->host, sizeof ret_request->host, own_port ? "%s" : "%s:%u", host,
                       port);
    }
    return true;
}

#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (curl_easy_setopt(easy, option, value) != CURLE_OK) {                                   \
            return false;                                                                          \
        }                                                                                          \
    } while (false)

/* What is the same for every probe. */
static bool set_constants(CURL *easy)
{
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_SSL_ENABLE_ALPN, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_FORBID_REUSE, 1L);
    SET(CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    SET(CURLOPT_BUFFERSIZE, READ_BYTES);
    SET(CURLOPT_PREREQFUNCTION, before_request);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_OPENSOCKETFUNCTION, make_socket);
    SET(CURLOPT_SOCKOPTFUNCTION, socket_made);
    return true;
}

static bool set_tls(CURL *easy, const struct probe *probe)
{
    bool verify = probe->check->options.verify_tls;
    SET(CURLOPT_SSL_SESSIONID_CACHE, probe->memory != NULL ? 1L : 0L);
    SET(CURLOPT_CAPATH, NULL);
    SET(CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
    SET(CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
    if (!verify) {
        /* No file of authorities is read per probe. */
        SET(CURLOPT_CAINFO, NULL);
    } else if (probe->engine->ca_file != NULL) {
        SET(CURLOPT_CAINFO, probe->engine->ca_file);
    }
    return true;
}

static bool add_header(struct probe *probe, const char *text)
{
    struct curl_slist *list = curl_slist_append(probe->headers, text);
    if (list == NULL) {
        return false;
    }
    probe->headers = list;
    return true;
}

static bool set_request(CURL *easy, struct probe *probe, const struct request *request)
{
    char agent[128];
    char host[sizeof request->host + 8];
    struct buf path CLEANUP(buf_done);
    buf_init(&path, PATH_LIMIT);
    escape_path(probe->check->resource_path, &path);
    if (buf_failed(&path)) {
        return false;
    }
    /* An id that is too long is cut. */
    (void)snprintf(agent, sizeof agent, "Leeward-Health-Check (ref %.80s)", probe->check->id);
    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_REQUEST_TARGET, buf_text(&path));
    SET(CURLOPT_USERAGENT, agent);
    if (request->connect_to[0] != '\0') {
        probe->connect_to = curl_slist_append(NULL, request->connect_to);
        SET(CURLOPT_CONNECT_TO, probe->connect_to);
    }
    if (request->host[0] != '\0') {
        (void)snprintf(host, sizeof host, "Host: %s", request->host); /* sized to fit */
        if (!add_header(probe, host)) {
            return false;
        }
    }
    if (!add_header(probe, "Connection: close")) {
        return false;
    }
    SET(CURLOPT_HTTPHEADER, probe->headers);
    SET(CURLOPT_PRIVATE, probe);
    SET(CURLOPT_PREREQDATA, probe);
    SET(CURLOPT_OPENSOCKETDATA, probe);
    SET(CURLOPT_HEADERDATA, probe);
    SET(CURLOPT_WRITEDATA, probe);
    SET(CURLOPT_ERRORBUFFER, probe->error);
    return true;
}

static bool prepare(struct probe *probe, const struct request *request)
{
    if (probe->easy == NULL) {
        probe->easy = curl_easy_init();
    } else {
        curl_easy_reset(probe->easy);
    }
    return probe->easy != NULL && set_constants(probe->easy) && set_tls(probe->easy, probe) &&
           set_request(probe->easy, probe, request);
}

void http_open(struct probe *probe)
{
    const struct model_check *check = probe->check;
    struct request request;
    response_begin(&probe->response, is_match(check) ? check->search_string : NULL);
    probe->error[0] = '\0';
    if (!make_request(probe, &request)) {
        engine_fail(probe, "Failure: DNS resolution failed: the domain name isn't valid");
        return;
    }
    if (!prepare(probe, &request) || multi_add(probe->engine->multi, probe->easy) != 0) {
        engine_blame_host(probe);
        engine_fail(probe, "Failure: The health checker couldn't make the request");
        return;
    }
    probe->in_multi = true;
}

void http_close(struct probe *probe)
{
    if (probe->in_multi) {
        multi_remove(probe->engine->multi, probe);
        probe->in_multi = false;
    }
    curl_slist_free_all(probe->headers);
    curl_slist_free_all(probe->connect_to);
    probe->headers = NULL;
    probe->connect_to = NULL;
}

/* ---- the end ---- */

static void explain(struct probe *probe, CURLcode code)
{
    long number = 0;
    const char *reason = probe->error[0] != '\0' ? probe->error : curl_easy_strerror(code);
    /* 0 when there was no system error. */
    (void)curl_easy_getinfo(probe->easy, CURLINFO_OS_ERRNO, &number);
    number = probe->socket_error != 0 ? probe->socket_error : number;
    switch ((int)code) {
    case CURLE_OK:
    case CURLE_WRITE_ERROR:
        sentence_response(probe);
        break;
    case CURLE_COULDNT_CONNECT:
        sentence_connect_failed(probe, number != 0 ? (int)number : ECONNREFUSED);
        break;
    case CURLE_OPERATION_TIMEDOUT:
        sentence_timed_out(probe);
        break;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CERTPROBLEM:
        sentence_tls_failed(probe, reason);
        break;
    case CURLE_SSL_CACERT_BADFILE: /* the authorities it is to be checked against */
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
        engine_blame_host(probe);
        engine_fail(probe, "Failure: The health checker couldn't make the request: %s", reason);
        break;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        sentence_closed(probe);
        break;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        sentence_not_http(probe);
        break;
    default:
        engine_fail(probe, "Failure: Resolved IP: %s. %s", probe->address_text, reason);
        break;
    }
}

void http_ended(struct probe *take_probe, CURLcode code)
{
    struct probe *probe = take_probe;
    if (code == CURLE_OK) {
        response_end(&probe->response);
    }
    if (probe->response.verdict != RESPONSE_PENDING) {
        sentence_response(probe);
    } else {
        explain(probe, code);
    }
    engine_report(probe);
}
