/* This daemon as a site: see cluster.h. What crosses between the rooms: tables of ballots from
 * health to peer (cast) and back (heard), members from site to both, requests to join from peer to
 * site. Each comes on the thread of the room that says it, and none waits. */
#include "daemon/cluster.h"

#include "base/address.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "daemon/daemon.h"
#include "model/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HEAR_MS 500
#define HEAR_MORE_MS 100 /* after more than half of the sites */
#define HEAR_STEP_MS 5

static void lock(struct cluster *cluster)
{
    (void)pthread_mutex_lock(&cluster->mutex); /* a plain mutex: cannot fail */
}

static void unlock(struct cluster *cluster)
{
    (void)pthread_mutex_unlock(&cluster->mutex); /* as above */
}

/* ---- between the rooms ---- */

/* The daemon is the context of health; on its loop. */
static void cast(void *context, struct model_ballots *take_ballots)
{
    struct daemon *daemon = context;
    lock(&daemon->cluster);
    if (daemon->cluster.peer != NULL) {
        peer_cast(daemon->cluster.peer, take_ballots);
        take_ballots = NULL;
    }
    unlock(&daemon->cluster);
    free(take_ballots);
}

static void heard(void *context, const char *site, struct model_ballots *take_ballots)
{
    struct daemon *daemon = context;
    health_hear(daemon->health, site, take_ballots);
}

static bool is_removed(struct cluster *cluster)
{
    lock(cluster);
    bool removed = cluster->removed;
    unlock(cluster);
    return removed;
}

static void join(void *context, const char *request, struct buf *answer)
{
    struct daemon *daemon = context;
    if (is_removed(&daemon->cluster)) {
        buf_puts(answer, "{\"v\":1,\"Error\":\"this site was removed from the cluster\"}");
        return;
    }
    bool joined = site_answer_join(daemon->store, daemon->seal, request, wall_now(), answer);
    log_info("site.join_asked", F("joined", joined));
}

/* False: nobody can be reached at what the record says. */
static bool to_peer(const struct site_member *member, struct peer_member *ret_member)
{
    struct peer_member fresh = {.name = ""};
    struct err err = ERR_INIT;
    if (text_copy(fresh.name, sizeof fresh.name, member->name) != 0 ||
        text_unhex(member->fingerprint, fresh.fingerprint, sizeof fresh.fingerprint) != 0 ||
        config_parse_address(member->peer, &fresh.address, &err) != 0) {
        log_warn("site.no_address", F("site", member->name), F("address", member->peer),
                 F("next", "it counts as a site that is not heard"));
        return false;
    }
    *ret_member = fresh;
    return true;
}

/* On the thread of the site. One that was removed talks with nobody: as it still knows that there
 * are others, and hears none of them, its verdicts stay as they are. */
static void changed(void *context, const struct site_member *members, size_t count, bool removed)
{
    struct daemon *daemon = context;
    const char *names[MODEL_SITES_LIMIT];
    struct peer_member peers[MODEL_SITES_LIMIT];
    size_t reachable = 0;
    size_t known = MIN(count, (size_t)MODEL_SITES_LIMIT);
    for (size_t i = 0; i < known; i++) {
        names[i] = members[i].name;
        reachable += !removed && to_peer(&members[i], &peers[reachable]) ? 1 : 0;
    }
    health_set_sites(daemon->health, names, known);
    lock(&daemon->cluster);
    daemon->cluster.removed = removed;
    if (daemon->cluster.peer != NULL) {
        peer_set_members(daemon->cluster.peer, peers, reachable);
    }
    unlock(&daemon->cluster);
    log_info("site.members", F("sites", count), F("member", !removed));
}

/* ---- life ---- */

void cluster_init(struct cluster *cluster)
{
    cluster->listener = -1;
    arena_init(&cluster->arena, 0);
    (void)pthread_mutex_init(&cluster->mutex, NULL);    /* cannot fail on Linux */
    (void)pthread_mutex_init(&cluster->starting, NULL); /* as above */
}

