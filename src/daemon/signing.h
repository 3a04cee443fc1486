/* The keys of signed zones on their way from the store to the zone database: private to the feed.
 * Reading does I/O and opens sealed keys, on the feed's thread; applying is for the compiler's. */
#ifndef DAEMON_SIGNING_H
#define DAEMON_SIGNING_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "dns/zone/database.h"
#include "seal/seal.h"
#include "store/store.h"

#include <stddef.h>

/* One zone's keys as the store has them now. */
struct signing_zone {
    const char *id;
    const char *problem;         /* why they cannot be used; NULL: they can */
    struct zone_signing signing; /* no keys: the zone is not signed */
};

struct signing_zones {
    struct signing_zone *zones;
    size_t count;
};

/* The zones that the changes touch, each once. Everything lives in the arena, the references to the
 * keys too. An error is the store's; a zone whose keys cannot be opened has a problem instead. */
int signing_read(struct store *store, const struct seal *seal, const struct store_change *changes,
                 size_t count, struct arena *arena, struct signing_zones *ret_zones,
                 struct err *err) MUST_CHECK;
/* Hands the keys over; zones with a problem keep what they are served with. Visible at the next
 * publish. */
void signing_apply(const struct signing_zones *zones, struct zone_database *database);

/* The zones that are left as they were because of a problem with their keys. Any thread. */
struct signing_problems;

struct signing_problems *signing_problems_new(void) MUST_CHECK;
/* NULL is fine. */
void signing_problems_free(struct signing_problems *take_problems);
/* Notes the zones that were read; logs what is new. */
void signing_problems_note(struct signing_problems *problems, const struct signing_zones *zones);
/* "ID: what is wrong" for each zone, in the arena; NULL behind the last. */
const char **signing_problems_list(struct signing_problems *problems, struct arena *arena)
    MUST_CHECK;

#endif
