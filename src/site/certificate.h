/* The cluster's CA and the certificates of sites, by OpenSSL: ECDSA with P-256 and SHA-256. Private
 * to this room. Texts are PEM and live in the arena, which keeps them secret where a key is among
 * them. Thread: any.
 *
 * A site's certificate names the site as a DNS name (its SAN) and serves as client and server. Ten
 * years are written on it; between sites nobody looks at that (peer/channel.h): the list of members
 * says which certificates hold. */
#ifndef SITE_CERTIFICATE_H
#define SITE_CERTIFICATE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"

#include <stdbool.h>

/* SHA-256 as hexadecimal digits, with the NUL. */
#define CERTIFICATE_FINGERPRINT 65U

/* A key of a site or of the CA. */
int certificate_make_key(struct arena *arena, const char **ret_key, struct err *err) MUST_CHECK;
int certificate_make_ca(const char *key, struct arena *arena, const char **ret_ca, struct err *err)
    MUST_CHECK;
/* What is signed by the CA: the public key that belongs to `key`, and that it is there. */
int certificate_make_request(const char *key, struct arena *arena, const char **ret_request,
                             struct err *err) MUST_CHECK;
/* Of the request only its key counts. ERR_INVALID when it is none, or of another kind. */
int certificate_sign(const char *ca, const char *ca_key, const char *request, const char *name,
                     struct arena *arena, const char **ret_certificate, struct err *err) MUST_CHECK;
int certificate_fingerprint(const char *certificate, char out[CERTIFICATE_FINGERPRINT],
                            struct err *err) MUST_CHECK;

#endif
