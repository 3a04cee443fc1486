/* Passwords and certificates of a server, and quoting: see internal.h. Called by the room's other
 * files; thread: as postgres.h. Passwords are wiped from memory that is ours. */
#include "base/random.h"
#include "base/text.h"
#include "database/postgres/internal.h"

#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define SALT 16U
#define ITERATIONS 4096 /* PostgreSQL's; more only slows down each connection of ours */
#define DIGEST 32U
#define YEARS 100L

void quote_name(struct buf *out, const char *name)
{
    buf_putc(out, '"');
    for (; *name != '\0'; name++) {
        if (*name == '"') {
            buf_putc(out, '"');
        }
        buf_putc(out, *name);
    }
    buf_putc(out, '"');
}

void quote_text(struct buf *out, const char *text)
{
    buf_puts(out, strchr(text, '\\') != NULL ? " E'" : "'");
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\') {
            buf_putc(out, *text);
        }
        buf_putc(out, *text);
    }
    buf_putc(out, '\'');
}

void quote_conninfo(struct buf *out, const char *text)
{
    buf_putc(out, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\') {
            buf_putc(out, '\\');
        }
        buf_putc(out, *text);
    }
    buf_putc(out, '\'');
}

/* libpq's pass file: fields with ':' and '\' escaped. */
static void pass_field(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == ':' || *text == '\\') {
            buf_putc(out, '\\');
        }
        buf_putc(out, *text);
    }
}

int pass_write(const struct postgres *server, const char *name,
               const struct postgres_upstream *upstream, char out[PATH_SIZE], struct err *err)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 4096);
    buf_keep_secret(&text);
    if (!text_empty(upstream->address)) {
        pass_field(&text, upstream->address);
        buf_printf(&text, ":%u:*:" POSTGRES_REPLICATION ":", (unsigned)upstream->port);
        pass_field(&text, upstream->password->data);
        buf_putc(&text, '\n');
    }
    char below[64];
    (void)snprintf(below, sizeof(below), "run/%s", name);
    bool changed = false;
    int r = file_path(server, below, out, err);
    return r < 0 ? r : file_update(server, out, &text, 0600, &changed, err);
}

int pass_connection(const struct postgres *server, const char *name,
                    const struct postgres_upstream *upstream, struct buf *text,
                    char ret_pass[PATH_SIZE], struct err *err)
{
    int r = pass_write(server, name, upstream, ret_pass, err);
    if (r == 0) {
        buf_puts(text, "host=");
        quote_conninfo(text, upstream->address);
        buf_printf(text,
                   " port=%u user=" POSTGRES_REPLICATION
                   " sslmode=require channel_binding=require connect_timeout=10 passfile=",
                   (unsigned)upstream->port);
        quote_conninfo(text, ret_pass);
    }
    return r;
}

static bool hmac(const uint8_t key[DIGEST], const char *text, uint8_t out[DIGEST])
{
    unsigned size = 0;
    return HMAC(EVP_sha256(), key, (int)DIGEST, (const unsigned char *)text, strlen(text), out,
                &size) != NULL &&
           size == DIGEST;
}

int pass_verifier(const struct secret *password, struct buf *out, struct err *err)
{
    uint8_t salt[SALT];
    uint8_t salted[DIGEST];
    uint8_t client[DIGEST];
    uint8_t stored[DIGEST];
    uint8_t server[DIGEST];
    random_bytes(salt, sizeof(salt));
    unsigned size = 0;
    bool fine = PKCS5_PBKDF2_HMAC(password->data, (int)password->length, salt, (int)sizeof(salt),
                                  ITERATIONS, EVP_sha256(), (int)sizeof(salted), salted) == 1 &&
                hmac(salted, "Client Key", client) && hmac(salted, "Server Key", server) &&
                EVP_Digest(client, sizeof(client), stored, &size, EVP_sha256(), NULL) == 1;
    if (fine) {
        buf_printf(out, "SCRAM-SHA-256$%d:", ITERATIONS);
        text_base64(out, salt, sizeof(salt));
        buf_putc(out, '$');
        text_base64(out, stored, sizeof(stored));
        buf_putc(out, ':');
        text_base64(out, server, sizeof(server));
    }
    secret_wipe_memory(salted, sizeof(salted));
    secret_wipe_memory(client, sizeof(client));
    ERR_clear_error();
    return fine && !buf_failed(out)
               ? 0
               : err_set(err, ERR_INTERNAL, "the password's verifier cannot be computed");
}

static void free_key(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void free_certificate(X509 **certificate)
{
    X509_free(*certificate);
}

static void free_bio(BIO **bio)
{
    BIO_free_all(*bio);
}

static X509 *make_certificate(EVP_PKEY *key, const char *name)
{
    X509 *certificate = X509_new();
    uint32_t serial = 0;
    random_bytes(&serial, sizeof(serial));
    X509_NAME *subject = certificate != NULL ? X509_get_subject_name(certificate) : NULL;
    if (subject == NULL || X509_set_version(certificate, 2) != 1 ||
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), (long)(serial >> 1U)) != 1 ||
        X509_gmtime_adj(X509_getm_notBefore(certificate), -86400L) == NULL ||
        X509_gmtime_adj(X509_getm_notAfter(certificate), YEARS * 365 * 86400) == NULL ||
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1,
                                   0) != 1 ||
        X509_set_issuer_name(certificate, subject) != 1 || X509_set_pubkey(certificate, key) != 1 ||
        X509_sign(certificate, key, EVP_sha256()) == 0) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

static int write_pem(const struct postgres *server, const char *path, BIO *bio, struct err *err)
{
    char *data = NULL;
    long size = BIO_get_mem_data(bio, &data);
    return file_write(server, path, data, (size_t)size, 0600, err);
}

/* Nobody checks the certificate: the SCRAM exchange is bound to it, so that only who knows the
 * password's verifier can stand behind it. */
int pass_certificate(const struct postgres *server, struct err *err)
{
    char key_path[PATH_SIZE];
    char path[PATH_SIZE];
    int r = file_path(server, "run/server.key", key_path, err);
    if (r == 0) {
        r = file_path(server, "run/server.crt", path, err);
    }
    if (r < 0 || (file_exists(key_path) && file_exists(path))) {
        return r;
    }
    EVP_PKEY *key CLEANUP(free_key) = EVP_EC_gen("P-256");
    X509 *certificate CLEANUP(free_certificate) =
        key != NULL ? make_certificate(key, server->name) : NULL;
    BIO *key_text CLEANUP(free_bio) = BIO_new(BIO_s_secmem());
    BIO *text CLEANUP(free_bio) = BIO_new(BIO_s_mem());
    if (certificate == NULL || key_text == NULL || text == NULL ||
        PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL) != 1 ||
        PEM_write_bio_X509(text, certificate) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_INTERNAL, "making a certificate for the server");
    }
    r = write_pem(server, key_path, key_text, err);
    return r < 0 ? r : write_pem(server, path, text, err);
}
