/*
 * Comparison of a reference's outcome with the interpreter's (the defined differences: difftest_explain.c).
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

/* TF is the test's own. */
#define FLAGS_COMPARED (~(uint64_t)(FLAG_TF))

enum difftest_verdict difftest_compare(struct difftest_sim *sim, const struct difftest_case *test,
                                       const struct difftest_outcome *reference, const struct difftest_outcome *outcome,
                                       const struct difftest_memory *memory, unsigned *explanation)
{
    if (differ(NULL, reference, outcome, memory, FLAGS_COMPARED) == 0)
        return DIFFTEST_EQUAL;
    uint64_t mask = FLAGS_COMPARED & ~(uint64_t)test->flags_undefined;
    if (test->flags_undefined && differ(NULL, reference, outcome, memory, mask) == 0)
        return DIFFTEST_MASKED;
    enum difftest_verdict verdict = DIFFTEST_DIFFERS;
    struct difftest_outcome *expected = malloc(sizeof(*expected));
    for (unsigned i = 0; expected && i < difftest_explanation_count && verdict == DIFFTEST_DIFFERS; i++) {
        *expected = *outcome;
        if (difftest_explain(sim, test, reference, memory, i, expected) &&
            differ(NULL, reference, expected, memory, mask) == 0) {
            *explanation = i;
            verdict = DIFFTEST_EXPLAINED;
        }
    }
    free(expected);
    return verdict;
}

void difftest_differences(const struct difftest_case *test, const struct difftest_outcome *reference,
                          const struct difftest_outcome *outcome, const struct difftest_memory *memory, FILE *out)
{
    differ(out, reference, outcome, memory, FLAGS_COMPARED & ~(uint64_t)test->flags_undefined);
}
