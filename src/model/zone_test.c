/* Tests of zone.h: zones and record sets, what is accepted, and what is said about the rest. */
#include "model/zone.h"

#include "dns/wire/rdata.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
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

static void a_zone_survives_encode_and_decode(void **state)
{
    (void)state;
    const char *servers[] = {"ns1.example.net", "ns2.example.net"};
    const struct model_zone zone = {
        .id = "Z1",
        .name = "example.com.",
        .caller_reference = "ref",
        .comment = "a \"comment\"",
        .delegation_set_id = "N1",
        .name_servers = servers,
        .name_server_count = 2,
        .record_count = 7,
        .created_s = 1700000000,
    };
    struct model_zone again;
    struct err err = ERR_INIT;
    json_t *json = model_zone_encode(&zone);
    char *text = json_dumps(json, JSON_COMPACT);
    assert_int_equal(model_zone_decode(text, strlen(text), &arena, &again, &err), 0);
    assert_string_equal(again.id, "Z1");
    assert_string_equal(again.name, "example.com.");
    assert_string_equal(again.caller_reference, "ref");
    assert_string_equal(again.comment, "a \"comment\"");
    assert_string_equal(again.delegation_set_id, "N1");
    assert_int_equal(again.name_server_count, 2);
    assert_string_equal(again.name_servers[1], "ns2.example.net");
    assert_int_equal(again.record_count, 7);
    assert_int_equal(again.created_s, 1700000000);
    free(text);
    json_decref(json);
}

static void damaged_zones_are_refused(void **state)
{
    (void)state;
    static const char *const values[] = {
        "",
        "{\"v\":1}",
        "{\"v\":\"1\",\"Id\":\"Z1\",\"Name\":\"a.com.\"}",
        "{\"v\":1,\"Id\":\"Z1\",\"Name\":\"a..com.\"}",
        "{\"v\":1,\"Id\":\"Z1\",\"Name\":\"A.com.\"}",
        "{\"v\":1,\"Id\":\"Z1\",\"Name\":7}",
        "{\"v\":1,\"Id\":\"Z1\",\"Name\":\"a.com.\",\"RecordCount\":-1}",
        "{\"v\":1,\"Id\":\"Z1\",\"Name\":\"a.com.\",\"NameServers\":[1]}",
        "{\"v\":1,\"Id\":\"Z11111111111111111111111111111111\",\"Name\":\"a.com.\"}",
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct model_zone zone;
        struct err err = ERR_INIT;
        assert_int_equal(model_zone_decode(values[i], strlen(values[i]), &arena, &zone, &err),
                         -EBADMSG);
        assert_int_equal(err.kind, ERR_CORRUPT);
    }
}

static int judge(const char *text, struct model_record_set *record, struct err *err)
{
    json_error_t error;
    json_t *json = json_loads(text, 0, &error);
    if (json == NULL) {
        fail_msg("%s: %s", text, error.text);
    }
    int rc = model_record_set_from_json(json, "Z1", &arena, record, err);
    if (rc == 0) { /* what was accepted can be stored and read back */
        struct model_record_set again;
        (void)json_object_set_new(json, "v", json_integer(MODEL_VERSION));
        char *value = json_dumps(json, JSON_COMPACT);
        assert_int_equal(model_record_set_decode(value, strlen(value), "Z1", &arena, &again, err),
                         0);
        assert_string_equal(again.name, record->name);
        assert_int_equal(again.policy, record->policy);
        assert_null(again.json);
        free(value);
    }
    json_decref(json);
    return rc;
}

static void a_simple_record_is_read(void **state)
{
    (void)state;
    struct model_record_set record;
    struct err err = ERR_INIT;
    assert_int_equal(
        judge("{\"Name\":\"WWW.Example.com\",\"Type\":\"A\",\"TTL\":60,"
              "\"ResourceRecords\":[{\"Value\":\"192.0.2.1\"},{\"Value\":\"192.0.2.2\"}]}",
              &record, &err),
        0);
    assert_string_equal(record.zone_id, "Z1");
    assert_string_equal(record.name, "www.example.com.");
    assert_int_equal(record.type, RR_A);
    assert_int_equal(record.policy, MODEL_SIMPLE);
    assert_string_equal(record.set_identifier, "");
    assert_string_equal(record.health_check_id, "");
    assert_string_equal(record.traffic_instance_id, "");
    assert_int_equal(record.ttl_s, 60);
    assert_int_equal(record.value_count, 2);
    assert_string_equal(record.values[1], "192.0.2.2");
    assert_null(record.alias);
}

