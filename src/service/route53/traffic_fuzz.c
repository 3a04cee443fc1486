/* Fuzzes the reading of traffic policy documents and what they are compiled to: a document is
 * refused as such, or becomes record sets within the limits, each of which the model takes again as
 * it is stored. Run by libFuzzer, and over its corpus in the ordinary tests. */
#include "service/route53/traffic.h"

#include "model/zone.h"

#include <stdlib.h>
#include <string.h>

#define DOCUMENT_LIMIT 102400U /* of the API */

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const struct traffic_records *records, struct arena *arena)
{
    if (records->count == 0 || records->count > TRAFFIC_RECORDS_LIMIT) {
        abort();
    }
    for (size_t i = 0; i < records->count; i++) {
        struct err err = ERR_INIT;
        struct model_record_set again;
        char *text = json_dumps(records->items[i].tree, JSON_COMPACT);
        if (text == NULL ||
            model_record_set_decode(text, strlen(text), "Z", arena, &again, &err) != 0 ||
            strcmp(again.name, records->items[i].model.name) != 0 ||
            again.policy != records->items[i].model.policy) {
            abort();
        }
        free(text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct service_context context; /* no region is ours */
    static const struct traffic_place place = {
        .zone_id = "Z", .zone_name = "example.", .name = "www.example.", .instance_id = "id"};
    struct arena arena;
    struct err err = ERR_INIT;
    struct traffic_document document;
    struct traffic_records records;
    if (size > DOCUMENT_LIMIT) {
        return 0;
    }
    arena_init(&arena, 0);
    struct aws_call call = {.arena = &arena, .context = &context};
    int rc = traffic_document_read(&call, arena_memdup(&arena, data, size), &document, &err);
    if (rc == 0) {
        rc = traffic_compile(&call, &document, &place, &records, &err);
    }
    if (rc == 0) {
        judge(&records, &arena);
    } else if (call.error_code == NULL ||
               strcmp(call.error_code, "InvalidTrafficPolicyDocument") != 0) {
        abort();
    }
    arena_done(&arena);
    return 0;
}
