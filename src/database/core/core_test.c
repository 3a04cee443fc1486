/* Decisions about replication groups, one by one: core.h. What they are worth together is shown by
 * sim_test.c. The first argument is the golden file of the tables. */
#include "base/text.h"
#include "database/core/core_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *golden;

static void a_lease_is_renewed_after_a_quarter_of_its_length(void **state)
{
    (void)state;
    struct mono sent = {NOW};
    struct mono deadline = database_lease_deadline(sent, &lease);
    assert_int_equal(deadline.ns - NOW, 9 * TIME_S);
    assert_int_equal(database_lease_renew_at(deadline, &lease).ns - NOW, 2500 * TIME_MS);
    assert_int_equal(database_lease_stop_at(deadline, &lease).ns - NOW, 7 * TIME_S);
    facts.deadline = deadline;
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
    assert_int_equal(update.again.ns - NOW, 2500 * TIME_MS);
    view.now.ns += 2500 * TIME_MS;
    assert_int_equal(next(), DATABASE_TRANSITION_RENEW);
    assert_true(update.holds && update.writes_lease && !update.writes_group);
    assert_int_equal(update.lease.renewals, 1);
    lease.length_ms = 500; /* the margin is 100 ms at least */
    assert_int_equal(database_lease_deadline((struct mono){0}, &lease).ns, 400 * TIME_MS);
}

static void a_lease_is_not_shortened_before_the_deadline_that_its_holder_has(void **state)
{
    (void)state;
    group.lease_ms = 1000;
    facts.deadline.ns = NOW + 6 * TIME_S;
    assert_int_equal(next(), DATABASE_TRANSITION_RENEW);
    assert_true(update.lease.length_ms < 10000);
    assert_true(database_lease_deadline(view.now, &update.lease).ns >= facts.deadline.ns);
}

static void a_lease_is_voided_once_one_revision_was_seen_for_its_whole_length(void **state)
{
    (void)state;
    as_reader(B);
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
    assert_int_equal(update.again.ns, NOW + 9 * TIME_S);
    view.lease_since.ns = NOW - 10 * TIME_S;
    assert_int_equal(next(), DATABASE_TRANSITION_VOID);
    assert_int_equal(update.group.phase, MODEL_DATABASE_ELECTING);
    assert_int_equal(update.group.epoch, 2);
    assert_int_equal(update.lease.epoch, 2);
    assert_int_equal(update.lease.state, MODEL_DATABASE_LEASE_FREE);
    assert_int_equal(update.lease.flushed, 500);
    assert_int_equal(update.group.operation, MODEL_DATABASE_FAILOVER_AUTOMATIC);
    assert_int_equal(update.event_count, 1);
}

static void a_lease_is_not_voided_when_that_would_help_nobody(void **state)
{
    (void)state;
    as_reader(B);
    view.lease_since.ns = NOW - 20 * TIME_S;
    group.automatic = false;
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
    group.automatic = true;
    group.mode = MODEL_DATABASE_SYNCHRONOUS;
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
    names[0] = "c";
    group.synchronous = names;
    group.synchronous_count = 1;
    sights[C].heard.ns = NOW - 20 * TIME_S;
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
    assert_non_null(strstr(database_explain(&view, &facts, &arena), "not all heard of"));
    sights[C].heard.ns = NOW;
    assert_int_equal(next(), DATABASE_TRANSITION_VOID);
}

/* ---- a switchover ---- */

static void a_switchover_goes_through_its_phases(void **state)
{
    (void)state;
    in_phase(MODEL_DATABASE_STEADY, MODEL_DATABASE_SWITCHOVER, "b");
    assert_int_equal(next(), DATABASE_TRANSITION_BEGIN_SWITCHOVER);
    assert_int_equal(update.event_count, 2);
    in_phase(MODEL_DATABASE_PREPARING, MODEL_DATABASE_SWITCHOVER, "b");
    view.phase_since.ns = NOW;
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
    assert_int_equal(ordered(), DATABASE_ACTION_CHECKPOINT);
    facts.checkpointed = true;
    assert_int_equal(ordered(), DATABASE_ACTION_WAIT);
    assert_int_equal(next(), DATABASE_TRANSITION_FENCE);
    group.phase = MODEL_DATABASE_FENCING;
    assert_int_equal(ordered(), DATABASE_ACTION_STOP_FAST);
    facts.process = DATABASE_PROCESS_STOPPING;
    facts.clean = true;
    facts.end = 520;
    assert_int_equal(ordered(), DATABASE_ACTION_WAIT);
    assert_int_equal(next(), DATABASE_TRANSITION_HAND_OVER);
    assert_int_equal(update.group.fence, 520);
    assert_int_equal(update.group.epoch, 2);
    assert_int_equal(update.lease.state, MODEL_DATABASE_LEASE_RELEASED);
}

