/*
 * The engine's loop: find the block at RIP, run it, come back at boundaries.
 *
 * Handlers stay among themselves as long as chains hold and blocks fit before the deadline. The loop is where
 * everything else happens: lookups, faults, single steps up to an exact cycle, and the instruction after STI, MOV SS or
 * an IRET with RF.
 */
#include "cpu/engine.h"
#include "cpu/block.h"
#include "cpu/debug.h"
#include "cpu/flags.h"
#include "cpu/insn.h"
#include "cpu/profile.h"
#include "cpu/simd.h"
#include "cpu/tlb.h"

#include <errno.h>
#include <stdlib.h>

/* --- the board's RAM tells of writes --- */

static void watcher_writing(void *context, uint64_t page, unsigned first, unsigned last, const uint8_t *new_bytes)
{
    struct cpu *cpu = context;
    if (cpu->board->ram.watch[page] & RAM_WATCH_CODE)
        block_code_writing(cpu, page, first, last, new_bytes);
    if (cpu->board->ram.watch[page] & RAM_WATCH_TABLE)
        tlb_table_writing(cpu, page, first, last, new_bytes);
}

static void watcher_revoke(void *context, uint64_t page)
{
    tlb_revoke(context, page);
}

int engine_init(struct cpu *cpu)
{
    cpu->engine = calloc(1, sizeof(*cpu->engine));
    if (!cpu->engine)
        return -ENOMEM;
    if (tlb_init(cpu) || block_cache_init(cpu)) {
        engine_destroy(cpu);
        return -ENOMEM;
    }
    ram_add_watcher(&cpu->board->ram, &(struct ram_watcher){ cpu, watcher_writing, watcher_revoke });
    return 0;
}

void engine_destroy(struct cpu *cpu)
{
    if (!cpu->engine)
        return;
    block_cache_destroy(cpu);
    tlb_destroy(cpu);
    profile_end(cpu);
    free(cpu->engine);
    cpu->engine = NULL;
}

void engine_drop(struct cpu *cpu)
{
    block_drop_all(cpu);
    tlb_flush(cpu);
    memset(cpu->engine->jumps, 0, sizeof(cpu->engine->jumps));
    memset(cpu->engine->crossings, 0, sizeof(cpu->engine->crossings));
    cpu->engine->chain_from = NULL;
}

/* --- ways out of a block --- */

const struct op *engine_fault(struct cpu *cpu, const struct op *op, struct fault fault)
{
    cpu->fault = fault;
    cpu->cycle -= op->left;
    cpu->retired -= op->insns_left;
    cpu->gpr[GPR_RIP] += op_at(op);
    cpu->engine->outcome = ENGINE_FAULT;
    cpu->engine->chain_from = NULL;
    return NULL;
}

const struct op *engine_trap(struct cpu *cpu, const struct op *op, struct fault fault)
{
    board_assert(cpu->board, op->insns_left == 1);
    cpu->fault = fault;
    cpu->gpr[GPR_RIP] += op_end(op);
    cpu->engine->outcome = ENGINE_TRAP;
    cpu->engine->chain_from = NULL;
    return NULL;
}

/* Takes back what the block counted for the instructions behind the landed one. */
static const struct op *OP_CALL land(struct cpu *cpu, const struct op *op)
{
    cpu->cycle -= op->left;
    cpu->retired -= op->insns_left;
    cpu->gpr[GPR_RIP] += op_at(op);
    return engine_leave(cpu);
}

const struct op *engine_land(struct cpu *cpu, const struct op *op)
{
    struct engine *engine = cpu->engine;
    cpu->deadline = 0; /* no branch enters another block */
    if (op->insns_left == 1 || op == engine->landing)
        return op;
    engine->landing[0] = *op;
    /* costs before the last instruction of a block are 1 each */
    engine->landing[1] = (struct op){ .run = land,
                                      .at_length = (uint16_t)(op_end(op) << 4),
                                      .left = (uint8_t)(op->left - 1),
                                      .insns_left = (uint8_t)(op->insns_left - 1) };
    return engine->landing;
}

