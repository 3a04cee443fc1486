/* From words to a command, by the table of commands.c; see cli.h. Called by cli_run. Invariant: a
 * line that parses has its command, all its arguments, and only options that the command knows. */
#include "base/text.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const struct cli_command *find_command(const char *noun, const char *verb)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *command = &cli_commands[i];
        if (text_equal(command->noun, noun) &&
            (command->verb == NULL || (verb != NULL && text_equal(command->verb, verb)))) {
            return command;
        }
    }
    return NULL;
}

static bool noun_exists(const char *noun)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        if (text_equal(cli_commands[i].noun, noun)) {
            return true;
        }
    }
    return false;
}

/* "create, list or delete" of a noun; of all nouns when it is NULL. */
static void list_words(const char *noun, char *out, size_t size)
{
    size_t used = 0;
    const char *last = "";
    out[0] = '\0';
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *command = &cli_commands[i];
        const char *word = noun == NULL ? command->noun : command->verb;
        if ((noun != NULL && !text_equal(command->noun, noun)) || text_equal(word, last)) {
            continue;
        }
        int length = snprintf(out + used, size - used, "%s%s", used != 0 ? ", " : "", word);
        used = MIN(used + (size_t)MAX(length, 0), size - 1); /* cut when too long */
        last = word;
    }
}

static const struct cli_option *find_option(const struct cli_command *command, const char *name,
                                            size_t length)
{
    for (const struct cli_option *option = cli_common_options; option->name != NULL; option++) {
        if (strlen(option->name) == length && memcmp(option->name, name, length) == 0) {
            return option;
        }
    }
    for (size_t i = 0; command != NULL && i < CLI_OPTIONS; i++) {
        const struct cli_option *option = &command->options[i];
        if (option->name != NULL && strlen(option->name) == length &&
            memcmp(option->name, name, length) == 0) {
            return option;
        }
    }
    return NULL;
}

/* The words that are no options, and the options with their values, still unjudged. */
struct words {
    const char *plain[CLI_ARGUMENTS + 3];
    size_t plain_count;
    bool too_many;
};

/* Options may stand before the noun, so their names are looked up twice: here in every command, to
 * know whether a value follows, and later in the command itself. */
static const struct cli_option *find_anywhere(const char *name, size_t length)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_option *option = find_option(&cli_commands[i], name, length);
        if (option != NULL) {
            return option;
        }
    }
    return NULL;
}

/* "a, b, c" */
static void list_allowed(const char *const *allowed, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; allowed[i] != NULL && used < size; i++) {
        int length = snprintf(out + used, size - used, "%s%s", i != 0 ? ", " : "", allowed[i]);
        used += length > 0 ? (size_t)length : 0; /* beyond size when it was cut */
    }
}

static int check_value(const char *const *allowed, const char *name, const char *value, bool nocase,
                       struct err *err)
{
    for (size_t i = 0; allowed != NULL && allowed[i] != NULL; i++) {
        if (nocase ? text_equal_nocase(allowed[i], value) : text_equal(allowed[i], value)) {
            return 0;
        }
    }
    if (allowed == NULL) {
        return 0;
    }
    char words[128];
    list_allowed(allowed, words, sizeof words);
    return err_set(err, ERR_INVALID, "%s cannot be '%.32s': it is one of %s", name, value, words);
}

static int add_option(int argc, const char *const *argv, int *at, struct cli_line *line,
                      struct err *err)
{
    const char *name = argv[*at] + 2;
    size_t length = strcspn(name, "=");
    const struct cli_option *option = find_anywhere(name, length);
    if (text_equal(name, "version")) {
        line->version = true;
        return 0;
    }
    if (option == NULL) {
        return err_set(err, ERR_INVALID, "unknown option --%.*s (`leeward help` lists them)",
                       (int)MIN(length, 64U), name);
    }
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    if (option->value == NULL) {
        if (value != NULL) {
            return err_set(err, ERR_INVALID, "--%s takes no value", option->name);
        }
        value = "";
    } else if (value == NULL) {
        if (*at + 1 >= argc) {
            return err_set(err, ERR_INVALID, "--%s needs a value: --%s %s", option->name,
                           option->name, option->value);
        }
        value = argv[++*at];
    }
    if (text_equal(option->name, "help")) {
        line->help = true;
        return 0;
    }
    if (line->value_count == CLI_VALUES) {
        return err_set(err, ERR_INVALID, "too many options");
    }
    line->values[line->value_count].option = option;
    line->values[line->value_count++].value = value;
    return 0;
}

