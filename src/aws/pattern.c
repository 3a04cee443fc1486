/* The models' patterns, by PCRE2. Called by validation on any thread: a pattern is compiled by the
 * first that needs it and published with a compare-and-swap; the loser frees its own. Compiled
 * patterns live as long as the process. Invariant: matching ends, because steps and memory are
 * bounded; a value too hard to match is refused. */
#include "aws/internal.h"
#include "base/memory.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pthread.h>
#include <stdatomic.h>

#include <pcre2.h>

static _Atomic(pcre2_code *) *compiled;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_slots(void)
{
    compiled = memory_array(codec_pattern_count + 1, sizeof *compiled);
}

static pcre2_code *pattern_code(const struct codec_shape *shape)
{
    (void)pthread_once(&once, make_slots); /* fails only for an invalid once */
    _Atomic(pcre2_code *) *slot = &compiled[shape->pattern_index];
    pcre2_code *code = atomic_load_explicit(slot, memory_order_acquire);
    if (code != NULL) {
        return code;
    }
    int number = 0;
    PCRE2_SIZE offset = 0;
    /* The whole value must match: services check with Java's matches(), which is anchored. */
    pcre2_code *fresh = pcre2_compile((PCRE2_SPTR)shape->pattern, PCRE2_ZERO_TERMINATED,
                                      PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED |
                                          PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE,
                                      &number, &offset, NULL);
    if (fresh == NULL) {
        return NULL;
    }
    if (!atomic_compare_exchange_strong_explicit(slot, &code, fresh, memory_order_acq_rel,
                                                 memory_order_acquire)) {
        pcre2_code_free(fresh);
        return code;
    }
    return fresh;
}

enum codec_match codec_pattern_match(const struct codec_shape *shape, const char *text,
                                     size_t length)
{
    pcre2_code *code = pattern_code(shape);
    if (code == NULL) {
        return CODEC_PATTERN_BROKEN;
    }
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    int result = PCRE2_ERROR_NOMEMORY;
    if (data != NULL && context != NULL) {
        (void)pcre2_set_match_limit(context, CODEC_PATTERN_MATCH_LIMIT); /* always 0 */
        (void)pcre2_set_heap_limit(context, CODEC_PATTERN_HEAP_LIMIT);   /* always 0 */
        result = pcre2_match(code, (PCRE2_SPTR)text, length, 0, 0, data, context);
    }
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    if (result >= 0) {
        return CODEC_MATCHES;
    }
    return result == PCRE2_ERROR_NOMATCH ? CODEC_MATCHES_NOT : CODEC_MATCH_TOO_HARD;
}
