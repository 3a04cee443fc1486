/* Tests of the lease file's two sides. */
#include "database/fence/lease_file.h"

#include "base/macro.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];
static uint64_t boot[2];

static int make(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof(path), "/tmp/leeward-lease-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(fence_lease_boot(boot), 0);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    (void)unlink(path); /* a test may have removed it */
    return 0;
}

static struct fence_lease *created(void)
{
    struct fence_lease *lease = NULL;
    assert_int_equal(fence_lease_open(path, true, &lease), 0);
    return lease;
}

static void a_new_file_holds_nothing(void **state)
{
    (void)state;
    struct fence_lease *lease = NULL;
    assert_int_equal(fence_lease_open(path, false, &lease), -ENOENT);
    lease = created();
    assert_false(fence_lease_holds(lease, boot, 0));
    assert_false(fence_lease_holds(lease, boot, fence_lease_now()));
    fence_lease_close(lease);
}

static void both_sides_see_one_deadline(void **state)
{
    (void)state;
    struct fence_lease *agent = created();
    struct fence_lease *server = NULL;
    assert_int_equal(fence_lease_open(path, false, &server), 0);
    assert_int_equal(fence_lease_extend(agent, 3, 1000), 0);
    assert_true(fence_lease_holds(server, boot, 999));
    assert_false(fence_lease_holds(server, boot, 1000));
    assert_int_equal(fence_lease_extend(agent, 3, 500), 0); /* an answer that came late */
    assert_true(fence_lease_holds(server, boot, 999));
    const uint64_t other[2] = {boot[0] + 1, boot[1]};
    assert_false(fence_lease_holds(server, other, 999));
    fence_lease_close(server);
    fence_lease_close(agent);
}

static void what_was_revoked_never_comes_back(void **state)
{
    (void)state;
    struct fence_lease *lease = created();
    assert_int_equal(fence_lease_extend(lease, 3, 1000), 0);
    fence_lease_revoke(lease, 3);
    assert_false(fence_lease_holds(lease, boot, 1));
    assert_int_equal(fence_lease_extend(lease, 3, 2000), -ESTALE);
    assert_int_equal(fence_lease_extend(lease, 2, 2000), -ESTALE);
    assert_false(fence_lease_holds(lease, boot, 1));
    assert_int_equal(fence_lease_extend(lease, 4, 2000), 0);
    assert_true(fence_lease_holds(lease, boot, 1999));
    fence_lease_revoke(lease, 3); /* said again, late: the next epoch goes on */
    assert_true(fence_lease_holds(lease, boot, 1999));
    fence_lease_close(lease);
}

static void a_lower_epoch_is_refused(void **state)
{
    (void)state;
    struct fence_lease *lease = created();
    assert_int_equal(fence_lease_extend(lease, 7, 1000), 0);
    assert_int_equal(fence_lease_extend(lease, 6, 2000), -ESTALE);
    assert_false(fence_lease_holds(lease, boot, 1000));
    fence_lease_close(lease);
}

static void a_good_file_of_this_boot_stays(void **state)
{
    (void)state;
    struct fence_lease *lease = created();
    assert_int_equal(fence_lease_extend(lease, 3, 1000), 0);
    fence_lease_close(lease);
    lease = created();
    assert_true(fence_lease_holds(lease, boot, 999));
    fence_lease_close(lease);
}

static void a_file_of_another_boot_is_emptied_in_place(void **state)
{
    (void)state;
    struct fence_lease *lease = created();
    assert_int_equal(fence_lease_extend(lease, 3, 1000), 0);
    atomic_store(&lease->boot[1], boot[1] ^ 1U);
    struct fence_lease *later = created();
    assert_false(fence_lease_holds(lease, boot, 1));
    assert_int_equal(fence_lease_extend(later, 1, 1000), 0);
    assert_true(fence_lease_holds(lease, boot, 999)); /* the same pages */
    fence_lease_close(later);
    fence_lease_close(lease);
}

static void a_damaged_file_is_refused_or_made_anew(void **state)
{
    (void)state;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("short", file) >= 0);
    assert_int_equal(fclose(file), 0);
    struct fence_lease *lease = NULL;
    assert_int_equal(fence_lease_open(path, false, &lease), -EBADMSG);
    fence_lease_close(created());
    lease = created();
    lease->magic ^= 1U;
    struct fence_lease *reader = NULL;
    assert_int_equal(fence_lease_open(path, false, &reader), -EBADMSG);
    assert_null(reader);
    fence_lease_close(lease);
}

struct race {
    struct fence_lease *lease;
    _Atomic int64_t revoked; /* the highest epoch */
    _Atomic bool over;
    _Atomic int64_t wrong;
};

static void *extend_all_the_time(void *argument)
{
    struct race *race = argument;
    for (int64_t i = 1; !atomic_load(&race->over); i++) {
        int64_t revoked = atomic_load(&race->revoked);
        int r = fence_lease_extend(race->lease, revoked > 0 ? revoked : 1, i);
        if (revoked > 0 && r != -ESTALE) {
            (void)atomic_fetch_add(&race->wrong, 1);
        }
        IGNORE_RESULT(fence_lease_extend(race->lease, revoked + 1, i)); /* may be revoked by now */
    }
    return NULL;
}

static void an_extension_never_wins_over_a_revocation(void **state)
{
    (void)state;
    struct race race = {.lease = created()};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, extend_all_the_time, &race), 0);
    for (int64_t epoch = 1; epoch <= 20000; epoch++) {
        fence_lease_revoke(race.lease, epoch);
        atomic_store(&race.revoked, epoch);
    }
    atomic_store(&race.over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(atomic_load(&race.wrong), 0);
    fence_lease_revoke(race.lease, 20001);
    assert_false(fence_lease_holds(race.lease, boot, 0));
    fence_lease_close(race.lease);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_file_holds_nothing, make, clean),
        cmocka_unit_test_setup_teardown(both_sides_see_one_deadline, make, clean),
        cmocka_unit_test_setup_teardown(what_was_revoked_never_comes_back, make, clean),
        cmocka_unit_test_setup_teardown(a_lower_epoch_is_refused, make, clean),
        cmocka_unit_test_setup_teardown(a_good_file_of_this_boot_stays, make, clean),
        cmocka_unit_test_setup_teardown(a_file_of_another_boot_is_emptied_in_place, make, clean),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_refused_or_made_anew, make, clean),
        cmocka_unit_test_setup_teardown(an_extension_never_wins_over_a_revocation, make, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
