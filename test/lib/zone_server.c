/* A DNS server whose zones come from lines on standard input (dns/answer/test_zones.h), so that
 * tests can set zones, health and keys without the API. Not part of the product.
 *
 * Writes "port N" once it answers, on 127.0.0.1, and "ok" or "failed" behind each line. Between
 * lines it signs what is to be signed. One thread owns the database; the server's own workers
 * answer. */
#include "base/snapshot.h"
#include "base/time.h"
#include "dns/answer/test_zones.h"
#include "dns/server/server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_LIMIT 65536U

static struct dns_server *start(struct zone_database *database)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&address;
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct dns_server_config config = {.addresses = &address,
                                       .address_count = 1,
                                       .workers = 1,
                                       .udp_limit = 1232,
                                       .tcp_connections = 100,
                                       .tcp_per_source = 100,
                                       .tcp_idle_ms = 5000,
                                       .zones = zone_database_readers(database)};
    struct dns_server *server = NULL;
    struct err err = ERR_INIT;
    if (dns_server_start(&config, &server, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.message);
        abort();
    }
    const struct sockaddr_storage *bound = dns_server_address(server, 0);
    (void)printf("port %u\n", ntohs(((const struct sockaddr_in *)(const void *)bound)->sin_port));
    (void)fflush(stdout);
    return server;
}

int main(void)
{
    struct zone_database *database = zone_database_new();
    struct dns_server *server = start(database);
    char *line = malloc(LINE_LIMIT);
    if (line == NULL) {
        return 1;
    }
    (void)setvbuf(stdin, NULL, _IONBF, 0); /* so that poll tells the truth */
    for (;;) {
        int64_t wait = zone_database_refresh(database, wall_now());
        struct pollfd input = {.fd = 0, .events = POLLIN};
        if (poll(&input, 1, (int)(wait / TIME_MS)) == 0) {
            continue;
        }
        if (fgets(line, LINE_LIMIT, stdin) == NULL) {
            break;
        }
        (void)puts(test_zones_line(database, line) == 0 ? "ok" : "failed");
        (void)fflush(stdout);
    }
    dns_server_stop(server);
    zone_database_free(database);
    snapshot_drain();
    free(line);
    return 0;
}
