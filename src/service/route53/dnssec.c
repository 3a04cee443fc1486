/* DNSSEC: key-signing keys, signing on and off, and what it is now. Called as handlers on API
 * threads; trees and strings live in the call's arena.
 *
 * Choices of ours: the private key is made here, the client's KMS ARN only names it. What is so
 * already succeeds again (activating an active key, enabling what is enabled), so that a call whose
 * answer was lost can be repeated; CreateKeySigningKey is known again by its CallerReference. A key
 * counts as used by the parent when a zone of ours above has a DS record for it; parents elsewhere
 * are not asked. Invariant: while a zone is signed it has an active key-signing key and a
 * zone-signing key. */
#include "base/text.h"
#include "dns/sign/sign.h"
#include "model/path.h"
#include "service/route53/handlers.h"
#include "service/route53/signing.h"

#include <errno.h>
#include <string.h>

/* One change of a zone's keys; judge fills txn. */
struct key_change {
    const char *zone_id;
    const char *name; /* of the key; "" when the change is the zone's */
    const json_t *in;
    struct route53_signing signing;
    struct model_signing_key made; /* CreateKeySigningKey's answer */
    json_t *info;
};

/* As route53_transact; these operations have an error of their own for changes at once. */
static int commit_change(struct aws_call *call, transact_step step, struct key_change *change,
                         json_t **ret_out, struct err *err)
{
    int rc = transact(call, step, change, "ConcurrentModification",
                      "Another user submitted a request to create, update, or delete the object at "
                      "the same time that you did. Retry the request.",
                      err);
    if (rc != 0 || ret_out == NULL) {
        return rc;
    }
    return route53_answer(json_pack("{s:O}", "ChangeInfo", change->info), ret_out, err);
}

static struct model_signing_key *find_key(const struct route53_signing *signing, const char *name)
{
    for (size_t i = 0; i < signing->count; i++) {
        if (text_equal(signing->keys[i].name, name)) {
            return &signing->keys[i];
        }
    }
    return NULL;
}

static bool is_active(const struct model_signing_key *key)
{
    return key->status == MODEL_KEY_ACTIVE;
}

static size_t count_active(const struct route53_signing *signing)
{
    size_t count = 0;
    for (size_t i = 0; i < signing->count; i++) {
        count += is_active(&signing->keys[i]) ? 1 : 0;
    }
    return count;
}

static void format_time(int64_t seconds, char out[TIME_TEXT])
{
    wall_format((struct wall){seconds * TIME_S}, out);
}

/* The KeySigningKey shape; a new reference. */
static json_t *show_key(struct aws_call *call, const char *zone_id,
                        const struct model_signing_key *key)
{
    char created[TIME_TEXT];
    char modified[TIME_TEXT];
    format_time(key->created_s, created);
    format_time(key->modified_s, modified);
    bool opens = route53_signing_opens(call, zone_id, key);
    const char *status = !opens ? "ACTION_NEEDED" : is_active(key) ? "ACTIVE" : "INACTIVE";
    return json_pack(
        "{s:s, s:s, s:i, s:s, s:i, s:s, s:i, s:i, s:s, s:s, s:s, s:o, s:s, s:s*, s:s, s:s}", "Name",
        key->name, "KmsArn", key->arn, "Flag", (int)key->flags, "SigningAlgorithmMnemonic",
        "ECDSAP256SHA256", "SigningAlgorithmType", (int)SIGN_ALGORITHM, "DigestAlgorithmMnemonic",
        "SHA-256", "DigestAlgorithmType", (int)SIGN_DIGEST, "KeyTag", (int)key->tag, "DigestValue",
        key->digest, "PublicKey", key->public_key, "DSRecord", route53_signing_ds(call, key),
        "DNSKEYRecord", json_sprintf("%u 3 %u %s", key->flags, SIGN_ALGORITHM, key->public_key),
        "Status", status, "StatusMessage",
        opens ? NULL
              : "The private key cannot be opened with the seal key of this server. Put the right "
                "seal key back, or replace this key-signing key.",
        "CreatedDate", created, "LastModifiedDate", modified);
}

/* ---- GetDNSSEC ---- */

