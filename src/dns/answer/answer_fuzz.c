/* Fuzz target: any packet, against a fixed set of zones that has one of everything. The response is
 * never larger than what the client takes, and a strict reader can read it. The first byte chooses
 * UDP or TCP; the rest is the packet. */
#include "dns/answer/answer.h"

#include "base/buf.h"
#include "base/snapshot.h"
#include "dns/answer/test_packet.h"
#include "dns/answer/test_zones.h"

#include <stdlib.h>
#include <string.h>

/* NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UDP_LIMIT 1232U

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
    "record Z3 safe.signed. DS : 55648 13 2 "
    "b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17",
    "sign Z3",
    "publish",
    "refresh",
    "status c1",
};

static struct zone_database *database;

static void free_database(void)
{
    zone_database_free(database);
    snapshot_drain();
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
        atexit(free_database) != 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (database == NULL) {
        make_database();
    }
    if (size == 0 || size > 65535) {
        return 0;
    }
    struct answer_context context = {.zones = zone_database_readers(database),
                                     .udp_limit = UDP_LIMIT};
    random_init(&context.random, 1);
    bool tcp = (data[0] & 1U) != 0;
    size_t limit = tcp ? 65535 : 4096;
    uint8_t *out = malloc(limit);
    if (out == NULL) {
        abort();
    }
    size_t length = answer_query(&context, data + 1, size - 1, NULL, tcp, out, limit);
    struct buf text;
    buf_init(&text, 0);
    if (length > (tcp ? limit : UDP_LIMIT) ||
        (length != 0 &&
         (memcmp(out, data + 1, 2) != 0 || test_response_text(out, length, &text) < 0))) {
        abort();
    }
    buf_done(&text);
    free(out);
    return 0;
}
