/*
 * x87 arithmetic and comparison (SDM vol. 1, 8.3.5-8.3.6). The operand forms of an operation share one body: ST(i)
 * forms compute dst = dst op src, memory forms ST(0) = ST(0) op memory.
 *
 * An exception found before the computation and unmasked leaves the operands and the stack as they were; later ones
 * deliver the (wrapped or rounded) result.
 */
#include "cpu/handler.h"
#include "cpu/x87.h"

/* --- two operands --- */

typedef struct fp_number binary_fn(struct fp_context *context, const struct fp_format *format, struct fp_number a,
                                   struct fp_number b);

static struct fp_number reverse_sub(struct fp_context *context, const struct fp_format *format, struct fp_number a,
                                    struct fp_number b)
{
    return fp_sub(context, format, b, a);
}
static struct fp_number reverse_div(struct fp_context *context, const struct fp_format *format, struct fp_number a,
                                    struct fp_number b)
{
    return fp_div(context, format, b, a);
}

static void deliver(struct cpu *cpu, const struct op *op, int dst, const struct fp_context *context,
                    struct fp_number result, bool pop)
{
    x87_finish(cpu, op, context);
    if (fp_trapped(context, FP_FLAGS_BEFORE))
        return;
    x87_set(cpu, dst, f80_pack(result));
    if (pop)
        x87_pop(cpu);
}

static void deliver_underflow(struct cpu *cpu, const struct op *op, int dst, bool pop)
{
    if (!x87_stack_fault(cpu, op, false))
        return;
    x87_set(cpu, dst, x87_indefinite());
    if (pop)
        x87_pop(cpu);
}

static void arith_registers(struct cpu *cpu, const struct op *op, binary_fn *apply, bool pop)
{
    if (x87_empty(cpu, OPERAND(dst)) || x87_empty(cpu, OPERAND(src))) {
        deliver_underflow(cpu, op, OPERAND(dst), pop);
        return;
    }
    struct fp_context context = x87_context(cpu);
    struct fp_number result =
        apply(&context, x87_precision(cpu), x87_number(cpu, OPERAND(dst)), x87_number(cpu, OPERAND(src)));
    deliver(cpu, op, OPERAND(dst), &context, result, pop);
}

static void arith_memory(struct cpu *cpu, const struct op *op, binary_fn *apply, struct fp_number b)
{
    if (x87_empty(cpu, 0)) {
        deliver_underflow(cpu, op, 0, false);
        return;
    }
    struct fp_context context = x87_context(cpu);
    deliver(cpu, op, 0, &context, apply(&context, x87_precision(cpu), x87_number(cpu, 0), b), false);
}

#define ARITH_REGISTERS(name, apply, pop)                                                                              \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        X87_WAIT;                                                                                                      \
        arith_registers(cpu, op, apply, pop);                                                                          \
        NEXT;                                                                                                          \
    }
#define ARITH_MEMORY(name, w, unpack, apply)                                                                           \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        X87_WAIT;                                                                                                      \
        uint64_t value;                                                                                                \
        LINEAR(linear, (w) / 8, ACCESS_READ);                                                                          \
        LOAD(w, value, linear);                                                                                        \
        arith_memory(cpu, op, apply, unpack(value));                                                                   \
        NEXT;                                                                                                          \
    }
