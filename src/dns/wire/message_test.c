/* Tests of message.h: what is read from a query, what malformed ones are answered with, and what
 * responses look like, byte by byte. */
#include "dns/wire/message.h"

#include "dns/wire/rdata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A packet under construction. */
struct packet {
    uint8_t data[1024];
    struct bytes_writer out;
};

static void header(struct packet *packet, uint16_t flags, const uint16_t counts[4])
{
    packet->out = bytes_writer(packet->data, sizeof packet->data);
    bytes_put_u16(&packet->out, 0x1234);
    bytes_put_u16(&packet->out, flags);
    for (int i = 0; i < 4; i++) {
        bytes_put_u16(&packet->out, counts[i]);
    }
}

static void question(struct packet *packet, const char *name, size_t size, uint16_t type)
{
    bytes_put(&packet->out, name, size);
    bytes_put_u16(&packet->out, type);
    bytes_put_u16(&packet->out, CLASS_IN);
}

#define NAME "\003WwW\007Example\003com"

/* www.example.com A with so many additional records to come. */
static void plain(struct packet *packet, uint16_t additional)
{
    header(packet, MESSAGE_RD, (const uint16_t[]){1, 0, 0, additional});
    question(packet, NAME, sizeof NAME, RR_A);
}

static void opt(struct packet *packet, uint16_t udp_size, uint32_t ttl, const void *options,
                size_t size)
{
    bytes_put_u8(&packet->out, 0);
    bytes_put_u16(&packet->out, RR_OPT);
    bytes_put_u16(&packet->out, udp_size);
    bytes_put_u32(&packet->out, ttl);
    bytes_put_u16(&packet->out, (uint16_t)size);
    bytes_put(&packet->out, options, size);
}

/* Parses a copy of exactly its size, so that the address sanitizer sees a read past its end. */
static bool parse(struct message_query *query, const struct packet *packet, size_t length)
{
    static uint8_t *copy;
    free(copy);
    copy = malloc(length + 1);
    assert_non_null(copy);
    (void)memcpy(copy, packet->data, length);
    uint8_t *exact = realloc(copy, length != 0 ? length : 1);
    assert_non_null(exact);
    copy = exact;
    return message_parse(query, copy, length);
}

static uint16_t rcode_of(struct message_query *query, const struct packet *packet)
{
    assert_true(parse(query, packet, packet->out.at));
    return query->rcode;
}

/* rcode of a query whose OPT has these options. */
static uint16_t rcode_with(struct message_query *query, const char *options, size_t size)
{
    struct packet packet;
    plain(&packet, 1);
    opt(&packet, 1232, 0, options, size);
    return rcode_of(query, &packet);
}

static void plain_query_is_read(void **state)
{
    (void)state;
    struct packet packet;
    struct message_query query;
    plain(&packet, 0);
    assert_int_equal(rcode_of(&query, &packet), RCODE_NOERROR);
    assert_int_equal(query.id, 0x1234);
    assert_int_equal(query.type, RR_A);
    assert_int_equal(query.class, CLASS_IN);
    assert_int_equal(query.name_size, 17);
    assert_memory_equal(query.name, "\003www\007example\003com", 17);
    assert_int_equal(query.label_count, 3);
    assert_int_equal(query.label_at[0], 0);
    assert_int_equal(query.label_at[1], 4);
    assert_int_equal(query.label_at[2], 12);
    assert_int_equal(query.question_size, 21);
    assert_false(query.has_edns);
}

static void every_byte_of_a_name_is_lowered_as_ascii(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        struct packet packet;
        struct message_query query;
        char name[13] = "\013xxxxxxxxxxx";
        (void)memset(name + 1, (int)byte, 11);
        header(&packet, 0, (const uint16_t[]){1, 0, 0, 0});
        question(&packet, name, sizeof name, RR_A);
        assert_int_equal(rcode_of(&query, &packet), RCODE_NOERROR);
        unsigned want = byte >= 'A' && byte <= 'Z' ? byte + 32 : byte;
        for (int i = 1; i < 12; i++) {
            assert_int_equal(query.name[i], want);
        }
    }
}

