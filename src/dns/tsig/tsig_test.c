/* Tests of tsig.h: both ends of an exchange, and what lies between them. */
#include "dns/tsig/tsig.h"

#include "base/macro.h"
#include "dns/wire/message.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1700000000)
#define SIZE 1000U

/* An AXFR of example.com, id 0x1234. */
static const uint8_t request[] = {
    0x12, 0x34, 0,   0,   0,   1, 0,   0,   0,   0, 0, 0,   7, 'e', 'x',
    'a',  'm',  'p', 'l', 'e', 3, 'c', 'o', 'm', 0, 0, 252, 0, 1,
};

/* Of that request, with the key below at NOW; made with Python's hmac module. */
static const char *const macs[] = {
    [TSIG_HMAC_SHA256] = "dc3e82eb9e73a674bc4794ddd99fa7fa17f0cda58130853ce99a9002146849ea",
    [TSIG_HMAC_SHA384] = "bf2a20c2435993ab5c737347c21195ea9d793d99fcf62d29a19a4eac36b5a38e"
                         "201d3c3dfe2e40ab162778f8a8cf2dbd",
    [TSIG_HMAC_SHA512] = "afc88dff9531bab1537414b2b248931cfca97828416e60444cbe04fbceb0b40a"
                         "c953406177f16e12c979f7f19bf9cbad375d17f742e9e66cba60d437a3c03bfd",
};

static struct tsig_key *key_named(const char *text, enum tsig_algorithm algorithm, uint8_t first)
{
    uint8_t name[NAME_WIRE_LIMIT];
    uint8_t secret[32];
    struct err err = ERR_INIT;
    struct tsig_key *key = NULL;
    for (size_t i = 0; i < sizeof secret; i++) {
        secret[i] = (uint8_t)(first + i);
    }
    assert_true(name_from_text(text, false, name) > 0);
    assert_int_equal(0, tsig_key_new(name, algorithm, secret, sizeof secret, 0, &key, &err));
    return key;
}

struct exchange {
    struct tsig_key *key;
    struct tsig_keys *keys;
    struct tsig_signer client;
    struct tsig_signer server;
    uint8_t packet[SIZE];
    size_t length;
};

static void exchange_begin(struct exchange *exchange, enum tsig_algorithm algorithm)
{
    (void)memset(exchange, 0, sizeof *exchange);
    exchange->key = key_named("a.key", algorithm, 0);
    exchange->keys = tsig_keys_new(&exchange->key, 1);
    tsig_signer_init(&exchange->client, exchange->key);
    (void)memcpy(exchange->packet, request, sizeof request);
    exchange->length = tsig_sign(&exchange->client, exchange->packet, sizeof request, SIZE, NOW);
    assert_true(exchange->length > sizeof request);
}

static void exchange_end(struct exchange *exchange)
{
    tsig_signer_done(&exchange->client);
    tsig_signer_done(&exchange->server);
    tsig_keys_unref(exchange->keys);
    tsig_key_unref(exchange->key);
}

static uint16_t verify(struct exchange *exchange, int64_t now_s)
{
    tsig_signer_done(&exchange->server);
    return tsig_verify(&exchange->server, exchange->keys, exchange->packet, exchange->length,
                       sizeof request, now_s);
}

/* The answer: the request with QR set. */
static size_t respond(struct exchange *exchange, uint8_t out[SIZE], int64_t now_s)
{
    (void)memcpy(out, request, sizeof request);
    out[2] |= 0x80;
    size_t length = tsig_sign(&exchange->server, out, sizeof request, SIZE, now_s);
    assert_true(length > sizeof request);
    return length;
}

static void a_request_and_its_answer_verify_each_other(void **state)
{
    (void)state;
    for (int i = TSIG_HMAC_SHA256; i <= TSIG_HMAC_SHA512; i++) {
        struct exchange exchange;
        uint8_t answer[SIZE];
        uint16_t error = 0;
        exchange_begin(&exchange, (enum tsig_algorithm)i);
        assert_int_equal(RCODE_NOERROR, verify(&exchange, NOW + 5));
        size_t length = respond(&exchange, answer, NOW + 5);
        assert_int_equal(0, tsig_verify_response(&exchange.client, answer, length, NOW, &error));
        exchange_end(&exchange);
    }
}

