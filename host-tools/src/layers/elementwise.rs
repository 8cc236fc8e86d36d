//! Elementwise layers that imported networks have: functions of one number, products, differences, constants of a whole
//! map. Training them is possible, not fast.

use kinglet::Shape;

use super::real::Real;
use super::{Back, Layer, Point, Scratch, Target, store};
use crate::graph::{ConstantFunction, Function};

/// A function of every element.
#[derive(Debug)]
pub struct Apply {
    /// The function.
    pub function: Function,
}

impl<T: Real> Layer<T> for Apply {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        out.iter_mut().zip(point.input(0)).for_each(|(out, x)| *out = T::of(self.function.at(x.wide())));
    }

    fn input_gradient(&self, _which: usize, back: &Back<'_, T>, target: Target<'_, T>, _scratch: &mut Scratch<T>) {
        let Target { values, accumulate } = target;
        for ((value, x), g) in values.iter_mut().zip(back.input(0)).zip(back.gradient) {
            store(value, *g * T::of(self.function.derivative(x.wide())), accumulate);
        }
    }
}

/// For each element of `output`, `H x W x C`, the place of the operand's that goes there: along axes where the operand has extent
/// 1 it is spread.
pub fn spread(operand: Shape, output: Shape) -> impl Iterator<Item = usize> {
    let along = |extent: u32, at: u32| if extent == 1 { 0 } else { at };
    let row = move |y| along(operand.h, y) * operand.w;
    let pixel = move |y, x| (row(y) + along(operand.w, x)) * operand.c;
    let pixels = (0..output.h).flat_map(move |y| (0..output.w).map(move |x| pixel(y, x)));
    pixels.flat_map(move |pixel| (0..output.c).map(move |c| (pixel + along(operand.c, c)) as usize))
}

/// A sum, difference or product of two inputs, which are spread over the output.
#[derive(Debug)]
pub struct Arithmetic {
    /// `Add`, `Sub` or `Mul`.
    function: ConstantFunction,
    /// Of both inputs, for each element of the output, the element that goes there.
    places: [Vec<usize>; 2],
}

impl Arithmetic {
    /// Of inputs of these shapes; the second one takes the place of the constant.
    pub fn new(function: ConstantFunction, inputs: &[Shape], output: Shape) -> Self {
        Self { function, places: [0, 1].map(|which| spread(inputs[which], output).collect()) }
    }
}

impl<T: Real> Layer<T> for Arithmetic {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        let (a, b) = (point.input(0), point.input(1));
        for ((out, &i), &j) in out.iter_mut().zip(&self.places[0]).zip(&self.places[1]) {
            *out = self.function.of(a[i], b[j]);
        }
    }

    /// An element that is spread gets the sum over all places where it went.
    fn input_gradient(&self, which: usize, back: &Back<'_, T>, target: Target<'_, T>, _scratch: &mut Scratch<T>) {
        let target = target.sums();
        let (a, b) = (back.input(0), back.input(1));
        for ((g, &i), &j) in back.gradient.iter().zip(&self.places[0]).zip(&self.places[1]) {
            target[[i, j][which]] += *g * slopes(self.function, a[i], b[j])[which];
        }
    }
}

/// The derivatives by the input, where the constant is `c`, and by the constant, where the input is `x`.
fn slopes<T: Real>(function: ConstantFunction, x: T, c: T) -> [T; 2] {
    match function {
        ConstantFunction::Mul => [c, x],
        ConstantFunction::Add => [T::one(); 2],
        ConstantFunction::Sub => [T::one(), -T::one()],
        ConstantFunction::SubFrom => [-T::one(), T::one()],
        ConstantFunction::Prelu if x < T::zero() => [c, x],
        ConstantFunction::Prelu => [T::one(), T::zero()],
    }
}

/// Arithmetic with a constant of the input's shape.
#[derive(Debug)]
pub struct Constant<T> {
    function: ConstantFunction,
    numbers: Vec<T>,
}

impl<T: Real> Constant<T> {
    /// Ones of a shape, until weights come.
    pub fn new(function: ConstantFunction, shape: Shape) -> Self {
        Self { function, numbers: vec![T::one(); shape.len() as usize] }
    }
}

impl<T: Real> Layer<T> for Constant<T> {
    fn prepare(&mut self, weights: &[Vec<T>], _backward: bool) {
        self.numbers.clone_from(&weights[0]);
    }

    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        for ((out, x), c) in out.iter_mut().zip(point.input(0)).zip(&self.numbers) {
            *out = self.function.of(*x, *c);
        }
    }

    fn input_gradient(&self, _which: usize, back: &Back<'_, T>, target: Target<'_, T>, _scratch: &mut Scratch<T>) {
        let Target { values, accumulate } = target;
        let operands = back.input(0).iter().zip(&self.numbers);
        for ((value, g), (x, c)) in values.iter_mut().zip(back.gradient).zip(operands) {
            store(value, *g * slopes(self.function, *x, *c)[0], accumulate);
        }
    }

    fn gradient_lens(&self) -> Vec<usize> {
        vec![self.numbers.len()]
    }

    fn weight_gradient(&self, back: &Back<'_, T>, sums: &mut [Vec<T>], _scratch: &mut Scratch<T>) {
        let operands = back.input(0).iter().zip(&self.numbers);
        for ((sum, g), (x, c)) in sums[0].iter_mut().zip(back.gradient).zip(operands) {
            *sum += *g * slopes(self.function, *x, *c)[1];
        }
    }
}
