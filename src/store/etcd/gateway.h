/* Talking to etcd's JSON gateway: endpoints with failover, a pool of kept-alive connections, the
 * token of a password, and what an answer means. Private to this folder.
 *
 * What matters is whether a request may have had an effect: one that surely had none goes to the
 * next endpoint; of others, only requests that may be repeated do (STYLE: an unknown outcome is
 * told, never retried).
 * Thread: struct gateway from any thread; an exchange belongs to one thread at a time. */
#ifndef STORE_ETCD_GATEWAY_H
#define STORE_ETCD_GATEWAY_H

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"
#include "base/time.h"
#include "store/etcd.h"
#include "store/etcd/splitter.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include <curl/curl.h>
#include <jansson.h>

#define GATEWAY_LOGIN "/v3/auth/authenticate"

struct gateway_endpoint {
    char *url; /* without a '/' at the end */
    /* Not asked, unless all others fail too, before this time (struct mono). */
    _Atomic int64_t down_until_ns;
    _Atomic unsigned failures; /* in a row */
};

struct gateway {
    struct gateway_endpoint endpoints[STORE_ETCD_ENDPOINTS];
    size_t endpoint_count;
    char *ca_file;
    char *certificate_file;
    char *key_file;
    char *user; /* NULL: none */
    struct secret password;
    long timeout_ms;
    _Atomic int64_t seen_revision; /* the highest that any answer named */
    _Atomic uint64_t seen_cluster; /* the id that the last answer named; 0: none did */
    pthread_mutex_t idle_lock;
    struct gateway_exchange *idle; /* kept connections, the last used first */
    size_t idle_count;
    pthread_mutex_t token_lock; /* over the next two */
    char *token;                /* NULL: none yet, or none needed */
    unsigned token_number;      /* goes up with each new token */
};

/* One request and its answer. */
struct gateway_exchange {
    struct gateway_exchange *next; /* in the pool */
    struct gateway *gateway;
    CURL *easy;
    struct curl_slist *headers;
    unsigned token_number; /* that headers carry */
    size_t endpoint;
    bool once;         /* the request must not be sent twice */
    unsigned sends;    /* times the request went out */
    struct buf answer; /* without a splitter */
    struct splitter *splitter;
    int splitter_failure;
    bool (*full)(void *context); /* with a splitter: asks for a pause; may be NULL */
    void *full_context;
    char detail[CURL_ERROR_SIZE];
};

enum gateway_outcome {
    GATEWAY_ANSWERED,  /* by etcd, for good or ill: nothing to try again */
    GATEWAY_NOT_SENT,  /* nothing happened: another endpoint may do */
    GATEWAY_TRY_AGAIN, /* etcd refused, and nothing happened: in a moment it may do */
    GATEWAY_NEW_TOKEN, /* etcd refused the token, and nothing happened */
    GATEWAY_UNKNOWN    /* it may have happened, or not */
};

struct gateway_request {
    const char *path; /* "/v3/kv/txn" */
    const struct buf *body;
    bool once;                 /* not repeatable */
    struct splitter *splitter; /* borrowed; NULL: the answer is small */
    int64_t timeout_ms;        /* 0: the configured one */
};

int gateway_init(struct gateway *gateway, const struct store_etcd_config *config, struct err *err)
    MUST_CHECK;
void gateway_done(struct gateway *gateway);

/* Asks until an endpoint answers, time is up, or the outcome is unknown and the request not
 * repeatable. 0 with the parsed answer (json_decref it; with a splitter NULL). */
int gateway_call(struct gateway *gateway, const struct gateway_request *request,
                 json_t **ret_answer, struct err *err) MUST_CHECK;

/* The endpoint to ask: the first that is up and not in `tried` (a bit each), else the one that is
 * due first; SIZE_MAX when all were tried. */
size_t gateway_choose(const struct gateway *gateway, unsigned tried);
void gateway_endpoint_failed(struct gateway *gateway, size_t endpoint);
void gateway_endpoint_works(struct gateway *gateway, size_t endpoint);
/* Notes the revision and the cluster's id of an answer's header; returns the revision, 0 when there
 * is none. */
int64_t gateway_see(struct gateway *gateway, const json_t *answer);
/* Fetches a new token unless that was done since `number`. */
int gateway_renew_token(struct gateway *gateway, unsigned number, int64_t timeout_ms,
                        struct err *err) MUST_CHECK;

/* ---- exchanges, for the watch that drives curl itself ---- */

/* From the pool, or new. */
struct gateway_exchange *gateway_exchange_take(struct gateway *gateway) MUST_CHECK;
/* Back to the pool, or, with a connection that is not to be used again, freed. NULL is fine. */
void gateway_exchange_give(struct gateway_exchange *take_exchange);
void gateway_exchange_free(struct gateway_exchange *take_exchange);
/* Sets everything up; the body stays the caller's until the exchange is over. timeout_ms 0: none.
 * ERR_MEMORY when curl has none. */
int gateway_exchange_prepare(struct gateway_exchange *exchange, size_t endpoint, const char *path,
                             const struct buf *body, int64_t timeout_ms, struct err *err)
    MUST_CHECK;
/* What came of it; *ret_answer only with GATEWAY_ANSWERED and no error (NULL with a splitter). */
enum gateway_outcome gateway_exchange_result(struct gateway_exchange *exchange, CURLcode code,
                                             json_t **ret_answer, struct err *err);

/* ---- reply.c ---- */

/* What etcd means by an error text and its gRPC code. */
enum gateway_outcome gateway_reply_error(const char *text, int64_t code, struct err *err);
/* The same for a parsed answer: {"error": ...} as unary calls and streams have it; ERR_UNAVAILABLE
 * and unknown when it is none. */
enum gateway_outcome gateway_reply_failure(const json_t *answer, long status, const char *url,
                                           struct err *err);

#endif
