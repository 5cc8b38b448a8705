//! All that the server knows, behind one lock that is never held across an await.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use reqwest::redirect;
use uuid::Uuid;

use crate::access::{AccessToken, Grant};
use crate::calendar::Calendar;
use crate::channels::{Channel, Ttl};
use crate::consent::AuthorizationCode;
use crate::delivery::{Delivery, Rule};
use crate::faults::Fault;
use crate::gate::LoggedRequest;
use crate::listing::Page;
use crate::server::Config;

pub(crate) type Shared = Arc<Google>;

pub(crate) struct Google {
    pub(crate) config: Config,
    pub(crate) url: String,
    /// For notifications.
    pub(crate) http: reqwest::Client,
    state: Mutex<State>,
}

impl Google {
    pub(crate) fn new(config: Config, url: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(config.delivery_timeout)
            .user_agent("APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)")
            .build()?;
        let state = Mutex::new(State::new(&config));
        Ok(Self { config, url, http, state })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn calendar_api_url(&self) -> String {
        format!("{}/calendar/v3", self.url)
    }
}

pub(crate) struct State {
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
    pub(crate) pages: HashMap<String, Page>,
    /// In the order of opening; stopped ones stay, because their ids are used up.
    pub(crate) channels: Vec<Channel>,
    pub(crate) ttl: Ttl,
    /// By e-mail address; `None` is for everybody else.
    pub(crate) rules: BTreeMap<Option<String>, Rule>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) requests: Vec<LoggedRequest>,
}

impl State {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            client_id: config.client_id.clone(),
            client_secret: config.client_secret.clone(),
            accounts: BTreeMap::new(),
            codes: HashMap::new(),
            grants: HashMap::new(),
            access_tokens: HashMap::new(),
            calendars: BTreeMap::new(),
            pages: HashMap::new(),
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
}

/// How tokens are issued to one account.
pub(crate) struct Account {
    pub(crate) access_token_seconds: u32,
    pub(crate) rotate_refresh_tokens: bool,
}

impl Default for Account {
    fn default() -> Self {
        Self { access_token_seconds: 3599, rotate_refresh_tokens: false }
    }
}

/// 26 characters of base32hex, as Google's event ids are.
pub(crate) fn opaque_id() -> String {
    let mut rest = Uuid::new_v4().as_u128();
    let mut id = String::with_capacity(26);
    for _ in 0..26 {
        id.extend(char::from_digit((rest % 32) as u32, 32));
        rest /= 32;
    }
    id
}

pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}
