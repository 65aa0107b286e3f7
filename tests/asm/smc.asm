; Self- and cross-modifying code: a store is seen by the very next instruction, through whatever mapping it was made.
%include "test.inc"

main:
    ; the next instruction of the same block
    mov byte [patch1 + 1], 7
patch1:
    mov al, 1
    movzx eax, al
    CHECK rax, 7

    ; a loop that rewrites its own immediate each time round
    xor ebx, ebx
    mov ecx, 100
.again:
    mov [patch2 + 2], ecx
    jmp short patch2
patch2:
    add ebx, strict dword 0x11223344
    dec ecx
    jnz patch1.again
    CHECK rbx, 5050

    ; a function that has run is replaced
    mov rdi, data
    mov dword [rdi], 0x00C3C031 ; xor eax, eax; ret
    call rdi
    CHECK rax, 0
    mov dword [rdi], 0xC3C0FF48 ; inc rax; ret
    call rdi
    CHECK rax, 1
    call rdi
    CHECK rax, 2
    mov byte [rdi + 2], 0xC8 ; dec rax
    call rdi
    CHECK rax, 1

    ; the same page by another linear address: pt0 maps 40000000H.. to `data`
    mov qword [pdpt + 8], pd_alias + 3
    mov qword [pd_alias], pt0 + 3
    mov rax, data
    or rax, 3
    mov [pt0], rax
    mov rsi, 0x40000000
    mov byte [rsi + 2], 0xC0 ; inc rax, through the alias
    xor eax, eax
    call rdi
    CHECK rax, 1
    call rsi ; and run through the alias
    CHECK rax, 2
    mov byte [rdi + 2], 0xC8
    call rsi
    CHECK rax, 1

    ; REP MOVSB over code that has run, and REP STOSB that overwrites itself with NOPs up to its own end
    mov rdi, data
    mov rsi, source
    mov ecx, source_end - source
    rep movsb
    mov rdi, data
    call rdi
    CHECK rax, 77
    mov rdi, nops
    mov ecx, nops_end - nops
    mov al, 0x90
    rep stosb
nops:
    mov rax, strict dword 1234
    mov rax, strict dword 5678
nops_end:
    and eax, 0xFF
    CHECK rax, 0x90

    ; an instruction across a page border, its second half changed
    mov rdi, data + 4096 - 3
    mov dword [rdi], 0x00C0C748 ; mov rax, imm32
    mov dword [rdi + 3], 0x11
    mov byte [rdi + 7], 0xC3
    call rdi
    CHECK rax, 0x11
    mov byte [rdi + 4], 0x22
    call rdi
    CHECK rax, 0x2211
    ; run often, then its first half changed: mov rcx, imm32
    mov ebx, 3
.crossing:
    xor eax, eax
    call rdi
    CHECK rax, 0x2211
    dec ebx
    jnz .crossing
    mov byte [rdi + 2], 0xC1
    xor eax, eax
    call rdi
    CHECK rax, 0
    CHECK rcx, 0x2211
    ; the second page exchanged for another, taken away, and given back; it is marked as accessed by the fetch alone
    mov dword [data + 0x2000], 0x33
    mov byte [data + 0x2004], 0xC3
    mov rax, data + 3
    mov [pt0], rax
    mov rax, data + 0x1000 + 3
    mov [pt0 + 8], rax
    mov rsi, 0x40000000 + 4096 - 3
    mov ebp, 2
.exchange:
    xor ecx, ecx
    call rsi
    CHECK rcx, 0x2211
    CHECK [pt0 + 8], data + 0x1000 + 0x23
    mov rax, data + 0x2000 + 3
    mov [pt0 + 8], rax
    invlpg [rsi + 4096]
    call rsi
    CHECK rcx, 0x33
    CHECK [pt0 + 8], data + 0x2000 + 0x23
    mov qword [pt0 + 8], 0
    invlpg [rsi + 4096]
    mov rbx, rsp
    FAULTS_RIP 14, -1, rsi, call rsi
    mov rsp, rbx
    CHECK [fault_cr2], 0x40001000
    mov rax, data + 0x1000 + 3
    mov [pt0 + 8], rax
    dec ebp
    jnz .exchange

    ; code and data in one page: stores beside the code change nothing
    mov rdi, data
    mov ecx, 1000
.beside:
    mov [rdi + 2048], rcx
    call rdi
    CHECK rax, 77
    dec ecx
    jnz .beside

    ; a locked exchange, a push and an SSE store over code
    mov dword [rdi], 0xC3C0FF48
    xor eax, eax
    call rdi
    mov ecx, 0xC3C8FF48
    xchg [rdi], ecx
    call rdi
    CHECK rax, 0
    mov rbx, rsp
    lea rsp, [rdi + 8]
    mov rcx, 0x90909090C3C0FF48
    push rcx
    mov rsp, rbx
    call rdi
    CHECK rax, 1
    mov rcx, 0x90909090C3C8FF48
    movq xmm0, rcx
    movups [rdi], xmm0
    call rdi
    CHECK rax, 0
    PASS

source:
    mov eax, 77
    ret
source_end:

align 4096
pd_alias: times 512 dq 0
END
