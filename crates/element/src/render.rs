//! Renders a view into the shadow root. Nodes are made once and then updated in place, so that focus, selection and
//! what is unfolded outlive every poll.

use std::iter::successors;

use wasm_bindgen::prelude::*;
use web_sys::{Element, HtmlElement, ShadowRoot};

use crate::connection::{EventKind, Millis, SyncStatus};
use crate::locale::{Locale, iso};
use crate::state::Action;
use crate::texts::{Text, Texts};
use crate::view::{Button, Card, Does, Expiration, Icon, Name, Panel, Readiness, Tone, View, Why, Words};

/// What a rendered button does stands in its `data-action`.
impl Does {
    const ALL: [Self; 7] = [
        Self::Reload,
        Self::Act(Action::SetUp),
        Self::Act(Action::Refresh),
        Self::Act(Action::Resume),
        Self::Act(Action::Pause),
        Self::Act(Action::Disconnect),
        Self::Act(Action::Remove),
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connect(why) => why.name(),
            Self::Reload => "reload",
            Self::Act(Action::SetUp) => "set-up",
            Self::Act(Action::Refresh) => "refresh",
            Self::Act(Action::Resume) => "resume",
            Self::Act(Action::Pause) => "pause",
            Self::Act(Action::Disconnect) => "disconnect",
            Self::Act(Action::Remove) => "remove",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        let connect = Why::parse(name).map(Self::Connect);
        connect.or_else(|| Self::ALL.into_iter().find(|does| does.name() == name))
    }
}

pub(crate) struct Renderer {
    root: ShadowRoot,
    panel: Element,
    /// Copied for every connection.
    card: Element,
    texts: Texts,
    locale: Locale,
}

impl Renderer {
    /// `root` holds what panel.html has, and `card` is what card.html has.
    pub(crate) fn new(root: ShadowRoot, card: Element, texts: Texts, language: &str) -> Option<Self> {
        let panel = root.first_element_child()?;
        Some(Self { root, panel, card, texts, locale: Locale::new(language) })
    }

    /// From now on says these texts, and dates in their language.
    pub(crate) fn speak(&mut self, texts: Texts, language: &str) {
        self.texts = texts;
        self.locale = Locale::new(language);
    }

    /// Returns the cards in their order, to be arranged.
    pub(crate) fn render(&self, view: &View, now: Millis) -> Result<Vec<Element>, JsValue> {
        let texts = &self.texts;
        let is_loading = view.panel == Panel::Loading;
        set_attribute(&self.panel, "aria-busy", if is_loading { "true" } else { "false" });
        text(&self.panel, ".title", texts.get(Text::Title))?;
        text(&self.panel, ".summary", view.summary.map_or("", |summary| texts.get(summary)))?;
        text(&self.panel, ".notice", view.notice.map_or("", |problem| texts.get(problem.text())))?;
        show(&find(&self.panel, ".skeleton")?, is_loading);
        self.render_blank(view.panel)?;
        let footer = find(&self.panel, ".footer")?;
        show(&footer, matches!(view.panel, Panel::Connected { .. }));
        text(&footer, ".label", texts.get(Text::Add))?;
        let consenting = view.panel == Panel::Connected { consenting: true };
        text(&footer, ".result", if consenting { texts.get(Text::Consenting) } else { "" })?;
        self.render_cards(&view.cards, now)
    }

    /// Shows these cards, and no others. What is moved or removed while it has the focus calls the page.
    pub(crate) fn arrange(&self, cards: &[Element]) -> Result<(), JsValue> {
        let list = find(&self.panel, ".cards")?;
        // Cards that go are removed first, so that no card that stays is moved.
        let mut next = list.first_element_child();
        while let Some(node) = next {
            next = node.next_element_sibling();
            if !cards.contains(&node) {
                node.remove();
            }
        }
        let mut place = list.first_element_child();
        for card in cards {
            if place.as_ref() == Some(card) {
                place = card.next_element_sibling();
            } else {
                list.insert_before(card, place.as_deref())?;
            }
        }
        Ok(())
    }

