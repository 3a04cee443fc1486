/* Decoding and encoding of records by their tables: see database_fields.h. Called by database.c on
 * any thread. Strings live in the caller's arena. Members are reached by their offsets and copied,
 * so a table that names the wrong kind is a programming error that the round trip's test finds. */
#include "model/database_fields.h"

#include "base/memory.h"
#include "base/text.h"
#include "base/time.h"
#include "model/database.h"
#include "model/fields.h"
#include "model/zone.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int read_object(const struct database_record *record, const json_t *object,
                       struct arena *arena, char *out, struct err *err);
static json_t *write_object(const struct database_record *record, const char *in);

/* ---- reading ---- */

static int read_number(const struct database_field *field, const json_t *object, char *at,
                       struct err *err)
{
    int64_t low = field->low;
    int64_t high = field->high;
    if (field->kind == DATABASE_FIELD_UINT32) {
        high = UINT32_MAX;
    } else if (field->kind == DATABASE_FIELD_UINT16) {
        high = UINT16_MAX;
    } else if (field->kind == DATABASE_FIELD_WALL) {
        low = INT64_MIN / TIME_MS;
        high = INT64_MAX / TIME_MS;
    }
    int64_t number = 0;
    int rc = fields_integer(object, field->name, low, high, MAX(low, 0), &number, err);
    if (field->kind == DATABASE_FIELD_WALL && json_object_get(object, field->name) == NULL) {
        number = 0;
    }
    if (rc != 0) {
        return rc;
    }
    uint32_t narrow = (uint32_t)number;
    uint16_t port = (uint16_t)number;
    struct wall when = {.ns = number * TIME_MS};
    switch (field->kind) {
    case DATABASE_FIELD_UINT32:
        (void)memcpy(at, &narrow, sizeof narrow);
        break;
    case DATABASE_FIELD_UINT16:
        (void)memcpy(at, &port, sizeof port);
        break;
    case DATABASE_FIELD_WALL:
        (void)memcpy(at, &when, sizeof when);
        break;
    case DATABASE_FIELD_TEXT:
    case DATABASE_FIELD_ID:
    case DATABASE_FIELD_INTEGER:
    case DATABASE_FIELD_BOOLEAN:
    case DATABASE_FIELD_NAME:
    case DATABASE_FIELD_LSN:
    case DATABASE_FIELD_HEX64:
    case DATABASE_FIELD_TEXTS:
    case DATABASE_FIELD_LIST:
        (void)memcpy(at, &number, sizeof number);
        break;
    }
    return 0;
}

static int parse_hex64(const char *text, uint64_t *ret_number)
{
    uint8_t bytes[8];
    if (text_unhex(text, bytes, sizeof bytes) != 0) {
        return -1;
    }
    uint64_t number = 0;
    for (size_t i = 0; i < sizeof bytes; i++) {
        number = number << 8U | bytes[i];
    }
    *ret_number = number;
    return 0;
}

/* Kinds that are stored as text. */
static int read_word(const struct database_field *field, const json_t *object, struct arena *arena,
                     char *at, struct err *err)
{
    const char *text = "";
    int rc = fields_text(object, field->name, arena, &text, err);
    if (rc != 0) {
        return rc;
    }
    uint64_t number = 0;
    bool number_wrong = !text_empty(text) &&
                        (field->kind == DATABASE_FIELD_LSN ? model_lsn_parse(text, &number) != 0
                                                           : parse_hex64(text, &number) != 0);
    const size_t pointer = sizeof(char *);
    switch (field->kind) {
    case DATABASE_FIELD_LSN:
    case DATABASE_FIELD_HEX64:
        if (number_wrong) {
            return err_set(err, ERR_CORRUPT, "%s %.32s is no number of its kind", field->name,
                           text);
        }
        (void)memcpy(at, &number, sizeof number);
        return 0;
    case DATABASE_FIELD_NAME:
        for (unsigned i = 0; i < field->name_count; i++) {
            if (text_equal(field->names[i], text)) {
                (void)memcpy(at, &i, sizeof i);
                return 0;
            }
        }
        return err_set(err, ERR_CORRUPT, "%s %.64s is unknown", field->name, text);
    case DATABASE_FIELD_ID:
        if (text_empty(text)) {
            return err_set(err, ERR_CORRUPT, "%s is missing", field->name);
        }
        (void)memcpy(at, &text, pointer);
        return 0;
    case DATABASE_FIELD_TEXT:
    case DATABASE_FIELD_INTEGER:
    case DATABASE_FIELD_UINT32:
    case DATABASE_FIELD_UINT16:
    case DATABASE_FIELD_BOOLEAN:
    case DATABASE_FIELD_WALL:
    case DATABASE_FIELD_TEXTS:
    case DATABASE_FIELD_LIST:
        break;
    }
    (void)memcpy(at, &text, pointer);
    return 0;
}

