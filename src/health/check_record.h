/* One decoded health check with the memory that holds it. Made by the watcher thread (watch.c),
 * handed to the loop, freed by its table; immutable in between. */
#ifndef HEALTH_CHECK_RECORD_H
#define HEALTH_CHECK_RECORD_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "model/arc.h"
#include "model/check.h"

struct check_record {
    struct arena arena;
    struct model_check check;
    struct model_arc_name control; /* of a RECOVERY_CONTROL check; id "" when there is none */
};

/* From the stored check and, when tags is not NULL, its stored tags. */
int check_record_decode(const void *value, size_t size, const void *tags, size_t tags_size,
                        struct check_record **ret_record, struct err *err) MUST_CHECK;
/* NULL is fine. */
void check_record_free(struct check_record *take_record);
/* Whether a probe of both would ask the same endpoint the same question. */
bool check_record_same_target(const struct check_record *a, const struct check_record *b);

#endif
