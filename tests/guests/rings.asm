; A guest whose cost is kept in tests/cost.txt, beside mix.c: 28 million instructions of programs over a kernel, as a Multiboot
; image for 16 MiB. Assembled, not compiled, so that it is the same wherever it is measured. The sections run at CPL 3 under
; page tables of its own, with a timer interrupt every 100000 cycles. Ends with 0 at the debug-exit port if the sum over all
; sections is the known one, which QEMU finds, too:
;
;   qemu-system-x86_64 -cpu max -m 16M -icount shift=3 -kernel rings.bin -display none -device isa-debug-exit,iobase=0xf4,iosize=1
org 0x100000
default abs

BUFFER equ 0x200000     ; what sections work on, 1 MiB
USER_STACK equ 0x3F0000
KERNEL_STACK equ 0x3F8000
TABLES equ 0x400000
PML4 equ TABLES         ; two roots over the same tables
PML4_OTHER equ TABLES + 0x1000
PDPT equ TABLES + 0x2000
PD equ TABLES + 0x3000
PD_FAULTS equ TABLES + 0x4000
PD_APIC equ TABLES + 0x5000
PT_FAULTS equ TABLES + 0x6000
FRAMES equ 0x800000     ; pages for FAULTS
FAULTS equ 0x40000000   ; 256 pages that are there when touched
FAULT_PAGES equ 256
APIC equ 0xFEE00000
TIMER_VECTOR equ 0x40
KNOWN_SUM equ 0xFAEB39C4CDCF0A2C

%macro WRMSR64 2
    mov ecx, %1
    mov rax, %2
    mov rdx, rax
    shr rdx, 32
    wrmsr
%endmacro
%macro GATE 2 ; vector, handler
    mov eax, %2
    mov edi, idt + 16 * %1
    mov word [rdi], ax
    mov dword [rdi + 2], 0x8E000008
    shr eax, 16
    mov word [rdi + 6], ax
%endmacro

bits 32
multiboot:
    dd 0x1BADB002, 0x10000, -(0x1BADB002 + 0x10000)
    dd multiboot, multiboot, end, end, start
start:
    mov esp, KERNEL_STACK
    cld
    mov al, 0xFF                ; nothing from the PICs
    out 0x21, al
    out 0xA1, al
    mov edi, TABLES
    xor eax, eax
    mov ecx, 0x7000 / 4
    rep stosd
    mov dword [PML4], PDPT + 7
    mov dword [PML4_OTHER], PDPT + 7
    mov dword [PDPT], PD + 7
    mov dword [PDPT + 8], PD_FAULTS + 7
    mov dword [PDPT + 24], PD_APIC + 7
    mov dword [PD_FAULTS], PT_FAULTS + 7
    mov dword [PD_APIC + 8 * (APIC >> 21 & 511)], APIC + 0x93 ; uncached
    mov edi, PD
    mov eax, 0x87
.large:
    mov [edi], eax
    add edi, 8
    add eax, 0x200000
    cmp edi, PD + 8 * 8
    jb .large
    mov eax, 1 << 5 | 1 << 9 | 1 << 10      ; PAE, OSFXSR, OSXMMEXCPT
    mov cr4, eax
    mov eax, PML4
    mov cr3, eax
    mov ecx, 0xC0000080
    mov eax, 0x101                          ; EFER: SCE, LME
    xor edx, edx
    wrmsr
    mov eax, 0x80000003                     ; PG, MP, PE
    mov cr0, eax
    lgdt [gdtr]
    jmp 8:.long

bits 64
.long:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov rax, tss
    mov [gdt.tss + 2], ax
    shr rax, 16
    mov [gdt.tss + 4], al
    mov qword [tss + 4], KERNEL_STACK
    lidt [idtr]
    mov eax, 0x28
    ltr ax
    GATE 14, page_fault
    GATE TIMER_VECTOR, timer
    WRMSR64 0xC0000081, 0x0013000800000000  ; STAR
    WRMSR64 0xC0000082, system_call         ; LSTAR
    WRMSR64 0xC0000084, 0x200               ; FMASK: IF
    WRMSR64 0xC0000102, per_cpu             ; KERNEL_GS_BASE
    mov eax, APIC
    mov dword [rax + 0xF0], 0x1FF           ; on
    mov dword [rax + 0x3E0], 0xB            ; divide by 1
    mov dword [rax + 0x320], 0x20000 + TIMER_VECTOR ; periodic
    mov dword [rax + 0x380], 2500           ; of 40 cycles
    push 0x1B
    push USER_STACK
    push 0x202
    push 0x23
    push user
    iretq

; --- the kernel ---

timer:
    push rax
    inc qword [ticks]
    mov eax, APIC
    mov dword [rax + 0xB0], 0
    pop rax
    iretq

