/* The database agent's process: see database_role.h. database_role_start runs in the daemon, the
 * rest in the role's process. What only root may read (the seal key, etcd's password) is opened
 * before the process becomes database.user. Invariant: no server is ever started as root. */
#include "daemon/database_role.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "daemon/privileges.h"
#include "daemon/truth.h"
#include "database/agent/agent.h"
#include "model/database.h"
#include "seal/seal.h"
#include "store/link.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KEY_WAIT_MS 20
/* So long a renewal waits for its answer before it looks what became of it. */
#define LEASE_TIMEOUT_MS 500

/* In the daemon's memory, and as a copy in the role's. */
struct role {
    const struct config *config;
    struct privileges privileges; /* of database.user */
    struct supervisor_role supervised;
};

static char *socket_path(const struct config *config)
{
    return memory_printf("%s/store.socket", config->database_directory);
}

/* ---- the role's process ---- */

static void ignore_signal(int number)
{
    (void)signal(number, SIG_IGN); /* NOLINT(cert-err33-c): cannot fail for valid signals */
}

/* The daemon makes the key file at its first start; it is not for us to make one. */
static int open_seal(const struct config *config, struct seal **ret_seal, struct err *err)
{
    char *file CLEANUP(memory_cleanup) = config->seal_key[0] != '\0'
                                             ? memory_strdup(config->seal_key)
                                             : memory_printf("%s/seal.key", config->data);
    const struct timespec pause = {.tv_nsec = KEY_WAIT_MS * TIME_MS};
    while (!seal_from_environment() && access(file, F_OK) != 0 && errno == ENOENT) {
        (void)nanosleep(&pause, NULL); /* the supervisor ends us when the daemon ends */
    }
    return seal_open(file, ret_seal, err);
}

/* timeout_ms: the longest that a call takes. */
static int open_store(const struct config *config, int64_t timeout_ms, struct store **ret_store,
                      struct err *err)
{
    if (text_equal(config->store, "etcd")) {
        struct config limited = *config;
        limited.etcd_timeout_ms = timeout_ms;
        return truth_open(&limited, ret_store, err);
    }
    char *path CLEANUP(memory_cleanup) = socket_path(config);
    return store_link_open(path, (int)timeout_ms, ret_store, err);
}

/* The addresses of each region together, in the order in which they are configured. */
static void gather_regions(const struct config *config, struct arena *arena,
                           struct database_agent_config *agent)
{
    struct database_agent_region *regions =
        arena_array(arena, MAX(config->regions.count, 1U), sizeof *regions);
    for (size_t i = 0; i < config->regions.count; i++) {
        regions[i].name = config->regions.items[i];
        regions[i].addresses =
            arena_array(arena, config->database_addresses.count * (size_t)CONFIG_RANGE_LIMIT,
                        sizeof *regions[i].addresses);
        for (size_t k = 0; k < config->database_addresses.count; k++) {
            struct config_range range = {.count = 0};
            struct err err = ERR_INIT;
            /* Checked when the config was loaded. */
            IGNORE_RESULT(
                config_parse_range(config->database_addresses.items[k], arena, &range, &err));
            bool ours = range.count != 0 && text_equal(range.region, regions[i].name);
            for (size_t n = 0; ours && n < range.count; n++) {
                regions[i].addresses[regions[i].address_count++] = range.addresses[n];
            }
        }
    }
    agent->regions = regions;
    agent->region_count = config->regions.count;
}

static int give_up_privileges(const struct role *role, struct err *err)
{
    int rc = privileges_drop(&role->privileges, false, err);
    if (rc == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) { /* forgotten with the user */
        rc = err_set_errno(err, errno, "binding the agent to its supervisor");
    }
    return rc;
}

/* libpq takes settings from PG... and from files below HOME, which are those of whoever started the
 * daemon: they may not be for this user to read, and are not meant for its connections. To be
 * called before there are threads. */
