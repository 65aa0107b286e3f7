/*
 * sim difftest: compares the interpreter with a real processor, instruction by instruction (docs/difftest.md).
 *
 * Each row of isa.def that runs in 64-bit user code gets so many encodings and states; jobs are processes that share
 * the rows among them. Exit status: STATUS_OK no unexplained difference, STATUS_DIVERGED there is one, STATUS_BAD_INPUT
 * a vector file that cannot be read, STATUS_HOST_ERROR this host cannot be the reference.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "cpu/undefined.h"
#include "kvm/difftest.h"
#include "kvm/system_vector.h"
#include "sim/commands.h"
#include "sim/difftest_report.h"
#include "sim/options.h"
#include "sim/status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DIFFTEST_SKIPPED 77 /* what ctest takes for "skipped" */

static const char *const reference_names[] = { "native", "kvm", NULL }; /* as difftest_references has them */
/* masked: what the manual leaves undefined is as Intel's processors do it, and is not compared */
enum { UNDEFINED_MASKED, UNDEFINED_AS_INTEL, UNDEFINED_AS_AMD };
static const char *const undefined_names[] = { "masked", "intel", "amd", NULL };

#define AT(member) offsetof(struct difftest_options, member)
static const struct option difftest_options[] = {
    { "isa", 0, "FEATURE", "only rows of this CPUID feature", OPTION_TEXT, AT(isa), 0, NULL },
    { "insn", 0, "MNEMONIC", "only rows of this mnemonic", OPTION_TEXT, AT(insn), 0, NULL },
    { "count", 0, "N", "states per form (256)", OPTION_NUMBER, AT(count), 1000, NULL },
    { "seed", 0, "S", "of everything made up (1)", OPTION_NUMBER, AT(seed), 0, NULL },
    { "jobs", 0, "N", "processes (1)", OPTION_NUMBER, AT(jobs), 0, NULL },
    { "reference", 0, "WHICH", "this processor: native, by signals, or kvm, in a guest (native)", OPTION_CHOICE,
      AT(reference), 0, reference_names },
    { "undefined", 0, "WHO", "intel, amd: compare what manuals leave undefined too, on a host of that vendor (masked)",
      OPTION_CHOICE, AT(undefined), 0, undefined_names },
    { "report", 0, "FILE", "a line per form: tried, equal, masked, explained, differing", OPTION_TEXT, AT(report), 0,
      NULL },
    { "summary", 0, "FILE", "renew the last section of this page: the run on record", OPTION_TEXT, AT(summary), 0,
      NULL },
    { "vectors", 0, "DIR", "where the reduced case of each differing form is written", OPTION_TEXT, AT(vectors), 0,
      NULL },
    { "replay", 0, "FILE", "run the vectors of a file against what they expect; needs no reference", OPTION_TEXT,
      AT(replay), 0, NULL },
    { "rebase", 0, "FILE", "run the vectors of a file on the reference and write what comes out into the file",
      OPTION_TEXT, AT(rebase), 0, NULL },
    { "explained", 0, "NAME,...", "report these defined differences, too (or all): a few cases", OPTION_TEXT,
      AT(explained), 0, NULL },
    { "quiet", 'q', NULL, "only the differences and the last line", OPTION_FLAG, AT(quiet), 0, NULL },
    { 0 },
};
static const struct command_line difftest_line = {
    .command = "difftest",
    .summary = "Compares generated instructions in random states with this host's processor.",
    .options = difftest_options,
};

struct job {
    const struct difftest_options *options;
    struct difftest_shared *shared;
    const struct difftest_reference *kind;
    void *reference;
    struct difftest_sim *sim;
    struct difftest_generator generator;
    uint64_t features[2];
    char processor[96];
    struct difftest_memory memory;
    struct difftest_case tests[DIFFTEST_BATCH_MAX];
    struct difftest_outcome references[DIFFTEST_BATCH_MAX];
    struct difftest_outcome outcome;
    enum difftest_verdict reduced; /* what the case that is being reduced must stay */
    unsigned reduced_explanation;
    unsigned shown[DIFFTEST_EXPLANATIONS_MAX];
};

/* --- one mismatch --- */

