/* Shared parts of the RDS handlers: see support.h. Called by every file of this room on API
 * threads; everything lives in the call's arena. Invariant: identifiers are in lower case below
 * this file, whatever a client wrote. */
#include "service/rds/support.h"

#include "base/buf.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define IDENTIFIER_LIMIT 63U
#define LONG_LIMIT 255U
#define MARKER_LIMIT 2048U
#define PAGE_LEAST 20
#define PAGE_MOST 100

/* ---- errors ---- */

int rds_invalid(struct aws_call *call, struct err *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = aws_error_list(call, err, "InvalidParameterValue", format, args);
    va_end(args);
    return rc;
}

int rds_combination(struct aws_call *call, struct err *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = aws_error_list(call, err, "InvalidParameterCombination", format, args);
    va_end(args);
    return rc;
}

/* ---- requests ---- */

int rds_integer(struct aws_call *call, const json_t *in, const char *member, int64_t low,
                int64_t high, int64_t fallback, int64_t *ret_value, struct err *err)
{
    const json_t *value = json_object_get(in, member);
    int64_t number = value != NULL ? json_integer_value(value) : fallback;
    if (value != NULL && (number < low || number > high)) {
        return rds_invalid(call, err,
                           "%s must be between %" PRId64 " and %" PRId64 ", unlike %" PRId64 ".",
                           member, low, high, number);
    }
    *ret_value = number;
    return 0;
}

const char *rds_lower(struct aws_call *call, const char *text)
{
    char *lower = arena_strdup(call->arena, text);
    for (char *c = lower; *c != '\0'; c++) {
        *c = text_lower(*c);
    }
    return lower;
}

