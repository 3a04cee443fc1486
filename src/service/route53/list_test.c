/* Tests of ListResourceRecordSets, GetChange and TestDNSAnswer, through the handlers. */
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

static void add(const char *name, const char *identifier)
{
    char record[512];
    char policy[128] = "";
    if (identifier[0] != '\0') {
        (void)snprintf(policy, sizeof policy, "'SetIdentifier':'%s','Weight':1,", identifier);
    }
    (void)snprintf(record, sizeof record,
                   "{'Name':'%s','Type':'A',%s'TTL':60,'ResourceRecords':[{'Value':'192.0.2.1'}]}",
                   name, policy);
    if (fixture_change(&f, zone, "CREATE", record) != 0) {
        fail_msg("%s: %s", record, f.err.message);
    }
}

static void records_are_listed_in_route53s_order_whatever_the_page(void **state)
{
    (void)state;
    static const char *const ordered[][3] = {
        {"example.com.", "NS", ""},        {"example.com.", "SOA", ""},
        {"a-b.example.com.", "A", ""},     {"a.example.com.", "A", "one"},
        {"a.example.com.", "A", "two"},    {"x.a.example.com.", "A", ""},
        {"\\052.b.example.com.", "A", ""}, {"_b.example.com.", "A", ""},
    };
    static const char *const names[][2] = {
        {"x.a.example.com", ""}, {"a.example.com", "two"}, {"_b.example.com", ""},
        {"a-b.example.com", ""}, {"a.example.com", "one"}, {"*.b.example.com", ""},
    };
    for (size_t i = 0; i < 6; i++) {
        add(names[i][0], names[i][1]);
    }
    /* '_' sorts before letters, and the names under b.example.com after it. */
    static const size_t order[] = {0, 1, 7, 2, 3, 4, 5, 6};
    for (size_t size = 1; size <= 9; size++) {
        char start[2048] = "";
        size_t seen = 0;
        bool more = true;
        while (more) {
            assert_int_equal(fixture_ask(&f, "ListResourceRecordSets",
                                         "{'HostedZoneId':'%s','MaxItems':'%zu'%s}", zone, size,
                                         start),
                             0);
            for (size_t i = 0; i < fixture_size(&f, "ResourceRecordSets"); i++) {
                const json_t *record = json_array_get(fixture_at(&f, "ResourceRecordSets"), i);
                const char *id = json_string_value(json_object_get(record, "SetIdentifier"));
                assert_true(seen < 8);
                assert_string_equal(json_string_value(json_object_get(record, "Name")),
                                    ordered[order[seen]][0]);
                assert_string_equal(json_string_value(json_object_get(record, "Type")),
                                    ordered[order[seen]][1]);
                assert_string_equal(id != NULL ? id : "", ordered[order[seen]][2]);
                seen++;
            }
            more = fixture_true(&f, "IsTruncated");
            const char *id = fixture_text(&f, "NextRecordIdentifier");
            char *name = json_dumps(fixture_at(&f, "NextRecordName"), JSON_ENCODE_ANY);
            (void)snprintf(
                start, sizeof start, ",'StartRecordName':%s,'StartRecordType':'%s'%s%s%s",
                name != NULL ? name : "''", fixture_text(&f, "NextRecordType"),
                id[0] != '\0' ? ",'StartRecordIdentifier':'" : "", id, id[0] != '\0' ? "'" : "");
            free(name);
        }
        assert_int_equal(seen, 8);
    }
}

static const char *first_from(const char *start)
{
    assert_int_equal(fixture_ask(&f, "ListResourceRecordSets",
                                 "{'HostedZoneId':'/hostedzone/%s','MaxItems':'1',%s}", zone,
                                 start),
                     0);
    return fixture_text(&f, "ResourceRecordSets.0.Name");
}

