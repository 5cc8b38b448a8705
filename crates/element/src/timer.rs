//! A running `setTimeout`, cleared on drop.

use wasm_bindgen::prelude::*;
use web_sys::Window;

pub(crate) struct Timer {
    window: Window,
    id: i32,
    _callback: Closure<dyn FnMut()>,
}

impl Timer {
    pub(crate) fn start(window: &Window, milliseconds: i32, callback: impl FnOnce() + 'static) -> Option<Self> {
        let callback = Closure::once(callback);
        let id = window
            .set_timeout_with_callback_and_timeout_and_arguments_0(callback.as_ref().unchecked_ref(), milliseconds)
            .ok()?;
        Some(Self { window: window.clone(), id, _callback: callback })
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.window.clear_timeout_with_handle(self.id);
    }
}
