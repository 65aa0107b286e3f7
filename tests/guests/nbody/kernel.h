/*
 * The n-body microkernel between its files: boot.asm, kernel.c, machine.c, print.c. Long mode, tables of its own, a
 * tick from the PIT that overwrites all vector registers behind the back of whatever runs.
 */
#ifndef TESTS_GUESTS_NBODY_KERNEL_H
#define TESTS_GUESTS_NBODY_KERNEL_H

#include "system.h"

#include <stdbool.h>

/* What the processor offers and the kernel has switched on. */
enum vector_level { LEVEL_SSE, LEVEL_AVX2, LEVEL_AVX512 };
struct features {
    enum vector_level level;
    bool xsave, smep, smap, umip;
};

struct interrupt_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* --- machine.c --- */

/* Page tables, descriptor tables, control registers; the tick comes every `divisor` periods of the PIT, 0 for never.
 * Interrupts are on afterwards. */
void machine_start(struct features *features, uint16_t divisor);
uint64_t machine_ticks(void);
/* FNINIT and the default MXCSR. */
void machine_reset_fp(void);
/* Runs function(report) at CPL 3 on a stack of its own; the variants' pages are given to CPL 3 meanwhile. */
void machine_user_call(void (*function)(uint64_t), struct report *report);
/* Ends the machine through the debug-exit port. */
__attribute__((noreturn)) void machine_end(uint8_t code);

/* --- print.c: to the UART --- */

void print(const char *text);
void print_unsigned(uint64_t value);
void print_hex(uint64_t value);
/* Exactly, with `places` digits behind the point; what comes behind them is cut off. */
void print_f64(const union number *x, unsigned places);
void print_f80(const union number *x, unsigned places);
void print_fixed(const union number *x, unsigned places);

/* --- boot.asm --- */

extern const uint64_t stubs[48];
/* Runs function(report) at CPL 3; `stack` holds the address of user_return already. rsp0: in the TSS. */
void user_call(void (*function)(uint64_t), struct report *report, void *stack, uint32_t *rsp0);
void user_return(void);
void user_left(void);
/* `area` has 4096 bytes, aligned to 64, zeroed at first. */
void vectors_save(void *area, bool with_xsave);
void vectors_restore(const void *area, bool with_xsave);
void vectors_clobber(enum vector_level level);

static inline void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

#endif
