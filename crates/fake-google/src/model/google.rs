//! All that Google knows.

use std::collections::{BTreeMap, HashMap};

use chrono::TimeDelta;
use uuid::Uuid;

use crate::model::access::{AccessToken, Account, AuthorizationCode, Grant, Need};
use crate::model::calendar::{AccessRole, Calendar, Page};
use crate::model::channel::{Channel, Ttl};
use crate::model::clock::now;
use crate::model::error::ApiError;
use crate::model::fault::Fault;
use crate::model::record::{Delivery, LoggedRequest};
use crate::model::rule::Rule;

pub(crate) struct Google {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) accounts: BTreeMap<String, Account>,
    /// By the code.
    pub(crate) codes: HashMap<String, AuthorizationCode>,
    /// By the refresh token. Grants without one (`access_type=online`) are here too, nobody knows their key.
    pub(crate) grants: HashMap<String, Grant>,
    /// By the access token.
    pub(crate) access_tokens: HashMap<String, AccessToken>,
    pub(crate) calendars: BTreeMap<String, Calendar>,
    /// By their tokens, oldest first.
    pub(crate) pages: Vec<(String, Page)>,
    /// In the order of opening; stopped ones stay, because their ids are used up.
    pub(crate) channels: Vec<Channel>,
    pub(crate) ttl: Ttl,
    /// By e-mail address; `None` is for everybody else.
    pub(crate) rules: BTreeMap<Option<String>, Rule>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) requests: Vec<LoggedRequest>,
}

impl Google {
    pub(crate) fn new(client_id: &str, client_secret: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            accounts: BTreeMap::new(),
            codes: HashMap::new(),
            grants: HashMap::new(),
            access_tokens: HashMap::new(),
            calendars: BTreeMap::new(),
            pages: Vec::new(),
            channels: Vec::new(),
            ttl: Ttl::default(),
            rules: BTreeMap::new(),
            deliveries: Vec::new(),
            faults: Vec::new(),
            requests: Vec::new(),
        }
    }

    /// The account of this address, created with its primary calendar if it is new.
    pub(crate) fn account(&mut self, email: &str) -> &mut Account {
        self.calendars.entry(email.to_owned()).or_insert_with(|| Calendar::primary(email));
        self.accounts.entry(email.to_owned()).or_default()
    }

    /// Ends the delivery tasks, each of which lives as long as its channel is known.
    pub(crate) fn close_channels(&mut self) {
        self.channels.clear();
        self.rules.clear();
    }

    /// A new consent. → its refresh token.
    pub(crate) fn grant(&mut self, grant: Grant) -> String {
        let refresh_token = format!("1//0fake-{}", Uuid::new_v4().simple());
        self.grants.insert(refresh_token.clone(), grant);
        refresh_token
    }

    /// A new access token of this consent, and the seconds it is valid.
    pub(crate) fn issue_access_token(&mut self, refresh_token: &str, grant: &Grant) -> (String, u32) {
        let seconds = self.account(&grant.email).access_token_seconds;
        let token = format!("ya29.fake-{}", Uuid::new_v4().simple());
        let issued = AccessToken {
            grant: grant.clone(),
            refresh_token: refresh_token.to_owned(),
            expires_at: now() + TimeDelta::seconds(seconds.into()),
        };
        self.access_tokens.insert(token.clone(), issued);
        (token, seconds)
    }

    /// The grant behind an access token, if that is valid and its scopes suffice.
    pub(crate) fn caller(&self, access_token: Option<&str>, need: Need) -> Result<Grant, ApiError> {
        let token = access_token.ok_or_else(|| ApiError::new(401, "required", "Login Required."))?;
        let token = self.access_tokens.get(token).filter(|token| token.expires_at > now());
        let grant = &token.ok_or_else(|| ApiError::of("authError"))?.grant;
        if grant.permits(need) { Ok(grant.clone()) } else { Err(ApiError::of("insufficientPermissions")) }
    }

    /// A calendar by id, or the caller's own by `primary`.
    pub(crate) fn calendar(
        &mut self,
        caller: &Grant,
        id: &str,
        need: Need,
    ) -> Result<(&mut Calendar, AccessRole), ApiError> {
        let id = if id == "primary" { &caller.email } else { id };
        let found = self.calendars.get_mut(id).and_then(|calendar| {
            let role = *calendar.members.get(&caller.email)?;
            Some((calendar, role))
        });
        match found {
            None => Err(ApiError::of("notFound")),
            Some((_, AccessRole::Reader)) if need == Need::Write => Err(ApiError::of("requiredAccessLevel")),
            Some(found) => Ok(found),
        }
    }

    pub(crate) fn channel(&mut self, id: &str) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.id == id)
    }
}
