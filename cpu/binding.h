/*
 * How handlers are bound to the engine that runs them: here the threaded one, which walks an array of ops.
 *
 * A handler's source (cpu/handler.h) says what an instruction does; where its operands stand, how it goes on and where
 * it goes when it must do otherwise is said here and nowhere else. Compiled with another HANDLER_BINDING the same
 * source becomes another engine's code (docs/stencils.md). A binding defines:
 *
 *   OPERAND(field)            a field of the handler's op
 *   SECOND(field)             a field of the op behind it: fused pairs
 *   INSN_AT, INSN_END         where the instruction begins and ends, from the block's start; SECOND_END: the op behind
 *   LINEAR_FLAT               gpr[base] + (gpr[index] << scale) + disp
 *   LINEAR_BASED              gpr[base] + disp, for operands whose index is GPR_ZERO
 *   GO(next), NEXT, NEXT_PAIR go on with an op, the next op, the one behind a pair
 *   HAND_OVER(generic)        the handler did nothing that another run of the op would not do again: leave the op to
 * the row's generic handler BRANCH_BY(last, slot, delta, otherwise) RIP moves by delta, on to the block behind chain
 * `slot` of the block's last op; where that chain does not hold, or the block does not fit before the deadline, do
 * `otherwise`
 */
#ifndef CPU_BINDING_H
#define CPU_BINDING_H

#include "cpu/engine.h"
#include "cpu/op.h"

#define OPERAND(field) (op->field)
#define SECOND(field)  (op[1].field)
#define INSN_AT        op_at(op)
#define INSN_END       op_end(op)
#define SECOND_END     op_end(op + 1)

#define LINEAR_FLAT                                                                                                    \
    (REG(64, OPERAND(base)) + (REG(64, OPERAND(index)) << OPERAND(scale)) + (uint64_t)(int64_t)OPERAND(disp))

#define LINEAR_BASED (REG(64, OPERAND(base)) + (uint64_t)(int64_t)OPERAND(disp))

#ifdef SIM_TAIL_CALLS
#define GO(next)                                                                                                       \
    do {                                                                                                               \
        op = (next);                                                                                                   \
        MUSTTAIL return op->run(cpu, op);                                                                              \
    } while (0)
#else
#define GO(next) return (next)
#endif

#define NEXT               GO(op + 1)
#define NEXT_PAIR          GO(op + 2)
#define HAND_OVER(generic) MUSTTAIL return generic(cpu, op)

#define BRANCH(slot)                                                                                                   \
    do {                                                                                                               \
        const struct op *target_ = engine_chain(cpu, op, (slot));                                                      \
        if (unlikely(!target_))                                                                                        \
            return NULL;                                                                                               \
        GO(target_);                                                                                                   \
    } while (0)
#define BRANCH_BY(last, slot, delta, otherwise)                                                                        \
    do {                                                                                                               \
        cpu->gpr[GPR_RIP] += (delta);                                                                                  \
        const struct op *target_ = engine_chain(cpu, (last), (slot));                                                  \
        if (unlikely(!target_))                                                                                        \
            otherwise;                                                                                                 \
        GO(target_);                                                                                                   \
    } while (0)

#endif
