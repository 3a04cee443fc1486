/* Metrics: see exposition.h. Called by the page server on its thread, and by views.c. Reads
 * what each room counts, through its public functions. Invariant: a metric's HELP and TYPE stand
 * once, before all of its samples. */
#include "daemon/exposition.h"

#include "base/text.h"
#include "daemon/daemon.h"
#include "daemon/database_metrics.h"
#include "dns/wire/name.h"
#include "dns/zone/zone_set.h"

#include <inttypes.h>
#include <string.h>

struct vector {
    const char *name;
    const char *metric;
    const char *label;
    const char *help;
    size_t size;
    size_t offset; /* in struct dns_counters */
    const char *(*text)(size_t index);
};

#define TEXT_OF_types dns_type_label
#define TEXT_OF_rcodes dns_rcode_label
#define TEXT_OF_opcodes dns_opcode_label
#define TEXT_OF_edns dns_edns_label
#define TEXT_OF_cookies dns_cookie_label

static const struct vector vectors[] = {
#define X(name, size, metric, label, help)                                                         \
    {#name, metric, label, help, size, offsetof(struct dns_counters, name), TEXT_OF_##name},
    DNS_VECTORS(X)
#undef X
};

static uint64_t value_of(const struct dns_counters *counters, const struct vector *vector,
                         size_t index)
{
    uint64_t value;
    (void)memcpy(&value, (const char *)counters + vector->offset + index * sizeof value,
                 sizeof value);
    return value;
}

/* ---- JSON ---- */

static void append(json_t *list, const char *name, uint64_t value)
{
    /* Out of memory shows as absent. */
    (void)json_array_append_new(list,
                                json_pack("{s:s, s:I}", "Name", name, "Value", (json_int_t)value));
}

json_t *exposition_dns_counters(const struct daemon *daemon)
{
    struct dns_counters counters;
    dns_server_counters(daemon->dns, &counters);
    json_t *list = json_array();
#define X(name, metric, label, help) append(list, #name, counters.name);
    DNS_COUNTERS(X)
#undef X
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        for (size_t j = 0; j < vectors[i].size; j++) {
            uint64_t value = value_of(&counters, &vectors[i], j);
            const char *label = vectors[i].text(j);
            char name[80];
            (void)snprintf(name, sizeof name, "%s.%s", vectors[i].metric, /* fits */
                           label != NULL ? label : "?");
            if (value != 0) {
                append(list, name, value);
            }
        }
    }
    return list;
}

/* ---- Prometheus ---- */

static void put_head(struct buf *text, const char *metric, const char *type, const char *help)
{
    buf_printf(text, "# HELP leeward_%s %s\n# TYPE leeward_%s %s\n", metric, help, metric, type);
}

/* Samples of one metric follow each other: the head stands before the first. */
static void put_counter(struct buf *text, const char **last, const char *metric, const char *label,
                        const char *help, uint64_t value)
{
    char name[80];
    (void)snprintf(name, sizeof name, "dns_%s_total", metric); /* fits */
    if (*last == NULL || !text_equal(*last, metric)) {
        put_head(text, name, "counter", help);
        *last = metric;
    }
    buf_printf(text, "leeward_%s%s%s%s %" PRIu64 "\n", name, label[0] != '\0' ? "{" : "", label,
               label[0] != '\0' ? "}" : "", value);
}

static void put_vectors(struct buf *text, const struct dns_counters *counters)
{
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        const struct vector *vector = &vectors[i];
        const char *last = NULL;
        for (size_t j = 0; j < vector->size; j++) {
            char label[80];
            if (vector->text(j) != NULL) {
                (void)snprintf(label, sizeof label, "%s=\"%s\"", vector->label, /* fits */
                               vector->text(j));
                put_counter(text, &last, vector->metric, label, vector->help,
                            value_of(counters, vector, j));
            }
        }
    }
}

static void put_workers(struct buf *text, const struct dns_server *dns)
{
    put_head(text, "dns_worker_queries_total", "counter", "queries received by each DNS thread");
    for (unsigned i = 0; i < dns_server_workers(dns); i++) {
        buf_printf(text, "leeward_dns_worker_queries_total{worker=\"%u\"} %" PRIu64 "\n", i,
                   dns_server_worker_queries(dns, i));
    }
}

static void put_latency(struct buf *text, const struct dns_counters *counters)
{
    put_head(text, "dns_answer_seconds", "histogram",
             "time to answer one query, the average of its batch");
    uint64_t sum = 0;
    for (unsigned i = 0; i + 1 < DNS_LATENCY_BUCKETS; i++) {
        sum += counters->latency[i];
        buf_printf(text, "leeward_dns_answer_seconds_bucket{le=\"%.9g\"} %" PRIu64 "\n",
                   (double)dns_latency_bound_ns(i) / 1e9, sum);
    }
    sum += counters->latency[DNS_LATENCY_BUCKETS - 1];
    buf_printf(text,
               "leeward_dns_answer_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n"
               "leeward_dns_answer_seconds_sum %.9f\n"
               "leeward_dns_answer_seconds_count %" PRIu64 "\n",
               sum, (double)counters->latency_ns / 1e9, sum);
}

struct zones_page {
    struct daemon *daemon;
    struct buf *text;
};

