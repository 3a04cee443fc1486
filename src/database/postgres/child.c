/* Programs of PostgreSQL: started without a shell, in a session of their own, with a clean
 * environment, default signals and no descriptor of ours, as the server's user. See internal.h.
 * Thread: as postgres.h. Between fork and exec only what is safe in a process whose other threads
 * are gone: system calls. Invariant: child_run and child_read leave no process behind. */
#include "base/text.h"
#include "database/postgres/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS 64U
#define SETTINGS 16U
#define LINE_LIMIT (64U << 10U)
#define LOG_LIMIT ((off_t)16 << 20) /* then it is turned over at the next start */

/* Everything that the child needs, made before the fork. */
struct plan {
    char program[PATH_SIZE];
    const char *arguments[ARGUMENTS + 2];
    const char *settings[SETTINGS + 5];
    char path[PATH_SIZE + 32];
    char home[PATH_SIZE + 8];
    int input;  /* -1: /dev/null */
    int output; /* -1: /dev/null */
    int errors;
    int failure; /* written to when exec fails */
    uid_t user;
    gid_t group;
    bool tied; /* dies with us */
};

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd); /* a pipe, or a log that is not read back */
        *fd = -1;
    }
}

static int plan_make(const struct postgres *server, const struct child *child, struct plan *plan,
                     struct err *err)
{
    *plan = (struct plan){.input = -1, .output = -1, .errors = -1, .failure = -1};
    int length = child->program[0] == '/'
                     ? snprintf(plan->program, sizeof(plan->program), "%s", child->program)
                     : snprintf(plan->program, sizeof(plan->program), "%s/%s", server->binaries,
                                child->program);
    if (length < 0 || (size_t)length >= sizeof(plan->program)) {
        return err_set(err, ERR_LIMIT, "the path of %s is too long", child->program);
    }
    (void)snprintf(plan->path, sizeof(plan->path), "PATH=%s:/usr/bin:/bin", server->binaries);
    (void)snprintf(plan->home, sizeof(plan->home), "HOME=%s", server->directory);
    size_t count = 0;
    plan->settings[count++] = plan->path;
    plan->settings[count++] = plan->home;
    plan->settings[count++] = "LC_ALL=C";
    plan->settings[count++] = "TZ=UTC";
    for (const char *const *setting = child->settings; setting != NULL && *setting != NULL;
         setting++) {
        if (count == SETTINGS + 4) {
            return err_set(err, ERR_LIMIT, "too many settings for %s", child->program);
        }
        plan->settings[count++] = *setting;
    }
    count = 0;
    plan->arguments[count++] = plan->program;
    for (const char *const *argument = child->arguments; *argument != NULL; argument++) {
        if (count == ARGUMENTS + 1) {
            return err_set(err, ERR_LIMIT, "too many arguments for %s", child->program);
        }
        plan->arguments[count++] = *argument;
    }
    if (geteuid() == 0) {
        plan->user = server->user;
        plan->group = server->group;
    }
    return 0;
}

/* All but the standard ones close at exec: also what other threads open meanwhile. */
static void close_others(void)
{
    if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0) {
        return;
    }
    for (int fd = 3; fd < 65536; fd++) {      /* kernels before 5.11 */
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC); /* most are not open */
    }
}

static bool become(uid_t user, gid_t group)
{
    /* The plain system calls: glibc's would talk to threads that are not here. */
    return user == 0 || (syscall(SYS_setgroups, 0, NULL) == 0 &&
                         syscall(SYS_setresgid, group, group, group) == 0 &&
                         syscall(SYS_setresuid, user, user, user) == 0);
}

static int standard(int fd, int as)
{
    if (fd < 0) {
        fd = open("/dev/null", as == 0 ? O_RDONLY : O_WRONLY);
        if (fd < 0) {
            return -1;
        }
    }
    return dup2(fd, as); /* clears close-on-exec; our descriptors are all above 2 */
}

