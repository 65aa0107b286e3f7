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
#include "sim/commands.h"
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

#define JOBS_MAX         256u
#define DIFFTEST_SKIPPED 77 /* what ctest takes for "skipped" */

struct difftest_options {
    const char *isa, *insn, *report, *vectors, *replay, *rebase;
    uint64_t count, seed, jobs;
    unsigned reference, undefined;
    bool quiet;
};

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
    { "vectors", 0, "DIR", "where the reduced case of each differing form is written", OPTION_TEXT, AT(vectors), 0,
      NULL },
    { "replay", 0, "FILE", "run the vectors of a file against what they expect; needs no reference", OPTION_TEXT,
      AT(replay), 0, NULL },
    { "rebase", 0, "FILE", "run the vectors of a file on the reference and write what comes out into the file",
      OPTION_TEXT, AT(rebase), 0, NULL },
    { "quiet", 'q', NULL, "only the differences and the last line", OPTION_FLAG, AT(quiet), 0, NULL },
    { 0 },
};
static const struct command_line difftest_line = {
    .command = "difftest",
    .summary = "Compares generated instructions in random states with this host's processor.",
    .options = difftest_options,
};

/* Per row, filled by the jobs. */
struct form_result {
    uint32_t tried, equal, masked, explained, differing, illegal, no_verdict;
    uint32_t unmade; /* encodings that could not be made up */
    uint32_t by_explanation[DIFFTEST_EXPLANATIONS_MAX];
    bool done, begun;
};
struct shared {
    unsigned next; /* the next row to be taken; jobs take them by an atomic addition */
    struct form_result forms[ISA_ROW_COUNT];
    bool gp_emulated;       /* by the reference */
    double rates[JOBS_MAX]; /* states a second of each job's reference alone */
};

struct job {
    const struct difftest_options *options;
    struct shared *shared;
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
};

static bool row_wanted(const struct difftest_options *options, const struct isa_row *row)
{
    if (options->insn && strcasecmp(row->mnemonic, options->insn) != 0)
        return false;
    if (options->isa && strcasecmp(row->feature_name, options->isa) != 0 &&
        strcasecmp(isa_features[row->feature].name, options->isa) != 0)
        return false;
    return true;
}

static bool host_has(const uint64_t features[2], const struct isa_row *row)
{
    return features[row->feature / 64] >> (row->feature % 64) & 1;
}

/* Why a row is not run on this host; NULL: it is. */
static const char *not_run(const struct difftest_options *options, const uint64_t features[2],
                           const struct isa_row *row)
{
    const char *why = difftest_references[options->reference]->row_skipped(row);
    return why ? why : host_has(features, row) ? NULL : "not on this host";
}

/* --- one mismatch --- */

/* Both sides again; true if they still differ without an explanation. */
static bool still_differs(struct job *job, const struct difftest_memory *memory, const struct difftest_case *test,
                          struct difftest_outcome *reference)
{
    unsigned explanation;
    job->kind->run(job->reference, memory, test, reference, 1);
    difftest_sim_run(job->sim, memory, test, &job->outcome);
    return difftest_compare(test, reference, &job->outcome, memory, &explanation, NULL) == DIFFTEST_DIFFERS;
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
        if (memcmp(kept, (uint8_t *)at + done, part) != 0 && !still_differs(job, memory, test, reference))
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
                still_differs(job, &simpler, test, reference))
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
    still_differs(job, memory, test, reference);
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

static void report_mismatch(struct job *job, unsigned row, const struct difftest_case *test)
{
    struct difftest_memory *memory = malloc(sizeof(*memory));
    struct difftest_outcome *reference = malloc(sizeof(*reference));
    struct difftest_case reduced = *test;
    unsigned explanation;
    if (!memory || !reference)
        return;
    *memory = job->memory;
    if (still_differs(job, memory, &reduced, reference))
        reduce(job, memory, &reduced, reference);
    else
        fprintf(stdout, "the following does not repeat itself:\n");
    printf("%s %s: ", isa_rows[row].mnemonic, isa_rows[row].encoding);
    print_case(&reduced, stdout);
    difftest_compare(&reduced, reference, &job->outcome, memory, &explanation, stdout);
    fflush(stdout);
    if (job->options->vectors) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%s-%u.txt", job->options->vectors, isa_rows[row].mnemonic, row);
        FILE *out = fopen(path, "a");
        if (out) {
            difftest_vector_write(out, &reduced, reference, memory, job->processor);
            fclose(out);
        } else {
            fprintf(stderr, "sim difftest: %s: %s\n", path, strerror(errno));
        }
    }
    free(memory);
    free(reference);
}

/* --- one form --- */

#define REPORTED_PER_FORM 2u

/*
 * A reference that avoids traps has code of its own behind the instruction, which a test may happen to read: a
 * difference counts if it is there in a run by itself, too.
 */
