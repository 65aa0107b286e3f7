/*
 * Fused pairs of instructions: one op for CMP or TEST and the Jcc behind it.
 */
#ifndef CPU_FUSED_H
#define CPU_FUSED_H

#include "cpu/op.h"

/*
 * The handler of CMP (or TEST) of this shape and width (index 0..3) with a conditional jump (condition: low four bits
 * of its opcode), or NULL if there is none.
 */
op_fn *fused_handler(bool test, enum shape shape, unsigned width, unsigned condition);

#endif
