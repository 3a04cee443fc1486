/* Tests of whole runs in a world of the test's: what is sent, what is shown, and the exit code. */
#include "cli/cli.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- the world; one run at a time ---- */

static const char *environment[16]; /* name, value, ... */
static int reply_status;
static const char *reply_body;
static const char *reply_error_type;
static enum err_kind call_failure;
static char sent[1024]; /* "METHOD target body" */
static struct aws_client_config sent_config;
static char sent_secret[SECRET_LIMIT + 1];

struct run {
    enum cli_exit code;
    char *out;
    char *err;
};

static const char *variable(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(environment) && environment[i] != NULL; i += 2) {
        if (text_equal(environment[i], name)) {
            return environment[i + 1];
        }
    }
    return NULL;
}

static int call(const struct aws_client_config *config, const char *service, const char *method,
                const char *target, const char *content_type, const void *body, size_t size,
                struct arena *arena, struct aws_client_response *ret_response, struct err *err)
{
    (void)arena;
    assert_string_equal(service, "leeward");
    assert_true((content_type != NULL) == (body != NULL));
    (void)snprintf(sent, sizeof sent, "%s %s %.*s", method, target, (int)size,
                   body != NULL ? (const char *)body : "");
    sent_config = *config;
    assert_int_equal(text_copy(sent_secret, sizeof sent_secret, config->secret.data), 0);
    if (call_failure != ERR_NONE) {
        return err_set(err, call_failure, "cannot reach %s", config->endpoint);
    }
    *ret_response = (struct aws_client_response){.status = reply_status,
                                                 .body = reply_body,
                                                 .size = strlen(reply_body),
                                                 .error_type = reply_error_type};
    return 0;
}

static struct run run_in(bool terminal, const char *const *words, size_t count)
{
    struct run run = {0};
    size_t sizes[2];
    const char *argv[10] = {"leeward"};
    struct cli_world world = {.terminal = terminal, .variable = variable, .call = call};
    for (size_t i = 0; i < count; i++) {
        argv[i + 1] = words[i];
    }
    assert_int_equal(wall_parse("2026-11-21T10:00:00Z", &world.now), 0);
    world.out = open_memstream(&run.out, &sizes[0]);
    world.err = open_memstream(&run.err, &sizes[1]);
    assert_non_null(world.out);
    assert_non_null(world.err);
    run.code = cli_run(&world, (int)count + 1, argv);
    assert_int_equal(fclose(world.out), 0);
    assert_int_equal(fclose(world.err), 0);
    return run;
}

