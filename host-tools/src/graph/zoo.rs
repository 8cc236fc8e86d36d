//! The networks that come with Kinglet, as stacks of blocks.

use super::{Block, GraphError, Norm};

/// Every name that [`find`] knows.
pub const NAMES: [&str; 15] = [
    "digits-resnet",
    "digits-inception",
    "resnet8",
    "resnet14",
    "resnet20",
    "resnet32",
    "resnet50",
    "plain8",
    "plain14",
    "plain20",
    "plain32",
    "plain50",
    "inception-small",
    "inception-naive",
    "googlenet",
];

/// A network of the zoo.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// `[h, w, c]` when the recipe does not say otherwise.
    pub input: [u32; 3],
    /// The pieces before the classifier.
    pub blocks: Vec<Block>,
}

/// The network of this name.
///
/// # Errors
/// [`GraphError::UnknownNetwork`] lists the names.
pub fn find(name: &str) -> Result<Entry, GraphError> {
    let (input, blocks) = match name {
        "digits-resnet" => ([8, 8, 1], digits_resnet()),
        "digits-inception" => ([8, 8, 1], digits_inception()),
        "resnet8" => ([32, 32, 3], cifar_resnet(1, true)),
        "resnet14" => ([32, 32, 3], cifar_resnet(2, true)),
        "resnet20" => ([32, 32, 3], cifar_resnet(3, true)),
        "resnet32" => ([32, 32, 3], cifar_resnet(5, true)),
        "resnet50" => ([64, 64, 3], resnet50(true)),
        "plain8" => ([32, 32, 3], cifar_resnet(1, false)),
        "plain14" => ([32, 32, 3], cifar_resnet(2, false)),
        "plain20" => ([32, 32, 3], cifar_resnet(3, false)),
        "plain32" => ([32, 32, 3], cifar_resnet(5, false)),
        "plain50" => ([64, 64, 3], resnet50(false)),
        "inception-small" => ([32, 32, 3], inception_small()),
        "inception-naive" => ([32, 32, 3], inception_naive()),
        "googlenet" => ([64, 64, 3], googlenet()),
        _ => return Err(GraphError::UnknownNetwork(name.to_string())),
    };
    Ok(Entry { input, blocks })
}

fn conv(filters: u32, kernel: u32, stride: u32) -> Block {
    Block::Conv { filters, kernel, stride, norm: Norm::Batch }
}

fn residual(filters: u32, stride: u32, shortcut: bool) -> Block {
    Block::Residual { filters, stride, shortcut, norm: Norm::Batch }
}

fn pool(kernel: u32, stride: u32) -> Block {
    Block::MaxPool { kernel, stride }
}

/// `[1x1, before 3x3, 3x3, before 5x5, 5x5, after the pool]`, as papers list them.
fn inception(filters: [u32; 6]) -> Block {
    let [one, three_reduce, three, five_reduce, five, pool] = filters;
    Block::Inception { one, three_reduce, three, five_reduce, five, pool, without: None }
}

/// Two residual blocks, one of them with a projection: the whole mechanism at half a million MACs.
fn digits_resnet() -> Vec<Block> {
    vec![conv(16, 3, 1), residual(16, 1, true), residual(32, 2, true)]
}

/// Three Inception modules.
fn digits_inception() -> Vec<Block> {
    vec![
        conv(16, 3, 1),
        inception([8, 8, 16, 4, 8, 8]),
        pool(2, 2),
        inception([16, 16, 32, 4, 8, 8]),
        inception([24, 24, 40, 8, 12, 12]),
    ]
}

/// The CIFAR networks of "Deep Residual Learning": 6 `n` + 2 layers. ResNet-8 is MLPerf Tiny's.
fn cifar_resnet(n: usize, shortcut: bool) -> Vec<Block> {
    let mut blocks = vec![conv(16, 3, 1)];
    for (stage, filters) in [16, 32, 64].into_iter().enumerate() {
        for index in 0..n {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            blocks.push(residual(filters, stride, shortcut));
        }
    }
    blocks
}

/// Five stages: the stem, then 3, 4, 6 and 3 bottleneck blocks, the first of each a convolution block.
fn resnet50(shortcut: bool) -> Vec<Block> {
    let mut blocks = vec![conv(64, 7, 2), pool(3, 2)];
    for (stage, (filters, count)) in [(64, 3), (128, 4), (256, 6), (512, 3)].into_iter().enumerate() {
        for index in 0..count {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            blocks.push(Block::Bottleneck { filters, stride, shortcut });
        }
    }
    blocks
}

/// Six modules, about 0.22 M parameters, for 28x28 and 32x32 images.
fn inception_small() -> Vec<Block> {
    vec![
        conv(32, 3, 1),
        inception([16, 16, 24, 4, 8, 8]),
        inception([24, 24, 32, 8, 16, 8]),
        pool(3, 2),
        inception([32, 24, 48, 8, 16, 16]),
        inception([40, 32, 64, 8, 16, 24]),
        pool(3, 2),
        inception([48, 40, 80, 12, 24, 32]),
        inception([64, 48, 96, 16, 32, 40]),
    ]
}

/// Modules without bottlenecks: what the 1x1 reductions save.
fn inception_naive() -> Vec<Block> {
    vec![
        conv(16, 3, 1),
        inception([8, 0, 16, 0, 8, 0]),
        pool(3, 2),
        inception([16, 0, 24, 0, 8, 0]),
        pool(3, 2),
        inception([24, 0, 32, 0, 16, 0]),
    ]
}

/// Inception v1: the stem, nine modules, global average pool.
fn googlenet() -> Vec<Block> {
    vec![
        conv(64, 7, 2),
        pool(3, 2),
        conv(64, 1, 1),
        conv(192, 3, 1),
        pool(3, 2),
        inception([64, 96, 128, 16, 32, 32]),
        inception([128, 128, 192, 32, 96, 64]),
        pool(3, 2),
        inception([192, 96, 208, 16, 48, 64]),
        inception([160, 112, 224, 24, 64, 64]),
        inception([128, 128, 256, 24, 64, 64]),
        inception([112, 144, 288, 32, 64, 64]),
        inception([256, 160, 320, 32, 128, 128]),
        pool(3, 2),
        inception([256, 160, 320, 32, 128, 128]),
        inception([384, 192, 384, 48, 128, 128]),
    ]
}
