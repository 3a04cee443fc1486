/* The conformance suite, first half: reads and transactions; see conformance.h. Run by each
 * backend's test program, on its main thread. Keeps the factory of the run. Invariant: nothing here
 * depends on a backend: no revision starts at a known number, no lease id is guessed. */
#include "store/conformance.h"

#include "base/memory.h"
#include "base/text.h"
#include "store/conformance_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct store_factory *current;

/* ---- the fixture ---- */

int conformance_open(void **state)
{
    struct fixture *fixture = memory_new(sizeof *fixture);
    arena_init(&fixture->arena, 0);
    int rc = current->open(current->context, &fixture->store, &fixture->err);
    if (rc != 0) {
        print_error("cannot open the store: %s\n", fixture->err.message);
        return rc;
    }
    *state = fixture;
    return 0;
}

int conformance_close(void **state)
{
    struct fixture *fixture = *state;
    arena_done(&fixture->arena);
    current->close(current->context, fixture->store);
    free(fixture);
    return 0;
}

void conformance_ok(struct fixture *fixture, int rc)
{
    if (rc != 0) {
        fail_msg("%s: %s", err_kind_name(fixture->err.kind), fixture->err.message);
    }
}

void conformance_failed(struct fixture *fixture, int rc, enum err_kind kind)
{
    assert_int_not_equal(rc, 0);
    assert_string_equal(err_kind_name(fixture->err.kind), err_kind_name(kind));
    assert_int_equal(rc, fixture->err.code);
    assert_true(fixture->err.message[0] != '\0');
}

int conformance_commit(struct fixture *fixture, struct store_txn *take_txn, int64_t *ret_revision)
{
    int rc = store_commit(fixture->store, take_txn, ret_revision, &fixture->err);
    store_txn_free(take_txn);
    return rc;
}

int64_t conformance_put(struct fixture *fixture, const char *key, const char *text)
{
    int64_t revision = 0;
    struct store_txn *txn = store_txn_new();
    store_txn_put(txn, key, text, strlen(text));
    conformance_ok(fixture, conformance_commit(fixture, txn, &revision));
    return revision;
}

int64_t conformance_delete(struct fixture *fixture, const char *key)
{
    int64_t revision = 0;
    struct store_txn *txn = store_txn_new();
    store_txn_delete(txn, key);
    conformance_ok(fixture, conformance_commit(fixture, txn, &revision));
    return revision;
}

static struct store_entry get(struct fixture *fixture, const char *key)
{
    struct store_entry entry = {0};
    conformance_ok(fixture, store_get(fixture->store, key, &fixture->arena, &entry, &fixture->err));
    return entry;
}

bool conformance_has(struct fixture *fixture, const char *key)
{
    struct store_entry entry;
    int rc = store_get(fixture->store, key, &fixture->arena, &entry, &fixture->err);
    if (rc != 0) {
        conformance_failed(fixture, rc, ERR_NOT_FOUND);
    }
    return rc == 0;
}

struct store_list conformance_list(struct fixture *fixture, const char *prefix)
{
    struct store_list list = {0};
    conformance_ok(fixture, store_range(fixture->store, prefix, NULL, 0, &fixture->arena, &list,
                                        &fixture->err));
    return list;
}

int64_t conformance_revision(struct fixture *fixture)
{
    int64_t revision = 0;
    conformance_ok(fixture, store_revision(fixture->store, &revision, &fixture->err));
    return revision;
}

/* Keys of the list, each followed by a space. */
static void assert_keys(struct store_list list, const char *expected)
{
    struct buf keys;
    buf_init(&keys, 0);
    for (size_t i = 0; i < list.count; i++) {
        buf_printf(&keys, "%s ", list.entries[i].key);
    }
    assert_string_equal(buf_text(&keys), expected);
    buf_done(&keys);
}

/* ---- reads ---- */

static void a_new_store_is_empty(void **state)
{
    struct fixture *fixture = *state;
    size_t count = 1;
    conformance_ok(fixture, store_count(fixture->store, "", &count, &fixture->err));
    assert_int_equal(count, 0);
    struct store_list list = conformance_list(fixture, "");
    assert_int_equal(list.count, 0);
    assert_false(list.more);
    assert_int_equal(list.revision, conformance_revision(fixture));
    assert_false(conformance_has(fixture, "a"));
}

