/* Typed reading of JSON members: see fields.h. Called by every decoder of this room, on any thread;
 * trees are borrowed, strings copied into the arena. Invariant: a result is written only when the
 * member is absent or of the right kind. */
#include "model/fields.h"

#include <errno.h>

void fields_release(json_t **json)
{
    json_decref(*json);
    *json = NULL;
}

int fields_parse(const void *value, size_t size, json_t **ret_object, struct err *err)
{
    json_error_t error;
    json_t *object = json_loadb(value, size, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL) {
        return err_set(err, ERR_CORRUPT, "not JSON: %.120s", error.text);
    }
    const json_t *version = json_object_get(object, "v");
    if (!json_is_object(object) || !json_is_integer(version) || json_integer_value(version) < 1) {
        json_decref(object);
        return err_set(err, ERR_CORRUPT, "not an object with a version");
    }
    *ret_object = object;
    return 0;
}

int fields_text(const json_t *object, const char *name, struct arena *arena, const char **ret_text,
                struct err *err)
{
    const json_t *member = json_object_get(object, name);
    if (member == NULL) {
        *ret_text = "";
        return 0;
    }
    if (!json_is_string(member)) {
        return err_set(err, ERR_CORRUPT, "%s is not a string", name);
    }
    const char *text =
        arena_try_memdup(arena, json_string_value(member), json_string_length(member));
    if (text == NULL) {
        return err_set(err, ERR_LIMIT, "%s is too long", name);
    }
    *ret_text = text;
    return 0;
}

int fields_integer(const json_t *object, const char *name, int64_t low, int64_t high,
                   int64_t fallback, int64_t *ret_value, struct err *err)
{
    const json_t *member = json_object_get(object, name);
    if (member == NULL) {
        *ret_value = fallback;
        return 0;
    }
    if (!json_is_integer(member)) {
        return err_set(err, ERR_CORRUPT, "%s is not a whole number", name);
    }
    int64_t value = json_integer_value(member);
    if (value < low || value > high) {
        return err_set(err, ERR_CORRUPT, "%s must be from %lld to %lld", name, (long long)low,
                       (long long)high);
    }
    *ret_value = value;
    return 0;
}

int fields_boolean(const json_t *object, const char *name, bool fallback, bool *ret_value,
                   struct err *err)
{
    const json_t *member = json_object_get(object, name);
    if (member != NULL && !json_is_boolean(member)) {
        return err_set(err, ERR_CORRUPT, "%s is not true or false", name);
    }
    *ret_value = member != NULL ? json_is_true(member) : fallback;
    return 0;
}

int fields_texts(const json_t *object, const char *name, size_t limit, struct arena *arena,
                 const char ***ret_texts, size_t *ret_count, struct err *err)
{
    const json_t *list = json_object_get(object, name);
    if (list == NULL) {
        *ret_texts = NULL;
        *ret_count = 0;
        return 0;
    }
    size_t count = json_array_size(list);
    if (!json_is_array(list) || count > limit) {
        return err_set(err, ERR_CORRUPT, "%s is not a list of at most %zu", name, limit);
    }
    const char **texts = arena_array(arena, count, sizeof *texts);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        if (!json_is_string(item)) {
            return err_set(err, ERR_CORRUPT, "%s holds something that is not a string", name);
        }
        texts[i] = arena_try_memdup(arena, json_string_value(item), json_string_length(item));
        if (texts[i] == NULL) {
            return err_set(err, ERR_LIMIT, "%s is too long", name);
        }
    }
    *ret_texts = texts;
    *ret_count = count;
    return 0;
}
