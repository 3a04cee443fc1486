/* Tests of traffic policies and of what their documents may say, through the handlers. */
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
static unsigned serial;

/* ' becomes an escaped ", as the document is a string in the request. */
static const char *quoted(const char *document)
{
    static char out[65536];
    size_t at = 0;
    for (const char *c = document; *c != '\0'; c++) {
        assert_true(at + 3 < sizeof out);
        if (*c == '\'') {
            out[at++] = '\\';
            out[at++] = '"';
        } else {
            out[at++] = *c;
        }
    }
    out[at] = '\0';
    return out;
}

static int create(const char *document)
{
    return fixture_ask(&f, "CreateTrafficPolicy", "{'Name':'p%u','Document':\"%s\"}", serial++,
                       quoted(document));
}

#define START(type, start) "{'AWSPolicyFormatVersion':'2015-10-01','RecordType':'" type "'," start
#define ENDPOINTS                                                                                  \
    "'Endpoints':{'a':{'Type':'value','Value':'192.0.2.1'},"                                       \
    "'b':{'Type':'value','Value':'192.0.2.2'},"                                                    \
    "'lb':{'Type':'elastic-load-balancer','Value':'lb.example.net'}},"
#define RULE(rule) START("A", "'StartRule':'r',") ENDPOINTS "'Rules':{'r':{" rule "}}}"

static void accept(const char *document)
{
    if (create(document) != 0) {
        fail_msg("%s: %s", document, f.err.message);
    }
}

static void refuse(const char *document, const char *words)
{
    (void)create(document);
    fixture_refused(&f, "InvalidTrafficPolicyDocument", words);
}

static void every_rule_that_is_offered_is_taken(void **state)
{
    (void)state;
    accept(START("A", "'StartEndpoint':'a',") "'Endpoints':{'a':{'Type':'value','Value':"
                                              "'192.0.2.1'}}}");
    accept(RULE("'RuleType':'failover','Primary':{'EndpointReference':'a','HealthCheck':'c'},"
                "'Secondary':{'EndpointReference':'lb','EvaluateTargetHealth':'false'}"));
    accept(RULE("'RuleType':'weighted','Items':[{'EndpointReference':'a','Weight':'3'},"
                "{'EndpointReference':'b','Weight':0}]"));
    accept(RULE("'RuleType':'multivalue','Items':[{'EndpointReference':'a'},"
                "{'EndpointReference':'b','HealthCheck':'c'}]"));
    accept(RULE("'RuleType':'latency','Regions':[{'EndpointReference':'a','Region':'us-east-1'},"
                "{'EndpointReference':'lb','Region':'eu-west-1'}]"));
    accept(RULE("'RuleType':'geo','Locations':[{'EndpointReference':'a','Country':'*'},"
                "{'EndpointReference':'b','Country':'FR','Continent':'EU','IsDefault':false},"
                "{'EndpointReference':'lb','Country':'US','Subdivision':'NY'},"
                "{'EndpointReference':'lb','Continent':'EU'}]"));
    accept(RULE("'RuleType':'geoproximity','GeoproximityLocations':[{'EndpointReference':'a',"
                "'Region':'aws:route53:us-west-1','Bias':'10'},{'EndpointReference':'b',"
                "'Latitude':'51.50','Longitude':'-0.16'}]"));
    accept(START("AAAA", "'StartEndpoint':'a',") "'Endpoints':{'a':{'Type':'cloudfront','Value':"
                                                 "'d1.cloudfront.net'}}}");
    accept(START("MX", "'StartEndpoint':'a',") "'Endpoints':{'a':{'Type':'value','Value':"
                                               "'10 mail.example.com.'}}}");
    accept(START("A", "'StartEndpoint':'a',") "'Endpoints':{'a':{'Type':'s3-website','Region':"
                                              "'us-east-1','Value':'www.example.com'}}}");
}

