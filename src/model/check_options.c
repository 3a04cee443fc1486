/* Leeward's options out of a health check's tags, and the decoding of stored checks; see check.h.
 * Called by service/route53 (ChangeTagsForResource, which refuses bad tags) and by health/ (which
 * leaves out what it does not know: a newer version may have written it), on any thread.
 * Invariant: options are zero or within the bounds that check.h names. */
#include "base/text.h"
#include "model/check.h"
#include "model/fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TAG_PREFIX "leeward:"

struct number_tag {
    const char *key;
    int64_t low;
    int64_t high;
};

enum { TAG_INTERVAL, TAG_TIMEOUT, TAG_FAILURES, TAG_SUCCESSES, NUMBER_TAGS };

static const struct number_tag number_tags[NUMBER_TAGS] = {
    [TAG_INTERVAL] = {"leeward:interval-ms", 100, 300000},
    [TAG_TIMEOUT] = {"leeward:timeout-ms", 10, 60000},
    [TAG_FAILURES] = {"leeward:failures-down", 1, 100},
    [TAG_SUCCESSES] = {"leeward:successes-up", 1, 100},
};

static void set_number(struct model_check_options *options, size_t tag, int64_t value)
{
    if (tag == TAG_INTERVAL) {
        options->interval_ms = value;
    } else if (tag == TAG_TIMEOUT) {
        options->timeout_ms = value;
    } else if (tag == TAG_FAILURES) {
        options->failures_down = (uint32_t)value;
    } else {
        options->successes_up = (uint32_t)value;
    }
}

/* One tag that starts with leeward:. */
static int apply_tag(const char *key, const char *value, struct model_check_options *options,
                     struct err *err)
{
    for (size_t i = 0; i < NUMBER_TAGS; i++) {
        const struct number_tag *tag = &number_tags[i];
        if (!text_equal(key, tag->key)) {
            continue;
        }
        int64_t number = 0;
        if (text_to_i64(value, tag->low, tag->high, &number) != 0) {
            return err_set(err, ERR_INVALID,
                           "Tag %s must be a number from %lld to %lld, not '%.64s'", key,
                           (long long)tag->low, (long long)tag->high, value);
        }
        set_number(options, i, number);
        return 0;
    }
    if (text_equal(key, "leeward:vote")) {
        if (!text_equal(value, "majority") && !text_equal(value, "route53")) {
            return err_set(err, ERR_INVALID, "Tag %s must be majority or route53, not '%.64s'", key,
                           value);
        }
        options->majority = text_equal(value, "majority");
        return 0;
    }
    bool *flag = text_equal(key, "leeward:latch")        ? &options->latch
                 : text_equal(key, "leeward:verify-tls") ? &options->verify_tls
                                                         : NULL;
    if (flag == NULL) {
        return err_set(err, ERR_INVALID, "Tag %.128s is none that Leeward knows", key);
    }
    if (!text_equal(value, "true") && !text_equal(value, "false")) {
        return err_set(err, ERR_INVALID, "Tag %s must be true or false, not '%.64s'", key, value);
    }
    *flag = text_equal(value, "true");
    return 0;
}

static int apply_tags(const json_t *tags, bool lenient, struct model_check_options *options,
                      struct err *err)
{
    size_t count = json_array_size(tags);
    for (size_t i = 0; i < count; i++) {
        const json_t *tag = json_array_get(tags, i);
        const char *key = json_string_value(json_object_get(tag, "Key"));
        const char *value = json_string_value(json_object_get(tag, "Value"));
        /* In any case: Leeward: would otherwise be kept and do nothing. */
        if (key == NULL || strncasecmp(key, TAG_PREFIX, sizeof TAG_PREFIX - 1) != 0) {
            continue;
        }
        if (apply_tag(key, value != NULL ? value : "", options, err) != 0 && !lenient) {
            return err->code;
        }
    }
    return 0;
}

int model_check_options_parse(const json_t *tags, struct model_check_options *ret_options,
                              struct err *err)
{
    struct model_check_options options = {0};
    int rc = apply_tags(tags, false, &options, err);
    if (rc == 0) {
        *ret_options = options;
    }
    return rc;
}

static int read_check(const json_t *object, struct arena *arena, struct model_check *check,
                      struct err *err)
{
    const json_t *config = json_object_get(object, "HealthCheckConfig");
    int rc = model_check_from_json(config, arena, check, err);
    if (rc == 0) {
        rc = fields_text(object, "Id", arena, &check->id, err);
    }
    if (rc == 0) {
        rc = fields_text(object, "CallerReference", arena, &check->caller_reference, err);
    }
    if (rc == 0) {
        rc = fields_integer(object, "HealthCheckVersion", 1, INT64_MAX, 1, &check->version, err);
    }
    if (rc == 0 && check->id[0] == '\0') {
        rc = err_set(err, ERR_CORRUPT, "Id is missing");
    }
    return rc;
}

int model_check_decode(const void *value, size_t size, const void *tags, size_t tags_size,
                       struct arena *arena, struct model_check *ret_check, struct err *err)
{
    json_t *object CLEANUP(fields_release) = NULL;
    json_t *tag_object CLEANUP(fields_release) = NULL;
    struct model_check check;
    int rc = fields_parse(value, size, &object, err);
    if (rc == 0) {
        rc = read_check(object, arena, &check, err);
    }
    if (rc == 0 && tags != NULL) {
        rc = fields_parse(tags, tags_size, &tag_object, err);
    }
    if (rc != 0) {
        return err_set(err, ERR_CORRUPT, "health check: %.200s", arena_strdup(arena, err->message));
    }
    if (tag_object != NULL) {
        struct err ignored = ERR_INIT;
        (void)apply_tags(json_object_get(tag_object, "Tags"), true, &check.options,
                         &ignored); /* lenient: it cannot fail */
    }
    *ret_check = check;
    return 0;
}
