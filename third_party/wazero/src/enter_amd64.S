// How C enters machine code of wazero, and goes on with it: for C what entrypoint and afterGoFunctionCallEntrypoint are for
// Go (abi_entry_amd64.s of wazero).
//
// The machine code begins on our stack, moves to the guest's, and finds its way back from wherever it is by the stack and
// frame pointers that it has left in its context. It keeps no register. All calls and returns are in pairs, as the processor
// expects them: a host call costs it no wrong guess.

// native.h
#define PREAMBLE 0
#define EXECUTABLE 8
#define MODULE 16
#define CONTEXT 24
#define STACK_TOP 32
#define EXIT_CODE 0
#define GO_ON 48
#define GUEST_STACK 56
#define GUEST_FRAME 1152

// Ours, above the stack pointer.
#define FUNCTION 0
#define OUT 8

.macro keep register
  pushq %\register
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset \register, 0
.endm

.macro restore register
  popq %\register
  .cfi_adjust_cfa_offset -8
  .cfi_restore \register
.endm

.text

// int32_t seam_wazero_enter(rdi function, rsi params and results, rdx out)
.globl seam_wazero_enter
.hidden seam_wazero_enter
.type seam_wazero_enter, @function
.p2align 4
seam_wazero_enter:
  .cfi_startproc
  keep rbp
  keep rbx
  keep r12
  keep r13
  keep r14
  keep r15
  subq $24, %rsp  // and a multiple of 16 in all
  .cfi_adjust_cfa_offset 24
  movq %rdi, FUNCTION(%rsp)
  movq %rdx, OUT(%rsp)

  movq CONTEXT(%rdi), %rax
  movq MODULE(%rdi), %rbx
  movq %rsi, %r12
  movq STACK_TOP(%rdi), %r13
  movq (%r13), %r13
  movq EXECUTABLE(%rdi), %r14
  callq *PREAMBLE(%rdi)

.Lcame_out:
  movq FUNCTION(%rsp), %rdi
  movq CONTEXT(%rdi), %rcx
  movl EXIT_CODE(%rcx), %eax
  testl %eax, %eax
  jz .Ldone
  movq OUT(%rsp), %rsi
  callq seam_wazero_came_out
  testl %eax, %eax
  jnz .Ldone

  movq FUNCTION(%rsp), %rdi
  movq CONTEXT(%rdi), %rax
  leaq .Lcame_out(%rip), %rcx
  pushq %rcx  // again where the call above had it, which is where the machine code looks for it
  movq GUEST_FRAME(%rax), %rbp
  movq GUEST_STACK(%rax), %rsp
  jmpq *GO_ON(%rax)

.Ldone:
  addq $24, %rsp
  .cfi_adjust_cfa_offset -24
  restore r15
  restore r14
  restore r13
  restore r12
  restore rbx
  restore rbp
  ret
  .cfi_endproc
.size seam_wazero_enter, .-seam_wazero_enter

.section .note.GNU-stack, "", @progbits
