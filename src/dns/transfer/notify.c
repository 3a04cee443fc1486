/* Telling secondaries that a serial moved (RFC 1996): see transfer.h. One thread owns all of it but
 * the inbox, which others fill under its mutex.
 *
 *   inbox --> note (a zone, its newest serial) --> errands (one a secondary, until it answers)
 *
 * A secondary hears of a zone at once, and again at most every NOTIFY_PAUSE, always of the newest
 * serial; without an answer the message is repeated, at growing intervals, for as long as the
 * settings name that secondary. Invariant: an errand is in the list of open ones exactly while the
 * secondary has not answered for the newest serial. */
#include "base/bytes.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/snapshot.h"
#include "base/thread.h"
#include "dns/transfer/internal.h"
#include "dns/wire/rdata.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOTIFY_PAUSE (100 * TIME_MS)
#define RETRY_FIRST (500 * TIME_MS)
#define RETRY_MOST (60 * TIME_S)
#define BUCKETS 1024U
#define MESSAGE_SIZE 1400U
#define RECEIVES_A_TURN 64
#define SENDS_A_TURN 64

struct letter {
    struct letter *next;
    uint32_t serial;
    uint8_t apex[NAME_WIRE_LIMIT];
    char zone_id[];
};

struct errand {
    struct errand *next;       /* of the note */
    struct errand *open_next;  /* of the open ones; */
    struct errand **open_link; /* NULL: not open */
    struct note *note;
    struct model_transfer_target target;
    bool listed;     /* in the settings looked at last */
    bool sent;       /* something was sent that may be answered */
    uint16_t id;     /* of the newest message */
    uint32_t serial; /* that the newest message told */
    int64_t sent_ns;
    int64_t due_ns;
    int64_t retry_ns;          /* to wait for an answer next time */
    struct tsig_signer signer; /* of the newest message; key NULL: unsigned */
};

struct note {
    struct note *next; /* of its bucket */
    struct errand *errands;
    uint32_t serial;
    uint8_t apex[NAME_WIRE_LIMIT];
    char zone_id[];
};

struct notifier {
    struct transfer *transfer;
    pthread_t thread;
    bool started;
    int sockets[2]; /* IPv4, IPv6; -1: none */
    int wake_fd;
    pthread_mutex_t mutex;
    struct letter *inbox; /* newest first */
    bool settings_changed;
    bool stop;
    /* The thread's. */
    struct note *notes[BUCKETS];
    struct errand *open;
};

/* ---- the inbox ---- */

static void wake(struct notifier *notifier)
{
    uint64_t one = 1;
    /* Full means that the thread will wake anyway. */
    IGNORE_RESULT(write(notifier->wake_fd, &one, sizeof one));
}

void transfer_notify(struct transfer *transfer, const char *zone_id, const uint8_t *apex,
                     uint32_t serial)
{
    struct notifier *notifier = transfer->notifier;
    size_t size = strlen(zone_id) + 1;
    struct letter *letter = memory_new(sizeof *letter + size);
    letter->serial = serial;
    (void)memcpy(letter->apex, apex, name_length(apex));
    (void)memcpy(letter->zone_id, zone_id, size);
    (void)pthread_mutex_lock(&notifier->mutex);
    letter->next = notifier->inbox;
    notifier->inbox = letter;
    (void)pthread_mutex_unlock(&notifier->mutex);
    wake(notifier);
}

void notifier_settings_changed(struct notifier *notifier)
{
    (void)pthread_mutex_lock(&notifier->mutex);
    notifier->settings_changed = true;
    (void)pthread_mutex_unlock(&notifier->mutex);
    wake(notifier);
}

/* ---- notes and errands ---- */

static struct note *note_get(struct notifier *notifier, const char *zone_id)
{
    size_t size = strlen(zone_id) + 1;
    struct note **bucket =
        &notifier->notes[hash_bytes(hash_process_key(), zone_id, size) % BUCKETS];
    for (struct note *note = *bucket; note != NULL; note = note->next) {
        if (strcmp(note->zone_id, zone_id) == 0) {
            return note;
        }
    }
    struct note *note = memory_new(sizeof *note + size);
    (void)memcpy(note->zone_id, zone_id, size);
    note->next = *bucket;
    *bucket = note;
    return note;
}

