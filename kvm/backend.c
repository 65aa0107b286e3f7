/*
 * The vCPU's engine on /dev/kvm (backend.h): entering the guest, serving its exits, and time.
 *
 * MSRs are ours but for those that instructions use or that KVM must know (vcpu_filter_msrs): the others exit, and
 * cpu/msr.c answers. A write of ours that KVM has a place for is passed on.
 */
#include "kvm/backend.h"

#include "cpu/model.h"
#include "kvm/host.h"
#include "kvm/vcpu.h"
#include "kvm/vcpu_ram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define MSR_TSC        0x10u
#define MSR_TSC_ADJUST 0x3Bu

struct backend {
    struct cpu *cpu;
    struct vcpu vcpu;
    uint64_t *written;    /* bitmap over RAM pages, scratch */
    uint64_t base_cycles; /* the clock at started_ns */
    uint64_t started_ns;  /* of the host's clock */
    uint64_t busy_cycles;
    int exit;    /* of the last entry; when it gave up, why */
    bool loaded; /* KVM holds the vCPU's state */
    bool gave_up;
    const char *what; /* an ioctl's part that failed: then exit is its error */
};

/* --- time --- */

static uint64_t host_time_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The clock catches up with the host's, which a jump of an idle clock may have overtaken by a little; a cycle is a
 * nanosecond. */
static void follow_host(struct backend *backend)
{
    struct clock *clock = &backend->cpu->board->clock;
    uint64_t now = backend->base_cycles + (host_time_ns() - backend->started_ns);
    if (now > clock->now_cycles)
        clock->now_cycles = now;
    clock_fire_due(clock);
}

static void put_tsc(struct backend *backend)
{
    vcpu_put_msr(&backend->vcpu, MSR_TSC, cpu_tsc(backend->cpu));
}

/* --- opening --- */

static int open_parts(struct backend *backend, const char **why)
{
    struct vcpu *vcpu = &backend->vcpu;
    struct ram *ram = &backend->cpu->board->ram;
    int error = vcpu_open(vcpu, why);
    if (error)
        return error;
    *why = "KVM does not take the machine's RAM";
    error = vcpu_ram_map(vcpu, 0, 0, ram->bytes, ram->size_bytes);
    if (error)
        return error;
    *why = "KVM does not take the model's CPUID";
    error = vcpu_cpuid_of_model(vcpu, backend->cpu, vcpu_set_tsc_khz(vcpu, CLOCK_HZ / 1000));
    if (error)
        return error;
    vcpu_filter_msrs(vcpu);
    *why = "no memory";
    backend->written = calloc(ram->size_bytes / RAM_PAGE_BYTES / 64 + 1, sizeof(*backend->written));
    return backend->written ? 0 : -ENOMEM;
}

int backend_open(struct backend **out, struct cpu *cpu, const char **why)
{
    struct backend *backend = calloc(1, sizeof(*backend));
    *why = "no memory";
    if (!backend)
        return -ENOMEM;
    backend->cpu = cpu;
    backend->vcpu.system = backend->vcpu.vm = backend->vcpu.fd = -1;
    backend->base_cycles = cpu->board->clock.now_cycles;
    backend->started_ns = host_time_ns();
    int error = open_parts(backend, why);
    if (error)
        backend_close(backend);
    else
        *out = backend;
    return error;
}

void backend_close(struct backend *backend)
{
    if (!backend)
        return;
    vcpu_close(&backend->vcpu);
    free(backend->written);
    free(backend);
}

/* --- state --- */

static bool give_up(struct backend *backend, int exit, const char *what)
{
    backend->gave_up = true;
    backend->exit = exit;
    backend->what = what;
    return false;
}

static bool load(struct backend *backend)
{
    const char *what = NULL;
    int error = vcpu_load(&backend->vcpu, backend->cpu, &what);
    if (error)
        return give_up(backend, error, what);
    put_tsc(backend);
    backend->loaded = true;
    return true;
}

