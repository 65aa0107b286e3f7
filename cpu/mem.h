/*
 * Guest memory as instructions see it: linear addresses, the software TLB in front, translation and devices behind.
 *
 * The TLB is direct-mapped and coherent: a write to a table page evicts what was derived from it
 * (docs/architecture.md). An entry holds RAM only; devices, watched pages, page crossings, alignment checks and data
 * breakpoints take the slow way.
 */
#ifndef CPU_MEM_H
#define CPU_MEM_H

#include "cpu/op.h"

#include <string.h>

enum access {
    ACCESS_READ = 1,
    ACCESS_WRITE = 2,
    ACCESS_EXECUTE = 4,
    ACCESS_STACK = 8,    /* an implicit stack access, or one through SS: non-canonical is #SS(0) */
    ACCESS_SYSTEM = 16,  /* implicit supervisor access at any CPL: descriptor tables, TSS, IDT */
    ACCESS_LANE = 64,    /* a lane of a vector operand: not checked for alignment */
    ACCESS_AS_USER = 32, /* with the rights of CPL 3 (privilege checks of an outer frame) */
};

#define TLB_ENTRIES 4096u

/* Tags are linear page addresses; TLB_EMPTY never matches. */
#define TLB_EMPTY 1ull
struct tlb_entry {
    uint64_t read;
    uint64_t write;
    uintptr_t host;  /* host address of the page minus its linear address */
    uint64_t unused; /* 32 bytes: a slot's address is a shift away */
};

static inline struct tlb_entry *tlb_slot(const struct cpu *cpu, uint64_t linear)
{
    return &cpu->tlb[(linear >> 12) & (TLB_ENTRIES - 1)];
}
/* What a tag must equal for an access of that many bytes: differs from every tag if the access leaves the page. */
static inline uint64_t tlb_tag(uint64_t linear, unsigned bytes)
{
    return (linear + bytes - 1) & ~(uint64_t)4095;
}

static inline uint64_t host_read(uintptr_t at, unsigned w)
{
    uint64_t value = 0;
    memcpy(&value, (const void *)at,
           w / 8); /* little-endian hosts; a big-endian one would swap here and in host_write */
    return value;
}
static inline void host_write(uintptr_t at, unsigned w, uint64_t value)
{
    memcpy((void *)at, &value, w / 8);
}

/*
 * The slow half of LOAD and STORE. bytes: 1..8 (the _bytes forms: 1..64). The return value replaces the caller's `op`;
 * NULL: a fault, and the block is left already. If the access moved an event or lost the running code, the returned op
 * is a copy behind which the block ends. access may add ACCESS_WRITE to a load: the rights of both are needed.
 */
const struct op *mem_load_slow(struct cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes, unsigned access,
                               uint64_t *value);
const struct op *mem_store_slow(struct cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes, unsigned access,
                                uint64_t value);
const struct op *mem_load_bytes_slow(struct cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes,
                                     unsigned access, void *buffer);
const struct op *mem_store_bytes_slow(struct cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes,
                                      unsigned access, const void *buffer);

/*
 * For code that is not a hot handler (exception delivery, descriptor tables, task switch, far transfers, XSAVE).
 * bytes: 1..4096. False: cpu->fault is filled and nothing was accessed; the caller's handler ends with FAULT_PENDING. A
 * row whose handler writes through these has the attribute `ends`.
 */
bool mem_probe(struct cpu *cpu, uint64_t linear, unsigned bytes, unsigned access);
bool mem_read(struct cpu *cpu, uint64_t linear, unsigned bytes, unsigned access, void *buffer);
bool mem_write(struct cpu *cpu, uint64_t linear, unsigned bytes, unsigned access, const void *buffer);
/*
 * What is checked before any translation, for an operand that is accessed in parts: that its first and its last byte
 * are canonical, and between the two its alignment as `bytes` (0: none asked for). False: cpu->fault is filled.
 */
