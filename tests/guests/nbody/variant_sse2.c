/*
 * The n-body variant in SSE2: distances, roots and quotients two pairs at a time, velocities as an xy pair and a lone
 * z. Built without contraction, so that no compiler makes one operation of two.
 */
#include "system.h"

#include <emmintrin.h>

struct body {
    __m128d p[2], v[2]; /* xy, z- */
    double mass;
};

#define SOLAR_MASS (4 * PI * PI)
static const double initial[BODIES][7] = {
#define ROW(x, y, z, vx, vy, vz, mass) { x, y, z, vx * YEAR, vy * YEAR, vz * YEAR, mass * SOLAR_MASS },
    PLANETS(ROW)
};
static struct body body[BODIES];

static __m128d square_of(const __m128d d[2])
{
    __m128d xy = _mm_mul_pd(d[0], d[0]);
    return _mm_add_sd(_mm_add_sd(xy, _mm_unpackhi_pd(xy, xy)), _mm_mul_sd(d[1], d[1]));
}

static void start(void)
{
    __m128d momentum[2] = { _mm_setzero_pd(), _mm_setzero_pd() };
    for (int i = 0; i < BODIES; i++) {
        const double *from = initial[i];
        body[i] = (struct body){ { _mm_loadu_pd(from), _mm_load_sd(from + 2) },
                                 { _mm_loadu_pd(from + 3), _mm_load_sd(from + 5) },
                                 from[6] };
        for (int k = 0; k < 2; k++)
            momentum[k] = _mm_add_pd(momentum[k], _mm_mul_pd(body[i].v[k], _mm_set1_pd(body[i].mass)));
    }
    for (int k = 0; k < 2; k++)
        body[0].v[k] = _mm_div_pd(_mm_xor_pd(momentum[k], _mm_set1_pd(-0.0)), _mm_set1_pd(SOLAR_MASS));
}

static double energy(void)
{
    __m128d e = _mm_setzero_pd();
    for (int i = 0; i < BODIES; i++)
        e = _mm_add_sd(e, _mm_mul_sd(_mm_set_sd(0.5 * body[i].mass), square_of(body[i].v)));
    for (int i = 0; i < BODIES; i++) {
        for (int j = i + 1; j < BODIES; j++) {
            __m128d d[2] = { _mm_sub_pd(body[i].p[0], body[j].p[0]), _mm_sub_sd(body[i].p[1], body[j].p[1]) };
            __m128d square = square_of(d), masses = _mm_set_sd(body[i].mass * body[j].mass);
            e = _mm_sub_sd(e, _mm_div_sd(masses, _mm_sqrt_sd(square, square)));
        }
    }
    return _mm_cvtsd_f64(e);
}

static void step(void)
{
    static __m128d d[PAIRS][2], w[PAIRS / 2];
    int pair = 0;
    for (int i = 0; i < BODIES; i++) {
        for (int j = i + 1; j < BODIES; j++, pair++) {
            d[pair][0] = _mm_sub_pd(body[i].p[0], body[j].p[0]);
            d[pair][1] = _mm_sub_sd(body[i].p[1], body[j].p[1]);
        }
    }
    for (int two = 0; two < PAIRS / 2; two++) {
        const __m128d *a = d[2 * two], *b = d[2 * two + 1];
        __m128d x = _mm_unpacklo_pd(a[0], b[0]), y = _mm_unpackhi_pd(a[0], b[0]), z = _mm_unpacklo_pd(a[1], b[1]);
        __m128d square = _mm_add_pd(_mm_add_pd(_mm_mul_pd(x, x), _mm_mul_pd(y, y)), _mm_mul_pd(z, z));
        w[two] = _mm_div_pd(_mm_set1_pd(DT), _mm_mul_pd(square, _mm_sqrt_pd(square)));
    }
    pair = 0;
    for (int i = 0; i < BODIES; i++) {
        for (int j = i + 1; j < BODIES; j++, pair++) {
            double one = ((const double *)w)[pair];
            __m128d wi = _mm_set1_pd(body[i].mass * one), wj = _mm_set1_pd(body[j].mass * one);
            body[i].v[0] = _mm_sub_pd(body[i].v[0], _mm_mul_pd(d[pair][0], wj));
            body[i].v[1] = _mm_sub_sd(body[i].v[1], _mm_mul_sd(d[pair][1], wj));
            body[j].v[0] = _mm_add_pd(body[j].v[0], _mm_mul_pd(d[pair][0], wi));
            body[j].v[1] = _mm_add_sd(body[j].v[1], _mm_mul_sd(d[pair][1], wi));
        }
    }
    for (int i = 0; i < BODIES; i++) {
        body[i].p[0] = _mm_add_pd(body[i].p[0], _mm_mul_pd(_mm_set1_pd(DT), body[i].v[0]));
        body[i].p[1] = _mm_add_sd(body[i].p[1], _mm_mul_sd(_mm_set_sd(DT), body[i].v[1]));
    }
}

void nbody_sse2(uint64_t argument)
{
    struct report *report = (struct report *)argument;
    start();
    report->energy[0].f64 = energy();
    for (uint64_t i = 0; i < report->steps; i++)
        step();
    report->energy[1].f64 = energy();
    for (int i = 0; i < BODIES; i++) {
        _mm_storel_pd(&report->position[i][0].f64, body[i].p[0]);
        _mm_storeh_pd(&report->position[i][1].f64, body[i].p[0]);
        _mm_storel_pd(&report->position[i][2].f64, body[i].p[1]);
    }
}
