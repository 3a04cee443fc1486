/* Several small ranges of the etcd store at one moment: a transaction that only reads. Called
 * through store.h, on any thread; keeps nothing. Invariant: etcd reads all of a transaction at one
 * revision, and what reads a key is linearizable there as a range by itself is. */
#include "store/etcd/internal.h"
#include "store/etcd/json.h"

static void put_request(struct buf *body, const char *root, const char *const *prefixes,
                        size_t count)
{
    buf_puts(body, "{\"success\":[");
    for (size_t i = 0; i < count; i++) {
        buf_puts(body, i != 0 ? ",{\"request_range\":{" : "{\"request_range\":{");
        json_put_range(body, root, prefixes[i], NULL);
        buf_putc(body, ',');
        json_put_number(body, "limit", STORE_RANGES_ENTRIES);
        buf_puts(body, "}}");
    }
    buf_puts(body, "]}");
}

static int read_list(const json_t *range, const char *root, struct arena *arena,
                     struct store_list *list, struct err *err)
{
    struct store_list_builder builder = {0};
    struct json_pair pair;
    const json_t *pairs = json_object_get(range, "kvs");
    int rc = 0;
    json_pair_init(&pair);
    for (size_t i = 0; rc == 0 && i < json_array_size(pairs); i++) {
        rc = json_get_pair(json_array_get(pairs, i), root, &pair, err);
        if (rc == 0 && pair.entry.key != NULL) { /* else not a key of ours: left out */
            rc = store_list_add(&builder, arena, &pair.entry, err);
        }
    }
    json_pair_done(&pair);
    if (rc != 0) {
        store_list_abandon(&builder);
        return rc;
    }
    list->more = json_is_true(json_object_get(range, "more"));
    return store_list_finish(&builder, arena, list, err);
}

int etcd_ranges(struct store *store, const char *const *prefixes, size_t count, struct arena *arena,
                struct store_list *ret_lists, struct err *err)
{
    struct etcd_store *self = etcd_of(store);
    struct buf body CLEANUP(buf_done) = {0};
    buf_init(&body, ETCD_BODY_LIMIT);
    put_request(&body, self->root, prefixes, count);
    int rc = etcd_body_check(&body, err);
    if (rc != 0) {
        return rc;
    }
    struct gateway_request request = {.path = "/v3/kv/txn", .body = &body};
    json_t *answer = NULL;
    rc = gateway_call(&self->gateway, &request, &answer, err);
    if (rc != 0) {
        return rc;
    }
    const json_t *responses = json_object_get(answer, "responses");
    int64_t revision = json_get_number(json_object_get(answer, "header"), "revision");
    if (revision <= 0 || json_array_size(responses) != count) {
        rc = err_set(err, ERR_CORRUPT, "etcd's answer to %zu ranges is not what it answers", count);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const json_t *range = json_object_get(json_array_get(responses, i), "response_range");
        ret_lists[i] = (struct store_list){.revision = revision};
        rc = read_list(range, self->root, arena, &ret_lists[i], err);
    }
    json_decref(answer);
    return rc;
}
