/* Addresses of IP, as text. Pure; any thread. */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include <sys/socket.h>

#define ADDRESS_TEXT 46U      /* as INET6_ADDRSTRLEN */
#define ADDRESS_PORT_TEXT 64U /* and "[]:65535" around it */

/* "192.0.2.1" or "2001:db8::1"; an IPv4 address that IPv6 maps is shown as what it is; "" for
 * another family. */
void address_text(const struct sockaddr *address, char out[ADDRESS_TEXT]);
/* "192.0.2.1:53" or "[2001:db8::1]:53", which can be read back; "?:0" for another family. */
void address_port_text(const struct sockaddr_storage *address, char out[ADDRESS_PORT_TEXT]);

#endif
