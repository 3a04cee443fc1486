/* Unit tests of the codec as the server calls it, with the daemon's own tables: routing, roles, a
 * Route 53 call there and back, its failures, and how long a full batch takes. */
#include "aws/codec.h"

#include "aws/wire_error.h"
#include "base/buf.h"
#include "base/text.h"
#include "base/time.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct aws_call call;
    struct err err;
    struct codec_route route;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.call = {.arena = &fixture.arena, .request_id = "the-id"}};
    arena_init(&fixture.arena, 0);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    arena_done(&fixture->arena);
    return 0;
}

static struct http_request request_of(const char *method, const char *path, const char *body)
{
    return (struct http_request){
        .method = method, .path = path, .query = "", .body = body, .body_size = strlen(body)};
}

static const char zone[] =
    "<CreateHostedZoneRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Name>"
    "example.com</Name><CallerReference>r</CallerReference><HostedZoneConfig><PrivateZone>false"
    "</PrivateZone></HostedZoneConfig></CreateHostedZoneRequest>";

static void a_call_is_routed_decoded_and_answered(void **state)
{
    struct fixture *f = *state;
    struct http_request request = request_of("POST", "/2013-04-01/hostedzone", zone);
    assert_int_equal(codec_route(&request, "route53", &f->arena, &f->route, &f->err), 0);
    assert_string_equal(codec_operation_name(f->route.operation), "CreateHostedZone");
    assert_int_equal(codec_operation_role(f->route.operation), AWS_ROLE_ADMIN);
    json_t *in = NULL;
    assert_int_equal(codec_decode(&f->route, &request, &f->call, &in, &f->err), 0);
    json_t *wanted = json_pack("{s:s,s:s,s:{s:b}}", "Name", "example.com", "CallerReference", "r",
                               "HostedZoneConfig", "PrivateZone", 0);
    assert_true(json_equal(in, wanted));
    json_decref(wanted);
    json_decref(in);
    json_t *out = json_pack("{s:{s:s,s:s,s:s},s:{s:s,s:s,s:s},s:{s:[s]},s:s}", "HostedZone", "Id",
                            "/hostedzone/Z1", "Name", "example.com.", "CallerReference", "r",
                            "ChangeInfo", "Id", "/change/C1", "Status", "PENDING", "SubmittedAt",
                            "2026-11-21T09:48:44Z", "DelegationSet", "NameServers", "ns1.example",
                            "Location", "http://127.0.0.1:4566/2013-04-01/hostedzone/Z1");
    struct http_response response = {0};
    assert_int_equal(codec_encode(&f->route, &f->call, out, &response, &f->err), 0);
    json_decref(out);
    assert_int_equal(response.status, 201);
    assert_int_equal(response.header_count, 1);
    assert_string_equal(response.headers[0].name, "Location");
    assert_string_equal(
        response.body,
        "<?xml version=\"1.0\"?>\n<CreateHostedZoneResponse "
        "xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><HostedZone><Id>/hostedzone/Z1</"
        "Id><Name>example.com.</Name><CallerReference>r</CallerReference></HostedZone><ChangeInfo>"
        "<Id>/change/C1</Id><Status>PENDING</Status><SubmittedAt>2026-11-21T09:48:44Z</SubmittedAt>"
        "</ChangeInfo><DelegationSet><NameServers><NameServer>ns1.example</NameServer>"
        "</NameServers></DelegationSet></CreateHostedZoneResponse>");
}

static void a_modelled_error_has_its_status(void **state)
{
    struct fixture *f = *state;
    struct http_request request = request_of("GET", "/2013-04-01/hostedzone/Z1", "");
    assert_int_equal(codec_route(&request, "route53", &f->arena, &f->route, &f->err), 0);
    (void)aws_error(&f->call, &f->err, "NoSuchHostedZone", "No hosted zone found with ID: %s",
                    "Z1"); /* fills err */
    struct http_response response = {0};
    codec_encode_error(&f->route, &f->call, &f->err, &response);
    assert_int_equal(response.status, 404);
    assert_string_equal(response.body,
                        "<?xml version=\"1.0\"?>\n<ErrorResponse "
                        "xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Error><Type>"
                        "Sender</Type><Code>NoSuchHostedZone</Code><Message>No hosted zone found "
                        "with ID: Z1</Message></Error><RequestId>the-id</RequestId>"
                        "</ErrorResponse>");
}

