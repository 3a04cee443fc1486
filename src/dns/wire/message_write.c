/* Writing of responses: see message.h. Called by the answer path on every packet, any thread; the
 * caller owns writer and buffer.
 *
 * out.size is lowered by what the OPT record will need, so records can never take its room; a
 * record that does not fit is rolled back whole. */
#include "dns/wire/message.h"
#include "dns/wire/rdata.h"

#include <assert.h>
#include <string.h>

#define OPT_FIXED 11U
#define UDP_SIZE 1232U /* what we take: no query of use is longer */
#define OPTION_FIXED 4U
#define POINTER 0xc000U

void message_begin(struct message_writer *writer, const struct message_query *query, uint8_t *out,
                   size_t limit)
{
    assert(limit >= MESSAGE_PLAIN_LIMIT);
    writer->query = query;
    writer->limit = limit;
    writer->out = bytes_writer(out, query->has_edns ? limit - OPT_FIXED : limit);
    /* RFC 4035 section 3.1.6: CD is copied; AD in a query is no wish of ours to grant. */
    writer->flags = (uint16_t)(MESSAGE_QR | (query->flags & (0x7800U | MESSAGE_RD | MESSAGE_CD)));
    writer->counts[MESSAGE_ANSWER] = 0;
    writer->counts[MESSAGE_AUTHORITY] = 0;
    writer->counts[MESSAGE_ADDITIONAL] = 0;
    writer->pad_block = 0;
    writer->options_size = 0;
    /* Header and question; message_finish fills the header in. */
    size_t size = MESSAGE_HEADER_SIZE + (size_t)query->question_size;
    bytes_copy(bytes_put_room(&writer->out, size), query->packet, size);
}

/* Bytes of the padding option so that the message becomes a multiple of the block. */
static size_t padding(const struct message_writer *writer)
{
    size_t size = writer->out.at + OPT_FIXED + writer->options_size + OPTION_FIXED;
    if (!writer->query->has_padding || size > writer->limit) {
        return 0;
    }
    size_t over = size % writer->pad_block;
    size_t fill = over == 0 ? 0 : writer->pad_block - over;
    return OPTION_FIXED + MIN(fill, writer->limit - size);
}

static void put_opt(struct message_writer *writer, uint16_t rcode)
{
    struct bytes_writer *out = &writer->out;
    size_t pad = writer->pad_block != 0 ? padding(writer) : 0;
    out->failed = false;
    out->size = writer->limit;
    /* Owner (the root), type, class (what we take), extended RCODE, version, flags, length. */
    size_t options = writer->options_size + pad;
    const uint8_t opt[OPT_FIXED] = {0,
                                    0,
                                    RR_OPT,
                                    UDP_SIZE >> 8U,
                                    UDP_SIZE & 0xffU,
                                    (uint8_t)(rcode >> 4U),
                                    0,
                                    writer->query->dnssec_ok ? 0x80 : 0,
                                    0,
                                    (uint8_t)(options >> 8U),
                                    (uint8_t)options};
    bytes_put(out, opt, sizeof opt);
    if (writer->options_size != 0) {
        bytes_put(out, writer->options, writer->options_size);
    }
    if (pad != 0) {
        bytes_put_u16(out, EDNS_PADDING);
        bytes_put_u16(out, (uint16_t)(pad - OPTION_FIXED));
        uint8_t *zeroes = bytes_put_room(out, pad - OPTION_FIXED);
        (void)memset(zeroes, 0, pad - OPTION_FIXED);
    }
    writer->counts[MESSAGE_ADDITIONAL]++;
}

size_t message_finish(struct message_writer *writer, uint16_t rcode)
{
    struct bytes_writer *out = &writer->out;
    if (writer->query->has_edns) {
        put_opt(writer, rcode);
    }
    struct bytes_writer header = bytes_writer(out->data, MESSAGE_HEADER_SIZE);
    bytes_put_u16(&header, writer->query->id);
    bytes_put_u16(&header, (uint16_t)(writer->flags | (rcode & 0xfU)));
    bytes_put_u16(&header, writer->query->question_size != 0 ? 1 : 0);
    bytes_put_u16(&header, writer->counts[MESSAGE_ANSWER]);
    bytes_put_u16(&header, writer->counts[MESSAGE_AUTHORITY]);
    bytes_put_u16(&header, writer->counts[MESSAGE_ADDITIONAL]);
    return out->at;
}

struct message_mark message_mark(const struct message_writer *writer)
{
    struct message_mark mark = {.at = writer->out.at};
    (void)memcpy(mark.counts, writer->counts, sizeof mark.counts);
    return mark;
}

void message_rollback(struct message_writer *writer, struct message_mark mark)
{
    writer->out.at = mark.at;
    writer->out.failed = false;
    (void)memcpy(writer->counts, mark.counts, sizeof mark.counts);
}

void message_truncate(struct message_writer *writer)
{
    struct message_mark start = {.at = MESSAGE_QUESTION_AT + (size_t)writer->query->question_size};
    message_rollback(writer, start);
    writer->flags |= MESSAGE_TC;
}

/* Where in the message the name that ends the question's name in `size` bytes stands; 0 when no
 * label starts there or the bytes differ. */
