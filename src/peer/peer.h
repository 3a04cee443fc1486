/* Tables of ballots between sites: each site sends every other its complete table, over a
 * connection of its own that both sides authenticate (TLS 1.3, certificates of the cluster's CA).
 *
 * One thread with epoll. A table goes out when it is cast, and nothing else does: the work is the
 * same on a quiet day and in a disaster. A newer table replaces one that has not begun to go out.
 * How old a table is that arrives is never guessed: a frame names the newest frame that its sender
 * has had from this site, so it was made after this site sent that one, and that moment, on this
 * machine's monotonic clock, is when the table is taken to be from. Tables that lay in a buffer, a
 * site that was stopped, and clocks that jump all come out right; and whom this site does not
 * reach, it does not count as heard. */
#ifndef PEER_PEER_H
#define PEER_PEER_H

#include "base/buf.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"
#include "model/ballot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define PEER_FINGERPRINT 32U /* SHA-256 of a certificate */
/* A request to join, and its answer. */
#define PEER_JOIN_LIMIT 65536U

struct peer;

struct peer_member {
    char name[MODEL_SITE_NAME];
    struct sockaddr_storage address;
    uint8_t fingerprint[PEER_FINGERPRINT]; /* of the one certificate it may show */
};

struct peer_config {
    const char *site; /* this one */
    const char *certificate_pem;
    const char *key_pem;
    const char *ca_pem;
    int listener; /* peer_listen's; taken over, also when the start fails */
    /* On the peer thread: a table of another site, made at `made` (in the table) or later. Must not
     * block. */
    void (*heard)(void *context, const char *site, struct model_ballots *take_ballots);
    /* On a thread of its own, one at a time: answers what one says who has no certificate yet. */
    void (*join)(void *context, const char *request, struct buf *answer);
    void *context;
    int64_t hurry; /* others get so many times less time than they should: for tests; 0: 1 */
};

/* Binds and listens; ret_address has the port. */
int peer_listen(const struct sockaddr_storage *address, int *ret_listener,
                struct sockaddr_storage *ret_address, struct err *err) MUST_CHECK;
/* The texts are copied. Nobody is known yet. */
int peer_start(const struct peer_config *config, struct peer **ret_peer, struct err *err)
    MUST_CHECK;
/* The members of the cluster from now on; this site among them is passed over. Any thread. */
void peer_set_members(struct peer *peer, const struct peer_member *members, size_t count);
/* Sends this table to everybody. Any thread; never blocks. */
void peer_cast(struct peer *peer, struct model_ballots *take_ballots);
/* NULL is fine. */
void peer_stop(struct peer *take_peer);

/* ---- looking ---- */

struct peer_seen {
    char name[MODEL_SITE_NAME];
    bool reached;     /* this site's connection to it stands */
    int64_t heard_ms; /* since the newest table of it was made, at most; -1: none came */
    size_t checks;    /* in that table */
    int64_t clock_ms; /* how far its clock is ahead of ours, about */
    uint32_t hears;   /* bits: which of the sites of this list it says it hears, itself too */
    bool hears_us;
    char problem[160]; /* why it is not reached; "" */
};

/* Returns how many there are. Any thread. */
size_t peer_look(struct peer *peer, struct peer_seen ret_seen[MODEL_SITES_LIMIT]);

/* X(name, help) */
#define PEER_COUNTERS(X)                                                                           \
    X(tables_sent, "tables sent to other sites")                                                   \
    X(tables_replaced, "tables that a newer one replaced before they went out")                    \
    X(tables_heard, "tables of other sites that counted")                                          \
    X(tables_unproven, "tables of other sites that did not show when they were made")              \
    X(connections_made, "connections to and from other sites")                                     \
    X(connections_lost, "of these, how many ended")                                                \
    X(connections_refused, "connections of those who are no member, or sent what is no table")     \
    X(joins, "requests to join")

struct peer_counters {
#define X(name, help) uint64_t name;
    PEER_COUNTERS(X)
#undef X
};

void peer_count(struct peer *peer, struct peer_counters *ret_counters);

#endif
