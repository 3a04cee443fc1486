/* Signatures of leafs and answers: see signature.h. Called by draft.c and group.c for what is about
 * to be shown, and by signer.c for what runs out, on the owner's thread.
 *
 * A signature is valid from an hour before it was made, for clocks that are behind, until 10 to 14
 * days after, spread so that a zone's do not run out together; it is made again when 7 days are
 * left. */
#include "dns/zone/signature.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/random.h"
#include "dns/wire/rdata.h"
#include "dns/zone/denial.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BEFORE_S 3600U
#define LASTS_S (10U * 86400U)
#define SPREAD_S (4U * 86400U)
#define LEAST_S (7 * 86400)
#define SMALL_COUNT 64U
#define SIGNATURE_EXPIRATION 8U /* offsets in RRSIG RDATA: RFC 4034 section 3.1 */
#define SIGNATURE_TAG 16U
#define OWNER_QUESTION 0xc00cU
#define DERIVED_LIMIT 256U /* leafs that a group keeps although they are not served now */
#define SUBSETS 200U       /* of a multivalue answer of more than ZONE_MULTIVALUE_LIMIT records */
#define AHEAD_LIMIT 128U   /* records looked at to sign ahead for one group */

/* ---- leafs ---- */

bool signer_signs(const struct zone_signer *signer, const struct signer_key *key, bool entry_keys)
{
    uint16_t wanted = entry_keys ? SIGN_ENTRY_KEY : SIGN_ZONE_KEY;
    bool any = false;
    for (size_t i = 0; i < signer->key_count; i++) {
        any = any || (!signer->keys[i].silent && sign_key_flags(signer->keys[i].key) == wanted);
    }
    return !key->silent && (!any || sign_key_flags(key->key) == wanted);
}

static uint32_t now_s(const struct zone_database *database)
{
    return (uint32_t)(database->now.ns / TIME_S);
}

/* The RRs of a leaf as sign_rrset wants them; `rdata` has room for all. */
static uint32_t read_rrs(const struct zone_answer *leaf, struct sign_rdata *rdata)
{
    struct bytes_reader reader = bytes_reader(zone_leaf(leaf)->rrs, leaf->size);
    uint32_t ttl = 0;
    for (size_t i = 0; i < leaf->count; i++) {
        (void)bytes_get(&reader, ZONE_RR_TTL);
        ttl = bytes_get_u32(&reader);
        rdata[i].size = bytes_get_u16(&reader);
        rdata[i].data = bytes_get(&reader, rdata[i].size);
    }
    assert(!reader.failed);
    return ttl;
}

static uint16_t leaf_type(const struct zone_answer *leaf)
{
    struct bytes_reader reader = bytes_reader(zone_leaf(leaf)->rrs, leaf->size);
    (void)bytes_get_u16(&reader); /* owner */
    return bytes_get_u16(&reader);
}