static void the_mac_is_that_of_the_rfc(void **state)
{
    (void)state;
    for (int i = TSIG_HMAC_SHA256; i <= TSIG_HMAC_SHA512; i++) {
        struct exchange exchange;
        exchange_begin(&exchange, (enum tsig_algorithm)i);
        size_t size = strlen(macs[i]) / 2;
        const uint8_t *mac = exchange.packet + exchange.length - 6 - size;
        for (size_t k = 0; k < size; k++) {
            char text[3] = {macs[i][2 * k], macs[i][2 * k + 1], '\0'};
            assert_int_equal(strtoul(text, NULL, 16), mac[k]);
        }
        exchange_end(&exchange);
    }
}

static void every_bit_that_is_flipped_is_noticed(void **state)
{
    (void)state;
    struct exchange exchange;
    exchange_begin(&exchange, TSIG_HMAC_SHA256);
    for (size_t i = 16; i < exchange.length * 8; i++) { /* the id may change: a forwarder's */
        exchange.packet[i / 8] ^= (uint8_t)(1U << i % 8);
        uint16_t rcode = verify(&exchange, NOW);
        assert_true(rcode == RCODE_NOTAUTH || rcode == RCODE_FORMERR ||
                    (i / 8 > sizeof request && i / 8 < sizeof request + 28)); /* letters' case */
        exchange.packet[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    exchange.packet[0] ^= 0xff;
    assert_int_equal(RCODE_NOERROR, verify(&exchange, NOW));
    exchange_end(&exchange);
}

static void a_record_that_is_cut_is_malformed(void **state)
{
    (void)state;
    struct exchange exchange;
    exchange_begin(&exchange, TSIG_HMAC_SHA512);
    size_t whole = exchange.length;
    for (size_t length = 0; length < whole; length++) {
        /* A block of its own, so that a sanitizer sees what is read behind it. */
        uint8_t *cut = malloc(length + 1);
        assert_non_null(cut);
        (void)memcpy(cut, exchange.packet, length);
        tsig_signer_done(&exchange.server);
        assert_int_equal(RCODE_FORMERR, tsig_verify(&exchange.server, exchange.keys, cut, length,
                                                    sizeof request, NOW));
        free(cut);
    }
    exchange_end(&exchange);
}

static void clocks_may_differ_by_the_fudge_and_no_more(void **state)
{
    (void)state;
    struct exchange exchange;
    uint8_t answer[SIZE];
    uint16_t error = 0;
    exchange_begin(&exchange, TSIG_HMAC_SHA256);
    assert_int_equal(RCODE_NOERROR, verify(&exchange, NOW + 300));
    assert_int_equal(RCODE_NOERROR, verify(&exchange, NOW - 300));
    assert_int_equal(RCODE_NOTAUTH, verify(&exchange, NOW + 301));
    assert_int_equal(TSIG_BADTIME, exchange.server.error);
    assert_int_equal(RCODE_NOTAUTH, verify(&exchange, NOW - 301));
    size_t length = respond(&exchange, answer, NOW - 301);
    assert_int_equal(-EBADMSG, tsig_verify_response(&exchange.client, answer, length, NOW, &error));
    assert_int_equal(TSIG_BADTIME, error);
    exchange_end(&exchange);
}

static void who_is_unknown_gets_an_error_that_is_not_signed(void **state)
{
    (void)state;
    struct exchange exchange;
    uint8_t answer[SIZE];
    uint16_t error = 0;
    struct tsig_key *others[] = {key_named("b.key", TSIG_HMAC_SHA256, 0),
                                 key_named("a.key", TSIG_HMAC_SHA512, 0),
                                 key_named("a.key", TSIG_HMAC_SHA256, 1)};
    const enum tsig_error errors[] = {TSIG_BADKEY, TSIG_BADKEY, TSIG_BADSIG};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        exchange_begin(&exchange, TSIG_HMAC_SHA256);
        tsig_keys_unref(exchange.keys);
        exchange.keys = tsig_keys_new(&others[i], 1);
        assert_int_equal(RCODE_NOTAUTH, verify(&exchange, NOW));
        assert_int_equal(errors[i], exchange.server.error);
        size_t length = respond(&exchange, answer, NOW);
        assert_int_equal(exchange.length - 32, length); /* no MAC */
        assert_int_equal(-EBADMSG,
                         tsig_verify_response(&exchange.client, answer, length, NOW, &error));
        assert_int_equal(errors[i], error);
        exchange_end(&exchange);
        tsig_key_unref(others[i]);
    }
    exchange_begin(&exchange, TSIG_HMAC_SHA256);
    tsig_keys_unref(exchange.keys);
    exchange.keys = NULL;
    assert_int_equal(RCODE_NOTAUTH, verify(&exchange, NOW));
    assert_int_equal(TSIG_BADKEY, exchange.server.error);
    exchange_end(&exchange);
}

static void the_messages_of_a_transfer_are_a_chain(void **state)
{
    (void)state;
    struct exchange exchange;
    uint8_t messages[3][SIZE];
    size_t lengths[3];
    uint16_t error = 0;
    exchange_begin(&exchange, TSIG_HMAC_SHA256);
    assert_int_equal(RCODE_NOERROR, verify(&exchange, NOW));
    for (size_t i = 0; i < 3; i++) {
        lengths[i] = respond(&exchange, messages[i], NOW + (int64_t)i);
    }
    struct tsig_signer asked = exchange.client; /* with the MAC of the request */
    struct tsig_stream *stream = tsig_stream_new(&exchange.client);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(0, tsig_stream_take(stream, messages[i], lengths[i], NOW, &error));
        assert_true(tsig_stream_verified(stream));
    }
    tsig_stream_free(stream);
    exchange.client = asked;
    stream = tsig_stream_new(&exchange.client); /* one is left out */
    assert_int_equal(0, tsig_stream_take(stream, messages[0], lengths[0], NOW, &error));
    assert_int_equal(-EBADMSG, tsig_stream_take(stream, messages[2], lengths[2], NOW, &error));
    tsig_stream_free(stream);
    exchange_end(&exchange);
}

