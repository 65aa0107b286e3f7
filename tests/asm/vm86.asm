; Virtual-8086 mode: entry by IRET, segments, what faults at IOPL < 3, interrupts and exceptions to CPL 0 with the segment
; registers on the stack, I/O by the bitmap.
%include "test32.inc"

; In V86 code: the instruction must fault. The record behind it is what the monitor compares (it finds it by SI) before it
; goes on behind the record.
%macro EXPECT 3+ ; vector, error, instruction
    mov si, %%behind - low_code
%%at:
    %3
    int 0x61
    dd %1, %2, %%at - low_code
%%behind:
%endmacro
%macro EXPECT_TRAP 3+ ; the same with IP behind the instruction
    mov si, %%behind - low_code
    %3
%%after:
    int 0x61
    dd %1, %2, %%after - low_code
%%behind:
%endmacro
; Runs V86 code at a label of low_code until its INT 60H.
%macro RUN_V86 2 ; label, EFLAGS besides VM
    mov [kernel_esp], esp
    mov dword [continue], %%back
    mov dword [handler], monitor
    push 0x5000         ; GS
    push 0x4000         ; FS
    push 0x3000         ; DS
    push 0x2000         ; ES
    push 0x1000         ; SS
    push 0x12348000     ; ESP
    push 0x20002 | (%2)
    push LOW >> 4       ; CS
    push %1 - low_code
    iretd
%%back:
    mov dword [handler], 0
%endmacro

main:
    COPY_LOW low_code, low_code_end
    mov dword [0x30010], 0x11112222
    mov dword [0x20010], 0x33334444
    mov dword [0x40010], 0x55556666
    mov dword [0x50010], 0x77778888
    RUN_V86 v86_first, 0x3200
    ; the frame: EIP, CS, EFLAGS, ESP, SS, ES, DS, FS, GS above the error code and the vector that the stub pushed
    CHECK [frame_at], stack_top - 0x1000 - 36
    CHECK [frame], v86_first_end - low_code
    CHECK [frame + 4], LOW >> 4
    mov eax, [frame + 8]
    and eax, 0x23200
    CHECK eax, 0x23200
    CHECK16 [frame + 12], 0x8000 - 2
    CHECK [frame + 16], 0x1000
    CHECK [frame + 20], 0x2000
    CHECK [frame + 24], 0x3000
    CHECK [frame + 28], 0x4000
    CHECK [frame + 32], 0x5000
    ; the data segment registers are null in the handler; VM and IF are clear
    CHECK [seen_segments], 0
    mov eax, [seen_flags]
    and eax, 0x20200
    CHECK eax, 0
    ; what it read and wrote through its segments
    CHECK [0x7000], 0x22224444
    CHECK [0x7004], 0x66668888
    CHECK16 [0x17FFE], 0x1234

    RUN_V86 v86_iopl3, 0x3000
    mov eax, [0x7008]
    CHECK16 ax, 0x3202
    RUN_V86 v86_iopl0, 0
    ; ports: the bitmap alone decides, IOPL does not matter. 80H allowed, 81H not
    mov edi, tss + 104
    mov ecx, 0x21
    mov al, 0xFF
    rep stosb
    mov byte [tss + 104 + 0x10], 0xFE
    mov word [gdt + TSS], 104 + 0x20
    mov byte [gdt + TSS + 5], 0x89
    mov eax, TSS
    ltr ax
    RUN_V86 v86_ports, 0x3000
    ; VM cannot be set but by IRET at CPL 0 and a task switch: POPF ignores it
    pushfd
    or dword [esp], 0x20000
    popfd
    pushfd
    pop eax
    and eax, 0x20000
    CHECK eax, 0
%ifndef QEMU ; QEMU 7.2 lets CPL 3 do it
    TO_USER32
    push 0x5000
    push 0x5000
    push 0x5000
    push 0x5000
    push 0x1000
    push 0x8000
    push 0x20002
    push USER_CODE
    push .still_protected
    iretd
.still_protected:
    mov eax, cs
    CHECK eax, USER_CODE
    TO_KERNEL32
%endif
    PASS

