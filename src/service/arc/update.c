/* Changes of routing controls' states, made. Called by state.c on API threads.
 *
 * A change is one transaction: it writes the states that change and the guards of their panels, and
 * compares the guards under which it was judged. So it happens as a whole or not at all, two of
 * them never pass each other, and one that the cache allows costs one round trip to the store.
 *
 * Changes that come to this site while another of their panels is under way are made together
 * (service/common/combine.h): each is judged by the states as those before it leave them, exactly
 * as if they were made one after the other, and those that are allowed are written by one
 * transaction. What is between the first and the last of them is never seen, which is no different
 * from their following each other faster than anybody looks. A refusal is only said of what was
 * read from the store, or compared by the transaction that happened; what nobody knows the outcome
 * of is told to all that were in it.
 *
 * Invariant: states only ever change in commit. */
#include "service/arc/update.h"

#include "base/text.h"
#include "model/path.h"
#include "service/arc/support.h"
#include "service/common/combine.h"

#include <errno.h>
#include <string.h>

/* One caller's. */
struct update {
    struct aws_call *call;
    struct change *change;
    struct err *err;
    int rc;
    bool blocked;
};

/* As it is after the updates that were judged so far. */
struct batch_panel {
    const char *id;
    struct controls_panel panel; /* with these controls */
    struct arc_control *controls;
    bool *changed; /* the control at the same place, by some update */
    bool missing;
    bool written;
};

/* Updates that are made together: of the first caller, and of those who want no other panels. */
struct batch {
    struct aws_call *call; /* the first's */
    struct combine_call *first;
    struct batch_panel panels[MODEL_ARC_CHANGES];
    size_t panel_count;
    size_t allowed;
    size_t blocked;
    bool cached; /* some panel may be older than the store */
};

/* ---- the panels ---- */

static int load_panel(struct batch *batch, bool fresh, const char *id, struct batch_panel *panel,
                      struct err *err)
{
    struct service_context *context = service_context(batch->call);
    struct arena *arena = batch->call->arena;
    *panel = (struct batch_panel){.id = id};
    int rc = controls_load(context->store, context->controls, id, fresh, arena, &panel->panel, err);
    if (rc == -ENOENT) {
        err_clear(err);
        panel->missing = true;
        return 0;
    }
    if (rc == 0) {
        struct arc_panel *shown = &panel->panel.panel;
        size_t size = shown->control_count * sizeof *shown->controls;
        panel->controls = arena_memdup(arena, shown->controls, size);
        panel->changed = arena_array(arena, shown->control_count + 1, sizeof *panel->changed);
        shown->controls = panel->controls;
        batch->cached = batch->cached || panel->panel.cached;
    }
    return rc;
}

static int load_panels(struct batch *batch, bool fresh, struct err *err)
{
    const struct update *first = batch->first->work;
    int rc = 0;
    batch->panel_count = 0;
    batch->cached = false;
    for (size_t i = 0; rc == 0 && i < first->change->part_count; i++) {
        rc = load_panel(batch, fresh, first->change->parts[i].panel_id,
                        &batch->panels[batch->panel_count++], err);
    }
    return rc;
}

/* There is one: whoever is in the batch wants none that the first does not. */
static struct batch_panel *panel_of(struct batch *batch, const char *id)
{
    size_t at = 0;
    while (!text_equal(batch->panels[at].id, id)) {
        at++;
    }
    return &batch->panels[at];
}

/* ---- the judgement ---- */

static void forget_error(const struct update *update)
{
    update->call->error_members = NULL; /* goes with the arena */
    update->call->error_code = NULL;
    err_clear(update->err);
}

static int judge(struct batch *batch, const struct update *update)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < update->change->part_count; i++) {
        struct change_part *part = &update->change->parts[i];
        const struct batch_panel *panel = panel_of(batch, part->panel_id);
        part->panel = panel->panel;
        rc = panel->missing ? change_no_panel(update->call, update->change, part, update->err)
                            : change_judge_part(update->call, update->change, part, update->err);
    }
    return rc;
}

/* What comes after it is judged by what it leaves. */
static void apply(struct batch *batch, const struct update *update)
{
    for (size_t i = 0; i < update->change->part_count; i++) {
        const struct change_part *part = &update->change->parts[i];
        struct batch_panel *panel = panel_of(batch, part->panel_id);
        for (size_t j = 0; j < part->count; j++) {
            size_t at = part->changes[j].control;
            struct model_arc_state *state = &panel->controls[at].state;
            if (state->on != part->changes[j].on) {
                state->on = part->changes[j].on;
                state->changed = update->call->now;
                panel->changed[at] = true;
                panel->written = true;
            }
        }
    }
}

static void judge_all(struct batch *batch)
{
    batch->allowed = 0;
    batch->blocked = 0;
    for (struct combine_call *at = batch->first; at != NULL; at = at->with) {
        struct update *update = at->work;
        forget_error(update);
        update->rc = judge(batch, update);
        update->blocked = update->rc == 0 && change_blocking(update->change) != 0;
        if (update->blocked) {
            batch->blocked++;
        } else if (update->rc == 0) {
            batch->allowed++;
            apply(batch, update);
        }
    }
}

/* ---- the transaction ---- */