static void errand_close(struct errand *errand)
{
    if (errand->open_link != NULL) {
        *errand->open_link = errand->open_next;
        if (errand->open_next != NULL) {
            errand->open_next->open_link = errand->open_link;
        }
        errand->open_link = NULL;
    }
    errand->sent = false;
    tsig_signer_done(&errand->signer);
}

static void errand_open(struct notifier *notifier, struct errand *errand, int64_t now_ns)
{
    int64_t earliest = errand->sent_ns + NOTIFY_PAUSE;
    errand->due_ns = errand->sent_ns != 0 && earliest > now_ns ? earliest : now_ns;
    errand->retry_ns = RETRY_FIRST;
    if (errand->open_link == NULL) {
        errand->open_next = notifier->open;
        errand->open_link = &notifier->open;
        if (notifier->open != NULL) {
            notifier->open->open_link = &errand->open_next;
        }
        notifier->open = errand;
    }
}

static bool same_target(const struct model_transfer_target *a,
                        const struct model_transfer_target *b)
{
    return memcmp(&a->address, &b->address, sizeof a->address) == 0 && a->has_key == b->has_key &&
           (!a->has_key || name_equal(a->key, b->key));
}

static struct errand *errand_get(struct note *note, const struct model_transfer_target *target,
                                 bool *ret_made)
{
    *ret_made = false;
    for (struct errand *errand = note->errands; errand != NULL; errand = errand->next) {
        if (same_target(&errand->target, target)) {
            return errand;
        }
    }
    struct errand *errand = memory_new(sizeof *errand);
    errand->note = note;
    errand->target = *target;
    errand->next = note->errands;
    note->errands = errand;
    *ret_made = true;
    return errand;
}

/* The note's errands become those of the settings. told: the serial moved, all are to go out; else
 * only those that are new. */
static void note_update(struct notifier *notifier, struct note *note,
                        const struct transfer_settings *settings, bool told, int64_t now_ns)
{
    const struct model_transfer *rules = settings_of(settings, note->zone_id);
    for (struct errand *errand = note->errands; errand != NULL; errand = errand->next) {
        errand->listed = false;
    }
    for (size_t i = 0; rules != NULL && i < rules->target_count; i++) {
        bool made = false;
        struct errand *errand = errand_get(note, &rules->targets[i], &made);
        errand->listed = true;
        if (told || made) {
            errand_open(notifier, errand, now_ns);
        }
    }
    for (struct errand **link = &note->errands; *link != NULL;) {
        struct errand *errand = *link;
        if (errand->listed) {
            link = &errand->next;
            continue;
        }
        *link = errand->next;
        errand_close(errand);
        free(errand);
    }
}

static void read_inbox(struct notifier *notifier, int64_t now_ns, bool *ret_stop)
{
    (void)pthread_mutex_lock(&notifier->mutex);
    struct letter *letters = notifier->inbox;
    bool changed = notifier->settings_changed;
    notifier->inbox = NULL;
    notifier->settings_changed = false;
    *ret_stop = notifier->stop;
    (void)pthread_mutex_unlock(&notifier->mutex);
    struct transfer_settings *settings = settings_take(notifier->transfer);
    while (letters != NULL) {
        struct letter *letter = letters;
        letters = letter->next;
        struct note *note = note_get(notifier, letter->zone_id);
        if (note->serial == 0 || serial_compare(letter->serial, note->serial) > 0) {
            note->serial = letter->serial;
            (void)memcpy(note->apex, letter->apex, sizeof note->apex);
            note_update(notifier, note, settings, true, now_ns);
        }
        free(letter);
    }
    for (size_t i = 0; changed && i < BUCKETS; i++) {
        for (struct note *note = notifier->notes[i]; note != NULL; note = note->next) {
            note_update(notifier, note, settings, false, now_ns);
        }
    }
    settings_unref(settings);
}

