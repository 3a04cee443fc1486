"""Databases (RDS) with boto3 and the AWS CLI where no agent runs: what is asked for is kept, judged and shown."""

import json

import pytest
from botocore.exceptions import ClientError

from leeward import AwsError

REGIONS = ("us-east-1", "us-west-2")
PASSWORD = "a long Password!".replace(" ", "-")


@pytest.fixture(name="site")
def _site(sandbox):
    return sandbox.daemon(regions=REGIONS).start()


def refused(code, status, words, call, **more):
    with pytest.raises(ClientError) as caught:
        call(**more)
    error = caught.value.response
    assert error["Error"]["Code"] == code, error
    assert error["ResponseMetadata"]["HTTPStatusCode"] == status, error
    assert words in error["Error"]["Message"], error


def cluster(rds, name="orders", **more):
    return rds.create_db_cluster(DBClusterIdentifier=name, Engine="aurora-postgresql", MasterUsername="boss",
                                 MasterUserPassword=PASSWORD, **more)["DBCluster"]


def instance(rds, name="orders-1", of="orders", **more):
    return rds.create_db_instance(DBInstanceIdentifier=name, DBClusterIdentifier=of, Engine="aurora-postgresql",
                                  DBInstanceClass="db.r6g.large", **more)["DBInstance"]


def test_the_aws_cli_makes_a_global_database_and_takes_it_apart(site):
    def aws(region, *arguments):
        return site.aws("rds", *arguments, region=region)
    east, west = (site.client("rds", region=region) for region in REGIONS)
    made = aws(REGIONS[0], "create-db-cluster", "--db-cluster-identifier", "Orders", "--engine", "aurora-postgresql", "--master-username",
               "boss", "--master-user-password", PASSWORD, "--database-name", "shop", "--tags", "Key=team,Value=web")["DBCluster"]
    assert (made["DBClusterIdentifier"], made["Status"], made["DatabaseName"], made["Port"]) == ("orders", "creating", "shop", 5432)
    assert made["DBClusterArn"] == "arn:aws:rds:us-east-1:123456789012:cluster:orders"
    assert made["TagList"] == [{"Key": "team", "Value": "web"}]
    one = aws(REGIONS[0], "create-db-instance", "--db-instance-identifier", "orders-1", "--db-cluster-identifier", "orders",
              "--engine", "aurora-postgresql", "--db-instance-class", "db.r6g.large")["DBInstance"]
    assert (one["DBInstanceStatus"], one["DBClusterIdentifier"], one["MasterUsername"]) == ("creating", "orders", "boss")
    world = aws(REGIONS[0], "create-global-cluster", "--global-cluster-identifier", "World", "--source-db-cluster-identifier",
                made["DBClusterArn"])["GlobalCluster"]
    assert world["GlobalClusterIdentifier"] == "world" and world["GlobalClusterMembers"][0]["IsWriter"]
    other = aws(REGIONS[1], "create-db-cluster", "--db-cluster-identifier", "orders", "--engine", "aurora-postgresql",
                "--global-cluster-identifier", "world", "--source-region", REGIONS[0])["DBCluster"]
    assert other["DBClusterArn"] == "arn:aws:rds:us-west-2:123456789012:cluster:orders" and other["MasterUsername"] == "boss"
    instance(west, "orders-2")
    for rds in (east, west):
        shown = rds.describe_global_clusters()["GlobalClusters"]
        assert [each["GlobalClusterIdentifier"] for each in shown] == ["world"] and shown[0]["Status"] == "available"
        members = {each["DBClusterArn"]: each for each in shown[0]["GlobalClusterMembers"]}
        assert {arn: each["IsWriter"] for arn, each in members.items()} == {made["DBClusterArn"]: True, other["DBClusterArn"]: False}
        assert members[made["DBClusterArn"]]["Readers"] == [other["DBClusterArn"]] and "FailoverState" not in shown[0]
    with pytest.raises(AwsError) as error:
        aws(REGIONS[0], "failover-global-cluster", "--global-cluster-identifier", "world", "--target-db-cluster-identifier",
            other["DBClusterArn"])
    assert error.value.code == "InvalidGlobalClusterStateFault" and "AllowDataLoss" in error.value.stderr
    refused("InvalidDBClusterStateFault", 400, "global cluster", east.delete_db_cluster, DBClusterIdentifier="orders", SkipFinalSnapshot=True)
    refused("InvalidGlobalClusterStateFault", 400, "not empty", east.delete_global_cluster, GlobalClusterIdentifier="world")
    for cluster_of in (other, made):
        east.remove_from_global_cluster(GlobalClusterIdentifier="world", DbClusterIdentifier=cluster_of["DBClusterArn"])
    assert east.delete_global_cluster(GlobalClusterIdentifier="world")["GlobalCluster"]["Status"] == "deleting"
    for rds, name in ((east, "orders-1"), (west, "orders-2")):
        refused("InvalidDBClusterStateFault", 400, "still contains", rds.delete_db_cluster, DBClusterIdentifier="orders", SkipFinalSnapshot=True)
        assert rds.delete_db_instance(DBInstanceIdentifier=name)["DBInstance"]["DBInstanceStatus"] == "deleting"
        rds.get_waiter("db_instance_deleted").wait(DBInstanceIdentifier=name)
        rds.delete_db_cluster(DBClusterIdentifier="orders", SkipFinalSnapshot=True)
    aws(REGIONS[0], "wait", "db-cluster-deleted", "--db-cluster-identifier", "orders")
    west.get_waiter("db_cluster_deleted").wait(DBClusterIdentifier="orders")


