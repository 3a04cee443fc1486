/* The postmaster: started, found again, watched, signalled. See postgres.h. Thread: as there. What
 * is waited for is told by inotify (files), by the pidfd (its end), never by looking again and
 * again. */
#include "base/text.h"
#include "database/postgres/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PID_FILE "data/postmaster.pid"
#define STATUS_LINE 7 /* of postmaster.pid, counted from 0 */
#define WATCH_MS 20   /* a file that was written between two looks is seen after this, at last */

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd); /* only read from */
        *fd = -1;
    }
}

static int send_signal(const struct postgres_process *process, int number)
{
    if (process->fd < 0) {
        return -ESRCH;
    }
    return syscall(SYS_pidfd_send_signal, process->fd, number, NULL, 0) < 0 ? -errno : 0;
}

void postgres_process_done(struct postgres_process *process)
{
    if (process->pid > 0) {
        (void)waitpid(process->pid, NULL, WNOHANG); /* not a child of ours: nothing to reap */
    }
    close_fd(&process->fd);
    if (process->watch > 0) {
        (void)close(process->watch); /* only read from */
    }
    process->watch = 0;
    process->pid = 0;
}

bool postgres_process_ended(const struct postgres_process *process)
{
    struct pollfd fd = {.fd = process->fd, .events = POLLIN};
    return process->fd < 0 || poll(&fd, 1, 0) > 0;
}

/* One line of postmaster.pid; "" when there is none. */
static void pid_file_line(const struct postgres *server, int number, char *out, size_t size)
{
    char path[PATH_SIZE];
    struct err ignored = ERR_INIT;
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 4096);
    out[0] = '\0';
    if (file_path(server, PID_FILE, path, &ignored) < 0 ||
        file_read(path, 4096, &text, &ignored) < 0 || text.length == 0) {
        return;
    }
    char *rest = text.data;
    char *line = strsep(&rest, "\n");
    for (int i = 0; i < number && line != NULL; i++) {
        line = strsep(&rest, "\n");
    }
    if (line != NULL && rest != NULL && text_copy(out, size, line) < 0) {
        out[0] = '\0';
    }
}

/* Whether that process is `postgres`, working in this data directory. */
static bool is_this_server(const struct postgres *server, pid_t pid)
{
    char link[64];
    char path[PATH_SIZE];
    struct err ignored = ERR_INIT;
    struct stat data;
    struct stat working;
    (void)snprintf(link, sizeof(link), "/proc/%d/cwd", (int)pid);
    if (file_path(server, "data", path, &ignored) < 0 || stat(path, &data) < 0 ||
        stat(link, &working) < 0 || data.st_dev != working.st_dev ||
        data.st_ino != working.st_ino) {
        return false;
    }
    char program[64];
    (void)snprintf(link, sizeof(link), "/proc/%d/comm", (int)pid);
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 256);
    return file_read(link, 255, &text, &ignored) == 0 &&
           text_copy_n(program, sizeof(program), buf_text(&text), strcspn(buf_text(&text), "\n")) ==
               0 &&
           (text_equal(program, "postgres") || text_equal(program, "postmaster"));
}

int postgres_adopt(const struct postgres *server, struct postgres_process *ret_process,
                   struct err *err)
{
    char line[32];
    int64_t pid = 0;
    pid_file_line(server, 0, line, sizeof(line));
    if (text_to_i64(line, 2, INT_MAX, &pid) < 0) {
        return err_set(err, ERR_NOT_FOUND, "no server runs in %s", server->directory);
    }
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (fd < 0 && errno != ESRCH) {
        return err_set_errno(err, errno, "looking for process %d", (int)pid);
    }
    struct postgres_process process = {.pid = (pid_t)pid, .fd = fd};
    /* The descriptor was opened first: what is looked at now is the process that it stands for. */
    if (fd < 0 || !is_this_server(server, process.pid) || postgres_process_ended(&process)) {
        postgres_process_done(&process);
        return err_set(err, ERR_NOT_FOUND, "no server runs in %s", server->directory);
    }
    *ret_process = process;
    return 0;
}

