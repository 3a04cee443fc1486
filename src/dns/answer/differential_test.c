/* Random differential test: a small zone changes at random (plain, failover and alias records,
 * wildcards, delegations, health), and every answer is compared with that of a naive model, which
 * looks at plain arrays and follows RFC 1034, RFC 4592 and spec/route53.md word by word.
 *
 * usage: differential_test [SEED [STEPS]]; a failure prints both. */
#include "base/buf.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/snapshot.h"
#include "base/text.h"
#include "dns/answer/answer.h"
#include "dns/answer/test_packet.h"
#include "dns/answer/test_zones.h"
#include "dns/wire/rdata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define APEX "zone.test."
#define NAMES 39U /* one to three labels of three kinds */
#define CHECKS 4U
#define QUERIES 12U /* after each publish */

enum kind { NONE, PLAIN, FAILOVER, ALIAS, ALIAS_PAIR, KINDS };

struct name {
    char text[32]; /* "a.*.b.zone.test." */
    enum kind kind;
    unsigned value;  /* goes up with each change */
    unsigned check;  /* FAILOVER: of the PRIMARY; the SECONDARY's is the next one */
    unsigned target; /* ALIAS and ALIAS_PAIR: a higher number, so that there are no cycles */
    bool evaluate;
    bool txt;
    bool cut; /* NS */
};

struct model {
    struct name names[NAMES];
    bool down[CHECKS];
    struct random random;
    unsigned values;
};

static uint64_t seed = 20261121;
static unsigned steps = 4000;

static void label_names(struct model *model)
{
    static const char labels[] = "ab*";
    size_t count = 0;
    for (size_t depth = 1; depth <= 3; depth++) {
        unsigned all = depth == 1 ? 3 : depth == 2 ? 9 : 27;
        for (unsigned n = 0; n < all; n++) {
            struct name *name = &model->names[count++];
            unsigned rest = n;
            for (size_t d = 0; d < depth; d++, rest /= 3) {
                name->text[2 * d] = labels[rest % 3];
                name->text[2 * d + 1] = '.';
            }
            (void)snprintf(name->text + 2 * depth, sizeof name->text - 2 * depth, "%s", APEX);
        }
    }
}

/* ---- the naive model's answer ---- */

struct value {
    bool exists;
    bool healthy;
    char text[32];
};

static void set_value(struct value *value, unsigned number, unsigned net)
{
    (void)snprintf(value->text, sizeof value->text, "10.%u.%u.%u", net, number / 256 % 256,
                   number % 256);
}

static struct value value_of(const struct model *model, unsigned index)
{
    struct value value = {.exists = true, .healthy = true};
    const struct name *name = &model->names[index];
    if (name->kind == NONE) {
        return (struct value){0};
    }
    if (name->kind == PLAIN) {
        set_value(&value, name->value, 1);
    } else if (name->kind == FAILOVER) {
        bool first = !model->down[name->check];
        bool second = !model->down[(name->check + 1) % CHECKS];
        set_value(&value, name->value, first || !second ? 1 : 2);
        value.healthy = first || second;
    } else {
        struct value target = value_of(model, name->target);
        bool healthy = !name->evaluate || (target.exists && target.healthy);
        if (name->kind == ALIAS || healthy) {
            value.healthy = healthy;
            (void)snprintf(value.text, sizeof value.text, "%s", target.text);
        } else {
            set_value(&value, name->value, 2);
        }
    }
    return value;
}

static bool has_data(const struct name *name)
{
    return name->kind != NONE || name->txt || name->cut;
}

static bool exists(const struct model *model, const char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < NAMES; i++) {
        size_t own = strlen(model->names[i].text);
        if (has_data(&model->names[i]) && own >= length &&
            strcmp(model->names[i].text + own - length, text) == 0 &&
            (own == length || model->names[i].text[own - length - 1] == '.')) {
            return true;
        }
    }
    return text_equal(text, APEX);
}

static int find(const struct model *model, const char *text)
{
    for (unsigned i = 0; i < NAMES; i++) {
        if (text_equal(model->names[i].text, text)) {
            return (int)i;
        }
    }
    return -1;
}

