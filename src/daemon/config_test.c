/* Configuration: defaults, file and flags, and every way in which they can be wrong. */
#include "daemon/config.h"

#include "base/address.h"
#include "base/memory.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define WORDS_LIMIT 16

/* Loads with these words behind the program's name; NULL ends them. */
static int load(struct config **ret_config, struct err *err, const char *const *words)
{
    char *argv[WORDS_LIMIT] = {NULL};
    int argc = 1;
    argv[0] = memory_strdup("leewardd");
    for (; words[argc - 1] != NULL; argc++) {
        argv[argc] = memory_strdup(words[argc - 1]);
    }
    enum config_action action = CONFIG_HELP;
    int rc = config_load(argc, argv, &action, ret_config, err);
    assert_int_equal(action, CONFIG_RUN);
    for (int i = 0; i < argc; i++) {
        free(argv[i]);
    }
    return rc;
}

#define LOAD(config, err, ...) load(config, err, (const char *const[]){__VA_ARGS__, NULL})

/* A file with this text; the caller unlinks it. */
static void write_file(char path[32], const char *text)
{
    (void)memcpy(path, "/tmp/leeward-config-XXXXXX", 27);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
}

static void load_text(const char *text, struct config **ret_config, struct err *err, int wanted)
{
    char path[32];
    write_file(path, text);
    assert_int_equal(LOAD(ret_config, err, "--config", path) == 0, wanted == 0);
    assert_int_equal(unlink(path), 0);
}

static void defaults_are_the_documented_ones(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct config *config CLEANUP(config_cleanup) = NULL;
    assert_int_equal(load(&config, &err, (const char *const[]){NULL}), 0);
    assert_string_equal(config->api_address, "127.0.0.1:4566");
    assert_int_equal(config->dns_addresses.count, 1);
    assert_string_equal(config->dns_addresses.items[0], "127.0.0.1:5300");
    assert_int_equal(config->regions.count, 1);
    assert_string_equal(config->regions.items[0], "us-east-1");
    assert_int_equal(config->name_servers.count, 4);
    assert_string_equal(config->store, "sqlite");
    assert_int_equal(config->dns_udp_limit, 1232);
    assert_false(config->api_plaintext);
}

static void flags_override_the_file_and_the_file_the_defaults(void **state)
{
    (void)state;
    char path[32];
    write_file(path, "regions: [eu-west-1, eu-west-2]\n"
                     "api:\n  threads: 9\n  idle-ms: 2000\n"
                     "dns:\n  addresses: ['127.0.0.1:0', '[::1]:0']\n");
    struct err err = ERR_INIT;
    struct config *config CLEANUP(config_cleanup) = NULL;
    assert_int_equal(LOAD(&config, &err, "--api-threads=3", "--config", path, "--region", "a-1",
                          "--region", "b-2"),
                     0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(config->api_threads, 3);
    assert_int_equal(config->api_idle_ms, 2000);
    assert_int_equal(config->regions.count, 2);
    assert_string_equal(config->regions.items[1], "b-2");
    assert_int_equal(config->dns_addresses.count, 2);
}

static void an_empty_file_changes_nothing(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct config *config CLEANUP(config_cleanup) = NULL;
    load_text("", &config, &err, 0);
    assert_int_equal(config->api_threads, 4);
}

static void a_wrong_file_is_refused_with_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"colour: blue\n", "line 1: unknown option 'colour'"},
        {"api:\n  threads: 4\n  colour: blue\n", "line 3: unknown option 'api.colour'"},
        {"api:\n  threads: many\n", "line 2: api.threads: 'many' is not a number from 1 to 64"},
        {"api:\n  threads: 65\n", "line 2: api.threads: '65' is not a number"},
        {"api: 4\n", ": line 1: api: 'name: value' lines expected"},
        {"- a\n- b\n", "'name: value' lines expected"},
        {"data: [a, b]\n", ": line 1: data: one plain value expected"},
        {"a: [b\n", ": line 2: not well-formed YAML: flow sequence"},
        {"api:\n  plaintext: perhaps\n", "neither yes nor no"},
        {"dns:\n  name-servers: [a.b, b.c, 'c d', d.e]\n",
         "dns.name-servers: 'c d' is not a host name"},
        {"node: a/b\n", "node: 'a/b' is not a node name"},
        {"dns:\n  name-servers: [a, b]\n",
         ": line 2: dns.name-servers: four names are needed, 2 given"},
        {"regions: [Europe]\n", ": line 1: regions: 'Europe' is not a region name"},
        {"account: '12'\n", "not twelve digits"},
        {"data: a\n---\ndata: b\n", ": a second YAML document"},
        {"---\ndata: a\n---\n", ": a second YAML document"},
        {"data: a\n---\ndata: [\n", ": line 4: not well-formed YAML: flow sequence"},
        {"# a comment\nlog-level: loud\n", ": line 2: log-level: 'loud' is none of debug"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct err err = ERR_INIT;
        struct config *config = NULL;
        load_text(cases[i].text, &config, &err, -1);
        assert_null(config);
        if (strstr(err.message, cases[i].message) == NULL) {
            fail_msg("'%s' does not say '%s'", err.message, cases[i].message);
        }
    }
}

