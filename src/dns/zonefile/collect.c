/* Records into rows and rows into sets: see collect.h. A record goes through wire form into our own
 * text, because Route 53 writes bytes in octal. Invariant: `rows` holds exactly the records that
 * will be returned. */
#include "dns/zonefile/collect.h"

#include "base/memory.h"
#include "base/text.h"
#include "dns/wire/rdata.h"

#include <stdlib.h>
#include <string.h>

#define VALUE_LIMIT ((size_t)4 * RDATA_LIMIT + 1)

int collect_begin(struct collect *collect, const char *origin, struct arena *arena,
                  struct zonefile *result, struct err *err)
{
    *result = (struct zonefile){.sets = NULL};
    *collect = (struct collect){.arena = arena, .result = result};
    if (name_from_text(origin, true, collect->origin) < 0) {
        return err_set(err, ERR_INVALID, "%s isn't a domain name", origin);
    }
    collect->buffer = ldns_buffer_new(RDATA_LIMIT + 1);
    if (collect->buffer == NULL) {
        return err_set(err, ERR_MEMORY, "no memory to read records");
    }
    collect->text = memory_array(VALUE_LIMIT, 1);
    collect->wire = memory_array(RDATA_LIMIT, 1);
    return 0;
}

void collect_done(struct collect *collect)
{
    free(collect->rows);
    free(collect->text);
    free(collect->wire);
    ldns_buffer_free(collect->buffer);
    *collect = (struct collect){.rows = NULL};
}

static bool is_dnssec(uint16_t type)
{
    switch (type) {
    case RR_RRSIG:
    case RR_NSEC:
    case RR_DNSKEY:
    case LDNS_RR_TYPE_NSEC3:
    case LDNS_RR_TYPE_NSEC3PARAM:
    case LDNS_RR_TYPE_CDS:
    case LDNS_RR_TYPE_CDNSKEY:
    case LDNS_RR_TYPE_ZONEMD:
        return true;
    default:
        return false;
    }
}

static void leave_out(struct collect *collect, uint16_t type, unsigned line)
{
    struct zonefile *result = collect->result;
    size_t i = 0;
    while (i < result->left_count && result->left[i].type != type) {
        i++;
    }
    if (i == result->left_count) {
        if (i == ZONEFILE_LEFT_LIMIT) {
            i--; /* counted with the last one */
        } else {
            char *name = ldns_rr_type2str((ldns_rr_type)type);
            result->left[result->left_count++] = (struct zonefile_left){
                .type = type,
                .name = arena_strdup(collect->arena, name != NULL ? name : "?"),
                .line = line};
            free(name);
        }
    }
    result->left[i].count++;
}

/* The owner in lower case; NULL when it is not under the origin. */
static const uint8_t *owner_of(const struct collect *collect, const ldns_rr *rr)
{
    const ldns_rdf *owner = ldns_rr_owner(rr);
    size_t size = ldns_rdf_size(owner);
    uint8_t *name = arena_memdup(collect->arena, ldns_rdf_data(owner), size);
    for (size_t i = 0; i < size; i++) {
        name[i] = (uint8_t)text_lower((char)name[i]); /* lengths are below 'A' */
    }
    int length = name_check(name, size);
    return length > 0 && name_is_under(name, collect->origin) ? name : NULL;
}

int collect_read(struct collect *collect, const ldns_rr *rr, unsigned line,
                 enum collect_verdict *ret_verdict, struct collect_row *ret_row, struct err *err)
{
    uint16_t type = (uint16_t)ldns_rr_get_type(rr);
    struct collect_row row = {.type = type, .ttl_s = ldns_rr_ttl(rr), .line = line};
    if (ldns_rr_get_class(rr) != LDNS_RR_CLASS_IN) {
        return err_set(err, ERR_INVALID, "only records of class IN are known here");
    }
    row.name = owner_of(collect, rr);
    if (row.name == NULL) {
        return err_set(err, ERR_INVALID, "the record's name isn't in the zone that it is for");
    }
    if (is_dnssec(type)) {
        collect->result->dnssec_count++;
        *ret_verdict = COLLECT_DNSSEC;
        return 0;
    }
    ldns_buffer_clear(collect->buffer);
    if (ldns_rr_rdata2buffer_wire(collect->buffer, rr) != LDNS_STATUS_OK ||
        rdata_to_text(type, ldns_buffer_begin(collect->buffer),
                      ldns_buffer_position(collect->buffer), collect->text, VALUE_LIMIT) != 0) {
        return err_set(err, ERR_INVALID, "the record's data doesn't fit its type");
    }
    int rc = rdata_from_text(type, collect->text, collect->wire, RDATA_LIMIT, err);
    if (rc < 0 && err->kind != ERR_UNSUPPORTED) {
        return rc;
    }
    if (rc < 0) {
        err_clear(err);
        leave_out(collect, type, line);
        *ret_verdict = COLLECT_LEFT;
        return 0;
    }
    row.value = arena_strdup(collect->arena, collect->text);
    *ret_verdict = COLLECT_ROW;
    *ret_row = row;
    return 0;
}

