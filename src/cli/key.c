/* `leeward key create|list|delete`: access keys. See cli.h. */
#include "base/text.h"
#include "cli/cli.h"
#include "cli/table.h"

enum cli_exit cli_key_create(struct cli *cli)
{
    const char *role = cli_option(cli, "role");
    const char *comment = cli_option(cli, "comment");
    json_t *body = json_pack("{s:s, s:s}", "Role", role != NULL ? role : "viewer", "Comment",
                             comment != NULL ? comment : "");
    if (body == NULL) {
        cli_complain(cli, "the role or the comment is not valid UTF-8");
        return CLI_EXIT_USAGE;
    }
    json_t *answer = NULL;
    enum cli_exit code = cli_call(cli, "POST", "/leeward/key", body, &answer);
    json_decref(body);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    if (!cli_answer_has(cli, answer, "{s:s, s:s}", "Id", "Secret")) {
        return CLI_EXIT_FAILED;
    }
    if (cli_shows_json(cli, answer)) {
        return CLI_EXIT_OK;
    }
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    buf_puts(&out, "A new key with the role ");
    table_put(&out, false, TABLE_PLAIN, cli_text(answer, "Role"));
    buf_puts(&out, ". The secret is shown only now.\n\n  export LEEWARD_ACCESS_KEY_ID=");
    table_put(&out, false, TABLE_PLAIN, cli_text(answer, "Id"));
    buf_puts(&out, "\n  export LEEWARD_SECRET_ACCESS_KEY=");
    table_put(&out, false, TABLE_PLAIN, cli_text(answer, "Secret"));
    buf_puts(&out, "\n");
    return cli_print(cli, &out);
}

static const char *const members[] = {"Id", "Role", "Created", "Comment"};
static const char *const heads[] = {"ID", "ROLE", "CREATED", "COMMENT"};
static const struct cli_listing listing = {.path = "/leeward/key",
                                           .what = "access key",
                                           .members = members,
                                           .heads = heads,
                                           .columns = ARRAY_SIZE(heads)};

enum cli_exit cli_key_list(struct cli *cli)
{
    return cli_list(cli, &listing);
}

enum cli_exit cli_key_delete(struct cli *cli)
{
    return cli_delete(cli, &listing);
}