/* --- finding blocks --- */

static uint64_t code_linear(const struct cpu *cpu, uint64_t rip)
{
    if ((cpu->mode & MODE_CODE_MASK) == MODE_CODE64)
        return rip;
    return (uint32_t)(cpu->segment[CS].base + rip);
}

/* Translates the page of an instruction address; false: #PF or #GP in cpu->fault. */
static bool code_translate(struct cpu *cpu, uint64_t linear, uint64_t *physical)
{
    const struct ram *ram = &cpu->board->ram;
    uintptr_t known = tlb_code_page(cpu->engine->tlbs, linear);
    if (known) {
        uint64_t page = (known - (uintptr_t)ram->bytes) / RAM_PAGE_BYTES;
        *physical = ram_physical(ram, page) | (linear & 4095);
        return true;
    }
    struct paging paging = mmu_context(cpu, ACCESS_EXECUTE);
    struct translation translation;
    uint32_t error;
    if (!mmu_translate(cpu, &paging, linear, ACCESS_EXECUTE, &translation, &error)) {
        cpu->fault = fault_make(VEC_PF, true, error);
        cpu->fault.cr2 = linear;
        return false;
    }
    *physical = translation.physical;
    uint64_t page = ram_page_at(ram, *physical);
    if (page != RAM_NO_PAGE)
        tlb_install_code(cpu, linear, (uintptr_t)ram_page_bytes(ram, page));
    return true;
}

/* Reads code bytes that need not be RAM. */
static void code_read(struct cpu *cpu, uint64_t physical, uint8_t *to, unsigned bytes)
{
    if (ram_read(&cpu->board->ram, physical, to, bytes))
        return;
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)bus_mmio_read(&cpu->board->bus, physical + i, 1);
}

/* The mode of blocks of one instruction that are made outside of the cache. */
static uint32_t scratch_mode(const struct cpu *cpu)
{
    return (cpu->mode & ~(uint32_t)MODE_STEP) | MODE_SINGLE;
}

/* The address behind the page in which an instruction begins. */
static uint64_t second_page(const struct cpu *cpu, uint64_t linear)
{
    uint64_t second = (linear | (RAM_PAGE_BYTES - 1)) + 1;
    return cpu->efer & EFER_LMA ? second : (uint32_t)second;
}

/*
 * One instruction that no cached block can hold: it crosses a page, lies outside of RAM, or near the CS limit. It is
 * fetched and decoded into a block of its own.
 */
static struct block *scratch_block(struct cpu *cpu, uint64_t linear, uint64_t physical, uint64_t limit_bytes)
{
    cpu->engine->paths[ENGINE_SCRATCH]++;
    uint8_t bytes[INSN_BYTES_MAX];
    unsigned in_page = RAM_PAGE_BYTES - (linear & (RAM_PAGE_BYTES - 1));
    unsigned first = in_page < INSN_BYTES_MAX ? in_page : INSN_BYTES_MAX;
    if (first > limit_bytes)
        first = (unsigned)limit_bytes;
    struct block *block = (struct block *)cpu->engine->scratch;
    uint32_t mode = scratch_mode(cpu);
    if (first > 0) {
        code_read(cpu, physical, bytes, first);
        if (lower_block(cpu, block, physical, mode, bytes, first, in_page > INSN_BYTES_MAX && first == INSN_BYTES_MAX))
            return block;
    }
    if (first == limit_bytes) { /* the instruction reaches over the limit */
        fault_raise(cpu, VEC_GP, true, 0);
        return NULL;
    }
    uint64_t second;
    if (!code_translate(cpu, second_page(cpu, linear), &second))
        return NULL;
    unsigned more = INSN_BYTES_MAX - first;
    bool limited = more > limit_bytes - first;
    if (limited)
        more = (unsigned)(limit_bytes - first);
    code_read(cpu, second, bytes + first, more);
    if (!lower_block(cpu, block, physical, mode, bytes, first + more, !limited)) {
        fault_raise(cpu, VEC_GP, true, 0);
        return NULL;
    }
    return block;
}

