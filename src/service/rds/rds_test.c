/* The handlers of databases over a memory store, where the test is the agent: it writes what agents
 * see, and looks at what they are asked to do. */
#include "base/text.h"
#include "model/database.h"
#include "model/database_names.h"
#include "seal/verifier.h"
#include "service/rds/rds_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- the agent ---- */

static void put(const char *key, const char *text)
{
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t revision = 0;
    assert_non_null(text);
    store_txn_put(txn, key, text, strlen(text));
    assert_int_equal(store_commit(f.store, txn, &revision, &f.err), 0);
}

static void drop(const char *key)
{
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t revision = 0;
    store_txn_delete(txn, key);
    assert_int_equal(store_commit(f.store, txn, &revision, &f.err), 0);
}

static void start_agent(const char *region, const char *zone)
{
    const char *addresses[] = {"127.1.0.1", "127.1.0.2"};
    const struct model_database_region record = {.region = region,
                                                 .site = "",
                                                 .engine_version = "15.99",
                                                 .addresses = addresses,
                                                 .address_count = 2,
                                                 .zone = zone};
    put(model_database_region_key(&f.kept, region),
        model_database_region_encode(&f.kept, &record, NULL));
}

static size_t range(const char *prefix, struct store_list *list)
{
    assert_int_equal(store_range(f.store, prefix, NULL, 0, &f.kept, list, &f.err), 0);
    return list->count;
}

static struct model_database_group group(size_t at)
{
    struct store_list list;
    struct model_database_group group = {.id = ""};
    assert_true(range(PATH_DATABASE_GROUPS, &list) > at);
    assert_int_equal(model_database_group_decode(list.entries[at].value, list.entries[at].size,
                                                 &f.kept, &group, &f.err),
                     0);
    return group;
}

static void put_group(const struct model_database_group *group)
{
    put(model_database_group_key(&f.kept, group->id),
        model_database_group_encode(&f.kept, group, NULL));
}

/* The member of an instance; false: there is none. */
static bool find_member(const char *region, const char *instance,
                        struct model_database_member *ret_member)
{
    struct store_list list;
    (void)range(PATH_DATABASE_MEMBERS, &list);
    for (size_t i = 0; i < list.count; i++) {
        assert_int_equal(model_database_member_decode(list.entries[i].value, list.entries[i].size,
                                                      &f.kept, ret_member, &f.err),
                         0);
        if (text_equal(ret_member->instance, instance) && text_equal(ret_member->region, region)) {
            return true;
        }
    }
    return false;
}

static struct model_database_member member(const char *region, const char *instance)
{
    struct model_database_member found = {.id = ""};
    assert_true(find_member(region, instance, &found));
    return found;
}

static void see(const char *region, const char *instance, enum model_database_condition condition)
{
    struct model_database_member of = member(region, instance);
    const struct model_database_seen seen = {.condition = condition,
                                             .site = "",
                                             .message = "",
                                             .action = "",
                                             .upstream = "",
                                             .system_id = 7,
                                             .reboot = of.reboot};
    put(model_database_seen_key(&f.kept, of.group, of.id),
        model_database_seen_encode(&f.kept, &seen, NULL));
}

/* The group has a writer that holds the lease. */
static void settle(const char *region, const char *instance)
{
    struct model_database_member of = member(region, instance);
    struct model_database_group now = group(0);
    now.phase = MODEL_DATABASE_STEADY;
    now.operation = MODEL_DATABASE_NO_OPERATION;
    now.writer = of.id;
    now.target = "";
    now.epoch++;
    put_group(&now);
    const struct model_database_lease lease = {.epoch = now.epoch,
                                               .holder = of.id,
                                               .state = MODEL_DATABASE_LEASE_HELD,
                                               .length_ms = now.lease_ms};
    put(model_database_lease_key(&f.kept, now.id),
        model_database_lease_encode(&f.kept, &lease, NULL));
    see(region, instance, MODEL_DATABASE_WRITER);
}

/* Server, data and records of an instance are gone. */
static void remove_member(const struct model_database_member *of)
{
    drop(model_database_seen_key(&f.kept, of->group, of->id));
    drop(model_database_member_key(&f.kept, of->group, of->id));
}

/* ---- requests ---- */

