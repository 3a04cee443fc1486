/* Verifying and signing with Signature Version 4: see sigv4.h. Called by the server's dispatch and
 * by the client, on any thread; results live in the arena that was given. Invariant: a request is
 * accepted only when its host, its X-Amz-* headers and its body are covered by the signature. */
#include "aws/sigv4.h"

#include "aws/sigv4_canonical.h"
#include "aws/sigv4_parts.h"
#include "base/buf.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

static int fails(const char **ret_code, struct err *err, const char *code, const char *message)
{
    *ret_code = code;
    return err_set(err, ERR_DENIED, "%s", message);
}

static int mismatch(const char **ret_code, struct err *err)
{
    return fails(ret_code, err, "SignatureDoesNotMatch",
                 "The request signature we calculated does not match the signature you provided. "
                 "Check your AWS Secret Access Key and signing method. Consult the service "
                 "documentation for details.");
}

int sigv4_scope(const struct http_request *request, struct arena *arena,
                struct sigv4_scope *ret_scope, const char **ret_code, struct err *err)
{
    struct sigv4_parts parts;
    int code = sigv4_parts_read(request, arena, &parts, ret_code, err);
    if (code == 0) {
        *ret_scope = parts.scope;
    }
    return code;
}

/* "20261121T094844Z", as SigV4 writes time. */
static void basic_time(struct wall when, char out[TIME_TEXT])
{
    char text[TIME_TEXT];
    wall_format(when, text); /* 2026-11-21T09:48:44Z */
    (void)snprintf(out, TIME_TEXT, "%.4s%.2s%.5s%.2s%.3s", text, text + 5, text + 8, text + 14,
                   text + 17); /* fits */
}

static int check_time(const struct sigv4_parts *parts, struct wall now, const char **ret_code,
                      struct err *err)
{
    struct wall signed_at;
    if (strncmp(parts->timestamp, parts->scope.date, 8) != 0) {
        *ret_code = "SignatureDoesNotMatch";
        return err_set(err, ERR_DENIED,
                       "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of "
                       "date from HTTP: '%s' != '%.8s', from '%s'.",
                       parts->scope.date, parts->timestamp, parts->timestamp);
    }
    if (wall_parse(parts->timestamp, &signed_at) != 0) {
        return mismatch(ret_code, err);
    }
    const int64_t skew = SIGV4_SKEW_S * TIME_S;
    char now_text[TIME_TEXT];
    char edge_text[TIME_TEXT];
    basic_time(now, now_text);
    if (signed_at.ns > now.ns + skew) {
        basic_time((struct wall){now.ns + skew}, edge_text);
        *ret_code = "SignatureDoesNotMatch";
        return err_set(err, ERR_DENIED,
                       "Signature not yet current: %s is still later than %s (%s + 5 min.)",
                       parts->timestamp, edge_text, now_text);
    }
    if (parts->scope.presigned && now.ns > signed_at.ns + parts->expires_s * TIME_S) {
        return fails(ret_code, err, "RequestExpired", "Request has expired.");
    }
    if (!parts->scope.presigned && signed_at.ns < now.ns - skew) {
        basic_time((struct wall){now.ns - skew}, edge_text);
        *ret_code = "SignatureDoesNotMatch";
        return err_set(err, ERR_DENIED,
                       "Signature expired: %s is now earlier than %s (%s - 5 min.)",
                       parts->timestamp, edge_text, now_text);
    }
    return 0;
}

static bool header_present(const struct http_request *request, const char *name, size_t length)
{
    for (size_t i = 0; i < request->header_count; i++) {
        const char *other = request->headers[i].name;
        if (strlen(other) == length && strncasecmp(other, name, length) == 0) {
            return true;
        }
    }
    return false;
}

