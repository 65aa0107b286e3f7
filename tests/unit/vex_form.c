/*
 * Encodings and states for rows of the VEX and EVEX classes: vex_form.h.
 */
#include "tests/unit/vex_form.h"
#include "tests/unit/operands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cpu/block.h"
#include "cpu/engine.h"
#include "cpu/flags.h"
#include "cpu/insn.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "cpu/simd.h"

/* --- encodings of a row --- */

static bool row_has(const struct isa_row *row, enum operand_source source)
{
    for (unsigned i = 0; i < row->operand_count; i++) {
        if (row->operand[i].source == source)
            return true;
    }
    return false;
}
static enum operand_class class_from(const struct isa_row *row, enum operand_source source)
{
    for (unsigned i = 0; i < row->operand_count; i++) {
        if (row->operand[i].source == source)
            return row->operand[i].cls;
    }
    return CLASS_NONE;
}
static unsigned pick(unsigned set, uint64_t r)
{
    unsigned n = (unsigned)(r % (unsigned)__builtin_popcount(set));
    while (n--)
        set &= set - 1;
    return (unsigned)__builtin_ctz(set);
}

/* A register number for an operand: general registers RAX to RDX, opmasks all, vectors those that are looked at. */
static unsigned pick_register(const struct isa_row *row, enum operand_source source, bool evex, uint64_t r)
{
    switch (class_from(row, source)) {
    case CLASS_GPR:
        return (unsigned)(r % 3);
    case CLASS_OPMASK:
        return (unsigned)(r % 8);
    case CLASS_VEC:
        return vex_number((unsigned)(r % (evex ? VEX_VECTORS : VEX_VECTORS / 2)));
    default:
        return 0;
    }
}

/* Mask, zeroing, broadcast and rounding as the row takes them; rounding takes the place of `length`. */
static void pick_evex(struct vex_form *form, unsigned *length, uint64_t s)
{
    const struct isa_row *row = form->row;
    if (row->attributes & ISA_MASKED && s & 3)
        form->mask = s >> 2 & 7;
    if (row->attributes & ISA_VSIB && !form->mask)
        form->mask = 1;
    if (form->mask && row->attributes & ISA_ZEROED && !(form->memory && row->operand[0].source == FROM_MODRM_RM))
        form->z = s >> 5 & 1;
    if (row->attributes & (form->memory ? ISA_BROADCAST : ISA_ROUNDING | ISA_SAE) &&
        (form->memory || row->accepts.vector_lengths & 4))
        form->b = s >> 6 & 1;
    if (form->b && !form->memory) {
        form->vector_bytes = 64;
        *length = s >> 7 & 3;
    }
}

