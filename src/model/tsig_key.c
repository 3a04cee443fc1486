/* Decoding and encoding of TSIG keys: see tsig_key.h. Called by service/leeward and the daemon, on
 * any thread. Strings live in the caller's arena. */
#include "model/tsig_key.h"

#include "model/fields.h"
#include "model/zone.h"

#include <errno.h>

int model_tsig_name(const char *text, char out[NAME_TEXT_LIMIT])
{
    uint8_t wire[NAME_WIRE_LIMIT];
    int length = name_from_text(text, false, wire);
    if (length < 2) {
        return -EINVAL;
    }
    name_to_text(wire, false, out);
    return 0;
}

json_t *model_tsig_key_encode(const struct model_tsig_key *key)
{
    return json_pack("{s:i, s:s, s:s, s:s, s:I}", "v", MODEL_VERSION, "Name", key->name,
                     "Algorithm", key->algorithm, "Secret", key->secret, "Created",
                     (json_int_t)(key->created.ns / TIME_S));
}

int model_tsig_key_decode(const void *value, size_t size, struct arena *arena,
                          struct model_tsig_key *ret_key, struct err *err)
{
    json_t *object CLEANUP(fields_release) = NULL;
    struct model_tsig_key key = {.name = ""};
    int64_t created = 0;
    int rc = fields_parse(value, size, &object, err);
    rc = rc != 0 ? rc : fields_text(object, "Name", arena, &key.name, err);
    rc = rc != 0 ? rc : fields_text(object, "Algorithm", arena, &key.algorithm, err);
    rc = rc != 0 ? rc : fields_text(object, "Secret", arena, &key.secret, err);
    rc = rc != 0 ? rc : fields_integer(object, "Created", 0, INT64_MAX / TIME_S, 0, &created, err);
    if (rc == 0 && name_from_text(key.name, false, key.wire) < 2) {
        rc = err_set(err, ERR_CORRUPT, "Name is not a domain name");
    }
    if (rc != 0) {
        return err_wrap(err, "TSIG key");
    }
    key.created.ns = created * TIME_S;
    *ret_key = key;
    return 0;
}
