/*
 * A system vector to begin with: a few bytes of code in a small machine of 2 MiB, mapped one to one, in each mode that
 * tests of lockstep need.
 */
#ifndef TESTS_SMALL_MACHINE_H
#define TESTS_SMALL_MACHINE_H

#include "kvm/system_vector.h"

enum small_mode {
    SMALL_REAL,
    SMALL_KERNEL64,
    SMALL_USER64,
    SMALL_KERNEL32, /* compatibility mode at CPL 0 */
    SMALL_USER32,   /* compatibility mode at CPL 3 */
    SMALL_PAGED32,  /* protected mode, 32-bit paging, CPL 0 */
};

#define SMALL_CODE  0x8000u
#define SMALL_DATA  0x9000u
#define SMALL_STACK 0xB000u /* its end */
/* Selectors of the GDT, which is laid out as Linux has it. */
enum { SMALL_CS = 0x10, SMALL_SS = 0x18, SMALL_CS32 = 0x20, SMALL_USER_SS = 0x2B, SMALL_USER_CS = 0x33 };

/* Every feature of the table, levels of x86-64-v4. */
extern const struct cpu_model *const small_machine_model;
/* Fills an empty vector; RSI, RDI and RBX point to data. */
void small_machine(struct system_vector *vector, enum small_mode mode, const uint8_t *code, unsigned count);
/* Bytes of memory. */
void small_machine_put(struct system_vector *vector, uint64_t physical, const void *bytes, unsigned count);

#endif