#define RUN(...)                                                                                   \
    run_in(false, (const char *const[]){__VA_ARGS__},                                              \
           sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void done(struct run *run)
{
    free(run->out);
    free(run->err);
}

static int set_up(void **state)
{
    (void)state;
    (void)memset(environment, 0, sizeof environment);
    environment[0] = "LEEWARD_ACCESS_KEY_ID";
    environment[1] = "LWAKTEST";
    environment[2] = "LEEWARD_SECRET_ACCESS_KEY";
    environment[3] = "secret";
    reply_status = 200;
    reply_body = "{\"Keys\":[],\"Node\":{},\"Zones\":[],\"HealthChecks\":[],"
                 "\"RoutedRecords\":[]}";
    reply_error_type = "";
    call_failure = ERR_NONE;
    sent[0] = '\0';
    return 0;
}

/* ---- settings ---- */

static void settings_have_defaults(void **state)
{
    (void)state;
    struct run run = RUN("key", "list");
    assert_int_equal(run.code, CLI_EXIT_OK);
    assert_string_equal(sent_config.endpoint, "http://127.0.0.1:4566");
    assert_string_equal(sent_config.region, "us-east-1");
    assert_string_equal(sent_config.access_key_id, "LWAKTEST");
    assert_string_equal(sent_secret, "secret");
    assert_null(sent_config.ca_file);
    done(&run);
}

static void options_win_over_the_environment(void **state)
{
    (void)state;
    environment[4] = "LEEWARD_ENDPOINT";
    environment[5] = "http://a:1";
    environment[6] = "AWS_DEFAULT_REGION";
    environment[7] = "eu-west-1";
    struct run run = RUN("key", "list");
    assert_string_equal(sent_config.endpoint, "http://a:1");
    assert_string_equal(sent_config.region, "eu-west-1");
    done(&run);
    environment[8] = "LEEWARD_REGION";
    environment[9] = "eu-west-2";
    run = RUN("key", "list", "--endpoint", "https://b:2", "--ca-file", "ca.pem");
    assert_string_equal(sent_config.endpoint, "https://b:2");
    assert_string_equal(sent_config.region, "eu-west-2");
    assert_string_equal(sent_config.ca_file, "ca.pem");
    done(&run);
}

static void keys_fall_back_to_the_aws_variables_as_a_pair(void **state)
{
    (void)state;
    environment[4] = "AWS_ACCESS_KEY_ID";
    environment[5] = "AKIATEST";
    environment[6] = "AWS_SECRET_ACCESS_KEY";
    environment[7] = "other";
    environment[1] = "";
    struct run run = RUN("key", "list");
    assert_int_equal(run.code, CLI_EXIT_USAGE); /* half a pair is a mistake, not a reason to mix */
    assert_non_null(strstr(run.err, "LEEWARD_ACCESS_KEY_ID is not"));
    done(&run);
    environment[3] = "";
    run = RUN("key", "list");
    assert_int_equal(run.code, CLI_EXIT_OK);
    assert_string_equal(sent_config.access_key_id, "AKIATEST");
    assert_string_equal(sent_secret, "other");
    done(&run);
}

static void without_a_key_the_variables_are_named(void **state)
{
    (void)state;
    environment[0] = NULL;
    struct run run = RUN("status");
    assert_int_equal(run.code, CLI_EXIT_USAGE);
    assert_non_null(strstr(run.err, "LEEWARD_ACCESS_KEY_ID and LEEWARD_SECRET_ACCESS_KEY"));
    assert_string_equal(sent, "");
    done(&run);
}

/* ---- failures ---- */

static void exit_codes_tell_failures_apart(void **state)
{
    (void)state;
    const struct {
        enum err_kind kind;
        enum cli_exit code;
    } cases[] = {{ERR_UNAVAILABLE, CLI_EXIT_UNREACHABLE},
                 {ERR_TIMEOUT, CLI_EXIT_UNREACHABLE},
                 {ERR_DENIED, CLI_EXIT_UNREACHABLE},
                 {ERR_INVALID, CLI_EXIT_USAGE},
                 {ERR_LIMIT, CLI_EXIT_FAILED}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        call_failure = cases[i].kind;
        struct run run = RUN("status");
        assert_int_equal(run.code, cases[i].code);
        assert_string_equal(run.err, "leeward: cannot reach http://127.0.0.1:4566\n");
        assert_string_equal(run.out, "");
        done(&run);
    }
}

static void a_refusal_shows_the_message_and_what_to_do(void **state)
{
    (void)state;
    reply_status = 403;
    reply_error_type = "AccessDeniedException";
    reply_body = "{\"Message\":\"not \\u001b[31mallowed\"}";
    struct run run = RUN("key", "list");
    assert_int_equal(run.code, CLI_EXIT_FAILED);
    assert_non_null(strstr(run.err, "leeward: not ?[31mallowed\n"));
    assert_non_null(strstr(run.err, "higher role"));
    done(&run);
}

static void another_server_at_the_endpoint_is_suspected(void **state)
{
    (void)state;
    reply_status = 502;
    reply_body = "<html>bad gateway</html>";
    struct run run = RUN("status");
    assert_int_equal(run.code, CLI_EXIT_FAILED);
    assert_non_null(strstr(run.err, "HTTP status 502: is it leewardd?"));
    done(&run);
    reply_status = 200;
    run = RUN("status");
    assert_int_equal(run.code, CLI_EXIT_FAILED);
    assert_non_null(strstr(run.err, "not JSON"));
    done(&run);
}

/* ---- the nouns ---- */

static const char status_json[] =
    "{\"Node\":{\"Name\":\"n1\",\"Version\":\"0.1.0\",\"UptimeSeconds\":7500,"
    "\"Regions\":[\"us-east-1\",\"eu-west-1\"],\"ApiAddress\":\"127.0.0.1:4566\","
    "\"DnsAddresses\":[\"127.0.0.1:5300\"],\"DnsRevision\":9},"
    "\"Zones\":[{\"Id\":\"Z1\",\"Name\":\"example.com.\",\"RecordCount\":4}],"
    "\"HealthChecks\":[{\"Id\":\"c1\",\"Type\":\"HTTPS\",\"Target\":\"https://a:443/health\","
    "\"Disabled\":false,\"Inverted\":false,\"Status\":{\"Healthy\":false,\"Latched\":true,"
    "\"Since\":\"2026-11-21T09:56:48.5Z\",\"Observations\":[{\"Region\":\"us-east-1\","
    "\"Address\":\"127.0.0.1\",\"Healthy\":true,\"Since\":\"2026-11-21T09:59:30Z\","
    "\"Status\":\"Success: HTTP Status Code 200, OK\"}]}},"
    "{\"Id\":\"c2\",\"Type\":\"TCP\",\"Target\":\"tcp://b:1\",\"Disabled\":true,"
    "\"Inverted\":true}],"
    "\"RoutedRecords\":[{\"Name\":\"www.example.com.\",\"Type\":\"A\",\"Policy\":\"failover\","
    "\"Note\":\"\",\"Candidates\":[{\"SetIdentifier\":\"eu\",\"Role\":\"PRIMARY\","
    "\"Healthy\":false,\"Chosen\":false,\"Reason\":\"it is down\",\"Alias\":\"\","
    "\"Values\":[\"192.0.2.1\"]},{\"SetIdentifier\":\"us\",\"Role\":\"SECONDARY\","
    "\"Healthy\":true,\"Chosen\":true,\"Reason\":\"it is up\",\"Alias\":\"us.example.com.\","
    "\"Values\":[\"192.0.2.2\",\"192.0.2.3\"]}]}]}";

static void status_is_readable_without_colours(void **state)
{
    (void)state;
    reply_body = status_json;
    struct run run = RUN("status");
    assert_int_equal(run.code, CLI_EXIT_OK);
    assert_string_equal(sent, "GET /leeward/status ");
    assert_string_equal(
        run.out, "Node n1\n"
                 "    version  0.1.0, up for 2 h 5 m\n"
                 "    regions  us-east-1, eu-west-1\n"
                 "    API      127.0.0.1:4566\n"
                 "    DNS      127.0.0.1:5300\n"
                 "    answers  include every change up to revision 9\n"
                 "\n"
                 "Zones\n"
                 "    NAME          RECORDS  ID\n"
                 "    example.com.  4        Z1\n"
                 "\n"
                 "Health checks\n"
                 "    ID                                STATE                                FOR   "
                 "                                 WHAT\n"
                 "    c1                                unhealthy, latched                   3 m "
                 "11 s (since 2026-11-21T09:56:48Z)  HTTPS https://a:443/health\n"
                 "      seen from us-east-1, 127.0.0.1  healthy                              30 s "
                 "(since 2026-11-21T09:59:30Z)      Success: HTTP Status Code 200, OK\n"
                 "    c2                                not checked yet, inverted, disabled        "
                 "                                 TCP tcp://b:1\n"
                 "    A latched check stays unhealthy until `leeward check reset ID`.\n"
                 "\n"
                 "Records with a policy\n"
                 "  www.example.com. A, policy failover\n"
                 "                ROLE       SET  HEALTH     ANSWER                                "
                 "          WHY\n"
                 "    not served  PRIMARY    eu   unhealthy  192.0.2.1                             "
                 "          it is down\n"
                 "    served      SECONDARY  us   healthy    alias of us.example.com.: 192.0.2.2, "
                 "192.0.2.3  it is up\n");
    assert_null(strchr(run.out, '\033'));
    done(&run);
}

static void zones_from_another_primary_have_a_state(void **state)
{
    (void)state;
    reply_body = "{\"Node\":{},\"Zones\":[],\"HealthChecks\":[],\"RoutedRecords\":[],"
                 "\"SecondaryZones\":[{\"ZoneId\":\"Z1\",\"Name\":\"example.com.\","
                 "\"State\":\"stale\",\"Serial\":7,\"Checked\":\"2026-11-21T09:59:30Z\","
                 "\"Error\":\"primary 192.0.2.1: it is down\"},"
                 "{\"ZoneId\":\"Z2\",\"Name\":\"\",\"State\":\"waiting\"}]}";
    struct run run = RUN("status");
    assert_int_equal(run.code, CLI_EXIT_OK);
    assert_non_null(strstr(
        run.out, "Zones from another primary\n"
                 "    NAME          STATE    SERIAL  CONFIRMED  WHY\n"
                 "    example.com.  stale    7       30 s ago   primary 192.0.2.1: it is down\n"
                 "    Z2            waiting  0       never"));
    done(&run);
}

static void colours_are_for_terminals_that_want_them(void **state)
{
    (void)state;
    const char *const words[] = {"status"};
    reply_body = status_json;
    struct run run = run_in(true, words, 1);
    assert_non_null(strchr(run.out, '\033'));
    done(&run);
    environment[4] = "NO_COLOR";
    environment[5] = "1";
    run = run_in(true, words, 1);
    assert_null(strchr(run.out, '\033'));
    done(&run);
}

static void a_status_that_was_cut_says_so(void **state)
{
    (void)state;
    static const char note[] = "and more: these are 1 of them, `leeward dig NAME TYPE` shows any";
    reply_body = status_json;
    struct run run = RUN("status");
    assert_null(strstr(run.out, "and more"));
    done(&run);
    char cut[sizeof status_json + 64];
    (void)snprintf(cut, sizeof cut, "%.*s,\"RoutedRecordsTruncated\":true}",
                   (int)(sizeof status_json - 2), status_json);
    reply_body = cut;
    run = RUN("status");
    assert_int_equal(run.code, CLI_EXIT_OK);
    assert_non_null(strstr(run.out, note));
    done(&run);
}

static void an_empty_status_says_what_to_do_first(void **state)
{
    (void)state;
    struct run run = RUN("status");
    assert_int_equal(run.code, CLI_EXIT_OK);
    assert_non_null(strstr(run.out, "create-hosted-zone"));
    assert_non_null(strstr(run.out, "create-health-check"));
    done(&run);
}

static void json_is_passed_through(void **state)
{
    (void)state;
    reply_body = status_json;
    struct run run = RUN("status", "--json");
    json_t *expected = json_loads(status_json, 0, NULL);
    json_t *shown = json_loads(run.out, 0, NULL);
    assert_true(json_equal(expected, shown));
    json_decref(expected);
    json_decref(shown);
    done(&run);
}

static void dig_asks_for_the_name_as_it_was_given(void **state)
{
    (void)state;
    reply_body = "{\"Name\":\"a.\",\"Type\":\"AAAA\",\"ZoneName\":\"\",\"Policy\":\"\","
                 "\"Note\":\"no zone holds the name\",\"Candidates\":[]}";
    struct run run = RUN("dig", "a&b=c d.example", "aaaa");
    assert_int_equal(run.code, CLI_EXIT_OK);
    assert_string_equal(sent, "GET /leeward/answer?name=a%26b%3Dc%20d.example&type=AAAA ");
    assert_string_equal(run.out, "a. AAAA\n    no zone holds the name\n");
    done(&run);
}

static void a_new_key_is_shown_ready_to_paste(void **state)
{
    (void)state;
    reply_body = "{\"Id\":\"LWAKNEW\",\"Secret\":\"s3cret\",\"Role\":\"operator\"}";
    struct run run = RUN("key", "create", "--role", "operator", "--comment", "on call");
    assert_int_equal(run.code, CLI_EXIT_OK);
    assert_string_equal(sent, "POST /leeward/key {\"Role\":\"operator\",\"Comment\":\"on call\"}");
    assert_non_null(strstr(run.out, "export LEEWARD_ACCESS_KEY_ID=LWAKNEW\n"));
    assert_non_null(strstr(run.out, "export LEEWARD_SECRET_ACCESS_KEY=s3cret\n"));
    done(&run);
    run = RUN("key", "create", "--comment", "bad \xff");
    assert_int_equal(run.code, CLI_EXIT_USAGE);
    done(&run);
}

static void ids_are_encoded_in_paths(void **state)
{
    (void)state;
    reply_body = "";
    struct run run = RUN("key", "delete", "a/b?c");
    assert_int_equal(run.code, CLI_EXIT_OK);
    assert_string_equal(sent, "DELETE /leeward/key/a%2Fb%3Fc ");
    done(&run);
    run = RUN("check", "reset", "../x");
    assert_int_equal(run.code, CLI_EXIT_OK);
    assert_string_equal(sent, "POST /leeward/healthcheck/..%2Fx/reset ");
    done(&run);
}

static void a_page_of_another_server_is_no_success(void **state)
{
    (void)state;
    static const char *const commands[][3] = {
        {"check", "reset", "x"}, {"key", "delete", "LWAK1"}, {"key", "create", "--json"}};
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        reply_body = "<html>It works!</html>";
        struct run run = RUN(commands[i][0], commands[i][1], commands[i][2]);
        assert_int_equal(run.code, CLI_EXIT_FAILED);
        assert_string_equal(run.out, "");
        assert_non_null(strstr(run.err, "is it leewardd?"));
        done(&run);
    }
}

