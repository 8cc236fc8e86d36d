//! Functions of one number, applied to every element: activations, and what exporters make of them.
//!
//! A file spells SiLU as `x * sigmoid(x)` and GELU as five operators. As expressions they join to one function again, and
//! in int8 any function is one table of 256 entries.

/// A function of one number `x`.
///
/// ```
/// use kinglet_tools::graph::{Function, Unary};
/// let silu = Function::X * Function::X.then(Unary::Sigmoid);
/// assert!((silu.at(2.0) - 2.0 / (1.0 + (-2f64).exp())).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Function {
    /// `x` itself.
    X,
    /// A constant.
    Constant(f64),
    /// A function of a function.
    Unary(Unary, Box<Function>),
    /// Arithmetic with two functions.
    Binary(Binary, Box<Function>, Box<Function>),
}

/// Elementary functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    /// Absolute value.
    Abs,
    /// The error function.
    Erf,
    /// `e^x`.
    Exp,
    /// Natural logarithm.
    Log,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `ln(1 + e^x)`.
    Softplus,
    /// Square root.
    Sqrt,
    /// 1 for positive numbers, 0 for all others.
    Step,
    /// Hyperbolic tangent.
    Tanh,
}

/// Arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Quotient.
    Div,
    /// The lesser.
    Min,
    /// The greater.
    Max,
}

impl Unary {
    /// Its value and its derivative.
    fn at(self, x: f64) -> (f64, f64) {
        match self {
            Unary::Abs => (x.abs(), x.signum()),
            Unary::Erf => (erf(x), std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp()),
            Unary::Exp => (x.exp(), x.exp()),
            Unary::Log => (x.ln(), x.recip()),
            Unary::Sigmoid => {
                let y = sigmoid(x);
                (y, y * (1.0 - y))
            }
            Unary::Softplus => (x.max(0.0) + (-x.abs()).exp().ln_1p(), sigmoid(x)),
            Unary::Sqrt => (x.sqrt(), 0.5 / x.sqrt()),
            Unary::Step => (f64::from(u8::from(x > 0.0)), 0.0),
            Unary::Tanh => (x.tanh(), 1.0 - x.tanh().powi(2)),
        }
    }
}

impl Binary {
    /// The result for two numbers.
    pub fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Min => a.min(b),
            Binary::Max => a.max(b),
        }
    }
}

impl Function {
    /// `max(x, 0)`.
    pub fn relu() -> Self {
        Self::X.clip(0.0, f64::INFINITY)
    }

    /// `min(max(x, 0), 6)`.
    pub fn relu6() -> Self {
        Self::X.clip(0.0, 6.0)
    }

    /// `x` above 0, `slope * x` below.
    pub fn leaky_relu(slope: f64) -> Self {
        Self::relu() + Self::Constant(slope) * Self::negative()
    }

    /// `-x`.
    pub fn negated() -> Self {
        Self::Constant(0.0) - Self::X
    }

    /// `min(x, 0)`.
    pub fn negative() -> Self {
        Self::X.with(Binary::Min, Self::Constant(0.0))
    }

    /// `min(max(slope * x + offset, 0), 1)`.
    pub fn hard_sigmoid(slope: f64, offset: f64) -> Self {
        (Self::Constant(slope) * Self::X + Self::Constant(offset)).clip(0.0, 1.0)
    }

    /// `x * min(max(x / 6 + 1 / 2, 0), 1)`.
    pub fn hard_swish() -> Self {
        Self::X * Self::hard_sigmoid(1.0 / 6.0, 0.5)
    }

    /// `x` above 0, `alpha * (e^x - 1)` below.
    pub fn elu(alpha: f64) -> Self {
        Self::relu() + Self::Constant(alpha) * (Self::negative().then(Unary::Exp) - Self::Constant(1.0))
    }

    /// `x` times the normal distribution's probability of less; by its approximation with tanh if so asked (Hendrycks and
    /// Gimpel, "Gaussian Error Linear Units", 2016).
    pub fn gelu(approximate: bool) -> Self {
        let number = Self::Constant;
        let curve = if approximate {
            let cube = Self::X * Self::X * Self::X;
            let inner = number((2.0 / std::f64::consts::PI).sqrt()) * (Self::X + number(0.044_715) * cube);
            inner.then(Unary::Tanh)
        } else {
            (Self::X / number(std::f64::consts::SQRT_2)).then(Unary::Erf)
        };
        number(0.5) * Self::X * (curve + number(1.0))
    }

    /// This, and then an elementary function.
    pub fn then(self, unary: Unary) -> Self {
        Self::Unary(unary, self.into())
    }

    /// Arithmetic with another function.
    pub fn with(self, binary: Binary, other: Self) -> Self {
        Self::Binary(binary, self.into(), other.into())
    }

    /// `min(max(this, min), max)`; infinite bounds are none.
    pub fn clip(self, min: f64, max: f64) -> Self {
        let above = if min == f64::NEG_INFINITY { self } else { self.with(Binary::Max, Self::Constant(min)) };
        if max == f64::INFINITY { above } else { above.with(Binary::Min, Self::Constant(max)) }
    }

