/* pg_control and the WAL files of a server, read without PostgreSQL's help, because a switchover
 * waits for it: see postgres.h. Thread: as postgres.h; nothing is kept.
 *
 * Layout: catalog/pg_control.h of PostgreSQL 13 to 16 (version 1300), little-endian, 8 bytes
 * aligned. The file's checksum is verified, so that a read in the middle of a write is seen. */
#include "base/text.h"
#include "database/postgres/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONTROL_VERSION 1300U
#define CONTROL_SIZE 296U /* of what is in use; the checksum is the last 4 of 292 */
#define READS 50          /* of a file that is being written */

/* Offsets in the file. */
enum {
    AT_SYSTEM = 0,
    AT_VERSION = 8,
    AT_STATE = 16,
    AT_CHECKPOINT = 32,
    AT_TIMELINE = 48,
    AT_MINIMUM = 136,
    AT_MINIMUM_TIMELINE = 144,
    AT_CONNECTIONS = 180,
    AT_WORKERS = 184,
    AT_PREPARED = 192,
    AT_LOCKS = 196,
    AT_SEGMENT = 228,
    AT_CHECKSUMS = 252,
    AT_CRC = 288,
};

/* DBState */
enum {
    STATE_STARTUP,
    STATE_SHUTDOWNED,
    STATE_SHUTDOWNED_IN_RECOVERY,
    STATE_SHUTDOWNING,
    STATE_IN_CRASH_RECOVERY,
    STATE_IN_ARCHIVE_RECOVERY,
    STATE_IN_PRODUCTION,
};

static uint32_t u32_at(const uint8_t *data, size_t at)
{
    return (uint32_t)data[at] | (uint32_t)data[at + 1] << 8U | (uint32_t)data[at + 2] << 16U |
           (uint32_t)data[at + 3] << 24U;
}

static uint64_t u64_at(const uint8_t *data, size_t at)
{
    return (uint64_t)u32_at(data, at) | (uint64_t)u32_at(data, at + 4) << 32U;
}

/* CRC-32C (Castagnoli), bit by bit: 288 bytes. */
static uint32_t crc32c(const uint8_t *data, size_t size)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1U ^ (UINT32_C(0x82F63B78) & (0U - (crc & 1U)));
        }
    }
    return ~crc;
}

static int read_at(const char *path, void *data, size_t size, off_t offset, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(err, errno, "%s", path);
    }
    ssize_t got = pread(fd, data, size, offset);
    int code = got < 0 ? errno : EBADMSG;
    (void)close(fd); /* only read from */
    return got == (ssize_t)size ? 0 : err_set_errno(err, code, "reading %s", path);
}

static int read_control(const char *path, uint8_t data[CONTROL_SIZE], struct err *err)
{
    for (int i = 0; i < READS; i++) {
        int r = read_at(path, data, CONTROL_SIZE, 0, err);
        if (r < 0) {
            return r;
        }
        if (u32_at(data, AT_VERSION) != CONTROL_VERSION) {
            return err_set(err, ERR_UNSUPPORTED, "%s is of version %u, which is not known", path,
                           u32_at(data, AT_VERSION));
        }
        if (crc32c(data, AT_CRC) == u32_at(data, AT_CRC)) {
            return 0;
        }
        (void)usleep(200); /* the server writes it with one call */
    }
    return err_set(err, ERR_CORRUPT, "%s: its checksum is wrong", path);
}