static void a_long_message_is_sent_whole(void **state)
{
    struct fixture *f = *state;
    char name[1000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct http_request request = request_of("GET", "/2013-04-01/hostedzone/Z1", "");
    assert_int_equal(codec_route(&request, "route53", &f->arena, &f->route, &f->err), 0);
    assert_int_equal(aws_error(&f->call, &f->err, "InvalidInput", "%s: the end", name), -EINVAL);
    struct http_response response = {0};
    codec_encode_error(&f->route, &f->call, &f->err, &response);
    assert_int_equal(response.status, 400);
    assert_non_null(strstr(response.body, name));
    assert_non_null(strstr(response.body, "nnn: the end</Message>"));
    assert_int_equal(strlen(f->err.message), sizeof f->err.message - 1);
}

static void a_failure_without_a_code_tells_nothing_of_the_inside(void **state)
{
    struct fixture *f = *state;
    struct http_request request = request_of("GET", "/2013-04-01/hostedzone/Z1", "");
    assert_int_equal(codec_route(&request, "route53", &f->arena, &f->route, &f->err), 0);
    (void)err_set(&f->err, ERR_CORRUPT, "row 7 of /var/lib is damaged"); /* fills err */
    struct http_response response = {0};
    codec_encode_error(&f->route, &f->call, &f->err, &response);
    assert_int_equal(response.status, 500);
    assert_null(strstr(response.body, "damaged"));
    assert_non_null(strstr(response.body, "<Code>InternalFailure</Code>"));
}

static void a_failure_without_a_code_is_the_internal_error_that_the_service_has(void **state)
{
    struct fixture *f = *state;
    struct http_request request = request_of("GET", "/cluster", "");
    struct http_response response = {0};
    assert_int_equal(
        codec_route(&request, "route53-recovery-control-config", &f->arena, &f->route, &f->err), 0);
    (void)err_set(&f->err, ERR_CORRUPT, "row 7 of /var/lib is damaged"); /* fills err */
    codec_encode_error(&f->route, &f->call, &f->err, &response);
    assert_int_equal(response.status, 500);
    assert_null(strstr(response.body, "damaged"));
    assert_string_equal(response.headers[0].name, "x-amzn-ErrorType");
    assert_string_equal(response.headers[0].value, "InternalServerException");
    const struct codec_service *json = codec_service_find("route53-recovery-cluster");
    assert_string_equal(wire_error_code(WIRE_INTERNAL, json), "InternalServerException");
    assert_string_equal(wire_error_code(WIRE_INTERNAL, codec_service_find("rds")),
                        "InternalFailure");
}

static void a_request_of_no_service_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct http_request request = request_of("GET", "/", "");
    assert_true(codec_route(&request, "", &f->arena, &f->route, &f->err) < 0);
    assert_int_equal(f->err.kind, ERR_NOT_FOUND);
}

static void a_service_none_of_whose_operations_is_listed_is_known(void **state)
{
    struct fixture *f = *state;
    struct http_header target = {"X-Amz-Target", "CertificateManager.ListCertificates"};
    struct http_request request = request_of("POST", "/", "{}");
    request.headers = &target;
    request.header_count = 1;
    assert_int_equal(codec_route(&request, "acm", &f->arena, &f->route, &f->err), 0);
    assert_null(f->route.operation);
    assert_string_equal(codec_service_name(f->route.service), "acm");
    assert_string_equal(f->route.operation_name, "ListCertificates");
}

static void every_service_is_found_by_its_name(void **state)
{
    (void)state;
    const struct codec_service *service = codec_service_find("route53");
    assert_non_null(service);
    size_t count = 0;
    while (codec_service_operation(service, count) != NULL) {
        count++;
    }
    assert_true(count >= 31);
    assert_null(codec_service_find("nothing"));
}

/* Generous for sanitizers and busy machines: it takes about three milliseconds. */
static void a_batch_of_a_thousand_records_is_decoded_in_no_time(void **state)
{
    struct fixture *f = *state;
    struct buf body CLEANUP(buf_done);
    buf_init(&body, 0);
    buf_puts(&body, "<ChangeResourceRecordSetsRequest><ChangeBatch><Changes>");
    for (unsigned i = 0; i < 1000; i++) {
        buf_printf(&body,
                   "<Change><Action>CREATE</Action><ResourceRecordSet><Name>n%u.example.com"
                   "</Name><Type>A</Type><TTL>60</TTL><ResourceRecords><ResourceRecord><Value>"
                   "192.0.2.1</Value></ResourceRecord></ResourceRecords></ResourceRecordSet>"
                   "</Change>",
                   i);
    }
    buf_puts(&body, "</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>");
    struct http_request request =
        request_of("POST", "/2013-04-01/hostedzone/Z1/rrset/", buf_text(&body));
    assert_int_equal(codec_route(&request, "route53", &f->arena, &f->route, &f->err), 0);
    int64_t best = INT64_MAX;
    for (unsigned i = 0; i < 5; i++) {
        json_t *in = NULL;
        struct mono start = mono_now();
        assert_int_equal(codec_decode(&f->route, &request, &f->call, &in, &f->err), 0);
        best = MIN(best, mono_since(mono_now(), start));
        json_decref(in);
    }
    (void)printf("# a batch of 1000 records: %ld us\n", (long)(best / TIME_US)); /* a note */
    assert_true(best < 5 * TIME_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_call_is_routed_decoded_and_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_modelled_error_has_its_status, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_message_is_sent_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failure_without_a_code_tells_nothing_of_the_inside,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_failure_without_a_code_is_the_internal_error_that_the_service_has, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_request_of_no_service_is_not_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_service_none_of_whose_operations_is_listed_is_known,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_service_is_found_by_its_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_batch_of_a_thousand_records_is_decoded_in_no_time, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
