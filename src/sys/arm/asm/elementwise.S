@ add_linear(a, b, constants, n): a = (A * a + B * b + G) >> 20, saturated, for n elements, a multiple of 8.
 k_fn kinglet_add_linear
 push {r4-r11,lr}
 add lr,r0,r3
 ldmia r2,{r10,r11,r12}
 mov r9,#0xff00ff00
1:
 .rept 2
 ldr r3,[r0]
 ldr r4,[r1],#4
 and r5,r9,r3,lsl #8
 and r6,r9,r3
 and r7,r9,r4,lsl #8
 and r8,r9,r4
 smlawb r3,r10,r5,r12
 smlawt r5,r10,r5,r12
 smlawb r4,r10,r6,r12
 smlawt r6,r10,r6,r12
 smlawb r3,r11,r7,r3
 smlawt r5,r11,r7,r5
 smlawb r4,r11,r8,r4
 smlawt r6,r11,r8,r6
 ssat r3,#8,r3,asr #20
 ssat r4,#8,r4,asr #20
 ssat r5,#8,r5,asr #20
 ssat r6,#8,r6,asr #20
 strb r4,[r0,#1]
 strb r5,[r0,#2]
 strb r6,[r0,#3]
 strb r3,[r0],#4
 .endr
 cmp r0,lr
 bne 1b
 pop {r4-r11,pc}
 k_end kinglet_add_linear

@ max3(out, a, b, c, n): the greater of three, byte by byte, for n bytes, a multiple of 8.
 .macro k_max x y
 ssub8 r12,\x,\y
 sel \x,\x,\y
 .endm
 k_fn kinglet_max3
 push {r4-r9,lr}
 ldr lr,[sp,#28]
 add lr,lr,r0
1: ldr r4,[r1],#4
 ldr r5,[r1],#4
 ldr r6,[r2],#4
 ldr r7,[r2],#4
 ldr r8,[r3],#4
 ldr r9,[r3],#4
 k_max r4 r6
 k_max r5 r7
 k_max r4 r8
 k_max r5 r9
 str r4,[r0],#4
 str r5,[r0],#4
 cmp r0,lr
 bne 1b
 pop {r4-r9,pc}
 k_end kinglet_max3

@ clamp(data, n, low x 4, high x 4): clamps n bytes, a multiple of 4.
 k_fn kinglet_clamp
 push {r4,lr}
 add r1,r1,r0
1: ldr r4,[r0]
 ssub8 r12,r4,r2
 sel r4,r4,r2
 ssub8 r12,r3,r4
 sel r4,r4,r3
 str r4,[r0],#4
 cmp r0,r1
 bne 1b
 pop {r4,pc}
 k_end kinglet_clamp

@ sum(src, step, pixels, acc): adds four channels of up to 255 pixels, `step` bytes apart, to four sums.
 k_fn kinglet_sum
 push {r4-r7,lr}
 mov r4,#0
 mov r5,#0
1: ldr r6,[r0]
 add r0,r0,r1
 sxtab16 r4,r4,r6
 sxtab16 r5,r5,r6,ror #8
 subs r2,r2,#1
 bne 1b
 ldmia r3,{r2,r6,r7,r12}
 sxth lr,r4
 add r2,r2,lr
 sxth lr,r5
 add r6,r6,lr
 add r7,r7,r4,asr #16
 add r12,r12,r5,asr #16
 stmia r3,{r2,r6,r7,r12}
 pop {r4-r7,pc}
 k_end kinglet_sum

@ copy(dst, src, n): n bytes; dst may lie before src and overlap it. Quick when both are at multiples of 4.
 k_fn kinglet_copy
 push {r4-r10,lr}
 orr r3,r0,r1
 tst r3,#3
 bne 2f
 subs r2,r2,#32
 blo 3f
1: ldmia r1!,{r3-r10}
 subs r2,r2,#32
 stmia r0!,{r3-r10}
 bhs 1b
3: add r2,r2,#32
2: cbz r2,4f
5: ldrb r3,[r1],#1
 subs r2,r2,#1
 strb r3,[r0],#1
 bne 5b
4: pop {r4-r10,pc}
 k_end kinglet_copy