/* ---- sending ---- */

/* RFC 1996 section 3.7: the question, and the SOA as it is now as a hint. Returns the size. */
static size_t compose(struct notifier *notifier, struct errand *errand, uint8_t *out, size_t size)
{
    const uint8_t *apex = errand->note->apex;
    bool exists = false;
    uint32_t serial = errand->note->serial;
    snapshot_online();
    struct zone_journal *journal =
        zone_journal_find(notifier->transfer->zones, apex, name_length(apex), &exists);
    snapshot_offline();
    const struct zone_rrset *soa = journal != NULL ? zone_journal_soa(journal, &serial) : NULL;
    struct zone_record_view view = {.size = 0};
    size_t at = 0;
    bool has_soa = soa != NULL && zone_rrset_next(soa, &at, &view);
    struct bytes_writer writer = bytes_writer(out, size);
    bytes_put_u16(&writer, errand->id);
    bytes_put_u16(&writer, (uint16_t)(OPCODE_NOTIFY << 11U | MESSAGE_AA));
    bytes_put_u16(&writer, 1);
    bytes_put_u16(&writer, has_soa ? 1 : 0);
    bytes_put_u32(&writer, 0);
    bytes_put(&writer, apex, name_length(apex));
    bytes_put_u16(&writer, RR_SOA);
    bytes_put_u16(&writer, CLASS_IN);
    if (has_soa) {
        bytes_put_u16(&writer, 0xc000U | MESSAGE_QUESTION_AT);
        bytes_put_u16(&writer, RR_SOA);
        bytes_put_u16(&writer, CLASS_IN);
        bytes_put_u32(&writer, view.ttl);
        bytes_put_u16(&writer, view.size);
        bytes_put(&writer, view.rdata, view.size);
    }
    zone_rrset_unref(soa);
    zone_journal_unref(journal);
    errand->serial = serial;
    return writer.failed ? 0 : writer.at;
}

/* Signs where the target has a key; 0 when the key is not there, so that nothing unsigned goes to
 * who expects a signature. */
static size_t sign(struct notifier *notifier, struct errand *errand, uint8_t *message,
                   size_t length, size_t size)
{
    if (!errand->target.has_key) {
        return length;
    }
    struct tsig_keys *keys = transfer_keys(notifier->transfer);
    struct tsig_key *key = tsig_keys_find(keys, errand->target.key);
    tsig_signer_done(&errand->signer);
    if (key != NULL) {
        tsig_signer_init(&errand->signer, key);
        length = tsig_sign(&errand->signer, message, length, size, wall_now().ns / TIME_S);
    }
    tsig_keys_unref(keys);
    return key != NULL ? length : 0;
}

static void send_errand(struct notifier *notifier, struct errand *errand, int64_t now_ns)
{
    uint8_t message[MESSAGE_SIZE];
    random_bytes(&errand->id, sizeof errand->id);
    errand->sent_ns = now_ns;
    errand->due_ns = now_ns + errand->retry_ns;
    errand->retry_ns = MIN(errand->retry_ns * 2, RETRY_MOST);
    size_t size = compose(notifier, errand, message, sizeof message);
    size = size != 0 ? sign(notifier, errand, message, size, sizeof message) : 0;
    errand->sent = size != 0;
    bool v6 = errand->target.address.ss_family == AF_INET6;
    int fd = notifier->sockets[v6 ? 1 : 0];
    socklen_t length = v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (size != 0 && fd >= 0 &&
        sendto(fd, message, size, MSG_DONTWAIT, (const struct sockaddr *)&errand->target.address,
               length) >= 0) {
        transfer_count(&notifier->transfer->counters.notify_sent, 1);
    }
}

