/* Fuzzes the decoding of what the store holds of routing controls, and of ARNs that clients send:
 * states and ARNs that can be read are the same when they are written and read again; rules that
 * can be read have a known type, and as many controls as they say. Run by libFuzzer, and over its
 * corpus in the ordinary tests. */
#include "model/arc.h"

#include "base/memory.h"
#include "base/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_state(const uint8_t *data, size_t size, struct arena *arena)
{
    struct model_arc_state state;
    struct model_arc_state again;
    struct err err = ERR_INIT;
    if (model_arc_state_decode(data, size, arena, &state, &err) != 0) {
        assert(err.code != 0);
        return;
    }
    const char *text = model_arc_state_encode(arena, "panel", &state);
    int rc = model_arc_state_decode(text, strlen(text), arena, &again, &err);
    assert(rc == 0 && state.on == again.on && state.changed.ns == again.changed.ns);
}

static void try_rule(const uint8_t *data, size_t size, struct arena *arena)
{
    struct model_arc_rule rule;
    struct err err = ERR_INIT;
    if (model_arc_rule_decode(data, size, arena, &rule, &err) != 0) {
        assert(err.code != 0);
        return;
    }
    size_t length = strlen(rule.id) + strlen(rule.name);
    for (size_t i = 0; i < rule.control_count; i++) {
        length += strlen(rule.controls[i]);
    }
    for (size_t i = 0; i < rule.target_count; i++) {
        length += strlen(rule.targets[i]);
    }
    assert(length <= size);
    assert(rule.type <= MODEL_ARC_EXACTLY && rule.wait_ms >= 0);
}

static void try_arn(const uint8_t *data, size_t size, struct arena *arena)
{
    struct model_arc_name name;
    char *text = memory_new(size + 1);
    (void)memcpy(text, data, size);
    if (model_arc_parse(text, &name) == 0) {
        const char *again = model_arc_arn(arena, name.account, name.kind, name.panel, name.id);
        assert(text_equal(again, text));
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    arena_init(&arena, 0);
    try_state(data, size, &arena);
    try_rule(data, size, &arena);
    try_arn(data, size, &arena);
    arena_done(&arena);
    return 0;
}
