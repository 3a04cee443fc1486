/* What is kept to be shown again, and what is refused: see kept.h. Called by handlers on API
 * threads. Invariant: a member that AWS would act on is acted on, kept and shown, or refused with
 * what to do instead; none is dropped without a word. */
#include "service/rds/kept.h"

#include "base/text.h"

#include <inttypes.h>
#include <string.h>

#define KEPT_TEXT 2048U /* bytes: longer than any ARN */
#define KEPT_ITEMS 50U
#define ZONES_MOST 3U
#define LOGS "EnabledCloudwatchLogsExports"

/* ---- what is kept ---- */

struct kept {
    const char *from;
    const char *to; /* NULL: the same */
};

static const struct kept of_cluster[] = {
    {"AvailabilityZones", NULL},
    {"BackupRetentionPeriod", NULL},
    {"CharacterSetName", NULL},
    {"PreferredBackupWindow", NULL},
    {"PreferredMaintenanceWindow", NULL},
    {"StorageEncrypted", NULL},
    {"KmsKeyId", NULL},
    {"EnableIAMDatabaseAuthentication", "IAMDatabaseAuthenticationEnabled"},
    {"BacktrackWindow", NULL},
    {"EnableCloudwatchLogsExports", LOGS},
    {"DeletionProtection", NULL},
    {"EnableHttpEndpoint", "HttpEndpointEnabled"},
    {"CopyTagsToSnapshot", NULL},
    {"DBClusterInstanceClass", NULL},
    {"AllocatedStorage", NULL},
    {"StorageType", NULL},
    {"Iops", NULL},
    {"PubliclyAccessible", NULL},
    {"AutoMinorVersionUpgrade", NULL},
    {"MonitoringInterval", NULL},
    {"MonitoringRoleArn", NULL},
    {"EnablePerformanceInsights", "PerformanceInsightsEnabled"},
    {"PerformanceInsightsKMSKeyId", NULL},
    {"PerformanceInsightsRetentionPeriod", NULL},
    {"ServerlessV2ScalingConfiguration", NULL},
    {"NetworkType", NULL},
    {"DatabaseInsightsMode", NULL},
    {"EngineLifecycleSupport", NULL},
    {"CACertificateIdentifier", NULL},
    {"Port", NULL},
};

static const struct kept of_instance[] = {
    {"DBInstanceClass", NULL},
    {"AllocatedStorage", NULL},
    {"AvailabilityZone", NULL},
    {"PreferredMaintenanceWindow", NULL},
    {"BackupRetentionPeriod", NULL},
    {"PreferredBackupWindow", NULL},
    {"AutoMinorVersionUpgrade", NULL},
    {"LicenseModel", NULL},
    {"Iops", NULL},
    {"CharacterSetName", NULL},
    {"PubliclyAccessible", NULL},
    {"StorageType", NULL},
    {"StorageEncrypted", NULL},
    {"KmsKeyId", NULL},
    {"CopyTagsToSnapshot", NULL},
    {"MonitoringInterval", NULL},
    {"MonitoringRoleArn", NULL},
    {"Timezone", NULL},
    {"EnableIAMDatabaseAuthentication", "IAMDatabaseAuthenticationEnabled"},
    {"EnablePerformanceInsights", "PerformanceInsightsEnabled"},
    {"PerformanceInsightsKMSKeyId", NULL},
    {"PerformanceInsightsRetentionPeriod", NULL},
    {"EnableCloudwatchLogsExports", LOGS},
    {"ProcessorFeatures", NULL},
    {"DeletionProtection", NULL},
    {"MaxAllocatedStorage", NULL},
    {"EnableCustomerOwnedIp", "CustomerOwnedIpEnabled"},
    {"BackupTarget", NULL},
    {"NetworkType", NULL},
    {"StorageThroughput", NULL},
    {"DatabaseInsightsMode", NULL},
    {"EngineLifecycleSupport", NULL},
    {"CACertificateIdentifier", NULL},
};

static const struct kept *kept_of(enum rds_kind kind, size_t *ret_count)
{
    *ret_count = kind == RDS_CLUSTER ? ARRAY_SIZE(of_cluster) : ARRAY_SIZE(of_instance);
    return kind == RDS_CLUSTER ? of_cluster : of_instance;
}

/* ---- what is refused ---- */