static void get_leaves_its_result_alone_when_the_key_is_missing(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry = {.version = 42};
    int rc = store_get(fixture->store, "missing", &fixture->arena, &entry, &fixture->err);
    conformance_failed(fixture, rc, ERR_NOT_FOUND);
    assert_int_equal(entry.version, 42);
    assert_non_null(strstr(fixture->err.message, "missing"));
}

static void a_put_is_read_back_with_its_revisions(void **state)
{
    struct fixture *fixture = *state;
    int64_t before = conformance_revision(fixture);
    int64_t created = conformance_put(fixture, "key", "one");
    assert_int_equal(created, before + 1);
    struct store_entry entry = get(fixture, "key");
    assert_string_equal(entry.key, "key");
    assert_int_equal(entry.size, 3);
    assert_string_equal(entry.value, "one");
    assert_int_equal(entry.created_revision, created);
    assert_int_equal(entry.changed_revision, created);
    assert_int_equal(entry.version, 1);
    assert_int_equal(entry.lease, 0);

    int64_t changed = conformance_put(fixture, "key", "two");
    entry = get(fixture, "key");
    assert_string_equal(entry.value, "two");
    assert_int_equal(entry.created_revision, created);
    assert_int_equal(entry.changed_revision, changed);
    assert_int_equal(entry.version, 2);
}

static void a_key_that_comes_back_is_new(void **state)
{
    struct fixture *fixture = *state;
    (void)conformance_put(fixture, "key", "one");
    int64_t deleted = conformance_delete(fixture, "key");
    assert_false(conformance_has(fixture, "key"));
    int64_t again = conformance_put(fixture, "key", "one");
    assert_int_equal(again, deleted + 1);
    struct store_entry entry = get(fixture, "key");
    assert_int_equal(entry.created_revision, again);
    assert_int_equal(entry.version, 1);
}

static void values_are_any_bytes(void **state)
{
    struct fixture *fixture = *state;
    const unsigned char bytes[] = {0, 1, 255, 0, '\'', '"', '\\', 0};
    int64_t revision = 0;
    struct store_txn *txn = store_txn_new();
    store_txn_put(txn, "bytes", bytes, sizeof bytes);
    store_txn_put(txn, "empty", NULL, 0);
    conformance_ok(fixture, conformance_commit(fixture, txn, &revision));
    struct store_entry entry = get(fixture, "bytes");
    assert_int_equal(entry.size, sizeof bytes);
    assert_memory_equal(entry.value, bytes, sizeof bytes);
    entry = get(fixture, "empty");
    assert_int_equal(entry.size, 0);
    assert_string_equal(entry.value, "");
}

static void a_range_is_in_byte_order(void **state)
{
    struct fixture *fixture = *state;
    const char *const keys[] = {"b", "a/2", "a/10", "a", "a/", "\xc3\xa9", "a0", "A", "a/1"};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        (void)conformance_put(fixture, keys[i], keys[i]);
    }
    assert_keys(conformance_list(fixture, ""), "A a a/ a/1 a/10 a/2 a0 b \xc3\xa9 ");
    assert_keys(conformance_list(fixture, "a"), "a a/ a/1 a/10 a/2 a0 ");
    assert_keys(conformance_list(fixture, "a/"), "a/ a/1 a/10 a/2 ");
    assert_keys(conformance_list(fixture, "a/1"), "a/1 a/10 ");
    assert_keys(conformance_list(fixture, "a/3"), "");
    struct store_list list = conformance_list(fixture, "b");
    assert_string_equal(list.entries[0].value, "b");
    assert_int_equal(list.entries[0].version, 1);
    assert_int_equal(list.revision, conformance_revision(fixture));
}

static void ranges_are_read_together(void **state)
{
    struct fixture *fixture = *state;
    const char *const keys[] = {"a/1", "a/2", "b/1", "c"};
    const char *const prefixes[] = {"a/", "c", "none", "a/2"};
    struct store_list lists[ARRAY_SIZE(prefixes)];
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        (void)conformance_put(fixture, keys[i], keys[i]);
    }
    conformance_ok(fixture, store_ranges(fixture->store, prefixes, ARRAY_SIZE(prefixes),
                                         &fixture->arena, lists, &fixture->err));
    assert_keys(lists[0], "a/1 a/2 ");
    assert_keys(lists[1], "c ");
    assert_keys(lists[2], "");
    assert_keys(lists[3], "a/2 ");
    assert_string_equal(lists[1].entries[0].value, "c");
    assert_int_equal(lists[1].entries[0].changed_revision, conformance_revision(fixture));
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
        assert_int_equal(lists[i].revision, conformance_revision(fixture));
    }
    conformance_failed(fixture,
                       store_ranges(fixture->store, prefixes, STORE_RANGES_LIMIT + 1,
                                    &fixture->arena, lists, &fixture->err),
                       ERR_LIMIT);
}

