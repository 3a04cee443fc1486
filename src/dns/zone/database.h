/* The zone database: from records and health to what the workers answer from.
 *
 * One thread (the compiler, in daemon/) owns a struct zone_database: it puts zones and records in,
 * tells it of status changes, and publishes. Readers (DNS workers) see a struct zone_set: immutable
 * in structure; which answer of a routed name is current is one pointer that the owner swaps. Cost
 * is proportional to what changed: a status change touches only the names that depend on that check
 * (through aliases too). Nothing here does I/O.
 *
 * Where Route 53's documentation is silent:
 * - an alias target that does not exist gives NODATA, and is unhealthy where that is evaluated;
 * - an alias whose zone id is unknown here (a service endpoint) is served from the zone of ours
 * that holds the target's name, when there is one;
 * - an alias target is the record set of that very name: wildcards do not stand in for it;
 * - aliases in a circle, or more than 32 behind one another, give NODATA and are unhealthy;
 * - an alias may give nothing for its share of a weighted group. */
#ifndef DNS_ZONE_DATABASE_H
#define DNS_ZONE_DATABASE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"
#include "dns/zone/map.h"
#include "model/location.h"
#include "model/status.h"
#include "model/zone.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zone;
struct zone_database;
struct zone_set;
struct sign_key;

struct zone_database *zone_database_new(void) MUST_CHECK;
/* No reader may be left. The last memory is freed by snapshot_drain(). */
void zone_database_free(struct zone_database *take_database);

/* Coordinates of regions that AWS does not have; borrowed for the database's life. Before the first
 * record. A region without coordinates is farther than all others. */
void zone_database_set_regions(struct zone_database *database, const struct model_region *regions,
                               size_t count);

/* Records are copied. Putting what is there replaces it. Changes become visible together at
 * zone_database_publish, but for status changes, which are visible at once. A zone's records may
 * come before the zone. */
/* A zone's name and age never change: a put of one that is there only counts for a reload. */
void zone_database_put_zone(struct zone_database *database, const struct model_zone *zone);
void zone_database_delete_zone(struct zone_database *database, const char *zone_id);
/* ERR_INVALID when a value does not parse (it was validated before it was stored), ERR_LIMIT when
 * the RRset cannot fit a DNS message: such a record is left out. */
int zone_database_put_record(struct zone_database *database, const struct model_record_set *record,
                             struct err *err) MUST_CHECK;
/* The same in two steps, so that any number of threads may do what costs most: a record made ready
 * (name and answer in wire form), by any thread; and its put, which takes what is on the heap. The
 * rest is in the arena until then. */
struct zone_put;
int zone_put_new(const struct model_record_set *record, struct arena *arena,
                 struct zone_put **ret_put, struct err *err) MUST_CHECK;
void zone_database_put(struct zone_database *database, struct zone_put *take_put);
/* The same for a load, with next to nothing left to the owner's thread. The zones there are, for
 * threads that make records ready; in the arena. */
struct zone_places;
const struct zone_places *zone_database_places(const struct zone_database *database,
                                               struct arena *arena) MUST_CHECK;
/* Up to `capacity` records that are put together, no two with one key; those of one name should
 * follow one another. In the arena; one thread at a time; the places are borrowed. */
struct zone_puts;
struct zone_puts *zone_puts_new(const struct zone_places *places, struct arena *arena,
                                size_t capacity) MUST_CHECK;
/* Makes the record ready, as zone_put_new. */
int zone_puts_add(struct zone_puts *puts, const struct model_record_set *record, struct err *err)
    MUST_CHECK;
/* Puts them all, on the owner's thread; takes what they hold on the heap. */
void zone_database_put_all(struct zone_database *database, struct zone_puts *take_puts);
void zone_database_delete_record(struct zone_database *database, const char *zone_id,
                                 const char *name, uint16_t type, const char *set_identifier);
/* CIDR collections, which CIDR records name; copied, and visible like records. A collection that is
 * not there has no locations: the default's record is served. */
void zone_database_put_collection(struct zone_database *database,
                                  const struct model_cidr_collection *collection);
void zone_database_delete_collection(struct zone_database *database, const char *id);
/* The newest status table; borrowed for the call. Answers that depend on checks whose health
 * changed are current in the readers' zone set when it returns. Returns how many answers were
 * chosen anew. */
size_t zone_database_set_status(struct zone_database *database, const struct model_status *status);
/* The same piece by piece, so that what else a processor has to do can come in between. Takes the
 * table, and shows about so many names: all that the change touches where these are no more. What
 * is left is shown by the calls that follow; *ret_left is about how many these are, 0 when nothing
 * is left. Another table may come before: its first names are shown at once, then large changes
 * take turns, and a name is always answered by the newest table once it is shown. A name is shown
 * in one step; one that depends on a check in several ways, through aliases, may be answered in
 * between by what these aliases are answered by. Publishes may come in between. */
size_t zone_database_begin_status(struct zone_database *database, const struct model_status *status,
                                  size_t names, size_t *ret_left);
size_t zone_database_continue_status(struct zone_database *database, size_t names,
                                     size_t *ret_left);
/* A load, or a reload: everything there is counts as old until it is put again;
 * zone_database_sweep then deletes what is still old (visible at the next publish). Readers keep
 * their answers meanwhile, and do not see zones that are new: these are shown, with all they have,
 * at the first publish after the sweep. */
