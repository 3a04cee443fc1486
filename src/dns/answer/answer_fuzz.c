/* Fuzz target: any packet, against a fixed set of zones that has one of everything. The response is
 * never larger than what the client takes, and a strict reader can read it. The first byte says how
 * it arrives (enum arrival); the rest is the packet. */
#include "dns/answer/answer.h"

#include "base/buf.h"
#include "base/memory.h"
#include "base/snapshot.h"
#include "dns/answer/test_packet.h"
#include "dns/answer/test_zones.h"

#include <stdlib.h>
#include <string.h>

/* NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UDP_LIMIT 1232U
#define NOW_S 1795000000U

/* Bits of the first byte. */
enum arrival {
    ARRIVAL_TCP = 1,
    ARRIVAL_COOKIES = 2,  /* the server knows cookies */
    ARRIVAL_REQUIRED = 4, /* and asks for good ones */
    ARRIVAL_SIGNED = 8,   /* the packet gets a TSIG record of a key that the server knows */
    ARRIVAL_KEYS = 16,    /* transfers are on, there are keys */
    ARRIVAL_PADDED = 32,  /* as over TLS */
    ARRIVAL_V6 = 64,
};

static const char *const lines[] = {
    "zone Z1 example.com.",
    "record Z1 example.com. SOA : ns1.example.com. host.example.com. 1 7200 900 1209600 300",
    "record Z1 example.com. NS : ns1.example.com. | ns2.sub.example.com.",
    "record Z1 ns1.example.com. A : 192.0.2.53",
    "record Z1 www.example.com. A set=a role=primary check=c1 : 192.0.2.1",
    "record Z1 www.example.com. A set=b role=secondary : 192.0.2.2",
    "record Z1 w.example.com. A set=a weight=1 : 192.0.2.1",
    "record Z1 w.example.com. A set=b weight=3 alias=Z1/m.example.com. evaluate",
    "record Z1 m.example.com. A set=a multivalue : 192.0.2.1",
    "record Z1 m.example.com. A set=b multivalue : 192.0.2.2",
    "record Z1 example.com. A alias=Z1/w.example.com. evaluate",
    "record Z1 \\052.example.com. A : 192.0.2.7",
    "record Z1 \\052.example.com. MX : 10 mail.example.com. | 20 www.example.com.",
    "record Z1 c1.example.com. CNAME : c2.example.com.",
    "record Z1 c2.example.com. CNAME : c1.example.org.",
    "record Z1 sub.example.com. NS : ns1.sub.example.com. | ns2.sub.example.com.",
    "record Z1 ns1.sub.example.com. A : 192.0.2.3",
    "record Z1 ns2.sub.example.com. AAAA : 2001:db8::3",
    "record Z1 t.example.com. TXT : \"text\"",
    "record Z1 s.example.com. SVCB : 1 . port=53 | 2 www.example.com. alpn=\"h2\"",
    "record Z1 h.example.com. HTTPS : 0 s.example.com. | 1 w.example.com.",
    "record Z1 srv.example.com. SRV : 1 1 1 www.example.com. | 1 1 2 m.example.com.",
    "record Z1 g.example.com. A set=eu geo=continent/EU : 192.0.2.21",
    "record Z1 g.example.com. A set=us geo=US : 192.0.2.22",
    "record Z1 l.example.com. A set=eu region=eu-central-1 alias=Z1/w.example.com. evaluate",
    "record Z1 l.example.com. A set=us region=us-east-1 check=c1 : 192.0.2.24",
    "record Z1 n.example.com. A set=west near=45.50,-122.70 bias=80 : 192.0.2.25",
    "record Z1 n.example.com. A set=east near=us-east-1 : 192.0.2.26",
    "zone Z2 example.org.",
    "record Z2 example.org. SOA : ns1.example.com. host.example.com. 1 7200 900 1209600 300",
    "record Z2 c1.example.org. CNAME : \\052.d.example.org.",
    "record Z2 \\052.d.example.org. CNAME : c1.example.com.",
    "zone Z3 signed.",
    "record Z3 signed. SOA : ns1.example.com. host.example.com. 1 7200 900 1209600 300",
    "record Z3 www.signed. A set=a role=primary check=c1 : 192.0.2.1",
    "record Z3 www.signed. A set=b role=secondary : 192.0.2.2",
    "record Z3 w.signed. A set=a weight=1 : 192.0.2.1",
    "record Z3 w.signed. A set=b weight=3 alias=Z1/m.example.com. evaluate",
    "record Z3 deep.empty.signed. A alias=Z3/w.signed.",
    "record Z3 nothing.signed. A alias=Z3/absent.signed.",
    "record Z3 \\052.wild.signed. A : 192.0.2.7",
    "record Z3 \\052.c.signed. CNAME : a.wild.signed.",
    "record Z3 c1.signed. CNAME : x.c.signed.",
    "record Z3 c2.signed. CNAME : gone.signed.",
    "record Z3 sub.signed. NS : ns1.sub.signed. | ns2.sub.signed.",
    "record Z3 ns1.sub.signed. A : 192.0.2.3",
    "record Z3 safe.signed. NS : ns1.example.com.",
    ("record Z3 safe.signed. DS : 55648 13 2 "
     "b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17"),
    "sign Z3",
    "publish",
    "refresh",
    "status c1",
};