static void ranges_that_are_read_together_are_small(void **state)
{
    struct fixture *fixture = *state;
    const char *const prefixes[] = {"p/"};
    struct store_list list;
    for (unsigned more = 0; more < 2; more++) {
        int64_t revision = 0;
        struct store_txn *txn = store_txn_new();
        for (unsigned i = 0; i < STORE_RANGES_ENTRIES + more; i++) {
            char key[16];
            (void)snprintf(key, sizeof key, "p/%04u", i); /* fits */
            store_txn_put(txn, key, "", 0);
        }
        conformance_ok(fixture, conformance_commit(fixture, txn, &revision));
        int rc = store_ranges(fixture->store, prefixes, 1, &fixture->arena, &list, &fixture->err);
        if (more != 0) {
            conformance_failed(fixture, rc, ERR_LIMIT);
        } else {
            conformance_ok(fixture, rc);
            assert_int_equal(list.count, STORE_RANGES_ENTRIES);
        }
    }
}

static void a_prefix_of_the_highest_bytes_is_like_any_other(void **state)
{
    struct fixture *fixture = *state;
    const char *const keys[] = {"\xfe",         "\xff",  "\xff\xff",  "\xff\xff\xff",
                                "\xff\xff\x01", "a\xff", "a\xff\xff", "b"};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        (void)conformance_put(fixture, keys[i], "");
    }
    assert_keys(conformance_list(fixture, "\xff"), "\xff \xff\xff \xff\xff\x01 \xff\xff\xff ");
    assert_keys(conformance_list(fixture, "\xff\xff"), "\xff\xff \xff\xff\x01 \xff\xff\xff ");
    assert_keys(conformance_list(fixture, "a\xff"), "a\xff a\xff\xff ");
    size_t count = 0;
    conformance_ok(fixture, store_count(fixture->store, "\xff\xff", &count, &fixture->err));
    assert_int_equal(count, 3);
    int64_t revision = 0;
    struct store_txn *txn = store_txn_new();
    store_txn_delete_prefix(txn, "a\xff");
    store_txn_delete_prefix(txn, "\xff\xff");
    conformance_ok(fixture, conformance_commit(fixture, txn, &revision));
    assert_keys(conformance_list(fixture, ""), "b \xfe \xff ");
}

static void paging_visits_every_key_once(void **state)
{
    struct fixture *fixture = *state;
    int64_t revision = 0;
    struct store_txn *txn = store_txn_new();
    for (int i = 0; i < 25; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "p/%02d", i); /* fits */
        store_txn_put(txn, key, "", 0);
    }
    store_txn_put(txn, "p", "", 0);
    store_txn_put(txn, "q", "", 0);
    conformance_ok(fixture, conformance_commit(fixture, txn, &revision));
    char after[STORE_KEY_LIMIT + 1] = "";
    int seen = 0;
    bool more = true;
    while (more) {
        struct store_list list = {0};
        conformance_ok(fixture, store_range(fixture->store, "p/", after[0] != '\0' ? after : NULL,
                                            7, &fixture->arena, &list, &fixture->err));
        for (size_t i = 0; i < list.count; i++) {
            char key[16];
            (void)snprintf(key, sizeof key, "p/%02d", seen++); /* fits */
            assert_string_equal(list.entries[i].key, key);
        }
        assert_int_equal(list.count, list.more ? 7 : 4);
        assert_int_equal(text_copy(after, sizeof after, list.entries[list.count - 1].key), 0);
        more = list.more;
    }
    assert_int_equal(seen, 25);
}

