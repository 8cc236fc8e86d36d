//! The networks that come with Kinglet, as stacks of blocks.

use super::{Block, GraphError, Norm};

/// Every name that [`find`] knows.
pub const NAMES: [&str; 18] = [
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
    "googlenet-small",
    "network-in-network",
    "plain-nin",
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
        "inception-small" => ([32, 32, 3], inception_small(false)),
        "inception-naive" => ([32, 32, 3], inception_small(true)),
        "googlenet" => ([64, 64, 3], googlenet()),
        "googlenet-small" => ([32, 32, 3], googlenet_small()),
        "network-in-network" => ([32, 32, 3], network_in_network(false)),
        "plain-nin" => ([32, 32, 3], network_in_network(true)),
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

/// Six modules, about 0.22 M parameters, for 28x28 and 32x32 images. The naive twin has the same branches without the 1x1
/// convolutions before them: it shows what these save.
fn inception_small(naive: bool) -> Vec<Block> {
    let module = |[one, three_reduce, three, five_reduce, five, pool]: [u32; 6]| {
        let before = |filters| if naive { 0 } else { filters };
        inception([one, before(three_reduce), three, before(five_reduce), five, pool])
    };
    vec![
        conv(32, 3, 1),
        module([16, 16, 24, 4, 8, 8]),
        module([24, 24, 32, 8, 16, 8]),
        pool(3, 2),
        module([32, 24, 48, 8, 16, 16]),
        module([40, 32, 64, 8, 16, 24]),
        pool(3, 2),
        module([48, 40, 80, 12, 24, 32]),
        module([64, 48, 96, 16, 32, 40]),
    ]
}

/// Inception v1: the stem, nine modules, global average pool.
fn googlenet() -> Vec<Block> {
    let stem = [conv(64, 7, 2), pool(3, 2), conv(64, 1, 1), conv(192, 3, 1), pool(3, 2)];
    stem.into_iter().chain(nine_modules()).collect()
}

/// Inception v1 for small images: its nine modules, behind a stem that halves the map once and not three times.
fn googlenet_small() -> Vec<Block> {
    [conv(64, 3, 1), conv(192, 3, 2)].into_iter().chain(nine_modules()).collect()
}

fn nine_modules() -> [Block; 11] {
    [
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

/// "Network In Network" for CIFAR-10: three mlpconv layers and global average pooling. The last 1x1 convolution, to one map
/// per class, is the classifier behind the pool, which is the same function at less cost. The plain twin has one
/// convolution in each layer's place.
fn network_in_network(plain: bool) -> Vec<Block> {
    let mlpconv = |filters, kernel, micro: &[u32]| Block::Mlpconv { filters, kernel, micro: micro.to_vec(), plain };
    vec![
        mlpconv(192, 5, &[160, 96]),
        pool(3, 2),
        mlpconv(192, 5, &[192, 192]),
        Block::AveragePool { kernel: 3, stride: 2 },
        mlpconv(192, 3, &[192]),
    ]
}
