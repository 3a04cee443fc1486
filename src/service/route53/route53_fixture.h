/* What the tests of this room share: the handlers over a memory store, called with JSON trees as
 * the codec calls them. Texts use ' for ", so that requests stay readable. Thread: one at a time.
 */
#ifndef SERVICE_ROUTE53_ROUTE53_FIXTURE_H
#define SERVICE_ROUTE53_ROUTE53_FIXTURE_H

#include "base/arena.h"
#include "base/err.h"
#include "service/common/context.h"
#include "service/route53/route53.h"

#include <stdbool.h>

struct fixture {
    struct store *store;
    struct seal *seal;
    struct service_context context;
    struct arena arena; /* of the last call */
    struct aws_call call;
    struct err err;
    json_t *out;   /* of the last call; NULL when it failed */
    json_t *views; /* what the views answer: {"Answer":.., "Status":..} */
    struct wall now;
    int64_t elapsed_ns; /* the last handler's time */
};

void fixture_open(struct fixture *fixture);
void fixture_close(struct fixture *fixture);
/* A cmocka test whose fixture, a variable of the file, is open while it runs. */
#define FIXTURE_TEST(function, fixture)                                                            \
    cmocka_unit_test_prestate_setup_teardown(function, fixture_set_up, fixture_tear_down, fixture)
int fixture_set_up(void **state);
int fixture_tear_down(void **state);
/* Calls the operation; the request is a printf format. Returns the handler's code. */
int fixture_ask(struct fixture *fixture, const char *operation, const char *format, ...)
    PRINTF(3, 4);
/* The code of the last call's error, "" when it succeeded, "(internal)" without a modelled one. */
const char *fixture_code(const struct fixture *fixture);
/* Fails the test unless the last call failed with the code, and a message that holds the words. */
void fixture_refused(const struct fixture *fixture, const char *code, const char *words);
/* Follows a path of members and indices ("HostedZone.Config.Comment", "HostedZones.0.Id") in the
 * last answer; NULL when it leads nowhere. */
json_t *fixture_at(const struct fixture *fixture, const char *path);
/* The text there; "" when there is none. */
const char *fixture_text(const struct fixture *fixture, const char *path);
long long fixture_number(const struct fixture *fixture, const char *path);
bool fixture_true(const struct fixture *fixture, const char *path);
size_t fixture_size(const struct fixture *fixture, const char *path);

/* A zone; its id without prefix, to be freed. Ends the process on failure. */
char *fixture_zone(struct fixture *fixture, const char *name);
/* An HTTP check on loopback; its id, to be freed. */
char *fixture_check(struct fixture *fixture, const char *reference);
/* One change; the record as fixture_ask's requests. */
int fixture_change(struct fixture *fixture, const char *zone, const char *action,
                   const char *record);
/* Puts a value straight into the store. */
void fixture_put(struct fixture *fixture, const char *key, const char *value);
bool fixture_stored(struct fixture *fixture, const char *key);
/* The store's revision. */
long long fixture_revision(struct fixture *fixture);

#endif