NORETURN static void child_main(const struct plan *plan)
{
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++) {
        (void)sigaction(number, &usual, NULL); /* some cannot be changed */
    }
    sigset_t none;
    bool fine = sigemptyset(&none) == 0 && pthread_sigmask(SIG_SETMASK, &none, NULL) == 0 &&
                setsid() >= 0 && standard(plan->input, 0) == 0 && standard(plan->output, 1) == 1 &&
                standard(plan->errors, 2) == 2;
    if (fine) {
        close_others();
        (void)umask(0077);
        fine = chdir("/") == 0 && become(plan->user, plan->group) &&
               (!plan->tied || prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
    }
    if (fine) {
        union { /* exec's prototype is older than const */
            const char *const *given;
            char *const *wanted;
        } arguments = {.given = plan->arguments}, settings = {.given = plan->settings};
        (void)execve(plan->program, arguments.wanted, settings.wanted);
    }
    int code = errno;
    IGNORE_RESULT(write(plan->failure, &code, sizeof(code))); /* nobody else is left to tell */
    _exit(127);
}

/* Forks; returns when the program runs, or with why it does not. */
static int launch(struct plan *plan, struct postgres_process *ret_process, struct err *err)
{
    int failure[2];
    if (pipe2(failure, O_CLOEXEC) < 0) {
        return err_set_errno(err, errno, "starting %s", plan->program);
    }
    plan->failure = failure[1];
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);                            /* cannot fail */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* no handler of ours runs in the child */
    pid_t pid = fork();
    if (pid == 0) {
        child_main(plan);
    }
    int code = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* cannot fail */
    (void)close(failure[1]);                           /* only written to by the child */
    if (pid < 0) {
        (void)close(failure[0]);
        return err_set_errno(err, code, "starting %s", plan->program);
    }
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    int fd_code = errno;
    ssize_t size = 0;
    do {
        size = read(failure[0], &code, sizeof(code)); /* the end of file: exec closed it */
    } while (size < 0 && errno == EINTR);
    (void)close(failure[0]); /* only read from */
    if (size == 0 && fd >= 0) {
        *ret_process = (struct postgres_process){.pid = pid, .fd = fd};
        return 0;
    }
    (void)kill(pid, SIGKILL); /* has ended, most likely */
    (void)waitpid(pid, NULL, 0);
    close_fd(&fd);
    return err_set_errno(err, size == (ssize_t)sizeof(code) ? code : fd_code, "starting %s",
                         plan->program);
}

static int open_log(const struct postgres *server, const struct child *child, int *ret_fd,
                    struct err *err)
{
    char path[PATH_SIZE];
    if (child->no_log) {
        return 0;
    }
    int r = file_path(server, "log/postgres.log", path, err);
    if (r < 0) {
        return r;
    }
    struct stat status;
    if (stat(path, &status) == 0 && status.st_size > LOG_LIMIT) {
        char old[PATH_SIZE + 2];
        (void)snprintf(old, sizeof(old), "%s.1", path); /* longer by two */
        (void)rename(path, old);                        /* else it goes on growing */
    }
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_set_errno(err, errno, "opening %s", path);
    }
    if (server->user != 0 && geteuid() == 0) {
        (void)!fchown(fd, server->user, server->group); /* it is open: the server can write */
    }
    *ret_fd = fd;
    return 0;
}

int child_launch(const struct postgres *server, const struct child *child,
                 struct postgres_process *ret_process, struct err *err)
{
    struct plan plan;
    int log CLEANUP(close_fd) = -1;
    int r = plan_make(server, child, &plan, err);
    if (r == 0) {
        r = open_log(server, child, &log, err);
    }
    if (r < 0) {
        return r;
    }
    plan.output = log;
    plan.errors = log;
    return launch(&plan, ret_process, err);
}

/* A program that runs, and what it says. */
struct run {
    struct postgres_process process;
    int output;
    const char *input;
    size_t input_left;
    int input_fd;
    struct buf *text;   /* all that it says; or NULL */
    child_line on_line; /* or NULL */
    void *context;
    bool leaves;
    struct buf line;
    struct buf last; /* the last line with something in it */
};