struct zone_answer *signer_leaf(struct zone_database *database, struct zone_signer *signer,
                                const uint8_t *owner, const struct zone_answer *leaf,
                                bool entry_keys)
{
    struct sign_rdata small[SMALL_COUNT];
    struct sign_rdata *large CLEANUP(memory_cleanup) = NULL;
    struct sign_rrset rrset = {
        .owner = owner, .type = leaf_type(leaf), .rdata = small, .count = leaf->count};
    if (leaf->count > SMALL_COUNT) {
        large = memory_array(leaf->count, sizeof *large);
        rrset.rdata = large;
    }
    rrset.ttl = read_rrs(leaf, rrset.rdata);
    signer->newest = MAX(now_s(database), signer->since);
    struct sign_validity validity = {.inception = signer->newest - BEFORE_S,
                                     .expiration = signer->newest + LASTS_S +
                                                   random_below(&signer->random, SPREAD_S)};
    size_t room = leaf->size + signer->key_count * signer->security.rrsig_size;
    struct zone_leaf *made = memory_new(sizeof *made + room);
    made->head = *leaf;
    made->head.signatures = 0;
    struct bytes_writer out = bytes_writer(made->rrs, room);
    bytes_put(&out, zone_leaf(leaf)->rrs, leaf->size);
    for (size_t i = 0; i < signer->key_count; i++) {
        if (!signer_signs(signer, &signer->keys[i], entry_keys)) {
            continue;
        }
        uint8_t rdata[SIGN_RRSIG_LIMIT];
        size_t size = 0;
        if (sign_rrset(signer->keys[i].key, &rrset, &validity, signer->zone->zone.apex, rdata,
                       &size) < 0) {
            memory_exhausted(room); /* with a good key OpenSSL fails for nothing else */
        }
        bytes_put_u16(&out, OWNER_QUESTION);
        bytes_put_u16(&out, RR_RRSIG);
        bytes_put_u16(&out, 1); /* class IN */
        bytes_put_u32(&out, rrset.ttl);
        bytes_put_u16(&out, (uint16_t)size);
        bytes_put(&out, rdata, size);
        made->head.signatures++;
        database->signed_count++;
    }
    assert(!out.failed &&
           out.at == leaf->size + made->head.signatures * signer->security.rrsig_size);
    return &made->head;
}

/* As signer_current, for signatures by either kind of key. */
bool signer_current(struct zone_database *database, struct zone_signer *signer,
                    const struct zone_answer *leaf)
{
    bool entry_keys = leaf_type(leaf) == RR_DNSKEY;
    size_t at = leaf->size;
    unsigned count = 0;
    uint32_t now = now_s(database);
    for (size_t i = 0; i < signer->key_count; i++) {
        if (!signer_signs(signer, &signer->keys[i], entry_keys)) {
            continue;
        }
        if (count++ == leaf->signatures) {
            return false;
        }
        struct bytes_reader rdata = bytes_reader(zone_leaf(leaf)->rrs + at + ZONE_RR_FIXED,
                                                 signer->security.rrsig_size - ZONE_RR_FIXED);
        (void)bytes_get(&rdata, SIGNATURE_EXPIRATION);
        uint32_t expiration = bytes_get_u32(&rdata);
        uint32_t made = bytes_get_u32(&rdata) + BEFORE_S;
        uint16_t tag = bytes_get_u16(&rdata);
        if (tag != sign_key_tag(signer->keys[i].key) || (int32_t)(made - signer->since) < 0 ||
            (int32_t)(made - BEFORE_S - now) > 0 || (int32_t)(expiration - now) < LEAST_S) {
            return false;
        }
        uint32_t runs_out = expiration - LEAST_S;
        if ((int32_t)(runs_out - signer->runs_out) < 0) {
            signer->runs_out = runs_out;
        }
        at += signer->security.rrsig_size;
    }
    return count == leaf->signatures;
}

/* ---- names ---- */

static void owner_wire(const struct zone_owner *zone, const struct zone_node *node,
                       uint8_t wire[NAME_WIRE_LIMIT])
{
    assert((size_t)node->name_length + zone->zone.apex_length <= NAME_WIRE_LIMIT);
    (void)memcpy(wire, zone_node_name(node), node->name_length);
    (void)memcpy(wire + node->name_length, zone->zone.apex, zone->zone.apex_length);
}

static void sign_plain(struct zone_database *database, struct zone_owner *zone,
                       struct zone_node *node, struct zone_slot *slot, const uint8_t *owner)
{
    union {
        const struct zone_answer *borrowed;
        struct zone_answer *owned;
    } old = {.borrowed = zone_slot_answer(slot)};
    if (signer_current(database, zone->signer, old.borrowed)) {
        return;
    }
    struct zone_answer *fresh = signer_leaf(database, zone->signer, owner, old.borrowed, false);
    atomic_store_explicit(&slot->answer, fresh, memory_order_release);
    database_retire(database, old.owned);
    target_touch(database, zone, zone_node_name(node), node->name_length, slot->type);
    journal_touch(database, zone, zone_node_name(node), node->name_length, slot->type);
    if (slot->type == RR_SOA && node->name_length == 0 && owner_shows(database, zone, node)) {
        owner_set_negative(database, zone, node);
    }
}

