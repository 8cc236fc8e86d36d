use super::repeat::Spread;
use super::*;

/// Every study in its smallest form: it measures, says something, and draws.
#[test]
fn all_studies_run() {
    let data = Dataset::digits().unwrap();
    // A tenth of the images: what is tested is that everything works, not what comes out.
    let data = Dataset {
        train: data.train.select(&data.train.spaced(128)),
        test: data.test.select(&data.test.spaced(40)),
        ..data
    };
    let setting = Setting { effort: Effort::Tiny, data: &data, source: &Source::Digits, seed: 1, board: None };
    for study in STUDIES {
        let finding = study.run(&setting).unwrap_or_else(|error| panic!("{}: {error:#}", study.name));
        assert!(finding.verdict.len() > 40 && !finding.verdict.contains("NaN"), "{}: {}", study.name, finding.verdict);
        assert!(!finding.tables.is_empty() && !finding.pictures.is_empty(), "{}", study.name);
        for (name, table) in &finding.tables {
            assert!(table.to_csv().lines().count() > 2, "{} {name}", study.name);
        }
        for (name, picture) in &finding.pictures {
            assert!(picture.starts_with("<svg") && picture.len() > 2000, "{} {name}", study.name);
        }
    }
}

/// What the article says of its example, and what the paper says of ResNet-50, to the digit.
#[test]
fn known_figures_come_out() {
    let data = Dataset::digits().unwrap();
    let setting = Setting { effort: Effort::Tiny, data: &data, source: &Source::Digits, seed: 1, board: None };
    let blocks = blocks::run(&setting).unwrap();
    assert!(blocks.held, "{}", blocks.verdict);
    let csv = blocks.tables[0].1.to_csv();
    assert_eq!(csv.lines().count(), 1 + 18);
    assert!(csv.contains("5,b18,identity block,7x7x2048,7x7x2048,the input,"), "{csv}");
    assert!(csv.contains("2,b3,convolution block,56x56x64,56x56x256,1x1 to 56x56x256,"), "{csv}");
}

#[test]
fn statistics_are_those_of_the_textbook() {
    let spread = Spread::of([2.0, 4.0, 4.0, 4.0, 6.0]);
    assert_eq!((spread.pair(), spread.count), ([4.0, 2f64.sqrt()], 5));
    assert_eq!(Spread::of([3.0]).pair(), [3.0, 0.0]);
    // Standard errors of 2 / 5 each: the root of 4 / 5, twice.
    let difference = Spread { mean: 6.0, ..spread }.over(spread);
    assert!(difference.mean == 2.0 && (difference.doubt - 2.0 * 0.8f64.sqrt()).abs() < 1e-12 && difference.is_more());
    assert_eq!(format!("{difference:.1}"), "+2.0 +- 1.8");
    assert_eq!(slope(&[[0.0, 1.0], [1.0, 3.0], [2.0, 5.0]]), 2.0);
}
