; 64-bit mode by itself: canonical addresses, RIP-relative operands, zero extension, oddities of REX and other prefixes, the
; length limit, fetches across pages, segment overrides, the stack's width, high addresses.
%include "test.inc"

main:
    ; every 32-bit destination clears the upper half, 8- and 16-bit ones do not
%macro EXTENDS 2+ ; register (64-bit name), instruction that writes its 32-bit half
    mov %1, -1
    %2
    NEXT_CHECK
    pushfq
    push %1
    cmp dword [rsp + 4], 0
    je %%ok
    FAIL
%%ok:
    add rsp, 8
    popfq
%endmacro
    mov ebx, 5
    mov qword [data], 7
    EXTENDS rax, mov eax, 1
    EXTENDS rax, mov eax, ebx
    EXTENDS rax, mov eax, [data]
    EXTENDS rax, add eax, 0
    EXTENDS rax, sub eax, eax
    EXTENDS rax, and eax, -1
    EXTENDS rax, or eax, 0
    EXTENDS rax, adc eax, ebx
    EXTENDS rax, sbb eax, ebx
    EXTENDS rax, inc eax
    EXTENDS rax, dec eax
    EXTENDS rax, neg eax
    EXTENDS rax, not eax
    EXTENDS rax, shl eax, 1
    EXTENDS rax, sar eax, 1
    EXTENDS rax, rol eax, 4
    EXTENDS rax, rcr eax, 1
    EXTENDS rax, shld eax, ebx, 3
    EXTENDS rax, {shl eax, 0}
    EXTENDS rax, imul eax, ebx
    EXTENDS rax, imul eax, ebx, 3
    EXTENDS rax, bswap eax
    EXTENDS rax, movzx eax, bl
    EXTENDS rax, movsx eax, bl
    EXTENDS rax, lea eax, [rbx]
    EXTENDS rax, xchg eax, ebx
    EXTENDS rax, cwde
    EXTENDS rdx, cdq
    mov ebx, 5
    EXTENDS rax, bsf eax, ebx
    EXTENDS rax, bts eax, ebx
    EXTENDS rax, cmovz eax, ebx
    EXTENDS rax, xadd eax, ebx
    EXTENDS rax, mul ebx
    mov edx, 0
    mov ebx, 5
    EXTENDS rax, div ebx
    EXTENDS rax, in eax, 0x80
    EXTENDS rax, smsw eax
    EXTENDS rax, str eax
    EXTENDS rax, mov eax, ds
    mov rsi, data
    EXTENDS rax, lodsd
    EXTENDS r8, mov r8d, [data]
    EXTENDS r15, xor r15d, r15d
    ; 16 and 8 bits keep it
    mov rax, -1
    mov ax, 0
    CHECK rax, -0x10000
    xor al, al
    not ah
    CHECK64 rax, 0xFFFFFFFFFFFFFF00
    cbw
    movsx ax, al
    mov al, 1
    CHECK64 rax, 0xFFFFFFFFFFFF0001

    ; canonical addresses at both borders
    mov rax, 0x00007FFFFFFFFFF8
    FAULTS 14, 0, mov rcx, [rax]
    CHECK [fault_cr2], rax
    mov rax, 0xFFFF800000000000
    FAULTS 14, 2, mov [rax], rcx
    CHECK [fault_cr2], rax
    mov rax, 0x0000800000000000
    FAULTS 13, 0, mov rcx, [rax]
    mov rax, 0xFFFF7FFFFFFFFFFF
    FAULTS 13, 0, mov cl, [rax]
    mov rax, 0x7FFFFFFFFFFFFFFF
    FAULTS 13, 0, mov [rax], cl
    ; the sum of base, index and displacement wraps at 64 bits before it is looked at
    mov rax, 0xFFFFFFFFFFFFFFF0
    mov rcx, [rax + data + 0x10]
    CHECK rcx, [data]
    mov rdx, 0x2000000000000000
    mov rcx, [data + rdx * 8 + 0]
    FAULTS 13, 0, {mov rcx, [data + rdx * 4]}
    mov rdx, 0x8000000000000000
    mov rcx, [data + rdx * 2]
    CHECK rcx, [data]
    ; execution at the top of the lower half: the next instruction's address is not canonical
    mov rax, 0x0000800000000000
    mov rbp, rsp
%ifndef QEMU ; QEMU 7.2 faults at the fetch
    FAULTS 13, 0, jmp rax
    FAULTS 13, 0, call rax
    CHECK rsp, rbp
%endif
    ; a page in the upper half
    mov qword [pml4 + 256 * 8], pdpt + 3
    mov rax, 0xFFFF800000000000 + data
    mov qword [data], 0x1357
    mov rcx, [rax]
    CHECK rcx, 0x1357
    mov qword [pml4 + 511 * 8], pdpt_high + 3
    mov qword [pdpt_high + 511 * 8], pd0 + 3
    mov rcx, [0xFFFFFFFFC0000000 + data] ; a sign-extended displacement
    CHECK rcx, 0x1357
    mov rax, 0xFFFFFFFFC0000000 + high_code
    jmp rax
high_code:
    lea rcx, [rel $]
    mov rdx, 0xFFFFFFFFC0000000 + high_code
    CHECK rcx, rdx
low_code:
    mov rax, main.low
    jmp rax
