/* The etcd store: opening, reads and leases (commit.c and watch.c have the rest of the table).
 * Called through store.h, on any thread. Owns the gateway's connections and the count of history.
 * Invariant: every read is linearizable (etcd's default), and a range of several pages is read at
 * one revision. */
#include "store/etcd.h"

#include "base/memory.h"
#include "base/text.h"
#include "store/etcd/internal.h"
#include "store/etcd/json.h"
#include "store/txn.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_FIRST 128U               /* keys of a range's first page; */
#define PAGE_MOST 4096U               /* the next ones have as many as */
#define PAGE_BYTES ((size_t)1 << 20U) /* this holds */
#define PAIR_TEXT_LIMIT ((size_t)8 << 20U)
#define RANGE_TRIES 4 /* a range whose revision was compacted meanwhile starts anew */
#define PREFIX_LIMIT 128U

static int call(struct etcd_store *self, const char *path, const struct buf *body,
                json_t **ret_answer, struct err *err)
{
    int rc = etcd_body_check(body, err);
    if (rc != 0) {
        return rc;
    }
    struct gateway_request request = {.path = path, .body = body};
    return gateway_call(&self->gateway, &request, ret_answer, err);
}

/* ---- reads ---- */

static int etcd_get(struct store *store, const char *key, struct arena *arena,
                    struct store_entry *ret_entry, struct err *err)
{
    struct etcd_store *self = etcd_of(store);
    struct buf body CLEANUP(buf_done) = {0};
    buf_init(&body, ETCD_BODY_LIMIT);
    buf_putc(&body, '{');
    json_put_key(&body, "key", self->root, key);
    buf_putc(&body, '}');
    json_t *answer = NULL;
    int rc = call(self, "/v3/kv/range", &body, &answer, err);
    if (rc != 0) {
        return rc;
    }
    const json_t *found = json_array_get(json_object_get(answer, "kvs"), 0);
    struct json_pair pair;
    json_pair_init(&pair);
    if (found == NULL) {
        rc = err_set(err, ERR_NOT_FOUND, "the store has no key %.160s", key);
    } else {
        rc = json_get_pair(found, self->root, &pair, err);
        if (rc == 0 && pair.entry.key == NULL) {
            rc = err_set(err, ERR_CORRUPT, "etcd answered with another key than %.160s", key);
        }
    }
    if (rc == 0) {
        rc = store_entry_copy(arena, &pair.entry, ret_entry, err);
    }
    json_pair_done(&pair);
    json_decref(answer);
    return rc;
}

/* One page while it arrives. */
struct page {
    const char *root;
    struct arena *arena;
    struct store_list_builder *builder;
    size_t start; /* entries before this page */
    size_t bytes; /* keys and values of this page */
    struct json_pair pair;
    bool more;
    int64_t revision;
    struct err err; /* of an item that was refused */
};

static void page_begin(void *context)
{
    struct page *page = context;
    page->builder->count = page->start; /* an endpoint failed midway: the page comes again */
    page->bytes = 0;
    page->more = false;
    page->revision = 0;
    err_clear(&page->err);
}

static int page_item(void *context, const char *text, size_t size)
{
    struct page *page = context;
    json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    int rc = json_get_pair(object, page->root, &page->pair, &page->err);
    json_decref(object);
    if (rc == 0 && page->pair.entry.key != NULL) { /* else not a key of ours: left out */
        rc = store_list_add(page->builder, page->arena, &page->pair.entry, &page->err);
        page->bytes += page->pair.key.length + page->pair.value.length;
    }
    return rc;
}

static int page_message(void *context, const char *text, size_t size)
{
    struct page *page = context;
    json_t *answer = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    page->more = json_is_true(json_object_get(answer, "more"));
    page->revision = json_get_number(json_object_get(answer, "header"), "revision");
    json_decref(answer);
    return page->revision > 0
               ? 0
               : err_set(&page->err, ERR_CORRUPT, "etcd's answer to a range has no revision");
}

struct range {
    const char *prefix;
    const char *after;
    size_t limit;
    size_t page_keys;
    int64_t revision; /* of the first page; 0 before it */
    bool more;
};

