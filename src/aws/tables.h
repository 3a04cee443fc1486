/* The rows of the generated tables: what the published service models say of every shape and
 * operation, in the form the engines want it. Written by tools/generate-aws into tables.c of the
 * build folder; read by the files of this room only. Constant, so any thread may read them. */
#ifndef AWS_TABLES_H
#define AWS_TABLES_H

#include "aws/service.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum codec_protocol {
    CODEC_REST_XML,
    CODEC_REST_JSON,
    CODEC_JSON,
    CODEC_QUERY,
    CODEC_EC2,
};

enum codec_type {
    CODEC_STRUCTURE,
    CODEC_LIST,
    CODEC_MAP,
    CODEC_STRING,
    CODEC_INTEGER, /* 32 bits */
    CODEC_LONG,    /* 64 bits */
    CODEC_FLOAT,
    CODEC_DOUBLE,
    CODEC_BOOLEAN,
    CODEC_TIMESTAMP,
    CODEC_BLOB,
    CODEC_DOCUMENT, /* any JSON value */
};

/* Where a member of an input or output travels. */
enum codec_location {
    CODEC_BODY,
    CODEC_HEADER,
    CODEC_HEADERS, /* a map: every header that starts with the wire name */
    CODEC_URI,
    CODEC_QUERYSTRING,
    CODEC_STATUS,
};

enum codec_time { CODEC_TIME_DEFAULT, CODEC_TIME_ISO8601, CODEC_TIME_UNIX, CODEC_TIME_RFC822 };

#define CODEC_REQUIRED 1U
#define CODEC_FLATTENED 2U
#define CODEC_ATTRIBUTE 4U /* an XML attribute */
#define CODEC_PAYLOAD 8U   /* is the whole body */
#define CODEC_STREAMING 16U
#define CODEC_IDEMPOTENCY 32U /* a token that clients fill in */

/* No bound: INFINITY is a float, and the tables hold doubles. */
#define CODEC_LEAST (-(double)INFINITY)
#define CODEC_MOST ((double)INFINITY)

struct codec_shape;

/* A member of a structure, the item of a list, the key or value of a map. */
struct codec_member {
    const char *name;     /* in trees */
    const char *wire;     /* on the wire: locationName or name */
    const char *ec2_wire; /* in requests of the ec2 protocol; NULL elsewhere */
    const struct codec_shape *shape;
    const char *namespace_prefix; /* xmlns declared on the element, NULL: none */
    const char *namespace_uri;
    uint8_t location;
    uint8_t flags;
    uint8_t time;
};

#define CODEC_SENSITIVE 1U /* values stay out of messages */
#define CODEC_UNION 2U     /* exactly one member is set */
#define CODEC_WRAPPER 4U

struct codec_shape {
    const char *name;
    const struct codec_member *members; /* structure: all; list: the item; map: key, then value */
    const uint16_t *by_wire;            /* structure: members sorted by wire name (strcmp) */
    const char *const *values;          /* enum */
    const char *pattern;                /* PCRE2, NULL: none */
    double min; /* of the number, or of the length; CODEC_LEAST and CODEC_MOST: none */
    double max;
    uint16_t count; /* members */
    uint16_t value_count;
    uint16_t pattern_index; /* among the patterns of all services */
    uint8_t type;
    uint8_t flags;
};

struct codec_error {
    const char *name;                /* of the shape */
    const char *code;                /* on the wire */
    const struct codec_shape *shape; /* its members */
    uint16_t status;                 /* HTTP */
    bool server;                     /* the fault is ours, not the sender's */
};

enum codec_segment_kind { CODEC_LITERAL, CODEC_LABEL, CODEC_GREEDY };

/* One piece between two '/' of a request URI. */
struct codec_segment {
    const char *text; /* literal, or the label's name */
    uint8_t kind;
};

/* Something a request must carry for a route to match. */
struct codec_condition {
    const char *name;  /* query key, or header */
    const char *value; /* NULL: any */
    bool header;
};

struct codec_operation {
    const char *name;
    const struct codec_service *service;
    const char *method;
    const struct codec_segment *segments;
    const struct codec_condition *conditions;
    const struct codec_shape *input;  /* NULL: none */
    const struct codec_shape *output; /* NULL: none */
    const struct codec_member *input_payload;
    const struct codec_member *output_payload;
    const char *input_root;     /* element around an XML input; NULL: none */
    const char *output_root;    /* element around an XML output */
    const char *result_wrapper; /* query: element inside it; NULL: none */
    const struct codec_error *const *errors;
    uint16_t segment_count;
    uint16_t condition_count;
    uint16_t error_count;
    uint16_t status; /* HTTP, on success */
    bool listed;     /* in operations.list; otherwise only name and route are known */
    uint8_t role;    /* enum aws_role */
};

struct codec_service {
    const char *name; /* the model's folder: "route53" */
    const char *full_name;
    const char *signing_name;
    const char *endpoint_prefix;
    const char *target_prefix; /* json; "" elsewhere */
    const char *json_version;
    const char *api_version;
    const char *xml_namespace;
    const char *validation_code;              /* error code of input that breaks the model */
    const char *malformed_code;               /* error code of a body that cannot be read */
    const struct codec_operation *operations; /* sorted by name */
    const uint16_t *routes;                   /* rest: operations, most specific first */
    const struct codec_error *errors;         /* sorted by name */
    uint16_t operation_count;                 /* 0: a service none of whose operations is listed */
    uint16_t error_count;
    uint8_t protocol;
};

/* Every service of the models, sorted by name; those with listed operations are complete. */
extern const struct codec_service codec_services[];
extern const size_t codec_service_count;
extern const size_t codec_pattern_count;

#endif
