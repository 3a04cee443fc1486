/* Configuration: see config.h; the settings themselves are in options.h. Called by main and at
 * SIGHUP, on the main thread; owns its strings. Invariant: every option of a loaded config is
 * within its bounds. */
#include "daemon/config.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <libfyaml.h>

#define CONFIG_LIST_LIMIT 64U
#define CONFIG_FILE_LIMIT (1U << 20U)

enum option_kind { OPTION_TEXT, OPTION_LIST, OPTION_NUMBER, OPTION_FLAG };

struct option {
    const char *name;  /* in the file */
    const char *flag;  /* on the command line, without -- */
    const char *value; /* what --help calls its value */
    const char *help;
    const char *initial;
    enum option_kind kind;
    size_t offset;
    int64_t low;
    int64_t high;
    bool reloadable;
};

#define TEXT_OF(x) #x
#define TEXT(member, name, flag, value, initial, reloadable, help)                                 \
    {name, flag, value,     help, initial, OPTION_TEXT, offsetof(struct config, member),           \
     0,    0,    reloadable},
#define LIST(member, name, flag, value, initial, reloadable, help)                                 \
    {name, flag, value,     help, initial, OPTION_LIST, offsetof(struct config, member),           \
     0,    0,    reloadable},
#define NUMBER(member, name, flag, initial, low, high, reloadable, help)                           \
    {                                                                                              \
        name,                                                                                      \
        flag,                                                                                      \
        "N",                                                                                       \
        help,                                                                                      \
        TEXT_OF(initial),                                                                          \
        OPTION_NUMBER,                                                                             \
        offsetof(struct config, member),                                                           \
        low,                                                                                       \
        high,                                                                                      \
        reloadable},
#define FLAG(member, name, flag, initial, reloadable, help)                                        \
    {name,                                                                                         \
     flag,                                                                                         \
     "yes|no",                                                                                     \
     help,                                                                                         \
     (initial) ? "yes" : "no",                                                                     \
     OPTION_FLAG,                                                                                  \
     offsetof(struct config, member),                                                              \
     0,                                                                                            \
     0,                                                                                            \
     reloadable},

static const struct option options[] = {CONFIG_OPTIONS(TEXT, LIST, NUMBER, FLAG)};

/* The config and the memory behind it. */
struct loaded {
    struct config config;
    struct arena arena;
    const char *path; /* of the file; NULL without one */
    /* Where the file sets each option; 0: it does not, or a flag does. */
    int lines[ARRAY_SIZE(options)];
};

static struct loaded *loaded_of(struct config *config)
{
    return CONTAINER_OF(config, struct loaded, config);
}

static void *member_of(struct config *config, const struct option *option)
{
    return (char *)config + option->offset;
}

static const void *member_of_const(const struct config *config, const struct option *option)
{
    return (const char *)config + option->offset;
}

/* ---- setting one option ---- */

static int set_number(void *member, const struct option *option, const char *text, struct err *err)
{
    int64_t value = 0;
    if (text_to_i64(text, option->low, option->high, &value) != 0) {
        return err_set(err, ERR_INVALID, "%s: '%s' is not a number from %" PRId64 " to %" PRId64,
                       option->name, text, option->low, option->high);
    }
    *(int64_t *)member = value;
    return 0;
}

static int set_flag(void *member, const struct option *option, const char *text, struct err *err)
{
    bool yes = text_equal(text, "yes") || text_equal(text, "true");
    if (!yes && !text_equal(text, "no") && !text_equal(text, "false")) {
        return err_set(err, ERR_INVALID, "%s: '%s' is neither yes nor no", option->name, text);
    }
    *(bool *)member = yes;
    return 0;
}

static int append(struct loaded *loaded, struct config_list *list, const struct option *option,
                  const char *text, struct err *err)
{
    if (list->count == CONFIG_LIST_LIMIT) {
        return err_set(err, ERR_LIMIT, "%s: more than %u values", option->name, CONFIG_LIST_LIMIT);
    }
    if (list->items == NULL) {
        list->items = arena_array(&loaded->arena, CONFIG_LIST_LIMIT, sizeof *list->items);
    }
    list->items[list->count++] = arena_strdup(&loaded->arena, text);
    return 0;
}

