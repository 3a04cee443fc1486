/* Tests of the client against the server of this room, both in this process; and of what the server
 * refuses to start with. The server's threads besides the test's. */
#include "aws/client.h"

#include "aws/codec.h"
#include "aws/server.h"
#include "aws/tables.h"
#include "base/memory.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SERVICES 64U
#define COUNT "/2013-04-01/hostedzonecount"

static const char *const regions[] = {"eu-west-1", "eu-west-2"};

struct fixture {
    struct aws_service services[SERVICES];
    struct aws_binding *bindings[SERVICES];
    const struct aws_service *pointers[SERVICES];
    struct aws_server_config server_config;
    struct aws_server *server;
    char endpoint[64];
    struct aws_client_config config;
    struct arena arena;
};

static int handle(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err)
{
    (void)in;
    if (text_equal(call->operation, "UpdateHostedZoneComment")) {
        return aws_error(call, err, "NoSuchHostedZone", "none of that name");
    }
    *ret_out = json_pack("{s:i}", "HostedZoneCount", 7);
    return 0;
}

static int find_key(void *context, const char *id, bool changes, struct aws_credential *ret,
                    struct err *err)
{
    (void)context;
    (void)changes;
    if (!text_equal(id, "AKID")) {
        return err_set(err, ERR_NOT_FOUND, "no key %s", id);
    }
    ret->role = AWS_ROLE_ADMIN;
    return secret_set(&ret->secret, "secret", 6);
}

static void bind_all(struct fixture *fixture)
{
    for (size_t i = 0; i < codec_service_count; i++) {
        const struct codec_service *table = &codec_services[i];
        const struct codec_operation *operation = codec_service_operation(table, 0);
        size_t at = fixture->server_config.service_count;
        size_t count = 0;
        if (operation == NULL) {
            continue;
        }
        assert_true(at < SERVICES);
        for (; (operation = codec_service_operation(table, count)) != NULL; count++) {
            fixture->bindings[at] =
                memory_resize(fixture->bindings[at], count + 1, sizeof *fixture->bindings[at]);
            fixture->bindings[at][count] =
                (struct aws_binding){codec_operation_name(operation), handle};
        }
        const char *name = codec_service_name(table);
        fixture->services[at] = (struct aws_service){.name = name,
                                                     .bindings = fixture->bindings[at],
                                                     .count = count,
                                                     .global = !text_equal(name, "leeward")};
        fixture->pointers[at] = &fixture->services[at];
        fixture->server_config.service_count++;
    }
}

static int set_up(void **state)
{
    struct fixture *fixture = memory_new(sizeof *fixture);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct err err = ERR_INIT;
    fixture->server_config = (struct aws_server_config){.threads = 2,
                                                        .connections = 32,
                                                        .idle_ms = 5000,
                                                        .account_id = "123456789012",
                                                        .regions = regions,
                                                        .region_count = ARRAY_SIZE(regions),
                                                        .services = fixture->pointers,
                                                        .credential = find_key};
    (void)memcpy(&fixture->server_config.address, &address, sizeof address);
    bind_all(fixture);
    if (aws_server_start(&fixture->server_config, &fixture->server, &err) != 0) {
        fail_msg("%s", err.message);
    }
    (void)memcpy(&address, aws_server_address(fixture->server), sizeof address);
    (void)snprintf(fixture->endpoint, sizeof fixture->endpoint, "http://127.0.0.1:%u",
                   (unsigned)ntohs(address.sin_port));
    fixture->config = (struct aws_client_config){.endpoint = fixture->endpoint,
                                                 .region = "us-east-1",
                                                 .access_key_id = "AKID",
                                                 .timeout_ms = 10000};
    assert_int_equal(secret_set(&fixture->config.secret, "secret", 6), 0);
    arena_init(&fixture->arena, 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    aws_server_stop(fixture->server);
    for (size_t i = 0; i < SERVICES; i++) {
        free(fixture->bindings[i]);
    }
    arena_done(&fixture->arena);
    free(fixture);
    return 0;
}

static int call(struct fixture *fixture, const char *method, const char *target, const char *body,
                struct aws_client_response *ret_response, struct err *err)
{
    return aws_client_call(&fixture->config, "route53", method, target, "text/xml", body,
                           body != NULL ? strlen(body) : 0, &fixture->arena, ret_response, err);
}

static void a_call_is_signed_and_answered(void **state)
{
    struct aws_client_response response;
    struct err err = ERR_INIT;
    assert_int_equal(call(*state, "GET", COUNT, NULL, &response, &err), 0);
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(response.body, "<HostedZoneCount>7</HostedZoneCount>"));
    assert_int_equal(response.size, strlen(response.body));
}

