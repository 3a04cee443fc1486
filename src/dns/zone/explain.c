/* Why a name is answered as it is: for `leeward dig` and `leeward status`. Called on the owner's
 * thread; everything it gives out lives in the caller's arena. It looks at what is published, with
 * the same decision (choose.c) and the same lookups that the answers were compiled with. */
#include "base/arena.h"
#include "base/bytes.h"
#include "base/text.h"
#include "base/time.h"
#include "dns/wire/rdata.h"
#include "dns/zone/internal.h"

#include <stdlib.h>
#include <string.h>

#define VALUES_LIMIT 1000U       /* of one candidate */
#define LOOKS_LIMIT 4096U        /* answers that are looked at for them: mixes may hold no value */
#define VALUE_TEXT_LIMIT 262200U /* RDATA_LIMIT bytes, each as \ooo, and quotes */

struct explain {
    struct zone_database *database;
    struct arena *arena;
    struct zone_explanation *result;
    struct zone_client *client; /* NULL: any */
    struct zone_name name;
};

static char *name_text(struct arena *arena, const uint8_t *wire)
{
    char text[NAME_TEXT_LIMIT];
    name_to_text(wire, true, text);
    return arena_strdup(arena, text);
}

static char *node_text(struct arena *arena, const struct zone_owner *zone,
                       const struct zone_node *node)
{
    uint8_t wire[NAME_WIRE_LIMIT];
    (void)memcpy(wire, zone_node_name(node), node->name_length);
    (void)memcpy(wire + node->name_length, zone->zone.apex, zone->zone.apex_length);
    return name_text(arena, wire);
}

/* ---- values ---- */

static void leaf_values(struct arena *arena, const struct zone_answer *leaf,
                        struct zone_candidate *candidate)
{
    struct bytes_reader reader = bytes_reader(zone_leaf(leaf)->rrs, leaf->size);
    while (bytes_left(&reader) != 0 && candidate->value_count < VALUES_LIMIT) {
        (void)bytes_get_u16(&reader); /* owner */
        uint16_t type = bytes_get_u16(&reader);
        (void)bytes_get(&reader, 6); /* class and TTL */
        size_t size = bytes_get_u16(&reader);
        const uint8_t *rdata = bytes_get(&reader, size);
        /* Every byte may take four characters, in strings with quotes and spaces between. */
        size_t room = MIN(size * 6 + 64, VALUE_TEXT_LIMIT);
        char *text = arena_alloc(arena, room);
        if (rdata == NULL || rdata_to_text(type, rdata, size, text, room) < 0) {
            return;
        }
        candidate->values[candidate->value_count++] = text;
    }
}

/* All leafs that may be given; mixes nest as deep as aliases do. */
/* NOLINTNEXTLINE(misc-no-recursion): bounded by ZONE_ALIAS_LIMIT, and by the looks that are left.
 */
static void answer_values(struct arena *arena, const struct zone_answer *answer, unsigned *looks,
                          struct zone_candidate *candidate)
{
    if (answer == NULL || candidate->value_count == VALUES_LIMIT || *looks == 0) {
        return;
    }
    (*looks)--;
    if (answer->kind == ZONE_LEAF) {
        leaf_values(arena, answer, candidate);
        return;
    }
    for (size_t i = 0; i < answer->count; i++) {
        answer_values(arena, zone_mix(answer)->choices[i].answer, looks, candidate);
    }
}

static size_t answer_size(const struct zone_answer *answer)
{
    if (answer == NULL) {
        return 0;
    }
    return answer->kind == ZONE_LEAF ? answer->count : VALUES_LIMIT;
}

/* ---- sentences ---- */

static const char *check_sentence(struct explain *explain, const struct zone_record *record)
{
    if (record->check_id[0] == '\0') {
        return record->target_name == NULL ? "no health check, so always healthy" : NULL;
    }
    struct wall since = {0};
    if (check_is_healthy(explain->database, record->check_id, &since)) {
        return arena_printf(explain->arena, "health check %s is healthy", record->check_id);
    }
    char when[TIME_TEXT];
    wall_format(since, when);
    return arena_printf(explain->arena, "health check %s is unhealthy since %s", record->check_id,
                        when);
}