def test_identifiers_names_and_arns_find_the_same(site):
    rds = site.client("rds")
    arn = cluster(rds, "Mixed-Case")["DBClusterArn"]
    for name in ("mixed-case", "MIXED-CASE", arn):
        assert rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]["DBClusterArn"] == arn
    refused("DBClusterAlreadyExistsFault", 400, "mixed-case", rds.create_db_cluster, DBClusterIdentifier="MIXED-case", Engine="aurora-postgresql",
            MasterUsername="boss", MasterUserPassword=PASSWORD)
    for wrong in ("1abc", "a--b", "a-", "a_b", "a" * 64):
        refused("InvalidParameterValue", 400, "not a valid identifier", rds.create_db_cluster, DBClusterIdentifier=wrong, Engine="postgres",
                MasterUsername="boss", MasterUserPassword=PASSWORD)
    refused("DBClusterNotFoundFault", 404, "none", rds.describe_db_clusters, DBClusterIdentifier="none")
    refused("DBInstanceNotFound", 404, "none", rds.describe_db_instances, DBInstanceIdentifier="none")
    refused("GlobalClusterNotFoundFault", 404, "none", rds.describe_global_clusters, GlobalClusterIdentifier="none")
    refused("DBParameterGroupNotFound", 404, "none", rds.describe_db_parameters, DBParameterGroupName="none")
    refused("DBSubnetGroupNotFoundFault", 404, "none", rds.create_db_cluster, DBClusterIdentifier="b", Engine="postgres",
            MasterUsername="boss", MasterUserPassword=PASSWORD, DBSubnetGroupName="none")


