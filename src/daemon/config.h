/* Configuration: defaults, then the YAML file, then flags. A loaded config is immutable and
 * replaced whole. Thread: main. */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "daemon/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

struct config_list {
    const char **items;
    size_t count;
};

struct config {
#define TEXT(member, name, flag, value, initial, reloadable, help) const char *member;
#define LIST(member, name, flag, value, initial, reloadable, help) struct config_list member;
#define NUMBER(member, name, flag, initial, low, high, reloadable, help) int64_t member;
#define FLAG(member, name, flag, initial, reloadable, help) bool member;
    CONFIG_OPTIONS(TEXT, LIST, NUMBER, FLAG)
#undef TEXT
#undef LIST
#undef NUMBER
#undef FLAG
};

/* What the command line asks for. */
enum config_action { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION, CONFIG_REFERENCE };

/* Reads the flags, and the file that --config names. The config belongs to the caller
 * (config_free). ERR_INVALID names the flag, or file and line, and what would be right. */
int config_load(int argc, char *const *argv, enum config_action *ret_action,
                struct config **ret_config, struct err *err) MUST_CHECK;
void config_free(struct config *take_config);
/* For CLEANUP. */
void config_cleanup(struct config **config);

/* What an option's own bounds cannot say: config_check.c, for config_load. ERR_INVALID begins with
 * the option's name. */
int config_check(const struct config *config, struct err *err) MUST_CHECK;

/* Names of the options that differ between the two and only a restart can change, ", " between
 * them; "" when none. */
void config_pending_restart(const struct config *running, const struct config *loaded, char *out,
                            size_t size);

/* --help, and the reference page in Markdown. */
void config_print_help(FILE *out);
void config_print_reference(FILE *out);

/* "127.0.0.1:5300", "[::1]:53", "0.0.0.0:53"; names are not resolved. ERR_INVALID with what was
 * wrong. */
int config_parse_address(const char *text, struct sockaddr_storage *ret_address, struct err *err)
    MUST_CHECK;
/* "192.0.2.0/24", "2001:db8::/32", or one address: family, bits and the address's bytes, 4 or 16.
 * ERR_INVALID with what was wrong. */
int config_parse_prefix(const char *text, sa_family_t *ret_family, uint8_t *ret_bits,
                        uint8_t ret_address[16], struct err *err) MUST_CHECK;
/* "us-east-1=192.0.2.10-192.0.2.19" or "us-east-1=2001:db8::1": up to CONFIG_RANGE_LIMIT addresses
 * as text, in the arena. ERR_INVALID with what was wrong. */
#define CONFIG_RANGE_LIMIT 256U
struct config_range {
    const char *region;
    const char **addresses;
    size_t count;
};
int config_parse_range(const char *text, struct arena *arena, struct config_range *ret_range,
                       struct err *err) MUST_CHECK;
bool config_address_is_loopback(const struct sockaddr_storage *address);
/* 0.0.0.0 or [::]: listened at, never reached. */
bool config_address_is_any(const struct sockaddr_storage *address);
/* An address that others can be told. ERR_INVALID with what was wrong. */
int config_check_reached(const char *text, struct err *err) MUST_CHECK;
/* Gives the address the port of another one. */
void config_take_port(struct sockaddr_storage *address, const struct sockaddr_storage *from);

#endif