static int read_list(const struct database_field *field, const json_t *object, struct arena *arena,
                     char *out, struct err *err)
{
    const json_t *list = json_object_get(object, field->name);
    size_t count = json_array_size(list);
    if (list != NULL && (!json_is_array(list) || count > (size_t)field->high)) {
        return err_set(err, ERR_CORRUPT, "%s is not a list of at most %" PRId64, field->name,
                       field->high);
    }
    char *items = count == 0 ? NULL : arena_array(arena, count, field->item->size);
    for (size_t i = 0; i < count; i++) {
        int rc = read_object(field->item, json_array_get(list, i), arena,
                             items + i * field->item->size, err);
        if (rc != 0) {
            return err_wrap(err, "%s", field->name);
        }
    }
    (void)memcpy(out + field->offset, &items, sizeof items);
    (void)memcpy(out + field->count_offset, &count, sizeof count);
    return 0;
}

static int read_texts(const struct database_field *field, const json_t *object, struct arena *arena,
                      char *out, struct err *err)
{
    const char **texts = NULL;
    size_t count = 0;
    int rc = fields_texts(object, field->name, (size_t)field->high, arena, &texts, &count, err);
    if (rc == 0) {
        (void)memcpy(out + field->offset, &texts, sizeof texts);
        (void)memcpy(out + field->count_offset, &count, sizeof count);
    }
    return rc;
}

static int read_flag(const struct database_field *field, const json_t *object, char *at,
                     struct err *err)
{
    bool flag = false;
    int rc = fields_boolean(object, field->name, false, &flag, err);
    if (rc == 0) {
        (void)memcpy(at, &flag, sizeof flag);
    }
    return rc;
}

static int read_field(const struct database_field *field, const json_t *object, struct arena *arena,
                      char *out, struct err *err)
{
    switch (field->kind) {
    case DATABASE_FIELD_TEXT:
    case DATABASE_FIELD_ID:
    case DATABASE_FIELD_NAME:
    case DATABASE_FIELD_LSN:
    case DATABASE_FIELD_HEX64:
        return read_word(field, object, arena, out + field->offset, err);
    case DATABASE_FIELD_INTEGER:
    case DATABASE_FIELD_UINT32:
    case DATABASE_FIELD_UINT16:
    case DATABASE_FIELD_WALL:
        return read_number(field, object, out + field->offset, err);
    case DATABASE_FIELD_BOOLEAN:
        return read_flag(field, object, out + field->offset, err);
    case DATABASE_FIELD_TEXTS:
        return read_texts(field, object, arena, out, err);
    case DATABASE_FIELD_LIST:
        break;
    }
    return read_list(field, object, arena, out, err);
}

