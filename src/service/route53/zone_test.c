/* Tests of the hosted zone operations, through the handlers. */
#include "base/text.h"
#include "service/route53/route53_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct fixture f;

static void a_new_zone_is_shown_as_route53_shows_it(void **state)
{
    (void)state;
    assert_int_equal(fixture_ask(&f, "CreateHostedZone",
                                 "{'Name':'Example.COM','CallerReference':'one',"
                                 "'HostedZoneConfig':{'Comment':'hello','PrivateZone':false}}"),
                     0);
    const char *id = fixture_text(&f, "HostedZone.Id");
    assert_true(text_starts(id, "/hostedzone/Z"));
    assert_int_equal(strspn(id + strlen("/hostedzone/"), "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"),
                     strlen(id) - strlen("/hostedzone/"));
    assert_int_equal(strlen(id), 32); /* as long as the API lets it be */
    assert_string_equal(fixture_text(&f, "HostedZone.Name"), "example.com.");
    assert_string_equal(fixture_text(&f, "HostedZone.CallerReference"), "one");
    assert_string_equal(fixture_text(&f, "HostedZone.Config.Comment"), "hello");
    assert_true(json_is_false(fixture_at(&f, "HostedZone.Config.PrivateZone")));
    assert_int_equal(fixture_number(&f, "HostedZone.ResourceRecordSetCount"), 2);
    assert_int_equal(fixture_size(&f, "DelegationSet.NameServers"), 4);
    assert_string_equal(fixture_text(&f, "DelegationSet.NameServers.3"), "ns4.dns.test");
    assert_null(fixture_at(&f, "DelegationSet.Id"));
    assert_true(text_starts(fixture_text(&f, "ChangeInfo.Id"), "/change/C"));
    assert_string_equal(fixture_text(&f, "ChangeInfo.Status"), "PENDING");
    assert_string_equal(fixture_text(&f, "ChangeInfo.SubmittedAt"), "2027-01-15T08:00:00.000Z");
    assert_true(text_starts(fixture_text(&f, "Location"), "/2013-04-01/hostedzone/Z"));
}

static void a_new_zone_has_soa_and_ns_at_its_apex(void **state)
{
    (void)state;
    char *zone = fixture_zone(&f, "example.com");
    assert_int_equal(fixture_ask(&f, "ListResourceRecordSets", "{'HostedZoneId':'%s'}", zone), 0);
    assert_int_equal(fixture_size(&f, "ResourceRecordSets"), 2);
    assert_string_equal(fixture_text(&f, "ResourceRecordSets.0.Type"), "NS");
    assert_int_equal(fixture_number(&f, "ResourceRecordSets.0.TTL"), 172800);
    assert_int_equal(fixture_size(&f, "ResourceRecordSets.0.ResourceRecords"), 4);
    assert_string_equal(fixture_text(&f, "ResourceRecordSets.0.ResourceRecords.0.Value"),
                        "ns1.dns.test.");
    assert_string_equal(fixture_text(&f, "ResourceRecordSets.1.Type"), "SOA");
    assert_int_equal(fixture_number(&f, "ResourceRecordSets.1.TTL"), 900);
    assert_string_equal(fixture_text(&f, "ResourceRecordSets.1.ResourceRecords.0.Value"),
                        "ns1.dns.test. hostmaster.dns.test. 1 7200 900 1209600 86400");
    assert_null(fixture_at(&f, "ResourceRecordSets.0.v"));
    free(zone);
}

