/* Keys and signatures of algorithm 13: see sign.h. Called by the compiler thread and its signing
 * helper, and by the key operations of service/route53; any thread.
 *
 * OpenSSL writes ECDSA signatures as DER; DNSSEC wants the two numbers, 32 bytes each (RFC 6605
 * section 4). Invariant: a key is never changed after it was made, but for its reference count. */
#include "dns/sign/sign.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#define CURVE "prime256v1" /* NIST P-256 */
#define NUMBER_SIZE 32U
#define POINT_SIZE 65U         /* 4, x, y */
#define DER_SIGNATURE_SIZE 80U /* the longest is 72 */
#define PROTOCOL 3U            /* RFC 4034 section 2.1.2 */
#define LABELS_AT 3U           /* in RRSIG RDATA: RFC 4034 section 3.1 */

struct sign_key {
    atomic_uint references;
    uint16_t flags;
    uint16_t tag;
    uint8_t rdata[SIGN_DNSKEY_SIZE];
    EVP_PKEY *pair;
    EVP_MD_CTX *start; /* ready to sign; copied for each signature */
};

/* ---- keys ---- */

static uint16_t key_tag(const uint8_t *rdata, size_t size)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < size; i++) {
        sum += i % 2 == 0 ? (uint32_t)rdata[i] << 8U : rdata[i];
    }
    return (uint16_t)(sum + (sum >> 16U));
}

static int fill_rdata(struct sign_key *key)
{
    uint8_t point[POINT_SIZE];
    size_t size = 0;
    if (EVP_PKEY_get_octet_string_param(key->pair, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point,
                                        &size) != 1 ||
        size != POINT_SIZE || point[0] != POINT_CONVERSION_UNCOMPRESSED) {
        return -EINVAL;
    }
    struct bytes_writer out = bytes_writer(key->rdata, sizeof key->rdata);
    bytes_put_u16(&out, key->flags);
    bytes_put_u8(&out, PROTOCOL);
    bytes_put_u8(&out, SIGN_ALGORITHM);
    bytes_put(&out, point + 1, POINT_SIZE - 1);
    key->tag = key_tag(key->rdata, sizeof key->rdata);
    return 0;
}

/* Takes the pair, also when it fails. */
static int key_new(uint16_t flags, EVP_PKEY *take_pair, struct sign_key **ret_key, struct err *err)
{
    struct sign_key *key = memory_new(sizeof *key);
    atomic_init(&key->references, 1);
    key->flags = flags;
    key->pair = take_pair;
    char curve[32] = "";
    if (EVP_PKEY_get_group_name(take_pair, curve, sizeof curve, NULL) != 1 ||
        strcmp(curve, CURVE) != 0 || fill_rdata(key) < 0) {
        sign_key_unref(key);
        return err_set(err, ERR_INVALID, "the key is not on the curve P-256");
    }
    key->start = EVP_MD_CTX_new();
    if (key->start == NULL ||
        EVP_DigestSignInit_ex(key->start, NULL, "SHA256", NULL, NULL, key->pair, NULL) != 1) {
        sign_key_unref(key);
        return err_set(err, ERR_INTERNAL, "OpenSSL cannot sign with the key");
    }
    *ret_key = key;
    return 0;
}

static bool flags_known(uint16_t flags)
{
    return flags == SIGN_ZONE_KEY || flags == SIGN_ENTRY_KEY;
}

int sign_key_generate(uint16_t flags, struct sign_key **ret_key, struct err *err)
{
    if (!flags_known(flags)) {
        return err_set(err, ERR_INVALID, "%u are not the flags of a key", (unsigned)flags);
    }
    EVP_PKEY *pair = EVP_EC_gen(CURVE);
    if (pair == NULL) {
        return err_set(err, ERR_INTERNAL, "OpenSSL cannot make a key");
    }
    return key_new(flags, pair, ret_key, err);
}

int sign_key_load(uint16_t flags, const void *private_der, size_t size, struct sign_key **ret_key,
                  struct err *err)
{
    if (!flags_known(flags)) {
        return err_set(err, ERR_INVALID, "%u are not the flags of a key", (unsigned)flags);
    }
    const unsigned char *at = private_der;
    EVP_PKEY *pair = size <= LONG_MAX ? d2i_AutoPrivateKey(NULL, &at, (long)size) : NULL;
    if (pair == NULL) {
        return err_set(err, ERR_INVALID, "no private key in DER form");
    }
    return key_new(flags, pair, ret_key, err);
}

int sign_key_private(const struct sign_key *key, struct buf *der)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key->pair);
    unsigned char *bytes = NULL;
    int size = info != NULL ? i2d_PKCS8_PRIV_KEY_INFO(info, &bytes) : -1;
    PKCS8_PRIV_KEY_INFO_free(info);
    if (size < 0) {
        return -EPROTO;
    }
    buf_put(der, bytes, (size_t)size);
    OPENSSL_clear_free(bytes, (size_t)size);
    return buf_failed(der) ? -ENOMEM : 0;
}