static void wrong_flags_are_refused_by_name(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct config *config = NULL;
    assert_true(LOAD(&config, &err, "--colour", "blue") != 0);
    assert_non_null(strstr(err.message, "unknown option --colour"));
    assert_true(LOAD(&config, &err, "--api") != 0);
    assert_non_null(strstr(err.message, "--api needs a value"));
    assert_true(LOAD(&config, &err, "api") != 0);
    assert_non_null(strstr(err.message, "unexpected argument 'api'"));
    assert_true(LOAD(&config, &err, "--config", "/nowhere/at/all") != 0);
    assert_non_null(strstr(err.message, "/nowhere/at/all: No such file"));
    assert_true(LOAD(&config, &err, "--store", "etcd://127.0.0.1:2379") != 0);
    assert_non_null(strstr(err.message, "none of sqlite, etcd"));
    assert_true(LOAD(&config, &err, "--store", "etcd") != 0);
    assert_non_null(strstr(err.message, "etcd.endpoints: only the store etcd needs them"));
    assert_true(LOAD(&config, &err, "--etcd", "http://127.0.0.1:2379") != 0);
    assert_non_null(strstr(err.message, "only the store etcd needs them"));
}

static void an_api_away_from_loopback_needs_tls_or_the_word(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct config *config = NULL;
    assert_true(LOAD(&config, &err, "--api", "0.0.0.0:4566") != 0);
    assert_non_null(strstr(err.message, "api.certificate"));
    assert_true(LOAD(&config, &err, "--api-certificate", "/c.pem") != 0);
    assert_non_null(strstr(err.message, "go together"));
    assert_int_equal(LOAD(&config, &err, "--api", "0.0.0.0:4566", "--api-plaintext", "yes"), 0);
    config_free(config);
}

static void addresses_are_read_and_written(void **state)
{
    (void)state;
    static const char *const good[] = {"127.0.0.1:53", "[::1]:5300", "0.0.0.0:0",
                                       "[2001:db8::1]:65535"};
    static const char *const bad[] = {"",
                                      "127.0.0.1",
                                      "127.0.0.1:",
                                      "localhost:53",
                                      "::1:53",
                                      "127.0.0.1:65536",
                                      "[127.0.0.1]:1",
                                      "[::1:53",
                                      "1.2.3.4:-1",
                                      ":53"};
    struct err err = ERR_INIT;
    struct sockaddr_storage address;
    char text[ADDRESS_PORT_TEXT];
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(config_parse_address(good[i], &address, &err), 0);
        address_port_text(&address, text);
        assert_string_equal(text, good[i]);
        assert_int_equal(config_address_is_loopback(&address), i < 2);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_true(config_parse_address(bad[i], &address, &err) != 0);
        assert_int_equal(err.kind, ERR_INVALID);
    }
}

static void a_wildcard_is_listened_at_but_never_named_to_other_sites(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct config *config = NULL;
    struct sockaddr_storage any;
    struct sockaddr_storage host;
    char text[ADDRESS_PORT_TEXT];
    assert_true(LOAD(&config, &err, "--site", "a", "--peer", "0.0.0.0:7000") != 0);
    assert_non_null(strstr(err.message, "peer.advertise: nobody can be reached at '0.0.0.0:7000'"));
    assert_true(LOAD(&config, &err, "--site", "a", "--peer", "192.0.2.1:7000", "--peer-advertise",
                     "[::]:7000") != 0);
    assert_int_equal(LOAD(&config, &err, "--site", "a", "--peer", "[::]:7000", "--peer-advertise",
                          "192.0.2.1:7000"),
                     0);
    config_free(config);
    assert_int_equal(config_parse_address("0.0.0.0:4566", &any, &err), 0);
    assert_int_equal(config_parse_address("[2001:db8::1]:7000", &host, &err), 0);
    assert_true(config_address_is_any(&any) && !config_address_is_any(&host));
    config_take_port(&host, &any);
    address_port_text(&host, text);
    assert_string_equal(text, "[2001:db8::1]:4566");
}

static void a_reload_says_what_only_a_restart_changes(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct config *running CLEANUP(config_cleanup) = NULL;
    struct config *loaded CLEANUP(config_cleanup) = NULL;
    char names[64];
    assert_int_equal(LOAD(&running, &err, "--region", "a-1"), 0);
    assert_int_equal(
        LOAD(&loaded, &err, "--region", "b-1", "--api-threads", "5", "--log-level", "debug"), 0);
    config_pending_restart(running, loaded, names, sizeof names);
    assert_string_equal(names, "regions, api.threads");
    config_pending_restart(running, running, names, sizeof names);
    assert_string_equal(names, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_documented_ones),
        cmocka_unit_test(flags_override_the_file_and_the_file_the_defaults),
        cmocka_unit_test(an_empty_file_changes_nothing),
        cmocka_unit_test(a_wrong_file_is_refused_with_the_place),
        cmocka_unit_test(wrong_flags_are_refused_by_name),
        cmocka_unit_test(an_api_away_from_loopback_needs_tls_or_the_word),
        cmocka_unit_test(addresses_are_read_and_written),
        cmocka_unit_test(a_wildcard_is_listened_at_but_never_named_to_other_sites),
        cmocka_unit_test(a_reload_says_what_only_a_restart_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
