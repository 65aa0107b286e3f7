/*
 * sim isa: prints the instruction table, which also says what is not there: a row whose handler is "-" is known but
 * raises #UD.
 */
#include "sim/commands.h"
#include "sim/options.h"
#include "sim/status.h"
#include "cpu/isa.h"
#include "cpu/undefined.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct filter {
    const char *feature;
    const char *mnemonic;
    const char *tests;  /* --tests FILE, or NULL */
    const char *report; /* --report FILE, or NULL */
    bool unimplemented;
    bool coverage;
    bool gaps;
    bool undefined;
    bool json;
};

#define AT(member) offsetof(struct filter, member)
static const struct option isa_options[] = {
    { "feature", 0, "NAME", "only rows of this CPUID feature, by its name in the table", OPTION_TEXT, AT(feature), 0,
      NULL },
    { "mnemonic", 0, "NAME", "only rows of this mnemonic", OPTION_TEXT, AT(mnemonic), 0, NULL },
    { "unimplemented", 0, NULL, "only rows that are known but raise #UD", OPTION_FLAG, AT(unimplemented), 0, NULL },
    { "coverage", 0, NULL, "of each row: is it implemented, what tests it, was it compared with a processor",
      OPTION_FLAG, AT(coverage), 0, NULL },
    { "tests", 0, "FILE", "for --coverage: the table that the test `coverage` leaves in the build's folder",
      OPTION_TEXT, AT(tests), 0, NULL },
    { "report", 0, "FILE", "for --coverage: what `sim difftest --report FILE` wrote", OPTION_TEXT, AT(report), 0,
      NULL },
    { "gaps", 0, NULL, "for --coverage: only rows that lack something", OPTION_FLAG, AT(gaps), 0, NULL },
    { "undefined", 0, NULL, "what manuals leave undefined, and what processors make of it, as a Markdown table",
      OPTION_FLAG, AT(undefined), 0, NULL },
    { "json", 0, NULL, "as a JSON array of objects", OPTION_FLAG, AT(json), 0, NULL },
    { 0 },
};
static const struct command_line isa_line = {
    .command = "isa",
    .summary = "Prints the instruction table, in the notation of cpu/isa.def, which explains the columns.",
    .options = isa_options,
};

static bool row_passes(const struct isa_row *row, const struct filter *filter)
{
    if (filter->unimplemented && !(row->attributes & ISA_UNIMPLEMENTED))
        return false;
    if (filter->mnemonic && strcasecmp(row->mnemonic, filter->mnemonic) != 0)
        return false;
    return !filter->feature || strcasecmp(isa_features[row->feature].name, filter->feature) == 0 ||
           strcasecmp(row->feature_name, filter->feature) == 0;
}

