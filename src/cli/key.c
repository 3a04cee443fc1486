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
    if (cli_switch(cli, "json")) {
        cli_print_json(cli, answer);
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

enum cli_exit cli_key_list(struct cli *cli)
{
    json_t *answer = NULL;
    enum cli_exit code = cli_call(cli, "GET", "/leeward/key", NULL, &answer);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    if (!cli_answer_has(cli, answer, "{s:[]}", "Keys")) {
        return CLI_EXIT_FAILED;
    }
    if (cli_switch(cli, "json")) {
        cli_print_json(cli, answer);
        return CLI_EXIT_OK;
    }
    static const char *const heads[] = {"ID", "ROLE", "CREATED", "COMMENT"};
    const json_t *keys = json_object_get(answer, "Keys");
    struct buf out CLEANUP(buf_done);
    struct table table;
    buf_init(&out, 0);
    table_init(&table, cli->arena, "", cli_colours(cli), ARRAY_SIZE(heads), heads);
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *key = json_array_get(keys, i);
        const char *const cells[] = {cli_text(key, "Id"), cli_text(key, "Role"),
                                     cli_text(key, "Created"), cli_text(key, "Comment")};
        table_add(&table, cells, NULL);
    }
    table_write(&table, &out);
    return cli_print(cli, &out);
}

enum cli_exit cli_key_delete(struct cli *cli)
{
    const char *id = cli->line.arguments[0];
    enum cli_exit code =
        cli_call(cli, "DELETE", cli_target(cli, "/leeward/key/", id, ""), NULL, NULL);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    buf_puts(&out, "Deleted the access key ");
    table_put(&out, false, TABLE_PLAIN, id);
    buf_puts(&out, ".\n");
    return cli_print(cli, &out);
}
