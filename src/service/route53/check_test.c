/* Tests of the health check operations, through the handlers. */
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

static int create(const char *reference, const char *config)
{
    return fixture_ask(&f, "CreateHealthCheck", "{'CallerReference':'%s','HealthCheckConfig':%s}",
                       reference, config);
}

static char *calculated(const char *reference, const char *children)
{
    assert_int_equal(fixture_ask(&f, "CreateHealthCheck",
                                 "{'CallerReference':'%s','HealthCheckConfig':{'Type':'CALCULATED',"
                                 "'HealthThreshold':1,'ChildHealthChecks':[%s]}}",
                                 reference, children),
                     0);
    return strdup(fixture_text(&f, "HealthCheck.Id"));
}

static void a_new_check_shows_its_defaults(void **state)
{
    (void)state;
    assert_int_equal(
        create("r", "{'Type':'HTTPS','IPAddress':'127.0.0.1','ResourcePath':'/health'}"), 0);
    assert_int_equal(strlen(fixture_text(&f, "HealthCheck.Id")), 36);
    assert_string_equal(fixture_text(&f, "HealthCheck.CallerReference"), "r");
    assert_int_equal(fixture_number(&f, "HealthCheck.HealthCheckVersion"), 1);
    assert_int_equal(fixture_number(&f, "HealthCheck.HealthCheckConfig.Port"), 443);
    assert_int_equal(fixture_number(&f, "HealthCheck.HealthCheckConfig.RequestInterval"), 30);
    assert_int_equal(fixture_number(&f, "HealthCheck.HealthCheckConfig.FailureThreshold"), 3);
    assert_true(fixture_true(&f, "HealthCheck.HealthCheckConfig.EnableSNI"));
    assert_true(json_is_false(fixture_at(&f, "HealthCheck.HealthCheckConfig.Inverted")));
    assert_true(json_is_false(fixture_at(&f, "HealthCheck.HealthCheckConfig.Disabled")));
    assert_true(json_is_false(fixture_at(&f, "HealthCheck.HealthCheckConfig.MeasureLatency")));
    assert_string_equal(fixture_text(&f, "HealthCheck.HealthCheckConfig.ResourcePath"), "/health");
    assert_true(text_starts(fixture_text(&f, "Location"), "/2013-04-01/healthcheck/"));
    char *id = strdup(fixture_text(&f, "HealthCheck.Id"));
    assert_int_equal(fixture_ask(&f, "GetHealthCheck", "{'HealthCheckId':'%s'}", id), 0);
    assert_string_equal(fixture_text(&f, "HealthCheck.Id"), id);
    assert_int_equal(fixture_number(&f, "HealthCheck.HealthCheckConfig.Port"), 443);
    free(id);
}

static void a_caller_reference_makes_one_check(void **state)
{
    (void)state;
    static const char config[] = "{'Type':'HTTP','IPAddress':'127.0.0.1'}";
    assert_int_equal(create("r", config), 0);
    char *id = strdup(fixture_text(&f, "HealthCheck.Id"));
    assert_int_equal(create("r", config), 0);
    assert_string_equal(fixture_text(&f, "HealthCheck.Id"), id);
    assert_int_equal(create("r", "{'Type':'HTTP','IPAddress':'127.0.0.1','Port':80}"), 0);
    assert_string_equal(fixture_text(&f, "HealthCheck.Id"), id);
    (void)create("r", "{'Type':'HTTP','IPAddress':'127.0.0.2'}");
    fixture_refused(&f, "HealthCheckAlreadyExists", "caller reference r");
    assert_int_equal(fixture_ask(&f, "GetHealthCheckCount", "{}"), 0);
    assert_int_equal(fixture_number(&f, "HealthCheckCount"), 1);
    assert_int_equal(fixture_ask(&f, "DeleteHealthCheck", "{'HealthCheckId':'%s'}", id), 0);
    (void)create("r", config);
    fixture_refused(&f, "HealthCheckAlreadyExists", "has been deleted");
    assert_int_equal(create("other", config), 0);
    free(id);
}

