/* The files that a server is configured by: see postgres_configure. Three kinds of settings:
 * Leeward's own, which nobody changes; defaults, which a parameter group may change; and what the
 * parameter group says. Thread: as postgres.h; nothing is kept. */
#include "base/text.h"
#include "database/postgres/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_LIMIT (256U << 10U)

struct fixed {
    const char *name;
    const char *value;
};

/* What a parameter group may change. */
static const struct fixed defaults[] = {
    {"max_connections", "200"},
    {"wal_keep_size", "256MB"},
    {"max_slot_wal_keep_size", "16GB"}, /* a reader that stays away does not fill the disk */
    {"max_wal_size", "1GB"},
    {"tcp_keepalives_idle", "10"},
    {"tcp_keepalives_interval", "2"},
    {"tcp_keepalives_count", "5"},
    {"log_line_prefix", "%m [%p] %q%u@%d "},
    {"log_checkpoints", "off"},
    {"timezone", "UTC"},
    {"log_timezone", "UTC"},
};

/* Leeward's own. */
static const struct fixed ours[] = {
    {"logging_collector", "off"},
    {"log_destination", "stderr"},
    {"unix_socket_permissions", "0700"},
    {"ssl", "on"},
    {"ssl_min_protocol_version", "TLSv1.2"},
    {"password_encryption", "scram-sha-256"},
    {"hot_standby", "on"},
    {"fsync", "on"},
    {"full_page_writes", "on"},
    {"archive_mode", "off"},
    {"max_wal_senders", "24"},
    {"max_replication_slots", "24"},
    {"recovery_target_timeline", "latest"},
    {"restart_after_crash", "on"},
    /* How soon a reader tries again: a promotion waits for the end of such a pause. */
    {"wal_retrieve_retry_interval", "20ms"},
    {"wal_receiver_status_interval", "1s"},
    {"wal_receiver_timeout", "5s"},
    {"wal_sender_timeout", "5s"},
};

/* Set for each server, with values of their own; or never set. */
static const char *const others[] = {
    "listen_addresses",
    "port",
    "unix_socket_directories",
    "unix_socket_group",
    "cluster_name",
    "ssl_cert_file",
    "ssl_key_file",
    "ssl_ca_file",
    "ssl_crl_file",
    "ssl_crl_dir",
    "ssl_passphrase_command",
    "wal_level",
    "primary_conninfo",
    "primary_slot_name",
    "promote_trigger_file",
    "synchronous_standby_names",
    "data_directory",
    "config_file",
    "hba_file",
    "ident_file",
    "external_pid_file",
    "archive_command",
    "archive_library",
    "archive_cleanup_command",
    "restore_command",
    "recovery_end_command",
    "recovery_target",
    "recovery_target_action",
    "recovery_target_inclusive",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_xid",
    "log_directory",
    "dynamic_library_path",
    "session_preload_libraries",
    "local_preload_libraries",
    "krb_server_keyfile",
    "event_source",
    "bonjour",
    "bonjour_name",
    "allow_system_table_mods",
    "ignore_system_indexes",
    "ignore_checksum_failure",
    /* These would lock Leeward out, or load and read what is the machine's. */
    "db_user_namespace",
    "exit_on_error",
    "extension_destdir",
    "jit_provider",
    "output_plugin_libraries",
    "log_file_mode",
    "ssl_max_protocol_version",
    "zero_damaged_pages",
    "data_sync_retry",
};

bool postgres_setting_is_free(const char *name)
{
    if (text_starts(name, "rds.") || text_starts(name, "leeward.") || text_starts(name, "aurora")) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
        if (text_equal_nocase(name, ours[i].name)) {
            return false;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        if (text_equal_nocase(name, others[i])) {
            return false;
        }
    }
    return true;
}

static bool name_is_fine(const char *name)
{
    return name[0] != '\0' && strlen(name) < POSTGRES_NAME &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") ==
               strlen(name);
}

static void put_setting(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "%s = '", name);
    for (; *value != '\0'; value++) {
        if (*value == '\'' || *value == '\\') {
            buf_putc(out, *value);
        }
        buf_putc(out, *value);
    }
    buf_puts(out, "'\n");
}

