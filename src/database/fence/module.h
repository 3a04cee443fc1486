/* What the files of the PostgreSQL module share. Private to the module: PostgreSQL's headers come
 * first (postgres.h), nothing of base. Process: the postmaster, and every process it forks. */
#ifndef DATABASE_FENCE_MODULE_H
#define DATABASE_FENCE_MODULE_H

#include "database/fence/lease_file.h"

#include <stdbool.h>

/* The mapped file: from the postmaster's start on, for good. */
struct fence_lease *module_lease(void);
bool module_lease_holds(void);

/* The background worker that ends a server without a lease: guard.c. */
void module_register_guard(void);

/* Refuses what would give a master user more than Leeward gave it: roles.c. A Node of PostgreSQL's,
 * any. Raises an error. */
void module_check_roles(const void *node);

#endif
