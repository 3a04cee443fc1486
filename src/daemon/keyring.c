/* Access keys at hand: see keyring.h. Called on API threads. The mutex guards all but store and
 * seal. Invariant: every key that is held was read after the last change among the keys that the
 * watch has told of. */
#include "daemon/keyring.h"

#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "daemon/credentials.h"
#include "model/path.h"

#include <stdlib.h>

#define KEYS 16U
#define ID_TEXT 129U /* of those that are held; longer ones are looked up each time */

struct held {
    char id[ID_TEXT];
    struct aws_credential credential;
};

struct keyring {
    struct store *store;
    const struct seal *seal;
    pthread_mutex_t mutex;
    struct store_watch *watch; /* NULL: nothing may be held */
    uint64_t changes;          /* how often all was forgotten */
    struct held held[KEYS];
    size_t next; /* to be replaced */
};

struct keyring *keyring_new(struct store *store, const struct seal *seal)
{
    struct keyring *keyring = memory_new(sizeof *keyring);
    keyring->store = store;
    keyring->seal = seal;
    (void)pthread_mutex_init(&keyring->mutex, NULL); /* cannot fail on Linux */
    return keyring;
}

static void forget(struct keyring *keyring)
{
    keyring->changes++;
    for (size_t i = 0; i < KEYS; i++) {
        secret_wipe(&keyring->held[i].credential.secret);
        keyring->held[i].id[0] = '\0';
    }
}

void keyring_free(struct keyring *take_keyring)
{
    if (take_keyring != NULL) {
        forget(take_keyring);
        store_watch_close(take_keyring->watch);
        (void)pthread_mutex_destroy(&take_keyring->mutex); /* nobody uses it any more */
        free(take_keyring);
    }
}

static int open_watch(struct keyring *keyring, struct err *err)
{
    int64_t revision = 0;
    int rc = store_revision(keyring->store, &revision, err);
    return rc != 0
               ? rc
               : store_watch_open(keyring->store, PATH_ACCESS_KEYS, revision, &keyring->watch, err);
}

/* Takes note of what changed. Without a watch nothing is held, which costs time and no more. */
static void look(struct keyring *keyring)
{
    struct store_batch batch;
    struct err err = ERR_INIT;
    int rc = keyring->watch != NULL ? 0 : open_watch(keyring, &err);
    while (rc == 0) {
        rc = store_watch_next(keyring->watch, 0, &batch, &err);
        if (rc == 0 && batch.count != 0) {
            forget(keyring);
        }
    }
    if (err.kind != ERR_TIMEOUT) {
        forget(keyring);
        store_watch_close(keyring->watch);
        keyring->watch = NULL;
    }
}

static const struct held *find(const struct keyring *keyring, const char *id)
{
    for (size_t i = 0; i < KEYS; i++) {
        if (text_equal(keyring->held[i].id, id)) {
            return &keyring->held[i];
        }
    }
    return NULL;
}

/* changes: as it was before the key was read. */
static void hold(struct keyring *keyring, uint64_t changes, const char *id,
                 const struct aws_credential *credential)
{
    thread_lock(&keyring->mutex);
    struct held *place = &keyring->held[keyring->next % KEYS];
    if (keyring->watch != NULL && keyring->changes == changes && find(keyring, id) == NULL) {
        secret_wipe(&place->credential.secret);
        if (text_copy(place->id, sizeof place->id, id) == 0) {
            place->credential = *credential;
            keyring->next++;
        }
    }
    thread_unlock(&keyring->mutex);
}

int keyring_lookup(struct keyring *keyring, const char *access_key_id,
                   struct aws_credential *ret_credential, struct err *err)
{
    thread_lock(&keyring->mutex);
    look(keyring);
    uint64_t changes = keyring->changes;
    const struct held *held = access_key_id[0] != '\0' ? find(keyring, access_key_id) : NULL;
    if (held != NULL) {
        *ret_credential = held->credential;
    }
    thread_unlock(&keyring->mutex);
    if (held != NULL) {
        return 0;
    }
    int rc = credentials_lookup(keyring->store, keyring->seal, access_key_id, ret_credential, err);
    if (rc == 0) {
        hold(keyring, changes, access_key_id, ret_credential);
    }
    return rc;
}