static struct crossing *crossing_slot(struct cpu *cpu, uint64_t physical)
{
    return &cpu->engine->crossings[physical / RAM_PAGE_BYTES % CROSSINGS];
}

/*
 * Looks for a crossing instruction among those that were lowered before; `at` are its bytes in the first page. False if
 * it has to be lowered. Else *block is NULL for a fault of the fetch from the second page: equal bytes in the first
 * need the second now as they did then.
 */
static bool crossing_find(struct cpu *cpu, uint64_t linear, uint64_t physical, const uint8_t *at, struct block **block)
{
    struct crossing *crossing = crossing_slot(cpu, physical);
    unsigned first = RAM_PAGE_BYTES - (physical & (RAM_PAGE_BYTES - 1));
    if (crossing->physical != physical || crossing->mode != scratch_mode(cpu) || memcmp(crossing->bytes, at, first))
        return false;
    const struct ram *ram = &cpu->board->ram;
    uint64_t second;
    *block = NULL;
    if (!code_translate(cpu, second_page(cpu, linear), &second))
        return true;
    uint64_t page = ram_page_at(ram, second);
    if (page == RAM_NO_PAGE || memcmp(crossing->bytes + first, ram_page_bytes(ram, page), INSN_BYTES_MAX - first))
        return false;
    *block = (struct block *)crossing->block;
    return true;
}

/* Remembers what scratch_block() made of an instruction that needs its second page, if that is RAM. */
static struct block *crossing_keep(struct cpu *cpu, uint64_t linear, uint64_t physical, const uint8_t *at)
{
    struct crossing *crossing = crossing_slot(cpu, physical);
    struct block *made = (struct block *)cpu->engine->scratch;
    unsigned first = RAM_PAGE_BYTES - (physical & (RAM_PAGE_BYTES - 1));
    const struct ram *ram = &cpu->board->ram;
    uint64_t second, page;
    if (first >= INSN_BYTES_MAX || !code_translate(cpu, second_page(cpu, linear), &second) ||
        (page = ram_page_at(ram, second)) == RAM_NO_PAGE)
        return made;
    crossing->physical = physical;
    crossing->mode = made->mode;
    memcpy(crossing->bytes, at, first);
    memcpy(crossing->bytes + first, ram_page_bytes(ram, page), INSN_BYTES_MAX - first);
    memcpy(crossing->block, made, sizeof(crossing->block));
    return (struct block *)crossing->block;
}

/* Bytes from RIP to the CS limit; in 64-bit mode there is none. */
static uint64_t bytes_to_limit(const struct cpu *cpu, uint64_t rip)
{
    if ((cpu->mode & MODE_CODE_MASK) == MODE_CODE64)
        return UINT64_MAX;
    uint64_t limit = cpu->segment[CS].limit;
    return rip > limit ? 0 : limit - rip + 1;
}

/*
 * The block at RIP for this mode, from the cache or newly lowered. NULL: cpu->fault holds the fault of the fetch.
 * *cached tells whether it may be chained to.
 */
