/* Who votes: see electorate.h. Pure; called by check_table.c on the health loop. */
#include "health/electorate.h"

#include "base/text.h"

static const struct vote_ages ages = {
    .counts_ns = MODEL_BALLOT_AGE_MS * TIME_MS,
    .recent_ns = MODEL_BALLOT_RECENT_MS * TIME_MS,
};

static size_t find(const struct electorate *electorate, const char *name)
{
    size_t slot = 0;
    while (slot < electorate->count && !text_equal(electorate->sites[slot].name, name)) {
        slot++;
    }
    return slot < electorate->count ? slot : MODEL_SITES_LIMIT;
}

static void add(struct electorate *fresh, const struct electorate *old, const char *name,
                size_t ret_from[MODEL_SITES_LIMIT])
{
    size_t slot = fresh->count;
    size_t before = find(old, name);
    ret_from[slot] = before;
    if (before < MODEL_SITES_LIMIT) {
        fresh->sites[slot] = old->sites[before];
    } else if (text_copy(fresh->sites[slot].name, MODEL_SITE_NAME, name) != 0) {
        return; /* no site has such a name */
    }
    fresh->count++;
}

void electorate_set(struct electorate *electorate, const char *const *names, size_t count,
                    const char *own, size_t ret_from[MODEL_SITES_LIMIT])
{
    struct electorate old = *electorate;
    struct electorate fresh = {.count = 0};
    for (size_t i = 0; i < MODEL_SITES_LIMIT; i++) {
        ret_from[i] = MODEL_SITES_LIMIT;
    }
    add(&fresh, &old, own, ret_from);
    for (size_t i = 0; i < count && fresh.count < MODEL_SITES_LIMIT; i++) {
        if (find(&fresh, names[i]) == MODEL_SITES_LIMIT) {
            add(&fresh, &old, names[i], ret_from);
        }
    }
    size_t recent = 1;
    fresh.fresh = 1;
    for (size_t i = 1; i < fresh.count; i++) {
        fresh.fresh += fresh.sites[i].fresh ? 1 : 0;
        recent += fresh.sites[i].recent ? 1 : 0;
    }
    fresh.held = recent * 2 <= fresh.count;
    *electorate = fresh;
}

size_t electorate_hear(struct electorate *electorate, const char *name, struct mono made)
{
    size_t slot = find(electorate, name);
    if (slot == MODEL_SITES_LIMIT || slot == ELECTORATE_SELF) {
        return MODEL_SITES_LIMIT;
    }
    struct electorate_site *site = &electorate->sites[slot];
    if (site->ever && site->heard.ns > made.ns) {
        return MODEL_SITES_LIMIT;
    }
    site->ever = true;
    site->heard = made;
    return slot;
}

static bool is_younger(const struct electorate *electorate, size_t slot, int64_t age_ns,
                       struct mono now)
{
    const struct electorate_site *site = &electorate->sites[slot];
    return slot == ELECTORATE_SELF || (site->ever && mono_since(now, site->heard) <= age_ns);
}

bool electorate_refresh(struct electorate *electorate, struct mono now)
{
    bool changed = false;
    bool held = electorate->held;
    size_t recent = 0;
    electorate->fresh = 0;
    for (size_t slot = 0; slot < electorate->count; slot++) {
        struct electorate_site *site = &electorate->sites[slot];
        bool fresh = is_younger(electorate, slot, ages.counts_ns, now);
        changed = changed || fresh != site->fresh;
        site->fresh = fresh;
        site->recent = is_younger(electorate, slot, ages.recent_ns, now);
        electorate->fresh += fresh ? 1 : 0;
        recent += site->recent ? 1 : 0;
    }
    electorate->held = recent * 2 <= electorate->count;
    return changed || electorate->held != held;
}

struct vote_result electorate_decide(const struct electorate *electorate, enum vote_rule rule,
                                     enum model_vote own, const uint8_t *votes, bool present,
                                     struct mono now)
{
    struct vote_ballot ballots[MODEL_SITES_LIMIT];
    for (size_t slot = 0; slot < electorate->count; slot++) {
        const struct electorate_site *site = &electorate->sites[slot];
        bool self = slot == ELECTORATE_SELF;
        unsigned vote = self ? (unsigned)own : votes[slot];
        ballots[slot] = (struct vote_ballot){
            .cast = vote != MODEL_VOTE_NONE && (self || site->ever),
            .healthy = vote == MODEL_VOTE_HEALTHY,
            .heard = self ? now : site->heard,
        };
    }
    return vote_decide(rule, ballots, electorate->count, &ages, present, now);
}