struct vex_form vex_encode(const struct isa_row *row, bool memory, unsigned length, uint64_t *seed)
{
    const struct isa_encoding *e = &row->accepts;
    bool evex = e->map >= ISA_MAP_EVEX_0F;
    uint64_t r = operand_random(seed), s = operand_random(seed);
    unsigned reg =
        e->regs == 0xFF ? pick_register(row, FROM_MODRM_REG, evex, r >> 0 & 0xFF) : (unsigned)__builtin_ctz(e->regs);
    unsigned rm = memory ? RDI : pick_register(row, FROM_MODRM_RM, evex, r >> 8 & 0xFF);
    unsigned vvvv = row_has(row, FROM_VVVV) ? pick_register(row, FROM_VVVV, evex, r >> 16 & 0xFF) : 0;
    unsigned pp = (unsigned)__builtin_ctz(e->prefixes), w = pick(e->w, r >> 24 & 0xFF);
    bool vsib = row->attributes & ISA_VSIB;
    unsigned index = 0;
    if (vsib) { /* all different; register 2 or 18 has small numbers */
        reg = evex && r & 1 ? 16 : 0;
        vvvv = 1;
        rm = 4;
        index = evex && r & 2 ? 18 : 2;
        if (evex)
            vvvv = index & 16;
    }
    struct vex_form form = {
        .row = row,
        .memory = memory,
        .displaced = memory && r >> 32 & 1 && row->isa_class != ISA_CLASS_AVX_ALIGNED,
        .evex = evex,
        .reg = (uint8_t)reg,
        .rm = (uint8_t)rm,
        .vvvv = (uint8_t)vvvv,
        .vector_bytes = (uint8_t)(16u << length),
        .imm = (uint8_t)(r >> 40),
    };
    uint8_t *at = form.code;
    if (evex) {
        pick_evex(&form, &length, s);
        unsigned map = e->map <= ISA_MAP_EVEX_0F3A ? e->map - ISA_MAP_EVEX_0F + 1u : e->map - ISA_MAP_EVEX_MAP5 + 5u;
        *at++ = 0x62;
        *at++ =
            (uint8_t)(map | (reg & 8 ? 0 : 0x80) | (rm & 16 ? 0 : 0x40) | (rm & 8 ? 0 : 0x20) | (reg & 16 ? 0 : 0x10));
        *at++ = (uint8_t)(w << 7 | (~vvvv & 15) << 3 | 4 | pp);
        *at++ = (uint8_t)(form.z << 7 | length << 5 | form.b << 4 | (vvvv & 16 ? 0 : 8) | form.mask);
    } else {
        *at++ = 0xC4;
        *at++ = (uint8_t)((e->map - ISA_MAP_VEX_0F + 1u) | 0xE0);
        *at++ = (uint8_t)(w << 7 | (~vvvv & 15) << 3 | length << 2 | pp);
    }
    *at++ = e->opcode;
    if (e->has_modrm)
        *at++ = (uint8_t)((memory ? form.displaced ? 0x40 : 0 : 0xC0) | (reg & 7) << 3 | (rm & 7));
    if (vsib)
        *at++ = (uint8_t)((r >> 48 & 3) << 6 | (index & 7) << 3 | RDI);
    if (form.displaced)
        *at++ = 1;
    if (row_has(row, FROM_IS4))
        form.imm = (form.imm & 3) << 4;
    if (row_has(row, FROM_IMMEDIATE) || row_has(row, FROM_IS4))
        *at++ = form.imm;
    form.code_bytes = (uint8_t)(at - form.code);
    return form;
}

/* --- states --- */

struct vex_state vex_random_state(uint64_t *seed, unsigned round, uint32_t mxcsr, const uint8_t *data, uint8_t *memory)
{
    struct vex_state state = { .mxcsr = mxcsr, .rdi = (uintptr_t)data + VEX_AREA / 2 };
    union vector_register v;
    for (unsigned i = 0; i < VEX_VECTORS; i++) {
        uint64_t r = operand_random(seed);
        operand_fill(seed, &state.zmm[i], 64, round % OPERAND_STYLES);
        state.k[i] = i % 4 == 0 ? r : i % 4 == 1 ? UINT64_MAX : i % 4 == 2 ? r & operand_random(seed) : 0;
    }
    for (unsigned at = 0; at < VEX_AREA; at += 64) {
        operand_fill(seed, &v, 64, round % OPERAND_STYLES);
        memcpy(memory + at, &v, 64);
    }
    uint64_t r = operand_random(seed);
    state.rax = r & 1 ? v.u64[0] : (uint64_t)((int64_t)(r << 32) >> 58);
    state.rcx = v.u64[1];
    state.rdx = r & 2 ? v.u32[1] : r >> 59;
    state.flags = r >> 8 & FLAGS_STATUS;
    return state;
}

/* --- in the interpreter --- */

static const uint64_t all_features[2] = { UINT64_MAX, UINT64_MAX };
static const struct cpu_model model = { .name = "test", .features = all_features };

