/*
 * Looking at the host's KVM (host.h): a small guest runs a few instructions a probe, and how it exits is the answer.
 *
 * Every exception's handler is an OUT to PORT_TRAP with the vector in AL, so that a probe ends whatever happens.
 */
#include "kvm/host.h"

#include "cpu/debug.h"
#include "kvm/small_guest.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#define LIMIT_NS  50000000ull
#define PORT_DONE 0x55u
#define PORT_TRAP 0x56u
#define CODE      0x400000ull /* linear, for CPL 0 and CPL 3 alike */
#define DATA      0x500000ull

static const unsigned long capability_numbers[HOST_CAPABILITIES] = {
    KVM_CAP_USER_MEMORY,
    KVM_CAP_SET_GUEST_DEBUG,
    KVM_CAP_SET_GUEST_DEBUG2,
    KVM_CAP_VCPU_EVENTS,
    KVM_CAP_DEBUGREGS,
    KVM_CAP_XSAVE2,
    KVM_CAP_XCRS,
    KVM_CAP_SREGS2,
    KVM_CAP_IMMEDIATE_EXIT,
    KVM_CAP_SYNC_REGS,
    KVM_CAP_X86_USER_SPACE_MSR,
    KVM_CAP_X86_MSR_FILTER,
    KVM_CAP_EXCEPTION_PAYLOAD,
    KVM_CAP_TSC_CONTROL,
    KVM_CAP_DIRTY_LOG_RING,
    KVM_CAP_EXIT_ON_EMULATION_FAILURE,
};

/* --- one probe --- */

struct prober {
    struct small_guest guest;
    uint64_t code; /* physical */
};

enum { RFLAGS_PLAIN = FLAGS_FIXED };

/* Runs code at a CPL until it exits. Returns the port it has written, or -1 if it ended in another way. */
static int run_probe(struct prober *prober, unsigned cpl, const void *code, unsigned bytes, uint64_t rflags,
                     const struct kvm_sregs *sregs, struct kvm_regs *regs)
{
    struct vcpu *vcpu = &prober->guest.vcpu;
    struct kvm_vcpu_events events;
    memset(&events, 0, sizeof(events));
    memset(small_guest_at(&prober->guest, prober->code), 0xCC, 256);
    memcpy(small_guest_at(&prober->guest, prober->code), code, bytes);
    *regs =
        (struct kvm_regs){ .rip = CODE, .rsp = (cpl ? DATA : SMALL_GUEST_KERNEL + 0xF000) + 0xF00, .rflags = rflags };
    if (ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events) || ioctl(vcpu->fd, KVM_SET_SREGS, sregs) ||
        ioctl(vcpu->fd, KVM_SET_REGS, regs))
        return -1;
    int exit = vcpu_run(vcpu, LIMIT_NS);
    ioctl(vcpu->fd, KVM_GET_REGS, regs);
    if (exit == KVM_EXIT_DEBUG)
        return -2;
    return exit == KVM_EXIT_IO ? vcpu->run->io.port : -1;
}

static bool reaches(struct prober *prober, unsigned cpl, const void *code, unsigned bytes, uint64_t rflags,
                    struct kvm_regs *regs)
{
    struct kvm_sregs sregs;
    small_guest_sregs(&prober->guest, cpl, &sregs);
    return run_probe(prober, cpl, code, bytes, rflags, &sregs, regs) == (int)PORT_DONE;
}

/* Ends in the handler of a vector. */
static bool traps(struct prober *prober, unsigned cpl, const void *code, unsigned bytes, uint64_t rflags,
                  const struct kvm_sregs *sregs, unsigned vector)
{
    struct kvm_regs regs;
    return run_probe(prober, cpl, code, bytes, rflags, sregs, &regs) == (int)PORT_TRAP && (regs.rax & 0xFF) == vector;
}

static const uint8_t code_addps[] = { 0x0F, 0x58, 0xC1, 0xE6, PORT_DONE }; /* addps xmm0, xmm1; out */
/* mov rax, rsp; inc rax; paddd xmm0, [rax]: misaligned, and unknown to the emulator */
static const uint8_t code_gp[] = { 0x48, 0x89, 0xE0, 0x48, 0xFF, 0xC0, 0x66, 0x0F, 0xFE, 0x00, 0xE6, PORT_DONE };
static const uint8_t code_out[] = { 0xE6, PORT_DONE };                                             /* out 55h, al */
static const uint8_t code_nop[] = { 0x90, 0x90, 0xE6, PORT_DONE };                                 /* nop; nop; out */
static const uint8_t code_lzcnt[] = { 0xB8, 1, 0, 0, 0, 0xF3, 0x0F, 0xBD, 0xC0, 0xE6, PORT_DONE }; /* lzcnt eax, eax */
static const uint8_t code_cpuid[] = { 0x31, 0xC9, 0x0F, 0xA2, 0xE6, PORT_DONE }; /* xor ecx, ecx; cpuid; out */
static const uint8_t code_syscall[] = { 0x0F, 0x05 };
static const uint8_t code_read_cs[] = { 0x8C, 0xC8, 0xE6, PORT_DONE }; /* mov eax, cs; out */

