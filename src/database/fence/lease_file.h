/* The lease file: how the agent of a writer tells the server itself until when it may acknowledge
 * writes. The agent writes it (<instance>/run/lease), the PostgreSQL module (fence.c) of the same
 * instance maps it and looks at it in every commit.
 *
 * One page, mapped by both sides and never replaced by another file: servers that run keep seeing
 * it. The deadline is a point of CLOCK_BOOTTIME (it goes on while the machine is suspended), so it
 * means something only during the boot that is named beside it. A server whose file is missing,
 * damaged, of another boot, revoked or over its deadline refuses to acknowledge writes.
 *
 * Writer's side: any thread of the one agent; extend and revoke may run at the same time. Reader's
 * side: any process. Nothing of base in here, because PostgreSQL loads the module. */
#ifndef DATABASE_FENCE_LEASE_FILE_H
#define DATABASE_FENCE_LEASE_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define FENCE_LEASE_MAGIC UINT64_C(0x31657361656c774c) /* "Lwlease1" */
#define FENCE_LEASE_VERSION 1U
#define FENCE_LEASE_SIZE 4096U

/* The layout. Later versions append members and raise the version only when an old reader would
 * be wrong about these. */
struct fence_lease {
    uint64_t magic;
    uint32_t version;
    uint32_t size;                  /* of the file */
    _Atomic uint64_t boot[2];       /* the boot's id (/proc/sys/kernel/random/boot_id) */
    _Atomic int64_t epoch;          /* that the deadline belongs to; never goes down in one boot */
    _Atomic int64_t closed;         /* epochs up to this one were revoked: they never come back */
    _Atomic int64_t deadline_ns;    /* of CLOCK_BOOTTIME; 0: none */
    _Atomic int64_t fenced_ns;      /* written by the module: when it found the deadline passed and
                                     * began to end the server; 0: it has not */
    _Atomic int64_t guard_pid;      /* written by the module: its background worker; 0: none */
    _Atomic int64_t refused;        /* written by the module: commits that it refused */
    _Atomic int64_t unacknowledged; /* and that it did not acknowledge although they were made */
    _Atomic int64_t strict;         /* written by the postmaster: leeward.strict as it read it last,
                                     * at once the same for all sessions; 0 or 1 */
    _Atomic int64_t free_ns;        /* strict: until this point of CLOCK_BOOTTIME commits need no
                                     * standby all the same; 0: they always do */
};

static inline int64_t fence_lease_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now); /* cannot fail on Linux; answered by the vDSO */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* This boot's id: 0, or a negative errno. */
int fence_lease_boot(uint64_t ret_boot[2]) __attribute__((__warn_unused_result__));

/* Maps the file at path, for writing with create: then it is made when it is missing (mode 0600),
 * and emptied in place (revoked, closed and epoch 0) when it is of another boot or damaged; a good
 * one of this boot stays as it is, so that an agent that starts again adopts a running writer with
 * its deadline. Create it before the server is started: the module does not start without.
 * Without create: -ENOENT, -EBADMSG when it is none. */
int fence_lease_open(const char *path, bool create, struct fence_lease **ret_lease)
    __attribute__((__warn_unused_result__));
/* Unmaps; the file and its deadline stay. NULL is fine. */
void fence_lease_close(struct fence_lease *take_lease);

/* The deadline moves to deadline_ns, never back. -ESTALE: the epoch is lower than the file's or was
 * revoked. deadline_ns: CLOCK_BOOTTIME taken before the successful renewal was sent, plus the
 * lease's length, minus the margin. */
int fence_lease_extend(struct fence_lease *lease, int64_t epoch, int64_t deadline_ns)
    __attribute__((__warn_unused_result__));
/* From now on commits of this epoch and earlier ones are refused, and the epoch cannot be extended
 * any more. A commit that had passed its check just before may still be told to its client: who
 * must know that nothing comes any more stops the server after this. */
void fence_lease_revoke(struct fence_lease *lease, int64_t epoch);

/* Until then commits of a strict server may be acknowledged without a standby (bounded groups: the
 * last moment up to which a standby is known to have everything, plus the bound). 0: not at all. It
 * may go back. */
static inline void fence_lease_free_until(struct fence_lease *lease, int64_t free_ns)
{
    atomic_store_explicit(&lease->free_ns, free_ns, memory_order_seq_cst);
}

/* Whether a commit has to be on a standby before it is acknowledged at now: reader's side. */
static inline bool fence_lease_needs_standby(const struct fence_lease *lease, int64_t now)
{
    return atomic_load(&lease->strict) != 0 && now >= atomic_load(&lease->free_ns);
}

/* Whether a commit may be acknowledged at now (fence_lease_now()): reader's side, some loads. boot:
 * of fence_lease_boot. */
static inline bool fence_lease_holds(const struct fence_lease *lease, const uint64_t boot[2],
                                     int64_t now)
{
    int64_t deadline = atomic_load_explicit(&lease->deadline_ns, memory_order_acquire);
    return now < deadline &&
           atomic_load_explicit(&lease->boot[0], memory_order_relaxed) == boot[0] &&
           atomic_load_explicit(&lease->boot[1], memory_order_relaxed) == boot[1];
}

#endif
