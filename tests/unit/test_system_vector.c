/*
 * From divergence to test: an interpreter with planted defects is stepped beside a right one, and each difference
 * becomes a vector that the right interpreter passes and the wrong one does not. Needs no KVM.
 */
#include "cpu/model.h"
#include "kvm/cosim_vector.h"
#include "tests/unit/small_machine.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* --- a reference: the interpreter itself, over a copy of RAM --- */

struct twin {
    struct cpu *led;
    struct board board;
    struct lapic lapic;
    struct cpu cpu;
    uint32_t compared_epoch;
    uint64_t *written;
};

static uint64_t pages_of(const struct twin *twin)
{
    return twin->board.ram.size_bytes / RAM_PAGE_BYTES;
}

static void *twin_init(struct cpu *led, const char **why)
{
    struct twin *twin = calloc(1, sizeof(*twin));
    (void)why;
    assert_non_null(twin);
    twin->led = led;
    assert_int_equal(board_init(&twin->board, led->board->ram.size_bytes, 1), 0);
    assert_int_equal(cpu_init(&twin->cpu, &twin->board, &twin->lapic, led->model, 0), 0);
    twin->written = calloc(pages_of(twin) / 64 + 1, sizeof(*twin->written));
    assert_non_null(twin->written);
    return twin;
}
static void twin_close(void *reference)
{
    struct twin *twin = reference;
    cpu_destroy(&twin->cpu);
    board_destroy(&twin->board);
    free(twin->written);
    free(twin);
}
static void copy_fields(struct cpu *to, const struct cpu *from)
{
    for (unsigned i = 0; i < cpu_field_count; i++)
        if (cpu_fields[i].kind == FIELD_STATE)
            memcpy((char *)to + cpu_fields[i].offset, (const char *)from + cpu_fields[i].offset,
                   (size_t)cpu_fields[i].count * cpu_fields[i].bytes);
    cpu_update_mode(to);
    cpu_drop_caches(to);
}
static void copy_pages(struct twin *twin)
{
    for (uint64_t page = 0; page < pages_of(twin); page++)
        if (ram_page_at(&twin->board.ram, page * RAM_PAGE_BYTES) != RAM_NO_PAGE)
            ram_write(&twin->board.ram, page * RAM_PAGE_BYTES, ram_page_bytes(&twin->led->board->ram, page),
                      RAM_PAGE_BYTES);
    twin->compared_epoch = ram_next_epoch(&twin->board.ram);
}
static void twin_override(void *reference)
{
    struct twin *twin = reference;
    copy_pages(twin);
    copy_fields(&twin->cpu, twin->led);
    twin->board.request = BOARD_RUN;
}
static struct cosim_step twin_step(void *reference, const struct cosim_insn *at)
{
    struct twin *twin = reference;
    uint64_t retired = twin->cpu.retired;
    (void)at;
    cpu_run(&twin->cpu, twin->board.clock.now_cycles + 1);
    if (twin->cpu.retired > retired)
        return (struct cosim_step){ .result = COSIM_STEPPED };
    struct fault fault = twin->cpu.shutdown.count ? twin->cpu.shutdown.chain[0] : twin->cpu.fault;
    return (struct cosim_step){ .result = COSIM_FAULTED, .fault = fault };
}
static void twin_position(void *reference, uint64_t *rip, uint64_t *rcx)
{
    struct twin *twin = reference;
    *rip = cpu_rip(&twin->cpu);
    *rcx = twin->cpu.gpr[RCX];
}
static unsigned twin_compare(void *reference, const struct cosim_insn *at, FILE *text)
{
    struct twin *twin = reference;
    unsigned count = 0;
    (void)at;
    (void)text;
    for (unsigned i = 0; i < cpu_field_count; i++)
        count += system_field_counts(&cpu_fields[i]) &&
                 memcmp((char *)&twin->cpu + cpu_fields[i].offset, (char *)twin->led + cpu_fields[i].offset,
                        (size_t)cpu_fields[i].count * cpu_fields[i].bytes) != 0;
    return count;
}
static unsigned twin_compare_memory(void *reference, FILE *text)
{
    struct twin *twin = reference;
    unsigned count = 0;
    (void)text;
    for (uint64_t page = 0; page < pages_of(twin); page++)
        count += memcmp(ram_page_bytes(&twin->board.ram, page), ram_page_bytes(&twin->led->board->ram, page),
                        RAM_PAGE_BYTES) != 0;
    copy_pages(twin);
    return count;
}
static void twin_explain(void *reference, FILE *out)
{
    (void)reference;
    fputs("  a twin\n", out);
}
static const struct cpu *twin_state(void *reference)
{
    return &((struct twin *)reference)->cpu;
}
static const uint64_t *twin_written(void *reference)
{
    struct twin *twin = reference;
    memset(twin->written, 0, (pages_of(twin) / 64 + 1) * sizeof(*twin->written));
    for (uint64_t page = 0; page < pages_of(twin); page++)
        if (twin->board.ram.written_epoch[page] > twin->compared_epoch)
            twin->written[page / 64] |= 1ull << (page % 64);
    return twin->written;
}
static const uint8_t *twin_page(void *reference, uint64_t page)
{
    return ram_page_bytes(&((struct twin *)reference)->board.ram, page);
}
static const struct cosim_reference twin_kind = {
    .name = "a twin",
    .init = twin_init,
    .close = twin_close,
    .override = twin_override,
    .step = twin_step,
    .position = twin_position,
    .compare = twin_compare,
    .compare_memory = twin_compare_memory,
    .explain = twin_explain,
    .state = twin_state,
    .written = twin_written,
    .page = twin_page,
};