def test_what_cannot_be_is_refused(site):
    east, west = (site.client("rds", region=region) for region in REGIONS)
    good = {"DBClusterIdentifier": "c", "Engine": "aurora-postgresql", "MasterUsername": "boss", "MasterUserPassword": PASSWORD}
    for change, code, words in (
            ({"Engine": "mysql"}, "InvalidParameterValue", "Invalid DB engine"),
            ({"EngineVersion": "9.6"}, "InvalidParameterCombination", "Cannot find version 9.6"),
            ({"MasterUserPassword": "short"}, "InvalidParameterValue", "shorter than 8"),
            ({"MasterUserPassword": "has/a/slash"}, "InvalidParameterValue", "printable ASCII"),
            ({"MasterUsername": "rdsadmin"}, "InvalidParameterValue", "reserved"),
            ({"DatabaseName": "9lives"}, "InvalidParameterValue", "not valid"),
            ({"Port": 80}, "InvalidParameterValue", "between 1150 and 65535"),
            ({"BackupRetentionPeriod": 99}, "InvalidParameterValue", "between"),
            ({"EngineMode": "serverless"}, "InvalidParameterCombination", "serverless"),
            ({"Tags": [{"Key": "leeward:mode", "Value": "quick"}]}, "InvalidParameterValue", "asynchronous, synchronous or bounded")):
        refused(code, 400, words, east.create_db_cluster, **{**good, **change})
    assert east.describe_db_clusters()["DBClusters"] == []
    cluster(east)
    for change, code, words in (
            ({"DBInstanceClass": "large"}, "InvalidParameterValue", "Invalid DB Instance class"),
            ({"Engine": "postgres"}, "InvalidParameterCombination", "engine of the cluster"),
            ({"MasterUsername": "x"}, "InvalidParameterCombination", "Set master user name for the DB Cluster"),
            ({"DBClusterIdentifier": "none"}, "DBClusterNotFoundFault", "none")):
        with pytest.raises(ClientError) as caught:
            east.create_db_instance(**{"DBInstanceIdentifier": "i", "DBInstanceClass": "db.t3.medium", "Engine": "aurora-postgresql",
                                       "DBClusterIdentifier": "orders", **change})
        assert caught.value.response["Error"]["Code"] == code and words in caught.value.response["Error"]["Message"]
    east.create_global_cluster(GlobalClusterIdentifier="world", SourceDBClusterIdentifier="orders")
    replica = {"DBClusterIdentifier": "orders", "Engine": "aurora-postgresql", "GlobalClusterIdentifier": "world"}
    refused("InvalidParameterCombination", 400, "MasterUsername", west.create_db_cluster, **replica, MasterUsername="boss",
            MasterUserPassword=PASSWORD)
    west.create_db_cluster(**replica)
    refused("InvalidParameterValue", 400, "belongs to the same database", west.create_db_cluster, **{**replica, "DBClusterIdentifier": "second"})
    refused("InvalidDBClusterStateFault", 400, "already", east.create_global_cluster, GlobalClusterIdentifier="b",
            SourceDBClusterIdentifier="orders")
    refused("InvalidDBClusterStateFault", 400, "several clusters", east.stop_db_cluster, DBClusterIdentifier="orders")
    east.modify_global_cluster(GlobalClusterIdentifier="world", DeletionProtection=True)
    refused("InvalidParameterCombination", 400, "protection", east.delete_global_cluster, GlobalClusterIdentifier="world")


def test_an_instance_without_a_cluster_is_a_database_by_itself(site):
    rds = site.client("rds")
    more = {"DBInstanceIdentifier": "alone", "DBInstanceClass": "db.m5.large", "Engine": "postgres", "MasterUsername": "boss"}
    made = rds.create_db_instance(**more, MasterUserPassword=PASSWORD, DBName="shop", Port=5433, DeletionProtection=True)["DBInstance"]
    assert (made["DBInstanceStatus"], made["DBName"], made["DeletionProtection"]) == ("creating", "shop", True)
    assert made["DBParameterGroups"][0]["DBParameterGroupName"].startswith("default.postgres1")
    refused("InvalidParameterCombination", 400, "protection", rds.delete_db_instance, DBInstanceIdentifier="alone", SkipFinalSnapshot=True)
    rds.modify_db_instance(DBInstanceIdentifier="alone", DeletionProtection=False, NewDBInstanceIdentifier="Single")
    refused("InvalidParameterCombination", 400, "SkipFinalSnapshot", rds.delete_db_instance, DBInstanceIdentifier="single")
    rds.delete_db_instance(DBInstanceIdentifier="single", SkipFinalSnapshot=True)
    assert rds.describe_db_instances()["DBInstances"] == []


