/* Records for tests: see test_record.h. Called by tests and benchmarks, on their thread. */
#include "dns/zone/test_record.h"

#include "dns/wire/rdata.h"

#include <stdlib.h>

struct model_record_set test_record(const char *zone_id, const char *name, const char **value)
{
    return (struct model_record_set){.zone_id = zone_id,
                                     .name = name,
                                     .type = RR_A,
                                     .set_identifier = "",
                                     .health_check_id = "",
                                     .region = "",
                                     .ttl_s = 60,
                                     .values = value,
                                     .value_count = 1};
}

void test_record_put(struct zone_database *database, const char *name, uint16_t type,
                     const char *value)
{
    struct model_record_set record = test_record(TEST_RECORD_ZONE, name, &value);
    record.type = type;
    struct err err = ERR_INIT;
    if (zone_database_put_record(database, &record, &err) != 0) {
        abort();
    }
}
