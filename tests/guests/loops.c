/*
 * User-space loops for scripts/bench: each section does a fixed amount of work and prints a value that tells whether it
 * was done right, between two lines that the measuring side can time.
 *
 *   loops [SECTION...]      default: all
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t sieve(void)
{
    enum { LIMIT = 1 << 20, ROUNDS = 12 };
    static uint8_t composite[LIMIT];
    uint64_t primes = 0;
    for (int round = 0; round < ROUNDS; round++) {
        memset(composite, 0, sizeof(composite));
        primes = 0;
        for (uint32_t i = 2; i < LIMIT; i++) {
            if (composite[i])
                continue;
            primes++;
            for (uint64_t j = (uint64_t)i * i; j < LIMIT; j += i)
                composite[j] = 1;
        }
    }
    return primes;
}

static uint64_t crc(void)
{
    uint32_t table[256], value = 0xFFFFFFFF;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t row = i;
        for (int bit = 0; bit < 8; bit++)
            row = row >> 1 ^ (row & 1 ? 0xEDB88320u : 0);
        table[i] = row;
    }
    for (uint32_t i = 0; i < 28u << 20; i++)
        value = table[(value ^ (i * 7)) & 255] ^ value >> 8;
    return value ^ 0xFFFFFFFF;
}

static const uint32_t sha_k[64] = { 0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
                                    0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
                                    0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
                                    0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
                                    0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
                                    0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
                                    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
                                    0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
                                    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
                                    0xc67178f2 };

static uint32_t rotate(uint32_t value, int count)
{
    return value >> count | value << (32 - count);
}

static void sha_block(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 |
               block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    memcpy(v, state, sizeof(v));
    for (int i = 0; i < 64; i++) {
        uint32_t s1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
        uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + sha_k[i] + w[i];
        uint32_t s0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
        uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof(v[0]));
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        state[i] += v[i];
}

static uint64_t sha256(void)
{
    uint32_t state[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
    };
    uint8_t block[64];
    for (int i = 0; i < 64; i++)
        block[i] = (uint8_t)(i * 3);
    for (int i = 0; i < 120000; i++)
        sha_block(state, block);
    return (uint64_t)state[0] << 32 | state[7];
}

static uint64_t chase(void)
{
    enum { NODES = 1 << 20, STEPS = 4000000 };
    struct node {
        struct node *next;
        uint64_t pad[7];
    } *nodes = malloc(NODES * sizeof(*nodes));
    uint32_t at = 0;
    for (uint32_t i = 0; i < NODES; i++) { /* a full cycle: an odd multiple of an odd stride */
        uint32_t next = (at + 0x9E3B1u) & (NODES - 1);
        nodes[at].next = &nodes[next];
        at = next;
    }
    struct node *node = nodes;
    for (int i = 0; i < STEPS; i++)
        node = node->next;
    uint64_t result = (uint64_t)(node - nodes);
    free(nodes);
    return result;
}

static uint64_t copy(void)
{
    enum { BYTES = 1 << 20, ROUNDS = 512 };
    uint8_t *from = malloc(BYTES), *to = malloc(BYTES);
    for (int i = 0; i < BYTES; i++)
        from[i] = (uint8_t)(i * 13);
    for (int i = 0; i < ROUNDS; i++) {
        memcpy(to, from, BYTES);
        from[i] ^= to[BYTES - 1 - i];
    }
    uint64_t sum = 0;
    for (int i = 0; i < BYTES; i++)
        sum += to[i];
    free(from);
    free(to);
    return sum;
}

static uint64_t faults(void)
{
    enum { PAGES = 8192, ROUNDS = 4 };
    uint64_t sum = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t *pages = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED)
            return 0;
        for (int i = 0; i < PAGES; i++)
            pages[i * 4096] = (uint8_t)i;
        for (int i = 0; i < PAGES; i++)
            sum += pages[i * 4096];
        munmap(pages, PAGES * 4096);
    }
    return sum;
}

