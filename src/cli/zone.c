/* `leeward zone import`: a zone file into a hosted zone, through Route 53's own API. See cli.h.
 *
 * The file is read and judged whole before anything is sent. Changes are UPSERTs in batches as
 * large as Route 53 takes: running it again after a failure ends in the same state. The zone's own
 * SOA and NS records stay as they are, as with Route 53's import. */
#include "base/random.h"
#include "base/text.h"
#include "cli/cli.h"
#include "dns/wire/name.h"
#include "dns/wire/rdata.h"
#include "dns/zonefile/zonefile.h"

#include <errno.h>
#include <string.h>

/* Of one request (Route 53's limits; an UPSERT counts twice). */
#define BATCH_RECORDS 500U
#define BATCH_CHARACTERS 16000U
#define TTL_LIMIT 2147483647U
#define NAMESPACE "https://route53.amazonaws.com/doc/2013-04-01/"

struct import {
    struct cli *cli;
    struct zonefile file;
    const char *name;    /* of the zone, canonical; NULL until it is known */
    const char *zone_id; /* NULL: there is none of that name yet */
    bool created;
    size_t sets; /* written, or to be written */
    size_t records;
    size_t changes;   /* requests */
    size_t apex_left; /* the zone's own SOA and NS */
};

static void put_escaped(struct buf *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        switch (*p) {
        case '&':
            buf_puts(out, "&amp;");
            break;
        case '<':
            buf_puts(out, "&lt;");
            break;
        case '>':
            buf_puts(out, "&gt;");
            break;
        default:
            buf_putc(out, *p); /* values are printable ASCII */
            break;
        }
    }
}

static void put_element(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, "<%s>", name);
    put_escaped(out, text);
    buf_printf(out, "</%s>", name);
}

/* ---- the zone ---- */

static const char *id_of(const char *path)
{
    return text_starts(path, "/hostedzone/") ? path + strlen("/hostedzone/") : path;
}

static enum cli_exit unexpected(struct cli *cli)
{
    cli_complain(cli, "the answer is not what was asked for: is it leewardd that answered?");
    return CLI_EXIT_FAILED;
}

/* A zone id is letters and digits; a name has a dot, or is written with one behind it. */
static bool is_zone_id(const char *text)
{
    size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
    return text[0] == 'Z' && text[length] == '\0' && length > 8;
}

static enum cli_exit name_of_id(struct import *import, const char *id)
{
    struct cli *cli = import->cli;
    struct aws_client_response response = {0};
    enum cli_exit code = cli_call_route53(
        cli, "GET", cli_target(cli, "/2013-04-01/hostedzone/", id, ""), NULL, &response);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    import->name = aws_client_text(&response, "GetHostedZoneResponse/HostedZone/Name", cli->arena);
    import->zone_id = id;
    return import->name != NULL ? CLI_EXIT_OK : unexpected(cli);
}

static enum cli_exit id_of_name(struct import *import)
{
    struct cli *cli = import->cli;
    struct aws_client_response response = {0};
    enum cli_exit code = cli_call_route53(
        cli, "GET",
        cli_target(cli, "/2013-04-01/hostedzonesbyname?dnsname=", import->name, "&maxitems=1"),
        NULL, &response);
    if (code != CLI_EXIT_OK) {
        return code;
    }
#define FIRST "ListHostedZonesByNameResponse/HostedZones/HostedZone/"
    const char *name = aws_client_text(&response, FIRST "Name", cli->arena);
    const char *id = aws_client_text(&response, FIRST "Id", cli->arena);
    const char *next =
        aws_client_text(&response, "ListHostedZonesByNameResponse/NextDNSName", cli->arena);
    if (name == NULL || id == NULL || !text_equal(name, import->name)) {
        return CLI_EXIT_OK; /* none: the list goes on with the names behind it */
    }
    if (next != NULL && text_equal(next, import->name)) {
        cli_complain(cli, "there are several hosted zones named %s: give the id of one",
                     import->name);
        return CLI_EXIT_USAGE;
    }
    import->zone_id = id_of(id);
    return CLI_EXIT_OK;
}