struct sign_key *sign_key_ref(struct sign_key *key)
{
    atomic_fetch_add_explicit(&key->references, 1, memory_order_relaxed);
    return key;
}

void sign_key_unref(struct sign_key *take_key)
{
    if (take_key != NULL &&
        atomic_fetch_sub_explicit(&take_key->references, 1, memory_order_acq_rel) == 1) {
        EVP_MD_CTX_free(take_key->start);
        EVP_PKEY_free(take_key->pair); /* wipes the private number */
        free(take_key);
    }
}

uint16_t sign_key_flags(const struct sign_key *key)
{
    return key->flags;
}

uint16_t sign_key_tag(const struct sign_key *key)
{
    return key->tag;
}

size_t sign_key_rdata(const struct sign_key *key, uint8_t out[SIGN_DNSKEY_SIZE])
{
    (void)memcpy(out, key->rdata, SIGN_DNSKEY_SIZE);
    return SIGN_DNSKEY_SIZE;
}

/* Length of a valid name in wire form. */
static size_t wire_length(const uint8_t *name, unsigned *ret_labels)
{
    size_t at = 0;
    unsigned labels = 0;
    while (name[at] != 0) {
        labels++;
        at += 1U + name[at];
    }
    *ret_labels = labels;
    return at + 1;
}

int sign_ds_digest(const struct sign_key *key, const uint8_t *owner,
                   uint8_t digest[SIGN_DIGEST_SIZE])
{
    uint8_t data[255 + SIGN_DNSKEY_SIZE];
    unsigned labels = 0;
    size_t length = wire_length(owner, &labels);
    struct bytes_writer out = bytes_writer(data, sizeof data);
    bytes_put(&out, owner, length);
    bytes_put(&out, key->rdata, sizeof key->rdata);
    size_t size = 0;
    if (out.failed || EVP_Q_digest(NULL, "SHA256", NULL, data, out.at, digest, &size) != 1) {
        return -EPROTO;
    }
    return 0;
}

/* ---- signatures ---- */

/* Canonical order: RDATA as a string of bytes, the absent one before any (RFC 4034 section 6.3). */
static int compare_rdata(const void *a, const void *b)
{
    const struct sign_rdata *x = a;
    const struct sign_rdata *y = b;
    int order = memcmp(x->data, y->data, MIN(x->size, y->size));
    return order != 0 ? order : (int)x->size - (int)y->size;
}

/* Feeds RRSIG RDATA without the signature, and the RRset behind it (RFC 4034 section 3.1.8.1). */
static int digest_rrset(EVP_MD_CTX *context, const struct sign_rrset *rrset, const uint8_t *head,
                        size_t head_size)
{
    unsigned labels = 0;
    size_t length = wire_length(rrset->owner, &labels);
    uint8_t fixed[255 + 10];
    struct bytes_writer out = bytes_writer(fixed, sizeof fixed);
    /* What was made of a wildcard is signed as the wildcard. */
    const uint8_t *owner = rrset->owner;
    if (head[LABELS_AT] < labels && !(owner[0] == 1 && owner[1] == '*')) {
        for (unsigned i = labels; i > head[LABELS_AT]; i--) {
            length -= 1U + owner[0];
            owner += 1U + owner[0];
        }
        bytes_put(&out, "\001*", 2);
    }
    bytes_put(&out, owner, length);
    bytes_put_u16(&out, rrset->type);
    bytes_put_u16(&out, 1); /* class IN */
    bytes_put_u32(&out, rrset->ttl);
    size_t size_at = out.at;
    bytes_put_u16(&out, 0);
    if (out.failed || EVP_DigestUpdate(context, head, head_size) != 1) {
        return -EPROTO;
    }
    if (rrset->count > 1) {
        qsort(rrset->rdata, rrset->count, sizeof rrset->rdata[0], compare_rdata);
    }
    for (size_t i = 0; i < rrset->count; i++) {
        bytes_patch_u16(&out, size_at, rrset->rdata[i].size);
        if (EVP_DigestUpdate(context, fixed, out.at) != 1 ||
            EVP_DigestUpdate(context, rrset->rdata[i].data, rrset->rdata[i].size) != 1) {
            return -EPROTO;
        }
    }
    return 0;
}

/* The two numbers of a DER signature, 32 bytes each. */
static int plain_signature(const uint8_t *der, size_t size, uint8_t out[SIGN_SIGNATURE_SIZE])
{
    const unsigned char *at = der;
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &at, (long)size);
    if (signature == NULL) {
        return -EPROTO;
    }
    int r = BN_bn2binpad(ECDSA_SIG_get0_r(signature), out, NUMBER_SIZE) == (int)NUMBER_SIZE &&
                    BN_bn2binpad(ECDSA_SIG_get0_s(signature), out + NUMBER_SIZE, NUMBER_SIZE) ==
                        (int)NUMBER_SIZE
                ? 0
                : -EPROTO;
    ECDSA_SIG_free(signature);
    return r;
}

