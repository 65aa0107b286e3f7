/*
 * Handlers bound to stencils (docs/stencils.md): where cpu/binding.h reads a field of the op, this one names a symbol,
 * so that the compiler leaves a relocation, and where it goes on to another op, it jumps to one.
 *
 * The symbols are weak: the compiler must not believe that an operand is never zero, or that two differ. They are
 * addresses of the kernel's code model, which it takes for sign-extended 32-bit numbers.
 *
 * STENCIL_INDEX: memory operands have an index register. STENCIL_LOOP: the taken branch leads to the start of its own
 * block. STENCIL_WIDE: the immediate needs 64 bits.
 */
#ifndef STENCIL_BINDING_H
#define STENCIL_BINDING_H

#include "cpu/engine.h"
#include "cpu/op.h"

#define STENCIL_HOLE(name) extern const char stencil_##name[] __attribute__((weak))
/* Fields of the op. */
STENCIL_HOLE(imm);
STENCIL_HOLE(disp);
STENCIL_HOLE(dst);
STENCIL_HOLE(src);
STENCIL_HOLE(base);
STENCIL_HOLE(index);
STENCIL_HOLE(scale);
STENCIL_HOLE(seg);
STENCIL_HOLE(flags);
STENCIL_HOLE(form);
STENCIL_HOLE(imm8);
STENCIL_HOLE(src2);
STENCIL_HOLE(mask);
STENCIL_HOLE(evex);
STENCIL_HOLE(at_length);
/* Of the op behind it. */
STENCIL_HOLE(second_dst);
STENCIL_HOLE(second_src);
STENCIL_HOLE(second_imm);
STENCIL_HOLE(second_disp);
STENCIL_HOLE(second_flags);
/* What follows from the op's place. */
STENCIL_HOLE(at);
STENCIL_HOLE(end);
STENCIL_HOLE(second_end);
STENCIL_HOLE(chain0);
STENCIL_HOLE(chain1);
STENCIL_HOLE(cycles); /* of the block */
STENCIL_HOLE(insns);
/* Of the block behind a chain, while the two are linked; generation 0: they are not. */
STENCIL_HOLE(generation0);
STENCIL_HOLE(generation1);
STENCIL_HOLE(rip0);
STENCIL_HOLE(rip1);
STENCIL_HOLE(cycles0);
STENCIL_HOLE(cycles1);
STENCIL_HOLE(insns0);
STENCIL_HOLE(insns1);

/* Code: the next op's, that of the op behind a pair, the block's start, the way out to the op's own handler, and the
 * blocks that are linked. */
extern op_fn stencil_next, stencil_next_pair, stencil_start, stencil_own, stencil_linked0, stencil_linked1;

#define STENCIL_VALUE(name) ((uint64_t)(uintptr_t)stencil_##name)
#define OPERAND(field)      STENCIL_OPERAND(field)
#ifdef STENCIL_WIDE
#define STENCIL_OPERAND(f) (__builtin_strcmp(#f, "imm") ? STENCIL_VALUE(f) : stencil_wide_imm())
static inline uint64_t stencil_wide_imm(void)
{
    uint64_t value;
    __asm__("movabsq $stencil_imm, %0" : "=r"(value));
    return value;
}
#else
#define STENCIL_OPERAND(f) STENCIL_VALUE(f)
#endif
#define SECOND(field) STENCIL_VALUE(second_##field)
#define INSN_AT       STENCIL_VALUE(at)
#define INSN_END      STENCIL_VALUE(end)
#define SECOND_END    STENCIL_VALUE(second_end)

#undef OP_WIDTH
#undef OP_ADDRESS
#undef OP_VECTOR
#define OP_WIDTH(op)   (8u << (OPERAND(form) & 3))
#define OP_ADDRESS(op) (16u << ((OPERAND(form) >> 2) & 3))
#define OP_VECTOR(op)  (16u << ((OPERAND(form) >> 4) & 3))

#define LINEAR_BASED (REG(64, OPERAND(base)) + OPERAND(disp))
#ifdef STENCIL_INDEX
static inline uint64_t stencil_scaled(uint64_t value)
{
    __asm__("shlq %1, %0" : "+r"(value) : "i"(stencil_scale) : "cc"); /* no compiler patches the scale of an address */
    return value;
}
#define LINEAR_FLAT (REG(64, OPERAND(base)) + stencil_scaled(REG(64, OPERAND(index))) + OPERAND(disp))
#else
#define LINEAR_FLAT (REG(64, OPERAND(base)) + OPERAND(disp))
#endif

