//! A network in a few lines of TOML: a name from the zoo, or a stack of blocks.

use kinglet::Shape;
use serde::{Deserialize, Serialize};

use super::{Block, Builder, Graph, GraphError, Head, Preprocess, zoo};

/// The most numbers of a network: a gigabyte in single precision, which no microcontroller has.
const MAX_PARAMETERS: u64 = 1 << 28;

/// Describes a network. Either `zoo` names one, or `blocks` lists its pieces.
///
/// ```
/// let recipe: kinglet_tools::graph::NetworkRecipe = toml::from_str(r#"
///     name = "mine"
///     input = [32, 32, 3]
///     blocks = [
///         { conv = { filters = 16 } },
///         { residual = { filters = 32, stride = 2 } },
///         { inception = { one = 8, three_reduce = 8, three = 16, five_reduce = 4, five = 8, pool = 8 } },
///     ]
/// "#).unwrap();
/// let graph = recipe.build(&["cat".into(), "dog".into()], &kinglet_tools::graph::Preprocess::unit(3)).unwrap();
/// assert_eq!(graph.node(graph.output()).shape.c, 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkRecipe {
    /// A network of the zoo, see [`zoo::NAMES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zoo: Option<String>,
    /// The network's name; the zoo's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `[h, w, c]` of one image; the zoo's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<[u32; 3]>,
    /// Multiplies every filter count; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<f32>,
    /// The pieces, in order, without the classifier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<Block>,
    /// Trains every convolution with batch normalization, but for 1x1, as parallel branches that are merged into one
    /// afterwards ([`merge`](super::merge())).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reparameterize: bool,
    /// How feature maps become class scores.
    #[serde(default)]
    pub head: Head,
}

impl NetworkRecipe {
    /// A network of the zoo with its default input.
    pub fn zoo(name: &str) -> Self {
        Self { zoo: Some(name.to_string()), ..Self::default() }
    }

    /// The network's name.
    pub fn name(&self) -> &str {
        self.name.as_deref().or(self.zoo.as_deref()).unwrap_or("network")
    }

    /// Whether the zoo has the network that it names.
    ///
    /// # Errors
    /// When it has not; the message says which is meant, perhaps, and which there are.
    pub fn known(&self) -> Result<(), GraphError> {
        self.zoo.as_deref().map_or(Ok(()), |name| zoo::find(name).map(drop))
    }

    /// The network as it is after training: without parallel branches.
    #[must_use]
    pub fn merged(&self) -> Self {
        Self { reparameterize: false, blocks: self.blocks.iter().map(Block::merged).collect(), ..self.clone() }
    }

    /// `H x W x C` of one image.
    ///
    /// # Errors
    /// When neither the recipe nor the zoo knows it.
    pub fn input(&self) -> Result<Shape, GraphError> {
        let known = match (&self.input, &self.zoo) {
            (Some(input), _) => *input,
            (None, Some(name)) => zoo::find(name)?.input,
            (None, None) => return Err(GraphError::Recipe("`input = [h, w, c]` is missing".to_string())),
        };
        Ok(Shape::new(known[0], known[1], known[2]))
    }

    /// The graph with one output (a logit, no softmax) per label.
    ///
    /// # Errors
    /// When the recipe names both or neither of zoo and blocks, or the pieces do not fit together.
    pub fn build(&self, labels: &[String], preprocess: &Preprocess) -> Result<Graph, GraphError> {
        let blocks = match (&self.zoo, self.blocks.is_empty()) {
            (Some(name), true) => zoo::find(name)?.blocks,
            (None, false) => self.blocks.clone(),
            _ => return Err(GraphError::Recipe("give either `zoo` or `blocks`".to_string())),
        };
        let width = self.width.unwrap_or(1.0);
        if !(width > 0.0 && width <= 16.0) {
            return Err(GraphError::Recipe(format!("width {width} is not in 0 to 16")));
        }
        let input = self.input()?;
        if !preprocess.is_valid(input.c as usize) {
            let reason = format!("preprocess needs a finite mean and a positive std for each of {} channels", input.c);
            return Err(GraphError::Recipe(reason));
        }
        let mut net = Builder::new(self.name(), input)?;
        net.branched = self.reparameterize;
        let mut x = net.input();
        for (index, block) in blocks.iter().enumerate() {
            x = block.scaled(width).build(&mut net, &format!("b{}", index + 1), x)?;
        }
        if self.head == Head::Average {
            x = net.global_average_pool("pool", x)?;
        }
        net.dense("logits", x, labels.len() as u32, true)?;
        let mut graph = net.finish();
        let lens = graph
            .param_specs()
            .into_iter()
            .map(|spec| spec.dims.iter().fold(1, |len: u64, &extent| len.saturating_mul(extent as u64)));
        let parameters = lens.fold(0, u64::saturating_add);
        if parameters > MAX_PARAMETERS {
            return Err(GraphError::Recipe(format!("{parameters} parameters; the most is {MAX_PARAMETERS}")));
        }
        graph.labels = labels.to_vec();
        graph.preprocess = preprocess.clone();
        Ok(graph)
    }
}
