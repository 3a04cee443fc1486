/* Databases as records: model/database.h. */
#include "model/database.h"

#include "base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static const char *others[] = {"db-b", "db-c"};

static struct model_database_group group_example(void)
{
    static struct model_database_turn turns[] = {
        {.epoch = 1, .writer = "db-a", .before = "", .timeline = 1, .confirmed = true},
        {.epoch = 3,
         .writer = "db-b",
         .before = "db-a",
         .timeline = 2,
         .parent = 1,
         .fork = 0x16B374D848,
         .operation = MODEL_DATABASE_FAILOVER_AUTOMATIC,
         .at = {1700000000 * TIME_S}},
    };
    return (struct model_database_group){
        .id = "grp-x",
        .engine = "postgres",
        .region = "",
        .name = "global",
        .mode = MODEL_DATABASE_SYNCHRONOUS,
        .lease_ms = 2000,
        .rpo_ms = 20000,
        .bound_follows = true,
        .automatic = true,
        .database = "app",
        .master = "boss",
        .verifier = "SCRAM-SHA-256$4096:x",
        .replication = "v1:k:x",
        .phase = MODEL_DATABASE_PROMOTING,
        .epoch = 4,
        .writer = "db-b",
        .target = "db-c",
        .operation = MODEL_DATABASE_SWITCHOVER,
        .reason = "somebody \"asked\"",
        .since = {1700000001 * TIME_S},
        .fence = UINT64_MAX,
        .synchronous = others,
        .synchronous_count = 2,
        .history = turns,
        .history_count = ARRAY_SIZE(turns),
    };
}

static void a_place_in_the_log_is_written_as_postgresql_writes_it(void **state)
{
    static const struct {
        model_lsn lsn;
        const char *text;
    } rows[] = {{0, "0/0"},
                {0x16B374D848, "16/B374D848"},
                {UINT64_MAX, "FFFFFFFF/FFFFFFFF"},
                {0x3000028, "0/3000028"}};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[MODEL_LSN_TEXT];
        model_lsn lsn = 1;
        model_lsn_format(rows[i].lsn, text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(model_lsn_parse(text, &lsn), 0);
        assert_true(lsn == rows[i].lsn);
    }
}

static void what_is_no_place_in_the_log_is_refused(void **state)
{
    static const char *const texts[] = {"",     "/",     "1/",          "/1",   "1",
                                        "1/g",  "1/2 ",  "123456789/0", "-1/0", "1/2/3",
                                        " 1/2", "0x1/0", "1/123456789"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        model_lsn lsn = 0;
        assert_int_equal(model_lsn_parse(texts[i], &lsn), -EINVAL);
    }
}

static void a_group_is_the_same_after_a_round_trip(void **state)
{
    (void)state;
    struct model_database_group group = group_example();
    struct model_database_group again;
    struct err err = ERR_INIT;
    const char *text = model_database_group_encode(&arena, &group, NULL);
    assert_int_equal(model_database_group_decode(text, strlen(text), &arena, &again, &err), 0);
    assert_string_equal(model_database_group_encode(&arena, &again, NULL), text);
    assert_int_equal(again.phase, MODEL_DATABASE_PROMOTING);
    assert_int_equal(again.operation, MODEL_DATABASE_SWITCHOVER);
    assert_true(again.automatic);
    assert_true(again.fence == UINT64_MAX);
    assert_int_equal(again.since.ns, group.since.ns);
    assert_int_equal(again.synchronous_count, 2);
    assert_string_equal(again.synchronous[1], "db-c");
    assert_int_equal(again.history_count, 2);
    assert_int_equal(again.history[1].timeline, 2);
    assert_true(again.history[1].fork == 0x16B374D848);
    assert_true(again.history[0].confirmed && !again.history[1].confirmed);
    assert_string_equal(again.reason, group.reason);
}