static bool is_letter(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_identifier(const char *id, size_t limit)
{
    size_t length = strlen(id);
    if (!is_letter(id[0]) || length > limit || id[length - 1] == '-' || strstr(id, "--") != NULL) {
        return false;
    }
    return strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static int read_identifier(struct aws_call *call, const json_t *in, const char *member,
                           size_t limit, const char **ret_id, struct err *err)
{
    const char *id = rds_lower(call, tree_text(in, member));
    if (!is_identifier(id, limit)) {
        return rds_invalid(call, err,
                           "The parameter %s is not a valid identifier. Identifiers must begin "
                           "with a letter; must contain only ASCII letters, digits, and hyphens; "
                           "must not end with a hyphen or contain two consecutive hyphens; and "
                           "have at most %zu characters.",
                           member, limit);
    }
    *ret_id = id;
    return 0;
}

int rds_identifier(struct aws_call *call, const json_t *in, const char *member, const char **ret_id,
                   struct err *err)
{
    return read_identifier(call, in, member, IDENTIFIER_LIMIT, ret_id, err);
}

int rds_long_identifier(struct aws_call *call, const json_t *in, const char *member,
                        const char **ret_id, struct err *err)
{
    return read_identifier(call, in, member, LONG_LIMIT, ret_id, err);
}

json_t *rds_object(json_t *tree, const char *member)
{
    json_t *object = json_object_get(tree, member);
    if (!json_is_object(object)) {
        object = json_object();
        (void)json_object_set_new(tree, member, object); /* memory: writing the tree finds it */
    }
    return json_object_get(tree, member);
}

/* ---- names ---- */

static const struct {
    const char *name;
    const char *error;
    const char *noun;
} kinds[RDS_KINDS] = {
    [RDS_GLOBAL] = {"global-cluster", "GlobalClusterNotFoundFault", "Global cluster"},
    [RDS_CLUSTER] = {"cluster", "DBClusterNotFoundFault", "DBCluster"},
    [RDS_INSTANCE] = {"db", "DBInstanceNotFoundFault", "DBInstance"},
    [RDS_CLUSTER_PARAMETERS] = {"cluster-pg", "DBParameterGroupNotFoundFault",
                                "DBClusterParameterGroup"},
    [RDS_PARAMETERS] = {"pg", "DBParameterGroupNotFoundFault", "DBParameterGroup"},
    [RDS_SUBNETS] = {"subgrp", "DBSubnetGroupNotFoundFault", "DBSubnetGroup"},
    [RDS_SNAPSHOT] = {"cluster-snapshot", "DBClusterSnapshotNotFoundFault", "DBClusterSnapshot"},
};

const char *rds_kind_name(enum rds_kind kind)
{
    return kinds[kind].name;
}

const char *rds_arn(struct aws_call *call, enum rds_kind kind, const char *region, const char *id)
{
    return arena_printf(call->arena, "arn:aws:rds:%s:%s:%s:%s", region, call->account_id,
                        kinds[kind].name, id);
}

const char *rds_item_arn(struct aws_call *call, const struct rds_item *item)
{
    return rds_arn(call, item->kind, item->region, item->id);
}

/* The text up to the next ':', which *at is behind afterwards; NULL when there is none. */
static const char *piece(struct aws_call *call, const char **at)
{
    const char *colon = strchr(*at, ':');
    if (colon == NULL) {
        return NULL;
    }
    const char *text = arena_memdup(call->arena, *at, (size_t)(colon - *at));
    *at = colon + 1;
    return text;
}

bool rds_parse_arn(struct aws_call *call, const char *arn, enum rds_kind *ret_kind,
                   const char **ret_region, const char **ret_id)
{
    if (!text_starts(arn, "arn:aws:rds:")) {
        return false;
    }
    const char *at = arn + strlen("arn:aws:rds:");
    const char *region = piece(call, &at);
    const char *account = region != NULL ? piece(call, &at) : NULL;
    const char *kind = account != NULL ? piece(call, &at) : NULL;
    if (kind == NULL || !text_equal(account, call->account_id)) {
        return false;
    }
    for (enum rds_kind i = RDS_GLOBAL; i < RDS_KINDS; i++) {
        if (text_equal(kinds[i].name, kind)) {
            *ret_kind = i;
            *ret_region = region;
            *ret_id = rds_lower(call, at);
            return true;
        }
    }
    return false;
}

int rds_not_found(struct aws_call *call, enum rds_kind kind, const char *text, struct err *err)
{
    return aws_error(call, err, kinds[kind].error, "%s %.128s not found.", kinds[kind].noun, text);
}

int rds_named_anywhere(struct rds_world *world, enum rds_kind kind, const char *text,
                       struct rds_item **ret_item, struct err *err)
{
    struct aws_call *call = world->call;
    enum rds_kind named = kind;
    const char *region = kind == RDS_GLOBAL ? "" : call->region;
    const char *id = NULL;
    int rc = rds_load_kind(world, kind, err);
    if (rc != 0) {
        return rc;
    }
    if (!rds_parse_arn(call, text, &named, &region, &id)) {
        id = rds_lower(call, text);
    }
    struct rds_item *item = named == kind ? rds_find(world, kind, region, id) : NULL;
    if (item == NULL) {
        return rds_not_found(call, kind, text, err);
    }
    *ret_item = item;
    return 0;
}

int rds_named(struct rds_world *world, enum rds_kind kind, const char *text,
              struct rds_item **ret_item, struct err *err)
{
    struct rds_item *item = NULL;
    int rc = rds_named_anywhere(world, kind, text, &item, err);
    if (rc != 0 || item == NULL) {
        return rc;
    }
    if (kind != RDS_GLOBAL && !text_equal(item->region, world->call->region)) {
        return rds_not_found(world->call, kind, text, err);
    }
    *ret_item = item;
    return 0;
}

/* ---- lists ---- */

static void release(void *shown)
{
    json_decref(shown);
}

void rds_shown_add(struct aws_call *call, struct rds_shown *list, const char *token,
                   json_t *take_shown)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity * 2 + PAGE_MOST;
        const char **tokens = arena_array(call->arena, capacity, sizeof *tokens);
        json_t **shown = arena_array(call->arena, capacity, sizeof(json_t *));
        for (size_t i = 0; i < list->count; i++) {
            tokens[i] = list->tokens[i];
            shown[i] = list->shown[i];
        }
        list->tokens = tokens;
        list->shown = shown;
        list->capacity = capacity;
    }
    arena_defer(call->arena, release, take_shown);
    list->tokens[list->count] = token;
    list->shown[list->count++] = take_shown;
}

bool rds_names(struct aws_call *call, const char *text, const char *id)
{
    enum rds_kind kind = RDS_CLUSTER;
    const char *region = NULL;
    const char *named = NULL;
    return text_equal_nocase(text, id) ||
           (rds_parse_arn(call, text, &kind, &region, &named) && text_equal_nocase(named, id) &&
            text_equal(region, call->region));
}

static bool passes_one(struct aws_call *call, const json_t *filter, const char *member,
                       const json_t *shown)
{
    const json_t *values = json_object_get(filter, "Values");
    for (size_t i = 0; i < json_array_size(values); i++) {
        const char *wanted = json_string_value(json_array_get(values, i));
        if (wanted != NULL && rds_names(call, wanted, tree_text(shown, member))) {
            return true;
        }
    }
    return false;
}

