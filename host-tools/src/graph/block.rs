//! Blocks: the pieces that recipes and the zoo stack. Each adds several nodes under a common name prefix.

use kinglet::Padding;
use serde::{Deserialize, Serialize};

use super::{Builder, Function, GraphError, NodeId, Op, Rearrange, merge};

/// What follows a convolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Batch normalization; the convolution has no bias.
    #[default]
    Batch,
    /// Nothing; the convolution has a bias.
    None,
}

/// How feature maps become class scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// Global average pool, then a dense layer.
    #[default]
    Average,
    /// A dense layer over all pixels and channels.
    Flatten,
}

/// What a residual block has that [`Block::Residual`] has otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The shortcut is halved.
    Halved,
    /// The shortcut is a 1x1 convolution also where the shape stays (option C of the article on ResNet).
    Convolved,
    /// Where the shape changes, the shortcut skips pixels and gets channels of zeros (option A).
    Padded,
    /// Normalization and ReLU stand before each convolution, and none behind the sum (He et al., "Identity Mappings in Deep
    /// Residual Networks", 2016).
    PreActivation,
    /// The branch ends with a factor for each channel. SkipInit (De and Smith, 2020) begins it at 0.
    Scaled,
}

/// A branch of an Inception module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Branch {
    /// 1x1.
    One,
    /// 3x3, behind its bottleneck.
    Three,
    /// 5x5, behind its bottleneck.
    Five,
    /// 3x3 max pool, before its projection.
    Pool,
}

impl Branch {
    /// All four, in the order of their channels.
    pub const ALL: [Self; 4] = [Self::One, Self::Three, Self::Five, Self::Pool];
}

/// One piece of a network. In a recipe: `residual = { filters = 32, stride = 2 }`.
///
/// Filters are those at width 1; a network's width multiplier scales them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Block {
    /// Convolution, normalization, ReLU.
    Conv {
        /// Output channels.
        filters: u32,
        /// Kernel extent, square.
        #[serde(default = "three")]
        kernel: u32,
        /// Stride in both directions.
        #[serde(default = "one")]
        stride: u32,
        /// What follows the convolution.
        #[serde(default)]
        norm: Norm,
    },
    /// 3x3 convolution that is trained as parallel branches ([`merge`](super::merge())), ReLU.
    Rep {
        /// Output channels.
        filters: u32,
        /// Stride in both directions.
        #[serde(default = "one")]
        stride: u32,
    },
    /// Network in Network's mlpconv: a convolution and 1x1 convolutions behind it, a small network that slides over the map,
    /// each with normalization and ReLU.
    Mlpconv {
        /// Filters of the convolution.
        filters: u32,
        /// Its kernel's extent, square.
        kernel: u32,
        /// Filters of the 1x1 convolutions, in their order.
        micro: Vec<u32>,
        /// True in a plain twin: one convolution to as many maps.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        plain: bool,
    },
    /// Depthwise 3x3, normalization, ReLU, pointwise, normalization, ReLU.
    Separable {
        /// Output channels.
        filters: u32,
        /// Stride in both directions.
        #[serde(default = "one")]
        stride: u32,
    },
    /// ResNet v1's basic block: two 3x3 convolutions with batch normalization and a shortcut, projected by a 1x1
    /// convolution when the shape changes.
    Residual {
        /// Output channels.
        filters: u32,
        /// Stride of the first convolution.
        #[serde(default = "one")]
        stride: u32,
        /// False in a plain twin: the same layers, no shortcut.
        #[serde(default = "yes")]
        shortcut: bool,
        /// What follows the convolutions.
        #[serde(default)]
        norm: Norm,
    },
    /// The basic block in another form: `halved`, `convolved`, `padded`, `pre_activation` or `scaled`.
    ResidualForm {
        /// Output channels.
        filters: u32,
        /// Stride of the first convolution.
        #[serde(default = "one")]
        stride: u32,
        /// What is different.
        form: Form,
        /// What follows the convolutions, or stands before them.
        #[serde(default)]
        norm: Norm,
    },
    /// ResNet's bottleneck: 1x1, 3x3, 1x1 to `4 * filters` channels, each with batch normalization. With a projection
    /// it is a *convolution block*, without an *identity block*.
    Bottleneck {
        /// Channels inside; four times as many come out.
        filters: u32,
        /// Stride of the first convolution.
        #[serde(default = "one")]
        stride: u32,
        /// False in a plain twin.
        #[serde(default = "yes")]
        shortcut: bool,
    },
    /// The Inception module: four branches over one input, concatenated along channels.
    Inception {
        /// Filters of the 1x1 branch.
        one: u32,
        /// Filters before the 3x3; 0 makes that branch naive.
        three_reduce: u32,
        /// Filters of the 3x3.
        three: u32,
        /// Filters before the 5x5; 0 makes that branch naive.
        five_reduce: u32,
        /// Filters of the 5x5.
        five: u32,
        /// Filters after the 3x3 max pool; 0 leaves the pool bare.
        pool: u32,
        /// A branch that is left out, to see what it is worth.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        without: Option<Branch>,
    },
    /// Max pool.
    MaxPool {
        /// Kernel extent, square.
        kernel: u32,
        /// Stride in both directions.
        stride: u32,
    },
    /// Average pool.
    AveragePool {
        /// Kernel extent, square.
        kernel: u32,
        /// Stride in both directions.
        stride: u32,
    },
    /// A hidden dense layer with ReLU.
    Dense {
        /// Outputs.
        units: u32,
    },
}

