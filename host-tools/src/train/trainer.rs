//! The training loop.

use std::path::PathBuf;
use std::time::Instant;

use ndarray::{Array2, Axis};
use rand::seq::SliceRandom;

use super::augment::random;
use super::distill::Teacher;
use super::engine::Engine;
use super::history::kept;
use super::optimizer::Memory;
use super::{Epoch, Event, Recipe, RunFolder, Start, TrainError, Trained, Untuned};
use crate::data::{Dataset, Split};
use crate::deploy;
use crate::graph::{self, FloatModel, Graph, GraphError, Params, Preprocess};
use crate::layers::{self, Net, Targets};
use crate::qat;
use crate::quantize::{self, trained};

/// Stream of random numbers for the order of images; no image has this index.
const ORDER: usize = u32::MAX as usize;

/// A training at some epoch.
#[derive(Debug)]
pub struct Trainer<'d> {
    pub(super) recipe: Recipe,
    pub(super) data: &'d Dataset,
    pub(super) net: Engine,
    /// The network to learn from.
    pub(super) teacher: Option<Teacher>,
    pub(super) memory: Memory,
    /// What keeps its numbers.
    pub(super) frozen: Params,
    /// Running average of the weights.
    pub(super) average: Option<Params>,
    /// The weights after the best epoch, where the recipe's patience counts from it.
    pub(super) best: Option<Params>,
    pub(super) history: Vec<Epoch>,
    /// The epochs that were trained in float, once quantization-aware training has begun.
    pub(super) float_epochs: Option<usize>,
    pub(super) untuned: Option<Untuned>,
}

impl<'d> Trainer<'d> {
    /// A training that has not begun. What the recipe leaves to be measured on the data is filled in.
    ///
    /// # Errors
    /// When recipe and data do not fit together.
    pub fn new(recipe: &Recipe, data: &'d Dataset) -> Result<Self, TrainError> {
        let mut recipe = recipe.clone();
        if let Some(fault) = recipe.fault(data.classes.len()) {
            return Err(TrainError::Recipe(fault));
        }
        if data.train.len() < 2 || data.test.is_empty() {
            return Err(TrainError::Recipe(format!("`{}` has too few images", data.name)));
        }
        let shape = data.image_shape();
        recipe.network.input = Some(shape.map(|extent| extent as u32));
        let start = recipe.start.as_ref().map(Start::load).transpose()?;
        if let Some(start) = &start {
            // Its first layers know pixels as it took them.
            recipe.preprocess.get_or_insert_with(|| start.graph.preprocess.clone());
        }
        let preprocess = recipe.preprocess.get_or_insert_with(|| measure(&data.train)).clone();
        let graph = recipe.network.build(&data.classes, &preprocess)?;
        let params = Params::init(&graph, recipe.seed);
        let batch = recipe.batch.min(data.train.len());
        let net = Engine::Float(Box::new(Net::new(&graph, &params, batch)?));
        let teacher = recipe.distill.as_ref().map(|distill| Teacher::load(distill, data, batch)).transpose()?;
        let average = recipe.average.map(|_| params);
        recipe.qat = recipe.qat.as_ref().map(|qat| qat.filled(&recipe));
        let (memory, frozen, history) = (Memory::default(), Params::default(), Vec::new());
        let mut trainer = Self {
            recipe,
            data,
            net,
            teacher,
            memory,
            frozen,
            average,
            best: None,
            history,
            float_epochs: None,
            untuned: None,
        };
        if let Some(model) = start {
            trainer.start_from(&model.params)?;
            trainer.frozen =
                trainer.recipe.start.as_ref().map_or_else(Params::default, |start| start.frozen(&model.params));
        }
        Ok(trainer)
    }