static void the_target_of_a_switchover_takes_over_with_everything(void **state)
{
    (void)state;
    as_reader(B);
    in_phase(MODEL_DATABASE_PROMOTING, MODEL_DATABASE_SWITCHOVER, "b");
    group.epoch = 2;
    group.fence = 520;
    lease.state = MODEL_DATABASE_LEASE_RELEASED;
    view.phase_since.ns = NOW;
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
    assert_int_equal(ordered(), DATABASE_ACTION_WAIT);
    facts.end = 520;
    assert_int_equal(next(), DATABASE_TRANSITION_TAKE);
    assert_true(update.holds && !update.writes_loss);
    assert_string_equal(update.group.writer, "b");
    assert_int_equal(update.group.history_count, 2);
    assert_int_equal(update.group.history[1].timeline, 2);
    assert_int_equal(update.group.history[1].fork, 520);
    assert_false(update.group.history[1].confirmed);
    group = update.group;
    lease = update.lease;
    facts.deadline.ns = NOW + 8 * TIME_S;
    assert_int_equal(ordered(), DATABASE_ACTION_PROMOTE);
    assert_int_equal(order.timeline, 2);
    facts.process = DATABASE_PROCESS_WRITER;
    facts.standby = false;
    facts.timeline = 2;
    facts.parent = 1;
    facts.fork = 519;
    assert_int_equal(next(), DATABASE_TRANSITION_CONFIRM);
    assert_int_equal(update.group.phase, MODEL_DATABASE_STEADY);
    assert_true(update.group.history[1].confirmed);
    assert_int_equal(update.group.history[1].fork, 519);
}

static void a_bound_that_is_the_clusters_parameter_changes_with_the_writer(void **state)
{
    struct model_database_setting setting = {.name = MODEL_DATABASE_BOUND, .value = "20"};
    (void)state;
    as_reader(B);
    in_phase(MODEL_DATABASE_PROMOTING, MODEL_DATABASE_SWITCHOVER, "b");
    group.epoch = 2;
    group.fence = 500;
    group.bound_follows = true;
    lease.state = MODEL_DATABASE_LEASE_RELEASED;
    view.phase_since.ns = NOW;
    members[B].settings = &setting;
    members[B].setting_count = 1;
    assert_int_equal(next(), DATABASE_TRANSITION_TAKE);
    assert_int_equal(update.group.mode, MODEL_DATABASE_BOUNDED);
    assert_int_equal(update.group.rpo_ms, 20000);
    group.mode = MODEL_DATABASE_BOUNDED;
    group.rpo_ms = 5000;
    members[B].setting_count = 0;
    assert_int_equal(next(), DATABASE_TRANSITION_TAKE);
    assert_int_equal(update.group.mode, MODEL_DATABASE_ASYNCHRONOUS);
    group.bound_follows = false; /* it was set for the group */
    assert_int_equal(next(), DATABASE_TRANSITION_TAKE);
    assert_int_equal(update.group.mode, MODEL_DATABASE_BOUNDED);
    assert_int_equal(update.group.rpo_ms, 5000);
}

