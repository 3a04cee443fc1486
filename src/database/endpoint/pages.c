/* Pages for load balancers: /writer, /reader and /health of a database server; see internal.h and
 * docs/databases.md. Called on the thread of the page server, it looks at the records under their
 * lock. Invariant: no page says yes to what the records do not say. */
#include "base/memory.h"
#include "base/text.h"
#include "database/endpoint/internal.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define PATH_LIMIT 512U

/* ---- what is asked for ---- */

struct asked {
    enum check_page page;
    const char *region; /* NULL: any */
    const char *name;   /* of the instance; NULL: the one at the local address */
};

static bool read_page(const char *text, enum check_page *ret_page)
{
    static const char *const names[] = {
        [CHECK_WRITER] = "writer", [CHECK_READER] = "reader", [CHECK_HEALTH] = "health"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (text_equal(text, names[i])) {
            *ret_page = (enum check_page)i;
            return true;
        }
    }
    return false;
}

/* Takes the path apart, which it changes. */
static bool read_path(char *path, struct asked *ret_asked)
{
    const char *parts[3] = {NULL};
    size_t count = 0;
    if (path[0] != '/') {
        return false;
    }
    char *rest = path + 1;
    for (char *part = strsep(&rest, "/"); part != NULL; part = strsep(&rest, "/")) {
        if (count == ARRAY_SIZE(parts) || part[0] == '\0') {
            return false;
        }
        parts[count++] = part;
    }
    *ret_asked = (struct asked){.name = count >= 2 ? parts[count - 2] : NULL,
                                .region = count == 3 ? parts[0] : NULL};
    return count != 0 && read_page(parts[count - 1], &ret_asked->page);
}

static bool is_meant(const struct asked *asked, const char *local,
                     const struct model_database_member *member)
{
    if (asked->region != NULL && !text_equal(asked->region, member->region)) {
        return false;
    }
    return asked->name != NULL
               ? text_equal(asked->name, member->instance) || text_equal(asked->name, member->id)
               : text_equal(local, member->address);
}

/* ---- the answer ---- */

struct found {
    struct picture picture;
    struct sight sight;
    size_t count;
};

static void find(const struct records *records, const struct asked *asked, const char *local,
                 struct arena *arena, struct found *ret_found)
{
    size_t count = 0;
    size_t first = records_find(records, PATH_DATABASE_GROUPS, &count);
    *ret_found = (struct found){.count = 0};
    for (size_t i = first; i < first + count; i++) {
        struct err err = ERR_INIT; /* a damaged group has no pages */
        struct picture picture;
        if (records_picture(records, &records->items[i], arena, &picture, &err) != 0) {
            continue;
        }
        for (size_t j = 0; j < picture.member_count; j++) {
            if (!picture.members[j].member.deleted &&
                is_meant(asked, local, &picture.members[j].member)) {
                ret_found->picture = picture;
                ret_found->sight = picture.members[j];
                ret_found->count++;
            }
        }
    }
}

static void put_health(const struct found *found, bool yes, const char *why, struct buf *body)
{
    const struct model_database_member *member = &found->sight.member;
    const struct model_database_seen *seen = &found->sight.seen;
    json_t *tree = json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:s}", "instance", member->instance, "cluster",
        member->cluster, "region", member->region, "member", member->id, "healthy", yes ? 1 : 0,
        "reason", why, "phase", model_database_phase_name(found->picture.group.phase), "condition",
        found->sight.is_seen ? model_database_condition_name(seen->condition) : "UNKNOWN");
    if (found->sight.is_seen) {
        /* memory: the answer lacks them */
        (void)json_object_set_new(tree, "timeline", json_integer((json_int_t)seen->timeline));
        (void)json_object_set_new(tree, "lag_bytes", json_integer((json_int_t)seen->lag_bytes));
        (void)json_object_set_new(tree, "lag_ms", json_integer((json_int_t)seen->lag_ms));
    }
    char *text = tree != NULL ? json_dumps(tree, JSON_COMPACT) : NULL;
    buf_puts(body, text != NULL ? text : "{}");
    buf_putc(body, '\n');
    free(text);
    json_decref(tree);
}

enum page_status pages_say(struct database_endpoints *endpoints, const char *path,
                           const char *local, struct mono now, struct buf *body)
{
    char copy[PATH_LIMIT];
    struct asked asked;
    if (text_copy(copy, sizeof copy, path) != 0 || !read_path(copy, &asked)) {
        buf_puts(body, "the pages are /writer, /reader and /health, of the server at this address; "
                       "or /INSTANCE/writer, /REGION/INSTANCE/writer, ..\n");
        return PAGE_NOT_FOUND;
    }
    struct arena arena CLEANUP(arena_done) = {0};
    struct found found;
    const char *why = "";
    arena_init(&arena, 0);
    thread_lock(&endpoints->lock);
    find(&endpoints->records, &asked, local, &arena, &found);
    bool known = endpoints->known;
    bool yes =
        found.count == 1 && check_member(&found.picture, &found.sight, asked.page, now, &why);
    thread_unlock(&endpoints->lock);
    if (!known) {
        buf_puts(body, "the store was not reached yet\n");
    } else if (found.count == 0) {
        buf_printf(body, "there is no such database server here\n");
        return PAGE_NOT_FOUND;
    } else if (found.count > 1) {
        buf_puts(body, "there are several such servers: ask for /REGION/INSTANCE\n");
    } else if (asked.page == CHECK_HEALTH) {
        put_health(&found, yes, why, body);
    } else {
        buf_printf(body, "%s\n", why);
    }
    return yes ? PAGE_OK : PAGE_UNAVAILABLE;
}

/* ---- HTTP ---- */

static void answer(void *context, const struct page_request *request, struct page *page)
{
    page->status = pages_say(context, request->path, request->local, records_now(), &page->text);
    if (page->text.length != 0 && page->text.data[0] == '{') {
        page->type = "application/json";
    }
}

const struct page_settings pages_settings = {
    .name = "checks of databases",
    .methods = "GET, HEAD, OPTIONS", /* HAProxy asks with OPTIONS where it is not told otherwise */
    .connections = 256,
    .connections_per_source = 64,
    .idle_s = 30,
    .memory = (size_t)8 << 10U,
    .limit = 4096,
    .answer = answer};
