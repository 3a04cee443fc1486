/* The root object: see daemon.h. Starts the rooms in the order in which each needs the one before,
 * and stops them in reverse; a half-started daemon is stopped the same way. Called by main. */
#include "daemon/daemon.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/snapshot.h"
#include "base/text.h"
#include "daemon/credentials.h"
#include "daemon/database_role.h"
#include "daemon/exposition.h"
#include "daemon/keyring.h"
#include "daemon/privileges.h"
#include "daemon/sealing.h"
#include "daemon/secret_file.h"
#include "daemon/truth.h"
#include "service/arc/arc.h"
#include "service/common/controls.h"
#include "service/leeward/leeward.h"
#include "service/rds/rds.h"
#include "service/route53/route53.h"
#include "service/sts/sts.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAILURES_LOGGED_A_SECOND 100U

static const struct aws_service *const services[] = {&service_route53,     &service_sts,
                                                     &service_leeward,     &service_arc_config,
                                                     &service_arc_cluster, &service_rds};

static int open_store(struct daemon *daemon, struct err *err)
{
    return truth_open(daemon->config, &daemon->store, err);
}

/* After the store: its secrets are looked at. */
static int open_seal(struct daemon *daemon, struct err *err)
{
    const struct config *config = daemon->config;
    char *file CLEANUP(memory_cleanup) = config->seal_key[0] != '\0'
                                             ? memory_strdup(config->seal_key)
                                             : memory_printf("%s/seal.key", config->data);
    bool rewrite = false;
    if (!copies_complete(daemon) && !seal_from_environment() && access(file, F_OK) != 0) {
        return err_set(err, ERR_UNAVAILABLE,
                       "the store cannot be reached, there is no replica of it yet, and no seal "
                       "key %s: there is nothing to serve, and no key is made",
                       file);
    }
    int rc = sealing_open(daemon->copy, daemon->store, file, &daemon->seal, &rewrite, err);
    if (rc == 0 && rewrite) {
        rc = truth_forget(daemon->config, daemon->store, err);
        rc = rc != 0 ? rc : sealing_forget(daemon->store, err);
        rc = rc != 0 && copies_excuse(daemon, "forgetting plain secrets", err) ? 0 : rc;
    }
    return rc;
}

/* Where nothing is known yet, nothing is made up. */
static int prepare_credentials(struct daemon *daemon, struct err *err)
{
    struct store *store = copies_complete(daemon) ? daemon->copy : daemon->store;
    int rc = credentials_prepare(store, daemon->store, daemon->seal, stdout, err);
    return rc != 0 && copies_excuse(daemon, "preparing access keys", err) ? 0 : rc;
}

static void status_published(void *context, const struct model_status *status)
{
    struct daemon *daemon = context;
    compiler_set_status(daemon->compiler, status);
}

static int start_health(struct daemon *daemon, struct err *err)
{
    struct health_config config = {.store = daemon->copy,
                                   .local = daemon->local,
                                   .node = daemon->node,
                                   .region = daemon->config->regions.items[0],
                                   .published = status_published,
                                   .context = daemon};
    int rc = cluster_prepare(daemon, &config, err);
    return rc != 0 ? rc : health_start(&config, &daemon->health, err);
}

/* Those that this process may use. */
static unsigned processors(void)
{
    cpu_set_t set;
    bool known = sched_getaffinity(0, sizeof set, &set) == 0; /* no more than 1,024 */
    long count = known ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (unsigned)MIN(count, (long)DNS_WORKERS_LIMIT);
}

static void set_exempt(struct daemon *daemon)
{
    const struct config_list *list = &daemon->config->dns_rate_limit_exempt;
    daemon->exempt = memory_array(MAX(list->count, 1U), sizeof *daemon->exempt);
    for (size_t i = 0; i < list->count; i++) {
        struct dns_prefix *prefix = &daemon->exempt[i];
        struct err err = ERR_INIT;
        /* Checked when the config was loaded. */
        IGNORE_RESULT(config_parse_prefix(list->items[i], &prefix->family, &prefix->bits,
                                          prefix->address, &err));
    }
}