int route53_get_dnssec(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err)
{
    struct route53_signing signing;
    int rc = route53_signing_load(call, route53_text(in, "HostedZoneId"), &signing, err);
    if (rc != 0) {
        return rc;
    }
    json_t *keys = json_array();
    for (size_t i = 0; i < signing.count; i++) {
        if (json_array_append_new(keys, show_key(call, signing.zone.model.id, &signing.keys[i])) !=
            0) {
            json_decref(keys);
            return err_set(err, ERR_MEMORY, "showing a zone's keys");
        }
    }
    const char *status = signing.dnssec.signing ? "SIGNING" : "NOT_SIGNING";
    return route53_answer(
        json_pack("{s:{s:s}, s:o}", "Status", "ServeSignature", status, "KeySigningKeys", keys),
        ret_out, err);
}

/* ---- CreateKeySigningKey ---- */

static bool name_is_valid(const char *name)
{
    size_t length = strlen(name);
    return length >= 3 && length <= 128 &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") ==
               length;
}

/* arn:PARTITION:kms:REGION:ACCOUNT:key/ID */
static bool arn_is_valid(const char *arn)
{
    static const char *const allowed[] = {"abcdefghijklmnopqrstuvwxyz",
                                          "abcdefghijklmnopqrstuvwxyz-", "kms",
                                          "abcdefghijklmnopqrstuvwxyz0123456789-", "0123456789"};
    const char *at = arn;
    size_t lengths[ARRAY_SIZE(allowed)];
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
        lengths[i] = strspn(at, allowed[i]);
        if (lengths[i] == 0 || at[lengths[i]] != ':') {
            return false;
        }
        at += lengths[i] + 1;
    }
    size_t id = text_starts(at, "key/")
                    ? strspn(at + 4, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-")
                    : 0;
    return text_starts(arn, "arn:") && strstr(arn, ":kms:") != NULL && lengths[2] == 3 &&
           lengths[4] == 12 && id >= 1 && id <= 128 && at[4 + id] == '\0';
}

static int judge_input(struct aws_call *call, const json_t *in, struct err *err)
{
    const char *name = route53_text(in, "Name");
    const char *status = route53_text(in, "Status");
    if (!name_is_valid(name)) {
        return aws_error(call, err, "InvalidKeySigningKeyName",
                         "The key-signing key (KSK) name that you specified isn't a valid name: it "
                         "must be 3 to 128 letters, numbers and underscores (_).");
    }
    if (!text_equal(status, "ACTIVE") && !text_equal(status, "INACTIVE")) {
        return aws_error(call, err, "InvalidKeySigningKeyStatus",
                         "The key-signing key (KSK) status isn't valid: it must be ACTIVE or "
                         "INACTIVE.");
    }
    if (!arn_is_valid(route53_text(in, "KeyManagementServiceArn"))) {
        return aws_error(call, err, "InvalidKMSArn",
                         "The KeyManagementServiceArn that you specified isn't valid to use with "
                         "DNSSEC signing.");
    }
    return 0;
}

/* Whether the request asks for the key that is there, because its answer was lost. */
static bool is_repeated(const struct model_signing_key *key, const json_t *in)
{
    return text_equal(key->name, route53_text(in, "Name")) &&
           text_equal(key->arn, route53_text(in, "KeyManagementServiceArn")) &&
           text_equal(key->caller_reference, route53_text(in, "CallerReference"));
}

static bool is_taken(const struct model_signing_key *key, const json_t *in)
{
    return text_equal(key->name, route53_text(in, "Name")) ||
           text_equal(key->arn, route53_text(in, "KeyManagementServiceArn")) ||
           text_equal(key->caller_reference, route53_text(in, "CallerReference"));
}

static int create_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct key_change *change = state;
    struct route53_signing *signing = &change->signing;
    int rc = route53_signing_load(call, change->zone_id, signing, err);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < signing->count; i++) {
        if (is_repeated(&signing->keys[i], change->in)) {
            change->made = signing->keys[i];
            return route53_change_put(call, txn, "", &change->info, err);
        }
        if (is_taken(&signing->keys[i], change->in)) {
            return aws_error(
                call, err, "KeySigningKeyAlreadyExists",
                "You've already created a key-signing key (KSK) with this name or with "
                "the same customer managed key ARN.");
        }
    }
    if (signing->count >= MODEL_SIGNING_KEYS_LIMIT) {
        return aws_error(call, err, "TooManyKeySigningKeys",
                         "You've reached the limit for the number of key-signing keys (KSKs). "
                         "Remove at least one KSK, and then try again.");
    }
    struct model_signing_key *key = &change->made;
    rc = route53_signing_make(call, &signing->zone.model, change->name, key, err);
    if (rc != 0) {
        return rc;
    }
    key->arn = route53_text(change->in, "KeyManagementServiceArn");
    key->status = text_equal(route53_text(change->in, "Status"), "ACTIVE") ? MODEL_KEY_ACTIVE
                                                                           : MODEL_KEY_INACTIVE;
    key->caller_reference = route53_text(change->in, "CallerReference");
    rc = route53_signing_touch(call, txn, signing, signing->dnssec.signing, err);
    rc = rc != 0 ? rc : route53_signing_put(call, txn, signing->zone.model.id, key, err);
    return rc != 0 ? rc : route53_change_put(call, txn, "", &change->info, err);
}

