/* Whether the truth still has the past that the copy has: see replica.c. On the follower's thread.
 * Its history must be the one that the copy was made of (store_history); its revision must not be
 * behind the copy's; and whenever it was away, the keys that changed last are compared first
 * (rehearse), because one that was restored may have gone beyond the copy's revision meanwhile. */
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "store/replica_internal.h"

#include <stdio.h>
#include <string.h>

static uint64_t value_hash(const struct store_entry *entry)
{
    return hash_bytes(hash_process_key(), entry->value, entry->size);
}

static int read_proof(struct replica *replica, const char *key, struct proof *ret_proof,
                      struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    struct store_list list;
    arena_init(&arena, 0);
    int rc = store_range(replica->truth, key, NULL, 1, &arena, &list, err);
    if (rc != 0) {
        return rc;
    }
    *ret_proof = (struct proof){.at = list.revision};
    IGNORE_RESULT(text_copy(ret_proof->key, sizeof ret_proof->key, key)); /* as long as a key is */
    if (list.count != 0 && text_equal(list.entries[0].key, key)) {
        ret_proof->found = true;
        ret_proof->created = list.entries[0].created_revision;
        ret_proof->changed = list.entries[0].changed_revision;
        ret_proof->version = list.entries[0].version;
        ret_proof->hash = value_hash(&list.entries[0]);
    }
    return 0;
}

/* *ret_target: the revision that the copy must have come to before it can be compared. */
static int read_proofs(struct replica *replica, int64_t *ret_target, struct err *err)
{
    const char *keys[COPY_RECENT];
    size_t count = copy_recent(replica->copy, keys);
    replica->proof_count = 0;
    *ret_target = copy_state(replica->copy).revision;
    for (size_t i = 0; i < count; i++) {
        int rc = read_proof(replica, keys[i], &replica->proofs[i], err);
        if (rc != 0) {
            return rc;
        }
        *ret_target = MAX(*ret_target, replica->proofs[i].at);
    }
    replica->proof_count = count;
    return 0;
}

/* The copy is at this revision, at the proof's or beyond it. *ret_same: nothing says that the pasts
 * differ. */
static int compare_proof(struct replica *replica, const struct proof *proof, int64_t revision,
                         bool *ret_same, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    struct store_entry entry;
    bool found = false;
    arena_init(&arena, 0);
    int rc = replica_here(replica,
                          copy_sync_get(replica->copy, proof->key, &arena, &found, &entry, err));
    if (rc != 0) {
        return rc;
    }
    if (found) {
        bool newer = entry.changed_revision > proof->at;
        *ret_same = newer || (proof->found && proof->changed == entry.changed_revision &&
                              proof->created == entry.created_revision &&
                              proof->version == entry.version && proof->hash == value_hash(&entry));
        return 0;
    }
    *ret_same = true;
    if (!proof->found) {
        return 0;
    }
    /* Deleted after the proof, or never known: then it is still there. */
    struct proof again;
    rc = read_proof(replica, proof->key, &again, err);
    *ret_same = rc != 0 || !again.found || again.changed > revision;
    return rc;
}

static void note_other_past(struct replica *replica, const char *how)
{
    replica->compare_all = true;
    REPLICA_COUNT(replica, restorations, 1);
    log_error("replica.truth_has_another_past", F("reason", how),
              F("revision", copy_state(replica->copy).revision),
              F("next", "everything is read again and compared; answers stay until then"));
}

/* The copy with all that it missed, which nobody sees, against the proofs. */
static int compare_proofs(struct replica *replica, int64_t target, struct err *err)
{
    int64_t before = copy_state(replica->copy).revision;
    int64_t reached = before;
    int rc = replica_catch_up(replica, target, &reached, err);
    for (size_t i = 0; rc == 0 && i < replica->proof_count && !replica->compare_all; i++) {
        const struct proof *proof = &replica->proofs[i];
        bool same = false;
        if (proof->at >= before) { /* else its revision went back */
            rc = compare_proof(replica, proof, reached, &same, err);
        }
        if (rc == 0 && !same) {
            char how[STORE_KEY_LIMIT + 64];
            (void)snprintf(how, sizeof how, "it has another version of %s", proof->key); /* fits */
            note_other_past(replica, how);
        }
    }
    return rc;
}

/* The truth was away: before anything it says is shown, what the copy missed is applied to it in a
 * transaction that is taken back, and the result compared with the truth where the copy's last
 * changes were. */
static int rehearse(struct replica *replica, struct err *err)
{
    int64_t target = 0;
    replica_lock(replica);
    replica->recheck = false;
    replica_unlock(replica);
    int rc = read_proofs(replica, &target, err);
    rc = rc != 0 ? rc : replica_open_watch(replica, copy_state(replica->copy).revision, err);
    rc = rc != 0 ? rc : replica_here(replica, copy_sync_begin(replica->copy, err));
    if (rc == 0) {
        rc = compare_proofs(replica, target, err);
        copy_sync_abandon(replica->copy);
    }
    replica_close_watch(replica); /* from where the copy still is */
    if (rc != 0) {
        replica_lock(replica);
        replica->recheck = true;
        replica_unlock(replica);
    }
    return rc;
}

bool replica_is_other_past(struct replica *replica)
{
    uint64_t known = copy_state(replica->copy).past;
    uint64_t said = store_past(replica->truth);
    if (known == 0 || said == 0 || known == said) {
        return false;
    }
    note_other_past(replica, "it is another cluster, or was restored");
    return true;
}

/* What the pulse found, and what the truth says of itself. */
int replica_look_back(struct replica *replica, struct err *err)
{
    if (replica_is_other_past(replica)) {
        return 0;
    }
    replica_lock(replica);
    bool went_back = replica->went_back;
    bool recheck = replica->recheck;
    replica->went_back = false;
    replica_unlock(replica);
    if (went_back) {
        note_other_past(replica, "its revision is lower than it was");
        return 0;
    }
    if (!recheck) {
        return 0;
    }
    int64_t revision = 0;
    int rc = store_revision(replica->truth, &revision, err); /* names its past */
    return rc != 0 || replica_is_other_past(replica) ? rc : rehearse(replica, err);
}
