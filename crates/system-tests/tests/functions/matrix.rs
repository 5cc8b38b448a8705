//! Who may ask what of whom: every function, every caller and every target, and what comes of each.

use local_supabase::Keys;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::case::cases;
use crate::hostile::asked_of_others;
use crate::scene::Scene;
use crate::token;

cases! {
    shared: [],
    alone: [every_caller_reaches_what_is_its_own_and_nothing_else,],
}

/// A status, the code of a refusal, and whose channels are replaced: then the answer names these connections.
type Outcome = (u16, &'static str, &'static [Whose]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The two connections of one user.
    Own,
    Second,
    /// The connection of another.
    Theirs,
}

use Target::*;
use Whose::*;

const WHO: Outcome = (401, "unauthenticated", &[]);
const BAD: Outcome = (400, "invalid_request", &[]);
const NIL: Outcome = (404, "no_connection", &[]);
const ONE: Outcome = (200, "", &[Own]);
const ALL: Outcome = (200, "", &[Own, Second]);
const HIS: Outcome = (200, "", &[Theirs]);
/// A sweep, and nothing is due.
const SWP: Outcome = (200, "", &[]);

/// Whom a body names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Nothing,
    OwnConnection,
    TheirConnection,
    UnknownConnection,
    OwnUser,
    TheirUser,
    UnknownUser,
    OwnConnectionOfOwnUser,
    OwnConnectionOfTheirUser,
    TheirConnectionOfOwnUser,
    TheirConnectionOfTheirUser,
}

const TARGETS: [Target; 11] = [
    Nothing,
    OwnConnection,
    TheirConnection,
    UnknownConnection,
    OwnUser,
    TheirUser,
    UnknownUser,
    OwnConnectionOfOwnUser,
    OwnConnectionOfTheirUser,
    TheirConnectionOfOwnUser,
    TheirConnectionOfTheirUser,
];

/// By which headers somebody calls. "The key" is the one that the functions are configured with: a current one on the
/// newest Deno, a legacy one on the oldest; "the other generation's" is the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Nobody,
    EmptyHeaders,
    PublishableKey,
    PublishableKeyAsToken,
    PublishableKeyTwice,
    AnonKeyInBoth,
    OtherGenerationsKey,
    OtherGenerationsKeyAsToken,
    OtherGenerationsKeyInBoth,
    KeyAndEncodedNewline,
    KeyAndEscapedNewline,
    KeyOneShort,
    KeyOneShortAsToken,
    KeyOneLong,
    KeyInCapitals,
    KeyWithoutScheme,
    KeyAsPassword,
    WrongKey,
    JwtSecret,
    OtherProjectsUser,
    OtherProjectsService,
    ExpiredUser,
    UnsignedUser,
    UnsignedService,
    WronglySignedUser,
    HalfSignedUser,
    UserOfNobody,
    OwnerAsKey,
    OwnerWithoutScheme,
    OwnerTwice,
    OwnerAndKeyAsTokens,
    Key,
    KeyAsToken,
    KeyInBoth,
    KeyAndSpace,
    KeyBesidePublishableKey,
    KeyAndOwner,
    Owner,
    OwnerWithoutKey,
    OwnerInLowerCase,
    OtherUser,
    Stranger,
}

use Who::*;
use system_tests::{Caller, Connection, RECEIVE, REFRESH, SETUP, User};

