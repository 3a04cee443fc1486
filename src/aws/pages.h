/* What the API port answers besides API calls, without a signature: the health page for load
 * balancers, the front page, OPTIONS. Later pages (metrics, the console) become rows of the table
 * in pages.c. Private to this room. Any thread. */
#ifndef AWS_PAGES_H
#define AWS_PAGES_H

#include "aws/http.h"
#include "base/macro.h"

#include <stdbool.h>

/* True, with the answer, when the request is for a page; otherwise it is an API call.
 * has_signature: the request carries one; then only pages that no API path can collide with are
 * answered. */
bool pages_answer(const struct http_request *request, bool has_signature,
                  struct http_response *ret_response) MUST_CHECK;

#endif
