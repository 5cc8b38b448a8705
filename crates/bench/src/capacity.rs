//! Scale on paper: what so many connections ask of every part, by the constants of the protocol, and what gives way
//! first.

use std::time::Duration;

use protocol::schedule::{
    CHANNEL_TTL, LOOK_INTERVAL, LOOKS_PER_SWEEP, MOST_PARTS, RENEWALS_PER_SWEEP, RENEWED_BEFORE_EXPIRY,
    RUNS_PER_INVOCATION,
};

use crate::report::digits;

/// What is assumed of users: notifications a day, each of which leads to a run, and how many times the average the
/// busiest minute sees.
const CHANGES_A_DAY: f64 = 10.0;
const PEAK: f64 = 4.0;
const MINUTES_A_DAY: f64 = 24.0 * 60.0;
const DAYS_A_MONTH: f64 = 30.0;

/// What `schedule_calendar_webhook_refresh` starts at most unless it is told otherwise.
const USUAL_PARALLEL: f64 = 5.0;
/// The longest interval that `CALENDAR_LOOK_HOURS` takes.
const LONGEST_LOOK_HOURS: f64 = 24.0;
/// Google's default for the Calendar API, a minute and project. That of a user, 600, is out of reach: a user's own
/// changes are the only load that is theirs.
const GOOGLE_A_MINUTE: f64 = 10_000.0;
/// Calls of other functions that one invocation may make in a minute, as observed on the hosted platform.
const NESTED_CALLS: f64 = 30.0;

/// Requests to the database: the change, the claim and the end of its run.
const REQUESTS_A_NOTIFICATION: f64 = 3.0;
/// The claim and the verdict.
const REQUESTS_A_LOOK: f64 = 2.0;
/// Claim, commit, and the claim and the verdict of the run that follows.
const REQUESTS_A_RENEWAL: f64 = 4.0;
/// What is due, one page of each kind, what remains, and the row that tells of it.
const REQUESTS_A_SWEEP: f64 = 11.0;
/// `events.watch`, `channels.stop`, and the look before the run.
const GOOGLE_A_RENEWAL: f64 = 3.0;
/// Of processor time in PostgREST and PostgreSQL together; half of each core is left for everything else.
const SECONDS_A_REQUEST: f64 = 0.002;
const USABLE: f64 = 0.5;
/// With its part of all indexes: twice what `scripts/bench` prints of a new table with short tokens.
const BYTES_A_ROW: f64 = 2_000.0;

/// Supabase's price list as its documentation told it when this was written, in November 2026 (Manage Compute usage;
/// Billing on Supabase): a month, in dollars.
const PLAN: f64 = 25.0;
const COMPUTE_CREDITS: f64 = 10.0;
const INVOCATIONS_INCLUDED: f64 = 2e6;
const A_MILLION_INVOCATIONS: f64 = 2.0;
const DISK_INCLUDED_GB: f64 = 8.0;
const A_GB_OF_DISK: f64 = 0.125;
/// Size, cores, memory in GB, price.
const COMPUTE: [(&str, f64, f64, f64); 10] = [
    ("Micro", 2.0, 1.0, 10.0),
    ("Small", 2.0, 2.0, 15.0),
    ("Medium", 2.0, 4.0, 60.0),
    ("Large", 2.0, 8.0, 110.0),
    ("XL", 4.0, 16.0, 210.0),
    ("2XL", 8.0, 32.0, 410.0),
    ("4XL", 16.0, 64.0, 960.0),
    ("8XL", 32.0, 128.0, 1870.0),
    ("12XL", 48.0, 192.0, 2800.0),
    ("16XL", 64.0, 256.0, 3730.0),
];

/// What so many connections ask for, a minute on average unless it says otherwise.
struct Load {
    connections: f64,
    notifications: f64,
    looks: f64,
    renewals: f64,
    sweeps: f64,
    google: f64,
    /// In the busiest minute, a second.
    database: f64,
}