static const char *target_sentence(struct explain *explain, const struct zone_record *record)
{
    if (record->target_name == NULL) {
        return NULL;
    }
    const char *name = name_text(explain->arena, record->target_name);
    struct zone_target target = target_resolve(explain->database, record);
    if (target.depth > ZONE_ALIAS_LIMIT) {
        return arena_printf(explain->arena,
                            "alias target %s leads through more than %u aliases or in a circle",
                            name, ZONE_ALIAS_LIMIT);
    }
    if (!target.exists) {
        return arena_printf(explain->arena, "alias target %s has no record of this type here",
                            name);
    }
    if (!record->evaluate_target) {
        return arena_printf(explain->arena, "the health of alias target %s is not evaluated", name);
    }
    return arena_printf(explain->arena, "alias target %s has %s", name,
                        target.healthy ? "a healthy record" : "no healthy record");
}

/* Who is given such a record; for a client that is known, also why. */
static const char *where_sentence(struct explain *explain, const struct zone_group *group,
                                  size_t index)
{
    bool healthy = explain->database->candidates[index].healthy;
    bool served = explain->database->shares[index] != 0;
    bool nearest = group->policy == MODEL_LATENCY || group->policy == MODEL_GEOPROXIMITY;
    if (explain->client == NULL) {
        if (!healthy && !group->fallback) {
            return nearest ? "not served while it is unhealthy"
                           : "served only where nothing that is healthy matches the client";
        }
        return nearest ? "served to the clients that it is nearest to"
                       : "served to the clients that it matches best";
    }
    if (served) {
        const char *why = nearest ? "served: the nearest to this client that may be"
                                  : "served: the best match for this client";
        return healthy ? why : arena_printf(explain->arena, "%s; nothing healthy matches", why);
    }
    if (!healthy && !group->fallback) {
        return "not served while it is unhealthy";
    }
    return nearest ? "not served: another is nearer to this client"
                   : "not served: it does not match this client, or another matches better";
}

/* Why it is served, or not, by the group's policy. */
static const char *choice_sentence(struct explain *explain, const struct zone_group *group,
                                   size_t index, uint64_t total)
{
    const struct choose_candidate *candidate = &explain->database->candidates[index];
    uint32_t share = explain->database->shares[index];
    if (share != 0 && group->fallback && !policy_is_map((enum model_policy)group->policy)) {
        return "served: no record of the group is healthy, so all are treated as healthy";
    }
    if (share != 0 && group->policy == MODEL_WEIGHTED) {
        return arena_printf(explain->arena, "served to %.1f %% of queries",
                            100.0 * (double)share / (double)total);
    }
    if (policy_is_map((enum model_policy)group->policy)) {
        return where_sentence(explain, group, index);
    }
    if (share != 0) {
        return "served";
    }
    if (group->fallback && group->policy == MODEL_FAILOVER) {
        return "not served: no record of the group is healthy, so the PRIMARY is";
    }
    if (!candidate->healthy && !group->fallback) {
        return "not served while it is unhealthy";
    }
    if (group->policy == MODEL_FAILOVER) {
        return "not served while the PRIMARY is healthy";
    }
    if (group->policy == MODEL_WEIGHTED && candidate->weight == 0) {
        return "not served: weight 0 is used only when no record with a weight is healthy";
    }
    return "not served";
}

static const char *role_text(struct explain *explain, const struct zone_record *record)
{
    switch ((enum model_policy)record->policy) {
    case MODEL_FAILOVER:
        return record->secondary ? "SECONDARY" : "PRIMARY";
    case MODEL_WEIGHTED:
        return arena_printf(explain->arena, "weight %u", record->weight);
    case MODEL_LATENCY:
    case MODEL_GEOLOCATION:
    case MODEL_GEOPROXIMITY:
    case MODEL_CIDR:
        return arena_strdup(explain->arena, record->where->text);
    case MODEL_SIMPLE:
    case MODEL_MULTIVALUE:
        break;
    }
    return "";
}

