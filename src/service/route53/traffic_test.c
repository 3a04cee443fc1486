/* Tests of traffic policy instances and of the record sets they are compiled to, through the
 * handlers. */
#include "base/text.h"
#include "model/path.h"
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
static char *check;
static unsigned serial;

static int setup(void **state)
{
    (void)state;
    fixture_open(&f);
    zone = fixture_zone(&f, "example.com");
    check = fixture_check(&f, "c");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(zone);
    free(check);
    fixture_close(&f);
    return 0;
}

/* A document with the format's first part; ' for ", and %s for the health check. */
static char *policy(const char *type, const char *rest, const char *of)
{
    char text[8192];
    char escaped[16384];
    size_t at = 0;
    const char *mark = strstr(rest, "%s");
    int before = mark != NULL ? (int)(mark - rest) : (int)strlen(rest);
    (void)snprintf(text, sizeof text,
                   "{'AWSPolicyFormatVersion':'2015-10-01','RecordType':'%s',%.*s%s%s", type,
                   before, rest, mark != NULL ? check : "", mark != NULL ? mark + 2 : "");
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\'') {
            escaped[at++] = '\\';
        }
        escaped[at++] = (char)(*c == '\'' ? '"' : *c);
    }
    escaped[at] = '\0';
    int rc = of == NULL ? fixture_ask(&f, "CreateTrafficPolicy", "{'Name':'p%u','Document':\"%s\"}",
                                      serial++, escaped)
                        : fixture_ask(&f, "CreateTrafficPolicyVersion",
                                      "{'Id':'%s','Document':\"%s\"}", of, escaped);
    if (rc != 0) {
        fail_msg("%s", f.err.message);
    }
    return strdup(fixture_text(&f, "TrafficPolicy.Id"));
}

#define ENDPOINTS                                                                                  \
    "'Endpoints':{'a':{'Type':'value','Value':'192.0.2.1'},"                                       \
    "'b':{'Type':'value','Value':'192.0.2.2'},'c':{'Type':'value','Value':'192.0.2.3'},"           \
    "'lb':{'Type':'network-load-balancer','Value':'lb.example.net'}},"
#define SIMPLE "'StartEndpoint':'a'," ENDPOINTS "'Rules':{}}"
#define TREE                                                                                       \
    "'StartRule':'top'," ENDPOINTS                                                                 \
    "'Rules':{'top':{'RuleType':'failover','Primary':{'RuleReference':'mix'},"                     \
    "'Secondary':{'EndpointReference':'c'}},"                                                      \
    "'mix':{'RuleType':'weighted','Items':["                                                       \
    "{'EndpointReference':'a','Weight':'1','HealthCheck':'%s'},"                                   \
    "{'EndpointReference':'lb','Weight':3,'EvaluateTargetHealth':false}]},"                        \
    "'idle':{'RuleType':'multivalue','Items':[{'EndpointReference':'a'}]}}}"

static int instance(const char *name, const char *policy_id, int version)
{
    return fixture_ask(&f, "CreateTrafficPolicyInstance",
                       "{'HostedZoneId':'/hostedzone/%s','Name':'%s','TTL':30,"
                       "'TrafficPolicyId':'%s','TrafficPolicyVersion':%d}",
                       zone, name, policy_id, version);
}

static char *created(const char *name, const char *policy_id, int version)
{
    if (instance(name, policy_id, version) != 0) {
        fail_msg("%s", f.err.message);
    }
    return strdup(fixture_text(&f, "TrafficPolicyInstance.Id"));
}

/* How many keys start with the prefix; the last one's value in ret_value. */
static size_t count(const char *prefix)
{
    size_t number = 0;
    struct err err = ERR_INIT;
    assert_int_equal(store_count(f.store, prefix, &number, &err), 0);
    return number;
}

/* A stored record set, as text; of a hidden one `rule` and set identifier, else "". */
static const char *stored(const char *name, const char *identifier)
{
    static char text[4096];
    struct arena arena;
    struct store_entry entry;
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    const char *key = identifier == NULL ? path_record(&arena, zone, name, "A", "")
                                         : path_traffic_record(&arena, zone, name, "A", identifier);
    text[0] = '\0';
    if (store_get(f.store, key, &arena, &entry, &err) == 0) {
        assert_int_equal(text_copy(text, sizeof text, entry.value), 0);
    }
    arena_done(&arena);
    return text;
}

static const char *hidden(const char *id, int generation, int rule, const char *identifier)
{
    char name[256];
    (void)snprintf(name, sizeof name, "_tp-%s-%d-%d.example.com.", id, generation, rule);
    return stored(name, identifier);
}