int cluster_open(struct daemon *daemon, struct err *err)
{
    const char *text = daemon->config->peer_address;
    struct sockaddr_storage address;
    if (text[0] == '\0') {
        return 0;
    }
    int rc = config_parse_address(text, &address, err);
    rc = rc != 0 ? rc
                 : peer_listen(&address, &daemon->cluster.listener, &daemon->cluster.address, err);
    return rc == 0 ? 0 : err_wrap(err, "peer.address %s", text);
}

const struct sockaddr_storage *cluster_address(const struct daemon *daemon)
{
    return daemon->config->peer_address[0] != '\0' ? &daemon->cluster.address : NULL;
}

int cluster_prepare(struct daemon *daemon, struct health_config *health, struct err *err)
{
    struct arena *arena = &daemon->cluster.arena;
    struct site_member *members = NULL;
    size_t count = 0;
    if (daemon->config->site[0] == '\0') {
        return 0;
    }
    int rc = site_import_members(daemon->config->data, daemon->store, err);
    rc = rc != 0 && copies_excuse(daemon, "telling of the sites in the folder", err) ? 0 : rc;
    rc = rc != 0 ? rc : site_members(daemon->copy, arena, &members, &count, err);
    if (rc != 0) {
        return err_wrap(err, "reading the sites");
    }
    const char **names = arena_array(arena, count + 1, sizeof *names);
    for (size_t i = 0; i < count; i++) {
        names[i] = members[i].name;
    }
    health->cast = cast;
    health->site = daemon->config->site;
    health->sites = names;
    health->site_count = count;
    return 0;
}

static const char *scheme_of(const struct daemon *daemon)
{
    return daemon->config->api_certificate[0] != '\0' ? "https" : "http";
}

/* Where other machines reach the API that listens at `address`: on a wildcard, at the host that the
 * peer has; on loopback only if the peer is there too. "" where that cannot be told. */
static const char *reached_api(const struct daemon *daemon, const char *scheme, const char *peer,
                               struct arena *arena)
{
    struct sockaddr_storage address = *aws_server_address(daemon->api);
    struct sockaddr_storage host = {0};
    struct err ignored = ERR_INIT; /* a peer's address that says nothing */
    char text[ADDRESS_PORT_TEXT];
    bool known = config_parse_address(peer, &host, &ignored) == 0;
    bool loopback = config_address_is_loopback(&address);
    if (known && config_address_is_any(&address)) {
        if (address.ss_family == AF_INET && host.ss_family != AF_INET) {
            return ""; /* the other way round, [::] takes both */
        }
        config_take_port(&host, &address);
        address = host;
    } else if (known && loopback && !config_address_is_loopback(&host)) {
        return "";
    }
    address_port_text(&address, text);
    return arena_printf(arena, "%s://%s", scheme, text);
}

/* What this daemon says of itself; texts live in the arena. */
static struct site_self self_of(const struct daemon *daemon, struct arena *arena)
{
    const struct config *config = daemon->config;
    char peer[ADDRESS_PORT_TEXT] = "";
    if (cluster_address(daemon) != NULL) {
        address_port_text(&daemon->cluster.address, peer);
    }
    const char **dns = arena_array(arena, config->dns_addresses.count + 1, sizeof *dns);
    for (size_t i = 0; i < config->dns_addresses.count; i++) {
        char text[ADDRESS_PORT_TEXT];
        address_port_text(dns_server_address(daemon->dns, i), text);
        dns[i] = arena_strdup(arena, text);
    }
    const char *reached =
        config->peer_advertise[0] != '\0' ? config->peer_advertise : arena_strdup(arena, peer);
    return (struct site_self){
        .name = config->site,
        .node = daemon->node,
        .version = LEEWARD_VERSION,
        .regions = config->regions.items,
        .region_count = config->regions.count,
        .api = config->api_advertise[0] != '\0'
                   ? config->api_advertise
                   : reached_api(daemon, scheme_of(daemon), reached, arena),
        .dns = dns,
        .dns_count = config->dns_addresses.count,
        .peer = reached,
    };
}

