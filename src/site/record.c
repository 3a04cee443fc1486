/* Records of sites and their texts: see site.h. Any thread. A record of a later version is read
 * too, and members that are not known here stay when it is written again. */
#include "base/text.h"
#include "model/path.h"
#include "site/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#define LIST_LIMIT 64U
#define TOKEN_START "leeward1."

void site_release(json_t **tree)
{
    json_decref(*tree); /* NULL is fine */
}

const char *site_text(const json_t *tree, const char *name)
{
    const char *text = json_string_value(json_object_get(tree, name));
    return text != NULL ? text : "";
}

const char *site_dump(const json_t *tree, struct arena *arena)
{
    char *text = tree != NULL ? json_dumps(tree, JSON_COMPACT) : NULL;
    const char *copy = text != NULL ? arena_strdup(arena, text) : NULL;
    free(text);
    return copy;
}

bool site_name_is_valid(const char *name)
{
    size_t length = strlen(name);
    return length >= 1 && length < MODEL_SITE_NAME &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length && name[0] != '-' &&
           name[length - 1] != '-';
}

/* ---- members ---- */

static const char **read_texts(const json_t *list, struct arena *arena, size_t *ret_count)
{
    size_t count = MIN(json_array_size(list), (size_t)LIST_LIMIT);
    const char **texts = arena_array(arena, count + 1, sizeof *texts);
    *ret_count = 0;
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text != NULL) {
            texts[(*ret_count)++] = arena_strdup(arena, text);
        }
    }
    return texts;
}

int site_member_decode(const void *value, size_t size, struct arena *arena,
                       struct site_member *ret_member, struct err *err)
{
    json_t *tree CLEANUP(site_release) = json_loadb(value, size, 0, NULL);
    struct site_member member = {
        .name = arena_strdup(arena, site_text(tree, "Name")),
        .api = arena_strdup(arena, site_text(tree, "Api")),
        .peer = arena_strdup(arena, site_text(tree, "Peer")),
        .fingerprint = arena_strdup(arena, site_text(tree, "Fingerprint")),
    };
    if (json_integer_value(json_object_get(tree, "v")) < 1 || !site_name_is_valid(member.name) ||
        strlen(member.fingerprint) != SITE_FINGERPRINT - 1 ||
        wall_parse(site_text(tree, "Joined"), &member.joined) != 0) {
        return err_set(err, ERR_CORRUPT, "a record of a site cannot be read");
    }
    member.regions = read_texts(json_object_get(tree, "Regions"), arena, &member.region_count);
    member.dns = read_texts(json_object_get(tree, "Dns"), arena, &member.dns_count);
    *ret_member = member;
    return 0;
}

int site_members(struct store *store, struct arena *arena, struct site_member **ret_members,
                 size_t *ret_count, struct err *err)
{
    struct store_list list;
    int rc = store_range(store, PATH_SITE_MEMBERS, NULL, 0, arena, &list, err);
    if (rc != 0) {
        return rc;
    }
    struct site_member *members = arena_array(arena, list.count + 1, sizeof *members);
    size_t count = 0;
    for (size_t i = 0; i < list.count; i++) {
        const struct store_entry *entry = &list.entries[i];
        struct err ignored = ERR_INIT; /* a damaged record is left out, and not counted */
        if (site_member_decode(entry->value, entry->size, arena, &members[count], &ignored) == 0) {
            count++;
        }
    }
    *ret_members = members;
    *ret_count = count;
    return 0;
}

json_t *site_texts(const char *const *texts, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(list, json_string(texts[i])); /* shows as absent */
    }
    return list;
}

