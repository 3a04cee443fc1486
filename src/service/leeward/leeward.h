/* Leeward's own API (src/aws/overlay/leeward): what is seen and served, why, and who may call. The
 * command line uses it. Thread: any API thread; a handler keeps nothing between calls.
 * aws_call.context is a struct service_context. */
#ifndef SERVICE_LEEWARD_LEEWARD_H
#define SERVICE_LEEWARD_LEEWARD_H

#include "aws/service.h"

extern const struct aws_service service_leeward;

#endif