static void a_region_and_a_lease_are_the_same_after_a_round_trip(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    const char *addresses[] = {"127.1.1.1", "127.1.1.2"};
    struct model_database_region region = {.region = "us-east-1",
                                           .site = "a",
                                           .engine_version = "15.18",
                                           .addresses = addresses,
                                           .address_count = 2,
                                           .zone = "db.test"};
    const char *text = model_database_region_encode(&arena, &region, NULL);
    struct model_database_region region_again;
    assert_int_equal(model_database_region_decode(text, strlen(text), &arena, &region_again, &err),
                     0);
    assert_string_equal(model_database_region_encode(&arena, &region_again, NULL), text);
    assert_string_equal(region_again.addresses[1], "127.1.1.2");

    struct model_database_lease lease = {.epoch = 7,
                                         .holder = "db-a",
                                         .state = MODEL_DATABASE_LEASE_RELEASED,
                                         .length_ms = 10000,
                                         .renewals = 12,
                                         .flushed = 99,
                                         .timeline = 4294967295U,
                                         .at = {5 * TIME_S}};
    text = model_database_lease_encode(&arena, &lease, NULL);
    struct model_database_lease lease_again;
    assert_int_equal(model_database_lease_decode(text, strlen(text), &arena, &lease_again, &err),
                     0);
    assert_string_equal(model_database_lease_encode(&arena, &lease_again, NULL), text);
    assert_int_equal(lease_again.timeline, 4294967295U);
    assert_int_equal(lease_again.state, MODEL_DATABASE_LEASE_RELEASED);
}

static void a_member_and_how_it_is_seen_are_the_same_after_a_round_trip(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct model_database_setting settings[] = {{"work_mem", "4MB"}, {"jit", ""}};
    struct model_database_member member = {.group = "grp-x",
                                           .id = "db-a",
                                           .region = "r",
                                           .cluster = "c",
                                           .instance = "i",
                                           .address = "127.1.1.1",
                                           .port = 65432,
                                           .tier = 15,
                                           .attached = "",
                                           .stopped = true,
                                           .reboot = 3,
                                           .settings = settings,
                                           .setting_count = 2};
    const char *text = model_database_member_encode(&arena, &member, NULL);
    struct model_database_member member_again;
    assert_int_equal(model_database_member_decode(text, strlen(text), &arena, &member_again, &err),
                     0);
    assert_string_equal(model_database_member_encode(&arena, &member_again, NULL), text);
    assert_int_equal(member_again.port, 65432);
    assert_string_equal(member_again.settings[0].value, "4MB");
    assert_true(member_again.stopped && !member_again.deleted);

    struct model_database_seen seen = {.site = "s",
                                       .condition = MODEL_DATABASE_STREAMING,
                                       .message = "",
                                       .action = "",
                                       .system_id = UINT64_C(0xFEDCBA9876543210),
                                       .timeline = 2,
                                       .received = 0x3000028,
                                       .replayed = 0x3000027,
                                       .lag_bytes = -1,
                                       .lag_ms = -1,
                                       .epoch = 4,
                                       .upstream = "db-b"};
    text = model_database_seen_encode(&arena, &seen, NULL);
    struct model_database_seen seen_again;
    assert_int_equal(model_database_seen_decode(text, strlen(text), &arena, &seen_again, &err), 0);
    assert_string_equal(model_database_seen_encode(&arena, &seen_again, NULL), text);
    assert_true(seen_again.system_id == UINT64_C(0xFEDCBA9876543210));
    assert_int_equal(seen_again.lag_bytes, -1);
}