static int parse_addresses(const struct config_list *list, struct arena *arena,
                           struct sockaddr_storage **ret_addresses, struct err *err)
{
    struct sockaddr_storage *addresses =
        arena_array(arena, MAX(list->count, 1U), sizeof *addresses);
    for (size_t i = 0; i < list->count; i++) {
        int rc = config_parse_address(list->items[i], &addresses[i], err);
        if (rc != 0) {
            return rc;
        }
    }
    *ret_addresses = addresses;
    return 0;
}

static void watch_serials(struct zone_database *database, void *argument)
{
    transfers_keep_serials(argument, database);
}

/* Before the feed, which brings the settings. */
static int start_transfers(struct daemon *daemon, struct err *err)
{
    const struct config *config = daemon->config;
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    struct transfer_config transfer = {.zones = compiler_zones(daemon->compiler),
                                       .threads = (unsigned)config->dns_transfers,
                                       .timeout_ms = (unsigned)config->dns_transfer_timeout_ms,
                                       .source_count = config->dns_addresses.count};
    struct sockaddr_storage *sources = NULL;
    int rc = parse_addresses(&config->dns_addresses, &arena, &sources, err);
    transfer.sources = sources;
    rc = rc != 0 ? rc : transfer_start(&transfer, &daemon->transfer, err);
    struct secondary_config secondary = {.store = daemon->store,
                                         .threads = (unsigned)config->dns_transfers,
                                         .timeout_ms = (unsigned)config->dns_transfer_timeout_ms};
    rc = rc != 0 ? rc : secondary_start(&secondary, &daemon->secondary, err);
    struct transfers_config transfers = {.store = daemon->local,
                                         .seal = daemon->seal,
                                         .transfer = daemon->transfer,
                                         .secondary = daemon->secondary,
                                         .node = daemon->node};
    rc = rc != 0 ? rc : transfers_start(&transfers, &daemon->transfers, err);
    if (rc == 0) {
        compiler_run(daemon->compiler, watch_serials, daemon->transfers);
    }
    return rc;
}

/* On a DNS worker, none of which runs before start_transfers or after the end of secondary. */
static bool take_notify(void *context, const uint8_t *apex, const struct sockaddr *source)
{
    const struct daemon *daemon = context;
    return secondary_notify(daemon->secondary, apex, source);
}

static int open_dns(struct daemon *daemon, struct err *err)
{
    const struct config *config = daemon->config;
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    struct sockaddr_storage *addresses = NULL;
    struct sockaddr_storage *tls = NULL;
    struct sockaddr_storage *https = NULL;
    char *certificate = NULL;
    char *key = NULL;
    int rc = parse_addresses(&config->dns_addresses, &arena, &addresses, err);
    rc = rc != 0 ? rc : parse_addresses(&config->dns_tls_addresses, &arena, &tls, err);
    rc = rc != 0 ? rc : parse_addresses(&config->dns_https_addresses, &arena, &https, err);
    rc = rc != 0 ? rc : protection_read_certificate(config, &certificate, &key, err);
    if (rc != 0) {
        return rc;
    }
    set_exempt(daemon);
    struct dns_server_config dns = {
        .addresses = addresses,
        .address_count = config->dns_addresses.count,
        .tls_addresses = tls,
        .tls_address_count = config->dns_tls_addresses.count,
        .https_addresses = https,
        .https_address_count = config->dns_https_addresses.count,
        .certificate_pem = certificate,
        .key_pem = key,
        .workers = config->dns_workers != 0 ? (unsigned)config->dns_workers : processors(),
        .pin_workers = config->dns_pin_workers,
        .udp_limit = (uint16_t)config->dns_udp_limit,
        .tcp_connections = (unsigned)config->dns_tcp_connections,
        .tcp_idle_ms = (unsigned)config->dns_tcp_idle_ms,
        .rate_limit = (unsigned)config->dns_rate_limit,
        .rate_limit_slip = (unsigned)config->dns_rate_limit_slip,
        .exempt = daemon->exempt,
        .exempt_count = config->dns_rate_limit_exempt.count,
        .cookies = &daemon->protection.cookies,
        .locate = place_locate,
        .locate_context = daemon,
        .home = daemon->home.placed ? &daemon->home : NULL,
        .notified = take_notify,
        .notified_context = daemon};
    rc = dns_server_open(&dns, &daemon->dns, err);
    secret_file_free(certificate);
    secret_file_free(key);
    return rc;
}