/* Both sides again; true if the verdict is the one that is being reduced. */
static bool still_is(struct job *job, const struct difftest_memory *memory, const struct difftest_case *test,
                     struct difftest_outcome *reference)
{
    unsigned explanation;
    job->kind->run(job->reference, memory, test, reference, 1);
    difftest_sim_run(job->sim, memory, test, &job->outcome);
    enum difftest_verdict verdict = difftest_compare(job->sim, test, reference, &job->outcome, memory, &explanation);
    return verdict == job->reduced && (verdict != DIFFTEST_EXPLAINED || explanation == job->reduced_explanation);
}

/* Tries a simpler form of the case, and keeps it if the difference stays. */
static void try_zero(struct job *job, struct difftest_memory *memory, struct difftest_case *test, void *at,
                     unsigned bytes, uint64_t value, struct difftest_outcome *reference)
{
    uint8_t kept[64];
    for (unsigned done = 0; done < bytes; done += sizeof(kept)) {
        unsigned part = bytes - done < sizeof(kept) ? bytes - done : sizeof(kept);
        memcpy(kept, (uint8_t *)at + done, part);
        memset((uint8_t *)at + done, 0, part);
        if (value)
            memcpy(at, &value, part < 8 ? part : 8);
        if (memcmp(kept, (uint8_t *)at + done, part) != 0 && !still_is(job, memory, test, reference))
            memcpy((uint8_t *)at + done, kept, part);
    }
}

/* Clears what the difference does not need, piece by piece. */
static void reduce(struct job *job, struct difftest_memory *memory, struct difftest_case *test,
                   struct difftest_outcome *reference)
{
    struct difftest_state *state = &test->state;
    for (unsigned bytes = DIFFTEST_DATA_BYTES; bytes >= 64; bytes /= 2) {
        for (unsigned at = 0; at < DIFFTEST_DATA_BYTES; at += bytes) {
            struct difftest_memory simpler = *memory;
            memset(simpler.data + at, 0, bytes);
            if (memcmp(simpler.data, memory->data, sizeof(simpler.data)) != 0 &&
                still_is(job, &simpler, test, reference))
                *memory = simpler;
        }
    }
    try_zero(job, memory, test, memory->read_only, DIFFTEST_READ_ONLY_BYTES, 0, reference);
    try_zero(job, memory, test, state->zmm, sizeof(state->zmm), 0, reference);
    try_zero(job, memory, test, state->opmask, sizeof(state->opmask), 0, reference);
    for (unsigned i = 0; i < 16; i++)
        try_zero(job, memory, test, &state->gpr[i], 8, 0, reference);
    for (unsigned i = 0; i < 8; i++)
        try_zero(job, memory, test, &state->x87.r[i], sizeof(state->x87.r[i]), 0, reference);
    try_zero(job, memory, test, &state->x87.fcw, 2, 0x37F, reference);
    try_zero(job, memory, test, &state->x87.tags, 1, 0, reference);
    try_zero(job, memory, test, &state->x87.fsw, 2, 0, reference);
    try_zero(job, memory, test, &state->mxcsr, 4, 0x1F80, reference);
    try_zero(job, memory, test, &state->rflags, 8, FLAGS_FIXED | FLAG_IF, reference);
    still_is(job, memory, test, reference);
}

static void print_case(const struct difftest_case *test, FILE *out)
{
    struct insn insn;
    char text[160] = "no instruction";
    if (test->row && decode(test->bytes, test->length, 64, NULL, &insn) == DECODE_OK)
        insn_format(&insn, test->state.rip, text, sizeof(text));
    for (unsigned i = 0; i < test->length; i++)
        fprintf(out, "%02x ", test->bytes[i]);
    fprintf(out, " %s%s\n", text, test->step ? "  (stepped)" : "");
}

static void write_vector(const struct job *job, const char *name, const struct difftest_case *test,
                         const struct difftest_outcome *reference, const struct difftest_memory *memory,
                         const char *explained)
{
    char path[512];
    if (!job->options->vectors)
        return;
    snprintf(path, sizeof(path), "%s/%s.txt", job->options->vectors, name);
    FILE *out = fopen(path, "a");
    if (!out) {
        fprintf(stderr, "sim difftest: %s: %s\n", path, strerror(errno));
        return;
    }
    difftest_vector_write(out, test, reference, memory, job->processor, explained);
    fclose(out);
}

