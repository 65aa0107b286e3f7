/*
 * The planetary system whose motion the microkernel computes: the Sun and the four giants, the problem of the
 * well-known n-body benchmark. Lengths in astronomical units, times in years, masses in units in which the constant
 * of gravitation is 1. reference.py reads the table below and computes the same by integers.
 *
 * Every variant does the same operations in the same order, so that each has one right answer, bit by bit:
 *
 *   start     p = sum of v m over all bodies, v of the Sun = -p / SOLAR_MASS
 *   energy    e += (0.5 m) (vx vx + vy vy + vz vz) body by body, then e -= (m[i] m[j]) / sqrt(s) pair by pair
 *   step      for each pair i < j: d = p[i] - p[j], s = (dx dx + dy dy) + dz dz, w = DT / (s sqrt(s)),
 *             v[i] -= d (m[j] w), v[j] += d (m[i] w); then for each body p += DT v
 *
 * Those with FMA fuse each addition with the product that is added.
 */
#ifndef TESTS_GUESTS_NBODY_SYSTEM_H
#define TESTS_GUESTS_NBODY_SYSTEM_H

#include <stdint.h>

#define BODIES 5
#define PAIRS  10
#define PI     3.141592653589793
#define YEAR   365.24 /* in days */
#define DT     0.01

/* clang-format off */
/* B(position, velocity in units a day, mass in those of the Sun), a row for each body */
#define PLANETS(B)                                                                                                     \
    B(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)                                                                               \
    B(4.84143144246472090e+00, -1.16032004402742839e+00, -1.03622044471123109e-01,                                     \
      1.66007664274403694e-03, 7.69901118419740425e-03, -6.90460016972063023e-05, 9.54791938424326609e-04)             \
    B(8.34336671824457987e+00, 4.12479856412430479e+00, -4.03523417114321381e-01,                                      \
      -2.76742510726411542e-03, 4.99852801234917238e-03, 2.30417297573763929e-05, 2.85885980666130812e-04)             \
    B(1.28943695621391310e+01, -1.51111514016986312e+01, -2.23307578892655734e-01,                                     \
      2.96460137564761618e-03, 2.37847173959480950e-03, -2.96589568540237556e-05, 4.36624404335156298e-05)             \
    B(1.53796971148509165e+01, -2.59193146099879641e+01, 1.79258772950371181e-01,                                      \
      2.68067772490389322e-03, 1.62824170038242295e-03, -9.51592254519715870e-05, 5.15138902046611451e-05)
/* clang-format on */

/* What a variant found, as it lies in its own format: binary64, the 80 bits of x87, or 16.16 in two's complement. */
union number {
    uint64_t bits;
    double f64;
    int32_t fixed;
    struct {
        uint64_t mantissa;
        uint16_t exponent;
    } f80;
    uint8_t bytes[16];
};
struct report {
    uint64_t steps;         /* to be done */
    union number energy[2]; /* before and after */
    union number position[BODIES][3];
};

/* They run at CPL 0 and CPL 3 on a zeroed state of their own; the argument is a struct report *. */
void nbody_sse2(uint64_t report);
void nbody_avx2(uint64_t report);
void nbody_avx512(uint64_t report);
void nbody_x87(uint64_t report);
void nbody_fixed(uint64_t report);

#endif
