/* Which record sets a group's endpoints are, and what a server is for a load balancer: pure
 * functions of what the store has. Private to this room. Memory: the caller's arena. */
#ifndef DATABASE_ENDPOINT_WANTED_H
#define DATABASE_ENDPOINT_WANTED_H

#include "database/endpoint/records.h"

/* One value each: several readers are several weighted record sets, of which an answer has one. */
struct wanted {
    const char *name; /* with a dot at its end */
    const char *type; /* "A" or "AAAA" */
    const char *set;  /* the set identifier; "": a simple record */
    const char *address;
    const char *group;
};

struct wanted_list {
    struct wanted *items;
    size_t count;
    size_t capacity;
};

/* Adds the group's, for a zone's name with a dot at its end. Where the writer changes it is
 * already the new one once nobody else can become it (PROMOTING), so that the name is there when
 * the server is. */
void wanted_add(const struct picture *picture, const char *zone, struct arena *arena,
                struct wanted_list *list);

enum check_page { CHECK_WRITER, CHECK_READER, CHECK_HEALTH };

/* Whether the page of the member says yes. *ret_why: a sentence that says why, or why not. A writer
 * is only who holds a lease that was renewed within its length, as far as we were told; what an
 * agent has not confirmed for CHECK_STALE_MS does not count. */
#define CHECK_STALE_MS 30000
bool check_member(const struct picture *picture, const struct sight *sight, enum check_page page,
                  struct mono now, const char **ret_why);

#endif
