/*
 * The gluer: copies stencils, fills their holes, and hangs the code on the block's ops.
 */
#include "cpu/block.h"
#include "cpu/engine.h"
#include "tests/stencil/stencil.h"

#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define REGION_BYTES (64u << 20)
#define EXIT_BYTES   23u /* mov r13, op; mov rax, handler; jmp rax */
#define OPS_MAX      (BLOCK_INSNS_MAX + 3)
#define BLOCK_CODE   (OPS_MAX * 1024u) /* more than any block needs */

/* A handler of the program. */
struct handler {
    uintptr_t address;
    const char *name;
    const struct stencil *first; /* its variants stand together */
    unsigned variants;
    uint64_t lacking;
};

/* A block that was tried: where its first op has no stencil nothing else tells. Stale entries do no harm. */
#define TRIED (1u << 16)
struct tried {
    const struct block *block;
    uint64_t physical;
    uint32_t mode;
};

/* Where a stencil may be linked to the block behind a chain. */
struct site {
    const struct op *op; /* hangs on it */
    uint8_t *entry;
    const struct stencil *stencil;
    const struct chain *chain;
    uint64_t generation; /* in which it was linked, or 0 */
    unsigned slot;
};

struct glue {
    struct site *sites;
    unsigned site_count, site_room;
    struct tried tried[TRIED];
    uint8_t *region;
    size_t used;
    struct handler *handlers; /* by address */
    unsigned handler_count;
    Elf *elf; /* keeps the names */
    int file;
    struct glue_counts counts;
};

/* A block on its way into code. */
struct gluing {
    struct glue *glue;
    struct block *block;
    struct chain *chains;
    unsigned count;
    struct op *op[OPS_MAX];
    struct handler *handler[OPS_MAX];
    const struct stencil *stencil[OPS_MAX];
    uint8_t *entry[OPS_MAX + 1], *own[OPS_MAX];
    bool pair[OPS_MAX]; /* goes on behind the next op, which stays as it is */
};

/* --- handlers by name ----------------------------------------------------------------------------------------------
 */

static int by_address(const void *a, const void *b)
{
    uintptr_t x = ((const struct handler *)a)->address, y = ((const struct handler *)b)->address;
    return x < y ? -1 : x > y;
}

static int by_name(const void *name, const void *stencil)
{
    return strcmp(name, ((const struct stencil *)stencil)->name);
}

static void handler_add(struct glue *glue, uintptr_t address, const char *name)
{
    struct handler *handler = &glue->handlers[glue->handler_count++];
    *handler = (struct handler){ .address = address, .name = name };
    const struct stencil *first = bsearch(name, stencils, stencil_count, sizeof(*stencils), by_name);
    if (!first)
        return;
    while (first > stencils && !strcmp(first[-1].name, name))
        first--;
    handler->first = first;
    while (first + handler->variants < stencils + stencil_count && !strcmp(first[handler->variants].name, name))
        handler->variants++;
}

/* Two handlers of one name: nobody can tell which one the stencil is of. */
static int by_stencil(const void *a, const void *b)
{
    const struct handler *x = *(struct handler *const *)a, *y = *(struct handler *const *)b;
    return x->first < y->first ? -1 : x->first > y->first;
}
static bool drop_ambiguous(struct glue *glue)
{
    struct handler **sorted = calloc(glue->handler_count, sizeof(*sorted));
    if (!sorted)
        return false;
    for (unsigned i = 0; i < glue->handler_count; i++)
        sorted[i] = &glue->handlers[i];
    qsort(sorted, glue->handler_count, sizeof(*sorted), by_stencil);
    for (unsigned i = 1; i < glue->handler_count; i++)
        if (sorted[i]->first && sorted[i]->first == sorted[i - 1]->first)
            sorted[i]->variants = sorted[i - 1]->variants = 0;
    free(sorted);
    return true;
}