    /// What has the focus, to be asked afterwards whether it still can have it.
    pub(crate) fn focused(&self) -> Option<Element> {
        self.root.active_element()
    }

    /// The reader goes on at what has lost the focus by being moved, or where a vanished button was, not at the top
    /// of the page.
    pub(crate) fn focus_instead_of(&self, focused: Element) -> Option<HtmlElement> {
        let is_shown = focused.is_connected() && matches!(focused.closest("[hidden]"), Ok(None));
        let next = if is_shown { focused } else { find(&self.panel, ".title").ok()? };
        if self.focused().as_ref() == Some(&next) { None } else { next.dyn_into().ok() }
    }

    fn render_blank(&self, panel: Panel) -> Result<(), JsValue> {
        let texts = &self.texts;
        let ready = |does, label| Button {
            does,
            label,
            readiness: Readiness::Ready,
            is_prominent: matches!(does, Does::Connect(_)),
        };
        let mut result = None;
        let shown = match panel {
            Panel::Loading | Panel::Connected { .. } => None,
            Panel::SignedOut => Some((Text::SignedOutTitle, Text::SignedOut, None)),
            Panel::NotConnected { consenting } => {
                result = consenting.then_some(Text::Consenting);
                let connect = ready(Does::Connect(Why::Connect), Text::Connect);
                Some((Text::NotConnectedTitle, Text::NotConnected, Some(connect)))
            }
            Panel::Failed { why, can_retry, is_loading } => {
                let mut retry = ready(Does::Reload, Text::TryAgain);
                if is_loading {
                    retry.readiness = Readiness::Busy;
                }
                Some((Text::FailedTitle, why, can_retry.then_some(retry)))
            }
        };
        let blank = find(&self.panel, ".blank")?;
        show(&blank, shown.is_some());
        if let Some((title, words, button)) = shown {
            text(&blank, ".name", texts.get(title))?;
            text(&blank, ".message", texts.get(words))?;
            text(&blank, ".result", result.map_or("", |result| texts.get(result)))?;
            render_button(&blank, button.as_ref(), texts)?;
        }
        Ok(())
    }

    fn render_cards(&self, cards: &[Card], now: Millis) -> Result<Vec<Element>, JsValue> {
        let list = find(&self.panel, ".cards")?;
        show(&list, !cards.is_empty());
        let mut nodes = Vec::new();
        for card in cards {
            let id = card.row.id.as_str();
            let is_it = |node: &Element| node.get_attribute("data-id").as_deref() == Some(id);
            let known = successors(list.first_element_child(), Element::next_element_sibling).find(is_it);
            let node = known.map_or_else(|| self.new_card(id), Ok)?;
            self.render_card(&node, card, now)?;
            nodes.push(node);
        }
        Ok(nodes)
    }

    fn new_card(&self, id: &str) -> Result<Element, JsValue> {
        let card: Element = self.card.clone_node_with_deep(true)?.unchecked_into();
        card.set_attribute("data-id", id)?;
        // Several say "Refresh" or "Details": each is described by its calendar.
        let name_id = ["name-", id].concat();
        find(&card, ".name")?.set_id(&name_id);
        for selector in [".button", ".toggle", ".more", ".pause", ".give-up"] {
            find(&card, selector)?.set_attribute("aria-describedby", &name_id)?;
        }
        let [menu, ask] = ["menu-", "ask-"].map(|name| [name, id].concat());
        for (selector, opens) in
            [(".more", &menu), (".pause", &menu), (".give-up", &ask), (".confirm", &menu), (".keep", &menu)]
        {
            find(&card, selector)?.set_attribute("popovertarget", opens)?;
        }
        find(&card, ".menu")?.set_id(&menu);
        let question = find(&card, ".ask")?;
        question.set_id(&ask);
        let means = ["means-", id].concat();
        find(&question, ".message")?.set_id(&means);
        question.set_attribute("aria-describedby", &means)?;
        Ok(card)
    }

