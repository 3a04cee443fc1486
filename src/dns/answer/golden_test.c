/* Golden tests of the answer path: every file golden/NAME.txt is one test.
 *
 * Lines of test_zones.h set the stage; then
 *   place ADDRESS/BITS CONTINENT COUNTRY SUBDIVISION [LATITUDE,LONGITUDE]     ("-": unknown)
 *   home LATITUDE,LONGITUDE
 * say where addresses and this server are, the first place that holds an address; and
 *   query NAME TYPE [tcp] [edns=SIZE] [do] [version=N] [subnet] [class=N] [flags=HEX]
 *         [client=ADDRESS/BITS] [source=ADDRESS]
 * and behind it, each with "> " in front, the response as test_packet.h writes it. "sample N NAME
 * TYPE" asks N times; its lines are "> LOW..HIGH RDATA": how often that RDATA may have been in an
 * answer; nothing else may have been. "why NAME TYPE [ADDRESS]" is followed by what explain says.
 * '#' starts a comment. */
#include "base/buf.h"
#include "base/memory.h"
#include "base/snapshot.h"
#include "base/text.h"
#include "dns/answer/answer.h"
#include "dns/answer/test_packet.h"
#include "dns/answer/test_zones.h"
#include "dns/wire/rdata.h"
#include "dns/zone/database.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LINE_LIMIT 4096U
#define UDP_LIMIT 1232U
#define FILES_LIMIT 256U
#define SAMPLES_LIMIT 64U

#define PLACES_LIMIT 32U

struct place {
    struct model_place place;
    uint8_t family;
    uint8_t address[16];
};

struct run {
    struct place places[PLACES_LIMIT];
    size_t place_count;
    struct model_place home;
    struct zone_database *database;
    struct answer_context context;
    struct buf wanted;
    struct buf actual;
    unsigned line;
    unsigned asked_at; /* line of the query whose response is compared next; 0: none */
    bool sample;
};

static size_t ask(struct run *run, const struct test_query *query, const char *source, bool tcp,
                  uint8_t *out)
{
    uint8_t packet[512];
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    const struct sockaddr *from = NULL;
    if (source != NULL && inet_pton(AF_INET, source, &v4.sin_addr) == 1) {
        from = (const struct sockaddr *)&v4;
    } else if (source != NULL && inet_pton(AF_INET6, source, &v6.sin6_addr) == 1) {
        from = (const struct sockaddr *)&v6;
    }
    size_t length = test_query_write(query, packet);
    return answer_query(&run->context, packet, length, from, tcp, out, 65535);
}

static bool shares_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    for (unsigned bit = 0; bit < bits; bit++) {
        if (((a[bit / 8] ^ b[bit / 8]) & (0x80U >> bit % 8)) != 0) {
            return false;
        }
    }
    return true;
}

static void locate(void *context, uint8_t family, const uint8_t address[16],
                   struct model_place *ret_place)
{
    const struct run *run = context;
    for (size_t i = 0; i < run->place_count; i++) {
        const struct place *place = &run->places[i];
        if (place->family == family && shares_bits(place->address, address, place->place.bits)) {
            *ret_place = place->place;
            return;
        }
    }
}

static void read_coordinates(const char *text, struct model_place *place)
{
    char latitude[32];
    const char *comma = strchr(text, ',');
    double north = 0;
    double east = 0;
    assert_non_null(comma);
    assert_int_equal(0, text_copy_n(latitude, sizeof latitude, text, (size_t)(comma - text)));
    assert_int_equal(0, text_to_double(latitude, &north));
    assert_int_equal(0, text_to_double(comma + 1, &east));
    place->placed = true;
    place->latitude = (float)north;
    place->longitude = (float)east;
}

static void read_code(char *out, size_t size, const char *word)
{
    assert_non_null(word);
    assert_int_equal(0, text_copy(out, size, text_equal(word, "-") ? "" : word));
}

