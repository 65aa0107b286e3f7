/*
 * The machine put together (machine.h): chips, lines, and the loop that shares time between events and vCPUs.
 */
#include "sim/machine.h"

#include "cpu/profile.h"

#include "cpu/isa.h"
#include "devices/acpi_pm.h"
#include "devices/i8042.h"
#include "devices/ioapic.h"
#include "devices/lapic_state.h"
#include "devices/misc_ports.h"
#include "devices/pci_host.h"
#include "devices/pic8259.h"
#include "devices/pit8254.h"
#include "devices/rtc146818.h"
#include "devices/uart16550.h"
#include "kvm/backend.h"
#include "sim/acpi.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COM1_PORT 0x3F8u

/* ISA interrupt lines. */
enum { IRQ_TIMER = 0, IRQ_KEYBOARD = 1, IRQ_COM1 = 4, IRQ_RTC = 8, IRQ_SCI = 9, IRQ_MOUSE = 12 };

struct machine {
    struct board board;
    struct apic_bus apic_bus;
    struct pic pic;
    struct pit pit;
    struct ioapic ioapic;
    struct lapic lapics[MACHINE_CPUS_MAX];
    struct rtc146818 rtc;
    struct uart16550 uart;
    struct i8042 i8042;
    struct acpi_pm pm;
    struct pci_host pci;
    struct misc_ports misc;
    struct cpu *cpus; /* owned */
    unsigned cpu_count;
    struct backend *kvm; /* owned; NULL: the interpreter runs the vCPU */
    uint64_t rsdp;
    struct machine_console console;
};

/* --- wiring --- */

/* An ISA line goes to both interrupt controllers; the timer's is input 2 of the I/O APIC (the MADT says so). */
static void set_isa_line(void *context, unsigned line, bool level)
{
    struct machine *machine = context;
    pic_set_line(&machine->pic, line, level);
    ioapic_set_line(&machine->ioapic, line == IRQ_TIMER ? 2 : line, level);
}

static struct wire isa_line(struct machine *machine, unsigned line)
{
    return (struct wire){ set_isa_line, machine, line };
}

static void set_gate2(void *context, unsigned line, bool level)
{
    (void)line;
    pit_set_gate2(context, level);
}

static bool get_out2(void *context)
{
    return pit_out2(context);
}

static uint8_t acknowledge_pic(void *context)
{
    return pic_acknowledge(context);
}

static bool model_has_x2apic(const struct cpu_model *model)
{
    return model->features[ISA_FEATURE_X2APIC / 64] >> (ISA_FEATURE_X2APIC % 64) & 1;
}

/* Where the machine stands, for failed assertions. */
static void describe(void *context, FILE *out)
{
    const struct machine *machine = context;
    for (unsigned i = 0; i < machine->cpu_count; i++)
        fprintf(out, "sim: cpu%u at RIP %016" PRIx64 ", %" PRIu64 " instructions\n", i, cpu_rip(&machine->cpus[i]),
                machine->cpus[i].retired);
}

/* The order is that of events at equal cycles and of the state hash: part of the machine model. */
static void attach_chips(struct machine *machine, const struct machine_config *config)
{
    struct board *board = &machine->board;
    static const char *const lapic_names[] = { "lapic0" };
    _Static_assert(sizeof(lapic_names) / sizeof(lapic_names[0]) == MACHINE_CPUS_MAX, "a name for each local APIC");

    machine->apic_bus.extint_acknowledge = acknowledge_pic;
    machine->apic_bus.extint_context = &machine->pic;
    pic_attach(board, &machine->pic, (struct wire){ apic_bus_set_lint, &machine->apic_bus, 0 });
    ioapic_attach(board, &machine->apic_bus, &machine->ioapic, IOAPIC_DEFAULT_BASE, 0);
    for (unsigned i = 0; i < machine->cpu_count; i++)
        lapic_attach(board, &machine->apic_bus, &machine->lapics[i], lapic_names[i], i, i == 0,
                     model_has_x2apic(config->cpu_model));
    pit_attach(board, &machine->pit, isa_line(machine, IRQ_TIMER));
    rtc146818_attach(board, &machine->rtc, config->rtc_start_seconds, isa_line(machine, IRQ_RTC));
    uart16550_attach(board, &machine->uart, "uart0", COM1_PORT, isa_line(machine, IRQ_COM1), machine->console.put,
                     machine->console.context);
    i8042_attach(board, &machine->i8042, isa_line(machine, IRQ_KEYBOARD), isa_line(machine, IRQ_MOUSE));
    acpi_pm_attach(board, &machine->pm, isa_line(machine, IRQ_SCI));
    pci_host_attach(board, &machine->pci);
    struct misc_ports_wiring wiring = {
        .timer_gate2 = { set_gate2, &machine->pit, 0 },
        .out2 = get_out2,
        .out2_context = &machine->pit,
        .debug_out = machine->console.put,
        .debug_out_context = machine->console.context,
    };
    misc_ports_attach(board, &machine->misc, &wiring);
}

/* What firmware would have done. */
static void set_up_firmware(struct machine *machine)
{
    struct acpi_config acpi = { .cpu_count = machine->cpu_count, .ioapic_id = machine->ioapic.id };

    for (unsigned i = 0; i < machine->cpu_count; i++)
        acpi.lapic_ids[i] = machine->lapics[i].id;
    machine->rsdp = acpi_build(&machine->board, &acpi);
    lapic_firmware_setup(&machine->lapics[0]);
    /* RAM is write-back, and fixed and variable ranges are on, as a BIOS leaves them */
    machine->cpus[0].msr.mtrr_def_type = 0xC06;
}