void zone_database_mark(struct zone_database *database);
void zone_database_sweep(struct zone_database *database);
/* Makes all puts and deletes since the last publish visible to readers: each name's records change
 * in one step, names one after another, a zone appears whole and vanishes at once. What was
 * replaced is freed after a grace period (base/snapshot.h). */
void zone_database_publish(struct zone_database *database);

/* The keys of a signed zone. Those with flags 257 sign the DNSKEY records, those with 256 all else;
 * where one kind is missing, the other signs all. */
struct zone_signing {
    struct sign_key *const *keys;
    size_t count;    /* at most ZONE_KEYS_LIMIT */
    uint32_t silent; /* bit n: keys[n] stands among the DNSKEY records and signs nothing */
};

#define ZONE_KEYS_LIMIT 8U

/* Signs the zone with these keys, which are referenced; NULL: no longer. Takes effect at the next
 * publish: from then on zone_database_refresh signs the zone piece by piece, and it is shown signed
 * in one step when all of it is (a zone of up to 1,000 names that is new: at once). With other keys
 * than before it stays signed: the DNSKEY records change at once, the signatures one by one, and a
 * key that is left out stays among the DNSKEY records until no signature of it is served, so that
 * what is served validates at every moment. What caches hold is the caller's care: a key that is
 * to sign is given as a silent one first, and one that signed is left silent for as long as its
 * signatures may be in caches. The keys that it has already: nothing happens. */
void zone_database_set_signing(struct zone_database *database, const char *zone_id,
                               const struct zone_signing *signing);
/* interrupt is called inside a publish of many names of a signed zone, about once a millisecond;
 * it may call the functions for status tables, and nothing else. NULL: nobody. */
void zone_database_set_interrupt(struct zone_database *database, void (*interrupt)(void *context),
                                 void *context);
/* Signs what is not signed yet, or runs out: about a millisecond's work, so that status changes can
 * come in between. Returns how long, in nanoseconds, until it has to be called again; 0: there is
 * more to do now. `now` is also the time that later signatures are made at. */
int64_t zone_database_refresh(struct zone_database *database, struct wall now);
/* A zone whose transfers are allowed (from the next publish on) has a journal (journal.h), and
 * serves a serial that moves with every visible change: at least one more, and the clock's seconds
 * where that is ahead; never one before the SOA record's own. */
void zone_database_set_transfers(struct zone_database *database, const char *zone_id, bool allowed);

/* Who keeps the serials over restarts. All are called on the owner's thread, inside publish,
 * set_status and refresh. */
struct zone_serials {
    void *context;
    /* The zone's served serial moved. */
    void (*moved)(void *context, const char *zone_id, const uint8_t *apex, uint32_t serial);
    /* No serial up to this one is served for the zone. */
    uint32_t (*floor)(void *context, const char *zone_id);
    /* Whether the serial, ahead of the clock, may be served: a restart would not go behind it.
     * False: the answers are served, the serial follows; asked again at the next refresh. */
    bool (*may_serve)(void *context, const char *zone_id, uint32_t serial);
};
/* Serials of signed zones move like those of transferred ones from then on, too. */
void zone_database_keep_serials(struct zone_database *database, const struct zone_serials *serials);

/* How often zone_database_publish was called. */
uint64_t zone_database_publications(const struct zone_database *database);

/* What readers load (SNAPSHOT_LOAD inside a read section). Never NULL. Lives as long as the
 * database. */
struct zone_set *zone_database_readers(struct zone_database *database);

/* ---- why: for `leeward dig`, `leeward status`; on the owner's thread ---- */

struct zone_candidate {
    const char *set_identifier;
    const char *role;            /* "PRIMARY", "SECONDARY", "weight 10", "" ... */
    const char *health_check_id; /* "" when none */
    bool healthy;                /* its check, and its alias target where that is evaluated */
    bool chosen;                 /* may be served now */
    const char *reason;          /* a sentence: why healthy or not, why chosen or not */
    const char **values;         /* presentation form; for an alias what it stands for now */
    size_t value_count;
    const char *alias; /* target name, "" when none */
};

struct zone_explanation {
    const char *zone_id; /* "" when no zone holds the name */
    const char *zone_name;
    const char *name; /* the owner that was used: the name itself, or the wildcard */
    const char *type;
    const char *policy; /* "simple", "failover", ... "" when there is no record */
    const char *note;   /* a sentence about the result: delegation, CNAME, NXDOMAIN, NODATA, all
                           unhealthy ... */
    struct zone_candidate *candidates;
    size_t candidate_count;
};

/* What is answered for name/type and why: to this client, or, when client is NULL, to any. Memory
 * from the arena. ERR_INVALID for a bad name. */
int zone_database_explain(struct zone_database *database, const char *name, uint16_t type,
                          struct zone_client *client, struct arena *arena,
                          struct zone_explanation *ret_explanation, struct err *err) MUST_CHECK;
/* Calls visit for every group of records with a policy other than simple, until it returns false.
 */
void zone_database_each_routed(struct zone_database *database,
                               bool (*visit)(void *context, const char *zone_id, const char *name,
                                             uint16_t type),
                               void *context);

/* Calls visit for every zone that is served; the zone is borrowed for the call. */
void zone_database_each_zone(struct zone_database *database,
                             void (*visit)(void *context, const char *zone_id,
                                           const struct zone *zone),
                             void *context);

#endif