    fn render_card(&self, node: &Element, card: &Card, now: Millis) -> Result<(), JsValue> {
        let texts = &self.texts;
        let name = called(&card.name, texts);
        let name = name.as_str();
        let status = card.row.status.name();
        let size = if card.is_compact { " compact" } else { "" };
        let tone = if card.message.is_some() { card.tone } else { Tone::Off };
        set_attribute(node, "class", &["card ", tone_class(tone), size].concat());
        set_attribute(node, "part", &["card ", status].concat());
        set_attribute(node, "data-sync", card.sync.map_or("", SyncStatus::name));
        text(node, "bdi", name)?;
        text(node, ".address", card.address.unwrap_or_default())?;
        set_attribute(&find(node, "use")?, "href", symbol(card.icon));
        let badge = find(node, ".badge > .label")?;
        let before = badge.text_content().unwrap_or_default();
        let badge_text = texts.get(card.badge);
        let message = card.message.map_or("", |message| texts.get(message));
        set_text(&badge, badge_text);
        if !before.is_empty() && before != badge_text {
            let colon = texts.get(Text::Colon);
            text(&self.panel, ".spoken", &[name, colon, badge_text, ". ", message].concat())?;
        }
        text(node, ".message", message)?;
        let (result, tone) = card.result.map_or(("", Tone::Off), |(result, tone)| (texts.get(result), tone));
        set_attribute(&find(node, ".result")?, "class", &["result ", tone_class(tone)].concat());
        text(node, ".result", result)?;
        render_button(node, Some(&card.button), texts)?;
        render_menu(node, card, name, texts)?;
        self.render_facts(node, card, now)?;
        self.render_details(node, card)
    }

    fn render_facts(&self, node: &Element, card: &Card, now: Millis) -> Result<(), JsValue> {
        let texts = &self.texts;
        let last_sync = match card.row.last_sync_at {
            // The server's clock may be ahead.
            Some(at) => self.locale.relative(at.min(now), now),
            None => texts.get(Text::Never).to_owned(),
        };
        self.render_fact(node, ".last-sync", texts.get(Text::LastSync), &last_sync, card.row.last_sync_at)?;
        let sync = card.sync.map_or("", |sync| {
            texts.get(match sync {
                SyncStatus::Idle => Text::SyncIdle,
                SyncStatus::Pending => Text::SyncPending,
                SyncStatus::Failing => Text::SyncFails,
            })
        });
        self.render_fact(node, ".sync", texts.get(Text::Sync), sync, None)?;
        let (label, at) = expiration(card.expiration);
        let when = match (card.expiration, at) {
            (Some(Expiration::RenewsBy(at)), _) => self.locale.day(at),
            (_, Some(at)) => self.locale.relative(at, now),
            (_, None) => String::new(),
        };
        self.render_fact(node, ".expiration", texts.get(label), &when, at)
    }

    fn render_fact(
        &self,
        card: &Element,
        selector: &str,
        label: &str,
        value: &str,
        at: Option<Millis>,
    ) -> Result<(), JsValue> {
        let shown = find(card, selector)?;
        set_text(&shown, value);
        let (moment, iso) = at.map_or_else(Default::default, |at| (self.locale.moment(at), iso(at)));
        set_attribute(&shown, "title", &moment);
        set_attribute(&shown, "datetime", &iso);
        let term = shown.parent_element().and_then(|value| value.previous_element_sibling());
        if let Some(term) = term {
            set_text(&term, label);
            if let Some(fact) = term.parent_element() {
                show(&fact, !value.is_empty());
            }
        }
        Ok(())
    }

