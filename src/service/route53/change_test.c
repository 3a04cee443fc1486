/* Tests of ChangeResourceRecordSets, through the handler: what is accepted, what is refused and in
 * which words, that a batch is all or nothing, and that concurrent batches all count. */
#include "base/text.h"
#include "base/time.h"
#include "service/route53/route53_fixture.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct fixture f;
static char *zone;

static int setup(void **state)
{
    (void)state;
    fixture_open(&f);
    zone = fixture_zone(&f, "example.com");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(zone);
    fixture_close(&f);
    return 0;
}

static void accept(const char *action, const char *record)
{
    if (fixture_change(&f, zone, action, record) != 0) {
        fail_msg("%s %s: %s %s", action, record, fixture_code(&f), f.err.message);
    }
}

/* One problem, in these words (the whole message), and nothing written. */
static void refuse_batch(int rc, long long revision, const char *message)
{
    assert_int_not_equal(rc, 0);
    assert_string_equal(fixture_code(&f), "InvalidChangeBatch");
    const json_t *messages = json_object_get(f.call.error_members, "messages");
    assert_int_equal(json_array_size(messages), 1);
    assert_string_equal(json_string_value(json_array_get(messages, 0)), message);
    assert_int_equal(fixture_revision(&f), revision);
}

static void refuse(const char *action, const char *record, const char *message)
{
    long long revision = fixture_revision(&f);
    refuse_batch(fixture_change(&f, zone, action, record), revision, message);
}

static void refuse_input(const char *action, const char *record, const char *message)
{
    assert_int_not_equal(fixture_change(&f, zone, action, record), 0);
    assert_string_equal(fixture_code(&f), "InvalidInput");
    if (strstr(f.err.message, message) == NULL) {
        fail_msg("\"%s\" has no \"%s\"", f.err.message, message);
    }
}

/* Several changes, each "ACTION record". */
static int ask_batch(const char *const *changes, size_t count)
{
    char text[16384] = "";
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        const char *space = strchr(changes[i], ' ');
        length += (size_t)snprintf(text + length, sizeof text - length,
                                   "%s{'Action':'%.*s','ResourceRecordSet':%s}", i > 0 ? "," : "",
                                   (int)(space - changes[i]), changes[i], space + 1);
        assert_true(length < sizeof text);
    }
    return fixture_ask(&f, "ChangeResourceRecordSets",
                       "{'HostedZoneId':'%s','ChangeBatch':{'Comment':'c','Changes':[%s]}}", zone,
                       text);
}

static long long count_records(void)
{
    assert_int_equal(fixture_ask(&f, "GetHostedZone", "{'Id':'%s'}", zone), 0);
    return fixture_number(&f, "HostedZone.ResourceRecordSetCount");
}

#define VALUES(v) "'TTL':60,'ResourceRecords':[{'Value':'" v "'}]"
#define A(name, v) "{'Name':'" name "','Type':'A'," VALUES(v) "}"
#define CNAME(name, v) "{'Name':'" name "','Type':'CNAME'," VALUES(v) "}"
#define ROUTED(id, policy, v)                                                                      \
    "{'Name':'r.example.com','Type':'A','SetIdentifier':'" id "'," policy "," VALUES(v) "}"
#define ALIAS(name, target_zone, target)                                                           \
    "{'Name':'" name "','Type':'A','AliasTarget':{'HostedZoneId':'" target_zone                    \
    "','DNSName':'" target "','EvaluateTargetHealth':false}}"

static void a_record_is_created_changed_and_deleted(void **state)
{
    (void)state;
    accept("CREATE", A("WWW.Example.com", "192.0.2.1"));
    assert_true(text_starts(fixture_text(&f, "ChangeInfo.Id"), "/change/C"));
    assert_string_equal(fixture_text(&f, "ChangeInfo.Status"), "PENDING");
    assert_int_equal(count_records(), 3);
    accept("UPSERT", A("www.example.com.", "192.0.2.2"));
    assert_int_equal(count_records(), 3);
    accept("UPSERT", A("new.example.com", "192.0.2.2"));
    assert_int_equal(count_records(), 4);
    accept("DELETE", A("www.example.com", "192.0.2.2"));
    assert_int_equal(count_records(), 3);
}

