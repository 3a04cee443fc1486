/* `leeward sites` and `leeward site init|token|join|remove`: see cli.h. All but join ask the API of
 * a running daemon; join writes the files of a daemon that does not run yet, and asks a member. */
#include "site/site.h"

#include "cli/cli.h"
#include "cli/table.h"

#include <stdlib.h>

#define DATA "/var/lib/leeward"

/* ---- sites ---- */

static const char *applied(struct cli *cli, const json_t *site)
{
    return json_object_get(site, "Applied") != NULL
               ? arena_printf(cli->arena, "%lld", cli_number(site, "Applied"))
               : "-";
}

/* "heard 0.4 s ago" */
static const char *state(struct cli *cli, const json_t *site)
{
    if (json_object_get(site, "HeardMilliseconds") == NULL) {
        return cli_text(site, "State");
    }
    long long ms = cli_number(site, "HeardMilliseconds");
    return arena_printf(cli->arena, "%s (%lld.%lld s ago)", cli_text(site, "State"), ms / 1000,
                        ms % 1000 / 100);
}

static void write_problems(struct buf *out, const json_t *sites)
{
    for (size_t i = 0; i < json_array_size(sites); i++) {
        const json_t *site = json_array_get(sites, i);
        if (cli_text(site, "Problem")[0] != '\0') {
            table_put(out, false, TABLE_PLAIN, cli_text(site, "Name"));
            buf_puts(out, " is not reached: ");
            table_put(out, false, TABLE_PLAIN, cli_text(site, "Problem"));
            buf_puts(out, "\n");
        }
    }
}

enum cli_exit cli_sites(struct cli *cli)
{
    static const char *const heads[] = {"SITE",    "STATE",   "HEARS", "REGIONS",
                                        "VERSION", "APPLIED", "API",   "DNS"};
    json_t *answer = NULL;
    enum cli_exit code = cli_call(cli, "GET", "/leeward/site", NULL, &answer);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    if (!cli_answer_has(cli, answer, "{s:[]}", "Sites")) {
        return CLI_EXIT_FAILED;
    }
    if (cli_shows_json(cli, answer)) {
        return CLI_EXIT_OK;
    }
    const json_t *sites = json_object_get(answer, "Sites");
    struct buf out CLEANUP(buf_done);
    struct table table;
    buf_init(&out, 0);
    if (json_array_size(sites) == 0) {
        buf_puts(&out, "This daemon is alone: it belongs to no cluster.\n");
        return cli_print(cli, &out);
    }
    table_init(&table, cli->arena, "", cli_colours(cli), ARRAY_SIZE(heads), heads);
    for (size_t i = 0; i < json_array_size(sites); i++) {
        const json_t *site = json_array_get(sites, i);
        const char *cells[] = {cli_text(site, "Name"),
                               state(cli, site),
                               cli_join(cli->arena, json_object_get(site, "Hears")),
                               cli_join(cli->arena, json_object_get(site, "Regions")),
                               cli_text(site, "Version"),
                               applied(cli, site),
                               cli_text(site, "ApiAddress"),
                               cli_join(cli->arena, json_object_get(site, "DnsAddresses"))};
        table_add(&table, cells, NULL);
    }
    table_write(&table, &out);
    if (cli_truth(answer, "Removed")) {
        buf_puts(&out,
                 "\nThe site that was asked is none of these: it was removed. It talks with no "
                 "other site, and its health verdicts stay as they are.\n");
        return cli_print(cli, &out);
    }
    write_problems(&out, sites);
    buf_printf(&out, "\n%lld of %lld sites heard%s\n", cli_number(answer, "HeardSites"),
               cli_number(answer, "KnownSites"),
               cli_truth(answer, "VotesHeld")
                   ? ": too few, health verdicts stay as they are until more than half are heard"
                   : "");
    return cli_print(cli, &out);
}

/* ---- site ---- */

enum cli_exit cli_site_init(struct cli *cli)
{
    json_t *answer = NULL;
    enum cli_exit code = cli_call(cli, "POST", "/leeward/site/init", NULL, &answer);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    buf_puts(&out, "Made a cluster with the site ");
    table_put(&out, false, TABLE_PLAIN, cli_text(answer, "Name"));
    buf_puts(&out, ". `leeward site token` lets others join.\n");
    return cli_print(cli, &out);
}

enum cli_exit cli_site_token(struct cli *cli)
{
    json_t *answer = NULL;
    const char *seconds = cli_option(cli, "seconds");
    json_t *body = json_object();
    if (seconds != NULL &&
        json_object_set_new(body, "ExpiresInSeconds",
                            json_integer((json_int_t)strtoll(seconds, NULL, 10))) != 0) {
        cli_complain(cli, "out of memory");
        return CLI_EXIT_FAILED;
    }
    enum cli_exit code = cli_call(cli, "POST", "/leeward/site/token", body, &answer);
    json_decref(body);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    if (cli_shows_json(cli, answer)) {
        return CLI_EXIT_OK;
    }
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    table_put(&out, false, TABLE_PLAIN, cli_text(answer, "Token"));
    buf_puts(&out, "\n");
    return cli_print(cli, &out);
}

enum cli_exit cli_site_join(struct cli *cli)
{
    const char *data = cli_option(cli, "data");
    const char *seal_key = cli_option(cli, "seal-key");
    const char *peer = cli_option(cli, "peer");
    const char *name = cli->line.arguments[1];
    struct err err = ERR_INIT;
    data = data != NULL ? data : DATA;
    seal_key = seal_key != NULL ? seal_key : arena_printf(cli->arena, "%s/seal.key", data);
    if (peer == NULL) {
        cli_complain(cli, "--peer ADDR:PORT is needed: where other sites reach this one");
        return CLI_EXIT_USAGE;
    }
    if (site_join(data, seal_key, cli->line.arguments[0], name, peer, &err) != 0) {
        cli_complain(cli, "%s", err.message);
        return err.kind == ERR_INVALID ? CLI_EXIT_USAGE : CLI_EXIT_FAILED;
    }
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    buf_printf(&out,
               "Joined as %s. Start leewardd with --site %s --peer %s and this data directory.\n",
               name, name, peer);
    return cli_print(cli, &out);
}

enum cli_exit cli_site_remove(struct cli *cli)
{
    static const struct cli_listing listing = {.path = "/leeward/site", .what = "site"};
    return cli_delete(cli, &listing);
}