static void an_answer_without_what_was_asked_for_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *words[3];
        size_t count;
        const char *body;
        const char *missing;
    } cases[] = {{{"status"}, 1, "{}", "Node"},
                 {{"status", "--json"}, 2, "{\"Node\":{},\"Zones\":[]}", "HealthChecks"},
                 {{"status"}, 1, "{\"Node\":[]}", "object"},
                 {{"dig", "a.example", "A"}, 3, "{}", "Name"},
                 {{"dig", "a.example", "A"}, 3, "{\"Name\":\"a.\",\"Type\":1}", "string"},
                 {{"key", "list"}, 2, "{}", "Keys"},
                 {{"key", "list", "--json"}, 3, "{\"Keys\":\"none\"}", "array"},
                 {{"key", "create"}, 2, "{}", "Id"},
                 {{"key", "create"}, 2, "{\"Id\":\"LWAK1\"}", "Secret"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        reply_body = cases[i].body;
        struct run run = run_in(false, cases[i].words, cases[i].count);
        assert_int_equal(run.code, CLI_EXIT_FAILED);
        assert_string_equal(run.out, "");
        assert_non_null(strstr(run.err, "is not what was asked for"));
        assert_non_null(strstr(run.err, cases[i].missing));
        done(&run);
    }
}

static void a_type_or_role_that_there_is_not_sends_nothing(void **state)
{
    (void)state;
    struct run run = RUN("dig", "a.example", "AXFR");
    assert_int_equal(run.code, CLI_EXIT_USAGE);
    assert_string_equal(run.err, "leeward: TYPE cannot be 'AXFR': it is one of SOA, A, TXT, NS, "
                                 "CNAME, MX, NAPTR, PTR, SRV, SPF, AAAA, CAA, DS, TLSA, "
                                 "SSHFP, SVCB, HTTPS\n");
    assert_string_equal(sent, "");
    done(&run);
    run = RUN("key", "create", "--role", "boss");
    assert_int_equal(run.code, CLI_EXIT_USAGE);
    assert_string_equal(run.err,
                        "leeward: --role cannot be 'boss': it is one of viewer, operator, admin\n");
    assert_string_equal(sent, "");
    done(&run);
}

