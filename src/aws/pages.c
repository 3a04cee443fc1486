/* Plain pages: see pages.h. Called by dispatch.c before a request is taken for an API call; answers
 * are constant, so nothing is owned. Invariant: no page shows anything that needs a signature. */
#include "aws/pages.h"

#include "base/text.h"

#include <string.h>

struct page {
    const char *path;
    bool always; /* also when the request is signed */
    const char *body;
};

static const struct page pages[] = {
    {"/leeward/healthz", true, "ok\n"},
    {"/", false,
     "This is Leeward, which speaks the AWS APIs.\n"
     "\n"
     "Talk to it with the AWS CLI or any AWS SDK: set the endpoint to this address and sign with "
     "a\n"
     "Leeward access key, for example\n"
     "\n"
     "    export AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... AWS_DEFAULT_REGION=us-east-1\n"
     "    aws --endpoint-url http://127.0.0.1:4566 route53 list-hosted-zones\n"
     "\n"
     "The first start of leewardd prints an access key; `leeward key create` makes more.\n"},
};

bool pages_answer(const struct http_request *request, bool has_signature,
                  struct http_response *ret_response)
{
    bool reads = text_equal(request->method, "GET") || text_equal(request->method, "HEAD");
    for (size_t i = 0; i < ARRAY_SIZE(pages) && reads; i++) {
        const struct page *page = &pages[i];
        if (text_equal(request->path, page->path) &&
            (page->always || (!has_signature && request->query[0] == '\0'))) {
            *ret_response = (struct http_response){.status = 200,
                                                   .content_type = "text/plain; charset=utf-8",
                                                   .body = page->body,
                                                   .body_size = strlen(page->body)};
            http_response_add(ret_response, "Cache-Control", "no-store");
            return true;
        }
    }
    if (text_equal(request->method, "OPTIONS") && !has_signature) {
        *ret_response = (struct http_response){.status = 204};
        http_response_add(ret_response, "Allow", "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS");
        return true;
    }
    return false;
}
