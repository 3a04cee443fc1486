/* What an instance has of its cluster: see kept.h. Called by handlers on API threads. On AWS the
 * cluster manages encryption, backups, the network and log exports of its instances, which show
 * its settings; a request that gives an instance others is refused, one that says the same is not.
 * Invariant: of two places that say the same thing, the cluster's counts. */
#include "base/text.h"
#include "service/rds/judge.h"
#include "service/rds/kept.h"

static const struct {
    const char *shown;
    const char *member; /* of requests; NULL: the same */
    const char *what;
} inherited[] = {
    {"StorageEncrypted", NULL, "storage encryption"},
    {"KmsKeyId", NULL, "KMS key"},
    {"StorageType", NULL, "storage type"},
    {"AllocatedStorage", NULL, "allocated storage"},
    {"Iops", NULL, "provisioned IOPS"},
    {"PreferredBackupWindow", NULL, "backup window"},
    {"BackupRetentionPeriod", NULL, "backup retention period"},
    {"IAMDatabaseAuthenticationEnabled", "EnableIAMDatabaseAuthentication",
     "IAM database authentication"},
    {"EnabledCloudwatchLogsExports", "EnableCloudwatchLogsExports", "log exports"},
    {"NetworkType", NULL, "network type"},
    {"EngineLifecycleSupport", NULL, "engine lifecycle support"},
    {"DeletionProtection", NULL, "deletion protection"},
};

void rds_show_inherited(const struct rds_item *cluster, json_t *instance)
{
    const json_t *shown = json_object_get(cluster->tree, "Shown");
    for (size_t i = 0; i < ARRAY_SIZE(inherited); i++) {
        const char *name = inherited[i].shown;
        json_t *value = json_object_get(shown, name);
        if (value != NULL) {
            (void)json_object_set(instance, name, value); /* memory: the answer lacks it */
        } else if (!text_equal(name, "StorageType")) {
            (void)json_object_del(instance, name); /* where it is there */
        }
    }
    /* An instance of a protected cluster can be deleted. */
    (void)json_object_set_new(instance, "DeletionProtection", json_false()); /* as above */
}

static int refuse(struct aws_call *call, const char *what, bool created, struct err *err)
{
    return created ? rds_combination(call, err,
                                     "The requested DB Instance will be a member of a DB Cluster. "
                                     "Set %s for the DB Cluster.",
                                     what)
                   : rds_combination(call, err,
                                     "The specified DB Instance is a member of a cluster. Modify "
                                     "%s for the DB Cluster using the ModifyDbCluster API",
                                     what);
}

/* What has to be the same: absent or false is as good as the cluster's own being absent or false.
 */
static bool agrees(const json_t *given, const json_t *own)
{
    return given == NULL || (json_is_false(given) && !json_is_true(own)) || json_equal(given, own);
}

int rds_judge_inherited(struct rds_world *world, const struct rds_item *cluster, const json_t *in,
                        bool created, struct err *err)
{
    struct aws_call *call = world->call;
    const json_t *shown = json_object_get(cluster->tree, "Shown");
    const char *subnets = tree_text(in, "DBSubnetGroupName");
    for (size_t i = 0; i < ARRAY_SIZE(inherited); i++) {
        const char *member = inherited[i].member != NULL ? inherited[i].member : inherited[i].shown;
        if (!agrees(json_object_get(in, member), json_object_get(shown, inherited[i].shown))) {
            return refuse(call, inherited[i].what, created, err);
        }
    }
    if (!agrees(json_object_get(in, "VpcSecurityGroupIds"),
                json_object_get(cluster->tree, "SecurityGroups"))) {
        return refuse(call, "vpc security group", created, err);
    }
    const char *name = NULL;
    int rc = rds_choose_subnets(world, subnets, &name, err);
    return rc == 0 && subnets[0] != '\0' && !text_equal(name, tree_text(cluster->tree, "Subnets"))
               ? rds_combination(call, err,
                                 "The DB subnet group of an instance is that of its DB cluster: "
                                 "%s.",
                                 tree_text(cluster->tree, "Subnets"))
               : rc;
}
