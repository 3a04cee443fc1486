/* Reading and writing etcd's JSON: see json.h. Called by the etcd store's requests and watches, on
 * any thread; keeps nothing. Invariant: what comes from etcd is checked before it is believed. */
#include "store/etcd/json.h"

#include "base/text.h"

#include <inttypes.h>
#include <string.h>

/* More than the largest value that a store writes: others may have written behind the prefix. */
#define PAIR_LIMIT ((size_t)4 << 20U)
#define END_LIMIT 2048U

void json_put_bytes(struct buf *body, const char *name, const void *data, size_t size)
{
    buf_printf(body, "\"%s\":\"", name);
    text_base64(body, data, size);
    buf_putc(body, '"');
}

void json_put_key(struct buf *body, const char *name, const char *root, const char *key)
{
    char whole[END_LIMIT];
    size_t length = (size_t)snprintf(whole, sizeof whole, "%s%s", root, key); /* limits: fits */
    json_put_bytes(body, name, whole, MIN(length, sizeof whole - 1));
}

void json_put_number(struct buf *body, const char *name, int64_t number)
{
    buf_printf(body, "\"%s\":\"%" PRId64 "\"", name, number);
}

/* The first key behind all that start with root and prefix. The root does not end in 0xff. */
static void put_end(struct buf *body, const char *root, const char *prefix)
{
    char end[END_LIMIT];
    size_t length = (size_t)snprintf(end, sizeof end, "%s%s", root, prefix); /* limits: fits */
    length = MIN(length, sizeof end - 1);
    while (length > 0 && (unsigned char)end[length - 1] == 0xff) {
        length--;
    }
    end[length - 1]++;
    json_put_bytes(body, "range_end", end, length);
}

void json_put_range(struct buf *body, const char *root, const char *prefix, const char *after)
{
    char start[END_LIMIT];
    bool behind = after != NULL && strcmp(after, prefix) >= 0;
    size_t length =
        (size_t)snprintf(start, sizeof start, "%s%s", root, behind ? after : prefix); /* fits */
    length = MIN(length, sizeof start - 2);
    if (behind || prefix[0] == '\0') {
        start[length++] = '\0'; /* no key has a NUL: the next one */
    }
    json_put_bytes(body, "key", start, length);
    buf_putc(body, ',');
    put_end(body, root, prefix);
}

void json_put_all(struct buf *body, const char *root)
{
    json_put_key(body, "key", root, "");
    buf_putc(body, ',');
    put_end(body, root, "");
}

int64_t json_get_number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    int64_t number = 0;
    if (value == NULL) {
        return 0;
    }
    if (json_is_integer(value)) {
        return json_integer_value(value);
    }
    const char *text = json_string_value(value);
    return text != NULL && text_to_i64(text, INT64_MIN, INT64_MAX, &number) == 0 ? number : -1;
}

void json_pair_init(struct json_pair *pair)
{
    *pair = (struct json_pair){0};
    buf_init(&pair->key, PAIR_LIMIT);
    buf_init(&pair->value, PAIR_LIMIT);
    buf_keep_secret(&pair->value); /* some hold keys */
}

void json_pair_done(struct json_pair *pair)
{
    buf_done(&pair->key);
    buf_done(&pair->value);
}

static int get_bytes(const json_t *object, const char *name, struct buf *out)
{
    const json_t *value = json_object_get(object, name);
    buf_reset(out);
    if (value == NULL) {
        return 0;
    }
    const char *text = json_string_value(value);
    return text != NULL ? text_unbase64(text, json_string_length(value), out) : -1;
}

int json_get_pair(const json_t *object, const char *root, struct json_pair *pair, struct err *err)
{
    if (!json_is_object(object) || get_bytes(object, "key", &pair->key) != 0 ||
        get_bytes(object, "value", &pair->value) != 0) {
        return err_set(err, ERR_CORRUPT, "etcd sent a key or value that is not base64 text");
    }
    pair->entry = (struct store_entry){
        .value = buf_text(&pair->value),
        .size = pair->value.length,
        .created_revision = json_get_number(object, "create_revision"),
        .changed_revision = json_get_number(object, "mod_revision"),
        .version = json_get_number(object, "version"),
        .lease = json_get_number(object, "lease"),
    };
    if (pair->entry.changed_revision <= 0 || pair->entry.created_revision < 0 ||
        pair->entry.version < 0) {
        return err_set(err, ERR_CORRUPT, "etcd sent a key without its revision");
    }
    const char *key = buf_text(&pair->key);
    bool ours = strlen(key) == pair->key.length && text_starts(key, root) &&
                pair->key.length <= strlen(root) + STORE_KEY_LIMIT;
    pair->entry.key = ours ? key + strlen(root) : NULL;
    return 0;
}
