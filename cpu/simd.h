/*
 * SSE floating point and MXCSR (SDM vol. 1, 10.2.3 and 11.5).
 *
 * Arithmetic has two paths with the same results and flags. On an x86 host the host's own instruction does it, with the
 * guest's rounding mode, DAZ and FTZ in the host's MXCSR while the engine runs; exceptions are masked there and their
 * flags stay sticky in the host's register until they are pulled. Everywhere else, with --fp soft, and while the guest
 * has an exception unmasked, cpu/softfp.h does it.
 */
#ifndef CPU_SIMD_H
#define CPU_SIMD_H

#include "cpu/cpu.h"
#include "cpu/softfp.h"

#define MXCSR_FLAGS   0x003Fu
#define MXCSR_DAZ     0x0040u
#define MXCSR_MASKS   0x1F80u
#define MXCSR_RC      0x6000u
#define MXCSR_FTZ     0x8000u
#define MXCSR_MASK    0xFFFFu /* bits that may be set; as FXSAVE reports it */
#define MXCSR_DEFAULT 0x1F80u

/*
 * Puts the guest's MXCSR into the host's, and back with the flags that came up. The engine calls them at its entry and
 * at each of its exits; between the two, cpu->mxcsr may lack flags. Both do nothing to the host with cpu->fp_soft.
 */
void simd_engine_enter(struct cpu *cpu);
void simd_engine_leave(struct cpu *cpu);

/* Brings cpu->mxcsr up to date, for those who read it while the engine runs (STMXCSR, FXSAVE, XSAVE). */
void simd_sync_mxcsr(struct cpu *cpu);
/* Replaces MXCSR while the engine runs (LDMXCSR, FXRSTOR, XRSTOR). The caller has refused bits outside MXCSR_MASK. */
void simd_load_mxcsr(struct cpu *cpu, uint32_t mxcsr);

/* What softfp needs to know, from MXCSR. */
struct fp_context simd_fp_begin(const struct cpu *cpu);
/*
 * Accounts the flags of an instruction (SDM vol. 1, 11.5.1-11.5.2). False: one of them is unmasked, the instruction
 * must leave its destination alone, and cpu->fault holds #XM, or #UD without CR4.OSXMMEXCPT.
 */
bool simd_fp_end(struct cpu *cpu, const struct fp_context *context);

/*
 * RCPPS and RSQRTPS. Processors differ here; this is our definition, within the manual's bound of 1.5 * 2^-12: the
 * exact value rounded to nearest (RCP) or cut off (RSQRT) behind the 15th binary digit. Denormal operands count as
 * zeros, tiny results become zeros, no flag is raised, and MXCSR has no influence.
 */
uint32_t simd_rcp(uint32_t bits);
uint32_t simd_rsqrt(uint32_t bits);

#endif
