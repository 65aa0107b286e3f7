/*
 * Opening and running a KVM vCPU (vcpu.h; Documentation/virt/kvm/api.rst of the Linux kernel has the ioctls).
 */
#include "kvm/vcpu.h"

#include "cpu/model.h"
#include "kvm/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CPUID_ENTRIES_MAX        256u
#define CPUID_1_ECX_TSC_DEADLINE (1u << 24)

static bool has(const struct vcpu *vcpu, unsigned long capability)
{
    return ioctl(vcpu->system, KVM_CHECK_EXTENSION, capability) > 0;
}

static int refuse(struct vcpu *vcpu, const char **why, const char *text)
{
    int error = errno ? -errno : -ENODEV;
    *why = text;
    vcpu_close(vcpu);
    return error;
}

static void enable(struct vcpu *vcpu, uint32_t capability, uint64_t argument)
{
    struct kvm_enable_cap cap = { .cap = capability, .args = { argument } };
    ioctl(vcpu->vm, KVM_ENABLE_CAP, &cap);
}

/* Which of the optional parts of the interface this kernel has. */
static void look_around(struct vcpu *vcpu)
{
    int sync = ioctl(vcpu->system, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS);
    int xsave = ioctl(vcpu->vm, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
    vcpu->sync_regs = sync > 0 ? (uint64_t)sync : 0;
    vcpu->xsave_bytes = xsave > 4096 ? (uint32_t)xsave : 4096;
    vcpu->has_sregs2 = has(vcpu, KVM_CAP_SREGS2);
    vcpu->payload = has(vcpu, KVM_CAP_EXCEPTION_PAYLOAD);
    vcpu->user_msrs = has(vcpu, KVM_CAP_X86_USER_SPACE_MSR);
    if (vcpu->payload)
        enable(vcpu, KVM_CAP_EXCEPTION_PAYLOAD, 1);
    if (vcpu->user_msrs)
        enable(vcpu, KVM_CAP_X86_USER_SPACE_MSR,
               KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_FILTER);
    if (has(vcpu, KVM_CAP_EXIT_ON_EMULATION_FAILURE))
        enable(vcpu, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1);
}

int vcpu_open(struct vcpu *vcpu, const char **why)
{
    memset(vcpu, 0, sizeof(*vcpu));
    vcpu->vm = vcpu->fd = -1;
    errno = 0;
    vcpu->system = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (vcpu->system < 0)
        return refuse(vcpu, why,
                      errno == EACCES || errno == EPERM ? "no permission to open /dev/kvm"
                      : errno == ENOENT                 ? "there is no /dev/kvm"
                                                        : "/dev/kvm cannot be opened");
    int version = ioctl(vcpu->system, KVM_GET_API_VERSION, 0);
    if (version < 0)
        return refuse(vcpu, why, "/dev/kvm is no KVM");
    if (version != KVM_API_VERSION)
        return refuse(vcpu, why, "/dev/kvm speaks another version of the interface than 12");
    if (!xsave_layout_of_host(&vcpu->xsave, why))
        return refuse(vcpu, why, *why);
    vcpu->vm = ioctl(vcpu->system, KVM_CREATE_VM, 0);
    if (vcpu->vm < 0)
        return refuse(vcpu, why, "KVM cannot make a virtual machine");
    look_around(vcpu);
    /* pages that some processors need for real mode; out of the way of everything we map */
    ioctl(vcpu->vm, KVM_SET_TSS_ADDR, 0xFFFBD000ul);
    vcpu->fd = ioctl(vcpu->vm, KVM_CREATE_VCPU, 0ul);
    if (vcpu->fd < 0)
        return refuse(vcpu, why, "KVM cannot make a vCPU");
    int bytes = ioctl(vcpu->system, KVM_GET_VCPU_MMAP_SIZE, 0);
    vcpu->run_bytes = bytes > 0 ? (size_t)bytes : sizeof(struct kvm_run);
    void *run = mmap(NULL, vcpu->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
    if (run == MAP_FAILED)
        return refuse(vcpu, why, "the vCPU's run structure cannot be mapped");
    vcpu->run = run;
    if (watchdog_open())
        return refuse(vcpu, why, "no timer for the watchdog");
    return 0;
}

void vcpu_close(struct vcpu *vcpu)
{
    if (vcpu->run)
        munmap(vcpu->run, vcpu->run_bytes);
    vcpu->run = NULL;
    int *const fds[] = { &vcpu->fd, &vcpu->vm, &vcpu->system };
    for (unsigned i = 0; i < 3; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

int vcpu_map(struct vcpu *vcpu, unsigned slot, uint64_t physical, void *host, uint64_t bytes, uint32_t flags)
{
    struct kvm_userspace_memory_region region = { .slot = slot,
                                                  .flags = flags,
                                                  .guest_phys_addr = physical,
                                                  .memory_size = bytes,
                                                  .userspace_addr = (uintptr_t)host };
    return ioctl(vcpu->vm, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

/* --- CPUID --- */

static struct kvm_cpuid2 *cpuid_buffer(void)
{
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + CPUID_ENTRIES_MAX * sizeof(cpuid->entries[0]));
    if (cpuid)
        cpuid->nent = CPUID_ENTRIES_MAX;
    return cpuid;
}

static int set_cpuid(struct vcpu *vcpu, struct kvm_cpuid2 *cpuid)
{
    int error = ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) ? -errno : 0;
    free(cpuid);
    return error;
}

int vcpu_cpuid_of_host(struct vcpu *vcpu)
{
    struct kvm_cpuid2 *cpuid = cpuid_buffer();
    if (!cpuid)
        return -ENOMEM;
    if (ioctl(vcpu->system, KVM_GET_SUPPORTED_CPUID, cpuid)) {
        free(cpuid);
        return -errno;
    }
    return set_cpuid(vcpu, cpuid);
}

static void add_leaf(struct kvm_cpuid2 *cpuid, const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, bool indexed)
{
    uint32_t out[4];
    if (cpuid->nent == CPUID_ENTRIES_MAX)
        return;
    cpu_cpuid(cpu, leaf, subleaf, out);
    cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2){ .function = leaf,
                                                               .index = subleaf,
                                                               .flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
                                                               .eax = out[0],
                                                               .ebx = out[1],
                                                               .ecx = out[2],
                                                               .edx = out[3] };
}

uint32_t vcpu_set_tsc_khz(struct vcpu *vcpu, uint32_t khz)
{
    if (has(vcpu, KVM_CAP_TSC_CONTROL) && !ioctl(vcpu->fd, KVM_SET_TSC_KHZ, (unsigned long)khz))
        return khz;
    int now = ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0);
    return now > 0 ? (uint32_t)now : 0;
}

/* The model's leaves say that the counter runs at the clock's rate; here it does not. */
static void set_tsc_rate(struct kvm_cpuid2 *cpuid, uint32_t khz)
{
    for (uint32_t i = 0; i < cpuid->nent; i++) {
        struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
        if (entry->function == 1) {
            entry->ecx &= ~CPUID_1_ECX_TSC_DEADLINE;
        } else if (entry->function == 0x15) { /* counter / crystal = EBX / EAX */
            entry->eax = khz ? LAPIC_CRYSTAL_HZ / 1000 : 0;
            entry->ebx = khz;
        } else if (entry->function == 0x16) { /* MHz */
            entry->eax = entry->ebx = khz / 1000;
        }
    }
}

int vcpu_cpuid_of_model(struct vcpu *vcpu, const struct cpu *cpu, uint32_t tsc_khz)
{
    struct kvm_cpuid2 *cpuid = cpuid_buffer();
    uint32_t out[4];
    if (!cpuid)
        return -ENOMEM;
    cpuid->nent = 0;
    cpu_cpuid(cpu, 0, 0, out);
    for (uint32_t leaf = 0; leaf <= out[0]; leaf++) {
        bool indexed = leaf == 4 || leaf == 7 || leaf == 0xB || leaf == 0xD;
        unsigned subleaves = leaf == 0xD ? 10 : leaf == 7 ? 2 : leaf == 4 ? 5 : leaf == 0xB ? 3 : 1;
        for (unsigned subleaf = 0; subleaf < subleaves; subleaf++)
            add_leaf(cpuid, cpu, leaf, subleaf, indexed);
    }
    cpu_cpuid(cpu, 0x80000000, 0, out);
    for (uint32_t leaf = 0x80000000; leaf <= out[0]; leaf++)
        add_leaf(cpuid, cpu, leaf, 0, false);
    if (tsc_khz != CLOCK_HZ / 1000)
        set_tsc_rate(cpuid, tsc_khz);
    return set_cpuid(vcpu, cpuid);
}

/* --- running --- */

int vcpu_run(struct vcpu *vcpu, uint64_t limit_ns)
{
    watchdog_arm(vcpu->run, limit_ns);
    int error = ioctl(vcpu->fd, KVM_RUN, 0) ? -errno : 0;
    vcpu->timed_out = watchdog_disarm(vcpu->run);
    if (error == -EINTR || error == -EAGAIN)
        return KVM_EXIT_INTR;
    return error ? error : (int)vcpu->run->exit_reason;
}

int vcpu_single_step(struct vcpu *vcpu, bool on)
{
    struct kvm_guest_debug debug = { .control = on ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP : 0 };
    return ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug) ? -errno : 0;
}
