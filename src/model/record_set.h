/* The parts of a resource record set that say where clients or resources are; read by record_set.c.
 * Private to model/. Thread: any; strings are copied into the arena. */
#ifndef MODEL_RECORD_SET_H
#define MODEL_RECORD_SET_H

#include "model/zone.h"

/* Fills the members of the record's policy: Region, GeoLocation, GeoProximityLocation or
 * CidrRoutingConfig. Their shape is judged, so that every record has what its policy needs. */
int record_set_read_location(const json_t *json, struct arena *arena,
                             struct model_record_set *record, struct err *err) MUST_CHECK;
/* What only a client's record needs to have judged: that the location is one of AWS's list. */
int record_set_judge_location(const struct model_record_set *record, struct err *err) MUST_CHECK;

#endif