main.low:
    lea rcx, [rel $]
    CHECK rcx, main.low

    ; RIP-relative: from the end of the instruction, immediates included
    mov qword [rel data + 8], 0x1234
    CHECK [data + 8], 0x1234
    cmp qword [rel data + 8], 0x1234
    CHECK_IF z
    cmp dword [rel data + 8], strict dword 0x1234
    CHECK_IF z
    add word [rel data + 8], 0x1000
    CHECK [data + 8], 0x2234
    shl byte [rel data + 8], 4
    CHECK [data + 8], 0x2240
    test byte [rel data + 9], 2
    CHECK_IF nz
    imul rcx, [rel data + 8], 0x1000
    CHECK rcx, 0x2240000
    movups xmm0, [rel data]
    bt dword [rel data + 8], 6
    CHECK_IF c

    ; REX: W beats 66; not the last prefix: ignored; R, X, B extend; without effect on what has no operands
    mov rax, -1
    db 0x66, 0x48, 0x05, 1, 0, 0, 0 ; add rax, imm32
    CHECK rax, 0
    mov rax, -1
%ifndef QEMU ; QEMU 7.2 obeys any REX
    db 0x48, 0x66, 0x05, 1, 0       ; add ax, imm16
    CHECK rax, -0x10000
    db 0x41, 0x40, 0x89, 0xC3       ; the last of two REX counts: mov ebx, eax
    CHECK64 rbx, 0xFFFF0000
%endif
    mov r8, 1
    db 0x4F, 0x90                   ; XCHG R8, RAX
    CHECK rax, 1
    db 0x40, 0x90                   ; NOP
    db 0x48, 0x90
    db 0x4F, 0xF8                   ; CLC
    CHECK_IF nc
    mov rax, 0x11
    mov r8, 0x22
    db 0x44, 0x89, 0xC0 ; mov eax, r8d
    CHECK rax, 0x22
    ; SIB: REX.X makes index 4 r12; base 5 and 13 with mod 0 are a displacement alone
    mov r12, 8
    mov rax, data
    db 0x4A, 0x8B, 0x0C, 0x20 ; mov rcx, [rax + r12]
    CHECK rcx, [data + 8]
    db 0x49, 0x8B, 0x0C, 0x25 ; mov rcx, [disp32] with REX.B
    dd data + 8
    CHECK rcx, [data + 8]
    mov r13, data
    mov rcx, [r13]
    CHECK rcx, 0x1357
    mov r12, data
    mov rcx, [r12]
    CHECK rcx, 0x1357

    ; many prefixes: the last segment override and the last of F2/F3 count; 15 bytes in all are fine
    mov ecx, 0xC0000100
    mov eax, 0x100
    xor edx, edx
    wrmsr
    db 0x65, 0x64 ; GS, FS
    mov rcx, [data - 0x100]
    CHECK rcx, 0x1357
%ifndef QEMU ; QEMU 7.2 lets CS take FS away
    db 0x64, 0x2E ; FS, CS: CS is ignored, FS is not
    mov rcx, [data - 0x100]
    CHECK rcx, 0x1357
%endif
    mov ecx, 0xC0000100
    xor eax, eax
    wrmsr
    times 13 db 0x66
    mov ah, al
    times 10 db 0x2E
    mov eax, strict dword 1
    CHECK rax, 1

    ; addresses with 67: computed to 32 bits, zero-extended; RIP too
    mov rax, 0xFFFFFFFF00000000 + data
    mov rcx, [eax]
    CHECK rcx, 0x1357
    mov rax, -8
    mov rcx, [eax + data + 8]
    CHECK rcx, 0x1357

    ; code that crosses into an absent page: the fault is at the instruction, CR2 at the page
    mov qword [pdpt + 8], pd1 + 3
    mov qword [pd1], pt0 + 3
    mov qword [pt0], data + 0x3000 + 3
    mov rdi, data + 0x4000 - 16
    mov al, 0x90
    mov ecx, 16
    rep stosb
    mov word [data + 0x3FFE], 0xB848
    mov rdx, 0x40000FFE
    mov rcx, 0x40000FF0
    FAULTS_RIP 14, 0, rdx, jmp rcx
    CHECK64 [fault_cr2], 0x40001000
    ; map it in a handler, and the instruction completes
    mov qword [data + 0x5000], 0x77
    mov byte [data + 0x5008], 0xC3
    mov qword [handler], map_it
    call rcx
    mov qword [handler], 0
    CHECK rax, 0x77
    ; an instruction with both its pages and its operand's two pages
    mov qword [pt0 + 16], data + 0x7000 + 3
    mov word [data + 0x3FFE], 0x8B48 ; mov rax, [rip + disp32]
    mov byte [data + 0x5000], 0x05
    mov dword [data + 0x5001], 0x40001FFC - 0x40001005
    mov byte [data + 0x5005], 0xC3
    mov dword [data + 0x5FFC], 0x55667788
    mov dword [data + 0x7000], 0x11223344
    call rcx
    CHECK64 rax, 0x1122334455667788
    PASS

map_it:
    mov qword [pt0 + 8], data + 0x5000 + 3
    add rsp, 16
    iretq
align 4096
pd1: times 512 dq 0
pdpt_high: times 512 dq 0
END
