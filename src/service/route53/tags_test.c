/* Tests of the tag operations, through the handlers. */
#include "service/route53/route53_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct fixture f;

static int change(const char *type, const char *id, const char *changes)
{
    return fixture_ask(&f, "ChangeTagsForResource", "{'ResourceType':'%s','ResourceId':'%s',%s}",
                       type, id, changes);
}

static int list(const char *type, const char *id)
{
    return fixture_ask(&f, "ListTagsForResource", "{'ResourceType':'%s','ResourceId':'%s'}", type,
                       id);
}

static void tags_are_added_changed_and_removed(void **state)
{
    (void)state;
    char *zone = fixture_zone(&f, "a.com");
    char *check = fixture_check(&f, "c");
    const char *const resources[][2] = {{"hostedzone", zone}, {"healthcheck", check}};
    for (size_t i = 0; i < 2; i++) {
        const char *type = resources[i][0];
        const char *id = resources[i][1];
        assert_int_equal(list(type, id), 0);
        assert_int_equal(fixture_size(&f, "ResourceTagSet.Tags"), 0);
        assert_int_equal(
            change(type, id, "'AddTags':[{'Key':'a','Value':'1'},{'Key':'b','Value':'2'}]"), 0);
        assert_int_equal(change(type, id,
                                "'AddTags':[{'Key':'a','Value':'3'},{'Key':'c'}],"
                                "'RemoveTagKeys':['b','x']"),
                         0);
        assert_int_equal(list(type, id), 0);
        assert_string_equal(fixture_text(&f, "ResourceTagSet.ResourceType"), type);
        assert_string_equal(fixture_text(&f, "ResourceTagSet.ResourceId"), id);
        assert_int_equal(fixture_size(&f, "ResourceTagSet.Tags"), 2);
        assert_string_equal(fixture_text(&f, "ResourceTagSet.Tags.0.Value"), "3");
        assert_string_equal(fixture_text(&f, "ResourceTagSet.Tags.1.Key"), "c");
        assert_int_equal(change(type, id, "'RemoveTagKeys':['a','c']"), 0);
        size_t left = 0;
        assert_int_equal(store_count(f.store, "r53/tags/", &left, &f.err), 0);
        assert_int_equal(left, 0);
    }
    free(zone);
    free(check);
}

static void tags_of_several_resources_are_listed_together(void **state)
{
    (void)state;
    char *one = fixture_check(&f, "1");
    char *two = fixture_check(&f, "2");
    assert_int_equal(change("healthcheck", two, "'AddTags':[{'Key':'Name','Value':'two'}]"), 0);
    assert_int_equal(fixture_ask(&f, "ListTagsForResources",
                                 "{'ResourceType':'healthcheck','ResourceIds':['%s','%s']}", one,
                                 two),
                     0);
    assert_int_equal(fixture_size(&f, "ResourceTagSets"), 2);
    assert_int_equal(fixture_size(&f, "ResourceTagSets.0.Tags"), 0);
    assert_string_equal(fixture_text(&f, "ResourceTagSets.1.Tags.0.Value"), "two");
    (void)fixture_ask(&f, "ListTagsForResources",
                      "{'ResourceType':'healthcheck','ResourceIds':['%s','none']}", one);
    fixture_refused(&f, "NoSuchHealthCheck", "none");
    free(one);
    free(two);
}

static void a_resource_must_exist(void **state)
{
    (void)state;
    (void)change("hostedzone", "Z0", "'RemoveTagKeys':['a']");
    fixture_refused(&f, "NoSuchHostedZone", "Z0");
    (void)change("healthcheck", "none", "'RemoveTagKeys':['a']");
    fixture_refused(&f, "NoSuchHealthCheck", "none");
    (void)list("hostedzone", "Z0");
    fixture_refused(&f, "NoSuchHostedZone", "Z0");
    (void)list("healthcheck", "none");
    fixture_refused(&f, "NoSuchHealthCheck", "none");
}

static void a_change_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"'Other':1", "at least one of"},
        {"'AddTags':[{'Value':'1'}]", "must have a Key"},
        {"'AddTags':[{'Key':'a','Value':'1'},{'Key':'a','Value':'2'}]", "twice"},
        {"'AddTags':[{'Key':'a','Value':'1'}],'RemoveTagKeys':['a']", "both added and removed"},
        {"'AddTags':[{'Key':'aws:x','Value':'1'}]", "reserved"},
    };
    char *zone = fixture_zone(&f, "a.com");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)change("hostedzone", zone, cases[i][0]);
        fixture_refused(&f, "InvalidInput", cases[i][1]);
    }
    free(zone);
}

static void ten_tags_fit_and_no_more(void **state)
{
    (void)state;
    char *zone = fixture_zone(&f, "a.com");
    for (int i = 0; i < 11; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "'AddTags':[{'Key':'k%d','Value':'v'}]", i);
        assert_int_equal(change("hostedzone", zone, text) == 0, i < 10);
    }
    fixture_refused(&f, "InvalidInput", "at most 10 tags");
    free(zone);
}

static void options_of_a_check_are_judged(void **state)
{
    (void)state;
    char *check = fixture_check(&f, "c");
    assert_int_equal(
        change("healthcheck", check, "'AddTags':[{'Key':'leeward:interval-ms','Value':'100'}]"), 0);
    (void)change("healthcheck", check, "'AddTags':[{'Key':'leeward:interval-ms','Value':'5'}]");
    fixture_refused(&f, "InvalidInput", "leeward:interval-ms must be a number from 100 to 300000");
    (void)change("healthcheck", check, "'AddTags':[{'Key':'leeward:pony','Value':'5'}]");
    fixture_refused(&f, "InvalidInput", "leeward:pony");
    assert_int_equal(list("healthcheck", check), 0);
    assert_string_equal(fixture_text(&f, "ResourceTagSet.Tags.0.Value"), "100");
    free(check);
}

static void options_of_a_check_do_not_belong_on_a_zone(void **state)
{
    (void)state;
    static const char *const keys[] = {"leeward:latch", "Leeward:latch", "leeward:"};
    char *zone = fixture_zone(&f, "a.com");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "'AddTags':[{'Key':'%s','Value':'true'}]", keys[i]);
        (void)change("hostedzone", zone, text);
        fixture_refused(&f, "InvalidInput", "belong to resources of the type healthcheck");
    }
    assert_int_equal(list("hostedzone", zone), 0);
    assert_int_equal(fixture_size(&f, "ResourceTagSet.Tags"), 0);
    assert_int_equal(change("hostedzone", zone, "'RemoveTagKeys':['leeward:latch']"), 0);
    free(zone);
}

static void tags_go_with_their_check(void **state)
{
    (void)state;
    char *check = fixture_check(&f, "c");
    assert_int_equal(change("healthcheck", check, "'AddTags':[{'Key':'a','Value':'1'}]"), 0);
    assert_int_equal(fixture_ask(&f, "DeleteHealthCheck", "{'HealthCheckId':'%s'}", check), 0);
    size_t left = 0;
    assert_int_equal(store_count(f.store, "r53/tags/", &left, &f.err), 0);
    assert_int_equal(left, 0);
    free(check);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) FIXTURE_TEST(name, &f)
        TEST(tags_are_added_changed_and_removed),
        TEST(tags_of_several_resources_are_listed_together),
        TEST(a_resource_must_exist),
        TEST(a_change_that_makes_no_sense_is_refused),
        TEST(ten_tags_fit_and_no_more),
        TEST(options_of_a_check_are_judged),
        TEST(options_of_a_check_do_not_belong_on_a_zone),
        TEST(tags_go_with_their_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
