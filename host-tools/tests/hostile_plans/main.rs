//! Random networks, planned in every way: all plans compute what a plan without sharing computes, and a plan that was
//! bent is refused or computes the same.

#[path = "../halved/mod.rs"]
mod halved;
mod random;

use kinglet::format::crc32;
use kinglet::format::layout::{header, step, tensor};
use kinglet::kernels::algorithms::ConvAlgorithm;
use kinglet::{DType, Fault, Model};
use kinglet::{Progress, Raw, Session};
use kinglet_tools::export::{self, ExportError, Exported, Options};
use kinglet_tools::network::Network;
use kinglet_tools::plan::{self, Streaming};
use proptest::prelude::*;
use random::Gene;

/// One test binary, many cases: the networks are small. `PROPTEST_CASES` asks for more.
fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { cases };
    ProptestConfig { cases, failure_persistence: None, ..default }
}

fn genes() -> impl Strategy<Value = Vec<Gene>> {
    prop::collection::vec(any::<Gene>(), 2..15)
}

/// The network of some genes, in int8 or in float16.
fn network(genes: &[Gene], half: bool) -> Network {
    let network = random::network(genes);
    if half { halved::halved(network) } else { network }
}

/// The bytes of an input.
fn input(model: &Model<'_>, seed: u32) -> Vec<u8> {
    let numbers = random::numbers(model.input().span(), seed);
    let mut bytes: Vec<u8> = numbers.into_iter().map(|x| x as u8).collect();
    if model.input().dtype == DType::F16 {
        halved::tame(&mut bytes);
    }
    bytes
}

/// Two inferences in one session, so that the second starts on what the first left behind.
fn run(bytes: &[u8], seed: u32) -> Vec<u8> {
    let model = Model::new(bytes).expect("accepted");
    let mut arena = vec![0x5au128 << 100 | 77; model.arena_len().div_ceil(16)];
    let mut session = Session::open(model, bytemuck::cast_slice_mut(&mut arena)).expect("fits");
    let input = input(&model, seed);
    let once = session.infer(Raw(&input)).expect("fits").bytes().to_vec();
    assert_eq!(session.infer(Raw(&input)).expect("fits").bytes(), once, "the second inference");
    assert_eq!(run_split(&model, &input), once, "in two memories");
    let mut inference = session.start(Raw(&input)).expect("fits");
    for rows in (0..).map(|slice: u32| seed.rotate_left(slice % 32) % 5) {
        if inference.rows(rows) == Progress::Done {
            break;
        }
    }
    assert_eq!(inference.finish().expect("no fault").bytes(), once, "in slices");
    once
}

/// An inference with the two memories of the arena apart.
fn run_split(model: &Model<'_>, input: &[u8]) -> Vec<u8> {
    let [mut fast, mut slow] =
        [model.fast_len(), model.slow_len()].map(|len| vec![0x5au128 << 100 | 77; len.div_ceil(16)]);
    let (fast, slow) = (bytemuck::cast_slice_mut(&mut fast), bytemuck::cast_slice_mut(&mut slow));
    let mut session = Session::open_split(*model, fast, slow).expect("fits");
    session.infer(Raw(input)).expect("fits").bytes().to_vec()
}

fn export(network: &Network, streaming: Streaming, ram: Option<u32>, algorithm: Option<ConvAlgorithm>) -> Exported {
    let plan = plan::Options { streaming, ram, ..plan::Options::default() };
    export::to_bytes(network, &Options { plan, algorithm, ..Options::default() }).expect("exports")
}

/// What the network computes when nothing shares a byte with anything.
fn apart(network: &Network, seed: u32) -> Vec<u8> {
    let plan = plan::Options { streaming: Streaming::Steps, apart: true, ..plan::Options::default() };
    let options = Options { plan, algorithm: Some(ConvAlgorithm::Direct), ..Options::default() };
    run(&export::to_bytes(network, &options).expect("exports").bytes, seed)
}

const MODES: [Streaming; 3] = [Streaming::Steps, Streaming::Off, Streaming::Full];

