/* The cluster's records: making it, tokens, answering who joins, removing; and the files of a
 * member. See site.h. API threads, the join thread of peer/, main at the start. Invariants: a token
 * goes in the transaction that adds its member, so it works once; files are written before the
 * member is committed and take their place after it, so a cut leaves a member with its files. */
#include "base/random.h"
#include "base/secret.h"
#include "base/text.h"
#include "model/path.h"
#include "site/certificate.h"
#include "site/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEX "0123456789abcdef"
#define MEMBERS_FILE "members.json"
#define ADDRESS_LIMIT 300U /* a domain name with its port */
#define COMMIT_ATTEMPTS (2 * MODEL_SITES_LIMIT)

/* ---- the CA ---- */

struct authority {
    const char *certificate;
    const char *key;
    int64_t revision;
};

static int read_authority(struct store *store, const struct seal *seal, struct arena *arena,
                          struct authority *ret_authority, struct err *err)
{
    struct store_entry entry;
    struct seal_data key;
    int rc = store_get(store, PATH_SITE_CA, arena, &entry, err);
    if (rc != 0) {
        return rc == -ENOENT ? err_set(err, ERR_NOT_FOUND,
                                       "there is no cluster here: `leeward site init` makes one")
                             : rc;
    }
    json_t *tree CLEANUP(site_release) = json_loadb(entry.value, entry.size, 0, NULL);
    rc = seal_unwrap(seal, PATH_SITE_CA, site_text(tree, "Sealed"), arena, &key, err);
    if (rc != 0) {
        return err_wrap(err, "the key of the cluster's CA");
    }
    *ret_authority = (struct authority){
        .certificate = arena_strdup(arena, site_text(tree, "Certificate")),
        .key = (const char *)key.data,
        .revision = entry.changed_revision,
    };
    return 0;
}

static int encode_authority(const struct seal *seal, const struct authority *authority,
                            struct arena *arena, const char **ret_value, struct err *err)
{
    char *sealed = NULL;
    int rc =
        seal_wrap(seal, PATH_SITE_CA, authority->key, strlen(authority->key), arena, &sealed, err);
    if (rc != 0) {
        return rc;
    }
    json_t *tree CLEANUP(site_release) = json_pack("{s:i, s:s, s:s}", "v", 1, "Certificate",
                                                   authority->certificate, "Sealed", sealed);
    *ret_value = tree != NULL ? site_dump(tree, arena) : NULL;
    return *ret_value != NULL ? 0 : err_set(err, ERR_MEMORY, "writing the cluster's CA");
}

/* ---- making a cluster ---- */

struct own_files {
    struct authority authority;
    const char *certificate;
    const char *key;
};

static int make_files(const char *name, struct arena *arena, struct own_files *files,
                      struct err *err)
{
    const char *request = NULL;
    int rc = certificate_make_key(arena, &files->authority.key, err);
    rc = rc != 0
             ? rc
             : certificate_make_ca(files->authority.key, arena, &files->authority.certificate, err);
    rc = rc != 0 ? rc : certificate_make_key(arena, &files->key, err);
    rc = rc != 0 ? rc : certificate_make_request(files->key, arena, &request, err);
    return rc != 0 ? rc
                   : certificate_sign(files->authority.certificate, files->authority.key, request,
                                      name, arena, &files->certificate, err);
}

static int commit_first(struct store *store, const char *ca, const struct site_self *self,
                        const char *member, struct arena *arena, struct err *err)
{
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    const char *key = path_join(arena, PATH_SITE_MEMBERS, self->name);
    int64_t revision = 0;
    store_txn_require_absent(txn, PATH_SITE_CA);
    store_txn_put(txn, PATH_SITE_CA, ca, strlen(ca));
    store_txn_put(txn, key, member, strlen(member));
    return store_commit(store, txn, &revision, err);
}

