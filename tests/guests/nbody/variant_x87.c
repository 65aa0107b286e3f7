/* The n-body variant in x87: long double, whose every operation rounds to 64 bits of mantissa. */
#include "system.h"

struct body {
    long double p[3], v[3], mass;
};

#define SOLAR_MASS (4.0L * 3.141592653589793L * 3.141592653589793L)
#define ROW(x, y, z, vx, vy, vz, mass)                                                                                 \
    { { x##L, y##L, z##L }, { vx##L * 365.24L, vy##L * 365.24L, vz##L * 365.24L }, mass##L * SOLAR_MASS },
static const struct body initial[BODIES] = { PLANETS(ROW) };
static struct body body[BODIES];

static long double root(long double x)
{
    long double r;
    __asm__("fsqrt" : "=t"(r) : "0"(x));
    return r;
}

static void start(void)
{
    for (int i = 0; i < BODIES; i++)
        body[i] = initial[i];
    for (int k = 0; k < 3; k++) {
        long double momentum = 0;
        for (int i = 0; i < BODIES; i++)
            momentum = momentum + body[i].v[k] * body[i].mass;
        body[0].v[k] = -momentum / SOLAR_MASS;
    }
}

static long double square_of(const long double d[3])
{
    return d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
}

static void apart(int i, int j, long double d[3])
{
    for (int k = 0; k < 3; k++)
        d[k] = body[i].p[k] - body[j].p[k];
}

static long double energy(void)
{
    long double e = 0, d[3];
    for (int i = 0; i < BODIES; i++)
        e += 0.5L * body[i].mass * square_of(body[i].v);
    for (int i = 0; i < BODIES; i++) {
        for (int j = i + 1; j < BODIES; j++) {
            apart(i, j, d);
            e -= body[i].mass * body[j].mass / root(square_of(d));
        }
    }
    return e;
}

static void step(void)
{
    for (int i = 0; i < BODIES; i++) {
        for (int j = i + 1; j < BODIES; j++) {
            long double d[3];
            apart(i, j, d);
            long double square = square_of(d), w = 0.01L / (square * root(square));
            long double wi = body[i].mass * w, wj = body[j].mass * w;
            for (int k = 0; k < 3; k++) {
                body[i].v[k] -= d[k] * wj;
                body[j].v[k] += d[k] * wi;
            }
        }
    }
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            body[i].p[k] += 0.01L * body[i].v[k];
}

static void put(union number *to, long double x)
{
    __asm__("fstpt %0" : "=m"(to->bytes) : "t"(x) : "st");
}

void nbody_x87(uint64_t argument)
{
    struct report *report = (struct report *)argument;
    start();
    put(&report->energy[0], energy());
    for (uint64_t i = 0; i < report->steps; i++)
        step();
    put(&report->energy[1], energy());
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            put(&report->position[i][k], body[i].p[k]);
}