/* NOLINTNEXTLINE(misc-no-recursion): tables nest once at most */
static int read_object(const struct database_record *record, const json_t *object,
                       struct arena *arena, char *out, struct err *err)
{
    if (!json_is_object(object)) {
        return err_set(err, ERR_CORRUPT, "%s is not an object", record->what);
    }
    for (size_t i = 0; i < record->field_count; i++) {
        int rc = read_field(&record->fields[i], object, arena, out, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int database_record_decode(const struct database_record *record, const void *value, size_t size,
                           struct arena *arena, void *ret_struct, struct err *err)
{
    json_t *object CLEANUP(fields_release) = NULL;
    char *out CLEANUP(memory_cleanup) = memory_new(record->size);
    int rc = fields_parse(value, size, &object, err);
    rc = rc != 0 ? rc : read_object(record, object, arena, out, err);
    if (rc != 0) {
        return err_wrap(err, "%s", record->what);
    }
    (void)memcpy(ret_struct, out, record->size);
    return 0;
}

/* ---- writing ---- */

static json_t *write_number(const struct database_field *field, const char *at)
{
    int64_t number = 0;
    uint32_t narrow = 0;
    uint16_t port = 0;
    if (field->kind == DATABASE_FIELD_UINT32) {
        (void)memcpy(&narrow, at, sizeof narrow);
        number = narrow;
    } else if (field->kind == DATABASE_FIELD_UINT16) {
        (void)memcpy(&port, at, sizeof port);
        number = port;
    } else if (field->kind == DATABASE_FIELD_WALL) {
        struct wall when;
        (void)memcpy(&when, at, sizeof when);
        number = when.ns / TIME_MS;
    } else {
        (void)memcpy(&number, at, sizeof number);
    }
    return json_integer(number);
}

/* Messages of servers may have been cut within a character. */
static json_t *write_text(const char *word)
{
    json_t *text = json_string(word != NULL ? word : "");
    if (text == NULL) {
        char *mended CLEANUP(memory_cleanup) = memory_strdup(word);
        text_mend(mended);
        text = json_string(mended);
    }
    return text;
}

static json_t *write_word(const struct database_field *field, const char *at)
{
    char text[MODEL_LSN_TEXT];
    uint64_t number = 0;
    unsigned place = 0;
    const char *word = NULL;
    if (field->kind == DATABASE_FIELD_NAME) {
        (void)memcpy(&place, at, sizeof place);
        return place < field->name_count ? json_string(field->names[place]) : NULL;
    }
    if (field->kind == DATABASE_FIELD_LSN || field->kind == DATABASE_FIELD_HEX64) {
        (void)memcpy(&number, at, sizeof number);
        if (number == 0) {
            return json_string("");
        }
        if (field->kind == DATABASE_FIELD_LSN) {
            model_lsn_format(number, text);
            return json_string(text);
        }
        return json_sprintf("%016" PRIx64, number);
    }
    (void)memcpy(&word, at, sizeof word);
    return write_text(word);
}

static json_t *write_texts(const struct database_field *field, const char *in)
{
    const char *const *texts = NULL;
    size_t count = 0;
    (void)memcpy(&texts, in + field->offset, sizeof texts);
    (void)memcpy(&count, in + field->count_offset, sizeof count);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        if (json_array_append_new(list, write_text(texts[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* NOLINTNEXTLINE(misc-no-recursion): tables nest once at most */
static json_t *write_list(const struct database_field *field, const char *in)
{
    const char *items = NULL;
    size_t count = 0;
    (void)memcpy(&items, in + field->offset, sizeof items);
    (void)memcpy(&count, in + field->count_offset, sizeof count);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        if (json_array_append_new(list, write_object(field->item, items + i * field->item->size)) !=
            0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* NOLINTNEXTLINE(misc-no-recursion): tables nest once at most */
static json_t *write_field(const struct database_field *field, const char *in)
{
    bool flag = false;
    switch (field->kind) {
    case DATABASE_FIELD_TEXT:
    case DATABASE_FIELD_ID:
    case DATABASE_FIELD_NAME:
    case DATABASE_FIELD_LSN:
    case DATABASE_FIELD_HEX64:
        return write_word(field, in + field->offset);
    case DATABASE_FIELD_INTEGER:
    case DATABASE_FIELD_UINT32:
    case DATABASE_FIELD_UINT16:
    case DATABASE_FIELD_WALL:
        return write_number(field, in + field->offset);
    case DATABASE_FIELD_BOOLEAN:
        (void)memcpy(&flag, in + field->offset, sizeof flag);
        return json_boolean(flag);
    case DATABASE_FIELD_TEXTS:
        return write_texts(field, in);
    case DATABASE_FIELD_LIST:
        break;
    }
    return write_list(field, in);
}

/* NOLINTNEXTLINE(misc-no-recursion): tables nest once at most */
static json_t *write_object(const struct database_record *record, const char *in)
{
    json_t *object = json_object();
    for (size_t i = 0; i < record->field_count; i++) {
        const struct database_field *field = &record->fields[i];
        if (json_object_set_new(object, field->name, write_field(field, in)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

char *database_record_encode(const struct database_record *record, const void *object,
                             const struct model_stored *before, struct arena *arena)
{
    static const struct model_stored none = {NULL, 0};
    json_t *fresh = write_object(record, object);
    if (fresh != NULL && json_object_set_new(fresh, "v", json_integer(MODEL_VERSION)) != 0) {
        json_decref(fresh);
        fresh = NULL;
    }
    json_t *tree CLEANUP(fields_release) = model_keep(fresh, before != NULL ? before : &none);
    char *text CLEANUP(memory_cleanup) = tree != NULL ? json_dumps(tree, JSON_COMPACT) : NULL;
    return text != NULL ? arena_strdup(arena, text) : NULL;
}