static void every_policy_is_told_by_its_member(void **state)
{
    (void)state;
    static const struct {
        const char *members;
        enum model_policy policy;
    } cases[] = {
        {"\"Weight\":0", MODEL_WEIGHTED},
        {"\"Failover\":\"SECONDARY\"", MODEL_FAILOVER},
        {"\"MultiValueAnswer\":true", MODEL_MULTIVALUE},
        {"\"Region\":\"eu-west-1\"", MODEL_LATENCY},
        {"\"GeoLocation\":{\"CountryCode\":\"*\"}", MODEL_GEOLOCATION},
        {"\"GeoProximityLocation\":{\"AWSRegion\":\"us-east-1\",\"Bias\":1}", MODEL_GEOPROXIMITY},
        {"\"CidrRoutingConfig\":{\"CollectionId\":\"x\",\"LocationName\":\"y\"}", MODEL_CIDR},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct model_record_set record;
        struct err err = ERR_INIT;
        char text[512];
        (void)snprintf(
            text, sizeof text,
            "{\"Name\":\"a.com\",\"Type\":\"A\",\"TTL\":60,\"SetIdentifier\":\"one\","
            "\"HealthCheckId\":\"check\",\"ResourceRecords\":[{\"Value\":\"192.0.2.1\"}],%s}",
            cases[i].members);
        assert_int_equal(judge(text, &record, &err), 0);
        assert_int_equal(record.policy, cases[i].policy);
        assert_string_equal(record.set_identifier, "one");
        assert_string_equal(record.health_check_id, "check");
        assert_true(model_policy_name(record.policy)[0] != '\0');
    }
}

static void an_alias_is_read(void **state)
{
    (void)state;
    struct model_record_set record;
    struct err err = ERR_INIT;
    assert_int_equal(
        judge("{\"Name\":\"a.com\",\"Type\":\"A\",\"AliasTarget\":{\"HostedZoneId\":"
              "\"/hostedzone/Z2\",\"DNSName\":\"B.com\",\"EvaluateTargetHealth\":true}}",
              &record, &err),
        0);
    assert_non_null(record.alias);
    assert_string_equal(record.alias->zone_id, "Z2");
    assert_string_equal(record.alias->name, "b.com.");
    assert_true(record.alias->evaluate_target_health);
    assert_int_equal(record.value_count, 0);
}

#define HEAD "{\"Name\":\"a.com\",\"Type\":\"A\""
#define ONE ",\"TTL\":1,\"ResourceRecords\":[{\"Value\":\"192.0.2.1\"}]"
#define ALIAS                                                                                      \
    ",\"AliasTarget\":{\"HostedZoneId\":\"Z2\",\"DNSName\":\"b.com\",\"EvaluateTargetHealth\":"    \
    "false}"

