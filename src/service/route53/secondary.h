/* Hosted zones whose records come from another primary (the tag leeward:primary): what handlers may
 * and must do with them. Private to this room. Thread: the call's. */
#ifndef SERVICE_ROUTE53_SECONDARY_H
#define SERVICE_ROUTE53_SECONDARY_H

#include "service/route53/support.h"

#include <stdbool.h>

/* Whether the zone has a primary; adds to txn a compare that it stays so. */
int route53_secondary_find(struct aws_call *call, struct store_txn *txn, const char *zone_id,
                           bool *ret_found, struct err *err) MUST_CHECK;
/* InvalidInput when it has: its records are changed there. */
int route53_secondary_refuse(struct aws_call *call, struct store_txn *txn, const char *zone_id,
                             struct err *err) MUST_CHECK;
/* InvalidInput when the zone cannot have a primary: traffic policy instances make records in it. */
int route53_secondary_allow(struct aws_call *call, const char *zone_id, struct err *err) MUST_CHECK;
/* Into txn: the serial of its primary is forgotten, so that the next transfer brings everything. */
void route53_secondary_forget(struct aws_call *call, struct store_txn *txn, const char *zone_id);

#endif
