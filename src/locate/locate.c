/* MaxMind-format databases through libmaxminddb: see locate.h. Opened and reloaded on the main
 * thread; searched by DNS workers and the compiler's thread. Invariant: a published database was
 * checked node by node, and its memory never changes. */
#include "locate/locate.h"

#include "base/descriptor.h"
#include "base/memory.h"
#include "base/snapshot.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <maxminddb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_LIMIT ((off_t)2 << 30U)
#define V4_IN_V6 96U /* IPv4 addresses stand below ::/96 */

struct locate {
    SNAPSHOT(MMDB_s) database;
};

/* ---- opening ---- */

static int copy_file(const char *path, int from, int to, struct err *err)
{
    char chunk[65536];
    for (;;) {
        ssize_t got = read(from, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return err_set_errno(err, errno, "location database %s", path);
        }
        if (got == 0) {
            return 0;
        }
        int rc = descriptor_write_all(to, chunk, (size_t)got);
        if (rc != 0) {
            return err_set_errno(err, -rc, "location database %s: copying it", path);
        }
    }
}

/* A descriptor of memory that holds what the file does now. */
static int read_into_memory(const char *path, int *ret_fd, struct err *err)
{
    struct stat status;
    int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0) {
        return err_set_errno(err, errno, "location database %s", path);
    }
    int rc = 0;
    if (fstat(from, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > FILE_LIMIT) {
        rc = err_set(err, ERR_INVALID, "location database %s: no file of at most 2 GiB", path);
    }
    int memory = rc == 0 ? memfd_create("location-database", MFD_CLOEXEC) : -1;
    if (rc == 0 && memory < 0) {
        rc = err_set_errno(err, errno, "memory for the location database");
    }
    rc = rc != 0 ? rc : copy_file(path, from, memory, err);
    (void)close(from); /* only read from */
    if (rc != 0 && memory >= 0) {
        (void)close(memory); /* nobody needs it */
    }
    if (rc == 0) {
        *ret_fd = memory;
    }
    return rc;
}

/* Every node leads somewhere: a damaged tree is found when it is loaded, not when it is asked. */
static int check_tree(const char *path, const MMDB_s *database, struct err *err)
{
    for (uint32_t i = 0; i < database->metadata.node_count; i++) {
        MMDB_search_node_s node;
        int status = MMDB_read_node(database, i, &node);
        if (status != MMDB_SUCCESS || node.left_record_type == MMDB_RECORD_TYPE_INVALID ||
            node.right_record_type == MMDB_RECORD_TYPE_INVALID) {
            return err_set(err, ERR_CORRUPT,
                           "location database %s is damaged: node %u leads nowhere", path, i);
        }
    }
    return 0;
}

static void free_database(void *object)
{
    MMDB_s *database = object;
    MMDB_close(database);
    free(database);
}

/* NULL for the path "". */
static int open_database(const char *path, MMDB_s **ret_database, struct err *err)
{
    if (path[0] == '\0') {
        *ret_database = NULL;
        return 0;
    }
    int fd = -1;
    int rc = read_into_memory(path, &fd, err);
    if (rc != 0) {
        return rc;
    }
    char name[64];
    (void)snprintf(name, sizeof name, "/proc/self/fd/%d", fd); /* fits */
    MMDB_s *database = memory_new(sizeof *database);
    int status = MMDB_open(name, MMDB_MODE_MMAP, database);
    (void)close(fd); /* the mapping stays */
    if (status != MMDB_SUCCESS) {
        free(database);
        return err_set(err, ERR_CORRUPT, "location database %s: %s", path, MMDB_strerror(status));
    }
    rc = check_tree(path, database, err);
    if (rc != 0) {
        free_database(database);
        return rc;
    }
    *ret_database = database;
    return 0;
}

int locate_open(const char *path, struct locate **ret_locate, struct err *err)
{
    MMDB_s *database = NULL;
    int rc = open_database(path, &database, err);
    if (rc != 0) {
        return rc;
    }
    struct locate *locate = memory_new(sizeof *locate);
    (void)SNAPSHOT_PUBLISH(&locate->database, database); /* there was none */
    *ret_locate = locate;
    return 0;
}

