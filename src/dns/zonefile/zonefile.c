/* Zone files through ldns: see zonefile.h. ldns reads one record after another (its escapes, $TTL,
 * $ORIGIN, parentheses); the record goes through wire form into our own text, because Route 53
 * writes bytes in octal. Invariant: `rows` holds exactly the records that will be returned. */
#include "dns/zonefile/zonefile.h"

#include "base/memory.h"
#include "base/text.h"
#include "dns/wire/name.h"
#include "dns/wire/rdata.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <ldns/ldns.h>

#define VALUE_LIMIT ((size_t)4 * RDATA_LIMIT + 1)

struct row {
    const uint8_t *name; /* wire, lower case, in the arena */
    const char *value;
    uint32_t ttl_s;
    uint16_t type;
    unsigned line;
    size_t number; /* in the order of the file */
};

struct reader {
    struct arena *arena;
    struct err *err;
    struct zonefile *result;
    uint8_t origin[NAME_WIRE_LIMIT];
    struct row *rows;
    size_t count;
    size_t capacity;
    char *text;          /* VALUE_LIMIT bytes: a value on its way */
    uint8_t *wire;       /* RDATA_LIMIT bytes */
    ldns_buffer *buffer; /* RDATA as ldns writes it */
    bool ttl_given;      /* by $TTL */
};

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

static void leave_out(struct reader *reader, uint16_t type, unsigned line)
{
    struct zonefile *result = reader->result;
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
                .name = arena_strdup(reader->arena, name != NULL ? name : "?"),
                .line = line};
            free(name);
        }
    }
    result->left[i].count++;
}

/* The owner in lower case; NULL when it is not under the origin. */
static const uint8_t *owner_of(struct reader *reader, const ldns_rr *rr)
{
    const ldns_rdf *owner = ldns_rr_owner(rr);
    size_t size = ldns_rdf_size(owner);
    uint8_t *name = arena_memdup(reader->arena, ldns_rdf_data(owner), size);
    for (size_t i = 0; i < size; i++) {
        name[i] = (uint8_t)text_lower((char)name[i]); /* lengths are below 'A' */
    }
    int length = name_check(name, size);
    return length > 0 && name_is_under(name, reader->origin) ? name : NULL;
}

static int add_row(struct reader *reader, struct row row)
{
    if (reader->count == ZONEFILE_RECORDS_LIMIT) {
        return err_set(reader->err, ERR_LIMIT, "line %u: more than %u records in one file",
                       row.line, ZONEFILE_RECORDS_LIMIT);
    }
    if (reader->count == reader->capacity) {
        reader->capacity = reader->capacity * 2 + 1024;
        reader->rows = memory_resize(reader->rows, reader->capacity, sizeof *reader->rows);
    }
    row.number = reader->count;
    reader->rows[reader->count++] = row;
    return 0;
}

/* The value as Route 53 would be sent it, in reader->text. */
static int value_of(struct reader *reader, const ldns_rr *rr, uint16_t type, unsigned line)
{
    ldns_buffer_clear(reader->buffer);
    if (ldns_rr_rdata2buffer_wire(reader->buffer, rr) != LDNS_STATUS_OK ||
        rdata_to_text(type, ldns_buffer_begin(reader->buffer), ldns_buffer_position(reader->buffer),
                      reader->text, VALUE_LIMIT) != 0) {
        return err_set(reader->err, ERR_INVALID, "line %u: the record's data doesn't fit its type",
                       line);
    }
    return 0;
}

static int take_record(struct reader *reader, const ldns_rr *rr, unsigned line)
{
    uint16_t type = (uint16_t)ldns_rr_get_type(rr);
    struct row row = {.type = type, .ttl_s = ldns_rr_ttl(rr), .line = line};
    if (ldns_rr_get_class(rr) != LDNS_RR_CLASS_IN) {
        return err_set(reader->err, ERR_INVALID, "line %u: only records of class IN are known here",
                       line);
    }
    row.name = owner_of(reader, rr);
    if (row.name == NULL) {
        return err_set(reader->err, ERR_INVALID,
                       "line %u: the record's name isn't in the zone that the file is for", line);
    }
    if (is_dnssec(type)) {
        reader->result->dnssec_count++;
        return 0;
    }
    int rc = value_of(reader, rr, type, line);
    if (rc != 0) {
        return rc;
    }
    struct err why = ERR_INIT;
    if (rdata_from_text(type, reader->text, reader->wire, RDATA_LIMIT, &why) < 0) {
        if (why.kind != ERR_UNSUPPORTED) {
            return err_set(reader->err, ERR_INVALID, "line %u: %s", line, why.message);
        }
        leave_out(reader, type, line);
        return 0;
    }
    row.value = arena_strdup(reader->arena, reader->text);
    return add_row(reader, row);
}

/* A SOA says how long records without a time of their own live, where no $TTL does (RFC 1035
 * section 3.3.13, before RFC 2308 gave the member another meaning). */
static uint32_t ttl_of_soa(const ldns_rr *rr)
{
    const ldns_rdf *minimum = ldns_rr_rdf(rr, 6);
    return minimum != NULL ? ldns_rdf2native_int32(minimum) : ZONEFILE_TTL_S;
}

