//! Where a trained network errs on the held-out images.

use super::preview::sheet;
use super::trainer::outputs;
use super::{RunFolder, TrainError, Trained};
use crate::data::Dataset;
use crate::layers;
use crate::report::confusion::Confusion;
use crate::report::table::Table;

/// Pairs of classes that are named.
const PAIRS: usize = 3;

impl RunFolder {
    /// Writes `confusion.csv` and `confusion.svg`, how often each class was taken for which, and `worst.png`, the images that
    /// are wrong by the most, row by row from the top, and `classes.csv`, precision and recall; gives a sentence about the most
    /// frequent mistakes, and the latter.
    ///
    /// # Errors
    /// Those of the file system, with the file's name; and when the images are not the network's.
    pub fn write_errors(&self, trained: &Trained, data: &Dataset) -> Result<(String, Table), TrainError> {
        let outputs = outputs(&trained.graph, &trained.params, &data.test)?;
        let answers: Vec<usize> = outputs.outer_iter().map(|row| layers::greatest(&row.to_vec())).collect();
        let counts = Confusion::new(&data.classes, &data.test.labels, &answers);
        self.write("confusion.csv", counts.to_csv().as_bytes())?;
        self.draw("confusion.svg", counts.to_svg())?;
        let classes = counts.per_class();
        self.write("classes.csv", classes.to_csv().as_bytes())?;

        let margin =
            |image: usize| outputs[(image, answers[image])] - outputs[(image, usize::from(data.test.labels[image]))];
        let mut wrong: Vec<usize> =
            (0..answers.len()).filter(|&image| answers[image] != usize::from(data.test.labels[image])).collect();
        wrong.sort_by(|&a, &b| margin(b).total_cmp(&margin(a)));
        let images = wrong.iter().map(|&image| data.test.image(image).to_vec());
        let worst = sheet(data.image_shape(), images);
        let worst = worst.map_err(|e| TrainError::File { path: self.file("worst.png"), reason: e.to_string() })?;
        self.write("worst.png", &worst)?;

        let most = counts.mistakes().into_iter().take(PAIRS);
        let pairs: Vec<String> =
            most.map(|(label, answer, count)| format!("{label} taken for {answer} {count} times")).collect();
        let sentence = match pairs.is_empty() {
            true => "no held-out image is wrong".to_string(),
            false => format!("{} of {} held-out images are wrong: {}", wrong.len(), answers.len(), pairs.join(", ")),
        };
        Ok((sentence, classes))
    }
}