static bool is_derived(const struct zone_group *group)
{
    if (group->policy == MODEL_MULTIVALUE) {
        return true;
    }
    for (const struct zone_record *record = group->records; record != NULL; record = record->next) {
        if (record->target_name != NULL) {
            return true;
        }
    }
    return false;
}

static void sign_group(struct zone_database *database, struct zone_owner *zone,
                       struct zone_group *group, const uint8_t *owner)
{
    struct zone_signer *signer = zone->signer;
    for (struct zone_record *record = group->records; record != NULL; record = record->next) {
        /* Of a multivalue group subsets are signed, not records. */
        if (record->leaf == NULL || record->policy == MODEL_MULTIVALUE ||
            signer_current(database, signer, record->leaf)) {
            continue;
        }
        struct zone_answer *old = record->leaf;
        record->leaf = signer_leaf(database, signer, owner, old, false);
        database_retire(database, old);
        group_enqueue(database, group);
    }
    if (!is_derived(group)) {
        return;
    }
    bool current = group->derived != NULL;
    for (size_t i = 0; current && i < group->derived->used; i++) {
        current = signer_current(database, signer, group->derived->leafs[i]);
    }
    if (!current) {
        group_mark(database, group);
    }
    late_ahead(database, group);
}

size_t signer_node(struct zone_database *database, struct zone_owner *zone, struct zone_node *node,
                   bool authoritative)
{
    struct zone_signer *signer = zone->signer;
    uint64_t before = database->signed_count;
    if (signer == NULL || signer->state == SIGNER_WALK || !authoritative) {
        return 0;
    }
    bool cut = zone_node_has(node, ZONE_NODE_CUT);
    uint8_t owner[NAME_WIRE_LIMIT];
    owner_wire(zone, node, owner);
    for (unsigned i = 0; i < node->slot_count; i++) {
        struct zone_slot *slot = &node->slots[i];
        if (cut && slot->type != RR_DS) {
            continue;
        }
        if (slot->group == 0) {
            sign_plain(database, zone, node, slot, owner);
        } else {
            sign_group(database, zone, database->groups[slot->group], owner);
        }
    }
    return (size_t)(database->signed_count - before);
}

/* ---- derived answers ---- */

/* One making of a group's derived answers. */
struct derivation {
    struct zone_database *database;
    struct zone_group *group;
    struct zone_signer *signer;
    uint8_t owner[NAME_WIRE_LIMIT];
};

/* Where in the group's cache a leaf with these RRs is, with signatures that last; the cache's count
 * when there is none. The first `trusted` ones were looked at already. */
static size_t find_leaf(const struct derivation *derivation, const struct zone_answer *leaf,
                        size_t trusted)
{
    const struct zone_derived *derived = derivation->group->derived;
    for (size_t i = 0; i < derived->count; i++) {
        const struct zone_answer *there = derived->leafs[i];
        if (there->size == leaf->size &&
            memcmp(zone_leaf(there)->rrs, zone_leaf(leaf)->rrs, leaf->size) == 0 &&
            (i < trusted || signer_current(derivation->database, derivation->signer, there))) {
            return i;
        }
    }
    return derived->count;
}

/* Signs a copy, at the end of the cache. */
static void add_leaf(struct derivation *derivation, const struct zone_answer *leaf)
{
    struct zone_derived *derived = derivation->group->derived;
    struct zone_answer *made =
        signer_leaf(derivation->database, derivation->signer, derivation->owner, leaf, false);
    derived->leafs =
        memory_resize(derived->leafs, derived->count + 1, sizeof(struct zone_answer *));
    derived->leafs[derived->count++] = made;
}

