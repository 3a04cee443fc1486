/* What the checkers see: GetHealthCheckStatus, GetHealthCheckLastFailureReason, GetCheckerIpRanges.
 * Called as handlers on API threads; they read the health engine's view and change nothing.
 *
 * Choices of ours: a calculated check, which no checker probes, shows one observation with its
 * verdict (Route 53 refuses the question); the checker ranges are the addresses of this host's
 * network interfaces, as its probes leave from one of them. Invariant: a check that exists in the
 * store is never answered "no such check", even before the engine has seen it. */
#include "base/address.h"
#include "base/text.h"
#include "model/check.h"
#include "service/route53/check.h"
#include "service/route53/handlers.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

#define ADDRESSES_LIMIT 256U

/* NULL tree when the engine does not know the check yet. */
static int load_status(struct aws_call *call, const json_t *in, struct route53_check *ret_check,
                       json_t **ret_status, struct err *err)
{
    const struct service_views *views = &service_context(call)->views;
    int rc = route53_check_load(call, route53_text(in, "HealthCheckId"), ret_check, err);
    if (rc != 0) {
        return rc;
    }
    json_t *status = NULL;
    rc = views->check_status(views->context, ret_check->model.id, &status, err);
    if (rc == -ENOENT) {
        err_clear(err);
        *ret_status = NULL;
        return 0;
    }
    *ret_status = route53_keep(call, status);
    return rc;
}

/* One HealthCheckObservation; members that the view does not have are left out. */
static json_t *observation(const json_t *view, const char *status, const char *time)
{
    return json_pack("{s:s*, s:s*, s:{s:s*, s:s*}}", "Region",
                     json_string_value(json_object_get(view, "Region")), "IPAddress",
                     json_string_value(json_object_get(view, "Address")), "StatusReport", "Status",
                     json_string_value(json_object_get(view, status)), "CheckedTime",
                     json_string_value(json_object_get(view, time)));
}

static json_t *calculated_observation(const json_t *status)
{
    return json_pack("{s:{s:s, s:s*}}", "StatusReport", "Status",
                     json_is_true(json_object_get(status, "Healthy"))
                         ? "Success: enough of the child health checks are healthy"
                         : "Failure: too few of the child health checks are healthy",
                     "CheckedTime", json_string_value(json_object_get(status, "Since")));
}

int route53_get_health_check_status(struct aws_call *call, const json_t *in, json_t **ret_out,
                                    struct err *err)
{
    struct route53_check check;
    json_t *status = NULL;
    int rc = load_status(call, in, &check, &status, err);
    if (rc != 0) {
        return rc;
    }
    json_t *list = json_array();
    const json_t *views = json_object_get(status, "Observations");
    for (size_t i = 0; i < json_array_size(views); i++) {
        (void)json_array_append_new(list,
                                    observation(json_array_get(views, i), "Status", "Checked"));
    }
    if (status != NULL && check.model.type == MODEL_CHECK_CALCULATED) {
        (void)json_array_append_new(list, calculated_observation(status));
    }
    return route53_answer(json_pack("{s:o}", "HealthCheckObservations", list), ret_out, err);
}

int route53_get_health_check_last_failure_reason(struct aws_call *call, const json_t *in,
                                                 json_t **ret_out, struct err *err)
{
    struct route53_check check;
    json_t *status = NULL;
    int rc = load_status(call, in, &check, &status, err);
    if (rc != 0) {
        return rc;
    }
    json_t *list = json_array();
    const json_t *views = json_object_get(status, "Observations");
    for (size_t i = 0; i < json_array_size(views); i++) {
        const json_t *view = json_array_get(views, i);
        if (route53_text(view, "LastFailure")[0] != '\0') {
            (void)json_array_append_new(list, observation(view, "LastFailure", "LastFailureAt"));
        }
    }
    return route53_answer(json_pack("{s:o}", "HealthCheckObservations", list), ret_out, err);
}

/* "192.0.2.1/32", "2001:db8::1/128"; NULL for what is no IP address. */
static json_t *range_of(const struct sockaddr *address)
{
    char text[ADDRESS_TEXT];
    if (address == NULL) {
        return NULL;
    }
    address_text(address, text);
    const char *bits = strchr(text, ':') != NULL ? "128" : "32";
    return text[0] != '\0' ? json_sprintf("%s/%s", text, bits) : NULL;
}

int route53_get_checker_ip_ranges(struct aws_call *call, const json_t *in, json_t **ret_out,
                                  struct err *err)
{
    struct ifaddrs *interfaces = NULL;
    (void)call; /* the answer is this host's */
    (void)in;   /* the operation has no members */
    if (getifaddrs(&interfaces) != 0) {
        return err_set_errno(err, errno, "listing this host's addresses");
    }
    json_t *list = json_array();
    for (const struct ifaddrs *at = interfaces; at != NULL; at = at->ifa_next) {
        if ((at->ifa_flags & IFF_UP) == 0 || json_array_size(list) >= ADDRESSES_LIMIT) {
            continue;
        }
        json_t *range = range_of(at->ifa_addr);
        if (range != NULL) {
            (void)json_array_append_new(list, range);
        }
    }
    freeifaddrs(interfaces);
    return route53_answer(json_pack("{s:o}", "CheckerIpRanges", list), ret_out, err);
}
