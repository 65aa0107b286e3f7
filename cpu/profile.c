/*
 * Profiles of the engine (profile.h).
 */
#include "cpu/profile.h"
#include "cpu/handler.h"
#include "cpu/isa.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* A form is a row, the shape and the width of its handler, and the row of a jump that is fused with it. */
#define FORM_ROW(form)   ((form) & 0xFFF)
#define FORM_SHAPE(form) ((form) >> 12 & 7)
#define FORM_WIDTH(form) ((form) >> 15 & 3)
#define FORM_JUMP(form)  ((form) >> 17)
_Static_assert(ISA_ROW_COUNT <= 0x1000, "a row's number has 12 bits");

struct profiled {
    struct profiled *next;
    uint64_t entries;
    unsigned count;
    uint32_t forms[];
};

struct profile {
    struct profiled *blocks;
};

int profile_begin(struct cpu *cpu)
{
    cpu->engine->profile = calloc(1, sizeof(*cpu->engine->profile));
    return cpu->engine->profile ? 0 : -ENOMEM;
}

void profile_end(struct cpu *cpu)
{
    struct profile *profile = cpu->engine->profile;
    if (!profile)
        return;
    for (struct profiled *block = profile->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(profile);
    cpu->engine->profile = NULL;
}

static OP(entered)
{
    struct profiled *block;
    memcpy(&block, &op->imm, sizeof(block));
    if (block)
        block->entries++;
    NEXT;
}

static uint32_t form_of(const struct insn *insn, const struct op *op, const struct insn *jump)
{
    uint32_t row = insn->row ? (uint32_t)(insn->row - isa_rows) : 0;
    uint32_t shape = op->flags & OP_MEM   ? op->flags & OP_MEM_DST ? op->flags & OP_IMM ? SHAPE_MI : SHAPE_MR : SHAPE_RM
                     : op->flags & OP_IMM ? SHAPE_RI
                                          : SHAPE_RR;
    return row | shape << 12 | (op->form & 3u) << 15 | (jump ? (uint32_t)(jump->row - isa_rows) << 17 : 0);
}

void profile_block(struct profile *profile, const struct insn *insns, const struct op *ops, unsigned count, bool fused,
                   struct op *op)
{
    unsigned forms = count - fused;
    struct profiled *block = calloc(1, sizeof(*block) + forms * sizeof(block->forms[0]));
    *op = (struct op){ .run = op_entered };
    memcpy(&op->imm, &block, sizeof(block));
    if (!block)
        return;
    block->count = forms;
    for (unsigned i = 0; i < forms; i++)
        block->forms[i] = form_of(&insns[i], &ops[i], fused && i + 1 == forms ? &insns[i + 1] : NULL);
    block->next = profile->blocks;
    profile->blocks = block;
}

/* --- the report --- */

/* One form, or two that follow each other. */
struct share {
    uint64_t key;
    uint64_t count;
};

struct shares {
    struct share *list;
    size_t count, room;
    bool failed;
};

static void shares_add(struct shares *shares, uint64_t key, uint64_t count)
{
    if (shares->count == shares->room) {
        size_t room = shares->room ? shares->room * 2 : 4096;
        struct share *list = realloc(shares->list, room * sizeof(*list));
        shares->failed |= !list;
        if (!list)
            return;
        shares->list = list;
        shares->room = room;
    }
    shares->list[shares->count++] = (struct share){ key, count };
}

static int by_key(const void *a, const void *b)
{
    const struct share *x = a, *y = b;
    return x->key < y->key ? -1 : x->key > y->key;
}
static int by_count(const void *a, const void *b)
{
    const struct share *x = a, *y = b;
    return x->count > y->count ? -1 : x->count < y->count ? 1 : by_key(a, b);
}

/* Equal keys become one entry; the busiest stand first. */
static void shares_sort(struct shares *shares)
{
    size_t kept = 0;
    if (!shares->count)
        return;
    qsort(shares->list, shares->count, sizeof(*shares->list), by_key);
    for (size_t i = 1; i < shares->count; i++) {
        if (shares->list[i].key == shares->list[kept].key)
            shares->list[kept].count += shares->list[i].count;
        else
            shares->list[++kept] = shares->list[i];
    }
    shares->count = kept + 1;
    qsort(shares->list, shares->count, sizeof(*shares->list), by_count);
}

#define NAME_BYTES 64
static const char *form_name(uint32_t form, char name[NAME_BYTES])
{
    static const char *const shapes[] = { "rr", "ri", "rm", "mr", "mi" };
    unsigned shape = FORM_SHAPE(form), jump = FORM_JUMP(form);
    snprintf(name, NAME_BYTES, "%s %s%u%s%s", isa_rows[FORM_ROW(form)].mnemonic, shapes[shape < SHAPES ? shape : 0],
             8u << FORM_WIDTH(form), jump ? " + " : "", jump ? isa_rows[jump].mnemonic : "");
    for (char *at = name; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return name;
}

static void shares_print(struct shares *shares, const char *what, uint64_t total, unsigned top, FILE *to)
{
    char first[NAME_BYTES], second[NAME_BYTES];
    shares_sort(shares);
    fprintf(to, "%s: %zu kinds\n", what, shares->count);
    for (size_t i = 0; i < shares->count && i < top; i++) {
        const struct share *share = &shares->list[i];
        uint32_t behind = (uint32_t)(share->key >> 32);
        fprintf(to, "  %6.2f %%  %12" PRIu64 "  %s", 100.0 * (double)share->count / (double)(total + !total),
                share->count, form_name((uint32_t)share->key, first));
        if (behind)
            fprintf(to, ", %s", form_name(behind - 1, second));
        fputc('\n', to);
    }
    free(shares->list);
}

void profile_print(const struct cpu *cpu, unsigned top, FILE *to)
{
    static const char *const paths[ENGINE_PATHS] = {
        [ENGINE_RUN] = "entries into blocks by the loop",
        [ENGINE_LOOKUP] = "lookups of a block by its physical address",
        [ENGINE_LOWERED] = "blocks lowered",
        [ENGINE_SCRATCH] = "instructions that no cached block can hold",
        [ENGINE_SINGLE] = "single steps",
        [ENGINE_FAULTED] = "faults and traps delivered",
        [ENGINE_READ] = "reads behind the TLB",
        [ENGINE_WRITE] = "writes behind the TLB",
        [ENGINE_WALK] = "page walks",
        [ENGINE_GENERATION] = "generations of chains that ended",
    };
    struct shares forms = { 0 }, pairs = { 0 };
    uint64_t entries = 0, ops = 0;
    unsigned blocks = 0;
    for (const struct profiled *block = cpu->engine->profile->blocks; block; block = block->next, blocks++) {
        entries += block->entries;
        ops += block->entries * block->count;
        for (unsigned i = 0; block->entries && i < block->count; i++) {
            shares_add(&forms, block->forms[i], block->entries);
            if (i > 0)
                shares_add(&pairs, block->forms[i - 1] | (block->forms[i] + 1ull) << 32, block->entries);
        }
    }
    if (forms.failed || pairs.failed)
        fputs("sim: no memory for all of the profile\n", to);
    fprintf(to, "profile: %" PRIu64 " ops in %" PRIu64 " entries of %u blocks, %.2f ops an entry\n", ops, entries,
            blocks, (double)ops / (double)(entries + !entries));
    shares_print(&forms, "forms", ops, top, to);
    shares_print(&pairs, "pairs within a block", ops, top, to);
    fputs("slow paths:\n", to);
    for (unsigned i = 0; i < ENGINE_PATHS; i++)
        fprintf(to, "  %12" PRIu64 "  %s\n", cpu->engine->paths[i], paths[i]);
}
