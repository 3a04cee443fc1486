/* The lists of CIDR collections, their locations and blocks. Called as handlers on API threads. All
 * three page alike: NextToken is the last item that was given, in base64; what comes after it, in
 * the list's order, is the next page. Invariant: a page has at most MaxResults items (100 when it
 * is absent). */
#include "base/text.h"
#include "model/path.h"
#include "service/route53/cidr.h"
#include "service/route53/handlers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_LIMIT 100
#define TOKEN_LIMIT 1024U

struct page {
    size_t size;
    const char *after; /* "" for the first page */
    json_t *items;     /* kept */
    const char *last;  /* of the items */
    bool more;
};

static int page_begin(struct aws_call *call, const json_t *in, struct page *page, struct err *err)
{
    const char *size = route53_text(in, "MaxResults");
    const char *token = route53_text(in, "NextToken");
    int64_t number = PAGE_LIMIT;
    *page = (struct page){.after = ""};
    struct buf decoded CLEANUP(buf_done);
    buf_init(&decoded, TOKEN_LIMIT);
    if (size[0] != '\0' && text_to_i64(size, 1, INT32_MAX, &number) != 0) {
        return aws_error(call, err, "InvalidInput", "MaxResults must be a positive number");
    }
    if (token[0] != '\0' && (text_unbase64(token, strlen(token), &decoded) != 0 ||
                             strlen(buf_text(&decoded)) != decoded.length)) {
        return aws_error(call, err, "InvalidInput",
                         "NextToken is not one that a previous answer gave");
    }
    *page = (struct page){.size = (size_t)MIN(number, (int64_t)PAGE_LIMIT),
                          .after = arena_strdup(call->arena, buf_text(&decoded)),
                          .items = route53_keep(call, json_array())};
    return 0;
}

/* Items come in the order of their names. */
static void page_add(struct page *page, const char *name, json_t *take_item)
{
    if (page->more || strcmp(name, page->after) <= 0) {
        json_decref(take_item);
    } else if (json_array_size(page->items) == page->size) {
        page->more = true;
        json_decref(take_item);
    } else {
        page->last = name;
        (void)json_array_append_new(page->items, take_item); /* out of memory: shorter */
    }
}

static int page_end(struct aws_call *call, const struct page *page, const char *member,
                    json_t **ret_out, struct err *err)
{
    const char *next = NULL;
    struct buf token CLEANUP(buf_done);
    buf_init(&token, (size_t)2 * TOKEN_LIMIT);
    if (page->more) {
        text_base64(&token, page->last, strlen(page->last));
        next = arena_strdup(call->arena, buf_text(&token));
    }
    return route53_answer(json_pack("{s:O, s:s*}", member, page->items, "NextToken", next), ret_out,
                          err);
}

int route53_list_cidr_collections(struct aws_call *call, const json_t *in, json_t **ret_out,
                                  struct err *err)
{
    struct page page;
    struct store_list list;
    int rc = page_begin(call, in, &page, err);
    if (rc == 0) {
        rc = store_range(service_context(call)->store, PATH_COLLECTIONS, NULL, 0, call->arena,
                         &list, err);
    }
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        struct model_cidr_collection collection;
        rc = model_cidr_collection_decode(list.entries[i].value, list.entries[i].size, call->arena,
                                          &collection, err);
        if (rc == 0) {
            page_add(&page, collection.id,
                     json_pack("{s:s, s:s, s:s, s:I}", "Arn",
                               route53_collection_arn(call, collection.id), "Id", collection.id,
                               "Name", collection.name, "Version", (json_int_t)collection.version));
        }
    }
    return rc != 0 ? rc : page_end(call, &page, "CidrCollections", ret_out, err);
}

int route53_list_cidr_locations(struct aws_call *call, const json_t *in, json_t **ret_out,
                                struct err *err)
{
    struct page page;
    struct route53_collection collection = {0};
    int rc = page_begin(call, in, &page, err);
    if (rc == 0) {
        rc = route53_collection_load(call, route53_text(in, "CollectionId"), &collection, err);
    }
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < collection.model.count; i++) {
        const char *name = collection.model.locations[i].name;
        page_add(&page, name, json_pack("{s:s}", "LocationName", name));
    }
    return page_end(call, &page, "CidrLocations", ret_out, err);
}

struct block {
    const char *name; /* "location/block": their order, and the token */
    const char *location;
    const char *text;
};

static int compare_blocks(const void *a, const void *b)
{
    return strcmp(((const struct block *)a)->name, ((const struct block *)b)->name);
}

static struct block *list_blocks(struct aws_call *call, const struct model_cidr_collection *from,
                                 const char *wanted, size_t *ret_count)
{
    struct block *blocks = arena_array(call->arena, MODEL_CIDR_BLOCKS_LIMIT, sizeof *blocks);
    size_t count = 0;
    for (size_t i = 0; i < from->count; i++) {
        const struct model_cidr_location *location = &from->locations[i];
        if (wanted[0] != '\0' && !text_equal(wanted, location->name)) {
            continue;
        }
        for (size_t j = 0; j < location->count && count < MODEL_CIDR_BLOCKS_LIMIT; j++) {
            char text[MODEL_CIDR_TEXT + 1];
            model_cidr_format(&location->blocks[j], text);
            blocks[count++] =
                (struct block){.name = arena_printf(call->arena, "%s/%s", location->name, text),
                               .location = location->name,
                               .text = arena_strdup(call->arena, text)};
        }
    }
    if (count != 0) {
        qsort(blocks, count, sizeof *blocks, compare_blocks);
    }
    *ret_count = count;
    return blocks;
}

int route53_list_cidr_blocks(struct aws_call *call, const json_t *in, json_t **ret_out,
                             struct err *err)
{
    const char *wanted = route53_text(in, "LocationName");
    struct page page;
    struct route53_collection collection = {0};
    int rc = page_begin(call, in, &page, err);
    if (rc == 0) {
        rc = route53_collection_load(call, route53_text(in, "CollectionId"), &collection, err);
    }
    if (rc != 0) {
        return rc;
    }
    size_t count = 0;
    const struct block *blocks = list_blocks(call, &collection.model, wanted, &count);
    if (wanted[0] != '\0' && count == 0) {
        return aws_error(call, err, "NoSuchCidrLocationException",
                         "The CIDR location %.16s does not exist in the collection.", wanted);
    }
    for (size_t i = 0; i < count; i++) {
        page_add(&page, blocks[i].name,
                 json_pack("{s:s, s:s}", "CidrBlock", blocks[i].text, "LocationName",
                           blocks[i].location));
    }
    return page_end(call, &page, "CidrBlocks", ret_out, err);
}
