/* `leeward status`: the node, its zones, health checks and routed records. See cli.h. */
#include "base/text.h"
#include "cli/cli.h"
#include "cli/table.h"

#include <string.h>

static void write_title(struct cli *cli, struct buf *out, const char *title)
{
    buf_puts(out, out->length != 0 ? "\n" : "");
    table_put(out, cli_colours(cli), TABLE_HEAD, title);
    buf_putc(out, '\n');
}

static void write_row(struct cli *cli, struct buf *out, const char *name, enum table_style style,
                      const char *text)
{
    buf_printf(out, "    %-9s", name);
    table_put(out, cli_colours(cli), style, text);
    buf_putc(out, '\n');
}

/* Where the store is shared with other sites: how far this site's copy of it has come. */
static void write_replica(struct cli *cli, struct buf *out, const json_t *replica)
{
    struct arena *arena = cli->arena;
    long long revision = cli_number(replica, "Revision");
    const char *problem = cli_text(replica, "Problem");
    const char *damage = cli_text(replica, "Damage");
    if (replica == NULL) {
        return;
    }
    if (cli_truth(replica, "InStep")) {
        write_row(cli, out, "replica", TABLE_PLAIN,
                  arena_printf(arena, "in step with the store, at revision %lld", revision));
    } else {
        const char *heard = cli_text(replica, "Heard");
        bool complete = cli_truth(replica, "Complete");
        write_row(cli, out, "replica", TABLE_BAD,
                  complete
                      ? arena_printf(arena, "at revision %lld; the store was heard last %s%s%s",
                                     revision, heard[0] != '\0' ? heard : "never",
                                     problem[0] != '\0' ? ": " : "", problem)
                      : arena_printf(arena, "empty: the store was never read%s%s",
                                     problem[0] != '\0' ? ": " : "", problem));
    }
    if (damage[0] != '\0') {
        write_row(cli, out, "damage", TABLE_BAD, damage);
    }
}

static void write_node(struct cli *cli, struct buf *out, const json_t *node)
{
    struct arena *arena = cli->arena;
    const char *const rows[][2] = {
        {"version", arena_printf(arena, "%s, up for %s", cli_text(node, "Version"),
                                 cli_duration(arena, cli_number(node, "UptimeSeconds") * TIME_S))},
        {"regions", cli_join(arena, json_object_get(node, "Regions"))},
        {"API", cli_text(node, "ApiAddress")},
        {"DNS", cli_join(arena, json_object_get(node, "DnsAddresses"))},
        {"answers", arena_printf(arena, "include every change up to revision %lld",
                                 cli_number(node, "DnsRevision"))},
    };
    write_title(cli, out, arena_printf(arena, "Node %s", cli_text(node, "Name")));
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        buf_printf(out, "    %-9s", rows[i][0]);
        table_put(out, false, TABLE_PLAIN, rows[i][1]);
        buf_putc(out, '\n');
    }
    const json_t *problems = json_object_get(node, "Problems");
    for (size_t i = 0; i < json_array_size(problems); i++) {
        buf_printf(out, "    %-9s", "problem");
        table_put(out, cli_colours(cli), TABLE_BAD, json_string_value(json_array_get(problems, i)));
        buf_putc(out, '\n');
    }
    write_replica(cli, out, json_object_get(node, "Replica"));
}

static void write_zones(struct cli *cli, struct buf *out, const json_t *zones)
{
    write_title(cli, out, "Zones");
    if (json_array_size(zones) == 0) {
        buf_puts(out, "    none yet (aws route53 create-hosted-zone makes one)\n");
        return;
    }
    static const char *const heads[] = {"NAME", "RECORDS", "ID"};
    struct table table;
    table_init(&table, cli->arena, "    ", cli_colours(cli), ARRAY_SIZE(heads), heads);
    for (size_t i = 0; i < json_array_size(zones); i++) {
        const json_t *zone = json_array_get(zones, i);
        const char *const cells[] = {
            cli_text(zone, "Name"),
            arena_printf(cli->arena, "%lld", cli_number(zone, "RecordCount")),
            cli_text(zone, "Id")};
        table_add(&table, cells, NULL);
    }
    table_write(&table, out);
}

static const char *ago(struct cli *cli, const char *text)
{
    struct wall when;
    if (*text == '\0' || wall_parse(text, &when) != 0) {
        return "never";
    }
    return arena_printf(cli->arena, "%s ago",
                        cli_duration(cli->arena, cli->world->now.ns - when.ns));
}

/* Absent from nodes that are older than this command, and shown only where there is one. */
static void write_secondaries(struct cli *cli, struct buf *out, const json_t *zones)
{
    if (json_array_size(zones) == 0) {
        return;
    }
    write_title(cli, out, "Zones from another primary");
    static const char *const heads[] = {"NAME", "STATE", "SERIAL", "CONFIRMED", "WHY"};
    struct table table;
    table_init(&table, cli->arena, "    ", cli_colours(cli), ARRAY_SIZE(heads), heads);
    for (size_t i = 0; i < json_array_size(zones); i++) {
        const json_t *zone = json_array_get(zones, i);
        const char *state = cli_text(zone, "State");
        const char *name = cli_text(zone, "Name");
        const char *const cells[] = {*name != '\0' ? name : cli_text(zone, "ZoneId"), state,
                                     arena_printf(cli->arena, "%lld", cli_number(zone, "Serial")),
                                     ago(cli, cli_text(zone, "Checked")), cli_text(zone, "Error")};
        bool good = text_equal(state, "current");
        const enum table_style styles[ARRAY_SIZE(cells)] = {TABLE_PLAIN,
                                                            good ? TABLE_GOOD : TABLE_BAD};
        table_add(&table, cells, styles);
    }
    table_write(&table, out);
}