static const char *global_status(void)
{
    does(EAST, "DescribeGlobalClusters", json_object());
    return tree_text(first("GlobalClusters"), "Status");
}

/* Two regions, a writer in the east that a server in the west replicates. */
static void make_world(void)
{
    start_agent(EAST, "");
    start_agent(WEST, "");
    make_cluster(EAST, "orders");
    make_instance(EAST, "orders", "orders-1");
    does(EAST, "CreateGlobalCluster",
         json_pack("{s:s, s:s}", "GlobalClusterIdentifier", "world", "SourceDBClusterIdentifier",
                   "orders"));
    does(WEST, "CreateDBCluster",
         json_pack("{s:s, s:s, s:s}", "DBClusterIdentifier", "orders", "Engine",
                   "aurora-postgresql", "GlobalClusterIdentifier", "world"));
    make_instance(WEST, "orders", "orders-2");
    settle(EAST, "orders-1");
    see(WEST, "orders-2", MODEL_DATABASE_STREAMING);
}

static json_t *target(const char *region)
{
    return json_pack("{s:s, s:o}", "GlobalClusterIdentifier", "world", "TargetDbClusterIdentifier",
                     json_sprintf("arn:aws:rds:%s:123456789012:cluster:orders", region));
}

/* ---- tests ---- */

static void a_verifier_is_what_scram_prescribes(void **state)
{
    uint8_t salt[VERIFIER_SALT];
    char text[VERIFIER_TEXT];
    (void)state;
    for (size_t i = 0; i < sizeof salt; i++) {
        salt[i] = (uint8_t)i;
    }
    /* Computed with Python's hashlib. */
    assert_int_equal(verifier_make_salted("correct horse battery", salt, text, &f.err), 0);
    assert_string_equal(text, "SCRAM-SHA-256$4096:AAECAwQFBgcICQoLDA0ODw==$DSORcG4dNUxAHTEo5BL20ymS"
                              "oLgt8C8jLZ09S+VUVlM=:9hLrfnf7zvCtDB9drkVXkMgUsd4vpHfg5YQJDrbaZ30=");
}

static void a_password_is_stored_nowhere(void **state)
{
    struct store_list list;
    (void)state;
    make_cluster(EAST, "orders");
    make_instance(EAST, "orders", "orders-1");
    for (size_t i = 0; i < range("", &list); i++) {
        assert_null(strstr(list.entries[i].value, PASSWORD));
    }
    assert_true(text_starts(group(0).verifier, "SCRAM-SHA-256$4096:"));
    assert_true(seal_is_sealed(group(0).replication));
    assert_null(json_object_get(json_object_get(f.out, "DBInstance"), "MasterUserPassword"));
}

static void statuses_follow_what_agents_see(void **state)
{
    (void)state;
    make_cluster(EAST, "orders");
    assert_string_equal(cluster_text(EAST, "orders", "Status"), "creating");
    start_agent(EAST, "");
    assert_string_equal(cluster_text(EAST, "orders", "Status"), "available");
    make_instance(EAST, "orders", "orders-1");
    assert_string_equal(cluster_text(EAST, "orders", "Status"), "creating");
    assert_string_equal(group(0).writer, member(EAST, "orders-1").id);
    see(EAST, "orders-1", MODEL_DATABASE_CREATING);
    assert_string_equal(instance_text(EAST, "orders-1", "DBInstanceStatus"), "creating");
    settle(EAST, "orders-1");
    assert_string_equal(instance_text(EAST, "orders-1", "DBInstanceStatus"), "available");
    assert_string_equal(cluster_text(EAST, "orders", "Status"), "available");
    assert_string_equal(cluster_text(EAST, "orders", "EngineVersion"), "15.99");
    see(EAST, "orders-1", MODEL_DATABASE_STUCK);
    assert_string_equal(instance_text(EAST, "orders-1", "DBInstanceStatus"), "failed");
    assert_string_equal(cluster_text(EAST, "orders", "Status"), "failed");
}