int site_init(struct store *store, const struct seal *seal, const char *folder,
              const struct site_self *self, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    size_t there = 0;
    int rc = store_count(store, PATH_SITE_CA, &there, err);
    if (rc == 0 && (there != 0 || site_folder_exists(folder, "site"))) {
        return err_set(err, ERR_EXISTS,
                       "this daemon belongs to a cluster already (`leeward sites` shows it)");
    }
    struct own_files files = {.key = ""};
    const char *ca = "";
    char fingerprint[SITE_FINGERPRINT];
    rc = rc != 0 ? rc : make_files(self->name, &arena, &files, err);
    rc = rc != 0 ? rc : encode_authority(seal, &files.authority, &arena, &ca, err);
    rc = rc != 0 ? rc : certificate_fingerprint(files.certificate, fingerprint, err);
    if (rc != 0) {
        return rc;
    }
    const struct site_file list[] = {{"ca.crt", files.authority.certificate},
                                     {"site.crt", files.certificate},
                                     {"site.key", files.key},
                                     {NULL, NULL}};
    const char *member = site_member_encode(self, fingerprint, wall_now(), &arena);
    if (member == NULL || ca == NULL) {
        return err_set(err, ERR_MEMORY, "making a cluster");
    }
    rc = site_folder_write(folder, list, err);
    rc = rc != 0 ? rc : commit_first(store, ca, self, member, &arena, err);
    return rc != 0 ? rc : site_folder_commit(folder, err);
}

/* ---- the files ---- */

/* A start that was cut off between committing the member and renaming the folder. */
static int finish(const char *folder, struct store *store, const char *name, struct arena *arena,
                  struct err *err)
{
    const char *certificate = NULL;
    char fingerprint[SITE_FINGERPRINT];
    struct store_entry entry;
    struct site_member member;
    int rc = site_folder_read(folder, "site.new/site.crt", arena, &certificate, err);
    rc = rc != 0 ? rc : certificate_fingerprint(certificate, fingerprint, err);
    rc = rc != 0 ? rc
                 : store_get(store, path_join(arena, PATH_SITE_MEMBERS, name), arena, &entry, err);
    rc = rc != 0 ? rc : site_member_decode(entry.value, entry.size, arena, &member, err);
    if (rc != 0 || !text_equal(member.fingerprint, fingerprint)) {
        return err_set(err, ERR_NOT_FOUND, "no cluster");
    }
    return site_folder_commit(folder, err);
}

int site_identity_load(const char *folder, struct store *store, const char *name,
                       struct arena *arena, struct site_identity *ret_identity, struct err *err)
{
    struct site_identity identity = {.key = NULL};
    if (!site_folder_exists(folder, "site")) {
        int rc = finish(folder, store, name, arena, err);
        if (rc != 0) {
            return err_set(err, ERR_NOT_FOUND, "this daemon belongs to no cluster");
        }
    }
    arena_keep_secret(arena);
    int rc = site_folder_read(folder, "site/site.crt", arena, &identity.certificate, err);
    rc = rc != 0 ? rc : site_folder_read(folder, "site/site.key", arena, &identity.key, err);
    rc = rc != 0 ? rc : site_folder_read(folder, "site/ca.crt", arena, &identity.ca, err);
    if (rc != 0) {
        return err->kind == ERR_NOT_FOUND ? err_set(err, ERR_CORRUPT,
                                                    "a file of %s/site is missing: put it back, or "
                                                    "remove the folder and join again",
                                                    folder)
                                          : rc;
    }
    *ret_identity = identity;
    return 0;
}

static int import_member(struct store *store, const json_t *tree, struct arena *arena,
                         struct err *err)
{
    struct site_member member = {.name = ""};
    const char *value = site_dump(tree, arena);
    if (value == NULL) {
        return err_set(err, ERR_MEMORY, "importing sites");
    }
    int rc = site_member_decode(value, strlen(value), arena, &member, err);
    if (rc != 0) {
        return rc;
    }
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    const char *key = path_join(arena, PATH_SITE_MEMBERS, member.name);
    int64_t revision = 0;
    store_txn_require_absent(txn, key);
    store_txn_put(txn, key, value, strlen(value));
    rc = store_commit(store, txn, &revision, err);
    if (rc != 0 && err->kind == ERR_CONFLICT) { /* it is there, and what is there is newer */
        err_clear(err);
        rc = 0;
    }
    return rc;
}

int site_import_members(const char *folder, struct store *store, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    const char *text = NULL;
    size_t known = 0;
    if (!site_folder_exists(folder, "site/" MEMBERS_FILE)) {
        return 0;
    }
    int rc = store_count(store, PATH_SITE_CA, &known, err);
    rc = rc != 0 ? rc : site_folder_read(folder, "site/" MEMBERS_FILE, &arena, &text, err);
    if (rc != 0) {
        return rc;
    }
    /* A store that all sites share has its members: one that is not there was removed. */
    json_t *list CLEANUP(site_release) = json_loads(known == 0 ? text : "[]", 0, NULL);
    for (size_t i = 0; i < json_array_size(list) && rc == 0; i++) {
        rc = import_member(store, json_array_get(list, i), &arena, err);
    }
    if (rc == 0) { /* once: later the store knows better */
        site_folder_remove(folder, "site/" MEMBERS_FILE);
    }
    return rc;
}