static int lookup(void *context, const char *access_key_id, bool changes,
                  struct aws_credential *ret_credential, struct err *err)
{
    static struct log_limit unconfirmed;
    const struct daemon *daemon = ((struct service_context *)context)->views.context;
    struct replica_status status = {.in_step = true};
    if (daemon->replica != NULL && changes) {
        replica_status(daemon->replica, &status);
    }
    const struct credentials_place place = {.replica = daemon->copy,
                                            .truth = daemon->store,
                                            .keyring = daemon->keyring,
                                            .seal = daemon->seal,
                                            .in_step = status.in_step,
                                            .away = status.away};
    int rc = credentials_find(&place, access_key_id, changes, ret_credential, err);
    if (rc == 0 && status.away && log_limit_allows(&unconfirmed, 1)) {
        log_warn("api.key_not_confirmed", F("key", access_key_id),
                 F("reason", "the store is away: whether the key was deleted is not known"),
                 F("next", "the call goes on; it can change what is this site's alone"));
    }
    return rc;
}

/* The access log: changes and failures, reads at debug. Failures are what strangers can cause
 * without end: only so many a second. */
static void call_finished(void *context, const struct aws_call *call, int http_status,
                          int64_t duration_ns, const struct err *err)
{
    static struct log_limit failures;
    (void)context;
    if (err != NULL && !log_limit_allows(&failures, FAILURES_LOGGED_A_SECOND)) {
        return;
    }
    const char *operation = call->operation != NULL ? call->operation : "";
    bool read = text_starts(operation, "Get") || text_starts(operation, "List") ||
                text_starts(operation, "Describe") || text_starts(operation, "Test");
    struct log_field fields[] = {
        F("service", call->service),
        F("operation", operation),
        F("status", http_status),
        F("microseconds", duration_ns / TIME_US),
        F("key", call->access_key_id),
        F("source", call->source),
        F("request", call->request_id),
        F("code", err != NULL && call->error_code != NULL ? call->error_code : ""),
        F("error", err != NULL ? err->message : ""),
    };
    size_t count = err != NULL ? ARRAY_SIZE(fields) : ARRAY_SIZE(fields) - 2;
    enum log_level level = read && err == NULL ? LOG_DEBUG : LOG_INFO;
    level = http_status >= 500 ? LOG_ERROR : level;
    log_write(level, "api.call", fields, count);
}

static int start_api(struct daemon *daemon, struct err *err)
{
    const struct config *config = daemon->config;
    struct aws_server_config api = {.threads = (unsigned)config->api_threads,
                                    .connections = (unsigned)config->api_connections,
                                    .idle_ms = (unsigned)config->api_idle_ms,
                                    .account_id = config->account,
                                    .regions = config->regions.items,
                                    .region_count = config->regions.count,
                                    .services = services,
                                    .service_count = ARRAY_SIZE(services),
                                    .context = &daemon->services,
                                    .credential = lookup,
                                    .finished = call_finished,
                                    .descriptor = daemon->api_listener};
    daemon->api_listener = 0; /* the server's from here on */
    api.certificate_pem = daemon->certificate;
    api.key_pem = daemon->key;
    return aws_server_start(&api, &daemon->api, err);
}

static int open_api(struct daemon *daemon, struct err *err)
{
    const struct config *config = daemon->config;
    struct sockaddr_storage address;
    int rc = config_parse_address(config->api_address, &address, err);
    if (rc == 0 && config->api_certificate[0] != '\0') {
        rc = secret_file_read(config->api_certificate, &daemon->certificate, err);
        rc = rc != 0 ? rc : secret_file_read(config->api_key, &daemon->key, err);
    }
    return rc != 0 ? rc : aws_server_listen(&address, &daemon->api_listener, err);
}

