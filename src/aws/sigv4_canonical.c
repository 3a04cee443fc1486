/* Canonical requests and signing keys: see sigv4_canonical.h. Called by sigv4.c on any thread; owns
 * nothing, scratch memory comes from the request's arena. Invariant: the canonical form of a
 * request depends on nothing but its bytes and the inputs. Key material is wiped before it is left.
 */
#include "aws/sigv4_canonical.h"

#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/sha.h>

#define CANONICAL_LIMIT (1U << 20U) /* bytes; a target and its headers are far below */
#define SIGNED_LIMIT 1024U          /* bytes of a string to sign */

static void hash_raw(const void *data, size_t size, unsigned char out[SIGV4_HASH_SIZE])
{
    const unsigned char *done = SHA256(size != 0 ? data : (const unsigned char *)"", size, out);
    assert(done != NULL); /* cannot fail: the provider is built in */
}

void sigv4_hash(const void *data, size_t size, char out[SIGV4_HASH_TEXT])
{
    unsigned char raw[SIGV4_HASH_SIZE];
    hash_raw(data, size, raw);
    text_hex(raw, sizeof raw, out);
}

static pthread_once_t hmac_once = PTHREAD_ONCE_INIT;
static EVP_MAC *hmac;

static void find_hmac(void)
{
    hmac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
}

/* HMAC-SHA-256 (RFC 2104), several times. Looking the algorithms up by their names, as HMAC()
 * does, takes longer than to use them. */
static EVP_MAC_CTX *keyed_hash_new(void)
{
    char name[] = OSSL_DIGEST_NAME_SHA2_256;
    const OSSL_PARAM digest[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                                 OSSL_PARAM_construct_end()};
    (void)pthread_once(&hmac_once, find_hmac); /* fails on misuse only */
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(hmac);
    bool ready = context != NULL && EVP_MAC_CTX_set_params(context, digest) == 1;
    assert(ready); /* as above */
    return context;
}

static void keyed_hash(EVP_MAC_CTX *context, const void *key, size_t key_size, const char *text,
                       size_t size, unsigned char out[SIGV4_HASH_SIZE])
{
    size_t length = 0;
    bool done = EVP_MAC_init(context, key, key_size, NULL) == 1 &&
                EVP_MAC_update(context, (const unsigned char *)text, size) == 1 &&
                EVP_MAC_final(context, out, &length, SIGV4_HASH_SIZE) == 1;
    assert(done && length == SIGV4_HASH_SIZE); /* as above */
}

/* The path without empty, "." and ".." segments (RFC 3986 section 5.2.4, and AWS drops doubled
 * slashes), encoded once more. */
static int put_normal_path(const char *path, struct arena *arena, struct buf *out)
{
    size_t length = strlen(path);
    char *normal = arena_try_alloc(arena, length + 2);
    if (normal == NULL) {
        return -ENOMEM;
    }
    size_t used = 0; /* normal is a run of "/segment" */
    for (const char *at = path; *at != '\0';) {
        at += strspn(at, "/");
        size_t segment = strcspn(at, "/");
        if (segment == 2 && at[0] == '.' && at[1] == '.') {
            while (used > 0 && normal[--used] != '/') {
            }
        } else if (segment != 0 && !(segment == 1 && at[0] == '.')) {
            normal[used++] = '/';
            (void)memcpy(normal + used, at, segment);
            used += segment;
        }
        at += segment;
    }
    if (used == 0 || (length != 0 && path[length - 1] == '/')) {
        normal[used++] = '/';
    }
    text_uri_encode(out, normal, used, true);
    return 0;
}

static int escape_value(const char *text, size_t left)
{
    unsigned char byte = 0;
    char digits[3] = {left > 2 ? text[1] : '\0', left > 2 ? text[2] : '\0', '\0'};
    return left > 2 && text[0] == '%' && text_unhex(digits, &byte, 1) == 0 ? byte : -1;
}

