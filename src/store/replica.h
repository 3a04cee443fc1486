/* A replica: a store in a local file that follows another one, the truth, which is elsewhere and
 * may be away. Data planes read and watch the replica, so that they start and go on without the
 * truth; what they want to write they write into the truth.
 *
 * The replica has the truth's revisions. It gets each batch of a watch as one transaction; where
 * that is not possible (the first time, history that is compacted, a gap, a truth that was restored
 * from an older snapshot) everything is read again and compared, and becomes visible as one state.
 * Nothing is ever empty or half there in between: readers see the state before until then, and
 * watches get ERR_COMPACTED when they have to start over.
 *
 * Thread: every function from any; two threads of its own, one that follows and one that asks for
 * the truth's revision from time to time. Logs, as the top of its threads. */
#ifndef STORE_REPLICA_H
#define STORE_REPLICA_H

#include "base/time.h"
#include "store/store.h"

#include <stdbool.h>

struct replica;

struct replica_config {
    const char *directory; /* of replica.db; made when it does not exist */
    struct store *truth;   /* outlives the replica */
    unsigned pulse_ms;     /* how often the truth's revision is asked for; 0: REPLICA_PULSE_MS */
};

#define REPLICA_PULSE_MS 1000U

/* X(name, help) */
#define REPLICA_COUNTERS(X)                                                                        \
    X(batches, "batches of the truth's watch applied")                                             \
    X(changes, "changes of keys in them")                                                          \
    X(synchronisations, "times that everything was read again and compared")                       \
    X(gaps, "times that changes were missing: history compacted, or not what follows")             \
    X(restorations, "times that the truth had another past, as after a restored snapshot")         \
    X(damages, "times that the file was damaged and set aside")                                    \
    X(failures, "errors of the truth or of the file")

struct replica_counters {
#define X(name, help) uint64_t name;
    REPLICA_COUNTERS(X)
#undef X
};

struct replica_status {
    bool complete;          /* it holds a state of the truth, however old */
    bool in_step;           /* the truth was heard just now, and nothing is missing */
    bool away;              /* the last look found no truth */
    int64_t revision;       /* of the state it holds */
    int64_t truth_revision; /* the newest one heard of; 0: none yet */
    struct wall heard;      /* when the truth was heard last, if by an earlier process; 0: never */
    char problem[256];      /* what keeps it from following; "": nothing */
    char damage[256];       /* what was wrong with the file that was set aside last; "": nothing */
    struct replica_counters counters;
};

/* Opens the file, reads and checks all of it, and starts to follow. A file that is damaged is set
 * aside as replica.db.damaged, and said so. Does not wait for the truth. */
int replica_start(const struct replica_config *config, struct replica **ret_replica,
                  struct err *err) MUST_CHECK;
/* Waits until the replica is in step with the truth, or the truth (or the disk) has failed it; with
 * a state to begin with for wait_ms at most. Returns whether it holds a state. */
bool replica_wait(struct replica *replica, unsigned wait_ms);
/* Read only: writes are ERR_DENIED. Before the first state, it is empty and at revision 0.
 * Borrowed; lives as long as the replica. All watches must be closed before its end. */
struct store *replica_store(struct replica *replica);
void replica_status(struct replica *replica, struct replica_status *ret_status);
/* NULL is fine. */
void replica_stop(struct replica *take_replica);

#endif
