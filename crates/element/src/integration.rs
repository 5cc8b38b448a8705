//! One mounted element: holds the state, listens to the page, asks the client, and renders. It decides nothing.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use js_sys::{Array, Date, Function, Object, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{
    AbortController, CustomEvent, CustomEventInit, Document, Element, Event, EventTarget, HtmlElement,
    ShadowRoot, VisibilityState, Window, console,
};

use crate::connection::Millis;
use crate::listener::Listener;
use crate::problem::Failure;
use crate::render::Renderer;
use crate::state::{Act, Action, Answer, Load, Recall, Session, State};
use crate::supabase::{Client, SessionWatch, object};
use crate::texts::Texts;
use crate::timer::Timer;
use crate::view::{Does, View, Why};

/// Whether a connection's consent was asked for by a page that was left for it.
const CONSENT_KEY: &str = "google-calendar-integration:consent";
/// A list that takes longer is asked for again.
const LOAD_TIMEOUT: Millis = 20_000.0;
/// The functions answer within 70 s.
const ACTION_TIMEOUT: Millis = 75_000.0;

/// What the class of the element holds while it is in a document; `free` ends all that it does.
#[wasm_bindgen]
pub struct Integration(Rc<Mounted>);

struct Mounted {
    this: Weak<Mounted>,
    host: HtmlElement,
    window: Window,
    document: Document,
    state: RefCell<State>,
    renderer: RefCell<Renderer>,
    /// Something changed while it was rendered.
    is_outdated: Cell<bool>,
    client: RefCell<Option<Client>>,
    session_watch: RefCell<Option<SessionWatch>>,
    /// The next poll, or the next step of a countdown.
    timer: RefCell<Option<Timer>>,
    requests: RefCell<Vec<Request>>,
    /// Who waits for a list that is yet to be asked for, and who for the one on its way.
    waiting: RefCell<Vec<Function>>,
    served: RefCell<Vec<Function>>,
    /// What `calendar-status-change` last told of.
    told: Cell<u32>,
    is_consent_stored: Cell<bool>,
    listeners: RefCell<Vec<Listener>>,
}

enum Question {
    Load(Load),
    Act(Act),
    Recall(Recall),
}

/// A request in flight, aborted on drop.
struct Request {
    question: Rc<Question>,
    abort: AbortController,
    _timeout: Timer,
}

impl Drop for Request {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

#[wasm_bindgen]
impl Integration {
    #[wasm_bindgen(constructor)]
    pub fn new(
        host: HtmlElement,
        root: ShadowRoot,
        card: Element,
        texts: Vec<String>,
        language: &str,
    ) -> Result<Integration, JsValue> {
        let document = host.owner_document().ok_or("the element belongs to no document")?;
        let window = document.default_view().ok_or("the document has no window")?;
        let renderer = Renderer::new(root.clone(), card, Texts::new(texts), language)
            .ok_or("the shadow root is empty")?;
        let mounted = Rc::new_cyclic(|this| Mounted {
            this: this.clone(),
            host,
            window,
            document,
            state: RefCell::default(),
            renderer: RefCell::new(renderer),
            is_outdated: Cell::default(),
            client: RefCell::default(),
            session_watch: RefCell::default(),
            timer: RefCell::default(),
            requests: RefCell::default(),
            waiting: RefCell::default(),
            served: RefCell::default(),
            told: Cell::default(),
            is_consent_stored: Cell::default(),
            listeners: RefCell::default(),
        });
        mounted.listen(&root, "click", Mounted::clicked);
        mounted.listen(&mounted.document, "visibilitychange", |mounted, _| mounted.shown_again());
        mounted.listen(&mounted.window, "focus", |mounted, _| mounted.shown_again());
        mounted.listen(&mounted.window, "offline", |mounted, _| mounted.load());
        mounted.listen(&mounted.window, "online", |mounted, _| {
            mounted.state.borrow_mut().came_online();
            mounted.load();
        });
        mounted.update();
        Ok(Self(mounted))
    }

