/* Unit tests of choose.c: tables of candidates and what is served. */
#include "dns/zone/choose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MOST 4U

struct row {
    const char *healthy; /* a '1' for each healthy candidate, a '0' for the others */
    const char *roles;   /* 'p' or 's', failover only */
    uint8_t weights[MOST];
    uint32_t shares[MOST];
    bool fallback;
};

static void check_rows(enum model_policy policy, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct choose_candidate candidates[MOST] = {0};
        uint32_t shares[MOST] = {0};
        size_t n = strlen(rows[i].healthy);
        for (size_t c = 0; c < n; c++) {
            candidates[c].healthy = rows[i].healthy[c] == '1';
            candidates[c].weight = rows[i].weights[c];
            candidates[c].failover =
                rows[i].roles != NULL && rows[i].roles[c] == 's' ? MODEL_SECONDARY : MODEL_PRIMARY;
        }
        bool fallback = choose(policy, candidates, n, shares);
        assert_int_equal(rows[i].fallback, fallback);
        assert_int_equal(!fallback && n != 0, choose_any_healthy(candidates, n));
        assert_memory_equal(rows[i].shares, shares, sizeof shares);
    }
}

static void failover_serves_the_primary_unless_only_the_secondary_is_healthy(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"11", "ps", {0}, {1, 0}, false}, {"10", "ps", {0}, {1, 0}, false},
        {"01", "ps", {0}, {0, 1}, false}, {"00", "ps", {0}, {1, 0}, true},
        {"11", "sp", {0}, {0, 1}, false}, {"10", "sp", {0}, {1, 0}, false},
        {"00", "sp", {0}, {0, 1}, true},  {"1", "s", {0}, {1}, false},
        {"0", "s", {0}, {1}, true},       {"0", "p", {0}, {1}, true},
    };
    check_rows(MODEL_FAILOVER, rows, sizeof rows / sizeof rows[0]);
}

static void weights_count_among_the_healthy_and_zero_is_the_last_resort(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"111", NULL, {1, 3, 0}, {1, 3, 0}, false},
        {"101", NULL, {1, 3, 0}, {1, 0, 0}, false},
        {"001", NULL, {1, 3, 0}, {0, 0, 1}, false},
        {"000", NULL, {1, 3, 0}, {1, 3, 0}, true},
        {"111", NULL, {0, 0, 0}, {1, 1, 1}, false},
        {"011", NULL, {0, 0, 0}, {0, 1, 1}, false},
        {"000", NULL, {0, 0, 0}, {1, 1, 1}, true},
        {"0011", NULL, {255, 255, 0, 0}, {0, 0, 1, 1}, false},
        {"1", NULL, {255}, {255}, false},
    };
    check_rows(MODEL_WEIGHTED, rows, sizeof rows / sizeof rows[0]);
}

static void multivalue_serves_all_healthy_or_all_when_none_is(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"111", NULL, {0}, {1, 1, 1}, false},
        {"010", NULL, {0}, {0, 1, 0}, false},
        {"000", NULL, {0}, {1, 1, 1}, true},
    };
    check_rows(MODEL_MULTIVALUE, rows, sizeof rows / sizeof rows[0]);
}

static void a_simple_record_is_served_whatever_its_health(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"1", NULL, {0}, {1}, false}, {"0", NULL, {0}, {1}, true}, {"", NULL, {0}, {0}, false}};
    check_rows(MODEL_SIMPLE, rows, sizeof rows / sizeof rows[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failover_serves_the_primary_unless_only_the_secondary_is_healthy),
        cmocka_unit_test(weights_count_among_the_healthy_and_zero_is_the_last_resort),
        cmocka_unit_test(multivalue_serves_all_healthy_or_all_when_none_is),
        cmocka_unit_test(a_simple_record_is_served_whatever_its_health),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
