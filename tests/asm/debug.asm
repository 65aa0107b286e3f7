; Debug exceptions: single steps, their shadows and REP; breakpoints on execution, data and I/O; RF, GD, ICEBP, DR6.
%include "test.inc"

; Each #DB appends (RIP, DR6) to a log, clears DR6 and goes on; a breakpoint on execution gets RF in the frame.
%macro CLEAR 0
    mov dword [hits], 0
%endmacro
%macro HIT 3 ; index, rip, dr6 bits (of 0000E00FH)
    mov rax, %2
    CHECK [log + (%1) * 16], rax
    mov rax, [log + (%1) * 16 + 8]
    and eax, 0xE00F
    CHECK rax, %3
%endmacro
%macro HITS 1
    CHECK32 [hits], %1
%endmacro
%macro TF_ON 0 ; the next instruction is the first to be followed by a trap
    pushfq
    or dword [rsp], TF
    popfq
%endmacro
%macro TF_OFF 0
    pushfq
    and dword [rsp], ~TF
    popfq
%endmacro
BS equ 0x4000
BD equ 0x2000

main:
    mov qword [handler], on_debug
    xor eax, eax
    mov dr6, rax

    ; a trap behind each instruction; POPF that sets TF is followed by none
    CLEAR
    TF_ON
    nop
.s1:
    inc eax
.s2:
    jmp short .s3
    nop
.s3:
    pushfq
.s4:
    and dword [rsp], ~TF
.s5:
    popfq ; still trapped: TF was set when it began
.s6:
    nop
    HITS 6
    HIT 0, .s1, BS
    HIT 1, .s2, BS
    HIT 2, .s3, BS
    HIT 3, .s4, BS
    HIT 4, .s5, BS
    HIT 5, .s6, BS
    ; inside the handler TF is clear, in the frame it is set; PUSHF shows it
    CHECK [tf_inside], 0

    ; MOV SS and POP SS hold the trap back by one instruction
    mov edx, ss
    CLEAR
    TF_ON
    mov ss, edx
    nop
.m1:
    TF_OFF
.m2:
    HIT 0, .m1, BS
    ; REP: a trap behind each iteration, with RIP at the instruction until the last
    CLEAR
    mov rdi, data
    mov ecx, 3
    TF_ON
.r0:
    rep stosb
.r1:
    TF_OFF
    HIT 0, .r0, BS
    HIT 1, .r0, BS
    HIT 2, .r1, BS
    ; INT n: the trap is lost with TF; IRET brings TF back and the next instruction traps
    CLEAR
    mov byte [idt + 0x70 * 16 + 5], 0xEE
    TF_ON
    int 0x70
.i1:
    nop
.i2:
    TF_OFF
    HIT 0, .i2, BS
    ; a fault is no completed instruction
    CLEAR
    TF_ON
    ud2
.u1:
    nop
.u2:
    TF_OFF
    HIT 0, .u2, BS
    ; IRET that sets TF: the first trap is behind the target instruction
    CLEAR
    mov rcx, rsp
    push DATA64
    push rcx
    push TF | 2
    push CODE64
    push .t0
    iretq
.t0:
    nop
.t1:
    TF_OFF
    HIT 0, .t1, BS
    ; conditional, call, ret, CPUID and RDTSC trap, too
    CLEAR
    TF_ON
    xor ecx, ecx
.c1:
    jnz .c9
.c2:
    call .c4
.c3:
    jmp short .c5
.c4:
    ret
.c5:
    lea rcx, [rcx]
.c6:
    TF_OFF
.c9:
    HIT 0, .c1, BS
    HIT 1, .c2, BS
    HIT 2, .c4, BS
    HIT 3, .c3, BS
    HIT 4, .c5, BS
    HIT 5, .c6, BS

%ifndef QEMU ; QEMU 7.2 takes it for a call of its own debugger
    ; ICEBP: a #DB of its own, RIP behind it, DR6 untouched
    CLEAR
    db 0xF1
.f1:
    HITS 1
    HIT 0, .f1, 0
%endif

    ; a breakpoint on execution: before the instruction, RF skips it once; again on the next pass
    mov rax, .e0
    mov dr0, rax
    mov eax, 0x402 ; G0
    mov dr7, rax
    CLEAR
    mov ecx, 2
    call .e_again
    HITS 2
    HIT 0, .e0, 1
    HIT 1, .e0, 1
    ; POPF never sets RF; L enables, too
    mov eax, 0x401
    mov dr7, rax
    CLEAR
    mov ecx, 1
    push RF | 2
    popfq
    call .e0
    HITS 1
    mov eax, 0x400
    mov dr7, rax

%ifndef QEMU ; QEMU 7.2 hits at each iteration
    ; on REP: once
    mov rax, .rep
    mov dr0, rax
    mov eax, 0x402
    mov dr7, rax
    CLEAR
    mov rdi, data
    mov ecx, 5
.rep:
    rep stosb
    HITS 1
    HIT 0, .rep, 1
    CHECK rcx, 0
    mov eax, 0x400
    mov dr7, rax
