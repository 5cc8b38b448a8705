//! What can go wrong or get in the way, each kind with its own switch. A history draws which kinds take part and how
//! often, so that some have one kind in plenty and others a little of everything.

use std::str::FromStr;

macro_rules! faults {
    ($($(#[doc = $doc:literal])* $variant:ident $name:literal $usual:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($(#[doc = $doc])* $variant,)* }

        impl Fault {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// How often it happens at each occasion in a history that has a middling share of it.
            pub(crate) const fn usual(self) -> f64 {
                match self { $(Self::$variant => $usual,)* }
            }
        }
    };
}

faults! {
    /// A request never arrives.
    LostRequests "lost-requests" 0.03,
    /// A request takes effect and its answer is lost.
    LostAnswers "lost-answers" 0.03,
    /// A request or its answer takes long; it may take effect after the caller gave up.
    SlowNetwork "slow-network" 0.05,
    /// An invocation is gone at some await.
    Crashes "crashes" 0.01,
    /// An invocation stands still for up to minutes at some await, outliving its leases.
    Freezes "freezes" 0.006,
    /// Every invocation's clock is up to 10 s off.
    Skew "skew" 1.0,
    /// A read returns rows as they were seconds ago.
    StaleReads "stale-reads" 0.3,
    /// Google answers a watch, a stop or a token request with one of its documented errors.
    GoogleErrors "google-errors" 0.15,
    /// Access tokens are short, refresh tokens rotate, grants are revoked.
    Tokens "tokens" 0.1,
    /// Channels are granted for minutes only.
    ShortChannels "short-channels" 0.4,
    /// A notification never comes.
    DroppedNotifications "dropped-notifications" 0.15,
    /// A notification comes twice.
    DuplicatedNotifications "duplicated-notifications" 0.15,
    /// A notification is overtaken by later ones.
    DelayedNotifications "delayed-notifications" 0.2,
    /// `sync` comes before the watch is answered.
    EarlySync "early-sync" 0.5,
    /// Somebody sends what Google did not.
    Forgeries "forgeries" 0.5,
    /// The recalculation answers with an error.
    FailingRuns "failing-runs" 0.15,
    /// The recalculation outlives its caller, never answers, or the gateway cuts it off.
    SlowRuns "slow-runs" 0.12,
    /// Supabase refuses nested calls.
    RefusedRuns "refused-runs" 0.03,
    /// The recalculation writes to the watched calendar.
    Echo "echo" 0.3,
    /// Users pause, resume and disconnect.
    Pausing "pausing" 0.25,
    /// Users connect again: another grant, calendar or account.
    Reconnecting "reconnecting" 0.12,
    /// Rows are deleted.
    Deleting "deleting" 0.03,
    /// Users press the button.
    Buttons "buttons" 0.15,
    /// The app calls setup, again and again.
    Setups "setups" 0.15,
    /// An operator has calendars looked at before their time.
    EarlyLooks "early-looks" 0.15,
    /// Sweeps overlap, or do not come.
    IrregularCron "irregular-cron" 0.3,
    /// Connections start with a channel that somebody else's code opened.
    ForeignChannels "foreign-channels" 0.3,
    /// The app asks for runs by itself, with ids that do not tell when.
    ForeignRequests "foreign-requests" 0.1,
    /// A connection is broken for good: its runs or its renewals fail, hang or crash for ever.
    BrokenConnections "broken-connections" 0.2,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|fault| fault.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|fault| fault.name()).collect();
            format!("no such fault; there are {}", known.join(", "))
        })
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults(u64);

impl Faults {
    pub fn with(self, fault: Fault) -> Self {
        Self(self.0 | 1 << fault as u64)
    }

    pub fn contains(self, fault: Fault) -> bool {
        self.0 & 1 << fault as u64 != 0
    }

    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Fault::ALL.iter().filter(move |fault| self.contains(**fault)).map(|fault| fault.name())
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<T: IntoIterator<Item = Fault>>(faults: T) -> Self {
        faults.into_iter().fold(Self::default(), Self::with)
    }
}