    /// Takes the host's supabase-js client, or none.
    pub fn set_client(&self, client: JsValue) {
        let mounted = &self.0;
        mounted.cancel();
        mounted.session_watch.replace(None);
        mounted.state.borrow_mut().reset();
        let is_given = !client.is_falsy();
        let client = Client::parse(client);
        if is_given && client.is_none() {
            mounted.state.borrow_mut().given_no_client();
        }
        mounted.client.replace(client.clone());
        if let Some(client) = client {
            mounted.restore_consent();
            let this = mounted.this.clone();
            let watch = client.watch_session(move |session| {
                if let Some(mounted) = this.upgrade() {
                    mounted.signed(session);
                }
            });
            mounted.session_watch.replace(watch);
        }
        mounted.load();
        mounted.update();
    }

    /// No client has come for long: what is shown then is what is shown of something that is no client.
    pub fn miss_client(&self) {
        self.0.state.borrow_mut().given_no_client();
        self.0.update();
    }

    /// Takes the words of every text, in the order of texts.json, and the language that dates between them are in.
    pub fn set_texts(&self, texts: Vec<String>, language: &str) {
        self.0.renderer.borrow_mut().speak(Texts::new(texts), language);
        self.0.update();
    }

    /// Resolves when the answer to a request made after the call is shown, or that request has failed.
    pub fn refresh(&self) -> Promise {
        let mounted = &self.0;
        mounted.state.borrow_mut().consent_returned();
        let shown = Promise::new(&mut |resolve, _| mounted.waiting.borrow_mut().push(resolve));
        mounted.load();
        mounted.update();
        shown
    }
}

impl Drop for Integration {
    fn drop(&mut self) {
        resolve(self.0.waiting.take());
        resolve(self.0.served.take());
    }
}

impl Mounted {
    fn listen(&self, target: &EventTarget, event: &'static str, heard: fn(&Self, &Event)) {
        let this = self.this.clone();
        let listener = Listener::new(target, event, move |event| {
            if let Some(mounted) = this.upgrade() {
                heard(&mounted, &event);
            }
        });
        self.listeners.borrow_mut().push(listener);
    }

    /// Shows the state, tells the page of it, and plans the next step.
    fn update(&self) {
        let now = Date::now();
        self.state.borrow_mut().tick(now);
        // A page that listens to the focus may come back here while the cards are arranged.
        let Ok(renderer) = self.renderer.try_borrow_mut() else { return self.is_outdated.set(true) };
        let focused = renderer.focused();
        let cards = renderer.render(&View::of(&self.state.borrow(), now), now);
        if let Err(error) = cards.and_then(|cards| renderer.arrange(&cards)) {
            console::error_2(&"google-calendar-integration:".into(), &error);
        }
        let next_focus = focused.and_then(|focused| renderer.focus_instead_of(focused));
        drop(renderer);
        if let Some(next) = next_focus {
            // What is shown can have the focus.
            let _ = next.focus();
        }
        if self.is_outdated.take() {
            return self.update();
        }
        self.plan(now);
        self.tell();
    }

    /// Sets the one timer. Nothing is done while nobody sees it.
    fn plan(&self, now: Millis) {
        let state = self.state.borrow();
        let poll_at = state.poll_at(now).filter(|_| self.client.borrow().is_some());
        let next = [poll_at, state.tick_at(now)].into_iter().flatten().reduce(Millis::min);
        let timer = next.filter(|_| self.is_visible()).map(|next| {
            let this = self.this.clone();
            Timer::start((next - now).max(0.0), move || {
                if let Some(mounted) = this.upgrade() {
                    mounted.woken();
                }
            })
        });
        self.timer.replace(timer);
    }

    fn woken(&self) {
        let now = Date::now();
        let is_due = self.state.borrow().poll_at(now).is_some_and(|at| at <= now);
        if is_due {
            self.load();
        }
        self.update();
    }

    fn shown_again(&self) {
        if self.is_visible() {
            self.load();
        }
        self.update();
    }

    fn is_visible(&self) -> bool {
        self.document.visibility_state() == VisibilityState::Visible
    }

    /// Tells the page when a connection has come, gone or changed.
    fn tell(&self) {
        let state = self.state.borrow();
        let (Some(tracked), changes) = (state.connections(), state.changes()) else { return };
        if self.told.replace(changes) == changes {
            return;
        }
        let connections: Array = tracked.iter().map(|tracked| tracked.row.to_object()).collect();
        drop(state);
        self.dispatch("calendar-status-change", object(&[("connections", connections.into())]), false);
    }

