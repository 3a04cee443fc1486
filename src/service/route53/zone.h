/* A hosted zone as the handlers of this room read and show it. Private to this room. Thread: the
 * call's; memory: the call's arena. */
#ifndef SERVICE_ROUTE53_ZONE_H
#define SERVICE_ROUTE53_ZONE_H

#include "model/zone.h"
#include "service/route53/support.h"

struct route53_zone {
    struct model_zone model;
    const char *key;
    int64_t revision; /* of its record: what a change of the zone compares with */
    json_t *tree; /* the stored value, kept: members that are not known here survive a rewrite */
};

/* id with or without /hostedzone/. NoSuchHostedZone. */
int route53_zone_load(struct aws_call *call, const char *id, struct route53_zone *ret_zone,
                      struct err *err) MUST_CHECK;
int route53_zone_read(struct aws_call *call, const struct store_entry *entry,
                      struct route53_zone *ret_zone, struct err *err) MUST_CHECK;
/* The HostedZone shape; a new reference. */
json_t *route53_zone_show(const struct model_zone *zone);
/* The DelegationSet shape; id may be "" (not reusable). A new reference. */
json_t *route53_delegation_show(const char *id, const char *caller_reference,
                                const char *const *name_servers, size_t count);
/* Whether the canonical name is the zone's or below it. */
bool route53_zone_holds(const struct model_zone *zone, const char *name);

#endif
