//! CIFAR-10, binary version: records of one label byte and 3 x 32 x 32 pixels, planes first.

use std::path::Path;

use ndarray::Array4;

use super::{DataError, Dataset, Split, read};

const PLANE: usize = 32 * 32;
const RECORD: usize = 1 + 3 * PLANE;
const NAMES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Reads the five training batches and the test batch in `folder`.
pub fn load(folder: &Path) -> Result<Dataset, DataError> {
    let train: Vec<_> = (1..=5).map(|batch| folder.join(format!("data_batch_{batch}.bin"))).collect();
    Ok(Dataset {
        name: "CIFAR-10".to_string(),
        train: batches(&train)?,
        test: batches(&[folder.join("test_batch.bin")])?,
        classes: NAMES.map(String::from).to_vec(),
        skipped: Vec::new(),
    })
}

fn batches(paths: &[impl AsRef<Path>]) -> Result<Split, DataError> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for path in paths {
        let path = path.as_ref();
        let bytes = read(path)?;
        if bytes.is_empty() || bytes.len() % RECORD != 0 {
            let reason = format!("{} bytes are no whole number of records of {RECORD} bytes", bytes.len());
            return Err(DataError::broken(path, reason));
        }
        for (index, record) in bytes.chunks_exact(RECORD).enumerate() {
            if record[0] as usize >= NAMES.len() {
                return Err(DataError::broken(path, format!("record {index} has label {}", record[0])));
            }
            labels.push(record[0]);
            let planes = &record[1..];
            pixels.extend((0..PLANE).flat_map(|at| [planes[at], planes[PLANE + at], planes[2 * PLANE + at]]));
        }
    }
    let images = Array4::from_shape_vec((labels.len(), 32, 32, 3), pixels);
    Ok(Split { images: images.expect("a record is an image"), labels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_become_pixels_and_bad_batches_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let record = |label: u8| {
            let mut record = vec![label];
            record.extend((0..3 * PLANE).map(|at| (at / PLANE * 100 + at % PLANE % 7) as u8));
            record
        };
        for batch in 1..=5 {
            std::fs::write(folder.path().join(format!("data_batch_{batch}.bin")), record(batch)).unwrap();
        }
        let test = folder.path().join("test_batch.bin");
        assert!(load(folder.path()).unwrap_err().to_string().contains("test_batch.bin"));
        std::fs::write(&test, [record(9), record(0)].concat()).unwrap();
        let data = load(folder.path()).unwrap();
        assert_eq!((data.train.labels, data.test.labels), (vec![1, 2, 3, 4, 5], vec![9, 0]));
        assert_eq!(data.test.images.slice(ndarray::s![1, 0, 8, ..]).to_vec(), [1, 101, 201]);

        std::fs::write(&test, record(10)).unwrap();
        assert!(load(folder.path()).unwrap_err().to_string().contains("label 10"));
        std::fs::write(&test, &record(1)[1..]).unwrap();
        assert!(load(folder.path()).unwrap_err().to_string().contains("3072 bytes"));
    }
}