/* The group's own signed leaf with the RRs of that one, from its cache or made now. */
static const struct zone_answer *derive_leaf(struct derivation *derivation,
                                             const struct zone_answer *leaf)
{
    struct zone_derived *derived = derivation->group->derived;
    size_t at = find_leaf(derivation, leaf, derived->used);
    if (at == derived->count) {
        add_leaf(derivation, leaf);
    }
    struct zone_answer *there = derived->leafs[at];
    if (at >= derived->used) {
        derived->leafs[at] = derived->leafs[derived->used];
        derived->leafs[derived->used++] = there;
    }
    return there;
}

static size_t mix_size(size_t count)
{
    return sizeof(struct zone_mix) + count * sizeof(struct zone_choice);
}

static struct zone_mix *new_mix(struct derivation *derivation, size_t size)
{
    struct zone_derived *derived = derivation->group->derived;
    struct zone_mix *mix = memory_new(size);
    derived->mixes =
        memory_resize(derived->mixes, derived->mix_count + 1, sizeof(struct zone_answer *));
    derived->mixes[derived->mix_count++] = &mix->head;
    return mix;
}

/* True when that record is among the records of `size` bytes. */
static bool rr_repeated(const uint8_t *rrs, size_t size, const uint8_t *rr, size_t rr_size)
{
    struct bytes_reader reader = bytes_reader(rrs, size);
    while (bytes_left(&reader) != 0) {
        size_t at = reader.at;
        (void)bytes_get(&reader, ZONE_RR_FIXED - 2);
        (void)bytes_get(&reader, bytes_get_u16(&reader));
        if (reader.at - at == rr_size && memcmp(rrs + at, rr, rr_size) == 0) {
            return true;
        }
    }
    return false;
}

/* A leaf, to be freed, of the RRs of up to ZONE_MULTIVALUE_LIMIT of the choices, from `first` on in
 * that order, round and round; each with the answer's TTL. NULL when there is nothing in them. */
static struct zone_leaf *subset_new(const struct zone_answer *answer, const uint16_t *order,
                                    size_t first)
{
    size_t room = 0;
    size_t wanted = MIN((size_t)answer->count, ZONE_MULTIVALUE_LIMIT);
    const struct zone_answer *chosen[ZONE_MULTIVALUE_LIMIT];
    size_t count = 0;
    for (size_t i = 0; i < wanted; i++) {
        const struct zone_answer *choice =
            zone_mix(answer)->choices[order[(first + i) % answer->count]].answer;
        if (choice != NULL && choice->kind == ZONE_LEAF) {
            chosen[count++] = choice;
            room += choice->size;
        }
    }
    if (count == 0) {
        return NULL;
    }
    struct zone_leaf *plain = memory_new(sizeof *plain + room);
    struct bytes_writer out = bytes_writer(plain->rrs, room);
    for (size_t i = 0; i < count; i++) {
        struct bytes_reader rrs = bytes_reader(zone_leaf(chosen[i])->rrs, chosen[i]->size);
        while (bytes_left(&rrs) != 0) {
            size_t at = rrs.at;
            (void)bytes_get(&rrs, ZONE_RR_FIXED - 2);
            size_t size = ZONE_RR_FIXED + (size_t)bytes_get_u16(&rrs);
            rrs.at = at;
            struct bytes_reader rr = bytes_reader(bytes_get(&rrs, size), size);
            size_t start = out.at;
            bytes_put(&out, bytes_get(&rr, ZONE_RR_TTL), ZONE_RR_TTL);
            (void)bytes_get_u32(&rr); /* its own TTL */
            bytes_put_u32(&out, answer->size);
            size_t rest = bytes_left(&rr);
            bytes_put(&out, bytes_get(&rr, rest), rest);
            if (rr_repeated(plain->rrs, start, out.data + start, out.at - start)) {
                out.at = start; /* two records may have the same value */
            } else {
                plain->head.count++;
            }
        }
    }
    plain->head.kind = ZONE_LEAF;
    plain->head.size = (uint32_t)out.at;
    return plain;
}