static void a_switchover_that_cannot_be_is_refused_with_its_reason(void **state)
{
    static const struct {
        const char *target;
        const char *says;
    } rows[] = {{"a", "is the writer already"},
                {"x", "is not there"},
                {"b", "nothing is heard of b (west)"},
                {"c", "does not stream"}};
    (void)state;
    sights[B].heard.ns = NOW - 60 * TIME_S;
    seen[C].condition = MODEL_DATABASE_READER;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        in_phase(MODEL_DATABASE_STEADY, MODEL_DATABASE_SWITCHOVER, rows[i].target);
        assert_int_equal(next(), DATABASE_TRANSITION_REFUSE);
        assert_int_equal(update.group.operation, MODEL_DATABASE_NO_OPERATION);
        assert_non_null(strstr(update.group.reason, rows[i].says));
    }
}

static void a_switchover_whose_target_is_deleted_is_taken_back_in_every_phase(void **state)
{
    (void)state;
    members[B].deleted = true;
    in_phase(MODEL_DATABASE_PREPARING, MODEL_DATABASE_SWITCHOVER, "b");
    assert_int_equal(next(), DATABASE_TRANSITION_CANCEL);
    in_phase(MODEL_DATABASE_FENCING, MODEL_DATABASE_SWITCHOVER, "b");
    assert_int_equal(next(), DATABASE_TRANSITION_CANCEL);
    in_phase(MODEL_DATABASE_PROMOTING, MODEL_DATABASE_SWITCHOVER, "b");
    group.epoch = 2;
    group.fence = 520;
    lease.state = MODEL_DATABASE_LEASE_RELEASED;
    assert_int_equal(next(), DATABASE_TRANSITION_TARGET_LOST);
    assert_int_equal(update.group.epoch, 3);
}

static void the_old_writer_goes_on_when_the_target_did_not_take_over(void **state)
{
    (void)state;
    in_phase(MODEL_DATABASE_ELECTING, MODEL_DATABASE_SWITCHOVER, "b");
    group.epoch = 3;
    group.fence = 520;
    lease.state = MODEL_DATABASE_LEASE_RELEASED;
    facts.process = DATABASE_PROCESS_DOWN;
    facts.clean = true;
    facts.cut = true;
    facts.deadline.ns = 0;
    seen[A].condition = MODEL_DATABASE_DOWN;
    assert_int_equal(database_final_epoch(&view, &facts), 3);
    seen[A].epoch = 3;
    assert_int_equal(next(), DATABASE_TRANSITION_ELECT);
    assert_string_equal(update.group.target, "a");
    in_phase(MODEL_DATABASE_PROMOTING, MODEL_DATABASE_SWITCHOVER, "a");
    view.phase_since.ns = NOW;
    assert_int_equal(next(), DATABASE_TRANSITION_TAKE_BACK);
    assert_int_equal(update.group.phase, MODEL_DATABASE_STEADY);
    assert_int_equal(update.group.history_count, 1);
    assert_true(update.holds);
}

/* ---- elections ---- */

static void the_most_advanced_of_those_that_reported_is_chosen(void **state)
{
    (void)state;
    electing(480, 490);
    assert_int_equal(next(), DATABASE_TRANSITION_ELECT);
    assert_string_equal(update.group.target, "c");
    electing(490, 490); /* c is in the old writer's region */
    assert_int_equal(next(), DATABASE_TRANSITION_ELECT);
    assert_string_equal(update.group.target, "c");
    electing(490, 480);
    assert_int_equal(next(), DATABASE_TRANSITION_ELECT);
    assert_string_equal(update.group.target, "b");
}

static void an_election_waits_a_little_for_who_lives(void **state)
{
    (void)state;
    electing(480, 0);
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
    assert_int_equal(update.again.ns - NOW, 500 * TIME_MS);
    group.lease_ms = 2000;
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
    assert_int_equal(update.again.ns - NOW, 150 * TIME_MS);
    view.now.ns += 150 * TIME_MS;
    assert_int_equal(next(), DATABASE_TRANSITION_ELECT);
    electing(480, 0);
    sights[C].heard.ns = NOW - 60 * TIME_S; /* it does not live */
    assert_int_equal(next(), DATABASE_TRANSITION_ELECT);
}

static void the_old_writer_is_chosen_when_it_comes_back_in_time(void **state)
{
    (void)state;
    electing(480, 490);
    seen[A].epoch = 2;
    assert_int_equal(next(), DATABASE_TRANSITION_ELECT);
    assert_string_equal(update.group.target, "a");
}