/* Processes of a postmaster that was killed go on with what they do until they notice; another
 * server cannot start meanwhile. */
static void kill_left_behind(const struct postgres *server)
{
    DIR *folder = opendir("/proc");
    struct dirent *entry = NULL;
    while (folder != NULL &&
           (entry = readdir(folder)) != NULL) { /* NOLINT(concurrency-mt-unsafe): our own stream */
        int64_t pid = 0;
        if (text_to_i64(entry->d_name, 2, INT_MAX, &pid) == 0 &&
            is_this_server(server, (pid_t)pid)) {
            (void)kill((pid_t)pid, SIGKILL); /* it may have ended by itself */
        }
    }
    if (folder != NULL) {
        (void)closedir(folder); /* only read */
    }
}

int postgres_start(const struct postgres *server, struct postgres_process *ret_process,
                   struct err *err)
{
    struct postgres_process running = POSTGRES_PROCESS_NONE;
    struct err none = ERR_INIT;
    if (postgres_adopt(server, &running, &none) == 0) {
        postgres_process_done(&running);
        return err_set(err, ERR_EXISTS, "the server in %s runs already", server->directory);
    }
    char data[PATH_SIZE];
    int r = file_path(server, "data", data, err);
    if (r < 0) {
        return r;
    }
    kill_left_behind(server);
    const char *const arguments[] = {"-D", data, NULL};
    const struct child child = {.program = "postgres", .arguments = arguments};
    return child_launch(server, &child, ret_process, err);
}

enum postgres_ready postgres_ready(const struct postgres *server,
                                   const struct postgres_process *process)
{
    char line[32];
    int64_t pid = 0;
    if (postgres_process_ended(process)) {
        return POSTGRES_ENDED;
    }
    pid_file_line(server, 0, line, sizeof(line));
    if (text_to_i64(line, 2, INT_MAX, &pid) < 0 || pid != process->pid) {
        return POSTGRES_STARTING; /* it has not written it yet */
    }
    pid_file_line(server, STATUS_LINE, line, sizeof(line));
    if (text_starts(line, "ready")) { /* accepts connections, in recovery or not */
        struct postgres_control control;
        struct err ignored = ERR_INIT;
        bool known = postgres_control(server, &control, &ignored) == 0;
        return known && control.running ? POSTGRES_READY : POSTGRES_STANDBY;
    }
    return text_starts(line, "stopping") ? POSTGRES_STOPPING : POSTGRES_STARTING;
}

/* Told of changes of files in a folder. */
static int watch_folder(const struct postgres *server, const char *below, int *ret_fd,
                        struct err *err)
{
    char path[PATH_SIZE];
    int r = file_path(server, below, path, err);
    if (r < 0) {
        return r;
    }
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0 ||
        inotify_add_watch(fd, path,
                          IN_MODIFY | IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_DELETE) < 0) {
        int code = errno;
        close_fd(&fd);
        return err_set_errno(err, code, "watching %s", path);
    }
    *ret_fd = fd;
    return 0;
}

static void drain(int fd)
{
    char events[4096];
    while (read(fd, events, sizeof(events)) > 0) {
        /* that something changed is all we want to know */
    }
}

/* One round of waiting for a change in the folder; -EHOSTUNREACH when the server has ended. */
static int wait_change(const struct postgres *server, const struct postgres_process *process,
                       int watch, const struct postgres_limit *limit, const char *what,
                       struct err *err)
{
    struct pollfd fds[2] = {{.fd = watch, .events = POLLIN}, {.fd = process->fd, .events = POLLIN}};
    int r = limit_poll(limit, fds, 2, WATCH_MS, what, err);
    if (r < 0) {
        return r;
    }
    drain(watch);
    if (fds[1].revents != 0) {
        char words[200];
        child_last_words(server, words, sizeof(words));
        return err_set(err, ERR_UNAVAILABLE, "%s: the server ended: %s", what, words);
    }
    return 0;
}

