/* Decoded checks: see check_record.h. */
#include "health/check_record.h"

#include "base/memory.h"
#include "base/text.h"

#include <stdlib.h>

/* A stored value is at most 512 KiB; its decoded form stays within a few times that. */
#define ARENA_LIMIT (4U << 20U)

int check_record_decode(const void *value, size_t size, const void *tags, size_t tags_size,
                        struct check_record **ret_record, struct err *err)
{
    struct check_record *record = memory_new(sizeof *record);
    arena_init(&record->arena, ARENA_LIMIT);
    int rc = model_check_decode(value, size, tags, tags_size, &record->arena, &record->check, err);
    if (rc != 0) {
        check_record_free(record);
        return rc;
    }
    if (model_arc_parse(record->check.routing_control, &record->control) != 0) {
        record->control.id[0] = '\0';
    }
    *ret_record = record;
    return 0;
}

void check_record_free(struct check_record *take_record)
{
    if (take_record != NULL) {
        arena_done(&take_record->arena);
        free(take_record);
    }
}

static bool same_text(const char *a, const char *b)
{
    return text_equal(a != NULL ? a : "", b != NULL ? b : "");
}

bool check_record_same_target(const struct check_record *a, const struct check_record *b)
{
    const struct model_check *x = &a->check;
    const struct model_check *y = &b->check;
    return x->type == y->type && x->port == y->port && x->enable_sni == y->enable_sni &&
           x->options.verify_tls == y->options.verify_tls &&
           same_text(x->ip_address, y->ip_address) && same_text(x->host_name, y->host_name) &&
           same_text(x->resource_path, y->resource_path) &&
           same_text(x->search_string, y->search_string);
}
