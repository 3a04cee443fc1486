"""The RDS API as somebody asks it who reads every line of the documentation, or means ill."""

import threading

import pytest
from refusals import refused

PASSWORD = "a-long-password"


@pytest.fixture(name="rds", scope="module")
def _rds(shared):
    return shared.client("rds")


def cluster(rds, name, **more):
    return rds.create_db_cluster(DBClusterIdentifier=name, Engine="aurora-postgresql", MasterUsername="boss", MasterUserPassword=PASSWORD,
                                 **more)["DBCluster"]


def test_tags_have_characters_not_bytes(rds):
    arn = cluster(rds, "tagged")["DBClusterArn"]
    tag = {"Key": "\u65e5" * 128, "Value": "\u672c" * 256}
    rds.add_tags_to_resource(ResourceName=arn, Tags=[tag])
    assert rds.list_tags_for_resource(ResourceName=arn)["TagList"] == [tag]
    for more in ({"Key": "\u65e5" * 129}, {"Value": "v" * 257}, {"Key": "AWS:mine"}):
        with refused(rds, "InvalidParameterValue"):
            rds.add_tags_to_resource(ResourceName=arn, Tags=[{**tag, **more}])


def test_what_is_kept_has_a_size(rds):
    cluster(rds, "kept")
    for more in ({"PreferredBackupWindow": "x" * 70000}, {"VpcSecurityGroupIds": ["sg-1"] * 10000}):
        with refused(rds, "InvalidParameterValue"):
            rds.modify_db_cluster(DBClusterIdentifier="kept", **more)
    [version] = rds.describe_db_engine_versions(Engine="aurora-postgresql")["DBEngineVersions"]
    rds.create_db_parameter_group(DBParameterGroupName="kept", DBParameterGroupFamily=version["DBParameterGroupFamily"], Description="d")
    for value in ("x" * 2000, "a\nport = 1", "\u0001", "a\u007f"):
        with refused(rds, "InvalidParameterValue"):
            rds.modify_db_parameter_group(DBParameterGroupName="kept", Parameters=[
                {"ParameterName": "search_path", "ParameterValue": value, "ApplyMethod": "immediate"}])


def test_what_loads_files_or_locks_leeward_out_is_not_to_be_set(rds):
    [version] = rds.describe_db_engine_versions(Engine="postgres")["DBEngineVersions"]
    rds.create_db_parameter_group(DBParameterGroupName="own", DBParameterGroupFamily=version["DBParameterGroupFamily"], Description="d")
    for name in ("jit_provider", "db_user_namespace", "exit_on_error", "wal_sender_timeout", "ssl_min_protocol_version"):
        with refused(rds, "InvalidParameterValue", message=f"The parameter {name} cannot be modified."):
            rds.modify_db_parameter_group(DBParameterGroupName="own", Parameters=[
                {"ParameterName": name, "ParameterValue": "1", "ApplyMethod": "immediate"}])


def test_of_two_who_want_the_same_one_gets_it(rds):
    made = []

    def create():
        try:
            made.append(cluster(rds, "same")["DBClusterIdentifier"])
        except rds.exceptions.DBClusterAlreadyExistsFault:
            made.append("refused")
    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == ["refused"] * 3 + ["same"]
