/* Readers answer while the owner puts, deletes, flips health and drops whole zones: every response
 * is well-formed, and says what was true at some moment. Meant for the thread sanitizer too. */
#include "base/buf.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/snapshot.h"
#include "base/text.h"
#include "dns/answer/answer.h"
#include "dns/answer/test_packet.h"
#include "dns/answer/test_zones.h"
#include "dns/wire/rdata.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define READERS 2U
#define ROUNDS 6000U
#define SIGNED_ROUNDS 600U /* a round makes a few signatures */
#define NAMES 40U
#define BATCH 16U

struct reader {
    struct zone_set *zones;
    bool dnssec_ok;
    atomic_bool *stop;
    uint64_t seed;
    uint64_t answered;
    bool failed;
    char message[512];
};

/* The same where the zone is signed all the time: what is positive has signatures, what is negative
 * has proofs. */
static bool is_proved(const char *name, const char *text)
{
    if (text_starts(name, "x.b.")) {
        return true; /* that zone comes and goes, without keys */
    }
    bool denied = strstr(text, "answer ") == NULL;
    return strstr(text, " RRSIG ") != NULL && (!denied || strstr(text, " NSEC ") != NULL) &&
           (denied || strstr(text, "NXDOMAIN") == NULL);
}

/* True when the response to that question may be given at some moment of the test. */
static bool is_sound(const char *name, const char *text)
{
    if (text_starts(name, "steady.")) {
        return text_starts(text, "NOERROR aa\nanswer steady.a.test. 60 A 192.0.2.");
    }
    if (text_starts(name, "w.")) {
        return text_starts(text, "NOERROR aa\nanswer w.a.test. 60 A 192.0.2.");
    }
    if (text_starts(name, "both.")) {
        /* One name's records change together: the pair is old or new, never half. */
        return strstr(text, "\"1\"") != NULL ? strstr(text, "\"2\"") == NULL
                                             : strstr(text, "\"2\"") != NULL;
    }
    return text_starts(text, "NOERROR aa\n") || text_starts(text, "NXDOMAIN aa\n") ||
           text_starts(text, "REFUSED\n");
}

static void ask(struct reader *reader, struct answer_context *context, const char *name)
{
    uint8_t packet[512];
    uint8_t response[4096];
    struct test_query query = {.name = name,
                               .type = text_starts(name, "both.") ? RR_TXT : RR_A,
                               .class = 1,
                               .edns = reader->dnssec_ok,
                               .udp_size = 1232,
                               .dnssec_ok = reader->dnssec_ok};
    size_t length = test_query_write(&query, packet);
    length = answer_query(context, packet, length, NULL, false, response, sizeof response);
    struct buf text;
    buf_init(&text, 0);
    if (test_response_text(response, length, &text) < 0 || !is_sound(name, buf_text(&text)) ||
        (reader->dnssec_ok && !is_proved(name, buf_text(&text)))) {
        reader->failed = true;
        (void)snprintf(reader->message, sizeof reader->message, "%s: %s", name, buf_text(&text));
    }
    buf_done(&text);
    reader->answered++;
}

static void *run_reader(void *argument)
{
    struct reader *reader = argument;
    struct answer_context context = {.zones = reader->zones, .udp_limit = 1232};
    random_init(&context.random, reader->seed);
    snapshot_thread_begin();
    while (!atomic_load(reader->stop) && !reader->failed) {
        for (unsigned i = 0; i < BATCH; i++) {
            char name[64];
            switch (random_below(&context.random, 5)) {
            case 0:
                (void)snprintf(name, sizeof name, "steady.a.test.");
                break;
            case 1:
                (void)snprintf(name, sizeof name, "both.a.test.");
                break;
            case 2:
                (void)snprintf(name, sizeof name, "w.a.test.");
                break;
            case 3:
                (void)snprintf(name, sizeof name, "x.b.test.");
                break;
            default:
                (void)snprintf(name, sizeof name, "n%u.deep.a.test.",
                               random_below(&context.random, NAMES));
                break;
            }
            ask(reader, &context, name);
        }
        snapshot_quiescent();
    }
    snapshot_thread_end();
    return NULL;
}