static void what_is_there_and_what_is_not_is_said_in_awss_words(void **state)
{
    (void)state;
    accept("CREATE", A("www.example.com", "192.0.2.1"));
    refuse("CREATE", A("www.example.com", "192.0.2.2"),
           "Tried to create resource record set [name='www.example.com.', type='A'] but it already "
           "exists");
    refuse("DELETE", A("www.example.com", "192.0.2.2"),
           "Tried to delete resource record set [name='www.example.com.', type='A'] but the values "
           "provided do not match the current values");
    refuse("DELETE",
           "{'Name':'www.example.com','Type':'A','TTL':61,'ResourceRecords':[{'Value':"
           "'192.0.2.1'}]}",
           "Tried to delete resource record set [name='www.example.com.', type='A'] but the values "
           "provided do not match the current values");
    refuse("DELETE", A("no.example.com", "192.0.2.1"),
           "Tried to delete resource record set [name='no.example.com.', type='A'] but it was not "
           "found");
    accept("CREATE", ROUTED("one", "'Weight':1", "192.0.2.1"));
    refuse("DELETE", ROUTED("two", "'Weight':1", "192.0.2.1"),
           "Tried to delete resource record set [name='r.example.com.', type='A', "
           "set-identifier='two'] but it was not found");
    refuse("DELETE", ROUTED("one", "'Weight':2", "192.0.2.1"),
           "Tried to delete resource record set [name='r.example.com.', type='A', "
           "set-identifier='one'] but the values provided do not match the current values");
    accept("DELETE", ROUTED("one", "'Weight':1", "192.0.2.1"));
}

static void the_order_of_values_does_not_matter_to_delete(void **state)
{
    (void)state;
    accept("CREATE", "{'Name':'w.example.com','Type':'A','TTL':60,'ResourceRecords':[{'Value':"
                     "'192.0.2.1'},{'Value':'192.0.2.2'}]}");
    accept("DELETE", "{'Name':'w.example.com','Type':'A','TTL':60,'ResourceRecords':[{'Value':"
                     "'192.0.2.2'},{'Value':'192.0.2.1'}]}");
}

static void an_alias_is_deleted_in_any_spelling(void **state)
{
    (void)state;
    char record[256];
    accept("CREATE", A("www.example.com", "192.0.2.1"));
    (void)snprintf(record, sizeof record, ALIAS("example.com", "%s", "WWW.example.com"), zone);
    accept("CREATE", record);
    (void)snprintf(record, sizeof record,
                   ALIAS("example.com", "/hostedzone/%s", "www.example.com."), zone);
    accept("DELETE", record);
}

static void a_batch_is_all_or_nothing(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "CREATE " A("a.example.com", "192.0.2.1"),
        "CREATE " A("b.example.com", "192.0.2.1"),
        "DELETE " A("c.example.com", "192.0.2.1"),
    };
    long long revision = fixture_revision(&f);
    refuse_batch(ask_batch(changes, 3), revision,
                 "Tried to delete resource record set [name='c.example.com.', type='A'] but it was "
                 "not found");
    assert_int_equal(count_records(), 2);
    assert_int_equal(ask_batch(changes, 2), 0);
    assert_string_equal(fixture_text(&f, "ChangeInfo.Comment"), "c");
    assert_int_equal(count_records(), 4);
}

static void every_problem_of_a_batch_is_told(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "CREATE " A("a.example.org", "192.0.2.1"),
        "CREATE " A("a.example.com", "192.0.2.300"),
        "DELETE " A("c.example.com", "192.0.2.1"),
    };
    assert_int_not_equal(ask_batch(changes, 3), 0);
    assert_int_equal(json_array_size(json_object_get(f.call.error_members, "messages")), 3);
    assert_true(text_starts(f.err.message,
                            "[RRSet with DNS name a.example.org. is not permitted in "
                            "zone example.com., Invalid Resource Record: 'FATAL "
                            "problem: ARRDATAIllegalIPv4Address"));
}