/* "healthy", "unhealthy, latched", "disabled (counts as healthy)" ... */
static const char *verdict_of(struct cli *cli, const json_t *check)
{
    const json_t *status = json_object_get(check, "Status");
    const char *word = status == NULL                 ? "not checked yet"
                       : cli_truth(status, "Healthy") ? "healthy"
                                                      : "unhealthy";
    return arena_printf(cli->arena, "%s%s%s%s", word,
                        cli_truth(status, "Latched") ? ", latched" : "",
                        cli_truth(check, "Inverted") ? ", inverted" : "",
                        cli_truth(check, "Disabled") ? ", disabled" : "");
}

static enum table_style style_of(const json_t *status)
{
    if (status == NULL) {
        return TABLE_QUIET;
    }
    return cli_truth(status, "Healthy") ? TABLE_GOOD : TABLE_BAD;
}

/* One row for the check's verdict, one below it for each checker's view. */
static void add_check(struct cli *cli, struct table *table, const json_t *check)
{
    const json_t *status = json_object_get(check, "Status");
    const char *const cells[] = {
        cli_text(check, "Id"), verdict_of(cli, check), cli_since(cli, cli_text(status, "Since")),
        arena_printf(cli->arena, "%s %s", cli_text(check, "Type"), cli_text(check, "Target"))};
    const enum table_style styles[ARRAY_SIZE(cells)] = {TABLE_PLAIN, style_of(status)};
    table_add(table, cells, styles);
    const json_t *views = json_object_get(status, "Observations");
    for (size_t i = 0; i < json_array_size(views); i++) {
        const json_t *view = json_array_get(views, i);
        bool healthy = cli_truth(view, "Healthy");
        const char *address = cli_text(view, "Address");
        const char *const below[] = {
            arena_printf(cli->arena, "  seen from %s%s%s", cli_text(view, "Region"),
                         *address != '\0' ? ", " : "", address),
            healthy ? "healthy" : "unhealthy", cli_since(cli, cli_text(view, "Since")),
            cli_text(view, "Status")};
        const enum table_style below_styles[ARRAY_SIZE(below)] = {
            TABLE_QUIET, healthy ? TABLE_GOOD : TABLE_BAD, TABLE_QUIET, TABLE_QUIET};
        table_add(table, below, below_styles);
    }
}

static void write_checks(struct cli *cli, struct buf *out, const json_t *checks)
{
    write_title(cli, out, "Health checks");
    if (json_array_size(checks) == 0) {
        buf_puts(out, "    none yet (aws route53 create-health-check makes one)\n");
        return;
    }
    static const char *const heads[] = {"ID", "STATE", "FOR", "WHAT"};
    bool latched = false;
    struct table table;
    table_init(&table, cli->arena, "    ", cli_colours(cli), ARRAY_SIZE(heads), heads);
    for (size_t i = 0; i < json_array_size(checks); i++) {
        const json_t *check = json_array_get(checks, i);
        latched = latched || cli_truth(json_object_get(check, "Status"), "Latched");
        add_check(cli, &table, check);
    }
    table_write(&table, out);
    if (latched) {
        buf_puts(out, "    A latched check stays unhealthy until `leeward check reset ID`.\n");
    }
}

static void write_routed(struct cli *cli, struct buf *out, const json_t *records, bool more)
{
    write_title(cli, out, "Records with a policy");
    if (json_array_size(records) == 0) {
        buf_puts(out, "    none yet\n");
        return;
    }
    for (size_t i = 0; i < json_array_size(records); i++) {
        const json_t *record = json_array_get(records, i);
        const char *note = cli_text(record, "Note");
        buf_puts(out, "  ");
        table_put(out, false, TABLE_PLAIN,
                  arena_printf(cli->arena, "%s %s, policy %s%s%s", cli_text(record, "Name"),
                               cli_text(record, "Type"), cli_text(record, "Policy"),
                               *note != '\0' ? ": " : "", note));
        buf_putc(out, '\n');
        cli_write_candidates(cli, out, record);
    }
    if (more) {
        buf_printf(out, "    and more: these are %zu of them, `leeward dig NAME TYPE` shows any\n",
                   json_array_size(records));
    }
}

enum cli_exit cli_status(struct cli *cli)
{
    json_t *answer = NULL;
    enum cli_exit code = cli_call(cli, "GET", "/leeward/status", NULL, &answer);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    if (!cli_answer_has(cli, answer, "{s:{}, s:[], s:[], s:[]}", "Node", "Zones", "HealthChecks",
                        "RoutedRecords")) {
        return CLI_EXIT_FAILED;
    }
    if (cli_shows_json(cli, answer)) {
        return CLI_EXIT_OK;
    }
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    write_node(cli, &out, json_object_get(answer, "Node"));
    write_zones(cli, &out, json_object_get(answer, "Zones"));
    write_secondaries(cli, &out, json_object_get(answer, "SecondaryZones"));
    write_checks(cli, &out, json_object_get(answer, "HealthChecks"));
    write_routed(cli, &out, json_object_get(answer, "RoutedRecords"),
                 cli_truth(answer, "RoutedRecordsTruncated"));
    return cli_print(cli, &out);
}
