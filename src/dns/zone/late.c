/* Signatures that do not hold up a change of health: derived answers (aliases, multivalue) that
 * have no signature yet. Called by database.c on the owner's thread.
 *
 * Two queues: flips that wait, which the next refreshes show in slices, status changes in between;
 * and groups whose possible answers are signed ahead, so that a later flip finds them. Invariants:
 * a group that waits is shown with what it had before, which is signed and whose place in the NSEC
 * chain is the same; who shows it in between ends its waiting. */
#include "dns/zone/denial.h"
#include "dns/zone/internal.h"
#include "dns/zone/signature.h"

#include <stdlib.h>

#define FLIP_SIGNATURES 25U /* about a millisecond */
#define LOOKS 1000U         /* at groups that turn out to need none */

/* A name that gets or loses its records changes the chain in the same step, and that cannot wait.
 */
static bool may_wait(const struct zone_group *group)
{
    for (unsigned i = 0; i < group->node->slot_count; i++) {
        const struct zone_slot *slot = &group->node->slots[i];
        if (slot->group == group->number) {
            return denial_always(zone_slot_answer(slot)) == denial_always(group->answer);
        }
    }
    return false;
}

static void wait_for_signatures(struct zone_database *database, struct zone_group *group)
{
    group->unshown = true;
    if (!group->waiting) {
        group->waiting = true;
        group->next_waiting = NULL;
        *database->waiting_last = group;
        database->waiting_last = &group->next_waiting;
    }
}

size_t late_commit(struct zone_database *database)
{
    size_t count = 0;
    struct zone_group *unsigned_ones = NULL;
    while (database->changed != NULL) {
        struct zone_group *group = database->changed;
        database->changed = group->next_changed;
        group->changed = false;
        if (group->zone->signer != NULL && signer_waits(database, group)) {
            group->next_changed = unsigned_ones;
            unsigned_ones = group;
        } else {
            count += group_show(database, group);
        }
    }
    uint64_t before = database->signed_count;
    for (; unsigned_ones != NULL; unsigned_ones = unsigned_ones->next_changed) {
        if (database->signed_count - before < FLIP_SIGNATURES || !may_wait(unsigned_ones)) {
            count += group_show(database, unsigned_ones);
        } else {
            wait_for_signatures(database, unsigned_ones);
            count++;
        }
    }
    return count;
}

bool late_show(struct zone_database *database)
{
    uint64_t before = database->signed_count;
    for (unsigned i = 0; i < LOOKS && database->waiting != NULL &&
                         database->signed_count - before < FLIP_SIGNATURES;
         i++) {
        struct zone_group *group = database->waiting;
        database->waiting = group->next_waiting;
        if (database->waiting == NULL) {
            database->waiting_last = &database->waiting;
        }
        group->waiting = false;
        if (group->dead) {
            group_bury(group);
        } else if (group->unshown) {
            (void)group_show(database, group); /* it was counted when it began to wait */
        }
    }
    return database->waiting != NULL;
}

void late_ahead(struct zone_database *database, struct zone_group *group)
{
    if (!group->ahead) {
        group->ahead = true;
        group->next_ahead = database->ahead;
        database->ahead = group;
    }
}

bool late_sign(struct zone_database *database)
{
    uint64_t before = database->signed_count;
    for (unsigned i = 0;
         i < LOOKS && database->ahead != NULL && database->signed_count - before < FLIP_SIGNATURES;
         i++) {
        struct zone_group *group = database->ahead;
        database->ahead = group->next_ahead;
        group->ahead = false;
        if (group->dead) {
            group_bury(group);
        } else {
            signer_ahead(database, group);
        }
    }
    return database->ahead != NULL;
}

void late_drop(struct zone_database *database)
{
    while (database->waiting != NULL || database->ahead != NULL) {
        struct zone_group *group = database->waiting != NULL ? database->waiting : database->ahead;
        if (database->waiting != NULL) {
            database->waiting = group->next_waiting;
            group->waiting = false;
        } else {
            database->ahead = group->next_ahead;
            group->ahead = false;
        }
        group_bury(group);
    }
    database->waiting_last = &database->waiting;
}
