/* A simulation of many sites and checks on a virtual clock: random results, random loss of tables
 * between the sites, random resets and restarts, from a seed that is printed.
 *
 * Invariants: a vote changes only with a threshold's worth of consecutive results against it; a
 * verdict changes only with fresh ballots of a majority; a latched check is never healthy; a site
 * that stands alone decides as its own results do; a restart changes neither vote nor outcome of
 * such a site. LEEWARD_SEED=n runs one seed again. */
#include "base/macro.h"
#include "base/random.h"
#include "health/count.h"
#include "health/schedule.h"
#include "health/test_support.h"
#include "health/vote.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SITES 5U
#define SEEDS 200U
#define STEPS 2000U
#define AGE_LIMIT (3 * TIME_S)

struct site {
    struct count_rules rules;
    struct schedule schedule;
    struct count_state count;
    struct mono next_probe;
    bool last_result;
    uint32_t streak; /* consecutive equal results, counted independently */
    struct vote_ballot ballots[SITES];
    bool verdict;
    struct count_outcome outcome;
};

struct world {
    struct random random;
    struct mono now;
    enum vote_rule rule;
    size_t sites;
    uint32_t failing; /* per cent of the probes */
    uint32_t lossy;   /* per cent of the tables */
    struct site site[SITES];
};

static uint32_t below(struct world *world, uint32_t bound)
{
    return random_below(&world->random, bound);
}

static void begin(struct world *world, uint64_t seed)
{
    *world = (struct world){.now = {TIME_S}};
    random_init(&world->random, seed);
    world->rule = below(world, 2) == 0 ? VOTE_EIGHTEEN_PERCENT : VOTE_MAJORITY;
    world->sites = 1 + below(world, SITES);
    world->failing = below(world, 101);
    world->lossy = below(world, 101);
    struct count_rules rules = {.failures_down = 1 + below(world, 5),
                                .successes_up = 1 + below(world, 5),
                                .inverted = below(world, 4) == 0,
                                .disabled = below(world, 10) == 0,
                                .latch = below(world, 2) == 0};
    for (size_t i = 0; i < world->sites; i++) {
        struct site *site = &world->site[i];
        uint64_t hash = random_next(&world->random);
        site->rules = rules;
        site->count = count_begin();
        site->verdict = true;
        site->outcome = count_outcome_begin(&rules, true, false);
        site->schedule = schedule_make(TIME_S, hash);
        site->next_probe = schedule_first(&site->schedule, hash, world->now);
    }
}

static void check_result(const struct site *site, const struct count_state *before, bool passed)
{
    uint32_t needed = passed ? site->rules.successes_up : site->rules.failures_down;
    if (site->count.raw != before->raw) {
        assert_int_equal(site->count.raw, passed);
        assert_true(site->streak >= needed);
    } else {
        /* Nor does it stay when the threshold is reached. */
        assert_true(site->count.raw == passed || site->streak < needed);
    }
}

static void probe(struct world *world, struct site *site)
{
    bool passed = below(world, 100) >= world->failing;
    site->streak = passed == site->last_result ? site->streak + 1 : 1;
    site->last_result = passed;
    struct count_state before = site->count;
    site->count = count_result(&site->rules, &before, passed);
    check_result(site, &before, passed);
    struct mono next = schedule_next(&site->schedule, world->now);
    assert_in_range(next.ns - world->now.ns, 1, TIME_S);
    site->next_probe = next;
}

/* A site's own ballot never goes stale; the others' arrive or are lost. */
static void exchange(struct world *world, size_t from)
{
    for (size_t to = 0; to < world->sites; to++) {
        if (to == from || below(world, 100) >= world->lossy) {
            world->site[to].ballots[from] = (struct vote_ballot){
                .cast = true, .healthy = world->site[from].count.raw, .heard = world->now};
        }
    }
}

static void decide(struct world *world, size_t at)
{
    struct site *site = &world->site[at];
    const struct vote_ages ages = {.counts_ns = AGE_LIMIT, .recent_ns = AGE_LIMIT / 2};
    struct vote_result vote =
        vote_decide(world->rule, site->ballots, world->sites, &ages, site->verdict, world->now);
    size_t fresh = 0;
    for (size_t i = 0; i < world->sites; i++) {
        const struct vote_ballot *ballot = &site->ballots[i];
        fresh += ballot->cast && world->now.ns - ballot->heard.ns <= ages.recent_ns ? 1 : 0;
    }
    if (vote.healthy != site->verdict) {
        assert_true(fresh > world->sites / 2);
    }
    if (world->sites == 1) {
        assert_int_equal(vote.healthy, site->count.raw);
    }
    site->verdict = vote.healthy;
    struct count_outcome before = site->outcome;
    site->outcome = count_outcome_step(&site->rules, &before, site->verdict, COUNT_VERDICT);
    assert_true(!before.latched || site->outcome.latched);
    if (site->rules.disabled) {
        assert_int_equal(site->outcome.healthy, !site->rules.inverted);
    } else if (site->outcome.latched) {
        assert_false(site->outcome.healthy);
    } else {
        assert_int_equal(site->outcome.healthy, site->verdict != site->rules.inverted);
    }
    if (!before.latched && site->outcome.latched) {
        assert_true(before.healthy && site->rules.latch);
    }
}

static void operate(struct world *world, struct site *site)
{
    if (below(world, 50) == 0) {
        site->outcome =
            count_outcome_step(&site->rules, &site->outcome, site->verdict, COUNT_LATCH_RESET);
        assert_false(site->outcome.latched);
    }
    if (below(world, 100) == 0) {
        world->failing = below(world, 101);
        world->lossy = below(world, 101);
    }
}

/* The process ends and begins again with what was kept; tables of others are forgotten. */
static void restart(struct world *world, size_t at)
{
    struct site *site = &world->site[at];
    struct site before = *site;
    struct count_kept kept = {.vote = site->count.raw,
                              .verdict = site->verdict,
                              .healthy = site->outcome.healthy,
                              .latched = site->outcome.latched};
    bool keeps = count_keeps(&site->rules, &site->count, site->verdict, &site->outcome);
    site->count = keeps ? count_restore(&site->rules, &kept) : count_begin();
    site->streak = 0;
    (void)memset(site->ballots, 0, sizeof site->ballots);
    if (world->sites == 1) {
        site->verdict = site->count.raw;
        site->outcome = count_outcome_begin(&site->rules, site->verdict, keeps && kept.latched);
        assert_int_equal(site->outcome.healthy, before.outcome.healthy);
    }
    assert_int_equal(site->outcome.latched, before.outcome.latched);
    if (!site->rules.disabled && (kept.vote || kept.healthy == site->rules.inverted)) {
        assert_int_equal(site->count.raw, before.count.raw);
    }
}

static void run_seed(uint64_t seed)
{
    static struct world world;
    begin(&world, seed);
    for (unsigned step = 0; step < STEPS; step++) {
        world.now.ns += (1 + below(&world, 300)) * TIME_MS;
        for (size_t i = 0; i < world.sites; i++) {
            struct site *site = &world.site[i];
            if (site->next_probe.ns <= world.now.ns) {
                probe(&world, site);
            }
            exchange(&world, i);
            decide(&world, i);
            operate(&world, site);
            if (below(&world, 40) == 0) {
                restart(&world, i);
            }
        }
    }
}

static void votes_and_outcomes_keep_their_invariants_for_any_seed(void **state)
{
    (void)state;
    test_seeds(SEEDS, run_seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(votes_and_outcomes_keep_their_invariants_for_any_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
