/* PostgreSQL's backup manifest, for backups that were made of files: every file with its size and
 * SHA-256, the log that belongs to it, and a checksum of the manifest itself, as pg_basebackup
 * writes it and pg_verifybackup reads it (PostgreSQL's manual, "Backup Manifest Format"). See
 * internal.h. Thread: as postgres.h. Invariant: the files are not changed any more. */
#include "base/descriptor.h"
#include "base/text.h"
#include "base/time.h"
#include "database/postgres/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#define MANIFEST_LIMIT ((size_t)512 << 20)
#define TAIL 4096
#define DIGEST 32U
#define CHUNK 65536U

static void close_walk(FTS **walk)
{
    if (*walk != NULL) {
        (void)fts_close(*walk); /* only read */
    }
}

static void free_digest(EVP_MD_CTX **digest)
{
    EVP_MD_CTX_free(*digest);
}

static void put_hex(struct buf *out, const uint8_t digest[DIGEST])
{
    for (size_t i = 0; i < DIGEST; i++) {
        buf_printf(out, "%02x", (unsigned)digest[i]);
    }
}

static int digest_file(const char *path, uint8_t ret_digest[DIGEST], int64_t *ret_size,
                       struct err *err)
{
    uint8_t chunk[CHUNK];
    unsigned length = 0;
    int64_t total = 0;
    int fd CLEANUP(descriptor_close) = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    EVP_MD_CTX *digest CLEANUP(free_digest) = EVP_MD_CTX_new();
    if (fd < 0) {
        return err_set_errno(err, errno, "%s", path);
    }
    bool fine = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1;
    while (fine) {
        ssize_t size = read(fd, chunk, sizeof(chunk));
        if (size < 0 && errno != EINTR) {
            return err_set_errno(err, errno, "reading %s", path);
        }
        if (size == 0) {
            break;
        }
        total += MAX(size, 0);
        fine = size < 0 || EVP_DigestUpdate(digest, chunk, (size_t)size) == 1;
    }
    fine = fine && EVP_DigestFinal_ex(digest, ret_digest, &length) == 1 && length == DIGEST;
    *ret_size = total;
    return fine ? 0 : err_set(err, ERR_MEMORY, "the checksum of %s", path);
}

/* Names are PostgreSQL's: letters, digits, '.', '_' and '-'; others would need to be encoded. */
static int put_file(const char *name, const FTSENT *entry, bool first, struct buf *out,
                    _Atomic int64_t *ret_bytes, struct err *err)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/";
    uint8_t digest[DIGEST] = {0};
    int64_t size = 0;
    struct tm parts;
    char date[32];
    if (name[strspn(name, plain)] != '\0') {
        return err_set(err, ERR_UNSUPPORTED, "%s is no file of PostgreSQL's", entry->fts_path);
    }
    int r = digest_file(entry->fts_path, digest, &size, err);
    if (r < 0) {
        return r;
    }
    (void)gmtime_r(&entry->fts_statp->st_mtime, &parts);                 /* a file's time */
    (void)strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S GMT", &parts); /* fits */
    buf_printf(out,
               "%s{ \"Path\": \"%s\", \"Size\": %lld, \"Last-Modified\": \"%s\", "
               "\"Checksum-Algorithm\": \"SHA256\", \"Checksum\": \"",
               first ? "\n" : ",\n", name, (long long)size, date);
    put_hex(out, digest);
    buf_puts(out, "\" }");
    if (ret_bytes != NULL) {
        *ret_bytes += size;
    }
    return 0;
}

/* The log has checksums of its own; the other ones may be changed before a server is started. */
static bool is_left_out(const char *name)
{
    static const char *const names[] = {"postgresql.auto.conf", "standby.signal", "recovery.signal",
                                        "backup_manifest"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (text_equal(name, names[i])) {
            return true;
        }
    }
    return text_starts(name, "pg_wal/");
}

