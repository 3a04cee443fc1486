/* The rollover of zone-signing keys: see rollover.h. Called by the daemon's rollover thread.
 * Invariant: a key that signs is never removed, and never the only one that is. */
#include "model/rollover.h"

#include "base/macro.h"

static size_t find(const struct model_signing_key *keys, size_t count, enum model_key_status status)
{
    size_t at = 0;
    while (at < count && keys[at].status != status) {
        at++;
    }
    return at;
}

struct model_rollover model_rollover_next(const struct model_signing_key *keys, size_t count,
                                          int64_t now_s, int64_t period_s)
{
    struct model_rollover next = {.step = MODEL_ROLLOVER_NONE};
    size_t active = find(keys, count, MODEL_KEY_ACTIVE);
    size_t published = find(keys, count, MODEL_KEY_PUBLISHED);
    size_t retired = find(keys, count, MODEL_KEY_RETIRED);
    if (active == count || period_s <= 0) {
        return next;
    }
    if (retired != count) {
        if (now_s - keys[retired].modified_s >= MIN(MODEL_ROLLOVER_RETIRE_S, period_s / 3)) {
            next.step = MODEL_ROLLOVER_REMOVE;
            next.other = retired;
        }
    } else if (published != count) {
        if (now_s - keys[published].modified_s >= MIN(MODEL_ROLLOVER_PUBLISH_S, period_s / 3)) {
            next.step = MODEL_ROLLOVER_SWITCH;
            next.active = active;
            next.other = published;
        }
    } else if (now_s - keys[active].modified_s >= period_s) {
        next.step = MODEL_ROLLOVER_PUBLISH;
    }
    return next;
}
