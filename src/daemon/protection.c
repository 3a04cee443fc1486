/* Cookie secrets: see protection.h. Called by daemon.c at the start and at each reload, on the main
 * thread. Invariant: the jar is never empty between the first apply and done. */
#include "daemon/protection.h"

#include "base/random.h"
#include "base/secret.h"
#include "daemon/secret_file.h"

static int read_secrets(const char *path, struct cookie_secrets *ret_secrets, struct err *err)
{
    char *text = NULL;
    int rc = secret_file_read(path, &text, err);
    if (rc == 0) {
        rc = cookie_secrets_parse(text, ret_secrets, err);
        rc = rc == 0 ? 0 : err_wrap(err, "%s", path);
    }
    secret_file_free(text);
    return rc == 0 ? 0 : err_wrap(err, "dns.cookie-secrets");
}

void protection_renew(struct protection *protection)
{
    if (!protection->own) {
        return;
    }
    struct cookie_secrets *made = &protection->made;
    made->keys[1] = made->keys[0];
    made->count = made->count == 0 ? 1 : 2;
    random_bytes(&made->keys[0], sizeof made->keys[0]);
    cookie_jar_put(&protection->cookies, made);
}

int protection_apply(struct protection *protection, const struct config *config, struct err *err)
{
    struct cookie_secrets secrets = {0};
    if (config->dns_cookie_secrets[0] != '\0') {
        int rc = read_secrets(config->dns_cookie_secrets, &secrets, err);
        if (rc != 0) {
            return rc;
        }
        cookie_jar_put(&protection->cookies, &secrets);
        secret_wipe_memory(&secrets, sizeof secrets);
        protection->own = false;
    } else if (!protection->own) {
        protection->own = true;
        protection_renew(protection);
    }
    atomic_store_explicit(&protection->cookies.required, config->dns_require_cookie,
                          memory_order_relaxed);
    return 0;
}

bool protection_has_tls(const struct config *config)
{
    return config->dns_tls_addresses.count + config->dns_https_addresses.count != 0;
}

int protection_read_certificate(const struct config *config, char **ret_certificate, char **ret_key,
                                struct err *err)
{
    *ret_certificate = NULL;
    *ret_key = NULL;
    if (!protection_has_tls(config)) {
        return 0;
    }
    int rc = secret_file_read(config->dns_tls_certificate, ret_certificate, err);
    if (rc != 0) {
        return err_wrap(err, "dns.tls-certificate");
    }
    rc = secret_file_read(config->dns_tls_key, ret_key, err);
    if (rc != 0) {
        secret_file_free(*ret_certificate);
        *ret_certificate = NULL;
        return err_wrap(err, "dns.tls-key");
    }
    return 0;
}

void protection_done(struct protection *protection)
{
    cookie_jar_put(&protection->cookies, NULL);
    secret_wipe_memory(&protection->made, sizeof protection->made);
}
