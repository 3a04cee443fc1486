/* A SQLite VFS that fails on demand: see fault_vfs.h. Wraps the VFS that was the default; each of
 * its files carries the real file behind our struct. The plan is guarded by a lock. */
#include "store/sqlite/fault_vfs.h"

#include "base/macro.h"

#include <assert.h>
#include <pthread.h>

#include <sqlite3.h>

struct fault_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int countdown; /* operations until the first failure; 0: none planned */
static int failure_code;
static bool failure_lasts;
static int failures;
static bool unshared; /* the tests' thread alone */
static sqlite3_vfs vfs;
static sqlite3_vfs *real_vfs;

void fault_vfs_plan(int nth, int code, bool lasting)
{
    (void)pthread_mutex_lock(&lock);
    countdown = nth;
    failure_code = code;
    failure_lasts = lasting;
    failures = 0;
    (void)pthread_mutex_unlock(&lock);
}

int fault_vfs_clear(void)
{
    (void)pthread_mutex_lock(&lock);
    countdown = 0;
    int count = failures;
    (void)pthread_mutex_unlock(&lock);
    return count;
}

/* The code this operation fails with, or SQLITE_OK. */
static int outcome(void)
{
    int code = SQLITE_OK;
    (void)pthread_mutex_lock(&lock);
    if (countdown == 1) {
        code = failure_code;
        failures++;
        countdown = failure_lasts ? 1 : 0;
    } else if (countdown > 1) {
        countdown--;
    }
    (void)pthread_mutex_unlock(&lock);
    return code;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
    return CONTAINER_OF(file, struct fault_file, base)->real;
}

static int fault_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
    int code = outcome();
    return code != SQLITE_OK ? code
                             : real_of(file)->pMethods->xWrite(real_of(file), data, size, offset);
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int code = outcome();
    return code != SQLITE_OK ? code : real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int fault_sync(sqlite3_file *file, int flags)
{
    int code = outcome();
    /* A sync of a full disk is an I/O error to SQLite. */
    code = code == SQLITE_FULL ? SQLITE_IOERR_FSYNC : code;
    return code != SQLITE_OK ? code : real_of(file)->pMethods->xSync(real_of(file), flags);
}

/* ---- passed through ---- */

static int pass_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int pass_read(sqlite3_file *file, void *data, int size, sqlite3_int64 offset)
{
    return real_of(file)->pMethods->xRead(real_of(file), data, size, offset);
}

static int pass_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int pass_lock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int pass_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int pass_check_lock(sqlite3_file *file, int *reserved)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), reserved);
}

static int pass_control(sqlite3_file *file, int op, void *argument)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), op, argument);
}

static int pass_sector_size(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int pass_characteristics(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int pass_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **memory)
{
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, memory);
}

static int pass_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}

static void pass_shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int pass_shm_unmap(sqlite3_file *file, int remove)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

#define COMMON_METHODS                                                                             \
    .xClose = pass_close, .xRead = pass_read, .xWrite = fault_write, .xTruncate = fault_truncate,  \
    .xSync = fault_sync, .xFileSize = pass_file_size, .xLock = pass_lock, .xUnlock = pass_unlock,  \
    .xCheckReservedLock = pass_check_lock, .xFileControl = pass_control,                           \
    .xSectorSize = pass_sector_size, .xDeviceCharacteristics = pass_characteristics

/* Version 1 has no shared memory. */
static const sqlite3_io_methods unshared_methods = {.iVersion = 1, COMMON_METHODS};

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    COMMON_METHODS,
    .xShmMap = pass_shm_map,
    .xShmLock = pass_shm_lock,
    .xShmBarrier = pass_shm_barrier,
    .xShmUnmap = pass_shm_unmap,
};

static int fault_open(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags,
                      int *out_flags)
{
    (void)self;
    struct fault_file *wrapped = CONTAINER_OF(file, struct fault_file, base);
    wrapped->real = (sqlite3_file *)(void *)(wrapped + 1);
    wrapped->real->pMethods = NULL;
    int code = real_vfs->xOpen(real_vfs, name, wrapped->real, flags, out_flags);
    const sqlite3_io_methods *ours = unshared ? &unshared_methods : &methods;
    file->pMethods = wrapped->real->pMethods != NULL ? ours : NULL;
    return code;
}

void fault_vfs_share(bool possible)
{
    unshared = !possible;
}

void fault_vfs_install(void)
{
    real_vfs = sqlite3_vfs_find(NULL);
    assert(real_vfs != NULL);
    vfs = *real_vfs; /* all else as the real one, whose functions take either */
    vfs.zName = "fault";
    vfs.szOsFile = (int)sizeof(struct fault_file) + real_vfs->szOsFile;
    vfs.xOpen = fault_open;
    int code = sqlite3_vfs_register(&vfs, 1);
    assert(code == SQLITE_OK);
    (void)code; /* cannot fail */
}
