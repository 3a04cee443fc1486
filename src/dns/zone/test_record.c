/* Records for tests: see test_record.h. Called by tests and benchmarks, on their thread. */
#include "dns/zone/test_record.h"

#include <stdlib.h>

void test_record_put(struct zone_database *database, const char *name, uint16_t type,
                     const char *value)
{
    struct model_record_set record = {.zone_id = TEST_RECORD_ZONE,
                                      .name = name,
                                      .type = type,
                                      .set_identifier = "",
                                      .health_check_id = "",
                                      .region = "",
                                      .ttl_s = 60,
                                      .values = &value,
                                      .value_count = 1};
    struct err err = ERR_INIT;
    if (zone_database_put_record(database, &record, &err) != 0) {
        abort();
    }
}