static const struct zone_answer *derive_subset(struct derivation *derivation,
                                               const struct zone_answer *answer,
                                               const uint16_t *order, size_t first)
{
    struct zone_leaf *plain CLEANUP(memory_cleanup) = subset_new(answer, order, first);
    return plain != NULL ? derive_leaf(derivation, &plain->head) : NULL;
}

struct ranked {
    uint64_t rank;
    uint16_t at;
};

static int compare_ranks(const void *a, const void *b)
{
    const struct ranked *left = a;
    const struct ranked *right = b;
    if (left->rank != right->rank) {
        return left->rank < right->rank ? -1 : 1;
    }
    return (int)left->at - (int)right->at;
}

/* In what order the choices stand in subsets, to be freed: as they are when one subset has all;
 * else mixed, but so that two choices stay as they are when a third one goes or comes: most subsets
 * are then the same as before, and signed. */
static uint16_t *subset_order(const struct zone_database *database,
                              const struct zone_answer *answer)
{
    uint16_t *order = memory_array(answer->count, sizeof *order);
    struct ranked *ranked CLEANUP(memory_cleanup) = memory_array(answer->count, sizeof *ranked);
    for (uint16_t i = 0; i < answer->count; i++) {
        const struct zone_answer *choice = zone_mix(answer)->choices[i].answer;
        bool leaf = choice != NULL && choice->kind == ZONE_LEAF;
        ranked[i].at = i;
        ranked[i].rank =
            leaf ? database_hash(database, zone_leaf(choice)->rrs, choice->size) : UINT64_MAX;
    }
    if (answer->count > ZONE_MULTIVALUE_LIMIT) {
        qsort(ranked, answer->count, sizeof *ranked, compare_ranks);
    }
    for (size_t i = 0; i < answer->count; i++) {
        order[i] = ranked[i].at;
    }
    return order;
}

static size_t subset_count(const struct zone_answer *answer)
{
    return answer->count <= ZONE_MULTIVALUE_LIMIT ? 1 : MIN((size_t)answer->count, SUBSETS);
}

/* All of it when that is few enough; else a number of subsets, so that each record is in about as
 * many as the others, one of which is drawn for each query. */
static const struct zone_answer *derive_multivalue(struct derivation *derivation,
                                                   const struct zone_answer *answer)
{
    uint16_t *order CLEANUP(memory_cleanup) = subset_order(derivation->database, answer);
    size_t subsets = subset_count(answer);
    if (subsets == 1) {
        return derive_subset(derivation, answer, order, 0);
    }
    struct zone_mix *mix = new_mix(derivation, mix_size(subsets));
    mix->head.kind = ZONE_WEIGHTED;
    mix->head.count = (uint16_t)subsets;
    mix->head.size = (uint32_t)subsets;
    for (size_t i = 0; i < subsets; i++) {
        mix->choices[i].answer =
            derive_subset(derivation, answer, order, i * answer->count / subsets);
        mix->choices[i].below = (uint32_t)i + 1;
    }
    return &mix->head;
}

static const struct zone_answer *derive(struct derivation *derivation,
                                        const struct zone_answer *answer)
{
    if (answer == NULL || answer->kind == ZONE_LEAF) {
        return answer != NULL ? derive_leaf(derivation, answer) : NULL;
    }
    if (answer->kind == ZONE_MULTIVALUE) {
        return derive_multivalue(derivation, answer);
    }
    size_t size = answer->kind == ZONE_MAP ? zone_map_size(answer) : mix_size(answer->count);
    struct zone_mix *mix = new_mix(derivation, size);
    (void)memcpy(mix, answer, size); /* with all that a map chooses by */
    for (size_t i = 0; i < answer->count; i++) {
        /* NOLINTNEXTLINE(misc-no-recursion): ZONE_ALIAS_LIMIT bounds it */
        mix->choices[i].answer = derive(derivation, mix->choices[i].answer);
    }
    return &mix->head;
}