static void do_place(struct run *run, char *line)
{
    char *rest = NULL;
    (void)strtok_r(line, " ", &rest);
    char *network = strtok_r(NULL, " ", &rest);
    char *slash = strchr(network, '/');
    assert_true(slash != NULL && run->place_count < PLACES_LIMIT);
    *slash = '\0';
    struct place *place = &run->places[run->place_count++];
    int64_t bits = 0;
    place->family = strchr(network, ':') != NULL ? 6 : 4;
    assert_int_equal(0, text_to_i64(slash + 1, 0, 128, &bits));
    assert_int_equal(1,
                     inet_pton(place->family == 4 ? AF_INET : AF_INET6, network, place->address));
    place->place.bits = (uint8_t)bits;
    read_code(place->place.continent, sizeof place->place.continent, strtok_r(NULL, " ", &rest));
    read_code(place->place.country, sizeof place->place.country, strtok_r(NULL, " ", &rest));
    read_code(place->place.subdivision, sizeof place->place.subdivision,
              strtok_r(NULL, " ", &rest));
    const char *coordinates = strtok_r(NULL, " ", &rest);
    if (coordinates != NULL) {
        read_coordinates(coordinates, &place->place);
    }
}

static const char *word_value(const char *word, const char *name)
{
    size_t length = strlen(name);
    return strncmp(word, name, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

static uint16_t number(const char *text, int base)
{
    return (uint16_t)strtoul(text, NULL, base);
}

static void read_option(const char *word, struct test_query *query, const char **source, bool *tcp)
{
    const char *value = NULL;
    *tcp = *tcp || text_equal(word, "tcp");
    query->dnssec_ok = query->dnssec_ok || text_equal(word, "do");
    query->subnet = query->subnet || text_equal(word, "subnet");
    if ((value = word_value(word, "edns")) != NULL) {
        query->edns = true;
        query->udp_size = number(value, 10);
    } else if ((value = word_value(word, "client")) != NULL) {
        query->subnet = true;
        query->subnet_text = value;
        query->edns = true;
        query->udp_size = query->udp_size != 0 ? query->udp_size : 1232;
    } else if ((value = word_value(word, "source")) != NULL) {
        *source = value;
    } else if ((value = word_value(word, "version")) != NULL) {
        query->edns_version = (uint8_t)number(value, 10);
    } else if ((value = word_value(word, "class")) != NULL) {
        query->class = number(value, 10);
    } else if ((value = word_value(word, "flags")) != NULL) {
        query->flags = number(value, 16);
    }
}

/* The response's lines. Of signatures, which differ each time, only the type they are of is left,
 * and nothing of keys; whether they verify is for resolvers to say (test/integration). */
static void put_response(struct run *run, const uint8_t *out, size_t length)
{
    struct buf text;
    buf_init(&text, 0);
    if (test_response_text(out, length, &text) < 0) {
        buf_puts(&text, "malformed\n");
    }
    char *rest = NULL;
    for (char *line = strtok_r(text.data, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char *signature = strstr(line, " RRSIG \\# ");
        char *key = strstr(line, " DNSKEY ");
        if (signature != NULL) {
            const char *hex = strrchr(line, ' ') + 1;
            char covered[RR_TYPE_TEXT];
            uint8_t type[2] = {0};
            char head[5] = "";
            assert_int_equal(0, text_copy_n(head, sizeof head, hex, 4));
            assert_int_equal(0, text_unhex(head, type, sizeof type));
            rr_type_to_text((uint16_t)(type[0] << 8U | type[1]), covered);
            signature[strlen(" RRSIG")] = '\0';
            buf_printf(&run->actual, "%s %s\n", line, covered);
            continue;
        }
        if (key != NULL) {
            key[strlen(" DNSKEY")] = '\0';
        }
        buf_printf(&run->actual, "%s\n", line);
    }
    buf_done(&text);
}

static void do_query(struct run *run, char *line)
{
    char *rest = NULL;
    (void)strtok_r(line, " ", &rest);
    struct test_query query = {.class = 1, .flags = 0x0100};
    query.name = strtok_r(NULL, " ", &rest);
    query.type = rr_type_from_text(strtok_r(NULL, " ", &rest));
    bool tcp = false;
    const char *source = NULL;
    for (char *word = strtok_r(NULL, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        read_option(word, &query, &source, &tcp);
    }
    uint8_t *out = memory_new(65535);
    size_t length = ask(run, &query, source, tcp, out);
    if (length == 0) {
        buf_puts(&run->actual, "nothing\n");
    } else {
        put_response(run, out, length);
    }
    free(out);
}

struct sample {
    char value[256];
    unsigned count;
};

static void count_sample(struct sample *samples, size_t *count, const char *value)
{
    for (size_t i = 0; i < *count; i++) {
        if (text_equal(samples[i].value, value)) {
            samples[i].count++;
            return;
        }
    }
    assert_true(*count < SAMPLES_LIMIT);
    assert_int_equal(0, text_copy(samples[*count].value, sizeof samples[0].value, value));
    samples[(*count)++].count = 1;
}

/* Leaves "COUNT RDATA" lines in actual; compared with ranges by check_sample. */
static void do_sample(struct run *run, char *line)
{
    char *rest = NULL;
    (void)strtok_r(line, " ", &rest);
    unsigned times = number(strtok_r(NULL, " ", &rest), 10);
    struct test_query query = {.class = 1};
    query.name = strtok_r(NULL, " ", &rest);
    query.type = rr_type_from_text(strtok_r(NULL, " ", &rest));
    struct sample *samples = memory_array(SAMPLES_LIMIT, sizeof *samples);
    size_t count = 0;
    uint8_t *out = memory_new(65535);
    for (unsigned i = 0; i < times; i++) {
        struct buf text;
        buf_init(&text, 0);
        assert_int_equal(0, test_response_text(out, ask(run, &query, NULL, false, out), &text));
        unsigned answers = 0;
        char *lines = NULL;
        for (char *at = strtok_r(text.data, "\n", &lines); at != NULL;
             at = strtok_r(NULL, "\n", &lines)) {
            if (text_starts(at, "answer ")) {
                count_sample(samples, &count, strrchr(at, ' ') + 1);
                answers++;
            }
        }
        if (answers == 0) {
            count_sample(samples, &count, "nothing");
        }
        buf_done(&text);
    }
    for (size_t i = 0; i < count; i++) {
        buf_printf(&run->actual, "%u %s\n", samples[i].count, samples[i].value);
    }
    free(out);
    free(samples);
}

static void do_why(struct run *run, char *line)
{
    char *rest = NULL;
    (void)strtok_r(line, " ", &rest);
    const char *name = strtok_r(NULL, " ", &rest);
    uint16_t type = rr_type_from_text(strtok_r(NULL, " ", &rest));
    struct arena arena;
    arena_init(&arena, 0);
    struct err err = ERR_INIT;
    struct zone_explanation why;
    struct zone_client client = {.family = 4, .bits = 32, .home = run->context.home};
    const char *address = strtok_r(NULL, " ", &rest);
    if (address != NULL) {
        assert_int_equal(1, inet_pton(AF_INET, address, client.address));
        locate(run, 4, client.address, &client.place);
    }
    if (zone_database_explain(run->database, name, type, address != NULL ? &client : NULL, &arena,
                              &why, &err) < 0) {
        buf_printf(&run->actual, "error %s\n", err.message);
    } else {
        buf_printf(&run->actual, "zone=%s name=%s type=%s policy=%s\nnote %s\n", why.zone_id,
                   why.name, why.type, why.policy, why.note);
        for (size_t i = 0; i < why.candidate_count; i++) {
            const struct zone_candidate *c = &why.candidates[i];
            buf_printf(&run->actual,
                       "%s set=%s role=%s check=%s alias=%s %s:", c->chosen ? "chosen" : "-",
                       c->set_identifier, c->role, c->health_check_id, c->alias,
                       c->healthy ? "healthy" : "unhealthy");
            for (size_t n = 0; n < c->value_count; n++) {
                buf_printf(&run->actual, " %s", c->values[n]);
            }
            buf_printf(&run->actual, " (%s)\n", c->reason);
        }
    }
    arena_done(&arena);
}

/* True when a line "LOW..HIGH VALUE" of wanted covers that many of that value. */
static bool range_covers(const char *wanted, const char *value, unsigned count)
{
    for (const char *range = wanted; *range != '\0'; range = strchr(range, '\n') + 1) {
        const char *name = strchr(range, ' ') + 1;
        size_t length = (size_t)(strchr(range, '\n') - name);
        if (strlen(value) == length && strncmp(value, name, length) == 0) {
            return count >= number(range, 10) && count <= number(strstr(range, "..") + 2, 10);
        }
    }
    return false;
}

/* Every value that was met is within its range, and there was one for each range. */
static bool sample_fits(char *actual, const char *wanted)
{
    char *rest = NULL;
    size_t ranges = 0;
    for (const char *at = wanted; *at != '\0'; at++) {
        ranges += *at == '\n' ? 1U : 0U;
    }
    for (char *line = strtok_r(actual, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (ranges == 0 || !range_covers(wanted, strchr(line, ' ') + 1, number(line, 10))) {
            return false;
        }
        ranges--;
    }
    return ranges == 0;
}

static void compare(struct run *run, const char *file)
{
    if (run->asked_at == 0) {
        return;
    }
    char *actual = memory_strdup(buf_text(&run->actual));
    bool same = text_equal(actual, buf_text(&run->wanted));
    if (run->sample) {
        same = sample_fits(actual, buf_text(&run->wanted));
    }
    free(actual);
    if (!same) {
        fail_msg("%s:%u\nwanted:\n%sactual:\n%s", file, run->asked_at, buf_text(&run->wanted),
                 buf_text(&run->actual));
    }
    buf_reset(&run->wanted);
    buf_reset(&run->actual);
    run->asked_at = 0;
}

static void do_line(struct run *run, char *line, const char *file)
{
    if (text_starts(line, "> ")) {
        buf_printf(&run->wanted, "%s\n", line + 2);
        return;
    }
    compare(run, file);
    if (line[0] == '#' || line[0] == '\0') {
        return;
    }
    if (text_starts(line, "query ") || text_starts(line, "sample ") || text_starts(line, "why ")) {
        run->asked_at = run->line;
        run->sample = line[0] == 's';
        if (line[0] == 'q') {
            do_query(run, line);
        } else if (line[0] == 's') {
            do_sample(run, line);
        } else {
            do_why(run, line);
        }
        return;
    }
    if (text_starts(line, "place ")) {
        do_place(run, line);
        return;
    }
    if (text_starts(line, "home ")) {
        read_coordinates(line + 5, &run->home);
        run->context.home = &run->home;
        return;
    }
    bool refused = text_starts(line, "refused ");
    if ((test_zones_line(run->database, refused ? line + 8 : line) < 0) != refused) {
        fail_msg("%s:%u: bad line: %s", file, run->line, line);
    }
}

static void run_file(void **state)
{
    const char *path = *state;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    struct run run = {.database = zone_database_new()};
    run.context = (struct answer_context){.zones = zone_database_readers(run.database),
                                          .udp_limit = UDP_LIMIT,
                                          .locate = locate,
                                          .locate_context = &run};
    random_init(&run.context.random, 1);
    buf_init(&run.wanted, 0);
    buf_init(&run.actual, 0);
    char line[LINE_LIMIT];
    while (fgets(line, sizeof line, file) != NULL) {
        run.line++;
        line[strcspn(line, "\n")] = '\0';
        do_line(&run, line, path);
    }
    compare(&run, path);
    (void)fclose(file); /* only read from */
    zone_database_free(run.database);
    snapshot_drain();
    buf_done(&run.wanted);
    buf_done(&run.actual);
}

static int is_vector(const struct dirent *entry)
{
    return text_ends(entry->d_name, ".txt") ? 1 : 0;
}

int main(int argc, char **argv)
{
    static struct CMUnitTest tests[FILES_LIMIT];
    struct dirent **names = NULL;
    int count = argc == 2 ? scandir(argv[1], &names, is_vector, alphasort) : -1;
    if (count <= 0 || (size_t)count > FILES_LIMIT) {
        (void)fprintf(stderr, "usage: %s FOLDER (a folder with 1 to 256 golden files)\n", argv[0]);
        return 2;
    }
    for (int i = 0; i < count; i++) {
        char *path = memory_printf("%s/%s", argv[1], names[i]->d_name);
        names[i]->d_name[strlen(names[i]->d_name) - 4] = '\0';
        tests[i] = (struct CMUnitTest){
            .name = names[i]->d_name, .test_func = run_file, .initial_state = path};
    }
    int failed = _cmocka_run_group_tests("golden answers", tests, (size_t)count, NULL, NULL);
    for (int i = 0; i < count; i++) {
        free(tests[i].initial_state);
        free(names[i]);
    }
    free(names);
    return failed;
}