static void a_log_that_is_not_on_the_writers_line_is_not_chosen(void **state)
{
    (void)state;
    electing(480, 0);
    turns[0].timeline = 3;
    turns[0].parent = 1;
    turns[0].fork = 400;
    sights[C].heard.ns = NOW - 60 * TIME_S;
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
    assert_non_null(strstr(database_explain(&view, &facts, &arena), "must come back"));
    group.operation = MODEL_DATABASE_FAILOVER; /* unless the operator consents */
    assert_int_equal(next(), DATABASE_TRANSITION_ELECT);
}

static void synchronously_all_must_report_that_may_have_a_commit_alone(void **state)
{
    (void)state;
    electing(480, 0);
    view.phase_since.ns = NOW - 100 * TIME_S;
    group.mode = MODEL_DATABASE_SYNCHRONOUS;
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
    assert_non_null(strstr(database_explain(&view, &facts, &arena), "commits were on a (east)"));
    names[0] = "c";
    group.synchronous = names;
    group.synchronous_count = 1;
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
    assert_non_null(strstr(database_explain(&view, &facts, &arena), "c (east) may be the only"));
    seen[C].epoch = 2;
    seen[C].received = 470;
    assert_int_equal(next(), DATABASE_TRANSITION_ELECT);
    assert_string_equal(update.group.target, "b");
}

static void a_failover_records_what_may_be_lost(void **state)
{
    (void)state;
    electing(480, 490);
    in_phase(MODEL_DATABASE_PROMOTING, MODEL_DATABASE_FAILOVER_AUTOMATIC, "b");
    facts.end = 480;
    facts.lag_ms = 30;
    assert_int_equal(ordered(), DATABASE_ACTION_CUT);
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
    facts.cut = true;
    assert_int_equal(next(), DATABASE_TRANSITION_TAKE);
    assert_true(update.writes_loss);
    assert_int_equal(update.loss.epoch, 2);
    assert_string_equal(update.loss.writer, "a");
    assert_string_equal(update.loss.successor, "b");
    assert_int_equal(update.loss.fork, 480);
    assert_int_equal(update.loss.known, 500);
    assert_int_equal(update.loss.bytes, 20);
    assert_int_equal(update.loss.lag_ms, 30);
    assert_false(update.loss.exact);
}

static void the_operator_may_choose_whom_he_wants(void **state)
{
    (void)state;
    electing(480, 490);
    in_phase(MODEL_DATABASE_ELECTING, MODEL_DATABASE_FAILOVER, "b");
    assert_int_equal(next(), DATABASE_TRANSITION_ELECT);
    assert_string_equal(update.group.target, "b");
}

/* ---- servers ---- */

static void a_writer_stops_before_its_deadline(void **state)
{
    (void)state;
    facts.deadline.ns = NOW + 2 * TIME_S + 1;
    assert_int_equal(ordered(), DATABASE_ACTION_WAIT);
    assert_int_equal(order.again.ns - NOW, 1);
    facts.deadline.ns = NOW + 2 * TIME_S;
    assert_int_equal(ordered(), DATABASE_ACTION_STOP_FAST);
    facts.deadline.ns = NOW;
    assert_int_equal(ordered(), DATABASE_ACTION_STOP_IMMEDIATE);
    facts.process = DATABASE_PROCESS_STOPPING;
    assert_int_equal(ordered(), DATABASE_ACTION_STOP_IMMEDIATE);
    facts.clean = true;
    assert_int_equal(ordered(), DATABASE_ACTION_WAIT);
}

static void a_writer_that_lost_its_lease_stops_whatever_else_there_is_to_do(void **state)
{
    (void)state;
    group.epoch = 2;
    facts.deadline.ns = NOW + 8 * TIME_S;
    facts.configured = false;
    members[A].reboot = 3;
    for (int phase = MODEL_DATABASE_NEW; phase <= MODEL_DATABASE_STOPPED; phase++) {
        group.phase = (enum model_database_phase)phase;
        assert_int_equal(ordered(), DATABASE_ACTION_STOP_FAST);
    }
}

