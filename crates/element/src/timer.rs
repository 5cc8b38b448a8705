//! A running `setTimeout`, cleared on drop.

use js_sys::Function;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Function, milliseconds: f64) -> JsValue;

    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timer: &JsValue);
}

pub(crate) struct Timer {
    timer: JsValue,
    _callback: Closure<dyn FnMut()>,
}

impl Timer {
    pub(crate) fn start(milliseconds: f64, callback: impl FnOnce() + 'static) -> Self {
        let callback = Closure::once(callback);
        Self { timer: set_timeout(callback.as_ref().unchecked_ref(), milliseconds), _callback: callback }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        clear_timeout(&self.timer);
    }
}