static int put_files(char *data, struct buf *out, const struct postgres_limit *limit,
                     _Atomic int64_t *ret_bytes, struct err *err)
{
    char *paths[] = {data, NULL};
    size_t skip = strlen(data) + 1;
    FTS *walk CLEANUP(close_walk) = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    if (walk == NULL) {
        return err_set_errno(err, errno, "reading %s", data);
    }
    bool first = true;
    int r = 0;
    FTSENT *entry = NULL;
    while (r == 0 && (entry = fts_read(walk)) != NULL) {
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS) {
            r = err_set_errno(err, entry->fts_errno, "reading %s", entry->fts_path);
        } else if (entry->fts_info == FTS_F && !is_left_out(entry->fts_path + skip)) {
            r = limit_check(limit, "reading the backup", err);
            r = r < 0 ? r : put_file(entry->fts_path + skip, entry, first, out, ret_bytes, err);
            first = false;
        }
    }
    return r;
}

/* From the last checkpoint on, where that is of the timeline that the log ends on. */
static void put_log(struct buf *out, const struct postgres_control *control, model_lsn end)
{
    char from[MODEL_LSN_TEXT];
    char to[MODEL_LSN_TEXT];
    buf_puts(out, "\"WAL-Ranges\": [\n");
    if (control->timeline == control->checkpoint_timeline && control->checkpoint < end) {
        model_lsn_format(control->checkpoint, from);
        model_lsn_format(end, to);
        buf_printf(out, "{ \"Timeline\": %u, \"Start-LSN\": \"%s\", \"End-LSN\": \"%s\" }\n",
                   (unsigned)control->timeline, from, to);
    }
    buf_puts(out, "],\n");
}

int manifest_write(const struct postgres *backup, const struct postgres_control *control,
                   model_lsn end, const struct postgres_limit *limit, _Atomic int64_t *ret_bytes,
                   struct err *err)
{
    char data[PATH_SIZE];
    char path[PATH_SIZE];
    uint8_t digest[DIGEST] = {0};
    unsigned length = 0;
    struct buf text CLEANUP(buf_done);
    buf_init(&text, MANIFEST_LIMIT);
    int r = file_path(backup, "data", data, err);
    r = r < 0 ? r : file_path(backup, "data/backup_manifest", path, err);
    buf_puts(&text, "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [");
    r = r < 0 ? r : put_files(data, &text, limit, ret_bytes, err);
    buf_puts(&text, "\n],\n");
    put_log(&text, control, end);
    if (r == 0 && (buf_failed(&text) || EVP_Digest(buf_text(&text), text.length, digest, &length,
                                                   EVP_sha256(), NULL) != 1)) {
        r = err_set(err, ERR_MEMORY, "the manifest of the backup");
    }
    if (r < 0) {
        return r;
    }
    buf_puts(&text, "\"Manifest-Checksum\": \"");
    put_hex(&text, digest);
    buf_puts(&text, "\"}\n");
    return buf_failed(&text) ? err_set(err, ERR_MEMORY, "the manifest of the backup")
                             : file_write(backup, path, buf_text(&text), text.length, 0600, err);
}

int manifest_end(const struct postgres *backup, model_lsn *ret_end, struct err *err)
{
    static const char name[] = "\"End-LSN\": \"";
    char path[PATH_SIZE];
    char text[TAIL + 1];
    struct stat status;
    int r = file_path(backup, "data/backup_manifest", path, err);
    int fd CLEANUP(descriptor_close) = r < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (r < 0 || fd < 0 || fstat(fd, &status) < 0) {
        return r < 0 ? r : err_set_errno(err, errno, "%s", path);
    }
    ssize_t size = pread(fd, text, TAIL, MAX(status.st_size - TAIL, 0));
    text[MAX(size, 0)] = '\0';
    *ret_end = 0;
    for (char *at = strstr(text, name); at != NULL; at = strstr(at, name)) {
        model_lsn end = 0;
        at += sizeof(name) - 1;
        char lsn[MODEL_LSN_TEXT];
        if (text_copy_n(lsn, sizeof(lsn), at, strcspn(at, "\"")) == 0 &&
            model_lsn_parse(lsn, &end) == 0) {
            *ret_end = MAX(*ret_end, end);
        }
    }
    return 0;
}