static void nothing_is_signed_where_it_does_not_fit(void **state)
{
    (void)state;
    struct exchange exchange;
    uint8_t answer[SIZE];
    exchange_begin(&exchange, TSIG_HMAC_SHA256);
    assert_int_equal(RCODE_NOERROR, verify(&exchange, NOW));
    size_t room = tsig_room(&exchange.server);
    (void)memcpy(answer, request, sizeof request);
    for (size_t size = sizeof request; size < sizeof request + room; size++) {
        assert_int_equal(0, tsig_sign(&exchange.server, answer, sizeof request, size, NOW));
    }
    assert_memory_equal(answer, request, sizeof request);
    assert_true(tsig_sign(&exchange.server, answer, sizeof request, sizeof request + room, NOW) !=
                0);
    exchange_end(&exchange);
}

static void secrets_have_a_fitting_length(void **state)
{
    (void)state;
    static const uint8_t secret[TSIG_SECRET_LIMIT + 1];
    static const uint8_t name[] = {1, 'k', 0};
    const size_t sizes[] = {0, TSIG_SECRET_LEAST - 1, TSIG_SECRET_LIMIT + 1};
    struct tsig_key *key = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct err err = ERR_INIT;
        assert_true(tsig_key_new(name, TSIG_HMAC_SHA256, secret, sizes[i], 0, &key, &err) < 0);
        assert_int_equal(ERR_INVALID, err.kind);
    }
    struct err err = ERR_INIT;
    assert_int_equal(
        0, tsig_key_new(name, TSIG_HMAC_SHA256, secret, TSIG_SECRET_LIMIT, 0, &key, &err));
    tsig_key_unref(key);
    enum tsig_algorithm algorithm = TSIG_HMAC_SHA256;
    assert_int_equal(0, tsig_algorithm_parse("HMAC-SHA384", &algorithm));
    assert_int_equal(TSIG_HMAC_SHA384, algorithm);
    assert_int_equal(-EINVAL, tsig_algorithm_parse("hmac-md5", &algorithm));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_and_its_answer_verify_each_other),
        cmocka_unit_test(the_mac_is_that_of_the_rfc),
        cmocka_unit_test(every_bit_that_is_flipped_is_noticed),
        cmocka_unit_test(a_record_that_is_cut_is_malformed),
        cmocka_unit_test(clocks_may_differ_by_the_fudge_and_no_more),
        cmocka_unit_test(who_is_unknown_gets_an_error_that_is_not_signed),
        cmocka_unit_test(the_messages_of_a_transfer_are_a_chain),
        cmocka_unit_test(nothing_is_signed_where_it_does_not_fit),
        cmocka_unit_test(secrets_have_a_fitting_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
