/* `leeward db list|explain|lost-writes|confirm-fenced`: see cli.h. The first three ask the same
 * operation of a running daemon and show another part of its answer. Invariant: nothing is
 * confirmed of a lease that did not stand still for its length. */
#include "base/text.h"
#include "base/time.h"
#include "cli/cli.h"
#include "cli/table.h"

#include <time.h>

/* The databases, all or the one that is named; *ret_code says what went wrong when it is NULL. */
static json_t *ask(struct cli *cli, enum cli_exit *ret_code)
{
    json_t *answer = NULL;
    *ret_code = cli_call(cli, "GET", "/leeward/database", NULL, &answer);
    if (*ret_code != CLI_EXIT_OK) {
        return NULL;
    }
    if (!cli_answer_has(cli, answer, "{s:[]}", "Databases")) {
        *ret_code = CLI_EXIT_FAILED;
        return NULL;
    }
    return answer;
}

static bool is_wanted(const struct cli *cli, const json_t *database)
{
    const char *name = cli_option(cli, "name");
    return name == NULL || text_equal_nocase(name, cli_text(database, "Name")) ||
           text_equal(name, cli_text(database, "Id"));
}

static enum cli_exit nothing(struct cli *cli, const char *what)
{
    const char *name = cli_option(cli, "name");
    if (name != NULL) {
        cli_complain(cli, "there is no %s of the name %s", what, name);
        return CLI_EXIT_FAILED;
    }
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    buf_printf(&out, "There are no %ss.\n", what);
    return cli_print(cli, &out);
}

static const char *lag(struct cli *cli, const json_t *member)
{
    long long ms = cli_number(member, "LagMilliseconds");
    return ms < 0 ? "-" : cli_duration(cli->arena, ms * TIME_MS);
}

static void add_members(struct cli *cli, struct table *table, const json_t *database)
{
    const json_t *members = json_object_get(database, "Members");
    for (size_t i = 0; i < json_array_size(members); i++) {
        const json_t *member = json_array_get(members, i);
        const char *instance = cli_text(member, "Instance");
        const char *cells[] = {
            cli_text(database, "Name"),
            cli_text(database, "Phase"),
            cli_text(database, "Mode"),
            instance[0] != '\0' ? instance : "(keeps data)",
            cli_text(member, "Region"),
            arena_printf(cli->arena, "%s:%lld", cli_text(member, "Address"),
                         cli_number(member, "Port")),
            cli_text(member, "Condition"),
            lag(cli, member),
        };
        table_add(table, cells, NULL);
    }
}

enum cli_exit cli_db_list(struct cli *cli)
{
    static const char *const heads[] = {"DATABASE", "PHASE",   "MODE",      "SERVER",
                                        "REGION",   "ADDRESS", "CONDITION", "LAG"};
    enum cli_exit code = CLI_EXIT_OK;
    json_t *answer = ask(cli, &code);
    if (answer == NULL) {
        return code;
    }
    if (cli_shows_json(cli, answer)) {
        return CLI_EXIT_OK;
    }
    const json_t *databases = json_object_get(answer, "Databases");
    if (json_array_size(databases) == 0) {
        return nothing(cli, "database");
    }
    struct buf out CLEANUP(buf_done);
    struct table table;
    buf_init(&out, 0);
    table_init(&table, cli->arena, "", cli_colours(cli), ARRAY_SIZE(heads), heads);
    for (size_t i = 0; i < json_array_size(databases); i++) {
        add_members(cli, &table, json_array_get(databases, i));
    }
    table_write(&table, &out);
    return cli_print(cli, &out);
}

/* Sentences come from the API: control characters in them are replaced, line by line. */
static void put_lines(struct buf *out, const char *text)
{
    while (*text != '\0') {
        size_t length = 0;
        while (text[length] != '\0' && text[length] != '\n') {
            length++;
        }
        struct buf line CLEANUP(buf_done);
        buf_init(&line, 0);
        buf_put(&line, text, length);
        table_put(out, false, TABLE_PLAIN, buf_text(&line));
        buf_puts(out, "\n");
        text += length + (text[length] == '\n' ? 1 : 0);
    }
}

enum cli_exit cli_db_explain(struct cli *cli)
{
    enum cli_exit code = CLI_EXIT_OK;
    json_t *answer = ask(cli, &code);
    if (answer == NULL) {
        return code;
    }
    struct buf out CLEANUP(buf_done);
    const json_t *databases = json_object_get(answer, "Databases");
    buf_init(&out, 0);
    for (size_t i = 0; i < json_array_size(databases); i++) {
        const json_t *database = json_array_get(databases, i);
        if (is_wanted(cli, database)) {
            buf_puts(&out, out.length != 0 ? "\n" : "");
            put_lines(&out, cli_text(database, "Explanation"));
        }
    }
    return out.length != 0 ? cli_print(cli, &out) : nothing(cli, "database");
}

