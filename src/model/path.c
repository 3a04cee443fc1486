/* Building and taking apart store keys: see path.h. Called by services, the daemon and the data
 * planes, on any thread; results live in the caller's arena. Invariant: two different records never
 * have the same key, and keys of one zone sort as ListResourceRecordSets lists them. */
#include "model/path.h"

#include "base/buf.h"
#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Ends a reversed name: sorts before every character that a canonical name holds, so that a name
 * comes before all names below it. */
#define NAME_END "!/"

static char *keep(struct arena *arena, struct buf *buf)
{
    if (buf_failed(buf)) {
        memory_exhausted(buf->length);
    }
    char *text = arena_memdup(arena, buf_text(buf), buf->length);
    buf_done(buf);
    return text;
}

static void put_component(struct buf *buf, const char *component)
{
    text_uri_encode(buf, component, strlen(component), false);
}

/* Label by label from the last; canonical text never has a dot inside a label (it is \056). */
static void put_reversed(struct buf *buf, const char *name)
{
    size_t end = strlen(name);
    if (end > 0 && name[end - 1] == '.') {
        end--;
    }
    while (end > 0) {
        size_t start = end;
        while (start > 0 && name[start - 1] != '.') {
            start--;
        }
        buf_put(buf, name + start, end - start);
        buf_putc(buf, '.');
        end = start > 0 ? start - 1 : 0;
    }
}

char *path_join(struct arena *arena, const char *prefix, const char *component)
{
    struct buf buf;
    buf_init(&buf, 0);
    buf_puts(&buf, prefix);
    put_component(&buf, component);
    return keep(arena, &buf);
}

char *path_reversed_name(struct arena *arena, const char *name)
{
    struct buf buf;
    buf_init(&buf, 0);
    put_reversed(&buf, name);
    return keep(arena, &buf);
}

char *path_zone_name(struct arena *arena, const char *name, const char *zone_id)
{
    struct buf buf;
    buf_init(&buf, 0);
    buf_puts(&buf, PATH_ZONE_NAMES);
    put_reversed(&buf, name);
    buf_puts(&buf, NAME_END);
    put_component(&buf, zone_id);
    return keep(arena, &buf);
}

char *path_zone_records(struct arena *arena, const char *zone_id)
{
    struct buf buf;
    buf_init(&buf, 0);
    buf_puts(&buf, PATH_RECORDS);
    put_component(&buf, zone_id);
    buf_putc(&buf, '/');
    return keep(arena, &buf);
}

static void put_name(struct buf *buf, const char *prefix, const char *zone_id, const char *name)
{
    buf_puts(buf, prefix);
    put_component(buf, zone_id);
    buf_putc(buf, '/');
    put_reversed(buf, name);
}

static void put_name_records(struct buf *buf, const char *zone_id, const char *name)
{
    put_name(buf, PATH_RECORDS, zone_id, name);
    buf_puts(buf, NAME_END);
}

char *path_name_records(struct arena *arena, const char *zone_id, const char *name)
{
    struct buf buf;
    buf_init(&buf, 0);
    put_name_records(&buf, zone_id, name);
    return keep(arena, &buf);
}

char *path_record(struct arena *arena, const char *zone_id, const char *name, const char *type,
                  const char *set_identifier)
{
    struct buf buf;
    buf_init(&buf, 0);
    put_name_records(&buf, zone_id, name);
    put_component(&buf, type);
    buf_putc(&buf, '/');
    put_component(&buf, set_identifier);
    return keep(arena, &buf);
}

char *path_traffic_place(struct arena *arena, const char *prefix, const char *zone_id,
                         const char *name, const char *type)
{
    struct buf buf;
    buf_init(&buf, 0);
    put_name(&buf, prefix, zone_id, name);
    buf_puts(&buf, NAME_END);
    put_component(&buf, type);
    return keep(arena, &buf);
}

char *path_traffic_record(struct arena *arena, const char *zone_id, const char *name,
                          const char *type, const char *set_identifier)
{
    const char *place = path_traffic_place(arena, PATH_TRAFFIC_RECORDS, zone_id, name, type);
    return path_join(arena, arena_printf(arena, "%s/", place), set_identifier);
}