static int set_option(struct loaded *loaded, const struct option *option, const char *text,
                      struct err *err)
{
    void *member = member_of(&loaded->config, option);
    switch (option->kind) {
    case OPTION_TEXT:
        *(const char **)member = arena_strdup(&loaded->arena, text);
        return 0;
    case OPTION_LIST:
        return append(loaded, member, option, text, err);
    case OPTION_NUMBER:
        return set_number(member, option, text, err);
    case OPTION_FLAG:
        return set_flag(member, option, text, err);
    }
    return err_set(err, ERR_INTERNAL, "%s: unknown kind of option", option->name);
}

static void clear_list(struct loaded *loaded, const struct option *option)
{
    if (option->kind == OPTION_LIST) {
        ((struct config_list *)member_of(&loaded->config, option))->count = 0;
    }
}

static int set_default(struct loaded *loaded, const struct option *option, struct err *err)
{
    if (option->kind != OPTION_LIST) {
        return set_option(loaded, option, option->initial, err);
    }
    for (const char *at = option->initial; *at != '\0';) {
        size_t length = strcspn(at, ",");
        const char *item = arena_memdup(&loaded->arena, at, length);
        int rc = set_option(loaded, option, item, err);
        if (rc != 0) {
            return rc;
        }
        at += length;
        at += strspn(at, ", ");
    }
    return 0;
}

/* ---- the file ---- */

static const struct option *find_by_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        if (text_equal(options[i].name, name)) {
            return &options[i];
        }
    }
    return NULL;
}

static bool is_section(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        if (strncmp(options[i].name, name, length) == 0 && options[i].name[length] == '.') {
            return true;
        }
    }
    return false;
}

static int line_of(struct fy_node *node)
{
    struct fy_token *token = fy_node_is_scalar(node) ? fy_node_get_scalar_token(node) : NULL;
    const struct fy_mark *mark = token != NULL ? fy_token_start_mark(token) : NULL;
    return mark != NULL ? mark->line + 1 : 0;
}

static int set_scalar(struct loaded *loaded, const struct option *option, struct fy_node *node,
                      struct err *err)
{
    size_t length = 0;
    const char *text = fy_node_is_scalar(node) ? fy_node_get_scalar(node, &length) : NULL;
    if (text == NULL) {
        return err_set(err, ERR_INVALID, "line %d: %s: one plain value expected",
                       loaded->lines[option - options], option->name);
    }
    int rc = set_option(loaded, option, arena_memdup(&loaded->arena, text, length), err);
    return rc != 0 ? err_wrap(err, "line %d", line_of(node)) : 0;
}

