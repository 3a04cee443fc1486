/* What requests of several operations have in common: see judge.h. Called by handlers on API
 * threads. Invariant: a master password is turned into its verifier here and goes nowhere else. */
#include "service/rds/judge.h"

#include "base/random.h"
#include "base/secret.h"
#include "base/text.h"
#include "seal/seal.h"
#include "seal/verifier.h"
#include "service/rds/parameters.h"
#include "service/rds/show.h"

#include <stdlib.h>
#include <string.h>

#define PASSWORD_LEAST 8U
#define PASSWORD_MOST 99U /* Aurora's; 128 elsewhere */
#define REPLICATION_LENGTH 40U
#define NAME_MOST 63U

/* ---- engines, classes, names ---- */

int rds_judge_version(struct rds_world *world, const json_t *in, const char *engine,
                      struct err *err)
{
    struct aws_call *call = world->call;
    const char *version = tree_text(in, "EngineVersion");
    const char *ours = rds_engine_version(world, call->region);
    size_t major = strcspn(ours, ".");
    bool same =
        strncmp(version, ours, major) == 0 && (version[major] == '.' || version[major] == '\0');
    if (version[0] != '\0' && !same) {
        return rds_combination(call, err,
                               "Cannot find version %.32s for %s: the version that is installed "
                               "is %s.",
                               version, engine, ours);
    }
    return 0;
}

int rds_judge_engine(struct rds_world *world, const json_t *in, const char **ret_engine,
                     struct err *err)
{
    const char *engine = rds_lower(world->call, tree_text(in, "Engine"));
    if (!text_equal(engine, "aurora-postgresql") && !text_equal(engine, "postgres")) {
        return rds_invalid(world->call, err,
                           "Invalid DB engine: %.64s. Those that are there are aurora-postgresql "
                           "and postgres.",
                           engine);
    }
    *ret_engine = engine;
    return rds_judge_version(world, in, engine, err);
}

int rds_judge_class(struct aws_call *call, const char *class_name, struct err *err)
{
    size_t length = strlen(class_name);
    const char *dot = strchr(class_name, '.');
    if (!text_starts(class_name, "db.") || length > 64 || class_name[length - 1] == '.' ||
        dot == NULL || strspn(class_name, "abcdefghijklmnopqrstuvwxyz0123456789.-") != length) {
        return rds_invalid(call, err, "Invalid DB Instance class: %.64s", class_name);
    }
    return 0;
}

static bool is_letter(char c)
{
    return text_lower(c) >= 'a' && text_lower(c) <= 'z';
}

static bool is_name(const char *name)
{
    static const char characters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    size_t length = strlen(name);
    return is_letter(name[0]) && length <= NAME_MOST && strspn(name, characters) == length;
}

static bool is_reserved(const char *name)
{
    static const char *const reserved[] = {"rdsadmin", "rdsrepladmin", "public", "none", "admin"};
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
        if (text_equal_nocase(reserved[i], name)) {
            return true;
        }
    }
    return text_starts(name, "pg_") || text_starts(name, "rds_");
}

int rds_judge_password(struct aws_call *call, const char *password, struct err *err)
{
    size_t length = strlen(password);
    if (length < PASSWORD_LEAST || length > PASSWORD_MOST) {
        return rds_invalid(call, err,
                           "The parameter MasterUserPassword is not a valid password because it "
                           "is %s than %u characters.",
                           length < PASSWORD_LEAST ? "shorter" : "longer",
                           length < PASSWORD_LEAST ? PASSWORD_LEAST : PASSWORD_MOST);
    }
    for (const char *c = password; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~' || strchr("/@\"", *c) != NULL) {
            return rds_invalid(call, err,
                               "The parameter MasterUserPassword is not a valid password. Only "
                               "printable ASCII characters besides '/', '@', '\"', ' ' may be "
                               "used.");
        }
    }
    return 0;
}

