/* Tests of locate.h against a database that test/lib/maxmind.py writes at build time. */
#include "locate/locate.h"

#include "base/memory.h"
#include "base/snapshot.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *path;

static struct model_place find(struct locate *locate, const char *text)
{
    struct model_place place = {.bits = 99};
    uint8_t address[16] = {0};
    bool v6 = strchr(text, ':') != NULL;
    assert_int_equal(1, inet_pton(v6 ? AF_INET6 : AF_INET, text, address));
    locate_find(locate, v6 ? 6 : 4, address, &place);
    return place;
}

static struct locate *opened(void)
{
    struct locate *locate = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(0, locate_open(path, &locate, &err));
    return locate;
}

static void the_most_specific_network_of_an_address_is_found(void **state)
{
    (void)state;
    struct locate *locate = opened();
    struct model_place place = find(locate, "198.51.100.5");
    assert_string_equal("EU", place.continent);
    assert_string_equal("DE", place.country);
    assert_string_equal("BE", place.subdivision);
    assert_true(place.placed && place.latitude > 52.5F && place.latitude < 52.6F);
    assert_int_equal(25, place.bits); /* the other half is somewhere else */
    assert_string_equal("BY", find(locate, "198.51.100.200").subdivision);
    locate_free(locate);
}

static void ipv6_networks_are_found(void **state)
{
    (void)state;
    struct locate *locate = opened();
    struct model_place place = find(locate, "2001:db8:5::1");
    assert_string_equal("AU", place.country);
    assert_string_equal("", place.subdivision);
    assert_int_equal(32, place.bits);
    locate_free(locate);
}

static void members_that_are_missing_or_out_of_range_stay_unknown(void **state)
{
    (void)state;
    struct locate *locate = opened();
    struct model_place place = find(locate, "10.1.2.3");
    assert_string_equal("EU", place.continent);
    assert_string_equal("", place.country);
    assert_false(place.placed);
    place = find(locate, "192.0.2.7");
    assert_string_equal("JP", place.country);
    assert_false(place.placed);
    locate_free(locate);
}

static void an_address_in_no_network_has_the_length_of_the_gap(void **state)
{
    (void)state;
    struct locate *locate = opened();
    struct model_place place = find(locate, "100.64.0.1");
    assert_string_equal("", place.continent);
    assert_true(place.bits > 0 && place.bits <= 8);
    locate_free(locate);
}

static void without_a_database_nothing_is_known(void **state)
{
    (void)state;
    struct locate *locate = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(0, locate_open("", &locate, &err));
    assert_int_equal(99, find(locate, "198.51.100.5").bits); /* left as it was */
    assert_int_equal(0, locate_reload(locate, path, &err));
    assert_string_equal("DE", find(locate, "198.51.100.5").country);
    locate_free(locate);
}

/* A copy of the first `keep` bytes, with `damage` bytes from the front overwritten. */
static char *spoiled(size_t keep, size_t damage)
{
    char *name = memory_strdup("/tmp/leeward-locate-XXXXXX");
    int fd = mkstemp(name);
    FILE *from = fopen(path, "rb");
    assert_true(fd >= 0 && from != NULL);
    static char bytes[1U << 16U];
    size_t size = fread(bytes, 1, sizeof bytes, from);
    assert_true(size > keep || keep == SIZE_MAX);
    (void)memset(bytes, 0xff, damage);
    assert_int_equal(MIN(size, keep), write(fd, bytes, MIN(size, keep)));
    (void)fclose(from); /* only read from */
    (void)close(fd);    /* written as a whole */
    return name;
}

static void a_damaged_file_is_refused_by_name_and_the_old_one_stays(void **state)
{
    (void)state;
    struct locate *locate = opened();
    struct locate *other = NULL;
    const size_t keeps[] = {0, 10, 300, SIZE_MAX};
    for (size_t i = 0; i < ARRAY_SIZE(keeps); i++) {
        struct err err = ERR_INIT;
        char *name = spoiled(keeps[i], keeps[i] == SIZE_MAX ? 64 : 0);
        assert_true(locate_open(name, &other, &err) < 0);
        assert_non_null(strstr(err.message, name));
        assert_true(locate_reload(locate, name, &err) < 0);
        assert_string_equal("DE", find(locate, "198.51.100.5").country);
        (void)unlink(name); /* our own */
        free(name);
    }
    struct err err = ERR_INIT;
    assert_true(locate_reload(locate, "/nonexistent/x.mmdb", &err) < 0);
    assert_non_null(strstr(err.message, "/nonexistent/x.mmdb"));
    assert_true(locate_reload(locate, "/tmp", &err) < 0);
    locate_free(locate);
}

static void a_file_that_is_cut_after_it_was_opened_harms_nobody(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct locate *locate = NULL;
    char *name = spoiled(SIZE_MAX, 0);
    assert_int_equal(0, locate_open(name, &locate, &err));
    assert_int_equal(0, truncate(name, 0));
    assert_string_equal("DE", find(locate, "198.51.100.5").country);
    (void)unlink(name); /* our own */
    free(name);
    locate_free(locate);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_specific_network_of_an_address_is_found),
        cmocka_unit_test(ipv6_networks_are_found),
        cmocka_unit_test(members_that_are_missing_or_out_of_range_stay_unknown),
        cmocka_unit_test(an_address_in_no_network_has_the_length_of_the_gap),
        cmocka_unit_test(without_a_database_nothing_is_known),
        cmocka_unit_test(a_damaged_file_is_refused_by_name_and_the_old_one_stays),
        cmocka_unit_test(a_file_that_is_cut_after_it_was_opened_harms_nobody),
    };
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s DATABASE\n", argv[0]);
        return 2;
    }
    path = argv[1];
    snapshot_thread_begin();
    int failed = cmocka_run_group_tests_name("locate", tests, NULL, NULL);
    snapshot_thread_end();
    snapshot_drain();
    return failed;
}
