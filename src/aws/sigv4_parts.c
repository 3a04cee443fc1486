/* Reading signatures: see sigv4_parts.h. Called by sigv4.c on the thread of the request; everything
 * it returns lives in the request's arena. Messages are worded as AWS words them. Invariant: parts
 * that were returned are complete and within their limits, whatever the request held. */
#include "aws/sigv4_parts.h"

#include "aws/sigv4_canonical.h"
#include "base/buf.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CREDENTIAL_PART_LIMIT 128U
#define SIGNED_HEADERS_LIMIT 2048U
#define TIMESTAMP_LENGTH 16U
#define SPACES " \t"

static int incomplete(const char **ret_code, struct err *err, const char *message)
{
    *ret_code = "IncompleteSignature";
    return err_set(err, ERR_INVALID, "%s", message);
}

static int no_memory(const char **ret_code, struct err *err)
{
    *ret_code = "InternalFailure";
    return err_set(err, ERR_MEMORY, "no memory for a request");
}

static bool all_of(const char *text, const char *allowed)
{
    return text[strspn(text, allowed)] == '\0';
}

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* "keyid/date/region/service/aws4_request" */
static int read_credential(char *credential, struct sigv4_scope *scope, const char **ret_code,
                           struct err *err)
{
    char *parts[5] = {0};
    size_t count = 0;
    for (char *at = credential; at != NULL && count < ARRAY_SIZE(parts) + 1; count++) {
        char *slash = strchr(at, '/');
        if (count < ARRAY_SIZE(parts)) {
            parts[count] = at;
        }
        if (slash != NULL) {
            *slash = '\0';
            slash++;
        }
        at = slash;
    }
    if (count != ARRAY_SIZE(parts)) {
        return incomplete(ret_code, err,
                          "Credential must have exactly 5 slash-delimited elements, e.g. "
                          "keyid/date/region/service/term");
    }
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        size_t length = strlen(parts[i]);
        if (length == 0 || length > CREDENTIAL_PART_LIMIT ||
            !all_of(parts[i], DIGITS LOWER UPPER "-_")) {
            return incomplete(ret_code, err,
                              "Credential must be of the form "
                              "keyid/date/region/service/aws4_request");
        }
    }
    if (strlen(parts[1]) != 8 || !all_of(parts[1], DIGITS)) {
        return incomplete(ret_code, err, "Date in Credential scope must be of the form YYYYMMDD");
    }
    if (!text_equal(parts[4], "aws4_request")) {
        return incomplete(ret_code, err,
                          "Credential should be scoped with a valid terminator: 'aws4_request'");
    }
    scope->access_key_id = parts[0];
    scope->date = parts[1];
    scope->region = parts[2];
    scope->service = parts[3];
    return 0;
}

/* Lower-case header names without repeats, at least one, no more than a request may have. */
static bool signed_headers_valid(const char *list)
{
    size_t count = 0;
    if (list[0] == '\0' || strlen(list) > SIGNED_HEADERS_LIMIT) {
        return false;
    }
    for (const char *at = list; at != NULL; count++) {
        size_t length = strcspn(at, ";");
        if (length == 0 || count >= HTTP_HEADERS_LIMIT) {
            return false;
        }
        for (size_t i = 0; i < length; i++) {
            if (at[i] <= ' ' || at[i] > '~' || at[i] == ':' || (at[i] >= 'A' && at[i] <= 'Z')) {
                return false;
            }
        }
        const char *next = at[length] == ';' ? at + length + 1 : NULL;
        for (const char *other = next; other != NULL; other = strchr(other, ';')) {
            other += *other == ';' ? 1 : 0;
            if (strncmp(at, other, length) == 0 &&
                (other[length] == ';' || other[length] == '\0')) {
                return false;
            }
        }
        at = next;
    }
    return true;
}

static bool timestamp_valid(const char *text)
{
    struct wall when;
    return strlen(text) == TIMESTAMP_LENGTH && text[8] == 'T' && text[15] == 'Z' &&
           wall_parse(text, &when) == 0;
}

/* An RFC 7231 date ("Sat, 21 Nov 2026 10:12:21 GMT") as a basic-form timestamp; NULL when it is
 * none. */
static const char *timestamp_of_http_date(const char *text, struct arena *arena)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (strlen(text) != 29 || strcmp(text + 25, " GMT") != 0) {
        return NULL;
    }
    for (int month = 0; month < 12; month++) {
        if (strncmp(text + 8, months + (ptrdiff_t)month * 3, 3) == 0) {
            const char *result = arena_printf(arena, "%.4s%02d%.2sT%.2s%.2s%.2sZ", text + 12,
                                              month + 1, text + 5, text + 17, text + 20, text + 23);
            return timestamp_valid(result) ? result : NULL;
        }
    }
    return NULL;
}

