/* The module that a PostgreSQL server of Leeward loads (shared_preload_libraries): it refuses to
 * acknowledge writes when the server's lease does not hold, whatever has become of the agent, and
 * ends the server then. The lease comes by a mapped file: lease_file.h.
 *
 * Every transaction that wrote is looked at twice, in the backend that commits it:
 *   before its commit record is written: the lease does not hold: an error, nothing is written;
 *   after that is on disk, and on the standbys that it waited for, before the client is told: the
 *     lease does not hold any more: the session ends without a word. The client does not know
 *     whether it was committed, which is the truth.
 * PREPARE TRANSACTION likewise; COMMIT and ROLLBACK PREPARED through the utility hook, because
 * these run in a transaction that has no id of its own. Reads are served as long as the server
 * lives.
 *
 * With leeward.strict (synchronous and bounded groups) no commit is acknowledged that a synchronous
 * standby has not confirmed, whatever the client set; a wait that was cancelled, which PostgreSQL
 * would acknowledge with a warning, ends the session in the same way. Until the lease file's
 * free_ns, which the agent of a bounded group moves on, commits do not wait. Both are looked at in
 * shared memory, after the commit: so it does not matter when a session reads its settings.
 * Leeward's own sessions and PostgreSQL's workers, who tell nobody, never wait.
 *
 * Process: the postmaster maps the file, its children inherit that. The background worker guard.c
 * ends the server. In recovery there is nothing to do: no transaction writes, no worker runs.
 * Idea of looking at an outside lease in the commit: ours; hooks: PostgreSQL's own. */
#include "database/fence/module.h"

#include <access/xact.h>
#include <access/xlog.h>
#include <catalog/pg_authid.h>
#include <fmgr.h>
#include <miscadmin.h>
#include <replication/syncrep.h>
#include <replication/walsender_private.h>
#include <storage/lwlock.h>
#include <tcop/dest.h>
#include <tcop/tcopprot.h>
#include <tcop/utility.h>
#include <utils/guc.h>

PG_MODULE_MAGIC;

/* NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming): PostgreSQL's */
void _PG_init(void);

/* Minor releases from 15.13 on say it in a bit of another member. */
#ifdef SYNC_STANDBY_DEFINED
#define STANDBYS_DEFINED(shared) (((shared)->sync_standbys_status & SYNC_STANDBY_DEFINED) != 0)
#else
#define STANDBYS_DEFINED(shared) ((shared)->sync_standbys_defined)
#endif

static char *lease_path;
static bool strict;
static bool waiting; /* never looked at: show_waiting tells */
static struct fence_lease *lease;
static uint64_t boot[2];
static bool finishes_prepared; /* this transaction ends a prepared one */
static bool wrote_log;         /* and this one, before its commit record */
static ProcessUtility_hook_type next_utility;

struct fence_lease *module_lease(void)
{
    return lease;
}

bool module_lease_holds(void)
{
    return fence_lease_holds(lease, boot, fence_lease_now());
}

/* The postmaster is the first to read the files, and the others see it at once. */
static void on_strict(bool value, void *extra)
{
    (void)extra;
    if (lease != NULL && MyProcPid == PostmasterPid) {
        atomic_store(&lease->strict, value ? 1 : 0);
    }
}

/* Whether commits wait for standbys at all, as the checkpointer read it: it may be long after the
 * postmaster. */
static const char *show_waiting(void)
{
    const volatile WalSndCtlData *shared = WalSndCtl;
    return shared != NULL && STANDBYS_DEFINED(shared) ? "on" : "off";
}

/* Its commits are acknowledged to nobody. */
static bool is_internal(void)
{
    return GetSessionUserId() == BOOTSTRAP_SUPERUSERID;
}

static bool needs_standby(void)
{
    return !is_internal() && fence_lease_needs_standby(lease, fence_lease_now());
}

static bool transaction_wrote(void)
{
    return finishes_prepared || TransactionIdIsValid(GetTopTransactionIdIfAny());
}

/* Before anything is written: a lease, and no way around the standbys. */
static void before_commit(void)
{
    if (!module_lease_holds()) {
        (void)atomic_fetch_add(&lease->refused, 1);
        ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
                        errmsg("cannot commit: this server may not accept writes now"),
                        errdetail("Its lease, of epoch %lld, does not hold.",
                                  (long long)atomic_load(&lease->epoch)),
                        errhint("Connect again: another server of the group is, or becomes, the "
                                "writer.")));
    }
    wrote_log = XactLastRecEnd != InvalidXLogRecPtr;
    if (atomic_load(&lease->strict) == 0) {
        return;
    }
    /* What is acknowledged is on our own disk at least: the bound counts from there. */
    bool waits = needs_standby();
    const char *wanted = waits ? "on" : "local";
    if (waits ? synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH
              : synchronous_commit != SYNCHRONOUS_COMMIT_LOCAL_FLUSH) {
        (void)set_config_option("synchronous_commit", wanted, PGC_SUSET, PGC_S_SESSION,
                                GUC_ACTION_LOCAL, true, 0, false);
    }
}

