/*
 * Snapshots, and the search for the first differing instruction, on real machines that run a small loop.
 *
 * Faults are put into side A by its run function: a register changes at a cycle, always or only when the cycles around
 * it are run without a stop, as a wrong block would.
 */
#include "replay/compare.h"
#include "replay/show.h"
#include "replay/snapshot.h"
#include "sim/narrow.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define PATH      "test_divergence.tmp.mp"
#define FROM      200000ull
#define TO        300000ull
#define FAULT     254321ull
#define BLOCK     5ull
#define LOG_BYTES 65536u

/* A loop of six instructions that computes and stores, then a letter, then a reset. */
static const uint8_t guest[] = {
    0xBA, 0xF8, 0x03, 0x00, 0x00,             /* mov edx, 3F8H */
    0xB9, 0xA0, 0x86, 0x01, 0x00,             /* mov ecx, 100000 */
    0x48, 0x01, 0xC8,                         /* loop: add rax, rcx */
    0x48, 0x69, 0xC0, 0x01, 0x01, 0x01, 0x01, /* imul rax, rax, 1010101H */
    0x89, 0x04, 0x25, 0x00, 0x90, 0x20, 0x00, /* mov [209000H], eax */
    0x48, 0x31, 0xC3,                         /* xor rbx, rax */
    0xFF, 0xC9,                               /* dec ecx */
    0x75, 0xE8,                               /* jnz loop */
    0xB0, 0x78, 0xEE,                         /* mov al, 'x'; out dx, al */
    0x66, 0xBA, 0xF9, 0x0C, 0xB0, 0x06, 0xEE, /* mov dx, CF9H; mov al, 6; out dx, al */
    0xF4,                                     /* hlt */
};
#define BOOT_CYCLES 600000ull /* a little less than one boot takes */

static struct session_config sample_config(void)
{
    return (struct session_config){
        .machine = { .ram_bytes = 4 << 20, .cpu_model = cpu_model_find("x86-64-v2"), .seed = 5 },
        .cmdline = "",
        .undefined = "intel",
        .entry = LOAD_FLAT,
        .on_reset = ON_RESET_REBOOT,
        .mark_every = 100000,
        .kernel = { .role = "kernel",
                    .image = { .path = "loop", .bytes = guest, .size_bytes = sizeof(guest) },
                    .identity = { .role = "kernel", .path = "loop", .size = sizeof(guest) } },
    };
}

static const struct session_limits limits = { .max_cycles = UINT64_MAX,
                                              .idle_limit_cycles = UINT64_MAX,
                                              .quiet = true };

/* --- sides with a fault --- */

struct side {
    struct session session;
    uint64_t fault;         /* cycle; 0: none */
    uint64_t uninterrupted; /* the fault shows only if that many cycles before it are run without a stop */
};

static bool side_run(void *context, uint64_t stop_cycle)
{
    struct side *side = context;
    struct machine *machine = side->session.machine;
    uint64_t now = machine_now(machine);
    if (now + side->uninterrupted <= side->fault && now < side->fault && side->fault <= stop_cycle) {
        if (machine_run(machine, side->fault) != MACHINE_STOPPED)
            return false; /* the guest ended before */
        machine_boot_cpu(machine)->gpr[RBX] ^= 1;
        if (stop_cycle == side->fault)
            return true;
    }
    return machine_run(machine, stop_cycle) == MACHINE_STOPPED;
}

static void side_input(void *context, enum log_source source, uint8_t byte)
{
    struct side *side = context;
    (void)source;
    machine_console_input(side->session.machine, byte);
}

static struct board *side_follow(void *context)
{
    struct side *side = context;
    return session_follow_reset(&side->session) ? machine_board(side->session.machine) : NULL;
}

static void side_open(struct side *side, const struct session_config *config, uint64_t cycle)
{
    char error[IMAGE_ERROR_BYTES];
    memset(side, 0, sizeof(*side));
    assert_int_equal(session_open(&side->session, config, &limits, error), STATUS_OK);
    if (cycle)
        assert_int_equal(machine_run(side->session.machine, cycle), MACHINE_STOPPED);
}

static uint64_t hash_at(const struct session_config *config, uint64_t cycle)
{
    struct side side;
    side_open(&side, config, 0);
    while (!side_run(&side, cycle))
        assert_non_null(side_follow(&side));
    uint64_t hash = state_hash_take(&side.session.hash);
    session_close(&side.session);
    return hash;
}