    /// This function of `inner`.
    pub fn of(&self, inner: &Self) -> Self {
        match self {
            Self::X => inner.clone(),
            Self::Constant(_) => self.clone(),
            Self::Unary(unary, a) => a.of(inner).then(*unary),
            Self::Binary(binary, a, b) => a.of(inner).with(*binary, b.of(inner)),
        }
    }

    /// How many operations it takes, constants and `x` included.
    pub fn size(&self) -> usize {
        match self {
            Self::X | Self::Constant(_) => 1,
            Self::Unary(_, a) => 1 + a.size(),
            Self::Binary(_, a, b) => 1 + a.size() + b.size(),
        }
    }

    /// Its value.
    pub fn at(&self, x: f64) -> f64 {
        match self {
            Self::X => x,
            Self::Constant(c) => *c,
            Self::Unary(unary, a) => unary.at(a.at(x)).0,
            Self::Binary(binary, a, b) => binary.of(a.at(x), b.at(x)),
        }
    }

    /// Its derivative; at a corner, of either side.
    pub fn derivative(&self, x: f64) -> f64 {
        match self {
            Self::X => 1.0,
            Self::Constant(_) => 0.0,
            Self::Unary(unary, a) => unary.at(a.at(x)).1 * a.derivative(x),
            Self::Binary(binary, a, b) => {
                let (value, other) = (a.at(x), b.at(x));
                let (da, db) = (a.derivative(x), b.derivative(x));
                match binary {
                    Binary::Add => da + db,
                    Binary::Sub => da - db,
                    Binary::Mul => da * other + value * db,
                    Binary::Div => (da * other - value * db) / (other * other),
                    Binary::Min => {
                        if value < other {
                            da
                        } else {
                            db
                        }
                    }
                    Binary::Max => {
                        if value > other {
                            da
                        } else {
                            db
                        }
                    }
                }
            }
        }
    }

    /// Bounds of its values for `x` within `x`, by interval arithmetic: sure, not always tight. Either may be infinite.
    pub fn bounds(&self, x: (f64, f64)) -> (f64, f64) {
        let (low, high) = match self {
            Self::X => x,
            Self::Constant(c) => (*c, *c),
            Self::Unary(Unary::Abs, a) => {
                let (low, high) = a.bounds(x);
                (low.max(-high).max(0.0), high.max(-low))
            }
            // All others rise.
            Self::Unary(unary, a) => {
                let (low, high) = a.bounds(x);
                (unary.at(low).0, unary.at(high).0)
            }
            Self::Binary(binary, a, b) => {
                let (a, b) = (a.bounds(x), b.bounds(x));
                if *binary == Binary::Div && b.0 <= 0.0 && b.1 >= 0.0 {
                    return (f64::NEG_INFINITY, f64::INFINITY);
                }
                let of = |(a, b): (f64, f64)| match binary {
                    // Nothing times whatever it is.
                    Binary::Mul if a == 0.0 || b == 0.0 => 0.0,
                    _ => binary.of(a, b),
                };
                let ends = [(a.0, b.0), (a.0, b.1), (a.1, b.0), (a.1, b.1)].map(of);
                // Nothing is known of infinities that cancel out.
                if ends.iter().any(|end| end.is_nan()) {
                    return (f64::NEG_INFINITY, f64::INFINITY);
                }
                (ends.into_iter().fold(f64::INFINITY, f64::min), ends.into_iter().fold(f64::NEG_INFINITY, f64::max))
            }
        };
        let or = |end: f64, open: f64| if end.is_nan() { open } else { end };
        (or(low, f64::NEG_INFINITY), or(high, f64::INFINITY))
    }

    /// Factor and offset, of a function that is `factor * x + offset`.
    pub fn affine(&self) -> Option<(f64, f64)> {
        match self {
            Self::X => Some((1.0, 0.0)),
            Self::Constant(c) => Some((0.0, *c)),
            Self::Unary(..) => None,
            Self::Binary(binary, a, b) => {
                let ((fa, oa), (fb, ob)) = (a.affine()?, b.affine()?);
                match binary {
                    Binary::Add => Some((fa + fb, oa + ob)),
                    Binary::Sub => Some((fa - fb, oa - ob)),
                    Binary::Mul if fa == 0.0 => Some((oa * fb, oa * ob)),
                    Binary::Mul if fb == 0.0 => Some((fa * ob, oa * ob)),
                    Binary::Div if fb == 0.0 => Some((fa / ob, oa / ob)),
                    _ => None,
                }
            }
        }
    }

    /// The function below `max(.., 0)`, or below `min(max(.., 0), 6)`: which, and the upper limit if there is one.
    pub fn below_relu<'f>(&'f self) -> Option<(&'f Self, Option<f64>)> {
        let below = |function: &'f Self, binary: Binary, bound: f64| match function {
            Self::Binary(found, inner, with) if *found == binary && **with == Self::Constant(bound) => Some(&**inner),
            _ => None,
        };
        if let Some(inner) = below(self, Binary::Max, 0.0) {
            return Some(below(inner, Binary::Min, 6.0).map_or((inner, None), |inner| (inner, Some(6.0))));
        }
        below(below(self, Binary::Min, 6.0)?, Binary::Max, 0.0).map(|inner| (inner, Some(6.0)))
    }
}

