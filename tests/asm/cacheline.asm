; CLFLUSH, CLFLUSHOPT, CLWB: checked like loads; MOVDIRI, MOVDIR64B.
; options: --cpu x86-64-v4
%include "test.inc"

BASE equ 0x40000000

main:
    mov qword [pdpt + 8], pd1 + 7
    mov qword [pd1], pt0 + 7
    mov rbx, BASE
%macro LINE 1
    mov qword [pt0], data + 1
    invlpg [rbx]
    %1 [rbx + 17]
    CHECK [pt0], data + 0x21 ; accessed, not dirty; a read-only page will do
    FAULTS 14, 0, %1 [rbx + 0x1FFF]
    mov rax, 1 << 47
    FAULTS 13, 0, %1 [rax]
%endmacro
    LINE clflush
    LINE clflushopt
    LINE clwb
    FAULTS 6, 0, {db 0x66, 0x0F, 0xAE, 0xF8} ; CLFLUSHOPT of a register
    FAULTS 6, 0, {db 0xF0, 0x66, 0x0F, 0xAE, 0x3B}
    ; TPAUSE, UMONITOR and UMWAIT are not there
    FAULTS 6, 0, {db 0x66, 0x0F, 0xAE, 0xF0}
    FAULTS 6, 0, {db 0xF3, 0x0F, 0xAE, 0xF0}
    FAULTS 6, 0, {db 0xF2, 0x0F, 0xAE, 0xF0}

    mov qword [pt0], data + 3
    mov qword [pt0 + 8], data + 0x3003
    invlpg [rbx]
    mov rcx, 0x1122334455667788
    mov rax, -1
    mov [rbx + 8], rax
    movdiri [rbx + 8], ecx
    CHECK64 [data + 8], 0xFFFFFFFF55667788
    movdiri [rbx + 0xFFC], rcx ; across two pages
    CHECK32 [data + 0xFFC], 0x55667788
    CHECK32 [data + 0x3000], 0x11223344
    FAULTS 14, 2, {movdiri [rbx + 0x1FFC], rcx}
    FAULTS 6, 0, {db 0x0F, 0x38, 0xF9, 0xC8}

    ; MOVDIR64B: any source, a destination at a multiple of 64
    mov rdi, data + 0x5001
    mov ecx, 64
.fill:
    mov [rdi + rcx - 1], cl
    dec ecx
    jnz .fill
    lea rdx, [rbx + 0x1040]
    movdir64b rdx, [data + 0x5001]
    mov rsi, data + 0x5001
    mov rdi, data + 0x3040
    mov ecx, 64
    repe cmpsb
    CHECK_IF e
    lea rdx, [rbx + 0x1048]
    FAULTS 13, 0, {movdir64b rdx, [data + 0x5001]}
    lea rdx, [rbx + 0x2000]
    FAULTS 14, 2, {movdir64b rdx, [data + 0x5001]}
    CHECK [fault_cr2], BASE + 0x2000
    lea rdx, [rbx + 0x1000]
    FAULTS 14, 0, {movdir64b rdx, [rbx + 0x1FF0]}
    CHECK [fault_cr2], BASE + 0x2000
    ; a 32-bit address size names the destination's register, too
    mov rdx, data + 0x6000
    bts rdx, 40
    a32 movdir64b edx, [data + 0x5001]
    CHECK8 [data + 0x603F], 64
    FAULTS 6, 0, {db 0x66, 0x0F, 0x38, 0xF8, 0xC0}
    ; 16-bit addresses
    mov byte [0x8000], 99
    TO_COMPAT
    mov edx, 0x12348040
    mov esi, 0x8000
    db 0x67, 0x66, 0x0F, 0x38, 0xF8, 0x14 ; MOVDIR64B DX, [SI]
    CHECK8 [0x8040], 99
    TO_64
    PASS

align 4096
pd1: times 512 dq 0
END
