/* Addresses of IP, as text: see address.h. A plain sockaddr is copied before it is looked at: it
 * need not be aligned for what it is. */
#include "base/address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

_Static_assert(ADDRESS_TEXT == INET6_ADDRSTRLEN, "an address fits");

void address_text(const struct sockaddr *address, char out[ADDRESS_TEXT])
{
    out[0] = '\0';
    if (address->sa_family == AF_INET) {
        struct sockaddr_in four;
        (void)memcpy(&four, address, sizeof four);
        (void)inet_ntop(AF_INET, &four.sin_addr, out, ADDRESS_TEXT); /* it fits */
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 six;
        (void)memcpy(&six, address, sizeof six);
        bool mapped = IN6_IS_ADDR_V4MAPPED(&six.sin6_addr);
        (void)inet_ntop(mapped ? AF_INET : AF_INET6, &six.sin6_addr.s6_addr[mapped ? 12 : 0], out,
                        ADDRESS_TEXT); /* it fits */
    }
}

void address_port_text(const struct sockaddr_storage *address, char out[ADDRESS_PORT_TEXT])
{
    char host[ADDRESS_TEXT] = "?";
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
    if (address->ss_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host); /* it fits */
        (void)snprintf(out, ADDRESS_PORT_TEXT, "[%s]:%u", host, (unsigned)ntohs(six->sin6_port));
    } else {
        bool known = address->ss_family == AF_INET;
        (void)inet_ntop(address->ss_family, &four->sin_addr, host, sizeof host); /* else "?" */
        (void)snprintf(out, ADDRESS_PORT_TEXT, "%s:%u", host,
                       known ? (unsigned)ntohs(four->sin_port) : 0);
    }
}
