/*
 * What the engine executes: ops, blocks of ops, and the handlers of one instruction row.
 *
 * Lowering (lower.c) turns a decoded instruction into one op: a handler and pre-resolved operands. A block is a run of
 * ops that ends at a branch, at a page end, or after an instruction that must return to the engine. Ops hold no linear
 * address: everything is relative to the RIP at which the block was entered, which cpu->gpr[GPR_RIP] keeps while it
 * runs.
 */
#ifndef CPU_OP_H
#define CPU_OP_H

#include "cpu/cpu.h"

#ifdef SIM_TAIL_CALLS /* clang with musttail and preserve_none */
#define OP_CALL  __attribute__((preserve_none))
#define MUSTTAIL __attribute__((musttail))
#else
#define OP_CALL
#define MUSTTAIL
#endif

struct op;
/* Runs one op. Returns the op to run next, or NULL when the block is left (in a tail-calling build it returns only
 * then). */
typedef const struct op *OP_CALL op_fn(struct cpu *cpu, const struct op *op);

enum op_flags {
    OP_MEM = 1,       /* one operand is in memory */
    OP_MEM_DST = 2,   /* ... and it is the first one */
    OP_IMM = 4,       /* the last operand is `imm` */
    OP_SEGMENTED = 8, /* its address needs segment_linear(): not 64-bit mode, or 32-bit addresses */
    OP_LOCK = 16,
    OP_REP = 32,      /* F3H */
    OP_REPNE = 64,    /* F2H */
    OP_ALIGNED = 128, /* a misaligned memory operand is #GP(0) (legacy SSE) */
};

/*
 * Operands in the row's order: dst is the first, src the second, src2 the third. A general register is a byte offset
 * into cpu->gpr (AH is 1); every other register class is a plain index. The operand that is in memory has no register:
 * its address is gpr[base] + (gpr[index] << scale) + disp, where base and index are byte offsets too and may name
 * GPR_RIP (disp is then adjusted to the block's start) or GPR_ZERO; index may also name segment_base[FS] or [GS]. An
 * operand with OP_SEGMENTED has the base of segment `seg` added, too. 64-bit absolute addresses (MOV moffs) stand in
 * imm.
 *
 * VEX and EVEX rows of the vector classes: dst is the first operand, src2 the one of
 * ModRM that is not the first, src the one in vvvv that is not the first, or src2 again; imm8 is the immediate, of
 * which bits 7:4 may be a register. index is the number of the vector register where the row has a VSIB address.
 */
struct op {
    op_fn *run;
    union {
        uint64_t imm; /* sign-extended to 64 bits. Branches: target minus the block's start. ENTER: imm16 | imm8 << 16.
                         Far pointers: offset | selector << 32. */
        struct {
            uint8_t imm8, src2;
            uint8_t mask; /* opmask register, 0 for none */
            uint8_t evex; /* INSN_EVEX_ bits of insn.h */
            uint32_t imm32;
        };
    };
    int32_t disp;
    uint8_t dst, src, base, index;
    uint8_t scale;      /* shift count 0..3 */
    uint8_t seg;        /* enum segment_name */
    uint8_t flags;      /* enum op_flags */
    uint8_t form;       /* OP_WIDTH, OP_ADDRESS, OP_VECTOR below */
    uint16_t at_length; /* (start of the instruction - start of the block) << 4 | its length in bytes */
    uint8_t left;       /* cycles of the block from the start of this instruction to the end */
    uint8_t insns_left; /* instructions likewise */
};

#define OP_WIDTH(op)   (8u << ((op)->form & 3))         /* operand size in bits: 8, 16, 32, 64 */
#define OP_ADDRESS(op) (16u << (((op)->form >> 2) & 3)) /* address size in bits: 16, 32, 64 */
#define OP_VECTOR(op)  (16u << (((op)->form >> 4) & 3)) /* vector length in bytes: 16, 32, 64 */

static inline unsigned op_at(const struct op *op)
{
    return op->at_length >> 4;
}
static inline unsigned op_end(const struct op *op)
{
    return (op->at_length >> 4) + (op->at_length & 15);
}

/* A remembered successor. It holds only in the translation generation in which it was made. */
struct chain {
    struct block *block;
    uint64_t rip;
    uint64_t generation; /* 0: empty */
};

struct block {
    uint64_t physical; /* of the first byte */
    uint32_t mode;
    uint16_t bytes; /* of code; all within one page */
    uint8_t cycles; /* sum of the costs */
    uint8_t insns;
    struct block *next_same_hash;
    struct block *next_same_page;
    struct op ops[]; /* the last op is followed by two struct chain: [0] not taken or the only one, [1] taken */
};

/* The mode under which code was decoded and lowered; part of a block's key. */
enum mode {
    MODE_CODE16 = 0,
    MODE_CODE32 = 1,
    MODE_CODE64 = 2,
    MODE_CODE_MASK = 3,
    MODE_STACK32 = 1 << 2, /* SS.B; in 64-bit mode the stack is 64 bits wide */
    MODE_CPL_SHIFT = 3,    /* two bits */
    MODE_CPL_MASK = 3 << 3,
    MODE_PROTECTED = 1 << 5, /* CR0.PE */
    MODE_VM86 = 1 << 6,
    MODE_LONG = 1 << 7, /* EFER.LMA: compatibility mode has this, but not MODE_CODE64 */
    MODE_EM = 1 << 8,   /* CR0.EM, CR0.TS, CR4.OSFXSR: rows of class x87, mmx, sse raise #UD or #NM at lowering */
    MODE_TS = 1 << 9,
    MODE_OSFXSR = 1 << 10,
    MODE_AVX = 1 << 11, /* CR4.OSXSAVE and XCR0 admit AVX, AVX-512 */
    MODE_AVX512 = 1 << 12,
    MODE_CS_LIMIT = 1 << 13, /* the CS limit may cut into the page: each fetch is checked */
    MODE_STEP = 1 << 14,     /* RFLAGS.TF or DR7 active: look for #DB after each instruction */
    MODE_SINGLE = 1 << 15,   /* blocks of one instruction: stepping up to an exact cycle */
};
static inline unsigned mode_code_bits(uint32_t mode)
{
    return 16u << (mode & MODE_CODE_MASK);
}

/* Specialised handlers are chosen by the shape of the first two operands (memory: flat addressing) and the width. */
enum shape { SHAPE_RR, SHAPE_RI, SHAPE_RM, SHAPE_MR, SHAPE_MI, SHAPES }; /* one-operand rows: RR, MR */

/*
 * The handlers of a row. `any` or `by_width` must be there and serve every operand kind and mode; the tables are for
 * the hot forms, and any entry may be NULL. Widths are indexed 0..3 for 8, 16, 32, 64 bits.
 */
struct undefined; /* cpu/undefined.h */
struct handlers {
    op_fn *any;
    op_fn *by_width[4];
    op_fn *const (*shaped)[4];         /* [SHAPES][4] */
    op_fn *const (*based)[4];          /* [SHAPES][4]: the same for memory operands without an index */
    op_fn *const (*dead)[4];           /* [SHAPES][4]: the same for ops whose flags nobody reads */
    op_fn *plain[3];                   /* vector rows by length, for ops without opmask, broadcast and rounding */
    op_fn *masked;                     /* the others */
    const struct undefined *undefined; /* what the manual leaves undefined; NULL: nothing */
    op_fn *chosen[4];                  /* by width: the generic form that settles it by cpu->undefined */
};

#endif