page_fault:
    push rax
    push rcx
    push rdi
    mov rdi, cr2
    sub rdi, FAULTS
    cmp rdi, FAULT_PAGES << 12
    jae failed
    shr rdi, 12
    mov rax, rdi
    shl rax, 12
    add rax, FRAMES + 7
    mov [PT_FAULTS + rdi * 8], rax
    lea rdi, [rax - 7]
    xor eax, eax
    mov ecx, 512
    rep stosq
    pop rdi
    pop rcx
    pop rax
    add rsp, 8
    iretq

system_call:
    swapgs
    mov [gs:0], rsp
    mov rsp, [gs:8]
    push rcx
    push r11
    push rbp
    push rbx
    push rdi
    push rsi
    push rdx
    cmp rax, 4
    jae failed
    call [calls + rax * 8]
    pop rdx
    pop rsi
    pop rdi
    pop rbx
    pop rbp
    pop r11
    pop rcx
    mov rsp, [gs:0]
    swapgs
    o64 sysret

call_end: ; rdi: the sum
    mov rax, KNOWN_SUM
    cmp rdi, rax
    setne al
    mov edx, 0xF4
    out dx, al
    hlt
call_identity:
    mov rax, [gs:16]
    add qword [gs:16], 1
    ret
call_unmap: ; all of FAULTS
    xor ecx, ecx
    mov edi, FAULTS
.next:
    mov qword [PT_FAULTS + rcx * 8], 0
    invlpg [rdi]
    add rdi, 4096
    inc ecx
    cmp ecx, FAULT_PAGES
    jne .next
    mov eax, ecx
    ret
call_switch: ; to the other root
    mov rax, cr3
    xor rax, PML4 ^ PML4_OTHER
    mov cr3, rax
    ret
failed:
    mov edx, 0xF4
    mov al, 2
    out dx, al
    hlt

; --- the sections, each with its result in rax ---

%macro RUN 1
    call %1
    add r15, rax
    rol r15, 9
%endmacro

user:
    xor r15d, r15d
    RUN sieve
    RUN crc
    RUN fibonacci
    RUN hash_table
    RUN strings
    RUN bytecode
    RUN bignum
    RUN rounds
    RUN doubles
    RUN vectors
    RUN calls_of_system
    RUN faults
    RUN switches
    mov rdi, r15
    xor eax, eax
    syscall

sieve:
    mov ebx, 5
.round:
    mov edi, BUFFER
    xor eax, eax
    mov ecx, 0x10000
    rep stosb
    mov esi, BUFFER
    xor r8d, r8d
    mov ecx, 2
.candidate:
    cmp byte [rsi + rcx], 0
    jne .composite
    inc r8
    mov rdi, rcx
    imul rdi, rcx
    cmp rdi, 0x10000
    jae .composite
.multiple:
    mov byte [rsi + rdi], 1
    add rdi, rcx
    cmp rdi, 0x10000
    jb .multiple
.composite:
    inc ecx
    cmp ecx, 0x10000
    jne .candidate
    dec ebx
    jnz .round
    mov rax, r8
    ret

crc:
    xor ecx, ecx
.row:
    mov eax, ecx
    mov edx, 8
.bit:
    mov r8d, eax
    and r8d, 1
    neg r8d
    and r8d, 0xEDB88320
    shr eax, 1
    xor eax, r8d
    dec edx
    jnz .bit
    mov [BUFFER + rcx * 4], eax
    inc ecx
    cmp ecx, 256
    jne .row
    mov eax, -1
    xor ecx, ecx
.byte:
    imul edx, ecx, 7
    xor edx, eax
    movzx edx, dl
    shr eax, 8
    xor eax, [BUFFER + rdx * 4]
    inc ecx
    cmp ecx, 400000
    jne .byte
    not eax
    ret

fibonacci:
    mov edi, 23
.of:
    push rbp
    mov rbp, rsp
    push rbx
    push r12
    mov ebx, edi
    mov eax, edi
    cmp edi, 1
    jbe .done
    lea edi, [rbx - 1]
    call .of
    mov r12, rax
    lea edi, [rbx - 2]
    call .of
    add rax, r12
.done:
    pop r12
    pop rbx
    leave
    ret

; Chained hashing: nodes of (next, key, value) behind 4096 heads.
hash_table:
    mov edi, BUFFER
    xor eax, eax
    mov ecx, 4096
    rep stosq
    mov r8d, BUFFER + 4096 * 8  ; next free node
    mov r9d, 12345              ; random numbers
    xor r10d, r10d              ; found
    mov r11d, 120000