static int split(int argc, const char *const *argv, struct words *words, struct cli_line *line,
                 struct err *err)
{
    bool options_end = false;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (!options_end && text_equal(word, "--")) {
            options_end = true;
        } else if (!options_end && text_equal(word, "-h")) {
            line->help = true;
        } else if (!options_end && text_starts(word, "--")) {
            int rc = add_option(argc, argv, &i, line, err);
            if (rc != 0) {
                return rc;
            }
        } else if (!options_end && word[0] == '-' && word[1] != '\0') {
            return err_set(err, ERR_INVALID, "unknown option %.64s (`leeward help` lists them)",
                           word);
        } else if (words->plain_count == ARRAY_SIZE(words->plain)) {
            words->too_many = true;
        } else {
            words->plain[words->plain_count++] = word;
        }
    }
    return 0;
}

static int take_arguments(const struct words *words, size_t first, struct cli_line *line,
                          struct err *err)
{
    const struct cli_command *command = line->command;
    const char *verb = command->verb != NULL ? command->verb : "";
    const char *blank = command->verb != NULL ? " " : "";
    size_t at = first;
    for (size_t i = 0; i < CLI_ARGUMENTS && command->arguments[i].name != NULL; i++) {
        if (at >= words->plain_count) {
            return err_set(err, ERR_INVALID, "`leeward %s%s%s` needs %s: %s", command->noun, blank,
                           verb, command->arguments[i].name, command->arguments[i].help);
        }
        line->arguments[i] = words->plain[at++];
        int rc = check_value(command->arguments[i].allowed, command->arguments[i].name,
                             line->arguments[i], true, err);
        if (rc != 0) {
            return rc;
        }
    }
    if (at < words->plain_count || words->too_many) {
        return err_set(err, ERR_INVALID, "`leeward %s%s%s` does not take '%.64s'", command->noun,
                       blank, verb, words->plain[MIN(at, words->plain_count - 1)]);
    }
    return 0;
}

static int check_options(const struct cli_line *line, struct err *err)
{
    const struct cli_command *command = line->command;
    for (size_t i = 0; i < line->value_count; i++) {
        const char *name = line->values[i].option->name;
        char shown[32];
        if (find_option(command, name, strlen(name)) == NULL) {
            return err_set(err, ERR_INVALID, "`leeward %s%s%s` has no option --%s", command->noun,
                           command->verb != NULL ? " " : "",
                           command->verb != NULL ? command->verb : "", name);
        }
        (void)snprintf(shown, sizeof shown, "--%s", name); /* fits: names are ours */
        int rc =
            check_value(line->values[i].option->allowed, shown, line->values[i].value, false, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int find_noun(const char *noun, struct err *err)
{
    if (noun_exists(noun)) {
        return 0;
    }
    char words[128];
    list_words(NULL, words, sizeof words);
    return err_set(err, ERR_INVALID, "unknown command '%.64s': there are %s and help", noun, words);
}

static int find_help(const struct words *words, struct cli_line *line, struct err *err)
{
    size_t first = words->plain_count != 0 && text_equal(words->plain[0], "help") ? 1 : 0;
    line->help = true;
    if (words->plain_count > first) {
        line->help_noun = words->plain[first];
        return find_noun(line->help_noun, err);
    }
    return 0;
}

int cli_parse(int argc, const char *const *argv, struct cli_line *ret_line, struct err *err)
{
    struct cli_line line = {0};
    struct words words = {0};
    int rc = split(argc, argv, &words, &line, err);
    if (rc != 0) {
        return rc;
    }
    if (line.version) {
        *ret_line = line;
        return 0;
    }
    if (line.help || words.plain_count == 0 || text_equal(words.plain[0], "help")) {
        bool asked = line.help || words.plain_count != 0;
        rc = asked ? find_help(&words, &line, err)
                   : err_set(err, ERR_INVALID, "what should it do? (`leeward help` lists it)");
        *ret_line = line;
        return rc;
    }
    const char *noun = words.plain[0];
    const char *verb = words.plain_count > 1 ? words.plain[1] : NULL;
    rc = find_noun(noun, err);
    line.command = find_command(noun, verb);
    if (rc == 0 && line.command == NULL) {
        char verbs[128];
        list_words(noun, verbs, sizeof verbs);
        rc = verb == NULL
                 ? err_set(err, ERR_INVALID, "`leeward %s` needs one of: %s", noun, verbs)
                 : err_set(err, ERR_INVALID, "unknown command '%s %.64s': `leeward %s` knows %s",
                           noun, verb, noun, verbs);
    }
    if (rc == 0 && line.command != NULL) {
        rc = take_arguments(&words, line.command->verb != NULL ? 2 : 1, &line, err);
    }
    if (rc == 0) {
        rc = check_options(&line, err);
    }
    *ret_line = line;
    return rc;
}

const char *cli_option(const struct cli *cli, const char *name)
{
    const char *value = NULL; /* the last one counts */
    for (size_t i = 0; i < cli->line.value_count; i++) {
        if (text_equal(cli->line.values[i].option->name, name)) {
            value = cli->line.values[i].value;
        }
    }
    return value;
}

bool cli_switch(const struct cli *cli, const char *name)
{
    return cli_option(cli, name) != NULL;
}
