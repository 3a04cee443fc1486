/* Choosing the version of HTTP: see https.h. Called by dns/server, one connection each; owns the
 * state of either version. */
#include "dns/https/https.h"

#include "dns/https/http1.h"
#include "dns/https/http2.h"

#include <assert.h>
#include <stdlib.h>

struct https {
    struct http2 *http2; /* NULL: HTTP/1.1 */
    struct http1 http1;
};

struct https *https_new(bool http2)
{
    struct https *https = calloc(1, sizeof *https);
    if (https != NULL && http2) {
        https->http2 = http2_new();
        if (https->http2 == NULL) {
            free(https);
            return NULL;
        }
    }
    return https;
}

void https_free(struct https *take_https)
{
    if (take_https != NULL) {
        http2_free(take_https->http2);
        http1_done(&take_https->http1);
        free(take_https);
    }
}

bool https_receive(struct https *https, const uint8_t *data, size_t size)
{
    assert(size <= HTTPS_INPUT_MOST);
    return https->http2 != NULL ? http2_receive(https->http2, data, size)
                                : http1_receive(&https->http1, data, size);
}

size_t https_produce(struct https *https, struct https_service *service, uint8_t *out, size_t size,
                     bool *ret_more)
{
    assert(size >= HTTPS_OUTPUT_LEAST);
    return https->http2 != NULL ? http2_produce(https->http2, service, out, size, ret_more)
                                : http1_produce(&https->http1, service, out, size, ret_more);
}

void https_end(struct https *https)
{
    if (https->http2 != NULL) {
        http2_end(https->http2);
    }
}

bool https_is_over(const struct https *https)
{
    return https->http2 != NULL ? http2_is_over(https->http2) : https->http1.over;
}