static void drop_mixes(struct zone_database *database, struct zone_derived *derived)
{
    for (size_t i = 0; i < derived->mix_count; i++) {
        database_retire(database, derived->mixes[i]);
    }
    derived->mix_count = 0;
}

void derived_free(struct zone_database *database, struct zone_derived *take_derived)
{
    if (take_derived == NULL) {
        return;
    }
    drop_mixes(database, take_derived);
    for (size_t i = 0; i < take_derived->count; i++) {
        database_retire(database, take_derived->leafs[i]);
    }
    free(take_derived->leafs);
    free(take_derived->mixes);
    free(take_derived);
}

/* Of the leafs that are not served now those are kept that may be again; the first ones in the list
 * were served last. */
static void trim_cache(struct derivation *derivation)
{
    struct zone_derived *derived = derivation->group->derived;
    size_t kept = derived->used;
    for (size_t i = derived->used; i < derived->count; i++) {
        struct zone_answer *leaf = derived->leafs[i];
        if (kept - derived->used < DERIVED_LIMIT &&
            signer_current(derivation->database, derivation->signer, leaf)) {
            derived->leafs[kept++] = leaf;
        } else {
            database_retire(derivation->database, leaf);
        }
    }
    derived->count = kept;
}

const struct zone_answer *signer_answer(struct zone_database *database, struct zone_group *group)
{
    struct zone_signer *signer = group->zone->signer;
    if (signer == NULL || signer->state == SIGNER_WALK || !is_derived(group)) {
        derived_free(database, group->derived);
        group->derived = NULL;
        return group->answer;
    }
    if (group->derived == NULL) {
        group->derived = memory_new(sizeof *group->derived);
    }
    struct zone_derived *derived = group->derived;
    struct derivation derivation = {.database = database, .group = group, .signer = signer};
    owner_wire(group->zone, group->node, derivation.owner);
    drop_mixes(database, derived);
    /* What is served and has run out must not be found again. */
    size_t kept = 0;
    for (size_t i = 0; i < derived->count; i++) {
        if (i >= derived->used || signer_current(database, signer, derived->leafs[i])) {
            derived->leafs[kept++] = derived->leafs[i];
        } else {
            database_retire(database, derived->leafs[i]);
        }
    }
    derived->count = kept;
    derived->used = 0;
    const struct zone_answer *answer = derive(&derivation, group->answer);
    trim_cache(&derivation);
    return answer;
}

/* ---- before it is asked for ---- */

/* Whether all that `answer` takes is in the cache. */
static bool is_ready(const struct derivation *derivation, const struct zone_answer *answer)
{
    if (answer == NULL || answer->kind == ZONE_LEAF) {
        return answer == NULL ||
               find_leaf(derivation, answer, 0) != derivation->group->derived->count;
    }
    bool ready = true;
    if (answer->kind == ZONE_MULTIVALUE) {
        uint16_t *order CLEANUP(memory_cleanup) = subset_order(derivation->database, answer);
        size_t subsets = subset_count(answer);
        for (size_t i = 0; ready && i < subsets; i++) {
            struct zone_leaf *plain CLEANUP(memory_cleanup) =
                subset_new(answer, order, i * answer->count / subsets);
            ready = plain == NULL ||
                    find_leaf(derivation, &plain->head, 0) != derivation->group->derived->count;
        }
        return ready;
    }
    for (size_t i = 0; ready && i < answer->count; i++) {
        /* NOLINTNEXTLINE(misc-no-recursion): ZONE_ALIAS_LIMIT bounds it */
        ready = is_ready(derivation, zone_mix(answer)->choices[i].answer);
    }
    return ready;
}