static int start_peer(struct daemon *daemon, const struct site_identity *identity, struct err *err)
{
    struct cluster *cluster = &daemon->cluster;
    struct peer_config config = {.site = daemon->config->site,
                                 .certificate_pem = identity->certificate,
                                 .key_pem = identity->key,
                                 .ca_pem = identity->ca,
                                 .listener = cluster->listener,
                                 .heard = heard,
                                 .join = join,
                                 .context = daemon};
    struct peer *peer = NULL;
    cluster->listener = -1;
    int rc = peer_start(&config, &peer, err);
    lock(cluster);
    cluster->peer = peer;
    unlock(cluster);
    return rc;
}

static int start_site(struct daemon *daemon, const struct site_identity *identity,
                      struct arena *arena, struct err *err)
{
    struct site_config config = {.truth = daemon->store,
                                 .replica = daemon->copy,
                                 .self = self_of(daemon, arena),
                                 .certificate = identity->certificate,
                                 .changed = changed,
                                 .context = daemon};
    struct site *site = NULL;
    if (config.self.api[0] == '\0') {
        log_warn("site.api_not_reachable", F("listens", daemon->config->api_address),
                 F("next", "other sites do not name it as an endpoint of routing controls; set "
                           "api.address or api.advertise"));
    }
    int rc = site_start(&config, &site, err);
    lock(&daemon->cluster);
    daemon->cluster.site = site;
    unlock(&daemon->cluster);
    return rc;
}

static int start_once(struct daemon *daemon, struct err *err)
{
    const struct config *config = daemon->config;
    struct arena arena CLEANUP(arena_done);
    struct site_identity identity;
    arena_init(&arena, 0);
    arena_keep_secret(&arena);
    if (config->site[0] == '\0' || daemon->cluster.listener < 0) {
        return 0; /* no site, or started already */
    }
    int rc = site_identity_load(config->data, daemon->store, config->site, &arena, &identity, err);
    if (rc != 0 && err->kind == ERR_NOT_FOUND) {
        log_info("site.no_cluster", F("site", config->site),
                 F("next", "`leeward site init` or `leeward site join`"));
        err_clear(err);
        return 0;
    }
    rc = rc != 0 ? rc : start_peer(daemon, &identity, err);
    return rc != 0 ? rc : start_site(daemon, &identity, &arena, err);
}

int cluster_start(struct daemon *daemon, struct err *err)
{
    (void)pthread_mutex_lock(&daemon->cluster.starting); /* a plain mutex: cannot fail */
    int rc = start_once(daemon, err);
    (void)pthread_mutex_unlock(&daemon->cluster.starting); /* as above */
    return rc;
}

/* Votes of most of the sites decide; those of the others mostly come a few milliseconds later, and
 * the tables of the first show in DNS meanwhile. */
void cluster_hear(struct daemon *daemon)
{
    struct timespec pause = {.tv_nsec = HEAR_STEP_MS * TIME_MS};
    struct mono begin = mono_now();
    int64_t limit = HEAR_MS * TIME_MS;
    struct health_votes votes;
    health_votes(daemon->health, &votes);
    bool held = votes.held;
    while (votes.sites > 1 && mono_since(mono_now(), begin) < limit) {
        (void)nanosleep(&pause, NULL); /* a shorter pause does no harm */
        health_votes(daemon->health, &votes);
        if (held && !votes.held) {
            limit = MIN(limit, mono_since(mono_now(), begin) + HEAR_MORE_MS * TIME_MS);
            held = false;
        }
    }
}

void cluster_stop(struct cluster *cluster)
{
    lock(cluster);
    struct site *site = cluster->site;
    struct peer *peer = cluster->peer;
    cluster->site = NULL;
    unlock(cluster);
    site_stop(site); /* names members to the peer until here */
    lock(cluster);
    cluster->peer = NULL;
    unlock(cluster);
    peer_stop(peer);
    if (cluster->listener >= 0) {
        (void)close(cluster->listener); /* nobody was spoken to */
        cluster->listener = -1;
    }
}

void cluster_done(struct cluster *cluster)
{
    arena_done(&cluster->arena);
    (void)pthread_mutex_destroy(&cluster->mutex); /* nobody is left */
    (void)pthread_mutex_destroy(&cluster->starting);
}

/* ---- views ---- */

