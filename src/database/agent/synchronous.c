/* Members that commits wait for, on the real server: see synchronous.h. The worker's thread. Does
 * not log.
 *
 * A setting reaches a server's processes one by one. Three kinds of them count: the checkpointer
 * says whether commits wait at all (view.waiting); a sender releases the commits that its reader
 * has, while it takes itself for a synchronous one (replicas[].sync); a session decides whether it
 * waits, but for that the module looks at what the postmaster read first (fence.c). Invariant:
 * `strict` is turned on after commits were seen to wait, and off before they stop waiting. So
 * nothing is acknowledged without a reader in between, and no session is ended for what it could
 * not wait for. */
#include "database/agent/synchronous.h"

#include "base/text.h"
#include "database/agent/worker_internal.h"
#include "database/fence/lease_file.h"

#include <string.h>

void synchronous_forget(struct synchronous *synchronous)
{
    *synchronous = (struct synchronous){.known = false};
}

/* ---- the setting as text ---- */

static int name_members(const char **names, size_t count, char out[POSTGRES_SYNCHRONOUS],
                        struct err *err)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, POSTGRES_SYNCHRONOUS - 1);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&text, "%s\"%s\"", i == 0 ? "ANY 1 (" : ", ", names[i]);
    }
    buf_puts(&text, count != 0 ? ")" : "");
    return !buf_failed(&text) && text_copy(out, POSTGRES_SYNCHRONOUS, buf_text(&text)) == 0
               ? 0
               : err_set(err, ERR_LIMIT, "there are too many members to wait for");
}

static bool is_named(const char *text, const char *member)
{
    char quoted[POSTGRES_NAME + 3];
    (void)snprintf(quoted, sizeof quoted, "\"%s\"", member); /* fits */
    return strstr(text, quoted) != NULL;
}

static void add(struct worker_sight *sight, const char *member)
{
    struct database_facts *facts = &sight->facts;
    for (size_t i = 0; i < facts->synchronous_count; i++) {
        if (text_equal(facts->synchronous[i], member)) {
            return;
        }
    }
    if (facts->synchronous_count < ARRAY_SIZE(sight->synchronous)) {
        sight->synchronous[facts->synchronous_count++] = member;
    }
}

/* Everybody whom the text names, also who is no member any more. copy: for the names. */
static void add_named(struct worker_sight *sight, char copy[POSTGRES_SYNCHRONOUS], const char *text)
{
    IGNORE_RESULT(text_copy(copy, POSTGRES_SYNCHRONOUS, text)); /* fits */
    char *rest = copy;
    IGNORE_RESULT(strsep(&rest, "\"")); /* ANY 1 ( */
    for (char *name = strsep(&rest, "\""); name != NULL; name = strsep(&rest, "\"")) {
        add(sight, name);
        IGNORE_RESULT(strsep(&rest, "\"")); /* a comma, or the end */
    }
}

/* ---- what is seen ---- */

/* Every sender is what the text makes it. One that has not heard of its reader yet shows nothing.
 */
static bool senders_conform(const struct postgres_view *view, const char *text)
{
    for (size_t i = 0; i < view->replica_count; i++) {
        const struct postgres_replica *replica = &view->replicas[i];
        bool releases = replica->sync != POSTGRES_SYNC_NONE;
        if (replica->flushed == 0 || releases != is_named(text, replica->name)) {
            return false;
        }
    }
    return true;
}

static void see_writer(struct worker_sight *sight, struct synchronous *known,
                       const struct view_group *group)
{
    const struct postgres_view *view = &sight->view;
    struct database_facts *facts = &sight->facts;
    bool names = known->text[0] != '\0';
    bool strict = names && view->fenced_by_module; /* without it nobody could be */
    bool free = group->group.mode == MODEL_DATABASE_SYNCHRONOUS && known->sample_count != 0;
    if (!sight->fresh) {
        facts->synchronous_settled = false; /* what was seen before says nothing of now */
        return;
    }
    known->strict = view->strict;
    known->conforms = text_equal(view->synchronous, known->text) && view->waiting == names &&
                      senders_conform(view, known->text);
    bool settled = known->conforms && known->strict == strict && !free;
    if (!settled || !known->settled) {
        known->since = 0;
    } else if (known->since == 0) {
        known->since = view->inserted; /* looked at after it was seen to be so */
    }
    known->settled = settled;
    facts->synchronous_settled = settled;
    facts->synchronous_since = known->since;
    if (!text_equal(view->synchronous, known->text) ||
        (known->conforms && known->strict != strict)) {
        facts->configured = false;
    }
    add_named(sight, sight->named[1], view->synchronous);
    for (size_t i = 0; i < view->replica_count; i++) {
        if (view->replicas[i].sync != POSTGRES_SYNC_NONE) {
            add(sight, view->replicas[i].name);
        }
    }
}