static void a_page_may_start_after_a_key_that_is_not_there(void **state)
{
    struct fixture *fixture = *state;
    const char *const keys[] = {"p/a", "p/c", "p/e", "q"};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        (void)conformance_put(fixture, keys[i], i % 2 == 0 ? keys[i] : "");
    }
    const struct {
        const char *after;
        size_t limit;
        const char *keys;
        bool more;
    } cases[] = {
        {"p/b", 0, "p/c p/e ", false}, {"p/c", 0, "p/e ", false},       {"p/e", 0, "", false},
        {"z", 0, "", false},           {"a", 0, "p/a p/c p/e ", false}, {"p/", 2, "p/a p/c ", true},
        {"p/a", 2, "p/c p/e ", false}, {"", 1, "p/a ", true},           {"p/\xff", 0, "", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct store_list list = {0};
        conformance_ok(fixture, store_range(fixture->store, "p/", cases[i].after, cases[i].limit,
                                            &fixture->arena, &list, &fixture->err));
        assert_keys(list, cases[i].keys);
        assert_int_equal(list.more, cases[i].more);
        struct store_list values = {0};
        conformance_ok(fixture,
                       store_range_values(fixture->store, "p/", cases[i].after, cases[i].limit,
                                          &fixture->arena, &values, &fixture->err));
        assert_keys(values, cases[i].keys);
        assert_int_equal(values.more, cases[i].more);
        assert_int_equal(values.revision, list.revision);
        for (size_t j = 0; j < values.count; j++) {
            assert_string_equal(values.entries[j].value, list.entries[j].value);
            assert_int_equal(values.entries[j].size, list.entries[j].size);
        }
    }
}

/* ---- transactions ---- */

static void a_transaction_has_one_revision(void **state)
{
    struct fixture *fixture = *state;
    (void)conformance_put(fixture, "gone", "");
    int64_t before = conformance_revision(fixture);
    int64_t revision = 0;
    struct store_txn *txn = store_txn_new();
    store_txn_put(txn, "a", "1", 1);
    store_txn_put(txn, "b", "2", 1);
    store_txn_delete(txn, "gone");
    conformance_ok(fixture, conformance_commit(fixture, txn, &revision));
    assert_int_equal(revision, before + 1);
    assert_int_equal(conformance_revision(fixture), revision);
    assert_int_equal(get(fixture, "a").changed_revision, revision);
    assert_int_equal(get(fixture, "b").changed_revision, revision);
    assert_keys(conformance_list(fixture, ""), "a b ");
}

static void what_changes_nothing_makes_no_revision(void **state)
{
    struct fixture *fixture = *state;
    (void)conformance_put(fixture, "a", "1");
    int64_t before = conformance_revision(fixture);
    int64_t revision = 0;
    conformance_ok(fixture, conformance_commit(fixture, store_txn_new(), &revision));
    assert_int_equal(revision, before);
    struct store_txn *txn = store_txn_new();
    store_txn_require_present(txn, "a");
    store_txn_delete(txn, "absent");
    store_txn_delete_prefix(txn, "none/");
    conformance_ok(fixture, conformance_commit(fixture, txn, &revision));
    assert_int_equal(revision, before);
    assert_int_equal(conformance_revision(fixture), before);
}

static void a_put_of_the_same_value_is_a_change(void **state)
{
    struct fixture *fixture = *state;
    int64_t first = conformance_put(fixture, "a", "same");
    assert_int_equal(conformance_put(fixture, "a", "same"), first + 1);
    assert_int_equal(get(fixture, "a").version, 2);
}

static void a_prefix_is_deleted_whole_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    const char *const keys[] = {"a", "a/", "a/1", "a/2/3", "a0", "b"};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        (void)conformance_put(fixture, keys[i], "");
    }
    int64_t revision = 0;
    struct store_txn *txn = store_txn_new();
    store_txn_delete_prefix(txn, "a/");
    store_txn_put(txn, "c", "", 0);
    conformance_ok(fixture, conformance_commit(fixture, txn, &revision));
    assert_keys(conformance_list(fixture, ""), "a a0 b c ");
    txn = store_txn_new();
    store_txn_delete_prefix(txn, "");
    conformance_ok(fixture, conformance_commit(fixture, txn, &revision));
    assert_keys(conformance_list(fixture, ""), "");
}

/* Commits the compare with a put of "done"; whether it held. When not, the message names the key
 * and nothing happened. */
