/* Measures the answer path and the zone database by themselves, without sockets:
 *
 *   answer_bench queries N [edns|signed]
 *       N queries over 1,000 names: 80 % A (half of them failover), 10 % NXDOMAIN, 10 % CNAME;
 *       signed: with DO, of a signed zone. Under callgrind: instructions a query.
 *   answer_bench load N
 *       N A records put and published: seconds, resident bytes a record
 *   answer_bench flips N
 *       one check turns N failover names: time of a status change
 *   answer_bench sign N
 *       a zone of N names is signed while health changes: seconds, the longest slice, memory
 */
#include "base/memory.h"
#include "base/random.h"
#include "base/snapshot.h"
#include "base/text.h"
#include "base/time.h"
#include "dns/answer/answer.h"
#include "dns/answer/test_packet.h"
#include "dns/answer/test_zones.h"
#include "dns/wire/rdata.h"
#include "dns/zone/test_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMES 1000U
#define PACKETS 1000U

struct packet {
    uint8_t data[512];
    size_t length;
};

static double seconds_since(struct mono start)
{
    return (double)mono_since(mono_now(), start) / 1e9;
}

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    char line[128] = "";
    if (file == NULL || fgets(line, sizeof line, file) == NULL) {
        abort();
    }
    (void)fclose(file); /* only read from */
    char *pages = strchr(line, ' ');
    return pages != NULL ? strtoul(pages, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

static void put_pair(struct zone_database *database, const char *name)
{
    const char *values[] = {"192.0.2.1", "192.0.2.2"};
    for (unsigned i = 0; i < 2; i++) {
        struct model_record_set record = {.zone_id = "Z1",
                                          .name = name,
                                          .type = RR_A,
                                          .policy = MODEL_FAILOVER,
                                          .failover = i == 0 ? MODEL_PRIMARY : MODEL_SECONDARY,
                                          .set_identifier = i == 0 ? "p" : "s",
                                          .health_check_id = i == 0 ? "c1" : "",
                                          .region = "",
                                          .ttl_s = 60,
                                          .values = &values[i],
                                          .value_count = 1};
        struct err err = ERR_INIT;
        if (zone_database_put_record(database, &record, &err) < 0) {
            abort();
        }
    }
}

static struct zone_database *new_database(void)
{
    struct zone_database *database = zone_database_new();
    struct model_zone zone = {.id = "Z1", .name = "example.com.", .created_revision = 1};
    zone_database_put_zone(database, &zone);
    test_record_put(database, "example.com.", RR_SOA,
                    "ns1.example.com. host.example.com. 1 7200 900 1209600 300");
    return database;
}

static void queries(size_t count, bool edns, bool signed_zone)
{
    struct zone_database *database = new_database();
    char name[64];
    for (unsigned i = 0; i < NAMES; i++) {
        (void)snprintf(name, sizeof name, "h%07u.example.com.", i);
        if (i % 2 == 0) {
            test_record_put(database, name, RR_A, "192.0.2.1");
        } else {
            put_pair(database, name);
        }
        (void)snprintf(name, sizeof name, "c%07u.example.com.", i);
        test_record_put(database, name, RR_CNAME, "h0000001.example.com.");
    }
    if (signed_zone && test_zones_line(database, "sign Z1") < 0) {
        abort();
    }
    zone_database_publish(database);
    while (zone_database_refresh(database, wall_now()) == 0) {
    }
    struct answer_context context = {.zones = zone_database_readers(database), .udp_limit = 1232};
    random_init(&context.random, 1);
    struct random random;
    random_init(&random, 2);
    struct packet *packets = memory_array(PACKETS, sizeof *packets);
    for (size_t i = 0; i < PACKETS; i++) {
        char kind = i % 10 == 8 ? 'x' : i % 10 == 9 ? 'c' : 'h';
        (void)snprintf(name, sizeof name, "%c%07u.example.com.", kind,
                       random_below(&random, NAMES));
        struct test_query query = {.name = name,
                                   .type = RR_A,
                                   .class = 1,
                                   .flags = 0x0100,
                                   .edns = edns,
                                   .dnssec_ok = signed_zone,
                                   .udp_size = 1232};
        packets[i].length = test_query_write(&query, packets[i].data);
    }
    uint8_t out[4096];
    size_t bytes = 0;
    struct mono start = mono_now();
    for (size_t i = 0; i < count; i++) {
        const struct packet *packet = &packets[i % PACKETS];
        bytes += answer_query(&context, packet->data, packet->length, NULL, false, out, sizeof out);
    }
    double spent = seconds_since(start);
    (void)printf("%zu queries: %.0f ns each, %.1f bytes each\n", count, spent * 1e9 / (double)count,
                 (double)bytes / (double)count);
    free(packets);
    zone_database_free(database);
}

static void load(size_t count)
{
    size_t before = resident_bytes();
    struct zone_database *database = new_database();
    struct mono start = mono_now();
    char name[64];
    char value[32];
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "h%07zu.example.com.", i);
        (void)snprintf(value, sizeof value, "10.%zu.%zu.%zu", i >> 16U & 255U, i >> 8U & 255U,
                       i & 255U);
        test_record_put(database, name, RR_A, value);
    }
    double putting = seconds_since(start);
    zone_database_publish(database);
    double all = seconds_since(start);
    snapshot_drain();
    (void)printf("%zu records: put %.3f s, published after %.3f s, %.1f resident bytes each\n",
                 count, putting, all, (double)(resident_bytes() - before) / (double)count);
    start = mono_now();
    test_record_put(database, "h0000001.example.com.", RR_A, "192.0.2.99");
    zone_database_publish(database);
    (void)printf("one record changed: %.1f us\n", seconds_since(start) * 1e6);
    start = mono_now();
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof name, "new%u.example.com.", i);
        test_record_put(database, name, RR_A, "192.0.2.99");
    }
    zone_database_publish(database);
    (void)printf("1,000 records added: %.1f us\n", seconds_since(start) * 1e6);
    zone_database_free(database);
}

