/*
 * The command line: one table of options per command, one parser.
 *
 * Options are --name VALUE or --name=VALUE, a few also -x VALUE; "--" ends them. Mistakes give one line on stderr.
 */
#ifndef SIM_OPTIONS_H
#define SIM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
    OPTION_FLAG,   /* bool; takes no value */
    OPTION_TEXT,   /* const char * */
    OPTION_TEXTS,  /* struct option_list; may be repeated */
    OPTION_NUMBER, /* uint64_t, decimal or 0x hexadecimal; K, M, G behind it multiply by powers of its `unit` */
    OPTION_RANGE,  /* struct option_range: FROM:TO, two numbers, FROM not above TO */
    OPTION_CHOICE, /* unsigned: index into choices */
};

#define OPTION_TEXTS_MAX 14
struct option_list {
    const char *texts[OPTION_TEXTS_MAX];
    unsigned count;
};

struct option_range {
    uint64_t from, to;
};

struct option {
    const char *name;  /* without the dashes */
    char letter;       /* 0: none */
    const char *value; /* for --help: "FILE", "TEXT"; NULL for flags */
    const char *help;
    enum option_kind kind;
    size_t offset;              /* of the member in the struct of option values */
    unsigned unit;              /* OPTION_NUMBER: 1024 for sizes, 1000 for counts, 0: no letters */
    const char *const *choices; /* OPTION_CHOICE: NULL-terminated */
};

struct command_line {
    const char *command;          /* "run" */
    const char *positional;       /* for --help: "LOG"; NULL: none taken */
    const char *summary;          /* one or more lines */
    const struct option *options; /* ended by one without a name */
    bool takes_many;              /* any number of positional arguments: argv[1] on, ended by NULL */
};

#define OPTIONS_HELP 1 /* --help was printed: the command ends with STATUS_OK */

/*
 * Fills *values, whose members keep their defaults if not named, and *positional (NULL if none was given). argv is a
 * main()'s, NULL-terminated; positional arguments are moved to its front. 0; OPTIONS_HELP; or -EINVAL after one line on
 * stderr.
 */
int options_parse(const struct command_line *line, void *values, const char **positional, int argc, char **argv);

/* A whole number: decimal or 0x hexadecimal, with K, M or G behind it if unit is not 0. False if it is none or does not
 * fit. */
bool options_number(const char *text, unsigned unit, uint64_t *value);

#endif