static void a_record_is_replaced_by_another_type_in_one_batch(void **state)
{
    (void)state;
    accept("CREATE", CNAME("www.example.com", "a.example.com"));
    static const char *const changes[] = {
        "DELETE " CNAME("www.example.com", "a.example.com"),
        "CREATE " A("www.example.com", "192.0.2.1"),
    };
    assert_int_equal(ask_batch(changes, 2), 0);
    static const char *const again[] = {
        "DELETE " A("www.example.com", "192.0.2.1"),
        "CREATE " A("www.example.com", "192.0.2.2"),
    };
    assert_int_equal(ask_batch(again, 2), 0);
    assert_int_equal(count_records(), 3);
}

static void a_record_changes_once_in_a_batch(void **state)
{
    (void)state;
    static const char *const twice[] = {
        "UPSERT " A("www.example.com", "192.0.2.1"),
        "UPSERT " A("www.example.com", "192.0.2.2"),
    };
    long long revision = fixture_revision(&f);
    refuse_batch(ask_batch(twice, 2), revision,
                 "The request contains an invalid set of changes for a resource record set 'A "
                 "www.example.com.'");
    accept("CREATE", A("www.example.com", "192.0.2.1"));
    static const char *const deletes[] = {
        "DELETE " A("www.example.com", "192.0.2.1"),
        "DELETE " A("www.example.com", "192.0.2.1"),
    };
    revision = fixture_revision(&f);
    refuse_batch(ask_batch(deletes, 2), revision,
                 "The request contains an invalid set of changes for a resource record set 'A "
                 "www.example.com.'");
}

static void places_in_the_zone_are_guarded(void **state)
{
    (void)state;
    refuse("CREATE", A("www.example.org", "192.0.2.1"),
           "RRSet with DNS name www.example.org. is not permitted in zone example.com.");
    refuse("CREATE", A("wwwexample.com", "192.0.2.1"),
           "RRSet with DNS name wwwexample.com. is not permitted in zone example.com.");
    refuse("CREATE", CNAME("example.com", "a.example.org"),
           "RRSet of type CNAME with DNS name example.com. is not permitted at apex in zone "
           "example.com.");
    refuse("DELETE",
           "{'Name':'example.com','Type':'NS','TTL':172800,'ResourceRecords':[{'Value':"
           "'ns1.dns.test.'},{'Value':'ns2.dns.test.'},{'Value':'ns3.dns.test.'},{'Value':"
           "'ns4.dns.test.'}]}",
           "A HostedZone must contain at least one NS record for the zone itself.");
    refuse(
        "DELETE",
        "{'Name':'example.com','Type':'SOA','TTL':900,'ResourceRecords':[{'Value':'ns1.dns.test. "
        "hostmaster.dns.test. 1 7200 900 1209600 86400'}]}",
        "A HostedZone must contain exactly one SOA record.");
    refuse(
        "CREATE",
        "{'Name':'sub.example.com','Type':'SOA','TTL':900,'ResourceRecords':[{'Value':'ns1.dns."
        "test. hostmaster.dns.test. 1 7200 900 1209600 86400'}]}",
        "RRSet of type SOA with DNS name sub.example.com. is not permitted in zone example.com.");
    accept("UPSERT",
           "{'Name':'example.com','Type':'NS','TTL':60,'ResourceRecords':[{'Value':'x.y'}]}");
    accept("CREATE", A("example.com", "192.0.2.1"));
    accept("CREATE", A("*.example.com", "192.0.2.1"));
}

static void cname_stands_alone(void **state)
{
    (void)state;
    accept("CREATE", A("www.example.com", "192.0.2.1"));
    refuse(
        "CREATE", CNAME("www.example.com", "a.example.org"),
        "RRSet of type CNAME with DNS name www.example.com. is not permitted as it conflicts with "
        "other records with the same DNS name in zone example.com.");
    accept("CREATE", CNAME("alias.example.com", "a.example.org"));
    refuse(
        "CREATE", A("alias.example.com", "192.0.2.1"),
        "RRSet of type A with DNS name alias.example.com. is not permitted because a conflicting "
        "RRSet of type CNAME with the same DNS name already exists in zone example.com.");
    accept("CREATE",
           "{'Name':'w.example.com','Type':'CNAME','SetIdentifier':'1','Weight':1," VALUES(
               "a.example.org") "}");
    accept("CREATE",
           "{'Name':'w.example.com','Type':'CNAME','SetIdentifier':'2','Weight':1," VALUES(
               "b.example.org") "}");
}