    /// Whether the page lets it be.
    fn dispatch(&self, name: &str, detail: Object, is_cancelable: bool) -> bool {
        let init = CustomEventInit::new();
        init.set_bubbles(true);
        init.set_composed(true);
        init.set_cancelable(is_cancelable);
        init.set_detail(&detail);
        CustomEvent::new_with_event_init_dict(name, &init).and_then(|event| self.host.dispatch_event(&event))
            != Ok(false)
    }

    fn clicked(&self, event: &Event) {
        let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
        let closest = |selector| target.as_ref().and_then(|target| target.closest(selector).ok().flatten());
        if let (Some(toggle), Some(id)) = (closest(".toggle"), closest("[data-id]")) {
            return self.toggled(&toggle, &id);
        }
        if let (Some(_), Some(card)) = (closest(".menu [data-action]"), closest("[data-id]")) {
            // The menu closes, and its own button may go with what was chosen.
            focus(&card, ".button");
        }
        let Some(button) = closest("[data-action]:not([aria-disabled=true])") else { return };
        let id = closest("[data-id]").and_then(|card| card.get_attribute("data-id"));
        let action = button.get_attribute("data-action").unwrap_or_default();
        match (Does::parse(&action), id) {
            (Some(Does::Connect(why)), id) => self.ask_for_consent(id, why),
            (Some(does @ Does::Act(action)), Some(id)) if action.is_choice() => {
                self.choose(does, action, &id)
            }
            (Some(Does::Act(action)), Some(id)) => self.act(&id, action),
            (Some(Does::Reload), _) => {
                self.load();
                self.update();
            }
            _ => {}
        }
    }

    /// A click that is about to fold or unfold details.
    fn toggled(&self, toggle: &Element, card: &Element) {
        let was_unfolded = matches!(toggle.closest("[open]"), Ok(Some(_)));
        let id = card.get_attribute("data-id").unwrap_or_default();
        self.state.borrow_mut().unfolded(&id, !was_unfolded);
        self.recall();
    }

    fn recall(&self) {
        loop {
            let recall = self.state.borrow_mut().begin_recall();
            let Some(recall) = recall else { return };
            self.ask(LOAD_TIMEOUT, Question::Recall(recall));
        }
    }

    /// Does what the user has chosen, unless the page does.
    fn choose(&self, does: Does, action: Action, id: &str) {
        let detail = object(&[("connection_id", id.into())]);
        if self.dispatch(&["calendar-", does.name()].concat(), detail, true) {
            self.act(id, action);
        }
    }

    fn ask_for_consent(&self, id: Option<String>, why: Why) {
        self.store_consent(id.as_deref());
        self.state.borrow_mut().consent_asked(id.clone(), Date::now());
        let id = id.map_or(JsValue::NULL, JsValue::from);
        let detail = object(&[("connection_id", id), ("reason", why.name().into())]);
        if !self.dispatch("calendar-connect", detail, true) {
            self.state.borrow_mut().consent_hidden();
        }
        self.update();
    }

    /// Most hosts leave the page for Google: the one that comes back must know what for.
    fn store_consent(&self, id: Option<&str>) {
        if let (Some(id), Ok(Some(storage))) = (id, self.window.session_storage()) {
            // A page without storage goes on without.
            let _ = storage.set_item(CONSENT_KEY, id);
            self.is_consent_stored.set(true);
        }
    }

    fn restore_consent(&self) {
        let Ok(Some(storage)) = self.window.session_storage() else { return };
        if let Ok(Some(id)) = storage.get_item(CONSENT_KEY) {
            let mut state = self.state.borrow_mut();
            state.consent_asked(Some(id), Date::now());
            state.consent_returned();
            self.is_consent_stored.set(true);
        }
    }

    fn forget_consent(&self) {
        if let (true, Ok(Some(storage))) =
            (self.is_consent_stored.replace(false), self.window.session_storage())
        {
            let _ = storage.remove_item(CONSENT_KEY);
        }
    }

