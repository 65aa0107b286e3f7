; XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR, XRSTORS with x87, SSE and PKRU, with AVX and AVX-512 where CPUID has them:
; places, headers, initial states, MXCSR, what is refused; XGETBV with ECX = 1; CPUID leaf 0DH.
; options: --cpu x86-64-v4
%include "test.inc"

AREA equ data
STANDARD_PKRU equ 2688

%macro COMPONENTS 1 ; EDX:EAX
    mov eax, %1
    xor edx, edx
%endmacro
%macro CLEAN 1 ; the area gets this byte everywhere, and a zeroed header
    mov edi, AREA
    mov al, %1
    mov ecx, 4096
    rep stosb
    mov edi, AREA + 512
    xor eax, eax
    mov ecx, 64
    rep stosb
    mov edi, AREA
%endmacro
%macro PKRU 1
    xor ecx, ecx
    xor edx, edx
    mov eax, %1
    wrpkru
%endmacro
%macro PKRU_IS 1
    xor ecx, ecx
    rdpkru
    CHECK32 eax, %1
%endmacro

main:
    COMPONENTS -1
    FAULTS 6, 0, {xsave [AREA]}
    FAULTS 6, 0, {xsavec [AREA]}
    FAULTS 6, 0, {xsaves [AREA]}
    FAULTS 6, 0, {xrstors [AREA]}
    mov rax, cr4
    bts rax, 18
    bts rax, 22 ; PKE
    mov cr4, rax
    xor ecx, ecx
    xor edx, edx
    mov eax, 0x203
    xsetbv

    ; CPUID: sizes of the present XCR0, in both formats
    mov eax, 0xD
    xor ecx, ecx
    cpuid
    CHECK32 ebx, 2696
    and eax, 0x203
    CHECK32 eax, 0x203
    mov eax, 0xD
    mov ecx, 1
    cpuid
    CHECK32 eax, 15 ; XSAVEOPT, XSAVEC, XGETBV 1, XSAVES
    CHECK32 ebx, 576 + 8
    mov eax, 0xD
    mov ecx, 9
    cpuid
    CHECK32 eax, 8
    CHECK32 ebx, STANDARD_PKRU
    CHECK32 ecx, 0
    mov eax, 0xD
    mov ecx, 3
    cpuid
    CHECK32 eax, 0

    ; XINUSE
    fninit
    pxor xmm0, xmm0
    mov ecx, 1
    xgetbv
    CHECK32 eax, 0
    PKRU 0x10
    mov ecx, 1
    xgetbv
    CHECK32 eax, 0x200
    fld1
    pcmpeqd xmm3, xmm3
    mov ecx, 1
    xgetbv
    CHECK32 eax, 0x203
    mov ecx, 2
    FAULTS 13, 0, xgetbv

    ; XSAVE: standard places, XCOMP_BV untouched
    CLEAN 0xAA
    COMPONENTS -1
    xsave [AREA]
    CHECK [AREA + 512], 0x203
    CHECK [AREA + 520], 0
    CHECK [AREA + STANDARD_PKRU], 0x10
    CHECK64 [AREA + 576], 0xAAAAAAAAAAAAAAAA
    CHECK [AREA + 160 + 48], -1
    CHECK32 [AREA + 24], 0x1F80

    ; XSAVEC: packed; what is in its initial state is not written; the header holds what was asked for
    CLEAN 0xAA
    COMPONENTS -1
    xsavec [AREA]
    CHECK [AREA + 512], 0x203
    CHECK64 [AREA + 520], 0x8000000000000203
    CHECK [AREA + 576], 0x10
    CHECK64 [AREA + 584], 0xAAAAAAAAAAAAAAAA
    CHECK [AREA + 160 + 48], -1
    CLEAN 0
    COMPONENTS 3
    mov dword [AREA + 24], 0x1F80
    xrstor [AREA] ; FNINIT would leave 1.0 in the register
    CLEAN 0xAA
    COMPONENTS -1
    xsavec [AREA]
    CHECK [AREA + 512], 0x200
    CHECK64 [AREA + 520], 0x8000000000000203
    CHECK [AREA + 576], 0x10
    CHECK64 [AREA], 0xAAAAAAAAAAAAAAAA
    CHECK64 [AREA + 24], 0xAAAAAAAAAAAAAAAA ; nor MXCSR
    ; a MXCSR of its own makes SSE state count as in use
    mov dword [number], 0x1FA0
    ldmxcsr [number]
    COMPONENTS 2
    xsavec [AREA]
    CHECK [AREA + 512], 2
    CHECK64 [AREA + 520], 0x8000000000000002
    CHECK32 [AREA + 24], 0x1FA0
    CHECK [AREA + 160], 0
    ; XSAVEOPT does not see it that way
    CLEAN 0xAA
    COMPONENTS 2
    xsaveopt [AREA]
    CHECK [AREA + 512], 0
    CHECK32 [AREA + 24], 0x1FA0
    CHECK64 [AREA + 160], 0xAAAAAAAAAAAAAAAA

    ; XRSTOR, compacted: what is absent becomes initial, MXCSR too
    CLEAN 0
    mov rax, 0x8000000000000203
    mov [AREA + 520], rax
    mov qword [AREA + 512], 0x200
    mov qword [AREA + 576], 0x54
    pcmpeqd xmm5, xmm5
    fld1
    COMPONENTS -1
    xrstor [AREA]
    PKRU_IS 0x54
    movq rax, xmm5
    CHECK rax, 0
    stmxcsr [number]
    CHECK32 [number], 0x1F80
    fnstsw ax
    and eax, 0x3800
    CHECK32 eax, 0
    ; only what is asked for
    pcmpeqd xmm5, xmm5
    mov qword [AREA + 576], 0x40
    COMPONENTS 0x200
    xrstor [AREA]
    PKRU_IS 0x40
    movq rax, xmm5
    CHECK rax, -1
    ; a place without data
    mov qword [AREA + 512], 0
    COMPONENTS 0x200
    xrstor [AREA]
    PKRU_IS 0
    ; standard form: MXCSR is loaded even if SSE state is absent
    PKRU 4
    CLEAN 0
    mov qword [AREA + 512], 0x200
    mov qword [AREA + STANDARD_PKRU], 8
    mov dword [AREA + 24], 0x1F00
    COMPONENTS -1
    xrstor [AREA]
    PKRU_IS 8
    stmxcsr [number]
    CHECK32 [number], 0x1F00
    mov dword [number], 0x1F80
    ldmxcsr [number]
    PKRU 0

    ; XSAVES and XRSTORS: the same compacted format
    pcmpeqd xmm7, xmm7
    CLEAN 0xAA
    COMPONENTS -1
    xsaves [AREA]
    CHECK [AREA + 512], 2
    CHECK64 [AREA + 520], 0x8000000000000203
    pxor xmm7, xmm7
    COMPONENTS -1
    xrstors [AREA]
    movq rax, xmm7
    CHECK rax, -1
    ; IA32_XSS exists and has no bits
    mov ecx, 0xDA0
    rdmsr
    CHECK32 eax, 0
    mov eax, 0x100
    FAULTS 13, 0, wrmsr
    xor eax, eax
    wrmsr

    ; refused
    COMPONENTS -1
    FAULTS 13, 0, {xsavec [AREA + 32]}
    FAULTS 13, 0, {xrstor [AREA + 32]}
