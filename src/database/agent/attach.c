/* Reading attachments and running their commands: see attach.h. Invariant: a program is run only
 * when a file said so that nobody but its owner may write to. */
#include "database/agent/attach.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/time.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_LIMIT 65536U
#define NAME_LIMIT 63U
#define WORDS 31U
#define LIMIT_MOST_S 604800
#define OUTPUT_LIMIT 65536U
#define SETTINGS 16U
#define SUFFIX ".conf"

static const struct {
    const char *key;
    int64_t seconds;
} verbs[] = {
#define X(name, word, limit) {.key = (word), .seconds = (limit)},
    ATTACH_VERBS(X)
#undef X
};

const char *attach_verb_name(enum attach_verb verb)
{
    return verbs[verb].key;
}

const struct attachment *attach_find(const struct attachments *attachments, const char *name)
{
    for (size_t i = 0; i < attachments->count; i++) {
        if (text_equal(attachments->list[i].name, name)) {
            return &attachments->list[i];
        }
    }
    return NULL;
}

/* ---- one file ---- */

static char *trim(char *text)
{
    text += strspn(text, " \t\r");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r", text[length - 1]) != NULL) {
        text[--length] = '\0';
    }
    return text;
}

/* Words at blanks, or with "shell " before it all of it for a shell. */
static int parse_command(char *value, struct arena *arena, struct attach_command *command,
                         struct err *err)
{
    static const char shell[] = "shell ";
    const char **words = arena_array(arena, WORDS + 1, sizeof *words);
    size_t count = 0;
    if (text_starts(value, shell)) {
        words[count++] = "/bin/sh";
        words[count++] = "-c";
        words[count++] = arena_strdup(arena, value + sizeof shell - 1);
    } else {
        for (char *word = strsep(&value, " \t"); word != NULL; word = strsep(&value, " \t")) {
            if (word[0] != '\0' && count == WORDS) {
                return err_set(err, ERR_LIMIT, "a command has at most %u words", WORDS);
            }
            if (word[0] != '\0') {
                words[count++] = arena_strdup(arena, word);
            }
        }
    }
    words[count] = NULL;
    command->words = words;
    return count != 0 && words[0][0] == '/'
               ? 0
               : err_set(err, ERR_INVALID, "a command begins with a whole path, or with 'shell '");
}

static int parse_verb(const char *key, char *value, struct arena *arena,
                      struct attachment *attachment, struct err *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        size_t length = strlen(verbs[i].key);
        struct attach_command *command = &attachment->commands[i];
        if (text_equal(key, verbs[i].key)) {
            return parse_command(value, arena, command, err);
        }
        if (text_starts(key, verbs[i].key) && text_equal(key + length, "-limit")) {
            return text_to_i64(value, 1, LIMIT_MOST_S, &command->limit_s) == 0
                       ? 0
                       : err_set(err, ERR_INVALID, "a number of seconds from 1 to %d",
                                 LIMIT_MOST_S);
        }
    }
    return err_set(err, ERR_INVALID, "there is no such setting");
}

static int parse_value(const char *key, char *value, struct arena *arena,
                       struct attachment *attachment, struct err *err)
{
    int64_t port = 0;
    uint8_t bytes[sizeof(struct in6_addr)];
    if (text_equal(key, "region")) {
        attachment->region = arena_strdup(arena, value);
    } else if (text_equal(key, "address")) {
        attachment->address = arena_strdup(arena, value);
        if (inet_pton(AF_INET, value, bytes) != 1 && inet_pton(AF_INET6, value, bytes) != 1) {
            return err_set(err, ERR_INVALID, "an IPv4 or IPv6 address");
        }
    } else if (text_equal(key, "port")) {
        if (text_to_i64(value, 1, UINT16_MAX, &port) != 0) {
            return err_set(err, ERR_INVALID, "a number from 1 to 65535");
        }
        attachment->port = (uint16_t)port;
    } else if (text_equal(key, "connection")) {
        attachment->connection = arena_strdup(arena, value);
    } else if (text_equal(key, "lease-file")) {
        attachment->lease_file = arena_strdup(arena, value);
        if (value[0] != '/') {
            return err_set(err, ERR_INVALID, "a whole path");
        }
    } else {
        return parse_verb(key, value, arena, attachment, err);
    }
    return 0;
}

