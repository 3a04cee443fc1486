/* Tests of check.h: what Route 53 accepts as a health check, its defaults, and Leeward's tags. */
#include "model/check.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static int judge(const char *text, struct model_check *check, struct err *err)
{
    json_error_t error;
    json_t *json = json_loads(text, 0, &error);
    if (json == NULL) {
        fail_msg("%s: %s", text, error.text);
    }
    int rc = model_check_from_json(json, &arena, check, err);
    json_decref(json);
    return rc;
}

static void an_http_check_gets_route53s_defaults(void **state)
{
    (void)state;
    struct model_check check;
    struct err err = ERR_INIT;
    assert_int_equal(judge("{\"Type\":\"HTTP\",\"IPAddress\":\"127.0.0.1\"}", &check, &err), 0);
    assert_int_equal(check.type, MODEL_CHECK_HTTP);
    assert_int_equal(check.port, 80);
    assert_string_equal(check.resource_path, "/");
    assert_string_equal(check.host_name, "");
    assert_string_equal(check.search_string, "");
    assert_int_equal(check.request_interval_s, 30);
    assert_int_equal(check.failure_threshold, 3);
    assert_false(check.inverted || check.disabled || check.measure_latency || check.enable_sni);
    assert_int_equal(check.options.interval_ms, 0);
}

static void an_https_check_sends_the_server_name_unless_told_otherwise(void **state)
{
    (void)state;
    struct model_check check;
    struct err err = ERR_INIT;
    assert_int_equal(judge("{\"Type\":\"HTTPS\",\"FullyQualifiedDomainName\":\"a.com\","
                           "\"ResourcePath\":\"x?y=1\"}",
                           &check, &err),
                     0);
    assert_int_equal(check.port, 443);
    assert_true(check.enable_sni);
    assert_string_equal(check.resource_path, "/x?y=1");
    assert_int_equal(
        judge("{\"Type\":\"HTTPS\",\"IPAddress\":\"::1\",\"EnableSNI\":false,\"Port\":8443}",
              &check, &err),
        0);
    assert_false(check.enable_sni);
    assert_int_equal(check.port, 8443);
}

static void every_member_is_read(void **state)
{
    (void)state;
    struct model_check check;
    struct err err = ERR_INIT;
    assert_int_equal(
        judge("{\"Type\":\"HTTP_STR_MATCH\",\"IPAddress\":\"10.0.0.1\",\"Port\":8080,"
              "\"ResourcePath\":\"/health\",\"FullyQualifiedDomainName\":\"a.com\","
              "\"SearchString\":\"all well\",\"RequestInterval\":10,"
              "\"FailureThreshold\":1,\"MeasureLatency\":true,\"Inverted\":true,"
              "\"Disabled\":true,\"Regions\":[\"us-east-1\",\"us-west-1\",\"eu-west-1\"]}",
              &check, &err),
        0);
    assert_string_equal(check.ip_address, "10.0.0.1");
    assert_string_equal(check.search_string, "all well");
    assert_int_equal(check.request_interval_s, 10);
    assert_int_equal(check.failure_threshold, 1);
    assert_true(check.inverted && check.disabled && check.measure_latency);
    assert_int_equal(judge("{\"Type\":\"CALCULATED\",\"ChildHealthChecks\":[\"a\",\"b\"],"
                           "\"HealthThreshold\":2,\"Inverted\":false}",
                           &check, &err),
                     0);
    assert_int_equal(check.child_count, 2);
    assert_string_equal(check.children[1], "b");
    assert_int_equal(check.health_threshold, 2);
    assert_int_equal(
        judge("{\"Type\":\"TCP\",\"IPAddress\":\"10.0.0.1\",\"Port\":1}", &check, &err), 0);
    assert_int_equal(
        judge("{\"Type\":\"CLOUDWATCH_METRIC\",\"AlarmIdentifier\":{\"Region\":"
              "\"us-east-1\",\"Name\":\"a\"},\"InsufficientDataHealthStatus\":\"Healthy\"}",
              &check, &err),
        0);
    assert_int_equal(
        judge("{\"Type\":\"RECOVERY_CONTROL\",\"RoutingControlArn\":\"arn:x\"}", &check, &err), 0);
    for (unsigned type = MODEL_CHECK_HTTP; type <= MODEL_CHECK_RECOVERY_CONTROL; type++) {
        assert_true(model_check_type_name((enum model_check_type)type)[0] != '\0');
    }
}

#define HTTP "{\"Type\":\"HTTP\",\"IPAddress\":\"127.0.0.1\""