char *path_records_from(struct arena *arena, const char *prefix, const char *zone_id,
                        const char *name)
{
    struct buf buf;
    buf_init(&buf, 0);
    put_name(&buf, prefix, zone_id, name);
    return keep(arena, &buf);
}

char *path_traffic_version(struct arena *arena, const char *policy_id, int64_t version)
{
    return arena_printf(arena, "%s/%04" PRId64, path_join(arena, PATH_TRAFFIC_VERSIONS, policy_id),
                        version);
}

char *path_traffic_uses(struct arena *arena, const char *policy_id, int64_t version)
{
    return arena_printf(arena, "%s/%04" PRId64 "/", path_join(arena, PATH_TRAFFIC_USES, policy_id),
                        version);
}

static char *decode(struct arena *arena, const char *text, size_t length)
{
    struct buf buf;
    buf_init(&buf, 0);
    if (text_uri_decode(&buf, text, length, false) != 0) {
        buf_done(&buf);
        return NULL;
    }
    return keep(arena, &buf);
}

char *path_tail(struct arena *arena, const char *key, const char *prefix)
{
    if (!text_starts(key, prefix)) {
        return NULL;
    }
    const char *tail = key + strlen(prefix);
    const char *slash = strrchr(tail, '/');
    if (slash != NULL) {
        tail = slash + 1;
    }
    return decode(arena, tail, strlen(tail));
}

/* Splits off what stands before the next '/'. NULL when there is none. */
static char *take_component(struct arena *arena, const char **at)
{
    const char *slash = strchr(*at, '/');
    if (slash == NULL) {
        return NULL;
    }
    char *component = decode(arena, *at, (size_t)(slash - *at));
    *at = slash + 1;
    return component;
}

/* "com.example.www.!" to "www.example.com."; "!" is the root. */
static char *restore_name(struct arena *arena, const char *reversed)
{
    size_t length = strlen(reversed);
    if (length == 0 || reversed[length - 1] != '!') {
        return NULL;
    }
    if (length == 1) {
        return arena_strdup(arena, ".");
    }
    char *name = arena_memdup(arena, reversed, length - 1);
    name = path_reversed_name(arena, name);
    return name;
}

int path_record_split(struct arena *arena, const char *key, struct path_record_parts *ret_parts)
{
    const char *prefix = text_starts(key, PATH_RECORDS) ? PATH_RECORDS : PATH_TRAFFIC_RECORDS;
    if (!text_starts(key, prefix)) {
        return -EINVAL;
    }
    const char *at = key + strlen(prefix);
    const char *zone_id = take_component(arena, &at);
    const char *reversed = zone_id != NULL ? take_component(arena, &at) : NULL;
    const char *type = reversed != NULL ? take_component(arena, &at) : NULL;
    if (type == NULL || strchr(at, '/') != NULL) {
        return -EINVAL;
    }
    struct path_record_parts parts = {
        .zone_id = zone_id,
        .name = restore_name(arena, reversed),
        .type = type,
        .set_identifier = decode(arena, at, strlen(at)),
    };
    if (parts.name == NULL || parts.set_identifier == NULL) {
        return -EINVAL;
    }
    *ret_parts = parts;
    return 0;
}

char *path_tags(struct arena *arena, const char *resource_type, const char *resource_id)
{
    return path_join(arena, arena_printf(arena, PATH_TAGS "%s/", resource_type), resource_id);
}

char *path_reference(struct arena *arena, const char *kind, const char *reference)
{
    return path_join(arena, arena_printf(arena, PATH_REFS "%s/", kind), reference);
}

char *path_signing_keys(struct arena *arena, const char *zone_id)
{
    return arena_printf(arena, "%s/", path_join(arena, PATH_SIGNING_KEYS, zone_id));
}

char *path_signing_key(struct arena *arena, const char *zone_id, const char *name)
{
    return path_join(arena, path_signing_keys(arena, zone_id), name);
}

char *path_zone_keys(struct arena *arena, const char *zone_id)
{
    return arena_printf(arena, "%s/", path_join(arena, PATH_ZONE_KEYS, zone_id));
}

char *path_zone_key(struct arena *arena, const char *zone_id, unsigned tag)
{
    return arena_printf(arena, "%s%u", path_zone_keys(arena, zone_id), tag);
}