    /// The quantization-aware training of a network that was trained in float, as if `recipe` had been followed from the
    /// beginning: what it says in `qat` is what is left to do. `history` is that of the float training.
    ///
    /// # Errors
    /// When recipe, data and network do not fit together, or the network was quantized in training before.
    pub fn tune(
        recipe: &Recipe,
        data: &'d Dataset,
        model: &FloatModel,
        history: Vec<Epoch>,
    ) -> Result<Self, TrainError> {
        if trained::has_ranges(&model.params) {
            return Err(TrainError::Recipe("the network is through quantization-aware training already".to_string()));
        }
        let qat = Some(recipe.qat.clone().unwrap_or_default());
        let mut trainer = Self::new(&Recipe { qat, ..recipe.clone() }, data)?;
        let model = graph::merge(model)?;
        if trainer.merged_graph()? != model.graph {
            return Err(TrainError::Recipe(format!("the network is not the recipe's `{}`", trainer.graph().name)));
        }
        trainer.history = history;
        trainer.begin_tuning(model.params)?;
        Ok(trainer)
    }

    /// The network without parallel branches.
    fn merged_graph(&self) -> Result<Graph, GraphError> {
        let Graph { labels, preprocess, .. } = self.graph();
        self.recipe.network.merged().build(labels, preprocess)
    }

    /// The network and its numbers, without parallel branches.
    fn merged(&self) -> Result<FloatModel, GraphError> {
        let (recipe, graph, params) = (self.recipe.network.clone(), self.graph().clone(), self.params());
        match self.net {
            Engine::Float(_) => graph::merge(&FloatModel { recipe, graph, params }),
            Engine::Int8(_) => Ok(FloatModel { recipe: recipe.merged(), graph, params }),
        }
    }

    /// Goes over to integers, with ranges that are chosen on training images. The network is without branches.
    fn begin_tuning(&mut self, mut params: Params) -> Result<(), TrainError> {
        let qat = self.recipe.qat.clone().unwrap_or_default();
        let quantize = quantize::Options { calibration: qat.calibrate, ..quantize::Options::default() };
        let options = deploy::Options { images: qat.calibration_images, quantize };
        let graph = self.merged_graph()?;
        let prepared = deploy::prepare(&graph, &params, &self.data.train, &options)?;
        for layer in qat.nibbles(&prepared.weighted().collect::<Vec<_>>())? {
            trained::insert_steps(&mut params, &graph, layer)?;
        }
        let before = params.clone();
        for (value, quant) in prepared.quants.iter().enumerate() {
            let ends = [kinglet::DType::I8.min(), kinglet::DType::I8.max()].map(|q| quant.dequantize(q));
            trained::insert(&mut params, &prepared.float.nodes[value].name, ends);
        }
        let accuracy = accuracy(&graph, &params, &self.data.test)?;
        self.untuned = Some(Untuned { params: before, accuracy, is_kept: false });
        self.tune_from(&params, self.history.len())
    }

    /// Goes on in integers, after so many epochs in float, with the numbers and ranges of `params`.
    pub(super) fn tune_from(&mut self, params: &Params, float_epochs: usize) -> Result<(), TrainError> {
        let rate = self.recipe.qat.clone().unwrap_or_default().range_rate;
        let net = qat::Net::new(&self.merged_graph()?, params, rate)?;
        self.average = self.recipe.average.map(|_| net.params());
        self.net = Engine::Int8(Box::new(net));
        self.memory = Memory::default();
        self.float_epochs = Some(float_epochs);
        Ok(())
    }

    /// The graph, with labels and preprocessing.
    pub fn graph(&self) -> &Graph {
        self.net.graph()
    }

    /// The weights as they would be used now.
    pub fn params(&self) -> Params {
        let mut params = self.average.clone().unwrap_or_else(|| self.net.params());
        if let Engine::Int8(net) = &self.net {
            net.insert_ranges(&mut params);
        }
        params
    }

    /// Bytes that training holds in values, gradients and images; the rest is small beside them.
    pub fn memory(&self) -> usize {
        let teacher = self.teacher.as_ref().map_or(0, Teacher::memory);
        self.net.memory() + teacher + self.data.train.images.len() + self.data.test.images.len()
    }

    /// Batches of an epoch.
    pub fn steps_per_epoch(&self) -> usize {
        // Images that fill no batch are left to the next epoch: batch normalization wants whole batches.
        (self.data.train.len() / self.recipe.batch).max(1)
    }

