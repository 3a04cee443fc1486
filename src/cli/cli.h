/* The command line's inside: one table of commands (commands.c) says what there is; the parser, the
 * help and the dispatch read it. Private to this room.
 *
 * Everything a command touches outside itself is in struct cli_world, so that tests give another
 * one: output, environment, clock, and the call to the API. Thread: main. Memory: the arena of the
 * run, which cli_run owns. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "aws/client.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

/* The exit codes; X(name, number, help). */
#define CLI_EXITS(X)                                                                               \
    X(OK, 0, "done")                                                                               \
    X(FAILED, 1, "the request failed; the message says why")                                       \
    X(USAGE, 2, "the command line or a setting was wrong; nothing was sent")                       \
    X(UNREACHABLE, 3, "leewardd could not be reached")

enum cli_exit {
#define X(name, number, help) CLI_EXIT_##name = (number),
    CLI_EXITS(X)
#undef X
};

/* ---- the world ---- */

struct cli_world {
    FILE *out;
    FILE *err;
    bool terminal; /* out is one */
    struct wall now;
    /* NULL when it is not set. */
    const char *(*variable)(const char *name);
    /* aws_client_call, or a test's. */
    int (*call)(const struct aws_client_config *config, const char *service, const char *method,
                const char *target, const char *content_type, const void *body, size_t size,
                struct arena *arena, struct aws_client_response *ret_response, struct err *err);
};

/* The world of the process. */
struct cli_world cli_real_world(void);
/* argv[0] is skipped. The exit code. */
enum cli_exit cli_run(const struct cli_world *world, int argc, const char *const *argv) MUST_CHECK;

/* ---- the table of commands ---- */

struct cli_option {
    const char *name;  /* without the dashes */
    const char *value; /* what it takes, for the help; NULL: a switch */
    const char *help;
    const char *const *allowed; /* the values there are, NULL behind them; NULL: any */
};

struct cli_argument {
    const char *name;
    const char *help;
    const char *const *allowed; /* as above, in upper or lower case */
};

#define CLI_ARGUMENTS 2U
#define CLI_OPTIONS 3U

struct cli;

struct cli_command {
    const char *noun;
    const char *verb; /* NULL: the noun alone */
    const char *summary;
    struct cli_argument arguments[CLI_ARGUMENTS]; /* all required; ends at a NULL name */
    struct cli_option options[CLI_OPTIONS];       /* ends at a NULL name */
    enum cli_exit (*run)(struct cli *cli);
};

extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;
/* Options that every command takes; ends at a NULL name. */
extern const struct cli_option cli_common_options[];

/* ---- a run ---- */

#define CLI_VALUES 12U

/* What the command line said. */
struct cli_line {
    const struct cli_command *command; /* NULL: help or version alone */
    bool help;
    bool version;
    const char *help_noun; /* "help NOUN"; NULL: all */
    const char *arguments[CLI_ARGUMENTS];
    struct {
        const struct cli_option *option;
        const char *value; /* "" for a switch */
    } values[CLI_VALUES];
    size_t value_count;
};

struct cli {
    const struct cli_world *world;
    struct arena *arena;
    struct cli_line line;
};

/* ERR_INVALID says what was wrong and what there is instead. */
int cli_parse(int argc, const char *const *argv, struct cli_line *ret_line, struct err *err)
    MUST_CHECK;
/* The option's value; NULL when it was not given. */
const char *cli_option(const struct cli *cli, const char *name);
bool cli_switch(const struct cli *cli, const char *name);

/* noun NULL: everything. */
void cli_write_help(struct buf *out, const char *noun);

/* ---- the API (session.c) ---- */

/* Calls an operation of the leeward service; body may be NULL. *ret_answer (NULL is fine: no
 * answer is wanted) lives in the arena. On failure the message is on world->err already. */
enum cli_exit cli_call(struct cli *cli, const char *method, const char *target, const json_t *body,
                       json_t **ret_answer) MUST_CHECK;
