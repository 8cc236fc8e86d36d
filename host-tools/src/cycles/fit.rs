//! Costs of terms, fitted to what was traced.

use std::collections::{BTreeMap, BTreeSet};

use super::costs::{Cost, Costs, OTHER, Off};
use super::work::{AROUND, TERMS, Terms, Work};

/// The part of a model's cycles that may be of kinds of which other models have fewer steps than there are terms.
const STRANGE: f64 = 0.05;

/// What was traced of a step, or of what a session does between the steps.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Which model, by number.
    pub model: usize,
    /// What was repeated.
    pub work: Work,
    /// Cycles without those that reads of flash take.
    pub core: f64,
    /// Reads of flash, for code and for data.
    pub reads: [f64; 2],
}

/// The costs on a board; `[core, code, data]` are cycles of a cycle and of a read of flash.
#[must_use]
pub fn fit(samples: &[Sample], weights: [f64; 3]) -> Costs {
    let kinds: BTreeSet<&str> = samples.iter().map(|sample| &*sample.work.kind).collect();
    let mut costs: BTreeMap<String, Cost> =
        kinds.iter().map(|&kind| (kind.to_owned(), of_kind(samples, kind))).collect();
    costs.insert(OTHER.to_owned(), of_others(samples));
    let (mut seen, mut unseen) = (Vec::new(), Vec::new());
    let models: BTreeSet<usize> = samples.iter().map(|sample| sample.model).collect();
    for &model in &models {
        let (its, others): (Vec<Sample>, Vec<Sample>) =
            samples.iter().cloned().partition(|sample| sample.model == model);
        let error = |cost: &dyn Fn(&str) -> Cost| {
            let predicted = its.iter().map(|sample| {
                cost(&sample.work.kind).cycles(&sample.work.terms, weights) + weights[0] * sample.work.widening
            });
            let traced: f64 = its.iter().map(|sample| sample.cycles(weights)).sum();
            100.0 * (predicted.sum::<f64>() / traced - 1.0).abs()
        };
        seen.push(error(&|kind| costs[kind]));
        // A model says nothing of how well others are predicted if a good part of it is of kinds that those hardly have.
        let own: BTreeSet<&str> = its.iter().map(|sample| &*sample.work.kind).collect();
        let steps = |kind: &str| others.iter().filter(|sample| sample.work.kind == kind).count();
        let cycles = |sample: &Sample| sample.cycles(weights);
        let strange = its.iter().filter(|sample| steps(&sample.work.kind) < TERMS).map(cycles).sum::<f64>();
        if strange <= STRANGE * its.iter().map(cycles).sum::<f64>() && own.iter().all(|kind| steps(kind) > 0) {
            let without: BTreeMap<&str, Cost> = own.into_iter().map(|kind| (kind, of_kind(&others, kind))).collect();
            unseen.push(error(&|kind| without[kind]));
        }
    }
    Costs { models: models.len(), seen: Off::of(&seen), unseen: Off::of(&unseen), kinds: costs }
}

impl Sample {
    fn cycles(&self, [core, code, data]: [f64; 3]) -> f64 {
        core * self.core + code * self.reads[0] + data * self.reads[1]
    }

    /// What the terms are to explain.
    const fn quantities(&self) -> [f64; 3] {
        [self.core - self.work.widening, self.reads[0], self.reads[1]]
    }
}

fn of_kind(samples: &[Sample], kind: &str) -> Cost {
    let of_kind: Vec<&Sample> = samples.iter().filter(|sample| sample.work.kind == kind).collect();
    least_squares(&shared(&of_kind, |work| work.terms))
}

/// What is fitted to what, in parts such that each model counts alike, however many steps it has: most of them are alike.
fn shared(samples: &[&Sample], terms: impl Fn(&Work) -> Terms) -> Vec<(Terms, [f64; 3])> {
    let row = |sample: &&Sample| {
        let steps = samples.iter().filter(|other| other.model == sample.model).count();
        let part = (steps as f64).powf(-1.25);
        (terms(&sample.work).map(|term| term * part), sample.quantities().map(|quantity| quantity * part))
    };
    samples.iter().map(row).collect()
}

/// The costs of any step.
fn of_others(samples: &[Sample]) -> Cost {
    let steps: Vec<&Sample> = samples.iter().filter(|sample| sample.work.kind != AROUND).collect();
    least_squares(&shared(&steps, |work| work.plain))
}

