/* Replication groups in a world with faults: see sim.h. Invariants, for every seed:
 *
 *   never two servers acknowledge at the same time: the epoch under which rows are acknowledged
 *   never goes down, and one epoch has one server;
 *   no row that was acknowledged is lost by a switchover, or by a failover in synchronous mode that
 *   nobody asked for;
 *   rows that are lost are exactly those that were put aside and reported, and every failover that
 *   loses has its record;
 *   what a bounded writer acknowledges freely comes after what another one has by the bound at
 * most; servers that stream from each other have the same log; once faults end it comes back to one
 * writer and its readers, in a bounded time and few epochs.
 *
 * LEEWARD_SEED=n runs one seed again, with its story; LEEWARD_SEEDS=n and LEEWARD_STEPS=n make a
 * run longer (make sim). */
#include "database/core/sim.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEDS 200
#define STEPS 3000
#define MISTAKE_SEEDS 400

static struct sim sim;

static int64_t setting(const char *name, int64_t fallback)
{
    const char *text = getenv(name); /* NOLINT(concurrency-mt-unsafe): one thread */
    int64_t value = fallback;
    if (text != NULL && text_to_i64(text, 0, INT64_MAX, &value) != 0) {
        fail_msg("%s is no number", name);
    }
    return value;
}

static void it_holds_for_any_seed(void **state)
{
    (void)state;
    uint64_t only = (uint64_t)setting("LEEWARD_SEED", 0);
    uint64_t seeds = only != 0 ? 1 : (uint64_t)setting("LEEWARD_SEEDS", SEEDS);
    uint64_t first = only != 0 ? only : (uint64_t)setting("LEEWARD_FIRST", 1);
    size_t steps = (size_t)setting("LEEWARD_STEPS", STEPS);
    size_t done = 0;
    size_t takes = 0;
    size_t lossy = 0;
    size_t fences = 0;
    size_t confirmed = 0;
    size_t made_anew = 0;
    size_t transitions[ARRAY_SIZE(sim.transitions)] = {0};
    size_t actions[ARRAY_SIZE(sim.actions)] = {0};
    size_t wrong = 0;
    sim.trace = only != 0;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        sim_begin(&sim, seed, SIM_NO_MISTAKE);
        sim_run(&sim, steps);
        done += sim.step;
        takes += sim.takes;
        lossy += sim.lossy;
        fences += sim.fences;
        confirmed += sim.confirmed;
        made_anew += sim.made_anew;
        for (size_t i = 0; i < ARRAY_SIZE(transitions); i++) {
            transitions[i] += sim.transitions[i];
            actions[i] += sim.actions[i];
        }
        if (!text_empty(sim.wrong)) {
            print_message("# %s\n", sim.wrong);
            wrong++;
        }
    }
    print_message("# %zu steps, %zu changes of the writer, %zu of them with a loss\n", done, takes,
                  lossy);
    print_message("# %zu servers fenced by agents, %zu by hand\n", fences, confirmed);
    print_message("# %zu readers made anew, as their log was thrown away\n", made_anew);
#define X(name) print_message("#   %-22s %zu\n", #name, transitions[DATABASE_TRANSITION_##name]);
    DATABASE_TRANSITIONS(X)
#undef X
#define X(name, what) print_message("#   %-22s %zu\n", #name, actions[DATABASE_ACTION_##name]);
    DATABASE_ACTIONS(X)
#undef X
    assert_int_equal(wrong, 0);
}

/* The judge would be worth nothing if it did not see what it is there for. */
static void it_finds_mistakes_that_are_made_on_purpose(void **state)
{
    static const char *const names[SIM_MISTAKES] = {
        [SIM_NO_COMPARE] = "transactions do not compare revisions",
        [SIM_SHORT_WAIT] = "a watcher waits for half the lease",
        [SIM_LATE_DEADLINE] = "a deadline counts from the answer",
        [SIM_NO_FENCE] = "a server acknowledges after its deadline",
        [SIM_ANY_TIMELINE] = "a promotion takes the next timeline",
        [SIM_NO_WAITING] = "commits do not wait for a synchronous member",
        [SIM_EARLY_RELEASE] = "a lease is released by a server that runs",
        [SIM_NO_CERTAINTY] = "a server that does not end by itself is not fenced",
        [SIM_NO_BOUND] = "commits flow whatever the readers have",
    };
    (void)state;
    sim.trace = false;
    for (int mistake = SIM_NO_MISTAKE + 1; mistake < SIM_MISTAKES; mistake++) {
        uint64_t seed = 0;
        do {
            sim_begin(&sim, ++seed, (enum sim_mistake)mistake);
            sim_run(&sim, STEPS);
        } while (text_empty(sim.wrong) && seed < MISTAKE_SEEDS);
        print_message("# %s: %s\n", names[mistake],
                      text_empty(sim.wrong) ? "NOT FOUND" : sim.wrong);
        assert_false(text_empty(sim.wrong));
    }
}

static int tear_down(void **state)
{
    (void)state;
    sim_done(&sim);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_for_any_seed),
        cmocka_unit_test(it_finds_mistakes_that_are_made_on_purpose),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