/* Calls an operation of Route 53; body is XML, or NULL. As above. */
enum cli_exit cli_call_route53(struct cli *cli, const char *method, const char *target,
                               const struct buf *body, struct aws_client_response *ret_response)
    MUST_CHECK;
/* Whether the answer has the members that the command shows, as a format of json_unpack says it;
 * complains when it has not. */
bool cli_answer_has(struct cli *cli, json_t *answer, const char *format, ...) MUST_CHECK;
/* target with the text as its last path segment, encoded. */
const char *cli_target(struct cli *cli, const char *before, const char *text, const char *after);

/* ---- output (output.c) ---- */

/* For --json: indented, as the API gave it. */
void cli_print_json(struct cli *cli, const json_t *answer);
/* Whether --json was given: then it is printed, and all is done. */
bool cli_shows_json(struct cli *cli, const json_t *answer);
/* Writes what buf holds to world->out; CLI_EXIT_FAILED when that fails. */
enum cli_exit cli_print(struct cli *cli, const struct buf *text) MUST_CHECK;
/* "leeward: <message>" on world->err. */
void cli_complain(struct cli *cli, const char *format, ...) PRINTF(2, 3);
/* Whether colours are wanted: on a terminal, without NO_COLOR (https://no-color.org). */
bool cli_colours(const struct cli *cli);

/* A member as text ("" when absent), number (0) or truth (false). */
const char *cli_text(const json_t *object, const char *member);
long long cli_number(const json_t *object, const char *member);
bool cli_truth(const json_t *object, const char *member);
/* "a, b, c" */
const char *cli_join(struct arena *arena, const json_t *list);

/* "3 m 12 s": the two largest units, "less than 1 s" when short. */
const char *cli_duration(struct arena *arena, int64_t ns);
/* "3 m 12 s (since 2026-11-21T09:48:44Z)" of an ISO 8601 text; "" when there is none. */
const char *cli_since(struct cli *cli, const char *text);

/* ---- listing.c ---- */

/* Things that the API lists as an array "Keys" of objects, and deletes by the text that the command
 * line names: what they are called, and a column for each member. */
struct cli_listing {
    const char *path;
    const char *what;
    const char *const *members;
    const char *const *heads;
    size_t columns;
};

enum cli_exit cli_list(struct cli *cli, const struct cli_listing *listing);
enum cli_exit cli_delete(struct cli *cli, const struct cli_listing *listing);

/* ---- the nouns ---- */

enum cli_exit cli_status(struct cli *cli);
enum cli_exit cli_dig(struct cli *cli);
enum cli_exit cli_key_create(struct cli *cli);
enum cli_exit cli_key_list(struct cli *cli);
enum cli_exit cli_key_delete(struct cli *cli);
enum cli_exit cli_tsig_create(struct cli *cli);
enum cli_exit cli_tsig_list(struct cli *cli);
enum cli_exit cli_tsig_delete(struct cli *cli);
enum cli_exit cli_check_reset(struct cli *cli);
enum cli_exit cli_controls(struct cli *cli);
enum cli_exit cli_arc_explain(struct cli *cli);
enum cli_exit cli_db_list(struct cli *cli);
enum cli_exit cli_db_explain(struct cli *cli);
enum cli_exit cli_db_lost(struct cli *cli);
enum cli_exit cli_db_confirm(struct cli *cli);
enum cli_exit cli_sites(struct cli *cli);
enum cli_exit cli_site_init(struct cli *cli);
enum cli_exit cli_site_token(struct cli *cli);
enum cli_exit cli_site_join(struct cli *cli);
enum cli_exit cli_site_remove(struct cli *cli);
enum cli_exit cli_zone_import(struct cli *cli);

/* The candidates of an answer as a table, indented: for status and dig. */
void cli_write_candidates(struct cli *cli, struct buf *out, const json_t *explanation);

#endif
