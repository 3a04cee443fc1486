/* A DNS query made from text, and a DNS response shown as text: for TestDNSAnswer. Pure; any
 * thread. */
#ifndef DAEMON_RESPONSE_H
#define DAEMON_RESPONSE_H

#include "base/err.h"
#include "base/macro.h"

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define RESPONSE_QUERY_LIMIT 512U
#define RESPONSE_SIZE_LIMIT 65535U

/* A query for name/type with EDNS and, unless client is "", a client subnet of client_bits bits
 * (RFC 7871). ERR_INVALID for a bad name or address. */
int response_make_query(const char *name, uint16_t type, const char *client, unsigned client_bits,
                        uint8_t query[RESPONSE_QUERY_LIMIT], size_t *ret_size, struct err *err)
    MUST_CHECK;
/* {"RecordName","RecordType","RecordData":[..],"ResponseCode","Protocol"}: the data of the answer
 * section's records of that type. */
int response_to_json(const char *name, uint16_t type, const uint8_t *response, size_t size,
                     json_t **ret_json, struct err *err) MUST_CHECK;

#endif
