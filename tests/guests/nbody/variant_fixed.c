/*
 * The n-body variant in 16.16 fixed point: 64-bit products and quotients, which truncate. DT is a division by 100, and
 * a quotient is taken once for each component of each body: v[i] -= (d m[j] << 16) / (100 s^1.5).
 */
#include "system.h"

#define FIXED(x)     ((int32_t)((x) * 65536.0))
#define STEPS_A_YEAR 100

static const int32_t initial[BODIES][7] = {
#define ROW(x, y, z, vx, vy, vz, mass)                                                                                 \
    { FIXED(x),                                                                                                        \
      FIXED(y),                                                                                                        \
      FIXED(z),                                                                                                        \
      FIXED((vx) * YEAR),                                                                                              \
      FIXED((vy) * YEAR),                                                                                              \
      FIXED((vz) * YEAR),                                                                                              \
      FIXED((mass) * (4 * PI * PI)) },
    PLANETS(ROW)
};

static int32_t position[BODIES][3], velocity[BODIES][3], mass[BODIES];

/* Bit by bit: the largest r with r * r <= x. */
static int64_t root(uint64_t x)
{
    uint64_t r = 0;
    for (uint64_t bit = 1ull << 62; bit; bit >>= 2) {
        uint64_t trial = r + bit;
        r >>= 1;
        if (x >= trial) {
            x -= trial;
            r += bit;
        }
    }
    return (int64_t)r;
}

static void start(void)
{
    int64_t momentum[3] = { 0 };
    for (int i = 0; i < BODIES; i++) {
        mass[i] = initial[i][6];
        for (int k = 0; k < 3; k++) {
            position[i][k] = initial[i][k];
            velocity[i][k] = initial[i][3 + k];
            momentum[k] += (int64_t)velocity[i][k] * mass[i];
        }
    }
    for (int k = 0; k < 3; k++)
        velocity[0][k] = (int32_t)-(momentum[k] / mass[0]);
}

/* The difference of two positions and its square, 32.32. */
static uint64_t apart(int i, int j, int64_t d[3])
{
    uint64_t square = 0;
    for (int k = 0; k < 3; k++) {
        d[k] = (int64_t)position[i][k] - position[j][k];
        square += (uint64_t)(d[k] * d[k]);
    }
    return square;
}

static int32_t energy(void)
{
    int64_t e = 0, d[3];
    for (int i = 0; i < BODIES; i++) {
        int64_t square = 0;
        for (int k = 0; k < 3; k++)
            square += (int64_t)velocity[i][k] * velocity[i][k];
        e += (mass[i] * (square >> 16)) >> 17;
    }
    for (int i = 0; i < BODIES; i++)
        for (int j = i + 1; j < BODIES; j++)
            e -= (int64_t)mass[i] * mass[j] / root(apart(i, j, d));
    return (int32_t)e;
}

static void step(void)
{
    for (int i = 0; i < BODIES; i++) {
        for (int j = i + 1; j < BODIES; j++) {
            int64_t d[3];
            uint64_t square = apart(i, j, d);
            int64_t cube = (int64_t)(square >> 16) * root(square) * STEPS_A_YEAR;
            for (int k = 0; k < 3; k++) {
                velocity[i][k] -= (int32_t)(d[k] * mass[j] * 65536 / cube);
                velocity[j][k] += (int32_t)(d[k] * mass[i] * 65536 / cube);
            }
        }
    }
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            position[i][k] += velocity[i][k] / STEPS_A_YEAR;
}

void nbody_fixed(uint64_t argument)
{
    struct report *report = (struct report *)argument;
    start();
    report->energy[0].fixed = energy();
    for (uint64_t i = 0; i < report->steps; i++)
        step();
    report->energy[1].fixed = energy();
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            report->position[i][k].fixed = position[i][k];
}
