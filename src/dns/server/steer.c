/* See steer.h. What the program returns is the number of a socket in the order in which they were
 * bound, which is that of the workers (socket.c). */
#include "dns/server/steer.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

static bool has_turn(const int *processors, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (processors[i] == processors[index]) {
            return false;
        }
    }
    return processors[index] >= 0;
}

size_t steer_program(const int *processors, size_t count,
                     struct sock_filter program[STEER_PROGRAM_LIMIT])
{
    assert(count <= DNS_WORKERS_LIMIT);
    for (size_t i = 0; i < count; i++) {
        if (!has_turn(processors, i)) {
            return 0;
        }
    }
    if (count < 2) {
        return 0;
    }
    size_t length = 0;
    program[length++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_CPU));
    for (size_t i = 0; i < count; i++) {
        program[length++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)processors[i], 0, 1);
        program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (uint32_t)i);
    }
    program[length++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, (uint32_t)count);
    program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_A, 0);
    return length;
}

void steer_attach(int fd, const struct sock_filter *program, size_t length)
{
    union {
        const struct sock_filter *borrowed;
        struct sock_filter *wanted; /* by the type; setsockopt only reads */
    } code = {.borrowed = program};
    struct sock_fprog attached = {.len = (unsigned short)length, .filter = code.wanted};
    /* See the header for a failure. */
    (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &attached, sizeof attached);
}
