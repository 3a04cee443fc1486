/* Runs the conformance suite against the SQLite store, a fresh folder a test. */
#include "store/sqlite.h"

#include "store/conformance.h"
#include "store/sqlite/folder.h"

static int open_store(void *context, struct store **ret_store, struct err *err)
{
    folder_make(context);
    return store_sqlite_open(context, ret_store, err);
}

static void close_store(void *context, struct store *take_store)
{
    store_close(take_store);
    folder_remove(context);
}

int main(void)
{
    char folder[FOLDER_TEXT];
    const struct store_factory factory = {
        .name = "sqlite", .context = folder, .open = open_store, .close = close_store};
    return store_conformance_run(&factory);
}
