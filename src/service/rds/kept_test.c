/* What clusters and instances are asked for: judged, refused, kept, and shown as their clients will
 * ask for it again. Over a memory store, without agents. */
#include "base/text.h"
#include "model/database.h"
#include "service/rds/rds_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ARN(region, what) "arn:aws:rds:" region ":123456789012:" what

/* A request for that cluster, with one more member. */
static json_t *more(const char *id, const char *member, json_t *take_value)
{
    return json_pack("{s:s, s:o}", "DBClusterIdentifier", id, member, take_value);
}

static json_t *more_of_instance(const char *id, const char *member, json_t *take_value)
{
    return json_pack("{s:s, s:o}", "DBInstanceIdentifier", id, member, take_value);
}

static json_t *instance_in(const char *cluster, const char *id)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "DBInstanceIdentifier", id, "DBClusterIdentifier",
                     cluster, "Engine", "aurora-postgresql", "DBInstanceClass", "db.r5.large");
}

static json_t *with(json_t *request, const char *member, json_t *take_value)
{
    assert_int_equal(json_object_set_new(request, member, take_value), 0);
    return request;
}

static json_t *alone(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "DBInstanceIdentifier", "alone", "Engine",
                     "postgres", "DBInstanceClass", "db.r5.large", "MasterUsername", "boss",
                     "MasterUserPassword", PASSWORD);
}

/* What an event says; NULL: there is none that old. */
static const char *event(size_t from_the_end)
{
    does(EAST, "DescribeEvents", json_object());
    const json_t *events = json_object_get(f.out, "Events");
    size_t count = json_array_size(events);
    return from_the_end < count
               ? tree_text(json_array_get(events, count - 1 - from_the_end), "Message")
               : NULL;
}

static void numbers_have_the_bounds_of_aws(void **state)
{
    static const struct {
        const char *member;
        int fine;
        int wrong[3];
    } cases[] = {
        {"Iops", 3000, {-1, -256000, 256001}},
        {"BacktrackWindow", 0, {-1, 259201, -259200}},
        {"BackupRetentionPeriod", 1, {0, -1, 36}},
        {"PerformanceInsightsRetentionPeriod", 93, {-31, 94, 0}},
        {"PerformanceInsightsRetentionPeriod", 731, {8, 744, 30}},
        {"MonitoringInterval", 60, {-5, 2, 61}},
    };
    (void)state;
    make_cluster(EAST, "orders");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        does(EAST, "ModifyDBCluster", more("orders", cases[i].member, json_integer(cases[i].fine)));
        for (size_t j = 0; j < ARRAY_SIZE(cases[i].wrong); j++) {
            refuses("InvalidParameterValue", EAST, "ModifyDBCluster",
                    more("orders", cases[i].member, json_integer(cases[i].wrong[j])));
        }
    }
    refuses("InvalidParameterValue", EAST, "CreateDBInstance",
            with(alone(), "StorageThroughput", json_integer(-1)));
    refuses("InvalidParameterValue", EAST, "CreateDBInstance",
            with(alone(), "MaxAllocatedStorage", json_integer(-1)));
    refuses("InvalidParameterCombination", EAST, "CreateDBInstance",
            with(alone(), "MaxAllocatedStorage", json_integer(19)));
    does(EAST, "CreateDBInstance", with(alone(), "MaxAllocatedStorage", json_integer(100)));
    does(EAST, "ModifyDBInstance",
         more_of_instance("alone", "MaxAllocatedStorage", json_integer(20)));
    assert_null(json_object_get(json_object_get(f.out, "DBInstance"), "MaxAllocatedStorage"));
    refuses("InvalidParameterValue", EAST, "ModifyDBCluster",
            more("orders", "ServerlessV2ScalingConfiguration",
                 json_pack("{s:f, s:f}", "MinCapacity", 4.0, "MaxCapacity", 2.0)));
}

