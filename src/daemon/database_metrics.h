/* Metrics of databases, from the records that the store has of them: any daemon tells of all of
 * them, also where no agent runs. Called by exposition.c on the thread of the metrics page. */
#ifndef DAEMON_DATABASE_METRICS_H
#define DAEMON_DATABASE_METRICS_H

#include "base/buf.h"
#include "store/store.h"

/* Appends to the page; the store is asked once, and what it does not tell is missing. */
void database_metrics_render(struct store *store, struct buf *text);

#endif
