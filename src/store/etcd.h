/* The etcd store: the truth that several sites share, through the JSON gateway of etcd 3.4 or newer
 * (https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/). docs/sites.md says which flags etcd
 * needs for store.h's limits. */
#ifndef STORE_ETCD_H
#define STORE_ETCD_H

#include "store/store.h"

#define STORE_ETCD_ENDPOINTS 9U
#define STORE_ETCD_PREFIX "leeward/"
#define STORE_ETCD_TIMEOUT_MS 3000

/* Borrowed for the call. NULL or 0: the default, or none. */
struct store_etcd_config {
    /* "http://HOST:PORT" or "https://...", the preferred first: calls go to the first that works,
     * and come back to it when it works again. */
    const char *const *endpoints;
    size_t endpoint_count;        /* 1 to STORE_ETCD_ENDPOINTS */
    const char *prefix;           /* of every key; ends in '/' */
    const char *ca_file;          /* PEM; verifies the members. https only */
    const char *certificate_file; /* PEM; what members that want one get to see */
    const char *key_file;
    const char *user; /* etcd's password authentication */
    const char *password;
    int timeout_ms; /* longest a call takes; a commit without an answer by then has an unknown end
                     */
};

/* Asks nothing of etcd yet: a daemon starts while all members are down. ERR_INVALID names what is
 * wrong with the configuration. */
int store_etcd_open(const struct store_etcd_config *config, struct store **ret_store,
                    struct err *err) MUST_CHECK;

#endif
