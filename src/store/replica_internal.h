/* What the files of a replica share: replica.c (its threads) and replica_past.c (whether the truth
 * still has the past that the copy has). Private to them. Ownership: the follower owns the copy and
 * the watch; what the mutex guards is for both threads and for those who ask. */
#ifndef STORE_REPLICA_INTERNAL_H
#define STORE_REPLICA_INTERNAL_H

#include "base/thread.h"
#include "store/replica.h"
#include "store/sqlite/copy.h"

/* What the truth had under a key, at a revision. */
struct proof {
    char key[STORE_KEY_LIMIT + 1];
    int64_t at;
    bool found;
    int64_t created;
    int64_t changed;
    int64_t version;
    uint64_t hash; /* of the value */
};

struct replica {
    struct store *truth;
    struct store *copy;
    int64_t pulse_ns;

    pthread_t follower;
    pthread_t pulse;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    bool stopping;
    struct store_watch *watch; /* the follower's; here to be interrupted */
    struct replica_status status;
    struct mono pulse_at;     /* when the truth was heard last by this process; 0: never */
    struct mono behind_since; /* 0: it is not */
    bool failed;              /* truth or disk failed since the start, or since it was in step */
    bool went_back;           /* the truth's revision was behind the copy's */
    bool away;                /* the last pulse found no truth */
    bool recheck;             /* the truth was away */

    /* the follower's alone */
    bool compare_all;  /* before anything is applied again */
    bool rebuild;      /* the file is damaged */
    bool here;         /* the last error is of the copy, not of the truth */
    struct mono moved; /* when the copy's revision moved last, or the watch was opened */
    int64_t retry_ms;
    struct proof *proofs;
    size_t proof_count;
};

#define REPLICA_COUNT(replica, name, number)                                                       \
    do {                                                                                           \
        replica_lock(replica);                                                                     \
        (replica)->status.counters.name += (number);                                               \
        replica_unlock(replica);                                                                   \
    } while (0)

static inline void replica_lock(struct replica *replica)
{
    thread_lock(&replica->mutex);
}

static inline void replica_unlock(struct replica *replica)
{
    thread_unlock(&replica->mutex);
}

/* An error of the copy: told apart from the truth's. */
static inline int replica_here(struct replica *replica, int rc)
{
    replica->here = rc != 0;
    return rc;
}

/* replica.c: the follower's watch. */
void replica_close_watch(struct replica *replica);
int replica_open_watch(struct replica *replica, int64_t after, struct err *err) MUST_CHECK;
/* Applies what the watch brings to the copy's open transaction, until that is at this revision. */
int replica_catch_up(struct replica *replica, int64_t target, int64_t *reached, struct err *err)
    MUST_CHECK;

/* replica_past.c: before a change is applied. Sets compare_all when the truth has another past. */
int replica_look_back(struct replica *replica, struct err *err) MUST_CHECK;
/* Whether what the truth said last is of another past than the copy's: then as above. */
bool replica_is_other_past(struct replica *replica);

#endif
