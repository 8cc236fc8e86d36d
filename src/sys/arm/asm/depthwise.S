@ Requantizes \a and \b, which share the record r1, r2, r3, r12 = {2 * bias, m, c, s}. Clobbers lr.
 .macro k_dw a b
 ldmia r0!,{r1,r2,r3,r12}
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

 .macro k_dw_zero
 .irp r,r4,r5,r6,r7,r8,r9,r10,r11
 mov \r,#0
 .endr
 .endm

@ One tap of two pixels: r12 and r1 = words of the pixels, weights from lr. Clobbers r2, r3.
 .macro k_dw_tap
 ldr r2,[lr],#4
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
 .endm

@ depthwise(src, arguments): groups of four channels of two pixels, any kernel. Arguments: 0 row pitch, 4 step,
@ 8 second pixel, 12 w, 16 records, 20 out, 24 second out, 28 rows, 32 columns, 36 groups.
 k_fn kinglet_depthwise
 push {r4-r11,lr}
 sub sp,sp,#28
 @ sp: 0 arguments, 4 src, 8 rows left, 12 row, 16 columns left, 20 w
 strd r1,r0,[sp]
 ldr lr,[r1,#12]
1: ldr r1,[sp]
 ldr r2,[r1,#28]
 ldr r0,[sp,#4]
 strd r2,r0,[sp,#8]
 k_dw_zero
2: ldr r1,[sp]
 ldr r2,[r1,#32]
 str r2,[sp,#16]
3: ldr r3,[sp]
 ldr r1,[r0]
 ldr r12,[r3,#8]
 ldr r12,[r0,r12]
 ldr r3,[r3,#4]
 add r0,r0,r3
 k_dw_tap
 ldr r3,[sp,#16]
 subs r3,r3,#1
 str r3,[sp,#16]
 bne 3b
 ldr r1,[sp]
 ldrd r2,r0,[sp,#8]
 ldr r3,[r1]
 add r0,r0,r3
 subs r2,r2,#1
 strd r2,r0,[sp,#8]
 bne 2b
 str lr,[sp,#20]
 ldr lr,[sp]
 ldr r0,[lr,#16]
 k_dw r4 r8
 k_dw r5 r9
 k_dw r6 r10
 k_dw r7 r11
 ldr r2,[sp]
 str r0,[r2,#16]
 ldrd r0,r1,[r2,#20]
 k_store4 r0 r4 r5 r6 r7
 k_store4 r1 r8 r9 r10 r11
 add r0,r0,#4
 add r1,r1,#4
 strd r0,r1,[r2,#20]
 ldr r0,[sp,#4]
 ldr lr,[sp,#20]
 add r0,r0,#4
 str r0,[sp,#4]
 ldr r0,[r2,#36]
 subs r0,r0,#1
 str r0,[r2,#36]
 bne 1b
 add sp,sp,#28
 pop {r4-r11,pc}
 k_end kinglet_depthwise

@ Row \n of three taps of two neighboring pixels: four columns from r0 on, r1 apart. Column x is tap x of the first
@ pixel and tap x - 1 of the second. Clobbers r2, r3, r12.
 .macro k_dw3_row n
 ldr r12,[r0]
 ldrd r2,r3,[lr,#24*\n]
 sxtb16 r12,r12
 smlabb r4,r12,r2,r4
 smlatt r6,r12,r2,r6
 ldr r12,[r0]
 add r0,r0,r1
 sxtb16 r12,r12,ror #8
 smlabb r5,r12,r3,r5
 smlatt r7,r12,r3,r7
 .irp x,1,2
 ldr r12,[r0]
 sxtb16 r12,r12
 smlabb r8,r12,r2,r8
 smlatt r10,r12,r2,r10
 ldr r2,[lr,#24*\n+8*\x]
 smlabb r4,r12,r2,r4
 smlatt r6,r12,r2,r6
 ldr r12,[r0]
 add r0,r0,r1
 sxtb16 r12,r12,ror #8
 smlabb r9,r12,r3,r9
 smlatt r11,r12,r3,r11
 ldr r3,[lr,#24*\n+8*\x+4]
 smlabb r5,r12,r3,r5
 smlatt r7,r12,r3,r7
 .endr
 ldr r12,[r0]
 sxtb16 r12,r12
 smlabb r8,r12,r2,r8
 smlatt r10,r12,r2,r10
 ldr r12,[r0]
 sxtb16 r12,r12,ror #8
 smlabb r9,r12,r3,r9
 smlatt r11,r12,r3,r11
 .endm

@ depthwise3(src, arguments): the same for 3x3 kernels and neighboring pixels: step = second pixel, 3 rows and columns.
 k_fn kinglet_depthwise3
 push {r4-r11,lr}
 sub sp,sp,#20
 @ sp: 0 arguments, 4 src, 8 step, 12 from the last column of a row to the next row, 16 w
 strd r1,r0,[sp]
 ldrd r2,r3,[r1]
 sub r2,r2,r3
 sub r2,r2,r3,lsl #1
 strd r3,r2,[sp,#8]
 ldr lr,[r1,#12]
 mov r1,r3
1: k_dw_zero
 k_dw3_row 0
 ldr r2,[sp,#12]
 add r0,r0,r2
 k_dw3_row 1
 ldr r2,[sp,#12]
 add r0,r0,r2
 k_dw3_row 2
 ldr r1,[sp]
 add lr,lr,#72
 ldr r0,[r1,#16]
 str lr,[sp,#16]
 k_dw r4 r8
 k_dw r5 r9
 k_dw r6 r10
 k_dw r7 r11
 ldr r2,[sp]
 str r0,[r2,#16]
 ldrd r0,r1,[r2,#20]
 k_store4 r0 r4 r5 r6 r7
 k_store4 r1 r8 r9 r10 r11
 add r0,r0,#4
 add r1,r1,#4
 strd r0,r1,[r2,#20]
 ldr r3,[r2,#36]
 ldrd r0,r1,[sp,#4]
 ldr lr,[sp,#16]
 add r0,r0,#4
 subs r3,r3,#1
 str r0,[sp,#4]
 str r3,[r2,#36]
 bne 1b
 add sp,sp,#20
 pop {r4-r11,pc}
 k_end kinglet_depthwise3