/* The guest wrote these pages behind the back of RAM's door; nobody of ours holds anything derived from them. */
static void note_written(struct backend *backend)
{
    struct ram *ram = &backend->cpu->board->ram;
    uint64_t pages = ram->size_bytes / RAM_PAGE_BYTES;
    memset(backend->written, 0, (pages / 64 + 1) * sizeof(*backend->written));
    vcpu_ram_written(&backend->vcpu, 0, ram->size_bytes, backend->written);
    for (uint64_t word = 0; word <= pages / 64; word++)
        for (uint64_t bits = backend->written[word]; bits; bits &= bits - 1)
            ram_writable_page(ram, word * 64 + (unsigned)__builtin_ctzll(bits));
}

/* --- exits --- */

static void serve_port(struct backend *backend)
{
    struct bus *bus = &backend->cpu->board->bus;
    const struct kvm_run *run = backend->vcpu.run;
    char *data = (char *)backend->vcpu.run + run->io.data_offset;
    unsigned bytes = run->io.size;
    for (unsigned i = 0; i < run->io.count; i++, data += bytes) {
        uint64_t value = 0;
        if (run->io.direction == KVM_EXIT_IO_OUT) {
            memcpy(&value, data, bytes);
            bus_port_write(bus, run->io.port, bytes, value);
        } else {
            value = bus_port_read(bus, run->io.port, bytes);
            memcpy(data, &value, bytes);
        }
    }
}

/* An access that KVM has cut at a page's end may have any length: it goes on in powers of two. */
static void serve_mmio(struct backend *backend)
{
    struct bus *bus = &backend->cpu->board->bus;
    struct kvm_run *run = backend->vcpu.run;
    unsigned bytes;
    for (unsigned at = 0; at < run->mmio.len && at < sizeof(run->mmio.data); at += bytes) {
        uint64_t value = 0;
        unsigned left = run->mmio.len - at;
        bytes = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
        if (run->mmio.is_write) {
            memcpy(&value, run->mmio.data + at, bytes);
            bus_mmio_write(bus, run->mmio.phys_addr + at, bytes, value);
        } else {
            value = bus_mmio_read(bus, run->mmio.phys_addr + at, bytes);
            memcpy(run->mmio.data + at, &value, bytes);
        }
    }
}

static void serve_rdmsr(struct backend *backend)
{
    struct kvm_run *run = backend->vcpu.run;
    uint64_t value = 0;
    run->msr.error = !cpu_read_msr(backend->cpu, run->msr.index, &value);
    run->msr.data = value;
}

static void serve_wrmsr(struct backend *backend)
{
    struct kvm_run *run = backend->vcpu.run;
    run->msr.error = !cpu_write_msr(backend->cpu, run->msr.index, run->msr.data);
    if (run->msr.error)
        return;
    if (run->msr.index == MSR_TSC || run->msr.index == MSR_TSC_ADJUST)
        put_tsc(backend);
    else
        vcpu_put_msr(&backend->vcpu, run->msr.index, run->msr.data);
}

/* Does what the guest left for. False: nobody can. */
static bool serve(struct backend *backend, int exit)
{
    struct cpu *cpu = backend->cpu;
    switch (exit) {
    case KVM_EXIT_IO:
        serve_port(backend);
        return true;
    case KVM_EXIT_MMIO:
        serve_mmio(backend);
        return true;
    case KVM_EXIT_X86_RDMSR:
        serve_rdmsr(backend);
        return true;
    case KVM_EXIT_X86_WRMSR:
        serve_wrmsr(backend);
        return true;
    case KVM_EXIT_HLT:
        cpu->activity = HALTED;
        return true;
    case KVM_EXIT_SHUTDOWN:
        cpu->activity = SHUTDOWN;
        board_request_stop(cpu->board, BOARD_TRIPLE_FAULT, 0);
        return true;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_SET_TPR: /* CR8 travels with every exit */
        return true;
    default:
        return give_up(backend, exit, NULL);
    }
}

/* --- running --- */

