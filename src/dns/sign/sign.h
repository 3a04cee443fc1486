/* DNSSEC keys and signatures: ECDSA P-256 with SHA-256, algorithm 13 (RFC 6605), which every
 * validator knows and whose signatures are 64 bytes.
 *
 * Nothing here reads a clock, keeps state or knows zones. Keys are immutable and reference counted.
 * Thread: any; one key may sign on several threads at once. */
#ifndef DNS_SIGN_SIGN_H
#define DNS_SIGN_SIGN_H

#include "base/buf.h"
#include "base/err.h"
#include "base/macro.h"

#include <stddef.h>
#include <stdint.h>

#define SIGN_ALGORITHM 13U   /* ECDSAP256SHA256 */
#define SIGN_DIGEST 2U       /* SHA-256, of DS records */
#define SIGN_ZONE_KEY 256U   /* flags of a zone-signing key */
#define SIGN_ENTRY_KEY 257U  /* and of a key-signing key: RFC 4034 section 2.1.1 */
#define SIGN_DNSKEY_SIZE 68U /* DNSKEY RDATA: flags, protocol, algorithm, 64 bytes of key */
#define SIGN_DIGEST_SIZE 32U
#define SIGN_SIGNATURE_SIZE 64U
#define SIGN_RRSIG_FIXED 18U /* bytes of RRSIG RDATA before the signer's name */
#define SIGN_RRSIG_LIMIT (SIGN_RRSIG_FIXED + 255U + SIGN_SIGNATURE_SIZE)

/* ---- keys ---- */

/* One key pair and the flags of its DNSKEY. */
struct sign_key;

/* A fresh pair. flags: SIGN_ZONE_KEY or SIGN_ENTRY_KEY. ERR_INTERNAL when OpenSSL refuses. */
int sign_key_generate(uint16_t flags, struct sign_key **ret_key, struct err *err) MUST_CHECK;
/* From PKCS#8 (or SEC 1) DER, as sign_key_private wrote it or `openssl` did. ERR_INVALID when it
 * is no private key on P-256, or the flags are neither of the two. */
int sign_key_load(uint16_t flags, const void *private_der, size_t size, struct sign_key **ret_key,
                  struct err *err) MUST_CHECK;
/* Appends the pair as PKCS#8 DER; the caller wipes what it is done with. -ENOMEM when the buffer
 * failed, -EPROTO when OpenSSL did. */
int sign_key_private(const struct sign_key *key, struct buf *der) MUST_CHECK;
struct sign_key *sign_key_ref(struct sign_key *key);
/* The last reference wipes and frees. NULL is fine. */
void sign_key_unref(struct sign_key *take_key);

uint16_t sign_key_flags(const struct sign_key *key) PURE;
/* RFC 4034 appendix B. */
uint16_t sign_key_tag(const struct sign_key *key) PURE;
/* DNSKEY RDATA; returns SIGN_DNSKEY_SIZE. */
size_t sign_key_rdata(const struct sign_key *key, uint8_t out[SIGN_DNSKEY_SIZE]);
/* Digest of a DS record for the zone whose name is owner (wire form, lower case): RFC 4509. */
int sign_ds_digest(const struct sign_key *key, const uint8_t *owner,
                   uint8_t digest[SIGN_DIGEST_SIZE]) MUST_CHECK;

/* ---- signatures ---- */

struct sign_rdata {
    const uint8_t *data;
    uint16_t size;
};

/* An RRset to be signed; borrowed. Names are uncompressed and in lower case, those in RDATA too, as
 * dns/wire/rdata.h writes them: that is the canonical form of RFC 4034 section 6.2 (as RFC 6840
 * section 5.1 has it). The RDATA are put into canonical order here; none is there twice. */
struct sign_rrset {
    const uint8_t *owner; /* of a wildcard "*.example.": its RRSIG has one label fewer */
    uint16_t type;
    uint32_t ttl; /* the original one */
    struct sign_rdata *rdata;
    size_t count;
};

/* Seconds since 1970, modulo 2^32 (RFC 4034 section 3.1.5). */
struct sign_validity {
    uint32_t inception;
    uint32_t expiration;
};

/* RRSIG RDATA of the RRset by the key, in the name of the zone `signer` (wire form, lower case).
 * -ENOMEM or -EPROTO when OpenSSL failed. */
int sign_rrset(const struct sign_key *key, const struct sign_rrset *rrset,
               const struct sign_validity *validity, const uint8_t *signer,
               uint8_t out[SIGN_RRSIG_LIMIT], size_t *ret_size) MUST_CHECK;
/* 0 when the RRSIG RDATA is a signature over the RRset by the key with that DNSKEY RDATA; -EBADMSG
 * when it is not, whatever the reason. The times in it are not judged. */
int sign_verify(const uint8_t *dnskey, size_t dnskey_size, const struct sign_rrset *rrset,
                const uint8_t *rrsig, size_t rrsig_size) MUST_CHECK;

#endif