int rds_judge_database(struct aws_call *call, const char *database, struct err *err)
{
    bool valid = database[0] == '\0' || (is_name(database) && !text_starts(database, "template") &&
                                         !is_reserved(database));
    return valid ? 0
                 : rds_invalid(call, err,
                               "The database's name %.64s is not valid: it begins with a letter, "
                               "has up to %u letters, digits and underscores, and is none that "
                               "the engine uses.",
                               database, NAME_MOST);
}

int rds_judge_master(struct aws_call *call, const json_t *in, const char *database, struct err *err)
{
    const char *master = tree_text(in, "MasterUsername");
    const char *password = tree_text(in, "MasterUserPassword");
    if (master[0] == '\0') {
        return rds_invalid(call, err,
                           "The parameter MasterUsername must be provided and must not "
                           "be blank.");
    }
    if (password[0] == '\0') {
        return rds_invalid(call, err,
                           "The parameter MasterUserPassword must be provided and must "
                           "not be blank.");
    }
    if (!is_name(master)) {
        return rds_invalid(call, err,
                           "The parameter MasterUsername is not valid: it begins with a letter "
                           "and has up to %u letters, digits and underscores.",
                           NAME_MOST);
    }
    if (is_reserved(master)) {
        return rds_invalid(call, err,
                           "MasterUsername %s cannot be used as it is a reserved word used by "
                           "the engine",
                           master);
    }
    int rc = rds_judge_database(call, database, err);
    return rc == 0 ? rds_judge_password(call, password, err) : rc;
}

int rds_choose_subnets(struct rds_world *world, const char *name, const char **ret_name,
                       struct err *err)
{
    struct rds_item *group = NULL;
    const char *id = rds_lower(world->call, name);
    if (id[0] == '\0' || text_equal(id, "default")) {
        *ret_name = "default";
        return 0;
    }
    int rc = rds_named(world, RDS_SUBNETS, id, &group, err);
    if (rc == 0) {
        *ret_name = group->id;
    }
    return rc;
}

size_t rds_count(const struct rds_world *world, enum rds_kind kind, const char *region)
{
    size_t count = 0;
    for (const struct rds_item *i = world->items[kind]; i != NULL; i = i->next) {
        count += !rds_gone(i) && text_equal(i->region, region) ? 1 : 0;
    }
    return count;
}

/* ---- groups and members ---- */