static void a_document_that_is_no_document_is_refused(void **state)
{
    (void)state;
    refuse("nothing", "line 1");
    refuse("[]", "not a JSON object");
    refuse("{}", "AWSPolicyFormatVersion must be");
    refuse("{'AWSPolicyFormatVersion':'2015-10-01','RecordType':'SOA'}", "RecordType 'SOA'");
    refuse(START("A", "'Start':'a'}"), "cannot have a member 'Start'");
    refuse(START("A", "'Endpoints':{}}"), "either a StartEndpoint or a StartRule");
    refuse(START("A", "'StartEndpoint':'a','StartRule':'r'}"), "either a StartEndpoint");
    refuse(START("A", "'StartEndpoint':'a','Endpoints':[]}"), "Endpoints is not an object");
    refuse(START("A", "'StartRule':'a'}"), "'a' is not defined");
    refuse(START("A", "'StartRule':'a','Rules':{'a':1}}"), "rule 'a' is not an object");
    refuse(START("A", "'StartRule':'a','StartEndpoint':7}"), "StartEndpoint must be a string");
    refuse(START("A", "'StartRule':'a','Rules':{'':{}}}"), "an id in Rules");
    refuse("{'AWSPolicyFormatVersion':'2015-10-01','AWSPolicyFormatVersion':'2015-10-01'}",
           "duplicate");
}

static void endpoints_fit_the_record_type(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *endpoint;
        const char *words;
    } bad[] = {
        {"A", "{'Type':'value'}", "has no Value"},
        {"A", "{'Type':'valued','Value':'x'}", "the Type 'valued', which is none"},
        {"A", "{'Type':'value','Value':'x','Ttl':3}", "cannot have a member 'Ttl'"},
        {"A", "{'Type':'value','Value':'2001:db8::1'}", "Invalid Resource Record"},
        {"A", "{'Type':'value','Value':'192.0.2.1','Region':'eu-west-1'}", "cannot have a Region"},
        {"MX", "{'Type':'cloudfront','Value':'x.net'}", "needs the RecordType A or AAAA"},
        {"AAAA", "{'Type':'s3-website','Value':'x','Region':'x'}", "needs the RecordType A"},
        {"A", "{'Type':'s3-website','Value':'x'}", "has no Region"},
        {"A", "{'Type':'cloudfront','Value':'x','Region':'x'}", "cannot have a Region"},
        {"A", "{'Type':'cloudfront','Value':'a..b'}", "Invalid domain name"},
        {"A", "7", "is not an object"},
        {"A", "{'Type':7,'Value':'192.0.2.1'}", "endpoint 'a': Type must be a string"},
        {"A", "{'Type':'value','Value':7}", "endpoint 'a': Value must be a string"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char document[512];
        (void)snprintf(document, sizeof document,
                       "{'AWSPolicyFormatVersion':'2023-05-09','RecordType':'%s',"
                       "'StartEndpoint':'a','Endpoints':{'a':%s}}",
                       bad[i].type, bad[i].endpoint);
        refuse(document, bad[i].words);
    }
}

