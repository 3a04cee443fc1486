/* RR types and RDATA: between presentation form (as Route 53's Value) and wire form. Pure; any
 * thread. */
#ifndef DNS_WIRE_RDATA_H
#define DNS_WIRE_RDATA_H

#include "base/err.h"
#include "base/macro.h"

#include <stddef.h>
#include <stdint.h>

enum rr_type {
    RR_A = 1,
    RR_NS = 2,
    RR_CNAME = 5,
    RR_SOA = 6,
    RR_PTR = 12,
    RR_MX = 15,
    RR_TXT = 16,
    RR_AAAA = 28,
    RR_SRV = 33,
    RR_NAPTR = 35,
    RR_OPT = 41,
    RR_DS = 43,
    RR_SSHFP = 44,
    RR_RRSIG = 46,
    RR_NSEC = 47,
    RR_DNSKEY = 48,
    RR_TLSA = 52,
    RR_SVCB = 64,
    RR_HTTPS = 65,
    RR_SPF = 99,
    RR_IXFR = 251,
    RR_AXFR = 252,
    RR_ANY = 255,
    RR_CAA = 257,
};

/* Type number of "A", "AAAA", "TYPE65280"...; 0 when unknown. */
uint16_t rr_type_from_text(const char *text);
#define RR_TYPE_TEXT 16U
/* Writes "A" or "TYPE1234". */
void rr_type_to_text(uint16_t type, char out[RR_TYPE_TEXT]);

#define RDATA_LIMIT 65535U
/* One Value of a ResourceRecord of one of Route 53's types (A AAAA CAA CNAME DS HTTPS MX NAPTR NS
 * PTR SOA SPF SRV SSHFP SVCB TLSA TXT) to wire RDATA, names in lower-case uncompressed wire form.
 * Returns its length; ERR_INVALID with AWS's words for the first problem (for example "Value is not
 * a valid IPv4 address"), ERR_UNSUPPORTED for a type without a text form here. */
int rdata_from_text(uint16_t type, const char *text, uint8_t *out, size_t size, struct err *err)
    MUST_CHECK;
/* Back to text; 0 or -EINVAL (rdata does not fit the type), -ENOSPC. Unknown types as RFC 3597. */
int rdata_to_text(uint16_t type, const uint8_t *rdata, size_t length, char *out, size_t size)
    MUST_CHECK;

#endif
