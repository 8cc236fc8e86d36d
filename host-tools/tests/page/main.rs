//! The runtime in a page: its bytes are the host's, and the pages around it work in a real browser.
//!
//! `KINGLET_WASM` names a module to be tested beside the committed one: CI's own build.

mod browser;
#[path = "../needs/mod.rs"]
mod needs;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use browser::Browser;
use kinglet::{Dynamic, Model, Pixels, Raw, Session};
use kinglet_tools::confidence;
use kinglet_tools::data::Source;
use kinglet_tools::report::{base64, live, page};
use kinglet_tools::site;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SHIPPED: [&str; 8] = [
    "cifar10-googlenet",
    "cifar10-inception",
    "cifar10-network-in-network",
    "cifar10-resnet8",
    "digits-inception",
    "digits-resnet",
    "fashion-inception",
    "signs-resnet50",
];

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn shipped(name: &str) -> Vec<u8> {
    fs::read(root(&format!("models/{name}/{name}.kgl"))).unwrap()
}

/// Runs a model on the host.
fn infer(file: &[u8], pixels: bool, input: &[u8]) -> Vec<u8> {
    let mut memory = vec![0u128; file.len().div_ceil(16)];
    bytemuck::cast_slice_mut(&mut memory)[..file.len()].copy_from_slice(file);
    let model = Model::new(&bytemuck::cast_slice(&memory)[..file.len()]).unwrap();
    let mut arena = vec![0u128; model.arena_len().div_ceil(16)];
    let mut session = Session::<Dynamic>::open(model, bytemuck::cast_slice_mut(&mut arena)).unwrap();
    let output = if pixels { session.infer(Pixels(input)) } else { session.infer(Raw(input)) };
    output.unwrap().bytes().to_vec()
}

/// The modules: the committed one, and that of `KINGLET_WASM`.
fn modules() -> Vec<Vec<u8>> {
    let fresh = env::var_os("KINGLET_WASM").map(|path| fs::read(path).unwrap());
    std::iter::once(live::MODULE.to_vec()).chain(fresh).collect()
}

/// The shipped models on random inputs, as a file of vectors.
fn shipped_vectors() -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(24);
    let mut cases = Vec::new();
    for name in SHIPPED {
        let file = shipped(name);
        let len = Model::new(&file).unwrap().input_bytes();
        for _ in 0..3 {
            let input: Vec<u8> = (0..len).map(|_| rng.random()).collect();
            let output = infer(&file, false, &input);
            cases.push([file.clone(), input, output]);
        }
    }
    let mut table = [b"KVEC".as_slice(), &(cases.len() as u32).to_le_bytes()].concat();
    let start = table.len() + 24 * cases.len();
    let mut data: Vec<u8> = Vec::new();
    for part in cases.iter().flatten() {
        table.extend(((start + data.len()) as u32).to_le_bytes());
        table.extend((part.len() as u32).to_le_bytes());
        data.extend(part);
    }
    table.extend(data);
    table
}

/// A program that checks both files of vectors, and what it should say.
fn program(module: &[u8]) -> (String, String) {
    let vectors = fs::read(root("firmware/selftest/vectors.bin")).unwrap();
    let mut program =
        format!("(async () => {{ const module = await WebAssembly.compile(unbase64('{}'));", base64(module));
    let mut right = Vec::new();
    program += "const said = [];";
    for file in [vectors, shipped_vectors()] {
        program += &format!("said.push(await checkVectors(module, unbase64('{}')));", base64(&file));
        let count = u32::from_le_bytes(*file[4..].first_chunk().unwrap());
        right.push(format!("{{\"count\":{count},\"wrong\":[]}}"));
    }
    program += "return JSON.stringify(said); })()";
    (program, format!("[{}]", right.join(",")))
}

#[test]
fn the_module_computes_what_the_host_does_in_node() {
    if !needs::node() {
        return;
    }
    for module in modules() {
        let (program, right) = program(&module);
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("vectors.js");
        fs::write(&script, format!("{}\n{program}.then(console.log)", live::SCRIPTS[0])).unwrap();
        let ran = Command::new("node").arg(&script).stderr(Stdio::inherit()).output().unwrap();
        assert_eq!(String::from_utf8(ran.stdout).unwrap().trim(), right, "`cargo xtask wasm` builds the module anew");
    }
}