static void what_cannot_be_answered_is_dropped(void **state)
{
    (void)state;
    struct packet packet;
    struct message_query query;
    plain(&packet, 0);
    for (size_t length = 0; length < MESSAGE_HEADER_SIZE; length++) {
        assert_false(parse(&query, &packet, length));
    }
    packet.data[2] |= 0x80;
    assert_false(parse(&query, &packet, packet.out.at));
}

static void every_cut_of_a_query_is_formerr(void **state)
{
    (void)state;
    struct packet packet;
    struct message_query query;
    plain(&packet, 1);
    opt(&packet, 1232, 0x8000, "\0\010\0\007\0\001\030\0\300\0\002", 11);
    assert_int_equal(rcode_of(&query, &packet), RCODE_NOERROR);
    for (size_t length = MESSAGE_HEADER_SIZE; length < packet.out.at; length++) {
        assert_true(parse(&query, &packet, length));
        assert_int_equal(query.rcode, RCODE_FORMERR);
        /* The question is echoed only when it was whole. */
        assert_int_equal(query.question_size, length >= 12 + 21 ? 21 : 0);
    }
    bytes_put_u8(&packet.out, 0);
    assert_int_equal(rcode_of(&query, &packet), RCODE_FORMERR);
}

static void unexpected_sections_are_formerr(void **state)
{
    (void)state;
    static const uint16_t counts[][4] = {
        {0, 0, 0, 0}, {2, 0, 0, 0}, {1, 1, 0, 0}, {1, 0, 1, 0},
        {1, 0, 2, 0}, {1, 0, 0, 1}, {1, 0, 0, 9}, {65535, 65535, 65535, 65535},
    };
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        struct packet packet;
        struct message_query query;
        header(&packet, 0, counts[i]);
        question(&packet, NAME, sizeof NAME, RR_A);
        assert_int_equal(rcode_of(&query, &packet), RCODE_FORMERR);
    }
}

static void bad_names_in_the_question_are_formerr(void **state)
{
    (void)state;
    uint8_t longest[256];
    (void)memset(longest, 1, sizeof longest);
    longest[255] = 0;
    const struct {
        const char *name;
        size_t size;
    } names[] = {
        {"\300\014", 2}, {"\001a\300\014", 4},         {"\100", 2},
        {"\277x", 2},    {(const char *)longest, 256}, /* 127 labels and a half: one byte too long
                                                        */
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct packet packet;
        struct message_query query;
        header(&packet, 0, (const uint16_t[]){1, 0, 0, 0});
        question(&packet, names[i].name, names[i].size, RR_A);
        assert_int_equal(rcode_of(&query, &packet), RCODE_FORMERR);
        assert_int_equal(query.question_size, 0);
    }
    /* The longest that is allowed: 127 labels. */
    struct packet packet;
    struct message_query query;
    longest[254] = 0;
    header(&packet, 0, (const uint16_t[]){1, 0, 0, 0});
    question(&packet, (const char *)longest, 255, RR_A);
    assert_int_equal(rcode_of(&query, &packet), RCODE_NOERROR);
    assert_int_equal(query.name_size, 255);
    assert_int_equal(query.label_count, 127);
}

static void unknown_opcodes_are_notimp_and_flags_ignored(void **state)
{
    (void)state;
    struct packet packet;
    struct message_query query;
    plain(&packet, 0);
    packet.data[2] = 0x79; /* opcode 15, RD */
    assert_int_equal(rcode_of(&query, &packet), RCODE_NOTIMP);
    uint8_t out[MESSAGE_PLAIN_LIMIT];
    struct message_writer writer;
    message_begin(&writer, &query, out, sizeof out);
    assert_int_equal(message_finish(&writer, query.rcode), MESSAGE_HEADER_SIZE);
    assert_memory_equal(out, "\x12\x34\xf9\x04\0\0\0\0\0\0\0\0", 12);
    /* RFC 8906 section 8.1.4: the Z bit, and others that mean nothing in a query. */
    plain(&packet, 0);
    packet.data[2] = 0x06;
    packet.data[3] = 0xff;
    assert_int_equal(rcode_of(&query, &packet), RCODE_NOERROR);
    message_begin(&writer, &query, out, sizeof out);
    assert_int_equal(message_finish(&writer, 0), 12 + 21);
    assert_int_equal(out[2], 0x80);
    assert_int_equal(out[3], 0x10); /* CD alone is copied */
}

