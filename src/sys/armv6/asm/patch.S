@ patch(dst, src, bytes of a row, from the end of a row to the next, rows): widens rows of words of four bytes into pairs, bytes 0 and 2,
@ and 1 and 3, every other word of dst.
 .macro k6_pair at
 ands r3,r5
 movs r4,r3
 ands r4,r6
 muls r4,r7,r4
 orrs r3,r4
 str r3,[r0,#\at]
 .endm
 k_fn kinglet_v6_patch
 push {r4-r7,lr}
 mov r4,r8
 mov r5,r9
 mov r6,r10
 push {r4-r6}
 mov r8,r2
 mov r9,r3
 @ r5 bytes that are taken, r6 their signs, r7 what makes of a sign the upper byte; r8 bytes of a row, r9 to the next, r10 end of the row
 ldr r5,8f
 ldr r6,9f
 movs r7,#255
 lsls r7,r7,#1
1: mov r2,r8
 adds r2,r1,r2
 mov r10,r2
 .p2align 3
2: ldmia r1!,{r2}
 movs r3,r2
 k6_pair 0
 lsrs r3,r2,#8
 k6_pair 8
 adds r0,#16
 cmp r1,r10
 bne 2b
 add r1,r9
 ldr r2,[sp,#32]
 subs r2,r2,#1
 str r2,[sp,#32]
 bne 1b
 pop {r4-r6}
 mov r8,r4
 mov r9,r5
 mov r10,r6
 pop {r4-r7,pc}
 .p2align 2
8: .word 0x00ff00ff
9: .word 0x00800080
 k_end kinglet_v6_patch
