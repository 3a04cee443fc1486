/* DNS cookies: see cookie.h. cookie_check is called on the answer path, by any thread; the others
 * by the owner of the jar. Invariant: a cookie is good only with the hash that one of the secrets
 * gives for this client, this address and this time; all comparisons take constant time. */
#include "dns/answer/cookie.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/secret.h"

#include <stdlib.h>
#include <string.h>

#define VERSION 1U
#define HEAD_SIZE 8U /* version, reserved, timestamp */
#define HASH_SIZE 8U
/* RFC 9018 section 4.3. */
#define PAST_LIMIT (60 * 60)
#define FUTURE_LIMIT (5 * 60)
#define RENEW_AFTER (30 * 60)

/* RFC 9018 section 4.4: the hash of client cookie, head and the client's address. */
static void hash_cookie(const struct hash_key *key, const uint8_t client[COOKIE_CLIENT_SIZE],
                        const uint8_t head[HEAD_SIZE], const struct sockaddr *source,
                        uint8_t ret_hash[HASH_SIZE])
{
    uint8_t input[COOKIE_CLIENT_SIZE + HEAD_SIZE + 16];
    struct bytes_writer writer = bytes_writer(input, sizeof input);
    bytes_put(&writer, client, COOKIE_CLIENT_SIZE);
    bytes_put(&writer, head, HEAD_SIZE);
    if (source->sa_family == AF_INET) {
        bytes_put(&writer, &((const struct sockaddr_in *)(const void *)source)->sin_addr, 4);
    } else {
        bytes_put(&writer, &((const struct sockaddr_in6 *)(const void *)source)->sin6_addr, 16);
    }
    uint64_t hash = hash_bytes_2_4(key, input, writer.at);
    for (unsigned i = 0; i < HASH_SIZE; i++) {
        ret_hash[i] = (uint8_t)(hash >> (8U * i));
    }
}

static void make(const struct hash_key *key, const uint8_t client[COOKIE_CLIENT_SIZE],
                 const struct sockaddr *source, uint32_t now, uint8_t out[COOKIE_SERVER_SIZE])
{
    struct bytes_writer head = bytes_writer(out, HEAD_SIZE);
    bytes_put_u32(&head, VERSION << 24U);
    bytes_put_u32(&head, now);
    hash_cookie(key, client, out, source, out + HEAD_SIZE);
}

/* Which secret made it; secrets->count when none did. */
static size_t find_maker(const struct cookie_secrets *secrets, const struct message_cookie *cookie,
                         const struct sockaddr *source)
{
    size_t maker = 0;
    for (; maker < secrets->count; maker++) {
        uint8_t hash[HASH_SIZE];
        hash_cookie(&secrets->keys[maker], cookie->client, cookie->server, source, hash);
        if (secret_same_bytes(hash, cookie->server + HEAD_SIZE, HASH_SIZE)) {
            break;
        }
    }
    return maker;
}

enum cookie_state cookie_check(const struct cookie_secrets *secrets,
                               const struct message_cookie *cookie, const struct sockaddr *source,
                               uint32_t now, uint8_t ret_server[COOKIE_SERVER_SIZE])
{
    enum cookie_state state = cookie->server_size == 0 ? COOKIE_CLIENT : COOKIE_BAD;
    if (cookie->server_size == COOKIE_SERVER_SIZE && cookie->server[0] == VERSION) {
        struct bytes_reader time = bytes_reader(cookie->server + 4, 4);
        /* Serial number arithmetic: RFC 1982. */
        int32_t age = (int32_t)(now - bytes_get_u32(&time));
        size_t maker = secrets->count;
        if (age <= PAST_LIMIT && age >= -FUTURE_LIMIT) {
            maker = find_maker(secrets, cookie, source);
        }
        state = maker != secrets->count ? COOKIE_GOOD : COOKIE_BAD;
        static const uint8_t reserved[3];
        if (maker == 0 && age <= RENEW_AFTER &&
            memcmp(cookie->server + 1, reserved, sizeof reserved) == 0) {
            (void)memcpy(ret_server, cookie->server, COOKIE_SERVER_SIZE);
            return COOKIE_GOOD;
        }
    }
    make(&secrets->keys[0], cookie->client, source, now, ret_server);
    return state;
}

/* ---- secrets ---- */

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    char lower = c >= 'A' && c <= 'F' ? (char)(c + 'a' - 'A') : c;
    const char *at = c != '\0' ? strchr(digits, lower) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* The key's bytes are little-endian words, as SipHash reads them. False when it is not 32 digits.
 */
static bool parse_key(const char *text, size_t length, struct hash_key *ret_key)
{
    if (length != 2 * sizeof *ret_key) {
        return false;
    }
    uint64_t words[2] = {0};
    for (size_t i = 0; i < length; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0) {
            return false;
        }
        size_t byte = i / 2;
        unsigned shift = (unsigned)(8 * (byte % 8) + (i % 2 == 0 ? 4 : 0));
        words[byte / 8] |= (uint64_t)digit << shift;
    }
    *ret_key = (struct hash_key){words[0], words[1]};
    return true;
}

int cookie_secrets_parse(const char *text, struct cookie_secrets *ret_secrets, struct err *err)
{
    struct cookie_secrets secrets = {0};
    unsigned line = 0;
    int rc = 0;
    while (*text != '\0' && rc == 0) {
        size_t whole = strcspn(text, "\n");
        const char *word = text + strspn(text, " \t");
        size_t length = strcspn(word, " \t\r\n#");
        const char *rest = word + length + strspn(word + length, " \t\r");
        line++;
        text += whole + (text[whole] == '\n');
        if (length == 0 && (*rest == '\n' || *rest == '#' || *rest == '\0')) {
            continue;
        }
        if (secrets.count == COOKIE_SECRETS_LIMIT) {
            rc = err_set(err, ERR_LIMIT, "line %u: more than %u secrets", line,
                         COOKIE_SECRETS_LIMIT);
        } else if ((*rest != '\n' && *rest != '#' && *rest != '\0') ||
                   !parse_key(word, length, &secrets.keys[secrets.count])) {
            rc = err_set(err, ERR_INVALID, "line %u: a secret is 32 hexadecimal digits", line);
        } else {
            secrets.count++;
        }
    }
    if (rc == 0 && secrets.count == 0) {
        rc = err_set(err, ERR_INVALID, "no secret: a line of 32 hexadecimal digits is needed");
    }
    if (rc == 0) {
        *ret_secrets = secrets;
    }
    secret_wipe_memory(&secrets, sizeof secrets);
    return rc;
}

static void dispose(void *object)
{
    secret_wipe_memory(object, sizeof(struct cookie_secrets));
    free(object);
}

void cookie_jar_put(struct cookie_jar *jar, const struct cookie_secrets *secrets)
{
    struct cookie_secrets *fresh = NULL;
    if (secrets != NULL) {
        fresh = memory_new(sizeof *fresh);
        *fresh = *secrets;
    }
    struct cookie_secrets *old = SNAPSHOT_PUBLISH(&jar->secrets, fresh);
    if (old != NULL) {
        snapshot_retire(old, dispose);
    }
}
