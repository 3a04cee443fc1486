/* The lease file: mapping it, and the writer's side. Linked into the agent, and into the module,
 * which only opens. Layout and rules: lease_file.h. Thread: any.
 *
 * Order of writes: whoever reads the deadline (acquire) sees the boot and the epoch that belong to
 * it, because these are written before it (release), and it is 0 while they change. */
#include "database/fence/lease_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static_assert(sizeof(struct fence_lease) <= FENCE_LEASE_SIZE, "the lease fits into its page");

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int fence_lease_boot(uint64_t ret_boot[2])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    char text[64];
    ssize_t size = read(fd, text, sizeof(text));
    (void)close(fd); /* nothing was written */
    uint64_t boot[2] = {0, 0};
    unsigned digits = 0;
    for (ssize_t i = 0; i < size; i++) {
        int digit = digit_of(text[i]);
        if (digit >= 0 && digits < 32) {
            boot[digits / 16] = boot[digits / 16] << 4U | (uint64_t)digit;
            digits++;
        }
    }
    if (digits != 32) {
        return -EBADMSG;
    }
    memcpy(ret_boot, boot, sizeof(boot));
    return 0;
}

static bool lease_is_whole(const struct fence_lease *lease)
{
    return lease->magic == FENCE_LEASE_MAGIC && lease->version == FENCE_LEASE_VERSION &&
           lease->size == FENCE_LEASE_SIZE;
}

/* Empties it unless it is a good one of this boot. */
static void lease_prepare(struct fence_lease *lease, const uint64_t boot[2])
{
    if (lease_is_whole(lease) && atomic_load(&lease->boot[0]) == boot[0] &&
        atomic_load(&lease->boot[1]) == boot[1]) {
        return;
    }
    atomic_store(&lease->deadline_ns, 0);
    atomic_store(&lease->epoch, 0);
    atomic_store(&lease->closed, 0);
    atomic_store(&lease->fenced_ns, 0);
    atomic_store(&lease->guard_pid, 0);
    atomic_store(&lease->refused, 0);
    atomic_store(&lease->unacknowledged, 0);
    atomic_store(&lease->strict, 0);
    atomic_store(&lease->free_ns, 0);
    atomic_store(&lease->boot[0], boot[0]);
    atomic_store(&lease->boot[1], boot[1]);
    lease->version = FENCE_LEASE_VERSION;
    lease->size = FENCE_LEASE_SIZE;
    lease->magic = FENCE_LEASE_MAGIC;
}

static int lease_map(int fd, bool create, struct fence_lease **ret_lease)
{
    uint64_t boot[2] = {0, 0};
    int r = create ? fence_lease_boot(boot) : 0;
    if (r < 0) {
        return r;
    }
    struct stat status;
    if (fstat(fd, &status) < 0) {
        return -errno;
    }
    if (!S_ISREG(status.st_mode)) {
        return -EBADMSG;
    }
    if (status.st_size < (off_t)FENCE_LEASE_SIZE) { /* reading behind its end would be SIGBUS */
        if (!create) {
            return -EBADMSG;
        }
        r = posix_fallocate(fd, 0, (off_t)FENCE_LEASE_SIZE); /* so would writing on a full disk */
        if (r != 0) {
            return -r;
        }
    }
    void *memory = mmap(NULL, FENCE_LEASE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        return -errno;
    }
    struct fence_lease *lease = memory;
    if (create) {
        lease_prepare(lease, boot);
    } else if (!lease_is_whole(lease)) {
        (void)munmap(memory, FENCE_LEASE_SIZE); /* it was mapped above */
        return -EBADMSG;
    }
    *ret_lease = lease;
    return 0;
}

int fence_lease_open(const char *path, bool create, struct fence_lease **ret_lease)
{
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0);
    int fd = open(path, flags, 0600);
    if (fd < 0) {
        return -errno;
    }
    int r = lease_map(fd, create, ret_lease);
    (void)close(fd); /* the mapping stays */
    return r;
}

void fence_lease_close(struct fence_lease *take_lease)
{
    if (take_lease != NULL) {
        (void)munmap(take_lease, FENCE_LEASE_SIZE); /* it was mapped by fence_lease_open */
    }
}

int fence_lease_extend(struct fence_lease *lease, int64_t epoch, int64_t deadline_ns)
{
    assert(epoch > 0 && deadline_ns > 0);
    int64_t before = atomic_load(&lease->epoch);
    do {
        if (epoch < before) {
            return -ESTALE;
        }
    } while (epoch > before && !atomic_compare_exchange_weak(&lease->epoch, &before, epoch));
    int64_t deadline = atomic_load(&lease->deadline_ns);
    do { /* a revocation in between makes the exchange fail, and is seen then */
        if (epoch <= atomic_load(&lease->closed)) {
            return -ESTALE;
        }
    } while (deadline < deadline_ns &&
             !atomic_compare_exchange_weak(&lease->deadline_ns, &deadline, deadline_ns));
    if (epoch <= atomic_load(&lease->closed)) { /* it came after the look and before the exchange */
        fence_lease_revoke(lease, epoch);
        return -ESTALE;
    }
    return 0;
}

void fence_lease_revoke(struct fence_lease *lease, int64_t epoch)
{
    int64_t closed = atomic_load(&lease->closed);
    while (closed < epoch && !atomic_compare_exchange_weak(&lease->closed, &closed, epoch)) {
    }
    if (atomic_load(&lease->epoch) <= epoch) {
        atomic_store(&lease->deadline_ns, 0);
    }
}
