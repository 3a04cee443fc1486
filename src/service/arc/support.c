/* Shared parts of the ARC handlers: see support.h. Called by every file of this room on API
 * threads; everything lives in the call's arena. Invariant: what a guard guards is only written
 * with the guard. */
#include "service/arc/support.h"

#include "base/hash.h"
#include "base/text.h"
#include "model/path.h"
#include "model/zone.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- errors ---- */

int arc_invalid(struct aws_call *call, struct err *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = aws_error_list(call, err, "ValidationException", format, args);
    va_end(args);
    return rc;
}

int arc_conflict(struct aws_call *call, struct err *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = aws_error_list(call, err, "ConflictException", format, args);
    va_end(args);
    return rc;
}

/* ---- resources ---- */

int arc_name(struct aws_call *call, const char *arn, enum model_arc_kind kind, const char *member,
             struct model_arc_name *ret_name, struct err *err)
{
    struct model_arc_name name = {.kind = MODEL_ARC_CLUSTER};
    if (model_arc_parse(arn, &name) != 0 || name.kind != kind) {
        return arc_invalid(call, err, "%s is not the ARN of a %s: '%.256s'", member,
                           model_arc_kind_name(kind), arn);
    }
    if (!text_equal(name.account, call->account_id)) {
        return change_not_found(call, &name, err);
    }
    *ret_name = name;
    return 0;
}

int arc_load_name(struct aws_call *call, const struct model_arc_name *name,
                  struct arc_item *ret_item, struct err *err)
{
    struct arc_item item = {.name = *name};
    struct store_entry entry;
    item.key = model_arc_key(call->arena, name->kind, name->panel, name->id);
    int rc = store_get(service_context(call)->store, item.key, call->arena, &entry, err);
    if (rc == -ENOENT) {
        return change_not_found(call, name, err);
    }
    if (rc == 0) {
        rc = tree_parse(call, &entry, &item.tree, err);
    }
    if (rc == 0) {
        item.revision = entry.changed_revision;
        *ret_item = item;
    }
    return rc;
}

int arc_load(struct aws_call *call, const char *arn, enum model_arc_kind kind, const char *member,
             struct arc_item *ret_item, struct err *err)
{
    struct model_arc_name name = {.kind = MODEL_ARC_CLUSTER};
    int rc = arc_name(call, arn, kind, member, &name, err);
    return rc == 0 ? arc_load_name(call, &name, ret_item, err) : rc;
}

int arc_load_member(struct aws_call *call, const json_t *in, const char *member,
                    enum model_arc_kind kind, struct arc_item *ret_item, struct err *err)
{
    return arc_load(call, tree_text(in, member), kind, member, ret_item, err);
}

const char *arc_arn(struct aws_call *call, enum model_arc_kind kind, const char *panel,
                    const char *id)
{
    return model_arc_arn(call->arena, call->account_id, kind, panel, id);
}

int arc_range(struct aws_call *call, const char *prefix, struct arc_list *ret_list, struct err *err)
{
    struct store_list list;
    int rc = store_range(service_context(call)->store, prefix, NULL, 0, call->arena, &list, err);
    if (rc != 0) {
        return rc;
    }
    struct arc_item *items = arena_array(call->arena, list.count + 1, sizeof *items);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        const char *id = path_tail(call->arena, list.entries[i].key, prefix);
        items[i].key = list.entries[i].key;
        items[i].revision = list.entries[i].changed_revision;
        rc = tree_parse(call, &list.entries[i], &items[i].tree, err);
        if (rc == 0 && text_copy(items[i].name.id, sizeof items[i].name.id, id) != 0) {
            rc = err_set(err, ERR_CORRUPT, "the key %s has no id", list.entries[i].key);
        }
    }
    *ret_list = (struct arc_list){.items = items, .count = list.count};
    return rc;
}

bool arc_name_taken(const struct arc_list *list, const char *name, const char *except)
{
    for (size_t i = 0; i < list->count; i++) {
        if (text_equal(tree_text(list->items[i].tree, "Name"), name) &&
            !text_equal(list->items[i].name.id, except)) {
            return true;
        }
    }
    return false;
}

