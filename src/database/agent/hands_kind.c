/* What differs by the kind of a server goes to that kind's function: see hands.h. The worker's
 * thread. Owns nothing. Invariant: a kind is chosen when the worker learns of its member, and
 * stays.
 */
#include "database/agent/hands.h"

int hands_create(struct hands *hands, const struct view_group *group, struct err *err)
{
    return hands->kind->create(hands, group, err);
}

int hands_copy(struct hands *hands, const struct view_group *group,
               const struct model_database_member *upstream, _Atomic int64_t *ret_bytes,
               struct err *err)
{
    return hands->kind->copy(hands, group, upstream, ret_bytes, err);
}

int hands_configure(struct hands *hands, const struct view_group *group,
                    const struct model_database_member *member,
                    const struct hands_settings *settings, struct err *err)
{
    return hands->kind->configure(hands, group, member, settings, err);
}

int hands_start(struct hands *hands, struct err *err)
{
    return hands->kind->start(hands, err);
}

int hands_stop(struct hands *hands, enum postgres_stop how, struct err *err)
{
    return hands->kind->stop(hands, how, err);
}

int hands_close(struct hands *hands, struct postgres_control *ret_control, struct err *err)
{
    return hands->kind->close(hands, ret_control, err);
}

int hands_cut(struct hands *hands, const struct view_group *group,
              const struct model_database_member *member, model_lsn *ret_received, struct err *err)
{
    return hands->kind->cut(hands, group, member, ret_received, err);
}

int hands_promote(struct hands *hands, uint32_t from, uint32_t timeline, struct err *err)
{
    return hands->kind->promote(hands, from, timeline, err);
}

int hands_fork(struct hands *hands, const struct view_group *group,
               const struct model_database_member *upstream, model_lsn *ret_fork, struct err *err)
{
    return hands->kind->fork(hands, group, upstream, ret_fork, err);
}

int hands_put_aside(struct hands *hands, const struct view_group *group,
                    const struct model_database_member *upstream, const char *name,
                    struct arena *arena, struct postgres_lost *ret_lost, struct err *err)
{
    return hands->kind->put_aside(hands, group, upstream, name, arena, ret_lost, err);
}

int hands_rewind(struct hands *hands, const struct view_group *group,
                 const struct model_database_member *upstream, struct err *err)
{
    return hands->kind->rewind(hands, group, upstream, err);
}

int hands_discard(struct hands *hands, struct err *err)
{
    return hands->kind->discard(hands, err);
}

int hands_remove(struct hands *hands, struct err *err)
{
    return hands->kind->remove(hands, err);
}

void hands_parent(const struct hands *hands, uint32_t timeline, uint32_t *ret_parent,
                  model_lsn *ret_fork)
{
    hands->kind->parent(hands, timeline, ret_parent, ret_fork);
}
