"""Latency, geolocation, geoproximity and CIDR records: by the API, and answered to real clients."""

import json
import time
import urllib.error
import urllib.request

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import maxmind
import pytest
from leeward import Daemon

ZONE = "place.example."
BERLIN, ANGELES, SYDNEY, TOKYO = "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "192.0.2.0/24"
NETWORKS = {
    BERLIN: maxmind.place("EU", "DE", "BE", 52.52, 13.40),
    ANGELES: maxmind.place("NA", "US", "CA", 34.05, -118.24),
    SYDNEY: maxmind.place("OC", "AU", None, -33.87, 151.21),
    TOKYO: maxmind.place("AS", "JP", None, 35.68, 139.69),
    "127.0.0.0/8": maxmind.place("EU", "FR", None, 48.86, 2.35),
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    database = folder / "places.mmdb"
    maxmind.write(database, NETWORKS)
    running = Daemon(folder / "daemon", "--dns-location-database", database, "--region-coordinates",
                     "site-a=50.94,6.96").start()
    running.database = database
    yield running
    running.stop()


@pytest.fixture(scope="module")
def zone(daemon):
    route53 = daemon.client("route53")
    made = route53.create_hosted_zone(Name=ZONE, CallerReference="place")
    return made["HostedZone"]["Id"]


def record(name, identifier, value, **policy):
    return {"Name": f"{name}.{ZONE}", "Type": "A", "SetIdentifier": identifier, "TTL": 60,
            "ResourceRecords": [{"Value": value}], **policy}


def change(daemon, zone, *records, action="UPSERT"):
    route53 = daemon.client("route53")
    info = route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={
        "Changes": [{"Action": action, "ResourceRecordSet": record} for record in records]})["ChangeInfo"]
    insync(route53, info["Id"])


def insync(route53, change_id):
    deadline = time.monotonic() + 120
    while route53.get_change(Id=change_id)["ChangeInfo"]["Status"] != "INSYNC":
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kdig(daemon, name, subnet=None):
    """(addresses, text): what kdig gets, with a client subnet or without."""
    answer = daemon.dig(f"{name}.{ZONE}", "A", *([f"+subnet={subnet}"] if subnet else []))
    return answer.data, answer.text


def refused(call, code, words):
    with pytest.raises(Exception) as raised:
        call()
    assert raised.value.response["Error"]["Code"] == code
    assert words in str(raised.value)


def test_latency_goes_by_the_clients_subnet_and_the_resolvers_address(daemon, zone):
    change(daemon, zone, record("lat", "us", "192.0.2.1", Region="us-east-1"),
           record("lat", "eu", "192.0.2.2", Region="eu-central-1"),
           record("lat", "ap", "192.0.2.3", Region="ap-southeast-2"))
    assert kdig(daemon, "lat", BERLIN)[0] == ["192.0.2.2"]
    assert kdig(daemon, "lat", ANGELES)[0] == ["192.0.2.1"]
    answer, text = kdig(daemon, "lat", "2001:db8:77::/48")
    assert answer == ["192.0.2.3"] and "2001:db8:77::/48/32" in text  # the scope is the network's
    assert kdig(daemon, "lat")[0] == ["192.0.2.2"]  # 127.0.0.0/8 is in Paris


def test_own_regions_have_coordinates_from_the_configuration(daemon, zone):
    change(daemon, zone, record("own", "a", "192.0.2.1", Region="site-a"),
           record("own", "us", "192.0.2.2", Region="us-west-2"))
    assert kdig(daemon, "own", BERLIN)[0] == ["192.0.2.1"]
    assert kdig(daemon, "own", ANGELES)[0] == ["192.0.2.2"]
    refused(lambda: change(daemon, zone, record("own", "b", "192.0.2.3", Region="site-b")),
            "InvalidChangeBatch", "Invalid region 'site-b'")


def test_geolocation_goes_from_the_smallest_area_to_the_default(daemon, zone):
    change(daemon, zone, record("geo", "ca", "192.0.2.1", GeoLocation={"CountryCode": "US", "SubdivisionCode": "CA"}),
           record("geo", "us", "192.0.2.2", GeoLocation={"CountryCode": "US"}),
           record("geo", "eu", "192.0.2.3", GeoLocation={"ContinentCode": "EU"}))
    assert kdig(daemon, "geo", ANGELES)[0] == ["192.0.2.1"]
    assert kdig(daemon, "geo", BERLIN)[0] == ["192.0.2.3"]
    answer, text = kdig(daemon, "geo", TOKYO)
    assert answer == [] and "NOERROR" in text and "SOA" in text  # no match and no default: NODATA
    change(daemon, zone, record("geo", "all", "192.0.2.4", GeoLocation={"CountryCode": "*"}))
    assert kdig(daemon, "geo", TOKYO)[0] == ["192.0.2.4"]
    change(daemon, zone, record("geo", "ca", "192.0.2.1", GeoLocation={"CountryCode": "US", "SubdivisionCode": "CA"}),
           action="DELETE")
    assert kdig(daemon, "geo", ANGELES)[0] == ["192.0.2.2"]