/* Text that is encoded already, brought to the one form SigV4 knows: unreserved characters plain,
 * all others %XX. A '/' stays in a path only where it was not escaped. */
static void put_encoded(struct buf *out, const char *text, size_t length, bool in_query)
{
    for (size_t i = 0; i < length; i++) {
        int escaped = escape_value(text + i, length - i);
        char c = escaped >= 0 ? (char)escaped : text[i];
        if (escaped < 0 && in_query && c == '+') {
            c = ' ';
        }
        text_uri_encode(out, &c, 1, escaped < 0 && !in_query);
        i += escaped >= 0 ? 2 : 0;
    }
}

struct parameter {
    const char *name;
    const char *value;
};

static int parameter_order(const void *a, const void *b)
{
    const struct parameter *left = a;
    const struct parameter *right = b;
    int order = strcmp(left->name, right->name);
    return order != 0 ? order : strcmp(left->value, right->value);
}

static const char *encoded_copy(const char *text, size_t length, struct arena *arena,
                                struct buf *scratch)
{
    buf_reset(scratch);
    put_encoded(scratch, text, length, true);
    return buf_failed(scratch) ? NULL : arena_try_memdup(arena, buf_text(scratch), scratch->length);
}

/* Parameters in the order of their encoded names, then values; one without '=' has an empty value.
 */
static int put_query(const char *query, bool presigned, struct arena *arena, struct buf *out)
{
    size_t most = 1;
    for (const char *at = query; (at = strchr(at, '&')) != NULL; at++) {
        most++;
    }
    struct parameter *parameters = arena_try_alloc(arena, most * sizeof *parameters);
    if (parameters == NULL) {
        return -ENOMEM;
    }
    struct buf scratch CLEANUP(buf_done);
    buf_init(&scratch, CANONICAL_LIMIT);
    size_t count = 0;
    for (const char *at = query; *at != '\0';) {
        size_t length = strcspn(at, "&");
        size_t name = strcspn(at, "=&");
        if (length != 0) {
            struct parameter *fresh = &parameters[count];
            size_t skip = name < length ? name + 1 : name;
            fresh->name = encoded_copy(at, name, arena, &scratch);
            fresh->value = encoded_copy(at + skip, length - skip, arena, &scratch);
            if (fresh->name == NULL || fresh->value == NULL) {
                return -ENOMEM;
            }
            count += presigned && strcmp(fresh->name, "X-Amz-Signature") == 0 ? 0 : 1;
        }
        at += length;
        at += *at == '&' ? 1 : 0;
    }
    qsort(parameters, count, sizeof *parameters, parameter_order);
    for (size_t i = 0; i < count; i++) {
        buf_puts(out, i != 0 ? "&" : "");
        buf_puts(out, parameters[i].name);
        buf_putc(out, '=');
        buf_puts(out, parameters[i].value);
    }
    return 0;
}

/* Without white space around it, and with each run of it inside as one space. */
static void put_header_value(struct buf *out, const char *value)
{
    bool first = true;
    while (*value != '\0') {
        value += strspn(value, " \t\r\n");
        size_t word = strcspn(value, " \t\r\n");
        if (word != 0) {
            buf_puts(out, first ? "" : " ");
            buf_put(out, value, word);
            first = false;
        }
        value += word;
    }
}

static void put_header(struct buf *out, const struct http_request *request, const char *name,
                       size_t length)
{
    buf_put(out, name, length);
    buf_putc(out, ':');
    bool first = true;
    for (size_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        if (strlen(header->name) == length && strncasecmp(header->name, name, length) == 0) {
            buf_puts(out, first ? "" : ",");
            put_header_value(out, header->value);
            first = false;
        }
    }
    buf_putc(out, '\n');
}

bool sigv4_header_listed(const char *signed_headers, const char *name)
{
    size_t wanted = strlen(name);
    for (const char *at = signed_headers; *at != '\0';) {
        size_t length = strcspn(at, ";");
        if (length == wanted && strncasecmp(at, name, length) == 0) {
            return true;
        }
        at += length;
        at += *at == ';' ? 1 : 0;
    }
    return false;
}

