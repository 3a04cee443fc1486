/* Which worker gets a packet: where workers stay on processors, the one on the processor that
 * received it, so that a query is answered where its network card's queue delivers it. A classic
 * BPF program on the sockets that share a port; private to this room. Pure but for steer_attach.
 * Thread: the owner's, before workers run. */
#ifndef DNS_SERVER_STEER_H
#define DNS_SERVER_STEER_H

#include "dns/server/server.h"

#include <linux/filter.h>
#include <stddef.h>

#define STEER_PROGRAM_LIMIT (2U * DNS_WORKERS_LIMIT + 4U)

/* processors[n] is where worker n stays. Writes the program that gives a packet to the worker on
 * the processor that it runs on, and on a processor without one to the worker whose number is the
 * processor's modulo count. Returns its length; 0 when there is nothing to choose, or when a
 * processor is not known or has two workers: one of them would get nothing, so the kernel spreads
 * packets by their addresses and ports as it does without a program. */
size_t steer_program(const int *processors, size_t count,
                     struct sock_filter program[STEER_PROGRAM_LIMIT]);

/* fd is any of the sockets that share a port, all of them bound (listeners: listening), in the
 * order of the workers. Where the kernel refuses, it spreads packets as it does without a program,
 * and all of them are answered. */
void steer_attach(int fd, const struct sock_filter *program, size_t length);

#endif
