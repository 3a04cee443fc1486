/* The fixture of this room's tests: see route53_fixture.h. One thread. Invariant: `out` and what
 * fixture_at gives live until the next call. */
#include "service/route53/route53_fixture.h"

#include "base/memory.h"
#include "base/text.h"
#include "store/memory.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const name_servers[] = {"ns1.dns.test", "ns2.dns.test", "ns3.dns.test",
                                           "ns4.dns.test"};

static int give_view(const struct fixture *fixture, const char *name, json_t **ret_view,
                     struct err *err)
{
    json_t *view = json_object_get(fixture->views, name);
    if (view == NULL) {
        return err_set(err, ERR_NOT_FOUND, "no view %s", name);
    }
    *ret_view = json_deep_copy(view);
    return 0;
}

static int test_dns_answer(void *context, const char *name, uint16_t type, const char *resolver,
                           const char *client, unsigned client_bits, json_t **ret_answer,
                           struct err *err)
{
    int rc = give_view(context, "Answer", ret_answer, err);
    if (rc == 0) { /* shows what was asked */
        (void)json_object_set_new(*ret_answer, "RecordName", json_string(name));
        (void)json_object_set_new(*ret_answer, "Asked",
                                  json_sprintf("%u %s %s/%u", type, resolver, client, client_bits));
    }
    return rc;
}

static int check_status(void *context, const char *check_id, json_t **ret_status, struct err *err)
{
    (void)check_id;
    return give_view(context, "Status", ret_status, err);
}

void fixture_open(struct fixture *fixture)
{
    *fixture = (struct fixture){.store = store_memory_open(), .views = json_object()};
    fixture->now.ns = (int64_t)1800000000 * TIME_S;
    int rc = seal_parse("test AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "test", &fixture->seal,
                        &fixture->err);
    assert(rc == 0);
    fixture->context = (struct service_context){
        .store = fixture->store,
        .seal = fixture->seal,
        .views = {.context = fixture,
                  .test_dns_answer = test_dns_answer,
                  .check_status = check_status},
        .name_servers = name_servers,
    };
    arena_init(&fixture->arena, 0);
}

static void forget(struct fixture *fixture)
{
    json_decref(fixture->out);
    fixture->out = NULL;
    arena_done(&fixture->arena);
    err_clear(&fixture->err);
}

void fixture_close(struct fixture *fixture)
{
    forget(fixture);
    json_decref(fixture->views);
    store_close(fixture->store);
    seal_free(fixture->seal);
}

int fixture_set_up(void **state)
{
    fixture_open(*state);
    return 0;
}

int fixture_tear_down(void **state)
{
    fixture_close(*state);
    return 0;
}

static aws_handler find_handler(const char *operation)
{
    for (size_t i = 0; i < service_route53.count; i++) {
        if (text_equal(service_route53.bindings[i].operation, operation)) {
            return service_route53.bindings[i].handler;
        }
    }
    return NULL;
}

static PRINTF(1, 0) json_t *read_request(const char *format, va_list args)
{
    char *text = NULL;
    int length = vasprintf(&text, format, args);
    assert(length >= 0);
    for (char *c = text; *c != '\0'; c++) {
        *c = (char)(*c == '\'' ? '"' : *c);
    }
    json_error_t error;
    json_t *request = json_loads(text, 0, &error);
    if (request == NULL) {
        (void)fprintf(stderr, "%s\n%s\n", text, error.text);
    }
    assert(request != NULL);
    free(text);
    return request;
}

int fixture_ask(struct fixture *fixture, const char *operation, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    json_t *request = read_request(format, args);
    va_end(args);
    forget(fixture);
    fixture->call = (struct aws_call){.arena = &fixture->arena,
                                      .context = &fixture->context,
                                      .service = "route53",
                                      .operation = operation,
                                      .region = "us-east-1",
                                      .account_id = "123456789012",
                                      .access_key_id = "LWAKTEST",
                                      .role = AWS_ROLE_ADMIN,
                                      .request_id = "r",
                                      .source = "127.0.0.1",
                                      .now = fixture->now};
    aws_handler handler = find_handler(operation);
    assert(handler != NULL);
    struct mono before = mono_now();
    int rc = handler(&fixture->call, request, &fixture->out, &fixture->err);
    fixture->elapsed_ns = mono_since(mono_now(), before);
    json_decref(request);
    return rc;
}

