/* `leeward check reset ID`: ends a latch. See cli.h. */
#include "cli/cli.h"
#include "cli/table.h"

enum cli_exit cli_check_reset(struct cli *cli)
{
    const char *id = cli->line.arguments[0];
    enum cli_exit code =
        cli_call(cli, "POST", cli_target(cli, "/leeward/healthcheck/", id, "/reset"), NULL, NULL);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    buf_puts(&out, "The health check ");
    table_put(&out, false, TABLE_PLAIN, id);
    buf_puts(&out, " follows its results again.\n");
    return cli_print(cli, &out);
}
