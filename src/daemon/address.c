/* Addresses with ports, in text: the part of config.h that the command line and the file share.
 * Main thread; pure. */
#include "base/address.h"

#include "base/text.h"
#include "daemon/config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

int config_parse_address(const char *text, struct sockaddr_storage *ret_address, struct err *err)
{
    char host[INET6_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    bool bracket = text[0] == '[' && colon != NULL && colon > text + 1 && colon[-1] == ']';
    const char *start = bracket ? text + 1 : text;
    int64_t port = 0;
    if (colon == NULL || colon < start ||
        text_copy_n(host, sizeof host, start, (size_t)(colon - start) - (bracket ? 1U : 0U)) != 0) {
        return err_set(err, ERR_INVALID, "'%s' is not ADDR:PORT, such as 127.0.0.1:53 or [::1]:53",
                       text);
    }
    if (text_to_i64(colon + 1, 0, 65535, &port) != 0) {
        return err_set(err, ERR_INVALID, "'%s': the port is not a number from 0 to 65535", text);
    }
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&address;
    if (!bracket && inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
    } else if (bracket && inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
    } else {
        return err_set(err, ERR_INVALID,
                       "'%s': '%s' is not an IP address (names are not looked up; IPv6 goes in [])",
                       text, host);
    }
    *ret_address = address;
    return 0;
}

bool config_address_is_loopback(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    if (address->ss_family == AF_INET6) {
        return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    }
    return (ntohl(v4->sin_addr.s_addr) >> 24U) == 127;
}

bool config_address_is_any(const struct sockaddr_storage *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    (void)memcpy(&v4, address, sizeof v4);
    (void)memcpy(&v6, address, sizeof v6);
    return address->ss_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr)
                                          : v4.sin_addr.s_addr == htonl(INADDR_ANY);
}

int config_check_reached(const char *text, struct err *err)
{
    struct sockaddr_storage address = {0};
    int rc = config_parse_address(text, &address, err);
    return rc == 0 && config_address_is_any(&address)
               ? err_set(err, ERR_INVALID, "nobody can be reached at '%s': name one address", text)
               : rc;
}

void config_take_port(struct sockaddr_storage *address, const struct sockaddr_storage *from)
{
    struct sockaddr_in *to4 = (struct sockaddr_in *)(void *)address;
    struct sockaddr_in6 *to6 = (struct sockaddr_in6 *)(void *)address;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)from;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)from;
    in_port_t port = from->ss_family == AF_INET6 ? v6->sin6_port : v4->sin_port;
    if (address->ss_family == AF_INET6) {
        to6->sin6_port = port;
    } else {
        to4->sin_port = port;
    }
}

int config_parse_prefix(const char *text, sa_family_t *ret_family, uint8_t *ret_bits,
                        uint8_t ret_address[16], struct err *err)
{
    char host[INET6_ADDRSTRLEN] = "";
    uint8_t address[16] = {0};
    size_t length = strcspn(text, "/");
    sa_family_t family = memchr(text, ':', length) != NULL ? AF_INET6 : AF_INET;
    int64_t bits = family == AF_INET6 ? 128 : 32;
    if (length < sizeof host) {
        (void)memcpy(host, text, length);
    }
    if (inet_pton(family, host, address) != 1 ||
        (text[length] == '/' && text_to_i64(text + length + 1, 0, bits, &bits) != 0)) {
        return err_set(err, ERR_INVALID, "'%s' is not a prefix such as 192.0.2.0/24", text);
    }
    *ret_family = family;
    *ret_bits = (uint8_t)bits;
    (void)memcpy(ret_address, address, sizeof address);
    return 0;
}

/* The n-th address after the first, as text. */
static char *address_after(struct arena *arena, struct in_addr first, uint32_t n)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(ntohl(first.s_addr) + n)};
    char text[ADDRESS_TEXT];
    address_text((const struct sockaddr *)&address, text);
    return arena_strdup(arena, text);
}

int config_parse_range(const char *text, struct arena *arena, struct config_range *ret_range,
                       struct err *err)
{
    const char *equals = strchr(text, '=');
    const char *dash = equals != NULL && strchr(equals, '.') != NULL ? strchr(equals, '-') : NULL;
    struct in_addr first;
    struct in_addr last;
    struct in6_addr single;
    if (equals == NULL || equals == text) {
        return err_set(err, ERR_INVALID, "'%s' is not REGION=ADDRESS or REGION=FIRST-LAST", text);
    }
    size_t length = dash != NULL ? (size_t)(dash - equals - 1) : strlen(equals + 1);
    const char *low = arena_memdup(arena, equals + 1, length);
    struct config_range range = {.region = arena_memdup(arena, text, (size_t)(equals - text)),
                                 .count = 1};
    if (inet_pton(AF_INET6, low, &single) == 1) {
        range.addresses = arena_array(arena, 1, sizeof *range.addresses);
        range.addresses[0] = low;
        *ret_range = range;
        return 0;
    }
    if (inet_pton(AF_INET, low, &first) != 1 ||
        inet_pton(AF_INET, dash != NULL ? dash + 1 : low, &last) != 1) {
        return err_set(err, ERR_INVALID, "'%s': these are no addresses", text);
    }
    if (ntohl(last.s_addr) < ntohl(first.s_addr) ||
        ntohl(last.s_addr) - ntohl(first.s_addr) >= CONFIG_RANGE_LIMIT) {
        return err_set(err, ERR_INVALID, "'%s' is not a range of 1 to %u addresses", text,
                       CONFIG_RANGE_LIMIT);
    }
    range.count = ntohl(last.s_addr) - ntohl(first.s_addr) + 1;
    range.addresses = arena_array(arena, range.count, sizeof *range.addresses);
    for (size_t i = 0; i < range.count; i++) {
        range.addresses[i] = address_after(arena, first, (uint32_t)i);
    }
    *ret_range = range;
    return 0;
}