.next:
    imul r9d, r9d, 1103515245
    add r9d, 12345
    mov esi, r9d
    shr esi, 12
    and esi, 0x3FFF             ; the key
    mov eax, esi
    imul eax, eax, 0x9E3779B1
    shr eax, 20
    lea rdi, [BUFFER + rax * 8]
    mov rdx, [rdi]
.search:
    test rdx, rdx
    je .new
    cmp [rdx + 8], rsi
    je .found
    mov rdx, [rdx]
    jmp .search
.found:
    add qword [rdx + 16], 1
    add r10, [rdx + 16]
    dec r11d
    jnz .next
    jmp .end
.new:
    mov rax, [rdi]
    mov [r8], rax
    mov [r8 + 8], rsi
    mov qword [r8 + 16], 0
    mov [rdi], r8
    add r8, 24
    dec r11d
    jnz .next
.end:
    mov rax, r10
    ret

strings:
    xor r10d, r10d
    mov r11d, 40
.round:
    mov edi, BUFFER             ; a text without a NUL
    mov ecx, 8192
    lea eax, [r11 + 0x20]
    rep stosb
    mov byte [rdi], 0
    mov esi, BUFFER
    mov edi, BUFFER + 0x10001   ; misaligned
    mov ecx, 1024
    rep movsq
    mov byte [rdi], 0
    mov edi, BUFFER + 0x10001   ; its length, twice
    xor eax, eax
    mov rcx, -1
    repne scasb
    not rcx
    add r10, rcx
    mov esi, BUFFER + 0x10001
.length:
    movzx eax, byte [rsi]
    inc rsi
    test al, al
    jnz .length
    add r10, rsi
    mov esi, BUFFER
    mov edi, BUFFER + 0x10001
    mov ecx, 8192
    repe cmpsb
    add r10, rcx
    xor ecx, ecx                ; capitals
.upper:
    mov al, [BUFFER + rcx]
    lea edx, [rax - 'a']
    cmp dl, 25
    ja .other
    sub al, 32
    mov [BUFFER + rcx], al
.other:
    inc rcx
    cmp rcx, 8192
    jne .upper
    movzx eax, byte [BUFFER + 77]
    add r10, rax
    dec r11d
    jnz .round
    mov rax, r10
    ret

; An interpreter in the guest: indirect jumps that are hard to foretell.
bytecode:
    mov r8d, 6000
    xor eax, eax
    mov ecx, 1
.again:
    mov esi, .program
.next:
    movzx edx, byte [rsi]
    inc rsi
    jmp [.table + rdx * 8]
.add:
    add rax, rcx
    jmp .next
.double:
    add rcx, rcx
    jmp .next
.swap:
    xchg rax, rcx
    jmp .next
.constant:
    movsx rdx, byte [rsi]
    inc rsi
    add rcx, rdx
    jmp .next
.mix:
    mov rdx, rax
    shr rdx, 3
    xor rcx, rdx
    jmp .next
.loop:
    dec r8d
    jnz .again
    ret
.program: db 0, 3, 17, 1, 4, 0, 2, 0, 3, -5, 1, 1, 4, 2, 0, 0, 3, 99, 4, 1, 0, 2, 4, 0, 3, 1, 0, 5
align 8
.table: dq .add, .double, .swap, .constant, .mix, .loop

; 256-bit numbers: schoolbook multiplication with carries, kept below 2^256.
bignum:
    mov edi, BUFFER             ; 8 words of product
    mov esi, factors
    mov r11d, 12000
.again:
    xor eax, eax
    mov ecx, 8
    mov rdx, rdi
.clear:
    mov [rdx], rax
    add rdx, 8
    dec ecx
    jnz .clear
    xor r8d, r8d                ; i
.row:
    mov r10, [rsi + r8 * 8]
    xor r9d, r9d                ; carry
%assign j 0
%rep 4
    mov rax, r10
    mul qword [factors + 32 + j * 8]
    add rax, r9
    adc rdx, 0
    add [rdi + r8 * 8 + j * 8], rax
    adc rdx, 0
    mov r9, rdx
    %assign j j + 1
%endrep
    mov [rdi + r8 * 8 + 32], r9
    inc r8
    cmp r8, 4
    jne .row
    mov rax, [rdi + 32]
    xor [factors], rax
    mov rax, [rdi + 8]
    adc [factors + 40], rax
    dec r11d
    jnz .again
    mov rax, [factors]
    ret

; Rotations, logic and additions of 32 bits, as in hash functions.
rounds:
    mov eax, 0x6A09E667
    mov ebx, 0xBB67AE85
    mov ecx, 0x3C6EF372
    mov edx, 0xA54FF53A
    mov r8d, 150000
