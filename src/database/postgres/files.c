/* Files of a server: see internal.h. What is written is replaced atomically and synced, because a
 * server may be started from it after a crash of the machine. Called by the room's other files;
 * thread: as postgres.h; the caller owns buffers. */
#include "base/descriptor.h"
#include "base/text.h"
#include "database/postgres/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int file_path(const struct postgres *server, const char *name, char out[PATH_SIZE], struct err *err)
{
    int length = snprintf(out, PATH_SIZE, "%s/%s", server->directory, name);
    if (length < 0 || (unsigned)length >= PATH_SIZE) {
        return err_set(err, ERR_LIMIT, "the path of %s/%s is too long", server->directory, name);
    }
    return 0;
}

/* What root makes for a server of another user belongs to that user. */
static int give_away(const struct postgres *server, int fd, const char *path, struct err *err)
{
    if (server->user == 0 || geteuid() != 0) {
        return 0;
    }
    return fchown(fd, server->user, server->group) < 0 ? err_set_errno(err, errno, "%s", path) : 0;
}

static int make_folder(const struct postgres *server, const char *path, struct err *err)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST) {
        return err_set_errno(err, errno, "making %s", path);
    }
    int fd CLEANUP(descriptor_close) = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(err, errno, "%s", path);
    }
    return give_away(server, fd, path, err);
}

int file_make_folders(const struct postgres *server, struct err *err)
{
    static const char *const names[] = {"run", "aside", "log"};
    int r = make_folder(server, server->directory, err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
        char path[PATH_SIZE];
        r = file_path(server, names[i], path, err);
        if (r == 0) {
            r = make_folder(server, path, err);
        }
    }
    return r;
}

int file_read(const char *path, size_t limit, struct buf *ret_text, struct err *err)
{
    int fd CLEANUP(descriptor_close) = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(err, errno, "%s", path);
    }
    buf_reset(ret_text);
    for (;;) {
        char chunk[8192];
        ssize_t size = read(fd, chunk, sizeof(chunk));
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0) {
            return err_set_errno(err, errno, "reading %s", path);
        }
        if (size == 0) {
            break;
        }
        if (ret_text->length + (size_t)size > limit) {
            return err_set(err, ERR_LIMIT, "%s is larger than %zu bytes", path, limit);
        }
        buf_put(ret_text, chunk, (size_t)size);
        if (ret_text->secret) {
            secret_wipe_memory(chunk, sizeof(chunk));
        }
    }
    return buf_failed(ret_text) ? err_set(err, ERR_MEMORY, "reading %s", path) : 0;
}

int file_sync_folder(const char *path, struct err *err)
{
    int r = descriptor_sync_folder(path);
    return r == 0 ? 0 : err_set_errno(err, -r, "syncing %s", path);
}

/* The folder that path is in. */
static int sync_parent(const char *path, struct err *err)
{
    char folder[PATH_SIZE];
    int r = text_copy(folder, sizeof(folder), path);
    char *slash = strrchr(folder, '/');
    if (r < 0 || slash == NULL || slash == folder) {
        return err_set(err, ERR_INVALID, "%s is no path of a file", path);
    }
    *slash = '\0';
    return file_sync_folder(folder, err);
}

static int write_new(const struct postgres *server, const char *path, const void *data, size_t size,
                     mode_t mode, struct err *err)
{
    (void)unlink(path); /* left by a call that did not end */
    int fd CLEANUP(descriptor_close) =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0) {
        return err_set_errno(err, errno, "making %s", path);
    }
    int r = descriptor_write_all(fd, data, size);
    if (r < 0) {
        return err_set_errno(err, -r, "writing %s", path);
    }
    r = give_away(server, fd, path, err);
    if (r == 0 && fsync(fd) < 0) {
        r = err_set_errno(err, errno, "syncing %s", path);
    }
    return r;
}

int file_write(const struct postgres *server, const char *path, const void *data, size_t size,
               mode_t mode, struct err *err)
{
    char new_path[PATH_SIZE];
    int length = snprintf(new_path, sizeof(new_path), "%s.new", path);
    if (length < 0 || (size_t)length >= sizeof(new_path)) {
        return err_set(err, ERR_LIMIT, "the path %s is too long", path);
    }
    int r = write_new(server, new_path, data, size, mode, err);
    if (r == 0 && rename(new_path, path) < 0) {
        r = err_set_errno(err, errno, "renaming %s", new_path);
    }
    if (r < 0) {
        (void)unlink(new_path); /* may not have been made */
        return r;
    }
    return sync_parent(path, err);
}

int file_update(const struct postgres *server, const char *path, const struct buf *text,
                mode_t mode, bool *changed, struct err *err)
{
    struct err ignored = ERR_INIT;
    struct buf now CLEANUP(buf_done);
    buf_init(&now, 0);
    if (text->secret) {
        buf_keep_secret(&now);
    }
    if (buf_failed(text)) {
        return err_set(err, ERR_LIMIT, "%s would be too large", path);
    }
    int r = file_read(path, text->length + 1, &now, &ignored);
    if (r == 0 && now.length == text->length &&
        memcmp(buf_text(&now), buf_text(text), text->length) == 0) {
        return 0;
    }
    *changed = true;
    return file_write(server, path, buf_text(text), text->length, mode, err);
}

bool file_exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

int file_mark(const struct postgres *server, const char *path, struct err *err)
{
    return file_exists(path) ? 0 : file_write(server, path, "", 0, 0600, err);
}

int file_unmark(const char *path, struct err *err)
{
    if (unlink(path) < 0) {
        return errno == ENOENT ? 0 : err_set_errno(err, errno, "removing %s", path);
    }
    return sync_parent(path, err);
}

int limit_left_ms(const struct postgres_limit *limit)
{
    int64_t left = mono_since(limit->until, mono_now());
    if (left <= 0) {
        return 0;
    }
    int64_t ms = (left + TIME_MS - 1) / TIME_MS;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

int limit_poll(const struct postgres_limit *limit, struct pollfd *fds, nfds_t count, int most_ms,
               const char *what, struct err *err)
{
    struct pollfd all[4];
    if (count > ARRAY_SIZE(all) - 1) {
        return err_set(err, ERR_INTERNAL, "too many descriptors to wait for");
    }
    if (count > 0) {
        memcpy(all, fds, count * sizeof(*fds));
    }
    all[count] = (struct pollfd){.fd = limit->interrupt, .events = POLLIN}; /* -1 is ignored */
    for (;;) {
        int left = limit_left_ms(limit);
        bool most = most_ms >= 0 && most_ms < left;
        int ready = poll(all, count + 1, most ? most_ms : left);
        if (ready < 0 && errno != EINTR) {
            return err_set_errno(err, errno, "waiting: %s", what);
        }
        if (ready > 0 && all[count].revents != 0) {
            return err_set(err, ERR_CANCELLED, "%s was broken off", what);
        }
        if (ready > 0 || (ready == 0 && most)) {
            if (count > 0) {
                memcpy(fds, all, count * sizeof(*fds));
            }
            return 0;
        }
        if (limit_left_ms(limit) == 0) {
            return err_set(err, ERR_TIMEOUT, "%s took too long", what);
        }
    }
}

int limit_check(const struct postgres_limit *limit, const char *what, struct err *err)
{
    int r = limit_poll(limit, NULL, 0, 0, what, err);
    if (r == 0 && limit_left_ms(limit) == 0) {
        r = err_set(err, ERR_TIMEOUT, "%s took too long", what);
    }
    return r;
}
