/* Changes of routing controls' states, made: see update.c. Private to this room. Thread: the
 * call's. Memory: the call's arena. */
#ifndef SERVICE_ARC_UPDATE_H
#define SERVICE_ARC_UPDATE_H

#include "aws/service.h"
#include "base/macro.h"
#include "service/common/change.h"

/* Makes a change that was read, and whose overridden rules are there, or says why not:
 * ConflictException with the rules that block it, ResourceNotFoundException, or the store's error,
 * of which ERR_UNAVAILABLE and ERR_TIMEOUT leave open whether it happened. */
int update_states(struct aws_call *call, struct change *change, struct err *err) MUST_CHECK;

#endif