static bool handlers_read(struct glue *glue)
{
    elf_version(EV_CURRENT);
    glue->file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    glue->elf = elf_begin(glue->file, ELF_C_READ, NULL);
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    do {
        section = elf_nextscn(glue->elf, section);
    } while (section && (!gelf_getshdr(section, &header) || header.sh_type != SHT_SYMTAB));
    Elf_Data *data = section ? elf_getdata(section, NULL) : NULL;
    if (!data)
        return false;
    size_t count = header.sh_size / header.sh_entsize;
    glue->handlers = calloc(count, sizeof(*glue->handlers));
    if (!glue->handlers)
        return false;
    uintptr_t slide = 0; /* of a position-independent program: told by a function that all know */
    GElf_Sym symbol;
    for (size_t i = 0; i < count; i++) {
        const char *name =
            gelf_getsym(data, (int)i, &symbol) ? elf_strptr(glue->elf, header.sh_link, symbol.st_name) : "";
        if (name && !strcmp(name, "cpu_run"))
            slide = (uintptr_t)cpu_run - symbol.st_value;
    }
    for (size_t i = 0; i < count; i++) {
        const char *name =
            gelf_getsym(data, (int)i, &symbol) ? elf_strptr(glue->elf, header.sh_link, symbol.st_name) : "";
        if (name && !strncmp(name, "op_", 3) && GELF_ST_TYPE(symbol.st_info) == STT_FUNC)
            handler_add(glue, slide + symbol.st_value, name + 3);
    }
    qsort(glue->handlers, glue->handler_count, sizeof(*glue->handlers), by_address);
    return glue->handler_count > 0 && drop_ambiguous(glue);
}

static struct handler *handler_of(const struct glue *glue, const struct op *op)
{
    const struct handler key = { .address = (uintptr_t)op->run };
    return bsearch(&key, glue->handlers, glue->handler_count, sizeof(key), by_address);
}

/* --- one block -----------------------------------------------------------------------------------------------------
 */

/* The value of an operand's hole. */
static uint64_t value_of(const struct gluing *to, unsigned i, enum stencil_hole_name name)
{
    const struct op *op = to->op[i];
    switch (name) {
    case HOLE_imm:
        return op->imm;
    case HOLE_disp:
        return (uint64_t)(int64_t)op->disp;
    case HOLE_dst:
        return op->dst;
    case HOLE_src:
        return op->src;
    case HOLE_base:
        return op->base;
    case HOLE_index:
        return op->index;
    case HOLE_scale:
        return op->scale;
    case HOLE_seg:
        return op->seg;
    case HOLE_flags:
        return op->flags;
    case HOLE_form:
        return op->form;
    case HOLE_imm8:
        return op->imm8;
    case HOLE_src2:
        return op->src2;
    case HOLE_mask:
        return op->mask;
    case HOLE_evex:
        return op->evex;
    case HOLE_at_length:
        return op->at_length;
    case HOLE_second_dst:
        return op[1].dst;
    case HOLE_second_src:
        return op[1].src;
    case HOLE_second_imm:
        return op[1].imm;
    case HOLE_second_disp:
        return (uint64_t)(int64_t)op[1].disp;
    case HOLE_second_flags:
        return op[1].flags;
    case HOLE_at:
        return op_at(op);
    case HOLE_end:
        return op_end(op);
    case HOLE_second_end:
        return op_end(op + 1);
    case HOLE_chain0:
        return (uintptr_t)&to->chains[0];
    case HOLE_chain1:
        return (uintptr_t)&to->chains[1];
    case HOLE_cycles:
        return to->block->cycles;
    case HOLE_insns:
        return to->block->insns;
    default:
        return 0; /* not linked */
    }
}

/* The compiler took operands for sign-extended 32-bit numbers; true if this op's are. */
static bool fits(const struct gluing *to, unsigned i, const struct stencil *stencil)
{
    for (unsigned h = 0; h < stencil->holes; h++) {
        const struct stencil_hole *hole = &stencil_holes[stencil->first_hole + h];
        if (hole->kind != STENCIL_32S)
            continue;
        int64_t value = (int64_t)value_of(to, i, (enum stencil_hole_name)hole->name);
        if (value != (int32_t)value || value + hole->addend != (int32_t)(value + hole->addend))
            return false;
    }
    return true;
}

