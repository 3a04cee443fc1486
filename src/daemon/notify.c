/* See notify.h. Twenty lines instead of libsystemd, which would be one more library in every
 * address space; the protocol is documented and stable (sd_notify(3), "Notes"). Called by main. */
#include "daemon/notify.h"

#include "base/text.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify_systemd(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (text_empty(path) || text_copy(address.sun_path, sizeof address.sun_path, path) != 0) {
        return;
    }
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (address.sun_path[0] == '@') {
        address.sun_path[0] = '\0'; /* an abstract socket */
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL,
                              (const struct sockaddr *)&address, length);
        (void)sent; /* systemd not listening is no reason to fail */
        (void)close(fd);
    }
}