static void windows_are_judged_and_do_not_overlap(void **state)
{
    static const char *const wrong_backups[] = {"",
                                                "03:00",
                                                "3:00-4:00",
                                                "03:00-03:29",
                                                "24:00-01:00",
                                                "03:60-05:00",
                                                "03:00-03:00",
                                                "03:00_04:00",
                                                "mon:03:00-mon:04:00",
                                                "03:00-04:000",
                                                "aa:bb-cc:dd"};
    static const char *const wrong_maintenances[] = {"",
                                                     "03:00-04:00",
                                                     "mon:03:00-mon:03:29",
                                                     "mon:3:00-mon:4:00",
                                                     "mo:03:00-mo:04:00",
                                                     "xyz:03:00-mon:04:00",
                                                     "mon:03:00-mon:24:00",
                                                     "mon-03:00-mon-04:00"};
    (void)state;
    make_cluster(EAST, "orders");
    for (size_t i = 0; i < ARRAY_SIZE(wrong_backups); i++) {
        refuses("InvalidParameterValue", EAST, "ModifyDBCluster",
                more("orders", "PreferredBackupWindow", json_string(wrong_backups[i])));
    }
    for (size_t i = 0; i < ARRAY_SIZE(wrong_maintenances); i++) {
        refuses("InvalidParameterValue", EAST, "ModifyDBCluster",
                more("orders", "PreferredMaintenanceWindow", json_string(wrong_maintenances[i])));
    }
    does(EAST, "ModifyDBCluster",
         more("orders", "PreferredMaintenanceWindow", json_string("Sat:23:30-Sun:00:15")));
    assert_string_equal(cluster_text(EAST, "orders", "PreferredMaintenanceWindow"),
                        "sat:23:30-sun:00:15");
    static const char *const overlapping[] = {"23:00-23:31", "00:14-01:00", "23:45-00:15",
                                              "22:00-02:00"};
    for (size_t i = 0; i < ARRAY_SIZE(overlapping); i++) {
        refuses("InvalidParameterValue", EAST, "ModifyDBCluster",
                more("orders", "PreferredBackupWindow", json_string(overlapping[i])));
        assert_non_null(strstr(f.err.message, "must not overlap"));
    }
    does(EAST, "ModifyDBCluster",
         more("orders", "PreferredBackupWindow", json_string("00:15-23:30")));
    refuses("InvalidParameterValue", EAST, "ModifyDBCluster",
            more("orders", "PreferredMaintenanceWindow", json_string("wed:12:00-wed:13:00")));
}

static void a_window_that_was_not_given_makes_room(void **state)
{
    (void)state;
    does(EAST, "CreateDBInstance",
         with(alone(), "PreferredBackupWindow", json_string("00:00-07:00")));
    assert_string_equal(instance_text(EAST, "alone", "PreferredMaintenanceWindow"),
                        "sun:07:00-sun:07:30");
    does(EAST, "CreateDBInstance",
         with(with(alone(), "PreferredMaintenanceWindow", json_string("sun:02:00-sun:05:00")),
              "DBInstanceIdentifier", json_string("second")));
    assert_string_equal(instance_text(EAST, "second", "PreferredBackupWindow"), "00:00-00:30");
}

static void what_leeward_does_not_do_is_refused(void **state)
{
    static const struct {
        const char *member;
        const char *value; /* NULL: true */
    } of_clusters[] = {
        {"ManageMasterUserPassword", NULL},
        {"RotateMasterUserPassword", NULL},
        {"MasterUserSecretKmsKeyId", "alias/mine"},
        {"EnableGlobalWriteForwarding", NULL},
        {"EnableLocalWriteForwarding", NULL},
        {"EngineMode", "serverless"},
        {"Domain", "d-1"},
    };
    (void)state;
    make_cluster(EAST, "orders");
    for (size_t i = 0; i < ARRAY_SIZE(of_clusters); i++) {
        const char *value = of_clusters[i].value;
        refuses("InvalidParameterCombination", EAST, "ModifyDBCluster",
                more("orders", of_clusters[i].member,
                     value != NULL ? json_string(value) : json_true()));
        assert_non_null(strstr(f.err.message, of_clusters[i].member));
        if (value == NULL) {
            does(EAST, "ModifyDBCluster", more("orders", of_clusters[i].member, json_false()));
        }
    }
    does(EAST, "ModifyDBCluster", more("orders", "EngineMode", json_string("provisioned")));
    refuses("OptionGroupNotFoundFault", EAST, "ModifyDBCluster",
            more("orders", "OptionGroupName", json_string("mine")));
    refuses("InvalidParameterCombination", EAST, "CreateDBInstance",
            with(alone(), "ManageMasterUserPassword", json_true()));
    refuses("InvalidParameterCombination", EAST, "CreateDBInstance",
            with(alone(), "MultiAZ", json_true()));
    refuses("InvalidParameterCombination", EAST, "CreateDBInstance",
            with(alone(), "DBSecurityGroups", json_pack("[s]", "old")));
}