static void apply(struct zone_database *database, const char *format, ...) PRINTF(2, 3);
static void apply(struct zone_database *database, const char *format, ...)
{
    char line[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    assert_int_equal(0, test_zones_line(database, line));
}

static void set_stage(struct zone_database *database)
{
    apply(database, "zone A a.test.");
    apply(database, "record A a.test. SOA : ns.test. host.test. 1 2 3 4 5");
    apply(database, "record A steady.a.test. A set=p role=primary check=c1 : 192.0.2.1");
    apply(database, "record A steady.a.test. A set=s role=secondary alias=A/w.a.test. evaluate");
    apply(database, "record A w.a.test. A set=a weight=1 check=c1 : 192.0.2.11");
    apply(database, "record A w.a.test. A set=b weight=2 check=c2 : 192.0.2.12");
    apply(database, "record A w.a.test. A set=c weight=3 : 192.0.2.13");
    apply(database, "record A both.a.test. TXT : \"1\"");
    apply(database, "publish");
}

static void change(struct zone_database *database, struct random *random, unsigned round)
{
    static const char *const states[] = {"status", "status c1", "status c2", "status c1 c2"};
    apply(database, "%s", states[random_below(random, 4)]);
    unsigned n = random_below(random, NAMES);
    if (random_below(random, 2) == 0) {
        apply(database, "record A n%u.deep.a.test. A : 192.0.2.%u", n, n + 1);
    } else {
        apply(database, "delete A n%u.deep.a.test. A", n);
    }
    apply(database, "record A both.a.test. TXT : \"%u\"", round % 2 + 1);
    /* A type comes and goes at a routed name. */
    apply(database,
          round % 3 == 0 ? "record A w.a.test. AAAA : 2001:db8::1" : "delete A w.a.test. AAAA");
    if (round % 7 == 0) {
        apply(database, "zone B b.test.");
        apply(database, "record B b.test. SOA : ns.test. host.test. 1 2 3 4 5");
        apply(database, "record B x.b.test. A alias=A/w.a.test.");
    } else if (round % 7 == 4) {
        apply(database, "delete-zone B");
    }
    apply(database, "publish");
}

/* Stops the readers, which share one flag, and says what the first of them complained about. */
static void end(struct zone_database *take_database, const struct reader *readers,
                const pthread_t *threads, unsigned count)
{
    atomic_store(readers[0].stop, true);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(0, pthread_join(threads[i], NULL));
    }
    for (unsigned i = 0; i < count; i++) {
        if (readers[i].failed) {
            fail_msg("%s", readers[i].message);
        }
    }
    zone_database_free(take_database);
    snapshot_drain();
}

static void change_under_readers(bool dnssec, unsigned rounds)
{
    struct zone_database *database = zone_database_new();
    set_stage(database);
    if (dnssec) {
        apply(database, "sign A");
        apply(database, "publish");
        apply(database, "refresh");
    }
    atomic_bool stop = false;
    struct reader readers[READERS] = {0};
    pthread_t threads[READERS];
    for (unsigned i = 0; i < READERS; i++) {
        readers[i].zones = zone_database_readers(database);
        readers[i].stop = &stop;
        readers[i].seed = i + 1;
        readers[i].dnssec_ok = dnssec;
        assert_int_equal(0, pthread_create(&threads[i], NULL, run_reader, &readers[i]));
    }
    struct random random;
    random_init(&random, 3);
    for (unsigned round = 0; round < rounds; round++) {
        change(database, &random, round);
        if (dnssec && round % 50 == 49) {
            apply(database, "sign A"); /* other keys */
            apply(database, "publish");
            apply(database, "refresh");
        }
    }
    end(database, readers, threads, READERS);
    for (unsigned i = 0; i < READERS; i++) {
        assert_true(readers[i].answered > 0);
    }
}

static void readers_see_whole_answers_while_the_owner_changes_everything(void **state)
{
    (void)state;
    change_under_readers(false, ROUNDS);
}

