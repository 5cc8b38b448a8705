import { Suspense, createApp, h } from "vue";

import App from "./App.vue";

createApp(() => h(Suspense, null, { default: () => h(App) })).mount("#root");