static long long record_count(void)
{
    assert_int_equal(fixture_ask(&f, "GetHostedZone", "{'Id':'%s'}", zone), 0);
    return fixture_number(&f, "HostedZone.ResourceRecordSetCount");
}

static void an_instance_of_an_endpoint_is_one_record_set(void **state)
{
    (void)state;
    char *id = policy("A", SIMPLE, NULL);
    char *made = created("WWW.example.com", id, 1);
    assert_string_equal(fixture_text(&f, "TrafficPolicyInstance.Name"), "www.example.com.");
    assert_string_equal(fixture_text(&f, "TrafficPolicyInstance.HostedZoneId"), zone);
    assert_string_equal(fixture_text(&f, "TrafficPolicyInstance.State"), "Creating");
    assert_string_equal(fixture_text(&f, "TrafficPolicyInstance.TrafficPolicyType"), "A");
    assert_int_equal(fixture_number(&f, "TrafficPolicyInstance.TTL"), 30);
    assert_non_null(strstr(stored("www.example.com.", NULL), "192.0.2.1"));
    assert_int_equal(count("r53/traffic/rrset/"), 0);
    assert_int_equal(record_count(), 3);
    assert_int_equal(fixture_ask(&f, "ListResourceRecordSets", "{'HostedZoneId':'%s'}", zone), 0);
    assert_int_equal(fixture_size(&f, "ResourceRecordSets"), 3);
    assert_string_equal(fixture_text(&f, "ResourceRecordSets.2.TrafficPolicyInstanceId"), made);
    assert_null(fixture_at(&f, "ResourceRecordSets.2.ResourceRecords"));
    free(id);
    free(made);
}

static void rules_become_hidden_groups_of_record_sets(void **state)
{
    (void)state;
    char *id = policy("A", TREE, NULL);
    char *made = created("www.example.com", id, 1);
    char target[128];
    (void)snprintf(target, sizeof target, "_tp-%s-1-0.example.com.", made);
    assert_non_null(strstr(stored("www.example.com.", NULL), target));
    assert_non_null(strstr(hidden(made, 1, 0, "primary"), "\"EvaluateTargetHealth\":true"));
    (void)snprintf(target, sizeof target, "_tp-%s-1-1.example.com.", made);
    assert_non_null(strstr(hidden(made, 1, 0, "primary"), target));
    assert_non_null(strstr(hidden(made, 1, 0, "primary"), "\"Failover\":\"PRIMARY\""));
    assert_non_null(strstr(hidden(made, 1, 0, "secondary"), "192.0.2.3"));
    assert_non_null(strstr(hidden(made, 1, 1, "1"), "\"Weight\":1"));
    assert_non_null(strstr(hidden(made, 1, 1, "1"), check));
    assert_non_null(strstr(hidden(made, 1, 1, "2"), "lb.example.net."));
    assert_non_null(strstr(hidden(made, 1, 1, "2"), "\"EvaluateTargetHealth\":false"));
    assert_int_equal(count("r53/traffic/rrset/"), 4); /* nothing leads to the rule "idle" */
    assert_int_equal(record_count(), 3);
    assert_int_equal(fixture_ask(&f, "ListResourceRecordSets", "{'HostedZoneId':'%s'}", zone), 0);
    assert_int_equal(fixture_size(&f, "ResourceRecordSets"), 3);
    free(id);
    free(made);
}

static void an_instance_is_applied_when_every_node_serves_it(void **state)
{
    (void)state;
    char *id = policy("A", TREE, NULL);
    char *made = created("www.example.com", id, 1);
    char value[64];
    (void)snprintf(value, sizeof value, "{\"v\":1,\"Revision\":%lld}", fixture_revision(&f));
    fixture_put(&f, "node/one/dns", value);
    assert_int_equal(fixture_ask(&f, "GetTrafficPolicyInstance", "{'Id':'%s'}", made), 0);
    assert_string_equal(fixture_text(&f, "TrafficPolicyInstance.State"), "Applied");
    fixture_put(&f, "node/two/dns", "{\"v\":1,\"Revision\":1}");
    assert_int_equal(fixture_ask(&f, "GetTrafficPolicyInstance", "{'Id':'%s'}", made), 0);
    assert_string_equal(fixture_text(&f, "TrafficPolicyInstance.State"), "Creating");
    (void)fixture_ask(&f, "GetTrafficPolicyInstance", "{'Id':'none'}");
    fixture_refused(&f, "NoSuchTrafficPolicyInstance", "none");
    free(id);
    free(made);
}