fn one() -> u32 {
    1
}

fn three() -> u32 {
    3
}

fn yes() -> bool {
    true
}

/// A convolution of a block, square, padded to keep the size at stride 1.
#[derive(Clone, Copy)]
struct Conv {
    filters: u32,
    kernel: u32,
    stride: u32,
    norm: Norm,
    relu: bool,
    /// Whether it is trained as parallel branches, even if the network is not.
    branched: bool,
}

impl Conv {
    const fn new(filters: u32, kernel: u32, stride: u32) -> Self {
        Self { filters, kernel, stride, norm: Norm::Batch, relu: true, branched: false }
    }

    const fn linear(self) -> Self {
        Self { relu: false, ..self }
    }
}

impl Block {
    /// The block with every filter count multiplied by `width`, rounded to a multiple of 4 and at least 4.
    #[must_use]
    pub fn scaled(&self, width: f32) -> Self {
        let scale = |filters: u32| {
            if filters == 0 || width == 1.0 {
                filters
            } else {
                ((filters as f32 * width / 4.0).round() as u32).max(1) * 4
            }
        };
        let mut block = self.clone();
        match &mut block {
            Block::Conv { filters, .. }
            | Block::Rep { filters, .. }
            | Block::Separable { filters, .. }
            | Block::Residual { filters, .. }
            | Block::ResidualForm { filters, .. }
            | Block::Bottleneck { filters, .. }
            | Block::Dense { units: filters } => *filters = scale(*filters),
            Block::Mlpconv { filters, micro, .. } => {
                micro.iter_mut().chain([filters]).for_each(|filters| *filters = scale(*filters));
            }
            Block::Inception { one, three_reduce, three, five_reduce, five, pool, .. } => {
                for filters in [one, three_reduce, three, five_reduce, five, pool] {
                    *filters = scale(*filters);
                }
            }
            Block::MaxPool { .. } | Block::AveragePool { .. } => {}
        }
        block
    }

    /// The block as it is after training, when parallel branches are merged.
    #[must_use]
    pub(super) fn merged(&self) -> Self {
        match *self {
            Block::Rep { filters, stride } => Block::Conv { filters, kernel: 3, stride, norm: Norm::Batch },
            _ => self.clone(),
        }
    }