/// The report of a shipped model, in a browser.
fn report(name: &str, size: [u32; 2]) -> Option<Browser> {
    report_of(&shipped(name), size)
}

fn report_of(file: &[u8], size: [u32; 2]) -> Option<Browser> {
    let program = needs::browser()?;
    let written = tempfile::Builder::new().suffix(".html").tempfile().unwrap();
    fs::write(written.path(), page::page(&Model::new(file).unwrap(), &page::Details::default()).unwrap()).unwrap();
    let mut browser = Browser::open(&program, written.path(), size);
    browser.eval("view.ready");
    Some(browser)
}

fn bytes(value: &serde_json::Value) -> Vec<u8> {
    value.as_array().unwrap().iter().map(|byte| byte.as_u64().unwrap() as u8).collect()
}

fn answer(browser: &mut Browser) -> (String, Vec<u8>) {
    let answer = browser.eval("view.answer.textContent").as_str().unwrap().to_owned();
    (answer, bytes(&browser.eval("[...view.output]")))
}

/// Points on a circle, from an angle to another in turns, clockwise from the right.
fn arc([x, y]: [f64; 2], [rx, ry]: [f64; 2], from: f64, to: f64) -> Vec<[f64; 2]> {
    let angle = |step: i32| (from + (to - from) * f64::from(step) / 40.0) * std::f64::consts::TAU;
    (0..=40).map(|step| [x + rx * angle(step).cos(), y + ry * angle(step).sin()]).collect()
}

fn line(from: [f64; 2], to: [f64; 2]) -> Vec<[f64; 2]> {
    let at = |step: i32| [0, 1].map(|axis| from[axis] + (to[axis] - from[axis]) * f64::from(step) / 20.0);
    (0..=20).map(at).collect()
}

#[test]
fn a_drawn_digit_is_recognized_and_the_bytes_are_the_hosts() {
    let file = shipped("digits-resnet");
    let Some(mut browser) = report("digits-resnet", [1000, 900]) else { return };
    let digits: [(&str, Vec<Vec<[f64; 2]>>); 4] = [
        ("0", vec![arc([0.5, 0.5], [0.2, 0.33], 0.0, 1.0)]),
        ("1", vec![line([0.5, 0.15], [0.5, 0.85])]),
        (
            "4",
            vec![
                [line([0.35, 0.15], [0.3, 0.55]), line([0.3, 0.55], [0.7, 0.55])].concat(),
                line([0.6, 0.15], [0.6, 0.88]),
            ],
        ),
        ("7", vec![[line([0.28, 0.18], [0.7, 0.18]), line([0.7, 0.18], [0.45, 0.85])].concat()]),
    ];
    let mut seen = Vec::new();
    for (digit, strokes) in digits {
        browser.eval("view.clear(); view.pad.scrollIntoView({ block: 'center', behavior: 'instant' })");
        let pad =
            browser.eval("(({ x, y, width, height }) => [x, y, width, height])(view.pad.getBoundingClientRect())");
        let [x, y, width, height] = [0, 1, 2, 3].map(|index| pad[index].as_f64().unwrap());
        for stroke in strokes {
            let points: Vec<[f64; 2]> = stroke.iter().map(|[a, b]| [x + a * width, y + b * height]).collect();
            browser.drag(&points);
        }
        let (told, output) = answer(&mut browser);
        let input = bytes(&browser.eval("[...view.input]"));
        assert_eq!(output, infer(&file, true, &input), "{digit}: other bytes than the host's");
        seen.push((digit, told));
    }
    assert!(seen.iter().all(|(digit, told)| digit == told), "{seen:?}");
    assert!(browser.errors.is_empty(), "{:?}", browser.errors);
}

