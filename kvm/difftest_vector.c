/*
 * Test vectors: a test and what the reference made of it, as text that replays anywhere (docs/difftest.md has the
 * format).
 *
 * A vector is a block of lines: "test" begins it, "in" and "out" lines give what differs from the default (of "in": the
 * registers below; of "out": the state before), "data" and "wrote" 16 bytes of memory each, "explained" names the
 * defined difference that the interpreter must show, "end" ends it. Numbers are hexadecimal.
 */
#include "kvm/difftest.h"
#include "cpu/undefined.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The named numbers of a state. */
struct item {
    char name[32];
    size_t offset;
    unsigned bytes;
};

static void default_state(struct difftest_state *state)
{
    memset(state, 0, sizeof(*state));
    state->rflags = FLAGS_FIXED | FLAG_IF;
    state->x87.fcw = 0x37F;
    state->mxcsr = 0x1F80;
}

#define STATE(member) offsetof(struct difftest_state, member)
#define ITEMS_MAX     (16 + 2 + 7 + 16 + 1 + 8 + 32 * 8)

static void add(struct item *items, unsigned *count, const char *name, int number, size_t offset, unsigned bytes)
{
    struct item *item = &items[(*count)++];
    if (number < 0)
        snprintf(item->name, sizeof(item->name), "%s", name);
    else
        snprintf(item->name, sizeof(item->name), "%.8s%d", name, number);
    item->offset = offset;
    item->bytes = bytes;
}

static unsigned list_items(struct item items[ITEMS_MAX])
{
    static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                           "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
    unsigned count = 0;
    for (unsigned i = 0; i < 16; i++)
        add(items, &count, names[i], -1, STATE(gpr) + 8 * i, 8);
    add(items, &count, "rip", -1, STATE(rip), 8);
    add(items, &count, "rflags", -1, STATE(rflags), 8);
    add(items, &count, "mxcsr", -1, STATE(mxcsr), 4);
    add(items, &count, "fcw", -1, STATE(x87.fcw), 2);
    add(items, &count, "fsw", -1, STATE(x87.fsw), 2);
    add(items, &count, "tags", -1, STATE(x87.tags), 1);
    add(items, &count, "fop", -1, STATE(x87.fop), 2);
    add(items, &count, "fip", -1, STATE(x87.fip), 8);
    add(items, &count, "fdp", -1, STATE(x87.fdp), 8);
    for (unsigned i = 0; i < 8; i++) {
        add(items, &count, "mantissa", (int)i, STATE(x87.r) + i * sizeof(struct x87_register), 8);
        add(items, &count, "exponent", (int)i, STATE(x87.r) + i * sizeof(struct x87_register) + 8, 2);
    }
    for (unsigned i = 0; i < 8; i++)
        add(items, &count, "k", (int)i, STATE(opmask) + 8 * i, 8);
    for (unsigned i = 0; i < 32; i++) {
        char name[32];
        snprintf(name, sizeof(name), "zmm%u.", i);
        for (unsigned part = 0; part < 8; part++)
            add(items, &count, name, (int)part, STATE(zmm) + 64 * i + 8 * part, 8);
    }
    return count;
}

static uint64_t item_value(const struct item *item, const struct difftest_state *state)
{
    uint64_t value = 0;
    memcpy(&value, (const uint8_t *)state + item->offset, item->bytes);
    return value;
}

static void write_state(FILE *out, const char *keyword, const struct difftest_state *base,
                        const struct difftest_state *state)
{
    struct item items[ITEMS_MAX];
    unsigned count = list_items(items);
    for (unsigned i = 0; i < count; i++)
        if (item_value(&items[i], state) != item_value(&items[i], base))
            fprintf(out, "%s %s %" PRIx64 "\n", keyword, items[i].name, item_value(&items[i], state));
}

static void write_bytes(FILE *out, const char *keyword, uint64_t address, const uint8_t *base, const uint8_t *bytes,
                        unsigned count)
{
    static const uint8_t zeroes[16];
    for (unsigned at = 0; at < count; at += 16) {
        if (memcmp(bytes + at, base ? base + at : zeroes, 16) == 0)
            continue;
        fprintf(out, "%s %" PRIx64 " ", keyword, address + at);
        for (unsigned i = 0; i < 16; i++)
            fprintf(out, "%02x", bytes[at + i]);
        fputc('\n', out);
    }
}

void difftest_vector_write(FILE *out, const struct difftest_case *test, const struct difftest_outcome *reference,
                           const struct difftest_memory *memory, const char *processor, const char *explained)
{
    struct difftest_state base;
    struct insn insn;
    char text[160] = "no instruction";
    default_state(&base);
    if (test->row && decode(test->bytes, test->length, 64, NULL, &insn) == DECODE_OK)
        insn_format(&insn, test->state.rip, text, sizeof(text));
    fprintf(out, "# %s\n# on %s\ntest ", text, processor);
    for (unsigned i = 0; i < test->length; i++)
        fprintf(out, "%02x", test->bytes[i]);
    fprintf(out, " %s\n", test->step ? "step" : "run");
    if (explained)
        fprintf(out, "explained %s\n", explained);
    write_state(out, "in", &base, &test->state);
    write_bytes(out, "data", DIFFTEST_DATA, NULL, memory->data, DIFFTEST_DATA_BYTES);
    write_bytes(out, "data", DIFFTEST_READ_ONLY, NULL, memory->read_only, DIFFTEST_READ_ONLY_BYTES);
    fprintf(out, "vector %x %x %" PRIx64 "\n", reference->vector, reference->error, reference->cr2);
    write_state(out, "out", &test->state, &reference->state);
    if (reference->data_changed)
        write_bytes(out, "wrote", DIFFTEST_DATA, memory->data, reference->data, DIFFTEST_DATA_BYTES);
    fputs("end\n", out);
}