/* Where the lost transactions are. */
static const char *kept_in(const json_t *loss)
{
    const char *aside = cli_text(loss, "Aside");
    bool gone = aside[0] == '\0' && cli_number(loss, "Transactions") > 0;
    return gone ? "nowhere any more" : aside;
}

static void add_losses(struct cli *cli, struct table *table, const json_t *database)
{
    const json_t *losses = json_object_get(database, "Losses");
    for (size_t i = 0; i < json_array_size(losses); i++) {
        const json_t *loss = json_array_get(losses, i);
        bool exact = cli_truth(loss, "Exact");
        const char *cells[] = {
            cli_text(database, "Name"),
            cli_text(loss, "At"),
            cli_text(loss, "Writer"),
            cli_text(loss, "Successor"),
            arena_printf(cli->arena, "%lld", cli_number(loss, "Bytes")),
            exact ? arena_printf(cli->arena, "%lld", cli_number(loss, "Transactions"))
                  : "not known until it is back",
            arena_printf(cli->arena, "%s to %s", cli_text(loss, "Fork"), cli_text(loss, "End")),
            kept_in(loss),
        };
        table_add(table, cells, NULL);
    }
}

enum cli_exit cli_db_lost(struct cli *cli)
{
    static const char *const heads[] = {"DATABASE", "AT",           "WRITER", "SUCCESSOR",
                                        "BYTES",    "TRANSACTIONS", "LOG",    "KEPT IN"};
    enum cli_exit code = CLI_EXIT_OK;
    json_t *answer = ask(cli, &code);
    if (answer == NULL) {
        return code;
    }
    if (cli_shows_json(cli, answer)) {
        return CLI_EXIT_OK;
    }
    struct buf out CLEANUP(buf_done);
    struct table table;
    const json_t *databases = json_object_get(answer, "Databases");
    size_t count = 0;
    buf_init(&out, 0);
    table_init(&table, cli->arena, "", cli_colours(cli), ARRAY_SIZE(heads), heads);
    for (size_t i = 0; i < json_array_size(databases); i++) {
        const json_t *database = json_array_get(databases, i);
        if (is_wanted(cli, database)) {
            count += json_array_size(json_object_get(database, "Losses"));
            add_losses(cli, &table, database);
        }
    }
    if (count == 0) {
        buf_puts(&out, "No failover lost anything.\n");
        return cli_print(cli, &out);
    }
    table_write(&table, &out);
    buf_puts(&out,
             "What is kept is on the old writer's machine, for database.aside-days (30 unless "
             "set there).\n");
    return cli_print(cli, &out);
}

/* ---- confirm-fenced ---- */

static const json_t *find(const json_t *answer, const char *name)
{
    const json_t *databases = json_object_get(answer, "Databases");
    for (size_t i = 0; i < json_array_size(databases); i++) {
        const json_t *database = json_array_get(databases, i);
        if (text_equal_nocase(name, cli_text(database, "Name")) ||
            text_equal(name, cli_text(database, "Id"))) {
            return database;
        }
    }
    return NULL;
}

/* A tenth longer, for clocks that run at different speeds. */
static void wait_for_lease(int64_t length_ms)
{
    struct mono until = mono_from_now(length_ms * 11 / 10 * TIME_MS);
    for (int64_t left = mono_since(until, mono_now()); left > 0;
         left = mono_since(until, mono_now())) {
        const struct timespec pause = {.tv_sec = left / TIME_S, .tv_nsec = left % TIME_S};
        (void)nanosleep(&pause, NULL); /* early: again */
    }
}

enum cli_exit cli_db_confirm(struct cli *cli)
{
    const char *name = cli->line.arguments[0];
    enum cli_exit code = CLI_EXIT_OK;
    json_t *answer = ask(cli, &code);
    if (answer == NULL) {
        return code;
    }
    const json_t *database = find(answer, name);
    if (database == NULL) {
        cli_complain(cli, "there is no database of the name %s", name);
        return CLI_EXIT_FAILED;
    }
    if (!cli_truth(database, "Unfenced")) {
        cli_complain(cli, "nobody waits for it: the writer of %s ends by itself, or has ended",
                     name);
        return CLI_EXIT_FAILED;
    }
    wait_for_lease(cli_number(database, "LeaseMilliseconds"));
    const char *target =
        arena_printf(cli->arena, "/leeward/database/%s/confirm-fenced", cli_text(database, "Id"));
    json_t *body =
        json_pack("{s:I}", "LeaseRevision", (json_int_t)cli_number(database, "LeaseRevision"));
    code = cli_call(cli, "POST", target, body, NULL);
    json_decref(body);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    buf_printf(&out,
               "It is recorded that the server of %s does not write: another one is sought.\n",
               cli_text(database, "Writer"));
    return cli_print(cli, &out);
}