int locate_reload(struct locate *locate, const char *path, struct err *err)
{
    MMDB_s *database = NULL;
    int rc = open_database(path, &database, err);
    if (rc != 0) {
        return rc;
    }
    MMDB_s *old = SNAPSHOT_PUBLISH(&locate->database, database);
    if (old != NULL) {
        snapshot_retire(old, free_database);
    }
    return 0;
}

void locate_free(struct locate *take_locate)
{
    if (take_locate == NULL) {
        return;
    }
    MMDB_s *old = SNAPSHOT_PUBLISH(&take_locate->database, NULL);
    if (old != NULL) {
        snapshot_retire(old, free_database);
    }
    free(take_locate);
}

/* ---- searching ---- */

static bool get_value(MMDB_entry_s *entry, const char *const *names, MMDB_entry_data_s *data)
{
    return MMDB_aget_value(entry, data, names) == MMDB_SUCCESS && data->has_data;
}

/* A code of at most size - 1 characters; "" when there is none, or a longer one. */
static void get_code(MMDB_entry_s *entry, const char *const *names, char *out, size_t size)
{
    MMDB_entry_data_s data;
    if (get_value(entry, names, &data) && data.type == MMDB_DATA_TYPE_UTF8_STRING) {
        IGNORE_RESULT(text_copy_n(out, size, data.utf8_string, data.data_size)); /* "" then */
    }
}

static bool get_degrees(MMDB_entry_s *entry, const char *const *names, float limit, float *ret)
{
    MMDB_entry_data_s data;
    if (!get_value(entry, names, &data)) {
        return false;
    }
    float value = data.type == MMDB_DATA_TYPE_DOUBLE  ? (float)data.double_value
                  : data.type == MMDB_DATA_TYPE_FLOAT ? data.float_value
                                                      : limit + 1;
    *ret = value;
    return value >= -limit && value <= limit;
}

static void read_entry(MMDB_entry_s *entry, struct model_place *place)
{
    static const char *const continent[] = {"continent", "code", NULL};
    static const char *const country[] = {"country", "iso_code", NULL};
    static const char *const registered[] = {"registered_country", "iso_code", NULL};
    static const char *const subdivision[] = {"subdivisions", "0", "iso_code", NULL};
    static const char *const latitude[] = {"location", "latitude", NULL};
    static const char *const longitude[] = {"location", "longitude", NULL};
    get_code(entry, continent, place->continent, sizeof place->continent);
    get_code(entry, country, place->country, sizeof place->country);
    if (place->country[0] == '\0') {
        get_code(entry, registered, place->country, sizeof place->country);
    }
    get_code(entry, subdivision, place->subdivision, sizeof place->subdivision);
    place->placed = get_degrees(entry, latitude, 90, &place->latitude) &&
                    get_degrees(entry, longitude, 180, &place->longitude);
}

void locate_find(struct locate *locate, uint8_t family, const uint8_t address[16],
                 struct model_place *ret_place)
{
    MMDB_s *database = SNAPSHOT_LOAD(&locate->database);
    if (database == NULL) {
        return;
    }
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    (void)memcpy(&v4.sin_addr, address, sizeof v4.sin_addr);
    (void)memcpy(&v6.sin6_addr, address, sizeof v6.sin6_addr);
    const void *source = family == 4 ? (const void *)&v4 : (const void *)&v6;
    int error = MMDB_SUCCESS;
    MMDB_lookup_result_s result = MMDB_lookup_sockaddr(database, source, &error);
    if (error != MMDB_SUCCESS) {
        return; /* IPv6 in a database of IPv4 alone */
    }
    struct model_place place = {0};
    unsigned bits = result.netmask;
    if (family == 4 && database->metadata.ip_version == 6) {
        bits = bits > V4_IN_V6 ? bits - V4_IN_V6 : 0;
    }
    place.bits = (uint8_t)bits;
    if (result.found_entry) {
        read_entry(&result.entry, &place);
    }
    *ret_place = place;
}
