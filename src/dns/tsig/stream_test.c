/* Tests of streams: the messages of one response, of which some are signed (RFC 8945 section
 * 5.3.1). The other side is this room's own signer. Messages are headers alone: what they say does
 * not matter here. */
#include "dns/tsig/tsig.h"
#include "dns/wire/message.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1000000
#define ROOM 512U

static struct tsig_key *key;
static struct tsig_keys *keys;
static struct tsig_signer client;
static struct tsig_signer server;
static struct tsig_stream *stream;
static uint16_t said;

static struct tsig_key *make_key(const char *text, uint8_t fill)
{
    uint8_t name[NAME_WIRE_LIMIT];
    uint8_t secret[32];
    struct tsig_key *made = NULL;
    struct err err = ERR_INIT;
    (void)memset(secret, fill, sizeof secret);
    assert_true(name_from_text(text, true, name) > 0);
    assert_int_equal(tsig_key_new(name, TSIG_HMAC_SHA256, secret, sizeof secret, 0, &made, &err),
                     0);
    return made;
}

static size_t write_message(uint8_t message[ROOM], uint8_t number)
{
    (void)memset(message, 0, ROOM);
    message[1] = 7; /* the id */
    message[3] = number;
    return MESSAGE_HEADER_SIZE;
}

/* The client has signed a request that the server has verified. */
static int set_up(void **state)
{
    (void)state;
    uint8_t request[ROOM];
    key = make_key("a.key", 'a');
    keys = tsig_keys_new(&key, 1);
    tsig_signer_init(&client, key);
    size_t plain = write_message(request, 0);
    size_t length = tsig_sign(&client, request, plain, ROOM, NOW);
    assert_true(length > plain);
    assert_int_equal(tsig_verify(&server, keys, request, length, plain, NOW), RCODE_NOERROR);
    stream = tsig_stream_new(&client);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tsig_stream_free(stream);
    tsig_signer_done(&client);
    tsig_signer_done(&server);
    tsig_keys_unref(keys);
    tsig_key_unref(key);
    return 0;
}

static int take(const uint8_t *message, size_t length)
{
    return tsig_stream_take(stream, message, length, NOW, &said);
}

static int take_signed(uint8_t number)
{
    uint8_t message[ROOM];
    size_t length = write_message(message, number);
    return take(message, tsig_sign(&server, message, length, ROOM, NOW));
}

static int take_plain(uint8_t number)
{
    uint8_t message[ROOM];
    return take(message, write_message(message, number));
}

static void every_message_may_be_signed(void **state)
{
    (void)state;
    assert_false(tsig_stream_verified(stream));
    for (uint8_t i = 0; i < 5; i++) {
        assert_int_equal(take_signed(i), 0);
        assert_true(tsig_stream_verified(stream));
    }
}

static void the_first_message_has_to_be_signed(void **state)
{
    (void)state;
    assert_int_equal(take_plain(0), -EBADMSG);
    assert_false(tsig_stream_verified(stream));
}

/* Our signer signs each message alone, so its next signature does not cover the plain one: as if
 * somebody had put that between. Servers that sign some messages are in test_secondary.py. */
static void a_signature_has_to_cover_the_unsigned_messages_before_it(void **state)
{
    (void)state;
    assert_int_equal(take_signed(0), 0);
    assert_int_equal(take_plain(1), 0);
    assert_false(tsig_stream_verified(stream));
    assert_int_equal(take_signed(2), -EBADMSG);
    assert_false(tsig_stream_verified(stream));
}

static void unsigned_messages_in_a_row_have_a_limit(void **state)
{
    (void)state;
    assert_int_equal(take_signed(0), 0);
    for (unsigned i = 0; i < TSIG_UNSIGNED_LIMIT; i++) {
        assert_int_equal(take_plain((uint8_t)i), 0);
    }
    assert_int_equal(take_plain(0), -EBADMSG);
}

static void what_was_changed_left_out_or_sent_twice_is_refused(void **state)
{
    (void)state;
    uint8_t message[ROOM];
    size_t length = write_message(message, 0);
    length = tsig_sign(&server, message, length, ROOM, NOW);
    message[3] ^= 1U;
    assert_int_equal(take(message, length), -EBADMSG);
    message[3] ^= 1U;
    tsig_stream_free(stream);
    stream = tsig_stream_new(&client);
    assert_int_equal(take(message, length), 0);
    assert_int_equal(take(message, length), -EBADMSG); /* again */
    tsig_stream_free(stream);
    stream = tsig_stream_new(&client);
    length = write_message(message, 1);
    assert_true(tsig_sign(&server, message, length, ROOM, NOW) != 0); /* lost */
    assert_int_equal(take_signed(2), -EBADMSG);
}

static void another_key_and_another_time_are_refused(void **state)
{
    (void)state;
    uint8_t message[ROOM];
    size_t length = write_message(message, 0);
    struct tsig_signer before = server;
    size_t late = tsig_sign(&server, message, length, ROOM, NOW - TSIG_FUDGE_S - 1);
    assert_int_equal(take(message, late), -EBADMSG);
    server = before; /* as it was before that message */
    struct tsig_key *other = make_key("a.key", 'b');
    server.key = other;
    assert_int_equal(take_signed(0), -EBADMSG);
    server = before;
    tsig_key_unref(other);
}

static void an_error_of_the_other_side_is_told(void **state)
{
    (void)state;
    server.error = TSIG_BADTIME;
    assert_int_equal(take_signed(0), -EBADMSG);
    assert_int_equal(said, TSIG_BADTIME);
    tsig_stream_free(stream);
    stream = tsig_stream_new(&client);
    uint8_t junk[ROOM] = {0};
    junk[11] = 1;
    assert_int_equal(take(junk, 5), -EBADMSG);
    assert_int_equal(take(junk, sizeof junk), -EBADMSG);
    assert_int_equal(said, TSIG_NO_ERROR);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_message_may_be_signed),
        TEST(the_first_message_has_to_be_signed),
        TEST(a_signature_has_to_cover_the_unsigned_messages_before_it),
        TEST(unsigned_messages_in_a_row_have_a_limit),
        TEST(what_was_changed_left_out_or_sent_twice_is_refused),
        TEST(another_key_and_another_time_are_refused),
        TEST(an_error_of_the_other_side_is_told),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
