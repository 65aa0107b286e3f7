; The coherent TLB (sim only; hardware and QEMU may keep stale translations): table changes without any flush are seen at once.
%include "test.inc"

%define BASE 0x40000000 ; second GiB: pdpt[1] -> pd1 -> pt0

%macro MAP 2 ; index in pt0, entry
    mov rax, %2
    mov [pt0 + (%1) * 8], rax
%endmacro

main:
    mov qword [pdpt + 8], pd1 + 7
    mov qword [pd1], pt0 + 7
    MAP 0, data + 3
    mov rbx, BASE
    mov rcx, [rbx]
    mov [rbx], rcx
    CHECK [pt0], data + 0x63
    ; A and D come back after the guest clears them without flushing
    mov qword [pt0], data + 3
    mov rcx, [rbx]
    CHECK [pt0], data + 0x23
    mov [rbx], rcx
    CHECK [pt0], data + 0x63
    mov qword [pt0], data + 3
    inc qword [rbx]
    CHECK [pt0], data + 0x63
    and qword [pd1], ~0x20
    mov rcx, [rbx]
    mov rdx, [pd1]
    and edx, 0x20
    CHECK rdx, 0x20

    ; a changed frame without INVLPG
    mov qword [data], 111
    mov qword [data + 0x1000], 222
    CHECK [rbx], 111
    mov qword [pt0], data + 0x1000 + 3
    CHECK [rbx], 222
    ; through another level
    mov qword [pd1], pt1 + 7
    mov qword [pt1], data + 3
    CHECK [rbx], 111
    mov qword [pd1], pt0 + 7
    CHECK [rbx], 222
    ; rights taken away and given back, by byte-wide and REP stores, too
    and byte [pt0], ~2
    FAULTS 14, 3, mov [rbx], rcx
    or byte [pt0], 2
    mov [rbx], rcx
    mov rdi, pt0
    xor eax, eax
    mov ecx, 8
    rep stosb
    FAULTS 14, 0, mov rcx, [rbx]
    mov qword [pt0], data + 3
    ; the code's own translation: the next instruction is fetched through the new one
    mov rsi, data
    mov word [rsi], 0xC031 ; xor eax, eax
    mov byte [rsi + 2], 0xC3
    mov word [rsi + 0x1000], 0xC0FF ; inc eax
    mov byte [rsi + 0x1002], 0xC3
    call rbx
    CHECK rax, 0
    mov qword [pt0], data + 0x1000 + 3
    call rbx
    CHECK rax, 1
    call rbx
    CHECK rax, 2
    ; the same where another page, 16 MiB away, has been read and run meanwhile: a direct-mapped cache has forgotten this one
    mov qword [pd1 + 64], pt1 + 7
    mov qword [pt1], data + 3
    mov qword [pt0], data + 3
    mov r12, BASE + 0x1000000
    mov r13d, 2
.again:
    mov eax, 7
    call rbx
    CHECK rax, 0
    mov rcx, [r12]
    mov qword [pt0], data + 0x1000 + 3
    mov eax, 7
    call rbx
    CHECK rax, 8
    mov qword [pt0], data + 3
    call rbx
    call r12
    mov qword [pt0], data + 0x1000 + 3
    mov eax, 7
    call rbx
    CHECK rax, 8
    mov qword [pt0], data + 3
    dec r13d
    jnz .again
    mov qword [pd1 + 64], 0
    ; a table page that becomes data and a table again
    mov ecx, 512
    mov rdi, pt1
.fill:
    mov [rdi + rcx * 8 - 8], rcx
    dec ecx
    jnz .fill
    mov rdi, pt1
    mov ecx, 512
    xor eax, eax
    rep stosq
    mov qword [pt1], data + 3
    mov qword [pd1], pt1 + 7
    mov qword [data], 5
    CHECK [rbx], 5
    mov qword [pt1], data + 0x1000 + 3
    mov qword [data + 0x1000], 6
    CHECK [rbx], 6
    PASS

align 4096
pd1: times 512 dq 0
END