/* ---- tokens ---- */

static bool is_expired(const json_t *tree, struct wall now)
{
    struct wall expires = {0};
    return wall_parse(site_text(tree, "Expires"), &expires) != 0 || expires.ns <= now.ns;
}

/* Those that nobody used in time. */
static int sweep_tokens(struct store *store, struct wall now, struct store_txn *txn,
                        struct arena *arena, struct err *err)
{
    struct store_list list;
    int rc = store_range(store, PATH_SITE_TOKENS, NULL, 0, arena, &list, err);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        json_t *tree CLEANUP(site_release) =
            json_loadb(list.entries[i].value, list.entries[i].size, 0, NULL);
        if (is_expired(tree, now)) {
            store_txn_delete(txn, list.entries[i].key);
        }
    }
    return rc;
}

int site_make_token(struct store *store, const char *address, int64_t seconds, struct wall now,
                    char ret_token[SITE_TOKEN_LIMIT], struct wall *ret_expires, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    struct store_entry entry;
    struct site_token token = {.id = ""};
    char hash[SITE_FINGERPRINT];
    char when[TIME_TEXT];
    struct wall expires = {now.ns + seconds * TIME_S};
    int rc = store_get(store, PATH_SITE_CA, &arena, &entry, err);
    if (rc != 0) {
        return rc == -ENOENT ? err_set(err, ERR_NOT_FOUND,
                                       "there is no cluster here: `leeward site init` makes one")
                             : rc;
    }
    json_t *ca CLEANUP(site_release) = json_loadb(entry.value, entry.size, 0, NULL);
    rc = certificate_fingerprint(site_text(ca, "Certificate"), token.fingerprint, err);
    if (rc == 0 &&
        (address[0] == '\0' || text_copy(token.address, sizeof token.address, address) != 0)) {
        rc = err_set(err, ERR_INVALID, "this daemon has no address for other sites (--peer)");
    }
    if (rc != 0) {
        return rc;
    }
    random_text(token.id, TOKEN_ID, HEX);
    random_text(token.secret, TOKEN_SECRET, HEX);
    site_token_hash(token.secret, hash);
    wall_format(expires, when);
    const char *value =
        arena_printf(&arena, "{\"v\":1,\"Hash\":\"%s\",\"Expires\":\"%s\"}", hash, when);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t revision = 0;
    store_txn_put(txn, path_join(&arena, PATH_SITE_TOKENS, token.id), value, strlen(value));
    rc = sweep_tokens(store, now, txn, &arena, err);
    rc = rc != 0 ? rc : store_commit(store, txn, &revision, err);
    if (rc == 0) {
        site_token_write(&token, ret_token);
        *ret_expires = expires;
    }
    secret_wipe_memory(&token, sizeof token);
    return rc;
}

/* ---- answering who joins ---- */

struct joiner {
    struct store *store;
    const struct seal *seal;
    struct wall now;
    struct arena *arena;
    const char *id;
    const char *secret;
    const char *name;
    const char *peer;
    const char *request;
    int64_t token_revision;
    int64_t guard_revision; /* as the members were counted; 0: it is not there */
    struct authority authority;
    const char *certificate;
    const char *member;
};

static int judge_token(struct joiner *joiner, struct err *err)
{
    struct store_entry entry;
    char hash[SITE_FINGERPRINT];
    if (strspn(joiner->id, HEX) != TOKEN_ID || strlen(joiner->id) != TOKEN_ID) {
        return err_set(err, ERR_DENIED, "this is no token");
    }
    const char *key = path_join(joiner->arena, PATH_SITE_TOKENS, joiner->id);
    int rc = store_get(joiner->store, key, joiner->arena, &entry, err);
    if (rc == -ENOENT) {
        return err_set(err, ERR_DENIED, "the token was used already, or nobody made it");
    }
    if (rc != 0) {
        return rc;
    }
    json_t *tree CLEANUP(site_release) = json_loadb(entry.value, entry.size, 0, NULL);
    const char *wanted = site_text(tree, "Hash");
    site_token_hash(joiner->secret, hash);
    if (strlen(wanted) != sizeof hash - 1 || !secret_same_bytes(wanted, hash, sizeof hash - 1)) {
        return err_set(err, ERR_DENIED, "the token's secret is wrong");
    }
    if (is_expired(tree, joiner->now)) {
        return err_set(err, ERR_DENIED, "the token has expired: make another one");
    }
    joiner->token_revision = entry.changed_revision;
    return 0;
}

