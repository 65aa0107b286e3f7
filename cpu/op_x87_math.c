/*
 * x87 transcendental instructions (SDM vol. 1, 8.3.7 and 8.3.9): stack handling and exceptions around the functions of
 * x87_transcendental.c.
 */
#include "cpu/handler.h"
#include "cpu/x87.h"

typedef struct fp_number angle_fn(struct fp_context *context, struct fp_number x);
typedef struct fp_number binary_fn(struct fp_context *context, struct fp_number y, struct fp_number x);

/* --- ST(0) = f(ST(0)) --- */

static void apply_unary(struct cpu *cpu, const struct op *op, angle_fn *apply)
{
    if (x87_empty(cpu, 0)) {
        if (x87_stack_fault(cpu, op, false))
            x87_set(cpu, 0, x87_indefinite());
        return;
    }
    struct fp_context context = x87_context(cpu);
    struct fp_number result = apply(&context, x87_number(cpu, 0));
    x87_finish(cpu, op, &context);
    if (!fp_trapped(&context, FP_FLAGS_BEFORE))
        x87_set(cpu, 0, f80_pack(result));
}

/* C2: the angle is out of range and stays as it is, unless there is a stack fault. Reports whether it is. */
static bool angle_refused(struct cpu *cpu, const struct op *op, bool pushes)
{
    bool fits = !x87_empty(cpu, 0) && (!pushes || x87_empty(cpu, -1));
    bool refused = fits && !x87_angle_in_range(x87_number(cpu, 0));
    cpu->x87.fsw = (uint16_t)((cpu->x87.fsw & ~FSW_C2) | (refused ? FSW_C2 : 0));
    if (refused)
        x87_finish(cpu, op, &(struct fp_context){ 0 });
    return refused;
}

HANDLER(fsin)
{
    X87_WAIT;
    if (!angle_refused(cpu, op, false))
        apply_unary(cpu, op, x87_sin);
    NEXT;
}
HANDLER(fcos)
{
    X87_WAIT;
    if (!angle_refused(cpu, op, false))
        apply_unary(cpu, op, x87_cos);
    NEXT;
}
HANDLER(f2xm1)
{
    X87_WAIT;
    apply_unary(cpu, op, x87_exp2m1);
    NEXT;
}

/* --- one operand, two results: ST(0) replaced, another one pushed --- */

/* FPTAN pushes the 1 that the 8087 divided by; a NaN takes its place. */
static struct fp_number tan_divisor(struct fp_context *context, struct fp_number x)
{
    return x.kind >= NUMBER_INFINITE ? x87_tan(context, x) : fp_unpack_uint(1);
}

static void apply_and_push(struct cpu *cpu, const struct op *op, angle_fn *replaces, angle_fn *pushes)
{
    struct fp_number first = fp_indefinite(), second = first;
    bool empty = x87_empty(cpu, 0), writes;
    if (empty || !x87_empty(cpu, -1)) {
        writes = x87_stack_fault(cpu, op, !empty);
    } else {
        struct fp_context context = x87_context(cpu);
        second = pushes(&context, x87_number(cpu, 0));
        first = replaces(&context, x87_number(cpu, 0));
        x87_finish(cpu, op, &context);
        writes = !fp_trapped(&context, FP_FLAGS_BEFORE);
    }
    if (writes) {
        x87_set(cpu, 0, f80_pack(first));
        x87_push(cpu, f80_pack(second));
    }
}

HANDLER(fptan)
{
    X87_WAIT;
    if (!angle_refused(cpu, op, true))
        apply_and_push(cpu, op, x87_tan, tan_divisor);
    NEXT;
}
HANDLER(fsincos)
{
    X87_WAIT;
    if (!angle_refused(cpu, op, true))
        apply_and_push(cpu, op, x87_sin, x87_cos);
    NEXT;
}

/* --- ST(1) = f(ST(1), ST(0)), pop --- */

static void apply_and_pop(struct cpu *cpu, const struct op *op, binary_fn *apply)
{
    struct fp_number result = fp_indefinite();
    bool writes;
    if (x87_empty(cpu, 0) || x87_empty(cpu, 1)) {
        writes = x87_stack_fault(cpu, op, false);
    } else {
        struct fp_context context = x87_context(cpu);
        result = apply(&context, x87_number(cpu, 1), x87_number(cpu, 0));
        x87_finish(cpu, op, &context);
        writes = !fp_trapped(&context, FP_FLAGS_BEFORE);
    }
    if (writes) {
        x87_set(cpu, 1, f80_pack(result));
        x87_pop(cpu);
    }
}

HANDLER(fpatan)
{
    X87_WAIT;
    apply_and_pop(cpu, op, x87_atan);
    NEXT;
}
HANDLER(fyl2x)
{
    X87_WAIT;
    apply_and_pop(cpu, op, x87_ylog2);
    NEXT;
}
HANDLER(fyl2xp1)
{
    X87_WAIT;
    apply_and_pop(cpu, op, x87_ylog2p1);
    NEXT;
}
