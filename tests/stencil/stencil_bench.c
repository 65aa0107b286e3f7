/*
 * What stencils gain: hot loops, or guests from files, on the engine as it is and with glued blocks, in turns.
 *
 *   stencil_bench [--rounds N] [--cycles N] [--only engine|glued] [--unlinked] [--lacking] [LOOP...]
 *   stencil_bench [...] --kernel FILE [--initrd FILE] [--cmdline TEXT] [--flat] [--memory MIB]
 *
 * CPU seconds are the least of all rounds, without loading and, where glued, with gluing; both ways must end in equal
 * states. --only makes one run of one way, for cachegrind. --unlinked: blocks go
 * on by their chains, not by jumps. --lacking: which handlers stood in blocks without a stencil.
 */
#include "replay/hash.h"
#include "tests/stencil/guest.h"
#include "tests/stencil/loops.h"
#include "tests/stencil/stencil.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SLICE_MIN 100000u /* cycles between two looks for new blocks; more while there are but few */
#define SLICE_MAX 20000000u
#define MANY      100u

struct options {
    unsigned rounds;
    uint64_t cycles, ram_bytes;
    const char *only;
    bool lacking, unlinked;
    struct load_request request;
};

struct outcome {
    double seconds, gluing; /* the latter is part of the former */
    uint64_t cycles, retired, hash, console;
    struct glue_counts counts;
};

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void tell_lacking(const char *name, uint64_t count)
{
    printf("    lacks %-24s %" PRIu64 "\n", name, count);
}

static struct outcome run(const struct options *options, bool glued)
{
    const char *why = "";
    struct glue *glue = glued ? glue_create(&why) : NULL;
    if (glued && !glue) {
        fprintf(stderr, "stencil_bench: %s\n", why);
        exit(1);
    }
    struct guest guest;
    guest_create(&guest, &options->request, options->ram_bytes, "x86-64-v2");
    struct outcome outcome = { 0 };
    uint64_t slice = SLICE_MIN;
    double start = cpu_seconds();
    while (!guest.ended && machine_now(guest.machine) < options->cycles) {
        uint64_t left = options->cycles - machine_now(guest.machine);
        guest_run(&guest, machine_now(guest.machine) + (slice < left ? slice : left));
        if (!glue)
            continue;
        double before = cpu_seconds();
        unsigned done = glue_blocks(glue, machine_boot_cpu(guest.machine));
        if (!options->unlinked)
            done += glue_link(glue, machine_boot_cpu(guest.machine));
        slice = done > MANY ? SLICE_MIN : 2 * slice;
        if (slice > SLICE_MAX)
            slice = SLICE_MAX;
        outcome.gluing += cpu_seconds() - before;
    }
    outcome.seconds = cpu_seconds() - start;
    outcome.cycles = machine_now(guest.machine);
    outcome.retired = machine_retired(guest.machine);
    outcome.console = guest.console;
    struct state_hash hash;
    if (state_hash_init(&hash, machine_board(guest.machine)))
        exit(1);
    outcome.hash = state_hash_take(&hash);
    state_hash_destroy(&hash);
    if (glue) {
        outcome.counts = *glue_counts(glue);
        if (options->lacking)
            glue_lacking(glue, tell_lacking);
    }
    guest_destroy(&guest);
    glue_destroy(glue);
    return outcome;
}

static bool equal(const struct outcome *a, const struct outcome *b)
{
    return a->cycles == b->cycles && a->retired == b->retired && a->hash == b->hash && a->console == b->console;
}

