/* What is seen of a server that somebody else runs: by its own views while it answers, else by its
 * owner's status command. See worker_internal.h. The worker's thread. Does not log. Invariants: a
 * server that does not answer is not down before that command says so; one of another database,
 * or of nobody knows which, is shown as starting, so that nothing is done to it. */
#include "base/text.h"
#include "base/time.h"
#include "database/agent/worker_internal.h"

#include <inttypes.h>
#include <stdio.h>

#define OBSERVE_MS 1000
#define PATIENCE_MS 5000 /* a server that was well is believed to be so for this long */

static void say(struct hands_attached *attached, const char *sentence)
{
    (void)snprintf(attached->trouble, sizeof attached->trouble, "%s", sentence); /* short */
}

/* The system identifier that the group's data have; 0: it is not known yet. */
static uint64_t system_of(const struct view_group *group, const char *self)
{
    const struct view_member *writer = view_member_find(group, group->group.writer);
    if (writer != NULL && writer->seen.system_id != 0) {
        return writer->seen.system_id;
    }
    for (size_t i = 0; i < group->member_count; i++) {
        const struct view_member *member = &group->members[i];
        if (member->seen.system_id != 0 && text_empty(member->member.attached)) {
            return member->seen.system_id;
        }
    }
    const struct view_member *own = view_member_find(group, self);
    return own != NULL ? own->seen.system_id : 0; /* that it had when it was last judged */
}

static bool is_foreign(struct worker *worker, const struct view_group *group, uint64_t system_id)
{
    struct hands_attached *attached = &worker->hands.attached;
    uint64_t wanted = system_of(group, worker->member);
    if (wanted == system_id) {
        return false;
    }
    if (wanted == 0) {
        say(attached, "which data the database has is not known yet");
    } else {
        (void)snprintf(attached->trouble, sizeof attached->trouble,
                       "it has the data of another database (system identifier %" PRIu64
                       ", wanted %" PRIu64 "): make it a copy of the writer, or empty, by hand",
                       system_id, wanted); /* short */
    }
    return true;
}

static void hold_off(struct worker *worker)
{
    struct database_facts *facts = &worker->sight.facts;
    worker->hands.attached.running = false;
    worker->sight.viewed = false;
    facts->process = DATABASE_PROCESS_STARTING;
    facts->standby = true;
    facts->unfenced = true;
    facts->replayed_all = false;
}

static void see_module(struct worker *worker, const struct postgres_limit *limit)
{
    struct hands_attached *attached = &worker->hands.attached;
    const struct postgres_view *view = &worker->sight.view;
    struct err err = ERR_INIT;
    bool loaded = false;
    if (attached->started.ns != view->started.ns) {
        attached->module = false;
        if (postgres_module(worker->hands.link, limit, &loaded, &err) == 0) {
            attached->module = loaded;
            attached->started = view->started;
        }
    }
}

static void see_answer(struct worker *worker, const struct view_group *group,
                       const struct postgres_limit *limit)
{
    struct hands_attached *attached = &worker->hands.attached;
    struct worker_sight *sight = &worker->sight;
    struct database_facts *facts = &sight->facts;
    attached->known = false;
    attached->heard = mono_now();
    attached->asked.ns = 0;
    if (is_foreign(worker, group, sight->view.system_id)) {
        hold_off(worker);
        return;
    }
    attached->trouble[0] = '\0';
    attached->running = true;
    attached->discarded = false;
    see_module(worker, limit);
    sight->viewed = true;
    facts->data = DATABASE_DATA;
    facts->standby = sight->view.recovery;
    worker_take_view(worker);
    facts->unfenced = !attached->module;
    attached->end = facts->end;
    attached->timeline = facts->timeline;
    attached->system_id = facts->system_id;
}

/* Where its log ends is not known when it crashed as a writer: then it is rewound whatever it has,
 * unless it is the group's writer still. */
static void see_down(struct worker *worker, const struct view_group *group)
{
    struct hands_attached *attached = &worker->hands.attached;
    struct database_facts *facts = &worker->sight.facts;
    const struct postgres_control *control = &attached->control;
    const struct view_member *own = view_member_find(group, worker->member);
    bool writes = text_equal(group->group.writer, worker->member);
    attached->running = false;
    worker->sight.viewed = false;
    if (attached->has_data && is_foreign(worker, group, control->system_id)) {
        hold_off(worker);
        return;
    }
    attached->trouble[0] = '\0';
    facts->process = DATABASE_PROCESS_DOWN;
    facts->unfenced = true;
    facts->replayed_all = false;
    if (!attached->has_data || attached->discarded) {
        facts->data = DATABASE_NO_DATA;
        facts->standby = true;
        facts->end = 0;
        return;
    }
    bool torn = control->primary && control->end == 0;
    if (attached->end == 0 && own != NULL && writes) {
        attached->end = own->seen.received;
    }
    attached->end = control->end != 0 ? control->end : MAX(attached->end, control->minimum);
    attached->timeline =
        control->primary ? control->timeline : MAX(control->timeline, worker->notes.timeline);
    attached->system_id = control->system_id;
    facts->data = torn && !writes ? DATABASE_REWINDING : DATABASE_DATA;
    facts->standby = !control->primary;
    facts->clean = control->clean && control->end != 0;
    facts->end = attached->end;
    facts->timeline = attached->timeline;
    facts->system_id = attached->system_id;
}

void worker_see_attached(struct worker *worker, const struct view_group *group)
{
    struct err err = ERR_INIT;
    struct hands_attached *attached = &worker->hands.attached;
    struct worker_sight *sight = &worker->sight;
    const struct postgres_limit limit = {.until = mono_from_now(OBSERVE_MS * TIME_MS),
                                         .interrupt = worker->hands.interrupt};
    sight->fresh = false;
    attached->epoch = group->lease_record.revision != 0 ? group->lease.epoch : 0;
    if (worker->hands.attachment == NULL) {
        say(attached, "there is no attachment of its name that this agent can use: see its log, "
                      "and database.attach-directory");
        hold_off(worker);
        return;
    }
    sight->asked = boot_now();
    int rc = postgres_observe(worker->hands.link, &limit, &sight->view, &err);
    sight->fresh = rc == 0;
    if (rc == 0) {
        see_answer(worker, group, &limit);
        return;
    }
    bool well = attached->running && sight->viewed &&
                mono_since(mono_now(), attached->heard) < PATIENCE_MS * TIME_MS;
    if (err.kind == ERR_CANCELLED && well) {
        worker_take_view(worker);
        return;
    }
    attached_ask(&worker->hands);
    if (attached->known && attached->down) {
        see_down(worker, group);
    } else if (well) {
        worker_take_view(worker);
    } else {
        if (attached->known) {
            say(attached, "it runs, and does not answer");
        }
        attached->running = false;
        sight->viewed = false;
        sight->facts.process = DATABASE_PROCESS_STARTING;
        sight->facts.unfenced = true;
        sight->facts.standby = sight->facts.standby || sight->facts.data == DATABASE_NO_DATA;
    }
}