    /// The same facts for those who cannot hover, the codes that help to help, and what befell the connection.
    fn render_details(&self, node: &Element, card: &Card) -> Result<(), JsValue> {
        let texts = &self.texts;
        let moment = |at: Option<Millis>| at.map_or_else(String::new, |at| self.locale.moment(at));
        let (label, at) = expiration(card.expiration);
        let details = find(node, ".details")?;
        text(&details, ".toggle", texts.get(Text::Details))?;
        let error = with_detail(card.error, card.row.webhook_error_reason.as_deref());
        let mut facts = Rows::of(find(&details, ".list")?);
        facts.add(texts.get(Text::Calendar), card.unreadable_address.unwrap_or_default())?;
        // A look that finds nothing new counts as a sync.
        facts.add(texts.get(Text::LastLook), &moment(card.row.last_sync_at))?;
        facts.add(texts.get(Text::LastNotification), &moment(card.row.webhook_notified_at))?;
        facts.add(texts.get(label), &moment(at))?;
        facts.add(texts.get(Text::Problem), &error)?;
        let sync_error = card.sync_error.map(|code| texts.filled(Text::SyncError, code));
        facts.add(texts.get(Text::SyncProblem), &sync_error.unwrap_or_default())?;
        let mut events = Rows::of(find(&details, ".events")?);
        for event in card.events {
            let mut words = texts.get(event_text(event.event)).to_owned();
            let reason = with_detail(event.reason.as_deref(), event.detail.as_deref());
            if !reason.is_empty() {
                words = [&words, texts.get(Text::Colon), &reason].concat();
            }
            events.add(&self.locale.moment(event.at), &words)?;
        }
        text(&details, ".history", if card.events.is_empty() { "" } else { texts.get(Text::History) })?;
        show(&details, facts.count + events.count > 0);
        facts.end();
        events.end();
        Ok(())
    }
}

/// "Primary calendar", "Primary calendar (2)".
fn called(name: &Name, texts: &Texts) -> String {
    let words = match name.words {
        Words::Given(words) => words,
        Words::Known(text) => texts.get(text),
    };
    if name.number == 1 {
        return words.to_owned();
    }
    let number = JsValue::from(name.number as u32).unchecked_into::<js_sys::Number>();
    [words, " (", &String::from(number.to_locale_string("en")), ")"].concat()
}

/// Our word, and Google's own after it.
fn with_detail(code: Option<&str>, detail: Option<&str>) -> String {
    match (code, detail) {
        (Some(code), Some(detail)) => [code, " (", detail, ")"].concat(),
        (code, _) => code.unwrap_or_default().to_owned(),
    }
}

const fn event_text(event: EventKind) -> Text {
    match event {
        EventKind::Connected => Text::EventConnected,
        EventKind::Broken => Text::EventBroken,
        EventKind::Healed => Text::EventHealed,
        EventKind::Paused => Text::EventPaused,
        EventKind::Resumed => Text::EventResumed,
        EventKind::Disconnected => Text::EventDisconnected,
        EventKind::Reconnected => Text::EventReconnected,
    }
}

/// Terms and what they stand for. The first row is never taken away, so that it can be copied.
struct Rows {
    list: Element,
    count: u32,
}

impl Rows {
    const fn of(list: Element) -> Self {
        Self { list, count: 0 }
    }

    /// Nothing is said of what is empty.
    fn add(&mut self, term: &str, value: &str) -> Result<(), JsValue> {
        if value.is_empty() {
            return Ok(());
        }
        let row = match self.list.children().item(self.count) {
            Some(row) => row,
            None => {
                let row = find(&self.list, "div")?.clone_node_with_deep(true)?;
                self.list.append_child(&row)?.unchecked_into()
            }
        };
        self.count += 1;
        text(&row, "dt", term)?;
        text(&row, "dd", value)
    }

    /// Takes away what was there before.
    fn end(self) {
        show(&self.list, self.count > 0);
        while let Some(row) = self.list.children().item(self.count.max(1)) {
            row.remove();
        }
    }
}

fn expiration(expiration: Option<Expiration>) -> (Text, Option<Millis>) {
    match expiration {
        Some(Expiration::RenewsBy(at)) => (Text::RenewsBy, Some(at)),
        Some(Expiration::Expires(at)) => (Text::Expires, Some(at)),
        Some(Expiration::Expired(at)) => (Text::ExpiredAt, Some(at)),
        None => (Text::Expires, None),
    }
}

