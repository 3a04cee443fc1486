/* Tests of transfer.h: which tags are understood, and whom they let in. */
#include "model/transfer.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int parse(struct arena *arena, const char *tag, const char *value,
                 struct model_transfer *transfer, struct err *err)
{
    json_t *tags = json_pack("[{s:s, s:s}, {s:s, s:s}]", "Key", "owner", "Value", "somebody", "Key",
                             tag, "Value", value);
    assert_non_null(tags);
    int rc = model_transfer_parse(tags, arena, transfer, err);
    json_decref(tags);
    return rc;
}

static bool allows(const struct model_transfer *transfer, const char *source, const char *key)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    uint8_t name[NAME_WIRE_LIMIT];
    bool is_v6 = strchr(source, ':') != NULL;
    assert_int_equal(1, inet_pton(is_v6 ? AF_INET6 : AF_INET, source,
                                  is_v6 ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr));
    assert_true(key == NULL || name_from_text(key, false, name) > 0);
    const struct sockaddr *address =
        is_v6 ? (const struct sockaddr *)&v6 : (const struct sockaddr *)&v4;
    return model_transfer_allows(transfer, address, key != NULL ? name : NULL);
}

static void tags_let_in_whom_they_name_and_nobody_else(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *source;
        const char *key;
        bool allowed;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", NULL, true},
        {"192.0.2.1", "192.0.2.1", "any.key", true},
        {"192.0.2.1", "192.0.2.2", NULL, false},
        {"192.0.2.0/24", "192.0.2.255", NULL, true},
        {"192.0.2.0/24", "192.0.3.0", NULL, false},
        {"192.0.2.128/25", "192.0.2.127", NULL, false},
        {"0.0.0.0/0", "203.0.113.9", NULL, true},
        {"0.0.0.0/0", "2001:db8::1", NULL, false},
        {"::/0", "203.0.113.9", NULL, false},
        {"2001:db8::/33", "2001:db8:7fff::1", NULL, true},
        {"2001:db8::/33", "2001:db8:8000::1", NULL, false},
        {"#a.key", "203.0.113.9", "a.key", true},
        {"#A.Key.", "2001:db8::1", "a.key", true},
        {"#a.key", "203.0.113.9", "b.key", false},
        {"#a.key", "203.0.113.9", NULL, false},
        {"192.0.2.1#a.key", "192.0.2.1", "a.key", true},
        {"192.0.2.1#a.key", "192.0.2.1", NULL, false},
        {"192.0.2.1#a.key", "192.0.2.2", "a.key", false},
        {"192.0.2.1, 192.0.2.2  #a.key", "192.0.2.2", NULL, true},
        {"192.0.2.1, 192.0.2.2  #a.key", "192.0.2.3", "a.key", true},
        {"192.0.2.1, 192.0.2.2  #a.key", "192.0.2.3", NULL, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct arena arena CLEANUP(arena_done);
        struct err err = ERR_INIT;
        struct model_transfer transfer;
        arena_init(&arena, 0);
        assert_int_equal(0, parse(&arena, MODEL_TRANSFER_TO, rows[i].value, &transfer, &err));
        if (allows(&transfer, rows[i].source, rows[i].key) != rows[i].allowed) {
            fail_msg("%s: %s %s", rows[i].value, rows[i].source, rows[i].key);
        }
    }
}

static void targets_have_ports_and_keys(void **state)
{
    (void)state;
    struct arena arena CLEANUP(arena_done);
    struct err err = ERR_INIT;
    struct model_transfer transfer;
    arena_init(&arena, 0);
    assert_int_equal(0, parse(&arena, MODEL_NOTIFY,
                              "192.0.2.1 192.0.2.2:5353#a.key 2001:db8::1 [2001:db8::2]:5353",
                              &transfer, &err));
    assert_int_equal(4, transfer.target_count);
    assert_int_equal(0, transfer.peer_count);
    const uint16_t ports[] = {53, 5353, 53, 5353};
    for (size_t i = 0; i < 4; i++) {
        const struct sockaddr_storage *address = &transfer.targets[i].address;
        struct sockaddr_in v4;
        (void)memcpy(&v4, address, sizeof v4); /* the port is at the same place */
        assert_int_equal(i < 2 ? AF_INET : AF_INET6, address->ss_family);
        assert_int_equal(ports[i], ntohs(v4.sin_port));
        assert_int_equal(i == 1, transfer.targets[i].has_key);
    }
    assert_false(allows(&transfer, "192.0.2.1", NULL)); /* being told is not being let in */
}

static void what_makes_no_sense_is_named(void **state)
{
    (void)state;
    static const char *const values[] = {
        "",
        " ",
        ",",
        "192.0.2.300",
        "192.0.2.1/24",
        "192.0.2.0/33",
        "192.0.2.0/-1",
        "192.0.2.0/",
        "::/129",
        "ns.example.com",
        "192.0.2.1#",
        "#",
        "192.0.2.1#a..b",
        "192.0.2.1:53",
    };
    static const char *const targets[] = {
        "",
        "192.0.2.1:0",
        "192.0.2.1:65536",
        "192.0.2.1:",
        "[2001:db8::1",
        "[2001:db8::1]5353",
        "192.0.2.0/24",
        "#a.key",
        "ns.example.com",
    };
    for (size_t i = 0; i < ARRAY_SIZE(values) + ARRAY_SIZE(targets); i++) {
        struct arena arena CLEANUP(arena_done);
        struct err err = ERR_INIT;
        struct model_transfer transfer;
        arena_init(&arena, 0);
        bool first = i < ARRAY_SIZE(values);
        const char *tag = first ? MODEL_TRANSFER_TO : MODEL_NOTIFY;
        const char *value = first ? values[i] : targets[i - ARRAY_SIZE(values)];
        if (parse(&arena, tag, value, &transfer, &err) == 0) {
            fail_msg("%s %s", tag, value);
        }
        assert_int_equal(ERR_INVALID, err.kind);
        assert_non_null(strstr(err.message, tag));
    }
}

static void a_tag_has_a_limit_of_entries(void **state)
{
    (void)state;
    for (size_t count = MODEL_TRANSFER_ENTRIES; count <= MODEL_TRANSFER_ENTRIES + 1; count++) {
        struct arena arena CLEANUP(arena_done);
        struct err err = ERR_INIT;
        struct model_transfer transfer;
        char value[(MODEL_TRANSFER_ENTRIES + 1) * 4 + 1] = "";
        arena_init(&arena, 0);
        for (size_t i = 0; i < count; i++) {
            (void)memcpy(value + i * 4, "::1 ", 5);
        }
        int rc = parse(&arena, MODEL_TRANSFER_TO, value, &transfer, &err);
        assert_int_equal(count <= MODEL_TRANSFER_ENTRIES, rc == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_let_in_whom_they_name_and_nobody_else),
        cmocka_unit_test(targets_have_ports_and_keys),
        cmocka_unit_test(what_makes_no_sense_is_named),
        cmocka_unit_test(a_tag_has_a_limit_of_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
