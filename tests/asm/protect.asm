; UMIP, SMAP with STAC and CLAC, protection keys.
; options: --cpu x86-64-v4
%include "test.inc"

BASE equ 0x40000000 ; pages for the user, by 4 KiB: index n maps data + n * 4096
BASE_LDT equ BASE + 0x8000

main:
    mov qword [pdpt + 8], pd1 + 7
    mov qword [pd1], pt0 + 7
    mov rax, data + 7
    xor ecx, ecx
.fill:
    mov [pt0 + rcx * 8], rax
    add rax, 4096
    inc ecx
    cmp ecx, 16
    jb .fill
    mov rbx, BASE

    ; UMIP: five instructions are #GP(0) at CPL 3, with a register and with memory
    USER_PAGES
    TO_USER
    smsw ax
    smsw [rbx]
    str ax
    sldt ax
    sgdt [rbx]
    sidt [rbx]
    TO_KERNEL
    mov rax, cr4
    bts rax, 11
    mov cr4, rax
    smsw rcx
    mov rax, cr0
    CHECK rcx, rax
    str cx
    sldt cx
    sgdt [rbx]
    sidt [rbx]
    TO_USER
    FAULTS 13, 0, smsw ax
    FAULTS 13, 0, smsw [rbx]
    FAULTS 13, 0, smsw [rbx + 0x100000] ; before the operand's #PF
    FAULTS 13, 0, str ax
    FAULTS 13, 0, str [rbx]
    FAULTS 13, 0, sldt ax
    FAULTS 13, 0, sldt [rbx]
    FAULTS 13, 0, sgdt [rbx]
    FAULTS 13, 0, sidt [rbx]
    TO_KERNEL

    ; SMAP: the stack and code of the supervisor stay on supervisor pages, only BASE is the user's
    and byte [pd0], ~4
    and byte [pd0 + 8], ~4
    and byte [pd0 + 16], ~4
    mov rax, cr3
    mov cr3, rax
    FAULTS 6, 0, {db 0xF3, 0x0F, 0x01, 0xCB} ; NP
    mov rcx, [rbx]
    mov rax, cr4
    bts rax, 21
    mov cr4, rax
    FAULTS 14, 1, mov rcx, [rbx]
    FAULTS 14, 3, mov [rbx], rcx
    stac
    mov rcx, [rbx]
    mov [rbx], rcx
    CHECK_FLAGS 1 << 18, 1 << 18
    clac
    CHECK_FLAGS 1 << 18, 0
    FAULTS 14, 1, mov rcx, [rbx]
    ; POPF changes AC likewise
    push 1 << 18
    popfq
    mov rcx, [rbx]
    push 0
    popfq
    FAULTS 14, 3, add [rbx], rcx
    ; implicit accesses to system tables heed no AC: an LDT on a user page
    mov rax, [gdt + DATA64]
    stac
    mov [BASE_LDT], rax
    mov rax, 0x40008200800000FF ; 40008000H, 256 bytes
    mov [gdt + FREE_SELECTOR], rax
    mov eax, FREE_SELECTOR
    lldt ax
    mov eax, 4
    FAULTS 14, 1, mov es, ax
    clac
    FAULTS 14, 1, mov es, ax
    mov rax, cr4
    btr rax, 21
    mov cr4, rax

    ; protection keys: page n has key n
    FAULTS 6, 0, rdpkru
    FAULTS 6, 0, wrpkru
    xor ecx, ecx
.keys:
    mov rax, rcx
    shl rax, 59
    or [pt0 + rcx * 8], rax
    inc ecx
    cmp ecx, 16
    jb .keys
    mov rax, cr3
    mov cr3, rax
    mov rax, cr4
    bts rax, 22
    mov cr4, rax
    mov eax, 7 ; OSPKE
    xor ecx, ecx
    cpuid
    and ecx, 1 << 4
    CHECK32 ecx, 1 << 4
    mov rbx, BASE
    mov ecx, 1
    FAULTS 13, 0, rdpkru
    FAULTS 13, 0, wrpkru
    xor ecx, ecx
    mov edx, 1
    FAULTS 13, 0, wrpkru
    xor edx, edx
    mov eax, 1 << 2 | 2 << 4 | 3 << 6 ; key 1: no access, 2: no write, 3: neither
    wrpkru
    mov rax, -1
    mov rdx, -1
    rdpkru
    CHECK64 rax, 0xE4
    CHECK rdx, 0
    ; the supervisor: access-disable always counts, write-disable under CR0.WP
    mov rcx, [rbx]
    mov [rbx], rcx
    FAULTS 14, 0x21, mov rcx, [rbx + 0x1000]
    FAULTS 14, 0x23, mov [rbx + 0x1000], rcx
    mov rcx, [rbx + 0x2000]
    FAULTS 14, 0x23, mov [rbx + 0x2000], rcx
    FAULTS 14, 0x23, add [rbx + 0x2000], rcx
    FAULTS 14, 0x21, mov rcx, [rbx + 0x3000]
    mov rcx, [rbx + 0x4000]
    mov rax, cr0
    and rax, ~CR0_WP
    mov cr0, rax
    mov [rbx + 0x2000], rcx
    FAULTS 14, 0x23, mov [rbx + 0x1000], rcx
    or rax, CR0_WP
    mov cr0, rax
    FAULTS 14, 0x23, mov [rbx + 0x2000], rcx
    ; a supervisor page has no key
    mov rax, 1 << 59
    or [pd0 + 32 * 8], rax
    and qword [pd0 + 32 * 8], ~4
    mov rax, cr3
    mov cr3, rax
    mov rcx, [32 << 21]
    ; code may be fetched whatever the key
    mov eax, 0
    xor ecx, ecx
    xor edx, edx
    wrpkru
    mov byte [rbx + 0x1000], 0xC3
    mov eax, 0x55555554
    wrpkru
    lea rax, [rbx + 0x1000]
    call rax
    FAULTS 14, 0x21, mov rcx, [rbx + 0x1000]
    ; other violations beside that of the key
    and qword [pt0 + 1 * 8], ~2
    invlpg [rbx + 0x1000]
    FAULTS 14, 0x23, mov [rbx + 0x1000], rcx
    and qword [pt0 + 1 * 8], ~1
    invlpg [rbx + 0x1000]
    FAULTS 14, 0, mov rcx, [rbx + 0x1000]
    or qword [pt0 + 1 * 8], 3
    invlpg [rbx + 0x1000]

    ; CPL 3
    USER_PAGES
    TO_USER
    xor ecx, ecx
    xor edx, edx
    mov eax, 1 << 2 | 2 << 4
    wrpkru
    FAULTS 14, 0x25, mov rcx, [rbx + 0x1000]
    FAULTS 14, 0x27, mov [rbx + 0x1000], rcx
    mov rcx, [rbx + 0x2000]
    FAULTS 14, 0x27, mov [rbx + 0x2000], rcx
    mov eax, 0
    mov ecx, 0
    wrpkru
    mov [rbx + 0x1000], rcx
    mov [rbx + 0x2000], rcx
    TO_KERNEL
    PASS

align 4096
pd1: times 512 dq 0
END
