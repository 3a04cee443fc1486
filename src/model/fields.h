/* Reading JSON members with their kinds checked: what every decoder of this room is made of.
 * Private to model/. Functions return -EBADMSG with err filled (ERR_CORRUPT, naming the member)
 * when a member has another kind; callers that judge a client's tree turn that into ERR_INVALID.
 * Thread: any. Strings are copied into the arena, so a result outlives its tree. */
#ifndef MODEL_FIELDS_H
#define MODEL_FIELDS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

/* For CLEANUP on a json_t pointer variable. */
void fields_release(json_t **json);
/* A store value: an object with "v" from 1 on. A newer version is read too: versions only ever add
 * members, and members that are not known are kept by those who rewrite a value. The caller
 * releases it. */
int fields_parse(const void *value, size_t size, json_t **ret_object, struct err *err) MUST_CHECK;
/* "" when the member is absent. */
int fields_text(const json_t *object, const char *name, struct arena *arena, const char **ret_text,
                struct err *err) MUST_CHECK;
/* fallback when the member is absent; a value outside [low, high] is an error. */
int fields_integer(const json_t *object, const char *name, int64_t low, int64_t high,
                   int64_t fallback, int64_t *ret_value, struct err *err) MUST_CHECK;
int fields_boolean(const json_t *object, const char *name, bool fallback, bool *ret_value,
                   struct err *err) MUST_CHECK;
/* An array of strings, of at most limit; NULL and 0 when the member is absent. */
int fields_texts(const json_t *object, const char *name, size_t limit, struct arena *arena,
                 const char ***ret_texts, size_t *ret_count, struct err *err) MUST_CHECK;

#endif