static bool has_hole(const struct stencil *stencil, enum stencil_hole_name name)
{
    for (unsigned h = 0; h < stencil->holes; h++)
        if (stencil_holes[stencil->first_hole + h].name == name)
            return true;
    return false;
}

static const struct stencil *variant_of(const struct handler *handler, unsigned variant)
{
    for (unsigned i = 0; i < handler->variants; i++)
        if (handler->first[i].serves >> variant & 1)
            return &handler->first[i];
    return NULL;
}

/* Finds the stencil of op i, if it has one that fits. */
static void choose(struct gluing *to, unsigned i)
{
    const struct op *op = to->op[i];
    const struct handler *handler = to->handler[i];
    const struct stencil *plain = variant_of(handler, 0);
    bool memory = plain && has_hole(plain, HOLE_base);
    unsigned indexed = memory && op->index != GPR_ZERO * 8 ? STENCIL_INDEXED : 0;
    const struct stencil *stencil = variant_of(handler, indexed);
    if (!stencil)
        return;
    to->pair[i] =
        has_hole(stencil, HOLE_next_pair) || has_hole(stencil, HOLE_second_end) || has_hole(stencil, HOLE_second_dst);
    const struct stencil *looping = variant_of(handler, indexed | STENCIL_LOOPING);
    bool relative = has_hole(stencil, HOLE_chain1);
    if (looping && relative && (to->pair[i] ? op[1].imm : op->imm) == 0)
        stencil = looping;
    if (!fits(to, i, stencil))
        stencil = variant_of(handler, indexed | STENCIL_WIDENED);
    if (stencil && fits(to, i, stencil))
        to->stencil[i] = stencil;
    else
        to->pair[i] = false;
}

static uint8_t *put_exit(uint8_t *at, const struct op *op, const struct handler *handler)
{
    uint64_t values[2] = { (uintptr_t)op, handler->address };
    memcpy(at, "\x49\xBD", 2); /* movabs r13: `op` of preserve_none */
    memcpy(at + 2, &values[0], 8);
    memcpy(at + 10, "\x48\xB8", 2); /* movabs rax */
    memcpy(at + 12, &values[1], 8);
    memcpy(at + 20, "\xFF\xE0\xCC", 3); /* jmp rax; never reached */
    return at + EXIT_BYTES;
}

static void fill(const struct gluing *to, unsigned i)
{
    const struct stencil *stencil = to->stencil[i];
    for (unsigned h = 0; h < stencil->holes; h++) {
        const struct stencil_hole *hole = &stencil_holes[stencil->first_hole + h];
        uint8_t *at = to->entry[i] + hole->at;
        uint64_t value;
        if (hole->kind == STENCIL_CODE) {
            const uint8_t *target = hole->name == HOLE_own         ? to->own[i]
                                    : hole->name >= HOLE_linked0   ? to->entry[i] /* written over by a link */
                                    : hole->name == HOLE_start     ? to->entry[0]
                                    : hole->name == HOLE_next_pair ? to->entry[i + 2]
                                                                   : to->entry[i + 1];
            value = (uint64_t)(target - at + hole->addend);
        } else {
            value = value_of(to, i, (enum stencil_hole_name)hole->name) + (uint64_t)(int64_t)hole->addend;
        }
        static const uint8_t bytes[] = {
            [STENCIL_8] = 1,   [STENCIL_16] = 2, [STENCIL_32] = 4,
            [STENCIL_32S] = 4, [STENCIL_64] = 8, [STENCIL_CODE] = 4,
        };
        memcpy(at, &value, bytes[hole->kind]);
    }
}

static void note_sites(const struct gluing *to, unsigned i)
{
    struct glue *glue = to->glue;
    for (unsigned slot = 0; slot < 2; slot++) {
        if (!has_hole(to->stencil[i], slot ? HOLE_linked1 : HOLE_linked0))
            continue;
        if (glue->site_count == glue->site_room) {
            glue->site_room = glue->site_room ? 2 * glue->site_room : 4096;
            glue->sites = realloc(glue->sites, glue->site_room * sizeof(*glue->sites));
            if (!glue->sites)
                abort();
        }
        glue->sites[glue->site_count++] =
            (struct site){ to->op[i], to->entry[i], to->stencil[i], &to->chains[slot], 0, slot };
    }
}

