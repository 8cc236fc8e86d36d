@ Products of halves in single precision by the vectors of Armv8.1-M: four channels of a vector times four pixels. VMUL and VADD round
@ each operation by itself. These vectors take numbers below 2^-126 for zero: only biases can be so small, and become +-2^-126, which
@ changes no sum with a product and is 0 as a half.

@ Adds the products of weights \w with inputs \x0-\x3 to q0-q3. Clobbers q7.
 .macro k_h16_step w,x0,x1,x2,x3
 vmul.f32 q7,\w,\x0
 vadd.f32 q0,q0,q7
 vmul.f32 q7,\w,\x1
 vadd.f32 q1,q1,q7
 vmul.f32 q7,\w,\x2
 vadd.f32 q2,q2,q7
 vmul.f32 q7,\w,\x3
 vadd.f32 q3,q3,q7
 .endm

@ The lower and upper halves of q7: \even and \odd, within q5 to q6; zero is positive (\negative = 0x8000).
 .macro k_h16_round even,odd,negative
 vmaxnm.f32 \even,\even,q5
 vmaxnm.f32 \odd,\odd,q5
 vminnm.f32 \even,\even,q6
 vminnm.f32 \odd,\odd,q6
 vcvtb.f16.f32 q7,\even
 vcvtt.f16.f32 q7,\odd
 vpt.i16 eq,q7,\negative
 vmovt.i16 q7,#0
 .endm

@ Stores sums of four channels of two pixels, those of \second first.
 .macro k_h16_store first,second,first_at,second_at
 k_h16_round \first,\second,r6
 vshr.u32 \second,q7,#16
 vstrh.32 \second,[\second_at],#8
 vstrh.32 q7,[\first_at],#8
 .endm

@ helium_f16_gemm(arguments), helium_f16_gemm_any(arguments): as f16_gemm and f16_gemm_any. q4 is where the weights of four channels
@ lie: before the next pair, or in elements from r3 on.
 .macro k_h16_gemm_fn name,way
 k_fn \name
 push {r4-r11,lr}
 vpush {d8-d15}
 mov r1,r0
 add r0,r0,#20
 ldmia r0,{r8-r11}
 push {r8-r11}
 ldr r3,[r1,#4]
 ldr r12,[r1,#8]
 ldr r5,[r1,#12]
 ldr r2,[r1,#16]
 movs r4,#0
 vidup.u32 q4,r4,#1
 vmul.i32 q4,q4,r5
 .ifc \way,words
 vshl.i32 q4,q4,#1
 subs r3,#4
 vadd.i32 q4,q4,r3
 .endif
1: vldrw.u32 q0,[r12],#16
 vmov q1,q0
 vbic.i32 q1,#0x80000000
 mov r4,#0x800000
 vpt.i32 ne,q1,zr
 vcmpt.s32 lt,q1,r4
 vpst
 vorrt.i32 q0,#0x800000
 vmov q1,q0
 vmov q2,q0
 vmov q3,q0
 ldr r0,[r1]
 ldr r4,[r1,#12]
 .ifc \way,words
 lsrs r4,r4,#1
 wls lr,r4,3f
2: vldrw.u32 q5,[q4,#4]!
 ldmia r0!,{r4-r11}
 vcvtb.f32.f16 q6,q5
 vcvtt.f32.f16 q5,q5
 k_h16_step q6,r4,r5,r6,r7
 k_h16_step q5,r8,r9,r10,r11
 le lr,2b
3: ldr r4,[r1,#12]
 add r4,r4,r4,lsl #1
 lsls r4,r4,#1
 vadd.i32 q4,q4,r4
 .else
 wls lr,r4,3f
2: vldrh.u32 q5,[r3,q4,uxtw #1]
 adds r3,#2
 ldmia r0!,{r4-r7}
 vcvtb.f32.f16 q5,q5
 k_h16_step q5,r4,r5,r6,r7
 le lr,2b
3: ldr r4,[r1,#12]
 add r4,r4,r4,lsl #1
 add r3,r3,r4,lsl #1
 .endif
 ldrd r4,r5,[r1,#36]
 vdup.32 q5,r4
 vdup.32 q6,r5
 movw r6,#0x8000
 ldmia sp,{r0,r4,r5,r7}
 k_h16_store q2,q3,r5,r7
 k_h16_store q0,q1,r0,r4
 stmia sp,{r0,r4,r5,r7}
 subs r2,r2,#1
 bne 1b
 add sp,#16
 vpop {d8-d15}
 pop {r4-r11,pc}
 k_end \name
 .endm
 k_h16_gemm_fn kinglet_helium_f16_gemm,words
 k_h16_gemm_fn kinglet_helium_f16_gemm_any,any

@ helium_f16_spread(from, x, n, step, count): widens n halves, at any multiple of 2, from every step-th on to every fourth number from
@ the first, the second, ... number on.
 k_fn kinglet_helium_f16_spread
 push {r4-r6,lr}
 ldr r4,[sp,#16]
 mov r6,#0
 vidup.u32 q2,r6,#4
 vshl.i32 q2,q2,#2
 subs r1,#64
1: vadd.i32 q1,q2,r1
 mov r5,r0
 wlstp.32 lr,r2,3f
2: vldrh.u32 q0,[r5],#8
 vcvtb.f32.f16 q0,q0
 vstrw.32 q0,[q1,#64]!
 letp lr,2b
3: add r0,r0,r3,lsl #1
 adds r1,#4
 subs r4,#1
 bne 1b
 pop {r4-r6,pc}
 k_end kinglet_helium_f16_spread

@ helium_f16_add(a, b, n, range): a = a + b within a range of two numbers, n halves, at least one, at any multiples of 2.
 k_fn kinglet_helium_f16_add
 push {r4,lr}
 vpush {d8-d15}
 ldrd r3,r4,[r3]
 vdup.32 q5,r3
 vdup.32 q6,r4
 movw r4,#0x8000
1: vctp.16 r2
 vpstt
 vldrht.u16 q0,[r0]
 vldrht.u16 q1,[r1],#16
 vcvtb.f32.f16 q2,q0
 vcvtb.f32.f16 q3,q1
 vcvtt.f32.f16 q0,q0
 vcvtt.f32.f16 q1,q1
 vadd.f32 q2,q2,q3
 vadd.f32 q0,q0,q1
 k_h16_round q2,q0,r4
 vctp.16 r2
 vpst
 vstrht.16 q7,[r0],#16
 subs r2,#8
 bgt 1b
 vpop {d8-d15}
 pop {r4,pc}
 k_end kinglet_helium_f16_add