struct sites_view {
    struct daemon *daemon;
    struct arena arena;
    struct peer_seen seen[MODEL_SITES_LIMIT];
    size_t seen_count;
    bool removed; /* this site */
};

static const struct peer_seen *find_seen(const struct sites_view *view, const char *name)
{
    for (size_t i = 0; i < view->seen_count; i++) {
        if (text_equal(view->seen[i].name, name)) {
            return &view->seen[i];
        }
    }
    return NULL;
}

static bool is_fresh(const struct peer_seen *seen)
{
    return seen->heard_ms >= 0 && seen->heard_ms <= MODEL_BALLOT_AGE_MS;
}

/* Whom this site hears, by what it says itself: of ours we know. */
static json_t *hears_json(const struct sites_view *view, const char *name, bool own)
{
    const struct peer_seen *seen = find_seen(view, name);
    json_t *list = json_array();
    for (size_t i = 0; i < view->seen_count; i++) {
        bool hears = own ? is_fresh(&view->seen[i])
                         : seen != NULL && is_fresh(seen) && (seen->hears >> i & 1U) != 0;
        if (hears && !text_equal(view->seen[i].name, name)) {
            (void)json_array_append_new(list, json_string(view->seen[i].name)); /* as absent */
        }
    }
    if (!own && seen != NULL && is_fresh(seen) && seen->hears_us) {
        (void)json_array_append_new(list, json_string(view->daemon->config->site)); /* as above */
    }
    return list;
}

static json_t *texts_json(const char *const *texts, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(list, json_string(texts[i])); /* shows as absent */
    }
    return list;
}

/* What its daemon says in the store; absent when it does not run, or nobody can say. */
static void add_live(struct sites_view *view, const char *name, json_t *object)
{
    struct err ignored = ERR_INIT;
    struct site_live live;
    struct store_entry entry;
    struct store *store = view->daemon->copy;
    if (site_live_get(store, name, &view->arena, &live, &ignored) != 0) {
        return;
    }
    char when[TIME_TEXT];
    wall_format(live.started, when);
    (void)json_object_set_new(object, "Version", json_string(live.version)); /* as absent */
    (void)json_object_set_new(object, "Started", json_string(when));
    const char *key =
        arena_printf(&view->arena, "%s/dns", path_join(&view->arena, PATH_NODES, live.node));
    if (store_get(store, key, &view->arena, &entry, &ignored) == 0) {
        json_t *tree = json_loadb(entry.value, entry.size, 0, NULL);
        json_t *revision = json_object_get(tree, "Revision");
        if (revision != NULL) {
            (void)json_object_set(object, "Applied", revision); /* as above */
        }
        json_decref(tree);
    }
}

static const char *state_of(const struct peer_seen *seen, bool own)
{
    if (own) {
        return "this one";
    }
    if (seen == NULL || seen->heard_ms < 0) {
        return "never heard";
    }
    return !is_fresh(seen) ? "silent" : seen->reached ? "heard" : "heard, not reached";
}

static json_t *site_json(struct sites_view *view, const struct site_member *member)
{
    bool own = !view->removed && text_equal(member->name, view->daemon->config->site);
    const struct peer_seen *seen = find_seen(view, member->name);
    json_t *object = json_pack(
        "{s:s, s:o, s:s, s:o, s:s, s:s, s:o, s:s}", "Name", member->name, "Regions",
        texts_json(member->regions, member->region_count), "ApiAddress", member->api,
        "DnsAddresses", texts_json(member->dns, member->dns_count), "PeerAddress", member->peer,
        "State", state_of(seen, own), "Hears", hears_json(view, member->name, own), "Problem",
        seen != NULL ? seen->problem : "");
    if (object == NULL) {
        return NULL;
    }
    if (!own && seen != NULL && seen->heard_ms >= 0) {
        /* Out of memory shows as absent. */
        (void)json_object_set_new(object, "HeardMilliseconds", json_integer(seen->heard_ms));
        (void)json_object_set_new(object, "ClockMilliseconds", json_integer(seen->clock_ms));
        (void)json_object_set_new(object, "Checks", json_integer((json_int_t)seen->checks));
    }
    add_live(view, member->name, object);
    return object;
}

