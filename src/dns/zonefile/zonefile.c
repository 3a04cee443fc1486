/* Zone files through ldns: see zonefile.h. ldns reads one record after another (its escapes, $TTL,
 * $ORIGIN, parentheses); collect.c makes rows and sets of them. Invariant: an error leaves nothing
 * behind but what the arena holds. */
#include "dns/zonefile/zonefile.h"

#include "dns/zonefile/collect.h"

#include <stdbool.h>

struct reader {
    struct collect collect;
    struct err *err;
    bool ttl_given; /* by $TTL */
};

static int take_record(struct reader *reader, const ldns_rr *rr, unsigned line)
{
    enum collect_verdict verdict = COLLECT_LEFT;
    struct collect_row row;
    int rc = collect_read(&reader->collect, rr, line, &verdict, &row, reader->err);
    if (rc == 0 && verdict == COLLECT_ROW) {
        rc = collect_add(&reader->collect, row, reader->err);
    }
    return rc == 0 ? 0 : err_wrap(reader->err, "line %u", line);
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

int zonefile_read(FILE *in, const char *origin, struct arena *arena, struct zonefile *ret_zonefile,
                  struct err *err)
{
    struct reader reader = {.err = err};
    char text[NAME_TEXT_LIMIT];
    int rc = collect_begin(&reader.collect, origin, arena, ret_zonefile, err);
    if (rc == 0) {
        name_to_text(reader.collect.origin, false, text);
        rc = read_records(&reader, in, text);
    }
    if (rc == 0) {
        rc = collect_finish(&reader.collect, err);
    }
    collect_done(&reader.collect);
    return rc;
}