static void edns_is_read(void **state)
{
    (void)state;
    struct packet packet;
    struct message_query query;
    plain(&packet, 1);
    opt(&packet, 4096, 0xff00ffff, "", 0); /* all extended flags and an extended RCODE */
    assert_int_equal(rcode_of(&query, &packet), RCODE_NOERROR);
    assert_true(query.has_edns);
    assert_true(query.dnssec_ok);
    assert_int_equal(query.udp_size, 4096);
    uint8_t out[MESSAGE_PLAIN_LIMIT];
    struct message_writer writer;
    message_begin(&writer, &query, out, sizeof out);
    size_t size = message_finish(&writer, RCODE_NOERROR);
    assert_int_equal(size, 12 + 21 + 11);
    /* Of the flags only DO comes back. */
    assert_memory_equal(out + 33, "\0\0\x29\x04\xd0\0\0\x80\0\0\0", 11);
}

static void newer_edns_versions_are_badvers(void **state)
{
    (void)state;
    struct packet packet;
    struct message_query query;
    plain(&packet, 1);
    opt(&packet, 1232, 0x00010000, "\xff\xff\xff", 3); /* options may mean anything there */
    assert_int_equal(rcode_of(&query, &packet), RCODE_BADVERS);
    uint8_t out[MESSAGE_PLAIN_LIMIT];
    struct message_writer writer;
    message_begin(&writer, &query, out, sizeof out);
    size_t size = message_finish(&writer, query.rcode);
    assert_int_equal(size, 12 + 21 + 11);
    assert_int_equal(out[3] & 0xf, 0);
    assert_memory_equal(out + 33 + 5, "\1\0\0\0", 4);
}

static void misplaced_opt_and_tsig_are_formerr(void **state)
{
    (void)state;
    struct packet packet;
    struct message_query query;
    plain(&packet, 2);
    opt(&packet, 1232, 0, "", 0);
    opt(&packet, 1232, 0, "", 0);
    assert_int_equal(rcode_of(&query, &packet), RCODE_FORMERR);
    plain(&packet, 1);
    bytes_put(&packet.out, "\001x", 2);
    opt(&packet, 1232, 0, "", 0);
    assert_int_equal(rcode_of(&query, &packet), RCODE_FORMERR);

    static const char tsig[] = "\003key\0\0\372\0\377\0\0\0\0\0\002xx";
    plain(&packet, 2);
    opt(&packet, 1232, 0, "", 0);
    size_t at = packet.out.at;
    bytes_put(&packet.out, tsig, sizeof tsig - 1);
    assert_int_equal(rcode_of(&query, &packet), RCODE_NOERROR);
    assert_int_equal(query.tsig_at, at);
    plain(&packet, 2);
    bytes_put(&packet.out, tsig, sizeof tsig - 1);
    opt(&packet, 1232, 0, "", 0);
    assert_int_equal(rcode_of(&query, &packet), RCODE_FORMERR);
}

static void other_additional_records_are_skipped(void **state)
{
    (void)state;
    struct packet packet;
    struct message_query query;
    plain(&packet, 2);
    bytes_put(&packet.out, "\300\014\0\001\0\001\0\0\0\0\0\004abcd", 16);
    opt(&packet, 1232, 0, "", 0);
    assert_int_equal(rcode_of(&query, &packet), RCODE_NOERROR);
    assert_true(query.has_edns);
}

static void ixfr_brings_its_serial(void **state)
{
    (void)state;
    struct packet packet;
    struct message_query query;
    header(&packet, 0, (const uint16_t[]){1, 0, 1, 0});
    question(&packet, NAME, sizeof NAME, RR_IXFR);
    size_t at = packet.out.at;
    bytes_put(&packet.out, "\300\014\0\006\0\001\0\0\0\0\0\002xx", 14);
    assert_int_equal(rcode_of(&query, &packet), RCODE_NOERROR);
    assert_int_equal(query.ixfr_at, at);
    assert_int_equal(query.ixfr_size, 14);
}

