@ Blocks that the exact Winograd convolutions share or own. Pairs of channels are words of two halves; transformed
@ inputs are [pair of tiles][position][channel pair][tile], accumulators are [position][tile][4 channels].

@ winograd_gemm*(v, u, m, pairs or table, positions): for every position, 2 tiles x 4 channels over the channel pairs.
@ `short`: at most 16 pairs, unrolled. `long`: any even number. `table`: a number of pairs per position.
 .macro k_wgemm name mode
 k_fn \name
 push {r4-r11,lr}
 sub sp,sp,#28
 @ sp: 0 m, 4 end of m, 8 entry, 12 end of v, 16 bytes of v per position or table
 ldr r4,[sp,#64]
 mov r12,r0
 mov lr,r1
 add r5,r2,r4,lsl #5
 strd r2,r5,[sp]
 .ifc \mode,table
1: ldr r4,[r3],#4
 str r3,[sp,#16]
 .else
 mov r4,r3
 .endif
 .ifc \mode,short
 rsb r5,r4,#16
 .else
 add r6,r12,r4,lsl #3
 sub r5,r4,#2
 and r5,r5,#7
 rsb r5,r5,#7
 str r6,[sp,#12]
 .endif
 mov r6,#44
 adr.w r7,2f
 mla r5,r5,r6,r7
 orr r5,r5,#1
 str r5,[sp,#8]
 .ifc \mode,long
 lsl r6,r4,#3
 str r6,[sp,#16]
 .endif
 .ifnc \mode,table
1:
 .endif
 k_step first
 ldr pc,[sp,#8]
 .p2align 2
2:
 .ifc \mode,short
 .rept 15
 k_step acc
 .endr
 .else
 .rept 8
 k_step acc
 .endr
 ldr r8,[sp,#12]
 cmp r12,r8
 bne 2b
 .endif
 .ifc \mode,long
 ldr r9,[sp,#16]
 add r8,r8,r9
 str r8,[sp,#12]
 .endif
 ldrd r8,r9,[sp]
 stmia r8!,{r0-r7}
 .ifc \mode,table
 ldr r3,[sp,#16]
 .endif
 cmp r8,r9
 str r8,[sp]
 bne 1b
 add sp,sp,#28
 pop {r4-r11,pc}
 k_end \name
 .endm
 k_wgemm kinglet_winograd_gemm_short short
 k_wgemm kinglet_winograd_gemm_long long
 k_wgemm kinglet_winograd_gemm_table table