static void look(struct daemon *daemon, struct sites_view *view)
{
    lock(&daemon->cluster);
    view->seen_count =
        daemon->cluster.peer != NULL ? peer_look(daemon->cluster.peer, view->seen) : 0;
    view->removed = daemon->cluster.removed;
    unlock(&daemon->cluster);
}

static void done_view(struct sites_view *view)
{
    arena_done(&view->arena);
}

int cluster_view_sites(void *context, json_t **ret_sites, struct err *err)
{
    struct daemon *daemon = context;
    struct sites_view view CLEANUP(done_view) = {.daemon = daemon};
    struct site_member *members = NULL;
    struct health_votes votes;
    size_t count = 0;
    arena_init(&view.arena, 0);
    look(daemon, &view);
    int rc = site_members(daemon->copy, &view.arena, &members, &count, err);
    if (rc != 0) {
        return rc;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(list, site_json(&view, &members[i])); /* as set_time */
    }
    health_votes(daemon->health, &votes);
    json_t *sites = json_pack("{s:o, s:I, s:I, s:b, s:b}", "Sites", list, "KnownSites",
                              (json_int_t)MAX(votes.sites, (size_t)1), "HeardSites",
                              (json_int_t)MAX(votes.fresh, (size_t)1), "VotesHeld", votes.held,
                              "Removed", view.removed);
    if (sites == NULL) {
        return err_set(err, ERR_MEMORY, "describing the sites");
    }
    *ret_sites = sites;
    return 0;
}

/* Where a cluster's routing controls are changed: at each site, whether it runs or not. One whose
 * API others cannot reach is left out, but for this one, as who asks has reached it. */
int cluster_view_endpoints(void *context, json_t **ret_list, struct err *err)
{
    struct daemon *daemon = context;
    struct arena arena CLEANUP(arena_done);
    struct site_member *members = NULL;
    size_t count = 0;
    char listens[ADDRESS_PORT_TEXT];
    arena_init(&arena, 0);
    address_port_text(aws_server_address(daemon->api), listens);
    const char *own = arena_printf(&arena, "%s://%s", scheme_of(daemon), listens);
    if (daemon->config->site[0] != '\0') {
        int rc = site_members(daemon->copy, &arena, &members, &count, err);
        if (rc != 0) {
            return rc;
        }
    }
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct site_member *member = &members[i];
        bool self = text_equal(member->name, daemon->config->site);
        const char *api = self && member->api[0] == '\0' ? own : member->api;
        const char *region = self                        ? daemon->config->regions.items[0]
                             : member->region_count != 0 ? member->regions[0]
                                                         : "";
        if (api[0] != '\0' && region[0] != '\0') {
            (void)json_array_append_new(list, json_pack("{s:s, s:s}", "Endpoint", api, "Region",
                                                        region)); /* shows as absent */
        }
    }
    if (json_array_size(list) == 0) {
        (void)json_array_append_new(list, json_pack("{s:s, s:s}", "Endpoint", own, "Region",
                                                    daemon->config->regions.items[0]));
    }
    if (json_array_size(list) == 0) {
        json_decref(list);
        return err_set(err, ERR_MEMORY, "listing the API's addresses");
    }
    *ret_list = list;
    return 0;
}

/* Who may speak for the cluster. */
static int refuse_stranger(struct daemon *daemon, struct err *err)
{
    if (is_removed(&daemon->cluster)) {
        return err_set(err, ERR_INVALID,
                       "this site was removed from the cluster: ask one that is a member");
    }
    if (daemon->config->site[0] == '\0' || cluster_address(daemon) == NULL) {
        return err_set(err, ERR_INVALID,
                       "this daemon was started without --site NAME and --peer ADDR:PORT");
    }
    return 0;
}