bool signer_waits(struct zone_database *database, struct zone_group *group)
{
    struct zone_signer *signer = group->zone->signer;
    if (signer == NULL || signer->state == SIGNER_WALK || !is_derived(group) ||
        group->derived == NULL) {
        return false;
    }
    struct derivation derivation = {.database = database, .group = group, .signer = signer};
    return !is_ready(&derivation, group->answer);
}

static void ahead_leaf(struct derivation *derivation, const struct zone_answer *leaf, size_t *left)
{
    if (*left == 0 || leaf == NULL || leaf->kind != ZONE_LEAF) {
        return;
    }
    (*left)--;
    if (find_leaf(derivation, leaf, 0) == derivation->group->derived->count) {
        add_leaf(derivation, leaf);
    }
}

/* All, and all but one. */
static void ahead_multivalue(struct derivation *derivation, const struct zone_group *group,
                             size_t *left)
{
    const struct zone_answer *choices[ZONE_MULTIVALUE_LIMIT];
    uint16_t order[ZONE_MULTIVALUE_LIMIT];
    size_t count = 0;
    for (const struct zone_record *record = group->records; record != NULL; record = record->next) {
        if (record->policy != MODEL_MULTIVALUE || record->leaf == NULL) {
            continue;
        }
        if (count == ZONE_MULTIVALUE_LIMIT) {
            return;
        }
        order[count] = (uint16_t)count;
        choices[count++] = record->leaf;
    }
    if (count == 1) {
        ahead_leaf(derivation, choices[0], left);
    }
    for (size_t without = 0; without <= count && count > 1; without++) {
        uint32_t shares[ZONE_MULTIVALUE_LIMIT];
        for (size_t i = 0; i < count; i++) {
            shares[i] = i != without ? 1 : 0;
        }
        if (count == 2 && without < count) {
            ahead_leaf(derivation, choices[1 - without], left);
            continue;
        }
        struct zone_answer *mix = mix_compile(false, choices, shares, count);
        struct zone_leaf *plain CLEANUP(memory_cleanup) = subset_new(mix, order, 0);
        free(mix);
        if (plain != NULL) {
            ahead_leaf(derivation, &plain->head, left);
        }
    }
}

static void ahead_group(struct derivation *derivation, const struct zone_group *group,
                        unsigned depth, size_t *left)
{
    if (group->policy == MODEL_MULTIVALUE) {
        ahead_multivalue(derivation, group, left);
        return;
    }
    for (const struct zone_record *record = group->records; record != NULL && *left != 0;
         record = record->next) {
        if (record->target_name == NULL) {
            ahead_leaf(derivation, record->leaf, left);
            continue;
        }
        (*left)--; /* aliases may form circles */
        const struct zone_slot *slot = target_slot(derivation->database, record);
        if (slot != NULL && slot->group == 0) {
            ahead_leaf(derivation, zone_slot_answer(slot), left);
        } else if (slot != NULL && depth < ZONE_ALIAS_LIMIT) {
            /* NOLINTNEXTLINE(misc-no-recursion): ZONE_ALIAS_LIMIT bounds it */
            ahead_group(derivation, derivation->database->groups[slot->group], depth + 1, left);
        }
    }
}

void signer_ahead(struct zone_database *database, struct zone_group *group)
{
    struct zone_signer *signer = group->zone->signer;
    size_t left = AHEAD_LIMIT;
    if (signer == NULL || signer->state == SIGNER_WALK || !is_derived(group) ||
        group->derived == NULL) {
        return;
    }
    struct derivation derivation = {.database = database, .group = group, .signer = signer};
    owner_wire(group->zone, group->node, derivation.owner);
    trim_cache(&derivation);
    ahead_group(&derivation, group, 0, &left);
}