const char *fixture_code(const struct fixture *fixture)
{
    if (fixture->call.error_code != NULL) {
        return fixture->call.error_code;
    }
    return fixture->err.kind == ERR_NONE ? "" : "(internal)";
}

void fixture_refused(const struct fixture *fixture, const char *code, const char *words)
{
    bool good = text_equal(fixture_code(fixture), code) &&
                strstr(fixture->err.message, words) != NULL && fixture->out == NULL;
    if (!good) {
        (void)fprintf(stderr, "\"%s: %s\" is not \"%s: .. %s\"\n", fixture_code(fixture),
                      fixture->err.message, code, words);
    }
    assert(good);
}

json_t *fixture_at(const struct fixture *fixture, const char *path)
{
    json_t *at = fixture->out;
    while (at != NULL && *path != '\0') {
        char member[128];
        size_t length = strcspn(path, ".");
        int64_t index = 0;
        if (text_copy_n(member, sizeof member, path, length) != 0) {
            return NULL;
        }
        at = json_is_array(at) && text_to_i64(member, 0, INT64_MAX, &index) == 0
                 ? json_array_get(at, (size_t)index)
                 : json_object_get(at, member);
        path += length + (path[length] == '.' ? 1 : 0);
    }
    return at;
}

const char *fixture_text(const struct fixture *fixture, const char *path)
{
    const char *text = json_string_value(fixture_at(fixture, path));
    return text != NULL ? text : "";
}

long long fixture_number(const struct fixture *fixture, const char *path)
{
    const json_t *number = fixture_at(fixture, path);
    return json_is_integer(number) ? json_integer_value(number) : -1;
}

bool fixture_true(const struct fixture *fixture, const char *path)
{
    return json_is_true(fixture_at(fixture, path));
}

size_t fixture_size(const struct fixture *fixture, const char *path)
{
    return json_array_size(fixture_at(fixture, path));
}

char *fixture_zone(struct fixture *fixture, const char *name)
{
    static unsigned serial;
    int rc = fixture_ask(fixture, "CreateHostedZone", "{'Name':'%s','CallerReference':'zone-%u'}",
                         name, serial++);
    assert(rc == 0);
    return memory_strdup(fixture_text(fixture, "HostedZone.Id") + strlen("/hostedzone/"));
}

char *fixture_check(struct fixture *fixture, const char *reference)
{
    int rc = fixture_ask(fixture, "CreateHealthCheck",
                         "{'CallerReference':'%s','HealthCheckConfig':{'Type':'HTTP','IPAddress':"
                         "'127.0.0.1','Port':8080}}",
                         reference);
    assert(rc == 0);
    return memory_strdup(fixture_text(fixture, "HealthCheck.Id"));
}

int fixture_change(struct fixture *fixture, const char *zone, const char *action,
                   const char *record)
{
    return fixture_ask(
        fixture, "ChangeResourceRecordSets",
        "{'HostedZoneId':'%s','ChangeBatch':{'Changes':[{'Action':'%s','ResourceRecordSet':%s}]}}",
        zone, action, record);
}

void fixture_put(struct fixture *fixture, const char *key, const char *value)
{
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t revision = 0;
    struct err err = ERR_INIT;
    store_txn_put(txn, key, value, strlen(value));
    int rc = store_commit(fixture->store, txn, &revision, &err);
    assert(rc == 0);
}

bool fixture_stored(struct fixture *fixture, const char *key)
{
    struct arena arena CLEANUP(arena_done);
    struct store_entry entry;
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    return store_get(fixture->store, key, &arena, &entry, &err) == 0;
}

long long fixture_revision(struct fixture *fixture)
{
    int64_t revision = 0;
    struct err err = ERR_INIT;
    int rc = store_revision(fixture->store, &revision, &err);
    assert(rc == 0);
    return revision;
}
