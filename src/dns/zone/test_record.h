/* For tests and benchmarks: plain records of one value, by the thousand. Not part of the library.
 * Tests that want policies or several values write them as text: dns/answer/test_zones.h. */
#ifndef DNS_ZONE_TEST_RECORD_H
#define DNS_ZONE_TEST_RECORD_H

#include "dns/zone/database.h"

#define TEST_RECORD_ZONE "Z1"

/* Into the zone TEST_RECORD_ZONE, with a TTL of 60 seconds. Ends the program when it is refused. */
void test_record_put(struct zone_database *database, const char *name, uint16_t type,
                     const char *value);

#endif