static void a_body_is_signed_too(void **state)
{
    struct aws_client_response response;
    struct err err = ERR_INIT;
    const char *body = "<UpdateHostedZoneCommentRequest "
                       "xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"/>";
    assert_int_equal(
        call(*state, "POST", "/2013-04-01/hostedzone/Z1?b=%20&a", body, &response, &err), 0);
    assert_int_equal(response.status, 404);
    assert_non_null(strstr(response.body, "<Code>NoSuchHostedZone</Code>"));
}

static void a_key_that_is_not_known_is_an_answer_not_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct aws_client_response response;
    struct err err = ERR_INIT;
    fixture->config.access_key_id = "OTHER";
    assert_int_equal(call(fixture, "GET", COUNT, NULL, &response, &err), 0);
    assert_int_equal(response.status, 403);
    assert_non_null(strstr(response.body, "InvalidClientTokenId"));
}

static void a_region_that_is_not_served_is_refused_and_the_others_are_named(void **state)
{
    struct fixture *fixture = *state;
    struct aws_client_response response;
    struct err err = ERR_INIT;
    fixture->config.region = "eu-west-2";
    assert_int_equal(call(fixture, "GET", COUNT, NULL, &response, &err), 0);
    assert_int_equal(response.status, 200);
    fixture->config.region = "eu-central-1";
    assert_int_equal(call(fixture, "GET", COUNT, NULL, &response, &err), 0);
    assert_int_equal(response.status, 403);
    assert_non_null(strstr(response.body, "<Code>SignatureDoesNotMatch</Code><Message>Credential "
                                          "should be scoped to a valid region, not "
                                          "'eu-central-1'. Served here: eu-west-1, eu-west-2."));
}

static void the_global_region_is_served_for_global_services_alone(void **state)
{
    struct fixture *fixture = *state;
    struct aws_client_response response;
    struct err err = ERR_INIT;
    fixture->config.region = AWS_GLOBAL_REGION;
    assert_int_equal(call(fixture, "GET", COUNT, NULL, &response, &err), 0);
    assert_int_equal(response.status, 200);
    assert_int_equal(aws_client_call(&fixture->config, "leeward", "GET", "/leeward/status", NULL,
                                     NULL, 0, &fixture->arena, &response, &err),
                     0);
    assert_int_equal(response.status, 403);
    assert_string_equal(response.error_type, "InvalidSignatureException");
}

static void a_server_without_regions_does_not_start(void **state)
{
    struct fixture *fixture = *state;
    struct aws_server *server = NULL;
    struct err err = ERR_INIT;
    fixture->server_config.region_count = 0;
    assert_int_equal(aws_server_start(&fixture->server_config, &server, &err), -EINVAL);
    assert_non_null(strstr(err.message, "a region"));
}

static void a_proxy_of_the_environment_is_not_used(void **state)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment any more */
    assert_non_null(getenv("http_proxy"));
    struct aws_client_response response;
    struct err err = ERR_INIT;
    assert_int_equal(call(*state, "GET", COUNT, NULL, &response, &err), 0);
    assert_int_equal(response.status, 200);
}

/* A port that listens, so that nobody else has it, and never answers. */
static int silent_port(struct sockaddr_in *ret_address)
{
    socklen_t size = sizeof *ret_address;
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    *ret_address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(descriptor >= 0);
    assert_int_equal(bind(descriptor, (const struct sockaddr *)ret_address, size), 0);
    assert_int_equal(getsockname(descriptor, (struct sockaddr *)ret_address, &size), 0);
    return descriptor;
}

static void an_endpoint_that_cannot_be_reached_is_named(void **state)
{
    struct fixture *fixture = *state;
    struct aws_client_response response;
    struct sockaddr_in address;
    struct err err = ERR_INIT;
    int descriptor = silent_port(&address); /* bound, and does not listen: refused */
    char endpoint[64];
    (void)snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u",
                   (unsigned)ntohs(address.sin_port));
    fixture->config.endpoint = endpoint;
    assert_true(call(fixture, "GET", COUNT, NULL, &response, &err) < 0);
    assert_int_equal(err.kind, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.message, endpoint));
    assert_non_null(strstr(err.message, "is leewardd running"));
    (void)close(descriptor);
}