static void set_node_name(struct daemon *daemon)
{
    const char *wanted = daemon->config->node;
    if (wanted[0] == '\0' || text_copy(daemon->node, sizeof daemon->node, wanted) != 0) {
        if (gethostname(daemon->node, sizeof daemon->node) != 0) {
            IGNORE_RESULT(text_copy(daemon->node, sizeof daemon->node, "leeward")); /* fits */
        }
        daemon->node[sizeof daemon->node - 1] = '\0';
    }
    for (char *p = daemon->node; *p != '\0'; p++) {
        *p = *p == '/' ? '-' : *p; /* it becomes part of keys */
    }
}

static int open_metrics(struct daemon *daemon, struct err *err)
{
    struct sockaddr_storage address;
    if (daemon->config->metrics[0] == '\0') {
        return 0;
    }
    int rc = config_parse_address(daemon->config->metrics, &address, err);
    rc = rc != 0 ? rc : page_open(&address, &exposition_page, &daemon->metrics, err);
    return rc == 0 ? 0 : err_wrap(err, "metrics.address %s", daemon->config->metrics);
}

static int start_metrics(struct daemon *daemon, struct err *err)
{
    return daemon->metrics == NULL ? 0 : page_run(daemon->metrics, daemon, err);
}

static int open_endpoints(struct daemon *daemon, struct err *err)
{
    struct sockaddr_storage address;
    const struct config *config = daemon->config;
    bool pages = config->database_check[0] != '\0';
    const struct database_endpoints_config wanted = {.zone = config->database_zone,
                                                     .ttl_s = (uint32_t)config->database_ttl_s,
                                                     .check_address = pages ? &address : NULL};
    if (!pages && config->database_zone[0] == '\0') {
        return 0;
    }
    int rc = pages ? config_parse_address(config->database_check, &address, err) : 0;
    rc = rc != 0 ? rc : database_endpoints_open(&wanted, &daemon->endpoints, err);
    return rc == 0 ? 0 : err_wrap(err, "database.check-address %s", config->database_check);
}

/* All that needs root, before there is a second thread: files that only root reads, ports; then
 * root is given up. */
static int open_and_drop(struct daemon *daemon, struct err *err)
{
    struct privileges privileges;
    const struct config *config = daemon->config;
    int rc = privileges_find(config->user, &privileges, err);
    rc = rc != 0 ? rc : protection_apply(&daemon->protection, config, err);
    rc = rc != 0 ? rc : open_metrics(daemon, err);
    rc = rc != 0 ? rc : place_prepare(daemon, err);
    rc = rc != 0 ? rc : open_dns(daemon, err);
    rc = rc != 0 ? rc : open_api(daemon, err);
    rc = rc != 0 ? rc : cluster_open(daemon, err);
    rc = rc != 0 ? rc : open_endpoints(daemon, err);
    rc = rc != 0 ? rc : database_role_listen(config, &daemon->link, err);
    rc = rc != 0 ? rc : privileges_prepare_directory(&privileges, config->data, err);
    return rc != 0 ? rc : privileges_drop(&privileges, config->sandbox, err);
}

static int start_rooms(struct daemon *daemon, struct err *err)
{
    int rc = open_and_drop(daemon, err);
    rc = rc != 0 ? rc : open_store(daemon, err);
    rc = rc != 0 ? rc : copies_open(daemon, err);
    rc = rc != 0 ? rc : open_seal(daemon, err);
    rc = rc != 0 ? rc : prepare_credentials(daemon, err);
    rc = rc != 0 || daemon->link == NULL ? rc : store_link_serve(daemon->link, daemon->store, err);
    rc = rc != 0 ? rc : compiler_start(&daemon->compiler, err);
    if (rc == 0) {
        compiler_run(daemon->compiler, place_regions, daemon);
    }
    rc = rc != 0 ? rc : start_health(daemon, err);
    rc = rc != 0 ? rc : start_transfers(daemon, err);
    rc = rc != 0 ? rc
                 : feed_start(daemon->copy, daemon->store, daemon->seal, daemon->compiler,
                              daemon->transfers, daemon->node, &daemon->feed, err);
    daemon->keyring = keyring_new(daemon->copy, daemon->seal);
    daemon->services = (struct service_context){.store = daemon->store,
                                                .replica = daemon->copy,
                                                .seal = daemon->seal,
                                                .controls = controls_cache_new(),
                                                .views = views_of(daemon),
                                                .name_servers = daemon->config->name_servers.items,
                                                .regions = daemon->regions,
                                                .region_count = daemon->region_count};
    rc = rc != 0 ? rc
                 : rollover_start(daemon->store, daemon->seal, daemon->config->zone_key_period_s,
                                  &daemon->rollover, err);
    rc = rc != 0 ? rc : start_metrics(daemon, err);
    rc = rc != 0 || daemon->endpoints == NULL
             ? rc
             : database_endpoints_run(daemon->endpoints, daemon->store, err);
    rc = rc != 0 ? rc : start_api(daemon, err);
    rc = rc != 0 ? rc : cluster_start(daemon, err);
    if (rc == 0) {
        cluster_hear(daemon);
    }
    return rc != 0 ? rc
                   : dns_server_run(daemon->dns, compiler_zones(daemon->compiler), daemon->transfer,
                                    err);
}

