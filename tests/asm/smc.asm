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
