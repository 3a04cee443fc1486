/* The one kind of message between sites: the complete table of ballots, with what makes its age
 * certain. Bytes in, bytes out; no I/O and no clock.
 *
 *   magic "LWPT", version 1 (u8), 0 (u8), length of the header (u16), length of the body (u32)
 *   session, sequence     of the sender: a random number of its process, and a count of its frames
 *   echo session, echo sequence     of the newest frame that the sender has had from the receiver
 *   age of the table (u32, ms), the sender's wall clock (u64, ns; shown, never used)
 *   15 places of {hash of a site (u64), ms since a frame of it (u32)}: whom the sender hears
 *   count (u32), then count times {id (16 bytes), vote (u8), age (u32, ms)}, by id
 *
 * The header ends before the count. Numbers are big-endian. The size depends on the number of
 * checks alone. A later version may make header and body longer: what stands behind what is known
 * here is skipped. Thread: any. */
#ifndef PEER_FRAME_H
#define PEER_FRAME_H

#include "base/err.h"
#include "base/macro.h"
#include "model/ballot.h"

#include <stddef.h>
#include <stdint.h>

#define FRAME_START 12U                                            /* what says how much follows */
#define FRAME_HEADER (FRAME_START + 44U + 12U * MODEL_SITES_LIMIT) /* of this version */
#define FRAME_HEADER_LIMIT 4096U
#define FRAME_ENTRY 21U
#define FRAME_BODY_LIMIT (4U + FRAME_ENTRY * MODEL_BALLOTS_LIMIT + 65536U)

struct frame_heard {
    uint64_t site; /* frame_site_hash; 0: an empty place */
    uint32_t age_ms;
};

struct frame_header {
    uint64_t session;
    uint64_t sequence;
    uint64_t echo_session;
    uint64_t echo_sequence;
    uint32_t table_age_ms;
    int64_t wall_ns;
    struct frame_heard heard[MODEL_SITES_LIMIT];
};

/* How long header and body are that begin with these FRAME_START bytes. ERR_CORRUPT. */
int frame_measure(const uint8_t start[FRAME_START], size_t *ret_header, size_t *ret_body,
                  struct err *err) MUST_CHECK;

void frame_write_header(const struct frame_header *header, size_t body_size,
                        uint8_t out[FRAME_HEADER]);
/* header: all of it, from the magic on, as frame_measure found it. ERR_CORRUPT. */
int frame_read_header(const uint8_t *header, size_t size, struct frame_header *ret_header,
                      struct err *err) MUST_CHECK;

size_t frame_body_size(const struct model_ballots *ballots);
/* out has frame_body_size bytes. */
void frame_write_body(const struct model_ballots *ballots, uint8_t *out);
/* The caller frees with free(). `made` is not set. ERR_CORRUPT; ERR_MEMORY. */
int frame_read_body(const uint8_t *body, size_t size, struct model_ballots **ret_ballots,
                    struct err *err) MUST_CHECK;

/* Never 0. */
uint64_t frame_site_hash(const char *site);

#endif
