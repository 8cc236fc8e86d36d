@ dot4(x, w, words, sums): adds the dot products of 4 * words bytes with four rows of weights, w[0..4], to sums[0..4].
 k_fn kinglet_dot4
 push {r4-r11,lr}
 sub sp,sp,#4
 str r3,[sp]
 mov lr,r2
 ldmia r3,{r4-r7}
 ldmia r1,{r1,r2,r3,r12}
1: ldr r8,[r0],#4
 sxtb16 r9,r8,ror #8
 sxtb16 r8,r8
 ldr r10,[r1],#4
 sxtb16 r11,r10,ror #8
 sxtb16 r10,r10
 smlad r4,r9,r11,r4
 smlad r4,r8,r10,r4
 ldr r10,[r2],#4
 sxtb16 r11,r10,ror #8
 sxtb16 r10,r10
 smlad r5,r9,r11,r5
 smlad r5,r8,r10,r5
 ldr r10,[r3],#4
 sxtb16 r11,r10,ror #8
 sxtb16 r10,r10
 smlad r6,r9,r11,r6
 smlad r6,r8,r10,r6
 ldr r10,[r12],#4
 sxtb16 r11,r10,ror #8
 sxtb16 r10,r10
 smlad r7,r9,r11,r7
 smlad r7,r8,r10,r7
 subs lr,lr,#1
 bne 1b
 ldr r3,[sp]
 stmia r3,{r4-r7}
 add sp,sp,#4
 pop {r4-r11,pc}
 k_end kinglet_dot4
