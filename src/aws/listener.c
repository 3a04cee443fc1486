/* The listening socket: see listener.h. Called by server.c when it starts, and per request for the
 * client's address. The descriptor goes over to the caller. Invariant: no descriptor is inherited
 * by programs that the daemon starts. */
#include "aws/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The part of an address that its family has; copied, because alignment and aliasing want it. */
static struct sockaddr_in6 as_in6(const void *address)
{
    struct sockaddr_in6 copy;
    (void)memcpy(&copy, address, sizeof copy);
    return copy;
}

static struct sockaddr_in as_in(const void *address)
{
    struct sockaddr_in copy;
    (void)memcpy(&copy, address, sizeof copy);
    return copy;
}

const char *listener_address_text(const struct sockaddr *address, struct arena *arena)
{
    char text[INET6_ADDRSTRLEN] = "";
    if (address == NULL) {
        return "";
    }
    if (address->sa_family == AF_INET) {
        struct sockaddr_in four = as_in(address);
        (void)inet_ntop(AF_INET, &four.sin_addr, text, sizeof text); /* it fits */
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 six = as_in6(address);
        if (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr)) {
            (void)inet_ntop(AF_INET, &six.sin6_addr.s6_addr[12], text, sizeof text);
        } else {
            (void)inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof text);
        }
    }
    return arena_strdup(arena, text);
}

static int failed(int descriptor, const struct sockaddr_storage *address, struct err *err)
{
    int reason = errno;
    struct arena arena;
    arena_init(&arena, 0);
    unsigned port =
        ntohs(address->ss_family == AF_INET6 ? as_in6(address).sin6_port : as_in(address).sin_port);
    int code = err_set_errno(err, reason, "cannot listen on %s port %u",
                             listener_address_text((const struct sockaddr *)address, &arena), port);
    arena_done(&arena);
    if (descriptor >= 0) {
        (void)close(descriptor); /* nothing was sent */
    }
    return code;
}

int listener_open(const struct sockaddr_storage *address, struct sockaddr_storage *ret_address,
                  int *ret_descriptor, struct err *err)
{
    bool six = address->ss_family == AF_INET6;
    socklen_t size = six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    const int on = 1;
    const int off = 0;
    if (!six && address->ss_family != AF_INET) {
        return err_set(err, ERR_INVALID, "the API listens on IPv4 or IPv6 only");
    }
    int descriptor =
        socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (descriptor < 0 || setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (six && setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) ||
        bind(descriptor, (const struct sockaddr *)address, size) != 0 ||
        listen(descriptor, SOMAXCONN) != 0) {
        return failed(descriptor, address, err);
    }
    socklen_t length = sizeof *ret_address;
    if (getsockname(descriptor, (struct sockaddr *)ret_address, &length) != 0) {
        return failed(descriptor, address, err);
    }
    *ret_descriptor = descriptor;
    return 0;
}
