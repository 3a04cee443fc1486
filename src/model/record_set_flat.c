/* Record sets without a JSON tree: see record_set_flat.h. Called by model_record_set_decode on any
 * thread, for every record of a loading store, nearly all of which are simple ones; with a tree of
 * small allocations for each, the whole load took twice the processor time. Strings are copied into
 * the arena. Invariant: whatever is not plainly the expected form is left to the general decoder,
 * errors too. */
#include "model/record_set_flat.h"

#include "base/text.h"
#include "dns/wire/name.h"
#include "dns/wire/rdata.h"

#include <string.h>

#define VALUES_LIMIT 64U
#define DIGITS_LIMIT 9U /* of a number; those of ten may be too large */

/* What is left of the value. Nothing is read once it failed. */
struct flat {
    const char *at;
    const char *end;
    struct arena *arena;
};

/* Inlined, so that the comparison is one of words. */
static ALWAYS_INLINE bool take(struct flat *flat, const char *text, size_t size)
{
    if ((size_t)(flat->end - flat->at) < size || memcmp(flat->at, text, size) != 0) {
        return false;
    }
    flat->at += size;
    return true;
}

#define TAKE(flat, literal) take(flat, literal, sizeof(literal) - 1)

/* Printable ASCII but for '"' and '\\': a bit each. */
static ALWAYS_INLINE bool is_itself(char c)
{
    static const uint64_t bits[] = {UINT64_C(0xfffffffb00000000), UINT64_C(0x7fffffffefffffff), 0,
                                    0};
    uint8_t byte = (uint8_t)c;
    return (bits[byte / 64] >> byte % 64 & 1U) != 0;
}

/* A string without escapes, the quote in front of it read; also reads the one behind it. */
static const char *take_string(struct flat *flat)
{
    const char *start = flat->at;
    const char *at = start;
    while (at < flat->end && is_itself(*at)) {
        at++;
    }
    if (at == flat->end || *at != '"') { /* escapes, UTF-8, what JSON forbids */
        return NULL;
    }
    size_t size = (size_t)(at - start);
    char *text = arena_alloc(flat->arena, size + 1);
    (void)memcpy(text, start, size);
    text[size] = '\0';
    flat->at = at + 1;
    return text;
}

static bool take_number(struct flat *flat, uint32_t *ret_number)
{
    const char *start = flat->at;
    uint32_t number = 0;
    while (flat->at < flat->end && *flat->at >= '0' && *flat->at <= '9' &&
           (size_t)(flat->at - start) < DIGITS_LIMIT) {
        number = number * 10 + (uint32_t)(*flat->at++ - '0');
    }
    size_t digits = (size_t)(flat->at - start);
    *ret_number = number;
    return digits != 0 && (digits == 1 || *start != '0');
}

static bool take_values(struct flat *flat, struct model_record_set *record)
{
    const char *values[VALUES_LIMIT];
    size_t count = 0;
    do {
        if (count == VALUES_LIMIT || !TAKE(flat, "{\"Value\":\"") ||
            (values[count] = take_string(flat)) == NULL || !TAKE(flat, "}")) {
            return false;
        }
        count++;
    } while (TAKE(flat, ","));
    record->values = arena_array(flat->arena, count, sizeof *record->values);
    (void)memcpy(record->values, values, count * sizeof *values);
    record->value_count = count;
    return TAKE(flat, "]");
}

static bool take_name(struct flat *flat, struct model_record_set *record)
{
    const char *name = take_string(flat);
    char canonical[NAME_TEXT_LIMIT];
    if (name == NULL || name_canonical(name, canonical) != 0) {
        return false;
    }
    record->name = text_equal(name, canonical) ? name : arena_strdup(flat->arena, canonical);
    return true;
}

/* Types of which every value is fine here; the others are rare. */
static bool take_type(struct flat *flat, struct model_record_set *record)
{
#define TYPE(name) (TAKE(flat, #name "\"") && (record->type = RR_##name) != 0)
    return TYPE(A) || TYPE(AAAA) || TYPE(CNAME) || TYPE(MX) || TYPE(NS) || TYPE(PTR) || TYPE(SRV) ||
           TYPE(TXT);
#undef TYPE
}

/* One bit each, to see what was there, and what was there twice. */
enum member { MEMBER_NAME = 1, MEMBER_TYPE = 2, MEMBER_TTL = 4, MEMBER_VALUES = 8, MEMBER_V = 16 };

static bool take_member(struct flat *flat, struct model_record_set *record, unsigned *seen)
{
    unsigned member = 0;
    uint32_t version = 1;
    bool good = false;
    if (TAKE(flat, "\"Name\":\"")) {
        member = MEMBER_NAME;
        good = take_name(flat, record);
    } else if (TAKE(flat, "\"Type\":\"")) {
        member = MEMBER_TYPE;
        good = take_type(flat, record);
    } else if (TAKE(flat, "\"TTL\":")) {
        member = MEMBER_TTL;
        good = take_number(flat, &record->ttl_s);
    } else if (TAKE(flat, "\"ResourceRecords\":[")) {
        member = MEMBER_VALUES;
        good = take_values(flat, record);
    } else if (TAKE(flat, "\"v\":")) {
        member = MEMBER_V;
        good = take_number(flat, &version) && version != 0;
    }
    good = good && (*seen & member) == 0;
    *seen |= member;
    return good;
}

bool record_set_flat(const void *value, size_t size, const char *zone_id, struct arena *arena,
                     struct model_record_set *ret_record)
{
    const char *text = value;
    struct flat flat = {.at = text, .end = text + size, .arena = arena};
    struct model_record_set record = {.policy = MODEL_SIMPLE,
                                      .set_identifier = "",
                                      .health_check_id = "",
                                      .region = "",
                                      .traffic_instance_id = ""};
    unsigned seen = 0;
    if (!TAKE(&flat, "{")) {
        return false;
    }
    do {
        if (!take_member(&flat, &record, &seen)) {
            return false;
        }
    } while (TAKE(&flat, ","));
    if (!TAKE(&flat, "}") || flat.at != flat.end ||
        seen != (MEMBER_NAME | MEMBER_TYPE | MEMBER_TTL | MEMBER_VALUES | MEMBER_V)) {
        return false;
    }
    record.zone_id = arena_strdup(arena, zone_id);
    *ret_record = record;
    return true;
}
