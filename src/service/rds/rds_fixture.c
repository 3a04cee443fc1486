/* See rds_fixture.h. Called by the tests of this room, on their thread. A call has an arena and a
 * time of its own, as it has in a server. */
#include "service/rds/rds_fixture.h"

#include "base/text.h"
#include "service/rds/rds.h"
#include "store/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct fixture f;

static aws_handler find(const char *operation)
{
    for (size_t i = 0; i < service_rds.count; i++) {
        if (text_equal(service_rds.bindings[i].operation, operation)) {
            return service_rds.bindings[i].handler;
        }
    }
    (void)fprintf(stderr, "no operation %s\n", operation);
    abort();
}

int ask(const char *region, const char *operation, json_t *take_in)
{
    assert(take_in != NULL);
    json_decref(f.out);
    f.out = NULL;
    arena_done(&f.arena);
    err_clear(&f.err);
    f.call = (struct aws_call){.arena = &f.arena,
                               .context = &f.context,
                               .service = "rds",
                               .operation = operation,
                               .region = region,
                               .account_id = "123456789012",
                               .now = {.ns = ++f.now_ms * TIME_MS}};
    /* What a request had is gone after its call, as it is in a server. */
    int rc = find(operation)(&f.call, take_in, &f.out, &f.err);
    json_decref(take_in);
    return rc;
}

void does(const char *region, const char *operation, json_t *take_in)
{
    if (ask(region, operation, take_in) != 0) {
        (void)fprintf(stderr, "%s: %s: %s\n", operation, f.call.error_code, f.err.message);
        abort();
    }
}

void refuses(const char *code, const char *region, const char *operation, json_t *take_in)
{
    int rc = ask(region, operation, take_in);
    if (rc == 0 || f.call.error_code == NULL || !text_equal(f.call.error_code, code)) {
        (void)fprintf(stderr, "%s: %d, %s instead of %s: %s\n", operation, rc,
                      f.call.error_code != NULL ? f.call.error_code : "no error", code,
                      f.err.message);
        abort();
    }
}

int rds_set_up(void **state)
{
    (void)state;
    f = (struct fixture){.store = store_memory_open(), .now_ms = 1763715600000};
    arena_init(&f.arena, 0);
    arena_init(&f.kept, 0);
    int rc = seal_parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "test", &f.seal, &f.err);
    assert(rc == 0);
    f.context = (struct service_context){.store = f.store, .replica = f.store, .seal = f.seal};
    return 0;
}

int rds_tear_down(void **state)
{
    (void)state;
    json_decref(f.out);
    arena_done(&f.arena);
    arena_done(&f.kept);
    seal_free(f.seal);
    store_close(f.store);
    return 0;
}

void make_cluster(const char *region, const char *id)
{
    does(region, "CreateDBCluster",
         json_pack("{s:s, s:s, s:s, s:s, s:s}", "DBClusterIdentifier", id, "Engine",
                   "aurora-postgresql", "MasterUsername", "boss", "MasterUserPassword", PASSWORD,
                   "DatabaseName", "shop"));
}

void make_instance(const char *region, const char *cluster, const char *id)
{
    does(region, "CreateDBInstance",
         json_pack("{s:s, s:s, s:s, s:s}", "DBInstanceIdentifier", id, "DBClusterIdentifier",
                   cluster, "Engine", "aurora-postgresql", "DBInstanceClass", "db.r5.large"));
}

json_t *first(const char *list)
{
    return json_array_get(json_object_get(f.out, list), 0);
}

const char *cluster_text(const char *region, const char *id, const char *what)
{
    does(region, "DescribeDBClusters", json_pack("{s:s}", "DBClusterIdentifier", id));
    return tree_text(first("DBClusters"), what);
}

const char *instance_text(const char *region, const char *id, const char *what)
{
    does(region, "DescribeDBInstances", json_pack("{s:s}", "DBInstanceIdentifier", id));
    return tree_text(first("DBInstances"), what);
}
