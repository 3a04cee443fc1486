/* What the handlers of this room share besides the world: identifiers and ARNs, errors, tags,
 * filters and pages. Private to this room. Thread: the call's. Memory: the call's arena. */
#ifndef SERVICE_RDS_SUPPORT_H
#define SERVICE_RDS_SUPPORT_H

#include "aws/service.h"
#include "base/macro.h"
#include "service/rds/world.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* ---- errors that many operations have ---- */

int rds_invalid(struct aws_call *call, struct err *err, const char *format, ...) PRINTF(3, 4)
    COLD; /* InvalidParameterValue */
int rds_combination(struct aws_call *call, struct err *err, const char *format, ...) PRINTF(3, 4)
    COLD; /* InvalidParameterCombination */

/* ---- requests ---- */

/* A member that is an integer within [low, high]; fallback when it is absent. */
int rds_integer(struct aws_call *call, const json_t *in, const char *member, int64_t low,
                int64_t high, int64_t fallback, int64_t *ret_value, struct err *err) MUST_CHECK;
/* A new identifier, in lower case: a letter, then letters, digits and single hyphens, 63
 * characters at most; 255 where AWS allows them for a name. */
int rds_identifier(struct aws_call *call, const json_t *in, const char *member, const char **ret_id,
                   struct err *err) MUST_CHECK;
int rds_long_identifier(struct aws_call *call, const json_t *in, const char *member,
                        const char **ret_id, struct err *err) MUST_CHECK;
/* In lower case. */
const char *rds_lower(struct aws_call *call, const char *text);
/* A tree's member for a change: a copy of the tree's object, or a new one. */
json_t *rds_object(json_t *tree, const char *member);

/* ---- names ---- */

/* "cluster", "db", "global-cluster", "cluster-pg", "pg", "subgrp", "cluster-snapshot" */
const char *rds_kind_name(enum rds_kind kind);
const char *rds_arn(struct aws_call *call, enum rds_kind kind, const char *region, const char *id);
const char *rds_item_arn(struct aws_call *call, const struct rds_item *item);
/* Takes an ARN of this account apart; false when it is none. */
bool rds_parse_arn(struct aws_call *call, const char *arn, enum rds_kind *ret_kind,
                   const char **ret_region, const char **ret_id);
/* The item that a text names: an identifier of the call's region, or an ARN, whose region is the
 * call's as well. The kind's "not found" error. */
int rds_named(struct rds_world *world, enum rds_kind kind, const char *text,
              struct rds_item **ret_item, struct err *err) MUST_CHECK;
/* The same, with an ARN of any region: for what goes across regions. */
int rds_named_anywhere(struct rds_world *world, enum rds_kind kind, const char *text,
                       struct rds_item **ret_item, struct err *err) MUST_CHECK;
int rds_not_found(struct aws_call *call, enum rds_kind kind, const char *text, struct err *err);

/* ---- tags ---- */

/* The request's "Tags", judged, as an object; a new reference. */
int rds_new_tags(struct rds_world *world, enum rds_kind kind, const json_t *in, json_t **ret_tags,
                 struct err *err) MUST_CHECK;
/* As the API shows them: a new reference. */
json_t *rds_show_tags(json_t *tags);
/* Judges one tag of ours (leeward:..) for a group's settings: a sentence about what is wrong, or
 * NULL. */
const char *rds_judge_setting(const char *key, const char *value);

/* ---- lists ---- */

/* What is shown, each with a token that grows; shown are new references that the list has. */
struct rds_shown {
    const char **tokens;
    json_t **shown;
    size_t count;
    size_t capacity;
};
void rds_shown_add(struct aws_call *call, struct rds_shown *list, const char *token,
                   json_t *take_shown);
/* Whether the text is that identifier, or an ARN of the call's region that ends with it. */
bool rds_names(struct aws_call *call, const char *text, const char *id);
/* A filter of the request and the member of what is shown that it looks at, by its value or an ARN.
 */
struct rds_filter {
    const char *name;
    const char *member;
};
/* {"<member>": .., "Marker"}: what passes the request's filters, page by page. */
int rds_answer_list(struct aws_call *call, const json_t *in, const struct rds_shown *list,
                    const char *member, const struct rds_filter *filters, size_t filter_count,
                    json_t **ret_out, struct err *err) MUST_CHECK;
/* The same for a list whose filters were looked at already. */
int rds_answer_page(struct aws_call *call, const json_t *in, const struct rds_shown *list,
                    const char *member, json_t **ret_out, struct err *err) MUST_CHECK;

#endif