static void fill_candidate(struct explain *explain, const struct zone_group *group,
                           const struct zone_record *record, size_t index, uint64_t total)
{
    struct zone_candidate *candidate = &explain->result->candidates[index];
    const struct zone_answer *answer = explain->database->choices[index];
    struct arena *arena = explain->arena;
    *candidate = (struct zone_candidate){
        .set_identifier = arena_strdup(arena, record->set_identifier),
        .role = role_text(explain, record),
        .health_check_id = arena_strdup(arena, record->check_id),
        .healthy = explain->database->candidates[index].healthy,
        .chosen = explain->database->shares[index] != 0,
        .values = arena_array(arena, answer_size(answer) + 1, sizeof(char *)),
        .alias = record->target_name != NULL ? name_text(arena, record->target_name) : "",
    };
    unsigned looks = LOOKS_LIMIT;
    answer_values(arena, answer, &looks, candidate);
    const char *check = check_sentence(explain, record);
    const char *target = target_sentence(explain, record);
    candidate->reason =
        arena_printf(arena, "%s%s%s; %s", check != NULL ? check : "",
                     check != NULL && target != NULL ? "; " : "", target != NULL ? target : "",
                     choice_sentence(explain, group, index, total));
}

/* The PRIMARY in front, then by set identifier: the order in which people think of them. */
static int reading_order(const void *left, const void *right)
{
    const struct zone_candidate *a = left;
    const struct zone_candidate *b = right;
    bool first = text_equal(a->role, "PRIMARY");
    if (first != text_equal(b->role, "PRIMARY")) {
        return first ? -1 : 1;
    }
    return strcmp(a->set_identifier, b->set_identifier);
}

/* Whom the policies that look at the client would take: shares for the one, instead of for any. */
static void choose_for_client(struct explain *explain, const struct zone_group *group, size_t count)
{
    struct zone_database *database = explain->database;
    if (explain->client == NULL || !policy_is_map((enum model_policy)group->policy) ||
        group->answer == NULL || group->answer->kind != ZONE_MAP) {
        return;
    }
    int choice = zone_map_choose(group->answer, explain->client);
    for (size_t i = 0; i < count; i++) {
        database->shares[i] =
            choice >= 0 && zone_map_record(group->answer, (size_t)choice) == i ? 1 : 0;
    }
    if (choice < 0) {
        explain->result->note =
            "no record matches this client and there is no default: NOERROR without an answer";
    }
}

static void explain_group(struct explain *explain, struct zone_group *group)
{
    struct zone_database *database = explain->database;
    unsigned depth = 0;
    size_t count = group_candidates(database, group, &depth);
    (void)choose((enum model_policy)group->policy, database->candidates, count,
                 database->shares); /* group->fallback says the same */
    choose_for_client(explain, group, count);
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += database->shares[i];
    }
    explain->result->policy = model_policy_name((enum model_policy)group->policy);
    explain->result->candidates =
        arena_array(explain->arena, count, sizeof explain->result->candidates[0]);
    size_t index = 0;
    for (const struct zone_record *record = group->records; record != NULL && index < count;
         record = record->next) {
        if (record->policy == group->policy) {
            fill_candidate(explain, group, record, index++, total);
        }
    }
    explain->result->candidate_count = index;
    qsort(explain->result->candidates, index, sizeof explain->result->candidates[0], reading_order);
    if (explain->result->note[0] != '\0') {
        return; /* nothing matches: that is the news */
    }
    if (group->fallback) {
        explain->result->note = "nothing is healthy: all records are treated as healthy";
    } else if (group->answer == NULL) {
        explain->result->note = "the alias has nothing to give: NOERROR without an answer";
    }
}

static void explain_plain(struct explain *explain, const struct zone_slot *slot)
{
    const struct zone_answer *leaf = zone_slot_answer(slot);
    struct zone_candidate *candidate = arena_alloc(explain->arena, sizeof *candidate);
    *candidate = (struct zone_candidate){
        .set_identifier = "",
        .role = "",
        .health_check_id = "",
        .healthy = true,
        .chosen = true,
        .reason = "no health check, so always healthy; served",
        .values = arena_array(explain->arena, answer_size(leaf) + 1, sizeof(char *)),
        .alias = "",
    };
    leaf_values(explain->arena, leaf, candidate);
    explain->result->policy = model_policy_name(MODEL_SIMPLE);
    explain->result->candidates = candidate;
    explain->result->candidate_count = 1;
}

/* ---- finding ---- */

/* The delegation that the name is at or below; NULL when there is none. */
static const struct zone_node *find_cut(struct explain *explain, const struct zone *zone,
                                        uint16_t type)
{
    for (unsigned label = (unsigned)explain->name.labels - zone->labels; label-- > 0;) {
        const struct zone_node *node = zone_find(zone, &explain->name, label);
        if (node != NULL && zone_node_has(node, ZONE_NODE_CUT)) {
            return label == 0 && type == RR_DS ? NULL : node;
        }
    }
    return NULL;
}

