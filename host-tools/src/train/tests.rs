use super::*;
use crate::data::{Dataset, Source};
use crate::deploy;
use crate::graph::{Block, NetworkRecipe, Norm, StoredWeights};
use crate::{quantize, simulate};

/// A few digits and a small network: seconds, even unoptimized.
fn tiny() -> (Recipe, Dataset) {
    let all = Dataset::digits().unwrap();
    let some = |split: &crate::data::Split, step| split.select(&(0..split.len()).step_by(step).collect::<Vec<_>>());
    let data = Dataset { train: some(&all.train, 7), test: some(&all.test, 7), ..all };
    let network = NetworkRecipe {
        name: Some("tiny".to_string()),
        input: Some([8, 8, 1]),
        blocks: vec![
            Block::Residual { filters: 4, stride: 2, shortcut: true, norm: Norm::Batch },
            Block::Inception { one: 4, three_reduce: 0, three: 4, five_reduce: 0, five: 4, pool: 4, without: None },
        ],
        ..NetworkRecipe::default()
    };
    let recipe = Recipe { epochs: 5, batch: 16, network, ..Recipe::for_network("digits-resnet") };
    (recipe, data)
}

fn train(recipe: &Recipe, data: &Dataset) -> Trained {
    let mut trainer = Trainer::new(recipe, data).unwrap();
    trainer.train(None, |_| ()).unwrap();
    trainer.finish()
}

#[test]
fn learns_and_repeats_bit_for_bit_on_any_number_of_threads() {
    let (recipe, data) = tiny();
    let trained = train(&recipe, &data);
    let losses: Vec<f64> = trained.history.iter().map(|epoch| epoch.loss).collect();
    assert!(losses.is_sorted_by(|a, b| a > b) && trained.accuracy() > 0.3, "{losses:?}, {}", trained.accuracy());
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let again = pool.install(|| train(&recipe, &data));
        assert_eq!(again.params, trained.params, "{threads} threads");
    }
    let other = train(&Recipe { seed: 2, ..recipe }, &data);
    assert_ne!(other.params, trained.params);
}

/// Stops in the middle: as soon as an epoch's checkpoint is there, the next one, `thrown`, is thrown away.
fn stop_at(trainer: &mut Trainer<'_>, folder: &RunFolder, thrown: usize) {
    let stop = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        trainer.train(Some(folder), |event| {
            if matches!(event, Event::Epoch(epoch) if epoch.epoch == thrown) {
                std::panic::resume_unwind(Box::new("stopped"));
            }
        })
    }));
    assert!(stop.is_err());
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let (mut recipe, data) = tiny();
    recipe.average = Some(0.9);
    let adamw = || toml::from_str("adamw = {}").unwrap();
    let qat = || Qat { epochs: Some(3), fallback: false, ..Qat::default() };
    // In float, in the middle of quantization-aware training, and where the one becomes the other.
    let cases = [
        (Optimizer::default(), None, 3),
        (adamw(), None, 3),
        (adamw(), Some(qat()), 7),
        (Optimizer::default(), Some(qat()), 6),
    ];
    for (optimizer, qat, thrown) in cases {
        (recipe.optimizer, recipe.qat) = (optimizer, qat);
        let whole = train(&recipe, &data);
        let folder = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(folder.path());
        let mut trainer = Trainer::new(&recipe, &data).unwrap();
        stop_at(&mut trainer, &folder, thrown);
        let mut resumed = folder.resume(&data).unwrap();
        assert_eq!(resumed.history.len(), thrown - 1);
        resumed.train(Some(&folder), |_| ()).unwrap();
        let resumed = resumed.finish();
        assert_eq!(resumed.params, whole.params);
        let accuracies = |trained: &Trained| trained.history.iter().map(|e| e.test_accuracy).collect::<Vec<_>>();
        assert_eq!(accuracies(&resumed), accuracies(&whole));
        folder.finish(&resumed).unwrap();
        assert_eq!(folder.recipe().unwrap(), whole.recipe);
        folder.write_errors(&resumed, &data).unwrap();
        let counts: u32 = std::fs::read_to_string(folder.file("confusion.csv"))
            .unwrap()
            .lines()
            .skip(1)
            .flat_map(|line| line.split(',').skip(1).map(|count| count.parse::<u32>().unwrap()).collect::<Vec<_>>())
            .sum();
        assert_eq!(counts as usize, data.test.len());
        for picture in ["curves.svg", "confusion.svg"] {
            assert!(std::fs::read_to_string(folder.file(picture)).unwrap().starts_with("<svg"), "{picture}");
        }
        let stored = crate::graph::load(&folder.file("weights.safetensors")).unwrap();
        assert_eq!((stored.params, stored.graph), (whole.params, whole.graph));
    }
}