struct vex_bench vex_bench_make(uint8_t *data)
{
    struct vex_bench bench = {
        .cpu = calloc(1, sizeof(struct cpu)),
        .engine = calloc(1, sizeof(struct engine)),
        .tlb = calloc(TLB_ENTRIES, sizeof(struct tlb_entry)),
        .block = aligned_alloc(64, (BLOCK_BYTES_MAX + 63) / 64 * 64),
    };
    assert_true(bench.cpu && bench.engine && bench.tlb && bench.block);
    struct cpu *cpu = bench.cpu;
    cpu->engine = bench.engine;
    cpu->tlb = bench.tlb;
    cpu->model = &model;
    cpu->deadline = UINT64_MAX;
    cpu->cr4 = CR4_OSXMMEXCPT;
    cpu->mode = MODE_CODE64;
    for (unsigned i = 0; i < TLB_ENTRIES; i++)
        bench.tlb[i] = (struct tlb_entry){ .read = TLB_EMPTY, .write = TLB_EMPTY };
    /* the guest's linear address of the data page is the host's */
    uint64_t linear = (uintptr_t)data;
    *tlb_slot(cpu, linear) = (struct tlb_entry){ .read = linear, .write = linear, .host = 0 };
    return bench;
}
void vex_bench_free(struct vex_bench bench)
{
    free(bench.cpu);
    free(bench.engine);
    free(bench.tlb);
    free(bench.block);
}

bool vex_bench_run(struct vex_bench *bench, const uint8_t *code, unsigned bytes, struct vex_state *state, bool soft)
{
    struct cpu *cpu = bench->cpu;
    uint32_t mode = MODE_CODE64 | MODE_PROTECTED | MODE_LONG | MODE_OSFXSR | MODE_AVX | MODE_AVX512 | MODE_SINGLE;
    if (!lower_block(cpu, bench->block, 0, mode, code, bytes, true))
        return false;
    for (unsigned i = 0; i < VEX_VECTORS; i++)
        cpu->zmm[vex_number(i)] = state->zmm[i];
    memcpy(cpu->opmask, state->k, sizeof state->k);
    cpu->gpr[RAX] = state->rax;
    cpu->gpr[RCX] = state->rcx;
    cpu->gpr[RDX] = state->rdx;
    cpu->gpr[RDI] = state->rdi;
    flags_set_status(cpu, state->flags);
    cpu->mxcsr = state->mxcsr;
    cpu->fp_soft = soft;
    cpu->fault = (struct fault){ 0 };
    simd_engine_enter(cpu);
    const struct op *op = bench->block->ops;
    while (op)
        op = op->run(cpu, op);
    simd_engine_leave(cpu);
    for (unsigned i = 0; i < VEX_VECTORS; i++)
        state->zmm[i] = cpu->zmm[vex_number(i)];
    memcpy(state->k, cpu->opmask, sizeof state->k);
    state->rax = cpu->gpr[RAX];
    state->rcx = cpu->gpr[RCX];
    state->rdx = cpu->gpr[RDX];
    state->flags = flags_status(cpu);
    state->mxcsr = cpu->mxcsr;
    state->trapped = cpu->fault.vector == VEC_XM;
    return state->trapped || cpu->fault.vector == 0;
}

void vex_state_print(const char *name, const struct vex_state *s)
{
    print_message("%-6s rax %llx rcx %llx rdx %llx flags %llx mxcsr %x trapped %u\n", name, (unsigned long long)s->rax,
                  (unsigned long long)s->rcx, (unsigned long long)s->rdx, (unsigned long long)s->flags, s->mxcsr,
                  s->trapped);
    for (unsigned i = 0; i < VEX_VECTORS; i++) {
        print_message("  zmm%-2u", vex_number(i));
        for (unsigned j = 8; j-- > 0;)
            print_message(" %016llx", (unsigned long long)s->zmm[i].u64[j]);
        print_message("  k%u %016llx\n", i, (unsigned long long)s->k[i]);
    }
}
