/* The client of bench/arc: sends requests that were made ahead over kept connections and writes how
 * long each took, so that a site and the etcd member beside it are asked by the same code at the
 * same cost. Standard input has a line for each server and each request:
 *
 *     http ADDRESS PORT                    a server of requests; the first is 0
 *     dns ADDRESS PORT                     a site; the question is for www.arc.example A
 *     request CLIENT HTTP WANTED SIZE      SIZE bytes and a newline follow. WANTED: the address
 * that all sites answer with after it, or "-"
 *
 * Each client is a thread with connections of its own, and sends its requests one after the other,
 * with RATE not before they are due. Standard output has a line for each request, in their order:
 * HTTP STATUS MICROSECONDS ANSWERED LATE, where ANSWERED is when the last site answered with
 * WANTED, counted as MICROSECONDS are from the first byte sent, and LATE how long after it was due
 * the request was sent. A status of 0 is a broken connection; bodies of failures go to standard
 * error. While a client waits for answers of DNS it asks each site every ASK_NS. */
#include "base/memory.h"
#include "base/text.h"
#include "base/time.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SERVERS 8U
#define CLIENTS 32U
#define REQUESTS 200000U
#define REQUEST_SIZE 65536
#define ANSWER_SIZE 65536U
#define ASK_NS (300 * TIME_US)
#define LOST_NS (20 * TIME_MS)   /* a question without an answer is asked again */
#define GIVE_UP_NS (10 * TIME_S) /* then a request counts as failed */

struct request {
    unsigned client;
    unsigned server;
    char *bytes;
    size_t size;
    in_addr_t wanted; /* INADDR_ANY: none */
    int64_t due_ns;   /* since the start */
    int status;
    int64_t took_ns;
    int64_t answered_ns;
    int64_t late_ns;
};

struct plan {
    struct sockaddr_in http[SERVERS];
    struct sockaddr_in dns[SERVERS];
    unsigned http_count;
    unsigned dns_count;
    struct request *requests;
    size_t count;
    unsigned clients;
    int64_t rest_ns; /* after each request */
    struct mono started;
};

struct client {
    struct plan *plan;
    unsigned number;
    pthread_t thread;
    int http[SERVERS]; /* -1: not connected */
    int dns[SERVERS];
    char answer[ANSWER_SIZE + 1];
    size_t got;
};

/* One site while it is waited for. */
struct site {
    struct mono asked;
    bool waiting; /* for an answer */
    bool changed;
};

static const unsigned char question[] = {0,   7,   0,   0,   0,   1,   0,   0,   0,   0, 0,
                                         0,   3,   'w', 'w', 'w', 3,   'a', 'r', 'c', 7, 'e',
                                         'x', 'a', 'm', 'p', 'l', 'e', 0,   0,   1,   0, 1};

static NORETURN void die(const char *what)
{
    perror(what);
    exit(2); /* NOLINT(concurrency-mt-unsafe): nothing is left to do */
}

/* ---- the plan ---- */

static int64_t number_of(const char *text, int64_t most)
{
    int64_t number = 0;
    if (text == NULL || text_to_i64(text, 0, most, &number) != 0) {
        errno = EINVAL;
        die("a number in the plan");
    }
    return number;
}

static struct sockaddr_in address_of(const char *text, const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)number_of(port, UINT16_MAX))};
    if (text == NULL || inet_pton(AF_INET, text, &address.sin_addr) != 1) {
        errno = EINVAL;
        die("an address in the plan");
    }
    return address;
}

static void read_request(struct plan *plan, char **rest)
{
    if (plan->count == REQUESTS) {
        errno = E2BIG;
        die("the plan");
    }
    struct request *request = &plan->requests[plan->count++];
    request->client = (unsigned)number_of(strtok_r(NULL, " \n", rest), CLIENTS - 1);
    request->server = (unsigned)number_of(strtok_r(NULL, " \n", rest), SERVERS - 1);
    const char *wanted = strtok_r(NULL, " \n", rest);
    if (wanted != NULL && !text_equal(wanted, "-") &&
        inet_pton(AF_INET, wanted, &request->wanted) != 1) {
        errno = EINVAL;
        die("a wanted address");
    }
    request->size = (size_t)number_of(strtok_r(NULL, " \n", rest), REQUEST_SIZE);
    request->bytes = memory_array(request->size + 1, 1);
    if (fread(request->bytes, 1, request->size, stdin) != request->size) {
        errno = EINVAL;
        die("a request of the plan");
    }
    plan->clients = MAX(plan->clients, request->client + 1);
}