/* Sends what is due. Returns milliseconds until something is due again; -1: nothing is open. */
static int send_due(struct notifier *notifier, int64_t now_ns)
{
    int64_t next = INT64_MAX;
    unsigned sent = 0;
    for (struct errand *errand = notifier->open; errand != NULL; errand = errand->open_next) {
        if (errand->due_ns <= now_ns && sent < SENDS_A_TURN) {
            send_errand(notifier, errand, now_ns);
            sent++;
        }
        next = MIN(next, errand->due_ns);
    }
    if (next == INT64_MAX) {
        return -1;
    }
    int64_t wait = (next - now_ns + TIME_MS - 1) / TIME_MS;
    return (int)MIN(MAX(wait, 0), 60000);
}

/* ---- answers ---- */

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family) {
        return false;
    }
    if (a->ss_family == AF_INET) {
        struct sockaddr_in x;
        struct sockaddr_in y;
        (void)memcpy(&x, a, sizeof x);
        (void)memcpy(&y, b, sizeof y);
        return x.sin_port == y.sin_port && x.sin_addr.s_addr == y.sin_addr.s_addr;
    }
    struct sockaddr_in6 x;
    struct sockaddr_in6 y;
    (void)memcpy(&x, a, sizeof x);
    (void)memcpy(&y, b, sizeof y);
    return x.sin6_port == y.sin6_port && memcmp(&x.sin6_addr, &y.sin6_addr, 16) == 0;
}

/* The errand whose newest message this answers; NULL when there is none. */
static struct errand *errand_of(struct notifier *notifier, const struct sockaddr_storage *source,
                                uint16_t id)
{
    for (struct errand *errand = notifier->open; errand != NULL; errand = errand->open_next) {
        if (errand->sent && errand->id == id && same_address(&errand->target.address, source)) {
            return errand;
        }
    }
    return NULL;
}

static void take_answer(struct notifier *notifier, const uint8_t *packet, size_t length,
                        const struct sockaddr_storage *source, int64_t now_ns)
{
    struct bytes_reader reader = bytes_reader(packet, length);
    uint16_t id = bytes_get_u16(&reader);
    uint16_t flags = bytes_get_u16(&reader);
    if (length < MESSAGE_HEADER_SIZE || (flags & MESSAGE_QR) == 0 ||
        (flags >> 11U & 0xfU) != OPCODE_NOTIFY) {
        return;
    }
    struct errand *errand = errand_of(notifier, source, id);
    if (errand == NULL) {
        return;
    }
    uint16_t error = 0;
    uint16_t rcode = flags & 0xfU;
    if (errand->signer.key != NULL && tsig_verify_response(&errand->signer, packet, length,
                                                           wall_now().ns / TIME_S, &error) != 0) {
        if (rcode == RCODE_NOERROR) {
            return; /* anybody may have sent this; the message is repeated */
        }
    }
    /* RFC 1996 section 4.8: any answer ends it; an error will not get better by repeating. */
    transfer_count(rcode == RCODE_NOERROR ? &notifier->transfer->counters.notify_answered
                                          : &notifier->transfer->counters.notify_refused,
                   1);
    bool newest = errand->serial == errand->note->serial ||
                  serial_compare(errand->serial, errand->note->serial) > 0;
    if (newest) {
        errand_close(errand);
    } else {
        errand_open(notifier, errand, now_ns);
    }
}

static void receive(struct notifier *notifier, int fd, int64_t now_ns)
{
    for (int i = 0; i < RECEIVES_A_TURN; i++) {
        uint8_t packet[MESSAGE_SIZE];
        struct sockaddr_storage source;
        socklen_t size = sizeof source;
        ssize_t got =
            recvfrom(fd, packet, sizeof packet, MSG_DONTWAIT, (struct sockaddr *)&source, &size);
        if (got < 0 && errno != EINTR && errno != ECONNREFUSED) {
            return;
        }
        if (got > 0) {
            take_answer(notifier, packet, (size_t)got, &source, now_ns);
        }
    }
}

/* ---- the thread ---- */

