/* Files of timelines that never began: see hands.h. The worker's thread. Does not log. Invariant:
 * no log is removed that a server has, or may have, replayed. */
#include "base/memory.h"
#include "base/text.h"
#include "database/agent/hands.h"
#include "database/core/core.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HISTORY ".history"
#define DIGITS 8U

/* PostgreSQL takes the first number that has no history file. */
int hands_reserve_timelines(const struct hands *hands, uint32_t from, uint32_t timeline,
                            struct err *err)
{
    for (uint32_t number = from + 1; number < timeline; number++) {
        char *path CLEANUP(memory_cleanup) =
            memory_printf("%s/data/pg_wal/%08X" HISTORY, hands->server.directory, number);
        int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (file < 0) {
            return err_set_errno(err, errno, "%s", path);
        }
        (void)close(file); /* nothing was written */
    }
    return 0;
}

/* The timeline that a file of the log is of; 0: it is another file. */
static uint32_t timeline_of(const char *name)
{
    uint32_t timeline = 0;
    for (size_t i = 0; i < DIGITS; i++) {
        char c = name[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'F')) {
            return 0;
        }
        timeline = timeline << 4U | (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
    }
    return timeline;
}

static bool is_history(const char *name)
{
    return text_equal(name + DIGITS, HISTORY);
}

static bool is_empty(int folder, const char *name)
{
    struct stat stat;
    return fstatat(folder, name, &stat, 0) == 0 && stat.st_size == 0;
}

/* Whether the group's writer went through it, or may have: this process may be behind. */
static bool is_of_line(const struct model_database_group *group, uint32_t timeline)
{
    size_t count = group->history_count;
    return count == 0 || timeline > group->history[count - 1].timeline ||
           database_lineage_by_record(group, timeline, 0) == DATABASE_FOLLOWS;
}

/* The last timeline of the writer's line that has a history here, or `least`. PostgreSQL finds the
 * newest one by counting, so those before it stay as well. */
static uint32_t last_of_line(DIR *folder, const struct model_database_group *group, uint32_t least)
{
    const struct dirent *entry;
    uint32_t last = least;
    rewinddir(folder);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of this thread's own */
    while ((entry = readdir(folder)) != NULL) {
        uint32_t timeline = timeline_of(entry->d_name);
        if (timeline > last && is_history(entry->d_name) && is_of_line(group, timeline) &&
            !is_empty(dirfd(folder), entry->d_name)) {
            last = timeline;
        }
    }
    return last;
}

int hands_drop_timelines(const struct hands *hands, const struct model_database_group *group,
                         uint32_t begun, struct err *err)
{
    struct postgres_control control = {.timeline = 0};
    if (hands->kind != &hands_managed) {
        return 0;
    }
    char *path CLEANUP(memory_cleanup) = memory_printf("%s/data/pg_wal", hands->server.directory);
    int rc = postgres_control(&hands->server, &control, err);
    if (rc != 0) {
        return rc;
    }
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return err_set_errno(err, errno, "%s", path);
    }
    bool again = begun > control.timeline;
    uint32_t last = again ? begun - 1 : last_of_line(folder, group, control.timeline);
    const struct dirent *entry;
    rewinddir(folder);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of this thread's own */
    while (rc == 0 && (entry = readdir(folder)) != NULL) {
        const char *name = entry->d_name;
        uint32_t timeline = timeline_of(name);
        bool empty = timeline > last && is_history(name) && is_empty(dirfd(folder), name);
        if (timeline > last && (again || empty || !is_of_line(group, timeline)) &&
            unlinkat(dirfd(folder), name, 0) != 0) {
            rc = err_set_errno(err, errno, "%s/%s", path, name);
        }
    }
    (void)closedir(folder); /* only read */
    return rc;
}
