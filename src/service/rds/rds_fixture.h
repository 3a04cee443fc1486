/* The handlers of databases over a memory store, as their tests call them: one fixture, which the
 * test's setup makes anew. Linked into tests alone; what is not as expected ends the program.
 * Memory: what is answered lives until the next call. */
#ifndef SERVICE_RDS_RDS_FIXTURE_H
#define SERVICE_RDS_RDS_FIXTURE_H

#include "aws/service.h"
#include "seal/seal.h"
#include "service/common/context.h"
#include "service/common/tree.h"
#include "store/store.h"

#include <stdint.h>

#include <jansson.h>

#define EAST "us-east-1"
#define WEST "us-west-2"
#define PASSWORD "correct-horse"

struct fixture {
    struct store *store;
    struct seal *seal;
    struct service_context context;
    struct arena arena; /* of the last call */
    struct arena kept;
    struct aws_call call;
    struct err err;
    json_t *out;
    int64_t now_ms;
};

extern struct fixture f;

int rds_set_up(void **state);
int rds_tear_down(void **state);

/* Takes the request; the handler's code. */
int ask(const char *region, const char *operation, json_t *take_in) MUST_CHECK;
/* The same, where it is to succeed, or to be refused with the code. */
void does(const char *region, const char *operation, json_t *take_in);
void refuses(const char *code, const char *region, const char *operation, json_t *take_in);

/* An Aurora cluster with a master user, and an instance of one. */
void make_cluster(const char *region, const char *id);
void make_instance(const char *region, const char *cluster, const char *id);
/* The first of the list that was answered. */
json_t *first(const char *list);
/* A text that Describe shows of one of them. */
const char *cluster_text(const char *region, const char *id, const char *what);
const char *instance_text(const char *region, const char *id, const char *what);

#endif
