/* Change records: written beside every change to a zone, read by GetChange. Called by the handlers
 * that change zones, and as a handler; API threads. A change's id starts with the time of its
 * making in base 36, so the oldest records are the first keys, and a few expired ones are removed
 * with each new one: their number stays bounded by a week's changes.
 * Invariant: the record is created in the transaction of the change, so its created_revision is the
 * change's revision. It is INSYNC when every known DNS node has applied that revision; while no
 * node is known it is PENDING, as nobody serves it. */
#include "base/text.h"
#include "model/path.h"
#include "service/route53/handlers.h"
#include "service/route53/support.h"

#include <errno.h>
#include <string.h>

#define KEEP_S ((int64_t)7 * 24 * 3600)
#define REMOVE_AT_ONCE 8U
#define TIME_DIGITS 7U /* of base 36: enough for 2,000 years */
#define RANDOM_DIGITS 13U

/* "C" and the seconds, most significant digit first; '0' to '9' sort before 'A' to 'Z'. */
static void change_prefix(int64_t seconds, char out[TIME_DIGITS + 2])
{
    out[0] = 'C';
    out[TIME_DIGITS + 1] = '\0';
    for (size_t i = TIME_DIGITS; i > 0; i--) {
        int64_t digit = seconds % 36;
        out[i] = (char)(digit < 10 ? '0' + digit : 'A' + digit - 10);
        seconds /= 36;
    }
}

static int remove_expired(struct aws_call *call, struct store_txn *txn, struct err *err)
{
    struct store_list list;
    int rc = store_range(service_context(call)->store, PATH_CHANGES, NULL, REMOVE_AT_ONCE,
                         call->arena, &list, err);
    if (rc != 0) {
        return rc;
    }
    char oldest[TIME_DIGITS + 2];
    change_prefix(MAX(call->now.ns / TIME_S - KEEP_S, (int64_t)0), oldest);
    const char *limit = path_join(call->arena, PATH_CHANGES, oldest);
    for (size_t i = 0; i < list.count && strcmp(list.entries[i].key, limit) < 0; i++) {
        store_txn_delete(txn, list.entries[i].key);
    }
    return 0;
}

static json_t *change_info(const char *id, const char *status, const json_t *record)
{
    return json_pack("{s:s+, s:s, s:s, s:s*}", "Id", "/change/", id, "Status", status,
                     "SubmittedAt", route53_text(record, "SubmittedAt"), "Comment",
                     json_string_value(json_object_get(record, "Comment")));
}

int route53_change_put(struct aws_call *call, struct store_txn *txn, const char *comment,
                       json_t **ret_info, struct err *err)
{
    char prefix[TIME_DIGITS + 2];
    char submitted[TIME_TEXT];
    change_prefix(call->now.ns / TIME_S, prefix);
    const char *random = route53_new_id(call, 'R', RANDOM_DIGITS) + 1;
    const char *id = arena_printf(call->arena, "%s%s", prefix, random);
    wall_format_ms(call->now, submitted);
    json_t *record =
        route53_keep(call, json_pack("{s:i, s:s, s:s, s:s*}", "v", 1, "Id", id, "SubmittedAt",
                                     submitted, "Comment", comment[0] != '\0' ? comment : NULL));
    const char *key = path_join(call->arena, PATH_CHANGES, id);
    store_txn_require_absent(txn, key);
    int rc = route53_put(txn, key, record, err);
    if (rc == 0) {
        rc = remove_expired(call, txn, err);
    }
    if (rc == 0) {
        *ret_info = route53_keep(call, change_info(id, "PENDING", record));
    }
    return rc;
}

/* What one node has applied; -ENOENT when it serves no DNS. */
static int node_revision(struct aws_call *call, const char *node, int64_t *ret_revision,
                         struct err *err)
{
    struct store_entry entry;
    json_t *value = NULL;
    const char *key = arena_printf(call->arena, "%s/dns", node);
    int rc = store_get(service_context(call)->store, key, call->arena, &entry, err);
    if (rc == 0) {
        rc = route53_parse(call, &entry, &value, err);
    }
    if (rc == 0) {
        *ret_revision = json_integer_value(json_object_get(value, "Revision"));
    }
    return rc;
}

/* Walks the nodes, not their keys: a node may have thousands of latch records. */
int route53_served(struct aws_call *call, int64_t *ret_revision, struct err *err)
{
    const char *after = NULL;
    int64_t lowest = INT64_MAX;
    for (;;) {
        struct store_list list;
        int64_t applied = 0;
        int rc = store_range(service_context(call)->store, PATH_NODES, after, 1, call->arena, &list,
                             err);
        if (rc != 0) {
            return rc;
        }
        if (list.count == 0) {
            *ret_revision = lowest == INT64_MAX ? -1 : lowest;
            return 0;
        }
        const char *name = list.entries[0].key + strlen(PATH_NODES);
        const char *node =
            arena_printf(call->arena, PATH_NODES "%.*s", (int)strcspn(name, "/"), name);
        rc = node_revision(call, node, &applied, err);
        if (rc != 0 && rc != -ENOENT) {
            return rc;
        }
        lowest = rc == 0 ? MIN(lowest, applied) : lowest;
        err_clear(err);
        after = arena_printf(call->arena, "%s0", node); /* '0' is the character after '/' */
    }
}

int route53_get_change(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err)
{
    const char *id = route53_bare_id(route53_text(in, "Id"));
    const char *key = path_join(call->arena, PATH_CHANGES, id);
    struct store_entry entry;
    json_t *record = NULL;
    int rc = strlen(key) > STORE_KEY_LIMIT
                 ? -ENOENT
                 : store_get(service_context(call)->store, key, call->arena, &entry, err);
    if (rc == -ENOENT) {
        return aws_error(call, err, "NoSuchChange", "Could not find resource with ID: %.64s", id);
    }
    if (rc == 0) {
        rc = route53_parse(call, &entry, &record, err);
    }
    int64_t served = -1;
    if (rc == 0) {
        rc = route53_served(call, &served, err);
    }
    if (rc != 0) {
        return rc;
    }
    json_t *info = change_info(route53_text(record, "Id"),
                               served >= entry.created_revision ? "INSYNC" : "PENDING", record);
    return route53_answer(json_pack("{s:o}", "ChangeInfo", info), ret_out, err);
}
