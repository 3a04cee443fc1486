/* Help, made out of the table of commands (commands.c); see cli.h. Called by cli_run. */
#include "base/text.h"
#include "cli/cli.h"

#define SUMMARY_COLUMN 26U

/* "  left      right", with the right side in one column. */
static void write_line(struct buf *out, const char *left, const char *right)
{
    size_t start = out->length;
    buf_printf(out, "  %s", left);
    size_t width = out->length - start;
    if (width + 2 > SUMMARY_COLUMN) {
        buf_putc(out, '\n');
        width = 0;
    }
    buf_printf(out, "%*s%s\n", (int)(SUMMARY_COLUMN - width), "", right);
}

static void write_option(struct buf *out, const struct cli_option *option)
{
    struct buf left CLEANUP(buf_done);
    buf_init(&left, 0);
    buf_printf(&left, "--%s%s%s", option->name, option->value != NULL ? " " : "",
               option->value != NULL ? option->value : "");
    write_line(out, buf_text(&left), option->help);
}

/* "key create" or "dig NAME TYPE" */
static void write_command(struct buf *out, const struct cli_command *command)
{
    buf_printf(out, "%s%s%s", command->noun, command->verb != NULL ? " " : "",
               command->verb != NULL ? command->verb : "");
    for (size_t i = 0; i < CLI_ARGUMENTS && command->arguments[i].name != NULL; i++) {
        buf_printf(out, " %s", command->arguments[i].name);
    }
}

static void write_details(struct buf *out, const struct cli_command *command)
{
    buf_puts(out, "usage: leeward ");
    write_command(out, command);
    buf_printf(out, " [OPTION]...\n\n  %s\n\n", command->summary);
    for (size_t i = 0; i < CLI_ARGUMENTS && command->arguments[i].name != NULL; i++) {
        write_line(out, command->arguments[i].name, command->arguments[i].help);
    }
    for (size_t i = 0; i < CLI_OPTIONS && command->options[i].name != NULL; i++) {
        write_option(out, &command->options[i]);
    }
    buf_putc(out, '\n');
}

static void write_all(struct buf *out)
{
    buf_puts(out, "usage: leeward COMMAND [OPTION]...\n\nCommands\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        struct buf left CLEANUP(buf_done);
        buf_init(&left, 0);
        write_command(&left, &cli_commands[i]);
        write_line(out, buf_text(&left), cli_commands[i].summary);
    }
    write_line(out, "help [COMMAND]", "more about a command");
    write_line(out, "--version", "the version");
    buf_putc(out, '\n');
}

static void write_environment(struct buf *out)
{
    buf_puts(out, "\nEnvironment\n");
    write_line(out, "LEEWARD_ACCESS_KEY_ID, LEEWARD_SECRET_ACCESS_KEY",
               "the access key; else AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    write_line(out, "NO_COLOR", "no colours, also on a terminal");
    buf_puts(out, "\nExit codes\n");
#define X(name, number, help) write_line(out, #number, help);
    CLI_EXITS(X)
#undef X
}

void cli_write_help(struct buf *out, const char *noun)
{
    if (noun == NULL) {
        write_all(out);
    }
    for (size_t i = 0; noun != NULL && i < cli_command_count; i++) {
        if (text_equal(cli_commands[i].noun, noun)) {
            write_details(out, &cli_commands[i]);
        }
    }
    buf_puts(out, "Options of every command\n");
    for (const struct cli_option *option = cli_common_options; option->name != NULL; option++) {
        write_option(out, option);
    }
    write_environment(out);
}