.round:
    mov esi, eax
    ror esi, 6
    mov edi, eax
    ror edi, 11
    xor esi, edi
    mov edi, ebx
    xor edi, ecx
    and edi, eax
    xor edi, ecx
    add edx, esi
    lea edx, [rdx + rdi + 0x428A2F98]
    mov esi, r8d
    and esi, 15
    add edx, [BUFFER + rsi * 4]
    mov [BUFFER + rsi * 4], eax
    bswap ebx
    shr ecx, 1
    adc ecx, edx
    xchg eax, edx
    movzx edi, cl
    xor ebx, edi
    dec r8d
    jnz .round
    shl rbx, 32
    add rax, rbx
    ret

; Scalar arithmetic in double: a damped oscillator and its energy.
doubles:
    mov ecx, 6000
    movsd xmm0, [.position]
    movsd xmm1, [.speed]
    xorpd xmm5, xmm5
.step:
    movapd xmm2, xmm0
    mulsd xmm2, [.stiffness]
    subsd xmm1, xmm2
    mulsd xmm1, [.damping]
    movsd xmm3, [.time]
    mulsd xmm3, xmm1
    addsd xmm0, xmm3
    movapd xmm4, xmm1
    mulsd xmm4, xmm4
    sqrtsd xmm4, xmm4
    divsd xmm4, [.damping]
    addsd xmm5, xmm4
    ucomisd xmm5, [.limit]
    jb .below
    subsd xmm5, [.limit]
.below:
    cvttsd2si edx, xmm5
    cvtsi2sd xmm6, ecx
    mulsd xmm6, [.time]
    addsd xmm5, xmm6
    dec ecx
    jnz .step
    movq rax, xmm5
    ret
align 16
.position: dq 1.25
.speed: dq -0.5
.stiffness: dq 0.0625
.damping: dq 0.9990234375
.time: dq 0.01
.limit: dq 100.0

; Packed integers, and shuffles.
vectors:
    mov ecx, 60000
    movdqa xmm0, [.seed]
    pxor xmm1, xmm1
    mov esi, BUFFER
.step:
    movdqa xmm2, xmm0
    pslld xmm2, 7
    psrld xmm0, 9
    por xmm0, xmm2
    paddd xmm0, [.seed]
    pshufd xmm3, xmm0, 0x4E
    pxor xmm1, xmm3
    movdqu [rsi], xmm1
    paddq xmm1, xmm0
    pcmpeqb xmm3, xmm1
    pmovmskb eax, xmm3
    add esi, 16
    and esi, BUFFER | 0xFFFF
    dec ecx
    jnz .step
    movq rax, xmm1
    ret
align 16
.seed: dd 0x01234567, 0x89ABCDEF, 0x02468ACE, 0x13579BDF

calls_of_system:
    mov r12d, 40000
    xor r13d, r13d
.next:
    mov eax, 1
    syscall
    add r13, rax
    dec r12d
    jnz .next
    mov rax, r13
    ret

faults:
    mov r12d, 12
    xor r13d, r13d
.round:
    mov edi, FAULTS
    mov ecx, FAULT_PAGES
.touch:
    add r13, [rdi + 24]
    mov [rdi + 8], rcx
    mov [rdi + 4088], r13
    add rdi, 4096
    dec ecx
    jnz .touch
    mov edi, FAULTS
    mov ecx, FAULT_PAGES
.look:
    add r13, [rdi + 8]
    add rdi, 4096
    dec ecx
    jnz .look
    mov eax, 2
    syscall
    add r13, rax
    dec r12d
    jnz .round
    mov rax, r13
    ret

; Between two address spaces, with a little work in each.
switches:
    mov r12d, 4000
    xor r13d, r13d
.next:
    mov eax, 3
    syscall
    mov esi, BUFFER
    mov ecx, 16
.work:
    add r13, [rsi]
    mov [rsi + 8], r13
    add rsi, 4096
    dec ecx
    jnz .work
    dec r12d
    jnz .next
    mov rax, r13
    ret

; --- data, apart from code ---

align 4096
gdt:
    dq 0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF, 0x00CFF3000000FFFF, 0x00AFFB000000FFFF
.tss:
    dq 0x0000890000000067, 0
gdtr:
    dw $ - gdt - 1
    dq gdt
idtr:
    dw 16 * 256 - 1
    dq idt
calls: dq call_end, call_identity, call_unmap, call_switch
per_cpu: dq 0, KERNEL_STACK, 1
factors: dq 0x0123456789ABCDEF, 0xFEDCBA9876543210, 0x0F1E2D3C4B5A6978, 0x1122334455667788
    dq 0xDEADBEEFCAFEF00D, 0x8BADF00D0D15EA5E, 0x13579BDF02468ACE, 0x7777777788888888
ticks: dq 0
align 16
tss: times 13 dq 0
align 16
idt: times 512 dq 0
end:
