//! The embedded data set: UCI optical recognition of handwritten digits, as the crate `smartcore` carries it.

use ndarray::Array4;

use super::{DataError, Dataset, Split, split_by_class};

/// Seed of the fixed split.
const SPLIT_SEED: u64 = 1797;
/// Greys are 0 to 16.
const GREYS: f32 = 16.0;

/// All digits, greys scaled to 0..=255.
pub fn load() -> Result<Dataset, DataError> {
    let raw = smartcore::dataset::digits::load_dataset();
    let broken = |reason: String| DataError::Broken { name: "embedded digits".to_string(), reason };
    let pixels = raw.data.iter().map(|grey| (grey * 255.0 / GREYS).round() as u8).collect();
    let images = Array4::from_shape_vec((raw.num_samples, 8, 8, 1), pixels).map_err(|e| broken(e.to_string()))?;
    let labels: Vec<u8> = raw.target.iter().map(|label| *label as u8).collect();
    if labels.len() != raw.num_samples || labels.iter().any(|label| *label > 9) {
        return Err(broken("labels are not one digit per image".to_string()));
    }
    let (train, test) = split_by_class(&Split { images, labels }, 10, SPLIT_SEED);
    Ok(Dataset {
        name: "UCI optical digits".to_string(),
        train,
        test,
        classes: (0..10).map(|digit| digit.to_string()).collect(),
        skipped: Vec::new(),
    })
}