def test_lists_have_pages_filters_and_tags(site):
    rds = site.client("rds")
    for number in range(23):
        cluster(rds, f"c{number:02}", Tags=[{"Key": "n", "Value": str(number)}])
    pages = list(rds.get_paginator("describe_db_clusters").paginate(PaginationConfig={"PageSize": 20}))
    assert [len(page["DBClusters"]) for page in pages] == [20, 3]
    names = [each["DBClusterIdentifier"] for page in pages for each in page["DBClusters"]]
    assert names == [f"c{number:02}" for number in range(23)]
    refused("InvalidParameterValue", 400, "between 20 and 100", rds.describe_db_clusters, MaxRecords=5)
    found = rds.describe_db_clusters(Filters=[{"Name": "db-cluster-id", "Values": ["c01", pages[0]["DBClusters"][4]["DBClusterArn"]]}])
    assert [each["DBClusterIdentifier"] for each in found["DBClusters"]] == ["c01", "c04"]
    refused("InvalidParameterValue", 400, "Unrecognized filter name: colour", rds.describe_db_clusters,
            Filters=[{"Name": "colour", "Values": ["red"]}])
    arn = pages[0]["DBClusters"][0]["DBClusterArn"]
    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "leeward:lease-ms", "Value": "2000"}])
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["n"])
    tags = rds.list_tags_for_resource(ResourceName=arn)["TagList"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"a": "1", "leeward:lease-ms": "2000"}
    refused("InvalidParameterValue", 400, "1000 to 300000", rds.add_tags_to_resource, ResourceName=arn,
            Tags=[{"Key": "leeward:lease-ms", "Value": "1"}])
    refused("InvalidParameterValue", 400, "Invalid resource name", rds.list_tags_for_resource, ResourceName="arn:aws:s3:::b")
    events = rds.describe_events(SourceType="db-cluster", SourceIdentifier="c07")["Events"]
    assert [event["Message"] for event in events] == ["DB cluster created"]


def test_parameter_groups_have_the_parameters_of_the_server(site):
    rds = site.client("rds")
    family = rds.describe_db_engine_versions(Engine="aurora-postgresql")["DBEngineVersions"][0]["DBParameterGroupFamily"]
    rds.create_db_cluster_parameter_group(DBClusterParameterGroupName="Mine", DBParameterGroupFamily=family, Description="d")
    listed = rds.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]
    assert [each["DBClusterParameterGroupName"] for each in listed] == [f"default.{family}", "default.postgres" + family[17:], "mine"]

    def parameters(**more):
        pages = rds.get_paginator("describe_db_cluster_parameters").paginate(DBClusterParameterGroupName="mine", **more)
        return {each["ParameterName"]: each for page in pages for each in page["Parameters"]}
    every = parameters()
    assert len(every) > 250
    assert every["work_mem"] | {"Description": ""} == {
        "ParameterName": "work_mem", "ParameterValue": "4096", "Description": "", "Source": "engine-default", "ApplyType": "dynamic",
        "DataType": "integer", "AllowedValues": "64-2147483647", "IsModifiable": True, "ApplyMethod": "immediate"}
    assert every["max_connections"]["ApplyType"] == "static" and not every["port"]["IsModifiable"]
    assert every["wal_level"]["AllowedValues"] == "replica,logical" and every["wal_compression"]["AllowedValues"].startswith("pglz,")

    def change(name, value, method="immediate"):
        return {"DBClusterParameterGroupName": "mine",
                "Parameters": [{"ParameterName": name, "ParameterValue": value, "ApplyMethod": method}]}
    for name, value, code, words in (
            ("work_mem", "1", "InvalidParameterValue", "64-2147483647"), ("work_mem", "many", "InvalidParameterValue", "allowed values"),
            ("wal_compression", "gzip", "InvalidParameterValue", "pglz,"), ("port", "5433", "InvalidParameterValue", "cannot be modified"),
            ("colour", "red", "InvalidParameterValue", "Could not find"),
            ("max_connections", "50", "InvalidParameterCombination", "immediate apply method")):
        refused(code, 400, words, rds.modify_db_cluster_parameter_group, **change(name, value))
    rds.modify_db_cluster_parameter_group(**change("work_mem", "8192"))
    rds.modify_db_cluster_parameter_group(**change("max_connections", "50", "pending-reboot"))
    assert {name: each["ParameterValue"] for name, each in parameters(Source="user").items()} == {"work_mem": "8192", "max_connections": "50"}
    refused("InvalidDBParameterGroupState", 400, "default group", rds.delete_db_cluster_parameter_group,
            DBClusterParameterGroupName=f"default.{family}")
    cluster(rds, DBClusterParameterGroupName="mine")
    refused("InvalidDBParameterGroupState", 400, "orders", rds.delete_db_cluster_parameter_group, DBClusterParameterGroupName="mine")
    rds.modify_db_cluster(DBClusterIdentifier="orders", DBClusterParameterGroupName=f"default.{family}")
    rds.delete_db_cluster_parameter_group(DBClusterParameterGroupName="mine")
    refused("DBParameterGroupNotFound", 404, "mine", rds.describe_db_cluster_parameters, DBClusterParameterGroupName="mine")


