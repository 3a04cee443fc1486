/* Making a zone's keys: see signing_key.h. Called by the DNSSEC handlers on API threads and by the
 * daemon's rollover thread. Invariant: a private key leaves this file sealed only. */
#include "service/route53/signing_key.h"

#include "base/buf.h"
#include "base/text.h"
#include "dns/sign/sign.h"
#include "dns/wire/name.h"
#include "model/path.h"

#define PRIVATE_LIMIT 1024U /* bytes of a private key on P-256, with much room */
#define PUBLIC_OFFSET 4U    /* in DNSKEY RDATA: behind flags, protocol and algorithm */

const char *signing_key_place(struct arena *arena, const char *zone_id,
                              const struct model_signing_key *key)
{
    return key->flags == MODEL_FLAGS_SIGNING_KEY ? path_signing_key(arena, zone_id, key->name)
                                                 : path_zone_key(arena, zone_id, key->tag);
}

static void unref_key(struct sign_key **key)
{
    sign_key_unref(*key);
}

static const char *base64(struct arena *arena, const void *data, size_t size)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 0);
    text_base64(&text, data, size);
    return arena_strdup(arena, buf_text(&text));
}

static const char *upper_hex(struct arena *arena, const uint8_t *data, size_t size)
{
    char *text = arena_alloc(arena, size * 2 + 1);
    text_hex(data, size, text);
    for (char *c = text; *c != '\0'; c++) {
        *c = (char)(*c >= 'a' && *c <= 'f' ? *c - 'a' + 'A' : *c);
    }
    return text;
}

static int set_digest(struct arena *arena, const char *zone_name, const struct sign_key *pair,
                      struct model_signing_key *key, struct err *err)
{
    uint8_t owner[NAME_WIRE_LIMIT];
    uint8_t digest[SIGN_DIGEST_SIZE];
    if (name_from_text(zone_name, true, owner) < 0) {
        return err_set(err, ERR_CORRUPT, "%s is no valid name of a zone", zone_name);
    }
    if (sign_ds_digest(pair, owner, digest) != 0) {
        return err_set(err, ERR_INTERNAL, "making the digest of a DNSSEC key");
    }
    key->digest = upper_hex(arena, digest, sizeof digest);
    return 0;
}

static int seal_pair(const struct seal *seal, struct arena *arena, const char *place,
                     const struct sign_key *pair, struct model_signing_key *key, struct err *err)
{
    char *sealed = NULL;
    struct buf der CLEANUP(buf_done);
    buf_init(&der, PRIVATE_LIMIT);
    buf_keep_secret(&der);
    if (sign_key_private(pair, &der) != 0) {
        return err_set(err, ERR_INTERNAL, "encoding a DNSSEC key");
    }
    int rc = seal_wrap(seal, place, der.data, der.length, arena, &sealed, err);
    if (rc == 0) {
        key->sealed = sealed;
    }
    return rc;
}

int signing_key_make(const struct seal *seal, struct arena *arena, struct wall now,
                     const char *zone_id, const char *zone_name, const char *name,
                     struct model_signing_key *ret_key, struct err *err)
{
    struct sign_key *pair CLEANUP(unref_key) = NULL;
    uint8_t rdata[SIGN_DNSKEY_SIZE];
    bool signs_keys = name[0] != '\0';
    struct model_signing_key key = {.name = name,
                                    .flags =
                                        signs_keys ? MODEL_FLAGS_SIGNING_KEY : MODEL_FLAGS_ZONE_KEY,
                                    .digest = "",
                                    .arn = "",
                                    .status = MODEL_KEY_ACTIVE,
                                    .caller_reference = "",
                                    .created_s = now.ns / TIME_S,
                                    .modified_s = now.ns / TIME_S};
    int rc = sign_key_generate((uint16_t)key.flags, &pair, err);
    if (rc == 0) {
        size_t size = sign_key_rdata(pair, rdata);
        key.tag = sign_key_tag(pair);
        key.public_key = base64(arena, rdata + PUBLIC_OFFSET, size - PUBLIC_OFFSET);
    }
    rc = rc == 0 && signs_keys ? set_digest(arena, zone_name, pair, &key, err) : rc;
    rc = rc != 0 ? rc
                 : seal_pair(seal, arena, signing_key_place(arena, zone_id, &key), pair, &key, err);
    if (rc == 0) {
        *ret_key = key;
    }
    return rc;
}
