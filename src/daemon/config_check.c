/* What an option's own bounds cannot say: values that have a form, and options that need each
 * other. Called by config_load, on the main thread. Pure. Messages begin with the option's name, so
 * that the caller can add where it was set. */
#include "base/log.h"
#include "base/text.h"
#include "daemon/config.h"
#include "dns/wire/name.h"
#include "site/site.h"

#include <limits.h>
#include <string.h>

static int check_addresses(const struct config *config, struct err *err)
{
    struct sockaddr_storage address;
    int rc = config_parse_address(config->api_address, &address, err);
    if (rc != 0) {
        return err_wrap(err, "api.address");
    }
    if ((config->api_certificate[0] == '\0') != (config->api_key[0] == '\0')) {
        return err_set(err, ERR_INVALID, "api.certificate and api.key go together");
    }
    if (!config_address_is_loopback(&address) && config->api_certificate[0] == '\0' &&
        !config->api_plaintext) {
        return err_set(
            err, ERR_INVALID,
            "api.address %s is not loopback and there is no TLS: set api.certificate and "
            "api.key, or api.plaintext: yes",
            config->api_address);
    }
    if (config->dns_addresses.count == 0) {
        return err_set(err, ERR_INVALID, "dns.addresses: at least one is needed");
    }
    for (size_t i = 0; i < config->dns_addresses.count; i++) {
        rc = config_parse_address(config->dns_addresses.items[i], &address, err);
        if (rc != 0) {
            return err_wrap(err, "dns.addresses");
        }
    }
    return 0;
}

/* What listens with TLS. */
static int check_encrypted(const struct config *config, const struct config_list *addresses,
                           const char *name, struct err *err)
{
    struct sockaddr_storage address;
    for (size_t i = 0; i < addresses->count; i++) {
        if (config_parse_address(addresses->items[i], &address, err) != 0) {
            return err_wrap(err, "%s", name);
        }
    }
    if (addresses->count != 0 &&
        (config->dns_tls_certificate[0] == '\0' || config->dns_tls_key[0] == '\0')) {
        return err_set(err, ERR_INVALID, "%s: dns.tls-certificate and dns.tls-key are needed",
                       name);
    }
    return 0;
}

static int check_listeners(const struct config *config, struct err *err)
{
    struct sockaddr_storage address;
    if (check_encrypted(config, &config->dns_tls_addresses, "dns.tls", err) != 0 ||
        check_encrypted(config, &config->dns_https_addresses, "dns.https", err) != 0) {
        return err->code;
    }
    if (config->database_check[0] != '\0' &&
        config_parse_address(config->database_check, &address, err) != 0) {
        return err_wrap(err, "database.check-address");
    }
    if (config->metrics[0] == '\0') {
        return 0;
    }
    if (config_parse_address(config->metrics, &address, err) != 0) {
        return err_wrap(err, "metrics.address");
    }
    if (!config_address_is_loopback(&address) && !config->metrics_public) {
        return err_set(err, ERR_INVALID,
                       "metrics.address %s is not loopback: metrics.public: yes allows it",
                       config->metrics);
    }
    return 0;
}

static int check_prefixes(const struct config *config, struct err *err)
{
    sa_family_t family;
    uint8_t bits;
    uint8_t address[16];
    for (size_t i = 0; i < config->dns_rate_limit_exempt.count; i++) {
        if (config_parse_prefix(config->dns_rate_limit_exempt.items[i], &family, &bits, address,
                                err) != 0) {
            return err_wrap(err, "dns.rate-limit-exempt");
        }
    }
    return 0;
}

