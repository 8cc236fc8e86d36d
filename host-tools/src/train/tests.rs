use super::*;
use crate::data::{Dataset, Source};
use crate::graph::{Block, NetworkRecipe, Norm};

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

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let (mut recipe, data) = tiny();
    recipe.average = Some(0.9);
    for optimizer in [Optimizer::default(), toml::from_str("adamw = {}").unwrap()] {
        recipe.optimizer = optimizer;
        let whole = train(&recipe, &data);
        let folder = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(folder.path());
        let mut trainer = Trainer::new(&recipe, &data).unwrap();
        // Stop it in the middle: as soon as the second epoch's checkpoint is there, the third one is thrown away.
        let stop = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            trainer.train(Some(&folder), |event| {
                if matches!(event, Event::Epoch(epoch) if epoch.epoch == 3) {
                    std::panic::resume_unwind(Box::new("stopped"));
                }
            })
        }));
        assert!(stop.is_err());
        let mut resumed = folder.resume(&data).unwrap();
        assert_eq!(resumed.history.len(), 2);
        resumed.train(Some(&folder), |_| ()).unwrap();
        let resumed = resumed.finish();
        assert_eq!(resumed.params, whole.params);
        let accuracies = |trained: &Trained| trained.history.iter().map(|e| e.test_accuracy).collect::<Vec<_>>();
        assert_eq!(accuracies(&resumed), accuracies(&whole));
        folder.finish(&resumed).unwrap();
        assert_eq!(folder.recipe().unwrap(), whole.recipe);
        folder.write_confusion(&resumed, &data).unwrap();
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
    refused(&|recipe| recipe.network.zoo = Some("resnet8".to_string()), "zoo");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.toml");
    std::fs::write(&path, "epochs = 3\nnetwrok = {}\n").unwrap();
    let error = recipe_from(&path).unwrap_err().to_string();
    assert!(error.contains("bad.toml") && error.contains("netwrok"), "{error}");
    assert_eq!(toml::from_str::<Recipe>(&toml::to_string(&recipe).unwrap()).unwrap(), recipe);
    assert_eq!(recipe.data, Source::Digits);
}
