/* Headers of requests and responses: see http.h. */
#include "aws/http.h"

#include "base/text.h"

#include <assert.h>

const char *http_header_value(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (text_equal_nocase(request->headers[i].name, name)) {
            return request->headers[i].value;
        }
    }
    return NULL;
}

void http_response_add(struct http_response *response, const char *name, const char *value)
{
    assert(response->header_count < sizeof response->headers / sizeof response->headers[0]);
    response->headers[response->header_count].name = name;
    response->headers[response->header_count].value = value;
    response->header_count++;
}