    /// Epochs of the training in float, or of that in integers when it has begun.
    fn epochs(&self) -> usize {
        match (&self.float_epochs, &self.recipe.qat) {
            (Some(_), Some(qat)) => qat.epochs(&self.recipe),
            _ => self.recipe.epochs,
        }
    }

    /// Steps of it that are done.
    pub(super) fn steps_done(&self) -> usize {
        (self.history.len() - self.float_epochs.unwrap_or(0)) * self.steps_per_epoch()
    }

    /// Trains all epochs that are left; writes a checkpoint to `folder` after each.
    ///
    /// # Errors
    /// When it diverges, or a checkpoint cannot be written.
    pub fn train(&mut self, folder: Option<&RunFolder>, mut progress: impl FnMut(Event<'_>)) -> Result<(), TrainError> {
        let images = self.steps_per_epoch() * self.recipe.batch.min(self.data.train.len());
        let float = self.float_epochs.unwrap_or(self.recipe.epochs);
        let epochs = float + self.recipe.qat.as_ref().map_or(0, |qat| qat.epochs(&self.recipe));
        progress(Event::Start { epochs, images, done: self.history.len() });
        let mut checkpoint = None;
        loop {
            while self.steps_done() < self.epochs() * self.steps_per_epoch() && !self.is_exhausted() {
                let epoch = self.epoch(checkpoint.as_ref(), &mut progress)?;
                progress(Event::Epoch(&epoch));
                self.history.push(epoch);
                if self.best_epoch() == Some(self.history.len()) {
                    self.best = Some(self.params());
                }
                if let Some(folder) = folder {
                    checkpoint = Some(folder.save(self)?);
                }
            }
            if let Some(best) = self.best.take() {
                self.net.load(&best)?;
                self.average = self.average.take().map(|_| best);
            }
            if self.recipe.qat.is_none() || self.float_epochs.is_some() {
                break;
            }
            self.begin_tuning(self.merged()?.params)?;
        }
        let reached = self.history.last().map_or(0.0, |epoch| epoch.test_accuracy);
        if let (Some(untuned), Some(qat)) = (&mut self.untuned, &self.recipe.qat) {
            untuned.is_kept = qat.fallback && untuned.accuracy > reached;
        }
        progress(Event::End);
        Ok(())
    }

    /// Whether the recipe's patience is at an end.
    fn is_exhausted(&self) -> bool {
        let best = self.recipe.patience.zip(self.best_epoch());
        best.is_some_and(|(patience, best)| self.history.len() - best >= patience)
    }

    /// The epoch that the recipe's patience counts from, the first being 1; none in integers.
    fn best_epoch(&self) -> Option<usize> {
        let patience = self.recipe.patience.filter(|_| self.float_epochs.is_none())?;
        kept(&self.history, Some(patience)).map(|epoch| epoch.epoch)
    }

    /// Starts from trained numbers: those of `params` that the network has under the same name and dimensions, the others as
    /// they are.
    ///
    /// # Errors
    /// Never: what does not fit is left out.
    pub fn start_from(&mut self, params: &Params) -> Result<(), TrainError> {
        let mut mixed = self.net.params();
        for (name, array) in params.iter() {
            if let Some(own) = mixed.get_mut(name).filter(|own| own.shape() == array.shape()) {
                own.clone_from(array);
            }
        }
        self.net.load(&mixed)?;
        self.average = self.average.take().map(|_| mixed);
        Ok(())
    }

    /// Trains `steps` batches from the beginning on; `see` looks at the weights and gradients of each, before the one changes
    /// the other. For studies: no epoch is measured or counted, and all is in float.
    ///
    /// # Errors
    /// When it diverges.
    pub fn watch(&mut self, steps: usize, mut see: impl FnMut(usize, &mut Net<f32>)) -> Result<(), TrainError> {
        let (per_epoch, batch) = (self.steps_per_epoch(), self.recipe.batch.min(self.data.train.len()));
        let mut order = Vec::new();
        for step in 0..steps {
            let (epoch, at) = (step / per_epoch, step % per_epoch);
            if at == 0 {
                order = self.order(epoch);
            }
            self.step(epoch, at, &order[at * batch..][..batch], None, |net| {
                if let Engine::Float(net) = net {
                    see(step, net);
                }
            })?;
        }
        Ok(())
    }

    /// The images of an epoch in their order.
    fn order(&self, epoch: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.data.train.len()).collect();
        order.shuffle(&mut random(self.recipe.seed, epoch, ORDER));
        order
    }