    /// Adds the block's nodes after `input`, named `name` or `name_part`; gives its output.
    ///
    /// # Errors
    /// As [`Builder::add_node`].
    pub fn build(&self, net: &mut Builder, name: &str, input: NodeId) -> Result<NodeId, GraphError> {
        match *self {
            Block::Conv { filters, kernel, stride, norm } => {
                net.conv_unit(name, input, Conv { norm, ..Conv::new(filters, kernel, stride) })
            }
            Block::Rep { filters, stride } => {
                net.conv_unit(name, input, Conv { branched: true, ..Conv::new(filters, 3, stride) })
            }
            Block::Mlpconv { filters, kernel, ref micro, plain } => {
                if plain {
                    let maps = micro.last().copied().unwrap_or(filters);
                    return net.conv_unit(name, input, Conv::new(maps, kernel, 1));
                }
                let mut x = net.conv_unit(name, input, Conv::new(filters, kernel, 1))?;
                for (index, &filters) in micro.iter().enumerate() {
                    x = net.conv_unit(&format!("{name}_micro{}", index + 1), x, Conv::new(filters, 1, 1))?;
                }
                Ok(x)
            }
            Block::Separable { filters, stride } => {
                let depth = format!("{name}_depth");
                let x = net.depthwise(&depth, input, [3, 3], [stride, stride], Padding::Same, false)?;
                let x = net.batch_norm(&format!("{depth}_bn"), x)?;
                let x = net.relu(&format!("{depth}_relu"), x)?;
                net.conv_unit(&format!("{name}_point"), x, Conv::new(filters, 1, 1))
            }
            Block::Residual { filters, stride, shortcut, norm } => {
                let conv = |stride| Conv { norm, ..Conv::new(filters, 3, stride) };
                let x = net.conv_unit(&format!("{name}_conv1"), input, conv(stride))?;
                let x = net.conv_unit(&format!("{name}_conv2"), x, conv(1).linear())?;
                // As in MLPerf Tiny's ResNet-8, the projection of the basic block has no normalization of its own.
                net.join(name, input, x, stride, shortcut, Norm::None)
            }
            Block::ResidualForm { filters, stride, form, norm } => {
                let conv = Conv { norm, ..Conv::new(filters, 3, stride) };
                match form {
                    Form::PreActivation => net.pre_activated(name, input, conv),
                    _ => net.formed(name, input, conv, form),
                }
            }
            Block::Bottleneck { filters, stride, shortcut } => {
                let x = net.conv_unit(&format!("{name}_conv1"), input, Conv::new(filters, 1, stride))?;
                let x = net.conv_unit(&format!("{name}_conv2"), x, Conv::new(filters, 3, 1))?;
                let x = net.conv_unit(&format!("{name}_conv3"), x, Conv::new(filters * 4, 1, 1).linear())?;
                net.join(name, input, x, stride, shortcut, Norm::Batch)
            }
            Block::Inception { one, three_reduce, three, five_reduce, five, pool, without } => {
                let mut branches = Vec::new();
                for branch in Branch::ALL.into_iter().filter(|branch| Some(*branch) != without) {
                    branches.push(match branch {
                        Branch::One => net.conv_unit(&format!("{name}_1x1"), input, Conv::new(one, 1, 1))?,
                        Branch::Three => {
                            net.reduced(&format!("{name}_3x3"), input, three_reduce, Conv::new(three, 3, 1))?
                        }
                        Branch::Five => {
                            net.reduced(&format!("{name}_5x5"), input, five_reduce, Conv::new(five, 5, 1))?
                        }
                        Branch::Pool => {
                            let x = net.max_pool(&format!("{name}_pool"), input, [3, 3], [1, 1], Padding::Same)?;
                            match pool {
                                0 => x,
                                _ => net.conv_unit(&format!("{name}_pool_1x1"), x, Conv::new(pool, 1, 1))?,
                            }
                        }
                    });
                }
                net.concat(&format!("{name}_concat"), &branches)
            }
            Block::MaxPool { kernel, stride } => net.max_pool(name, input, [kernel; 2], [stride; 2], Padding::Same),
            Block::AveragePool { kernel, stride } => {
                net.average_pool(name, input, [kernel; 2], [stride; 2], Padding::Same)
            }
            Block::Dense { units } => {
                let x = net.dense(name, input, units, true)?;
                net.relu(&format!("{name}_relu"), x)
            }
        }
    }
}

impl Builder {
    /// Convolution, normalization if any, ReLU if any; named `name`, `name_bn`, `name_relu`. Before the ReLU, the other
    /// branches of a convolution that is trained as several are added.
    fn conv_unit(&mut self, name: &str, input: NodeId, conv: Conv) -> Result<NodeId, GraphError> {
        let Conv { filters, kernel, stride, norm, relu, branched } = conv;
        let bias = norm == Norm::None;
        let mut x = self.conv2d(name, input, filters, [kernel; 2], [stride; 2], Padding::Same, bias)?;
        if norm == Norm::Batch {
            x = self.batch_norm(&merge::norm(name), x)?;
            if (branched || self.branched) && kernel > 1 {
                x = self.with_branches(name, input, x, conv)?;
            }
        }
        if relu { self.relu(&format!("{name}_relu"), x) } else { Ok(x) }
    }

    /// Adds to `x`, the normalized convolution `name`, a normalized 1x1 convolution and, where the shape stays, the
    /// normalized input.
    fn with_branches(&mut self, name: &str, input: NodeId, x: NodeId, conv: Conv) -> Result<NodeId, GraphError> {
        let point = merge::point(name);
        let side = self.conv2d(&point, input, conv.filters, [1, 1], [conv.stride; 2], Padding::Same, false)?;
        let side = self.batch_norm(&merge::norm(&point), side)?;
        let sum = self.add(&format!("{name}_sum"), x, side)?;
        if !self.shape(input).same(self.shape(x)) {
            return Ok(sum);
        }
        let same = self.batch_norm(&merge::identity(name), input)?;
        self.add(&format!("{name}_all"), sum, same)
    }

