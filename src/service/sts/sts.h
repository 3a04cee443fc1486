/* STS: who am I. Clients ask it to find out the account and whether their key works. Thread: any
 * API thread; nothing is kept. */
#ifndef SERVICE_STS_STS_H
#define SERVICE_STS_STS_H

#include "aws/service.h"

extern const struct aws_service service_sts;

#endif
