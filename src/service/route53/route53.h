/* The Route 53 service: handlers for the operations of src/aws/operations.list. They validate
 * meaning and write records (model/path.h); the data planes watch those. Thread: any API thread; a
 * handler keeps nothing between calls. aws_call.context is a struct service_context. */
#ifndef SERVICE_ROUTE53_ROUTE53_H
#define SERVICE_ROUTE53_ROUTE53_H

#include "aws/service.h"

extern const struct aws_service service_route53;

#endif
