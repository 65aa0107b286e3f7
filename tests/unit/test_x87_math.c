/*
 * The transcendental functions of x87 against MPFR: in each rounding mode less than one unit in the last place of the
 * exact value, rounding to the nearest at most a half and a 2^-20th. Angles: the remainder modulo the 66-bit pi/2 is
 * part of the definition.
 */
#include "cpu/x87.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#if __has_include(<mpfr.h>)
#include <mpfr.h>

enum { TRIALS = 20000, BITS = 512 };

static uint64_t rng_next(uint64_t *rng)
{
    uint64_t z = (*rng += 0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

/* Finite, with an exponent from low to high, often with few bits or close to a power of two. */
static struct fp_number any_number(uint64_t *rng, int low, int high)
{
    uint64_t r = rng_next(rng), significand = rng_next(rng);
    if ((r & 3) == 0)
        significand = 1ull << 63 | significand >> ((r >> 8) & 63);
    else if ((r & 3) == 1)
        significand = UINT64_MAX << ((r >> 8) & 63) | 1ull << 63;
    return (struct fp_number){ .kind = NUMBER_FINITE,
                               .sign = r >> 63,
                               .exponent = low + (int)((r >> 16) % (unsigned)(high - low + 1)),
                               .significand = significand | 1ull << 63 };
}

static void to_mpfr(mpfr_t out, struct fp_number a)
{
    mpfr_set_ui(out, (unsigned long)(a.significand >> 32), MPFR_RNDN);
    mpfr_mul_2ui(out, out, 32, MPFR_RNDN);
    mpfr_add_ui(out, out, (unsigned long)(a.significand & UINT32_MAX), MPFR_RNDN);
    mpfr_mul_2si(out, out, a.exponent - 63, MPFR_RNDN);
    if (a.sign)
        mpfr_neg(out, out, MPFR_RNDN);
}

/* Fails if got is too far from the exact value or on the wrong side of it. */
static void check(const char *what, struct fp_context context, struct fp_number x, struct fp_number y,
                  struct fp_number got, mpfr_t exact)
{
    mpfr_t value;
    if (mpfr_zero_p(exact) || got.kind == NUMBER_ZERO) {
        assert_true(mpfr_zero_p(exact) && got.kind == NUMBER_ZERO);
        return;
    }
    assert_int_equal(got.kind, NUMBER_FINITE);
    mpfr_init2(value, BITS);
    to_mpfr(value, got);
    mpfr_sub(value, value, exact, MPFR_RNDN);
    mpfr_mul_2si(value, value, 63 - got.exponent, MPFR_RNDN);
    double error = mpfr_get_d(value, MPFR_RNDN), slack = 1e-6;
    double bound = context.rounding == ROUND_NEAREST ? 0.5 : 1.0;
    mpfr_clear(value);
    bool side = (context.rounding != ROUND_DOWN || error <= slack) && (context.rounding != ROUND_UP || error >= -slack);
    if (error > -bound - slack && error < bound + slack && side)
        return;
    fail_msg("%s rc %u x %d*%016llx^%d y %d*%016llx^%d: off by %g", what, context.rounding, x.sign ? -1 : 1,
             (unsigned long long)x.significand, x.exponent, y.sign ? -1 : 1, (unsigned long long)y.significand,
             y.exponent, error);
}

/* x -> remainder modulo pi66/2 and quadrant, exactly. */
static unsigned reduce(mpfr_t rest, struct fp_number x)
{
    mpfr_t half_pi;
    long quotient;
    mpfr_init2(half_pi, BITS);
    mpfr_set_str(half_pi, "0x3243F6A8885A308D3", 0, MPFR_RNDN);
    mpfr_mul_2si(half_pi, half_pi, -65, MPFR_RNDN);
    to_mpfr(rest, x);
    mpfr_remquo(rest, &quotient, rest, half_pi, MPFR_RNDN);
    mpfr_clear(half_pi);
    return (unsigned)quotient & 3;
}

static void exact_sine(mpfr_t out, struct fp_number x, unsigned ahead)
{
    unsigned quadrant = (reduce(out, x) + ahead) & 3;
    if (quadrant & 1)
        mpfr_cos(out, out, MPFR_RNDN);
    else
        mpfr_sin(out, out, MPFR_RNDN);
    if (quadrant & 2)
        mpfr_neg(out, out, MPFR_RNDN);
}

static void test_angles(void **state)
{
    (void)state;
    uint64_t rng = 1;
    mpfr_t exact, cosine;
    mpfr_inits2(BITS, exact, cosine, (mpfr_ptr)0);
    for (int i = 0; i < TRIALS; i++) {
        struct fp_number x = i & 1 ? any_number(&rng, -80, 62) : any_number(&rng, -3, 8);
        if (i % 5 == 0) { /* close to a multiple of pi/2 */
            struct fp_context plain = { 0 };
            x = fp_mul(&plain, &fp_f80, fp_unpack_uint(rng_next(&rng) % 1000 + 1),
                       (struct fp_number){ .kind = NUMBER_FINITE, .significand = 0xC90FDAA22168C235 });
        }
        struct fp_context context = { .rounding = (uint8_t)(i >> 2 & 3) };
        struct fp_number sin = x87_sin(&context, x), cos = x87_cos(&context, x), tan = x87_tan(&context, x);
        exact_sine(exact, x, 0);
        exact_sine(cosine, x, 1);
        check("sin", context, x, x, sin, exact);
        check("cos", context, x, x, cos, cosine);
        mpfr_div(exact, exact, cosine, MPFR_RNDN);
        check("tan", context, x, x, tan, exact);
    }
    mpfr_clears(exact, cosine, (mpfr_ptr)0);
}

static void test_atan(void **state)
{
    (void)state;
    uint64_t rng = 2;
    mpfr_t x, y;
    mpfr_inits2(BITS, x, y, (mpfr_ptr)0);
    for (int i = 0; i < TRIALS; i++) {
        struct fp_context context = { .rounding = (uint8_t)(i >> 2 & 3) };
        struct fp_number a = any_number(&rng, -70, 70), b = i & 1 ? any_number(&rng, -70, 70) : any_number(&rng, -1, 1);
        if (i % 3 == 0)
            b.exponent = a.exponent;
        struct fp_number got = x87_atan(&context, b, a);
        to_mpfr(x, a);
        to_mpfr(y, b);
        mpfr_atan2(y, y, x, MPFR_RNDN);
        check("atan", context, a, b, got, y);
    }
    mpfr_clears(x, y, (mpfr_ptr)0);
}

static void test_exp2m1(void **state)
{
    (void)state;
    uint64_t rng = 3;
    mpfr_t x, ln2;
    mpfr_inits2(BITS, x, ln2, (mpfr_ptr)0);
    mpfr_const_log2(ln2, MPFR_RNDN);
    for (int i = 0; i < TRIALS; i++) {
        struct fp_context context = { .rounding = (uint8_t)(i >> 2 & 3) };
        struct fp_number a = i & 1 ? any_number(&rng, -4, -1) : any_number(&rng, -90, -1);
        struct fp_number got = x87_exp2m1(&context, a);
        to_mpfr(x, a);
        mpfr_mul(x, x, ln2, MPFR_RNDN);
        mpfr_expm1(x, x, MPFR_RNDN);
        check("exp2m1", context, a, a, got, x);
    }
    mpfr_clears(x, ln2, (mpfr_ptr)0);
}

static void test_logarithms(void **state)
{
    (void)state;
    uint64_t rng = 4;
    mpfr_t x, y, ln2;
    mpfr_inits2(BITS, x, y, ln2, (mpfr_ptr)0);
    mpfr_const_log2(ln2, MPFR_RNDN);
    for (int i = 0; i < TRIALS; i++) {
        struct fp_context context = { .rounding = (uint8_t)(i >> 2 & 3) };
        struct fp_number a = i & 1 ? any_number(&rng, -1, 0) : any_number(&rng, -1000, 1000);
        struct fp_number b = any_number(&rng, -20, 20);
        a.sign = false;
        struct fp_number got = x87_ylog2(&context, b, a);
        to_mpfr(x, a);
        to_mpfr(y, b);
        mpfr_log2(x, x, MPFR_RNDN);
        mpfr_mul(y, y, x, MPFR_RNDN);
        check("ylog2", context, a, b, got, y);

        a = i & 1 ? any_number(&rng, -80, -1) : any_number(&rng, -4, 70);
        a.sign = a.sign && a.exponent < 0;
        got = x87_ylog2p1(&context, b, a);
        to_mpfr(x, a);
        to_mpfr(y, b);
        mpfr_log1p(x, x, MPFR_RNDN);
        mpfr_div(x, x, ln2, MPFR_RNDN);
        mpfr_mul(y, y, x, MPFR_RNDN);
        check("ylog2p1", context, a, b, got, y);
    }
    mpfr_clears(x, y, ln2, (mpfr_ptr)0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_angles), cmocka_unit_test(test_atan),
                                        cmocka_unit_test(test_exp2m1), cmocka_unit_test(test_logarithms) };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mpfr_free_cache();
    return failed;
}

#else
int main(void)
{
    printf("skipped: built without libmpfr\n");
    return 0;
}
#endif
