/* File descriptors: see descriptor.h. Called by every room that writes files; any thread. */
#include "base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void descriptor_close(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd); /* see the header */
        *fd = -1;
    }
}

int descriptor_write_all(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t written = write(fd, at, size);
        if (written < 0 && errno != EINTR) {
            return -errno;
        }
        if (written > 0) {
            at += written;
            size -= (size_t)written;
        }
    }
    return 0;
}

int descriptor_sync_folder(const char *path)
{
    int fd CLEANUP(descriptor_close) = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) != 0 ? -errno : 0;
}