static void servers_get_addresses_and_names(void **state)
{
    (void)state;
    start_agent(EAST, "db.example");
    make_cluster(EAST, "orders");
    make_instance(EAST, "orders", "orders-1");
    make_instance(EAST, "orders", "orders-2");
    assert_string_equal(member(EAST, "orders-1").address, "127.1.0.1");
    assert_string_equal(member(EAST, "orders-2").address, "127.1.0.2");
    assert_int_equal(member(EAST, "orders-2").port, 5432);
    refuses("InsufficientDBInstanceCapacityFault", EAST, "CreateDBInstance",
            json_pack("{s:s, s:s, s:s, s:s}", "DBInstanceIdentifier", "third",
                      "DBClusterIdentifier", "orders", "Engine", "aurora-postgresql",
                      "DBInstanceClass", "db.r5.large"));
    assert_string_equal(cluster_text(EAST, "orders", "Endpoint"),
                        "orders.cluster.us-east-1.db.example");
    assert_string_equal(cluster_text(EAST, "orders", "ReaderEndpoint"),
                        "orders.cluster-ro.us-east-1.db.example");
    start_agent(EAST, "");
    assert_string_equal(cluster_text(EAST, "orders", "Endpoint"), "127.1.0.1");
    assert_string_equal(cluster_text(EAST, "orders", "ReaderEndpoint"), "127.1.0.2");
}

static void a_switchover_is_ordered_while_both_sides_are_healthy(void **state)
{
    (void)state;
    make_world();
    refuses("InvalidDBClusterStateFault", WEST, "FailoverGlobalCluster", target(EAST));
    see(WEST, "orders-2", MODEL_DATABASE_READER);
    refuses("InvalidGlobalClusterStateFault", WEST, "FailoverGlobalCluster", target(WEST));
    assert_non_null(strstr(f.err.message, "cannot be switched over"));
    see(WEST, "orders-2", MODEL_DATABASE_STREAMING);
    does(WEST, "FailoverGlobalCluster", target(WEST));
    const json_t *shown = json_object_get(f.out, "GlobalCluster");
    assert_string_equal(tree_text(shown, "Status"), "failing-over");
    const json_t *failover = json_object_get(shown, "FailoverState");
    assert_string_equal(tree_text(failover, "Status"), "pending");
    assert_string_equal(tree_text(failover, "FromDbClusterArn"),
                        "arn:aws:rds:us-east-1:123456789012:cluster:orders");
    assert_string_equal(tree_text(failover, "ToDbClusterArn"),
                        "arn:aws:rds:us-west-2:123456789012:cluster:orders");
    assert_int_equal(group(0).operation, MODEL_DATABASE_SWITCHOVER);
    assert_int_equal(group(0).phase, MODEL_DATABASE_STEADY);
    assert_string_equal(group(0).target, member(WEST, "orders-2").id);
    refuses("InvalidGlobalClusterStateFault", EAST, "SwitchoverGlobalCluster", target(WEST));
    see(EAST, "orders-1", MODEL_DATABASE_STREAMING);
    settle(WEST, "orders-2");
    assert_string_equal(global_status(), "available");
    assert_null(json_object_get(first("GlobalClusters"), "FailoverState"));
    does(EAST, "SwitchoverGlobalCluster", target(EAST));
    assert_string_equal(tree_text(json_object_get(f.out, "GlobalCluster"), "Status"),
                        "switching-over");
    assert_string_equal(global_status(), "switching-over");
}

static void data_is_given_up_only_where_that_was_said(void **state)
{
    (void)state;
    make_world();
    struct model_database_group now = group(0);
    now.phase = MODEL_DATABASE_ELECTING;
    put_group(&now);
    assert_string_equal(global_status(), "failing-over");
    refuses("InvalidGlobalClusterStateFault", WEST, "SwitchoverGlobalCluster", target(WEST));
    json_t *wish = target(WEST);
    assert_int_equal(json_object_set_new(wish, "AllowDataLoss", json_true()), 0);
    json_t *both = json_deep_copy(wish);
    assert_int_equal(json_object_set_new(both, "Switchover", json_true()), 0);
    refuses("InvalidParameterCombination", WEST, "FailoverGlobalCluster", both);
    does(WEST, "FailoverGlobalCluster", wish);
    assert_int_equal(group(0).operation, MODEL_DATABASE_FAILOVER);
    assert_int_equal(group(0).phase, MODEL_DATABASE_ELECTING);
    assert_string_equal(group(0).target, member(WEST, "orders-2").id);
}

