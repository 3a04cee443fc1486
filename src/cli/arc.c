/* `leeward controls` and `leeward arc explain`: routing controls, safety rules, and what a change
 * would do. See cli.h. Invariant: a name stands for one control or rule, or the command says that
 * it does not. */
#include "base/text.h"
#include "cli/cli.h"
#include "cli/table.h"

#include <string.h>

/* ---- what there is ---- */

static enum cli_exit fetch(struct cli *cli, json_t **ret_answer)
{
    enum cli_exit code = cli_call(cli, "GET", "/leeward/arc/controls", NULL, ret_answer);
    if (code == CLI_EXIT_OK &&
        !cli_answer_has(cli, *ret_answer, "{s:[], s:[]}", "RoutingControls", "SafetyRules")) {
        code = CLI_EXIT_FAILED;
    }
    return code;
}

static enum table_style state_style(const char *state)
{
    return text_equal(state, "On") ? TABLE_GOOD : TABLE_QUIET;
}

static void write_controls(struct cli *cli, struct buf *out, const json_t *controls)
{
    static const char *const heads[] = {"PANEL", "NAME", "STATE", "SINCE", "ARN"};
    struct table table;
    table_init(&table, cli->arena, "", cli_colours(cli), ARRAY_SIZE(heads), heads);
    for (size_t i = 0; i < json_array_size(controls); i++) {
        const json_t *control = json_array_get(controls, i);
        const char *const cells[] = {cli_text(control, "ControlPanelName"),
                                     cli_text(control, "Name"), cli_text(control, "State"),
                                     cli_text(control, "Changed"),
                                     cli_text(control, "RoutingControlArn")};
        const enum table_style styles[] = {TABLE_PLAIN, TABLE_PLAIN, state_style(cells[2]),
                                           TABLE_QUIET, TABLE_QUIET};
        table_add(&table, cells, styles);
    }
    table_write(&table, out);
}

static void write_rules(struct cli *cli, struct buf *out, const json_t *rules)
{
    static const char *const heads[] = {"PANEL", "RULE", "KIND", "MEANING"};
    struct table table;
    table_init(&table, cli->arena, "", cli_colours(cli), ARRAY_SIZE(heads), heads);
    for (size_t i = 0; i < json_array_size(rules); i++) {
        const json_t *rule = json_array_get(rules, i);
        const char *const cells[] = {cli_text(rule, "ControlPanelName"), cli_text(rule, "Name"),
                                     cli_text(rule, "Kind"), cli_text(rule, "Meaning")};
        table_add(&table, cells, NULL);
    }
    table_write(&table, out);
}

enum cli_exit cli_controls(struct cli *cli)
{
    json_t *answer = NULL;
    enum cli_exit code = fetch(cli, &answer);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    if (cli_shows_json(cli, answer)) {
        return CLI_EXIT_OK;
    }
    const json_t *controls = json_object_get(answer, "RoutingControls");
    const json_t *rules = json_object_get(answer, "SafetyRules");
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    if (json_array_size(controls) == 0) {
        buf_puts(&out, "No routing controls yet (aws route53-recovery-control-config "
                       "create-routing-control makes one).\n");
    } else {
        write_controls(cli, &out, controls);
    }
    if (json_array_size(rules) != 0) {
        buf_puts(&out, "\n");
        write_rules(cli, &out, rules);
    }
    return cli_print(cli, &out);
}

/* ---- names ---- */

static bool is_named(const json_t *item, const char *arn_member, const char *name)
{
    const char *panel = cli_text(item, "ControlPanelName");
    size_t length = strlen(panel);
    return text_equal(cli_text(item, arn_member), name) ||
           text_equal(cli_text(item, "Name"), name) ||
           (strncmp(name, panel, length) == 0 && name[length] == '/' &&
            text_equal(cli_text(item, "Name"), name + length + 1));
}

/* The ARN of what the name stands for; NULL, and a complaint, when it is not clear. */
static const char *find_arn(struct cli *cli, const json_t *list, const char *arn_member,
                            const char *what, const char *name)
{
    const char *found = NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        if (!is_named(item, arn_member, name)) {
            continue;
        }
        if (found != NULL) {
            cli_complain(cli, "more than one %s is named %s: say PANEL/%s", what, name, name);
            return NULL;
        }
        found = cli_text(item, arn_member);
    }
    if (found == NULL) {
        cli_complain(cli, "there is no %s %s: `leeward controls` shows what there is", what, name);
    }
    return found;
}

/* ---- the request ---- */

/* Takes the next piece, up to a comma, off the text; NULL at the end. Between two commas there is
 * an empty one, which names nothing. */
static char *next_piece(struct cli *cli, const char **at)
{
    if (**at == '\0') {
        return NULL;
    }
    size_t length = strcspn(*at, ",");
    char *piece = arena_memdup(cli->arena, *at, length);
    *at += length;
    *at += **at == ',' ? 1 : 0;
    return piece;
}

