//! Tokens, errors and channels of an old consent or calendar are not written over a new one's.

use std::collections::BTreeMap;

use protocol::connection::{RefreshToken, Source};
use protocol::transition::Transition;

use crate::check::checker::{Check, Found};
use crate::check::record::Record;
use crate::fact::{Answer, Deed, Fact, Step};
use crate::time::{Instant, timestamp};

#[derive(Default)]
pub(super) struct ConsentsAreNotMixed {
    /// The consent and calendar that an invocation last read with a claim or a token, by invocation and connection.
    sources: BTreeMap<(usize, usize), Source>,
    /// The access tokens that Google gave with a refresh token.
    rotated: BTreeMap<String, RefreshToken>,
}

impl Check for ConsentsAreNotMixed {
    fn read(&mut self, record: &Record, _: Instant, fact: &Fact<'_>, found: &mut Found<'_>) {
        match fact {
            Fact::Of(_, Deed::Hears(Answer::Token { answer: Ok(renewed), .. })) => {
                let access_token = renewed.access_token.expose().to_owned();
                self.rotated.extend(renewed.refresh_token.clone().map(|rotated| (access_token, rotated)));
            }
            Fact::Applied(step) => {
                self.token(record, step, found);
                self.error(step, found);
                channel(record, step, found);
            }
            _ => {}
        }
    }
}

impl ConsentsAreNotMixed {
    fn token(&mut self, record: &Record, step: &Step<'_>, found: &mut Found<'_>) {
        if !matches!(step.transition, Transition::ClaimRenewal | Transition::StoreToken) {
            return;
        }
        let (invocation, connection, after) = (step.invocation, step.connection, step.after);
        self.sources.insert((invocation.number, connection), after.webhook_source.clone());
        if step.transition == Transition::ClaimRenewal {
            return;
        }
        if let (Some(access), Some(refresh)) = (&after.access_token, &after.refresh_token)
            && record.google.access(access).map(|access| access.grant) != record.google.grant_of(refresh)
        {
            found.broken(connection, "an access token of another consent was stored");
        }
        let rotated = after.access_token.as_ref().and_then(|access| self.rotated.get(access.expose()));
        if rotated.is_some() && rotated != after.refresh_token.as_ref() {
            found.broken(connection, "a refresh token that Google gave was not stored");
        }
    }

    fn error(&self, step: &Step<'_>, found: &mut Found<'_>) {
        let fails = matches!(step.transition, Transition::FailRenewal | Transition::DoubtChannel);
        let source = self.sources.get(&(step.invocation.number, step.connection));
        if fails
            && let Some(error) = &step.after.webhook_error
            && source.is_some_and(|source| *source != step.before.webhook_source)
        {
            found.broken(step.connection, format!("{error} of another consent or calendar was stored"));
        }
    }
}

fn channel(record: &Record, step: &Step<'_>, found: &mut Found<'_>) {
    let after = step.after;
    let Some(id) = after.webhook_id.as_ref().filter(|_| step.before.webhook_id != after.webhook_id) else {
        return;
    };
    let channel = record.google.channel(id);
    if channel.map(|channel| channel.calendar) != record.google.calendar_of(after) {
        found.broken(step.connection, "a channel of another account or calendar was stored");
    }
    if channel.map(|channel| timestamp(channel.expires_at)) != after.webhook_expiration {
        found.broken(step.connection, "a channel was stored with another expiration than Google's");
    }
}
