//! Deliberate bugs of the protocol, to see that the simulation sees them. The protocol's code stays as it is: the
//! simulated ports change what it asks.

use std::str::FromStr;

macro_rules! mutations {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutation { $($(#[doc = $doc])+ $variant,)* }

        impl Mutation {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)+),)* }
            }
        }
    };
}

mutations! {
    /// What a run's holder writes takes effect though another has the lease by now.
    UnfencedRuns "unfenced-runs",
    /// A finished run clears the request, also a newer one.
    UnconditionalClear "unconditional-clear",
    /// A holder that lost its lease does not ask for another run.
    LostLeaseUnnoticed "lost-lease-unnoticed",
    /// A run that was not answered gives its lease back.
    LeaseReleasedAfterTimeout "lease-released-after-timeout",
    /// The lease is shorter than a callee's life.
    ShortLease "short-lease",
    /// Runs are claimed for paused connections.
    PausedRuns "paused-runs",
    /// Renewals are claimed for paused connections.
    PausedRenewals "paused-renewals",
    /// A change notified while paused is answered, not stored.
    ForgottenWhilePaused "forgotten-while-paused",
    /// The previous channel is stopped before the new one is asked for.
    StopBeforeCommit "stop-before-commit",
    /// A retired channel is stopped before the row is disowned of it.
    StopBeforeDisown "stop-before-disown",
    /// A commit takes effect though another channel is pending by now.
    UnfencedCommit "unfenced-commit",
    /// A channel is stored whatever consent and calendar the row has by now.
    CommitForAnySource "commit-for-any-source",
    /// An access token is stored whatever consent the row has by now.
    TokenForAnySource "token-for-any-source",
    /// An error is stored whatever consent and calendar the row has by now.
    ErrorForAnySource "error-for-any-source",
    /// A new channel is not followed by a run.
    CommitWithoutRun "commit-without-run",
    /// A new channel goes on with the message number of the one before.
    NumbersCarriedOver "numbers-carried-over",
    /// A doubtful commit is looked up by a read.
    LookUpByRead "look-up-by-read",
    /// A doubtful commit whose look-up is not answered counts as none.
    LookUpByGuess "look-up-by-guess",
    /// The orphan verdict does not ask whether the channel is the row's own.
    OrphanThoughCurrent "orphan-though-current",
    /// The orphan verdict does not ask whether the channel is being opened.
    OrphanThoughPending "orphan-though-pending",
    /// Every renewal gives the connection another token.
    TokenPerChannel "token-per-channel",
    /// A renewal's claim books neither the attempt nor when the next is due.
    UnbookedRenewals "unbooked-renewals",
    /// A run's claim books neither the attempt nor when the next may start.
    UnbookedRuns "unbooked-runs",
    /// The storm brake counts nothing.
    NoBrake "no-brake",
    /// The storm brake never lets go.
    BrakeForEver "brake-for-ever",
    /// Nobody looks at connections that are silent.
    NoLooks "no-looks",
    /// Sweeps leave the channels of paused connections alone.
    NoRetirement "no-retirement",
    /// The button renews as often as it is pressed.
    EagerButton "eager-button",
    /// The request that a claimed run found is not the newest: notifications during a run are not stored.
    ForgottenDuringRun "forgotten-during-run",
    /// The lease is ten times as long as a callee's life asks for.
    LongLease "long-lease",
    /// A new channel's run goes on with the request that was there.
    ReusedRequests "reused-requests",
    /// A failed renewal does not say why.
    SilentFailures "silent-failures",
    /// That a channel has spoken is not noted while it is being opened.
    UnnotedConfirmations "unnoted-confirmations",
    /// Channels that were given up are left to expire.
    UnstoppedChannels "unstopped-channels",
    /// Sweeps go through the table in its own order, not by what has waited longest.
    UnfairSweeps "unfair-sweeps",
    /// A sweep tells that nothing remains to be run.
    NothingRemains "nothing-remains",
    /// A sweep reads no more rows than it has runs, and so do all that overlap.
    LeanSweeps "lean-sweeps",
    /// That a row was deleted while its channel was opened is not noticed, and its previous channel is not stopped.
    OverlookedDeletions "overlooked-deletions",
    /// A receiver that learns that its connection is paused leaves the channel to the next sweep.
    LeftToTheSweep "left-to-the-sweep",
    /// A request that does not tell when it arose counts as an echo.
    TimelessEchoes "timeless-echoes",
    /// A look goes by the ids of events, and not by what is in them.
    DigestById "digest-by-id",
    /// Every look begins anew, and is compared with one that began elsewhere.
    MovingAnchor "moving-anchor",
    /// What is kept as seen is what stands in the calendar when the run is over.
    LookAfterRun "look-after-run",
    /// A run without a look keeps what an older one found.
    SeenKept "seen-kept",
    /// A look that is due settles what was settled before.
    NoDoubt "no-doubt",
    /// What a new channel's look settles is settled for good.
    SettledForGood "settled-for-good",
    /// A look that tells nothing counts as one that shows no change.
    SettledUnknown "settled-unknown",
    /// Looks tell nothing.
    BlindLooks "blind-looks",
    /// A look that Google did not answer is told as a dead consent.
    TransientIsDead "transient-is-dead",
    /// What looks read is not counted.
    UncountedLooks "uncounted-looks",
    /// A look that found a change asks for a run over one that is owed.
    OverwrittenRequests "overwritten-requests",
    /// After a renewal the lease stays as short however many channels it asked for.
    ShortLeases "short-leases",
    /// Nobody looks while the channel is well.
    LooksWithoutChannelOnly "looks-without-channel-only",
    /// The button's run may be settled by a look.
    SettledButton "settled-button",
    /// A run may be settled after an attempt that failed.
    SettledAttempt "settled-attempt",
    /// What a look found is stored whatever consent and calendar the row has by now.
    FoundForAnySource "found-for-any-source",
    /// No access token is renewed for a run.
    RunWithoutToken "run-without-token",
    /// A channel that did not tell of a change is kept.
    MissedAndKept "missed-and-kept",
    /// Runs are claimed though the consent is dead.
    RunsWithoutConsent "runs-without-consent",
    /// A request that arose during a run is run though the consent died meanwhile.
    DeathDuringRunUnnoticed "death-during-run-unnoticed",
    /// A look's claim does not book when the next is due.
    UnbookedLooks "unbooked-looks",
    /// What a look was refused is told for ever.
    RefusalsKept "refusals-kept",
    /// A look takes back what a renewal told.
    RefusalsForgiven "refusals-forgiven",
    /// A look that was refused brings a renewal.
    RefusedLookRenews "refused-look-renews",
    /// A run whose consent is dead counts as an attempt.
    CountedWaits "counted-waits",
    /// Rows of other providers are taken for Google's.
    EveryProvider "every-provider",
    /// The channels of deleted rows are stopped by nobody.
    UnseenFarewells "unseen-farewells",
    /// What was kept of a deleted row is forgotten before Google has answered.
    HastyFarewells "hasty-farewells",
    /// That Google asks not to be asked again for a while is not heard.
    UnheardRetryAfter "unheard-retry-after",
    /// That a consent is dead is not told where no renewal found it out.
    UntoldDeath "untold-death",
    /// What passes by itself takes the place of what a person must mend.
    HiddenCauses "hidden-causes",
    /// A sweep reads no further once the database has refused it an update.
    DiscouragedSweeps "discouraged-sweeps",
}

impl FromStr for Mutation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|mutation| mutation.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|mutation| mutation.name()).collect();
            format!("no such mutation; there are {}", known.join(", "))
        })
    }
}