void backend_take_interrupts(struct backend *backend)
{
    struct cpu *cpu = backend->cpu;
    struct kvm_run *run = backend->vcpu.run;
    if (lapic_take_init(cpu->lapic)) {
        backend_sync(backend);
        cpu_reset(cpu, true);
        backend->loaded = false;
    }
    if (cpu->activity == WAIT_FOR_SIPI || cpu->activity == SHUTDOWN)
        return;
    if (lapic_take_nmi(cpu->lapic)) {
        ioctl(backend->vcpu.fd, KVM_NMI);
        cpu->activity = ACTIVE;
    }
    bool pending = lapic_interrupt_pending(cpu->lapic);
    if (pending && run->ready_for_interrupt_injection && run->if_flag) {
        struct kvm_interrupt interrupt = { .irq = lapic_acknowledge(cpu->lapic) };
        ioctl(backend->vcpu.fd, KVM_INTERRUPT, &interrupt);
        run->ready_for_interrupt_injection = 0;
        cpu->activity = ACTIVE;
        pending = lapic_interrupt_pending(cpu->lapic);
    }
    run->request_interrupt_window = pending;
}

/* What every exit brings along. */
static void take_exit(struct backend *backend)
{
    struct cpu *cpu = backend->cpu;
    const struct kvm_run *run = backend->vcpu.run;
    cpu->rflags = (cpu->rflags & ~(uint64_t)FLAG_IF) | (run->if_flag ? FLAG_IF : 0);
    lapic_set_cr8(cpu->lapic, (uint8_t)run->cr8);
}

static int enter(struct backend *backend, uint64_t limit_ns)
{
    struct vcpu *vcpu = &backend->vcpu;
    vcpu->run->cr8 = lapic_cr8(backend->cpu->lapic);
    uint64_t before = host_time_ns();
    backend->exit = vcpu_run(vcpu, limit_ns);
    backend->busy_cycles += host_time_ns() - before;
    if (backend->exit >= 0)
        take_exit(backend);
    return backend->exit;
}

bool backend_run(struct backend *backend, uint64_t stop_cycle)
{
    struct clock *clock = &backend->cpu->board->clock;
    if (backend->gave_up || (!backend->loaded && !load(backend)))
        return false;
    uint64_t until = clock->next_cycles < stop_cycle ? clock->next_cycles : stop_cycle;
    int exit = enter(backend, until > clock->now_cycles ? until - clock->now_cycles : 0);
    follow_host(backend);
    return serve(backend, exit);
}

/* An exit's instruction is only complete once KVM is entered again: entered to leave at once. */
static bool complete(struct backend *backend)
{
    for (int exit; (exit = enter(backend, 0)) != KVM_EXIT_INTR;)
        if (!serve(backend, exit))
            return false;
    return true;
}

bool backend_sync(struct backend *backend)
{
    struct cpu *cpu = backend->cpu;
    const char *what = NULL;
    if (!backend->loaded)
        return !backend->gave_up;
    bool halted = cpu->activity == HALTED || cpu->activity == SHUTDOWN;
    bool completed = backend->gave_up || halted || complete(backend);
    int error = vcpu_store(&backend->vcpu, cpu, &what);
    note_written(backend);
    cpu_update_mode(cpu);
    if (error)
        return give_up(backend, error, what);
    return completed && !backend->gave_up;
}

uint64_t backend_busy_cycles(const struct backend *backend)
{
    return backend->busy_cycles;
}

/* --- explanation --- */

void backend_explain(struct backend *backend, const char *prefix, FILE *out)
{
    struct host_kvm host;
    if (backend->what)
        fprintf(out, "%sKVM does not move the vCPU's %s: %s\n", prefix, backend->what, strerror(-backend->exit));
    else
        vcpu_explain(&backend->vcpu, backend->exit, prefix, out);
    host_look(&host);
    if (host.kind == HOST_PVM)
        fprintf(
            out,
            "%sThe KVM of this host is page-table-based (sim host): all but 64-bit user code runs in a software\n"
            "%semulator of its kernel, which knows only part of the instructions. The interpreter runs this guest:\n"
            "%sleave out --backend kvm, or use a host whose KVM is VMX or SVM.\n",
            prefix, prefix, prefix);
    else
        fprintf(out, "%sThe interpreter may run this guest: leave out --backend kvm.\n", prefix);
}
