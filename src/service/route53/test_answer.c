/* TestDNSAnswer: what this node's DNS server answers, for a resolver's and a client's address.
 * Called as a handler on API threads. Invariant: nothing is asked for a name outside the zone that
 * is named. */
#include "base/text.h"
#include "dns/wire/name.h"
#include "dns/wire/rdata.h"
#include "service/route53/handlers.h"
#include "service/route53/zone.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define DEFAULT_BITS_V4 24
#define DEFAULT_BITS_V6 64

/* AF_INET, AF_INET6, or 0. */
static int family_of(const char *address)
{
    struct in6_addr bytes;
    if (inet_pton(AF_INET, address, &bytes) == 1) {
        return AF_INET;
    }
    return inet_pton(AF_INET6, address, &bytes) == 1 ? AF_INET6 : 0;
}

/* The bits of the client's address that the query would carry. */
static int read_client(struct aws_call *call, const json_t *in, unsigned *ret_bits, struct err *err)
{
    const char *client = route53_text(in, "EDNS0ClientSubnetIP");
    const char *mask = route53_text(in, "EDNS0ClientSubnetMask");
    int family = family_of(client);
    if (client[0] == '\0') {
        *ret_bits = 0;
        return mask[0] == '\0' ? 0
                               : aws_error(call, err, "InvalidInput",
                                           "EDNS0ClientSubnetMask cannot be specified without "
                                           "EDNS0ClientSubnetIP");
    }
    if (family == 0) {
        return aws_error(call, err, "InvalidInput", "EDNS0ClientSubnetIP is not an IP address");
    }
    int64_t bits = family == AF_INET ? DEFAULT_BITS_V4 : DEFAULT_BITS_V6;
    int64_t most = family == AF_INET ? 32 : 128;
    if (mask[0] != '\0' && text_to_i64(mask, 0, most, &bits) != 0) {
        return aws_error(call, err, "InvalidInput",
                         "EDNS0ClientSubnetMask must be a number from 0 to %lld", (long long)most);
    }
    *ret_bits = (unsigned)bits;
    return 0;
}

/* The question: a canonical name within the zone, and a type. */
static int read_question(struct aws_call *call, const json_t *in, const struct model_zone *zone,
                         const char **ret_name, uint16_t *ret_type, struct err *err)
{
    const char *name = route53_text(in, "RecordName");
    char canonical[NAME_TEXT_LIMIT];
    uint16_t type = rr_type_from_text(route53_text(in, "RecordType"));
    if (name_canonical(name, canonical) != 0) {
        return aws_error(call, err, "InvalidInput", "%.150s is not a valid domain name", name);
    }
    if (!route53_zone_holds(zone, canonical)) {
        return aws_error(call, err, "InvalidInput", "%.100s is not within the hosted zone %.100s",
                         canonical, zone->name);
    }
    if (type == 0) {
        return aws_error(call, err, "InvalidInput", "RecordType is not a record type");
    }
    *ret_name = arena_strdup(call->arena, canonical);
    *ret_type = type;
    return 0;
}

int route53_test_dns_answer(struct aws_call *call, const json_t *in, json_t **ret_out,
                            struct err *err)
{
    const struct service_views *views = &service_context(call)->views;
    const char *resolver = route53_text(in, "ResolverIP");
    struct route53_zone zone;
    const char *name = NULL;
    uint16_t type = 0;
    unsigned bits = 0;
    json_t *answer = NULL;
    int rc = route53_zone_load(call, route53_text(in, "HostedZoneId"), &zone, err);
    if (rc == 0) {
        rc = read_question(call, in, &zone.model, &name, &type, err);
    }
    if (rc == 0) {
        rc = read_client(call, in, &bits, err);
    }
    if (rc == 0 && resolver[0] != '\0' && family_of(resolver) == 0) {
        rc = aws_error(call, err, "InvalidInput", "ResolverIP is not an IP address");
    }
    if (rc == 0) {
        rc = views->test_dns_answer(views->context, name, type, resolver,
                                    route53_text(in, "EDNS0ClientSubnetIP"), bits, &answer, err);
    }
    if (rc != 0) {
        return rc;
    }
    const char *server = zone.model.name_server_count > 0 ? zone.model.name_servers[0] : "";
    if (json_object_set_new(answer, "Nameserver", json_string(server)) != 0) {
        json_decref(answer);
        answer = NULL;
    }
    return route53_answer(answer, ret_out, err);
}