/* Lays the block's code out, fills it and hangs it on the ops. */
static void lay(struct gluing *to)
{
    struct glue *glue = to->glue;
    uint8_t *at = glue->region + glue->used;
    bool reached = true; /* from the op before */
    for (unsigned i = 0; i < to->count; i++) {
        to->entry[i] = at;
        if (to->stencil[i]) {
            memcpy(at, &stencil_code[to->stencil[i]->code], to->stencil[i]->code_bytes);
            at += to->stencil[i]->code_bytes;
            glue->counts.stencils++;
        } else {
            if (reached)
                at = put_exit(at, to->op[i], to->handler[i]);
            to->handler[i]->lacking++;
        }
        reached = to->stencil[i] != NULL;
        if (to->pair[i])
            to->entry[++i] = NULL; /* what stands there is for the slow way */
    }
    to->entry[to->count] = at;
    for (unsigned i = 0; i < to->count; i++) {
        if (!to->entry[i] || !to->stencil[i])
            continue;
        if (has_hole(to->stencil[i], HOLE_own)) {
            to->own[i] = at;
            at = put_exit(at, to->op[i], to->handler[i]);
        }
        fill(to, i);
        note_sites(to, i);
        to->op[i]->run = (op_fn *)(uintptr_t)to->entry[i];
    }
    glue->counts.bytes += (size_t)(at - (glue->region + glue->used));
    glue->used = (size_t)(at - glue->region + 15) & ~(size_t)15;
}

/* The ops of a block: what stands behind the last one is a chain, and no chain begins with a handler's address. */
static bool glue_block(struct glue *glue, struct block *block)
{
    struct gluing to = { .glue = glue, .block = block };
    while (to.count < OPS_MAX - 1 && (to.handler[to.count] = handler_of(glue, &block->ops[to.count]))) {
        to.op[to.count] = &block->ops[to.count];
        to.count++;
    }
    if (to.count == 0 || handler_of(glue, &block->ops[to.count]))
        return false;
    to.chains = (struct chain *)&block->ops[to.count];
    for (unsigned i = 0; i < to.count; i++) {
        choose(&to, i);
        i += to.pair[i];
    }
    glue->counts.blocks++;
    glue->counts.ops += to.count;
    lay(&to);
    return true;
}

/* --- all blocks ----------------------------------------------------------------------------------------------------
 */

