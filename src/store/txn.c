/* Building and checking transactions: see txn.h and store.h. Called by every room that writes, on
 * its own thread; a txn owns copies of everything in it. Invariant: once `error` is set nothing is
 * added any more, so memory stays within the limits. */
#include "store/txn.h"

#include "base/memory.h"
#include "base/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct store_txn *store_txn_new(void)
{
    struct store_txn *txn = memory_new(sizeof *txn);
    arena_init(&txn->arena, 0);
    arena_keep_secret(&txn->arena); /* some values hold keys */
    return txn;
}

void store_txn_free(struct store_txn *take_txn)
{
    if (take_txn == NULL) {
        return;
    }
    arena_done(&take_txn->arena);
    free(take_txn->compares);
    free(take_txn->ops);
    free(take_txn);
}

void store_txn_cleanup(struct store_txn **txn)
{
    store_txn_free(*txn);
}

int store_key_check(const char *key, struct err *err)
{
    assert(key != NULL);
    if (key[0] == '\0') {
        return err_set(err, ERR_INVALID, "a store key cannot be empty");
    }
    if (strnlen(key, STORE_KEY_LIMIT + 1) > STORE_KEY_LIMIT) {
        return err_set(err, ERR_LIMIT, "the store key %.64s... is longer than %u bytes", key,
                       STORE_KEY_LIMIT);
    }
    return 0;
}

int store_prefix_check(const char *prefix, struct err *err)
{
    assert(prefix != NULL);
    return prefix[0] == '\0' ? 0 : store_key_check(prefix, err);
}

int store_lease_unknown(int64_t lease, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "there is no lease %lld (it has expired or was revoked)",
                   (long long)lease);
}

/* Copies key and value into the transaction: false (and error set) when that passes a limit. */
static bool take(struct store_txn *txn, const char *key, const void *value, size_t size,
                 const char **ret_key, const void **ret_value)
{
    if (txn->error.code != 0) {
        return false;
    }
    if (txn->compare_count + txn->op_count == STORE_TXN_OPS_LIMIT) {
        (void)err_set(&txn->error, ERR_LIMIT,
                      "a transaction has at most %u compares and operations", STORE_TXN_OPS_LIMIT);
        return false;
    }
    if (size > STORE_VALUE_LIMIT) {
        (void)err_set(&txn->error, ERR_LIMIT, "the value of %.128s has %zu bytes, more than %u",
                      key, size, STORE_VALUE_LIMIT);
        return false;
    }
    size_t key_size = strlen(key);
    if (txn->bytes + key_size + size > STORE_TXN_BYTES_LIMIT) {
        (void)err_set(&txn->error, ERR_LIMIT,
                      "keys and values of a transaction have at most %u bytes",
                      STORE_TXN_BYTES_LIMIT);
        return false;
    }
    *ret_key = arena_try_memdup(&txn->arena, key, key_size);
    *ret_value = arena_try_memdup(&txn->arena, value, size);
    if (*ret_key == NULL || *ret_value == NULL) {
        (void)err_set(&txn->error, ERR_MEMORY,
                      "out of memory for a transaction"); /* returned by store_txn_check */
        return false;
    }
    txn->bytes += key_size + size;
    return true;
}

/* The next capacity of an array that STORE_TXN_OPS_LIMIT bounds. */
static size_t grown(size_t capacity)
{
    return capacity == 0 ? 8 : capacity * 2;
}

static void add_compare(struct store_txn *txn, enum store_compare_type type, const char *key,
                        int64_t revision)
{
    struct store_compare compare = {.type = type, .revision = revision};
    const void *none = NULL;
    if (txn->error.code != 0 || store_key_check(key, &txn->error) != 0 ||
        !take(txn, key, "", 0, &compare.key, &none)) {
        return;
    }
    if (txn->compare_count == txn->compare_capacity) {
        txn->compare_capacity = grown(txn->compare_capacity);
        txn->compares = memory_resize(txn->compares, txn->compare_capacity, sizeof compare);
    }
    txn->compares[txn->compare_count++] = compare;
}

static void add_op(struct store_txn *txn, struct store_op op)
{
    const char *key = op.key;
    const void *value = op.value != NULL ? op.value : "";
    if (txn->error.code != 0 || !take(txn, key, value, op.size, &op.key, &op.value)) {
        return;
    }
    if (txn->op_count == txn->op_capacity) {
        txn->op_capacity = grown(txn->op_capacity);
        txn->ops = memory_resize(txn->ops, txn->op_capacity, sizeof op);
    }
    txn->ops[txn->op_count++] = op;
}