static int read_page(struct etcd_store *self, struct range *range, struct page *page,
                     struct err *err)
{
    struct buf body CLEANUP(buf_done) = {0};
    buf_init(&body, ETCD_BODY_LIMIT);
    struct splitter_calls calls = {
        .begin = page_begin, .item = page_item, .message = page_message, .context = page};
    struct splitter splitter CLEANUP(splitter_done);
    splitter_init(&splitter, "\"kvs\"", 1, PAIR_TEXT_LIMIT, &calls);
    page->start = page->builder->count;
    const char *after =
        page->start != 0 ? page->builder->entries[page->start - 1].key : range->after;
    size_t wanted = range->page_keys;
    if (range->limit != 0) {
        wanted = MIN(wanted, range->limit - page->start);
    }
    buf_putc(&body, '{');
    json_put_range(&body, self->root, range->prefix, after);
    buf_putc(&body, ',');
    json_put_number(&body, "limit", (int64_t)wanted);
    if (range->revision != 0) {
        buf_putc(&body, ',');
        json_put_number(&body, "revision", range->revision);
    }
    buf_putc(&body, '}');
    struct gateway_request request = {.path = "/v3/kv/range", .body = &body, .splitter = &splitter};
    json_t *none = NULL;
    int rc = gateway_call(&self->gateway, &request, &none, err);
    if (rc != 0 && page->err.code != 0) {
        *err = page->err;
    }
    if (rc == 0 && range->revision == 0) {
        range->revision = page->revision;
    }
    range->more = page->more;
    size_t got = page->builder->count - page->start;
    if (rc == 0 && got != 0) {
        size_t fit = PAGE_BYTES / (page->bytes / got + 1);
        range->page_keys = MAX(MIN(fit, PAGE_MOST), 1);
    }
    return rc != 0 ? err->code : 0;
}

static int read_pages(struct etcd_store *self, struct range *range, struct page *page,
                      struct err *err)
{
    do {
        int rc = read_page(self, range, page, err);
        if (rc != 0) {
            return rc;
        }
        if (page->builder->count == page->start) {
            break; /* only keys that are not the store's are left */
        }
    } while (range->more && (range->limit == 0 || page->builder->count < range->limit));
    return 0;
}

/* bare saves nothing here: etcd sends what it sends. */
static int etcd_range(struct store *store, const char *prefix, const char *after, size_t limit,
                      bool bare, struct arena *arena, struct store_list *ret_list, struct err *err)
{
    struct etcd_store *self = etcd_of(store);
    (void)bare;
    struct store_list_builder builder = {0};
    struct page page = {.root = self->root, .arena = arena, .builder = &builder};
    struct range range = {0};
    json_pair_init(&page.pair);
    int rc = 0;
    for (int i = 0; i < RANGE_TRIES; i++) {
        range = (struct range){
            .prefix = prefix, .after = after, .limit = limit, .page_keys = PAGE_FIRST};
        builder.count = 0;
        err_clear(err);
        rc = read_pages(self, &range, &page, err);
        if (rc == 0 || err->kind != ERR_COMPACTED) {
            break;
        }
    }
    json_pair_done(&page.pair);
    if (rc != 0) {
        store_list_abandon(&builder);
        return err->kind == ERR_COMPACTED
                   ? err_set(err, ERR_UNAVAILABLE, "etcd is compacted faster than it is read")
                   : rc;
    }
    ret_list->more = range.more;
    ret_list->revision = range.revision;
    return store_list_finish(&builder, arena, ret_list, err);
}

static int etcd_count(struct store *store, const char *prefix, size_t *ret_count, struct err *err)
{
    struct etcd_store *self = etcd_of(store);
    struct buf body CLEANUP(buf_done) = {0};
    buf_init(&body, ETCD_BODY_LIMIT);
    buf_putc(&body, '{');
    json_put_range(&body, self->root, prefix, NULL);
    buf_puts(&body, ",\"count_only\":true}");
    json_t *answer = NULL;
    int rc = call(self, "/v3/kv/range", &body, &answer, err);
    if (rc != 0) {
        return rc;
    }
    int64_t count = json_get_number(answer, "count");
    json_decref(answer);
    if (count < 0) {
        return err_set(err, ERR_CORRUPT, "etcd's count of keys is no number");
    }
    *ret_count = (size_t)count;
    return 0;
}

static int etcd_revision(struct store *store, int64_t *ret_revision, struct err *err)
{
    struct etcd_store *self = etcd_of(store);
    struct buf body CLEANUP(buf_done) = {0};
    buf_init(&body, ETCD_BODY_LIMIT);
    buf_putc(&body, '{');
    json_put_key(&body, "key", self->root, "");
    buf_puts(&body, ",\"count_only\":true}");
    json_t *answer = NULL;
    int rc = call(self, "/v3/kv/range", &body, &answer, err);
    if (rc != 0) {
        return rc;
    }
    int64_t revision = json_get_number(json_object_get(answer, "header"), "revision");
    json_decref(answer);
    if (revision <= 0) {
        return err_set(err, ERR_CORRUPT, "etcd's answer has no revision");
    }
    *ret_revision = revision;
    return 0;
}

