/* Opening the truth: see truth.h. Called by daemon.c on the main thread; keeps nothing. Invariant:
 * the password of etcd is only in the store's own memory once this has returned. */
#include "daemon/truth.h"

#include "base/macro.h"
#include "base/text.h"
#include "daemon/secret_file.h"
#include "store/etcd.h"
#include "store/sqlite.h"

#include <string.h>

static void free_password(char **password)
{
    secret_file_free(*password);
}

static int open_etcd(const struct config *config, struct store **ret_store, struct err *err)
{
    char *password CLEANUP(free_password) = NULL;
    if (config->etcd_password_file[0] != '\0') {
        int rc = secret_file_read(config->etcd_password_file, &password, err);
        if (rc != 0) {
            return err_wrap(err, "etcd.password-file");
        }
        password[strcspn(password, "\r\n")] = '\0';
    }
    const struct config_list *endpoints = &config->etcd_endpoints;
    const struct store_etcd_config etcd = {
        .endpoints = (const char *const *)endpoints->items,
        .endpoint_count = endpoints->count,
        .prefix = config->etcd_prefix,
        .ca_file = config->etcd_ca,
        .certificate_file = config->etcd_certificate,
        .key_file = config->etcd_key,
        .user = config->etcd_user,
        .password = password,
        .timeout_ms = (int)config->etcd_timeout_ms,
    };
    int rc = store_etcd_open(&etcd, ret_store, err);
    return rc != 0 ? err_wrap(err, "etcd") : 0;
}

int truth_open(const struct config *config, struct store **ret_store, struct err *err)
{
    return text_equal(config->store, "etcd") ? open_etcd(config, ret_store, err)
                                             : store_sqlite_open(config->data, ret_store, err);
}

int truth_forget(const struct config *config, struct store *store, struct err *err)
{
    if (!text_equal(config->store, "etcd")) {
        return store_sqlite_rewrite(store, err);
    }
    int64_t revision = 0;
    int rc = store_revision(store, &revision, err);
    return rc != 0 ? rc : store_compact(store, revision, err);
}