static int judge_name(struct joiner *joiner, struct err *err)
{
    if (!site_name_is_valid(joiner->name)) {
        return err_set(err, ERR_INVALID, /* what it sent is not repeated: cut, it is no text */
                       "that is no name of a site (a-z, 0-9 and '-', at most 63)");
    }
    if (joiner->peer[0] == '\0' || strlen(joiner->peer) > ADDRESS_LIMIT) {
        return err_set(err, ERR_INVALID, "that is no address where other sites reach it (--peer)");
    }
    return 0;
}

/* Whether there is room, as long as nobody writes the guard. */
static int judge_count(struct joiner *joiner, struct err *err)
{
    struct store_entry guard = {.changed_revision = 0};
    size_t count = 0;
    int rc = store_get(joiner->store, PATH_SITE_GUARD, joiner->arena, &guard, err);
    if (rc == -ENOENT) {
        err_clear(err);
        rc = 0;
    }
    joiner->guard_revision = guard.changed_revision;
    rc = rc != 0 ? rc : store_count(joiner->store, PATH_SITE_MEMBERS, &count, err);
    if (rc == 0 && count >= MODEL_SITES_LIMIT) {
        rc = err_set(err, ERR_LIMIT, "a cluster has at most %u sites", MODEL_SITES_LIMIT);
    }
    return rc;
}

static int issue(struct joiner *joiner, struct err *err)
{
    char fingerprint[SITE_FINGERPRINT];
    int rc = read_authority(joiner->store, joiner->seal, joiner->arena, &joiner->authority, err);
    rc = rc != 0 ? rc
                 : certificate_sign(joiner->authority.certificate, joiner->authority.key,
                                    joiner->request, joiner->name, joiner->arena,
                                    &joiner->certificate, err);
    rc = rc != 0 ? rc : certificate_fingerprint(joiner->certificate, fingerprint, err);
    if (rc != 0) {
        return rc;
    }
    const struct site_self self = {.name = joiner->name, .api = "", .peer = joiner->peer};
    joiner->member = site_member_encode(&self, fingerprint, joiner->now, joiner->arena);
    return joiner->member != NULL ? 0 : err_set(err, ERR_MEMORY, "adding a site");
}

/* What the commit conflicted with. */
static int explain_conflict(const struct joiner *joiner, const char *token, const char *member,
                            struct err *err)
{
    struct store_entry entry;
    int rc = store_get(joiner->store, token, joiner->arena, &entry, err);
    if (rc != 0) {
        return rc == -ENOENT ? err_set(err, ERR_DENIED, "the token was used already") : rc;
    }
    rc = store_get(joiner->store, member, joiner->arena, &entry, err);
    if (rc == 0) {
        return err_set(err, ERR_EXISTS,
                       "there is a site %s already (`leeward site remove` takes it away)",
                       joiner->name);
    }
    return rc == -ENOENT
               ? err_set(err, ERR_CONFLICT, "others join at the same time: make another try")
               : rc;
}

static int commit_once(struct joiner *joiner, struct err *err)
{
    static const char guard[] = "{\"v\":1}";
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    const char *token = path_join(joiner->arena, PATH_SITE_TOKENS, joiner->id);
    const char *member = path_join(joiner->arena, PATH_SITE_MEMBERS, joiner->name);
    int64_t revision = 0;
    store_txn_require_revision(txn, token, joiner->token_revision);
    store_txn_require_absent(txn, member);
    store_txn_require_revision(txn, PATH_SITE_GUARD, joiner->guard_revision);
    store_txn_put(txn, PATH_SITE_GUARD, guard, sizeof guard - 1);
    store_txn_delete(txn, token);
    store_txn_put(txn, member, joiner->member, strlen(joiner->member));
    int rc = store_commit(joiner->store, txn, &revision, err);
    if (rc != 0 && err->kind == ERR_CONFLICT) {
        err_clear(err);
        rc = explain_conflict(joiner, token, member, err);
    }
    return rc;
}

