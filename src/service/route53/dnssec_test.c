/* Tests of the DNSSEC operations, through the handlers. */
#include "model/dnssec.h"

#include "base/text.h"
#include "dns/sign/sign.h"
#include "dns/wire/name.h"
#include "model/path.h"
#include "service/route53/route53_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARN "arn:aws:kms:us-east-1:123456789012:key/"

static struct fixture f;
static char *zone;

static int set_up(void **state)
{
    (void)state;
    fixture_open(&f);
    zone = fixture_zone(&f, "example.com");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(zone);
    fixture_close(&f);
    return 0;
}

static int create(const char *name, const char *status)
{
    return fixture_ask(&f, "CreateKeySigningKey",
                       "{'HostedZoneId':'%s','CallerReference':'ref-%s','Name':'%s','Status':'%s',"
                       "'KeyManagementServiceArn':'" ARN "%s'}",
                       zone, name, name, status, "k-1");
}

/* With an ARN of its own. */
static int create_other(const char *name, const char *status, const char *arn)
{
    return fixture_ask(&f, "CreateKeySigningKey",
                       "{'HostedZoneId':'%s','CallerReference':'ref-%s','Name':'%s','Status':'%s',"
                       "'KeyManagementServiceArn':'%s'}",
                       zone, name, name, status, arn);
}

static int key_call(const char *operation, const char *name)
{
    return fixture_ask(&f, operation, "{'HostedZoneId':'%s','Name':'%s'}", zone, name);
}

static int zone_call(const char *operation)
{
    return fixture_ask(&f, operation, "{'HostedZoneId':'%s'}", zone);
}

static void assert_code(int rc, const char *code)
{
    if (!text_equal(fixture_code(&f), code)) {
        print_message("%s\n", f.err.message);
    }
    assert_string_equal(fixture_code(&f), code);
    assert_int_equal(rc == 0, code[0] == '\0');
}

static void assert_dnssec(const char *serve, size_t keys)
{
    assert_code(zone_call("GetDNSSEC"), "");
    assert_string_equal(fixture_text(&f, "Status.ServeSignature"), serve);
    assert_int_equal(fixture_size(&f, "KeySigningKeys"), keys);
}

static size_t stored(const char *prefix)
{
    struct err err = ERR_INIT;
    size_t count = 0;
    assert_int_equal(store_count(f.store, prefix, &count, &err), 0);
    return count;
}

static void a_created_key_is_shown_whole(void **state)
{
    (void)state;
    assert_code(create("main", "ACTIVE"), "");
    assert_string_equal(fixture_text(&f, "ChangeInfo.Status"), "PENDING");
    assert_non_null(strstr(fixture_text(&f, "Location"), "/main"));
    static const char *const paths[] = {"KeySigningKey", "KeySigningKeys.0"};
    for (size_t i = 0; i < 2; i++) {
        char path[64];
#define AT(member) (snprintf(path, sizeof path, "%s." member, paths[i]), path)
        assert_string_equal(fixture_text(&f, AT("Name")), "main");
        assert_string_equal(fixture_text(&f, AT("KmsArn")), ARN "k-1");
        assert_string_equal(fixture_text(&f, AT("Status")), "ACTIVE");
        assert_int_equal(fixture_number(&f, AT("Flag")), 257);
        assert_int_equal(fixture_number(&f, AT("SigningAlgorithmType")), 13);
        assert_string_equal(fixture_text(&f, AT("SigningAlgorithmMnemonic")), "ECDSAP256SHA256");
        assert_int_equal(fixture_number(&f, AT("DigestAlgorithmType")), 2);
        assert_string_equal(fixture_text(&f, AT("DigestAlgorithmMnemonic")), "SHA-256");
        assert_string_equal(fixture_text(&f, AT("CreatedDate")), "2027-01-15T08:00:00Z");
        char expected[256];
        (void)snprintf(expected, sizeof expected, "%lld 13 2 %s", fixture_number(&f, AT("KeyTag")),
                       fixture_text(&f, AT("DigestValue")));
        assert_string_equal(fixture_text(&f, AT("DSRecord")), expected);
        (void)snprintf(expected, sizeof expected, "257 3 13 %s", fixture_text(&f, AT("PublicKey")));
        assert_string_equal(fixture_text(&f, AT("DNSKEYRecord")), expected);
#undef AT
        assert_dnssec("NOT_SIGNING", 1);
    }
}

