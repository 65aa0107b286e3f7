/*
 * The slow half of memory access: translation, page crossings, devices, alignment checks, data breakpoints.
 *
 * One order for every access: the address is checked, all its pages are translated with their final rights (setting
 * accessed and dirty bits), and only then is anything read or written.
 */
#include "cpu/mem.h"
#include "cpu/debug.h"
#include "cpu/engine.h"
#include "cpu/tlb.h"

/* Where one page's share of an access lies. */
struct place {
    uint64_t physical;
    uint64_t ram_page; /* RAM_NO_PAGE: device or nothing */
    unsigned bytes;
};

static bool is_canonical(const struct cpu *cpu, uint64_t linear)
{
    unsigned unused = cpu->cr4 & CR4_LA57 ? 7 : 16;
    return (uint64_t)((int64_t)(linear << unused) >> unused) == linear;
}

static bool check_address(struct cpu *cpu, uint64_t linear, unsigned access)
{
    if (!(cpu->efer & EFER_LMA))
        return true;
    if (!is_canonical(cpu, linear))
        return fault_raise(cpu, access & ACCESS_STACK ? VEC_SS : VEC_GP, true, 0);
    return true;
}

/* #AC (SDM vol. 3A, 6.15): data accesses of CPL 3 under CR0.AM and RFLAGS.AC. An 80-bit real wants 8 bytes. 16 bytes
 * are never checked here: what wants them aligned raises #GP, and processors let the unaligned moves pass. */
static bool check_alignment(struct cpu *cpu, uint64_t linear, unsigned bytes, unsigned access)
{
    bool active = cpu->cpl == 3 && cpu->cr0 & CR0_AM && cpu->rflags & FLAG_AC &&
                  !(access & (ACCESS_SYSTEM | ACCESS_EXECUTE | ACCESS_LANE));
    unsigned alignment = bytes;
    if (bytes == 10)
        alignment = 8;
    else if (bytes == 28 || bytes == 108) /* the x87 environment and state, of 32 bits and of 16 */
        alignment = 4;
    else if (bytes == 14 || bytes == 94)
        alignment = 2;
    if (active && alignment <= 8 && (alignment & (alignment - 1)) == 0 && linear & (alignment - 1))
        return fault_raise(cpu, VEC_AC, true, 0);
    return true;
}

/* The TLB's entry for an access of this kind, if it holds all the rights that are asked for; NULL otherwise. */
static const struct tlb_entry *known_page(const struct cpu *cpu, uint64_t linear, unsigned bytes, unsigned access)
{
    const struct tlb_entry *entry = &tlb_array(cpu, access)[(linear >> 12) & (TLB_ENTRIES - 1)];
    return (access & ACCESS_WRITE ? entry->write : entry->read) == tlb_tag(linear, bytes) ? entry : NULL;
}

static bool place_find(struct cpu *cpu, uint64_t linear, unsigned bytes, unsigned access, struct place *place)
{
    const struct tlb_entry *entry = known_page(cpu, linear, bytes, access);
    if (entry) {
        const struct ram *ram = &cpu->board->ram;
        uint64_t page = (entry->host + linear - (uintptr_t)ram->bytes) / RAM_PAGE_BYTES;
        *place = (struct place){ ram_physical(ram, page) | (linear & (RAM_PAGE_BYTES - 1)), page, bytes };
        return true;
    }
    struct paging paging = mmu_context(cpu, access);
    struct translation translation;
    uint32_t error;
    if (!mmu_translate(cpu, &paging, linear, access, &translation, &error)) {
        cpu->fault = fault_make(VEC_PF, true, error);
        cpu->fault.cr2 = linear;
        return false;
    }
    *place = (struct place){ translation.physical, ram_page_at(&cpu->board->ram, translation.physical), bytes };
    return true;
}

/* Processors look at the alignment before they look at a second part of the access. */
bool mem_check(struct cpu *cpu, uint64_t first, uint64_t last, unsigned bytes, unsigned access)
{
    return check_address(cpu, first, access) && (!bytes || check_alignment(cpu, first, bytes, access)) &&
           check_address(cpu, last, access);
}

