/*
 * The board: joins chips to address spaces and clock, takes requests to stop, hands out entropy.
 *
 * The first part is the clock itself. A request to stop is no state: the run ends at the boundary where it is made, so
 * no mark or snapshot that a run goes on from can see one; whoever restores a snapshot sets it to BOARD_RUN.
 */
#include "devices/board.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int board_init(struct board *board, uint64_t ram_bytes, uint64_t seed)
{
    memset(board, 0, sizeof(*board));

    int error = ram_init(&board->ram, ram_bytes);
    if (error)
        return error;
    board->seed = seed;
    bus_init(&board->bus, &board->tally);
    clock_init(&board->clock, &board->attention);

    struct chip clock = { .part = { "clock", &board->clock, sizeof(board->clock), clock_field_count, clock_fields } };
    board_attach(board, &clock);
    return 0;
}

void board_destroy(struct board *board)
{
    ram_destroy(&board->ram);
}

/* A range without a name bears its chip's, and one without a device belongs to the chip's state. */
static struct bus_range completed(const struct chip *chip, const struct bus_range *range)
{
    struct bus_range complete = *range;

    if (!complete.name)
        complete.name = chip->part.name;
    if (!complete.device)
        complete.device = chip->part.state;
    return complete;
}

void board_attach(struct board *board, const struct chip *chip)
{
    board_assert(board, board->part_count < BOARD_PARTS_MAX);
    for (unsigned i = 0; i < board->part_count; i++)
        board_assert(board, strcmp(board->parts[i].name, chip->part.name) != 0);
    board->parts[board->part_count++] = chip->part;

    for (unsigned i = 0; i < chip->port_count; i++) {
        struct bus_range range = completed(chip, &chip->ports[i]);
        board_assert(board, bus_add_ports(&board->bus, &range) == 0);
    }
    for (unsigned i = 0; i < chip->mmio_count; i++) {
        struct bus_range range = completed(chip, &chip->mmio[i]);
        board_assert(board, bus_add_mmio(&board->bus, &range) == 0);
    }
    if (chip->event.deadline_cycles)
        clock_add_event(&board->clock, &chip->event);
}

void board_request_stop(struct board *board, enum board_request request, uint32_t code)
{
    if (board->request == BOARD_RUN) {
        board->request = request;
        board->request_code = code;
    }
    board->attention = true;
}

/* A 64-bit finalizer: xor-shifts and odd multipliers, each of which can be undone, so no two inputs collide. */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xFF51AFD7ED558CCDull;
    x ^= x >> 33;
    x *= 0xC4CEB9FE1A85EC53ull;
    x ^= x >> 33;
    return x;
}

/*
 * Seed and stream choose a 64-bit key; the draw is a counter times an odd constant, whitened twice under that key. For
 * one seed and stream this is a permutation of the index: good statistics, and no secrecy, which a replayable machine
 * cannot have.
 */
uint64_t entropy_draw(uint64_t seed, uint32_t stream, uint64_t index)
{
    uint64_t key = mix(mix(seed + 0x9E3779B97F4A7C15ull) ^ (0xD1342543DE82EF95ull * (stream + 1ull)));

    return mix(mix(index * 0x9E3779B97F4A7C15ull + key) ^ (key << 32 | key >> 32));
}

_Noreturn void board_assert_failed(const struct board *board, const char *condition, const char *file, int line)
{
    fprintf(stderr, "sim: assertion failed: %s (%s:%d)\n", condition, file, line);
    if (board) {
        fprintf(stderr, "sim: at cycle %" PRIu64 ", seed %" PRIu64 "\n", board->clock.now_cycles, board->seed);
        if (board->describe)
            board->describe(board->describe_context, stderr);
    }
    abort();
}
