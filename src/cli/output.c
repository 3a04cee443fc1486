/* What every noun writes with: texts out of JSON, durations, messages; see cli.h. Called on the
 * main thread. Invariant: texts from the API reach the terminal only through table_put. */
#include "base/text.h"
#include "cli/cli.h"
#include "cli/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void cli_complain(struct cli *cli, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args); /* cut when too long */
    va_end(args);
    struct buf line CLEANUP(buf_done);
    buf_init(&line, 0);
    buf_puts(&line, "leeward: ");
    table_put(&line, false, TABLE_PLAIN, message);
    (void)fprintf(cli->world->err, "%s\n", buf_text(&line)); /* nowhere else to say it */
}

enum cli_exit cli_print(struct cli *cli, const struct buf *text)
{
    if (buf_failed(text)) {
        cli_complain(cli, "out of memory for the output");
        return CLI_EXIT_FAILED;
    }
    if (fwrite(buf_text(text), 1, text->length, cli->world->out) != text->length ||
        fflush(cli->world->out) != 0) {
        char reason[128];
        cli_complain(cli, "cannot write the output: %s", strerror_r(errno, reason, sizeof reason));
        return CLI_EXIT_FAILED;
    }
    return CLI_EXIT_OK;
}

void cli_print_json(struct cli *cli, const json_t *answer)
{
    /* Programs read it, so nothing is cleaned; JSON itself escapes control characters. */
    if (json_dumpf(answer, cli->world->out, JSON_INDENT(2)) == 0) {
        (void)fputc('\n', cli->world->out); /* cli_run looks at the stream's error */
    }
}

bool cli_shows_json(struct cli *cli, const json_t *answer)
{
    bool shows = cli_switch(cli, "json");
    if (shows) {
        cli_print_json(cli, answer);
    }
    return shows;
}

bool cli_colours(const struct cli *cli)
{
    return cli->world->terminal && text_empty(cli->world->variable("NO_COLOR"));
}

const char *cli_text(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text != NULL ? text : "";
}

long long cli_number(const json_t *object, const char *member)
{
    return (long long)json_integer_value(json_object_get(object, member));
}

bool cli_truth(const json_t *object, const char *member)
{
    return json_is_true(json_object_get(object, member));
}

const char *cli_join(struct arena *arena, const json_t *list)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 0);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *item = json_string_value(json_array_get(list, i));
        buf_printf(&text, "%s%s", i != 0 ? ", " : "", item != NULL ? item : "");
    }
    return arena_strdup(arena, buf_text(&text));
}

const char *cli_duration(struct arena *arena, int64_t ns)
{
    long long seconds = ns / TIME_S;
    if (seconds < 1) {
        return "less than 1 s";
    }
    if (seconds < 60) {
        return arena_printf(arena, "%lld s", seconds);
    }
    if (seconds < 3600) {
        return arena_printf(arena, "%lld m %lld s", seconds / 60, seconds % 60);
    }
    if (seconds < 86400) {
        return arena_printf(arena, "%lld h %lld m", seconds / 3600, seconds / 60 % 60);
    }
    return arena_printf(arena, "%lld d %lld h", seconds / 86400, seconds / 3600 % 24);
}

const char *cli_since(struct cli *cli, const char *text)
{
    struct wall when;
    char absolute[TIME_TEXT];
    if (*text == '\0' || wall_parse(text, &when) != 0) {
        return "";
    }
    wall_format(when, absolute);
    return arena_printf(cli->arena, "%s (since %s)",
                        cli_duration(cli->arena, cli->world->now.ns - when.ns), absolute);
}
