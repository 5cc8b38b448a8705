//! Dates and relative times by `Intl`, in the language of the texts.

use js_sys::{Date, Object};
use wasm_bindgen::prelude::*;

use crate::connection::Millis;
use crate::supabase::object;

/// js-sys's own do not catch the exception that an invalid language tag raises.
#[wasm_bindgen]
extern "C" {
    type RelativeTimeFormat;
    #[wasm_bindgen(constructor, js_namespace = Intl, catch)]
    fn new(language: &JsValue, options: &Object) -> Result<RelativeTimeFormat, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn format(this: &RelativeTimeFormat, value: f64, unit: &str) -> Result<String, JsValue>;

    type DateTimeFormat;
    #[wasm_bindgen(constructor, js_namespace = Intl, catch)]
    fn new(language: &JsValue, options: &Object) -> Result<DateTimeFormat, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn format(this: &DateTimeFormat, time: f64) -> Result<String, JsValue>;
}

pub(crate) struct Locale {
    relative: Option<RelativeTimeFormat>,
    day: Option<DateTimeFormat>,
    moment: Option<DateTimeFormat>,
}

impl Locale {
    /// An invalid language tag stands for the browser's.
    pub(crate) fn new(language: &str) -> Self {
        let wanted = JsValue::from_str(language);
        let relative = object(&[("numeric", "auto".into())]);
        let day = object(&[("day", "numeric".into()), ("month", "short".into())]);
        let moment = object(&[("dateStyle", "medium".into()), ("timeStyle", "short".into())]);
        let date_time = |options| {
            DateTimeFormat::new(&wanted, options)
                .or_else(|_| DateTimeFormat::new(&JsValue::UNDEFINED, options))
                .ok()
        };
        Self {
            relative: RelativeTimeFormat::new(&wanted, &relative)
                .or_else(|_| RelativeTimeFormat::new(&JsValue::UNDEFINED, &relative))
                .ok(),
            day: date_time(&day),
            moment: date_time(&moment),
        }
    }

    /// "2 minutes ago", "in 5 hours".
    pub(crate) fn relative(&self, time: Millis, now: Millis) -> String {
        let (count, unit) = distance(time, now);
        self.relative.as_ref().and_then(|format| format.format(count, unit).ok()).unwrap_or_default()
    }

    /// "21 Dec".
    pub(crate) fn day(&self, time: Millis) -> String {
        self.day.as_ref().and_then(|format| format.format(time).ok()).unwrap_or_default()
    }

    /// "21 Dec 2026, 14:03".
    pub(crate) fn moment(&self, time: Millis) -> String {
        self.moment.as_ref().and_then(|format| format.format(time).ok()).unwrap_or_default()
    }
}

pub(crate) fn iso(time: Millis) -> String {
    Date::new(&time.into()).to_iso_string().into()
}

/// In the largest unit of which there is one.
fn distance(time: Millis, now: Millis) -> (f64, &'static str) {
    const MINUTE: Millis = 60_000.0;
    const UNITS: [(Millis, &str); 5] = [
        (365.0 * 24.0 * 60.0 * MINUTE, "year"),
        (30.0 * 24.0 * 60.0 * MINUTE, "month"),
        (24.0 * 60.0 * MINUTE, "day"),
        (60.0 * MINUTE, "hour"),
        (MINUTE, "minute"),
    ];
    let passed = time - now;
    let unit = UNITS.iter().find(|(length, _)| passed.abs() >= *length);
    // Less than a minute is "now".
    unit.map_or((0.0, "second"), |(length, name)| ((passed / length).trunc(), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_as_far_away_as_the_largest_whole_unit() {
        let now = 1_000_000_000_000.0;
        for (seconds, expected) in [
            (0.0, (0.0, "second")),
            (-59.0, (0.0, "second")),
            (-60.0, (-1.0, "minute")),
            (-119.0, (-1.0, "minute")),
            (3_599.0, (59.0, "minute")),
            (3_600.0, (1.0, "hour")),
            (-86_400.0, (-1.0, "day")),
            (29.9 * 86_400.0, (29.0, "day")),
            (31.0 * 86_400.0, (1.0, "month")),
            (-800.0 * 86_400.0, (-2.0, "year")),
        ] {
            assert_eq!(distance(now + seconds * 1_000.0, now), expected, "{seconds} s");
        }
    }
}
