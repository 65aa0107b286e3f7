/*
 * Guests of the proof of copy and patch.
 */
#include "tests/stencil/guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(void *context, uint8_t byte)
{
    struct guest *guest = context;
    guest->console = (guest->console ^ byte) * 0x100000001B3ull;
}

static void give_up(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

void guest_create(struct guest *guest, const struct load_request *request, uint64_t ram_bytes, const char *model)
{
    *guest = (struct guest){ 0 };
    struct machine_config config = { .ram_bytes = ram_bytes,
                                     .cpu_model = cpu_model_find(model),
                                     .seed = 1,
                                     .rtc_start_seconds = MACHINE_RTC_DEFAULT,
                                     .soft_fp = true };
    struct machine_console console = { put, guest };
    if (!config.cpu_model || machine_create(&guest->machine, &config, &console, 0, 0))
        give_up(model, "no machine");
    struct load_request load = *request;
    load.rsdp = machine_rsdp(guest->machine);
    char error[LOAD_ERROR_BYTES];
    if (load_kernel(machine_board(guest->machine), machine_boot_cpu(guest->machine), &load, error))
        give_up("load", error);
}

void guest_destroy(struct guest *guest)
{
    machine_destroy(guest->machine);
    guest->machine = NULL;
}

void guest_run(struct guest *guest, uint64_t stop_cycle)
{
    struct machine *machine = guest->machine;
    while (!guest->ended && machine_now(machine) < stop_cycle) {
        enum machine_stop stop = machine_run(machine, stop_cycle);
        if (stop == MACHINE_REQUEST) {
            guest->ended = true;
        } else if (stop == MACHINE_HALTED) {
            uint64_t next = machine_next_event(machine);
            if (next == CLOCK_NEVER || !machine_can_wake(machine))
                guest->ended = true;
            else
                machine_skip(machine, next < stop_cycle ? next : stop_cycle);
        }
    }
}

struct image guest_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END))
        give_up(path, "cannot be opened");
    long size = ftell(file);
    uint8_t *bytes = malloc(size > 0 ? (size_t)size : 1);
    rewind(file);
    if (size < 0 || !bytes || fread(bytes, 1, (size_t)size, file) != (size_t)size)
        give_up(path, "cannot be read");
    fclose(file);
    return (struct image){ .path = path, .bytes = bytes, .size_bytes = (size_t)size };
}