static void what_is_wrong_with_a_check_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"{}", "Type is not"},
        {"{\"Type\":\"PING\"}", "Type is not"},
        {"{\"Type\":\"HTTP\"}", "must have an IP address or a fully qualified"},
        {"{\"Type\":\"HTTP\",\"IPAddress\":\"1.2.3\"}", "not a valid IPv4 or IPv6"},
        {HTTP ",\"Port\":0}", "Port must be from 1"},
        {HTTP ",\"Port\":65536}", "Port must be from 1"},
        {HTTP ",\"Port\":\"80\"}", "Port is not a whole number"},
        {HTTP ",\"RequestInterval\":20}", "RequestInterval must be 10 or 30"},
        {HTTP ",\"FailureThreshold\":11}", "FailureThreshold must be from 1 to 10"},
        {HTTP ",\"SearchString\":\"x\"}", "Only string matching"},
        {"{\"Type\":\"HTTP_STR_MATCH\",\"IPAddress\":\"127.0.0.1\"}", "must have a search string"},
        {HTTP ",\"ResourcePath\":\"/a b\"}", "ResourcePath"},
        {HTTP ",\"ResourcePath\":\"/a\\r\\nX: y\"}", "ResourcePath"},
        {HTTP ",\"FullyQualifiedDomainName\":\"a.com\\r\\nX: y\"}", "FullyQualifiedDomainName"},
        {HTTP ",\"FullyQualifiedDomainName\":\"a..com\"}", "FullyQualifiedDomainName"},
        {HTTP ",\"Inverted\":\"yes\"}", "Inverted is not true or false"},
        {HTTP ",\"Regions\":[\"us-east-1\",\"us-west-1\"]}", "At least 3 regions"},
        {HTTP ",\"Regions\":[\"us-east-1\",\"us-west-1\",\"us-east-1\"]}", "twice"},
        {HTTP ",\"HealthThreshold\":1}", "Basic health checks must not have HealthThreshold"},
        {HTTP ",\"AlarmIdentifier\":{}}",
         "Invalid parameter : Basic health checks must not have an metric region specified."},
        {"{\"Type\":\"TCP\",\"IPAddress\":\"127.0.0.1\"}", "must have a port"},
        {"{\"Type\":\"TCP\",\"IPAddress\":\"127.0.0.1\",\"Port\":1,\"ResourcePath\":\"/\"}",
         "must not have a resource path"},
        {"{\"Type\":\"TCP\",\"IPAddress\":\"127.0.0.1\",\"Port\":1,\"FullyQualifiedDomainName\":"
         "\"a\"}",
         "TCP health checks that have IP address must not have a fully qualified domain name"},
        {"{\"Type\":\"CALCULATED\",\"ChildHealthChecks\":[\"a\"]}",
         "Invalid parameter : Calculated health checks must have a health threshold specified."},
        {"{\"Type\":\"CALCULATED\",\"HealthThreshold\":1,\"ChildHealthChecks\":[\"a\",\"a\"]}",
         "twice"},
        {"{\"Type\":\"CALCULATED\",\"HealthThreshold\":1,\"ChildHealthChecks\":[\"\"]}",
         "not a health check id"},
        {"{\"Type\":\"CALCULATED\",\"HealthThreshold\":1,\"Port\":1}", "must not have Port"},
        {"{\"Type\":\"CALCULATED\",\"HealthThreshold\":1,\"FailureThreshold\":1}",
         "must not have FailureThreshold"},
        {"{\"Type\":\"CLOUDWATCH_METRIC\"}", "must have an alarm identifier"},
        {"{\"Type\":\"RECOVERY_CONTROL\"}", "must have a routing control ARN"},
        {"{\"Type\":\"RECOVERY_CONTROL\",\"RoutingControlArn\":\"arn:x\",\"Inverted\":true}",
         "cannot be inverted"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct model_check check;
        struct err err = ERR_INIT;
        if (judge(cases[i].text, &check, &err) != -EINVAL || err.kind != ERR_INVALID ||
            strstr(err.message, cases[i].message) == NULL) {
            fail_msg("%s: \"%s\" has no \"%s\"", cases[i].text, err.message, cases[i].message);
        }
    }
}

static int parse_tags(const char *text, struct model_check_options *options, struct err *err)
{
    json_t *tags = json_loads(text, 0, NULL);
    assert_non_null(tags);
    int rc = model_check_options_parse(tags, options, err);
    json_decref(tags);
    return rc;
}

