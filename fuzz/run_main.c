/*
 * A target as a plain program: replays files, and can mutate them by itself where AFL++ is not at hand.
 *
 *   TARGET-run [--canary] [--mutate N] [--seed S] [FILE|DIRECTORY]...
 *
 * --mutate N then runs N inputs made from those files (or from nothing) by a small deterministic mutator; equal seeds
 * give equal inputs. A finding ends the program by a signal; the input that caused it is in the file
 * TARGET-run.finding. Rates are of one core's time, not of the wall's. Status: 0 done, 2 wrong usage.
 */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define INPUT_SECONDS_MAX 20
#define MUTATED_BYTES_MAX 4096u

struct input {
    uint8_t *bytes;
    size_t size;
};

struct corpus {
    struct input *inputs;
    size_t count, room;
};

/* What runs now, for the signal handler. */
static struct input current;
static char finding_path[256];
static bool is_canary;

/* Sanitizers end by SIGABRT, so that the handler below keeps the input. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "abort_on_error=1:handle_segv=0:handle_sigbus=0:handle_abort=0:detect_leaks=0";
}
const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
    return "abort_on_error=1:halt_on_error=1:print_stacktrace=1";
}

static void on_signal(int number)
{
    static const char hang[] = "finding: an input takes too long\n";
    int fd = open(finding_path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

    if (number == SIGALRM && write(STDERR_FILENO, hang, sizeof(hang) - 1) < 0)
        _exit(1);
    if (fd >= 0 && write(fd, current.bytes, current.size) == (ssize_t)current.size)
        close(fd);
    if (is_canary)
        _exit(0);
    signal(number, SIG_DFL);
    raise(number);
}

static void catch_signals(void)
{
    static const int numbers[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        signal(numbers[i], on_signal);
}

static void run(const uint8_t *bytes, size_t size)
{
    current = (struct input){ (uint8_t *)(uintptr_t)bytes, size };
    alarm(INPUT_SECONDS_MAX);
    fuzz_one(bytes, size);
    alarm(0);
}

static bool corpus_add(struct corpus *corpus, const char *path)
{
    static uint8_t buffer[FUZZ_BYTES_MAX];
    int fd = open(path, O_RDONLY);
    ssize_t size = fd < 0 ? -1 : read(fd, buffer, sizeof(buffer));

    if (fd >= 0)
        close(fd);
    if (size < 0) {
        perror(path);
        return false;
    }
    if (corpus->count == corpus->room) {
        corpus->room = corpus->room * 2 + 64;
        corpus->inputs = realloc(corpus->inputs, corpus->room * sizeof(*corpus->inputs));
    }
    struct input input = { malloc((size_t)size + 1), (size_t)size };
    if (!corpus->inputs || !input.bytes)
        return false;
    memcpy(input.bytes, buffer, (size_t)size);
    corpus->inputs[corpus->count++] = input;
    run(input.bytes, input.size);
    return true;
}

/* The files of a directory in the order of their names, or the file itself. */
static bool corpus_add_path(struct corpus *corpus, const char *path)
{
    struct stat status;
    struct dirent **entries;
    bool ok = true;

    if (stat(path, &status) == 0 && !S_ISDIR(status.st_mode))
        return corpus_add(corpus, path);
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0) {
        perror(path);
        return false;
    }
    for (int i = 0; i < count; i++) {
        char name[4096];
        if (entries[i]->d_name[0] != '.' &&
            snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name) < (int)sizeof(name))
            ok = corpus_add(corpus, name) && ok;
        free(entries[i]);
    }
    free(entries);
    return ok;
}

/* A few changes of one input of the corpus: bits, bytes, interesting numbers, blocks copied, cut or taken from another.
 */
