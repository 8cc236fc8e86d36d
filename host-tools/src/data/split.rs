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
    let mut held_out = vec![false; all.len()];
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for class in 0..classes {
        let mut members: Vec<usize> = (0..all.len()).filter(|&i| usize::from(all.labels[i]) == class).collect();
        members.shuffle(&mut rng);
        let count = (members.len() * TEST_PERCENT + 50) / 100;
        members[..count].iter().for_each(|&index| held_out[index] = true);
    }
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
}