static void answers_of_a_signed_zone_are_signed_or_proved_at_every_moment(void **state)
{
    (void)state;
    change_under_readers(true, SIGNED_ROUNDS);
}

static void zones_are_signed_and_unsigned_under_readers(void **state)
{
    (void)state;
    struct zone_database *database = zone_database_new();
    set_stage(database);
    atomic_bool stop = false;
    struct reader reader = {.zones = zone_database_readers(database), .stop = &stop, .seed = 1};
    pthread_t thread;
    assert_int_equal(0, pthread_create(&thread, NULL, run_reader, &reader));
    for (unsigned round = 0; round < SIGNED_ROUNDS / 10; round++) {
        apply(database, "sign A");
        apply(database, "publish");
        apply(database, round % 2 == 0 ? "refresh" : "status c1");
        apply(database, "unsign A");
        apply(database, "publish");
    }
    end(database, &reader, &thread, 1);
}

/* The same question eight times, looked up together. */
static void ask_group(struct reader *reader, struct answer_context *context,
                      struct answer_lookup *lookups, const uint8_t *packet, size_t length)
{
    static const char *const sound[] = {
        "NOERROR aa\nanswer cut.a.test. 60 A 192.0.2.1\n",
        "NOERROR\nauthority cut.a.test. 60 NS ns.b.test.\n",
    };
    uint8_t response[4096];
    for (size_t i = 0; i < ANSWER_GROUP; i++) {
        lookups[i].packet = packet;
        lookups[i].length = length;
    }
    answer_look_up(context, lookups, ANSWER_GROUP);
    for (size_t i = 0; i < ANSWER_GROUP; i++) {
        struct buf text;
        buf_init(&text, 0);
        size_t size = answer_write(context, &lookups[i], NULL, false, response, sizeof response);
        if (test_response_text(response, size, &text) < 0 ||
            (!text_equal(buf_text(&text), sound[0]) && !text_equal(buf_text(&text), sound[1]))) {
            reader->failed = true;
            (void)snprintf(reader->message, sizeof reader->message, "%s", buf_text(&text));
        }
        buf_done(&text);
    }
}

static void *run_group_reader(void *argument)
{
    static const struct test_query query = {.name = "cut.a.test.", .type = RR_A, .class = 1};
    struct reader *reader = argument;
    struct answer_context context = {.zones = reader->zones, .udp_limit = 1232};
    struct answer_lookup *lookups = memory_array(ANSWER_GROUP, sizeof *lookups);
    uint8_t packet[512];
    size_t length = test_query_write(&query, packet);
    random_init(&context.random, reader->seed);
    snapshot_thread_begin();
    while (!atomic_load(reader->stop) && !reader->failed) {
        ask_group(reader, &context, lookups, packet, length);
        snapshot_quiescent();
    }
    snapshot_thread_end();
    free(lookups);
    return NULL;
}

static void a_name_is_the_zones_own_or_delegated_and_nothing_in_between(void **state)
{
    (void)state;
    struct zone_database *database = zone_database_new();
    set_stage(database);
    apply(database, "record A cut.a.test. A : 192.0.2.1");
    apply(database, "publish");
    atomic_bool stop = false;
    struct reader reader = {.zones = zone_database_readers(database), .stop = &stop, .seed = 1};
    pthread_t thread;
    assert_int_equal(0, pthread_create(&thread, NULL, run_group_reader, &reader));
    for (unsigned round = 0; round < 5 * ROUNDS; round++) {
        apply(database, "record A cut.a.test. NS : ns.b.test.");
        apply(database, "delete A cut.a.test. A");
        apply(database, "publish");
        apply(database, "record A cut.a.test. A : 192.0.2.1");
        apply(database, "delete A cut.a.test. NS");
        apply(database, "publish");
    }
    end(database, &reader, &thread, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_a_signed_zone_are_signed_or_proved_at_every_moment),
        cmocka_unit_test(zones_are_signed_and_unsigned_under_readers),
        cmocka_unit_test(readers_see_whole_answers_while_the_owner_changes_everything),
        cmocka_unit_test(a_name_is_the_zones_own_or_delegated_and_nothing_in_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
