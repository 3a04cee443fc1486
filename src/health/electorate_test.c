/* Votes between sites: the electorate's rules, and a simulation of five sites on a virtual clock
 * with random cuts between them, from a seed that is printed. Invariants: a verdict changes only
 * while more than half of the sites are heard; once all cuts are healed, all sites agree, and with
 * what the rule makes of all votes. LEEWARD_SEED=n runs one seed again. */
#include "health/electorate.h"

#include "base/macro.h"
#include "base/random.h"
#include "base/text.h"
#include "health/test_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SITES 5U
#define SEEDS 200U
#define STEPS 2000U
#define PERIOD (1000 * TIME_MS)

static const char *const names[SITES] = {"a", "b", "c", "d", "e"};

struct site {
    struct electorate electorate;
    enum model_vote vote;
    uint8_t votes[MODEL_SITES_LIMIT];
    bool verdict;
    struct mono next;
};

struct world {
    struct random random;
    struct mono now;
    enum vote_rule rule;
    struct site sites[SITES];
    bool cut[SITES][SITES]; /* from, to */
};

static uint32_t below(struct world *world, uint32_t bound)
{
    return random_below(&world->random, bound);
}

static void begin_site(struct site *site, size_t own)
{
    size_t from[MODEL_SITES_LIMIT];
    *site = (struct site){.vote = MODEL_VOTE_NONE, .verdict = true};
    electorate_set(&site->electorate, names, SITES, names[own], from);
}

static size_t slot_of(const struct site *site, const char *name)
{
    size_t slot = 0;
    while (!text_equal(site->electorate.sites[slot].name, name)) {
        slot++;
    }
    return slot;
}

static void decide(struct world *world, struct site *site)
{
    (void)electorate_refresh(&site->electorate, world->now);
    bool before = site->verdict;
    site->verdict = electorate_decide(&site->electorate, world->rule, site->vote, site->votes,
                                      site->verdict, world->now)
                        .healthy;
    if (site->verdict != before) {
        size_t recent = 0;
        for (size_t slot = 0; slot < SITES; slot++) {
            recent += site->electorate.sites[slot].recent ? 1 : 0;
        }
        assert_false(site->electorate.held);
        assert_true(recent * 2 > SITES);
    }
}

/* A table arrives some time after it was made, or not at all. */
static void cast(struct world *world, size_t from)
{
    struct mono made = {world->now.ns - below(world, 500) * TIME_MS};
    for (size_t to = 0; to < SITES; to++) {
        struct site *site = &world->sites[to];
        if (to == from || world->cut[from][to]) {
            continue;
        }
        size_t slot = electorate_hear(&site->electorate, names[from], made);
        if (slot < MODEL_SITES_LIMIT) {
            assert_int_equal(slot, slot_of(site, names[from]));
            site->votes[slot] = (uint8_t)world->sites[from].vote;
            decide(world, site);
        }
    }
}

static void disturb(struct world *world)
{
    size_t one = below(world, SITES);
    size_t other = below(world, SITES);
    switch (below(world, 40)) {
    case 0:
    case 1:
        world->cut[one][other] = !world->cut[one][other];
        break;
    case 2:
        (void)memset(world->cut, 0, sizeof world->cut);
        break;
    case 3:
        for (size_t i = 0; i < SITES; i++) { /* it hears, but nobody hears it */
            world->cut[one][i] = true;
        }
        break;
    case 4:
    case 5:
        world->sites[one].vote = below(world, 2) == 0 ? MODEL_VOTE_HEALTHY : MODEL_VOTE_UNHEALTHY;
        decide(world, &world->sites[one]);
        cast(world, one);
        break;
    case 6: { /* it begins again, with the verdict that it had */
        bool verdict = world->sites[one].verdict;
        begin_site(&world->sites[one], one);
        world->sites[one].verdict = verdict;
        break;
    }
    default:
        break;
    }
}

static void step(struct world *world)
{
    world->now.ns += (1 + below(world, 200)) * TIME_MS;
    for (size_t i = 0; i < SITES; i++) {
        decide(world, &world->sites[i]);
        if (world->sites[i].next.ns <= world->now.ns) {
            world->sites[i].next.ns = world->now.ns + PERIOD;
            cast(world, i);
        }
    }
}

static bool expected(const struct world *world)
{
    size_t healthy = 0;
    for (size_t i = 0; i < SITES; i++) {
        healthy += world->sites[i].vote == MODEL_VOTE_HEALTHY ? 1 : 0;
    }
    return world->rule == VOTE_MAJORITY ? healthy * 2 > SITES : healthy * 100 > (size_t)SITES * 18;
}