/* Counted and added in one: two who take the last place at once do not both get it. */
static int commit_member(struct joiner *joiner, struct err *err)
{
    int rc = 0;
    for (unsigned i = 0; i < COMMIT_ATTEMPTS; i++) {
        err_clear(err);
        rc = judge_count(joiner, err);
        rc = rc != 0 ? rc : commit_once(joiner, err);
        if (rc == 0 || err->kind != ERR_CONFLICT) {
            return rc;
        }
    }
    return rc;
}

static int list_members(const struct joiner *joiner, json_t *list, struct err *err)
{
    struct store_list entries;
    int rc = store_range(joiner->store, PATH_SITE_MEMBERS, NULL, 0, joiner->arena, &entries, err);
    for (size_t i = 0; rc == 0 && i < entries.count; i++) {
        json_t *member = json_loadb(entries.entries[i].value, entries.entries[i].size, 0, NULL);
        if (member != NULL && json_array_append_new(list, member) != 0) {
            rc = err_set(err, ERR_MEMORY, "listing the sites");
        }
    }
    return rc;
}

static int welcome(const struct joiner *joiner, struct buf *answer, struct err *err)
{
    json_t *members = json_array();
    struct buf keys CLEANUP(buf_done);
    buf_init(&keys, 0);
    buf_keep_secret(&keys);
    seal_export(joiner->seal, &keys);
    int rc = list_members(joiner, members, err);
    json_t *tree CLEANUP(site_release) =
        json_pack("{s:i, s:s, s:s, s:s, s:o}", "v", 1, "Certificate", joiner->certificate, "Ca",
                  joiner->authority.certificate, "SealKeys", buf_text(&keys), "Members", members);
    char *text = tree != NULL ? json_dumps(tree, JSON_COMPACT) : NULL;
    if (rc == 0 && text != NULL) {
        buf_puts(answer, text);
    }
    rc = rc == 0 && text == NULL ? err_set(err, ERR_MEMORY, "welcoming a site") : rc;
    if (text != NULL) {
        secret_wipe_memory(text, strlen(text));
    }
    free(text);
    return rc;
}

bool site_answer_join(struct store *store, const struct seal *seal, const char *request,
                      struct wall now, struct buf *answer)
{
    struct arena arena CLEANUP(arena_done);
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    arena_keep_secret(&arena);
    json_t *tree CLEANUP(site_release) = json_loads(request, 0, NULL);
    struct joiner joiner = {.store = store,
                            .seal = seal,
                            .now = now,
                            .arena = &arena,
                            .id = site_text(tree, "Id"),
                            .secret = site_text(tree, "Secret"),
                            .name = site_text(tree, "Name"),
                            .peer = site_text(tree, "Peer"),
                            .request = site_text(tree, "Request")};
    int rc = judge_token(&joiner, &err);
    rc = rc != 0 ? rc : judge_name(&joiner, &err);
    rc = rc != 0 ? rc : judge_count(&joiner, &err); /* before anything is signed */
    rc = rc != 0 ? rc : issue(&joiner, &err);
    rc = rc != 0 ? rc : commit_member(&joiner, &err);
    rc = rc != 0 ? rc : welcome(&joiner, answer, &err);
    if (rc != 0) {
        json_t *refusal CLEANUP(site_release) =
            json_pack("{s:i, s:s}", "v", 1, "Error", err.message);
        const char *text = refusal != NULL ? site_dump(refusal, &arena) : NULL;
        buf_reset(answer);
        buf_puts(answer, text != NULL ? text : "{\"v\":1,\"Error\":\"out of memory\"}");
    }
    return rc == 0;
}

int site_remove(struct store *store, const char *name, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    const char *key = path_join(&arena, PATH_SITE_MEMBERS, name);
    int64_t revision = 0;
    store_txn_require_present(txn, key);
    store_txn_delete(txn, key);
    store_txn_delete(txn, path_join(&arena, PATH_SITE_LIVE, name));
    int rc = store_commit(store, txn, &revision, err);
    if (rc != 0 && err->kind == ERR_CONFLICT) {
        rc = err_set(err, ERR_NOT_FOUND, "there is no site %.63s (`leeward sites` shows them)",
                     name);
    }
    return rc;
}
