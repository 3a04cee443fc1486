/* Every setting of leewardd, once: this table makes the struct, the flags, the parser, the checks,
 * --help and docs/configuration.md (`make docs`). Included by config.h and config.c only.
 *
 * TEXT(member, "yaml.name", "flag", "VALUE", "default", reloadable, "help")
 * LIST(member, "yaml.name", "flag", "VALUE", "default, default", reloadable, "help")
 * NUMBER(member, "yaml.name", "flag", default, low, high, reloadable, "help")
 * FLAG(member, "yaml.name", "flag", default, reloadable, "help")
 */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#define CONFIG_OPTIONS(TEXT, LIST, NUMBER, FLAG)                                                   \
    TEXT(data, "data", "data", "DIR", "/var/lib/leeward", false,                                   \
         "directory of the embedded store and of everything else that is kept")                    \
    TEXT(seal_key, "seal-key", "seal-key", "FILE", "", false,                                      \
         "file with the keys that seal secrets in the store; made when it does not exist; "        \
         "default: seal.key in the data directory")                                                \
    TEXT(user, "user", "user", "NAME", "leeward", false,                                           \
         "started as root, become this user once all ports are bound")                             \
    FLAG(sandbox, "sandbox", "sandbox", true, false,                                               \
         "refuse system calls that start programs, mount, trace or load code; no core dumps")      \
    LIST(regions, "regions", "region", "NAME", "us-east-1", false,                                 \
         "regions this daemon serves; the first is the region of its health checker")              \
    TEXT(node, "node", "node", "NAME", "", false,                                                  \
         "name of this daemon among the others; default: the host's name")                         \
    LIST(region_coordinates, "region-coordinates", "region-coordinates", "NAME=LAT,LON", "",       \
         false, "where regions are that AWS does not have, in degrees: site-a=52.37,4.90")         \
    TEXT(site, "site", "site", "NAME", "", false,                                                  \
         "name of this site among others of a cluster (a-z, 0-9 and '-'); default: there are "     \
         "no others")                                                                              \
    TEXT(peer_address, "peer.address", "peer", "ADDR:PORT", "", false,                             \
         "where other sites are listened to; needs a site's name")                                 \
    TEXT(peer_advertise, "peer.advertise", "peer-advertise", "ADDR:PORT", "", false,               \
         "where other sites reach this one, if that is another address than peer.address; "        \
         "needed where that is a wildcard")                                                        \
    TEXT(account, "account", "account", "ID", "123456789012", false, "account id in ARNs")         \
    TEXT(store, "store", "store", "STORE", "sqlite", false,                                        \
         "sqlite, in the data directory; or etcd, which several sites share")                      \
    LIST(etcd_endpoints, "etcd.endpoints", "etcd", "URL", "", false,                               \
         "client URLs of etcd's members, this site's own first: http://HOST:PORT or https://...")  \
    TEXT(etcd_prefix, "etcd.prefix", "etcd-prefix", "TEXT", "leeward/", false,                     \
         "what all keys in etcd begin with; ends in '/'")                                          \
    TEXT(etcd_ca, "etcd.ca", "etcd-ca", "FILE", "", false,                                         \
         "PEM file with the certificates that etcd's members are trusted by; default: the "        \
         "system's")                                                                               \
    TEXT(etcd_certificate, "etcd.certificate", "etcd-certificate", "FILE", "", false,              \
         "PEM file with the client certificate that etcd's members want to see")                   \
    TEXT(etcd_key, "etcd.key", "etcd-key", "FILE", "", false,                                      \
         "PEM file with that certificate's key")                                                   \
    TEXT(etcd_user, "etcd.user", "etcd-user", "NAME", "", false,                                   \
         "user of etcd's password authentication; default: none")                                  \
    TEXT(etcd_password_file, "etcd.password-file", "etcd-password-file", "FILE", "", false,        \
         "file with that user's password on its first line")                                       \
    NUMBER(etcd_timeout_ms, "etcd.timeout-ms", "etcd-timeout-ms", 3000, 200, 60000, false,         \
           "longest that a call to etcd takes; a change without an answer by then may have "       \
           "happened or not")                                                                      \
    TEXT(database_directory, "database.directory", "database-directory", "DIR", "", false,         \
         "directory in which the database servers of this machine live; turns the database agent " \
         "on; default: there are none")                                                            \
    TEXT(database_user, "database.user", "database-user", "NAME", "postgres", false,               \
         "started as root, the database agent and its servers run as this user; else all run as "  \
         "the one who started the daemon")                                                         \
    TEXT(database_bin, "database.bin", "database-bin", "DIR", "", false,                           \
         "directory of PostgreSQL's programs; default: the newest version's in "                   \
         "/usr/lib/postgresql")                                                                    \
    LIST(database_addresses, "database.addresses", "database-addresses", "REGION=FIRST[-LAST]",    \
         "", false,                                                                                \
         "addresses that the database servers of a region listen on, each on one: "                \
         "us-east-1=192.0.2.10-192.0.2.19; a region may come several times")                       \
    TEXT(database_zone, "database.zone", "database-zone", "NAME", "", false,                       \
         "hosted zone of Leeward's in which the endpoints of databases are named; default: they "  \
         "are plain addresses")                                                                    \
    TEXT(database_attach, "database.attach-directory", "database-attach", "DIR", "", false,        \
         "directory with a file NAME.conf for each database server that somebody else runs; "      \
         "default: there are none")                                                                \
    FLAG(database_stop_servers, "database.stop-servers", "database-stop-servers", true, true,      \
         "a clean stop of the daemon stops the database servers too; no: they go on, writers "     \
         "until their lease runs out, as for an upgrade of Leeward")                               \
    NUMBER(database_aside_days, "database.aside-days", "database-aside-days", 30, 1, 3650, false,  \
           "days that what is put aside of an old writer is kept")                                 \
    NUMBER(database_aside_count, "database.aside-count", "database-aside-count", 8, 0, 1000,       \
           false,                                                                                  \
           "folders put aside, of one server, that are kept for these days though nothing was "    \
           "lost with them; those with lost transactions are")                                     \
    NUMBER(database_ttl_s, "database.ttl", "database-ttl", 1, 1, 5, false,                         \
           "seconds that resolvers may keep the endpoints of databases")                           \
    TEXT(database_check, "database.check-address", "database-check", "ADDR:PORT", "", false,       \
         "where load balancers ask over HTTP whether a database server writes or reads "           \
         "(0.0.0.0:8008: at each server's own address); default: nowhere")                         \
    TEXT(log_level, "log-level", "log-level", "LEVEL", "info", true, "debug, info, warn or error") \
    TEXT(api_address, "api.address", "api", "ADDR:PORT", "127.0.0.1:4566", false,                  \
         "where the API listens; away from loopback it needs a certificate")                       \
    TEXT(api_advertise, "api.advertise", "api-advertise", "URL", "", false,                        \
         "where clients reach the API, as other sites name it; default: api.address, with the "    \
         "host that other sites reach this one at, where that is a wildcard")                      \
    NUMBER(api_threads, "api.threads", "api-threads", 4, 1, 64, false, "threads of the API")       \
    NUMBER(api_connections, "api.connections", "api-connections", 2048, 16, 65536, false,          \
           "connections to the API at once; further ones wait or are refused")                     \
    NUMBER(api_idle_ms, "api.idle-ms", "api-idle-ms", 15000, 100, 600000, false,                   \
           "an API connection without progress is closed after this long")                         \
    TEXT(api_certificate, "api.certificate", "api-certificate", "FILE", "", false,                 \
         "PEM file with the API's certificate chain; turns TLS on")                                \
    TEXT(api_key, "api.key", "api-key", "FILE", "", false, "PEM file with the certificate's key")  \
    FLAG(api_plaintext, "api.plaintext", "api-plaintext", false, false,                            \
         "allow an API without TLS away from loopback (behind a proxy that adds it)")              \
    LIST(dns_addresses, "dns.addresses", "dns", "ADDR:PORT", "127.0.0.1:5300", false,              \
         "where DNS answers, over UDP and TCP")                                                    \
    NUMBER(dns_workers, "dns.workers", "dns-workers", 0, 0, 64, false,                             \
           "DNS threads; 0: one a processor")                                                      \
    FLAG(dns_pin_workers, "dns.pin-workers", "dns-pin-workers", false, false,                      \
         "keep each DNS thread on a processor of its own, and let it answer what arrives there: "  \
         "for machines that do little else, whose network card has a queue for each processor")    \
    NUMBER(dns_udp_limit, "dns.udp-limit", "dns-udp-limit", 1232, 512, 4096, false,                \
           "largest UDP response, bytes")                                                          \
    TEXT(dns_location_database, "dns.location-database", "dns-location-database", "FILE", "",      \
         true,                                                                                     \
         "MaxMind-format file that says where addresses are, for latency, geolocation and "        \
         "geoproximity records; read again at SIGHUP")                                             \
    NUMBER(dns_tcp_connections, "dns.tcp-connections", "dns-tcp-connections", 2000, 1, 100000,     \
           false, "DNS connections over TCP at once")                                              \
    NUMBER(dns_tcp_idle_ms, "dns.tcp-idle-ms", "dns-tcp-idle-ms", 10000, 100, 600000, false,       \
           "a DNS connection without a query is closed after this long")                           \
    NUMBER(dns_rate_limit, "dns.rate-limit", "dns-rate-limit", 0, 0, 1000000, false,               \
           "UDP responses a second, of each class, to one network (IPv4 /24, IPv6 /56) without a " \
           "good cookie; 0: no limit")                                                             \
    NUMBER(                                                                                        \
        dns_rate_limit_slip, "dns.rate-limit-slip", "dns-rate-limit-slip", 2, 0, 100, false,       \
        "every n-th response over the limit says \"use TCP\" instead of being dropped; 0: none")   \
    LIST(dns_rate_limit_exempt, "dns.rate-limit-exempt", "dns-rate-limit-exempt", "PREFIX", "",    \
         false, "networks without a limit, such as 192.0.2.0/24")                                  \
    TEXT(dns_cookie_secrets, "dns.cookie-secrets", "dns-cookie-secrets", "FILE", "", true,         \
         "secrets of DNS cookies: lines of 32 hexadecimal digits, the first makes, all are "       \
         "accepted; the same file on all servers of an anycast address; default: made at each "    \
         "start")                                                                                  \
    FLAG(dns_require_cookie, "dns.require-cookie", "dns-require-cookie", false, true,              \
         "under attack: over UDP answer only clients with a good cookie; others get BADCOOKIE, "   \
         "or are sent to TCP")                                                                     \
    LIST(dns_tls_addresses, "dns.tls", "dns-tls", "ADDR:PORT", "", false,                          \
         "where DNS answers over TLS (usually port 853); default: nowhere")                        \
    LIST(dns_https_addresses, "dns.https", "dns-https", "ADDR:PORT", "", false,                    \
         "where DNS answers over HTTPS at /dns-query (usually port 443); default: nowhere")        \
    TEXT(                                                                                          \
        dns_tls_certificate, "dns.tls-certificate", "dns-tls-certificate", "FILE", "", true,       \
        "PEM file with the certificate chain of DNS over TLS and HTTPS; read anew at each reload") \
    TEXT(dns_tls_key, "dns.tls-key", "dns-tls-key", "FILE", "", true,                              \
         "PEM file with that certificate's key")                                                   \
    TEXT(metrics, "metrics.address", "metrics", "ADDR:PORT", "", false,                            \
         "where /metrics is served for Prometheus; default: nowhere")                              \
    FLAG(metrics_public, "metrics.public", "metrics-public", false, false,                         \
         "allow metrics away from loopback: whoever reaches the port reads them")                  \
    NUMBER(dns_transfers, "dns.transfers", "dns-transfers", 8, 1, 256, false,                      \
           "zone transfers at once, out and in each; further ones wait")                           \
    NUMBER(dns_transfer_timeout_ms, "dns.transfer-timeout-ms", "dns-transfer-timeout-ms", 10000,   \
           100, 600000, false,                                                                     \
           "a zone transfer whose other side does nothing for this long is cut")                   \
    NUMBER(                                                                                        \
        zone_key_period_s, "dns.zone-key-period", "dns-zone-key-period", 7776000, 0, 315360000,    \
        false,                                                                                     \
        "seconds that the zone-signing key of a signed zone signs before the next one does; 0: "   \
        "for ever; at least 3888000 (45 days), but for tests")                                     \
    LIST(name_servers, "dns.name-servers", "name-server", "NAME",                                  \
         "ns-1.leeward.internal, ns-2.leeward.internal, ns-3.leeward.internal, "                   \
         "ns-4.leeward.internal",                                                                  \
         false, "the four host names that new zones are delegated to")

#endif