static const char *setting_of(const struct postgres_config *config, const char *name)
{
    for (size_t i = 0; i < config->setting_count; i++) {
        if (text_equal_nocase(config->settings[i].name, name)) {
            return config->settings[i].value;
        }
    }
    return "";
}

/* A boolean parameter's. */
static bool is_on(const char *value)
{
    return text_equal(value, "1") || text_equal(value, "on") || text_equal(value, "true") ||
           text_equal(value, "yes");
}

static int put_settings(const struct postgres_config *config, struct buf *out, struct err *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
        put_setting(out, defaults[i].name, defaults[i].value);
    }
    buf_puts(out, "# parameter groups\n");
    for (size_t i = 0; !config->plain && i < config->setting_count; i++) {
        const struct model_database_setting *setting = &config->settings[i];
        if (!postgres_setting_is_free(setting->name) ||
            text_equal_nocase(setting->name, "shared_preload_libraries")) {
            continue;
        }
        if (!name_is_fine(setting->name) || strpbrk(setting->value, "\n\r") != NULL) {
            return err_set(err, ERR_INVALID,
                           "the parameter %.64s has a name or value that cannot be", setting->name);
        }
        put_setting(out, setting->name, setting->value);
    }
    return 0;
}

/* With less than the log's writer had, a standby does not start, or stops replaying; nor does a
 * server end its recovery that has more prepared transactions. */
static void put_limits(const struct postgres *server, const struct postgres_config *config,
                       struct buf *out)
{
    static const struct fixed standard[] = {
        {"max_connections", "200"}, /* ours */
        {"max_worker_processes", "8"},
        {"max_prepared_transactions", "0"},
        {"max_locks_per_transaction", "64"},
    };
    struct control_limit limits[CONTROL_LIMITS];
    struct err ignored = ERR_INIT; /* without data there is nothing to keep up with */
    if ((!config->standby && !config->plain) || control_limits(server, limits, &ignored) < 0) {
        return;
    }
    for (size_t i = 0; i < CONTROL_LIMITS; i++) {
        const char *wanted = config->plain ? "" : setting_of(config, limits[i].name);
        int64_t number = 0;
        if (text_to_i64(wanted, 0, INT32_MAX, &number) < 0) {
            IGNORE_RESULT(text_to_i64(standard[i].value, 0, INT32_MAX, &number)); /* it is one */
        }
        if (limits[i].value > number) {
            buf_printf(out, "%s = %" PRId64 "\n", limits[i].name, limits[i].value);
        }
    }
}

/* The module first, then what the parameter group wants. */
static void put_libraries(const struct postgres *server, const struct postgres_config *config,
                          struct buf *out)
{
    struct buf list CLEANUP(buf_done);
    buf_init(&list, 8192);
    const char *slash = strrchr(server->module, '/');
    if (slash != NULL) { /* by name: its background worker is found in the same way */
        struct buf path CLEANUP(buf_done);
        buf_init(&path, 8192);
        buf_put(&path, server->module, (size_t)(slash - server->module));
        buf_puts(&path, ":$libdir");
        put_setting(out, "dynamic_library_path", buf_text(&path));
        buf_puts(&list, slash + 1);
    }
    const char *wanted = setting_of(config, "shared_preload_libraries");
    if (!text_empty(wanted)) {
        buf_puts(&list, list.length > 0 ? "," : "");
        buf_puts(&list, wanted);
    }
    put_setting(out, "shared_preload_libraries", buf_text(&list));
}

static int put_path(const struct postgres *server, struct buf *out, const char *name,
                    const char *below, struct err *err)
{
    char path[PATH_SIZE];
    int r = file_path(server, below, path, err);
    if (r == 0) {
        put_setting(out, name, path);
    }
    return r;
}

