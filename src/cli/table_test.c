/* Tests of table.h: widths, styles, and what a terminal never sees. */
#include "cli/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct buf out;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    arena_init(&fixture.arena, 0);
    buf_init(&fixture.out, 0);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    arena_done(&fixture->arena);
    buf_done(&fixture->out);
    return 0;
}

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
    struct fixture *fixture = *state;
    const char *const heads[] = {"NAME", "N", "LAST"};
    const char *const rows[][3] = {{"a", "1", "x"}, {"longer", "100", "yy"}, {"", "", ""}};
    struct table table;
    table_init(&table, &fixture->arena, "  ", false, 3, heads);
    for (size_t i = 0; i < 3; i++) {
        table_add(&table, rows[i], NULL);
    }
    table_write(&table, &fixture->out);
    assert_string_equal(buf_text(&fixture->out), "  NAME    N    LAST\n"
                                                 "  a       1    x\n"
                                                 "  longer  100  yy\n"
                                                 "  \n");
}

static void lines_do_not_end_in_blanks(void **state)
{
    struct fixture *fixture = *state;
    const char *const heads[] = {"A", "B"};
    const char *const row[] = {"1", ""};
    struct table table;
    table_init(&table, &fixture->arena, "", false, 2, heads);
    table_add(&table, row, NULL);
    table_write(&table, &fixture->out);
    assert_string_equal(buf_text(&fixture->out), "A  B\n1\n");
}

static void characters_are_counted_and_not_bytes(void **state)
{
    struct fixture *fixture = *state;
    const char *const heads[] = {"A", "B"};
    const char *const rows[][2] = {{"caf\xc3\xa9", "1"}, {"cafe!", "2"}};
    struct table table;
    table_init(&table, &fixture->arena, "", false, 2, heads);
    table_add(&table, rows[0], NULL);
    table_add(&table, rows[1], NULL);
    table_write(&table, &fixture->out);
    assert_string_equal(buf_text(&fixture->out), "A      B\ncaf\xc3\xa9   1\ncafe!  2\n");
}

static void control_characters_never_reach_the_terminal(void **state)
{
    struct fixture *fixture = *state;
    table_put(&fixture->out, true, TABLE_PLAIN,
              "a\033[2Jb\r\nc\x7f\xc2\x9b"
              "31m\xc2\xa0");
    assert_string_equal(buf_text(&fixture->out), "a?[2Jb??c??31m\xc2\xa0");
}

static void colours_do_not_move_columns(void **state)
{
    struct fixture *fixture = *state;
    const char *const heads[] = {"A", "B"};
    const char *const row[] = {"good", "1"};
    const enum table_style styles[] = {TABLE_GOOD, TABLE_PLAIN};
    struct table table;
    table_init(&table, &fixture->arena, "", true, 2, heads);
    table_add(&table, row, styles);
    table_write(&table, &fixture->out);
    assert_string_equal(buf_text(&fixture->out), "\033[1mA\033[0m     \033[1mB\033[0m\n"
                                                 "\033[32mgood\033[0m  1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(columns_are_as_wide_as_their_widest_cell, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(lines_do_not_end_in_blanks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(characters_are_counted_and_not_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(control_characters_never_reach_the_terminal, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(colours_do_not_move_columns, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("cli table", tests, NULL, NULL);
}
