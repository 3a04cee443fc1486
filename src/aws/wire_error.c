/* The table of common errors: see wire_error.h. Called by dispatch.c, any thread; owns nothing.
 * Invariant: every row has a code and a status for every family of protocols. */
#include "aws/wire_error.h"

#include "aws/tables.h"
#include "base/text.h"

static const struct {
    const char *xml_code;
    const char *json_code;
    int xml_status;
    int json_status;
    int rest_json_status;
} rows[] = {
#define X(name, xml, status, json, json_number, rest_json_number)                                  \
    [WIRE_##name] = {xml, json, status, json_number, rest_json_number},
    WIRE_ERRORS(X)
#undef X
};

enum wire_error wire_error_find(const char *code)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (text_equal(rows[i].xml_code, code)) {
            return (enum wire_error)i;
        }
    }
    return WIRE_INTERNAL;
}

enum wire_error wire_error_of_kind(enum err_kind kind)
{
    if (kind == ERR_UNAVAILABLE || kind == ERR_TIMEOUT || kind == ERR_MEMORY || kind == ERR_IO) {
        return WIRE_UNAVAILABLE;
    }
    return kind == ERR_CONFLICT ? WIRE_BUSY : WIRE_INTERNAL;
}

const char *wire_error_text(enum wire_error error)
{
    if (error == WIRE_UNAVAILABLE) {
        return "The service is unavailable at the moment. Please try again.";
    }
    if (error == WIRE_BUSY) {
        return "The request came into conflict with another one. Please try again.";
    }
    return "The request processing has failed because of an unknown error, exception or failure.";
}

static enum codec_protocol protocol_of(const struct codec_service *service)
{
    return service != NULL ? (enum codec_protocol)service->protocol : CODEC_REST_XML;
}

/* What the model of a service calls a fault of ours: InternalServerException, InternalServiceError.
 * NULL: nothing. */
static const char *modelled_internal(const struct codec_service *service)
{
    for (size_t i = 0; service != NULL && i < service->error_count; i++) {
        const struct codec_error *row = &service->errors[i];
        if (row->status == 500 && text_starts(row->name, "Internal")) {
            return row->code;
        }
    }
    return NULL;
}

const char *wire_error_code(enum wire_error error, const struct codec_service *service)
{
    enum codec_protocol protocol = protocol_of(service);
    const char *modelled = error == WIRE_INTERNAL ? modelled_internal(service) : NULL;
    if (modelled != NULL) {
        return modelled;
    }
    return protocol == CODEC_JSON || protocol == CODEC_REST_JSON ? rows[error].json_code
                                                                 : rows[error].xml_code;
}

int wire_error_status(enum wire_error error, const struct codec_service *service)
{
    enum codec_protocol protocol = protocol_of(service);
    if (protocol == CODEC_REST_JSON) {
        return rows[error].rest_json_status;
    }
    return protocol == CODEC_JSON ? rows[error].json_status : rows[error].xml_status;
}
