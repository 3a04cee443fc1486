/* Signed zones: which keys, how far signing has come, and when it starts again; see signature.h.
 * Called by database.c on the owner's thread. Work is done in slices, so that a change of health
 * never waits for long. Invariant: a zone is shown signed only when each of its answers carries
 * signatures and its chain is whole. */
#include "base/bytes.h"
#include "base/memory.h"
#include "base/snapshot.h"
#include "dns/wire/rdata.h"
#include "dns/zone/denial.h"
#include "dns/zone/signature.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLICE 1000U /* work of one call, in steps of about a microsecond */
#define STEP_SIGNATURE 40U
#define ROUND_S 3600    /* between two rounds, at least */
#define LONGEST_S 86400 /* and at most: it costs about a microsecond a name */
#define IDLE_NS (60 * TIME_S)
#define DNSKEY_TTL 3600U /* as Route 53's */
#define OWNER_QUESTION 0xc00cU

/* ---- keys ---- */

/* DNSKEY records: RFC 4034 section 2. */
static struct zone_answer *dnskey_leaf(struct zone_database *database, struct zone_signer *signer)
{
    uint8_t rrs[SIGNER_KEYS_LIMIT * (ZONE_RR_FIXED + SIGN_DNSKEY_SIZE)];
    struct bytes_writer out = bytes_writer(rrs, sizeof rrs);
    for (size_t i = 0; i < signer->key_count; i++) {
        uint8_t rdata[SIGN_DNSKEY_SIZE];
        bytes_put_u16(&out, OWNER_QUESTION);
        bytes_put_u16(&out, RR_DNSKEY);
        bytes_put_u16(&out, 1); /* class IN */
        bytes_put_u32(&out, DNSKEY_TTL);
        bytes_put_u16(&out, (uint16_t)sign_key_rdata(signer->keys[i].key, rdata));
        bytes_put(&out, rdata, sizeof rdata);
    }
    assert(!out.failed);
    struct zone_answer *plain = leaf_new(rrs, out.at, signer->key_count);
    struct zone_answer *leaf = signer_leaf(database, signer, signer->zone->zone.apex, plain, true);
    free(plain);
    return leaf;
}

static void set_dnskey(struct zone_database *database, struct zone_signer *signer)
{
    union {
        const struct zone_answer *borrowed;
        struct zone_answer *owned;
    } old;
    old.borrowed = SNAPSHOT_PUBLISH(&signer->security.dnskey, dnskey_leaf(database, signer));
    database_retire(database, old.owned);
    journal_touch(database, signer->zone, signer->zone->zone.apex, 0, RR_DNSKEY);
}

static void drop_keys(struct zone_signer *signer)
{
    for (size_t i = 0; i < signer->key_count; i++) {
        sign_key_unref(signer->keys[i].key);
    }
    signer->key_count = 0;
}

static bool same_key(const struct sign_key *a, const struct sign_key *b)
{
    uint8_t rdata_a[SIGN_DNSKEY_SIZE];
    uint8_t rdata_b[SIGN_DNSKEY_SIZE];
    return sign_key_rdata(a, rdata_a) == sign_key_rdata(b, rdata_b) &&
           memcmp(rdata_a, rdata_b, sizeof rdata_a) == 0;
}

static const struct signer_key *find_key(const struct signer_key *keys, size_t count,
                                         const struct sign_key *wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (same_key(keys[i].key, wanted)) {
            return &keys[i];
        }
    }
    return NULL;
}

/* RFC 9077 section 3.1. */
static uint32_t nsec_ttl(const struct zone_owner *zone)
{
    const struct zone_answer *negative = SNAPSHOT_LOAD(&zone->zone.negative);
    return negative != NULL ? leaf_ttl(negative) : DNSKEY_TTL;
}

static void start_round(struct zone_signer *signer)
{
    signer->sweeping = true;
    signer->cursor_size = SIZE_MAX;
    signer->runs_out = signer->since + (1U << 30U); /* later than any */
}

/* Takes the keys as they were set last. Of the `count` before, those whose signatures may still be
 * served stay, silent. True when other keys sign the zone's records than before. */
