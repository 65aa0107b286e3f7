/*
 * The defined differences between a processor and the interpreter.
 *
 * An entry turns the interpreter's outcome into what the processor may show instead, as narrowly as the difference is
 * known: it names instruction, condition and field, and says why the manual leaves it open. What it does not touch must
 * be equal. tests/vectors/explained.txt has a case of each, so that an entry out of date shows itself.
 */
#include "kvm/difftest.h"

#include "cpu/softfp.h"

#include <string.h>

struct context {
    struct difftest_sim *sim; /* for another run with a changed state */
    const struct difftest_case *test;
    const char *mnemonic;
    const struct difftest_memory *memory;
    const struct difftest_outcome *reference;
    struct difftest_outcome *expected;
    struct insn insn;
    uint64_t linear; /* of the memory operand; implicit ones and VSIB aside */
    unsigned bytes;
    bool has_operand, store;
};

#define CANONICAL_END 0x0000800000000000u

static bool mnemonic_is(const struct context *c, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(c->mnemonic, *names) == 0)
            return true;
    return false;
}

static void find_operand(struct context *c)
{
    const struct insn *insn = &c->insn;
    c->has_operand = insn->has_memory && !(insn->row->attributes & ISA_VSIB);
    c->linear = (uint64_t)insn->displacement;
    if (insn->base == INSN_BASE_RIP)
        c->linear += c->test->state.rip + insn->length;
    else if (insn->base < 16)
        c->linear += c->test->state.gpr[insn->base];
    if (insn->index < 16)
        c->linear += c->test->state.gpr[insn->index] << insn->scale;
    if (insn->address_bits == 32)
        c->linear = (uint32_t)c->linear;
    if (insn->segment == GS)
        c->linear += DIFFTEST_GS_BASE;
    for (unsigned i = 0; i < insn->operand_count; i++) {
        if (insn->operand[i].kind == OPERAND_MEMORY) {
            c->bytes = insn->operand[i].bytes ? insn->operand[i].bytes : 512;
            c->store = i == 0 && !(insn->row->attributes & ISA_DST_READ_ONLY);
        }
    }
}

static bool is_access_fault(unsigned vector)
{
    return vector == VEC_PF || vector == VEC_GP || vector == VEC_SS || vector == VEC_AC;
}

/* With 32-bit addresses an operand may wrap. */
static bool in_operand(const struct context *c, uint64_t address)
{
    return address - c->linear < c->bytes || (c->insn.address_bits == 32 && (uint32_t)(address - c->linear) < c->bytes);
}

/* The bytes of [from, from + bytes) that lie in the data pages become those of the reference. */
static void take_data(const struct context *c, uint64_t from, unsigned bytes)
{
    struct difftest_outcome *expected = c->expected;
    if (!c->reference->data_changed)
        return;
    if (!expected->data_changed)
        memcpy(expected->data, c->memory->data, sizeof(expected->data));
    expected->data_changed = true;
    for (unsigned i = 0; i < bytes; i++)
        if (from + i - DIFFTEST_DATA < DIFFTEST_DATA_BYTES)
            expected->data[from + i - DIFFTEST_DATA] = c->reference->data[from + i - DIFFTEST_DATA];
}

static bool explain_kernel_present(const struct context *c)
{
    if (c->reference->vector != VEC_PF || c->expected->vector != VEC_PF || c->reference->cr2 < CANONICAL_END - 4096)
        return false;
    c->expected->error |= c->reference->error & PF_P;
    return true;
}

/* Part of the operand lies beyond the canonical addresses: the interpreter says #GP, the reference #PF of what lies
 * below. */
static bool page_before_canonical(const struct context *c)
{
    struct difftest_outcome *expected = c->expected;
    unsigned error = PF_U | (c->store ? PF_W : 0);
    if (!c->has_operand || c->linear >= CANONICAL_END || c->linear + c->bytes <= CANONICAL_END ||
        (expected->vector != VEC_GP && expected->vector != VEC_SS) || c->reference->vector != VEC_PF ||
        !in_operand(c, c->reference->cr2) || c->reference->cr2 >= CANONICAL_END)
        return false;
    expected->vector = VEC_PF;
    expected->error = error | (c->reference->error & PF_P); /* as kernel-present */
    expected->cr2 = c->reference->cr2;
    return true;
}