%endif

    ; data: a trap behind the access; lengths align the address; reads are seen by R/W = 3 only
%macro DR7_IS 1
    mov eax, %1
    mov dr7, rax
%endmacro
    mov rax, data + 0x100
    mov dr1, rax
    DR7_IS 0x400 | 8 | 1 << 20 | 3 << 22 ; G1, write, 4 bytes
    CLEAR
    mov al, [data + 0x100]
    mov [data + 0x104], al
    mov [data + 0xFF], al
    HITS 0
    mov [data + 0x103], al
.d1:
    HITS 1
    HIT 0, .d1, 2
    mov [data + 0xFE], ax
    HITS 1
    mov [data + 0xFF], ax
.d2:
    HIT 1, .d2, 2
    inc byte [data + 0x100]
.d3:
    HIT 2, .d3, 2
    push rax
    pop rax
    mov rbx, rsp
    lea rsp, [data + 0x108]
    push rax
.d4:
    mov rsp, rbx
    HIT 3, .d4, 2
    HITS 4
    CLEAR
    mov rdi, data + 0xFE
    mov ecx, 8
    rep stosb ; behind each of the four iterations that write there
.d5:
    HITS 4
    mov rax, [log]
    mov rcx, .d5
    sub rcx, 2
    CHECK rax, rcx
%ifndef QEMU ; QEMU 7.2 raises two
    ; both a step and a data breakpoint: one exception, both bits
    CLEAR
    TF_ON
    mov [data + 0x100], cl
.d6:
    TF_OFF
    HIT 0, .d6, BS | 2
%endif
%ifndef QEMU ; QEMU 7.2 finds one of the two
    ; reads and writes, 8 bytes, on two registers at once
    mov rax, data + 0x203 ; aligned down to 200H
    mov dr2, rax
    mov rax, data + 0x207
    mov dr3, rax
    DR7_IS 0x400 | 0x20 | 0x80 | 3 << 24 | 2 << 26 | 3 << 28 | 0 << 30
    CLEAR
    mov rax, [data + 0x200]
.d7:
    HIT 0, .d7, 0xC
    mov al, [data + 0x1FF]
    mov al, [data + 0x208]
    HITS 1
    mov al, [data + 0x206]
.d8:
    HIT 1, .d8, 4
    HITS 2
%endif
    ; disabled, but matching: DR6 may show it, yet no exception
    DR7_IS 0x400
    CLEAR
    mov al, [data + 0x200]
    HITS 0
    ; I/O breakpoints need CR4.DE
    mov rax, cr4
    or rax, 8
    mov cr4, rax
    mov eax, 0x80
    mov dr1, rax
    DR7_IS 0x400 | 8 | 2 << 20 | 0 << 22
    CLEAR
    out 0x80, al
.o1:
    out 0x81, al
    in al, 0x80
.o2:
    HITS 2
    HIT 0, .o1, 2
    HIT 1, .o2, 2
    mov rax, cr4
    and rax, ~8
    mov cr4, rax

%ifndef QEMU ; QEMU 7.2 has no GD
    ; GD: any access to a debug register faults with BD, and GD is clear in the handler
    CLEAR
    mov qword [handler], on_gd
    DR7_IS 0x2400
.g0:
    mov rbx, dr0
.g1:
    mov qword [handler], on_debug
    HITS 1
    HIT 0, .g0, BD
    mov rax, dr7
    CHECK rax, 0x400
%endif
%ifndef QEMU ; QEMU 7.2 lets it hit
    ; a breakpoint on the instruction behind MOV SS does not hit
    mov rax, .ss1
    mov dr0, rax
    DR7_IS 0x402
    mov edx, ss
    CLEAR
    mov ss, edx
.ss1:
    nop
    HITS 0
    DR7_IS 0x400
%endif
    PASS

main.e_again:
    nop
main.e0:
    dec ecx
    jnz main.e_again
    ret

on_debug: ; the stack is vector, error, frame
    cmp qword [rsp], 1
    jne .other
    push rax
    push rbx
    mov ebx, [hits]
    shl ebx, 4
    mov rax, [rsp + 32]
    mov [log + rbx], rax
    mov rax, dr6
    mov [log + rbx + 8], rax
    inc dword [hits]
    test al, 15
    jz .no_rf
    bts qword [rsp + 48], 16
.no_rf:
    pushfq
    pop rax
    and eax, TF
    mov [tf_inside], rax
    xor eax, eax
    mov dr6, rax
    pop rbx
    pop rax
    add rsp, 16
    iretq
.other: ; INT 70H returns; #UD is skipped
    cmp qword [rsp], 6
    jne .return
    add qword [rsp + 16], 2
.return:
    add rsp, 16
    iretq
on_gd:
    push rax
    mov rax, [rsp + 24]
    mov [log], rax
    mov rax, dr6
    mov [log + 8], rax
    inc dword [hits]
    pop rax
    add qword [rsp + 16], 3 ; skip the MOV
    add rsp, 16
    iretq
align 8
tf_inside: dq 0
hits: dd 0
align 8
log: times 64 dq 0
END
