/* Where records live in the store: every key is built here and nowhere else.
 *
 *   r53/zone/<zone id>                                   model_zone
 *   r53/name/<reversed name>!/<zone id>                  empty object; finds zones by name, in
 *                                                        AWS's order
 *   r53/rrset/<zone id>/<reversed name>!/<type>/<set id> model_record_set
 *   r53/check/<check id>                                 model_check
 *   r53/tags/<resource type>/<resource id>               {"v":1,"Tags":[{"Key":..,"Value":..}]}
 *   r53/guard/children                                   {"v":1}: written whenever a calculated
 * check takes children, compared by deletions r53/ref/<kind>/<caller reference> idempotency:
 * {"v":1,"Id":..} r53/delegation/<id>                                  reusable delegation sets
 *   r53/change/<change id>                               {"v":1,"Id","SubmittedAt","Comment"}; its
 *                                                        created_revision is the revision that DNS
 *                                                        must have applied for INSYNC
 *   r53/traffic/head/<policy id>                         {"v":1,"Id","Name","Type",..}: of a
 *                                                        traffic policy's versions together
 *   r53/traffic/version/<policy id>/<0001>               {"v":1} and the TrafficPolicy shape
 *   r53/traffic/instance/<instance id>                   {"v":1} and the TrafficPolicyInstance
 *                                                        shape without its state; "Generation"
 *   r53/traffic/place/<zone id>/<reversed name>!/<type>  {"v":1,"Id",..}: the instance there
 *   r53/traffic/use/<policy id>/<0001>/<zone id>/..      the same, of one version
 *   r53/traffic/rrset/<zone id>/..                       as r53/rrset: what instances are made of;
 *                                                        served, and never shown
 *   r53/tsig/<key name>                                  model_tsig_key
 *   r53/cidr/<collection id>                             model_cidr_collection
 *   r53/cidr-use/<collection id>/<record's key>          empty object: the record names the
 *                                                        collection
 *   auth/key/<access key id>                             model_access_key
 *   r53/secondary/<zone id>                              {"v":1,"Serial","Transferred"}: what a
 *                                                        zone's primary gave last
 *   r53/dnssec/<zone id>                                 model_dnssec: whether a zone is signed
 *   r53/ksk/<zone id>/<name>                             model_signing_key: a key-signing key
 *   r53/zsk/<zone id>/<key tag>                          model_signing_key: a zone-signing key
 *   arc/cluster/<cluster id>                             routing controls (model/arc.h): a cluster
 *   arc/panel/<panel id>                                 a control panel
 *   arc/control/<panel id>/<control id>                  a routing control's settings
 *   arc/state/<panel id>/<control id>                    model_arc_state: On or Off, since when
 *   arc/rule/<panel id>/<rule id>                        model_arc_rule
 *   arc/guard/<panel id, cluster id or "clusters">       {"v":1}: written by whatever changes what
 *                                                        belongs to it, compared by whoever judged
 *   arc/token/<client token>                             idempotency: {"v":1,"Operation","Request",
 *                                                        "Arn"}; goes with what it made
 *   seal/rewrite                                         {"v":1} while the store's files may hold
 *                                                        secrets of old times in plain
 *   node/<node name>/dns                                 what a DNS node has applied:
 *                                                        {"v":1,"Revision":n}
 *   node/<node name>/serial/<zone id>                    {"v":1,"Serial":n}: a serial ahead of the
 *                                                        clock, not served by this node yet
 *   node/<node name>/verdict/<check id>                  health: what a restart must not forget
 *
 *   site/ca                                              {"v":1,"Certificate","Sealed"}: the CA of
 *                                                        the sites, its key sealed
 *   site/member/<site>                                   a site of the cluster (site/site.h)
 *   site/live/<site>                                     {"v":1,"Node","Version","Started"} while
 *                                                        its daemon runs, under a lease
 *   site/token/<token id>                                {"v":1,"Hash","Expires"}: lets one join
 *
 * A reversed name has a trailing dot: "com.example.www." (Route 53 sorts so: a name with '-' where
 * another one ends comes first, because '-' sorts before '.'); the '!' behind it sorts before every
 * character of a name, so a name comes before the names below it.
 * Components that clients choose (set identifiers, caller references) are percent-encoded, so that
 * they contain neither '/' nor control characters. Thread: any. Memory: the caller's arena. */
#ifndef MODEL_PATH_H
#define MODEL_PATH_H

#include "base/arena.h"
#include "base/macro.h"

#include <stdint.h>

