/* Where the keys come from: the environment, or a file that is made when there is none. Called at
 * start, main thread. Invariants: a key file appears whole under its name or not at all, is on disk
 * before anything is sealed with it, and is never readable by others; copies of key text are wiped.
 */
#include "base/buf.h"
#include "base/descriptor.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/text.h"
#include "seal/internal.h"
#include "seal/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_LIMIT 16384U
#define BLANK " \t\r"
#define BASE64_LIMIT 64U /* more than a key takes: a buffer that small never moves */
#define NEW_FILE_LIMIT 256U
#define FILE_COMMENT                                                                               \
    "# Seals the secrets in leewardd's store. Without it they are lost: keep a copy elsewhere.\n"

/* The text of a file, wiped when it is done with. */
struct file_text {
    size_t length;
    char text[FILE_LIMIT + 1];
};

/* ---- key text ---- */

static bool id_is_valid(const char *id, size_t length)
{
    return length >= 1 && length <= SEAL_ID_LIMIT &&
           strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") >= length;
}

/* One key out of `line`, which has no blanks around it. Returns what is wrong with it, or NULL. */
static const char *read_key(const char *line, size_t length, struct seal_key *key)
{
    size_t first = strcspn(line, BLANK);
    const char *base64 = line;
    size_t id_length = 0;
    if (first < length) {
        id_length = first;
        base64 = line + first + strspn(line + first, BLANK);
    }
    size_t base64_length = length - (size_t)(base64 - line);
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, SEAL_KEY_SIZE);
    buf_keep_secret(&bytes);
    if (text_unbase64(base64, base64_length, &bytes) != 0 || buf_failed(&bytes) ||
        bytes.length != SEAL_KEY_SIZE) {
        return "a key is the base64 of 32 bytes";
    }
    (void)memcpy(key->bytes, bytes.data, SEAL_KEY_SIZE);
    if (id_length == 0) {
        seal_derive_id(key->bytes, key->id);
        return NULL;
    }
    if (!id_is_valid(line, id_length)) {
        return "the name of a key is 1 to 32 of A-Z, a-z, 0-9, '_' and '-'";
    }
    (void)memcpy(key->id, line, id_length);
    return NULL;
}

static const char *add_key(struct seal *seal, const char *line, size_t length)
{
    if (seal->count == SEAL_KEYS_LIMIT) {
        return "there are more than 16 keys";
    }
    struct seal_key *key = &seal->keys[seal->count];
    const char *complaint = read_key(line, length, key);
    if (complaint != NULL) {
        return complaint;
    }
    for (size_t i = 0; i < seal->count; i++) {
        if (text_equal(seal->keys[i].id, key->id)) {
            return "two keys have one name";
        }
    }
    seal->count++;
    return NULL;
}

int seal_parse(const char *text, const char *source, struct seal **ret_seal, struct err *err)
{
    struct seal *seal = memory_new(sizeof *seal);
    size_t number = 0;
    for (const char *at = text; *at != '\0';) {
        const char *next = at + strcspn(at, "\n");
        const char *end = next;
        number++;
        at += strspn(at, BLANK);
        while (end > at && strchr(BLANK, end[-1]) != NULL) {
            end--;
        }
        const char *complaint =
            at >= end || *at == '#' ? NULL : add_key(seal, at, (size_t)(end - at));
        if (complaint != NULL) {
            seal_free(seal);
            return err_set(err, ERR_INVALID, "%s: line %zu: %s", source, number, complaint);
        }
        at = next + (*next == '\n' ? 1 : 0);
    }
    if (seal->count == 0) {
        seal_free(seal);
        return err_set(err, ERR_INVALID, "%s: it holds no key", source);
    }
    *ret_seal = seal;
    return 0;
}

/* ---- the file ---- */

static int sync_folder(const char *path)
{
    char *folder CLEANUP(memory_cleanup) = memory_strdup(path);
    char *slash = strrchr(folder, '/');
    if (slash != NULL) {
        slash[slash == folder ? 1 : 0] = '\0';
    }
    return descriptor_sync_folder(slash != NULL ? folder : ".");
}

/* A random key into the file `path`, which must not exist. */
static int write_new(const char *path)
{
    struct seal_key key;
    char text[NEW_FILE_LIMIT];
    struct buf base64 CLEANUP(buf_done);
    buf_init(&base64, BASE64_LIMIT);
    buf_keep_secret(&base64);
    int fd CLEANUP(descriptor_close) =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return -errno;
    }
    random_bytes(key.bytes, sizeof key.bytes);
    seal_derive_id(key.bytes, key.id);
    text_base64(&base64, key.bytes, sizeof key.bytes);
    int length = snprintf(text, sizeof text, FILE_COMMENT "%s %s\n", key.id, buf_text(&base64));
    secret_wipe_memory(&key, sizeof key);
    int rc = buf_failed(&base64) ? -ENOMEM : descriptor_write_all(fd, text, (size_t)length);
    secret_wipe_memory(text, sizeof text);
    if (rc == 0 && fsync(fd) != 0) {
        rc = -errno;
    }
    return rc;
}

/* Written under a name of its own, then linked: linking neither shows half a file nor replaces the
 * file of another maker. */
