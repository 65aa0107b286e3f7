/*
 * Which rows of the instruction table do guests execute? Boots each image that is named, runs it instruction by
 * instruction, and decodes what stands at RIP before each step.
 *
 *   isa_coverage GUEST...
 *
 * Prints one line a row, with tabs between: implemented (1 or 0), handler, the row as isa.def has it, and the numbers
 * of the guests that execute it (0 the first named), with spaces. A row counts as executed when its instruction went
 * through: one that only ever faulted does not, unless it can do nothing else. Exit status: 0; 1 if a guest did not end
 * by debug-exit code 0; 2 on errors. tests/coverage_test.py judges the lines.
 */
#include "cpu/insn.h"
#include "cpu/mem.h"
#include "sim/image.h"
#include "sim/load.h"
#include "sim/machine.h"
#include "tests/unit/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 20000000u

static bool executed[ISA_ROW_COUNT]; /* by the guest that runs */

static void drop_byte(void *context, uint8_t byte)
{
    (void)context;
    (void)byte;
}

static unsigned code_bits(const struct cpu *cpu)
{
    if ((cpu->efer & EFER_LMA) && (cpu->segment[CS].attributes & SEG_L))
        return 64;
    return cpu->segment[CS].attributes & SEG_DB ? 32 : 16;
}

/* Up to 15 bytes of code at RIP, fewer where the next page is not mapped. Sets no accessed bit. */
static unsigned fetch(struct cpu *cpu, uint8_t bytes[INSN_BYTES_MAX])
{
    bool wide = code_bits(cpu) == 64;
    uint64_t start = cpu_rip(cpu) + (wide ? 0 : cpu->segment[CS].base);
    unsigned count = 0;
    while (count < INSN_BYTES_MAX) {
        uint64_t physical, linear = wide ? start + count : (uint32_t)(start + count);
        unsigned part = (unsigned)(RAM_PAGE_BYTES - linear % RAM_PAGE_BYTES);
        if (part > INSN_BYTES_MAX - count)
            part = INSN_BYTES_MAX - count;
        if (!mmu_peek(cpu, linear, &physical) || !ram_read(&cpu->board->ram, physical, &bytes[count], part))
            break;
        count += part;
    }
    return count;
}

/* The row of the instruction at RIP, or NULL. */
static const struct isa_row *row_at(struct cpu *cpu)
{
    uint8_t bytes[INSN_BYTES_MAX];
    struct insn insn;
    unsigned count = fetch(cpu, bytes);
    if (!count || decode(bytes, count, code_bits(cpu), cpu->model->features, &insn) != DECODE_OK)
        return NULL;
    return insn.row;
}

/* UD0, UD1, UD2, RSM outside of SMM; RDPMC without counters. */
static bool always_faults(const struct isa_row *row)
{
    return !strcmp(row->handler_name, "ud") || !strcmp(row->handler_name, "rdpmc");
}

/* Runs until the guest ends. True: by debug-exit code 0. */
static bool run(struct machine *machine)
{
    struct cpu *cpu = machine_boot_cpu(machine);
    struct board *board = machine_board(machine);
    for (unsigned step = 0; step < STEPS_MAX; step++) {
        const struct isa_row *row = row_at(cpu);
        uint64_t retired = machine_retired(machine);
        switch (machine_run(machine, machine_now(machine) + 1)) {
        case MACHINE_STOPPED:
            break;
        case MACHINE_HALTED:
            if (machine_next_event(machine) == CLOCK_NEVER)
                return false;
            machine_skip(machine, machine_next_event(machine));
            break;
        case MACHINE_REQUEST:
            if (row && board->request == BOARD_DEBUG_EXIT)
                executed[row - isa_rows] = true;
            return board->request == BOARD_DEBUG_EXIT && board->request_code == 0;
        case MACHINE_FAILED: /* of KVM only */
            return false;
        }
        if (row && (machine_retired(machine) > retired || always_faults(row)))
            executed[row - isa_rows] = true;
    }
    return false;
}

/* The model with the most instructions. */
static const struct cpu_model *largest_model(void)
{
    unsigned last = 0;
    while (cpu_models()[last + 1])
        last++;
    return cpu_models()[last];
}

static int cover(const char *path)
{
    char error[IMAGE_ERROR_BYTES];
    struct image_file file;
    struct machine *machine;
    struct machine_config config = {
        .ram_bytes = 64u << 20, .cpu_model = largest_model(), .seed = 1, .rtc_start_seconds = MACHINE_RTC_DEFAULT
    };
    struct machine_console console = { drop_byte, NULL };
    if (image_read(&file, "kernel", path, error)) {
        fprintf(stderr, "isa_coverage: %s\n", error);
        return 2;
    }
    if (machine_create(&machine, &config, &console, 0, 0)) {
        image_free(&file);
        return 2;
    }
    struct load_request request = { .kernel = file.image, .rsdp = machine_rsdp(machine) };
    int status = 2;
    if (load_kernel(machine_board(machine), machine_boot_cpu(machine), &request, error))
        fprintf(stderr, "isa_coverage: %s\n", error);
    else
        status = run(machine) ? 0 : 1;
    if (status == 1)
        fprintf(stderr, "isa_coverage: %s failed\n", path);
    machine_destroy(machine);
    image_free(&file);
    return status;
}

int main(int argc, char **argv)
{
    int worst = 0, guests = argc - 1;
    bool *by_guest = calloc((size_t)guests * ISA_ROW_COUNT + 1, 1);
    if (!by_guest)
        return 2;
    for (int i = 0; i < guests; i++) {
        memset(executed, 0, sizeof executed);
        int status = cover(argv[i + 1]);
        worst = status > worst ? status : worst;
        memcpy(by_guest + (size_t)i * ISA_ROW_COUNT, executed, sizeof executed);
    }
    for (unsigned i = 0; i < ISA_ROW_COUNT; i++) {
        const struct isa_row *row = &isa_rows[i];
        printf("%d\t%s\t", !(row->attributes & ISA_UNIMPLEMENTED), row->handler_name);
        row_print(stdout, row);
        putchar('\t');
        for (int guest = 0; guest < guests; guest++) {
            if (by_guest[(size_t)guest * ISA_ROW_COUNT + i])
                printf("%d ", guest);
        }
        putchar('\n');
    }
    free(by_guest);
    return worst;
}