/* Searches from FROM, or from the segment's own cycle; what was printed is in text, which may be NULL. */
static struct divergence_report search(struct divergence_segment segment, uint64_t fault, uint64_t uninterrupted,
                                       char *text, size_t text_bytes)
{
    struct session_config config = sample_config();
    struct side a, b;
    struct divergence_report report;
    side_open(&a, &config, segment.from);
    side_open(&b, &config, segment.from);
    a.fault = fault;
    a.uninterrupted = uninterrupted;
    struct divergence_side side_a = { machine_board(a.session.machine), &a, side_run, side_input, side_follow };
    struct divergence_side side_b = { machine_board(b.session.machine), &b, side_run, side_input, side_follow };
    FILE *out = text ? fmemopen(text, text_bytes, "w") : NULL;
    assert_int_equal(divergence_search(&side_a, &side_b, &segment, &report, out), 0);
    if (out)
        fclose(out);
    session_close(&a.session);
    session_close(&b.session);
    return report;
}

static struct divergence_segment sample_segment(void)
{
    struct session_config config = sample_config();
    return (struct divergence_segment){ .from = FROM, .to = TO, .state_hash = hash_at(&config, TO) };
}

/* --- tests --- */

static void test_snapshot(void **state)
{
    struct session_config config = sample_config();
    struct snapshot early, late;
    struct side side, other;
    (void)state;
    side_open(&side, &config, FROM);
    side_open(&other, &config, FROM);
    struct board *board = machine_board(side.session.machine), *fresh = machine_board(other.session.machine);
    struct state_hash *hash = &side.session.hash;
    uint64_t at_from = state_hash_take(hash);
    assert_int_equal(snapshot_init(&early, board), 0);
    assert_true(side_run(&side, TO));
    uint64_t at_to = state_hash_take(hash);
    assert_int_equal(snapshot_init(&late, board), 0);
    assert_false(side_run(&side, 2 * BOOT_CYCLES)); /* up to the reset */
    for (unsigned i = 0; i < 3; i++) {
        snapshot_restore(&early);
        assert_true(board->request == BOARD_RUN);
        assert_true(state_hash_take(hash) == at_from);
        assert_int_equal(board_compare(board, fresh, NULL, 0), 0);
        assert_true(side_run(&side, TO));
        assert_true(state_hash_take(hash) == at_to);
        snapshot_restore(&late);
        assert_true(state_hash_take(hash) == at_to);
    }
    snapshot_restore(&early);
    assert_int_equal(snapshot_take(&late), 0); /* anew, elsewhere */
    assert_true(side_run(&side, TO));
    snapshot_restore(&late);
    assert_true(state_hash_take(hash) == at_from);
    snapshot_destroy(&early);
    snapshot_destroy(&late);
    session_close(&side.session);
    session_close(&other.session);
}

static void test_one_instruction(void **state)
{
    char text[16384] = "";
    (void)state;
    struct divergence_report report = search(sample_segment(), FAULT, 0, text, sizeof(text));
    assert_int_equal(report.verdict, DIVERGENCE_ENGINE);
    assert_int_equal(report.differ, FAULT);
    assert_int_equal(report.last, FAULT - 1);
    assert_int_equal(report.first, FAULT - 1);
    /* the instruction that ends at the fault, and the one register in which the sides differ */
    assert_non_null(strstr(text, "254320  000000000010001"));
    assert_non_null(strstr(text, "cpu0.gpr[3]: "));
    assert_null(strstr(text, "cpu0.gpr[0]: "));
    assert_null(strstr(text, "ram "));
}

static void test_block(void **state)
{
    char text[16384] = "";
    (void)state;
    struct divergence_report report = search(sample_segment(), FAULT, BLOCK, text, sizeof(text));
    assert_int_equal(report.verdict, DIVERGENCE_ENGINE);
    assert_int_equal(report.differ, FAULT);
    assert_int_equal(report.last, FAULT - 1);
    assert_int_equal(report.first, FAULT - BLOCK);
    assert_non_null(strstr(text, "254316  "));
    assert_non_null(strstr(text, "254320  "));
}