/// What is trained as parallel branches is stored, tuned and shipped as the plain network, and says the same.
#[test]
fn branches_are_merged_when_training_ends() {
    let (recipe, data) = tiny();
    let network = NetworkRecipe { reparameterize: true, ..recipe.network.clone() };
    let recipe = Recipe { epochs: 3, network, ..recipe };
    let float = train(&recipe, &data);
    let plain = Trainer::new(&Recipe { network: recipe.network.merged(), ..recipe.clone() }, &data).unwrap();
    assert_eq!(&float.graph, plain.graph());
    let merged = accuracy(&float.graph, &float.params, &data.test).unwrap();
    assert!((merged - float.accuracy()).abs() < 1.5 / data.test.len() as f64, "{merged}");

    let folder = tempfile::tempdir().unwrap();
    let run = RunFolder::new(folder.path());
    run.finish(&float).unwrap();
    let model = crate::graph::load(&run.file("weights.safetensors")).unwrap();
    assert_eq!((model.params, model.recipe), (float.params.clone(), recipe.network.merged()));
    assert_eq!(run.recipe().unwrap().network, recipe.network);

    // Quantization-aware training goes on without branches, at once, from a run and from a checkpoint.
    let recipe = Recipe { qat: Some(Qat { epochs: Some(2), fallback: false, ..Qat::default() }), ..recipe };
    let whole = train(&recipe, &data);
    let mut tuned = Trainer::tune(&recipe, &data, &float.model(), float.history.clone()).unwrap();
    tuned.train(None, |_| ()).unwrap();
    assert_eq!(tuned.finish().params, whole.params);
    let mut tuned = Trainer::tune(&recipe, &data, &float.model(), float.history.clone()).unwrap();
    stop_at(&mut tuned, &run, 5);
    let mut resumed = run.resume(&data).unwrap();
    resumed.train(None, |_| ()).unwrap();
    assert_eq!(resumed.finish().params, whole.params);
}

/// A run that learns from another one: in float and in int8, on any number of threads, stopped and resumed.
#[test]
fn a_teacher_counts_and_changes_no_promise() {
    let (recipe, data) = tiny();
    let place = tempfile::tempdir().unwrap();
    let teacher = RunFolder::new(&place.path().join("teacher"));
    let pupil = Recipe { epochs: 2, qat: Some(Qat { epochs: Some(2), fallback: false, ..Qat::default() }), ..recipe };
    let taught = Recipe { distill: Some(Distill::from(&teacher.file(""))), ..pupil.clone() };
    let error = Trainer::new(&taught, &data).unwrap_err().to_string();
    assert!(error.contains("teacher/weights.safetensors"), "{error}");

    let large =
        Recipe { network: NetworkRecipe { width: Some(2.0), ..pupil.network.clone() }, qat: None, ..pupil.clone() };
    // The teacher's own way to normalize pixels is kept.
    let preprocess = Some(crate::graph::Preprocess { mean: vec![0.2], std: vec![0.5] });
    teacher.finish(&train(&Recipe { preprocess, ..large.clone() }, &data)).unwrap();
    let whole = train(&taught, &data);
    assert_ne!(whole.history[0].loss, train(&pupil, &data).history[0].loss);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| train(&taught, &data)).params, whole.params, "{threads} threads");
    }
    for thrown in [2, 4] {
        let folder = RunFolder::new(&place.path().join(thrown.to_string()));
        stop_at(&mut Trainer::new(&taught, &data).unwrap(), &folder, thrown);
        let mut resumed = folder.resume(&data).unwrap();
        resumed.train(None, |_| ()).unwrap();
        assert_eq!(resumed.finish().params, whole.params);
    }
    teacher.finish(&train(&Recipe { seed: 2, ..large }, &data)).unwrap();
    let error = RunFolder::new(&place.path().join("2")).resume(&data).unwrap_err().to_string();
    assert!(error.contains("teacher"), "{error}");
    let others = Dataset { classes: (10..20).map(|class| class.to_string()).collect(), ..data };
    let error = Trainer::new(&taught, &others).unwrap_err().to_string();
    assert!(error.contains("classes"), "{error}");
}

