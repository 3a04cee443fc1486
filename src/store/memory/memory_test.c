/* Runs the conformance suite against the memory store. */
#include "store/memory.h"

#include "store/conformance.h"

static int open_store(void *context, struct store **ret_store, struct err *err)
{
    (void)context;
    (void)err; /* cannot fail */
    *ret_store = store_memory_open();
    return 0;
}

static void close_store(void *context, struct store *take_store)
{
    (void)context;
    store_close(take_store);
}

int main(void)
{
    const struct store_factory factory = {
        .name = "memory", .open = open_store, .close = close_store};
    return store_conformance_run(&factory);
}