int sign_rrset(const struct sign_key *key, const struct sign_rrset *rrset,
               const struct sign_validity *validity, const uint8_t *signer,
               uint8_t out[SIGN_RRSIG_LIMIT], size_t *ret_size)
{
    unsigned labels = 0;
    size_t length = wire_length(rrset->owner, &labels);
    bool wildcard = length > 2 && rrset->owner[0] == 1 && rrset->owner[1] == '*';
    unsigned signer_labels = 0;
    size_t signer_length = wire_length(signer, &signer_labels);
    struct bytes_writer head = bytes_writer(out, SIGN_RRSIG_LIMIT - SIGN_SIGNATURE_SIZE);
    bytes_put_u16(&head, rrset->type);
    bytes_put_u8(&head, SIGN_ALGORITHM);
    bytes_put_u8(&head, (uint8_t)(wildcard ? labels - 1 : labels));
    bytes_put_u32(&head, rrset->ttl);
    bytes_put_u32(&head, validity->expiration);
    bytes_put_u32(&head, validity->inception);
    bytes_put_u16(&head, key->tag);
    bytes_put(&head, signer, signer_length);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL) {
        return -ENOMEM;
    }
    uint8_t der[DER_SIGNATURE_SIZE];
    size_t der_size = sizeof der;
    int r = EVP_MD_CTX_copy_ex(context, key->start) == 1
                ? digest_rrset(context, rrset, out, head.at)
                : -EPROTO;
    if (r == 0 && EVP_DigestSignFinal(context, der, &der_size) != 1) {
        r = -EPROTO;
    }
    EVP_MD_CTX_free(context);
    if (r == 0) {
        r = plain_signature(der, der_size, out + head.at);
    }
    if (r == 0) {
        *ret_size = head.at + SIGN_SIGNATURE_SIZE;
    }
    return r;
}

/* ---- checking ---- */

/* The public key of DNSKEY RDATA; NULL when it is none of algorithm 13. */
static EVP_PKEY *public_key(const uint8_t *dnskey, size_t size)
{
    struct bytes_reader in = bytes_reader(dnskey, size);
    (void)bytes_get_u16(&in); /* flags */
    unsigned protocol = bytes_get_u8(&in);
    unsigned algorithm = bytes_get_u8(&in);
    const uint8_t *numbers = bytes_get(&in, POINT_SIZE - 1);
    if (numbers == NULL || bytes_left(&in) != 0 || protocol != PROTOCOL ||
        algorithm != SIGN_ALGORITHM) {
        return NULL;
    }
    uint8_t point[POINT_SIZE] = {POINT_CONVERSION_UNCOMPRESSED};
    (void)memcpy(point + 1, numbers, POINT_SIZE - 1);
    char curve[] = CURVE;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, curve, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point),
        OSSL_PARAM_construct_end()};
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(context);
    return key;
}

/* DER of a signature's two numbers; its size, 0 when that failed. */
static size_t der_signature(const uint8_t *plain, uint8_t out[DER_SIGNATURE_SIZE])
{
    ECDSA_SIG *signature = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(plain, NUMBER_SIZE, NULL);
    BIGNUM *s = BN_bin2bn(plain + NUMBER_SIZE, NUMBER_SIZE, NULL);
    if (signature == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(signature, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(signature);
        return 0;
    }
    unsigned char *at = out;
    int size = i2d_ECDSA_SIG(signature, NULL);
    size = size > 0 && (size_t)size <= DER_SIGNATURE_SIZE ? i2d_ECDSA_SIG(signature, &at) : 0;
    ECDSA_SIG_free(signature);
    return (size_t)size;
}

int sign_verify(const uint8_t *dnskey, size_t dnskey_size, const struct sign_rrset *rrset,
                const uint8_t *rrsig, size_t rrsig_size)
{
    if (rrsig_size < SIGN_RRSIG_FIXED + 1 + SIGN_SIGNATURE_SIZE || dnskey_size < SIGN_RRSIG_FIXED) {
        return -EBADMSG;
    }
    struct bytes_reader in = bytes_reader(rrsig, rrsig_size);
    unsigned type = bytes_get_u16(&in);
    unsigned algorithm = bytes_get_u8(&in);
    unsigned labels = 0;
    (void)wire_length(rrset->owner, &labels);
    bool plausible = type == rrset->type && algorithm == SIGN_ALGORITHM &&
                     bytes_get_u8(&in) <= labels && bytes_get_u32(&in) == rrset->ttl;
    (void)bytes_get(&in, 8); /* times */
    plausible = plausible && bytes_get_u16(&in) == key_tag(dnskey, dnskey_size);
    EVP_PKEY *key = plausible ? public_key(dnskey, dnskey_size) : NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t head_size = rrsig_size - SIGN_SIGNATURE_SIZE;
    uint8_t der[DER_SIGNATURE_SIZE];
    size_t der_size = der_signature(rrsig + head_size, der);
    bool good = key != NULL && context != NULL && der_size != 0 &&
                EVP_DigestVerifyInit_ex(context, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
                digest_rrset(context, rrset, rrsig, head_size) == 0 &&
                EVP_DigestVerifyFinal(context, der, der_size) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return good ? 0 : -EBADMSG;
}
