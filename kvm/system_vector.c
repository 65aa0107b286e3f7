/*
 * System vectors (system_vector.h): their text form, and their replay.
 *
 * The text is a block of lines as in difftest_vector.c: "system" begins it, "in" and "out" lines name fields of the
 * vCPU's table (of "in": those that are not zero; of "out": those that change), "memory" and "wrote" 16 bytes each at a
 * physical address, "steps" or "fault" how it ended, "end" ends it. Numbers are hexadecimal.
 */
#include "kvm/system_vector.h"

#include "cpu/flags.h"
#include "cpu/isa.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "kvm/cosim.h"
#include "kvm/difftest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const how_names[] = { "intel", "amd" }; /* by enum undefined_how */

/* --- lines of memory --- */

/* Where the line of an address stands, or would. */
static unsigned place_of(const struct system_lines *lines, uint64_t physical)
{
    unsigned low = 0, high = lines->count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (lines->lines[middle].physical < physical)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct system_line *system_lines_find(const struct system_lines *lines, uint64_t physical)
{
    unsigned at = place_of(lines, physical);
    return at < lines->count && lines->lines[at].physical == physical ? &lines->lines[at] : NULL;
}

int system_lines_set(struct system_lines *lines, uint64_t physical, const uint8_t bytes[SYSTEM_LINE_BYTES])
{
    unsigned at = place_of(lines, physical);
    if (at == lines->count || lines->lines[at].physical != physical) {
        if (lines->count == lines->room) {
            unsigned room = lines->room ? 2 * lines->room : 64;
            struct system_line *more = realloc(lines->lines, room * sizeof(*more));
            if (!more)
                return -ENOMEM;
            lines->lines = more;
            lines->room = room;
        }
        memmove(&lines->lines[at + 1], &lines->lines[at], (lines->count - at) * sizeof(*lines->lines));
        lines->count++;
        lines->lines[at].physical = physical;
    }
    memcpy(lines->lines[at].bytes, bytes, SYSTEM_LINE_BYTES);
    return 0;
}

void system_vector_free(struct system_vector *vector)
{
    free(vector->before.lines);
    free(vector->wrote.lines);
    vector->before = vector->wrote = (struct system_lines){ 0 };
}

/* --- fields --- */

bool system_field_counts(const struct field *field)
{
    static const char *const left_out[] = { "retired", "tsc_offset", "entropy_index" };
    for (unsigned i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
        if (strcmp(field->name, left_out[i]) == 0)
            return false;
    return field->kind == FIELD_STATE;
}

static uint64_t value_of(const struct cpu *cpu, const struct field *field, uint32_t i)
{
    uint64_t value = 0;
    memcpy(&value, (const uint8_t *)cpu + field->offset + (size_t)i * field->bytes, field->bytes);
    return value;
}

/* "cr3" or "gpr[3]" */
static void write_fields(FILE *out, const char *keyword, const struct cpu *base, const struct cpu *state)
{
    static const struct cpu zeros;
    for (unsigned i = 0; i < cpu_field_count; i++) {
        const struct field *field = &cpu_fields[i];
        for (uint32_t j = 0; system_field_counts(field) && j < field->count; j++) {
            uint64_t value = value_of(state, field, j);
            if (value == value_of(base ? base : &zeros, field, j))
                continue;
            fprintf(out, "%s %s", keyword, field->name);
            if (field->count > 1)
                fprintf(out, "[%" PRIu32 "]", j);
            fprintf(out, " %" PRIx64 "\n", value);
        }
    }
}

static bool read_field(struct cpu *state, const char *name, uint64_t value)
{
    for (unsigned i = 0; i < cpu_field_count; i++) {
        const struct field *field = &cpu_fields[i];
        size_t length = strlen(field->name);
        unsigned long index = 0;
        char *end;
        if (strncmp(name, field->name, length) != 0 || !system_field_counts(field))
            continue;
        if (field->count > 1) {
            if (name[length] != '[')
                continue;
            index = strtoul(name + length + 1, &end, 10);
            if (strcmp(end, "]") != 0)
                continue;
        } else if (name[length]) {
            continue;
        }
        if (index >= field->count || (field->bytes < 8 && value >> (8 * field->bytes)))
            return false;
        memcpy((uint8_t *)state + field->offset + index * field->bytes, &value, field->bytes);
        return true;
    }
    return false;
}

/* --- writing --- */

static void write_lines(FILE *out, const char *keyword, const struct system_lines *lines)
{
    for (unsigned i = 0; i < lines->count; i++) {
        fprintf(out, "%s %" PRIx64 " ", keyword, lines->lines[i].physical);
        for (unsigned j = 0; j < SYSTEM_LINE_BYTES; j++)
            fprintf(out, "%02x", lines->lines[i].bytes[j]);
        fputc('\n', out);
    }
}

void system_vector_write(FILE *out, const struct system_vector *vector)
{
    fprintf(out, "# %s\nsystem ", vector->text);
    for (unsigned i = 0; i < vector->length; i++)
        fprintf(out, "%02x", vector->bytes[i]);
    fprintf(out, " %s %s %" PRIx64 "\n", vector->model->name, how_names[vector->how], vector->ram_bytes);
    write_fields(out, "in", NULL, &vector->state);
    write_lines(out, "memory", &vector->before);
    fprintf(out, "steps %" PRIx64 "\n", vector->steps);
    if (vector->faults) {
        fprintf(out, "fault %x %x %" PRIx64 "\n", vector->fault.vector,
                vector->fault.has_error ? vector->fault.error : 0,
                vector->fault.vector == VEC_PF ? vector->fault.cr2 : 0);
    } else {
        write_fields(out, "out", &vector->state, &vector->after);
        write_lines(out, "wrote", &vector->wrote);
    }
    fputs("end\n", out);
}

/* --- reading --- */

static bool read_number(const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 16);
    return end != text && !*end && !errno && *text != '-';
}

static bool read_head(struct system_vector *vector, char *const word[5])
{
    unsigned count, how = 0;
    while (how < 2 && strcmp(word[3], how_names[how]) != 0)
        how++;
    vector->how = (uint8_t)how;
    vector->model = cpu_model_find(word[2]);
    vector->steps = 0;
    if (!difftest_read_hex(word[1], vector->bytes, INSN_BYTES_MAX, &count) || how == 2 || !vector->model ||
        !read_number(word[4], &vector->ram_bytes))
        return false;
    vector->length = (uint8_t)count;
    return vector->ram_bytes >= 1u << 20 && vector->ram_bytes <= SYSTEM_RAM_MAX &&
           vector->ram_bytes % RAM_PAGE_BYTES == 0;
}

static int read_memory(const struct system_vector *vector, struct system_lines *lines, const char *where,
                       const char *hex)
{
    const struct ram layout = { .size_bytes = vector->ram_bytes };
    uint8_t bytes[SYSTEM_LINE_BYTES];
    uint64_t physical;
    unsigned count;
    if (!read_number(where, &physical) || !difftest_read_hex(hex, bytes, SYSTEM_LINE_BYTES, &count) ||
        count != SYSTEM_LINE_BYTES || physical % SYSTEM_LINE_BYTES || ram_page_at(&layout, physical) == RAM_NO_PAGE)
        return -EINVAL;
    return system_lines_set(lines, physical, bytes);
}

/* One line, in its order: system, in and memory, steps, then fault or out and wrote. */
static int read_line(char *text, struct system_vector *vector)
{
    char *rest = text, *word[6] = { 0 };
    unsigned words = 0;
    uint64_t value, error;
    for (char *at; words < 6 && (at = strtok_r(rest, " \n", &rest));)
        word[words++] = at;
    bool ended = vector->steps != 0;
    if (!words || !vector->model != (strcmp(word[0], "system") == 0))
        return -EINVAL;
    if (!vector->model)
        return words == 5 && read_head(vector, word) ? 0 : -EINVAL;
    if (!ended && words == 3 && strcmp(word[0], "in") == 0)
        return read_number(word[2], &value) && read_field(&vector->state, word[1], value) ? 0 : -EINVAL;
    if (!ended && words == 3 && strcmp(word[0], "memory") == 0)
        return read_memory(vector, &vector->before, word[1], word[2]);
    if (!ended && words == 2 && strcmp(word[0], "steps") == 0) {
        vector->after = vector->state;
        return read_number(word[1], &vector->steps) && vector->steps && vector->steps <= SYSTEM_STEPS_MAX ? 0 : -EINVAL;
    }
    if (ended && words == 4 && strcmp(word[0], "fault") == 0) {
        if (!read_number(word[1], &value) || value > 31 || !read_number(word[2], &error) || error > UINT32_MAX ||
            !read_number(word[3], &vector->fault.cr2))
            return -EINVAL;
        vector->faults = true;
        vector->fault.vector = (uint8_t)value;
        vector->fault.error = (uint32_t)error;
        return 0;
    }
    if (ended && words == 3 && strcmp(word[0], "out") == 0)
        return read_number(word[2], &value) && read_field(&vector->after, word[1], value) ? 0 : -EINVAL;
    if (ended && words == 3 && strcmp(word[0], "wrote") == 0)
        return read_memory(vector, &vector->wrote, word[1], word[2]);
    return -EINVAL;
}

int system_vector_read(FILE *in, struct system_vector *vector, unsigned *line)
{
    char text[256];
    memset(vector, 0, sizeof(*vector));
    while (fgets(text, sizeof(text), in)) {
        ++*line;
        if (text[0] == '#' || text[0] == '\n')
            continue;
        if (strcmp(text, "end\n") == 0)
            return vector->steps ? 0 : -EINVAL;
        int error = read_line(text, vector);
        if (error)
            return error;
    }
    return -EINVAL;
}

/* --- the bench --- */

static void own_step(struct cpu *cpu)
{
    cpu_run(cpu, cpu->board->clock.now_cycles + 1);
}

int system_bench_open(struct system_bench *bench, const struct system_vector *vector)
{
    memset(bench, 0, sizeof(*bench));
    bench->step = own_step;
    int error = board_init(&bench->board, vector->ram_bytes, 1);
    if (error)
        return error;
    error = cpu_init(&bench->cpu, &bench->board, &bench->lapic, vector->model, 0);
    if (error)
        board_destroy(&bench->board);
    bench->cpu.undefined.how = vector->how;
    return error;
}

void system_bench_close(struct system_bench *bench)
{
    cpu_destroy(&bench->cpu);
    board_destroy(&bench->board);
}

void system_bench_load(struct system_bench *bench, const struct system_vector *vector)
{
    static const uint8_t zeros[RAM_PAGE_BYTES];
    struct ram *ram = &bench->board.ram;
    struct cpu *cpu = &bench->cpu;
    for (uint64_t page = 0; page < ram->size_bytes / RAM_PAGE_BYTES; page++)
        if (ram->written_epoch[page])
            ram_write(ram, ram_physical(ram, page), zeros, RAM_PAGE_BYTES);
    for (unsigned i = 0; i < vector->before.count; i++)
        ram_write(ram, vector->before.lines[i].physical, vector->before.lines[i].bytes, SYSTEM_LINE_BYTES);
    for (unsigned i = 0; i < cpu_field_count; i++) {
        const struct field *field = &cpu_fields[i];
        if (system_field_counts(field))
            memcpy((uint8_t *)cpu + field->offset, (const uint8_t *)&vector->state + field->offset,
                   (size_t)field->count * field->bytes);
    }
    memset(&cpu->fault, 0, sizeof(cpu->fault));
    memset(&cpu->shutdown, 0, sizeof(cpu->shutdown));
    bench->board.request = BOARD_RUN;
    flags_set_status(cpu, cpu->rflags);
    cpu_update_mode(cpu);
    cpu_drop_caches(cpu);
    bench->epoch = ram_next_epoch(ram);
}

bool system_bench_step(struct system_bench *bench)
{
    uint64_t retired = bench->cpu.retired;
    bench->step(&bench->cpu);
    return bench->cpu.retired > retired;
}

/* --- replay --- */

/* Goes the vector's steps. False: *fault was met. */
static bool run(struct system_bench *bench, const struct system_vector *vector, struct fault *fault)
{
    uint64_t done = 0;
    system_bench_load(bench, vector);
    while (done < vector->steps && system_bench_step(bench))
        done++;
    if (done == vector->steps)
        return true;
    /* Which fault came first shows when none can be delivered: the vector need not hold what delivery takes. */
    system_bench_load(bench, vector);
    for (uint64_t i = 0; i < done; i++)
        system_bench_step(bench);
    bench->cpu.idtr.limit = 0;
    system_bench_step(bench);
    *fault = bench->cpu.shutdown.count ? bench->cpu.shutdown.chain[0] : bench->cpu.fault;
    return false;
}

static int differ_fields(const struct cpu *expected, const struct cpu *cpu, uint64_t flags_ignored, FILE *text)
{
    int count = 0;
    for (unsigned i = 0; i < cpu_field_count; i++) {
        const struct field *field = &cpu_fields[i];
        uint64_t ignored = strcmp(field->name, "rflags") == 0 ? flags_ignored : 0;
        for (uint32_t j = 0; system_field_counts(field) && j < field->count; j++) {
            uint64_t want = value_of(expected, field, j), is = value_of(cpu, field, j);
            if (((want ^ is) & ~ignored) == 0)
                continue;
            count++;
            fprintf(text, "  %s[%" PRIu32 "]: %" PRIx64 ", expected %" PRIx64 "\n", field->name, j, is, want);
        }
    }
    return count;
}

/* Accessed and dirty bits of page tables are left out: a processor may keep translations. */
static bool page_differs(const struct ram *ram, uint64_t page, const uint8_t *expected, unsigned *at)
{
    const uint8_t *is = ram_page_bytes(ram, page);
    uint64_t ignored = ram->watch[page] & RAM_WATCH_TABLE ? 0x60 : 0;
    for (*at = 0; *at < RAM_PAGE_BYTES; *at += 8) {
        uint64_t a, b;
        memcpy(&a, is + *at, 8);
        memcpy(&b, expected + *at, 8);
        if ((a ^ b) & ~ignored)
            return true;
    }
    return false;
}

static void overlay(const struct system_lines *lines, uint64_t page_physical, uint8_t page[RAM_PAGE_BYTES])
{
    for (unsigned i = place_of(lines, page_physical); i < lines->count; i++) {
        uint64_t offset = lines->lines[i].physical - page_physical;
        if (offset >= RAM_PAGE_BYTES)
            break;
        memcpy(page + offset, lines->lines[i].bytes, SYSTEM_LINE_BYTES);
    }
}

static int differ_memory(const struct system_bench *bench, const struct system_vector *vector, FILE *text)
{
    const struct ram *ram = &bench->board.ram;
    uint8_t expected[RAM_PAGE_BYTES];
    int count = 0;
    for (uint64_t page = 0; page < ram->size_bytes / RAM_PAGE_BYTES; page++) {
        uint64_t physical = ram_physical(ram, page);
        unsigned first = place_of(&vector->wrote, physical), at;
        bool wrote = first < vector->wrote.count && vector->wrote.lines[first].physical < physical + RAM_PAGE_BYTES;
        if (!wrote && ram->written_epoch[page] <= bench->epoch)
            continue;
        memset(expected, 0, sizeof(expected));
        overlay(&vector->before, physical, expected);
        overlay(&vector->wrote, physical, expected);
        if (!page_differs(ram, page, expected, &at))
            continue;
        count++;
        fprintf(text, "  physical %" PRIx64 ":", physical + at);
        for (unsigned i = 0; i < 8; i++)
            fprintf(text, " %02x", ram_page_bytes(ram, page)[at + i]);
        fputs(", expected", text);
        for (unsigned i = 0; i < 8; i++)
            fprintf(text, " %02x", expected[at + i]);
        fputc('\n', text);
    }
    return count;
}

static int differ(const struct system_bench *bench, const struct system_vector *vector, const struct cosim_insn *at,
                  const struct fault *fault, FILE *text)
{
    if (!fault && !vector->faults) {
        uint64_t ignored = FLAG_RF | FLAG_TF | (at->decoded ? at->insn.row->flags_undefined : 0);
        return differ_fields(&vector->after, &bench->cpu, ignored, text) + differ_memory(bench, vector, text);
    }
    if (!fault || !vector->faults) {
        fprintf(text, "  vector %u, error code %x%s\n", fault ? fault->vector : vector->fault.vector,
                fault ? fault->error : vector->fault.error, fault ? ", expected none" : " did not come");
        return 1;
    }
    uint32_t error = fault->has_error ? fault->error : 0;
    uint64_t cr2 = fault->vector == VEC_PF ? fault->cr2 : 0;
    if (fault->vector == vector->fault.vector && error == vector->fault.error && cr2 == vector->fault.cr2)
        return 0;
    fprintf(text, "  vector %u, error code %x, CR2 %" PRIx64 ", expected vector %u, error code %x, CR2 %" PRIx64 "\n",
            fault->vector, error, cr2, vector->fault.vector, vector->fault.error, vector->fault.cr2);
    return 1;
}

int system_vector_check(const struct system_vector *vector, void (*step)(struct cpu *cpu), FILE *text)
{
    struct system_bench *bench = malloc(sizeof(*bench));
    int result = bench ? system_bench_open(bench, vector) : -ENOMEM;
    if (!result) {
        struct cosim_insn at;
        struct fault fault;
        if (step)
            bench->step = step;
        system_bench_load(bench, vector);
        cosim_look(&bench->cpu, &at);
        if (memcmp(at.bytes, vector->bytes, vector->length) != 0)
            result = -EINVAL;
        else
            result = differ(bench, vector, &at, run(bench, vector, &fault) ? NULL : &fault, text);
        system_bench_close(bench);
    }
    free(bench);
    return result;
}
