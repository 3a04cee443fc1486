/* Notes of whoever keeps a server, beside it: see postgres.h. A note is text with a last line that
 * checks it, so that one that was damaged is told from one that was never written whole. Thread: as
 * postgres.h. */
#include "base/hash.h"
#include "base/text.h"
#include "database/postgres/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NOTE_FILE "run/notes"
#define NOTE_LIMIT 4096U
#define SUM_TEXT 22U /* "sum ", 16 digits, a line's end, NUL */

/* Against damage, not against people: who can write the file can do anything to the server. */
static void format_sum(const char *text, size_t size, char out[SUM_TEXT])
{
    static const struct hash_key key = {.k0 = 0, .k1 = 0};
    (void)snprintf(out, SUM_TEXT, "sum %016" PRIx64 "\n", hash_bytes_2_4(&key, text, size));
}

int postgres_keep_note(const struct postgres *server, const char *text, struct err *err)
{
    char path[PATH_SIZE];
    char sum[SUM_TEXT];
    struct buf whole CLEANUP(buf_done);
    buf_init(&whole, NOTE_LIMIT);
    buf_puts(&whole, text);
    format_sum(text, strlen(text), sum);
    buf_puts(&whole, sum);
    if (buf_failed(&whole)) {
        return err_set(err, ERR_LIMIT, "a note has more than %u bytes", NOTE_LIMIT);
    }
    int r = file_path(server, NOTE_FILE, path, err);
    return r < 0 ? r : file_write(server, path, buf_text(&whole), whole.length, 0600, err);
}

int postgres_read_note(const struct postgres *server, struct buf *ret_text, struct err *err)
{
    char path[PATH_SIZE];
    char sum[SUM_TEXT];
    struct buf whole CLEANUP(buf_done);
    buf_init(&whole, NOTE_LIMIT);
    int r = file_path(server, NOTE_FILE, path, err);
    if (r == 0 && !file_exists(path)) {
        return err_set(err, ERR_NOT_FOUND, "there is no note %s", path);
    }
    r = r < 0 ? r : file_read(path, NOTE_LIMIT, &whole, err);
    if (r < 0) {
        return r;
    }
    size_t size = whole.length >= SUM_TEXT - 1 ? whole.length - (SUM_TEXT - 1) : 0;
    format_sum(buf_text(&whole), size, sum);
    if (whole.length < SUM_TEXT - 1 || !text_equal(buf_text(&whole) + size, sum)) {
        return err_set(err, ERR_CORRUPT, "the note %s is damaged", path);
    }
    buf_reset(ret_text);
    buf_put(ret_text, buf_text(&whole), size);
    return buf_failed(ret_text) ? err_set(err, ERR_MEMORY, "reading %s", path) : 0;
}
