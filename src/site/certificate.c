/* Certificates: see certificate.h. Called by cluster.c and join.c. Invariant: what OpenSSL made is
 * freed on every way out, keys through functions that wipe. */
#include "site/certificate.h"

#include "base/random.h"
#include "base/text.h"

#include <string.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define DAYS 3650L
#define BEFORE_S (-86400L) /* clocks of sites differ */
#define SERIAL_SIZE 16U
#define CURVE "prime256v1"

static void free_key(EVP_PKEY **key)
{
    EVP_PKEY_free(*key); /* NULL is fine, as below */
}

static void free_certificate(X509 **certificate)
{
    X509_free(*certificate);
}

static void free_request(X509_REQ **request)
{
    X509_REQ_free(*request);
}

static void free_bio(BIO **bio)
{
    (void)BIO_free(*bio);
}

static int fail(struct err *err, const char *what)
{
    unsigned long code = ERR_peek_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    int rc = err_set(err, ERR_INTERNAL, "%s: %s", what, reason != NULL ? reason : "OpenSSL failed");
    ERR_clear_error();
    return rc;
}

/* ---- PEM ---- */

static const char *text_of(BIO *bio, struct arena *arena)
{
    char *data = NULL;
    long size = BIO_get_mem_data(bio, &data);
    return size > 0 ? arena_memdup(arena, data, (size_t)size) : NULL;
}

/* For what is encrypted; without one OpenSSL would ask whoever sits at the terminal. */
static char no_password[] = "";

static EVP_PKEY *read_key(const char *pem)
{
    BIO *bio CLEANUP(free_bio) = BIO_new_mem_buf(pem, -1);
    return bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, no_password) : NULL;
}

static X509 *read_certificate(const char *pem)
{
    BIO *bio CLEANUP(free_bio) = BIO_new_mem_buf(pem, -1);
    return bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, no_password) : NULL;
}

static X509_REQ *read_request(const char *pem)
{
    BIO *bio CLEANUP(free_bio) = BIO_new_mem_buf(pem, -1);
    return bio != NULL ? PEM_read_bio_X509_REQ(bio, NULL, NULL, no_password) : NULL;
}

static const char *write_certificate(X509 *certificate, struct arena *arena)
{
    BIO *bio CLEANUP(free_bio) = BIO_new(BIO_s_mem());
    bool good = bio != NULL && PEM_write_bio_X509(bio, certificate) == 1;
    return good ? text_of(bio, arena) : NULL;
}

int certificate_make_key(struct arena *arena, const char **ret_key, struct err *err)
{
    ERR_clear_error();
    arena_keep_secret(arena);
    EVP_PKEY *key CLEANUP(free_key) = EVP_EC_gen(CURVE);
    BIO *bio CLEANUP(free_bio) = BIO_new(BIO_s_secmem());
    if (key == NULL || bio == NULL ||
        PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1) {
        return fail(err, "making a key");
    }
    *ret_key = text_of(bio, arena);
    return *ret_key != NULL ? 0 : fail(err, "making a key");
}

/* ---- certificates ---- */

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool good = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension); /* copied; NULL is fine */
    return good;
}

static bool set_serial(X509 *certificate)
{
    unsigned char bytes[SERIAL_SIZE];
    random_bytes(bytes, sizeof bytes);
    bytes[0] &= 0x7fU; /* a positive number */
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool good =
        number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number); /* NULL is fine */
    return good;
}

static bool add_name(X509_NAME *to, const char *field, const char *text)
{
    return X509_NAME_add_entry_by_txt(to, field, MBSTRING_UTF8, (const unsigned char *)text, -1, -1,
                                      0) == 1;
}

/* Version 3, a serial number, validity, the subject's name and key. */
static bool fill(X509 *certificate, const char *name, EVP_PKEY *key)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), BEFORE_S) != NULL &&
           X509_time_adj_ex(X509_getm_notAfter(certificate), (int)DAYS, 0, NULL) != NULL &&
           add_name(subject, "O", "Leeward") && add_name(subject, "CN", name) &&
           X509_set_pubkey(certificate, key) == 1;
}

