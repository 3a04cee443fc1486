/* Shared parts of the Route 53 handlers: see support.h. Called by every file of this room on API
 * threads; everything lives in the call's arena. Invariant: a page never holds more than was asked
 * for. */
#include "service/route53/support.h"

#include "base/random.h"
#include "base/text.h"
#include "model/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *route53_bare_id(const char *id)
{
    static const char *const prefixes[] = {"hostedzone/", "change/", "delegationset/",
                                           "healthcheck/"};
    const char *bare = id[0] == '/' ? id + 1 : id;
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
        if (text_starts(bare, prefixes[i])) {
            return bare + strlen(prefixes[i]);
        }
    }
    return id;
}

char *route53_new_id(struct aws_call *call, char initial, size_t length)
{
    char *id = arena_alloc(call->arena, length + 2);
    id[0] = initial;
    random_text(id + 1, length, ROUTE53_ID_ALPHABET);
    return id;
}

int route53_check_key(struct aws_call *call, const char *key, const char *member, struct err *err)
{
    if (strlen(key) > STORE_KEY_LIMIT) {
        return aws_error(call, err, "InvalidInput", "%s is too long when it is encoded", member);
    }
    return 0;
}

int route53_page_size(struct aws_call *call, const json_t *in, size_t limit, size_t *ret_size,
                      struct err *err)
{
    const char *text = route53_text(in, "MaxItems");
    int64_t size = (int64_t)limit;
    if (text[0] != '\0' && text_to_i64(text, 1, INT64_MAX, &size) != 0) {
        return aws_error(call, err, "InvalidInput",
                         "MaxItems must be a positive number, not '%.64s'", text);
    }
    *ret_size = MIN((size_t)size, limit);
    return 0;
}

int route53_page(struct aws_call *call, const char *prefix, const char *from, size_t size,
                 struct store_list *ret_list, struct err *err)
{
    struct store *store = service_context(call)->store;
    struct store_entry first;
    if (from == NULL) {
        return store_range(store, prefix, NULL, size + 1, call->arena, ret_list, err);
    }
    int rc = store_get(store, from, call->arena, &first, err);
    if (rc == -ENOENT) {
        err_clear(err);
        return store_range(store, prefix, from, size + 1, call->arena, ret_list, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct store_list rest;
    rc = store_range(store, prefix, from, size, call->arena, &rest, err);
    if (rc != 0) {
        return rc;
    }
    struct store_entry *entries = arena_array(call->arena, rest.count + 1, sizeof *entries);
    entries[0] = first;
    for (size_t i = 0; i < rest.count; i++) {
        entries[i + 1] = rest.entries[i];
    }
    *ret_list = (struct store_list){
        .entries = entries, .count = rest.count + 1, .more = rest.more, .revision = rest.revision};
    return 0;
}

/* A page, parsed and shown: items gets at most size of them, *ret_next is the tree behind them. */
static int page_show(struct aws_call *call, const char *prefix, const char *from, size_t size,
                     route53_show show, json_t *items, json_t **ret_next, struct err *err)
{
    struct store_list list;
    *ret_next = NULL;
    int rc = route53_page(call, prefix, from, size, &list, err);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        json_t *tree = NULL;
        rc = route53_parse(call, &list.entries[i], &tree, err);
        if (rc == 0 && i == size) {
            *ret_next = tree;
        } else if (rc == 0) {
            (void)json_array_append_new(items, show(tree));
        }
    }
    return rc;
}

int route53_list_by_id(struct aws_call *call, const json_t *in, const char *prefix,
                       const char *member, route53_show show, json_t **ret_out, struct err *err)
{
    const char *marker = route53_bare_id(route53_text(in, "Marker"));
    const char *from = marker[0] != '\0' ? path_join(call->arena, prefix, marker) : NULL;
    json_t *items = route53_keep(call, json_array());
    json_t *next = NULL;
    size_t size = 0;
    int rc = route53_page_size(call, in, ROUTE53_PAGE_LIMIT, &size, err);
    if (rc == 0) {
        rc = page_show(call, prefix, from, size, show, items, &next, err);
    }
    if (rc != 0) {
        return rc;
    }
    return route53_answer(json_pack("{s:O, s:s, s:b, s:s*, s:o}", member, items, "Marker", marker,
                                    "IsTruncated", next != NULL, "NextMarker",
                                    json_string_value(json_object_get(next, "Id")), "MaxItems",
                                    json_sprintf("%zu", size)),
                          ret_out, err);
}

int route53_transact(struct aws_call *call, transact_step step, void *state, struct err *err)
{
    return transact(call, step, state, "PriorRequestNotComplete",
                    "The request was rejected because Route 53 was still processing a prior "
                    "request.",
                    err);
}
