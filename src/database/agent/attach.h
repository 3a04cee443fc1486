/* Attachments: servers that somebody else runs, as the machine's administrator describes them in
 * files of their own (database.attach-directory, NAME.conf; docs/databases.md). The API names them
 * by NAME alone: no program and no connection string ever comes from there. Files are read once,
 * when the agent starts; they and their folder must belong to root or to the agent's user, and
 * nobody else may write to them. Ownership: the arena's. Thread: any, once loaded. */
#ifndef DATABASE_AGENT_ATTACH_H
#define DATABASE_AGENT_ATTACH_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/macro.h"
#include "database/postgres/postgres.h"

#include <stddef.h>
#include <stdint.h>

#define ATTACH_LIMIT 64U /* of one agent */

/* X(NAME, its key in a file, seconds that it may take unless the file says otherwise) */
#define ATTACH_VERBS(X)                                                                            \
    X(STATUS, "status", 10)                                                                        \
    X(START, "start", 60)                                                                          \
    X(STOP, "stop", 60)                                                                            \
    X(PROMOTE, "promote", 60)                                                                      \
    X(FOLLOW, "follow", 60)                                                                        \
    X(REWIND, "rewind", 3600)                                                                      \
    X(REBUILD, "rebuild", 86400)                                                                   \
    X(FENCE, "fence", 60)

enum attach_verb {
#define X(name, key, seconds) ATTACH_##name,
    ATTACH_VERBS(X)
#undef X
        ATTACH_VERB_COUNT,
};

struct attach_command {
    const char **words; /* program and arguments, NULL-ended; NULL: there is none */
    int64_t limit_s;
};

struct attachment {
    const char *name;
    const char *region;
    const char *address; /* where the group's other members reach it */
    uint16_t port;
    const char *connection; /* how the agent does; "": not of this agent's regions */
    const char *lease_file; /* that its module is to have */
    struct attach_command commands[ATTACH_VERB_COUNT];
};

struct attachments {
    struct attachment *list;
    size_t count;
};

/* Reads all files; "": there are none. leases: the folder of lease files that are not named. A file
 * that cannot be used is left out, which is logged. An error: the folder cannot be read. */
int attach_load(const char *directory, const char *leases, struct arena *arena,
                struct attachments *ret_attachments, struct err *err) MUST_CHECK;
/* One file's text, which is changed. */
int attach_parse(const char *name, char *text, const char *leases, struct arena *arena,
                 struct attachment *ret_attachment, struct err *err) MUST_CHECK;
/* NULL: there is none of that name. */
const struct attachment *attach_find(const struct attachments *attachments, const char *name);

const char *attach_verb_name(enum attach_verb verb);
/* Runs one of its commands. server: name and directory of ours for it. more: settings of its
 * environment besides those that all have, NULL-ended; output, ret_status: may be NULL. A status
 * other than 0 is ERR_UNAVAILABLE with the last line of what it said, unless ret_status is given.
 * ERR_UNSUPPORTED: there is no such command. */
int attach_run(const struct attachment *attachment, enum attach_verb verb,
               const struct postgres *server, const char *const *more, int interrupt,
               struct buf *output, int *ret_status, struct err *err) MUST_CHECK;

#endif
