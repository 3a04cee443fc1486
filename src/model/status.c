/* Looking up health in a status table: see status.h. Called by the DNS compiler's thread for every
 * record with a health check. The table is borrowed and immutable. Invariant: entries are sorted by
 * check_id, so a search takes log2(count) comparisons. */
#include "model/status.h"

#include <string.h>

const struct model_status_entry *model_status_find(const struct model_status *status,
                                                   const char *check_id)
{
    if (status == NULL) {
        return NULL;
    }
    size_t low = 0;
    size_t high = status->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(status->entries[middle].check_id, check_id);
        if (order == 0) {
            return &status->entries[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

bool model_status_healthy(const struct model_status *status, const char *check_id)
{
    const struct model_status_entry *entry = model_status_find(status, check_id);
    return entry == NULL || entry->healthy;
}