static int read_timestamp(const struct http_request *request, struct arena *arena,
                          const char **ret_timestamp, const char **ret_code, struct err *err)
{
    const char *text = http_header_value(request, "x-amz-date");
    bool own = text != NULL;
    if (text == NULL) {
        text = http_header_value(request, "date");
    }
    if (text == NULL) {
        return incomplete(ret_code, err,
                          "Authorization header requires existence of either a 'X-Amz-Date' or a "
                          "'Date' header");
    }
    const char *timestamp = timestamp_valid(text) ? arena_try_memdup(arena, text, strlen(text))
                            : own                 ? NULL
                                                  : timestamp_of_http_date(text, arena);
    if (timestamp == NULL) {
        *ret_code = "IncompleteSignature";
        return err_set(err, ERR_INVALID, "Date must be in ISO-8601 'basic format'. Got '%.64s'",
                       text);
    }
    *ret_timestamp = timestamp;
    return 0;
}

struct named_part {
    const char *name;
    char *value; /* NULL until it was read */
};

static int part_set(struct named_part *parts, size_t count, char *token, const char **ret_code,
                    struct err *err)
{
    char *equals = strchr(token, '=');
    if (equals == NULL) {
        *ret_code = "IncompleteSignature";
        return err_set(err, ERR_INVALID,
                       "'%.64s' not a valid key=value pair (missing equal-sign) in Authorization "
                       "header",
                       token);
    }
    *equals = '\0';
    for (size_t i = 0; i < count; i++) {
        if (text_equal(parts[i].name, token)) {
            if (parts[i].value != NULL) {
                return incomplete(ret_code, err, "Authorization header names a parameter twice");
            }
            parts[i].value = equals + 1;
        }
    }
    return 0;
}

static int check_common(char *credential, const char *signed_headers, const char *signature,
                        struct sigv4_parts *parts, const char **ret_code, struct err *err)
{
    int code = read_credential(credential, &parts->scope, ret_code, err);
    if (code != 0) {
        return code;
    }
    if (!signed_headers_valid(signed_headers)) {
        return incomplete(ret_code, err,
                          "SignedHeaders must be lower-case header names separated by ';'");
    }
    if (strlen(signature) != SIGV4_HASH_TEXT - 1 || !all_of(signature, DIGITS "abcdef")) {
        /* The signer's arithmetic went wrong, which AWS calls a mismatch. */
        *ret_code = "SignatureDoesNotMatch";
        return err_set(err, ERR_INVALID,
                       "The request signature we calculated does not match the signature you "
                       "provided. Check your AWS Secret Access Key and signing method. Consult "
                       "the service documentation for details.");
    }
    parts->signed_headers = signed_headers;
    parts->signature = signature;
    return 0;
}