static void a_list_starts_where_it_is_told(void **state)
{
    (void)state;
    add("a.example.com", "");
    add("c.example.com", "");
    assert_string_equal(first_from("'StartRecordName':'a.example.com'"), "a.example.com.");
    assert_string_equal(first_from("'StartRecordName':'B.example.com.'"), "c.example.com.");
    assert_string_equal(first_from("'StartRecordName':'a.example.com','StartRecordType':'A'"),
                        "a.example.com.");
    assert_string_equal(first_from("'StartRecordName':'a.example.com','StartRecordType':'AAAA'"),
                        "c.example.com.");
    assert_string_equal(first_from("'StartRecordName':'a.example.com','StartRecordType':'A',"
                                   "'StartRecordIdentifier':'x'"),
                        "c.example.com.");
    assert_string_equal(first_from("'StartRecordName':'example.com','StartRecordType':'SOA'"),
                        "example.com.");
    assert_string_equal(first_from("'StartRecordName':'z.example.com'"), "");
    assert_false(fixture_true(&f, "IsTruncated"));
}

static void a_list_that_starts_nowhere_is_refused(void **state)
{
    (void)state;
    (void)fixture_ask(&f, "ListResourceRecordSets", "{'HostedZoneId':'%s','StartRecordType':'A'}",
                      zone);
    fixture_refused(&f, "InvalidInput", "StartRecordName");
    (void)fixture_ask(&f, "ListResourceRecordSets",
                      "{'HostedZoneId':'%s','StartRecordName':'a','StartRecordIdentifier':'x'}",
                      zone);
    fixture_refused(&f, "InvalidInput", "StartRecordType");
    (void)fixture_ask(&f, "ListResourceRecordSets",
                      "{'HostedZoneId':'%s','StartRecordName':'a..b'}", zone);
    fixture_refused(&f, "InvalidInput", "a..b");
    (void)fixture_ask(&f, "ListResourceRecordSets", "{'HostedZoneId':'%s','MaxItems':'-1'}", zone);
    fixture_refused(&f, "InvalidInput", "MaxItems");
    assert_int_equal(
        fixture_ask(&f, "ListResourceRecordSets", "{'HostedZoneId':'%s','MaxItems':'1000'}", zone),
        0);
    assert_string_equal(fixture_text(&f, "MaxItems"), "300");
}

/* ---- GetChange ---- */

static const char *status_of(const char *id)
{
    assert_int_equal(fixture_ask(&f, "GetChange", "{'Id':'%s'}", id), 0);
    return fixture_text(&f, "ChangeInfo.Status");
}

static void set_applied(const char *node, long long revision)
{
    char key[64];
    char value[64];
    (void)snprintf(key, sizeof key, "node/%s/dns", node);
    (void)snprintf(value, sizeof value, "{\"v\":1,\"Revision\":%lld}", revision);
    fixture_put(&f, key, value);
}

static void a_change_is_in_sync_once_every_dns_node_has_it(void **state)
{
    (void)state;
    add("a.example.com", "");
    long long revision = fixture_revision(&f);
    char *id = strdup(fixture_text(&f, "ChangeInfo.Id"));
    assert_string_equal(status_of(id), "PENDING");
    fixture_put(&f, "node/alpha/latch/x", "{\"v\":1}");
    assert_string_equal(status_of(id), "PENDING");
    set_applied("alpha", revision - 1);
    assert_string_equal(status_of(id), "PENDING");
    set_applied("alpha", revision);
    assert_string_equal(status_of(id), "INSYNC");
    set_applied("beta", revision - 1);
    assert_string_equal(status_of(id), "PENDING");
    set_applied("beta", revision + 7);
    assert_string_equal(status_of(id), "INSYNC");
    assert_string_equal(fixture_text(&f, "ChangeInfo.SubmittedAt"), "2027-01-15T08:00:00.000Z");
    assert_string_equal(status_of(id + strlen("/change/")), "INSYNC");
    free(id);
}