static void read_plan(struct plan *plan)
{
    char *line = NULL;
    size_t room = 0;
    plan->requests = memory_array(REQUESTS, sizeof *plan->requests);
    while (getline(&line, &room, stdin) > 0) {
        char *rest = NULL;
        const char *word = strtok_r(line, " \n", &rest);
        bool http = word != NULL && text_equal(word, "http") && plan->http_count < SERVERS;
        bool dns = word != NULL && text_equal(word, "dns") && plan->dns_count < SERVERS;
        if (http || dns) {
            const char *address = strtok_r(NULL, " \n", &rest);
            struct sockaddr_in at = address_of(address, strtok_r(NULL, " \n", &rest));
            if (http) {
                plan->http[plan->http_count++] = at;
            } else {
                plan->dns[plan->dns_count++] = at;
            }
        } else if (word != NULL && text_equal(word, "request")) {
            read_request(plan, &rest);
        }
    }
    free(line);
}

/* ---- one request ---- */

static int connect_to(const struct sockaddr_in *address, int type)
{
    const int on = 1;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address) != 0) {
        die("connecting");
    }
    if (type == SOCK_STREAM && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
        die("TCP_NODELAY");
    }
    return fd;
}

/* 0 while the answer is not whole. */
static int status_of(const char *answer, size_t got)
{
    const char *body = strstr(answer, "\r\n\r\n");
    const char *length = strcasestr(answer, "\r\nContent-Length:");
    if (body == NULL || length == NULL || length > body || !text_starts(answer, "HTTP/1.1 ")) {
        return 0;
    }
    size_t size = (size_t)strtoul(length + strlen("\r\nContent-Length:"), NULL, 10);
    bool whole = (size_t)(body - answer) + 4 + size <= got;
    return whole ? (int)strtol(answer + strlen("HTTP/1.1 "), NULL, 10) : 0;
}

/* Takes what has come; false when the connection is broken. */
static bool take(struct client *client, int fd, struct request *request)
{
    ssize_t size = recv(fd, client->answer + client->got, ANSWER_SIZE - client->got, 0);
    if (size <= 0) {
        return false;
    }
    client->got += (size_t)size;
    client->answer[client->got] = '\0';
    request->status = status_of(client->answer, client->got);
    return true;
}

static void take_dns(const struct client *client, unsigned number, struct site *site,
                     const struct request *request)
{
    unsigned char answer[512];
    in_addr_t address = INADDR_ANY;
    ssize_t size = recv(client->dns[number], answer, sizeof answer, MSG_DONTWAIT);
    site->waiting = false;
    if (size >= (ssize_t)(sizeof question + sizeof address)) {
        (void)memcpy(&address, answer + size - sizeof address, sizeof address);
    }
    site->changed = address == request->wanted;
}

static void ask(const struct client *client, unsigned number, struct site *site)
{
    (void)send(client->dns[number], question, sizeof question, 0); /* asked again when lost */
    site->asked = mono_now();
    site->waiting = true;
}

/* Waits until something came or a site is to be asked. */
static void wait_for(const struct client *client, const struct request *request,
                     struct site sites[SERVERS], struct pollfd *polled)
{
    const struct plan *plan = client->plan;
    int64_t wait_ns = GIVE_UP_NS;
    bool dns = request->wanted != INADDR_ANY;
    polled[0] = (struct pollfd){.fd = request->status == 0 ? client->http[request->server] : -1,
                                .events = POLLIN};
    for (unsigned i = 0; i < plan->dns_count; i++) {
        bool open = dns && !sites[i].changed;
        polled[i + 1] = (struct pollfd){.fd = open ? client->dns[i] : -1, .events = POLLIN};
        if (open) {
            int64_t since = mono_since(mono_now(), sites[i].asked);
            wait_ns = MIN(wait_ns, (sites[i].waiting ? LOST_NS : ASK_NS) - since);
        }
    }
    wait_ns = MAX(wait_ns, 0);
    struct timespec wait = {.tv_sec = wait_ns / TIME_S, .tv_nsec = wait_ns % TIME_S};
    (void)ppoll(polled, plan->dns_count + 1, &wait, NULL); /* the caller looks at the time */
}

/* One site, after waiting: takes its answer, asks again. Whether it changed now. */
static bool look(const struct client *client, unsigned number, struct site *site,
                 const struct request *request, const struct pollfd *polled)
{
    if (polled->fd < 0) {
        return false;
    }
    if (polled->revents != 0) {
        take_dns(client, number, site, request);
    }
    int64_t asked = mono_since(mono_now(), site->asked);
    if (!site->changed && asked >= (site->waiting ? LOST_NS : ASK_NS)) {
        ask(client, number, site);
    }
    return site->changed;
}