int postgres_control(const struct postgres *server, struct postgres_control *ret_control,
                     struct err *err)
{
    char path[PATH_SIZE];
    uint8_t data[CONTROL_SIZE] = {0};
    int r = file_path(server, "data/global/pg_control", path, err);
    if (r == 0) {
        r = read_control(path, data, err);
    }
    if (r < 0) {
        return r;
    }
    uint32_t state = u32_at(data, AT_STATE);
    uint32_t checkpointed = u32_at(data, AT_TIMELINE);
    /* A promotion makes no checkpoint at once, but says here on which timeline the log goes on; so
     * does a standby. A primary that was shut down has nothing here. */
    uint32_t reached = state == STATE_SHUTDOWNED ? 0 : u32_at(data, AT_MINIMUM_TIMELINE);
    struct postgres_control control = {
        .system_id = u64_at(data, AT_SYSTEM),
        .timeline = MAX(checkpointed, reached),
        .checkpoint_timeline = checkpointed,
        .primary = state == STATE_SHUTDOWNED || state == STATE_SHUTDOWNING ||
                   state == STATE_IN_CRASH_RECOVERY || state == STATE_IN_PRODUCTION,
        .running = state == STATE_IN_PRODUCTION,
        .clean = state == STATE_SHUTDOWNED,
        .checkpoint = u64_at(data, AT_CHECKPOINT),
        .minimum = u64_at(data, AT_MINIMUM),
        .segment = u32_at(data, AT_SEGMENT),
        .checksums = u32_at(data, AT_CHECKSUMS) != 0,
    };
    if (control.clean) {
        r = wal_record_end(server, control.timeline, control.segment, control.checkpoint,
                           &control.end, err);
    }
    if (r == 0) {
        *ret_control = control;
    }
    return r;
}

int control_limits(const struct postgres *server, struct control_limit ret_limits[CONTROL_LIMITS],
                   struct err *err)
{
    static const struct {
        const char *name;
        size_t at;
    } limits[CONTROL_LIMITS] = {
        {"max_connections", AT_CONNECTIONS},
        {"max_worker_processes", AT_WORKERS},
        {"max_prepared_transactions", AT_PREPARED},
        {"max_locks_per_transaction", AT_LOCKS},
    };
    char path[PATH_SIZE];
    uint8_t data[CONTROL_SIZE] = {0};
    int r = file_path(server, "data/global/pg_control", path, err);
    if (r == 0) {
        r = read_control(path, data, err);
    }
    for (size_t i = 0; r == 0 && i < CONTROL_LIMITS; i++) {
        ret_limits[i] = (struct control_limit){.name = limits[i].name,
                                               .value = (int32_t)u32_at(data, limits[i].at)};
    }
    return r;
}

#define WAL_PAGE 8192U
#define WAL_PAGE_HEADER 24U
#define WAL_SEGMENT_HEADER 40U /* of a file's first page */

void wal_file_name(uint32_t timeline, uint32_t segment, model_lsn lsn, char out[WAL_NAME])
{
    uint64_t number = lsn / segment;
    uint64_t a_log = (UINT64_C(1) << 32U) / segment; /* files of one upper half */
    (void)snprintf(out, WAL_NAME, "%08X%08X%08X", timeline, (uint32_t)(number / a_log),
                   (uint32_t)(number % a_log));
}

int wal_record_end(const struct postgres *server, uint32_t timeline, uint32_t segment,
                   model_lsn lsn, model_lsn *ret_end, struct err *err)
{
    char name[WAL_NAME];
    char below[64];
    char path[PATH_SIZE];
    uint8_t length[4] = {0};
    if (segment < (1U << 20U) || (segment & (segment - 1)) != 0) {
        return err_set(err, ERR_CORRUPT, "pg_control tells %u bytes as the size of a WAL file",
                       segment);
    }
    wal_file_name(timeline, segment, lsn, name);
    (void)snprintf(below, sizeof(below), "data/pg_wal/%s", name);
    int r = file_path(server, below, path, err);
    if (r == 0) {
        r = read_at(path, length, sizeof(length), (off_t)(lsn % segment), err);
    }
    if (r < 0) {
        return r;
    }
    uint64_t left = u32_at(length, 0);
    if (left < 24 || left > (1U << 20U)) { /* a checkpoint's record has 114 bytes */
        return err_set(err, ERR_CORRUPT, "there is no record at the last checkpoint in %s", path);
    }
    model_lsn end = lsn;
    for (;;) {
        uint64_t room = WAL_PAGE - end % WAL_PAGE;
        if (left <= room) {
            end += left;
            break;
        }
        left -= room;
        end += room;
        end += end % segment == 0 ? WAL_SEGMENT_HEADER : WAL_PAGE_HEADER;
    }
    *ret_end = (end + 7) / 8 * 8;
    return 0;
}