static size_t mutate(const struct corpus *corpus, struct fuzz_random *random, uint8_t *out)
{
    static const uint8_t interesting[] = { 0x00, 0x01, 0x0F, 0x10, 0x40, 0x48, 0x66,
                                           0x67, 0x7F, 0x80, 0xF0, 0xF2, 0xF3, 0xFF };
    const struct input *from = corpus->count ? &corpus->inputs[fuzz_below(random, corpus->count)] : NULL;
    size_t size = from ? from->size : 1 + fuzz_below(random, 64);

    if (size > MUTATED_BYTES_MAX)
        size = MUTATED_BYTES_MAX;
    for (size_t i = 0; i < size; i++)
        out[i] = from ? from->bytes[i] : (uint8_t)fuzz_draw(random);
    for (unsigned changes = 1 + (unsigned)fuzz_below(random, 8); changes && size; changes--) {
        size_t at = fuzz_below(random, size), length = 1 + fuzz_below(random, 16);
        switch (fuzz_below(random, 6)) {
        case 0:
            out[at] ^= (uint8_t)(1u << fuzz_below(random, 8));
            break;
        case 1:
            out[at] = (uint8_t)(fuzz_draw(random) >> 32);
            break;
        case 2:
            out[at] = interesting[fuzz_below(random, sizeof(interesting))];
            break;
        case 3: /* insert */
            length = length < MUTATED_BYTES_MAX - size ? length : MUTATED_BYTES_MAX - size;
            memmove(out + at + length, out + at, size - at);
            for (size_t i = 0; i < length; i++)
                out[at + i] = (uint8_t)(fuzz_draw(random) >> 32);
            size += length;
            break;
        case 4: /* cut */
            length = length < size - at ? length : size - at;
            memmove(out + at, out + at + length, size - at - length);
            size -= length;
            break;
        default: /* a piece of another input */
            if (corpus->count) {
                const struct input *other = &corpus->inputs[fuzz_below(random, corpus->count)];
                for (size_t i = 0; i < length && at + i < size && at + i < other->size; i++)
                    out[at + i] = other->bytes[at + i];
            }
            break;
        }
    }
    return size;
}

static bool parse_number(const char *text, uint64_t *value)
{
    char *end;

    if (!text || *text < '0' || *text > '9')
        return false;
    *value = strtoull(text, &end, 0);
    return !*end;
}

int main(int argc, char **argv)
{
    const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    static uint8_t buffer[MUTATED_BYTES_MAX];
    struct corpus corpus = { 0 };
    uint64_t mutations = 0, seed = 1;
    bool ok = true;
    struct timespec start, end;

    snprintf(finding_path, sizeof(finding_path), "%s.finding", name);
    catch_signals();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    for (int i = 1; i < argc && ok; i++) {
        if (!strcmp(argv[i], "--canary")) {
            is_canary = true;
            continue;
        }
        uint64_t *number = !strcmp(argv[i], "--mutate") ? &mutations : !strcmp(argv[i], "--seed") ? &seed : NULL;
        if (number ? !parse_number(argv[i + 1], number) : argv[i][0] == '-') {
            fprintf(stderr, "usage: %s [--canary] [--mutate N] [--seed S] [FILE|DIRECTORY]...\n", name);
            return 2;
        }
        if (number)
            i++;
        else
            ok = corpus_add_path(&corpus, argv[i]);
    }
    struct fuzz_random random = fuzz_random(seed);
    for (uint64_t i = 0; i < mutations && ok; i++) {
        size_t size = mutate(&corpus, &random, buffer);
        uint8_t *exact = malloc(size ? size : 1); /* its end is where the sanitizer sees it */
        memcpy(exact, buffer, size);
        run(exact, size);
        free(exact);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    double seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    const char *unit;
    uint64_t counted = fuzz_counted(&unit);
    seconds = seconds > 0 ? seconds : 1e-9;
    printf("%s: %zu files, %" PRIu64 " mutations (seed %" PRIu64 ")\n", name, corpus.count, mutations, seed);
    printf("%s: %.1f s of one core, %.0f inputs/s", name, seconds, (double)(corpus.count + mutations) / seconds);
    if (counted)
        printf(", %" PRIu64 " %s, %.0f %s/s", counted, unit, (double)counted / seconds, unit);
    putchar('\n');
    return !ok ? 2 : is_canary ? 1 : 0;
}
