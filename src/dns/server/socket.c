/* Opening sockets: see socket.h. Called by server.c before the workers start; the caller owns the
 * descriptors. Several sockets share one port (SO_REUSEPORT), but the first of them is bound
 * without it: so a port that another process serves is an error and not silently shared. */
#include "dns/server/socket.h"

#include "base/address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PORT_TRIES 32
#define BACKLOG 1024
#define UDP_RECEIVE_BUFFER (4 << 20)
#define UDP_SEND_BUFFER (1 << 20)
#define TCP_BUFFER (128 << 10) /* each way; the kernel doubles it */

bool socket_is_wildcard(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) {
        return ((const struct sockaddr_in *)address)->sin_addr.s_addr == htonl(INADDR_ANY);
    }
    return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

static in_port_t *port_of(struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET ? &((struct sockaddr_in *)address)->sin_port
                                         : &((struct sockaddr_in6 *)address)->sin6_port;
}

static socklen_t size_of(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static int set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0 ? 0 : -errno;
}

/* What must hold for UDP; -errno of the first option that is refused. */
static int set_udp(int fd, const struct sockaddr_storage *address)
{
    /* More than the kernel's default takes a privilege; less than wanted is still served. */
    if (set(fd, SOL_SOCKET, SO_RCVBUFFORCE, UDP_RECEIVE_BUFFER) != 0) {
        (void)set(fd, SOL_SOCKET, SO_RCVBUF, UDP_RECEIVE_BUFFER); /* as above */
    }
    if (set(fd, SOL_SOCKET, SO_SNDBUFFORCE, UDP_SEND_BUFFER) != 0) {
        (void)set(fd, SOL_SOCKET, SO_SNDBUF, UDP_SEND_BUFFER); /* as above */
    }
    bool wildcard = socket_is_wildcard(address);
    int result = 0;
    /* Path MTU messages can be forged to make us fragment: ignore them (RFC 9715). */
    if (address->ss_family == AF_INET) {
        result = set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
        if (result == 0 && wildcard) {
            result = set(fd, IPPROTO_IP, IP_PKTINFO, 1);
        }
    } else {
        result = set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT);
        if (result == 0 && wildcard) {
            result = set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
        }
    }
    return result;
}

/* shared: others of ours are bound there already. Returns the descriptor or -errno. */
static int open_one(const struct sockaddr_storage *address, int type, bool shared)
{
    int fd = socket(address->ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    int result = 0;
    if (type == SOCK_DGRAM) {
        result = set_udp(fd, address);
    } else {
        /* Connections of an earlier run in TIME_WAIT are no reason to fail. */
        result = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        /* Connections inherit these: what a client that does not read can make us hold. */
        (void)set(fd, SOL_SOCKET, SO_SNDBUF, TCP_BUFFER); /* the default serves, too */
        (void)set(fd, SOL_SOCKET, SO_RCVBUF, TCP_BUFFER); /* as above */
    }
    if (result == 0 && address->ss_family == AF_INET6) {
        result = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    }
    if (result == 0 && shared) {
        result = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (result == 0 && bind(fd, (const struct sockaddr *)address, size_of(address)) != 0) {
        result = -errno;
    }
    if (result == 0 && !shared) {
        result = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (result == 0 && type == SOCK_STREAM && listen(fd, BACKLOG) != 0) {
        result = -errno;
    }
    if (result != 0) {
        (void)close(fd); /* nothing was written */
        return result;
    }
    return fd;
}

static void close_all(int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)close(fds[i]); /* nothing was written */
    }
}

/* count sockets of a type; address gets the port of the first. */
static int open_type(struct sockaddr_storage *address, int type, size_t count, int *ret_fds)
{
    for (size_t i = 0; i < count; i++) {
        int fd = open_one(address, type, i != 0);
        socklen_t size = sizeof *address;
        if (fd >= 0 && i == 0 && getsockname(fd, (struct sockaddr *)address, &size) != 0) {
            (void)close(fd); /* nothing was written */
            fd = -EIO;
        }
        if (fd < 0) {
            close_all(ret_fds, i);
            return fd;
        }
        ret_fds[i] = fd;
    }
    return 0;
}

int socket_open(struct sockaddr_storage *address, size_t count, int *ret_udp, int *ret_tcp,
                struct err *err)
{
    assert(address->ss_family == AF_INET || address->ss_family == AF_INET6);
    in_port_t wanted = *port_of(address);
    char text[ADDRESS_PORT_TEXT];
    for (int tries = 0;; tries++) {
        *port_of(address) = wanted;
        int result = open_type(address, SOCK_DGRAM, count, ret_udp);
        if (result != 0) {
            address_port_text(address, text);
            return err_set_errno(err, -result, "listening on %s (UDP)", text);
        }
        result = open_type(address, SOCK_STREAM, count, ret_tcp);
        if (result == 0) {
            return 0;
        }
        close_all(ret_udp, count);
        /* The kernel's free UDP port may be taken for TCP. */
        if (wanted != 0 || result != -EADDRINUSE || tries == PORT_TRIES) {
            address_port_text(address, text);
            return err_set_errno(err, -result, "listening on %s (TCP)", text);
        }
    }
}

int socket_open_tcp(struct sockaddr_storage *address, size_t count, int *ret_tcp, struct err *err)
{
    assert(address->ss_family == AF_INET || address->ss_family == AF_INET6);
    char text[ADDRESS_PORT_TEXT];
    int result = open_type(address, SOCK_STREAM, count, ret_tcp);
    if (result != 0) {
        address_port_text(address, text);
        return err_set_errno(err, -result, "listening on %s (TLS)", text);
    }
    return 0;
}
