/* Listing and deleting things that have a name and no more to them: access keys, TSIG keys. See
 * cli.h. */
#include "base/text.h"
#include "cli/cli.h"
#include "cli/table.h"

#include <assert.h>

enum cli_exit cli_list(struct cli *cli, const struct cli_listing *listing)
{
    assert(listing->columns <= TABLE_COLUMNS);
    json_t *answer = NULL;
    enum cli_exit code = cli_call(cli, "GET", listing->path, NULL, &answer);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    if (!cli_answer_has(cli, answer, "{s:[]}", "Keys")) {
        return CLI_EXIT_FAILED;
    }
    if (cli_shows_json(cli, answer)) {
        return CLI_EXIT_OK;
    }
    const json_t *keys = json_object_get(answer, "Keys");
    struct buf out CLEANUP(buf_done);
    struct table table;
    buf_init(&out, 0);
    table_init(&table, cli->arena, "", cli_colours(cli), listing->columns, listing->heads);
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const char *cells[TABLE_COLUMNS];
        for (size_t column = 0; column < listing->columns; column++) {
            cells[column] = cli_text(json_array_get(keys, i), listing->members[column]);
        }
        table_add(&table, cells, NULL);
    }
    table_write(&table, &out);
    return cli_print(cli, &out);
}

enum cli_exit cli_delete(struct cli *cli, const struct cli_listing *listing)
{
    const char *name = cli->line.arguments[0];
    const char *before = arena_printf(cli->arena, "%s/", listing->path);
    enum cli_exit code = cli_call(cli, "DELETE", cli_target(cli, before, name, ""), NULL, NULL);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    buf_printf(&out, "Deleted the %s ", listing->what);
    table_put(&out, false, TABLE_PLAIN, name);
    buf_puts(&out, ".\n");
    return cli_print(cli, &out);
}
