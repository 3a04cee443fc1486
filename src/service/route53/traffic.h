/* Traffic policies: what their files share. A policy's document is a tree of rules over endpoints
 * (traffic_document.c, traffic_rule.c); an instance of it is compiled to record sets
 * (traffic_compile.c) that are written in the transaction that makes or updates the instance:
 *
 *   www.example.com.                         alias, the one record set that users see
 *   _tp-<instance>-<generation>-<rule>.example.com.   one group of record sets a rule
 *
 * The groups live below PATH_TRAFFIC_RECORDS: DNS serves them as it serves all records, the API
 * never shows or counts them. Every update takes a new generation of names, so the one visible
 * record set changes from one whole tree to another. Private to this room. Thread: the call's;
 * memory: the call's arena. */
#ifndef SERVICE_ROUTE53_TRAFFIC_H
#define SERVICE_ROUTE53_TRAFFIC_H

#include "base/random.h"
#include "model/zone.h"
#include "service/route53/batch.h"
#include "service/route53/support.h"

#define TRAFFIC_DEPTH_LIMIT 16U       /* rules below one another */
#define TRAFFIC_RECORDS_LIMIT 1000U   /* record sets of one instance */
#define TRAFFIC_VALUES_LIMIT 1000000U /* characters of all their values */
#define TRAFFIC_RULE_LIMIT 100U       /* references of a rule: Route 53's bound on a group */
#define TRAFFIC_MULTIVALUE_LIMIT 200U /* and of a multivalue rule */

/* ---- documents ---- */

/* Exactly one of both is set. */
struct traffic_endpoint {
    const char *id;
    const char *value; /* a record's value */
    const char *alias; /* the name of a service's endpoint */
};

struct traffic_rule;

/* What a rule routes to, and when. */
struct traffic_reference {
    const struct traffic_endpoint *endpoint; /* NULL: the rule */
    struct traffic_rule *rule;
    bool evaluate_health;     /* of an alias; on unless the document says no */
    const char *health_check; /* "" when none */
    const char *identifier;   /* "primary", "secondary", or its place in the rule from 1 on */
    const json_t *policy;     /* members that make a record set one of this policy: {"Weight":3} */
};

enum traffic_visit { TRAFFIC_NEW, TRAFFIC_OPEN, TRAFFIC_DONE };

struct traffic_rule {
    const char *id;
    json_t *json;
    size_t index; /* in the document */
    struct traffic_reference *references;
    size_t count;
    enum traffic_visit visit; /* NEW after reading: the start does not lead to it */
    unsigned height;          /* rules below it, itself counted */
};

struct traffic_document {
    const char *type;                              /* record type */
    bool local_zones;                              /* version 2023-05-09 */
    const struct traffic_endpoint *start_endpoint; /* NULL: the rule */
    struct traffic_rule *start_rule;
    struct traffic_endpoint *endpoints;
    size_t endpoint_count;
    struct traffic_rule *rules;
    size_t rule_count;
};

/* InvalidTrafficPolicyDocument with what is wrong and where. */
int traffic_document_read(struct aws_call *call, const char *text,
                          struct traffic_document *ret_document, struct err *err) MUST_CHECK;
int traffic_invalid(struct aws_call *call, struct err *err, const char *format, ...) PRINTF(3, 4);
/* Refuses members that are not in the list (ended by NULL), as a misspelt one would be without
 * effect, and members that must be text and are not. */
int traffic_members(struct aws_call *call, json_t *object, const char *const *known,
                    const char *where, struct err *err) MUST_CHECK;
/* traffic_rule.c: the references of a rule; endpoints and ids of rules are there already. */
int traffic_rule_read(struct aws_call *call, const struct traffic_document *document,
                      struct traffic_rule *rule, struct err *err) MUST_CHECK;

/* ---- record sets ---- */

struct traffic_place {
    const char *zone_id;
    const char *zone_name;
    const char *name; /* canonical */
    const char *instance_id;
    int64_t generation;
    int64_t ttl_s;
};

struct traffic_record {
    json_t *tree; /* as it is stored; kept */
    struct model_record_set model;
};

struct traffic_records {
    struct traffic_record *items; /* the first is the visible one */
    size_t count;
};

/* InvalidTrafficPolicyDocument when a record set would not be valid, InvalidInput when the name is
 * too long. */
int traffic_compile(struct aws_call *call, const struct traffic_document *document,
                    const struct traffic_place *place, struct traffic_records *ret_records,
                    struct err *err) MUST_CHECK;
/* A problem of the batch when the name belongs to an instance's hidden record sets: DNS would take
 * one of its own for the other. */
int traffic_judge_name(struct batch *batch, const char *name, struct err *err) MUST_CHECK;
/* The part of their keys that all hidden record sets of a generation share. */
const char *traffic_record_prefix(struct aws_call *call, const struct traffic_place *place);

/* ---- policies and instances ---- */

struct traffic_policy {
    const json_t *tree; /* of the version */
    const char *key;    /* of the version */
    const char *type;
    const char *document;
    const char *head_key; /* of the policy */
    int64_t head_revision;
    json_t *head; /* may be changed and put */
};

/* NoSuchTrafficPolicy. */
int traffic_policy_load(struct aws_call *call, const char *id, int64_t version,
                        struct traffic_policy *ret_policy, struct err *err) MUST_CHECK;
/* The TrafficPolicy shape; a new reference. */
json_t *traffic_policy_show(const json_t *tree);
/* A UUID that sorts by the time of its making (RFC 9562, version 7): lists are in that order. */
const char *traffic_new_id(struct aws_call *call);

/* An instance as it is stored. NoSuchTrafficPolicyInstance. */
struct traffic_instance {
    json_t *tree; /* kept */
    const char *key;
    int64_t revision;
    bool updated; /* since it was created */
};

int traffic_instance_load(struct aws_call *call, const char *id,
                          struct traffic_instance *ret_instance, struct err *err) MUST_CHECK;
/* The TrafficPolicyInstance shape; served: what route53_served gave. A new reference. */
json_t *traffic_instance_show(const struct traffic_instance *instance, int64_t served);

#endif