/* Until it is answered and, where that is wanted, every site has changed. */
static void follow(struct client *client, struct request *request, struct mono since)
{
    const struct plan *plan = client->plan;
    struct site sites[SERVERS] = {{.waiting = false}};
    struct pollfd polled[SERVERS + 1];
    unsigned left = request->wanted != INADDR_ANY ? plan->dns_count : 0;
    while (request->status == 0 || left != 0) {
        wait_for(client, request, sites, polled);
        int64_t elapsed = mono_since(mono_now(), since);
        if (elapsed > GIVE_UP_NS) {
            request->status = 0;
            return;
        }
        if (polled[0].revents != 0) {
            if (!take(client, polled[0].fd, request)) {
                return;
            }
            request->took_ns = elapsed;
        }
        for (unsigned i = 0; i < plan->dns_count; i++) {
            if (look(client, i, &sites[i], request, &polled[i + 1])) {
                request->answered_ns = elapsed;
                left--;
            }
        }
    }
}

static void send_request(struct client *client, struct request *request)
{
    struct plan *plan = client->plan;
    int *fd = &client->http[request->server];
    if (*fd < 0) {
        *fd = connect_to(&plan->http[request->server], SOCK_STREAM);
    }
    client->got = 0;
    struct mono since = mono_now();
    request->late_ns = mono_since(since, plan->started) - request->due_ns;
    if (send(*fd, request->bytes, request->size, MSG_NOSIGNAL) == (ssize_t)request->size) {
        if (request->wanted != INADDR_ANY) {
            follow(client, request, since);
        } else {
            while (request->status == 0 && take(client, *fd, request)) {
            }
            request->took_ns = mono_since(mono_now(), since);
        }
    }
    if (request->status != 200) {
        (void)fprintf(stderr, "status %d: %s\n", request->status,
                      client->got != 0 ? client->answer : "the connection ended");
        (void)close(*fd); /* opened anew by the next */
        *fd = -1;
    }
}

static void wait_until(const struct plan *plan, int64_t due_ns)
{
    int64_t at = plan->started.ns + due_ns;
    struct timespec until = {.tv_sec = at / TIME_S, .tv_nsec = at % TIME_S};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}

static void *run(void *argument)
{
    struct client *client = argument;
    struct plan *plan = client->plan;
    const struct timespec rest = {.tv_sec = plan->rest_ns / TIME_S,
                                  .tv_nsec = plan->rest_ns % TIME_S};
    for (size_t i = 0; i < plan->count; i++) {
        struct request *request = &plan->requests[i];
        if (request->client != client->number) {
            continue;
        }
        if (request->due_ns != 0) {
            wait_until(plan, request->due_ns);
        }
        send_request(client, request);
        if (plan->rest_ns != 0) {
            (void)nanosleep(&rest, NULL); /* a shorter rest does no harm */
        }
    }
    return NULL;
}

/* ---- all ---- */

static void begin(struct plan *plan, struct client *client, unsigned number)
{
    const struct timeval patience = {.tv_sec = GIVE_UP_NS / TIME_S};
    client->plan = plan;
    client->number = number;
    for (unsigned i = 0; i < plan->http_count; i++) {
        client->http[i] = connect_to(&plan->http[i], SOCK_STREAM);
        if (setsockopt(client->http[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0) {
            die("SO_RCVTIMEO");
        }
    }
    for (unsigned i = 0; i < plan->dns_count; i++) {
        client->dns[i] = connect_to(&plan->dns[i], SOCK_DGRAM);
    }
}

static void show(const struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct request *request = &plan->requests[i];
        printf("%u %d %" PRId64 " %" PRId64 " %" PRId64 "\n", request->server, request->status,
               request->took_ns / TIME_US, request->answered_ns / TIME_US,
               request->late_ns / TIME_US);
    }
}

int main(int argc, char **argv)
{
    static struct plan plan;
    if (argc != 3) {
        (void)fprintf(stderr, "usage: %s RATE REST_US < plan\n", argv[0]);
        return 2;
    }
    int64_t rate = number_of(argv[1], TIME_S);
    plan.rest_ns = number_of(argv[2], TIME_S) * TIME_US;
    read_plan(&plan);
    struct client *clients = memory_array(MAX(plan.clients, 1), sizeof *clients);
    for (unsigned i = 0; i < plan.clients; i++) {
        begin(&plan, &clients[i], i);
    }
    for (size_t i = 0; rate != 0 && i < plan.count; i++) {
        plan.requests[i].due_ns = ((int64_t)i + 1) * TIME_S / rate;
    }
    plan.started = mono_now();
    for (unsigned i = 0; i < plan.clients; i++) {
        if (pthread_create(&clients[i].thread, NULL, run, &clients[i]) != 0) {
            die("a thread");
        }
    }
    for (unsigned i = 0; i < plan.clients; i++) {
        (void)pthread_join(clients[i].thread, NULL); /* ours, joined once */
    }
    show(&plan);
    return 0;
}