struct glue *glue_create(const char **why)
{
    struct glue *glue = calloc(1, sizeof(*glue));
    if (!glue) {
        *why = "no memory";
        return NULL;
    }
    glue->file = -1;
    *why = "this program has no symbols";
    glue->region = mmap(NULL, REGION_BYTES, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (glue->region == MAP_FAILED) {
        *why = "this host maps no code";
        glue->region = NULL;
    }
    if (!glue->region || !handlers_read(glue)) {
        glue_destroy(glue);
        return NULL;
    }
    return glue;
}

void glue_destroy(struct glue *glue)
{
    if (!glue)
        return;
    if (glue->region)
        munmap(glue->region, REGION_BYTES);
    elf_end(glue->elf);
    if (glue->file >= 0)
        close(glue->file);
    free(glue->handlers);
    free(glue->sites);
    free(glue);
}

static bool in_region(const struct glue *glue, op_fn *run)
{
    return (uintptr_t)run - (uintptr_t)glue->region < REGION_BYTES;
}

/* True the first time that a block is seen. */
static bool is_new(struct glue *glue, const struct block *block)
{
    struct tried *tried = &glue->tried[((uintptr_t)block * 0x9E3779B97F4A7C15ull) >> 48 & (TRIED - 1)];
    bool seen = tried->block == block && tried->physical == block->physical && tried->mode == block->mode;
    *tried = (struct tried){ block, block->physical, block->mode };
    return !seen && !in_region(glue, block->ops[0].run);
}

/* What is written is never executable meanwhile, nor the other way round. */
static void region_protect(struct glue *glue, size_t from, size_t to, int protection)
{
    from &= ~(size_t)4095;
    to = (to + 4095) & ~(size_t)4095;
    if (mprotect(glue->region + from, to - from, protection))
        abort();
}

unsigned glue_blocks(struct glue *glue, struct cpu *cpu)
{
    unsigned done = 0;
    size_t from = glue->used, to = from; /* writable */
    for (unsigned i = 0; i < JUMP_CACHE_ENTRIES; i++) {
        const struct jump_entry *jump = &cpu->engine->jumps[i];
        if (!jump->block || jump->generation != cpu->chain_generation || !is_new(glue, jump->block))
            continue;
        if (glue->used + BLOCK_CODE > REGION_BYTES) { /* what is glued goes with the blocks it hangs on */
            region_protect(glue, from, to, PROT_READ | PROT_EXEC);
            cpu_drop_caches(cpu);
            glue->used = glue->site_count = 0;
            memset(glue->tried, 0, sizeof(glue->tried));
            return done;
        }
        if (glue->used + BLOCK_CODE > to) {
            to = glue->used + 4 * BLOCK_CODE < REGION_BYTES ? glue->used + 4 * BLOCK_CODE : REGION_BYTES;
            region_protect(glue, from, to, PROT_READ | PROT_WRITE);
        }
        done += glue_block(glue, jump->block);
    }
    region_protect(glue, from, to, PROT_READ | PROT_EXEC);
    return done;
}

/* The site's holes for the block that its chain leads to. */
static void link_site(struct site *site)
{
    const struct block *block = site->chain->block;
    unsigned slot = site->slot;
    for (unsigned h = 0; h < site->stencil->holes; h++) {
        const struct stencil_hole *hole = &stencil_holes[site->stencil->first_hole + h];
        uint8_t *at = site->entry + hole->at;
        int32_t value;
        if (hole->name == HOLE_generation0 + slot)
            value = (int32_t)site->chain->generation;
        else if (hole->name == HOLE_rip0 + slot)
            value = (int32_t)site->chain->rip;
        else if (hole->name == HOLE_cycles0 + slot)
            value = block->cycles;
        else if (hole->name == HOLE_insns0 + slot)
            value = block->insns;
        else if (hole->name == HOLE_linked0 + slot)
            value = (int32_t)((uintptr_t)block->ops[0].run - (uintptr_t)at);
        else
            continue;
        value += hole->addend;
        memcpy(at, &value, sizeof(value));
    }
    site->generation = site->chain->generation;
}

unsigned glue_link(struct glue *glue, struct cpu *cpu)
{
    unsigned done = 0;
    bool open = false; /* the region is writable */
    for (unsigned i = 0; i < glue->site_count; i++) {
        struct site *site = &glue->sites[i];
        uint64_t generation = cpu->chain_generation;
        /* an op that holds other code is of a block that is gone, and its chain with it */
        if (site->generation == generation || (uintptr_t)site->op->run != (uintptr_t)site->entry ||
            site->chain->generation != generation || !in_region(glue, site->chain->block->ops[0].run) ||
            (uint64_t)(int32_t)site->chain->rip != site->chain->rip || generation > INT32_MAX)
            continue;
        if (!open)
            region_protect(glue, 0, glue->used, PROT_READ | PROT_WRITE);
        open = true;
        link_site(site);
        done++;
    }
    if (open)
        region_protect(glue, 0, glue->used, PROT_READ | PROT_EXEC);
    glue->counts.links += done;
    return done;
}

const struct glue_counts *glue_counts(const struct glue *glue)
{
    return &glue->counts;
}

void glue_lacking(const struct glue *glue, void (*tell)(const char *name, uint64_t count))
{
    for (unsigned i = 0; i < glue->handler_count; i++)
        if (glue->handlers[i].lacking)
            tell(glue->handlers[i].name, glue->handlers[i].lacking);
}