int daemon_start(const struct config *config, struct daemon **ret_daemon, struct err *err)
{
    struct daemon *daemon = memory_new(sizeof *daemon);
    daemon->config = config;
    arena_init(&daemon->arena, 0);
    cluster_init(&daemon->cluster);
    daemon->started = mono_now();
    set_node_name(daemon);
    int rc = start_rooms(daemon, err);
    if (rc != 0) {
        daemon_stop(daemon);
        return rc;
    }
    *ret_daemon = daemon;
    return 0;
}

void daemon_reload(struct daemon *daemon, const struct config *fresh)
{
    struct err err = ERR_INIT;
    if (protection_apply(&daemon->protection, fresh, &err) != 0) {
        log_error("dns.cookies_kept", F("reason", &err), F("next", "the secrets in use stay"));
    }
    char *certificate = NULL;
    char *key = NULL;
    int rc = protection_read_certificate(fresh, &certificate, &key, &err);
    if (rc == 0 && certificate != NULL && protection_has_tls(daemon->config)) {
        rc = dns_server_set_certificate(daemon->dns, certificate, key, &err);
    }
    if (rc != 0) {
        log_error("dns.certificate_kept", F("reason", &err),
                  F("next", "the certificate in use stays"));
    }
    err_clear(&err);
    if (locate_reload(daemon->locate, fresh->dns_location_database, &err) != 0) {
        log_error("dns.location_database_kept", F("reason", &err),
                  F("next", "the one that was loaded before stays in use"));
    }
    secret_file_free(certificate);
    secret_file_free(key);
}

void daemon_renew(struct daemon *daemon)
{
    protection_renew(&daemon->protection);
}

void daemon_stop(struct daemon *take_daemon)
{
    struct daemon *daemon = take_daemon;
    if (daemon == NULL) {
        return;
    }
    aws_server_stop(daemon->api);
    if (daemon->api_listener > 0) {
        (void)close(daemon->api_listener); /* nothing was sent */
    }
    page_stop(daemon->metrics);
    database_endpoints_stop(daemon->endpoints);
    cluster_stop(&daemon->cluster);
    rollover_stop(daemon->rollover);
    transfer_stop(daemon->transfer); /* gives the workers' connections back */
    dns_server_stop(daemon->dns);
    feed_stop(daemon->feed);
    health_stop(daemon->health);
    cluster_done(&daemon->cluster);
    compiler_stop(daemon->compiler);
    secondary_stop(daemon->secondary);
    protection_done(&daemon->protection);
    transfers_stop(daemon->transfers);
    transfer_free(daemon->transfer);
    locate_free(daemon->locate);
    snapshot_drain();
    controls_cache_free(daemon->services.controls);
    keyring_free(daemon->keyring);
    arena_done(&daemon->arena);
    store_link_stop(daemon->link);
    copies_close(daemon);
    store_close(daemon->store);
    seal_free(daemon->seal);
    free(daemon->exempt);
    secret_file_free(daemon->key);
    free(daemon->certificate);
    free(daemon);
}
