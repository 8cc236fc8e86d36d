//! RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR.

use kinglet::ops::{ResizeBilinear, ResizeNearest};

use super::names as op;
use super::operators::damaged;
use super::read::Reader;
use super::schema::Operator;
use super::write::Writer;
use crate::graph::Rearrange;
use crate::import::flat_write::Value;
use crate::import::problem::{Refusal, refuse};
use crate::import::source::Operator as Neutral;
use crate::network::{Node, TensorId};

impl Reader<'_, '_> {
    pub(super) fn resize(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (input, Some(options)) = (self.map(o, 0)?, o.options) else {
            return refuse("its options are missing", "");
        };
        let size = o.input(1).and_then(|i| self.model.tensors[i].integers(2)).unwrap_or_default();
        let size: Vec<u32> = size.iter().filter_map(|&extent| u32::try_from(extent).ok()).collect();
        let &[h, w] = &size[..] else { return refuse("its size is not a constant height and width", "") };
        // The other operator's table of options still has two fields that nobody writes any more.
        let first = if o.code == op::RESIZE_BILINEAR { 2 } else { 0 };
        let [align_corners, half_pixel_centers] =
            [options.bool(first).map_err(damaged)?, options.bool(first + 1).map_err(damaged)?];
        if o.code == op::RESIZE_NEAREST_NEIGHBOR {
            let resize = ResizeNearest { size: [h, w], align_corners, half_pixel_centers };
            return self.lower(o, Neutral::Rearrange(Rearrange::ResizeNearest(resize)), &[input]);
        }
        if align_corners && half_pixel_centers {
            return refuse("both corners and centers are aligned", "TensorFlow Lite refuses it too");
        }
        let resize = ResizeBilinear::new(self.draft.shape(input), [h, w], align_corners, half_pixel_centers);
        let Some(resize) = resize else { return refuse("a map that becomes thousands of times smaller", "") };
        self.lower(o, Neutral::ResizeBilinear(resize), &[input])
    }
}

impl Writer<'_> {
    pub(super) fn write_nearest(&mut self, node: &Node, first: TensorId, resize: ResizeNearest) {
        let input = self.image(first);
        let size = self.integers(format!("{}/size", node.name), vec![2], &resize.size.map(|extent| extent as i32));
        let output = self.result(node, true);
        let options = [resize.align_corners, resize.half_pixel_centers].map(Value::bool);
        let options = (74, (0..).zip(options).collect());
        self.operator(op::RESIZE_NEAREST_NEIGHBOR, 3, vec![input, size], output, options);
    }

    pub(super) fn write_bilinear(
        &mut self,
        node: &Node,
        first: TensorId,
        resize: &ResizeBilinear,
    ) -> Result<(), String> {
        let from = self.network.tensors[first].shape;
        let same = |&[align_corners, half_pixel_centers]: &[bool; 2]| {
            let theirs = ResizeBilinear::new(from, resize.size, align_corners, half_pixel_centers);
            theirs.is_some_and(|theirs| {
                [from.h, from.w].into_iter().enumerate().all(|(axis, extent)| {
                    let source = |resize: &ResizeBilinear, at| resize.between(axis).source(at, extent);
                    (0..resize.size[axis]).all(|at| source(&theirs, at) == source(resize, at))
                })
            })
        };
        let Some(options) = [[false, true], [false; 2], [true, false]].into_iter().find(same) else {
            return Err("it has no settings that interpolate between the same pixels".into());
        };
        let input = self.image(first);
        let size = self.integers(format!("{}/size", node.name), vec![2], &resize.size.map(|extent| extent as i32));
        let output = self.result(node, true);
        let options = (15, (2..).zip(options.map(Value::bool)).collect());
        self.operator(op::RESIZE_BILINEAR, 3, vec![input, size], output, options);
        Ok(())
    }
}