@pytest.mark.parametrize("policy, code, words", [
    ({"GeoLocation": {"CountryCode": "ZZ"}}, "InvalidInput", "is not supported"),
    ({"GeoLocation": {"CountryCode": "DE", "SubdivisionCode": "BE"}}, "InvalidInput", "is not supported"),
    ({"GeoLocation": {"ContinentCode": "EU", "CountryCode": "DE"}}, "InvalidInput", "either a ContinentCode"),
    ({"GeoLocation": {"SubdivisionCode": "CA"}}, "InvalidInput", "either a ContinentCode"),
    ({"GeoLocation": {}}, "InvalidInput", "either a ContinentCode"),
])
def test_locations_that_are_none_are_refused(daemon, zone, policy, code, words):
    refused(lambda: change(daemon, zone, record("bad", "a", "192.0.2.1", **policy)), code, words)


def test_a_place_has_one_record_of_a_group(daemon, zone):
    change(daemon, zone, record("twice", "a", "192.0.2.1", Region="us-east-1"))
    refused(lambda: change(daemon, zone, record("twice", "b", "192.0.2.2", Region="us-east-1")),
            "InvalidChangeBatch", "with the same region exists with the same name and type")
    refused(lambda: change(daemon, zone, record("twice", "c", "192.0.2.2", GeoLocation={"CountryCode": "*"})),
            "InvalidChangeBatch", "non-geolocation set exists")
    refused(lambda: change(daemon, zone, {**record("three", "", "192.0.2.2", Region="us-east-1"), "SetIdentifier": "x",
                                          "Weight": 1}), "InvalidInput", "more than one")


def geoproximity(daemon, zone, records):
    """A request of a newer client: botocore's packaged model does not know the member yet."""
    rows = "".join(
        f"<Change><Action>UPSERT</Action><ResourceRecordSet><Name>{name}.{ZONE}</Name><Type>A</Type>"
        f"<SetIdentifier>{identifier}</SetIdentifier><GeoProximityLocation>{where}</GeoProximityLocation><TTL>60</TTL>"
        f"<ResourceRecords><ResourceRecord><Value>{value}</Value></ResourceRecord></ResourceRecords>"
        "</ResourceRecordSet></Change>" for name, identifier, where, value in records)
    body = ('<ChangeResourceRecordSetsRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ChangeBatch>'
            f"<Changes>{rows}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>")
    request = botocore.awsrequest.AWSRequest("POST", f"{daemon.endpoint}/2013-04-01{zone}/rrset/", data=body)
    keys = botocore.credentials.Credentials(*daemon.key)
    botocore.auth.SigV4Auth(keys, "route53", "us-east-1").add_auth(request)
    http = urllib.request.Request(request.url, body.encode(), dict(request.headers), method="POST")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(http, timeout=120) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_geoproximity_is_nearest_with_a_bias(daemon, zone):
    status, text = geoproximity(daemon, zone, [
        ("near", "west", "<Coordinates><Latitude>45.5</Latitude><Longitude>-122.7</Longitude></Coordinates>", "192.0.2.1"),
        ("near", "east", "<AWSRegion>us-east-1</AWSRegion>", "192.0.2.2"),
        ("bias", "west", "<AWSRegion>us-west-2</AWSRegion><Bias>-99</Bias>", "192.0.2.1"),
        ("bias", "east", "<LocalZoneGroup>us-east-1-nyc-1</LocalZoneGroup><Bias>50</Bias>", "192.0.2.2")])
    assert status == 200, text
    insync(daemon.client("route53"), text.split("<Id>")[1].split("</Id>")[0])
    assert kdig(daemon, "near", ANGELES)[0] == ["192.0.2.1"]
    assert kdig(daemon, "bias", ANGELES)[0] == ["192.0.2.2"]
    for where, words in [("<Bias>1</Bias>", "found none"),
                         ("<AWSRegion>us-east-1</AWSRegion><LocalZoneGroup>x</LocalZoneGroup>", "more than one"),
                         ("<AWSRegion>us-east-1</AWSRegion><Bias>100</Bias>", "99"),
                         ("<LocalZoneGroup>nowhere-1</LocalZoneGroup>", "nowhere-1")]:
        status, text = geoproximity(daemon, zone, [("worse", "a", where, "192.0.2.1")])
        assert status == 400 and words in text