static enum cli_exit read_changes(struct cli *cli, const json_t *known, json_t *entries)
{
    const char *at = cli->line.arguments[0];
    for (char *piece = next_piece(cli, &at); piece != NULL; piece = next_piece(cli, &at)) {
        char *equals = strrchr(piece, '=');
        bool on = equals != NULL && text_equal_nocase(equals + 1, "on");
        if (equals == NULL || (!on && !text_equal_nocase(equals + 1, "off"))) {
            cli_complain(cli, "'%s' is no change: say NAME=On or NAME=Off", piece);
            return CLI_EXIT_USAGE;
        }
        *equals = '\0';
        const char *arn = find_arn(cli, json_object_get(known, "RoutingControls"),
                                   "RoutingControlArn", "routing control", piece);
        if (arn == NULL) {
            return CLI_EXIT_FAILED;
        }
        (void)json_array_append_new(entries, json_pack("{s:s, s:s}", "RoutingControlArn", arn,
                                                       "RoutingControlState", on ? "On" : "Off"));
    }
    return CLI_EXIT_OK;
}

static enum cli_exit read_overrides(struct cli *cli, const json_t *known, json_t *overrides)
{
    const char *at = cli_option(cli, "override");
    at = at != NULL ? at : "";
    for (char *piece = next_piece(cli, &at); piece != NULL; piece = next_piece(cli, &at)) {
        const char *arn = find_arn(cli, json_object_get(known, "SafetyRules"), "SafetyRuleArn",
                                   "safety rule", piece);
        if (arn == NULL) {
            return CLI_EXIT_FAILED;
        }
        (void)json_array_append_new(overrides, json_string(arn));
    }
    return CLI_EXIT_OK;
}

/* ---- the answer ---- */

static void write_changes(struct cli *cli, struct buf *out, const json_t *controls)
{
    for (size_t i = 0; i < json_array_size(controls); i++) {
        const json_t *control = json_array_get(controls, i);
        const char *before = cli_text(control, "Before");
        const char *after = cli_text(control, "After");
        buf_puts(out, "    ");
        table_put(out, false, TABLE_PLAIN, cli_text(control, "Name"));
        buf_puts(out, text_equal(before, after) ? " stays " : " turns ");
        table_put(out, cli_colours(cli), state_style(after), after);
        buf_puts(out, "\n");
    }
}

static void write_findings(struct cli *cli, struct buf *out, const json_t *rules)
{
    static const struct {
        const char *verdict;
        const char *words;
        enum table_style style;
    } rows[] = {
        {"BLOCKS", "blocks it", TABLE_BAD},
        {"OVERRIDDEN", "would block it, and is overridden", TABLE_BAD},
        {"SATISFIED", "allows it", TABLE_GOOD},
    };
    for (size_t row = 0; row < ARRAY_SIZE(rows); row++) {
        for (size_t i = 0; i < json_array_size(rules); i++) {
            const json_t *rule = json_array_get(rules, i);
            if (!text_equal(cli_text(rule, "Verdict"), rows[row].verdict)) {
                continue;
            }
            buf_puts(out, "    ");
            table_put(out, false, TABLE_PLAIN, cli_text(rule, "Name"));
            buf_puts(out, " ");
            table_put(out, cli_colours(cli), rows[row].style, rows[row].words);
            buf_puts(out, ": ");
            table_put(out, false, TABLE_PLAIN, cli_text(rule, "Reason"));
            buf_puts(out, "\n");
        }
    }
}

static enum cli_exit write_answer(struct cli *cli, json_t *answer)
{
    if (!cli_answer_has(cli, answer, "{s:b, s:[], s:[]}", "Allowed", "Controls", "SafetyRules")) {
        return CLI_EXIT_FAILED;
    }
    if (cli_shows_json(cli, answer)) {
        return CLI_EXIT_OK;
    }
    bool allowed = cli_truth(answer, "Allowed");
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    table_put(&out, cli_colours(cli), allowed ? TABLE_GOOD : TABLE_BAD,
              allowed ? "The change would be made." : "The change would be refused.");
    buf_puts(&out, "\n");
    write_changes(cli, &out, json_object_get(answer, "Controls"));
    write_findings(cli, &out, json_object_get(answer, "SafetyRules"));
    return cli_print(cli, &out);
}

static enum cli_exit explain(struct cli *cli, const json_t *known, json_t *body)
{
    json_t *answer = NULL;
    enum cli_exit code =
        read_changes(cli, known, json_object_get(body, "UpdateRoutingControlStateEntries"));
    if (code == CLI_EXIT_OK) {
        code = read_overrides(cli, known, json_object_get(body, "SafetyRulesToOverride"));
    }
    if (code == CLI_EXIT_OK) {
        code = cli_call(cli, "POST", "/leeward/arc/explain", body, &answer);
    }
    return code == CLI_EXIT_OK ? write_answer(cli, answer) : code;
}

enum cli_exit cli_arc_explain(struct cli *cli)
{
    json_t *known = NULL;
    enum cli_exit code = fetch(cli, &known);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    json_t *body =
        json_pack("{s:[], s:[]}", "UpdateRoutingControlStateEntries", "SafetyRulesToOverride");
    code = explain(cli, known, body);
    json_decref(body);
    return code;
}
