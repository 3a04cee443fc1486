/* The background worker that ends a server whose lease does not hold: fast, and, when the
 * postmaster does not hear (it is stopped, or hangs), session by session, and at once. Runs as soon
 * as recovery is over: in a writer. It needs neither the agent nor a database.
 *
 * Refusing commits is fence.c's, and does not depend on this: here sessions are ended, so that
 * clients look for the new writer. See lease_file.h. */
#include "database/fence/module.h"

#include <miscadmin.h>
#include <pgstat.h>
#include <postmaster/bgworker.h>
#include <signal.h>
#include <storage/ipc.h>
#include <storage/latch.h>
#include <storage/proc.h>
#include <storage/procarray.h>
#include <utils/timestamp.h>

#define LOOK_MS 100      /* at the latest: a revocation wakes nobody */
#define PATIENCE_MS 1000 /* for each way to end the server */
#define NS_IN_MS 1000000

PGDLLEXPORT void leeward_guard_main(Datum argument);

static volatile sig_atomic_t told_to_end;

static void on_term(SIGNAL_ARGS)
{
    int code = errno;
    (void)postgres_signal_arg;
    told_to_end = 1;
    SetLatch(MyLatch);
    errno = code;
}

/* False when the server is about to end, which the postmaster tells by SIGTERM. */
static bool wait_ms(long ms)
{
    if (!told_to_end) {
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
                        PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
    }
    CHECK_FOR_INTERRUPTS();
    return !told_to_end;
}

/* Waits as long as the lease holds. False when the server ends before. */
static bool watch_lease(void)
{
    while (module_lease_holds()) {
        int64 left = (atomic_load(&module_lease()->deadline_ns) - fence_lease_now()) / NS_IN_MS + 1;
        if (!wait_ms((long)Max(1, Min(left, LOOK_MS)))) {
            return false;
        }
    }
    return true;
}

/* Sends a signal to every session of a client, without the postmaster. */
static void signal_sessions(int number)
{
    for (uint32 i = 0; i < ProcGlobal->allProcCount; i++) {
        const PGPROC *proc = &ProcGlobal->allProcs[i];
        int pid = proc->pid;
        if (pid > 1 && pid != MyProcPid && OidIsValid(proc->databaseId)) {
            (void)kill(pid, number); /* it may have ended by itself */
        }
    }
}

static bool wait_for_the_end(void)
{
    TimestampTz began = GetCurrentTimestamp();
    while (!TimestampDifferenceExceeds(began, GetCurrentTimestamp(), PATIENCE_MS)) {
        if (!wait_ms(LOOK_MS)) {
            return true;
        }
    }
    return false;
}

static void end_server(void)
{
    ereport(LOG, (errmsg("leeward: the lease of epoch %lld does not hold: this server ends",
                         (long long)atomic_load(&module_lease()->epoch))));
    atomic_store(&module_lease()->fenced_ns, fence_lease_now());
    (void)kill(PostmasterPid, SIGINT); /* our parent: it lives, or WL_EXIT_ON_PM_DEATH ends us */
    if (wait_for_the_end()) {
        return;
    }
    ereport(LOG, (errmsg("leeward: the postmaster does not hear: sessions are ended one by one")));
    signal_sessions(SIGTERM);
    if (wait_for_the_end()) {
        return;
    }
    (void)kill(PostmasterPid, SIGQUIT); /* for when it hears again */
    signal_sessions(SIGQUIT);
    while (wait_ms(PATIENCE_MS)) {
        signal_sessions(SIGQUIT);
    }
}

void leeward_guard_main(Datum argument)
{
    (void)argument;
    pqsignal(SIGTERM, on_term);
    BackgroundWorkerUnblockSignals();
    atomic_store(&module_lease()->guard_pid, MyProcPid);
    if (watch_lease()) {
        end_server();
    }
    atomic_store(&module_lease()->guard_pid, 0);
    proc_exit(0);
}

void module_register_guard(void)
{
    BackgroundWorker worker = {
        .bgw_name = "leeward guard",
        .bgw_type = "leeward guard",
        .bgw_flags = BGWORKER_SHMEM_ACCESS,
        .bgw_start_time = BgWorkerStart_RecoveryFinished,
        .bgw_restart_time = 1,
        .bgw_library_name = "leeward_fence", /* found by dynamic_library_path */
        .bgw_function_name = "leeward_guard_main",
    };
    RegisterBackgroundWorker(&worker);
}
