/* Loading: see load.h. Two threads take turns at reading a page of the store; what costs most, the
 * decoding of JSON and of addresses, they do beside each other and beside the compiler thread,
 * which only inserts. Pages may come to the database in any order: their keys differ. A page's
 * memory is its thread's. Invariant: once a read failed, no further page is begun. */
#include "daemon/load.h"

#include "base/memory.h"
#include "base/text.h"
#include "model/path.h"
#include "model/zone.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LOAD_PAGE 10000U /* records: fewer publications make up for the memory */
#define LOAD_HELPERS 1U  /* threads beside the caller's */

struct load {
    struct store *store;
    struct compiler *compiler;
    load_report report;
    void *context;
    pthread_mutex_t mutex; /* of what follows */
    char *after;           /* the last key read; NULL before the first */
    bool more;
    struct load_revisions revisions;
    int result;
    struct err err;
};

struct page {
    struct zone_put **puts;
    size_t count;
};

int load_prepare(const struct store_entry *entry, struct arena *arena, struct zone_put **ret_put,
                 struct err *err)
{
    struct model_record_set record;
    bool own = text_starts(entry->key, PATH_RECORDS); /* else what a traffic policy made */
    size_t prefix = strlen(own ? PATH_RECORDS : PATH_TRAFFIC_RECORDS);
    char *zone_id = arena_strdup(arena, entry->key + prefix);
    zone_id[strcspn(zone_id, "/")] = '\0';
    int rc = model_record_set_decode(entry->value, entry->size, zone_id, arena, &record, err);
    return rc != 0 ? rc : zone_put_new(&record, arena, ret_put, err);
}

/* On the compiler thread. */
static void insert(struct zone_database *database, void *argument)
{
    const struct page *page = argument;
    for (size_t i = 0; i < page->count; i++) {
        zone_database_put(database, page->puts[i]);
    }
    zone_database_publish(database);
}

/* The next page; none when all were read, or a read failed. */
static struct store_list next_page(struct load *load, struct arena *arena)
{
    struct store_list list = {0};
    (void)pthread_mutex_lock(&load->mutex);
    if (load->more && load->result == 0) {
        load->result = store_range(load->store, PATH_RECORDS, load->after, LOAD_PAGE, arena, &list,
                                   &load->err);
        if (load->result == 0) {
            load->more = list.more && list.count != 0;
            load->revisions.last = list.revision;
            if (load->revisions.first == 0) {
                load->revisions.first = list.revision;
            }
        }
        free(load->after);
        load->after = load->more && load->result == 0
                          ? memory_strdup(list.entries[list.count - 1].key)
                          : NULL;
    }
    (void)pthread_mutex_unlock(&load->mutex);
    return list;
}

/* One of the threads: returns when there is nothing left to read. */
static void *load_pages(void *argument)
{
    struct load *load = argument;
    for (;;) {
        struct arena arena CLEANUP(arena_done);
        arena_init(&arena, 0);
        struct store_list list = next_page(load, &arena);
        if (list.count == 0) {
            return NULL;
        }
        struct page page = {.puts = arena_array(&arena, list.count, sizeof(struct zone_put *))};
        for (size_t i = 0; i < list.count; i++) {
            struct err err = ERR_INIT;
            if (load_prepare(&list.entries[i], &arena, &page.puts[page.count], &err) == 0) {
                page.count++;
            } else {
                load->report(load->context, list.entries[i].key, &err);
            }
        }
        compiler_run(load->compiler, insert, &page);
    }
}

int load_records(struct store *store, struct compiler *compiler, load_report report, void *context,
                 struct load_revisions *ret_revisions, struct err *err)
{
    struct load load = {.store = store,
                        .compiler = compiler,
                        .report = report,
                        .context = context,
                        .more = true,
                        .err = ERR_INIT};
    pthread_t helpers[LOAD_HELPERS];
    size_t count = 0;
    (void)pthread_mutex_init(&load.mutex, NULL); /* cannot fail on Linux */
    while (count < LOAD_HELPERS && pthread_create(&helpers[count], NULL, load_pages, &load) == 0) {
        count++; /* without a helper it takes longer, no more */
    }
    (void)load_pages(&load);
    while (count > 0) {
        (void)pthread_join(helpers[--count], NULL); /* it was created */
    }
    (void)pthread_mutex_destroy(&load.mutex);
    if (load.result != 0) {
        *err = load.err;
        return err_wrap(err, "reading %s", PATH_RECORDS);
    }
    *ret_revisions = load.revisions;
    return 0;
}