int machine_create(struct machine **out, const struct machine_config *config, const struct machine_console *console,
                   uint64_t start_cycle, uint64_t boot)
{
    struct machine *machine = calloc(1, sizeof(*machine));
    if (!machine)
        return -ENOMEM;
    machine->console = *console;
    machine->cpu_count = MACHINE_CPUS_MAX;
    uint64_t seed = boot ? entropy_draw(config->seed, ENTROPY_BOOT, boot) : config->seed;
    int error = board_init(&machine->board, config->ram_bytes, seed);
    if (error) {
        free(machine);
        return error;
    }
    machine->board.clock.now_cycles = start_cycle;
    machine->board.describe = describe;
    machine->board.describe_context = machine;
    attach_chips(machine, config);
    machine->cpus = calloc(machine->cpu_count, sizeof(*machine->cpus));
    error = machine->cpus ? 0 : -ENOMEM;
    for (unsigned i = 0; i < machine->cpu_count && !error; i++) {
        error = cpu_init(&machine->cpus[i], &machine->board, &machine->lapics[i], config->cpu_model, i);
        machine->cpus[i].fp_soft = config->soft_fp;
        machine->cpus[i].undefined = config->undefined;
        if (!error && config->profile)
            error = profile_begin(&machine->cpus[i]);
    }
    if (error) {
        machine_destroy(machine);
        return error;
    }
    set_up_firmware(machine);
    *out = machine;
    return 0;
}

void machine_destroy(struct machine *machine)
{
    if (!machine)
        return;
    backend_close(machine->kvm);
    for (unsigned i = 0; machine->cpus && i < machine->cpu_count; i++)
        cpu_destroy(&machine->cpus[i]);
    free(machine->cpus);
    board_destroy(&machine->board);
    free(machine);
}

struct board *machine_board(struct machine *machine)
{
    return &machine->board;
}

struct cpu *machine_boot_cpu(struct machine *machine)
{
    return &machine->cpus[0];
}

uint64_t machine_rsdp(const struct machine *machine)
{
    return machine->rsdp;
}

uint64_t machine_now(const struct machine *machine)
{
    return machine->board.clock.now_cycles;
}

uint64_t machine_retired(const struct machine *machine)
{
    uint64_t retired = 0;
    for (unsigned i = 0; i < machine->cpu_count; i++)
        retired += machine->cpus[i].retired;
    return retired;
}

uint64_t machine_busy(const struct machine *machine)
{
    return machine->kvm ? backend_busy_cycles(machine->kvm) : machine_retired(machine);
}

/* --- running --- */

int machine_use_kvm(struct machine *machine, const char **why)
{
    return backend_open(&machine->kvm, &machine->cpus[0], why);
}

void machine_explain(const struct machine *machine, const char *prefix, FILE *out)
{
    if (machine->kvm)
        backend_explain(machine->kvm, prefix, out);
}

/* machine_run() on KVM. */
static enum machine_stop run_on_kvm(struct machine *machine, uint64_t stop_cycle)
{
    struct board *board = &machine->board;
    const struct cpu *cpu = &machine->cpus[0];
    do {
        clock_fire_due(&board->clock);
        if (board->request != BOARD_RUN)
            return MACHINE_REQUEST;
        if (board->clock.now_cycles >= stop_cycle)
            return MACHINE_STOPPED;
        backend_take_interrupts(machine->kvm);
        if (cpu->activity != ACTIVE)
            return MACHINE_HALTED;
    } while (backend_run(machine->kvm, stop_cycle));
    return MACHINE_FAILED;
}

static enum machine_stop run_and_sync(struct machine *machine, uint64_t stop_cycle)
{
    enum machine_stop stop = run_on_kvm(machine, stop_cycle);
    return backend_sync(machine->kvm) ? stop : MACHINE_FAILED;
}

enum machine_stop machine_run(struct machine *machine, uint64_t stop_cycle)
{
    if (machine->kvm)
        return run_and_sync(machine, stop_cycle);
    struct board *board = &machine->board;
    struct cpu *cpu = &machine->cpus[0];
    uint64_t before = board->clock.now_cycles;
    for (;;) {
        board_assert(board, board->clock.now_cycles >= before); /* time never goes back */
        before = board->clock.now_cycles;
        clock_fire_due(&board->clock);
        if (board->request != BOARD_RUN)
            return MACHINE_REQUEST;
        if (board->clock.now_cycles >= stop_cycle)
            return MACHINE_STOPPED;
        if (cpu_sample_interrupts(cpu))
            continue; /* taking one costs a cycle */
        if (cpu->activity != ACTIVE)
            return MACHINE_HALTED;
        cpu_run(cpu, stop_cycle);
    }
}

void machine_single_step(struct machine *machine, uint64_t from, uint64_t to)
{
    for (unsigned i = 0; i < machine->cpu_count; i++)
        cpu_single_step(&machine->cpus[i], from, to);
}

bool machine_can_wake(const struct machine *machine)
{
    for (unsigned i = 0; i < machine->cpu_count; i++)
        if (machine->cpus[i].activity == HALTED && machine->cpus[i].rflags & FLAG_IF)
            return true;
    return false;
}

uint64_t machine_next_event(const struct machine *machine)
{
    return machine->board.clock.next_cycles;
}

void machine_skip(struct machine *machine, uint64_t cycle)
{
    struct clock *clock = &machine->board.clock;
    board_assert(&machine->board, cycle > clock->now_cycles && cycle <= clock->next_cycles);
    clock->now_cycles = cycle;
    clock_fire_due(clock);
}

bool machine_console_input(struct machine *machine, uint8_t byte)
{
    if (!uart_can_receive(&machine->uart))
        return false;
    uart_receive(&machine->uart, byte);
    return true;
}
