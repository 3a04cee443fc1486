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
#define SUBSETS 24U        /* of a multivalue answer of more than ZONE_MULTIVALUE_LIMIT records */

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

/* The group's own signed leaf with the RRs of that one, from its cache or made now. */
static const struct zone_answer *derive_leaf(struct derivation *derivation,
                                             const struct zone_answer *leaf)
{
    struct zone_derived *derived = derivation->group->derived;
    for (size_t i = 0; i < derived->count; i++) {
        struct zone_answer *there = derived->leafs[i];
        if (there->size != leaf->size ||
            memcmp(zone_leaf(there)->rrs, zone_leaf(leaf)->rrs, leaf->size) != 0) {
            continue;
        }
        if (i >= derived->used) {
            if (!signer_current(derivation->database, derivation->signer, there)) {
                break;
            }
            derived->leafs[i] = derived->leafs[derived->used];
            derived->leafs[derived->used++] = there;
        }
        return there;
    }
    struct zone_answer *made =
        signer_leaf(derivation->database, derivation->signer, derivation->owner, leaf, false);
    derived->leafs =
        memory_resize(derived->leafs, derived->count + 1, sizeof(struct zone_answer *));
    derived->leafs[derived->count++] = derived->leafs[derived->used];
    derived->leafs[derived->used++] = made;
    return made;
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

/* A leaf of the RRs of up to ZONE_MULTIVALUE_LIMIT of the choices, from `first` on in that order,
 * round and round; each with the answer's TTL. NULL when there is nothing in them. */
static const struct zone_answer *derive_subset(struct derivation *derivation,
                                               const struct zone_answer *answer,
                                               const uint16_t *order, size_t first)
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
    struct zone_leaf *plain CLEANUP(memory_cleanup) = memory_new(sizeof *plain + room);
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
    return derive_leaf(derivation, &plain->head);
}

/* All of it when that is few enough; else a number of subsets, so that each record is in about as
 * many as the others, one of which is drawn for each query. */
static const struct zone_answer *derive_multivalue(struct derivation *derivation,
                                                   const struct zone_answer *answer)
{
    size_t count = answer->count;
    uint16_t *order CLEANUP(memory_cleanup) = memory_array(count, sizeof *order);
    for (size_t i = 0; i < count; i++) {
        order[i] = (uint16_t)i;
    }
    if (count <= ZONE_MULTIVALUE_LIMIT) {
        return derive_subset(derivation, answer, order, 0);
    }
    for (size_t i = count; i-- > 1;) {
        size_t other = random_below(&derivation->signer->random, (uint32_t)i + 1);
        uint16_t kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
    size_t subsets = MIN(count, SUBSETS);
    struct zone_mix *mix = new_mix(derivation, mix_size(subsets));
    mix->head.kind = ZONE_WEIGHTED;
    mix->head.count = (uint16_t)subsets;
    mix->head.size = (uint32_t)subsets;
    for (size_t i = 0; i < subsets; i++) {
        mix->choices[i].answer = derive_subset(derivation, answer, order, i * count / subsets);
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
