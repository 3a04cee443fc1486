/* The sentences: see sentence.h. "Resolved IP" is the address that was probed, as Route 53 shows
 * it. */
#include "health/probe/sentence.h"

#include "health/probe/engine.h"

#include <errno.h>

#define DOWN                                                                                       \
    "The endpoint or the internet connection is down, or requests are being blocked by your "      \
    "firewall."

void sentence_connect_failed(struct probe *probe, int errno_value)
{
    const char *address = probe->address_text;
    switch (errno_value) {
    case ECONNREFUSED:
        engine_fail(probe, "Failure: Connection refused. Resolved IP: %s", address);
        break;
    case ETIMEDOUT:
        sentence_timed_out(probe);
        break;
    case ECONNRESET:
    case EPIPE:
        sentence_closed(probe);
        break;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        engine_blame_host(probe);
        engine_fail(probe, "Failure: The health checker couldn't make the request: %s",
                    uv_strerror(-errno_value));
        break;
    default:
        engine_fail(probe, "Failure: %s. " DOWN " Resolved IP: %s", uv_strerror(-errno_value),
                    address);
        break;
    }
}

void sentence_timed_out(struct probe *probe)
{
    const char *address = probe->address_text;
    switch (probe->phase) {
    case PHASE_CONNECT:
        if (address[0] == '\0') {
            /* Names whose servers are silent keep the threads from asking for this one. */
            if (probe->lookup != NULL && lookup_waits(probe->lookup)) {
                engine_blame_host(probe);
            }
            sentence_unresolved(probe, "no answer in time");
        } else {
            engine_fail(probe, "Failure: Connection timed out. " DOWN " Resolved IP: %s", address);
        }
        break;
    case PHASE_STATUS:
        engine_fail(probe,
                    "Failure: Resolved IP: %s. The endpoint didn't send an HTTP status code within "
                    "the time limit.",
                    address);
        break;
    case PHASE_BODY:
        engine_fail(probe,
                    "Failure: HTTP Status Code %d, %s. Resolved IP: %s. The response wasn't "
                    "complete within the time limit.",
                    probe->response.status, probe->response.reason, address);
        break;
    }
}

void sentence_unresolved(struct probe *probe, const char *reason)
{
    engine_fail(probe, "Failure: DNS resolution failed: %s", reason);
}

void sentence_closed(struct probe *probe)
{
    engine_fail(probe, "Failure: Resolved IP: %s. The connection was closed by the endpoint.",
                probe->address_text);
}

void sentence_tls_failed(struct probe *probe, const char *reason)
{
    engine_fail(probe, "Failure: SSL negotiation failed: %s. Resolved IP: %s", reason,
                probe->address_text);
}

void sentence_not_http(struct probe *probe)
{
    engine_fail(probe, "Failure: Resolved IP: %s. The endpoint didn't answer in HTTP.",
                probe->address_text);
}

void sentence_response(struct probe *probe)
{
    const struct response *response = &probe->response;
    const char *address = probe->address_text;
    switch (response->verdict) {
    case RESPONSE_PASSED:
        engine_pass(probe, "Success: HTTP Status Code %d, %s. Resolved IP: %s", response->status,
                    response->reason, address);
        break;
    case RESPONSE_BAD_STATUS:
        engine_fail(probe, "Failure: HTTP Status Code %d, %s. Resolved IP: %s", response->status,
                    response->reason, address);
        break;
    case RESPONSE_NOT_FOUND:
        engine_fail(probe,
                    "Failure: HTTP Status Code %d, %s. Resolved IP: %s. The search string wasn't "
                    "found in the first %u bytes of the response body.",
                    response->status, response->reason, address, RESPONSE_BODY_LIMIT);
        break;
    case RESPONSE_HEADERS_TOO_LONG:
        engine_fail(probe,
                    "Failure: Resolved IP: %s. The response headers are larger than %u bytes.",
                    address, RESPONSE_HEADER_LIMIT);
        break;
    case RESPONSE_MALFORMED:
    case RESPONSE_PENDING:
        sentence_not_http(probe);
        break;
    }
}