static void what_is_wrong_with_a_record_is_said_in_awss_words(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"{\"Name\":\"a..com\",\"Type\":\"A\"" ONE "}", "Invalid domain name 'a..com'"},
        {"{\"Name\":\"a.com\",\"Type\":\"LOC\"" ONE "}", "record type 'LOC' is not offered"},
        {HEAD ONE ALIAS "}", "TrafficPolicyInstanceId], but found more than one"},
        {HEAD ",\"TTL\":1" ALIAS "}", "TrafficPolicyInstanceId], but found more than one"},
        {HEAD "}", "TrafficPolicyInstanceId], but found none"},
        {HEAD ",\"TTL\":1}", "TrafficPolicyInstanceId], but found none"},
        {HEAD ",\"ResourceRecords\":[{\"Value\":\"192.0.2.1\"}]}",
         "TrafficPolicyInstanceId], but found none"},
        {HEAD ",\"TTL\":-1,\"ResourceRecords\":[{\"Value\":\"192.0.2.1\"}]}", "TTL must be from 0"},
        {HEAD ",\"TTL\":1,\"ResourceRecords\":[]}", "ResourceRecords must have 1 to 1000"},
        {HEAD ONE ",\"Weight\":1}", "Invalid request: Missing field 'SetIdentifier'"},
        {HEAD ONE ",\"HealthCheckId\":\"x\"}", "Invalid request: Missing field 'SetIdentifier'"},
        {HEAD ONE ",\"MultiValueAnswer\":false}", "Invalid request: Missing field 'SetIdentifier'"},
        {HEAD ONE ",\"SetIdentifier\":\"x\"}",
         "MultiValueAnswer, or CidrRoutingConfig], but found none"},
        {HEAD ONE ",\"SetIdentifier\":\"x\",\"MultiValueAnswer\":false}", "but found none"},
        {HEAD ONE ",\"SetIdentifier\":\"x\",\"Weight\":1,\"Failover\":\"PRIMARY\"}",
         "but found more than one"},
        {HEAD ONE ",\"SetIdentifier\":\"x\",\"Weight\":256}", "Weight must be from 0 to 255"},
        {HEAD ONE ",\"SetIdentifier\":\"x\",\"Failover\":\"THIRD\"}", "PRIMARY or SECONDARY"},
        {HEAD ALIAS ",\"SetIdentifier\":\"x\",\"MultiValueAnswer\":true}",
         "both an alias and a multivalue"},
        {HEAD ",\"AliasTarget\":{\"DNSName\":\"b.com\"}}", "no valid HostedZoneId"},
        {HEAD ",\"AliasTarget\":{\"HostedZoneId\":\"Z2\",\"DNSName\":\"b..com\"}}",
         "Invalid domain name 'b..com'"},
        {HEAD ",\"TTL\":1,\"ResourceRecords\":[{\"Value\":\"x\"}]}",
         "Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address (Value is not a valid "
         "IPv4 address) encountered with 'x''"},
        {HEAD
         ",\"TTL\":1,\"ResourceRecords\":[{\"Value\":\"192.0.2.1\"},{\"Value\":\"192.0.2.1\"}]}",
         "Duplicate Resource Record: '192.0.2.1'"},
        {"{\"Name\":\"a.com\",\"Type\":\"CNAME\",\"TTL\":1,\"ResourceRecords\":[{\"Value\":\"b\"},"
         "{\"Value\":\"c\"}]}",
         "only one value"},
        {"{\"Name\":\"a.com\",\"Type\":\"NS\",\"TTL\":1,\"ResourceRecords\":[{\"Value\":\"b\"}],"
         "\"SetIdentifier\":\"x\",\"Weight\":1}",
         "cannot have a SetIdentifier"},
        {"{\"Name\":\"a.com\",\"Type\":\"CNAME\",\"TTL\":1,\"ResourceRecords\":[{\"Value\":\"b\"}],"
         "\"SetIdentifier\":\"x\",\"MultiValueAnswer\":true}",
         "cannot be a multivalue answer"},
        {"{\"Name\":\"a.com\",\"Type\":\"NS\"" ALIAS "}", "cannot be an alias"},
        {"{\"Name\":\"*.a.com\",\"Type\":\"NS\",\"TTL\":1,\"ResourceRecords\":[{\"Value\":\"b\"}]}",
         "cannot be a wildcard"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct model_record_set record;
        struct err err = ERR_INIT;
        assert_int_equal(judge(cases[i].text, &record, &err), -EINVAL);
        assert_int_equal(err.kind, ERR_INVALID);
        if (strstr(err.message, cases[i].message) == NULL) {
            fail_msg("%s: \"%s\" has no \"%s\"", cases[i].text, err.message, cases[i].message);
        }
    }
}

static void damaged_record_sets_are_refused(void **state)
{
    (void)state;
    static const char *const values[] = {
        "",
        "{\"v\":1}",
        (HEAD ONE "}"),
        "{\"v\":1,\"Name\":\"a.com\",\"Type\":\"A\",\"TTL\":1,\"ResourceRecords\":[1]}",
        "{\"v\":1,\"Name\":\"a.com\",\"Type\":\"A\",\"TTL\":1,\"ResourceRecords\":[{\"Value\":1}]}",
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct model_record_set record;
        struct err err = ERR_INIT;
        int rc = model_record_set_decode(values[i], strlen(values[i]), "Z1", &arena, &record, &err);
        assert_int_equal(rc, -EBADMSG);
        assert_int_equal(err.kind, ERR_CORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zone_survives_encode_and_decode),
        cmocka_unit_test(damaged_zones_are_refused),
        cmocka_unit_test(a_simple_record_is_read),
        cmocka_unit_test(every_policy_is_told_by_its_member),
        cmocka_unit_test(an_alias_is_read),
        cmocka_unit_test(what_is_wrong_with_a_record_is_said_in_awss_words),
        cmocka_unit_test(damaged_record_sets_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