/// Costs of at least 0 with the least squares of errors, of which a large step's counts for more than a small one's and for less than
/// by its size.
fn least_squares(rows: &[(Terms, [f64; 3])]) -> Cost {
    let quantity = |which: usize| {
        // Few steps do not tell what each run, call and pass takes from what grows with the layer; the latter carries over to others.
        let known = |terms: &Terms| match rows.len() {
            0..TERMS => std::array::from_fn(|term| if term < 3 { 0.0 } else { terms[term] }),
            _ => *terms,
        };
        non_negative(&rows.iter().map(|(terms, found)| (known(terms), found[which])).collect::<Vec<_>>())
    };
    Cost(rows.len(), [quantity(0), quantity(1), quantity(2)])
}

/// What a board takes for a cycle of the core and for reads of flash, from what was measured of models. What the models do not tell apart
/// stays in the proportion of `predicted`.
#[must_use]
pub fn factors(rows: &[([f64; 3], f64)], predicted: [f64; 3]) -> [f64; 3] {
    let apart = |([core, code, data], measured): &([f64; 3], f64)| {
        let mut terms = [0.0; TERMS];
        (terms[0], terms[1], terms[2]) = (*core, code * predicted[1], data * predicted[2]);
        (terms, *measured)
    };
    let found = non_negative(&rows.iter().map(apart).collect::<Vec<_>>());
    [found[0], found[1] * predicted[1], found[2] * predicted[2]]
}

/// By coordinate descent on the normal equations, each column scaled to the length 1.
fn non_negative(rows: &[(Terms, f64)]) -> Terms {
    let (mut matrix, mut right) = ([[0.0; TERMS]; TERMS], [0.0; TERMS]);
    for (terms, found) in rows {
        let weight = 1.0 / found.abs().max(1.0).powf(1.2);
        for i in 0..TERMS {
            right[i] += weight * terms[i] * found;
            for j in 0..TERMS {
                matrix[i][j] += weight * terms[i] * terms[j];
            }
        }
    }
    let scale: [f64; TERMS] =
        std::array::from_fn(|i| if matrix[i][i] > 0.0 { matrix[i][i].sqrt().recip() } else { 0.0 });
    let mut costs = [0.0; TERMS];
    for _ in 0..3000 {
        for i in (0..TERMS).filter(|&i| scale[i] > 0.0) {
            let others: f64 =
                (0..TERMS).filter(|&j| j != i).map(|j| matrix[i][j] * scale[i] * scale[j] * costs[j]).sum();
            // A little is taken off, so that terms that say the same share what they say.
            costs[i] = ((right[i] * scale[i] - others) / 1.0001_f64).max(0.0);
        }
    }
    std::array::from_fn(|i| costs[i] * scale[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boards_factors_are_found() {
        let truth = [1.1, 5.0, 7.0];
        let rows: Vec<([f64; 3], f64)> = (1..6)
            .map(|n| {
                let n = f64::from(n);
                let quantities = [1e6 * n, 3e4 * (n % 3.0 + 1.0), 2e5 / n];
                (quantities, quantities.iter().zip(truth).map(|(quantity, cost)| quantity * cost).sum())
            })
            .collect();
        let found = factors(&rows, [1.0, 4.36, 8.65]);
        for (found, truth) in found.iter().zip(truth) {
            assert!((found / truth - 1.0).abs() < 0.05, "{found} for {truth}");
        }
    }

    #[test]
    fn costs_are_found_again_and_are_never_negative() {
        let truth = [500.0, 40.0, 7.0, 3.0, 0.5, 0.0, 0.0, 0.25];
        let rows: Vec<(Terms, f64)> = (1..60)
            .map(|n| {
                let n = f64::from(n);
                let terms =
                    [1.0, n % 7.0 + 1.0, (n * n) % 91.0, n * n, n.powi(3) % 1009.0, n % 5.0, n % 3.0, 1000.0 % n];
                (terms, terms.iter().zip(truth).map(|(term, cost)| term * cost).sum())
            })
            .collect();
        let found = non_negative(&rows);
        for (terms, cycles) in &rows {
            let again: f64 = terms.iter().zip(found).map(|(term, cost)| term * cost).sum();
            assert!((again / cycles - 1.0).abs() < 0.01, "{again} of {cycles}: {found:?}");
        }
        let falling: Vec<(Terms, f64)> =
            (1..9).map(|n| ([1.0, f64::from(n), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 10.0 - f64::from(n))).collect();
        assert!(non_negative(&falling).iter().all(|&cost| cost >= 0.0));
    }
}
