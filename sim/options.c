/*
 * The command-line parser (options.h).
 */
#include "sim/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool options_number(const char *text, unsigned unit, uint64_t *value)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return false;
    bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    if (hexadecimal && !isxdigit((unsigned char)text[2]))
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, hexadecimal ? 16 : 10);
    if (errno)
        return false;
    uint64_t factor = 1;
    if (unit && *end) {
        static const char letters[] = "KMG";
        const char *letter = strchr(letters, toupper((unsigned char)*end));
        if (!letter)
            return false;
        for (const char *at = letters; at <= letter; at++)
            factor *= unit;
        end++;
    }
    return !*end && !__builtin_mul_overflow(number, factor, value);
}

static bool parse_range(const char *text, struct option_range *range)
{
    char from[32];
    const char *colon = strchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof(from))
        return false;
    memcpy(from, text, (size_t)(colon - text));
    from[colon - text] = '\0';
    return options_number(from, false, &range->from) && options_number(colon + 1, false, &range->to) &&
           range->from <= range->to;
}

static void print_help(const struct command_line *line)
{
    printf("usage: sim %s [options]%s%s\n\n%s\n\noptions:\n", line->command, line->positional ? " " : "",
           line->positional ? line->positional : "", line->summary);
    for (const struct option *option = line->options; option->name; option++) {
        char left[64];
        snprintf(left, sizeof(left), "%s%c%s--%s%s%s", option->letter ? "-" : " ",
                 option->letter ? option->letter : ' ', option->letter ? ", " : "  ", option->name,
                 option->value ? " " : "", option->value ? option->value : "");
        printf("  %-28s  %s\n", left, option->help);
    }
    printf("  %-28s  %s\n", "    --help", "print this and exit");
}

static int mistake(const struct command_line *line, const char *what, const char *about)
{
    fprintf(stderr, "sim %s: %s: %s (see sim %s --help)\n", line->command, about, what, line->command);
    return -EINVAL;
}

static int wrong_choice(const struct command_line *line, const struct option *option, const char *value,
                        const char *about)
{
    fprintf(stderr, "sim %s: %s: '%s' is none of", line->command, about, value);
    for (unsigned i = 0; option->choices[i]; i++)
        fprintf(stderr, "%s%s", i ? ", " : " ", option->choices[i]);
    fputc('\n', stderr);
    return -EINVAL;
}

static const struct option *find_option(const struct command_line *line, const char *name, size_t length)
{
    for (const struct option *option = line->options; option->name; option++)
        if (strlen(option->name) == length && memcmp(option->name, name, length) == 0)
            return option;
    return NULL;
}

static const struct option *find_letter(const struct command_line *line, char letter)
{
    for (const struct option *option = line->options; option->name; option++)
        if (option->letter && option->letter == letter)
            return option;
    return NULL;
}

static int store(const struct command_line *line, const struct option *option, void *values, const char *value,
                 const char *about)
{
    char *member = (char *)values + option->offset;
    uint64_t number;
    struct option_list *list;
    struct option_range range;
    switch (option->kind) {
    case OPTION_FLAG:
        memcpy(member, &(bool){ true }, sizeof(bool));
        return 0;
    case OPTION_TEXT:
        memcpy(member, &value, sizeof(value));
        return 0;
    case OPTION_TEXTS:
        list = (struct option_list *)(void *)member;
        if (list->count == OPTION_TEXTS_MAX)
            return mistake(line, "given too often", about);
        list->texts[list->count++] = value;
        return 0;
    case OPTION_NUMBER:
        if (!options_number(value, option->unit, &number))
            return mistake(line, option->unit == 1024 ? "not a size (like 256M)" : "not a number", about);
        memcpy(member, &number, sizeof(number));
        return 0;
    case OPTION_RANGE:
        if (!parse_range(value, &range))
            return mistake(line, "not a range (like 1000:2000)", about);
        memcpy(member, &range, sizeof(range));
        return 0;
    case OPTION_CHOICE:
        for (unsigned i = 0; option->choices[i]; i++)
            if (strcmp(option->choices[i], value) == 0) {
                memcpy(member, &i, sizeof(i));
                return 0;
            }
        return wrong_choice(line, option, value, about);
    }
    return -EINVAL;
}

int options_parse(const struct command_line *line, void *values, const char **positional, int argc, char **argv)
{
    int positional_count = 0;
    bool options_ended = false;
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i], *value = NULL;
        const struct option *option;
        if (!options_ended && strcmp(argument, "--") == 0) {
            options_ended = true;
            continue;
        }
        if (options_ended || argument[0] != '-' || !argument[1]) {
            if (!line->positional || (positional_count && !line->takes_many))
                return mistake(line, "one argument too many", argument);
            argv[1 + positional_count++] = argv[i]; /* a slot that has been read */
            continue;
        }
        if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            print_help(line);
            return OPTIONS_HELP;
        }
        if (argument[1] == '-') {
            const char *equals = strchr(argument, '=');
            option = find_option(line, argument + 2, equals ? (size_t)(equals - argument - 2) : strlen(argument + 2));
            value = equals ? equals + 1 : NULL;
        } else {
            option = find_letter(line, argument[1]);
            value = argument[2] ? argument + 2 : NULL;
        }
        if (!option)
            return mistake(line, "no such option", argument);
        if (option->kind == OPTION_FLAG && value)
            return mistake(line, "takes no value", argument);
        if (option->kind != OPTION_FLAG && !value) {
            if (i + 1 == argc)
                return mistake(line, "needs a value", argument);
            value = argv[++i];
        }
        int error = store(line, option, values, value, argument);
        if (error)
            return error;
    }
    if (positional)
        *positional = positional_count ? argv[1] : NULL;
    if (line->takes_many)
        argv[1 + positional_count] = NULL;
    return 0;
}
