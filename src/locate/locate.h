/* Where an address is: looks addresses up in a MaxMind-format database (MMDB, the format of
 * GeoLite2 and its kin) that the operator provides.
 *
 * The database is read into memory of its own, so that a file that is overwritten or cut in place
 * harms nobody; a reload publishes the new one as a snapshot and keeps the old one when the file is
 * damaged. Thread: open, reload and free by the owner; find by any registered snapshot reader
 * inside a read section, without lock or allocation. */
#ifndef LOCATE_LOCATE_H
#define LOCATE_LOCATE_H

#include "base/err.h"
#include "base/macro.h"
#include "model/location.h"

#include <stdint.h>

struct locate;

/* path "": no database, nothing is known of any address. The error names the file and what is wrong
 * with it. */
int locate_open(const char *path, struct locate **ret_locate, struct err *err) MUST_CHECK;
/* Opens path ("": none) in the place of what is there. After an error nothing has changed. */
int locate_reload(struct locate *locate, const char *path, struct err *err) MUST_CHECK;
/* No reader may be left. The last memory is freed by snapshot_drain(). NULL is fine. */
void locate_free(struct locate *take_locate);

/* family: 4 or 6; bytes of address behind what is known are zero. Fills *ret_place when the
 * database has been searched: also when it knows nothing there, because other addresses may be
 * known. */
void locate_find(struct locate *locate, uint8_t family, const uint8_t address[16],
                 struct model_place *ret_place);

#endif
