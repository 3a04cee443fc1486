/* The call to the API: settings from options and environment, the signed request, and what is said
 * when it fails; see cli.h. Called by the nouns. Invariant: a secret is wiped when the call is
 * over, and no message holds one. */
#include "base/text.h"
#include "cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LEEWARD "leeward"
#define ROUTE53 "route53"
#define TIMEOUT_MS 30000L

/* The first of the variables that is set and not empty; fallback otherwise. */
static const char *setting(const struct cli *cli, const char *first, const char *second,
                           const char *fallback)
{
    const char *value = first != NULL ? cli->world->variable(first) : NULL;
    if (text_empty(value) && second != NULL) {
        value = cli->world->variable(second);
    }
    return text_empty(value) ? fallback : value;
}

static const char *option_or(const struct cli *cli, const char *option, const char *otherwise)
{
    const char *value = cli_option(cli, option);
    return text_empty(value) ? otherwise : value;
}

/* Id and secret come from the same pair of variables, never mixed. */
static enum cli_exit find_key(struct cli *cli, struct aws_client_config *config)
{
    static const char *const pairs[][2] = {
        {"LEEWARD_ACCESS_KEY_ID", "LEEWARD_SECRET_ACCESS_KEY"},
        {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        const char *id = cli->world->variable(pairs[i][0]);
        const char *secret = cli->world->variable(pairs[i][1]);
        if (text_empty(id) && text_empty(secret)) {
            continue;
        }
        if (text_empty(id) || text_empty(secret)) {
            cli_complain(cli, "%s is set, but %s is not: they go together",
                         pairs[i][text_empty(id) ? 1 : 0], pairs[i][text_empty(id) ? 0 : 1]);
            return CLI_EXIT_USAGE;
        }
        if (secret_set(&config->secret, secret, strlen(secret)) != 0) {
            cli_complain(cli, "%s is longer than %u characters", pairs[i][1], SECRET_LIMIT);
            return CLI_EXIT_USAGE;
        }
        config->access_key_id = id;
        return CLI_EXIT_OK;
    }
    cli_complain(cli, "no access key: set LEEWARD_ACCESS_KEY_ID and LEEWARD_SECRET_ACCESS_KEY "
                      "(leewardd printed the first one when it was started the first time)");
    return CLI_EXIT_USAGE;
}

static enum cli_exit exit_of(enum err_kind kind)
{
    switch ((int)kind) {
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_DENIED: /* a TLS connection that is not trusted */
        return CLI_EXIT_UNREACHABLE;
    case ERR_INVALID:
        return CLI_EXIT_USAGE;
    default:
        return CLI_EXIT_FAILED;
    }
}

#define UNKNOWN                                                                                    \
    "this leewardd does not know the access key: check LEEWARD_ACCESS_KEY_ID, and that the "       \
    "endpoint is the right one"
#define MISMATCH                                                                                   \
    "the secret does not belong to the access key, or this machine's clock is wrong: check "       \
    "LEEWARD_SECRET_ACCESS_KEY and the time"
#define DENIED                                                                                     \
    "the access key's role does not allow this: use a key with a higher role (`leeward key list` " \
    "shows the roles)"

/* What to do about an error that the API names. */
static const char *advice(const char *type)
{
    static const struct {
        const char *type;
        const char *text;
    } rows[] = {
        {"UnrecognizedClientException", UNKNOWN},
        {"InvalidSignatureException", MISMATCH},
        {"AccessDeniedException", DENIED},
        {"AccessDenied", DENIED}, /* as Route 53 says it */
        {"InvalidClientTokenId", UNKNOWN},
        {"SignatureDoesNotMatch", MISMATCH},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (text_equal(rows[i].type, type)) {
            return rows[i].text;
        }
    }
    return NULL;
}

/* Type and message of an error, in JSON or in XML; "" where there is none. */
static void read_error(struct cli *cli, const struct aws_client_response *response,
                       const char **ret_type, const char **ret_message)
{
    static const char *const paths[] = {"ErrorResponse/Error/Message",
                                        "InvalidChangeBatch/Messages/Message"};
    json_t *body = json_loadb(response->body, response->size, 0, NULL);
    const char *message = cli_text(body, "message");
    message = *message != '\0' ? message : cli_text(body, "Message");
    *ret_message = arena_strdup(cli->arena, message);
    *ret_type = response->error_type;
    json_decref(body);
    for (size_t i = 0; i < ARRAY_SIZE(paths) && **ret_message == '\0'; i++) {
        const char *text = aws_client_text(response, paths[i], cli->arena);
        *ret_message = text != NULL ? text : "";
    }
    if (**ret_type == '\0') {
        const char *code = aws_client_text(response, "ErrorResponse/Error/Code", cli->arena);
        *ret_type = code != NULL ? code : "";
    }
}

static enum cli_exit refused(struct cli *cli, const struct aws_client_config *config,
                             const struct aws_client_response *response)
{
    const char *type = "";
    const char *message = "";
    read_error(cli, response, &type, &message);
    if (*message == '\0' && *type == '\0') {
        cli_complain(cli, "%s answered with HTTP status %d: is it leewardd?", config->endpoint,
                     response->status);
    } else if (*message == '\0') {
        cli_complain(cli, "%s (HTTP status %d)", type, response->status);
    } else {
        cli_complain(cli, "%s", message);
    }
    /* A region that is not served has the same type, and a message that says it all. */
    if (advice(type) != NULL && !text_starts(message, "Credential should be scoped")) {
        cli_complain(cli, "%s", advice(type));
    }
    return CLI_EXIT_FAILED;
}

static void release(void *tree)
{
    json_decref(tree);
}

/* An answer without content is one only where none was asked for: a page of some other server is
 * not taken for success. */
static enum cli_exit read_answer(struct cli *cli, const struct aws_client_config *config,
                                 const struct aws_client_response *response, json_t **ret_answer)
{
    if (ret_answer == NULL && response->size == 0) {
        return CLI_EXIT_OK;
    }
    json_error_t error;
    json_t *answer = json_loadb(response->body, response->size, 0, &error);
    if (!json_is_object(answer)) {
        json_decref(answer);
        cli_complain(cli, "the answer of %s is not JSON: is it leewardd?", config->endpoint);
        return CLI_EXIT_FAILED;
    }
    arena_defer(cli->arena, release, answer);
    if (ret_answer != NULL) {
        *ret_answer = answer;
    }
    return CLI_EXIT_OK;
}

struct outgoing {
    const char *service;
    const char *method;
    const char *target;
    const char *content_type; /* NULL without a body */
    const char *body;
    size_t size;
};

/* Sends it; on success the status is one of the 200s. */
static enum cli_exit exchange(struct cli *cli, const struct outgoing *outgoing,
                              struct aws_client_config *ret_config,
                              struct aws_client_response *ret_response)
{
    struct aws_client_config config = {
        .endpoint = option_or(cli, "endpoint",
                              setting(cli, "LEEWARD_ENDPOINT", NULL, "http://127.0.0.1:4566")),
        .region = option_or(cli, "region",
                            setting(cli, "LEEWARD_REGION", "AWS_DEFAULT_REGION", "us-east-1")),
        .ca_file = option_or(cli, "ca-file", setting(cli, "AWS_CA_BUNDLE", NULL, NULL)),
        .timeout_ms = TIMEOUT_MS};
    enum cli_exit code = find_key(cli, &config);
    if (code != CLI_EXIT_OK) {
        return code;
    }
    struct err err = ERR_INIT;
    int rc = cli->world->call(&config, outgoing->service, outgoing->method, outgoing->target,
                              outgoing->content_type, outgoing->body, outgoing->size, cli->arena,
                              ret_response, &err);
    secret_wipe(&config.secret);
    *ret_config = config;
    if (rc != 0) {
        cli_complain(cli, "%s", err.message);
        return exit_of(err.kind);
    }
    if (ret_response->status < 200 || ret_response->status > 299) {
        return refused(cli, &config, ret_response);
    }
    return CLI_EXIT_OK;
}

enum cli_exit cli_call(struct cli *cli, const char *method, const char *target, const json_t *body,
                       json_t **ret_answer)
{
    struct aws_client_config config;
    struct aws_client_response response = {0};
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    struct outgoing outgoing = {.service = LEEWARD, .method = method, .target = target};
    if (text != NULL) {
        outgoing.content_type = "application/json";
        outgoing.body = text;
        outgoing.size = strlen(text);
    }
    enum cli_exit code = exchange(cli, &outgoing, &config, &response);
    free(text);
    return code != CLI_EXIT_OK ? code : read_answer(cli, &config, &response, ret_answer);
}

enum cli_exit cli_call_route53(struct cli *cli, const char *method, const char *target,
                               const struct buf *body, struct aws_client_response *ret_response)
{
    struct aws_client_config config;
    struct outgoing outgoing = {.service = ROUTE53, .method = method, .target = target};
    if (body != NULL) {
        outgoing.content_type = "application/xml";
        outgoing.body = buf_text(body);
        outgoing.size = body->length;
    }
    return exchange(cli, &outgoing, &config, ret_response);
}

bool cli_answer_has(struct cli *cli, json_t *answer, const char *format, ...)
{
    json_error_t error;
    va_list args;
    va_start(args, format);
    bool good = json_vunpack_ex(answer, &error, JSON_VALIDATE_ONLY, format, args) == 0;
    va_end(args);
    if (!good) {
        cli_complain(cli,
                     "the answer is not what was asked for (%s): is it leewardd that answered?",
                     error.text);
    }
    return good;
}

const char *cli_target(struct cli *cli, const char *before, const char *text, const char *after)
{
    struct buf target CLEANUP(buf_done);
    buf_init(&target, 0);
    buf_puts(&target, before);
    text_uri_encode(&target, text, strlen(text), false);
    buf_puts(&target, after);
    return arena_strdup(cli->arena, buf_text(&target));
}
