; JMP, Jcc (with the conditions themselves in move.asm), LOOP, JRCXZ, indirect branches, 16-bit operand size, targets at
; page borders.
%include "test.inc"

main:
    ; short and near, forward and backward
    xor eax, eax
    jmp short .forward
.backward:
    add eax, 10
    jmp near .end1
.forward:
    inc eax
    jmp short .backward
.end1:
    CHECK rax, 11
    ; the longest reach of a short jump
    xor eax, eax
    jmp short .far1
    times 127 db 0xCC
.far1:
    inc eax
    clc
    jmp short .far2
    times 4 db 0xCC
.far3:
    inc eax
    jmp near .end2
    times 120 - ($ - .far3) db 0xCC
.far2:
    jnc short .far3
.end2:
    CHECK rax, 2
    ; flags stay
    cmp rax, rax
    stc
    jmp short $ + 2
    CHECK_FLAGS STATUS, ZF | PF | CF

    ; LOOP, LOOPE, LOOPNE, JRCXZ, JECXZ
    mov ecx, 5
    xor eax, eax
.loop:
    inc eax
    loop .loop
    CHECK rax, 5
    CHECK rcx, 0
    xor ecx, ecx
    mov eax, 2
.loop0: ; 0 becomes 2^64-1
    dec eax
    jz .loop0_end
    loop .loop0
    FAIL
.loop0_end:
    CHECK rcx, -1
    mov rcx, 0xFFFFFFFF00000002
    xor eax, eax
.loop32:
    inc eax
    a32 loop .loop32
    CHECK rax, 2
    CHECK rcx, 0
    mov ecx, 10
    mov rsi, .bytes
.loope:
    cmp byte [rsi], 1
    lea rsi, [rsi + 1]
    loope .loope
    CHECK rcx, 6
    CHECK_FLAGS ZF, 0
    mov ecx, 10
    mov rsi, .bytes
.loopne:
    cmp byte [rsi], 2
    lea rsi, [rsi + 1]
    loopne .loopne
    CHECK rcx, 6
    CHECK_FLAGS ZF, ZF
    mov ecx, 2
    mov rsi, .bytes
.loope2: ; RCX ends it with ZF still set
    cmp byte [rsi], 1
    lea rsi, [rsi + 1]
    loope .loope2
    CHECK rcx, 0
    CHECK_FLAGS ZF, ZF
    mov rcx, 0x100000000
    jrcxz .bad
    jecxz .good1
.bad:
    FAIL
.good1:
    xor ecx, ecx
    stc
    jrcxz .good2
    FAIL
.good2:
    CHECK_FLAGS CF, CF
    mov ecx, 1
    jecxz .bad
    jrcxz .bad

    ; indirect
    mov rax, .i1
    jmp rax
    FAIL
.i1:
    mov r11, .i2
    jmp r11
    FAIL
.i2:
    mov qword [data], .i3
    jmp [data]
    FAIL
.i3:
    mov ecx, 1
    jmp [.table + rcx * 8]
.i4:
    FAIL
.i5:
    mov eax, .i6 - .here
    lea rcx, [rel .here]
.here:
    add rax, rcx
    jmp rax
    FAIL
.i6:
    ; a jump table walked by an index, many targets from one site
    xor ebx, ebx
    xor eax, eax
.walk:
    mov ecx, ebx
    and ecx, 3
    jmp [.targets + rcx * 8]
.t0:
    add eax, 1
    jmp .walked
.t1:
    add eax, 10
    jmp .walked
.t2:
    add eax, 100
    jmp .walked
.t3:
    add eax, 1000
.walked:
    inc ebx
    cmp ebx, 40
    jb .walk
    CHECK rax, 11110
    ; deep calls and returns, and a return to elsewhere than the call
    mov ecx, 200
    xor eax, eax
    call .deep
    CHECK rax, 200
    call .elsewhere
    FAIL
.elsewhere:
    add rsp, 8
    ; targets in the middle of instructions
    xor eax, eax
    jmp short .overlap + 1