int rds_seal_replication(struct rds_world *world, struct rds_group *group,
                         const struct rds_group *from, struct err *err)
{
    struct aws_call *call = world->call;
    const struct seal *seal = service_context(call)->seal;
    char random[REPLICATION_LENGTH + 1];
    struct seal_data old = {.size = REPLICATION_LENGTH};
    char *sealed = NULL;
    int rc = 0;
    if (from != NULL) {
        rc = seal_unwrap(seal, from->key, from->g.replication, call->arena, &old, err);
    } else {
        random_text(random, REPLICATION_LENGTH,
                    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
    }
    if (rc == 0) {
        rc = seal_wrap(seal, group->key, from != NULL ? (const char *)old.data : random, old.size,
                       call->arena, &sealed, err);
    }
    secret_wipe_memory(random, sizeof random);
    group->g.replication = rc == 0 ? sealed : group->g.replication;
    return rc;
}

int rds_make_group(struct rds_world *world, const char *engine, const char *region,
                   const char *name, struct rds_group **ret_group, struct err *err)
{
    struct rds_group *group = rds_new_group(world);
    group->g.engine = engine;
    group->g.region = region;
    group->g.name = name;
    group->g.reason = "It was asked for, and has no data yet.";
    *ret_group = group;
    return rds_seal_replication(world, group, NULL, err);
}

int rds_set_password(struct rds_world *world, struct rds_group *group, const json_t *in,
                     struct err *err)
{
    char verifier[VERIFIER_TEXT];
    int rc = verifier_make(tree_text(in, "MasterUserPassword"), verifier, err);
    if (rc == 0) {
        group->g.verifier = arena_strdup(world->call->arena, verifier);
        group->mark = RDS_WRITE;
    }
    return rc;
}

static bool is_taken(const struct rds_world *world, const struct rds_member *except,
                     const char *address)
{
    for (size_t i = 0; i < world->group_count; i++) {
        const struct rds_group *group = world->groups[i];
        for (size_t j = 0; j < group->member_count; j++) {
            const struct rds_member *member = group->members[j];
            if (member != except && text_equal(member->m.region, except->m.region) &&
                !text_empty(member->m.address) && text_equal(member->m.address, address)) {
                return true;
            }
        }
    }
    return false;
}

int rds_place_member(struct rds_world *world, struct rds_member *member, struct err *err)
{
    const struct model_database_region *region = rds_find_region(world, member->m.region);
    for (size_t i = 0; region != NULL && i < region->address_count; i++) {
        if (!is_taken(world, member, region->addresses[i])) {
            member->m.address = region->addresses[i];
            return 0;
        }
    }
    return region == NULL
               ? 0
               : aws_error(world->call, err, "InsufficientDBInstanceCapacityFault",
                           "All %zu addresses of %s are taken: give database.addresses more.",
                           region->address_count, region->region);
}

void rds_set_port(struct rds_member *member, const json_t *port)
{
    uint16_t wanted = (uint16_t)json_integer_value(port);
    if (member->m.port != wanted) {
        member->m.port = wanted;
        member->m.reboot++;
        member->mark = RDS_WRITE;
    }
}

/* ---- orders ---- */

void rds_order(struct rds_group *group, enum model_database_operation operation,
               const struct rds_member *target, const char *reason)
{
    group->g.operation = operation;
    group->g.target = target->m.id;
    group->g.reason = reason;
    group->mark = RDS_WRITE;
}

static bool is_before(const struct rds_member *a, const struct rds_member *b)
{
    bool a_streams = a->seen.condition == MODEL_DATABASE_STREAMING;
    bool b_streams = b->seen.condition == MODEL_DATABASE_STREAMING;
    if (a_streams != b_streams) {
        return a_streams;
    }
    return a->m.tier != b->m.tier ? a->m.tier < b->m.tier
                                  : strcmp(a->m.instance, b->m.instance) < 0;
}

struct rds_member *rds_candidate(struct rds_group *group, const struct rds_item *cluster,
                                 bool only_ready)
{
    struct rds_member *found = NULL;
    for (size_t i = 0; i < group->member_count; i++) {
        struct rds_member *member = group->members[i];
        bool ours = cluster == NULL || (text_equal(member->m.region, cluster->region) &&
                                        text_equal(member->m.cluster, cluster->id));
        if (!ours || member->m.deleted || text_equal(member->m.id, group->g.writer) ||
            (only_ready && member->seen.condition != MODEL_DATABASE_STREAMING)) {
            continue;
        }
        found = found == NULL || is_before(member, found) ? member : found;
    }
    return found;
}

const char *rds_unready(struct rds_world *world, const struct rds_group *group)
{
    const struct rds_member *writer = rds_find_member(group, group->g.writer);
    if (group->g.phase != MODEL_DATABASE_STEADY ||
        group->g.operation != MODEL_DATABASE_NO_OPERATION) {
        return arena_printf(world->call->arena, "it is %s",
                            group->g.phase == MODEL_DATABASE_NEW       ? "being created"
                            : group->g.phase == MODEL_DATABASE_STOPPED ? "stopped"
                                                                       : "changing its writer");
    }
    if (writer == NULL || writer->seen.condition != MODEL_DATABASE_WRITER) {
        return "its writer does not serve";
    }
    if (!group->leased || group->lease.state != MODEL_DATABASE_LEASE_HELD ||
        !text_equal(group->lease.holder, group->g.writer)) {
        return "its writer does not hold the lease";
    }
    return NULL;
}
