/* The load generator of bench/dns: keeps a window of queries outstanding at one server over UDP, or
 * sends at a fixed rate, with many packets a system call, and counts what comes back.
 *
 * FILE holds the queries, each with its length in two bytes in front; they are asked in turn. Where
 * all have one length, a batch leaves as one segmented datagram (UDP_SEGMENT), so that the
 * generator costs less than any server and the server's core is the limit. It never sleeps: a
 * wake-up would be paid for by the server. A query without an answer for LOST_NS counts as lost.
 * One thread; the result is one line of JSON. */
#include "base/macro.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/time.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 64U
#define ANSWER 4096U
#define SOCKETS 64U
#define BUFFER (8 << 20)
#define LOST_NS (200 * TIME_MS)
#define RCODES 16U
#define BUCKETS 100000U
#define QUERY_LIMIT 512U

struct options {
    const char *address;
    int64_t port;
    int64_t milliseconds;
    int64_t window;    /* outstanding in all */
    int64_t sockets;   /* source ports, so that a server's workers share the load */
    int64_t rate;      /* queries a second; 0: as many as the window lets through */
    int64_t bucket_us; /* 0: no counts over time */
    int64_t fresh;     /* last byte of an answer that is told from others; -1: none */
    int64_t plain;     /* no segmented datagrams */
    int64_t share;     /* gives the processor to others while there is nothing to do */
};

struct load {
    struct options options;
    uint8_t *queries; /* one behind the other, then the first BATCH again */
    size_t *at;       /* where each starts */
    size_t count;
    size_t same; /* the length of all; 0 when they differ */
    int fds[SOCKETS];
    int64_t outstanding[SOCKETS];
    size_t next;
    struct mono started;
    struct mono heard; /* of the newest answer */
    uint64_t sent;
    uint64_t received;
    uint64_t lost;
    uint64_t bytes;
    uint64_t rcodes[RCODES];
    int64_t first_fresh_ns; /* monotonic; 0: none came */
    int64_t last_old_ns;
    uint32_t buckets[BUCKETS];
    struct mmsghdr in[BATCH];
    struct iovec in_data[BATCH];
    uint8_t answers[BATCH][ANSWER];
    struct mmsghdr out[BATCH];
    struct iovec out_data[BATCH];
};

static NORETURN void die(const char *what)
{
    perror(what);
    exit(2); /* NOLINT(concurrency-mt-unsafe): one thread */
}

static void read_queries(struct load *load, const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        die(path);
    }
    size_t capacity = 0;
    size_t used = 0;
    uint8_t head[2];
    while (fread(head, 1, 2, file) == 2) {
        size_t length = (size_t)head[0] << 8U | head[1];
        if (length > QUERY_LIMIT) {
            break;
        }
        if (load->count + 2 > capacity) {
            capacity = capacity * 2 + 1024;
            load->at = memory_resize(load->at, capacity, sizeof *load->at);
            load->queries = memory_resize(load->queries, capacity + BATCH, QUERY_LIMIT);
        }
        if (fread(load->queries + used, 1, length, file) != length) {
            break;
        }
        load->same = load->count == 0 || load->same == length ? length : 0;
        load->at[load->count++] = used;
        used += length;
        load->at[load->count] = used;
    }
    (void)fclose(file); /* only read from */
    if (load->count == 0) {
        (void)fprintf(stderr, "bench_dns_load: %s has no queries\n", path);
        exit(2); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
    for (size_t i = 0; load->same != 0 && i < BATCH; i++) { /* so that no batch has to wrap */
        (void)memcpy(load->queries + used + i * load->same,
                     load->queries + i % load->count * load->same, load->same);
    }
}

static void open_sockets(struct load *load)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)load->options.port)};
    if (inet_pton(AF_INET, load->options.address, &to.sin_addr) != 1) {
        errno = EINVAL;
        die(load->options.address);
    }
    for (int64_t i = 0; i < load->options.sockets; i++) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        int buffer = BUFFER;
        if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
            die("socket");
        }
        /* Without the privilege the default has to do, and losses are counted. */
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
        load->fds[i] = fd;
    }
    for (unsigned i = 0; i < BATCH; i++) {
        load->in_data[i] = (struct iovec){load->answers[i], ANSWER};
        load->in[i].msg_hdr = (struct msghdr){.msg_iov = &load->in_data[i], .msg_iovlen = 1};
        load->out[i].msg_hdr = (struct msghdr){.msg_iov = &load->out_data[i], .msg_iovlen = 1};
    }
}