static void run_seed(uint64_t seed)
{
    static struct world world;
    world = (struct world){.now = {100 * TIME_S}};
    random_init(&world.random, seed);
    world.rule = below(&world, 2) == 0 ? VOTE_EIGHTEEN_PERCENT : VOTE_MAJORITY;
    for (size_t i = 0; i < SITES; i++) {
        begin_site(&world.sites[i], i);
    }
    for (unsigned i = 0; i < STEPS; i++) {
        disturb(&world);
        step(&world);
    }
    (void)memset(world.cut, 0, sizeof world.cut);
    for (size_t i = 0; i < SITES; i++) {
        world.sites[i].vote = below(&world, 2) == 0 ? MODEL_VOTE_HEALTHY : MODEL_VOTE_UNHEALTHY;
    }
    for (unsigned i = 0; i < 100; i++) {
        step(&world);
    }
    for (size_t i = 0; i < SITES; i++) {
        assert_int_equal(world.sites[i].electorate.fresh, SITES);
        assert_int_equal(world.sites[i].verdict, expected(&world));
    }
}

static void no_verdict_changes_without_a_majority_and_all_agree_after_cuts(void **state)
{
    (void)state;
    test_seeds(SEEDS, run_seed);
}

/* Of `count` sites the first `together` find a check unhealthy, and are cut off from the others,
 * whose last tables are of different ages: they must not turn the verdict as these run out. */
static void cut_off(size_t count, size_t together)
{
    struct electorate electorate = {.count = 0};
    size_t from[MODEL_SITES_LIMIT];
    uint8_t votes[MODEL_SITES_LIMIT] = {MODEL_VOTE_NONE};
    struct mono cut = {100 * TIME_S};
    electorate_set(&electorate, names, count, names[0], from);
    for (size_t i = 1; i < count; i++) {
        bool far = i >= together;
        struct mono made = {cut.ns - (far ? (int64_t)(i - together) * 950 * TIME_MS : 0)};
        size_t slot = electorate_hear(&electorate, names[i], made);
        votes[slot] = far ? MODEL_VOTE_HEALTHY : MODEL_VOTE_UNHEALTHY;
    }
    for (int64_t ms = 0; ms < 10000; ms += 50) {
        struct mono now = {cut.ns + ms * TIME_MS};
        for (size_t i = 1; i < together; i++) {
            (void)electorate_hear(&electorate, names[i], now); /* has a slot */
        }
        (void)electorate_refresh(&electorate, now);
        assert_true(
            electorate_decide(&electorate, VOTE_MAJORITY, MODEL_VOTE_UNHEALTHY, votes, true, now)
                .healthy);
    }
    assert_true(electorate.held);
}

static void those_who_are_cut_off_do_not_win_as_votes_run_out(void **state)
{
    (void)state;
    cut_off(3, 1);
    cut_off(5, 1);
    cut_off(5, 2);
}

static void a_table_that_is_older_or_of_a_stranger_is_left_aside(void **state)
{
    (void)state;
    struct site site;
    begin_site(&site, 0);
    assert_int_equal(electorate_hear(&site.electorate, "b", (struct mono){10}), 1);
    assert_int_equal(electorate_hear(&site.electorate, "b", (struct mono){9}), MODEL_SITES_LIMIT);
    assert_int_equal(electorate_hear(&site.electorate, "a", (struct mono){10}), MODEL_SITES_LIMIT);
    assert_int_equal(electorate_hear(&site.electorate, "x", (struct mono){10}), MODEL_SITES_LIMIT);
}

static void sites_keep_their_tables_when_the_list_changes(void **state)
{
    (void)state;
    struct site site;
    size_t from[MODEL_SITES_LIMIT];
    const char *const fewer[] = {"e", "c", "a"};
    begin_site(&site, 0);
    struct mono now = {TIME_S};
    assert_int_equal(electorate_hear(&site.electorate, "c", now), 2);
    assert_true(electorate_refresh(&site.electorate, now));
    assert_true(site.electorate.held);
    electorate_set(&site.electorate, fewer, ARRAY_SIZE(fewer), "a", from);
    assert_int_equal(site.electorate.count, 3);
    assert_int_equal(from[0], 0);
    assert_int_equal(from[1], 4);
    assert_int_equal(from[2], 2);
    assert_int_equal(site.electorate.fresh, 2);
    assert_false(site.electorate.held);
    electorate_set(&site.electorate, fewer, 0, "a", from);
    assert_true(electorate_is_alone(&site.electorate));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_verdict_changes_without_a_majority_and_all_agree_after_cuts),
        cmocka_unit_test(those_who_are_cut_off_do_not_win_as_votes_run_out),
        cmocka_unit_test(a_table_that_is_older_or_of_a_stranger_is_left_aside),
        cmocka_unit_test(sites_keep_their_tables_when_the_list_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
