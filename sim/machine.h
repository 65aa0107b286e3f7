/*
 * The machine put together: which chips there are, where they stand, which line goes where. Only this file's module and
 * the loaders know all of it.
 *
 * The order in which parts join the board is part of the machine model: it is the order of events at equal cycles and
 * that of the state hash.
 */
#ifndef SIM_MACHINE_H
#define SIM_MACHINE_H

#include "cpu/cpu.h"
#include "cpu/model.h"

#define MACHINE_CPUS_MAX    1u
#define MACHINE_RAM_MIN     (2ull << 20)
#define MACHINE_RAM_MAX     (1ull << 36)
#define MACHINE_RTC_DEFAULT 1735689600ull   /* 2025-01-01 00:00:00 UTC */
#define MACHINE_RTC_MAX     253402300799ull /* 9999-12-31 23:59:59 UTC */

struct machine_config {
    uint64_t ram_bytes; /* a multiple of 4096, MACHINE_RAM_MIN..MACHINE_RAM_MAX */
    const struct cpu_model *cpu_model;
    uint64_t seed;
    uint64_t rtc_start_seconds;        /* the RTC's date at cycle 0, since 1970-01-01 00:00:00 */
    struct undefined_choice undefined; /* what becomes of what the manual leaves undefined */
    bool soft_fp;                      /* how, not what: never in a log */
    bool profile;                      /* likewise */
};

/* The host's end of the console. */
struct machine_console {
    void (*put)(void *context, uint8_t byte); /* must not call back into the chips */
    void *context;
};

struct machine;

enum machine_stop {
    MACHINE_STOPPED, /* the clock stands at stop_cycle, or behind it where no instruction ends there */
    MACHINE_HALTED,  /* every vCPU is halted and nothing is due now */
    MACHINE_REQUEST, /* board->request says what */
    MACHINE_FAILED,  /* KVM cannot go on with the guest (machine_explain) */
};

/*
 * Builds the machine in its power-up state, with the clock at start_cycle. boot: 0, or how many power cycles this run
 * has seen; later boots have entropy of their own. 0 or a negative errno.
 */
int machine_create(struct machine **machine, const struct machine_config *config, const struct machine_console *console,
                   uint64_t start_cycle, uint64_t boot);
void machine_destroy(struct machine *machine);

/*
 * From now on the guest runs on KVM (kvm/backend.h): call it once, when the guest is loaded. The clock follows the
 * host's, and no instructions are counted. 0; or a negative errno and a text for people in *why.
 */
int machine_use_kvm(struct machine *machine, const char **why);
/* After MACHINE_FAILED: why, and what to do; lines begin with `prefix`. */
void machine_explain(const struct machine *machine, const char *prefix, FILE *out);

struct board *machine_board(struct machine *machine);
/* The vCPU that the loaders set up. */
struct cpu *machine_boot_cpu(struct machine *machine);
/* Physical address of the RSDP of the ACPI tables in RAM. */
uint64_t machine_rsdp(const struct machine *machine);
uint64_t machine_now(const struct machine *machine);
/* Instructions retired since the machine was created. */
uint64_t machine_retired(const struct machine *machine);
/* The same as a measure of how busy the guest is; on KVM, which counts none, cycles spent in the guest. */
uint64_t machine_busy(const struct machine *machine);

/*
 * Runs up to stop_cycle. On return it stands at a boundary: events due have fired, and (but for MACHINE_HALTED, where
 * it found nothing) interrupts have not been sampled. Where and why it returns is invisible to the guest.
 */
enum machine_stop machine_run(struct machine *machine, uint64_t stop_cycle);

/* Runs each instruction by itself between these cycles (cpu_single_step). How, not what: never in a log. */
void machine_single_step(struct machine *machine, uint64_t from, uint64_t to);

/* After MACHINE_HALTED: true if a halted vCPU could be woken by an interrupt at all. */
bool machine_can_wake(const struct machine *machine);

/* After MACHINE_HALTED: the cycle of the next event of the board, CLOCK_NEVER if there is none. */
uint64_t machine_next_event(const struct machine *machine);

/* After MACHINE_HALTED: moves the clock to a later cycle, not behind machine_next_event(), and fires the events due
 * there. */
void machine_skip(struct machine *machine, uint64_t cycle);

/* A byte arrives at the first serial port; false: it has no room, nothing happened. */
bool machine_console_input(struct machine *machine, uint8_t byte);

#endif