static const char *filter_member(const struct rds_filter *filters, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (text_equal(filters[i].name, name)) {
            return filters[i].member;
        }
    }
    return NULL;
}

static bool passes(struct aws_call *call, const json_t *in, const struct rds_filter *filters,
                   size_t count, const json_t *shown)
{
    const json_t *wanted = json_object_get(in, "Filters");
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        const json_t *filter = json_array_get(wanted, i);
        const char *member = filter_member(filters, count, tree_text(filter, "Name"));
        if (!passes_one(call, filter, member, shown)) {
            return false;
        }
    }
    return true;
}

static int judge_filters(struct aws_call *call, const json_t *in, const struct rds_filter *filters,
                         size_t count, struct err *err)
{
    const json_t *wanted = json_object_get(in, "Filters");
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        const json_t *filter = json_array_get(wanted, i);
        const char *name = tree_text(filter, "Name");
        if (filter_member(filters, count, name) == NULL) {
            return rds_invalid(call, err, "Unrecognized filter name: %.64s", name);
        }
        if (json_array_size(json_object_get(filter, "Values")) == 0) {
            return rds_combination(call, err, "The filter %.64s has no values.", name);
        }
    }
    return 0;
}

/* Where a page ended: the operation and the last one's token, in base64. */
static const char *make_marker(struct aws_call *call, const char *token)
{
    struct buf text;
    buf_init(&text, MARKER_LIMIT);
    const char *plain = arena_printf(call->arena, "%s/%s", call->operation, token);
    text_base64(&text, plain, strlen(plain));
    const char *marker = arena_strdup(call->arena, buf_text(&text));
    buf_done(&text);
    return marker;
}

/* The token in it: "" when there is none. What this operation has not made is refused. */
static int read_marker(struct aws_call *call, const json_t *in, const char **ret_token,
                       struct err *err)
{
    struct buf plain;
    const char *marker = tree_text(in, "Marker");
    const char *prefix = arena_printf(call->arena, "%s/", call->operation);
    if (marker[0] == '\0') {
        *ret_token = "";
        return 0;
    }
    buf_init(&plain, MARKER_LIMIT);
    int rc = text_unbase64(marker, strlen(marker), &plain);
    const char *text = rc == 0 ? arena_strdup(call->arena, buf_text(&plain)) : "";
    buf_done(&plain);
    if (!text_starts(text, prefix)) {
        return rds_invalid(call, err, "Invalid Marker: %.64s", marker);
    }
    *ret_token = text + strlen(prefix);
    return 0;
}

int rds_answer_page(struct aws_call *call, const json_t *in, const struct rds_shown *list,
                    const char *member, json_t **ret_out, struct err *err)
{
    int64_t most = PAGE_MOST;
    const char *after = "";
    const char *next = NULL;
    const char *last = "";
    int rc = rds_integer(call, in, "MaxRecords", PAGE_LEAST, PAGE_MOST, PAGE_MOST, &most, err);
    rc = rc == 0 ? read_marker(call, in, &after, err) : rc;
    if (rc != 0) {
        return rc;
    }
    json_t *items = json_array();
    for (size_t i = 0; i < list->count && next == NULL; i++) {
        if (after[0] != '\0' && strcmp(list->tokens[i], after) <= 0) {
            continue;
        }
        if (json_array_size(items) == (size_t)most) {
            next = make_marker(call, last);
        } else if (json_array_append(items, list->shown[i]) != 0) {
            json_decref(items);
            return err_set(err, ERR_MEMORY, "listing %s", member);
        }
        last = list->tokens[i];
    }
    return tree_answer(json_pack("{s:o, s:s*}", member, items, "Marker", next), ret_out, err);
}

int rds_answer_list(struct aws_call *call, const json_t *in, const struct rds_shown *list,
                    const char *member, const struct rds_filter *filters, size_t filter_count,
                    json_t **ret_out, struct err *err)
{
    struct rds_shown passed = {.count = 0};
    int rc = judge_filters(call, in, filters, filter_count, err);
    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        if (passes(call, in, filters, filter_count, list->shown[i])) {
            rds_shown_add(call, &passed, list->tokens[i], json_incref(list->shown[i]));
        }
    }
    return rc == 0 ? rds_answer_page(call, in, &passed, member, ret_out, err) : rc;
}
