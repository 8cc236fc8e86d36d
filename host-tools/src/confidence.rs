//! How far a model's answers can be relied on: its probabilities, calibrated on images that it has not been trained on, and the
//! least one of an answer that is given.
//!
//! Scores are divided by one number, the temperature, before they become probabilities: it changes no answer, and of all ways to
//! calibrate a network's probabilities it is the one that small validation sets carry (Guo et al. 2017, arXiv 1706.04599).

use anyhow::{Result, ensure};
use kinglet::format::About;
use kinglet::kernels::Active;
use kinglet::write::encode;
use kinglet::{Model, Pixels};
use rayon::prelude::*;
use serde::Serialize;

use crate::data::Split;
use crate::simulate;

/// The temperatures that are looked at: from scores that are taken ten times as far apart to a tenth of that.
const TEMPERATURES: [f64; 2] = [0.1, 10.0];

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Confidence {
    /// What scores are divided by.
    pub temperature: f32,
    /// The least probability of an answer.
    pub threshold: f32,
    /// Images that were looked at.
    pub images: usize,
    /// Those whose answer reaches the threshold.
    pub answered: usize,
    /// Those of them that are answered right.
    pub right: usize,
}

impl std::fmt::Display for Confidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        write!(
            f,
            "temperature {:.3}; below a probability of {:.3} the answer is unknown: {:.1} % of {} images are answered, {:.2} % of these right",
            self.temperature,
            self.threshold,
            percent(self.answered, self.images),
            self.images,
            percent(self.right, self.answered)
        )
    }
}

/// The model file with a temperature and a threshold in its header, such that of the answers that reach it at least the part `right`,
/// 0 to 1, is right on `images`, pixels of labelled images that the network was not trained on. Where a softmax writes the output
/// the probabilities are the model's own, and the temperature stays 1.
///
/// # Errors
/// When the file is no model, the images do not fit it, or no threshold does it.
pub fn calibrate(file: &[u8], images: &Split, right: f64) -> Result<(Vec<u8>, Confidence)> {
    let model = Model::new(file)?;
    let temperature = if model.gives_probabilities(0) { 1.0 } else { fit(&answers(model, images)?, &images.labels) };
    let about = About { temperature, ..model.about() };
    let calibrated = encode(&model, about);
    // The probabilities of the runtime itself, whose exponential is approximate.
    let given = answers(Model::new(&calibrated)?, images)?;
    let confidence = choose(&given, &images.labels, right, temperature)?;
    Ok((encode(&model, About { threshold: confidence.threshold, ..about }), confidence))
}

/// What the runtime says of an image.
struct Answer {
    scores: Vec<f32>,
    class: usize,
    probability: f32,
}

fn answers(model: Model<'_>, images: &Split) -> Result<Vec<Answer>> {
    simulate::each::<Active, _, _>(model, (0..images.len()).into_par_iter(), |session, index| {
        let output = session.infer(Pixels(images.image(index)))?;
        let (class, probability) = output.best().map_or((0, 0.0), |best| (best.class, best.probability));
        Ok(Answer { scores: output.scores().collect(), class, probability })
    })
}

/// The temperature with the least mean negative logarithm of the labels' probabilities: convex in its inverse, so thirds close in on it.
fn fit(answers: &[Answer], labels: &[u8]) -> f32 {
    let loss = |inverse: f64| -> f64 {
        let each = answers.iter().zip(labels).map(|(answer, &label)| {
            let scaled = |score: f32| f64::from(score) * inverse;
            let most = answer.scores.iter().copied().map(scaled).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = answer.scores.iter().map(|&score| (scaled(score) - most).exp()).sum();
            sum.ln() + most - answer.scores.get(usize::from(label)).map_or(most, |&score| scaled(score))
        });
        each.sum()
    };
    let [mut low, mut high] = TEMPERATURES.map(f64::recip);
    (low, high) = (low.min(high), low.max(high));
    for _ in 0..60 {
        let third = (high - low) / 3.0;
        if loss(low + third) < loss(high - third) { high -= third } else { low += third }
    }
    (2.0 / (low + high)) as f32
}