static int put_upstream(const struct postgres *server, const struct postgres_config *config,
                        struct buf *out, struct err *err)
{
    const struct postgres_upstream *upstream = &config->upstream;
    char pass[PATH_SIZE];
    int r = pass_write(server, "upstream.pass", upstream, pass, err);
    if (r < 0) {
        return r;
    }
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 4096);
    if (!text_empty(upstream->address)) {
        buf_puts(&text, "host=");
        quote_conninfo(&text, upstream->address);
        buf_printf(&text, " port=%u user=" POSTGRES_REPLICATION " application_name=",
                   (unsigned)upstream->port);
        quote_conninfo(&text, server->name);
        buf_puts(&text, " sslmode=require channel_binding=require connect_timeout=3 "
                        "keepalives_idle=5 keepalives_interval=1 keepalives_count=5 passfile=");
        quote_conninfo(&text, pass);
    }
    put_setting(out, "primary_conninfo", buf_text(&text));
    put_setting(out, "primary_slot_name",
                text_empty(upstream->address) || upstream->slot == NULL ? "" : upstream->slot);
    return 0;
}

static int put_ours(const struct postgres *server, const struct postgres_config *config,
                    struct buf *out, struct err *err)
{
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", (unsigned)server->port);
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
        put_setting(out, ours[i].name, ours[i].value);
    }
    put_setting(out, "listen_addresses", server->address);
    put_setting(out, "port", port);
    put_setting(out, "cluster_name", server->name);
    put_setting(out, "wal_level",
                is_on(setting_of(config, "rds.logical_replication")) ? "logical" : "replica");
    put_setting(out, "synchronous_standby_names",
                config->synchronous != NULL ? config->synchronous : "");
    put_libraries(server, config, out);
    int r = put_path(server, out, "unix_socket_directories", "run", err);
    if (r == 0) {
        r = put_path(server, out, "ssl_cert_file", "run/server.crt", err);
    }
    if (r == 0) {
        r = put_path(server, out, "ssl_key_file", "run/server.key", err);
    }
    if (r == 0 && !text_empty(server->module)) {
        put_setting(out, "leeward.strict", config->strict ? "on" : "off");
        r = put_path(server, out, "leeward.lease_file", "run/lease", err);
    }
    return r < 0 ? r : put_upstream(server, config, out, err);
}

static int write_below(const struct postgres *server, const char *below, const struct buf *text,
                       bool *changed, struct err *err)
{
    char path[PATH_SIZE];
    int r = file_path(server, below, path, err);
    return r < 0 ? r : file_update(server, path, text, 0600, changed, err);
}

#define HEAD "# Written by Leeward; changes are lost.\n"

static int write_settings(const struct postgres *server, const struct postgres_config *config,
                          bool *changed, struct err *err)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, CONFIG_LIMIT);
    buf_puts(&text, HEAD);
    int r = put_settings(config, &text, err);
    if (r == 0) {
        buf_puts(&text, "# Leeward\n");
        put_limits(server, config, &text);
        r = put_ours(server, config, &text, err);
    }
    if (r == 0) {
        r = write_below(server, "data/postgresql.conf", &text, changed, err);
    }
    if (r == 0) { /* it would win over ours */
        buf_reset(&text);
        buf_puts(&text, HEAD);
        r = write_below(server, "data/postgresql.auto.conf", &text, changed, err);
    }
    return r;
}

static int write_access(const struct postgres *server, const struct postgres_config *config,
                        bool *changed, struct err *err)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, CONFIG_LIMIT);
    buf_puts(&text, HEAD);
    buf_puts(&text, "local all " POSTGRES_ADMIN " peer map=leeward\n"
                    "local all all reject\n"
                    "hostssl replication " POSTGRES_REPLICATION " all scram-sha-256\n"
                    "hostssl all " POSTGRES_REPLICATION " all scram-sha-256\n"
                    "host all " POSTGRES_ADMIN "," POSTGRES_REPLICATION " all reject\n");
    bool tls_only = is_on(setting_of(config, "rds.force_ssl"));
    buf_printf(&text, "%s all all all scram-sha-256\n", tls_only ? "hostssl" : "host");
    return write_below(server, "data/pg_hba.conf", &text, changed, err);
}

