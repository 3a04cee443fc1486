/* Hosted zones: decoding and encoding of their records; see zone.h. Called by services, the
 * daemon's compiler feed and the zone listing, on any thread. Strings are copied into the caller's
 * arena. Invariant: a decoded zone has an id and a canonical name. */
#include "model/zone.h"

#include "base/text.h"
#include "dns/wire/name.h"
#include "model/fields.h"

#include <string.h>

#define NAME_SERVERS_LIMIT 16U

static int read_zone(const json_t *object, struct arena *arena, struct model_zone *ret_zone,
                     struct err *err)
{
    struct model_zone zone = {.id = ""};
    const struct {
        const char *name;
        const char **text;
    } texts[] = {
        {"Id", &zone.id},
        {"Name", &zone.name},
        {"CallerReference", &zone.caller_reference},
        {"Comment", &zone.comment},
        {"DelegationSetId", &zone.delegation_set_id},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(texts); i++) {
        rc = fields_text(object, texts[i].name, arena, texts[i].text, err);
    }
    if (rc == 0) {
        rc = fields_texts(object, "NameServers", NAME_SERVERS_LIMIT, arena, &zone.name_servers,
                          &zone.name_server_count, err);
    }
    if (rc == 0) {
        rc = fields_integer(object, "RecordCount", 0, INT64_MAX, 0, &zone.record_count, err);
    }
    if (rc == 0) {
        rc = fields_integer(object, "Created", 0, INT64_MAX / 1000000000, 0, &zone.created_s, err);
    }
    if (rc != 0) {
        return rc;
    }
    char canonical[NAME_TEXT_LIMIT];
    if (zone.id[0] == '\0' || strlen(zone.id) > MODEL_ZONE_ID_LIMIT) {
        return err_set(err, ERR_CORRUPT, "Id is missing or too long");
    }
    if (name_canonical(zone.name, canonical) != 0 || !text_equal(canonical, zone.name)) {
        return err_set(err, ERR_CORRUPT, "Name is not a domain name in canonical form");
    }
    *ret_zone = zone;
    return 0;
}

int model_zone_decode(const void *value, size_t size, struct arena *arena,
                      struct model_zone *ret_zone, struct err *err)
{
    json_t *object = NULL;
    int rc = fields_parse(value, size, &object, err);
    if (rc == 0) {
        rc = read_zone(object, arena, ret_zone, err);
        json_decref(object);
    }
    return rc == 0 ? 0 : err_wrap(err, "hosted zone record");
}

json_t *model_zone_encode(const struct model_zone *zone)
{
    json_t *servers = json_array();
    for (size_t i = 0; i < zone->name_server_count; i++) {
        (void)json_array_append_new(servers, json_string(zone->name_servers[i])); /* see below */
    }
    /* A member that could not be made (memory) makes the pack fail: the caller checks for NULL. */
    json_t *object =
        json_pack("{s:i, s:s, s:s, s:s, s:I, s:I, s:o}", "v", MODEL_VERSION, "Id", zone->id, "Name",
                  zone->name, "CallerReference", zone->caller_reference, "RecordCount",
                  (json_int_t)zone->record_count, "Created", (json_int_t)zone->created_s,
                  "NameServers", servers);
    if (object != NULL && !text_empty(zone->comment)) {
        (void)json_object_set_new(object, "Comment", json_string(zone->comment));
    }
    if (object != NULL && !text_empty(zone->delegation_set_id)) {
        (void)json_object_set_new(object, "DelegationSetId", json_string(zone->delegation_set_id));
    }
    return object;
}
