/* What is answered to those who want to join: with tokens that are wrong, expired, used or
 * nobody's, names and addresses that are none, requests for certificates that are none, and texts
 * that are no requests at all. Whatever is refused changes nothing, and a good token works
 * afterwards. */
#include "base/macro.h"
#include "base/memory.h"
#include "base/text.h"
#include "model/path.h"
#include "site/certificate.h"
#include "site/internal.h"
#include "store/memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SEAL_TEXT "one AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
#define ADDRESS "192.0.2.1:7000"
#define NOW ((struct wall){1800000000 * TIME_S})
#define LATER(s) ((struct wall){NOW.ns + (s)*TIME_S})

struct fixture {
    struct arena arena;
    struct err err;
    struct store *store;
    struct seal *seal;
    char folder[64];
    const char *request; /* for a certificate; good */
    struct site_token token;
};

static void new_token(struct fixture *fixture)
{
    char text[SITE_TOKEN_LIMIT];
    struct wall expires;
    assert_int_equal(
        site_make_token(fixture->store, ADDRESS, 60, NOW, text, &expires, &fixture->err), 0);
    assert_int_equal(site_token_read(text, &fixture->token, &fixture->err), 0);
}

static int set_up(void **state)
{
    struct fixture *fixture = memory_new(sizeof *fixture);
    const struct site_self self = {.name = "one", .api = "http://192.0.2.1", .peer = ADDRESS};
    const char *key = NULL;
    arena_init(&fixture->arena, 0);
    fixture->store = store_memory_open();
    assert_int_equal(seal_parse(SEAL_TEXT, "test", &fixture->seal, &fixture->err), 0);
    (void)snprintf(fixture->folder, sizeof fixture->folder, "/tmp/leeward-site-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    assert_int_equal(
        site_init(fixture->store, fixture->seal, fixture->folder, &self, &fixture->err), 0);
    assert_int_equal(certificate_make_key(&fixture->arena, &key, &fixture->err), 0);
    assert_int_equal(
        certificate_make_request(key, &fixture->arena, &fixture->request, &fixture->err), 0);
    new_token(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"site/ca.crt", "site/site.crt", "site/site.key", "site",
                                        ""};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", fixture->folder, names[i]);
        (void)remove(path);
    }
    store_close(fixture->store);
    seal_free(fixture->seal);
    arena_done(&fixture->arena);
    free(fixture);
    return 0;
}

static json_t *answer_at(struct fixture *fixture, const char *text, struct wall now, bool *joined)
{
    struct buf answer CLEANUP(buf_done);
    buf_init(&answer, 65536);
    *joined = site_answer_join(fixture->store, fixture->seal, text, now, &answer);
    json_t *tree = json_loads(buf_text(&answer), 0, NULL);
    assert_non_null(tree);
    return tree;
}

/* Whether it was refused, with a reason that has this in it, and without changing anything. */
static void refuses_at(struct fixture *fixture, const char *text, struct wall now,
                       const char *reason)
{
    int64_t before = 0;
    int64_t after = 0;
    bool joined = true;
    assert_int_equal(store_revision(fixture->store, &before, &fixture->err), 0);
    json_t *tree = answer_at(fixture, text, now, &joined);
    assert_false(joined);
    if (strstr(site_text(tree, "Error"), reason) == NULL) {
        fail_msg("'%s' is not '%s'", site_text(tree, "Error"), reason);
    }
    assert_null(json_object_get(tree, "SealKeys"));
    assert_null(json_object_get(tree, "Certificate"));
    json_decref(tree);
    assert_int_equal(store_revision(fixture->store, &after, &fixture->err), 0);
    assert_int_equal(before, after);
}

static const char *ask(struct fixture *fixture, const char *id, const char *secret,
                       const char *name, const char *peer, const char *request)
{
    json_t *tree = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s}", "v", 1, "Id", id, "Secret", secret,
                             "Name", name, "Peer", peer, "Request", request);
    assert_non_null(tree);
    const char *text = site_dump(tree, &fixture->arena);
    json_decref(tree);
    return text;
}

static const char *good_request(struct fixture *fixture, const char *name)
{
    return ask(fixture, fixture->token.id, fixture->token.secret, name, ADDRESS, fixture->request);
}