struct refusal {
    const char *member;
    const char *accepted; /* the value that says what is so anyway; NULL: none */
    const char *why;
};

#define NO_SECRETS "Leeward keeps no passwords; give MasterUserPassword."
#define NO_FORWARDING "readers accept no writes; connect to the endpoint of the writer."
#define NO_DOMAIN "users are in no directory."

static const struct refusal refusals[] = {
    {"ManageMasterUserPassword", NULL, NO_SECRETS},
    {"RotateMasterUserPassword", NULL, NO_SECRETS},
    {"MasterUserSecretKmsKeyId", NULL, NO_SECRETS},
    {"MasterUserAuthenticationType", "password", "the master user has a password."},
    {"EnableGlobalWriteForwarding", NULL, NO_FORWARDING},
    {"EnableLocalWriteForwarding", NULL, NO_FORWARDING},
    {"EnableLimitlessDatabase", NULL, "there is one writer."},
    {"ClusterScalabilityType", "standard", "there is one writer."},
    {"EngineMode", "provisioned", "it is provisioned."},
    {"ScalingConfiguration", NULL, "the engine mode is provisioned."},
    {"MultiAZ", NULL, "single instances have no standby; create a DB cluster with several."},
    {"MultiTenant", NULL, "an instance is one database server."},
    {"DedicatedLogVolume", NULL, "the log is where the data are."},
    {"DBSecurityGroups", NULL, "use VpcSecurityGroupIds."},
    {"Domain", NULL, NO_DOMAIN},
    {"DomainIAMRoleName", NULL, NO_DOMAIN},
    {"TdeCredentialArn", NULL, "it belongs to another engine."},
    {"TdeCredentialPassword", NULL, "it belongs to another engine."},
    {"NcharCharacterSetName", NULL, "it belongs to another engine."},
    {"DBSystemId", NULL, "it belongs to another engine."},
    {"ReplicaMode", NULL, "it belongs to another engine."},
    {"CustomIamInstanceProfile", NULL, "it belongs to another engine."},
    {"AutomationMode", "full", "Leeward looks after all servers that it made."},
    {"AwsBackupRecoveryPointArn", NULL, "there is no AWS Backup."},
};

/* Whether it says something: not absent, false or empty. */
static bool is_given(const json_t *value)
{
    return value != NULL && !json_is_false(value) &&
           !(json_is_string(value) && json_string_length(value) == 0) &&
           !(json_is_array(value) && json_array_size(value) == 0) &&
           !(json_is_object(value) && json_object_size(value) == 0);
}

static int judge_refused(struct aws_call *call, const json_t *in, struct err *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
        const struct refusal *one = &refusals[i];
        const char *text = tree_text(in, one->member);
        if (is_given(json_object_get(in, one->member)) &&
            (one->accepted == NULL || !text_equal(text, one->accepted))) {
            return rds_combination(call, err, "%s%s%.64s is not supported: %s", one->member,
                                   text[0] != '\0' ? " " : "", one->accepted != NULL ? text : "",
                                   one->why);
        }
    }
    const char *options = tree_text(in, "OptionGroupName");
    return options[0] != '\0' && !text_starts(options, "default:")
               ? aws_error(call, err, "OptionGroupNotFoundFault",
                           "Specified OptionGroupName: %.64s not found: PostgreSQL has none but "
                           "the default ones.",
                           options)
               : 0;
}

/* ---- bounds ---- */

/* What is kept has a size: a text, or each of a list's. */
int rds_judge_text(struct aws_call *call, const json_t *in, const char *member, struct err *err)
{
    const json_t *value = json_object_get(in, member);
    bool fits = json_string_length(value) <= KEPT_TEXT && json_array_size(value) <= KEPT_ITEMS;
    for (size_t i = 0; fits && i < json_array_size(value); i++) {
        fits = json_string_length(json_array_get(value, i)) <= KEPT_TEXT;
    }
    return fits ? 0
                : rds_invalid(call, err,
                              "The parameter %s is too long: texts have up to %u bytes, lists up "
                              "to %u items.",
                              member, KEPT_TEXT, KEPT_ITEMS);
}

static int judge_texts(struct aws_call *call, enum rds_kind kind, const json_t *in, struct err *err)
{
    size_t count = 0;
    const struct kept *kept = kept_of(kind, &count);
    int rc = rds_judge_text(call, in, "VpcSecurityGroupIds", err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = rds_judge_text(call, in, kept[i].from, err);
    }
    return rc;
}

