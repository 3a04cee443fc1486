/* What the threads of this room share. Private to it. */
#ifndef DATABASE_ENDPOINT_INTERNAL_H
#define DATABASE_ENDPOINT_INTERNAL_H

#include "base/buf.h"
#include "base/thread.h"
#include "database/endpoint/endpoint.h"
#include "database/endpoint/names.h"
#include "page/page.h"

struct database_endpoints {
    struct names names;
    char *zone;
    struct store_follower *follower;
    struct page_server *pages; /* NULL: none */
    pthread_t thread;
    bool started;
    char *written; /* its own: what was wanted when the zone was last as it shall be; NULL: never */
    struct mono written_at;
    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t changed;
    struct records records;
    bool known; /* they were read */
    bool dirty; /* they changed since the names were written */
    bool stopping;
};

/* pages.c: of the page server, with the endpoints as its context. */
extern const struct page_settings pages_settings;

/* pages.c: what a request is answered. path: "/writer", "/NAME/writer", "/REGION/NAME/writer" (and
 * reader, health); local: the address it came to, which names a server where the path does not.
 * Returns the HTTP status and puts the body; locks. */
enum page_status pages_say(struct database_endpoints *endpoints, const char *path,
                           const char *local, struct mono now, struct buf *body);

#endif
