/* A run of the command line: parse, show help or dispatch; see cli.h. Called by main and by tests.
 * Owns the run's arena. */
#include "cli/cli.h"

#include <stdlib.h>
#include <unistd.h>

static const char *process_variable(const char *name)
{
    return getenv(name); /* NOLINT(concurrency-mt-unsafe): one thread, and nobody sets it */
}

struct cli_world cli_real_world(void)
{
    return (struct cli_world){.out = stdout,
                              .err = stderr,
                              .terminal = isatty(STDOUT_FILENO) == 1,
                              .now = wall_now(),
                              .variable = process_variable,
                              .call = aws_client_call};
}

static enum cli_exit dispatch(struct cli *cli)
{
    if (cli->line.version || cli->line.help) {
        struct buf out CLEANUP(buf_done);
        buf_init(&out, 0);
        if (cli->line.version) {
            buf_puts(&out, "leeward " LEEWARD_VERSION "\n");
        } else {
            cli_write_help(&out, cli->line.help_noun);
        }
        return cli_print(cli, &out);
    }
    enum cli_exit code = cli->line.command->run(cli);
    if (code == CLI_EXIT_OK && (fflush(cli->world->out) != 0 || ferror(cli->world->out) != 0)) {
        cli_complain(cli, "cannot write the output");
        code = CLI_EXIT_FAILED;
    }
    return code;
}

enum cli_exit cli_run(const struct cli_world *world, int argc, const char *const *argv)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    struct cli cli = {.world = world, .arena = &arena};
    struct err err = ERR_INIT;
    if (cli_parse(argc, argv, &cli.line, &err) != 0) {
        cli_complain(&cli, "%s", err.message);
        return CLI_EXIT_USAGE;
    }
    return dispatch(&cli);
}