static bool exchange_keys(struct zone_signer *signer, const struct signer_key *before, size_t count)
{
    const struct zone_owner *zone = signer->zone;
    bool others = false;
    signer->key_count = 0;
    for (size_t i = 0; i < zone->signing_count && i < ZONE_KEYS_LIMIT; i++) {
        signer->keys[signer->key_count++] = (struct signer_key){
            .key = sign_key_ref(zone->signing[i]), .silent = (zone->signing_silent >> i & 1U) != 0};
    }
    for (size_t i = 0; i < signer->key_count; i++) {
        struct signer_key *key = &signer->keys[i];
        const struct signer_key *old = find_key(before, count, key->key);
        key->signs = signer_signs(signer, key, false);
        key->marked = key->signs || (old != NULL && old->marked);
        others = others || key->signs != (old != NULL && old->signs);
    }
    for (size_t i = 0; i < count; i++) {
        if (find_key(signer->keys, signer->key_count, before[i].key) == NULL) {
            others = others || before[i].signs;
            if (before[i].marked && signer->key_count < SIGNER_KEYS_LIMIT) {
                signer->keys[signer->key_count++] =
                    (struct signer_key){.key = sign_key_ref(before[i].key),
                                        .silent = true,
                                        .leaving = true,
                                        .marked = true};
            }
        }
    }
    return others;
}

/* Where other keys sign than before, all is signed again: what was signed before now counts as
 * signed by others. */
static void take_keys(struct zone_database *database, struct zone_signer *signer)
{
    struct zone_owner *zone = signer->zone;
    struct signer_key before[SIGNER_KEYS_LIMIT];
    size_t count = signer->key_count;
    (void)memcpy(before, signer->keys, count * sizeof before[0]);
    bool others = exchange_keys(signer, before, count);
    for (size_t i = 0; i < count; i++) {
        sign_key_unref(before[i].key);
    }
    if (others) {
        zone->signed_since = MAX(zone->signed_since + 1, (uint32_t)(database->now.ns / TIME_S));
        signer->since = zone->signed_since;
        signer->nsec_ttl = nsec_ttl(zone);
        start_round(signer);
    }
    set_dnskey(database, signer);
}

/* No signature is served but those of keys that sign: others leave. True when some did. */
static bool let_keys_leave(struct zone_signer *signer)
{
    size_t kept = 0;
    for (size_t i = 0; i < signer->key_count; i++) {
        struct signer_key *key = &signer->keys[i];
        key->marked = key->signs;
        if (key->leaving) {
            sign_key_unref(key->key);
        } else {
            signer->keys[kept++] = *key;
        }
    }
    bool some = kept != signer->key_count;
    signer->key_count = kept;
    return some;
}

static void unlink_signer(struct zone_database *database, struct zone_signer *signer)
{
    struct zone_signer **link = &database->signers;
    while (*link != signer) {
        link = &(*link)->next;
    }
    *link = signer->next;
}

void signer_close(struct zone_database *database, struct zone_owner *zone)
{
    struct zone_signer *signer = zone->signer;
    if (signer == NULL) {
        return;
    }
    journal_touch_all(database, zone);
    (void)SNAPSHOT_PUBLISH(&zone->zone.security, NULL); /* what it was is retired below */
    unlink_signer(database, signer);
    zone->signer = NULL;
    drop_keys(signer);
    denial_close(database, signer);
    union {
        const struct zone_answer *borrowed;
        struct zone_answer *owned;
    } dnskey = {.borrowed = SNAPSHOT_LOAD(&signer->security.dnskey)};
    database_retire(database, dnskey.owned);
    database_retire(database, signer);
}

/* ---- signing in slices ---- */

static size_t walk(struct zone_database *database, struct zone_signer *signer, size_t budget)
{
    const struct zone_table *names = SNAPSHOT_LOAD(&signer->zone->zone.names);
    size_t done = 0;
    while (done < budget && signer->walk_at <= names->mask) {
        uint64_t entry =
            atomic_load_explicit(&names->entries[signer->walk_at++], memory_order_relaxed);
        done++;
        if (entry > ZONE_TABLE_TOMBSTONE) {
            denial_collect(database, signer, zone_table_object(entry));
            done++;
        }
    }
    if (signer->walk_at > names->mask) {
        signer->state = SIGNER_SIGN;
        start_round(signer);
    }
    return done;
}

static void end_round(struct zone_database *database, struct zone_signer *signer)
{
    signer->sweeping = false;
    const struct zone_answer *dnskey = SNAPSHOT_LOAD(&signer->security.dnskey);
    if (let_keys_leave(signer) || !signer_current(database, signer, dnskey)) {
        set_dnskey(database, signer);
        (void)signer_current(database, signer, SNAPSHOT_LOAD(&signer->security.dnskey));
    }
    int64_t now = database->now.ns / TIME_S;
    int64_t left = (int32_t)(signer->runs_out - (uint32_t)now);
    signer->due_s = now + MIN(MAX(left, ROUND_S), LONGEST_S);
}

