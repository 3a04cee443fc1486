/* The handlers of this room, one file a noun. Private to it. Each is called by the codec on an API
 * thread with a validated tree, and answers with a tree of the leeward model. */
#ifndef SERVICE_LEEWARD_HANDLERS_H
#define SERVICE_LEEWARD_HANDLERS_H

#include "aws/service.h"

/* Access keys there may be. */
#define LEEWARD_KEYS_LIMIT 1000U

int leeward_get_status(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err);
int leeward_explain_answer(struct aws_call *call, const json_t *in, json_t **ret_out,
                           struct err *err);
int leeward_reset_health_check(struct aws_call *call, const json_t *in, json_t **ret_out,
                               struct err *err);
int leeward_list_controls(struct aws_call *call, const json_t *in, json_t **ret_out,
                          struct err *err);
int leeward_explain_states(struct aws_call *call, const json_t *in, json_t **ret_out,
                           struct err *err);
int leeward_create_key(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err);
int leeward_list_keys(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err);
int leeward_delete_key(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err);
int leeward_create_tsig_key(struct aws_call *call, const json_t *in, json_t **ret_out,
                            struct err *err);
int leeward_list_tsig_keys(struct aws_call *call, const json_t *in, json_t **ret_out,
                           struct err *err);
int leeward_delete_tsig_key(struct aws_call *call, const json_t *in, json_t **ret_out,
                            struct err *err);
int leeward_confirm_fenced(struct aws_call *call, const json_t *in, json_t **ret_out,
                           struct err *err) MUST_CHECK;
int leeward_list_databases(struct aws_call *call, const json_t *in, json_t **ret_out,
                           struct err *err);
int leeward_list_sites(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err);
int leeward_init_site(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err);
int leeward_create_site_token(struct aws_call *call, const json_t *in, json_t **ret_out,
                              struct err *err);
int leeward_remove_site(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err);

/* Hands a finished answer out; ERR_MEMORY when it could not be made. */
int leeward_answer(json_t *take_answer, json_t **ret_out, struct err *err) MUST_CHECK;
/* A required member of the validated input. */
const char *leeward_text(const json_t *in, const char *member);

#endif
