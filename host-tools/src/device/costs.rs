//! The costs of operators and algorithms on boards, fitted to the bench's traces.

use anyhow::{Context, Result, ensure};
use kinglet::Model;
use kinglet::kernels::algorithms::Core;

use super::bench::{self, Row, Subject};
use crate::boards::{self, Board};
use crate::cycles::{self, Predictor, Sample, Table};

/// Fits the costs of all boards that rows of the bench have cycles of. Real ones that were traced for themselves differ from the one that
/// their core's costs are of by their flash, which the costs keep apart.
///
/// # Errors
/// When the rows are not those of the models that the bench makes.
pub fn fitted(rows: &[Row]) -> Result<Table> {
    let mut table = Table::new();
    each_board(rows, |traced, real, subjects| {
        if traced.is_emulated() {
            let (samples, weights) = samples(rows, traced, real, subjects)?;
            table.insert(real.name.to_owned(), cycles::fit(&samples, weights));
        }
        Ok(())
    })?;
    Ok(table)
}

/// How far the predicted cycles of each model are off the traced ones: board of the rows, real board, model, percent.
///
/// # Errors
/// When a model cannot be made, or a board is not predicted.
pub fn errors(rows: &[Row]) -> Result<Vec<(&'static str, &'static str, String, f64)>> {
    let mut errors = Vec::new();
    each_board(rows, |traced, real, subjects| {
        let predictor = Predictor::of(real)?;
        for subject in subjects {
            let total = |row: &&Row| row.board == traced.name && row.model == subject.name && row.layer == "total";
            let Some(cycles) = rows.iter().find(total).and_then(|row| row.cycles) else { continue };
            let predicted = predictor.model(&model(subject)?).total.cycles;
            let error = 100.0 * (predicted as f64 / cycles as f64 - 1.0);
            errors.push((traced.name, real.name, subject.name.clone(), error));
        }
        Ok(())
    })?;
    Ok(errors)
}

/// Tells `visit` of each board that was traced: the real one, and the models. They are made once for each core, for that takes long.
fn each_board(
    rows: &[Row],
    mut visit: impl FnMut(&'static Board, &'static Board, &[Subject]) -> Result<()>,
) -> Result<()> {
    let mut made: Vec<(Core, Vec<Subject>)> = Vec::new();
    for (emulated, real) in traced(rows) {
        let core = emulated.instruction_set();
        let known = made.iter().position(|(other, _)| *other == core);
        if known.is_none() {
            made.push((core, bench::subjects(core, rows)?));
        }
        visit(emulated, real, &made[known.unwrap_or(made.len() - 1)].1)?;
    }
    Ok(())
}

/// The boards whose rows have cycles, and the real ones that those are of.
fn traced(rows: &[Row]) -> impl Iterator<Item = (&'static Board, &'static Board)> {
    let has_cycles = |board: &Board| rows.iter().any(|row| row.board == board.name && row.cycles.is_some());
    boards::all()
        .iter()
        .filter_map(move |board| Some((board, bench::real(board)?)).filter(|(board, _)| has_cycles(board)))
}

fn model(subject: &Subject) -> Result<Model<'_>> {
    Model::new(&subject.bytes).map_err(|error| anyhow::anyhow!("{}: {error}", subject.name))
}

/// What the rows say of the steps of the models, and the cycles of a cycle and of reads of flash.
fn samples(rows: &[Row], emulated: &Board, real: &Board, subjects: &[Subject]) -> Result<(Vec<Sample>, [f64; 3])> {
    let speed = cycles::speed(real)?;
    // Rows without reads have them in their cycles.
    let split = rows
        .iter()
        .filter(|row| row.board == emulated.name && row.cycles.is_some())
        .all(|row| row.flash_reads.is_some());
    let (mut samples, mut weights) = (Vec::new(), [1.0; 3]);
    for (number, subject) in subjects.iter().enumerate() {
        let its: Vec<&Row> = rows
            .iter()
            .filter(|row| row.board == emulated.name && row.model == subject.name && row.cycles.is_some())
            .collect();
        let [steps @ .., total] = &*its else { continue };
        let parsed = model(subject)?;
        let (works, around) = cycles::of_model(&parsed, real.instruction_set(), speed);
        let names = parsed.steps().map(|step| format!("{} {} {}", step.index, step.kind().name(), step.name));
        ensure!(
            names.eq(steps.iter().map(|row| row.layer.clone())),
            "the rows of {} on {} are of another model; `{}` refreshes them",
            subject.name,
            emulated.name,
            bench::REFRESH
        );
        let found = |row: &Row| (row.cycles.unwrap_or(0), row.flash_reads.filter(|_| split).unwrap_or([0; 2]));
        let (mut cycles, mut reads) = found(total);
        for (row, work) in steps.iter().zip(works) {
            let (of_step, read) = found(row);
            let (core, w) = cycles::apart(of_step, read, real)?;
            weights = w;
            samples.push(Sample { model: number, work, core, reads: read.map(|reads| reads as f64) });
            cycles = cycles.saturating_sub(of_step);
            reads = [reads[0].saturating_sub(read[0]), reads[1].saturating_sub(read[1])];
        }
        let (core, _) = cycles::apart(cycles, reads, real).context("between steps")?;
        samples.push(Sample { model: number, work: around, core, reads: reads.map(|reads| reads as f64) });
    }
    Ok((samples, weights))
}
