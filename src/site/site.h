/* Sites: what makes several leewardd one cluster. Members are records in the store that all sites
 * share; the cluster's CA signs a certificate for each; who is to join brings a token that one of
 * them made, which works once and for a while.
 *
 * Files of a member, in the folder site/ of the daemon's data: ca.crt, site.crt, site.key (mode
 * 0600). The CA's key is in the store, sealed. Thread: any, where nothing else is said. */
#ifndef SITE_SITE_H
#define SITE_SITE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"
#include "model/ballot.h"
#include "seal/seal.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How long a token works. */
#define SITE_TOKEN_S_DEFAULT 3600
#define SITE_TOKEN_S_LIMIT 604800
/* Text of a token, with its NUL. */
#define SITE_TOKEN_LIMIT 512U
/* Hexadecimal digits of a SHA-256, with the NUL. */
#define SITE_FINGERPRINT 65U
#define SITE_LEASE_MS 10000

/* a-z, 0-9 and '-', at most 63, none of them '-' at an end: it becomes a name in a certificate. */
bool site_name_is_valid(const char *name) PURE;

/* ---- members ---- */

/* {"v":1,"Name","Regions":[..],"Api","Dns":[..],"Peer","Fingerprint","Joined"} */
struct site_member {
    const char *name;
    const char **regions;
    size_t region_count;
    const char *api;  /* URL or address of its API; "" before its daemon said so */
    const char **dns; /* addresses where it answers */
    size_t dns_count;
    const char *peer;        /* ADDR:PORT where it listens for other sites */
    const char *fingerprint; /* of its certificate */
    struct wall joined;
};

int site_member_decode(const void *value, size_t size, struct arena *arena,
                       struct site_member *ret_member, struct err *err) MUST_CHECK;
/* All that are readable, by name. */
int site_members(struct store *store, struct arena *arena, struct site_member **ret_members,
                 size_t *ret_count, struct err *err) MUST_CHECK;

/* {"v":1,"Node","Version","Started"} of site/live/<name> */
struct site_live {
    const char *node;
    const char *version;
    struct wall started;
};

/* -ENOENT: its daemon does not run, or its lease ran out. */
int site_live_get(struct store *store, const char *name, struct arena *arena,
                  struct site_live *ret_live, struct err *err) MUST_CHECK;

/* ---- the files ---- */

/* PEM texts. */
struct site_identity {
    const char *certificate;
    const char *key;
    const char *ca;
};

/* ERR_NOT_FOUND: this daemon belongs to no cluster. What a start that was cut off left is put
 * right, if the store has the member. */
int site_identity_load(const char *folder, struct store *store, const char *name,
                       struct arena *arena, struct site_identity *ret_identity, struct err *err)
    MUST_CHECK;
/* Members that a join brought (members.json) come into a store that does not have them, once. */
int site_import_members(const char *folder, struct store *store, struct err *err) MUST_CHECK;

/* ---- the cluster ---- */

/* What a daemon says of itself. Borrowed. */
struct site_self {
    const char *name;
    const char *node;
    const char *version;
    const char *const *regions;
    size_t region_count;
    const char *api;
    const char *const *dns;
    size_t dns_count;
    const char *peer; /* where others reach it */
};

/* Makes the CA, and this site its first member. ERR_EXISTS when there is a cluster already. */
int site_init(struct store *store, const struct seal *seal, const char *folder,
              const struct site_self *self, struct err *err) MUST_CHECK;
/* A new token, to be brought to `address` (this site's, where others reach it). */
int site_make_token(struct store *store, const char *address, int64_t seconds, struct wall now,
                    char ret_token[SITE_TOKEN_LIMIT], struct wall *ret_expires, struct err *err)
    MUST_CHECK;
/* The answer to what site_join asks: certificate, CA, seal keys and members, or why not. answer
 * keeps what it holds secret. Whether it joined. */
bool site_answer_join(struct store *store, const struct seal *seal, const char *request,
                      struct wall now, struct buf *answer);
/* The site is a member no more: nobody talks with it, its vote is not counted. ERR_NOT_FOUND. */
int site_remove(struct store *store, const char *name, struct err *err) MUST_CHECK;

/* ---- joining: on the new machine, before its daemon runs ---- */

/* Asks the member that the token names, whose CA the token pins, and writes the files into folder
 * (which is made when it is not there) and the seal keys into seal_file. Blocks, some seconds at
 * most. ERR_DENIED with the member's reason. */
int site_join(const char *folder, const char *seal_file, const char *token, const char *name,
              const char *peer_address, struct err *err) MUST_CHECK;

/* ---- following ---- */

struct site;

struct site_config {
    struct store *truth;     /* where this site says that it lives */
    struct store *replica;   /* where members are read */
    struct site_self self;   /* copied */
    const char *certificate; /* this site's, in PEM; its record names it. Borrowed for the start */
    /* On the thread of the site: the members, at first and whenever they change. removed: this site
     * is none of them (any more), or another machine has its name by now. */
    void (*changed)(void *context, const struct site_member *members, size_t count, bool removed);
    void *context;
};

/* Starts a thread that keeps the member's own record true and site/live/<name> alive, and follows
 * the members. It goes on while a store fails. A site that was removed writes nothing, says so
 * once, and is a member again if its record comes back. */
int site_start(const struct site_config *config, struct site **ret_site, struct err *err)
    MUST_CHECK;
/* NULL is fine. */
void site_stop(struct site *take_site);

#endif