static struct block *block_at_rip(struct cpu *cpu, uint32_t mode, bool *cached)
{
    uint64_t rip = cpu->gpr[GPR_RIP];
    uint64_t linear = code_linear(cpu, rip);
    uint64_t limit_bytes = bytes_to_limit(cpu, rip);
    uint64_t physical;
    *cached = false;
    cpu->engine->paths[ENGINE_LOOKUP]++;
    if (limit_bytes == 0) {
        fault_raise(cpu, VEC_GP, true, 0);
        return NULL;
    }
    if (cpu->efer & EFER_LMA && (uint64_t)((int64_t)(linear << 16) >> 16) != linear && !(cpu->cr4 & CR4_LA57)) {
        fault_raise(cpu, VEC_GP, true, 0);
        return NULL;
    }
    if (!code_translate(cpu, linear, &physical))
        return NULL;
    const struct ram *ram = &cpu->board->ram;
    uint64_t page = ram_page_at(ram, physical);
    if (page == RAM_NO_PAGE || limit_bytes < RAM_PAGE_BYTES || cpu->uncached)
        return scratch_block(cpu, linear, physical, limit_bytes);
    struct block *block = block_find(cpu, physical, mode);
    if (!block) {
        unsigned offset = physical & (RAM_PAGE_BYTES - 1);
        const uint8_t *at = ram_page_bytes(ram, page) + offset;
        if (RAM_PAGE_BYTES - offset < INSN_BYTES_MAX && crossing_find(cpu, linear, physical, at, &block))
            return block;
        cpu->engine->paths[ENGINE_LOWERED]++;
        block = block_reserve(cpu);
        size_t size = lower_block(cpu, block, physical, mode, at, RAM_PAGE_BYTES - offset, false);
        if (!size) {
            block = scratch_block(cpu, linear, physical, limit_bytes);
            return block ? crossing_keep(cpu, linear, physical, at) : NULL;
        }
        block_keep(cpu, block, size, page);
    }
    *cached = true;
    return block;
}

/* Runs ops until the block and its chained successors are left. */
static void run_ops(struct cpu *cpu, const struct op *op)
{
    do
        op = op->run(cpu, op);
    while (op);
}

/* --- the loop --- */

/* Delivers the fault or trap the last block left behind, if any. */
static void deliver(struct cpu *cpu)
{
    enum engine_outcome outcome = cpu->engine->outcome;
    if (outcome == ENGINE_BOUNDARY)
        return;
    cpu->engine->outcome = ENGINE_BOUNDARY;
    cpu->engine->paths[ENGINE_FAULTED]++;
    cpu->board->clock.now_cycles = cpu->cycle;
    exception_deliver(cpu, cpu->fault, outcome == ENGINE_TRAP);
}

/* Exactly one instruction, and what follows it when something is watched: TF, RF, breakpoints, shadows. */
static void run_single(struct cpu *cpu)
{
    struct engine *engine = cpu->engine;
    bool tf = cpu->rflags & FLAG_TF;
    uint8_t shadow = cpu->shadow;
    bool rf = cpu->rflags & FLAG_RF || shadow & SHADOW_MOV_SS; /* MOV SS suppresses a breakpoint behind it likewise */
    bool cached;
    struct block *block = NULL;
    engine->paths[ENGINE_SINGLE]++;
    if (rf || !(cpu->mode & MODE_STEP) || !debug_match_execute(cpu, code_linear(cpu, cpu->gpr[GPR_RIP])))
        block = block_at_rip(cpu, cpu->mode | MODE_SINGLE, &cached);
    if (block) {
        cpu->rflags &= ~(uint64_t)FLAG_RF; /* it is for one instruction; a fault pushes it set anyway */
        cpu->cycle += block->cycles;
        cpu->retired += block->insns;
        cpu->deadline = 0; /* nothing follows: neither a block nor a REP iteration */
        run_ops(cpu, block->ops);
    } else {
        engine->outcome = ENGINE_FAULT;
    }
    engine->chain_from = NULL;
    if (engine->outcome != ENGINE_FAULT) {
        if (tf && engine->outcome == ENGINE_BOUNDARY)
            cpu->pending_db |= PENDING_DB_STEP;
    }
    deliver(cpu);
    if (cpu->shadow == shadow)
        cpu->shadow = 0;
}

static struct jump_entry *jump_slot(struct cpu *cpu, uint64_t rip)
{
    return &cpu->engine->jumps[(rip ^ rip >> 12) & (JUMP_CACHE_ENTRIES - 1)];
}

