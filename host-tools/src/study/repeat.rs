//! Repetitions of kinds of networks with several seeds, and what they say together.

use anyhow::Result;

use super::Setting;

/// Mean and standard deviation of repetitions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub mean: f64,
    /// Of the sample; 0 of a single value.
    pub deviation: f64,
    pub count: usize,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        let count = values.len();
        let mean = values.iter().sum::<f64>() / count.max(1) as f64;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        Self { mean, deviation: if count < 2 { 0.0 } else { (squares / (count - 1) as f64).sqrt() }, count }
    }

    /// Mean and deviation, for bars.
    pub const fn pair(self) -> [f64; 2] {
        [self.mean, self.deviation]
    }

    /// A point of a line, with its error bar.
    pub const fn at(self, x: f64) -> [f64; 3] {
        [x, self.mean, self.deviation]
    }

    /// Mean and deviation as cells of a table, with so many digits.
    pub fn cells(self, digits: usize) -> [String; 2] {
        self.pair().map(|value| format!("{value:.digits$}"))
    }

    /// How much more it is than another.
    pub fn over(self, other: Self) -> Difference {
        let error = |of: Self| of.deviation.powi(2) / of.count.max(1) as f64;
        Difference { mean: self.mean - other.mean, doubt: 2.0 * (error(self) + error(other)).sqrt() }
    }
}

/// A difference of two means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Difference {
    pub mean: f64,
    /// Two standard errors: what is within them cannot be told from none.
    pub doubt: f64,
}

impl Difference {
    /// Whether it is more than none.
    pub fn is_more(self) -> bool {
        self.mean > self.doubt
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:+.digits$} +- {:.digits$}", self.mean, self.doubt)
    }
}

/// What was found, kind by kind, each with its repetitions in the order of their seeds.
pub(super) struct Kinds<K, R>(Vec<(K, Vec<R>)>);

impl<K: PartialEq + std::fmt::Debug, R> Kinds<K, R> {
    /// The repetitions of a kind.
    ///
    /// # Panics
    /// When there is no such kind.
    pub fn of(&self, kind: K) -> &[R] {
        let found = self.0.iter().find(|(known, _)| *known == kind);
        &found.unwrap_or_else(|| panic!("{kind:?} was not repeated")).1
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &[R])> {
        self.0.iter().map(|(kind, found)| (kind, found.as_slice()))
    }

    /// What a value of a kind's repetitions is on average.
    pub fn spread(&self, kind: K, value: impl Fn(&R) -> f64) -> Spread {
        Spread::of(self.of(kind).iter().map(value))
    }
}

impl Setting<'_> {
    /// Works on `count` repetitions of each kind, all side by side, under a progress bar. `work` gets the kind and which
    /// repetition it is.
    pub(super) fn repeat<K: Clone + Sync, R: Send>(
        &self,
        name: &'static str,
        kinds: impl IntoIterator<Item = K>,
        count: usize,
        work: impl Fn(&K, usize) -> Result<R> + Sync,
    ) -> Result<Kinds<K, R>> {
        let kinds: Vec<K> = kinds.into_iter().collect();
        let jobs: Vec<(&K, usize)> = kinds.iter().flat_map(|kind| (0..count).map(move |at| (kind, at))).collect();
        let mut found = self.all(name, &jobs, |&(kind, at)| work(kind, at))?.into_iter();
        let mut of = |kind: &K| (kind.clone(), found.by_ref().take(count).collect());
        Ok(Kinds(kinds.iter().map(&mut of).collect()))
    }
}

/// Every depth without and with shortcuts.
pub(super) fn twins(depths: &[usize]) -> impl Iterator<Item = (usize, bool)> {
    depths.iter().flat_map(|&count| [(count, false), (count, true)])
}
