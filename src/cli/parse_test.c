/* Tests of the parser and of the table it reads: every command parses, every mistake is named. */
#include "base/text.h"
#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define WORDS 8

/* Takes words until NULL. */
static int parse(const char *const words[WORDS], struct cli_line *ret_line, struct err *err)
{
    const char *argv[WORDS + 1] = {"leeward"};
    int argc = 1;
    for (size_t i = 0; i < WORDS && words[i] != NULL; i++) {
        argv[argc++] = words[i];
    }
    return cli_parse(argc, argv, ret_line, err);
}

static void good_lines_parse(void **state)
{
    (void)state;
    const struct {
        const char *words[WORDS];
        const char *noun;
        const char *verb;
        const char *argument;
        const char *option;
        const char *value;
    } cases[] = {
        {{"status"}, "status", NULL, NULL, NULL, NULL},
        {{"status", "--json"}, "status", NULL, NULL, "json", ""},
        {{"--json", "status"}, "status", NULL, NULL, "json", ""},
        {{"dig", "a.example", "A"}, "dig", NULL, "a.example", NULL, NULL},
        {{"dig", "--json", "a", "A"}, "dig", NULL, "a", "json", ""},
        {{"dig", "--", "-a", "A"}, "dig", NULL, "-a", NULL, NULL},
        {{"key", "create"}, "key", "create", NULL, NULL, NULL},
        {{"key", "create", "--role", "admin"}, "key", "create", NULL, "role", "admin"},
        {{"key", "--role=admin", "create"}, "key", "create", NULL, "role", "admin"},
        {{"key", "create", "--comment="}, "key", "create", NULL, "comment", ""},
        {{"key", "create", "--role", "admin", "--role", "viewer"},
         "key",
         "create",
         NULL,
         "role",
         "viewer"},
        {{"key", "list"}, "key", "list", NULL, NULL, NULL},
        {{"key", "delete", "ID"}, "key", "delete", "ID", NULL, NULL},
        {{"--endpoint", "http://h", "check", "reset", "x"},
         "check",
         "reset",
         "x",
         "endpoint",
         "http://h"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct cli cli = {0};
        struct err err = ERR_INIT;
        if (parse(cases[i].words, &cli.line, &err) != 0) {
            fail_msg("case %zu: %s", i, err.message);
        }
        assert_string_equal(cli.line.command->noun, cases[i].noun);
        assert_true(cases[i].verb == NULL || text_equal(cli.line.command->verb, cases[i].verb));
        if (cases[i].argument != NULL) {
            assert_string_equal(cli.line.arguments[0], cases[i].argument);
        }
        if (cases[i].option != NULL) {
            assert_string_equal(cli_option(&cli, cases[i].option), cases[i].value);
        }
        assert_null(cli_option(&cli, "region"));
    }
}

static void wrong_lines_say_what_is_wrong(void **state)
{
    (void)state;
    const struct {
        const char *words[WORDS];
        const char *says;
    } cases[] = {
        {{NULL}, "leeward help"},
        {{"frob"}, "there are status, dig, key"},
        {{"key"}, "create, list, delete"},
        {{"key", "frob"}, "create, list, delete"},
        {{"check"}, "reset"},
        {{"dig"}, "needs NAME"},
        {{"dig", "a"}, "needs TYPE"},
        {{"dig", "a", "A", "b"}, "does not take 'b'"},
        {{"status", "now"}, "does not take 'now'"},
        {{"key", "delete"}, "needs ID"},
        {{"key", "list", "a", "b", "c", "d", "e"}, "does not take 'a'"},
        {{"status", "--frob"}, "--frob"},
        {{"status", "-x"}, "-x"},
        {{"status", "--role", "x"}, "no option --role"},
        {{"key", "delete", "a", "--json"}, "no option --json"},
        {{"status", "--json=yes"}, "takes no value"},
        {{"key", "create", "--role"}, "needs a value"},
        {{"help", "frob"}, "unknown command"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct cli_line line;
        struct err err = ERR_INIT;
        assert_int_not_equal(parse(cases[i].words, &line, &err), 0);
        assert_int_equal(err.kind, ERR_INVALID);
        if (strstr(err.message, cases[i].says) == NULL) {
            fail_msg("case %zu says '%s'", i, err.message);
        }
    }
}

static void too_many_options_are_refused(void **state)
{
    (void)state;
    const char *argv[CLI_VALUES + 3] = {"leeward", "status"};
    for (size_t i = 2; i < ARRAY_SIZE(argv); i++) {
        argv[i] = "--json";
    }
    struct cli_line line;
    struct err err = ERR_INIT;
    assert_int_not_equal(cli_parse((int)ARRAY_SIZE(argv), argv, &line, &err), 0);
}

static void help_is_everywhere(void **state)
{
    (void)state;
    const struct {
        const char *words[WORDS];
        const char *noun;
    } cases[] = {
        {{"help"}, NULL},         {{"--help"}, NULL},         {{"-h"}, NULL},
        {{"help", "key"}, "key"}, {{"key", "--help"}, "key"}, {{"key", "create", "--help"}, "key"},
        {{"dig", "-h"}, "dig"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct cli_line line;
        struct err err = ERR_INIT;
        assert_int_equal(parse(cases[i].words, &line, &err), 0);
        assert_true(line.help);
        assert_true(text_equal(line.help_noun != NULL ? line.help_noun : "",
                               cases[i].noun != NULL ? cases[i].noun : ""));
    }
    struct cli_line line;
    struct err err = ERR_INIT;
    const char *const version[WORDS] = {"--version"};
    assert_int_equal(parse(version, &line, &err), 0);
    assert_true(line.version);
}

static void help_names_every_command_option_and_exit_code(void **state)
{
    (void)state;
    struct buf all;
    buf_init(&all, 0);
    cli_write_help(&all, NULL);
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *command = &cli_commands[i];
        struct buf own;
        buf_init(&own, 0);
        cli_write_help(&own, command->noun);
        assert_non_null(strstr(buf_text(&all), command->summary));
        assert_non_null(strstr(buf_text(&own), command->summary));
        assert_non_null(command->run);
        for (size_t k = 0; k < CLI_OPTIONS && command->options[k].name != NULL; k++) {
            assert_non_null(strstr(buf_text(&own), command->options[k].help));
        }
        buf_done(&own);
    }
    for (const struct cli_option *option = cli_common_options; option->name != NULL; option++) {
        assert_non_null(strstr(buf_text(&all), option->help));
    }
#define X(name, number, help) assert_non_null(strstr(buf_text(&all), help));
    CLI_EXITS(X)
#undef X
    buf_done(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lines_parse),
        cmocka_unit_test(wrong_lines_say_what_is_wrong),
        cmocka_unit_test(too_many_options_are_refused),
        cmocka_unit_test(help_is_everywhere),
        cmocka_unit_test(help_names_every_command_option_and_exit_code),
    };
    return cmocka_run_group_tests_name("cli parse", tests, NULL, NULL);
}