static void a_check_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    long long revision = fixture_revision(&f);
    (void)create("r", "{'Type':'HTTP'}");
    fixture_refused(&f, "InvalidInput", "Invalid parameter : ");
    (void)create("r", "{'Type':'TCP','IPAddress':'127.0.0.1','Port':1,"
                      "'FullyQualifiedDomainName':'a.com'}");
    fixture_refused(&f, "InvalidInput",
                    "TCP health checks that have IP address must not have a fully qualified "
                    "domain name specified.");
    (void)create("r", "{'Type':'CLOUDWATCH_METRIC','AlarmIdentifier':{'Region':'us-east-1','Name':"
                      "'a'},'InsufficientDataHealthStatus':'Healthy'}");
    fixture_refused(&f, "InvalidInput", "CLOUDWATCH_METRIC are not offered yet");
    (void)create("r", "{'Type':'RECOVERY_CONTROL','RoutingControlArn':'arn:aws:x'}");
    fixture_refused(&f, "InvalidInput", "The routing control arn:aws:x does not exist");
    assert_int_equal(fixture_revision(&f), revision);
}

static void calculated_checks_have_existing_children_that_are_not_calculated(void **state)
{
    (void)state;
    char children[128];
    char *child = fixture_check(&f, "child");
    (void)snprintf(children, sizeof children, "'%s'", child);
    char *parent = calculated("parent", children);
    (void)create("r", "{'Type':'CALCULATED','HealthThreshold':1,'ChildHealthChecks':['none']}");
    fixture_refused(&f, "InvalidInput", "The child health check none does not exist.");
    (void)fixture_ask(&f, "CreateHealthCheck",
                      "{'CallerReference':'r','HealthCheckConfig':{'Type':'CALCULATED',"
                      "'HealthThreshold':1,'ChildHealthChecks':['%s']}}",
                      parent);
    fixture_refused(&f, "InvalidInput", "is a calculated health check");
    (void)fixture_ask(&f, "UpdateHealthCheck", "{'HealthCheckId':'%s','ChildHealthChecks':['%s']}",
                      parent, parent);
    fixture_refused(&f, "InvalidInput", "is a calculated health check");
    free(child);
    free(parent);
}

static void a_child_is_deleted_after_its_parent(void **state)
{
    (void)state;
    char children[128];
    char *child = fixture_check(&f, "child");
    char *other = fixture_check(&f, "other");
    (void)snprintf(children, sizeof children, "'%s'", child);
    char *parent = calculated("parent", children);
    (void)fixture_ask(&f, "DeleteHealthCheck", "{'HealthCheckId':'%s'}", child);
    fixture_refused(&f, "HealthCheckInUse", parent);
    assert_int_equal(fixture_ask(&f, "DeleteHealthCheck", "{'HealthCheckId':'%s'}", other), 0);
    assert_int_equal(fixture_ask(&f, "DeleteHealthCheck", "{'HealthCheckId':'%s'}", parent), 0);
    assert_int_equal(fixture_ask(&f, "DeleteHealthCheck", "{'HealthCheckId':'%s'}", child), 0);
    (void)fixture_ask(&f, "DeleteHealthCheck", "{'HealthCheckId':'%s'}", child);
    fixture_refused(&f, "NoSuchHealthCheck", child);
    free(child);
    free(other);
    free(parent);
}

static void a_check_that_records_name_can_be_deleted(void **state)
{
    (void)state;
    char record[256];
    char *zone = fixture_zone(&f, "a.com");
    char *check = fixture_check(&f, "c");
    (void)snprintf(record, sizeof record,
                   "{'Name':'a.com','Type':'A','SetIdentifier':'1','Weight':1,'HealthCheckId':'%s',"
                   "'TTL':1,'ResourceRecords':[{'Value':'192.0.2.1'}]}",
                   check);
    assert_int_equal(fixture_change(&f, zone, "CREATE", record), 0);
    assert_int_equal(fixture_ask(&f, "DeleteHealthCheck", "{'HealthCheckId':'%s'}", check), 0);
    assert_int_equal(fixture_change(&f, zone, "DELETE", record), 0);
    free(zone);
    free(check);
}