/// One row for a caller and a function, one column for each of `TARGETS`.
#[rustfmt::skip]
const TABLE: &[(Who, &str, [Outcome; TARGETS.len()])] = &[
    //                                 nothing
    //                                      own connection
    //                                           theirs
    //                                                unknown
    //                                                     own user
    //                                                          theirs
    //                                                               unknown
    //                                                                    own connection of own user
    //                                                                         own connection of their user
    //                                                                              their connection of own user
    //                                                                                   their connection of their user
    (Nobody,                     SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (Nobody,                     REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (Nobody,                     RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (EmptyHeaders,               SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (EmptyHeaders,               REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (EmptyHeaders,               RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (PublishableKey,             SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (PublishableKey,             REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (PublishableKey,             RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (PublishableKeyAsToken,      SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (PublishableKeyAsToken,      REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (PublishableKeyAsToken,      RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (PublishableKeyTwice,        SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (PublishableKeyTwice,        REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (PublishableKeyTwice,        RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (AnonKeyInBoth,              SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (AnonKeyInBoth,              REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (AnonKeyInBoth,              RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OtherGenerationsKey,        SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OtherGenerationsKey,        REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OtherGenerationsKey,        RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OtherGenerationsKeyAsToken, SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OtherGenerationsKeyAsToken, REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OtherGenerationsKeyAsToken, RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OtherGenerationsKeyInBoth,  SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OtherGenerationsKeyInBoth,  REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OtherGenerationsKeyInBoth,  RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyAndEncodedNewline,       SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyAndEncodedNewline,       REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyAndEncodedNewline,       RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyAndEscapedNewline,       SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyAndEscapedNewline,       REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyAndEscapedNewline,       RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyOneShort,                SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyOneShort,                REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyOneShort,                RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyOneShortAsToken,         SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyOneShortAsToken,         REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyOneShortAsToken,         RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyOneLong,                 SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyOneLong,                 REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyOneLong,                 RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyInCapitals,              SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyInCapitals,              REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyInCapitals,              RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyWithoutScheme,           SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyWithoutScheme,           REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyWithoutScheme,           RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyAsPassword,              SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyAsPassword,              REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyAsPassword,              RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (WrongKey,                   SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (WrongKey,                   REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (WrongKey,                   RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (JwtSecret,                  SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (JwtSecret,                  REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (JwtSecret,                  RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OtherProjectsUser,          SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OtherProjectsUser,          REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OtherProjectsUser,          RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OtherProjectsService,       SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OtherProjectsService,       REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OtherProjectsService,       RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (ExpiredUser,                SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (ExpiredUser,                REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (ExpiredUser,                RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (UnsignedUser,               SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (UnsignedUser,               REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (UnsignedUser,               RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (UnsignedService,            SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (UnsignedService,            REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (UnsignedService,            RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (WronglySignedUser,          SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (WronglySignedUser,          REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (WronglySignedUser,          RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (HalfSignedUser,             SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (HalfSignedUser,             REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (HalfSignedUser,             RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (UserOfNobody,               SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (UserOfNobody,               REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (UserOfNobody,               RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OwnerAsKey,                 SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OwnerAsKey,                 REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OwnerAsKey,                 RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OwnerWithoutScheme,         SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OwnerWithoutScheme,         REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OwnerWithoutScheme,         RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OwnerTwice,                 SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OwnerTwice,                 REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OwnerTwice,                 RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OwnerAndKeyAsTokens,        SETUP,   [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OwnerAndKeyAsTokens,        REFRESH, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OwnerAndKeyAsTokens,        RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (Key,                        SETUP,   [BAD, ONE, HIS, NIL, ALL, HIS, NIL, ONE, NIL, NIL, HIS]),
    (Key,                        REFRESH, [SWP, ONE, HIS, NIL, ALL, HIS, NIL, ONE, NIL, NIL, HIS]),
    (Key,                        RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyAsToken,                 SETUP,   [BAD, ONE, HIS, NIL, ALL, HIS, NIL, ONE, NIL, NIL, HIS]),
    (KeyAsToken,                 REFRESH, [SWP, ONE, HIS, NIL, ALL, HIS, NIL, ONE, NIL, NIL, HIS]),
    (KeyAsToken,                 RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyInBoth,                  SETUP,   [BAD, ONE, HIS, NIL, ALL, HIS, NIL, ONE, NIL, NIL, HIS]),
    (KeyInBoth,                  REFRESH, [SWP, ONE, HIS, NIL, ALL, HIS, NIL, ONE, NIL, NIL, HIS]),
    (KeyInBoth,                  RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyAndSpace,                SETUP,   [BAD, ONE, HIS, NIL, ALL, HIS, NIL, ONE, NIL, NIL, HIS]),
    (KeyAndSpace,                REFRESH, [SWP, ONE, HIS, NIL, ALL, HIS, NIL, ONE, NIL, NIL, HIS]),
    (KeyAndSpace,                RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyBesidePublishableKey,    SETUP,   [BAD, ONE, HIS, NIL, ALL, HIS, NIL, ONE, NIL, NIL, HIS]),
    (KeyBesidePublishableKey,    REFRESH, [SWP, ONE, HIS, NIL, ALL, HIS, NIL, ONE, NIL, NIL, HIS]),
    (KeyBesidePublishableKey,    RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (KeyAndOwner,                SETUP,   [BAD, ONE, HIS, NIL, ALL, HIS, NIL, ONE, NIL, NIL, HIS]),
    (KeyAndOwner,                REFRESH, [SWP, ONE, HIS, NIL, ALL, HIS, NIL, ONE, NIL, NIL, HIS]),
    (KeyAndOwner,                RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (Owner,                      SETUP,   [ALL, ONE, NIL, NIL, ALL, NIL, NIL, ONE, NIL, NIL, NIL]),
    (Owner,                      REFRESH, [ALL, ONE, NIL, NIL, ALL, NIL, NIL, ONE, NIL, NIL, NIL]),
    (Owner,                      RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OwnerWithoutKey,            SETUP,   [ALL, ONE, NIL, NIL, ALL, NIL, NIL, ONE, NIL, NIL, NIL]),
    (OwnerWithoutKey,            REFRESH, [ALL, ONE, NIL, NIL, ALL, NIL, NIL, ONE, NIL, NIL, NIL]),
    (OwnerWithoutKey,            RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OwnerInLowerCase,           SETUP,   [ALL, ONE, NIL, NIL, ALL, NIL, NIL, ONE, NIL, NIL, NIL]),
    (OwnerInLowerCase,           REFRESH, [ALL, ONE, NIL, NIL, ALL, NIL, NIL, ONE, NIL, NIL, NIL]),
    (OwnerInLowerCase,           RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (OtherUser,                  SETUP,   [HIS, NIL, HIS, NIL, NIL, HIS, NIL, NIL, NIL, NIL, HIS]),
    (OtherUser,                  REFRESH, [HIS, NIL, HIS, NIL, NIL, HIS, NIL, NIL, NIL, NIL, HIS]),
    (OtherUser,                  RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
    (Stranger,                   SETUP,   [NIL, NIL, NIL, NIL, NIL, NIL, NIL, NIL, NIL, NIL, NIL]),
    (Stranger,                   REFRESH, [NIL, NIL, NIL, NIL, NIL, NIL, NIL, NIL, NIL, NIL, NIL]),
    (Stranger,                   RECEIVE, [WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO, WHO]),
];

/// Two users with channels that any of the callers may find in need of replacement.
struct Stage {
    owner: User,
    other: User,
    stranger: User,
    own: Connection,
    second: Connection,
    theirs: Connection,
}

impl Stage {
    async fn new(scene: &Scene) -> Self {
        let (owner, other, stranger) = (scene.user().await, scene.user().await, scene.user().await);
        let own = scene.connection_of(owner.id).await;
        let second = scene.connection_of(owner.id).await;
        let theirs = scene.connection_of(other.id).await;
        let stage = Self { owner, other, stranger, own, second, theirs };
        for whose in [Own, Second, Theirs] {
            scene.open_channel(stage.connection(whose)).await;
            stage.age(scene, whose).await;
        }
        stage
    }

    fn connection(&self, whose: Whose) -> &Connection {
        match whose {
            Own => &self.own,
            Second => &self.second,
            Theirs => &self.theirs,
        }
    }

    /// A channel that somebody else's code has opened, long ago: setup and the button replace it, a sweep does not.
    /// Nor has there been a run lately that the storm brake would count.
    async fn age(&self, scene: &Scene, whose: Whose) {
        let aged = "webhook_opened_at = 'epoch', webhook_lease_until = 'epoch', webhook_message_number = 1,
                    sync_streak = 0, sync_not_before = 'epoch', last_sync_at = now() - interval '1 hour'";
        scene.set(self.connection(whose), aged).await;
    }

    /// The three rows, in the order of `Whose`.
    async fn rows(&self, scene: &Scene) -> Vec<Value> {
        let ids = [Own, Second, Theirs].map(|whose| self.connection(whose).id);
        let sql = "select to_jsonb(c) from calendar_connections c where id = any($1) order by array_position($1, id)";
        let rows = scene.sql(sql, &[&&ids[..]]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// How many channels Google was asked for.
    async fn watched(&self, scene: &Scene) -> Vec<usize> {
        let mut watched = Vec::new();
        for whose in [Own, Second, Theirs] {
            watched.push(scene.asked_google(self.connection(whose), "watch").await);
        }
        watched
    }

    fn body(&self, target: Target) -> String {
        let (own, theirs) = (self.own.id, self.theirs.id);
        let (owner, other, unknown) = (self.owner.id, self.other.id, Uuid::new_v4());
        let body = match target {
            Nothing => return String::new(),
            OwnConnection => json!({ "connection_id": own }),
            TheirConnection => json!({ "connection_id": theirs }),
            UnknownConnection => json!({ "connection_id": unknown }),
            OwnUser => json!({ "user_id": owner }),
            TheirUser => json!({ "user_id": other }),
            UnknownUser => json!({ "user_id": unknown }),
            OwnConnectionOfOwnUser => json!({ "connection_id": own, "user_id": owner }),
            OwnConnectionOfTheirUser => json!({ "connection_id": own, "user_id": other }),
            TheirConnectionOfOwnUser => json!({ "connection_id": theirs, "user_id": owner }),
            TheirConnectionOfTheirUser => json!({ "connection_id": theirs, "user_id": other }),
        };
        body.to_string()
    }

    fn headers(&self, scene: &Scene, who: Who) -> Vec<(&'static str, String)> {
        let apikey = |key: &str| ("apikey", key.to_owned());
        let authorization = |value: String| ("authorization", value);
        let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
        let keys = &scene.keys;
        let publishable = keys.publishable.as_str();
        let (key, other_key) = match scene.generation {
            Keys::Current | Keys::Both => (&keys.secret, &keys.legacy_service_role),
            Keys::Legacy => (&keys.legacy_service_role, &keys.secret),
        };
        let owner = self.owner.token.as_str();
        let claims = token::claims(owner);
        let service =
            json!({ "iss": "supabase", "role": "service_role", "iat": 0, "exp": 4_000_000_000_u64 });
        let signed = |field: &str, value: Value| {
            let mut claims = claims.clone();
            claims[field] = value;
            token::sign(&claims, &keys.jwt_secret)
        };
        let (signed_part, signature) = owner.rsplit_once('.').expect("a JSON Web Token");
        let backwards: String = signature.chars().rev().collect();
        match who {
            Nobody => vec![],
            EmptyHeaders => vec![apikey(""), authorization(String::new())],
            PublishableKey => vec![apikey(publishable)],
            PublishableKeyAsToken => vec![bearer(publishable)],
            PublishableKeyTwice => vec![apikey(publishable), bearer(publishable)],
            AnonKeyInBoth => vec![apikey(&keys.legacy_anon), bearer(&keys.legacy_anon)],
            OtherGenerationsKey => vec![apikey(other_key)],
            OtherGenerationsKeyAsToken => vec![bearer(other_key)],
            OtherGenerationsKeyInBoth => vec![apikey(other_key), bearer(other_key)],
            KeyAndEncodedNewline => vec![apikey(&format!("{key}%0A"))],
            KeyAndEscapedNewline => vec![apikey(&format!("{key}\\n"))],
            KeyOneShort => vec![apikey(&key[..key.len() - 1])],
            KeyOneShortAsToken => vec![bearer(&key[..key.len() - 1])],
            KeyOneLong => vec![apikey(&format!("{key}x"))],
            KeyInCapitals => vec![apikey(&key.to_uppercase())],
            KeyWithoutScheme => vec![authorization(key.to_owned())],
            KeyAsPassword => vec![authorization(format!("Basic {key}"))],
            WrongKey => vec![apikey("sb_secret_wrong"), bearer("sb_secret_wrong")],
            JwtSecret => vec![apikey(&keys.jwt_secret), bearer(&keys.jwt_secret)],
            OtherProjectsUser => {
                vec![apikey(publishable), bearer(&token::sign(&claims, "of another project"))]
            }
            OtherProjectsService => {
                let foreign = token::sign(&service, "of another project");
                vec![apikey(&foreign), bearer(&foreign)]
            }
            ExpiredUser => vec![apikey(publishable), bearer(&signed("exp", json!(1_700_000_000)))],
            UnsignedUser => vec![apikey(publishable), bearer(&token::unsigned(&claims))],
            UnsignedService => vec![apikey(publishable), bearer(&token::unsigned(&service))],
            WronglySignedUser => vec![apikey(publishable), bearer(&format!("{signed_part}.{backwards}"))],
            HalfSignedUser => {
                vec![apikey(publishable), bearer(&format!("{signed_part}.{}", &signature[..20]))]
            }
            UserOfNobody => vec![apikey(publishable), bearer(&signed("sub", json!(Uuid::new_v4())))],
            OwnerAsKey => vec![apikey(owner)],
            OwnerWithoutScheme => vec![apikey(publishable), authorization(owner.to_owned())],
            OwnerTwice => vec![apikey(publishable), bearer(owner), bearer(owner)],
            OwnerAndKeyAsTokens => vec![apikey(publishable), bearer(owner), bearer(key)],
            Key => vec![apikey(key)],
            KeyAsToken => vec![bearer(key)],
            KeyInBoth => vec![apikey(key), bearer(key)],
            // Space around a header's value is not part of it (RFC 9110, 5.5).
            KeyAndSpace => vec![apikey(&format!(" {key} "))],
            KeyBesidePublishableKey => vec![apikey(publishable), bearer(key)],
            // The key says more than the user does.
            KeyAndOwner => vec![apikey(key), bearer(owner)],
            Owner => vec![apikey(publishable), bearer(owner)],
            OwnerWithoutKey => vec![bearer(owner)],
            OwnerInLowerCase => vec![apikey(publishable), authorization(format!("bearer {owner}"))],
            OtherUser => vec![apikey(publishable), bearer(&self.other.token)],
            Stranger => vec![apikey(publishable), bearer(&self.stranger.token)],
        }
    }
}

async fn every_caller_reaches_what_is_its_own_and_nothing_else(scene: &mut Scene) {
    let scene = &*scene;
    let stage = Stage::new(scene).await;
    let mut failures = Vec::new();
    for (who, function, outcomes) in TABLE {
        let headers = stage.headers(scene, *who);
        for (_, value) in &headers {
            let token = value.trim_start_matches("Bearer ");
            // A JSON Web Token, if a forged one.
            if token.len() > 100 {
                scene.keep_secret(token);
            }
        }
        let (mut watched, asked) = (stage.watched(scene).await, asked_of_others(scene).await);
        let is_refused = outcomes.iter().all(|(.., touched)| touched.is_empty());
        for (target, (status, code, touched)) in TARGETS.into_iter().zip(outcomes) {
            let case = format!("{who:?}, {function}, {target:?}");
            let before = stage.rows(scene).await;
            let answer = scene.call(function, Caller::With(&headers), stage.body(target)).await;
            if answer.outcome() != (*status, *code) {
                failures.push(format!("{case}: {:?}, not {:?}", answer.outcome(), (status, code)));
            }
            for whose in *touched {
                let was = &before[*whose as usize]["webhook_id"];
                let row = scene.settled(stage.connection(*whose)).await;
                assert_ne!(row["webhook_id"], *was, "{case}: {whose:?}");
                scene.until_stopped(stage.connection(*whose), was.as_str().unwrap()).await;
                watched[*whose as usize] += 1;
            }
            let after = stage.rows(scene).await;
            for whose in [Own, Second, Theirs].into_iter().filter(|whose| !touched.contains(whose)) {
                let (was, is) = (&before[whose as usize], &after[whose as usize]);
                assert_eq!(was, is, "{case}: {whose:?}");
            }
            let named = |whose: &Whose| json!(stage.connection(*whose).id);
            if !touched.is_empty() {
                let ids: Vec<_> = answer.connections().iter().map(|row| row["id"].clone()).collect();
                assert_eq!(ids, touched.iter().map(named).collect::<Vec<_>>(), "{case}");
            }
            for whose in *touched {
                stage.age(scene, *whose).await;
            }
        }
        assert_eq!(stage.watched(scene).await, watched, "{who:?}, {function}");
        if is_refused {
            assert_eq!(asked_of_others(scene).await, asked, "{who:?}, {function}");
        }
    }
    assert!(failures.is_empty(), "{} cells:\n{}", failures.len(), failures.join("\n"));
}
