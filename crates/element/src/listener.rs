//! An event listener, removed on drop.

use wasm_bindgen::prelude::*;
use web_sys::{Event, EventTarget};

pub(crate) struct Listener {
    target: EventTarget,
    event: &'static str,
    callback: Closure<dyn FnMut(Event)>,
}

impl Listener {
    pub(crate) fn new(
        target: &EventTarget,
        event: &'static str,
        callback: impl FnMut(Event) + 'static,
    ) -> Self {
        let callback = Closure::<dyn FnMut(Event)>::new(callback);
        let function = callback.as_ref().unchecked_ref();
        // Only a null callback is refused.
        let _ = target.add_event_listener_with_callback_and_bool(event, function, is_captured(event));
        Self { target: target.clone(), event, callback }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let function = self.callback.as_ref().unchecked_ref();
        let is_captured = is_captured(self.event);
        let _ = self.target.remove_event_listener_with_callback_and_bool(self.event, function, is_captured);
    }
}

/// This event does not bubble.
fn is_captured(event: &str) -> bool {
    event == "toggle"
}