/// The least threshold at which the part `right` of the answers is right.
fn choose(answers: &[Answer], labels: &[u8], right: f64, temperature: f32) -> Result<Confidence> {
    let images = answers.len();
    let mut order: Vec<(f32, bool)> = answers
        .iter()
        .zip(labels)
        .map(|(answer, &label)| (answer.probability, answer.class == usize::from(label)))
        .collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut answered, mut correct, mut best) = (0, 0, None);
    // Answers of one probability are given together.
    for equal in order.chunk_by(|a, b| a.0 == b.0) {
        answered += equal.len();
        correct += equal.iter().filter(|(_, right)| *right).count();
        if correct as f64 >= right * answered as f64 {
            let threshold = if answered == images { 0.0 } else { equal[0].0 };
            best = Some(Confidence { temperature, threshold, images, answered, right: correct });
        }
    }
    let found = 100.0 * correct as f64 / images.max(1) as f64;
    ensure!(
        best.is_some(),
        "no threshold has {:.2} % of the answers right: {found:.2} % of {images} images are, whatever the probability",
        100.0 * right
    );
    Ok(best.expect("looked at above"))
}

#[cfg(test)]
mod tests {
    use kinglet::Session;

    use super::*;
    use crate::data::Dataset;

    fn answer(scores: &[f32]) -> Answer {
        let class = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
        let sum: f32 = scores.iter().map(|score| (score - scores[class]).exp()).sum();
        Answer { scores: scores.to_vec(), class, probability: sum.recip() }
    }

    /// What the tool promises is what the runtime says of the file.
    #[test]
    fn a_calibrated_file_answers_what_it_knows() {
        let digits = Dataset::digits().unwrap().test;
        let bytes = crate::files::read(
            concat!(env!("CARGO_MANIFEST_DIR"), "/../models/digits-resnet/digits-resnet.kgl").as_ref(),
        )
        .unwrap();
        let (calibrated, found) = calibrate(&bytes, &digits, 1.0).unwrap();
        assert!(found.threshold > 0.0 && found.answered < found.images && found.right == found.answered, "{found}");
        let model = Model::new(&calibrated).unwrap();
        assert_eq!((model.about().temperature, model.about().threshold), (found.temperature, found.threshold));
        let mut memory = vec![0u128; model.arena_len().div_ceil(16)];
        let mut session = Session::open(model, bytemuck::cast_slice_mut(&mut memory)).unwrap();
        let mut known = 0;
        for (image, &label) in digits.labels.iter().enumerate() {
            let best = session.infer(Pixels(digits.image(image))).unwrap().best().unwrap();
            assert!(!best.known || best.class == usize::from(label), "image {image}");
            known += usize::from(best.known);
        }
        assert_eq!(known, found.answered);
        // A threshold that nothing needs is none.
        assert_eq!(calibrate(&bytes, &digits, 0.9).unwrap().1.threshold, 0.0);
    }

    /// Scores that say e^4 : 1 where 3 : 1 is the truth are too sure by 4 / ln 3.
    #[test]
    fn the_temperature_is_that_of_the_labels() {
        let answers: Vec<Answer> = (0..400).map(|_| answer(&[4.0, 0.0])).collect();
        let labels: Vec<u8> = (0..400).map(|image| u8::from(image % 4 == 0)).collect();
        let temperature = fit(&answers, &labels);
        assert!((temperature - 4.0 / 3f32.ln()).abs() < 1e-3, "{temperature}");
    }

    #[test]
    fn the_threshold_is_the_least_that_does_it() {
        let answers: Vec<Answer> = [8.0, 4.0, 2.0, 2.0, 1.0].iter().map(|&score| answer(&[score, 0.0])).collect();
        let labels = [0, 0, 0, 1, 1];
        let of = |right| choose(&answers, &labels, right, 1.0).unwrap();
        assert_eq!((of(1.0).answered, of(1.0).threshold), (2, answers[1].probability));
        assert_eq!((of(0.75).answered, of(0.75).right, of(0.75).threshold), (4, 3, answers[2].probability));
        assert_eq!((of(0.6).answered, of(0.6).threshold), (5, 0.0));
        let error = choose(&answers, &[1; 5], 0.5, 1.0).unwrap_err().to_string();
        assert!(error.contains("0.00 % of 5 images"), "{error}");
    }
}