static void values_are_judged_by_their_type(void **state)
{
    (void)state;
    refuse(
        "CREATE", A("www.example.com", "x"),
        "Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address (Value is not a valid "
        "IPv4 address) encountered with 'x''");
    static const char *const fine[] = {
        "{'Name':'t.example.com','Type':'TXT'," VALUES("\\'v=spf1 -all\\'") "}",
        "{'Name':'m.example.com','Type':'MX'," VALUES("10 mail.example.com") "}",
        "{'Name':'s.example.com','Type':'SRV'," VALUES("1 2 443 a.example.com") "}",
        "{'Name':'c.example.com','Type':'CAA'," VALUES("0 issue \\'ca.example.net\\'") "}",
        "{'Name':'p.example.com','Type':'PTR'," VALUES("a.example.com") "}",
        "{'Name':'x.example.com','Type':'AAAA'," VALUES("2001:db8::1") "}",
        "{'Name':'d.example.com','Type':'NS'," VALUES("ns.example.net") "}",
    };
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        accept("CREATE", fine[i]);
    }
}

static void the_shape_of_a_change_is_judged_first(void **state)
{
    (void)state;
    refuse_input("CREATE", "{'Name':'www.example.com','Type':'A'}",
                 "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and "
                 "ResourceRecords], or TrafficPolicyInstanceId], but found none in Change with "
                 "[Action=CREATE, Name=www.example.com, Type=A, SetIdentifier=null]");
    refuse_input("UPSERT",
                 "{'Name':'www.example.com','Type':'A','Weight':1," VALUES("192.0.2.1") "}",
                 "Invalid request: Missing field 'SetIdentifier' in Change with [Action=UPSERT, "
                 "Name=www.example.com, Type=A, SetIdentifier=null]");
    refuse_input("UPSERT", ROUTED("x", "'GeoLocation':{'CountryCode':'ZZ'}", "192.0.2.1"),
                 "SubdivisionCode=] is not supported in Change with");
    refuse_input("UPSERT", ROUTED("x", "'GeoLocation':{}", "192.0.2.1"),
                 "either a ContinentCode, or a CountryCode with or without a SubdivisionCode");
    refuse_input("UPSERT",
                 "{'Name':'www.example.com','Type':'A','TrafficPolicyInstanceId':'i'," VALUES(
                     "192.0.2.1") "}",
                 "the record set of a traffic policy instance changes only with its instance");
}

static void a_group_has_one_policy(void **state)
{
    (void)state;
    accept("CREATE", ROUTED("one", "'Weight':1", "192.0.2.1"));
    accept("CREATE", ROUTED("two", "'Weight':0", "192.0.2.2"));
    refuse(
        "CREATE", A("r.example.com", "192.0.2.3"),
        "RRSet with DNS name r.example.com., type A cannot be created as other RRSets exist with "
        "the same name and type.");
    refuse(
        "CREATE", ROUTED("three", "'MultiValueAnswer':true", "192.0.2.3"),
        "RRSet with DNS name r.example.com., type A, SetIdentifier three cannot be created because "
        "a non multivalue answer rrset exists with the same name and type.");
    refuse("CREATE", ROUTED("three", "'Failover':'SECONDARY'", "192.0.2.3"),
           "RRSet with DNS name r.example.com., type A, SetIdentifier three cannot be created as a "
           "non-failover set exists with the same name and type.");
    accept("CREATE", A("www.example.com", "192.0.2.1"));
    refuse("CREATE",
           "{'Name':'www.example.com','Type':'A','SetIdentifier':'x','Weight':1," VALUES(
               "192.0.2.1") "}",
           "RRSet with DNS name www.example.com., type A, SetIdentifier x cannot be created as a "
           "non-weighted set exists with the same name and type.");
}