    fn signed(&self, session: Session) {
        let is_signed_in = session != Session::SignedOut;
        if self.state.borrow_mut().signed(session, Date::now()) {
            self.cancel();
            if is_signed_in {
                self.load();
            } else {
                // Nothing is asked: the storage may still hold a session that another tab has just ended.
                resolve(self.waiting.take());
            }
        } else if is_signed_in && self.state.borrow().trouble().is_some() {
            // A new session of the same user may be what was missing.
            self.load();
        }
        self.update();
    }

    /// Asks for the connections, unless they are on their way already.
    fn load(&self) {
        if self.client.borrow().is_none() {
            return resolve(self.waiting.take());
        }
        let load = self.state.borrow_mut().begin_load();
        if let Some(load) = load {
            self.served.replace(self.waiting.take());
            self.ask(LOAD_TIMEOUT, Question::Load(load));
        }
    }

    fn act(&self, id: &str, action: Action) {
        let act = self.state.borrow_mut().begin(id, action, Date::now());
        if let Some(act) = act {
            self.ask(ACTION_TIMEOUT, Question::Act(act));
            self.update();
        }
    }

    /// Asks the client, and takes what comes of it once, be it that nothing came in time.
    fn ask(&self, timeout: Millis, question: Question) {
        let (Some(client), Ok(abort)) = (self.client.borrow().clone(), AbortController::new()) else {
            return;
        };
        let signal = abort.signal();
        let question = Rc::new(question);
        let (this, late) = (self.this.clone(), question.clone());
        let timeout = Timer::start(timeout, move || {
            if let Some(mounted) = this.upgrade() {
                mounted.answered(&late, Err(Failure::unreachable()));
            }
        });
        self.requests.borrow_mut().push(Request { question: question.clone(), abort, _timeout: timeout });
        let this = self.this.clone();
        spawn_local(async move {
            let answer = match &*question {
                Question::Load(_) => client.load(&signal).await,
                Question::Act(act) => client.act(act.action, &act.id, &signal).await,
                Question::Recall(recall) => client.events(&recall.id, &signal).await,
            };
            if let Some(mounted) = this.upgrade() {
                mounted.answered(&question, answer);
            }
        });
    }

    fn answered(&self, question: &Rc<Question>, answer: Result<Answer, Failure>) {
        let (asked, others): (Vec<_>, Vec<_>) =
            self.requests.take().into_iter().partition(|request| Rc::ptr_eq(&request.question, question));
        self.requests.replace(others);
        // The question was cancelled, or answered, meanwhile.
        if asked.is_empty() {
            return;
        }
        let is_online = self.window.navigator().on_line();
        let answer = answer.map_err(|failure| failure.explained(is_online));
        let now = Date::now();
        let is_news = match &**question {
            Question::Load(load) => self.state.borrow_mut().loaded(*load, answer, now),
            Question::Act(act) => {
                self.state.borrow_mut().finished(act, answer, now);
                false
            }
            Question::Recall(recall) => {
                self.state.borrow_mut().recalled(recall, answer);
                return self.update();
            }
        };
        if is_news {
            if !self.state.borrow().has_consent() {
                self.forget_consent();
            }
            let set_ups = self.state.borrow().set_ups();
            for id in set_ups {
                self.act(&id, Action::SetUp);
            }
            self.recall();
        } else {
            // The list on its way may be older than what was done.
            self.wait_for_next();
            self.load();
        }
        self.update();
        if is_news {
            resolve(self.served.take());
            if !self.waiting.borrow().is_empty() {
                self.load();
            }
        }
    }

    /// Gives up what is in flight; who waits for it is served by what is asked next.
    fn cancel(&self) {
        // Aborting may run code of the page.
        drop(self.requests.take());
        self.state.borrow_mut().end_load();
        self.wait_for_next();
    }

    /// What waits for the list that is being asked for waits for the next one instead.
    fn wait_for_next(&self) {
        self.waiting.borrow_mut().append(&mut self.served.borrow_mut());
    }
}

fn focus(within: &Element, selector: &str) {
    let target = within.query_selector(selector).ok().flatten();
    let _ = target.and_then(|target| target.dyn_into::<HtmlElement>().ok()).map(|target| target.focus());
}

fn resolve(waiting: Vec<Function>) {
    for resolve in waiting {
        // A promise's own function does not throw.
        let _ = resolve.call0(&JsValue::UNDEFINED);
    }
}
