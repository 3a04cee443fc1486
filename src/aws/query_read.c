/* Query and ec2 requests into trees: "Filters.Filter.1.Values.Value.2=x". Called by codec_decode on
 * the request's thread. The parameters are sorted by the pieces of their names, numbers by value,
 * so that what belongs to one structure or item stands together: no parameter is looked at more
 * than once a level. Invariant: every function gets a range of parameters whose names share their
 * first `end` bytes, the name that is just those bytes in front. */
#include "aws/internal.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct query {
    const struct codec_decoder *decoder;
    const struct codec_parameter *parameters;
    bool ec2;
};

struct range {
    size_t low;
    size_t high; /* one past the last */
    size_t end;  /* bytes of the names that all share */
    unsigned depth;
};

static bool all_digits(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!text_is_digit(text[i])) {
            return false;
        }
    }
    return length != 0;
}

/* Numbers by value, all else by bytes; a number before a word. */
static int compare_pieces(const char *a, size_t a_length, const char *b, size_t b_length)
{
    bool a_number = all_digits(a, a_length);
    if (a_number != all_digits(b, b_length)) {
        return a_number ? -1 : 1;
    }
    if (a_number && a_length != b_length) { /* leading zeroes make another index */
        return a_length < b_length ? -1 : 1;
    }
    int order = memcmp(a, b, MIN(a_length, b_length));
    if (order == 0 && a_length != b_length) {
        return a_length < b_length ? -1 : 1;
    }
    return order;
}

static int compare_parameters(const void *left, const void *right)
{
    const char *a = ((const struct codec_parameter *)left)->name;
    const char *b = ((const struct codec_parameter *)right)->name;
    for (;;) {
        size_t a_length = strcspn(a, ".");
        size_t b_length = strcspn(b, ".");
        int order = compare_pieces(a, a_length, b, b_length);
        if (order != 0) {
            return order;
        }
        a += a_length;
        b += b_length;
        if (*a == '\0' || *b == '\0') {
            return (*a != '\0') - (*b != '\0');
        }
        a++;
        b++;
    }
}

/* Whether the range has a parameter with exactly the shared name. */
static const struct codec_parameter *exact(const struct query *query, const struct range *range)
{
    const struct codec_parameter *first = &query->parameters[range->low];
    return strlen(first->name) == range->end ? first : NULL;
}

/* Where the next piece of the names begins. */
static size_t piece_start(const struct range *range)
{
    return range->end == 0 ? 0 : range->end + 1;
}

/* The sub-range from `low` on that shares one more piece; *ret_piece and its length. */
static struct range next_group(const struct query *query, const struct range *range, size_t low,
                               const char **ret_piece, size_t *ret_length)
{
    size_t start = piece_start(range);
    const char *piece = query->parameters[low].name + start;
    size_t length = strcspn(piece, ".");
    size_t high = low + 1;
    while (high < range->high) {
        const char *other = query->parameters[high].name + start;
        if (strncmp(piece, other, length) != 0 || (other[length] != '.' && other[length] != '\0')) {
            break;
        }
        high++;
    }
    *ret_piece = piece;
    *ret_length = length;
    return (struct range){
        .low = low, .high = high, .end = start + length, .depth = range->depth + 1};
}

/* Where the parameters with further pieces begin. */
static size_t first_child(const struct query *query, const struct range *range)
{
    size_t low = range->low;
    while (range->end != 0 && low < range->high &&
           strlen(query->parameters[low].name) == range->end) {
        low++;
    }
    return low;
}

static int read_value(const struct query *query, const struct codec_member *member,
                      const struct range *range, json_t **ret_value);

static int read_member(const struct query *query, const struct codec_member *member,
                       const struct range *range, json_t *object)
{
    json_t *value = NULL;
    int result = read_value(query, member, range, &value);
    if (result < 0) {
        return result;
    }
    return json_object_set_new_nocheck(object, member->name, value) < 0
               ? codec_out_of_memory(query->decoder->err)
               : 0;
}

static const struct codec_member *find_member(const struct query *query,
                                              const struct codec_shape *shape, const char *piece,
                                              size_t length)
{
    if (!query->ec2) {
        return codec_member_by_wire(shape, piece, length);
    }
    for (size_t i = 0; i < shape->count; i++) {
        const char *wire = shape->members[i].ec2_wire;
        if (wire != NULL && strncmp(wire, piece, length) == 0 && wire[length] == '\0') {
            return &shape->members[i];
        }
    }
    return NULL;
}

