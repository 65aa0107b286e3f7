/*
 * The guest whose cost is counted (tests/cost_test.py): a bit of everything that kernels and programs do, in long mode
 * at CPL 0, about fifteen million instructions. It is entered at 1 MiB as a flat image, with the first 4 GiB
 * identity-mapped and no stack, prints a sum that tells whether all of it was done right, and ends with status 64.
 */
#include <stdint.h>

#define ENTRY __attribute__((naked, noreturn, section(".entry")))
#define ISR   __attribute__((naked))

#define WINDOW  0x8000000000ull /* linear address of the pages that are mapped on demand: entry 1 of the PML4 */
#define PAGES   256u
#define PRESENT 3ull /* P, RW */

#define CODE64 0x08u

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};
struct __attribute__((packed)) pointer {
    uint16_t limit;
    uint64_t base;
};

static struct gate idt[256];
static uint64_t gdt[4] = { 0, 0x00209A0000000000ull, 0, 0x0000920000000000ull }; /* code; data where SS points */
static uint64_t tables[3][512] __attribute__((aligned(4096)));                   /* PDPT, PD, PT of the window */
static uint8_t frames[PAGES][4096] __attribute__((aligned(4096)));
static uint64_t faults;
__attribute__((used)) static uint64_t calls;

/* --- what is measured --------------------------------------------------------------------------------------------- */

static uint64_t sieve(void)
{
    static uint8_t composite[65536];
    uint64_t primes = 0;
    for (uint32_t i = 2; i < sizeof(composite); i++) {
        if (composite[i])
            continue;
        primes++;
        for (uint32_t j = 2 * i; j < sizeof(composite); j += i)
            composite[j] = 1;
    }
    return primes;
}

static uint64_t crc(void)
{
    static uint32_t table[256];
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t row = i;
        for (int bit = 0; bit < 8; bit++)
            row = row >> 1 ^ (row & 1 ? 0xEDB88320u : 0);
        table[i] = row;
    }
    uint32_t value = 0xFFFFFFFF;
    for (uint32_t i = 0; i < 300000; i++)
        value = table[(value ^ i) & 255] ^ value >> 8;
    return value;
}

static uint32_t rotate(uint32_t value, int count)
{
    return value >> count | value << (32 - count);
}

/* Rounds in the manner of a hash function. */
static uint64_t rounds(void)
{
    uint32_t v[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    for (uint32_t i = 0; i < 60000; i++) {
        uint32_t s1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25), choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t t1 = v[7] + s1 + choice + i * 0x9E3779B9u;
        uint32_t s0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
        uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        v[7] = v[6], v[6] = v[5], v[5] = v[4], v[4] = v[3] + t1, v[3] = v[2], v[2] = v[1], v[1] = v[0], v[0] = t1 + t2;
    }
    return v[0] ^ (uint64_t)v[7] << 32;
}

__attribute__((noinline)) static uint64_t fibonacci(unsigned n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

struct node {
    struct node *left, *right;
    uint64_t key, count;
};

/* A binary tree: pointers, unpredictable branches. */
static uint64_t tree(void)
{
    static struct node nodes[20000];
    struct node *root = &nodes[0];
    uint64_t random = 1, sum = 0;
    root->key = UINT64_MAX / 2;
    for (unsigned used = 1; used < 20000; used++) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        struct node *node = &nodes[used], *at = root;
        node->key = random;
        for (;;) {
            struct node **link = random < at->key ? &at->left : &at->right;
            at->count++;
            if (!*link) {
                *link = node;
                break;
            }
            at = *link;
        }
    }
    for (unsigned i = 0; i < 20000; i++)
        sum += nodes[i].count * i;
    return sum;
}

static uint64_t strings(void)
{
    static uint8_t from[65536], to[65536];
    uint64_t sum = 0;
    for (unsigned round = 0; round < 40; round++) {
        void *destination = from, *source = from;
        uint64_t count = sizeof(from) / 8;
        __asm__ volatile("rep stosq" : "+D"(destination), "+c"(count) : "a"(round * 0x0101010101010101ull) : "memory");
        destination = to;
        count = sizeof(from);
        __asm__ volatile("rep movsb" : "+D"(destination), "+S"(source), "+c"(count) : : "memory");
        for (unsigned i = 0; i < 16; i++) { /* short ones, as kernels have most of the time */
            destination = to + i * 64;
            source = from + i * 32;
            count = i;
            __asm__ volatile("rep movsq" : "+D"(destination), "+S"(source), "+c"(count) : : "memory");
        }
        sum += to[round * 100];
    }
    return sum;
}

