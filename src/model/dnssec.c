/* DNSSEC as records: see dnssec.h. Called by service/route53, which writes them, and the daemon's
 * feed, which reads them, on any thread. Invariant: a decoded key has flags of one of the two
 * kinds, a sealed private half, and, where it signs keys, a name. */
#include "model/dnssec.h"

#include "base/text.h"
#include "model/fields.h"
#include "model/zone.h"

json_t *model_dnssec_encode(const struct model_dnssec *dnssec)
{
    return model_keep(json_pack("{s:i, s:s, s:I}", "v", MODEL_VERSION, "Status",
                                dnssec->signing ? "SIGNING" : "NOT_SIGNING", "Modified",
                                (json_int_t)dnssec->modified_s),
                      &dnssec->stored);
}

static int read_dnssec(const json_t *object, struct model_dnssec *ret_dnssec, struct err *err)
{
    struct model_dnssec dnssec = {.signing = false};
    const char *status = json_string_value(json_object_get(object, "Status"));
    int rc = fields_integer(object, "Modified", 0, INT64_MAX, 0, &dnssec.modified_s, err);
    if (rc != 0) {
        return rc;
    }
    dnssec.signing = status != NULL && text_equal(status, "SIGNING");
    if (!dnssec.signing && (status == NULL || !text_equal(status, "NOT_SIGNING"))) {
        return err_set(err, ERR_CORRUPT, "Status is neither SIGNING nor NOT_SIGNING");
    }
    *ret_dnssec = dnssec;
    return 0;
}

static const char *const statuses[] = {
    [MODEL_KEY_INACTIVE] = "INACTIVE",
    [MODEL_KEY_ACTIVE] = "ACTIVE",
    [MODEL_KEY_PUBLISHED] = "PUBLISHED",
    [MODEL_KEY_RETIRED] = "RETIRED",
};

int model_dnssec_decode(const void *value, size_t size, struct model_dnssec *ret_dnssec,
                        struct err *err)
{
    json_t *object CLEANUP(fields_release) = NULL;
    int rc = fields_parse(value, size, &object, err);
    rc = rc != 0 ? rc : read_dnssec(object, ret_dnssec, err);
    if (rc != 0) {
        return err_wrap(err, "DNSSEC record");
    }
    ret_dnssec->stored = (struct model_stored){value, size};
    return 0;
}

json_t *model_signing_key_encode(const struct model_signing_key *key)
{
    json_t *tree = json_pack(
        "{s:i, s:s, s:i, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "v", MODEL_VERSION, "Name",
        key->name, "Flags", (int)key->flags, "KeyTag", (int)key->tag, "PublicKey", key->public_key,
        "Digest", key->digest, "Sealed", key->sealed, "KmsArn", key->arn, "Status",
        statuses[key->status], "CallerReference", key->caller_reference, "Created",
        (json_int_t)key->created_s, "Modified", (json_int_t)key->modified_s);
    return model_keep(tree, &key->stored);
}

static int read_texts(const json_t *object, struct arena *arena, struct model_signing_key *key,
                      const char **ret_status, struct err *err)
{
    const struct {
        const char *name;
        const char **text;
    } members[] = {
        {"Name", &key->name},
        {"PublicKey", &key->public_key},
        {"Digest", &key->digest},
        {"Sealed", &key->sealed},
        {"KmsArn", &key->arn},
        {"Status", ret_status},
        {"CallerReference", &key->caller_reference},
    };
    int rc = 0;
    for (size_t i = 0; i < ARRAY_SIZE(members) && rc == 0; i++) {
        rc = fields_text(object, members[i].name, arena, members[i].text, err);
    }
    return rc;
}

static int read_key(const json_t *object, struct arena *arena, struct model_signing_key *ret_key,
                    struct err *err)
{
    struct model_signing_key key = {.name = ""};
    const char *status = "";
    int64_t flags = 0;
    int64_t tag = 0;
    int rc = read_texts(object, arena, &key, &status, err);
    rc = rc != 0 ? rc : fields_integer(object, "Flags", 0, UINT16_MAX, 0, &flags, err);
    rc = rc != 0 ? rc : fields_integer(object, "KeyTag", 0, UINT16_MAX, 0, &tag, err);
    rc = rc != 0 ? rc : fields_integer(object, "Created", 0, INT64_MAX, 0, &key.created_s, err);
    rc = rc != 0 ? rc : fields_integer(object, "Modified", 0, INT64_MAX, 0, &key.modified_s, err);
    if (rc != 0) {
        return rc;
    }
    key.flags = (unsigned)flags;
    key.tag = (unsigned)tag;
    size_t at = 0;
    while (at < ARRAY_SIZE(statuses) && !text_equal(status, statuses[at])) {
        at++;
    }
    key.status = (enum model_key_status)at;
    bool names_itself = key.flags == MODEL_FLAGS_ZONE_KEY ||
                        (key.flags == MODEL_FLAGS_SIGNING_KEY && key.name[0] != '\0');
    if (!names_itself || key.sealed[0] == '\0' || at == ARRAY_SIZE(statuses)) {
        return err_set(err, ERR_CORRUPT, "its name, flags, status or private key is not valid");
    }
    *ret_key = key;
    return 0;
}

int model_signing_key_decode(const void *value, size_t size, struct arena *arena,
                             struct model_signing_key *ret_key, struct err *err)
{
    json_t *object CLEANUP(fields_release) = NULL;
    int rc = fields_parse(value, size, &object, err);
    rc = rc != 0 ? rc : read_key(object, arena, ret_key, err);
    if (rc != 0) {
        return err_wrap(err, "signing key record");
    }
    ret_key->stored = (struct model_stored){arena_memdup(arena, value, size), size};
    return 0;
}