static void naive_answer(const struct model *model, const char *text, uint16_t type,
                         struct buf *out)
{
    /* The highest delegation at or above the name. */
    for (size_t up = strlen(text); up-- > 0;) {
        if (up == 0 || text[up - 1] == '.') {
            int index = find(model, text + up);
            if (index >= 0 && model->names[index].cut) {
                buf_printf(out, "referral %s", text + up);
                return;
            }
        }
    }
    const char *owner = text;
    char wildcard[64];
    if (!exists(model, text)) {
        const char *encloser = text;
        while (!exists(model, encloser)) {
            encloser = strchr(encloser, '.') + 1;
        }
        (void)snprintf(wildcard, sizeof wildcard, "*.%s", encloser);
        owner = wildcard;
        if (!exists(model, owner)) {
            buf_puts(out, "NXDOMAIN");
            return;
        }
    }
    int index = find(model, owner);
    if (index >= 0 && type == RR_TXT && model->names[index].txt) {
        buf_puts(out, "NOERROR \"t\"");
    } else if (index >= 0 && type == RR_A && value_of(model, (unsigned)index).text[0] != '\0') {
        buf_printf(out, "NOERROR %s", value_of(model, (unsigned)index).text);
    } else {
        buf_puts(out, "NOERROR");
    }
}

/* ---- the database's answer, in the same words ---- */

static void real_answer(struct answer_context *context, const char *text, uint16_t type,
                        struct buf *out)
{
    uint8_t packet[512];
    uint8_t response[4096];
    struct test_query query = {.name = text, .type = type, .class = 1};
    size_t length = test_query_write(&query, packet);
    length = answer_query(context, packet, length, NULL, false, response, sizeof response);
    struct buf lines;
    buf_init(&lines, 0);
    assert_int_equal(0, test_response_text(response, length, &lines));
    char *rest = NULL;
    char *line = strtok_r(lines.data, "\n", &rest);
    bool referral = strstr(line, "aa") == NULL;
    line[strcspn(line, " ")] = '\0';
    if (!referral) {
        buf_puts(out, line);
    }
    while ((line = strtok_r(NULL, "\n", &rest)) != NULL) {
        if (referral && text_starts(line, "authority ")) {
            /* Names are shown with \052. */
            buf_puts(out, "referral ");
            for (const char *at = line + 10; *at != ' '; at++) {
                buf_putc(out, strncmp(at, "\\052", 4) == 0 ? '*' : *at);
                at += *at == '\\' ? 3 : 0;
            }
        } else if (text_starts(line, "answer ")) {
            buf_printf(out, " %s", strrchr(line, ' ') + 1);
        }
    }
    buf_done(&lines);
}

/* ---- changes ---- */

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

static void change_address(struct model *model, struct zone_database *database, unsigned index)
{
    struct name *name = &model->names[index];
    struct value one;
    struct value two;
    apply(database, "delete Z %s A", name->text);
    apply(database, "delete Z %s A set=p", name->text);
    apply(database, "delete Z %s A set=s", name->text);
    name->kind = (enum kind)random_below(&model->random, KINDS);
    if (index + 1 == NAMES && (name->kind == ALIAS || name->kind == ALIAS_PAIR)) {
        name->kind = PLAIN;
    }
    name->value = model->values++;
    name->evaluate = random_below(&model->random, 2) == 0;
    name->check = random_below(&model->random, CHECKS);
    if (name->kind == ALIAS || name->kind == ALIAS_PAIR) {
        name->target = index + 1 + random_below(&model->random, NAMES - index - 1);
    }
    const char *evaluate = name->evaluate ? "evaluate" : "";
    set_value(&one, name->value, 1);
    set_value(&two, name->value, 2);
    switch (name->kind) {
    case PLAIN:
        apply(database, "record Z %s A : %s", name->text, one.text);
        break;
    case FAILOVER:
        apply(database, "record Z %s A set=p role=primary check=c%u : %s", name->text, name->check,
              one.text);
        apply(database, "record Z %s A set=s role=secondary check=c%u : %s", name->text,
              (name->check + 1) % CHECKS, two.text);
        break;
    case ALIAS:
        apply(database, "record Z %s A alias=Z/%s %s", name->text, model->names[name->target].text,
              evaluate);
        break;
    case ALIAS_PAIR:
        apply(database, "record Z %s A set=p role=primary alias=Z/%s %s", name->text,
              model->names[name->target].text, evaluate);
        apply(database, "record Z %s A set=s role=secondary : %s", name->text, two.text);
        break;
    case NONE:
    case KINDS:
        break;
    }
}