static int update(const char *made, const char *policy_id, int version)
{
    return fixture_ask(&f, "UpdateTrafficPolicyInstance",
                       "{'Id':'%s','TTL':5,'TrafficPolicyId':'%s','TrafficPolicyVersion':%d}", made,
                       policy_id, version);
}

static void an_update_takes_a_new_generation_of_names(void **state)
{
    (void)state;
    char *id = policy("A", TREE, NULL);
    char *made = created("www.example.com", id, 1);
    assert_int_equal(update(made, id, 1), 0); /* another TTL */
    assert_string_equal(fixture_text(&f, "TrafficPolicyInstance.State"), "Updating");
    assert_int_equal(fixture_number(&f, "TrafficPolicyInstance.TTL"), 5);
    assert_string_equal(hidden(made, 1, 0, "primary"), "");
    assert_non_null(strstr(hidden(made, 2, 0, "secondary"), "\"TTL\":5"));
    free(policy("A", SIMPLE, id));
    free(policy("AAAA", "'StartEndpoint':'x','Endpoints':{'x':{'Type':'value','Value':'::1'}}}",
                id));
    assert_int_equal(update(made, id, 2), 0);
    assert_int_equal(count("r53/traffic/rrset/"), 0);
    assert_non_null(strstr(stored("www.example.com.", NULL), "192.0.2.1"));
    assert_int_equal(record_count(), 3);
    long long before = fixture_revision(&f);
    (void)update(made, id, 3);
    fixture_refused(&f, "ConflictingTypes", "type AAAA");
    (void)update(made, id, 4);
    fixture_refused(&f, "NoSuchTrafficPolicy", "version 4");
    (void)update("none", id, 1);
    fixture_refused(&f, "NoSuchTrafficPolicyInstance", "none");
    assert_int_equal(fixture_revision(&f), before);
    (void)fixture_ask(&f, "DeleteTrafficPolicy", "{'Id':'%s','Version':2}", id);
    fixture_refused(&f, "TrafficPolicyInUse", "version 2");
    assert_int_equal(fixture_ask(&f, "DeleteTrafficPolicy", "{'Id':'%s','Version':1}", id), 0);
    free(id);
    free(made);
}

static void a_deleted_instance_leaves_nothing(void **state)
{
    (void)state;
    char *id = policy("A", TREE, NULL);
    char *made = created("www.example.com", id, 1);
    (void)fixture_ask(&f, "DeleteHostedZone", "{'Id':'%s'}", zone);
    fixture_refused(&f, "HostedZoneNotEmpty", "");
    assert_int_equal(fixture_ask(&f, "DeleteTrafficPolicyInstance", "{'Id':'%s'}", made), 0);
    (void)fixture_ask(&f, "DeleteTrafficPolicyInstance", "{'Id':'%s'}", made);
    fixture_refused(&f, "NoSuchTrafficPolicyInstance", made);
    assert_int_equal(record_count(), 2);
    assert_int_equal(fixture_ask(&f, "DeleteTrafficPolicy", "{'Id':'%s','Version':1}", id), 0);
    assert_int_equal(count("r53/traffic/"), 0);
    assert_int_equal(fixture_ask(&f, "DeleteHostedZone", "{'Id':'%s'}", zone), 0);
    free(id);
    free(made);
}

#define RECORD(name, more)                                                                         \
    "{'Name':'" name "','Type':'A'," more "'TTL':1,'ResourceRecords':[{'Value':'192.0.2.9'}]}"

static void its_record_set_changes_only_with_the_instance(void **state)
{
    (void)state;
    static const char words[] = "belongs to the traffic policy instance";
    char *id = policy("A", SIMPLE, NULL);
    char *made = created("www.example.com", id, 1);
    (void)fixture_change(&f, zone, "UPSERT", RECORD("www.example.com", ""));
    fixture_refused(&f, "InvalidChangeBatch", words);
    (void)fixture_change(&f, zone, "CREATE", RECORD("www.example.com", ""));
    fixture_refused(&f, "InvalidChangeBatch", words);
    (void)fixture_change(
        &f, zone, "DELETE",
        "{'Name':'www.example.com','Type':'A','TTL':30,'ResourceRecords':[{'Value':'192.0.2.1'}]}");
    fixture_refused(&f, "InvalidChangeBatch", words);
    (void)fixture_change(&f, zone, "CREATE",
                         RECORD("www.example.com", "'SetIdentifier':'x','Weight':1,"));
    fixture_refused(&f, "InvalidChangeBatch", "exists with the same name and type");
    (void)fixture_change(&f, zone, "DELETE",
                         "{'Name':'www.example.com','Type':'A','TrafficPolicyInstanceId':'x'}");
    fixture_refused(&f, "InvalidInput", "changes only with its instance");
    /* Other types beside it, and aliases to it, are fine. */
    assert_int_equal(fixture_change(&f, zone, "CREATE",
                                    "{'Name':'www.example.com','Type':'AAAA','TTL':1,"
                                    "'ResourceRecords':[{'Value':'::1'}]}"),
                     0);
    char alias[256];
    (void)snprintf(alias, sizeof alias,
                   "{'Name':'a.example.com','Type':'A','AliasTarget':{'HostedZoneId':'%s',"
                   "'DNSName':'www.example.com','EvaluateTargetHealth':true}}",
                   zone);
    assert_int_equal(fixture_change(&f, zone, "CREATE", alias), 0);
    free(id);
    free(made);
}

