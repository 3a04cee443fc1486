/* The owner's side of the zone database: zones with their pending changes, groups of routed
 * records, and who depends on what. Private to dns/zone; all of it belongs to the thread that owns
 * the database.
 *
 *   record --edge--> subject (a check, or an alias's target) --edges--> groups to decide again
 *   group = the records of one name and type that need a decision; slot.group is its number
 *
 * A plain RRset (one record, no check, no alias) has no group: its leaf in the slot is all there
 * is. Invariants: a group's `answer` is what its slot holds, or will hold at the next commit; what
 * readers may still see is only freed through the retired list. */
#ifndef DNS_ZONE_INTERNAL_H
#define DNS_ZONE_INTERNAL_H

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/macro.h"
#include "base/time.h"
#include "dns/wire/name.h"
#include "dns/zone/choose.h"
#include "dns/zone/database.h"
#include "dns/zone/map.h"
#include "dns/zone/table.h"
#include "dns/zone/zone_set.h"
#include "model/status.h"
#include "model/zone.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Records of one group beyond this many are left out (Route 53's quota is 100). */
#define ZONE_GROUP_LIMIT 4096U

/* ---- who depends on what ---- */

enum subject_kind { SUBJECT_CHECK, SUBJECT_TARGET, SUBJECT_COLLECTION };

struct zone_edge {
    struct zone_edge *next;
    struct zone_edge **link; /* what points at this edge; NULL while it is in no list */
    struct zone_group *group;
    struct zone_subject *subject;
};

/* A health check, a name and type that aliases point at (whether it exists or not), or a CIDR
 * collection. Goes with its last edge. */
struct zone_subject {
    struct zone_edge *edges;
    size_t edge_count;
    struct zone_subject *next_flip;  /* flip.c: in database->flips */
    struct zone_subject **flip_link; /* what points at it there; NULL: it is not there */
    struct zone_edge *flip_next;     /* the first edge that was not followed yet */
    size_t flip_left;                /* about how many these are */
    uint64_t hash;
    enum subject_kind kind;
    bool healthy;  /* checks */
    uint16_t type; /* targets */
    size_t key_length;
    uint8_t key[]; /* id of the check or collection, or the name in wire form */
};

/* ---- records and groups ---- */

/* What a record is for, by a policy that looks at where the client is. */
struct zone_where {
    struct zone_spot spot;       /* its blocks are filled in when the group is decided */
    struct zone_edge collection; /* subject NULL: no CIDR record */
    const char *collection_id;   /* NULL: no CIDR record */
    const char *region;          /* or Local Zone group, until it is resolved; NULL: none */
    char text[];                 /* the role in words, then the strings above */
};

struct zone_record {
    struct zone_record *next; /* of the group, by set identifier */
    struct zone_answer *leaf; /* own values; NULL for an alias */
    struct zone_edge check;   /* subject NULL: no health check */
    struct zone_edge target;  /* subject NULL: no alias */
    struct zone_where *where; /* owned; NULL unless the policy looks at where the client is */
    const char *set_identifier;
    const char *check_id;       /* "" when none */
    const char *target_zone_id; /* "" when no alias */
    const uint8_t *target_name; /* wire form; NULL when no alias */
    uint16_t type;
    uint8_t policy; /* enum model_policy */
    uint8_t weight;
    bool secondary;
    bool evaluate_target;
    uint16_t generation; /* of the put, as in struct zone_slot */
};

struct zone_group {
    struct zone_group *next_queued; /* to be decided again */
    struct zone_group *next_changed;
    struct zone_group *next_waiting; /* late.c */
    struct zone_group *next_ahead;
    struct zone_owner *zone;
    struct zone_node *node; /* visible, or a draft of the publish that is under way */
    struct zone_record *records;
    const struct zone_answer *answer; /* as decided last; a record's leaf, a target's answer, or
                                         the group's own mix */
    struct zone_answer *mix;          /* owned; NULL when one record is served */
    struct zone_derived *derived;     /* signature.h; NULL: what readers see is `answer` */
    uint32_t number;                  /* index in database->groups */
    uint16_t type;
    uint8_t policy; /* of the records that count: those of the first one's policy */
    uint8_t depth;  /* aliases behind it; ZONE_ALIAS_LIMIT and more: a cycle, or as good as one */
    bool healthy;   /* some record is */
    bool fallback;  /* none is: all treated as healthy */
    bool queued;
    bool changed;
    bool waiting; /* in database->waiting: */
    bool unshown; /* its answer is not shown yet, for want of signatures */
    bool ahead;   /* in database->ahead */
    bool dead;    /* only its places in the queues are left */
};

