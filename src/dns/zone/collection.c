/* CIDR collections of the zone database: put and deleted like records, visible at the next publish,
 * when the groups that use them are decided again. Called by the owner's thread. They are few
 * (Route 53's quota is 5): a list. Invariant: a map that readers may see borrows blocks that are
 * retired only after the map was replaced. */
#include "base/memory.h"
#include "base/text.h"
#include "dns/zone/internal.h"

#include <stdlib.h>
#include <string.h>

struct zone_collection {
    struct zone_collection *next;
    struct zone_cidr *blocks;  /* NULL: not there (any more) */
    struct zone_cidr *pending; /* visible from the next publish on */
    bool changed;
    uint16_t generation; /* of its last put */
    char id[];
};

static struct zone_collection *find(const struct zone_database *database, const char *id)
{
    struct zone_collection *collection = database->collections;
    while (collection != NULL && !text_equal(collection->id, id)) {
        collection = collection->next;
    }
    return collection;
}

void zone_database_put_collection(struct zone_database *database,
                                  const struct model_cidr_collection *collection)
{
    struct zone_collection *there = find(database, collection->id);
    if (there == NULL) {
        size_t size = strlen(collection->id) + 1;
        there = memory_new(sizeof *there + size);
        (void)memcpy(there->id, collection->id, size);
        there->next = database->collections;
        database->collections = there;
    }
    free(there->pending);
    there->pending = zone_cidr_new(collection);
    there->changed = true;
    there->generation = database->generation;
}

void zone_database_delete_collection(struct zone_database *database, const char *id)
{
    struct zone_collection *there = find(database, id);
    if (there != NULL) {
        free(there->pending);
        there->pending = NULL;
        there->changed = true;
    }
}

void collections_sweep(struct zone_database *database)
{
    for (struct zone_collection *at = database->collections; at != NULL; at = at->next) {
        if (at->generation != database->generation) {
            zone_database_delete_collection(database, at->id);
        }
    }
}

void collections_publish(struct zone_database *database)
{
    struct zone_collection **link = &database->collections;
    while (*link != NULL) {
        struct zone_collection *at = *link;
        if (at->changed) {
            database_retire(database, at->blocks);
            at->blocks = at->pending;
            at->pending = NULL;
            at->changed = false;
            struct zone_subject *subject =
                subject_find(database, SUBJECT_COLLECTION, at->id, strlen(at->id), 0);
            if (subject != NULL) {
                subject_touch(database, subject);
            }
        }
        if (at->blocks == NULL) {
            *link = at->next;
            free(at);
        } else {
            link = &at->next;
        }
    }
}

const struct zone_cidr *collection_blocks(const struct zone_database *database, const char *id)
{
    const struct zone_collection *collection = find(database, id);
    return collection != NULL ? collection->blocks : NULL;
}

void collections_free(struct zone_database *database)
{
    while (database->collections != NULL) {
        struct zone_collection *take = database->collections;
        database->collections = take->next;
        free(take->blocks);
        free(take->pending);
        free(take);
    }
}
