/* The transfer tags of hosted zones: see transfer.h. Called by service/route53 when tags are set
 * and by the daemon when it reads them; results live in the caller's arena. Invariant: what was
 * accepted when it was set is accepted when it is read. */
#include "model/transfer.h"

#include "base/text.h"
#include "model/fields.h"

#include <arpa/inet.h>
#include <string.h>

#define DNS_PORT 53
#define ENTRY_LIMIT 320U

struct entry {
    char address[ENTRY_LIMIT]; /* with prefix or port */
    bool has_key;
    uint8_t key[NAME_WIRE_LIMIT];
};

static int bad_entry(const char *tag, const char *entry, const char *why, struct err *err)
{
    return err_set(err, ERR_INVALID, "Tag %s: '%.80s' %s", tag, entry, why);
}

/* Splits off "#key". */
static int split_key(const char *tag, const char *text, struct entry *entry, struct err *err)
{
    const char *hash = strchr(text, '#');
    size_t length = hash != NULL ? (size_t)(hash - text) : strlen(text);
    if (text_copy_n(entry->address, sizeof entry->address, text, length) != 0) {
        return bad_entry(tag, text, "is too long", err);
    }
    entry->has_key = hash != NULL;
    if (hash != NULL && name_from_text(hash + 1, false, entry->key) < 2) {
        return bad_entry(tag, text, "does not name a key behind its '#'", err);
    }
    return 0;
}

static int parse_peer(const char *tag, const char *text, struct model_transfer_peer *peer,
                      struct err *err)
{
    struct entry entry = {.has_key = false};
    int rc = split_key(tag, text, &entry, err);
    if (rc != 0) {
        return rc;
    }
    *peer = (struct model_transfer_peer){.family = AF_UNSPEC, .has_key = entry.has_key};
    (void)memcpy(peer->key, entry.key, sizeof peer->key);
    if (entry.address[0] == '\0') {
        return 0; /* a key alone: split_key saw one, as the entry is not empty */
    }
    char *slash = strchr(entry.address, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    peer->family = strchr(entry.address, ':') != NULL ? AF_INET6 : AF_INET;
    if (inet_pton(peer->family, entry.address, peer->address) != 1) {
        return bad_entry(tag, text, "is no IP address or prefix", err);
    }
    int64_t bits = peer->family == AF_INET ? 32 : 128;
    if (slash != NULL && text_to_i64(slash + 1, 0, bits, &bits) != 0) {
        return bad_entry(tag, text, "has a prefix length that is out of bounds", err);
    }
    peer->bits = (uint8_t)bits;
    for (unsigned i = 0; i < sizeof peer->address * 8U; i++) {
        if (i >= peer->bits && (peer->address[i / 8] & (0x80U >> i % 8)) != 0) {
            return bad_entry(tag, text, "has address bits behind its prefix", err);
        }
    }
    return 0;
}

/* "192.0.2.1", "192.0.2.1:53", "2001:db8::1", "[2001:db8::1]:53" */
static int parse_target(const char *tag, const char *text, struct model_transfer_target *target,
                        struct err *err)
{
    struct entry entry = {.has_key = false};
    int rc = split_key(tag, text, &entry, err);
    if (rc != 0) {
        return rc;
    }
    *target = (struct model_transfer_target){.has_key = entry.has_key};
    (void)memcpy(target->key, entry.key, sizeof target->key);
    char *address = entry.address;
    char *port = strrchr(address, ':');
    if (address[0] == '[') {
        char *end = strchr(address, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':')) {
            return bad_entry(tag, text, "is no IP address", err);
        }
        port = end[1] == ':' ? end + 1 : NULL;
        *end = '\0';
        address++;
    } else if (port != NULL && strchr(address, ':') != port) {
        port = NULL; /* an IPv6 address without brackets */
    }
    int64_t number = DNS_PORT;
    if (port != NULL) {
        *port = '\0';
        if (text_to_i64(port + 1, 1, UINT16_MAX, &number) != 0) {
            return bad_entry(tag, text, "has a port that is out of bounds", err);
        }
    }
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)number)};
    if (inet_pton(AF_INET, address, &v4.sin_addr) == 1) {
        (void)memcpy(&target->address, &v4, sizeof v4);
    } else if (inet_pton(AF_INET6, address, &v6.sin6_addr) == 1) {
        (void)memcpy(&target->address, &v6, sizeof v6);
    } else {
        return bad_entry(tag, text, "is no IP address", err);
    }
    return 0;
}

