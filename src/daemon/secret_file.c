/* Reading secret files: see secret_file.h. Called by daemon.c and protection.c; the caller owns the
 * text. Invariant: no copy of the contents stays behind. */
#include "daemon/secret_file.h"

#include "base/buf.h"
#include "base/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_LIMIT (1U << 20U)

int secret_file_read(const char *path, char **ret_text, struct err *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL && errno == EACCES) {
        return err_set_errno(err, EACCES,
                             "%s: not readable for the user (id %u) that this process runs as",
                             path, (unsigned)geteuid());
    }
    if (file == NULL) {
        return err_set_errno(err, errno, "%s", path);
    }
    char chunk[4096];
    (void)setvbuf(file, NULL, _IONBF, 0); /* a buffer of stdio would keep a copy */
    struct buf text CLEANUP(buf_done);
    buf_init(&text, FILE_LIMIT);
    buf_keep_secret(&text);
    for (size_t got = fread(chunk, 1, sizeof chunk, file); got != 0;
         got = fread(chunk, 1, sizeof chunk, file)) {
        buf_put(&text, chunk, got);
    }
    bool failed = ferror(file) != 0;
    (void)fclose(file); /* only read from */
    secret_wipe_memory(chunk, sizeof chunk);
    size_t length = 0;
    char *taken = failed ? NULL : buf_take(&text, &length);
    if (taken == NULL) {
        return err_set(err, ERR_IO, "%s: cannot be read, or is larger than %u bytes", path,
                       FILE_LIMIT);
    }
    *ret_text = taken;
    return 0;
}

void secret_file_free(char *take_text)
{
    if (take_text != NULL) {
        secret_wipe_memory(take_text, strlen(take_text));
        free(take_text);
    }
}
