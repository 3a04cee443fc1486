/* The limit of the socket interface: takes UDP packets with recvmmsg and sends each back with
 * sendmmsg, as many at once as the daemon takes, SIZE bytes long and with the QR bit set, doing
 * nothing else. bench/dns compares DNS servers with it. One thread; all memory is static.
 *
 * usage: bench_dns_echo SIZE     prints the port it serves on 127.0.0.1; ends by a signal */
#include "base/macro.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BATCH 64U
#define PACKET 1344U
#define RECEIVE_BUFFER (4 << 20)

struct echo {
    struct mmsghdr messages[BATCH];
    struct iovec data[BATCH];
    struct sockaddr_in from[BATCH];
    uint8_t packets[BATCH][PACKET];
};

static int open_socket(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    int buffer = RECEIVE_BUFFER;
    /* Without the privilege the default has to do. */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        perror("bench_dns_echo");
        exit(2); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
    (void)printf("%u\n", (unsigned)ntohs(address.sin_port));
    (void)fflush(stdout); /* a reader that is gone is noticed by its signal */
    return fd;
}

int main(int argc, char **argv)
{
    static struct echo echo;
    int64_t size = 0;
    if (argc != 2 || text_to_i64(argv[1], 12, PACKET, &size) != 0) {
        (void)fprintf(stderr, "usage: %s SIZE\n", argv[0]);
        return 2;
    }
    int fd = open_socket();
    for (unsigned i = 0; i < BATCH; i++) {
        echo.messages[i].msg_hdr = (struct msghdr){.msg_name = &echo.from[i],
                                                   .msg_namelen = sizeof echo.from[i],
                                                   .msg_iov = &echo.data[i],
                                                   .msg_iovlen = 1};
    }
    for (;;) {
        for (unsigned i = 0; i < BATCH; i++) {
            echo.data[i] = (struct iovec){echo.packets[i], PACKET};
        }
        int count = recvmmsg(fd, echo.messages, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < count; i++) {
            echo.packets[i][2] |= 0x80U;
            echo.data[i].iov_len = (size_t)size;
        }
        for (int at = 0; at < count;) {
            int sent = sendmmsg(fd, echo.messages + at, (unsigned)(count - at), 0);
            at += sent > 0 ? sent : 1; /* one that cannot be sent is left out */
        }
    }
}