static void log_types_are_enabled_and_disabled(void **state)
{
    (void)state;
    does(EAST, "CreateDBInstance",
         with(alone(), "EnableCloudwatchLogsExports", json_pack("[s]", "postgresql")));
    does(EAST, "ModifyDBInstance",
         more_of_instance("alone", "CloudwatchLogsExportConfiguration",
                          json_pack("{s:[s, s]}", "EnableLogTypes", "upgrade", "postgresql")));
    const json_t *shown = json_object_get(f.out, "DBInstance");
    assert_int_equal(json_array_size(json_object_get(shown, "EnabledCloudwatchLogsExports")), 2);
    does(EAST, "ModifyDBInstance",
         more_of_instance("alone", "CloudwatchLogsExportConfiguration",
                          json_pack("{s:[s]}", "DisableLogTypes", "postgresql")));
    shown = json_object_get(json_object_get(f.out, "DBInstance"), "EnabledCloudwatchLogsExports");
    assert_int_equal(json_array_size(shown), 1);
    assert_string_equal(json_string_value(json_array_get(shown, 0)), "upgrade");
    refuses("InvalidParameterCombination", EAST, "ModifyDBInstance",
            more_of_instance("alone", "CloudwatchLogsExportConfiguration",
                             json_pack("{s:[s]}", "EnableLogTypes", "slowquery")));
    make_cluster(EAST, "orders");
    refuses("InvalidParameterCombination", EAST, "ModifyDBCluster",
            more("orders", "CloudwatchLogsExportConfiguration",
                 json_pack("{s:[s]}", "DisableLogTypes", "upgrade")));
}

static void instances_show_what_their_cluster_has(void **state)
{
    (void)state;
    does(EAST, "CreateDBSubnetGroup",
         json_pack("{s:s, s:s, s:[s, s]}", "DBSubnetGroupName", "net", "DBSubnetGroupDescription",
                   "d", "SubnetIds", "subnet-a", "subnet-b"));
    does(EAST, "CreateDBCluster",
         json_pack("{s:s, s:s, s:s, s:s, s:s, s:[s, s], s:s, s:b, s:s, s:i, s:b}",
                   "DBClusterIdentifier", "orders", "Engine", "aurora-postgresql", "MasterUsername",
                   "boss", "MasterUserPassword", PASSWORD, "DBSubnetGroupName", "net",
                   "VpcSecurityGroupIds", "sg-1", "sg-2", "PreferredBackupWindow", "05:00-06:00",
                   "StorageEncrypted", 1, "KmsKeyId", "alias/mine", "BackupRetentionPeriod", 9,
                   "DeletionProtection", 1));
    const json_t *cluster = json_object_get(f.out, "DBCluster");
    const json_t *zones = json_object_get(cluster, "AvailabilityZones");
    assert_int_equal(json_array_size(zones), 3);
    assert_string_equal(json_string_value(json_array_get(zones, 2)), "us-east-1c");
    make_instance(EAST, ARN(EAST, "cluster:Orders"), "orders-1");
    make_instance(EAST, "orders", "orders-2");
    assert_string_equal(instance_text(EAST, "orders-2", "AvailabilityZone"), "us-east-1b");
    assert_string_equal(instance_text(EAST, "orders-1", "PreferredBackupWindow"), "05:00-06:00");
    const json_t *shown = first("DBInstances");
    assert_string_equal(tree_text(shown, "DBClusterIdentifier"), "orders");
    assert_string_equal(tree_text(shown, "KmsKeyId"), "alias/mine");
    assert_true(json_is_true(json_object_get(shown, "StorageEncrypted")));
    assert_false(json_is_true(json_object_get(shown, "DeletionProtection")));
    assert_int_equal(json_integer_value(json_object_get(shown, "BackupRetentionPeriod")), 9);
    assert_int_equal(json_array_size(json_object_get(shown, "VpcSecurityGroups")), 2);
    assert_string_equal(tree_text(json_object_get(shown, "DBSubnetGroup"), "DBSubnetGroupName"),
                        "net");
    does(EAST, "ModifyDBCluster", more("orders", "VpcSecurityGroupIds", json_pack("[s]", "sg-3")));
    (void)instance_text(EAST, "orders-1", "Engine");
    assert_string_equal(
        tree_text(json_array_get(json_object_get(first("DBInstances"), "VpcSecurityGroups"), 0),
                  "VpcSecurityGroupId"),
        "sg-3");
}

