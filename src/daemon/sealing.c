/* Sealed secrets at start: see sealing.h. A record with a secret is a JSON object with a member
 * that is sealed for the record's key in the store, so this file needs to know no kind of record
 * but the access keys of version 0.1, whose "Secret" is plain.
 * Every step may be cut off and is done again at the next start. Invariant: a plain secret goes in
 * the same transaction that notes that the files are to be rewritten. */
#include "daemon/sealing.h"

#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"
#include "model/database.h"
#include "model/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#define PAGE 256U
#define PLAIN "Secret"
#define SEALED "Sealed"

struct kind {
    const char *prefix;
    const char *member; /* that is sealed */
};

static const struct kind kinds[] = {
    {PATH_ACCESS_KEYS, SEALED}, {PATH_SIGNING_KEYS, SEALED}, {PATH_ZONE_KEYS, SEALED},
    {PATH_TSIG, "Secret"},      {PATH_SITE_CA, SEALED},      {PATH_DATABASE_GROUPS, "Replication"},
};

struct sealing {
    struct store *store;
    struct store *truth;
    const char *file;
    const struct seal *seal; /* NULL: only looks whether anything is sealed */
    size_t opened;
    size_t damaged;
    size_t renewed;
    size_t sealed;             /* that were plain */
    char damaged_message[256]; /* of the first one */
};

static void release(json_t **tree)
{
    json_decref(*tree);
}

static const char *member(const json_t *tree, const char *name)
{
    const char *text = json_string_value(json_object_get(tree, name));
    return text != NULL ? text : "";
}

/* The tree's own copy of a plain secret. */
static void wipe_plain(const json_t *tree)
{
    union {
        const char *read;
        char *written;
    } text = {.read = member(tree, PLAIN)};
    if (text.read[0] != '\0') {
        secret_wipe_memory(text.written, strlen(text.read));
    }
}

/* Puts the record with its secret sealed by the first key. Somebody who was faster did the same. */
static int put_sealed(struct sealing *sealing, const struct store_entry *entry, const char *name,
                      json_t *tree, const void *secret, size_t size, struct arena *arena,
                      struct err *err)
{
    char *sealed = NULL;
    bool plain = text_equal(name, SEALED) && json_object_get(tree, PLAIN) != NULL;
    int rc = seal_wrap(sealing->seal, entry->key, secret, size, arena, &sealed, err);
    if (rc != 0) {
        return rc;
    }
    wipe_plain(tree);
    (void)json_object_del(tree, PLAIN); /* absent is what is wanted */
    char *value = json_object_set_new(tree, name, json_string(sealed)) == 0
                      ? json_dumps(tree, JSON_COMPACT)
                      : NULL;
    if (value == NULL) {
        return err_set(err, ERR_MEMORY, "sealing %s", entry->key);
    }
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t revision = 0;
    store_txn_require_revision(txn, entry->key, entry->changed_revision);
    store_txn_put(txn, entry->key, value, strlen(value));
    free(value);
    if (plain) {
        store_txn_put(txn, PATH_SEAL_REWRITE, "{\"v\":1}", strlen("{\"v\":1}"));
    }
    rc = store_commit(sealing->truth, txn, &revision, err);
    bool away = rc != 0 && sealing->truth != sealing->store &&
                (err->kind == ERR_UNAVAILABLE || err->kind == ERR_TIMEOUT);
    if (away) {
        log_warn("seal.not_renewed", F("key", entry->key), F("reason", err),
                 F("next", "tried again at the next start"));
    }
    if (away || (rc != 0 && err->kind == ERR_CONFLICT)) {
        err_clear(err);
        rc = 0;
    }
    return rc;
}

static void note_damaged(struct sealing *sealing, const char *key, const struct err *err)
{
    if (sealing->damaged++ == 0) {
        IGNORE_RESULT(text_copy(sealing->damaged_message, sizeof sealing->damaged_message,
                                err->message)); /* the same size */
    }
    log_error("seal.damaged", F("key", key), F("reason", err),
              F("next", "what needs this secret does not work; the others do"));
}