static void an_old_writer_comes_back_as_a_reader(void **state)
{
    (void)state;
    turns[1] = (struct model_database_turn){.epoch = 2,
                                            .writer = "b",
                                            .before = "a",
                                            .timeline = 2,
                                            .parent = 1,
                                            .fork = 480,
                                            .confirmed = true};
    group.history_count = 2;
    group.writer = "b";
    group.epoch = 2;
    lease.epoch = 2;
    lease.holder = "b";
    seen[B].condition = MODEL_DATABASE_WRITER;
    facts.process = DATABASE_PROCESS_DOWN;
    facts.follower_count = 0;
    assert_int_equal(database_condition(&view, &facts), MODEL_DATABASE_RETURNING);
    assert_int_equal(ordered(), DATABASE_ACTION_KEEP_ASIDE);
    assert_string_equal(order.upstream, "b");
    facts.aside = true;
    assert_int_equal(ordered(), DATABASE_ACTION_REWIND);
    facts.data = DATABASE_REWINDING;
    assert_int_equal(ordered(), DATABASE_ACTION_REWIND);
    facts.rewind_failed = true;
    assert_int_equal(ordered(), DATABASE_ACTION_DISCARD);
    facts.data = DATABASE_NO_DATA;
    assert_int_equal(ordered(), DATABASE_ACTION_CLONE);
    facts.data = DATABASE_DATA;
    facts.rewind_failed = false;
    facts.standby = true;
    facts.end = 480;
    assert_int_equal(ordered(), DATABASE_ACTION_START_READER);
    facts.process = DATABASE_PROCESS_READER;
    facts.upstream = "a";
    assert_int_equal(ordered(), DATABASE_ACTION_FOLLOW);
    assert_string_equal(order.upstream, "b");
    facts.timeline = 9; /* of which the record does not know */
    assert_int_equal(ordered(), DATABASE_ACTION_COMPARE);
    facts.lineage_timeline = 2;
    facts.lineage = DATABASE_DIVERGED;
    assert_int_equal(ordered(), DATABASE_ACTION_STOP_FAST);
}

static void a_reader_whose_log_the_writer_has_thrown_away_is_made_anew(void **state)
{
    (void)state;
    as_reader(B);
    facts.receiving = false;
    facts.idle_since.ns = NOW - 14 * TIME_S;
    assert_int_equal(ordered(), DATABASE_ACTION_WAIT); /* it has everything */
    assert_int_equal(order.again.ns, INT64_MAX);
    facts.end = 400;
    assert_int_equal(ordered(), DATABASE_ACTION_WAIT);
    assert_int_equal(order.again.ns, NOW + TIME_S);
    facts.idle_since.ns = NOW - 15 * TIME_S;
    assert_int_equal(ordered(), DATABASE_ACTION_COMPARE);
    assert_string_equal(order.upstream, "a");
    facts.log_asked.ns = NOW - TIME_S; /* it has it */
    assert_int_equal(ordered(), DATABASE_ACTION_WAIT);
    assert_int_equal(order.again.ns, NOW + 59 * TIME_S);
    facts.log_gone = true;
    assert_int_equal(ordered(), DATABASE_ACTION_STOP_FAST);
    assert_non_null(strstr(order.sentence, "made anew"));
    facts.process = DATABASE_PROCESS_DOWN;
    assert_int_equal(ordered(), DATABASE_ACTION_DISCARD); /* nothing is there to be put aside */
    sights[A].heard.ns = NOW - 100 * TIME_S;
    assert_int_equal(ordered(), DATABASE_ACTION_START_READER);
    sights[A].heard.ns = NOW;
    facts.upstream = "c"; /* of which that was said */
    assert_int_equal(ordered(), DATABASE_ACTION_START_READER);
    facts.upstream = "a";
    facts.standby = false; /* it was a writer: whether it has something alone is not known */
    assert_int_equal(ordered(), DATABASE_ACTION_KEEP_ASIDE);
}

