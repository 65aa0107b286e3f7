/*
 * The n-body variant in AVX2 with FMA: a body's coordinates are one vector of four (the last unused), distances,
 * roots and quotients are computed for four pairs at a time. Two pairs more fill the third four.
 */
#include "system.h"

#include <immintrin.h>

#define FOURS ((PAIRS + 3) / 4)

struct body {
    __m256d p, v, mass; /* the mass in every lane */
};

#define SOLAR_MASS (4 * PI * PI)
static const double initial[BODIES][7] = {
#define ROW(x, y, z, vx, vy, vz, mass) { x, y, z, vx * YEAR, vy * YEAR, vz * YEAR, mass * SOLAR_MASS },
    PLANETS(ROW)
};
static struct body body[BODIES];

/* Rows of four to columns; the fourth column is not needed. */
static void transpose(const __m256d row[4], __m256d column[3])
{
    __m256d a = _mm256_unpacklo_pd(row[0], row[1]), b = _mm256_unpackhi_pd(row[0], row[1]);
    __m256d c = _mm256_unpacklo_pd(row[2], row[3]), d = _mm256_unpackhi_pd(row[2], row[3]);
    column[0] = _mm256_permute2f128_pd(a, c, 0x20);
    column[1] = _mm256_permute2f128_pd(b, d, 0x20);
    column[2] = _mm256_permute2f128_pd(a, c, 0x31);
}

static __m128d square_of(__m256d d)
{
    __m128d xy = _mm256_castpd256_pd128(d), y = _mm_unpackhi_pd(xy, xy), z = _mm256_extractf128_pd(d, 1);
    return _mm_fmadd_sd(z, z, _mm_fmadd_sd(y, y, _mm_mul_sd(xy, xy)));
}

static void start(void)
{
    const __m256i three = _mm256_setr_epi64x(-1, -1, -1, 0);
    __m256d momentum = _mm256_setzero_pd();
    for (int i = 0; i < BODIES; i++) {
        body[i] = (struct body){ _mm256_maskload_pd(initial[i], three), _mm256_maskload_pd(initial[i] + 3, three),
                                 _mm256_broadcast_sd(&initial[i][6]) };
        momentum = _mm256_fmadd_pd(body[i].v, body[i].mass, momentum);
    }
    body[0].v = _mm256_div_pd(_mm256_xor_pd(momentum, _mm256_set1_pd(-0.0)), _mm256_set1_pd(SOLAR_MASS));
}

static double energy(void)
{
    __m128d e = _mm_setzero_pd();
    for (int i = 0; i < BODIES; i++) {
        __m128d half = _mm_mul_sd(_mm_set_sd(0.5), _mm256_castpd256_pd128(body[i].mass));
        e = _mm_fmadd_sd(half, square_of(body[i].v), e);
    }
    for (int i = 0; i < BODIES; i++) {
        for (int j = i + 1; j < BODIES; j++) {
            __m128d square = square_of(_mm256_sub_pd(body[i].p, body[j].p));
            __m128d masses = _mm_mul_sd(_mm256_castpd256_pd128(body[i].mass), _mm256_castpd256_pd128(body[j].mass));
            e = _mm_sub_sd(e, _mm_div_sd(masses, _mm_sqrt_sd(square, square)));
        }
    }
    return _mm_cvtsd_f64(e);
}

static void step(void)
{
    static __m256d d[4 * FOURS], w[FOURS];
    int pair = 0;
    for (int i = 0; i < BODIES; i++)
        for (int j = i + 1; j < BODIES; j++)
            d[pair++] = _mm256_sub_pd(body[i].p, body[j].p);
    while (pair < 4 * FOURS)
        d[pair++] = _mm256_set1_pd(1);
    for (int four = 0; four < FOURS; four++) {
        __m256d c[3];
        transpose(d + 4 * four, c);
        __m256d square = _mm256_fmadd_pd(c[2], c[2], _mm256_fmadd_pd(c[1], c[1], _mm256_mul_pd(c[0], c[0])));
        w[four] = _mm256_div_pd(_mm256_set1_pd(DT), _mm256_mul_pd(square, _mm256_sqrt_pd(square)));
    }
    pair = 0;
    for (int i = 0; i < BODIES; i++) {
        for (int j = i + 1; j < BODIES; j++, pair++) {
            __m256d one = _mm256_broadcast_sd((const double *)w + pair);
            body[i].v = _mm256_fnmadd_pd(d[pair], _mm256_mul_pd(body[j].mass, one), body[i].v);
            body[j].v = _mm256_fmadd_pd(d[pair], _mm256_mul_pd(body[i].mass, one), body[j].v);
        }
    }
    for (int i = 0; i < BODIES; i++)
        body[i].p = _mm256_fmadd_pd(_mm256_set1_pd(DT), body[i].v, body[i].p);
}

void nbody_avx2(uint64_t argument)
{
    struct report *report = (struct report *)argument;
    start();
    report->energy[0].f64 = energy();
    for (uint64_t i = 0; i < report->steps; i++)
        step();
    report->energy[1].f64 = energy();
    for (int i = 0; i < BODIES; i++) {
        double p[4];
        _mm256_storeu_pd(p, body[i].p);
        for (int k = 0; k < 3; k++)
            report->position[i][k].f64 = p[k];
    }
    _mm256_zeroupper();
}
