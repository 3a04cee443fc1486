/* Databases (RDS): global clusters, DB clusters, DB instances and what they are made with. Handlers
 * write what is wanted; the regions' database agents make it so, and Describe operations show what
 * is wanted together with what agents see. Thread: any API thread; a handler keeps nothing between
 * calls. aws_call.context is a struct service_context. */
#ifndef SERVICE_RDS_RDS_H
#define SERVICE_RDS_RDS_H

#include "aws/service.h"

extern const struct aws_service service_rds;

#endif
