/* A change batch between its stages: change.c reads the request and the records it touches and
 * writes the result; batch_apply.c applies the changes one after the other; batch_judge.c judges
 * what each touched name would be afterwards. Private to this room; everything lives in the call's
 * arena.
 *
 * A slot is one record set that exists at a touched name or that a change names; slots are sorted
 * by key, so the slots of a name stand together, and those of a name and type too. */
#ifndef SERVICE_ROUTE53_BATCH_H
#define SERVICE_ROUTE53_BATCH_H

#include "service/route53/zone.h"

enum batch_action { BATCH_CREATE, BATCH_DELETE, BATCH_UPSERT };

struct batch_item {
    enum batch_action action;
    struct model_record_set record;
    const char *type; /* its text */
    json_t *tree;     /* as it will be stored; kept */
    const char *key;
};

struct batch_slot {
    const char *key;
    const char *type;                     /* text */
    struct store_entry stored;            /* what is there; key NULL when there is nothing */
    const struct model_record_set *after; /* NULL: it will not be there */
    json_t *tree;                         /* set when a change of this batch put it */
    enum batch_action last;               /* of the changes so far */
    unsigned changes;
};

struct batch {
    struct aws_call *call;
    struct store_txn *txn;
    struct route53_zone zone;
    struct batch_item *items;
    size_t item_count;
    struct batch_slot *slots;
    size_t slot_count;
    json_t *messages; /* one a problem; kept */
    /* The traffic policy instance whose record set this batch may change; NULL: of none. */
    const char *traffic_instance_id;
};

/* Adds a problem to the batch; it goes on to find the others. */
void batch_problem(struct batch *batch, const char *format, ...) PRINTF(2, 3);
/* The slot of a key; NULL when the name was not touched or the record is neither there nor asked
 * for. */
struct batch_slot *batch_find(const struct batch *batch, const char *key);

/* change.c: one slot a record set of the touched names. */
int batch_load(struct batch *batch, struct err *err) MUST_CHECK;
/* InvalidChangeBatch with all problems; 0 when there is none. */
int batch_messages(struct batch *batch, struct err *err) MUST_CHECK;
/* Puts what the slots came to into the transaction, and the zone with its new count. */
int batch_write(struct batch *batch, struct err *err) MUST_CHECK;

/* batch_record.c: a record set as it is stored: canonical names, bare ids, "v". A new reference. */
json_t *batch_record_normal(const json_t *record, const struct model_record_set *model);
/* Whether two of them are the same record set, whatever the order of their values. Nothing is
 * changed (jansson's iterators take no const). */
bool batch_record_same(json_t *a, json_t *b);

/* batch_apply.c: applies every item to its slot. */
int batch_apply(struct batch *batch, struct err *err) MUST_CHECK;
/* batch_judge.c: judges every touched name; adds compares for what it read elsewhere. */
int batch_judge(struct batch *batch, struct err *err) MUST_CHECK;
/* NoSuchHealthCheck; the check of the slot's record must exist when the batch is committed. */
int batch_judge_check(struct batch *batch, const struct batch_slot *slot, struct err *err)
    MUST_CHECK;
/* batch_alias.c: the alias target of a slot that this batch puts. */
int batch_judge_alias(struct batch *batch, const struct batch_slot *slot, struct err *err)
    MUST_CHECK;

/* batch_location.c: whether two records of one policy are for the same place; false for policies
 * that do not look at where the client is. */
bool batch_same_place(const struct model_record_set *a, const struct model_record_set *b) PURE;
/* That no other record of the group (slots) is for the same place. */
void batch_judge_place(struct batch *batch, const struct batch_slot *slot,
                       const struct batch_slot *slots, size_t count);
/* That the region, or the CIDR collection and location, of a slot that this batch puts exist. */
int batch_judge_location(struct batch *batch, const struct batch_slot *slot, struct err *err)
    MUST_CHECK;
/* Writes down which CIDR collection the slot's record uses, as its record changes. */
int batch_write_use(struct batch *batch, const struct batch_slot *slot, struct err *err) MUST_CHECK;

#endif
