/* What a name may hold after a batch: types beside each other, policies of one group, the apex; see
 * batch.h. Called by change.c on API threads, once a batch. Only records that the batch puts are
 * blamed, so a name that is fine stays changeable. Linear in the records of the touched names.
 * Messages are Route 53's own where they are known. Invariant: a batch without a message leaves
 * every touched name in a state that the DNS server can serve. */
#include "base/text.h"
#include "dns/wire/rdata.h"
#include "model/path.h"
#include "service/route53/batch.h"
#include "service/route53/traffic.h"

#include <errno.h>
#include <string.h>

#define GROUP_LIMIT 100U
#define GROUP_LIMIT_MULTIVALUE 200U

/* All records of one name and type. */
struct group {
    size_t simple;
    size_t policies[MODEL_CIDR + 1];
    size_t routed;
    size_t failovers[2];
    int64_t ttl; /* of the weighted records that have one; -1: none; -2: they differ */
};

struct name_state {
    bool apex;
    bool cname;
    size_t types;
};

static bool put_by_batch(const struct batch_slot *slot)
{
    return slot->after != NULL && slot->tree != NULL;
}

static struct group sum_up(const struct batch_slot *slots, size_t count)
{
    struct group group = {.ttl = -1};
    for (size_t i = 0; i < count; i++) {
        const struct model_record_set *record = slots[i].after;
        if (record == NULL) {
            continue;
        }
        if (record->policy == MODEL_SIMPLE) {
            group.simple++;
            continue;
        }
        group.routed++;
        group.policies[record->policy]++;
        if (record->policy == MODEL_FAILOVER) {
            group.failovers[record->failover]++;
        }
        if (record->policy == MODEL_WEIGHTED && record->alias == NULL) {
            int64_t ttl = record->ttl_s;
            group.ttl = group.ttl == -1 || group.ttl == ttl ? ttl : -2;
        }
    }
    return group;
}

/* "RRSet with DNS name x., type A, SetIdentifier y" */
static const char *describe(const struct batch *batch, const struct batch_slot *slot)
{
    return arena_printf(batch->call->arena, "RRSet with DNS name %s, type %s, SetIdentifier %s",
                        slot->after->name, slot->type, slot->after->set_identifier);
}

static void judge_policy(struct batch *batch, const struct batch_slot *slot,
                         const struct group *group)
{
    const struct model_record_set *record = slot->after;
    if (group->policies[record->policy] == group->routed && group->simple == 0) {
        return;
    }
    if (record->policy == MODEL_MULTIVALUE) {
        batch_problem(batch,
                      "%s cannot be created because a non multivalue answer rrset exists with the "
                      "same name and type.",
                      describe(batch, slot));
    } else {
        batch_problem(batch,
                      "%s cannot be created as a non-%s set exists with the same name and type.",
                      describe(batch, slot), model_policy_name(record->policy));
    }
}

static void judge_failover(struct batch *batch, const struct batch_slot *slot,
                           const struct group *group)
{
    const struct model_record_set *record = slot->after;
    bool primary = record->failover == MODEL_PRIMARY;
    if (group->failovers[record->failover] > 1) {
        batch_problem(
            batch,
            "%s cannot be created as a failover set with the value %s exists with the same "
            "name and type.",
            describe(batch, slot), primary ? "PRIMARY" : "SECONDARY");
    }
    if (primary && record->alias == NULL && record->health_check_id[0] == '\0') {
        batch_problem(batch, "A non-alias primary ResourceRecordSet must have an associated health "
                             "check.");
    }
}

static void judge_routed(struct batch *batch, const struct batch_slot *slot,
                         const struct group *group, const struct batch_slot *slots, size_t count)
{
    const struct model_record_set *record = slot->after;
    judge_policy(batch, slot, group);
    batch_judge_place(batch, slot, slots, count);
    if (record->policy == MODEL_FAILOVER) {
        judge_failover(batch, slot, group);
    }
    if (record->policy == MODEL_WEIGHTED && record->alias == NULL && group->ttl == -2) {
        batch_problem(batch, "%s cannot be created as weighted sets must contain the same TTL.",
                      describe(batch, slot));
    }
    size_t limit = record->policy == MODEL_MULTIVALUE ? GROUP_LIMIT_MULTIVALUE : GROUP_LIMIT;
    if (group->routed > limit) {
        batch_problem(batch,
                      "%s cannot be created as there would be more than %zu sets with the same "
                      "name and type.",
                      describe(batch, slot), limit);
    }
}

/* Records with the same name and type. */
static void judge_group(struct batch *batch, const struct batch_slot *slots, size_t count)
{
    struct group group = sum_up(slots, count);
    for (size_t i = 0; i < count; i++) {
        const struct batch_slot *slot = &slots[i];
        if (!put_by_batch(slot)) {
            continue;
        }
        if (slot->after->policy != MODEL_SIMPLE) {
            judge_routed(batch, slot, &group, slots, count);
        } else if (group.routed > 0) {
            batch_problem(batch,
                          "RRSet with DNS name %s, type %s cannot be created as other RRSets exist "
                          "with the same name and type.",
                          slot->after->name, slot->type);
        }
    }
}

