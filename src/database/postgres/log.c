/* What a server says while it runs, bounded: see postgres.h. Thread: any, as it touches the log
 * alone. Invariant: the server goes on to write to the same file, at its end, wherever that is. */
#include "database/postgres/internal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MOST ((off_t)64 << 20) /* more than at which a start turns it over */

int postgres_turn_log(const struct postgres *server, bool *ret_turned, struct err *err)
{
    char path[PATH_SIZE];
    char old[PATH_SIZE + 2];
    struct stat status;
    struct err ignored = ERR_INIT;
    *ret_turned = false;
    int r = file_path(server, "log/postgres.log", path, err);
    if (r < 0 || stat(path, &status) < 0 || status.st_size <= LOG_MOST) {
        return r;
    }
    (void)snprintf(old, sizeof(old), "%s.1", path); /* longer by two */
    if (file_copy(server, path, old, &ignored) < 0) {
        (void)unlink(old); /* there is no room for it, and a log is no reason for that */
    }
    if (truncate(path, 0) < 0) {
        return err_set_errno(err, errno, "%s", path);
    }
    *ret_turned = true;
    return 0;
}