/* ---- zones ---- */

enum edit_kind { EDIT_PUT, EDIT_DELETE };

/* One put or delete that waits for the next publish; in the zone's arena. */
struct zone_edit {
    struct zone_edit *next;
    enum edit_kind kind;
    uint16_t type;
    uint16_t generation; /* of the database when it came */
    const char *set_identifier;
    struct zone_answer *leaf;   /* owned: a plain RRset */
    struct zone_record *record; /* owned: anything else */
};

/* The edits of one name; in the zone's arena. */
struct zone_pending {
    struct zone_edit *first;
    struct zone_edit *last;
    struct zone_node *draft;   /* while a publish is under way */
    struct zone_pending *next; /* all of the zone's, in the order of their first edit */
    uint64_t hash;
    size_t length;
    uint8_t wire[]; /* whole name */
};

struct zone_owner {
    struct zone zone;             /* what readers see */
    struct zone_owner *next_same; /* of one apex, older first; in database->by_apex */
    struct zone_owner *next_dirty;
    struct zone_owner *next_touched;
    struct zone_journal *journal; /* NULL: no transfers; zone.journal is the readers' */
    struct zone_table *pending;   /* NULL when there is none */
    struct zone_pending *pending_first;
    struct zone_pending **pending_last;
    struct zone_pending *batch;     /* of a publish that is under way: the first name not applied */
    struct zone_pending *batch_end; /* and the one behind those that are drafted */
    struct arena arena;             /* of pending; handed out from its newest block by hand: */
    uint8_t *room;
    size_t room_left;
    size_t room_size; /* of the newest block; the next one is twice as large */
    int64_t created_revision;
    uint64_t apex_hash;
    bool known;  /* put_zone came */
    bool linked; /* in by_apex */
    bool held;   /* not shown before the sweep that ends a load */
    bool doomed; /* deleted: goes at the next publish */
    bool dirty;
    bool transfers;      /* a journal with records is wanted */
    bool listed;         /* in database->touched */
    bool opening;        /* a journal is to be made as soon as its serial may be served */
    uint32_t floor;      /* no serial up to this one is served again */
    uint32_t stored;     /* the SOA's own serial, while opening */
    uint16_t generation; /* of its last put */
    bool signing_changed;
    struct sign_key **signing; /* the keys it is to be signed with; referenced */
    size_t signing_count;
    uint32_t signing_silent;    /* bit n: signing[n] signs nothing */
    struct zone_signer *signer; /* signature.h; NULL: no signatures */
    uint32_t signed_since;      /* signatures made before are of other keys; seconds since 1970 */
    char id[];
};

struct zone_down {
    char id[MODEL_CHECK_ID_LIMIT + 1];
    struct wall since;
};

struct zone_numbers {
    uint32_t last;
    uint64_t used[ZONE_NUMBERS / 64]; /* slots; 0 stays free */
};

struct zone_database {
    struct zone_set set;
    struct zone_numbers numbers;
    uint64_t publications;
    size_t depth_count[NAME_LABELS_LIMIT];
    struct zone_table *by_id;   /* zone_owner, by id */
    struct zone_table *by_apex; /* zone_owner: the first of those with one apex */
    struct zone_table *subjects;
    size_t target_count;        /* subjects that are alias targets */
    struct zone_owner *dirty;   /* put, deleted or edited since the last publish */
    struct zone_owner *touched; /* those whose journals have to look at something */
    struct wall (*clock)(void); /* of serials */
    struct zone_serials serials;
    int64_t journal_ns;         /* when a refresh published journals last */
    struct zone_group **groups; /* [0] is never used */
    size_t group_count;         /* in use as array, free numbers included */
    size_t group_capacity;
    uint32_t *free_numbers;
    size_t free_count;
    size_t free_capacity;
    struct zone_group *queue_first;
    struct zone_group **queue_last;
    struct zone_group *changed;
    struct zone_group *waiting; /* late.c: flips that wait for signatures */
    struct zone_group **waiting_last;
    struct zone_group *ahead;   /* and groups whose possible answers are to be signed ahead */
    bool flipping;              /* in a piece of a change of health */
    struct zone_subject *flips; /* flip.c: what is left of changes of health */
    struct zone_subject **flips_last;
    size_t flip_left;       /* the sum of theirs */
    size_t flip_room;       /* groups that this piece may still take */
    struct zone_down *down; /* the unhealthy checks of the last status, by id */
    size_t down_count;
    void **retired; /* to be freed with free() after a grace period, once no flip is left */
    size_t retired_count;
    size_t retired_capacity;
    struct zone_collection *collections;
    const struct model_region *regions; /* borrowed */
    size_t region_count;
    struct choose_candidate *candidates; /* scratch of group_decide */
    struct zone_map_source *sources;
    const struct zone_answer **choices;
    uint32_t *shares;
    size_t scratch;
    uint16_t generation; /* goes up with each zone_database_mark */
    bool nothing_old;    /* the database was empty at the last mark */
    bool loading;        /* between a mark and its sweep */
    struct zone_signer *signers;
    void (*interrupt)(void *context);
    void *interrupt_context;
    struct wall now;       /* for signatures: as zone_database_refresh said last */
    uint64_t signed_count; /* signatures made so far */
    struct hash_key key;
};

