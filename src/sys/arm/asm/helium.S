@ The costliest Winograd blocks in the vector instructions of Armv8.1-M (Helium, Cortex-M55).

@ helium_products(v, u, m, quads, positions): for every position, 2 tiles x 4 channels over 4 * quads channel pairs.
@ The accumulators of VMLADAVA are even registers: r0-r6 of tile 0, r8-lr of tile 1.
 k_fn kinglet_helium_products
 push {r4-r11,lr}
 vpush {d8-d11}
 sub sp,sp,#4
 str r3,[sp]
 ldr r11,[sp,#72]
 mov r9,r2
 mov r3,r1
 mov r1,r0
1: ldr r5,[sp]
 mov r0,#0
 mov r2,#0
 mov r4,#0
 mov r6,#0
 mov r8,#0
 mov r10,#0
 mov r12,#0
 mov lr,#0
2: vld20.32 {q0,q1},[r1]
 vld21.32 {q0,q1},[r1]!
 vld40.32 {q2,q3,q4,q5},[r3]
 vld41.32 {q2,q3,q4,q5},[r3]
 vld42.32 {q2,q3,q4,q5},[r3]
 vld43.32 {q2,q3,q4,q5},[r3]!
 vmladava.s16 r0,q0,q2
 vmladava.s16 r2,q0,q3
 vmladava.s16 r4,q0,q4
 vmladava.s16 r6,q0,q5
 vmladava.s16 r8,q1,q2
 vmladava.s16 r10,q1,q3
 vmladava.s16 r12,q1,q4
 vmladava.s16 lr,q1,q5
 subs r5,r5,#1
 bne 2b
 stmia r9!,{r0,r2,r4,r6,r8,r10,r12,lr}
 subs r11,r11,#1
 bne 1b
 add sp,sp,#4
 vpop {d8-d11}
 pop {r4-r11,pc}
 k_end kinglet_helium_products

@ A^T of q0-q5 into q0, q2, q6, q1. Clobbers the rest.
 .macro k_h4_a6
 vadd.i32 q6,q1,q2
 vsub.i32 q1,q1,q2
 vadd.i32 q7,q3,q4
 vsub.i32 q3,q3,q4
 vadd.i32 q0,q0,q6
 vadd.i32 q0,q0,q7
 vshl.i32 q2,q3,#1
 vadd.i32 q2,q2,q1
 vshl.i32 q7,q7,#2
 vadd.i32 q6,q6,q7
 vshl.i32 q3,q3,#3
 vadd.i32 q1,q1,q3
 vshl.i32 q5,q5,#1
 vadd.i32 q1,q1,q5
 .endm

@ Requantizes and stores \y, the constant b from \at. q3, q4, q5 = m, c, -s; r12 = inverse of 9. Clobbers q7.
 .macro k_h4_store y at relu
 vldrw.u32 q7,[r5,#\at]
 vmul.i32 \y,\y,r12
 vadd.i32 \y,\y,q7
 .if \relu
 vmulh.s32 \y,\y,q3
 .else
 vshr.s32 \y,\y,#5
 vshr.s32 q7,\y,#31
 vrmulh.s32 \y,\y,q3
 vadd.i32 \y,\y,q7
 .endif
 vadd.i32 \y,\y,q4
 vshl.s32 \y,\y,q5
 vqmovnb.s32 \y,\y
 vqmovnb.s16 \y,\y
 vstrb.32 \y,[r4]
 .endm

@ As w4_output*.
 .macro k_h4_output name relu
 k_fn \name
 push {r4-r11,lr}
 vpush {d8-d15}
 sub sp,sp,#512
 @ sp: 0-383 columns, 384-511 m, c, -s, b, b22, b32, b23, b33 of four channels
 ldr r6,[sp,#612]
 ldr r7,[sp,#616]
 mov r8,r2
 mov r9,r3
 add r5,sp,#384
 mov r4,#0
 vidup.u32 q0,r4,#8
 .irp k,0,1,2,3,4,5,6,7
 vldrw.u32 q1,[r1,q0,uxtw #2]
 .if \k==2
 vmov.i32 q2,#255
 vand q1,q1,q2
 vmov.i32 q2,#31
 vmin.u32 q1,q1,q2
 vneg.s32 q1,q1
 .endif
 vstrw.32 q1,[r5,#16*\k]
 add r1,r1,#4
 .endr
 movw r12,#0x8e39
 movt r12,#0x38e3
 mov r10,#2
1: mov r1,r0
 mov r4,sp
 .irp i,0,1,2,3,4,5
 vldrw.u32 q0,[r1]
 vldrw.u32 q1,[r1,#32]
 vldrw.u32 q2,[r1,#64]
 vldrw.u32 q3,[r1,#96]
 vldrw.u32 q4,[r1,#128]
 vldrw.u32 q5,[r1,#160]
 add r1,r1,#192
 k_h4_a6
 vstrw.32 q0,[r4,#16*\i]
 vstrw.32 q2,[r4,#96+16*\i]
 vstrw.32 q6,[r4,#192+16*\i]
 vstrw.32 q1,[r4,#288+16*\i]
 .endr
 mov r1,sp
 mov r11,r8
 .irp c,0,1,2,3
 vldrw.u32 q0,[r1,#96*\c]
 vldrw.u32 q1,[r1,#96*\c+16]
 vldrw.u32 q2,[r1,#96*\c+32]
 vldrw.u32 q3,[r1,#96*\c+48]
 vldrw.u32 q4,[r1,#96*\c+64]
 vldrw.u32 q5,[r1,#96*\c+80]
 k_h4_a6
 vldrw.u32 q3,[r5]
 vldrw.u32 q4,[r5,#16]
 vldrw.u32 q5,[r5,#32]
 mov r4,r11
 k_h4_store q0 48 \relu
 add r4,r4,r6
 k_h4_store q2 48 \relu
 add r4,r4,r6
 .if \c==2
 k_h4_store q6 64 \relu
 add r4,r4,r6
 k_h4_store q1 80 \relu
 .elseif \c==3
 k_h4_store q6 96 \relu
 add r4,r4,r6
 k_h4_store q1 112 \relu
 .else
 k_h4_store q6 48 \relu
 add r4,r4,r6
 k_h4_store q1 48 \relu
 .endif
 add r11,r11,r7
 .endr
 mov r8,r9
 add r0,r0,#16
 subs r10,r10,#1
 bne 1b
 add sp,sp,#512
 vpop {d8-d15}
 pop {r4-r11,pc}
 k_end \name
 .endm
 k_h4_output kinglet_helium_w4_output 0
 k_h4_output kinglet_helium_w4_output_relu 1

@ As add_linear: the product of a factor with 256 times a byte, over 65,536, is the high word of that with 2^24 times it.
 .macro k_helium_add4 at
 vldrb.u32 q0,[r0,#\at]
 vldrb.u32 q1,[r1,#\at]
 vshl.i32 q0,q0,#24
 vshl.i32 q1,q1,#24
 vmulh.s32 q0,q0,q2
 vmulh.s32 q1,q1,q3
 vadd.i32 q0,q0,r2
 vadd.i32 q0,q0,q1
 vshr.s32 q0,q0,#20
 vqmovnb.s32 q0,q0
 vqmovnb.s16 q0,q0
 vstrb.32 q0,[r0,#\at]
 .endm
 k_fn kinglet_helium_add_linear
 push {r4,lr}
 ldmia r2,{r2,r4,r12}
 vdup.32 q2,r2
 vdup.32 q3,r4
 mov r2,r12
 add r3,r3,r0
1: k_helium_add4 0
 k_helium_add4 4
 add r0,r0,#8
 add r1,r1,#8
 cmp r0,r3
 bne 1b
 pop {r4,pc}
 k_end kinglet_helium_add_linear

@ \y times \m over 2^31, rounded, then over 2 to the power of what \s is the negative of, rounded half away from zero. Clobbers q2.
 .macro k_h_rescale y m s
 vqrdmulh.s32 \y,\y,\m
 vand q2,\y,\s
 vshr.s32 q2,q2,#31
 vqadd.s32 \y,\y,q2
 vrshl.s32 \y,\y,\s
 .endm

@ helium_add(a, b, terms, n): a = a + b with rescaling, n elements, not 0. Terms: zero points of a and b, their factors and that
@ of the sum, the zero point of the sum, the three shifts, least and greatest sum.
 k_fn kinglet_helium_add
 push {r4-r11,lr}
 vpush {d8-d15}
 ldmia r2!,{r4-r9}
 ldmia r2,{r2,r10,r11,r12,lr}
 vdup.32 q4,r2
 vdup.32 q5,r10
 vdup.32 q6,r11
 vdup.32 q3,r12
 vdup.32 q7,lr
 dlstp.32 lr,r3
1: vldrb.s32 q0,[r0]
 vldrb.s32 q1,[r1],#4
 vsub.i32 q0,q0,r4
 vsub.i32 q1,q1,r5
 vshl.i32 q0,q0,#20
 vshl.i32 q1,q1,#20
 k_h_rescale q0 r6 q4
 k_h_rescale q1 r7 q5
 vadd.i32 q0,q0,q1
 k_h_rescale q0 r8 q6
 vadd.i32 q0,q0,r9
 vmax.s32 q0,q0,q3
 vmin.s32 q0,q0,q7
 vstrb.32 q0,[r0],#4
 letp lr,1b
 vpop {d8-d15}
 pop {r4-r11,pc}
 k_end kinglet_helium_add

@ The accumulators of 2 pixels x 4 channels: r0-r6 of pixel 0, r8-lr of pixel 1. x at [sp], steps at [sp,#\steps], weights from
@ r5 on. Clobbers r1, r3, r7, q0-q3.
 .macro k_h_bytes steps
 ldr r1,[sp]
 ldr r7,[sp,#\steps]
 add r3,r1,r7,lsl #4
 mov r0,#0
 mov r2,#0
 mov r4,#0
 mov r6,#0
 mov r8,#0
 mov r10,#0
 mov r12,#0
 mov lr,#0
2: vldrb.u8 q0,[r1],#16
 vldrb.u8 q1,[r3],#16
 vldrb.u8 q2,[r5],#16
 vldrb.u8 q3,[r5],#16
 vmladava.s8 r0,q0,q2
 vmladava.s8 r8,q1,q2
 vldrb.u8 q2,[r5],#16
 vmladava.s8 r2,q0,q3
 vmladava.s8 r10,q1,q3
 vldrb.u8 q3,[r5],#16
 vmladava.s8 r4,q0,q2
 vmladava.s8 r12,q1,q2
 vmladava.s8 r6,q0,q3
 vmladava.s8 lr,q1,q3
 subs r7,r7,#1
 bne 2b
 .endm

@ Shift counts to the left of counts to the right, of which the lowest byte counts, and 32 or more leave the sign. Clobbers \t.
 .macro k_h_shifts s t
 vmov.i8 \t,#31
 vmin.u8 \s,\s,\t
 vneg.s32 \s,\s
 .endm

@ Requantizes \y = 2 * (accumulator + bias) with m, c, -s in \m, \c, \s and stores it. Clobbers \t.
 .macro k_h_finish y m c s t at
 vshr.s32 \t,\y,#31
 vadd.i32 \t,\t,\c
 vrmulh.s32 \y,\y,\m
 vadd.i32 \y,\y,\t
 vshl.s32 \y,\y,\s
 vqmovnb.s32 \y,\y
 vqmovnb.s16 \y,\y
 vstrb.32 \y,[\at]
 .endm

@ The same of an accumulator, with 2 * bias in \b.
 .macro k_h_store y b m c s t at
 vshl.i32 \y,\y,#1
 vadd.i32 \y,\y,\b
 k_h_finish \y \m \c \s \t \at
 .endm

@ helium_gemm_bytes(x, w, records, out, steps, blocks, second)
 k_fn kinglet_helium_gemm_bytes
 push {r4-r11,lr}
 vpush {d8-d15}
 sub sp,sp,#4
 str r0,[sp]
 mov r5,r1
 mov r11,r2
 mov r9,r3
1: k_h_bytes 104
 vmov d8,r0,r2
 vmov d9,r4,r6
 vmov d10,r8,r10
 vmov d11,r12,lr
 vld40.32 {q0,q1,q2,q3},[r11]
 vld41.32 {q0,q1,q2,q3},[r11]
 vld42.32 {q0,q1,q2,q3},[r11]
 vld43.32 {q0,q1,q2,q3},[r11]!
 k_h_shifts q3 q7
 ldr r1,[sp,#112]
 add r1,r1,r9
 mov r2,r9
 k_h_store q4 q0 q1 q2 q3 q7 r2
 k_h_store q5 q0 q1 q2 q3 q7 r1
 add r9,r9,#4
 ldr r0,[sp,#108]
 subs r0,r0,#1
 str r0,[sp,#108]
 bne 1b
 add sp,sp,#4
 vpop {d8-d15}
 pop {r4-r11,pc}
 k_end kinglet_helium_gemm_bytes

@ helium_gemm_bytes_acc(x, w, acc, blocks, steps)
 k_fn kinglet_helium_gemm_bytes_acc
 push {r4-r11,lr}
 sub sp,sp,#4
 str r0,[sp]
 mov r5,r1
 mov r9,r2
 mov r11,r3
1: k_h_bytes 40
 stmia r9!,{r0,r2,r4,r6,r8,r10,r12,lr}
 subs r11,r11,#1
 bne 1b
 add sp,sp,#4
 pop {r4-r11,pc}
 k_end kinglet_helium_gemm_bytes_acc

@ helium_patch_bytes(dst, src, stride, rows, len): the rows of a patch, one after the other.
 k_fn kinglet_helium_patch_bytes
 push {r4-r6,lr}
 ldr r4,[sp,#16]
1: mov r5,r1
 mov r6,r0
 dlstp.8 lr,r4
2: vldrb.u8 q0,[r5],#16
 vstrb.8 q0,[r6],#16
 letp lr,2b
 add r0,r0,r4
 add r1,r1,r2
 subs r3,r3,#1
 bne 1b
 pop {r4-r6,pc}
 k_end kinglet_helium_patch_bytes

@ helium_sum16(src, step, pixels, acc): sixteen channels of 1 to 255 pixels, whose sums fit 16 bits.
 k_fn kinglet_helium_sum16
 push {r4,lr}
 sub sp,sp,#32
 vmov.i16 q0,#0
 vmov.i16 q1,#0
 dls lr,r2
1: vldrb.s16 q2,[r0]
 vldrb.s16 q3,[r0,#8]
 vadd.i16 q0,q0,q2
 vadd.i16 q1,q1,q3
 add r0,r0,r1
 le lr,1b
 vstrh.16 q0,[sp]
 vstrh.16 q1,[sp,#16]
 mov r4,sp
 .rept 4
 vldrh.s32 q0,[r4],#8
 vldrw.32 q1,[r3]
 vadd.i32 q0,q0,q1
 vstrw.32 q0,[r3],#16
 .endr
 add sp,sp,#32
 pop {r4,pc}
 k_end kinglet_helium_sum16

@ helium_max3(out, a, b, c, n): the greatest of three, byte by byte, for n bytes, not 0.
 k_fn kinglet_helium_max3
 push {r4,lr}
 ldr r4,[sp,#8]
 dlstp.8 lr,r4
1: vldrb.u8 q0,[r1],#16
 vldrb.u8 q1,[r2],#16
 vldrb.u8 q2,[r3],#16
 vmax.s8 q0,q0,q1
 vmax.s8 q0,q0,q2
 vstrb.8 q0,[r0],#16
 letp lr,1b
 pop {r4,pc}
 k_end kinglet_helium_max3

@ helium_clamp(data, n, low, high): clamps n bytes, not 0.
 k_fn kinglet_helium_clamp
 push {r4,lr}
 vdup.8 q1,r2
 vdup.8 q2,r3
 dlstp.8 lr,r1
1: vldrb.u8 q0,[r0]
 vmax.s8 q0,q0,q1
 vmin.s8 q0,q0,q2
 vstrb.8 q0,[r0],#16
 letp lr,1b
 pop {r4,pc}
 k_end kinglet_helium_clamp

@ Weights of 8 bits, as DSP cores have them, of four channels over four pairs, q2 and q3, widened: q4, q2, q5, q3.
 .macro k_h_widen
 vmovlb.s8 q4,q2
 vmovlt.s8 q2,q2
 vmovlb.s8 q5,q3
 vmovlt.s8 q3,q3
 .endm

@ The accumulators of 2 pixels, q0 and q1, times 4 channels: r0-r6 of pixel 0, r8-lr of pixel 1.
 .macro k_h_mac a b c d
 vmladava.s16 r0,q0,\a
 vmladava.s16 r2,q0,\b
 vmladava.s16 r4,q0,\c
 vmladava.s16 r6,q0,\d
 vmladava.s16 r8,q1,\a
 vmladava.s16 r10,q1,\b
 vmladava.s16 r12,q1,\c
 vmladava.s16 lr,q1,\d
 .endm

@ gemm(x, w, records or acc, out, pairs, blocks, second): what the blocks for DSP instructions compute, of the same data, four
@ pairs at a time. Two pairs that are left over are gathered.
 .macro k_h_gemm name width quant
 k_fn \name
 push {r4-r11,lr}
 vpush {d8-d15}
 sub sp,sp,#4
 str r0,[sp]
 mov r5,r1
 mov r11,r2
 mov r9,r3
 mov r4,#0
 vidup.u32 q6,r4,#8
1: ldr r1,[sp]
 ldr r7,[sp,#104]
 mov r0,#0
 mov r2,#0
 mov r4,#0
 mov r6,#0
 mov r8,#0
 mov r10,#0
 mov r12,#0
 mov lr,#0
 lsrs r7,r7,#2
 beq 3f
2: vld20.32 {q0,q1},[r1]
 vld21.32 {q0,q1},[r1]!
 .if \width==8
 vld20.32 {q2,q3},[r5]
 vld21.32 {q2,q3},[r5]!
 k_h_widen
 k_h_mac q4 q2 q5 q3
 .else
 vld40.32 {q2,q3,q4,q5},[r5]
 vld41.32 {q2,q3,q4,q5},[r5]
 vld42.32 {q2,q3,q4,q5},[r5]
 vld43.32 {q2,q3,q4,q5},[r5]!
 k_h_mac q2 q3 q4 q5
 .endif
 subs r7,r7,#1
 bne 2b
3: ldr r7,[sp,#104]
 lsls r7,r7,#30
 bpl 4f
 mov r7,#2
 vctp.32 r7
 .if \width==8
 vpstt
 vldrwt.u32 q0,[r1,q6]
 vldrwt.u32 q2,[r5,q6]
 add r1,r1,#4
 add r5,r5,#4
 vpstt
 vldrwt.u32 q1,[r1,q6]
 vldrwt.u32 q3,[r5,q6]
 add r5,r5,#12
 k_h_widen
 k_h_mac q4 q2 q5 q3
 .else
 vshl.i32 q7,q6,#1
 vpstt
 vldrwt.u32 q0,[r1,q6]
 vldrwt.u32 q2,[r5,q7]
 add r1,r1,#4
 add r5,r5,#4
 vpstt
 vldrwt.u32 q1,[r1,q6]
 vldrwt.u32 q3,[r5,q7]
 add r5,r5,#4
 vpst
 vldrwt.u32 q4,[r5,q7]
 add r5,r5,#4
 vpst
 vldrwt.u32 q5,[r5,q7]
 add r5,r5,#20
 k_h_mac q2 q3 q4 q5
 .endif
4:
 .if \quant
 vmov d8,r0,r2
 vmov d9,r4,r6
 vmov d10,r8,r10
 vmov d11,r12,lr
 vld40.32 {q0,q1,q2,q3},[r11]
 vld41.32 {q0,q1,q2,q3},[r11]
 vld42.32 {q0,q1,q2,q3},[r11]
 vld43.32 {q0,q1,q2,q3},[r11]!
 k_h_shifts q3 q7
 ldr r1,[sp,#112]
 add r1,r1,r9
 mov r3,r9
 k_h_store q4 q0 q1 q2 q3 q7 r3
 k_h_store q5 q0 q1 q2 q3 q7 r1
 add r9,r9,#4
 .else
 stmia r11!,{r0,r2,r4,r6,r8,r10,r12,lr}
 .endif
 ldr r0,[sp,#108]
 subs r0,r0,#1
 str r0,[sp,#108]
 bne 1b
 add sp,sp,#4
 vpop {d8-d15}
 pop {r4-r11,pc}
 k_end \name
 .endm
 k_h_gemm kinglet_helium_gemm16 16 1
 k_h_gemm kinglet_helium_gemm8 8 1
 k_h_gemm kinglet_helium_gemm16_acc 16 0
 k_h_gemm kinglet_helium_gemm8_acc 8 0

@ Bytes of two pixels, q4 and q5, as pairs q0-q3: the even pairs of both, then the odd ones.
 .macro k_h_pairs
 vmovlb.s8 q0,q4
 vmovlb.s8 q1,q5
 vmovlt.s8 q2,q4
 vmovlt.s8 q3,q5
 .endm

@ helium_patch(dst, src, row stride, rows, words, second): widens `rows` rows of 4 * words bytes of two pixels into pairs,
@ interleaved.
 k_fn kinglet_helium_patch
 push {r4-r10,lr}
 vpush {d8-d13}
 ldr r4,[sp,#80]
 ldr r5,[sp,#84]
 mov r8,#0
 vidup.u32 q6,r8,#8
 vshl.i32 q6,q6,#1
 and r8,r4,#3
 lsl r9,r8,#2
 lsr r10,r4,#2
1: mov r6,r1
 add r7,r1,r5
 wls lr,r10,3f
2: vldrb.u8 q4,[r6],#16
 vldrb.u8 q5,[r7],#16
 k_h_pairs
 vst40.32 {q0,q1,q2,q3},[r0]
 vst41.32 {q0,q1,q2,q3},[r0]
 vst42.32 {q0,q1,q2,q3},[r0]
 vst43.32 {q0,q1,q2,q3},[r0]!
 le lr,2b
3: cmp r8,#0
 beq 4f
 vctp.8 r9
 vpstt
 vldrbt.u8 q4,[r6]
 vldrbt.u8 q5,[r7]
 k_h_pairs
 vctp.32 r8
 vpst
 vstrwt.32 q0,[r0,q6]
 add r6,r0,#4
 vpst
 vstrwt.32 q1,[r6,q6]
 add r6,r0,#8
 vpst
 vstrwt.32 q2,[r6,q6]
 add r6,r0,#12
 vpst
 vstrwt.32 q3,[r6,q6]
 add r0,r0,r9,lsl #2
4: add r1,r1,r2
 subs r3,r3,#1
 bne 1b
 vpop {d8-d13}
 pop {r4-r10,pc}
 k_end kinglet_helium_patch

@ The offsets of the weights of four channels of a tap, halves in the order 0, 2, 1, 3: q7. Clobbers r8-r11.
 .macro k_h_dw_offsets
 mov r8,#0
 mov r9,#4
 mov r10,#2
 mov r11,#6
 vmov d14,r8,r9
 vmov d15,r10,r11
 .endm

@ \acc += \x * \w, or = where it is the first. Clobbers q4.
 .macro k_h_dw_mac acc x w first
 .if \first
 vmul.i32 \acc,\x,\w
 .else
 vmul.i32 q4,\x,\w
 vadd.i32 \acc,\acc,q4
 .endif
 .endm

@ Requantizes four channels of two pixels, q0 and q1, with their records from r4 on, stores them from r5 and r6 on, and steps
@ to the next four. Clobbers q2-q6.
 .macro k_h_dw_store
 vld40.32 {q2,q3,q4,q5},[r4]
 vld41.32 {q2,q3,q4,q5},[r4]
 vld42.32 {q2,q3,q4,q5},[r4]
 vld43.32 {q2,q3,q4,q5},[r4]!
 k_h_shifts q5 q6
 k_h_store q0 q2 q3 q4 q5 q6 r5
 k_h_store q1 q2 q3 q4 q5 q6 r6
 add r5,r5,#4
 add r6,r6,#4
 .endm

@ helium_depthwise(src, arguments): as depthwise.
 k_fn kinglet_helium_depthwise
 push {r4-r11,lr}
 vpush {d8-d15}
 sub sp,sp,#12
 @ sp: 0 src, 4 second pixel, 8 rows
 k_h_dw_offsets
 ldmia r1!,{r3,r10,r11}
 ldmia r1!,{r2,r4,r5,r6,r8,r9}
 mov r7,r10
 ldr r10,[r1]
 mov r1,r7
 stmia sp,{r0,r11}
 str r8,[sp,#8]
 mls r3,r9,r1,r3
 @ r0, r7 pixels, r1 step, r2 w, r3 from the last column of a row to the next row, r4 records, r5, r6 out,
 @ r8 rows, r9 columns, r10 groups
1: ldmia sp,{r0,r7}
 ldr r8,[sp,#8]
 add r7,r7,r0
 vmov.i32 q0,#0
 vmov.i32 q1,#0
2: dls lr,r9
3: vldrb.s32 q3,[r0]
 vldrb.s32 q5,[r7]
 vldrh.s32 q2,[r2,q7]
 add r0,r0,r1
 add r7,r7,r1
 add r2,r2,#8
 k_h_dw_mac q0 q3 q2 0
 k_h_dw_mac q1 q5 q2 0
 le lr,3b
 add r0,r0,r3
 add r7,r7,r3
 subs r8,r8,#1
 bne 2b
 k_h_dw_store
 ldr r0,[sp]
 add r0,r0,#4
 str r0,[sp]
 subs r10,r10,#1
 bne 1b
 add sp,sp,#12
 vpop {d8-d15}
 pop {r4-r11,pc}
 k_end kinglet_helium_depthwise

@ Row of three taps of two neighboring pixels: four columns from r0 on, r1 apart. Column x is tap x of the first pixel and
@ tap x - 1 of the second. Clobbers q2-q4.
 .macro k_h_dw3_row first
 vldrb.s32 q3,[r0]
 vldrh.s32 q2,[r2,q7]
 add r0,r0,r1
 k_h_dw_mac q0 q3 q2 \first
 vldrb.s32 q3,[r0]
 add r0,r0,r1
 k_h_dw_mac q1 q3 q2 \first
 vldrh.s32 q2,[r2,q5]
 k_h_dw_mac q0 q3 q2 0
 vldrb.s32 q3,[r0]
 add r0,r0,r1
 k_h_dw_mac q1 q3 q2 0
 vldrh.s32 q2,[r2,q6]
 add r2,r2,#24
 k_h_dw_mac q0 q3 q2 0
 vldrb.s32 q3,[r0]
 k_h_dw_mac q1 q3 q2 0
 .endm

@ helium_depthwise3(src, arguments): as depthwise3.
 k_fn kinglet_helium_depthwise3
 push {r4-r11,lr}
 vpush {d8-d15}
 k_h_dw_offsets
 ldmia r1!,{r3,r10,r11}
 ldmia r1!,{r2,r4,r5,r6,r8,r9}
 ldr r7,[r1]
 dls lr,r7
 mov r1,r10
 sub r3,r3,r1
 sub r3,r3,r1,lsl #1
 mov r8,#8
 mov r9,#16
 mov r7,r0
 @ r0 pixels, r1 step, r2 w, r3 from the last column of a row to the next row, r4 records, r5, r6 out, r7 src, lr groups
1: vadd.i32 q5,q7,r8
 vadd.i32 q6,q7,r9
 mov r0,r7
 k_h_dw3_row 1
 add r0,r0,r3
 k_h_dw3_row 0
 add r0,r0,r3
 k_h_dw3_row 0
 k_h_dw_store
 add r7,r7,#4
 le lr,1b
 vpop {d8-d15}
 pop {r4-r11,pc}
 k_end kinglet_helium_depthwise3

@ Position \p of tile \t.
 .macro k_h_load q p t
 vldrw.u32 \q,[r0,#32*(\p)+16*\t]
 .endm

@ Column \j of tile \t, vertically: the upper pixel's \y, the lower one's \z. Clobbers q0-q3.
 .macro k_h_w2_column j t y z
 k_h_load q0 \j \t
 k_h_load q1 \j+4 \t
 k_h_load q2 \j+8 \t
 k_h_load q3 \j+12 \t
 vadd.i32 q0,q0,q1
 vsub.i32 q1,q1,q2
 vadd.i32 \y,q0,q2
 vsub.i32 \z,q1,q3
 .endm

@ Pixels (0, 0), (0, 1), (1, 0), (1, 1) of tile \t in q4-q7, 4 times.
 .macro k_h_w2 t
 k_h_w2_column 0 \t q4 q6
 k_h_w2_column 1 \t q5 q7
 vadd.i32 q4,q4,q5
 vadd.i32 q6,q6,q7
 k_h_w2_column 2 \t q0 q1
 vadd.i32 q4,q4,q0
 vadd.i32 q6,q6,q1
 vsub.i32 q5,q5,q0
 vsub.i32 q7,q7,q1
 k_h_w2_column 3 \t q0 q1
 vsub.i32 q5,q5,q0
 vsub.i32 q7,q7,q1
 .irp y,q4,q5,q6,q7
 vshr.s32 \y,\y,#1
 .endr
 .endm

@ The same for stride 2, once.
 .macro k_h_s2 t
 k_h_load q0 8 \t
 k_h_load q1 4 \t
 k_h_load q2 7 \t
 vadd.i32 q4,q1,q0
 vsub.i32 q6,q0,q2
 k_h_load q0 5 \t
 k_h_load q1 0 \t
 k_h_load q2 2 \t
 vadd.i32 q1,q1,q0
 vsub.i32 q2,q0,q2
 k_h_load q0 6 \t
 k_h_load q3 1 \t
 k_h_load q5 3 \t
 vadd.i32 q3,q3,q0
 vsub.i32 q0,q0,q5
 vsub.i32 q5,q4,q3
 vsub.i32 q7,q6,q0
 vadd.i32 q4,q4,q1
 vadd.i32 q6,q6,q2
 .irp y,q4,q5,q6,q7
 vshl.i32 \y,\y,#1
 .endr
 .endm

@ Requantizes twice the accumulators q4-q7 and stores them from \out on. Clobbers q0-q3.
 .macro k_h_four out
 vld40.32 {q0,q1,q2,q3},[r1]
 vld41.32 {q0,q1,q2,q3},[r1]
 vld42.32 {q0,q1,q2,q3},[r1]
 vld43.32 {q0,q1,q2,q3},[r1]
 .irp y,q4,q5,q6,q7
 vadd.i32 \y,\y,q0
 .endr
 k_h_shifts q3 q0
 add r6,\out,r4
 k_h_finish q4 q1 q2 q3 q0 \out
 add \out,\out,r5
 k_h_finish q6 q1 q2 q3 q0 r6
 add r6,r6,r5
 k_h_finish q5 q1 q2 q3 q0 \out
 k_h_finish q7 q1 q2 q3 q0 r6
 .endm

@ output(m, records, out of tile 0, out of tile 1, row pitch, pixel pitch): 2 x 2 pixels of 4 channels of 2 tiles.
 .macro k_h2_output name transform
 k_fn \name
 push {r4-r6,lr}
 vpush {d8-d15}
 ldrd r4,r5,[sp,#80]
 \transform 0
 k_h_four r2
 \transform 1
 k_h_four r3
 vpop {d8-d15}
 pop {r4-r6,pc}
 k_end \name
 .endm
 k_h2_output kinglet_helium_w2_output k_h_w2
 k_h2_output kinglet_helium_s2_output k_h_s2