static int make_file(const char *path, struct err *err)
{
    char random[9];
    random_text(random, sizeof random - 1, "abcdefghijklmnopqrstuvwxyz234567");
    char *temporary CLEANUP(memory_cleanup) = memory_printf("%s.%s", path, random);
    int rc = write_new(temporary);
    if (rc == 0 && link(temporary, path) != 0 && errno != EEXIST) {
        rc = -errno;
    }
    if (rc != -EEXIST) {
        (void)unlink(temporary); /* a left-over holds a key that sealed nothing */
    }
    rc = rc != 0 ? rc : sync_folder(path);
    return rc == 0 ? 0 : err_set_errno(err, -rc, "making the seal key file %s", path);
}

static int check_file(int fd, const char *path, struct err *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return err_set_errno(err, errno, "seal key file %s", path);
    }
    if (!S_ISREG(status.st_mode)) {
        return err_set(err, ERR_INVALID, "seal key file %s: it is not a file", path);
    }
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return err_set(err, ERR_DENIED,
                       "seal key file %s: its mode %04o lets others read it: chmod 600 it, and "
                       "replace the key when somebody may have",
                       path, (unsigned)(status.st_mode & 07777));
    }
    return 0;
}

static int read_all(int fd, const char *path, struct file_text *file, struct err *err)
{
    ssize_t got = 0;
    do {
        got = read(fd, file->text + file->length, sizeof file->text - file->length);
        file->length += got > 0 ? (size_t)got : 0;
    } while ((got > 0 && file->length < sizeof file->text) || (got < 0 && errno == EINTR));
    if (got < 0) {
        return err_set_errno(err, errno, "seal key file %s", path);
    }
    if (file->length == sizeof file->text || strlen(file->text) != file->length) {
        return err_set(err, ERR_INVALID, "seal key file %s: it is no text of at most %u bytes",
                       path, FILE_LIMIT);
    }
    return 0;
}

static void free_text(struct file_text **file)
{
    secret_wipe_memory(*file, sizeof **file);
    free(*file);
}

static int read_file(const char *path, struct seal **ret_seal, struct err *err)
{
    int fd CLEANUP(descriptor_close) = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return err_set_errno(err, errno, "seal key file %s", path);
    }
    struct file_text *file CLEANUP(free_text) = memory_new(sizeof *file);
    int rc = check_file(fd, path, err);
    rc = rc != 0 ? rc : read_all(fd, path, file, err);
    if (rc != 0) {
        return rc;
    }
    char *source CLEANUP(memory_cleanup) = memory_printf("seal key file %s", path);
    return seal_parse(file->text, source, ret_seal, err);
}

static const char *environment(void)
{
    return getenv(SEAL_ENVIRONMENT); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
}

bool seal_from_environment(void)
{
    return !text_empty(environment());
}

int seal_open(const char *path, struct seal **ret_seal, struct err *err)
{
    if (seal_from_environment()) {
        return seal_parse(environment(), SEAL_ENVIRONMENT, ret_seal, err);
    }
    int rc = read_file(path, ret_seal, err);
    if (rc != -ENOENT) {
        return rc;
    }
    err_clear(err);
    rc = make_file(path, err);
    return rc != 0 ? rc : read_file(path, ret_seal, err);
}

/* ---- another machine ---- */

void seal_export(const struct seal *seal, struct buf *out)
{
    for (size_t i = 0; i < seal->count; i++) {
        buf_printf(out, "%s ", seal->keys[i].id);
        text_base64(out, seal->keys[i].bytes, SEAL_KEY_SIZE);
        buf_putc(out, '\n');
    }
}

static bool holds(const struct seal *seal, const char *id)
{
    for (size_t i = 0; i < seal->count; i++) {
        if (text_equal(seal->keys[i].id, id)) {
            return true;
        }
    }
    return false;
}

/* Keys of `more` that are not there come behind. */
static int append_keys(struct seal *seal, const struct seal *more, struct err *err)
{
    for (size_t i = 0; i < more->count; i++) {
        if (holds(seal, more->keys[i].id)) {
            continue;
        }
        if (seal->count == SEAL_KEYS_LIMIT) {
            return err_set(err, ERR_LIMIT, "there would be more than %u seal keys",
                           SEAL_KEYS_LIMIT);
        }
        seal->keys[seal->count++] = more->keys[i];
    }
    return 0;
}

static int replace_file(const char *path, const struct seal *seal)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, FILE_LIMIT);
    buf_keep_secret(&text);
    buf_puts(&text, FILE_COMMENT);
    seal_export(seal, &text);
    char *temporary CLEANUP(memory_cleanup) = memory_printf("%s.new", path);
    (void)unlink(temporary); /* of an attempt that was cut off */
    int fd CLEANUP(descriptor_close) =
        open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return -errno;
    }
    int rc = buf_failed(&text) ? -ENOMEM : descriptor_write_all(fd, text.data, text.length);
    rc = rc == 0 && fsync(fd) != 0 ? -errno : rc;
    rc = rc == 0 && rename(temporary, path) != 0 ? -errno : rc;
    return rc != 0 ? rc : sync_folder(path);
}

int seal_install(const char *path, const char *text, struct err *err)
{
    struct seal *seal CLEANUP(seal_cleanup) = NULL;
    struct seal *old CLEANUP(seal_cleanup) = NULL;
    int rc = seal_parse(text, "the seal keys that came", &seal, err);
    if (rc == 0 && access(path, F_OK) == 0) {
        rc = read_file(path, &old, err);
    }
    if (rc == 0 && old != NULL) {
        rc = append_keys(seal, old, err);
    }
    if (rc != 0) {
        return rc;
    }
    rc = replace_file(path, seal);
    return rc == 0 ? 0 : err_set_errno(err, -rc, "writing the seal key file %s", path);
}