int route53_create_key_signing_key(struct aws_call *call, const json_t *in, json_t **ret_out,
                                   struct err *err)
{
    struct key_change change = {
        .zone_id = route53_text(in, "HostedZoneId"), .name = route53_text(in, "Name"), .in = in};
    int rc = judge_input(call, in, err);
    rc = rc != 0 ? rc : commit_change(call, create_step, &change, NULL, err);
    if (rc != 0) {
        return rc;
    }
    const char *id = change.signing.zone.model.id;
    return route53_answer(
        json_pack("{s:O, s:o, s:o}", "ChangeInfo", change.info, "KeySigningKey",
                  show_key(call, id, &change.made), "Location",
                  json_sprintf("/2013-04-01/keysigningkey/%s/%s", id, change.name)),
        ret_out, err);
}

/* ---- one key: activate, deactivate, delete ---- */

static int load_key(struct aws_call *call, struct key_change *change,
                    struct model_signing_key **ret_key, struct err *err)
{
    int rc = route53_signing_load(call, change->zone_id, &change->signing, err);
    if (rc != 0 && call->error_code == NULL) {
        return rc;
    }
    /* Where there is no zone, it is the key that these calls have not found. */
    struct model_signing_key *key = rc == 0 ? find_key(&change->signing, change->name) : NULL;
    if (key == NULL) {
        (void)aws_error(call, err, "NoSuchKeySigningKey",
                        "The specified key-signing key (KSK) doesn't exist.");
        return -EINVAL;
    }
    *ret_key = key;
    return 0;
}

static int judge_parent(struct aws_call *call, const struct route53_signing *signing,
                        const struct model_signing_key *key, struct err *err)
{
    bool found = false;
    int rc = route53_signing_in_parent(call, &signing->zone.model, key, &found, err);
    if (rc != 0 || !found) {
        return rc;
    }
    return aws_error(call, err, "KeySigningKeyInParentDSRecord",
                     "The key-signing key (KSK) is specified in a parent DS record.");
}

/* Writes the key with another status. */
static int set_active(struct aws_call *call, struct store_txn *txn, struct key_change *change,
                      struct model_signing_key *key, bool active, struct err *err)
{
    int rc = 0;
    if (is_active(key) != active) {
        key->status = active ? MODEL_KEY_ACTIVE : MODEL_KEY_INACTIVE;
        key->modified_s = call->now.ns / TIME_S;
        rc =
            route53_signing_touch(call, txn, &change->signing, change->signing.dnssec.signing, err);
        rc = rc != 0 ? rc : route53_signing_put(call, txn, change->signing.zone.model.id, key, err);
    }
    return rc != 0 ? rc : route53_change_put(call, txn, "", &change->info, err);
}

static int judge_opens(struct aws_call *call, const struct route53_signing *signing,
                       const struct model_signing_key *key, struct err *err)
{
    if (route53_signing_opens(call, signing->zone.model.id, key)) {
        return 0;
    }
    return aws_error(call, err, "InvalidKeySigningKeyStatus",
                     "The status of the key-signing key (KSK) %s is ACTION_NEEDED: its private key "
                     "cannot be opened with the seal key of this server.",
                     key->name);
}

static int activate_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct key_change *change = state;
    struct model_signing_key *key = NULL;
    int rc = load_key(call, change, &key, err);
    rc = rc != 0 ? rc : judge_opens(call, &change->signing, key, err);
    return rc != 0 ? rc : set_active(call, txn, change, key, true, err);
}

static int deactivate_step(struct aws_call *call, struct store_txn *txn, void *state,
                           struct err *err)
{
    struct key_change *change = state;
    struct model_signing_key *key = NULL;
    int rc = load_key(call, change, &key, err);
    if (rc != 0) {
        return rc;
    }
    if (is_active(key) && change->signing.dnssec.signing && count_active(&change->signing) == 1) {
        return aws_error(
            call, err, "KeySigningKeyInUse",
            "The key-signing key (KSK) that you specified can't be deactivated because "
            "it's the only KSK for a currently-enabled DNSSEC. Disable DNSSEC signing, "
            "or add or enable another KSK.");
    }
    rc = is_active(key) && change->signing.dnssec.signing
             ? judge_parent(call, &change->signing, key, err)
             : 0;
    return rc != 0 ? rc : set_active(call, txn, change, key, false, err);
}