static void a_cluster_that_leaves_takes_its_servers_along(void **state)
{
    struct store_list list;
    (void)state;
    make_world();
    refuses("InvalidGlobalClusterStateFault", EAST, "RemoveFromGlobalCluster",
            json_pack("{s:s, s:s}", "GlobalClusterIdentifier", "world", "DbClusterIdentifier",
                      "orders"));
    struct model_database_member before = member(WEST, "orders-2");
    does(WEST, "RemoveFromGlobalCluster",
         json_pack("{s:s, s:s}", "GlobalClusterIdentifier", "world", "DbClusterIdentifier",
                   "orders"));
    struct model_database_member after = member(WEST, "orders-2");
    assert_string_equal(after.id, before.id);
    assert_string_not_equal(after.group, before.group);
    assert_int_equal(range(PATH_DATABASE_SEEN, &list), 1);
    assert_int_equal(range(PATH_DATABASE_GROUPS, &list), 2);
    struct model_database_group own = group(0);
    own = text_equal(own.id, after.group) ? own : group(1);
    assert_string_equal(own.writer, after.id);
    assert_string_equal(own.name, "orders");
    assert_string_equal(own.region, WEST);
    assert_int_equal(own.phase, MODEL_DATABASE_NEW);
    struct seal_data opened = {.size = 0};
    assert_int_equal(seal_unwrap(f.seal, model_database_group_key(&f.kept, own.id), own.replication,
                                 &f.kept, &opened, &f.err),
                     0);
    assert_string_equal(cluster_text(WEST, "orders", "MasterUsername"), "boss");
    does(EAST, "RemoveFromGlobalCluster",
         json_pack("{s:s, s:s}", "GlobalClusterIdentifier", "world", "DbClusterIdentifier",
                   "arn:aws:rds:us-east-1:123456789012:cluster:orders"));
    does(EAST, "DeleteGlobalCluster", json_pack("{s:s}", "GlobalClusterIdentifier", "world"));
}

static void the_last_instance_leaves_its_data_to_the_cluster(void **state)
{
    struct store_list list;
    (void)state;
    start_agent(EAST, "");
    make_cluster(EAST, "orders");
    make_instance(EAST, "orders", "orders-1");
    settle(EAST, "orders-1");
    const char *id = member(EAST, "orders-1").id;
    does(EAST, "DeleteDBInstance",
         json_pack("{s:s, s:b}", "DBInstanceIdentifier", "orders-1", "SkipFinalSnapshot", 1));
    assert_string_equal(tree_text(json_object_get(f.out, "DBInstance"), "DBInstanceStatus"),
                        "deleting");
    refuses("DBInstanceNotFoundFault", EAST, "DescribeDBInstances",
            json_pack("{s:s}", "DBInstanceIdentifier", "orders-1"));
    struct model_database_member keeper = member(EAST, "");
    assert_true(keeper.stopped && !keeper.deleted);
    assert_string_equal(cluster_text(EAST, "orders", "Status"), "available");
    make_instance(EAST, "orders", "orders-2");
    keeper = member(EAST, "orders-2");
    assert_string_equal(keeper.id, id);
    assert_false(keeper.stopped);
    does(EAST, "DeleteDBInstance", json_pack("{s:s}", "DBInstanceIdentifier", "orders-2"));
    refuses("InvalidParameterCombination", EAST, "DeleteDBCluster",
            json_pack("{s:s}", "DBClusterIdentifier", "orders"));
    does(EAST, "DeleteDBCluster",
         json_pack("{s:s, s:b}", "DBClusterIdentifier", "orders", "SkipFinalSnapshot", 1));
    assert_string_equal(cluster_text(EAST, "orders", "Status"), "deleting");
    keeper = member(EAST, "");
    assert_true(keeper.deleted);
    remove_member(&keeper);
    refuses("DBClusterNotFoundFault", EAST, "DescribeDBClusters",
            json_pack("{s:s}", "DBClusterIdentifier", "orders"));
    make_cluster(EAST, "orders");
    assert_int_equal(range(PATH_DATABASE_GROUPS, &list), 1);
    assert_int_equal(range(PATH_DATABASE_LEASES, &list), 0);
}

