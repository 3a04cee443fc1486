/* Runs the conformance suite against a memory store at the other end of a link. */
#include "store/link.h"

#include "base/memory.h"
#include "store/conformance.h"
#include "store/memory.h"
#include "store/sqlite/folder.h"

#include <stdlib.h>

/* One server and its client at a time: tests run one after the other. */
struct ends {
    char folder[FOLDER_TEXT];
    struct store *lent;
    struct store_link_server *server;
};

static int open_store(void *context, struct store **ret_store, struct err *err)
{
    struct ends *ends = context;
    char *path = memory_printf("%s/link", ends->folder);
    const struct store_link_config config = {.path = path};
    ends->lent = store_memory_open();
    int rc = store_link_listen(&config, &ends->server, err);
    rc = rc != 0 ? rc : store_link_serve(ends->server, ends->lent, err);
    rc = rc != 0 ? rc : store_link_open(path, 0, ret_store, err);
    free(path);
    return rc;
}

static void close_store(void *context, struct store *take_store)
{
    struct ends *ends = context;
    store_close(take_store);
    store_link_stop(ends->server);
    store_close(ends->lent);
}

int main(void)
{
    struct ends ends = {.server = NULL};
    const struct store_factory factory = {
        .name = "link", .context = &ends, .open = open_store, .close = close_store};
    folder_make(ends.folder);
    int failed = store_conformance_run(&factory);
    folder_remove(ends.folder);
    return failed;
}