#[test]
fn a_stack_of_blocks_in_toml_trains() {
    let (_, data) = tiny();
    let recipe: Recipe = toml::from_str(
        r#"
        epochs = 1
        batch = 16
        data = "digits"
        optimizer = { adamw = { weight_decay = 0.01 } }
        schedule = { one_cycle = { peak = 0.01 } }
        augment = { crop = 1, cutout = 2, brightness = 0.1, contrast = 0.1 }
        qat = { calibrate = "percentile:99.9", schedule = { constant = { rate = 1e-4 } } }
        class_weights = [1, 1, 1, 1, 1, 1, 1, 1, 2, 1]
        label_smoothing = 0.1
        patience = 3

        [network]
        name = "mine"
        blocks = [
            { conv = { filters = 4 } },
            { residual = { filters = 4, shortcut = false } },
            { residual = { filters = 6, stride = 2 } },
            { bottleneck = { filters = 2 } },
            { inception = { one = 2, three_reduce = 2, three = 2, five_reduce = 2, five = 2, pool = 2 } },
            { max_pool = { kernel = 2, stride = 2 } },
            { dense = { units = 12 } },
        ]
        "#,
    )
    .unwrap();
    let trained = train(&recipe, &data);
    assert_eq!(trained.history.len(), 2);
    assert!(trained.history[0].loss.is_finite() && trained.params.iter().all(|(_, a)| a.iter().all(|w| w.is_finite())));
    assert_eq!((trained.graph.name.as_str(), trained.graph.node(trained.graph.output()).shape.c), ("mine", 10));
}

#[test]
fn divergence_names_layer_and_step() {
    let (mut recipe, data) = tiny();
    recipe.schedule = Schedule::Constant { rate: 1e30 };
    let mut trainer = Trainer::new(&recipe, &data).unwrap();
    let error = trainer.train(None, |_| ()).unwrap_err();
    let TrainError::Diverged { layer, epoch: 1, .. } = &error else { panic!("{error}") };
    assert!(!layer.is_empty());
    assert!(error.to_string().contains("step"), "{error}");
}

#[test]
fn bad_recipes_are_refused() {
    let (recipe, data) = tiny();
    let refused = |change: &dyn Fn(&mut Recipe), word: &str| {
        let mut recipe = recipe.clone();
        change(&mut recipe);
        let error = Trainer::new(&recipe, &data).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    };
    refused(&|recipe| recipe.epochs = 0, "epochs");
    refused(&|recipe| recipe.class_weights = vec![1.0; 3], "class_weights");
    refused(&|recipe| recipe.schedule = Schedule::Constant { rate: f64::NAN }, "rate");
    refused(&|recipe| recipe.qat = Some(Qat { epochs: Some(0), ..Qat::default() }), "qat");
    refused(&|recipe| recipe.qat = Some(Qat { range_rate: 1.5, ..Qat::default() }), "range_rate");
    refused(&|recipe| recipe.qat = Some(Qat { bits: 5, ..Qat::default() }), "bits");
    let layer = |name: &str, bits| Some(Qat { layer_bits: [(name.to_owned(), bits)].into(), ..Qat::default() });
    refused(&|recipe| recipe.qat = layer("logits", 2), "bits");
    refused(&|recipe| recipe.distill = Some(Distill { weight: 2.0, ..Distill::from("t".as_ref()) }), "distill");
    refused(&|recipe| recipe.network.zoo = Some("resnet8".to_string()), "zoo");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.toml");
    std::fs::write(&path, "epochs = 3\nnetwrok = {}\n").unwrap();
    let error = recipe_from(&path).unwrap_err().to_string();
    assert!(error.contains("bad.toml") && error.contains("netwrok"), "{error}");
    assert_eq!(toml::from_str::<Recipe>(&toml::to_string(&recipe).unwrap()).unwrap(), recipe);
    assert_eq!(recipe.data, Source::Digits);
}

