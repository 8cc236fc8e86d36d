@ Blocks that the exact Winograd convolutions share. Pairs of channels are words of two halves; transformed inputs are
@ [pair of tiles][position][channel pair][tile], products are [position][tile][4 channels].

@ winograd_gemm_short(v, u, m, pairs, positions): for every position, 2 tiles x 4 channels over at most 16 channel pairs.
 k_fn kinglet_winograd_gemm_short
 push {r4-r11,lr}
 sub sp,sp,#12
 @ sp: 0 m, 4 end of m, 8 entry
 ldr r4,[sp,#48]
 mov r12,r0
 mov lr,r1
 add r5,r2,r4,lsl #5
 strd r2,r5,[sp]
 rsb r5,r3,#16
 mov r6,#44
 adr.w r7,2f
 mla r5,r5,r6,r7
 orr r5,r5,#1
 str r5,[sp,#8]
1: k_step first
 ldr pc,[sp,#8]
 .p2align 2
2:
 .rept 15
 k_step acc
 .endr
 ldrd r8,r9,[sp]
 stmia r8!,{r0-r7}
 cmp r8,r9
 str r8,[sp]
 bne 1b
 add sp,sp,#12
 pop {r4-r11,pc}
 k_end kinglet_winograd_gemm_short

@ winograd_gemm(v, u, m, table, entries): the same for any even number of channel pairs; the table holds numbers of
@ pairs, and of positions that have so many.
 k_fn kinglet_winograd_gemm
 push {r4-r11,lr}
 sub sp,sp,#36
 @ sp: 0 m, 4 end of m, 8 entry, 12 end of v, 16 bytes of v per position, 20 table, 24 entries left
 ldr r4,[sp,#72]
 mov r12,r0
 mov lr,r1
 str r2,[sp]
 strd r3,r4,[sp,#20]
1: ldr r3,[sp,#20]
 ldr r2,[sp]
 ldmia r3!,{r4,r5}
 str r3,[sp,#20]
 add r5,r2,r5,lsl #5
 str r5,[sp,#4]
 lsl r6,r4,#3
 add r7,r12,r6
 strd r7,r6,[sp,#12]
 sub r5,r4,#2
 and r5,r5,#15
 rsb r5,r5,#15
 mov r6,#44
 adr.w r7,3f
 mla r5,r5,r6,r7
 orr r5,r5,#1
 str r5,[sp,#8]
2: k_step first
 ldr pc,[sp,#8]
 .p2align 2
3:
 .rept 16
 k_step acc
 .endr
 ldrd r8,r9,[sp,#12]
 cmp r12,r8
 bne 3b
 add r8,r8,r9
 str r8,[sp,#12]
 ldrd r8,r9,[sp]
 stmia r8!,{r0-r7}
 cmp r8,r9
 str r8,[sp]
 bne 2b
 ldr r4,[sp,#24]
 subs r4,r4,#1
 str r4,[sp,#24]
 bne 1b
 add sp,sp,#36
 pop {r4-r11,pc}
 k_end kinglet_winograd_gemm
