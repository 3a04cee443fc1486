/* CIDR collections as the handlers share them. Private to this room; everything lives in the call's
 * arena. Thread: the call's. */
#ifndef SERVICE_ROUTE53_CIDR_H
#define SERVICE_ROUTE53_CIDR_H

#include "model/location.h"
#include "service/route53/support.h"

#define ROUTE53_CIDR_COLLECTIONS_LIMIT 100U

struct route53_collection {
    const char *key;
    int64_t revision; /* of its last change */
    struct model_cidr_collection model;
};

/* NoSuchCidrCollectionException when there is none. */
int route53_collection_load(struct aws_call *call, const char *id,
                            struct route53_collection *ret_collection, struct err *err) MUST_CHECK;
/* "arn:aws:route53:::cidrcollection/<id>" */
const char *route53_collection_arn(struct aws_call *call, const char *id);

#endif
