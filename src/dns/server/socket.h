/* Opening the server's sockets; private to this room. Thread: the owner's, before workers run. */
#ifndef DNS_SERVER_SOCKET_H
#define DNS_SERVER_SOCKET_H

#include "base/err.h"
#include "base/macro.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* 0.0.0.0 or ::, where the answer's source address has to be chosen for each packet. */
bool socket_is_wildcard(const struct sockaddr_storage *address);

/* Opens count UDP sockets and count TCP listeners on address, one of each for a worker; a port of 0
 * becomes one that is free for both. Nothing stays open on failure. */
int socket_open(struct sockaddr_storage *address, size_t count, int *ret_udp, int *ret_tcp,
                struct err *err) MUST_CHECK;

/* The same with listeners for TCP only. */
int socket_open_tcp(struct sockaddr_storage *address, size_t count, int *ret_tcp, struct err *err)
    MUST_CHECK;

#endif
