/* Transactions in memory: what store_txn_* builds and a backend's commit reads. Private to this
 * room. A txn belongs to one thread at a time; while it is committed nobody changes it.
 * Invariant: after store_txn_check succeeded no key is written twice and every limit holds. */
#ifndef STORE_TXN_H
#define STORE_TXN_H

#include "store/store.h"

enum store_compare_type { STORE_COMPARE_PRESENT, STORE_COMPARE_REVISION };

struct store_compare {
    enum store_compare_type type;
    const char *key;
    int64_t revision; /* STORE_COMPARE_REVISION: 0 when the key must be absent */
};

enum store_op_type { STORE_OP_PUT, STORE_OP_DELETE, STORE_OP_DELETE_PREFIX };

struct store_op {
    enum store_op_type type;
    const char *key; /* or the prefix */
    const void *value;
    size_t size;
    int64_t lease;
    bool leased; /* lease must exist */
};

struct store_txn {
    struct arena arena; /* keys and values */
    struct store_compare *compares;
    size_t compare_count;
    size_t compare_capacity;
    struct store_op *ops;
    size_t op_count;
    size_t op_capacity;
    size_t bytes;
    struct err error; /* the first thing that was wrong; sticky */
};

/* What is wrong with the transaction whatever the store holds: limits, keys written twice. */
int store_txn_check(const struct store_txn *txn, struct err *err) MUST_CHECK;
/* Whether a compare holds for a key with this changed_revision (0: absent): 0, or ERR_CONFLICT
 * naming the key and what was expected. */
int store_compare_check(const struct store_compare *compare, int64_t changed_revision,
                        struct err *err) MUST_CHECK;
/* ERR_INVALID when empty, ERR_LIMIT when too long. */
int store_key_check(const char *key, struct err *err) MUST_CHECK;
int store_prefix_check(const char *prefix, struct err *err) MUST_CHECK;
/* A backend found that a lease does not exist: ERR_NOT_FOUND in the same words everywhere. */
int store_lease_unknown(int64_t lease, struct err *err) COLD;

#endif
