/*
 * The x87 FPU (SDM vol. 1, chapter 8): its register stack, its exceptions, and the functions that only it has.
 *
 * Choices where processors differ, all of them those of current Intel processors:
 *   - FCS and FDS are deprecated: always saved as zero, ignored when loaded (CPUID.7.0:EBX[13] = 1);
 *   - FIP is that of the last non-control instruction; FDP and FOP change only with an unmasked exception
 *     (CPUID.7.0:EBX[6] = 1, IA32_MISC_ENABLE[2] = 0);
 *   - a pending exception is #MF whatever CR0.NE says: there is no FERR# pin and no IRQ 13.
 */
#ifndef CPU_X87_H
#define CPU_X87_H

#include "cpu/op.h"
#include "cpu/softfp.h"

/* Status word; bits 5:0 are enum fp_flag. */
#define FSW_SF  (1u << 6)
#define FSW_ES  (1u << 7)
#define FSW_C0  (1u << 8)
#define FSW_C1  (1u << 9)
#define FSW_C2  (1u << 10)
#define FSW_TOP (7u << 11)
#define FSW_C3  (1u << 14)
#define FSW_B   (1u << 15)

#define FCW_MASKS   0x3Fu
#define FCW_INITIAL 0x037F

/* --- the stack --- */

static inline unsigned x87_top(const struct cpu *cpu)
{
    return (cpu->x87.fsw >> 11) & 7;
}
static inline void x87_set_top(struct cpu *cpu, unsigned top)
{
    cpu->x87.fsw = (uint16_t)((cpu->x87.fsw & ~FSW_TOP) | (top & 7) << 11);
}
/* The physical register of ST(i); i may be -1, the register that a push will make ST(0). */
static inline unsigned x87_physical(const struct cpu *cpu, int i)
{
    return (x87_top(cpu) + (unsigned)i) & 7;
}
static inline bool x87_empty(const struct cpu *cpu, int i)
{
    return !(cpu->x87.tags >> x87_physical(cpu, i) & 1);
}
static inline void x87_free(struct cpu *cpu, int i)
{
    cpu->x87.tags &= (uint8_t)~(1u << x87_physical(cpu, i));
}
static inline struct f80 x87_get(const struct cpu *cpu, int i)
{
    const struct x87_register *r = &cpu->x87.r[x87_physical(cpu, i)];
    return (struct f80){ .mantissa = r->mantissa, .sign_exponent = r->exponent };
}
static inline struct fp_number x87_number(const struct cpu *cpu, int i)
{
    return f80_unpack(x87_get(cpu, i));
}
/* Writes ST(i) and marks it as not empty. */
static inline void x87_set(struct cpu *cpu, int i, struct f80 value)
{
    unsigned physical = x87_physical(cpu, i);
    cpu->x87.r[physical].mantissa = value.mantissa;
    cpu->x87.r[physical].exponent = value.sign_exponent;
    cpu->x87.tags |= (uint8_t)(1u << physical);
}
static inline void x87_push(struct cpu *cpu, struct f80 value)
{
    x87_set_top(cpu, x87_top(cpu) - 1);
    x87_set(cpu, 0, value);
}
static inline void x87_pop(struct cpu *cpu)
{
    x87_free(cpu, 0);
    x87_set_top(cpu, x87_top(cpu) + 1);
}
static inline struct f80 x87_indefinite(void)
{
    return f80_pack(fp_indefinite());
}

/* Memory operands by type, from the bits that LOAD gives. A denormal keeps its mark, so that the operation raises DE.
 */
static inline struct fp_number x87_from_f32(uint64_t bits)
{
    return f32_unpack(&(struct fp_context){ 0 }, (uint32_t)bits);
}
static inline struct fp_number x87_from_f64(uint64_t bits)
{
    return f64_unpack(&(struct fp_context){ 0 }, bits);
}
static inline struct fp_number x87_from_i16(uint64_t bits)
{
    return fp_unpack_int((int16_t)bits);
}
static inline struct fp_number x87_from_i32(uint64_t bits)
{
    return fp_unpack_int((int32_t)bits);
}
static inline struct fp_number x87_from_i64(uint64_t bits)
{
    return fp_unpack_int((int64_t)bits);
}

/* --- exceptions (x87.c) --- */

/* Rounding and masks as FCW says. */
struct fp_context x87_context(const struct cpu *cpu);
/* The format of FADD, FSUB, FMUL, FDIV, FSQRT: FCW.PC. */
const struct fp_format *x87_precision(const struct cpu *cpu);

/* Notes a non-control instruction without exceptions: FIP. */
void x87_note(struct cpu *cpu, const struct op *op);
/*
 * Ends a non-control instruction: C1 and exception flags, ES and B if one of them is unmasked, the pointers. To be
 * called once the instruction cannot fault any more.
 */
void x87_finish(struct cpu *cpu, const struct op *op, const struct fp_context *context);
/* Ends it with a stack fault. True if IE is masked: the caller writes the indefinite and moves the stack. */
bool x87_stack_fault(struct cpu *cpu, const struct op *op, bool overflow);

static inline void x87_set_c1(struct cpu *cpu, bool c1)
{
    cpu->x87.fsw = (uint16_t)((cpu->x87.fsw & ~FSW_C1) | (c1 ? FSW_C1 : 0));
}
/* Replaces C3, C2, C1, C0. */
static inline void x87_set_codes(struct cpu *cpu, unsigned codes)
{
    cpu->x87.fsw = (uint16_t)((cpu->x87.fsw & ~(FSW_C0 | FSW_C1 | FSW_C2 | FSW_C3)) | codes);
}
/* Makes ES and B agree with flags and masks, after either was loaded. */
void x87_update_summary(struct cpu *cpu);

/* --- control --- */

void x87_init(struct cpu *cpu);                   /* FNINIT */
void x87_load_fcw(struct cpu *cpu, uint16_t fcw); /* reserved bits become what they always read as */
uint16_t x87_full_tags(const struct cpu *cpu);    /* two bits a register: 0 valid, 1 zero, 2 special, 3 empty */
void x87_load_full_tags(struct cpu *cpu, uint16_t tags);

/* A pending unmasked exception: every waiting instruction starts with this. */
#define X87_WAIT                                                                                                       \
    do {                                                                                                               \
        if (unlikely(cpu->x87.fsw & FSW_ES))                                                                           \
            FAULT(VEC_MF);                                                                                             \
    } while (0)

/* --- transcendental functions (x87_transcendental.c): results rounded to f80, error below one unit in the last place
 * --- */

/* |x| < 2^63 or no finite number: what FSIN, FCOS, FSINCOS and FPTAN can reduce. */
bool x87_angle_in_range(struct fp_number x);
struct fp_number x87_sin(struct fp_context *context, struct fp_number x);
struct fp_number x87_cos(struct fp_context *context, struct fp_number x);
struct fp_number x87_tan(struct fp_context *context, struct fp_number x);
/* The angle of the point (x, y), from -pi to pi. */
struct fp_number x87_atan(struct fp_context *context, struct fp_number y, struct fp_number x);
/* 2^x - 1 for -1 <= x <= 1; x itself outside of it, where the manual defines nothing. */
struct fp_number x87_exp2m1(struct fp_context *context, struct fp_number x);
/* y * log2(x) */
struct fp_number x87_ylog2(struct fp_context *context, struct fp_number y, struct fp_number x);
/* y * log2(x + 1); for x <= -1, where the manual defines nothing, finite x comes back. */
struct fp_number x87_ylog2p1(struct fp_context *context, struct fp_number y, struct fp_number x);

#endif
