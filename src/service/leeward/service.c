/* The table of Leeward's own operations, and what its handlers share; see leeward.h. Invariant: one
 * binding for each leeward line of src/aws/operations.list (aws_server_start checks). */
#include "service/leeward/handlers.h"
#include "service/leeward/leeward.h"

#include <assert.h>

static const struct aws_binding bindings[] = {
    {"GetStatus", leeward_get_status},
    {"ExplainAnswer", leeward_explain_answer},
    {"ResetHealthCheck", leeward_reset_health_check},
    {"ListRoutingControls", leeward_list_controls},
    {"ExplainRoutingControlStates", leeward_explain_states},
    {"CreateKey", leeward_create_key},
    {"ListKeys", leeward_list_keys},
    {"DeleteKey", leeward_delete_key},
    {"CreateTsigKey", leeward_create_tsig_key},
    {"ListTsigKeys", leeward_list_tsig_keys},
    {"DeleteTsigKey", leeward_delete_tsig_key},
    {"ListDatabases", leeward_list_databases},
    {"ConfirmFenced", leeward_confirm_fenced},
    {"ListSites", leeward_list_sites},
    {"InitSite", leeward_init_site},
    {"CreateSiteToken", leeward_create_site_token},
    {"RemoveSite", leeward_remove_site},
};

const struct aws_service service_leeward = {
    .name = "leeward",
    .bindings = bindings,
    .count = ARRAY_SIZE(bindings),
    .global = true,
};

int leeward_answer(json_t *take_answer, json_t **ret_out, struct err *err)
{
    if (take_answer == NULL) {
        return err_set(err, ERR_MEMORY, "out of memory for the answer");
    }
    *ret_out = take_answer;
    return 0;
}

const char *leeward_text(const json_t *in, const char *member)
{
    const char *text = json_string_value(json_object_get(in, member));
    assert(text != NULL);
    return text;
}
