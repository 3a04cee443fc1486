/* `leeward tsig create|list|delete`: the keys that name servers sign transfers with. See cli.h. */
#include "base/text.h"
#include "cli/cli.h"
#include "cli/table.h"

enum cli_exit cli_tsig_create(struct cli *cli)
{
    const char *algorithm = cli_option(cli, "algorithm");
    const char *secret = cli_option(cli, "secret");
    json_t *body = json_pack("{s:s, s:s*, s:s*}", "Name", cli->line.arguments[0], "Algorithm",
                             algorithm, "Secret", secret);
    if (body == NULL) {
        cli_complain(cli, "the name, the algorithm or the secret is not valid UTF-8");
        return CLI_EXIT_USAGE;
    }
    json_t *answer = NULL;
    enum cli_exit code = cli_call(cli, "POST", "/leeward/tsig", body, &answer);
    json_decref(body);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    if (cli_text(answer, "Name")[0] == '\0' || cli_text(answer, "Secret")[0] == '\0') {
        cli_complain(cli, "the answer holds no key: is it leewardd that answered?");
        return CLI_EXIT_FAILED;
    }
    if (cli_switch(cli, "json")) {
        cli_print_json(cli, answer);
        return CLI_EXIT_OK;
    }
    static const char *const members[] = {"Name", "Algorithm", "Secret"};
    static const char *const heads[] = {"  name       ", "  algorithm  ", "  secret     "};
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    buf_puts(&out, "A new TSIG key. The secret is shown only now.\n\n");
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        buf_puts(&out, heads[i]);
        table_put(&out, false, TABLE_PLAIN, cli_text(answer, members[i]));
        buf_puts(&out, "\n");
    }
    return cli_print(cli, &out);
}

enum cli_exit cli_tsig_list(struct cli *cli)
{
    json_t *answer = NULL;
    enum cli_exit code = cli_call(cli, "GET", "/leeward/tsig", NULL, &answer);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    if (cli_switch(cli, "json")) {
        cli_print_json(cli, answer);
        return CLI_EXIT_OK;
    }
    static const char *const heads[] = {"NAME", "ALGORITHM", "CREATED"};
    const json_t *keys = json_object_get(answer, "Keys");
    struct buf out CLEANUP(buf_done);
    struct table table;
    buf_init(&out, 0);
    table_init(&table, cli->arena, "", cli_colours(cli), ARRAY_SIZE(heads), heads);
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *key = json_array_get(keys, i);
        const char *const cells[] = {cli_text(key, "Name"), cli_text(key, "Algorithm"),
                                     cli_text(key, "Created")};
        table_add(&table, cells, NULL);
    }
    table_write(&table, &out);
    return cli_print(cli, &out);
}

enum cli_exit cli_tsig_delete(struct cli *cli)
{
    const char *name = cli->line.arguments[0];
    enum cli_exit code =
        cli_call(cli, "DELETE", cli_target(cli, "/leeward/tsig/", name, ""), NULL, NULL);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    buf_puts(&out, "Deleted the TSIG key ");
    table_put(&out, false, TABLE_PLAIN, name);
    buf_puts(&out, ".\n");
    return cli_print(cli, &out);
}