/* Where the first WAL file from there on begins that is not there; `from`: none is, or pg_control
 * is damaged. pg_waldump is told to stop there, because it would wait for that file for five
 * seconds. */
static model_lsn end_of_files(const struct postgres *server, const struct postgres_control *control,
                              model_lsn from)
{
    struct err ignored = ERR_INIT;
    model_lsn end = from;
    uint32_t segment = control->segment;
    if (segment < (1U << 20U) || (segment & (segment - 1)) != 0) {
        return from;
    }
    for (;;) {
        char name[WAL_NAME];
        char below[64];
        char path[PATH_SIZE];
        wal_file_name(control->timeline, segment, end, name);
        (void)snprintf(below, sizeof(below), "data/pg_wal/%s", name); /* it fits */
        if (file_path(server, below, path, &ignored) < 0 || !file_exists(path)) {
            return end;
        }
        end += segment - end % segment;
    }
}

/* pg_waldump's last words: "first record after 0/3000028" or "error in WAL record at 0/301A0B0:
 * .."; its lines: "rmgr: .. lsn: 0/03012340, prev ..". */
struct end_search {
    model_lsn last; /* where the last record begins */
};

static int note_record(void *context, char *line, struct err *err)
{
    (void)err;
    struct end_search *search = context;
    const char *at = strstr(line, "lsn: ");
    char text[MODEL_LSN_TEXT];
    model_lsn lsn = 0;
    if (text_starts(line, "rmgr: ") && at != NULL &&
        text_copy_n(text, sizeof(text), at + 5, MIN(strcspn(at + 5, ", "), sizeof(text) - 1)) ==
            0 &&
        model_lsn_parse(text, &lsn) == 0) {
        search->last = lsn;
    }
    return 0;
}

int postgres_end_of_log(const struct postgres *server, const struct postgres_limit *limit,
                        model_lsn *ret_end, struct err *err)
{
    struct postgres_control control = {.clean = false};
    int r = postgres_control(server, &control, err);
    if (r < 0) {
        return r;
    }
    if (control.clean) {
        *ret_end = control.end;
        return 0;
    }
    bool moved = control.timeline != control.checkpoint_timeline;
    model_lsn from = control.checkpoint;
    if (moved) { /* the newer timeline's files begin with the one in which it forked */
        from = MAX(control.minimum, 1U) - 1;
        from -= from % MAX(control.segment, 1U);
    }
    char start[MODEL_LSN_TEXT];
    char stop[MODEL_LSN_TEXT];
    char folder[PATH_SIZE];
    char timeline[16];
    model_lsn end = end_of_files(server, &control, from);
    model_lsn_format(from, start);
    model_lsn_format(end, stop);
    (void)snprintf(timeline, sizeof(timeline), "%u", control.timeline);
    r = wal_view_make(server, &control, from, folder, err);
    if (r < 0) {
        return r;
    }
    const char *const arguments[] = {
        "-p", folder, "-t", timeline, "-s", start, end > from ? "-e" : NULL, stop, NULL};
    struct end_search search = {.last = moved ? 0 : control.checkpoint};
    struct err ended = ERR_INIT; /* it always ends with an error: there is no next record */
    const struct child child = {
        .program = "pg_waldump", .arguments = arguments, .keep_errors = true, .no_log = true};
    r = child_read(server, &child, limit, note_record, &search, &ended);
    wal_view_drop(folder);
    if (r < 0 && ended.kind != ERR_UNAVAILABLE) {
        *err = ended;
        return r;
    }
    if (search.last == 0) {
        *ret_end = control.minimum;
        return 0;
    }
    r = wal_record_end(server, control.timeline, control.segment, search.last, &from, err);
    if (r == 0) {
        *ret_end = MAX(from, control.minimum);
    }
    return r;
}
