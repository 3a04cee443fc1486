/* Addresses for members without one: see addresses.h. The groups thread. Logs. Invariant: an
 * address is given to a member whose record is as it was looked at, and to none while another
 * member of the region has it; where the API gives it away in the same moment, the one whose id
 * comes later has no data yet, and gets another one. */
#include "database/agent/addresses.h"

#include "base/log.h"
#include "base/text.h"

#include <string.h>

/* Another member of the region, whichever group it is of, with this address. */
static const struct view_member *holder(struct view_group *const *groups, size_t count,
                                        const struct model_database_member *except,
                                        const char *address)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < groups[i]->member_count; k++) {
            const struct view_member *member = &groups[i]->members[k];
            if (!text_equal(member->member.id, except->id) &&
                text_equal(member->member.region, except->region) &&
                text_equal(member->member.address, address)) {
                return member;
            }
        }
    }
    return NULL;
}

static const struct database_agent_region *region_of(const struct database_agent *agent,
                                                     const char *region)
{
    for (size_t i = 0; i < agent->config.region_count; i++) {
        if (text_equal(agent->config.regions[i].name, region)) {
            return &agent->config.regions[i];
        }
    }
    return NULL;
}

/* It has none; or one that it must leave to another one. */
static bool wants_address(struct view_group *const *groups, size_t count,
                          const struct view_member *member)
{
    const struct model_database_member *record = &member->member;
    if (!text_empty(record->attached) || record->deleted) {
        return false;
    }
    if (text_empty(record->address)) {
        return true;
    }
    const struct view_member *other = holder(groups, count, record, record->address);
    return other != NULL && member->seen.system_id == 0 &&
           (other->seen.system_id != 0 || strcmp(other->member.id, record->id) < 0);
}

static void give(struct database_agent *agent, const struct view_member *member,
                 const char *address)
{
    static struct log_limit limit;
    struct arena arena CLEANUP(arena_done);
    struct err err = ERR_INIT;
    int64_t revision = 0;
    struct model_database_member record = member->member;
    arena_init(&arena, 0);
    record.address = address;
    const char *key = model_database_member_key(&arena, record.group, record.id);
    const char *value = model_database_member_encode(&arena, &record, &member->record.stored);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    store_txn_require_revision(txn, key, member->record.revision);
    store_txn_put(txn, key, value, strlen(value));
    if (store_commit(agent->config.store, txn, &revision, &err) == 0) {
        view_learn(agent->view, key, value, revision);
        log_info("database.address_given", F("member", record.id), F("instance", record.instance),
                 F("address", address));
    } else if (err.kind != ERR_CONFLICT && log_limit_allows(&limit, 1)) {
        log_warn("database.address_not_given", F("member", record.id), F("reason", &err),
                 F("next", "tried again"));
    }
}

static bool assign(struct database_agent *agent, struct view_group *const *groups, size_t count,
                   const struct view_member *member)
{
    static struct log_limit limit;
    const struct database_agent_region *region = region_of(agent, member->member.region);
    if (region == NULL || region->address_count == 0 || !wants_address(groups, count, member)) {
        return false;
    }
    for (size_t i = 0; i < region->address_count; i++) {
        if (holder(groups, count, &member->member, region->addresses[i]) == NULL) {
            give(agent, member, region->addresses[i]);
            return true;
        }
    }
    if (log_limit_allows(&limit, 1)) {
        log_error("database.no_address", F("region", region->name),
                  F("instance", member->member.instance),
                  F("next", "it is made once database.addresses has more"));
    }
    return false;
}

void addresses_assign(struct database_agent *agent, struct view_group *const *groups, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < groups[i]->member_count; k++) {
            if (assign(agent, groups, count, &groups[i]->members[k])) {
                return;
            }
        }
    }
}
