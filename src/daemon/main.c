/* leewardd: parse, build the root object, run until a signal, tear down. See README for what it is.
 */
#include "base/address.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "daemon/daemon.h"
#include "daemon/database_role.h"
#include "daemon/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void print_address(const char *what, const struct sockaddr_storage *address)
{
    char text[ADDRESS_PORT_TEXT];
    address_port_text(address, text);
    (void)printf("%s %s\n", what, text); /* a closed stdout is the caller's choice */
}

/* The lines that tell a supervisor, or a test, where things listen. */
static void announce(const struct daemon *daemon)
{
    print_address("api", aws_server_address(daemon->api));
    for (size_t i = 0; i < daemon->config->dns_addresses.count; i++) {
        print_address("dns", dns_server_address(daemon->dns, i));
    }
    for (size_t i = 0; i < daemon->config->dns_tls_addresses.count; i++) {
        print_address("tls", dns_server_tls_address(daemon->dns, i));
    }
    for (size_t i = 0; i < daemon->config->dns_https_addresses.count; i++) {
        print_address("https", dns_server_https_address(daemon->dns, i));
    }
    if (cluster_address(daemon) != NULL) {
        print_address("peer", cluster_address(daemon));
    }
    if (daemon->metrics != NULL) {
        print_address("metrics", page_address(daemon->metrics));
    }
    if (daemon->endpoints != NULL && database_endpoints_check_address(daemon->endpoints) != NULL) {
        print_address("database-checks", database_endpoints_check_address(daemon->endpoints));
    }
    (void)puts("ready");
    (void)fflush(stdout);
    notify_systemd("READY=1");
    log_info("daemon.ready", F("node", daemon->node), F("version", LEEWARD_VERSION),
             F("data", daemon->config->data));
}

static void apply_log_level(const struct config *config)
{
    enum log_level level = LOG_INFO;
    if (log_parse_level(config->log_level, &level) == 0) { /* checked when it was loaded */
        log_set_level(level);
    }
}

static void reload(int argc, char *const *argv, struct daemon *daemon)
{
    enum config_action action = CONFIG_RUN;
    struct config *fresh CLEANUP(config_cleanup) = NULL;
    struct err err = ERR_INIT;
    char text[256];
    (void)snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld", /* fits */
                   (long long)(mono_now().ns / TIME_US));
    notify_systemd(text);
    if (config_load(argc, argv, &action, &fresh, &err) != 0) {
        log_error("config.rejected", F("reason", &err), F("next", "the running settings stay"));
    } else {
        apply_log_level(fresh);
        daemon_reload(daemon, fresh);
        config_pending_restart(daemon->config, fresh, text, sizeof text);
        log_info("config.reloaded", F("log_level", fresh->log_level), F("needs_restart", text));
    }
    notify_systemd("READY=1");
}

/* Blocked in every thread, taken one by one here. */
static void block_signals(sigset_t *set)
{
    (void)sigemptyset(set); /* none of these can fail with valid signals */
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, set, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* NOLINT(cert-err33-c): cannot fail for SIGPIPE */
}

/* Thousands of checks and connections at once: as many descriptors as we may have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* the soft limit is enough for small set-ups */
    }
}

/* Standard descriptors that the caller closed are taken, so that no socket or file of ours gets
 * their number and then what we print. Output is opened for reading: writing to it fails, and is
 * seen. */
static void hold_standard_descriptors(void)
{
    int fd = 0;
    do {
        fd = open("/dev/null", O_RDONLY); /* gives the lowest number that is free */
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) {
        (void)close(fd); /* only opened */
    }
}

/* What comes once a day is done meanwhile. */
static int wait_for_signal(const sigset_t *signals, struct daemon *daemon)
{
    const struct timespec day = {.tv_sec = 86400};
    for (;;) {
        int number = sigtimedwait(signals, NULL, &day);
        if (number > 0) {
            return number;
        }
        if (errno == EAGAIN) {
            daemon_renew(daemon);
        }
    }
}

static int run(const struct config *config, int argc, char *const *argv)
{
    sigset_t signals;
    struct daemon *daemon = NULL;
    struct supervisor *databases = NULL;
    struct err err = ERR_INIT;
    block_signals(&signals);
    raise_descriptor_limit();
    apply_log_level(config);
    if (database_role_start(config, &databases, &err) != 0 ||
        daemon_start(config, &daemon, &err) != 0) { /* the supervisor sees our end */
        log_error("daemon.start_failed", F("reason", &err));
        return EXIT_FAILURE;
    }
    memory_settle();
    announce(daemon);
    int signal_number = wait_for_signal(&signals, daemon);
    while (signal_number == SIGHUP) {
        reload(argc, argv, daemon);
        signal_number = wait_for_signal(&signals, daemon);
    }
    log_info("daemon.stopping", F("signal", signal_number));
    notify_systemd("STOPPING=1");
    supervisor_stop(databases); /* first: its store may be ours */
    daemon_stop(daemon);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    enum config_action action = CONFIG_RUN;
    struct config *config CLEANUP(config_cleanup) = NULL;
    struct err err = ERR_INIT;
    hold_standard_descriptors();
    if (config_load(argc, argv, &action, &config, &err) != 0) {
        (void)fprintf(stderr, "leewardd: %s\n", err.message); /* nowhere else to say it */
        return 2;
    }
    switch (action) {
    case CONFIG_HELP:
        config_print_help(stdout);
        return EXIT_SUCCESS;
    case CONFIG_REFERENCE:
        config_print_reference(stdout);
        return EXIT_SUCCESS;
    case CONFIG_VERSION:
        (void)puts("leewardd " LEEWARD_VERSION);
        return EXIT_SUCCESS;
    case CONFIG_RUN:
        break;
    }
    return run(config, argc, argv);
}
