@ Shared by the blocks below. Every block is a whole loop: LLVM spills the fourteen registers that it needs.
 .syntax unified
 .thumb

@ Starts function \name in a section of its own (k_hot), so that the linker drops it where it is not used.
 .macro k_fn name
 k_hot \name
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
@ four output channels (from lr + 8), into r0-r3 (first pixel) and r4-r7 (second). 14 instructions of 4 bytes.
@ Single loads that follow each other: on a Cortex-M4 the second and later ones take one cycle, those of two words three.
 .macro k_step op odd
 ldr r8,[r12],#8
 ldr r10,[lr,#8]
 ldr r11,[lr,#12]
 ldr r9,[r12,#-4]
 .ifc \op,first
 smuad r0,r8,r10
 smuad r4,r9,r10
 smuad r1,r8,r11
 smuad r5,r9,r11
 ldr r10,[lr,#16]!
 ldr r11,[lr,#4]
 smuad r2,r8,r10
 smuad r6,r9,r10
 smuad r3,r8,r11
 smuad r7,r9,r11
 .else
 smlad r0,r8,r10,r0
 smlad r4,r9,r10,r4
 smlad r1,r8,r11,r1
 smlad r5,r9,r11,r5
 ldr r10,[lr,#16]!
 ldr r11,[lr,#4]
 smlad r2,r8,r10,r2
 smlad r6,r9,r10,r6
 smlad r3,r8,r11,r3
 smlad r7,r9,r11,r7
 .endif
 .endm

@ The same with the weights of two channels in each half of a word, 256 * the second + the first: r0, r4 and r2, r6 are the sums of both
@ channels of a pair, r1, r5 and r3, r7 those of the first. Even and odd steps alternate, the first being even; only after odd ones r12 and
@ lr are where the next step begins. 14 instructions of 4 bytes.
 .macro k_step_paired op odd
 .if \odd
 ldr r10,[lr,#16]!
 ldr r11,[lr,#4]
 ldr r8,[r12,#-8]
 ldr r9,[r12,#-4]
 .else
 ldr r8,[r12],#16
 ldr r10,[lr,#8]
 ldr r11,[lr,#12]
 ldr r9,[r12,#-12]
 .endif
 .ifc \op,first
 smuad r0,r8,r10
 smuad r4,r9,r10
 sxtb16 r10,r10
 smuad r1,r8,r10
 smuad r5,r9,r10
 smuad r2,r8,r11
 smuad r6,r9,r11
 sxtb16 r11,r11
 smuad r3,r8,r11
 smuad r7,r9,r11
 .else
 smlad r0,r8,r10,r0
 smlad r4,r9,r10,r4
 sxtb16 r10,r10
 smlad r1,r8,r10,r1
 smlad r5,r9,r10,r5
 smlad r2,r8,r11,r2
 smlad r6,r9,r11,r6
 sxtb16 r11,r11
 smlad r3,r8,r11,r3
 smlad r7,r9,r11,r7
 .endif
 .endm

@ The same with weights of 8 bits (from lr): a word holds the pairs of two output channels, bytes 0 and 2, and 1 and 3.
@ 15 instructions of 4 bytes.
 .macro k_step8 op odd
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

@ Requantizes \a and \b, sums of one channel, or 256 times them where \half is asr #7, with the record {2 * bias, m, c, s} at r8.
@ Clobbers r9-r12.
 .macro k_requantize2 a b half:vararg
 ldmia r8!,{r9,r10,r11,r12}
 add \a,r9,\a,\half
 add \b,r9,\b,\half
 add r9,r11,\a,asr #31
 add r11,r11,\b,asr #31
 smmlar \a,\a,r10,r9
 smmlar \b,\b,r10,r11
 asr \a,\a,r12
 asr \b,\b,r12
 ssat \a,#8,\a
 ssat \b,#8,\b
 .endm

@ Requantizes four channels of two pixels with the records at r8; where they are \paired, the sums are those of k_step_paired. Clobbers
@ r9-r12.
 .macro k_requantize8 paired
 .if \paired
 sub r0,r0,r1
 sub r4,r4,r5
 sub r2,r2,r3
 sub r6,r6,r7
 k_requantize2 r1 r5 lsl #1
 k_requantize2 r0 r4 asr #7
 k_requantize2 r3 r7 lsl #1
 k_requantize2 r2 r6 asr #7
 .else
 k_requantize2 r0 r4 lsl #1
 k_requantize2 r1 r5 lsl #1
 k_requantize2 r2 r6 lsl #1
 k_requantize2 r3 r7 lsl #1
 .endif
 .endm

@ Stores four channels of a pixel from \at on.
 .macro k_store4 at a b c d
 strb \a,[\at]
 strb \b,[\at,#1]
 strb \c,[\at,#2]
 strb \d,[\at,#3]
 .endm

@ Stores what k_requantize8 leaves of both pixels, from r8 and from \second on.
 .macro k_store8 second paired
 .if \paired
 k_store4 r8 r1 r0 r3 r2
 k_store4 \second r5 r4 r7 r6
 .else
 k_store4 r8 r0 r1 r2 r3
 k_store4 \second r4 r5 r6 r7
 .endif
 .endm