static uint64_t doubles(void)
{
    double x = 1, v = 0, sum = 0;
    for (unsigned i = 0; i < 2000; i++) {
        double force = -x / (x * x * 0.5 + 1.25);
        v += force * 0.01;
        x += v * 0.01;
        sum += x * v;
    }
    return (uint64_t)(int64_t)(sum * 1000000);
}

/* Each page is touched twice; the first touch is a page fault, which the handler answers with a frame. */
static uint64_t page_faults(void)
{
    volatile uint64_t *window = (volatile uint64_t *)WINDOW;
    uint64_t sum = 0;
    for (unsigned round = 0; round < 8; round++) {
        for (unsigned page = 0; page < PAGES; page++) {
            window[page * 512 + round] = page;
            sum += window[page * 512 + round];
        }
        for (unsigned page = 0; page < PAGES; page++) {
            tables[2][page] = 0;
            __asm__ volatile("invlpg (%0)" : : "r"(WINDOW + page * 4096ull) : "memory");
        }
    }
    return sum + faults;
}

static uint64_t system_calls(void)
{
    for (unsigned i = 0; i < 20000; i++)
        __asm__ volatile("int $0x80" : : : "memory");
    return calls;
}

/* --- the machine -------------------------------------------------------------------------------------------------- */

__attribute__((used)) static void fault_answer(void)
{
    uint64_t linear;
    __asm__ volatile("mov %%cr2, %0" : "=r"(linear));
    unsigned page = (unsigned)((linear - WINDOW) / 4096);
    tables[2][page] = (uint64_t)frames[page] | PRESENT;
    faults++;
}

/* The registers that a function of the ABI may change. */
#define SAVED                                                                                                          \
    "push %rax\n push %rcx\n push %rdx\n push %rsi\n push %rdi\n push %r8\n push %r9\n push %r10\n push %r11\n"
#define RESTORED "pop %r11\n pop %r10\n pop %r9\n pop %r8\n pop %rdi\n pop %rsi\n pop %rdx\n pop %rcx\n pop %rax\n"

ISR static void on_page_fault(void)
{
    __asm__(SAVED "cld\n call fault_answer\n" RESTORED "add $8, %rsp\n iretq");
}
ISR static void on_call(void)
{
    __asm__("incq calls(%rip)\n iretq");
}

static void gate_set(unsigned vector, void (*handler)(void))
{
    uint64_t at = (uint64_t)handler;
    idt[vector] = (struct gate){ (uint16_t)at, CODE64, 0, 0x8E, (uint16_t)(at >> 16), (uint32_t)(at >> 32), 0 };
}

static void machine_start(void)
{
    uint64_t cr3, cr4;
    struct pointer to_gdt = { sizeof(gdt) - 1, (uint64_t)gdt }, to_idt = { sizeof(idt) - 1, (uint64_t)idt };
    gate_set(14, on_page_fault);
    gate_set(0x80, on_call);
    __asm__ volatile("lgdt %0\n lidt %1\n"
                     "push %2\n lea 1f(%%rip), %%rax\n push %%rax\n lretq\n 1:"
                     :
                     : "m"(to_gdt), "m"(to_idt), "i"(CODE64)
                     : "rax", "memory");
    __asm__ volatile("mov %%cr3, %0\n mov %%cr4, %1" : "=r"(cr3), "=r"(cr4));
    cr4 |= 1 << 9; /* OSFXSR */
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4));
    ((volatile uint64_t *)cr3)[1] = (uint64_t)tables[0] | PRESENT;
    tables[0][0] = (uint64_t)tables[1] | PRESENT;
    tables[1][0] = (uint64_t)tables[2] | PRESENT;
}

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

__attribute__((used, noreturn)) static void run(void)
{
    static uint64_t (*const parts[])(void) = { sieve, crc, rounds, tree, strings, doubles, page_faults, system_calls };
    machine_start();
    uint64_t sum = fibonacci(22);
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        sum = sum * 31 + parts[i]();
    for (int shift = 60; shift >= 0; shift -= 4)
        out8(0x3F8, (uint8_t)"0123456789abcdef"[sum >> shift & 15]);
    out8(0x3F8, '\n');
    out8(0xF4, 0);
    for (;;)
        __asm__ volatile("hlt");
}

static uint8_t stack[16384] __attribute__((used, aligned(16)));

ENTRY void entry(void)
{
    __asm__("lea stack+16384(%rip), %rsp\n call run");
}
