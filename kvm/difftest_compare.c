/*
 * Comparison of a reference's outcome with the interpreter's, and the list of defined differences.
 */
#include "kvm/difftest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void print_bytes(FILE *out, const uint8_t *bytes, unsigned count)
{
    for (unsigned i = count; i-- > 0;)
        fprintf(out, "%02x", bytes[i]);
}

/* Each differ_ function counts differences and prints them if there is where to. */
static unsigned differ_number(FILE *out, const char *name, unsigned index, uint64_t reference, uint64_t sim)
{
    if (reference == sim)
        return 0;
    if (out && index == UINT32_MAX)
        fprintf(out, "  %s: %" PRIx64 " on the reference, %" PRIx64 " in sim\n", name, reference, sim);
    else if (out)
        fprintf(out, "  %s%u: %" PRIx64 " on the reference, %" PRIx64 " in sim\n", name, index, reference, sim);
    return 1;
}
#define NO_INDEX UINT32_MAX

static unsigned differ_bytes(FILE *out, const char *name, unsigned index, const void *reference, const void *sim,
                             unsigned count)
{
    if (memcmp(reference, sim, count) == 0)
        return 0;
    if (out) {
        fprintf(out, "  %s%x: ", name, index);
        print_bytes(out, reference, count);
        fputs(" on the reference, ", out);
        print_bytes(out, sim, count);
        fputs(" in sim\n", out);
    }
    return 1;
}

static unsigned differ_x87(FILE *out, const struct x87 *reference, const struct x87 *sim)
{
    unsigned count = differ_number(out, "fcw", NO_INDEX, reference->fcw, sim->fcw);
    count += differ_number(out, "fsw", NO_INDEX, reference->fsw, sim->fsw);
    count += differ_number(out, "tags", NO_INDEX, reference->tags, sim->tags);
    count += differ_number(out, "fop", NO_INDEX, reference->fop, sim->fop);
    count += differ_number(out, "fip", NO_INDEX, reference->fip, sim->fip);
    count += differ_number(out, "fdp", NO_INDEX, reference->fdp, sim->fdp);
    for (unsigned i = 0; i < 8; i++) {
        count += differ_number(out, "mantissa of r", i, reference->r[i].mantissa, sim->r[i].mantissa);
        count += differ_number(out, "exponent of r", i, reference->r[i].exponent, sim->r[i].exponent);
    }
    return count;
}

static unsigned differ_data(FILE *out, const struct difftest_outcome *reference, const struct difftest_outcome *sim,
                            const struct difftest_memory *memory)
{
    const uint8_t *a = reference->data_changed ? reference->data : memory->data;
    const uint8_t *b = sim->data_changed ? sim->data : memory->data;
    unsigned count = 0;
    if (a == b || memcmp(a, b, DIFFTEST_DATA_BYTES) == 0)
        return 0;
    for (unsigned at = 0; at < DIFFTEST_DATA_BYTES && count < 8; at += 16)
        count += differ_bytes(out, "memory at ", (unsigned)(DIFFTEST_DATA + at), a + at, b + at, 16);
    return count;
}

static unsigned differ(FILE *out, const struct difftest_outcome *reference, const struct difftest_outcome *sim,
                       const struct difftest_memory *memory, uint64_t flags_mask)
{
    static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                           "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
    const struct difftest_state *a = &reference->state, *b = &sim->state;
    if (reference->lost || sim->lost)
        return differ_number(out, "lost", NO_INDEX, reference->lost, sim->lost) + 1;
    unsigned count = differ_number(out, "vector", NO_INDEX, reference->vector, sim->vector);
    count += differ_number(out, "error code", NO_INDEX, reference->error, sim->error);
    if (reference->vector == VEC_PF && sim->vector == VEC_PF)
        count += differ_number(out, "cr2", NO_INDEX, reference->cr2, sim->cr2);
    for (unsigned i = 0; i < 16; i++)
        count += differ_number(out, names[i], NO_INDEX, a->gpr[i], b->gpr[i]);
    count += differ_number(out, "rip", NO_INDEX, a->rip, b->rip);
    count += differ_number(out, "rflags", NO_INDEX, a->rflags & flags_mask, b->rflags & flags_mask);
    count += differ_number(out, "mxcsr", NO_INDEX, a->mxcsr, b->mxcsr);
    count += differ_x87(out, &a->x87, &b->x87);
    for (unsigned i = 0; i < 32; i++)
        count += differ_bytes(out, "zmm", i, a->zmm[i].u8, b->zmm[i].u8, 64);
    for (unsigned i = 0; i < 8; i++)
        count += differ_number(out, "k", i, a->opmask[i], b->opmask[i]);
    return count + differ_data(out, reference, sim, memory);
}