static void a_server_that_does_not_answer_is_a_timeout(void **state)
{
    struct fixture *fixture = *state;
    struct aws_client_response response;
    struct sockaddr_in address;
    struct err err = ERR_INIT;
    int descriptor = silent_port(&address);
    char endpoint[64];
    assert_int_equal(listen(descriptor, 1), 0);
    (void)snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u",
                   (unsigned)ntohs(address.sin_port));
    fixture->config.endpoint = endpoint;
    fixture->config.timeout_ms = 200;
    assert_int_equal(call(fixture, "GET", COUNT, NULL, &response, &err), -ETIMEDOUT);
    assert_non_null(strstr(err.message, endpoint));
    (void)close(descriptor);
}

static void an_endpoint_that_is_none_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const endpoints[] = {"127.0.0.1:4566", "ftp://host", "http://",
                                            "http://host/path", "http://user@host"};
    for (size_t i = 0; i < ARRAY_SIZE(endpoints); i++) {
        struct aws_client_response response;
        struct err err = ERR_INIT;
        fixture->config.endpoint = endpoints[i];
        assert_int_equal(call(fixture, "GET", "/", NULL, &response, &err), -EINVAL);
        assert_non_null(strstr(err.message, endpoints[i]));
    }
}

static void an_operation_without_handler_stops_the_start(void **state)
{
    struct fixture *fixture = *state;
    struct aws_server *server = NULL;
    struct err err = ERR_INIT;
    fixture->services[0].count--;
    assert_int_equal(aws_server_start(&fixture->server_config, &server, &err), -EINVAL);
    assert_non_null(strstr(err.message, "no handler for "));
    assert_null(server);
}

static void a_handler_that_is_not_listed_stops_the_start(void **state)
{
    struct fixture *fixture = *state;
    struct aws_server *server = NULL;
    struct err err = ERR_INIT;
    const struct aws_binding binding = {"MakeCoffee", handle};
    const struct aws_service service = {.name = "nothing", .bindings = &binding, .count = 1};
    fixture->pointers[fixture->server_config.service_count++] = &service;
    assert_int_equal(aws_server_start(&fixture->server_config, &server, &err), -EINVAL);
    assert_string_equal(err.message, "nothing:MakeCoffee has a handler and is not in "
                                     "operations.list");
}

static void an_address_in_use_is_named(void **state)
{
    struct fixture *fixture = *state;
    struct aws_server *server = NULL;
    struct err err = ERR_INIT;
    fixture->server_config.address = *aws_server_address(fixture->server);
    assert_int_equal(aws_server_start(&fixture->server_config, &server, &err), -EADDRINUSE);
    assert_non_null(strstr(err.message, "cannot listen on 127.0.0.1:"));
}

static void the_server_listens_on_ipv6_too(void **state)
{
    struct fixture *fixture = *state;
    struct aws_server *server = NULL;
    struct aws_client_response response;
    struct err err = ERR_INIT;
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    char endpoint[64];
    (void)memcpy(&fixture->server_config.address, &address, sizeof address);
    if (aws_server_start(&fixture->server_config, &server, &err) != 0) {
        skip(); /* a machine without IPv6 */
    }
    (void)memcpy(&address, aws_server_address(server), sizeof address);
    (void)snprintf(endpoint, sizeof endpoint, "http://[::1]:%u",
                   (unsigned)ntohs(address.sin6_port));
    fixture->config.endpoint = endpoint;
    assert_int_equal(call(fixture, "GET", COUNT, NULL, &response, &err), 0);
    assert_int_equal(response.status, 200);
    aws_server_stop(server);
}

static void stopping_nothing_is_fine(void **state)
{
    (void)state;
    aws_server_stop(NULL);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs yet */
    if (setenv("http_proxy", "http://127.0.0.1:1", 1) != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        WITH_SERVER(a_call_is_signed_and_answered),
        WITH_SERVER(a_body_is_signed_too),
        WITH_SERVER(a_key_that_is_not_known_is_an_answer_not_an_error),
        WITH_SERVER(a_region_that_is_not_served_is_refused_and_the_others_are_named),
        WITH_SERVER(the_global_region_is_served_for_global_services_alone),
        WITH_SERVER(a_server_without_regions_does_not_start),
        WITH_SERVER(a_proxy_of_the_environment_is_not_used),
        WITH_SERVER(an_endpoint_that_cannot_be_reached_is_named),
        WITH_SERVER(a_server_that_does_not_answer_is_a_timeout),
        WITH_SERVER(an_endpoint_that_is_none_is_refused),
        WITH_SERVER(an_operation_without_handler_stops_the_start),
        WITH_SERVER(a_handler_that_is_not_listed_stops_the_start),
        WITH_SERVER(an_address_in_use_is_named),
        WITH_SERVER(the_server_listens_on_ipv6_too),
        cmocka_unit_test(stopping_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
