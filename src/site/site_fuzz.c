/* Fuzzes what is read of sites: records of members and of what lives, tokens that people type, and
 * requests to join that strangers send (the one good token's id is known to the fuzzer). Run by
 * libFuzzer, and over its corpus in the ordinary tests. */
#include "base/memory.h"
#include "model/path.h"
#include "site/internal.h"
#include "store/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define KEYS "one AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
#define NOW ((struct wall){1800000000 * TIME_S})

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct store *store, const char *key, const void *value, size_t size)
{
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    struct err err = ERR_INIT;
    int64_t revision = 0;
    store_txn_put(txn, key, value, size);
    IGNORE_RESULT(store_commit(store, txn, &revision, &err)); /* what is too long is not there */
}

static void try_records(struct store *store, const uint8_t *data, size_t size, struct arena *arena)
{
    struct err err = ERR_INIT;
    struct site_member member;
    struct site_live live;
    struct site_member *members = NULL;
    size_t count = 0;
    if (site_member_decode(data, size, arena, &member, &err) == 0) {
        assert(site_name_is_valid(member.name));
        assert(strlen(member.fingerprint) == SITE_FINGERPRINT - 1);
        for (size_t i = 0; i < member.region_count; i++) {
            assert(strlen(member.regions[i]) <= size);
        }
        json_t *tree CLEANUP(site_release) = json_loadb((const char *)data, size, 0, NULL);
        const struct site_self self = {.name = member.name, .api = "a", .peer = "b"};
        bool changed = false;
        int rc = site_member_update(tree, &self, &changed, &err);
        assert(rc == 0);
    }
    put(store, PATH_SITE_LIVE "one", data, size);
    put(store, PATH_SITE_MEMBERS "one", data, size);
    IGNORE_RESULT(site_live_get(store, "one", arena, &live, &err));
    int rc = site_members(store, arena, &members, &count, &err);
    assert(rc == 0 && count <= 1);
}

static void try_token(const char *text)
{
    struct site_token token;
    struct err err = ERR_INIT;
    char again[SITE_TOKEN_LIMIT];
    if (site_token_read(text, &token, &err) == 0) {
        site_token_write(&token, again);
        assert(strcmp(again, text) == 0);
    }
}

static void try_join(struct store *store, const struct seal *seal, const char *text)
{
    struct buf answer;
    buf_init(&answer, 65536);
    bool joined = site_answer_join(store, seal, text, NOW, &answer);
    assert(!joined); /* there is no CA */
    json_t *tree = json_loads(buf_text(&answer), 0, NULL);
    assert(site_text(tree, "Error")[0] != '\0');
    json_decref(tree);
    buf_done(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct seal *seal;
    struct err err = ERR_INIT;
    struct arena arena;
    if (seal == NULL) {
        int rc = seal_parse(KEYS, "fuzzer", &seal, &err);
        assert(rc == 0);
    }
    struct store *store = store_memory_open();
    char *text = memory_new(size + 1);
    (void)memcpy(text, data, size);
    arena_init(&arena, 0);
    try_records(store, data, size, &arena);
    try_token(text);
    /* Of the secret "s". */
    static const char token[] =
        "{\"v\":1,\"Hash\":\"043a718774c572bd8a25adbeb1bfcd5c0256ae11cecf9f9c"
        "3f925d0e52beaf89\",\"Expires\":\"2040-01-01T00:00:00Z\"}";
    put(store, PATH_SITE_TOKENS "0123456789abcdef", token, sizeof token - 1);
    try_join(store, seal, text);
    arena_done(&arena);
    free(text);
    store_close(store);
    return 0;
}
