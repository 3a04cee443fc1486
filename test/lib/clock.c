/* A wall clock beside the true one, for one program: loaded into it by LD_PRELOAD, it adds what the
 * file that LEEWARD_TEST_CLOCK names holds (nanoseconds, 64 bits) to CLOCK_REALTIME. The file is
 * mapped, so the clock jumps while the program runs when somebody writes there (test/lib/fleet.py).
 * The functions of the kernel's vDSO are overwritten, not those of libc: programs in Go, as etcd
 * is, ask them directly. Monotonic clocks stay as they are. Invariant: what runs here in the place
 * of the vDSO uses neither libc nor thread-local storage. x86-64 only. */
#include "base/macro.h"

#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

static const volatile int64_t *offset;

/* A system call without libc: its errno is thread-local, and the caller's thread may have none. */
static long ask_kernel(long number, long first, void *second)
{
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(first), "S"(second)
                     : "rcx", "r11", "memory");
    return result;
}

static int64_t true_time(void)
{
    struct timespec now = {0};
    (void)ask_kernel(SYS_clock_gettime, CLOCK_REALTIME, &now); /* cannot fail */
    return now.tv_sec * SECOND + now.tv_nsec;
}

static int moved_clock_gettime(clockid_t clock, struct timespec *ret_time)
{
    long result = ask_kernel(SYS_clock_gettime, clock, ret_time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t moved = ret_time->tv_sec * SECOND + ret_time->tv_nsec + *offset;
        ret_time->tv_sec = moved / SECOND;
        ret_time->tv_nsec = moved % SECOND;
    }
    return (int)result;
}

static int moved_gettimeofday(struct timeval *ret_time, struct timezone *ret_zone)
{
    if (ret_zone != NULL) {
        (void)ask_kernel(SYS_gettimeofday, 0, ret_zone); /* the zone alone */
    }
    if (ret_time != NULL) {
        int64_t moved = true_time() + *offset;
        ret_time->tv_sec = moved / SECOND;
        ret_time->tv_usec = moved % SECOND / 1000;
    }
    return 0;
}

static time_t moved_time(time_t *ret_time)
{
    time_t moved = (time_t)((true_time() + *offset) / SECOND);
    if (ret_time != NULL) {
        *ret_time = moved;
    }
    return moved;
}

static NORETURN void give_up(const char *what)
{
    (void)fprintf(stderr, "test clock: %s\n", what);
    _exit(70);
}

/* mov rax, to; jmp rax */
static void lead(uint8_t *from, uintptr_t to)
{
    from[0] = 0x48;
    from[1] = 0xb8;
    memcpy(&from[2], &to, sizeof to);
    from[10] = 0xff;
    from[11] = 0xe0;
}

static void lead_function(uint8_t *code, const char *name)
{
    if (strcmp(name, "__vdso_clock_gettime") == 0) {
        lead(code, (uintptr_t)moved_clock_gettime);
    } else if (strcmp(name, "__vdso_gettimeofday") == 0) {
        lead(code, (uintptr_t)moved_gettimeofday);
    } else if (strcmp(name, "__vdso_time") == 0) {
        lead(code, (uintptr_t)moved_time);
    }
}

/* The vDSO is a small shared library in memory; all of its segments are mapped as they lie in the
 * file. */
static void lead_all(uint8_t *base)
{
    const Elf64_Ehdr *header = (const void *)base;
    const Elf64_Shdr *sections = (const void *)(base + header->e_shoff);
    size_t size = header->e_shoff + (size_t)header->e_shnum * sizeof *sections;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (mprotect(base, (size + page - 1) / page * page, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) {
        give_up("the kernel does not let its vDSO be written");
    }
    for (size_t i = 0; i < header->e_shnum; i++) {
        if (sections[i].sh_type != SHT_DYNSYM) {
            continue;
        }
        const Elf64_Sym *symbols = (const void *)(base + sections[i].sh_offset);
        const char *names = (const char *)base + sections[sections[i].sh_link].sh_offset;
        for (size_t s = 0; s < sections[i].sh_size / sizeof *symbols; s++) {
            if (ELF64_ST_TYPE(symbols[s].st_info) == STT_FUNC) {
                lead_function(base + symbols[s].st_value, names + symbols[s].st_name);
            }
        }
    }
}

static __attribute__((__constructor__)) void begin(void)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): before the program's first thread */
    const char *path = getenv("LEEWARD_TEST_CLOCK");
    if (path == NULL) {
        return;
    }
    int file = open(path, O_RDONLY | O_CLOEXEC);
    void *mapped =
        file < 0 ? MAP_FAILED : mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) {
        give_up("LEEWARD_TEST_CLOCK names no file of eight bytes");
    }
    (void)close(file); /* only mapped */
    offset = mapped;
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel tells the address as a number */
    uint8_t *base = (uint8_t *)getauxval(AT_SYSINFO_EHDR);
    if (base == NULL) {
        give_up("there is no vDSO");
    }
    lead_all(base);
}