static void joins(struct fixture *fixture, const char *name)
{
    bool joined = false;
    json_t *tree = answer_at(fixture, good_request(fixture, name), NOW, &joined);
    assert_true(joined);
    assert_true(site_text(tree, "Certificate")[0] != '\0');
    assert_non_null(strstr(site_text(tree, "SealKeys"), "one AAEC"));
    json_decref(tree);
}

static void a_good_token_works_once(void **state)
{
    struct fixture *fixture = *state;
    joins(fixture, "two");
    refuses_at(fixture, good_request(fixture, "three"), NOW, "used already");
    refuses_at(fixture, good_request(fixture, "two"), NOW, "used already");
}

static void a_token_that_has_expired_is_refused(void **state)
{
    struct fixture *fixture = *state;
    refuses_at(fixture, good_request(fixture, "two"), LATER(60), "expired");
    refuses_at(fixture, good_request(fixture, "two"), LATER(100000), "expired");
    joins(fixture, "two"); /* a second before */
}

static void a_wrong_secret_is_refused_and_the_token_stays(void **state)
{
    struct fixture *fixture = *state;
    char secret[TOKEN_SECRET + 1];
    (void)memcpy(secret, fixture->token.secret, sizeof secret);
    for (size_t i = 0; i < TOKEN_SECRET; i++) {
        char was = secret[i];
        secret[i] = was == '0' ? '1' : '0';
        refuses_at(fixture,
                   ask(fixture, fixture->token.id, secret, "two", ADDRESS, fixture->request), NOW,
                   "secret is wrong");
        secret[i] = was;
    }
    secret[TOKEN_SECRET - 1] = '\0';
    refuses_at(fixture, ask(fixture, fixture->token.id, secret, "two", ADDRESS, fixture->request),
               NOW, "secret is wrong");
    refuses_at(fixture, ask(fixture, fixture->token.id, "", "two", ADDRESS, fixture->request), NOW,
               "secret is wrong");
    joins(fixture, "two");
}

static void what_is_no_token_is_refused_before_the_store_is_asked(void **state)
{
    struct fixture *fixture = *state;
    static const char *const ids[] = {
        "",
        "0123456789abcde",
        "0123456789abcdef0",
        "0123456789ABCDEF",
        "../../site/ca",
        "0123456789abcde/",
        "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9",
    };
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        refuses_at(fixture,
                   ask(fixture, ids[i], fixture->token.secret, "two", ADDRESS, fixture->request),
                   NOW, "this is no token");
    }
    refuses_at(
        fixture,
        ask(fixture, "0123456789abcdef", fixture->token.secret, "two", ADDRESS, fixture->request),
        NOW, "nobody made it");
}

static void what_is_no_request_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char *deep = memory_new(65537);
    (void)memset(deep, '[', 65536);
    static const char *const texts[] = {
        "",
        "{",
        "null",
        "[]",
        "17",
        "\"text\"",
        "{}",
        "{\"Id\":17}",
        "\xff\xfe",
        "{\"Id\":null}",
        "{\"Id\":{}}",
        "{\"Id\":\"a\\u0000b\"}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        refuses_at(fixture, texts[i], NOW, "this is no token");
    }
    refuses_at(fixture, deep, NOW, "this is no token");
    free(deep);
}

static void names_that_are_none_are_refused_with_a_reason(void **state)
{
    struct fixture *fixture = *state;
    char longest[201] = "";
    longest[0] = 'x';
    for (size_t i = 1; i < 199; i += 2) { /* two bytes a letter, from an odd place on */
        (void)memcpy(longest + i, "\xc3\xa9", 3);
    }
    const char *const names[] = {"",    "A",     "a b",          "-a",        "a-",   "a.b",
                                 "a/b", "../ca", "xn--\xc3\xa9", "a,DNS:one", longest};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        refuses_at(fixture, good_request(fixture, names[i]), NOW, "no name of a site");
    }
    refuses_at(fixture, good_request(fixture, "one"), NOW, "there is a site one already");
    joins(fixture, "two");
}