int collect_add(struct collect *collect, struct collect_row row, struct err *err)
{
    if (collect->count == ZONEFILE_RECORDS_LIMIT) {
        return err_set(err, ERR_LIMIT, "more than %u records in one zone", ZONEFILE_RECORDS_LIMIT);
    }
    if (collect->count == collect->capacity) {
        collect->capacity = collect->capacity * 2 + 1024;
        collect->rows = memory_resize(collect->rows, collect->capacity, sizeof *collect->rows);
    }
    row.number = collect->count;
    collect->rows[collect->count++] = row;
    return 0;
}

const char *collect_name(const struct collect *collect, const uint8_t *wire)
{
    char name[NAME_TEXT_LIMIT];
    name_to_text(wire, true, name);
    return arena_strdup(collect->arena, name);
}

/* ---- rows into sets ---- */

static int compare_name(const uint8_t *a, const uint8_t *b)
{
    size_t length = name_length(a);
    size_t other = name_length(b);
    int order = memcmp(a, b, MIN(length, other));
    return order != 0 ? order : (length > other) - (length < other);
}

static int compare_rows(const void *left, const void *right)
{
    const struct collect_row *a = left;
    const struct collect_row *b = right;
    int order = compare_name(a->name, b->name);
    if (order == 0) {
        order = (a->type > b->type) - (a->type < b->type);
    }
    return order != 0 ? order : (a->number > b->number) - (a->number < b->number);
}

static bool same_set(const struct collect_row *a, const struct collect_row *b)
{
    return a->type == b->type && compare_name(a->name, b->name) == 0;
}

static bool has_value(const struct zonefile_set *set, const char *value)
{
    for (size_t i = 0; i < set->value_count; i++) {
        if (text_equal(set->values[i], value)) {
            return true;
        }
    }
    return false;
}

static struct zonefile_set make_set(struct collect *collect, const struct collect_row *rows,
                                    size_t count)
{
    struct zonefile_set set = {.name = collect_name(collect, rows[0].name),
                               .type = rows[0].type,
                               .ttl_s = rows[0].ttl_s,
                               .values = arena_array(collect->arena, count, sizeof(char *)),
                               .line = rows[0].line};
    bool differs = false;
    for (size_t i = 0; i < count; i++) {
        differs = differs || rows[i].ttl_s != set.ttl_s;
        set.ttl_s = MIN(set.ttl_s, rows[i].ttl_s);
        if (!has_value(&set, rows[i].value)) {
            set.values[set.value_count++] = rows[i].value;
        }
    }
    collect->result->ttl_lowered += differs ? 1U : 0U;
    collect->result->record_count += set.value_count;
    return set;
}

static int too_many_values(const struct collect_row *row, size_t count, struct err *err)
{
    char name[NAME_TEXT_LIMIT];
    char type[RR_TYPE_TEXT];
    name_to_text(row->name, true, name);
    rr_type_to_text(row->type, type);
    return err_set(err, ERR_LIMIT, "%.150s has %zu records of type %s, more than %u", name, count,
                   type, ZONEFILE_VALUES_LIMIT);
}

int collect_finish(struct collect *collect, struct err *err)
{
    struct zonefile *result = collect->result;
    size_t end = 0;
    if (collect->count == 0) {
        return 0;
    }
    qsort(collect->rows, collect->count, sizeof *collect->rows, compare_rows);
    result->sets = arena_array(collect->arena, collect->count, sizeof *result->sets);
    for (size_t at = 0; at < collect->count; at = end) {
        end = at + 1;
        while (end < collect->count && same_set(&collect->rows[at], &collect->rows[end])) {
            end++;
        }
        if (end - at > ZONEFILE_VALUES_LIMIT) {
            return too_many_values(&collect->rows[at], end - at, err);
        }
        result->sets[result->set_count++] = make_set(collect, collect->rows + at, end - at);
    }
    return 0;
}