const ALGORITHMS: [ConvAlgorithm; 15] = [
    ConvAlgorithm::Direct,
    ConvAlgorithm::Gemm8,
    ConvAlgorithm::GemmPaired,
    ConvAlgorithm::Gemm16,
    ConvAlgorithm::GemmBytes,
    ConvAlgorithm::Tiled { rows: 1, parts: 1 },
    ConvAlgorithm::Tiled { rows: 1, parts: 3 },
    ConvAlgorithm::Tiled { rows: 3, parts: 1 },
    ConvAlgorithm::TiledPaired { rows: 1, parts: 3 },
    ConvAlgorithm::TiledPaired { rows: 3, parts: 1 },
    ConvAlgorithm::Winograd2,
    ConvAlgorithm::Winograd2AtRunTime { tile_rows: 1 },
    ConvAlgorithm::Winograd2AtRunTime { tile_rows: 2 },
    ConvAlgorithm::Winograd4,
    ConvAlgorithm::Stride2,
];

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn every_plan_computes_the_same(genes in genes(), half: bool, seed: u32, algorithm in 0usize..ALGORITHMS.len(), share in 0u32..100) {
        let network = network(&genes, half);
        network.validate().expect("valid");
        let expected = apart(&network, seed);
        let mut sizes = Vec::new();
        for streaming in MODES {
            let exported = export(&network, streaming, None, None);
            prop_assert_eq!(&run(&exported.bytes, seed), &expected, "{:?}", streaming);
            prop_assert!(exported.plan.lower_bound <= exported.plan.arena_len);
            let model = Model::new(&exported.bytes).expect("accepted");
            prop_assert!(plan::lower_bound(&model) as usize <= model.arena_len());
            sizes.push(exported.plan.arena_len);
        }
        let forced = export(&network, Streaming::Full, None, Some(ALGORITHMS[algorithm]));
        prop_assert_eq!(&run(&forced.bytes, seed), &expected, "{:?}", ALGORITHMS[algorithm]);
        // A budget between the least and the most.
        let (least, most) = (sizes[2].min(sizes[0]), sizes[0].max(sizes[2]));
        let ram = least + (most - least) * share / 100;
        let plan = plan::Options { ram: Some(ram), ..Default::default() };
        match export::to_bytes(&network, &Options { plan, ..Options::default() }) {
            Ok(within) => {
                prop_assert!(within.plan.arena_len <= ram);
                prop_assert_eq!(&run(&within.bytes, seed), &expected, "{} bytes", ram);
            }
            Err(ExportError::Ram { needed, .. }) => prop_assert!(ram < sizes[2] && ram < needed),
            Err(error) => panic!("{error}"),
        }
    }
}

/// An arena in two memories, of which the fast one has `fast` bytes.
fn split(network: &Network, streaming: Streaming, fast: u32, ram: Option<u32>) -> Result<Exported, ExportError> {
    let plan = plan::Options { streaming, ram, fast: Some(fast), ..plan::Options::default() };
    export::to_bytes(network, &Options { plan, ..Options::default() })
}

proptest! {
    #![proptest_config(config(32))]

    /// The fast memory of any size, the slow one as small as can be, then of some size.
    #[test]
    fn two_memories_compute_the_same(genes in genes(), half: bool, seed: u32, mode in 0usize..3, share in 0u32..120, ram_share in 0u32..100) {
        let network = network(&genes, half);
        let expected = apart(&network, seed);
        let one = export(&network, MODES[mode], None, None).plan.arena_len;
        let fast = one * share / 100;
        let exported = split(&network, MODES[mode], fast, None).expect("without a budget everything fits");
        prop_assert_eq!(&run(&exported.bytes, seed), &expected);
        let least = &exported.plan;
        prop_assert!(least.fast_len <= fast);
        prop_assert!(least.arena_len >= least.lower_bound);
        // Below what the whole needs there is no plan; with what the least has left there is.
        let ram = one * ram_share / 100;
        match split(&network, MODES[mode], fast, Some(ram)) {
            Ok(within) => {
                prop_assert!(within.plan.fast_len <= fast && within.plan.slow_len() <= ram);
                prop_assert_eq!(&run(&within.bytes, seed), &expected, "{} bytes", ram);
            }
            Err(ExportError::Ram { needed, .. }) => prop_assert!(ram < least.slow_len() && ram < needed),
            Err(error) => panic!("{error}"),
        }
    }
}