static enum cli_exit find_zone(struct import *import)
{
    const char *zone = id_of(import->cli->line.arguments[1]);
    char canonical[NAME_TEXT_LIMIT];
    if (is_zone_id(zone)) {
        return name_of_id(import, zone);
    }
    if (name_canonical(zone, canonical) != 0) {
        cli_complain(import->cli,
                     "ZONE cannot be '%.64s': it is neither a domain name nor the id "
                     "of a hosted zone",
                     zone);
        return CLI_EXIT_USAGE;
    }
    import->name = arena_strdup(import->cli->arena, canonical);
    return id_of_name(import);
}

static enum cli_exit create_zone(struct import *import)
{
    struct cli *cli = import->cli;
    struct aws_client_response response = {0};
    uint8_t noise[8];
    char reference[sizeof noise * 2 + 1];
    struct buf body CLEANUP(buf_done);
    buf_init(&body, 0);
    random_bytes(noise, sizeof noise);
    text_hex(noise, sizeof noise, reference);
    buf_puts(&body, "<CreateHostedZoneRequest xmlns=\"" NAMESPACE "\">");
    put_element(&body, "Name", import->name);
    put_element(&body, "CallerReference", reference);
    buf_puts(&body, "</CreateHostedZoneRequest>");
    enum cli_exit code = cli_call_route53(cli, "POST", "/2013-04-01/hostedzone", &body, &response);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    const char *id =
        aws_client_text(&response, "CreateHostedZoneResponse/HostedZone/Id", cli->arena);
    if (id == NULL) {
        return unexpected(cli);
    }
    import->zone_id = id_of(id);
    import->created = true;
    return CLI_EXIT_OK;
}

/* ---- the file ---- */

static enum cli_exit read_file(struct import *import)
{
    struct cli *cli = import->cli;
    const char *path = cli->line.arguments[0];
    bool standard = text_equal(path, "-");
    FILE *in = standard ? stdin : fopen(path, "re");
    struct err err = ERR_INIT;
    if (in == NULL) {
        IGNORE_RESULT(err_set_errno(&err, errno, "cannot open %s", path)); /* said here */
        cli_complain(cli, "%s", err.message);
        return CLI_EXIT_USAGE;
    }
    int rc = zonefile_read(in, import->name, cli->arena, &import->file, &err);
    if (!standard) {
        (void)fclose(in); /* only read from */
    }
    if (rc != 0) {
        cli_complain(cli, "%s: %s; nothing was written", path, err.message);
        return CLI_EXIT_USAGE;
    }
    return CLI_EXIT_OK;
}

static enum cli_exit judge_left(struct import *import)
{
    const struct zonefile *file = &import->file;
    if (file->left_count == 0 || cli_switch(import->cli, "skip-unsupported")) {
        return CLI_EXIT_OK;
    }
    for (size_t i = 0; i < file->left_count; i++) {
        cli_complain(import->cli,
                     "%zu record%s of type %s, first in line %u: Route 53 has no such "
                     "records",
                     file->left[i].count, file->left[i].count == 1 ? "" : "s", file->left[i].name,
                     file->left[i].line);
    }
    cli_complain(import->cli, "nothing was written; --skip-unsupported leaves these records out");
    return CLI_EXIT_USAGE;
}

/* ---- the changes ---- */

static bool is_own(const struct import *import, const struct zonefile_set *set)
{
    return (set->type == RR_SOA || set->type == RR_NS) && text_equal(set->name, import->name);
}

static size_t characters(const struct zonefile_set *set)
{
    size_t sum = 0;
    for (size_t i = 0; i < set->value_count; i++) {
        sum += strlen(set->values[i]);
    }
    return sum;
}

static void put_change(struct buf *out, const struct zonefile_set *set)
{
    char type[RR_TYPE_TEXT];
    rr_type_to_text(set->type, type);
    buf_puts(out, "<Change><Action>UPSERT</Action><ResourceRecordSet>");
    put_element(out, "Name", set->name);
    put_element(out, "Type", type);
    buf_printf(out, "<TTL>%u</TTL><ResourceRecords>", MIN(set->ttl_s, TTL_LIMIT));
    for (size_t i = 0; i < set->value_count; i++) {
        buf_puts(out, "<ResourceRecord>");
        put_element(out, "Value", set->values[i]);
        buf_puts(out, "</ResourceRecord>");
    }
    buf_puts(out, "</ResourceRecords></ResourceRecordSet></Change>");
}