impl Load {
    fn of(connections: f64) -> Self {
        let notifications = connections * CHANGES_A_DAY / MINUTES_A_DAY;
        let looks = connections / minutes(LOOK_INTERVAL);
        let before = RENEWED_BEFORE_EXPIRY.to_std().unwrap_or_default();
        // A channel is renewed up to a tenth sooner.
        let renewed_after = (minutes(CHANNEL_TTL) - minutes(before)) * 0.95;
        let renewals = connections / renewed_after;
        let wanted = (looks / LOOKS_PER_SWEEP as f64).max(renewals / RENEWALS_PER_SWEEP as f64);
        let sweeps = wanted.ceil().clamp(1.0, MOST_PARTS as f64);
        let requests = notifications * PEAK * REQUESTS_A_NOTIFICATION
            + looks * REQUESTS_A_LOOK
            + renewals * REQUESTS_A_RENEWAL
            + sweeps * REQUESTS_A_SWEEP;
        let google = looks + renewals * GOOGLE_A_RENEWAL;
        Self { connections, notifications, looks, renewals, sweeps, google, database: requests / 60.0 }
    }

    fn gigabytes(&self) -> f64 {
        self.connections * BYTES_A_ROW / 1e9
    }

    fn cores(&self) -> f64 {
        self.database * SECONDS_A_REQUEST / USABLE
    }

    /// The smallest that has the cores, and the memory for the table.
    fn compute(&self) -> Option<(&'static str, f64)> {
        let fits = |(_, cores, memory, _): &&(&str, f64, f64, f64)| {
            *cores >= self.cores() && *memory >= 2.0 * self.gigabytes()
        };
        COMPUTE.iter().find(fits).map(|(size, _, _, price)| (*size, *price))
    }

    /// Notifications, the runs that they cause, and sweeps.
    fn invocations_a_month(&self) -> f64 {
        (2.0 * self.notifications + self.sweeps) * MINUTES_A_DAY * DAYS_A_MONTH
    }

    fn dollars_a_month(&self) -> Option<f64> {
        let (_, compute) = self.compute()?;
        let invocations = (self.invocations_a_month() - INVOCATIONS_INCLUDED).max(0.0) / 1e6;
        let disk = (self.gigabytes() - DISK_INCLUDED_GB).max(0.0);
        Some(
            PLAN + (compute - COMPUTE_CREDITS).max(0.0)
                + invocations * A_MILLION_INVOCATIONS
                + disk * A_GB_OF_DISK,
        )
    }

    /// What gives way, at how many connections, and what to turn then; the first one first.
    fn limits(&self) -> Vec<(f64, &'static str, &'static str)> {
        let at = |limit: f64, asked: f64| self.connections * limit / asked;
        let looks = LOOKS_PER_SWEEP as f64;
        let parts = MOST_PARTS as f64;
        let slower = LONGEST_LOOK_HOURS * 60.0 / minutes(LOOK_INTERVAL);
        let (_, most_cores, most_memory, _) = COMPUTE.last().copied().unwrap_or_default();
        let mut limits = vec![
            (
                at(looks * USUAL_PARALLEL, self.looks),
                "looks fall behind five sweeps a minute",
                "`parallel => 20`",
            ),
            (
                at(looks * parts, self.looks),
                "looks fall behind twenty sweeps a minute",
                "`CALENDAR_LOOK_HOURS=24`",
            ),
            (
                at(looks * parts * slower, self.looks),
                "looks fall behind even once a day",
                "`LOOKS_PER_SWEEP` and `MOST_PARTS`, or a second project for a part of the users",
            ),
            (
                at(GOOGLE_A_MINUTE, self.google),
                "Google's quota of 10,000 requests a minute and project",
                "more quota (Google Cloud console), or `CALENDAR_LOOK_HOURS`",
            ),
            (
                at(most_cores, self.cores()).min(at(most_memory, 2.0 * self.gigabytes())),
                "the largest database that Supabase offers",
                "several projects, each for a part of the users",
            ),
            (
                at(RENEWALS_PER_SWEEP as f64 * parts, self.renewals),
                "renewals fall behind twenty sweeps a minute",
                "`RENEWALS_PER_SWEEP` and `MOST_PARTS`",
            ),
        ];
        limits.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
        limits
    }
}

fn minutes(duration: Duration) -> f64 {
    duration.as_secs_f64() / 60.0
}