/* What the feed does: opens the stored private key, which is the one that is shown. */
static void the_stored_private_key_is_sealed_and_is_the_one_shown(void **state)
{
    struct arena arena CLEANUP(arena_done);
    struct err err = ERR_INIT;
    struct store_entry entry;
    struct model_signing_key key;
    struct seal_data data;
    struct sign_key *pair = NULL;
    uint8_t owner[NAME_WIRE_LIMIT];
    uint8_t digest[SIGN_DIGEST_SIZE];
    char hex[2 * SIGN_DIGEST_SIZE + 1];
    (void)state;
    arena_init(&arena, 0);
    assert_code(create("main", "ACTIVE"), "");
    const char *path = path_signing_key(&arena, zone, "main");
    assert_int_equal(store_get(f.store, path, &arena, &entry, &err), 0);
    assert_int_equal(model_signing_key_decode(entry.value, entry.size, &arena, &key, &err), 0);
    assert_int_equal(seal_unwrap(f.seal, path, key.sealed, &arena, &data, &err), 0);
    assert_int_equal(sign_key_load(SIGN_ENTRY_KEY, data.data, data.size, &pair, &err), 0);
    assert_int_equal(sign_key_tag(pair), fixture_number(&f, "KeySigningKey.KeyTag"));
    assert_true(name_from_text("example.com", true, owner) > 0);
    assert_int_equal(sign_ds_digest(pair, owner, digest), 0);
    text_hex(digest, sizeof digest, hex);
    assert_true(text_equal_nocase(hex, fixture_text(&f, "KeySigningKey.DigestValue")));
    sign_key_unref(pair);
}

