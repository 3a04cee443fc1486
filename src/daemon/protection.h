/* What guards DNS, as configured: the secrets of cookies, the certificate of DNS over TLS. Main
 * thread. */
#ifndef DAEMON_PROTECTION_H
#define DAEMON_PROTECTION_H

#include "base/err.h"
#include "base/macro.h"
#include "daemon/config.h"
#include "dns/answer/cookie.h"

struct protection {
    struct cookie_jar cookies;
    bool own; /* secrets are made by ourselves: no file is configured */
    struct cookie_secrets made;
};

/* Fills the jar, from the file or with secrets of our own; at a reload the same again. After an
 * error everything is as it was. */
int protection_apply(struct protection *protection, const struct config *config, struct err *err)
    MUST_CHECK;
/* Once a day: where the secrets are our own, a fresh one makes cookies from now on, and the one
 * before it is accepted still. */
void protection_renew(struct protection *protection);
/* Whether DNS is served over TLS or HTTPS. */
bool protection_has_tls(const struct config *config);
/* Reads both PEM files; the caller frees them with secret_file_free. NULL each where nothing needs
 * them. */
int protection_read_certificate(const struct config *config, char **ret_certificate, char **ret_key,
                                struct err *err) MUST_CHECK;
/* No reader may be left; snapshot_drain() frees the last memory. */
void protection_done(struct protection *protection);

#endif