static void put_panel(const struct batch *batch, struct store_txn *txn,
                      const struct batch_panel *panel)
{
    static const char value[] = "{\"v\":1}";
    struct arena *arena = batch->call->arena;
    const char *guard = model_arc_guard(arena, panel->id);
    store_txn_require_revision(txn, guard, panel->panel.guard);
    for (size_t i = 0; i < panel->panel.panel.control_count; i++) {
        const struct arc_control *control = &panel->controls[i];
        if (panel->changed[i]) {
            const char *text = model_arc_state_encode(arena, panel->id, &control->state);
            store_txn_put(txn, model_arc_state_key(arena, panel->id, control->id), text,
                          strlen(text));
        }
    }
    if (panel->written) {
        store_txn_put(txn, guard, value, sizeof value - 1);
    }
}

/* What changes nothing is compared all the same: it is true when it is answered. */
static int commit(struct batch *batch, struct err *err)
{
    struct service_context *context = service_context(batch->call);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t revision = 0;
    for (size_t i = 0; i < batch->panel_count; i++) {
        const struct batch_panel *panel = &batch->panels[i];
        if (!panel->missing && !controls_stands(context->store, &panel->panel)) {
            return err_set(err, ERR_CONFLICT, "the store was restored meanwhile");
        }
        if (!panel->missing) {
            put_panel(batch, txn, panel);
        }
    }
    int rc = store_commit(context->store, txn, &revision, err);
    for (size_t i = 0; rc == 0 && i < batch->panel_count; i++) {
        if (batch->panels[i].written) {
            controls_changed(context->controls, &batch->panels[i].panel, revision);
        }
    }
    return rc;
}

/* ERR_CONFLICT: to be judged again, by what the store has now. */
static int attempt(struct batch *batch, bool fresh, struct err *err)
{
    int rc = load_panels(batch, fresh, err);
    if (rc != 0) {
        return rc;
    }
    judge_all(batch);
    if (batch->allowed == 0 && batch->cached) {
        return err_set(err, ERR_CONFLICT, "only the cache forbids it");
    }
    /* A panel was read as it was at one moment; several are compared at one. */
    if (batch->allowed != 0 || (batch->blocked != 0 && batch->panel_count > 1)) {
        rc = commit(batch, err);
    }
    for (struct combine_call *at = batch->first; rc == 0 && at != NULL; at = at->with) {
        struct update *update = at->work;
        if (update->blocked) {
            update->rc = change_refuse(update->call, update->change, update->err);
        }
    }
    return rc;
}

/* ---- all ---- */

/* What is in use is the panel; of several, the first that the request names. */
static int too_often(const struct update *update)
{
    const char *arn = arc_arn(update->call, MODEL_ARC_PANEL, "", update->change->parts[0].panel_id);
    return aws_error_with(
        update->call, update->err, "ConflictException",
        json_pack("{s:s, s:s}", "resourceId", arn, "resourceType", "controlpanel"),
        "The states changed too often meanwhile to be judged. Please retry.");
}

/* The same for all, whatever they were told before. */
static void fail_all(const struct batch *batch, const struct err *err)
{
    for (struct combine_call *at = batch->first; at != NULL; at = at->with) {
        struct update *update = at->work;
        forget_error(update);
        if (err->kind == ERR_CONFLICT) {
            update->rc = too_often(update);
        } else {
            *update->err = *err;
            update->rc = err->code;
        }
    }
}

static int make(struct batch *batch, struct err *err)
{
    int rc = attempt(batch, false, err);
    for (unsigned i = 1; rc != 0 && err->kind == ERR_CONFLICT && i < ARC_ATTEMPTS; i++) {
        err_clear(err);
        rc = attempt(batch, true, err);
    }
    return rc;
}

/* What the store refused for all may be due to one of them; then nothing happened. */
static void make_each(const struct batch *all)
{
    for (struct combine_call *at = all->first; at != NULL;) {
        struct combine_call *with = at->with;
        struct update *update = at->work;
        struct batch batch = {.call = update->call, .first = at};
        struct err err = ERR_INIT;
        at->with = NULL;
        if (make(&batch, &err) != 0) {
            fail_all(&batch, &err);
        }
        at->with = with;
        at = with;
    }
}

static void make_together(struct combine_call *first)
{
    struct update *update = first->work;
    struct batch batch = {.call = update->call, .first = first};
    struct err err = ERR_INIT;
    for (struct combine_call *at = first; at != NULL; at = at->with) {
        update = at->work;
        update->call->now.ns += at->waited_ns; /* they are judged by the time after it */
    }
    int rc = make(&batch, &err);
    bool shared = err.kind == ERR_UNAVAILABLE || err.kind == ERR_TIMEOUT ||
                  err.kind == ERR_CONFLICT || first->with == NULL;
    if (rc != 0 && shared) {
        fail_all(&batch, &err);
    } else if (rc != 0) {
        make_each(&batch);
    }
}

int update_states(struct aws_call *call, struct change *change, struct err *err)
{
    const char *panels[MODEL_ARC_CHANGES];
    struct update update = {.call = call, .change = change, .err = err};
    for (size_t i = 0; i < change->part_count; i++) {
        panels[i] = change->parts[i].panel_id;
    }
    struct combine_call turn = {
        .names = panels, .count = change->part_count, .weight = change->count, .work = &update};
    combine(controls_combiner(service_context(call)->controls), &turn, make_together);
    return update.rc;
}
