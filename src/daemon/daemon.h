/* The root object of leewardd: every room's object, in the order they start. Only daemon/ sees it.
 * Main thread, but for what views.c reads. */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "aws/server.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"
#include "daemon/cluster.h"
#include "daemon/compiler.h"
#include "daemon/config.h"
#include "daemon/feed.h"
#include "daemon/protection.h"
#include "daemon/rollover.h"
#include "daemon/transfers.h"
#include "database/endpoint/endpoint.h"
#include "dns/server/server.h"
#include "health/health.h"
#include "locate/locate.h"
#include "page/page.h"
#include "seal/seal.h"
#include "service/common/context.h"
#include "store/link.h"
#include "store/replica.h"
#include "store/store.h"

#include <limits.h>

struct daemon {
    const struct config *config;
    char node[HOST_NAME_MAX + 1];
    struct mono started;
    struct store *store;                  /* the truth: all sites' */
    struct store *copy;                   /* what is read of it by all that must go on without it */
    struct store *local;                  /* what belongs to this node alone */
    struct replica *replica;              /* NULL: one store is all three */
    struct store_link_server *link;       /* to the database agent; NULL: it needs none */
    struct database_endpoints *endpoints; /* NULL: no zone, and no pages */
    struct seal *seal;
    struct keyring *keyring;
    struct arena arena;           /* of regions */
    struct model_region *regions; /* those that the configuration places */
    size_t region_count;
    struct model_place home; /* where this site stands */
    struct locate *locate;
    struct compiler *compiler;
    struct health *health;
    struct cluster cluster;
    struct feed *feed;
    struct rollover *rollover; /* NULL: keys are not replaced */
    struct transfer *transfer;
    struct transfers *transfers;
    struct secondary *secondary;
    struct dns_server *dns;
    struct aws_server *api;
    int api_listener;            /* until the API starts; 0: none */
    struct page_server *metrics; /* NULL: not served */
    struct service_context services;
    struct protection protection;
    struct dns_prefix *exempt; /* from the rate limit */
    char *certificate;         /* PEM texts, or NULL */
    char *key;
};

/* Starts everything; when it returns 0, API and DNS answer. The config outlives the daemon. After
 * an error nothing runs. */
int daemon_start(const struct config *config, struct daemon **ret_daemon, struct err *err)
    MUST_CHECK;
/* Takes over what a reload can change, but for the log level. What cannot be taken over is logged
 * and stays as it was. */
void daemon_reload(struct daemon *daemon, const struct config *fresh);
/* Once a day: what has to be replaced from time to time. */
void daemon_renew(struct daemon *daemon);
/* Stops in reverse. NULL is fine. */
void daemon_stop(struct daemon *take_daemon);

/* copies.c: the replica and the local store. After the truth was opened. */
int copies_open(struct daemon *daemon, struct err *err) MUST_CHECK;
/* Whether this daemon knows a state of the truth, however old. */
bool copies_complete(const struct daemon *daemon);
/* When the truth is away, and there is a replica: says that the start goes on without, and clears
 * the error. */
bool copies_excuse(const struct daemon *daemon, const char *what, struct err *err);
void copies_close(struct daemon *daemon);

/* place.c: where sites and addresses are. */
int place_prepare(struct daemon *daemon, struct err *err) MUST_CHECK;
/* Tells the database about the regions of the configuration; argument: the daemon. */
void place_regions(struct zone_database *database, void *argument);
/* For struct answer_context; context is the daemon. */
void place_locate(void *context, uint8_t family, const uint8_t address[16],
                  struct model_place *ret_place);

/* views.c: what the services may look at. */
struct service_views views_of(struct daemon *daemon);

#endif
