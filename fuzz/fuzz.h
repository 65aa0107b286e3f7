/*
 * What every fuzz target is made of. A target is one file with fuzz_one() and a comment that says what its input means
 * and what must hold (its policy); it is linked twice: with afl_main.c, AFL++'s persistent mode, and with run_main.c, a
 * plain program that replays files. docs/fuzzing.md has the commands.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#define FUZZ_BYTES_MAX (1u << 20) /* of an input; what is longer is cut */

/*
 * Runs one input. Returns 0 if the policy holds; else the process ends by fuzz_finding() or by a signal. Keeps nothing
 * from one call to the next that could change the outcome.
 */
int fuzz_one(const uint8_t *data, size_t size);

/* Adds to the work that TARGET-run prints the rate of; unit: of static storage, the same in each call. */
void fuzz_count(const char *unit, uint64_t count);
uint64_t fuzz_counted(const char **unit);

/* A violation of the policy: says it on stderr and aborts. */
_Noreturn void fuzz_finding(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * A copy of the bytes that ends where an inaccessible page begins, so that a read behind them is a signal even in code
 * without instrumentation. size: at most FUZZ_BYTES_MAX. Valid until the next call.
 */
const uint8_t *fuzz_guarded(const uint8_t *bytes, size_t size);

/* xorshift64*: all the randomness a target may use, from a seed in its input. */
struct fuzz_random {
    uint64_t state;
};
static inline struct fuzz_random fuzz_random(uint64_t seed)
{
    return (struct fuzz_random){ (seed ^ 0x9E3779B97F4A7C15ull) | 1 };
}
static inline uint64_t fuzz_draw(struct fuzz_random *random)
{
    random->state ^= random->state >> 12;
    random->state ^= random->state << 25;
    random->state ^= random->state >> 27;
    return random->state * 0x2545F4914F6CDD1Dull;
}
/* 0 .. limit - 1; limit: 1 .. 2^32. */
static inline uint64_t fuzz_below(struct fuzz_random *random, uint64_t limit)
{
    return (fuzz_draw(random) >> 32) * limit >> 32;
}

#endif
