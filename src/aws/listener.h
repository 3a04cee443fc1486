/* The listening socket of the API server, and addresses as text. Private to this room. Any thread.
 */
#ifndef AWS_LISTENER_H
#define AWS_LISTENER_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"

#include <netinet/in.h>
#include <sys/socket.h>

/* Binds and listens: IPv4 or IPv6 ("::" takes both); ret_address has the port that was given. The
 * caller owns the descriptor. */
int listener_open(const struct sockaddr_storage *address, struct sockaddr_storage *ret_address,
                  int *ret_descriptor, struct err *err) MUST_CHECK;
/* "192.0.2.1" or "2001:db8::1", without the port; "" for NULL. In the arena, or constant. */
const char *listener_address_text(const struct sockaddr *address, struct arena *arena);

#endif
