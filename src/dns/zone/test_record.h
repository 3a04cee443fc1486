/* For tests and benchmarks: plain records of one value, by the thousand. Not part of the library.
 * Tests that want policies or several values write them as text: dns/answer/test_zones.h. */
#ifndef DNS_ZONE_TEST_RECORD_H
#define DNS_ZONE_TEST_RECORD_H

#include "dns/zone/database.h"

#define TEST_RECORD_ZONE "Z1"

/* A plain record of type A with a TTL of 60 seconds and one value, to be changed as a test wants;
 * what is given must outlive it. */
struct model_record_set test_record(const char *zone_id, const char *name, const char **value);
/* Into the zone TEST_RECORD_ZONE, with a TTL of 60 seconds. Ends the program when it is refused. */
void test_record_put(struct zone_database *database, const char *name, uint16_t type,
                     const char *value);

#endif