/* One guest, both ways. False if they differ. */
static bool measure(const char *name, const struct options *options)
{
    struct outcome best[2], now;
    for (unsigned round = 0; round < options->rounds; round++) {
        for (unsigned glued = 0; glued < 2; glued++) {
            if (options->only && glued != !strcmp(options->only, "glued"))
                continue;
            now = run(options, glued);
            if (round == 0 || now.seconds < best[glued].seconds)
                best[glued] = now;
        }
    }
    if (options->only) {
        printf("%-8s instructions %" PRIu64 "\n", name, now.retired);
        return true;
    }
    const struct glue_counts *counts = &best[1].counts;
    printf("%-8s %6.1f M instructions  engine %6.3f s %6.0f MIPS  glued %6.3f s %6.0f MIPS (gluing %.3f s)  ratio %.3f",
           name, (double)now.retired / 1e6, best[0].seconds, (double)now.retired / 1e6 / best[0].seconds,
           best[1].seconds, (double)now.retired / 1e6 / best[1].seconds, best[1].gluing,
           best[1].seconds / best[0].seconds);
    printf("  %" PRIu64 " blocks, %" PRIu64 " of %" PRIu64 " ops, %.1f bytes each, %" PRIu64 " links\n", counts->blocks,
           counts->stencils, counts->ops, counts->ops ? (double)counts->bytes / (double)counts->ops : 0, counts->links);
    if (!equal(&best[0], &best[1]))
        printf("%s: the two ways end in different states\n", name);
    return equal(&best[0], &best[1]);
}

enum {
    OPTION_ROUNDS = 1,
    OPTION_CYCLES,
    OPTION_ONLY,
    OPTION_LACKING,
    OPTION_UNLINKED,
    OPTION_KERNEL,
    OPTION_INITRD,
    OPTION_CMDLINE,
    OPTION_FLAT,
    OPTION_MEMORY
};
static const struct option long_options[] = {
    { "rounds", required_argument, NULL, OPTION_ROUNDS },
    { "cycles", required_argument, NULL, OPTION_CYCLES },
    { "only", required_argument, NULL, OPTION_ONLY },
    { "lacking", no_argument, NULL, OPTION_LACKING },
    { "unlinked", no_argument, NULL, OPTION_UNLINKED },
    { "kernel", required_argument, NULL, OPTION_KERNEL },
    { "initrd", required_argument, NULL, OPTION_INITRD },
    { "cmdline", required_argument, NULL, OPTION_CMDLINE },
    { "flat", no_argument, NULL, OPTION_FLAT },
    { "memory", required_argument, NULL, OPTION_MEMORY },
    { NULL, 0, NULL, 0 },
};

static void parse(struct options *options, int argc, char **argv)
{
    for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        switch (option) {
        case OPTION_ROUNDS:
            options->rounds = (unsigned)strtoul(optarg, NULL, 0);
            break;
        case OPTION_CYCLES:
            options->cycles = strtoull(optarg, NULL, 0);
            break;
        case OPTION_ONLY:
            options->only = optarg;
            options->rounds = 1;
            break;
        case OPTION_LACKING:
            options->lacking = true;
            break;
        case OPTION_UNLINKED:
            options->unlinked = true;
            break;
        case OPTION_KERNEL:
            options->request.kernel = guest_file(optarg);
            break;
        case OPTION_INITRD:
            options->request.initrd = guest_file(optarg);
            break;
        case OPTION_CMDLINE:
            options->request.cmdline = optarg;
            break;
        case OPTION_FLAT:
            options->request.entry = LOAD_FLAT;
            break;
        case OPTION_MEMORY:
            options->ram_bytes = strtoull(optarg, NULL, 0) << 20;
            break;
        default:
            exit(2);
        }
    }
}

static bool wanted(const char *name, int argc, char **argv)
{
    bool found = optind == argc;
    for (int i = optind; i < argc; i++)
        found |= !strcmp(argv[i], name);
    return found;
}

int main(int argc, char **argv)
{
    struct options options = { .rounds = 5, .cycles = 50000000, .ram_bytes = 16u << 20 };
    bool same = true;
    parse(&options, argc, argv);
    if (options.rounds == 0)
        return 2;
    if (options.request.kernel.bytes)
        return measure("guest", &options) ? 0 : 1;
    for (unsigned i = 0; i < loop_count; i++) {
        if (!wanted(loops[i].name, argc, argv))
            continue;
        options.request.entry = LOAD_FLAT;
        options.request.kernel = (struct image){ .path = loops[i].name,
                                                 .bytes = loops[i].begin,
                                                 .size_bytes = (size_t)(loops[i].end - loops[i].begin) };
        same &= measure(loops[i].name, &options);
    }
    return same ? 0 : 1;
}