/* --- reading --- */

bool difftest_read_hex(const char *text, uint8_t *bytes, unsigned max, unsigned *count)
{
    for (*count = 0; text[2 * *count]; ++*count) {
        char pair[3] = { text[2 * *count], text[2 * *count + 1], 0 };
        char *end;
        unsigned long value = strtoul(pair, &end, 16);
        if (*count == max || end != pair + 2)
            return false;
        bytes[*count] = (uint8_t)value;
    }
    return *count > 0;
}

static bool read_item(struct difftest_state *state, const char *name, uint64_t value)
{
    struct item items[ITEMS_MAX];
    unsigned count = list_items(items);
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(items[i].name, name) == 0) {
            memcpy((uint8_t *)state + items[i].offset, &value, items[i].bytes);
            return true;
        }
    }
    return false;
}

static bool read_memory_line(const char *address_text, const char *hex, uint8_t *data, uint8_t *read_only)
{
    uint64_t address = strtoull(address_text, NULL, 16);
    uint8_t bytes[16];
    unsigned count;
    if (!difftest_read_hex(hex, bytes, 16, &count) || count != 16 || address % 16)
        return false;
    if (address >= DIFFTEST_DATA && address < DIFFTEST_READ_ONLY)
        memcpy(data + (address - DIFFTEST_DATA), bytes, 16);
    else if (read_only && address >= DIFFTEST_READ_ONLY && address < DIFFTEST_DATA_END)
        memcpy(read_only + (address - DIFFTEST_READ_ONLY), bytes, 16);
    else
        return false;
    return true;
}

static bool finish(struct difftest_case *test)
{
    struct insn insn;
    bool decodes = decode(test->bytes, test->length, 64, NULL, &insn) == DECODE_OK;
    test->row = decodes ? insn.row : NULL;
    difftest_mask(test, UNDEFINED_BY_INTEL | UNDEFINED_BY_AMD);
    return test->length > 0 && test->length <= INSN_BYTES_MAX && test->state.rip >= DIFFTEST_CODE &&
           test->state.rip < DIFFTEST_CODE + DIFFTEST_CODE_BYTES;
}

/* One line; false: malformed. */
static bool read_line(char *text, struct difftest_case *test, struct difftest_outcome *reference,
                      struct difftest_memory *memory)
{
    char *rest = text, *word[4] = { 0 };
    unsigned words = 0, count;
    for (char *at; words < 4 && (at = strtok_r(rest, " \n", &rest));)
        word[words++] = at;
    if (words == 3 && strcmp(word[0], "test") == 0) {
        memset(test, 0, sizeof(*test));
        default_state(&test->state);
        memset(memory, 0, sizeof(*memory));
        if (!difftest_read_hex(word[1], test->bytes, INSN_BYTES_MAX, &count))
            return false;
        test->length = (uint8_t)count;
        test->step = strcmp(word[2], "step") == 0;
        return true;
    }
    if (words == 3 && strcmp(word[0], "in") == 0)
        return read_item(&test->state, word[1], strtoull(word[2], NULL, 16));
    if (words == 3 && strcmp(word[0], "data") == 0)
        return read_memory_line(word[1], word[2], memory->data, memory->read_only);
    if (words == 4 && strcmp(word[0], "vector") == 0) {
        memset(reference, 0, sizeof(*reference));
        reference->state = test->state;
        memcpy(reference->data, memory->data, sizeof(reference->data));
        reference->vector = (uint8_t)strtoul(word[1], NULL, 16);
        reference->error = (uint32_t)strtoul(word[2], NULL, 16);
        reference->cr2 = strtoull(word[3], NULL, 16);
        return true;
    }
    if (words == 3 && strcmp(word[0], "out") == 0)
        return read_item(&reference->state, word[1], strtoull(word[2], NULL, 16));
    if (words == 3 && strcmp(word[0], "wrote") == 0) {
        reference->data_changed = true;
        return read_memory_line(word[1], word[2], reference->data, NULL);
    }
    return false;
}

int difftest_vector_read(FILE *in, struct difftest_case *test, struct difftest_outcome *reference,
                         struct difftest_memory *memory, char explained[DIFFTEST_NAME_BYTES], unsigned *line)
{
    char text[256];
    bool begun = false;
    explained[0] = 0;
    while (fgets(text, sizeof(text), in)) {
        ++*line;
        if (text[0] == '#' || text[0] == '\n')
            continue;
        if (strcmp(text, "end\n") == 0)
            return begun && finish(test) ? 1 : -EINVAL;
        if (!begun && strncmp(text, "test ", 5) != 0)
            return -EINVAL;
        begun = true;
        if (sscanf(text, "explained %31s", explained) == 1)
            continue;
        if (!read_line(text, test, reference, memory))
            return -EINVAL;
    }
    return begun ? -EINVAL : 0;
}