/* Kills it with what it started (its session is its process group), and reaps it. */
static void run_end(struct run *run)
{
    close_fd(&run->output);
    close_fd(&run->input_fd);
    if (run->process.pid != 0) {
        (void)kill(-run->process.pid, SIGKILL); /* they may have ended */
        (void)waitpid(run->process.pid, NULL, 0);
        close_fd(&run->process.fd);
        run->process.pid = 0;
    }
    buf_done(&run->line);
    buf_done(&run->last);
}

static int take_line(struct run *run, struct err *err)
{
    if (run->line.length == 0) {
        return 0;
    }
    buf_reset(&run->last);
    buf_puts(&run->last, buf_text(&run->line));
    int r = 0;
    if (run->on_line != NULL) {
        r = run->on_line(run->context, run->line.data, err);
    }
    buf_reset(&run->line);
    return r;
}

/* *ret_over: the end of what it says. */
static int take_output(struct run *run, bool *ret_over, struct err *err)
{
    char chunk[16384];
    ssize_t size = read(run->output, chunk, sizeof(chunk));
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) {
        return 0;
    }
    if (size <= 0) {
        *ret_over = true;
        return take_line(run, err);
    }
    if (run->text != NULL) {
        buf_put(run->text, chunk, (size_t)size);
    }
    const char *at = chunk;
    const char *end = chunk + size;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop != NULL ? stop : end) - at);
        size_t room = LINE_LIMIT - MIN(run->line.length, LINE_LIMIT);
        buf_put(&run->line, at, MIN(length, room));
        at += length;
        if (stop != NULL) {
            at++;
            int r = take_line(run, err);
            if (r < 0) {
                return r;
            }
        }
    }
    return 0;
}

static void give_input(struct run *run)
{
    ssize_t size = send(run->input_fd, run->input, run->input_left, MSG_NOSIGNAL);
    if (size > 0) {
        run->input += size;
        run->input_left -= (size_t)size;
    }
    if (run->input_left == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) {
        close_fd(&run->input_fd); /* or it does not read any more */
    }
}

/* What it said before it ended, when others may have its output open. */
static int take_rest(struct run *run, bool *ret_over, struct err *err)
{
    int r = 0;
    struct pollfd fd = {.fd = run->output, .events = POLLIN};
    while (r == 0 && !*ret_over && poll(&fd, 1, 0) == 1) {
        r = take_output(run, ret_over, err);
    }
    *ret_over = true;
    return r == 0 ? take_line(run, err) : r;
}

/* Until it has ended and everything that it said was read. */
static int run_serve(struct run *run, const struct postgres_limit *limit, const char *name,
                     int *ret_status, struct err *err)
{
    bool over = false;
    bool ended = false;
    while (!over || !ended) {
        struct pollfd fds[3] = {{.fd = over ? -1 : run->output, .events = POLLIN},
                                {.fd = ended ? -1 : run->process.fd, .events = POLLIN},
                                {.fd = run->input_fd, .events = POLLOUT}};
        int r = limit_poll(limit, fds, 3, -1, name, err);
        if (r == 0 && fds[0].revents != 0) {
            r = take_output(run, &over, err);
        }
        if (r < 0) {
            return r;
        }
        if (fds[1].revents != 0) {
            ended = true;
            r = run->leaves && !over ? take_rest(run, &over, err) : 0;
            if (r < 0) {
                return r;
            }
        }
        if (fds[2].revents != 0) {
            give_input(run);
        }
    }
    int status = 0;
    if (waitpid(run->process.pid, &status, 0) != run->process.pid) {
        status = 0x7F00; /* somebody else reaped it */
    }
    run->process.pid = 0;
    close_fd(&run->process.fd);
    *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return 0;
}

/* Standard input from a string, through a pipe; writes to a program that ended must not be a
 * signal, so it is a socket. */
static int make_input(struct run *run, int *ret_fd, struct err *err)
{
    if (run->input == NULL) {
        return 0;
    }
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
        return err_set_errno(err, errno, "making a socket");
    }
    int flags = fcntl(pair[1], F_GETFL);
    if (flags < 0 || fcntl(pair[1], F_SETFL, flags & ~O_NONBLOCK) < 0) {
        (void)close(pair[0]); /* nothing was written */
        (void)close(pair[1]);
        return err_set_errno(err, errno, "making a socket");
    }
    run->input_fd = pair[0];
    *ret_fd = pair[1];
    return 0;
}