static void a_deleted_writer_is_replaced_within_its_cluster(void **state)
{
    (void)state;
    start_agent(EAST, "");
    make_cluster(EAST, "orders");
    make_instance(EAST, "orders", "orders-1");
    make_instance(EAST, "orders", "orders-2");
    settle(EAST, "orders-1");
    see(EAST, "orders-2", MODEL_DATABASE_CREATING);
    refuses("InvalidDBInstanceStateFault", EAST, "DeleteDBInstance",
            json_pack("{s:s}", "DBInstanceIdentifier", "orders-1"));
    see(EAST, "orders-2", MODEL_DATABASE_STREAMING);
    does(EAST, "DeleteDBInstance", json_pack("{s:s}", "DBInstanceIdentifier", "orders-1"));
    assert_true(member(EAST, "orders-1").deleted);
    assert_string_equal(group(0).target, member(EAST, "orders-2").id);
    assert_string_equal(instance_text(EAST, "orders-1", "DBInstanceStatus"), "deleting");
    struct model_database_member gone = member(EAST, "orders-1");
    remove_member(&gone);
    settle(EAST, "orders-2");
    refuses("DBInstanceNotFoundFault", EAST, "DescribeDBInstances",
            json_pack("{s:s}", "DBInstanceIdentifier", "orders-1"));
    make_instance(EAST, "orders", "orders-1");
}

static void clusters_stop_and_start(void **state)
{
    (void)state;
    make_world();
    refuses("InvalidDBClusterStateFault", EAST, "StopDBCluster",
            json_pack("{s:s}", "DBClusterIdentifier", "orders"));
    does(WEST, "RemoveFromGlobalCluster",
         json_pack("{s:s, s:s}", "GlobalClusterIdentifier", "world", "DbClusterIdentifier",
                   "orders"));
    does(EAST, "StopDBCluster", json_pack("{s:s}", "DBClusterIdentifier", "orders"));
    assert_true(member(EAST, "orders-1").stopped);
    assert_string_equal(cluster_text(EAST, "orders", "Status"), "stopping");
    see(EAST, "orders-1", MODEL_DATABASE_DOWN);
    assert_string_equal(cluster_text(EAST, "orders", "Status"), "stopped");
    assert_string_equal(instance_text(EAST, "orders-1", "DBInstanceStatus"), "stopped");
    refuses("InvalidDBInstanceStateFault", EAST, "RebootDBInstance",
            json_pack("{s:s}", "DBInstanceIdentifier", "orders-1"));
    does(EAST, "StartDBCluster", json_pack("{s:s}", "DBClusterIdentifier", "orders"));
    assert_string_equal(cluster_text(EAST, "orders", "Status"), "starting");
    see(EAST, "orders-1", MODEL_DATABASE_WRITER);
    assert_string_equal(cluster_text(EAST, "orders", "Status"), "available");
}

static const char *setting(const char *instance, const char *name)
{
    struct model_database_member of = member(EAST, instance);
    for (size_t i = 0; i < of.setting_count; i++) {
        if (text_equal(of.settings[i].name, name)) {
            return of.settings[i].value;
        }
    }
    return "";
}

static void set_parameter(const char *operation, const char *group_member, const char *name,
                          const char *value, const char *method)
{
    does(EAST, operation,
         json_pack("{s:s, s:[{s:s, s:s, s:s}]}", group_member, "mine", "Parameters",
                   "ParameterName", name, "ParameterValue", value, "ApplyMethod", method));
}

