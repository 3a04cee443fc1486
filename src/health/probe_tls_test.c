/* Probes over TLS, with and without SNI and verification: openssl(1) makes the certificates and is
 * the server. */
#include "base/macro.h"
#include "base/memory.h"
#include "health/probe_fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct tls {
    char folder[64];
    char ca[96];
    pid_t pid;
    uint16_t port;
};

#define ARGUMENTS 32U

static pid_t spawn(const char *const arguments[])
{
    char *copies[ARGUMENTS + 1] = {NULL};
    pid_t pid = 0;
    posix_spawn_file_actions_t actions;
    for (size_t i = 0; i < ARGUMENTS && arguments[i] != NULL; i++) {
        copies[i] = memory_strdup(arguments[i]);
    }
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    assert_int_equal(posix_spawnp(&pid, copies[0], &actions, NULL, copies, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    for (size_t i = 0; i < ARGUMENTS; i++) {
        free(copies[i]);
    }
    return pid;
}

static void make_certificate(const char *folder, const char *name)
{
    char key[96];
    char certificate[96];
    char subject[64];
    char alternative[64];
    (void)snprintf(key, sizeof key, "%s/%s.key", folder, name);
    (void)snprintf(certificate, sizeof certificate, "%s/%s.pem", folder, name);
    (void)snprintf(subject, sizeof subject, "/CN=%s", name);
    (void)snprintf(alternative, sizeof alternative, "subjectAltName=DNS:%s", name);
    const char *const arguments[] = {
        "openssl", "req",   "-x509",   "-newkey",   "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes",  "-days", "2",       "-keyout",   key,  "-out",     certificate,
        "-subj",   subject, "-addext", alternative, NULL};
    int status = 0;
    pid_t pid = spawn(arguments);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static bool listens(void *context)
{
    const uint16_t *port = context;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(*port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    (void)close(fd);
    return connected;
}

/* With fatal, a client that names another host than `named` gets an alert. */
static void tls_start(struct tls *tls, bool fatal)
{
    char port[8];
    char path[4][96];
    (void)snprintf(tls->folder, sizeof tls->folder, "/tmp/leeward-probe-XXXXXX");
    assert_non_null(mkdtemp(tls->folder));
    make_certificate(tls->folder, "plain.test");
    make_certificate(tls->folder, "named.test");
    (void)snprintf(tls->ca, sizeof tls->ca, "%s/named.test.pem", tls->folder);
    tls->port = test_free_port();
    (void)snprintf(port, sizeof port, "%u", tls->port);
    (void)snprintf(path[0], sizeof path[0], "%s/plain.test.pem", tls->folder);
    (void)snprintf(path[1], sizeof path[1], "%s/plain.test.key", tls->folder);
    (void)snprintf(path[2], sizeof path[2], "%s/named.test.pem", tls->folder);
    (void)snprintf(path[3], sizeof path[3], "%s/named.test.key", tls->folder);
    const char *const arguments[] = {
        "openssl", "s_server",    "-accept",    port,
        "-www",    "-cert",       path[0],      "-key",
        path[1],   "-servername", "named.test", "-cert2",
        path[2],   "-key2",       path[3],      fatal ? "-servername_fatal" : NULL,
        NULL};
    tls->pid = spawn(arguments);
    assert_true(test_wait(listens, &tls->port));
}

static void tls_stop(const struct tls *tls)
{
    static const char *const names[] = {"plain.test.pem", "plain.test.key", "named.test.pem",
                                        "named.test.key"};
    char path[128];
    (void)kill(tls->pid, SIGKILL);
    (void)waitpid(tls->pid, NULL, 0);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", tls->folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(tls->folder);
}

static struct model_check tls_check(const struct fixture *fixture, const struct tls *tls)
{
    struct model_check check = probe_fixture_check(fixture);
    check.type = MODEL_CHECK_HTTPS;
    check.port = tls->port;
    check.host_name = "named.test";
    check.options.timeout_ms = 120000;
    return check;
}

static void the_server_name_is_sent_only_with_sni_enabled(void **state)
{
    struct fixture *fixture = *state;
    struct tls tls;
    tls_start(&tls, true);
    struct model_check check = tls_check(fixture, &tls);
    check.enable_sni = true;
    (void)probe_fixture_run(fixture, &check);
    assert_true(fixture->result.passed);
    check.host_name = "other.test";
    assert_non_null(
        strstr(probe_fixture_run(fixture, &check), "Failure: SSL negotiation failed: "));
    check.enable_sni = false; /* not sent: nothing to object to */
    (void)probe_fixture_run(fixture, &check);
    assert_true(fixture->result.passed);
    tls_stop(&tls);
}

static void a_certificate_is_verified_only_when_asked_for(void **state)
{
    struct fixture *fixture = *state;
    struct tls tls;
    tls_start(&tls, false);
    struct model_check check = tls_check(fixture, &tls);
    (void)probe_fixture_run(fixture, &check);
    assert_true(fixture->result.passed); /* made by nobody anyone knows */
    check.options.verify_tls = true;
    assert_non_null(
        strstr(probe_fixture_run(fixture, &check), "Failure: SSL negotiation failed: "));
    probe_fixture_close_engine(fixture);
    probe_fixture_open_engine(fixture, &probe_fixture_patient, tls.ca);
    for (int i = 0; i < 2; i++) { /* the second time with the kept authorities */
        (void)probe_fixture_run(fixture, &check);
        assert_string_equal(fixture->result.text,
                            "Success: HTTP Status Code 200, ok. Resolved IP: 127.0.0.1");
    }
    check.host_name = "plain.test"; /* another certificate, unknown here */
    assert_non_null(
        strstr(probe_fixture_run(fixture, &check), "Failure: SSL negotiation failed: "));
    check.host_name = ""; /* the address is not in the certificate */
    assert_non_null(
        strstr(probe_fixture_run(fixture, &check), "Failure: SSL negotiation failed: "));
    tls_stop(&tls);
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, probe_fixture_set_up, probe_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_server_name_is_sent_only_with_sni_enabled),
        TEST(a_certificate_is_verified_only_when_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
