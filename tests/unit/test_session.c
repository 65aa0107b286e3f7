/*
 * The session's loop against a toy machine: recorded runs come out byte for byte equal, replay without the dialogue
 * that made them, end for each reason with its status, and a machine that behaves otherwise is found out.
 *
 * The toy stands in for sim/machine.c and the loaders. It prints a prompt, halts, echoes what it receives, and obeys
 * letters.
 */
#include "sim/session.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define PATH    "test_session.tmp.mp"
#define LOG_MAX (1u << 20)

/* --- the toy machine --- */

struct toy {
    uint64_t deadline; /* of the timer */
    uint64_t work;     /* instructions to spend before the next deed */
    uint64_t sum;      /* of everything received */
    uint64_t ticks;
    uint8_t fifo[16];
    uint8_t fifo_count;
    uint8_t printed; /* characters of the prompt */
    bool halted, interrupts;
    uint8_t reserved[4];
};

static const struct field toy_fields[] = {
    FIELD(struct toy, deadline),       FIELD(struct toy, work),       FIELD(struct toy, sum),
    FIELD(struct toy, ticks),          FIELD_ARRAY(struct toy, fifo), FIELD(struct toy, fifo_count),
    FIELD(struct toy, printed),        FIELD(struct toy, halted),     FIELD(struct toy, interrupts),
    FIELD_ARRAY(struct toy, reserved),
};

struct machine {
    struct board board;
    struct toy toy;
    struct machine_console console;
    uint64_t retired;
};

static unsigned splits; /* a second way to run: cpu_run returns at other places */
static bool sick;       /* a defect that shows after a while */

const struct cpu_model *cpu_model_find(const char *name)
{
    static const struct cpu_model model = { .name = "toy" };
    return strcmp(name, "toy") == 0 ? &model : NULL;
}

static void toy_fire(void *context, uint64_t due)
{
    struct toy *toy = context;
    toy->ticks++;
    toy->halted = false;
    toy->work = 20;
    toy->deadline = toy->ticks % 100 ? due + 10000000 : CLOCK_NEVER;
}

int machine_create(struct machine **out, const struct machine_config *config, const struct machine_console *console,
                   uint64_t start_cycle, uint64_t boot)
{
    struct machine *machine = calloc(1, sizeof(*machine));
    assert_non_null(machine);
    assert_int_equal(board_init(&machine->board, config->ram_bytes, config->seed + boot), 0);
    machine->board.clock.now_cycles = start_cycle;
    machine->console = *console;
    machine->toy = (struct toy){ .deadline = CLOCK_NEVER, .work = 500, .interrupts = true };
    struct chip chip = { .part = { "toy", &machine->toy, sizeof(machine->toy), FIELD_COUNT(toy_fields), toy_fields },
                         .event = { &machine->toy.deadline, toy_fire, &machine->toy } };
    board_attach(&machine->board, &chip);
    *out = machine;
    return 0;
}

void machine_destroy(struct machine *machine)
{
    if (machine)
        board_destroy(&machine->board);
    free(machine);
}

void machine_single_step(struct machine *machine, uint64_t from, uint64_t to)
{
    (void)machine, (void)from, (void)to;
}

struct board *machine_board(struct machine *machine)
{
    return &machine->board;
}
struct cpu *machine_boot_cpu(struct machine *machine)
{
    (void)machine;
    return NULL;
}
uint64_t machine_rsdp(const struct machine *machine)
{
    (void)machine;
    return 0;
}
uint64_t machine_now(const struct machine *machine)
{
    return machine->board.clock.now_cycles;
}
uint64_t machine_retired(const struct machine *machine)
{
    return machine->retired;
}

uint64_t machine_busy(const struct machine *machine)
{
    return machine->retired;
}
int machine_use_kvm(struct machine *machine, const char **why)
{
    (void)machine;
    *why = "a toy has no processor";
    return -ENODEV;
}

