/*
 * The engine: lookup of blocks, chains between them, and the ways in and out of a handler.
 *
 * All of it is cache over the vCPU's state and guest RAM. engine.c has the loop; block.c the decoded-block cache;
 * lower.c makes blocks.
 */
#ifndef CPU_ENGINE_H
#define CPU_ENGINE_H

#include "cpu/op.h"

#define JUMP_CACHE_ENTRIES 16384u

struct jump_entry {
    uint64_t rip;
    uint64_t generation;
    struct block *block;
    uint64_t mode;
};

struct tlb_set;     /* mmu.c */
struct block_cache; /* block.c */

/* How the last block was left. */
enum engine_outcome {
    ENGINE_BOUNDARY, /* between two instructions */
    ENGINE_FAULT,    /* cpu->fault is to be delivered; RIP is that of the instruction */
    ENGINE_TRAP,     /* cpu->fault is to be delivered; RIP is that of the next instruction; a software interrupt */
};

/* Slow paths, counted for --profile-ops: how often each was taken. */
enum engine_path {
    ENGINE_RUN,
    ENGINE_LOOKUP,
    ENGINE_LOWERED,
    ENGINE_SCRATCH,
    ENGINE_SINGLE,
    ENGINE_FAULTED,
    ENGINE_READ,
    ENGINE_WRITE,
    ENGINE_WALK,
    ENGINE_GENERATION,
    ENGINE_PATHS
};

struct profile; /* profile.c */

/*
 * An instruction that crosses into another page, as it was lowered last. No block of the cache can hold it, since only
 * the write to one page would drop it; it holds for as long as the bytes at hand are the same.
 */
struct crossing {
    uint64_t physical; /* of the first byte; 0: none */
    uint32_t mode;
    uint8_t bytes[15]; /* all that a decoder may look at */
    _Alignas(16) uint8_t block[256];
};
enum { CROSSINGS = 64 };

struct engine {
    struct jump_entry jumps[JUMP_CACHE_ENTRIES];
    enum engine_outcome outcome;
    struct chain *chain_from; /* the chain by which the last block was left, for the loop to fill in; NULL if none */
    struct op landing[2];     /* copy of an op behind which the block ends, and the op that leaves */
    _Alignas(16) uint8_t scratch[256];    /* the block of an instruction that no cached block can hold */
    struct crossing crossings[CROSSINGS]; /* by the number of the first page */
    uint64_t next_drop, drops;            /* test build: see SIM_DROP_CACHES */
    uint64_t step_from, step_to;          /* cpu_single_step(); equal: none */
    bool generic; /* lower to the handlers that serve everything: the fuzzer compares them with the specialised ones */
    struct tlb_set *tlbs;
    struct block_cache *blocks;
    struct profile *profile; /* NULL: none is taken */
    uint64_t paths[ENGINE_PATHS];
};

/* Cycle and RIP of an instruction in the middle of a block, for out-of-line calls that need the exact time. */
static inline uint64_t engine_cycle(const struct cpu *cpu, const struct op *op)
{
    return cpu->cycle - op->left;
}
/* Brings clock->now to the start of this instruction: before anything that reads the time or touches a device. */
static inline void engine_sync(struct cpu *cpu, const struct op *op)
{
    cpu->board->clock.now_cycles = engine_cycle(cpu, op);
}

/* Leaves the block with a fault of this instruction: takes back what the block had counted for it and what follows.
 * Returns NULL. */
const struct op *engine_fault(struct cpu *cpu, const struct op *op, struct fault fault);
/*
 * Leaves the block after this instruction with a trap that is delivered at the boundary behind it (INT n, INT3, INTO):
 * RIP is that of the next instruction. Returns NULL.
 */
const struct op *engine_trap(struct cpu *cpu, const struct op *op, struct fault fault);
/* Leaves to the engine; gpr[GPR_RIP] is the next instruction's. Returns NULL. */
static inline const struct op *engine_leave(struct cpu *cpu)
{
    cpu->engine->chain_from = NULL;
    return NULL;
}
/* Allocates the engine of a vCPU and joins it to the board's RAM as a watcher. 0 or -ENOMEM. */
int engine_init(struct cpu *cpu);
void engine_destroy(struct cpu *cpu);
/* Drops TLB, blocks, chains. */
void engine_drop(struct cpu *cpu);

/*
 * A copy of op behind which the block ends, as the successor of a slow access that needs attention: the handler goes on
 * with it and its NEXT leaves.
 */
const struct op *engine_land(struct cpu *cpu, const struct op *op);

/* Enters a block if it fits before the deadline: its first op, or NULL. */
static inline const struct op *engine_enter(struct cpu *cpu, struct block *block)
{
    uint64_t end = cpu->cycle + block->cycles;
    if (__builtin_expect(end > cpu->deadline, 0))
        return engine_leave(cpu);
    cpu->cycle = end;
    cpu->retired += block->insns;
    return block->ops;
}

/* The first op of the successor block by a chain, or NULL with chain_from set for the loop to fill in. */
static inline const struct op *engine_follow(struct cpu *cpu, struct chain *chain)
{
    if (__builtin_expect(chain->rip == cpu->gpr[GPR_RIP] && chain->generation == cpu->chain_generation, 1))
        return engine_enter(cpu, chain->block);
    cpu->engine->chain_from = chain;
    return NULL;
}
/* The same by chain slot of a terminating op. */
static inline const struct op *engine_chain(struct cpu *cpu, const struct op *op, unsigned slot)
{
    return engine_follow(cpu, (struct chain *)(uintptr_t)(op + 1) + slot);
}
/* The first op of the block at gpr[GPR_RIP] by the jump cache, or NULL: the loop finds it. */
static inline const struct op *engine_lookup(struct cpu *cpu)
{
    uint64_t rip = cpu->gpr[GPR_RIP];
    struct jump_entry *entry = &cpu->engine->jumps[(rip ^ rip >> 12) & (JUMP_CACHE_ENTRIES - 1)];
    if (__builtin_expect(entry->rip == rip && entry->generation == cpu->chain_generation && entry->mode == cpu->mode,
                         1))
        return engine_enter(cpu, entry->block);
    return engine_leave(cpu);
}

/*
 * Delivers cpu->fault through the IDT (exception.c), with double and triple faults; `software` for INT n, INT3, INTO,
 * ICEBP. At least one cycle passes. A triple fault asks the board for BOARD_TRIPLE_FAULT and sets SHUTDOWN.
 */
void exception_deliver(struct cpu *cpu, struct fault fault, bool software);
/* Delivers an external interrupt or NMI the same way. */
void interrupt_deliver(struct cpu *cpu, uint8_t vector);

#endif