static int judge_numbers(struct aws_call *call, enum rds_kind kind, const json_t *in,
                         struct err *err)
{
    const struct {
        const char *member;
        int64_t low;
        int64_t high;
    } bounds[] = {
        {"BackupRetentionPeriod", kind == RDS_CLUSTER ? 1 : 0, 35},
        {"Port", 1150, 65535},
        {"DBPortNumber", 1150, 65535},
        {"PromotionTier", 0, 15},
        {"AllocatedStorage", 1, 65536},
        {"MaxAllocatedStorage", 1, 65536},
        {"Iops", 0, 256000},
        {"StorageThroughput", 0, 4000},
        {"BacktrackWindow", 0, 259200},
    };
    int64_t ignored = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(bounds); i++) {
        rc = rds_integer(call, in, bounds[i].member, bounds[i].low, bounds[i].high, 0, &ignored,
                         err);
    }
    return rc;
}

static bool is_interval(json_int_t seconds)
{
    static const json_int_t intervals[] = {0, 1, 5, 10, 15, 30, 60};
    for (size_t i = 0; i < ARRAY_SIZE(intervals); i++) {
        if (seconds == intervals[i]) {
            return true;
        }
    }
    return false;
}

static int judge_monitoring(struct aws_call *call, const json_t *in, struct err *err)
{
    const json_t *interval = json_object_get(in, "MonitoringInterval");
    const json_t *retention = json_object_get(in, "PerformanceInsightsRetentionPeriod");
    json_int_t days = json_integer_value(retention);
    if (interval != NULL && !is_interval(json_integer_value(interval))) {
        return rds_invalid(call, err,
                           "MonitoringInterval is 0, 1, 5, 10, 15, 30 or 60, unlike %" PRId64 ".",
                           (int64_t)json_integer_value(interval));
    }
    if (retention != NULL && days != 7 && days != 731 &&
        (days <= 0 || days % 31 != 0 || days / 31 > 23)) {
        return rds_invalid(call, err,
                           "PerformanceInsightsRetentionPeriod is 7, 731 or 31 times a number of "
                           "months from 1 to 23, unlike %" PRId64 ".",
                           (int64_t)days);
    }
    return 0;
}

static int judge_capacity(struct aws_call *call, const json_t *in, struct err *err)
{
    const json_t *wanted = json_object_get(in, "ServerlessV2ScalingConfiguration");
    double low = json_number_value(json_object_get(wanted, "MinCapacity"));
    double high = json_number_value(json_object_get(wanted, "MaxCapacity"));
    if (low < 0 || high < 0 || low > 256 || high > 256 || (high > 0 && low > high)) {
        return rds_invalid(call, err,
                           "ServerlessV2ScalingConfiguration has a MinCapacity and a MaxCapacity "
                           "from 0 to 256, the one not above the other.");
    }
    return json_array_size(json_object_get(in, "AvailabilityZones")) > ZONES_MOST
               ? rds_invalid(call, err, "AvailabilityZones has at most %u items.", ZONES_MOST)
               : 0;
}

/* Words that can be spelt wrong without that anything says so. */
static int judge_words(struct aws_call *call, const json_t *in, struct err *err)
{
    const char *insights = tree_text(in, "DatabaseInsightsMode");
    const char *support = tree_text(in, "EngineLifecycleSupport");
    if (insights[0] != '\0' && !text_equal(insights, "standard") &&
        !text_equal(insights, "advanced")) {
        return rds_invalid(call, err, "DatabaseInsightsMode is standard or advanced, unlike %.64s.",
                           insights);
    }
    if (support[0] != '\0' && !text_equal(support, "open-source-rds-extended-support") &&
        !text_equal(support, "open-source-rds-extended-support-disabled")) {
        return rds_invalid(call, err,
                           "EngineLifecycleSupport is open-source-rds-extended-support, or that "
                           "with -disabled, unlike %.64s.",
                           support);
    }
    return 0;
}

int rds_judge_kept(struct aws_call *call, enum rds_kind kind, const json_t *in, struct err *err)
{
    int rc = judge_refused(call, in, err);
    rc = rc == 0 ? judge_texts(call, kind, in, err) : rc;
    rc = rc == 0 ? judge_numbers(call, kind, in, err) : rc;
    rc = rc == 0 ? judge_monitoring(call, in, err) : rc;
    rc = rc == 0 ? judge_capacity(call, in, err) : rc;
    rc = rc == 0 ? judge_words(call, in, err) : rc;
    return rc == 0 ? rds_judge_windows(call, in, err) : rc;
}