const char *site_member_encode(const struct site_self *self, const char *fingerprint,
                               struct wall joined, struct arena *arena)
{
    char when[TIME_TEXT];
    wall_format(joined, when);
    json_t *tree CLEANUP(site_release) =
        json_pack("{s:i, s:s, s:o, s:s, s:o, s:s, s:s, s:s}", "v", 1, "Name", self->name, "Regions",
                  site_texts(self->regions, self->region_count), "Api", self->api, "Dns",
                  site_texts(self->dns, self->dns_count), "Peer", self->peer, "Fingerprint",
                  fingerprint, "Joined", when);
    return tree != NULL ? site_dump(tree, arena) : NULL;
}

static int update(json_t *tree, const char *name, json_t *take_value, bool *changed,
                  struct err *err)
{
    if (json_equal(json_object_get(tree, name), take_value)) {
        json_decref(take_value);
        return 0;
    }
    *changed = true;
    return json_object_set_new(tree, name, take_value) == 0
               ? 0
               : err_set(err, ERR_MEMORY, "writing the record of this site");
}

int site_member_update(json_t *tree, const struct site_self *self, bool *ret_changed,
                       struct err *err)
{
    *ret_changed = false;
    int rc = update(tree, "Api", json_string(self->api), ret_changed, err);
    rc = rc != 0 ? rc : update(tree, "Peer", json_string(self->peer), ret_changed, err);
    rc = rc != 0 ? rc
                 : update(tree, "Regions", site_texts(self->regions, self->region_count),
                          ret_changed, err);
    return rc != 0 ? rc
                   : update(tree, "Dns", site_texts(self->dns, self->dns_count), ret_changed, err);
}

int site_live_get(struct store *store, const char *name, struct arena *arena,
                  struct site_live *ret_live, struct err *err)
{
    struct store_entry entry;
    int rc = store_get(store, path_join(arena, PATH_SITE_LIVE, name), arena, &entry, err);
    if (rc != 0) {
        return rc;
    }
    json_t *tree CLEANUP(site_release) = json_loadb(entry.value, entry.size, 0, NULL);
    struct site_live live = {.node = arena_strdup(arena, site_text(tree, "Node")),
                             .version = arena_strdup(arena, site_text(tree, "Version"))};
    if (wall_parse(site_text(tree, "Started"), &live.started) != 0) {
        return err_set(err, ERR_CORRUPT, "what site %s says of itself cannot be read", name);
    }
    *ret_live = live;
    return 0;
}

/* ---- tokens ---- */

void site_token_write(const struct site_token *token, char out[SITE_TOKEN_LIMIT])
{
    (void)snprintf(out, SITE_TOKEN_LIMIT, TOKEN_START "%s.%s.%s.%s", /* fits */
                   token->id, token->secret, token->fingerprint, token->address);
}

/* `size` - 1 hexadecimal digits and a '.'. */
static bool read_digits(const char **at, char *out, size_t size)
{
    size_t length = size - 1;
    if (strspn(*at, "0123456789abcdef") < length || (*at)[length] != '.') {
        return false;
    }
    (void)memcpy(out, *at, length);
    out[length] = '\0';
    *at += length + 1;
    return true;
}

int site_token_read(const char *text, struct site_token *ret_token, struct err *err)
{
    struct site_token token = {.id = ""};
    const char *at = text + (text_starts(text, TOKEN_START) ? strlen(TOKEN_START) : 0);
    if (at == text || !read_digits(&at, token.id, sizeof token.id) ||
        !read_digits(&at, token.secret, sizeof token.secret) ||
        !read_digits(&at, token.fingerprint, sizeof token.fingerprint) || at[0] == '\0' ||
        text_copy(token.address, sizeof token.address, at) != 0) {
        return err_set(err, ERR_INVALID,
                       "this is no token as `leeward site token` makes it (was it cut?)");
    }
    *ret_token = token;
    return 0;
}

void site_token_hash(const char *secret, char out[SITE_FINGERPRINT])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    unsigned size = 0;
    IGNORE_RESULT(EVP_Digest(secret, strlen(secret), digest, &size, EVP_sha256(),
                             NULL)); /* out of memory gives a hash that no secret has */
    text_hex(digest, SITE_FINGERPRINT / 2, out);
}
