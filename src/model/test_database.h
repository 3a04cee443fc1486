/* For tests: records of a database as it is at the start, for tests to change what they are about.
 * Not part of the library. What is given must outlive what is returned. */
#ifndef MODEL_TEST_DATABASE_H
#define MODEL_TEST_DATABASE_H

#include "model/database.h"

#define TEST_GROUP "grp-one"

/* A group of a global database `world`, which fails over by itself; in its first epoch. */
struct model_database_group test_group(const char *writer);
/* An instance of its own name in a cluster that is called as its region. */
struct model_database_member test_database_member(const char *id, const char *region);

#endif
