//! The three Edge Functions, by name.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    SetupCalendarWebhook,
    GoogleCalendarWebhook,
    RefreshCalendarWebhook,
}

impl Function {
    pub const ALL: [Self; 3] =
        [Self::SetupCalendarWebhook, Self::GoogleCalendarWebhook, Self::RefreshCalendarWebhook];

    pub const fn name(self) -> &'static str {
        match self {
            Self::SetupCalendarWebhook => "setup-calendar-webhook",
            Self::GoogleCalendarWebhook => "google-calendar-webhook",
            Self::RefreshCalendarWebhook => "refresh-calendar-webhook",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }
}