static void a_list_of_keys_is_a_table(void **state)
{
    (void)state;
    reply_body = "{\"Keys\":[{\"Id\":\"LWAK1\",\"Role\":\"admin\",\"Comment\":\"first\","
                 "\"Created\":\"2026-11-21T09:48:44Z\"}]}";
    struct run run = RUN("key", "list");
    assert_string_equal(run.out, "ID     ROLE   CREATED               COMMENT\n"
                                 "LWAK1  admin  2026-11-21T09:48:44Z  first\n");
    done(&run);
}

static void durations_have_two_units(void **state)
{
    (void)state;
    const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {{-5, "less than 1 s"}, {0, "less than 1 s"}, {1, "1 s"},
                 {59, "59 s"},          {60, "1 m 0 s"},      {192, "3 m 12 s"},
                 {3599, "59 m 59 s"},   {3600, "1 h 0 m"},    {86399, "23 h 59 m"},
                 {86400, "1 d 0 h"},    {300000, "3 d 11 h"}};
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_string_equal(cli_duration(&arena, cases[i].seconds * TIME_S), cases[i].text);
    }
    arena_done(&arena);
}

static void a_full_disk_fails_the_run(void **state)
{
    (void)state;
    FILE *full = fopen("/dev/full", "w");
    if (full == NULL) {
        skip();
    }
    char *text = NULL;
    size_t size = 0;
    struct cli_world world = {
        .out = full, .err = open_memstream(&text, &size), .variable = variable, .call = call};
    const char *const lines[][3] = {{"leeward", "status", "--json"}, {"leeward", "key", "list"}};
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        assert_int_equal(cli_run(&world, 3, lines[i]), CLI_EXIT_FAILED);
    }
    (void)fclose(full); /* fails again, of course */
    assert_int_equal(fclose(world.err), 0);
    assert_non_null(strstr(text, "cannot write the output"));
    free(text);
}

#define TEST(function) cmocka_unit_test_setup(function, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(settings_have_defaults),
        TEST(options_win_over_the_environment),
        TEST(keys_fall_back_to_the_aws_variables_as_a_pair),
        TEST(without_a_key_the_variables_are_named),
        TEST(exit_codes_tell_failures_apart),
        TEST(a_refusal_shows_the_message_and_what_to_do),
        TEST(another_server_at_the_endpoint_is_suspected),
        TEST(status_is_readable_without_colours),
        TEST(zones_from_another_primary_have_a_state),
        TEST(colours_are_for_terminals_that_want_them),
        TEST(a_status_that_was_cut_says_so),
        TEST(an_empty_status_says_what_to_do_first),
        TEST(json_is_passed_through),
        TEST(dig_asks_for_the_name_as_it_was_given),
        TEST(a_new_key_is_shown_ready_to_paste),
        TEST(ids_are_encoded_in_paths),
        TEST(a_page_of_another_server_is_no_success),
        TEST(an_answer_without_what_was_asked_for_is_refused),
        TEST(a_type_or_role_that_there_is_not_sends_nothing),
        TEST(a_list_of_keys_is_a_table),
        TEST(durations_have_two_units),
        TEST(a_full_disk_fails_the_run),
    };
    return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