/* The letters of a flag mask in the order of isa.def. */
static void flag_letters(uint32_t mask, char out[12])
{
    static const struct {
        uint32_t flag;
        char letter;
    } letters[] = { { FLAG_OF, 'O' }, { FLAG_SF, 'S' }, { FLAG_ZF, 'Z' }, { FLAG_AF, 'A' }, { FLAG_PF, 'P' },
                    { FLAG_CF, 'C' }, { FLAG_DF, 'D' }, { FLAG_IF, 'I' }, { FLAG_TF, 'T' }, { FLAG_NT, 'N' } };
    char *to = out;

    for (unsigned i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
        if (mask & letters[i].flag)
            *to++ = letters[i].letter;
    *to = '\0';
}

static void flags_text(const struct isa_row *row, char *out, size_t bytes)
{
    char read[12], written[12], undefined[12];

    flag_letters(row->flags_read, read);
    flag_letters(row->flags_written, written);
    flag_letters(row->flags_undefined, undefined);
    snprintf(out, bytes, "%s%s%s%s%s%s%s%s", *read ? "r:" : "", read, *read && *written ? " " : "",
             *written ? "w:" : "", written, *undefined ? " " : "", *undefined ? "u:" : "", undefined);
    if (!*out)
        snprintf(out, bytes, "-");
}

static void attributes_text(const struct isa_row *row, char *out, size_t bytes)
{
    static const struct {
        uint16_t bit;
        const char *name;
    } names[] = { { ISA_LOCK, "lock" },     { ISA_CPL0, "cpl0" },        { ISA_ENDS, "ends" },
                  { ISA_BRANCH, "branch" }, { ISA_REP, "rep" },          { ISA_ONLY64, "64" },
                  { ISA_NOT64, "no64" },    { ISA_D64, "d64" },          { ISA_F64, "f64" },
                  { ISA_PROTECTED, "pm" },  { ISA_DST_READ_ONLY, "ro" }, { ISA_DST_WRITE_ONLY, "wo" },
                  { ISA_PURE, "pure" } };
    size_t length = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (row->attributes & names[i].bit)
            length += (size_t)snprintf(out + length, bytes - length, "%s%s", length ? " " : "", names[i].name);
    if (row->cost != 1)
        length += (size_t)snprintf(out + length, bytes - length, "%scost=%u", length ? " " : "", row->cost);
    if (!length)
        snprintf(out, bytes, "-");
}

static const char *class_name(uint8_t isa_class)
{
    static const char *const names[] = { [ISA_CLASS_NONE] = "-",
                                         [ISA_CLASS_X87] = "x87",
                                         [ISA_CLASS_MMX] = "mmx",
                                         [ISA_CLASS_SSE] = "sse",
                                         [ISA_CLASS_SSE_ALIGNED] = "sse-aligned",
                                         [ISA_CLASS_SSE_MMX] = "sse-mmx",
                                         [ISA_CLASS_AVX] = "avx",
                                         [ISA_CLASS_AVX_ALIGNED] = "avx-aligned",
                                         [ISA_CLASS_AVX512] = "avx512",
                                         [ISA_CLASS_AVX512_ALIGNED] = "avx512-aligned",
                                         [ISA_CLASS_OPMASK] = "opmask" };

    return isa_class < sizeof(names) / sizeof(names[0]) ? names[isa_class] : "?";
}

static void print_row(const struct isa_row *row, bool json, bool first)
{
    char flags[48], attributes[80];

    flags_text(row, flags, sizeof(flags));
    attributes_text(row, attributes, sizeof(attributes));
    if (json)
        printf("%s  {\"mnemonic\": \"%s\", \"encoding\": \"%s\", \"operands\": \"%s\", \"feature\": \"%s\", \"flags\": "
               "\"%s\", "
               "\"attributes\": \"%s\", \"class\": \"%s\", \"implemented\": %s}",
               first ? "" : ",\n", row->mnemonic, row->encoding, row->operands, row->feature_name, flags, attributes,
               class_name(row->isa_class), row->attributes & ISA_UNIMPLEMENTED ? "false" : "true");
    else
        printf("%-12s %-24s %-20s %-10s %-24s %-16s %-11s %s\n", row->mnemonic, row->encoding, row->operands,
               row->feature_name, flags, attributes, class_name(row->isa_class),
               row->attributes & ISA_UNIMPLEMENTED ? "-" : row->handler_name);
}

static void print_table(const struct filter *filter)
{
    unsigned shown = 0, implemented = 0;

    if (filter->json)
        printf("[\n");
    else
        printf("%-12s %-24s %-20s %-10s %-24s %-16s %-11s %s\n", "mnemonic", "encoding", "operands", "feature", "flags",
               "attributes", "class", "handler");
    for (unsigned i = 0; i < ISA_ROW_COUNT; i++) {
        if (!row_passes(&isa_rows[i], filter))
            continue;
        print_row(&isa_rows[i], filter->json, shown == 0);
        shown++;
        implemented += !(isa_rows[i].attributes & ISA_UNIMPLEMENTED);
    }
    if (filter->json)
        printf("%s]\n", shown ? "\n" : "");
    else
        printf("%u rows, %u implemented; table %s\n", shown, implemented, isa_fingerprint);
}

/* --- what is undefined --- */

/* Two handlers of which the table says the same. */
static bool same_undefined(const struct undefined *a, const struct undefined *b)
{
    bool same = a && b && a->count == b->count;
    for (unsigned i = 0; same && i < a->count; i++) {
        const struct undefined_line *x = &a->lines[i], *y = &b->lines[i];
        same = x->when == y->when && x->result == y->result && x->flags == y->flags && x->intel == y->intel &&
               x->amd == y->amd;
    }
    return same;
}

/* The names of the rows of which the table says this, each once, in the order of the table. */
static void print_names(const struct undefined *what)
{
    const char *names[16];
    unsigned count = 0;
    for (unsigned i = 0; i < ISA_ROW_COUNT && count < 16; i++) {
        const struct isa_row *row = &isa_rows[i];
        bool again = !row->handlers || !same_undefined(row->handlers->undefined, what);
        for (unsigned j = 0; j < count && !again; j++)
            again = strcmp(names[j], row->mnemonic) == 0;
        if (again)
            continue;
        printf("%s%s", count ? ", " : "", row->mnemonic);
        names[count++] = row->mnemonic;
    }
    if (strstr(what->handler, "_imm"))
        printf(" reg, imm");
}

static const char *whose(unsigned who, const char *nobody)
{
    static const char *const names[] = { [UNDEFINED_BY_INTEL] = "Intel",
                                         [UNDEFINED_BY_AMD] = "AMD",
                                         [UNDEFINED_BY_INTEL | UNDEFINED_BY_AMD] = "Intel, AMD",
                                         [UNDEFINED_BY_OLD] = "Intel until 2024" };
    return who < sizeof(names) / sizeof(names[0]) && names[who] ? names[who] : nobody;
}

/* One line of a handler: the table's, as Markdown. */
static void print_undefined_line(const struct undefined *what, const struct undefined_line *line)
{
    char flags[12];
    flag_letters(line->flags, flags);
    printf("| ");
    print_names(what);
    printf(" | %s | %s | %s | %s | %s | %s |\n", undefined_when_text(line->when), line->result ? "result" : flags,
           undefined_rule_text(line->intel), undefined_rule_text(line->amd), whose(line->whose, "-"),
           whose(line->seen, "not seen"));
}

static void print_undefined(const struct filter *filter)
{
    const struct undefined *done[64];
    unsigned count = 0;
    printf("| instruction | when | what | Intel | AMD | undefined by | seen on |\n|---|---|---|---|---|---|---|\n");
    for (unsigned i = 0; i < ISA_ROW_COUNT; i++) {
        const struct undefined *what = isa_rows[i].handlers ? isa_rows[i].handlers->undefined : NULL;
        bool again = !what || !row_passes(&isa_rows[i], filter) || count == 64;
        for (unsigned j = 0; j < count && !again; j++)
            again = same_undefined(done[j], what);
        if (again)
            continue;
        done[count++] = what;
        for (unsigned j = 0; j < what->count; j++)
            print_undefined_line(what, &what->lines[j]);
    }
}

/* --- coverage --- */

/*
 * Both files have a line a row that begins with its name: "mnemonic | encoding | operands". In the table of tests the
 * modes follow where these are not all, then a tab and the tests; in the report of difftest " | " and the counts.
 */

/* What stands behind the name and the separator; "" if the file has no such line or there is no file. */
static const char *line_about(FILE *file, const struct isa_row *row, bool modes, const char *separator, char *line,
                              size_t bytes)
{
    char key[160];
    const char *suffix = !modes                         ? ""
                         : row->attributes & ISA_ONLY64 ? " | 64"
                         : row->attributes & ISA_NOT64  ? " | no64"
                                                        : "";
    int length =
        snprintf(key, sizeof(key), "%s | %s | %s%s%s", row->mnemonic, row->encoding, row->operands, suffix, separator);

    if (!file)
        return "";
    rewind(file);
    while (fgets(line, (int)bytes, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, key, (size_t)length) == 0)
            return line + length;
    }
    return "";
}

