/* TCP checks: a connection that is established is a success; it is reset at once, so that no
 * half-closed connections pile up on either side.
 *
 * Called by engine.c on the health loop. Ownership: the socket outlives its probe until libuv has
 * closed it. Invariant: after tcp_close the probe hears nothing more of its socket. */
#include "base/address.h"
#include "base/memory.h"
#include "health/probe/engine.h"
#include "health/probe/sentence.h"

#include <uv.h>

struct tcp_socket {
    uv_tcp_t tcp;
    uv_connect_t connect;
    struct probe *probe; /* NULL once the probe let go of it */
};

static void free_socket(uv_handle_t *handle)
{
    free(handle->data);
}

static void keep_source(struct probe *probe, const uv_tcp_t *tcp)
{
    struct sockaddr_storage name;
    int size = (int)sizeof name;
    if (uv_tcp_getsockname(tcp, (struct sockaddr *)&name, &size) == 0) {
        address_text((const struct sockaddr *)&name, probe->result.source);
    }
}

static void connected(uv_connect_t *connect, int status)
{
    struct tcp_socket *socket = connect->data;
    struct probe *probe = socket->probe;
    if (probe == NULL) {
        return;
    }
    if (status == 0) {
        keep_source(probe, &socket->tcp);
        engine_pass(probe, "Success: TCP connection established. Resolved IP: %s",
                    probe->address_text);
    } else {
        sentence_connect_failed(probe, -status);
    }
    engine_report(probe);
}

void tcp_open(struct probe *probe)
{
    struct tcp_socket *socket = memory_new(sizeof *socket);
    socket->probe = probe;
    socket->tcp.data = socket;
    socket->connect.data = socket;
    int rc = uv_tcp_init(probe->engine->loop, &socket->tcp);
    if (rc != 0) {
        free(socket);
        sentence_connect_failed(probe, -rc);
        return;
    }
    probe->tcp = socket;
    rc = uv_tcp_connect(&socket->connect, &socket->tcp, (const struct sockaddr *)&probe->address,
                        connected);
    if (rc != 0) {
        sentence_connect_failed(probe, -rc);
    }
}

void tcp_close(struct probe *probe)
{
    struct tcp_socket *socket = probe->tcp;
    if (socket == NULL) {
        return;
    }
    probe->tcp = NULL;
    socket->probe = NULL;
    /* A socket that never connected cannot be reset; it is closed plainly then. */
    if (uv_tcp_close_reset(&socket->tcp, free_socket) != 0) {
        uv_close((uv_handle_t *)&socket->tcp, free_socket);
    }
}
