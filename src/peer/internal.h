/* What the files of this room share: the peer, its links to other sites, its connections. Private.
 *
 * All of it is the peer thread's, but for the mailbox and what peer_look reads, which the mutex
 * guards. A link is a member with the connection that this site made to it, and the one that came
 * from it; a newer one from it takes that one's place with its first table. Ownership: links own
 * their connections; connections without a link yet (who is it?) are in the list of all incoming
 * ones. Invariant: a connection that is closed is not freed before the events of the round are
 * handled. */
#ifndef PEER_INTERNAL_H
#define PEER_INTERNAL_H

#include "peer/channel.h"
#include "peer/frame.h"
#include "peer/peer.h"

#include <pthread.h>
#include <stdatomic.h>

#define HANDSHAKE_MS 5000 /* TCP and TLS together */
#define STALL_MS 5000     /* for one frame to go out */
#define SILENCE_MS 10000  /* without a whole frame: the connection is given up */
#define RETRY_FIRST_MS 100
#define RETRY_LAST_MS 1000
#define REQUEST_MS 5000     /* for a whole request to join, after the handshake */
#define STRANGERS_LIMIT 32U /* incoming connections of whom is not known yet who they are */
#define FORMER_KEPT 4U
#define SENT_KEPT 64U

enum endpoint_kind { ENDPOINT_WAKE, ENDPOINT_LISTENER, ENDPOINT_OUTGOING, ENDPOINT_INCOMING };

/* What epoll gives back. */
struct endpoint {
    enum endpoint_kind kind;
    void *owner;
};

/* A table as bytes, shared by all connections that send it. */
struct table {
    unsigned references; /* the peer thread's */
    struct mono made;
    size_t size;
    uint8_t body[];
};

enum outgoing_state {
    OUTGOING_IDLE,
    OUTGOING_CONNECTING,
    OUTGOING_HANDSHAKE,
    OUTGOING_GREETED, /* the other side has still to say that it knows this one */
    OUTGOING_OPEN
};

/* The one byte that who is called says, once it knows who calls. */
#define WELCOME 1U

struct outgoing {
    struct endpoint endpoint;
    enum outgoing_state state;
    int fd;
    struct ssl_st *session;
    uint32_t events;      /* that epoll waits for */
    struct mono deadline; /* of the state; when idle: of the next attempt */
    int64_t retry_ms;
    bool wanted;         /* a table is to go out after the one that is going */
    struct mono opened;  /* when it opened */
    struct table *table; /* that is going; NULL: none */
    uint8_t header[FRAME_HEADER];
    size_t at; /* in header and table */
};

struct incoming {
    struct endpoint endpoint;
    struct incoming *next;
    int fd; /* -1: closed */
    struct ssl_st *session;
    uint32_t events;  /* that epoll waits for */
    uint64_t network; /* where it comes from: see strangers.c */
    bool open;        /* the handshake is done */
    bool asks;        /* to join */
    bool more;        /* there may be decrypted bytes that no event announces */
    bool answered;    /* its first frame made us send one at once */
    struct mono deadline;
    struct link *link; /* NULL: not known yet */
    uint8_t start[FRAME_START];
    uint8_t *frame; /* or request; NULL: not measured yet */
    size_t capacity;
    size_t header_size;
    size_t size; /* of header and body */
    size_t at;
};

struct sent_frame {
    uint64_t sequence;
    struct mono at;
};

struct link {
    struct peer *peer;
    struct peer_member member;
    uint64_t hash;
    struct outgoing outgoing;
    struct incoming *incoming;
    struct incoming *candidate; /* a newer one, before its first table */
    uint64_t sequence;          /* of the last frame to it */
    struct sent_frame sent[SENT_KEPT];
    uint64_t their_session;
    uint64_t their_sequence;
    struct mono their_last;             /* when the last frame of that session came */
    uint64_t their_former[FORMER_KEPT]; /* sessions before that one, the last one first */
    /* Guarded by the mutex, as peer_look reads them. */
    bool ever;         /* a table of it counted */
    struct mono fresh; /* when the newest one was made, at the earliest */
    size_t checks;
    int64_t clock_ms;
    struct frame_heard hears[MODEL_SITES_LIMIT];
    bool reached;
    char problem[160];
};

struct counters {
#define X(name, help) _Atomic uint64_t name;
    PEER_COUNTERS(X)
#undef X
};

struct joining;

struct peer {
    struct peer_config config; /* its texts are not used after the start */
    char site[MODEL_SITE_NAME];
    uint64_t hash;
    uint64_t session;
    struct ssl_ctx_st *tls;
    struct counters counters;
    struct joining *joining;
    pthread_t thread;
    int epoll;
    int wake; /* eventfd */
    struct endpoint wake_endpoint;
    struct endpoint listener_endpoint;
    struct link *links[MODEL_SITES_LIMIT];
    size_t link_count;
    struct incoming *incoming; /* all of them */
    bool deaf;                 /* the listener waits for descriptors */
    struct mono deaf_until;
    struct table *table; /* the newest; NULL: none was cast yet */

    pthread_mutex_t mutex;
    bool stopping;
    struct model_ballots *cast;  /* not taken yet */
    struct peer_member *members; /* not taken yet; NULL: no change */
    size_t member_count;
};

#define PEER_ADD(peer, name)                                                                       \
    ((void)atomic_fetch_add_explicit(&(peer)->counters.name, 1, memory_order_relaxed))

static inline struct mono peer_later(struct mono now, int64_t ms)
{
    return (struct mono){now.ns + ms * TIME_MS};
}

/* As peer_later, for what others are given time to do. */
static inline struct mono peer_patience(const struct peer *peer, struct mono now, int64_t ms)
{
    return (struct mono){now.ns + ms * TIME_MS / peer->config.hurry};
}

void table_unref(struct table *table); /* NULL is fine */

/* outgoing.c */
void outgoing_init(struct link *link, struct mono now);
/* The newest table goes out, at once or behind the one that is going. */
void outgoing_send(struct link *link, struct mono now);
void outgoing_event(struct link *link, uint32_t events, struct mono now);
/* What is due; the next time that something is. */
struct mono outgoing_tick(struct link *link, struct mono now);
void outgoing_close(struct link *link);

/* strangers.c: connections from their first byte to the end of the handshake. */
void strangers_accept(struct peer *peer, struct mono now);
/* What is due; the next time that something is. */
struct mono strangers_tick(struct peer *peer, struct mono now);

/* incoming.c */
void incoming_event(struct incoming *incoming, struct mono now);
struct mono incoming_tick(struct peer *peer, struct mono now);
void incoming_close(struct incoming *incoming);
/* Of somebody who is no member, or sends what is no table: closes, counts, and says so. */
void incoming_refuse(struct incoming *incoming, const char *reason);
/* Waits for these events of it. */
void incoming_watch(struct incoming *incoming, uint32_t events);
/* Frees those that are closed. */
void incoming_sweep(struct peer *peer);

/* joining.c: requests to join, which the peer thread reads, and a thread that answers them. */
int joining_start(struct peer *peer, struct joining **ret_joining, struct err *err) MUST_CHECK;
/* Peer thread: reads on; what is whole is handed over. */
void joining_read(struct incoming *incoming);
/* NULL is fine. */
void joining_stop(struct joining *take_joining);

/* Takes a connection's descriptor out of epoll. */
int peer_watch(struct peer *peer, int fd, uint32_t events, struct endpoint *endpoint, bool add);

#endif
