"""Databases (RDS) with boto3 and the AWS CLI where no agent runs: what is asked for is kept, judged and shown."""

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


def test_the_aws_cli_makes_a_global_database_as_operators_do(site):
    def aws(region, *arguments):
        return site.aws("rds", *arguments, region=region)
    made = aws(REGIONS[0], "create-db-cluster", "--db-cluster-identifier", "Orders", "--engine", "aurora-postgresql", "--master-username", "boss",
               "--master-user-password", PASSWORD, "--database-name", "shop", "--tags", "Key=team,Value=web")["DBCluster"]
    assert (made["DBClusterIdentifier"], made["Status"], made["DatabaseName"], made["Port"]) == ("orders", "creating", "shop", 5432)
    assert made["DBClusterArn"] == "arn:aws:rds:us-east-1:123456789012:cluster:orders" and made["TagList"] == [{"Key": "team", "Value": "web"}]
    one = aws(REGIONS[0], "create-db-instance", "--db-instance-identifier", "orders-1", "--db-cluster-identifier", "orders",
              "--engine", "aurora-postgresql", "--db-instance-class", "db.r6g.large")["DBInstance"]
    assert (one["DBInstanceStatus"], one["DBClusterIdentifier"], one["MasterUsername"]) == ("creating", "orders", "boss")
    world = aws(REGIONS[0], "create-global-cluster", "--global-cluster-identifier", "World", "--source-db-cluster-identifier",
                made["DBClusterArn"])["GlobalCluster"]
    assert world["GlobalClusterIdentifier"] == "world" and world["GlobalClusterMembers"][0]["IsWriter"]
    other = aws(REGIONS[1], "create-db-cluster", "--db-cluster-identifier", "orders", "--engine", "aurora-postgresql",
                "--global-cluster-identifier", "world", "--source-region", REGIONS[0])["DBCluster"]
    assert other["DBClusterArn"] == "arn:aws:rds:us-west-2:123456789012:cluster:orders" and other["MasterUsername"] == "boss"
    aws(REGIONS[1], "create-db-instance", "--db-instance-identifier", "orders-2", "--db-cluster-identifier", "orders",
        "--engine", "aurora-postgresql", "--db-instance-class", "db.r6g.large")
    for region in REGIONS:
        shown = aws(region, "describe-global-clusters")["GlobalClusters"]
        assert [each["GlobalClusterIdentifier"] for each in shown] == ["world"] and shown[0]["Status"] == "available"
        members = {each["DBClusterArn"]: each for each in shown[0]["GlobalClusterMembers"]}
        assert {arn: each["IsWriter"] for arn, each in members.items()} == {made["DBClusterArn"]: True, other["DBClusterArn"]: False}
        assert members[made["DBClusterArn"]]["Readers"] == [other["DBClusterArn"]] and "FailoverState" not in shown[0]
    with pytest.raises(AwsError) as error:
        aws(REGIONS[0], "failover-global-cluster", "--global-cluster-identifier", "world", "--target-db-cluster-identifier", other["DBClusterArn"])
    assert error.value.code == "InvalidGlobalClusterStateFault" and "AllowDataLoss" in error.value.stderr
    with pytest.raises(AwsError) as error:
        aws(REGIONS[0], "delete-db-cluster", "--db-cluster-identifier", "orders", "--skip-final-snapshot")
    assert error.value.code == "InvalidDBClusterStateFault"
    with pytest.raises(AwsError) as error:
        aws(REGIONS[0], "delete-global-cluster", "--global-cluster-identifier", "world")
    assert error.value.code == "InvalidGlobalClusterStateFault"
    aws(REGIONS[0], "remove-from-global-cluster", "--global-cluster-identifier", "world", "--db-cluster-identifier", other["DBClusterArn"])
    aws(REGIONS[0], "remove-from-global-cluster", "--global-cluster-identifier", "world", "--db-cluster-identifier", made["DBClusterArn"])
    assert aws(REGIONS[0], "delete-global-cluster", "--global-cluster-identifier", "world")["GlobalCluster"]["Status"] == "deleting"
    for region, name in zip(REGIONS, ("orders-1", "orders-2")):
        assert aws(region, "delete-db-instance", "--db-instance-identifier", name)["DBInstance"]["DBInstanceStatus"] == "deleting"
        aws(region, "wait", "db-instance-deleted", "--db-instance-identifier", name)
        aws(region, "delete-db-cluster", "--db-cluster-identifier", "orders", "--skip-final-snapshot")
        aws(region, "wait", "db-cluster-deleted", "--db-cluster-identifier", "orders")