def test_cidr_collections_from_making_to_deleting(daemon, zone):
    route53 = daemon.client("route53")
    made = route53.create_cidr_collection(Name="isps", CallerReference="one")["Collection"]
    assert made["Version"] == 1 and made["Arn"] == f"arn:aws:route53:::cidrcollection/{made['Id']}"
    assert route53.create_cidr_collection(Name="isps", CallerReference="one")["Collection"] == made
    refused(lambda: route53.create_cidr_collection(Name="isps", CallerReference="two"),
            "CidrCollectionAlreadyExistsException", "name")
    collection = made["Id"]

    def blocks(*changes, **settings):
        return route53.change_cidr_collection(Id=collection, Changes=[
            {"LocationName": name, "Action": action, "CidrList": list(cidrs)} for name, action, cidrs in changes],
            **settings)["Id"]

    insync(route53, blocks(("office", "PUT", ["10.0.0.0/8", "2001:db8::/32"]), ("lab", "PUT", ["10.1.0.0/16"])))
    refused(lambda: blocks(("lab", "PUT", ["10.0.0.0/8"])), "CidrBlockInUseException", "office")
    refused(lambda: blocks(("lab", "PUT", ["10.2.0.0/16"]), CollectionVersion=1),
            "CidrCollectionVersionMismatchException", "2")
    for bad in ["0.0.0.0/0", "10.0.0.0/25", "::/49", "10.0.0.1/8", "ten/8", "10.0.0.0"]:
        refused(lambda bad=bad: blocks(("lab", "PUT", [bad])), "InvalidInput", bad)
    refused(lambda: blocks(("lab", "PUT", [f"10.{i // 256}.{i % 256}.0/24" for i in range(1000)])),
            "LimitsExceeded", "1000")
    listed = route53.list_cidr_blocks(CollectionId=collection)["CidrBlocks"]
    assert listed == [{"CidrBlock": "10.1.0.0/16", "LocationName": "lab"},
                      {"CidrBlock": "10.0.0.0/8", "LocationName": "office"},
                      {"CidrBlock": "2001:db8::/32", "LocationName": "office"}]
    first = route53.list_cidr_blocks(CollectionId=collection, MaxResults="2")
    rest = route53.list_cidr_blocks(CollectionId=collection, NextToken=first["NextToken"])
    assert first["CidrBlocks"] + rest["CidrBlocks"] == listed and "NextToken" not in rest
    assert [row["LocationName"] for row in route53.list_cidr_locations(CollectionId=collection)["CidrLocations"]] == [
        "lab", "office"]
    assert route53.list_cidr_collections()["CidrCollections"] == [{**made, "Version": 2}]
    refused(lambda: route53.list_cidr_blocks(CollectionId=collection, LocationName="nowhere"),
            "NoSuchCidrLocationException", "nowhere")

    def routed(identifier, location, value):
        return record("cidr", identifier, value,
                      CidrRoutingConfig={"CollectionId": collection, "LocationName": location})

    change(daemon, zone, routed("o", "office", "192.0.2.1"), routed("l", "lab", "192.0.2.2"),
           routed("d", "*", "192.0.2.3"))
    assert kdig(daemon, "cidr", "10.1.2.0/24")[0] == ["192.0.2.2"]
    answer, text = kdig(daemon, "cidr", "10.2.2.0/24")
    assert answer == ["192.0.2.1"] and "10.2.2.0/24/15" in text
    assert kdig(daemon, "cidr", "2001:db8:1::/48")[0] == ["192.0.2.1"]
    assert kdig(daemon, "cidr", "198.51.100.0/24")[0] == ["192.0.2.3"]
    # A change of the collection is a change of answers, and is INSYNC only then.
    insync(route53, blocks(("lab", "DELETE_IF_EXISTS", ["10.1.0.0/16", "10.99.0.0/16"]),
                           ("office", "DELETE_IF_EXISTS", ["10.0.0.0/8"]), ("lab", "PUT", ["10.0.0.0/8"])))
    assert kdig(daemon, "cidr", "10.2.2.0/24")[0] == ["192.0.2.2"]
    refused(lambda: change(daemon, zone, routed("x", "gone", "192.0.2.9")), "InvalidChangeBatch", "gone does not exist")
    refused(lambda: route53.delete_cidr_collection(Id=collection), "CidrCollectionInUseException", "in use")
    change(daemon, zone, routed("o", "office", "192.0.2.1"), routed("l", "lab", "192.0.2.2"),
           routed("d", "*", "192.0.2.3"), action="DELETE")
    refused(lambda: route53.delete_cidr_collection(Id=collection), "CidrCollectionInUseException", "isn't empty")
    blocks(("lab", "DELETE_IF_EXISTS", ["10.0.0.0/8"]), ("office", "DELETE_IF_EXISTS", ["2001:db8::/32"]))
    route53.delete_cidr_collection(Id=collection)
    refused(lambda: route53.delete_cidr_collection(Id=collection), "NoSuchCidrCollectionException", collection)