/* Names have octal escapes only: the backslash is escaped once more for the label. */
static void put_zone(void *context, const char *zone_id, const struct zone *zone)
{
    struct zones_page *page = context;
    char name[NAME_TEXT_LIMIT];
    if (zone->number == 0) {
        return;
    }
    name_to_text(zone->apex, true, name);
    buf_puts(page->text, "leeward_dns_zone_queries_total{zone=\"");
    for (const char *p = name; *p != '\0'; p++) {
        buf_puts(page->text, *p == '\\' ? "\\" : "");
        buf_putc(page->text, *p);
    }
    buf_printf(page->text, "\",id=\"%s\"} %" PRIu64 "\n", zone_id,
               dns_server_zone_queries(page->daemon->dns, zone->number));
}

static void zones_work(struct zone_database *database, void *argument)
{
    zone_database_each_zone(database, put_zone, argument);
}

static void put_gauge(struct buf *text, const char *metric, const char *help, double value)
{
    put_head(text, metric, "gauge", help);
    buf_printf(text, "leeward_%s %.9g\n", metric, value);
}

static void put_health(struct buf *text, struct daemon *daemon)
{
    struct health_counters counters;
    health_count(daemon->health, &counters);
#define X(name, help)                                                                              \
    put_head(text, "health_" #name "_total", "counter", help);                                     \
    buf_printf(text, "leeward_health_" #name "_total %" PRIu64 "\n", counters.name);
    HEALTH_COUNTERS(X)
#undef X
    put_gauge(text, "health_loop_lag_seconds", "how late the health loop ran at worst since asked",
              (double)health_loop_lag_us(daemon->health) / 1e6);
}

static void put_transfers(struct buf *text, const struct daemon *daemon)
{
    struct transfer_counters counters;
    transfer_counters(daemon->transfer, &counters);
#define X(name, help)                                                                              \
    put_head(text, "transfer_" #name "_total", "counter", help);                                   \
    buf_printf(text, "leeward_transfer_" #name "_total %" PRIu64 "\n", counters.name);
    TRANSFER_COUNTERS(X)
#undef X
}

static void put_node(struct buf *text, struct daemon *daemon)
{
    struct compiler_delay delay = compiler_delay(daemon->compiler);
    int64_t revision = 0;
    struct err err = ERR_INIT;
    put_head(text, "build_info", "gauge", "1, with the version as a label");
    buf_puts(text, "leeward_build_info{version=\"" LEEWARD_VERSION "\"} 1\n");
    put_gauge(text, "uptime_seconds", "since the daemon started",
              (double)mono_since(mono_now(), daemon->started) / 1e9);
    if (store_revision(daemon->copy, &revision, &err) == 0) { /* else it is missing: that tells */
        put_gauge(text, "store_revision", "newest revision of the store", (double)revision);
    }
    put_gauge(text, "dns_revision", "store revision that DNS serves, of changes that concern it",
              (double)feed_applied_revision(daemon->feed));
    put_gauge(text, "dns_snapshot_age_seconds", "since records were published last",
              (double)mono_since(mono_now(), compiler_published(daemon->compiler)) / 1e9);
    put_head(text, "dns_answers_flipped_total", "counter", "answers chosen anew because of health");
    buf_printf(text, "leeward_dns_answers_flipped_total %" PRIu64 "\n", delay.flips);
    put_gauge(text, "dns_last_flip_seconds", "from the last change of health to its answers",
              (double)delay.last_us / 1e6);
    put_gauge(text, "dns_worst_flip_seconds", "the longest of these", (double)delay.worst_us / 1e6);
}

static void put_replica(struct buf *text, const struct daemon *daemon)
{
    struct replica_status status;
    if (daemon->replica == NULL) {
        return;
    }
    replica_status(daemon->replica, &status);
    if (status.heard.ns != 0) {
        put_gauge(text, "replica_age_seconds", "since the store was heard last",
                  (double)(wall_now().ns - status.heard.ns) / 1e9);
    }
    put_gauge(text, "replica_in_step", "1 when the replica follows the store and misses nothing",
              status.in_step ? 1 : 0);
    put_gauge(text, "replica_revision", "revision of the store that the replica holds",
              (double)status.revision);
#define X(name, help)                                                                              \
    put_head(text, "replica_" #name "_total", "counter", help);                                    \
    buf_printf(text, "leeward_replica_" #name "_total %" PRIu64 "\n", status.counters.name);
    REPLICA_COUNTERS(X)
#undef X
}

static void render(struct daemon *daemon, struct buf *text)
{
    struct dns_counters counters;
    const char *last = NULL;
    put_node(text, daemon);
    dns_server_counters(daemon->dns, &counters);
#define X(name, metric, label, help) put_counter(text, &last, metric, label, help, counters.name);
    DNS_COUNTERS(X)
#undef X
    put_vectors(text, &counters);
    put_workers(text, daemon->dns);
    put_latency(text, &counters);
    put_head(text, "dns_zone_queries_total", "counter", "queries answered from a zone");
    struct zones_page page = {daemon, text};
    compiler_run(daemon->compiler, zones_work, &page);
    put_transfers(text, daemon);
    put_health(text, daemon);
    cluster_render(daemon, text);
    put_replica(text, daemon);
    database_metrics_render(daemon->copy, text);
}

static void answer(void *context, const struct page_request *request, struct page *page)
{
    if (text_equal(request->path, "/metrics")) {
        page->type = "text/plain; version=0.0.4; charset=utf-8";
        render(context, &page->text);
    } else {
        page->status = PAGE_NOT_FOUND;
        buf_puts(&page->text, "the page is /metrics\n");
    }
}

const struct page_settings exposition_page = {.name = "metrics",
                                              .methods = "GET, HEAD",
                                              .connections = 16,
                                              .connections_per_source = 8,
                                              .idle_s = 10,
                                              .memory = (size_t)16 << 10U,
                                              .limit = (size_t)16 << 20U,
                                              .answer = answer};
