/* The handlers of this room, one file a noun. Private to it. Each is called by the codec on an API
 * thread with a validated tree, and answers with a tree of its service's model. */
#ifndef SERVICE_ARC_HANDLERS_H
#define SERVICE_ARC_HANDLERS_H

#include "aws/service.h"

#define ARC_HANDLER(name)                                                                          \
    int arc_##name(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err)

ARC_HANDLER(create_cluster);
ARC_HANDLER(describe_cluster);
ARC_HANDLER(list_clusters);
ARC_HANDLER(update_cluster);
ARC_HANDLER(delete_cluster);
ARC_HANDLER(get_resource_policy);

ARC_HANDLER(create_panel);
ARC_HANDLER(describe_panel);
ARC_HANDLER(list_panels);
ARC_HANDLER(update_panel);
ARC_HANDLER(delete_panel);

ARC_HANDLER(create_control);
ARC_HANDLER(describe_control);
ARC_HANDLER(list_controls);
ARC_HANDLER(update_control);
ARC_HANDLER(delete_control);
ARC_HANDLER(list_health_checks);

ARC_HANDLER(create_rule);
ARC_HANDLER(describe_rule);
ARC_HANDLER(list_rules);
ARC_HANDLER(update_rule);
ARC_HANDLER(delete_rule);

ARC_HANDLER(tag_resource);
ARC_HANDLER(untag_resource);
ARC_HANDLER(list_tags);

ARC_HANDLER(get_state);
ARC_HANDLER(list_states);
ARC_HANDLER(update_state);
ARC_HANDLER(update_states);

#endif