static void a_loss_and_an_event_are_the_same_after_a_round_trip(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct model_database_loss loss = {.epoch = 4,
                                       .writer = "db-a",
                                       .successor = "db-b",
                                       .fork = 5,
                                       .known = 6,
                                       .bytes = 1,
                                       .lag_ms = -1,
                                       .exact = true,
                                       .transactions = 2,
                                       .aside = "/x"};
    const char *text = model_database_loss_encode(&arena, &loss, NULL);
    struct model_database_loss loss_again;
    assert_int_equal(model_database_loss_decode(text, strlen(text), &arena, &loss_again, &err), 0);
    assert_string_equal(model_database_loss_encode(&arena, &loss_again, NULL), text);
    assert_true(loss_again.exact && loss_again.end == 0);

    struct model_database_event event = {.region = "us-east-1",
                                         .source = "orders",
                                         .type = "db-cluster",
                                         .category = "failover",
                                         .message = "Started",
                                         .at = {TIME_S}};
    text = model_database_event_encode(&arena, &event);
    struct model_database_event event_again;
    assert_int_equal(model_database_event_decode(text, strlen(text), &arena, &event_again, &err),
                     0);
    assert_string_equal(model_database_event_encode(&arena, &event_again), text);
}

static void a_damaged_value_is_refused_with_the_member_that_is_wrong(void **state)
{
    static const struct {
        const char *old;
        const char *new;
        const char *says;
    } rows[] = {
        {"\"Phase\":\"PROMOTING\"", "\"Phase\":\"DANCING\"", "Phase"},
        {"\"Phase\":\"PROMOTING\"", "\"Phase\":7", "Phase"},
        {"\"Id\":\"grp-x\"", "\"Id\":\"\"", "Id"},
        {"\"LeaseMs\":2000", "\"LeaseMs\":20", "LeaseMs"},
        {"\"LeaseMs\":2000", "\"LeaseMs\":2e3", "LeaseMs"},
        {"\"Epoch\":4", "\"Epoch\":-4", "Epoch"},
        {"\"Automatic\":true", "\"Automatic\":1", "Automatic"},
        {"\"Fence\":\"FFFFFFFF/FFFFFFFF\"", "\"Fence\":\"FFFFFFFF\"", "Fence"},
        {"[\"db-b\",\"db-c\"]", "[\"db-b\",3]", "Synchronous"},
        {"[\"db-b\",\"db-c\"]", "{}", "Synchronous"},
        {"\"Timeline\":2", "\"Timeline\":4294967296", "Timeline"},
        {"\"Operation\":\"FAILOVER_AUTOMATIC\"", "\"Operation\":\"\"", "History"},
    };
    (void)state;
    struct model_database_group group = group_example();
    const char *text = model_database_group_encode(&arena, &group, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *at = strstr(text, rows[i].old);
        assert_non_null(at);
        const char *damaged = arena_printf(&arena, "%.*s%s%s", (int)(at - text), text, rows[i].new,
                                           at + strlen(rows[i].old));
        struct model_database_group again;
        struct err err = ERR_INIT;
        assert_int_equal(
            model_database_group_decode(damaged, strlen(damaged), &arena, &again, &err), -EBADMSG);
        assert_int_equal(err.kind, ERR_CORRUPT);
        assert_non_null(strstr(err.message, rows[i].says));
        assert_non_null(strstr(err.message, "replication group"));
    }
}

static void a_list_that_is_too_long_is_refused(void **state)
{
    (void)state;
    struct model_database_turn turns[MODEL_DATABASE_HISTORY + 1];
    for (size_t i = 0; i < ARRAY_SIZE(turns); i++) {
        turns[i] = (struct model_database_turn){.writer = "a", .before = "b"};
    }
    struct model_database_group group = group_example();
    group.history = turns;
    group.history_count = ARRAY_SIZE(turns);
    const char *text = model_database_group_encode(&arena, &group, NULL);
    struct model_database_group again;
    struct err err = ERR_INIT;
    assert_int_equal(model_database_group_decode(text, strlen(text), &arena, &again, &err),
                     -EBADMSG);
}

