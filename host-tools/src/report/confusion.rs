//! The confusion matrix of a classifier.

use anyhow::{Result, anyhow};
use ndarray::Array2;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::style::{BLUE, FONT};
use super::table::{Table, csv_line};

/// How often each class was taken for which.
#[derive(Clone, Debug, PartialEq)]
pub struct Confusion {
    classes: Vec<String>,
    /// Images by label (row) and answer (column).
    counts: Array2<u32>,
}

impl Confusion {
    /// Counts answers by label; images whose label or answer is no class are left out.
    pub fn new(classes: &[String], labels: &[u8], answers: &[usize]) -> Self {
        let mut counts = Array2::zeros((classes.len(), classes.len()));
        for (label, answer) in labels.iter().zip(answers) {
            if let Some(count) = counts.get_mut((usize::from(*label), *answer)) {
                *count += 1;
            }
        }
        Self { classes: classes.to_vec(), counts }
    }

    /// Label, wrong answer and number of images, the most frequent first.
    pub fn mistakes(&self) -> Vec<(&str, &str, u32)> {
        let wrong = self.counts.indexed_iter().filter(|((label, answer), count)| label != answer && **count > 0);
        let mut all: Vec<_> = wrong.map(|((l, a), count)| (&*self.classes[l], &*self.classes[a], *count)).collect();
        all.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
        all
    }

    /// A row for each class: how many images it has, the part of the answers of it that are right, the part of its images that
    /// are found.
    pub fn per_class(&self) -> Table {
        let percent = |part: u32, all: u32| match all {
            0 => "-".to_owned(),
            all => format!("{:.1}", 100.0 * f64::from(part) / f64::from(all)),
        };
        let mut table = Table::new(["class", "images", "precision %", "recall %"]);
        for (index, class) in self.classes.iter().enumerate() {
            let (right, images) = (self.counts[(index, index)], self.counts.row(index).sum());
            let answers = self.counts.column(index).sum();
            table.row([class.clone(), images.to_string(), percent(right, answers), percent(right, images)]);
        }
        table
    }

    /// One line per label, one column per answer, with class names in front.
    pub fn to_csv(&self) -> String {
        let line = |first: &str, rest: Vec<String>| csv_line(&[vec![first.to_string()], rest].concat());
        let mut text = line("label", self.classes.clone());
        for (class, row) in self.classes.iter().zip(self.counts.rows()) {
            text += &line(class, row.iter().map(u32::to_string).collect());
        }
        text
    }

    /// A square per pair of classes as SVG, the darker the greater its part of the label's images; numbers are images.
    ///
    /// # Errors
    /// When the picture cannot be drawn, which only a defect would cause.
    pub fn to_svg(&self) -> Result<String> {
        let mut svg = String::new();
        self.draw(&mut svg).map_err(|error| anyhow!("cannot draw the confusion matrix: {error}"))?;
        Ok(svg)
    }

    fn draw(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        const LEGEND: i32 = 30;
        let count = self.classes.len() as i32;
        let cell = (900 / count.max(1)).clamp(9, 56);
        let letters = self.classes.iter().map(|name| name.chars().count()).max().unwrap_or(0) as i32;
        let left = LEGEND + 10 + (letters * 8).clamp(20, 260);
        let size = (left + count * cell + 16) as u32;
        let root = SVGBackend::with_string(svg, (size, size)).into_drawing_area();
        root.fill(&WHITE)?;
        let centered = |size: i32| (FONT, size).into_font().color(&BLACK).pos(Pos::new(HPos::Center, VPos::Center));
        let aside = (FONT, (cell - 2).min(14)).into_font().color(&BLACK).pos(Pos::new(HPos::Right, VPos::Center));
        let above = aside.clone().transform(FontTransform::Rotate90);
        let middle = left + count * cell / 2;
        root.draw(&Text::new("predicted", (middle, LEGEND / 2), centered(14)))?;
        root.draw(&Text::new("true", (LEGEND / 2, middle), centered(14).transform(FontTransform::Rotate270)))?;
        for (index, class) in self.classes.iter().enumerate() {
            let at = left + index as i32 * cell + cell / 2;
            root.draw(&Text::new(class.as_str(), (left - 6, at), aside.clone()))?;
            root.draw(&Text::new(class.as_str(), (at, left - 6), above.clone()))?;
        }
        for ((label, answer), images) in self.counts.indexed_iter() {
            let part = f64::from(*images) / f64::from(self.counts.row(label).sum().max(1));
            let [r, g, b] = [BLUE.0, BLUE.1, BLUE.2].map(|dark| (255.0 + (f64::from(dark) - 255.0) * part) as u8);
            let (x, y) = (left + answer as i32 * cell, left + label as i32 * cell);
            let corners = [(x, y), (x + cell, y + cell)];
            root.draw(&Rectangle::new(corners, RGBColor(r, g, b).filled()))?;
            root.draw(&Rectangle::new(corners, BLACK.mix(0.2).stroke_width(1)))?;
            let text = images.to_string();
            if *images > 0 && text.len() as i32 * 7 < cell {
                let color = if part > 0.5 { WHITE } else { BLACK };
                root.draw(&Text::new(text, (x + cell / 2, y + cell / 2), centered(12).color(&color)))?;
            }
        }
        root.present()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_label_and_answer() {
        let classes = ["cat".to_string(), "dog, small".to_string()];
        let confusion = Confusion::new(&classes, &[0, 0, 1, 1, 1], &[0, 1, 1, 1, 7]);
        assert_eq!(confusion.to_csv(), "label,cat,\"dog, small\"\ncat,1,1\n\"dog, small\",0,2\n");
        let classes = confusion.per_class().to_csv();
        assert_eq!(
            classes, "class,images,precision %,recall %\ncat,2,100.0,50.0\n\"dog, small\",2,66.7,100.0\n",
            "an answer that is no class is left out"
        );
        let svg = confusion.to_svg().unwrap();
        assert!(svg.contains("predicted") && svg.contains("true"));
        assert!(svg.contains("cat") && svg.contains("dog, small"));
    }
}
