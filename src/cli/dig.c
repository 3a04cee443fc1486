/* `leeward dig NAME TYPE`: what is answered, and why. See cli.h. */
#include "base/text.h"
#include "cli/cli.h"
#include "cli/table.h"

#include <string.h>

/* What a candidate stands for: its values, or its alias target and what that gives. */
static const char *answer_of(struct cli *cli, const json_t *candidate)
{
    const char *values = cli_join(cli->arena, json_object_get(candidate, "Values"));
    const char *alias = cli_text(candidate, "Alias");
    if (*alias == '\0') {
        return values;
    }
    return arena_printf(cli->arena, "alias of %s%s%s", alias, *values != '\0' ? ": " : "", values);
}

void cli_write_candidates(struct cli *cli, struct buf *out, const json_t *explanation)
{
    const json_t *candidates = json_object_get(explanation, "Candidates");
    if (json_array_size(candidates) == 0) {
        return;
    }
    static const char *const heads[] = {"", "ROLE", "SET", "HEALTH", "ANSWER", "WHY"};
    struct table table;
    table_init(&table, cli->arena, "    ", cli_colours(cli), ARRAY_SIZE(heads), heads);
    for (size_t i = 0; i < json_array_size(candidates); i++) {
        const json_t *candidate = json_array_get(candidates, i);
        bool chosen = cli_truth(candidate, "Chosen");
        bool healthy = cli_truth(candidate, "Healthy");
        const char *const cells[] = {chosen ? "served" : "not served",
                                     cli_text(candidate, "Role"),
                                     cli_text(candidate, "SetIdentifier"),
                                     healthy ? "healthy" : "unhealthy",
                                     answer_of(cli, candidate),
                                     cli_text(candidate, "Reason")};
        const enum table_style styles[ARRAY_SIZE(heads)] = {chosen ? TABLE_GOOD : TABLE_QUIET,
                                                            TABLE_PLAIN, TABLE_PLAIN,
                                                            healthy ? TABLE_GOOD : TABLE_BAD};
        table_add(&table, cells, styles);
    }
    table_write(&table, out);
}

static void write_explanation(struct cli *cli, struct buf *out, const json_t *explanation)
{
    const char *zone = cli_text(explanation, "ZoneName");
    const char *policy = cli_text(explanation, "Policy");
    bool colours = cli_colours(cli);
    const char *title = arena_printf(cli->arena, "%s %s", cli_text(explanation, "Name"),
                                     cli_text(explanation, "Type"));
    table_put(out, colours, TABLE_HEAD, title);
    if (*zone != '\0') {
        buf_puts(out, " in zone ");
        table_put(out, colours, TABLE_PLAIN, zone);
        buf_puts(out, " (");
        table_put(out, colours, TABLE_PLAIN, cli_text(explanation, "ZoneId"));
        buf_puts(out, ")");
    }
    if (*policy != '\0') {
        buf_puts(out, ", policy ");
        table_put(out, colours, TABLE_PLAIN, policy);
    }
    buf_putc(out, '\n');
    if (*cli_text(explanation, "Note") != '\0') {
        buf_puts(out, "    ");
        table_put(out, colours, TABLE_PLAIN, cli_text(explanation, "Note"));
        buf_putc(out, '\n');
    }
    cli_write_candidates(cli, out, explanation);
}

enum cli_exit cli_dig(struct cli *cli)
{
    char *type = arena_strdup(cli->arena, cli->line.arguments[1]);
    for (char *p = type; *p != '\0'; p++) {
        *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
    }
    const char *target = cli_target(cli, "/leeward/answer?name=", cli->line.arguments[0], "&type=");
    const char *client = cli_option(cli, "client");
    target = cli_target(cli, target, type, client != NULL ? "&client=" : "");
    target = client != NULL ? cli_target(cli, target, client, "") : target;
    json_t *answer = NULL;
    enum cli_exit code = cli_call(cli, "GET", target, NULL, &answer);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    if (!cli_answer_has(cli, answer, "{s:s, s:s, s:[]}", "Name", "Type", "Candidates")) {
        return CLI_EXIT_FAILED;
    }
    if (cli_shows_json(cli, answer)) {
        return CLI_EXIT_OK;
    }
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    write_explanation(cli, &out, answer);
    return cli_print(cli, &out);
}
