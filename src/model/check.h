/* Health checks as plain records, their store encoding, and the options that come from tags.
 * Thread: any. */
#ifndef MODEL_CHECK_H
#define MODEL_CHECK_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

enum model_check_type {
    MODEL_CHECK_HTTP,
    MODEL_CHECK_HTTPS,
    MODEL_CHECK_HTTP_STR_MATCH,
    MODEL_CHECK_HTTPS_STR_MATCH,
    MODEL_CHECK_TCP,
    MODEL_CHECK_CALCULATED,
    MODEL_CHECK_CLOUDWATCH_METRIC,
    MODEL_CHECK_RECOVERY_CONTROL,
};

/* Leeward's additions, from the check's tags (DESIGN section 6). 0 and false mean: as Route 53
 * does. */
struct model_check_options {
    int64_t interval_ms; /* leeward:interval-ms, 100 to 300,000 */
    int64_t timeout_ms;  /* leeward:timeout-ms, 10 to 60,000: the whole probe instead of Route 53's
                            phases */
    uint32_t failures_down; /* leeward:failures-down, 1 to 100 */
    uint32_t successes_up;  /* leeward:successes-up, 1 to 100 */
    bool latch;             /* leeward:latch: stays unhealthy until reset */
    bool verify_tls;        /* leeward:verify-tls: check the certificate and its name */
    bool majority;          /* leeward:vote=majority: of sites, instead of Route 53's 18 % */
};

/* {"v":1,"Id":..,"CallerReference":..,"HealthCheckVersion":n,"HealthCheckConfig":{as the API}} */
struct model_check {
    const char *id; /* UUID */
    const char *caller_reference;
    int64_t version;
    enum model_check_type type;
    const char *ip_address; /* "" when the name is resolved at every probe */
    const char *host_name;  /* FullyQualifiedDomainName, "" when none */
    uint16_t port;
    const char *resource_path; /* starts with '/' */
    const char *search_string;
    uint32_t request_interval_s; /* 10 or 30 */
    uint32_t failure_threshold;
    bool measure_latency;
    bool inverted;
    bool disabled;
    bool enable_sni;
    const char **children; /* CALCULATED: check ids */
    size_t child_count;
    uint32_t health_threshold;
    const char *routing_control; /* RECOVERY_CONTROL: its ARN; "" otherwise */
    struct model_check_options options;
};

const char *model_check_type_name(enum model_check_type type);

/* The record and, when tags is not NULL, the value of its tags record for the options. */
int model_check_decode(const void *value, size_t size, const void *tags, size_t tags_size,
                       struct arena *arena, struct model_check *ret_check, struct err *err)
    MUST_CHECK;
/* From a HealthCheckConfig tree, as Route 53 validates it (spec/route53.md "Health checks"):
 * defaults filled in, ERR_INVALID with the reason otherwise. id, caller_reference, version and
 * options are left empty. */
int model_check_from_json(const json_t *config, struct arena *arena, struct model_check *ret_check,
                          struct err *err) MUST_CHECK;
/* Options out of [{"Key":..,"Value":..}]: ERR_INVALID names the first leeward: tag that is unknown
 * or out of bounds. */
int model_check_options_parse(const json_t *tags, struct model_check_options *ret_options,
                              struct err *err) MUST_CHECK;

#endif
