/* What every service handler can reach: the store, and views of the data planes that the daemon
 * registers (a handler never calls a data plane; views only read). aws_call.context points to this.
 */
#ifndef SERVICE_COMMON_CONTEXT_H
#define SERVICE_COMMON_CONTEXT_H

#include "aws/service.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "seal/seal.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct controls_cache; /* service/common/controls.h */
struct model_region;   /* model/location.h */

struct service_views {
    void *context;
    /* The answer of this node's DNS server, as it would be sent. resolver and client are textual
     * addresses ("" when not given), client_bits the ECS prefix length.
     * {"RecordName":..,"RecordType":..,"RecordData":[..],"ResponseCode":"NOERROR","Protocol":"UDP"}
     */
    int (*test_dns_answer)(void *context, const char *name, uint16_t type, const char *resolver,
                           const char *client, unsigned client_bits, json_t **ret_answer,
                           struct err *err);
    /* Why: the policy and each candidate's health, as the leeward model's AnswerExplanation shape;
     * to the client "ADDRESS[/BITS]", or "" for any. ERR_INVALID. */
    int (*explain)(void *context, const char *name, uint16_t type, const char *client,
                   json_t **ret_explanation, struct err *err);
    /* Health of one check as the leeward model's CheckStatus shape:
     * {"Healthy","Since","Latched","Observations":[{"Region","Address","Healthy","Since","Status",
     * "Checked","LastFailure","LastFailureAt","LatencyMicroseconds"}]}. ERR_NOT_FOUND. */
    int (*check_status)(void *context, const char *check_id, json_t **ret_status, struct err *err);
    int (*reset_latch)(void *context, const char *check_id, struct err *err);
    /* Routed groups and which candidate is served: array of AnswerExplanation. *ret_more: there are
     * more of them than are shown at once. */
    int (*routed)(void *context, json_t **ret_list, bool *ret_more, struct err *err);
    /* Zones that have a primary, as the leeward model's SecondaryZone shapes. */
    int (*secondaries)(void *context, json_t **ret_list, struct err *err);
    /* Where the API can be called: [{"Endpoint":"http://127.0.0.1:4566","Region":..}], one for each
     * site; never empty. */
    int (*api_endpoints)(void *context, json_t **ret_list, struct err *err);
    /* Version, uptime, revision applied, DNS counters, health loop lag ...: NodeStatus shape. */
    int (*node)(void *context, json_t **ret_node, struct err *err);
    /* The sites of the cluster, as this one sees them: the leeward model's ListSitesResponse. */
    int (*sites)(void *context, json_t **ret_sites, struct err *err);
    /* Makes a cluster with this site as its first: {"Name","PeerAddress"}. ERR_INVALID when the
     * daemon was not started as a site, ERR_EXISTS when there is a cluster. */
    int (*site_init)(void *context, json_t **ret_site, struct err *err);
    /* {"Token","Expires"}: lets one site join. ERR_INVALID, ERR_NOT_FOUND. */
    int (*site_token)(void *context, int64_t seconds, json_t **ret_token, struct err *err);
    int (*site_remove)(void *context, const char *name, struct err *err);
};

struct service_context {
    struct store *store;
    struct store *replica;           /* what this site knows of it, a moment old; or the same */
    const struct seal *seal;         /* what secrets in the store are sealed with */
    struct controls_cache *controls; /* of routing controls; NULL: none */
    struct service_views views;
    const char *const *name_servers;    /* host names for delegation sets, four */
    const struct model_region *regions; /* of ours, with coordinates */
    size_t region_count;
};

static inline struct service_context *service_context(const struct aws_call *call)
{
    return call->context;
}

#endif