monitor: ; the stack is vector, error, frame
    push eax
    mov eax, ds
    push eax
    mov eax, es
    or [esp], eax
    mov eax, fs
    or [esp], eax
    mov eax, gs
    or [esp], eax
    mov eax, DATA
    mov ds, eax
    pop dword [seen_segments]
    pop eax
    pushfd
    pop dword [seen_flags]
    cmp dword [esp], 0x60
    je .done
    cmp dword [esp], 4
    je .done
    push eax
    push edx
    movzx edx, si
    mov [detail], edx
    mov eax, [esp + 8]
    CHECK eax, [LOW + edx - 12] ; vector
    mov eax, [esp + 12]
    CHECK eax, [LOW + edx - 8]  ; error code
    mov eax, [esp + 16]
    CHECK eax, [LOW + edx - 4]  ; IP
    mov [esp + 16], edx
    mov dword [detail], 0
    pop edx
    pop eax
    add esp, 8
    iretd
.done:
    mov eax, DATA
    mov es, eax
    lea esi, [esp + 8]
    mov [frame_at], esi
    mov edi, frame
    mov ecx, 9
    cld
    rep movsd
    mov esp, [kernel_esp]
    jmp [continue]

CODE_BITS 16
align 16
low_code:
v86_first:
    mov ax, [0x10]      ; DS
    mov bx, [es:0x10]
    mov cx, [fs:0x10]
    mov dx, [gs:0x10]
    push word 0x1234    ; SS:SP
    push word 0
    pop ds
    mov [0x7002], ax
    mov [0x7000], bx
    mov [0x7006], cx
    mov [0x7004], dx
    mov ax, 0x3000
    mov ds, ax
    int 0x60
v86_first_end:
v86_iopl3:
    xor ax, ax
    mov ds, ax
    sti
    cli
    pushf
    pop bx
    push word 0x3202
    popf
    pushfd
    pop dword [0x7008]
    pushf
    push cs
    push word .iret - low_code
    iret
.iret:
    EXPECT_TRAP 3, 0, int3
    EXPECT_TRAP 0x55, 0, int 0x55
    EXPECT 6, 0, ud2
    ; privileged whatever IOPL is
    EXPECT 13, 0, hlt
    EXPECT 13, 0, {mov eax, cr0}
    EXPECT 13, 0, clts
    EXPECT 13, 0, {lgdt [0x7000]}
    EXPECT 13, 0, {db 0x0F, 0x01, 0xF0} ; LMSW AX
    ; protected-mode instructions do not exist
    EXPECT 6, 0, {db 0x0F, 0x00, 0xD0} ; LLDT AX
    EXPECT 6, 0, {db 0x0F, 0x00, 0xC0} ; SLDT AX
    EXPECT 6, 0, {db 0x0F, 0x02, 0xC0} ; LAR
    EXPECT 6, 0, {db 0x63, 0xC0}       ; ARPL
%ifndef QEMU ; QEMU 7.2 checks no limits
    ; segments are 64 KiB
    mov ebx, 0x10000
    EXPECT 13, 0, {mov al, [ebx]}
    EXPECT 13, 0, {mov ax, [0xFFFF]}
    xor ebp, ebp
    dec bp
    EXPECT 12, 0, {mov ax, [bp]}
%endif
    ; a far jump is segment arithmetic
    jmp (LOW >> 4) - 0x10:.jumped - low_code + 0x100
.jumped:
    jmp (LOW >> 4):.end - low_code
.end:
    int 0x60
v86_iopl0:
    EXPECT 13, 0, cli
    EXPECT 13, 0, sti
    EXPECT 13, 0, pushf
    EXPECT 13, 0, popf
    EXPECT 13, 0, iret
    EXPECT 13, 0, int 0x55
    EXPECT_TRAP 3, 0, int3 ; INT3 and INTO do not look at IOPL
    xor cx, cx
    EXPECT 0, 0, div cx
    EXPECT 5, 0, {bound ax, [cs:.bounds - low_code]}
    ; INT 60H is #GP here: the monitor takes #OF for the end as well
    mov al, 0x7F
    inc al
    into
.bounds: dw 1, 0
v86_ports:
    in al, 0x80
    out 0x80, al
    EXPECT 13, 0, {in al, 0x81}
    EXPECT 13, 0, {in ax, 0x80}
    mov dx, 0x3F8
    EXPECT 13, 0, {out dx, al}
    cli
    int 0x60
low_code_end:
CODE_BITS 32
align 4
continue: dd 0
frame_at: dd 0
frame: times 9 dd 0
seen_segments: dd 0
seen_flags: dd 0
END