static enum difftest_verdict verdict_of(struct job *job, unsigned i, unsigned *explanation)
{
    const struct difftest_case *test = &job->tests[i];
    struct difftest_outcome *reference = &job->references[i];
    enum difftest_verdict verdict = difftest_compare(test, reference, &job->outcome, &job->memory, explanation, NULL);
    if (verdict != DIFFTEST_DIFFERS || !job->kind->traps_are_slow)
        return verdict;
    job->kind->run(job->reference, &job->memory, test, reference, 1);
    return difftest_compare(test, reference, &job->outcome, &job->memory, explanation, NULL);
}

static void run_batch(struct job *job, unsigned row, unsigned count)
{
    struct form_result *form = &job->shared->forms[row];
    job->kind->run(job->reference, &job->memory, job->tests, job->references, count);
    unsigned first[DIFFTEST_BATCH_MAX], differing = 0;
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
            form->by_explanation[explanation]++;
            break;
        case DIFFTEST_DIFFERS:
            if (form->differing++ < REPORTED_PER_FORM)
                first[differing++] = i;
            break;
        }
    }
    for (unsigned i = 0; i < differing; i++)
        report_mismatch(job, row, &job->tests[first[i]]);
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

/* The states of a form: batches, each with new memory; eight states an encoding, one encoding in sixteen illegal. */
static void run_form(struct job *job, unsigned row)
{
    struct form_result *form = &job->shared->forms[row];
    uint64_t left = job->options->count;
    job->generator.random.state = job->options->seed * 0x9E3779B97F4A7C15u + row;
    form->begun = true;
    while (left > 0) {
        unsigned batch = job->kind->batch, made = 0;
        unsigned count = left < batch ? (unsigned)left : batch;
        difftest_make_memory(&job->generator.random, &job->memory);
        while (made < count) {
            bool illegal = (difftest_random(&job->generator.random) & 15) == 0;
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
    form->done = true;
}

static int run_job(const struct difftest_options *options, struct shared *shared, unsigned number)
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
        if (row_wanted(options, &isa_rows[row]) && !not_run(options, job->features, &isa_rows[row]))
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

static int run_jobs(const struct difftest_options *options, struct shared *shared)
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

struct totals {
    uint64_t forms, tried, equal, masked, explained, differing, illegal, differing_forms, unfinished;
    uint64_t by_explanation[DIFFTEST_EXPLANATIONS_MAX];
};

static void add_up(const struct difftest_options *options, const struct shared *shared, struct totals *totals)
{
    memset(totals, 0, sizeof(*totals));
    for (unsigned row = 0; row < ISA_ROW_COUNT; row++) {
        const struct form_result *form = &shared->forms[row];
        if (!form->begun || (form->done && !form->tried))
            continue;
        totals->forms++;
        totals->tried += form->tried;
        totals->equal += form->equal;
        totals->masked += form->masked;
        totals->explained += form->explained;
        totals->differing += form->differing;
        totals->illegal += form->illegal;
        totals->differing_forms += form->differing != 0;
        totals->unfinished += !form->done;
        for (unsigned i = 0; i < difftest_explanation_count; i++)
            totals->by_explanation[i] += form->by_explanation[i];
        if (!form->done)
            printf("%s %s: not finished: %s\n", isa_rows[row].mnemonic, isa_rows[row].encoding,
                   form->unmade > 64 + 4 * options->count ? "no encoding could be made up" : "the job died in it");
    }
}

static void write_report(FILE *out, const struct difftest_options *options, const struct shared *shared,
                         const uint64_t features[2], const char *processor)
{
    fprintf(out, "# reference: %s; table %s, count %" PRIu64 ", seed %" PRIu64 "\n", processor, isa_fingerprint,
            options->count, options->seed);
    fprintf(
        out,
        "# mnemonic | encoding | operands | tried | equal | masked | explained | differing, or why it was not run\n");
    for (unsigned row = 0; row < ISA_ROW_COUNT; row++) {
        const struct isa_row *r = &isa_rows[row];
        const struct form_result *form = &shared->forms[row];
        if (!row_wanted(options, r))
            continue;
        fprintf(out, "%s | %s | %s | ", r->mnemonic, r->encoding, r->operands);
        const char *why = not_run(options, features, r);
        if (why)
            fprintf(out, "%s\n", why);
        else
            fprintf(out, "%u | %u | %u | %u | %u\n", form->tried, form->equal, form->masked, form->explained,
                    form->differing);
    }
}

/* Rows left out, by reason. */
static void print_skipped(const struct difftest_options *options, const uint64_t features[2])
{
    const char *reasons[64];
    unsigned counts[64], count = 0;
    for (unsigned row = 0; row < ISA_ROW_COUNT; row++) {
        const char *why = row_wanted(options, &isa_rows[row]) ? not_run(options, features, &isa_rows[row]) : NULL;
        unsigned i = 0;
        while (why && i < count && strcmp(reasons[i], why) != 0)
            i++;
        if (!why || i == 64)
            continue;
        if (i == count) {
            reasons[count] = why;
            counts[count++] = 0;
        }
        counts[i]++;
    }
    for (unsigned i = 0; i < count; i++)
        printf("  not run, %s: %u forms\n", reasons[i], counts[i]);
}

static void print_totals(const struct totals *totals, double seconds)
{
    printf("%" PRIu64 " forms, %" PRIu64 " states (%" PRIu64 " of encodings that must be #UD): %" PRIu64
           " equal, %" PRIu64 " equal but for undefined flags, %" PRIu64 " explained, %" PRIu64
           " differing (in %" PRIu64 " forms); %.1f s, %.0f a second\n",
           totals->forms, totals->tried, totals->illegal, totals->equal, totals->masked, totals->explained,
           totals->differing, totals->differing_forms, seconds, (double)totals->tried / (seconds > 0 ? seconds : 1));
}

/* What the reference alone does, without generator, interpreter and comparison. */
static void print_rates(const struct difftest_options *options, const struct shared *shared)
{
    double rate = 0;
    for (unsigned i = 0; i < options->jobs; i++)
        rate += shared->rates[i];
    if (rate > 0)
        printf("the reference alone (%s): %.0f states a second of its processor time\n",
               difftest_references[options->reference]->name, rate);
}

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A defined difference that a whole run never met may be out of date. */
static unsigned print_explanations(const struct totals *totals, bool whole, bool gp_emulated)
{
    unsigned stale = 0;
    bool intel = difftest_host_is_intel();
    for (unsigned i = 0; i < difftest_explanation_count; i++) {
        const struct difftest_explanation *e = &difftest_explanations[i];
        bool expected =
            whole && !(e->intel_only && !intel) && !(e->amd_only && intel) && (gp_emulated || !e->gp_emulated);
        if (totals->by_explanation[i])
            printf("  explained by %s: %" PRIu64 "\n", e->name, totals->by_explanation[i]);
        else if (expected) {
            printf("  never seen: %s (%s)\n", e->name, e->text);
            stale++;
        }
    }
    return stale;
}

static int compare(struct difftest_options *options)
{
    uint64_t features[2];
    char processor[96];
    struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
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
    struct totals totals;
    int status = run_jobs(options, shared);
    double seconds = now_seconds() - start;
    add_up(options, shared, &totals);
    if (!options->quiet)
        print_skipped(options, features);
    print_explanations(&totals, !options->isa && !options->insn && options->count >= 256, shared->gp_emulated);
    print_totals(&totals, seconds);
    print_rates(options, shared);
    if (options->report) {
        FILE *out = fopen(options->report, "w");
        if (!out) {
            fprintf(stderr, "sim difftest: %s: %s\n", options->report, strerror(errno));
            return STATUS_HOST_ERROR;
        }
        write_report(out, options, shared, features, processor);
        fclose(out);
    }
    if (!totals.forms && !status) {
        fprintf(stderr, "sim difftest: no form fits, or none can be run here\n");
        return STATUS_USAGE;
    }
    munmap(shared, sizeof(*shared));
    return status ? status : totals.differing || totals.unfinished ? STATUS_DIVERGED : STATUS_OK;
}

/* --- vectors --- */

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
    unsigned line = 0, count = 0, differing = 0, explanation;
    int got;
    while ((got = difftest_vector_read(in, &job->tests[0], &job->references[0], &job->memory, &line)) > 0) {
        difftest_sim_run(job->sim, &job->memory, &job->tests[0], &job->outcome);
        count++;
        if (difftest_compare(&job->tests[0], &job->references[0], &job->outcome, &job->memory, &explanation, NULL) !=
            DIFFTEST_DIFFERS)
            continue;
        differing++;
        printf("%s:%u: ", path, line);
        print_case(&job->tests[0], stdout);
        difftest_compare(&job->tests[0], &job->references[0], &job->outcome, &job->memory, &explanation, stdout);
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
    while (out && (got = difftest_vector_read(in, &job->tests[0], &job->references[0], &job->memory, &line)) > 0) {
        job->kind->run(job->reference, &job->memory, &job->tests[0], &job->references[0], 1);
        difftest_vector_write(out, &job->tests[0], &job->references[0], &job->memory, job->processor);
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
    if (options.jobs < 1 || options.jobs > JOBS_MAX) {
        fprintf(stderr, "sim difftest: --jobs is 1 to 256\n");
        return STATUS_USAGE;
    }
    if (options.rebase)
        return rebase(options.rebase);
    return options.replay ? replay(options.replay) : compare(&options);
}
