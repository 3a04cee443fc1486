/* Pages over plain HTTP, for programs that watch: a listener and a thread of their own. What stands
 * on a page comes from the owner; nothing that is sent to it is read.
 *
 * Thread: open, run and stop by the owner; answer is called on a thread of this room, one call at a
 * time. Bounded, by the settings: connections, their time and memory, the size of a page. */
#ifndef PAGE_PAGE_H
#define PAGE_PAGE_H

#include "base/address.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/macro.h"

#include <netinet/in.h>
#include <stddef.h>

struct page_request {
    const char *path;         /* without a query */
    char local[ADDRESS_TEXT]; /* that it came to; "": not known */
};

enum page_status {
    PAGE_OK = 200,
    PAGE_NOT_FOUND = 404,
    PAGE_NOT_ALLOWED = 405,
    PAGE_UNAVAILABLE = 503,
};

struct page {
    enum page_status status; /* PAGE_OK, unless it is changed; as the next */
    const char *type;        /* plain text; one that is put here is constant */
    struct buf text;
};

struct page_settings {
    const char *name;    /* what is served, in messages: "metrics" */
    const char *methods; /* "GET, HEAD": others are refused */
    unsigned connections;
    unsigned connections_per_source;
    unsigned idle_s;
    size_t memory; /* of a connection: what is asked must fit in */
    size_t limit;  /* of a page */
    void (*answer)(void *context, const struct page_request *request, struct page *page);
};

struct page_server;

/* Binds, and serves nothing yet; port 0 asks the kernel. The settings are borrowed until it is
 * stopped. */
int page_open(const struct sockaddr_storage *address, const struct page_settings *settings,
              struct page_server **ret_server, struct err *err) MUST_CHECK;
const struct sockaddr_storage *page_address(const struct page_server *server);
/* Serves from now on. Once. */
int page_run(struct page_server *server, void *context, struct err *err) MUST_CHECK;
/* After it nothing is answered any more. NULL is fine. */
void page_stop(struct page_server *take_server);

#endif
