/* Tests of the program that gives packets to workers; what it does is computed here, instruction by
 * instruction, for any processor. server_test.c has it in the kernel. */
#include "dns/server/steer.h"

#include "base/macro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* What the kernel would do on that processor. */
static uint32_t run(const struct sock_filter *program, size_t length, uint32_t processor)
{
    uint32_t value = 0;
    for (size_t at = 0; at < length; at++) {
        const struct sock_filter *step = &program[at];
        switch (step->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            assert_int_equal(step->k, (uint32_t)(SKF_AD_OFF + SKF_AD_CPU));
            value = processor;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            at += value == step->k ? step->jt : step->jf;
            break;
        case BPF_ALU | BPF_MOD | BPF_K:
            value %= step->k;
            break;
        case BPF_RET | BPF_K:
            return step->k;
        case BPF_RET | BPF_A:
            return value;
        default:
            fail_msg("instruction %x", step->code);
        }
    }
    fail_msg("no end");
    return 0;
}

static void a_packet_goes_to_the_worker_on_its_processor(void **state)
{
    (void)state;
    static const int processors[] = {1, 3, 64, 7};
    struct sock_filter program[STEER_PROGRAM_LIMIT];
    size_t length = steer_program(processors, ARRAY_SIZE(processors), program);
    assert_in_range(length, 1, STEER_PROGRAM_LIMIT);
    for (size_t i = 0; i < ARRAY_SIZE(processors); i++) {
        assert_int_equal(run(program, length, (uint32_t)processors[i]), i);
    }
}

static void processors_without_a_worker_are_shared_out(void **state)
{
    (void)state;
    static const int processors[] = {0, 1, 2};
    struct sock_filter program[STEER_PROGRAM_LIMIT];
    size_t length = steer_program(processors, ARRAY_SIZE(processors), program);
    for (uint32_t processor = 0; processor < 1000; processor++) {
        assert_int_equal(run(program, length, processor), processor % 3);
    }
}

static void as_many_workers_as_there_can_be_fit(void **state)
{
    (void)state;
    int processors[DNS_WORKERS_LIMIT];
    for (unsigned i = 0; i < DNS_WORKERS_LIMIT; i++) {
        processors[i] = (int)(2 * i);
    }
    struct sock_filter program[STEER_PROGRAM_LIMIT];
    size_t length = steer_program(processors, DNS_WORKERS_LIMIT, program);
    assert_in_range(length, 1, STEER_PROGRAM_LIMIT);
    for (uint32_t i = 0; i < DNS_WORKERS_LIMIT; i++) {
        assert_int_equal(run(program, length, 2 * i), i);
        assert_in_range(run(program, length, 2 * i + 1), 0, DNS_WORKERS_LIMIT - 1);
    }
}

static void nothing_is_chosen_where_a_worker_would_get_nothing(void **state)
{
    (void)state;
    struct sock_filter program[STEER_PROGRAM_LIMIT];
    assert_int_equal(steer_program((const int[]){0, 1, 0}, 3, program), 0);
    assert_int_equal(steer_program((const int[]){0, -1}, 2, program), 0);
    assert_int_equal(steer_program((const int[]){0}, 1, program), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_goes_to_the_worker_on_its_processor),
        cmocka_unit_test(processors_without_a_worker_are_shared_out),
        cmocka_unit_test(as_many_workers_as_there_can_be_fit),
        cmocka_unit_test(nothing_is_chosen_where_a_worker_would_get_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
