/* Publishing immutable snapshots: one writer, readers without locks, memory freed after a grace
 * period.
 *
 * A reader thread registers, dereferences with SNAPSHOT_LOAD, and says "quiescent" once a batch:
 * after that it holds no pointer it loaded before. While it blocks it goes offline. A long reader
 * takes a reference of its own instead. Flavour: liburcu's QSBR, only in snapshot.c. */
#ifndef BASE_SNAPSHOT_H
#define BASE_SNAPSHOT_H

#include "base/macro.h"

#include <stdatomic.h>

/* Per reader thread, before the first and after the last load. */
void snapshot_thread_begin(void);
void snapshot_thread_end(void);
/* Nothing loaded before is used after. */
void snapshot_quiescent(void);
/* Around anything that may block; between them nothing may be loaded. */
void snapshot_offline(void);
void snapshot_online(void);

/* SNAPSHOT(type) declares a slot; one thread (or one lock) publishes into it. */
#define SNAPSHOT(type) _Atomic(type *)
#define SNAPSHOT_LOAD(slot) atomic_load_explicit(slot, memory_order_acquire)
/* Stores the new and gives back the old, to be retired. */
#define SNAPSHOT_PUBLISH(slot, fresh) atomic_exchange_explicit(slot, fresh, memory_order_acq_rel)

/* Calls dispose(object) once no reader can hold it. Never blocks; any thread (registered or not).
 */
void snapshot_retire(void *take_object, void (*dispose)(void *object));
/* Waits until everything retired before has been disposed of. Not from a reader that is online. */
void snapshot_drain(void);

#endif
