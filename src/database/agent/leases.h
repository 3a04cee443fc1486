/* The leases of this agent's writers, renewed by one thread that does nothing else and waits for
 * nothing but the store: no server, no disk. Each renewal that is known to have happened moves the
 * deadline in the member's lease file, which is what its server obeys (database/fence).
 *
 * A deadline is CLOCK_BOOTTIME from before the renewal was sent, plus the lease's length, less a
 * margin for clocks that run at different speeds. Invariant: the deadline in the file is never
 * later than what the record in the store promises to those who watch it; so a lease that is made
 * shorter becomes so bit by bit. Thread: any, but for leases_start and leases_stop. */
#ifndef DATABASE_AGENT_LEASES_H
#define DATABASE_AGENT_LEASES_H

#include "base/err.h"
#include "base/macro.h"
#include "model/database.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

#define LEASES_LIMIT 128U /* members of one agent that may hold one */

struct leases;
struct lease_hold; /* a member that may hold its group's lease */
struct fence_lease;

struct leases_config {
    struct store *store;            /* whose calls end soon, one way or the other */
    void (*changed)(void *context); /* a lease was lost, or is renewed again */
    void *context;
};

int leases_start(const struct leases_config *config, struct leases **ret_leases, struct err *err)
    MUST_CHECK;
/* All holds were removed. NULL is fine. */
void leases_stop(struct leases *take_leases);

/* A member, which holds nothing yet; the strings are copied. NULL: there are LEASES_LIMIT. */
struct lease_hold *leases_add(struct leases *leases, const char *group, const char *member)
    MUST_CHECK;
/* Ends renewing; the lease stays as it is. */
void leases_remove(struct leases *leases, struct lease_hold *take_hold);

enum lease_standing {
    LEASE_NOT_HELD,
    LEASE_HELD, /* renewed up to now, or just not */
    LEASE_LOST, /* somebody else changed it: the file was revoked */
};

struct lease_view {
    enum lease_standing standing;
    int64_t epoch;
    int64_t deadline_ns; /* CLOCK_BOOTTIME: 0, nothing was renewed yet */
    int64_t stop_ns;     /* when the server is to be stopped, should there be no renewal by then */
    int64_t revision;    /* of the record, as far as known */
};
void lease_look(struct leases *leases, const struct lease_hold *hold, struct lease_view *ret_view);

/* The margin that a deadline keeps from the end of a lease. */
int64_t lease_margin_ms(int64_t length_ms);

/* Takes over a lease that this member holds in the store: lease as stored with this revision.
 * sent_ns: when the transaction that took it was begun; 0: not known (an agent that starts again),
 * then it counts from the first renewal. The file stays open as long as it is held. */
void lease_begin(struct leases *leases, struct lease_hold *hold, struct fence_lease *file,
                 const struct model_database_lease *lease, int64_t revision, int64_t sent_ns);
/* What renewals say from now on: the length wanted, and the end of the writer's log. */
void lease_note(struct leases *leases, struct lease_hold *hold, int64_t length_ms,
                model_lsn flushed, uint32_t timeline);
/* Ends renewing, and waits for a renewal that is under way; the file is not touched any more. */
void lease_end(struct leases *leases, struct lease_hold *hold, struct lease_view *ret_view);

#endif
