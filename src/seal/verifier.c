/* Verifiers of passwords: see verifier.h. Called by service/rds on API threads. Invariant: keys and
 * the salted password are wiped before the call returns. */
#include "seal/verifier.h"

#include "base/buf.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#define KEY 32U

struct keys {
    uint8_t salted[KEY];
    uint8_t client[KEY];
    uint8_t stored[KEY];
    uint8_t server[KEY];
};

static bool hmac(const uint8_t key[KEY], const char *text, uint8_t out[KEY])
{
    unsigned length = 0;
    return HMAC(EVP_sha256(), key, (int)KEY, (const uint8_t *)text, strlen(text), out, &length) !=
               NULL &&
           length == KEY;
}

static bool derive(const char *password, const uint8_t salt[VERIFIER_SALT], struct keys *keys)
{
    return PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, (int)VERIFIER_SALT,
                             VERIFIER_ITERATIONS, EVP_sha256(), (int)KEY, keys->salted) == 1 &&
           hmac(keys->salted, "Client Key", keys->client) &&
           SHA256(keys->client, KEY, keys->stored) != NULL &&
           hmac(keys->salted, "Server Key", keys->server);
}

int verifier_make_salted(const char *password, const uint8_t salt[VERIFIER_SALT],
                         char out[VERIFIER_TEXT], struct err *err)
{
    struct keys keys;
    struct buf text CLEANUP(buf_done);
    buf_init(&text, VERIFIER_TEXT - 1);
    bool made = derive(password, salt, &keys);
    if (made) {
        buf_printf(&text, "SCRAM-SHA-256$%d:", VERIFIER_ITERATIONS);
        text_base64(&text, salt, VERIFIER_SALT);
        buf_putc(&text, '$');
        text_base64(&text, keys.stored, KEY);
        buf_putc(&text, ':');
        text_base64(&text, keys.server, KEY);
    }
    secret_wipe_memory(&keys, sizeof keys);
    if (!made || buf_failed(&text) || text_copy(out, VERIFIER_TEXT, buf_text(&text)) != 0) {
        return err_set(err, ERR_INTERNAL, "the verifier of a password cannot be computed");
    }
    return 0;
}

int verifier_make(const char *password, char out[VERIFIER_TEXT], struct err *err)
{
    uint8_t salt[VERIFIER_SALT];
    random_bytes(salt, sizeof salt);
    return verifier_make_salted(password, salt, out, err);
}