static int read_header(const struct http_request *request, const char *authorization,
                       struct arena *arena, struct sigv4_parts *parts, const char **ret_code,
                       struct err *err)
{
    size_t scheme = strcspn(authorization, SPACES);
    if (scheme != strlen(SIGV4_ALGORITHM) || strncmp(authorization, SIGV4_ALGORITHM, scheme) != 0) {
        *ret_code = "IncompleteSignature";
        return err_set(err, ERR_INVALID, "Unsupported AWS 'algorithm': '%.*s'",
                       (int)MIN(scheme, (size_t)64), authorization);
    }
    char *text = arena_try_memdup(arena, authorization + scheme, strlen(authorization + scheme));
    if (text == NULL) {
        return no_memory(ret_code, err);
    }
    struct named_part named[] = {
        {"Credential", NULL}, {"SignedHeaders", NULL}, {"Signature", NULL}};
    char *rest = NULL;
    for (char *token = strtok_r(text, SPACES ",", &rest); token != NULL;
         token = strtok_r(NULL, SPACES ",", &rest)) {
        int code = part_set(named, ARRAY_SIZE(named), token, ret_code, err);
        if (code != 0) {
            return code;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
        if (named[i].value == NULL) {
            *ret_code = "IncompleteSignature";
            return err_set(err, ERR_INVALID, "Authorization header requires '%s' parameter",
                           named[i].name);
        }
    }
    int code = check_common(named[0].value, named[1].value, named[2].value, parts, ret_code, err);
    return code != 0 ? code : read_timestamp(request, arena, &parts->timestamp, ret_code, err);
}

/* The decoded value of a query parameter. -ENOENT when it is absent, -EINVAL when it stands there
 * twice or is not decodable. */
static int query_value(const char *query, const char *name, struct arena *arena, char **ret_value)
{
    char *found = NULL;
    size_t wanted = strlen(name);
    for (const char *at = query; *at != '\0';) {
        size_t length = strcspn(at, "&");
        if (length > wanted && strncmp(at, name, wanted) == 0 && at[wanted] == '=') {
            struct buf value CLEANUP(buf_done);
            buf_init(&value, HTTP_TARGET_LIMIT);
            if (found != NULL ||
                text_uri_decode(&value, at + wanted + 1, length - wanted - 1, true) != 0) {
                return -EINVAL;
            }
            found = arena_try_memdup(arena, buf_text(&value), value.length);
            if (found == NULL) {
                return -EINVAL;
            }
        }
        at += length;
        at += *at == '&' ? 1 : 0;
    }
    *ret_value = found;
    return found != NULL ? 0 : -ENOENT;
}

static int read_query(const struct http_request *request, struct arena *arena,
                      struct sigv4_parts *parts, const char **ret_code, struct err *err)
{
    static const char *const names[] = {"X-Amz-Algorithm",     "X-Amz-Credential",
                                        "X-Amz-Date",          "X-Amz-Expires",
                                        "X-Amz-SignedHeaders", "X-Amz-Signature"};
    char *values[ARRAY_SIZE(names)] = {0};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (query_value(request->query, names[i], arena, &values[i]) != 0) {
            *ret_code = "IncompleteSignature";
            return err_set(err, ERR_INVALID,
                           "AWS query-string parameters must include '%s' exactly once", names[i]);
        }
    }
    if (!text_equal(values[0], SIGV4_ALGORITHM)) {
        *ret_code = "IncompleteSignature";
        return err_set(err, ERR_INVALID, "Unsupported AWS 'algorithm': '%.64s'", values[0]);
    }
    if (!timestamp_valid(values[2])) {
        *ret_code = "IncompleteSignature";
        return err_set(err, ERR_INVALID, "Date must be in ISO-8601 'basic format'. Got '%.64s'",
                       values[2]);
    }
    if (text_to_i64(values[3], 1, SIGV4_PRESIGNED_LIMIT_S, &parts->expires_s) != 0) {
        *ret_code = "IncompleteSignature";
        return err_set(err, ERR_INVALID, "X-Amz-Expires must be a number from 1 to %d seconds",
                       SIGV4_PRESIGNED_LIMIT_S);
    }
    parts->timestamp = values[2];
    parts->scope.presigned = true;
    return check_common(values[1], values[4], values[5], parts, ret_code, err);
}

/* Does the query carry any of the parameters that only a presigned URL has? */
static bool presigned(const char *query)
{
    static const char *const names[] = {
        "X-Amz-Algorithm=", "X-Amz-Signature=", "X-Amz-Credential="};
    for (const char *at = query; *at != '\0';) {
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
            if (text_starts(at, names[i])) {
                return true;
            }
        }
        at += strcspn(at, "&");
        at += *at == '&' ? 1 : 0;
    }
    return false;
}

static size_t header_count(const struct http_request *request, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        count += text_equal_nocase(request->headers[i].name, name) ? 1 : 0;
    }
    return count;
}

int sigv4_parts_read(const struct http_request *request, struct arena *arena,
                     struct sigv4_parts *ret_parts, const char **ret_code, struct err *err)
{
    struct sigv4_parts parts = {
        .scope = {.access_key_id = "", .date = "", .region = "", .service = ""},
        .signed_headers = "",
        .signature = "",
        .timestamp = ""};
    const char *authorization = http_header_value(request, "authorization");
    bool by_query = presigned(request->query);
    int code = 0;
    if (authorization != NULL && (by_query || header_count(request, "authorization") != 1)) {
        return incomplete(ret_code, err,
                          "Only one auth mechanism allowed: the X-Amz-Algorithm query parameter "
                          "or one Authorization header");
    }
    if (authorization != NULL) {
        code = read_header(request, authorization + strspn(authorization, SPACES), arena, &parts,
                           ret_code, err);
    } else if (by_query) {
        code = read_query(request, arena, &parts, ret_code, err);
    }
    if (code == 0) {
        *ret_parts = parts;
    }
    return code;
}
