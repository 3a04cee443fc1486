/* What commits wait for, in a sentence: see core.h. Pure; any thread. */
#include "base/buf.h"
#include "base/text.h"
#include "database/core/internal.h"

static const char *list(const struct core *core)
{
    const struct database_facts *facts = core->facts;
    struct buf text;
    buf_init(&text, 0);
    for (size_t i = 0; i < facts->synchronous_count; i++) {
        buf_printf(&text, "%s%s", i == 0 ? "" : " or ", core_name(core, facts->synchronous[i]));
    }
    const char *names = arena_strdup(core->arena, buf_text(&text));
    buf_done(&text);
    return names;
}

static bool one_streams(const struct core *core)
{
    const struct database_facts *facts = core->facts;
    for (size_t i = 0; i < facts->follower_count; i++) {
        for (size_t j = 0; facts->followers[i].streaming && j < facts->synchronous_count; j++) {
            if (text_equal(facts->followers[i].member, facts->synchronous[j])) {
                return true;
            }
        }
    }
    return false;
}

static const char *nobody_is_waited_for(const struct core *core)
{
    switch (core->group->mode) {
    case MODEL_DATABASE_SYNCHRONOUS:
        return core_has_others(core) ? "commits do not wait: no other member streams"
                                     : "commits do not wait: there is no other member";
    case MODEL_DATABASE_BOUNDED:
        return "commits do not wait: no other member has followed this writer";
    case MODEL_DATABASE_ASYNCHRONOUS:
        break;
    }
    return "commits do not wait";
}

const char *database_commits(const struct database_view *view, const struct database_facts *facts,
                             struct arena *arena)
{
    struct core core;
    core_begin(&core, view, facts, arena);
    if (facts->process != DATABASE_PROCESS_WRITER) {
        return "";
    }
    if (facts->synchronous_count == 0) {
        return nobody_is_waited_for(&core);
    }
    const char *names = list(&core);
    if (core.group->mode == MODEL_DATABASE_BOUNDED) {
        bool free = view->now.ns < database_free_until(view, facts).ns;
        return arena_printf(arena,
                            free ? "commits do not wait: of %s one is within %lld ms"
                                 : "commits wait for %s: none is within %lld ms",
                            names, (long long)core.group->rpo_ms);
    }
    if (core.group->mode == MODEL_DATABASE_ASYNCHRONOUS || !facts->synchronous_settled) {
        return arena_printf(arena, "commits wait for %s, and that is being changed", names);
    }
    return arena_printf(arena,
                        one_streams(&core) ? "every commit is on %s before it is acknowledged"
                                           : "commits wait for %s, which does not stream",
                        names);
}
