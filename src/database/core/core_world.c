/* The world of attached_test.c, core_test.c and synchronous_test.c: see core_world.h. */
#include "database/core/core_world.h"

#include "base/text.h"

#include <assert.h>

struct arena arena;

struct model_database_turn turns[2];
struct model_database_group group;
struct model_database_lease lease;
struct model_database_member members[COUNT];
struct model_database_seen seen[COUNT];
struct database_sight sights[COUNT];
struct database_view view;
struct database_facts facts;
struct database_follower followers[2];
const char *names[2];
struct database_update update;
struct database_order order;

int set_up(void **state)
{
    static const char *const ids[COUNT] = {"a", "b", "c"};
    static const char *const regions[COUNT] = {"east", "west", "east"};
    (void)state;
    arena_init(&arena, 0);
    turns[0] = (struct model_database_turn){
        .epoch = 1, .writer = "a", .before = "", .timeline = 1, .confirmed = true};
    group = (struct model_database_group){.id = "grp",
                                          .region = "",
                                          .name = "orders",
                                          .lease_ms = 10000,
                                          .rpo_ms = 1000,
                                          .automatic = true,
                                          .phase = MODEL_DATABASE_STEADY,
                                          .epoch = 1,
                                          .writer = "a",
                                          .target = "",
                                          .reason = "",
                                          .history = turns,
                                          .history_count = 1};
    lease = (struct model_database_lease){.epoch = 1,
                                          .holder = "a",
                                          .state = MODEL_DATABASE_LEASE_HELD,
                                          .length_ms = 10000,
                                          .flushed = 500,
                                          .timeline = 1};
    for (size_t i = 0; i < COUNT; i++) {
        members[i] = (struct model_database_member){.group = "grp",
                                                    .id = ids[i],
                                                    .region = regions[i],
                                                    .cluster = regions[i],
                                                    .instance = ids[i],
                                                    .tier = 1};
        seen[i] = (struct model_database_seen){.condition = MODEL_DATABASE_STREAMING,
                                               .message = "",
                                               .system_id = 7,
                                               .timeline = 1,
                                               .received = 500,
                                               .upstream = "a"};
        sights[i] = (struct database_sight){
            .member = &members[i], .seen = &seen[i], .heard = {NOW - 100 * TIME_MS}};
    }
    seen[A].condition = MODEL_DATABASE_WRITER;
    view = (struct database_view){.group = &group,
                                  .group_revision = 10,
                                  .lease = &lease,
                                  .lease_revision = 11,
                                  .lease_since = {NOW - TIME_S},
                                  .phase_since = {NOW - 100 * TIME_S},
                                  .members = sights,
                                  .member_count = COUNT,
                                  .self = "a",
                                  .now = {NOW}};
    for (size_t i = 0; i < 2; i++) {
        followers[i] = (struct database_follower){
            .member = ids[i + 1], .streaming = true, .flushed = 500, .replayed = 500};
    }
    facts = (struct database_facts){.data = DATABASE_DATA,
                                    .process = DATABASE_PROCESS_WRITER,
                                    .system_id = 7,
                                    .timeline = 1,
                                    .end = 500,
                                    .upstream = "",
                                    .deadline = {NOW + 8 * TIME_S},
                                    .configured = true,
                                    .stuck = "",
                                    .followers = followers,
                                    .follower_count = 2,
                                    .alone_since = {NOW},
                                    .unwritable_since = {NOW},
                                    .synchronous_settled = true};
    return 0;
}

int tear_down(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

void as_reader(size_t member)
{
    view.self = members[member].id;
    facts.process = DATABASE_PROCESS_READER;
    facts.standby = true;
    facts.upstream = "a";
    facts.receiving = true;
    facts.replayed_all = true;
    facts.replayed = facts.end;
    facts.deadline.ns = 0;
    facts.follower_count = 0;
}

void in_phase(enum model_database_phase phase, enum model_database_operation operation,
              const char *target)
{
    group.phase = phase;
    group.operation = operation;
    group.target = target;
}

void electing(model_lsn b, model_lsn c)
{
    in_phase(MODEL_DATABASE_ELECTING, MODEL_DATABASE_FAILOVER_AUTOMATIC, "");
    group.epoch = 2;
    lease.epoch = 2;
    lease.state = MODEL_DATABASE_LEASE_FREE;
    lease.holder = "";
    view.phase_since.ns = NOW;
    seen[A].condition = MODEL_DATABASE_DOWN;
    sights[A].heard.ns = NOW - 100 * TIME_S;
    seen[B].received = b;
    seen[B].epoch = b != 0 ? 2 : 0;
    seen[C].received = c;
    seen[C].epoch = c != 0 ? 2 : 0;
    as_reader(B);
}

enum database_transition next(void)
{
    database_group_next(&view, view.self[0] == '\0' ? NULL : &facts, &arena, &update);
    return update.transition;
}

enum database_action ordered(void)
{
    database_member_next(&view, &facts, &arena, &order);
    assert(!text_empty(order.sentence));
    return order.action;
}