static void an_update_changes_what_it_names(void **state)
{
    (void)state;
    char *id = fixture_check(&f, "c");
    assert_int_equal(
        fixture_ask(&f, "UpdateHealthCheck",
                    "{'HealthCheckId':'%s','HealthCheckVersion':1,'Port':81,'Inverted':"
                    "true,'ResourcePath':'/x','FullyQualifiedDomainName':'a.com'}",
                    id),
        0);
    assert_int_equal(fixture_number(&f, "HealthCheck.HealthCheckVersion"), 2);
    assert_int_equal(fixture_number(&f, "HealthCheck.HealthCheckConfig.Port"), 81);
    assert_true(fixture_true(&f, "HealthCheck.HealthCheckConfig.Inverted"));
    assert_string_equal(fixture_text(&f, "HealthCheck.HealthCheckConfig.IPAddress"), "127.0.0.1");
    assert_int_equal(fixture_ask(&f, "UpdateHealthCheck",
                                 "{'HealthCheckId':'%s','ResetElements':['ResourcePath',"
                                 "'FullyQualifiedDomainName']}",
                                 id),
                     0);
    assert_int_equal(fixture_number(&f, "HealthCheck.HealthCheckVersion"), 3);
    assert_null(fixture_at(&f, "HealthCheck.HealthCheckConfig.ResourcePath"));
    assert_null(fixture_at(&f, "HealthCheck.HealthCheckConfig.FullyQualifiedDomainName"));
    (void)fixture_ask(&f, "UpdateHealthCheck",
                      "{'HealthCheckId':'%s','HealthCheckVersion':2,'Port':82}", id);
    fixture_refused(&f, "HealthCheckVersionMismatch", "(2) does not match");
    (void)fixture_ask(&f, "UpdateHealthCheck", "{'HealthCheckId':'%s','FailureThreshold':11}", id);
    fixture_refused(&f, "InvalidInput", "FailureThreshold");
    (void)fixture_ask(&f, "UpdateHealthCheck", "{'HealthCheckId':'none','Port':82}");
    fixture_refused(&f, "NoSuchHealthCheck", "none");
    assert_int_equal(fixture_ask(&f, "GetHealthCheck", "{'HealthCheckId':'%s'}", id), 0);
    assert_int_equal(fixture_number(&f, "HealthCheck.HealthCheckVersion"), 3);
    free(id);
}

static void an_address_is_neither_added_nor_removed(void **state)
{
    (void)state;
    assert_int_equal(create("r", "{'Type':'HTTP','FullyQualifiedDomainName':'a.com'}"), 0);
    char *id = strdup(fixture_text(&f, "HealthCheck.Id"));
    (void)fixture_ask(&f, "UpdateHealthCheck", "{'HealthCheckId':'%s','IPAddress':'127.0.0.1'}",
                      id);
    fixture_refused(&f, "InvalidInput", "IPAddress");
    free(id);
}

static void checks_are_listed_page_by_page(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        char reference[16];
        (void)snprintf(reference, sizeof reference, "c%d", i);
        free(fixture_check(&f, reference));
    }
    char marker[64] = "";
    size_t seen = 0;
    for (int page = 0; page < 3; page++) {
        assert_int_equal(
            fixture_ask(&f, "ListHealthChecks", "{'Marker':'%s','MaxItems':'2'}", marker), 0);
        seen += fixture_size(&f, "HealthChecks");
        assert_int_equal(fixture_true(&f, "IsTruncated"), page < 2);
        (void)snprintf(marker, sizeof marker, "%s", fixture_text(&f, "NextMarker"));
    }
    assert_int_equal(seen, 5);
    assert_int_equal(fixture_ask(&f, "GetHealthCheckCount", "{}"), 0);
    assert_int_equal(fixture_number(&f, "HealthCheckCount"), 5);
}

