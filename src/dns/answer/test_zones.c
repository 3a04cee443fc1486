/* Zones from text for tests: see test_zones.h. Called by the tests of dns/answer on the thread that
 * owns the database. */
#include "dns/answer/test_zones.h"

#include "base/arena.h"
#include "base/memory.h"
#include "base/text.h"
#include "dns/sign/sign.h"
#include "dns/wire/rdata.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORD_LIMIT 64U

struct words {
    char *word[WORD_LIMIT];
    size_t count;
    char *values; /* behind " : ", or NULL */
};

static void split(char *line, struct words *words)
{
    *words = (struct words){0};
    char *values = strstr(line, " : ");
    if (values != NULL) {
        *values = '\0';
        words->values = values + 3;
    }
    char *rest = NULL;
    for (char *word = strtok_r(line, " \n", &rest); word != NULL && words->count < WORD_LIMIT;
         word = strtok_r(NULL, " \n", &rest)) {
        words->word[words->count++] = word;
    }
}

static const char *option(const struct words *words, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 1; i < words->count; i++) {
        if (strncmp(words->word[i], name, length) == 0 &&
            (words->word[i][length] == '=' || words->word[i][length] == '\0')) {
            return words->word[i][length] == '=' ? words->word[i] + length + 1 : "";
        }
    }
    return NULL;
}

static const char *option_or_empty(const struct words *words, const char *name)
{
    const char *value = option(words, name);
    return value != NULL ? value : "";
}

static int64_t option_number(const struct words *words, const char *name, int64_t otherwise)
{
    const char *value = option(words, name);
    int64_t number = otherwise;
    if (value != NULL && text_to_i64(value, 0, UINT32_MAX, &number) < 0) {
        abort(); /* a mistake in the test itself */
    }
    return number;
}

/* "a/b" in two; "a" and "" without a slash. */
static void halve(const char *text, struct arena *arena, const char **ret_first,
                  const char **ret_second)
{
    size_t length = strcspn(text, "/");
    *ret_first = arena_memdup(arena, text, length);
    *ret_second = text[length] == '/' ? text + length + 1 : "";
}

static void read_near(const char *near, struct model_record_set *record, struct arena *arena)
{
    const char *first = "";
    const char *second = "";
    size_t comma = strcspn(near, ",");
    halve(near, arena, &first, &second);
    if (text_equal(first, "group")) {
        record->local_zone_group = second;
    } else if (near[comma] == ',') {
        record->has_coordinates = true;
        if (text_to_double(arena_memdup(arena, near, comma), &record->latitude) != 0 ||
            text_to_double(near + comma + 1, &record->longitude) != 0) {
            abort(); /* a mistake in the test itself */
        }
    } else {
        record->region = near;
    }
}

/* The policies that look at where the client is. */
static void read_location(const struct words *words, struct model_record_set *record,
                          struct arena *arena)
{
    const char *value = NULL;
    const char *first = "";
    const char *second = "";
    if ((value = option(words, "region")) != NULL) {
        record->policy = MODEL_LATENCY;
        record->region = value;
    } else if ((value = option(words, "geo")) != NULL) {
        record->policy = MODEL_GEOLOCATION;
        halve(value, arena, &first, &second);
        bool continent = text_equal(first, "continent");
        record->continent = continent ? second : "";
        record->country = continent ? "" : first;
        record->subdivision = continent ? "" : second;
    } else if ((value = option(words, "near")) != NULL) {
        int64_t bias = 0;
        record->policy = MODEL_GEOPROXIMITY;
        read_near(value, record, arena);
        if (text_to_i64(option(words, "bias") != NULL ? option(words, "bias") : "0", -99, 99,
                        &bias) != 0) {
            abort(); /* a mistake in the test itself */
        }
        record->bias = (int8_t)bias;
    } else if ((value = option(words, "cidr")) != NULL) {
        record->policy = MODEL_CIDR;
        halve(value, arena, &record->collection_id, &record->cidr_location);
    }
}

static int put_collection(struct zone_database *database, struct words *words, struct arena *arena)
{
    struct model_cidr_collection collection = {.id = words->word[1]};
    collection.locations = arena_array(arena, WORD_LIMIT, sizeof *collection.locations);
    for (size_t i = 2; i < words->count; i++) {
        struct model_cidr_location *location = &collection.locations[collection.count++];
        char *equals = strchr(words->word[i], '=');
        struct err err = ERR_INIT;
        if (equals == NULL) {
            return -EINVAL;
        }
        *equals = '\0';
        location->name = words->word[i];
        location->blocks = arena_array(arena, WORD_LIMIT, sizeof *location->blocks);
        char *rest = NULL;
        for (char *block = strtok_r(equals + 1, ",", &rest);
             block != NULL && location->count < WORD_LIMIT; block = strtok_r(NULL, ",", &rest)) {
            if (model_cidr_parse(block, &location->blocks[location->count++], &err) != 0) {
                return -EINVAL;
            }
        }
    }
    zone_database_put_collection(database, &collection);
    return 0;
}