.overlap:
    db 0xB8             ; mov eax, imm32 hides inc eax; nop; jmp
    inc eax
    jmp short .after_overlap
    nop
.after_overlap:
    CHECK rax, 1

    ; code that runs from one page into the next, falling through and by jumps of every alignment
    mov rdi, data
    mov ecx, 0x1000
    mov al, 0x90
    rep stosb
    mov dword [rdi], 0x00C3C0FF ; inc eax; ret
    mov ebx, 20
.fall:
    xor eax, eax
    mov rcx, rdi
    sub rcx, rbx
    call rcx
    CHECK rax, 1
    dec ebx
    jns .fall
    ; an instruction across the border: mov rax, imm64 at each offset
    mov ebx, 1
.across:
    mov rcx, data + 0x2000
    sub rcx, rbx
    mov word [rcx], 0xB848
    mov rax, 0x1122334455667788
    mov [rcx + 2], rax
    mov byte [rcx + 10], 0xC3
    xor eax, eax
    call rcx
    CHECK64 rax, 0x1122334455667788
    inc ebx
    cmp ebx, 11
    jbe .across

    ; a branch into an absent page faults at the fetch, with RIP there; the branch has been made
    mov rdx, 0x40000000
    mov rbx, rsp
    FAULTS_RIP 14, 0, rdx, jmp rdx
    CHECK64 [fault_cr2], 0x40000000
    CHECK rsp, rbx
    FAULTS_RIP 14, 0, rdx, call rdx
    lea rcx, [rbx - 8]
    CHECK rsp, rcx
    mov rsp, rbx
    push rdx
    FAULTS_RIP 14, 0, rdx, ret
    CHECK rsp, rbx
    ; an instruction that begins before the absent page: CR2 is the page's start, RIP the instruction's
    mov qword [pdpt + 8], pd1 + 3
    mov qword [pd1], pt0 + 3
    mov qword [pt0], data + 0x3000 + 3
    mov word [data + 0x3FFE], 0xB848
    mov rdx, 0x40000FFE
    FAULTS_RIP 14, 0, rdx, jmp rdx
    CHECK64 [fault_cr2], 0x40001000
    mov byte [data + 0x3FFF], 0x90
    mov rdx, 0x40000FFF
    mov rcx, 0x40001000
    FAULTS_RIP 14, 0, rcx, jmp rdx ; the NOP runs
    CHECK64 [fault_cr2], 0x40001000

    ; the operand-size prefix on near branches: Intel ignores it in 64-bit mode
%ifndef QEMU ; QEMU takes AMD's way
    xor eax, eax
    db 0x66, 0xE9
    dd 1
    hlt
    db 0x66, 0xEB, 1
    hlt
    db 0x66, 0x0F, 0x83 ; jnc
    dd 1
    hlt
    inc eax
    CHECK rax, 1
    db 0x66, 0xE8
    dd 0
.call16:
    pop rax
    CHECK rax, .call16
%endif

    TO_COMPAT
    ; 32-bit code: JCXZ with the address prefix looks at CX
    mov ecx, 0x10000
    jecxz .bad32
    a16 jcxz .good32
.bad32:
    FAIL
.good32:
    mov ecx, 0x10003
    xor eax, eax
.loop16:
    inc eax
    a16 loop .loop16
    CHECK eax, 3
    CHECK ecx, 0x10000
    mov edx, .i32
    jmp edx
    FAIL
.i32:
    mov dword [data], .i33
    jmp [data]
    FAIL
.i33:
    call .sub32
    CHECK eax, 5
    TO_64
    PASS

.deep:
    inc eax
    dec ecx
    jz .deep_end
    call .deep
.deep_end:
    ret
CODE_BITS 32
.sub32:
    mov eax, 5
    ret
CODE_BITS 64
align 8
.table: dq .i4, .i5
.targets: dq .t0, .t1, .t2, .t3
.bytes: db 1, 1, 1, 2, 1, 1
align 4096
pd1: times 512 dq 0
END