#define PATH_ZONES "r53/zone/"
#define PATH_ZONE_NAMES "r53/name/"
#define PATH_RECORDS "r53/rrset/"
#define PATH_CHECKS "r53/check/"
#define PATH_CHECK_GUARD "r53/guard/children"
#define PATH_TAGS "r53/tags/"
#define PATH_CHECK_TAGS "r53/tags/healthcheck/"
#define PATH_ZONE_TAGS "r53/tags/hostedzone/"
#define PATH_TSIG "r53/tsig/"
#define PATH_REFS "r53/ref/"
#define PATH_DELEGATIONS "r53/delegation/"
#define PATH_COLLECTIONS "r53/cidr/"
#define PATH_COLLECTION_USES "r53/cidr-use/"
#define PATH_CHANGES "r53/change/"
#define PATH_TRAFFIC_HEADS "r53/traffic/head/"
#define PATH_TRAFFIC_VERSIONS "r53/traffic/version/"
#define PATH_TRAFFIC_INSTANCES "r53/traffic/instance/"
#define PATH_TRAFFIC_PLACES "r53/traffic/place/"
#define PATH_TRAFFIC_USES "r53/traffic/use/"
#define PATH_TRAFFIC_RECORDS "r53/traffic/rrset/"
#define PATH_ROUTE53 "r53/"
#define PATH_ACCESS_KEYS "auth/key/"
#define PATH_SIGNING_KEYS "r53/ksk/"
#define PATH_ZONE_KEYS "r53/zsk/"
#define PATH_DNSSEC "r53/dnssec/"
#define PATH_SECONDARIES "r53/secondary/"
#define PATH_ARC_CLUSTERS "arc/cluster/"
#define PATH_ARC_PANELS "arc/panel/"
#define PATH_ARC_CONTROLS "arc/control/"
#define PATH_ARC_STATES "arc/state/"
#define PATH_ARC_RULES "arc/rule/"
#define PATH_ARC_GUARDS "arc/guard/"
#define PATH_ARC_TOKENS "arc/token/"
#define PATH_SEAL_REWRITE "seal/rewrite"
#define PATH_NODES "node/"
#define PATH_SITE_CA "site/ca"
#define PATH_SITE_GUARD "site/guard" /* written with each member that is added */
#define PATH_SITE_MEMBERS "site/member/"
#define PATH_SITE_LIVE "site/live/"
#define PATH_SITE_TOKENS "site/token/"

/* prefix followed by the percent-encoded component. */
char *path_join(struct arena *arena, const char *prefix, const char *component) MUST_CHECK;
/* "www.example.com." -> "com.example.www."; escapes stay as they are, as Route 53 sorts by the
 * escaped text. The name is in canonical form (name_canonical). It is its own inverse. */
char *path_reversed_name(struct arena *arena, const char *name) MUST_CHECK;
/* r53/name/<reversed name>!/<zone id> */
char *path_zone_name(struct arena *arena, const char *name, const char *zone_id) MUST_CHECK;
/* r53/rrset/<zone>/ */
char *path_zone_records(struct arena *arena, const char *zone_id) MUST_CHECK;
/* r53/rrset/<zone>/<reversed name>!/: all records of one name. */
char *path_name_records(struct arena *arena, const char *zone_id, const char *name) MUST_CHECK;
/* r53/rrset/<zone>/<reversed name>!/<type>/<set identifier>; set_identifier "" for a simple record.
 */
char *path_record(struct arena *arena, const char *zone_id, const char *name, const char *type,
                  const char *set_identifier) MUST_CHECK;
/* The same below PATH_TRAFFIC_RECORDS. */
char *path_traffic_record(struct arena *arena, const char *zone_id, const char *name,
                          const char *type, const char *set_identifier) MUST_CHECK;
/* <prefix><zone>/<reversed name>: all records of the name and of the names below it, where prefix
 * is PATH_RECORDS or PATH_TRAFFIC_RECORDS. */
char *path_records_from(struct arena *arena, const char *prefix, const char *zone_id,
                        const char *name) MUST_CHECK;
/* r53/traffic/version/<policy>/<0001> */
char *path_traffic_version(struct arena *arena, const char *policy_id, int64_t version) MUST_CHECK;
/* r53/traffic/use/<policy>/<0001>/ */
char *path_traffic_uses(struct arena *arena, const char *policy_id, int64_t version) MUST_CHECK;
/* <prefix><zone>/<reversed name>!/<type>, where prefix is PATH_TRAFFIC_PLACES or a
 * path_traffic_uses. */
char *path_traffic_place(struct arena *arena, const char *prefix, const char *zone_id,
                         const char *name, const char *type) MUST_CHECK;
/* Takes the key of a record set apart, below either prefix; strings live in the arena, the name is
 * canonical again. -EINVAL when it is none. */
struct path_record_parts {
    const char *zone_id;
    const char *name;
    const char *type;
    const char *set_identifier;
};
int path_record_split(struct arena *arena, const char *key, struct path_record_parts *ret_parts)
    MUST_CHECK;
/* r53/tags/<resource type>/<resource id> */
char *path_tags(struct arena *arena, const char *resource_type, const char *resource_id) MUST_CHECK;
/* r53/ref/<kind>/<caller reference> */
char *path_reference(struct arena *arena, const char *kind, const char *reference) MUST_CHECK;
/* r53/ksk/<zone>/<name>, r53/zsk/<zone>/<key tag>, and what all of a zone's begin with. */
char *path_signing_key(struct arena *arena, const char *zone_id, const char *name) MUST_CHECK;
char *path_signing_keys(struct arena *arena, const char *zone_id) MUST_CHECK;
char *path_zone_key(struct arena *arena, const char *zone_id, unsigned tag) MUST_CHECK;
char *path_zone_keys(struct arena *arena, const char *zone_id) MUST_CHECK;
/* The last component, decoded; NULL when key does not start with prefix. */
char *path_tail(struct arena *arena, const char *key, const char *prefix) MUST_CHECK;

#endif