/* add_op after looking at the key. */
static void add_key_op(struct store_txn *txn, struct store_op op)
{
    if (txn->error.code == 0 && store_key_check(op.key, &txn->error) == 0) {
        add_op(txn, op);
    }
}

void store_txn_require_absent(struct store_txn *txn, const char *key)
{
    add_compare(txn, STORE_COMPARE_REVISION, key, 0);
}

void store_txn_require_present(struct store_txn *txn, const char *key)
{
    add_compare(txn, STORE_COMPARE_PRESENT, key, 0);
}

void store_txn_require_revision(struct store_txn *txn, const char *key, int64_t changed_revision)
{
    add_compare(txn, STORE_COMPARE_REVISION, key, changed_revision);
}

void store_txn_put(struct store_txn *txn, const char *key, const void *value, size_t size)
{
    add_key_op(txn,
               (struct store_op){.type = STORE_OP_PUT, .key = key, .value = value, .size = size});
}

void store_txn_put_leased(struct store_txn *txn, const char *key, const void *value, size_t size,
                          int64_t lease)
{
    add_key_op(txn, (struct store_op){.type = STORE_OP_PUT,
                                      .key = key,
                                      .value = value,
                                      .size = size,
                                      .lease = lease,
                                      .leased = true});
}

void store_txn_delete(struct store_txn *txn, const char *key)
{
    add_key_op(txn, (struct store_op){.type = STORE_OP_DELETE, .key = key});
}

void store_txn_delete_prefix(struct store_txn *txn, const char *prefix)
{
    if (txn->error.code == 0 && store_prefix_check(prefix, &txn->error) == 0) {
        add_op(txn, (struct store_op){.type = STORE_OP_DELETE_PREFIX, .key = prefix});
    }
}

static int order_by_key(const void *a, const void *b)
{
    const struct store_op *const *left = a;
    const struct store_op *const *right = b;
    return strcmp((*left)->key, (*right)->key);
}

/* A put under the prefix, NULL when there is none; ops are sorted by key. */
static const struct store_op *put_under(const struct store_op *const *ops, size_t count,
                                        const char *prefix)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(ops[middle]->key, prefix) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < count && text_starts(ops[low]->key, prefix); low++) {
        if (ops[low]->type == STORE_OP_PUT) {
            return ops[low];
        }
    }
    return NULL;
}

static int find_twice(const struct store_txn *txn, const struct store_op **sorted, struct err *err)
{
    size_t count = 0;
    for (size_t i = 0; i < txn->op_count; i++) {
        if (txn->ops[i].type != STORE_OP_DELETE_PREFIX) {
            sorted[count++] = &txn->ops[i];
        }
    }
    qsort(sorted, count, sizeof(const struct store_op *), order_by_key);
    for (size_t i = 1; i < count; i++) {
        if (text_equal(sorted[i - 1]->key, sorted[i]->key)) {
            return err_set(err, ERR_INVALID, "the transaction writes the key %.160s twice",
                           sorted[i]->key);
        }
    }
    for (size_t i = 0; i < txn->op_count; i++) {
        const struct store_op *put = txn->ops[i].type == STORE_OP_DELETE_PREFIX
                                         ? put_under(sorted, count, txn->ops[i].key)
                                         : NULL;
        if (put != NULL) {
            return err_set(err, ERR_INVALID,
                           "the transaction writes the key %.96s and deletes its prefix %.96s",
                           put->key, txn->ops[i].key);
        }
    }
    return 0;
}

int store_txn_check(const struct store_txn *txn, struct err *err)
{
    if (txn->error.code != 0) {
        *err = txn->error;
        return err->code;
    }
    if (txn->op_count < 2) {
        return 0;
    }
    const struct store_op **sorted = memory_array(txn->op_count, sizeof(const struct store_op *));
    int rc = find_twice(txn, sorted, err);
    free(sorted);
    return rc;
}

int store_compare_check(const struct store_compare *compare, int64_t changed_revision,
                        struct err *err)
{
    if (compare->type == STORE_COMPARE_PRESENT) {
        return changed_revision != 0
                   ? 0
                   : err_set(err, ERR_CONFLICT, "the key %.160s does not exist", compare->key);
    }
    if (compare->revision == changed_revision) {
        return 0;
    }
    if (compare->revision == 0) {
        return err_set(err, ERR_CONFLICT, "the key %.160s exists already", compare->key);
    }
    if (changed_revision == 0) {
        return err_set(err, ERR_CONFLICT, "the key %.160s does not exist any more", compare->key);
    }
    return err_set(err, ERR_CONFLICT,
                   "the key %.120s was changed at revision %lld, after the expected %lld",
                   compare->key, (long long)changed_revision, (long long)compare->revision);
}
