/*
 * A decoded instruction, and the decoder.
 *
 * decode() is pure: bytes and mode in, struct insn or a fault out. It reads no more than 15 bytes, allocates nothing,
 * and looks at nothing but the bytes, the mode and isa.def.
 */
#ifndef CPU_INSN_H
#define CPU_INSN_H

#include "cpu/isa.h"

#define INSN_BYTES_MAX 15u

enum operand_kind { OPERAND_NONE, OPERAND_REGISTER, OPERAND_MEMORY, OPERAND_IMMEDIATE };

struct operand {
    uint8_t kind;   /* enum operand_kind */
    uint8_t cls;    /* enum operand_class, of a register */
    uint8_t number; /* register number 0..31; for 8-bit GPRs AH..BH without REX are 16..19 */
    uint8_t bytes;  /* size; of an immediate: in the encoding; 0 where memory has no size or more than 64 bytes (LEA,
                       XSAVE area) */
};

#define INSN_EVEX          0x80u /* an EVEX row */
#define INSN_EVEX_Z        0x01u
#define INSN_EVEX_B        0x02u                /* broadcast, or with registers rounding or SAE */
#define INSN_EVEX_RC(evex) (((evex) >> 2) & 3u) /* rounding mode in L'L */

#define INSN_NO_REGISTER 0xFF
#define INSN_BASE_RIP    0xFE

struct insn {
    const struct isa_row *row;
    uint8_t length;
    uint8_t mode_bits; /* 16, 32, 64 */
    /*
     * 8, 16, 32 or 64: the size of the row's first v, y or z operand (immediates aside), else of the smallest general
     * register or memory operand of fixed size (b, w, d, q), else the effective operand size.
     */
    uint8_t operand_bits;
    uint8_t address_bits; /* effective address size */
    uint8_t vector_bytes; /* 16; 32, 64 by VEX.L and EVEX.L'L */
    bool lock;
    uint8_t rep;     /* 0, F2H or F3H where it acts as a repeat prefix or hint (not as a mandatory prefix) */
    uint8_t segment; /* enum segment_name the memory operand (of MOVS, CMPS, OUTS: the source) goes through, defaults
                        applied */
    uint8_t rex;     /* the REX byte, 0 for none */
    uint8_t opcode;  /* last opcode byte */
    uint8_t modrm;
    bool has_modrm;
    bool has_memory;      /* an operand in memory, addressed by ModRM or moffs; the implicit ones of string instructions
                             don't count */
    uint8_t base, index;  /* GPR numbers, INSN_NO_REGISTER, INSN_BASE_RIP */
    uint8_t scale;        /* shift count */
    int64_t displacement; /* sign-extended; moffs: the 64-bit address */
    uint64_t immediate;   /* first one, sign-extended to 64 bits where the row says so; relative: the displacement; far:
                             the offset */
    uint64_t immediate2;  /* ENTER's imm8, far pointer's selector */
    uint8_t vvvv, mask;   /* VEX and EVEX rows; 0 otherwise */
    uint8_t evex;         /* INSN_EVEX_ bits */
    uint8_t operand_count;
    struct operand operand[4]; /* in the row's order */
};

enum decode_status {
    DECODE_OK,
    DECODE_UD,       /* no such instruction, or LOCK where it is not allowed */
    DECODE_TOO_LONG, /* more than 15 bytes: #GP(0) */
    DECODE_MORE,     /* the bytes given do not hold it whole: the caller must fetch on (next page) */
};

/*
 * Decodes one instruction. available: how many bytes there are, at least 1; more than 15 are not looked at. mode_bits:
 * 16, 32 or 64. features: bit set of enum isa_feature that exist (rows of others do not); NULL for all. On DECODE_UD
 * insn->length is the number of bytes looked at.
 */
enum decode_status decode(const uint8_t *bytes, unsigned available, unsigned mode_bits, const uint64_t *features,
                          struct insn *insn);

/*
 * Writes the instruction in Intel syntax, for instance "add qword ptr [rax+rcx*4+0x10], rdx". address: of the
 * instruction, for branch targets and RIP-relative operands. Returns the length as snprintf does.
 */
int insn_format(const struct insn *insn, uint64_t address, char *out, size_t out_bytes);

#endif
