/* An API server for tests: every listed operation is answered by one handler, keys are fixed, and
 * finished calls are printed. tests in Python talk to it with boto3 and with plain sockets.
 *
 * usage: serve [idle_ms [request_ms [connections [certificate.pem key.pem]]]]
 * Prints "port N", then a line per call; ends, cleanly, when its standard input does. */
#include "aws/codec.h"
#include "aws/server.h"
#include "aws/tables.h"
#include "base/memory.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_LIMIT 65536U
#define LONG_TEXT ((size_t)16 << 20U)
#define SERVICES 64U /* with listed operations, at most */

static int find_key(void *context, const char *id, bool changes, struct aws_credential *ret,
                    struct err *err)
{
    static const struct {
        const char *id;
        enum aws_role role;
    } keys[] = {{"AKIDADMIN", AWS_ROLE_ADMIN},
                {"AKIDOPERATOR", AWS_ROLE_OPERATOR},
                {"AKIDVIEWER", AWS_ROLE_VIEWER}};
    (void)context;
    (void)changes;
    if (text_equal(id, "AKIDBROKEN")) {
        return err_set(err, ERR_UNAVAILABLE, "the store at /secret/place is gone");
    }
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (text_equal(keys[i].id, id)) {
            ret->role = keys[i].role;
            return secret_set(&ret->secret, "secret", 6);
        }
    }
    return err_set(err, ERR_NOT_FOUND, "no key %s", id);
}

/* More than the sockets of both sides hold. */
static json_t *long_answer(struct arena *arena)
{
    char *text = arena_alloc(arena, LONG_TEXT + 1);
    (void)memset(text, 'x', LONG_TEXT);
    return json_pack("{s:[],s:s,s:b,s:s}", "DelegationSets", "Marker", text, "IsTruncated", 0,
                     "MaxItems", "1");
}

/* Handlers that fail in every way there is, by operation. */
static int handle(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err)
{
    (void)in;
    if (text_equal(call->operation, "GetHealthCheckCount")) {
        return err_set(err, ERR_INTERNAL, "a secret of the inside");
    }
    if (text_equal(call->operation, "GetCheckerIpRanges")) {
        return err_set(err, ERR_UNAVAILABLE, "a secret of the inside");
    }
    if (text_equal(call->operation, "GetAccountLimit")) {
        return err_set(err, ERR_IO, "the disk is full, a secret of the inside");
    }
    if (text_equal(call->operation, "ListHealthChecks")) {
        return err_set(err, ERR_CONFLICT, "a secret of the inside");
    }
    if (text_equal(call->operation, "GetHostedZone")) {
        return aws_error(call, err, "NoSuchHostedZone", "No hosted zone found with ID: Z1");
    }
    if (text_equal(call->operation, "ListHostedZones")) {
        return aws_error_with(call, err, "InvalidChangeBatch",
                              json_pack("{s:[s,s]}", "messages", "one", "two"), "one and two");
    }
    if (text_equal(call->operation, "GetHostedZoneCount")) {
        *ret_out = json_pack("{s:i}", "HostedZoneCount", 3);
    } else if (text_equal(call->operation, "GetCallerIdentity")) {
        *ret_out = json_pack("{s:s,s:s,s:s}", "UserId", call->access_key_id, "Account",
                             call->account_id, "Arn", call->region);
    } else if (text_equal(call->operation, "ListReusableDelegationSets")) {
        *ret_out = long_answer(call->arena);
    } else {
        *ret_out = json_object();
    }
    return 0;
}

static void print_call(void *context, const struct aws_call *call, int status, int64_t duration_ns,
                       const struct err *err)
{
    (void)context;
    (void)duration_ns;
    (void)printf("call %s:%s %s %s %d %s\n", call->service, call->operation,
                 call->access_key_id[0] != '\0' ? call->access_key_id : "-", call->source, status,
                 err != NULL ? err->message : "fine");
    (void)fflush(stdout); /* the test sees what it lacks */
}

static char *file_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    char *text = memory_new(FILE_LIMIT + 1);
    size_t length = fread(text, 1, FILE_LIMIT, file);
    text[length] = '\0';
    (void)fclose(file); /* only read from */
    return text;
}

/* A table of handlers for every listed operation of a service. */
static struct aws_service *bind_all(const struct codec_service *table)
{
    struct aws_service *service = memory_new(sizeof *service);
    struct aws_binding *bindings = NULL;
    const struct codec_operation *operation = NULL;
    while ((operation = codec_service_operation(table, service->count)) != NULL) {
        bindings = memory_resize(bindings, service->count + 1, sizeof *bindings);
        bindings[service->count++] = (struct aws_binding){codec_operation_name(operation), handle};
    }
    service->name = codec_service_name(table);
    service->bindings = bindings;
    return service;
}

static unsigned argument(int argc, char **argv, int index, unsigned otherwise)
{
    int64_t value = 0;
    if (index < argc && text_to_i64(argv[index], 0, 1000000, &value) == 0) {
        return (unsigned)value;
    }
    return otherwise;
}

static void wait_for_end(void)
{
    char byte = '\0';
    while (read(STDIN_FILENO, &byte, 1) == 1) {
    }
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct aws_server *server = NULL;
    static const char *const regions[] = {"us-east-1", "eu-west-1"};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct aws_service *services[SERVICES] = {0};
    struct aws_server_config config = {.threads = 4,
                                       .connections = argument(argc, argv, 3, 1000),
                                       .idle_ms = argument(argc, argv, 1, 5000),
                                       .request_ms = argument(argc, argv, 2, 0),
                                       .account_id = "123456789012",
                                       .regions = regions,
                                       .region_count = ARRAY_SIZE(regions),
                                       .credential = find_key,
                                       .finished = print_call};
    (void)memcpy(&config.address, &address, sizeof address);
    for (size_t i = 0; i < codec_service_count && config.service_count < SERVICES; i++) {
        if (codec_service_operation(&codec_services[i], 0) != NULL) {
            services[config.service_count++] = bind_all(&codec_services[i]);
        }
    }
    config.services = (const struct aws_service *const *)services;
    char *certificate = argc > 5 ? file_text(argv[4]) : NULL;
    char *key = argc > 5 ? file_text(argv[5]) : NULL;
    config.certificate_pem = certificate;
    config.key_pem = key;
    int code = aws_server_start(&config, &server, &err);
    if (code != 0) {
        (void)fprintf(stderr, "%s\n", err.message);
    } else {
        struct sockaddr_in bound;
        (void)memcpy(&bound, aws_server_address(server), sizeof bound);
        (void)printf("port %u\n", (unsigned)ntohs(bound.sin_port));
        (void)fflush(stdout); /* as above */
        wait_for_end();
        aws_server_stop(server);
    }
    for (size_t i = 0; i < config.service_count; i++) {
        struct aws_service *service = services[i];
        union {
            const struct aws_binding *read;
            void *owned;
        } bindings = {.read = service->bindings};
        free(bindings.owned);
        free(service);
    }
    free(certificate);
    free(key);
    return code == 0 ? 0 : 1;
}
