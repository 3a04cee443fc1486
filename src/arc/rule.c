/* Safety rules, judged: see rule.h. Pure. Invariant: a rule has exactly one finding, and a request
 * that changes nothing is blocked by nothing. */
#include "arc/rule.h"

#include "base/buf.h"
#include "base/memory.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>

#define NAMES_SHOWN 6U

size_t arc_panel_find(const struct arc_panel *panel, const char *id)
{
    size_t low = 0;
    size_t high = panel->control_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(panel->controls[middle].id, id);
        if (order == 0) {
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return panel->control_count;
}

/* The change that makes the control something else; NULL when it stays what it is. */
static const struct arc_change *change_of(const struct arc_panel *panel,
                                          const struct arc_request *request, size_t control)
{
    for (size_t i = 0; i < request->change_count; i++) {
        const struct arc_change *change = &request->changes[i];
        if (change->control == control && control < panel->control_count) {
            return change->on != panel->controls[control].state.on ? change : NULL;
        }
    }
    return NULL;
}

/* What a list of ids comes to. A control that is not there is Off, and never changed. */
struct tally {
    size_t count;
    size_t on;
    size_t changing;
    struct wall changed; /* the last change of all */
};

static struct tally tally(const struct arc_panel *panel, const struct arc_request *request,
                          const char *const *ids, size_t count, bool after)
{
    struct tally sum = {.count = count};
    for (size_t i = 0; i < count; i++) {
        size_t at = arc_panel_find(panel, ids[i]);
        if (at == panel->control_count) {
            continue;
        }
        const struct model_arc_state *state = &panel->controls[at].state;
        const struct arc_change *change = change_of(panel, request, at);
        sum.changing += change != NULL ? 1 : 0;
        sum.on += (after && change != NULL ? change->on : state->on) ? 1 : 0;
        sum.changed.ns = MAX(sum.changed.ns, state->changed.ns);
    }
    return sum;
}

static bool criterion_holds(const struct model_arc_rule *rule, const struct tally *sum)
{
    bool holds = false;
    switch (rule->type) {
    case MODEL_ARC_ATLEAST:
        holds = (int64_t)sum->on >= rule->threshold;
        break;
    case MODEL_ARC_AND:
        holds = sum->on == sum->count;
        break;
    case MODEL_ARC_OR:
        holds = sum->on >= 1;
        break;
    case MODEL_ARC_EXACTLY:
        holds = (int64_t)sum->on == rule->threshold;
        break;
    }
    return holds != rule->inverted;
}

/* How long its controls may not change any more; 0: not at all. */
static int64_t wait_left_ms(const struct model_arc_rule *rule, struct wall changed, struct wall now)
{
    int64_t passed = (now.ns - changed.ns) / TIME_MS;
    if (changed.ns == 0 || passed >= rule->wait_ms || passed < -rule->wait_ms) {
        return 0;
    }
    return rule->wait_ms - passed;
}

/* ---- sentences ---- */

static void put_names(struct buf *out, const struct arc_panel *panel, const char *const *ids,
                      size_t count)
{
    for (size_t i = 0; i < count && i < NAMES_SHOWN; i++) {
        size_t at = arc_panel_find(panel, ids[i]);
        buf_puts(out, i == 0 ? " (" : ", ");
        buf_puts(out, at < panel->control_count ? panel->controls[at].name : ids[i]);
    }
    if (count > NAMES_SHOWN) {
        buf_printf(out, " and %zu more", count - NAMES_SHOWN);
    }
    buf_puts(out, count != 0 ? ")" : "");
}

/* "at least 2 of 3 asserted controls (a, b, c) must be On" */
static void put_criterion(struct buf *out, const struct arc_panel *panel,
                          const struct model_arc_rule *rule)
{
    switch (rule->type) {
    case MODEL_ARC_ATLEAST:
        buf_printf(out, "at least %" PRId64 " of", rule->threshold);
        break;
    case MODEL_ARC_AND:
        buf_puts(out, "all of");
        break;
    case MODEL_ARC_OR:
        buf_puts(out, "at least 1 of");
        break;
    case MODEL_ARC_EXACTLY:
        buf_printf(out, "exactly %" PRId64 " of", rule->threshold);
        break;
    }
    buf_printf(out, " its %zu %s controls", rule->control_count,
               rule->kind == MODEL_ARC_GATING ? "gating" : "asserted");
    put_names(out, panel, rule->controls, rule->control_count);
    buf_puts(out, rule->inverted ? " must not be On" : " must be On");
}

static const char *sentence(struct arena *arena, const struct arc_panel *panel,
                            const struct model_arc_rule *rule, const struct tally *sum, bool holds,
                            int64_t left_ms)
{
    bool gating = rule->kind == MODEL_ARC_GATING;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    if (!holds || left_ms == 0) {
        put_criterion(&out, panel, rule);
        buf_printf(&out,
                   gating ? " before its targets may change, and %zu %s"
                          : " after the change, and %zu %s",
                   sum->on, gating ? (sum->on == 1 ? "is" : "are") : "would be");
    }
    if (left_ms > 0) {
        buf_printf(&out,
                   "%sa wait period of %" PRId64 " ms is not over: %s may change again in %" PRId64
                   " ms",
                   holds ? "" : "; and ", rule->wait_ms,
                   gating ? "its target controls" : "its controls", left_ms);
    }
    if (buf_failed(&out)) {
        memory_exhausted(out.length);
    }
    return arena_strdup(arena, buf_text(&out));
}

const char *arc_rule_text(const struct arc_panel *panel, const struct model_arc_rule *rule,
                          struct arena *arena)
{
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    put_criterion(&out, panel, rule);
    if (rule->kind == MODEL_ARC_GATING) {
        buf_puts(&out, " before its targets");
        put_names(&out, panel, rule->targets, rule->target_count);
        buf_puts(&out, " may change");
    }
    if (rule->wait_ms > 0) {
        buf_printf(&out, "; wait period %" PRId64 " ms", rule->wait_ms);
    }
    if (buf_failed(&out)) {
        memory_exhausted(out.length);
    }
    return arena_strdup(arena, buf_text(&out));
}

/* ---- the judgement ---- */

static bool is_overridden(const struct arc_request *request, const struct model_arc_rule *rule)
{
    for (size_t i = 0; i < request->override_count; i++) {
        if (text_equal(request->overrides[i], rule->id)) {
            return true;
        }
    }
    return false;
}

static struct arc_finding judge_rule(const struct arc_panel *panel,
                                     const struct arc_request *request,
                                     const struct model_arc_rule *rule, struct arena *arena)
{
    bool gating = rule->kind == MODEL_ARC_GATING;
    struct tally sum = tally(panel, request, rule->controls, rule->control_count, !gating);
    struct tally guarded =
        gating ? tally(panel, request, rule->targets, rule->target_count, false) : sum;
    if (guarded.changing == 0) {
        return (struct arc_finding){.verdict = ARC_UNCONCERNED, .reason = ""};
    }
    bool holds = criterion_holds(rule, &sum);
    int64_t left_ms = wait_left_ms(rule, guarded.changed, request->now);
    enum arc_verdict verdict = holds && left_ms == 0          ? ARC_SATISFIED
                               : is_overridden(request, rule) ? ARC_OVERRIDDEN
                                                              : ARC_BLOCKS;
    return (struct arc_finding){.verdict = verdict,
                                .reason = sentence(arena, panel, rule, &sum, holds, left_ms)};
}

void arc_judge(const struct arc_panel *panel, const struct arc_request *request,
               struct arena *arena, struct arc_judgement *ret_judgement)
{
    struct arc_judgement judgement = {
        .findings = arena_array(arena, panel->rule_count + 1, sizeof *judgement.findings)};
    for (size_t i = 0; i < panel->control_count; i++) {
        judgement.changed += change_of(panel, request, i) != NULL ? 1 : 0;
    }
    for (size_t i = 0; i < panel->rule_count; i++) {
        judgement.findings[i] = judge_rule(panel, request, &panel->rules[i], arena);
        judgement.blocking += judgement.findings[i].verdict == ARC_BLOCKS ? 1 : 0;
    }
    *ret_judgement = judgement;
}

const char *arc_verdict_name(enum arc_verdict verdict)
{
    switch (verdict) {
    case ARC_UNCONCERNED:
        return "UNCONCERNED";
    case ARC_SATISFIED:
        return "SATISFIED";
    case ARC_OVERRIDDEN:
        return "OVERRIDDEN";
    case ARC_BLOCKS:
        break;
    }
    return "BLOCKS";
}