static void members_of_a_later_version_stay(void **state)
{
    (void)state;
    static const char old[] = "{\"v\":7,\"Epoch\":1,\"Holder\":\"a\",\"State\":\"HELD\","
                              "\"LengthMs\":2000,\"Later\":[1]}";
    const struct model_stored stored = {old, sizeof old - 1};
    struct model_database_lease lease;
    struct err err = ERR_INIT;
    assert_int_equal(model_database_lease_decode(old, sizeof old - 1, &arena, &lease, &err), 0);
    lease.renewals = 5;
    const char *text = model_database_lease_encode(&arena, &lease, &stored);
    assert_non_null(strstr(text, "\"Later\":[1]"));
    assert_non_null(strstr(text, "\"v\":7"));
    assert_non_null(strstr(text, "\"Renewals\":5"));
}

static void a_message_that_was_cut_within_a_character_is_mended(void **state)
{
    (void)state;
    struct model_database_event event = {
        .region = "r", .source = "", .type = "", .category = "", .message = "grosse Stra\xC3"};
    const char *text = model_database_event_encode(&arena, &event);
    assert_non_null(strstr(text, "grosse Stra\""));
}

static void keys_are_where_the_header_says(void **state)
{
    (void)state;
    assert_string_equal(model_database_group_key(&arena, "grp-x"), "db/group/grp-x");
    assert_string_equal(model_database_lease_key(&arena, "grp-x"), "db/lease/grp-x");
    assert_string_equal(model_database_member_key(&arena, "grp-x", "db-a"), "db/member/grp-x/db-a");
    assert_string_equal(model_database_seen_key(&arena, "grp-x", "db-a"), "db/seen/grp-x/db-a");
    assert_string_equal(model_database_loss_key(&arena, "grp-x", 12), "db/loss/grp-x/0000000012");
    assert_string_equal(model_database_region_key(&arena, "us-east-1"), "db/region/us-east-1");
    const char *early = model_database_event_key(&arena, "r", (struct wall){9 * TIME_S});
    const char *late = model_database_event_key(&arena, "r", (struct wall){10 * TIME_S});
    assert_true(text_starts(early, "rds/event/r/000000000009000-"));
    assert_true(strcmp(early, late) < 0);
}

static void an_id_has_its_prefix_and_26_characters(void **state)
{
    (void)state;
    char first[MODEL_DATABASE_ID];
    char second[MODEL_DATABASE_ID];
    model_database_new_id("grp-", first);
    model_database_new_id("db-", second);
    assert_int_equal(strlen(first), 30);
    assert_int_equal(strlen(second), 29);
    assert_true(text_starts(first, "grp-"));
    assert_string_not_equal(first + 4, second + 3);
}

static void names_are_as_shown(void **state)
{
    (void)state;
    assert_string_equal(model_database_phase_name(MODEL_DATABASE_STOPPED), "STOPPED");
    assert_string_equal(model_database_mode_name(MODEL_DATABASE_BOUNDED), "BOUNDED");
    assert_string_equal(model_database_operation_name(MODEL_DATABASE_NO_OPERATION), "NONE");
    assert_string_equal(model_database_lease_state_name(MODEL_DATABASE_LEASE_HELD), "HELD");
    assert_string_equal(model_database_condition_name(MODEL_DATABASE_STUCK), "STUCK");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_in_the_log_is_written_as_postgresql_writes_it),
        cmocka_unit_test(what_is_no_place_in_the_log_is_refused),
        cmocka_unit_test(a_group_is_the_same_after_a_round_trip),
        cmocka_unit_test(a_region_and_a_lease_are_the_same_after_a_round_trip),
        cmocka_unit_test(a_member_and_how_it_is_seen_are_the_same_after_a_round_trip),
        cmocka_unit_test(a_loss_and_an_event_are_the_same_after_a_round_trip),
        cmocka_unit_test(a_damaged_value_is_refused_with_the_member_that_is_wrong),
        cmocka_unit_test(a_list_that_is_too_long_is_refused),
        cmocka_unit_test(members_of_a_later_version_stay),
        cmocka_unit_test(a_message_that_was_cut_within_a_character_is_mended),
        cmocka_unit_test(keys_are_where_the_header_says),
        cmocka_unit_test(an_id_has_its_prefix_and_26_characters),
        cmocka_unit_test(names_are_as_shown),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
