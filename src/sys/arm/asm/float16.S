@ Products of halves in single precision. VMLA rounds the product and then the sum, as VMUL and VADD do. Registers: s0-s15 the sums,
@ 4 * pixel + channel; s16-s19 pairs of weights; r0 is free.

@ Four words from \p0-\p3, which may lie at any multiple of 2 if \way is `any`: floating-point loads need words.
 .macro k_halves way,s0,s1,s2,s3,p0,p1,p2,p3
 .ifc \way,words
 vldmia \p0!,{\s0}
 vldmia \p1!,{\s1}
 vldmia \p2!,{\s2}
 vldmia \p3!,{\s3}
 .else
 ldr r0,[\p0],#4
 vmov \s0,r0
 ldr r0,[\p1],#4
 vmov \s1,r0
 ldr r0,[\p2],#4
 vmov \s2,r0
 ldr r0,[\p3],#4
 vmov \s3,r0
 .endif
 .endm

@ Adds the products of input \x with four weights to four sums.
 .macro k_mla4 x,w0,w1,w2,w3,s0,s1,s2,s3
 vmla.f32 \s0,\x,\w0
 vmla.f32 \s1,\x,\w1
 vmla.f32 \s2,\x,\w2
 vmla.f32 \s3,\x,\w3
 .endm

@ All 16 products of inputs \x0-\x3 with weights \w0-\w3.
 .macro k_mla16 x0,x1,x2,x3,w0,w1,w2,w3
 k_mla4 \x0,\w0,\w1,\w2,\w3,s0,s1,s2,s3
 k_mla4 \x1,\w0,\w1,\w2,\w3,s4,s5,s6,s7
 k_mla4 \x2,\w0,\w1,\w2,\w3,s8,s9,s10,s11
 k_mla4 \x3,\w0,\w1,\w2,\w3,s12,s13,s14,s15
 .endm

@ The lower halves of four registers, or the upper ones, as numbers.
 .macro k_widen4 half,d0,d1,d2,d3,s0,s1,s2,s3
 vcvt\half\().f32.f16 \d0,\s0
 vcvt\half\().f32.f16 \d1,\s1
 vcvt\half\().f32.f16 \d2,\s2
 vcvt\half\().f32.f16 \d3,\s3
 .endm

@ One sum, rounded to a half within s16 to s17, to \out; zero is positive.
 .macro k_half sum,out
 vcmp.f32 \sum,s16
 vmrs APSR_nzcv,fpscr
 it mi
 vmovmi.f32 \sum,s16
 vcmp.f32 \sum,s17
 vmrs APSR_nzcv,fpscr
 it gt
 vmovgt.f32 \sum,s17
 vcvtb.f16.f32 \sum,\sum
 vmov r12,\sum
 lsls r5,r12,#17
 it eq
 moveq r12,#0
 strh r12,[\out],#2
 .endm

 .macro k_half4 s0,s1,s2,s3,out
 k_half \s0,\out
 k_half \s1,\out
 k_half \s2,\out
 k_half \s3,\out
 .endm

 .macro k_same4 d0,d1,d2,d3
 vmov.f32 \d0,s0
 vmov.f32 \d1,s1
 vmov.f32 \d2,s2
 vmov.f32 \d3,s3
 .endm

