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
    if (cli_shows_json(cli, answer)) {
        return CLI_EXIT_OK;
    }
    static const char *const rows[][2] = {
        {"  name       ", "Name"}, {"  algorithm  ", "Algorithm"}, {"  secret     ", "Secret"}};
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    buf_puts(&out, "A new TSIG key. The secret is shown only now.\n\n");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        buf_puts(&out, rows[i][0]);
        table_put(&out, false, TABLE_PLAIN, cli_text(answer, rows[i][1]));
        buf_puts(&out, "\n");
    }
    return cli_print(cli, &out);
}

static const char *const members[] = {"Name", "Algorithm", "Created"};
static const char *const heads[] = {"NAME", "ALGORITHM", "CREATED"};
static const struct cli_listing listing = {.path = "/leeward/tsig",
                                           .what = "TSIG key",
                                           .members = members,
                                           .heads = heads,
                                           .columns = ARRAY_SIZE(heads)};

enum cli_exit cli_tsig_list(struct cli *cli)
{
    return cli_list(cli, &listing);
}

enum cli_exit cli_tsig_delete(struct cli *cli)
{
    return cli_delete(cli, &listing);
}