static int forget_environment(const struct config *config, struct err *err)
{
    for (char **at = environ; *at != NULL;) {
        char name[64];
        size_t length = strcspn(*at, "=");
        bool other = !text_starts(*at, "PG") || text_copy_n(name, sizeof name, *at, length) != 0;
        if (!other && unsetenv(name) == 0) { /* NOLINT(concurrency-mt-unsafe): one thread */
            at = environ;                    /* they have moved */
        } else {
            at++;
        }
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    int rc = setenv("HOME", config->database_directory, 1);
    return rc == 0 ? 0 : err_set_errno(err, errno, "setting HOME");
}

static void wait_for_end(void)
{
    sigset_t wanted;
    int number = 0;
    (void)sigemptyset(&wanted); /* cannot fail with valid signals */
    (void)sigaddset(&wanted, SIGTERM);
    while (sigwait(&wanted, &number) != 0 || number != SIGTERM) {
        /* interrupted by a debugger */
    }
}

static int run(void *argument)
{
    const struct role *role = argument;
    const struct config *config = role->config;
    struct arena arena CLEANUP(arena_done);
    struct seal *seal CLEANUP(seal_cleanup) = NULL;
    struct store *store = NULL;
    struct store *lease_store = NULL;
    struct database_agent *agent = NULL;
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    ignore_signal(SIGINT); /* of a terminal: the daemon takes it, and has us end */
    ignore_signal(SIGHUP);
    struct database_agent_config settings = {.directory = config->database_directory,
                                             .bin = config->database_bin,
                                             .site = config->site,
                                             .zone = config->database_zone,
                                             .attach = config->database_attach,
                                             .aside_days = config->database_aside_days,
                                             .aside_count = config->database_aside_count,
                                             .stop_servers = config->database_stop_servers};
    gather_regions(config, &arena, &settings);
    int rc = forget_environment(config, &err);
    rc = rc != 0 ? rc : open_seal(config, &seal, &err);
    rc = rc != 0 ? rc : open_store(config, config->etcd_timeout_ms, &store, &err);
    rc = rc != 0 ? rc
                 : open_store(config, MIN(config->etcd_timeout_ms, LEASE_TIMEOUT_MS), &lease_store,
                              &err);
    rc = rc != 0 ? rc : give_up_privileges(role, &err);
    settings.seal = seal;
    settings.store = store;
    settings.lease_store = lease_store;
    rc = rc != 0 ? rc : database_agent_start(&settings, &agent, &err);
    if (rc != 0) {
        log_error("database.agent_failed", F("reason", &err),
                  F("next", "it is started again after a pause"));
    } else {
        memory_settle();
        wait_for_end();
        database_agent_stop(agent);
    }
    store_close(lease_store);
    store_close(store);
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- the daemon ---- */

/* What the agent may touch of the store. */
static const struct store_link_grant grants[] = {{.prefix = PATH_DATABASES, .write = true},
                                                 {.prefix = PATH_DATABASE_EVENTS, .write = true}};

static int find_user(const struct config *config, struct privileges *ret_privileges,
                     struct err *err)
{
    struct privileges found = {0};
    if (geteuid() == 0) {
        int rc = privileges_find(config->database_user, &found, err);
        if (rc != 0) {
            return err_wrap(err, "database.user");
        }
        if (!found.change) {
            return err_set(err, ERR_DENIED,
                           "database.user: '%s' is root, or does not exist; PostgreSQL does not "
                           "run as root",
                           config->database_user);
        }
    }
    *ret_privileges = found;
    return 0;
}

static int prepare_directory(const struct config *config, const struct privileges *privileges,
                             struct err *err)
{
    const char *directory = config->database_directory;
    uid_t owner = privileges->change ? privileges->uid : geteuid();
    struct stat status;
    bool made = mkdir(directory, 0700) == 0;
    if ((!made && errno != EEXIST) ||
        (made && privileges->change && chown(directory, privileges->uid, privileges->gid) != 0) ||
        stat(directory, &status) != 0) {
        return err_set_errno(err, errno, "database.directory %s", directory);
    }
    return status.st_uid == owner
               ? 0
               : err_set(err, ERR_DENIED,
                         "database.directory: %s belongs to user id %u, but database servers "
                         "run as user id %u",
                         directory, (unsigned)status.st_uid, (unsigned)owner);
}

int database_role_listen(const struct config *config, struct store_link_server **ret_server,
                         struct err *err)
{
    struct privileges privileges = {0};
    char *path CLEANUP(memory_cleanup) = socket_path(config);
    *ret_server = NULL;
    if (config->database_directory[0] == '\0' || text_equal(config->store, "etcd")) {
        return 0;
    }
    int rc = find_user(config, &privileges, err);
    const struct store_link_config link = {.path = path,
                                           .users = &privileges.uid,
                                           .user_count = privileges.change ? 1 : 0,
                                           .grants = grants,
                                           .grant_count = ARRAY_SIZE(grants)};
    return rc != 0 ? rc : store_link_listen(&link, ret_server, err);
}

int database_role_start(const struct config *config, struct supervisor **ret_supervisor,
                        struct err *err)
{
    struct privileges privileges = {0};
    *ret_supervisor = NULL;
    if (config->database_directory[0] == '\0') {
        return 0;
    }
    int rc = find_user(config, &privileges, err);
    rc = rc != 0 ? rc : prepare_directory(config, &privileges, err);
    if (rc != 0) {
        return rc;
    }
    static struct role role; /* the supervisor's copy of it is what counts */
    role = (struct role){.config = config, .privileges = privileges};
    role.supervised = (struct supervisor_role){.name = "leeward-db", .run = run, .argument = &role};
    return supervisor_start(&role.supervised, ret_supervisor, err);
}