/* What an agent needs that is to reach it; one that only fences it needs nothing of this. */
static int judge(const struct attachment *attachment, struct err *err)
{
    static const enum attach_verb needed[] = {ATTACH_STATUS, ATTACH_START, ATTACH_STOP,
                                              ATTACH_FOLLOW};
    if (text_empty(attachment->region)) {
        return err_set(err, ERR_INVALID, "region is missing");
    }
    if (text_empty(attachment->connection)) {
        return attachment->commands[ATTACH_FENCE].words != NULL
                   ? 0
                   : err_set(err, ERR_INVALID, "connection is missing, and there is no fence");
    }
    if (text_empty(attachment->address)) {
        return err_set(err, ERR_INVALID, "address is missing");
    }
    for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
        if (attachment->commands[needed[i]].words == NULL) {
            return err_set(err, ERR_INVALID, "the command %s is missing", verbs[needed[i]].key);
        }
    }
    return 0;
}

int attach_parse(const char *name, char *text, const char *leases, struct arena *arena,
                 struct attachment *ret_attachment, struct err *err)
{
    struct attachment attachment = {.name = arena_strdup(arena, name),
                                    .region = "",
                                    .address = "",
                                    .port = 5432,
                                    .connection = "",
                                    .lease_file = arena_printf(arena, "%s/%s.lease", leases, name)};
    unsigned number = 0;
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        attachment.commands[i].limit_s = verbs[i].seconds;
    }
    for (char *line = strsep(&text, "\n"); line != NULL; line = strsep(&text, "\n")) {
        number++;
        char *key = trim(line);
        char *value = strchr(key, '=');
        if (key[0] == '\0' || key[0] == '#') {
            continue;
        }
        if (value == NULL) {
            return err_set(err, ERR_INVALID, "line %u: it is not 'setting = value'", number);
        }
        *value++ = '\0';
        key = trim(key);
        int rc = parse_value(key, trim(value), arena, &attachment, err);
        if (rc != 0) {
            return err_wrap(err, "line %u: %.32s", number, key);
        }
    }
    int rc = judge(&attachment, err);
    if (rc == 0) {
        *ret_attachment = attachment;
    }
    return rc;
}

/* ---- the folder ---- */

/* Of root or this user, and nobody else's to change. */
static int judge_owner(int fd, const char *path, struct err *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return err_set_errno(err, errno, "%s", path);
    }
    bool ours = status.st_uid == 0 || status.st_uid == geteuid();
    if (!ours || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return err_set(err, ERR_DENIED,
                       "%s names programs: it must belong to root or to the agent's user, and "
                       "group and others must not be able to write to it",
                       path);
    }
    return 0;
}

static int read_file(int folder, const char *file, char text[FILE_LIMIT + 1], struct err *err)
{
    int fd = openat(folder, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return err_set_errno(err, errno, "%s", file);
    }
    int rc = judge_owner(fd, file, err);
    ssize_t size = rc == 0 ? read(fd, text, FILE_LIMIT) : 0;
    if (size < 0 || size == FILE_LIMIT) {
        rc = size < 0
                 ? err_set_errno(err, errno, "%s", file)
                 : err_set(err, ERR_LIMIT, "%s: a file has less than %u bytes", file, FILE_LIMIT);
    }
    (void)close(fd); /* only read */
    text[MAX(size, 0)] = '\0';
    return rc;
}

/* The part before ".conf"; NULL: it is no file of ours. */
static const char *name_of(const char *file, struct arena *arena)
{
    size_t length = strlen(file);
    if (file[0] == '.' || !text_ends(file, SUFFIX) || length - strlen(SUFFIX) > NAME_LIMIT) {
        return NULL;
    }
    char *name = arena_strdup(arena, file);
    name[length - strlen(SUFFIX)] = '\0';
    return name[0] != '\0' ? name : NULL;
}

static void load_one(int folder, const char *file, const char *leases, struct arena *arena,
                     struct attachments *attachments)
{
    struct err err = ERR_INIT;
    char *text CLEANUP(memory_cleanup) = memory_new(FILE_LIMIT + 1);
    const char *name = name_of(file, arena);
    if (name == NULL) {
        return;
    }
    struct attachment *attachment = &attachments->list[attachments->count];
    int rc = attachments->count == ATTACH_LIMIT
                 ? err_set(&err, ERR_LIMIT, "there are %u already", ATTACH_LIMIT)
                 : read_file(folder, file, text, &err);
    rc = rc != 0 ? rc : attach_parse(name, text, leases, arena, attachment, &err);
    if (rc != 0) {
        log_error("database.attachment_refused", F("file", file), F("reason", &err),
                  F("next", "it is left out until the agent starts again"));
        return;
    }
    attachments->count++;
}

