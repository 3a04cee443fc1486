/* Transactions of the etcd store: one request each. Called through store.h, on any thread; keeps
 * nothing. Invariant: the request is sent once, so what etcd refused is not done later; what became
 * of one whose answer did not come is not known (ERR_UNAVAILABLE, ERR_TIMEOUT). */
#include "store/etcd/internal.h"
#include "store/etcd/json.h"
#include "store/txn.h"

#include <string.h>

int etcd_body_check(const struct buf *body, struct err *err)
{
    return buf_failed(body) ? err_set(err, ERR_MEMORY, "out of memory for a request to etcd") : 0;
}

static void put_compare(struct buf *body, const char *root, const struct store_compare *compare)
{
    buf_putc(body, '{');
    json_put_key(body, "key", root, compare->key);
    if (compare->type == STORE_COMPARE_PRESENT) {
        buf_puts(body, ",\"target\":\"CREATE\",\"result\":\"GREATER\",\"create_revision\":\"0\"}");
    } else {
        buf_puts(body, ",\"target\":\"MOD\",\"result\":\"EQUAL\",");
        json_put_number(body, "mod_revision", compare->revision);
        buf_putc(body, '}');
    }
}

static void put_op(struct buf *body, const char *root, const struct store_op *op)
{
    switch (op->type) {
    case STORE_OP_PUT:
        buf_puts(body, "{\"request_put\":{");
        json_put_key(body, "key", root, op->key);
        buf_putc(body, ',');
        json_put_bytes(body, "value", op->value, op->size);
        if (op->leased) {
            buf_putc(body, ',');
            json_put_number(body, "lease", op->lease);
        }
        break;
    case STORE_OP_DELETE:
        buf_puts(body, "{\"request_delete_range\":{");
        json_put_key(body, "key", root, op->key);
        break;
    case STORE_OP_DELETE_PREFIX:
    default:
        buf_puts(body, "{\"request_delete_range\":{");
        json_put_range(body, root, op->key, NULL);
        break;
    }
    buf_puts(body, "}}");
}

/* Reads the key, not its value: whose compare failed. */
static void put_look(struct buf *body, const char *root, const char *key)
{
    buf_puts(body, "{\"request_range\":{");
    json_put_key(body, "key", root, key);
    buf_puts(body, ",\"keys_only\":true}}");
}

static void put_transaction(struct buf *body, const char *root, const struct store_txn *txn)
{
    buf_puts(body, "{\"compare\":[");
    for (size_t i = 0; i < txn->compare_count; i++) {
        buf_puts(body, i != 0 ? "," : "");
        put_compare(body, root, &txn->compares[i]);
    }
    buf_puts(body, "],\"success\":[");
    for (size_t i = 0; i < txn->op_count; i++) {
        buf_puts(body, i != 0 ? "," : "");
        put_op(body, root, &txn->ops[i]);
    }
    if (txn->op_count == 0) {
        put_look(body, root, ""); /* without any operation etcd would answer from stale data */
    }
    buf_puts(body, "],\"failure\":[");
    for (size_t i = 0; i < txn->compare_count; i++) {
        buf_puts(body, i != 0 ? "," : "");
        put_look(body, root, txn->compares[i].key);
    }
    buf_puts(body, "]}");
}

/* Which compare failed: etcd read the keys at that moment. */
static int conflict(const struct store_txn *txn, const json_t *answer, struct err *err)
{
    const json_t *responses = json_object_get(answer, "responses");
    for (size_t i = 0; i < txn->compare_count; i++) {
        const json_t *range = json_object_get(json_array_get(responses, i), "response_range");
        int64_t revision =
            json_get_number(json_array_get(json_object_get(range, "kvs"), 0), "mod_revision");
        if (store_compare_check(&txn->compares[i], revision, err) != 0) {
            return err->code;
        }
    }
    return err_set(err, ERR_CONFLICT, "a key that the transaction compares was changed");
}

static size_t written_bytes(const struct store_txn *txn)
{
    size_t bytes = 0;
    for (size_t i = 0; i < txn->op_count; i++) {
        bytes += strlen(txn->ops[i].key) + txn->ops[i].size;
    }
    return bytes;
}

int etcd_compact_at(struct etcd_store *self, int64_t revision, struct err *err)
{
    struct buf body CLEANUP(buf_done) = {0};
    buf_init(&body, ETCD_BODY_LIMIT);
    buf_putc(&body, '{');
    json_put_number(&body, "revision", revision);
    buf_putc(&body, '}');
    struct gateway_request request = {.path = "/v3/kv/compaction", .body = &body};
    json_t *answer = NULL;
    int rc = gateway_call(&self->gateway, &request, &answer, err);
    json_decref(answer);
    return rc;
}

int etcd_commit(struct store *store, const struct store_txn *txn, int64_t *ret_revision,
                struct err *err)
{
    struct etcd_store *self = etcd_of(store);
    struct buf body CLEANUP(buf_done) = {0};
    buf_init(&body, ETCD_BODY_LIMIT);
    buf_keep_secret(&body); /* some values hold keys */
    put_transaction(&body, self->root, txn);
    int rc = etcd_body_check(&body, err);
    if (rc != 0) {
        return rc;
    }
    struct gateway_request request = {.path = "/v3/kv/txn", .body = &body, .once = true};
    json_t *answer = NULL;
    rc = gateway_call(&self->gateway, &request, &answer, err);
    if (rc != 0) {
        return rc;
    }
    int64_t revision = json_get_number(json_object_get(answer, "header"), "revision");
    if (revision <= 0) {
        rc = err_set(err, ERR_UNAVAILABLE, "etcd's answer to a transaction has no revision");
    } else if (!json_is_true(json_object_get(answer, "succeeded"))) {
        rc = conflict(txn, answer, err);
    } else {
        *ret_revision = revision;
    }
    json_decref(answer);
    int64_t compact = rc == 0 && txn->op_count != 0
                          ? history_add(&self->history, revision, written_bytes(txn))
                          : 0;
    if (compact != 0) {
        struct err ignored = ERR_INIT; /* somebody else did it, or the next time comes */
        IGNORE_RESULT(etcd_compact_at(self, compact, &ignored));
    }
    return rc;
}
