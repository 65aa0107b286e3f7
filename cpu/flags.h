/*
 * Lazy status flags.
 *
 * An arithmetic op stores two words: `flag_result`, the result sign-extended to 64 bits, and `flag_carries`, from which
 * every status flag follows without knowing the op or its width:
 *
 *   ZF = result == 0                          SF = (result < 0) ^ carries[0]
 *   CF = carries[63]                          OF = carries[63] ^ carries[62]
 *   AF = carries[3]                           PF = even parity of (result[7:0] ^ carries[15:8])
 *
 * After an addition `carries` is the vector of carries out of each bit, moved up so that the top one is bit 63; bits 0
 * and 15:8 exist so that any combination of flags can be expressed (POPF, SAHF). RFLAGS in `cpu->rflags` keeps the
 * rest, and the status flags only after flags_fold().
 */
#ifndef CPU_FLAGS_H
#define CPU_FLAGS_H

#include "cpu/cpu.h"

#define CARRIES_CF   (1ull << 63)
#define CARRIES_PO   (1ull << 62) /* carry into the top bit: OF = CF ^ this */
#define CARRIES_AF   (1ull << 3)
#define CARRIES_KEPT (CARRIES_CF | CARRIES_PO | CARRIES_AF)

/* Sign-extends the low w bits. w is 8, 16, 32 or 64, in general a constant. */
static inline uint64_t sign_extend(uint64_t value, unsigned w)
{
    return (uint64_t)((int64_t)(value << (64 - w)) >> (64 - w));
}
static inline uint64_t width_mask(unsigned w)
{
    return UINT64_MAX >> (64 - w);
}

/* carries: carry out of each of the w bits, in place. */
static inline void flags_set_carries(struct cpu *cpu, uint64_t result, uint64_t carries, unsigned w)
{
    cpu->flag_result = sign_extend(result, w);
    cpu->flag_carries = ((carries << (64 - w)) & (CARRIES_CF | CARRIES_PO)) | (carries & CARRIES_AF);
}
/* r = a + b (+ carry in). */
static inline void flags_add(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t r, unsigned w)
{
    flags_set_carries(cpu, r, (a & b) | ((a | b) & ~r), w);
}
/* r = a - b (- borrow in). */
static inline void flags_sub(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t r, unsigned w)
{
    flags_set_carries(cpu, r, (~a & b) | ((~a | b) & r), w);
}
/* AND, OR, XOR, TEST: CF = OF = AF = 0. (AF is undefined by the manual; processors clear it.) */
static inline void flags_logic(struct cpu *cpu, uint64_t r, unsigned w)
{
    cpu->flag_result = sign_extend(r, w);
    cpu->flag_carries = 0;
}

static inline bool flag_cf(const struct cpu *cpu)
{
    return cpu->flag_carries >> 63;
}
static inline bool flag_zf(const struct cpu *cpu)
{
    return cpu->flag_result == 0;
}
static inline bool flag_sf(const struct cpu *cpu)
{
    return (cpu->flag_result >> 63) ^ (cpu->flag_carries & 1);
}
static inline bool flag_of(const struct cpu *cpu)
{
    return ((cpu->flag_carries >> 63) ^ (cpu->flag_carries >> 62)) & 1;
}
static inline bool flag_af(const struct cpu *cpu)
{
    return (cpu->flag_carries >> 3) & 1;
}
static inline bool flag_pf(const struct cpu *cpu)
{
    return !__builtin_parity((unsigned)((cpu->flag_result ^ (cpu->flag_carries >> 8)) & 0xFF));
}

/* The six status flags as they stand in RFLAGS. */
static inline uint32_t flags_status(const struct cpu *cpu)
{
    return (flag_cf(cpu) ? FLAG_CF : 0) | (flag_pf(cpu) ? FLAG_PF : 0) | (flag_af(cpu) ? FLAG_AF : 0) |
           (flag_zf(cpu) ? FLAG_ZF : 0) | (flag_sf(cpu) ? FLAG_SF : 0) | (flag_of(cpu) ? FLAG_OF : 0);
}

/* Sets all six status flags from an RFLAGS value. */
static inline void flags_set_status(struct cpu *cpu, uint64_t rflags)
{
    uint64_t cf = (rflags & FLAG_CF) != 0, of = (rflags & FLAG_OF) != 0, sf = (rflags & FLAG_SF) != 0;
    uint64_t zf = (rflags & FLAG_ZF) != 0, pf = (rflags & FLAG_PF) != 0;
    /* result 0 has even parity, 1 has odd: carries[8] makes up the difference, carries[0] the sign */
    cpu->flag_result = !zf;
    cpu->flag_carries =
        cf << 63 | (cf ^ of) << 62 | ((rflags & FLAG_AF) ? CARRIES_AF : 0) | sf | (uint64_t)(zf ? !pf : pf) << 8;
}

/* RFLAGS as PUSHF and the outside see it. */
static inline uint64_t flags_read(const struct cpu *cpu)
{
    return (cpu->rflags & ~(uint64_t)FLAGS_STATUS) | flags_status(cpu);
}
/* Brings rflags up to date and the lazy words to their canonical form; the guest sees no difference. */
static inline void flags_fold(struct cpu *cpu)
{
    cpu->rflags = flags_read(cpu);
    flags_set_status(cpu, cpu->rflags);
}

#endif
