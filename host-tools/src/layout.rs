//! The order of the dimensions of arrays of images.

use anyhow::{Context, Result, bail, ensure};
use kinglet::Shape;
use ndarray::{Array4, ArrayD};

/// Where the channels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Layout {
    /// Before height and width.
    Nchw,
    /// After them.
    Nhwc,
}

impl Layout {
    /// Images of `shape` as N x H x W x C, from an array in the order that `layout` says or its sizes tell. Dimensions of 1 may be
    /// missing, and a vector comes in any shape. `own` is the order that the model's file has, for the message.
    ///
    /// # Errors
    /// When the sizes are others, or do not tell the order.
    pub fn channels_last<T: Clone>(
        array: ArrayD<T>,
        shape: Shape,
        layout: Option<Self>,
        own: Option<Self>,
    ) -> Result<Array4<T>> {
        let [h, w, c] = [shape.h, shape.w, shape.c].map(|extent| extent as usize);
        let sizes = array.shape().to_vec();
        let (&count, rest) = sizes.split_first().context("a single number, not an array of images")?;
        ensure!(count > 0, "it holds no images");
        let is_vector = h * w == 1 && rest.iter().product::<usize>() == c;
        let wide = |dims: &[usize]| dims.iter().copied().filter(|&dim| dim != 1).collect::<Vec<_>>();
        let fits = |dims: [usize; 3]| is_vector || wide(&dims) == wide(rest);
        let (first, last) = (fits([c, h, w]), fits([h, w, c]));
        let layout = match layout {
            Some(layout) => layout,
            // With one channel or one pixel both are the same.
            None if first && last && c > 1 && h * w > 1 => {
                let own = match own {
                    Some(Self::Nchw) => " (the model's own is nchw)",
                    Some(Self::Nhwc) => " (the model's own is nhwc)",
                    None => "",
                };
                bail!(
                    "shape {sizes:?} does not tell the channels from height and width: give --layout nchw or --layout nhwc{own}"
                );
            }
            None if first && !last => Self::Nchw,
            None => Self::Nhwc,
        };
        let array = array.as_standard_layout().into_owned();
        if layout == Self::Nchw {
            ensure!(first, "shape {sizes:?}: the model takes N x {c} x {h} x {w}");
            let array = array.into_shape_with_order((count, c, h, w))?;
            return Ok(array.permuted_axes([0, 2, 3, 1]).as_standard_layout().into_owned());
        }
        ensure!(last, "shape {sizes:?}: the model takes N x {h} x {w} x {c}");
        Ok(array.into_shape_with_order((count, h, w, c))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::IxDyn;

    fn ordered(sizes: &[usize], shape: [u32; 3], layout: Option<Layout>) -> Result<Vec<usize>, String> {
        let array = ArrayD::from_shape_vec(IxDyn(sizes), (0..sizes.iter().product()).collect()).unwrap();
        let [h, w, c] = shape;
        let ordered = Layout::channels_last(array, Shape::new(h, w, c), layout, None);
        ordered.map(|images| images.into_iter().collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn sizes_tell_the_order_or_an_error_asks_for_it() {
        let first = Ok(vec![0, 4, 1, 5, 2, 6, 3, 7]);
        assert_eq!(ordered(&[1, 2, 1, 4], [1, 4, 2], None), first);
        assert_eq!(ordered(&[1, 2, 4], [1, 4, 2], None), first);
        assert_eq!(ordered(&[1, 4, 2], [1, 4, 2], None), Ok((0..8).collect()));
        assert_eq!(ordered(&[2, 3, 4], [1, 1, 12], None), Ok((0..24).collect()));
        assert_eq!(ordered(&[1, 2, 2], [1, 2, 2], Some(Layout::Nchw)), Ok(vec![0, 2, 1, 3]));
        assert_eq!(ordered(&[1, 2, 2], [1, 2, 2], Some(Layout::Nhwc)), Ok((0..4).collect()));
        assert!(ordered(&[1, 2, 2], [1, 2, 2], None).unwrap_err().contains("--layout nchw or --layout nhwc"));
        assert!(ordered(&[1, 2, 3], [1, 4, 2], None).unwrap_err().contains("the model takes N x 1 x 4 x 2"));
    }
}
