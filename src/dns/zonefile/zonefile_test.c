/* Tests of zonefile.c with files in memory. */
#include "dns/zonefile/zonefile.h"

#include "dns/wire/rdata.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;
static struct zonefile zonefile;
static struct err err;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    err = (struct err)ERR_INIT;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static int read_text(const char *text)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    FILE *in = fmemopen(copy, strlen(copy), "r");
    assert_non_null(in);
    int rc = zonefile_read(in, "example.com", &arena, &zonefile, &err);
    assert_int_equal(fclose(in), 0);
    free(copy);
    return rc;
}

static const struct zonefile_set *find(const char *name, uint16_t type)
{
    for (size_t i = 0; i < zonefile.set_count; i++) {
        if (zonefile.sets[i].type == type && strcmp(zonefile.sets[i].name, name) == 0) {
            return &zonefile.sets[i];
        }
    }
    fail_msg("no %s of type %u", name, (unsigned)type);
    return NULL;
}

static void an_ordinary_file_becomes_record_sets(void **state)
{
    (void)state;
    assert_int_equal(read_text("$TTL 300\n"
                               "@ IN SOA ns1 hostmaster ( 7 7200 900\n 1209600 60 ) ; comment\n"
                               "@ IN NS ns1\n"
                               "  IN NS NS2.Example.COM.\n"
                               "ns1 A 192.0.2.1\n"
                               "www 60 IN A 192.0.2.2\n"
                               "www 60 IN A 192.0.2.3\n"
                               "www 60 IN A 192.0.2.2\n"
                               "* IN TXT \"a b\" c\n"
                               "$ORIGIN sub.example.com.\n"
                               "mail MX 10 mx\n"),
                     0);
    assert_int_equal(zonefile.set_count, 6);
    assert_int_equal(zonefile.record_count, 8);
    const struct zonefile_set *www = find("www.example.com.", RR_A);
    assert_int_equal(www->ttl_s, 60);
    assert_int_equal(www->value_count, 2);
    assert_string_equal(www->values[1], "192.0.2.3");
    assert_int_equal(find("example.com.", RR_NS)->value_count, 2);
    assert_string_equal(find("example.com.", RR_NS)->values[1], "ns2.example.com.");
    assert_int_equal(find("example.com.", RR_NS)->ttl_s, 300);
    assert_string_equal(find("\\052.example.com.", RR_TXT)->values[0], "\"a b\" \"c\"");
    assert_string_equal(find("mail.sub.example.com.", RR_MX)->values[0], "10 mx.sub.example.com.");
    assert_int_equal(www->line, 7);
}

static void records_without_ttl_take_the_soa_minimum(void **state)
{
    (void)state;
    assert_int_equal(read_text("@ 900 IN SOA ns1 h 1 2 3 4 77\nwww IN A 192.0.2.1\n"), 0);
    assert_int_equal(find("www.example.com.", RR_A)->ttl_s, 77);
}

static void the_least_ttl_of_a_set_counts(void **state)
{
    (void)state;
    assert_int_equal(read_text("www 60 IN A 192.0.2.1\nwww 30 IN A 192.0.2.2\n"), 0);
    assert_int_equal(find("www.example.com.", RR_A)->ttl_s, 30);
    assert_int_equal(zonefile.ttl_lowered, 1);
}

static void bytes_are_written_in_octal(void **state)
{
    (void)state;
    assert_int_equal(read_text("a\\032b 60 IN TXT \"\\195\\164\\\"\\\\\"\n"), 0);
    assert_string_equal(find("a\\040b.example.com.", RR_TXT)->values[0], "\"\\303\\244\\\"\\\\\"");
}

static void signatures_are_left_out_and_counted(void **state)
{
    (void)state;
    assert_int_equal(read_text("www 60 IN A 192.0.2.1\n"
                               "www 60 IN NSEC a.example.com. A RRSIG NSEC\n"),
                     0);
    assert_int_equal(zonefile.dnssec_count, 1);
    assert_int_equal(zonefile.set_count, 1);
}

static void types_without_a_place_are_listed(void **state)
{
    (void)state;
    assert_int_equal(read_text("a 60 IN HINFO \"x\" \"y\"\n\nb 60 IN HINFO \"x\" \"y\"\n"), 0);
    assert_int_equal(zonefile.set_count, 0);
    assert_int_equal(zonefile.left_count, 1);
    assert_int_equal(zonefile.left[0].type, 13);
    assert_int_equal(zonefile.left[0].count, 2);
    assert_int_equal(zonefile.left[0].line, 1);
}

static void refused(const char *text, const char *why)
{
    assert_int_not_equal(read_text(text), 0);
    if (strstr(err.message, why) == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, why);
    }
    err = (struct err)ERR_INIT;
}

static void what_is_wrong_is_said_with_its_line(void **state)
{
    (void)state;
    refused("www 60 IN A 192.0.2.1\nwww 60 IN A 192.0.2.300\n", "line 2: ");
    refused("www 60 CH A 192.0.2.1\n", "line 1: only records of class IN");
    refused("www.example.net. 60 IN A 192.0.2.1\n", "line 1: the record's name isn't in the zone");
    refused("$INCLUDE other\n", "line 1: $INCLUDE isn't followed");
    refused("www 60 IN A\n", "line 1: ");
}

static void an_empty_file_has_no_sets(void **state)
{
    (void)state;
    assert_int_equal(read_text("\n; nothing\n\n"), 0);
    assert_int_equal(zonefile.set_count, 0);
}

static void a_zone_that_is_no_name_is_refused(void **state)
{
    (void)state;
    FILE *in = fopen("/dev/null", "r");
    assert_non_null(in);
    assert_int_equal(zonefile_read(in, "a..b", &arena, &zonefile, &err), -EINVAL);
    assert_int_equal(fclose(in), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_ordinary_file_becomes_record_sets), TEST(records_without_ttl_take_the_soa_minimum),
        TEST(the_least_ttl_of_a_set_counts),        TEST(bytes_are_written_in_octal),
        TEST(signatures_are_left_out_and_counted),  TEST(types_without_a_place_are_listed),
        TEST(what_is_wrong_is_said_with_its_line),  TEST(an_empty_file_has_no_sets),
        TEST(a_zone_that_is_no_name_is_refused),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
