/*
 * sim difftest: what was asked for, what the jobs found, and the reports of it.
 */
#ifndef SIM_DIFFTEST_REPORT_H
#define SIM_DIFFTEST_REPORT_H

#include "kvm/difftest.h"

struct difftest_options {
    const char *isa, *insn, *report, *summary, *vectors, *replay, *rebase, *explained;
    uint64_t count, seed, jobs;
    unsigned reference, undefined;
    bool quiet;
};

/* Per row, filled by the jobs. */
struct difftest_form {
    uint32_t tried, equal, masked, explained, differing, illegal, no_verdict;
    uint32_t unmade;                  /* encodings that could not be made up */
    uint64_t encodings, combinations; /* asked for, of legal ones; what makes every combination of choices */
    uint32_t by_explanation[DIFFTEST_EXPLANATIONS_MAX];
    bool done, begun;
};
#define DIFFTEST_JOBS_MAX 256u
struct difftest_shared {
    unsigned next; /* the next row to be taken; jobs take them by an atomic addition */
    struct difftest_form forms[ISA_ROW_COUNT];
    bool gp_emulated;                /* by the reference */
    double rates[DIFFTEST_JOBS_MAX]; /* states a second of each job's reference alone */
};

struct difftest_totals {
    uint64_t forms, tried, equal, masked, explained, differing, illegal, no_verdict, differing_forms, unfinished;
    uint64_t combinations, complete; /* of choices, over all forms; forms that had all of theirs */
    uint64_t by_explanation[DIFFTEST_EXPLANATIONS_MAX];
};

bool difftest_row_wanted(const struct difftest_options *options, const struct isa_row *row);
/* Why a row is not run on this host, a constant text; NULL: it is. */
const char *difftest_not_run(const struct difftest_options *options, const uint64_t features[2],
                             const struct isa_row *row);

void difftest_add_up(const struct difftest_options *options, const struct difftest_shared *shared,
                     struct difftest_totals *totals);
/* Prints the result; returns how many defined differences a run of this size should have met and did not. */
unsigned difftest_print(const struct difftest_options *options, const struct difftest_shared *shared,
                        const uint64_t features[2], const struct difftest_totals *totals, double seconds);
/* A line per form. False: the file cannot be written, which has been said. */
bool difftest_write_report(const struct difftest_options *options, const struct difftest_shared *shared,
                           const uint64_t features[2]);
/* Replaces everything behind the heading DIFFTEST_SUMMARY in a page, which must have it. */
#define DIFFTEST_SUMMARY "## The run on record\n"
bool difftest_write_summary(const struct difftest_options *options, const struct difftest_shared *shared,
                            const uint64_t features[2], const struct difftest_totals *totals);

#endif