static void other_orders_come_when_they_are_due(void **state)
{
    (void)state;
    members[A].reboot = 1;
    assert_int_equal(ordered(), DATABASE_ACTION_REBOOT);
    facts.reboot = 1;
    facts.configured = false;
    assert_int_equal(ordered(), DATABASE_ACTION_CONFIGURE);
    facts.process = DATABASE_PROCESS_DOWN;
    assert_int_equal(ordered(), DATABASE_ACTION_START_WRITER);
    facts.stuck = "the disk is full";
    assert_int_equal(ordered(), DATABASE_ACTION_NEED_HANDS);
    assert_string_equal(order.sentence, "the disk is full");
    assert_int_equal(database_condition(&view, &facts), MODEL_DATABASE_STUCK);
    assert_int_equal(next(), DATABASE_TRANSITION_YIELD);
    facts.stuck = "";
    facts.data = DATABASE_NO_DATA;
    assert_int_equal(ordered(), DATABASE_ACTION_NEED_HANDS);
    as_reader(C);
    facts.data = DATABASE_DATA;
    members[C].rebuild = 1;
    assert_int_equal(ordered(), DATABASE_ACTION_STOP_FAST);
    facts.process = DATABASE_PROCESS_DOWN;
    assert_int_equal(ordered(), DATABASE_ACTION_DISCARD);
    facts.timeline = 9; /* of which the record does not know */
    assert_int_equal(ordered(), DATABASE_ACTION_KEEP_ASIDE);
    members[C].deleted = true;
    assert_int_equal(ordered(), DATABASE_ACTION_REMOVE);
    group.phase = MODEL_DATABASE_NEW;
    view.self = "a";
    facts.standby = false;
    facts.data = DATABASE_NO_DATA;
    assert_int_equal(ordered(), DATABASE_ACTION_INITIALISE);
}

static void a_reader_of_another_group_becomes_the_writer_of_its_own(void **state)
{
    (void)state;
    as_reader(B);
    in_phase(MODEL_DATABASE_NEW, MODEL_DATABASE_NO_OPERATION, "");
    group.writer = "b";
    group.history_count = 0;
    view.lease = NULL;
    view.lease_revision = 0;
    assert_int_equal(ordered(), DATABASE_ACTION_CUT);
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
    facts.cut = true;
    facts.upstream = "";
    facts.timeline = 5;
    assert_int_equal(next(), DATABASE_TRANSITION_TAKE_WITH_DATA);
    assert_int_equal(update.group.phase, MODEL_DATABASE_PROMOTING);
    assert_int_equal(update.group.history[0].timeline, 6);
    assert_false(update.writes_loss);
}

static void a_log_is_compared_with_the_writers_line(void **state)
{
    static const struct {
        uint32_t timeline;
        model_lsn end;
        enum database_lineage lineage;
    } rows[] = {{3, 999, DATABASE_FOLLOWS},       {1, 400, DATABASE_FOLLOWS},
                {1, 401, DATABASE_DIVERGED},      {2, 300, DATABASE_DIVERGED},
                {7, 1, DATABASE_LINEAGE_UNKNOWN}, {0, 1, DATABASE_LINEAGE_UNKNOWN}};
    static const struct database_timeline list[] = {{1, 0}, {3, 400}};
    struct model_database_turn line[] = {{.timeline = 1},
                                         {.timeline = 2, .parent = 1, .fork = 300},
                                         {.timeline = 3, .parent = 1, .fork = 400}};
    (void)state;
    group.history = line;
    group.history_count = 3;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(database_lineage_by_record(&group, rows[i].timeline, rows[i].end),
                         rows[i].lineage);
    }
    assert_int_equal(database_lineage_by_list(list, 2, 1, 400), DATABASE_FOLLOWS);
    assert_int_equal(database_lineage_by_list(list, 2, 1, 401), DATABASE_DIVERGED);
    assert_int_equal(database_lineage_by_list(list, 2, 3, 900), DATABASE_FOLLOWS);
    assert_int_equal(database_lineage_by_list(list, 2, 2, 1), DATABASE_DIVERGED);
    assert_int_equal(database_lineage_by_list(list, 0, 2, 1), DATABASE_LINEAGE_UNKNOWN);
}

/* ---- the tables ---- */

static const char *tables(void)
{
    struct buf out;
    buf_init(&out, 0);
    database_dump_tables(&out);
    const char *text = arena_strdup(&arena, buf_text(&out));
    buf_done(&out);
    return text;
}