static void options_come_from_tags(void **state)
{
    (void)state;
    struct model_check_options options;
    struct err err = ERR_INIT;
    assert_int_equal(parse_tags("[{\"Key\":\"leeward:interval-ms\",\"Value\":\"100\"},"
                                "{\"Key\":\"leeward:timeout-ms\",\"Value\":\"250\"},"
                                "{\"Key\":\"leeward:failures-down\",\"Value\":\"1\"},"
                                "{\"Key\":\"leeward:successes-up\",\"Value\":\"2\"},"
                                "{\"Key\":\"leeward:latch\",\"Value\":\"true\"},"
                                "{\"Key\":\"leeward:verify-tls\",\"Value\":\"false\"},"
                                "{\"Key\":\"Name\",\"Value\":\"shop\"}]",
                                &options, &err),
                     0);
    assert_int_equal(options.interval_ms, 100);
    assert_int_equal(options.timeout_ms, 250);
    assert_int_equal(options.failures_down, 1);
    assert_int_equal(options.successes_up, 2);
    assert_true(options.latch);
    assert_false(options.verify_tls);
}

static void a_bad_tag_is_named(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"[{\"Key\":\"leeward:interval-ms\",\"Value\":\"99\"}]", "leeward:interval-ms"},
        {"[{\"Key\":\"leeward:interval-ms\",\"Value\":\"300001\"}]", "leeward:interval-ms"},
        {"[{\"Key\":\"Leeward:Interval-ms\",\"Value\":\"100\"}]", "none that Leeward knows"},
        {"[{\"Key\":\"leeward:timeout-ms\",\"Value\":\"1s\"}]", "leeward:timeout-ms"},
        {"[{\"Key\":\"leeward:failures-down\",\"Value\":\"0\"}]", "leeward:failures-down"},
        {"[{\"Key\":\"leeward:successes-up\"}]", "leeward:successes-up"},
        {"[{\"Key\":\"leeward:latch\",\"Value\":\"yes\"}]", "leeward:latch"},
        {"[{\"Key\":\"leeward:speed\",\"Value\":\"9\"}]", "leeward:speed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct model_check_options options;
        struct err err = ERR_INIT;
        assert_int_equal(parse_tags(cases[i][0], &options, &err), -EINVAL);
        assert_non_null(strstr(err.message, cases[i][1]));
    }
}

static void a_stored_check_is_read_with_its_tags(void **state)
{
    (void)state;
    static const char value[] =
        "{\"v\":1,\"Id\":\"c1\",\"CallerReference\":\"r\",\"HealthCheckVersion\":3,"
        "\"HealthCheckConfig\":{\"Type\":\"HTTP\",\"IPAddress\":\"127.0.0.1\",\"Later\":1}}";
    static const char tags[] =
        "{\"v\":1,\"Tags\":[{\"Key\":\"leeward:interval-ms\",\"Value\":\"100\"},"
        "{\"Key\":\"leeward:of-a-newer-version\",\"Value\":\"x\"}]}";
    struct model_check check;
    struct err err = ERR_INIT;
    assert_int_equal(
        model_check_decode(value, strlen(value), tags, strlen(tags), &arena, &check, &err), 0);
    assert_string_equal(check.id, "c1");
    assert_string_equal(check.caller_reference, "r");
    assert_int_equal(check.version, 3);
    assert_int_equal(check.options.interval_ms, 100);
    assert_int_equal(model_check_decode(value, strlen(value), NULL, 0, &arena, &check, &err), 0);
    assert_int_equal(check.options.interval_ms, 0);
}

static void damaged_checks_are_refused(void **state)
{
    (void)state;
    static const char *const values[] = {
        "",
        "{\"v\":1}",
        "{\"v\":1,\"Id\":\"c1\",\"HealthCheckConfig\":[]}",
        "{\"v\":1,\"HealthCheckConfig\":{\"Type\":\"HTTP\",\"IPAddress\":\"127.0.0.1\"}}",
        ("{\"v\":1,\"Id\":\"c1\",\"HealthCheckVersion\":0,"
         "\"HealthCheckConfig\":{\"Type\":\"HTTP\",\"IPAddress\":\"127.0.0.1\"}}"),
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct model_check check;
        struct err err = ERR_INIT;
        assert_int_equal(
            model_check_decode(values[i], strlen(values[i]), NULL, 0, &arena, &check, &err),
            -EBADMSG);
        assert_int_equal(err.kind, ERR_CORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_http_check_gets_route53s_defaults),
        cmocka_unit_test(an_https_check_sends_the_server_name_unless_told_otherwise),
        cmocka_unit_test(every_member_is_read),
        cmocka_unit_test(what_is_wrong_with_a_check_is_said),
        cmocka_unit_test(options_come_from_tags),
        cmocka_unit_test(a_bad_tag_is_named),
        cmocka_unit_test(a_stored_check_is_read_with_its_tags),
        cmocka_unit_test(damaged_checks_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
