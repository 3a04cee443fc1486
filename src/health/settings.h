/* Starting with other probe settings than Route 53's: for tests of this room, with shorter limits
 * and certificates of their own. Private to health. */
#ifndef HEALTH_SETTINGS_H
#define HEALTH_SETTINGS_H

#include "health/health.h"
#include "health/probe/probe.h"

int health_start_with(const struct health_config *config, const struct probe_settings *probes,
                      struct health **ret_health, struct err *err) MUST_CHECK;

#endif