/* ---- number.c ---- */

/* 0 when all are in use. */
uint32_t number_take(struct zone_numbers *numbers);
void number_give(struct zone_numbers *numbers, uint32_t number);

/* ---- leaf.c: answers ---- */

/* ERR_INVALID when a value does not parse, ERR_LIMIT when the RRset cannot fit a message. */
int leaf_compile(const struct model_record_set *record, struct zone_answer **ret_leaf,
                 struct err *err) MUST_CHECK;
uint32_t leaf_ttl(const struct zone_answer *leaf) PURE;
/* A leaf of RRs in the form that zone_set.h describes. */
struct zone_answer *leaf_new(const uint8_t *rrs, size_t size, size_t count) MUST_CHECK;
/* The SOA for negative answers out of the apex's SOA; NULL when that is NULL or too short. Its
 * signatures, of rrsig_size bytes each, hold for it too: the original TTL is in them. */
struct zone_answer *leaf_negative(const struct zone_answer *soa, size_t rrsig_size) MUST_CHECK;
/* shares as choose() filled them; choices[i] may be NULL. Several are served. */
struct zone_answer *mix_compile(bool weighted, const struct zone_answer *const *choices,
                                const uint32_t *shares, size_t count) MUST_CHECK;
bool mix_same(const struct zone_answer *a, const struct zone_answer *b) PURE;

/* ---- group.c: who depends on what, and deciding ---- */

void edge_connect(struct zone_database *database, struct zone_edge *edge, struct zone_group *group,
                  enum subject_kind kind, const void *key, size_t length, uint16_t type);
void edge_cut(struct zone_database *database, struct zone_edge *edge);
struct zone_subject *subject_find(const struct zone_database *database, enum subject_kind kind,
                                  const void *key, size_t length, uint16_t type);
bool check_is_healthy(const struct zone_database *database, const char *check_id,
                      struct wall *ret_since);

/* As leaf_compile. */
int record_new(const struct model_record_set *record, struct zone_record **ret_record,
               struct err *err) MUST_CHECK;
/* Cuts its edges and retires its leaf. */
void record_free(struct zone_database *database, struct zone_record *take_record);

struct zone_group *group_new(struct zone_database *database, struct zone_owner *zone, uint16_t type)
    MUST_CHECK;
/* Takes the list, which is in order of set identifiers, in place of the one there is. Records that
 * are in both lists stay; those left out are freed by the caller. */
void group_set_records(struct zone_database *database, struct zone_group *group,
                       struct zone_record *take_records);
/* Frees the group, not its records. */
void group_free(struct zone_database *database, struct zone_group *take_group);
void group_enqueue(struct zone_database *database, struct zone_group *group);
/* Its slot is filled again at the next commit, also when its answer stays. */
void group_mark(struct zone_database *database, struct zone_group *group);
/* Everything that depends on the subject is decided again; within a change of health at a later
 * piece where it is more than this one has room for. */
void subject_touch(struct zone_database *database, struct zone_subject *subject);
/* The same by name, for a name and type whose answer changed. */
void target_touch(struct zone_database *database, const struct zone_owner *zone,
                  const uint8_t *relative, size_t relative_length, uint16_t type);
/* Decides what is queued, and what follows from it, until nothing changes. Readers see nothing of
 * it before group_commit. */