static void flips(size_t count)
{
    struct zone_database *database = new_database();
    char name[64];
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "h%07zu.example.com.", i);
        put_pair(database, name);
    }
    zone_database_publish(database);
    struct model_status *status = memory_new(sizeof *status + sizeof status->entries[0]);
    status->count = 1;
    for (unsigned i = 0; i < 6; i++) {
        status->entries[0] = (struct model_status_entry){.check_id = "c1", .healthy = i % 2 != 0};
        struct mono start = mono_now();
        size_t changed = zone_database_set_status(database, status);
        (void)printf("%zu names flipped in %.2f ms\n", changed, seconds_since(start) * 1e3);
    }
    free(status);
    zone_database_free(database);
}

/* One zone of plain names is signed in slices, with a change of health between any two. */
static void sign(size_t count)
{
    struct zone_database *database = new_database();
    char name[64];
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "h%07zu.example.com.", i);
        test_record_put(database, name, RR_A, "192.0.2.1");
    }
    put_pair(database, "f.example.com.");
    zone_database_publish(database);
    if (test_zones_line(database, "sign Z1") < 0) {
        abort();
    }
    size_t before = resident_bytes();
    zone_database_publish(database);
    int64_t longest = 0;
    size_t slices = 0;
    struct mono start = mono_now();
    for (int64_t wait = 0; wait == 0; slices++) {
        struct mono slice = mono_now();
        wait = zone_database_refresh(database, wall_now());
        if (test_zones_line(database, slices % 2 == 0 ? "status c1" : "status") < 0) {
            abort();
        }
        longest = MAX(longest, mono_since(mono_now(), slice));
        snapshot_quiescent();
    }
    double spent = seconds_since(start);
    snapshot_drain();
    (void)printf("%zu names signed in %.2f s, %zu slices of at most %.2f ms with a flip in each, "
                 "%.0f resident bytes a name\n",
                 count, spent, slices, (double)longest / 1e6,
                 (double)(resident_bytes() - before) / (double)count);
    start = mono_now();
    while (zone_database_refresh(database,
                                 (struct wall){wall_now().ns + INT64_C(172800) * TIME_S}) == 0) {
    }
    (void)printf("a round with nothing to do: %.0f ms\n", seconds_since(start) * 1e3);
    start = mono_now();
    test_record_put(database, "new.example.com.", RR_A, "192.0.2.99");
    zone_database_publish(database);
    (void)printf("one record added: %.0f us\n", seconds_since(start) * 1e6);
    start = mono_now();
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof name, "n%u.example.com.", i);
        test_record_put(database, name, RR_A, "192.0.2.99");
    }
    zone_database_publish(database);
    (void)printf("1,000 records added: %.1f ms\n", seconds_since(start) * 1e3);
    zone_database_free(database);
}

int main(int argc, char **argv)
{
    int64_t count = 0;
    if (argc < 3 || text_to_i64(argv[2], 1, 10000000, &count) < 0) {
        (void)fprintf(stderr, "usage: %s queries|load|flips|sign N [edns|signed]\n", argv[0]);
        return 2;
    }
    if (text_equal(argv[1], "load")) {
        load((size_t)count);
    } else if (text_equal(argv[1], "sign")) {
        sign((size_t)count);
    } else if (text_equal(argv[1], "flips")) {
        flips((size_t)count);
    } else {
        queries((size_t)count, argc > 3, argc > 3 && text_equal(argv[3], "signed"));
    }
    snapshot_drain();
    return 0;
}