/* The samples span twice the bound, so what is older than them is over it in any case. */
static void sample(struct worker_sight *sight, struct synchronous *known, int64_t rpo_ms)
{
    struct mono last = known->sample_count != 0 ? known->samples[known->sample_count - 1].at
                                                : (struct mono){.ns = 0};
    if (mono_since(sight->asked, last) < rpo_ms * TIME_MS / (SYNCHRONOUS_SAMPLES / 2)) {
        return;
    }
    if (known->sample_count == SYNCHRONOUS_SAMPLES) {
        memmove(&known->samples[0], &known->samples[1],
                (SYNCHRONOUS_SAMPLES - 1) * sizeof known->samples[0]);
        known->sample_count--;
    }
    known->samples[known->sample_count].at = sight->asked;
    known->samples[known->sample_count++].end = sight->view.flushed;
}

/* What was acknowledged before the server was asked was on its disk when it answered. */
static void see_whole(struct worker_sight *sight, const struct synchronous *known)
{
    for (size_t i = 0; i < sight->facts.follower_count; i++) {
        struct database_follower *follower = &sight->followers[i];
        follower->whole_at.ns = 0;
        if (follower->flushed >= sight->view.flushed) {
            follower->whole_at = sight->asked;
            continue;
        }
        for (size_t at = known->sample_count; at-- > 0;) {
            if (follower->flushed >= known->samples[at].end) {
                follower->whole_at = known->samples[at].at;
                break;
            }
        }
    }
}

/* What a writer does counts more than what its files say: they may not have been read. */
static void learn(struct worker *worker, struct synchronous *known)
{
    struct err err = ERR_INIT;
    const struct worker_sight *sight = &worker->sight;
    if (sight->facts.process == DATABASE_PROCESS_WRITER) {
        known->known = sight->fresh &&
                       text_copy(known->text, sizeof known->text, sight->view.synchronous) == 0;
    } else if (sight->facts.data != DATABASE_NO_DATA) {
        known->known = postgres_synchronous(&worker->hands.server, known->text, &err) == 0;
        known->strict = known->text[0] != '\0';
    }
}

static void let_flow(struct worker *worker, const struct view_group *group)
{
    struct arena arena CLEANUP(arena_done);
    struct database_view view;
    struct mono until = {.ns = 0};
    arena_init(&arena, 0);
    if (worker->hands.file == NULL) {
        return;
    }
    if (group->group.mode == MODEL_DATABASE_BOUNDED) {
        worker_fill_view(group, worker->member, &arena, &view);
        until = database_free_until(&view, &worker->sight.facts);
    } else {
        worker->notes.synchronous.sample_count = 0; /* what flowed freely is in the log by now */
    }
    fence_lease_free_until(worker->hands.file, until.ns);
}

void synchronous_see(struct worker *worker, const struct view_group *group)
{
    struct worker_sight *sight = &worker->sight;
    struct database_facts *facts = &sight->facts;
    struct synchronous *known = &worker->notes.synchronous;
    if (!known->known) {
        learn(worker, known);
    }
    facts->synchronous = sight->synchronous;
    facts->synchronous_count = 0;
    facts->synchronous_settled = false;
    facts->synchronous_since = 0;
    add_named(sight, sight->named[0], known->text);
    if (facts->process != DATABASE_PROCESS_WRITER) {
        known->settled = false;
        known->since = 0;
        known->sample_count = 0;
        let_flow(worker, group);
        return;
    }
    if (sight->fresh && group->group.mode == MODEL_DATABASE_BOUNDED) {
        sample(sight, known, group->group.rpo_ms);
        see_whole(sight, known);
    }
    see_writer(sight, known, group);
    let_flow(worker, group);
}

/* ---- what is done ---- */

static int write_names(struct worker *worker, const struct view_group *group,
                       const struct model_database_member *self, struct hands_settings *settings,
                       const char *text, bool strict, struct err *err)
{
    settings->synchronous = text;
    settings->strict = strict;
    return hands_configure(&worker->hands, group, self, settings, err);
}

int synchronous_set(struct worker *worker, const struct view_group *group,
                    const struct model_database_member *self,
                    const struct model_database_member *upstream,
                    const struct database_order *order, struct err *err)
{
    char text[POSTGRES_SYNCHRONOUS] = "";
    struct synchronous *known = &worker->notes.synchronous;
    const struct database_facts *facts = &worker->sight.facts;
    bool runs = facts->process == DATABASE_PROCESS_WRITER;
    bool waited = known->text[0] != '\0';
    struct hands_settings settings = {
        .standby = facts->standby, .upstream = facts->standby ? upstream : NULL, .reload = true};
    int rc = name_members(order->synchronous, order->synchronous_count, text, err);
    bool waits = rc == 0 && text[0] != '\0';
    /* A server that does not write yet has no session that could be ended by being strict. */
    bool strict = waits && (!runs || (waited && known->strict));
    if (rc == 0 && runs && waited && !waits) {
        rc = write_names(worker, group, self, &settings, known->text, false, err);
    }
    known->known = false; /* read again, unless all goes well */
    known->settled = false;
    known->since = 0;
    rc = rc != 0 ? rc : write_names(worker, group, self, &settings, text, strict, err);
    if (rc == 0) {
        known->known = text_copy(known->text, sizeof known->text, text) == 0;
        known->strict = strict;
    }
    return rc;
}