#define ARITH(name, apply)                                                                                             \
    ARITH_REGISTERS(f##name##_st, apply, false)                                                                        \
    ARITH_REGISTERS(f##name##p_st, apply, true)                                                                        \
    ARITH_MEMORY(f##name##_m32, 32, x87_from_f32, apply)                                                               \
    ARITH_MEMORY(f##name##_m64, 64, x87_from_f64, apply)                                                               \
    ARITH_MEMORY(fi##name##_m16, 16, x87_from_i16, apply)                                                              \
    ARITH_MEMORY(fi##name##_m32, 32, x87_from_i32, apply)
ARITH(add, fp_add)
ARITH(mul, fp_mul)
ARITH(sub, fp_sub)
ARITH(subr, reverse_sub)
ARITH(div, fp_div)
ARITH(divr, reverse_div)

/* --- one operand --- */

HANDLER(fsqrt)
{
    X87_WAIT;
    if (x87_empty(cpu, 0)) {
        deliver_underflow(cpu, op, 0, false);
    } else {
        struct fp_context context = x87_context(cpu);
        deliver(cpu, op, 0, &context, fp_sqrt(&context, x87_precision(cpu), x87_number(cpu, 0)), false);
    }
    NEXT;
}

static struct fp_number round_to_integer(struct fp_context *context, struct fp_number a)
{
    if (a.denormal)
        context->flags |= FP_DE;
    if (fp_trapped(context, FP_DE))
        return a;
    return fp_round_integral(context, &fp_f80, a, context->rounding);
}

HANDLER(frndint)
{
    X87_WAIT;
    if (x87_empty(cpu, 0)) {
        deliver_underflow(cpu, op, 0, false);
    } else {
        struct fp_context context = x87_context(cpu);
        deliver(cpu, op, 0, &context, round_to_integer(&context, x87_number(cpu, 0)), false);
    }
    NEXT;
}

HANDLER(fscale)
{
    X87_WAIT;
    if (x87_empty(cpu, 0) || x87_empty(cpu, 1)) {
        deliver_underflow(cpu, op, 0, false);
    } else {
        struct fp_context context = x87_context(cpu);
        deliver(cpu, op, 0, &context, fp_scale(&context, x87_number(cpu, 0), x87_number(cpu, 1)), false);
    }
    NEXT;
}

/* C0, C3, C1: bits 2, 1, 0 of the quotient; C2: not reduced all the way. */
static unsigned quotient_codes(struct fp_remainder remainder)
{
    if (remainder.partial)
        return FSW_C2;
    return (remainder.quotient & 4 ? FSW_C0 : 0) | (remainder.quotient & 2 ? FSW_C3 : 0) |
           (remainder.quotient & 1 ? FSW_C1 : 0);
}

static void partial_remainder(struct cpu *cpu, const struct op *op, bool nearest)
{
    cpu->x87.fsw &= (uint16_t)~FSW_C2;
    if (x87_empty(cpu, 0) || x87_empty(cpu, 1)) {
        deliver_underflow(cpu, op, 0, false);
        return;
    }
    struct fp_context context = x87_context(cpu);
    struct fp_remainder remainder = fp_rem(&context, x87_number(cpu, 0), x87_number(cpu, 1), nearest);
    deliver(cpu, op, 0, &context, remainder.value, false);
    if (!fp_is_nan(remainder.value) && !fp_trapped(&context, FP_FLAGS_BEFORE)) /* else C0 and C3 stay */
        x87_set_codes(cpu, quotient_codes(remainder));
}

HANDLER(fprem)
{
    X87_WAIT;
    partial_remainder(cpu, op, false);
    NEXT;
}
HANDLER(fprem1)
{
    X87_WAIT;
    partial_remainder(cpu, op, true);
    NEXT;
}

/* --- FXTRACT: ST(1) the exponent, ST(0) the significand --- */

static void extract(struct fp_context *context, struct fp_number a, struct fp_number *exponent,
                    struct fp_number *significand)
{
    *significand = *exponent = a;
    switch ((enum fp_kind)a.kind) {
    case NUMBER_ZERO:
        context->flags |= FP_ZE;
        *exponent = (struct fp_number){ .kind = NUMBER_INFINITE, .sign = true, .significand = 1ull << 63 };
        break;
    case NUMBER_INFINITE:
        exponent->sign = false;
        break;
    case NUMBER_FINITE:
        context->flags |= a.denormal ? FP_DE : 0;
        *exponent = fp_unpack_int(a.exponent);
        significand->exponent = 0;
        break;
    default:
        *exponent = *significand = fp_convert(context, &fp_f80, a);
        break;
    }
}

HANDLER(fxtract)
{
    X87_WAIT;
    struct fp_number exponent = fp_indefinite(), significand = exponent;
    bool empty = x87_empty(cpu, 0), writes;
    if (empty || !x87_empty(cpu, -1)) {
        writes = x87_stack_fault(cpu, op, !empty);
    } else {
        struct fp_context context = x87_context(cpu);
        extract(&context, x87_number(cpu, 0), &exponent, &significand);
        x87_finish(cpu, op, &context);
        writes = !fp_trapped(&context, FP_FLAGS_BEFORE);
    }
    if (writes) {
        x87_set(cpu, 0, f80_pack(exponent));
        x87_push(cpu, f80_pack(significand));
    }
    NEXT;
}

/* --- comparison --- */

static const uint16_t relation_codes[] = {
    [FP_LESS] = FSW_C0, [FP_EQUAL] = FSW_C3, [FP_GREATER] = 0, [FP_UNORDERED] = FSW_C3 | FSW_C2 | FSW_C0
};
static const uint8_t relation_flags[] = {
    [FP_LESS] = FLAG_CF, [FP_EQUAL] = FLAG_ZF, [FP_GREATER] = 0, [FP_UNORDERED] = FLAG_ZF | FLAG_PF | FLAG_CF
};

/* False if an unmasked exception keeps the operands on the stack. The relation is reported nevertheless. */
static bool compare_numbers(struct cpu *cpu, const struct op *op, struct fp_number b, bool signaling,
                            enum fp_relation *relation)
{
    struct fp_context context = x87_context(cpu);
    *relation = fp_compare(&context, x87_number(cpu, 0), b, signaling);
    x87_finish(cpu, op, &context);
    return !fp_trapped(&context, FP_FLAGS_BEFORE);
}

static bool compare_registers(struct cpu *cpu, const struct op *op, int i, bool signaling, enum fp_relation *relation)
{
    *relation = FP_UNORDERED;
    if (x87_empty(cpu, 0) || x87_empty(cpu, i))
        return x87_stack_fault(cpu, op, false);
    return compare_numbers(cpu, op, x87_number(cpu, i), signaling, relation);
}

static bool compare_memory(struct cpu *cpu, const struct op *op, struct fp_number b, enum fp_relation *relation)
{
    *relation = FP_UNORDERED;
    if (x87_empty(cpu, 0))
        return x87_stack_fault(cpu, op, false);
    return compare_numbers(cpu, op, b, true, relation);
}

static void end_compare(struct cpu *cpu, enum fp_relation relation, unsigned pops, bool done)
{
    x87_set_codes(cpu, relation_codes[relation]); /* C1 is clear: no stack overflow, no rounding */
    for (; done && pops; pops--)
        x87_pop(cpu);
}

#define COMPARE_REGISTERS(name, i, signaling, pops)                                                                    \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        X87_WAIT;                                                                                                      \
        enum fp_relation relation;                                                                                     \
        bool done = compare_registers(cpu, op, i, signaling, &relation);                                               \
        end_compare(cpu, relation, pops, done);                                                                        \
        NEXT;                                                                                                          \
    }
COMPARE_REGISTERS(fcom_st, OPERAND(dst), true, 0)
COMPARE_REGISTERS(fcomp_st, OPERAND(dst), true, 1)
COMPARE_REGISTERS(fcompp, 1, true, 2)
COMPARE_REGISTERS(fucom_st, OPERAND(dst), false, 0)
COMPARE_REGISTERS(fucomp_st, OPERAND(dst), false, 1)
COMPARE_REGISTERS(fucompp, 1, false, 2)

#define COMPARE_MEMORY(name, w, unpack, pops)                                                                          \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        X87_WAIT;                                                                                                      \
        uint64_t value;                                                                                                \
        LINEAR(linear, (w) / 8, ACCESS_READ);                                                                          \
        LOAD(w, value, linear);                                                                                        \
        enum fp_relation relation;                                                                                     \
        bool done = compare_memory(cpu, op, unpack(value), &relation);                                                 \
        end_compare(cpu, relation, pops, done);                                                                        \
        NEXT;                                                                                                          \
    }
COMPARE_MEMORY(fcom_m32, 32, x87_from_f32, 0)
COMPARE_MEMORY(fcom_m64, 64, x87_from_f64, 0)
COMPARE_MEMORY(fcomp_m32, 32, x87_from_f32, 1)
COMPARE_MEMORY(fcomp_m64, 64, x87_from_f64, 1)
COMPARE_MEMORY(ficom_m16, 16, x87_from_i16, 0)
COMPARE_MEMORY(ficom_m32, 32, x87_from_i32, 0)
COMPARE_MEMORY(ficomp_m16, 16, x87_from_i16, 1)
COMPARE_MEMORY(ficomp_m32, 32, x87_from_i32, 1)

HANDLER(ftst)
{
    X87_WAIT;
    enum fp_relation relation;
    bool done = compare_memory(cpu, op, fp_unpack_uint(0), &relation);
    end_compare(cpu, relation, 0, done);
    NEXT;
}

/* EFLAGS instead of condition codes; C1 changes with a stack fault only. */
static void compare_to_flags(struct cpu *cpu, const struct op *op, bool signaling, bool pop)
{
    bool c1 = cpu->x87.fsw & FSW_C1, empty = x87_empty(cpu, 0) || x87_empty(cpu, OPERAND(src));
    enum fp_relation relation;
    bool done = compare_registers(cpu, op, OPERAND(src), signaling, &relation);
    if (!empty)
        x87_set_c1(cpu, c1);
    flags_set_status(cpu, relation_flags[relation]);
    if (done && pop)
        x87_pop(cpu);
}

#define COMPARE_TO_FLAGS(name, signaling, pop)                                                                         \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        X87_WAIT;                                                                                                      \
        compare_to_flags(cpu, op, signaling, pop);                                                                     \
        NEXT;                                                                                                          \
    }
COMPARE_TO_FLAGS(fcomi, true, false)
COMPARE_TO_FLAGS(fcomip, true, true)
COMPARE_TO_FLAGS(fucomi, false, false)
COMPARE_TO_FLAGS(fucomip, false, true)