static const struct zone_node *find_node(struct explain *explain, const struct zone *zone)
{
    const struct zone_node *node = zone_find(zone, &explain->name, 0);
    unsigned apex = (unsigned)explain->name.labels - zone->labels;
    for (unsigned label = 1; node == NULL && label <= apex; label++) {
        const struct zone_node *encloser = zone_find(zone, &explain->name, label);
        if (encloser != NULL) {
            return zone_find_wildcard(zone, &explain->database->set, &explain->name, label);
        }
    }
    return node;
}

static void explain_node(struct explain *explain, const struct zone_owner *zone, uint16_t type)
{
    struct zone_explanation *result = explain->result;
    const struct zone_node *node = find_cut(explain, &zone->zone, type);
    if (node != NULL) {
        result->name = node_text(explain->arena, zone, node);
        result->note = arena_printf(explain->arena,
                                    "%s is delegated: the answer is a referral to its name servers",
                                    result->name);
        const struct zone_slot *slot = zone_node_slot(node, RR_NS);
        if (slot != NULL && slot->group == 0) {
            explain_plain(explain, slot);
        }
        return;
    }
    node = find_node(explain, &zone->zone);
    if (node == NULL) {
        result->note = "the name does not exist: NXDOMAIN";
        return;
    }
    result->name = node_text(explain->arena, zone, node);
    const struct zone_slot *slot = zone_node_slot(node, type);
    const char *note = "";
    if (slot == NULL) {
        slot = zone_node_slot(node, RR_CNAME);
        note = slot != NULL ? "the name is a CNAME: the answer goes on with its target" : NULL;
    }
    if (note == NULL) {
        result->note = node->slot_count == 0
                           ? "the name exists only as the parent of others: NOERROR without an "
                             "answer"
                           : "the name has no record of this type: NOERROR without an answer";
        return;
    }
    result->note = note;
    if (slot->group != 0) {
        explain_group(explain, explain->database->groups[slot->group]);
    } else {
        explain_plain(explain, slot);
    }
}

int zone_database_explain(struct zone_database *database, const char *name, uint16_t type,
                          struct zone_client *client, struct arena *arena,
                          struct zone_explanation *ret_explanation, struct err *err)
{
    uint8_t wire[NAME_WIRE_LIMIT];
    int length = name_from_text(name, true, wire);
    struct explain explain = {
        .database = database, .arena = arena, .result = ret_explanation, .client = client};
    if (length < 0 || zone_name_read(&explain.name, &database->set, wire, (size_t)length) == 0) {
        return err_set(err, ERR_INVALID, "%s is no domain name", name);
    }
    char type_text[16];
    rr_type_to_text(type, type_text);
    *ret_explanation = (struct zone_explanation){
        .zone_id = "",
        .zone_name = "",
        .name = name_text(arena, wire),
        .type = arena_strdup(arena, type_text),
        .policy = "",
        .note = "no hosted zone holds the name: REFUSED",
    };
    struct zone_owner *zone = owner_of_name(database, wire);
    if (zone == NULL) {
        return 0;
    }
    if (type == RR_DS && zone->zone.apex_length == length && wire[0] != 0) {
        struct zone_owner *parent = owner_of_name(database, wire + 1 + wire[0]);
        zone = parent != NULL ? parent : zone;
    }
    ret_explanation->zone_id = arena_strdup(arena, zone->id);
    ret_explanation->zone_name = name_text(arena, zone->zone.apex);
    explain_node(&explain, zone, type);
    return 0;
}

void zone_database_each_routed(struct zone_database *database,
                               bool (*visit)(void *context, const char *zone_id, const char *name,
                                             uint16_t type),
                               void *context)
{
    for (size_t i = 1; i < database->group_count; i++) {
        const struct zone_group *group = database->groups[i];
        if (group == NULL || group->policy == MODEL_SIMPLE || group->zone->doomed) {
            continue;
        }
        uint8_t wire[NAME_WIRE_LIMIT];
        char text[NAME_TEXT_LIMIT];
        (void)memcpy(wire, zone_node_name(group->node), group->node->name_length);
        (void)memcpy(wire + group->node->name_length, group->zone->zone.apex,
                     group->zone->zone.apex_length);
        name_to_text(wire, true, text);
        if (!visit(context, group->zone->id, text, group->type)) {
            return;
        }
    }
}
