/*
 * One x86-64 vCPU: its architectural state, and the verbs of the engine that runs it.
 *
 * Names are the manual's (Intel SDM vol. 1 chapter 3, vol. 3A chapter 2). The first part of the struct is state and
 * stands in the field table (cpu.c); `struct engine` at its end is cache and may be dropped at any instruction
 * boundary.
 */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include "devices/board.h"
#include "devices/lapic.h"

/* General registers in encoding order. Handlers address the array by byte offset, so AH is byte 1. */
enum gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
/* Two more slots make every address a sum of two registers: the RIP of the running block's start, and zero. */
#define GPR_RIP   16
#define GPR_ZERO  17
#define GPR_SLOTS 18

enum segment_name { ES, CS, SS, DS, FS, GS, SEG_FLAT /* base 0, for "no segment" */, SEGMENT_SLOTS };

/* Hidden part and selector. attributes: bits 3:0 type, 4 S, 6:5 DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G, 16 unusable
 * (null). */
struct segment {
    uint64_t base;
    uint32_t limit; /* in bytes, scaled by G already: the last valid offset (expand-down: see SDM 3.4.5) */
    uint32_t attributes;
    uint16_t selector;
    uint16_t reserved[3];
};
#define SEG_TYPE(a)          ((a) & 15u)
#define SEG_S                (1u << 4)
#define SEG_DPL(a)           (((a) >> 5) & 3u)
#define SEG_P                (1u << 7)
#define SEG_AVL              (1u << 12)
#define SEG_L                (1u << 13)
#define SEG_DB               (1u << 14)
#define SEG_G                (1u << 15)
#define SEG_UNUSABLE         (1u << 16)
#define SEG_TYPE_CODE        8u
#define SEG_TYPE_CONFORMING  4u /* code */
#define SEG_TYPE_EXPAND_DOWN 4u /* data */
#define SEG_TYPE_WRITABLE    2u /* data */
#define SEG_TYPE_READABLE    2u /* code */
#define SEG_TYPE_ACCESSED    1u

struct table_register { /* GDTR, IDTR */
    uint64_t base;
    uint16_t limit;
    uint16_t reserved[3];
};

#define FLAG_CF      (1u << 0)
#define FLAG_PF      (1u << 2)
#define FLAG_AF      (1u << 4)
#define FLAG_ZF      (1u << 6)
#define FLAG_SF      (1u << 7)
#define FLAG_TF      (1u << 8)
#define FLAG_IF      (1u << 9)
#define FLAG_DF      (1u << 10)
#define FLAG_OF      (1u << 11)
#define FLAG_IOPL    (3u << 12)
#define FLAG_NT      (1u << 14)
#define FLAG_RF      (1u << 16)
#define FLAG_VM      (1u << 17)
#define FLAG_AC      (1u << 18)
#define FLAG_VIF     (1u << 19)
#define FLAG_VIP     (1u << 20)
#define FLAG_ID      (1u << 21)
#define FLAGS_STATUS (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)
#define FLAGS_FIXED  (1u << 1)

#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_NW (1u << 29)
#define CR0_CD (1u << 30)
#define CR0_PG (1u << 31)

#define CR4_VME        (1u << 0)
#define CR4_PVI        (1u << 1)
#define CR4_TSD        (1u << 2)
#define CR4_DE         (1u << 3)
#define CR4_PSE        (1u << 4)
#define CR4_PAE        (1u << 5)
#define CR4_MCE        (1u << 6)
#define CR4_PGE        (1u << 7)
#define CR4_PCE        (1u << 8)
#define CR4_OSFXSR     (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_UMIP       (1u << 11)
#define CR4_LA57       (1u << 12)
#define CR4_FSGSBASE   (1u << 16)
#define CR4_PCIDE      (1u << 17)
#define CR4_OSXSAVE    (1u << 18)
#define CR4_SMEP       (1u << 20)
#define CR4_SMAP       (1u << 21)
#define CR4_PKE        (1u << 22)

#define EFER_SCE (1u << 0)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define EFER_NXE (1u << 11)

enum vector {
    VEC_DE,
    VEC_DB,
    VEC_NMI,
    VEC_BP,
    VEC_OF,
    VEC_BR,
    VEC_UD,
    VEC_NM,
    VEC_DF,
    VEC_TS = 10,
    VEC_NP,
    VEC_SS,
    VEC_GP,
    VEC_PF,
    VEC_MF = 16,
    VEC_AC,
    VEC_MC,
    VEC_XM
};