/* ---- guards ---- */

/* *ret_key: the guard's, which txn compares. One that is not there must not come. */
static int require_guard(struct aws_call *call, struct store_txn *txn, const char *id,
                         const char **ret_key, struct err *err)
{
    const char *key = model_arc_guard(call->arena, id);
    struct store_entry guard = {.changed_revision = 0};
    int rc = store_get(service_context(call)->store, key, call->arena, &guard, err);
    if (rc != 0 && rc != -ENOENT) {
        return rc;
    }
    err_clear(err);
    store_txn_require_revision(txn, key, guard.changed_revision);
    *ret_key = key;
    return 0;
}

int arc_guard(struct aws_call *call, struct store_txn *txn, const char *id, struct err *err)
{
    static const char value[] = "{\"v\":1}";
    const char *key = NULL;
    int rc = require_guard(call, txn, id, &key, err);
    if (rc == 0) {
        store_txn_put(txn, key, value, sizeof value - 1);
    }
    return rc;
}

int arc_guard_drop(struct aws_call *call, struct store_txn *txn, const char *id, struct err *err)
{
    const char *key = NULL;
    int rc = require_guard(call, txn, id, &key, err);
    if (rc == 0) {
        store_txn_delete(txn, key);
    }
    return rc;
}

/* ---- idempotency ---- */

#define REQUEST_TEXT 17U

static void number_text(const char *text, char out[REQUEST_TEXT])
{
    static const struct hash_key plain = {.k0 = 0, .k1 = 0};
    (void)snprintf(out, REQUEST_TEXT, "%016" PRIx64, hash_bytes(&plain, text, strlen(text)));
}

/* What the request asks for, as a number: the same for the same request, and on all pages. */
static int request_text(const json_t *in, char out[REQUEST_TEXT], struct err *err)
{
    json_t *copy = json_deep_copy(in);
    static const char *const aside[] = {"ClientToken", "MaxResults", "NextToken"};
    for (size_t i = 0; i < ARRAY_SIZE(aside); i++) {
        (void)json_object_del(copy, aside[i]); /* it may be absent */
    }
    char *text = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(copy);
    if (text == NULL) {
        return err_set(err, ERR_MEMORY, "reading a request");
    }
    number_text(text, out);
    free(text);
    return 0;
}

