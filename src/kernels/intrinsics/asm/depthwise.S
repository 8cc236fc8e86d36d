@ Requantizes \a and \b, which share the record r1, r2, r3, r12 = {2 * bias, m, c, s}.
 .macro k_dw a b
 add \a,r1,\a,lsl #1
 add \b,r1,\b,lsl #1
 add r1,r3,\a,asr #31
 add lr,r3,\b,asr #31
 smmlar \a,\a,r2,r1
 smmlar \b,\b,r2,lr
 asr \a,\a,r12
 asr \b,\b,r12
 ssat \a,#8,\a
 ssat \b,#8,\b
 .endm

@ depthwise(src, row pitch, step, second, w, records, out, second out, kernel rows, kernel columns): two pixels of four
@ channels. src: tap (0, 0) of the first pixel; step: bytes from tap to tap; w: two words per tap.
 k_fn kinglet_depthwise
 push {r4-r11,lr}
 sub sp,sp,#28
 @ sp: 0 row pitch, 4 step, 8 second, 12 rows left, 16 row start
 @ arguments: 64 w, 68 records, 72 out, 76 second out, 80 rows, 84 columns
 strd r1,r2,[sp]
 str r3,[sp,#8]
 ldr lr,[sp,#64]
 ldr r4,[sp,#80]
 strd r4,r0,[sp,#12]
 mov r4,#0
 mov r5,#0
 mov r6,#0
 mov r7,#0
 mov r8,#0
 mov r9,#0
 mov r10,#0
 mov r11,#0
1: ldr r12,[sp,#84]
 str r12,[sp,#20]
2: ldr r12,[sp,#8]
 ldr r2,[lr],#4
 ldr r12,[r0,r12]
 ldr r1,[r0]
 sxtb16 r3,r1
 smlabb r4,r3,r2,r4
 smlatt r6,r3,r2,r6
 sxtb16 r3,r12
 smlabb r8,r3,r2,r8
 smlatt r10,r3,r2,r10
 ldr r2,[lr],#4
 sxtb16 r3,r1,ror #8
 sxtb16 r12,r12,ror #8
 smlabb r5,r3,r2,r5
 smlatt r7,r3,r2,r7
 smlabb r9,r12,r2,r9
 smlatt r11,r12,r2,r11
 ldr r12,[sp,#4]
 ldr r3,[sp,#20]
 add r0,r0,r12
 subs r3,r3,#1
 str r3,[sp,#20]
 bne 2b
 ldrd r1,r0,[sp,#12]
 ldr r3,[sp]
 add r0,r0,r3
 subs r1,r1,#1
 strd r1,r0,[sp,#12]
 bne 1b
 ldr r0,[sp,#68]
 ldmia r0!,{r1,r2,r3,r12}
 k_dw r4 r8
 ldmia r0!,{r1,r2,r3,r12}
 k_dw r5 r9
 ldmia r0!,{r1,r2,r3,r12}
 k_dw r6 r10
 ldmia r0!,{r1,r2,r3,r12}
 k_dw r7 r11
 ldrd r0,r1,[sp,#72]
 add r1,r1,r0
 strb r4,[r0]
 strb r5,[r0,#1]
 strb r6,[r0,#2]
 strb r7,[r0,#3]
 strb r8,[r1]
 strb r9,[r1,#1]
 strb r10,[r1,#2]
 strb r11,[r1,#3]
 add sp,sp,#28
 pop {r4-r11,pc}
 k_end kinglet_depthwise