/// The table for so many connections, and what gives way at each size, in Markdown.
pub(crate) fn capacity(sizes: &[f64]) -> String {
    let loads: Vec<Load> = sizes.iter().map(|connections| Load::of(*connections)).collect();
    let row = |what: &str, cell: &dyn Fn(&Load) -> String| {
        let cells: Vec<String> = loads.iter().map(cell).collect();
        format!("| {what} | {} |\n", cells.join(" | "))
    };
    let mut text = row("connections", &|load| short(load.connections));
    text += &format!("|---|{}\n", "---|".repeat(loads.len()));
    text += &row("notifications a minute, and runs", &|load| short(load.notifications));
    text += &row("looks a minute", &|load| short(load.looks));
    text += &row("renewals a minute", &|load| short(load.renewals));
    text += &row("sweeps a minute", &|load| short(load.sweeps));
    text += &row("requests to Google a minute", &|load| short(load.google));
    text += &row("of Google's quota", &|load| format!("{} %", digits(100.0 * load.google / GOOGLE_A_MINUTE)));
    text += &row("requests to the database a second, at the peak", &|load| short(load.database));
    text += &row("cores of the database for them", &|load| digits(load.cores()));
    text += &row("the table with its indexes, GB", &|load| digits(load.gigabytes()));
    text += &row("nested calls of one sweep, of 30 a minute", &|_| {
        format!("{RUNS_PER_INVOCATION} ({} %)", digits(100.0 * f64::from(RUNS_PER_INVOCATION) / NESTED_CALLS))
    });
    text += &row("invocations a month", &|load| short(load.invocations_a_month()));
    text +=
        &row("compute", &|load| load.compute().map_or("none is large enough", |(size, _)| size).to_owned());
    text += &row("dollars a month", &|load| load.dollars_a_month().map_or("–".to_owned(), short));
    text += &format!(
        "\nAssumed: {CHANGES_A_DAY} changes a day and connection, {PEAK} times as many in the busiest minute, a run for \
         each; {} ms of the database's processors a request, half of them left free; {} KB a row. Prices are those of \
         Supabase's documentation in November 2026.\n",
        SECONDS_A_REQUEST * 1000.0,
        BYTES_A_ROW / 1000.0
    );
    for load in &loads {
        text += &format!("\nAt {} connections:\n\n", short(load.connections));
        let (given_way, holding): (Vec<_>, Vec<_>) =
            load.limits().into_iter().partition(|(connections, ..)| *connections < load.connections);
        for (connections, what, turn) in &given_way {
            text += &format!("- beyond {}: {what}. Turn: {turn}.\n", short(*connections));
        }
        if let Some((connections, what, turn)) = holding.first() {
            let only =
                if given_way.is_empty() { "nothing gives way; first would, " } else { "the next would, " };
            text += &format!("- {only}beyond {}: {what}. Turn: {turn}.\n", short(*connections));
        }
    }
    text
}

/// "18 thousand"
fn short(value: f64) -> String {
    match value {
        _ if value >= 1e9 => format!("{} billion", digits(value / 1e9)),
        _ if value >= 1e6 => format!("{} million", digits(value / 1e6)),
        _ if value >= 1e4 => format!("{} thousand", digits(value / 1e3)),
        _ => digits(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sweep_a_minute_looks_at_eighteen_thousand_connections() {
        assert!((Load::of(18_000.0).sweeps - 1.0).abs() < 0.01);
        assert!((Load::of(18_001.0).sweeps - 2.0).abs() < 0.01);
    }

    #[test]
    fn ten_thousand_connections_are_far_below_every_limit() {
        let limits = Load::of(10_000.0).limits();
        assert!(limits.iter().all(|(connections, ..)| *connections > 20_000.0), "{limits:?}");
    }

    #[test]
    fn a_limit_does_not_depend_on_the_size_it_is_computed_for() {
        let (small, large) = (Load::of(1e5).limits(), Load::of(1e8).limits());
        for ((a, what, _), (b, ..)) in small.iter().zip(&large) {
            assert!((a / b - 1.0).abs() < 0.05, "{what}: {a} and {b}");
        }
    }
}
