/* What grows, and is bounded: see bounds.h. Logs. Invariant: a loss record that names a folder
 * names one that is there; so the record is changed first, and a folder that no record names any
 * more goes by the next sweep at the latest. */
#include "database/agent/bounds.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "database/agent/internal.h"
#include "database/postgres/postgres.h"
#include "model/database.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDERS_MOST 256U /* of a server; more wait for the next sweep */
#define LOSSES_PAGE 500U

struct loss {
    const char *key;
    int64_t revision;
    struct model_stored stored;
    struct model_database_loss record;
};

struct losses {
    struct loss *list; /* those that name a folder */
    size_t count;
    size_t size;
};

struct folder {
    const char *path;
    struct wall made;
};

/* ---- what the records say ---- */

static void take(struct arena *arena, const struct store_entry *entry, struct losses *losses)
{
    struct loss loss = {.key = arena_strdup(arena, entry->key),
                        .revision = entry->changed_revision,
                        .stored = {.value = entry->value, .size = entry->size}};
    struct err err = ERR_INIT;
    if (model_database_loss_decode(entry->value, entry->size, arena, &loss.record, &err) != 0 ||
        text_empty(loss.record.aside)) {
        return;
    }
    if (losses->count == losses->size) {
        size_t size = MAX(losses->size * 2, 16U);
        struct loss *list = arena_array(arena, size, sizeof *list);
        for (size_t i = 0; i < losses->count; i++) {
            list[i] = losses->list[i];
        }
        losses->list = list;
        losses->size = size;
    }
    losses->list[losses->count++] = loss;
}

static int read_losses(const struct database_agent *agent, struct arena *arena,
                       struct losses *losses, struct err *err)
{
    const char *after = NULL;
    struct store_list page = {.count = 0};
    do {
        int rc = store_range(agent->config.store, PATH_DATABASE_LOSSES, after, LOSSES_PAGE, arena,
                             &page, err);
        if (rc != 0) {
            return rc;
        }
        for (size_t i = 0; i < page.count; i++) {
            take(arena, &page.entries[i], losses);
        }
        after = page.count != 0 ? page.entries[page.count - 1].key : NULL;
    } while (page.count == LOSSES_PAGE);
    return 0;
}

static const struct loss *loss_of(const struct losses *losses, const char *path)
{
    for (size_t i = 0; i < losses->count; i++) {
        if (text_equal(losses->list[i].record.aside, path)) {
            return &losses->list[i];
        }
    }
    return NULL;
}

/* It says that nothing is kept any more; false: it could not be changed. */
static bool release(const struct database_agent *agent, struct arena *arena,
                    const struct loss *loss)
{
    struct err err = ERR_INIT;
    struct model_database_loss record = loss->record;
    int64_t revision = 0;
    record.aside = "";
    const char *value = model_database_loss_encode(arena, &record, &loss->stored);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    store_txn_require_revision(txn, loss->key, loss->revision);
    store_txn_put(txn, loss->key, value, strlen(value));
    return store_commit(agent->config.store, txn, &revision, &err) == 0;
}

/* ---- folders ---- */

static void remove_folder(const struct database_agent *agent, struct arena *arena,
                          const struct folder *folder, const struct loss *loss, const char *why)
{
    const struct postgres kept = {.directory = folder->path, .binaries = agent->binaries};
    struct err err = ERR_INIT;
    if (loss != NULL && !release(agent, arena, loss)) {
        return; /* an hour later */
    }
    if (postgres_remove(&kept, true, &err) != 0) {
        log_warn("database.aside_not_removed", F("folder", folder->path), F("reason", &err),
                 F("next", "tried again in an hour"));
        return;
    }
    log_info("database.aside_removed", F("folder", folder->path), F("why", why),
             F("transactions", loss != NULL ? loss->record.transactions : 0));
}

static int newest_first(const void *a, const void *b)
{
    const struct folder *x = a;
    const struct folder *y = b;
    return x->made.ns == y->made.ns ? strcmp(x->path, y->path) : x->made.ns < y->made.ns ? 1 : -1;
}