static struct zone_database *database;
static struct transfer *transfer;
static struct tsig_key *key;
static struct cookie_jar jar;

static void free_all(void)
{
    transfer_stop(transfer);
    transfer_free(transfer);
    tsig_key_unref(key);
    cookie_jar_put(&jar, NULL);
    zone_database_free(database);
    snapshot_drain();
}

/* Everybody may transfer Z1 with the key, and from 127.0.0.1 without. */
static void make_transfer(void)
{
    static const uint8_t name[] = "\3key";
    struct model_transfer_peer peers[] = {{.family = AF_UNSPEC, .has_key = true, .key = "\3key"},
                                          {.family = AF_INET, .bits = 8, .address = {127}}};
    struct transfer_zone zone = {.zone_id = "Z1", .rules = {.peers = peers, .peer_count = 2}};
    struct transfer_config config = {
        .zones = zone_database_readers(database), .threads = 1, .timeout_ms = 1000};
    struct err err = ERR_INIT;
    if (tsig_key_new(name, TSIG_HMAC_SHA256, "0123456789abcdef", 16, 0, &key, &err) < 0 ||
        transfer_start(&config, &transfer, &err) < 0) {
        abort();
    }
    struct tsig_keys *keys = tsig_keys_new(&key, 1);
    transfer_configure(transfer, &zone, 1, keys);
    tsig_keys_unref(keys);
}

static void make_database(void)
{
    database = zone_database_new();
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (test_zones_line(database, lines[i]) < 0) {
            abort();
        }
    }
    char line[2048] = "record Z1 big.example.com. TXT : ";
    size_t at = strlen(line);
    for (char c = 'a'; c < 'i'; c++, at += 204) {
        line[at] = '"';
        (void)memset(line + at + 1, c, 200);
        (void)memcpy(line + at + 201, "\" |", 4);
    }
    if (test_zones_line(database, line) < 0 || test_zones_line(database, "publish") < 0 ||
        atexit(free_all) != 0) {
        abort();
    }
    struct cookie_secrets secrets = {.count = 1};
    cookie_jar_put(&jar, &secrets);
    make_transfer();
}

/* Half of all clients are in Oregon, half in Frankfurt. */
static void locate(void *unused, uint8_t family, const uint8_t address[16],
                   struct model_place *ret_place)
{
    (void)unused;
    (void)family;
    *ret_place = (address[0] & 1U) != 0
                     ? (struct model_place){"EU", "DE", "", true, 50.1F, 8.7F, 24}
                     : (struct model_place){"NA", "US", "OR", true, 45.8F, -119.7F, 24};
}

static void check(const uint8_t *query, const uint8_t *response, size_t length, size_t limit)
{
    struct buf text;
    buf_init(&text, 0);
    if (length > limit || (length != 0 && (memcmp(response, query, 2) != 0 ||
                                           test_response_text(response, length, &text) < 0))) {
        abort();
    }
    buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct model_place home = {"EU", "IE", "", true, 53.3F, -6.3F, 0};
    if (database == NULL) {
        make_database();
    }
    if (size == 0 || size > 65535) {
        return 0;
    }
    unsigned how = data[0];
    bool tcp = (how & ARRIVAL_TCP) != 0;
    struct answer_context context = {
        .zones = zone_database_readers(database),
        .udp_limit = UDP_LIMIT,
        .now = NOW_S,
        .keepalive = 100,
        .pad_block = (how & ARRIVAL_PADDED) != 0 ? 468 : 0,
        .cookies = (how & (ARRIVAL_COOKIES | ARRIVAL_REQUIRED)) != 0 ? &jar : NULL,
        .transfer = (how & (ARRIVAL_KEYS | ARRIVAL_SIGNED)) != 0 ? transfer : NULL,
        .locate = locate,
        .home = &home,
    };
    random_init(&context.random, 1);
    atomic_store(&jar.required, (how & ARRIVAL_REQUIRED) != 0);
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const void *source = (how & ARRIVAL_V6) != 0 ? (const void *)&v6 : &v4;
    size_t limit = tcp ? 65535 : 4096;
    uint8_t *out = malloc(limit); /* not cleared: it is large */
    size_t length = size - 1;
    uint8_t *query = memory_new(length + 512);
    if (out == NULL) {
        abort();
    }
    (void)memcpy(query, data + 1, length);
    if ((how & ARRIVAL_SIGNED) != 0 && length >= MESSAGE_HEADER_SIZE) {
        struct tsig_signer signer;
        tsig_signer_init(&signer, key);
        size_t made = tsig_sign(&signer, query, length, length + 512, wall_now().ns / TIME_S);
        length = made != 0 ? made : length;
        tsig_signer_done(&signer);
    }
    /* The exact size, so that the address sanitizer sees a read past its end. */
    uint8_t *exact = memory_new(length != 0 ? length : 1);
    (void)memcpy(exact, query, length);
    size_t written = answer_query(&context, exact, length, source, tcp, out, limit);
    if (written == ANSWER_STREAM ? !tcp || context.transfer == NULL : written > limit) {
        abort();
    }
    if (written != ANSWER_STREAM) {
        check(exact, out, written, tcp ? limit : UDP_LIMIT);
    }
    free(exact);
    free(query);
    free(out);
    return 0;
}