static bool holds(struct fixture *fixture, struct store_txn *take_txn, const char *key)
{
    int64_t before = conformance_revision(fixture);
    int64_t revision = 0;
    store_txn_put(take_txn, "done", "", 0);
    int rc = conformance_commit(fixture, take_txn, &revision);
    if (rc == 0) {
        assert_int_equal(revision, before + 1);
        (void)conformance_delete(fixture, "done");
        return true;
    }
    conformance_failed(fixture, rc, ERR_CONFLICT);
    assert_non_null(strstr(fixture->err.message, key));
    assert_false(conformance_has(fixture, "done"));
    assert_int_equal(conformance_revision(fixture), before);
    return false;
}

static void compares_decide_whether_anything_happens(void **state)
{
    struct fixture *fixture = *state;
    int64_t old = conformance_put(fixture, "there", "1");
    int64_t now = conformance_put(fixture, "there", "2");
    const struct {
        const char *key;
        int present;
        int64_t revision; /* when present is -1 */
        bool holds;
    } cases[] = {
        {"there", 1, 0, true},         {"missing", 1, 0, false}, {"there", 0, 0, false},
        {"missing", 0, 0, true},       {"there", -1, now, true}, {"there", -1, old, false},
        {"missing", -1, 0, true},      {"there", -1, 0, false},  {"missing", -1, now, false},
        {"there", -1, now + 9, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct store_txn *txn = store_txn_new();
        if (cases[i].present == 1) {
            store_txn_require_present(txn, cases[i].key);
        } else if (cases[i].present == 0) {
            store_txn_require_absent(txn, cases[i].key);
        } else {
            store_txn_require_revision(txn, cases[i].key, cases[i].revision);
        }
        assert_int_equal(holds(fixture, txn, cases[i].key), cases[i].holds);
    }
}

static void one_failed_compare_of_many_stops_all(void **state)
{
    struct fixture *fixture = *state;
    (void)conformance_put(fixture, "a", "1");
    (void)conformance_put(fixture, "b", "1");
    struct store_txn *txn = store_txn_new();
    store_txn_require_present(txn, "a");
    store_txn_require_absent(txn, "c");
    store_txn_require_absent(txn, "b");
    store_txn_put(txn, "a", "2", 1);
    store_txn_delete_prefix(txn, "b");
    assert_false(holds(fixture, txn, " b "));
    assert_string_equal(get(fixture, "a").value, "1");
    assert_true(conformance_has(fixture, "b"));
}

static void a_transaction_can_be_committed_again(void **state)
{
    struct fixture *fixture = *state;
    struct store_txn *txn = store_txn_new();
    store_txn_require_present(txn, "wanted");
    store_txn_put(txn, "a", "1", 1);
    int64_t revision = -7;
    int rc = store_commit(fixture->store, txn, &revision, &fixture->err);
    conformance_failed(fixture, rc, ERR_CONFLICT);
    assert_int_equal(revision, -7);
    (void)conformance_put(fixture, "wanted", "");
    conformance_ok(fixture, store_commit(fixture->store, txn, &revision, &fixture->err));
    assert_int_equal(revision, conformance_revision(fixture));
    conformance_ok(fixture, conformance_commit(fixture, txn, &revision));
    assert_int_equal(get(fixture, "a").version, 2);
}

static void a_key_is_written_once_a_transaction(void **state)
{
    struct fixture *fixture = *state;
    (void)conformance_put(fixture, "p/a", "old");
    int64_t before = conformance_revision(fixture);
    for (int i = 0; i < 5; i++) {
        struct store_txn *txn = store_txn_new();
        store_txn_put(txn, "x", "", 0);
        switch (i) {
        case 0:
            store_txn_put(txn, "p/a", "1", 1);
            store_txn_put(txn, "z", "", 0);
            store_txn_put(txn, "p/a", "2", 1);
            break;
        case 1:
            store_txn_put(txn, "p/a", "1", 1);
            store_txn_delete(txn, "p/a");
            break;
        case 2:
            store_txn_delete_prefix(txn, "p/");
            store_txn_put(txn, "p/a", "1", 1);
            break;
        case 3:
            store_txn_put(txn, "p/a", "1", 1);
            store_txn_delete_prefix(txn, "");
            break;
        default:
            store_txn_delete(txn, "p/a");
            store_txn_delete(txn, "p/a");
            break;
        }
        int64_t revision = 0;
        int rc = conformance_commit(fixture, txn, &revision);
        conformance_failed(fixture, rc, ERR_INVALID);
        assert_non_null(strstr(fixture->err.message, i == 3 ? "prefix" : "p/a"));
    }
    assert_int_equal(conformance_revision(fixture), before);
    assert_string_equal(get(fixture, "p/a").value, "old");
}

static void deletes_may_overlap(void **state)
{
    struct fixture *fixture = *state;
    (void)conformance_put(fixture, "p/a", "");
    (void)conformance_put(fixture, "p/b", "");
    int64_t before = conformance_revision(fixture);
    int64_t revision = 0;
    struct store_txn *txn = store_txn_new();
    store_txn_delete(txn, "p/a");
    store_txn_delete_prefix(txn, "p/");
    store_txn_delete_prefix(txn, "p");
    conformance_ok(fixture, conformance_commit(fixture, txn, &revision));
    assert_int_equal(revision, before + 1);
    assert_keys(conformance_list(fixture, ""), "");
}

/* ---- limits ---- */

static void assert_refused(struct fixture *fixture, struct store_txn *take_txn, enum err_kind kind)
{
    int64_t before = conformance_revision(fixture);
    int64_t revision = 0;
    int rc = conformance_commit(fixture, take_txn, &revision);
    conformance_failed(fixture, rc, kind);
    assert_int_equal(conformance_revision(fixture), before);
}

static void keys_have_a_longest_length(void **state)
{
    struct fixture *fixture = *state;
    char key[STORE_KEY_LIMIT + 2];
    (void)memset(key, 0xff, sizeof key);
    key[STORE_KEY_LIMIT] = '\0';
    int64_t revision = conformance_put(fixture, key, "longest");
    assert_string_equal(get(fixture, key).value, "longest");
    assert_int_equal(conformance_list(fixture, key).count, 1);
    assert_int_equal(conformance_list(fixture, "\xff").count, 1);
    struct store_list list = {0};
    conformance_ok(fixture,
                   store_range(fixture->store, "", key, 0, &fixture->arena, &list, &fixture->err));
    assert_int_equal(list.count, 0);
    key[STORE_KEY_LIMIT] = 'x';
    key[STORE_KEY_LIMIT + 1] = '\0';
    struct store_txn *txn = store_txn_new();
    store_txn_put(txn, key, "", 0);
    assert_refused(fixture, txn, ERR_LIMIT);
    txn = store_txn_new();
    store_txn_require_absent(txn, key);
    assert_refused(fixture, txn, ERR_LIMIT);
    txn = store_txn_new();
    store_txn_delete_prefix(txn, key);
    assert_refused(fixture, txn, ERR_LIMIT);
    struct store_entry entry;
    int rc = store_get(fixture->store, key, &fixture->arena, &entry, &fixture->err);
    conformance_failed(fixture, rc, ERR_LIMIT);
    txn = store_txn_new();
    store_txn_put(txn, "", "", 0);
    assert_refused(fixture, txn, ERR_INVALID);
    assert_int_equal(conformance_revision(fixture), revision);
}

static void values_have_a_largest_size(void **state)
{
    struct fixture *fixture = *state;
    char *value = memory_array(STORE_VALUE_LIMIT + 1, 1);
    (void)memset(value, 'v', STORE_VALUE_LIMIT + 1);
    int64_t revision = 0;
    struct store_txn *txn = store_txn_new();
    store_txn_put(txn, "a", value, STORE_VALUE_LIMIT);
    conformance_ok(fixture, conformance_commit(fixture, txn, &revision));
    struct store_entry entry = get(fixture, "a");
    assert_int_equal(entry.size, STORE_VALUE_LIMIT);
    assert_memory_equal(entry.value, value, STORE_VALUE_LIMIT);
    txn = store_txn_new();
    store_txn_put(txn, "b", "", 0);
    store_txn_put(txn, "a", value, STORE_VALUE_LIMIT + 1);
    assert_refused(fixture, txn, ERR_LIMIT);
    assert_false(conformance_has(fixture, "b"));
    free(value);
}

static struct store_txn *many_puts(unsigned count)
{
    struct store_txn *txn = store_txn_new();
    for (unsigned i = 0; i < count; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "many/%u", i); /* fits */
        store_txn_put(txn, key, "x", 1);
    }
    return txn;
}