static void weighted_records_have_one_ttl(void **state)
{
    (void)state;
    accept("CREATE", ROUTED("one", "'Weight':1", "192.0.2.1"));
    refuse("CREATE",
           "{'Name':'r.example.com','Type':'A','SetIdentifier':'two','Weight':1,'TTL':61,"
           "'ResourceRecords':[{'Value':'192.0.2.2'}]}",
           "RRSet with DNS name r.example.com., type A, SetIdentifier two cannot be created as "
           "weighted sets must contain the same TTL.");
}

static void a_failover_pair_has_one_of_each(void **state)
{
    (void)state;
    char *check = fixture_check(&f, "c");
    char primary[512];
    refuse("CREATE", ROUTED("one", "'Failover':'PRIMARY'", "192.0.2.1"),
           "A non-alias primary ResourceRecordSet must have an associated health check.");
    (void)snprintf(primary, sizeof primary,
                   ROUTED("one", "'Failover':'PRIMARY','HealthCheckId':'%s'", "192.0.2.1"), check);
    accept("CREATE", primary);
    accept("CREATE", ROUTED("two", "'Failover':'SECONDARY'", "192.0.2.2"));
    refuse("CREATE", ROUTED("three", "'Failover':'SECONDARY'", "192.0.2.3"),
           "RRSet with DNS name r.example.com., type A, SetIdentifier three cannot be created as a "
           "failover set with the value SECONDARY exists with the same name and type.");
    (void)snprintf(primary, sizeof primary,
                   ROUTED("three", "'Failover':'PRIMARY','HealthCheckId':'%s'", "192.0.2.1"),
                   check);
    refuse("CREATE", primary,
           "RRSet with DNS name r.example.com., type A, SetIdentifier three cannot be created as a "
           "failover set with the value PRIMARY exists with the same name and type.");
    free(check);
}

static void a_pair_may_swap_its_roles_in_one_batch(void **state)
{
    (void)state;
    char *check = fixture_check(&f, "c");
    char text[4][512];
    static const char *const roles[] = {"PRIMARY", "SECONDARY", "SECONDARY", "PRIMARY"};
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(
            text[i], sizeof text[i],
            "UPSERT {'Name':'r.example.com','Type':'A','SetIdentifier':'%s','Failover':'%s'"
            ",'HealthCheckId':'%s'," VALUES("192.0.2.1") "}",
            i % 2 == 0 ? "one" : "two", roles[i], check);
    }
    const char *const first[] = {text[0], text[1]};
    const char *const second[] = {text[2], text[3]};
    assert_int_equal(ask_batch(first, 2), 0);
    assert_int_equal(ask_batch(second, 2), 0);
    free(check);
}

static void a_health_check_must_exist(void **state)
{
    (void)state;
    assert_int_not_equal(
        fixture_change(&f, zone, "CREATE",
                       ROUTED("one", "'Weight':1,'HealthCheckId':'none'", "192.0.2.1")),
        0);
    assert_string_equal(fixture_code(&f), "NoSuchHealthCheck");
    assert_non_null(strstr(f.err.message, "none"));
    refuse_input("CREATE",
                 "{'Name':'w.example.com','Type':'A','HealthCheckId':'x'," VALUES("192.0.2.1") "}",
                 "Missing field 'SetIdentifier'");
}

static void an_alias_target_must_exist_in_a_zone_of_ours(void **state)
{
    (void)state;
    char record[512];
    char message[512];
    (void)snprintf(record, sizeof record, ALIAS("example.com", "%s", "www.example.com"), zone);
    (void)snprintf(message, sizeof message,
                   "Tried to create an alias that targets www.example.com., type A in zone %s, but "
                   "that target was not found",
                   zone);
    refuse("CREATE", record, message);
    accept("CREATE", "{'Name':'www.example.com','Type':'AAAA'," VALUES("2001:db8::1") "}");
    refuse("CREATE", record, message);
    (void)snprintf(record, sizeof record, ALIAS("example.com", "%s", "www.example.org"), zone);
    assert_int_not_equal(fixture_change(&f, zone, "CREATE", record), 0);
    const json_t *messages = json_object_get(f.call.error_members, "messages");
    assert_int_equal(json_array_size(messages), 2);
    assert_non_null(strstr(json_string_value(json_array_get(messages, 0)),
                           "but the alias target name does not lie within the target zone"));
    (void)snprintf(record, sizeof record, ALIAS("example.com", "%s", "example.com"), zone);
    (void)snprintf(
        message, sizeof message,
        "Tried to create an alias that targets example.com., type A in zone %s, but that "
        "is the alias itself",
        zone);
    refuse("CREATE", record, message);
    accept("CREATE", ALIAS("example.com", "ZLOADBALANCER", "lb-1.elb.example.net"));
}