#[test]
fn every_layer_has_its_map_and_a_block_that_is_off_changes_the_answer() {
    let file = shipped("digits-resnet");
    let steps = Model::new(&file).unwrap().step_count();
    let Some(mut browser) = report("digits-resnet", [1000, 900]) else { return };
    browser.eval("view.cover(view.pad, 280, 280); view.run(Uint8Array.from({ length: 64 }, (_, i) => (i % 8 > 2 && i % 8 < 5) * 255))");
    let drawn = "(canvas) => { const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height); \
                 return data.some((value, at) => at % 4 < 3 && value > 60); }";
    let shown =
        browser.eval(&format!("[...document.querySelectorAll('.layers canvas, .big, .arena, .sight')].map({drawn})"));
    let shown = shown.as_array().unwrap();
    assert_eq!(shown.len(), steps + 3);
    assert!(shown.iter().all(|shown| shown == true), "{shown:?}");
    // Step by step: after the first call one layer has rows, and the last has none.
    let rows = browser.eval("view.seek(1), [view.done[0] > 0, view.done.at(-1)]");
    assert_eq!(rows, serde_json::json!([true, 0]));
    let calls =
        browser.eval("view.seek(1e9), [view.at === view.calls.length, view.calls.length > view.model.steps.length]");
    assert_eq!(calls, serde_json::json!([true, true]));
    let (_, whole) = answer(&mut browser);
    let off = "[...document.querySelectorAll('.off')].find((button) => button.textContent === 'block off')";
    browser.eval(&format!("{off}.click(), view.reopen()"));
    let (_, lesioned) = answer(&mut browser);
    assert_ne!(whole, lesioned);
    assert_eq!(browser.eval(&format!("{off}.getAttribute('aria-pressed')")), "true");
    browser.eval(&format!("{off}.click(), view.reopen()"));
    assert_eq!(answer(&mut browser).1, whole);
    assert!(browser.errors.is_empty(), "{:?}", browser.errors);
}

/// By the temperature and the threshold of the model's file.
#[test]
fn the_page_knows_and_does_not_know_what_the_runtime_does() {
    let test = Source::Digits.load().unwrap().test;
    let (file, confidence) = confidence::calibrate(&shipped("digits-resnet"), &test, 1.0).unwrap();
    let Some(mut browser) = report_of(&file, [1000, 900]) else { return };
    let model = Model::new(&file).unwrap();
    let mut arena = vec![0u128; model.arena_len().div_ceil(16)];
    let mut session = Session::<Dynamic>::open(model, bytemuck::cast_slice_mut(&mut arena)).unwrap();
    let (mut images, mut answers) = (Vec::new(), Vec::new());
    for image in test.images.outer_iter() {
        let pixels: Vec<u8> = image.iter().copied().collect();
        let best = session.infer(Pixels(&pixels)).unwrap().best().unwrap();
        // The runtime's exponential is good to about a percent.
        if (best.probability - confidence.threshold).abs() > 0.02 {
            answers.push(if best.known { best.class.to_string() } else { "unknown".to_owned() });
            images.push(pixels);
        }
    }
    assert!(images.len() > 300 && answers.iter().any(|answer| answer == "unknown"), "{confidence}");
    let images = serde_json::to_string(&images).unwrap();
    let answer = "(pixels) => { view.run(Uint8Array.from(pixels)); return view.answer.dataset.class; }";
    assert_eq!(browser.eval(&format!("{images}.map({answer})")), serde_json::json!(answers));
}

#[test]
fn every_shipped_model_runs_on_a_phone_in_time() {
    for name in SHIPPED {
        let Some(mut browser) = report(name, [360, 740]) else { return };
        let took = browser.eval(
            "(() => { const times = []; for (let i = 0; i < 25; i++) { const start = performance.now(); \
             view.player.infer(view.input, { observed: false }); times.push(performance.now() - start); } \
             return times.sort((a, b) => a - b)[12]; })()",
        );
        let took = took.as_f64().unwrap();
        println!("{name}: {took:.2} ms");
        assert!(name != "cifar10-resnet8" || took < 30.0, "{name} takes {took} ms");
        assert_eq!(browser.overflow(), 0, "{name} is wider than a phone");
        assert!(browser.errors.is_empty(), "{name}: {:?}", browser.errors);
    }
}

/// The site, in a browser.
fn site(folder: &Path, size: [u32; 2]) -> Option<Browser> {
    let program = needs::browser()?;
    site::write(&root(""), folder).unwrap();
    let mut browser = Browser::open(&program, &folder.join("index.html"), size);
    browser.eval("ready");
    Some(browser)
}

