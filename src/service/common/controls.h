/* A control panel as decisions see it (arc/rule.h): its routing controls with their states, its
 * safety rules, and the revision of its guard, under which all of that was read at once.
 *
 * Whatever changes something of a panel writes its guard (model/path.h), so a transaction that
 * compares the guard's revision happens only if what was judged still is so. A revision means this
 * within one past of the store alone (store_past): in a store that was restored from a backup the
 * same one comes up again, for something else. So what is kept is used while the past is the same,
 * and controls_stands is asked before a guard is compared. The cache keeps what
 * was read last of each panel, and what this daemon changed since: an update that it allows costs
 * one transaction. What the cache forbids is read anew first, as it may be old.
 *
 * Thread: any; the cache has a mutex, held for copies alone. Memory: the arena; what a panel shares
 * with the cache is counted, and let go with the arena. */
#ifndef SERVICE_COMMON_CONTROLS_H
#define SERVICE_COMMON_CONTROLS_H

#include "arc/rule.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "store/store.h"

struct controls_panel {
    const char *id;
    int64_t guard;
    uint64_t past; /* of the store, which the guard's revision is of */
    bool cached;   /* it may be older than the store */
    struct arc_panel panel;
};

struct controls_cache;
struct combiner; /* combine.h */

struct controls_cache *controls_cache_new(void) MUST_CHECK;
void controls_cache_free(struct controls_cache *take_cache);
/* In which changes of states are made; names are panels' ids, weights are counts of controls. NULL
 * when the cache is. */
struct combiner *controls_combiner(const struct controls_cache *cache);

/* cache may be NULL. fresh: from the store in any case. ERR_NOT_FOUND: there is no such panel (with
 * a cache: none when it was read). */
int controls_load(struct store *store, struct controls_cache *cache, const char *panel_id,
                  bool fresh, struct arena *arena, struct controls_panel *ret_panel,
                  struct err *err) MUST_CHECK;
/* Whether the store still has the past that the panel was read of; else its guard says nothing. */
bool controls_stands(struct store *store, const struct controls_panel *panel);
/* A transaction that compared the panel's guard changed it: its states are what they are in panel
 * now, under the new guard. panel is what controls_load gave, but for states. */
void controls_changed(struct controls_cache *cache, const struct controls_panel *panel,
                      int64_t guard);

#endif
