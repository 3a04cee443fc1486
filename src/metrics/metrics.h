/* The metrics endpoint: one page of text (Prometheus exposition format 0.0.4) at /metrics, over
 * plain HTTP on a listener of its own.
 *
 * What stands on the page comes from the caller. Thread: start and stop by the owner; render is
 * called on a thread of this room, one call at a time. */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/macro.h"

#include <netinet/in.h>

struct metrics;

/* Binds, and serves nothing yet; port 0 asks the kernel. */
int metrics_open(const struct sockaddr_storage *address, struct metrics **ret_metrics,
                 struct err *err) MUST_CHECK;
const struct sockaddr_storage *metrics_address(const struct metrics *metrics);
/* Serves from now on. render writes the page into text, which has a limit. */
int metrics_run(struct metrics *metrics, void (*render)(void *context, struct buf *text),
                void *context, struct err *err) MUST_CHECK;
/* After it render is not called any more. NULL is fine. */
void metrics_stop(struct metrics *take_metrics);

#endif
