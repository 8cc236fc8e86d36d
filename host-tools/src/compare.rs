//! Layer by layer comparison: of integers with another tool's intermediate results, of what they stand for with the network in float.

use std::fmt;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use kinglet::kernels::Active;
use kinglet::{Model, Observer, Pixels, Session, Shape, Step, StepEvent};
use ndarray::Axis;
use rayon::prelude::*;
use serde::Serialize;
use zip::ZipArchive;

use crate::data::Split;
use crate::elements;
use crate::files::{self, IntArray};
use crate::graph::FloatModel;
use crate::quantize::forward::NetRunner;
use crate::quantize::{self, fold};
use crate::simulate::{self, Images};

/// Where a step's output first differs from what was expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The step's place in the model.
    pub index: usize,
    /// The step's name.
    pub step: String,
    /// Elements that differ, and elements in all.
    pub elements: (usize, usize),
    /// Row, column and channel of the first that differs.
    pub at: [usize; 3],
    /// What was expected there.
    pub expected: i16,
    /// What the model computed.
    pub got: i16,
}

/// The result of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Steps that were compared and equal in every element.
    pub equal: usize,
    /// Steps that differ, in the order of execution.
    pub different: Vec<Difference>,
    /// Names of steps for which the file has nothing, or something of another size.
    pub skipped: Vec<String>,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compared = self.equal + self.different.len();
        write!(f, "{} of {compared} compared steps are equal", self.equal)?;
        if !self.skipped.is_empty() {
            write!(f, "; {} steps have no counterpart", self.skipped.len())?;
        }
        if let Some(first) = self.different.first() {
            let [y, x, c] = first.at;
            let (differ, all) = first.elements;
            write!(
                f,
                "\nfirst difference in step {} `{}`: {differ} of {all} elements, the first at row {y}, column {x}, \
                 channel {c}: expected {}, got {}",
                first.index, first.step, first.expected, first.got
            )?;
        }
        Ok(())
    }
}

/// A step's output.
struct Layer {
    index: usize,
    name: String,
    shape: Shape,
    elements: Vec<i16>,
}

/// Collects every step's output.
#[derive(Default)]
struct Outputs(Vec<Layer>);

impl Observer for Outputs {
    fn end(&mut self, event: &StepEvent<'_>) {
        // The rows of one step come in order, but those of a chain's steps by turns.
        let at = match self.0.iter().position(|layer| layer.index == event.index()) {
            Some(at) => at,
            None => {
                let (name, shape) = (event.name().to_owned(), event.tensor().shape);
                self.0.push(Layer { index: event.index(), name, shape, elements: Vec::new() });
                self.0.len() - 1
            }
        };
        for pixel in event.pixels() {
            self.0[at].elements.extend(elements::to_elements(pixel, event.tensor().dtype));
        }
    }
}

/// Runs the first of `images` and compares every step's output with the array in `npz` of its name: the step's whole
/// name, or its first word, which is `place_OPERATOR` in imported models.
///
/// # Errors
/// When the file cannot be read or holds nothing that fits.
pub fn with_layers(model: Model<'_>, inputs: &[Images], npz: &Path) -> Result<Comparison> {
    let outputs = run(model, inputs)?;
    let name = || format!("cannot read `{}`", npz.display());
    let mut file = ZipArchive::new(files::open(npz)?).with_context(name)?;
    let keys: Vec<String> = file.file_names().map(str::to_owned).collect();
    let mut comparison = Comparison::default();
    for Layer { index, name: step, shape, elements: got } in outputs {
        let word = step.split(' ').next().unwrap_or_default();
        let key = keys.iter().find(|key| {
            let key = key.trim_end_matches(".npy");
            key == step || key == word
        });
        let expected = match key {
            Some(key) => {
                let array = array(&mut file, key).with_context(|| format!("`{}`, array `{key}`", npz.display()))?;
                Some(array).filter(|expected| expected.len() == got.len())
            }
            None => None,
        };
        match expected {
            None => comparison.skipped.push(step),
            Some(expected) if expected == got => comparison.equal += 1,
            Some(expected) => comparison.different.push(difference(index, step, shape, &expected, &got)),
        }
    }
    ensure!(
        comparison.equal + comparison.different.len() > 0,
        "`{}` has no array that is named like a step of the model",
        npz.display()
    );
    comparison.different.sort_by_key(|difference| difference.index);
    Ok(comparison)
}