static void change_health(struct model *model, struct zone_database *database)
{
    unsigned check = random_below(&model->random, CHECKS);
    model->down[check] = !model->down[check];
    struct buf line;
    buf_init(&line, 0);
    buf_puts(&line, "status");
    for (unsigned i = 0; i < CHECKS; i++) {
        if (model->down[i]) {
            buf_printf(&line, " c%u", i);
        }
    }
    assert_int_equal(0, test_zones_line(database, buf_text(&line)));
    buf_done(&line);
}

static void change(struct model *model, struct zone_database *database)
{
    unsigned index = random_below(&model->random, NAMES);
    struct name *name = &model->names[index];
    switch (random_below(&model->random, 8)) {
    case 0:
        name->txt = !name->txt;
        apply(database, name->txt ? "record Z %s TXT : \"t\"" : "delete Z %s TXT", name->text);
        break;
    case 1:
        /* Delegations from wildcards are undefined: RFC 4592 section 4.2. */
        name->cut = !name->cut && name->text[0] != '*' && random_below(&model->random, 4) == 0;
        apply(database, name->cut ? "record Z %s NS : ns.test." : "delete Z %s NS", name->text);
        break;
    case 2:
    case 3:
        /* Status is visible at once; the model's other changes are not: publish first. */
        apply(database, "publish");
        change_health(model, database);
        break;
    default:
        change_address(model, database, index);
        break;
    }
}

static void compare(struct model *model, struct answer_context *context, unsigned step)
{
    static const char labels[] = "aabbc*";
    for (unsigned n = 0; n < QUERIES; n++) {
        char text[64] = "";
        unsigned depth = random_below(&model->random, 5);
        for (size_t d = 0; d < depth; d++) {
            text[2 * d] = labels[random_below(&model->random, sizeof labels - 1)];
            text[2 * d + 1] = '.';
        }
        (void)snprintf(text + 2 * (size_t)depth, sizeof text - 2 * (size_t)depth, "%s", APEX);
        uint16_t type = random_below(&model->random, 3) == 0 ? RR_TXT : RR_A;
        struct buf naive;
        struct buf real;
        buf_init(&naive, 0);
        buf_init(&real, 0);
        naive_answer(model, text, type, &naive);
        real_answer(context, text, type, &real);
        if (!text_equal(buf_text(&naive), buf_text(&real))) {
            fail_msg("seed %llu step %u %s type %u: model %s, database %s",
                     (unsigned long long)seed, step, text, type, buf_text(&naive), buf_text(&real));
        }
        buf_done(&naive);
        buf_done(&real);
    }
}

static void answers_are_those_of_a_naive_model_after_random_changes(void **state)
{
    (void)state;
    struct model *model = memory_new(sizeof *model);
    random_init(&model->random, seed);
    label_names(model);
    struct zone_database *database = zone_database_new();
    apply(database, "zone Z %s", APEX);
    apply(database, "record Z %s SOA : ns.test. host.test. 1 2 3 4 5", APEX);
    apply(database, "publish");
    struct answer_context context = {.zones = zone_database_readers(database), .udp_limit = 1232};
    random_init(&context.random, seed);
    for (unsigned step = 0; step < steps; step++) {
        unsigned changes = 1 + random_below(&model->random, 6);
        for (unsigned i = 0; i < changes; i++) {
            change(model, database);
        }
        apply(database, "publish");
        compare(model, &context, step);
    }
    zone_database_free(database);
    snapshot_drain();
    free(model);
}

int main(int argc, char **argv)
{
    int64_t value = 0;
    if (argc > 1 && text_to_i64(argv[1], 1, INT64_MAX, &value) == 0) {
        seed = (uint64_t)value;
    }
    if (argc > 2 && text_to_i64(argv[2], 1, UINT32_MAX, &value) == 0) {
        steps = (unsigned)value;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_of_a_naive_model_after_random_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