static void toy_obey(struct machine *machine, uint8_t byte)
{
    struct toy *toy = &machine->toy;
    struct board *board = &machine->board;
    machine->console.put(machine->console.context, byte);
    toy->sum = toy->sum * 31 + byte + (sick && board->clock.now_cycles > 2000000);
    ram_write(&board->ram, 0x1000 + toy->sum % 0x1000, &byte, 1);
    if (byte == 'Q')
        board_request_stop(board, BOARD_POWER_OFF, 0);
    if (byte == 'R')
        board_request_stop(board, BOARD_RESET, 0);
    if (byte == 'D')
        board_request_stop(board, BOARD_DEBUG_EXIT, 0x42);
    if (byte == 'F')
        board_request_stop(board, BOARD_TRIPLE_FAULT, 0);
    if (byte == 'T')
        clock_arm(&board->clock, &toy->deadline, board->clock.now_cycles + 10000000);
    if (byte == 'C')
        toy->interrupts = false;
    if (byte == 'W')
        toy->work = 3000000;
    if (byte == '\n')
        toy->printed = 0;
}

/* One instruction of the toy, of one cycle. */
static void toy_step(struct machine *machine)
{
    static const char prompt[] = "ok> ";
    struct toy *toy = &machine->toy;
    if (toy->work) {
        toy->work--;
    } else if (toy->printed < sizeof(prompt) - 1) {
        machine->console.put(machine->console.context, (uint8_t)prompt[toy->printed++]);
        toy->work = 100;
    } else if (toy->fifo_count) {
        uint8_t byte = toy->fifo[0];
        memmove(toy->fifo, toy->fifo + 1, sizeof(toy->fifo) - 1);
        toy->fifo[15] = 0;
        toy->fifo_count--;
        toy_obey(machine, byte);
    } else {
        toy->halted = true;
    }
    machine->board.clock.now_cycles++;
    machine->retired++;
}

enum machine_stop machine_run(struct machine *machine, uint64_t stop_cycle)
{
    struct toy *toy = &machine->toy;
    struct clock *clock = &machine->board.clock;
    for (;;) {
        clock_fire_due(clock);
        if (machine->board.request != BOARD_RUN)
            return MACHINE_REQUEST;
        if (clock->now_cycles >= stop_cycle)
            return MACHINE_STOPPED;
        if (toy->halted && toy->interrupts && toy->fifo_count) {
            toy->halted = false; /* delivery of the interrupt */
            clock->now_cycles++;
            continue;
        }
        if (toy->halted)
            return MACHINE_HALTED;
        do
            toy_step(machine);
        while (!splits && !toy->halted && machine->board.request == BOARD_RUN && clock->now_cycles < stop_cycle &&
               clock->now_cycles < clock->next_cycles);
    }
}

bool machine_can_wake(const struct machine *machine)
{
    return machine->toy.interrupts;
}
uint64_t machine_next_event(const struct machine *machine)
{
    return machine->board.clock.next_cycles;
}
void machine_skip(struct machine *machine, uint64_t cycle)
{
    assert_true(cycle > machine_now(machine));
    machine->board.clock.now_cycles = cycle;
    clock_fire_due(&machine->board.clock);
}
bool machine_console_input(struct machine *machine, uint8_t byte)
{
    if (machine->toy.fifo_count == sizeof(machine->toy.fifo))
        return false;
    machine->toy.fifo[machine->toy.fifo_count++] = byte;
    return true;
}

int load_kernel(struct board *board, struct cpu *cpu, const struct load_request *request, char error[LOAD_ERROR_BYTES])
{
    (void)cpu;
    (void)error;
    return ram_write(&board->ram, 0x8000, request->cmdline, strlen(request->cmdline)) ? 0 : -EINVAL;
}

/* --- recording and replaying it --- */

static struct session_config sample_config(void)
{
    return (struct session_config){
        .machine = { .ram_bytes = MACHINE_RAM_MIN, .cpu_model = cpu_model_find("toy"), .seed = 11 },
        .cmdline = "hello",
        .undefined = "intel",
        .mark_every = 50000,
        .kernel = { .role = "kernel", .identity = { .role = "kernel", .path = "toy.bin" } },
    };
}

struct outcome {
    enum status status;
    enum log_reason reason;
    uint64_t cycles, hash, marks;
    uint8_t *log; /* owned by the caller */
    size_t log_size;
};

static void read_log(struct outcome *outcome)
{
    FILE *file = fopen(PATH, "rb");
    assert_non_null(file);
    outcome->log = malloc(LOG_MAX);
    assert_non_null(outcome->log);
    outcome->log_size = fread(outcome->log, 1, LOG_MAX, file);
    fclose(file);
    unlink(PATH);
}