/* Translates a whole access into one or two places. */
static bool places_find(struct cpu *cpu, uint64_t linear, unsigned bytes, unsigned access, struct place place[2],
                        unsigned *count)
{
    if (!mem_check(cpu, linear, linear + bytes - 1, bytes, access))
        return false;
    if (!(cpu->efer & EFER_LMA))
        linear = (uint32_t)linear;
    unsigned in_first = RAM_PAGE_BYTES - (linear & (RAM_PAGE_BYTES - 1));
    *count = bytes > in_first ? 2 : 1;
    if (!place_find(cpu, linear, *count == 2 ? in_first : bytes, access, &place[0]))
        return false;
    if (*count == 1)
        return true;
    uint64_t second = linear + in_first;
    if (!(cpu->efer & EFER_LMA))
        second = (uint32_t)second;
    return place_find(cpu, second, bytes - in_first, access, &place[1]);
}

static void device_read(struct cpu *cpu, const struct place *place, uint8_t *to)
{
    for (unsigned done = 0; done < place->bytes;) {
        uint64_t at = place->physical + done;
        unsigned piece = 8;
        while (piece > place->bytes - done || at & (piece - 1))
            piece /= 2;
        uint64_t value = bus_mmio_read(&cpu->board->bus, at, piece);
        memcpy(to + done, &value, piece);
        done += piece;
    }
}

static void device_write(struct cpu *cpu, const struct place *place, const uint8_t *from)
{
    for (unsigned done = 0; done < place->bytes;) {
        uint64_t at = place->physical + done;
        unsigned piece = 8;
        while (piece > place->bytes - done || at & (piece - 1))
            piece /= 2;
        uint64_t value = 0;
        memcpy(&value, from + done, piece);
        bus_mmio_write(&cpu->board->bus, at, piece, value);
        done += piece;
    }
}

/* Lets later accesses of this kind to the page hit in the TLB. */
static void remember(struct cpu *cpu, uint64_t linear, const struct place *place, unsigned access)
{
    struct ram *ram = &cpu->board->ram;
    if (place->ram_page == RAM_NO_PAGE || access & ACCESS_AS_USER)
        return;
    if (access & ACCESS_WRITE && ram_writable_page(ram, place->ram_page))
        access |= ACCESS_READ; /* pages that may be written may be read */
    else
        access &= ~(unsigned)ACCESS_WRITE;
    if (access & (ACCESS_READ | ACCESS_WRITE))
        tlb_install(cpu, linear, (uint8_t *)(uintptr_t)ram_page_bytes(ram, place->ram_page), place->ram_page, access);
}

static bool access_read(struct cpu *cpu, uint64_t linear, unsigned bytes, unsigned access, uint8_t *to)
{
    if (!(cpu->efer & EFER_LMA))
        linear = (uint32_t)linear;
    const struct tlb_entry *entry = known_page(cpu, linear, bytes, access);
    if (entry) {
        memcpy(to, (const void *)(entry->host + linear), bytes);
        return true;
    }
    struct place place[2];
    unsigned count;
    cpu->engine->paths[ENGINE_READ]++;
    if (!places_find(cpu, linear, bytes, access, place, &count))
        return false;
    for (unsigned i = 0, done = 0; i < count; done += place[i].bytes, i++) {
        if (place[i].ram_page == RAM_NO_PAGE)
            device_read(cpu, &place[i], to + done);
        else
            ram_read(&cpu->board->ram, place[i].physical, to + done, place[i].bytes);
        if (count == 1)
            remember(cpu, linear, &place[i], access);
    }
    if (cpu->mode & MODE_STEP && !(access & ACCESS_SYSTEM))
        debug_match_data(cpu, linear, bytes, false);
    return true;
}

