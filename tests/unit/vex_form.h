/*
 * VEX and EVEX instructions made up from rows of the table, for tests that run them in the interpreter and compare with
 * the host (test_simd_vex.c) or with a model of their own (test_simd_model.c): encodings with random registers,
 * lengths, masks, zeroing, broadcast, rounding and scaled displacements, and states with random and awkward operands.
 */
#ifndef TESTS_UNIT_VEX_FORM_H
#define TESTS_UNIT_VEX_FORM_H

#include "cpu/cpu.h"
#include "cpu/isa.h"

/* Registers 0 to 3 and 16 to 19 take part. */
#define VEX_VECTORS 8u
/* Bytes of memory that are looked at; RDI points to the middle. */
#define VEX_AREA 512u

struct vex_state {
    union vector_register zmm[VEX_VECTORS];
    uint64_t k[8];
    uint64_t rax, rcx, rdx, rdi;
    uint64_t flags; /* status flags */
    uint32_t mxcsr;
    uint32_t trapped; /* a SIMD floating-point exception */
};

/* What was chosen for one encoding. Registers are those of the instruction, 0 to 31. */
struct vex_form {
    const struct isa_row *row;
    bool memory, displaced; /* the memory operand is at RDI, or by a displacement of 1 (times N) behind it */
    bool evex, b, z;
    uint8_t reg, rm, vvvv, mask;
    uint8_t vector_bytes; /* 16, 32, 64; by rounding forms of registers always 64 */
    uint8_t imm;
    uint8_t code[16];
    uint8_t code_bytes;
};

/* An encoding of the row; its memory or register form must exist. `length`: 0, 1, 2 for 128, 256, 512 bits. */
struct vex_form vex_encode(const struct isa_row *row, bool memory, unsigned length, uint64_t *seed);

/*
 * A state, and VEX_AREA bytes of memory. The style of operands goes round with `round`. Opmask registers: 0 and 4 are
 * random, 1 and 5 all ones, 2 and 6 sparse, 3 and 7 zero. `data`: the page that RDI points into.
 */
struct vex_state vex_random_state(uint64_t *seed, unsigned round, uint32_t mxcsr, const uint8_t *data, uint8_t *memory);

/* The place in vex_state.zmm of a register, and back. */
static inline unsigned vex_place(unsigned number)
{
    return number < 4 ? number : number - 12;
}
static inline unsigned vex_number(unsigned place)
{
    return place < 4 ? place : place + 12;
}

/* The interpreter around one instruction: one page of data, where the host has it. */
struct vex_bench {
    struct cpu *cpu;
    struct engine *engine;
    struct tlb_entry *tlb;
    struct block *block;
};
/* `data`: a page, aligned. Free with vex_bench_free(). */
struct vex_bench vex_bench_make(uint8_t *data);
void vex_bench_free(struct vex_bench bench);
/* Runs the code in 64-bit mode; `soft`: floating point by software. False: it faulted otherwise than with #XM. */
bool vex_bench_run(struct vex_bench *bench, const uint8_t *code, unsigned bytes, struct vex_state *state, bool soft);

void vex_state_print(const char *name, const struct vex_state *state);

#endif