static int delete_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct key_change *change = state;
    struct model_signing_key *key = NULL;
    int rc = load_key(call, change, &key, err);
    if (rc != 0) {
        return rc;
    }
    if (is_active(key)) {
        return aws_error(call, err, "InvalidKeySigningKeyStatus",
                         "The key-signing key (KSK) status isn't valid: deactivate the KSK before "
                         "you delete it.");
    }
    const char *zone_id = change->signing.zone.model.id;
    rc = route53_signing_touch(call, txn, &change->signing, change->signing.dnssec.signing, err);
    store_txn_delete(txn, path_signing_key(call->arena, zone_id, key->name));
    return rc != 0 ? rc : route53_change_put(call, txn, "", &change->info, err);
}

static int change_key(struct aws_call *call, const json_t *in, transact_step step, json_t **ret_out,
                      struct err *err)
{
    struct key_change change = {
        .zone_id = route53_text(in, "HostedZoneId"), .name = route53_text(in, "Name"), .in = in};
    return commit_change(call, step, &change, ret_out, err);
}

int route53_activate_key_signing_key(struct aws_call *call, const json_t *in, json_t **ret_out,
                                     struct err *err)
{
    return change_key(call, in, activate_step, ret_out, err);
}

int route53_deactivate_key_signing_key(struct aws_call *call, const json_t *in, json_t **ret_out,
                                       struct err *err)
{
    return change_key(call, in, deactivate_step, ret_out, err);
}

int route53_delete_key_signing_key(struct aws_call *call, const json_t *in, json_t **ret_out,
                                   struct err *err)
{
    return change_key(call, in, delete_step, ret_out, err);
}

/* ---- the zone: enable, disable ---- */

static int enable_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct key_change *change = state;
    struct route53_signing *signing = &change->signing;
    struct model_signing_key key;
    int rc = route53_signing_load(call, change->zone_id, signing, err);
    if (rc != 0) {
        return rc;
    }
    if (count_active(signing) == 0) {
        return aws_error(call, err, "KeySigningKeyWithActiveStatusNotFound",
                         "A key-signing key (KSK) with ACTIVE status wasn't found.");
    }
    for (size_t i = 0; rc == 0 && i < signing->count; i++) {
        rc = is_active(&signing->keys[i]) ? judge_opens(call, signing, &signing->keys[i], err) : 0;
    }
    if (rc == 0 && !signing->dnssec.signing) {
        rc = route53_signing_make(call, &signing->zone.model, "", &key, err);
        rc = rc != 0 ? rc : route53_signing_touch(call, txn, signing, true, err);
        rc = rc != 0 ? rc : route53_signing_put(call, txn, signing->zone.model.id, &key, err);
    }
    return rc != 0 ? rc : route53_change_put(call, txn, "", &change->info, err);
}

static int disable_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct key_change *change = state;
    struct route53_signing *signing = &change->signing;
    int rc = route53_signing_load(call, change->zone_id, signing, err);
    if (rc != 0) {
        return rc;
    }
    if (!signing->dnssec.signing && signing->count == 0) {
        return aws_error(call, err, "DNSSECNotFound",
                         "The hosted zone doesn't have any DNSSEC resources.");
    }
    if (signing->dnssec.signing) {
        for (size_t i = 0; rc == 0 && i < signing->count; i++) {
            rc = judge_parent(call, signing, &signing->keys[i], err);
        }
        rc = rc != 0 ? rc : route53_signing_touch(call, txn, signing, false, err);
        store_txn_delete_prefix(txn, path_zone_keys(call->arena, signing->zone.model.id));
    }
    return rc != 0 ? rc : route53_change_put(call, txn, "", &change->info, err);
}

int route53_enable_hosted_zone_dnssec(struct aws_call *call, const json_t *in, json_t **ret_out,
                                      struct err *err)
{
    return change_key(call, in, enable_step, ret_out, err);
}

int route53_disable_hosted_zone_dnssec(struct aws_call *call, const json_t *in, json_t **ret_out,
                                       struct err *err)
{
    return change_key(call, in, disable_step, ret_out, err);
}