static bool explain_pieces_canonical(const struct context *c)
{
    static const char *const names[] = {
        "FLDENV", "FNSTENV", "FNSAVE", "FRSTOR", "FLD", "FSTP", "FBLD", "FBSTP", NULL
    };
    return mnemonic_is(c, names) && c->bytes >= 10 && page_before_canonical(c);
}

static bool explain_pieces_cr2(const struct context *c)
{
    static const char *const names[] = { "FLDENV", "FNSTENV", "FNSAVE", "FRSTOR", "FXSAVE", "FXRSTOR", NULL };
    if (!mnemonic_is(c, names) || c->reference->vector != VEC_PF || c->expected->vector != VEC_PF ||
        !in_operand(c, c->reference->cr2) || !in_operand(c, c->expected->cr2))
        return false;
    if (c->reference->cr2 >= DIFFTEST_DATA_END)
        c->expected->error &= ~PF_P; /* P is that of the page CR2 names */
    c->expected->cr2 = c->reference->cr2;
    return true;
}

static bool explain_pieces_written(const struct context *c)
{
    static const char *const names[] = { "FSTP", "FBSTP", NULL };
    if (!mnemonic_is(c, names) || c->bytes != 10 || c->expected->vector != VEC_PF || c->expected->data_changed ||
        c->linear + 8 > DIFFTEST_READ_ONLY || c->linear + 10 <= DIFFTEST_READ_ONLY)
        return false;
    take_data(c, c->linear, 8);
    return true;
}

static bool explain_fxsave_alignment(const struct context *c)
{
    static const char *const names[] = { "FXSAVE", "FXRSTOR", NULL };
    if (!mnemonic_is(c, names) || !(c->linear & 15) ||
        (!(c->test->state.rflags & FLAG_AC) && c->reference->vector != VEC_SS) || c->expected->vector != VEC_GP)
        return false;
    bool reaches_beyond = c->linear < 0 - (uint64_t)CANONICAL_END && c->linear + 511 >= CANONICAL_END;
    c->expected->vector = reaches_beyond && c->reference->vector == VEC_SS ? VEC_SS : VEC_AC;
    return true;
}

/* Runs the test again without alignment checks, which the result then shows again. */
static void run_unaligned(const struct context *c)
{
    struct difftest_case test = *c->test;
    test.state.rflags &= ~(uint64_t)FLAG_AC;
    difftest_sim_run(c->sim, c->memory, &test, c->expected);
    c->expected->state.rflags |= FLAG_AC;
}

static bool explain_movbe_66(const struct context *c)
{
    struct difftest_outcome *expected = c->expected;
    if (strcmp(c->mnemonic, "MOVBE") != 0 || c->insn.operand_bits != 64 ||
        !memchr(c->test->bytes, 0x66, c->insn.length))
        return false;
    if (expected->vector == VEC_AC)
        run_unaligned(c);
    page_before_canonical(c);
    unsigned vector = c->reference->vector;
    if ((expected->vector == VEC_GP || expected->vector == VEC_SS) && c->linear + 7 >= CANONICAL_END &&
        (vector == VEC_SS || vector == VEC_GP))
        expected->vector = (uint8_t)vector;
    if (c->store && expected->vector == VEC_PF && c->linear < DIFFTEST_READ_ONLY && c->linear + 8 > DIFFTEST_READ_ONLY)
        take_data(c, c->linear, 8);
    return true;
}

static bool explain_broadcast_order(const struct context *c)
{
    unsigned a = c->expected->vector, b = c->reference->vector;
    bool beyond = c->linear < CANONICAL_END && c->linear + 8 > CANONICAL_END;
    bool broadcast = c->insn.evex & INSN_EVEX_B || strcmp(c->mnemonic, "VMOVDDUP") == 0;
    if (!broadcast || !c->insn.mask || !c->has_operand || !beyond || !(c->test->state.rflags & FLAG_AC) ||
        (a != VEC_AC) == (b != VEC_AC) || !is_access_fault(a) || !is_access_fault(b) || a == VEC_PF || b == VEC_PF)
        return false;
    c->expected->vector = (uint8_t)b;
    return true;
}

