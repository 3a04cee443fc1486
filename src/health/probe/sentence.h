/* The sentences of GetHealthCheckStatus and GetHealthCheckLastFailureReason, worded as Route 53
 * words them where its wording is public. Private to health/probe; health loop only. */
#ifndef HEALTH_PROBE_SENTENCE_H
#define HEALTH_PROBE_SENTENCE_H

#include "base/macro.h"
#include "health/probe/probe.h"

/* Each decides the probe (engine_pass, engine_fail). */
void sentence_connect_failed(struct probe *probe, int errno_value);
void sentence_timed_out(struct probe *probe);
void sentence_unresolved(struct probe *probe, const char *reason);
void sentence_closed(struct probe *probe);
void sentence_tls_failed(struct probe *probe, const char *reason);
void sentence_not_http(struct probe *probe);
/* From the verdict on the response. */
void sentence_response(struct probe *probe);

#endif
