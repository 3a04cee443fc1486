/* Keys and signatures against what others made: RFC 6605 section 6.1, and dnspython with the same
 * key. */
#include "dns/sign/sign.h"

#include "base/buf.h"
#include "base/text.h"
#include "dns/wire/name.h"
#include "dns/wire/rdata.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* RFC 6605 section 6.1's private key as PKCS#8, written by another program. */
static const char private_hex[] =
    "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420194e929d0fcebbec42e51b"
    "a6b88508b8966d7974f6cf43bfa24d6cdfc12dea64a144034200041a88c88615d437fbb8bf9e1942a1929f28562706"
    "ae6c2bd399e7b1bfb6d1e9e75b92b4aa42917ae1c61b701ef035c3fe7be3009cbafe5a2f71316c902dcf0d00";
static const char public_base64[] =
    "GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==";

static const struct sign_validity validity = {.inception = 1281607479, .expiration = 1284026679};

static size_t unhex(const char *text, uint8_t *out, size_t room)
{
    size_t size = strlen(text) / 2;
    assert_true(size <= room);
    assert_int_equal(0, text_unhex(text, out, size));
    return size;
}

static struct sign_key *rfc_key(void)
{
    uint8_t der[256];
    size_t size = unhex(private_hex, der, sizeof der);
    struct err err = ERR_INIT;
    struct sign_key *key = NULL;
    assert_int_equal(0, sign_key_load(SIGN_ENTRY_KEY, der, size, &key, &err));
    return key;
}

static void name(const char *text, uint8_t *wire)
{
    assert_true(name_from_text(text, false, wire) > 0);
}

static void the_key_of_rfc_6605_has_its_rdata_tag_and_digest(void **state)
{
    (void)state;
    struct sign_key *key = rfc_key();
    uint8_t rdata[SIGN_DNSKEY_SIZE];
    assert_int_equal(SIGN_DNSKEY_SIZE, sign_key_rdata(key, rdata));
    struct buf wanted;
    buf_init(&wanted, 0);
    buf_put(&wanted, "\001\001\003\015", 4);
    assert_int_equal(0, text_unbase64(public_base64, strlen(public_base64), &wanted));
    assert_int_equal(SIGN_DNSKEY_SIZE, wanted.length);
    assert_memory_equal(wanted.data, rdata, SIGN_DNSKEY_SIZE);
    buf_done(&wanted);
    assert_int_equal(55648, sign_key_tag(key));
    assert_int_equal(257, sign_key_flags(key));
    uint8_t owner[NAME_WIRE_LIMIT];
    name("example.net.", owner);
    uint8_t digest[SIGN_DIGEST_SIZE];
    char text[2 * SIGN_DIGEST_SIZE + 1];
    assert_int_equal(0, sign_ds_digest(key, owner, digest));
    text_hex(digest, sizeof digest, text);
    assert_string_equal("b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17", text);
    sign_key_unref(key);
}

static void the_signature_of_rfc_6605_verifies(void **state)
{
    (void)state;
    struct sign_key *key = rfc_key();
    uint8_t dnskey[SIGN_DNSKEY_SIZE];
    (void)sign_key_rdata(key, dnskey);
    uint8_t owner[NAME_WIRE_LIMIT];
    name("www.example.net.", owner);
    uint8_t address[] = {192, 0, 2, 1};
    struct sign_rdata rdata = {.data = address, .size = 4};
    struct sign_rrset rrset = {
        .owner = owner, .type = RR_A, .ttl = 3600, .rdata = &rdata, .count = 1};
    static const char signature[] = "qx6wLYqmh+l9oCKTN6qIc+bw6ya+KJ8oMz0YP107epXAyGmt+3SNruPFKG7tZ"
                                    "oLBLlUzGGus7ZwmwWep666VCw==";
    struct buf rrsig;
    buf_init(&rrsig, 0);
    uint8_t head[64];
    size_t size = unhex("00010d0300000e10"
                        "4c88b137"
                        "4c63c737"
                        "d960"
                        "076578616d706c65036e657400",
                        head, sizeof head);
    buf_put(&rrsig, head, size);
    assert_int_equal(0, text_unbase64(signature, strlen(signature), &rrsig));
    const uint8_t *bytes = (const uint8_t *)rrsig.data;
    assert_int_equal(0, sign_verify(dnskey, sizeof dnskey, &rrset, bytes, rrsig.length));
    address[3] = 2;
    assert_int_equal(-EBADMSG, sign_verify(dnskey, sizeof dnskey, &rrset, bytes, rrsig.length));
    buf_done(&rrsig);
    sign_key_unref(key);
}