static uint64_t etcd_past(struct store *store)
{
    return atomic_load_explicit(&etcd_of(store)->gateway.seen_cluster, memory_order_relaxed);
}

static int etcd_compact(struct store *store, int64_t revision, struct err *err)
{
    struct etcd_store *self = etcd_of(store);
    if (revision <= 0) {
        return 0; /* there is nothing before the first */
    }
    int rc = etcd_compact_at(self, revision, err);
    if (rc != 0 && err->kind == ERR_COMPACTED) {
        err_clear(err); /* done already */
        rc = 0;
    }
    if (rc == 0) {
        history_drop(&self->history, revision);
    }
    return rc;
}

/* ---- leases ---- */

static int lease_call(struct etcd_store *self, const char *path, const char *name, int64_t number,
                      json_t **ret_answer, struct err *err)
{
    struct buf body CLEANUP(buf_done) = {0};
    buf_init(&body, ETCD_BODY_LIMIT);
    buf_putc(&body, '{');
    json_put_number(&body, name, number);
    buf_putc(&body, '}');
    return call(self, path, &body, ret_answer, err);
}

static int etcd_lease_grant(struct store *store, int64_t ttl_ms, int64_t *ret_lease,
                            struct err *err)
{
    json_t *answer = NULL;
    /* etcd counts whole seconds. A grant whose answer was lost expires by itself. */
    int rc =
        lease_call(etcd_of(store), "/v3/lease/grant", "TTL", (ttl_ms + 999) / 1000, &answer, err);
    if (rc != 0) {
        return rc;
    }
    int64_t lease = json_get_number(answer, "ID");
    json_decref(answer);
    if (lease == 0 || lease == -1) {
        return err_set(err, ERR_CORRUPT, "etcd granted a lease without an id");
    }
    *ret_lease = lease;
    return 0;
}

static int etcd_lease_keepalive(struct store *store, int64_t lease, struct err *err)
{
    json_t *answer = NULL;
    int rc = lease_call(etcd_of(store), "/v3/lease/keepalive", "ID", lease, &answer, err);
    if (rc != 0) {
        return rc;
    }
    int64_t ttl = json_get_number(json_object_get(answer, "result"), "TTL");
    json_decref(answer);
    return ttl > 0 ? 0 : store_lease_unknown(lease, err);
}

static int etcd_lease_revoke(struct store *store, int64_t lease, struct err *err)
{
    json_t *answer = NULL;
    int rc = lease_call(etcd_of(store), "/v3/lease/revoke", "ID", lease, &answer, err);
    json_decref(answer);
    return rc != 0 && err->kind == ERR_NOT_FOUND ? store_lease_unknown(lease, err) : rc;
}

/* ---- life ---- */

static void etcd_close(struct store *take_store)
{
    struct etcd_store *self = etcd_of(take_store);
    gateway_done(&self->gateway);
    history_done(&self->history);
    free(self->root);
    free(self);
}

static const struct store_backend etcd_backend = {
    .name = "etcd",
    .get = etcd_get,
    .range = etcd_range,
    .ranges = etcd_ranges,
    .count = etcd_count,
    .revision = etcd_revision,
    .past = etcd_past,
    .commit = etcd_commit,
    .watch_open = etcd_watch_open,
    .watch_next = etcd_watch_next,
    .watch_interrupt = etcd_watch_interrupt,
    .watch_close = etcd_watch_close,
    .compact = etcd_compact,
    .lease_grant = etcd_lease_grant,
    .lease_keepalive = etcd_lease_keepalive,
    .lease_revoke = etcd_lease_revoke,
    .close = etcd_close,
};

int store_etcd_open(const struct store_etcd_config *config, struct store **ret_store,
                    struct err *err)
{
    const char *root = text_empty(config->prefix) ? STORE_ETCD_PREFIX : config->prefix;
    if (!text_ends(root, "/") || strlen(root) > PREFIX_LIMIT) {
        return err_set(
            err, ERR_INVALID,
            "the prefix of the keys in etcd has at most %u bytes and ends in '/', unlike "
            "'%.80s'",
            PREFIX_LIMIT, root);
    }
    struct etcd_store *self = memory_new(sizeof *self);
    int rc = gateway_init(&self->gateway, config, err);
    if (rc != 0) {
        free(self);
        return rc;
    }
    self->base.backend = &etcd_backend;
    self->root = memory_strdup(root);
    history_init(&self->history);
    *ret_store = &self->base;
    return 0;
}
