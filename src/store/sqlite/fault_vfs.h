/* A SQLite VFS that fails on demand: the disk is full, a write or a sync fails. For tests; becomes
 * the default VFS, so the backend needs to know nothing of it. Any thread; one plan at a time. */
#ifndef STORE_SQLITE_FAULT_VFS_H
#define STORE_SQLITE_FAULT_VFS_H

#include <stdbool.h>

/* Once, before the first store is opened. */
void fault_vfs_install(void);
/* From now on the nth write, truncate or sync (from 1) fails with this SQLite code, and all after
 * it too when lasting. */
void fault_vfs_plan(int nth, int code, bool lasting);
/* No more failures; how many there were since the plan. */
int fault_vfs_clear(void);

/* Files opened from now on cannot share memory between connections, as on some network file
 * systems. */
void fault_vfs_share(bool possible);

#endif
