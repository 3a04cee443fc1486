/* ListSites, InitSite, CreateSiteToken, RemoveSite: the sites of the cluster. Handlers on API
 * threads; what they do is a view of the daemon's (service/common/context.h). Invariant: a token
 * leaves in the answer of CreateSiteToken and nowhere else. */
#include "service/common/context.h"
#include "service/leeward/handlers.h"

#define TOKEN_SECONDS 3600

/* In the words of the model. */
static int say(struct aws_call *call, int rc, struct err *err)
{
    struct err copy = *err;
    if (rc == 0 ||
        (copy.kind != ERR_NOT_FOUND && copy.kind != ERR_INVALID && copy.kind != ERR_EXISTS)) {
        return rc;
    }
    return aws_error(call, err,
                     copy.kind == ERR_NOT_FOUND ? "NotFoundException" : "InvalidInputException",
                     "%s", copy.message);
}

int leeward_list_sites(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err)
{
    struct service_views *views = &service_context(call)->views;
    (void)in; /* the operation has no members */
    return views->sites(views->context, ret_out, err);
}

int leeward_init_site(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err)
{
    struct service_views *views = &service_context(call)->views;
    (void)in; /* as above */
    return say(call, views->site_init(views->context, ret_out, err), err);
}

int leeward_create_site_token(struct aws_call *call, const json_t *in, json_t **ret_out,
                              struct err *err)
{
    struct service_views *views = &service_context(call)->views;
    const json_t *seconds = json_object_get(in, "ExpiresInSeconds");
    int64_t wanted = seconds != NULL ? json_integer_value(seconds) : TOKEN_SECONDS;
    return say(call, views->site_token(views->context, wanted, ret_out, err), err);
}

int leeward_remove_site(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err)
{
    struct service_views *views = &service_context(call)->views;
    (void)ret_out; /* the operation has no output */
    return say(call, views->site_remove(views->context, leeward_text(in, "Name"), err), err);
}
