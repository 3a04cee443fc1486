/* Tests of path.h: keys are distinct, sorted as Route 53 lists, and can be taken apart again. */
#include "model/path.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static void a_component_is_percent_encoded(void **state)
{
    (void)state;
    assert_string_equal(path_join(&arena, PATH_ZONES, "Z1"), "r53/zone/Z1");
    assert_string_equal(path_join(&arena, "r53/ref/zone/", "a/b c\n%"),
                        "r53/ref/zone/a%2Fb%20c%0A%25");
    assert_string_equal(path_tags(&arena, "healthcheck", "id"), "r53/tags/healthcheck/id");
    assert_string_equal(path_reference(&arena, "zone", "x/y"), "r53/ref/zone/x%2Fy");
}

static void a_reversed_name_keeps_its_escapes_and_reverses_back(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        {"www.example.com.", "com.example.www."},
        {"\\052.example.com.", "com.example.\\052."},
        {"a\\056b.com.", "com.a\\056b."},
        {"com.", "com."},
        {".", ""},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *reversed = path_reversed_name(&arena, names[i][0]);
        assert_string_equal(reversed, names[i][1]);
        if (reversed[0] != '\0') {
            assert_string_equal(path_reversed_name(&arena, reversed), names[i][0]);
        }
    }
}

static void keys_sort_as_route53_lists_records(void **state)
{
    (void)state;
    static const char *const ordered[][3] = {
        {"example.com.", "A", ""},         {"example.com.", "AAAA", ""},
        {"example.com.", "NS", ""},        {"example.com.", "SOA", ""},
        {"a-b.example.com.", "A", ""},     {"x.a-b.example.com.", "A", ""},
        {"a.example.com.", "A", "one"},    {"a.example.com.", "A", "two"},
        {"-x.a.example.com.", "A", ""},    {"0.a.example.com.", "A", ""},
        {"\\052.a.example.com.", "A", ""}, {"_x.a.example.com.", "A", ""},
        {"b.a.example.com.", "A", ""},     {"aa.example.com.", "A", ""},
    };
    const char *before = "";
    for (size_t i = 0; i < sizeof ordered / sizeof ordered[0]; i++) {
        const char *key = path_record(&arena, "Z1", ordered[i][0], ordered[i][1], ordered[i][2]);
        assert_true(strcmp(before, key) < 0);
        before = key;
    }
}

static void a_record_key_starts_with_the_prefixes_of_its_zone_and_name(void **state)
{
    (void)state;
    const char *key = path_record(&arena, "Z1", "www.example.com.", "A", "eu/1");
    assert_string_equal(key, "r53/rrset/Z1/com.example.www.!/A/eu%2F1");
    const char *zone = path_zone_records(&arena, "Z1");
    const char *name = path_name_records(&arena, "Z1", "www.example.com.");
    assert_memory_equal(key, zone, strlen(zone));
    assert_memory_equal(key, name, strlen(name));
    assert_string_equal(path_zone_name(&arena, "example.com.", "Z1"), "r53/name/com.example.!/Z1");
}

static void a_record_key_splits_into_what_it_was_made_of(void **state)
{
    (void)state;
    struct path_record_parts parts;
    const char *key = path_record(&arena, "Z1", "\\052.example.com.", "CNAME", "a/\xc3\xa9 %");
    assert_int_equal(path_record_split(&arena, key, &parts), 0);
    assert_string_equal(parts.zone_id, "Z1");
    assert_string_equal(parts.name, "\\052.example.com.");
    assert_string_equal(parts.type, "CNAME");
    assert_string_equal(parts.set_identifier, "a/\xc3\xa9 %");
    key = path_record(&arena, "Z1", ".", "NS", "");
    assert_int_equal(path_record_split(&arena, key, &parts), 0);
    assert_string_equal(parts.name, ".");
    assert_string_equal(parts.set_identifier, "");
}

static void other_keys_do_not_split(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "",
        "r53/zone/Z1",
        "r53/rrset/",
        "r53/rrset/Z1",
        "r53/rrset/Z1/com.!",
        "r53/rrset/Z1/com.!/A",
        "r53/rrset/Z1/com./A/",
        "r53/rrset/Z1//A/",
        "r53/rrset/Z1/com.!/A/x/y",
        "r53/rrset/Z1/com.!/A/%zz",
    };
    struct path_record_parts parts;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        assert_int_equal(path_record_split(&arena, keys[i], &parts), -EINVAL);
    }
}

static void the_tail_of_a_key_is_decoded(void **state)
{
    (void)state;
    assert_string_equal(path_tail(&arena, "r53/check/abc", PATH_CHECKS), "abc");
    assert_string_equal(path_tail(&arena, "r53/name/com.!/Z%31", PATH_ZONE_NAMES), "Z1");
    assert_null(path_tail(&arena, "r53/zone/Z1", PATH_CHECKS));
    assert_null(path_tail(&arena, "r53/check/%", PATH_CHECKS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_component_is_percent_encoded),
        cmocka_unit_test(a_reversed_name_keeps_its_escapes_and_reverses_back),
        cmocka_unit_test(keys_sort_as_route53_lists_records),
        cmocka_unit_test(a_record_key_starts_with_the_prefixes_of_its_zone_and_name),
        cmocka_unit_test(a_record_key_splits_into_what_it_was_made_of),
        cmocka_unit_test(other_keys_do_not_split),
        cmocka_unit_test(the_tail_of_a_key_is_decoded),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