static struct outcome record(const struct session_config *config, const struct session_limits *limits,
                             const char *dialogue)
{
    struct session session;
    struct log_header header;
    struct outcome outcome = { 0 };
    char fingerprint[STATE_FINGERPRINT_BYTES], error[IMAGE_ERROR_BYTES];
    assert_int_equal(session_open(&session, config, limits, error), STATUS_OK);
    assert_int_equal(dialogue_parse(&session.dialogue, dialogue, strlen(dialogue), error, sizeof(error)), 0);
    session_header(config, machine_board(session.machine), fingerprint, &header);
    assert_int_equal(recorder_open(&session.recorder, PATH, true, &header, &session.hash, config->mark_every), 0);
    session_run(&session);
    outcome.status = session_status(&session);
    outcome.reason = session.reason;
    outcome.cycles = machine_now(session.machine);
    outcome.hash = session.final_hash;
    outcome.marks = session.log_marks;
    assert_int_equal(session.error, 0);
    session_close(&session);
    read_log(&outcome);
    return outcome;
}

static enum replay_verdict replay(const uint8_t *log, size_t size, uint64_t to, uint64_t *cycles, uint64_t *hash)
{
    struct session session;
    struct session_config config;
    struct session_limits limits = { .max_cycles = UINT64_MAX, .idle_limit_cycles = UINT64_MAX, .quiet = true };
    struct log_reader reader;
    struct replayer replayer = { .reader = &reader };
    char error[IMAGE_ERROR_BYTES];
    assert_int_equal(log_open(&reader, log, size), LOG_OK);
    assert_true(session_config_from_header(&config, &reader.header, error));
    assert_int_equal(session_open(&session, &config, &limits, error), STATUS_OK);
    session.replayer = &replayer;
    session.replay_to = to;
    session_run(&session);
    *cycles = machine_now(session.machine);
    *hash = session.final_hash;
    session_close(&session);
    log_reader_close(&reader);
    return replayer.verdict;
}

static const struct session_limits plain_limits = { .max_cycles = UINT64_MAX,
                                                    .idle_limit_cycles = 5 * CLOCK_HZ,
                                                    .quiet = true };

/* Records, and expects this end; replays, and expects the same cycle and hash. Returns the number of marks. */
static uint64_t expect_end(const struct session_config *config, const struct session_limits *limits,
                           const char *dialogue, enum log_reason reason, enum status status)
{
    struct outcome outcome = record(config, limits, dialogue);
    uint64_t cycles, hash;
    assert_int_equal(outcome.reason, reason);
    assert_int_equal(outcome.status, status);
    assert_int_equal(replay(outcome.log, outcome.log_size, UINT64_MAX, &cycles, &hash), REPLAY_VERIFIED);
    assert_int_equal(cycles, outcome.cycles);
    assert_true(hash == outcome.hash);
    free(outcome.log);
    return outcome.marks;
}

#define TALK                                                                                                           \
    "expect \"ok> \"\nsend \"hello, this is more than the queue takes at once\\n\"\nexpect \"ok> \"\nsend \"W\\n\"\n"  \
    "expect \"ok> \"\n"

static void test_every_end(void **state)
{
    struct session_config config = sample_config();
    struct session_limits limits = plain_limits;
    (void)state;
    expect_end(&config, &limits, TALK "send \"Q\"\n", LOG_POWER_OFF, STATUS_OK);
    expect_end(&config, &limits, TALK "send \"R\"\n", LOG_RESET, STATUS_RESET);
    expect_end(&config, &limits, TALK "send \"F\"\n", LOG_TRIPLE_FAULT, STATUS_TRIPLE_FAULT);
    expect_end(&config, &limits, TALK "send \"D\"\n", LOG_DEBUG_EXIT, (enum status)(STATUS_GUEST + 2));
    expect_end(&config, &limits, TALK, LOG_NEVER_WAKES, STATUS_IDLE);
    expect_end(&config, &limits, TALK "send \"C\"\n", LOG_NEVER_WAKES, STATUS_IDLE);
    limits.idle_limit_cycles = CLOCK_HZ / 10;
    uint64_t marks = expect_end(&config, &limits, TALK "send \"T\"\n", LOG_IDLE, STATUS_IDLE);
    assert_in_range(marks, 60, 85); /* 60 for the work, one for each of ten idle jumps and no more */
    limits = plain_limits;
    config.on_reset = ON_RESET_OK;
    expect_end(&config, &limits, TALK "send \"R\"\n", LOG_RESET, STATUS_OK);
    limits.until = "k> W";
    expect_end(&config, &limits, TALK "send \"Q\"\n", LOG_UNTIL, STATUS_OK);
    limits.fail = "ok> W";
    expect_end(&config, &limits, TALK "send \"Q\"\n", LOG_FAIL, STATUS_FAIL_TEXT);
    limits = plain_limits;
    limits.max_cycles = 3456789;
    expect_end(&config, &limits, TALK, LOG_LIMIT, STATUS_LIMIT);
}

