/* A reader to which nothing comes asks its writer whether that has the log which comes next. The
 * worker's thread. Logs when it has not, and writes an event. Invariant: a reader is made anew only
 * after the writer has answered: that the log is gone, or time and again that it is there while
 * nothing comes; who cannot be asked is asked again. */
#include "base/log.h"
#include "base/text.h"
#include "base/time.h"
#include "database/agent/worker_internal.h"

#define VAIN_MOST 3U /* answers that it has it, and yet nothing came */
#define ASK_S 5      /* a change of the writer does not wait for it: it is broken off then */

static int ask(const struct worker *worker, const struct view_group *group,
               const struct model_database_member *upstream, bool *ret_has, struct err *err)
{
    struct hands_upstream writer CLEANUP(hands_upstream_done);
    const struct hands *hands = &worker->hands;
    const struct database_facts *facts = &worker->sight.facts;
    const struct postgres_limit limit = {.until = mono_from_now(ASK_S * TIME_S),
                                         .interrupt = hands->interrupt};
    int rc = hands_upstream_open(hands, group, upstream, &writer, err);
    return rc != 0 ? rc
                   : postgres_has_log(&hands->server, &writer.from, facts->timeline, facts->end,
                                      &limit, ret_has, err);
}

void worker_ask_for_log(struct worker *worker, const struct view_group *group,
                        const struct model_database_member *upstream)
{
    static struct log_limit limit;
    struct err err = ERR_INIT;
    bool has = true;
    char end[MODEL_LSN_TEXT];
    const struct view_member *self = view_member_find(group, worker->member);
    int rc = ask(worker, group, upstream, &has, &err);
    worker->notes.log_asked = boot_now();
    if (rc != 0 && log_limit_allows(&limit, 1)) {
        log_warn("database.log_not_asked_for", F("group", worker->group),
                 F("member", worker->member), F("upstream", upstream->id), F("reason", &err),
                 F("next", "it is asked again, as long as nothing comes from it"));
    }
    if (rc == 0 && has && !worker->notes.remade && ++worker->notes.vain >= VAIN_MOST) {
        /* Its log may end in a part of a record that the writer's goes on from without: PostgreSQL
         * waits for the rest for ever. Once: should that not help, it is something else. */
        worker->notes.remade = true;
        has = false;
    }
    if (rc != 0 || has == !worker->notes.log_gone) {
        return;
    }
    worker->notes.log_gone = !has;
    if (!has && self != NULL) {
        model_lsn_format(worker->sight.facts.end, end);
        log_warn("database.log_gone", F("group", worker->group), F("member", worker->member),
                 F("upstream", upstream->id), F("end", end),
                 F("next", "its data are copied from the writer anew"));
        worker_tell(
            worker, &self->member, "notification",
            "This reader cannot go on with its log, because the writer has not kept what it "
            "needs, or went on without it: its data are copied from the writer anew.");
    }
}
