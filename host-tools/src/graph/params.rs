//! The numbers of a network: named arrays, and which ones a graph needs.

use std::collections::BTreeMap;

use ndarray::{ArrayD, IxDyn};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Dims, Graph, GraphError, NodeId, Op};
use crate::files::fnv1a;

/// A parameter that a node needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamSpec {
    /// `node.weight`, `node.bias`, `node.gamma`, `node.beta`, `node.mean`, `node.variance` or `node.constant`.
    pub name: String,
    /// Dimensions, see [`Op`].
    pub dims: Vec<usize>,
    /// Whether the optimizer changes it; the running statistics of batch normalization follow the data instead.
    pub trainable: bool,
    /// Whether weight decay applies: to weights, not to biases and batch normalization.
    pub decays: bool,
}

impl ParamSpec {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether it has no elements; never so for the parameters of a valid graph.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The parameters of `id`, in the order in which its layer expects them.
pub(crate) fn specs(graph: &Graph, id: NodeId) -> Vec<ParamSpec> {
    let node = graph.node(id);
    let spec = |suffix: &str, dims: Vec<usize>| ParamSpec {
        name: format!("{}.{suffix}", node.name),
        dims,
        trainable: !matches!(suffix, "mean" | "variance"),
        decays: suffix == "weight",
    };
    let weighted = |weights: &Dims, dims: &[usize]| {
        let mut specs = vec![spec("weight", dims.to_vec())];
        if weights.bias {
            specs.push(spec("bias", vec![node.shape.c as usize]));
        }
        specs
    };
    let [h, w, c] = [node.shape.h, node.shape.w, node.shape.c].map(|extent| extent as usize);
    let input = node.inputs.first().map_or(node.shape, |&input| graph.node(input).shape);
    match &node.op {
        Op::Conv2d { window, weights } => {
            let [kh, kw] = window.kernel.map(|k| k as usize);
            weighted(weights, &[c, kh, kw, input.c as usize])
        }
        Op::DepthwiseConv2d { window, weights } => {
            let [kh, kw] = window.kernel.map(|k| k as usize);
            weighted(weights, &[1, kh, kw, c])
        }
        Op::Dense(weights) => weighted(weights, &[c, input.len() as usize]),
        Op::BatchNorm(_) => ["gamma", "beta", "mean", "variance"].map(|name| spec(name, vec![c])).to_vec(),
        Op::Constant { .. } => vec![spec("constant", vec![h, w, c])],
        Op::Input | Op::Activate(_) | Op::Function(_) | Op::MaxPool(_) | Op::AveragePool(_) | Op::Mean => Vec::new(),
        Op::Add | Op::Sub | Op::Mul | Op::Concat | Op::Reshape(_) => Vec::new(),
        Op::Softmax { .. } | Op::L2Norm | Op::Rearrange(_) | Op::ResizeBilinear(_) => Vec::new(),
    }
}

/// Named float arrays, ordered by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params {
    arrays: BTreeMap<String, ArrayD<f32>>,
}

impl Params {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// He-normal weights from `seed`, zero biases, identity batch normalization. Every array has its own stream of
    /// random numbers, so that it depends only on the seed, its name and its size.
    pub fn init(graph: &Graph, seed: u64) -> Self {
        let mut params = Self::new();
        for spec in graph.param_specs() {
            let array = if spec.decays { he_normal(&spec, seed) } else { constant(&spec) };
            params.insert(spec.name, array);
        }
        params
    }

    /// The array of this name.
    pub fn get(&self, name: &str) -> Option<&ArrayD<f32>> {
        self.arrays.get(name)
    }

