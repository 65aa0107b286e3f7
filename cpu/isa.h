/*
 * The instruction table as C sees it. cpu/isa.def is the source; cpu/isa_gen.py makes isa_rows[] and the decoder's
 * tables from it.
 */
#ifndef CPU_ISA_H
#define CPU_ISA_H

#include "cpu/op.h"

/* How an operand is found and what it is; the first letters are those of the manual's operand codes (SDM vol. 2D,
 * A.2.1). */
enum operand_source {
    FROM_NONE,
    FROM_MODRM_RM,  /* E, M, R, N, Q, U, W: register or memory, as the row allows */
    FROM_MODRM_REG, /* G, S, C, D, P, V */
    FROM_VVVV,      /* B, H */
    FROM_OPCODE,    /* low three bits of the opcode, and REX.B */
    FROM_FIXED,     /* a register named in the row (AL, rAX, DX, CL, ST0, XMM0), number in `fixed` */
    FROM_IMMEDIATE, /* I */
    FROM_RELATIVE,  /* J */
    FROM_FAR,       /* A: ptr16:16, ptr16:32 */
    FROM_OFFSET,    /* O: moffs */
    FROM_STRING_SI, /* X: seg:rSI */
    FROM_STRING_DI, /* Y: ES:rDI */
    FROM_IS4,       /* L: register in imm8[7:4] */
    FROM_ONE,       /* the constant 1 of the shift forms */
};
enum operand_class {
    CLASS_NONE,
    CLASS_GPR,
    CLASS_SEG,
    CLASS_CR,
    CLASS_DR,
    CLASS_ST,
    CLASS_MMX,
    CLASS_VEC,
    CLASS_OPMASK,
    CLASS_MEM,
    CLASS_IMM
};

/* Operand sizes by the manual's letters: b 8, w 16, d 32, q 64, v operand size, z operand size but 32 at most, y 32 or
 * 64, ... */
struct operand_code {
    uint8_t source;     /* enum operand_source */
    uint8_t cls;        /* enum operand_class of the register form; CLASS_MEM if there is none */
    uint8_t size;       /* the manual's size letters as enum operand_size */
    uint8_t mem_size;   /* that of the memory form, where it differs ("Rv/Mw") */
    uint8_t fixed;      /* register number of FROM_FIXED */
    bool register_only; /* R, N, U */
    bool memory_only;   /* M */
};
enum operand_size {
    SIZE_NONE,
    SIZE_B,
    SIZE_W,
    SIZE_D,
    SIZE_Q,
    SIZE_V,
    SIZE_Z,
    SIZE_Y,
    SIZE_DQ /* 16 bytes */,
    SIZE_QQ,
    SIZE_X /* by vector length */,
    SIZE_P /* far pointer 16:v */,
    SIZE_S /* GDT/IDT pseudo-descriptor */,
    SIZE_T /* 10 bytes */,
    SIZE_A /* BOUND pair */,
    SIZE_SB /* imm8 sign-extended to the operand size */,
    SIZE_M14_28,
    SIZE_M94_108,
    SIZE_M512,
    SIZE_XSAVE,
    SIZE_64B,
    SIZE_XH,
    SIZE_XF,
    SIZE_XE /* a half, a fourth, an eighth of the vector length */
};