#define NEXT      MUSTTAIL return stencil_next(cpu, op)
#define NEXT_PAIR MUSTTAIL return stencil_next_pair(cpu, op)
/* To an op that is known only at run time. */
#define GO(target)                                                                                                     \
    do {                                                                                                               \
        const struct op *go_ = (target);                                                                               \
        MUSTTAIL return go_->run(cpu, go_);                                                                            \
    } while (0)

/* The op's own handler does it again and finds the way to the generic one. */
#define HAND_OVER(generic) MUSTTAIL return stencil_own(cpu, op)

/* A chain's address has 64 bits. */
static inline struct chain *stencil_chain(unsigned slot)
{
    struct chain *chain;
    if (slot == 0)
        __asm__("movabsq $stencil_chain0, %0" : "=r"(chain));
    else
        __asm__("movabsq $stencil_chain1, %0" : "=r"(chain));
    return chain;
}

/* Counts a block that is entered without its ops; does `late` where it would end behind the deadline. */
#define STENCIL_ENTER(cycles, insns, late)                                                                             \
    do {                                                                                                               \
        uint64_t cycle_ = cpu->cycle + (cycles);                                                                       \
        if (unlikely(cycle_ > cpu->deadline))                                                                          \
            late;                                                                                                      \
        cpu->cycle = cycle_;                                                                                           \
        cpu->retired += (insns);                                                                                       \
    } while (0)

/* Goes straight on in the block that is linked to a chain, if one is and it is the one at this address. */
#define STENCIL_LINKED(slot, rip, late)                                                                                \
    do {                                                                                                               \
        if ((slot) == 0 && cpu->chain_generation == STENCIL_VALUE(generation0) && (rip) == STENCIL_VALUE(rip0)) {      \
            STENCIL_ENTER(STENCIL_VALUE(cycles0), STENCIL_VALUE(insns0), late);                                        \
            cpu->gpr[GPR_RIP] = (rip);                                                                                 \
            MUSTTAIL return stencil_linked0(cpu, op);                                                                  \
        }                                                                                                              \
        if ((slot) == 1 && cpu->chain_generation == STENCIL_VALUE(generation1) && (rip) == STENCIL_VALUE(rip1)) {      \
            STENCIL_ENTER(STENCIL_VALUE(cycles1), STENCIL_VALUE(insns1), late);                                        \
            cpu->gpr[GPR_RIP] = (rip);                                                                                 \
            MUSTTAIL return stencil_linked1(cpu, op);                                                                  \
        }                                                                                                              \
    } while (0)

#define BRANCH(slot)                                                                                                   \
    do {                                                                                                               \
        STENCIL_LINKED((slot), cpu->gpr[GPR_RIP], return engine_leave(cpu));                                           \
        const struct op *target_ = engine_follow(cpu, stencil_chain(slot));                                            \
        if (unlikely(!target_))                                                                                        \
            return NULL;                                                                                               \
        GO(target_);                                                                                                   \
    } while (0)

#ifdef STENCIL_LOOP
#define STENCIL_LOOPS(slot) ((slot) == 1)
#else
#define STENCIL_LOOPS(slot) false
#endif

/* Whatever stands in the way of another round or another block is the handler's business: so far nothing happened. */
#define BRANCH_BY(last, slot, delta, otherwise)                                                                        \
    do {                                                                                                               \
        if (STENCIL_LOOPS(slot)) {                                                                                     \
            STENCIL_ENTER(STENCIL_VALUE(cycles), STENCIL_VALUE(insns), HAND_OVER());                                   \
            MUSTTAIL return stencil_start(cpu, op);                                                                    \
        }                                                                                                              \
        uint64_t rip_ = cpu->gpr[GPR_RIP] + (delta);                                                                   \
        STENCIL_LINKED((slot), rip_, HAND_OVER());                                                                     \
        const struct chain *chain_ = stencil_chain(slot);                                                              \
        if (unlikely(chain_->rip != rip_ || chain_->generation != cpu->chain_generation))                              \
            HAND_OVER();                                                                                               \
        const struct op *target_ = engine_enter(cpu, chain_->block);                                                   \
        if (unlikely(!target_))                                                                                        \
            HAND_OVER();                                                                                               \
        cpu->gpr[GPR_RIP] = rip_;                                                                                      \
        GO(target_);                                                                                                   \
    } while (0)

#endif
