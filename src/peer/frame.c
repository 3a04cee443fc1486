/* Frames: see frame.h. Pure; any thread. What is read came from another machine: every size is
 * compared with a limit before anything is allocated, and every entry is looked at. */
#include "peer/frame.h"

#include "base/bytes.h"
#include "base/hash.h"

#include <stdlib.h>

#define MAGIC 0x4C575054U /* "LWPT" */
#define VERSION 1U

static void put_u64(struct bytes_writer *writer, uint64_t value)
{
    bytes_put_u32(writer, (uint32_t)(value >> 32U));
    bytes_put_u32(writer, (uint32_t)value);
}

static uint64_t get_u64(struct bytes_reader *reader)
{
    uint64_t high = bytes_get_u32(reader);
    return high << 32U | bytes_get_u32(reader);
}

int frame_measure(const uint8_t start[FRAME_START], size_t *ret_header, size_t *ret_body,
                  struct err *err)
{
    struct bytes_reader reader = bytes_reader(start, FRAME_START);
    uint32_t magic = bytes_get_u32(&reader);
    uint8_t version = bytes_get_u8(&reader);
    (void)bytes_get_u8(&reader); /* kept for later */
    size_t header = bytes_get_u16(&reader);
    size_t body = bytes_get_u32(&reader);
    if (magic != MAGIC || version < VERSION) {
        return err_set(err, ERR_CORRUPT, "what came is no message between sites");
    }
    if (header < FRAME_HEADER || header > FRAME_HEADER_LIMIT || body < sizeof(uint32_t) ||
        body > FRAME_BODY_LIMIT) {
        return err_set(err, ERR_CORRUPT, "a message of %zu and %zu bytes", header, body);
    }
    *ret_header = header;
    *ret_body = body;
    return 0;
}

void frame_write_header(const struct frame_header *header, size_t body_size,
                        uint8_t out[FRAME_HEADER])
{
    struct bytes_writer writer = bytes_writer(out, FRAME_HEADER);
    bytes_put_u32(&writer, MAGIC);
    bytes_put_u8(&writer, VERSION);
    bytes_put_u8(&writer, 0);
    bytes_put_u16(&writer, FRAME_HEADER);
    bytes_put_u32(&writer, (uint32_t)body_size);
    put_u64(&writer, header->session);
    put_u64(&writer, header->sequence);
    put_u64(&writer, header->echo_session);
    put_u64(&writer, header->echo_sequence);
    bytes_put_u32(&writer, header->table_age_ms);
    put_u64(&writer, (uint64_t)header->wall_ns);
    for (size_t i = 0; i < MODEL_SITES_LIMIT; i++) {
        put_u64(&writer, header->heard[i].site);
        bytes_put_u32(&writer, header->heard[i].age_ms);
    }
}

int frame_read_header(const uint8_t *header, size_t size, struct frame_header *ret_header,
                      struct err *err)
{
    struct bytes_reader reader = bytes_reader(header, size);
    struct frame_header read = {0};
    (void)bytes_get(&reader, FRAME_START); /* measured already */
    read.session = get_u64(&reader);
    read.sequence = get_u64(&reader);
    read.echo_session = get_u64(&reader);
    read.echo_sequence = get_u64(&reader);
    read.table_age_ms = bytes_get_u32(&reader);
    read.wall_ns = (int64_t)get_u64(&reader);
    for (size_t i = 0; i < MODEL_SITES_LIMIT; i++) {
        read.heard[i].site = get_u64(&reader);
        read.heard[i].age_ms = bytes_get_u32(&reader);
    }
    if (reader.failed) {
        return err_set(err, ERR_CORRUPT, "the header of a message ends early");
    }
    *ret_header = read;
    return 0;
}

size_t frame_body_size(const struct model_ballots *ballots)
{
    return sizeof(uint32_t) + ballots->count * FRAME_ENTRY;
}

void frame_write_body(const struct model_ballots *ballots, uint8_t *out)
{
    struct bytes_writer writer = bytes_writer(out, frame_body_size(ballots));
    bytes_put_u32(&writer, (uint32_t)ballots->count);
    for (size_t i = 0; i < ballots->count; i++) {
        bytes_put(&writer, ballots->entries[i].id, MODEL_BALLOT_ID);
        bytes_put_u8(&writer, ballots->entries[i].vote);
        bytes_put_u32(&writer, ballots->entries[i].age_ms);
    }
}

static int read_entries(struct bytes_reader *reader, struct model_ballots *ballots, size_t count,
                        struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct model_ballot *entry = &ballots->entries[i];
        const uint8_t *id = bytes_get(reader, MODEL_BALLOT_ID);
        entry->vote = bytes_get_u8(reader);
        entry->age_ms = bytes_get_u32(reader);
        if (id == NULL || entry->vote > MODEL_VOTE_UNHEALTHY ||
            (i != 0 && memcmp(id, ballots->entries[i - 1].id, MODEL_BALLOT_ID) <= 0)) {
            return err_set(err, ERR_CORRUPT, "entry %zu of a table of ballots is wrong", i);
        }
        (void)memcpy(entry->id, id, MODEL_BALLOT_ID);
    }
    ballots->count = count;
    return 0;
}

int frame_read_body(const uint8_t *body, size_t size, struct model_ballots **ret_ballots,
                    struct err *err)
{
    struct bytes_reader reader = bytes_reader(body, size);
    size_t count = bytes_get_u32(&reader);
    if (reader.failed || count > MODEL_BALLOTS_LIMIT || bytes_left(&reader) < count * FRAME_ENTRY) {
        return err_set(err, ERR_CORRUPT, "a table of ballots in %zu bytes", size);
    }
    struct model_ballots *ballots = calloc(1, sizeof *ballots + count * sizeof *ballots->entries);
    if (ballots == NULL) {
        return err_set(err, ERR_MEMORY, "a table of %zu ballots", count);
    }
    int rc = read_entries(&reader, ballots, count, err);
    if (rc != 0) {
        free(ballots);
        return rc;
    }
    *ret_ballots = ballots;
    return 0;
}

uint64_t frame_site_hash(const char *site)
{
    static const struct hash_key key = {.k0 = 3, .k1 = 3};
    uint64_t hash = hash_bytes(&key, site, strlen(site));
    return hash != 0 ? hash : 1;
}