static uint16_t find_suffix(const struct message_query *query, const uint8_t *name, size_t size)
{
    if (query->question_size == 0 || size > query->name_size) {
        return 0;
    }
    size_t at = query->name_size - size;
    if (memcmp(query->name + at, name, size) != 0) {
        return 0;
    }
    for (unsigned i = 0; i < query->label_count; i++) {
        if (query->label_at[i] == at) {
            return (uint16_t)(MESSAGE_QUESTION_AT + at);
        }
    }
    return 0;
}

void message_put_name(struct message_writer *writer, const uint8_t *name)
{
    size_t size = name_length(name);
    size_t at = 0;
    while (name[at] != 0) {
        uint16_t target = find_suffix(writer->query, name + at, size - at);
        if (target != 0) {
            bytes_put(&writer->out, name, at);
            bytes_put_u16(&writer->out, (uint16_t)(POINTER | target));
            return;
        }
        at += 1U + name[at];
    }
    bytes_put(&writer->out, name, size);
}

struct message_mark message_open_record(struct message_writer *writer, const uint8_t *owner,
                                        uint16_t type, uint32_t ttl)
{
    struct message_mark mark = message_mark(writer);
    message_put_name(writer, owner);
    bytes_put_u16(&writer->out, type);
    bytes_put_u16(&writer->out, CLASS_IN);
    bytes_put_u32(&writer->out, ttl);
    bytes_put_u16(&writer->out, 0);
    return mark;
}

/* Where the RDATA of the record at mark starts. */
static size_t rdata_at(const struct message_writer *writer, size_t at)
{
    const uint8_t *data = writer->out.data;
    while (data[at] != 0) {
        if (data[at] > NAME_LABEL_LIMIT) {
            return at + 2 + 10;
        }
        at += 1U + data[at];
    }
    return at + 1 + 10;
}

bool message_close_record(struct message_writer *writer, enum message_section section,
                          struct message_mark mark)
{
    if (writer->out.failed) {
        message_rollback(writer, mark);
        return false;
    }
    size_t start = rdata_at(writer, mark.at);
    bytes_patch_u16(&writer->out, start - 2, (uint16_t)(writer->out.at - start));
    writer->counts[section]++;
    return true;
}

bool message_put_record(struct message_writer *writer, enum message_section section,
                        const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                        size_t size)
{
    struct message_mark mark = message_open_record(writer, owner, type, ttl);
    bytes_put(&writer->out, rdata, size);
    return message_close_record(writer, section, mark);
}

/* Room for one more option's data; NULL when there is none. */
static uint8_t *option_room(struct message_writer *writer, uint16_t code, size_t size)
{
    size_t want = OPTION_FIXED + size;
    if (!writer->query->has_edns || want > MESSAGE_OPTIONS_LIMIT - writer->options_size ||
        want > writer->out.size - writer->out.at) {
        return NULL;
    }
    struct bytes_writer option = bytes_writer(writer->options + writer->options_size, want);
    bytes_put_u16(&option, code);
    bytes_put_u16(&option, (uint16_t)size);
    writer->options_size = (uint16_t)(writer->options_size + want);
    writer->out.size -= want;
    return bytes_put_room(&option, size);
}

bool message_add_option(struct message_writer *writer, uint16_t code, const void *data, size_t size)
{
    uint8_t *room = option_room(writer, code, size);
    if (room != NULL && size != 0) {
        (void)memcpy(room, data, size);
    }
    return room != NULL;
}

bool message_add_subnet(struct message_writer *writer, uint8_t scope)
{
    const struct message_query *query = writer->query;
    if (!query->has_subnet) {
        return false;
    }
    uint8_t data[20];
    struct bytes_writer option = bytes_writer(data, sizeof data);
    bytes_put_u16(&option, query->subnet.family);
    bytes_put_u8(&option, query->subnet.prefix);
    bytes_put_u8(&option, scope);
    bytes_put(&option, query->subnet.address, (query->subnet.prefix + 7U) / 8U);
    return message_add_option(writer, EDNS_CLIENT_SUBNET, data, option.at);
}

void message_set_scope(struct message_writer *writer, uint8_t scope)
{
    struct bytes_reader options = bytes_reader(writer->options, writer->options_size);
    while (bytes_left(&options) >= OPTION_FIXED) {
        uint16_t code = bytes_get_u16(&options);
        uint16_t size = bytes_get_u16(&options);
        if (code == EDNS_CLIENT_SUBNET && size >= 4) {
            writer->options[options.at + 3] = scope; /* family, prefix, scope: section 6 */
            return;
        }
        (void)bytes_get(&options, size); /* written by us: whole */
    }
}

bool message_add_error(struct message_writer *writer, enum extended_error code, const char *text)
{
    size_t size = strlen(text);
    uint8_t *room = option_room(writer, EDNS_EXTENDED_ERROR, 2 + size);
    if (room == NULL) {
        return false;
    }
    struct bytes_writer option = bytes_writer(room, 2 + size);
    bytes_put_u16(&option, (uint16_t)code);
    bytes_put(&option, text, size);
    return true;
}

bool message_add_keepalive(struct message_writer *writer, uint16_t timeout)
{
    uint8_t *room = option_room(writer, EDNS_TCP_KEEPALIVE, 2);
    if (room == NULL) {
        return false;
    }
    struct bytes_writer option = bytes_writer(room, 2);
    bytes_put_u16(&option, timeout);
    return true;
}

void message_pad(struct message_writer *writer, uint16_t block)
{
    writer->pad_block = block;
}
