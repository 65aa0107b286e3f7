/*
 * The n-body variant in AVX-512F: a vector holds one coordinate of all bodies. Each body in turn, broadcast from
 * memory, pulls at all the others, which an opmask picks. A body thus meets the others in the same order as pair by
 * pair, and a difference with its sign turned has the same square: the results are those of AVX2 with FMA, bit by bit.
 */
#include "system.h"

#include <immintrin.h>

#define ALL ((__mmask8)((1 << BODIES) - 1))

#define SOLAR_MASS (4 * PI * PI)
static const double initial[7][8] = {
#define X(x, y, z, vx, vy, vz, mass)    x,
#define Y(x, y, z, vx, vy, vz, mass)    y,
#define Z(x, y, z, vx, vy, vz, mass)    z,
#define VX(x, y, z, vx, vy, vz, mass)   vx *YEAR,
#define VY(x, y, z, vx, vy, vz, mass)   vy *YEAR,
#define VZ(x, y, z, vx, vy, vz, mass)   vz *YEAR,
#define MASS(x, y, z, vx, vy, vz, mass) mass *SOLAR_MASS,
    { PLANETS(X) },  { PLANETS(Y) },  { PLANETS(Z) },    { PLANETS(VX) },
    { PLANETS(VY) }, { PLANETS(VZ) }, { PLANETS(MASS) },
};
static __m512d position[3], velocity[3], mass;

static double lane(const __m512d *v, int i)
{
    return ((const double *)v)[i];
}
/* Lane i everywhere. */
static __m512d spread(const __m512d *v, int i)
{
    return _mm512_set1_pd(lane(v, i));
}

static void start(void)
{
    mass = _mm512_maskz_loadu_pd(ALL, initial[6]);
    for (int k = 0; k < 3; k++) {
        position[k] = _mm512_maskz_loadu_pd(ALL, initial[k]);
        velocity[k] = _mm512_maskz_loadu_pd(ALL, initial[3 + k]);
        __m128d momentum = _mm_setzero_pd();
        for (int i = 0; i < BODIES; i++)
            momentum = _mm_fmadd_sd(_mm_set_sd(lane(&velocity[k], i)), _mm_set_sd(lane(&mass, i)), momentum);
        momentum = _mm_div_sd(_mm_xor_pd(momentum, _mm_set1_pd(-0.0)), _mm_set_sd(SOLAR_MASS));
        velocity[k] = _mm512_mask_broadcastsd_pd(velocity[k], 1, momentum);
    }
}

static __m512d square_of(const __m512d d[3])
{
    return _mm512_fmadd_pd(d[2], d[2], _mm512_fmadd_pd(d[1], d[1], _mm512_mul_pd(d[0], d[0])));
}

/* The other bodies as body i sees them. */
static void apart(int i, __m512d d[3])
{
    for (int k = 0; k < 3; k++)
        d[k] = _mm512_sub_pd(position[k], spread(&position[k], i));
}

static double energy(void)
{
    __m512d kinetic = _mm512_mul_pd(_mm512_set1_pd(0.5), mass), squares = square_of(velocity), d[3];
    __m128d e = _mm_setzero_pd();
    for (int i = 0; i < BODIES; i++)
        e = _mm_fmadd_sd(_mm_set_sd(lane(&kinetic, i)), _mm_set_sd(lane(&squares, i)), e);
    for (int i = 0; i < BODIES; i++) {
        __mmask8 later = ALL & (__mmask8)(0xFE << i);
        apart(i, d);
        __m512d parts = _mm512_maskz_div_pd(later, _mm512_mul_pd(spread(&mass, i), mass),
                                            _mm512_maskz_sqrt_pd(later, square_of(d)));
        for (int j = i + 1; j < BODIES; j++)
            e = _mm_sub_sd(e, _mm_set_sd(lane(&parts, j)));
    }
    return _mm_cvtsd_f64(e);
}

static void step(void)
{
    for (int i = 0; i < BODIES; i++) {
        __mmask8 others = ALL & (__mmask8) ~(1 << i);
        __m512d d[3];
        apart(i, d);
        __m512d square = square_of(d);
        __m512d w = _mm512_maskz_div_pd(others, _mm512_set1_pd(DT), _mm512_mul_pd(square, _mm512_sqrt_pd(square)));
        w = _mm512_mul_pd(spread(&mass, i), w);
        for (int k = 0; k < 3; k++)
            velocity[k] = _mm512_mask3_fnmadd_pd(d[k], w, velocity[k], others);
    }
    for (int k = 0; k < 3; k++)
        position[k] = _mm512_mask3_fmadd_pd(_mm512_set1_pd(DT), velocity[k], position[k], ALL);
}

void nbody_avx512(uint64_t argument)
{
    struct report *report = (struct report *)argument;
    start();
    report->energy[0].f64 = energy();
    for (uint64_t i = 0; i < report->steps; i++)
        step();
    report->energy[1].f64 = energy();
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            report->position[i][k].f64 = lane(&position[k], i);
    _mm256_zeroupper();
}