/* Wherever the fault is, the first and last cycle of the segment included. */
static void test_every_place(void **state)
{
    struct divergence_segment segment = sample_segment();
    static const uint64_t faults[] = { FROM + 1, FROM + 2, FROM + 48, (FROM + TO) / 2, TO - 1, TO };
    (void)state;
    for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct divergence_report report = search(segment, faults[i], 0, NULL, 0);
        assert_int_equal(report.verdict, DIVERGENCE_ENGINE);
        assert_int_equal(report.differ, faults[i]);
        assert_int_equal(report.first, faults[i] - 1);
    }
}

static void test_other_verdicts(void **state)
{
    struct divergence_segment segment = sample_segment();
    (void)state;
    assert_int_equal(search(segment, 0, 0, NULL, 0).verdict, DIVERGENCE_GONE);
    segment.state_hash ^= 1;
    assert_int_equal(search(segment, 0, 0, NULL, 0).verdict, DIVERGENCE_RECORDED);
    struct divergence_report report = search(segment, FAULT, 0, NULL, 0);
    assert_int_equal(report.verdict, DIVERGENCE_NEITHER);
    assert_int_equal(report.first, FAULT - 1);
}

/* The inputs of the segment reach both sides at their cycles. */
static void test_inputs(void **state)
{
    struct divergence_segment segment = sample_segment();
    struct log_record inputs[2] = {
        { .kind = LOG_INPUT, .cycle = FROM + 1000, .byte_count = 2, .bytes = "ab" },
        { .kind = LOG_INPUT, .cycle = TO, .byte_count = 1, .bytes = "c" },
    };
    struct session_config config = sample_config();
    struct side side;
    (void)state;
    side_open(&side, &config, inputs[0].cycle);
    side_input(&side, LOG_CONSOLE, 'a');
    side_input(&side, LOG_CONSOLE, 'b');
    assert_true(side_run(&side, TO));
    side_input(&side, LOG_CONSOLE, 'c');
    segment.state_hash = state_hash_take(&side.session.hash);
    segment.inputs = inputs;
    segment.input_count = 2;
    session_close(&side.session);
    assert_int_equal(search(segment, 0, 0, NULL, 0).verdict, DIVERGENCE_GONE);
    struct divergence_report report = search(segment, FAULT, 0, NULL, 0);
    assert_int_equal(report.verdict, DIVERGENCE_ENGINE);
    assert_int_equal(report.first, FAULT - 1);
}

/* The reference way is another way to the same states. */
static void test_reference_way(void **state)
{
    struct session_config config = sample_config();
    struct side side;
    (void)state;
    side_open(&side, &config, FROM);
    machine_single_step(side.session.machine, 0, UINT64_MAX);
    cpu_uncached(machine_boot_cpu(side.session.machine));
    assert_true(side_run(&side, TO));
    assert_true(state_hash_take(&side.session.hash) == hash_at(&config, TO));
    session_close(&side.session);
}

/* A segment with a power cycle in it: the search goes on in the boot behind it. */
static void test_behind_a_reset(void **state)
{
    struct session_config config = sample_config();
    struct divergence_segment segment = { .from = BOOT_CYCLES - 50000, .to = BOOT_CYCLES + 150000 };
    uint64_t fault = BOOT_CYCLES + 100000;
    (void)state;
    segment.state_hash = hash_at(&config, segment.to);
    struct divergence_report report = search(segment, fault, BLOCK, NULL, 0);
    assert_int_equal(report.verdict, DIVERGENCE_ENGINE);
    assert_int_equal(report.differ, fault);
    assert_int_equal(report.first, fault - BLOCK);
}

/* --- from a log --- */

/* Records the guest with 15 marks; the hash of mark `wrong` is another one. Returns the log's size. */
static size_t record(const struct session_config *config, uint64_t wrong, uint8_t *log)
{
    struct session session;
    struct session_limits until = limits;
    struct log_header header;
    struct log_reader reader;
    struct log_record record;
    struct log_writer *writer;
    char fingerprint[STATE_FINGERPRINT_BYTES], error[IMAGE_ERROR_BYTES];
    until.max_cycles = 1500000;
    assert_int_equal(session_open(&session, config, &until, error), STATUS_OK);
    session_header(config, machine_board(session.machine), fingerprint, &header);
    assert_int_equal(recorder_open(&session.recorder, PATH, true, &header, &session.hash, config->mark_every), 0);
    session_run(&session);
    assert_int_equal(session.error, 0);
    session_close(&session);
    FILE *file = fopen(PATH, "rb");
    assert_non_null(file);
    size_t size = fread(log, 1, LOG_BYTES, file);
    fclose(file);

    assert_int_equal(log_open(&reader, log, size), LOG_OK);
    assert_int_equal(log_next(&reader, &record), LOG_OK);
    assert_int_equal(log_create(&writer, PATH, true, &reader.header, record.state_hash), 0);
    for (uint64_t mark = 1; log_next(&reader, &record) == LOG_OK; mark++) {
        record.state_hash ^= mark == wrong;
        assert_int_equal(log_append(writer, &record), 0);
    }
    log_close(writer);
    log_reader_close(&reader);
    file = fopen(PATH, "rb");
    assert_non_null(file);
    size = fread(log, 1, LOG_BYTES, file);
    fclose(file);
    unlink(PATH);
    return size;
}

