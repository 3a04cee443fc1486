/* Giving up privileges: see privileges.h. Called by daemon.c between binding and starting. Logs
 * where a process stays root. Invariant: after privileges_drop nothing brings a privilege back; a
 * step that fails ends the start.
 *
 * The filter is a list of what is refused (EPERM), not of what is allowed: libraries change what
 * they call, and a name server that dies of an update is no safer. */
#include "daemon/privileges.h"

#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEFAULT_USER "leeward"
#define NICE_ROOM 30 /* 20 - (-10): threads may still ask for a nice value of -10 */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WATCHED 1 /* sanitizers look into their own process */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WATCHED 1
#endif
#endif
#ifndef WATCHED
#define WATCHED 0
#endif

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

int privileges_find(const char *user, struct privileges *ret_privileges, struct err *err)
{
    struct privileges found = {0};
    if (geteuid() != 0) {
        *ret_privileges = found;
        return 0;
    }
    char room[4096];
    struct passwd entry;
    struct passwd *known = NULL;
    int rc = getpwnam_r(user, &entry, room, sizeof room, &known);
    if (known == NULL && (rc != 0 || !text_equal(user, DEFAULT_USER))) {
        return err_set(err, ERR_NOT_FOUND, "user: there is no user '%s' on this machine", user);
    }
    if (known == NULL) {
        log_warn("daemon.stays_root", F("reason", "there is no user " DEFAULT_USER),
                 F("next", "make one, or name another with --user"));
    } else if (known->pw_uid != 0) {
        found.change = true;
        found.uid = known->pw_uid;
        found.gid = known->pw_gid;
        if (text_copy(found.user, sizeof found.user, user) != 0) {
            return err_set(err, ERR_INVALID, "user: the name is too long");
        }
    }
    *ret_privileges = found;
    return 0;
}

int privileges_prepare_directory(const struct privileges *privileges, const char *directory,
                                 struct err *err)
{
    bool made = mkdir(directory, 0700) == 0;
    if (!made && errno != EEXIST) {
        return err_set_errno(err, errno, "data directory %s (choose one with --data)", directory);
    }
    struct stat status;
    if (!privileges->change) {
        return 0;
    }
    if (made && chown(directory, privileges->uid, privileges->gid) != 0) {
        return err_set_errno(err, errno, "data directory %s", directory);
    }
    if (stat(directory, &status) != 0) {
        return err_set_errno(err, errno, "data directory %s", directory);
    }
    if (status.st_uid != privileges->uid) {
        return err_set(err, ERR_DENIED,
                       "data directory %s belongs to user id %u, but this daemon runs as %s: "
                       "chown -R %s: %s",
                       directory, (unsigned)status.st_uid, privileges->user, privileges->user,
                       directory);
    }
    return 0;
}

/* ---- dropping ---- */

static int become(const struct privileges *privileges, struct err *err)
{
    struct rlimit nice = {.rlim_cur = NICE_ROOM, .rlim_max = NICE_ROOM};
    (void)setrlimit(RLIMIT_NICE, &nice); /* without it the health loop has ordinary priority */
    if (initgroups(privileges->user, privileges->gid) != 0 ||
        setresgid(privileges->gid, privileges->gid, privileges->gid) != 0 ||
        setresuid(privileges->uid, privileges->uid, privileges->uid) != 0) {
        return err_set_errno(err, errno, "becoming user %s", privileges->user);
    }
    return 0;
}

/* What executing could give; refused where we may not, and then there is nothing to give. */
static void drop_bounding(void)
{
    for (unsigned long capability = 0; capability < 64; capability++) {
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) {
            return;
        }
    }
}

static int drop_capabilities(struct err *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* kernels since 4.3 */
    if (syscall(SYS_capset, &header, none) != 0) {
        return err_set_errno(err, errno, "dropping capabilities");
    }
    return 0;
}

/* ---- the filter ---- */

#ifdef ARCHITECTURE

#define REFUSE(number)                                                                             \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##number, 0, 1),                                       \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

static int filter_calls(struct err *err)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#ifdef __x86_64__
        /* The numbers of x32. */
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000U, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        REFUSE(iopl),
        REFUSE(ioperm),
#endif
        REFUSE(execve),
        REFUSE(execveat),
        REFUSE(ptrace),
        REFUSE(process_vm_readv),
        REFUSE(process_vm_writev),
        REFUSE(mount),
        REFUSE(umount2),
        REFUSE(pivot_root),
        REFUSE(chroot),
        REFUSE(unshare),
        REFUSE(setns),
        REFUSE(bpf),
        REFUSE(perf_event_open),
        REFUSE(userfaultfd),
        REFUSE(kexec_load),
        REFUSE(init_module),
        REFUSE(finit_module),
        REFUSE(delete_module),
        REFUSE(reboot),
        REFUSE(swapon),
        REFUSE(swapoff),
        REFUSE(acct),
        REFUSE(quotactl),
        REFUSE(add_key),
        REFUSE(request_key),
        REFUSE(keyctl),
        REFUSE(personality),
        REFUSE(open_by_handle_at),
        REFUSE(settimeofday),
        REFUSE(clock_settime),
        REFUSE(adjtimex),
        REFUSE(sethostname),
        REFUSE(setdomainname),
#ifdef SYS_kexec_file_load
        REFUSE(kexec_file_load),
#endif
#ifdef SYS_io_uring_setup
        REFUSE(io_uring_setup),
#endif
#ifdef SYS_pidfd_getfd
        REFUSE(pidfd_getfd),
#endif
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = ARRAY_SIZE(rules), .filter = rules};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
        return err_set_errno(err, errno, "filtering system calls (sandbox: no turns it off)");
    }
    return 0;
}

#else

static int filter_calls(struct err *err)
{
    (void)err; /* no numbers are known for this architecture: the rest of the sandbox holds */
    return 0;
}

#endif

int privileges_drop(const struct privileges *privileges, bool sandbox, struct err *err)
{
    bool root = geteuid() == 0 && !privileges->change;
    if (!root) {
        drop_bounding();
    }
    int rc = privileges->change ? become(privileges, err) : 0;
    if (rc == 0 && !root) { /* a process that stays root keeps what root's files ask for */
        rc = drop_capabilities(err);
    }
    if (rc != 0 || !sandbox || WATCHED) {
        return rc;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return err_set_errno(err, errno, "giving up privileges");
    }
    return filter_calls(err);
}