void group_decide_all(struct zone_database *database);
/* Swaps the slots of all groups whose answer changed. Returns how many. */
size_t group_commit(struct zone_database *database);
/* One of them; any group whose answer is to be shown. */
size_t group_show(struct zone_database *database, struct zone_group *group);
/* A group that is dead and in no queue any more is freed. */
void group_bury(struct zone_group *group);
/* Fills candidates from the group's records; count of records. Also what explain looks at. */
size_t group_candidates(struct zone_database *database, struct zone_group *group,
                        unsigned *ret_depth);

/* What an alias stands for now. */
struct zone_target {
    bool exists;
    bool healthy;
    unsigned depth;
    const struct zone_answer *answer;
};
struct zone_target target_resolve(struct zone_database *database, const struct zone_record *record);
/* The slot that an alias points at; NULL when there is none. */
const struct zone_slot *target_slot(const struct zone_database *database,
                                    const struct zone_record *record);

/* ---- flip.c: changes of health, piece by piece ---- */

/* The subject's groups are taken by the next pieces, from its first one on; before those of others
 * that wait when it is urgent. */
void flip_wait(struct zone_database *database, struct zone_subject *subject, bool urgent);
/* Nothing of the subject waits any more. Fine when nothing did. */
void flip_forget(struct zone_database *database, struct zone_subject *subject);
/* Queues what waits as far as there is room (nothing without `take`), decides all that is queued,
 * and shows it. Returns how many answers were chosen anew. */
size_t flip_piece(struct zone_database *database, bool take);

/* ---- late.c: signatures that do not hold up a flip ---- */

/* As group_commit, within a change of health: what is signed already is shown first, and when the
 * rest takes more than about a millisecond of signing, it is left to late_work. Until then readers
 * get what they got before. */
size_t late_commit(struct zone_database *database);
/* The group's possible answers are to be signed ahead. */
void late_ahead(struct zone_database *database, struct zone_group *group);
/* Shows flips that wait, in their order. True when there are more. */
bool late_show(struct zone_database *database);
/* Signs ahead. True when there is more. */
bool late_sign(struct zone_database *database);
/* Forgets both; all groups are gone. */
void late_drop(struct zone_database *database);

/* ---- where.c: records of the policies that look at where the client is ---- */

/* True for latency, geolocation, geoproximity and CIDR. */
bool policy_is_map(enum model_policy policy);
enum zone_map_kind policy_map_kind(enum model_policy policy);
/* Made on any thread; its region's place is found by the owner's when the record is put. */
struct zone_where *where_new(const struct model_record_set *record) MUST_CHECK;
void where_resolve(const struct zone_database *database, struct zone_where *where);

/* ---- collection.c: CIDR collections ---- */

/* NULL when there is none. */
const struct zone_cidr *collection_blocks(const struct zone_database *database, const char *id);
/* Deletes what was not put since the last mark. */
void collections_sweep(struct zone_database *database);
/* Shows what was put and deleted, and queues the groups that use it. */
void collections_publish(struct zone_database *database);
void collections_free(struct zone_database *database);

/* ---- owner.c: zones, pending edits, drafts ---- */

struct zone_owner *owner_find(const struct zone_database *database, const char *zone_id);
/* Made, without a name yet, when it is not there. */
struct zone_owner *owner_get(struct zone_database *database, const char *zone_id);
/* Its apex, from now on; it has an empty apex node, and room for that many names. */
void owner_name(struct zone_database *database, struct zone_owner *zone, const uint8_t *apex,
                size_t length, size_t names_wanted);
void owner_mark_dirty(struct zone_database *database, struct zone_owner *zone);
/* The zone that a name belongs to when none is given: the longest suffix, the oldest of one
 * name. */
struct zone_owner *owner_of_name(const struct zone_database *database, const uint8_t *wire);
/* The draft of a publish that is under way, else the visible node; NULL when there is none. */
struct zone_node *owner_node(const struct zone_database *database, const struct zone_owner *zone,
                             const uint8_t *wire);
/* True when readers see that very node. */
bool owner_shows(const struct zone_database *database, const struct zone_owner *zone,
                 const struct zone_node *node);
/* The pending edits of a name; NULL when there are none. */
struct zone_pending *owner_pending(const struct zone_database *database,
                                   const struct zone_owner *zone, const uint8_t *wire);
/* The zone that readers find for the apex of `zone`; NULL when they find none. */
struct zone_owner *owner_visible(const struct zone_database *database,
                                 const struct zone_owner *zone);
