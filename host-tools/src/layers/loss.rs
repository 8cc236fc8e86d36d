//! The loss: how far a batch's outputs are from what they should be.

use super::Real;

/// Loss and hits of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// Mean over the images, weighted by class if so asked.
    pub mean: f64,
    /// Images whose greatest logit is their label's.
    pub correct: usize,
}

/// What the outputs for a batch should be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Targets<'a> {
    /// The class of each image.
    pub labels: &'a [u8],
    /// How much of each label's probability goes to all classes alike.
    pub smoothing: f64,
    /// Weight of each class in the loss; empty: all 1.
    pub class_weights: &'a [f32],
    /// What a teacher says of the images.
    pub teacher: Option<Taught<'a>>,
}

/// Outputs of a larger network to learn from (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015).
#[derive(Clone, Copy, Debug)]
pub struct Taught<'a> {
    /// Its logits, image by image.
    pub logits: &'a [f32],
    /// Logits are divided by it: the higher, the more the lesser classes tell.
    pub temperature: f64,
    /// The part of the loss, 0 to 1, that is the teacher's; the rest is the labels'.
    pub weight: f64,
}

impl<'a> Targets<'a> {
    /// These labels.
    pub fn of(labels: &'a [u8]) -> Self {
        Self { labels, ..Self::default() }
    }

    /// The part of the batch's loss that each image's is, by the weights of the classes.
    pub(crate) fn shares(&self) -> impl Fn(usize) -> f64 + Sync + use<'a> {
        let Self { labels, class_weights, .. } = *self;
        let weight = move |image: usize| class_weights.get(labels[image] as usize).map_or(1.0, |w| f64::from(*w));
        let total: f64 = (0..labels.len()).map(weight).sum();
        move |image| weight(image) / total
    }

    /// The loss of image `image` times `share`, its gradient by the logits, and whether the label has the greatest one.
    pub(crate) fn loss<T: Real>(&self, image: usize, share: f64, logits: &[T], gradient: &mut [T]) -> (f64, bool) {
        let label = usize::from(self.labels[image]);
        let (mut loss, hit) = cross_entropy(logits, label, self.smoothing, share, gradient);
        if let Some(Taught { logits: all, temperature, weight }) = self.teacher {
            let taught = log_softmax(&all[image * logits.len()..][..logits.len()], temperature);
            let found = log_softmax(logits, temperature);
            loss *= 1.0 - weight;
            for ((gradient, taught), found) in gradient.iter_mut().zip(taught).zip(found) {
                // Times the square of the temperature, so that its gradients are as large as those of the labels.
                loss += weight * share * temperature * temperature * taught.exp() * (taught - found);
                let soft = temperature * (found.exp() - taught.exp()) * share;
                *gradient = T::of((1.0 - weight) * gradient.wide() + weight * soft);
            }
        }
        (loss, hit)
    }
}

/// Logarithms of softmax's probabilities.
pub(crate) fn log_softmax<T: Real>(logits: &[T], temperature: f64) -> Vec<f64> {
    let scaled: Vec<f64> = logits.iter().map(|z| z.wide() / temperature).collect();
    let top = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scaled.iter().map(|z| (z - top).exp()).sum();
    scaled.iter().map(|z| z - top - sum.ln()).collect()
}

/// Softmax cross-entropy of one image times `share`, its gradient, and whether the label has the greatest logit.
fn cross_entropy<T: Real>(logits: &[T], label: usize, smoothing: f64, share: f64, gradient: &mut [T]) -> (f64, bool) {
    let top = logits.iter().fold(f64::NEG_INFINITY, |top, z| if top > z.wide() { top } else { z.wide() });
    let sum: f64 = logits.iter().map(|z| (z.wide() - top).exp()).sum();
    let mut loss = 0.0;
    for (class, (gradient, z)) in gradient.iter_mut().zip(logits).enumerate() {
        let wanted = smoothing / logits.len() as f64 + if class == label { 1.0 - smoothing } else { 0.0 };
        let z = z.wide() - top;
        loss -= wanted * (z - sum.ln());
        *gradient = T::of((z.exp() / sum - wanted) * share);
    }
    let hit = logits.iter().position(|z| z.wide() == top) == Some(label);
    (loss * share, hit)
}