    /// The array of this name, for changing.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut ArrayD<f32>> {
        self.arrays.get_mut(name)
    }

    /// The array of this name.
    ///
    /// # Errors
    /// [`GraphError::MissingParam`].
    pub fn require(&self, name: &str) -> Result<&ArrayD<f32>, GraphError> {
        self.get(name).ok_or_else(|| GraphError::MissingParam(name.to_string()))
    }

    /// Adds or replaces an array.
    pub fn insert(&mut self, name: impl Into<String>, array: ArrayD<f32>) {
        self.arrays.insert(name.into(), array);
    }

    /// The arrays whose names begin with `prefix`, without it.
    pub(crate) fn under(&self, prefix: &str) -> Self {
        let part =
            self.iter().filter_map(|(name, array)| Some((name.strip_prefix(prefix)?.to_string(), array.clone())));
        Self { arrays: part.collect() }
    }

    /// All arrays by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ArrayD<f32>)> {
        self.arrays.iter().map(|(name, array)| (name.as_str(), array))
    }

    /// Number of arrays.
    pub fn len(&self) -> usize {
        self.arrays.len()
    }

    /// Whether there are no arrays.
    pub fn is_empty(&self) -> bool {
        self.arrays.is_empty()
    }

    /// A number that changes when a name or a number does.
    pub fn fingerprint(&self) -> u64 {
        let numbers = |array: &ArrayD<f32>| array.iter().flat_map(|x| x.to_bits().to_le_bytes()).collect::<Vec<_>>();
        fnv1a(self.iter().flat_map(|(name, array)| name.bytes().chain(numbers(array))))
    }

    /// Whether every parameter of `graph` is there with the right dimensions.
    ///
    /// # Errors
    /// The first one that is missing or differs.
    pub fn check(&self, graph: &Graph) -> Result<(), GraphError> {
        for spec in graph.param_specs() {
            let found = self.require(&spec.name)?.shape();
            if found != spec.dims {
                return Err(GraphError::ParamShape { name: spec.name, expected: spec.dims, found: found.to_vec() });
            }
        }
        Ok(())
    }
}

/// What a batch normalization does to each channel: `factor * x + offset`.
pub(crate) struct Line {
    pub factors: Vec<f64>,
    pub offsets: Vec<f64>,
}

impl Line {
    /// That of the batch normalization `name`.
    ///
    /// # Errors
    /// When a parameter is missing.
    pub fn of(name: &str, epsilon: f32, params: &Params) -> Result<Self, GraphError> {
        let values = |suffix: &str| {
            let array = params.require(&format!("{name}.{suffix}"))?;
            Ok::<Vec<f64>, GraphError>(array.iter().map(|&x| x.into()).collect())
        };
        let (gamma, beta, mean, variance) = (values("gamma")?, values("beta")?, values("mean")?, values("variance")?);
        let factor = |(gamma, variance): (&f64, &f64)| gamma / (variance + f64::from(epsilon)).sqrt();
        let factors: Vec<f64> = gamma.iter().zip(&variance).map(factor).collect();
        let offsets = beta.iter().zip(&mean).zip(&factors).map(|((beta, mean), factor)| beta - mean * factor).collect();
        Ok(Self { factors, offsets })
    }
}

fn constant(spec: &ParamSpec) -> ArrayD<f32> {
    let one = [".gamma", ".variance", ".constant"].iter().any(|suffix| spec.name.ends_with(suffix));
    ArrayD::from_elem(IxDyn(&spec.dims), if one { 1.0 } else { 0.0 })
}

/// Normal numbers with variance 2 / fan-in (1 / fan-in for dense layers, which no ReLU follows).
fn he_normal(spec: &ParamSpec, seed: u64) -> ArrayD<f32> {
    // The name keeps the streams of different arrays apart.
    let stream = fnv1a(spec.name.bytes());
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    let (fan_in, gain) = match spec.dims[..] {
        [units, ..] if spec.dims.len() == 2 => (spec.len() / units, 1.0),
        [1, kh, kw, _] => (kh * kw, 2.0),
        [filters, ..] => (spec.len() / filters, 2.0),
        [] => (1, 1.0),
    };
    let deviation = (gain / fan_in as f64).sqrt();
    ArrayD::from_shape_simple_fn(IxDyn(&spec.dims), || (normal(&mut rng) * deviation) as f32)
}

/// A standard normal number (Box-Muller).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let unit = |rng: &mut ChaCha8Rng| ((rng.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let radius = (-2.0 * unit(rng).ln()).sqrt();
    radius * (std::f64::consts::TAU * unit(rng)).cos()
}