int postgres_wait_ready(const struct postgres *server, const struct postgres_process *process,
                        const struct postgres_limit *limit, enum postgres_ready *ret_ready,
                        struct err *err)
{
    int watch CLEANUP(close_fd) = -1;
    int r = watch_folder(server, "data", &watch, err);
    while (r == 0) {
        enum postgres_ready ready = postgres_ready(server, process);
        if (ready == POSTGRES_READY || ready == POSTGRES_STANDBY) {
            *ret_ready = ready;
            return 0;
        }
        r = wait_change(server, process, watch, limit, "starting the server", err);
    }
    return r;
}

/* ---- the end ---- */

int postgres_ask_to_stop(const struct postgres_process *process, enum postgres_stop how,
                         struct err *err)
{
    int r = 0;
    switch (how) {
    case POSTGRES_FAST:
        r = send_signal(process, SIGINT);
        break;
    case POSTGRES_IMMEDIATE:
        r = send_signal(process, SIGQUIT);
        break;
    case POSTGRES_KILL:
        r = send_signal(process, SIGKILL);
        break;
    }
    if (r == 0 && how != POSTGRES_KILL) {
        r = send_signal(process, SIGCONT); /* one that somebody stopped would not hear */
    }
    return r == 0 || r == -ESRCH ? 0 : err_set_errno(err, -r, "stopping the server");
}

int postgres_stop(const struct postgres *server, const struct postgres_process *process,
                  enum postgres_stop how, const struct postgres_limit *limit, struct err *err)
{
    int r = postgres_ask_to_stop(process, how, err);
    while (r == 0 && !postgres_process_ended(process)) {
        struct pollfd fd = {.fd = process->fd, .events = POLLIN};
        r = limit_poll(limit, &fd, 1, -1, "stopping the server", err);
    }
    if (r == 0 && how == POSTGRES_KILL) {
        kill_left_behind(server);
    }
    return r;
}

int postgres_stop_writing(const struct postgres *server, struct postgres_process *process,
                          const struct postgres_limit *limit, struct postgres_control *ret_control,
                          struct err *err)
{
    int r = process->watch > 0 ? 0 : watch_folder(server, "data/global", &process->watch, err);
    if (r == 0) {
        r = postgres_ask_to_stop(process, POSTGRES_FAST, err);
    }
    while (r == 0) {
        bool ended = postgres_process_ended(process); /* before the look: what it left is final */
        struct postgres_control control = {.clean = false};
        r = postgres_control(server, &control, err);
        if (r == 0 && control.clean) {
            *ret_control = control;
            return 0;
        }
        if (r == 0 && ended) {
            r = err_set(err, ERR_UNAVAILABLE, "the server ended without a clean shutdown");
        }
        if (r == 0) {
            struct pollfd fds[2] = {{.fd = process->watch, .events = POLLIN},
                                    {.fd = process->fd, .events = POLLIN}};
            r = limit_poll(limit, fds, 2, WATCH_MS, "stopping the server", err);
            drain(process->watch);
        }
    }
    return r;
}

int postgres_reload(const struct postgres_process *process, struct err *err)
{
    int r = send_signal(process, SIGHUP);
    return r < 0 ? err_set_errno(err, -r, "reloading the server's settings") : 0;
}

int postgres_promote(const struct postgres *server, const struct postgres_process *process,
                     const struct postgres_limit *limit, struct err *err)
{
    int watch CLEANUP(close_fd) = -1;
    char path[PATH_SIZE];
    struct postgres_control control = {.running = false};
    int r = watch_folder(server, "data/global", &watch, err);
    if (r == 0) {
        r = file_path(server, "data/promote", path, err);
    }
    if (r == 0) {
        r = postgres_control(server, &control, err);
    }
    if (r < 0 || control.running) {
        return r;
    }
    /* Not synced: when the machine fails now, the server is a standby as before. */
    int fd CLEANUP(close_fd) = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_set_errno(err, errno, "making %s", path);
    }
    r = send_signal(process, SIGUSR1);
    if (r < 0) {
        return err_set_errno(err, -r, "promoting the server");
    }
    for (;;) {
        r = postgres_control(server, &control, err);
        if (r < 0 || control.running) {
            return r;
        }
        r = wait_change(server, process, watch, limit, "promoting the server", err);
        if (r < 0) {
            return r;
        }
    }
}
