/* A folder with links to the log of one stopped server, for pg_waldump: see internal.h. Thread: as
 * postgres.h.
 *
 * In pg_wal itself it is lost in two ways. It learns the size of files from whichever it finds
 * first, and gives up when that one was made ahead and is empty. And it reads files of one timeline
 * alone, while a log that was promoted lately begins in files of the timeline before. So here are
 * the files from the wanted place on, of the newest timeline that has them, all named as if they
 * were of the last one. */
#include "base/text.h"
#include "database/postgres/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIGITS 8U /* of the timeline, in a file's name */
#define LINES_LIMIT (256U << 10U)

struct wanted {
    uint32_t timeline;
    struct buf history; /* of the timeline: "1<tab>0/3000158<tab>why" a line */
    char first[WAL_NAME];
    const char *view;
};

static bool is_wal_name(const char *name)
{
    return strlen(name) == WAL_NAME - 1 && strspn(name, "0123456789ABCDEF") == WAL_NAME - 1;
}

static uint32_t timeline_of(const char *name)
{
    uint32_t timeline = 0;
    for (size_t i = 0; i < DIGITS; i++) {
        char c = name[i];
        timeline = timeline << 4U | (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
    }
    return timeline;
}

/* Whether the log went through that timeline. */
static bool is_ancestor(const struct wanted *wanted, uint32_t timeline)
{
    char number[16];
    const char *line = buf_text(&wanted->history);
    size_t length = (size_t)snprintf(number, sizeof(number), "%u\t", timeline);
    if (timeline == wanted->timeline) {
        return true;
    }
    while (line != NULL && line[0] != '\0') {
        if (strncmp(line, number, length) == 0) {
            return true;
        }
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return false;
}

/* Files that are made ahead are empty, or have the log of long ago. */
static bool was_written(int folder, const char *name)
{
    uint8_t magic[2] = {0};
    int file = openat(folder, name, O_RDONLY | O_CLOEXEC);
    bool read = file >= 0 && pread(file, magic, sizeof(magic), 0) == (ssize_t)sizeof(magic);
    if (file >= 0) {
        (void)close(file); /* only read */
    }
    return read && (magic[0] != 0 || magic[1] != 0);
}

static int add_file(const struct wanted *wanted, const char *wal, const char *name, struct err *err)
{
    char link[PATH_SIZE + WAL_NAME];
    char target[PATH_SIZE + WAL_NAME];
    char there[PATH_SIZE + WAL_NAME];
    (void)snprintf(link, sizeof(link), "%s/%08X%s", wanted->view, wanted->timeline, name + DIGITS);
    (void)snprintf(target, sizeof(target), "%s/%s", wal, name);
    ssize_t size = readlink(link, there, sizeof(there) - 1);
    if (size >= (ssize_t)WAL_NAME - 1) {
        there[size] = '\0';
        if (timeline_of(there + size - (WAL_NAME - 1)) > timeline_of(name)) {
            return 0;
        }
        (void)unlink(link); /* if it stays, the next call says so */
    }
    return symlink(target, link) == 0 ? 0 : err_set_errno(err, errno, "%s", link);
}

static int add_files(const struct wanted *wanted, const char *wal, struct err *err)
{
    int r = 0;
    const struct dirent *entry;
    DIR *folder = opendir(wal);
    if (folder == NULL) {
        return err_set_errno(err, errno, "%s", wal);
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of this thread's own */
    while (r == 0 && (entry = readdir(folder)) != NULL) {
        const char *name = entry->d_name;
        if (is_wal_name(name) && strcmp(name + DIGITS, wanted->first + DIGITS) >= 0 &&
            timeline_of(name) <= wanted->timeline && is_ancestor(wanted, timeline_of(name)) &&
            was_written(dirfd(folder), name)) {
            r = add_file(wanted, wal, name, err);
        }
    }
    (void)closedir(folder); /* only read */
    return r;
}

static int read_history(const struct postgres *server, struct wanted *wanted, struct err *err)
{
    char below[64];
    char path[PATH_SIZE];
    (void)snprintf(below, sizeof(below), "data/pg_wal/%08X.history", wanted->timeline);
    int r = wanted->timeline > 1 ? file_path(server, below, path, err) : -ENOENT;
    if (r == 0 && file_exists(path)) {
        r = file_read(path, LINES_LIMIT, &wanted->history, err);
    }
    return r == -ENOENT ? 0 : r;
}

int wal_view_make(const struct postgres *server, const struct postgres_control *control,
                  model_lsn from, char out[PATH_SIZE], struct err *err)
{
    char wal[PATH_SIZE];
    struct wanted wanted = {.timeline = control->timeline, .view = out};
    if (control->segment == 0) {
        return err_set(err, ERR_CORRUPT, "pg_control tells no size of WAL files");
    }
    buf_init(&wanted.history, LINES_LIMIT);
    wal_file_name(control->timeline, control->segment, from, wanted.first);
    int r = file_path(server, "data/pg_wal", wal, err);
    r = r == 0 ? file_path(server, "wal-view", out, err) : r;
    r = r == 0 ? file_remove_tree(out, err) : r; /* of a process that was killed */
    r = r == 0 ? read_history(server, &wanted, err) : r;
    if (r == 0 && mkdir(out, 0755) != 0) {
        r = err_set_errno(err, errno, "%s", out);
    }
    r = r == 0 ? add_files(&wanted, wal, err) : r;
    buf_done(&wanted.history);
    return r;
}

void wal_view_drop(const char *path)
{
    struct err ignored = ERR_INIT;
    IGNORE_RESULT(file_remove_tree(path, &ignored)); /* the next one does it again */
}
