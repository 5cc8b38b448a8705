//! Everything that is said. The words are those of texts.json, of another language's file beside it, or the page's.

/// The texts by the names that they have in texts.json and in `element.texts`.
macro_rules! texts {
    ($($variant:ident $name:literal)*) => {
        #[allow(dead_code, reason = "the class of the element says some, before the module runs")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Text { $($variant,)* }

        impl Text {
            /// The names, in the order of texts.json.
            #[cfg(test)]
            const NAMES: &[&str] = &[$($name,)*];
        }
    };
}

texts! {
    Title "title"
    Loading "loading"
    Details "details"
    PrimaryCalendar "primaryCalendar"
    OtherCalendar "otherCalendar"

    // Under the title.
    AllWell "allWell"
    Working "working"
    UserMustAct "userMustAct"
    OperatorMustAct "operatorMustAct"
    NothingSynced "nothingSynced"

    // Without a connection.
    SignedOutTitle "signedOutTitle"
    SignedOut "signedOut"
    NotConnectedTitle "notConnectedTitle"
    NotConnected "notConnected"
    FailedTitle "failedTitle"
    // Said before the module runs, and where it cannot.
    UnsupportedBrowser "unsupportedBrowser"
    BlockedByPage "blockedByPage"

    // Buttons.
    Connect "connect"
    Reconnect "reconnect"
    ConnectAgain "connectAgain"
    ChooseCalendar "chooseCalendar"
    ConnectOther "connectOther"
    Refresh "refresh"
    Refreshing "refreshing"
    Resume "resume"
    Resuming "resuming"
    More "more"
    Pause "pause"
    Pausing "pausing"
    Disconnect "disconnect"
    Disconnecting "disconnecting"
    DisconnectAsk "disconnectAsk"
    DisconnectMeans "disconnectMeans"
    Keep "keep"
    Remove "remove"
    Removing "removing"
    RemoveAsk "removeAsk"
    RemoveMeans "removeMeans"
    KeepListed "keepListed"
    Add "add"
    SetUp "setUp"
    SettingUp "settingUp"
    TryAgain "tryAgain"
    Wait "wait"

    // A connection in a word or two.
    BadgeActive "badgeActive"
    BadgeSyncFailing "badgeSyncFailing"
    BadgeExpiring "badgeExpiring"
    BadgeExpired "badgeExpired"
    BadgeUnconfirmed "badgeUnconfirmed"
    BadgeReconnectRequired "badgeReconnectRequired"
    BadgeBlocked "badgeBlocked"
    BadgeUnsupported "badgeUnsupported"
    BadgeLookedAt "badgeLookedAt"
    BadgePaused "badgePaused"
    BadgeDisconnected "badgeDisconnected"
    BadgeNotSetUp "badgeNotSetUp"

    // What it means and what to do.
    Active "active"
    Expiring "expiring"
    Expired "expired"
    Unconfirmed "unconfirmed"
    ReconnectRequired "reconnectRequired"
    PermissionMissing "permissionMissing"
    BlockedByPolicy "blockedByPolicy"
    NoCalendar "noCalendar"
    PushNotSupported "pushNotSupported"
    LookedAt "lookedAt"
    CalendarNotFound "calendarNotFound"
    Paused "paused"
    Disconnected "disconnected"
    NotSetUp "notSetUp"
    SettingUpNow "settingUpNow"
    SyncFailing "syncFailing"

    // What is wrong, and who can mend it.
    GoogleUnavailable "googleUnavailable"
    GoogleRejected "googleRejected"
    GoogleRateLimited "googleRateLimited"
    OauthClientInvalid "oauthClientInvalid"
    WebhookUrlRejected "webhookUrlRejected"
    GoogleApiDisabled "googleApiDisabled"
    DatabaseRefused "databaseRefused"
    Unchecked "unchecked"
    Misconfigured "misconfigured"
    NotInstalled "notInstalled"
    NoConnection "noConnection"
    TooSoon "tooSoon"
    Unauthenticated "unauthenticated"
    Offline "offline"
    OfflineNow "offlineNow"
    Unreachable "unreachable"
    UnreachableNow "unreachableNow"
    ServerError "serverError"
    ServerErrorNow "serverErrorNow"

    // What came of a button.
    Refreshed "refreshed"
    IsSetUp "isSetUp"
    Resumed "resumed"
    Consenting "consenting"

    // Facts.
    LastSync "lastSync"
    Never "never"
    Sync "sync"
    SyncIdle "syncIdle"
    SyncPending "syncPending"
    SyncFails "syncFails"
    RenewsBy "renewsBy"
    Expires "expires"
    ExpiredAt "expiredAt"
    Problem "problem"
    SyncProblem "syncProblem"
    SyncError "syncError"
    Calendar "calendar"
    LastLook "lastLook"
    LastNotification "lastNotification"
    History "history"
    Colon "colon"
    EventConnected "eventConnected"
    EventBroken "eventBroken"
    EventHealed "eventHealed"
    EventPaused "eventPaused"
    EventResumed "eventResumed"
    EventDisconnected "eventDisconnected"
    EventReconnected "eventReconnected"
}

