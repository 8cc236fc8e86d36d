//! A seeded split, class by class.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::Split;

/// Percent of each class that is held out.
pub const TEST_PERCENT: usize = 20;

/// Training and held-out images: of each of `classes` classes, [`TEST_PERCENT`] percent (rounded) chosen by `seed` are
/// held out. Both parts keep the order of the whole.
pub fn split_by_class(all: &Split, classes: usize, seed: u64) -> (Split, Split) {
    split_part(all, classes, seed, TEST_PERCENT)
}

/// As [`split_by_class`], with `percent` percent of each class.
pub(super) fn split_part(all: &Split, classes: usize, seed: u64, percent: usize) -> (Split, Split) {
    let mut held_out = vec![false; all.len()];
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for class in 0..classes {
        let mut members: Vec<usize> = (0..all.len()).filter(|&i| usize::from(all.labels[i]) == class).collect();
        members.shuffle(&mut rng);
        let count = (members.len() * percent + 50) / 100;
        members[..count].iter().for_each(|&index| held_out[index] = true);
    }
    parts(all, &held_out)
}

/// Training and held-out images: [`TEST_PERCENT`] percent (rounded) of the persons, chosen by `seed`, are held out. The
/// images' `numbers` run through the classes person by person, so that one begins where the class falls back by at least
/// half of all `classes`.
pub fn split_by_person(all: &Split, classes: usize, numbers: &[u64], seed: u64) -> (Split, Split) {
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|&image| numbers[image]);
    let class = |image: usize| usize::from(all.labels[image]);
    let mut persons: Vec<&[usize]> = order.chunk_by(|&a, &b| class(a) < class(b) + classes.div_ceil(2)).collect();
    persons.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    persons.truncate((persons.len() * TEST_PERCENT + 50) / 100);
    let mut held_out = vec![false; all.len()];
    persons.concat().iter().for_each(|&image| held_out[image] = true);
    parts(all, &held_out)
}

/// What is not held out, and what is.
fn parts(all: &Split, held_out: &[bool]) -> (Split, Split) {
    let part = |wanted: bool| -> Vec<usize> { (0..all.len()).filter(|&i| held_out[i] == wanted).collect() };
    (all.select(&part(false)), all.select(&part(true)))
}

#[cfg(test)]
mod tests {
    use crate::data::Dataset;

    #[test]
    fn digits_are_split_by_class_and_always_alike() {
        let digits = Dataset::digits().unwrap();
        assert_eq!((digits.train.len() + digits.test.len(), digits.image_shape()), (1797, [8, 8, 1]));
        for class in 0..10 {
            let count = |labels: &[u8]| labels.iter().filter(|label| **label == class).count();
            let (train, test) = (count(&digits.train.labels), count(&digits.test.labels));
            assert!((test * 5).abs_diff(train + test) <= 3, "{class}: {train} + {test}");
        }
        assert_eq!(digits.fingerprint(), Dataset::digits().unwrap().fingerprint());
        assert!(digits.train.images.iter().any(|&pixel| pixel == 255));
    }

    #[test]
    fn validation_images_are_neither_trained_on_nor_held_out() {
        let digits = Dataset::digits().unwrap();
        let judged = digits.for_validation(10, 1);
        assert_eq!(judged.train.len() + judged.test.len(), digits.train.len());
        assert!((digits.train.len() / 10).abs_diff(judged.test.len()) <= 5);
        assert_ne!(judged.test, digits.for_validation(10, 2).test);
    }
}
