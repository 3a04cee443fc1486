/* Counting and the outcome: see count.h. Pure; any thread. The order of precedence is disabled,
 * latched, inverted: a disabled check has one fixed answer, and the latch holds what came out after
 * inversion. */
#include "health/count.h"

struct count_rules count_rules_of(const struct model_check *check)
{
    const struct model_check_options *options = &check->options;
    uint32_t down = options->failures_down;
    uint32_t up = options->successes_up;
    return (struct count_rules){
        .failures_down = MAX(down != 0 ? down : check->failure_threshold, 1U),
        .successes_up = MAX(up != 0 ? up : check->failure_threshold, 1U),
        .inverted = check->inverted,
        .disabled = check->disabled,
        .latch = options->latch,
    };
}

struct count_state count_begin(void)
{
    return (struct count_state){.raw = true};
}

struct count_state count_result(const struct count_rules *rules, const struct count_state *state,
                                bool passed)
{
    struct count_state next = *state;
    if (passed == state->raw) {
        next.run = 0;
        return next;
    }
    next.run++;
    if (next.run >= (passed ? rules->successes_up : rules->failures_down)) {
        next.raw = passed;
        next.run = 0;
    }
    return next;
}

struct count_state count_target_changed(const struct count_state *state)
{
    return (struct count_state){.raw = state->raw};
}

struct count_outcome count_outcome_begin(const struct count_rules *rules, bool verdict,
                                         bool latched)
{
    struct count_outcome stored = {.latched = latched};
    return count_outcome_step(rules, &stored, verdict, COUNT_RULES_CHANGED);
}

struct count_outcome count_outcome_step(const struct count_rules *rules,
                                        const struct count_outcome *outcome, bool verdict,
                                        enum count_cause cause)
{
    struct count_outcome next = *outcome;
    if (!rules->latch || cause == COUNT_LATCH_RESET) {
        next.latched = false;
    }
    if (rules->disabled) {
        next.healthy = !rules->inverted;
        return next;
    }
    bool follows = verdict != rules->inverted;
    if (rules->latch && cause == COUNT_VERDICT && outcome->healthy && !follows) {
        next.latched = true;
    }
    next.healthy = follows && !next.latched;
    return next;
}

bool count_keeps(const struct count_rules *rules, const struct count_state *state, bool verdict,
                 const struct count_outcome *outcome)
{
    return outcome->latched || (!(state->raw && verdict) && !rules->disabled);
}

/* Whether what was unhealthy begins so again. */
static bool is_restored(const struct count_rules *rules, const struct count_kept *kept, bool what)
{
    bool would_be = count_outcome_begin(rules, what, kept->latched).healthy;
    return !what && !rules->disabled && (!would_be || kept->healthy);
}

struct count_state count_restore(const struct count_rules *rules, const struct count_kept *kept)
{
    return is_restored(rules, kept, kept->vote) ? (struct count_state){.raw = false}
                                                : count_begin();
}

bool count_restore_verdict(const struct count_rules *rules, const struct count_kept *kept)
{
    return !is_restored(rules, kept, kept->verdict);
}
