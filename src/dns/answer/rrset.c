/* Compiled answers into messages: see rrset.h. Called by answer.c on a worker's thread. An answer
 * is borrowed from the zone set for the read section. Invariant: an RRset is written whole or not
 * at all. */
#include "dns/answer/rrset.h"

#define POINTER 0xc000U
#define UDP_LARGEST 4096U /* of responses; a writer with more room writes for TCP */

static const struct zone_answer *pick_weighted(const struct zone_answer *answer,
                                               struct random *random)
{
    const struct zone_mix *mix = zone_mix(answer);
    uint32_t drawn = random_below(random, answer->size);
    /* The first choice whose cumulative weight is above what was drawn. */
    size_t low = 0;
    size_t high = answer->count - 1U;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (mix->choices[middle].below > drawn) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return mix->choices[low].answer;
}

const struct zone_answer *rrset_pick_routed(const struct zone_answer *answer,
                                            struct answer_client *client)
{
    /* Ends: an answer is made after those it chooses from. */
    while (answer != NULL && answer->kind > ZONE_MULTIVALUE) {
        answer = answer->kind == ZONE_WEIGHTED ? pick_weighted(answer, &client->context->random)
                                               : answer_client_pick(client, answer);
    }
    return answer;
}

const struct zone_answer *rrset_pick_leaf(const struct zone_answer *answer,
                                          struct answer_client *client)
{
    struct random *random = &client->context->random;
    answer = rrset_pick(answer, client);
    while (answer != NULL && answer->kind == ZONE_MULTIVALUE) {
        answer = zone_mix(answer)->choices[random_below(random, answer->count)].answer;
        answer = rrset_pick(answer, client);
    }
    return answer;
}

/* Gives the RRs written from `at` on another owner than the question's name. */
static void set_owner(struct message_writer *writer, size_t at, size_t owner_at)
{
    while (at < writer->out.at) {
        bytes_patch_u16(&writer->out, at, (uint16_t)(POINTER | owner_at));
        struct bytes_reader reader = bytes_reader(writer->out.data, writer->out.at);
        reader.at = at + ZONE_RR_FIXED - 2;
        at += ZONE_RR_FIXED + (size_t)bytes_get_u16(&reader);
    }
}

static void set_ttl(struct message_writer *writer, size_t at, uint32_t ttl)
{
    while (at < writer->out.at) {
        bytes_patch_u16(&writer->out, at + ZONE_RR_TTL, (uint16_t)(ttl >> 16U));
        bytes_patch_u16(&writer->out, at + ZONE_RR_TTL + 2, (uint16_t)ttl);
        struct bytes_reader reader = bytes_reader(writer->out.data, writer->out.at);
        reader.at = at + ZONE_RR_FIXED - 2;
        at += ZONE_RR_FIXED + (size_t)bytes_get_u16(&reader);
    }
}

/* Where no pointer reaches, every RR carries its owner's name whole. */
static bool put_leaf_named(struct message_writer *writer, enum message_section section,
                           const struct zone_answer *leaf, size_t owner_at)
{
    struct message_mark mark = message_mark(writer);
    struct bytes_reader rrs = bytes_reader(zone_leaf(leaf)->rrs, leaf->size);
    while (bytes_left(&rrs) != 0) {
        (void)bytes_get(&rrs, 2); /* the pointer; what is compiled is whole, reads do not fail */
        uint16_t type = bytes_get_u16(&rrs);
        (void)bytes_get(&rrs, 2);
        uint32_t ttl = bytes_get_u32(&rrs);
        size_t size = bytes_get_u16(&rrs);
        const uint8_t *rdata = bytes_get(&rrs, size);
        if (!message_put_record(writer, section, writer->out.data + owner_at, type, ttl, rdata,
                                size)) {
            message_rollback(writer, mark);
            return false;
        }
    }
    return true;
}

static bool put_leaf(struct message_writer *writer, enum message_section section,
                     const struct zone_answer *leaf, size_t owner_at)
{
    size_t at = writer->out.at;
    if (!message_put_compiled(writer, section, leaf->count, zone_leaf(leaf)->rrs, leaf->size)) {
        return false;
    }
    if (owner_at != MESSAGE_QUESTION_AT) {
        set_owner(writer, at, owner_at);
    }
    return true;
}

/* Up to ZONE_MULTIVALUE_LIMIT different indexes below count, in random order (Floyd's way: without
 * room for all of them). Returns how many. */
static size_t draw(size_t count, size_t *indexes, struct random *random)
{
    size_t wanted = MIN(count, ZONE_MULTIVALUE_LIMIT);
    size_t drawn = 0;
    for (size_t bound = count - wanted; bound < count; bound++) {
        size_t index = random_below(random, (uint32_t)bound + 1);
        for (size_t i = 0; i < drawn; i++) {
            if (indexes[i] == index) {
                index = bound;
                break;
            }
        }
        /* Floyd's draws the set evenly but not its order: put each at a random place. */
        size_t place = random_below(random, (uint32_t)drawn + 1);
        indexes[drawn] = indexes[place];
        indexes[place] = index;
        drawn++;
    }
    return drawn;
}

/* Over TCP, where not all of them fit, as many as do: any of them is an answer, and there is
 * nowhere else to ask. */
static bool put_multivalue(struct message_writer *writer, enum message_section section,
                           const struct zone_answer *answer, size_t owner_at,
                           struct answer_client *client)
{
    struct random *random = &client->context->random;
    struct message_mark mark = message_mark(writer);
    size_t indexes[ZONE_MULTIVALUE_LIMIT] = {0};
    size_t count = draw(answer->count, indexes, random);
    bool some = writer->limit > UDP_LARGEST;
    for (size_t i = 0; i < count; i++) {
        const struct zone_answer *leaf =
            rrset_pick_leaf(zone_mix(answer)->choices[indexes[i]].answer, client);
        if (leaf != NULL && !put_leaf(writer, section, leaf, owner_at) && !some) {
            message_rollback(writer, mark);
            return false;
        }
    }
    if (some && count != 0 && writer->out.at == mark.at) {
        return false; /* behind a chain of CNAMEs there may be no room even for one */
    }
    set_ttl(writer, mark.at, answer->size);
    return true;
}

bool rrset_put_other(struct message_writer *writer, enum message_section section,
                     const struct zone_answer *picked, size_t owner_at,
                     struct answer_client *client)
{
    if (UNLIKELY(owner_at >= RRSET_POINTER_LIMIT)) {
        picked = rrset_pick_leaf(picked, client);
        return picked == NULL || put_leaf_named(writer, section, picked, owner_at);
    }
    return picked->kind == ZONE_LEAF ? put_leaf(writer, section, picked, owner_at)
                                     : put_multivalue(writer, section, picked, owner_at, client);
}