/// The words of one element, in the order of texts.json.
#[derive(Default)]
pub(crate) struct Texts(Vec<String>);

impl Texts {
    pub(crate) fn new(words: Vec<String>) -> Self {
        Self(words)
    }

    pub(crate) fn get(&self, text: Text) -> &str {
        self.0.get(text as usize).map_or("", String::as_str)
    }

    /// The text with `value` in the place that it leaves in braces.
    pub(crate) fn filled(&self, text: Text, value: &str) -> String {
        let text = self.get(text);
        match text.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?.1))) {
            Some((before, after)) => [before, value, after].concat(),
            None => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGLISH: &str = include_str!("../npm/texts.json");
    const TRANSLATIONS: [&str; 6] = [
        include_str!("../npm/texts.de.json"),
        include_str!("../npm/texts.es.json"),
        include_str!("../npm/texts.fr.json"),
        include_str!("../npm/texts.it.json"),
        include_str!("../npm/texts.ja.json"),
        include_str!("../npm/texts.pt.json"),
    ];

    /// The names and words of such a file: it is flat.
    fn entries(json: &'static str) -> Vec<(&'static str, &'static str)> {
        let entries = json.lines().filter_map(|line| line.trim().trim_end_matches(',').split_once(": "));
        entries.map(|(name, words)| (name.trim_matches('"'), words.trim_matches('"'))).collect()
    }

    fn placeholder(words: &str) -> Option<&str> {
        let (_, rest) = words.split_once('{')?;
        Some(rest.split_once('}')?.0)
    }

    #[test]
    fn every_text_has_its_words() {
        let words = entries(ENGLISH).into_iter().map(|(_, words)| words.to_owned()).collect();
        let texts = Texts::new(words);
        assert_eq!(texts.get(Text::Title), "Google Calendar");
        assert_eq!(texts.get(Text::Refresh), "Refresh");
        assert_eq!(texts.get(Text::SyncProblem), "Sync problem");
    }

    #[test]
    fn a_translation_has_the_same_texts_in_the_same_order_with_the_same_places_for_values() {
        for json in TRANSLATIONS {
            let (english, translated) = (entries(ENGLISH), entries(json));
            assert_eq!(translated.len(), english.len());
            for ((name, english), (translated_name, translated)) in english.into_iter().zip(translated) {
                assert_eq!(translated_name, name);
                assert!(!translated.is_empty(), "{name}");
                assert_eq!(placeholder(translated), placeholder(english), "{name}: {translated}");
            }
        }
    }

    #[test]
    fn a_value_takes_the_place_in_braces_wherever_that_is() {
        for (words, filled) in
            [("Wait {seconds} s", "Wait 7 s"), ("{s}…", "7…"), ("Wait", "Wait"), ("{", "{")]
        {
            assert_eq!(Texts::new(vec![words.to_owned()]).filled(Text::Title, "7"), filled);
        }
    }

    #[test]
    fn there_are_english_words_for_every_text_and_for_no_other() {
        let english: Vec<&str> = entries(ENGLISH).into_iter().map(|(name, _)| name).collect();
        assert_eq!(english, Text::NAMES);
    }

    #[test]
    fn the_types_name_every_text_and_no_other() {
        let types = include_str!("../npm/google-calendar-integration.d.ts");
        let (_, rest) = types.split_once("export interface CalendarTexts {").unwrap();
        let (texts, _) = rest.split_once('}').unwrap();
        let declared: Vec<&str> =
            texts.lines().filter_map(|line| line.trim().strip_suffix(": string;")).collect();
        assert_eq!(declared, Text::NAMES);
    }

    #[test]
    fn no_text_uses_the_words_of_the_trade() {
        for (name, words) in entries(ENGLISH) {
            let words = words.to_lowercase();
            for jargon in ["webhook", "channel", "oauth", "token", "api", "cron", "http", "sweep"] {
                let is_used = words.split(|letter: char| !letter.is_alphabetic()).any(|word| word == jargon);
                assert!(!is_used, "{name}: {words}");
            }
        }
    }
}
