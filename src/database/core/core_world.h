/* A group for tests of decisions, made anew before each: a is the writer in east and holds the
 * lease; b (west) and c (east) stream from it. Tests change what they like, and ask. */
#ifndef DATABASE_CORE_CORE_WORLD_H
#define DATABASE_CORE_CORE_WORLD_H

#include "database/core/core.h"

#include <stddef.h>

#define A 0
#define B 1
#define C 2
#define COUNT 3
#define NOW (1000 * TIME_S)

extern struct arena arena;
extern struct model_database_turn turns[2];
extern struct model_database_group group;
extern struct model_database_lease lease;
extern struct model_database_member members[COUNT];
extern struct model_database_seen seen[COUNT];
extern struct database_sight sights[COUNT];
extern struct database_view view;
extern struct database_facts facts;
extern struct database_follower followers[2];
extern const char *names[2];
extern struct database_update update;
extern struct database_order order;

int set_up(void **state);
int tear_down(void **state);
/* From now on the agent of that reader asks. */
void as_reader(size_t member);
void in_phase(enum model_database_phase phase, enum model_database_operation operation,
              const char *target);
/* The lease of a was voided, and this much is reported by b and c; 0: not yet. */
void electing(model_lsn b, model_lsn c);
enum database_transition next(void);
enum database_action ordered(void);

#endif
