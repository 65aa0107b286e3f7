/*
 * Comparing two vCPUs field by field (cosim_compare.h).
 */
#include "kvm/cosim_compare.h"

#include <inttypes.h>
#include <string.h>

static bool is_null(const struct segment *segment)
{
    return segment->attributes & SEG_UNUSABLE || (segment->selector & ~3u) == 0;
}

static void forgive_null_segments(const struct cpu *ours, struct cpu *theirs)
{
    for (unsigned i = ES; i <= GS; i++) {
        const struct segment *a = &ours->segment[i];
        struct segment *b = &theirs->segment[i];
        if (!is_null(a) || !is_null(b) || a->selector != b->selector)
            continue;
        b->attributes = a->attributes;
        b->limit = a->limit;
        if (i < FS)
            b->base = a->base;
    }
}

unsigned cosim_compare_state(const struct cpu *ours, struct cpu *theirs, FILE *text)
{
    forgive_null_segments(ours, theirs);
    const struct part a = { "sim", (void *)(uintptr_t)ours, sizeof(*ours), cpu_field_count, cpu_fields };
    const struct part b = { "kvm", theirs, sizeof(*theirs), cpu_field_count, cpu_fields };
    unsigned count = 0;
    for (unsigned i = 0; i < cpu_field_count; i++) {
        const struct field *field = &cpu_fields[i];
        if (field->kind != FIELD_STATE ||
            !memcmp((const char *)ours + field->offset, (const char *)theirs + field->offset,
                    (size_t)field->count * field->bytes))
            continue;
        for (uint32_t j = 0; j < field->count; j++) {
            uint64_t x = field_value(&a, field, j), y = field_value(&b, field, j);
            count += x != y;
            if (x != y && text)
                fprintf(text, "  %s[%u]: %" PRIx64 " in KVM, %" PRIx64 " in sim\n", field->name, j, y, x);
        }
    }
    return count;
}