/* One datagram that the kernel cuts into count queries. Returns how many were sent. */
static int send_segmented(struct load *load, int fd, unsigned count)
{
    union {
        size_t alignment;
        char bytes[CMSG_SPACE(sizeof(uint16_t))];
    } control = {0};
    struct iovec data = {load->queries + load->at[load->next], count * load->same};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *segment = CMSG_FIRSTHDR(&message);
    uint16_t size = (uint16_t)load->same;
    segment->cmsg_level = IPPROTO_UDP;
    segment->cmsg_type = UDP_SEGMENT;
    segment->cmsg_len = CMSG_LEN(sizeof size);
    (void)memcpy(CMSG_DATA(segment), &size, sizeof size);
    return sendmsg(fd, &message, 0) > 0 ? (int)count : -1;
}

static int send_each(struct load *load, int fd, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        size_t query = (load->next + i) % load->count;
        load->out_data[i] =
            (struct iovec){load->queries + load->at[query], load->at[query + 1] - load->at[query]};
    }
    return sendmmsg(fd, load->out, count, 0);
}

static void send_batch(struct load *load, size_t socket, int64_t room)
{
    unsigned count = (unsigned)MIN(room, (int64_t)BATCH);
    int fd = load->fds[socket];
    int sent = load->same != 0 && load->options.plain == 0 ? send_segmented(load, fd, count)
                                                           : send_each(load, fd, count);
    if (sent < 0) {
        if (errno == EAGAIN || errno == ENOBUFS || errno == ECONNREFUSED) {
            return;
        }
        die("sending");
    }
    load->sent += (unsigned)sent;
    load->outstanding[socket] += sent;
    load->next = (load->next + (unsigned)sent) % load->count;
}

/* When old and fresh answers were seen, for changes that are made under load. */
static void watch_change(struct load *load, const uint8_t *answer, size_t length, int64_t now_ns)
{
    if (length < 16 || answer[7] == 0) {
        return;
    }
    if (answer[length - 1] != load->options.fresh) {
        load->last_old_ns = now_ns;
    } else if (load->first_fresh_ns == 0) {
        load->first_fresh_ns = now_ns;
    }
}

static void count_answers(struct load *load, size_t socket, unsigned count)
{
    load->heard = mono_now();
    load->received += count;
    load->outstanding[socket] -= MIN((int64_t)count, load->outstanding[socket]);
    for (unsigned i = 0; i < count; i++) {
        load->bytes += load->in[i].msg_len;
        load->rcodes[load->answers[i][3] & 0xfU]++;
        if (load->options.fresh >= 0) {
            watch_change(load, load->answers[i], load->in[i].msg_len, load->heard.ns);
        }
    }
    if (load->options.bucket_us != 0) {
        int64_t bucket = mono_since(load->heard, load->started) / TIME_US / load->options.bucket_us;
        load->buckets[MIN(bucket, (int64_t)BUCKETS - 1)] += count;
    }
}

static bool receive(struct load *load, size_t socket)
{
    int count = recvmmsg(load->fds[socket], load->in, BATCH, MSG_DONTWAIT, NULL);
    if (count > 0) {
        count_answers(load, socket, (unsigned)count);
    }
    return count > 0;
}

/* Queries that a socket may send now. */
static int64_t room_of(const struct load *load, size_t socket, struct mono now)
{
    int64_t share = load->options.window / load->options.sockets;
    int64_t room = share - load->outstanding[socket];
    if (load->options.rate != 0) {
        int64_t due = (int64_t)((double)mono_since(now, load->started) / (double)TIME_S *
                                (double)load->options.rate);
        return MIN(room, due - (int64_t)load->sent);
    }
    /* Half a window at once: a packet a system call would make the generator the limit. */
    return room >= MIN(share / 2, (int64_t)BATCH) ? room : 0;
}

static void give_up(struct load *load)
{
    for (int64_t i = 0; i < load->options.sockets; i++) {
        load->lost += (uint64_t)load->outstanding[i];
        load->outstanding[i] = 0;
    }
    load->heard = mono_now();
}