static void test_log(void **state)
{
    struct session_config config = sample_config();
    struct divergence_report report;
    static uint8_t log[LOG_BYTES];
    char text[4096] = "";
    FILE *out = fmemopen(text, sizeof(text), "w");
    (void)state;
    size_t size = record(&config, 8, log);
    assert_int_equal(narrow_divergence(&config, log, size, 8, &report, out), 0);
    fclose(out);
    assert_int_equal(report.verdict, DIVERGENCE_RECORDED);
    assert_non_null(strstr(text, "cycle 700000, to search from there to cycle 800000"));
    /* segments that are as recorded; number 6 has a power cycle in it */
    for (uint64_t marks = 1; marks < 8; marks++) {
        assert_int_equal(narrow_divergence(&config, log, size, marks, &report, NULL), 0);
        assert_int_equal(report.verdict, DIVERGENCE_GONE);
    }
    assert_int_equal(narrow_divergence(&config, log, size, 99, &report, NULL), -ENOENT);
}

/* --- what is shown --- */

static void test_show(void **state)
{
    struct session_config config = sample_config();
    struct side side;
    char text[SHOW_INSTRUCTION_BYTES], all[8192] = "";
    (void)state;
    side_open(&side, &config, 2);
    struct cpu *cpu = show_find_cpu(machine_board(side.session.machine), 0);
    assert_ptr_equal(cpu, machine_boot_cpu(side.session.machine));
    assert_null(show_find_cpu(machine_board(side.session.machine), 1));
    uint64_t hash = state_hash_take(&side.session.hash);
    show_instruction(cpu, text);
    assert_string_equal(text, "000000000010000a  48 01 c8                 add rax, rcx");
    FILE *out = fmemopen(all, sizeof(all), "w");
    show_cpu(cpu, out);
    fclose(out);
    assert_non_null(strstr(all, "64-bit mode, CPL 0, active, 2 instructions"));
    assert_non_null(strstr(all, "RCX 00000000000186a0"));
    assert_non_null(strstr(all, "LMA LME"));
    assert_true(state_hash_take(&side.session.hash) == hash);
    session_close(&side.session);
}

/* A guest without an IDT that executes UD2: the chain of faults is told. */
static void test_shutdown(void **state)
{
    static const uint8_t ud2[] = { 0x90, 0x0F, 0x0B };
    struct session_config config = sample_config();
    struct side side;
    char text[2048] = "";
    (void)state;
    config.kernel.image.bytes = ud2;
    config.kernel.image.size_bytes = sizeof(ud2);
    side_open(&side, &config, 0);
    struct cpu *cpu = machine_boot_cpu(side.session.machine);
    cpu->idtr.limit = 0;
    assert_int_equal(machine_run(side.session.machine, 1000), MACHINE_REQUEST);
    assert_int_equal(machine_board(side.session.machine)->request, BOARD_TRIPLE_FAULT);
    FILE *out = fmemopen(text, sizeof(text), "w");
    show_shutdowns(machine_board(side.session.machine), "", out);
    fclose(out);
    assert_non_null(strstr(text, "#UD -> #GP(0033) -> #GP(006b), #DF(0000) -> #GP(0043)\n"));
    assert_non_null(strstr(text, "instruction  0000000000100001  0f 0b"));
    assert_non_null(strstr(text, "ud2"));
    session_close(&side.session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshot),       cmocka_unit_test(test_one_instruction),
        cmocka_unit_test(test_block),          cmocka_unit_test(test_every_place),
        cmocka_unit_test(test_other_verdicts), cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_behind_a_reset), cmocka_unit_test(test_log),
        cmocka_unit_test(test_reference_way),  cmocka_unit_test(test_show),
        cmocka_unit_test(test_shutdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