static bool explain_fip_48(const struct context *c)
{
    static const char *const names[] = { "FXRSTOR", "FLDENV", "FRSTOR", NULL };
    const struct x87 *a = &c->reference->state.x87;
    struct x87 *b = &c->expected->state.x87;
    if (!mnemonic_is(c, names))
        return false;
    if ((a->fip ^ b->fip) << 16 == 0)
        b->fip = a->fip;
    if ((a->fdp ^ b->fdp) << 16 == 0)
        b->fdp = a->fdp;
    return true;
}

static bool explain_enter_levels(const struct context *c)
{
    unsigned pushed = 8 * (unsigned)(c->insn.immediate2 & 31) + 8;
    if (strcmp(c->mnemonic, "ENTER") != 0 || !is_access_fault(c->expected->vector) || c->expected->data_changed)
        return false;
    take_data(c, c->test->state.gpr[RSP] - pushed, pushed);
    return true;
}

static bool explain_call_push(const struct context *c)
{
    uint64_t at = c->test->state.gpr[RSP] - 8 - DIFFTEST_DATA, next = c->test->state.rip + c->insn.length;
    if (strcmp(c->mnemonic, "CALL") != 0 || c->expected->vector != VEC_GP || c->expected->data_changed ||
        at > DIFFTEST_DATA_BYTES - 8)
        return false;
    memcpy(c->expected->data, c->memory->data, sizeof(c->expected->data));
    memcpy(c->expected->data + at, &next, 8);
    c->expected->data_changed = true;
    return true;
}

#define FSW_TOP 0x3800u
static bool explain_mmx_store(const struct context *c)
{
    if (c->test->row->isa_class != ISA_CLASS_MMX && c->test->row->isa_class != ISA_CLASS_SSE_MMX)
        return false;
    if (!is_access_fault(c->expected->vector) || c->reference->state.x87.fsw & FSW_TOP)
        return false;
    /* The registers stay where they are: a frame shows them from the new TOP on, ours are physical. */
    c->expected->state.x87.fsw &= (uint16_t)~FSW_TOP;
    if (c->reference->gp_emulated) /* a software emulator has marked the registers as valid, too */
        c->expected->state.x87.tags = c->reference->state.x87.tags;
    return true;
}