/* Names that the model does not have are ignored: clients add some (Version, PreSignedUrl). */
static int read_structure(const struct query *query, const struct codec_shape *shape,
                          const struct range *range, json_t *object)
{
    size_t low = first_child(query, range);
    while (low < range->high) {
        const char *piece = NULL;
        size_t length = 0;
        struct range group = next_group(query, range, low, &piece, &length);
        const struct codec_member *member = find_member(query, shape, piece, length);
        int result = member != NULL ? read_member(query, member, &group, object) : 0;
        if (result < 0) {
            return result;
        }
        low = group.high;
    }
    return 0;
}

/* Items under "...1", "...3": in the order of their numbers, gaps and all. */
static int read_items(const struct query *query, const struct codec_shape *shape,
                      const struct range *range, json_t *array)
{
    size_t low = first_child(query, range);
    while (low < range->high) {
        const char *piece = NULL;
        size_t length = 0;
        struct range group = next_group(query, range, low, &piece, &length);
        if (!all_digits(piece, length)) {
            return codec_malformed(query->decoder, "'%.128s' is no number of a list's item",
                                   query->parameters[low].name);
        }
        json_t *item = NULL;
        int result = read_value(query, &shape->members[0], &group, &item);
        if (result < 0) {
            return result;
        }
        if (json_array_append_new(array, item) < 0) {
            return codec_out_of_memory(query->decoder->err);
        }
        low = group.high;
    }
    return 0;
}

/* The key and the value of one entry, whatever their order. */
static int read_entry(const struct query *query, const struct codec_shape *shape,
                      const struct range *range, json_t *map)
{
    json_t *pair[2] = {NULL, NULL};
    int result = 0;
    size_t low = first_child(query, range);
    while (low < range->high && result == 0) {
        const char *piece = NULL;
        size_t length = 0;
        struct range group = next_group(query, range, low, &piece, &length);
        for (size_t i = 0; i < 2 && result == 0; i++) {
            const char *wire = shape->members[i].wire;
            if (strncmp(wire, piece, length) == 0 && wire[length] == '\0') {
                result = read_value(query, &shape->members[i], &group, &pair[i]);
            }
        }
        low = group.high;
    }
    if (result == 0 && (!json_is_string(pair[0]) || pair[1] == NULL)) {
        result = codec_malformed(query->decoder, "'%.128s': a map entry lacks its key or value",
                                 query->parameters[range->low].name);
    }
    if (result == 0 && json_object_set(map, json_string_value(pair[0]), pair[1]) < 0) {
        result = codec_out_of_memory(query->decoder->err);
    }
    json_decref(pair[0]);
    json_decref(pair[1]);
    return result;
}

static int read_entries(const struct query *query, const struct codec_shape *shape,
                        const struct range *range, json_t *map)
{
    size_t low = first_child(query, range);
    while (low < range->high) {
        const char *piece = NULL;
        size_t length = 0;
        struct range group = next_group(query, range, low, &piece, &length);
        int result = read_entry(query, shape, &group, map);
        if (result < 0) {
            return result;
        }
        low = group.high;
    }
    return 0;
}

/* A list or map. Unless flattened there is a name between: "member" or the model's own (services
 * take both), "entry" for maps. */
static int read_container(const struct query *query, const struct codec_member *member,
                          const struct range *range, json_t *container)
{
    const struct codec_shape *shape = member->shape;
    bool list = shape->type == CODEC_LIST;
    if (query->ec2 || (member->flags & CODEC_FLATTENED) != 0) {
        return list ? read_items(query, shape, range, container)
                    : read_entries(query, shape, range, container);
    }
    size_t low = first_child(query, range);
    while (low < range->high) {
        const char *piece = NULL;
        size_t length = 0;
        struct range group = next_group(query, range, low, &piece, &length);
        const char *wire = list ? shape->members[0].wire : "entry";
        bool known = (strncmp(wire, piece, length) == 0 && wire[length] == '\0') ||
                     (list && length == strlen("member") && memcmp(piece, "member", length) == 0);
        if (!known) {
            return codec_malformed(query->decoder, "'%.128s' is no item of a list or map",
                                   query->parameters[low].name);
        }
        int result = list ? read_items(query, shape, &group, container)
                          : read_entries(query, shape, &group, container);
        if (result < 0) {
            return result;
        }
        low = group.high;
    }
    return 0;
}

