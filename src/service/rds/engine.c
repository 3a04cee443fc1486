/* What can be asked for: versions of engines, classes of instances. Called as handlers on API
 * threads. There is one version, the one that is installed where the region's servers run; classes
 * mean nothing to it and are taken as they come, so that what was written for AWS works. */
#include "base/text.h"
#include "service/rds/handlers.h"
#include "service/rds/parameters.h"
#include "service/rds/show.h"

#include <string.h>

#define ZONES 3 /* of a region, that are shown */

static const struct {
    const char *engine;
    const char *text;
    bool clusters;
} engines[] = {
    {"aurora-postgresql", "Aurora PostgreSQL", true},
    {"postgres", "PostgreSQL", false},
};

static const struct rds_filter version_filters[] = {
    {"engine", "Engine"},
    {"engine-version", "EngineVersion"},
    {"db-parameter-group-family", "DBParameterGroupFamily"},
    {"status", "Status"},
};

static const char *major_of(struct aws_call *call, const char *version)
{
    return arena_memdup(call->arena, version, strcspn(version, "."));
}

/* "", the version, or its major number. */
static bool is_version(struct aws_call *call, const char *wanted, const char *version)
{
    return wanted[0] == '\0' || text_equal(wanted, version) ||
           text_equal(wanted, major_of(call, version));
}

static json_t *show_version(struct aws_call *call, size_t at, const char *version)
{
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:[], s:[], s:b, s:b, s:b, s:b, s:s, s:s, s:[], s:[s]}",
        "Engine", engines[at].engine, "EngineVersion", version, "DBParameterGroupFamily",
        rds_family(call, engines[at].engine), "DBEngineDescription", engines[at].text,
        "DBEngineVersionDescription",
        arena_printf(call->arena, "%s (PostgreSQL %s)", engines[at].text, version),
        "ValidUpgradeTarget", "ExportableLogTypes", "SupportsLogExportsToCloudwatchLogs", 0,
        "SupportsReadReplica", 1, "SupportsGlobalDatabases", 1, "SupportsParallelQuery", 0,
        "MajorEngineVersion", major_of(call, version), "Status", "available",
        "SupportedFeatureNames", "SupportedEngineModes", "provisioned");
}

RDS_HANDLER(describe_engine_versions)
{
    struct rds_world world;
    struct rds_shown list = {.count = 0};
    const char *engine = tree_text(in, "Engine");
    const char *family = tree_text(in, "DBParameterGroupFamily");
    int rc = rds_load(call, &world, err);
    if (rc != 0) {
        return rc;
    }
    const char *version = rds_engine_version(&world, call->region);
    for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
        bool fits =
            (engine[0] == '\0' || text_equal(engine, engines[i].engine)) &&
            (family[0] == '\0' || text_equal(family, rds_family(call, engines[i].engine))) &&
            is_version(call, tree_text(in, "EngineVersion"), version);
        if (fits) {
            rds_shown_add(call, &list, engines[i].engine, show_version(call, i, version));
        }
    }
    return rds_answer_list(call, in, &list, "DBEngineVersions", version_filters,
                           ARRAY_SIZE(version_filters), ret_out, err);
}

/* Classes that are shown; others are taken as well. */
static const char *const classes[] = {
    "db.m5.large",   "db.m6g.large",  "db.r5.large",  "db.r5.xlarge", "db.r6g.large",
    "db.r6g.xlarge", "db.serverless", "db.t3.medium", "db.t4g.large", "db.t4g.medium",
};

static json_t *show_option(struct aws_call *call, size_t at, const char *version,
                           const char *class_name)
{
    json_t *zones = json_array();
    for (int i = 0; i < ZONES; i++) {
        json_t *one = json_pack("{s:o}", "Name", json_sprintf("%s%c", call->region, 'a' + i));
        (void)json_array_append_new(zones, one); /* memory: the answer lacks it */
    }
    bool clusters = engines[at].clusters;
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:b, s:b, s:b, s:b, s:s, s:b, s:b, s:b, s:b, s:[s], "
        "s:b, s:b, s:[s], s:b, s:b}",
        "Engine", engines[at].engine, "EngineVersion", version, "DBInstanceClass", class_name,
        "LicenseModel", "postgresql-license", "AvailabilityZones", zones, "MultiAZCapable",
        clusters ? 1 : 0, "ReadReplicaCapable", clusters ? 1 : 0, "Vpc", 1,
        "SupportsStorageEncryption", 1, "StorageType", clusters ? "aurora" : "gp2", "SupportsIops",
        0, "SupportsEnhancedMonitoring", 0, "SupportsIAMDatabaseAuthentication", 0,
        "SupportsPerformanceInsights", 0, "SupportedEngineModes", "provisioned",
        "SupportsKerberosAuthentication", 0, "SupportsGlobalDatabases", 1, "SupportedNetworkTypes",
        "IPV4", "SupportsClusters", 1, "OutpostCapable", 0);
}

RDS_HANDLER(describe_instance_options)
{
    struct rds_world world;
    struct rds_shown list = {.count = 0};
    const char *engine = tree_text(in, "Engine");
    const char *class_name = tree_text(in, "DBInstanceClass");
    int rc = rds_load(call, &world, err);
    if (rc != 0) {
        return rc;
    }
    const char *version = rds_engine_version(&world, call->region);
    size_t at = 0;
    while (at < ARRAY_SIZE(engines) && !text_equal(engines[at].engine, engine)) {
        at++;
    }
    if (at == ARRAY_SIZE(engines)) {
        return rds_invalid(call, err, "Invalid DB engine: %.64s", engine);
    }
    bool fits = is_version(call, tree_text(in, "EngineVersion"), version);
    for (size_t i = 0; fits && i < ARRAY_SIZE(classes); i++) {
        if (class_name[0] == '\0' || text_equal(class_name, classes[i])) {
            rds_shown_add(call, &list, classes[i], show_option(call, at, version, classes[i]));
        }
    }
    return rds_answer_list(call, in, &list, "OrderableDBInstanceOptions", NULL, 0, ret_out, err);
}