static void an_instance_has_nothing_else_than_its_cluster(void **state)
{
    (void)state;
    make_cluster(EAST, "orders");
    does(EAST, "CreateDBInstance",
         with(with(instance_in("orders", "orders-1"), "StorageEncrypted", json_false()),
              "PreferredBackupWindow", json_string("03:00-03:30")));
    refuses("InvalidParameterCombination", EAST, "CreateDBInstance",
            with(instance_in("orders", "i"), "StorageEncrypted", json_true()));
    refuses("InvalidParameterCombination", EAST, "CreateDBInstance",
            with(instance_in("orders", "i"), "VpcSecurityGroupIds", json_pack("[s]", "sg-1")));
    assert_non_null(strstr(f.err.message, "Set vpc security group for the DB Cluster"));
    refuses("DBSubnetGroupNotFoundFault", EAST, "CreateDBInstance",
            with(instance_in("orders", "i"), "DBSubnetGroupName", json_string("none")));
    refuses("InvalidParameterCombination", EAST, "ModifyDBInstance",
            more_of_instance("orders-1", "PreferredBackupWindow", json_string("09:00-10:00")));
    assert_non_null(strstr(f.err.message, "Modify backup window for the DB Cluster"));
    does(EAST, "ModifyDBInstance",
         more_of_instance("orders-1", "PreferredBackupWindow", json_string("03:00-03:30")));
    does(EAST, "CreateDBSubnetGroup",
         json_pack("{s:s, s:s, s:[s, s]}", "DBSubnetGroupName", "net", "DBSubnetGroupDescription",
                   "d", "SubnetIds", "subnet-a", "subnet-b"));
    refuses("InvalidParameterCombination", EAST, "ModifyDBInstance",
            more_of_instance("orders-1", "DBSubnetGroupName", json_string("net")));
    does(EAST, "CreateDBInstance", alone());
    does(EAST, "ModifyDBInstance",
         more_of_instance("alone", "DBSubnetGroupName", json_string("net")));
    assert_string_equal(
        tree_text(json_object_get(json_object_get(f.out, "DBInstance"), "DBSubnetGroup"),
                  "DBSubnetGroupName"),
        "net");
    refuses("InvalidDBSubnetGroupStateFault", EAST, "DeleteDBSubnetGroup",
            json_pack("{s:s}", "DBSubnetGroupName", "net"));
}

