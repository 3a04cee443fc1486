/* For the tests of this room: a scripted TCP server, checks in a memory store, and waiting for a
 * condition with a deadline of two minutes. Linked into tests only. */
#ifndef HEALTH_TEST_SUPPORT_H
#define HEALTH_TEST_SUPPORT_H

#include "base/macro.h"
#include "health/health.h"
#include "health/probe/probe.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

/* What the server does with each connection. */
enum server_script {
    SERVER_ANSWER,      /* reads a request, sends the answer, closes */
    SERVER_ANSWER_SLOW, /* the same, one byte every 20 ms from `slow_from` on */
    SERVER_SILENT,      /* accepts and reads, and says nothing */
    SERVER_RESET,       /* reads a request, then resets */
    SERVER_CLOSE,       /* reads a request, then closes */
};

struct test_server;

/* Listens on 127.0.0.1 with a port from the kernel. The answer is borrowed. */
struct test_server *test_server_new(enum server_script script, const char *answer, size_t size)
    MUST_CHECK;
void test_server_set(struct test_server *server, enum server_script script, const char *answer,
                     size_t size);
void test_server_slow_from(struct test_server *server, size_t at);
uint16_t test_server_port(const struct test_server *server);
/* How many connections came, and the last request (cut to size). */
unsigned test_server_connections(struct test_server *server);
void test_server_request(struct test_server *server, char *out, size_t size);
/* Stops listening: connections are refused from then on. */
void test_server_down(struct test_server *server);
void test_server_up(struct test_server *server);
void test_server_free(struct test_server *take_server);

/* A port of 127.0.0.1 where nobody listens. */
uint16_t test_free_port(void);

/* Puts a check and, when tags is not NULL, its tags ("key=value key=value"). config: the members of
 * HealthCheckConfig as JSON, without the braces. */
void test_put_check(struct store *store, const char *id, const char *config, const char *tags);
void test_delete_check(struct store *store, const char *id);

/* The published state of all checks, as `published` of struct health_config leaves it. */
struct test_board;

struct test_board *test_board_new(void) MUST_CHECK;
void test_board_free(struct test_board *take_board);
void test_board_published(void *context, const struct model_status *status);
/* Health checks of the node "node-1", published to the board; what it keeps is in the store too. */
struct health *test_health_start(struct store *store, struct test_board *board) MUST_CHECK;
/* Waits until the check has this state; false after the deadline. ret_decided, when not NULL, gets
 * model_status.decided of that table. */
bool test_board_wait(struct test_board *board, const char *id, bool healthy,
                     struct mono *ret_decided);
/* Waits until the check has no entry. */
bool test_board_wait_gone(struct test_board *board, const char *id);
bool test_board_healthy(struct test_board *board, const char *id);
/* How many tables came, and whether their generations went up by one each. */
uint64_t test_board_publications(struct test_board *board, bool *ret_in_order);
/* How often `healthy` of this check changed. */
unsigned test_board_changes(struct test_board *board, const char *id);

/* Open descriptors of this process. */
size_t test_open_files(void);
/* Calls reached(context) every 2 ms until it is true; false after the deadline. */
bool test_wait(bool (*reached)(void *context), void *context);

/* ---- seeds ---- */

/* Runs `count` seeds, from a random one on, which is printed; only that of LEEWARD_SEED when the
 * environment has it. */
void test_seeds(unsigned count, void (*run)(uint64_t seed));

#endif