/* Reduces a case whose verdict is job->reduced, prints it and writes its vector. */
static void report_case(struct job *job, unsigned row, const struct difftest_case *test)
{
    struct difftest_memory *memory = malloc(sizeof(*memory));
    struct difftest_outcome *reference = malloc(sizeof(*reference));
    struct difftest_case reduced = *test;
    bool explained = job->reduced == DIFFTEST_EXPLAINED;
    char name[64];
    if (!memory || !reference) {
        free(memory);
        free(reference);
        return;
    }
    *memory = job->memory;
    if (still_is(job, memory, &reduced, reference))
        reduce(job, memory, &reduced, reference);
    else
        printf("the following does not repeat itself:\n");
    printf("%s %s: ", isa_rows[row].mnemonic, isa_rows[row].encoding);
    print_case(&reduced, stdout);
    difftest_differences(&reduced, reference, &job->outcome, memory, stdout);
    fflush(stdout);
    snprintf(name, sizeof(name), explained ? "explained" : "%s-%u", isa_rows[row].mnemonic, row);
    write_vector(job, name, &reduced, reference, memory,
                 explained ? difftest_explanation(job->reduced_explanation)->name : NULL);
    free(memory);
    free(reference);
}

/* --- one form --- */

#define REPORTED_PER_FORM 2u
#define EXPLAINED_PER_JOB 6u

static bool is_shown(const struct job *job, unsigned explanation)
{
    const char *wanted = job->options->explained;
    return wanted && (strcmp(wanted, "all") == 0 || strstr(wanted, difftest_explanation(explanation)->name));
}

/*
 * A reference that avoids traps has code of its own behind the instruction, which a test may happen to read: a
 * difference counts if it is there in a run by itself, too.
 */
static enum difftest_verdict verdict_of(struct job *job, unsigned i, unsigned *explanation)
{
    const struct difftest_case *test = &job->tests[i];
    struct difftest_outcome *reference = &job->references[i];
    enum difftest_verdict verdict =
        difftest_compare(job->sim, test, reference, &job->outcome, &job->memory, explanation);
    if (verdict != DIFFTEST_DIFFERS || !job->kind->traps_are_slow)
        return verdict;
    job->kind->run(job->reference, &job->memory, test, reference, 1);
    return difftest_compare(job->sim, test, reference, &job->outcome, &job->memory, explanation);
}

/* The interpreter met a page that is not there, and the reference something of its own. */
static bool met_the_reference(const struct job *job)
{
    const struct difftest_outcome *outcome = &job->outcome;
    return outcome->vector == VEC_PF && job->kind->occupies && job->kind->occupies(job->reference, outcome->cr2);
}

static void run_batch(struct job *job, unsigned row, unsigned count)
{
    struct difftest_form *form = &job->shared->forms[row];
    job->kind->run(job->reference, &job->memory, job->tests, job->references, count);
    unsigned first[REPORTED_PER_FORM], differing = 0;
    unsigned shown[DIFFTEST_EXPLANATIONS_MAX], shown_explanation[DIFFTEST_EXPLANATIONS_MAX], explanations = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned explanation = 0;
        difftest_sim_run(job->sim, &job->memory, &job->tests[i], &job->outcome);
        form->tried++;
        form->illegal += !job->tests[i].row;
        if (job->references[i].no_verdict) {
            form->no_verdict++;
            continue;
        }
        switch (verdict_of(job, i, &explanation)) {
        case DIFFTEST_EQUAL:
            form->equal++;
            break;
        case DIFFTEST_MASKED:
            form->masked++;
            break;
        case DIFFTEST_EXPLAINED:
            form->explained++;
            if (form->by_explanation[explanation]++ == 0 && is_shown(job, explanation) &&
                job->shown[explanation]++ < EXPLAINED_PER_JOB) {
                shown[explanations] = i;
                shown_explanation[explanations++] = explanation;
            }
            break;
        case DIFFTEST_DIFFERS:
            if (met_the_reference(job)) {
                form->no_verdict++;
                break;
            }
            if (form->differing++ < REPORTED_PER_FORM)
                first[differing++] = i;
            break;
        }
    }
    job->reduced = DIFFTEST_DIFFERS;
    for (unsigned i = 0; i < differing; i++)
        report_case(job, row, &job->tests[first[i]]);
    job->reduced = DIFFTEST_EXPLAINED;
    for (unsigned i = 0; i < explanations; i++) {
        job->reduced_explanation = shown_explanation[i];
        report_case(job, row, &job->tests[shown[i]]);
    }
}