static bool probe_syscall(struct prober *prober)
{
    struct kvm_sregs sregs;
    struct kvm_regs regs;
    struct {
        uint32_t nmsrs, pad; /* struct kvm_msrs */
        struct kvm_msr_entry entries[3];
    } msrs = { .nmsrs = 3,
               .entries = { { .index = 0xC0000081, .data = 0x0023001000000000 },
                            { .index = 0xC0000082, .data = CODE + 128 },
                            { .index = 0xC0000084, .data = 0 } } };
    uint8_t code[128 + sizeof(code_read_cs)];
    memset(code, 0xCC, sizeof(code));
    memcpy(code, code_syscall, sizeof(code_syscall));
    memcpy(code + 128, code_read_cs, sizeof(code_read_cs));
    ioctl(prober->guest.vcpu.fd, KVM_SET_MSRS, &msrs);
    small_guest_sregs(&prober->guest, 3, &sregs);
    sregs.cr4 &= ~(uint64_t)CR4_SMEP; /* LSTAR points into a user page here */
    return run_probe(prober, 3, code, sizeof(code), RFLAGS_PLAIN, &sregs, &regs) == (int)PORT_DONE &&
           (regs.rax & 3) == 0;
}

/* A leaf that no processor has, with an answer that none gives. */
static bool probe_cpuid(struct prober *prober)
{
    struct {
        uint32_t nent, padding; /* struct kvm_cpuid2 */
        struct kvm_cpuid_entry2 entries[1];
    } cpuid = { .nent = 1, .entries = { { .function = 0, .eax = 0x0BADCAFE } } };
    struct kvm_regs regs;
    ioctl(prober->guest.vcpu.fd, KVM_SET_CPUID2, &cpuid);
    return reaches(prober, 3, code_cpuid, sizeof(code_cpuid), RFLAGS_PLAIN, &regs) && (uint32_t)regs.rbx == 0;
}

static bool probe_legacy_paging(struct prober *prober)
{
    struct kvm_sregs sregs;
    small_guest_sregs(&prober->guest, 0, &sregs);
    sregs.efer = sregs.cr4 = 0;
    sregs.gdt.base = sregs.idt.base = sregs.tr.base = 0;
    sregs.cs.l = 0;
    sregs.cs.db = 1;
    return !ioctl(prober->guest.vcpu.fd, KVM_SET_SREGS, &sregs) &&
           !ioctl(prober->guest.vcpu.fd, KVM_GET_SREGS, &sregs) && sregs.cr0 & CR0_PG;
}

static bool probe_step(struct prober *prober, unsigned cpl)
{
    struct kvm_sregs sregs;
    struct kvm_regs regs;
    small_guest_sregs(&prober->guest, cpl, &sregs);
    vcpu_single_step(&prober->guest.vcpu, true);
    int end = run_probe(prober, cpl, code_nop, sizeof(code_nop), RFLAGS_PLAIN, &sregs, &regs);
    vcpu_single_step(&prober->guest.vcpu, false);
    return end == -2 && regs.rip == CODE + 1;
}

static bool probe_interrupt(struct prober *prober)
{
    struct kvm_interrupt interrupt = { .irq = 0x21 };
    struct kvm_sregs sregs;
    struct vcpu *vcpu = &prober->guest.vcpu;
    if (ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt))
        return false;
    small_guest_sregs(&prober->guest, 3, &sregs);
    /* the events that run_probe() clears are not the interrupts: KVM_SET_VCPU_EVENTS would drop this one */
    struct kvm_regs regs = { .rip = CODE, .rsp = DATA + 0xF00, .rflags = RFLAGS_PLAIN | FLAG_IF };
    memset(small_guest_at(&prober->guest, prober->code), 0x90, 64);
    memcpy((uint8_t *)small_guest_at(&prober->guest, prober->code) + 64, code_out, sizeof(code_out));
    ioctl(vcpu->fd, KVM_SET_SREGS, &sregs);
    ioctl(vcpu->fd, KVM_SET_REGS, &regs);
    if (ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt) && errno != EEXIST)
        return false;
    int exit = vcpu_run(vcpu, LIMIT_NS);
    ioctl(vcpu->fd, KVM_GET_REGS, &regs);
    return exit == KVM_EXIT_IO && vcpu->run->io.port == PORT_TRAP && (regs.rax & 0xFF) == 0x21;
}