static bool region_is_valid(const char *name)
{
    size_t length = strlen(name);
    return length >= 1 && length <= 64 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

/* It becomes part of keys, and a line of tables. */
static bool node_is_valid(const char *name)
{
    size_t length = strlen(name);
    return length <= HOST_NAME_MAX &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_") ==
               length;
}

/* They are put into every new zone as its NS records. */
static int check_name_servers(const struct config *config, struct err *err)
{
    if (config->name_servers.count != 4) {
        return err_set(err, ERR_INVALID, "dns.name-servers: four names are needed, %zu given",
                       config->name_servers.count);
    }
    for (size_t i = 0; i < config->name_servers.count; i++) {
        uint8_t wire[NAME_WIRE_LIMIT];
        const char *name = config->name_servers.items[i];
        if (name_from_text(name, true, wire) <= 1) { /* the root is none either */
            return err_set(err, ERR_INVALID, "dns.name-servers: '%s' is not a host name", name);
        }
    }
    return 0;
}

static int check_site(const struct config *config, struct err *err)
{
    const char *listens = config->peer_address;
    const char *reached = config->peer_advertise[0] != '\0' ? config->peer_advertise : listens;
    struct sockaddr_storage address;
    if (config->site[0] != '\0' && !site_name_is_valid(config->site)) {
        return err_set(err, ERR_INVALID,
                       "site: '%s' is not a site's name (a-z, 0-9 and '-', at most 63)",
                       config->site);
    }
    if ((config->site[0] == '\0') != (listens[0] == '\0')) {
        return err_set(err, ERR_INVALID, "site and peer.address go together");
    }
    if (listens[0] != '\0' && config_parse_address(listens, &address, err) != 0) {
        return err_wrap(err, "peer.address");
    }
    return reached[0] == '\0' || config_check_reached(reached, err) == 0
               ? 0
               : err_wrap(err, "peer.advertise");
}

/* The rest of etcd's settings is looked at where it is opened. */
static int check_store(const struct config *config, struct err *err)
{
    bool etcd = text_equal(config->store, "etcd");
    if (!etcd && !text_equal(config->store, "sqlite")) {
        return err_set(err, ERR_INVALID, "store: '%s' is none of sqlite, etcd", config->store);
    }
    return etcd == (config->etcd_endpoints.count != 0)
               ? 0
               : err_set(err, ERR_INVALID, "etcd.endpoints: only the store etcd needs them");
}

static bool is_region_of(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->regions.count; i++) {
        if (text_equal(config->regions.items[i], name)) {
            return true;
        }
    }
    return false;
}

static int check_databases(const struct config *config, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    uint8_t wire[NAME_WIRE_LIMIT];
    arena_init(&arena, 0);
    for (size_t i = 0; i < config->database_addresses.count; i++) {
        struct config_range range;
        if (config_parse_range(config->database_addresses.items[i], &arena, &range, err) != 0) {
            return err_wrap(err, "database.addresses");
        }
        if (!is_region_of(config, range.region)) {
            return err_set(err, ERR_INVALID,
                           "database.addresses: '%s' is none of the regions of this daemon",
                           range.region);
        }
    }
    if (config->database_zone[0] != '\0' &&
        name_from_text(config->database_zone, true, wire) <= 1) {
        return err_set(err, ERR_INVALID, "database.zone: '%s' is not a zone's name",
                       config->database_zone);
    }
    if (config->database_directory[0] == '\0') {
        return 0;
    }
    if (config->database_directory[0] != '/') {
        return err_set(err, ERR_INVALID, "database.directory: '%s' does not begin with '/'",
                       config->database_directory);
    }
    return config->database_addresses.count != 0
               ? 0
               : err_set(err, ERR_INVALID,
                         "database.addresses: database servers need addresses to listen on");
}

int config_check(const struct config *config, struct err *err)
{
    enum log_level level;
    if (log_parse_level(config->log_level, &level) != 0) {
        return err_set(err, ERR_INVALID, "log-level: '%s' is none of debug, info, warn, error",
                       config->log_level);
    }
    if (config->regions.count == 0) {
        return err_set(err, ERR_INVALID, "regions: at least one is needed");
    }
    for (size_t i = 0; i < config->regions.count; i++) {
        if (!region_is_valid(config->regions.items[i])) {
            return err_set(err, ERR_INVALID,
                           "regions: '%s' is not a region name (a-z, 0-9 and '-', at most 64)",
                           config->regions.items[i]);
        }
    }
    if (strlen(config->account) != 12 || strspn(config->account, "0123456789") != 12) {
        return err_set(err, ERR_INVALID, "account: '%s' is not twelve digits", config->account);
    }
    if (!node_is_valid(config->node)) {
        return err_set(err, ERR_INVALID,
                       "node: '%s' is not a node name (A-Z, a-z, 0-9, '.', '-' and '_', at most "
                       "%d)",
                       config->node, HOST_NAME_MAX);
    }
    int rc = check_name_servers(config, err);
    rc = rc != 0 ? rc : check_site(config, err);
    if (rc != 0) {
        return rc;
    }
    rc = check_store(config, err);
    rc = rc != 0 ? rc : check_prefixes(config, err);
    rc = rc != 0 ? rc : check_listeners(config, err);
    rc = rc != 0 ? rc : check_databases(config, err);
    return rc != 0 ? rc : check_addresses(config, err);
}
