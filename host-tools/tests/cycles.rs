//! Predicted cycles against measured ones: 22 networks on an STM32L4R5, whose instructions and flash reads were counted in QEMU.

mod needs;

use std::fs;

use kinglet_tools::boards;
use kinglet_tools::cycles::{Counts, Prediction};
use serde_json::Value;

/// What was counted of a network, in the classes of the prediction.
fn counts(network: &Value) -> Counts {
    let of = |table: &str, key: &str| network[table][key].as_u64().unwrap_or(0);
    let class = |keys: &[&str]| keys.iter().map(|key| of("classes", key)).sum::<u64>();
    let folded = of("classes", "it") - of("class_cycles", "it");
    let stores_at = of("class_cycles", "strr") - of("classes", "strr");
    let multiple = ["ldm", "poppc", "stm", "ldrd", "strd", "vldm", "vstm"];
    let words = multiple.map(|key| of("classes", &format!("{key}_words")));
    Counts([
        class(&["alu", "mul", "mull", "branch"]) + of("class_cycles", "it"),
        class(&["ldr", "ldr_wb", "ldrlit"]),
        class(&["ldr_piped", "ldrlit_piped"]),
        class(&["str", "strr"]) - stores_at,
        stores_at,
        class(&multiple),
        words.iter().sum(),
        class(&["div"]),
        class(&["tb", "ldrpc"]),
        folded,
        class(&["vfp"]),
        class(&["vmac"]),
        class(&["vdiv"]),
        class(&["vldr", "vstr"]),
        0,
        of("totals", "taken"),
        of("totals", "i0"),
        of("totals", "d0"),
        of("totals", "un1") + 2 * of("totals", "un2"),
    ])
}

/// Errors in percent of the networks of a build whose code lies where the compiler put it.
fn errors(networks: &[Value], build: &str) -> Vec<f64> {
    let board = boards::find("nucleo-l4r5zi", boards::all().iter(), "there are").unwrap();
    let same = networks.iter().filter(|network| network["build"] == build && network["text_shift"] == 0);
    // Loops of exactly the cache's size: whether they fit depends on where they lie, which is not known.
    let known =
        same.filter(|network| !["TinyMLPerf_DS_CNN", "TinyMLPerf_MBNet"].iter().any(|name| network["name"] == *name));
    let error = |network: &Value| {
        let counts = counts(network);
        assert_eq!(counts.instructions(), network["totals"]["insns"].as_u64().unwrap(), "{}", network["name"]);
        let measured = network["measured_cycles"].as_f64().unwrap();
        100.0 * (Prediction::of(&counts, board).unwrap().cycles as f64 / measured - 1.0)
    };
    known.map(error).collect()
}

#[test]
fn measured_networks_are_predicted() {
    let Some(path) = needs::shared("cycle-model/data/edgemark.json") else { return };
    let networks: Vec<Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    for (build, count) in [("int8 -O3", 20), ("int8 -Os", 18)] {
        let errors = errors(&networks, build);
        assert_eq!(errors.len(), count);
        let mean = errors.iter().map(|error| error.abs()).sum::<f64>() / errors.len() as f64;
        let worst = errors.iter().fold(0.0, |worst: f64, error| worst.max(error.abs()));
        println!("{build}: {mean:.1} % on average, {worst:.1} % at most");
        assert!(mean < 3.5 && worst < 8.5, "{build}: {mean:.1} % on average, {worst:.1} % at most");
    }
}
