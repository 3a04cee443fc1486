/* Failed calls on the wire: codec_encode_error of codec.h. Code, status and members come from the
 * model's error shapes, else from the common errors of wire_error.h. On the request's thread;
 * everything lives in the call's arena. Invariant: an answer is always made; when memory is out it
 * has a status and no body.
 *
 * Route 53's reference shows InvalidChangeBatch as a root element of its own. The service answers
 * SDKs with an ordinary ErrorResponse whose Message is "[first, second]", and botocore finds no
 * code in the other form: so that is what is sent, with the messages as members beside it. */
#include "aws/internal.h"
#include "aws/wire_error.h"
#include "base/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What goes on the wire. */
struct failure {
    const char *code;
    const char *message;
    const json_t *members;         /* NULL: none */
    const struct codec_error *row; /* of the model; NULL: none */
    int status;
    bool server;
};

const struct codec_error *codec_error_find(const struct codec_service *service, const char *name)
{
    for (size_t i = 0; i < service->error_count; i++) {
        if (text_equal(service->errors[i].name, name)) {
            return &service->errors[i];
        }
    }
    return NULL;
}

/* The operation's own errors first: several shapes may share a code. */
static const struct codec_error *find_row(const struct codec_route *route, const char *code)
{
    const struct codec_operation *operation = route->operation;
    for (size_t i = 0; operation != NULL && i < operation->error_count; i++) {
        const struct codec_error *row = operation->errors[i];
        if (text_equal(row->name, code) || text_equal(row->code, code)) {
            return row;
        }
    }
    const struct codec_error *row = codec_error_find(route->service, code);
    for (size_t i = 0; row == NULL && i < route->service->error_count; i++) {
        if (text_equal(route->service->errors[i].code, code)) {
            row = &route->service->errors[i];
        }
    }
    return row;
}

/* The status of a code that the model does not have. */
static int common_status(const struct codec_service *service, const char *code)
{
    static const enum wire_error all[] = {
#define X(name, xml, status, json, json_number, rest_json_number) WIRE_##name,
        WIRE_ERRORS(X)
#undef X
    };
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        if (text_equal(wire_error_code(all[i], service), code) ||
            text_equal(wire_error_code(all[i], NULL), code)) {
            return wire_error_status(all[i], service);
        }
    }
    return 400;
}

/* "[first, second]" of a list of sentences among the members, as Route 53 words a batch's errors.
 */
static const char *join_messages(struct arena *arena, const json_t *members)
{
    const json_t *messages = json_object_get(members, "messages");
    struct buf text CLEANUP(buf_done);
    buf_init(&text, CODEC_RESPONSE_LIMIT);
    buf_putc(&text, '[');
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const char *message = json_string_value(json_array_get(messages, i));
        buf_puts(&text, i != 0 ? ", " : "");
        buf_puts(&text, message != NULL ? message : "");
    }
    buf_putc(&text, ']');
    return buf_failed(&text) ? NULL : arena_try_memdup(arena, buf_text(&text), text.length + 1);
}

static const char *choose_message(struct arena *arena, const json_t *members, const struct err *err)
{
    const char *message = json_string_value(json_object_get(members, "message"));
    if (message == NULL) {
        message = json_string_value(json_object_get(members, "Message"));
    }
    if (message == NULL && json_is_array(json_object_get(members, "messages"))) {
        message = join_messages(arena, members);
    }
    if (message != NULL) {
        return message;
    }
    char *text = arena_strdup(arena, err->message);
    text_mend(text); /* the limit, or a "%.9s" in it, may have cut a character */
    return text;
}

static struct failure describe(const struct codec_route *route, const struct aws_call *call,
                               const struct err *err)
{
    if (call->error_code == NULL) {
        enum wire_error error = wire_error_of_kind(err->kind);
        int status = wire_error_status(error, route->service);
        return (struct failure){.code = wire_error_code(error, route->service),
                                .message = wire_error_text(error),
                                .status = status,
                                .server = status >= 500};
    }
    struct failure failure = {.code = call->error_code,
                              .message = choose_message(call->arena, call->error_members, err),
                              .members = call->error_members};
    failure.row = route->service != NULL ? find_row(route, call->error_code) : NULL;
    if (failure.row != NULL) {
        failure.code = failure.row->code;
        failure.status = failure.row->status;
        failure.server = failure.row->server;
    } else {
        failure.status = common_status(route->service, call->error_code);
        failure.server = failure.status >= 500;
    }
    return failure;
}

static bool is_message(const char *name)
{
    return text_equal_nocase(name, "message");
}

