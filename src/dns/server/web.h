/* The queries of one worker's HTTPS connections (RFC 8484), answered and counted; private to this
 * room. What HTTP is, is the business of dns/https; bytes and time are tcp.c's. */
#ifndef DNS_SERVER_WEB_H
#define DNS_SERVER_WEB_H

#include "dns/https/https.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker;

/* What web_produce writes at most, and what its scratch has room for behind that. */
#define WEB_OUTPUT HTTPS_OUTPUT_LEAST
#define WEB_SCRATCH (WEB_OUTPUT + HTTPS_MESSAGE_MOST)

/* As https_produce, into scratch, which has WEB_SCRATCH bytes; all queries are from source.
 * ret_answered: how many were. */
size_t web_produce(struct worker *worker, struct https *https, const struct sockaddr *source,
                   uint8_t *scratch, unsigned *ret_answered, bool *ret_more);

#endif