int sigv4_canonical_request(const struct http_request *request, const struct sigv4_inputs *inputs,
                            struct arena *arena, struct buf *out)
{
    buf_puts(out, request->method);
    buf_putc(out, '\n');
    int code = 0;
    if (text_equal(inputs->service, "s3")) {
        put_encoded(out, request->path, strlen(request->path), false);
    } else {
        code = put_normal_path(request->path, arena, out);
    }
    buf_putc(out, '\n');
    if (code == 0) {
        code = put_query(request->query, inputs->presigned, arena, out);
    }
    if (code != 0) {
        return code;
    }
    buf_putc(out, '\n');
    for (const char *at = inputs->signed_headers; *at != '\0';) {
        size_t length = strcspn(at, ";");
        put_header(out, request, at, length);
        at += length;
        at += *at == ';' ? 1 : 0;
    }
    buf_putc(out, '\n');
    buf_puts(out, inputs->signed_headers);
    buf_putc(out, '\n');
    buf_puts(out, inputs->payload_hash);
    return 0;
}

void sigv4_string_to_sign(const struct sigv4_inputs *inputs, const char *canonical, size_t length,
                          struct buf *out)
{
    char hash[SIGV4_HASH_TEXT];
    sigv4_hash(canonical, length, hash);
    buf_printf(out, SIGV4_ALGORITHM "\n%s\n%s/%s/%s/aws4_request\n%s", inputs->timestamp,
               inputs->date, inputs->region, inputs->service, hash);
}

/* HMAC over date, region, service and a constant, each the key of the next. */
static void signing_key(EVP_MAC_CTX *context, const struct secret *secret,
                        const struct sigv4_inputs *inputs, unsigned char out[SIGV4_HASH_SIZE])
{
    static const char prefix[] = {'A', 'W', 'S', '4'};
    char start[sizeof prefix + SECRET_LIMIT];
    (void)memcpy(start, prefix, sizeof prefix);
    (void)memcpy(start + sizeof prefix, secret->data, secret->length);
    keyed_hash(context, start, sizeof prefix + secret->length, inputs->date, strlen(inputs->date),
               out);
    secret_wipe_memory(start, sizeof start);
    const char *parts[] = {inputs->region, inputs->service, "aws4_request"};
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        unsigned char next[SIGV4_HASH_SIZE];
        keyed_hash(context, out, SIGV4_HASH_SIZE, parts[i], strlen(parts[i]), next);
        (void)memcpy(out, next, sizeof next);
        secret_wipe_memory(next, sizeof next);
    }
}

int sigv4_compute(const struct http_request *request, const struct sigv4_inputs *inputs,
                  const struct secret *secret, struct arena *arena,
                  unsigned char ret_signature[SIGV4_HASH_SIZE])
{
    struct buf canonical CLEANUP(buf_done);
    struct buf text CLEANUP(buf_done);
    buf_init(&canonical, CANONICAL_LIMIT);
    buf_init(&text, SIGNED_LIMIT); /* date, region and service are parts of it */
    int code = sigv4_canonical_request(request, inputs, arena, &canonical);
    if (code != 0) {
        return code;
    }
    sigv4_string_to_sign(inputs, buf_text(&canonical), canonical.length, &text);
    if (buf_failed(&canonical) || buf_failed(&text)) {
        return -E2BIG;
    }
    unsigned char key[SIGV4_HASH_SIZE];
    EVP_MAC_CTX *context = keyed_hash_new();
    signing_key(context, secret, inputs, key);
    keyed_hash(context, key, sizeof key, buf_text(&text), text.length, ret_signature);
    EVP_MAC_CTX_free(context); /* wipes what it knows of the key */
    secret_wipe_memory(key, sizeof key);
    return 0;
}