%macro REFUSED 3 ; XSTATE_BV, XCOMP_BV, instruction
    CLEAN 0
    mov rax, %1
    mov [AREA + 512], rax
    mov rax, %2
    mov [AREA + 520], rax
    COMPONENTS -1
    FAULTS 13, 0, {%3 [AREA]}
%endmacro
    REFUSED 0x400, 0, xrstor                  ; not in XCR0
    REFUSED 0, 1, xrstor                      ; standard form with places
    REFUSED 2, 0x8000000000000001, xrstor     ; no place
    REFUSED 0, 0x8000000000000400, xrstor     ; a place of nothing
    REFUSED 2, 0, xrstors                     ; not compacted
    REFUSED 8, 0x8000000000000008, xrstors
    CLEAN 0
    mov byte [AREA + 528], 1 ; reserved in either form
    COMPONENTS -1
    FAULTS 13, 0, {xrstor [AREA]}
    mov rax, 0x8000000000000003
    mov [AREA + 520], rax
    mov byte [AREA + 528], 0
    mov byte [AREA + 575], 1 ; reserved in the compacted form only
    COMPONENTS -1
    FAULTS 13, 0, {xrstor [AREA]}
    mov qword [AREA + 520], 0
    mov dword [AREA + 24], 0x1F80
    xrstor [AREA]
    mov dword [AREA + 24], 0x10000 ; MXCSR
    FAULTS 13, 0, {xrstor [AREA]}

    ; components that are not restored are not accessed: the area ends where the page does
    mov qword [pdpt + 8], pd1 + 3
    mov qword [pd1], pt0 + 3
    mov qword [pt0], AREA + 3
    mov rbx, 0x40000000 + 4096 - 576
    mov dword [rbx + 24], 0x1F80
    COMPONENTS -1
    xrstor [rbx]
    xsaveopt [rbx]
    FAULTS 14, 2, {xsave [rbx]}
    CHECK [fault_cr2], 0x40001000

    ; CR0.TS
    mov rax, cr0
    or eax, 8
    mov cr0, rax
    COMPONENTS -1
    FAULTS 7, 0, {xsavec [AREA]}
    FAULTS 7, 0, {xrstors [AREA]}
    clts
    FAULTS 6, 0, {db 0x66, 0x0F, 0xC7, 0x27} ; NP

    ; AVX and AVX-512
    mov eax, 0xD
    xor ecx, ecx
    cpuid
    mov ebp, eax
    test ebp, 4
    jz no_avx
    xor ecx, ecx
    xor edx, edx
    mov eax, 0x207
    xsetbv
    CLEAN 0
    mov qword [AREA + 512], 4
    mov rax, 0x1122334455667788
    mov [AREA + 576 + 16 * 9], rax
    COMPONENTS -1
    mov dword [AREA + 24], 0x1F80
    xrstor [AREA]
    mov ecx, 1
    xgetbv
    CHECK32 eax, 4
    CLEAN 0xAA
    COMPONENTS -1
    xsavec [AREA]
    CHECK64 [AREA + 576 + 16 * 9], 0x1122334455667788
    CHECK [AREA + 512], 4
    PKRU 4
    COMPONENTS -1
    xsavec [AREA]
    CHECK [AREA + 576 + 256], 4
    xor ecx, ecx
    xor edx, edx
    mov eax, 0x205
    FAULTS 13, 0, xsetbv
    test ebp, 0xE0
    jz no_avx
    mov eax, 0x247
    FAULTS 13, 0, xsetbv
    mov eax, 0xE3
    FAULTS 13, 0, xsetbv
    mov eax, 0x2E7
    xsetbv
    mov eax, 0xD
    mov ecx, 1
    cpuid
    CHECK32 ebx, 576 + 256 + 64 + 512 + 1024 + 8
    CLEAN 0
    mov qword [AREA + 512], 0xE0
    mov dword [AREA + 24], 0x1F80
    mov qword [AREA + 1088 + 8 * 7], 77
    mov qword [AREA + 1152 + 32 * 15], 88
    mov qword [AREA + 1664 + 64 * 15 + 56], 99
    COMPONENTS -1
    xrstor [AREA]
    mov ecx, 1
    xgetbv
    CHECK32 eax, 0xE0
    CLEAN 0xAA
    COMPONENTS -1
    xsavec [AREA]
    CHECK [AREA + 832 + 8 * 7], 77
    CHECK [AREA + 896 + 32 * 15], 88
    CHECK [AREA + 1408 + 64 * 15 + 56], 99
    CHECK [AREA + 512], 0xE0
    ; only 64-bit mode knows the last sixteen
    TO_COMPAT
    xor edx, edx
    mov eax, -1
    mov ecx, 1
    xgetbv
    CHECK eax, 0x20
    TO_64
no_avx:
    USER_PAGES
    TO_USER
    COMPONENTS -1
    mov edi, user_stack_top - 8192
    xsavec [rdi]
    FAULTS 13, 0, {xsaves [rdi]}
    FAULTS 13, 0, {xrstors [rdi]}
    xrstor [rdi]
    TO_KERNEL
    PASS

number: dd 0
align 4096
pd1: times 512 dq 0
END