bool mem_check(struct cpu *cpu, uint64_t first, uint64_t last, unsigned bytes, unsigned access);
/* Little-endian integer of 1..8 bytes. */
bool mem_read_uint(struct cpu *cpu, uint64_t linear, unsigned bytes, unsigned access, uint64_t *value);
bool mem_write_uint(struct cpu *cpu, uint64_t linear, unsigned bytes, unsigned access, uint64_t value);

/*
 * The linear address of op's memory operand outside of flat 64-bit addressing: address size, segment limit, type and
 * null checks (SDM vol. 3A, 5.3-5.4). False: cpu->fault holds #GP(0) or #SS(0).
 */
bool segment_linear(struct cpu *cpu, const struct op *op, unsigned bytes, unsigned access, uint64_t *linear);
/* The same for an offset in a segment of any mode, 64-bit included (string instructions, stack, moffs). */
bool segment_address(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned bytes, unsigned access, uint64_t *linear);

/*
 * Pushes and pops through SS with the stack's width (16, 32 or 64 by mode), for handlers outside of the hot 64-bit
 * forms. stack_read/stack_write take the offset from the current rSP and do not move it; stack_moved gives rSP moved by
 * delta bytes, for the handler to assign (stack_set) when nothing can fault any more.
 */
bool stack_read(struct cpu *cpu, int64_t offset, unsigned bytes, uint64_t *value);
bool stack_write(struct cpu *cpu, int64_t offset, unsigned bytes, uint64_t value);
uint64_t stack_moved(const struct cpu *cpu, int64_t delta);
void stack_set(struct cpu *cpu, uint64_t rsp); /* writes SP, ESP or RSP */

/* Makes a fault value. */
static inline struct fault fault_make(enum vector vector, bool has_error, uint32_t error)
{
    return (struct fault){ .vector = (uint8_t)vector, .has_error = has_error, .error = error };
}
/* Fills cpu->fault and returns false: `return fault_raise(cpu, VEC_GP, true, 0);` */
static inline bool fault_raise(struct cpu *cpu, enum vector vector, bool has_error, uint32_t error)
{
    cpu->fault = fault_make(vector, has_error, error);
    return false;
}

/* --- translation (mmu.c) --- */

/* Everything a walk depends on; the walker never reads the vCPU's CR3 itself. */
struct paging {
    uint64_t root; /* CR3 bits 51:12 (PAE: unused, see pdpte) */
    const uint64_t *pdpte;
    uint64_t cr0, cr4, efer;
    uint32_t pkru;
    bool user;             /* the access has CPL 3 rights */
    bool smap_override;    /* RFLAGS.AC set on an explicit supervisor access */
    uint8_t physical_bits; /* MAXPHYADDR of the model */
};
struct translation {
    uint64_t physical;   /* of the address itself */
    uint64_t page_bytes; /* 4096, 2 MiB, 4 MiB, 1 GiB */
    bool user, writable, executable, dirty;
    bool global;
};
/*
 * Walks the tables for one linear address, sets accessed (and for a write dirty) bits through the RAM door, and marks
 * the table pages as watched. False: *error holds the #PF error code.
 */
bool mmu_translate(struct cpu *cpu, const struct paging *paging, uint64_t linear, unsigned access,
                   struct translation *out, uint32_t *error);

/* The paging context of the vCPU as it stands, for an access of this kind. */
struct paging mmu_context(const struct cpu *cpu, unsigned access);

/* Looks an address up without setting any bit, for debuggers and tests. False if not mapped. */
bool mmu_peek(struct cpu *cpu, uint64_t linear, uint64_t *physical);

/* MOV CR3, CR0, CR4 and EFER changes call these. INVLPG and INVPCID ask for nothing: a coherent TLB holds nothing
 * stale.
 */
void tlb_flush(struct cpu *cpu);  /* everything derived, every root */
void tlb_select(struct cpu *cpu); /* after CR3, CPL, AC, CR0, CR4, EFER or PKRU changed: pick the array that fits */

/* Loads the four PAE PDPTEs from CR3; false: reserved bits set, #GP(0) in cpu->fault, nothing changed. */
bool mmu_load_pdptes(struct cpu *cpu, uint64_t cr3);

#endif