/* The first tests by name, and how many more there are. */
static void tests_text(const char *tests, char *out, size_t bytes)
{
    const char *end = tests;
    unsigned words = 0, more = 0;

    for (const char *at = tests; *at; at += strcspn(at, " "), at += *at == ' ') {
        if (words < 3)
            end = at + strcspn(at, " ");
        more += words++ >= 3;
    }
    if (!words)
        snprintf(out, bytes, "no test");
    else if (more)
        snprintf(out, bytes, "%.*s +%u", (int)(end - tests), tests, more);
    else
        snprintf(out, bytes, "%.*s", (int)(end - tests), tests);
}

struct coverage {
    unsigned shown, implemented, tested, compared;
};

static void print_covered(const struct filter *filter, const struct isa_row *row, FILE *tests, FILE *report,
                          struct coverage *coverage)
{
    char line[4096], names[256], compared[96] = "not compared";
    bool exists = !(row->attributes & ISA_UNIMPLEMENTED);
    unsigned tried, equal, masked, explained, differing;

    tests_text(line_about(tests, row, true, "\t", line, sizeof(line)), names, sizeof(names));
    const char *about = line_about(report, row, false, " | ", line, sizeof(line));
    int numbers = sscanf(about, "%u | %u | %u | %u | %u", &tried, &equal, &masked, &explained, &differing);
    bool states = numbers == 5 && tried > 0;
    if (states && differing)
        snprintf(compared, sizeof(compared), "%u states, %u differing", tried, differing);
    else if (states)
        snprintf(compared, sizeof(compared), "%u states", tried);
    else if (*about)
        snprintf(compared, sizeof(compared), "%.90s", about);
    bool whole = exists && (!tests || strcmp(names, "no test") != 0) && (!report || (states && !differing));
    if (filter->gaps && whole)
        return;
    printf("%-16s %-32s %-20s %-15s %-44s %s\n", row->mnemonic, row->encoding, row->operands,
           exists ? "implemented" : "not implemented", tests ? names : "-", report ? compared : "-");
    coverage->shown++;
    coverage->implemented += exists;
    coverage->tested += strcmp(names, "no test") != 0;
    coverage->compared += states;
}

