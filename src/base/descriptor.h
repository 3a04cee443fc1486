/* File descriptors: closed where their scope ends, written to the end; and folders whose entries
 * are to be on disk. Any thread; a descriptor belongs to who opened it. */
#ifndef BASE_DESCRIPTOR_H
#define BASE_DESCRIPTOR_H

#include "base/macro.h"

#include <stddef.h>

/* For CLEANUP, and early: what is negative is left alone, what was closed becomes -1. Only for what
 * was read, or was synced before, since nobody hears of a failure. */
void descriptor_close(int *fd);
/* All of it, also where signals or a full pipe cut it up; -errno. */
int descriptor_write_all(int fd, const void *data, size_t size) MUST_CHECK;
/* What was made, renamed and removed in this folder is on disk after; -errno. */
int descriptor_sync_folder(const char *path) MUST_CHECK;

#endif