static void parameters_reach_servers_when_they_may(void **state)
{
    (void)state;
    start_agent(EAST, "");
    does(EAST, "CreateDBClusterParameterGroup",
         json_pack("{s:s, s:s, s:s}", "DBClusterParameterGroupName", "mine",
                   "DBParameterGroupFamily", "aurora-postgresql15", "Description", "d"));
    does(EAST, "CreateDBParameterGroup",
         json_pack("{s:s, s:s, s:s}", "DBParameterGroupName", "mine", "DBParameterGroupFamily",
                   "aurora-postgresql15", "Description", "d"));
    make_cluster(EAST, "orders");
    make_instance(EAST, "orders", "orders-1");
    settle(EAST, "orders-1");
    does(EAST, "ModifyDBCluster",
         json_pack("{s:s, s:s, s:s}", "DBClusterIdentifier", "orders",
                   "DBClusterParameterGroupName", "mine", "DBInstanceParameterGroupName", "mine"));
    static const char of_cluster[] = "ModifyDBClusterParameterGroup";
    static const char cluster_name[] = "DBClusterParameterGroupName";
    set_parameter(of_cluster, cluster_name, "work_mem", "8192", "immediate");
    assert_string_equal(setting("orders-1", "work_mem"), "8192");
    set_parameter("ModifyDBParameterGroup", "DBParameterGroupName", "work_mem", "1024",
                  "immediate");
    assert_string_equal(setting("orders-1", "work_mem"), "1024");
    set_parameter(of_cluster, cluster_name, "log_statement", "ddl", "pending-reboot");
    assert_string_equal(setting("orders-1", "log_statement"), "");
    does(EAST, "DescribeDBInstances", json_object());
    assert_string_equal(
        tree_text(json_array_get(json_object_get(first("DBInstances"), "DBParameterGroups"), 0),
                  "ParameterApplyStatus"),
        "pending-reboot");
    does(EAST, "RebootDBInstance", json_pack("{s:s}", "DBInstanceIdentifier", "orders-1"));
    assert_string_equal(setting("orders-1", "log_statement"), "ddl");
    assert_int_equal(member(EAST, "orders-1").reboot, 1);
    assert_string_equal(instance_text(EAST, "orders-1", "DBInstanceStatus"), "rebooting");
    see(EAST, "orders-1", MODEL_DATABASE_WRITER);
    assert_string_equal(instance_text(EAST, "orders-1", "DBInstanceStatus"), "available");
    set_parameter(of_cluster, cluster_name, "rds.global_db_rpo", "20", "immediate");
    assert_int_equal(group(0).mode, MODEL_DATABASE_BOUNDED);
    assert_int_equal(group(0).rpo_ms, 20000);
}

static void tags_are_settings_of_the_group(void **state)
{
    static const char arn[] = "arn:aws:rds::123456789012:global-cluster:world";
    (void)state;
    make_world();
    does(WEST, "AddTagsToResource",
         json_pack("{s:s, s:[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}, {s:s, s:s}]}", "ResourceName", arn,
                   "Tags", "Key", "leeward:mode", "Value", "synchronous", "Key", "leeward:lease-ms",
                   "Value", "2000", "Key", "leeward:failover", "Value", "manual", "Key",
                   "leeward:alone", "Value", "wait"));
    assert_true(group(0).alone_waits);
    assert_int_equal(group(0).mode, MODEL_DATABASE_SYNCHRONOUS);
    assert_int_equal(group(0).lease_ms, 2000);
    assert_false(group(0).automatic);
    does(EAST, "ListTagsForResource", json_pack("{s:s}", "ResourceName", arn));
    assert_int_equal(json_array_size(json_object_get(f.out, "TagList")), 4);
    refuses("InvalidParameterValue", EAST, "AddTagsToResource",
            json_pack("{s:s, s:[{s:s, s:s}]}", "ResourceName", arn, "Tags", "Key", "leeward:alone",
                      "Value", "yes"));
    refuses("InvalidParameterValue", EAST, "AddTagsToResource",
            json_pack("{s:s, s:[{s:s, s:s}]}", "ResourceName", arn, "Tags", "Key",
                      "leeward:lease-ms", "Value", "5"));
    refuses("InvalidParameterValue", EAST, "AddTagsToResource",
            json_pack("{s:s, s:[{s:s, s:s}]}", "ResourceName",
                      "arn:aws:rds:us-east-1:123456789012:cluster:orders", "Tags", "Key",
                      "leeward:mode", "Value", "bounded"));
    does(EAST, "RemoveTagsFromResource",
         json_pack("{s:s, s:[s, s, s, s]}", "ResourceName", arn, "TagKeys", "leeward:mode",
                   "leeward:failover", "leeward:lease-ms", "leeward:alone"));
    assert_false(group(0).alone_waits);
    assert_int_equal(group(0).mode, MODEL_DATABASE_ASYNCHRONOUS);
    assert_int_equal(group(0).lease_ms, MODEL_DATABASE_LEASE_MS);
    assert_true(group(0).automatic);
}