/* #PF error code (SDM vol. 3A, 4.7). */
#define PF_P    (1u << 0)
#define PF_W    (1u << 1)
#define PF_U    (1u << 2)
#define PF_RSVD (1u << 3)
#define PF_I    (1u << 4)
#define PF_PK   (1u << 5)

enum activity { ACTIVE, HALTED, WAIT_FOR_SIPI, SHUTDOWN };

/* Events that hold back for exactly one instruction (SDM vol. 3A, 6.8.3). */
#define SHADOW_STI    1u
#define SHADOW_MOV_SS 2u

/* A vector register: XMM is the low 16 bytes, YMM the low 32. */
union vector_register {
    uint8_t u8[64];
    uint16_t u16[32];
    uint32_t u32[16];
    uint64_t u64[8];
    int8_t i8[64];
    int16_t i16[32];
    int32_t i32[16];
    int64_t i64[8];
};

/* x87 (SDM vol. 1, 8.1). Registers are physical: ST(i) is r[(top + i) & 7]; the MMX register i is r[i].mantissa. */
struct x87_register {
    uint64_t mantissa;
    uint16_t exponent; /* sign in bit 15 */
    uint16_t reserved[3];
};
struct x87 {
    struct x87_register r[8];
    uint64_t fip; /* FPU instruction pointer, data pointer: 64-bit offsets, or 32-bit with the selectors */
    uint64_t fdp;
    uint16_t fcs;
    uint16_t fds;
    uint16_t fop; /* 11 bits */
    uint16_t fcw;
    uint16_t fsw; /* TOP in bits 13:11 is the one place where TOP lives */
    uint8_t tags; /* abridged: bit i set = physical register i not empty */
    uint8_t reserved[5];
};

/* MSRs with plain storage, by field; cpu/msr.c knows their rules. */
struct cpu_msrs {
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, tsc_aux, tsc_adjust, misc_enable, feature_control, bios_sign_id;
    uint64_t mtrr_def_type;
    uint64_t mtrr_fixed[11];
    uint64_t mtrr_physical[16]; /* base and mask in turn */
    uint64_t mcg_status, mcg_ctl;
    uint64_t xss, pkrs;
    uint64_t spec_ctrl, debugctl;
};

struct cpu_model; /* cpu/model.h */
struct engine;    /* cpu/engine.h: TLB, block cache, chains */

/* A fault or trap on its way to delivery. */
struct fault {
    uint64_t cr2; /* for #PF, and the DR6 bits for #DB */
    uint32_t error;
    uint8_t vector;
    bool has_error;
    uint8_t reserved[2];
};

/* What led to shutdown, for people: each event, the fault its delivery met, #DF where that came of it; RIP is that of
 * the first. */
struct shutdown_cause {
    struct fault chain[8];
    uint64_t cycle, rip, rsp;
    uint16_t cs;
    uint8_t count;    /* of the chain; 0: no shutdown */
    uint8_t external; /* the first is an interrupt or NMI */
    uint8_t reserved[4];
};

/* Who decides what the manual leaves undefined (cpu/undefined.h): configuration, like the model. */
enum undefined_how { UNDEFINED_INTEL, UNDEFINED_AMD, UNDEFINED_RANDOM, UNDEFINED_RANDOM_OLD };
struct undefined_choice {
    uint64_t seed; /* of the random ones */
    uint8_t how;   /* enum undefined_how */
    uint8_t reserved[7];
};

struct cpu {
    /* --- state, hot part --- */
    uint64_t gpr[GPR_SLOTS];  /* slot GPR_RIP: see cpu_rip(); slot GPR_ZERO: always 0 */
    uint64_t segment_base[8]; /* cache: segment[i].base, the addressing form of the handlers; SEG_FLAT: 0 */
    uint64_t cycle;           /* cache while the engine runs: counter at the end of the running block */
    uint64_t deadline;        /* cache: no block may end behind it */
    /* lazy status flags (cpu/flags.h): cache over rflags, folded whenever the engine is left */
    uint64_t flag_result;
    uint64_t flag_carries;
    uint64_t rflags;
    struct tlb_entry *tlb;     /* cache: the array that fits CPL, paging mode and root (cpu/mem.h) */
    uint64_t chain_generation; /* cache: what chains and jump entries must carry to be valid */
    struct engine *engine;     /* cache, owned by the vCPU */

