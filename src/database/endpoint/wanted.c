/* Endpoints as record sets, and the pages' answers: see wanted.h. Called by endpoint.c and pages.c.
 * No clock, no I/O. Invariant: a name of a writer has one address, and readers that do not stream
 * have none but their own. */
#include "database/endpoint/wanted.h"

#include "base/memory.h"
#include "base/text.h"
#include "model/database_names.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* ---- names ---- */

/* NULL: it is no address, and has no record. */
static const char *address_type(const char *address)
{
    struct in6_addr room;
    if (text_empty(address)) {
        return NULL;
    }
    if (inet_pton(AF_INET, address, &room) == 1) {
        return "A";
    }
    return inet_pton(AF_INET6, address, &room) == 1 ? "AAAA" : NULL;
}

static void add(struct wanted_list *list, const struct picture *picture,
                const struct model_database_member *member, const char *name, const char *set)
{
    const char *type = address_type(member->address);
    if (type == NULL) {
        return;
    }
    if (list->count == list->capacity) {
        list->capacity = MAX(list->capacity * 2, (size_t)16);
        list->items = memory_resize(list->items, list->capacity, sizeof *list->items);
    }
    list->items[list->count++] = (struct wanted){
        .name = name, .type = type, .set = set, .address = member->address, .group = picture->id};
}

/* Who writes, or is to; NULL: nobody yet. */
static const struct sight *writer_of(const struct picture *picture)
{
    const struct model_database_group *group = &picture->group;
    bool moving = group->phase == MODEL_DATABASE_PROMOTING && !text_empty(group->target);
    const char *id = moving ? group->target : group->writer;
    for (size_t i = 0; i < picture->member_count; i++) {
        if (!text_empty(id) && text_equal(picture->members[i].member.id, id)) {
            return &picture->members[i];
        }
    }
    return NULL;
}

static bool same_cluster(const struct sight *a, const struct sight *b)
{
    return text_equal(a->member.region, b->member.region) &&
           text_equal(a->member.cluster, b->member.cluster);
}

static bool is_reader(const struct sight *sight)
{
    return sight->is_seen && sight->seen.condition == MODEL_DATABASE_STREAMING &&
           !sight->member.deleted && !sight->member.stopped;
}

/* The readers of the cluster that this member is in. */
static void add_readers(struct wanted_list *list, const struct picture *picture,
                        const struct sight *of, const struct sight *writer, const char *name)
{
    size_t before = list->count;
    for (size_t i = 0; i < picture->member_count; i++) {
        const struct sight *sight = &picture->members[i];
        if (sight != writer && same_cluster(sight, of) && is_reader(sight)) {
            add(list, picture, &sight->member, name, sight->member.id);
        }
    }
    if (list->count == before && writer != NULL) {
        add(list, picture, &writer->member, name, writer->member.id);
    }
}

/* Whether it is the first member of its cluster. */
static bool is_first(const struct picture *picture, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (same_cluster(&picture->members[i], &picture->members[at])) {
            return false;
        }
    }
    return true;
}

void wanted_add(const struct picture *picture, const char *zone, struct arena *arena,
                struct wanted_list *list)
{
    const struct sight *writer = writer_of(picture);
    for (size_t i = 0; i < picture->member_count; i++) {
        const struct sight *sight = &picture->members[i];
        const struct model_database_member *member = &sight->member;
        if (!member->deleted && !text_empty(member->instance)) {
            add(list, picture, member,
                model_database_instance_endpoint(arena, zone, member->region, member->instance),
                "");
        }
        if (is_first(picture, i)) {
            add_readers(
                list, picture, sight, writer,
                model_database_reader_endpoint(arena, zone, member->region, member->cluster));
        }
    }
    if (writer != NULL) {
        const struct model_database_member *member = &writer->member;
        add(list, picture, member,
            model_database_writer_endpoint(arena, zone, member->region, member->cluster), "");
    }
    if (writer != NULL && text_empty(picture->group.region)) {
        add(list, picture, &writer->member,
            model_database_global_endpoint(arena, zone, picture->group.name), "");
    }
}

/* ---- pages ---- */

static bool check_writer(const struct picture *picture, const struct sight *sight, struct mono now,
                         const char **ret_why)
{
    const struct model_database_group *group = &picture->group;
    const struct model_database_lease *lease = &picture->lease;
    int64_t age = mono_since(now, picture->lease_told);
    if (!text_equal(group->writer, sight->member.id)) {
        *ret_why = "it is not the writer";
    } else if (group->phase != MODEL_DATABASE_STEADY && group->phase != MODEL_DATABASE_PREPARING) {
        *ret_why = "the writer changes";
    } else if (sight->seen.condition != MODEL_DATABASE_WRITER) {
        *ret_why = "its server does not accept writes";
    } else if (!picture->has_lease || lease->state != MODEL_DATABASE_LEASE_HELD ||
               !text_equal(lease->holder, sight->member.id) || picture->lease_told.ns == 0 ||
               age > lease->length_ms * TIME_MS) {
        *ret_why = "its lease was not renewed";
    } else {
        *ret_why = "it is the writer";
        return true;
    }
    return false;
}

bool check_member(const struct picture *picture, const struct sight *sight, enum check_page page,
                  struct mono now, const char **ret_why)
{
    bool writer = false;
    if (!sight->is_seen || mono_since(now, sight->heard) > CHECK_STALE_MS * TIME_MS) {
        *ret_why = "its agent has not said anything of it for long";
        return false;
    }
    if (page != CHECK_READER) {
        writer = check_writer(picture, sight, now, ret_why);
    }
    if (writer || page == CHECK_WRITER) {
        return writer;
    }
    if (is_reader(sight)) {
        *ret_why = "it is a reader that streams";
        return true;
    }
    *ret_why = page == CHECK_READER ? "it is no reader that streams" : *ret_why;
    return false;
}