static void client_subnets_are_strict(void **state)
{
    (void)state;
    struct message_query query;
    assert_int_equal(rcode_with(&query, "\0\010\0\007\0\001\030\0\300\0\002", 11), RCODE_NOERROR);
    assert_true(query.has_subnet);
    assert_int_equal(query.subnet.family, 1);
    assert_int_equal(query.subnet.prefix, 24);
    assert_memory_equal(query.subnet.address, "\300\0\002\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    assert_int_equal(rcode_with(&query, "\0\010\0\004\0\002\0\0", 8), RCODE_NOERROR);
    assert_int_equal(rcode_with(&query, "\0\010\0\004\0\0\0\0", 8), RCODE_NOERROR);
    assert_int_equal(rcode_with(&query, "\0\010\0\007\0\001\025\0\300\0\370", 11), RCODE_NOERROR);
    static const struct {
        const char *option;
        size_t size;
    } bad[] = {
        {"\0\010\0\003\0\001\0", 7},                          /* too short */
        {"\0\010\0\006\0\001\030\0\300\0", 10},               /* address shorter than the prefix */
        {"\0\010\0\010\0\001\030\0\300\0\002\0", 12},         /* longer */
        {"\0\010\0\007\0\001\030\030\300\0\002", 11},         /* a scope in a query */
        {"\0\010\0\011\0\001\041\0\300\0\002\0\0", 13},       /* prefix beyond 32 */
        {"\0\010\0\007\0\001\025\0\300\0\371", 11},           /* bits behind the prefix */
        {"\0\010\0\004\0\003\0\0", 8},                        /* unknown family */
        {"\0\010\0\005\0\0\001\0\200", 9},                    /* family 0 with a prefix */
        {"\0\010\0\004\0\001\0\0\0\010\0\004\0\001\0\0", 16}, /* twice */
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(rcode_with(&query, bad[i].option, bad[i].size), RCODE_FORMERR);
        assert_true(query.has_edns); /* so the FORMERR has an OPT record */
    }
}

static void cookies_have_their_lengths(void **state)
{
    (void)state;
    char option[64] = "\0\012\0";
    for (unsigned size = 0; size <= 50; size++) {
        struct message_query query;
        option[3] = (char)size;
        bool good = size == 8 || (size >= 16 && size <= 40);
        assert_int_equal(rcode_with(&query, option, 4 + size),
                         good ? RCODE_NOERROR : RCODE_FORMERR);
        assert_int_equal(query.has_cookie, good);
        if (good) {
            assert_int_equal(query.cookie.server_size, size - 8);
        }
    }
}

static void a_cookie_alone_needs_no_question(void **state)
{
    (void)state;
    struct packet packet;
    struct message_query query;
    header(&packet, 0, (const uint16_t[]){0, 0, 0, 1});
    opt(&packet, 1232, 0, "\0\012\0\010abcdefgh", 12);
    assert_int_equal(rcode_of(&query, &packet), RCODE_NOERROR);
    assert_int_equal(query.question_size, 0);
    header(&packet, 0, (const uint16_t[]){0, 0, 0, 1});
    opt(&packet, 1232, 0, "", 0);
    assert_int_equal(rcode_of(&query, &packet), RCODE_FORMERR);
}

static void other_options_are_noted_or_ignored(void **state)
{
    (void)state;
    struct message_query query;
    assert_int_equal(
        rcode_with(&query, "\0\003\0\0\0\013\0\0\0\014\0\003\0\0\0\xff\xfe\0\001x", 20),
        RCODE_NOERROR);
    assert_true(query.wants_nsid);
    assert_true(query.wants_keepalive);
    assert_true(query.has_padding);
    assert_int_equal(rcode_with(&query, "\xff\xfe\0\002x", 5), RCODE_FORMERR);
    assert_int_equal(rcode_with(&query, "\xff\xfe\0", 3), RCODE_FORMERR);
}

static void udp_limits_follow_client_and_server(void **state)
{
    (void)state;
    struct message_query query = {.has_edns = false};
    assert_int_equal(message_limit(&query, false, 1232, 4096), 512);
    assert_int_equal(message_limit(&query, true, 1232, 65535), 65535);
    query.has_edns = true;
    query.udp_size = 0;
    assert_int_equal(message_limit(&query, false, 1232, 4096), 512);
    query.udp_size = 1000;
    assert_int_equal(message_limit(&query, false, 1232, 4096), 1000);
    query.udp_size = 65535;
    assert_int_equal(message_limit(&query, false, 1232, 4096), 1232);
    assert_int_equal(message_limit(&query, false, 0, 4096), 512);
    assert_int_equal(message_limit(&query, false, 8192, 4096), 4096);
}

static void responses_keep_the_clients_case_and_compress_owners(void **state)
{
    (void)state;
    struct packet packet;
    struct message_query query;
    uint8_t out[MESSAGE_PLAIN_LIMIT];
    struct message_writer writer;
    plain(&packet, 0);
    assert_int_equal(rcode_of(&query, &packet), RCODE_NOERROR);
    message_begin(&writer, &query, out, sizeof out);
    writer.flags |= MESSAGE_AA;
    const uint8_t *name = query.name;
    assert_true(message_put_record(&writer, MESSAGE_ANSWER, name, RR_A, 300,
                                   (const uint8_t *)"\300\0\002\1", 4));
    const uint8_t *parent = (const uint8_t *)"\002ns\007example\003com";
    struct message_mark mark = message_open_record(&writer, name + 4, RR_NS, 60);
    message_put_name(&writer, parent);
    assert_true(message_close_record(&writer, MESSAGE_AUTHORITY, mark));
    assert_true(message_put_record(&writer, MESSAGE_ADDITIONAL, (const uint8_t *)"", RR_TXT, 0,
                                   (const uint8_t *)"\1x", 2));
    size_t size = message_finish(&writer, RCODE_NOERROR);
    static const char want[] = "\x12\x34\x85\0\0\1\0\1\0\1\0\1" NAME "\0\0\1\0\1"
                               "\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\300\0\002\1"
                               "\xc0\x10\0\2\0\1\0\0\0\x3c\0\5\2ns\xc0\x10"
                               "\0\0\x10\0\1\0\0\0\0\0\2\1x";
    assert_int_equal(size, sizeof want - 1);
    assert_memory_equal(out, want, size);
}

static void bytes_that_only_look_like_a_suffix_are_no_target(void **state)
{
    (void)state;
    struct packet packet;
    struct message_query query;
    uint8_t out[MESSAGE_PLAIN_LIMIT];
    struct message_writer writer;
    header(&packet, 0, (const uint16_t[]){1, 0, 0, 0});
    question(&packet, "\006a\004com1", 8, RR_A); /* one label that ends in what looks like one */
    assert_int_equal(rcode_of(&query, &packet), RCODE_NOERROR);
    message_begin(&writer, &query, out, sizeof out);
    size_t before = writer.out.at;
    message_put_name(&writer, (const uint8_t *)"\004com1");
    assert_int_equal(writer.out.at - before, 6);
}

static void records_that_do_not_fit_leave_no_trace(void **state)
{
    (void)state;
    struct packet packet;
    struct message_query query;
    uint8_t out[MESSAGE_PLAIN_LIMIT];
    static const uint8_t rdata[400];
    struct message_writer writer;
    plain(&packet, 1);
    opt(&packet, 512, 0, "", 0);
    assert_int_equal(rcode_of(&query, &packet), RCODE_NOERROR);
    message_begin(&writer, &query, out, sizeof out);
    assert_true(message_put_record(&writer, MESSAGE_ANSWER, query.name, RR_TXT, 1, rdata, 400));
    struct message_mark full = message_mark(&writer);
    assert_false(message_put_record(&writer, MESSAGE_ANSWER, query.name, RR_TXT, 1, rdata, 100));
    assert_false(message_put_compiled(&writer, MESSAGE_ANSWER, 1, rdata, 100));
    assert_int_equal(writer.out.at, full.at);
    assert_int_equal(writer.counts[MESSAGE_ANSWER], 1);
    /* To the last byte, with the OPT record behind it. */
    size_t left = writer.out.size - writer.out.at;
    assert_false(message_put_compiled(&writer, MESSAGE_ANSWER, 1, rdata, left + 1));
    assert_true(message_put_compiled(&writer, MESSAGE_ANSWER, 1, rdata, left));
    assert_int_equal(message_finish(&writer, 0), 512);

    message_begin(&writer, &query, out, sizeof out);
    assert_true(message_put_record(&writer, MESSAGE_ANSWER, query.name, RR_TXT, 1, rdata, 400));
    message_truncate(&writer);
    assert_int_equal(message_finish(&writer, 0), 12 + 21 + 11);
    assert_int_equal(out[2] & 0x02, 0x02);
    assert_int_equal(out[7], 0);
}

static void options_are_written_with_room_kept_for_them(void **state)
{
    (void)state;
    struct message_query query;
    uint8_t out[MESSAGE_PLAIN_LIMIT];
    struct message_writer writer;
    assert_int_equal(rcode_with(&query, "\0\010\0\007\0\001\030\0\300\0\002", 11), RCODE_NOERROR);
    message_begin(&writer, &query, out, sizeof out);
    size_t before = writer.out.size;
    assert_true(message_add_subnet(&writer, 16));
    assert_true(message_add_error(&writer, EXTENDED_ERROR_NOT_READY, "wait"));
    assert_true(message_add_keepalive(&writer, 100));
    assert_true(message_add_option(&writer, EDNS_NSID, "n1", 2));
    assert_int_equal(before - writer.out.size, 11 + 10 + 6 + 6);
    assert_false(message_add_option(&writer, EDNS_NSID, out, 512));
    size_t size = message_finish(&writer, 0);
    static const char want[] = "\0\0\x29\x04\xd0\0\0\0\0\0\x21"
                               "\0\010\0\007\0\001\030\020\300\0\002"
                               "\0\017\0\006\0\016wait"
                               "\0\013\0\002\0\x64"
                               "\0\003\0\002n1";
    assert_int_equal(size, 33 + sizeof want - 1);
    assert_memory_equal(out + 33, want, sizeof want - 1);
    /* Without EDNS there is nowhere to put them. */
    struct packet packet;
    plain(&packet, 0);
    assert_int_equal(rcode_of(&query, &packet), RCODE_NOERROR);
    message_begin(&writer, &query, out, sizeof out);
    assert_false(message_add_error(&writer, EXTENDED_ERROR_OTHER, ""));
    assert_false(message_add_subnet(&writer, 0));
}

static void padding_fills_a_block(void **state)
{
    (void)state;
    struct message_query query;
    uint8_t out[1024];
    struct message_writer writer;
    assert_int_equal(rcode_with(&query, "\0\014\0\0", 4), RCODE_NOERROR);
    message_begin(&writer, &query, out, sizeof out);
    message_pad(&writer, 468);
    assert_int_equal(message_finish(&writer, 0), 468);
    message_begin(&writer, &query, out, MESSAGE_PLAIN_LIMIT);
    message_pad(&writer, 468);
    static const uint8_t rdata[440];
    assert_true(message_put_compiled(&writer, MESSAGE_ANSWER, 1, rdata, 440));
    assert_int_equal(message_finish(&writer, 0), MESSAGE_PLAIN_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_query_is_read),
        cmocka_unit_test(every_byte_of_a_name_is_lowered_as_ascii),
        cmocka_unit_test(what_cannot_be_answered_is_dropped),
        cmocka_unit_test(every_cut_of_a_query_is_formerr),
        cmocka_unit_test(unexpected_sections_are_formerr),
        cmocka_unit_test(bad_names_in_the_question_are_formerr),
        cmocka_unit_test(unknown_opcodes_are_notimp_and_flags_ignored),
        cmocka_unit_test(edns_is_read),
        cmocka_unit_test(newer_edns_versions_are_badvers),
        cmocka_unit_test(misplaced_opt_and_tsig_are_formerr),
        cmocka_unit_test(other_additional_records_are_skipped),
        cmocka_unit_test(ixfr_brings_its_serial),
        cmocka_unit_test(client_subnets_are_strict),
        cmocka_unit_test(cookies_have_their_lengths),
        cmocka_unit_test(a_cookie_alone_needs_no_question),
        cmocka_unit_test(other_options_are_noted_or_ignored),
        cmocka_unit_test(udp_limits_follow_client_and_server),
        cmocka_unit_test(responses_keep_the_clients_case_and_compress_owners),
        cmocka_unit_test(bytes_that_only_look_like_a_suffix_are_no_target),
        cmocka_unit_test(records_that_do_not_fit_leave_no_trace),
        cmocka_unit_test(options_are_written_with_room_kept_for_them),
        cmocka_unit_test(padding_fills_a_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
