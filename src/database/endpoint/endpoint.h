/* How clients find databases: names of writers and readers in a hosted zone, which follow every
 * change of the writer, and pages for load balancers that say whether a server is it.
 *
 * Both follow "db/" in the store and decide nothing about databases. Several daemons may do the
 * same: the zone's revision lets one of them write, and the others find nothing left to do. A
 * daemon that does not hear of the writer's lease any more says of nobody that it may write.
 * Thread: start and stop on one; they have their own. Ownership: the store is borrowed. */
#ifndef DATABASE_ENDPOINT_ENDPOINT_H
#define DATABASE_ENDPOINT_ENDPOINT_H

#include "base/err.h"
#include "base/macro.h"
#include "store/store.h"

#include <netinet/in.h>
#include <stdint.h>

#define DATABASE_ENDPOINTS_TTL_S 1U

struct database_endpoints_config {
    const char *zone; /* that the names are in, with or without a dot at its end; "": no names */
    uint32_t ttl_s;   /* of the names; 0: the default */
    const struct sockaddr_storage *check_address; /* of the pages; NULL: none */
};

struct database_endpoints;

/* Binds, and begins nothing yet. */
int database_endpoints_open(const struct database_endpoints_config *config,
                            struct database_endpoints **ret_endpoints, struct err *err) MUST_CHECK;
/* Once. The store, which outlives the endpoints, may be away: it is tried again. */
int database_endpoints_run(struct database_endpoints *endpoints, struct store *store,
                           struct err *err) MUST_CHECK;
/* Where the pages are; NULL: nowhere. */
const struct sockaddr_storage *
database_endpoints_check_address(const struct database_endpoints *endpoints);
/* NULL is fine. */
void database_endpoints_stop(struct database_endpoints *take_endpoints);

#endif
