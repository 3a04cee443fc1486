/* The status table: who is healthy. Filled and published by health/, read by the DNS compiler;
 * immutable after publication. This header is the only thing the two data planes share. */
#ifndef MODEL_STATUS_H
#define MODEL_STATUS_H

#include "base/macro.h"
#include "base/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct model_status_entry {
    const char *check_id;
    bool healthy;
    struct wall since; /* of the last change of `healthy` */
};

struct model_status {
    uint64_t generation; /* goes up by one with each publication */
    struct mono decided; /* when the newest change was decided: for measuring the way to DNS */
    size_t count;
    struct model_status_entry entries[]; /* sorted by check_id (strcmp) */
};

/* A check without an entry is healthy (Route 53: before the first result). NULL status: everything
 * is. */
bool model_status_healthy(const struct model_status *status, const char *check_id);
const struct model_status_entry *model_status_find(const struct model_status *status,
                                                   const char *check_id);

#endif