int certificate_make_ca(const char *key, struct arena *arena, const char **ret_ca, struct err *err)
{
    ERR_clear_error();
    EVP_PKEY *pair CLEANUP(free_key) = read_key(key);
    X509 *ca CLEANUP(free_certificate) = X509_new();
    if (pair == NULL || ca == NULL || !fill(ca, "Leeward cluster CA", pair) ||
        X509_set_issuer_name(ca, X509_get_subject_name(ca)) != 1 ||
        !add_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !add_extension(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(ca, ca, NID_subject_key_identifier, "hash") ||
        X509_sign(ca, pair, EVP_sha256()) == 0) {
        return fail(err, "making the cluster's CA");
    }
    *ret_ca = write_certificate(ca, arena);
    return *ret_ca != NULL ? 0 : fail(err, "making the cluster's CA");
}

int certificate_make_request(const char *key, struct arena *arena, const char **ret_request,
                             struct err *err)
{
    ERR_clear_error();
    EVP_PKEY *pair CLEANUP(free_key) = read_key(key);
    X509_REQ *request CLEANUP(free_request) = X509_REQ_new();
    BIO *bio CLEANUP(free_bio) = BIO_new(BIO_s_mem());
    if (pair == NULL || request == NULL || bio == NULL || X509_REQ_set_pubkey(request, pair) != 1 ||
        X509_REQ_sign(request, pair, EVP_sha256()) == 0 ||
        PEM_write_bio_X509_REQ(bio, request) != 1) {
        return fail(err, "making a request for a certificate");
    }
    *ret_request = text_of(bio, arena);
    return *ret_request != NULL ? 0 : fail(err, "making a request for a certificate");
}

static bool is_our_kind(EVP_PKEY *key)
{
    char group[64];
    size_t length = 0;
    return key != NULL && EVP_PKEY_is_a(key, "EC") == 1 &&
           EVP_PKEY_get_group_name(key, group, sizeof group, &length) == 1 &&
           text_equal(group, CURVE);
}

static bool issue(X509 *certificate, X509 *ca, EVP_PKEY *ca_key, EVP_PKEY *key, const char *name)
{
    char alternative[300];
    (void)snprintf(alternative, sizeof alternative, "DNS:%s", name); /* a label: it fits */
    return fill(certificate, name, key) &&
           X509_set_issuer_name(certificate, X509_get_subject_name(ca)) == 1 &&
           add_extension(certificate, ca, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, ca, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, ca, NID_ext_key_usage, "serverAuth,clientAuth") &&
           add_extension(certificate, ca, NID_subject_key_identifier, "hash") &&
           add_extension(certificate, ca, NID_authority_key_identifier, "keyid:always") &&
           add_extension(certificate, ca, NID_subject_alt_name, alternative) &&
           X509_sign(certificate, ca_key, EVP_sha256()) != 0;
}

int certificate_sign(const char *ca, const char *ca_key, const char *request, const char *name,
                     struct arena *arena, const char **ret_certificate, struct err *err)
{
    ERR_clear_error();
    X509 *issuer CLEANUP(free_certificate) = read_certificate(ca);
    EVP_PKEY *pair CLEANUP(free_key) = read_key(ca_key);
    X509_REQ *asked CLEANUP(free_request) = read_request(request);
    X509 *certificate CLEANUP(free_certificate) = X509_new();
    EVP_PKEY *key = asked != NULL ? X509_REQ_get0_pubkey(asked) : NULL;
    if (!is_our_kind(key) || X509_REQ_verify(asked, key) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_INVALID,
                       "what was sent is no request for a certificate with a "
                       "key on the curve P-256");
    }
    if (issuer == NULL || pair == NULL || certificate == NULL ||
        !issue(certificate, issuer, pair, key, name)) {
        return fail(err, "signing a site's certificate");
    }
    *ret_certificate = write_certificate(certificate, arena);
    return *ret_certificate != NULL ? 0 : fail(err, "signing a site's certificate");
}

int certificate_fingerprint(const char *certificate, char out[CERTIFICATE_FINGERPRINT],
                            struct err *err)
{
    ERR_clear_error();
    X509 *read CLEANUP(free_certificate) = read_certificate(certificate);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (read == NULL || X509_digest(read, EVP_sha256(), digest, &size) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_INVALID, "no certificate in PEM form");
    }
    text_hex(digest, size, out);
    return 0;
}