/* The block at RIP and as many of its successors as fit before the deadline. */
static void run_blocks(struct cpu *cpu)
{
    struct engine *engine = cpu->engine;
    uint64_t rip = cpu->gpr[GPR_RIP];
    struct chain *from = engine->chain_from;
    uint64_t generation = cpu->chain_generation;
    struct jump_entry *jump = jump_slot(cpu, rip);
    struct block *block = jump->block;
    bool cached = true;
    engine->chain_from = NULL;
    engine->paths[ENGINE_RUN]++;
    if (jump->rip != rip || jump->generation != generation || jump->mode != cpu->mode)
        block = block_at_rip(cpu, cpu->mode, &cached);
    if (!block) {
        engine->outcome = ENGINE_FAULT;
        deliver(cpu);
        return;
    }
    if (cached) {
        *jump = (struct jump_entry){ rip, cpu->chain_generation, block, cpu->mode };
        if (from && generation == cpu->chain_generation) /* else the block that held the chain may be gone */
            *from = (struct chain){ block, rip, generation };
    }
    const struct op *op = engine_enter(cpu, block);
    if (!op) {
        run_single(cpu);
        return;
    }
    run_ops(cpu, op);
    deliver(cpu);
}

#ifdef SIM_DROP_CACHES
/* Test build: drops every cache at pseudo-random boundaries, on average every 2^15 cycles. Returns the next such cycle.
 */
static uint64_t drop_at_random(struct cpu *cpu)
{
    struct engine *engine = cpu->engine;
    if (cpu->cycle >= engine->next_drop) {
        cpu->board->clock.now_cycles = cpu->cycle;
        flags_fold(cpu);
        cpu_drop_caches(cpu);
        engine->next_drop = cpu->cycle + 1 + (entropy_draw(cpu->board->seed, UINT32_MAX, engine->drops++) & 0xFFFF);
    }
    return engine->next_drop;
}
#endif

void cpu_single_step(struct cpu *cpu, uint64_t from, uint64_t to)
{
    cpu->engine->step_from = from;
    cpu->engine->step_to = to;
}

/* True if the next instruction is to be run by itself; else *deadline becomes no later than the first that is. */
static bool steps_singly(struct cpu *cpu, uint64_t *deadline)
{
    const struct engine *engine = cpu->engine;
    /* STI holds off interrupts at this boundary, where there is none to hold off */
    if (cpu->shadow == SHADOW_STI && cpu->cycle >= engine->step_to && !lapic_has_request(cpu->lapic))
        cpu->shadow = 0;
    if (cpu->mode & MODE_STEP || cpu->shadow)
        return true;
    if (cpu->cycle >= engine->step_to)
        return false;
    if (cpu->cycle >= engine->step_from)
        return true;
    if (*deadline > engine->step_from)
        *deadline = engine->step_from;
    return false;
}

/* True if cpu_sample_interrupts() would have something to decide at this boundary. */
static bool wants_sampling(const struct cpu *cpu)
{
    if (cpu->pending_db)
        return true;
    return lapic_has_request(cpu->lapic) && (cpu->rflags & FLAG_IF || !lapic_interrupt_pending(cpu->lapic));
}

void cpu_run(struct cpu *cpu, uint64_t stop_cycle)
{
    struct clock *clock = &cpu->board->clock;
    cpu->cycle = clock->now_cycles;
    cpu->board->attention = false;
    cpu->engine->chain_from = NULL;
    simd_engine_enter(cpu);
    while (cpu->activity == ACTIVE && !cpu->board->attention) {
        uint64_t deadline = clock->next_cycles < stop_cycle ? clock->next_cycles : stop_cycle;
#ifdef SIM_DROP_CACHES
        uint64_t drop = drop_at_random(cpu);
        deadline = drop < deadline ? drop : deadline;
        cpu->board->attention = false;
#endif
        if (cpu->cycle >= clock->next_cycles || cpu->cycle >= stop_cycle)
            break;
        bool single = steps_singly(cpu, &deadline);
        cpu->deadline = deadline;
        if (single) {
            run_single(cpu);
        } else {
            cpu->rflags &= ~(uint64_t)FLAG_RF; /* for one instruction, and where there are no breakpoints for nothing */
            run_blocks(cpu);
        }
        if (wants_sampling(cpu))
            break;
    }
    clock->now_cycles = cpu->cycle;
    flags_fold(cpu);
    simd_engine_leave(cpu);
}