static int refuse_line(struct reader *reader, ldns_status status, unsigned line)
{
    if (status == LDNS_STATUS_SYNTAX_INCLUDE) {
        return err_set(reader->err, ERR_INVALID,
                       "line %u: $INCLUDE isn't followed: put the files together first", line);
    }
    return err_set(reader->err, ERR_INVALID, "line %u: %s", line, ldns_get_errorstr_by_id(status));
}

static int read_records(struct reader *reader, FILE *in, const char *origin_text)
{
    uint32_t ttl = ZONEFILE_TTL_S;
    ldns_rdf *origin = ldns_dname_new_frm_str(origin_text);
    ldns_rdf *previous = NULL;
    int line = 1;
    int rc = 0;
    if (origin == NULL) {
        return err_set(reader->err, ERR_INVALID, "%s isn't a domain name", origin_text);
    }
    while (rc == 0 && !feof(in)) {
        ldns_rr *rr = NULL;
        int first = line;
        ldns_status status = ldns_rr_new_frm_fp_l(&rr, in, &ttl, &origin, &previous, &line);
        switch ((int)status) {
        case LDNS_STATUS_OK:
            rc = take_record(reader, rr, (unsigned)first);
            if (ldns_rr_get_type(rr) == LDNS_RR_TYPE_SOA && !reader->ttl_given) {
                ttl = ttl_of_soa(rr);
            }
            ldns_rr_free(rr);
            break;
        case LDNS_STATUS_SYNTAX_TTL:
            reader->ttl_given = true;
            break;
        case LDNS_STATUS_SYNTAX_EMPTY:
        case LDNS_STATUS_SYNTAX_ORIGIN:
            break;
        default:
            rc = refuse_line(reader, status, (unsigned)first);
            break;
        }
    }
    if (rc == 0 && ferror(in) != 0) {
        rc = err_set(reader->err, ERR_IO, "the file cannot be read");
    }
    ldns_rdf_deep_free(origin);
    ldns_rdf_deep_free(previous);
    return rc;
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
    const struct row *a = left;
    const struct row *b = right;
    int order = compare_name(a->name, b->name);
    if (order == 0) {
        order = (a->type > b->type) - (a->type < b->type);
    }
    return order != 0 ? order : (a->number > b->number) - (a->number < b->number);
}

static bool same_set(const struct row *a, const struct row *b)
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

static struct zonefile_set make_set(struct reader *reader, const struct row *rows, size_t count)
{
    char name[NAME_TEXT_LIMIT];
    name_to_text(rows[0].name, true, name);
    struct zonefile_set set = {.name = arena_strdup(reader->arena, name),
                               .type = rows[0].type,
                               .ttl_s = rows[0].ttl_s,
                               .values = arena_array(reader->arena, count, sizeof(char *)),
                               .line = rows[0].line};
    bool differs = false;
    for (size_t i = 0; i < count; i++) {
        differs = differs || rows[i].ttl_s != set.ttl_s;
        set.ttl_s = MIN(set.ttl_s, rows[i].ttl_s);
        if (!has_value(&set, rows[i].value)) {
            set.values[set.value_count++] = rows[i].value;
        }
    }
    reader->result->ttl_lowered += differs ? 1U : 0U;
    reader->result->record_count += set.value_count;
    return set;
}

static void make_sets(struct reader *reader)
{
    struct zonefile *result = reader->result;
    size_t end = 0;
    if (reader->count == 0) {
        return;
    }
    qsort(reader->rows, reader->count, sizeof *reader->rows, compare_rows);
    result->sets = arena_array(reader->arena, reader->count, sizeof *result->sets);
    for (size_t at = 0; at < reader->count; at = end) {
        end = at + 1;
        while (end < reader->count && same_set(&reader->rows[at], &reader->rows[end])) {
            end++;
        }
        result->sets[result->set_count++] = make_set(reader, reader->rows + at, end - at);
    }
}

int zonefile_read(FILE *in, const char *origin, struct arena *arena, struct zonefile *ret_zonefile,
                  struct err *err)
{
    *ret_zonefile = (struct zonefile){.sets = NULL};
    struct reader reader = {.arena = arena, .err = err, .result = ret_zonefile};
    if (name_from_text(origin, true, reader.origin) < 0) {
        return err_set(err, ERR_INVALID, "%s isn't a domain name", origin);
    }
    char text[NAME_TEXT_LIMIT];
    name_to_text(reader.origin, false, text);
    reader.buffer = ldns_buffer_new(RDATA_LIMIT + 1);
    if (reader.buffer == NULL) {
        return err_set(err, ERR_MEMORY, "no memory to read a zone file");
    }
    reader.text = memory_array(VALUE_LIMIT, 1);
    reader.wire = memory_array(RDATA_LIMIT, 1);
    int rc = read_records(&reader, in, text);
    if (rc == 0) {
        make_sets(&reader);
    }
    free(reader.rows);
    free(reader.text);
    free(reader.wire);
    ldns_buffer_free(reader.buffer);
    return rc;
}
