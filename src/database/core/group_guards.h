/* What group_table.c puts together: guards and effects of the group's transitions. Private to
 * database/core. Pure. */
#ifndef DATABASE_CORE_GROUP_GUARDS_H
#define DATABASE_CORE_GROUP_GUARDS_H

#include "database/core/internal.h"

bool guard_first_is_gone(struct core *core, struct core_plan *plan);
bool guard_first_has_data(struct core *core, struct core_plan *plan);
bool guard_first_has_readers_data(struct core *core, struct core_plan *plan);
bool guard_lease_ran_out(struct core *core, struct core_plan *plan);
bool guard_request_is_impossible(struct core *core, struct core_plan *plan);
bool guard_failover_is_asked_for(struct core *core, struct core_plan *plan);
bool guard_switchover_is_asked_for(struct core *core, struct core_plan *plan);
bool guard_writer_is_deleted(struct core *core, struct core_plan *plan);
bool guard_writer_is_to_stop(struct core *core, struct core_plan *plan);
bool guard_writer_need_not_stop(struct core *core, struct core_plan *plan);
bool guard_is_taken_back(struct core *core, struct core_plan *plan);
bool guard_takes_too_long(struct core *core, struct core_plan *plan);
bool guard_is_prepared(struct core *core, struct core_plan *plan);
bool guard_closed_its_log(struct core *core, struct core_plan *plan);
bool guard_did_not_close_its_log(struct core *core, struct core_plan *plan);
bool guard_is_down_for_failover(struct core *core, struct core_plan *plan);
bool guard_is_down_for_stop(struct core *core, struct core_plan *plan);
bool guard_leaves(struct core *core, struct core_plan *plan);
bool guard_leaves_alone(struct core *core, struct core_plan *plan);
bool guard_cannot_write(struct core *core, struct core_plan *plan);
bool guard_nobody_is_wanted(struct core *core, struct core_plan *plan);
bool guard_somebody_is_elected(struct core *core, struct core_plan *plan);
bool guard_target_is_lost(struct core *core, struct core_plan *plan);
bool guard_target_is_the_old_writer(struct core *core, struct core_plan *plan);
bool guard_target_has_everything(struct core *core, struct core_plan *plan);
bool guard_lease_is_left(struct core *core, struct core_plan *plan);
bool guard_is_promoted(struct core *core, struct core_plan *plan);
bool guard_is_wanted_again(struct core *core, struct core_plan *plan);
bool guard_writer_does_not_return(struct core *core, struct core_plan *plan);
bool guard_synchronous_changes(struct core *core, struct core_plan *plan);
bool guard_fence_changes(struct core *core, struct core_plan *plan);
bool guard_renewal_is_due(struct core *core, struct core_plan *plan);

void apply_first(const struct core *core, const struct core_plan *plan,
                 struct database_update *update);
void apply_first_turn(const struct core *core, const struct core_plan *plan,
                      struct database_update *update);
void apply_void(const struct core *core, const struct core_plan *plan,
                struct database_update *update);
void apply_refuse(const struct core *core, const struct core_plan *plan,
                  struct database_update *update);
void apply_begin_failover(const struct core *core, const struct core_plan *plan,
                          struct database_update *update);
void apply_begin_switchover(const struct core *core, const struct core_plan *plan,
                            struct database_update *update);
void apply_begin_stop(const struct core *core, const struct core_plan *plan,
                      struct database_update *update);
void apply_give_up(const struct core *core, const struct core_plan *plan,
                   struct database_update *update);
void apply_close(const struct core *core, const struct core_plan *plan,
                 struct database_update *update);
void apply_leave(const struct core *core, const struct core_plan *plan,
                 struct database_update *update);
void apply_leave_alone(const struct core *core, const struct core_plan *plan,
                       struct database_update *update);
void apply_yield(const struct core *core, const struct core_plan *plan,
                 struct database_update *update);
void apply_end(const struct core *core, const struct core_plan *plan,
               struct database_update *update);
void apply_elect(const struct core *core, const struct core_plan *plan,
                 struct database_update *update);
void apply_take(const struct core *core, const struct core_plan *plan,
                struct database_update *update);
void apply_confirm(const struct core *core, const struct core_plan *plan,
                   struct database_update *update);
void apply_synchronous(const struct core *core, const struct core_plan *plan,
                       struct database_update *update);
void apply_fence(const struct core *core, const struct core_plan *plan,
                 struct database_update *update);

#endif