static float f32(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static double f64(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

static bool explain_approximation(const struct context *c)
{
    static const char *const names[] = { "RCPPS",      "RCPSS",      "RSQRTPS",    "RSQRTSS",    "VRCPPS",   "VRCPSS",
                                         "VRSQRTPS",   "VRSQRTSS",   "VRCP14PS",   "VRCP14SS",   "VRCP14PD", "VRCP14SD",
                                         "VRSQRT14PS", "VRSQRT14SS", "VRSQRT14PD", "VRSQRT14SD", NULL };
    if (!mnemonic_is(c, names))
        return false;
    bool fine = strstr(c->mnemonic, "14") != NULL, wide = c->mnemonic[strlen(c->mnemonic) - 1] == 'D';
    double bound = fine ? 2.0 / 16384 : 3.0 / 4096;
    for (unsigned i = 0; i < 32; i++) {
        const union vector_register *a = &c->reference->state.zmm[i];
        union vector_register *b = &c->expected->state.zmm[i];
        for (unsigned j = 0; j < (wide ? 8 : 16); j++) {
            double x = wide ? f64(a->u64[j]) : (double)f32(a->u32[j]),
                   y = wide ? f64(b->u64[j]) : (double)f32(b->u32[j]);
            double error = x < y ? y - x : x - y, size = x < 0 ? -x : x;
            /* The smallest results are denormal; processors make them zero, or do not. */
            if (!(error <= size * bound) && !(size < 0x1p-125 && error < 0x1p-125))
                continue;
            if (wide)
                b->u64[j] = a->u64[j];
            else
                b->u32[j] = a->u32[j];
        }
    }
    return true;
}

/* Distance of two numbers of one sign in units of the last place; across a power of two, in those of the smaller. */
static uint64_t ulps(const struct x87_register *a, const struct x87_register *b)
{
    unsigned exponent_a = a->exponent & 0x7FFF, exponent_b = b->exponent & 0x7FFF;
    exponent_a += exponent_a == 0; /* denormal numbers go on where the normal ones end */
    exponent_b += exponent_b == 0;
    if ((a->exponent ^ b->exponent) & 0x8000)
        return UINT64_MAX;
    if (exponent_a == exponent_b)
        return a->mantissa > b->mantissa ? a->mantissa - b->mantissa : b->mantissa - a->mantissa;
    const struct x87_register *larger = exponent_a > exponent_b ? a : b, *smaller = larger == a ? b : a;
    if (exponent_a + 1 != exponent_b && exponent_b + 1 != exponent_a)
        return UINT64_MAX;
    uint64_t above = larger->mantissa - 0x8000000000000000u, below = 0 - smaller->mantissa;
    return above > 16 || below > 16 ? UINT64_MAX : 2 * above + below;
}

static bool explain_transcendental(const struct context *c)
{
    static const char *const names[] = {
        "F2XM1", "FYL2X", "FYL2XP1", "FPTAN", "FPATAN", "FSIN", "FCOS", "FSINCOS", NULL
    };
    const struct x87 *a = &c->reference->state.x87;
    struct x87 *b = &c->expected->state.x87;
    if (!mnemonic_is(c, names))
        return false;
    /* A tiny result that traps is wrapped by 24576; on the other side of the smallest normal number it does not. */
    bool wrapped = (a->fsw ^ b->fsw) & b->fsw & FP_UE && !(b->fcw & FP_UE);
    for (unsigned i = 0; i < 8; i++) {
        struct x87_register ours = b->r[i];
        if (wrapped && (ours.exponent & 0x7FFF) == 24576) { /* the largest number that is tiny */
            ours.exponent &= 0x8000;
            ours.mantissa >>= 1;
        }
        if (ulps(&a->r[i], &ours) <= 4)
            b->r[i] = a->r[i];
    }
    b->fsw = (uint16_t)((b->fsw & ~0x230) | (a->fsw & 0x230));
    return true;
}

/*
 * Only which fault it is may differ: everything else is as with #GP. Where a masked operand has lanes that fault in two
 * ways, the processor may have chosen the #GP, which then went to the emulator: #UD.
 */
static bool explain_pvm_gp(const struct context *c)
{
    unsigned vector = c->reference->vector, ours = c->expected->vector;
    bool chosen = ours == VEC_GP || (c->test->row && vector == VEC_UD && is_access_fault(ours) &&
                                     strncmp(c->test->row->encoding, "EVEX", 4) == 0);
    if (!c->reference->gp_emulated || !chosen || (vector != VEC_UD && !is_access_fault(vector)))
        return false;
    c->expected->vector = c->reference->vector;
    c->expected->error = c->reference->error;
    c->expected->cr2 = c->reference->cr2;
    return true;
}

/* --- the list --- */

static const struct {
    struct difftest_explanation public;
    bool (*explain)(const struct context *c);
} entries[] = {
    { { .name = "kernel-present",
        .text = "#PF above the program's half of the addresses: Linux reports P=1 whatever its tables say, so that "
                "nothing can "
                "be learned of its own pages (SDM vol. 3A, 4.7 has what the processor says)" },
      explain_kernel_present },
    { { .name = "pieces-canonical",
        .text =
            "80-bit and x87 state operands that run beyond the canonical addresses: processors access them in pieces "
            "and "
            "find the #PF of a lower piece first; the order within the class is implementation-dependent (SDM vol. 3A, "
            "6.9)" },
      explain_pieces_canonical },
    { { .name = "pieces-cr2",
        .text = "x87 and FXSAVE images that cross into a page that faults: which of their bytes CR2 names depends on "
                "the order "
                "of the pieces (SDM vol. 3A, 4.7: any address of the access)" },
      explain_pieces_cr2 },
    { { .name = "pieces-written",
        .text =
            "FSTP m80 and FBSTP whose last two bytes fault: the mantissa has been written already; the instruction is "
            "restarted (SDM vol. 3A, 6.6)" },
      explain_pieces_written },
    { { .name = "fxsave-alignment",
        .text = "a misaligned FXSAVE area under alignment checks: whether #AC comes instead of #GP is "
                "implementation-dependent "
                "(SDM vol. 2A, FXSAVE, #AC)" },
      explain_fxsave_alignment },
    { { .name = "movbe-66",
        .text =
            "MOVBE of 64 bits with a 66H prefix, which REX.W overrides (SDM vol. 2A, 2.2.1.2): processors run it in "
            "other "
            "pieces: not checked for alignment, the lower page's bytes written before the upper one faults, #SS or #GP "
            "for a non-canonical address",
        .intel_only = true },
      explain_movbe_66 },
    { { .name = "broadcast-order",
        .text = "a misaligned element of a masked broadcast or VMOVDDUP that runs beyond the canonical addresses: #AC "
                "or #GP first "
                "is implementation-dependent (SDM vol. 3A, 6.9)",
        .rare = true },
      explain_broadcast_order },
    { { .name = "fip-48",
        .text = "FIP and FDP loaded from an image: processors keep 48 bits, sign-extended or not (SDM vol. 1, 8.1.8)" },
      explain_fip_48 },
    { { .name = "enter-levels",
        .text = "ENTER that faults after several levels: some are pushed already; the instruction is restarted (SDM "
                "vol. 2A, "
                "ENTER: RSP and RBP change last)" },
      explain_enter_levels },
    { { .name = "call-push",
        .text = "CALL to a non-canonical target: the return address stands below RSP, which has not moved (SDM vol. "
                "2A, CALL, "
                "has the check of the target behind the push)" },
      explain_call_push },
    { { .name = "mmx-store",
        .text = "an MMX instruction whose access faults has already set TOP to 0, as its completion would (SDM vol. 1, "
                "9.5.1; "
                "restarted, it does so again)",
        .intel_only = true },
      explain_mmx_store },
    { { .name = "approximation",
        .text = "RCP, RSQRT, RCP14, RSQRT14: ours is one documented definition; both lie within the manual's bound of "
                "1.5 * "
                "2^-12 (SDM vol. 2B, RCPPS) or 2^-14 (vol. 2C, VRCP14PD)" },
      explain_approximation },
    { { .name = "transcendental",
        .text = "x87 transcendentals: ours is one documented definition; the last bits, C1, PE and UE may differ (SDM "
                "vol. 1, "
                "8.3.10)" },
      explain_transcendental },
    { { .name = "pvm-gp",
        .text = "a page-table-based KVM has its software emulator look at each #GP of CPL 3: another fault may come of "
                "it; no processor's doing",
        .gp_emulated = true },
      explain_pvm_gp },
};
const unsigned difftest_explanation_count = sizeof(entries) / sizeof(entries[0]);

const struct difftest_explanation *difftest_explanation(unsigned number)
{
    return &entries[number].public;
}

bool difftest_explain(struct difftest_sim *sim, const struct difftest_case *test,
                      const struct difftest_outcome *reference, const struct difftest_memory *memory, unsigned number,
                      struct difftest_outcome *expected)
{
    struct context c = { .sim = sim,
                         .test = test,
                         .mnemonic = test->row ? test->row->mnemonic : "",
                         .memory = memory,
                         .reference = reference,
                         .expected = expected };
    if (reference->lost || expected->lost)
        return false;
    if (!test->row) /* no instruction: only the one about the reference's own way with #GP */
        return entries[number].explain == explain_pvm_gp && explain_pvm_gp(&c);
    if (decode(test->bytes, test->length, 64, NULL, &c.insn) != DECODE_OK)
        return false;
    find_operand(&c);
    if (!entries[number].explain(&c))
        return false;
    explain_kernel_present(&c); /* of the host's kernel, whatever else there is */
    return true;
}