static bool build_prober(struct prober *prober)
{
    struct small_guest *guest = &prober->guest;
    uint64_t handlers = small_guest_take(guest, 1);
    uint64_t data = small_guest_take(guest, 1);
    prober->code = small_guest_take(guest, 1);
    uint8_t *at = small_guest_at(guest, handlers);
    for (unsigned vector = 0; vector < 64; vector++) {
        /* mov al, vector; out PORT_TRAP, al */
        memcpy(at + 8 * vector, (const uint8_t[]){ 0xB0, (uint8_t)vector, 0xE6, PORT_TRAP }, 4);
        small_guest_gate(guest, vector, SMALL_GUEST_KERNEL + handlers + 8 * vector, vector == VEC_BP ? 3 : 0);
    }
    small_guest_stack(guest, SMALL_GUEST_KERNEL + 0xF800);
    return small_guest_map(guest, CODE, prober->code, SMALL_GUEST_USER | SMALL_GUEST_WRITE) &&
           small_guest_map(guest, DATA, data, SMALL_GUEST_USER | SMALL_GUEST_WRITE);
}

static void probe(struct prober *prober, struct host_kvm *host)
{
    bool *is = host->probes;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    is[HOST_CPL0_NATIVE] = reaches(prober, 0, code_addps, sizeof(code_addps), RFLAGS_PLAIN, &regs);
    is[HOST_CPL0_LZCNT] =
        reaches(prober, 0, code_lzcnt, sizeof(code_lzcnt), RFLAGS_PLAIN, &regs) && (uint32_t)regs.rax == 31;
    is[HOST_CPL3_IOPL] = reaches(prober, 3, code_out, sizeof(code_out), RFLAGS_PLAIN | FLAG_IOPL, &regs);
    small_guest_allow_ports(&prober->guest, PORT_DONE, 1);
    is[HOST_CPL3_BITMAP] = reaches(prober, 3, code_out, sizeof(code_out), RFLAGS_PLAIN, &regs);
    is[HOST_CPL3_NATIVE] = reaches(prober, 3, code_addps, sizeof(code_addps), RFLAGS_PLAIN, &regs);
    is[HOST_CPL0_STEP] = probe_step(prober, 0);
    is[HOST_CPL3_STEP] = probe_step(prober, 3);
    small_guest_sregs(&prober->guest, 3, &sregs);
    is[HOST_CPL3_TF] = traps(prober, 3, code_nop, sizeof(code_nop), RFLAGS_PLAIN | FLAG_TF, &sregs, VEC_DB);
    is[HOST_CPL3_GP] = traps(prober, 3, code_gp, sizeof(code_gp), RFLAGS_PLAIN, &sregs, VEC_GP);
    sregs.cr0 |= CR0_TS;
    is[HOST_CPL3_TS] = traps(prober, 3, code_addps, sizeof(code_addps), RFLAGS_PLAIN, &sregs, VEC_NM);
    is[HOST_SYSCALL_CPL0] = probe_syscall(prober);
    is[HOST_INTERRUPTS] = probe_interrupt(prober);
    is[HOST_LEGACY_PAGING] = probe_legacy_paging(prober);
    is[HOST_CPL3_CPUID] = probe_cpuid(prober); /* last: it spoils the guest's CPUID */
}

void host_look(struct host_kvm *host)
{
    struct prober prober;
    memset(host, 0, sizeof(*host));
    host->error = small_guest_open(&prober.guest, 1u << 20, &host->why_not);
    if (host->error)
        return;
    host->api = ioctl(prober.guest.vcpu.system, KVM_GET_API_VERSION, 0);
    for (unsigned i = 0; i < HOST_CAPABILITIES; i++) {
        int value = ioctl(prober.guest.vcpu.vm, KVM_CHECK_EXTENSION, capability_numbers[i]);
        host->capabilities[i] = value > 0 ? value : 0;
    }
    if (!build_prober(&prober)) {
        host->error = -ENOMEM;
        host->why_not = "no memory";
    } else {
        probe(&prober, host);
        const bool *is = host->probes;
        host->kind = is[HOST_CPL0_NATIVE] && is[HOST_CPL3_NATIVE] ? HOST_HARDWARE
                     : is[HOST_CPL3_NATIVE]                       ? HOST_PVM
                                                                  : HOST_OTHER;
    }
    small_guest_close(&prober.guest);
}