static void transactions_have_a_largest_count(void **state)
{
    struct fixture *fixture = *state;
    struct store_txn *txn = many_puts(STORE_TXN_OPS_LIMIT - 1);
    store_txn_require_absent(txn, "many/0");
    int64_t revision = 0;
    conformance_ok(fixture, conformance_commit(fixture, txn, &revision));
    size_t count = 0;
    conformance_ok(fixture, store_count(fixture->store, "many/", &count, &fixture->err));
    assert_int_equal(count, STORE_TXN_OPS_LIMIT - 1);
    txn = many_puts(STORE_TXN_OPS_LIMIT);
    store_txn_require_present(txn, "many/0");
    assert_refused(fixture, txn, ERR_LIMIT);
    assert_refused(fixture, many_puts(STORE_TXN_OPS_LIMIT + 1), ERR_LIMIT);
}

static void transactions_have_a_largest_size(void **state)
{
    struct fixture *fixture = *state;
    char *value = memory_array(STORE_VALUE_LIMIT, 1);
    for (unsigned count = 15; count <= 16; count++) {
        struct store_txn *txn = store_txn_new();
        for (unsigned i = 0; i < count;
             i++) { /* sixteen values alone fill it; the keys do not fit */
            char key[32];
            (void)snprintf(key, sizeof key, "big/%u", i); /* fits */
            store_txn_put(txn, key, value, STORE_VALUE_LIMIT);
        }
        if (count == 16) {
            assert_refused(fixture, txn, ERR_LIMIT);
        } else {
            int64_t revision = 0;
            conformance_ok(fixture, conformance_commit(fixture, txn, &revision));
        }
    }
    free(value);
}

