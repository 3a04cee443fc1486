/* All counters of the daemon, as a page for Prometheus and as JSON for `leeward status`. Any
 * thread, while the rooms run. docs/metrics.md lists them; test_metrics.py compares. */
#ifndef DAEMON_EXPOSITION_H
#define DAEMON_EXPOSITION_H

#include "base/macro.h"
#include "page/page.h"

#include <jansson.h>

struct daemon;

/* The page of metrics, of a page server whose context is the struct daemon. */
extern const struct page_settings exposition_page;
/* A list of {"Name", "Value"}, those of labels as "queries_by_type.A" where they are not 0. */
json_t *exposition_dns_counters(const struct daemon *daemon) MUST_CHECK;

#endif