static void names_of_an_instances_rules_are_its_own(void **state)
{
    (void)state;
    char record[256];
    char *id = policy("A", TREE, NULL);
    char *made = created("www.example.com", id, 1);
    for (int rule = 0; rule < 9; rule += 8) { /* one that is there, and one that is not */
        (void)snprintf(record, sizeof record, RECORD("_tp-%s-1-%d.example.com", ""), made, rule);
        (void)fixture_change(&f, zone, "UPSERT", record);
        fixture_refused(&f, "InvalidChangeBatch", "is one of the traffic policy instance");
    }
    /* Those of no instance may have come with another zone's records. */
    (void)snprintf(record, sizeof record,
                   RECORD("_tp-00000000-0000-0000-0000-000000000000-1-0.example.com", ""));
    assert_int_equal(fixture_change(&f, zone, "CREATE", record), 0);
    assert_int_equal(fixture_change(&f, zone, "CREATE", RECORD("_tp-x.example.com", "")), 0);
    assert_int_equal(fixture_ask(&f, "DeleteTrafficPolicyInstance", "{'Id':'%s'}", made), 0);
    (void)snprintf(record, sizeof record, RECORD("_tp-%s-1-0.example.com", ""), made);
    assert_int_equal(fixture_change(&f, zone, "CREATE", record), 0);
    free(id);
    free(made);
}

static void what_an_instance_cannot_be_is_refused(void **state)
{
    (void)state;
    char *id = policy("A", SIMPLE, NULL);
    char *cname = policy(
        "CNAME", "'StartEndpoint':'x','Endpoints':{'x':{'Type':'value','Value':'x.net.'}}}", NULL);
    char *lost = policy("A",
                        "'StartRule':'r'," ENDPOINTS
                        "'Rules':{'r':{'RuleType':'weighted','Items':[{'EndpointReference':'a',"
                        "'Weight':1,'HealthCheck':'no-%s'}]}}}",
                        NULL);
    assert_int_equal(fixture_change(&f, zone, "CREATE", RECORD("taken.example.com", "")), 0);
    (void)instance("taken.example.com", id, 1);
    fixture_refused(&f, "InvalidInput", "already exists");
    (void)instance("taken.example.com", cname, 1);
    fixture_refused(&f, "InvalidInput", "conflicts with other records");
    (void)instance("example.com", cname, 1);
    fixture_refused(&f, "InvalidInput", "not permitted at apex");
    (void)instance("www.example.net", id, 1);
    fixture_refused(&f, "InvalidInput", "not permitted in zone");
    (void)instance("a..b", id, 1);
    fixture_refused(&f, "InvalidInput", "a..b");
    (void)instance("www.example.com", id, 2);
    fixture_refused(&f, "NoSuchTrafficPolicy", "version 2");
    (void)instance("www.example.com", lost, 1);
    fixture_refused(&f, "NoSuchHealthCheck", "no-");
    free(created("www.example.com", id, 1));
    (void)instance("www.example.com", id, 1);
    fixture_refused(&f, "TrafficPolicyInstanceAlreadyExists", "www.example.com.");
    free(created("example.com", id, 1)); /* the apex is fine */
    (void)fixture_ask(&f, "CreateTrafficPolicyInstance",
                      "{'HostedZoneId':'ZNONE','Name':'a','TTL':3,'TrafficPolicyId':'%s',"
                      "'TrafficPolicyVersion':1}",
                      id);
    fixture_refused(&f, "NoSuchHostedZone", "ZNONE");
    for (unsigned i = 2; i < 1000; i++) {
        char key[64];
        (void)snprintf(key, sizeof key, "r53/traffic/instance/%u", i);
        fixture_put(&f, key, "{\"v\":1}");
    }
    (void)instance("more.example.com", id, 1);
    fixture_refused(&f, "TooManyTrafficPolicyInstances", "1000");
    free(id);
    free(cname);
    free(lost);
}