/* The members of the error's shape besides the message, as elements. */
static void write_xml_members(struct buf *out, const struct failure *failure)
{
    struct err err = ERR_INIT;
    for (size_t i = 0; failure->row != NULL && i < failure->row->shape->count; i++) {
        const struct codec_member *member = &failure->row->shape->members[i];
        const json_t *value = json_object_get(failure->members, member->name);
        if (value == NULL || is_message(member->name)) {
            continue;
        }
        size_t start = out->length;
        if (codec_xml_write(out, member->wire, NULL, member, value, &err) < 0 &&
            out->data != NULL) {
            out->length = start; /* a member that does not fit the model is left out */
            out->data[start] = '\0';
        }
    }
}

static void write_element(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, "<%s>", name);
    codec_xml_escape(out, text, strlen(text));
    buf_printf(out, "</%s>", name);
}

static void write_xml(struct buf *out, const struct codec_route *route, const struct aws_call *call,
                      const struct failure *failure)
{
    bool ec2 = route->service != NULL && route->service->protocol == CODEC_EC2;
    buf_puts(out, "<?xml version=\"1.0\"?>\n");
    buf_puts(out, ec2 ? "<Response><Errors><Error>" : "<ErrorResponse");
    if (!ec2) {
        if (route->service != NULL && !text_empty(route->service->xml_namespace)) {
            buf_puts(out, " xmlns=\"");
            codec_xml_escape(out, route->service->xml_namespace,
                             strlen(route->service->xml_namespace));
            buf_puts(out, "\"");
        }
        buf_puts(out, "><Error>");
        write_element(out, "Type", failure->server ? "Receiver" : "Sender");
    }
    write_element(out, "Code", failure->code);
    write_element(out, "Message", failure->message);
    write_xml_members(out, failure);
    buf_puts(out, ec2 ? "</Error></Errors>" : "</Error>");
    write_element(out, ec2 ? "RequestID" : "RequestId", call->request_id);
    buf_puts(out, ec2 ? "</Response>" : "</ErrorResponse>");
}

/* The name of the message's member: most models write "message", some "Message". */
static const char *json_message_name(const struct codec_error *row)
{
    for (size_t i = 0; row != NULL && i < row->shape->count; i++) {
        if (is_message(row->shape->members[i].name)) {
            return row->shape->members[i].wire;
        }
    }
    return "message";
}

static void write_json(struct buf *out, const struct failure *failure, bool with_type)
{
    struct err err = ERR_INIT;
    buf_putc(out, '{');
    if (with_type) {
        buf_puts(out, "\"__type\":");
        codec_json_escape(out, failure->code, strlen(failure->code));
        buf_putc(out, ',');
    }
    buf_printf(out, "\"%s\":", json_message_name(failure->row));
    codec_json_escape(out, failure->message, strlen(failure->message));
    for (size_t i = 0; failure->row != NULL && i < failure->row->shape->count; i++) {
        const struct codec_member *member = &failure->row->shape->members[i];
        const json_t *value = json_object_get(failure->members, member->name);
        if (value == NULL || is_message(member->name) || member->location != CODEC_BODY) {
            continue;
        }
        size_t start = out->length;
        buf_putc(out, ',');
        codec_json_escape(out, member->wire, strlen(member->wire));
        buf_putc(out, ':');
        if (codec_json_write(out, member, value, &err) < 0 && out->data != NULL) {
            out->length = start; /* a member that does not fit the model is left out */
            out->data[start] = '\0';
        }
    }
    buf_putc(out, '}');
}

void codec_encode_error(const struct codec_route *route, const struct aws_call *call,
                        const struct err *err, struct http_response *ret_response)
{
    struct failure failure = describe(route, call, err);
    enum codec_protocol protocol =
        route->service != NULL ? (enum codec_protocol)route->service->protocol : CODEC_REST_XML;
    struct buf body CLEANUP(buf_done);
    buf_init(&body, CODEC_RESPONSE_LIMIT);
    *ret_response = (struct http_response){.status = failure.status};
    if (protocol == CODEC_JSON || protocol == CODEC_REST_JSON) {
        write_json(&body, &failure, protocol == CODEC_JSON);
        ret_response->content_type = codec_content_type(route->service);
        http_response_add(ret_response, "x-amzn-ErrorType", failure.code);
    } else {
        write_xml(&body, route, call, &failure);
        ret_response->content_type = "text/xml";
    }
    if (codec_take_body(&body, call->arena, ret_response) < 0) {
        ret_response->content_type = NULL;
    }
}