static void run(struct load *load)
{
    struct mono now = mono_now();
    int64_t length = load->options.milliseconds * TIME_MS;
    load->started = now;
    load->heard = now;
    for (; mono_since(now, load->started) < length; now = mono_now()) {
        bool heard = false;
        for (size_t i = 0; i < (size_t)load->options.sockets; i++) {
            heard = receive(load, i) || heard;
            int64_t room = room_of(load, i, now);
            if (room > 0) {
                send_batch(load, i, room);
            }
        }
        if (!heard && load->options.share != 0) {
            (void)sched_yield(); /* cannot fail on Linux */
        }
        if (!heard && mono_since(now, load->heard) > LOST_NS) {
            give_up(load);
        }
    }
}

/* What was still on its way counts as answered, not as lost. */
static void drain(struct load *load)
{
    load->heard = mono_now();
    for (int64_t left = 1; left > 0 && mono_since(mono_now(), load->heard) < LOST_NS;) {
        left = 0;
        for (size_t i = 0; i < (size_t)load->options.sockets; i++) {
            (void)receive(load, i); /* the time decides */
            left += load->outstanding[i];
        }
    }
    give_up(load);
}

static void print_result(const struct load *load, double seconds, uint64_t in_time)
{
    (void)printf("{\"seconds\": %.6f, \"sent\": %" PRIu64 ", \"received\": %" PRIu64
                 ", \"lost\": %" PRIu64 ", \"qps\": %.0f, \"bytes\": %.1f, \"started_ns\": %" PRId64
                 ", \"first_fresh_ns\": %" PRId64 ", \"last_old_ns\": %" PRId64 ", \"rcodes\": [",
                 seconds, load->sent, load->received, load->lost, (double)in_time / seconds,
                 load->received != 0 ? (double)load->bytes / (double)load->received : 0.0,
                 load->started.ns, load->first_fresh_ns, load->last_old_ns);
    for (unsigned i = 0; i < RCODES; i++) {
        (void)printf("%s%" PRIu64, i == 0 ? "" : ", ", load->rcodes[i]);
    }
    (void)printf("], \"buckets\": [");
    int64_t buckets = load->options.bucket_us != 0
                          ? load->options.milliseconds * 1000 / load->options.bucket_us
                          : 0;
    for (int64_t i = 0; i < MIN(buckets, (int64_t)BUCKETS); i++) {
        (void)printf("%s%" PRIu32, i == 0 ? "" : ", ", load->buckets[i]);
    }
    (void)printf("]}\n");
}

static bool read_options(int argc, char **argv, struct options *options)
{
    const struct {
        const char *name;
        int64_t *value;
        int64_t low;
        int64_t high;
    } table[] = {
        {"port", &options->port, 1, 65535},       {"ms", &options->milliseconds, 1, 86400000},
        {"window", &options->window, 1, 1000000}, {"sockets", &options->sockets, 1, SOCKETS},
        {"rate", &options->rate, 1, 100000000},   {"bucket-us", &options->bucket_us, 1, 1000000},
        {"fresh", &options->fresh, 0, 255},       {"plain", &options->plain, 0, 1},
        {"share", &options->share, 0, 1},
    };
    for (int i = 3; i < argc; i++) {
        size_t found = 0;
        for (; found < ARRAY_SIZE(table); found++) {
            size_t length = strlen(table[found].name);
            if (strncmp(argv[i], table[found].name, length) == 0 && argv[i][length] == '=' &&
                text_to_i64(argv[i] + length + 1, table[found].low, table[found].high,
                            table[found].value) == 0) {
                break;
            }
        }
        if (found == ARRAY_SIZE(table)) {
            return false;
        }
    }
    return argc > 3 && options->port != 0;
}

int main(int argc, char **argv)
{
    struct load *load = memory_new(sizeof *load);
    load->options =
        (struct options){.milliseconds = 1000, .window = 128, .sockets = 1, .fresh = -1};
    if (!read_options(argc, argv, &load->options)) {
        (void)fprintf(stderr,
                      "usage: %s FILE ADDRESS port=N [ms=N] [window=N] [sockets=N] [rate=N] "
                      "[bucket-us=N] [fresh=BYTE] [plain=1] [share=1]\n",
                      argv[0]);
        return 2;
    }
    load->options.address = argv[2];
    read_queries(load, argv[1]);
    open_sockets(load);
    run(load);
    double seconds = (double)mono_since(mono_now(), load->started) / (double)TIME_S;
    uint64_t in_time = load->received;
    drain(load);
    print_result(load, seconds, in_time);
    free(load->queries);
    free(load->at);
    free(load);
    return 0;
}