static void every_transition_and_every_order_has_its_row(void **state)
{
    (void)state;
    const char *text = tables();
    for (int i = DATABASE_TRANSITION_NONE + 1; i <= DATABASE_TRANSITION_RENEW; i++) {
        assert_non_null(strstr(
            text,
            arena_printf(&arena, "\n%s: ", database_transition_name((enum database_transition)i))));
    }
    for (int i = DATABASE_ACTION_WAIT; i <= DATABASE_ACTION_REMOVE; i++) {
        assert_non_null(strstr(text, arena_printf(&arena, "\n%s when ",
                                                  database_action_name((enum database_action)i))));
    }
}

static void the_tables_are_those_of_the_golden_file(void **state)
{
    (void)state;
    FILE *file = fopen(golden, "rb");
    assert_non_null(file);
    char *expected = arena_alloc(&arena, 65536);
    size_t size = fread(expected, 1, 65535, file);
    expected[size] = '\0';
    (void)fclose(file); /* only read from */
    const char *text = tables();
    print_message("%s", text_equal(expected, text) ? "" : text);
    assert_string_equal(expected, text);
}

static void explain_says_where_the_group_stands(void **state)
{
    (void)state;
    view.self = "";
    const char *text = database_explain(&view, NULL, &arena);
    assert_non_null(strstr(text, "orders is STEADY in epoch 1. Writer: a (east).\n"));
    assert_non_null(strstr(text, "a (east) holds the lease of epoch 1 for 10.0 s; it was renewed "
                                 "1.0 s ago.\n"));
    assert_non_null(strstr(text, "b (west) is STREAMING at 0/1F4 on timeline 1.\n"));
    in_phase(MODEL_DATABASE_PREPARING, MODEL_DATABASE_SWITCHOVER, "b");
    text = database_explain(&view, NULL, &arena);
    assert_non_null(strstr(text, "PREPARING in epoch 1 (SWITCHOVER)"));
    assert_non_null(strstr(text, "Next: the writer stops as soon as"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(a_lease_is_renewed_after_a_quarter_of_its_length),
        TEST(a_lease_is_not_shortened_before_the_deadline_that_its_holder_has),
        TEST(a_lease_is_voided_once_one_revision_was_seen_for_its_whole_length),
        TEST(a_lease_is_not_voided_when_that_would_help_nobody),
        TEST(a_switchover_goes_through_its_phases),
        TEST(the_target_of_a_switchover_takes_over_with_everything),
        TEST(a_bound_that_is_the_clusters_parameter_changes_with_the_writer),
        TEST(a_switchover_that_cannot_be_is_refused_with_its_reason),
        TEST(a_switchover_whose_target_is_deleted_is_taken_back_in_every_phase),
        TEST(the_old_writer_goes_on_when_the_target_did_not_take_over),
        TEST(the_most_advanced_of_those_that_reported_is_chosen),
        TEST(an_election_waits_a_little_for_who_lives),
        TEST(the_old_writer_is_chosen_when_it_comes_back_in_time),
        TEST(a_log_that_is_not_on_the_writers_line_is_not_chosen),
        TEST(synchronously_all_must_report_that_may_have_a_commit_alone),
        TEST(a_failover_records_what_may_be_lost),
        TEST(the_operator_may_choose_whom_he_wants),
        TEST(a_writer_stops_before_its_deadline),
        TEST(a_writer_that_lost_its_lease_stops_whatever_else_there_is_to_do),
        TEST(an_old_writer_comes_back_as_a_reader),
        TEST(a_reader_whose_log_the_writer_has_thrown_away_is_made_anew),
        TEST(other_orders_come_when_they_are_due),
        TEST(a_reader_of_another_group_becomes_the_writer_of_its_own),
        TEST(a_log_is_compared_with_the_writers_line),
        TEST(every_transition_and_every_order_has_its_row),
        TEST(the_tables_are_those_of_the_golden_file),
        TEST(explain_says_where_the_group_stands),
    };
    golden = argc > 1 ? argv[1] : "tables.golden";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
