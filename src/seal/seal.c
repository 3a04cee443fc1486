/* Sealing and opening: see seal.h. Called by services and the daemon on any thread; each call has a
 * cipher context of its own. Invariant: nothing of a value is handed out before its tag was right,
 * and what is handed out is wiped with its arena. */
#include "seal/seal.h"

#include "base/buf.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/text.h"
#include "seal/internal.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#define VERSION "v1:"
#define NONCE_SIZE 12U
#define TAG_SIZE 16U
#define OVERHEAD (NONCE_SIZE + TAG_SIZE)
#define DERIVED_ID_BYTES 4U

void seal_derive_id(const uint8_t key[SEAL_KEY_SIZE], char ret_id[SEAL_ID_LIMIT + 1])
{
    static const char label[] = "leeward seal key id";
    uint8_t input[sizeof label + SEAL_KEY_SIZE];
    uint8_t digest[EVP_MAX_MD_SIZE];
    (void)memcpy(input, label, sizeof label);
    (void)memcpy(input + sizeof label, key, SEAL_KEY_SIZE);
    if (EVP_Digest(input, sizeof input, digest, NULL, EVP_sha256(), NULL) != 1) {
        memory_exhausted(sizeof digest); /* the one way in which SHA-256 can fail */
    }
    secret_wipe_memory(input, sizeof input);
    text_hex(digest, DERIVED_ID_BYTES, ret_id);
}

void seal_free(struct seal *take_seal)
{
    if (take_seal != NULL) {
        secret_wipe_memory(take_seal, sizeof *take_seal);
        free(take_seal);
    }
}

void seal_cleanup(struct seal **seal)
{
    seal_free(*seal);
}

const char *seal_id(const struct seal *seal)
{
    return seal->keys[0].id;
}

static void free_cipher(EVP_CIPHER_CTX **cipher)
{
    EVP_CIPHER_CTX_free(*cipher);
}

/* ---- wrap ---- */

/* nonce | ciphertext | tag into out, which has room for size + OVERHEAD. */
static bool encrypt_bytes(const struct seal_key *key, const char *name, const void *data,
                          size_t size, uint8_t *out)
{
    EVP_CIPHER_CTX *cipher CLEANUP(free_cipher) = EVP_CIPHER_CTX_new();
    int length = 0;
    uint8_t *text = out + NONCE_SIZE;
    random_bytes(out, NONCE_SIZE);
    /* The name is not empty: as data, NULL would end the encryption. */
    return cipher != NULL &&
           EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key->bytes, out) == 1 &&
           EVP_EncryptUpdate(cipher, NULL, &length, (const uint8_t *)VERSION, sizeof VERSION - 1) ==
               1 &&
           EVP_EncryptUpdate(cipher, NULL, &length, (const uint8_t *)name, (int)strlen(name)) ==
               1 &&
           (size == 0 || EVP_EncryptUpdate(cipher, text, &length, data, (int)size) == 1) &&
           EVP_EncryptFinal_ex(cipher, text + size, &length) == 1 &&
           EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, text + size) == 1;
}

int seal_wrap(const struct seal *seal, const char *name, const void *data, size_t size,
              struct arena *arena, char **ret_text, struct err *err)
{
    if (size > SEAL_DATA_LIMIT) {
        return err_set(err, ERR_LIMIT, "a secret of %zu bytes: at most %u can be sealed", size,
                       SEAL_DATA_LIMIT);
    }
    const struct seal_key *key = &seal->keys[0];
    uint8_t *sealed = arena_try_alloc(arena, size + OVERHEAD);
    struct buf text CLEANUP(buf_done);
    buf_init(&text, SEAL_TEXT_LIMIT);
    if (sealed == NULL) {
        return err_set(err, ERR_MEMORY, "sealing a secret");
    }
    if (!encrypt_bytes(key, name, data, size, sealed)) {
        return err_set(err, ERR_INTERNAL, "the secret for %s cannot be encrypted", name);
    }
    buf_puts(&text, VERSION);
    buf_puts(&text, key->id);
    buf_putc(&text, ':');
    text_base64(&text, sealed, size + OVERHEAD);
    char *kept =
        buf_failed(&text) ? NULL : arena_try_memdup(arena, buf_text(&text), text.length + 1);
    if (kept == NULL) {
        return err_set(err, ERR_MEMORY, "sealing a secret");
    }
    *ret_text = kept;
    return 0;
}

/* ---- unwrap ---- */

/* What a sealed text consists of; borrowed from it. */
struct parts {
    const char *id;
    size_t id_length;
    const char *base64;
    size_t base64_length;
};

