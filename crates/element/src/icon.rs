//! A shape for everything that a connection can be, so that nothing is told by its colour alone.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Icon {
    Check,
    Clock,
    Alarm,
    Question,
    BrokenLink,
    Slash,
    Bars,
    Cross,
    Plus,
}

/// Strokes in a square of 16.
pub(crate) const fn path(icon: Icon) -> &'static str {
    match icon {
        Icon::Check => "M8 1.75a6.25 6.25 0 1 0 0 12.5a6.25 6.25 0 0 0 0-12.5M5.25 8.25l1.9 1.9l3.6-4",
        Icon::Clock => "M8 1.75a6.25 6.25 0 1 0 0 12.5a6.25 6.25 0 0 0 0-12.5M8 4.5V8l2.25 1.5",
        Icon::Alarm => "M8 2.25L14.25 13.25H1.75ZM8 6.5v3M8 11.4v.01",
        Icon::Question => {
            "M8 1.75a6.25 6.25 0 1 0 0 12.5a6.25 6.25 0 0 0 0-12.5M6.2 6.3a1.8 1.8 0 1 1 2.6 1.6c-.55.28-.8.6-.8 1.2M8 11.3v.01"
        }
        Icon::BrokenLink => {
            "M6.75 4.5l1.6-1.6a2.9 2.9 0 0 1 4.1 4.1l-1.6 1.6M9.25 11.5l-1.6 1.6a2.9 2.9 0 0 1-4.1-4.1l1.6-1.6M2.25 2.25l11.5 11.5"
        }
        Icon::Slash => "M8 1.75a6.25 6.25 0 1 0 0 12.5a6.25 6.25 0 0 0 0-12.5M3.6 3.6l8.8 8.8",
        Icon::Bars => "M8 1.75a6.25 6.25 0 1 0 0 12.5a6.25 6.25 0 0 0 0-12.5M6.5 5.75v4.5M9.5 5.75v4.5",
        Icon::Cross => "M8 1.75a6.25 6.25 0 1 0 0 12.5a6.25 6.25 0 0 0 0-12.5M6 6l4 4M10 6l-4 4",
        Icon::Plus => "M8 1.75a6.25 6.25 0 1 0 0 12.5a6.25 6.25 0 0 0 0-12.5M8 5.25v5.5M5.25 8h5.5",
    }
}
