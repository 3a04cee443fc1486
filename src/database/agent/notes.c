/* Notes of servers: see notes.h. Logs. Invariant: only data that begin in recovery are started, as
 * the files themselves say; a note that is damaged counts as none. */
#include "database/agent/notes.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"

#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define NOTE_LIMIT 4096U
#define ADDRESS_TEXT 64U
#define HEAD "leeward-notes 1"

/* ---- keeping ---- */

/* Whether this server may be started without asking anybody. */
static bool is_free_to_start(const struct worker *worker,
                             const struct model_database_member *member)
{
    const struct database_facts *facts = &worker->sight.facts;
    return facts->data == DATABASE_DATA && facts->standby && !member->stopped && !member->deleted &&
           text_empty(member->attached);
}

void notes_keep(struct worker *worker, const struct view_group *group)
{
    static struct log_limit limit;
    struct err err = ERR_INIT;
    const struct view_member *self = view_member_find(group, worker->member);
    if (self == NULL || worker->hands.file == NULL) {
        return; /* there is no folder to keep it in */
    }
    enum worker_note note =
        is_free_to_start(worker, &self->member) ? WORKER_NOTE_READER : WORKER_NOTE_OTHER;
    if (note == worker->notes.kept) {
        return;
    }
    struct buf text CLEANUP(buf_done);
    buf_init(&text, NOTE_LIMIT);
    buf_printf(&text, HEAD "\nmember %s\naddress %s\nport %u\nreader %s\n", worker->member,
               worker->hands.server.address, worker->hands.server.port,
               note == WORKER_NOTE_READER ? "yes" : "no");
    int rc = buf_failed(&text) ? err_set(&err, ERR_LIMIT, "a note is too long")
                               : postgres_keep_note(&worker->hands.server, buf_text(&text), &err);
    if (rc == 0) {
        worker->notes.kept = note;
    } else if (log_limit_allows(&limit, 1)) {
        log_warn("database.note_not_kept", F("member", worker->member), F("reason", &err),
                 F("next", "tried again"));
    }
}

/* ---- starting ---- */

struct note {
    char member[MODEL_DATABASE_ID];
    char address[ADDRESS_TEXT];
    int64_t port;
    bool reader;
};

/* "name value": the value; NULL: it is another line. */
static const char *value_of(const char *line, const char *name)
{
    size_t length = strlen(name);
    return text_starts(line, name) && line[length] == ' ' ? line + length + 1 : NULL;
}

/* Of later versions, what is known is taken. */
static bool parse(char *text, struct note *ret_note)
{
    struct note note = {.port = 0};
    char *rest = text;
    bool known = text_starts(text, "leeward-notes ");
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        const char *member = value_of(line, "member");
        const char *address = value_of(line, "address");
        const char *port = value_of(line, "port");
        const char *reader = value_of(line, "reader");
        note.reader = note.reader || (reader != NULL && text_equal(reader, "yes"));
        if ((member != NULL && text_copy(note.member, sizeof note.member, member) != 0) ||
            (address != NULL && text_copy(note.address, sizeof note.address, address) != 0) ||
            (port != NULL && text_to_i64(port, 1, UINT16_MAX, &note.port) != 0)) {
            known = false;
        }
    }
    *ret_note = note;
    return known && note.member[0] != '\0' && note.address[0] != '\0' && note.port != 0;
}

/* By its own files: in recovery it begins, and it is whole. */
static bool is_reader(const struct postgres *server)
{
    char *path CLEANUP(memory_cleanup) = memory_printf("%s/data/standby.signal", server->directory);
    enum postgres_data data = POSTGRES_NO_DATA;
    struct err err = ERR_INIT;
    return access(path, F_OK) == 0 && postgres_data(server, &data, &err) == 0 &&
           data == POSTGRES_DATA;
}

/* ERR_NOT_FOUND: there is nothing to start. */
static int start(struct postgres *server, struct note *note, struct err *err)
{
    struct postgres_process process = POSTGRES_PROCESS_NONE;
    struct err none = ERR_INIT;
    struct buf text CLEANUP(buf_done);
    buf_init(&text, NOTE_LIMIT);
    int rc = postgres_read_note(server, &text, err);
    if (rc != 0) {
        return rc;
    }
    buf_putc(&text, '\0');
    if (buf_failed(&text) || !parse(text.data, note)) {
        return err_set(err, ERR_CORRUPT, "the note of %s cannot be read", server->name);
    }
    server->address = note->address;
    server->port = (uint16_t)note->port;
    if (!text_equal(note->member, server->name) || !note->reader || !is_reader(server)) {
        return err_set(err, ERR_NOT_FOUND, "%s is no reader", server->name);
    }
    if (postgres_adopt(server, &process, &none) == 0) {
        postgres_process_done(&process);
        return err_set(err, ERR_NOT_FOUND, "%s runs", server->name);
    }
    rc = postgres_start(server, &process, err);
    postgres_process_done(&process); /* its worker adopts it */
    return rc;
}

static bool start_one(const struct database_agent *agent, const char *member)
{
    struct err err = ERR_INIT;
    struct note note;
    char *directory CLEANUP(memory_cleanup) =
        memory_printf("%s/%s", agent->config.directory, member);
    struct postgres server = {.directory = directory,
                              .binaries = agent->binaries,
                              .module = agent->module,
                              .name = member};
    int rc = start(&server, &note, &err);
    if (rc == 0) {
        log_info("database.reader_started_alone", F("member", member),
                 F("why", "the store is away: it is started as it was"));
    } else if (err.kind != ERR_NOT_FOUND) {
        log_warn("database.reader_not_started", F("member", member), F("reason", &err),
                 F("next", "it is started once the store answers"));
    }
    return rc == 0;
}

size_t notes_start_readers(const struct database_agent *agent)
{
    size_t count = 0;
    DIR *folder = opendir(agent->config.directory);
    struct dirent *entry = NULL;
    while (folder != NULL &&
           (entry = readdir(folder)) != NULL) { /* NOLINT(concurrency-mt-unsafe): our own stream */
        if (entry->d_name[0] != '.') {
            count += start_one(agent, entry->d_name) ? 1 : 0;
        }
    }
    if (folder != NULL) {
        (void)closedir(folder); /* only read */
    }
    return count;
}