static void test_power_cycles(void **state)
{
    struct session_config config = sample_config();
    (void)state;
    config.on_reset = ON_RESET_REBOOT;
    expect_end(&config, &plain_limits, TALK "send \"R\"\nexpect \"ok> \"\nsend \"R\"\n" TALK "send \"Q\"\n",
               LOG_POWER_OFF, STATUS_OK);
}

/* Equal inputs, equal bytes; and where the vCPU's loop happens to return is invisible. */
static void test_equal_runs_equal_bytes(void **state)
{
    struct session_config config = sample_config();
    struct outcome first = record(&config, &plain_limits, TALK "send \"TQ\"\n");
    (void)state;
    for (splits = 0; splits < 2; splits++) {
        struct outcome again = record(&config, &plain_limits, TALK "send \"TQ\"\n");
        assert_int_equal(again.log_size, first.log_size);
        assert_memory_equal(again.log, first.log, first.log_size);
        free(again.log);
    }
    splits = 0;
    free(first.log);
}

static void test_cut_off_log(void **state)
{
    struct session_config config = sample_config();
    struct outcome outcome = record(&config, &plain_limits, TALK "send \"Q\"\n");
    uint64_t cycles, hash;
    (void)state;
    for (size_t cut = 1; cut < 200; cut += 7)
        assert_int_equal(replay(outcome.log, outcome.log_size - cut, UINT64_MAX, &cycles, &hash), REPLAY_INCOMPLETE);
    free(outcome.log);
}

static void test_divergence_is_found(void **state)
{
    struct session_config config = sample_config();
    struct outcome outcome = record(&config, &plain_limits, TALK "send \"Q\"\n");
    uint64_t cycles, hash;
    (void)state;
    sick = true;
    assert_int_equal(replay(outcome.log, outcome.log_size, UINT64_MAX, &cycles, &hash), REPLAY_DIVERGED);
    sick = false;
    assert_in_range(cycles, 2000000, outcome.cycles);
    free(outcome.log);
}

/* Stopping on the way shows the state that a run straight through passes. */
static void test_replay_to(void **state)
{
    struct session_config config = sample_config();
    struct session_limits limits = plain_limits;
    uint64_t cycles, hash;
    (void)state;
    limits.max_cycles = 1500001;
    struct outcome half = record(&config, &limits, TALK);
    struct outcome whole = record(&config, &plain_limits, TALK "send \"Q\"\n");
    assert_int_equal(replay(whole.log, whole.log_size, 1500001, &cycles, &hash), REPLAY_RUNS);
    assert_int_equal(cycles, 1500001);
    assert_true(hash == half.hash);
    free(half.log);
    free(whole.log);
}

static void test_foreign_header_is_refused(void **state)
{
    struct session_config read;
    struct log_header header = { .model = 999 };
    char error[IMAGE_ERROR_BYTES];
    (void)state;
    assert_false(session_config_from_header(&read, &header, error));
    assert_non_null(strstr(error, "model 999"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_end),
        cmocka_unit_test(test_power_cycles),
        cmocka_unit_test(test_equal_runs_equal_bytes),
        cmocka_unit_test(test_cut_off_log),
        cmocka_unit_test(test_divergence_is_found),
        cmocka_unit_test(test_replay_to),
        cmocka_unit_test(test_foreign_header_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
