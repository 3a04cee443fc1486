/* TSIG: see tsig.h. Called by the answer path for signed queries, by transfer threads and by the
 * sender of NOTIFY. What a packet says is read through bounded readers; a MAC is compared in
 * constant time. Invariant: a key's template is only duplicated, never used itself, so that threads
 * share it. */
#include "dns/tsig/tsig.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/secret.h"
#include "base/text.h"
#include "dns/wire/message.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#define TYPE_TSIG 250U
#define MAC_LEAST 10U /* RFC 8945 section 5.2.2.1 */
#define TIME_SIZE 6U
#define COUNTS_AT 10U /* of additional records, in the header */
#define RECORD_FIXED 10U

static const struct {
    const char *name;
    const char *digest;
    size_t size;
} algorithms[] = {
    [TSIG_HMAC_SHA256] = {"hmac-sha256", "SHA2-256", 32},
    [TSIG_HMAC_SHA384] = {"hmac-sha384", "SHA2-384", 48},
    [TSIG_HMAC_SHA512] = {"hmac-sha512", "SHA2-512", 64},
};

struct tsig_key {
    _Atomic unsigned references;
    EVP_MAC_CTX *template;
    size_t mac_size;
    size_t mac_least;
    uint8_t name[NAME_WIRE_LIMIT];
    uint8_t algorithm[NAME_WIRE_LIMIT];
};

struct tsig_keys {
    _Atomic unsigned references;
    size_t count;
    struct tsig_key *keys[];
};

/* ---- keys ---- */

