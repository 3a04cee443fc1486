/* Tests of Signature Version 4: the vectors that AWS publishes (the "aws-sig-v4-test-suite", and
 * the examples of the IAM and S3 guides), and what must be refused. One thread. */
#include "aws/sigv4.h"

#include "aws/sigv4_canonical.h"
#include "base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EXAMPLE_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define S3_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SUITE_DATE "20150830T123600Z"

struct vector {
    const char *name;
    const char *method;
    const char *path;
    const char *query;
    struct http_header headers[6]; /* besides Host: example.amazonaws.com and the suite's date */
    const char *body;
    const char *signed_headers;
    const char *signature;
};

#define PLAIN "host;x-amz-date"

static const struct vector suite[] = {
    {"get-vanilla",
     "GET",
     "/",
     "",
     {{0}},
     "",
     PLAIN,
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-vanilla-query-order-key-case",
     "GET",
     "/",
     "Param2=value2&Param1=value1",
     {{0}},
     "",
     PLAIN,
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-vanilla-empty-query-key",
     "GET",
     "/",
     "Param1=value1",
     {{0}},
     "",
     PLAIN,
     "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
    {"get-unreserved",
     "GET",
     "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
     "",
     {{0}},
     "",
     PLAIN,
     "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
    {"get-utf8",
     "GET",
     "/\xe1\x88\xb4",
     "",
     {{0}},
     "",
     PLAIN,
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    {"get-vanilla-utf8-query",
     "GET",
     "/",
     "\xe1\x88\xb4=bar",
     {{0}},
     "",
     PLAIN,
     "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
    {"get-header-key-duplicate",
     "GET",
     "/",
     "",
     {{"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}},
     "",
     "host;my-header1;x-amz-date",
     "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    {"get-header-value-order",
     "GET",
     "/",
     "",
     {{"My-Header1", "value4"},
      {"My-Header1", "value1"},
      {"My-Header1", "value3"},
      {"My-Header1", "value2"}},
     "",
     "host;my-header1;x-amz-date",
     "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
    {"get-header-value-trim",
     "GET",
     "/",
     "",
     {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
     "",
     "host;my-header1;my-header2;x-amz-date",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"get-slash",
     "GET",
     "//",
     "",
     {{0}},
     "",
     PLAIN,
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-slash-dot-slash",
     "GET",
     "/./",
     "",
     {{0}},
     "",
     PLAIN,
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-relative",
     "GET",
     "/example/..",
     "",
     {{0}},
     "",
     PLAIN,
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-relative-relative",
     "GET",
     "/example1/example2/../..",
     "",
     {{0}},
     "",
     PLAIN,
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-slash-pointless-dot",
     "GET",
     "/./example",
     "",
     {{0}},
     "",
     PLAIN,
     "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"},
    {"get-slashes",
     "GET",
     "//example//",
     "",
     {{0}},
     "",
     PLAIN,
     "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"},
    {"post-vanilla",
     "POST",
     "/",
     "",
     {{0}},
     "",
     PLAIN,
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"post-vanilla-query",
     "POST",
     "/",
     "Param1=value1",
     {{0}},
     "",
     PLAIN,
     "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
    {"post-header-key-sort",
     "POST",
     "/",
     "",
     {{"My-Header1", "value1"}},
     "",
     "host;my-header1;x-amz-date",
     "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
    {"post-header-value-case",
     "POST",
     "/",
     "",
     {{"My-Header1", "VALUE1"}},
     "",
     "host;my-header1;x-amz-date",
     "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
    {"post-x-www-form-urlencoded",
     "POST",
     "/",
     "",
     {{"Content-Type", "application/x-www-form-urlencoded"}},
     "Param1=value1",
     "content-type;host;x-amz-date",
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
};

/* A request with room for its headers and its Authorization. */
struct sample {
    struct http_request request;
    struct http_header headers[12];
    char authorization[1024];
    struct arena arena;
};

static void add(struct sample *sample, const char *name, const char *value)
{
    sample->headers[sample->request.header_count++] = (struct http_header){name, value};
}

static void sample_init(struct sample *sample, const struct vector *vector)
{
    *sample = (struct sample){.request = {.method = vector->method,
                                          .path = vector->path,
                                          .query = vector->query,
                                          .body = vector->body,
                                          .body_size = strlen(vector->body),
                                          .source = ""}};
    sample->request.headers = sample->headers;
    arena_init(&sample->arena, 1U << 20U);
    add(sample, "Host", "example.amazonaws.com");
    add(sample, "X-Amz-Date", SUITE_DATE);
    for (size_t i = 0; i < ARRAY_SIZE(vector->headers) && vector->headers[i].name != NULL; i++) {
        add(sample, vector->headers[i].name, vector->headers[i].value);
    }
    (void)snprintf(sample->authorization, sizeof sample->authorization,
                   "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/"
                   "aws4_request, SignedHeaders=%s, Signature=%s",
                   vector->signed_headers, vector->signature);
    add(sample, "Authorization", sample->authorization);
}

static struct wall at(const char *time)
{
    struct wall when;
    assert_int_equal(wall_parse(time, &when), 0);
    return when;
}

/* Reads the scope and verifies: the error code, or "" when the request is accepted. */
static const char *verdict(struct sample *sample, const char *secret_text, struct wall now)
{
    struct secret secret;
    struct sigv4_scope scope;
    struct err err = ERR_INIT;
    const char *code = "";
    assert_int_equal(secret_set(&secret, secret_text, strlen(secret_text)), 0);
    if (sigv4_scope(&sample->request, &sample->arena, &scope, &code, &err) == 0) {
        int failed =
            sigv4_verify(&sample->request, &scope, &secret, now, &sample->arena, &code, &err);
        assert_int_equal(failed == 0, code[0] == '\0');
        assert_int_equal(failed == 0, err.message[0] == '\0');
    }
    return code;
}

static void assert_verdict(const struct vector *vector, const char *wanted)
{
    struct sample sample;
    sample_init(&sample, vector);
    assert_string_equal(verdict(&sample, EXAMPLE_SECRET, at(SUITE_DATE)), wanted);
    arena_done(&sample.arena);
}

static void the_published_vectors_are_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(suite); i++) {
        struct sample sample;
        sample_init(&sample, &suite[i]);
        const char *code = verdict(&sample, EXAMPLE_SECRET, at(SUITE_DATE));
        if (code[0] != '\0') {
            fail_msg("%s: %s", suite[i].name, code);
        }
        arena_done(&sample.arena);
    }
}

static void the_canonical_request_is_that_of_the_guide(void **state)
{
    (void)state;
    struct http_header headers[] = {
        {"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"},
        {"Host", "iam.amazonaws.com"},
        {"X-Amz-Date", SUITE_DATE}};
    struct http_request request = {.method = "GET",
                                   .path = "/",
                                   .query = "Action=ListUsers&Version=2010-05-08",
                                   .headers = headers,
                                   .header_count = ARRAY_SIZE(headers)};
    struct sigv4_inputs inputs = {.service = "iam",
                                  .signed_headers = "content-type;host;x-amz-date",
                                  .payload_hash = EMPTY_HASH,
                                  .timestamp = SUITE_DATE,
                                  .date = "20150830",
                                  .region = "us-east-1"};
    struct arena arena;
    struct buf out;
    arena_init(&arena, 0);
    buf_init(&out, 0);
    assert_int_equal(sigv4_canonical_request(&request, &inputs, &arena, &out), 0);
    char hash[SIGV4_HASH_TEXT];
    sigv4_hash(buf_text(&out), out.length, hash);
    assert_string_equal(hash, "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59");
    struct secret secret;
    unsigned char signature[SIGV4_HASH_SIZE];
    assert_int_equal(secret_set(&secret, EXAMPLE_SECRET, strlen(EXAMPLE_SECRET)), 0);
    assert_int_equal(sigv4_compute(&request, &inputs, &secret, &arena, signature), 0);
    char text[SIGV4_HASH_TEXT];
    text_hex(signature, sizeof signature, text);
    assert_string_equal(text, "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
    buf_done(&out);
    arena_done(&arena);
}

static void the_presigned_example_of_the_s3_guide_is_accepted_until_it_expires(void **state)
{
    (void)state;
    static const struct vector vector = {
        .method = "GET",
        .path = "/test.txt",
        .query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524"
                 "%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"
                 "&X-Amz-SignedHeaders=host&X-Amz-Signature="
                 "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        .body = ""};
    static const struct {
        const char *now;
        const char *code;
    } cases[] = {{"20130524T000000Z", ""},
                 {"20130525T000000Z", ""},
                 {"20130525T000001Z", "RequestExpired"},
                 {"20130523T235500Z", ""},
                 {"20130523T235459Z", "SignatureDoesNotMatch"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct sample sample = {.request = {.method = "GET",
                                            .path = vector.path,
                                            .query = vector.query,
                                            .body = "",
                                            .source = ""}};
        sample.request.headers = sample.headers;
        arena_init(&sample.arena, 0);
        add(&sample, "Host", "examplebucket.s3.amazonaws.com");
        assert_string_equal(verdict(&sample, S3_SECRET, at(cases[i].now)), cases[i].code);
        arena_done(&sample.arena);
    }
}

static void the_range_example_of_the_s3_guide_is_accepted(void **state)
{
    (void)state;
    struct sample sample = {
        .request = {.method = "GET", .path = "/test.txt", .query = "", .body = "", .source = ""}};
    sample.request.headers = sample.headers;
    arena_init(&sample.arena, 0);
    add(&sample, "Host", "examplebucket.s3.amazonaws.com");
    add(&sample, "Range", "bytes=0-9");
    add(&sample, "x-amz-content-sha256", EMPTY_HASH);
    add(&sample, "x-amz-date", "20130524T000000Z");
    add(&sample, "Authorization",
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature="
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    assert_string_equal(verdict(&sample, S3_SECRET, at("20130524T000000Z")), "");
    arena_done(&sample.arena);
}

static void a_date_header_stands_in_for_x_amz_date(void **state)
{
    (void)state;
    struct sample sample;
    struct vector vector = suite[0];
    vector.signed_headers = "date;host";
    struct http_header headers[] = {{"Date", "Sun, 30 Aug 2015 12:36:00 GMT"},
                                    {"Host", "example.amazonaws.com"}};
    struct http_request request = {.method = "GET",
                                   .path = "/",
                                   .query = "",
                                   .headers = headers,
                                   .header_count = ARRAY_SIZE(headers)};
    struct sigv4_inputs inputs = {.service = "service",
                                  .signed_headers = "date;host",
                                  .payload_hash = EMPTY_HASH,
                                  .timestamp = SUITE_DATE,
                                  .date = "20150830",
                                  .region = "us-east-1"};
    struct secret secret;
    unsigned char signature[SIGV4_HASH_SIZE];
    char text[SIGV4_HASH_TEXT];
    struct arena arena;
    arena_init(&arena, 0);
    assert_int_equal(secret_set(&secret, EXAMPLE_SECRET, strlen(EXAMPLE_SECRET)), 0);
    assert_int_equal(sigv4_compute(&request, &inputs, &secret, &arena, signature), 0);
    text_hex(signature, sizeof signature, text);
    vector.signature = text;
    sample_init(&sample, &vector);
    sample.headers[1] = headers[0];
    assert_string_equal(verdict(&sample, EXAMPLE_SECRET, at(SUITE_DATE)), "");
    sample.headers[1].value = "Sun, 30 Aug 2015 12:36:00 CET";
    assert_string_equal(verdict(&sample, EXAMPLE_SECRET, at(SUITE_DATE)), "IncompleteSignature");
    arena_done(&sample.arena);
    arena_done(&arena);
}

static void five_minutes_of_skew_are_the_limit(void **state)
{
    (void)state;
    static const struct {
        const char *now;
        const char *code;
    } cases[] = {{"20150830T124100Z", ""},
                 {"20150830T124101Z", "SignatureDoesNotMatch"},
                 {"20150830T123100Z", ""},
                 {"20150830T123059Z", "SignatureDoesNotMatch"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct sample sample;
        sample_init(&sample, &suite[0]);
        assert_string_equal(verdict(&sample, EXAMPLE_SECRET, at(cases[i].now)), cases[i].code);
        arena_done(&sample.arena);
    }
}

static void an_expired_signature_is_told_with_both_times(void **state)
{
    (void)state;
    struct sample sample;
    struct sigv4_scope scope;
    struct secret secret;
    struct err err = ERR_INIT;
    const char *code = "";
    sample_init(&sample, &suite[0]);
    assert_int_equal(secret_set(&secret, "x", 1), 0);
    assert_int_equal(sigv4_scope(&sample.request, &sample.arena, &scope, &code, &err), 0);
    assert_true(sigv4_verify(&sample.request, &scope, &secret, at("20150830T130000Z"),
                             &sample.arena, &code, &err) < 0);
    assert_string_equal(err.message, "Signature expired: 20150830T123600Z is now earlier than "
                                     "20150830T125500Z (20150830T130000Z - 5 min.)");
    arena_done(&sample.arena);
}

static void another_secret_is_refused(void **state)
{
    (void)state;
    struct sample sample;
    sample_init(&sample, &suite[0]);
    assert_string_equal(verdict(&sample, "other", at(SUITE_DATE)), "SignatureDoesNotMatch");
    arena_done(&sample.arena);
}

static void every_part_of_the_request_is_covered(void **state)
{
    (void)state;
    struct vector changed = suite[19];
    changed.method = "PUT";
    assert_verdict(&changed, "SignatureDoesNotMatch");
    changed = suite[19];
    changed.path = "/x";
    assert_verdict(&changed, "SignatureDoesNotMatch");
    changed = suite[19];
    changed.query = "a";
    assert_verdict(&changed, "SignatureDoesNotMatch");
    changed = suite[19];
    changed.body = "Param1=value2";
    assert_verdict(&changed, "SignatureDoesNotMatch");
    changed = suite[19];
    changed.headers[0].value = "text/plain";
    assert_verdict(&changed, "SignatureDoesNotMatch");
}

static void an_unsigned_amz_header_is_refused(void **state)
{
    (void)state;
    struct vector changed = suite[0];
    changed.headers[0] = (struct http_header){"X-Amz-Target", "Evil.Operation"};
    assert_verdict(&changed, "SignatureDoesNotMatch");
    changed.headers[0] = (struct http_header){"X-Amzn-Trace-Id", "proxies add this"};
    assert_verdict(&changed, "");
}

static void an_unsigned_host_is_refused(void **state)
{
    (void)state;
    struct vector changed = suite[0];
    changed.signed_headers = "x-amz-date";
    assert_verdict(&changed, "SignatureDoesNotMatch");
}

static void a_payload_hash_must_be_that_of_the_body(void **state)
{
    (void)state;
    struct vector changed = suite[19];
    changed.headers[1] = (struct http_header){"x-amz-content-sha256", EMPTY_HASH};
    changed.signed_headers = "content-type;host;x-amz-content-sha256;x-amz-date";
    assert_verdict(&changed, "SignatureDoesNotMatch");
    changed.headers[1].value = "UNSIGNED-PAYLOAD"; /* not over TLS */
    assert_verdict(&changed, "SignatureDoesNotMatch");
}

static void an_unsigned_payload_is_accepted_over_tls_alone(void **state)
{
    (void)state;
    struct http_header headers[] = {{"Host", "example.amazonaws.com"},
                                    {"X-Amz-Date", SUITE_DATE},
                                    {"X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"}};
    struct http_request request = {.method = "POST",
                                   .path = "/",
                                   .query = "",
                                   .headers = headers,
                                   .header_count = ARRAY_SIZE(headers)};
    struct sigv4_inputs inputs = {.service = "service",
                                  .signed_headers = "host;x-amz-content-sha256;x-amz-date",
                                  .payload_hash = "UNSIGNED-PAYLOAD",
                                  .timestamp = SUITE_DATE,
                                  .date = "20150830",
                                  .region = "us-east-1"};
    struct vector vector = {.method = "POST", .path = "/", .query = "", .body = "anything"};
    struct secret secret;
    struct sample sample;
    unsigned char signature[SIGV4_HASH_SIZE];
    char text[SIGV4_HASH_TEXT];
    struct arena arena;
    arena_init(&arena, 0);
    assert_int_equal(secret_set(&secret, EXAMPLE_SECRET, strlen(EXAMPLE_SECRET)), 0);
    assert_int_equal(sigv4_compute(&request, &inputs, &secret, &arena, signature), 0);
    text_hex(signature, sizeof signature, text);
    vector.signature = text;
    vector.signed_headers = inputs.signed_headers;
    vector.headers[0] = headers[2];
    sample_init(&sample, &vector);
    sample.request.tls = true;
    assert_string_equal(verdict(&sample, EXAMPLE_SECRET, at(SUITE_DATE)), "");
    sample.request.tls = false;
    assert_string_equal(verdict(&sample, EXAMPLE_SECRET, at(SUITE_DATE)), "SignatureDoesNotMatch");
    arena_done(&sample.arena);
    arena_done(&arena);
}

static void malformed_authorizations_are_incomplete_signatures(void **state)
{
    (void)state;
#define CREDENTIAL "Credential=A/20150830/r/s/aws4_request"
#define REST "SignedHeaders=host, Signature=" EMPTY_HASH
    static const char *const cases[] = {
        "",
        "Basic YTpi",
        "AWS4-HMAC-SHA1 " CREDENTIAL ", " REST,
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 nonsense",
        "AWS4-HMAC-SHA256 " REST,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", Signature=" EMPTY_HASH,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=host",
        "AWS4-HMAC-SHA256 " CREDENTIAL ", " CREDENTIAL ", " REST,
        "AWS4-HMAC-SHA256 Credential=A/20150830/r/aws4_request, " REST,
        "AWS4-HMAC-SHA256 Credential=A/20150830/r/s/x/aws4_request, " REST,
        "AWS4-HMAC-SHA256 Credential=A/2015083/r/s/aws4_request, " REST,
        "AWS4-HMAC-SHA256 Credential=/20150830/r/s/aws4_request, " REST,
        "AWS4-HMAC-SHA256 Credential=A/20150830/r%/s/aws4_request, " REST,
        "AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws5_request, " REST,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=, Signature=" EMPTY_HASH,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=host;, Signature=" EMPTY_HASH,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=Host, Signature=" EMPTY_HASH,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=host;a;host, Signature=" EMPTY_HASH,
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct sample sample;
        sample_init(&sample, &suite[0]);
        sample.headers[2].value = cases[i];
        const char *code = verdict(&sample, EXAMPLE_SECRET, at(SUITE_DATE));
        if (!text_equal(code, "IncompleteSignature")) {
            fail_msg("'%s': '%s'", cases[i], code);
        }
        arena_done(&sample.arena);
    }
}

static void a_request_without_signature_has_an_empty_scope(void **state)
{
    (void)state;
    struct sample sample;
    struct sigv4_scope scope;
    struct err err = ERR_INIT;
    const char *code = "";
    sample_init(&sample, &suite[0]);
    sample.request.header_count = 2;
    assert_int_equal(sigv4_scope(&sample.request, &sample.arena, &scope, &code, &err), 0);
    assert_string_equal(scope.access_key_id, "");
    assert_string_equal(scope.service, "");
    arena_done(&sample.arena);
}

static void two_signatures_are_one_too_many(void **state)
{
    (void)state;
    struct sample sample;
    sample_init(&sample, &suite[0]);
    sample.request.query = "X-Amz-Signature=" EMPTY_HASH;
    assert_string_equal(verdict(&sample, EXAMPLE_SECRET, at(SUITE_DATE)), "IncompleteSignature");
    sample.request.query = "";
    add(&sample, "authorization", sample.authorization);
    assert_string_equal(verdict(&sample, EXAMPLE_SECRET, at(SUITE_DATE)), "IncompleteSignature");
    arena_done(&sample.arena);
}

static void a_scope_of_another_day_is_refused(void **state)
{
    (void)state;
    struct sample sample;
    sample_init(&sample, &suite[0]);
    sample.headers[1].value = "20150831T000000Z";
    assert_string_equal(verdict(&sample, EXAMPLE_SECRET, at("20150831T000000Z")),
                        "SignatureDoesNotMatch");
    arena_done(&sample.arena);
}

static void what_is_signed_is_accepted(void **state)
{
    (void)state;
    struct sample sample = {.request = {.method = "POST",
                                        .path = "/2013-04-01/hosted%20zone",
                                        .query = "b=2&a=%7E&a",
                                        .body = "<x/>",
                                        .body_size = 4,
                                        .source = ""}};
    struct secret secret;
    struct sigv4_signature signature;
    struct err err = ERR_INIT;
    sample.request.headers = sample.headers;
    arena_init(&sample.arena, 0);
    assert_int_equal(secret_set(&secret, "s", 1), 0);
    struct wall now = at("20261121T094844Z");
    assert_int_equal(
        sigv4_sign(&sample.request, "A", &secret, "r", "s", now, &sample.arena, &signature, &err),
        -EINVAL); /* no Host */
    add(&sample, "Host", "127.0.0.1:4566");
    add(&sample, "Content-Type", "text/xml");
    assert_int_equal(
        sigv4_sign(&sample.request, "A", &secret, "r", "s", now, &sample.arena, &signature, &err),
        0);
    assert_string_equal(signature.date, "20261121T094844Z");
    add(&sample, "X-Amz-Date", signature.date);
    add(&sample, "X-Amz-Content-Sha256", signature.content_sha256);
    add(&sample, "Authorization", signature.authorization);
    assert_string_equal(verdict(&sample, "s", now), "");
    arena_done(&sample.arena);
}

static void a_scope_too_long_to_sign_is_refused(void **state)
{
    (void)state;
    struct sample sample;
    struct secret secret;
    struct sigv4_signature signature;
    struct err err = ERR_INIT;
    char region[2048];
    (void)memset(region, 'r', sizeof region);
    region[sizeof region - 1] = '\0';
    sample_init(&sample, &suite[0]);
    sample.request.header_count = 1;
    assert_int_equal(secret_set(&secret, "s", 1), 0);
    assert_int_equal(sigv4_sign(&sample.request, "A", &secret, region, "s", at(SUITE_DATE),
                                &sample.arena, &signature, &err),
                     -E2BIG);
    arena_done(&sample.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vectors_are_accepted),
        cmocka_unit_test(the_canonical_request_is_that_of_the_guide),
        cmocka_unit_test(the_presigned_example_of_the_s3_guide_is_accepted_until_it_expires),
        cmocka_unit_test(the_range_example_of_the_s3_guide_is_accepted),
        cmocka_unit_test(a_date_header_stands_in_for_x_amz_date),
        cmocka_unit_test(five_minutes_of_skew_are_the_limit),
        cmocka_unit_test(an_expired_signature_is_told_with_both_times),
        cmocka_unit_test(another_secret_is_refused),
        cmocka_unit_test(every_part_of_the_request_is_covered),
        cmocka_unit_test(an_unsigned_amz_header_is_refused),
        cmocka_unit_test(an_unsigned_host_is_refused),
        cmocka_unit_test(a_payload_hash_must_be_that_of_the_body),
        cmocka_unit_test(an_unsigned_payload_is_accepted_over_tls_alone),
        cmocka_unit_test(malformed_authorizations_are_incomplete_signatures),
        cmocka_unit_test(a_request_without_signature_has_an_empty_scope),
        cmocka_unit_test(two_signatures_are_one_too_many),
        cmocka_unit_test(a_scope_of_another_day_is_refused),
        cmocka_unit_test(what_is_signed_is_accepted),
        cmocka_unit_test(a_scope_too_long_to_sign_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
