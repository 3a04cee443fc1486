/* Routing controls' names, keys, states and safety rules: see arc.h. Pure; called by service/arc,
 * service/common and health/, on any thread. Invariant: an ARN that parses gives the same ARN when
 * it is written again. */
#include "model/arc.h"

#include "base/random.h"
#include "base/text.h"
#include "model/fields.h"
#include "model/keep.h"
#include "model/path.h"
#include "model/zone.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ARN_PREFIX "arn:aws:route53-recovery-control::"
#define HEX_DIGITS "0123456789abcdef"
#define PANEL_DIGITS 32U
#define PART_DIGITS 16U /* of a control or rule */
#define ACCOUNT_DIGITS 12U
#define UUID_LENGTH 36U

/* ---- names ---- */

const char *model_arc_kind_name(enum model_arc_kind kind)
{
    switch (kind) {
    case MODEL_ARC_CLUSTER:
        return "cluster";
    case MODEL_ARC_PANEL:
        return "control panel";
    case MODEL_ARC_CONTROL:
        return "routing control";
    case MODEL_ARC_RULE:
        break;
    }
    return "safety rule";
}

/* Takes what begins with `word` off the text. */
static bool take_word(const char **at, const char *word)
{
    if (!text_starts(*at, word)) {
        return false;
    }
    *at += strlen(word);
    return true;
}

/* Takes `length` characters of the alphabet off the text. */
static bool take_part(const char **at, size_t length, const char *alphabet, char *out, size_t size)
{
    if (strspn(*at, alphabet) < length || text_copy_n(out, size, *at, length) != 0) {
        return false;
    }
    *at += length;
    return true;
}

int model_arc_parse(const char *arn, struct model_arc_name *ret_name)
{
    struct model_arc_name name = {.kind = MODEL_ARC_CLUSTER};
    const char *at = arn;
    if (!take_word(&at, ARN_PREFIX) ||
        !take_part(&at, ACCOUNT_DIGITS, "0123456789", name.account, sizeof name.account)) {
        return -EINVAL;
    }
    bool good = false;
    if (take_word(&at, ":cluster/")) {
        good = take_part(&at, UUID_LENGTH, HEX_DIGITS "-", name.id, sizeof name.id);
    } else if (take_word(&at, ":controlpanel/") &&
               take_part(&at, PANEL_DIGITS, HEX_DIGITS, name.id, sizeof name.id)) {
        name.kind = MODEL_ARC_PANEL;
        good = true;
        bool control = take_word(&at, "/routingcontrol/");
        if (control || take_word(&at, "/safetyrule/")) {
            name.kind = control ? MODEL_ARC_CONTROL : MODEL_ARC_RULE;
            (void)memcpy(name.panel, name.id, sizeof name.panel);
            good = take_part(&at, PART_DIGITS, HEX_DIGITS, name.id, sizeof name.id);
        }
    }
    if (!good || *at != '\0') {
        return -EINVAL;
    }
    *ret_name = name;
    return 0;
}

char *model_arc_arn(struct arena *arena, const char *account, enum model_arc_kind kind,
                    const char *panel, const char *id)
{
    switch (kind) {
    case MODEL_ARC_CLUSTER:
        return arena_printf(arena, ARN_PREFIX "%s:cluster/%s", account, id);
    case MODEL_ARC_PANEL:
        return arena_printf(arena, ARN_PREFIX "%s:controlpanel/%s", account, id);
    case MODEL_ARC_CONTROL:
        return arena_printf(arena, ARN_PREFIX "%s:controlpanel/%s/routingcontrol/%s", account,
                            panel, id);
    case MODEL_ARC_RULE:
        break;
    }
    return arena_printf(arena, ARN_PREFIX "%s:controlpanel/%s/safetyrule/%s", account, panel, id);
}

void model_arc_new_id(enum model_arc_kind kind, char out[MODEL_ARC_ID])
{
    if (kind == MODEL_ARC_CLUSTER) {
        random_uuid(out);
    } else {
        random_text(out, kind == MODEL_ARC_PANEL ? PANEL_DIGITS : PART_DIGITS, HEX_DIGITS);
    }
}

/* ---- keys ---- */

char *model_arc_key(struct arena *arena, enum model_arc_kind kind, const char *panel,
                    const char *id)
{
    switch (kind) {
    case MODEL_ARC_CLUSTER:
        return path_join(arena, PATH_ARC_CLUSTERS, id);
    case MODEL_ARC_PANEL:
        return path_join(arena, PATH_ARC_PANELS, id);
    case MODEL_ARC_CONTROL:
        return path_join(arena, model_arc_prefix(arena, PATH_ARC_CONTROLS, panel), id);
    case MODEL_ARC_RULE:
        break;
    }
    return path_join(arena, model_arc_prefix(arena, PATH_ARC_RULES, panel), id);
}

char *model_arc_prefix(struct arena *arena, const char *prefix, const char *panel)
{
    return arena_printf(arena, "%s/", path_join(arena, prefix, panel));
}

char *model_arc_state_key(struct arena *arena, const char *panel, const char *control)
{
    return path_join(arena, model_arc_prefix(arena, PATH_ARC_STATES, panel), control);
}

char *model_arc_guard(struct arena *arena, const char *id)
{
    return path_join(arena, PATH_ARC_GUARDS, id);
}

/* ---- states ---- */

const char *model_arc_state_name(bool on)
{
    return on ? "On" : "Off";
}

#define STATE_MEMBERS 4U /* that this version writes */

