/* Who may transfer a zone, who is told of changes, and where its records come from: the tags
 * leeward:transfer-to, leeward:notify and leeward:primary of a hosted zone as plain records.
 *
 *     leeward:transfer-to   192.0.2.53  2001:db8::/32#key.example  #key.example
 *     leeward:notify        192.0.2.53  [2001:db8::53]:5353#key.example
 *     leeward:primary       192.0.2.1#key.example  192.0.2.2:5353
 *
 * Entries are separated by spaces or commas. An address or prefix may transfer, where a key is
 * named behind it only with that key; a key alone may transfer from anywhere. Thread: any. */
#ifndef MODEL_TRANSFER_H
#define MODEL_TRANSFER_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "dns/wire/name.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#define MODEL_TRANSFER_TO "leeward:transfer-to"
#define MODEL_NOTIFY "leeward:notify"
#define MODEL_ZONE_PRIMARY "leeward:primary"
#define MODEL_TRANSFER_ENTRIES 64U

struct model_transfer_peer {
    uint16_t family; /* AF_INET, AF_INET6; AF_UNSPEC: any address */
    uint8_t bits;    /* of address that count */
    uint8_t address[16];
    bool has_key;
    uint8_t key[NAME_WIRE_LIMIT]; /* wire form, lower case */
};

struct model_transfer_target {
    struct sockaddr_storage address;
    bool has_key;
    uint8_t key[NAME_WIRE_LIMIT];
};

struct model_transfer {
    struct model_transfer_peer *peers;
    size_t peer_count;
    struct model_transfer_target *targets;
    size_t target_count;
    struct model_transfer_target *primaries; /* where the zone's records come from */
    size_t primary_count;
};

/* Whether a tag's key is one of these. */
bool model_transfer_tag(const char *key);
/* Out of [{"Key":..,"Value":..}]; other tags are passed over. ERR_INVALID names the tag and the
 * entry that is wrong. Memory from the arena. */
int model_transfer_parse(const json_t *tags, struct arena *arena,
                         struct model_transfer *ret_transfer, struct err *err) MUST_CHECK;
/* The same from a stored tags record. */
int model_transfer_decode(const void *value, size_t size, struct arena *arena,
                          struct model_transfer *ret_transfer, struct err *err) MUST_CHECK;
/* Whether someone at that address who proved to hold the key (NULL: none) may transfer. */
bool model_transfer_allows(const struct model_transfer *transfer, const struct sockaddr *source,
                           const uint8_t *key);

#endif
