@ Shared by the blocks below. Every block is a whole loop: LLVM spills the fourteen registers that it needs.
 .syntax unified
 .thumb

@ Starts function \name in a section of its own, so that the linker drops it where it is not used.
 .macro k_fn name
 .section .text.\name,"ax",%progbits
 .p2align 2
 .global \name
 .type \name,%function
 .thumb_func
\name:
 .endm

 .macro k_end name
 .size \name, . - \name
 .endm

@ One step of a 2 x 4 outer product: r8, r9 = the next pair of inputs of two pixels (from r12), times the pairs of
@ four output channels (from lr), into r0-r3 (first pixel) and r4-r7 (second). 11 instructions of 4 bytes.
 .macro k_step op
 ldrd r8,r9,[r12],#8
 ldrd r10,r11,[lr],#8
 .ifc \op,first
 smuad r0,r8,r10
 smuad r4,r9,r10
 smuad r1,r8,r11
 smuad r5,r9,r11
 ldrd r10,r11,[lr],#8
 smuad r2,r8,r10
 smuad r6,r9,r10
 smuad r3,r8,r11
 smuad r7,r9,r11
 .else
 smlad r0,r8,r10,r0
 smlad r4,r9,r10,r4
 smlad r1,r8,r11,r1
 smlad r5,r9,r11,r5
 ldrd r10,r11,[lr],#8
 smlad r2,r8,r10,r2
 smlad r6,r9,r10,r6
 smlad r3,r8,r11,r3
 smlad r7,r9,r11,r7
 .endif
 .endm

@ The same with weights of 8 bits: a word holds the pairs of two output channels, bytes 0 and 2, and 1 and 3.
@ 15 instructions of 4 bytes.
 .macro k_step8 op
 ldrd r8,r9,[r12],#8
 ldr r11,[lr],#4
 sxtb16 r10,r11
 sxtb16 r11,r11,ror #8
 .ifc \op,first
 smuad r0,r8,r10
 smuad r4,r9,r10
 smuad r1,r8,r11
 smuad r5,r9,r11
 ldr.w r11,[lr],#4
 sxtb16 r10,r11
 sxtb16 r11,r11,ror #8
 smuad r2,r8,r10
 smuad r6,r9,r10
 smuad r3,r8,r11
 smuad r7,r9,r11
 .else
 smlad r0,r8,r10,r0
 smlad r4,r9,r10,r4
 smlad r1,r8,r11,r1
 smlad r5,r9,r11,r5
 ldr.w r11,[lr],#4
 sxtb16 r10,r11
 sxtb16 r11,r11,ror #8
 smlad r2,r8,r10,r2
 smlad r6,r9,r10,r6
 smlad r3,r8,r11,r3
 smlad r7,r9,r11,r7
 .endif
 .endm

@ Requantizes \a and \b, accumulators of one channel, with the record {2 * bias, m, c, s} at r8. Clobbers r9-r12.
 .macro k_requantize2 a b
 ldmia r8!,{r9,r10,r11,r12}
 add \a,r9,\a,lsl #1
 add \b,r9,\b,lsl #1
 add r9,r11,\a,asr #31
 add r11,r11,\b,asr #31
 smmlar \a,\a,r10,r9
 smmlar \b,\b,r10,r11
 asr \a,\a,r12
 asr \b,\b,r12
 ssat \a,#8,\a
 ssat \b,#8,\b
 .endm