/* ---- log types ---- */

static int judge_logs(struct aws_call *call, const char *engine, const json_t *types,
                      struct err *err)
{
    bool aurora = text_equal(engine, "aurora-postgresql");
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *type = json_string_value(json_array_get(types, i));
        if (!text_equal(type, "postgresql") && !text_equal(type, "iam-db-auth-error") &&
            !text_equal(type, aurora ? "instance" : "upgrade")) {
            return rds_combination(call, err,
                                   "You cannot use the log types '%.64s' with engine %s. For "
                                   "supported log types, see the documentation.",
                                   type, engine);
        }
    }
    return 0;
}

static size_t find_text(const json_t *list, const char *text)
{
    size_t at = 0;
    while (at < json_array_size(list) &&
           !text_equal(json_string_value(json_array_get(list, at)), text)) {
        at++;
    }
    return at;
}

/* What is shown, with those that were enabled and without those that were disabled. */
static int settle_logs(struct aws_call *call, const json_t *in, const char *engine, json_t *shown,
                       struct err *err)
{
    const json_t *wanted = json_object_get(in, "CloudwatchLogsExportConfiguration");
    const json_t *enabled = json_object_get(wanted, "EnableLogTypes");
    const json_t *disabled = json_object_get(wanted, "DisableLogTypes");
    int rc = judge_logs(call, engine, json_object_get(in, "EnableCloudwatchLogsExports"), err);
    rc = rc == 0 ? judge_logs(call, engine, enabled, err) : rc;
    rc = rc == 0 ? judge_logs(call, engine, disabled, err) : rc;
    if (rc != 0 || wanted == NULL) {
        return rc;
    }
    json_t *list = json_copy(json_object_get(shown, LOGS));
    list = list != NULL ? list : json_array();
    for (size_t i = 0; i < json_array_size(enabled); i++) {
        json_t *type = json_array_get(enabled, i);
        if (find_text(list, json_string_value(type)) == json_array_size(list)) {
            (void)json_array_append(list, type); /* memory: writing finds it */
        }
    }
    for (size_t i = 0; i < json_array_size(disabled); i++) {
        (void)json_array_remove(list,
                                find_text(list, json_string_value(json_array_get(disabled, i))));
    }
    (void)json_object_set_new(shown, LOGS, list); /* memory: writing finds it */
    return 0;
}

/* ---- keeping ---- */

/* A limit that the storage has reached is none: so it is taken off, as on AWS. */
static int settle_storage(struct aws_call *call, json_t *shown, struct err *err)
{
    const json_t *most = json_object_get(shown, "MaxAllocatedStorage");
    json_int_t now = json_integer_value(json_object_get(shown, "AllocatedStorage"));
    if (most == NULL) {
        return 0;
    }
    if (json_integer_value(most) < now) {
        return rds_combination(call, err, "Max storage size must be greater than storage size");
    }
    if (json_integer_value(most) == now) {
        (void)json_object_del(shown, "MaxAllocatedStorage"); /* it is there */
    }
    return 0;
}

int rds_keep(struct aws_call *call, enum rds_kind kind, const json_t *in, bool created,
             json_t *tree, struct err *err)
{
    size_t count = 0;
    const struct kept *kept = kept_of(kind, &count);
    json_t *shown = rds_object(tree, "Shown");
    for (size_t i = 0; i < count; i++) {
        json_t *value = json_object_get(in, kept[i].from);
        if (value != NULL) {
            /* memory: writing the tree finds it */
            (void)json_object_set(shown, kept[i].to != NULL ? kept[i].to : kept[i].from, value);
        }
    }
    json_t *groups = json_object_get(in, "VpcSecurityGroupIds");
    if (groups != NULL) {
        (void)json_object_set(tree, "SecurityGroups", groups); /* as above */
    }
    int rc = rds_settle_windows(call, in, created, shown, err);
    rc = rc == 0 ? settle_logs(call, in, tree_text(tree, "Engine"), shown, err) : rc;
    return rc == 0 && kind == RDS_INSTANCE ? settle_storage(call, shown, err) : rc;
}
