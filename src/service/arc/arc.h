/* Routing controls (Application Recovery Controller): route53-recovery-control-config, which makes
 * clusters, control panels, routing controls and safety rules, and route53-recovery-cluster, which
 * reads and changes states. Thread: any API thread; a handler keeps nothing between calls but the
 * cache of panels in its context. aws_call.context is a struct service_context. */
#ifndef SERVICE_ARC_ARC_H
#define SERVICE_ARC_ARC_H

#include "aws/service.h"

extern const struct aws_service service_arc_config;
extern const struct aws_service service_arc_cluster;

/* RECOVERY_CONTROL health checks name controls that must stay: see support.h. */

#endif