/* Sends the sets from *at on that one request takes. */
static enum cli_exit send_batch(struct import *import, size_t *at, bool dry)
{
    struct cli *cli = import->cli;
    struct buf body CLEANUP(buf_done);
    size_t records = 0;
    size_t size = 0;
    buf_init(&body, 0);
    buf_puts(&body, "<ChangeResourceRecordSetsRequest xmlns=\"" NAMESPACE
                    "\"><ChangeBatch><Comment>leeward zone import</Comment><Changes>");
    while (*at < import->file.set_count) {
        const struct zonefile_set *set = &import->file.sets[*at];
        if (is_own(import, set)) {
            import->apex_left++;
        } else if (records != 0 && (records + set->value_count > BATCH_RECORDS ||
                                    size + characters(set) > BATCH_CHARACTERS)) {
            break;
        } else {
            put_change(&body, set);
            records += set->value_count;
            size += characters(set);
            import->sets++;
        }
        (*at)++;
    }
    import->records += records;
    buf_puts(&body, "</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>");
    if (records == 0 || dry) {
        return CLI_EXIT_OK;
    }
    import->changes++;
    struct aws_client_response response = {0};
    return cli_call_route53(cli, "POST",
                            cli_target(cli, "/2013-04-01/hostedzone/", import->zone_id, "/rrset/"),
                            &body, &response);
}

/* ---- what is said ---- */

static enum cli_exit report_json(const struct import *import, bool dry)
{
    size_t left = 0;
    for (size_t i = 0; i < import->file.left_count; i++) {
        left += import->file.left[i].count;
    }
    json_t *answer = json_pack(
        "{s:s?, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "HostedZoneId", import->zone_id,
        "Name", import->name, "Created", import->created, "DryRun", dry, "RecordSets",
        (json_int_t)import->sets, "Records", (json_int_t)import->records, "Changes",
        (json_int_t)import->changes, "ApexLeftOut", (json_int_t)import->apex_left, "DnssecLeftOut",
        (json_int_t)import->file.dnssec_count, "UnsupportedLeftOut", (json_int_t)left);
    cli_print_json(import->cli, answer);
    json_decref(answer);
    return CLI_EXIT_OK;
}

static enum cli_exit report(const struct import *import, bool dry)
{
    const struct zonefile *file = &import->file;
    if (cli_switch(import->cli, "json")) {
        return report_json(import, dry);
    }
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    buf_printf(&out, "%s %zu record sets (%zu records) into %s%s%s%s", dry ? "Would put" : "Put",
               import->sets, import->records, import->name,
               import->zone_id != NULL ? " (" : ", which would be made",
               import->zone_id != NULL ? import->zone_id : "", import->zone_id != NULL ? ")" : "");
    buf_puts(&out, import->created ? ", made for it.\n" : ".\n");
    if (import->apex_left != 0) {
        buf_puts(&out, "  The zone keeps its own SOA and NS records at its top.\n");
    }
    if (file->dnssec_count != 0) {
        buf_printf(&out, "  Left out: %zu records of DNSSEC; leewardd signs by itself.\n",
                   file->dnssec_count);
    }
    for (size_t i = 0; i < file->left_count; i++) {
        buf_printf(&out, "  Left out: %zu of type %s, first in line %u.\n", file->left[i].count,
                   file->left[i].name, file->left[i].line);
    }
    if (file->ttl_lowered != 0) {
        buf_printf(&out, "  %zu record sets had several times to live: the lowest counts.\n",
                   file->ttl_lowered);
    }
    return cli_print(import->cli, &out);
}

enum cli_exit cli_zone_import(struct cli *cli)
{
    struct import import = {.cli = cli};
    bool dry = cli_switch(cli, "dry-run");
    enum cli_exit code = find_zone(&import);
    if (code == CLI_EXIT_OK) {
        code = read_file(&import);
    }
    if (code == CLI_EXIT_OK) {
        code = judge_left(&import);
    }
    if (code == CLI_EXIT_OK && import.zone_id == NULL && !dry) {
        code = create_zone(&import);
    }
    size_t at = 0;
    while (code == CLI_EXIT_OK && at < import.file.set_count) {
        size_t from = at;
        code = send_batch(&import, &at, dry);
        if (code != CLI_EXIT_OK) {
            cli_complain(
                cli,
                "record sets %zu to %zu were refused (the first is %s, line %u); those before "
                "are in the zone. Importing again is safe",
                from + 1, at, import.file.sets[from].name, import.file.sets[from].line);
        }
    }
    return code != CLI_EXIT_OK ? code : report(&import, dry);
}
