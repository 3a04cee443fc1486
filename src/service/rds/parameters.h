/* PostgreSQL's parameters, as parameter groups know them: a table that tools/generate-parameters
 * makes at build time out of the PostgreSQL that is installed then. So groups can be made and
 * judged where no server runs, before any agent said a word, and in any region alike; a version's
 * minor releases have the same parameters, and the major version is that of the families' names.
 * What a server refuses nevertheless, its agent finds (it checks settings before it uses them).
 *
 * A group is an item whose "Parameters" are {"<name>": {"Value", "Method"}}. What is effective for
 * a server are those of its cluster's group and, before them, of its own; a change of them is
 * written into the members at once, but for what is to wait for a reboot. Private to this room.
 * Thread: the call's. */
#ifndef SERVICE_RDS_PARAMETERS_H
#define SERVICE_RDS_PARAMETERS_H

#include "service/rds/world.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RDS_RPO_PARAMETER MODEL_DATABASE_BOUND

enum rds_parameter_type { RDS_BOOLEAN, RDS_INTEGER, RDS_REAL, RDS_WORD, RDS_STRING };

struct rds_parameter {
    const char *name;
    enum rds_parameter_type type;
    bool is_static; /* a change waits for a restart */
    bool modifiable;
    double low;
    double high;
    const char *words; /* RDS_WORD: "always,on,off" */
    const char *standard;
    const char *text; /* what it is, with its unit */
};

extern const struct rds_parameter rds_parameter_table[]; /* sorted by name */
extern const size_t rds_parameter_count;
extern const char rds_built_version[]; /* "15.18" */
extern const unsigned rds_built_major;

/* NULL: there is none of that name (case does not matter). */
const struct rds_parameter *rds_find_parameter(const char *name);
/* What is wrong with the value, a sentence of the arena; NULL: nothing. */
const char *rds_judge_parameter(struct arena *arena, const struct rds_parameter *parameter,
                                const char *value);

/* The family of an engine: "aurora-postgresql15". */
const char *rds_family(struct aws_call *call, const char *engine);
/* "default.aurora-postgresql15": a group that is always there and has nothing changed. */
const char *rds_default_group(struct aws_call *call, const char *engine);

/* The group that a request names for an engine: the default one for "", else one of the region and
 * the engine's family. DBParameterGroupNotFound, InvalidParameterCombination. */
int rds_choose_group(struct rds_world *world, enum rds_kind kind, const char *name,
                     const char *engine, const char **ret_name, struct err *err) MUST_CHECK;
/* What a cluster's or instance's group sets, or NULL. */
json_t *rds_group_parameters(const struct rds_world *world, enum rds_kind kind, const char *region,
                             const char *name);

/* Writes the member's settings anew after its groups changed. reboot: also what waits for one. */
int rds_settle_member(struct rds_world *world, struct rds_item *instance, bool reboot,
                      struct err *err) MUST_CHECK;
/* Those of all instances of a cluster. */
int rds_settle_cluster(struct rds_world *world, const struct rds_item *cluster, bool reboot,
                       struct err *err) MUST_CHECK;
/* Mode, lease, bound and kind of failover of a group: from the leeward: tags of the global cluster
 * or cluster that it is, and rds.global_db_rpo of the writer's parameter group. */
int rds_settle_group(struct rds_world *world, struct rds_group *group, struct err *err) MUST_CHECK;

#endif