static void make_state(struct job *job, struct difftest_case *test)
{
    difftest_make_state(&job->generator, test);
    if (job->options->undefined == UNDEFINED_MASKED)
        difftest_mask(test, difftest_host_is_intel() ? UNDEFINED_BY_INTEL : UNDEFINED_BY_AMD);
}

/* True if the trap of a single step tells no more than running into what follows. */
static bool may_run_on(const struct difftest_case *test)
{
    return test->step && test->row && !(test->row->attributes & (ISA_BRANCH | ISA_REP));
}

/* The states of a form: batches, each with new memory; four states an encoding, one encoding in sixteen illegal. */
static void run_form(struct job *job, unsigned row)
{
    struct difftest_form *form = &job->shared->forms[row];
    uint64_t left = job->options->count;
    job->generator.random.state = job->options->seed * 0x9E3779B97F4A7C15u + row;
    struct difftest_generator *generator = &job->generator;
    generator->turn = difftest_random(&generator->random) >> 32;
    generator->illegal_turn = generator->state_turn = generator->place = generator->turn;
    generator->combinations = 0;
    form->begun = true;
    while (left > 0) {
        unsigned batch = job->kind->batch, made = 0;
        unsigned count = left < batch ? (unsigned)left : batch;
        difftest_make_memory(&job->generator.random, &job->memory);
        while (made < count) {
            bool illegal = (difftest_random(&job->generator.random) & 15) == 0;
            form->encodings += !illegal;
            unsigned states = count - made < 4 ? count - made : 4;
            struct difftest_case *test = &job->tests[made];
            if (!difftest_make_insn(&job->generator, &isa_rows[row], illegal, test)) {
                form->unmade++;
                if (form->unmade > 64 + 4 * job->options->count) {
                    form->done = true; /* it has no encoding of its own in 64-bit mode */
                    return;
                }
                continue;
            }
            if (job->kind->traps_are_slow && may_run_on(test) && difftest_random(&job->generator.random) % 32)
                test->step = false;
            for (unsigned i = 1; i < states; i++)
                test[i] = test[0];
            for (unsigned i = 0; i < states; i++)
                make_state(job, &test[i]);
            made += states;
        }
        run_batch(job, row, made);
        left -= count;
    }
    form->combinations = generator->combinations;
    form->done = true;
}

static int run_job(const struct difftest_options *options, struct difftest_shared *shared, unsigned number)
{
    struct job *job = calloc(1, sizeof(*job));
    const char *why = "no memory";
    if (!job)
        return STATUS_HOST_ERROR;
    job->options = options;
    job->shared = shared;
    job->kind = difftest_references[options->reference];
    job->generator.features = job->features;
    job->generator.reference = job->kind;
    difftest_host_features(job->features);
    difftest_host_name(job->processor, sizeof(job->processor));
    job->sim =
        difftest_sim_open(job->features, options->undefined == UNDEFINED_AS_AMD ? UNDEFINED_AMD : UNDEFINED_INTEL);
    job->reference = job->sim ? job->kind->open(&why) : NULL;
    if (!job->reference) {
        fprintf(stderr, "sim difftest: skipped: %s\n", why);
        return DIFFTEST_SKIPPED;
    }
    for (;;) {
        unsigned row = __atomic_fetch_add(&shared->next, 1, __ATOMIC_RELAXED);
        if (row >= ISA_ROW_COUNT)
            break;
        if (difftest_row_wanted(options, &isa_rows[row]) && !difftest_not_run(options, job->features, &isa_rows[row]))
            run_form(job, row);
    }
    if (job->kind->gp_emulated)
        shared->gp_emulated = job->kind->gp_emulated(job->reference);
    if (job->kind->rate)
        shared->rates[number] = job->kind->rate(job->reference);
    job->kind->close(job->reference);
    difftest_sim_close(job->sim);
    free(job);
    return STATUS_OK;
}

/* --- the whole --- */

