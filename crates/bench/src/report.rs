//! What was measured, as medians and ratios: a Markdown table, or JSON.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use crate::contender::{BARE, OURS, TYPESCRIPT};

#[derive(Default, Serialize)]
pub(crate) struct Report {
    pub(crate) measures: Vec<Measure>,
    /// What is not compared, in Markdown.
    #[serde(skip)]
    pub(crate) notes: Vec<String>,
}

#[derive(Serialize)]
pub(crate) struct Measure {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) deno: String,
    /// By contender, in the order in which they were first measured.
    pub(crate) values: Vec<Values>,
}

#[derive(Serialize)]
pub(crate) struct Values {
    pub(crate) contender: &'static str,
    /// One a round.
    samples: Vec<f64>,
}

impl Values {
    pub(crate) fn median(&self) -> f64 {
        let mut samples = self.samples.clone();
        samples.sort_by(f64::total_cmp);
        let middle = |index: usize| samples.get(index).copied().unwrap_or(f64::NAN);
        (middle(samples.len() / 2) + middle(samples.len().saturating_sub(1) / 2)) / 2.0
    }
}

impl Report {
    pub(crate) fn add(
        &mut self,
        what: &str,
        unit: &'static str,
        deno: &str,
        contender: &'static str,
        sample: f64,
    ) {
        let is_same = |measure: &Measure| measure.what == what && measure.deno == deno;
        let measure = match self.measures.iter().position(is_same) {
            Some(index) => self.measures.get_mut(index),
            None => {
                let deno = deno.to_owned();
                self.measures.push(Measure { what: what.to_owned(), unit, deno, values: Vec::new() });
                self.measures.last_mut()
            }
        };
        let Some(measure) = measure else { return };
        match measure.values.iter_mut().find(|values| values.contender == contender) {
            Some(values) => values.samples.push(sample),
            None => measure.values.push(Values { contender, samples: vec![sample] }),
        }
    }

    pub(crate) fn markdown(&self) -> String {
        let names: Vec<&str> = self.measures.iter().take(1).flat_map(Measure::contenders).collect();
        let mut text = String::new();
        let mut deno = "";
        for measure in &self.measures {
            if measure.deno != deno {
                deno = &measure.deno;
                let head = names.join(" | ");
                text += &format!("\n| Deno {deno} | {head} | ours / bare | ours / TypeScript |\n");
                text += &format!("|---|{}---|---|\n", "---|".repeat(names.len()));
            }
            let cell = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), digits);
            let ratio = |name: &str| {
                let ratio = Some(measure.median(OURS)? / measure.median(name)?);
                ratio.filter(|ratio| ratio.is_finite())
            };
            let cells = names.iter().map(|name| measure.median(name));
            let cells: Vec<String> = cells.chain([ratio(BARE), ratio(TYPESCRIPT)]).map(cell).collect();
            text += &format!("| {} | {} |\n", measure.label(), cells.join(" | "));
        }
        self.notes.iter().fold(text, |text, note| text + "\n" + note)
    }
}

impl Measure {
    pub(crate) fn label(&self) -> String {
        if self.unit.is_empty() { self.what.clone() } else { format!("{}, {}", self.what, self.unit) }
    }

    fn contenders(&self) -> impl Iterator<Item = &'static str> {
        self.values.iter().map(|values| values.contender)
    }

    pub(crate) fn median(&self, contender: &str) -> Option<f64> {
        self.values.iter().find(|values| values.contender == contender).map(Values::median)
    }
}

/// Three digits that count.
pub(crate) fn digits(value: f64) -> String {
    match value {
        _ if value == value.trunc() || value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A line on the terminal that grows; nothing where there is none.
pub(crate) struct Progress {
    pub(crate) done: usize,
    pub(crate) steps: usize,
}

impl Progress {
    pub(crate) fn step(&mut self, what: &str) {
        let mut terminal = std::io::stderr();
        self.done += 1;
        if terminal.is_terminal() {
            let filled = (self.done * 30 / self.steps.max(1)).min(30);
            // What cannot be shown is not missed.
            let _ = write!(terminal, "\r\x1b[K[{}{}] {what}", "#".repeat(filled), ".".repeat(30 - filled));
            let _ = terminal.flush();
        }
    }

    pub(crate) fn end(&self) {
        if std::io::stderr().is_terminal() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
