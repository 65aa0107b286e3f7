/*
 * Why a KVM vCPU stopped, in words (vcpu.h).
 */
#include "kvm/vcpu.h"

#include "cpu/insn.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

const char *vcpu_exit_name(int reason)
{
    static const char *const names[] = {
        [KVM_EXIT_UNKNOWN] = "unknown",
        [KVM_EXIT_EXCEPTION] = "exception",
        [KVM_EXIT_IO] = "port I/O",
        [KVM_EXIT_HYPERCALL] = "hypercall",
        [KVM_EXIT_DEBUG] = "debug",
        [KVM_EXIT_HLT] = "HLT",
        [KVM_EXIT_MMIO] = "MMIO",
        [KVM_EXIT_IRQ_WINDOW_OPEN] = "interrupt window",
        [KVM_EXIT_SHUTDOWN] = "shutdown",
        [KVM_EXIT_FAIL_ENTRY] = "failed entry",
        [KVM_EXIT_INTR] = "interrupted by the host",
        [KVM_EXIT_SET_TPR] = "TPR",
        [KVM_EXIT_INTERNAL_ERROR] = "internal error",
        [KVM_EXIT_SYSTEM_EVENT] = "system event",
        [KVM_EXIT_X86_RDMSR] = "RDMSR",
        [KVM_EXIT_X86_WRMSR] = "WRMSR",
    };
    if (reason < 0)
        return "KVM_RUN failed";
    return (unsigned)reason < sizeof(names) / sizeof(names[0]) && names[reason] ? names[reason] : "another exit";
}

static void print_registers(const struct kvm_regs *r, const struct kvm_sregs *s, const char *prefix, FILE *out)
{
    fprintf(out, "%srip %016llx  rflags %08llx  cs %04x  cpl %u  cr0 %08llx  cr3 %010llx  cr4 %06llx  efer %04llx\n",
            prefix, r->rip, r->rflags, s->cs.selector, s->ss.dpl, s->cr0, s->cr3, s->cr4, s->efer);
    fprintf(out, "%srax %016llx  rcx %016llx  rdx %016llx  rbx %016llx\n", prefix, r->rax, r->rcx, r->rdx, r->rbx);
    fprintf(out, "%srsp %016llx  rbp %016llx  rsi %016llx  rdi %016llx\n", prefix, r->rsp, r->rbp, r->rsi, r->rdi);
}

/* The instruction, from bytes that KVM has fetched. */
static void print_code(const uint8_t *bytes, unsigned count, const struct kvm_sregs *s, uint64_t rip,
                       const char *prefix, FILE *out)
{
    struct insn insn;
    char text[160];
    unsigned mode_bits = s->cs.l && s->efer & EFER_LMA ? 64 : s->cs.db ? 32 : 16;
    fprintf(out, "%scode", prefix);
    for (unsigned i = 0; i < count; i++)
        fprintf(out, " %02x", bytes[i]);
    if (count && decode(bytes, count, mode_bits, NULL, &insn) == DECODE_OK && insn.length <= count) {
        insn_format(&insn, rip, text, sizeof(text));
        fprintf(out, "  (%s)", text);
    }
    fputc('\n', out);
}

static void explain_internal(const struct kvm_run *run, const char *prefix, FILE *out)
{
    static const char *const suberrors[] = {
        [KVM_INTERNAL_ERROR_EMULATION] = "KVM's software emulator does not know the instruction",
        [KVM_INTERNAL_ERROR_SIMUL_EX] = "an exception came while another was delivered",
        [KVM_INTERNAL_ERROR_DELIVERY_EV] = "an event could not be delivered",
        [KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "the processor left the guest for a reason KVM does not expect",
    };
    unsigned suberror = run->internal.suberror;
    bool known = suberror < sizeof(suberrors) / sizeof(suberrors[0]) && suberrors[suberror];
    fprintf(out, "%sKVM gave up: %s (internal error %u)\n", prefix, known ? suberrors[suberror] : "for its own reasons",
            suberror);
}

static void explain_entry(const struct kvm_run *run, const char *prefix, FILE *out)
{
    fprintf(out, "%sthe processor refused to enter the guest: hardware reason %#" PRIx64 "%s\n", prefix,
            (uint64_t)run->fail_entry.hardware_entry_failure_reason,
            (run->fail_entry.hardware_entry_failure_reason & 0xFFFF) == 33 ? " (invalid guest state)" : "");
}

void vcpu_explain(struct vcpu *vcpu, int result, const char *prefix, FILE *out)
{
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    const struct kvm_run *run = vcpu->run;
    bool fatal = true;
    if (result < 0) {
        fprintf(out, "%sKVM_RUN failed: %s\n", prefix, strerror(-result));
    } else if (result == KVM_EXIT_INTERNAL_ERROR) {
        explain_internal(run, prefix, out);
    } else if (result == KVM_EXIT_FAIL_ENTRY) {
        explain_entry(run, prefix, out);
    } else if (result == KVM_EXIT_SHUTDOWN) {
        fprintf(out, "%sthe guest shut down: an exception while #DF was delivered (triple fault)\n", prefix);
    } else if (result == KVM_EXIT_INTR && vcpu->timed_out) {
        fprintf(out, "%sthe guest did not come back in time: the watchdog took it out\n", prefix);
    } else {
        fprintf(out, "%sthe guest left with exit %d: %s\n", prefix, result, vcpu_exit_name(result));
        fatal = false;
    }
    if (!fatal || ioctl(vcpu->fd, KVM_GET_REGS, &regs) || ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
        return;
    print_registers(&regs, &sregs, prefix, out);
    if (result == KVM_EXIT_INTERNAL_ERROR && run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION &&
        run->emulation_failure.ndata >= 3 &&
        run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)
        print_code(run->emulation_failure.insn_bytes,
                   run->emulation_failure.insn_size > 15 ? 15 : run->emulation_failure.insn_size, &sregs, regs.rip,
                   prefix, out);
}
