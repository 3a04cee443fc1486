/* DescribeEvents: what happened to databases, as the API and the agents wrote it down. Called as a
 * handler on API threads. Without times it is the last hour, as on AWS; events are kept for
 * fourteen days. Invariant: an event is shown in the region it belongs to alone. */
#include "base/text.h"
#include "service/rds/handlers.h"
#include "service/rds/show.h"

#include <inttypes.h>

#define MINUTES_MOST 20160 /* fourteen days */
#define MINUTES_STANDARD 60

struct span {
    int64_t start;
    int64_t end;
};

static int read_time(struct aws_call *call, const json_t *in, const char *member, int64_t *time,
                     struct err *err)
{
    struct wall when = {.ns = 0};
    const char *text = tree_text(in, member);
    if (text[0] == '\0') {
        return 0;
    }
    if (wall_parse(text, &when) != 0) {
        return rds_invalid(call, err, "%s is not a time: %.64s", member, text);
    }
    *time = when.ns;
    return 0;
}

static int read_span(struct aws_call *call, const json_t *in, struct span *span, struct err *err)
{
    int64_t minutes = MINUTES_STANDARD;
    bool given = json_object_get(in, "StartTime") != NULL || json_object_get(in, "EndTime") != NULL;
    if (given && json_object_get(in, "Duration") != NULL) {
        return rds_combination(call, err, "Duration is given instead of StartTime and EndTime.");
    }
    int rc = rds_integer(call, in, "Duration", 1, MINUTES_MOST, MINUTES_STANDARD, &minutes, err);
    *span = (struct span){.start = INT64_MIN, .end = INT64_MAX};
    rc = rc == 0 ? read_time(call, in, "EndTime", &span->end, err) : rc;
    if (rc == 0) {
        int64_t end = MIN(span->end, call->now.ns);
        span->start = end - minutes * 60 * TIME_S;
        rc = read_time(call, in, "StartTime", &span->start, err);
    }
    return rc == 0 && span->start > span->end
               ? rds_combination(call, err, "StartTime is after EndTime.")
               : rc;
}

static bool has(const json_t *list, const char *word)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (text_equal_nocase(json_string_value(json_array_get(list, i)), word)) {
            return true;
        }
    }
    return false;
}

static bool is_wanted(const struct model_database_event *event, const json_t *in,
                      const struct span *span)
{
    const char *source = tree_text(in, "SourceIdentifier");
    const char *type = tree_text(in, "SourceType");
    const json_t *categories = json_object_get(in, "EventCategories");
    return event->at.ns >= span->start && event->at.ns <= span->end &&
           (source[0] == '\0' || text_equal_nocase(source, event->source)) &&
           (type[0] == '\0' || text_equal(type, event->type)) &&
           (json_array_size(categories) == 0 || has(categories, event->category));
}

/* What its source is called in ARNs, by the type. */
static const char *source_arn(struct aws_call *call, const struct model_database_event *event)
{
    static const struct {
        const char *type;
        enum rds_kind kind;
    } types[] = {
        {"db-instance", RDS_INSTANCE},         {"db-cluster", RDS_CLUSTER},
        {"db-cluster-snapshot", RDS_SNAPSHOT}, {"db-parameter-group", RDS_PARAMETERS},
        {"global-cluster", RDS_GLOBAL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (text_equal(types[i].type, event->type)) {
            return rds_arn(call, types[i].kind, types[i].kind == RDS_GLOBAL ? "" : event->region,
                           event->source);
        }
    }
    return NULL;
}

static json_t *show(struct aws_call *call, const struct model_database_event *event)
{
    char date[TIME_TEXT];
    wall_format_ms(event->at, date);
    return json_pack("{s:s, s:s, s:s, s:[s], s:s, s:s*}", "SourceIdentifier", event->source,
                     "SourceType", event->type, "Message", event->message, "EventCategories",
                     event->category, "Date", date, "SourceArn", source_arn(call, event));
}

RDS_HANDLER(describe_events)
{
    struct span span = {.start = 0};
    struct store_list events = {.count = 0};
    struct rds_shown list = {.count = 0};
    const char *prefix = arena_printf(call->arena, "%s%s/", PATH_DATABASE_EVENTS, call->region);
    int rc = 0;
    if (tree_text(in, "SourceIdentifier")[0] != '\0' && tree_text(in, "SourceType")[0] == '\0') {
        return rds_combination(call, err, "SourceType is required with SourceIdentifier.");
    }
    rc = read_span(call, in, &span, err);
    rc = rc == 0 ? store_range_values(service_context(call)->store, prefix, NULL, 0, call->arena,
                                      &events, err)
                 : rc;
    for (size_t i = 0; rc == 0 && i < events.count; i++) {
        struct model_database_event event = {.region = ""};
        struct err ignored = ERR_INIT; /* what cannot be read is not shown */
        if (model_database_event_decode(events.entries[i].value, events.entries[i].size,
                                        call->arena, &event, &ignored) == 0 &&
            is_wanted(&event, in, &span)) {
            rds_shown_add(call, &list, events.entries[i].key, show(call, &event));
        }
    }
    return rc == 0 ? rds_answer_list(call, in, &list, "Events", NULL, 0, ret_out, err) : rc;
}