int cluster_view_init(void *context, json_t **ret_site, struct err *err)
{
    struct daemon *daemon = context;
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    int rc = refuse_stranger(daemon, err);
    if (rc != 0) {
        return rc;
    }
    struct site_self self = self_of(daemon, &arena);
    (void)pthread_mutex_lock(&daemon->cluster.starting); /* as in cluster_start */
    rc = site_init(daemon->store, daemon->seal, daemon->config->data, &self, err);
    rc = rc != 0 ? rc : start_once(daemon, err);
    (void)pthread_mutex_unlock(&daemon->cluster.starting); /* as above */
    if (rc != 0) {
        return rc;
    }
    *ret_site = json_pack("{s:s, s:s}", "Name", self.name, "PeerAddress", self.peer);
    return *ret_site != NULL ? 0 : err_set(err, ERR_MEMORY, "describing the site");
}

int cluster_view_token(void *context, int64_t seconds, json_t **ret_token, struct err *err)
{
    struct daemon *daemon = context;
    struct arena arena CLEANUP(arena_done);
    char token[SITE_TOKEN_LIMIT];
    char when[TIME_TEXT];
    struct wall expires;
    arena_init(&arena, 0);
    int rc = refuse_stranger(daemon, err);
    rc = rc != 0 ? rc
                 : site_make_token(daemon->store, self_of(daemon, &arena).peer, seconds, wall_now(),
                                   token, &expires, err);
    if (rc != 0) {
        return rc;
    }
    wall_format(expires, when);
    *ret_token = json_pack("{s:s, s:s}", "Token", token, "Expires", when);
    return *ret_token != NULL ? 0 : err_set(err, ERR_MEMORY, "describing the token");
}

int cluster_view_remove(void *context, const char *name, struct err *err)
{
    struct daemon *daemon = context;
    return is_removed(&daemon->cluster) ? refuse_stranger(daemon, err)
                                        : site_remove(daemon->store, name, err);
}

/* ---- metrics ---- */

static void gauge(struct buf *text, const char *metric, const char *help, unsigned long long value)
{
    buf_printf(text, "# HELP leeward_%s %s\n# TYPE leeward_%s gauge\nleeward_%s %llu\n", metric,
               help, metric, metric, value);
}

static void render_seen(const struct sites_view *view, struct buf *text)
{
    buf_puts(text, "# HELP leeward_site_heard_seconds since the newest table of a site was made\n"
                   "# TYPE leeward_site_heard_seconds gauge\n");
    for (size_t i = 0; i < view->seen_count; i++) {
        if (view->seen[i].heard_ms >= 0) {
            buf_printf(text, "leeward_site_heard_seconds{site=\"%s\"} %.3f\n", view->seen[i].name,
                       (double)view->seen[i].heard_ms / 1e3);
        }
    }
    buf_puts(text, "# HELP leeward_site_reached whether the connection to a site stands\n"
                   "# TYPE leeward_site_reached gauge\n");
    for (size_t i = 0; i < view->seen_count; i++) {
        buf_printf(text, "leeward_site_reached{site=\"%s\"} %d\n", view->seen[i].name,
                   view->seen[i].reached ? 1 : 0);
    }
}

void cluster_render(struct daemon *daemon, struct buf *text)
{
    struct sites_view view CLEANUP(done_view) = {.daemon = daemon};
    struct health_votes votes;
    struct peer_counters counters = {0};
    arena_init(&view.arena, 0);
    health_votes(daemon->health, &votes);
    gauge(text, "sites_known", "members of the cluster, this site included",
          MAX(votes.sites, (size_t)1));
    gauge(text, "sites_heard", "of these, whose tables are fresh, this site included",
          MAX(votes.fresh, (size_t)1));
    gauge(text, "votes_held", "1 while too few sites are heard for a verdict to change",
          votes.held ? 1 : 0);
    look(daemon, &view);
    lock(&daemon->cluster);
    bool runs = daemon->cluster.peer != NULL;
    if (runs) {
        peer_count(daemon->cluster.peer, &counters);
    }
    unlock(&daemon->cluster);
    if (!runs) {
        return;
    }
    render_seen(&view, text);
#define X(name, help)                                                                              \
    buf_printf(text,                                                                               \
               "# HELP leeward_peer_" #name "_total " help "\n# TYPE leeward_peer_" #name          \
               "_total counter\nleeward_peer_" #name "_total %llu\n",                              \
               (unsigned long long)counters.name);
    PEER_COUNTERS(X)
#undef X
}