static void what_cannot_be_a_zone_is_refused(void **state)
{
    (void)state;
    long long revision = fixture_revision(&f);
    (void)fixture_ask(&f, "CreateHostedZone", "{'Name':'a..com','CallerReference':'x'}");
    fixture_refused(&f, "InvalidDomainName", "a..com is not a valid domain name");
    (void)fixture_ask(&f, "CreateHostedZone", "{'Name':'.','CallerReference':'x'}");
    fixture_refused(&f, "InvalidDomainName", "not a valid domain name");
    char name[1400] = "";
    size_t length = 0;
    for (int i = 0; i < 250; i++) {
        length += (size_t)snprintf(name + length, sizeof name - length, "%s",
                                   i % 62 == 61 ? "." : "\\\\001");
    }
    (void)fixture_ask(&f, "CreateHostedZone", "{'Name':'%s','CallerReference':'x'}", name);
    fixture_refused(&f, "InvalidDomainName", "too long when it is escaped");
    (void)fixture_ask(&f, "CreateHostedZone",
                      "{'Name':'a.com','CallerReference':'x','VPC':{'VPCId':'vpc-1'}}");
    fixture_refused(&f, "InvalidInput", "Private hosted zones are not offered");
    (void)fixture_ask(
        &f, "CreateHostedZone",
        "{'Name':'a.com','CallerReference':'x','HostedZoneConfig':{'PrivateZone':true}}");
    fixture_refused(&f, "InvalidInput", "Private hosted zones are not offered");
    (void)fixture_ask(&f, "CreateHostedZone",
                      "{'Name':'a.com','CallerReference':'x','DelegationSetId':'N1'}");
    fixture_refused(&f, "NoSuchDelegationSet", "N1");
    assert_int_equal(fixture_revision(&f), revision);
}

static void a_caller_reference_makes_one_zone(void **state)
{
    (void)state;
    assert_int_equal(
        fixture_ask(&f, "CreateHostedZone", "{'Name':'a.com','CallerReference':'a/b c'}"), 0);
    (void)fixture_ask(&f, "CreateHostedZone", "{'Name':'b.com','CallerReference':'a/b c'}");
    fixture_refused(&f, "HostedZoneAlreadyExists", "caller reference");
    assert_int_equal(fixture_ask(&f, "GetHostedZoneCount", "{}"), 0);
    assert_int_equal(fixture_number(&f, "HostedZoneCount"), 1);
}

static void zones_may_share_a_name(void **state)
{
    (void)state;
    char *one = fixture_zone(&f, "a.com");
    char *two = fixture_zone(&f, "a.com");
    assert_string_not_equal(one, two);
    free(one);
    free(two);
}

static void a_zone_is_found_with_and_without_prefix(void **state)
{
    (void)state;
    char *zone = fixture_zone(&f, "a.com");
    assert_int_equal(fixture_ask(&f, "GetHostedZone", "{'Id':'%s'}", zone), 0);
    assert_int_equal(fixture_ask(&f, "GetHostedZone", "{'Id':'hostedzone/%s'}", zone), 0);
    assert_int_equal(fixture_ask(&f, "GetHostedZone", "{'Id':'/hostedzone/%s'}", zone), 0);
    assert_string_equal(fixture_text(&f, "HostedZone.Name"), "a.com.");
    assert_null(fixture_at(&f, "HostedZone.Config.Comment"));
    assert_int_equal(fixture_size(&f, "DelegationSet.NameServers"), 4);
    free(zone);
}

static void an_unknown_zone_is_named(void **state)
{
    (void)state;
    static const char *const operations[][2] = {
        {"GetHostedZone", "Id"},
        {"DeleteHostedZone", "Id"},
        {"UpdateHostedZoneComment", "Id"},
        {"ListResourceRecordSets", "HostedZoneId"},
        {"GetDNSSEC", "HostedZoneId"},
        {"GetHostedZoneLimit", "HostedZoneId"},
        {"ListQueryLoggingConfigs", "HostedZoneId"},
        {"TestDNSAnswer", "HostedZoneId"},
        {"ChangeResourceRecordSets", "HostedZoneId"},
    };
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        (void)fixture_ask(&f, operations[i][0], "{'%s':'/hostedzone/ZNONE'}", operations[i][1]);
        fixture_refused(&f, "NoSuchHostedZone", "No hosted zone found with ID: ZNONE");
    }
    (void)fixture_ask(&f, "GetHostedZone", "{'Id':'../check/x'}");
    fixture_refused(&f, "NoSuchHostedZone", "");
}