static int run_jobs(const struct difftest_options *options, struct difftest_shared *shared)
{
    int result = STATUS_OK;
    fflush(stdout);
    for (unsigned i = 0; i < options->jobs; i++) {
        pid_t pid = fork();
        if (pid < 0)
            return STATUS_HOST_ERROR;
        if (pid == 0) {
            int status = run_job(options, shared, i);
            fflush(stdout);
            _exit(status);
        }
    }
    for (unsigned i = 0; i < options->jobs; i++) {
        int status;
        if (wait(&status) < 0)
            return STATUS_HOST_ERROR;
        if (WIFSIGNALED(status)) {
            fprintf(stderr, "sim difftest: a job was killed by signal %d\n", WTERMSIG(status));
            result = STATUS_DIVERGED;
        } else if (WEXITSTATUS(status)) {
            result = WEXITSTATUS(status);
        }
    }
    return result;
}

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int compare(struct difftest_options *options)
{
    uint64_t features[2];
    char processor[96];
    struct difftest_shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!difftest_host_features(features)) {
        fprintf(stderr, "sim difftest: skipped: the host is no x86-64 Linux\n");
        return DIFFTEST_SKIPPED;
    }
    if (options->undefined != UNDEFINED_MASKED &&
        (options->undefined == UNDEFINED_AS_INTEL) != difftest_host_is_intel()) {
        fprintf(stderr, "sim difftest: skipped: the host's processor is not of the vendor that --undefined names\n");
        return DIFFTEST_SKIPPED;
    }
    if (shared == MAP_FAILED)
        return STATUS_HOST_ERROR;
    difftest_host_name(processor, sizeof(processor));
    if (!options->quiet)
        printf("reference: %s; table %s, count %" PRIu64 ", seed %" PRIu64 ", undefined flags %s\n", processor,
               isa_fingerprint, options->count, options->seed,
               options->undefined == UNDEFINED_MASKED ? "masked" : "compared");
    double start = now_seconds();
    int status = run_jobs(options, shared);
    double seconds = now_seconds() - start;
    struct difftest_totals totals;
    difftest_add_up(options, shared, &totals);
    unsigned stale = difftest_print(options, shared, features, &totals, seconds);
    if (options->report && !difftest_write_report(options, shared, features))
        status = STATUS_HOST_ERROR;
    if (options->summary && !difftest_write_summary(options, shared, features, &totals))
        status = STATUS_HOST_ERROR;
    if (!totals.forms && !status) {
        fprintf(stderr, "sim difftest: no form fits, or none can be run here\n");
        status = STATUS_USAGE;
    }
    munmap(shared, sizeof(*shared));
    return status ? status : totals.differing || totals.unfinished || stale ? STATUS_DIVERGED : STATUS_OK;
}

/* --- vectors --- */

/* The first letter of the next vector's first line, EOF if there is none; the stream stands in front of it. */
static int next_vector(FILE *in, unsigned *line)
{
    int letter;
    while ((letter = getc(in)) == '#' || letter == '\n') {
        while (letter != '\n' && letter != EOF)
            letter = getc(in);
        ++*line;
    }
    return letter == EOF ? EOF : ungetc(letter, in);
}

/* A system vector: 0 it is as expected, 1 it differs, -EINVAL. */
static int replay_system(FILE *in, const char *path, unsigned *line)
{
    struct system_vector *vector = malloc(sizeof(*vector));
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    int result = -ENOMEM;
    if (vector && out) {
        result = system_vector_read(in, vector, line);
        if (!result)
            result = system_vector_check(vector, NULL, out);
        system_vector_free(vector);
    }
    if (out)
        fclose(out);
    if (result > 0)
        printf("%s:%u: the vector that ends here\n%s", path, *line, text);
    free(text);
    free(vector);
    return result > 0 ? 1 : result;
}