static void what_a_rule_cannot_be_is_refused_with_its_place(void **state)
{
    (void)state;
    refuse(RULE("'RuleType':'random'"), "the RuleType 'random', which is none");
    refuse(RULE("'RuleType':'failover','Primary':{'EndpointReference':'lb'}"), "no Secondary");
    refuse(RULE("'RuleType':'failover','Primary':{'EndpointReference':'a'},"
                "'Secondary':{'EndpointReference':'b'}"),
           "rule 'r', Primary: an endpoint of type value must have a HealthCheck");
    refuse(RULE("'RuleType':'failover','Primary':{'EndpointReference':'lb'},"
                "'Secondary':{'EndpointReference':'b'},'Items':[]"),
           "cannot have a member 'Items'");
    refuse(RULE("'RuleType':'weighted','Items':[]"), "must have 1 to 100 Items");
    refuse(RULE("'RuleType':'weighted','Items':[{'EndpointReference':'a'}]"),
           "rule 'r', Items 1: Weight must be a whole number from 0 to 255");
    refuse(RULE("'RuleType':'weighted','Items':[{'EndpointReference':'a','Weight':256}]"),
           "from 0 to 255");
    refuse(RULE("'RuleType':'weighted','Items':[{'EndpointReference':'z','Weight':1}]"),
           "refers to 'z', which is not defined");
    refuse(RULE("'RuleType':'weighted','Items':[{'Weight':1}]"),
           "either an EndpointReference or a RuleReference");
    refuse(RULE("'RuleType':'weighted','Items':[{'EndpointReference':'a','Weight':1,"
                "'HealthChek':'c'}]"),
           "cannot have a member 'HealthChek'");
    refuse(RULE("'RuleType':'weighted','Items':[{'EndpointReference':'lb','Weight':1,"
                "'EvaluateTargetHealth':'maybe'}]"),
           "EvaluateTargetHealth must be true or false");
    refuse(RULE("'RuleType':'weighted','Items':[{'EndpointReference':'a','Weight':1,"
                "'HealthCheck':null}]"),
           "rule 'r', Items 1: HealthCheck must be a string");
    refuse(RULE("'RuleType':'weighted','Items':[{'EndpointReference':'a','Weight':1,"
                "'RuleReference':[]}]"),
           "RuleReference must be a string");
    refuse(RULE("'RuleType':'multivalue','Items':[{'EndpointReference':'lb'}]"),
           "rule 'r', 1: RRSet with DNS name");
    refuse(RULE("'RuleType':'multivalue','Items':[{'RuleReference':'r'}]"),
           "cannot have a member 'RuleReference'");
    refuse(RULE("'RuleType':'geo','Locations':[{'EndpointReference':'a'}]"),
           "neither IsDefault nor a Continent or Country");
    refuse(RULE("'RuleType':'geo','Locations':[{'EndpointReference':'a','IsDefault':true,"
                "'Country':'DE'}]"),
           "the default cannot have a location");
    refuse(RULE("'RuleType':'geo','Locations':[{'EndpointReference':'a','Country':'DE'},"
                "{'EndpointReference':'b','Country':'DE'}]"),
           "names the same place twice");
    refuse(RULE("'RuleType':'latency','Regions':[{'EndpointReference':'a'}]"), "has no Region");
    refuse(RULE("'RuleType':'latency','Regions':[{'EndpointReference':'a','Region':'x'}]"),
           "'x' is none of AWS's regions");
    refuse(RULE("'RuleType':'geoproximity','GeoproximityLocations':[{'EndpointReference':'a',"
                "'Region':'us-west-1','Bias':1},{'EndpointReference':'b','Region':'us-west-1'}]"),
           "rule 'r' names the same place twice, in 1 and 2");
    refuse(RULE("'RuleType':'geoproximity','GeoproximityLocations':[{'EndpointReference':'a'}]"),
           "either a Region, or a Latitude and a Longitude");
    refuse(RULE("'RuleType':'geoproximity','GeoproximityLocations':[{'EndpointReference':'a',"
                "'Latitude':1.234,'Longitude':3}]"),
           "at most two decimals");
    refuse(RULE("'RuleType':'geoproximity','GeoproximityLocations':[{'EndpointReference':'a',"
                "'Region':'eu-west-1','Bias':'100'}]"),
           "Bias must be a whole number from -99 to 99");
}

#define LOCATED(where)                                                                             \
    "{'AWSPolicyFormatVersion':'2023-05-09','RecordType':'A','StartRule':'r'," ENDPOINTS           \
    "'Rules':{'r':{'RuleType':'geoproximity','GeoproximityLocations':["                            \
    "{'EndpointReference':'a'" where "}]}}}"

