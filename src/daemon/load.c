/* Loading: see load.h. Two threads take turns at reading a page of the store; what costs most, the
 * decoding of JSON and of addresses, they do beside each other and beside the compiler thread,
 * which only inserts. Pages may come to the database in any order: their keys differ. A page's
 * memory is its thread's, and small enough for a processor's cache. Invariant: once a read failed,
 * no further page is begun. */
#include "daemon/load.h"

#include "base/memory.h"
#include "base/text.h"
#include "model/path.h"
#include "model/zone.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LOAD_PAGE 2000U /* records */
#define LOAD_HELPERS 1U /* threads beside the caller's */

struct load {
    struct store *store;
    struct compiler *compiler;
    load_report report;
    void *context;
    struct arena arena; /* of the places */
    const struct zone_places *places;
    pthread_mutex_t mutex; /* of what follows */
    char *after;           /* the last key read; NULL before the first */
    bool more;
    struct load_revisions revisions;
    int result;
    struct err err;
};

/* The zone's id in the key of a record. */
static const char *zone_of(const char *key, struct arena *arena)
{
    bool own = text_starts(key, PATH_RECORDS); /* else what a traffic policy made */
    const char *id = key + strlen(own ? PATH_RECORDS : PATH_TRAFFIC_RECORDS);
    return arena_memdup(arena, id, strcspn(id, "/"));
}

int load_prepare(const struct store_entry *entry, struct arena *arena, struct zone_put **ret_put,
                 struct err *err)
{
    struct model_record_set record;
    const char *zone_id = zone_of(entry->key, arena);
    int rc = model_record_set_decode(entry->value, entry->size, zone_id, arena, &record, err);
    return rc != 0 ? rc : zone_put_new(&record, arena, ret_put, err);
}

/* On the compiler thread. */
static void find_places(struct zone_database *database, void *argument)
{
    struct load *load = argument;
    load->places = zone_database_places(database, &load->arena);
}

/* On the compiler thread. */
static void insert(struct zone_database *database, void *argument)
{
    zone_database_put_all(database, argument);
    zone_database_publish(database);
}

/* The next page; none when all were read, or a read failed. */
static struct store_list next_page(struct load *load, struct arena *arena)
{
    struct store_list list = {0};
    (void)pthread_mutex_lock(&load->mutex);
    if (load->more && load->result == 0) {
        load->result = store_range_values(load->store, PATH_RECORDS, load->after, LOAD_PAGE, arena,
                                          &list, &load->err);
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

/* Records of one zone mostly follow one another. */
struct zone_id {
    const char *text; /* NULL before the first */
    size_t length;
};

static void next_zone(struct zone_id *id, const char *key, struct arena *arena)
{
    static const size_t prefix = sizeof PATH_RECORDS - 1;
    if (id->text == NULL || strncmp(key + prefix, id->text, id->length) != 0 ||
        key[prefix + id->length] != '/') {
        id->text = zone_of(key, arena);
        id->length = strlen(id->text);
    }
}

static struct zone_puts *decode(struct load *load, const struct store_list *list,
                                struct arena *arena)
{
    struct zone_puts *puts = zone_puts_new(load->places, arena, list->count);
    struct zone_id id = {NULL, 0};
    for (size_t i = 0; i < list->count; i++) {
        const struct store_entry *entry = &list->entries[i];
        struct err err = ERR_INIT;
        struct model_record_set record;
        next_zone(&id, entry->key, arena);
        int rc = model_record_set_decode(entry->value, entry->size, id.text, arena, &record, &err);
        rc = rc != 0 ? rc : zone_puts_add(puts, &record, &err);
        if (rc != 0) {
            load->report(load->context, entry->key, &err);
        }
    }
    return puts;
}

/* One of the threads: returns when there is nothing left to read. */
static void *load_pages(void *argument)
{
    struct load *load = argument;
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    for (;;) {
        struct store_list list = next_page(load, &arena);
        if (list.count == 0) {
            return NULL;
        }
        compiler_run(load->compiler, insert, decode(load, &list, &arena));
        arena_reset(&arena);
    }
}

int load_records(struct store *store, struct compiler *compiler, load_report report, void *context,
                 struct load_revisions *revisions, struct err *err)
{
    struct load load = {.store = store,
                        .compiler = compiler,
                        .report = report,
                        .context = context,
                        .more = true,
                        .revisions = *revisions,
                        .err = ERR_INIT};
    pthread_t helpers[LOAD_HELPERS];
    size_t count = 0;
    arena_init(&load.arena, 0);
    compiler_run(compiler, find_places, &load);
    (void)pthread_mutex_init(&load.mutex, NULL); /* cannot fail on Linux */
    while (count < LOAD_HELPERS && pthread_create(&helpers[count], NULL, load_pages, &load) == 0) {
        count++; /* without a helper it takes longer, no more */
    }
    (void)load_pages(&load);
    while (count > 0) {
        (void)pthread_join(helpers[--count], NULL); /* it was created */
    }
    (void)pthread_mutex_destroy(&load.mutex);
    arena_done(&load.arena);
    if (load.result != 0) {
        *err = load.err;
        return err_wrap(err, "reading %s", PATH_RECORDS);
    }
    *revisions = load.revisions;
    return 0;
}