int attach_load(const char *directory, const char *leases, struct arena *arena,
                struct attachments *ret_attachments, struct err *err)
{
    *ret_attachments = (struct attachments){.list = NULL};
    if (text_empty(directory)) {
        return 0;
    }
    ret_attachments->list = arena_array(arena, ATTACH_LIMIT + 1, sizeof *ret_attachments->list);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? err_set_errno(err, errno, "%s", directory) : judge_owner(fd, directory, err);
    DIR *folder = rc == 0 ? fdopendir(fd) : NULL;
    if (folder == NULL) {
        if (rc == 0) {
            (void)err_set_errno(err, errno, "%s", directory); /* returned with more words below */
        }
        if (fd >= 0) {
            (void)close(fd); /* nothing was written */
        }
        return err_wrap(err, "database.attach-directory");
    }
    struct dirent *entry = NULL;
    while ((entry = readdir(folder)) != NULL) { /* NOLINT(concurrency-mt-unsafe): our own stream */
        load_one(fd, entry->d_name, leases, arena, ret_attachments);
    }
    (void)closedir(folder); /* only read */
    return rc;
}

/* ---- commands ---- */

/* The last line with something in it. */
static const char *last_words(const struct buf *output, char out[200])
{
    const char *found = "";
    size_t length = 0;
    for (const char *line = buf_text(output); *line != '\0';) {
        size_t size = strcspn(line, "\r\n");
        if (size != 0) {
            found = line;
            length = size;
        }
        line += size + (line[size] != '\0' ? 1 : 0);
    }
    (void)snprintf(out, 200, "%.*s", (int)MIN(length, 199U), found); /* cut is fine */
    text_mend(out);
    return out;
}

int attach_run(const struct attachment *attachment, enum attach_verb verb,
               const struct postgres *server, const char *const *more, int interrupt,
               struct buf *output, int *ret_status, struct err *err)
{
    const struct attach_command *command = &attachment->commands[verb];
    struct arena arena CLEANUP(arena_done);
    struct buf said CLEANUP(buf_done);
    const char *settings[SETTINGS + 1];
    char words[200];
    size_t count = 0;
    int status = 0;
    arena_init(&arena, 0);
    buf_init(&said, OUTPUT_LIMIT);
    if (command->words == NULL) {
        return err_set(err, ERR_UNSUPPORTED, "the attachment %s has no command %s",
                       attachment->name, verbs[verb].key);
    }
    settings[count++] = arena_printf(&arena, "LEEWARD_VERB=%s", verbs[verb].key);
    settings[count++] = arena_printf(&arena, "LEEWARD_ATTACHMENT=%s", attachment->name);
    settings[count++] = arena_printf(&arena, "LEEWARD_HOST=%s", attachment->address);
    settings[count++] = arena_printf(&arena, "LEEWARD_PORT=%u", (unsigned)attachment->port);
    settings[count++] = arena_printf(&arena, "LEEWARD_CONNECTION=%s", attachment->connection);
    settings[count++] = arena_printf(&arena, "LEEWARD_LEASE_FILE=%s", attachment->lease_file);
    for (; more != NULL && *more != NULL && count < SETTINGS; more++) {
        settings[count++] = *more;
    }
    settings[count] = NULL;
    const struct postgres_hook hook = {.words = command->words, .settings = settings};
    const struct postgres_limit limit = {.until = mono_from_now(command->limit_s * TIME_S),
                                         .interrupt = interrupt};
    struct buf *kept = output != NULL ? output : &said;
    int rc = postgres_hook_run(server, &hook, &limit, kept, &status, err);
    if (rc != 0) {
        return err_wrap(err, "%s of %s", verbs[verb].key, attachment->name);
    }
    if (ret_status != NULL) {
        *ret_status = status;
        return 0;
    }
    return status == 0
               ? 0
               : err_set(err, ERR_UNAVAILABLE, "%s of %s ended with status %d: %s", verbs[verb].key,
                         attachment->name, status, last_words(kept, words));
}