/* Host, and every X-Amz-* header there is, must be signed; every signed header must be there. */
static int check_headers(const struct http_request *request, const char *signed_headers,
                         const char **ret_code, struct err *err)
{
    if (!sigv4_header_listed(signed_headers, "host")) {
        return fails(ret_code, err, "SignatureDoesNotMatch",
                     "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
    }
    for (size_t i = 0; i < request->header_count; i++) {
        const char *name = request->headers[i].name;
        if (strncasecmp(name, "x-amz-", 6) == 0 && !sigv4_header_listed(signed_headers, name)) {
            *ret_code = "SignatureDoesNotMatch";
            return err_set(err, ERR_DENIED,
                           "There were headers present in the request which were not signed: %.64s",
                           name);
        }
    }
    for (const char *at = signed_headers; *at != '\0';) {
        size_t length = strcspn(at, ";");
        if (!header_present(request, at, length)) {
            return mismatch(ret_code, err);
        }
        at += length;
        at += *at == ';' ? 1 : 0;
    }
    return 0;
}

/* What stands for the body in the canonical request. hash: room for the computed one. */
static int check_payload(const struct http_request *request, const struct sigv4_scope *scope,
                         char hash[SIGV4_HASH_TEXT], const char **ret_payload,
                         const char **ret_code, struct err *err)
{
    bool s3 = text_equal(scope->service, "s3");
    const char *given = http_header_value(request, "x-amz-content-sha256");
    if (given == NULL && s3 && scope->presigned) {
        given = UNSIGNED_PAYLOAD;
    }
    if (given != NULL && text_equal(given, UNSIGNED_PAYLOAD)) {
        /* Over plain HTTP anybody on the way could change such a body. */
        if (!request->tls && (request->body_size != 0 || !scope->presigned)) {
            return fails(ret_code, err, s3 ? "InvalidRequest" : "SignatureDoesNotMatch",
                         "UNSIGNED-PAYLOAD is allowed over HTTPS only");
        }
        *ret_payload = UNSIGNED_PAYLOAD;
        return 0;
    }
    sigv4_hash(request->body, request->body_size, hash);
    if (given != NULL && strcasecmp(given, hash) != 0) {
        return s3 ? fails(ret_code, err, "XAmzContentSHA256Mismatch",
                          "The provided 'x-amz-content-sha256' header does not match what was "
                          "computed.")
                  : mismatch(ret_code, err);
    }
    *ret_payload = hash;
    return 0;
}

int sigv4_verify(const struct http_request *request, const struct sigv4_scope *scope,
                 const struct secret *secret, struct wall now, struct arena *arena,
                 const char **ret_code, struct err *err)
{
    struct sigv4_parts parts;
    int code = sigv4_parts_read(request, arena, &parts, ret_code, err);
    if (code != 0) {
        return code;
    }
    if (parts.scope.access_key_id[0] == '\0' ||
        !text_equal(parts.scope.access_key_id, scope->access_key_id)) {
        return fails(ret_code, err, "MissingAuthenticationToken", "Missing Authentication Token");
    }
    char hash[SIGV4_HASH_TEXT];
    const char *payload = NULL;
    code = check_time(&parts, now, ret_code, err);
    if (code == 0) {
        code = check_headers(request, parts.signed_headers, ret_code, err);
    }
    if (code == 0) {
        code = check_payload(request, &parts.scope, hash, &payload, ret_code, err);
    }
    if (code != 0) {
        return code;
    }
    struct sigv4_inputs inputs = {.service = parts.scope.service,
                                  .signed_headers = parts.signed_headers,
                                  .payload_hash = payload,
                                  .timestamp = parts.timestamp,
                                  .date = parts.scope.date,
                                  .region = parts.scope.region,
                                  .presigned = parts.scope.presigned};
    unsigned char wanted[SIGV4_HASH_SIZE];
    unsigned char given[SIGV4_HASH_SIZE];
    code = sigv4_compute(request, &inputs, secret, arena, wanted);
    if (code != 0) {
        *ret_code = "InternalFailure";
        return err_set_errno(err, code, "cannot bring a request into its canonical form");
    }
    bool same = text_unhex(parts.signature, given, sizeof given) == 0 &&
                secret_same_bytes(wanted, given, sizeof given);
    secret_wipe_memory(wanted, sizeof wanted);
    return same ? 0 : mismatch(ret_code, err);
}

static int name_order(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;
    return strcmp(*left, *right);
}

/* The list of headers that a client signs: host, content-type, x-amz-*. */
static const char *headers_to_sign(const struct http_request *request, struct arena *arena)
{
    const char **names = arena_array(arena, request->header_count, sizeof *names);
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        const char *name = request->headers[i].name;
        if (text_equal_nocase(name, "host") || text_equal_nocase(name, "content-type") ||
            strncasecmp(name, "x-amz-", 6) == 0) {
            char *lower = arena_strdup(arena, name);
            for (char *c = lower; *c != '\0'; c++) {
                *c = text_lower(*c);
            }
            names[count++] = lower;
        }
    }
    qsort(names, count, sizeof *names, name_order);
    const char *list = "";
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !text_equal(names[i - 1], names[i])) {
            list = arena_printf(arena, "%s%s%s", list, i == 0 ? "" : ";", names[i]);
        }
    }
    return list;
}

int sigv4_sign(const struct http_request *request, const char *access_key_id,
               const struct secret *secret, const char *region, const char *service,
               struct wall now, struct arena *arena, struct sigv4_signature *ret_signature,
               struct err *err)
{
    if (http_header_value(request, "host") == NULL ||
        http_header_value(request, "x-amz-date") != NULL ||
        http_header_value(request, "x-amz-content-sha256") != NULL) {
        return err_set(err, ERR_INVALID,
                       "a request to be signed has a Host header, and no X-Amz-Date or "
                       "X-Amz-Content-Sha256");
    }
    char timestamp[TIME_TEXT];
    char hash[SIGV4_HASH_TEXT];
    basic_time(now, timestamp);
    sigv4_hash(request->body, request->body_size, hash);
    struct http_header *headers = arena_array(arena, request->header_count + 2, sizeof *headers);
    if (request->header_count != 0) {
        (void)memcpy(headers, request->headers, request->header_count * sizeof *headers);
    }
    struct http_request whole = *request;
    whole.headers = headers;
    headers[whole.header_count++] = (struct http_header){"x-amz-date", timestamp};
    headers[whole.header_count++] = (struct http_header){"x-amz-content-sha256", hash};
    const char *date = arena_printf(arena, "%.8s", timestamp);
    struct sigv4_inputs inputs = {.service = service,
                                  .signed_headers = headers_to_sign(&whole, arena),
                                  .payload_hash = hash,
                                  .timestamp = timestamp,
                                  .date = date,
                                  .region = region};
    unsigned char signature[SIGV4_HASH_SIZE];
    int code = sigv4_compute(&whole, &inputs, secret, arena, signature);
    if (code != 0) {
        return err_set_errno(err, code, "cannot sign the request");
    }
    char signature_text[SIGV4_HASH_TEXT];
    text_hex(signature, sizeof signature, signature_text);
    ret_signature->authorization =
        arena_printf(arena,
                     SIGV4_ALGORITHM " Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=%s, "
                                     "Signature=%s",
                     access_key_id, date, region, service, inputs.signed_headers, signature_text);
    ret_signature->date = arena_strdup(arena, timestamp);
    ret_signature->content_sha256 = arena_strdup(arena, hash);
    return 0;
}