struct body {
    double p[3], v[3], mass;
};

static double root(double x)
{
    double r;
    __asm__("sqrtsd %1, %0" : "=x"(r) : "x"(x));
    return r;
}

static double energy(const struct body *b, int n)
{
    double e = 0;
    for (int i = 0; i < n; i++) {
        e += 0.5 * b[i].mass * (b[i].v[0] * b[i].v[0] + b[i].v[1] * b[i].v[1] + b[i].v[2] * b[i].v[2]);
        for (int j = i + 1; j < n; j++) {
            double d[3], square = 0;
            for (int k = 0; k < 3; k++) {
                d[k] = b[i].p[k] - b[j].p[k];
                square += d[k] * d[k];
            }
            e -= b[i].mass * b[j].mass / root(square);
        }
    }
    return e;
}

static uint64_t nbody(void)
{
    enum { N = 5, STEPS = 400000 };
    struct body b[N];
    for (int i = 0; i < N; i++)
        b[i] = (struct body){ { 1.0 + 3.1 * i, 0.3 * i * i, -0.7 * i },
                              { 0.1 * i, 0.25 - 0.05 * i, 0.02 * i },
                              i ? 0.01 * i : 39.5 };
    for (int step = 0; step < STEPS; step++) {
        const double dt = 0.001;
        for (int i = 0; i < N; i++) {
            for (int j = i + 1; j < N; j++) {
                double d[3], square = 0;
                for (int k = 0; k < 3; k++) {
                    d[k] = b[i].p[k] - b[j].p[k];
                    square += d[k] * d[k];
                }
                double magnitude = dt / (square * root(square));
                for (int k = 0; k < 3; k++) {
                    b[i].v[k] -= d[k] * b[j].mass * magnitude;
                    b[j].v[k] += d[k] * b[i].mass * magnitude;
                }
            }
        }
        for (int i = 0; i < N; i++)
            for (int k = 0; k < 3; k++)
                b[i].p[k] += dt * b[i].v[k];
    }
    double e = energy(b, N);
    uint64_t bits;
    memcpy(&bits, &e, sizeof(bits));
    return bits;
}

static uint64_t syscalls(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < 1000000; i++)
        sum += (uint64_t)syscall(SYS_getppid) > 0;
    return sum;
}

static uint64_t fork_exec(void)
{
    uint64_t ended = 0;
    for (int i = 0; i < 200; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            execl("/proc/self/exe", "loops", "nothing", (char *)NULL);
            _exit(1);
        }
        int status;
        if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0)
            ended++;
    }
    return ended;
}

static const struct {
    const char *name;
    uint64_t (*run)(void);
} sections[] = {
    { "sieve", sieve },   { "crc32", crc },   { "sha256", sha256 },     { "chase", chase },        { "memcpy", copy },
    { "faults", faults }, { "nbody", nbody }, { "syscalls", syscalls }, { "forkexec", fork_exec },
};

/* CPU time of this process and of its children that ended, in microseconds. */
static uint64_t cpu_us(void)
{
    uint64_t sum = 0;
    for (int who = RUSAGE_CHILDREN; who <= RUSAGE_SELF; who++) {
        struct rusage usage;
        getrusage(who, &usage);
        sum += (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000;
        sum += (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    }
    return sum;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (unsigned i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        int wanted = argc == 1;
        for (int j = 1; j < argc; j++)
            wanted |= strcmp(argv[j], sections[i].name) == 0;
        if (!wanted)
            continue;
        printf("loops: begin %s\n", sections[i].name);
        uint64_t cpu = cpu_us();
        uint64_t before = __builtin_ia32_rdtsc();
        uint64_t result = sections[i].run();
        uint64_t after = __builtin_ia32_rdtsc();
        printf("loops: end %s %" PRIx64 " tsc %" PRIu64 " cpu_us %" PRIu64 "\n", sections[i].name, result,
               after - before, cpu_us() - cpu);
    }
    return 0;
}