static bool access_write(struct cpu *cpu, uint64_t linear, unsigned bytes, unsigned access, const uint8_t *from)
{
    if (!(cpu->efer & EFER_LMA))
        linear = (uint32_t)linear;
    const struct tlb_entry *entry = known_page(cpu, linear, bytes, access | ACCESS_WRITE);
    if (entry) {
        memcpy((void *)(entry->host + linear), from, bytes);
        return true;
    }
    struct place place[2];
    unsigned count;
    cpu->engine->paths[ENGINE_WRITE]++;
    if (!places_find(cpu, linear, bytes, access, place, &count))
        return false;
    for (unsigned i = 0, done = 0; i < count; done += place[i].bytes, i++) {
        if (place[i].ram_page == RAM_NO_PAGE)
            device_write(cpu, &place[i], from + done);
        else
            ram_write(&cpu->board->ram, place[i].physical, from + done, place[i].bytes);
        if (count == 1)
            remember(cpu, linear, &place[i], access);
    }
    if (cpu->mode & MODE_STEP && !(access & ACCESS_SYSTEM))
        debug_match_data(cpu, linear, bytes, true);
    return true;
}

/* What a slow access of a handler goes on with. */
static const struct op *finish(struct cpu *cpu, const struct op *op, bool done)
{
    if (!done)
        return engine_fault(cpu, op, cpu->fault);
    return cpu->board->attention ? engine_land(cpu, op) : op;
}

/* An access through SS is one to the stack as far as #SS goes. */
static unsigned stack_access(const struct op *op, unsigned access)
{
    return op->flags & OP_MEM && op->seg == SS ? access | ACCESS_STACK : access;
}

const struct op *mem_load_slow(struct cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes, unsigned access,
                               uint64_t *value)
{
    *value = 0;
    engine_sync(cpu, op);
    return finish(cpu, op, access_read(cpu, linear, bytes, stack_access(op, access), (uint8_t *)value));
}

const struct op *mem_store_slow(struct cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes, unsigned access,
                                uint64_t value)
{
    engine_sync(cpu, op);
    return finish(cpu, op, access_write(cpu, linear, bytes, stack_access(op, access), (const uint8_t *)&value));
}

const struct op *mem_load_bytes_slow(struct cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes,
                                     unsigned access, void *buffer)
{
    engine_sync(cpu, op);
    return finish(cpu, op, access_read(cpu, linear, bytes, stack_access(op, access), buffer));
}

const struct op *mem_store_bytes_slow(struct cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes,
                                      unsigned access, const void *buffer)
{
    engine_sync(cpu, op);
    return finish(cpu, op, access_write(cpu, linear, bytes, stack_access(op, access), buffer));
}

bool mem_probe(struct cpu *cpu, uint64_t linear, unsigned bytes, unsigned access)
{
    struct place place[2];
    unsigned count;
    return places_find(cpu, linear, bytes, access, place, &count);
}

bool mem_read(struct cpu *cpu, uint64_t linear, unsigned bytes, unsigned access, void *buffer)
{
    return access_read(cpu, linear, bytes, access | ACCESS_READ, buffer);
}

bool mem_write(struct cpu *cpu, uint64_t linear, unsigned bytes, unsigned access, const void *buffer)
{
    return access_write(cpu, linear, bytes, access | ACCESS_WRITE, buffer);
}

bool mem_read_uint(struct cpu *cpu, uint64_t linear, unsigned bytes, unsigned access, uint64_t *value)
{
    *value = 0;
    return mem_read(cpu, linear, bytes, access, value);
}

bool mem_write_uint(struct cpu *cpu, uint64_t linear, unsigned bytes, unsigned access, uint64_t value)
{
    return mem_write(cpu, linear, bytes, access, &value);
}

