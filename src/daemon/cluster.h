/* This daemon as a site of a cluster: wires peer/, site/ and health/. Without a name of a site, or
 * before the site is a member, none of it runs, and the daemon is alone.
 *
 * Main thread for the life; what API threads call says so. Lock order: the cluster's mutex before
 * those of the rooms. */
#ifndef DAEMON_CLUSTER_H
#define DAEMON_CLUSTER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/macro.h"
#include "model/ballot.h"
#include "peer/peer.h"
#include "site/site.h"

#include <pthread.h>
#include <sys/socket.h>

#include <jansson.h>

struct daemon;
struct health_config;

struct cluster {
    pthread_mutex_t mutex;
    pthread_mutex_t starting; /* held over a whole start: it comes before mutex */
    int listener;             /* -1: none, or the peer's */
    struct sockaddr_storage address;
    struct peer *peer;  /* NULL: no member (yet); guarded by mutex */
    struct site *site;  /* as above */
    bool removed;       /* it was a member; guarded by mutex */
    struct arena arena; /* of the names that health began with */
};

void cluster_init(struct cluster *cluster);
/* Binds the port for other sites; before privileges are given up. */
int cluster_open(struct daemon *daemon, struct err *err) MUST_CHECK;
/* Before health starts: who votes. Fills what concerns sites. */
int cluster_prepare(struct daemon *daemon, struct health_config *health, struct err *err)
    MUST_CHECK;
/* Once the API's address is known: talks to other sites, if this one is a member. */
int cluster_start(struct daemon *daemon, struct err *err) MUST_CHECK;
/* Before DNS answers: until the other sites' votes have turned what the verdicts of this one's last
 * run say and is over by now. Half a second at most; at once where there are no others. */
void cluster_hear(struct daemon *daemon);
/* Nobody calls into health any more, nor is called by it. */
void cluster_stop(struct cluster *cluster);
/* After health has stopped. */
void cluster_done(struct cluster *cluster);

/* Where the port for other sites is; NULL: nowhere. */
const struct sockaddr_storage *cluster_address(const struct daemon *daemon);

/* ---- views, on API threads: see service/common/context.h ---- */

int cluster_view_sites(void *context, json_t **ret_sites, struct err *err);
int cluster_view_endpoints(void *context, json_t **ret_list, struct err *err);
int cluster_view_init(void *context, json_t **ret_site, struct err *err);
int cluster_view_token(void *context, int64_t seconds, json_t **ret_token, struct err *err);
int cluster_view_remove(void *context, const char *name, struct err *err);
/* For metrics. */
void cluster_render(struct daemon *daemon, struct buf *text);

#endif
