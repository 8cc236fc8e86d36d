//! Elementwise layers that imported networks have: functions of one number, products, differences, constants of a whole
//! map. Training them is possible, not fast.

use kinglet::Shape;

use super::pointwise::hand_on;
use super::real::Real;
use super::{Layer, Output, Point, Scratch, store};
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

    fn input_gradient(
        &self,
        _which: usize,
        point: &Point<'_, T>,
        output: Output<'_, T>,
        target: &mut [T],
        accumulate: bool,
        _scratch: &mut Scratch<T>,
    ) {
        for ((target, x), g) in target.iter_mut().zip(point.input(0)).zip(output.gradient) {
            store(target, *g * T::of(self.function.derivative(x.wide())), accumulate);
        }
    }
}

/// Hands `gradients` on to an operand that may be one pixel: it gets the sum over all.
fn spread<T: Real>(gradients: impl Iterator<Item = T>, target: &mut [T], accumulate: bool) {
    if !accumulate {
        target.fill(T::zero());
    }
    let len = target.len();
    gradients.enumerate().for_each(|(at, g)| target[at % len] += g);
}

/// The first input less the second, which may be one pixel.
#[derive(Debug)]
pub struct Difference;

impl<T: Real> Layer<T> for Difference {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        let pairs = point.input(0).iter().zip(point.input(1).iter().cycle());
        out.iter_mut().zip(pairs).for_each(|(out, (a, b))| *out = *a - *b);
    }

    fn input_gradient(
        &self,
        which: usize,
        _point: &Point<'_, T>,
        output: Output<'_, T>,
        target: &mut [T],
        accumulate: bool,
        _scratch: &mut Scratch<T>,
    ) {
        if which == 0 {
            hand_on(output.gradient, target, accumulate);
        } else {
            spread(output.gradient.iter().map(|g| T::zero() - *g), target, accumulate);
        }
    }
}

/// Elementwise product; the second input may be one pixel.
#[derive(Debug)]
pub struct Product;

impl<T: Real> Layer<T> for Product {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        let pairs = point.input(0).iter().zip(point.input(1).iter().cycle());
        out.iter_mut().zip(pairs).for_each(|(out, (a, b))| *out = *a * *b);
    }

    fn input_gradient(
        &self,
        which: usize,
        point: &Point<'_, T>,
        output: Output<'_, T>,
        target: &mut [T],
        accumulate: bool,
        _scratch: &mut Scratch<T>,
    ) {
        let other = point.input(1 - which).iter().cycle();
        spread(output.gradient.iter().zip(other).map(|(g, x)| *g * *x), target, accumulate);
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

    /// The derivatives by the input, where the constant is `c`, and by the constant, where the input is `x`.
    fn slopes(&self, x: T, c: T) -> [T; 2] {
        match self.function {
            ConstantFunction::Mul => [c, x],
            ConstantFunction::Add => [T::one(); 2],
            ConstantFunction::Sub => [T::one(), -T::one()],
            ConstantFunction::SubFrom => [-T::one(), T::one()],
        }
    }
}

impl<T: Real> Layer<T> for Constant<T> {
    fn prepare(&mut self, weights: &[Vec<T>], _backward: bool) {
        self.numbers.clone_from(&weights[0]);
    }

    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        for ((out, x), c) in out.iter_mut().zip(point.input(0)).zip(&self.numbers) {
            *out = match self.function {
                ConstantFunction::Mul => *x * *c,
                ConstantFunction::Add => *x + *c,
                ConstantFunction::Sub => *x - *c,
                ConstantFunction::SubFrom => *c - *x,
            };
        }
    }

    fn input_gradient(
        &self,
        _which: usize,
        point: &Point<'_, T>,
        output: Output<'_, T>,
        target: &mut [T],
        accumulate: bool,
        _scratch: &mut Scratch<T>,
    ) {
        let operands = point.input(0).iter().zip(&self.numbers);
        for ((target, g), (x, c)) in target.iter_mut().zip(output.gradient).zip(operands) {
            store(target, *g * self.slopes(*x, *c)[0], accumulate);
        }
    }

    fn gradient_lens(&self) -> Vec<usize> {
        vec![self.numbers.len()]
    }

    fn weight_gradient(
        &self,
        point: &Point<'_, T>,
        output: Output<'_, T>,
        sums: &mut [Vec<T>],
        _scratch: &mut Scratch<T>,
    ) {
        let operands = point.input(0).iter().zip(&self.numbers);
        for ((sum, g), (x, c)) in sums[0].iter_mut().zip(output.gradient).zip(operands) {
            *sum += *g * self.slopes(*x, *c)[1];
        }
    }
}
