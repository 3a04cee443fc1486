/* TSIG: messages authenticated by a shared secret (RFC 8945), with HMAC of SHA-256, SHA-384 and
 * SHA-512. HMAC-MD5 and HMAC-SHA1 are not supported: their keys cannot be made, and a message that
 * names them is answered BADKEY.
 *
 *     rcode = tsig_verify(&signer, keys, packet, length, query.tsig_at, now_s);
 *     ... the response, with tsig_room(&signer) bytes left, RCODE rcode where that is an error ...
 *     length = tsig_sign(&signer, response, length, size, now_s);    once for each message of it
 *
 * A key and a set of keys are immutable and counted: any thread. A signer belongs to one exchange.
 */
#ifndef DNS_TSIG_TSIG_H
#define DNS_TSIG_TSIG_H

#include "base/err.h"
#include "base/macro.h"
#include "dns/wire/name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TSIG_MAC_LIMIT 64U
#define TSIG_FUDGE_S 300U /* clocks may differ by this much: RFC 8945 section 10 */
#define TSIG_SECRET_LEAST 16U
#define TSIG_SECRET_LIMIT 192U

enum tsig_error {
    TSIG_NO_ERROR = 0,
    TSIG_BADSIG = 16,
    TSIG_BADKEY = 17,
    TSIG_BADTIME = 18,
    TSIG_BADTRUNC = 22,
};

enum tsig_algorithm { TSIG_HMAC_SHA256, TSIG_HMAC_SHA384, TSIG_HMAC_SHA512 };

struct tsig_key;
struct tsig_keys;

/* "hmac-sha256" ...; -EINVAL for others. */
int tsig_algorithm_parse(const char *text, enum tsig_algorithm *ret_algorithm) MUST_CHECK;
const char *tsig_algorithm_name(enum tsig_algorithm algorithm);

/* name: lower-case wire form; the secret is copied. mac_least: bytes that a truncated MAC must have
 * here, 0: what RFC 8945 section 5.2.2.1 asks for (half of it, and 10). ERR_INVALID when the secret
 * has no fitting length. */
int tsig_key_new(const uint8_t *name, enum tsig_algorithm algorithm, const void *secret,
                 size_t size, size_t mac_least, struct tsig_key **ret_key, struct err *err)
    MUST_CHECK;
struct tsig_key *tsig_key_ref(struct tsig_key *key);
/* Wipes the secret with the last reference. NULL is fine. */
void tsig_key_unref(struct tsig_key *take_key);
const uint8_t *tsig_key_name(const struct tsig_key *key);

/* References the keys; their names differ. */
struct tsig_keys *tsig_keys_new(struct tsig_key *const *keys, size_t count) MUST_CHECK;
struct tsig_keys *tsig_keys_ref(struct tsig_keys *keys);
void tsig_keys_unref(struct tsig_keys *take_keys);
/* Borrowed; NULL when there is none. */
struct tsig_key *tsig_keys_find(const struct tsig_keys *keys, const uint8_t *name);

/* One exchange: a request that was verified or signed here, and its responses. */
struct tsig_signer {
    struct tsig_key *key; /* counted; NULL: responses carry an unsigned error */
    enum tsig_error error;
    bool answered; /* a message was signed already: timers only from now on */
    uint16_t original_id;
    uint64_t request_time_s;
    size_t mac_size; /* of the MAC that the next one is chained to */
    uint8_t mac[TSIG_MAC_LIMIT];
    uint8_t name[NAME_WIRE_LIMIT]; /* of key and algorithm, as the request named them */
    uint8_t algorithm[NAME_WIRE_LIMIT];
};

/* Verifies a request whose TSIG record starts at tsig_at. Returns the RCODE: NOERROR; NOTAUTH with
 * signer->error set (the response says so in its own TSIG record: sign it as usual); FORMERR when
 * the record is malformed, and SERVFAIL when memory is out: nothing is signed then. keys may be
 * NULL: none. Call tsig_signer_done in any case. */
uint16_t tsig_verify(struct tsig_signer *signer, const struct tsig_keys *keys,
                     const uint8_t *packet, size_t length, size_t tsig_at, int64_t now_s);
/* For a request of our own with that key. */
void tsig_signer_init(struct tsig_signer *signer, struct tsig_key *key);
void tsig_signer_done(struct tsig_signer *signer);

/* Bytes that tsig_sign adds to a message. */
size_t tsig_room(const struct tsig_signer *signer);
/* Appends the record: the MAC covers the request's (or the previous message's) and the message.
 * Returns the new length; 0 when it does not fit or memory is out. */
size_t tsig_sign(struct tsig_signer *signer, uint8_t *message, size_t length, size_t size,
                 int64_t now_s) MUST_CHECK;

/* Verifies the one response to the request that signer signed. 0; -EBADMSG when it is not signed,
 * not by the key, or not now; then *ret_error is what its TSIG record says, 0 when it has none. */
int tsig_verify_response(struct tsig_signer *signer, const uint8_t *packet, size_t length,
                         int64_t now_s, uint16_t *ret_error) MUST_CHECK;

/* The messages of one response to the request that signer signed, in order: a zone transfer (RFC
 * 8945 section 5.3.1). Borrows the signer. */
struct tsig_stream;

struct tsig_stream *tsig_stream_new(struct tsig_signer *signer) MUST_CHECK;
/* NULL is fine. */
void tsig_stream_free(struct tsig_stream *take_stream);
/* The first message has to be signed, later ones may wait for a signature: up to
 * TSIG_UNSIGNED_LIMIT in a row. Errors as tsig_verify_response; then every further one fails. */
#define TSIG_UNSIGNED_LIMIT 99U
int tsig_stream_take(struct tsig_stream *stream, const uint8_t *packet, size_t length,
                     int64_t now_s, uint16_t *ret_error) MUST_CHECK;
/* Whether a signature covers all that was taken. */
bool tsig_stream_verified(const struct tsig_stream *stream);

#endif