static FILE *open_listing(const char *path, bool *failed)
{
    FILE *file = path ? fopen(path, "r") : NULL;

    if (path && !file) {
        fprintf(stderr, "sim isa: %s cannot be read\n", path);
        *failed = true;
    }
    return file;
}

static int print_coverage(const struct filter *filter)
{
    struct coverage coverage = { 0 };
    bool failed = false;
    FILE *tests = open_listing(filter->tests, &failed), *report = open_listing(filter->report, &failed);

    if (!failed) {
        /* the report's comments name the processor */
        for (char line[512]; report && fgets(line, sizeof(line), report) && line[0] == '#';)
            fputs(line, stdout);
        for (unsigned i = 0; i < ISA_ROW_COUNT; i++) {
            if (row_passes(&isa_rows[i], filter))
                print_covered(filter, &isa_rows[i], tests, report, &coverage);
        }
        printf("%u rows, %u implemented", coverage.shown, coverage.implemented);
        if (tests)
            printf(", %u with a test", coverage.tested);
        if (report)
            printf(", %u compared with a processor", coverage.compared);
        printf("; table %s\n", isa_fingerprint);
    }
    if (tests)
        fclose(tests);
    if (report)
        fclose(report);
    return failed ? STATUS_BAD_INPUT : STATUS_OK;
}

static bool feature_exists(const char *name)
{
    for (unsigned i = 0; i < ISA_FEATURE_COUNT; i++)
        if (strcasecmp(isa_features[i].name, name) == 0)
            return true;
    for (unsigned i = 0; i < ISA_ROW_COUNT; i++)
        if (strcasecmp(isa_rows[i].feature_name, name) == 0)
            return true;
    return false;
}

static bool mnemonic_exists(const char *name)
{
    for (unsigned i = 0; i < ISA_ROW_COUNT; i++)
        if (strcasecmp(isa_rows[i].mnemonic, name) == 0)
            return true;
    return false;
}

int cmd_isa(int argc, char **argv)
{
    struct filter filter = { 0 };
    int parsed = options_parse(&isa_line, &filter, NULL, argc, argv);

    if (parsed)
        return parsed == OPTIONS_HELP ? STATUS_OK : STATUS_USAGE;
    if (filter.feature && !feature_exists(filter.feature)) {
        fprintf(stderr, "sim isa: the table has no feature '%s'\n", filter.feature);
        return STATUS_USAGE;
    }
    if (filter.mnemonic && !mnemonic_exists(filter.mnemonic)) {
        fprintf(stderr, "sim isa: the table has no mnemonic '%s'\n", filter.mnemonic);
        return STATUS_USAGE;
    }
    if ((filter.tests || filter.report || filter.gaps) && !filter.coverage) {
        fprintf(stderr, "sim isa: --tests, --report and --gaps need --coverage\n");
        return STATUS_USAGE;
    }
    if (filter.coverage)
        return print_coverage(&filter);
    if (filter.undefined) {
        print_undefined(&filter);
        return STATUS_OK;
    }
    print_table(&filter);
    return STATUS_OK;
}
