/* Record sets as trees: the form they are stored in, and their comparison for DELETE; see batch.h.
 * Called by the stages of a change batch, on API threads. Invariant: two record sets that mean the
 * same have the same normal form but for the order of their values. */
#include "base/memory.h"
#include "base/text.h"
#include "model/zone.h"
#include "service/route53/batch.h"

#include <stdlib.h>
#include <string.h>

json_t *batch_record_normal(const json_t *record, const struct model_record_set *model)
{
    json_t *normal = json_deep_copy(record);
    if (normal == NULL) {
        return NULL;
    }
    int rc = json_object_set_new(normal, "v", json_integer(MODEL_VERSION));
    rc |= json_object_set_new(normal, "Name", json_string(model->name));
    if (model->alias != NULL) {
        json_t *target = json_object_get(normal, "AliasTarget");
        rc |= json_object_set_new(target, "HostedZoneId", json_string(model->alias->zone_id));
        rc |= json_object_set_new(target, "DNSName", json_string(model->alias->name));
        rc |= json_object_set_new(target, "EvaluateTargetHealth",
                                  json_boolean(model->alias->evaluate_target_health));
    }
    if (rc != 0) {
        json_decref(normal);
        return NULL;
    }
    return normal;
}

static int compare_values(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The texts of ResourceRecords, sorted; to be freed. */
static const char **sorted_values(const json_t *records)
{
    size_t count = json_array_size(records);
    const char **values = memory_array(count, sizeof *values);
    for (size_t i = 0; i < count; i++) {
        values[i] = route53_text(json_array_get(records, i), "Value");
    }
    if (count > 0) {
        qsort(values, count, sizeof *values, compare_values);
    }
    return values;
}

static bool same_values(const json_t *a, const json_t *b)
{
    size_t count = json_array_size(a);
    if (count != json_array_size(b)) {
        return false;
    }
    const char **left CLEANUP(memory_cleanup) = sorted_values(a);
    const char **right CLEANUP(memory_cleanup) = sorted_values(b);
    for (size_t i = 0; i < count; i++) {
        if (!text_equal(left[i], right[i])) {
            return false;
        }
    }
    return true;
}

/* Every member of a but the version and the values is in b, with the same value. */
static bool members_in(json_t *a, json_t *b)
{
    void *iterator = json_object_iter(a);
    while (iterator != NULL) {
        const char *name = json_object_iter_key(iterator);
        if (!text_equal(name, "v") && !text_equal(name, "ResourceRecords") &&
            !json_equal(json_object_iter_value(iterator), json_object_get(b, name))) {
            return false;
        }
        iterator = json_object_iter_next(a, iterator);
    }
    return true;
}

bool batch_record_same(json_t *a, json_t *b)
{
    return members_in(a, b) && members_in(b, a) &&
           same_values(json_object_get(a, "ResourceRecords"),
                       json_object_get(b, "ResourceRecords"));
}