static void a_comment_is_set_and_removed(void **state)
{
    (void)state;
    char *zone = fixture_zone(&f, "a.com");
    assert_int_equal(
        fixture_ask(&f, "UpdateHostedZoneComment", "{'Id':'%s','Comment':'new'}", zone), 0);
    assert_string_equal(fixture_text(&f, "HostedZone.Config.Comment"), "new");
    assert_int_equal(fixture_ask(&f, "GetHostedZone", "{'Id':'%s'}", zone), 0);
    assert_string_equal(fixture_text(&f, "HostedZone.Config.Comment"), "new");
    assert_int_equal(fixture_ask(&f, "UpdateHostedZoneComment", "{'Id':'%s'}", zone), 0);
    assert_null(fixture_at(&f, "HostedZone.Config.Comment"));
    assert_int_equal(fixture_ask(&f, "GetHostedZone", "{'Id':'%s'}", zone), 0);
    assert_null(fixture_at(&f, "HostedZone.Config.Comment"));
    free(zone);
}

static void unknown_members_of_a_stored_zone_survive_an_update(void **state)
{
    (void)state;
    char *zone = fixture_zone(&f, "a.com");
    char key[64];
    char value[256];
    (void)snprintf(key, sizeof key, "r53/zone/%s", zone);
    (void)snprintf(value, sizeof value,
                   "{\"v\":2,\"Id\":\"%s\",\"Name\":\"a.com.\",\"CallerReference\":\"r\","
                   "\"RecordCount\":2,\"Newer\":[1]}",
                   zone);
    fixture_put(&f, key, value);
    assert_int_equal(
        fixture_ask(&f, "UpdateHostedZoneComment", "{'Id':'%s','Comment':'new'}", zone), 0);
    struct store_entry entry;
    assert_int_equal(store_get(f.store, key, &f.arena, &entry, &f.err), 0);
    assert_non_null(strstr(entry.value, "\"Newer\":[1]"));
    assert_non_null(strstr(entry.value, "\"v\":2"));
    free(zone);
}

static void a_zone_goes_with_all_that_belongs_to_it(void **state)
{
    (void)state;
    assert_int_equal(
        fixture_ask(&f, "CreateHostedZone", "{'Name':'a.com','CallerReference':'ref'}"), 0);
    char *zone = strdup(fixture_text(&f, "HostedZone.Id"));
    assert_int_equal(fixture_ask(&f, "ChangeTagsForResource",
                                 "{'ResourceType':'hostedzone','ResourceId':'%s','AddTags':[{'Key':"
                                 "'k','Value':'v'}]}",
                                 zone),
                     0);
    assert_int_equal(fixture_ask(&f, "DeleteHostedZone", "{'Id':'%s'}", zone), 0);
    assert_string_equal(fixture_text(&f, "ChangeInfo.Status"), "PENDING");
    size_t left = 0;
    size_t changes = 0;
    assert_int_equal(store_count(f.store, "r53/", &left, &f.err), 0);
    assert_int_equal(store_count(f.store, "r53/change/", &changes, &f.err), 0);
    assert_int_equal(left, changes);
    (void)fixture_ask(&f, "DeleteHostedZone", "{'Id':'%s'}", zone);
    fixture_refused(&f, "NoSuchHostedZone", "");
    assert_int_equal(
        fixture_ask(&f, "CreateHostedZone", "{'Name':'a.com','CallerReference':'ref'}"), 0);
    free(zone);
}

static void a_zone_with_records_stays(void **state)
{
    (void)state;
    char *zone = fixture_zone(&f, "a.com");
    assert_int_equal(fixture_change(&f, zone, "CREATE",
                                    "{'Name':'www.a.com','Type':'A','TTL':1,'ResourceRecords':[{"
                                    "'Value':'192.0.2.1'}]}"),
                     0);
    (void)fixture_ask(&f, "DeleteHostedZone", "{'Id':'%s'}", zone);
    fixture_refused(&f, "HostedZoneNotEmpty",
                    "The specified hosted zone contains non-required resource record "
                    "sets and so cannot be deleted.");
    free(zone);
}