static void addresses_that_are_none_are_refused(void **state)
{
    struct fixture *fixture = *state;
    char *longest = memory_new(60001);
    (void)memset(longest, '1', 60000);
    const char *const addresses[] = {"", longest};
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        refuses_at(fixture,
                   ask(fixture, fixture->token.id, fixture->token.secret, "two", addresses[i],
                       fixture->request),
                   NOW, "no address");
    }
    free(longest);
    joins(fixture, "two");
}

/* Cut in the middle of a key on P-384. */
static const char other_kind[] = "-----BEGIN CERTIFICATE REQUEST-----\n"
                                 "MIIBBTCBjAIBADAAMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE\n"
                                 "-----END CERTIFICATE REQUEST-----\n";

static void requests_for_certificates_that_are_none_are_refused(void **state)
{
    struct fixture *fixture = *state;
    char *bent = memory_strdup(fixture->request);
    char *cut = memory_strdup(fixture->request);
    char *sealed =
        memory_printf("-----BEGIN CERTIFICATE REQUEST-----\n"
                      "Proc-Type: 4,ENCRYPTED\n"
                      "DEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n%s",
                      fixture->request + strlen("-----BEGIN CERTIFICATE REQUEST-----\n"));
    bent[strlen(bent) / 2] ^= 1; /* its signature is not its own any more */
    cut[strlen(cut) / 2] = '\0';
    const char *const requests[] = {
        "", "-----BEGIN CERTIFICATE REQUEST-----", other_kind, bent, cut, sealed};
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        refuses_at(
            fixture,
            ask(fixture, fixture->token.id, fixture->token.secret, "two", ADDRESS, requests[i]),
            NOW, "no request for a certificate");
    }
    free(bent);
    free(cut);
    free(sealed);
    joins(fixture, "two");
}

/* As many members as that, with site "one". */
static void fill(struct fixture *fixture, unsigned members)
{
    for (unsigned i = 2; i <= members; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "site-%u", i);
        joins(fixture, name);
        new_token(fixture);
    }
}

static void a_cluster_has_fifteen_sites_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture, MODEL_SITES_LIMIT);
    refuses_at(fixture, good_request(fixture, "one-more"), NOW, "at most 15");
}

#define RIVALS 6U

struct rival {
    const struct fixture *fixture;
    const char *request;
    pthread_barrier_t *start;
    bool joined;
    pthread_t thread;
};

static void *take_place(void *context)
{
    struct rival *rival = context;
    struct buf answer CLEANUP(buf_done);
    buf_init(&answer, 65536);
    (void)pthread_barrier_wait(rival->start);
    rival->joined =
        site_answer_join(rival->fixture->store, rival->fixture->seal, rival->request, NOW, &answer);
    return NULL;
}

/* At the same time, each with a token of its own; how many were let in. */
static unsigned join_at_once(struct fixture *fixture)
{
    struct rival rivals[RIVALS];
    pthread_barrier_t start;
    unsigned joined = 0;
    assert_int_equal(pthread_barrier_init(&start, NULL, RIVALS), 0);
    for (unsigned i = 0; i < RIVALS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "rival-%u", i);
        new_token(fixture);
        rivals[i] = (struct rival){
            .fixture = fixture, .request = good_request(fixture, name), .start = &start};
    }
    for (unsigned i = 0; i < RIVALS; i++) {
        assert_int_equal(pthread_create(&rivals[i].thread, NULL, take_place, &rivals[i]), 0);
    }
    for (unsigned i = 0; i < RIVALS; i++) {
        assert_int_equal(pthread_join(rivals[i].thread, NULL), 0);
        joined += rivals[i].joined ? 1U : 0U;
    }
    (void)pthread_barrier_destroy(&start);
    return joined;
}

static void those_who_join_at_once_are_let_in_where_there_is_room(void **state)
{
    fill(*state, MODEL_SITES_LIMIT - RIVALS);
    assert_int_equal(join_at_once(*state), RIVALS);
}

static void of_many_who_take_the_last_place_at_once_one_gets_it(void **state)
{
    fill(*state, MODEL_SITES_LIMIT - 1);
    assert_int_equal(join_at_once(*state), 1);
}