static void bad_input_is_refused_by_name(void **state)
{
    static const struct {
        const char *name;
        const char *status;
        const char *arn;
        const char *code;
    } cases[] = {
        {"with-dash", "ACTIVE", ARN "1", "InvalidKeySigningKeyName"},
        {"ab", "ACTIVE", ARN "1", "InvalidKeySigningKeyName"},
        {"with.dot", "ACTIVE", ARN "1", "InvalidKeySigningKeyName"},
        {"good", "DELETING", ARN "1", "InvalidKeySigningKeyStatus"},
        {"good", "active", ARN "1", "InvalidKeySigningKeyStatus"},
        {"good", "ACTIVE", "", "InvalidKMSArn"},
        {"good", "ACTIVE", "alias/key", "InvalidKMSArn"},
        {"good", "ACTIVE", ARN, "InvalidKMSArn"},
        {"good", "ACTIVE", ARN "a/b", "InvalidKMSArn"},
        {"good", "ACTIVE", "arn:aws:kms:us-east-1:1:key/a", "InvalidKMSArn"},
        {"good", "ACTIVE", "arn:aws:sns:us-east-1:123456789012:key/a", "InvalidKMSArn"},
        {"good", "ACTIVE", "arn:aws:kms:us-east-1:123456789012:alias/a", "InvalidKMSArn"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_code(create_other(cases[i].name, cases[i].status, cases[i].arn), cases[i].code);
    }
    assert_int_equal(stored(PATH_SIGNING_KEYS), 0);
    assert_code(create_other("good", "INACTIVE", "arn:aws-cn:kms:eu-west-1:123456789012:key/a-B"),
                "");
}

static void a_zone_has_at_most_two_keys(void **state)
{
    (void)state;
    assert_code(create_other("one", "ACTIVE", ARN "1"), "");
    assert_code(create_other("two", "INACTIVE", ARN "2"), "");
    assert_code(create_other("three", "ACTIVE", ARN "3"), "TooManyKeySigningKeys");
    assert_dnssec("NOT_SIGNING", 2);
}

static void a_repeated_creation_finds_its_key(void **state)
{
    (void)state;
    assert_code(create_other("one", "ACTIVE", ARN "1"), "");
    long long tag = fixture_number(&f, "KeySigningKey.KeyTag");
    assert_code(create_other("one", "ACTIVE", ARN "1"), "");
    assert_int_equal(fixture_number(&f, "KeySigningKey.KeyTag"), tag);
    assert_code(create_other("one", "ACTIVE", ARN "2"), "KeySigningKeyAlreadyExists");
    assert_code(create_other("two", "ACTIVE", ARN "1"), "KeySigningKeyAlreadyExists");
    assert_dnssec("NOT_SIGNING", 1);
}

static void what_does_not_exist_is_named(void **state)
{
    (void)state;
    static const char *const key_calls[] = {"ActivateKeySigningKey", "DeactivateKeySigningKey",
                                            "DeleteKeySigningKey"};
    static const char *const zone_calls[] = {"GetDNSSEC", "EnableHostedZoneDNSSEC",
                                             "DisableHostedZoneDNSSEC"};
    for (size_t i = 0; i < 3; i++) {
        assert_code(key_call(key_calls[i], "none"), "NoSuchKeySigningKey");
        assert_code(fixture_ask(&f, key_calls[i], "{'HostedZoneId':'Z1','Name':'none'}"),
                    "NoSuchKeySigningKey");
        assert_code(fixture_ask(&f, zone_calls[i], "{'HostedZoneId':'Z1'}"), "NoSuchHostedZone");
    }
    free(zone);
    zone = strdup("ZNONE");
    assert_code(create("main", "ACTIVE"), "NoSuchHostedZone");
}

static void signing_needs_an_active_key(void **state)
{
    (void)state;
    assert_code(zone_call("EnableHostedZoneDNSSEC"), "KeySigningKeyWithActiveStatusNotFound");
    assert_code(create("main", "INACTIVE"), "");
    assert_code(zone_call("EnableHostedZoneDNSSEC"), "KeySigningKeyWithActiveStatusNotFound");
    assert_int_equal(stored(PATH_ZONE_KEYS), 0);
    assert_code(key_call("ActivateKeySigningKey", "main"), "");
    assert_code(zone_call("EnableHostedZoneDNSSEC"), "");
    assert_string_equal(fixture_text(&f, "ChangeInfo.Status"), "PENDING");
    assert_dnssec("SIGNING", 1);
    assert_int_equal(stored(PATH_ZONE_KEYS), 1);
    assert_code(zone_call("EnableHostedZoneDNSSEC"), ""); /* it is so already */
    assert_int_equal(stored(PATH_ZONE_KEYS), 1);
}

static void the_last_active_key_of_a_signed_zone_stays(void **state)
{
    (void)state;
    assert_code(create_other("one", "ACTIVE", ARN "1"), "");
    assert_code(zone_call("EnableHostedZoneDNSSEC"), "");
    assert_code(key_call("DeactivateKeySigningKey", "one"), "KeySigningKeyInUse");
    assert_code(create_other("two", "ACTIVE", ARN "2"), "");
    assert_code(key_call("DeactivateKeySigningKey", "one"), "");
    assert_code(key_call("DeactivateKeySigningKey", "two"), "KeySigningKeyInUse");
    assert_code(key_call("DeleteKeySigningKey", "two"), "InvalidKeySigningKeyStatus");
    assert_code(key_call("DeleteKeySigningKey", "one"), "");
    assert_dnssec("SIGNING", 1);
}

static void signing_ends_and_takes_the_zone_key_away(void **state)
{
    (void)state;
    assert_code(zone_call("DisableHostedZoneDNSSEC"), "DNSSECNotFound");
    assert_code(create("main", "ACTIVE"), "");
    assert_code(zone_call("EnableHostedZoneDNSSEC"), "");
    assert_code(zone_call("DisableHostedZoneDNSSEC"), "");
    assert_dnssec("NOT_SIGNING", 1);
    assert_int_equal(stored(PATH_ZONE_KEYS), 0);
    assert_code(key_call("DeactivateKeySigningKey", "main"), "");
    assert_code(key_call("DeleteKeySigningKey", "main"), "");
    assert_dnssec("NOT_SIGNING", 0);
    assert_code(zone_call("DisableHostedZoneDNSSEC"), "DNSSECNotFound");
}

static void a_key_in_a_parent_of_ours_stays(void **state)
{
    (void)state;
    char *parent = fixture_zone(&f, "com");
    char ds[512];
    char record[1024];
    assert_code(create_other("one", "ACTIVE", ARN "1"), "");
    (void)snprintf(ds, sizeof ds, "%lld  13 2 %s", fixture_number(&f, "KeySigningKey.KeyTag"),
                   fixture_text(&f, "KeySigningKey.DigestValue"));
    for (char *c = ds; *c != '\0'; c++) {
        *c = text_lower(*c);
    }
    (void)snprintf(record, sizeof record,
                   "{'Name':'example.com','Type':'DS','TTL':60,'ResourceRecords':[{'Value':'%s'}]}",
                   ds);
    assert_code(zone_call("EnableHostedZoneDNSSEC"), "");
    assert_code(create_other("two", "ACTIVE", ARN "2"), "");
    assert_code(fixture_change(&f, parent, "CREATE", record), "");
    assert_code(key_call("DeactivateKeySigningKey", "one"), "KeySigningKeyInParentDSRecord");
    assert_code(key_call("DeactivateKeySigningKey", "two"), "");
    assert_code(zone_call("DisableHostedZoneDNSSEC"), "KeySigningKeyInParentDSRecord");
    assert_code(fixture_change(&f, parent, "DELETE", record), "");
    assert_code(zone_call("DisableHostedZoneDNSSEC"), "");
    free(parent);
}

static void a_key_that_cannot_be_opened_needs_action(void **state)
{
    (void)state;
    assert_code(create("main", "ACTIVE"), "");
    struct seal *other = NULL;
    assert_int_equal(
        seal_parse("other HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "test", &other, &f.err),
        0);
    f.context.seal = other;
    assert_dnssec("NOT_SIGNING", 1);
    assert_string_equal(fixture_text(&f, "KeySigningKeys.0.Status"), "ACTION_NEEDED");
    assert_true(fixture_text(&f, "KeySigningKeys.0.StatusMessage")[0] != '\0');
    assert_code(zone_call("EnableHostedZoneDNSSEC"), "InvalidKeySigningKeyStatus");
    assert_code(key_call("ActivateKeySigningKey", "main"), "InvalidKeySigningKeyStatus");
    assert_code(key_call("DeactivateKeySigningKey", "main"), "");
    assert_code(key_call("DeleteKeySigningKey", "main"), "");
    f.context.seal = f.seal;
    seal_free(other);
}

static void a_zone_with_keys_is_not_deleted(void **state)
{
    (void)state;
    assert_code(create("main", "ACTIVE"), "");
    assert_code(zone_call("EnableHostedZoneDNSSEC"), "");
    assert_code(fixture_ask(&f, "DeleteHostedZone", "{'Id':'%s'}", zone), "HostedZoneNotEmpty");
    assert_non_null(strstr(f.err.message, "DNSSEC Key Signing Keys"));
    assert_code(zone_call("DisableHostedZoneDNSSEC"), "");
    assert_code(fixture_ask(&f, "DeleteHostedZone", "{'Id':'%s'}", zone), "HostedZoneNotEmpty");
    assert_code(key_call("DeactivateKeySigningKey", "main"), "");
    assert_code(key_call("DeleteKeySigningKey", "main"), "");
    assert_code(fixture_ask(&f, "DeleteHostedZone", "{'Id':'%s'}", zone), "");
    assert_int_equal(stored(PATH_DNSSEC), 0);
}

static void changes_are_in_sync_when_dns_has_applied_them(void **state)
{
    (void)state;
    char value[64];
    char *id = NULL;
    assert_code(create("main", "ACTIVE"), "");
    assert_code(zone_call("EnableHostedZoneDNSSEC"), "");
    assert_true(asprintf(&id, "%s", fixture_text(&f, "ChangeInfo.Id")) > 0);
    long long revision = fixture_revision(&f);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(value, sizeof value, "{\"v\":1,\"Revision\":%lld}", revision - 1 + i);
        fixture_put(&f, "node/n/dns", value);
        assert_code(fixture_ask(&f, "GetChange", "{'Id':'%s'}", id), "");
        assert_string_equal(fixture_text(&f, "ChangeInfo.Status"), i == 0 ? "PENDING" : "INSYNC");
    }
    free(id);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_created_key_is_shown_whole),
        TEST(the_stored_private_key_is_sealed_and_is_the_one_shown),
        TEST(bad_input_is_refused_by_name),
        TEST(a_zone_has_at_most_two_keys),
        TEST(a_repeated_creation_finds_its_key),
        TEST(what_does_not_exist_is_named),
        TEST(signing_needs_an_active_key),
        TEST(the_last_active_key_of_a_signed_zone_stays),
        TEST(signing_ends_and_takes_the_zone_key_away),
        TEST(a_key_in_a_parent_of_ours_stays),
        TEST(a_key_that_cannot_be_opened_needs_action),
        TEST(a_zone_with_keys_is_not_deleted),
        TEST(changes_are_in_sync_when_dns_has_applied_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
