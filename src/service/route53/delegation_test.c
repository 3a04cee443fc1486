/* Tests of the reusable delegation set operations, through the handlers. */
#include "base/text.h"
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

static char *create(const char *reference)
{
    assert_int_equal(
        fixture_ask(&f, "CreateReusableDelegationSet", "{'CallerReference':'%s'}", reference), 0);
    assert_int_equal(strlen(fixture_text(&f, "DelegationSet.Id")), 32); /* the API's limit */
    return strdup(fixture_text(&f, "DelegationSet.Id") + strlen("/delegationset/"));
}

static void a_set_is_created_shown_and_deleted(void **state)
{
    (void)state;
    char *id = create("r");
    assert_true(text_starts(fixture_text(&f, "DelegationSet.Id"), "/delegationset/N"));
    assert_string_equal(fixture_text(&f, "DelegationSet.CallerReference"), "r");
    assert_int_equal(fixture_size(&f, "DelegationSet.NameServers"), 4);
    assert_true(text_starts(fixture_text(&f, "Location"), "/2013-04-01/delegationset/N"));
    (void)fixture_ask(&f, "CreateReusableDelegationSet", "{'CallerReference':'r'}");
    fixture_refused(&f, "DelegationSetAlreadyCreated", "caller reference");
    assert_int_equal(fixture_ask(&f, "GetReusableDelegationSet", "{'Id':'/delegationset/%s'}", id),
                     0);
    assert_string_equal(fixture_text(&f, "DelegationSet.NameServers.0"), "ns1.dns.test");
    assert_int_equal(fixture_ask(&f, "DeleteReusableDelegationSet", "{'Id':'%s'}", id), 0);
    (void)fixture_ask(&f, "GetReusableDelegationSet", "{'Id':'%s'}", id);
    fixture_refused(&f, "NoSuchDelegationSet", id);
    (void)fixture_ask(&f, "DeleteReusableDelegationSet", "{'Id':'%s'}", id);
    fixture_refused(&f, "NoSuchDelegationSet", id);
    free(id);
}

static void a_set_in_use_stays(void **state)
{
    (void)state;
    char *id = create("r");
    assert_int_equal(fixture_ask(&f, "CreateHostedZone",
                                 "{'Name':'a.com','CallerReference':'z','DelegationSetId':'%s'}",
                                 id),
                     0);
    char *zone = strdup(fixture_text(&f, "HostedZone.Id"));
    (void)fixture_ask(&f, "DeleteReusableDelegationSet", "{'Id':'%s'}", id);
    fixture_refused(&f, "DelegationSetInUse", id);
    assert_int_equal(fixture_ask(&f, "DeleteHostedZone", "{'Id':'%s'}", zone), 0);
    assert_int_equal(fixture_ask(&f, "DeleteReusableDelegationSet", "{'Id':'%s'}", id), 0);
    free(id);
    free(zone);
}

static void zones_that_overlap_do_not_share_a_set(void **state)
{
    (void)state;
    static const char *const conflicting[] = {"b.com", "a.b.com", "com", "x.y.b.com"};
    char *id = create("r");
    char *other = create("s");
    assert_int_equal(fixture_ask(&f, "CreateHostedZone",
                                 "{'Name':'b.com','CallerReference':'z','DelegationSetId':'%s'}",
                                 id),
                     0);
    for (size_t i = 0; i < 4; i++) {
        (void)fixture_ask(&f, "CreateHostedZone",
                          "{'Name':'%s','CallerReference':'c%zu','DelegationSetId':'%s'}",
                          conflicting[i], i, id);
        fixture_refused(&f, "ConflictingDomainExists", "sharing the delegation set");
    }
    assert_int_equal(fixture_ask(&f, "CreateHostedZone",
                                 "{'Name':'b.com','CallerReference':'d','DelegationSetId':'%s'}",
                                 other),
                     0);
    assert_int_equal(fixture_ask(&f, "CreateHostedZone",
                                 "{'Name':'bb.com','CallerReference':'e','DelegationSetId':'%s'}",
                                 id),
                     0);
    free(fixture_zone(&f, "a.b.com"));
    free(id);
    free(other);
}

static void a_zones_set_becomes_reusable(void **state)
{
    (void)state;
    char *zone = fixture_zone(&f, "a.com");
    assert_int_equal(fixture_ask(&f, "CreateReusableDelegationSet",
                                 "{'CallerReference':'r','HostedZoneId':'/hostedzone/%s'}", zone),
                     0);
    char *id = strdup(fixture_text(&f, "DelegationSet.Id"));
    assert_int_equal(fixture_ask(&f, "GetHostedZone", "{'Id':'%s'}", zone), 0);
    assert_string_equal(fixture_text(&f, "DelegationSet.Id"), id);
    (void)fixture_ask(&f, "CreateReusableDelegationSet",
                      "{'CallerReference':'s','HostedZoneId':'%s'}", zone);
    fixture_refused(&f, "DelegationSetAlreadyReusable", zone);
    (void)fixture_ask(&f, "CreateReusableDelegationSet",
                      "{'CallerReference':'s','HostedZoneId':'Z0'}");
    fixture_refused(&f, "HostedZoneNotFound", "Z0");
    free(zone);
    free(id);
}

static void sets_are_listed_and_bounded(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        char reference[16];
        (void)snprintf(reference, sizeof reference, "r%d", i);
        free(create(reference));
    }
    (void)fixture_ask(&f, "CreateReusableDelegationSet", "{'CallerReference':'more'}");
    fixture_refused(&f, "LimitsExceeded", "MAX_REUSABLE_DELEGATION_SETS_BY_OWNER");
    char marker[64] = "";
    size_t seen = 0;
    for (int page = 0; page < 3; page++) {
        assert_int_equal(fixture_ask(&f, "ListReusableDelegationSets",
                                     "{'Marker':'%s','MaxItems':'40'}", marker),
                         0);
        seen += fixture_size(&f, "DelegationSets");
        assert_int_equal(fixture_true(&f, "IsTruncated"), page < 2);
        (void)snprintf(marker, sizeof marker, "%s", fixture_text(&f, "NextMarker"));
    }
    assert_int_equal(seen, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) FIXTURE_TEST(name, &f)
        TEST(a_set_is_created_shown_and_deleted),    TEST(a_set_in_use_stays),
        TEST(zones_that_overlap_do_not_share_a_set), TEST(a_zones_set_becomes_reusable),
        TEST(sets_are_listed_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