int arc_token_find(struct aws_call *call, struct store_txn *txn, const json_t *in,
                   const char **ret_arn, struct err *err)
{
    const char *token = tree_text(in, "ClientToken");
    char request[REQUEST_TEXT];
    struct store_entry entry;
    json_t *tree = NULL;
    *ret_arn = NULL;
    if (token[0] == '\0') {
        return 0;
    }
    const char *key = path_join(call->arena, PATH_ARC_TOKENS, token);
    int rc = store_get(service_context(call)->store, key, call->arena, &entry, err);
    if (rc == -ENOENT) {
        err_clear(err);
        store_txn_require_absent(txn, key);
        return 0;
    }
    if (rc == 0) {
        rc = tree_parse(call, &entry, &tree, err);
    }
    if (rc == 0) {
        rc = request_text(in, request, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (!text_equal(tree_text(tree, "Operation"), call->operation) ||
        !text_equal(tree_text(tree, "Request"), request)) {
        return arc_conflict(call, err,
                            "The client token %.64s was used for another request already.", token);
    }
    *ret_arn = tree_text(tree, "Arn");
    return 0;
}

int arc_token_put(struct aws_call *call, struct store_txn *txn, const json_t *in, const char *arn,
                  json_t *tree, struct err *err)
{
    const char *token = tree_text(in, "ClientToken");
    char request[REQUEST_TEXT];
    if (token[0] == '\0') {
        return 0;
    }
    int rc = request_text(in, request, err);
    if (rc == 0 && json_object_set_new(tree, "Token", json_string(token)) != 0) {
        rc = err_set(err, ERR_MEMORY, "keeping a client token");
    }
    if (rc != 0) {
        return rc;
    }
    json_t *value =
        tree_keep(call, json_pack("{s:i, s:s, s:s, s:s}", "v", MODEL_VERSION, "Operation",
                                  call->operation, "Request", request, "Arn", arn));
    return tree_put(txn, path_join(call->arena, PATH_ARC_TOKENS, token), value, err);
}

void arc_token_drop(struct aws_call *call, struct store_txn *txn, const json_t *tree)
{
    const char *token = tree_text(tree, "Token");
    if (token[0] != '\0') {
        store_txn_delete(txn, path_join(call->arena, PATH_ARC_TOKENS, token));
    }
}

/* ---- transactions ---- */

/* Whether the model has ConflictException for the operation. */
static bool may_conflict(const struct aws_call *call)
{
    static const char *const without[] = {"CreateSafetyRule", "UpdateSafetyRule",
                                          "DeleteSafetyRule", "TagResource", "UntagResource"};
    for (size_t i = 0; i < ARRAY_SIZE(without); i++) {
        if (text_equal(call->operation, without[i])) {
            return false;
        }
    }
    return true;
}

int arc_transact(struct aws_call *call, transact_step step, void *state, struct err *err)
{
    return transact(call, step, state,
                    may_conflict(call) ? "ConflictException" : "InternalServerException",
                    "Conflict occurred while attempting to change the same resource by multiple "
                    "requests at the same time. Please retry.",
                    err);
}

/* ---- paging ---- */

/* What tokens of this list begin with: a number of the operation and of what it was asked for. */
static int list_mark(struct aws_call *call, const json_t *in, const char **ret_mark,
                     struct err *err)
{
    char request[REQUEST_TEXT];
    char mark[REQUEST_TEXT];
    int rc = request_text(in, request, err);
    if (rc == 0) {
        number_text(arena_printf(call->arena, "%s %s %s", call->service, call->operation, request),
                    mark);
        *ret_mark = arena_printf(call->arena, "%s-", mark);
    }
    return rc;
}

int arc_paginate(struct aws_call *call, const json_t *in, size_t standard, const void *list,
                 size_t count, arc_token_of token_of, struct arc_page *ret_page, struct err *err)
{
    const json_t *most = json_object_get(in, "MaxResults");
    const char *token = tree_text(in, "NextToken");
    size_t size = most != NULL ? (size_t)json_integer_value(most) : standard;
    size_t first = 0;
    const char *mark = "";
    int rc = list_mark(call, in, &mark, err);
    if (rc != 0) {
        return rc;
    }
    if (token[0] != '\0' && !text_starts(token, mark)) {
        return arc_invalid(call, err, "NextToken is none that this list has returned.");
    }
    const char *after = token[0] != '\0' ? token + strlen(mark) : "";
    while (first < count && after[0] != '\0' && strcmp(token_of(list, first), after) <= 0) {
        first++;
    }
    size_t end = MIN(count, first + MIN(size, standard));
    *ret_page = (struct arc_page){.first = first, .end = end};
    if (end < count) {
        ret_page->next = arena_printf(call->arena, "%s%s", mark, token_of(list, end - 1));
    }
    return 0;
}

static const char *token_of_item(const void *list, size_t index)
{
    return ((const struct arc_list *)list)->items[index].name.id;
}

#define PAGE 1000U

int arc_answer_list(struct aws_call *call, const json_t *in, const struct arc_list *list,
                    const char *member, arc_show show, json_t **ret_out, struct err *err)
{
    struct arc_page page = {.first = 0};
    int rc = arc_paginate(call, in, PAGE, list, list->count, token_of_item, &page, err);
    if (rc != 0) {
        return rc;
    }
    json_t *items = json_array();
    for (size_t i = page.first; i < page.end; i++) {
        if (json_array_append_new(items, show(call, list->items[i].tree)) != 0) {
            json_decref(items);
            return err_set(err, ERR_MEMORY, "listing %s", member);
        }
    }
    return tree_answer(json_pack("{s:o, s:s*}", member, items, "NextToken", page.next), ret_out,
                       err);
}