static void zones_are_listed_page_by_page(void **state)
{
    (void)state;
    for (int i = 0; i < 7; i++) {
        free(fixture_zone(&f, "a.com"));
    }
    char marker[64] = "";
    char seen[8][64];
    size_t count = 0;
    for (int page = 0; page < 3; page++) {
        assert_int_equal(
            fixture_ask(&f, "ListHostedZones", "{'Marker':'%s','MaxItems':'3'}", marker), 0);
        assert_string_equal(fixture_text(&f, "MaxItems"), "3");
        for (size_t i = 0; i < fixture_size(&f, "HostedZones"); i++) {
            char path[64];
            (void)snprintf(path, sizeof path, "HostedZones.%zu.Id", i);
            (void)snprintf(seen[count++], sizeof seen[0], "%s", fixture_text(&f, path));
        }
        assert_int_equal(fixture_true(&f, "IsTruncated"), page < 2);
        (void)snprintf(marker, sizeof marker, "%s", fixture_text(&f, "NextMarker"));
    }
    assert_int_equal(count, 7);
    for (size_t i = 1; i < count; i++) {
        assert_true(strcmp(seen[i - 1], seen[i]) < 0);
    }
    (void)fixture_ask(&f, "ListHostedZones", "{'MaxItems':'none'}");
    fixture_refused(&f, "InvalidInput", "MaxItems");
    (void)fixture_ask(&f, "ListHostedZones", "{'MaxItems':'0'}");
    fixture_refused(&f, "InvalidInput", "MaxItems");
    assert_int_equal(fixture_ask(&f, "ListHostedZones", "{'MaxItems':'5000'}"), 0);
    assert_string_equal(fixture_text(&f, "MaxItems"), "100");
}

static void zones_of_a_delegation_set_are_listed(void **state)
{
    (void)state;
    assert_int_equal(fixture_ask(&f, "CreateReusableDelegationSet", "{'CallerReference':'s'}"), 0);
    char *set = strdup(fixture_text(&f, "DelegationSet.Id"));
    free(fixture_zone(&f, "a.com"));
    assert_int_equal(fixture_ask(&f, "CreateHostedZone",
                                 "{'Name':'b.com','CallerReference':'b','DelegationSetId':'%s'}",
                                 set),
                     0);
    assert_string_equal(fixture_text(&f, "DelegationSet.Id"), set);
    assert_int_equal(fixture_ask(&f, "ListHostedZones", "{'DelegationSetId':'%s'}", set), 0);
    assert_int_equal(fixture_size(&f, "HostedZones"), 1);
    assert_string_equal(fixture_text(&f, "HostedZones.0.Name"), "b.com.");
    (void)fixture_ask(&f, "ListHostedZones", "{'DelegationSetId':'N0'}");
    fixture_refused(&f, "NoSuchDelegationSet", "N0");
    free(set);
}

static void zones_are_listed_by_reversed_name(void **state)
{
    (void)state;
    static const char *const ordered[] = {"a.com.",     "b-c.a.com.", "b.a.com.",
                                          "x.b.a.com.", "b.com.",     "a.org."};
    static const char *const names[] = {"b.com",     "a.org", "b.a.com",
                                        "x.b.a.com", "a.com", "b-c.a.com"};
    for (size_t i = 0; i < 6; i++) {
        free(fixture_zone(&f, names[i]));
    }
    char name[256] = "";
    char id[64] = "";
    for (size_t i = 0; i < 6; i++) {
        int rc = name[0] == '\0'
                     ? fixture_ask(&f, "ListHostedZonesByName", "{'MaxItems':'1'}")
                     : fixture_ask(&f, "ListHostedZonesByName",
                                   "{'DNSName':'%s','HostedZoneId':'%s','MaxItems':'1'}", name, id);
        assert_int_equal(rc, 0);
        assert_string_equal(fixture_text(&f, "HostedZones.0.Name"), ordered[i]);
        assert_int_equal(fixture_true(&f, "IsTruncated"), i < 5);
        (void)snprintf(name, sizeof name, "%s", fixture_text(&f, "NextDNSName"));
        (void)snprintf(id, sizeof id, "%s", fixture_text(&f, "NextHostedZoneId"));
    }
    assert_int_equal(fixture_ask(&f, "ListHostedZonesByName", "{'DNSName':'B.com'}"), 0);
    assert_int_equal(fixture_size(&f, "HostedZones"), 2);
    assert_string_equal(fixture_text(&f, "DNSName"), "B.com");
    assert_string_equal(fixture_text(&f, "HostedZones.0.Name"), "b.com.");
    (void)fixture_ask(&f, "ListHostedZonesByName", "{'HostedZoneId':'Z1'}");
    fixture_refused(&f, "InvalidInput", "DNSName");
    (void)fixture_ask(&f, "ListHostedZonesByName", "{'DNSName':'a..b'}");
    fixture_refused(&f, "InvalidDomainName", "a..b");
}