static void a_damaged_token_in_the_store_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const values[] = {"", "{", "{}", "{\"v\":1,\"Hash\":\"\"}",
                                         "{\"v\":1,\"Hash\":17,\"Expires\":\"2040\"}"};
    const char *key = path_join(&fixture->arena, PATH_SITE_TOKENS, fixture->token.id);
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        struct store_txn *txn = store_txn_new();
        int64_t revision = 0;
        store_txn_put(txn, key, values[i], strlen(values[i]));
        assert_int_equal(store_commit(fixture->store, txn, &revision, &fixture->err), 0);
        store_txn_free(txn);
        refuses_at(fixture, good_request(fixture, "two"), NOW, "");
    }
}

static void texts_that_are_no_tokens_are_not_read(void **state)
{
    struct fixture *fixture = *state;
    char good[SITE_TOKEN_LIMIT];
    struct site_token token;
    site_token_write(&fixture->token, good);
    assert_int_equal(site_token_read(good, &token, &fixture->err), 0);
    size_t least = strlen(good) - strlen(ADDRESS) + 1; /* an address of one letter is one */
    for (size_t length = 0; length < least; length++) {
        char cut[SITE_TOKEN_LIMIT];
        (void)memcpy(cut, good, length);
        cut[length] = '\0';
        assert_int_not_equal(site_token_read(cut, &token, &fixture->err), 0);
    }
    char longer[2 * SITE_TOKEN_LIMIT];
    (void)snprintf(longer, sizeof longer, "%s%0300d", good, 0);
    assert_int_not_equal(site_token_read(longer, &token, &fixture->err), 0);
}

static void bring_members(const struct fixture *fixture)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/site/members.json", fixture->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fprintf(file,
                        "[{\"v\": 1, \"Name\": \"two\", \"Peer\": \"192.0.2.2:7000\", "
                        "\"Joined\": \"2026-01-01T00:00:00Z\", \"Fingerprint\": \"%0*d\"}]",
                        (int)SITE_FINGERPRINT - 1, 0) > 0);
    assert_int_equal(fclose(file), 0);
}

static void
members_that_a_join_brought_come_into_an_empty_store_and_back_into_no_other(void **state)
{
    struct fixture *fixture = *state;
    struct store *empty = store_memory_open();
    size_t members = 0;
    bring_members(fixture);
    assert_int_equal(site_import_members(fixture->folder, fixture->store, &fixture->err), 0);
    assert_int_equal(store_count(fixture->store, PATH_SITE_MEMBERS, &members, &fixture->err), 0);
    assert_int_equal(members, 1); /* "two" was removed since */
    assert_false(site_folder_exists(fixture->folder, "site/members.json"));
    bring_members(fixture);
    assert_int_equal(site_import_members(fixture->folder, empty, &fixture->err), 0);
    assert_int_equal(store_count(empty, PATH_SITE_MEMBERS, &members, &fixture->err), 0);
    assert_int_equal(members, 1);
    store_close(empty);
}

int main(void)
{
#define TEST_JOIN(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST_JOIN(a_good_token_works_once),
        TEST_JOIN(a_token_that_has_expired_is_refused),
        TEST_JOIN(a_wrong_secret_is_refused_and_the_token_stays),
        TEST_JOIN(what_is_no_token_is_refused_before_the_store_is_asked),
        TEST_JOIN(what_is_no_request_is_refused),
        TEST_JOIN(names_that_are_none_are_refused_with_a_reason),
        TEST_JOIN(addresses_that_are_none_are_refused),
        TEST_JOIN(requests_for_certificates_that_are_none_are_refused),
        TEST_JOIN(a_cluster_has_fifteen_sites_and_no_more),
        TEST_JOIN(those_who_join_at_once_are_let_in_where_there_is_room),
        TEST_JOIN(of_many_who_take_the_last_place_at_once_one_gets_it),
        TEST_JOIN(a_damaged_token_in_the_store_is_refused),
        TEST_JOIN(texts_that_are_no_tokens_are_not_read),
        TEST_JOIN(members_that_a_join_brought_come_into_an_empty_store_and_back_into_no_other),
    };
#undef TEST_JOIN
    return cmocka_run_group_tests(tests, NULL, NULL);
}