static void names_are_those_that_aws_allows(void **state)
{
    static const char *const wrong_groups[] = {"1a", "a_b", "a.b", "a--b", "a-", ""};
    static const char *const wrong_subnets[] = {"1a", " a", "a/b", "default", "Default", ""};
    char longest[257];
    (void)state;
    memset(longest, 'a', sizeof longest);
    longest[256] = '\0';
    for (size_t i = 0; i <= ARRAY_SIZE(wrong_groups); i++) {
        refuses("InvalidParameterValue", EAST, "CreateDBParameterGroup",
                json_pack("{s:s, s:s, s:s}", "DBParameterGroupName",
                          i < ARRAY_SIZE(wrong_groups) ? wrong_groups[i] : longest,
                          "DBParameterGroupFamily", "postgres15", "Description", "d"));
    }
    for (size_t i = 0; i <= ARRAY_SIZE(wrong_subnets); i++) {
        refuses("InvalidParameterValue", EAST, "CreateDBSubnetGroup",
                json_pack("{s:s, s:s, s:[s, s]}", "DBSubnetGroupName",
                          i < ARRAY_SIZE(wrong_subnets) ? wrong_subnets[i] : longest,
                          "DBSubnetGroupDescription", "d", "SubnetIds", "subnet-a", "subnet-b"));
    }
    longest[255] = '\0';
    does(EAST, "CreateDBClusterParameterGroup",
         json_pack("{s:s, s:s, s:s}", "DBClusterParameterGroupName", longest,
                   "DBParameterGroupFamily", "aurora-postgresql15", "Description", "d"));
    does(EAST, "CreateDBSubnetGroup",
         json_pack("{s:s, s:s, s:[s, s]}", "DBSubnetGroupName", "My net_1.x-y",
                   "DBSubnetGroupDescription", "d", "SubnetIds", "subnet-a", "subnet-b"));
    char text[3000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    refuses("InvalidParameterValue", EAST, "CreateDBParameterGroup",
            json_pack("{s:s, s:s, s:s}", "DBParameterGroupName", "mine", "DBParameterGroupFamily",
                      "postgres15", "Description", text));
    refuses("InvalidParameterValue", EAST, "ModifyDBSubnetGroup",
            json_pack("{s:s, s:s, s:[s, s]}", "DBSubnetGroupName", "My net_1.x-y",
                      "DBSubnetGroupDescription", text, "SubnetIds", "subnet-a", "subnet-b"));
    const char *const databases[] = {"9lives", "a-b", "rdsadmin", "template1", longest};
    for (size_t i = 0; i < ARRAY_SIZE(databases); i++) {
        refuses("InvalidParameterValue", EAST, "CreateGlobalCluster",
                json_pack("{s:s, s:s, s:s}", "GlobalClusterIdentifier", "world", "Engine",
                          "aurora-postgresql", "DatabaseName", databases[i]));
    }
}

static void arns_of_other_regions_name_nothing_here(void **state)
{
    static const char there[] = ARN(WEST, "cluster:orders");
    (void)state;
    make_cluster(WEST, "orders");
    make_instance(WEST, "orders", "orders-1");
    make_cluster(EAST, "orders");
    static const char *const operations[] = {"ModifyDBCluster",
                                             "DeleteDBCluster",
                                             "StopDBCluster",
                                             "DescribeDBClusters",
                                             "FailoverDBCluster",
                                             "RebootDBCluster",
                                             "PromoteReadReplicaDBCluster"};
    for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
        refuses("DBClusterNotFoundFault", EAST, operations[i],
                json_pack("{s:s, s:b}", "DBClusterIdentifier", there, "SkipFinalSnapshot", 1));
    }
    static const char *const of_instances[] = {"ModifyDBInstance", "DeleteDBInstance",
                                               "RebootDBInstance", "DescribeDBInstances"};
    for (size_t i = 0; i < ARRAY_SIZE(of_instances); i++) {
        refuses("DBInstanceNotFoundFault", EAST, of_instances[i],
                json_pack("{s:s}", "DBInstanceIdentifier", ARN(WEST, "db:orders-1")));
    }
    refuses("DBClusterNotFoundFault", EAST, "CreateDBInstance", instance_in(there, "i"));
    refuses("DBClusterNotFoundFault", EAST, "CreateDBClusterSnapshot",
            more(there, "DBClusterSnapshotIdentifier", json_string("s")));
    static const char *const tagging[] = {"AddTagsToResource", "RemoveTagsFromResource",
                                          "ListTagsForResource"};
    for (size_t i = 0; i < ARRAY_SIZE(tagging); i++) {
        refuses("InvalidParameterValue", EAST, tagging[i],
                json_pack("{s:s}", "ResourceName", there));
        assert_non_null(strstr(f.err.message, "does not match an RDS resource in this region"));
    }
    does(EAST, "DescribeDBClusters",
         json_pack("{s:[{s:s, s:[s]}]}", "Filters", "Name", "db-cluster-id", "Values", there));
    assert_int_equal(json_array_size(json_object_get(f.out, "DBClusters")), 0);
    does(EAST, "CreateDBCluster",
         json_pack("{s:s, s:s, s:s}", "DBClusterIdentifier", "copy", "Engine", "aurora-postgresql",
                   "ReplicationSourceIdentifier", there));
}

static void pages_go_on_where_they_ended_whatever_changes(void **state)
{
    (void)state;
    for (int i = 0; i < 23; i++) {
        char id[8];
        (void)snprintf(id, sizeof id, "c%02d", i);
        make_cluster(EAST, id);
    }
    does(EAST, "DescribeDBClusters", json_pack("{s:i}", "MaxRecords", 20));
    assert_int_equal(json_array_size(json_object_get(f.out, "DBClusters")), 20);
    char *marker = arena_strdup(&f.kept, tree_text(f.out, "Marker"));
    does(EAST, "DeleteDBCluster",
         json_pack("{s:s, s:b}", "DBClusterIdentifier", "c19", "SkipFinalSnapshot", 1));
    make_cluster(EAST, "c05a");
    make_cluster(EAST, "c20a");
    does(EAST, "DescribeDBClusters", json_pack("{s:i, s:s}", "MaxRecords", 20, "Marker", marker));
    assert_int_equal(json_array_size(json_object_get(f.out, "DBClusters")), 4);
    assert_string_equal(tree_text(first("DBClusters"), "DBClusterIdentifier"), "c20");
    assert_null(json_object_get(f.out, "Marker"));
    static const char *const junk[] = {"c05", "!", "AAAA", "RGVzY3JpYmU="};
    for (size_t i = 0; i < ARRAY_SIZE(junk); i++) {
        refuses("InvalidParameterValue", EAST, "DescribeDBClusters",
                json_pack("{s:s}", "Marker", junk[i]));
    }
    refuses("InvalidParameterValue", EAST, "DescribeDBInstances",
            json_pack("{s:s}", "Marker", marker));
    refuses("InvalidParameterValue", EAST, "DescribeGlobalClusters",
            json_pack("{s:s}", "Marker", marker));
}