static void an_unknown_change_is_named(void **state)
{
    (void)state;
    (void)fixture_ask(&f, "GetChange", "{'Id':'/change/C0'}");
    fixture_refused(&f, "NoSuchChange", "Could not find resource with ID: C0");
    char id[2000];
    (void)memset(id, 'C', sizeof id);
    id[sizeof id - 1] = '\0';
    (void)fixture_ask(&f, "GetChange", "{'Id':'%s'}", id);
    fixture_refused(&f, "NoSuchChange", "CCC");
}

static void change_records_go_after_a_week(void **state)
{
    (void)state;
    size_t count = 0;
    for (int i = 0; i < 20; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "n%d.example.com", i);
        add(name, "");
    }
    assert_int_equal(store_count(f.store, "r53/change/", &count, &f.err), 0);
    assert_int_equal(count, 21);
    f.now.ns += ((int64_t)7 * 24 * 3600 + 1) * TIME_S;
    for (int i = 0; i < 4; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "m%d.example.com", i);
        add(name, "");
    }
    assert_int_equal(store_count(f.store, "r53/change/", &count, &f.err), 0);
    assert_int_equal(count, 4);
}

/* ---- TestDNSAnswer ---- */

static void an_answer_is_what_the_dns_server_says(void **state)
{
    (void)state;
    (void)json_object_set_new(f.views, "Answer",
                              json_pack("{s:s, s:s, s:[s], s:s}", "RecordType", "A", "ResponseCode",
                                        "NOERROR", "RecordData", "192.0.2.1", "Protocol", "UDP"));
    assert_int_equal(
        fixture_ask(&f, "TestDNSAnswer",
                    "{'HostedZoneId':'%s','RecordName':'WWW.example.com','RecordType':"
                    "'A','ResolverIP':'192.0.2.53','EDNS0ClientSubnetIP':'198.51.100.1'}",
                    zone),
        0);
    assert_string_equal(fixture_text(&f, "Nameserver"), "ns1.dns.test");
    assert_string_equal(fixture_text(&f, "RecordName"), "www.example.com.");
    assert_string_equal(fixture_text(&f, "RecordData.0"), "192.0.2.1");
    assert_string_equal(fixture_text(&f, "Asked"), "1 192.0.2.53 198.51.100.1/24");
    assert_int_equal(
        fixture_ask(&f, "TestDNSAnswer",
                    "{'HostedZoneId':'%s','RecordName':'example.com','RecordType':'AAAA',"
                    "'EDNS0ClientSubnetIP':'2001:db8::1','EDNS0ClientSubnetMask':'56'}",
                    zone),
        0);
    assert_string_equal(fixture_text(&f, "Asked"), "28  2001:db8::1/56");
}

static void a_question_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"'RecordName':'example.org','RecordType':'A'", "not within the hosted zone"},
        {"'RecordName':'a..b','RecordType':'A'", "not a valid domain name"},
        {"'RecordName':'example.com','RecordType':'PONY'", "RecordType"},
        {"'RecordName':'example.com','RecordType':'A','ResolverIP':'1.2.3'", "ResolverIP"},
        {"'RecordName':'example.com','RecordType':'A','EDNS0ClientSubnetIP':'x'",
         "EDNS0ClientSubnetIP is not"},
        {"'RecordName':'example.com','RecordType':'A','EDNS0ClientSubnetMask':'8'",
         "cannot be specified without"},
        {"'RecordName':'example.com','RecordType':'A','EDNS0ClientSubnetIP':'192.0.2.1',"
         "'EDNS0ClientSubnetMask':'33'",
         "from 0 to 32"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)fixture_ask(&f, "TestDNSAnswer", "{'HostedZoneId':'%s',%s}", zone, cases[i][0]);
        fixture_refused(&f, "InvalidInput", cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(records_are_listed_in_route53s_order_whatever_the_page),
        TEST(a_list_starts_where_it_is_told),
        TEST(a_list_that_starts_nowhere_is_refused),
        TEST(a_change_is_in_sync_once_every_dns_node_has_it),
        TEST(an_unknown_change_is_named),
        TEST(change_records_go_after_a_week),
        TEST(an_answer_is_what_the_dns_server_says),
        TEST(a_question_that_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