/// Moves every slider and every choice to both ends; the pictures without marks or words, or with numbers that are none.
const EMPTY_PICTURES: &str = "(() => {
    const pictures = [...document.querySelectorAll('[data-picture]')];
    const isBroken = (picture) => !picture.querySelector('svg rect, svg polyline, svg circle, svg polygon') || /NaN|undefined/.test(picture.innerHTML);
    const broken = pictures.filter(isBroken);
    for (const picture of pictures) {
        for (const control of picture.querySelectorAll('input, select')) {
            const ends = control.tagName === 'SELECT' ? [...control.options].map((option) => option.value) : [control.min, control.max];
            for (const end of ends) {
                control.value = end;
                control.dispatchEvent(new Event('input'));
                if (isBroken(picture)) broken.push(picture);
            }
        }
    }
    return [pictures.length, broken.map((picture) => picture.dataset.picture)];
})()";

#[test]
fn the_site_has_data_in_every_picture_and_counts_what_the_host_counts() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut browser) = site(folder.path(), [1000, 900]) else { return };
    let shown = browser.eval(EMPTY_PICTURES);
    assert!(shown[0].as_u64().unwrap() >= 9 && shown[1] == serde_json::json!([]), "{shown}");
    let claims = browser.eval(
        "[document.querySelectorAll('.claim .verdict').length, document.querySelectorAll('[data-claim]').length]",
    );
    assert!(claims[0] == claims[1] && claims[0].as_u64().unwrap() >= 6, "{claims}");

    // Right answers on the held-out digits: the page's, and the host's.
    let file = shipped("digits-inception");
    let test = Source::Digits.load().unwrap().test;
    let best = |output: &[u8]| (0..10).rev().max_by_key(|&class| output[class] as i8).unwrap();
    let right = (0..test.labels.len()).filter(|&index| {
        let pixels: Vec<u8> = test.images.index_axis(ndarray::Axis(0), index).iter().copied().collect();
        best(&infer(&file, true, &pixels)) == usize::from(test.labels[index])
    });
    let right = right.count();
    let count = "players.branched.judged.then(() => Number(players.branched.score.dataset.right))";
    assert_eq!(browser.eval(count).as_u64(), Some(right as u64));
    let output = "[...players.branched.output]";
    let whole = browser.eval(output);
    // All branches of the last module but the pool's.
    browser.eval(
        "(async () => { for (const [step, { name }] of players.branched.model.steps.entries()) \
         if (['b5_1x1', 'b5_3x3', 'b5_5x5'].includes(name)) await players.branched.toggle(step); })()",
    );
    assert_ne!(browser.eval(output), whole);
    assert!(browser.eval(count).as_u64().unwrap() + 50 < right as u64, "it did not miss the branches");

    // The other models, and another element type.
    let names = browser.eval("[...which.options].map((option) => option.value)");
    assert_eq!(names.as_array().unwrap().len(), SHIPPED.len() + 2, "{names}");
    for name in names.as_array().unwrap() {
        let ran = browser.eval(&format!("player('player', {name}).then(() => players.player.output.length)"));
        assert!(ran.as_u64().unwrap() > 0, "{name}");
    }
    assert!(browser.errors.is_empty(), "{:?}", browser.errors);
}

#[test]
fn the_site_fits_a_phone_in_the_dark_without_motion() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut browser) = site(folder.path(), [360, 740]) else { return };
    let features = [("prefers-color-scheme", "dark"), ("prefers-reduced-motion", "reduce")];
    let features = features.map(|(name, value)| serde_json::json!({ "name": name, "value": value }));
    browser.call("Emulation.setEmulatedMedia", serde_json::json!({ "features": features }));
    assert_eq!(browser.overflow(), 0);
    browser.eval("document.querySelectorAll('details').forEach((details) => { details.open = true; })");
    assert_eq!(browser.overflow(), 0, "with every table open");
    let clear = browser
        .eval("getComputedStyle(document.body).backgroundColor !== getComputedStyle(document.body).color && calm()");
    assert_eq!(clear, true);
    assert!(browser.errors.is_empty(), "{:?}", browser.errors);
}
