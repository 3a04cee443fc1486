/* The files of a member: see site.h. They are written into site.new/, synced, and become site/ by
 * one rename: all of them are there or none. Any thread, one at a time. Invariant: the key is never
 * readable by others. */
#include "base/buf.h"
#include "base/descriptor.h"
#include "base/memory.h"
#include "base/secret.h"
#include "site/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_LIMIT ((size_t)1 << 20U)
#define FRESH "site.new"
#define FINAL "site"

static int write_file(const char *path, const char *text)
{
    (void)unlink(path); /* of an attempt that was cut off */
    int fd CLEANUP(descriptor_close) =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc = fd < 0 ? -errno : descriptor_write_all(fd, text, strlen(text));
    return rc == 0 && fsync(fd) != 0 ? -errno : rc;
}

int site_folder_write(const char *folder, const struct site_file *files, struct err *err)
{
    char *fresh CLEANUP(memory_cleanup) = memory_printf("%s/" FRESH, folder);
    if ((mkdir(folder, 0700) != 0 && errno != EEXIST) ||
        (mkdir(fresh, 0700) != 0 && errno != EEXIST)) {
        return err_set_errno(err, errno, "making %s", fresh);
    }
    for (const struct site_file *file = files; file->name != NULL; file++) {
        char *path CLEANUP(memory_cleanup) = memory_printf("%s/%s", fresh, file->name);
        int rc = write_file(path, file->text);
        if (rc != 0) {
            return err_set_errno(err, -rc, "writing %s", path);
        }
    }
    int rc = descriptor_sync_folder(fresh);
    return rc == 0 ? 0 : err_set_errno(err, -rc, "writing %s", fresh);
}

int site_folder_commit(const char *folder, struct err *err)
{
    char *fresh CLEANUP(memory_cleanup) = memory_printf("%s/" FRESH, folder);
    char *final CLEANUP(memory_cleanup) = memory_printf("%s/" FINAL, folder);
    int rc = rename(fresh, final) == 0 ? descriptor_sync_folder(folder) : -errno;
    return rc == 0 ? 0 : err_set_errno(err, -rc, "making %s", final);
}

bool site_folder_exists(const char *folder, const char *name)
{
    char *path CLEANUP(memory_cleanup) = memory_printf("%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

int site_folder_read(const char *folder, const char *name, struct arena *arena,
                     const char **ret_text, struct err *err)
{
    char *path CLEANUP(memory_cleanup) = memory_printf("%s/%s", folder, name);
    struct buf text CLEANUP(buf_done);
    char chunk[4096];
    buf_init(&text, FILE_LIMIT);
    buf_keep_secret(&text);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return err_set_errno(err, errno, "%s", path);
    }
    (void)setvbuf(file, NULL, _IONBF, 0); /* a buffer of stdio would keep a copy */
    for (size_t got = fread(chunk, 1, sizeof chunk, file); got != 0;
         got = fread(chunk, 1, sizeof chunk, file)) {
        buf_put(&text, chunk, got);
    }
    bool failed = ferror(file) != 0 || buf_failed(&text);
    (void)fclose(file); /* only read from */
    secret_wipe_memory(chunk, sizeof chunk);
    if (failed) {
        return err_set(err, ERR_IO, "%s cannot be read, or is larger than %zu bytes", path,
                       FILE_LIMIT);
    }
    *ret_text = arena_strdup(arena, buf_text(&text));
    return 0;
}

void site_folder_remove(const char *folder, const char *name)
{
    char *path CLEANUP(memory_cleanup) = memory_printf("%s/%s", folder, name);
    (void)unlink(path); /* where it stays, what it says is there already the next time */
}

int site_folder_give(const char *folder, struct err *err)
{
    static const char *const names[] = {FINAL, FINAL "/ca.crt", FINAL "/site.crt",
                                        FINAL "/site.key", FINAL "/members.json"};
    struct stat status;
    if (geteuid() != 0) {
        return 0;
    }
    if (stat(folder, &status) != 0) {
        return err_set_errno(err, errno, "%s", folder);
    }
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char *path CLEANUP(memory_cleanup) = memory_printf("%s/%s", folder, names[i]);
        if (lchown(path, status.st_uid, status.st_gid) != 0 && errno != ENOENT) {
            return err_set_errno(err, errno, "giving %s to the owner of %s", path, folder);
        }
    }
    return 0;
}