static bool standby_has(XLogRecPtr end)
{
    (void)LWLockAcquire(SyncRepLock, LW_SHARED);
    bool has = WalSndCtl->lsn[SYNC_REP_WAIT_FLUSH] >= end;
    LWLockRelease(SyncRepLock);
    return has;
}

/* Also where the session did not wait, or for less: its commit began when it need not have. */
static void wait_for_standby(XLogRecPtr end)
{
    int before = synchronous_commit;
    XLogFlush(end);
    synchronous_commit = SYNCHRONOUS_COMMIT_REMOTE_FLUSH;
    assign_synchronous_commit(synchronous_commit, NULL);
    SyncRepWaitForLSN(end, true);
    synchronous_commit = before;
    assign_synchronous_commit(before, NULL);
}

/* Whether what this transaction wrote is where it has to be. prepared: its record is not the
 * transaction's own commit record, whose end PostgreSQL remembers; everything on disk is behind it.
 */
static bool is_confirmed(bool prepared)
{
    if (!needs_standby()) {
        return true;
    }
    if (!wrote_log && !prepared) {
        return true; /* tables that no standby has: PostgreSQL does not wait for these */
    }
    XLogRecPtr end = prepared ? GetFlushRecPtr(NULL) : XactLastCommitEnd;
    if (!standby_has(end) && (prepared || synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)) {
        wait_for_standby(end);
    }
    return standby_has(end) || !needs_standby();
}

/* As SyncRepWaitForLSN does when it may not acknowledge: nothing more is sent, and the session ends
 * at the next look at interrupts, which comes before the next statement. An error here would be a
 * panic, because the transaction is committed. */
static void end_silently(const char *why)
{
    (void)atomic_fetch_add(&lease->unacknowledged, 1);
    whereToSendOutput = DestNone;
    ereport(LOG, (errmsg("leeward: a commit is not acknowledged: %s", why)));
    ProcDiePending = true;
    InterruptPending = true;
}

static void after_commit(bool prepared)
{
    if (!module_lease_holds()) {
        end_silently("the lease ran out meanwhile");
    } else if (!is_confirmed(prepared)) {
        end_silently("no synchronous standby has confirmed it");
    }
}

static void on_transaction(XactEvent event, void *argument)
{
    (void)argument;
    switch (event) {
    case XACT_EVENT_PRE_COMMIT:
    case XACT_EVENT_PRE_PREPARE:
        if (transaction_wrote()) {
            before_commit();
        }
        break;
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_PREPARE:
        if (transaction_wrote()) {
            after_commit(finishes_prepared || event == XACT_EVENT_PREPARE);
        }
        finishes_prepared = false;
        break;
    case XACT_EVENT_ABORT:
        finishes_prepared = false;
        break;
    case XACT_EVENT_PARALLEL_PRE_COMMIT:
    case XACT_EVENT_PARALLEL_COMMIT:
    case XACT_EVENT_PARALLEL_ABORT:
        break; /* the leader commits */
    }
}

static void on_utility(PlannedStmt *statement, const char *text, bool read_only,
                       ProcessUtilityContext context, ParamListInfo parameters,
                       QueryEnvironment *environment, DestReceiver *receiver,
                       QueryCompletion *completion)
{
    Node *node = statement->utilityStmt;
    if (IsA(node, TransactionStmt)) {
        TransactionStmtKind kind = ((TransactionStmt *)node)->kind;
        if (kind == TRANS_STMT_COMMIT_PREPARED || kind == TRANS_STMT_ROLLBACK_PREPARED) {
            before_commit();
            finishes_prepared = true;
        }
    } else {
        module_check_roles(node);
    }
    (next_utility != NULL ? next_utility : standard_ProcessUtility)(
        statement, text, read_only, context, parameters, environment, receiver, completion);
}

void _PG_init(void)
{
    if (!process_shared_preload_libraries_in_progress) {
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("leeward_fence can only be loaded by shared_preload_libraries")));
    }
    DefineCustomStringVariable("leeward.lease_file", "File that this server's lease is written to.",
                               NULL, &lease_path, "", PGC_POSTMASTER, GUC_SUPERUSER_ONLY, NULL,
                               NULL, NULL);
    DefineCustomBoolVariable("leeward.strict",
                             "Commits that no synchronous standby has are never acknowledged.",
                             NULL, &strict, false, PGC_SIGHUP, 0, NULL, on_strict, NULL);
    DefineCustomBoolVariable("leeward.waiting", "Commits wait for synchronous standbys.", NULL,
                             &waiting, false, PGC_INTERNAL, 0, NULL, NULL, show_waiting);
    MarkGUCPrefixReserved("leeward");
    if (!IsPostmasterEnvironment) {
        return; /* single-user mode: recovery before a rewind, or hands */
    }
    int r = fence_lease_boot(boot);
    if (r == 0) {
        r = fence_lease_open(lease_path, false, &lease);
    }
    if (r < 0) {
        errno = -r;
        ereport(FATAL, (errcode_for_file_access(),
                        errmsg("leeward: the lease file \"%s\" cannot be used: %m", lease_path)));
    }
    on_strict(strict, NULL);
    RegisterXactCallback(on_transaction, NULL);
    next_utility = ProcessUtility_hook;
    ProcessUtility_hook = on_utility;
    module_register_guard();
}