/* --- defined differences --- */

const struct difftest_explanation difftest_explanations[] = {
    { .name = "kernel-present",
      .text = "a page fault above the canonical lower half: the host's kernel reports P=1 whatever its tables say" },
    { .name = "pieces",
      .text = "x87 and FXSAVE images, 80-bit operands and the 64-bit MOVBE are accessed in pieces: which of two "
              "faults, which "
              "byte CR2 names, and whether the first piece is written is the processor's choice" },
    { .name = "masked-order", .text = "operands under a mask: which of two faults comes, and which byte CR2 names" },
    { .name = "vector-alignment",
      .text = "vector operands of 8 bytes or less: whether alignment is checked",
      .intel_only = true },
    { .name = "cvtps2ph-order",
      .text = "VCVTPS2PH converts before it stores: a fault of the store comes after #XM and the flags in MXCSR",
      .intel_only = true },
    { .name = "fip-48", .text = "FIP and FDP loaded from an image: processors keep 48 bits" },
    { .name = "enter-levels",
      .text = "ENTER that faults after several levels: processors have pushed some of them already" },
    { .name = "mask-zero", .text = "MASKMOV: processors look at all bytes, selected or not, for faults and alignment" },
    { .name = "call-push",
      .text = "CALL to a non-canonical target: the processor has written the return address below RSP" },
    { .name = "mmx-store", .text = "an MMX store that faults has already set TOP to 0", .intel_only = true },
    { .name = "movbe-alignment",
      .text = "the 64-bit MOVBE with 66H in front of REX.W is not checked for alignment",
      .intel_only = true },
    { .name = "approximation",
      .text = "RCP, RSQRT, RCP14, RSQRT14: ours is one documented definition, processors differ within the manual's "
              "bound" },
    { .name = "transcendental",
      .text = "x87 transcendentals: ours is one documented definition; the last bits, C1, PE and UE may differ" },
    { .name = "pvm-gp",
      .text =
          "a page-table-based KVM has its software emulator look at each #GP of CPL 3: another fault may come of it",
      .gp_emulated = true },
};
const unsigned difftest_explanation_count = sizeof(difftest_explanations) / sizeof(difftest_explanations[0]);
struct context {
    const struct difftest_case *test;
    const char *mnemonic;
    struct difftest_outcome *reference, *sim; /* copies, made alike as far as a difference is defined */
};

static bool mnemonic_is(const struct context *c, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(c->mnemonic, *names) == 0)
            return true;
    return false;
}

static bool forgive_kernel_present(struct context *c)
{
    if (c->reference->vector != VEC_PF || c->sim->vector != VEC_PF || c->reference->cr2 < 0x7FFFFFFFF000u)
        return false;
    c->sim->error |= c->reference->error & PF_P;
    return true;
}

/* A fault of a memory operand. */
static bool is_access_fault(unsigned vector)
{
    return vector == VEC_PF || vector == VEC_GP || vector == VEC_SS || vector == VEC_AC;
}

static bool forgive_pieces(struct context *c)
{
    static const char *const names[] = { "FLDENV", "FNSTENV", "FNSAVE", "FRSTOR", "FXSAVE", "FXRSTOR",
                                         "FLD",    "FSTP",    "FBLD",   "FBSTP",  "MOVBE",  NULL };
    if (!mnemonic_is(c, names) || !is_access_fault(c->reference->vector) || !is_access_fault(c->sim->vector))
        return false;
    if (c->reference->vector == VEC_PF && c->sim->vector == VEC_PF &&
        (uint32_t)(c->reference->cr2 - c->sim->cr2) >= 512)
        return false;
    c->sim->vector = c->reference->vector;
    c->sim->error = c->reference->error;
    c->sim->cr2 = c->reference->cr2;
    c->sim->data_changed = c->reference->data_changed;
    memcpy(c->sim->data, c->reference->data, sizeof(c->sim->data));
    return true;
}