static size_t list_folders(struct arena *arena, const char *aside,
                           struct folder folders[FOLDERS_MOST])
{
    size_t count = 0;
    DIR *directory = opendir(aside);
    struct dirent *entry = NULL;
    while (directory != NULL && count < FOLDERS_MOST &&
           (entry = readdir(directory)) != NULL) { /* NOLINT(concurrency-mt-unsafe): our own */
        struct stat status;
        const char *path = arena_printf(arena, "%s/%s", aside, entry->d_name);
        if (entry->d_name[0] != '.' && lstat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
            folders[count++] =
                (struct folder){.path = path, .made = {.ns = status.st_mtim.tv_sec * TIME_S}};
        }
    }
    if (directory != NULL) {
        (void)closedir(directory); /* only read */
    }
    qsort(folders, count, sizeof folders[0], newest_first);
    return count;
}

struct sweep {
    struct losses losses;
    struct wall now;
};

static void sweep_server(const struct database_agent *agent, const char *member, void *context)
{
    const struct sweep *sweep = context;
    struct arena arena CLEANUP(arena_done);
    struct folder folders[FOLDERS_MOST];
    arena_init(&arena, 0);
    const char *aside = arena_printf(&arena, "%s/%s/aside", agent->config.directory, member);
    size_t count = list_folders(&arena, aside, folders);
    int64_t oldest = sweep->now.ns - agent->config.aside_days * INT64_C(86400) * TIME_S;
    for (size_t i = 0; i < count; i++) {
        const struct loss *loss = loss_of(&sweep->losses, folders[i].path);
        /* one that is being made has no name yet that a record could have */
        bool begun = text_ends(folders[i].path, ".new");
        bool needed =
            begun || (loss != NULL && (loss->record.transactions != 0 || !loss->record.exact));
        bool many = (int64_t)i >= agent->config.aside_count;
        if (folders[i].made.ns < oldest) {
            remove_folder(agent, &arena, &folders[i], loss, "it is older than database.aside-days");
        } else if (many && !needed) {
            remove_folder(agent, &arena, &folders[i], loss,
                          "nothing was lost with it, and there are more than database.aside-count");
        }
    }
}

/* Of our own servers, and of those whose records are gone. */
static void for_each_server(const struct database_agent *agent,
                            void (*deed)(const struct database_agent *agent, const char *member,
                                         void *context),
                            void *context)
{
    DIR *directory = opendir(agent->config.directory);
    struct dirent *entry = NULL;
    while (directory != NULL &&
           (entry = readdir(directory)) != NULL) { /* NOLINT(concurrency-mt-unsafe): our own */
        if (entry->d_name[0] != '.' && !text_equal(entry->d_name, "snapshots")) {
            deed(agent, entry->d_name, context);
        }
    }
    if (directory != NULL) {
        (void)closedir(directory); /* only read */
    }
}

void bounds_sweep_aside(const struct database_agent *agent, struct wall now)
{
    struct arena arena CLEANUP(arena_done);
    struct sweep sweep = {.now = now};
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    if (read_losses(agent, &arena, &sweep.losses, &err) == 0) { /* else an hour later */
        for_each_server(agent, sweep_server, &sweep);
    }
}

/* ---- logs ---- */

static void turn_log(const struct database_agent *agent, const char *member, void *context)
{
    struct err err = ERR_INIT;
    bool turned = false;
    char *directory CLEANUP(memory_cleanup) =
        memory_printf("%s/%s", agent->config.directory, member);
    const struct postgres server = {.directory = directory};
    (void)context;
    if (postgres_turn_log(&server, &turned, &err) != 0) {
        log_warn("database.log_not_turned_over", F("member", member), F("reason", &err),
                 F("next", "tried again in a minute"));
    } else if (turned) {
        log_warn("database.log_turned_over", F("member", member),
                 F("why", "the server says very much: see log/postgres.log.1 in its folder"));
    }
}

void bounds_turn_logs(const struct database_agent *agent)
{
    for_each_server(agent, turn_log, NULL);
}
