/* The supervisor: see supervisor.h. supervisor_start and _stop run in the daemon, the rest in the
 * supervisor's own process, which has one thread and keeps what privileges the daemon was started
 * with: it needs them to begin the role anew, and reads nothing but one byte. Invariant: the role
 * does not outlive its supervisor, nor the supervisor the daemon, but for the time a clean end
 * takes.
 */
#include "daemon/supervisor.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP 's'
/* Between the role's end and its next start; it doubles while runs are short. */
#define PAUSE_FIRST_MS 100
#define PAUSE_LAST_MS 10000
#define GOOD_RUN_S 30

struct supervisor {
    pid_t process;
    int pipe; /* the daemon's end */
};

/* In the supervisor's process. */
struct watch {
    const struct supervisor_role *role;
    int pipe;
    int signals;
    pid_t child; /* 0: none runs */
    int64_t pause_ms;
    struct mono began;
    struct mono due;   /* without a child: when the next one begins; when stopping: the kill */
    bool stopping;     /* the role is to end */
    bool disconnected; /* nothing comes from the pipe any more */
};

/* ---- the supervisor's process ---- */

NORETURN static void run_role(const struct watch *watch, pid_t supervisor)
{
    (void)close(watch->pipe); /* the supervisor's */
    (void)close(watch->signals);
    (void)prctl(PR_SET_NAME, watch->role->name, 0, 0, 0); /* for who looks at processes */
    if (getppid() != supervisor) {
        _exit(EXIT_FAILURE);
    }
    int rc = watch->role->run(watch->role->argument);
    (void)fflush(NULL); /* nobody is left to tell */
    _exit(rc);
}

static void begin(struct watch *watch)
{
    pid_t supervisor = getpid();
    watch->began = mono_now();
    watch->child = fork();
    if (watch->child == 0) {
        run_role(watch, supervisor);
    }
    if (watch->child < 0) {
        watch->child = 0;
        watch->due = mono_from_now(PAUSE_LAST_MS * TIME_MS);
    }
}

static void ended(struct watch *watch, int status)
{
    bool long_run = mono_since(mono_now(), watch->began) >= GOOD_RUN_S * TIME_S;
    watch->child = 0;
    if (watch->stopping) {
        return;
    }
    watch->pause_ms =
        long_run || watch->pause_ms == 0 ? PAUSE_FIRST_MS : MIN(watch->pause_ms * 2, PAUSE_LAST_MS);
    watch->due = mono_from_now(watch->pause_ms * TIME_MS);
    log_error("supervisor.ended", F("role", watch->role->name),
              F("exit_code", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
              F("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
              F("next_start_ms", watch->pause_ms));
}

static void stop(struct watch *watch)
{
    if (watch->stopping) {
        return;
    }
    watch->stopping = true;
    watch->due = mono_from_now(SUPERVISOR_STOP_S * TIME_S);
    if (watch->child != 0) {
        (void)kill(watch->child, SIGTERM); /* it is there until it is waited for */
    }
}

/* Children that ended, and the wish of a service manager that asks every process by itself. */
static void take_signals(struct watch *watch)
{
    struct signalfd_siginfo info;
    int status = 0;
    pid_t child = 0;
    while (read(watch->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGTERM) {
            stop(watch);
        }
    }
    /* The role's servers go on without it; they are adopted by init, not by us. */
    while ((child = waitpid(-1, &status, WNOHANG)) > 0) {
        if (child == watch->child) {
            ended(watch, status);
        }
    }
}

static void take_word(struct watch *watch)
{
    char word = 0;
    ssize_t got = read(watch->pipe, &word, 1);
    if (got == 1 && word == STOP) {
        stop(watch);
    } else if (got == 0 || (got < 0 && errno != EINTR)) {
        watch->disconnected = true;
        if (!watch->stopping && watch->child != 0) { /* the daemon died */
            (void)kill(watch->child, SIGKILL);
        }
        watch->due = watch->stopping ? watch->due : mono_now();
        watch->stopping = true;
    }
}

static int wait_ms(const struct watch *watch)
{
    if (watch->child != 0 && !watch->stopping) {
        return -1;
    }
    int64_t ns = mono_since(watch->due, mono_now());
    return ns <= 0 ? 0 : (int)MIN(ns / TIME_MS + 1, 60000);
}

NORETURN static void supervise(struct watch *watch)
{
    while (!watch->stopping || watch->child != 0) {
        struct pollfd waited[] = {{.fd = watch->signals, .events = POLLIN},
                                  {.fd = watch->disconnected ? -1 : watch->pipe, .events = POLLIN}};
        if (watch->child == 0 && mono_since(watch->due, mono_now()) <= 0) {
            begin(watch);
        } else if (watch->stopping && mono_since(watch->due, mono_now()) <= 0) {
            (void)kill(watch->child, SIGKILL);
            watch->due = mono_from_now(TIME_S);
        }
        if (poll(waited, ARRAY_SIZE(waited), wait_ms(watch)) < 0 && errno != EINTR) {
            break;
        }
        take_signals(watch);
        if ((waited[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
            take_word(watch);
        }
    }
    _exit(EXIT_SUCCESS);
}

NORETURN static void become_supervisor(const struct supervisor_role *role, int pipe, pid_t daemon)
{
    struct watch watch = {.role = role, .pipe = pipe};
    sigset_t set;
    (void)sigemptyset(&set); /* none of these can fail with valid signals */
    (void)sigaddset(&set, SIGCHLD);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT); /* of a terminal: the daemon gets it too, and tells */
    (void)sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)prctl(PR_SET_NAME, "leeward-watch", 0, 0, 0); /* for who looks at processes */
    (void)sigdelset(&set, SIGINT);
    (void)sigdelset(&set, SIGHUP);
    watch.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (watch.signals < 0 || getppid() != daemon) {
        _exit(EXIT_FAILURE);
    }
    watch.due = mono_now();
    supervise(&watch);
}

/* ---- the daemon ---- */

int supervisor_start(const struct supervisor_role *role, struct supervisor **ret_supervisor,
                     struct err *err)
{
    int ends[2];
    pid_t daemon = getpid();
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return err_set_errno(err, errno, "starting %s", role->name);
    }
    pid_t process = fork();
    if (process == 0) {
        (void)close(ends[1]); /* the daemon's alone: its end shows the daemon's */
        become_supervisor(role, ends[0], daemon);
    }
    int problem = errno;
    (void)close(ends[0]); /* the supervisor's */
    if (process < 0) {
        (void)close(ends[1]);
        return err_set_errno(err, problem, "starting %s", role->name);
    }
    struct supervisor *supervisor = memory_new(sizeof *supervisor);
    supervisor->process = process;
    supervisor->pipe = ends[1];
    *ret_supervisor = supervisor;
    return 0;
}

void supervisor_stop(struct supervisor *take_supervisor)
{
    if (take_supervisor == NULL) {
        return;
    }
    const char word = STOP;
    int status = 0;
    IGNORE_RESULT(write(take_supervisor->pipe, &word, 1)); /* it may be gone already */
    while (waitpid(take_supervisor->process, &status, 0) < 0 && errno == EINTR) {
        /* again */
    }
    (void)close(take_supervisor->pipe); /* nothing is left to say */
    free(take_supervisor);
}