static void an_alias_and_its_target_come_in_one_batch(void **state)
{
    (void)state;
    char alias[512];
    (void)snprintf(alias, sizeof alias, "CREATE " ALIAS("example.com", "%s", "www.example.com"),
                   zone);
    const char *const changes[] = {alias, "CREATE " A("www.example.com", "192.0.2.1")};
    assert_int_equal(ask_batch(changes, 2), 0);
    char *other = fixture_zone(&f, "example.org");
    char record[512];
    (void)snprintf(record, sizeof record, ALIAS("www.example.org", "%s", "www.example.com"), zone);
    assert_int_equal(fixture_change(&f, other, "CREATE", record), 0);
    free(other);
}

/* count changes of `values` values each: addresses, or texts that start with prefix. */
static int ask_many(const char *action, size_t count, size_t values, const char *prefix)
{
    json_t *changes = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *list = json_array();
        for (size_t j = 0; j < values; j++) {
            json_t *value = prefix != NULL
                                ? json_sprintf("\"%s%zu-%zu\"", prefix, i, j)
                                : json_sprintf("10.%zu.%zu.%zu", i % 250, j % 250, j / 250);
            (void)json_array_append_new(list, json_pack("{s:o}", "Value", value));
        }
        (void)json_array_append_new(changes, json_pack("{s:s, s:{s:o, s:s, s:i, s:o}}", "Action",
                                                       action, "ResourceRecordSet", "Name",
                                                       json_sprintf("n%zu.example.com", i), "Type",
                                                       prefix != NULL ? "TXT" : "A", "TTL", 60,
                                                       "ResourceRecords", list));
    }
    char *text = json_dumps(changes, 0);
    int rc = fixture_ask(&f, "ChangeResourceRecordSets",
                         "{'HostedZoneId':'%s','ChangeBatch':{'Changes':%s}}", zone, text);
    free(text);
    json_decref(changes);
    return rc;
}

static void a_thousand_changes_fit_and_no_more(void **state)
{
    (void)state;
    long long revision = fixture_revision(&f);
    refuse_batch(ask_many("CREATE", 1001, 1, NULL), revision,
                 "Number of records limit of 1000 exceeded.");
    refuse_batch(ask_many("UPSERT", 501, 1, NULL), revision,
                 "Number of records limit of 1000 exceeded.");
    refuse_batch(ask_many("CREATE", 1, 401, NULL), revision,
                 "Number of records limit of 400 exceeded in one record set.");
    assert_int_equal(ask_many("CREATE", 1000, 1, NULL), 0);
    print_message("# 1,000 creations: %lld us\n", (long long)(f.elapsed_ns / TIME_US));
    assert_int_equal(count_records(), 1002);
    assert_int_equal(ask_many("UPSERT", 500, 1, NULL), 0);
    assert_int_equal(ask_many("DELETE", 1000, 1, NULL), 0);
    assert_int_equal(count_records(), 2);
}

static void the_values_of_a_batch_have_a_limit(void **state)
{
    (void)state;
    char value[201];
    (void)memset(value, 'x', 200);
    value[200] = '\0';
    long long revision = fixture_revision(&f);
    refuse_batch(ask_many("CREATE", 200, 1, value), revision,
                 "Number of characters limit of 32000 in the values exceeded.");
    assert_int_equal(ask_many("CREATE", 100, 1, value), 0);
}

