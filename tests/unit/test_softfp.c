/*
 * softfp against the host's SSE unit: every operation, all rounding modes, FTZ and DAZ, on corner and random operands,
 * results and flags, and with unmasked exceptions the flags that the trap reports. (x86 hosts only.)
 */
#include "cpu/softfp.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#ifdef __x86_64__
#include <ucontext.h>
#endif

#include <cmocka.h>

struct rng {
    uint64_t state;
};

static uint64_t rng_next(struct rng *rng)
{
    uint64_t z = (rng->state += 0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

/* Numbers that matter: zeros, ones, extremes, denormals, infinities and NaNs of either kind, with a few flipped bits.
 */
static uint64_t operand(struct rng *rng, unsigned exponent_bits, unsigned fraction_bits)
{
    uint64_t ones = (1ull << exponent_bits) - 1, bias = ones >> 1, r = rng_next(rng);
    const uint64_t exponents[] = { 0,         0,         1,        2,   bias - 1, bias, bias + 1, bias + fraction_bits,
                                   bias + 31, bias + 63, ones - 1, ones };
    uint64_t fraction = rng_next(rng) & ((1ull << fraction_bits) - 1);
    uint64_t exponent = r & 8 ? (r >> 32) & ones : exponents[(r >> 8) % (sizeof exponents / sizeof *exponents)];
    switch (r & 7) {
    case 0:
        fraction = 0;
        break;
    case 1:
        fraction = (1ull << fraction_bits) - 1;
        break;
    case 2:
        fraction = 1;
        break;
    case 3:
        fraction &= fraction << (fraction_bits / 2) & ((1ull << fraction_bits) - 1);
        break;
    case 4:
        exponent = (bias + ((r >> 16) & 15) - 8) & ones;
        break;
    }
    return (r >> 63) << (exponent_bits + fraction_bits) | exponent << fraction_bits | fraction;
}

static uint32_t operand32(struct rng *rng)
{
    return (uint32_t)operand(rng, 8, 23);
}
static uint64_t operand64(struct rng *rng)
{
    return operand(rng, 11, 52);
}

#ifdef __x86_64__

enum { ROUNDS = 400000 };

/* Runs one SSE instruction under a guest MXCSR with all exceptions masked; gives its flags. */
#define HOST(instruction, result_in, result, operand_in, operand_value, mode)                                          \
    ({                                                                                                                 \
        uint32_t saved_, mxcsr_ = (mode);                                                                              \
        __asm__ volatile("stmxcsr %[saved]\n\tldmxcsr %[mxcsr]\n\t" instruction                                        \
                         "\n\tstmxcsr %[mxcsr]\n\tldmxcsr %[saved]"                                                    \
                         : [to] result_in(result), [mxcsr] "+m"(mxcsr_), [saved] "=m"(saved_)                          \
                         : [from] operand_in(operand_value));                                                          \
        mxcsr_ & 63;                                                                                                   \
    })

static uint32_t mxcsr_of(const struct fp_context *context)
{
    return 0x1F80 | (uint32_t)context->rounding << 13 | (context->flush_to_zero ? 0x8000 : 0) |
           (context->denormals_are_zero ? 0x40 : 0);
}

static struct fp_context any_mode(struct rng *rng)
{
    uint64_t r = rng_next(rng);
    return (struct fp_context){ .rounding = r & 3,
                                .flush_to_zero = (r & 0x30) == 0x10,
                                .denormals_are_zero = (r & 0x300) == 0x100 };
}

static void check(const char *what, const struct fp_context *context, uint64_t a, uint64_t b, uint64_t got,
                  unsigned got_flags, uint64_t want, unsigned want_flags)
{
    if (got == want && got_flags == want_flags)
        return;
    fail_msg("%s(%016llx, %016llx) rc %u ftz %u daz %u: %016llx flags %02x, host %016llx flags %02x", what,
             (unsigned long long)a, (unsigned long long)b, context->rounding, context->flush_to_zero,
             context->denormals_are_zero, (unsigned long long)got, got_flags, (unsigned long long)want, want_flags);
}

#define BINARY(name, type, operation, instruction)                                                                     \
    static void test_##name(void **state)                                                                              \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        struct rng rng = { 1 };                                                                                        \
        for (int i = 0; i < ROUNDS; i++) {                                                                             \
            struct fp_context context = any_mode(&rng);                                                                \
            type a = operand##operation(&rng), b = operand##operation(&rng), want = a;                                 \
            unsigned flags = HOST(instruction " %[from], %[to]", "+x", want, "x", b, mxcsr_of(&context));              \
            type got = name(&context, a, b);                                                                           \
            check(#name, &context, a, b, got, context.flags, want, flags);                                             \
        }                                                                                                              \
    }
BINARY(f32_add, uint32_t, 32, "addss")
BINARY(f32_sub, uint32_t, 32, "subss")
BINARY(f32_mul, uint32_t, 32, "mulss")
BINARY(f32_div, uint32_t, 32, "divss")
BINARY(f64_add, uint64_t, 64, "addsd")
BINARY(f64_sub, uint64_t, 64, "subsd")
BINARY(f64_mul, uint64_t, 64, "mulsd")
BINARY(f64_div, uint64_t, 64, "divsd")

#define UNARY(name, test, from, to, host_to, operation, instruction, call)                                             \
    static void test_##test(void **state)                                                                              \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        struct rng rng = { 2 };                                                                                        \
        for (int i = 0; i < ROUNDS; i++) {                                                                             \
            struct fp_context context = any_mode(&rng);                                                                \
            from a = operation(&rng);                                                                                  \
            to want = 0;                                                                                               \
            unsigned flags = HOST(instruction " %[from], %[to]", host_to, want, "x", a, mxcsr_of(&context));           \
            to got = (to)(call);                                                                                       \
            check(#test, &context, (uint64_t)a, 0, (uint64_t)got, context.flags, (uint64_t)want, flags);               \
        }                                                                                                              \
    }
UNARY(f32_sqrt, f32_sqrt, uint32_t, uint32_t, "=x", operand32, "sqrtss", f32_sqrt(&context, a))
UNARY(f64_sqrt, f64_sqrt, uint64_t, uint64_t, "=x", operand64, "sqrtsd", f64_sqrt(&context, a))
UNARY(f32_to_f64, f32_to_f64, uint32_t, uint64_t, "=x", operand32, "cvtss2sd", f32_to_f64(&context, a))
UNARY(f64_to_f32, f64_to_f32, uint64_t, uint32_t, "+x", operand64, "cvtsd2ss", f64_to_f32(&context, a))
UNARY(f32_to_int, cvtss2si32, uint32_t, int32_t, "=r", operand32, "cvtss2si",
      f32_to_int(&context, a, 32, context.rounding))
UNARY(f32_to_int, cvtss2si64, uint32_t, int64_t, "=r", operand32, "cvtss2si",
      f32_to_int(&context, a, 64, context.rounding))
UNARY(f64_to_int, cvtsd2si32, uint64_t, int32_t, "=r", operand64, "cvtsd2si",
      f64_to_int(&context, a, 32, context.rounding))
UNARY(f64_to_int, cvtsd2si64, uint64_t, int64_t, "=r", operand64, "cvtsd2si",
      f64_to_int(&context, a, 64, context.rounding))
UNARY(f64_to_int, cvttsd2si32, uint64_t, int32_t, "=r", operand64, "cvttsd2si",
      f64_to_int(&context, a, 32, ROUND_TRUNCATE))
UNARY(f64_to_int, cvttsd2si64, uint64_t, int64_t, "=r", operand64, "cvttsd2si",
      f64_to_int(&context, a, 64, ROUND_TRUNCATE))
UNARY(f32_round, roundss, uint32_t, uint32_t, "=x", operand32, "roundss $4,", f32_round(&context, a, context.rounding))
UNARY(f64_round, roundsd, uint64_t, uint64_t, "=x", operand64, "roundsd $2,", f64_round(&context, a, ROUND_UP))

static int64_t any_int(struct rng *rng)
{
    return (int64_t)rng_next(rng) >> (rng_next(rng) & 63);
}
static uint64_t any_int_bits(struct rng *rng)
{
    return (uint64_t)any_int(rng);
}

#define FROM_INT(test, from, to, instruction, call)                                                                    \
    static void test_##test(void **state)                                                                              \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        struct rng rng = { 3 };                                                                                        \
        for (int i = 0; i < ROUNDS; i++) {                                                                             \
            struct fp_context context = any_mode(&rng);                                                                \
            from a = (from)any_int_bits(&rng);                                                                         \
            to want = 0;                                                                                               \
            unsigned flags = HOST(instruction " %[from], %[to]", "+x", want, "r", a, mxcsr_of(&context));              \
            to got = call(&context, a);                                                                                \
            check(#test, &context, (uint64_t)a, 0, got, context.flags, want, flags);                                   \
        }                                                                                                              \
    }
FROM_INT(cvtsi2ss, int64_t, uint32_t, "cvtsi2ssq", f32_from_int)
FROM_INT(cvtsi2sd, int64_t, uint64_t, "cvtsi2sdq", f64_from_int)
FROM_INT(cvtsi2ss32, int32_t, uint32_t, "cvtsi2ssl", f32_from_int)

/* COMISD and UCOMISD: ZF PF CF as the relation. */
#define COMPARE(name, type, bits, instruction, signaling)                                                              \
    static void test_##instruction(void **state)                                                                       \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        struct rng rng = { 4 };                                                                                        \
        for (int i = 0; i < ROUNDS; i++) {                                                                             \
            struct fp_context context = any_mode(&rng);                                                                \
            type a = (type)operand##bits(&rng), b = i & 3 ? (type)operand##bits(&rng) : a;                             \
            uint32_t saved, mxcsr = mxcsr_of(&context);                                                                \
            uint8_t zero, parity, carry;                                                                               \
            __asm__ volatile("stmxcsr %[saved]\n\tldmxcsr %[mxcsr]\n\t" #instruction " %[b], %[a]\n\tsetz %[zero]\n\t" \
                             "setp %[parity]\n\tsetc %[carry]\n\tstmxcsr %[mxcsr]\n\tldmxcsr %[saved]"                 \
                             : [mxcsr] "+m"(mxcsr), [saved] "=m"(saved), [zero] "=r"(zero), [parity] "=r"(parity),     \
                               [carry] "=r"(carry)                                                                     \
                             : [a] "x"(a), [b] "x"(b)                                                                  \
                             : "cc");                                                                                  \
            enum fp_relation want = parity ? FP_UNORDERED : zero ? FP_EQUAL : carry ? FP_LESS : FP_GREATER;            \
            enum fp_relation got = name(&context, a, b, signaling);                                                    \
            check(#instruction, &context, a, b, got, context.flags, want, mxcsr & 63);                                 \
        }                                                                                                              \
    }
COMPARE(f32_compare, uint32_t, 32, comiss, true)
COMPARE(f32_compare, uint32_t, 32, ucomiss, false)
COMPARE(f64_compare, uint64_t, 64, comisd, true)
COMPARE(f64_compare, uint64_t, 64, ucomisd, false)

/* a * b + c with vfmadd213: src2 * dst + src3, NaNs in that order. */
#define FMA(name, bits, type, instruction)                                                                             \
    static void test_##name(void **state)                                                                              \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        struct rng rng = { 5 };                                                                                        \
        if (!__builtin_cpu_supports("fma"))                                                                            \
            skip();                                                                                                    \
        for (int i = 0; i < ROUNDS; i++) {                                                                             \
            struct fp_context context = any_mode(&rng);                                                                \
            type a = (type)operand##bits(&rng), b = (type)operand##bits(&rng), c = (type)operand##bits(&rng);          \
            if ((i & 7) == 0) { /* cancellation */                                                                     \
                struct fp_context plain = { 0 };                                                                       \
                c = name##_cancel(&plain, a, b);                                                                       \
            }                                                                                                          \
            type want = b;                                                                                             \
            uint32_t saved, mxcsr = mxcsr_of(&context);                                                                \
            __asm__ volatile("stmxcsr %[saved]\n\tldmxcsr %[mxcsr]\n\t" instruction                                    \
                             " %[c], %[a], %[out]\n\tstmxcsr %[mxcsr]\n\tldmxcsr %[saved]"                             \
                             : [out] "+x"(want), [mxcsr] "+m"(mxcsr), [saved] "=m"(saved)                              \
                             : [a] "x"(a), [c] "x"(c));                                                                \
            type got = name(&context, a, b, c);                                                                        \
            check(#name, &context, a, b, got, context.flags, want, mxcsr & 63);                                        \
        }                                                                                                              \
    }
static uint32_t f32_fma_cancel(struct fp_context *context, uint32_t a, uint32_t b)
{
    return f32_mul(context, a, b) ^ 1u << 31;
}
static uint64_t f64_fma_cancel(struct fp_context *context, uint64_t a, uint64_t b)
{
    return f64_mul(context, a, b) ^ 1ull << 63;
}
FMA(f32_fma, 32, uint32_t, "vfmadd213ss")
FMA(f64_fma, 64, uint64_t, "vfmadd213sd")

/* Unmasked exceptions: the flags with which SIGFPE finds MXCSR. */
static sigjmp_buf trap;
static volatile sig_atomic_t trap_flags;

static void on_sigfpe(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    ucontext_t *user = context;
    trap_flags = (int)user->uc_mcontext.fpregs->mxcsr & 63;
    siglongjmp(trap, 1);
}

static unsigned host_trapping(unsigned operation, uint64_t a, uint64_t b, uint32_t mxcsr)
{
    unsigned flags = 0;
    uint32_t saved = 0x1F80;
    if (sigsetjmp(trap, 1)) {
        __asm__ volatile("ldmxcsr %0" : : "m"(saved));
        return (unsigned)trap_flags;
    }
    switch (operation) {
    case 0:
        flags = HOST("addsd %[from], %[to]", "+x", a, "x", b, mxcsr);
        break;
    case 1:
        flags = HOST("mulsd %[from], %[to]", "+x", a, "x", b, mxcsr);
        break;
    case 2:
        flags = HOST("divsd %[from], %[to]", "+x", a, "x", b, mxcsr);
        break;
    default:
        flags = HOST("cvtsd2ss %[from], %[to]", "+x", a, "x", b, mxcsr);
        break;
    }
    return flags;
}

static unsigned soft_trapping(unsigned operation, struct fp_context *context, uint64_t a, uint64_t b)
{
    switch (operation) {
    case 0:
        f64_add(context, a, b);
        break;
    case 1:
        f64_mul(context, a, b);
        break;
    case 2:
        f64_div(context, a, b);
        break;
    default:
        f64_to_f32(context, b);
        break;
    }
    return context->flags;
}

static void test_traps(void **state)
{
    (void)state;
    struct sigaction action = { .sa_sigaction = on_sigfpe, .sa_flags = SA_SIGINFO }, old;
    struct rng rng = { 6 };
    sigaction(SIGFPE, &action, &old);
    for (int i = 0; i < 20000; i++) {
        struct fp_context context = any_mode(&rng);
        context.unmasked = rng_next(&rng) & 63;
        uint64_t a = operand64(&rng), b = operand64(&rng);
        unsigned want = host_trapping(i & 3, a, b, mxcsr_of(&context) & ~((uint32_t)context.unmasked << 7));
        unsigned got = soft_trapping(i & 3, &context, a, b);
        check("trap", &context, a, b, context.unmasked, got, context.unmasked, want);
    }
    sigaction(SIGFPE, &old, NULL);
}

#define HOST_TESTS                                                                                                     \
    cmocka_unit_test(test_traps), cmocka_unit_test(test_f32_add), cmocka_unit_test(test_f32_sub),                      \
        cmocka_unit_test(test_f32_mul), cmocka_unit_test(test_f32_div), cmocka_unit_test(test_f64_add),                \
        cmocka_unit_test(test_f64_sub), cmocka_unit_test(test_f64_mul), cmocka_unit_test(test_f64_div),                \
        cmocka_unit_test(test_f32_sqrt), cmocka_unit_test(test_f64_sqrt), cmocka_unit_test(test_f32_to_f64),           \
        cmocka_unit_test(test_f64_to_f32), cmocka_unit_test(test_cvtss2si32), cmocka_unit_test(test_cvtss2si64),       \
        cmocka_unit_test(test_cvtsd2si32), cmocka_unit_test(test_cvtsd2si64), cmocka_unit_test(test_cvttsd2si32),      \
        cmocka_unit_test(test_cvttsd2si64), cmocka_unit_test(test_roundss), cmocka_unit_test(test_roundsd),            \
        cmocka_unit_test(test_cvtsi2ss), cmocka_unit_test(test_cvtsi2sd), cmocka_unit_test(test_cvtsi2ss32),           \
        cmocka_unit_test(test_comiss), cmocka_unit_test(test_ucomiss), cmocka_unit_test(test_comisd),                  \
        cmocka_unit_test(test_ucomisd), cmocka_unit_test(test_f32_fma), cmocka_unit_test(test_f64_fma),
#else
#define HOST_TESTS
#endif

/* A trapped underflow needs no inexactness; one found before the computation hides those after it. */
static void test_unmasked(void **state)
{
    (void)state;
    struct fp_context context = { .unmasked = FP_UE };
    f64_mul(&context, 0x0010000000000000, 0x3FE0000000000000); /* smallest normal / 2: tiny and exact */
    assert_int_equal(context.flags, FP_UE);
    context = (struct fp_context){ .flush_to_zero = true, .unmasked = FP_UE };
    f64_mul(&context, 0x0010000000000001, 0x3FE0000000000000);
    assert_int_equal(context.flags, FP_UE);
    context = (struct fp_context){ .unmasked = FP_DE };
    f64_add(&context, 1, 0x3FF0000000000000); /* a denormal: DE, and no PE */
    assert_int_equal(context.flags, FP_DE);
    assert_true(fp_trapped(&context, FP_FLAGS_BEFORE));
}

static void test_to_uint(void **state)
{
    (void)state;
    struct fp_context context = { 0 };
    assert_true(f64_to_uint(&context, 0x43EFFFFFFFFFFFFF, 64, ROUND_NEAREST) == 0xFFFFFFFFFFFFF800);
    assert_int_equal(context.flags, 0);
    assert_true(f64_to_uint(&context, 0xBFD0000000000000, 32, ROUND_NEAREST) == 0); /* -0.25 */
    assert_int_equal(context.flags, FP_PE);
    assert_true(f64_to_uint(&context, 0xBFF0000000000000, 32, ROUND_NEAREST) == 0xFFFFFFFF);
    assert_int_equal(context.flags, FP_PE | FP_IE);
}

int main(void)
{
    const struct CMUnitTest tests[] = { HOST_TESTS cmocka_unit_test(test_unmasked), cmocka_unit_test(test_to_uint) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
