/* Transfers as the store describes them: the zones' leeward: tags and the TSIG keys, carried by the
 * feed to the zone database (which zones have journals) and to dns/transfer (who may have them);
 * and the serials that a restart must not go behind, carried to the store.
 *
 * Thread: start and stop the owner's; everything else the compiler's, inside the feed's work. */
#ifndef DAEMON_TRANSFERS_H
#define DAEMON_TRANSFERS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "dns/transfer/transfer.h"
#include "dns/zone/database.h"
#include "seal/seal.h"
#include "secondary/secondary.h"
#include "store/store.h"

#include <stdbool.h>

struct transfers;

/* All are borrowed until transfers_stop. seal NULL: keys cannot be opened and are left out. */
struct transfers_config {
    struct store *store;
    const struct seal *seal;
    struct transfer *transfer;
    struct secondary *secondary; /* NULL: zones with a primary stay as they are */
    const char *node;
};

int transfers_start(const struct transfers_config *config, struct transfers **ret_transfers,
                    struct err *err) MUST_CHECK;
/* Writes the serials down. NULL is fine. */
void transfers_stop(struct transfers *take_transfers);

/* The store's prefixes that the feed loads for this, before the zones; ends with NULL. */
extern const char *const transfers_prefixes[];
/* False when the entry is none of ours. */
bool transfers_put(struct transfers *transfers, struct zone_database *database,
                   const struct store_entry *entry, struct arena *arena);
bool transfers_delete(struct transfers *transfers, struct zone_database *database, const char *key,
                      struct arena *arena);
/* Around a reload, as zone_database_mark and zone_database_sweep. */
void transfers_mark(struct transfers *transfers);
void transfers_sweep(struct transfers *transfers, struct zone_database *database);
/* What was put counts, before the zone database shows it. */
void transfers_publish(struct transfers *transfers);
/* Has the database tell secondaries and the store of its serials. */
void transfers_keep_serials(struct transfers *transfers, struct zone_database *database);

#endif