static void the_newer_version_has_a_location_in_place_of_a_region(void **state)
{
    (void)state;
    accept(LOCATED(",'Location':{'Type':'Region','LocationName':'aws:route53:us-west-1'}"));
    accept(LOCATED(",'Location':{'Type':'LocalZone','LocationName':'us-east-1-atl-1a'}"));
    accept(LOCATED(",'Location':{'Type':'LocalZone','LocationName':'us-east-1-atl-1'}"));
    accept(LOCATED(",'Location':{'Type':'Coordinate','Latitude':-1,'Longitude':'1.5'},'Bias':-99"));
    refuse(LOCATED(",'Region':'us-west-1'"), "has a Location instead of Region");
    refuse(LOCATED(""), "has no Location");
    refuse(LOCATED(",'Location':'us-west-1'"), "has no Location");
    refuse(LOCATED(",'Location':{'Type':'Place','LocationName':'x'}"), "must have the Type Region");
    refuse(LOCATED(",'Location':{'Type':'LocalZone','LocationName':'us-east-1-xyz-1a'}"),
           "rule 'r', 1: 'us-east-1-xyz-1' is none of AWS's regions or Local Zones");
    refuse(LOCATED(",'Location':{'Type':'Coordinate','Latitude':91,'Longitude':0}"),
           "'91.00' is not a Latitude");
    refuse(RULE("'RuleType':'geoproximity','GeoproximityLocations':[{'EndpointReference':'a',"
                "'Location':{'Type':'Region','LocationName':'us-west-1'}}]"),
           "either a Region, or a Latitude and a Longitude");
}

static void circles_and_deep_trees_are_refused(void **state)
{
    (void)state;
    refuse(RULE("'RuleType':'weighted','Items':[{'RuleReference':'r','Weight':1}]"),
           "rule 'r' leads back to itself");
    char document[4096];
    for (unsigned depth = 16; depth <= 17; depth++) {
        int at = snprintf(document, sizeof document, "%s",
                          START("A", "'StartRule':'r0',") ENDPOINTS "'Rules':{");
        for (unsigned i = 0; i + 1 < depth; i++) {
            at += snprintf(document + at, sizeof document - (size_t)at,
                           "'r%u':{'RuleType':'weighted','Items':[{'RuleReference':'r%u',"
                           "'Weight':1}]},",
                           i, i + 1);
        }
        (void)snprintf(document + at, sizeof document - (size_t)at,
                       "'r%u':{'RuleType':'multivalue','Items':[{'EndpointReference':'a'}]}}}",
                       depth - 1);
        if (depth == 16) {
            accept(document);
        } else {
            refuse(document, "more than 16 rules below one another");
        }
    }
}