static void snapshots_are_asked_of_agents_and_restored(void **state)
{
    struct store_list list;
    struct model_database_snapshot wanted = {.id = ""};
    (void)state;
    start_agent(EAST, "");
    make_cluster(EAST, "orders");
    make_instance(EAST, "orders", "orders-1");
    refuses("InvalidDBClusterStateFault", EAST, "CreateDBClusterSnapshot",
            json_pack("{s:s, s:s}", "DBClusterIdentifier", "orders", "DBClusterSnapshotIdentifier",
                      "before"));
    settle(EAST, "orders-1");
    does(EAST, "CreateDBClusterSnapshot",
         json_pack("{s:s, s:s}", "DBClusterIdentifier", "orders", "DBClusterSnapshotIdentifier",
                   "before"));
    assert_int_equal(range(PATH_DATABASE_SNAPSHOTS, &list), 1);
    assert_int_equal(model_database_snapshot_decode(list.entries[0].value, list.entries[0].size,
                                                    &f.kept, &wanted, &f.err),
                     0);
    assert_string_equal(wanted.member, member(EAST, "orders-1").id);
    refuses("InvalidDBClusterSnapshotStateFault", EAST, "RestoreDBClusterFromSnapshot",
            json_pack("{s:s, s:s, s:s}", "DBClusterIdentifier", "again", "SnapshotIdentifier",
                      "before", "Engine", "aurora-postgresql"));
    const struct model_database_snapshot_seen seen = {
        .state = MODEL_DATABASE_SNAPSHOT_AVAILABLE, .message = "", .percent = 100, .end = 9};
    put(model_database_snapshot_seen_key(&f.kept, wanted.id),
        model_database_snapshot_seen_encode(&f.kept, &seen, NULL));
    does(EAST, "DescribeDBClusterSnapshots", json_object());
    assert_string_equal(tree_text(first("DBClusterSnapshots"), "Status"), "available");
    does(EAST, "RestoreDBClusterFromSnapshot",
         json_pack("{s:s, s:s, s:s}", "DBClusterIdentifier", "again", "SnapshotIdentifier",
                   "before", "Engine", "aurora-postgresql"));
    assert_int_equal(range(PATH_DATABASE_RESTORES, &list), 1);
    make_instance(EAST, "again", "again-1");
    assert_string_equal(cluster_text(EAST, "again", "MasterUsername"), "boss");
    refuses("InvalidDBClusterSnapshotStateFault", EAST, "DeleteDBClusterSnapshot",
            json_pack("{s:s}", "DBClusterSnapshotIdentifier", "before"));
}

static void new_identifiers_reach_everything_that_names_them(void **state)
{
    struct store_list list;
    (void)state;
    make_world();
    does(EAST, "ModifyGlobalCluster",
         json_pack("{s:s, s:s}", "GlobalClusterIdentifier", "world", "NewGlobalClusterIdentifier",
                   "Planet"));
    assert_string_equal(group(0).name, "planet");
    assert_int_equal(range(PATH_RDS_GLOBALS, &list), 1);
    does(EAST, "ModifyDBCluster",
         json_pack("{s:s, s:s}", "DBClusterIdentifier", "orders", "NewDBClusterIdentifier",
                   "sales"));
    assert_string_equal(member(EAST, "orders-1").cluster, "sales");
    assert_string_equal(instance_text(EAST, "orders-1", "DBClusterIdentifier"), "sales");
    assert_string_equal(cluster_text(EAST, "sales", "Status"), "available");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rds_set_up, rds_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_verifier_is_what_scram_prescribes),
        TEST(a_password_is_stored_nowhere),
        TEST(statuses_follow_what_agents_see),
        TEST(servers_get_addresses_and_names),
        TEST(a_switchover_is_ordered_while_both_sides_are_healthy),
        TEST(data_is_given_up_only_where_that_was_said),
        TEST(a_cluster_that_leaves_takes_its_servers_along),
        TEST(the_last_instance_leaves_its_data_to_the_cluster),
        TEST(a_deleted_writer_is_replaced_within_its_cluster),
        TEST(clusters_stop_and_start),
        TEST(parameters_reach_servers_when_they_may),
        TEST(tags_are_settings_of_the_group),
        TEST(snapshots_are_asked_of_agents_and_restored),
        TEST(new_identifiers_reach_everything_that_names_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