    /* --- state --- */
    struct segment segment[SEGMENT_SLOTS];
    struct segment ldtr, tr;
    struct table_register gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4;
    uint64_t efer;
    uint64_t xcr0;
    uint64_t dr[4], dr6, dr7;
    uint64_t pdpte[4];         /* PAE: registers, loaded with CR3 */
    uint64_t tsc_offset;       /* TSC = cycle counter + tsc_offset */
    uint64_t retired;          /* instructions; each REP iteration counts as one */
    uint64_t entropy_index[2]; /* draws of RDRAND, of RDSEED */
    struct cpu_msrs msr;
    struct x87 x87;
    union vector_register zmm[32];
    uint64_t opmask[8];
    uint32_t mxcsr;
    uint32_t pkru;
    uint8_t cpl;
    uint8_t activity; /* enum activity */
    uint8_t shadow;   /* SHADOW_ bits: in force for the next instruction */
    uint8_t nmi_blocked;
    uint8_t pending_db; /* a #DB trap is due at this boundary: DR6 bits BS (4) and B0..B3 (3:0) packed */
    uint8_t reserved_state[3];

    /* --- caches and wiring --- */
    struct fault fault; /* between the handler that raises it and its delivery */
    struct board *board;
    struct lapic *lapic;
    const struct cpu_model *model;
    uint32_t mode;       /* cpu/op.h MODE_ bits, derived from CRs, CS, RFLAGS; cpu_update_mode() */
    uint32_t id;         /* vCPU number, also its initial APIC id */
    uint32_t host_mxcsr; /* what simd_engine_leave() puts back */
    uint8_t fp_soft;     /* --fp soft: SSE arithmetic never uses the host's (cpu/simd.h) */
    uint8_t fp_soft_now; /* cache: ... or cannot now, because an exception is unmasked */
    uint8_t uncached;    /* the reference way (cpu_uncached) */
    uint8_t reserved_cache[1];
    struct undefined_choice undefined; /* set before the first cpu_run(); a change needs cpu_drop_caches() */
    struct shutdown_cause shutdown;    /* cache: only told to people */
};

extern const struct field cpu_fields[];
extern const unsigned cpu_field_count;

/* Wires a vCPU to its board and model and allocates its engine. 0 or -ENOMEM. The state is that of power-up (SDM table
 * 9-1). */
int cpu_init(struct cpu *cpu, struct board *board, struct lapic *lapic, const struct cpu_model *model, uint32_t id);
void cpu_destroy(struct cpu *cpu);
/* Power-up or INIT state (SDM vol. 3A, table 9-1). */
void cpu_reset(struct cpu *cpu, bool init);

/* Drops every cache: TLB, blocks, chains, mode. After a restore, and at random in the cache test. */
void cpu_drop_caches(struct cpu *cpu);

/* RIP at an instruction boundary. */
static inline uint64_t cpu_rip(const struct cpu *cpu)
{
    return cpu->gpr[GPR_RIP];
}

/*
 * Runs until the clock reaches stop_cycle exactly, or the board asks for a stop, or the vCPU is no longer ACTIVE, or an
 * event of the board is due. Device events are not fired here. On return the state is canonical (flags folded,
 * clock->now exact) and the boundary is one between instructions.
 */
void cpu_run(struct cpu *cpu, uint64_t stop_cycle);

/*
 * Between these two cycles the engine runs each instruction by itself, without blocks and chains. The guest cannot
 * tell; tests of the engine and hunts for its defects can. from == to: nowhere.
 */
void cpu_single_step(struct cpu *cpu, uint64_t from, uint64_t to);

/*
 * The reference way, for hunts for stale caches: every access walks the tables, every instruction is fetched and
 * decoded anew. How, not what: nothing of it is visible to the guest.
 */
void cpu_uncached(struct cpu *cpu);

/* At a boundary: takes INIT, SIPI, NMI, #DB traps or an external interrupt if one is due and admitted. True if
 * something was taken. */
bool cpu_sample_interrupts(struct cpu *cpu);

/* Recomputes mode and segment_base after segments, CRs, EFER, RFLAGS or DR7 changed. */
void cpu_update_mode(struct cpu *cpu);

#endif
