/*
 * The reports of sim difftest: on the terminal, a line per form, and the section of docs/difftest.md that says what the
 * run on record was.
 */
#include "sim/difftest_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

bool difftest_row_wanted(const struct difftest_options *options, const struct isa_row *row)
{
    if (options->insn && strcasecmp(row->mnemonic, options->insn) != 0)
        return false;
    if (options->isa && strcasecmp(row->feature_name, options->isa) != 0 &&
        strcasecmp(isa_features[row->feature].name, options->isa) != 0)
        return false;
    return true;
}

#define NOT_ON_THIS_HOST "not on this host"
const char *difftest_not_run(const struct difftest_options *options, const uint64_t features[2],
                             const struct isa_row *row)
{
    const char *why = difftest_references[options->reference]->row_skipped(row);
    bool has = features[row->feature / 64] >> (row->feature % 64) & 1;
    return why ? why : has ? NULL : NOT_ON_THIS_HOST;
}

void difftest_add_up(const struct difftest_options *options, const struct difftest_shared *shared,
                     struct difftest_totals *totals)
{
    memset(totals, 0, sizeof(*totals));
    for (unsigned row = 0; row < ISA_ROW_COUNT; row++) {
        const struct difftest_form *form = &shared->forms[row];
        if (!form->begun || (form->done && !form->tried))
            continue;
        totals->forms++;
        totals->tried += form->tried;
        totals->equal += form->equal;
        totals->masked += form->masked;
        totals->explained += form->explained;
        totals->differing += form->differing;
        totals->illegal += form->illegal;
        totals->no_verdict += form->no_verdict;
        totals->differing_forms += form->differing != 0;
        totals->unfinished += !form->done;
        totals->combinations += form->combinations;
        totals->complete += form->encodings >= form->combinations;
        for (unsigned i = 0; i < difftest_explanation_count; i++)
            totals->by_explanation[i] += form->by_explanation[i];
        if (!form->done)
            printf("%s %s: not finished: %s\n", isa_rows[row].mnemonic, isa_rows[row].encoding,
                   form->unmade > 64 + 4 * options->count ? "no encoding could be made up" : "the job died in it");
    }
}

