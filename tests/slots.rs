//! Updates of models in flash: whatever happens at whatever moment, a whole model is there afterwards.

mod common;
#[path = "common/flash.rs"]
mod flash;

use flash::{ERASE, Fault, Flash, SIZE, SLOT};
use kinglet::Model;
use kinglet::slots::{Mapped, SlotError, Slots};
use proptest::prelude::*;

/// Two models of different lengths; what follows the second is a signature, for all that slots know.
fn models() -> [Vec<u8>; 2] {
    let mut signed = common::Block::streamed().to_bytes();
    signed.extend(0..64);
    [common::small_model(), signed]
}

fn slots<const WRITE: usize>(flash: &mut Flash<WRITE>) -> Slots<&mut Flash<WRITE>> {
    Slots::new(flash, ERASE as u32, SLOT).expect("the slots fit")
}

fn update<const WRITE: usize>(flash: &mut Flash<WRITE>, model: &[u8], chunk: usize) -> Result<(), SlotError<Fault>> {
    let mut slots = slots(flash);
    let mut update = slots.begin(model.len() as u32)?;
    for bytes in model.chunks(chunk) {
        update.write(bytes)?;
    }
    update.finish().map(|_| ())
}

/// The bytes of the model in use.
fn active<const WRITE: usize>(flash: &mut Flash<WRITE>) -> Option<Vec<u8>> {
    let stored = slots(flash).active().expect("flash can be read")?;
    stored.slice(flash.mapped()).map(<[u8]>::to_vec)
}

/// The power goes at every single operation of an update; afterwards the old or the new model is in use, and the update
/// can be repeated.
fn survives_power_loss<const WRITE: usize>() {
    let [old, new] = models();
    let mut before = Flash::<WRITE>::new();
    update(&mut before, &old, 1000).unwrap();
    before.done = 0;
    let mut after = before.copy(u64::MAX);
    update(&mut after, &new, 999).unwrap();
    let total = after.done;
    assert_eq!(active(&mut after).unwrap(), new);
    for left in (1..=total).step_by(if cfg!(miri) { 211 } else { 1 }) {
        let mut flash = before.copy(left);
        assert_eq!(update(&mut flash, &new, 999), Err(SlotError::Flash(Fault::Power)), "{left}");
        flash.left = u64::MAX;
        let found = active(&mut flash).expect("a model is left");
        assert!(found == old || found == new, "{left} of {total}");
        update(&mut flash, &new, 100).unwrap();
        assert_eq!(active(&mut flash).unwrap(), new);
    }
    assert!(total > new.len() as u64 / WRITE as u64, "{total} operations");
}

#[test]
fn power_may_go_while_single_bytes_are_written() {
    survives_power_loss::<1>();
}

#[test]
fn power_may_go_while_words_are_written() {
    survives_power_loss::<4>();
}

#[test]
fn power_may_go_while_large_units_are_written() {
    survives_power_loss::<32>();
}

#[test]
fn empty_flash_holds_no_model() {
    let mut flash = Flash::<4>::new();
    assert_eq!(active(&mut flash), None);
    flash.bytes.fill(0xFF);
    assert_eq!(active(&mut flash), None);
}

#[test]
fn updates_take_turns_and_generations_count() {
    let [a, b] = models();
    let mut flash = Flash::<8>::new();
    for (turn, model) in [&a, &b, &a, &b, &b].into_iter().enumerate() {
        update(&mut flash, model, 777).unwrap();
        let stored = slots(&mut flash).active().unwrap().unwrap();
        assert_eq!((usize::from(stored.slot), stored.generation), (turn % 2, turn as u32 + 1));
        assert_eq!(stored.slice(&flash.bytes), Some(&model[..]));
        assert_eq!(stored.start % 16, 0);
    }
}