/* Limit, type and null checks of a legacy segment (SDM vol. 3A, 5.3 and 5.4). */
static bool segment_check(struct cpu *cpu, unsigned seg, uint32_t offset, unsigned bytes, unsigned access)
{
    const struct segment *segment = &cpu->segment[seg];
    uint32_t type = SEG_TYPE(segment->attributes);
    bool code = type & SEG_TYPE_CODE, ok = !(segment->attributes & SEG_UNUSABLE);
    bool protected_mode = (cpu->mode & MODE_PROTECTED) && !(cpu->mode & MODE_VM86);
    if (protected_mode && access & ACCESS_WRITE && (code || !(type & SEG_TYPE_WRITABLE)))
        ok = false;
    if (protected_mode && access & ACCESS_READ && code && !(type & SEG_TYPE_READABLE))
        ok = false;
    uint32_t last = offset + bytes - 1;
    if (!code && type & SEG_TYPE_EXPAND_DOWN) {
        uint32_t top = segment->attributes & SEG_DB ? UINT32_MAX : 0xFFFF;
        ok = ok && offset > segment->limit && last <= top && last >= offset;
    } else {
        ok = ok && last <= segment->limit && last >= offset;
    }
    return ok || fault_raise(cpu, seg == SS ? VEC_SS : VEC_GP, true, 0);
}

bool segment_address(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned bytes, unsigned access, uint64_t *linear)
{
    if ((cpu->mode & MODE_CODE_MASK) == MODE_CODE64) {
        *linear = offset + cpu->segment_base[seg];
        return true;
    }
    *linear = (uint32_t)(cpu->segment[seg].base + offset);
    return seg == SEG_FLAT || segment_check(cpu, seg, (uint32_t)offset, bytes, access);
}

bool segment_linear(struct cpu *cpu, const struct op *op, unsigned bytes, unsigned access, uint64_t *linear)
{
    uint64_t offset = cpu->gpr[op->base / 8] + (cpu->gpr[op->index / 8] << op->scale) + (uint64_t)(int64_t)op->disp;
    if (op->base == GPR_RIP * 8)
        offset += op_end(op); /* segmented RIP-relative operands keep the encoded displacement */
    unsigned address_bits = OP_ADDRESS(op);
    if (address_bits < 64)
        offset &= (1ull << address_bits) - 1;
    return segment_address(cpu, op->seg, offset, bytes, access, linear);
}

/* Width of the stack pointer in bits. */
static unsigned stack_bits(const struct cpu *cpu)
{
    return (cpu->mode & MODE_CODE_MASK) == MODE_CODE64 ? 64 : cpu->mode & MODE_STACK32 ? 32 : 16;
}

/* The stack pointer when it becomes rsp: 16 bits keep the rest of the register, 32 bits clear its upper half. */
static uint64_t stack_pointer(const struct cpu *cpu, uint64_t rsp)
{
    switch (stack_bits(cpu)) {
    case 64:
        return rsp;
    case 32:
        return (uint32_t)rsp;
    default:
        return (cpu->gpr[RSP] & ~0xFFFFull) | (rsp & 0xFFFF);
    }
}

static uint64_t stack_offset(const struct cpu *cpu, int64_t delta)
{
    uint64_t rsp = cpu->gpr[RSP] + (uint64_t)delta;
    unsigned bits = stack_bits(cpu);
    return bits == 64 ? rsp : rsp & ((1ull << bits) - 1);
}

bool stack_read(struct cpu *cpu, int64_t offset, unsigned bytes, uint64_t *value)
{
    uint64_t linear;
    return segment_address(cpu, SS, stack_offset(cpu, offset), bytes, ACCESS_READ, &linear) &&
           mem_read_uint(cpu, linear, bytes, ACCESS_STACK, value);
}

bool stack_write(struct cpu *cpu, int64_t offset, unsigned bytes, uint64_t value)
{
    uint64_t linear;
    return segment_address(cpu, SS, stack_offset(cpu, offset), bytes, ACCESS_WRITE, &linear) &&
           mem_write_uint(cpu, linear, bytes, ACCESS_STACK, value);
}

uint64_t stack_moved(const struct cpu *cpu, int64_t delta)
{
    return stack_pointer(cpu, cpu->gpr[RSP] + (uint64_t)delta);
}

void stack_set(struct cpu *cpu, uint64_t rsp)
{
    cpu->gpr[RSP] = stack_pointer(cpu, rsp);
}