def test_what_was_given_is_shown_again(site):
    rds = site.client("rds")
    rds.create_db_subnet_group(DBSubnetGroupName="Net", DBSubnetGroupDescription="two", SubnetIds=["subnet-a", "subnet-b"])
    refused("DBSubnetGroupDoesNotCoverEnoughAZs", 400, "two", rds.create_db_subnet_group, DBSubnetGroupName="one",
            DBSubnetGroupDescription="d", SubnetIds=["subnet-a"])
    given = {"AvailabilityZones": ["us-east-1a", "us-east-1b"], "BackupRetentionPeriod": 7, "KmsKeyId": "alias/mine", "StorageEncrypted": True,
             "PreferredBackupWindow": "01:00-02:00", "PreferredMaintenanceWindow": "mon:03:00-mon:04:00", "CopyTagsToSnapshot": True, "Port": 6000}
    made = cluster(rds, **given, VpcSecurityGroupIds=["sg-1"], DBSubnetGroupName="net", EnableIAMDatabaseAuthentication=True)
    assert {name: made[name] for name in given} == given
    assert made["VpcSecurityGroups"] == [{"VpcSecurityGroupId": "sg-1", "Status": "active"}] and made["DBSubnetGroup"] == "net"
    assert made["IAMDatabaseAuthenticationEnabled"] is True
    one = instance(rds, DBSubnetGroupName="net", PromotionTier=3, AvailabilityZone="us-east-1b")
    assert [each["SubnetIdentifier"] for each in one["DBSubnetGroup"]["Subnets"]] == ["subnet-a", "subnet-b"]
    assert (one["PromotionTier"], one["AvailabilityZone"]) == (3, "us-east-1b")
    refused("InvalidDBSubnetGroupStateFault", 400, "orders", rds.delete_db_subnet_group, DBSubnetGroupName="net")
    options = rds.describe_orderable_db_instance_options(Engine="aurora-postgresql", DBInstanceClass="db.r6g.large")
    assert len(options["OrderableDBInstanceOptions"]) == 1
    changed = rds.modify_db_cluster(DBClusterIdentifier="orders", BackupRetentionPeriod=9, MasterUserPassword=PASSWORD[::-1])["DBCluster"]
    assert changed["BackupRetentionPeriod"] == 9
    assert PASSWORD.encode() not in b"".join(path.read_bytes() for path in site.data.rglob("*") if path.is_file())
    refused("InvalidDBClusterStateFault", 400, "has data", rds.create_db_cluster_snapshot, DBClusterIdentifier="orders",
            DBClusterSnapshotIdentifier="s")
    assert rds.describe_db_cluster_snapshots()["DBClusterSnapshots"] == []


def test_roles_say_who_may_do_what(site):
    admin = site.client("rds")
    cluster(admin)
    made = [json.loads(site.leeward("key", "create", "--role", role, "--json").stdout) for role in ("viewer", "operator")]
    viewer, operator = (site.client("rds", key=(key["Id"], key["Secret"])) for key in made)
    assert viewer.describe_db_clusters()["DBClusters"] and operator.describe_db_clusters()["DBClusters"]
    refused("AccessDenied", 403, "", viewer.failover_db_cluster, DBClusterIdentifier="orders")
    refused("InvalidDBClusterStateFault", 400, "being created", operator.failover_db_cluster, DBClusterIdentifier="orders")
    refused("AccessDenied", 403, "", operator.delete_db_cluster, DBClusterIdentifier="orders", SkipFinalSnapshot=True)


def test_the_command_line_shows_databases_and_explains_them(site):
    assert "There are no databases" in site.leeward("db", "list").stdout
    cluster(site.client("rds"))
    instance(site.client("rds"))
    listed = site.leeward("db", "list").stdout
    assert "orders-1" in listed and "NEW" in listed and "ABSENT" in listed
    assert "orders is NEW" in site.leeward("db", "explain", "--name", "orders").stdout
    assert site.leeward("db", "explain", "--name", "none", check=False).returncode == 1
    assert "No failover lost anything" in site.leeward("db", "lost-writes").stdout
    assert json.loads(site.leeward("db", "list", "--json").stdout)["Databases"][0]["Members"][0]["Instance"] == "orders-1"
