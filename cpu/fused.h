/*
 * Fused pairs of instructions: two for the price of one dispatch.
 */
#ifndef CPU_FUSED_H
#define CPU_FUSED_H

#include "cpu/op.h"

/*
 * The handler of CMP (or TEST) of this shape and width (index 0..3) with a conditional jump (condition: low four bits
 * of its opcode), or NULL if there is none. Registers and immediates (SHAPE_RR, SHAPE_RI): one op stands for both, and
 * its `scale` is the length of the first instruction.
 */
op_fn *fused_handler(bool test, enum shape shape, unsigned width, unsigned condition);

/*
 * Pairs in place: the first op's handler does both instructions and goes on behind the second op, which stays where it
 * is for the case that the first one has to take the slow way. CMP or TEST with a flat memory operand and a conditional
 * jump; then PUSH PUSH, POP POP, POP RET, and two loads or stores of 16 bytes, all of 64-bit mode, by the handlers of
 * the two ops. NULL: there is none.
 */
op_fn *fused_memory_handler(bool test, enum shape shape, unsigned width, unsigned condition);
op_fn *fused_pair_handler(const struct op *first, const struct op *second);

#endif