static int set_from_node(struct loaded *loaded, const struct option *option, struct fy_node *node,
                         struct err *err)
{
    clear_list(loaded, option);
    if (option->kind != OPTION_LIST || !fy_node_is_sequence(node)) {
        return set_scalar(loaded, option, node, err);
    }
    void *position = NULL;
    for (struct fy_node *item = fy_node_sequence_iterate(node, &position); item != NULL;
         item = fy_node_sequence_iterate(node, &position)) {
        int rc = set_scalar(loaded, option, item, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* One level of the file: "" at the top, else the name of the section, which begins at the line. A
 * section holds no sections. */
static int read_mapping(struct loaded *loaded, struct fy_node *mapping, const char *section,
                        int line, struct err *err)
{
    if (!fy_node_is_mapping(mapping)) {
        return err_set(err, ERR_INVALID, "line %d: %s: 'name: value' lines expected", line,
                       section[0] != '\0' ? section : "the file");
    }
    void *position = NULL;
    for (struct fy_node_pair *pair = fy_node_mapping_iterate(mapping, &position); pair != NULL;
         pair = fy_node_mapping_iterate(mapping, &position)) {
        size_t length = 0;
        const char *key = fy_node_get_scalar(fy_node_pair_key(pair), &length);
        const char *name =
            arena_printf(&loaded->arena, "%s%s%.*s", section, section[0] != '\0' ? "." : "",
                         (int)length, key != NULL ? key : "");
        const struct option *option = find_by_name(name);
        int rc = 0;
        if (option != NULL) {
            loaded->lines[option - options] = line_of(fy_node_pair_key(pair));
            rc = set_from_node(loaded, option, fy_node_pair_value(pair), err);
        } else if (section[0] == '\0' && is_section(name)) {
            /* NOLINTNEXTLINE(misc-no-recursion): one level */
            rc = read_mapping(loaded, fy_node_pair_value(pair), name,
                              line_of(fy_node_pair_key(pair)), err);
        } else {
            rc = err_set(err, ERR_INVALID,
                         "line %d: unknown option '%s' (leewardd --help lists them)",
                         line_of(fy_node_pair_key(pair)), name);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static void destroy_parser(struct fy_parser **parser)
{
    fy_parser_destroy(*parser); /* NULL is fine */
}

static void destroy_document(struct fy_document **document)
{
    fy_document_destroy(*document); /* NULL is fine */
}

static void destroy_diag(struct fy_diag **diag)
{
    fy_diag_destroy(*diag); /* NULL is fine */
}

/* libfyaml's complaint, into a buffer: see malformed. */
static void collect_complaint(struct fy_diag *diag, void *user, const char *text, size_t length)
{
    (void)diag;
    buf_put(user, text, length);
}

/* The first complaint, "<memory-@...>:2:1: error: why", as "line 2: why". */
static int malformed(const char *path, const char *complaint, struct err *err)
{
    static const char mark[] = "error: ";
    const char *line = strstr(complaint, ">:");
    line = line != NULL ? line + 2 : "";
    const char *reason = strstr(line, mark);
    reason = reason != NULL ? reason + strlen(mark) : complaint;
    return err_set(err, ERR_INVALID, "config file %s: line %.*s: not well-formed YAML: %.*s", path,
                   (int)strcspn(line, ":"), line, (int)strcspn(reason, "\n"), reason);
}

static int read_text(const char *path, struct buf *text, struct err *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return err_set_errno(err, errno, "config file %s", path);
    }
    char chunk[4096];
    for (size_t got = fread(chunk, 1, sizeof chunk, file); got != 0;
         got = fread(chunk, 1, sizeof chunk, file)) {
        buf_put(text, chunk, got);
    }
    bool failed = ferror(file) != 0;
    (void)fclose(file); /* only read from */
    if (failed || buf_failed(text)) {
        return err_set(err, ERR_IO, "config file %s: cannot be read, or is larger than %u bytes",
                       path, CONFIG_FILE_LIMIT);
    }
    return 0;
}

/* Nothing but blank lines and comments. */
static bool is_blank(const char *text)
{
    for (const char *at = text + strspn(text, " \t\r\n"); *at != '\0';
         at += strspn(at, " \t\r\n")) {
        if (*at != '#') {
            return false;
        }
        at += strcspn(at, "\n");
    }
    return true;
}

static int read_file(struct loaded *loaded, const char *path, struct err *err)
{
    struct buf text CLEANUP(buf_done);
    struct buf complaint CLEANUP(buf_done);
    buf_init(&text, CONFIG_FILE_LIMIT);
    buf_init(&complaint, CONFIG_FILE_LIMIT);
    loaded->path = path;
    int rc = read_text(path, &text, err);
    if (rc != 0 || is_blank(buf_text(&text))) {
        return rc;
    }
    struct fy_diag_cfg diag_config = {.output_fn = collect_complaint,
                                      .user = &complaint,
                                      .level = FYET_ERROR,
                                      .module_mask = ~0U,
                                      .show_position = true};
    struct fy_diag *diag CLEANUP(destroy_diag) = fy_diag_create(&diag_config);
    struct fy_parse_cfg parse = {.flags = FYPCF_DEFAULT_DOC, .diag = diag};
    struct fy_parser *parser CLEANUP(destroy_parser) = fy_parser_create(&parse);
    if (parser == NULL || fy_parser_set_string(parser, buf_text(&text), text.length) != 0) {
        return err_set(err, ERR_MEMORY, "config file %s", path);
    }
    struct fy_document *document CLEANUP(destroy_document) = fy_parse_load_document(parser);
    struct fy_document *second CLEANUP(destroy_document) =
        document != NULL ? fy_parse_load_document(parser) : NULL;
    if (document == NULL || fy_parser_get_stream_error(parser)) {
        return malformed(path, buf_text(&complaint), err);
    }
    if (second != NULL) {
        return err_set(err, ERR_INVALID,
                       "config file %s: a second YAML document begins behind '---': there can be "
                       "one only",
                       path);
    }
    struct fy_node *root = fy_document_root(document);
    rc = root != NULL ? read_mapping(loaded, root, "", 1, err) : 0;
    return rc != 0 ? err_wrap(err, "config file %s", path) : 0;
}

/* ---- the command line ---- */

static const struct option *find_by_flag(const char *flag, size_t length)
{
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        if (strlen(options[i].flag) == length && strncmp(options[i].flag, flag, length) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

/* One flag at argv[*at]: "--name value" or "--name=value". Moves *at to the last word it took. */
static int read_flag(int argc, char *const *argv, int *at, const char **ret_name,
                     size_t *ret_length, const char **ret_value, struct err *err)
{
    const char *word = argv[*at];
    if (!text_starts(word, "--") || word[2] == '\0') {
        return err_set(err, ERR_INVALID, "unexpected argument '%s' (see leewardd --help)", word);
    }
    *ret_name = word + 2;
    *ret_length = strcspn(word + 2, "=");
    if ((*ret_name)[*ret_length] == '=') {
        *ret_value = *ret_name + *ret_length + 1;
    } else if (*at + 1 < argc) {
        *ret_value = argv[++*at];
    } else {
        *ret_value = NULL;
    }
    return 0;
}

static bool is_flag(const char *name, size_t length, const char *wanted)
{
    return strlen(wanted) == length && strncmp(name, wanted, length) == 0;
}

static int apply_flags(struct loaded *loaded, int argc, char *const *argv, bool file_only,
                       struct err *err)
{
    bool seen[ARRAY_SIZE(options)] = {false};
    for (int i = 1; i < argc; i++) {
        const char *name = "";
        const char *value = NULL;
        size_t length = 0;
        int rc = read_flag(argc, argv, &i, &name, &length, &value, err);
        if (rc != 0) {
            return rc;
        }
        bool config = is_flag(name, length, "config");
        const struct option *option = config ? NULL : find_by_flag(name, length);
        if (!config && option == NULL) {
            return err_set(err, ERR_INVALID, "unknown option --%.*s (see leewardd --help)",
                           (int)length, name);
        }
        if (value == NULL) {
            return err_set(err, ERR_INVALID, "--%.*s needs a value", (int)length, name);
        }
        if (config) {
            rc = file_only ? read_file(loaded, value, err) : 0;
        } else if (!file_only) {
            size_t index = (size_t)(option - options);
            if (!seen[index]) {
                clear_list(loaded, option);
            }
            seen[index] = true;
            loaded->lines[index] = 0;
            rc = set_option(loaded, option, value, err);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* Says where the file sets the option that the message begins with. */
static void add_place(const struct loaded *loaded, struct err *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        size_t length = strlen(options[i].name);
        if (loaded->lines[i] != 0 && strncmp(err->message, options[i].name, length) == 0 &&
            strchr(": ", err->message[length]) != NULL) {
            (void)err_wrap(err, "config file %s: line %d", loaded->path, loaded->lines[i]);
            return;
        }
    }
}

int config_load(int argc, char *const *argv, enum config_action *ret_action,
                struct config **ret_config, struct err *err)
{
    *ret_action = CONFIG_RUN;
    for (int i = 1; i < argc; i++) {
        if (text_equal(argv[i], "--help") || text_equal(argv[i], "-h")) {
            *ret_action = CONFIG_HELP;
            return 0;
        }
        if (text_equal(argv[i], "--version") || text_equal(argv[i], "--reference")) {
            *ret_action = text_equal(argv[i], "--version") ? CONFIG_VERSION : CONFIG_REFERENCE;
            return 0;
        }
    }
    struct loaded *loaded = memory_new(sizeof *loaded);
    arena_init(&loaded->arena, 0);
    int rc = 0;
    for (size_t i = 0; i < ARRAY_SIZE(options) && rc == 0; i++) {
        rc = set_default(loaded, &options[i], err);
    }
    rc = rc != 0 ? rc : apply_flags(loaded, argc, argv, true, err);
    rc = rc != 0 ? rc : apply_flags(loaded, argc, argv, false, err);
    if (rc == 0) {
        rc = config_check(&loaded->config, err);
        if (rc != 0) {
            add_place(loaded, err);
        }
    }
    if (rc != 0) {
        config_free(&loaded->config);
        return rc;
    }
    *ret_config = &loaded->config;
    return 0;
}

void config_free(struct config *take_config)
{
    if (take_config != NULL) {
        struct loaded *loaded = loaded_of(take_config);
        arena_done(&loaded->arena);
        free(loaded);
    }
}

void config_cleanup(struct config **config)
{
    config_free(*config);
}

/* ---- comparing and printing ---- */

static bool same_list(const struct config_list *a, const struct config_list *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        same = text_equal(a->items[i], b->items[i]);
    }
    return same;
}

static bool same_option(const struct config *a, const struct config *b, const struct option *option)
{
    const void *left = member_of_const(a, option);
    const void *right = member_of_const(b, option);
    switch (option->kind) {
    case OPTION_TEXT:
        return text_equal(*(const char *const *)left, *(const char *const *)right);
    case OPTION_LIST:
        return same_list(left, right);
    case OPTION_NUMBER:
        return *(const int64_t *)left == *(const int64_t *)right;
    case OPTION_FLAG:
        return *(const bool *)left == *(const bool *)right;
    }
    return false;
}

void config_pending_restart(const struct config *running, const struct config *loaded, char *out,
                            size_t size)
{
    struct buf names CLEANUP(buf_done);
    buf_init(&names, size - 1);
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        if (!options[i].reloadable && !same_option(running, loaded, &options[i])) {
            buf_printf(&names, "%s%s", names.length != 0 ? ", " : "", options[i].name);
        }
    }
    IGNORE_RESULT(text_copy(out, size, buf_text(&names))); /* the buffer's limit is the size */
}

void config_print_help(FILE *out)
{
    (void)fputs(
        "usage: leewardd [--config FILE] [--OPTION VALUE]...\n\n"
        "Keeps a service reachable when a whole region goes down: health-checked DNS and the\n"
        "AWS APIs to steer it. Options override the file; those marked ... may be repeated.\n\n"
        "  --config FILE\n      YAML file with the names in brackets; SIGHUP reads it again\n",
        out); /* a closed stdout is the caller's choice */
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        const struct option *option = &options[i];
        (void)fprintf(out, "  --%s %s%s  [%s]\n      %s", option->flag, option->value,
                      option->kind == OPTION_LIST ? "..." : "", option->name, option->help);
        if (option->kind == OPTION_NUMBER) {
            (void)fprintf(out, " (%" PRId64 " to %" PRId64 ")", option->low, option->high);
        }
        if (option->initial[0] != '\0') {
            (void)fprintf(out, "; default %s", option->initial);
        }
        (void)fputs(option->reloadable ? "; read again at SIGHUP\n" : "\n", out);
    }
    (void)fputs(
        "  --version\n  --reference\n      the options as a Markdown page\n\n"
        "The first start makes an admin key and prints it once. With LEEWARD_ACCESS_KEY_ID and\n"
        "LEEWARD_SECRET_ACCESS_KEY in the environment it uses those instead.\n"
        "SIGTERM stops it. `ready` on standard output: API and DNS answer.\n",
        out);
}

void config_print_reference(FILE *out)
{
    (void)fputs("# Configuration of leewardd\n\n"
                "Made by `make docs` out of `src/daemon/options.h`. Flags override the file that "
                "`--config` names.\n\n"
                "| in the file | flag | default | range | read again at SIGHUP | meaning |\n"
                "|---|---|---|---|---|---|\n",
                out); /* a closed stdout is the caller's choice */
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        const struct option *option = &options[i];
        char range[64] = "";
        if (option->kind == OPTION_NUMBER) {
            (void)snprintf(range, sizeof range, "%" PRId64 " to %" PRId64, option->low, /* fits */
                           option->high);
        }
        (void)fprintf(out, "| `%s` | `--%s %s`%s | %s | %s | %s | %s |\n", option->name,
                      option->flag, option->value,
                      option->kind == OPTION_LIST ? ", repeatable" : "",
                      option->initial[0] != '\0' ? option->initial : "-", range,
                      option->reloadable ? "yes" : "no", option->help);
    }
}