    /// An Inception branch: a 1x1 bottleneck of `reduce` filters (none when 0) before `conv`.
    fn reduced(&mut self, name: &str, input: NodeId, reduce: u32, conv: Conv) -> Result<NodeId, GraphError> {
        let x = match reduce {
            0 => input,
            _ => self.conv_unit(&format!("{name}_reduce"), input, Conv::new(reduce, 1, 1))?,
        };
        self.conv_unit(name, x, conv)
    }

    /// The end of a residual block: the shortcut from `input`, projected when the shape changes, is added to `x`; ReLU.
    fn join(
        &mut self,
        name: &str,
        input: NodeId,
        x: NodeId,
        stride: u32,
        shortcut: bool,
        norm: Norm,
    ) -> Result<NodeId, GraphError> {
        let mut sum = x;
        if shortcut {
            let from = self.shortcut(name, input, x, stride, norm)?;
            sum = self.add(&format!("{name}_add"), x, from)?;
        }
        self.relu(&format!("{name}_relu"), sum)
    }

    /// `input`, projected when `x` has another shape.
    fn shortcut(
        &mut self,
        name: &str,
        input: NodeId,
        x: NodeId,
        stride: u32,
        norm: Norm,
    ) -> Result<NodeId, GraphError> {
        if self.shape(input).same(self.shape(x)) { Ok(input) } else { self.project(name, input, x, stride, norm) }
    }

    /// `input` by a 1x1 convolution to the shape of `x`.
    fn project(&mut self, name: &str, input: NodeId, x: NodeId, stride: u32, norm: Norm) -> Result<NodeId, GraphError> {
        let (project, filters) = (format!("{name}_project"), self.shape(x).c);
        let from = self.conv2d(&project, input, filters, [1, 1], [stride; 2], Padding::Same, false)?;
        if norm == Norm::Batch { self.batch_norm(&format!("{project}_bn"), from) } else { Ok(from) }
    }

    /// A basic block in a form with ReLU behind the sum.
    fn formed(&mut self, name: &str, input: NodeId, conv: Conv, form: Form) -> Result<NodeId, GraphError> {
        let x = self.conv_unit(&format!("{name}_conv1"), input, conv)?;
        let x = self.conv_unit(&format!("{name}_conv2"), x, Conv { stride: 1, ..conv.linear() })?;
        let x = match form {
            Form::Scaled => self.depthwise(&format!("{name}_scale"), x, [1, 1], [1, 1], Padding::Same, false)?,
            _ => x,
        };
        let from = match form {
            Form::Convolved => self.project(name, input, x, conv.stride, Norm::None)?,
            Form::Padded if !self.shape(input).same(self.shape(x)) => {
                let (skipped, stride) = (format!("{name}_skip"), [conv.stride; 2]);
                let from = self.max_pool(&skipped, input, [1, 1], stride, Padding::Same)?;
                let more = self.shape(x).c.saturating_sub(self.shape(from).c);
                let pad = Rearrange::Pad { before: [0; 3], after: [0, 0, more], value: 0.0 };
                self.add_node(&format!("{name}_pad"), Op::Rearrange(pad), &[from])?
            }
            _ => self.shortcut(name, input, x, conv.stride, Norm::None)?,
        };
        let from = match form {
            Form::Halved => {
                let half = Function::X * Function::Constant(0.5);
                self.add_node(&format!("{name}_half"), Op::Function(half), &[from])?
            }
            _ => from,
        };
        let sum = self.add(&format!("{name}_add"), x, from)?;
        self.relu(&format!("{name}_relu"), sum)
    }

    /// A basic block whose convolutions come last; nothing stands behind the sum.
    fn pre_activated(&mut self, name: &str, input: NodeId, conv: Conv) -> Result<NodeId, GraphError> {
        let Conv { filters, kernel, stride, norm, .. } = conv;
        let mut x = input;
        let mut first = input;
        for (index, stride) in [stride, 1].into_iter().enumerate() {
            let name = format!("{name}_conv{}", index + 1);
            if norm == Norm::Batch {
                x = self.batch_norm(&format!("{name}_pre"), x)?;
            }
            x = self.relu(&format!("{name}_relu"), x)?;
            if index == 0 {
                first = x;
            }
            x = self.conv2d(&name, x, filters, [kernel; 2], [stride; 2], Padding::Same, norm == Norm::None)?;
        }
        // Where the shape changes, the shortcut begins behind the first ReLU, too.
        let from = if self.shape(input).same(self.shape(x)) { input } else { first };
        let from = self.shortcut(name, from, x, stride, Norm::None)?;
        self.add(&format!("{name}_add"), x, from)
    }
}