int tsig_algorithm_parse(const char *text, enum tsig_algorithm *ret_algorithm)
{
    for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
        if (text_equal_nocase(text, algorithms[i].name)) {
            *ret_algorithm = (enum tsig_algorithm)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *tsig_algorithm_name(enum tsig_algorithm algorithm)
{
    return algorithms[algorithm].name;
}

static EVP_MAC_CTX *template_new(enum tsig_algorithm algorithm, const void *secret, size_t size)
{
    char digest[16];
    int copied = text_copy(digest, sizeof digest, algorithms[algorithm].digest);
    assert(copied == 0);
    (void)copied; /* the names are ours, and short */
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac); /* the context holds its own reference */
    if (context != NULL && EVP_MAC_init(context, secret, size, parameters) != 1) {
        EVP_MAC_CTX_free(context);
        return NULL;
    }
    return context;
}

int tsig_key_new(const uint8_t *name, enum tsig_algorithm algorithm, const void *secret,
                 size_t size, size_t mac_least, struct tsig_key **ret_key, struct err *err)
{
    if (size < TSIG_SECRET_LEAST || size > TSIG_SECRET_LIMIT) {
        return err_set(err, ERR_INVALID, "a TSIG secret has %u to %u bytes, not %zu",
                       TSIG_SECRET_LEAST, TSIG_SECRET_LIMIT, size);
    }
    EVP_MAC_CTX *template = template_new(algorithm, secret, size);
    if (template == NULL) {
        return err_set(err, ERR_MEMORY, "the library cannot make a key for %s",
                       algorithms[algorithm].name);
    }
    struct tsig_key *key = memory_new(sizeof *key);
    atomic_init(&key->references, 1);
    key->template = template;
    key->mac_size = algorithms[algorithm].size;
    key->mac_least = MAX(mac_least, MAX((size_t)MAC_LEAST, key->mac_size / 2));
    (void)memcpy(key->name, name, name_length(name));
    int length = name_from_text(algorithms[algorithm].name, false, key->algorithm);
    assert(length > 0);
    (void)length; /* the names are ours, and valid */
    *ret_key = key;
    return 0;
}

struct tsig_key *tsig_key_ref(struct tsig_key *key)
{
    atomic_fetch_add_explicit(&key->references, 1, memory_order_relaxed);
    return key;
}

void tsig_key_unref(struct tsig_key *take_key)
{
    if (take_key != NULL &&
        atomic_fetch_sub_explicit(&take_key->references, 1, memory_order_acq_rel) == 1) {
        EVP_MAC_CTX_free(take_key->template); /* wipes what it holds */
        free(take_key);
    }
}

const uint8_t *tsig_key_name(const struct tsig_key *key)
{
    return key->name;
}

struct tsig_keys *tsig_keys_new(struct tsig_key *const *keys, size_t count)
{
    struct tsig_keys *set = memory_new(sizeof *set + count * sizeof(struct tsig_key *));
    atomic_init(&set->references, 1);
    set->count = count;
    for (size_t i = 0; i < count; i++) {
        set->keys[i] = tsig_key_ref(keys[i]);
    }
    return set;
}

struct tsig_keys *tsig_keys_ref(struct tsig_keys *keys)
{
    if (keys != NULL) {
        atomic_fetch_add_explicit(&keys->references, 1, memory_order_relaxed);
    }
    return keys;
}

void tsig_keys_unref(struct tsig_keys *take_keys)
{
    if (take_keys == NULL ||
        atomic_fetch_sub_explicit(&take_keys->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < take_keys->count; i++) {
        tsig_key_unref(take_keys->keys[i]);
    }
    free(take_keys);
}

struct tsig_key *tsig_keys_find(const struct tsig_keys *keys, const uint8_t *name)
{
    for (size_t i = 0; keys != NULL && i < keys->count; i++) {
        if (name_equal(keys->keys[i]->name, name)) {
            return keys->keys[i];
        }
    }
    return NULL;
}

/* ---- the record ---- */

struct record {
    uint64_t time_s;
    uint16_t fudge;
    uint16_t mac_size;
    const uint8_t *mac;
    uint16_t original_id;
    uint16_t error;
    uint16_t other_size;
    const uint8_t *other;
};

static bool read_name(struct bytes_reader *in, uint8_t out[NAME_WIRE_LIMIT])
{
    int length = in->failed ? -1 : name_check(in->data + in->at, bytes_left(in));
    if (length < 0) {
        return false;
    }
    const uint8_t *name = bytes_get(in, (size_t)length);
    for (int i = 0; i < length; i++) { /* label lengths are below 'A' */
        out[i] = (uint8_t)text_lower((char)name[i]);
    }
    return true;
}

static uint64_t read_time(struct bytes_reader *in)
{
    uint64_t high = bytes_get_u16(in);
    return high << 32U | bytes_get_u32(in);
}

/* The TSIG record at `at`, the last of the message: RFC 8945 section 4.2. */
static bool read_record(struct tsig_signer *signer, const uint8_t *packet, size_t length, size_t at,
                        struct record *ret_record)
{
    struct bytes_reader in = bytes_reader(packet, length);
    in.at = at;
    if (!read_name(&in, signer->name)) {
        return false;
    }
    uint16_t type = bytes_get_u16(&in);
    uint16_t class = bytes_get_u16(&in);
    uint32_t ttl = bytes_get_u32(&in);
    uint16_t size = bytes_get_u16(&in);
    if (in.failed || type != TYPE_TSIG || class != CLASS_ANY || ttl != 0 ||
        size != bytes_left(&in) || !read_name(&in, signer->algorithm)) {
        return false;
    }
    struct record record = {.time_s = read_time(&in)};
    record.fudge = bytes_get_u16(&in);
    record.mac_size = bytes_get_u16(&in);
    record.mac = bytes_get(&in, record.mac_size);
    record.original_id = bytes_get_u16(&in);
    record.error = bytes_get_u16(&in);
    record.other_size = bytes_get_u16(&in);
    record.other = bytes_get(&in, record.other_size);
    *ret_record = record;
    return !in.failed && bytes_left(&in) == 0;
}

static void put_time(struct bytes_writer *out, uint64_t time_s)
{
    bytes_put_u16(out, (uint16_t)(time_s >> 32U));
    bytes_put_u32(out, (uint32_t)time_s);
}

/* ---- the MAC ---- */

static bool feed(EVP_MAC_CTX *context, const void *data, size_t size)
{
    return size == 0 || EVP_MAC_update(context, data, size) == 1;
}

/* What is chained to: the request's or the previous message's MAC, with its length. */
static bool feed_prior(EVP_MAC_CTX *context, const struct tsig_signer *signer)
{
    uint8_t size[2] = {(uint8_t)(signer->mac_size >> 8U), (uint8_t)signer->mac_size};
    return feed(context, size, sizeof size) && feed(context, signer->mac, signer->mac_size);
}

/* The message without its TSIG record, under the original id: RFC 8945 section 4.3.2. */
static bool feed_message(EVP_MAC_CTX *context, const uint8_t *message, size_t length,
                         uint16_t original_id, uint16_t additional)
{
    uint8_t header[MESSAGE_HEADER_SIZE];
    (void)memcpy(header, message, sizeof header);
    struct bytes_writer id = bytes_writer(header, 2);
    bytes_put_u16(&id, original_id);
    struct bytes_writer count = bytes_writer(header + COUNTS_AT, 2);
    bytes_put_u16(&count, additional);
    return feed(context, header, sizeof header) &&
           feed(context, message + sizeof header, length - sizeof header);
}

/* RFC 8945 section 4.3.3; from a stream's second message on the times alone (section 5.3.1). */
static bool feed_variables(EVP_MAC_CTX *context, const struct tsig_signer *signer,
                           const struct record *record, bool times_only)
{
    uint8_t bytes[2 * NAME_WIRE_LIMIT + 32];
    struct bytes_writer out = bytes_writer(bytes, sizeof bytes);
    if (!times_only) {
        bytes_put(&out, signer->name, name_length(signer->name));
        bytes_put_u16(&out, CLASS_ANY);
        bytes_put_u32(&out, 0);
        bytes_put(&out, signer->algorithm, name_length(signer->algorithm));
    }
    put_time(&out, record->time_s);
    bytes_put_u16(&out, record->fudge);
    if (!times_only) {
        bytes_put_u16(&out, record->error);
        bytes_put_u16(&out, record->other_size);
    }
    return feed(context, out.data, out.at) &&
           (times_only || feed(context, record->other, record->other_size));
}

/* prior: chained to signer->mac. False when memory is out. */
static bool compute(const struct tsig_signer *signer, bool prior, const uint8_t *message,
                    size_t length, uint16_t additional, const struct record *record,
                    bool times_only, uint8_t mac[TSIG_MAC_LIMIT])
{
    EVP_MAC_CTX *context = EVP_MAC_CTX_dup(signer->key->template);
    size_t size = 0;
    bool done = context != NULL && (!prior || feed_prior(context, signer)) &&
                feed_message(context, message, length, record->original_id, additional) &&
                feed_variables(context, signer, record, times_only) &&
                EVP_MAC_final(context, mac, &size, TSIG_MAC_LIMIT) == 1;
    EVP_MAC_CTX_free(context);
    return done && size == signer->key->mac_size;
}

/* ---- verifying ---- */

static uint16_t additional_count(const uint8_t *packet)
{
    struct bytes_reader count = bytes_reader(packet + COUNTS_AT, 2);
    return bytes_get_u16(&count);
}

static bool in_time(const struct record *record, int64_t now_s)
{
    int64_t apart = now_s - (int64_t)record->time_s;
    return (apart < 0 ? -apart : apart) <= record->fudge;
}

static uint16_t refuse(struct tsig_signer *signer, enum tsig_error error)
{
    signer->error = error;
    if (error == TSIG_BADKEY || error == TSIG_BADSIG) {
        /* RFC 8945 section 5.3.2: never signed, and nothing of a MAC that may be a guess. */
        tsig_key_unref(signer->key);
        signer->key = NULL;
        signer->mac_size = 0;
    }
    return RCODE_NOTAUTH;
}

/* Key, then MAC, then time, then truncation: RFC 8945 section 5.2. */
uint16_t tsig_verify(struct tsig_signer *signer, const struct tsig_keys *keys,
                     const uint8_t *packet, size_t length, size_t tsig_at, int64_t now_s)
{
    signer->key = NULL;
    signer->error = TSIG_NO_ERROR;
    signer->answered = false;
    signer->mac_size = 0;
    struct record record;
    if (tsig_at < MESSAGE_HEADER_SIZE || tsig_at >= length ||
        !read_record(signer, packet, length, tsig_at, &record)) {
        signer->name[0] = 0;
        return RCODE_FORMERR;
    }
    signer->original_id = record.original_id;
    signer->request_time_s = record.time_s;
    struct tsig_key *key = tsig_keys_find(keys, signer->name);
    if (key == NULL || !name_equal(key->algorithm, signer->algorithm)) {
        return refuse(signer, TSIG_BADKEY);
    }
    if (record.mac_size > key->mac_size ||
        record.mac_size < MAX((size_t)MAC_LEAST, key->mac_size / 2)) {
        return RCODE_FORMERR;
    }
    signer->key = tsig_key_ref(key);
    uint8_t mac[TSIG_MAC_LIMIT];
    uint16_t additional = additional_count(packet);
    if (!compute(signer, false, packet, tsig_at, (uint16_t)(additional - 1U), &record, false,
                 mac)) {
        tsig_signer_done(signer);
        return RCODE_SERVFAIL;
    }
    if (!secret_same_bytes(mac, record.mac, record.mac_size)) {
        return refuse(signer, TSIG_BADSIG);
    }
    signer->mac_size = record.mac_size;
    (void)memcpy(signer->mac, record.mac, record.mac_size);
    if (!in_time(&record, now_s)) {
        return refuse(signer, TSIG_BADTIME);
    }
    if (record.mac_size < key->mac_least) {
        return refuse(signer, TSIG_BADTRUNC);
    }
    return RCODE_NOERROR;
}

void tsig_signer_init(struct tsig_signer *signer, struct tsig_key *key)
{
    signer->key = tsig_key_ref(key);
    signer->error = TSIG_NO_ERROR;
    signer->answered = false;
    signer->mac_size = 0;
    (void)memcpy(signer->name, key->name, name_length(key->name));
    (void)memcpy(signer->algorithm, key->algorithm, name_length(key->algorithm));
}

void tsig_signer_done(struct tsig_signer *signer)
{
    tsig_key_unref(signer->key);
    signer->key = NULL;
}

/* ---- signing ---- */

size_t tsig_room(const struct tsig_signer *signer)
{
    return name_length(signer->name) + RECORD_FIXED + name_length(signer->algorithm) + 16U +
           (signer->key != NULL ? signer->key->mac_size : 0) + TIME_SIZE;
}

static size_t put_record(const struct tsig_signer *signer, const struct record *record,
                         uint8_t *message, size_t length, size_t size)
{
    struct bytes_writer out = bytes_writer(message, size);
    out.at = length;
    size_t rdata = name_length(signer->algorithm) + 16U + record->mac_size + record->other_size;
    bytes_put(&out, signer->name, name_length(signer->name));
    bytes_put_u16(&out, TYPE_TSIG);
    bytes_put_u16(&out, CLASS_ANY);
    bytes_put_u32(&out, 0);
    bytes_put_u16(&out, (uint16_t)rdata);
    bytes_put(&out, signer->algorithm, name_length(signer->algorithm));
    put_time(&out, record->time_s);
    bytes_put_u16(&out, record->fudge);
    bytes_put_u16(&out, record->mac_size);
    bytes_put(&out, record->mac, record->mac_size);
    bytes_put_u16(&out, record->original_id);
    bytes_put_u16(&out, record->error);
    bytes_put_u16(&out, record->other_size);
    bytes_put(&out, record->other, record->other_size);
    uint16_t additional = additional_count(message);
    bytes_patch_u16(&out, COUNTS_AT, (uint16_t)(additional + 1U));
    return out.failed ? 0 : out.at;
}

size_t tsig_sign(struct tsig_signer *signer, uint8_t *message, size_t length, size_t size,
                 int64_t now_s)
{
    assert(message != NULL && length >= MESSAGE_HEADER_SIZE);
    if (tsig_room(signer) > size - MIN(size, length)) {
        return 0;
    }
    struct bytes_reader id = bytes_reader(message, 2);
    struct record record = {.time_s = (uint64_t)now_s,
                            .fudge = TSIG_FUDGE_S,
                            .original_id = bytes_get_u16(&id),
                            .error = (uint16_t)signer->error};
    uint8_t other[TIME_SIZE];
    if (signer->error == TSIG_BADTIME) {
        /* RFC 8945 section 5.2.3: the request's time, and ours beside it. */
        struct bytes_writer out = bytes_writer(other, sizeof other);
        put_time(&out, (uint64_t)now_s);
        record.time_s = signer->request_time_s;
        record.other = other;
        record.other_size = sizeof other;
    }
    uint8_t mac[TSIG_MAC_LIMIT];
    if (signer->key != NULL) {
        if (!compute(signer, signer->mac_size != 0, message, length, additional_count(message),
                     &record, signer->answered, mac)) {
            return 0;
        }
        record.mac = mac;
        record.mac_size = (uint16_t)signer->key->mac_size;
        signer->mac_size = record.mac_size;
        (void)memcpy(signer->mac, mac, record.mac_size);
    }
    signer->answered = true;
    return put_record(signer, &record, message, length, size);
}

/* ---- a response to us ---- */

/* Steps over a name that may be compressed. */
static bool skip_name(struct bytes_reader *in)
{
    for (;;) {
        uint8_t size = bytes_get_u8(in);
        if (in->failed || size == 0) {
            return !in->failed;
        }
        if ((size & 0xc0U) == 0xc0U) {
            (void)bytes_get_u8(in);
            return !in->failed;
        }
        if (bytes_get(in, size) == NULL) {
            return false;
        }
    }
}

/* Where the last record of the message starts; 0 when that is no TSIG record, or the message makes
 * no sense. */
static size_t find_record(const uint8_t *packet, size_t length)
{
    struct bytes_reader in = bytes_reader(packet, length);
    (void)bytes_get(&in, 4);
    unsigned questions = bytes_get_u16(&in);
    unsigned records = bytes_get_u16(&in);
    records += bytes_get_u16(&in);
    unsigned additional = bytes_get_u16(&in);
    for (unsigned i = 0; i < questions && skip_name(&in); i++) {
        (void)bytes_get(&in, 4);
    }
    size_t last = 0;
    for (unsigned i = 0; i < records + additional && !in.failed; i++) {
        last = in.at;
        uint16_t type = skip_name(&in) ? bytes_get_u16(&in) : 0;
        (void)bytes_get(&in, 6);
        (void)bytes_get(&in, bytes_get_u16(&in));
        last = type == TYPE_TSIG && i + 1 == records + additional ? last : 0;
    }
    return in.failed || additional == 0 ? 0 : last;
}

int tsig_verify_response(struct tsig_signer *signer, const uint8_t *packet, size_t length,
                         int64_t now_s, uint16_t *ret_error)
{
    struct tsig_signer theirs = {.key = NULL};
    struct record record;
    *ret_error = 0;
    size_t at = length > MESSAGE_HEADER_SIZE ? find_record(packet, length) : 0;
    if (at == 0 || !read_record(&theirs, packet, length, at, &record)) {
        return -EBADMSG;
    }
    *ret_error = record.error;
    const struct tsig_key *key = signer->key;
    uint8_t mac[TSIG_MAC_LIMIT];
    if (!name_equal(theirs.name, signer->name) ||
        !name_equal(theirs.algorithm, signer->algorithm) || record.mac_size < key->mac_least ||
        record.mac_size > key->mac_size ||
        !compute(signer, true, packet, at, (uint16_t)(additional_count(packet) - 1U), &record,
                 false, mac) ||
        !secret_same_bytes(mac, record.mac, record.mac_size) || !in_time(&record, now_s) ||
        record.error != TSIG_NO_ERROR) {
        return -EBADMSG;
    }
    return 0;
}

/* ---- the messages of a response to us ---- */

struct tsig_stream {
    struct tsig_signer *signer;
    EVP_MAC_CTX *running; /* over what no signature has covered yet; NULL: nothing */
    unsigned waiting;     /* unsigned messages in it */
    bool broken;          /* a message was refused: nothing behind it counts */
};

struct tsig_stream *tsig_stream_new(struct tsig_signer *signer)
{
    struct tsig_stream *stream = memory_new(sizeof *stream);
    stream->signer = signer;
    signer->answered = false; /* the request's own signature does not count */
    return stream;
}

void tsig_stream_free(struct tsig_stream *take_stream)
{
    if (take_stream != NULL) {
        EVP_MAC_CTX_free(take_stream->running);
        free(take_stream);
    }
}

bool tsig_stream_verified(const struct tsig_stream *stream)
{
    return stream->signer->answered && stream->waiting == 0 && !stream->broken;
}

static bool stream_begin(struct tsig_stream *stream)
{
    if (stream->running == NULL) {
        stream->running = EVP_MAC_CTX_dup(stream->signer->key->template);
        return stream->running != NULL && feed_prior(stream->running, stream->signer);
    }
    return true;
}

/* The MAC over all that waits and this message. */
static bool stream_compute(struct tsig_stream *stream, const uint8_t *packet, size_t at,
                           const struct record *record, uint8_t mac[TSIG_MAC_LIMIT])
{
    struct tsig_signer *signer = stream->signer;
    size_t size = 0;
    bool done = stream_begin(stream) &&
                feed_message(stream->running, packet, at, record->original_id,
                             (uint16_t)(additional_count(packet) - 1U)) &&
                feed_variables(stream->running, signer, record, signer->answered) &&
                EVP_MAC_final(stream->running, mac, &size, TSIG_MAC_LIMIT) == 1;
    EVP_MAC_CTX_free(stream->running);
    stream->running = NULL;
    stream->waiting = 0;
    return done && size == signer->key->mac_size;
}

static int stream_take(struct tsig_stream *stream, const uint8_t *packet, size_t length,
                       int64_t now_s, uint16_t *ret_error)
{
    struct tsig_signer theirs = {.key = NULL};
    struct tsig_signer *signer = stream->signer;
    const struct tsig_key *key = signer->key;
    struct record record;
    size_t at = length > MESSAGE_HEADER_SIZE ? find_record(packet, length) : 0;
    if (at == 0) {
        bool may_wait = signer->answered && stream->waiting < TSIG_UNSIGNED_LIMIT &&
                        stream_begin(stream) && feed(stream->running, packet, length);
        stream->waiting += may_wait ? 1U : 0U;
        return may_wait ? 0 : -EBADMSG;
    }
    if (!read_record(&theirs, packet, length, at, &record)) {
        return -EBADMSG;
    }
    *ret_error = record.error;
    uint8_t mac[TSIG_MAC_LIMIT];
    if (!name_equal(theirs.name, signer->name) ||
        !name_equal(theirs.algorithm, signer->algorithm) || record.mac_size < key->mac_least ||
        record.mac_size > key->mac_size || !stream_compute(stream, packet, at, &record, mac) ||
        !secret_same_bytes(mac, record.mac, record.mac_size) || !in_time(&record, now_s) ||
        record.error != TSIG_NO_ERROR) {
        return -EBADMSG;
    }
    signer->mac_size = record.mac_size;
    (void)memcpy(signer->mac, record.mac, record.mac_size);
    signer->answered = true;
    return 0;
}

int tsig_stream_take(struct tsig_stream *stream, const uint8_t *packet, size_t length,
                     int64_t now_s, uint16_t *ret_error)
{
    *ret_error = 0;
    int rc = stream->broken ? -EBADMSG : stream_take(stream, packet, length, now_s, ret_error);
    stream->broken = rc != 0;
    return rc;
}
