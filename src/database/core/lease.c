/* The arithmetic of leases and heartbeats: see core.h. Pure; any thread.
 *
 * Why a watcher's wait is safe without comparing clocks: the holder counts from before it sent the
 * transaction, the watcher from after it saw what that transaction wrote, so the watcher's span
 * begins later and, with the margin for clocks that run at different speeds, ends later. And if the
 * holder renewed meanwhile, the revision that the watcher compares is gone. */
#include "database/core/core.h"

#define MARGIN_MS 100
#define HEARTBEAT_MS 1000

static int64_t length_ns(const struct model_database_lease *lease)
{
    return lease->length_ms * TIME_MS;
}

struct mono database_lease_deadline(struct mono sent, const struct model_database_lease *lease)
{
    int64_t margin = MAX(length_ns(lease) / 10, MARGIN_MS * TIME_MS);
    return (struct mono){sent.ns + length_ns(lease) - margin};
}

/* A quarter of the length after the last one was sent. */
struct mono database_lease_renew_at(struct mono deadline, const struct model_database_lease *lease)
{
    struct mono sent = {deadline.ns - mono_since(database_lease_deadline((struct mono){0}, lease),
                                                 (struct mono){0})};
    return (struct mono){sent.ns + length_ns(lease) / 4};
}

struct mono database_lease_stop_at(struct mono deadline, const struct model_database_lease *lease)
{
    return (struct mono){deadline.ns - length_ns(lease) / 5};
}

struct mono database_lease_void_at(const struct database_view *view)
{
    return (struct mono){view->lease_since.ns + length_ns(view->lease)};
}

int64_t database_heartbeat(const struct model_database_group *group)
{
    return MIN(HEARTBEAT_MS, group->lease_ms / 4) * TIME_MS;
}

/* Three heartbeats: less than any lease lasts. */
bool database_is_heard(const struct database_view *view, const struct database_sight *sight)
{
    return sight->seen != NULL &&
           mono_since(view->now, sight->heard) <= 3 * database_heartbeat(view->group);
}