def test_geolocations_are_listed_in_awss_order(daemon):
    route53 = daemon.client("route53")
    rows, start = [], {}
    while True:
        page = route53.list_geo_locations(MaxItems="50", **start)
        rows += page["GeoLocationDetailsList"]
        if not page["IsTruncated"]:
            break
        start = {f"Start{name}": page[f"Next{name}"] for name in ("ContinentCode", "CountryCode", "SubdivisionCode")
                 if f"Next{name}" in page}
    assert rows[0] == {"CountryCode": "*", "CountryName": "Default"}
    assert rows[-1] == {"ContinentCode": "SA", "ContinentName": "South America"}
    assert len([row for row in rows if row.get("CountryCode") == "US"]) == 52  # 50 states, DC, the country
    assert len({json.dumps(row) for row in rows}) == len(rows)
    assert route53.get_geo_location(CountryCode="US", SubdivisionCode="CA")["GeoLocationDetails"] == {
        "CountryCode": "US", "CountryName": "United States", "SubdivisionCode": "CA", "SubdivisionName": "California"}
    refused(lambda: route53.get_geo_location(CountryCode="ZZ"), "NoSuchGeoLocation", "ZZ")


def test_test_dns_answer_uses_subnet_and_resolver(daemon, zone):
    route53 = daemon.client("route53")
    change(daemon, zone, record("test", "eu", "192.0.2.1", GeoLocation={"ContinentCode": "EU"}),
           record("test", "na", "192.0.2.2", GeoLocation={"ContinentCode": "NA"}))

    def ask(**where):
        answer = route53.test_dns_answer(HostedZoneId=zone, RecordName=f"test.{ZONE}", RecordType="A", **where)
        return answer["RecordData"]

    assert ask(EDNS0ClientSubnetIP="198.51.100.7", EDNS0ClientSubnetMask="24") == ["192.0.2.1"]
    assert ask(EDNS0ClientSubnetIP="203.0.113.7") == ["192.0.2.2"]
    assert ask(ResolverIP="203.0.113.7") == ["192.0.2.2"]
    assert ask(ResolverIP="203.0.113.7", EDNS0ClientSubnetIP="198.51.100.7") == ["192.0.2.1"]
    assert ask(ResolverIP="2001:db8::1") == []


def test_dig_explains_for_a_client(daemon, zone):
    change(daemon, zone, record("why", "us", "192.0.2.1", Region="us-east-1"),
           record("why", "eu", "192.0.2.2", Region="eu-central-1"))
    explained = json.loads(daemon.leeward("dig", f"why.{ZONE}", "A", "--client", "198.51.100.7/24", "--json").stdout)
    chosen = [row for row in explained["Candidates"] if row["Chosen"]]
    assert [row["SetIdentifier"] for row in chosen] == ["eu"] and "nearest to this client" in chosen[0]["Reason"]
    assert "BE, DE, EU" in explained["Note"]
    assert "eu-central-1" in daemon.leeward("dig", f"why.{ZONE}", "A").stdout


def test_a_reload_takes_a_new_database_and_refuses_a_damaged_one(daemon, zone):
    change(daemon, zone, record("move", "eu", "192.0.2.1", GeoLocation={"ContinentCode": "EU"}),
           record("move", "all", "192.0.2.2", GeoLocation={"CountryCode": "*"}))
    assert kdig(daemon, "move", TOKYO)[0] == ["192.0.2.2"]
    whole = daemon.database.read_bytes()
    try:
        daemon.database.write_bytes(whole[:200])
        daemon.reload()
        time.sleep(0.5)
        assert kdig(daemon, "move", BERLIN)[0] == ["192.0.2.1"]
        maxmind.write(daemon.database, {**NETWORKS, TOKYO: maxmind.place("EU", "DE")})
        daemon.reload()
        deadline = time.monotonic() + 120
        while kdig(daemon, "move", TOKYO)[0] != ["192.0.2.1"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        daemon.database.write_bytes(whole)
        daemon.reload()