static size_t sign(struct zone_database *database, struct zone_signer *signer, size_t budget)
{
    struct zone_owner *zone = signer->zone;
    size_t done = 0;
    while (done < budget) {
        struct zone_denial *entry = signer->cursor_size == SIZE_MAX
                                        ? denial_first(signer)
                                        : denial_after(signer, signer->cursor, signer->cursor_size);
        if (entry == NULL) {
            end_round(database, signer);
            break;
        }
        signer->cursor_size = entry->key_size;
        (void)memcpy(signer->cursor, entry->bytes, entry->key_size);
        uint8_t wire[NAME_WIRE_LIMIT];
        (void)memcpy(wire, zone_denial_name(entry), entry->name_length);
        (void)memcpy(wire + entry->name_length, zone->zone.apex, zone->zone.apex_length);
        struct zone_node *node = owner_node(database, zone, wire);
        assert(node != NULL);
        uint64_t before = database->signed_count;
        (void)signer_node(
            database, zone, node,
            signer_authoritative(database, zone, zone_denial_name(entry), entry->name_length));
        group_decide_all(database);
        (void)group_commit(database);
        (void)denial_renew(database, zone, entry, false);
        done += 1 + STEP_SIGNATURE * (size_t)(database->signed_count - before);
    }
    return done;
}

/* All is signed: readers see it from now on. */
static void show(struct zone_database *database, struct zone_signer *signer)
{
    signer->state = SIGNER_LIVE;
    (void)SNAPSHOT_PUBLISH(&signer->zone->zone.security, &signer->security); /* there was none */
    journal_touch_all(database, signer->zone);
    journal_settle(database, signer->zone); /* its serial moves from now on */
}

static size_t work(struct zone_database *database, struct zone_signer *signer, size_t budget)
{
    size_t done = 0;
    if (signer->state == SIGNER_WALK) {
        done += walk(database, signer, budget);
    }
    if (signer->state != SIGNER_WALK && signer->sweeping && done < budget) {
        done += sign(database, signer, budget - done);
    }
    if (signer->state == SIGNER_SIGN && !signer->sweeping) {
        show(database, signer);
    }
    return done;
}

static bool has_work(const struct zone_signer *signer)
{
    return signer->state != SIGNER_LIVE || signer->sweeping;
}

void signer_settle(struct zone_database *database, struct zone_owner *zone)
{
    if (!zone->signing_changed) {
        return;
    }
    zone->signing_changed = false;
    if (database->now.ns == 0) {
        database->now = wall_now(); /* nobody has said yet */
    }
    if (zone->signing_count == 0) {
        signer_close(database, zone);
        return;
    }
    if (zone->signer == NULL) {
        struct zone_signer *signer = memory_new(sizeof *signer);
        signer->zone = zone;
        signer->state = SIGNER_WALK;
        signer->security.rrsig_size =
            ZONE_RR_FIXED + SIGN_RRSIG_FIXED + zone->zone.apex_length + SIGN_SIGNATURE_SIZE;
        random_init(&signer->random, 0);
        denial_open(signer, &zone->zone);
        signer->next = database->signers;
        database->signers = signer;
        zone->signer = signer;
    }
    /* There is no room for ever more keys that leave: the round that lets them is ended now. */
    while (zone->signer->key_count + zone->signing_count > SIGNER_KEYS_LIMIT &&
           has_work(zone->signer)) {
        (void)work(database, zone->signer, SLICE);
    }
    take_keys(database, zone->signer);
}

void signer_complete(struct zone_database *database, struct zone_owner *zone, size_t limit)
{
    if (zone->signer == NULL || zone->signer->state == SIGNER_LIVE ||
        SNAPSHOT_LOAD(&zone->zone.names)->live > limit) {
        return;
    }
    while (has_work(zone->signer)) {
        (void)work(database, zone->signer, SLICE);
    }
}

int64_t signer_refresh(struct zone_database *database)
{
    int64_t now = database->now.ns / TIME_S;
    size_t done = 0;
    int64_t wait = IDLE_NS;
    for (struct zone_signer *signer = database->signers; signer != NULL; signer = signer->next) {
        /* A clock that was set back leaves signatures that are not valid yet. */
        bool future = (int32_t)(signer->newest - (uint32_t)now) > ROUND_S / 2;
        if (!has_work(signer) && (now >= signer->due_s || future)) {
            if (future) {
                signer->since = signer->zone->signed_since = (uint32_t)now;
                signer->newest = (uint32_t)now;
            }
            start_round(signer);
        }
        if (signer->nsec_ttl != nsec_ttl(signer->zone)) {
            signer->nsec_ttl = nsec_ttl(signer->zone);
            start_round(signer);
        }
        if (done < SLICE && has_work(signer)) {
            done += work(database, signer, SLICE - done);
        }
        wait = has_work(signer) ? 0 : MIN(wait, MAX(signer->due_s - now, 1) * TIME_S);
    }
    return wait;
}