macro_rules! operator {
    ($($operator:ident $method:ident),*) => {$(
        impl std::ops::$operator for Function {
            type Output = Self;

            fn $method(self, other: Self) -> Self {
                self.with(Binary::$operator, other)
            }
        }
    )*};
}

operator!(Add add, Sub sub, Mul mul, Div div);

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The error function: a series of positive terms (Abramowitz and Stegun, 7.1.6), which loses no digits.
pub(crate) fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term.abs() > f64::EPSILON * sum.abs() {
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
        n += 1.0;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pair = (Function, fn(f64) -> f64);

    fn all() -> Vec<Pair> {
        let x = || Function::X;
        vec![
            (Function::relu6(), |x| x.clamp(0.0, 6.0)),
            (Function::leaky_relu(0.1), |x| if x > 0.0 { x } else { 0.1 * x }),
            (Function::hard_swish(), |x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0),
            (Function::elu(0.7), |x| if x > 0.0 { x } else { 0.7 * x.exp_m1() }),
            (x() * x().then(Unary::Softplus).then(Unary::Tanh), |x| x * x.exp().ln_1p().tanh()),
            ((x() * x() + Function::Constant(2.0)).then(Unary::Sqrt).then(Unary::Log), |x| (x * x + 2.0).sqrt().ln()),
            (x() / (Function::Constant(1.0) + x().then(Unary::Abs)), |x| x / (1.0 + x.abs())),
            (x().then(Unary::Sigmoid), |x| 0.5 + 0.5 * (x / 2.0).tanh()),
        ]
    }

    #[test]
    fn values_and_derivatives() {
        for (function, expected) in all() {
            for at in (-60..=60).map(|i| f64::from(i) * 0.11 + 0.003) {
                assert!((function.at(at) - expected(at)).abs() < 1e-12, "{function:?} at {at}");
                let difference = (function.at(at + 1e-6) - function.at(at - 1e-6)) / 2e-6;
                assert!((function.derivative(at) - difference).abs() < 1e-6, "{function:?} at {at}");
            }
        }
    }

    /// Bounds hold at every place between, also without ends; and those of activations that are cut off are tight.
    #[test]
    fn values_are_within_bounds() {
        for (function, _) in all() {
            for (low, high) in [(-6.6, 6.6), (-3.0, -0.5), (0.0, 4.0), (-0.1, f64::INFINITY), (f64::NEG_INFINITY, 0.2)]
            {
                let (least, most) = function.bounds((low, high));
                let inside = (-60..=60).map(|i| f64::from(i) * 0.11).filter(|x| (low..=high).contains(x));
                for y in inside.map(|x| function.at(x)) {
                    assert!(y >= least - 1e-12 && y <= most + 1e-12, "{function:?}: {y} beside {least} to {most}");
                }
            }
        }
        let all = (f64::NEG_INFINITY, f64::INFINITY);
        assert_eq!(Function::relu6().bounds(all), (0.0, 6.0));
        assert_eq!(Function::relu().bounds(all), (0.0, f64::INFINITY));
        assert_eq!(Function::hard_sigmoid(0.2, 0.5).bounds(all), (0.0, 1.0));
        assert_eq!(Function::X.then(Unary::Sigmoid).bounds(all), (0.0, 1.0));
        assert_eq!(Function::X.then(Unary::Abs).bounds((-3.0, 2.0)), (0.0, 3.0));
    }

    /// To all digits of the table in Abramowitz and Stegun, "Handbook of Mathematical Functions", and at the ends.
    #[test]
    fn error_function() {
        for (x, y) in [
            (0.0, 0.0),
            (0.5, 0.520_499_877_8),
            (1.0, 0.842_700_792_9),
            (-2.0, -0.995_322_265_0),
            (-9.0, -1.0),
            (f64::INFINITY, 1.0),
        ] {
            assert!((Function::X.then(Unary::Erf).at(x) - y).abs() < 1e-10);
        }
        assert!((Function::gelu(false).at(1.3) - Function::gelu(true).at(1.3)).abs() < 1e-3);
    }

    #[test]
    fn composition_and_shape() {
        let (f, g) = (Function::hard_swish(), Function::leaky_relu(0.2));
        assert_eq!(f.of(&g).at(-1.7), f.at(g.at(-1.7)));
        let line = (Function::X + Function::Constant(3.0)) / Function::Constant(6.0) - Function::X;
        let (factor, offset) = line.affine().unwrap();
        assert!((factor * 2.0 + offset - line.at(2.0)).abs() < 1e-12);
        assert_eq!(f.affine(), None);
        assert_eq!(Function::relu().of(&line).below_relu(), Some((&line, None)));
        assert_eq!(Function::relu6().below_relu(), Some((&Function::X, Some(6.0))));
        assert_eq!(g.below_relu(), None);
    }
}
