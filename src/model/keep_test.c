/* What a later version put into a value stays when this one writes the value anew. */
#include "model/keep.h"

#include "base/arena.h"
#include "base/text.h"
#include "model/dnssec.h"
#include "model/location.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LATER "\"v\":7,\"Later\":{\"a\":[1]}"

/* Everything that is not this version's is there. */
static void assert_kept(json_t *take_tree)
{
    assert_int_equal(json_integer_value(json_object_get(take_tree, "v")), 7);
    assert_int_equal(json_array_size(json_object_get(json_object_get(take_tree, "Later"), "a")), 1);
    json_decref(take_tree);
}

static void what_the_fresh_value_has_is_not_taken_from_the_old_one(void **state)
{
    (void)state;
    static const char old[] = "{\"v\":1,\"A\":1,\"B\":2}";
    const struct model_stored stored = {old, sizeof old - 1};
    json_t *fresh = model_keep(json_pack("{s:i, s:i}", "v", 2, "A", 5), &stored);
    assert_int_equal(json_integer_value(json_object_get(fresh, "v")), 2);
    assert_int_equal(json_integer_value(json_object_get(fresh, "A")), 5);
    assert_int_equal(json_integer_value(json_object_get(fresh, "B")), 2);
    json_decref(fresh);
}

static void a_new_value_has_nothing_to_keep(void **state)
{
    (void)state;
    static const struct model_stored none = {NULL, 0};
    static const struct model_stored damaged = {"{", 1};
    assert_null(model_keep(NULL, &none));
    json_t *fresh = model_keep(model_keep(json_pack("{s:i}", "v", 1), &none), &damaged);
    assert_int_equal(json_object_size(fresh), 1);
    json_decref(fresh);
}

static void records_that_are_structs_keep_what_they_do_not_know(void **state)
{
    (void)state;
    static const char dnssec_text[] = "{\"Status\":\"SIGNING\",\"Modified\":1," LATER "}";
    static const char key_text[] = "{\"Name\":\"k\",\"Flags\":257,\"KeyTag\":1,\"Sealed\":\"x\","
                                   "\"Status\":\"ACTIVE\"," LATER "}";
    static const char cidr_text[] = "{\"Id\":\"i\",\"Name\":\"n\",\"CallerReference\":\"r\","
                                    "\"Version\":1,\"Locations\":{}," LATER "}";
    struct arena arena CLEANUP(arena_done);
    struct model_dnssec dnssec;
    struct model_signing_key key;
    struct model_cidr_collection collection;
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    assert_int_equal(model_dnssec_decode(dnssec_text, strlen(dnssec_text), &dnssec, &err), 0);
    dnssec.signing = false;
    assert_kept(model_dnssec_encode(&dnssec));
    assert_int_equal(model_signing_key_decode(key_text, strlen(key_text), &arena, &key, &err), 0);
    key.status = MODEL_KEY_INACTIVE;
    assert_kept(model_signing_key_encode(&key));
    assert_int_equal(
        model_cidr_collection_decode(cidr_text, strlen(cidr_text), &arena, &collection, &err), 0);
    collection.version++;
    assert_kept(model_cidr_collection_encode(&collection));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_fresh_value_has_is_not_taken_from_the_old_one),
        cmocka_unit_test(a_new_value_has_nothing_to_keep),
        cmocka_unit_test(records_that_are_structs_keep_what_they_do_not_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