static int open_record(struct sealing *sealing, const struct store_entry *entry, const char *name,
                       json_t *tree, struct arena *arena, struct err *err)
{
    struct seal_data secret;
    const char *text = member(tree, name);
    int rc = seal_unwrap(sealing->seal, entry->key, text, arena, &secret, err);
    if (rc == 0) {
        sealing->opened++;
        if (seal_is_current(sealing->seal, text)) {
            return 0;
        }
        sealing->renewed++;
        return put_sealed(sealing, entry, name, tree, secret.data, secret.size, arena, err);
    }
    if (err->kind == ERR_DENIED) {
        return err_set(err, ERR_DENIED,
                       "secrets in the store are sealed with the key %.*s, which %s does not hold: "
                       "put the seal key file that holds it back, or add its line to this one",
                       (int)strcspn(text + strlen("v1:"), ":"), text + strlen("v1:"),
                       seal_from_environment() ? SEAL_ENVIRONMENT : sealing->file);
    }
    note_damaged(sealing, entry->key, err);
    err_clear(err);
    return 0;
}

static int visit(struct sealing *sealing, const struct store_entry *entry, const char *name,
                 struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    json_t *tree CLEANUP(release) = json_loadb(entry->value, entry->size, 0, NULL);
    bool sealed = member(tree, name)[0] != '\0';
    if (sealing->seal == NULL) { /* only looks */
        sealing->opened += sealed ? 1 : 0;
        wipe_plain(tree);
        return 0;
    }
    if (sealed) {
        return open_record(sealing, entry, name, tree, &arena, err);
    }
    const char *plain = member(tree, PLAIN);
    if (plain[0] == '\0' || !text_equal(name, SEALED)) {
        return 0; /* a damaged record, or a kind that is newer: its reader says so */
    }
    sealing->sealed++;
    return put_sealed(sealing, entry, name, tree, plain, strlen(plain), &arena, err);
}

static int visit_all(struct sealing *sealing, struct err *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct arena arena CLEANUP(arena_done);
        arena_init(&arena, 0);
        const char *after = NULL;
        for (bool more = true; more;) {
            struct store_list list;
            int rc = store_range(sealing->store, kinds[i].prefix, after, PAGE, &arena, &list, err);
            for (size_t at = 0; rc == 0 && at < list.count; at++) {
                rc = visit(sealing, &list.entries[at], kinds[i].member, err);
            }
            if (rc != 0) {
                return rc;
            }
            more = list.more && list.count != 0;
            after = more ? list.entries[list.count - 1].key : NULL;
        }
    }
    return 0;
}

/* A key file that is made now cannot open what is sealed already. */
static int judge_missing(struct sealing *sealing, struct err *err)
{
    if (seal_from_environment() || access(sealing->file, F_OK) == 0 || errno != ENOENT) {
        return 0;
    }
    struct sealing look = {.store = sealing->store};
    int rc = visit_all(&look, err);
    if (rc != 0 || look.opened == 0) {
        return rc;
    }
    return err_set(err, ERR_DENIED,
                   "%s is missing, and the store holds %zu secrets that are sealed with its key: "
                   "put the file back from your backup, or set " SEAL_ENVIRONMENT,
                   sealing->file, look.opened);
}

static int judge_result(const struct sealing *sealing, struct err *err)
{
    if (sealing->damaged != 0 && sealing->opened == 0) {
        return err_set(err, ERR_DENIED,
                       "none of the secrets in the store opens with the keys of %s, so they are "
                       "not the right ones: put the right seal key file back",
                       seal_from_environment() ? SEAL_ENVIRONMENT : sealing->file);
    }
    if (sealing->sealed + sealing->renewed != 0) {
        log_info("seal.renewed", F("key", seal_id(sealing->seal)), F("were_plain", sealing->sealed),
                 F("had_another_key", sealing->renewed));
    }
    return 0;
}

int sealing_open(struct store *store, struct store *truth, const char *file, struct seal **ret_seal,
                 bool *ret_rewrite, struct err *err)
{
    struct sealing sealing = {.store = store, .truth = truth, .file = file};
    struct seal *seal CLEANUP(seal_cleanup) = NULL;
    size_t marks = 0;
    int rc = judge_missing(&sealing, err);
    rc = rc != 0 ? rc : seal_open(file, &seal, err);
    sealing.seal = seal;
    rc = rc != 0 ? rc : visit_all(&sealing, err);
    rc = rc != 0 ? rc : judge_result(&sealing, err);
    rc = rc != 0 ? rc : store_count(store, PATH_SEAL_REWRITE, &marks, err);
    if (rc == 0) {
        *ret_rewrite = marks != 0;
        *ret_seal = seal;
        seal = NULL;
    }
    return rc;
}

int sealing_forget(struct store *store, struct err *err)
{
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t revision = 0;
    store_txn_delete(txn, PATH_SEAL_REWRITE);
    return store_commit(store, txn, &revision, err);
}