static void a_policy_has_versions_that_stay(void **state)
{
    (void)state;
    const char *first = START("A", "'StartEndpoint':'a',") ENDPOINTS "'Rules':{}}";
    const char *second = START("A", "'StartEndpoint':'b',") ENDPOINTS "'Rules':{}}";
    assert_int_equal(fixture_ask(&f, "CreateTrafficPolicy",
                                 "{'Name':'web','Comment':'one','Document':\"%s\"}", quoted(first)),
                     0);
    char *id = strdup(fixture_text(&f, "TrafficPolicy.Id"));
    assert_int_equal(strlen(id), 36);
    assert_int_equal(fixture_number(&f, "TrafficPolicy.Version"), 1);
    assert_string_equal(fixture_text(&f, "TrafficPolicy.Type"), "A");
    assert_true(text_ends(fixture_text(&f, "Location"), "/1"));
    (void)fixture_ask(&f, "CreateTrafficPolicy", "{'Name':'web','Document':\"%s\"}", quoted(first));
    fixture_refused(&f, "TrafficPolicyAlreadyExists", "'web'");
    assert_int_equal(fixture_ask(&f, "CreateTrafficPolicyVersion", "{'Id':'%s','Document':\"%s\"}",
                                 id, quoted(second)),
                     0);
    assert_int_equal(fixture_number(&f, "TrafficPolicy.Version"), 2);
    assert_string_equal(fixture_text(&f, "TrafficPolicy.Name"), "web");
    (void)fixture_ask(&f, "CreateTrafficPolicyVersion", "{'Id':'%s','Document':'x'}", id);
    fixture_refused(&f, "InvalidTrafficPolicyDocument", "line 1");
    (void)fixture_ask(&f, "CreateTrafficPolicyVersion", "{'Id':'none','Document':'x'}");
    fixture_refused(&f, "NoSuchTrafficPolicy", "none");
    assert_int_equal(fixture_ask(&f, "UpdateTrafficPolicyComment",
                                 "{'Id':'%s','Version':2,'Comment':'two'}", id),
                     0);
    assert_int_equal(fixture_ask(&f, "GetTrafficPolicy", "{'Id':'%s','Version':2}", id), 0);
    assert_string_equal(fixture_text(&f, "TrafficPolicy.Comment"), "two");
    assert_non_null(strstr(fixture_text(&f, "TrafficPolicy.Document"), "\"StartEndpoint\":\"b\""));
    assert_int_equal(fixture_ask(&f, "ListTrafficPolicies", "{}"), 0);
    assert_int_equal(fixture_size(&f, "TrafficPolicySummaries"), 1);
    assert_int_equal(fixture_number(&f, "TrafficPolicySummaries.0.LatestVersion"), 2);
    assert_int_equal(fixture_number(&f, "TrafficPolicySummaries.0.TrafficPolicyCount"), 2);

    assert_int_equal(fixture_ask(&f, "DeleteTrafficPolicy", "{'Id':'%s','Version':2}", id), 0);
    assert_int_equal(fixture_ask(&f, "ListTrafficPolicies", "{}"), 0);
    assert_int_equal(fixture_number(&f, "TrafficPolicySummaries.0.LatestVersion"), 1);
    (void)fixture_ask(&f, "GetTrafficPolicy", "{'Id':'%s','Version':2}", id);
    fixture_refused(&f, "NoSuchTrafficPolicy", "version 2");
    (void)fixture_ask(&f, "UpdateTrafficPolicyComment", "{'Id':'%s','Version':2,'Comment':''}", id);
    fixture_refused(&f, "NoSuchTrafficPolicy", "version 2");
    (void)fixture_ask(&f, "DeleteTrafficPolicy", "{'Id':'%s','Version':2}", id);
    fixture_refused(&f, "NoSuchTrafficPolicy", "version 2");
    assert_int_equal(fixture_ask(&f, "CreateTrafficPolicyVersion", "{'Id':'%s','Document':\"%s\"}",
                                 id, quoted(second)),
                     0);
    assert_int_equal(fixture_number(&f, "TrafficPolicy.Version"), 3);
    assert_int_equal(fixture_ask(&f, "DeleteTrafficPolicy", "{'Id':'%s','Version':1}", id), 0);
    assert_int_equal(fixture_ask(&f, "DeleteTrafficPolicy", "{'Id':'%s','Version':3}", id), 0);
    (void)fixture_ask(&f, "ListTrafficPolicyVersions", "{'Id':'%s'}", id);
    fixture_refused(&f, "NoSuchTrafficPolicy", id);
    assert_int_equal(
        fixture_ask(&f, "CreateTrafficPolicy", "{'Name':'web','Document':\"%s\"}", quoted(first)),
        0); /* the name is free again */
    free(id);
}