static void *notifier_main(void *argument)
{
    struct notifier *notifier = argument;
    snapshot_thread_begin();
    snapshot_offline();
    struct pollfd fds[3] = {{.fd = notifier->wake_fd, .events = POLLIN},
                            {.fd = notifier->sockets[0], .events = POLLIN},
                            {.fd = notifier->sockets[1], .events = POLLIN}};
    bool stop = false;
    while (!stop) {
        int wait = send_due(notifier, mono_now().ns);
        (void)poll(fds, ARRAY_SIZE(fds), wait); /* whatever it says, all is looked at */
        uint64_t count = 0;
        IGNORE_RESULT(read(notifier->wake_fd, &count, sizeof count)); /* 0: a timeout */
        int64_t now_ns = mono_now().ns;
        for (size_t i = 1; i < ARRAY_SIZE(fds); i++) {
            if (fds[i].fd >= 0) {
                receive(notifier, fds[i].fd, now_ns);
            }
        }
        read_inbox(notifier, now_ns, &stop);
    }
    snapshot_thread_end();
    return NULL;
}

/* A UDP socket on the address that secondaries know us by; any, when that cannot be. */
static int open_socket(const struct transfer_config *config, sa_family_t family)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    for (size_t i = 0; i < config->source_count && fd >= 0; i++) {
        struct sockaddr_storage address = config->sources[i];
        if (address.ss_family != family) {
            continue;
        }
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        (void)memcpy(&v4, &address, sizeof v4);
        (void)memcpy(&v6, &address, sizeof v6);
        v4.sin_port = 0;
        v6.sin6_port = 0;
        const void *any = family == AF_INET ? (const void *)&v4 : (const void *)&v6;
        socklen_t size = family == AF_INET ? sizeof v4 : sizeof v6;
        (void)bind(fd, any, size); /* else the kernel chooses when something is sent */
        break;
    }
    return fd;
}

int notifier_start(struct transfer *transfer, const struct transfer_config *config,
                   struct notifier **ret_notifier, struct err *err)
{
    struct notifier *notifier = memory_new(sizeof *notifier);
    notifier->transfer = transfer;
    (void)pthread_mutex_init(&notifier->mutex, NULL); /* cannot fail on Linux */
    notifier->sockets[0] = open_socket(config, AF_INET);
    notifier->sockets[1] = open_socket(config, AF_INET6);
    notifier->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *ret_notifier = notifier;
    if (notifier->wake_fd < 0 || (notifier->sockets[0] < 0 && notifier->sockets[1] < 0)) {
        return err_set_errno(err, errno, "preparing NOTIFY");
    }
    int rc = thread_start(&notifier->thread, "notifier", notifier_main, notifier, err);
    notifier->started = rc == 0;
    return rc;
}

void notifier_stop(struct notifier *notifier)
{
    if (notifier != NULL && notifier->started) {
        (void)pthread_mutex_lock(&notifier->mutex);
        notifier->stop = true;
        (void)pthread_mutex_unlock(&notifier->mutex);
        wake(notifier);
        thread_join(notifier->thread);
        notifier->started = false;
    }
}

static void note_free(struct note *take_note)
{
    while (take_note->errands != NULL) {
        struct errand *errand = take_note->errands;
        take_note->errands = errand->next;
        errand_close(errand);
        free(errand);
    }
    free(take_note);
}

void notifier_free(struct notifier *take_notifier)
{
    if (take_notifier == NULL) {
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        while (take_notifier->notes[i] != NULL) {
            struct note *note = take_notifier->notes[i];
            take_notifier->notes[i] = note->next;
            note_free(note);
        }
    }
    while (take_notifier->inbox != NULL) {
        struct letter *letter = take_notifier->inbox;
        take_notifier->inbox = letter->next;
        free(letter);
    }
    int fds[] = {take_notifier->sockets[0], take_notifier->sockets[1], take_notifier->wake_fd};
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]); /* nothing is buffered */
        }
    }
    (void)pthread_mutex_destroy(&take_notifier->mutex);
    free(take_notifier);
}