    fn epoch(
        &mut self,
        checkpoint: Option<&PathBuf>,
        progress: &mut impl FnMut(Event<'_>),
    ) -> Result<Epoch, TrainError> {
        let start = Instant::now();
        let (index, steps) = (self.history.len(), self.steps_per_epoch());
        let order = self.order(index);
        let (mut loss_sum, mut correct, mut seen, mut rate) = (0.0, 0, 0, 0.0);
        for (step, batch) in order.chunks(self.recipe.batch).take(steps).enumerate() {
            let loss;
            (loss, rate) = self.step(index, step, batch, checkpoint, |_| {})?;
            loss_sum += loss.mean * batch.len() as f64;
            correct += loss.correct;
            seen += batch.len();
            progress(Event::Step { images: batch.len(), loss: loss.mean });
        }
        let (test_accuracy, test_loss) = judge(self.graph(), &self.params(), &self.data.test)?;
        Ok(Epoch {
            epoch: index + 1,
            rate,
            loss: loss_sum / seen as f64,
            train_accuracy: correct as f64 / seen as f64,
            test_accuracy,
            seconds: start.elapsed().as_secs_f64(),
            test_loss: Some(test_loss),
        })
    }

    /// Trains batch number `step` of an epoch, both from 0 on; its loss and its learning rate. `see` looks at the gradients before
    /// they change the weights.
    fn step(
        &mut self,
        epoch: usize,
        step: usize,
        batch: &[usize],
        checkpoint: Option<&PathBuf>,
        see: impl FnOnce(&mut Engine),
    ) -> Result<(layers::Loss, f64), TrainError> {
        let (per_epoch, first) = (self.steps_per_epoch(), self.float_epochs.unwrap_or(0));
        let schedule = match (&self.net, &self.recipe.qat) {
            (Engine::Int8(_), Some(qat)) => qat.schedule(&self.recipe),
            _ => self.recipe.schedule.clone(),
        };
        let rate = schedule.rate((epoch - first) * per_epoch + step, self.epochs() * per_epoch);
        let done = self.gradients(epoch, batch).and_then(|loss| {
            see(&mut self.net);
            self.update(rate as f32).map(|()| (loss, rate))
        });
        done.map_err(|layer| TrainError::Diverged {
            layer,
            epoch: epoch + 1,
            step: step + 1,
            checkpoint: checkpoint.cloned(),
        })
    }

    /// Loss and gradients of a batch. The error names the layer whose numbers are not finite.
    fn gradients(&mut self, epoch: usize, batch: &[usize]) -> Result<layers::Loss, String> {
        let Recipe { seed, augment, label_smoothing, class_weights, .. } = &self.recipe;
        let (train, shape) = (&self.data.train, self.data.image_shape());
        let labels: Vec<u8> = batch.iter().map(|&i| train.labels[i]).collect();
        let fill = |lines: &[(f32, f32)], i: usize, out: &mut [f32]| {
            let mut rng = random(*seed, epoch, batch[i]);
            augment.apply(train.image(batch[i]), shape, &mut rng, |at, value| {
                let (factor, offset) = lines[at % lines.len()];
                out[at] = value * factor + offset;
            });
        };
        let targets = Targets {
            labels: &labels,
            smoothing: f64::from(*label_smoothing),
            class_weights,
            teacher: self.teacher.as_mut().map(|teacher| teacher.teach(batch.len(), fill)),
        };
        let lines = self.net.graph().preprocess.lines();
        self.net.gradients(targets, |i, out| fill(&lines, i, out))
    }

    /// Changes the weights by their gradients. The error names the parameter whose numbers are not finite.
    fn update(&mut self, rate: f32) -> Result<(), String> {
        self.memory.step(&self.recipe.optimizer, self.net.slots(), rate)?;
        for slot in self.net.slots().into_iter().filter(|slot| slot.spec.trainable) {
            if let Some(kept) = self.frozen.get(&slot.spec.name) {
                slot.weights.iter_mut().zip(kept).for_each(|(weight, kept)| *weight = *kept);
            }
        }
        if let (Some(average), Some(decay)) = (&mut self.average, self.recipe.average) {
            for slot in self.net.slots() {
                let kept = average.get_mut(&slot.spec.name).ok_or_else(|| slot.spec.name.clone())?;
                kept.iter_mut().zip(&*slot.weights).for_each(|(kept, w)| *kept += (1.0 - decay) * (w - *kept));
            }
        }
        Ok(())
    }

    /// The result.
    ///
    /// # Panics
    /// Never: a network in training has all its parameters.
    pub fn finish(self) -> Trained {
        let FloatModel { graph, params, .. } = self.merged().expect("a network in training has all its parameters");
        let Self { history, recipe, float_epochs, untuned, .. } = self;
        let params = match &untuned {
            Some(untuned) if untuned.is_kept => untuned.params.clone(),
            _ => params,
        };
        Trained { graph, params, history, recipe, float_epochs, untuned }
    }
}

/// Mean and deviation of the pixels, per channel.
fn measure(split: &Split) -> Preprocess {
    let per_channel = |channel: usize| {
        let pixels = split.images.index_axis(Axis(3), channel);
        let count = pixels.len() as f64;
        // Integer sums are exact.
        let sum: u64 = pixels.iter().map(|&pixel| u64::from(pixel)).sum();
        let squares: u64 = pixels.iter().map(|&pixel| u64::from(pixel).pow(2)).sum();
        let mean = sum as f64 / count;
        let variance = squares as f64 / count - mean * mean;
        ((mean / 255.0) as f32, (variance.max(1.0).sqrt() / 255.0) as f32)
    };
    let (mean, std) = (0..split.images.dim().3).map(per_channel).unzip();
    Preprocess { mean, std }
}

/// The part of the images, 0 to 1, whose greatest output is their label's; computed as [`predictions`] does.
///
/// # Errors
/// When parameters or images do not fit the graph.
pub fn accuracy(graph: &Graph, params: &Params, split: &Split) -> Result<f64, TrainError> {
    Ok(judge(graph, params, split)?.0)
}

/// The [`accuracy`], and the mean cross-entropy of the labels.
fn judge(graph: &Graph, params: &Params, split: &Split) -> Result<(f64, f64), TrainError> {
    let scale = trained::scale(params, &graph.node(graph.output()).name).unwrap_or(1.0);
    let outputs = outputs(graph, params, split)?.mapv_into(|element| element * scale);
    let (mut hits, mut loss) = (0, 0.0);
    for (row, &label) in outputs.outer_iter().zip(&split.labels) {
        let (row, label) = (row.to_vec(), usize::from(label));
        hits += usize::from(layers::greatest(&row) == label);
        loss -= layers::log_softmax(&row, 1.0)[label];
    }
    Ok((hits as f64 / split.len() as f64, loss / split.len() as f64))
}

/// The class with the greatest output, the first of equals, for each image: in float, or in the exported model's integers
/// if the network was trained in them.
///
/// # Errors
/// When parameters or images do not fit the graph.
pub fn predictions(graph: &Graph, params: &Params, split: &Split) -> Result<Vec<usize>, TrainError> {
    let outputs = outputs(graph, params, split)?;
    Ok(outputs.outer_iter().map(|row| layers::greatest(&row.to_vec())).collect())
}

/// The outputs that [`predictions`] goes by, a row for each image.
pub(super) fn outputs(graph: &Graph, params: &Params, split: &Split) -> Result<Array2<f32>, TrainError> {
    let images = split.images.view();
    match trained::has_ranges(params) {
        true => Ok(qat::outputs(graph, params, &images)?.mapv(f32::from)),
        false => Ok(layers::logits(graph, params, &images)?),
    }
}
