/*
 * Fuzz target "board": a guest's driver gone mad. Every chip, by port, MMIO and MSR, with interrupts and console input.
 *
 * Input: bytes 0-7: the seed of where runs are interrupted and when bytes are typed; byte 8: bit 0: interrupts are
 * enabled at the start, bits 7:1 the CPU model; byte 9: how many bytes are typed at the console (modulo 32); these
 * bytes; then operations, each a byte and its operands (bits 2:0 say which, bits 4:3 how wide, multi-byte values are
 * little-endian, what is missing is 0):
 *   0 IN port(2)   1 OUT port(2) value(width)   2 read MMIO range(1) offset(2)   3 write MMIO range(1) offset(2)
 *   value(width)   4 RDMSR number(1)   5 WRMSR number(1) value(8)   6 STI, HLT   7 spin count(1), bit 3: first CLI
 * A port that no chip has becomes one that a chip has, unless bit 7 of the operation is set; ranges go round.
 *
 * The operations become a program in 32-bit protected mode, which adds all it reads to EBX; behind the last it halts
 * with interrupts enabled, over and over. Interrupts are acknowledged at the local APIC and both 8259s.
 *
 * Policy: every byte string is admitted. The three ways of ways.h agree (one moves the machine to another one by its
 * state alone). A guest may power off, reset, or stop the machine for ever; it may not crash, hang or trip an
 * assertion.
 */
#include "fuzz/fuzz.h"
#include "fuzz/ways.h"

#include <string.h>

#define CYCLES_MAX      400000000u /* where little happens; the first way ends before, by its rounds */
#define TYPED_MAX       32u
#define OPERATION_BYTES 24u /* of code, at most */
#define TAIL_BYTES      4u

struct reader {
    const uint8_t *at, *end;
};

static uint64_t take(struct reader *reader, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes && reader->at < reader->end; i++)
        value |= (uint64_t)*reader->at++ << 8 * i;
    return value;
}

struct program {
    uint8_t code[GUEST_CODE_MAX];
    unsigned bytes;
};

static void emit(struct program *program, const char *code, unsigned bytes)
{
    memcpy(program->code + program->bytes, code, bytes);
    program->bytes += bytes;
}

static void emit_value(struct program *program, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        program->code[program->bytes++] = (uint8_t)(value >> 8 * i);
}

/* MOV r32, imm32 by its opcode. */
static void emit_move(struct program *program, char opcode, uint64_t value)
{
    emit(program, &opcode, 1);
    emit_value(program, value, 4);
}

/* What was read counts: ROL EBX, 1; ADD EBX, EAX. */
static void emit_use(struct program *program)
{
    emit(program, "\xD1\xC3\x01\xC3", 4);
}

/* The board's ranges, from a machine of the same kind as that of the ways. */
static const struct bus *board_bus(void)
{
    static struct bench bench; /* is never run */

    if (!bench.machine)
        bench_init(&bench, WAYS_RAM_BYTES, "x86-64-v2");
    return &bench.board->bus;
}

static bool is_claimed(const struct bus_space *space, uint64_t address)
{
    for (unsigned i = 0; i < space->count; i++)
        if (address - space->ranges[i].base < space->ranges[i].length)
            return true;
    return false;
}

static uint32_t port_number(uint64_t port, bool any)
{
    const struct bus_space *ports = &board_bus()->ports;
    const struct bus_range *range = &ports->ranges[port % ports->count];

    return (uint32_t)(any || is_claimed(ports, port) ? port : range->base + (port >> 8) % range->length);
}

static uint32_t mmio_address(uint64_t number, uint64_t offset)
{
    const struct bus_space *mmio = &board_bus()->mmio;
    const struct bus_range *range = &mmio->ranges[number % mmio->count];

    return (uint32_t)(range->base + offset % range->length);
}

/* The x2APIC's registers, and a few others that the board or time depends on. */
static uint32_t msr_number(uint64_t number)
{
    static const uint32_t others[] = { 0x10, 0x1B, 0x3B, 0x6E0 };

    return (uint32_t)(number < 64 ? 0x800 + number : others[number % 4]);
}

static void emit_operation(struct program *program, struct reader *reader)
{
    static const char *const in[] = { "\xEC", "\x66\xED", "\xED", "\xED" };
    static const char *const out[] = { "\xEE", "\x66\xEF", "\xEF", "\xEF" };
    static const char *const load[] = { "\x8A\x02", "\x66\x8B\x02", "\x8B\x02", "\x0F\x6F\x02" };
    static const char *const store[] = { "\x88\x02", "\x66\x89\x02", "\x89\x02", "\x0F\x7F\x02" };
    unsigned operation = (unsigned)take(reader, 1), width = operation >> 3 & 3, bytes = width < 2 ? 1u << width : 4;
    uint64_t first, second;

    switch (operation & 7) {
    case 0:
    case 1:
        emit_move(program, '\xBA', port_number(take(reader, 2), operation & 0x80));
        if (operation & 1)
            emit_move(program, '\xB8', take(reader, bytes));
        const char *transfer = operation & 1 ? out[width] : in[width];
        emit(program, transfer, (unsigned)strlen(transfer));
        break;
    case 2:
    case 3:
        first = take(reader, 1);
        second = take(reader, 2);
        emit_move(program, '\xBA', mmio_address(first, second));
        if (operation & 1)
            emit_move(program, '\xB8', take(reader, bytes));
        const char *access = operation & 1 ? store[width] : load[width]; /* the widest is MOVQ with MM0 */
        emit(program, access, (unsigned)strlen(access));
        break;
    case 4:
    case 5:
        emit_move(program, '\xB9', msr_number(take(reader, 1)));
        if (operation & 1) {
            emit_move(program, '\xB8', take(reader, 4));
            emit_move(program, '\xBA', take(reader, 4));
        }
        emit(program, operation & 1 ? "\x0F\x30" : "\x0F\x32", 2);
        break;
    case 6:
        emit(program, "\xFB\xF4", 2);
        break;
    default:
        if (operation & 8)
            emit(program, "\xFA", 1);
        emit_move(program, '\xB9', 1 + take(reader, 1));
        emit(program, "\xE2\xFE", 2);
        break;
    }
    if (!(operation & 1))
        emit_use(program);
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct reader reader = { data, data + size };
    struct program program = { .bytes = 0 };
    struct guest guest = { .mode = GUEST_PROTECTED32, .cycles = CYCLES_MAX, .acknowledges = true };

    guest.seed = take(&reader, 8);
    unsigned flags = (unsigned)take(&reader, 1);
    guest.flags = flags & 1 ? 2 : 0; /* IF */
    guest.model = (uint8_t)(flags >> 1);
    guest.typed_bytes = (unsigned)take(&reader, 1) % TYPED_MAX;
    if ((size_t)(reader.end - reader.at) < guest.typed_bytes)
        guest.typed_bytes = (unsigned)(reader.end - reader.at);
    guest.typed = reader.at;
    reader.at += guest.typed_bytes;
    while (reader.at < reader.end && program.bytes + OPERATION_BYTES + TAIL_BYTES <= sizeof(program.code))
        emit_operation(&program, &reader);
    emit(&program, "\xFB\xF4\xEB\xFC", TAIL_BYTES); /* sti; hlt; jmp to the sti */
    guest.code = program.code;
    guest.code_bytes = program.bytes;
    ways_check(&guest);
    return 0;
}