int model_arc_state_decode(const void *value, size_t size, struct arena *arena,
                           struct model_arc_state *ret_state, struct err *err)
{
    json_t *object CLEANUP(fields_release) = NULL;
    int64_t changed_ms = 0;
    int rc = fields_parse(value, size, &object, err);
    if (rc == 0) {
        rc = fields_integer(object, "Changed", 0, INT64_MAX / TIME_MS, 0, &changed_ms, err);
    }
    const char *text = json_string_value(json_object_get(object, "State"));
    if (rc == 0 && (text == NULL || (!text_equal(text, "On") && !text_equal(text, "Off")))) {
        rc = err_set(err, ERR_CORRUPT, "State is neither On nor Off");
    }
    if (rc != 0) {
        return err_wrap(err, "routing control's state");
    }
    bool later = json_object_size(object) > STATE_MEMBERS ||
                 json_integer_value(json_object_get(object, "v")) > MODEL_VERSION;
    *ret_state = (struct model_arc_state){
        .on = text_equal(text, "On"),
        .changed = {.ns = changed_ms * TIME_MS},
        .later = later && arena != NULL ? arena_memdup(arena, value, size) : NULL};
    return 0;
}

char *model_arc_state_encode(struct arena *arena, const char *panel,
                             const struct model_arc_state *state)
{
    char *text =
        arena_printf(arena, "{\"v\":1,\"State\":\"%s\",\"Panel\":\"%s\",\"Changed\":%" PRId64 "}",
                     model_arc_state_name(state->on), panel, state->changed.ns / TIME_MS);
    if (state->later == NULL) {
        return text;
    }
    const struct model_stored stored = {state->later, strlen(state->later)};
    json_t *tree CLEANUP(fields_release) = model_keep(json_loads(text, 0, NULL), &stored);
    char *kept = tree != NULL ? json_dumps(tree, JSON_COMPACT) : NULL;
    text = kept != NULL ? arena_strdup(arena, kept) : text;
    free(kept);
    return text;
}

/* ---- rules ---- */

int model_arc_rule_type_parse(const char *text, enum model_arc_rule_type *ret_type)
{
    static const char *const names[] = {
        [MODEL_ARC_ATLEAST] = "ATLEAST",
        [MODEL_ARC_AND] = "AND",
        [MODEL_ARC_OR] = "OR",
        [MODEL_ARC_EXACTLY] = "EXACTLY",
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (text_equal(text, names[i])) {
            *ret_type = (enum model_arc_rule_type)i;
            return 0;
        }
    }
    return -EINVAL;
}

static int read_config(const json_t *config, struct arena *arena, struct model_arc_rule *rule,
                       struct err *err)
{
    const char *type = NULL;
    int rc = fields_text(config, "Type", arena, &type, err);
    if (rc == 0 && model_arc_rule_type_parse(type, &rule->type) != 0) {
        rc = err_set(err, ERR_CORRUPT, "Type %.64s is unknown", type);
    }
    if (rc == 0) {
        rc = fields_boolean(config, "Inverted", false, &rule->inverted, err);
    }
    /* Of AND and OR it is whatever somebody once sent: nobody looks at it. */
    bool counts = rule->type == MODEL_ARC_ATLEAST || rule->type == MODEL_ARC_EXACTLY;
    return rc == 0 ? fields_integer(config, "Threshold", counts ? 0 : INT32_MIN, INT32_MAX, 0,
                                    &rule->threshold, err)
                   : rc;
}

static int read_rule(const json_t *object, struct arena *arena, struct model_arc_rule *rule,
                     struct err *err)
{
    const char *kind = NULL;
    int rc = fields_text(object, "Kind", arena, &kind, err);
    if (rc == 0) {
        rc = fields_text(object, "Id", arena, &rule->id, err);
    }
    if (rc == 0) {
        rc = fields_text(object, "Name", arena, &rule->name, err);
    }
    if (rc == 0) {
        rc = fields_integer(object, "WaitPeriodMs", 0, INT32_MAX, 0, &rule->wait_ms, err);
    }
    if (rc == 0) {
        rc = fields_texts(object, "Controls", MODEL_ARC_PANEL_CONTROLS, arena, &rule->controls,
                          &rule->control_count, err);
    }
    if (rc == 0) {
        rc = fields_texts(object, "Targets", MODEL_ARC_PANEL_CONTROLS, arena, &rule->targets,
                          &rule->target_count, err);
    }
    if (rc == 0) {
        rc = read_config(json_object_get(object, "RuleConfig"), arena, rule, err);
    }
    if (rc == 0 && !text_equal(kind, "ASSERTION") && !text_equal(kind, "GATING")) {
        rc = err_set(err, ERR_CORRUPT, "Kind %.64s is unknown", kind);
    }
    if (rc == 0) {
        rule->kind = text_equal(kind, "GATING") ? MODEL_ARC_GATING : MODEL_ARC_ASSERTION;
    }
    return rc;
}

int model_arc_rule_decode(const void *value, size_t size, struct arena *arena,
                          struct model_arc_rule *ret_rule, struct err *err)
{
    json_t *object CLEANUP(fields_release) = NULL;
    struct model_arc_rule rule = {.id = ""};
    int rc = fields_parse(value, size, &object, err);
    if (rc == 0) {
        rc = read_rule(object, arena, &rule, err);
    }
    if (rc != 0) {
        return err_wrap(err, "safety rule");
    }
    *ret_rule = rule;
    return 0;
}
