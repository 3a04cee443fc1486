/* Records of tests: see test_database.h. */
#include "model/test_database.h"

struct model_database_group test_group(const char *writer)
{
    return (struct model_database_group){.id = TEST_GROUP,
                                         .engine = "postgres",
                                         .region = "",
                                         .name = "world",
                                         .lease_ms = MODEL_DATABASE_LEASE_MIN_MS,
                                         .automatic = true,
                                         .database = "",
                                         .master = "admin",
                                         .verifier = "",
                                         .replication = "",
                                         .phase = MODEL_DATABASE_STEADY,
                                         .epoch = 1,
                                         .writer = writer,
                                         .target = "",
                                         .reason = ""};
}

struct model_database_member test_database_member(const char *id, const char *region)
{
    return (struct model_database_member){.group = TEST_GROUP,
                                          .id = id,
                                          .region = region,
                                          .cluster = region,
                                          .instance = id,
                                          .address = "127.0.0.1",
                                          .port = 5432,
                                          .attached = ""};
}
