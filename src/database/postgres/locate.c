/* Where PostgreSQL's programs and our module are: see postgres.h. Called at the agent's start;
 * thread: any; results live in the caller's arena. */
#include "base/text.h"
#include "database/postgres/internal.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEBIAN "/usr/lib/postgresql"
#define OLDEST 13 /* major version whose control file and functions this room knows */
#define MODULE "leeward_fence"

#ifndef LEEWARD_MODULE_FOLDER
#define LEEWARD_MODULE_FOLDER "/usr/local/lib/leeward"
#endif

static bool has_programs(const char *folder)
{
    static const char *const names[] = {"postgres", "initdb", "pg_basebackup", "pg_rewind",
                                        "pg_waldump"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char path[PATH_SIZE];
        int length = snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        if (length < 0 || (size_t)length >= sizeof(path) || access(path, X_OK) < 0) {
            return false;
        }
    }
    return true;
}

/* The newest major version that Debian's packages put there; 0: none. */
static int64_t newest_of_debian(void)
{
    int64_t best = 0;
    DIR *folder = opendir(DEBIAN);
    struct dirent *entry = NULL;
    while (folder != NULL &&
           (entry = readdir(folder)) != NULL) { /* NOLINT(concurrency-mt-unsafe): our own stream */
        int64_t version = 0;
        char path[PATH_SIZE];
        if (text_to_i64(entry->d_name, OLDEST, 99, &version) == 0 && version > best) {
            (void)snprintf(path, sizeof(path), DEBIAN "/%d/bin", (int)version);
            best = has_programs(path) ? version : best;
        }
    }
    if (folder != NULL) {
        (void)closedir(folder); /* only read */
    }
    return best;
}

static const char *search_path(struct arena *arena)
{
    const char *path = getenv("PATH"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    char *rest = arena_strdup(arena, path != NULL ? path : "/usr/local/bin:/usr/bin");
    for (char *folder = strsep(&rest, ":"); folder != NULL; folder = strsep(&rest, ":")) {
        if (folder[0] == '/' && has_programs(folder)) {
            return folder;
        }
    }
    return NULL;
}

/* "postgres (PostgreSQL) 15.18 (Debian ..)" */
static int read_version(const char *binaries, struct arena *arena, const char **ret_version,
                        struct err *err)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/postgres", binaries); /* it was found with room */
    static const char *const arguments[] = {"--version", NULL};
    const struct postgres server = {.directory = "/nonexistent", .binaries = binaries};
    const struct child child = {
        .program = "postgres", .arguments = arguments, .keep_errors = true, .no_log = true};
    const struct postgres_limit limit = {.until = mono_from_now(10 * TIME_S), .interrupt = -1};
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 4096);
    int r = child_run(&server, &child, &limit, &text, NULL, err);
    if (r < 0) {
        return r;
    }
    const char *at = strstr(buf_text(&text), "(PostgreSQL) ");
    size_t length = at != NULL ? strspn(at + 13, "0123456789.") : 0;
    if (length == 0) {
        return err_set(err, ERR_UNSUPPORTED, "%s does not tell its version", path);
    }
    char *version = arena_memdup(arena, at + 13, length);
    int64_t major = 0;
    char digits[8];
    IGNORE_RESULT(text_copy_n(digits, sizeof(digits), version, /* it fits */
                              MIN(strcspn(version, "."), sizeof(digits) - 1)));
    if (text_to_i64(digits, OLDEST, 99, &major) < 0) {
        return err_set(err, ERR_UNSUPPORTED, "PostgreSQL %s in %s is older than %d", version,
                       binaries, OLDEST);
    }
    *ret_version = version;
    return 0;
}

int postgres_find(const char *wanted, struct arena *arena, const char **ret_binaries,
                  const char **ret_version, struct err *err)
{
    const char *found = NULL;
    if (!text_empty(wanted)) {
        if (!has_programs(wanted)) {
            return err_set(err, ERR_NOT_FOUND,
                           "%s has not all of postgres, initdb, pg_basebackup, pg_rewind and "
                           "pg_waldump",
                           wanted);
        }
        found = arena_strdup(arena, wanted);
    }
    int64_t version = found == NULL ? newest_of_debian() : 0;
    if (version != 0) {
        found = arena_printf(arena, DEBIAN "/%d/bin", (int)version);
    }
    if (found == NULL) {
        found = search_path(arena);
    }
    if (found == NULL) {
        return err_set(err, ERR_NOT_FOUND,
                       "there is no PostgreSQL server on this machine: install it (Debian: "
                       "postgresql-15), or name its folder of programs as database.bin");
    }
    int r = read_version(found, arena, ret_version, err);
    if (r == 0) {
        *ret_binaries = found;
    }
    return r;
}

/* folder/leeward_fence, when the file with ".so" is there. */
static const char *module_in(struct arena *arena, const char *folder)
{
    char *path = arena_printf(arena, "%s/" MODULE ".so", folder);
    if (access(path, R_OK) < 0) {
        return NULL;
    }
    path[strlen(path) - 3] = '\0';
    return path;
}

int postgres_find_module(const char *wanted, struct arena *arena, const char **ret_path,
                         struct err *err)
{
    if (!text_empty(wanted)) {
        char *path = arena_strdup(arena, wanted);
        if (text_ends(path, ".so")) {
            path[strlen(path) - 3] = '\0';
        }
        if (access(arena_printf(arena, "%s.so", path), R_OK) < 0) {
            return err_set_errno(err, errno, "%s.so", path);
        }
        *ret_path = path;
        return 0;
    }
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    const char *found = NULL;
    if (length > 0) {
        self[length] = '\0';
        char *slash = strrchr(self, '/');
        *slash = '\0'; /* the kernel's paths are absolute */
        found = module_in(arena, self);
        if (found == NULL) { /* a test program further down in the build tree */
            found = module_in(arena, arena_printf(arena, "%s/../../..", self));
        }
    }
    if (found == NULL) {
        found = module_in(arena, LEEWARD_MODULE_FOLDER);
    }
    if (found == NULL) {
        return err_set(err, ERR_NOT_FOUND,
                       "the module " MODULE ".so is neither beside this program nor in %s: without "
                       "it a writer cannot be fenced",
                       LEEWARD_MODULE_FOLDER);
    }
    *ret_path = found;
    return 0;
}