static void a_zone_whose_name_is_long_has_no_room_for_rules(void **state)
{
    (void)state;
    char name[256];
    (void)snprintf(name, sizeof name, "%0*d.%0*d.%0*d.%0*d.net", 63, 0, 63, 0, 63, 0, 30, 0);
    free(zone);
    zone = fixture_zone(&f, name);
    char *id = policy("A", TREE, NULL);
    (void)instance(name, id, 1);
    fixture_refused(&f, "InvalidInput", "too long for traffic policies");
    free(id);
}

static void instances_are_listed_by_place_zone_and_policy(void **state)
{
    (void)state;
    char *one = policy("A", SIMPLE, NULL);
    char *two = policy("A", TREE, NULL);
    free(created("b.example.com", one, 1));
    free(created("a.example.com", two, 1));
    free(created("c.example.com", one, 1));
    char *first = zone;
    zone = fixture_zone(&f, "example.net");
    free(created("example.net", one, 1));
    assert_int_equal(fixture_ask(&f, "GetTrafficPolicyInstanceCount", "{}"), 0);
    assert_int_equal(fixture_number(&f, "TrafficPolicyInstanceCount"), 4);
    assert_int_equal(
        fixture_ask(&f, "GetAccountLimit", "{'Type':'MAX_TRAFFIC_POLICY_INSTANCES_BY_OWNER'}"), 0);
    assert_int_equal(fixture_number(&f, "Count"), 4);

    size_t seen = 0;
    char request[512] = "{'MaxItems':'1'}";
    do {
        assert_int_equal(fixture_ask(&f, "ListTrafficPolicyInstances", "%s", request), 0);
        assert_int_equal(fixture_size(&f, "TrafficPolicyInstances"), 1);
        seen++;
        (void)snprintf(request, sizeof request,
                       "{'MaxItems':'1','HostedZoneIdMarker':'%s',"
                       "'TrafficPolicyInstanceNameMarker':'%s',"
                       "'TrafficPolicyInstanceTypeMarker':'%s'}",
                       fixture_text(&f, "HostedZoneIdMarker"),
                       fixture_text(&f, "TrafficPolicyInstanceNameMarker"),
                       fixture_text(&f, "TrafficPolicyInstanceTypeMarker"));
    } while (fixture_true(&f, "IsTruncated"));
    assert_int_equal(seen, 4);

    assert_int_equal(fixture_ask(&f, "ListTrafficPolicyInstancesByHostedZone",
                                 "{'HostedZoneId':'%s','MaxItems':'2'}", first),
                     0);
    assert_string_equal(fixture_text(&f, "TrafficPolicyInstances.0.Name"), "a.example.com.");
    assert_string_equal(fixture_text(&f, "TrafficPolicyInstanceNameMarker"), "c.example.com.");
    assert_int_equal(fixture_ask(&f, "ListTrafficPolicyInstancesByHostedZone",
                                 "{'HostedZoneId':'%s','TrafficPolicyInstanceNameMarker':"
                                 "'c.example.com','TrafficPolicyInstanceTypeMarker':'A'}",
                                 first),
                     0);
    assert_int_equal(fixture_size(&f, "TrafficPolicyInstances"), 1);
    assert_int_equal(fixture_ask(&f, "ListTrafficPolicyInstancesByPolicy",
                                 "{'TrafficPolicyId':'%s','TrafficPolicyVersion':1}", one),
                     0);
    assert_int_equal(fixture_size(&f, "TrafficPolicyInstances"), 3);
    (void)fixture_ask(&f, "ListTrafficPolicyInstancesByPolicy",
                      "{'TrafficPolicyId':'%s','TrafficPolicyVersion':9}", one);
    fixture_refused(&f, "NoSuchTrafficPolicy", "version 9");
    (void)fixture_ask(&f, "ListTrafficPolicyInstances",
                      "{'TrafficPolicyInstanceNameMarker':'c.example.com'}");
    fixture_refused(&f, "InvalidInput", "hosted zone");
    free(first);
    free(one);
    free(two);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_instance_of_an_endpoint_is_one_record_set),
        TEST(rules_become_hidden_groups_of_record_sets),
        TEST(an_instance_is_applied_when_every_node_serves_it),
        TEST(an_update_takes_a_new_generation_of_names),
        TEST(a_deleted_instance_leaves_nothing),
        TEST(its_record_set_changes_only_with_the_instance),
        TEST(names_of_an_instances_rules_are_its_own),
        TEST(what_an_instance_cannot_be_is_refused),
        TEST(a_zone_whose_name_is_long_has_no_room_for_rules),
        TEST(instances_are_listed_by_place_zone_and_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
