/* What belongs to databases besides their groups (model/database.h): what the RDS API keeps, names
 * of endpoints, and snapshots.
 *
 *   rds/guard                          {"v":1}: written by whatever changes something below rds/
 *   rds/global/<id>                    a global cluster, as service/rds writes it
 *   rds/cluster/<region>/<id>          a DB cluster
 *   rds/instance/<region>/<id>         a DB instance: the settings of a member that only the API
 * shows rds/cluster-parameters/<region>/<name>   a DB cluster parameter group
 *   rds/parameters/<region>/<name>     a DB parameter group
 *   rds/subnets/<region>/<name>        a DB subnet group
 *   rds/snapshot/<region>/<id>         a DB cluster snapshot, as the API shows it
 *   db/snapshot/<snapshot>             model_database_snapshot: one that is wanted
 *   db/snapshot-seen/<snapshot>        model_database_snapshot_seen: as the agent that makes it
 * sees it db/restore/<group>                 model_database_restore: what the group's data is made
 * of
 *
 * Names of endpoints, in the zone of the region's agent (database.zone):
 *
 *   <instance>.<region>.<zone>               a server
 *   <cluster>.cluster.<region>.<zone>        the writer of the cluster
 *   <cluster>.cluster-ro.<region>.<zone>     its readers
 *   <global cluster>.global.<zone>           the writer of the global cluster, wherever it is
 *
 * Thread: any. Memory: the caller's arena. */
#ifndef MODEL_DATABASE_NAMES_H
#define MODEL_DATABASE_NAMES_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"
#include "model/database.h"
#include "model/keep.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATH_RDS_GUARD "rds/guard"
#define PATH_RDS_GLOBALS "rds/global/"
#define PATH_RDS_CLUSTERS "rds/cluster/"
#define PATH_RDS_INSTANCES "rds/instance/"
#define PATH_RDS_CLUSTER_PARAMETERS "rds/cluster-parameters/"
#define PATH_RDS_PARAMETERS "rds/parameters/"
#define PATH_RDS_SUBNETS "rds/subnets/"
#define PATH_RDS_SNAPSHOTS "rds/snapshot/"
#define PATH_DATABASE_SNAPSHOTS "db/snapshot/"
#define PATH_DATABASE_SNAPSHOTS_SEEN "db/snapshot-seen/"
#define PATH_DATABASE_RESTORES "db/restore/"

#define MODEL_DATABASE_PORT 5432

/* <prefix><region>/<name>; region "": <prefix><name> */
char *model_database_rds_key(struct arena *arena, const char *prefix, const char *region,
                             const char *name) MUST_CHECK;

/* ---- endpoints, without a dot at their end ---- */

char *model_database_instance_endpoint(struct arena *arena, const char *zone, const char *region,
                                       const char *instance) MUST_CHECK;
char *model_database_writer_endpoint(struct arena *arena, const char *zone, const char *region,
                                     const char *cluster) MUST_CHECK;
char *model_database_reader_endpoint(struct arena *arena, const char *zone, const char *region,
                                     const char *cluster) MUST_CHECK;
char *model_database_global_endpoint(struct arena *arena, const char *zone, const char *global)
    MUST_CHECK;

/* ---- snapshots ---- */

/* A base backup of a member that the member's region keeps, written by the API. */
struct model_database_snapshot {
    const char *id;   /* "snap-" and 26 characters */
    const char *name; /* DBClusterSnapshotIdentifier, for events */
    const char *group;
    const char *region;
    const char *member; /* that it is taken from, unless another one of the region is fitter */
    bool final;         /* the cluster is deleted once it is taken: the member's data stay until it
                         * is, or until this record is gone */
    bool deleted;       /* is to vanish: data, then both records */
    struct wall at;
};

enum model_database_snapshot_state {
    MODEL_DATABASE_SNAPSHOT_CREATING,
    MODEL_DATABASE_SNAPSHOT_AVAILABLE,
    MODEL_DATABASE_SNAPSHOT_FAILED,
};

/* Written by the region's agent. */
struct model_database_snapshot_seen {
    enum model_database_snapshot_state state;
    const char *message; /* why it failed; "" */
    int64_t percent;     /* that is done */
    int64_t bytes;
    model_lsn end; /* all that is before it in the log is in the snapshot */
    struct wall at;
};

/* The data of a NEW group: instead of an empty server, what the snapshot has. */
struct model_database_restore {
    const char *snapshot;
};

/* "CREATING", .. */
const char *model_database_snapshot_state_name(enum model_database_snapshot_state state);
char *model_database_snapshot_key(struct arena *arena, const char *snapshot) MUST_CHECK;
char *model_database_snapshot_seen_key(struct arena *arena, const char *snapshot) MUST_CHECK;
char *model_database_restore_key(struct arena *arena, const char *group) MUST_CHECK;

/* As in model/database.h. */
int model_database_snapshot_decode(const void *value, size_t size, struct arena *arena,
                                   struct model_database_snapshot *ret_snapshot, struct err *err)
    MUST_CHECK;
char *model_database_snapshot_encode(struct arena *arena,
                                     const struct model_database_snapshot *snapshot,
                                     const struct model_stored *before) MUST_CHECK;
int model_database_snapshot_seen_decode(const void *value, size_t size, struct arena *arena,
                                        struct model_database_snapshot_seen *ret_seen,
                                        struct err *err) MUST_CHECK;
char *model_database_snapshot_seen_encode(struct arena *arena,
                                          const struct model_database_snapshot_seen *seen,
                                          const struct model_stored *before) MUST_CHECK;
int model_database_restore_decode(const void *value, size_t size, struct arena *arena,
                                  struct model_database_restore *ret_restore, struct err *err)
    MUST_CHECK;
char *model_database_restore_encode(struct arena *arena,
                                    const struct model_database_restore *restore,
                                    const struct model_stored *before) MUST_CHECK;

#endif