static int read_scalar(const struct query *query, const struct codec_member *member,
                       const struct range *range, json_t **ret_value)
{
    const struct codec_parameter *parameter = exact(query, range);
    if (parameter == NULL || range->high - range->low != 1) {
        return codec_malformed(query->decoder, "'%.128s' must be given once, and alone",
                               query->parameters[range->low].name);
    }
    int result =
        codec_scalar_read(member->shape, parameter->value, strlen(parameter->value), ret_value);
    if (result == -ENOMEM) {
        return codec_out_of_memory(query->decoder->err);
    }
    return result < 0 ? codec_malformed(query->decoder, "The value of '%.128s' is not a valid %s",
                                        parameter->name,
                                        codec_type_name((enum codec_type)member->shape->type))
                      : 0;
}

/* Recursion is bounded by range->depth. */
static int read_value(const struct query *query, const struct codec_member *member,
                      const struct range *range, json_t **ret_value)
{
    const struct codec_shape *shape = member->shape;
    if (range->depth > CODEC_DEPTH_LIMIT) {
        return codec_malformed(query->decoder, "A parameter's name has too many pieces");
    }
    if (shape->type >= CODEC_STRING) {
        return read_scalar(query, member, range, ret_value);
    }
    json_t *value = shape->type == CODEC_LIST ? json_array() : json_object();
    if (value == NULL) {
        return codec_out_of_memory(query->decoder->err);
    }
    int result = shape->type == CODEC_STRUCTURE ? read_structure(query, shape, range, value)
                                                : read_container(query, member, range, value);
    if (result < 0) {
        json_decref(value);
        return result;
    }
    *ret_value = value;
    return 0;
}

/* The URL's parameters and the form's, in one array. */
static int gather(const struct codec_decoder *decoder, struct codec_parameter **ret_parameters,
                  size_t *ret_count)
{
    const struct http_request *request = decoder->request;
    struct arena *arena = decoder->call->arena;
    struct codec_parameter *url = NULL;
    struct codec_parameter *form = NULL;
    size_t url_count = 0;
    size_t form_count = 0;
    int result = codec_parameters(request->query, strlen(request->query), arena, &url, &url_count);
    if (result == 0) {
        result = codec_parameters(request->body, request->body_size, arena, &form, &form_count);
    }
    if (result < 0 && result != -ENOMEM) {
        return codec_malformed(decoder, "The parameters cannot be decoded%s",
                               result == -E2BIG ? ": there are too many" : "");
    }
    struct codec_parameter *all =
        result == 0 ? arena_try_alloc(arena, (url_count + form_count + 1) * sizeof *all) : NULL;
    if (all == NULL) {
        (void)codec_out_of_memory(decoder->err); /* told by the constant */
        return -ENOMEM;
    }
    for (size_t i = 0; i < url_count; i++) {
        all[i] = url[i];
    }
    for (size_t i = 0; i < form_count; i++) {
        all[url_count + i] = form[i];
    }
    *ret_parameters = all;
    *ret_count = url_count + form_count;
    return 0;
}

int codec_query_read(const struct codec_decoder *decoder, const struct codec_shape *shape,
                     json_t **ret_value)
{
    struct codec_parameter *parameters = NULL;
    size_t count = 0;
    int result = gather(decoder, &parameters, &count);
    if (result < 0 || parameters == NULL) {
        return result;
    }
    qsort(parameters, count, sizeof *parameters, compare_parameters);
    struct query query = {.decoder = decoder,
                          .parameters = parameters,
                          .ec2 = decoder->route->service->protocol == CODEC_EC2};
    struct range range = {.high = count};
    json_t *tree = json_object();
    if (tree == NULL) {
        return codec_out_of_memory(decoder->err);
    }
    result = read_structure(&query, shape, &range, tree);
    if (result < 0) {
        json_decref(tree);
        return result;
    }
    *ret_value = tree;
    return 0;
}
