/*
 * Random and awkward operands of vector instructions, for the tests that need them.
 */
#ifndef TESTS_UNIT_OPERANDS_H
#define TESTS_UNIT_OPERANDS_H

#include "cpu/cpu.h"

/* How an operand is filled; each suits some instructions. */
enum operand_style {
    OPERAND_RANDOM,
    OPERAND_CORNERS_32,
    OPERAND_CORNERS_64,
    OPERAND_NEAR_32, /* exponents close to each other, so that sums cancel and quotients round */
    OPERAND_NEAR_64,
    OPERAND_TEXT,
    OPERAND_SMALL,
    OPERAND_EXTREMES,
    OPERAND_STYLES
};

/* The next of a sequence that starts with any seed. */
uint64_t operand_random(uint64_t *seed);

/* Fills the low bytes (a multiple of 8, up to 64) of a register. */
void operand_fill(uint64_t *seed, union vector_register *v, unsigned bytes, enum operand_style style);

#endif