/* --- an interpreter with defects --- */

static void right_step(struct cpu *cpu)
{
    cpu_run(cpu, cpu->board->clock.now_cycles + 1);
}

/* BSWAP gives bit 5 wrong, STOS stores another byte, DIV does nothing at all, ADD with memory forgets the memory. */
static void wrong_step(struct cpu *cpu)
{
    struct cosim_insn at;
    uint64_t to = cpu->gpr[RDI], rax = cpu->gpr[RAX];
    uint8_t byte;
    cosim_look(cpu, &at);
    const char *mnemonic = at.decoded ? at.insn.row->mnemonic : "";
    if (strcmp(mnemonic, "DIV") == 0) {
        cpu->gpr[GPR_RIP] += at.insn.length;
        cpu->retired++;
        return;
    }
    right_step(cpu);
    if (strcmp(mnemonic, "BSWAP") == 0)
        cpu->gpr[RAX] ^= 0x20;
    if (strcmp(mnemonic, "ADD") == 0 && at.insn.has_memory)
        cpu->gpr[RAX] = rax;
    if (strcmp(mnemonic, "STOSB") == 0 && ram_read(&cpu->board->ram, to, &byte, 1)) {
        byte ^= 1;
        ram_write(&cpu->board->ram, to, &byte, 1);
    }
}

/* --- a run --- */

struct run {
    struct system_bench bench;
    struct cosim cosim;
    char folder[64], path[400];
    char *text;
    size_t text_bytes;
    unsigned written;
};

static bool advance(void *context)
{
    system_bench_step(context);
    return true;
}

/* Steps code in a mode until it differs; the one vector that comes of it is in run->path, if there is one. */
static void find(struct run *run, enum small_mode mode, const uint8_t *code, unsigned count, uint64_t memory_steps)
{
    struct system_vector start;
    const char *why;
    memset(run, 0, sizeof(*run));
    strcpy(run->folder, "/tmp/sim-vectors-XXXXXX");
    assert_non_null(mkdtemp(run->folder));
    small_machine(&start, mode, code, count);
    start.model = cpu_model_find("x86-64-v4"); /* a vector names its model */
    start.state.gpr[RAX] = 0x123456789ABCDEF0;
    start.state.gpr[R9] = 0x5555;
    start.state.zmm[3].u64[1] = 77;
    start.state.gpr[RCX] = 3;
    assert_int_equal(system_bench_open(&run->bench, &start), 0);
    system_bench_load(&run->bench, &start);
    run->bench.step = wrong_step;
    run->cosim = (struct cosim){ .cpu = &run->bench.cpu,
                                 .kind = &twin_kind,
                                 .memory_steps = memory_steps,
                                 .report = open_memstream(&run->text, &run->text_bytes),
                                 .advance = advance,
                                 .context = &run->bench };
    assert_true(cosim_open(&run->cosim, &why));
    struct cosim_vectors *vectors = cosim_vectors_open(&run->cosim, run->folder, wrong_step);
    assert_non_null(vectors);
    assert_false(cosim_run(&run->cosim, 20));
    run->written = cosim_vectors_written(vectors);
    cosim_vectors_close(vectors);
    cosim_close(&run->cosim);
    fclose(run->cosim.report);
    system_bench_close(&run->bench);
    system_vector_free(&start);
    DIR *folder = opendir(run->folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            snprintf(run->path, sizeof(run->path), "%s/%s", run->folder, entry->d_name);
    closedir(folder);
}

static void forget(struct run *run)
{
    if (*run->path)
        unlink(run->path);
    rmdir(run->folder);
    free(run->text);
}

static void read_vector(const char *path, struct system_vector *vector)
{
    unsigned line = 0;
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    assert_int_equal(system_vector_read(in, vector, &line), 0);
    fclose(in);
}

static int check(const struct system_vector *vector, void (*step)(struct cpu *cpu))
{
    FILE *null = fopen("/dev/null", "w");
    int count = system_vector_check(vector, step, null);
    fclose(null);
    return count;
}

/* A vector was written, which tells right from wrong; it is handed out to be freed. */
static void one_vector(struct run *run, struct system_vector *vector)
{
    if (run->written != 1)
        fail_msg("%s", run->text);
    read_vector(run->path, vector);
    assert_int_equal(check(vector, NULL), 0);
    assert_true(check(vector, wrong_step) > 0);
}

/* --- tests --- */

#define CODE(...) ((const uint8_t[]){ __VA_ARGS__ }), sizeof((const uint8_t[]){ __VA_ARGS__ })

/* Whatever the difference does not need is gone: registers, pages, most of the tables. */
static void a_register(void **state)
{
    (void)state;
    static const enum small_mode modes[] = { SMALL_KERNEL64, SMALL_USER64, SMALL_KERNEL32, SMALL_USER32,
                                             SMALL_PAGED32 };
    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct run run;
        struct system_vector vector;
        find(&run, modes[i], CODE(0x90, 0x0F, 0xC8, 0xF4), 0);
        one_vector(&run, &vector);
        assert_false(vector.faults);
        assert_int_equal(vector.state.gpr[R9], 0);
        assert_int_equal(vector.state.zmm[3].u64[1], 0);
        assert_int_equal(vector.wrote.count, 0);
        assert_true(vector.before.count <= 5); /* code, and one line of each table */
        system_vector_free(&vector);
        forget(&run);
    }
}

