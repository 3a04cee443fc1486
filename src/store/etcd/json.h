/* etcd's JSON: keys and values in base64, 64-bit numbers as strings, absent members are zero
 * (https://developers.google.com/protocol-buffers/docs/proto3#json). Keys of the store stand behind
 * the configured prefix; the prefix alone is no key of the store, and is what a watch writes when
 * it needs a revision. Private to this folder. Thread: any; nothing is kept. */
#ifndef STORE_ETCD_JSON_H
#define STORE_ETCD_JSON_H

#include "base/buf.h"
#include "store/store.h"

#include <jansson.h>

/* ,"name":"<base64 of root and key>" without the comma; root is "" for text that has it already. */
void json_put_key(struct buf *body, const char *name, const char *root, const char *key);
void json_put_bytes(struct buf *body, const char *name, const void *data, size_t size);
/* "name":"<number>" */
void json_put_number(struct buf *body, const char *name, int64_t number);
/* "key":...,"range_end":... of every key under root and prefix, from the first behind `after`
 * (NULL: from the first). */
void json_put_range(struct buf *body, const char *root, const char *prefix, const char *after);
/* The same with the key that is the prefix of all keys itself: what a watch of everything needs. */
void json_put_all(struct buf *body, const char *root);

/* 0 when absent; -1 when it is no number. */
int64_t json_get_number(const json_t *object, const char *name);

/* A key-value pair of etcd. ERR_CORRUPT when it is none; the entry's key is "" for the root itself,
 * and NULL for keys that are no store's. What entry points to lives in key and value. */
struct json_pair {
    struct buf key;
    struct buf value;
    struct store_entry entry;
};

void json_pair_init(struct json_pair *pair);
void json_pair_done(struct json_pair *pair);
int json_get_pair(const json_t *object, const char *root, struct json_pair *pair, struct err *err)
    MUST_CHECK;

#endif
