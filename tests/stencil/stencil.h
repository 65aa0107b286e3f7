/*
 * A proof of copy and patch (docs/stencils.md): handlers as pieces of machine code with holes, glued to the code of a
 * block.
 *
 * Glued code hangs on the ops of a block: it takes the place of their handlers (op->run). So the engine enters it like
 * any handler, and whatever a stencil does not do itself it leaves to the op's own handler, which goes on with the next
 * op, which is glued code again. Nothing in the engine knows of it.
 */
#ifndef STENCIL_H
#define STENCIL_H

#include "cpu/op.h"

/* What is to be written where a hole is. */
enum stencil_hole_name {
    HOLE_imm,
    HOLE_disp,
    HOLE_dst,
    HOLE_src,
    HOLE_base,
    HOLE_index,
    HOLE_scale,
    HOLE_seg,
    HOLE_flags,
    HOLE_form,
    HOLE_imm8,
    HOLE_src2,
    HOLE_mask,
    HOLE_evex,
    HOLE_at_length,
    HOLE_second_dst,
    HOLE_second_src,
    HOLE_second_imm,
    HOLE_second_disp,
    HOLE_second_flags,
    HOLE_at,
    HOLE_end,
    HOLE_second_end,
    HOLE_chain0,
    HOLE_chain1,
    HOLE_cycles,
    HOLE_insns,
    HOLE_generation0,
    HOLE_generation1,
    HOLE_rip0,
    HOLE_rip1,
    HOLE_cycles0,
    HOLE_cycles1,
    HOLE_insns0,
    HOLE_insns1,
    HOLE_next, /* from here on: code */
    HOLE_next_pair,
    HOLE_start,
    HOLE_own,
    HOLE_linked0,
    HOLE_linked1,
};
enum stencil_kind { STENCIL_8, STENCIL_16, STENCIL_32, STENCIL_32S, STENCIL_64, STENCIL_CODE };

struct stencil_hole {
    uint16_t at;
    uint8_t kind, name;
    int32_t addend;
};

#define STENCIL_INDEXED 1u /* its memory operand has an index register */
#define STENCIL_LOOPING 2u /* its taken branch leads to the start of its block */
#define STENCIL_WIDENED 4u /* its immediate has 64 bits */

struct stencil {
    const char *name; /* of the handler, without op_ */
    uint8_t serves;   /* bit i: variant i of the flags above */
    uint16_t code_bytes, holes;
    uint32_t code, first_hole; /* in the arrays below */
};

/* Made by stencil_gen.py; sorted by name. */
extern const struct stencil stencils[];
extern const unsigned stencil_count;
extern const struct stencil_hole stencil_holes[];
extern const uint8_t stencil_code[];

struct glue_counts {
    uint64_t blocks, ops; /* glued, or tried */
    uint64_t stencils;    /* ops that became one; the others are left to their handler */
    uint64_t bytes;       /* of code */
    uint64_t links;
};

struct glue;

/* Maps room for code and learns the handlers' names from the program's own symbols. NULL: *why says why not. */
struct glue *glue_create(const char **why);
void glue_destroy(struct glue *glue);

/*
 * Glues the blocks that the engine knows by address (its jump cache) and that are not glued yet. Between two runs of
 * the vCPU only. When there is no more room the vCPU's caches are dropped first. Returns how many.
 */
unsigned glue_blocks(struct glue *glue, struct cpu *cpu);
/*
 * Links glued blocks: where a chain holds and its block is glued, code jumps straight there for as long as no chain
 * loses its hold (the translation generation stands in the code). Returns how many links were made.
 */
unsigned glue_link(struct glue *glue, struct cpu *cpu);
const struct glue_counts *glue_counts(const struct glue *glue);

/* How often each handler stood in a glued block without being a stencil: calls back until all are told. */
void glue_lacking(const struct glue *glue, void (*tell)(const char *name, uint64_t count));

#endif