/// The menu, and what is asked before a connection is given up. They open and close without a script.
fn render_menu(node: &Element, card: &Card, name: &str, texts: &Texts) -> Result<(), JsValue> {
    let more = find(node, ".more")?;
    set_attribute(&more, "aria-label", texts.get(Text::More));
    let pause = find(node, ".pause")?;
    show(&pause, card.can_pause);
    set_text(&pause, texts.get(Text::Pause));
    let ask = find(node, ".ask")?;
    // What is asked stays what it is, whatever becomes of the connection meanwhile.
    if ask.matches(":popover-open") == Ok(true) {
        return Ok(());
    }
    let (action, label, question, means, keep) = if card.can_remove {
        (Action::Remove, Text::Remove, Text::RemoveAsk, Text::RemoveMeans, Text::KeepListed)
    } else {
        (Action::Disconnect, Text::Disconnect, Text::DisconnectAsk, Text::DisconnectMeans, Text::Keep)
    };
    for selector in [".give-up", ".confirm"] {
        text(node, selector, texts.get(label))?;
    }
    set_attribute(&find(node, ".confirm")?, "data-action", Does::Act(action).name());
    let question = texts.filled(question, name);
    set_attribute(&ask, "aria-label", &question);
    text(node, ".question", &question)?;
    text(node, ".ask .message", texts.get(means))?;
    text(node, ".keep", texts.get(keep))
}

fn render_button(within: &Element, button: Option<&Button>, texts: &Texts) -> Result<(), JsValue> {
    let node = find(within, ".button")?;
    show(&node, button.is_some());
    let Some(button) = button else { return Ok(()) };
    set_attribute(&node, "data-action", button.does.name());
    set_attribute(&node, "class", if button.is_prominent { "button prominent" } else { "button" });
    // Not `disabled`: that would take the focus from a button that was just pressed.
    set_attribute(
        &node,
        "aria-disabled",
        if button.readiness == Readiness::Ready { "false" } else { "true" },
    );
    set_attribute(&node, "aria-busy", if button.readiness == Readiness::Busy { "true" } else { "false" });
    match button.readiness {
        Readiness::Waiting { seconds } => {
            let seconds = String::from(
                JsValue::from(seconds).unchecked_into::<js_sys::Number>().to_locale_string("en"),
            );
            text(&node, ".label", &texts.filled(button.label, &seconds))
        }
        _ => text(&node, ".label", texts.get(button.label)),
    }
}

/// Drawn in panel.html.
const fn symbol(icon: Icon) -> &'static str {
    match icon {
        Icon::Check => "#check",
        Icon::Clock => "#clock",
        Icon::Alarm => "#alarm",
        Icon::Question => "#question",
        Icon::BrokenLink => "#broken-link",
        Icon::Slash => "#slash",
        Icon::Bars => "#bars",
        Icon::Cross => "#cross",
        Icon::Plus => "#plus",
        Icon::Eye => "#eye",
    }
}

const fn tone_class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Busy => "busy",
        Tone::Warning => "warning",
        Tone::Bad => "bad",
        Tone::Off => "off",
    }
}

fn find(within: &Element, selector: &str) -> Result<Element, JsValue> {
    within.query_selector(selector)?.ok_or_else(|| selector.into())
}

fn text(within: &Element, selector: &str, text: &str) -> Result<(), JsValue> {
    set_text(&find(within, selector)?, text);
    Ok(())
}

/// Writes only what changes: a live region speaks whenever it is written.
fn set_text(node: &Element, text: &str) {
    if node.text_content().as_deref() != Some(text) {
        node.set_text_content(Some(text));
    }
}

/// An empty value takes the attribute away.
fn set_attribute(node: &Element, name: &str, value: &str) {
    // The names are written here, and valid.
    let _ = if value.is_empty() {
        node.remove_attribute(name)
    } else if node.get_attribute(name).as_deref() != Some(value) {
        node.set_attribute(name, value)
    } else {
        Ok(())
    };
}

fn show(node: &Element, is_shown: bool) {
    set_attribute(node, "hidden", if is_shown { "" } else { "hidden" });
}
