@ Blocks that the exact Winograd convolutions share. Pairs of channels are words of two halves; transformed inputs are
@ [pair of tiles][position][channel pair][tile], products are [pair of tiles][position][tile][4 channels].

@ winograd_gemm(v, u, m, table, entries): for every position, 2 tiles x 4 channels. An entry of the table is {channel pairs of a
@ position, an even number, positions, unused}.
 k_fn kinglet_winograd_gemm
 push {r4-r11,lr}
 sub sp,sp,#36
 @ sp: 0 m, 4 end of m, 8 entry, 12 end of v, 16 bytes of v per position, 20 table, 24 entries left
 ldr r4,[sp,#72]
 mov r12,r0
 sub lr,r1,#8
 str r2,[sp]
 strd r3,r4,[sp,#20]
1: ldr r3,[sp,#20]
 ldr r2,[sp]
 ldmia r3!,{r4,r5,r6}
 str r3,[sp,#20]
 add r5,r2,r5,lsl #5
 str r5,[sp,#4]
 lsls r6,r4,#3
 add r7,r12,r6
 strd r7,r6,[sp,#12]
 rsb r5,r4,#1
 and r5,r5,#7
 movs r6,#56
 adr.w r7,3f
 mla r5,r5,r6,r7
 orr r5,r5,#1
 str r5,[sp,#8]
2: k_step first 0
 ldr pc,[sp,#8]
 .p2align 2
3:
 .rept 8
 k_step acc 0
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

@ winograd_products(v, u, m, table, entries, pairs of tiles, bytes of v per pair of tiles, bytes of m per pair of tiles): for every
@ position, pairs of tiles x 4 channels. An entry of the table is {channel pairs of a position, positions, channel pairs at a time}, all
@ but the last even: the weights of so many are read for all pairs of tiles before those of the next are, out of a small cache.
 k_fn kinglet_winograd_products
 push {r4-r11,lr}
 sub sp,sp,#60
 @ sp: 0 u - 8, 4 v, 8 m, 12 table, 16 channel pairs, 20 at a time, 24 positions left, 28 channel pairs left, 32 whether these are the
 @ first of their position, 36 entry, 40 bytes of v, 44 end of v, 48 m of the pair of tiles, 52 pairs of tiles left
 @ 96 entries left, 100 pairs of tiles, 104 and 108 bytes per pair of tiles
 sub r1,r1,#8
 strd r1,r0,[sp]
 strd r2,r3,[sp,#8]
1: ldr r3,[sp,#12]
 ldmia r3!,{r4,r5,r6}
 str r3,[sp,#12]
 strd r4,r6,[sp,#16]
 str r5,[sp,#24]
2: ldrd r4,r6,[sp,#16]
 movs r7,#1
3: cmp r6,r4
 it hi
 movhi r6,r4
 subs r5,r4,r6
 strd r5,r7,[sp,#28]
 sub r8,r7,r6
 and r8,r8,#7
 mov r9,#56
 adr.w r10,7f
 mla r8,r8,r9,r10
 orr r8,r8,#1
 lsl r9,r6,#3
 strd r8,r9,[sp,#36]
8: ldr r12,[sp,#4]
 ldr r2,[sp,#8]
 ldr r3,[sp,#100]
 add r8,r12,r9
 str r8,[sp,#44]
 strd r2,r3,[sp,#48]
4: ldr lr,[sp]
 ldr r0,[sp,#32]
 cbz r0,5f
 k_step first 0
 ldr pc,[sp,#36]
5: ldr r8,[sp,#48]
 ldmia r8,{r0-r7}
 ldr pc,[sp,#36]
 .p2align 2
7:
 .rept 8
 k_step acc 0
 .endr
 ldr r8,[sp,#44]
 cmp r12,r8
 bne 7b
 ldr r9,[sp,#48]
 stmia r9,{r0-r7}
 ldrd r0,r1,[sp,#104]
 ldr r2,[sp,#52]
 ldr r12,[sp,#40]
 add r8,r8,r0
 add r9,r9,r1
 subs r2,r2,#1
 strd r8,r9,[sp,#44]
 str r2,[sp,#52]
 sub r12,r8,r12
 bne 4b
 ldr r1,[sp,#4]
 ldr r9,[sp,#40]
 ldrd r4,r7,[sp,#28]
 add r1,r1,r9
 strd lr,r1,[sp]
 cbnz r4,9f
 ldr r2,[sp,#8]
 ldr r3,[sp,#24]
 adds r2,r2,#32
 str r2,[sp,#8]
 subs r3,r3,#1
 str r3,[sp,#24]
 beq 10f
 cmp r7,#0
 bne 8b
 b 2b
9: ldr r6,[sp,#20]
 movs r7,#0
 b 3b
10:
 ldr r4,[sp,#96]
 subs r4,r4,#1
 str r4,[sp,#96]
 bne 1b
 add sp,sp,#60
 pop {r4-r11,pc}
 k_end kinglet_winograd_products