static int put_record(struct zone_database *database, struct words *words, struct arena *arena)
{
    struct model_record_set record = {
        .zone_id = words->word[1],
        .name = words->word[2],
        .type = rr_type_from_text(words->word[3]),
        .set_identifier = option_or_empty(words, "set"),
        .health_check_id = option_or_empty(words, "check"),
        .region = "",
        .ttl_s = (uint32_t)option_number(words, "ttl", 60),
        .weight = (uint8_t)option_number(words, "weight", 0),
    };
    const char *role = option(words, "role");
    if (role != NULL) {
        record.policy = MODEL_FAILOVER;
        record.failover = text_equal(role, "primary") ? MODEL_PRIMARY : MODEL_SECONDARY;
    } else if (option(words, "weight") != NULL) {
        record.policy = MODEL_WEIGHTED;
    } else if (option(words, "multivalue") != NULL) {
        record.policy = MODEL_MULTIVALUE;
    } else {
        read_location(words, &record, arena);
    }
    struct model_alias alias = {.evaluate_target_health = option(words, "evaluate") != NULL};
    const char *target = option(words, "alias");
    if (target != NULL) {
        const char *slash = strchr(target, '/');
        if (slash == NULL) {
            return -EINVAL;
        }
        char *zone_id = arena_memdup(arena, target, (size_t)(slash - target));
        alias.zone_id = zone_id;
        alias.name = slash + 1;
        record.alias = &alias;
    }
    const char *values[WORD_LIMIT];
    char *rest = NULL;
    for (char *value = words->values != NULL ? strtok_r(words->values, "|\n", &rest) : NULL;
         value != NULL && record.value_count < WORD_LIMIT; value = strtok_r(NULL, "|\n", &rest)) {
        while (*value == ' ') {
            value++;
        }
        size_t length = strlen(value);
        while (length > 0 && value[length - 1] == ' ') {
            value[--length] = '\0';
        }
        values[record.value_count++] = value;
    }
    record.values = values;
    struct err err = ERR_INIT;
    return zone_database_put_record(database, &record, &err);
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void set_status(struct zone_database *database, struct words *words)
{
    qsort(words->word + 1, words->count - 1, sizeof words->word[0], compare_ids);
    struct model_status *status =
        memory_new(sizeof *status + words->count * sizeof status->entries[0]);
    status->count = words->count - 1;
    for (size_t i = 0; i < status->count; i++) {
        status->entries[i] =
            (struct model_status_entry){.check_id = words->word[i + 1], .healthy = false};
    }
    (void)zone_database_set_status(database, status); /* the count is tested elsewhere */
    free(status);
}

static void sign(struct zone_database *database, const char *zone_id)
{
    struct err err = ERR_INIT;
    struct sign_key *keys[2];
    if (sign_key_generate(SIGN_ENTRY_KEY, &keys[0], &err) < 0 ||
        sign_key_generate(SIGN_ZONE_KEY, &keys[1], &err) < 0) {
        abort();
    }
    struct zone_signing signing = {.keys = keys, .count = 2};
    zone_database_set_signing(database, zone_id, &signing);
    sign_key_unref(keys[0]);
    sign_key_unref(keys[1]);
}

static int run_signing(struct zone_database *database, const struct words *words)
{
    const char *verb = words->word[0];
    if (text_equal(verb, "sign") && words->count == 2) {
        sign(database, words->word[1]);
        return 0;
    }
    if (text_equal(verb, "unsign") && words->count == 2) {
        zone_database_set_signing(database, words->word[1], NULL);
        return 0;
    }
    if (text_equal(verb, "refresh")) {
        int64_t later = 0;
        if (words->count > 1 && text_to_i64(words->word[1], -INT32_MAX, INT32_MAX, &later) < 0) {
            return -EINVAL;
        }
        struct wall now = {wall_now().ns + later * TIME_S};
        while (zone_database_refresh(database, now) == 0) {
        }
        return 0;
    }
    return -EINVAL;
}

static int run(struct zone_database *database, struct words *words, struct arena *arena)
{
    const char *verb = words->word[0];
    if (text_equal(verb, "zone") && words->count >= 3) {
        int64_t created = 1;
        if (words->count > 3 && text_to_i64(words->word[3], 0, INT64_MAX, &created) < 0) {
            return -EINVAL;
        }
        struct model_zone zone = {
            .id = words->word[1], .name = words->word[2], .created_revision = created};
        zone_database_put_zone(database, &zone);
        return 0;
    }
    if (text_equal(verb, "record") && words->count >= 4) {
        return put_record(database, words, arena);
    }
    if (text_equal(verb, "delete") && words->count >= 4) {
        zone_database_delete_record(database, words->word[1], words->word[2],
                                    rr_type_from_text(words->word[3]),
                                    option_or_empty(words, "set"));
        return 0;
    }
    if (text_equal(verb, "delete-zone") && words->count == 2) {
        zone_database_delete_zone(database, words->word[1]);
        return 0;
    }
    if (text_equal(verb, "collection") && words->count >= 2) {
        return put_collection(database, words, arena);
    }
    if (text_equal(verb, "delete-collection") && words->count == 2) {
        zone_database_delete_collection(database, words->word[1]);
        return 0;
    }
    if (text_equal(verb, "status")) {
        set_status(database, words);
        return 0;
    }
    if (text_equal(verb, "mark")) {
        zone_database_mark(database);
        return 0;
    }
    if (text_equal(verb, "sweep")) {
        zone_database_sweep(database);
        return 0;
    }
    if (text_equal(verb, "publish")) {
        zone_database_publish(database);
        return 0;
    }
    return run_signing(database, words);
}

int test_zones_line(struct zone_database *database, const char *line)
{
    char *copy = memory_strdup(line);
    struct words words;
    split(copy, &words);
    struct arena arena;
    arena_init(&arena, 0);
    int r = words.count == 0 ? -EINVAL : run(database, &words, &arena);
    arena_done(&arena);
    free(copy);
    return r;
}