static void a_status_shows_each_checker(void **state)
{
    (void)state;
    char *id = fixture_check(&f, "c");
    assert_int_equal(fixture_ask(&f, "GetHealthCheckStatus", "{'HealthCheckId':'%s'}", id), 0);
    assert_int_equal(fixture_size(&f, "HealthCheckObservations"),
                     0); /* not seen by the engine yet */
    (void)json_object_set_new(
        f.views, "Status",
        json_pack("{s:b, s:[{s:s, s:s, s:b, s:s, s:s, s:s}, {s:s, s:s, s:b, s:s, s:s, s:s, s:s}]}",
                  "Healthy", 1, "Observations", "Region", "us-east-1", "Address", "127.0.0.1",
                  "Healthy", 1, "Status", "Success: HTTP Status Code 200, OK", "LastFailure", "",
                  "Checked", "2027-01-15T08:00:00.000Z", "Region", "eu-west-1", "Address",
                  "127.0.0.2", "Healthy", 0, "Status", "Failure: refused", "LastFailure",
                  "Failure: refused", "LastFailureAt", "2027-01-15T07:00:00.000Z", "Checked",
                  "2027-01-15T08:00:00.000Z"));
    assert_int_equal(fixture_ask(&f, "GetHealthCheckStatus", "{'HealthCheckId':'%s'}", id), 0);
    assert_int_equal(fixture_size(&f, "HealthCheckObservations"), 2);
    assert_string_equal(fixture_text(&f, "HealthCheckObservations.0.Region"), "us-east-1");
    assert_string_equal(fixture_text(&f, "HealthCheckObservations.0.IPAddress"), "127.0.0.1");
    assert_string_equal(fixture_text(&f, "HealthCheckObservations.0.StatusReport.Status"),
                        "Success: HTTP Status Code 200, OK");
    assert_string_equal(fixture_text(&f, "HealthCheckObservations.0.StatusReport.CheckedTime"),
                        "2027-01-15T08:00:00.000Z");
    assert_int_equal(
        fixture_ask(&f, "GetHealthCheckLastFailureReason", "{'HealthCheckId':'%s'}", id), 0);
    assert_int_equal(fixture_size(&f, "HealthCheckObservations"), 1);
    assert_string_equal(fixture_text(&f, "HealthCheckObservations.0.Region"), "eu-west-1");
    assert_string_equal(fixture_text(&f, "HealthCheckObservations.0.StatusReport.CheckedTime"),
                        "2027-01-15T07:00:00.000Z");
    (void)fixture_ask(&f, "GetHealthCheckStatus", "{'HealthCheckId':'none'}");
    fixture_refused(&f, "NoSuchHealthCheck", "none");
    (void)fixture_ask(&f, "GetHealthCheckLastFailureReason", "{'HealthCheckId':'none'}");
    fixture_refused(&f, "NoSuchHealthCheck", "none");
    free(id);
}

static void a_calculated_check_shows_its_verdict(void **state)
{
    (void)state;
    char *id = calculated("p", "");
    (void)json_object_set_new(f.views, "Status",
                              json_pack("{s:b, s:[], s:s}", "Healthy", 0, "Observations", "Since",
                                        "2027-01-15T08:00:00.000Z"));
    assert_int_equal(fixture_ask(&f, "GetHealthCheckStatus", "{'HealthCheckId':'%s'}", id), 0);
    assert_int_equal(fixture_size(&f, "HealthCheckObservations"), 1);
    assert_true(text_starts(fixture_text(&f, "HealthCheckObservations.0.StatusReport.Status"),
                            "Failure: too few"));
    free(id);
}

static void references_of_deleted_checks_are_kept_up_to_a_number(void **state)
{
    (void)state;
    static const char config[] = "{'Type':'HTTP','IPAddress':'127.0.0.1'}";
    for (unsigned i = 0; i < 12000; i++) {
        char key[64];
        (void)snprintf(key, sizeof key, "r53/ref/healthcheck/of-a-deleted-check-%05u", i);
        fixture_put(&f, key, "{\"v\":1,\"Id\":\"x\"}");
    }
    assert_int_equal(create("r", config), 0);
    char *id = strdup(fixture_text(&f, "HealthCheck.Id"));
    assert_int_equal(fixture_ask(&f, "DeleteHealthCheck", "{'HealthCheckId':'%s'}", id), 0);
    assert_int_equal(create("r", config), 0);
    assert_string_not_equal(fixture_text(&f, "HealthCheck.Id"), id);
    free(id);
}

static void checkers_come_from_this_hosts_addresses(void **state)
{
    (void)state;
    assert_int_equal(fixture_ask(&f, "GetCheckerIpRanges", "{}"), 0);
    bool loopback = false;
    for (size_t i = 0; i < fixture_size(&f, "CheckerIpRanges"); i++) {
        const json_t *range = json_array_get(fixture_at(&f, "CheckerIpRanges"), i);
        loopback = loopback || text_equal(json_string_value(range), "127.0.0.1/32");
    }
    assert_true(loopback);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) FIXTURE_TEST(name, &f)
        TEST(a_new_check_shows_its_defaults),
        TEST(a_caller_reference_makes_one_check),
        TEST(a_check_that_makes_no_sense_is_refused),
        TEST(calculated_checks_have_existing_children_that_are_not_calculated),
        TEST(a_child_is_deleted_after_its_parent),
        TEST(a_check_that_records_name_can_be_deleted),
        TEST(an_update_changes_what_it_names),
        TEST(an_address_is_neither_added_nor_removed),
        TEST(checks_are_listed_page_by_page),
        TEST(a_status_shows_each_checker),
        TEST(a_calculated_check_shows_its_verdict),
        TEST(references_of_deleted_checks_are_kept_up_to_a_number),
        TEST(checkers_come_from_this_hosts_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