#[test]
fn a_page_that_goes_bad_brings_the_other_model_back() {
    let [a, b] = models();
    let mut flash = Flash::<4>::new();
    update(&mut flash, &a, 4096).unwrap();
    update(&mut flash, &b, 4096).unwrap();
    let stored = slots(&mut flash).active().unwrap().unwrap();
    flash.bytes[stored.start as usize + 200] ^= 4;
    assert_eq!(active(&mut flash).unwrap(), a);
    // The next update replaces the broken one, not the one that is left.
    update(&mut flash, &b, 4096).unwrap();
    assert_eq!(active(&mut flash).unwrap(), b);
    assert_eq!(slots(&mut flash).active().unwrap().unwrap().slot, stored.slot);
}

#[test]
fn what_is_no_model_is_never_committed() {
    let [good, mut bad] = models();
    let mut flash = Flash::<4>::new();
    update(&mut flash, &good, 100).unwrap();
    bad[300] ^= 1;
    assert_eq!(update(&mut flash, &bad, 100), Err(SlotError::NotAModel));
    assert_eq!(update(&mut flash, &[7; 500], 100), Err(SlotError::NotAModel));
    assert_eq!(update(&mut flash, &good[..10], 3), Err(SlotError::NotAModel));
    assert_eq!(update(&mut flash, &[], 3), Err(SlotError::NotAModel));
    let cut = &good[..good.len() - 1];
    assert_eq!(update(&mut flash, cut, 100), Err(SlotError::NotAModel));

    // A file with a good checksum that the runtime would refuse: the caller's check has the last word.
    let mut slots = slots(&mut flash);
    let mut update = slots.begin(good.len() as u32).unwrap();
    update.write(&good).unwrap();
    assert_eq!(update.finish_if(|stored, _| stored.generation > 2), Err(SlotError::Refused));
    assert_eq!(active(&mut flash).unwrap(), good);
}

#[test]
fn lengths_must_agree() {
    let [model, _] = models();
    let mut flash = Flash::<4>::new();
    let mut slots = slots(&mut flash);
    let room = slots.room();
    assert_eq!(slots.begin(room + 1).map(drop), Err(SlotError::TooLong { len: room + 1, room }));
    let mut update = slots.begin(model.len() as u32).unwrap();
    update.write(&model[..100]).unwrap();
    let (expected, len) = (model.len() as u32, model.len());
    assert_eq!(update.write(&vec![0; len]), Err(SlotError::Length { expected, written: expected + 100 }));
    assert_eq!(update.missing(), expected - 100);
    assert_eq!(update.finish(), Err(SlotError::Length { expected, written: 100 }));
}

#[test]
fn slots_must_fit_the_flash() {
    let mut flash = Flash::<4>::new();
    for (start, len) in [(1, SLOT), (ERASE as u32, SLOT + 4), (0, SIZE as u32), (3 * ERASE as u32, SLOT), (0, 0)] {
        assert_eq!(Slots::new(&mut flash, start, len).err(), Some(SlotError::Geometry), "{start}, {len}");
    }
    let mut odd = Flash::<24>::new();
    assert_eq!(Slots::new(&mut odd, 0, SLOT).err(), Some(SlotError::Geometry));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 24 }))]
    /// Chunks of any sizes, and a bit that flips anywhere: the model in use is always one that was written.
    #[test]
    fn any_chunks_and_any_flip(chunk in 1usize..5000, first in any::<bool>(), flip in 0usize..SIZE * 8) {
        let [a, b] = models();
        let mut flash = Flash::<16>::new();
        update(&mut flash, &a, chunk).unwrap();
        update(&mut flash, if first { &a } else { &b }, 4096).unwrap();
        flash.bytes[flip / 8] ^= 1 << (flip % 8);
        let found = active(&mut flash).unwrap();
        prop_assert!(found == a || found == b);
        let len = u32::from_le_bytes(found[8..12].try_into().unwrap()) as usize;
        prop_assert!(Model::<'_>::new(&found[..len]).is_ok());
    }
}
