/* Tests of rdata.h: every type of Route 53, text to wire and back, and the sentences of what is
 * refused. */
#include "dns/wire/rdata.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t wire[RDATA_LIMIT];

static void values_come_back_as_they_were(void **state)
{
    (void)state;
    /* shown: NULL when it is the value itself. */
    static const struct {
        uint16_t type;
        const char *value;
        const char *shown;
    } values[] = {
        {RR_A, "192.0.2.1", NULL},
        {RR_AAAA, "2001:db8::1", NULL},
        {RR_AAAA, "2001:0db8:85a3:0:0:8a2e:0370:7334", "2001:db8:85a3::8a2e:370:7334"},
        {RR_AAAA, "::ffff:192.0.2.1", NULL},
        {RR_CNAME, "Hostname.example.com", "hostname.example.com."},
        {RR_CNAME, "\\052.example.com.", NULL},
        {RR_NS, "ns-1.example.com.", NULL},
        {RR_PTR, "hostname.example.com.", NULL},
        {RR_PTR, ".", NULL},
        {RR_MX, "10 mail.example.com.", NULL},
        {RR_MX, "  0\t .", "0 ."},
        {RR_SRV, "10 5 65535 hostname.example.com.", NULL},
        {RR_SRV, "0 0 0 .", NULL},
        {RR_SOA, "ns-1.example.net. hostmaster.example.com. 4294967295 7200 900 1209600 86400",
         NULL},
        {RR_TXT, "\"This string includes \\\"quotation marks\\\".\"", NULL},
        {RR_TXT, "\"a\" \"b\"  \"c\"", "\"a\" \"b\" \"c\""},
        {RR_TXT, "\"a\"\"b\"", "\"a\" \"b\""},
        {RR_TXT, "\"\"", NULL},
        {RR_TXT, "\"UPPER\\351\\040x\"", "\"UPPER\\351 x\""},
        {RR_TXT, "\"back\\\\slash \\134 \\;\"", "\"back\\\\slash \\\\ ;\""},
        {RR_SPF, "\"v=spf1 ip4:192.168.0.1/16-all\"", NULL},
        {RR_CAA, "0 issue \"ca.example.net; account=123456\"", NULL},
        {RR_CAA, "128 issueWild \";\"", NULL},
        {RR_CAA, "0 iodef \"\"", NULL},
        {RR_DS, "123 4 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", NULL},
        {RR_DS, "60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118",
         "60485 5 1 2bb183af5f22588179a53b0a98631fad1a292118"},
        {RR_NAPTR, "100 50 \"u\" \"E2U+sip\" \"!^(\\\\+441632960083)$!sip:\\\\1@example.com!\" .",
         NULL},
        {RR_NAPTR, "100 51 \"\" \"\" \"\" next.example.com.", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        struct err err = ERR_INIT;
        char text[4096];
        int length = rdata_from_text(values[i].type, values[i].value, wire, sizeof wire, &err);
        assert_string_equal(err.message, "");
        assert_true(length > 0);
        assert_int_equal(rdata_to_text(values[i].type, wire, (size_t)length, text, sizeof text), 0);
        const char *shown = values[i].shown;
        assert_string_equal(text, shown != NULL ? shown : values[i].value);
        /* What is shown means the same again. */
        uint8_t again[1024];
        assert_int_equal(rdata_from_text(values[i].type, text, again, sizeof again, &err), length);
        assert_memory_equal(again, wire, (size_t)length);
    }
}

static void wire_form_is_what_the_rfcs_say(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    assert_int_equal(rdata_from_text(RR_A, "192.0.2.1", wire, sizeof wire, &err), 4);
    assert_memory_equal(wire, "\300\000\002\001", 4);
    assert_int_equal(rdata_from_text(RR_MX, "256 a.b", wire, sizeof wire, &err), 7);
    assert_memory_equal(wire, "\001\000\001a\001b", 7);
    assert_int_equal(rdata_from_text(RR_TXT, "\"ab\" \"c\"", wire, sizeof wire, &err), 5);
    assert_memory_equal(wire, "\002ab\001c", 5);
    assert_int_equal(rdata_from_text(RR_CAA, "1 Tag \"v\"", wire, sizeof wire, &err), 6);
    assert_memory_equal(wire, "\001\003Tagv", 6);
}

static void refusals_read_as_route53_words_them(void **state)
{
    (void)state;
    static const struct {
        uint16_t type;
        const char *value;
        const char *problem; /* without "FATAL problem: " and the quoted value */
    } values[] = {
        {RR_A, "", "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)"},
        {RR_A, "ns-738.awsdns-28.net.",
         "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)"},
        {RR_A, "192.0.2", "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)"},
        {RR_A, "192.0.2.010", "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)"},
        {RR_A, "2001:db8::1", "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)"},
        {RR_A, "88.112.107.181, 88.112.107.181", "ARRDATANotSingleField (Value contains spaces)"},
        {RR_AAAA, "192.0.2.1", "AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address)"},
        {RR_AAAA, "fe80::1%eth0",
         "AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address)"},
        {RR_CNAME, "a..b", "DomainLabelEmpty (Domain label is empty)"},
        {RR_MX, "mail.example.com", "MXRRDATANotTwoFields (MX record doesn't have 2 fields)"},
        {RR_MX, "10 a b", "MXRRDATANotTwoFields (MX record doesn't have 2 fields)"},
        {RR_MX, "65536 a", "MXRRDATAIllegalPriority"},
        {RR_MX, "-1 a", "MXRRDATAIllegalPriority"},
        {RR_MX, "-0 a", "MXRRDATAIllegalPriority"},
        {RR_SRV, "1 1 32769 ip. eu-central-1.compute.internal.",
         "SRVRRDATANotFourFields (SRV record doesn't have 4 fields)"},
        {RR_SRV, "1 1 x a", "SRVRRDATAIllegalPort"},
        {RR_SOA, "a b 1 2 3 4", "SOARRDATANotSevenFields"},
        {RR_SOA, "a b 1 2 3 4 4294967296", "SOARRDATAIllegalNumber"},
        {RR_TXT, "v=spf1 include:amazonses.com ~all",
         "InvalidCharacterString (Value should be enclosed in quotation marks)"},
        {RR_TXT, "", "InvalidCharacterString (Value should be enclosed in quotation marks)"},
        {RR_TXT, "\"open", "InvalidCharacterString (Value should be enclosed in quotation marks)"},
        {RR_TXT, "\"open\\\"",
         "InvalidCharacterString (Value should be enclosed in quotation marks)"},
        {RR_TXT, "\"", "InvalidCharacterString (Value should be enclosed in quotation marks)"},
        {RR_TXT, "\"a\"b", "InvalidCharacterString (Value should be enclosed in quotation marks)"},
        {RR_TXT, "\"a\" b", "InvalidCharacterString (Value should be enclosed in quotation marks)"},
        {RR_CAA, "0 issue", "CAARRDATANotThreeFields (CAA record doesn't have 3 fields)"},
        {RR_CAA, "256 issue \"x\"", "CAARRDATAIllegalFlags"},
        {RR_CAA, "0 is-sue \"x\"", "CAARRDATAIllegalTag"},
        {RR_CAA, "0 issue x",
         "InvalidCharacterString (Value should be enclosed in quotation marks)"},
        {RR_DS, "1 2 3", "DSRRDATANotFourFields"},
        {RR_DS, "1 2 2 abcd", "DSRRDATAIllegalDigest"},
        {RR_DS, "1 2 9 abc", "DSRRDATAIllegalDigest"},
        {RR_DS, "1 2 9 xx", "DSRRDATAIllegalDigest"},
        {RR_NAPTR, "1 2 \"u\" \"\" \"\"", "NAPTRRRDATANotSixFields"},
        {RR_NAPTR, "1 2 \"u-\" \"\" \"\" .", "NAPTRRRDATAIllegalFlags"},
        {RR_NAPTR, "1 2 u \"\" \"\" .",
         "InvalidCharacterString (Value should be enclosed in quotation marks)"},
        {RR_NAPTR, "1 2 \"u\" \"\" \"!a!b!\" c.d.", "NAPTRRRDATAIllegalReplacement"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        struct err err = ERR_INIT;
        assert_int_equal(rdata_from_text(values[i].type, values[i].value, wire, sizeof wire, &err),
                         -EINVAL);
        assert_int_equal(err.kind, ERR_INVALID);
        char head[128];
        (void)snprintf(head, sizeof head, "FATAL problem: %s", values[i].problem);
        assert_memory_equal(err.message, head, strlen(head));
        char tail[128];
        (void)snprintf(tail, sizeof tail, " encountered with '%s'", values[i].value);
        assert_string_equal(strstr(err.message, " encountered"), tail);
    }
}

static void unsupported_characters_are_named(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    assert_int_equal(rdata_from_text(RR_TXT, "\"a\tb\"", wire, sizeof wire, &err), -EINVAL);
    assert_string_equal(err.message,
                        "FATAL problem: UnsupportedCharacter (Value contains unsupported "
                        "characters) encountered with '\t'");
    assert_int_equal(rdata_from_text(RR_TXT, "\"\\9\"", wire, sizeof wire, &err), -EINVAL);
    assert_int_equal(rdata_from_text(RR_TXT, "\"\\400\"", wire, sizeof wire, &err), -EINVAL);
    assert_int_equal(rdata_from_text(RR_TXT, "\"\xe2\x82\xac\"", wire, sizeof wire, &err), -EINVAL);
    assert_non_null(strstr(err.message, "'\xe2\x82\xac'"));
    assert_int_equal(rdata_from_text(RR_CNAME, "a b", wire, sizeof wire, &err), -EINVAL);
    assert_non_null(strstr(err.message, "UnsupportedCharacter"));
}

static void strings_and_values_have_their_limits(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char text[5000];
    (void)memset(text, 'x', sizeof text);
    text[0] = '"';
    text[256] = '"';
    text[257] = '\0';
    assert_int_equal(rdata_from_text(RR_TXT, text, wire, sizeof wire, &err), 256);
    text[256] = 'x';
    text[257] = '"';
    text[258] = '\0';
    assert_int_equal(rdata_from_text(RR_TXT, text, wire, sizeof wire, &err), -EINVAL);
    assert_non_null(strstr(err.message, "CharacterStringTooLong (Value is too long)"));
    /* 4,000 characters in all. */
    size_t length = 0;
    while (length + 100 <= 4000) {
        (void)memset(text + length, 'x', 100);
        text[length] = '"';
        text[length + 98] = '"';
        text[length + 99] = ' ';
        length += 100;
    }
    text[4000] = '\0';
    assert_int_equal(rdata_from_text(RR_TXT, text, wire, sizeof wire, &err), 40 * 98);
    (void)memcpy(text + 4000, "\"\"", 3);
    assert_int_equal(rdata_from_text(RR_TXT, text, wire, sizeof wire, &err), -EINVAL);
    assert_non_null(strstr(err.message, "TXTRRDATATooLong (Value is too long)"));
    assert_int_equal(rdata_from_text(RR_A, "192.0.2.1", wire, 3, &err), -E2BIG);
}

static void rdata_that_does_not_fit_its_type_is_refused(void **state)
{
    (void)state;
    char text[256];
    static const struct {
        uint16_t type;
        const char *data;
        size_t size;
    } bad[] = {
        {RR_A, "\1\2\3", 3},
        {RR_A, "\1\2\3\4\5", 5},
        {RR_AAAA, "\1", 1},
        {RR_CNAME, "\003ww", 3},
        {RR_CNAME, "\0x", 2},
        {RR_CNAME, "\300\014", 2},
        {RR_MX, "\0\1", 2},
        {RR_TXT, "", 0},
        {RR_TXT, "\002a", 2},
        {RR_CAA, "\0\0", 2},
        {RR_CAA, "\0\1-x", 4},
        {RR_DS, "\0\1\2\3", 4},
        {RR_DS, "\1", 1},
        {RR_CAA, "", 0},
        {RR_CAA, "\0\5x", 3},
        {RR_SOA, "\0\0\0\0\0", 5},
        {RR_NAPTR, "\0\1\0\1\0\0\0", 7},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(rdata_to_text(bad[i].type, (const uint8_t *)bad[i].data, bad[i].size, text,
                                       sizeof text),
                         -EINVAL);
        assert_string_equal(text, "");
    }
    assert_int_equal(rdata_to_text(RR_A, (const uint8_t *)"\1\2\3\4", 4, text, 7), -ENOSPC);
    assert_int_equal(rdata_to_text(RR_A, (const uint8_t *)"\1\2\3\4", 4, text, 8), 0);
    assert_int_equal(rdata_to_text(65280, (const uint8_t *)"\1\xab", 2, text, sizeof text), 0);
    assert_string_equal(text, "\\# 2 01ab");
}

static void types_have_names_and_numbers(void **state)
{
    (void)state;
    char text[RR_TYPE_TEXT];
    assert_int_equal(rr_type_from_text("A"), RR_A);
    assert_int_equal(rr_type_from_text("caa"), RR_CAA);
    assert_int_equal(rr_type_from_text("TYPE65280"), 65280);
    assert_int_equal(rr_type_from_text("TYPE"), 0);
    assert_int_equal(rr_type_from_text("TYPE65536"), 0);
    assert_int_equal(rr_type_from_text("TYPE-1"), 0);
    assert_int_equal(rr_type_from_text(""), 0);
    assert_int_equal(rr_type_from_text("BOGUS"), 0);
    rr_type_to_text(RR_NAPTR, text);
    assert_string_equal(text, "NAPTR");
    rr_type_to_text(65280, text);
    assert_string_equal(text, "TYPE65280");
    struct err err = ERR_INIT;
    assert_int_equal(rdata_from_text(65280, "x", wire, sizeof wire, &err), -ENOTSUP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back_as_they_were),
        cmocka_unit_test(wire_form_is_what_the_rfcs_say),
        cmocka_unit_test(refusals_read_as_route53_words_them),
        cmocka_unit_test(unsupported_characters_are_named),
        cmocka_unit_test(strings_and_values_have_their_limits),
        cmocka_unit_test(rdata_that_does_not_fit_its_type_is_refused),
        cmocka_unit_test(types_have_names_and_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
