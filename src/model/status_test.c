/* Tests of status.h. */
#include "model/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct model_status *table(size_t count)
{
    static const char *const ids[] = {"a", "b", "c", "d", "e"};
    struct model_status *status =
        calloc(1, sizeof *status + count * sizeof(struct model_status_entry));
    assert_non_null(status);
    status->count = count;
    for (size_t i = 0; i < count; i++) {
        status->entries[i] = (struct model_status_entry){.check_id = ids[i], .healthy = i % 2 == 0};
    }
    return status;
}

static void every_entry_is_found_whatever_the_size(void **state)
{
    (void)state;
    for (size_t count = 0; count <= 5; count++) {
        struct model_status *status = table(count);
        for (size_t i = 0; i < count; i++) {
            assert_ptr_equal(model_status_find(status, status->entries[i].check_id),
                             &status->entries[i]);
            assert_int_equal(model_status_healthy(status, status->entries[i].check_id), i % 2 == 0);
        }
        assert_null(model_status_find(status, "aa"));
        free(status);
    }
}

static void a_check_without_an_entry_is_healthy(void **state)
{
    (void)state;
    struct model_status *status = table(3);
    assert_true(model_status_healthy(status, "unknown"));
    assert_true(model_status_healthy(NULL, "a"));
    free(status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_is_found_whatever_the_size),
        cmocka_unit_test(a_check_without_an_entry_is_healthy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