/// A tiny network in float, and what a recipe makes of it that goes on in int8.
fn tuned() -> (Recipe, Dataset, Trained) {
    let (recipe, data) = tiny();
    let schedule = Some(Schedule::Cosine { peak: 0.0025, warm_up: 0.0 });
    let recipe = Recipe { qat: Some(Qat { epochs: Some(3), schedule, fallback: false, ..Qat::default() }), ..recipe };
    let tuned = train(&recipe, &data);
    (recipe, data, tuned)
}

#[test]
fn quantization_aware_training_starts_from_a_run_as_if_it_had_never_ended() {
    let (recipe, data, tuned) = tuned();
    assert_eq!((tuned.float_epochs, tuned.history.len()), (Some(5), 8));
    assert!(tuned.history[7].loss < tuned.history[4].loss, "{:?}", tuned.history);

    let folder = tempfile::tempdir().unwrap();
    let run = RunFolder::new(folder.path());
    let float = train(&Recipe { qat: None, ..recipe.clone() }, &data);
    run.finish(&float).unwrap();
    let model = crate::graph::load(&run.file("weights.safetensors")).unwrap();
    assert_eq!(tuned.float_accuracy(), Some(float.accuracy()));
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let again = pool.install(|| {
            let mut trainer = Trainer::tune(&recipe, &data, &model, run.history().unwrap()).unwrap();
            trainer.train(None, |_| ()).unwrap();
            trainer.finish()
        });
        assert_eq!(again.params, tuned.params, "{threads} threads");
        assert_eq!(again.recipe, tuned.recipe);
    }
    assert!(tuned.params.iter().any(|(name, array)| {
        let kind = name.rsplit('.').next();
        kind == Some("weight") && float.params.get(name) != Some(array)
    }));
    let frozen = ["gamma", "mean", "variance"];
    for (name, array) in float.params.iter().filter(|(name, _)| frozen.iter().any(|kind| name.ends_with(kind))) {
        assert_eq!(tuned.params.get(name), Some(array), "{name}");
    }
    let error = Trainer::tune(&recipe, &data, &tuned.model(), tuned.history.clone()).unwrap_err().to_string();
    assert!(error.contains("already"), "{error}");
    let other = Recipe { network: NetworkRecipe::zoo("digits-resnet"), ..recipe };
    let error = Trainer::tune(&other, &data, &model, float.history).unwrap_err().to_string();
    assert!(error.contains("digits-resnet"), "{error}");
}

/// All layers but the first and the last have weights of 4 bits, in training as in the runtime, with the steps that were trained.
#[test]
fn weights_of_four_bits_are_exported_as_they_were_trained() {
    let (recipe, data) = tiny();
    let layer_bits = [("nowhere".to_owned(), 4)].into();
    let wrong = Recipe { qat: Some(Qat { layer_bits, ..Qat::default() }), epochs: 1, ..recipe.clone() };
    let error = Trainer::new(&wrong, &data).unwrap().train(None, |_| ()).unwrap_err().to_string();
    assert!(error.contains("`nowhere`") && error.contains("logits"), "{error}");
    let qat = Some(Qat { epochs: Some(2), bits: 4, fallback: false, ..Qat::default() });
    let tuned = train(&Recipe { qat, ..recipe }, &data);
    let model = tuned.model();
    for (name, steps) in model.params.iter().filter(|(name, _)| name.ends_with(".step")) {
        let mut started = model.params.clone();
        quantize::trained::insert_steps(&mut started, &model.graph, name.strip_suffix(".step").unwrap()).unwrap();
        assert_ne!(started.get(name), Some(steps), "{name} was not trained");
    }
    let prepared = deploy::prepare(&model.graph, &model.params, &data.train, &deploy::Options::default()).unwrap();
    let network = prepared.network();
    let weights = network.nodes.iter().filter_map(|node| match node.op.weights()? {
        StoredWeights::Int8 { weights, .. } => Some(weights.iter().map(|weight| weight.abs()).max().unwrap()),
        StoredWeights::F16 { .. } | StoredWeights::Uint8 { .. } => None,
    });
    let largest: Vec<i8> = weights.collect();
    let last = largest.len() - 1;
    assert!(last > 1 && largest[1..last].iter().all(|&most| most <= 7), "{largest:?}");
    assert!(largest[0] > 7 && largest[last] > 7, "{largest:?}");
    let exported = crate::export::to_bytes(&network, &crate::export::Options::default()).unwrap();
    let model = kinglet::Model::new(&exported.bytes).unwrap();
    let outputs = simulate::run(model, &simulate::Images::Pixels(data.test.images.clone())).unwrap();
    let labels: Vec<usize> = data.test.labels.iter().map(|&label| label.into()).collect();
    assert!((simulate::accuracy(&outputs, &labels) - 100.0 * tuned.accuracy()).abs() < 1e-9);
}