static void policies_and_versions_are_listed_page_by_page(void **state)
{
    (void)state;
    const char *document = START("A", "'StartEndpoint':'a',") ENDPOINTS "'Rules':{}}";
    char *ids[5];
    for (size_t i = 0; i < 5; i++) {
        f.now.ns += TIME_S; /* they are listed in the order of their making */
        accept(document);
        ids[i] = strdup(fixture_text(&f, "TrafficPolicy.Id"));
    }
    assert_int_equal(fixture_ask(&f, "ListTrafficPolicies", "{'MaxItems':'3'}"), 0);
    assert_int_equal(fixture_size(&f, "TrafficPolicySummaries"), 3);
    assert_true(fixture_true(&f, "IsTruncated"));
    assert_string_equal(fixture_text(&f, "TrafficPolicySummaries.0.Id"), ids[0]);
    assert_string_equal(fixture_text(&f, "TrafficPolicyIdMarker"), ids[3]);
    assert_int_equal(
        fixture_ask(&f, "ListTrafficPolicies", "{'TrafficPolicyIdMarker':'%s'}", ids[3]), 0);
    assert_int_equal(fixture_size(&f, "TrafficPolicySummaries"), 2);
    assert_false(fixture_true(&f, "IsTruncated"));
    for (int version = 2; version <= 12; version++) {
        assert_int_equal(fixture_ask(&f, "CreateTrafficPolicyVersion",
                                     "{'Id':'%s','Document':\"%s\"}", ids[0], quoted(document)),
                         0);
    }
    assert_int_equal(
        fixture_ask(&f, "ListTrafficPolicyVersions", "{'Id':'%s','MaxItems':'9'}", ids[0]), 0);
    assert_int_equal(fixture_size(&f, "TrafficPolicies"), 9);
    assert_string_equal(fixture_text(&f, "TrafficPolicyVersionMarker"), "10");
    assert_int_equal(fixture_ask(&f, "ListTrafficPolicyVersions",
                                 "{'Id':'%s','TrafficPolicyVersionMarker':'10'}", ids[0]),
                     0);
    assert_int_equal(fixture_size(&f, "TrafficPolicies"), 3);
    assert_int_equal(fixture_number(&f, "TrafficPolicies.2.Version"), 12);
    (void)fixture_ask(&f, "ListTrafficPolicyVersions",
                      "{'Id':'%s','TrafficPolicyVersionMarker':'x'}", ids[0]);
    fixture_refused(&f, "InvalidInput", "TrafficPolicyVersionMarker");
    for (size_t i = 0; i < 5; i++) {
        free(ids[i]);
    }
}

static void there_are_limits_to_policies(void **state)
{
    (void)state;
    const char *document = START("A", "'StartEndpoint':'a',") ENDPOINTS "'Rules':{}}";
    accept(document);
    char *id = strdup(fixture_text(&f, "TrafficPolicy.Id"));
    char key[128];
    (void)snprintf(key, sizeof key, "r53/traffic/head/%s", id);
    fixture_put(&f, key,
                "{\"v\":1,\"Id\":\"x\",\"Name\":\"n\",\"Type\":\"A\",\"LatestVersion\":1000,"
                "\"TrafficPolicyCount\":1,\"NextVersion\":1001}");
    (void)fixture_ask(&f, "CreateTrafficPolicyVersion", "{'Id':'%s','Document':\"%s\"}", id,
                      quoted(document));
    fixture_refused(&f, "TooManyTrafficPolicyVersionsForCurrentPolicy", "1000");
    for (unsigned i = 1; i < 1000; i++) {
        (void)snprintf(key, sizeof key, "r53/traffic/head/%u", i);
        fixture_put(&f, key, "{\"v\":1}");
    }
    (void)create(document);
    fixture_refused(&f, "TooManyTrafficPolicies", "1000");
    free(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(every_rule_that_is_offered_is_taken, &f),
        FIXTURE_TEST(a_document_that_is_no_document_is_refused, &f),
        FIXTURE_TEST(endpoints_fit_the_record_type, &f),
        FIXTURE_TEST(what_a_rule_cannot_be_is_refused_with_its_place, &f),
        FIXTURE_TEST(the_newer_version_has_a_location_in_place_of_a_region, &f),
        FIXTURE_TEST(circles_and_deep_trees_are_refused, &f),
        FIXTURE_TEST(a_policy_has_versions_that_stay, &f),
        FIXTURE_TEST(policies_and_versions_are_listed_page_by_page, &f),
        FIXTURE_TEST(there_are_limits_to_policies, &f),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
