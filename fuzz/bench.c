/*
 * A machine that goes back to its power-up state (bench.h).
 */
#include "fuzz/bench.h"
#include "fuzz/fuzz.h"

#include "cpu/flags.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void put(void *context, uint8_t byte)
{
    struct bench *bench = context;

    bench->printed = (bench->printed ^ byte) * 0x100000001B3ull;
}

void bench_init(struct bench *bench, uint64_t ram_bytes, const char *model)
{
    struct machine_config config = {
        .ram_bytes = ram_bytes, .cpu_model = cpu_model_find(model), .seed = 1, .rtc_start_seconds = MACHINE_RTC_DEFAULT
    };
    struct machine_console console = { put, bench };

    if (machine_create(&bench->machine, &config, &console, 0, 0))
        fuzz_finding("no memory for the machine");
    bench->board = machine_board(bench->machine);
    bench->cpu = machine_boot_cpu(bench->machine);
    for (unsigned i = 0; i < bench->board->part_count; i++)
        bench->base_bytes += part_canonical_bytes(&bench->board->parts[i]);
    bench->base = malloc(bench->base_bytes);
    bench->ram = malloc(ram_bytes);
    if (!bench->base || !bench->ram)
        fuzz_finding("no memory for the snapshot");
    bench_save(bench, bench->base);
    memcpy(bench->ram, bench->board->ram.bytes, ram_bytes);
    bench->epoch = ram_next_epoch(&bench->board->ram);
}

void bench_load(struct bench *bench, const uint8_t *from)
{
    struct board *board = bench->board;

    for (unsigned i = 0; i < board->part_count; i++) {
        part_load(&board->parts[i], from);
        from += part_canonical_bytes(&board->parts[i]);
    }
    clock_rebuild(&board->clock);
}

void bench_reset(struct bench *bench)
{
    struct board *board = bench->board;

    bench_load(bench, bench->base);
    board->request = BOARD_RUN;
    board->request_code = 0;
    board->attention = false;
    bench->printed = 0;
    for (uint64_t page = 0; page < board->ram.size_bytes / RAM_PAGE_BYTES; page++) {
        if (!bench_dirty(bench, page))
            continue;
        memcpy(board->ram.bytes + page * RAM_PAGE_BYTES, bench->ram + page * RAM_PAGE_BYTES, RAM_PAGE_BYTES);
        board->ram.written_epoch[page] = bench->epoch;
    }
}

void bench_ready(struct bench *bench)
{
    cpu_drop_caches(bench->cpu);
}

void bench_save(const struct bench *bench, uint8_t *out)
{
    for (unsigned i = 0; i < bench->board->part_count; i++) {
        part_save(&bench->board->parts[i], out);
        out += part_canonical_bytes(&bench->board->parts[i]);
    }
}

void bench_move(struct bench *to, const struct bench *from)
{
    uint8_t *parts = malloc(from->base_bytes);

    if (!parts)
        fuzz_finding("no memory");
    bench_save(from, parts);
    bench_reset(to);
    bench_load(to, parts);
    for (uint64_t page = 0; page < from->board->ram.size_bytes / RAM_PAGE_BYTES; page++)
        if (bench_dirty(from, page))
            ram_write(&to->board->ram, page * RAM_PAGE_BYTES, from->board->ram.bytes + page * RAM_PAGE_BYTES,
                      RAM_PAGE_BYTES);
    to->printed = from->printed;
    bench_ready(to);
    free(parts);
}

void bench_print_differences(const struct bench *bench, const uint8_t *a, const uint8_t *b)
{
    for (unsigned p = 0; p < bench->board->part_count; p++) {
        const struct part *part = &bench->board->parts[p];
        for (unsigned f = 0; f < part->field_count; f++) {
            const struct field *field = &part->fields[f];
            for (unsigned i = 0; field->kind == FIELD_STATE && i < field->count;
                 i++, a += field->bytes, b += field->bytes) {
                if (!memcmp(a, b, field->bytes))
                    continue;
                fprintf(stderr, "  %s.%s[%u]:", part->name, field->name, i);
                for (unsigned byte = field->bytes; byte-- > 0;)
                    fprintf(stderr, "%02x", a[byte]);
                fprintf(stderr, " /");
                for (unsigned byte = field->bytes; byte-- > 0;)
                    fprintf(stderr, "%02x", b[byte]);
                fputc('\n', stderr);
            }
        }
    }
}