static bool split(const char *text, struct parts *ret_parts)
{
    if (!text_starts(text, VERSION)) {
        return false;
    }
    const char *id = text + strlen(VERSION);
    const char *colon = strchr(id, ':');
    if (colon == NULL || colon == id || (size_t)(colon - id) > SEAL_ID_LIMIT) {
        return false;
    }
    *ret_parts = (struct parts){.id = id,
                                .id_length = (size_t)(colon - id),
                                .base64 = colon + 1,
                                .base64_length = strlen(colon + 1)};
    return true;
}

static bool is_key(const struct seal_key *key, const struct parts *parts)
{
    return strlen(key->id) == parts->id_length && memcmp(key->id, parts->id, parts->id_length) == 0;
}

bool seal_is_sealed(const char *text)
{
    struct parts parts;
    return split(text, &parts);
}

bool seal_is_current(const struct seal *seal, const char *text)
{
    struct parts parts;
    return split(text, &parts) && is_key(&seal->keys[0], &parts);
}

static bool decrypt_bytes(const struct seal_key *key, const char *name, const uint8_t *sealed,
                          size_t size, uint8_t *out)
{
    EVP_CIPHER_CTX *cipher CLEANUP(free_cipher) = EVP_CIPHER_CTX_new();
    int length = 0;
    uint8_t tag[TAG_SIZE];
    (void)memcpy(tag, sealed + NONCE_SIZE + size, TAG_SIZE);
    return cipher != NULL &&
           EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key->bytes, sealed) == 1 &&
           EVP_DecryptUpdate(cipher, NULL, &length, (const uint8_t *)VERSION, sizeof VERSION - 1) ==
               1 &&
           EVP_DecryptUpdate(cipher, NULL, &length, (const uint8_t *)name, (int)strlen(name)) ==
               1 &&
           (size == 0 ||
            EVP_DecryptUpdate(cipher, out, &length, sealed + NONCE_SIZE, (int)size) == 1) &&
           EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) == 1 &&
           EVP_DecryptFinal_ex(cipher, out + size, &length) == 1;
}

static void wipe_data(void *object)
{
    struct seal_data *data = object;
    secret_wipe_memory(data->data, data->size);
}

/* Room for size bytes that are wiped with the arena. NULL when there is none. */
static struct seal_data *new_data(struct arena *arena, size_t size)
{
    struct seal_data *data = arena_try_alloc(arena, sizeof *data);
    uint8_t *bytes = data != NULL ? arena_try_alloc(arena, size + 1) : NULL;
    if (bytes == NULL) {
        return NULL;
    }
    *data = (struct seal_data){.data = bytes, .size = size};
    arena_defer(arena, wipe_data, data);
    return data;
}

static int open_bytes(const struct seal_key *key, const char *name, const struct buf *bytes,
                      struct arena *arena, struct seal_data *ret_data, struct err *err)
{
    size_t size = bytes->length - OVERHEAD;
    struct seal_data *data = new_data(arena, size);
    if (data == NULL) {
        return err_set(err, ERR_MEMORY, "opening a sealed secret");
    }
    if (!decrypt_bytes(key, name, (const uint8_t *)bytes->data, size, data->data)) {
        secret_wipe_memory(data->data, size);
        return err_set(err, ERR_CORRUPT,
                       "%s: its sealed secret was changed, belongs to another name, or was sealed "
                       "with another key that is also called %s",
                       name, key->id);
    }
    data->data[size] = '\0';
    *ret_data = *data;
    return 0;
}

int seal_unwrap(const struct seal *seal, const char *name, const char *text, struct arena *arena,
                struct seal_data *ret_data, struct err *err)
{
    struct parts parts;
    struct buf bytes CLEANUP(buf_done);
    const struct seal_key *key = NULL;
    buf_init(&bytes, SEAL_DATA_LIMIT + OVERHEAD);
    if (!split(text, &parts)) {
        return err_set(err, ERR_INVALID, "%s: it holds no sealed secret", name);
    }
    for (size_t i = 0; i < seal->count && key == NULL; i++) {
        key = is_key(&seal->keys[i], &parts) ? &seal->keys[i] : NULL;
    }
    if (key == NULL) {
        return err_set(err, ERR_DENIED,
                       "%s: it is sealed with the key %.*s, which is not known here", name,
                       (int)parts.id_length, parts.id);
    }
    if (text_unbase64(parts.base64, parts.base64_length, &bytes) != 0 || buf_failed(&bytes) ||
        bytes.length < OVERHEAD) {
        return err_set(err, ERR_CORRUPT, "%s: its sealed secret is damaged", name);
    }
    return open_bytes(key, name, &bytes, arena, ret_data, err);
}