enum isa_attribute {
    ISA_LOCK = 1 << 0,   /* LOCK allowed with a memory destination */
    ISA_CPL0 = 1 << 1,   /* #GP(0) unless CPL is 0 */
    ISA_ENDS = 1 << 2,   /* the block ends and the engine looks at modes and events */
    ISA_BRANCH = 1 << 3, /* the handler sets RIP and leaves by BRANCH, BRANCH_INDIRECT or LEAVE */
    ISA_REP = 1 << 4,    /* string instruction that takes REP/REPE/REPNE */
    ISA_ONLY64 = 1 << 5,
    ISA_NOT64 = 1 << 6,
    ISA_D64 = 1 << 7,             /* 64-bit mode: operand size is 64 by default (66H makes 16) */
    ISA_F64 = 1 << 8,             /* 64-bit mode: operand size is 64 whatever the prefixes */
    ISA_PROTECTED = 1 << 9,       /* #UD in real and virtual-8086 mode */
    ISA_UNIMPLEMENTED = 1 << 10,  /* handler "-": raises #UD and is tallied */
    ISA_DST_READ_ONLY = 1 << 11,  /* the first operand is only read (CMP, TEST, BT, PUSH, ...) */
    ISA_DST_WRITE_ONLY = 1 << 12, /* the first operand is only written (MOV, SETcc, ...) */
    ISA_MOD_IGNORED = 1 << 13,    /* MOV to and from CR and DR: always the register form, whatever ModRM.mod says */
    ISA_PURE = 1 << 14,           /* register forms neither fault nor leave the block: flags may be dead behind them */
    /* EVEX (SDM vol. 2A, 2.7): what of mask, broadcast and rounding the row takes; the rest is #UD. */
    ISA_MASKED = 1 << 15,    /* merging */
    ISA_ZEROED = 1 << 16,    /* zeroing too, unless the destination is in memory */
    ISA_BROADCAST = 1 << 17, /* of 32 bits, with EVEX.W of 64 */
    ISA_ROUNDING = 1 << 18,
    ISA_SAE = 1 << 19,
    ISA_VSIB = 1 << 20, /* the index is a vector register */
    ISA_VL = 1 << 21,   /* lengths of 128 and 256 bits need AVX512VL */
};

/* Which state an instruction needs: decides #UD and #NM at lowering (SDM vol. 2A, 2.4-2.5 for the SSE and AVX classes).
 */
enum isa_class {
    ISA_CLASS_NONE,
    ISA_CLASS_X87,
    ISA_CLASS_MMX,
    ISA_CLASS_SSE,
    ISA_CLASS_SSE_ALIGNED,
    ISA_CLASS_SSE_MMX /* SSE row on MMX registers */,
    ISA_CLASS_AVX,
    ISA_CLASS_AVX_ALIGNED,
    ISA_CLASS_AVX512,
    ISA_CLASS_AVX512_ALIGNED,
    ISA_CLASS_OPMASK
};

/*
 * The encodings a row accepts, as bit sets by dimension. Prefix: 1 none of them, 2 66H, 4 F3H, 8 F2H (all of these: no
 * mandatory prefix). Sizes: 1 for 16, 2 for 32, 4 for 64. REX.W and VEX.W: 1 clear, 2 set. Modes: 1 outside, 2 in
 * 64-bit mode. Mod: 1 memory, 2 register. Vector lengths: 1, 2, 4 for 128, 256, 512 bits.
 */
struct isa_encoding {
    uint8_t map; /* enum isa_map (generated) */
    uint8_t opcode;
    bool plus_r; /* the register is in the low three bits of the opcode */
    bool has_modrm;
    uint8_t prefixes, operand_sizes, address_sizes, w, modes, mods, regs, rms, vector_lengths;
};

struct isa_row {
    const char *mnemonic;
    const char *encoding; /* as in isa.def */
    const char *operands; /* as in isa.def */
    const char *feature_name;
    const char *handler_name; /* "-": not implemented */
    const struct handlers *handlers;
    uint32_t flags_read, flags_written, flags_undefined; /* FLAG_ bits */
    uint32_t attributes;                                 /* enum isa_attribute */
    uint8_t isa_class;
    uint8_t cost;    /* cycles */
    uint8_t feature; /* enum isa_feature (generated) */
    uint8_t operand_count;
    struct operand_code operand[4];
    struct isa_encoding accepts;
};

/* Where CPUID reports a feature. Register: 0 EAX, 1 EBX, 2 ECX, 3 EDX. */
struct isa_feature_info {
    const char *name;
    uint32_t leaf;
    uint8_t subleaf, reg, bit;
};

/* The decoder's tables: by map and opcode, a run of candidates, the most specific first. */
struct isa_slot {
    uint16_t first;
    uint8_t count;
    bool has_modrm;
};
struct isa_candidate {
    uint64_t refuses; /* decoding states (one-hot, ISA_STATE_) the row does not accept */
    uint16_t row;
};

#include "isa_tables.h" /* generated: enum isa_feature, isa_rows[], ISA_ROW_COUNT, isa_fingerprint */

#endif