static bool forgive_call_push(struct context *c)
{
    if (strcmp(c->mnemonic, "CALL") != 0 || c->reference->vector != VEC_GP || c->sim->vector != VEC_GP ||
        c->sim->data_changed)
        return false;
    c->reference->data_changed = false;
    return true;
}

static bool is_vector_row(const struct context *c)
{
    return strncmp(c->test->row->encoding, "EVEX", 4) == 0 || strncmp(c->test->row->encoding, "VEX", 3) == 0;
}

static bool forgive_masked_order(struct context *c)
{
    if (!is_vector_row(c) || (c->test->row->encoding[0] != 'E' && !strstr(c->mnemonic, "MASKMOV")) ||
        !is_access_fault(c->reference->vector) || !is_access_fault(c->sim->vector))
        return false;
    c->sim->vector = c->reference->vector;
    c->sim->error = c->reference->error;
    c->sim->cr2 = c->reference->cr2;
    return true;
}

static bool forgive_vector_alignment(struct context *c)
{
    if (!is_vector_row(c) || (c->reference->vector != VEC_AC) == (c->sim->vector != VEC_AC))
        return false;
    memcpy(c->sim, c->reference, sizeof(*c->sim));
    return true;
}

static bool forgive_cvtps2ph_order(struct context *c)
{
    unsigned vector = c->reference->vector;
    if (strcmp(c->mnemonic, "VCVTPS2PH") != 0 || !is_access_fault(c->sim->vector) ||
        !(is_access_fault(vector) || vector == VEC_XM))
        return false;
    memcpy(c->sim, c->reference, sizeof(*c->sim));
    return true;
}

static bool forgive_fip_48(struct context *c)
{
    static const char *const names[] = { "FXRSTOR", "FLDENV", "FRSTOR", NULL };
    struct x87 *a = &c->reference->state.x87, *b = &c->sim->state.x87;
    if (!mnemonic_is(c, names))
        return false;
    if ((a->fip ^ b->fip) << 16 == 0)
        b->fip = a->fip;
    if ((a->fdp ^ b->fdp) << 16 == 0)
        b->fdp = a->fdp;
    return true;
}

static bool forgive_enter_levels(struct context *c)
{
    if (strcmp(c->mnemonic, "ENTER") != 0 || c->reference->vector != c->sim->vector || c->sim->data_changed ||
        c->sim->vector == VEC_BP || c->sim->vector == VEC_DB)
        return false;
    c->reference->data_changed = false;
    return true;
}

static bool forgive_mask_zero(struct context *c)
{
    static const char *const names[] = { "MASKMOVQ", "MASKMOVDQU", "VMASKMOVDQU", NULL };
    if (!mnemonic_is(c, names) || !is_access_fault(c->reference->vector))
        return false;
    memcpy(c->sim, c->reference, sizeof(*c->sim));
    return true;
}

static bool forgive_mmx_store(struct context *c)
{
    unsigned vector = c->sim->vector;
    if (c->test->row->isa_class != ISA_CLASS_MMX && c->test->row->isa_class != ISA_CLASS_SSE_MMX)
        return false;
    if (!is_access_fault(vector) || c->reference->state.x87.fsw & 0x3800)
        return false;
    c->sim->state.x87.fsw &= (uint16_t)~0x3800u;
    return true;
}