/* zone_find for who may write to what it finds. */
struct zone_node *zone_find_for_owner(const struct zone *zone, const struct zone_name *name,
                                      unsigned label);
/* A fresh edit at the end of the name's; its set identifier is copied. */
struct zone_edit *owner_edit(struct zone_database *database, struct zone_owner *zone,
                             const uint8_t *wire, size_t length, const char *set_identifier);
/* Forgets the edits; what they hold and was not taken is freed. */
void owner_drop_edits(struct zone_database *database, struct zone_owner *zone);
/* Adds the zone to, or takes it from, those that by_apex knows. */
void owner_link(struct zone_database *database, struct zone_owner *zone);
void owner_unlink(struct zone_database *database, struct zone_owner *zone);
/* The zone served for an apex: the oldest that is linked; NULL when there is none. */
struct zone_owner *owner_served(const struct zone_database *database,
                                const struct zone_owner *zone);

/* ---- draft.c: from edits to visible nodes ---- */

/* Builds the drafts of the next names with edits (in a zone without signatures: of all), from
 * zone->batch on, queues their groups and what depends on them. */
void draft_build(struct zone_database *database, struct zone_owner *zone);
/* Makes the drafts visible, name by name, and forgets the edits when these were the last. */
void draft_apply(struct zone_database *database, struct zone_owner *zone);
/* Frees the groups and records of a node; retires its leafs and itself. */
void draft_discard_node(struct zone_database *database, struct zone_node *take_node);

/* The parts of it that bulk.c builds with: a node of so many slots, on any thread; */
struct zone_node *draft_node(unsigned slots, const uint8_t *relative, size_t length) MUST_CHECK;
/* what flags a record of the type gives to it; */
unsigned draft_node_flags(uint16_t type, size_t length) PURE;
/* the leaf of a plain slot, which the slot owns; */
struct zone_answer *draft_owned_leaf(const struct zone_slot *slot) PURE;
/* the zone's table, with room for `more` names; */
struct zone_table *draft_names_with_room(struct zone_database *database, struct zone_owner *zone,
                                         size_t more);
void draft_set_flag(struct zone_node *node, enum zone_node_flag flag, bool on);
/* and the name at `label` has come to exist: its parents do from now on. */
void draft_adopt(struct zone_database *database, struct zone_owner *zone,
                 const struct zone_name *name, unsigned label);

/* No check, no alias, no policy: the leaf is all there is to the record. */
bool put_is_plain(const struct model_record_set *record) PURE;

/* Negative answers carry the SOA that the apex's node has now. */
void owner_set_negative(struct zone_database *database, struct zone_owner *zone,
                        const struct zone_node *apex);

/* ---- signer.c: signed zones ---- */

/* A slice of what has to be signed; nanoseconds until there is more to do. */
int64_t signer_refresh(struct zone_database *database);

/* ---- journal.c: what transfers read ---- */

/* Makes or closes the journal of a known zone as its transfers and its signing want it: with
 * records, or for the serial alone, or none. */
void journal_settle(struct zone_database *database, struct zone_owner *zone);
/* The zone is visible from now on: somebody should hear of its serial. */
void journal_announce(struct zone_database *database, struct zone_owner *zone);
/* The SOA is served as it was put again. A zone without a journal is fine. */
void journal_close(struct zone_database *database, struct zone_owner *zone);
/* Readers may see something else for that name and type; nothing where there is no journal. */
void journal_touch(struct zone_database *database, struct zone_owner *zone, const uint8_t *relative,
                   size_t length, uint16_t type);
/* All types of a node; NULL is fine. */
void journal_touch_node(struct zone_database *database, struct zone_owner *zone,
                        const struct zone_node *node);
/* Everything in the zone: it became signed, or ceased to be. */
void journal_touch_all(struct zone_database *database, struct zone_owner *zone);
/* An SOA that is about to become visible gets the serial of the journal, if there is one. */
void journal_adopt_soa(struct zone_database *database, struct zone_owner *zone,
                       struct zone_answer *leaf);
/* Looks at what was touched; serials move. */
void journal_publish(struct zone_database *database);

/* ---- database.c ---- */

/* free(take_memory) once no reader can hold it. NULL is fine. */
void database_retire(struct zone_database *database, void *take_memory);
uint64_t database_hash(const struct zone_database *database, const void *key, size_t length);

#endif