/// The accuracy that training reports is the exported model's, with the ranges that were trained.
#[test]
fn a_tuned_run_exports_what_was_trained() {
    let (_, data, tuned) = tuned();
    let folder = tempfile::tempdir().unwrap();
    let run = RunFolder::new(folder.path());
    run.finish(&tuned).unwrap();
    let stored = crate::graph::load(&run.file("weights.safetensors")).unwrap();
    assert_eq!(stored.params, tuned.params);
    let mut options = deploy::Options::default();
    let network = deploy::prepare(&stored.graph, &stored.params, &data.train, &options).unwrap().network();
    for tensor in &network.tensors {
        let range = stored.params.get(&format!("range/{}", tensor.name)).unwrap();
        let scale = (f64::from(range[1]) - f64::from(range[0])) / 255.0;
        assert_eq!(tensor.quant.scale, scale as f32, "{}", tensor.name);
    }
    let exported = crate::export::to_bytes(&network, &crate::export::Options::default()).unwrap();
    let model = kinglet::Model::new(&exported.bytes).unwrap();
    let outputs = simulate::run(model, &simulate::Images::Pixels(data.test.images.clone())).unwrap();
    let labels: Vec<usize> = data.test.labels.iter().map(|&label| label.into()).collect();
    assert!((simulate::accuracy(&outputs, &labels) - 100.0 * tuned.accuracy()).abs() < 1e-9);
    let found = predictions(&stored.graph, &stored.params, &data.test).unwrap();
    for (row, found) in outputs.outer_iter().zip(found) {
        assert!(row.iter().all(|q| *q <= row[found]));
    }
    // Calibrated anew, the ranges are others.
    options.quantize.anew = true;
    let anew = deploy::prepare(&stored.graph, &stored.params, &data.train, &options).unwrap().network();
    assert_ne!(anew.tensors, network.tensors);
}

/// Steps that are far too large: what comes out is the network before, and so it does from a checkpoint.
#[test]
fn quantization_aware_training_that_loses_is_dropped() {
    let (recipe, data) = tiny();
    let schedule = Some(Schedule::Constant { rate: 0.5 });
    let recipe = Recipe { qat: Some(Qat { epochs: Some(2), schedule, ..Qat::default() }), ..recipe };
    let float = train(&Recipe { qat: None, ..recipe.clone() }, &data);
    let trained = train(&recipe, &data);
    let untuned = trained.untuned.clone().unwrap();
    assert!(untuned.is_kept && untuned.accuracy > trained.history[6].test_accuracy, "{:?}", trained.history);
    assert_eq!((&trained.params, trained.accuracy()), (&float.params, untuned.accuracy));
    let network =
        deploy::prepare(&trained.graph, &trained.params, &data.train, &deploy::Options::default()).unwrap().network();
    let exported = crate::export::to_bytes(&network, &crate::export::Options::default()).unwrap();
    let images = simulate::Images::Pixels(data.test.images.clone());
    let outputs = simulate::run(kinglet::Model::new(&exported.bytes).unwrap(), &images).unwrap();
    let labels: Vec<usize> = data.test.labels.iter().map(|&label| label.into()).collect();
    assert!((simulate::accuracy(&outputs, &labels) - 100.0 * trained.accuracy()).abs() < 1e-9);

    let place = tempfile::tempdir().unwrap();
    let folder = RunFolder::new(place.path());
    stop_at(&mut Trainer::new(&recipe, &data).unwrap(), &folder, 7);
    let mut resumed = folder.resume(&data).unwrap();
    resumed.train(None, |_| ()).unwrap();
    assert_eq!(resumed.finish().params, float.params);
}

#[test]
fn divergence_of_quantization_aware_training_names_a_layer_too() {
    let (recipe, data) = tiny();
    let qat = Qat { schedule: Some(Schedule::Constant { rate: 1e30 }), ..Qat::default() };
    let mut trainer = Trainer::new(&Recipe { epochs: 1, qat: Some(qat), ..recipe }, &data).unwrap();
    let error = trainer.train(None, |_| ()).unwrap_err();
    let TrainError::Diverged { layer, epoch: 2, .. } = &error else { panic!("{error}") };
    assert!(!layer.is_empty() && error.to_string().contains("step"), "{error}");
}