static void canonical_order_is_as_dnspython_signs_it(void **state)
{
    (void)state;
    struct sign_key *key = rfc_key();
    uint8_t dnskey[SIGN_DNSKEY_SIZE];
    (void)sign_key_rdata(key, dnskey);
    uint8_t owner[NAME_WIRE_LIMIT];
    static const char *const exchanges[] = {"20 b.example.net.", "10 aa.example.net.",
                                            "10 a.example.net.", "5 x.example.net."};
    static const char *const texts[] = {"\"b\"", "\"a\" \"a\"", "\"A\"", "\"\""};
    static const struct {
        const char *owner;
        uint16_t type;
        uint32_t ttl;
        const char *const *values;
        const char *rrsig;
    } cases[] = {
        {"mail.example.net.", RR_MX, 600, exchanges,
         "000f0d03000002584c88b1374c63c737d960076578616d706c65036e657400f5545891bc8a9d8c394847964"
         "21f5273e0277133c68ba4aca934ba15e24e41844395f084365d2f9de4bc48742eebf47dac85439978737b10"
         "9668b38d657a88e7"},
        {"txt.example.net.", RR_TXT, 60, texts,
         "00100d030000003c4c88b1374c63c737d960076578616d706c65036e657400b93f1e64037485775243a972"
         "9c26ebf6645437d481b5bc42f6352cd3c2d9c14ad7dba8f30594a09b213feda9359b3ad97b6f6fc8961b4f"
         "c9e930e71c377b560e"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        name(cases[i].owner, owner);
        uint8_t data[4][64];
        struct sign_rdata rdata[4];
        struct err err = ERR_INIT;
        for (size_t n = 0; n < 4; n++) {
            int size =
                rdata_from_text(cases[i].type, cases[i].values[n], data[n], sizeof data[n], &err);
            assert_true(size > 0);
            rdata[n] = (struct sign_rdata){.data = data[n], .size = (uint16_t)size};
        }
        struct sign_rrset rrset = {
            .owner = owner, .type = cases[i].type, .ttl = cases[i].ttl, .rdata = rdata, .count = 4};
        uint8_t rrsig[SIGN_RRSIG_LIMIT];
        size_t size = unhex(cases[i].rrsig, rrsig, sizeof rrsig);
        assert_int_equal(0, sign_verify(dnskey, sizeof dnskey, &rrset, rrsig, size));
    }
    sign_key_unref(key);
}

static void what_is_signed_verifies_also_as_what_a_wildcard_became(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct sign_key *key = NULL;
    assert_int_equal(0, sign_key_generate(SIGN_ZONE_KEY, &key, &err));
    uint8_t dnskey[SIGN_DNSKEY_SIZE];
    (void)sign_key_rdata(key, dnskey);
    uint8_t owner[NAME_WIRE_LIMIT];
    uint8_t zone[NAME_WIRE_LIMIT];
    name("*.wild.example.net.", owner);
    name("example.net.", zone);
    uint8_t addresses[3][4] = {{192, 0, 2, 9}, {10, 0, 0, 1}, {192, 0, 2, 10}};
    struct sign_rdata rdata[3];
    for (unsigned i = 0; i < 3; i++) {
        rdata[i] = (struct sign_rdata){.data = addresses[i], .size = 4};
    }
    struct sign_rrset rrset = {.owner = owner, .type = RR_A, .ttl = 60, .rdata = rdata, .count = 3};
    uint8_t rrsig[SIGN_RRSIG_LIMIT];
    size_t size = 0;
    assert_int_equal(0, sign_rrset(key, &rrset, &validity, zone, rrsig, &size));
    assert_int_equal(SIGN_RRSIG_FIXED + 13 + SIGN_SIGNATURE_SIZE, size);
    assert_int_equal(3, rrsig[3]); /* labels, without the asterisk */
    assert_int_equal(0, sign_verify(dnskey, sizeof dnskey, &rrset, rrsig, size));
    name("a.b.wild.example.net.", owner);
    assert_int_equal(0, sign_verify(dnskey, sizeof dnskey, &rrset, rrsig, size));
    name("a.b.tame.example.net.", owner);
    assert_int_equal(-EBADMSG, sign_verify(dnskey, sizeof dnskey, &rrset, rrsig, size));
    name("b.wild.example.net.", owner);
    for (size_t at = 0; at < size; at++) {
        rrsig[at] ^= 1U;
        assert_int_equal(-EBADMSG, sign_verify(dnskey, sizeof dnskey, &rrset, rrsig, size));
        rrsig[at] ^= 1U;
    }
    for (size_t less = 0; less < size; less++) {
        assert_int_equal(-EBADMSG, sign_verify(dnskey, sizeof dnskey, &rrset, rrsig, less));
    }
    sign_key_unref(key);
}

static void a_key_is_the_same_after_it_was_stored_and_loaded(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct sign_key *key = NULL;
    assert_int_equal(0, sign_key_generate(SIGN_ENTRY_KEY, &key, &err));
    struct buf der;
    buf_init(&der, 0);
    assert_int_equal(0, sign_key_private(key, &der));
    struct sign_key *loaded = NULL;
    assert_int_equal(0, sign_key_load(SIGN_ENTRY_KEY, der.data, der.length, &loaded, &err));
    uint8_t before[SIGN_DNSKEY_SIZE];
    uint8_t after[SIGN_DNSKEY_SIZE];
    (void)sign_key_rdata(key, before);
    (void)sign_key_rdata(loaded, after);
    assert_memory_equal(before, after, sizeof before);
    struct sign_key *again = sign_key_ref(loaded);
    sign_key_unref(loaded);
    assert_int_equal(sign_key_tag(key), sign_key_tag(again));
    sign_key_unref(again);
    sign_key_unref(key);
    sign_key_unref(NULL);
    buf_done(&der);
}

static void what_is_no_p256_key_is_refused(void **state)
{
    (void)state;
    uint8_t der[256];
    size_t size = unhex(private_hex, der, sizeof der);
    struct err err = ERR_INIT;
    struct sign_key *key = NULL;
    assert_int_equal(-EINVAL, sign_key_load(0, der, size, &key, &err));
    assert_int_equal(-EINVAL, sign_key_generate(258, &key, &err));
    assert_int_equal(-EINVAL, sign_key_load(SIGN_ZONE_KEY, der, 0, &key, &err));
    assert_int_equal(-EINVAL, sign_key_load(SIGN_ZONE_KEY, der, size / 2, &key, &err));
    /* The same form on P-384. */
    static const char other[] =
        "3081b6020100301006072a8648ce3d020106052b8104002204819e30819b0201010430";
    uint8_t broken[256];
    size = unhex(other, broken, sizeof broken);
    assert_int_equal(-EINVAL, sign_key_load(SIGN_ZONE_KEY, broken, size, &key, &err));
    assert_null(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_of_rfc_6605_has_its_rdata_tag_and_digest),
        cmocka_unit_test(the_signature_of_rfc_6605_verifies),
        cmocka_unit_test(canonical_order_is_as_dnspython_signs_it),
        cmocka_unit_test(what_is_signed_verifies_also_as_what_a_wildcard_became),
        cmocka_unit_test(a_key_is_the_same_after_it_was_stored_and_loaded),
        cmocka_unit_test(what_is_no_p256_key_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