static int run_start(const struct postgres *server, const struct child *child, struct run *run,
                     struct err *err)
{
    struct plan plan;
    int log CLEANUP(close_fd) = -1;
    int output[2] = {-1, -1};
    int input CLEANUP(close_fd) = -1;
    int r = plan_make(server, child, &plan, err);
    if (r == 0) {
        r = open_log(server, child, &log, err);
    }
    if (r == 0) {
        r = make_input(run, &input, err);
    }
    if (r == 0 && pipe2(output, O_CLOEXEC) < 0) {
        r = err_set_errno(err, errno, "starting %s", child->program);
    }
    if (r < 0) {
        return r;
    }
    run->output = output[0];
    plan.input = input;
    plan.output = output[1];
    plan.errors = child->keep_errors ? output[1] : log;
    plan.tied = true;
    r = launch(&plan, &run->process, err);
    (void)close(output[1]); /* the child has its own */
    return r;
}

static int run_child(const struct postgres *server, const struct child *child,
                     const struct postgres_limit *limit, struct run *run, int *ret_status,
                     struct err *err)
{
    run->output = -1;
    run->input_fd = -1;
    run->process = POSTGRES_PROCESS_NONE;
    run->input = child->input;
    run->leaves = child->leaves;
    run->input_left = child->input != NULL ? strlen(child->input) : 0;
    buf_init(&run->line, LINE_LIMIT + 1);
    buf_init(&run->last, LINE_LIMIT + 1);
    int status = 0;
    int r = run_start(server, child, run, err);
    if (r == 0) {
        r = run_serve(run, limit, child->program, &status, err);
    }
    if (r == 0 && ret_status != NULL) {
        *ret_status = status;
    } else if (r == 0 && status != 0) {
        char words[200];
        (void)snprintf(words, sizeof(words), "%.199s", buf_text(&run->last));
        if (!child->keep_errors || words[0] == '\0') {
            child_last_words(server, words, sizeof(words));
        }
        r = err_set(err, ERR_UNAVAILABLE, "%s ended with status %d: %s", child->program, status,
                    words);
    }
    run_end(run);
    return r;
}

int child_run(const struct postgres *server, const struct child *child,
              const struct postgres_limit *limit, struct buf *output, int *ret_status,
              struct err *err)
{
    struct run run = {.text = output};
    return run_child(server, child, limit, &run, ret_status, err);
}

int child_read(const struct postgres *server, const struct child *child,
               const struct postgres_limit *limit, child_line on_line, void *context,
               struct err *err)
{
    struct run run = {.on_line = on_line, .context = context};
    return run_child(server, child, limit, &run, NULL, err);
}

/* What is worth repeating of a line of the log: from the severity on, without its prefix. */
static const char *core_of(const char *line)
{
    static const char *const marks[] = {"FATAL:", "PANIC:", "ERROR:", "fatal:", "error:"};
    for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
        const char *found = strstr(line, marks[i]);
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

void child_last_words(const struct postgres *server, char *out, size_t size)
{
    char path[PATH_SIZE];
    struct err ignored = ERR_INIT;
    out[0] = '\0';
    if (file_path(server, "log/postgres.log", path, &ignored) < 0) {
        return;
    }
    char text[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0) {
        close_fd(&fd);
        return;
    }
    off_t from =
        status.st_size > (off_t)sizeof(text) - 1 ? status.st_size - (off_t)sizeof(text) + 1 : 0;
    ssize_t got = pread(fd, text, sizeof(text) - 1, from);
    close_fd(&fd);
    text[got > 0 ? got : 0] = '\0';
    const char *best = "";
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        const char *core = core_of(line);
        best = core != NULL ? core : best; /* the last that says what is wrong */
    }
    (void)snprintf(out, size, "%.199s", best);
    text_mend(out);
}