static void a_zone_has_a_limit(void **state)
{
    (void)state;
    char key[64];
    char text[512];
    (void)snprintf(key, sizeof key, "r53/zone/%s", zone);
    (void)snprintf(text, sizeof text,
                   "{\"v\":1,\"Id\":\"%s\",\"Name\":\"example.com.\",\"CallerReference\":\"r\","
                   "\"RecordCount\":10000}",
                   zone);
    fixture_put(&f, key, text);
    (void)snprintf(text, sizeof text,
                   "Number of records limit of 10000 in hosted zone %s exceeded.", zone);
    refuse("CREATE", A("www.example.com", "192.0.2.1"), text);
}

static void a_key_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char identifier[129];
    char record[4096];
    (void)memset(identifier, '/', 128);
    identifier[128] = '\0';
    int length = 0;
    char name[2048] = "";
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 60; j++) {
            length += snprintf(name + length, sizeof name - (size_t)length, "\\\\001");
        }
        length += snprintf(name + length, sizeof name - (size_t)length, ".");
    }
    (void)snprintf(record, sizeof record,
                   "{'Name':'%sexample.com','Type':'A','SetIdentifier':'%s','Weight':1," VALUES(
                       "192.0.2.1") "}",
                   name, identifier);
    assert_int_not_equal(fixture_change(&f, zone, "CREATE", record), 0);
    assert_string_equal(fixture_code(&f), "InvalidChangeBatch");
    assert_non_null(strstr(f.err.message, "too long together"));
}

/* ---- concurrent batches ---- */

#define WRITERS 4
#define ROUNDS 25

struct writer {
    struct fixture fixture; /* shares the store, has its own call */
    const char *zone;
    unsigned number;
    int failures;
};

static void *write_records(void *argument)
{
    struct writer *writer = argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        char record[256];
        (void)snprintf(record, sizeof record, A("n%u-%u.example.com", "192.0.2.1"), writer->number,
                       i);
        if (fixture_change(&writer->fixture, writer->zone, "CREATE", record) != 0 &&
            strcmp(fixture_code(&writer->fixture), "PriorRequestNotComplete") != 0) {
            writer->failures++;
        }
    }
    return NULL;
}

static void concurrent_batches_all_count(void **state)
{
    (void)state;
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.zone = zone, .number = i};
        fixture_open(&writers[i].fixture);
        store_close(writers[i].fixture.store);
        writers[i].fixture.store = f.store;
        writers[i].fixture.context.store = f.store;
        assert_int_equal(pthread_create(&threads[i], NULL, write_records, &writers[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(writers[i].failures, 0);
        writers[i].fixture.store = NULL;
        fixture_close(&writers[i].fixture);
    }
    char prefix[64];
    size_t stored = 0;
    (void)snprintf(prefix, sizeof prefix, "r53/rrset/%s/", zone);
    assert_int_equal(store_count(f.store, prefix, &stored, &f.err), 0);
    assert_int_equal(count_records(), stored);
    assert_true(stored > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_record_is_created_changed_and_deleted),
        TEST(what_is_there_and_what_is_not_is_said_in_awss_words),
        TEST(the_order_of_values_does_not_matter_to_delete),
        TEST(an_alias_is_deleted_in_any_spelling),
        TEST(a_batch_is_all_or_nothing),
        TEST(every_problem_of_a_batch_is_told),
        TEST(a_record_is_replaced_by_another_type_in_one_batch),
        TEST(a_record_changes_once_in_a_batch),
        TEST(places_in_the_zone_are_guarded),
        TEST(cname_stands_alone),
        TEST(values_are_judged_by_their_type),
        TEST(the_shape_of_a_change_is_judged_first),
        TEST(a_group_has_one_policy),
        TEST(weighted_records_have_one_ttl),
        TEST(a_failover_pair_has_one_of_each),
        TEST(a_pair_may_swap_its_roles_in_one_batch),
        TEST(a_health_check_must_exist),
        TEST(an_alias_target_must_exist_in_a_zone_of_ours),
        TEST(an_alias_and_its_target_come_in_one_batch),
        TEST(a_thousand_changes_fit_and_no_more),
        TEST(the_values_of_a_batch_have_a_limit),
        TEST(a_zone_has_a_limit),
        TEST(a_key_that_is_too_long_is_refused),
        TEST(concurrent_batches_all_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
