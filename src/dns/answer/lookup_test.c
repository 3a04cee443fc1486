/* Packets looked up together are answered as each would be alone, whatever stands beside them. */
#include "base/macro.h"
#include "base/random.h"
#include "base/snapshot.h"
#include "dns/answer/answer.h"
#include "dns/answer/test_packet.h"
#include "dns/answer/test_zones.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS 2000U
#define PACKET 512U
#define RESPONSE 4096U

static const char *const zones[] = {
    "zone A a.test.",
    "record A a.test. SOA : ns.test. host.test. 1 2 3 4 5",
    "record A www.a.test. A : 192.0.2.1",
    "record A away.a.test. CNAME : www.b.test.",
    "record A near.a.test. CNAME : www.a.test.",
    "record A *.wild.a.test. A : 192.0.2.2",
    "zone B b.test.",
    "record B b.test. SOA : ns.test. host.test. 1 2 3 4 5",
    "record B www.b.test. A : 192.0.2.3",
    "record B below.b.test. NS : ns.below.b.test.",
    "record B ns.below.b.test. A : 192.0.2.4",
    "zone C c.test.",
    "record C c.test. SOA : ns.test. host.test. 1 2 3 4 5",
    "record C www.c.test. A : 192.0.2.5",
    "publish",
    "sign C",
    "refresh",
    "publish",
};

static const char *const names[] = {
    "www.a.test.",   "away.a.test.",
    "near.a.test.",  "x.wild.a.test.",
    "none.a.test.",  "a.test.",
    "www.b.test.",   "x.below.b.test.",
    "below.b.test.", "www.c.test.",
    "none.c.test.",  "c.test.",
    "other.test.",   ".",
};

static const uint16_t types[] = {1, 1, 1, 1, 6, 16, 41, 43, 47, 48, 249, 251, 252, 255};

struct packet {
    size_t length;
    uint8_t data[PACKET];
};

static void make(struct random *random, struct packet *packet)
{
    struct test_query query = {
        .name = names[random_below(random, ARRAY_SIZE(names))],
        .type = types[random_below(random, ARRAY_SIZE(types))],
        .class = random_below(random, 20) == 0 ? 3 : 1,
        .edns = random_below(random, 2) == 0,
        .udp_size = 1232,
        .dnssec_ok = random_below(random, 2) == 0,
        .subnet = random_below(random, 8) == 0,
    };
    packet->length = test_query_write(&query, packet->data);
    if (random_below(random, 8) == 0) {
        packet->length = random_below(random, (uint32_t)packet->length + 1);
    }
    if (packet->length != 0 && random_below(random, 8) == 0) {
        packet->data[random_below(random, (uint32_t)packet->length)] ^= 0x55U;
    }
}

static void a_group_is_answered_as_its_packets_are_one_by_one(void **state)
{
    (void)state;
    static struct packet packets[ANSWER_GROUP];
    static struct answer_lookup lookups[ANSWER_GROUP];
    static uint8_t alone[RESPONSE];
    static uint8_t grouped[RESPONSE];
    struct zone_database *database = zone_database_new();
    for (size_t i = 0; i < ARRAY_SIZE(zones); i++) {
        assert_int_equal(0, test_zones_line(database, zones[i]));
    }
    struct answer_context context = {.zones = zone_database_readers(database), .udp_limit = 1232};
    random_init(&context.random, 1);
    struct random random;
    random_init(&random, 2);
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t count = 1 + random_below(&random, ANSWER_GROUP);
        for (size_t i = 0; i < count; i++) {
            make(&random, &packets[i]);
            lookups[i].packet = packets[i].data;
            lookups[i].length = packets[i].length;
        }
        answer_look_up(&context, lookups, count);
        for (size_t i = 0; i < count; i++) {
            bool tcp = random_below(&random, 4) == 0;
            size_t size = answer_write(&context, &lookups[i], NULL, tcp, grouped, sizeof grouped);
            struct answer_outcome outcome = context.outcome;
            assert_int_equal(size, answer_query(&context, packets[i].data, packets[i].length, NULL,
                                                tcp, alone, sizeof alone));
            assert_memory_equal(grouped, alone, size);
            if (size != 0) {
                assert_int_equal(outcome.rcode, context.outcome.rcode);
                assert_ptr_equal(outcome.zone, context.outcome.zone);
            }
        }
    }
    zone_database_free(database);
    snapshot_drain();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_is_answered_as_its_packets_are_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
