/* A temporary folder of a test: see folder.h. */
#include "store/sqlite/folder.h"

#include "base/macro.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void folder_make(char out[FOLDER_TEXT])
{
    const char *parent = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    int length =
        snprintf(out, FOLDER_TEXT, "%s/leeward-store-XXXXXX", parent != NULL ? parent : "/tmp");
    if (length < 0 || (unsigned)length >= FOLDER_TEXT || mkdtemp(out) == NULL) {
        perror("cannot make a temporary folder");
        abort();
    }
}

void folder_remove(const char *folder)
{
    static const char *const names[] = {
        "leeward.db",         "leeward.db-wal",         "leeward.db-shm", "leeward.lock",
        "replica.db",         "replica.db-wal",         "replica.db-shm", "replica.lock",
        "replica.db.damaged", "replica.db.damaged-wal",
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char file[FOLDER_TEXT + 32];
        (void)snprintf(file, sizeof file, "%s/%s", folder, names[i]); /* fits */
        (void)unlink(file);                                           /* not every file is there */
    }
    if (rmdir(folder) != 0) {
        perror(folder);
    }
}