@ f16_gemm(arguments): x, weights, biases, k, blocks, four output pixels, least, greatest. Blocks of four channels of four lanes, the first
@ of which is written last: lanes that are not there may share its pixel.
@ f16_gemm_any takes weights at any multiple of 2, and any k.
 .macro k_f16_gemm_fn name,way
 k_fn \name
 push {r4-r11,lr}
 vpush {s16-s31}
 mov r7,r0
 ldr r1,[r7,#4]
 ldr lr,[r7,#8]
 ldr r6,[r7,#16]
 add r12,r7,#20
 ldmia r12,{r8-r11}
1: vldmia lr!,{s0-s3}
 k_same4 s4,s5,s6,s7
 k_same4 s8,s9,s10,s11
 k_same4 s12,s13,s14,s15
 ldr r12,[r7]
 ldr r5,[r7,#12]
 add r2,r1,r5,lsl #1
 add r3,r2,r5,lsl #1
 add r4,r3,r5,lsl #1
 lsrs r5,r5,#1
 beq 3f
2: k_halves \way,s16,s17,s18,s19,r1,r2,r3,r4
 vldmia r12!,{s24-s31}
 k_widen4 b,s20,s21,s22,s23,s16,s17,s18,s19
 k_mla16 s24,s25,s26,s27,s20,s21,s22,s23
 k_widen4 t,s16,s17,s18,s19,s16,s17,s18,s19
 k_mla16 s28,s29,s30,s31,s16,s17,s18,s19
 subs r5,r5,#1
 bne 2b
3:
 .ifc \way,any
 ldr r5,[r7,#12]
 lsls r5,r5,#31
 beq 4f
 ldrh r0,[r1],#2
 ldrh r5,[r2],#2
 vmov s16,s17,r0,r5
 ldrh r0,[r3],#2
 ldrh r5,[r4],#2
 vmov s18,s19,r0,r5
 vldmia r12!,{s24-s27}
 k_widen4 b,s20,s21,s22,s23,s16,s17,s18,s19
 k_mla16 s24,s25,s26,s27,s20,s21,s22,s23
4:
 .endif
 mov r1,r4
 vldr s16,[r7,#36]
 vldr s17,[r7,#40]
 k_half4 s12,s13,s14,s15,r11
 k_half4 s8,s9,s10,s11,r10
 k_half4 s4,s5,s6,s7,r9
 k_half4 s0,s1,s2,s3,r8
 subs r6,r6,#1
 bne 1b
 vpop {s16-s31}
 pop {r4-r11,pc}
 k_end \name
 .endm
 k_f16_gemm_fn kinglet_f16_gemm,words
 k_f16_gemm_fn kinglet_f16_gemm_any,any

@ f16_spread(from, x, n): widens n halves, at least one, at any multiple of 2, to every fourth number.
 k_fn kinglet_f16_spread
 and r12,r2,#1
 lsrs r2,r2,#1
 beq 2f
1: ldr r3,[r0],#4
 vmov s0,r3
 vcvtb.f32.f16 s1,s0
 vcvtt.f32.f16 s0,s0
 vstr s1,[r1]
 vstr s0,[r1,#16]
 adds r1,#32
 subs r2,#1
 bne 1b
 cmp r12,#0
 it eq
 bxeq lr
2: ldrh r3,[r0]
 vmov s0,r3
 vcvtb.f32.f16 s0,s0
 vstr s0,[r1]
 bx lr
 k_end kinglet_f16_spread

@ f16_1x4(x, w, pairs, sums): the same of one patch, x.
 .macro k_f16_1x4_fn name,way
 k_fn \name
 push {r3-r8,lr}
 mov r12,r2
 vldmia r3,{s0-s3}
 mov r4,r0
 ldmia r1,{r5-r8}
1:
 .ifc \way,words
 vldmia r4!,{s4}
 .else
 ldr r0,[r4],#4
 vmov s4,r0
 .endif
 k_halves \way,s6,s7,s8,s9,r5,r6,r7,r8
 vcvtb.f32.f16 s5,s4
 k_widen4 b,s10,s11,s12,s13,s6,s7,s8,s9
 k_mla4 s5,s10,s11,s12,s13,s0,s1,s2,s3
 vcvtt.f32.f16 s4,s4
 k_widen4 t,s6,s7,s8,s9,s6,s7,s8,s9
 k_mla4 s4,s6,s7,s8,s9,s0,s1,s2,s3
 subs r12,#1
 bne 1b
 ldr r3,[sp]
 vstmia r3,{s0-s3}
 pop {r3-r8,pc}
 k_end \name
 .endm
 k_f16_1x4_fn kinglet_f16_1x4,words
 k_f16_1x4_fn kinglet_f16_1x4_any,any