/// The words of a file that are its plan: where each lies, and how large a number makes sense there.
fn plan_words(bytes: &[u8]) -> Vec<usize> {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
    let count = |at: u32| word(at as usize);
    let section = |index: u32| word((header::SECTIONS + 8 * index) as usize);
    let tensors = (0..count(header::TENSORS)).flat_map(|i| {
        let of = [
            tensor::OFFSET,
            tensor::OFFSET,
            tensor::PITCH,
            tensor::FIRST,
            tensor::READY,
            tensor::LAST,
            tensor::PARENT,
            tensor::ROWS,
        ];
        of.map(|word| section(0) + i * tensor::SIZE as usize + word as usize)
    });
    let steps = (0..count(header::STEPS)).flat_map(|i| {
        let of = [step::SCRATCH, step::SCRATCH + 4, step::TIME_SLOT, step::A, step::B, step::OUTPUT];
        of.map(|word| section(1) + i * step::SIZE as usize + word as usize)
    });
    tensors.chain(steps).chain([header::ARENA as usize, header::FAST as usize]).collect()
}

/// Gives a file the checksum of its bytes.
fn seal(bytes: &mut [u8]) {
    let at = header::CHECKSUM as usize;
    let crc = crc32(crc32(0, &bytes[..at]), &bytes[at + 4..]);
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

proptest! {
    #![proptest_config(config(32))]

    /// Any words of the plan are given other values, near the old ones or anywhere in the arena.
    #[test]
    fn a_bent_plan_is_refused_or_harmless(
        genes in genes(), half: bool, seed: u32, mode in 0usize..3, fast in prop::option::of(0u32..100),
        bends in prop::collection::vec(prop::collection::vec((any::<prop::sample::Index>(), any::<u32>(), 0u8..4), 1..3), 60),
    ) {
        let network = network(&genes, half);
        let mut exported = export(&network, MODES[mode], None, None);
        if let Some(share) = fast {
            exported = split(&network, MODES[mode], exported.plan.arena_len * share / 100, None).expect("exports");
        }
        let expected = apart(&network, seed);
        let words = plan_words(&exported.bytes);
        for bend in bends {
            let mut bytes = exported.bytes.clone();
            let mut wired = false;
            let mut changes = Vec::new();
            for (which, value, how) in bend {
                let at = words[which.index(words.len())];
                let old = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
                let new = match how {
                    0 => old.wrapping_add(value % 9).wrapping_sub(4),
                    1 => value % (exported.plan.arena_len + 64),
                    2 => value % (exported.plan.arena_len + 64) / 16 * 16,
                    _ => value % (exported.plan.tensors.len() as u32 + 2),
                };
                bytes[at..at + 4].copy_from_slice(&new.to_le_bytes());
                wired |= is_wiring(&bytes, at);
                changes.push((at, old, new));
            }
            seal(&mut bytes);
            match Model::new(&bytes) {
                // Another tensor of the same kind as operand is another network, not a bad plan: it only has to run.
                Ok(_) if wired => drop(run(&bytes, seed)),
                Ok(_) => prop_assert_eq!(&run(&bytes, seed), &expected, "{:?} {:?}", changes, exported.plan),
                Err(error) => prop_assert_ne!(error.fault, Fault::Checksum),
            }
        }
    }
}

/// The verifier lets scratch of no bytes lie anywhere, also within a tensor: so must the steps.
#[test]
fn scratch_of_no_bytes_is_harmless_anywhere() {
    let network = network(&[(198, [2, 3, 75], 0), (5, [0, 0, 0], 36_870)], false);
    let exported = export(&network, Streaming::Full, None, None);
    let expected = apart(&network, 0);
    let mut moved = 0;
    for (index, planned) in exported.plan.steps.iter().enumerate().filter(|(_, planned)| planned.scratch.len == 0) {
        for offset in (0..exported.plan.arena_len).step_by(16) {
            let mut bytes = exported.bytes.clone();
            let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
            let at = word((header::SECTIONS + 8) as usize) + index * step::SIZE as usize + step::SCRATCH as usize;
            bytes[at..at + 4].copy_from_slice(&offset.to_le_bytes());
            seal(&mut bytes);
            assert_eq!(run(&bytes, 0), expected, "{}: {offset}", planned.step);
            moved += 1;
        }
    }
    assert!(moved > 20, "{moved}");
}

/// Whether the word at `at` says which tensor a step reads or writes.
fn is_wiring(bytes: &[u8], at: usize) -> bool {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
    let steps = word((header::SECTIONS + 8) as usize);
    let in_steps = (steps..steps + word(header::STEPS as usize) * step::SIZE as usize).contains(&at);
    let of = (at - steps.min(at)) % step::SIZE as usize;
    in_steps && [step::A, step::B, step::OUTPUT].contains(&(of as u32))
}