static void write_forms(FILE *out, const struct difftest_options *options, const struct difftest_shared *shared,
                        const uint64_t features[2])
{
    fprintf(
        out,
        "# mnemonic | encoding | operands | tried | equal | masked | explained | differing, or why it was not run\n");
    for (unsigned row = 0; row < ISA_ROW_COUNT; row++) {
        const struct isa_row *r = &isa_rows[row];
        const struct difftest_form *form = &shared->forms[row];
        if (!difftest_row_wanted(options, r))
            continue;
        fprintf(out, "%s | %s | %s | ", r->mnemonic, r->encoding, r->operands);
        const char *why = difftest_not_run(options, features, r);
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
        const char *why =
            difftest_row_wanted(options, &isa_rows[row]) ? difftest_not_run(options, features, &isa_rows[row]) : NULL;
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

static void print_totals(const struct difftest_totals *totals, double seconds)
{
    printf("%" PRIu64 " forms, %" PRIu64 " states (%" PRIu64 " of encodings that must be #UD): %" PRIu64
           " equal, %" PRIu64 " equal but for undefined flags, %" PRIu64 " explained, %" PRIu64
           " differing (in %" PRIu64 " forms); %.1f s, %.0f a second\n",
           totals->forms, totals->tried, totals->illegal, totals->equal, totals->masked, totals->explained,
           totals->differing, totals->differing_forms, seconds, (double)totals->tried / (seconds > 0 ? seconds : 1));
    if (totals->no_verdict)
        printf(
            "  without a verdict, because the reference cannot tell or had something of its own at an address: %" PRIu64
            " states\n",
            totals->no_verdict);
}

/* What the reference alone does, without generator, interpreter and comparison. */
static void print_rates(const struct difftest_options *options, const struct difftest_shared *shared)
{
    double rate = 0;
    for (unsigned i = 0; i < options->jobs; i++)
        rate += shared->rates[i];
    if (rate > 0)
        printf("the reference alone (%s): %.0f states a second of its processor time\n",
               difftest_references[options->reference]->name, rate);
}

/* A defined difference that a whole run never met is out of date. */
#define WHOLE_RUN_STATES 5000u
static unsigned print_explanations(const struct difftest_totals *totals, bool whole, bool gp_emulated)
{
    unsigned stale = 0;
    bool intel = difftest_host_is_intel();
    for (unsigned i = 0; i < difftest_explanation_count; i++) {
        const struct difftest_explanation *e = difftest_explanation(i);
        bool expected = whole && !e->rare && !(e->intel_only && !intel) && !(e->amd_only && intel) &&
                        (gp_emulated || !e->gp_emulated);
        if (totals->by_explanation[i])
            printf("  explained by %s: %" PRIu64 "\n", e->name, totals->by_explanation[i]);
        else if (expected) {
            printf("  never seen: %s (%s)\n", e->name, e->text);
            stale++;
        }
    }
    return stale;
}

unsigned difftest_print(const struct difftest_options *options, const struct difftest_shared *shared,
                        const uint64_t features[2], const struct difftest_totals *totals, double seconds)
{
    bool whole = !options->isa && !options->insn && options->count >= WHOLE_RUN_STATES;
    if (!options->quiet)
        print_skipped(options, features);
    unsigned stale = print_explanations(totals, whole, shared->gp_emulated);
    print_totals(totals, seconds);
    printf("every combination of choices (%" PRIu64 " in all) was made in %" PRIu64 " of the %" PRIu64 " forms\n",
           totals->combinations, totals->complete, totals->forms);
    print_rates(options, shared);
    return stale;
}

bool difftest_write_report(const struct difftest_options *options, const struct difftest_shared *shared,
                           const uint64_t features[2])
{
    FILE *out = fopen(options->report, "w");
    char processor[160];
    difftest_host_name(processor, sizeof(processor));
    if (out) {
        fprintf(out, "# reference: %s; table %s, count %" PRIu64 ", seed %" PRIu64 "\n", processor, isa_fingerprint,
                options->count, options->seed);
        write_forms(out, options, shared, features);
    }
    if (out && fclose(out) == 0)
        return true;
    fprintf(stderr, "sim difftest: %s: %s\n", options->report, strerror(errno));
    return false;
}

/* --- the page --- */

/* The mnemonics of the rows that were not run for this reason, each once, in lines. */
static void write_mnemonics(FILE *out, const struct difftest_options *options, const uint64_t features[2],
                            const char *why, const char *feature)
{
    unsigned column = 0;
    const char *last = "";
    for (unsigned row = 0; row < ISA_ROW_COUNT; row++) {
        const struct isa_row *r = &isa_rows[row];
        const char *reason = difftest_not_run(options, features, r);
        if (!reason || strcmp(reason, why) != 0 || strcmp(r->mnemonic, last) == 0)
            continue;
        if (feature && strcmp(r->feature_name, feature) != 0)
            continue;
        last = r->mnemonic;
        if (column && column + strlen(last) > 110) {
            fputc('\n', out);
            column = 0;
        }
        column += (unsigned)fprintf(out, column ? " %s" : "%s", last);
    }
    fputs(column ? "\n" : "", out);
}

static void write_not_run(FILE *out, const struct difftest_options *options, const uint64_t features[2])
{
    const char *seen[128];
    unsigned count = 0;
    for (unsigned row = 0; row < ISA_ROW_COUNT; row++) {
        const struct isa_row *r = &isa_rows[row];
        const char *why = difftest_not_run(options, features, r);
        bool lacks = why && strcmp(why, NOT_ON_THIS_HOST) == 0;
        const char *key = lacks ? r->feature_name : why;
        unsigned i = 0;
        while (key && i < count && strcmp(seen[i], key) != 0)
            i++;
        if (!key || i < count || count == 128)
            continue;
        seen[count++] = key;
        fprintf(out, lacks ? "- this processor has no %s: " : "- %s: ", key);
        write_mnemonics(out, options, features, why, lacks ? key : NULL);
    }
}

static void write_section(FILE *out, const struct difftest_options *options, const struct difftest_shared *shared,
                          const uint64_t features[2], const struct difftest_totals *totals)
{
    char processor[96];
    difftest_host_name(processor, sizeof(processor));
    fprintf(out,
            DIFFTEST_SUMMARY "\nWritten by `sim difftest --count %" PRIu64 " --seed %" PRIu64
                             " --reference %s --report FILE --summary docs/difftest.md`.\n\n",
            options->count, options->seed, difftest_references[options->reference]->name);
    fprintf(out, "| | |\n|---|---|\n| processor | %s |\n| table | %s |\n| forms compared | %" PRIu64 " of %u |\n",
            processor, isa_fingerprint, totals->forms, ISA_ROW_COUNT);
    fprintf(out, "| states tried | %" PRIu64 ", of these %" PRIu64 " of encodings that must not run |\n", totals->tried,
            totals->illegal);
    fprintf(out,
            "| equal | %" PRIu64 " |\n| equal but for undefined flags | %" PRIu64 " |\n| explained | %" PRIu64
            " |\n| differing | %" PRIu64 " |\n",
            totals->equal, totals->masked, totals->explained, totals->differing);
    fprintf(out, "| combinations of choices | %" PRIu64 ", all of them in %" PRIu64 " forms |\n\n",
            totals->combinations, totals->complete);
    fputs("Explained were:\n\n| name | states |\n|---|---|\n", out);
    for (unsigned i = 0; i < difftest_explanation_count; i++)
        if (totals->by_explanation[i])
            fprintf(out, "| %s | %" PRIu64 " |\n", difftest_explanation(i)->name, totals->by_explanation[i]);
    fputs("\nForms without every combination at this count:\n", out);
    for (unsigned row = 0; row < ISA_ROW_COUNT; row++) {
        const struct difftest_form *form = &shared->forms[row];
        if (form->tried && form->encodings < form->combinations)
            fprintf(out, "- %s %s: %" PRIu64 " encodings, %" PRIu64 " combinations\n", isa_rows[row].mnemonic,
                    isa_rows[row].encoding, form->encodings, form->combinations);
    }
    fputs("\nNot run:\n", out);
    write_not_run(out, options, features);
}

bool difftest_write_summary(const struct difftest_options *options, const struct difftest_shared *shared,
                            const uint64_t features[2], const struct difftest_totals *totals)
{
    char line[1024];
    long at = -1;
    FILE *page = fopen(options->summary, "r+");
    while (page && at < 0) {
        long here = ftell(page);
        if (!fgets(line, sizeof(line), page))
            break;
        if (strcmp(line, DIFFTEST_SUMMARY) == 0)
            at = here;
    }
    bool good = at >= 0 && fseek(page, at, SEEK_SET) == 0 && ftruncate(fileno(page), at) == 0;
    if (good)
        write_section(page, options, shared, features, totals);
    else
        fprintf(stderr, "sim difftest: %s: no page with the heading %s", options->summary, DIFFTEST_SUMMARY);
    return page && fclose(page) == 0 && good;
}