/// Signal to quantization noise of each step's output in decibels, all of it up to there, over `images`: against the layer of its name in
/// the network as it was trained; `None` where there is none.
///
/// # Errors
/// When the images do not fit model and network.
pub fn noise(model: Model<'_>, trained: &FloatModel, images: &Split) -> Result<Vec<Option<f64>>> {
    let network = fold::fold(&trained.graph, &trained.params)?;
    let layer_of = |step: Step<'_>| network.nodes.iter().position(|node| node.name == step.name);
    let layers: Vec<_> = model.steps().map(layer_of).collect();
    let reals = quantize::reals(&trained.graph.preprocess, images.images.view())?;
    let runner = NetRunner::new(&network);
    let of_images = simulate::each::<Active, _, _>(model, (0..images.len()).into_par_iter(), |session, image| {
        let mut outputs = Outputs::default();
        session.start(Pixels(images.image(image)))?.observe(&mut outputs).finish()?;
        let input: Vec<f32> = reals.index_axis(Axis(0), image).iter().copied().collect();
        let values = runner.forward(&input);
        let mut sums = vec![[0.0; 2]; layers.len()];
        for Layer { index, elements, .. } in outputs.0 {
            let (Some(step), Some(layer)) = (model.step(index), layers[index]) else { continue };
            let output = step.tensors.output;
            for (&element, &wanted) in elements.iter().zip(&values[layer]) {
                let (wanted, found) = (f64::from(wanted), f64::from(output.real(element)));
                sums[index][0] += wanted * wanted;
                sums[index][1] += (wanted - found).powi(2);
            }
        }
        Ok(sums)
    })?;
    let decibels = |(index, layer): (usize, &Option<usize>)| {
        let [signal, noise] = [0, 1].map(|which| of_images.iter().map(|sums| sums[index][which]).sum::<f64>());
        layer.map(|_| 10.0 * (signal / noise).log10())
    };
    Ok(layers.iter().enumerate().map(decibels).collect())
}

/// The elements of an array in the archive.
fn array(archive: &mut ZipArchive<File>, key: &str) -> Result<Vec<i16>> {
    let member = archive.by_name(key)?;
    let packed = member.compressed_size();
    // What the archive says of its length is not taken for granted.
    let bytes = files::unpack(member, packed)?;
    match IntArray::parse(&bytes)? {
        IntArray::Signed(array) => Ok(array.into_iter().map(i16::from).collect()),
        IntArray::Wide(array) => Ok(array.into_iter().collect()),
        IntArray::Unsigned(_) => bail!("it is neither int8 nor int16"),
    }
}

fn run(model: Model<'_>, inputs: &[Images]) -> Result<Vec<Layer>> {
    let mut arena = vec![0u128; model.arena_len().div_ceil(16)];
    let mut session = Session::open(model, bytemuck::cast_slice_mut(&mut arena))?;
    let mut outputs = Outputs::default();
    simulate::start(&mut session, inputs, 0)?.observe(&mut outputs).finish()?;
    Ok(outputs.0)
}

fn difference(index: usize, step: String, shape: Shape, expected: &[i16], got: &[i16]) -> Difference {
    let differ = |(_, (a, b)): &(usize, (&i16, &i16))| a != b;
    let pairs = || expected.iter().zip(got).enumerate();
    let (at, (&wanted, &found)) = pairs().find(differ).unwrap_or((0, (&0, &0)));
    let (w, c) = ((shape.w as usize).max(1), (shape.c as usize).max(1));
    Difference {
        index,
        step,
        elements: (pairs().filter(differ).count(), expected.len()),
        at: [at / c / w, at / c % w, at % c],
        expected: wanted,
        got: found,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::data::Dataset;
    use crate::graph;

    /// 8 bits are worth some 50 decibels in each layer, less in what many layers have rounded.
    #[test]
    fn the_noise_of_a_shipped_model_is_that_of_eight_bits() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/digits-resnet"));
        let bytes = files::read(&folder.join("digits-resnet.kgl")).unwrap();
        let trained = graph::load(&folder.join("weights.safetensors")).unwrap();
        let digits = Dataset::digits().unwrap().test;
        let some = digits.select(&digits.spaced(20));
        let model = Model::new(&bytes).unwrap();
        let found = noise(model, &trained, &some).unwrap();
        assert_eq!(found.len(), model.step_count());
        assert!(found.iter().all(|step| step.is_some_and(|decibels| (20.0..60.0).contains(&decibels))), "{found:?}");
    }

    #[test]
    fn arrays_that_grow_without_measure_are_refused_with_the_bound() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, len) in [("small.npy", 100), ("bomb.npy", 100_000_000)] {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            let header = format!("{{'descr': '|i1', 'fortran_order': False, 'shape': ({len},), }}\n");
            let head = [&b"\x93NUMPY\x01\0"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat();
            zip.write_all(&[head, vec![0; len]].concat()).unwrap();
        }
        zip.finish().unwrap();
        let mut zip = ZipArchive::new(File::open(&path).unwrap()).unwrap();
        assert_eq!(array(&mut zip, "small.npy").unwrap(), [0; 100]);
        let error = array(&mut zip, "bomb.npy").unwrap_err().to_string();
        assert!(error.contains("more than 67108864"), "{error}");
    }
}