static const struct CMUnitTest tests[] = {
    CONFORMANCE_TEST(a_new_store_is_empty),
    CONFORMANCE_TEST(get_leaves_its_result_alone_when_the_key_is_missing),
    CONFORMANCE_TEST(a_put_is_read_back_with_its_revisions),
    CONFORMANCE_TEST(a_key_that_comes_back_is_new),
    CONFORMANCE_TEST(values_are_any_bytes),
    CONFORMANCE_TEST(a_range_is_in_byte_order),
    CONFORMANCE_TEST(ranges_are_read_together),
    CONFORMANCE_TEST(ranges_that_are_read_together_are_small),
    CONFORMANCE_TEST(a_prefix_of_the_highest_bytes_is_like_any_other),
    CONFORMANCE_TEST(paging_visits_every_key_once),
    CONFORMANCE_TEST(a_page_may_start_after_a_key_that_is_not_there),
    CONFORMANCE_TEST(a_transaction_has_one_revision),
    CONFORMANCE_TEST(what_changes_nothing_makes_no_revision),
    CONFORMANCE_TEST(a_put_of_the_same_value_is_a_change),
    CONFORMANCE_TEST(a_prefix_is_deleted_whole_and_no_more),
    CONFORMANCE_TEST(compares_decide_whether_anything_happens),
    CONFORMANCE_TEST(one_failed_compare_of_many_stops_all),
    CONFORMANCE_TEST(a_transaction_can_be_committed_again),
    CONFORMANCE_TEST(a_key_is_written_once_a_transaction),
    CONFORMANCE_TEST(deletes_may_overlap),
    CONFORMANCE_TEST(keys_have_a_longest_length),
    CONFORMANCE_TEST(values_have_a_largest_size),
    CONFORMANCE_TEST(transactions_have_a_largest_count),
    CONFORMANCE_TEST(transactions_have_a_largest_size),
};

int store_conformance_run(const struct store_factory *factory)
{
    current = factory;
    /* One group, so that the TAP plan counts every test. */
    size_t more = 0;
    const struct CMUnitTest *watch_tests = conformance_watch_tests(&more);
    struct CMUnitTest *all = memory_array(ARRAY_SIZE(tests) + more, sizeof *all);
    (void)memcpy(all, tests, sizeof tests);
    (void)memcpy(all + ARRAY_SIZE(tests), watch_tests, more * sizeof *all);
    char *group = memory_printf("store conformance: %s", factory->name);
    int failed = _cmocka_run_group_tests(group, all, ARRAY_SIZE(tests) + more, NULL, NULL);
    free(group);
    free(all);
    return failed;
}