static void an_operand_in_memory(void **state)
{
    (void)state;
    struct run run;
    struct system_vector vector;
    find(&run, SMALL_USER64, CODE(0x48, 0xC7, 0x03, 0x11, 0, 0, 0, 0x48, 0x03, 0x03, 0xF4), 0);
    one_vector(&run, &vector);
    assert_int_equal(vector.length, 3);
    system_vector_free(&vector);
    forget(&run);
}

/* Nothing but memory differs. Looked at after each step, it is a vector; looked at later, it is said to be older. */
static void memory_alone(void **state)
{
    (void)state;
    struct run run;
    struct system_vector vector;
    find(&run, SMALL_KERNEL64, CODE(0x90, 0xAA, 0x90, 0x90, 0xF4), 1);
    one_vector(&run, &vector);
    assert_true(vector.wrote.count <= 1); /* a zero stored over zeros is no change */
    system_vector_free(&vector);
    forget(&run);
    find(&run, SMALL_KERNEL64, CODE(0x90, 0xAA, 0x90, 0x90, 0xEB, 0xFE), 0);
    assert_int_equal(run.written, 0);
    assert_true(run.cosim.made_earlier);
    forget(&run);
}

static void a_fault_that_did_not_come(void **state)
{
    (void)state;
    static const enum small_mode modes[] = { SMALL_KERNEL64, SMALL_USER64, SMALL_PAGED32, SMALL_REAL };
    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct run run;
        struct system_vector vector;
        find(&run, modes[i], CODE(0x31, 0xC9, 0xF7, 0xF1, 0x90), 0);
        one_vector(&run, &vector);
        assert_true(vector.faults);
        assert_int_equal(vector.fault.vector, VEC_DE);
        system_vector_free(&vector);
        forget(&run);
    }
}

/* Text is all there is: what is read and written again is the same; damaged text is refused or differs, no more. */
static void text_holds_everything(void **state)
{
    (void)state;
    struct run run;
    struct system_vector vector;
    char *text[2] = { NULL, NULL };
    size_t bytes[2];
    find(&run, SMALL_USER64, CODE(0x48, 0xC7, 0x03, 0x11, 0, 0, 0, 0x48, 0x03, 0x03, 0xF4), 0);
    one_vector(&run, &vector);
    for (unsigned i = 0; i < 2; i++) {
        FILE *out = open_memstream(&text[i], &bytes[i]);
        system_vector_write(out, &vector);
        fclose(out);
        system_vector_free(&vector);
        unsigned line = 0;
        FILE *in = fmemopen(text[i], bytes[i], "r");
        assert_int_equal(system_vector_read(in, &vector, &line), 0);
        fclose(in);
    }
    assert_string_equal(strchr(text[0], '\n'), strchr(text[1], '\n')); /* but for the comment */
    system_vector_free(&vector);
    for (size_t at = strchr(text[0], '\n') - text[0]; at < bytes[0]; at += 3) {
        unsigned line = 0;
        char kept = text[0][at];
        text[0][at] = kept == 'z' ? 'q' : 'z';
        FILE *in = fmemopen(text[0], bytes[0], "r");
        int error = system_vector_read(in, &vector, &line);
        fclose(in);
        assert_true(error == 0 || error == -EINVAL);
        system_vector_free(&vector);
        text[0][at] = kept;
    }
    free(text[0]);
    free(text[1]);
    forget(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_register),
        cmocka_unit_test(an_operand_in_memory),
        cmocka_unit_test(memory_alone),
        cmocka_unit_test(a_fault_that_did_not_come),
        cmocka_unit_test(text_holds_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