static int put_user(struct buf *out, uid_t user, struct err *err)
{
    char memory[4096];
    struct passwd entry;
    struct passwd *found = NULL;
    int code = getpwuid_r(user, &entry, memory, sizeof(memory), &found);
    if (code != 0 || found == NULL) {
        return err_set(err, ERR_NOT_FOUND,
                       "the user id %u has no name, so PostgreSQL cannot know it", (unsigned)user);
    }
    buf_puts(out, "leeward ");
    quote_name(out, found->pw_name);
    buf_puts(out, " " POSTGRES_ADMIN "\n");
    return 0;
}

static int write_users(const struct postgres *server, bool *changed, struct err *err)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, CONFIG_LIMIT);
    buf_puts(&text, HEAD);
    int r = put_user(&text, geteuid(), err);
    if (r == 0 && server->user != 0 && server->user != geteuid()) {
        r = put_user(&text, server->user, err);
    }
    return r < 0 ? r : write_below(server, "data/pg_ident.conf", &text, changed, err);
}

int postgres_configure(const struct postgres *server, const struct postgres_config *config,
                       bool *ret_changed, struct err *err)
{
    bool changed = false;
    char signal_file[PATH_SIZE];
    int r = file_path(server, "data/standby.signal", signal_file, err);
    if (r == 0) {
        r = file_make_folders(server, err);
    }
    if (r == 0) {
        r = pass_certificate(server, err);
    }
    if (r == 0 && config->standby) { /* before anything else: never a writer by accident */
        r = file_mark(server, signal_file, err);
    }
    if (r == 0) {
        r = write_settings(server, config, &changed, err);
    }
    if (r == 0) {
        r = write_access(server, config, &changed, err);
    }
    if (r == 0) {
        r = write_users(server, &changed, err);
    }
    if (r == 0 && !config->standby) {
        r = file_unmark(signal_file, err);
    }
    if (r == 0) {
        *ret_changed = changed;
    }
    return r;
}

int postgres_synchronous(const struct postgres *server, char out[POSTGRES_SYNCHRONOUS],
                         struct err *err)
{
    static const char line[] = "\nsynchronous_standby_names = '";
    char path[PATH_SIZE];
    struct buf text CLEANUP(buf_done);
    buf_init(&text, CONFIG_LIMIT);
    out[0] = '\0';
    int r = file_path(server, "data/postgresql.conf", path, err);
    r = r < 0 ? r : file_read(path, CONFIG_LIMIT, &text, err);
    if (r < 0) {
        bool none = err->kind == ERR_NOT_FOUND;
        return none ? (err_clear(err), 0) : r;
    }
    const char *at = strstr(buf_text(&text), line);
    if (at == NULL) {
        return 0;
    }
    at += sizeof line - 1;
    size_t size = strcspn(at, "'\n"); /* ours have no quotes of this kind in them */
    if (size >= POSTGRES_SYNCHRONOUS) {
        return err_set(err, ERR_CORRUPT, "%s: too many synchronous standbys", path);
    }
    memcpy(out, at, size);
    out[size] = '\0';
    return 0;
}

int postgres_check(const struct postgres *server, const struct postgres_limit *limit,
                   struct err *err)
{
    char data[PATH_SIZE];
    int r = file_path(server, "data", data, err);
    if (r < 0) {
        return r;
    }
    /* max_connections: one that is computed when everything was read and fits together. */
    const char *const arguments[] = {"-D", data, "-C", "max_connections", NULL};
    const struct child child = {.program = "postgres", .arguments = arguments, .keep_errors = true};
    struct buf output CLEANUP(buf_done);
    buf_init(&output, OUTPUT_LIMIT);
    int status = 0;
    r = child_run(server, &child, limit, &output, &status, err);
    if (r == 0 && status != 0) {
        char words[200];
        const char *at = strstr(buf_text(&output), "LOG:  ");
        (void)snprintf(words, sizeof(words), "%.199s", at != NULL ? at + 6 : buf_text(&output));
        words[strcspn(words, "\n")] = '\0';
        r = err_set(err, ERR_INVALID, "PostgreSQL does not start with these settings: %s", words);
    }
    return r;
}