static bool forgive_movbe_alignment(struct context *c)
{
    if (strcmp(c->mnemonic, "MOVBE") != 0 || c->sim->vector != VEC_AC)
        return false;
    memcpy(c->sim, c->reference, sizeof(*c->sim));
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

static bool forgive_approximation(struct context *c)
{
    static const char *const names[] = { "RCPPS",      "RCPSS",      "RSQRTPS",    "RSQRTSS",    "VRCPPS",   "VRCPSS",
                                         "VRSQRTPS",   "VRSQRTSS",   "VRCP14PS",   "VRCP14SS",   "VRCP14PD", "VRCP14SD",
                                         "VRSQRT14PS", "VRSQRT14SS", "VRSQRT14PD", "VRSQRT14SD", NULL };
    if (!mnemonic_is(c, names))
        return false;
    bool fine = strstr(c->mnemonic, "14") != NULL, wide = c->mnemonic[strlen(c->mnemonic) - 1] == 'D';
    double bound = fine ? 2.0 / 16384 : 3.0 / 4096;
    for (unsigned i = 0; i < 32; i++) {
        union vector_register *a = &c->reference->state.zmm[i], *b = &c->sim->state.zmm[i];
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

static bool forgive_transcendental(struct context *c)
{
    static const char *const names[] = {
        "F2XM1", "FYL2X", "FYL2XP1", "FPTAN", "FPATAN", "FSIN", "FCOS", "FSINCOS", NULL
    };
    struct x87 *a = &c->reference->state.x87, *b = &c->sim->state.x87;
    if (!mnemonic_is(c, names))
        return false;
    for (unsigned i = 0; i < 8; i++)
        if (ulps(&a->r[i], &b->r[i]) <= 4)
            b->r[i] = a->r[i];
    b->fsw = (uint16_t)((b->fsw & ~0x230) | (a->fsw & 0x230));
    return true;
}

/*
 * Only which fault it is may differ: everything else is as with #GP. Where processors may choose between #GP and
 * another fault, the emulator saw the #GP.
 */
static bool forgive_pvm_gp(struct context *c)
{
    unsigned vector = c->reference->vector;
    if (!c->reference->gp_emulated || !is_access_fault(c->sim->vector) ||
        (vector != VEC_UD && !is_access_fault(vector)))
        return false;
    if (c->sim->vector != VEC_GP && vector != VEC_UD)
        return false;
    c->reference->vector = VEC_GP;
    c->reference->error = 0;
    return c->sim->vector == VEC_GP || forgive_masked_order(c) || forgive_pieces(c);
}

typedef bool forgive_fn(struct context *c);
static forgive_fn *const forgive[] = { forgive_kernel_present,   forgive_pieces,          forgive_masked_order,
                                       forgive_vector_alignment, forgive_cvtps2ph_order,  forgive_fip_48,
                                       forgive_enter_levels,     forgive_mask_zero,       forgive_call_push,
                                       forgive_mmx_store,        forgive_movbe_alignment, forgive_approximation,
                                       forgive_transcendental,   forgive_pvm_gp };

/* TF is the test's own. */
#define FLAGS_COMPARED (~(uint64_t)(FLAG_TF))

enum difftest_verdict difftest_compare(const struct difftest_case *test, const struct difftest_outcome *reference,
                                       const struct difftest_outcome *sim, const struct difftest_memory *memory,
                                       unsigned *explanation, FILE *text)
{
    if (differ(NULL, reference, sim, memory, FLAGS_COMPARED) == 0)
        return DIFFTEST_EQUAL;
    uint64_t mask = FLAGS_COMPARED & ~(uint64_t)test->flags_undefined;
    if (test->flags_undefined && differ(NULL, reference, sim, memory, mask) == 0)
        return DIFFTEST_MASKED;
    enum difftest_verdict verdict = DIFFTEST_DIFFERS;
    struct difftest_outcome *copies = malloc(2 * sizeof(*copies));
    if (copies && test->row) {
        copies[0] = *reference;
        copies[1] = *sim;
        struct context context = { test, test->row->mnemonic, &copies[0], &copies[1] };
        for (unsigned i = 0; i < difftest_explanation_count && verdict == DIFFTEST_DIFFERS; i++) {
            if (forgive[i](&context) && differ(NULL, &copies[0], &copies[1], memory, mask) == 0) {
                *explanation = i;
                verdict = DIFFTEST_EXPLAINED;
            }
        }
    }
    free(copies);
    if (verdict == DIFFTEST_DIFFERS && text)
        differ(text, reference, sim, memory, mask);
    return verdict;
}
