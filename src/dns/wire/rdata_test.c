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
        {RR_SSHFP, "2 1 123456789abcdef67890123456789abcdef67890", NULL},
        {RR_SSHFP, "4 2 4158F281921260B0205508121C6F5CEE879E15F22BDBC319EF2AE9FD308DB3BE",
         "4 2 4158f281921260b0205508121c6f5cee879e15f22bdbc319ef2ae9fd308db3be"},
        {RR_TLSA, "0 0 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971", NULL},
        {RR_TLSA, "3 1 0 3082 0307 3082", "3 1 0 308203073082"},
        {RR_SVCB, "0 foo.example.com.", NULL},
        {RR_SVCB, "1 .", NULL},
        {RR_SVCB, "16 foo.example.com. port=53", NULL},
        {RR_SVCB, "1 foo.example.com. key667=hello", "1 foo.example.com. key667=\"hello\""},
        {RR_SVCB, "1 foo.example.com. key667=\"hello\\322qoo\"", NULL},
        {RR_SVCB, "1 foo.example.com. ipv6hint=\"2001:db8::1,2001:db8::53:1\"", NULL},
        {RR_SVCB, "16 foo.example.org. alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1",
         "16 foo.example.org. mandatory=\"alpn,ipv4hint\" alpn=\"h2,h3-19\" "
         "ipv4hint=\"192.0.2.1\""},
        {RR_SVCB, "16 foo.example.org. alpn=\"f\\\\\\\\oo\\\\,bar,h2\"", NULL},
        {RR_HTTPS, "1 . alpn=h3 no-default-alpn ech=\"AEj+DQ==\"",
         "1 . alpn=\"h3\" no-default-alpn ech=\"AEj+DQ==\""},
        {RR_HTTPS, "1 . key3=\"\\001\\273\" dohpath=\"/dns-query{?dns}\" ohttp key0=\"\\000\\003\"",
         "1 . mandatory=\"port\" port=443 dohpath=\"/dns-query{?dns}\" ohttp"},
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
    assert_int_equal(rdata_from_text(RR_SSHFP, "2 9 abcd", wire, sizeof wire, &err), 4);
    assert_memory_equal(wire, "\002\011\xab\xcd", 4);
    /* RFC 9460 appendix D.2, figures 3, 6 and 9 (decimal escapes there are octal here). */
    assert_int_equal(rdata_from_text(RR_SVCB, "16 f.e. port=53", wire, sizeof wire, &err), 13);
    assert_memory_equal(wire, "\000\020\001f\001e\000\000\003\000\002\000\065", 13);
    assert_int_equal(rdata_from_text(RR_SVCB,
                                     "16 foo.example.org. alpn=h2,h3-19 mandatory=ipv4hint,alpn "
                                     "ipv4hint=192.0.2.1",
                                     wire, sizeof wire, &err),
                     48);
    assert_memory_equal(wire,
                        "\000\020\003foo\007example\003org\000"
                        "\000\000\000\004\000\001\000\004"
                        "\000\001\000\011\002h2\005h3-19"
                        "\000\004\000\004\300\000\002\001",
                        48);
    assert_int_equal(
        rdata_from_text(RR_SVCB, "16 . alpn=\"f\\\\\\\\oo\\\\,bar,h2\"", wire, sizeof wire, &err),
        19);
    assert_memory_equal(wire, "\000\020\000\000\001\000\014\010f\\oo,bar\002h2", 19);
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
        {RR_SSHFP, "1 1", "SSHFPRRDATANotThreeFields"},
        {RR_SSHFP, "1 1 abcd", "SSHFPRRDATAIllegalFingerprint"},
        {RR_SSHFP, "1 3 abc", "SSHFPRRDATAIllegalFingerprint"},
        {RR_TLSA, "3 1 1", "TLSARRDATANotFourFields"},
        {RR_TLSA, "3 256 1 ab", "TLSARRDATAIllegalSelector"},
        {RR_TLSA, "3 1 1 ab", "TLSARRDATAIllegalData"},
        {RR_SVCB, "1", "SVCBRRDATANotTwoFields"},
        {RR_SVCB, "65536 a", "SVCBRRDATAIllegalPriority"},
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

/* RFC 9460 appendix D.3, and what else section 2, 7 and 8 forbid. */
static void service_parameters_that_contradict_the_rfc_are_refused(void **state)
{
    (void)state;
    static const char *const params[] = {
        "key123=abc key123=def",
        "mandatory",
        "alpn",
        "port",
        "ipv4hint",
        "ipv6hint",
        "no-default-alpn=abc",
        "mandatory=key123",
        "mandatory=mandatory",
        "mandatory=key123,key123 key123=abc",
        "no-default-alpn",
        "port=65536",
        "port=",
        "port=\"44\\0003\"",
        "alpn=\"\"",
        "alpn=h2,,h3",
        "alpn=h2,",
        "alpn=\"h2\\\\x\"",
        "ipv4hint=192.0.2",
        "ipv4hint=192.0.2.1,",
        "ipv6hint=192.0.2.1",
        "ech=***",
        "ech=",
        "key65535=x",
        "key=x",
        "key01=x",
        "bogus=x",
        "=x",
        "ohttp=x",
        "key3=\"x\"",
        "key667=\"open",
        "key667=a\"b\"",
    };
    for (size_t i = 0; i < ARRAY_SIZE(params); i++) {
        char text[128];
        struct err err = ERR_INIT;
        (void)snprintf(text, sizeof text, "1 foo.example.com. %s", params[i]);
        assert_int_equal(rdata_from_text(RR_SVCB, text, wire, sizeof wire, &err), -EINVAL);
        assert_non_null(strstr(err.message, "SVCBRRDATAIllegalParameter ("));
    }
    char many[1024] = "1 .";
    for (unsigned i = 0; i < 65; i++) {
        size_t at = strlen(many);
        (void)snprintf(many + at, sizeof many - at, " key%u=x", 100 + i);
    }
    struct err err = ERR_INIT;
    assert_int_equal(rdata_from_text(RR_SVCB, many, wire, sizeof wire, &err), -EINVAL);
    *strrchr(many, ' ') = '\0';
    assert_true(rdata_from_text(RR_SVCB, many, wire, sizeof wire, &err) > 0);
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
        {RR_SSHFP, "\1\2", 2},
        {RR_TLSA, "\3\1\1", 3},
        {RR_SVCB, "\0\1", 2},
        {RR_SVCB, "\0\1\0\0\3\0\1\0", 8},                    /* a port of one byte */
        {RR_SVCB, "\0\1\0\0\3\0\2\0\1\0\3\0\2\0\1", 15},     /* twice */
        {RR_SVCB, "\0\1\0\0\4\0\4\1\2\3\4\0\3\0\2\0\1", 17}, /* descending */
        {RR_HTTPS, "\0\1\0\0\1\0\2\3h", 9},                  /* alpn cut short */
        {RR_HTTPS, "\0\1\0\xff\xff\0\0", 7},
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
        cmocka_unit_test(service_parameters_that_contradict_the_rfc_are_refused),
        cmocka_unit_test(strings_and_values_have_their_limits),
        cmocka_unit_test(rdata_that_does_not_fit_its_type_is_refused),
        cmocka_unit_test(types_have_names_and_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