static int replay(const char *path)
{
    FILE *in = fopen(path, "r");
    if (!in) {
        fprintf(stderr, "sim difftest: %s: %s\n", path, strerror(errno));
        return STATUS_BAD_INPUT;
    }
    uint64_t features[2] = { UINT64_MAX, UINT64_MAX };
    struct job *job = calloc(1, sizeof(*job));
    if (job)
        job->sim = difftest_sim_open(features, UNDEFINED_INTEL);
    if (!job || !job->sim) {
        free(job);
        fclose(in);
        return STATUS_HOST_ERROR;
    }
    unsigned line = 0, count = 0, differing = 0, explanation = 0;
    char explained[DIFFTEST_NAME_BYTES];
    int got = 0, letter;
    while ((letter = next_vector(in, &line)) != EOF) {
        got = letter == 's'
                  ? replay_system(in, path, &line)
                  : difftest_vector_read(in, &job->tests[0], &job->references[0], &job->memory, explained, &line);
        if (letter == 's' && got >= 0) {
            count++;
            differing += (unsigned)got;
            continue;
        }
        if (got <= 0)
            break;
        difftest_sim_run(job->sim, &job->memory, &job->tests[0], &job->outcome);
        count++;
        enum difftest_verdict verdict =
            difftest_compare(job->sim, &job->tests[0], &job->references[0], &job->outcome, &job->memory, &explanation);
        const char *name = verdict == DIFFTEST_EXPLAINED ? difftest_explanation(explanation)->name : "";
        if (verdict != DIFFTEST_DIFFERS && strcmp(name, explained) == 0)
            continue;
        differing++;
        printf("%s:%u: ", path, line);
        print_case(&job->tests[0], stdout);
        if (*explained && verdict != DIFFTEST_DIFFERS)
            printf("  explained by %s once, now %s\n", explained, *name ? name : "equal: that is out of date");
        difftest_differences(&job->tests[0], &job->references[0], &job->outcome, &job->memory, stdout);
    }
    if (got < 0)
        fprintf(stderr, "sim difftest: %s:%u: not a line of a vector\n", path, line);
    printf("%s: %u vectors, %u differ\n", path, count, differing);
    difftest_sim_close(job->sim);
    free(job);
    fclose(in);
    return got < 0 ? STATUS_BAD_INPUT : differing ? STATUS_DIVERGED : STATUS_OK;
}

/* Vectors whose expectations come anew from the reference. */
static int rebase(const char *path)
{
    char new_path[512];
    const char *why = "no memory";
    struct job *job = calloc(1, sizeof(*job));
    FILE *in = fopen(path, "r"), *out = NULL;
    unsigned line = 0, count = 0;
    char explained[DIFFTEST_NAME_BYTES];
    int got = -EINVAL;
    if (!in)
        fprintf(stderr, "sim difftest: %s: %s\n", path, strerror(errno));
    if (!in || !job)
        return STATUS_BAD_INPUT;
    snprintf(new_path, sizeof(new_path), "%s.new", path);
    job->kind = &difftest_native;
    job->reference = job->kind->open(&why);
    if (!job->reference) {
        fprintf(stderr, "sim difftest: skipped: %s\n", why);
        return DIFFTEST_SKIPPED;
    }
    difftest_host_name(job->processor, sizeof(job->processor));
    out = fopen(new_path, "w");
    while (out &&
           (got = difftest_vector_read(in, &job->tests[0], &job->references[0], &job->memory, explained, &line)) > 0) {
        job->kind->run(job->reference, &job->memory, &job->tests[0], &job->references[0], 1);
        difftest_vector_write(out, &job->tests[0], &job->references[0], &job->memory, job->processor,
                              *explained ? explained : NULL);
        count++;
    }
    if (got < 0)
        fprintf(stderr, "sim difftest: %s:%u: not a line of a vector\n", path, line);
    job->kind->close(job->reference);
    free(job);
    fclose(in);
    if (!out || fclose(out) || got < 0 || rename(new_path, path))
        return STATUS_BAD_INPUT;
    printf("%s: %u vectors\n", path, count);
    return STATUS_OK;
}

int cmd_difftest(int argc, char **argv)
{
    struct difftest_options options = { .count = 256, .seed = 1, .jobs = 1 };
    const char *positional = NULL;
    int parsed = options_parse(&difftest_line, &options, &positional, argc, argv);
    if (parsed)
        return parsed == OPTIONS_HELP ? STATUS_OK : STATUS_USAGE;
    if (options.jobs < 1 || options.jobs > DIFFTEST_JOBS_MAX) {
        fprintf(stderr, "sim difftest: --jobs is 1 to 256\n");
        return STATUS_USAGE;
    }
    if (options.rebase)
        return rebase(options.rebase);
    return options.replay ? replay(options.replay) : compare(&options);
}
