/* The listening socket: see listener.h. Called by server.c when it starts, and per request for the
 * client's address. The descriptor goes over to the caller. Invariant: no descriptor is inherited
 * by programs that the daemon starts. */
#include "aws/listener.h"

#include "base/address.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

const char *listener_address_text(const struct sockaddr *address, struct arena *arena)
{
    char text[ADDRESS_TEXT] = "";
    if (address != NULL) {
        address_text(address, text);
    }
    return arena_strdup(arena, text);
}

static int failed(int descriptor, const struct sockaddr_storage *address, struct err *err)
{
    int reason = errno;
    char text[ADDRESS_PORT_TEXT];
    address_port_text(address, text);
    int code = err_set_errno(err, reason, "cannot listen on %s", text);
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