static void events_tell_what_was_begun(void **state)
{
    (void)state;
    does(EAST, "CreateDBInstance", alone());
    assert_string_equal(event(0), "DB instance is being created");
    does(EAST, "ModifyDBInstance",
         more_of_instance("alone", "NewDBInstanceIdentifier", json_string("Single")));
    assert_string_equal(event(0), "Renamed DB instance from alone to single");
    does(EAST, "DeleteDBInstance", more_of_instance("single", "SkipFinalSnapshot", json_true()));
    assert_string_equal(event(0), "DB instance deleted");
    make_cluster(EAST, "orders");
    assert_string_equal(event(0), "DB cluster created");
    does(EAST, "ModifyDBCluster", more("orders", "NewDBClusterIdentifier", json_string("sales")));
    assert_string_equal(event(0), "Renamed DB cluster from orders to sales");
    does(EAST, "DeleteDBCluster", more("sales", "SkipFinalSnapshot", json_true()));
    assert_string_equal(event(0), "DB cluster deleted");
}

static void a_renamed_instance_renames_the_group_that_it_is(void **state)
{
    struct store_list list;
    struct model_database_group group = {.id = ""};
    (void)state;
    does(EAST, "CreateDBInstance", alone());
    does(EAST, "ModifyDBInstance",
         more_of_instance("alone", "NewDBInstanceIdentifier", json_string("single")));
    assert_int_equal(store_range(f.store, PATH_DATABASE_GROUPS, NULL, 0, &f.kept, &list, &f.err),
                     0);
    assert_int_equal(list.count, 1);
    assert_int_equal(model_database_group_decode(list.entries[0].value, list.entries[0].size,
                                                 &f.kept, &group, &f.err),
                     0);
    assert_string_equal(group.name, "single");
}

static void a_setting_of_a_member_can_be_taken_off(void **state)
{
    static const char arn[] = ARN(EAST, "cluster:orders");
    (void)state;
    make_cluster(EAST, "orders");
    json_t *setting = json_pack("{s:s, s:[{s:s, s:s}]}", "ResourceName", arn, "Tags", "Key",
                                "leeward:mode", "Value", "synchronous");
    does(EAST, "AddTagsToResource", json_incref(setting));
    does(EAST, "CreateGlobalCluster",
         json_pack("{s:s, s:s}", "GlobalClusterIdentifier", "world", "SourceDBClusterIdentifier",
                   arn));
    refuses("InvalidParameterValue", EAST, "AddTagsToResource", setting);
    does(EAST, "RemoveTagsFromResource",
         json_pack("{s:s, s:[s]}", "ResourceName", arn, "TagKeys", "leeward:mode"));
    does(EAST, "ListTagsForResource", json_pack("{s:s}", "ResourceName", arn));
    assert_int_equal(json_array_size(json_object_get(f.out, "TagList")), 0);
    does(EAST, "ListTagsForResource",
         json_pack("{s:s}", "ResourceName", "arn:aws:rds::123456789012:global-cluster:world"));
    assert_string_equal(tree_text(first("TagList"), "Value"), "synchronous");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rds_set_up, rds_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(numbers_have_the_bounds_of_aws),
        TEST(windows_are_judged_and_do_not_overlap),
        TEST(a_window_that_was_not_given_makes_room),
        TEST(what_leeward_does_not_do_is_refused),
        TEST(log_types_are_enabled_and_disabled),
        TEST(instances_show_what_their_cluster_has),
        TEST(an_instance_has_nothing_else_than_its_cluster),
        TEST(names_are_those_that_aws_allows),
        TEST(arns_of_other_regions_name_nothing_here),
        TEST(pages_go_on_where_they_ended_whatever_changes),
        TEST(events_tell_what_was_begun),
        TEST(a_renamed_instance_renames_the_group_that_it_is),
        TEST(a_setting_of_a_member_can_be_taken_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
