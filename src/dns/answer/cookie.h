/* DNS cookies (RFC 7873) in the form that servers of different makers agree on (RFC 9018), so that
 * all servers behind one anycast address may share their secrets.
 *
 * Secrets are an immutable snapshot in a jar: the owner puts a new one in (cookie_jar_put, one
 * thread), the answer path reads it inside its read section. Checking is pure. */
#ifndef DNS_ANSWER_COOKIE_H
#define DNS_ANSWER_COOKIE_H

#include "base/err.h"
#include "base/hash.h"
#include "base/macro.h"
#include "base/snapshot.h"
#include "dns/wire/message.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COOKIE_SECRETS_LIMIT 8U
#define COOKIE_SERVER_SIZE 16U /* RFC 9018 section 4: version, reserved, timestamp, hash */

/* The first makes cookies, all accept them. */
struct cookie_secrets {
    size_t count;
    struct hash_key keys[COOKIE_SECRETS_LIMIT];
};

struct cookie_jar {
    SNAPSHOT(struct cookie_secrets) secrets; /* NULL: no cookies are made or looked at */
    _Atomic bool required;                   /* over UDP nobody without a good one gets an answer */
};

/* What a query showed. */
enum cookie_state { COOKIE_NONE, COOKIE_CLIENT, COOKIE_BAD, COOKIE_GOOD };

/* Judges the cookie of a query from source at the second `now` (since 1970, modulo 2^32), and gives
 * the server cookie to send back: the query's own while it is good and young, else a new one. */
enum cookie_state cookie_check(const struct cookie_secrets *secrets,
                               const struct message_cookie *cookie, const struct sockaddr *source,
                               uint32_t now, uint8_t ret_server[COOKIE_SERVER_SIZE]);

/* Reads lines of 32 hexadecimal digits; blank lines and what follows '#' do not count. ERR_INVALID
 * names the line, never what stands in it; ERR_LIMIT beyond COOKIE_SECRETS_LIMIT. */
int cookie_secrets_parse(const char *text, struct cookie_secrets *ret_secrets, struct err *err)
    MUST_CHECK;

/* Copies the secrets into the jar; what was there is wiped and freed once no reader has it. NULL
 * empties the jar. */
void cookie_jar_put(struct cookie_jar *jar, const struct cookie_secrets *secrets);

#endif