/* Calls parse for each entry of the list. */
static int parse_list(const char *tag, const char *value, struct arena *arena,
                      struct model_transfer *transfer, struct err *err)
{
    bool targets = !text_equal(tag, MODEL_TRANSFER_TO);
    bool primary = text_equal(tag, MODEL_ZONE_PRIMARY);
    struct model_transfer_target *list = primary ? transfer->primaries : transfer->targets;
    size_t count = 0;
    for (const char *at = value; *at != '\0';) {
        at += strspn(at, " ,\t");
        size_t length = strcspn(at, " ,\t");
        if (length == 0) {
            break;
        }
        const char *entry = arena_memdup(arena, at, length);
        at += length;
        if (count++ == MODEL_TRANSFER_ENTRIES) {
            return err_set(err, ERR_INVALID, "Tag %s has more than %u entries", tag,
                           MODEL_TRANSFER_ENTRIES);
        }
        int rc = targets ? parse_target(tag, entry, &list[count - 1], err)
                         : parse_peer(tag, entry, &transfer->peers[count - 1], err);
        if (rc != 0) {
            return rc;
        }
    }
    *(primary   ? &transfer->primary_count
      : targets ? &transfer->target_count
                : &transfer->peer_count) = count;
    return count != 0 ? 0
                      : err_set(err, ERR_INVALID,
                                "Tag %s is empty: remove it, or name addresses or keys", tag);
}

bool model_transfer_tag(const char *key)
{
    return text_equal(key, MODEL_TRANSFER_TO) || text_equal(key, MODEL_NOTIFY) ||
           text_equal(key, MODEL_ZONE_PRIMARY);
}

int model_transfer_parse(const json_t *tags, struct arena *arena,
                         struct model_transfer *ret_transfer, struct err *err)
{
    struct model_transfer transfer = {
        .peers = arena_array(arena, MODEL_TRANSFER_ENTRIES, sizeof transfer.peers[0]),
        .targets = arena_array(arena, MODEL_TRANSFER_ENTRIES, sizeof transfer.targets[0]),
        .primaries = arena_array(arena, MODEL_TRANSFER_ENTRIES, sizeof transfer.primaries[0])};
    for (size_t i = 0; i < json_array_size(tags); i++) {
        const json_t *tag = json_array_get(tags, i);
        const char *key = json_string_value(json_object_get(tag, "Key"));
        const char *value = json_string_value(json_object_get(tag, "Value"));
        if (key == NULL || !model_transfer_tag(key)) {
            continue;
        }
        int rc = parse_list(key, value != NULL ? value : "", arena, &transfer, err);
        if (rc != 0) {
            return rc;
        }
    }
    *ret_transfer = transfer;
    return 0;
}

int model_transfer_decode(const void *value, size_t size, struct arena *arena,
                          struct model_transfer *ret_transfer, struct err *err)
{
    json_t *object CLEANUP(fields_release) = NULL;
    int rc = fields_parse(value, size, &object, err);
    return rc != 0
               ? rc
               : model_transfer_parse(json_object_get(object, "Tags"), arena, ret_transfer, err);
}

/* The address alone; an IPv4 address inside IPv6 as IPv4. */
static uint16_t plain_address(const struct sockaddr *source, uint8_t address[16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (source->sa_family == AF_INET) {
        struct sockaddr_in v4;
        (void)memcpy(&v4, source, sizeof v4);
        (void)memcpy(address, &v4.sin_addr, 4);
        return AF_INET;
    }
    struct sockaddr_in6 v6;
    (void)memcpy(&v6, source, sizeof v6);
    (void)memcpy(address, &v6.sin6_addr, 16);
    if (memcmp(address, mapped, sizeof mapped) == 0) {
        (void)memmove(address, address + sizeof mapped, 4);
        return AF_INET;
    }
    return AF_INET6;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    if (memcmp(a, b, bits / 8) != 0) {
        return false;
    }
    unsigned rest = bits % 8;
    return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) >> (8U - rest)) == 0;
}

bool model_transfer_allows(const struct model_transfer *transfer, const struct sockaddr *source,
                           const uint8_t *key)
{
    uint8_t address[16] = {0};
    uint16_t family = plain_address(source, address);
    for (size_t i = 0; i < transfer->peer_count; i++) {
        const struct model_transfer_peer *peer = &transfer->peers[i];
        bool here = peer->family == AF_UNSPEC ||
                    (peer->family == family && same_bits(peer->address, address, peer->bits));
        bool proved = !peer->has_key || (key != NULL && name_equal(peer->key, key));
        if (here && proved) {
            return true;
        }
    }
    return false;
}
