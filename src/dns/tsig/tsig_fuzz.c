/* Fuzz target: TSIG records. The input is a request, verified with a set of keys and answered under
 * the signer that this gives; it is a response to a request of ours; and behind a signature made
 * here it is a request that must verify, and must not once a byte is another. */
#include "dns/tsig/tsig.h"

#include "base/memory.h"
#include "dns/wire/message.h"
#include "dns/wire/rdata.h"

#include <stdlib.h>
#include <string.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_S 1795000000

static struct tsig_key *key;
static struct tsig_keys *keys;

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void free_keys(void)
{
    tsig_keys_unref(keys);
    tsig_key_unref(key);
}

static void make_keys(void)
{
    static const uint8_t name[] = "\3key";
    struct err err = ERR_INIT;
    require(tsig_key_new(name, TSIG_HMAC_SHA256, "0123456789abcdef", 16, 0, &key, &err) == 0);
    keys = tsig_keys_new(&key, 1);
    require(keys != NULL && atexit(free_keys) == 0);
}

/* As the answer path does: where there is room for a TSIG record it is there. */
static uint16_t serve(const uint8_t *packet, size_t length, size_t tsig_at)
{
    uint8_t response[MESSAGE_HEADER_SIZE + 1024] = {0};
    struct tsig_signer signer;
    uint16_t rcode = tsig_verify(&signer, keys, packet, length, tsig_at, NOW_S);
    require(rcode != RCODE_NOERROR || (signer.error == TSIG_NO_ERROR && signer.key == key));
    if (rcode == RCODE_NOERROR || rcode == RCODE_NOTAUTH) {
        size_t room = tsig_room(&signer);
        require(tsig_sign(&signer, response, MESSAGE_HEADER_SIZE, MESSAGE_HEADER_SIZE + room - 1,
                          NOW_S) == 0);
        size_t made = tsig_sign(&signer, response, MESSAGE_HEADER_SIZE, sizeof response, NOW_S);
        require(made > MESSAGE_HEADER_SIZE && made <= MESSAGE_HEADER_SIZE + room);
    }
    tsig_signer_done(&signer);
    return rcode;
}

static size_t find_tsig(const uint8_t *packet, size_t length)
{
    struct message_query query;
    return message_parse(&query, packet, length) && query.rcode == RCODE_NOERROR ? query.tsig_at
                                                                                 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (key == NULL) {
        make_keys();
    }
    if (size < MESSAGE_HEADER_SIZE || size > 4096) {
        return 0;
    }
    uint8_t *packet = memory_new(size + 512);
    (void)memcpy(packet, data, size);
    if (find_tsig(data, size) != 0) {
        (void)serve(data, size, find_tsig(data, size)); /* a forged one may even be right */
    }
    struct tsig_signer signer;
    uint16_t error = 0;
    tsig_signer_init(&signer, key);
    size_t made = tsig_sign(&signer, packet, size, size + 512, NOW_S);
    require(made > size);
    IGNORE_RESULT(tsig_verify_response(&signer, data, size, NOW_S, &error)); /* any will do */
    tsig_signer_done(&signer);
    if (find_tsig(packet, made) == size) { /* else the input is no whole message */
        require(serve(packet, made, size) == RCODE_NOERROR);
        packet[3] ^= 0x10U; /* every byte is covered */
        require(serve(packet, made, size) == RCODE_NOTAUTH);
    }
    free(packet);
    return 0;
}
