/* For tests: a zone database filled from text lines, so that zones, health and records read as what
 * they are. Not part of the library.
 *
 *   zone ID NAME [CREATED]
 *   record ZONE NAME TYPE [ttl=N] [set=ID] [weight=N] [role=primary|secondary] [multivalue]
 *          [check=ID] [alias=ZONE/NAME] [evaluate] [: VALUE | VALUE ...]
 *          [region=NAME] [geo=continent/EU|COUNTRY|COUNTRY/SUBDIVISION|*]
 * [cidr=COLLECTION/LOCATION] [near=REGION|group/NAME|LATITUDE,LONGITUDE] [bias=N] collection ID
 * [LOCATION=BLOCK,BLOCK ...] ... delete-collection ID delete ZONE NAME TYPE [set=ID] delete-zone ID
 *   status [ID ...]          the checks that are unhealthy
 *   mark, sweep, publish
 *   sign ID                  with a fresh key-signing and a fresh zone-signing key
 *   unsign ID
 *   refresh [SECONDS]        signs until there is no more to do, that long after the clock's time
 */
#ifndef DNS_ANSWER_TEST_ZONES_H
#define DNS_ANSWER_TEST_ZONES_H

#include "base/macro.h"
#include "dns/zone/database.h"

/* Runs one line. 0, or -EINVAL when it is none of the above or was refused. */
int test_zones_line(struct zone_database *database, const char *line) MUST_CHECK;

#endif
