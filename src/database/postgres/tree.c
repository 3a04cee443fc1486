/* Folders with everything below them: removed, measured, copied. See internal.h. Symbolic links
 * are never followed. Called when a server is removed or put aside; thread: as postgres.h. */
#include "base/descriptor.h"
#include "base/text.h"
#include "database/postgres/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static void close_walk(FTS **walk)
{
    if (*walk != NULL) {
        (void)fts_close(*walk); /* only read */
    }
}

static FTS *walk_open(char *path)
{
    char *paths[] = {path, NULL};
    return fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
}

static int remove_one(const FTSENT *entry, struct err *err)
{
    int r = 0;
    switch (entry->fts_info) {
    case FTS_D:
        return 0; /* after what is in it */
    case FTS_DP:
        r = rmdir(entry->fts_accpath);
        break;
    case FTS_DNR:
    case FTS_ERR:
        errno = entry->fts_errno;
        r = -1;
        break;
    default:
        r = unlink(entry->fts_accpath);
        break;
    }
    return r < 0 && errno != ENOENT ? err_set_errno(err, errno, "removing %s", entry->fts_path) : 0;
}

int file_remove_tree(const char *path, struct err *err)
{
    char start[PATH_SIZE];
    if (!file_exists(path)) {
        return 0;
    }
    if (text_copy(start, sizeof(start), path) < 0 || strlen(start) < 4) {
        return err_set(err, ERR_INVALID, "%s is not to be removed", path);
    }
    FTS *walk CLEANUP(close_walk) = walk_open(start);
    if (walk == NULL) {
        return err_set_errno(err, errno, "removing %s", path);
    }
    int r = 0;
    FTSENT *entry = NULL;
    while (r == 0 && (entry = fts_read(walk)) != NULL) {
        r = remove_one(entry, err);
    }
    return r;
}

int file_tree_size(const char *path, int64_t *ret_bytes, struct err *err)
{
    char start[PATH_SIZE];
    FTS *walk CLEANUP(close_walk) = NULL;
    if (text_copy(start, sizeof(start), path) == 0) {
        walk = walk_open(start);
    }
    if (walk == NULL) {
        return err_set_errno(err, errno, "reading %s", path);
    }
    int64_t bytes = 0;
    FTSENT *entry = NULL;
    while ((entry = fts_read(walk)) != NULL) {
        if (entry->fts_info == FTS_F) {
            bytes += (int64_t)entry->fts_statp->st_blocks * 512;
        }
    }
    *ret_bytes = bytes;
    return 0;
}

int file_room(const char *path, int64_t *ret_bytes, struct err *err)
{
    struct statvfs status;
    if (statvfs(path, &status) < 0) {
        return err_set_errno(err, errno, "%s", path);
    }
    *ret_bytes = (int64_t)status.f_bavail * (int64_t)status.f_frsize;
    return 0;
}

static int copy_bytes(int from, int to, const char *path, struct err *err)
{
    if (ioctl(to, FICLONE, from) == 0) { /* the blocks are shared until one side is written */
        return 0;
    }
    for (;;) {
        ssize_t size = copy_file_range(from, NULL, to, NULL, (size_t)1 << 30U, 0);
        if (size == 0) {
            return 0;
        }
        if (size < 0 && errno != EINTR) {
            return err_set_errno(err, errno, "copying to %s", path);
        }
    }
}

int file_copy(const struct postgres *server, const char *from, const char *to, struct err *err)
{
    int in CLEANUP(descriptor_close) = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (in < 0) {
        return err_set_errno(err, errno, "%s", from);
    }
    int out CLEANUP(descriptor_close) =
        open(to, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0) {
        return err_set_errno(err, errno, "%s", to);
    }
    if (server->user != 0 && geteuid() == 0 && fchown(out, server->user, server->group) < 0) {
        return err_set_errno(err, errno, "%s", to);
    }
    int r = copy_bytes(in, out, to, err);
    if (r == 0 && fsync(out) < 0) {
        r = err_set_errno(err, errno, "syncing %s", to);
    }
    return r;
}

static int copy_link(const char *from, const char *to, struct err *err)
{
    char target[PATH_SIZE];
    ssize_t length = readlink(from, target, sizeof(target) - 1);
    if (length < 0) {
        return err_set_errno(err, errno, "%s", from);
    }
    target[length] = '\0';
    return symlink(target, to) < 0 ? err_set_errno(err, errno, "%s", to) : 0;
}

static int copy_one(const struct postgres *server, const FTSENT *entry, const char *to,
                    struct err *err)
{
    switch (entry->fts_info) {
    case FTS_D:
        if (mkdir(to, 0700) < 0 && errno != EEXIST) {
            return err_set_errno(err, errno, "making %s", to);
        }
        if (server->user != 0 && geteuid() == 0 && chown(to, server->user, server->group) < 0) {
            return err_set_errno(err, errno, "%s", to);
        }
        return 0;
    case FTS_DP:
        return file_sync_folder(to, err);
    case FTS_F:
        return file_copy(server, entry->fts_path, to, err);
    case FTS_SL:
    case FTS_SLNONE:
        return copy_link(entry->fts_path, to, err);
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return err_set_errno(err, entry->fts_errno, "reading %s", entry->fts_path);
    default:
        return 0; /* sockets and the like */
    }
}

int file_copy_tree(const struct postgres *server, const char *from, const char *to,
                   const struct postgres_limit *limit, struct err *err)
{
    char start[PATH_SIZE];
    FTS *walk CLEANUP(close_walk) = NULL;
    if (text_copy(start, sizeof(start), from) == 0) {
        walk = walk_open(start);
    }
    if (walk == NULL) {
        return err_set_errno(err, errno, "reading %s", from);
    }
    size_t skip = strlen(start);
    int r = 0;
    FTSENT *entry = NULL;
    while (r == 0 && (entry = fts_read(walk)) != NULL) {
        char path[2 * PATH_SIZE];
        int length = snprintf(path, sizeof(path), "%s%s", to, entry->fts_path + skip);
        r = length < 0 || (size_t)length >= sizeof(path)
                ? err_set(err, ERR_LIMIT, "the path of %s is too long", entry->fts_path)
                : limit_check(limit, "copying the data", err);
        if (r == 0) {
            r = copy_one(server, entry, path, err);
        }
    }
    return r;
}