/// Ranges that cut off a tenth of all numbers ruin the network; ranges and weights find back in training.
#[test]
fn quantization_aware_training_mends_what_calibration_breaks() {
    let digits = Recipe::for_network("digits-resnet");
    let network = NetworkRecipe { width: Some(0.5), ..digits.network };
    let recipe = Recipe { epochs: 4, network, augment: Augment::default(), ..digits };
    let data = recipe.data.load().unwrap();
    let float = train(&recipe, &data);
    let calibrate: quantize::Calibration = "percentile:90".parse().unwrap();
    let options = quantize::Options { calibration: calibrate, ..quantize::Options::default() };
    let options = deploy::Options { quantize: options, ..deploy::Options::default() };
    let network = deploy::prepare(&float.graph, &float.params, &data.train, &options).unwrap().network();
    let exported = crate::export::to_bytes(&network, &crate::export::Options::default()).unwrap();
    let model = kinglet::Model::new(&exported.bytes).unwrap();
    let outputs = simulate::run(model, &simulate::Images::Pixels(data.test.images.clone())).unwrap();
    let labels: Vec<usize> = data.test.labels.iter().map(|&label| label.into()).collect();
    let broken = simulate::accuracy(&outputs, &labels) / 100.0;

    let qat = Some(Qat { epochs: Some(2), calibrate, ..Qat::default() });
    let mut trainer = Trainer::tune(&Recipe { qat, ..recipe }, &data, &float.model(), float.history.clone()).unwrap();
    trainer.train(None, |_| ()).unwrap();
    let (float, mended) = (float.accuracy(), trainer.finish().accuracy());
    assert!(broken < float - 0.3 && mended > float - 0.02, "float {float}, int8 {broken}, trained {mended}");
}

/// Steps that are too large: accuracies go up and down.
#[test]
fn patience_keeps_the_best_weights_also_when_resumed() {
    let (recipe, data) = tiny();
    let run = |seed| {
        let schedule = Schedule::Constant { rate: 0.1 };
        let recipe = Recipe { epochs: 20, patience: Some(2), schedule, seed, ..recipe.clone() };
        let whole = train(&recipe, &data);
        let accuracies: Vec<f64> = whole.history.iter().map(|epoch| epoch.test_accuracy).collect();
        (recipe, whole, accuracies)
    };
    // By some seeds the last epoch is as good as the best one.
    let best = |accuracies: &[f64]| accuracies.iter().copied().fold(0.0, f64::max);
    let is_telling = |accuracies: &[f64]| accuracies.len() < 20 && accuracies[accuracies.len() - 1] < best(accuracies);
    let (recipe, whole, accuracies) = (1..9).map(run).find(|(.., accuracies)| is_telling(accuracies)).unwrap();
    let best = best(&accuracies);
    assert_eq!((whole.accuracy(), accuracy(&whole.graph, &whole.params, &data.test).unwrap()), (best, best));

    let folder = tempfile::tempdir().unwrap();
    let folder = RunFolder::new(folder.path());
    let mut trainer = Trainer::new(&recipe, &data).unwrap();
    stop_at(&mut trainer, &folder, accuracies.len());
    let mut resumed = folder.resume(&data).unwrap();
    resumed.train(Some(&folder), |_| ()).unwrap();
    let resumed = resumed.finish();
    assert_eq!((&resumed.params, resumed.accuracy()), (&whole.params, best));
    // The loss is that of the probabilities.
    let logits = crate::layers::logits(&whole.graph, &whole.params, &data.test.images.view()).unwrap();
    let kept = history::kept(&whole.history, recipe.patience).unwrap();
    let losses = logits.outer_iter().zip(&data.test.labels).map(|(row, &label)| {
        let sum: f64 = row.iter().map(|logit| f64::from(*logit).exp()).sum();
        sum.ln() - f64::from(row[usize::from(label)])
    });
    let mean = losses.sum::<f64>() / data.test.len() as f64;
    assert!((kept.test_loss.unwrap() - mean).abs() < 1e-6 * mean, "{kept:?}, {mean}");
}
