/* Changes of health that touch many names, piece by piece: see zone_database_begin_status. Called
 * by database.c and group.c on the owner's thread.
 *
 * A subject whose groups are more than a piece has room for waits in a list with a place in its
 * edges; pieces take groups from the first one, which then goes behind the others. Invariants: the
 * queue of groups is empty between two pieces; a group is decided by the health of that moment, so
 * that a change that is taken back before a group's turn shows nothing of it; nothing that was
 * replaced is freed while a subject waits, since its groups may still be answered by it. */
#include "base/macro.h"
#include "dns/zone/internal.h"

#include <stdlib.h>

#define AHEAD 32U

void flip_forget(struct zone_database *database, struct zone_subject *subject)
{
    if (subject->flip_link == NULL) {
        return;
    }
    *subject->flip_link = subject->next_flip;
    if (subject->next_flip != NULL) {
        subject->next_flip->flip_link = subject->flip_link;
    } else {
        database->flips_last = subject->flip_link;
    }
    database->flip_left -= subject->flip_left;
    subject->flip_link = NULL;
    subject->next_flip = NULL;
    subject->flip_next = NULL;
    subject->flip_left = 0;
}

static void insert(struct zone_database *database, struct zone_subject *subject, bool first)
{
    struct zone_subject **link = first ? &database->flips : database->flips_last;
    subject->next_flip = *link;
    subject->flip_link = link;
    if (subject->next_flip != NULL) {
        subject->next_flip->flip_link = &subject->next_flip;
    } else {
        database->flips_last = &subject->next_flip;
    }
    *link = subject;
    database->flip_left += subject->flip_left;
}

void flip_wait(struct zone_database *database, struct zone_subject *subject, bool urgent)
{
    flip_forget(database, subject); /* it begins anew */
    subject->flip_next = subject->edges;
    subject->flip_left = subject->edge_count;
    insert(database, subject, urgent);
}

/* Queues groups of the subject. Returns where it stopped: NULL when there are no more. What
 * deciding them will read is asked of memory ahead, for several at a time. */
static struct zone_edge *take_groups(struct zone_database *database, struct zone_edge *edge,
                                     size_t limit, size_t *ret_taken)
{
    size_t taken = 0;
    while (edge != NULL && taken < limit) {
        struct zone_group *groups[AHEAD];
        size_t count = 0;
        for (; edge != NULL && count < MIN(AHEAD, limit - taken); edge = edge->next) {
            PREFETCH_WRITE(edge->group);
            groups[count++] = edge->group;
        }
        for (size_t i = 0; i < count; i++) {
            PREFETCH(groups[i]->records);
            PREFETCH_WRITE(groups[i]->node);
        }
        for (size_t i = 0; i < count; i++) {
            if (groups[i]->records != NULL) {
                PREFETCH(groups[i]->records->next);
            }
            group_enqueue(database, groups[i]);
        }
        taken += count;
    }
    *ret_taken = taken;
    return edge;
}

static void take_subject(struct zone_database *database, struct zone_subject *subject)
{
    size_t taken = 0;
    size_t left = subject->flip_left;
    struct zone_edge *next = take_groups(database, subject->flip_next, database->flip_room, &taken);
    database->flip_room -= taken;
    flip_forget(database, subject);
    if (next != NULL) {
        subject->flip_next = next;
        subject->flip_left = MAX(left, taken + 1) - taken; /* edges may have come and gone */
        insert(database, subject, false);
    }
}

size_t flip_piece(struct zone_database *database, bool take)
{
    database->flipping = true;
    while (take && database->flips != NULL && database->flip_room != 0) {
        take_subject(database, database->flips);
    }
    group_decide_all(database);
    size_t count = late_commit(database);
    database->flipping = false;
    return count;
}