/* One record beside the other types of its name, and at its place in the zone. */
static void judge_place(struct batch *batch, const struct batch_slot *slot,
                        const struct name_state *state)
{
    const struct model_record_set *record = slot->after;
    const char *zone = batch->zone.model.name;
    if (state->apex && (record->type == RR_CNAME || record->type == RR_DS)) {
        batch_problem(batch,
                      "RRSet of type %s with DNS name %s is not permitted at apex in zone %s",
                      slot->type, record->name, zone);
        return;
    }
    if (!state->apex && record->type == RR_SOA) {
        batch_problem(batch, "RRSet of type SOA with DNS name %s is not permitted in zone %s",
                      record->name, zone);
    }
    if (record->type == RR_CNAME && state->types > 1) {
        batch_problem(batch,
                      "RRSet of type CNAME with DNS name %s is not permitted as it conflicts with "
                      "other records with the same DNS name in zone %s",
                      record->name, zone);
    } else if (record->type != RR_CNAME && state->cname) {
        batch_problem(
            batch,
            "RRSet of type %s with DNS name %s is not permitted because a conflicting RRSet "
            "of type CNAME with the same DNS name already exists in zone %s",
            slot->type, record->name, zone);
    }
}

/* The zone's own SOA and NS stay. */
static void judge_apex(struct batch *batch, const struct batch_slot *slots, size_t count)
{
    bool soa = false;
    bool ns = false;
    for (size_t i = 0; i < count; i++) {
        soa = soa || (slots[i].after != NULL && slots[i].after->type == RR_SOA);
        ns = ns || (slots[i].after != NULL && slots[i].after->type == RR_NS);
    }
    if (!soa) {
        batch_problem(batch, "A HostedZone must contain exactly one SOA record.");
    }
    if (!ns) {
        batch_problem(batch,
                      "A HostedZone must contain at least one NS record for the zone itself.");
    }
}

/* How many slots from the first on are of its type. */
static size_t group_size(const struct batch_slot *slots, size_t count)
{
    size_t size = 1;
    while (size < count && text_equal(slots[size].type, slots[0].type)) {
        size++;
    }
    return size;
}

static struct name_state survey(const struct batch *batch, const char *name,
                                const struct batch_slot *slots, size_t count)
{
    struct name_state state = {.apex = text_equal(name, batch->zone.model.name)};
    for (size_t at = 0; at < count;) {
        size_t size = group_size(slots + at, count - at);
        bool lives = false;
        for (size_t i = at; i < at + size; i++) {
            lives = lives || slots[i].after != NULL;
        }
        state.types += lives ? 1 : 0;
        state.cname = state.cname || (lives && text_equal(slots[at].type, "CNAME"));
        at += size;
    }
    return state;
}

int batch_judge_check(struct batch *batch, const struct batch_slot *slot, struct err *err)
{
    const char *id = slot->after->health_check_id;
    if (id[0] == '\0') {
        return 0;
    }
    struct store_entry entry;
    const char *key = path_join(batch->call->arena, PATH_CHECKS, id);
    int rc = store_get(service_context(batch->call)->store, key, batch->call->arena, &entry, err);
    if (rc == -ENOENT) {
        return aws_error(batch->call, err, "NoSuchHealthCheck",
                         "A health check with id %.64s does not exist.", id);
    }
    if (rc == 0) {
        store_txn_require_present(batch->txn, key);
    }
    return rc;
}

/* All slots of one name. */
static int judge_name(struct batch *batch, const char *name, const struct batch_slot *slots,
                      size_t count, struct err *err)
{
    struct name_state state = survey(batch, name, slots, count);
    if (state.apex) {
        judge_apex(batch, slots, count);
    }
    for (size_t at = 0; at < count; at += group_size(slots + at, count - at)) {
        judge_group(batch, slots + at, group_size(slots + at, count - at));
    }
    for (size_t i = 0; i < count; i++) {
        if (!put_by_batch(&slots[i])) {
            continue;
        }
        judge_place(batch, &slots[i], &state);
        int rc = traffic_judge_name(batch, name, err);
        if (rc == 0) {
            rc = batch_judge_check(batch, &slots[i], err);
        }
        if (rc == 0) {
            rc = batch_judge_location(batch, &slots[i], err);
        }
        if (rc == 0) {
            rc = batch_judge_alias(batch, &slots[i], err);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* The part of a record's key that all records of its name share. */
static size_t name_part(const char *key)
{
    const char *end = strstr(key, "!/");
    return end != NULL ? (size_t)(end - key) + 2 : strlen(key);
}

int batch_judge(struct batch *batch, struct err *err)
{
    for (size_t at = 0; at < batch->slot_count;) {
        const char *key = batch->slots[at].key;
        size_t part = name_part(key);
        size_t end = at + 1;
        while (end < batch->slot_count && strncmp(batch->slots[end].key, key, part) == 0) {
            end++;
        }
        struct path_record_parts parts;
        if (path_record_split(batch->call->arena, key, &parts) != 0) {
            return err_set(err, ERR_CORRUPT, "%.200s is no key of a record set", key);
        }
        int rc = judge_name(batch, parts.name, batch->slots + at, end - at, err);
        if (rc != 0) {
            return rc;
        }
        at = end;
    }
    return 0;
}