static void limits_and_what_is_not_there_yet_are_answered(void **state)
{
    (void)state;
    char *zone = fixture_zone(&f, "a.com");
    assert_int_equal(fixture_ask(&f, "GetAccountLimit", "{'Type':'MAX_HOSTED_ZONES_BY_OWNER'}"), 0);
    assert_string_equal(fixture_text(&f, "Limit.Type"), "MAX_HOSTED_ZONES_BY_OWNER");
    assert_true(fixture_number(&f, "Limit.Value") > 0);
    assert_int_equal(fixture_number(&f, "Count"), 1);
    assert_int_equal(fixture_ask(&f, "GetAccountLimit", "{'Type':'MAX_TRAFFIC_POLICIES_BY_OWNER'}"),
                     0);
    assert_int_equal(fixture_number(&f, "Count"), 0);
    (void)fixture_ask(&f, "GetAccountLimit", "{'Type':'MAX_PONIES'}");
    fixture_refused(&f, "InvalidInput", "MAX_PONIES");
    assert_int_equal(fixture_ask(&f, "GetHostedZoneLimit",
                                 "{'HostedZoneId':'%s','Type':'MAX_RRSETS_BY_ZONE'}", zone),
                     0);
    assert_int_equal(fixture_number(&f, "Limit.Value"), 10000);
    assert_int_equal(fixture_number(&f, "Count"), 2);
    (void)fixture_ask(&f, "GetHostedZoneLimit",
                      "{'HostedZoneId':'%s','Type':'MAX_VPCS_ASSOCIATED_BY_ZONE'}", zone);
    fixture_refused(&f, "HostedZoneNotPrivate", zone);
    assert_int_equal(fixture_ask(&f, "ListQueryLoggingConfigs", "{'HostedZoneId':'%s'}", zone), 0);
    assert_int_equal(fixture_size(&f, "QueryLoggingConfigs"), 0);
    assert_non_null(fixture_at(&f, "QueryLoggingConfigs"));
    (void)fixture_ask(&f, "ListQueryLoggingConfigs", "{'NextToken':'x'}");
    fixture_refused(&f, "InvalidPaginationToken", "");
    (void)fixture_ask(&f, "ListQueryLoggingConfigs", "{'MaxResults':'1000'}");
    fixture_refused(&f, "InvalidInput", "MaxResults");
    assert_int_equal(fixture_ask(&f, "GetDNSSEC", "{'HostedZoneId':'%s'}", zone), 0);
    assert_string_equal(fixture_text(&f, "Status.ServeSignature"), "NOT_SIGNING");
    assert_int_equal(fixture_size(&f, "KeySigningKeys"), 0);
    free(zone);
}

static void a_damaged_record_is_an_internal_error(void **state)
{
    (void)state;
    fixture_put(&f, "r53/zone/Z1", "{\"v\":1}");
    (void)fixture_ask(&f, "GetHostedZone", "{'Id':'Z1'}");
    assert_string_equal(fixture_code(&f), "(internal)");
    assert_int_equal(f.err.kind, ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) FIXTURE_TEST(name, &f)
        TEST(a_new_zone_is_shown_as_route53_shows_it),
        TEST(a_new_zone_has_soa_and_ns_at_its_apex),
        TEST(what_cannot_be_a_zone_is_refused),
        TEST(a_caller_reference_makes_one_zone),
        TEST(zones_may_share_a_name),
        TEST(a_zone_is_found_with_and_without_prefix),
        TEST(an_unknown_zone_is_named),
        TEST(a_comment_is_set_and_removed),
        TEST(unknown_members_of_a_stored_zone_survive_an_update),
        TEST(a_zone_goes_with_all_that_belongs_to_it),
        TEST(a_zone_with_records_stays),
        TEST(zones_are_listed_page_by_page),
        TEST(zones_of_a_delegation_set_are_listed),
        TEST(zones_are_listed_by_reversed_name),
        TEST(limits_and_what_is_not_there_yet_are_answered),
        TEST(a_damaged_record_is_an_internal_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
