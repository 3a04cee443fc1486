/* What HTTP says about a response of DNS; private to this room. Pure. */
#ifndef DNS_HTTPS_RESPONSE_H
#define DNS_HTTPS_RESPONSE_H

#include <stddef.h>
#include <stdint.h>

/* Seconds a cache of HTTP may keep the DNS message (RFC 8484 section 5.1): the smallest TTL of the
 * answer section; of a negative response that of its SOA, at most its MINIMUM (RFC 2308 section 5);
 * 0 for what says neither, for errors and for what was cut. */
uint32_t response_freshness(const uint8_t *message, size_t size);

/* What stands beside a status in HTTP/1.1. */
const char *response_reason(unsigned status);

#endif
